//! Functions are created, changed, listed and deleted.
//!
//! Must not know: HTTP, processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tidegate_sandbox_aws::service::{Neighbours, Refusal, Scope};

use crate::code::Code;
use crate::fault::{conflict, constraint, invalid, missing, stale};
use crate::function::{Function, Revisions, Version};
use crate::lambda::{Answer, Lambda};
use crate::names::{LATEST, Named, arn};

/// Functions of one region.
const FUNCTIONS: usize = 5_000;
/// Bytes of all code that the sandbox keeps.
const CODE_BYTES: usize = 1 << 30;
/// Bytes of the environment's names and values.
const ENVIRONMENT_BYTES: usize = 4_096;
/// Runtimes that Lambda takes for new functions.
const RUNTIMES: &[&str] = &[
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "java11",
    "java17",
    "java21",
    "java25",
    "java8.al2",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "dotnet8",
    "dotnet9",
    "dotnet10",
    "ruby3.2",
    "ruby3.3",
    "ruby3.4",
    "provided.al2",
    "provided.al2023",
    "nodejs18.x",
    "nodejs16.x",
    "python3.8",
    "dotnet6",
    "go1.x",
    "provided",
    "java8",
];
/// Environment variables that functions may not set.
const RESERVED: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];
/// Fields of a configuration that are kept as they come, with what stands for an absent one.
const PLAIN: &[&str] = &[
    "Description",
    "DeadLetterConfig",
    "KMSKeyArn",
    "FileSystemConfigs",
    "ImageConfigResponse",
    "DurableConfig",
    "CapacityProviderConfig",
];

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn number(
    input: &Value,
    field: &str,
    name: &str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, Refusal> {
    let Some(value) = input.get(field).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = value.to_string();
    let Some(number) = value.as_u64() else {
        return Err(constraint(
            &text,
            name,
            &format!("Member must have value greater than or equal to {least}"),
        ));
    };
    if number < least {
        return Err(constraint(
            &text,
            name,
            &format!("Member must have value greater than or equal to {least}"),
        ));
    }
    if number > most {
        return Err(constraint(
            &text,
            name,
            &format!("Member must have value less than or equal to {most}"),
        ));
    }
    Ok(Some(number))
}

/// Reads what a request sets of a configuration into it.
fn configure(
    config: &mut Map<String, Value>,
    input: &Value,
    scope: &Scope,
    lambda: &Lambda,
) -> Result<(), Refusal> {
    if let Some(role) = input.get("Role").and_then(Value::as_str) {
        let is_role =
            role.starts_with("arn:") && role.contains(":iam::") && role.contains(":role/");
        if !is_role {
            return Err(constraint(
                role,
                "role",
                "Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+",
            ));
        }
        if !lambda.roles.assumable_by_lambda(role, scope.now) {
            return Err(invalid(
                "The role defined for the function cannot be assumed by Lambda.",
            ));
        }
        config.insert("Role".into(), json!(role));
    }
    if let Some(runtime) = input.get("Runtime").and_then(Value::as_str) {
        if !RUNTIMES.contains(&runtime) {
            return Err(constraint(
                runtime,
                "runtime",
                &format!(
                    "Member must satisfy enum value set: [{}] or be a valid ARN",
                    RUNTIMES.join(", ")
                ),
            ));
        }
        config.insert("Runtime".into(), json!(runtime));
    }
    if let Some(handler) = input.get("Handler").and_then(Value::as_str) {
        if handler.len() > 128 || handler.contains(char::is_whitespace) {
            return Err(constraint(
                handler,
                "handler",
                "Member must satisfy regular expression pattern: [^\\s]+",
            ));
        }
        config.insert("Handler".into(), json!(handler));
    }
    if let Some(memory) = number(input, "MemorySize", "memorySize", 128, 10_240)? {
        config.insert("MemorySize".into(), json!(memory));
    }
    if let Some(timeout) = number(input, "Timeout", "timeout", 1, 900)? {
        config.insert("Timeout".into(), json!(timeout));
    }
    if let Some(environment) = input.get("Environment").filter(|value| value.is_object()) {
        set_environment(config, environment)?;
    }
    for field in PLAIN {
        if let Some(value) = input.get(*field).filter(|value| !value.is_null()) {
            config.insert((*field).to_owned(), value.clone());
        }
    }
    if let Some(vpc) = input.get("VpcConfig").filter(|value| value.is_object()) {
        set_vpc(config, vpc);
    }
    if let Some(tracing) = input.get("TracingConfig").filter(|value| value.is_object()) {
        config.insert("TracingConfig".into(), tracing.clone());
    }
    if let Some(storage) = input
        .get("EphemeralStorage")
        .filter(|value| value.is_object())
    {
        number(storage, "Size", "ephemeralStorage.size", 512, 10_240)?;
        config.insert("EphemeralStorage".into(), storage.clone());
    }
    if let Some(snap) = input.get("SnapStart").filter(|value| value.is_object()) {
        config.insert("SnapStart".into(), snap.clone());
    }
    if let Some(image) = input.get("ImageConfig").filter(|value| value.is_object()) {
        config.insert("ImageConfigResponse".into(), json!({"ImageConfig": image}));
    }
    if let Some(logging) = input.get("LoggingConfig").filter(|value| value.is_object()) {
        let known = config.entry("LoggingConfig").or_insert_with(|| json!({}));
        for (key, value) in logging.as_object().into_iter().flatten() {
            known[key] = value.clone();
        }
    }
    if let Some(layers) = input.get("Layers").and_then(Value::as_array) {
        if layers.len() > 5 {
            return Err(invalid(
                "Layers count must be lower than or equal to 5 layers per function.",
            ));
        }
        let mut found = Vec::new();
        for layer in layers.iter().filter_map(Value::as_str) {
            found.push(json!({"Arn": layer, "CodeSize": lambda.layer_size(layer)?}));
        }
        if found.is_empty() {
            config.remove("Layers");
        } else {
            config.insert("Layers".into(), json!(found));
        }
    }
    Ok(())
}

fn set_environment(config: &mut Map<String, Value>, environment: &Value) -> Result<(), Refusal> {
    let variables = environment["Variables"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let used: Vec<&str> = variables
        .keys()
        .map(String::as_str)
        .filter(|name| RESERVED.contains(name))
        .collect();
    if !used.is_empty() {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: {}",
            used.join(", ")
        )));
    }
    let size: usize = variables
        .iter()
        .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > ENVIRONMENT_BYTES {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {}",
            Value::Object(variables)
        )));
    }
    if variables.is_empty() {
        config.remove("Environment");
    } else {
        config.insert("Environment".into(), json!({"Variables": variables}));
    }
    Ok(())
}

