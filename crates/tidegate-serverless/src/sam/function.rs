//! `AWS::Serverless::Function`: the function, its role, versions, alias, URL and asynchronous configuration.

use serde_json::{Map, Value, json};

use crate::sam::role::{Role, allowing, branches, trust};
use crate::sam::{
    Fault, Made, Sam, Subject, attribute, deployment, fields, hash, is_no_value, reference, rules,
    tag_list,
};

/// Properties that pass through under their own names.
const SAME: &[&str] = &[
    "FunctionName",
    "Handler",
    "Runtime",
    "Description",
    "MemorySize",
    "Timeout",
    "VpcConfig",
    "Environment",
    "KmsKeyArn",
    "ReservedConcurrentExecutions",
    "Layers",
    "FileSystemConfigs",
    "ImageConfig",
    "PackageType",
    "Architectures",
    "SnapStart",
    "EphemeralStorage",
    "CodeSigningConfigArn",
    "RuntimeManagementConfig",
    "LoggingConfig",
    "TenancyConfig",
    "RecursiveLoop",
    "DurableConfig",
    "FunctionScalingConfig",
    "PublishToLatestPublished",
];

/// What events are bound to: the function, or its alias.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) id: String,
    pub(crate) alias: Option<String>,
    pub(crate) attributes: Map<String, Value>,
}

impl Bound {
    /// What `FunctionName` of a mapping or a permission names.
    pub(crate) fn name(&self) -> Value {
        reference(self.alias.as_ref().unwrap_or(&self.id))
    }

    /// What a target names.
    pub(crate) fn arn(&self) -> Value {
        match &self.alias {
            Some(alias) => reference(alias),
            None => attribute(&self.id, "Arn"),
        }
    }
}

