//! `AWS::Serverless::Function`: the function, its role, versions, alias, URL and asynchronous configuration.

use serde_json::{Map, Value, json};

use crate::sam::link::python_shown;
use crate::sam::location::s3_location;
use crate::sam::role::{Role, branches, trust};
use crate::sam::{
    Fault, Made, Sam, Subject, attribute, capacity, deployment, fields, hash, is_no_value,
    is_truthy, reference, rules,
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
        let policies = self.policies(subject)?;
        rules::check_subject(self, subject, "AWS::Serverless::Function", rules::FUNCTION)?;
        self.link_events(subject, false)?;
        check_together(subject)?;
        check_dead_letters(subject)?;
        check_tenancy(subject)?;
        let mut lambda = self.lambda(subject)?;
        let passed = subject.passed_on();
        let alias = subject.some("AutoPublishAlias");
        if subject.some("ProvisionedConcurrencyConfig").is_some() && alias.is_none() {
            let message = "To set ProvisionedConcurrencyConfig AutoPublishALias must be defined on the function";
            return Err(Fault::new(id, message));
        }
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
        if let Some(url) = subject.some("FunctionUrlConfig") {
            self.url(subject, url, alias_id.as_deref())?;
        }
        self.prefer_deployment(subject, alias_id.as_deref())?;
        let mut role = self.function_role(subject)?;
        if let Some(config) = subject.some("EventInvokeConfig") {
            let policies = self.event_invoke(subject, config, alias_id.as_deref(), &alias_name)?;
            role.inline.extend(policies);
        }
        self.add_policies(subject, &policies, &mut role)?;
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
        self.propagate_tags(subject);
        self.refer(id);
        Ok(())
    }

    /// What `<id>.Alias` and its like stand for: the last of the type that was made.
    fn refer(&mut self, id: &str) {
        let names = [
            ("Alias", "AWS::Lambda::Alias"),
            ("Version", "AWS::Lambda::Version"),
            ("DestinationTopic", "AWS::SNS::Topic"),
            ("DestinationQueue", "AWS::SQS::Queue"),
        ];
        for (name, kind) in names {
            let made = self.made.iter().rev().find(|(_, made)| made == kind);
            if let Some((made, _)) = made {
                let key = (id.to_owned(), name.to_owned());
                self.derived.insert(key, made.clone());
            }
        }
    }

    fn lambda(&self, subject: &Subject<'_>) -> Made<Map<String, Value>> {
        let mut lambda = Map::new();
        for name in SAME {
            let is_kept_empty = !["FunctionName", "FunctionScalingConfig"].contains(name);
            if let Some(value) = subject
                .get(name)
                .filter(|value| is_kept_empty || is_truthy(value))
            {
                lambda.insert((*name).to_owned(), value.clone());
            }
        }
        lambda.insert("Code".to_owned(), self.code(subject)?);
        check_tags(subject)?;
        let tags = self.tags(Some(("lambda:createdBy", "SAM")), subject);
        lambda.extend(fields([("Tags", tags)]));
        if let Some(role) = subject.get("Role") {
            lambda.insert("Role".to_owned(), role.clone());
        }
        if self.traces(subject) {
            let mode = subject.get("Tracing").map(|mode| self.settled(mode));
            lambda.insert("TracingConfig".to_owned(), json!({"Mode": mode}));
        }
        if let Some(queue) = subject.some("DeadLetterQueue") {
            let target = queue.get("TargetArn");
            lambda.insert("DeadLetterConfig".to_owned(), json!({"TargetArn": target}));
        }
        if let Some(provider) = subject.some("CapacityProviderConfig") {
            let config = capacity::config(subject.id, provider)?;
            let config = json!({"LambdaManagedInstancesCapacityProviderConfig": config});
            lambda.insert("CapacityProviderConfig".to_owned(), config);
        }
        check_package(subject, &lambda)?;
        Ok(lambda)
    }

    fn traces(&self, subject: &Subject<'_>) -> bool {
        let tracing = subject.some("Tracing");
        tracing.is_some_and(|tracing| self.resolved(tracing).as_str() != Some("Disabled"))
    }

    fn code(&self, subject: &Subject<'_>) -> Made<Value> {
        let id = subject.id;
        let package = subject.some("PackageType");
        let package = package.map_or_else(|| "Zip".to_owned(), python_shown);
        let mut code = match package.as_str() {
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
                Some(uri) if is_truthy(uri) => json!({"ImageUri": uri}),
                Some(_) => {
                    let message =
                        "'ImageUri' requires that a image hosted at a registry be specified.";
                    return Err(Fault::new(id, message));
                }
                None => return Err(Fault::new(id, "'ImageUri' must be set.")),
            },
            other => return Err(Fault::new(id, format!("invalid 'PackageType' : {other}"))),
        };
        let is_zip = package == "Zip";
        if let Some(key) = subject.some("SourceKMSKeyArn").filter(|_| is_zip) {
            code["SourceKMSKeyArn"] = key.clone();
        }
        Ok(code)
    }

    fn version(&mut self, subject: &Subject<'_>, lambda: &mut Map<String, Value>) -> Made<String> {
        let id = subject.id;
        let mut sha = None;
        if let Some(given) = subject.some("AutoPublishCodeSha256") {
            let resolved = self.resolved(given);
            let Some(text) = resolved.as_str() else {
                return Err(Fault::new(id, "AutoPublishCodeSha256 must be a string"));
            };
            let described = subject.get("Description").map(|value| self.resolved(value));
            let description = match described {
                None => json!(text),
                Some(before) if !is_truthy(&before) => json!(text),
                Some(Value::String(before)) => json!(format!("{before} {text}")),
                Some(open) => json!({"Fn::Join": [" ", [open, text]]}),
            };
            lambda.insert("Description".to_owned(), description);
            sha = Some(text.to_owned());
        }
        // The reference resolves these in place: what it hashes is what it writes.
        if let Some(code) = lambda.get("Code").map(|code| self.settled(code)) {
            lambda.insert("Code".to_owned(), code);
        }
        let prefix = format!("{id}Version");
        let version = match sha.filter(|sha| !sha.is_empty()) {
            Some(sha) => format!("{prefix}{}", sha.chars().take(10).collect::<String>()),
            None => hash::id(&prefix, &self.version_data(subject, lambda)),
        };
        rules::check_id(id, &version)?;
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
            (
                "FunctionScalingConfig",
                subject
                    .get("FunctionScalingConfig")
                    .filter(|_| subject.get("CapacityProviderConfig").is_some())
                    .cloned(),
            ),
        ]);
        self.emit(&version, "AWS::Lambda::Version", properties, attributes);
        Ok(version)
    }

    /// What makes a new version when it changes.
    fn version_data(&self, subject: &Subject<'_>, lambda: &Map<String, Value>) -> Value {
        if subject.some("AutoPublishAliasAllProperties").is_some() {
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
                    .map(is_truthy);
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
        if let Some(Value::Object(environment)) = subject.some("Environment") {
            data.extend(environment.clone());
        }
        if let Some(memory) = subject.some("MemorySize") {
            data.insert("MemorySize".to_owned(), memory.clone());
        }
        if let Some(snap) = subject.some("SnapStart")
            && snap
                .get("ApplyOn")
                .is_some_and(|when| when.as_str() != Some("None"))
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
                subject.some("ProvisionedConcurrencyConfig").cloned(),
            ),
        ]);
        self.emit(
            &alias,
            "AWS::Lambda::Alias",
            properties,
            subject.passed_on(),
        );
        Ok(alias)
    }

    fn prefer_deployment(&mut self, subject: &Subject<'_>, alias: Option<&str>) -> Made<()> {
        let Some(preference) = subject.some("DeploymentPreference") else {
            return Ok(());
        };
        let preference = deployment::read(self, subject, preference)?;
        if !preference.is_enabled {
            self.deployments.push(preference);
            return Ok(());
        }
        let Some(alias) = alias else {
            self.deployments.push(preference);
            let message =
                "'DeploymentPreference' requires AutoPublishAlias property to be specified.";
            return Err(Fault::new(subject.id, message));
        };
        let policy = preference.update_policy();
        if let Some(resource) = self.output.get_mut(alias) {
            resource["UpdatePolicy"] = policy;
        }
        // Wrong alarms are told here, and nothing more of the function.
        let alarms = preference.alarms();
        self.deployments.push(preference);
        alarms.map(|_| ())
    }

    fn function_role(&self, subject: &Subject<'_>) -> Made<Role> {
        let basic = if subject.some("DurableConfig").is_some() {
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
            tags: self.tags(Some(("lambda:createdBy", "SAM")), subject),
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
        if subject.some("VpcConfig").is_some() {
            role.manage(self.managed_arn("service-role/AWSLambdaVPCAccessExecutionRole"));
        }
        if let Some(queue) = subject.some("DeadLetterQueue") {
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
        let resolved = self.settled(&given);
        lambda.insert("Role".to_owned(), resolved.clone());
        let Some([condition, then, otherwise]) = branches(&resolved) else {
            let message = "Malformed 'Role' property: Fn::If requires 3 arguments.";
            return Err(Fault::new(subject.id, message));
        };
        match (is_no_value(then), is_no_value(otherwise)) {
            (true, true) => {
                lambda.insert("Role".to_owned(), own);
            }
            (true, false) => {
                let value = json!({"Fn::If": [condition, own, otherwise]});
                lambda.insert("Role".to_owned(), value);
                role.attributes
                    .insert("Condition".to_owned(), condition.clone());
            }
            (false, true) => {
                let value = json!({"Fn::If": [condition, then, own]});
                lambda.insert("Role".to_owned(), value);
                let negated = format!("NOT{}", python_shown(condition));
                role.attributes
                    .insert("Condition".to_owned(), json!(negated));
                self.conditions
                    .insert(negated, json!({"Fn::Not": [{"Condition": condition}]}));
            }
            (false, false) => return Ok(false),
        }
        Ok(true)
    }
}

fn check_dead_letters(subject: &Subject<'_>) -> Made<()> {
    let Some(queue) = subject.some("DeadLetterQueue") else {
        return Ok(());
    };
    let fault = |message: &str| Err(Fault::new(subject.id, message));
    let is_set = |name: &str| queue.get(name).is_some_and(is_truthy);
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
    if subject.some("TenancyConfig").is_none() {
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
        if subject.some(property).is_some() {
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
    let is_set = |name: &str| lambda.get(name).is_some_and(is_truthy);
    let is_image_code = lambda["Code"].get("ImageUri").is_some();
    let package = lambda.get("PackageType").filter(|kind| is_truthy(kind));
    match package.map_or("Zip", |kind| kind.as_str().unwrap_or("")) {
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

/// Tags that only SAM may set.
fn check_tags(subject: &Subject<'_>) -> Made<()> {
    let tags = subject.get("Tags").and_then(Value::as_object);
    let reserved = [
        "lambda:createdBy",
        "serverlessrepo:applicationId",
        "serverlessrepo:semanticVersion",
    ];
    let found = reserved
        .into_iter()
        .find(|name| tags.is_some_and(|tags| tags.contains_key(*name)));
    match found {
        None => Ok(()),
        Some(name) => Err(Fault::new(
            subject.id,
            format!(
                "{name} is a reserved Tag key name and cannot be set on your resource. Please change the tag key in the input."
            ),
        )),
    }
}

/// Properties that exclude or need one another.
fn check_together(subject: &Subject<'_>) -> Made<()> {
    let has = |name: &str| subject.get(name).is_some();
    let mut wrong = Vec::new();
    for other in ["ProvisionedConcurrencyConfig", "VpcConfig"] {
        if has("CapacityProviderConfig") && has(other) {
            wrong.push(format!(
                "Cannot specify 'CapacityProviderConfig' and '{other}' together."
            ));
        }
    }
    for (name, needed) in [
        ("FunctionScalingConfig", "CapacityProviderConfig"),
        ("VersionDeletionPolicy", "AutoPublishAlias"),
    ] {
        if has(name) && !has(needed) {
            wrong.push(format!("'{name}' requires '{needed}'."));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Fault::new(subject.id, wrong.join("\n")))
}