fn set_vpc(config: &mut Map<String, Value>, vpc: &Value) {
    let subnets = vpc["SubnetIds"].as_array().cloned().unwrap_or_default();
    if subnets.is_empty() {
        config.remove("VpcConfig");
        return;
    }
    config.insert(
        "VpcConfig".into(),
        json!({
            "SubnetIds": subnets,
            "SecurityGroupIds": vpc.get("SecurityGroupIds").cloned().unwrap_or_else(|| json!([])),
            "Ipv6AllowedForDualStack": vpc.get("Ipv6AllowedForDualStack").cloned().unwrap_or(Value::Bool(false)),
            "VpcId": "vpc-00000000000000000",
        }),
    );
}

/// The code that a request carries or names.
pub(crate) fn read_code(
    neighbours: &Neighbours,
    scope: &Scope,
    input: &Value,
) -> Result<Code, Refusal> {
    if let Some(text) = input.get("ZipFile").and_then(Value::as_str) {
        let bytes = STANDARD.decode(text).map_err(|_| {
            invalid(
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            )
        })?;
        return Code::archive(Bytes::from(bytes));
    }
    if let Some(uri) = input.get("ImageUri").and_then(Value::as_str) {
        return Ok(Code::image(uri));
    }
    let (Some(bucket), Some(key)) = (
        input.get("S3Bucket").and_then(Value::as_str),
        input.get("S3Key").and_then(Value::as_str),
    ) else {
        return Err(invalid("Please provide a source for function code."));
    };
    let found = neighbours.object(scope, bucket, key).map_err(|refusal| {
        invalid(format!(
            "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}",
            refusal.code, refusal.message
        ))
    })?;
    Code::archive(found)
}