impl Sam<'_> {
    pub(crate) fn function(&mut self, subject: &Subject<'_>) -> Made<()> {
        let id = subject.id;
        rules::check(subject, "AWS::Serverless::Function", rules::FUNCTION)?;
        check_dead_letters(subject)?;
        check_tenancy(subject)?;
        let mut lambda = self.lambda(subject)?;
        let passed = subject.passed_on();
        let alias = subject.get("AutoPublishAlias");
        if subject.get("ProvisionedConcurrencyConfig").is_some() && alias.is_none() {
            let message = "To set ProvisionedConcurrencyConfig AutoPublishALias must be defined on the function";
            return Err(Fault::new(id, message));
        }
        let before: Vec<String> = self.output.keys().cloned().collect();
        let mut alias_name = String::new();
        let mut alias_id = None;
        if let Some(alias) = alias {
            let name = self.resolved(alias);
            let Some(name) = name.as_str() else {
                let message =
                    "'AutoPublishAlias' must be a string or a Ref to a template parameter";
                return Err(Fault::new(id, message));
            };
            name.clone_into(&mut alias_name);
            let version = self.version(subject, &mut lambda)?;
            alias_id = Some(self.alias(subject, name, &version)?);
        }
        if let Some(url) = subject.get("FunctionUrlConfig") {
            self.url(
                subject,
                url,
                alias_id.as_deref().map(|id| (id, alias_name.as_str())),
            )?;
        }
        self.prefer_deployment(subject, alias_id.as_deref())?;
        let mut role = self.function_role(subject)?;
        if let Some(config) = subject.get("EventInvokeConfig") {
            let policies = self.event_invoke(subject, config, alias_id.as_deref(), &alias_name)?;
            role.inline.extend(policies);
        }
        self.add_policies(subject, &mut role)?;
        let has_role = self.assign_role(subject, &mut lambda, &mut role)?;
        let bound = Bound {
            id: id.to_owned(),
            alias: alias_id,
            attributes: passed,
        };
        self.events(subject, &bound, &mut role)?;
        if has_role {
            let properties = role.properties();
            self.emit(
                &role.id,
                "AWS::IAM::Role",
                properties,
                role.attributes.clone(),
            );
        }
        self.emit(id, "AWS::Lambda::Function", lambda, subject.own());
        self.propagate_tags(subject, &before);
        Ok(())
    }

    fn lambda(&self, subject: &Subject<'_>) -> Made<Map<String, Value>> {
        let mut lambda = Map::new();
        for name in SAME {
            if let Some(value) = subject.get(name) {
                lambda.insert((*name).to_owned(), value.clone());
            }
        }
        lambda.insert("Code".to_owned(), self.code(subject)?);
        let tags = tag_list(Some(("lambda:createdBy", "SAM")), subject.get("Tags"));
        lambda.extend(fields([("Tags", tags)]));
        if let Some(role) = subject.get("Role") {
            lambda.insert("Role".to_owned(), role.clone());
        }
        if self.traces(subject) {
            let mode = subject.get("Tracing");
            lambda.insert("TracingConfig".to_owned(), json!({"Mode": mode}));
        }
        if let Some(queue) = subject.get("DeadLetterQueue") {
            let target = queue.get("TargetArn");
            lambda.insert("DeadLetterConfig".to_owned(), json!({"TargetArn": target}));
        }
        if let Some(provider) = subject.get("CapacityProviderConfig") {
            let config = fields([
                ("CapacityProviderArn", provider.get("Arn").cloned()),
                (
                    "PerExecutionEnvironmentMaxConcurrency",
                    provider
                        .get("PerExecutionEnvironmentMaxConcurrency")
                        .cloned(),
                ),
                (
                    "ExecutionEnvironmentMemoryGiBPerVCpu",
                    provider
                        .get("ExecutionEnvironmentMemoryGiBPerVCpu")
                        .cloned(),
                ),
            ]);
            let config = json!({"LambdaManagedInstancesCapacityProviderConfig": config});
            lambda.insert("CapacityProviderConfig".to_owned(), config);
        }
        check_package(subject, &lambda)?;
        Ok(lambda)
    }

    fn traces(&self, subject: &Subject<'_>) -> bool {
        let tracing = subject.get("Tracing");
        tracing.is_some_and(|tracing| self.resolved(tracing).as_str() != Some("Disabled"))
    }

    fn code(&self, subject: &Subject<'_>) -> Made<Value> {
        let id = subject.id;
        let mut code = match subject
            .get("PackageType")
            .map_or("Zip", |value| value.as_str().unwrap_or(""))
        {
            "Zip" => match (subject.get("InlineCode"), subject.get("CodeUri")) {
                (Some(code), _) => json!({"ZipFile": code}),
                (None, Some(uri)) => s3_location(id, uri, "CodeUri")?,
                (None, None) => {
                    return Err(Fault::new(
                        id,
                        "Only one of 'InlineCode' or 'CodeUri' can be set.",
                    ));
                }
            },
            "Image" => match subject.get("ImageUri") {
                Some(uri) => json!({"ImageUri": uri}),
                None => return Err(Fault::new(id, "'ImageUri' must be set.")),
            },
            other => return Err(Fault::new(id, format!("invalid 'PackageType' : {other}"))),
        };
        let is_zip = subject
            .get("PackageType")
            .is_none_or(|kind| kind.as_str() == Some("Zip"));
        if let Some(key) = subject.get("SourceKMSKeyArn").filter(|_| is_zip) {
            code["SourceKMSKeyArn"] = key.clone();
        }
        Ok(code)
    }

    fn version(&mut self, subject: &Subject<'_>, lambda: &mut Map<String, Value>) -> Made<String> {
        let id = subject.id;
        let mut sha = None;
        if let Some(given) = subject.get("AutoPublishCodeSha256") {
            let resolved = self.resolved(given);
            let Some(text) = resolved.as_str() else {
                return Err(Fault::new(id, "AutoPublishCodeSha256 must be a string"));
            };
            let described = subject.get("Description").map(|value| self.resolved(value));
            let description = match described {
                None => json!(text),
                Some(Value::String(before)) if before.is_empty() => json!(text),
                Some(Value::String(before)) => json!(format!("{before} {text}")),
                Some(open) => json!({"Fn::Join": [" ", [open, text]]}),
            };
            lambda.insert("Description".to_owned(), description);
            sha = Some(text.to_owned());
        }
        let prefix = format!("{id}Version");
        let version = match sha.filter(|sha| !sha.is_empty()) {
            Some(sha) => format!("{prefix}{}", sha.chars().take(10).collect::<String>()),
            None => hash::id(&prefix, &self.version_data(subject, lambda)),
        };
        let mut attributes = subject.passed_on();
        if !attributes.contains_key("DeletionPolicy") {
            let is_managed = subject.get("CapacityProviderConfig").is_some();
            let default = if is_managed { "Delete" } else { "Retain" };
            let policy = subject.get("VersionDeletionPolicy").cloned();
            attributes.insert(
                "DeletionPolicy".to_owned(),
                policy.unwrap_or_else(|| json!(default)),
            );
        }
        let properties = fields([
            ("FunctionName", Some(reference(id))),
            ("Description", subject.get("VersionDescription").cloned()),
        ]);
        self.emit(&version, "AWS::Lambda::Version", properties, attributes);
        self.derived
            .insert((id.to_owned(), "Version".to_owned()), version.clone());
        Ok(version)
    }

    /// What makes a new version when it changes.
    fn version_data(&self, subject: &Subject<'_>, lambda: &Map<String, Value>) -> Value {
        let is_all = subject.get("AutoPublishAliasAllProperties") == Some(&Value::Bool(true));
        if is_all {
            let mut data = lambda.clone();
            let layers = subject.get("Layers").and_then(Value::as_array);
            for layer in layers.into_iter().flatten() {
                let Some(layer_id) = layer.get("Ref").and_then(Value::as_str) else {
                    continue;
                };
                let properties = self
                    .input
                    .get(layer_id)
                    .and_then(|layer| layer.get("Properties"));
                let publishes = properties
                    .and_then(|properties| properties.get("PublishLambdaVersion"))
                    .and_then(Value::as_bool);
                if let (Some(properties), Some(true)) = (properties, publishes) {
                    data.insert(layer_id.to_owned(), properties.clone());
                }
            }
            return Value::Object(data);
        }
        let mut data = match self.resolved(&lambda["Code"]) {
            Value::Object(code) => code,
            _ => Map::new(),
        };
        if let Some(Value::Object(environment)) = subject.get("Environment") {
            data.extend(environment.clone());
        }
        if let Some(memory) = subject.get("MemorySize") {
            data.insert("MemorySize".to_owned(), memory.clone());
        }
        if let Some(snap) = subject.get("SnapStart")
            && snap
                .get("ApplyOn")
                .and_then(Value::as_str)
                .unwrap_or("None")
                != "None"
        {
            data.insert("SnapStart".to_owned(), snap.clone());
        }
        Value::Object(data)
    }

    fn alias(&mut self, subject: &Subject<'_>, name: &str, version: &str) -> Made<String> {
        let id = subject.id;
        if name.is_empty() {
            return Err(Fault::new(id, "Alias name is required to create an alias"));
        }
        let is_named = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !is_named || name.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::new(
                id,
                format!(
                    "AutoPublishAlias name ('{name}') must contain only alphanumeric characters, hyphens, or underscores matching (?!^[0-9]+$)([a-zA-Z0-9-_]+) pattern."
                ),
            ));
        }
        let alias = format!("{id}Alias{}", name.replace('-', "D").replace('_', "U"));
        let properties = fields([
            ("Name", Some(json!(name))),
            ("FunctionName", Some(reference(id))),
            ("FunctionVersion", Some(attribute(version, "Version"))),
            (
                "ProvisionedConcurrencyConfig",
                subject.get("ProvisionedConcurrencyConfig").cloned(),
            ),
        ]);
        self.emit(
            &alias,
            "AWS::Lambda::Alias",
            properties,
            subject.passed_on(),
        );
        self.derived
            .insert((id.to_owned(), "Alias".to_owned()), alias.clone());
        Ok(alias)
    }

    fn url(&mut self, subject: &Subject<'_>, url: &Value, alias: Option<(&str, &str)>) -> Made<()> {
        let id = subject.id;
        let Some(kind) = url.get("AuthType").filter(|kind| !kind.is_null()) else {
            let message = "AuthType is required to configure function property `FunctionUrlConfig`. Please provide either AWS_IAM or NONE.";
            return Err(Fault::new(id, message));
        };
        if let Some(text) = kind.as_str()
            && !["AWS_IAM", "NONE"].contains(&text)
        {
            let message = "AuthType is required to configure function property `FunctionUrlConfig`. Please provide either AWS_IAM or NONE.";
            return Err(Fault::new(id, message));
        }
        let target = reference(alias.map_or(id, |(alias, _)| alias));
        let properties = fields([
            ("AuthType", Some(kind.clone())),
            ("Cors", url.get("Cors").cloned()),
            ("InvokeMode", url.get("InvokeMode").cloned()),
            ("TargetFunctionArn", Some(target.clone())),
        ]);
        let mut attributes = subject.passed_on();
        if let Some((alias, _)) = alias {
            attributes.insert("DependsOn".to_owned(), json!([alias]));
        }
        self.emit(
            &format!("{id}Url"),
            "AWS::Lambda::Url",
            properties,
            attributes,
        );
        if self.resolved(kind).as_str() != Some("NONE") {
            return Ok(());
        }
        let permission = fields([
            ("Action", Some(json!("lambda:InvokeFunctionUrl"))),
            ("FunctionName", Some(target.clone())),
            ("FunctionUrlAuthType", Some(kind.clone())),
            ("Principal", Some(json!("*"))),
        ]);
        let name = format!("{id}UrlPublicPermissions");
        self.emit(
            &name,
            "AWS::Lambda::Permission",
            permission,
            subject.passed_on(),
        );
        let invoke = fields([
            ("Action", Some(json!("lambda:InvokeFunction"))),
            ("FunctionName", Some(target)),
            ("InvokedViaFunctionUrl", Some(json!(true))),
            ("Principal", Some(json!("*"))),
        ]);
        let name = format!("{id}URLInvokeAllowPublicAccess");
        self.emit(
            &name,
            "AWS::Lambda::Permission",
            invoke,
            subject.passed_on(),
        );
        Ok(())
    }

    fn prefer_deployment(&mut self, subject: &Subject<'_>, alias: Option<&str>) -> Made<()> {
        let Some(preference) = subject.get("DeploymentPreference") else {
            return Ok(());
        };
        let preference = deployment::read(self, subject, preference)?;
        if !preference.is_enabled {
            return Ok(());
        }
        let Some(alias) = alias else {
            let message =
                "'DeploymentPreference' requires AutoPublishAlias property to be specified.";
            return Err(Fault::new(subject.id, message));
        };
        let policy = preference.update_policy();
        if let Some(resource) = self.output.get_mut(alias) {
            resource["UpdatePolicy"] = policy;
        }
        self.deployments.push(preference);
        Ok(())
    }

    fn function_role(&self, subject: &Subject<'_>) -> Made<Role> {
        let basic = if subject.get("DurableConfig").is_some() {
            "service-role/AWSLambdaBasicDurableExecutionRolePolicy"
        } else {
            "service-role/AWSLambdaBasicExecutionRole"
        };
        let trusting = subject.get("AssumeRolePolicyDocument").cloned();
        let mut role = Role {
            id: format!("{}Role", subject.id),
            trust: trusting.unwrap_or_else(|| trust("lambda.amazonaws.com")),
            managed: vec![self.managed_arn(basic)],
            path: subject.get("RolePath").cloned(),
            boundary: subject.get("PermissionsBoundary").cloned(),
            tags: tag_list(Some(("lambda:createdBy", "SAM")), subject.get("Tags")),
            attributes: subject.passed_on(),
            ..Role::default()
        };
        if self.traces(subject) {
            let is_aws = self.options.partition == "aws";
            let name = if is_aws {
                "AWSXrayWriteOnlyAccess"
            } else {
                "AWSXRayDaemonWriteAccess"
            };
            role.manage(self.managed_arn(name));
        }
        if subject.get("VpcConfig").is_some() {
            role.manage(self.managed_arn("service-role/AWSLambdaVPCAccessExecutionRole"));
        }
        if let Some(queue) = subject.get("DeadLetterQueue") {
            let action = match queue.get("Type").and_then(Value::as_str) {
                Some("SNS") => "sns:Publish",
                _ => "sqs:SendMessage",
            };
            role.inline.push(
                json!({"PolicyName": "DeadLetterQueuePolicy", "PolicyDocument": {
                "Version": "2012-10-17", "Statement": [{"Action": action,
                "Resource": queue.get("TargetArn"), "Effect": "Allow"}]}}),
            );
        }
        Ok(role)
    }

    /// Sets the function's role; whether the role that was made is used.
    fn assign_role(
        &mut self,
        subject: &Subject<'_>,
        lambda: &mut Map<String, Value>,
        role: &mut Role,
    ) -> Made<bool> {
        let own = attribute(&role.id, "Arn");
        let Some(given) = lambda.get("Role").cloned() else {
            lambda.insert("Role".to_owned(), own);
            return Ok(true);
        };
        if given.get("Fn::If").is_none() {
            return Ok(false);
        }
        let resolved = self.resolved(&given);
        let Some([condition, then, otherwise]) = branches(&resolved) else {
            let message = "Malformed 'Role' property: Fn::If requires 3 arguments.";
            return Err(Fault::new(subject.id, message));
        };
        let name = condition.as_str().unwrap_or_default();
        match (is_no_value(then), is_no_value(otherwise)) {
            (true, true) => {
                lambda.insert("Role".to_owned(), own);
            }
            (true, false) => {
                let value = json!({"Fn::If": [condition, own, otherwise]});
                lambda.insert("Role".to_owned(), value);
                role.attributes.insert("Condition".to_owned(), json!(name));
            }
            (false, true) => {
                let value = json!({"Fn::If": [condition, then, own]});
                lambda.insert("Role".to_owned(), value);
                let negated = format!("NOT{name}");
                role.attributes
                    .insert("Condition".to_owned(), json!(negated));
                self.conditions
                    .insert(negated, json!({"Fn::Not": [{"Condition": name}]}));
            }
            (false, false) => return Ok(false),
        }
        Ok(true)
    }

    /// `EventInvokeConfig`, the destinations that it lacks, and the policies that they need.
    fn event_invoke(
        &mut self,
        subject: &Subject<'_>,
        config: &Value,
        alias: Option<&str>,
        alias_name: &str,
    ) -> Made<Vec<Value>> {
        let id = subject.id;
        let resolved = self.resolved(config);
        let logical = format!("{id}EventInvokeConfig");
        let mut policies = Vec::new();
        let mut destinations = Map::new();
        let given = resolved
            .get("DestinationConfig")
            .filter(|given| !given.is_null());
        if let Some(given) = given {
            let Some(given) = given.as_object() else {
                let message =
                    rules::mistyped("EventInvokeConfig.DestinationConfig", rules::Is::Map);
                return Err(Fault::new(id, message));
            };
            for on in ["OnSuccess", "OnFailure"] {
                let Some(wanted) = given.get(on).filter(|wanted| !wanted.is_null()) else {
                    continue;
                };
                let (destination, policy) = self.destination(subject, wanted, on, &logical)?;
                destinations.insert(on.to_owned(), json!({"Destination": destination}));
                policies.extend(policy);
            }
        }
        let qualifier = if alias_name.is_empty() {
            "$LATEST"
        } else {
            alias_name
        };
        let properties = fields([
            ("FunctionName", Some(reference(id))),
            ("Qualifier", Some(json!(qualifier))),
            ("DestinationConfig", Some(Value::Object(destinations))),
            (
                "MaximumEventAgeInSeconds",
                resolved.get("MaximumEventAgeInSeconds").cloned(),
            ),
            (
                "MaximumRetryAttempts",
                resolved.get("MaximumRetryAttempts").cloned(),
            ),
        ]);
        let mut attributes = subject.passed_on();
        if let Some(alias) = alias {
            attributes.insert("DependsOn".to_owned(), json!([alias]));
        }
        self.emit(
            &logical,
            "AWS::Lambda::EventInvokeConfig",
            properties,
            attributes,
        );
        Ok(policies)
    }

    fn destination(
        &mut self,
        subject: &Subject<'_>,
        wanted: &Value,
        on: &str,
        logical: &str,
    ) -> Made<(Value, Option<Value>)> {
        let id = subject.id;
        const TYPES: [&str; 5] = ["SQS", "SNS", "EventBridge", "Lambda", "S3Bucket"];
        let kind = wanted.get("Type").and_then(Value::as_str);
        let Some(kind) = kind.filter(|kind| TYPES.contains(kind)) else {
            let shown = kind.unwrap_or("None");
            let message = "must be one of ['SQS', 'SNS', 'EventBridge', 'Lambda', 'S3Bucket']";
            return Err(Fault::new(id, format!("'Type: {shown}' {message}")));
        };
        let prefix = format!("{logical}{on}");
        let given = wanted.get("Destination").filter(|given| !given.is_null());
        let mut attributes = subject.passed_on();
        let conditional = given
            .and_then(branches)
            .map(|parts| parts.map(Clone::clone));
        let made = match (given, conditional) {
            (None, _) => None,
            (Some(_), Some([condition, then, otherwise]))
                if is_no_value(&then) != is_no_value(&otherwise) =>
            {
                let name = condition.as_str().unwrap_or_default().to_owned();
                if is_no_value(&then) {
                    Some((name, otherwise))
                } else {
                    let negated = hash::id(&format!("NOT{name}"), &json!(logical));
                    self.conditions
                        .insert(negated.clone(), json!({"Fn::Not": [{"Condition": name}]}));
                    Some((negated, then))
                }
            }
            (Some(given), _) => {
                let policy = destination_policy(kind, &prefix, given);
                return Ok((given.clone(), policy));
            }
        };
        let (suffix, resource_type) = match kind {
            "SQS" => ("Queue", "AWS::SQS::Queue"),
            "SNS" => ("Topic", "AWS::SNS::Topic"),
            _ => {
                let message = "Destination is required if Type is not ['SQS', 'SNS']";
                return Err(Fault::new(id, message));
            }
        };
        let resource = format!("{prefix}{suffix}");
        let arn = match kind {
            "SQS" => attribute(&resource, "Arn"),
            _ => reference(&resource),
        };
        let destination = match &made {
            Some((condition, other)) => {
                let own = attributes.get("Condition").and_then(Value::as_str);
                let combined = match own {
                    Some(own) => {
                        let name = hash::id(&format!("{own}AND{condition}"), &json!(id));
                        self.conditions.insert(
                            name.clone(),
                            json!({"Fn::And": [{"Condition": own}, {"Condition": condition}]}),
                        );
                        name
                    }
                    None => condition.clone(),
                };
                attributes.insert("Condition".to_owned(), json!(combined));
                json!({"Fn::If": [condition, arn, other]})
            }
            None => arn,
        };
        self.emit(&resource, resource_type, Map::new(), attributes);
        let name = if kind == "SQS" {
            "DestinationQueue"
        } else {
            "DestinationTopic"
        };
        self.derived
            .insert((id.to_owned(), name.to_owned()), resource);
        let policy = destination_policy(kind, &prefix, &destination);
        Ok((destination, policy))
    }

    /// `PropagateTags`: everything that was made bears the user's tags and only them.
    pub(crate) fn propagate_tags(&mut self, subject: &Subject<'_>, before: &[String]) {
        if subject.get("PropagateTags") != Some(&Value::Bool(true)) {
            return;
        }
        let Some(tags) = tag_list(None, subject.get("Tags")) else {
            return;
        };
        for (id, resource) in &mut self.output {
            if before.contains(id) {
                continue;
            }
            let kind = resource
                .get("Type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let has_tags = matches!(
                kind,
                "AWS::Lambda::Function"
                    | "AWS::IAM::Role"
                    | "AWS::SQS::Queue"
                    | "AWS::SNS::Topic"
                    | "AWS::Events::Rule"
                    | "AWS::S3::Bucket"
                    | "AWS::Lambda::EventSourceMapping"
                    | "AWS::StepFunctions::StateMachine"
            );
            if has_tags && let Some(resource) = resource.as_object_mut() {
                let properties = resource
                    .entry("Properties")
                    .or_insert_with(|| Value::Object(Map::new()));
                properties["Tags"] = tags.clone();
            }
        }
    }
}

