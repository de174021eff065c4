//! Events of a function: those that Lambda polls here, those that are pushed in `push`.

use serde_json::{Map, Value, json};

use crate::sam::function::{Bound, destination_policy};
use crate::sam::role::Role;
use crate::sam::rules::{Is, fits, mistyped};
use crate::sam::{Fault, Made, Sam, Subject, fields};

/// Properties of polled events, and of which types they are.
const POLLED: &[(&str, Is)] = &[
    ("BatchSize", Is::Int),
    ("StartingPosition", Is::Any),
    ("StartingPositionTimestamp", Is::Any),
    ("Enabled", Is::Bool),
    ("MaximumBatchingWindowInSeconds", Is::Int),
    ("MaximumRetryAttempts", Is::Int),
    ("BisectBatchOnFunctionError", Is::Bool),
    ("MaximumRecordAgeInSeconds", Is::Int),
    ("DestinationConfig", Is::Map),
    ("ParallelizationFactor", Is::Int),
    ("Topics", Is::List),
    ("Queues", Is::List),
    ("SourceAccessConfigurations", Is::List),
    ("SecretsManagerKmsKeyId", Is::Text),
    ("TumblingWindowInSeconds", Is::Int),
    ("FunctionResponseTypes", Is::List),
    ("KafkaBootstrapServers", Is::List),
    ("FilterCriteria", Is::Map),
    ("KmsKeyArn", Is::Any),
    ("ConsumerGroupId", Is::Text),
    ("ScalingConfig", Is::Map),
    ("ProvisionedPollerConfig", Is::Map),
    ("SchemaRegistryConfig", Is::Map),
    ("MetricsConfig", Is::Map),
    ("LoggingConfig", Is::Map),
];

/// Properties that a mapping takes under the same names.
const COPIED: &[&str] = &[
    "StartingPosition",
    "StartingPositionTimestamp",
    "BatchSize",
    "Enabled",
    "MaximumBatchingWindowInSeconds",
    "MaximumRetryAttempts",
    "BisectBatchOnFunctionError",
    "MaximumRecordAgeInSeconds",
    "ParallelizationFactor",
    "Topics",
    "Queues",
    "SourceAccessConfigurations",
    "TumblingWindowInSeconds",
    "FunctionResponseTypes",
    "FilterCriteria",
    "KmsKeyArn",
    "ScalingConfig",
    "ProvisionedPollerConfig",
    "MetricsConfig",
    "LoggingConfig",
];

/// A kind of polled event: its name, the property with the source, the policy that reads it, what else it has.
struct Polled {
    kind: &'static str,
    source: &'static str,
    policy: Option<&'static str>,
    more: &'static [(&'static str, Is)],
    needs_position: bool,
}

const KINDS: &[Polled] = &[
    Polled {
        kind: "Kinesis",
        source: "Stream",
        policy: Some("service-role/AWSLambdaKinesisExecutionRole"),
        more: &[],
        needs_position: true,
    },
    Polled {
        kind: "DynamoDB",
        source: "Stream",
        policy: Some("service-role/AWSLambdaDynamoDBExecutionRole"),
        more: &[],
        needs_position: true,
    },
    Polled {
        kind: "SQS",
        source: "Queue",
        policy: Some("service-role/AWSLambdaSQSQueueExecutionRole"),
        more: &[],
        needs_position: false,
    },
    Polled {
        kind: "MSK",
        source: "Stream",
        policy: Some("service-role/AWSLambdaMSKExecutionRole"),
        more: &[],
        needs_position: true,
    },
    Polled {
        kind: "MQ",
        source: "Broker",
        policy: None,
        more: &[("DynamicPolicyName", Is::Bool)],
        needs_position: false,
    },
    Polled {
        kind: "DocumentDB",
        source: "Cluster",
        policy: None,
        more: &[
            ("DatabaseName", Is::Text),
            ("CollectionName", Is::Text),
            ("FullDocument", Is::Text),
        ],
        needs_position: false,
    },
    Polled {
        kind: "SelfManagedKafka",
        source: "",
        policy: None,
        more: &[],
        needs_position: false,
    },
];

/// An event of a function, or of a state machine.
#[derive(Clone, Copy)]
pub(crate) struct Event<'e> {
    /// The resource that has it.
    pub(crate) owner: &'e str,
    /// Its own name.
    pub(crate) name: &'e str,
    /// `<owner><name>`.
    pub(crate) id: &'e str,
    pub(crate) properties: &'e Map<String, Value>,
}