impl Lambda {
    pub(crate) fn create(&self, scope: &Scope, input: &Value) -> Answer {
        let named = crate::names::parse(input["FunctionName"].as_str().unwrap_or_default(), None)?;
        let name = named.name;
        let is_image = input["PackageType"] == "Image";
        if input.get("Role").and_then(Value::as_str).is_none() {
            return Err(constraint("null", "role", "Member must not be null"));
        }
        if !is_image {
            for (field, word) in [("Runtime", "Runtime"), ("Handler", "Handler")] {
                if input.get(field).and_then(Value::as_str).is_none() {
                    return Err(invalid(format!(
                        "{word} is mandatory for functions created with deployment packages."
                    )));
                }
            }
        }
        let mut config = Map::new();
        let group = format!("/aws/lambda/{name}");
        for (field, value) in [
            ("Description", json!("")),
            ("Timeout", json!(3)),
            ("MemorySize", json!(128)),
            ("PackageType", json!(if is_image { "Image" } else { "Zip" })),
            (
                "Architectures",
                input
                    .get("Architectures")
                    .cloned()
                    .unwrap_or_else(|| json!(["x86_64"])),
            ),
            ("TracingConfig", json!({"Mode": "PassThrough"})),
            ("EphemeralStorage", json!({"Size": 512})),
            ("SnapStart", json!({"ApplyOn": "None"})),
            (
                "LoggingConfig",
                json!({"LogFormat": "Text", "LogGroup": group}),
            ),
        ] {
            config.insert(field.to_owned(), value);
        }
        configure(&mut config, input, scope, self)?;
        let code = read_code(&self.neighbours, scope, &input["Code"])?;
        let mut state = self.state.lock();
        let key = (scope.region.clone(), name.clone());
        if state.functions.contains_key(&key) {
            return Err(conflict(format!("Function already exist: {name}")));
        }
        let in_region = state
            .functions
            .keys()
            .filter(|(region, _)| *region == scope.region)
            .count();
        if in_region >= FUNCTIONS || state.code_bytes() + code.archive.len() > CODE_BYTES {
            return Err(Refusal {
                code: "CodeStorageExceededException".to_owned(),
                ..invalid("Code storage limit exceeded.")
            });
        }
        let ready = scope.after(signed(self.options.creation));
        let version = Version {
            name: LATEST.to_owned(),
            config,
            code: Arc::new(code),
            revisions: Revisions::new(),
            modified: scope.now,
            active_at: ready,
            updated_at: scope.now,
        };
        let mut function = Function {
            name: name.clone(),
            latest: version,
            versions: BTreeMap::new(),
            next: 1,
            aliases: BTreeMap::new(),
            policies: BTreeMap::new(),
            tags: tags_of(&input["Tags"]),
            concurrency: None,
            provisioned: BTreeMap::new(),
            invocations: BTreeMap::new(),
            urls: BTreeMap::new(),
            runtime_management: json!({"UpdateRuntimeOn": "Auto"}),
            recursion: "Terminate".to_owned(),
        };
        let mut shown = function.latest.show(scope, &name, false);
        if input["Publish"] == true {
            shown = publish(&mut function, scope, None, self.options.creation);
        }
        state.functions.insert(key, function);
        Ok((201, shown))
    }

    pub(crate) fn get(&self, scope: &Scope, named: &Named) -> Answer {
        let endpoint = self.neighbours.endpoint();
        self.read(scope, named, |function| {
            let version = function.version(scope, named.qualifier.as_deref())?;
            let mut shown = Map::new();
            let configuration = version.show(scope, &function.name, named.qualifier.is_some());
            shown.insert("Configuration".into(), configuration);
            let code = match &version.code.image {
                Some(image) => json!({"RepositoryType": "ECR", "ImageUri": image, "ResolvedImageUri": image}),
                None => json!({
                    "RepositoryType": "S3",
                    "Location": format!("{endpoint}/_lambda/code/{}/{}/{}", scope.region, function.name, version.name),
                }),
            };
            shown.insert("Code".into(), code);
            if !function.tags.is_empty() {
                shown.insert("Tags".into(), json!(function.tags));
            }
            if let Some(reserved) = function.concurrency {
                shown.insert("Concurrency".into(), json!({"ReservedConcurrentExecutions": reserved}));
            }
            Ok((200, Value::Object(shown)))
        })
    }