/// What a role needs to send to a destination.
pub(crate) fn destination_policy(kind: &str, prefix: &str, arn: &Value) -> Option<Value> {
    Some(match kind {
        "SQS" => allowing(&format!("{prefix}SQSPolicy"), "sqs:SendMessage", arn),
        "SNS" => allowing(&format!("{prefix}SNSPolicy"), "sns:publish", arn),
        "EventBridge" => allowing(
            &format!("{prefix}EventBridgePolicy"),
            "events:PutEvents",
            arn,
        ),
        "Lambda" => allowing(
            &format!("{prefix}LambdaPolicy"),
            "lambda:InvokeFunction",
            arn,
        ),
        "S3" | "S3Bucket" => {
            json!({"PolicyName": format!("{prefix}S3Policy"), "PolicyDocument": {"Statement": [
                {"Action": "s3:PutObject", "Effect": "Allow", "Resource": {"Fn::Join": ["/", [arn, "*"]]}},
                {"Action": "s3:ListBucket", "Effect": "Allow", "Resource": arn},
            ]}})
        }
        _ => return None,
    })
}

/// `s3://bucket/key[?versionId=v]`, or `{Bucket, Key[, Version]}`.
pub(crate) fn s3_location(id: &str, uri: &Value, property: &str) -> Made<Value> {
    let invalid = || {
        Err(Fault::new(
            id,
            format!(
                "'{property}' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter."
            ),
        ))
    };
    match uri {
        Value::Object(parts) => {
            let (bucket, key) = (parts.get("Bucket"), parts.get("Key"));
            let (Some(bucket), Some(key)) = (bucket, key) else {
                let message =
                    format!("'{property}' requires Bucket and Key properties to be specified.");
                return Err(Fault::new(id, message));
            };
            let location = fields([
                ("S3Bucket", Some(bucket.clone())),
                ("S3Key", Some(key.clone())),
                ("S3ObjectVersion", parts.get("Version").cloned()),
            ]);
            Ok(Value::Object(location))
        }
        Value::String(text) => {
            let Some((bucket, rest)) = text
                .strip_prefix("s3://")
                .and_then(|rest| rest.split_once('/'))
            else {
                return invalid();
            };
            let (key, query) = rest.split_once('?').unwrap_or((rest, ""));
            if bucket.is_empty() || key.is_empty() {
                return invalid();
            }
            let version = query.strip_prefix("versionId=").filter(|v| !v.is_empty());
            let location = fields([
                ("S3Bucket", Some(json!(bucket))),
                ("S3Key", Some(json!(key))),
                ("S3ObjectVersion", version.map(|version| json!(version))),
            ]);
            Ok(Value::Object(location))
        }
        _ => invalid(),
    }
}

