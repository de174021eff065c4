//! Events of a function: those that Lambda polls here, those that are pushed in `push`.

use serde_json::{Map, Value, json};

use crate::sam::function::Bound;
use crate::sam::invoke::destination_policy;
use crate::sam::link::Event;
use crate::sam::role::Role;
use crate::sam::rules::{Is, mistyped};
use crate::sam::{Made, Sam, Subject, fields};

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

/// A kind of polled event: its name, the property with the source, the policy that reads it.
type Polled = (&'static str, &'static str, Option<&'static str>);

const KINDS: &[Polled] = &[
    (
        "Kinesis",
        "Stream",
        Some("service-role/AWSLambdaKinesisExecutionRole"),
    ),
    (
        "DynamoDB",
        "Stream",
        Some("service-role/AWSLambdaDynamoDBExecutionRole"),
    ),
    (
        "SQS",
        "Queue",
        Some("service-role/AWSLambdaSQSQueueExecutionRole"),
    ),
    (
        "MSK",
        "Stream",
        Some("service-role/AWSLambdaMSKExecutionRole"),
    ),
    ("MQ", "Broker", None),
    ("DocumentDB", "Cluster", None),
    ("SelfManagedKafka", "", None),
];

impl Sam<'_> {
    /// Expands all events of a function, in the order of their paths or names.
    pub(crate) fn events(
        &mut self,
        subject: &Subject<'_>,
        bound: &Bound,
        role: &mut Role,
    ) -> Made<()> {
        let Some(Value::Object(events)) = subject.some("Events") else {
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
            let properties = event.get("Properties").and_then(Value::as_object);
            let event = Event {
                owner: subject.id,
                name,
                id: &id,
                properties: properties.unwrap_or(&empty),
                is_machine: false,
            };
            match KINDS.iter().find(|known| known.0 == kind) {
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
        let (kind, source, policy) = *polled;
        let mut mapping = fields([
            ("FunctionName", Some(bound.name())),
            ("EventSourceArn", event.copied(source)),
        ]);
        for name in COPIED {
            mapping.extend(fields([(*name, event.copied(name))]));
        }
        check_filter(event)?;
        if let Some(servers) = event.some("KafkaBootstrapServers") {
            let endpoints = json!({"Endpoints": {"KafkaBootstrapServers": servers}});
            mapping.insert("SelfManagedEventSource".to_owned(), endpoints);
        }
        kafka_config(event, kind, &mut mapping)?;
        let mut destination = None;
        if let Some(config) = event.some("DestinationConfig") {
            let (config, policy) = on_failure(event, config)?;
            mapping.insert("DestinationConfig".to_owned(), config);
            destination = policy;
        }
        if kind == "DocumentDB" {
            let some = |name: &str| event.some(name).cloned();
            let config = fields([
                ("CollectionName", some("CollectionName")),
                ("DatabaseName", event.copied("DatabaseName")),
                ("FullDocument", some("FullDocument")),
            ]);
            let property = "DocumentDBEventSourceConfig".to_owned();
            mapping.insert(property, Value::Object(config));
        }
        let policies = self.poll_policies(event, kind)?;
        self.emit(
            event.id,
            "AWS::Lambda::EventSourceMapping",
            mapping,
            bound.attributes.clone(),
        );
        if let Some(policy) = policy {
            role.manage(self.managed_arn(policy));
        }
        policies.into_iter().for_each(|policy| role.allow(policy));
        destination
            .into_iter()
            .for_each(|policy| role.allow(policy));
        Ok(())
    }

    fn poll_policies(&self, event: &Event<'_>, kind: &str) -> Made<Vec<Value>> {
        match kind {
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
        if event.some("KafkaBootstrapServers").is_none() {
            return event.fault(
                "No KafkaBootstrapServers provided for self managed kafka as an event source",
            );
        }
        let topics = match event.some("Topics") {
            None => {
                return event.fault("No Topics provided for self managed kafka as an event source");
            }
            Some(Value::Array(list)) => list.len(),
            Some(Value::Object(map)) => map.len(),
            Some(_) => 1,
        };
        if topics != 1 {
            return event
                .fault("Topics for self managed kafka only supports single configuration entry.");
        }
        let Some(configurations) = event.some("SourceAccessConfigurations") else {
            return event
                .fault("No SourceAccessConfigurations for self managed kafka event provided.");
        };
        let access = kafka_access(event, configurations)?;
        let mut statements = Vec::new();
        statements.extend(access.secret.map(secret));
        statements.extend(access.certificate.map(secret));
        if access.has_network {
            statements.push(json!({"Action": NETWORK, "Effect": "Allow", "Resource": "*"}));
        }
        if let Some(key) = kms_key(event)? {
            statements.push(decrypt(key));
        }
        statements.extend(self.registry_statements(event)?);
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![
            json!({"PolicyName": "SelfManagedKafkaExecutionRolePolicy",
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}),
        ])
    }

    fn registry_statements(&self, event: &Event<'_>) -> Made<Vec<Value>> {
        let Some(config) = event.some("SchemaRegistryConfig") else {
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
        let access = config.get("AccessConfigs");
        match access.filter(|access| crate::sam::is_truthy(access)) {
            None => {}
            Some(Value::Array(list)) => {
                for access in list {
                    let (Some(_), Some(uri)) = (access.get("Type"), access.get("URI")) else {
                        return event.fault(
                            "Each AccessConfig must be a dict with 'Type' and 'URI' fields",
                        );
                    };
                    statements.push(secret(uri));
                }
            }
            Some(_) => {
                return event.fault("AccessConfigs in SchemaRegistryConfig must be a list");
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

fn kafka_config(event: &Event<'_>, kind: &str, mapping: &mut Map<String, Value>) -> Made<()> {
    let property = match kind {
        "MSK" => "AmazonManagedKafkaEventSourceConfig",
        "SelfManagedKafka" => "SelfManagedKafkaEventSourceConfig",
        kind => {
            if event.some("ConsumerGroupId").is_some() {
                return event.fault_by_id(format!(
                    "Property ConsumerGroupId not defined for resource of type {kind}."
                ));
            }
            return Ok(());
        }
    };
    let some = |name: &str| event.some(name).cloned();
    let config = fields([
        ("ConsumerGroupId", some("ConsumerGroupId")),
        ("SchemaRegistryConfig", some("SchemaRegistryConfig")),
    ]);
    if !config.is_empty() {
        mapping.insert(property.to_owned(), Value::Object(config));
    }
    Ok(())
}

/// The key that decrypts a secret.
fn kms_key<'e>(event: &Event<'e>) -> Made<Option<&'e str>> {
    match event.some("SecretsManagerKmsKeyId") {
        None => Ok(None),
        Some(Value::String(key)) => Ok(Some(key)),
        Some(_) => event.fault(mistyped("SecretsManagerKmsKeyId", Is::Text)),
    }
}

/// How a function reaches self-managed Kafka.
struct KafkaAccess<'e> {
    secret: Option<&'e Value>,
    certificate: Option<&'e Value>,
    has_network: bool,
}

fn kafka_access<'e>(event: &Event<'e>, given: &'e Value) -> Made<KafkaAccess<'e>> {
    let Some(list) = given.as_array() else {
        return event
            .fault("SourceAccessConfigurations for self managed kafka event should be a list.");
    };
    let mut access = KafkaAccess {
        secret: None,
        certificate: None,
        has_network: false,
    };
    let (mut has_auth, mut has_subnet, mut has_group) = (false, false, false);
    for config in list {
        if !config.is_object() {
            let message = mistyped("SourceAccessConfigurations", Is::Map);
            let fault = crate::sam::Fault::new(event.name, message);
            return Err(fault.at(event.owner, event.name));
        }
        let kind = config
            .get("Type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match kind {
            "VPC_SUBNET" => {
                kafka_uri(event, config, kind)?;
                has_subnet = true;
            }
            "VPC_SECURITY_GROUP" => {
                kafka_uri(event, config, kind)?;
                has_group = true;
            }
            "SASL_SCRAM_256_AUTH"
            | "SASL_SCRAM_512_AUTH"
            | "BASIC_AUTH"
            | "CLIENT_CERTIFICATE_TLS_AUTH"
            | "OAUTHBEARER_AUTH"
            | "IAM_AUTH"
            | "IAM_OAUTHBEARER_AUTH" => {
                if has_auth {
                    return event.fault("Multiple auth mechanism properties specified in SourceAccessConfigurations for self managed kafka event.");
                }
                has_auth = true;
                if !kind.starts_with("IAM_") {
                    access.secret = Some(kafka_uri(event, config, "auth mechanism")?);
                }
            }
            "SERVER_ROOT_CA_CERTIFICATE" => {
                access.certificate = Some(kafka_uri(event, config, kind)?);
            }
            "OAUTHBEARER_SCOPE"
            | "OAUTHBEARER_AUDIENCE"
            | "OAUTHBEARER_LOGICAL_CLUSTER"
            | "OAUTHBEARER_IDENTITY_POOL" => {
                kafka_uri(event, config, kind)?;
            }
            _ => {
                return event.fault("Invalid SourceAccessConfigurations Type provided for self managed kafka event.");
            }
        }
    }
    if has_subnet != has_group {
        return event.fault("VPC_SUBNET and VPC_SECURITY_GROUP in SourceAccessConfigurations for SelfManagedKafka must be both provided.");
    }
    access.has_network = has_subnet;
    Ok(access)
}

fn kafka_uri<'e>(event: &Event<'e>, config: &'e Value, what: &str) -> Made<&'e Value> {
    let place =
        "URI property specified in SourceAccessConfigurations for self managed kafka event.";
    match config.get("URI").filter(|uri| crate::sam::is_truthy(uri)) {
        None => event.fault(format!("No {what} {place}")),
        Some(uri) if uri.is_string() || crate::sam::is_intrinsic(uri) => Ok(uri),
        Some(_) => event.fault(format!("Wrong Type for {what} {place}")),
    }
}

/// The URI of the one access configuration that a kind needs.
fn needed_access<'e>(
    event: &Event<'e>,
    kind: &str,
    supported: &[&str],
    needed: &str,
) -> Made<&'e Value> {
    let Some(configurations) = event.some("SourceAccessConfigurations") else {
        return event.fault(format!(
            "No SourceAccessConfigurations for Amazon {kind} event provided."
        ));
    };
    let Some(list) = configurations.as_array() else {
        return event.fault("Provided SourceAccessConfigurations cannot be parsed into a list.");
    };
    let mut found = None;
    for (index, config) in list.iter().enumerate() {
        let place = format!("SourceAccessConfigurations[{index}]");
        if !config.is_object() {
            return event.fault(mistyped(&place, Is::Map));
        }
        let Some(given) = config.get("Type").and_then(Value::as_str) else {
            return event.fault(mistyped(&format!("{place}.Type"), Is::Text));
        };
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
        match config.get("URI").filter(|uri| crate::sam::is_truthy(uri)) {
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
    "ec2:DescribeNetworkInterfaces",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeVpcs",
    "ec2:DescribeSubnets",
    "ec2:DescribeSecurityGroups",
];

fn mq_policies(event: &Event<'_>) -> Made<Vec<Value>> {
    let uri = needed_access(event, "MQ", &["BASIC_AUTH", "VIRTUAL_HOST"], "BASIC_AUTH")?;
    let mut statements = vec![
        secret(uri),
        json!({"Action": ["mq:DescribeBroker"], "Effect": "Allow", "Resource": event.get("Broker")}),
    ];
    if let Some(key) = kms_key(event)? {
        let mut statement = decrypt(key);
        statement["Action"] = json!("kms:Decrypt");
        statements.push(statement);
    }
    let name = match event.some("DynamicPolicyName") {
        Some(_) => format!("{}AMQPolicy", event.id),
        None => "SamAutoGeneratedAMQPolicy".to_owned(),
    };
    Ok(vec![
        json!({"PolicyName": name, "PolicyDocument": {"Statement": statements}}),
    ])
}

fn document_policies(event: &Event<'_>) -> Made<Vec<Value>> {
    let uri = needed_access(event, "DocumentDB", &["BASIC_AUTH"], "BASIC_AUTH")?;
    let rds = |resource: &str| {
        json!({"Fn::Sub": format!(
            "arn:${{AWS::Partition}}:rds:${{AWS::Region}}:${{AWS::AccountId}}:{resource}:*")})
    };
    let mut statements = vec![
        secret(uri),
        json!({"Action": ["rds:DescribeDBClusterParameters"], "Effect": "Allow",
            "Resource": rds("cluster-pg")}),
        json!({"Action": ["rds:DescribeDBSubnetGroups"], "Effect": "Allow",
            "Resource": rds("subgrp")}),
        json!({"Action": ["rds:DescribeDBClusters"], "Effect": "Allow", "Resource": event.get("Cluster")}),
        json!({"Action": NETWORK, "Effect": "Allow", "Resource": "*"}),
    ];
    if let Some(key) = kms_key(event)? {
        statements.push(decrypt(key));
    }
    Ok(vec![
        json!({"PolicyName": "SamAutoGeneratedDocumentDBPolicy",
        "PolicyDocument": {"Statement": statements}}),
    ])
}

fn check_filter(event: &Event<'_>) -> Made<()> {
    match event.some("FilterCriteria") {
        Some(value) if !crate::sam::is_intrinsic(value) => {
            let keys = value.as_object().into_iter().flatten();
            if keys.map(|(key, _)| key).ne(["Filters"]) {
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
        return event.fault_by_id(mistyped("DestinationConfig.OnFailure", Is::Map));
    };
    let kind = failure.get("Type").cloned().unwrap_or_default();
    if !crate::sam::is_truthy(&kind) {
        return Ok((config, None));
    }
    failure.remove("Type");
    let kind = kind.as_str().unwrap_or_default();
    if !["SQS", "SNS", "S3", "Kafka"].contains(&kind) {
        return event
            .fault_by_id("The only valid values for 'Type' are 'SQS', 'SNS', 'S3', and 'Kafka'");
    }
    let destination = failure.get("Destination").cloned().unwrap_or_default();
    let policy = destination_policy(kind, event.id, &destination);
    Ok((config, policy))
}