    pub(crate) fn get_configuration(&self, scope: &Scope, named: &Named) -> Answer {
        self.read(scope, named, |function| {
            let version = function.version(scope, named.qualifier.as_deref())?;
            Ok((
                200,
                version.show(scope, &function.name, named.qualifier.is_some()),
            ))
        })
    }

    pub(crate) fn list(&self, scope: &Scope, query: &[(String, String)]) -> Answer {
        let state = self.state.lock();
        let all = query
            .iter()
            .any(|(name, value)| name == "FunctionVersion" && value == "ALL");
        let mut shown: Vec<Value> = Vec::new();
        for ((region, name), function) in &state.functions {
            if *region != scope.region {
                continue;
            }
            shown.push(function.latest.show(scope, name, all));
            if all {
                shown.extend(
                    function
                        .versions
                        .values()
                        .map(|version| version.show(scope, name, true)),
                );
            }
        }
        Ok((200, crate::lambda::page("Functions", &shown, query, 50)))
    }

    pub(crate) fn update_code(&self, scope: &Scope, named: &Named, input: &Value) -> Answer {
        let code = read_code(&self.neighbours, scope, input)?;
        let ready = scope.after(signed(self.options.update));
        let done = self.change(scope, named, |function| {
            let latest = &mut function.latest;
            latest.settled(scope, &function.name)?;
            if let Some(given) = input.get("RevisionId").and_then(Value::as_str)
                && given != latest.revision(scope.now)
            {
                return Err(stale("GetFunction"));
            }
            let mut new = latest.clone();
            new.code = Arc::new(code);
            if let Some(architectures) = input.get("Architectures").filter(|value| value.is_array())
            {
                new.config
                    .insert("Architectures".into(), architectures.clone());
            }
            if input["DryRun"] == true {
                return Ok((200, new.show(scope, &function.name, false)));
            }
            new.revisions = Revisions::new();
            new.modified = scope.now;
            new.updated_at = ready;
            *latest = new;
            let shown = if input["Publish"] == true {
                publish(function, scope, None, self.options.creation)
            } else {
                function.latest.show(scope, &function.name, false)
            };
            Ok((200, shown))
        });
        self.end_replaced(scope, named);
        done
    }

    /// Ends the warm processes of what was `$LATEST` before a change.
    fn end_replaced(&self, scope: &Scope, named: &Named) {
        self.runner
            .forget(&arn(scope, &named.name, None), Some(LATEST));
    }

    pub(crate) fn update_configuration(
        &self,
        scope: &Scope,
        named: &Named,
        input: &Value,
    ) -> Answer {
        let ready = scope.after(signed(self.options.update));
        let mut changed = Map::new();
        configure(&mut changed, input, scope, self)?;
        let done = self.change(scope, named, |function| {
            let latest = &mut function.latest;
            latest.settled(scope, &function.name)?;
            if let Some(given) = input.get("RevisionId").and_then(Value::as_str)
                && given != latest.revision(scope.now)
            {
                return Err(stale("GetFunction"));
            }
            for (key, value) in changed {
                match (key.as_str(), latest.config.get_mut("LoggingConfig")) {
                    ("LoggingConfig", Some(known)) => {
                        for (key, value) in value.as_object().into_iter().flatten() {
                            known[key] = value.clone();
                        }
                    }
                    _ => {
                        latest.config.insert(key, value);
                    }
                }
            }
            // What is given as empty is taken away.
            let is_empty = |value: &Value, member: &str| {
                value.is_object() && value[member].as_object().is_none_or(Map::is_empty)
            };
            if is_empty(&input["Environment"], "Variables") {
                latest.config.remove("Environment");
            }
            if input["Layers"].as_array().is_some_and(Vec::is_empty) {
                latest.config.remove("Layers");
            }
            if input["VpcConfig"]["SubnetIds"]
                .as_array()
                .is_some_and(Vec::is_empty)
            {
                latest.config.remove("VpcConfig");
            }
            if input["DeadLetterConfig"]["TargetArn"] == "" {
                latest.config.remove("DeadLetterConfig");
            }
            if input["KMSKeyArn"] == "" {
                latest.config.remove("KMSKeyArn");
            }
            latest.revisions = Revisions::new();
            latest.modified = scope.now;
            latest.updated_at = ready;
            Ok((200, latest.show(scope, &function.name, false)))
        });
        self.end_replaced(scope, named);
        done
    }