fn check_dead_letters(subject: &Subject<'_>) -> Made<()> {
    let Some(queue) = subject.get("DeadLetterQueue") else {
        return Ok(());
    };
    let fault = |message: &str| Err(Fault::new(subject.id, message));
    let is_set = |name: &str| queue.get(name).is_some_and(|value| !value.is_null());
    if !is_set("Type") || !is_set("TargetArn") {
        return fault("'DeadLetterQueue' requires Type and TargetArn properties to be specified.");
    }
    match queue.get("Type").and_then(Value::as_str) {
        Some("SQS" | "SNS") => Ok(()),
        Some(_) => fault("'DeadLetterQueue' requires Type of ['SQS', 'SNS']"),
        None => fault("Property 'DeadLetterQueue.Type' should be a string."),
    }
}

fn check_tenancy(subject: &Subject<'_>) -> Made<()> {
    if subject.get("TenancyConfig").is_none() {
        return Ok(());
    }
    let fault = |what: &str| {
        let message =
            format!("{what} is not supported for functions enabled with tenancy configuration.");
        Err(Fault::new(subject.id, message))
    };
    for (property, what) in [
        ("ProvisionedConcurrencyConfig", "Provisioned concurrency"),
        ("FunctionUrlConfig", "Function URL"),
        ("SnapStart", "SnapStart"),
    ] {
        if subject.get(property).is_some() {
            return fault(what);
        }
    }
    let events = subject.get("Events").and_then(Value::as_object);
    for event in events.into_iter().flatten().map(|(_, event)| event) {
        let kind = event
            .get("Type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !["Api", "HttpApi"].contains(&kind) {
            let message = format!(
                "Event source '{kind}' is not supported for functions enabled with tenancy configuration. Only Api and HttpApi event sources are supported."
            );
            return Err(Fault::new(subject.id, message));
        }
    }
    Ok(())
}

fn check_package(subject: &Subject<'_>, lambda: &Map<String, Value>) -> Made<()> {
    let fault = |message: &str| Err(Fault::new(subject.id, message));
    let is_set = |name: &str| lambda.get(name).is_some_and(|value| !value.is_null());
    let is_image_code = lambda["Code"].get("ImageUri").is_some();
    match lambda
        .get("PackageType")
        .map_or("Zip", |kind| kind.as_str().unwrap_or(""))
    {
        "Zip" => {
            if !is_set("Runtime") || !is_set("Handler") {
                return fault(
                    "Runtime and Handler needs to be present when PackageType is of type `Zip`",
                );
            }
            if is_image_code || is_set("ImageConfig") {
                return fault(
                    "ImageUri or ImageConfig cannot be present when PackageType is of type `Zip`",
                );
            }
            Ok(())
        }
        "Image" => {
            if is_set("Handler") || is_set("Runtime") || is_set("Layers") {
                return fault(
                    "Runtime, Handler, Layers cannot be present when PackageType is of type `Image`",
                );
            }
            Ok(())
        }
        _ => fault("PackageType needs to be `Zip` or `Image`"),
    }
}