impl<'e> Event<'e> {
    pub(crate) fn get(&self, name: &str) -> Option<&'e Value> {
        self.properties.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn copied(&self, name: &str) -> Option<Value> {
        self.get(name).cloned()
    }

    pub(crate) fn fault<T>(&self, message: impl Into<String>) -> Made<T> {
        Err(Fault::event(self.owner, self.name, message))
    }

    pub(crate) fn need(&self, name: &str) -> Made<&'e Value> {
        match self.get(name) {
            Some(value) => Ok(value),
            None => self.fault(format!("Missing required property '{name}'.")),
        }
    }

    /// Only these properties, of these types.
    pub(crate) fn check(&self, kind: &str, rules: &[&[(&str, Is)]]) -> Made<()> {
        for (name, value) in self.properties {
            let rule = rules.iter().flat_map(|rules| rules.iter());
            match rule.clone().find(|(known, _)| known == name) {
                None => {
                    return self.fault(format!(
                        "property {name} not defined for resource of type {kind}"
                    ));
                }
                Some((_, is)) if !value.is_null() && !fits(value, *is) => {
                    return self.fault(mistyped(name, *is));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Events that are out of scope.
const REFUSED: &[&str] = &[
    "Api",
    "HttpApi",
    "WebSocketApi",
    "AlexaSkill",
    "IoTRule",
    "Cognito",
];

impl Sam<'_> {
    /// Expands all events of a function, in the order of their paths or names.
    pub(crate) fn events(
        &mut self,
        subject: &Subject<'_>,
        bound: &Bound,
        role: &mut Role,
    ) -> Made<()> {
        let Some(Value::Object(events)) = subject.get("Events") else {
            return Ok(());
        };
        let mut order: Vec<(&String, &Value)> = events.iter().collect();
        order.sort_by_key(|(name, event)| {
            let path = event
                .get("Properties")
                .and_then(|properties| properties.get("Path"));
            path.and_then(Value::as_str).unwrap_or(name).to_owned()
        });
        for (name, event) in order {
            let id = format!("{}{name}", subject.id);
            let kind = event
                .get("Type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let empty = Map::new();
            let properties = match event.get("Properties") {
                None | Some(Value::Null) => &empty,
                Some(Value::Object(properties)) => properties,
                Some(_) => {
                    let message = "Property 'Properties' should be a map.";
                    return Err(Fault::event(subject.id, name, message));
                }
            };
            let event = Event {
                owner: subject.id,
                name,
                id: &id,
                properties,
            };
            if REFUSED.contains(&kind) {
                return event.fault(format!(
                    "{kind} events are not transformed by this build: deploy the API or rule by itself, with a permission to invoke the function"
                ));
            }
            match KINDS.iter().find(|known| known.kind == kind) {
                Some(polled) => self.poll(&event, polled, bound, role)?,
                None => self.push(&event, kind, bound, role)?,
            }
        }
        Ok(())
    }

    fn poll(
        &mut self,
        event: &Event<'_>,
        polled: &Polled,
        bound: &Bound,
        role: &mut Role,
    ) -> Made<()> {
        let own: &[(&str, Is)] = if polled.source.is_empty() {
            &[]
        } else {
            &[(polled.source, Is::Any)]
        };
        event.check(polled.kind, &[POLLED, own, polled.more])?;
        if !polled.source.is_empty() {
            event.need(polled.source)?;
        }
        if polled.needs_position {
            event.need("StartingPosition")?;
        }
        let policies = self.poll_policies(event, polled)?;
        let mut mapping = fields([
            ("FunctionName", Some(bound.name())),
            ("EventSourceArn", event.copied(polled.source)),
        ]);
        for name in COPIED {
            mapping.extend(fields([(*name, event.copied(name))]));
        }
        check_filter(event)?;
        if let Some(servers) = event.get("KafkaBootstrapServers") {
            let endpoints = json!({"Endpoints": {"KafkaBootstrapServers": servers}});
            mapping.insert("SelfManagedEventSource".to_owned(), endpoints);
        }
        self.kafka_config(event, polled, &mut mapping)?;
        if polled.kind == "DocumentDB" {
            let config = fields([
                ("CollectionName", event.copied("CollectionName")),
                ("DatabaseName", event.copied("DatabaseName")),
                ("FullDocument", event.copied("FullDocument")),
            ]);
            mapping.insert(
                "DocumentDBEventSourceConfig".to_owned(),
                Value::Object(config),
            );
        }
        let mut destination = None;
        if let Some(config) = event.get("DestinationConfig") {
            let (config, policy) = on_failure(event, config)?;
            mapping.insert("DestinationConfig".to_owned(), config);
            destination = policy;
        }
        self.emit(
            event.id,
            "AWS::Lambda::EventSourceMapping",
            mapping,
            bound.attributes.clone(),
        );
        if let Some(policy) = polled.policy {
            role.manage(self.managed_arn(policy));
        }
        policies.into_iter().for_each(|policy| role.allow(policy));
        destination
            .into_iter()
            .for_each(|policy| role.allow(policy));
        Ok(())
    }

    fn kafka_config(
        &self,
        event: &Event<'_>,
        polled: &Polled,
        mapping: &mut Map<String, Value>,
    ) -> Made<()> {
        let property = match polled.kind {
            "MSK" => "AmazonManagedKafkaEventSourceConfig",
            "SelfManagedKafka" => "SelfManagedKafkaEventSourceConfig",
            kind => {
                if event.get("ConsumerGroupId").is_some() {
                    return event.fault(format!(
                        "Property ConsumerGroupId not defined for resource of type {kind}."
                    ));
                }
                return Ok(());
            }
        };
        let config = fields([
            ("ConsumerGroupId", event.copied("ConsumerGroupId")),
            ("SchemaRegistryConfig", event.copied("SchemaRegistryConfig")),
        ]);
        if !config.is_empty() {
            mapping.insert(property.to_owned(), Value::Object(config));
        }
        Ok(())
    }

    fn poll_policies(&self, event: &Event<'_>, polled: &Polled) -> Made<Vec<Value>> {
        match polled.kind {
            "MSK" => {
                let mut statements = self.registry_statements(event)?;
                let configurations = event.get("SourceAccessConfigurations");
                let list = configurations.and_then(Value::as_array);
                for config in list.into_iter().flatten() {
                    let is_certificate = config.get("Type").and_then(Value::as_str)
                        == Some("CLIENT_CERTIFICATE_TLS_AUTH");
                    if let Some(uri) = config.get("URI").filter(|_| is_certificate) {
                        statements.push(secret(uri));
                    }
                }
                if statements.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(vec![json!({"PolicyName": "MSKExecutionRolePolicy",
                    "PolicyDocument": {"Statement": statements}})])
            }
            "SelfManagedKafka" => self.kafka_policies(event),
            "MQ" => mq_policies(event),
            "DocumentDB" => document_policies(event),
            _ => Ok(Vec::new()),
        }
    }

    fn kafka_policies(&self, event: &Event<'_>) -> Made<Vec<Value>> {
        if event.get("KafkaBootstrapServers").is_none() {
            return event.fault(
                "No KafkaBootstrapServers provided for self managed kafka as an event source",
            );
        }
        let topics = match event.get("Topics") {
            None => {
                return event.fault("No Topics provided for self managed kafka as an event source");
            }
            Some(topics) => topics.as_array().map_or(1, Vec::len),
        };
        if topics != 1 {
            return event
                .fault("Topics for self managed kafka only supports single configuration entry.");
        }
        let Some(configurations) = event.get("SourceAccessConfigurations") else {
            return event
                .fault("No SourceAccessConfigurations for self managed kafka event provided.");
        };
        let mut statements = Vec::new();
        let mut auth = None;
        let mut has_root = false;
        let (mut has_subnet, mut has_group) = (false, false);
        for config in configurations.as_array().into_iter().flatten() {
            let uri = config.get("URI").filter(|uri| !uri.is_null());
            match config.get("Type").and_then(Value::as_str) {
                Some("VPC_SUBNET") => has_subnet = true,
                Some("VPC_SECURITY_GROUP") => has_group = true,
                Some("SERVER_ROOT_CA_CERTIFICATE") => has_root = true,
                Some(
                    "SASL_SCRAM_256_AUTH"
                    | "SASL_SCRAM_512_AUTH"
                    | "BASIC_AUTH"
                    | "CLIENT_CERTIFICATE_TLS_AUTH",
                ) => {
                    if auth.is_some() {
                        return event.fault("Multiple auth mechanism properties specified in SourceAccessConfigurations for self managed kafka event.");
                    }
                    auth = Some(uri);
                }
                _ => {
                    return event.fault("Invalid SourceAccessConfigurations for self managed kafka event: the type is not known.");
                }
            }
        }
        if let Some(uri) = auth.flatten() {
            statements.push(secret(uri));
            // The certificate's statement repeats the authentication's secret.
            if has_root {
                statements.push(secret(uri));
            }
        }
        if has_subnet != has_group {
            return event.fault("VPC_SUBNET and VPC_SECURITY_GROUP in SourceAccessConfigurations for SelfManagedKafka must be both provided.");
        }
        if has_subnet {
            statements.push(
                json!({"Action": ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces",
                "ec2:DeleteNetworkInterface", "ec2:DescribeVpcs", "ec2:DescribeSubnets",
                "ec2:DescribeSecurityGroups"], "Effect": "Allow", "Resource": "*"}),
            );
        }
        if let Some(Value::String(key)) = event.get("SecretsManagerKmsKeyId") {
            statements.push(decrypt(key));
        }
        statements.extend(self.registry_statements(event)?);
        Ok(vec![
            json!({"PolicyName": "SelfManagedKafkaExecutionRolePolicy",
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}),
        ])
    }

    fn registry_statements(&self, event: &Event<'_>) -> Made<Vec<Value>> {
        let Some(config) = event.get("SchemaRegistryConfig") else {
            return Ok(Vec::new());
        };
        for field in [
            "SchemaRegistryURI",
            "EventRecordFormat",
            "SchemaValidationConfigs",
        ] {
            if config.get(field).is_none() {
                return event.fault(format!(
                    "Missing required field {field} in SchemaRegistryConfig"
                ));
            }
        }
        let format = config.get("EventRecordFormat").and_then(Value::as_str);
        if !matches!(format, Some("JSON" | "SOURCE")) {
            return event.fault(
                "EventRecordFormat in SchemaRegistryConfig must be either 'JSON' or 'SOURCE'",
            );
        }
        if !config["SchemaValidationConfigs"].is_array() {
            return event.fault("SchemaValidationConfigs must be a list");
        }
        let mut statements = Vec::new();
        let access = config.get("AccessConfigs").and_then(Value::as_array);
        for access in access.into_iter().flatten() {
            match (access.get("Type"), access.get("URI")) {
                (Some(_), Some(uri)) => statements.push(secret(uri)),
                _ => {
                    return event
                        .fault("Each AccessConfig must be a dict with 'Type' and 'URI' fields");
                }
            }
        }
        let uri = &config["SchemaRegistryURI"];
        let text = match self.resolved(uri) {
            Value::String(text) => Some(text),
            Value::Object(map) => map
                .get("Fn::Sub")
                .and_then(Value::as_str)
                .map(str::to_owned),
            _ => None,
        };
        let registry = text.as_deref().filter(|text| text.starts_with("arn"));
        let registry = registry.and_then(|text| text.split(':').nth(5)?.strip_prefix("registry/"));
        if let Some(registry) = registry {
            statements
                .push(json!({"Action": ["glue:GetRegistry"], "Effect": "Allow", "Resource": uri}));
            let schemas = format!(
                "arn:${{AWS::Partition}}:glue:${{AWS::Region}}:${{AWS::AccountId}}:schema/{registry}/*"
            );
            statements.push(
                json!({"Action": ["glue:GetSchemaVersion"], "Effect": "Allow",
                "Resource": [{"Fn::Sub": schemas}]}),
            );
        }
        Ok(statements)
    }
}

fn secret(uri: &Value) -> Value {
    json!({"Action": ["secretsmanager:GetSecretValue"], "Effect": "Allow", "Resource": uri})
}

fn decrypt(key: &str) -> Value {
    let arn = format!("arn:${{AWS::Partition}}:kms:${{AWS::Region}}:${{AWS::AccountId}}:key/{key}");
    json!({"Action": ["kms:Decrypt"], "Effect": "Allow", "Resource": {"Fn::Sub": arn}})
}

/// The URI of the one access configuration that a kind needs.
fn needed_access<'e>(
    event: &Event<'e>,
    kind: &str,
    supported: &[&str],
    needed: &str,
) -> Made<&'e Value> {
    let Some(configurations) = event.get("SourceAccessConfigurations") else {
        return event.fault(format!(
            "No SourceAccessConfigurations for Amazon {kind} event provided."
        ));
    };
    let Some(list) = configurations.as_array() else {
        return event.fault("Provided SourceAccessConfigurations cannot be parsed into a list.");
    };
    let mut found = None;
    for config in list {
        let given = config
            .get("Type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !supported.contains(&given) {
            return event.fault(format!(
                "Invalid property Type specified in SourceAccessConfigurations. The supported values are: {}.",
                crate::sam::globals::python_list(supported)
            ));
        }
        if given != needed {
            continue;
        }
        if found.is_some() {
            return event.fault(format!(
                "Multiple {needed} properties specified in SourceAccessConfigurations."
            ));
        }
        match config.get("URI").filter(|uri| !uri.is_null()) {
            Some(uri) => found = Some(uri),
            None => {
                return event.fault(format!(
                    "No {needed} URI property specified in SourceAccessConfigurations."
                ));
            }
        }
    }
    match found {
        Some(uri) => Ok(uri),
        None => event.fault(format!(
            "No {needed} property specified in SourceAccessConfigurations."
        )),
    }
}

const NETWORK: [&str; 6] = [
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
];

fn mq_policies(event: &Event<'_>) -> Made<Vec<Value>> {
    let uri = needed_access(event, "MQ", &["BASIC_AUTH", "VIRTUAL_HOST"], "BASIC_AUTH")?;
    let queues = event.get("Queues").and_then(Value::as_array);
    match queues {
        None => return event.fault("No Queues provided for Amazon MQ event source."),
        Some(list) if list.len() != 1 => {
            return event.fault("Queues for Amazon MQ only supports single configuration entry.");
        }
        Some(_) => {}
    }
    let mut statements = vec![
        secret(uri),
        json!({"Action": NETWORK, "Effect": "Allow", "Resource": "*"}),
        json!({"Action": ["mq:DescribeBroker"], "Effect": "Allow", "Resource": event.get("Broker")}),
    ];
    statements[1]["Action"] = json!([
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs"
    ]);
    if let Some(Value::String(key)) = event.get("SecretsManagerKmsKeyId") {
        statements.push(decrypt(key));
    }
    let is_dynamic = event.get("DynamicPolicyName") == Some(&Value::Bool(true));
    let name = if is_dynamic {
        format!("{}AMQPolicy", event.id)
    } else {
        "SamAutoGeneratedAMQPolicy".to_owned()
    };
    Ok(vec![
        json!({"PolicyName": name, "PolicyDocument": {"Statement": statements}}),
    ])
}

fn document_policies(event: &Event<'_>) -> Made<Vec<Value>> {
    let uri = needed_access(event, "DocumentDB", &["BASIC_AUTH"], "BASIC_AUTH")?;
    if event.get("DatabaseName").is_none() {
        return event.fault("Missing required property 'DatabaseName'.");
    }
    let mut statements = vec![
        secret(uri),
        json!({"Action": ["rds:DescribeDBClusterParameters"], "Effect": "Allow", "Resource": {"Fn::Sub":
            "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:cluster-pg:*"}}),
        json!({"Action": ["rds:DescribeDBSubnetGroups"], "Effect": "Allow", "Resource": {"Fn::Sub":
            "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:subgrp:*"}}),
        json!({"Action": ["rds:DescribeDBClusters"], "Effect": "Allow", "Resource": event.get("Cluster")}),
        json!({"Action": NETWORK, "Effect": "Allow", "Resource": "*"}),
    ];
    if let Some(Value::String(key)) = event.get("SecretsManagerKmsKeyId") {
        statements.push(decrypt(key));
    }
    Ok(vec![
        json!({"PolicyName": "SamAutoGeneratedDocumentDBPolicy",
        "PolicyDocument": {"Statement": statements}}),
    ])
}

fn check_filter(event: &Event<'_>) -> Made<()> {
    match event.get("FilterCriteria") {
        Some(Value::Object(map)) if !crate::sam::is_intrinsic(&Value::Object(map.clone())) => {
            if map.keys().any(|key| key != "Filters") {
                return event.fault("FilterCriteria field has a wrong format");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The destination of what failed, without the type that only SAM reads, and the policy that it needs.
fn on_failure(event: &Event<'_>, config: &Value) -> Made<(Value, Option<Value>)> {
    let mut config = config.clone();
    let Some(failure) = config.get_mut("OnFailure").and_then(Value::as_object_mut) else {
        return event.fault(mistyped("DestinationConfig.OnFailure", Is::Map));
    };
    let Some(kind) = failure.remove("Type").filter(|kind| !kind.is_null()) else {
        return Ok((config, None));
    };
    let kind = kind.as_str().unwrap_or_default().to_owned();
    if !["SQS", "SNS", "S3", "Kafka"].contains(&kind.as_str()) {
        return event.fault("The only valid values for 'Type' are 'SQS', 'SNS', 'S3', and 'Kafka'");
    }
    let destination = failure.get("Destination").cloned().unwrap_or_default();
    let policy = destination_policy(&kind, event.id, &destination);
    Ok((config, policy))
}