    pub(crate) fn delete(&self, scope: &Scope, named: &Named) -> Answer {
        let key = (scope.region.clone(), named.name.clone());
        let gone = || {
            missing(format!(
                "Function not found: {}",
                arn(scope, &named.name, named.qualifier.as_deref())
            ))
        };
        let mut state = self.state.lock();
        let function = state.functions.get_mut(&key).ok_or_else(gone)?;
        match named.qualifier.as_deref() {
            None => {
                state.functions.remove(&key);
            }
            Some(LATEST) => {
                return Err(invalid(
                    "$LATEST version cannot be deleted without deleting the function.",
                ));
            }
            Some(qualifier) => {
                if let Some((alias, _)) = function.aliases.iter().find(|(_, alias)| {
                    alias.version == qualifier || alias.weights.contains_key(qualifier)
                }) {
                    return Err(conflict(format!(
                        "Version {qualifier} of function {} is still referenced by alias {alias}",
                        named.name
                    )));
                }
                let number: u64 = qualifier.parse().map_err(|_| gone())?;
                // Deleting what is not there succeeds.
                function.versions.remove(&number);
            }
        }
        drop(state);
        self.runner
            .forget(&arn(scope, &named.name, None), named.qualifier.as_deref());
        Ok((204, Value::Null))
    }

    pub(crate) fn publish(&self, scope: &Scope, named: &Named, input: &Value) -> Answer {
        self.change(scope, named, |function| {
            function.latest.settled(scope, &function.name)?;
            let latest = &function.latest;
            if let Some(given) = input.get("CodeSha256").and_then(Value::as_str)
                && !given.is_empty()
                && given != latest.code.sha256
            {
                return Err(invalid(format!(
                    "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({}). Please try again with the CodeSHA256 in $LATEST.",
                    latest.code.sha256
                )));
            }
            if let Some(given) = input.get("RevisionId").and_then(Value::as_str)
                && !given.is_empty()
                && given != latest.revision(scope.now)
            {
                return Err(stale("GetFunction"));
            }
            let description = input.get("Description").and_then(Value::as_str);
            Ok((201, publish(function, scope, description, self.options.creation)))
        })
    }

    pub(crate) fn list_versions(
        &self,
        scope: &Scope,
        named: &Named,
        query: &[(String, String)],
    ) -> Answer {
        self.read(scope, named, |function| {
            let mut shown = vec![function.latest.show(scope, &function.name, true)];
            shown.extend(
                function
                    .versions
                    .values()
                    .map(|version| version.show(scope, &function.name, true)),
            );
            Ok((200, crate::lambda::page("Versions", &shown, query, 50)))
        })
    }
}

/// Publishes `$LATEST`, unless the last version is the same.
fn publish(
    function: &mut Function,
    scope: &Scope,
    description: Option<&str>,
    snapshot: std::time::Duration,
) -> Value {
    let latest = &function.latest;
    let without = |version: &Version| {
        let mut config = version.config.clone();
        config.remove("Description");
        (config, version.code.sha256.clone())
    };
    if let Some(last) = function.versions.values().last()
        && last.name == (function.next - 1).to_string()
        && without(last) == without(latest)
    {
        return last.show(scope, &function.name, true);
    }
    let number = function.next;
    let mut version = latest.clone();
    version.name = number.to_string();
    version.revisions = Revisions::steady();
    version.updated_at = scope.now;
    let snap = version.config.get("SnapStart");
    if snap.is_some_and(|snap| snap["ApplyOn"] == "PublishedVersions") {
        // A snapshot is taken of it before it can run.
        version.active_at = version.active_at.max(scope.after(signed(snapshot)));
    }
    if let Some(description) = description.filter(|text| !text.is_empty()) {
        version
            .config
            .insert("Description".into(), json!(description));
    }
    let shown = version.show(scope, &function.name, true);
    function.versions.insert(number, version);
    function.next += 1;
    function.touch(None);
    shown
}

/// Tags of a request.
pub(crate) fn tags_of(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
