//! `AWS::Lambda::Function`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{
    Artifacts, Deadline, Deletion, Experience, Handler, LiveResource, Lookup, Resource, from_sdk,
    retry, settle,
};
use tidegate_manifest::{Health, HealthStatus};

use crate::configuration as config;

/// Longest wait for a role that was just made.
const ROLE_WAIT: Duration = Duration::from_secs(300);
/// Longest wait for a change of code or configuration.
const UPDATE_WAIT: Duration = Duration::from_secs(600);
/// What AWS says while a role is not yet known everywhere.
const ROLE_DELAYS: &[&str] = &[
    "The role defined for the function cannot be assumed by Lambda",
    "The provided execution role does not have permissions",
    "throttled by EC2",
    "KMS key is invalid for CreateGrant",
];

/// Functions.
#[derive(Debug)]
pub(crate) struct Functions {
    client: Client,
    code_changes: Experience,
    setting_changes: Experience,
    artifacts: Arc<dyn Artifacts>,
}

/// Whether an error is a delay of IAM.
pub(crate) fn is_role_delay(error: &ApplierError) -> bool {
    ROLE_DELAYS
        .iter()
        .any(|words| error.message.contains(words))
        || (error.kind == ErrorKind::Conflict
            && error.message.contains("ResourceConflictException")
            && error.message.contains("in progress"))
}

/// What is waited for, in words.
fn change_of(name: &str) -> String {
    format!("function {name} to take the change")
}

impl Functions {
    pub(crate) fn new(client: Client, artifacts: Arc<dyn Artifacts>) -> Self {
        Self {
            client,
            code_changes: Experience::default(),
            setting_changes: Experience::default(),
            artifacts,
        }
    }

    /// The bytes or the place of a function's code.
    fn code(&self, code: &Value) -> Result<Code, ApplierError> {
        if let Some(artifact) = code.get("Artifact") {
            let sha256 = artifact
                .get("Sha256")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let bytes = self.artifacts.get(sha256)?;
            return Ok(Code::Archive(bytes));
        }
        let text = |name: &str| code.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(image) = text("ImageUri") {
            return Ok(Code::Image(image));
        }
        match (text("S3Bucket"), text("S3Key")) {
            (Some(bucket), Some(key)) => Ok(Code::Object {
                bucket,
                key,
                version: text("S3ObjectVersion"),
            }),
            _ => Err(ApplierError::new(
                ErrorKind::Invalid,
                "the function has no code: neither files of the repository, nor an object in S3, nor an image",
            )
            .help("set Code (or CodeUri, InlineCode, ImageUri in a SAM template)")),
        }
    }

    async fn configuration(
        &self,
        name: &str,
    ) -> Result<Option<sdk::FunctionConfiguration>, ApplierError> {
        let asked = self.client.get_function().function_name(name).send().await;
        match asked {
            Ok(found) => Ok(found.configuration),
            Err(error) => not_found(from_sdk("GetFunction", &error)).map(|()| None),
        }
    }

    /// The function, when no change of it is under way.
    async fn at_rest(
        &self,
        name: &str,
    ) -> Result<Option<sdk::FunctionConfiguration>, ApplierError> {
        Ok(self.configuration(name).await?.filter(is_settled))
    }

    /// Waits until no change is under way.
    async fn settled(&self, name: &str) -> Result<sdk::FunctionConfiguration, ApplierError> {
        let deadline = Deadline::after(UPDATE_WAIT);
        settle(deadline, &change_of(name), || self.at_rest(name)).await
    }

    /// Waits until the change that was just made is done.
    async fn taken(
        &self,
        name: &str,
        experience: &Experience,
    ) -> Result<sdk::FunctionConfiguration, ApplierError> {
        let deadline = Deadline::after(UPDATE_WAIT);
        let at_rest = || self.at_rest(name);
        experience.settle(deadline, &change_of(name), at_rest).await
    }

    /// Changes the code of the function's `revision` and gives the revision that comes of it.
    async fn update_code(
        &self,
        resource: &Resource,
        name: &str,
        revision: Option<String>,
    ) -> Result<Option<String>, ApplierError> {
        let Some(code) = resource.get("Code") else {
            return Ok(revision);
        };
        let code = self.code(code)?;
        let attempt = || async {
            let call = self.client.update_function_code().function_name(name);
            let call = match &code {
                Code::Archive(bytes) => call.zip_file(Blob::new(bytes.to_vec())),
                Code::Image(uri) => call.image_uri(uri),
                Code::Object {
                    bucket,
                    key,
                    version,
                } => call
                    .s3_bucket(bucket)
                    .s3_key(key)
                    .set_s3_object_version(version.clone()),
            };
            let architectures = config::architectures(resource.get("Architectures"));
            let architectures = (!architectures.is_empty()).then_some(architectures);
            let call = call.set_architectures(architectures);
            let sent = call.set_revision_id(revision.clone()).send().await;
            sent.map_err(|error| changed_meanwhile(from_sdk("UpdateFunctionCode", &error)))
        };
        retry(Deadline::after(ROLE_WAIT), is_role_delay, attempt).await?;
        let found = self.taken(name, &self.code_changes).await?;
        Ok(found.revision_id().map(str::to_owned))
    }

    async fn update_configuration(
        &self,
        resource: &Resource,
        name: &str,
        changed: &BTreeSet<String>,
        revision: Option<String>,
    ) -> Result<Option<String>, ApplierError> {
        let is = |property: &str| changed.contains(property);
        let value = |property: &str| resource.get(property);
        let text = |property: &str| resource.text(property).unwrap_or_default().to_owned();
        let attempt = || async {
            let mut call = self
                .client
                .update_function_configuration()
                .function_name(name);
            if is("Role") {
                call = call.role(text("Role"));
            }
            if is("Handler") && value("Handler").is_some() {
                call = call.handler(text("Handler"));
            }
            if is("Runtime") && value("Runtime").is_some() {
                call = call.runtime(sdk::Runtime::from(text("Runtime").as_str()));
            }
            if is("Description") {
                call = call.description(text("Description"));
            }
            if is("KmsKeyArn") {
                call = call.kms_key_arn(text("KmsKeyArn"));
            }
            if is("MemorySize") {
                call = call.memory_size(config::number(value("MemorySize")).unwrap_or(128));
            }
            if is("Timeout") {
                call = call.timeout(config::number(value("Timeout")).unwrap_or(3));
            }
            if is("Environment") {
                call = call.environment(config::environment(value("Environment")));
            }
            if is("VpcConfig") {
                call = call.vpc_config(config::vpc(value("VpcConfig")));
            }
            if is("DeadLetterConfig") {
                call = call.dead_letter_config(config::dead_letters(value("DeadLetterConfig")));
            }
            if is("TracingConfig") {
                call = call.tracing_config(config::tracing(value("TracingConfig")));
            }
            if is("Layers") {
                call = call.set_layers(Some(config::layers(value("Layers"))));
            }
            if is("FileSystemConfigs") {
                call = call.set_file_system_configs(Some(config::file_systems(value(
                    "FileSystemConfigs",
                ))));
            }
            if is("ImageConfig") {
                call = call.image_config(config::image(value("ImageConfig")));
            }
            if is("EphemeralStorage") {
                call = call.set_ephemeral_storage(config::storage(value("EphemeralStorage")));
            }
            if is("SnapStart") {
                call = call.snap_start(config::snap(value("SnapStart")));
            }
            if is("LoggingConfig") {
                let logging = config::logging(value("LoggingConfig")).unwrap_or_else(|| {
                    sdk::LoggingConfig::builder()
                        .log_format(sdk::LogFormat::Text)
                        .log_group(format!("/aws/lambda/{name}"))
                        .build()
                });
                call = call.logging_config(logging);
            }
            let sent = call.set_revision_id(revision.clone()).send().await;
            sent.map_err(|error| changed_meanwhile(from_sdk("UpdateFunctionConfiguration", &error)))
        };
        retry(Deadline::after(ROLE_WAIT), is_role_delay, attempt).await?;
        let found = self.taken(name, &self.setting_changes).await?;
        Ok(found.revision_id().map(str::to_owned))
    }

    /// What has calls of its own: concurrency, runtime management, recursion, signing.
    async fn update_aside(
        &self,
        resource: &Resource,
        name: &str,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        if changed.contains("ReservedConcurrentExecutions") {
            match config::number(resource.get("ReservedConcurrentExecutions")) {
                Some(count) => {
                    let call = self.client.put_function_concurrency().function_name(name);
                    let sent = call.reserved_concurrent_executions(count).send().await;
                    sent.map_err(|error| from_sdk("PutFunctionConcurrency", &error))?;
                }
                None => {
                    let call = self
                        .client
                        .delete_function_concurrency()
                        .function_name(name);
                    let sent = call.send().await;
                    sent.map_err(|error| from_sdk("DeleteFunctionConcurrency", &error))?;
                }
            }
        }
        if changed.contains("RuntimeManagementConfig") {
            let wanted = resource.get("RuntimeManagementConfig");
            let text = |name: &str| wanted?.get(name)?.as_str().map(str::to_owned);
            let on = text("UpdateRuntimeOn").unwrap_or_else(|| "Auto".to_owned());
            let call = self
                .client
                .put_runtime_management_config()
                .function_name(name);
            let call = call.update_runtime_on(sdk::UpdateRuntimeOn::from(on.as_str()));
            let sent = call
                .set_runtime_version_arn(text("RuntimeVersionArn"))
                .send()
                .await;
            sent.map_err(|error| from_sdk("PutRuntimeManagementConfig", &error))?;
        }
        if changed.contains("RecursiveLoop") {
            let wanted = resource.text("RecursiveLoop").unwrap_or("Terminate");
            let call = self
                .client
                .put_function_recursion_config()
                .function_name(name);
            let sent = call
                .recursive_loop(sdk::RecursiveLoop::from(wanted))
                .send()
                .await;
            sent.map_err(|error| from_sdk("PutFunctionRecursionConfig", &error))?;
        }
        if changed.contains("CodeSigningConfigArn") {
            match resource.text("CodeSigningConfigArn") {
                Some(arn) => {
                    let call = self.client.put_function_code_signing_config();
                    let sent = call
                        .function_name(name)
                        .code_signing_config_arn(arn)
                        .send()
                        .await;
                    sent.map_err(|error| from_sdk("PutFunctionCodeSigningConfig", &error))?;
                }
                None => {
                    let call = self.client.delete_function_code_signing_config();
                    let sent = call.function_name(name).send().await;
                    sent.map_err(|error| from_sdk("DeleteFunctionCodeSigningConfig", &error))?;
                }
            }
        }
        Ok(())
    }

    async fn update_tags(
        &self,
        resource: &Resource,
        live: &LiveResource,
    ) -> Result<(), ApplierError> {
        let Some(Value::String(arn)) = live.attributes.get("Arn") else {
            return Ok(());
        };
        let wanted = resource.all_tags();
        if !resource.removed_tags.is_empty() {
            let keys = Some(resource.removed_tags.iter().cloned().collect());
            let call = self.client.untag_resource().resource(arn.as_str());
            let sent = call.set_tag_keys(keys).send().await;
            sent.map_err(|error| from_sdk("UntagResource", &error))?;
        }
        let call = self.client.tag_resource().resource(arn.as_str());
        let sent = call
            .set_tags(Some(wanted.into_iter().collect()))
            .send()
            .await;
        sent.map_err(|error| from_sdk("TagResource", &error))?;
        Ok(())
    }

    /// Code that does not fit the new configuration goes first, else configuration does.
    async fn update_in_order(
        &self,
        resource: &Resource,
        name: &str,
        changed: &BTreeSet<String>,
        mut revision: Option<String>,
    ) -> Result<(), ApplierError> {
        const ASIDE: &[&str] = &[
            "Code",
            "Architectures",
            "Tags",
            "ReservedConcurrentExecutions",
            "RuntimeManagementConfig",
            "RecursiveLoop",
            "CodeSigningConfigArn",
        ];
        let has_code = changed.contains("Code") || changed.contains("Architectures");
        let has_configuration = changed.iter().any(|name| !ASIDE.contains(&name.as_str()));
        let code_first = changed.contains("Handler") || changed.contains("Runtime");
        if has_code && code_first {
            revision = self.update_code(resource, name, revision).await?;
        }
        if has_configuration {
            let done = self.update_configuration(resource, name, changed, revision);
            revision = done.await?;
        }
        if has_code && !code_first {
            self.update_code(resource, name, revision).await?;
        }
        self.update_aside(resource, name, changed).await
    }
}

/// Where code is.
enum Code {
    Archive(Arc<[u8]>),
    Image(String),
    Object {
        bucket: String,
        key: String,
        version: Option<String>,
    },
}

/// Somebody changed the function since it was compared: the next attempt compares anew.
fn changed_meanwhile(error: ApplierError) -> ApplierError {
    if error.message.contains("PreconditionFailedException") {
        return error.retryable(true);
    }
    error
}

/// Absent is no error.
pub(crate) fn not_found(error: ApplierError) -> Result<(), ApplierError> {
    if error.kind == ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

fn is_settled(found: &sdk::FunctionConfiguration) -> bool {
    let is_busy = matches!(found.state(), Some(sdk::State::Pending))
        || matches!(
            found.last_update_status(),
            Some(sdk::LastUpdateStatus::InProgress)
        );
    !is_busy
}

fn health(found: &sdk::FunctionConfiguration) -> Health {
    let reason = |text: Option<&str>| text.unwrap_or_default().to_owned();
    match (found.state(), found.last_update_status()) {
        (Some(sdk::State::Failed), _) => {
            Health::new(HealthStatus::Degraded, reason(found.state_reason()))
        }
        (_, Some(sdk::LastUpdateStatus::Failed)) => Health::new(
            HealthStatus::Degraded,
            reason(found.last_update_status_reason()),
        ),
        _ if !is_settled(found) => Health::new(
            HealthStatus::Progressing,
            "the function is being created or changed",
        ),
        _ => Health::new(HealthStatus::Healthy, ""),
    }
}

#[async_trait]
impl Handler for Functions {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Lambda::Function"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let name = lookup
            .physical_id
            .as_deref()
            .or(lookup.physical_name.as_deref());
        let Some(name) = name else {
            return Ok(None);
        };
        let found = match self.client.get_function().function_name(name).send().await {
            Ok(found) => found,
            Err(error) => {
                return not_found(from_sdk("GetFunction", &error)).map(|()| None);
            }
        };
        let Some(configuration) = found.configuration() else {
            return Ok(None);
        };
        let mut properties = config::declared(configuration);
        let is_image = configuration.package_type() == Some(&sdk::PackageType::Image);
        let code = if is_image {
            json!({"ImageUri": found.code().and_then(|code| code.image_uri())})
        } else {
            json!({"Artifact": {"Sha256": configuration.code_sha256()}})
        };
        properties.insert("Code".to_owned(), code_as_wanted(code, lookup));
        let reserved = found
            .concurrency()
            .and_then(aws_sdk_lambda::types::Concurrency::reserved_concurrent_executions);
        if let Some(count) = reserved {
            properties.insert("ReservedConcurrentExecutions".to_owned(), json!(count));
        }
        keep_unread(&mut properties, lookup);
        let name = configuration.function_name().unwrap_or(name).to_owned();
        let arn = configuration.function_arn().unwrap_or_default();
        let tags = found.tags().map(|tags| tags.clone().into_iter().collect());
        Ok(Some(LiveResource {
            reference: name.clone(),
            attributes: BTreeMap::from([("Arn".to_owned(), json!(arn))]),
            properties,
            tags: Some(tags.unwrap_or_default()),
            version: configuration.revision_id().unwrap_or_default().to_owned(),
            health: health(configuration),
            is_settled: is_settled(configuration),
            physical_id: name,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let name = resource.physical_name.clone().unwrap_or_default();
        let code = self.code(resource.get("Code").unwrap_or(&Value::Null))?;
        let value = |property: &str| resource.get(property);
        let text = |property: &str| resource.text(property).map(str::to_owned);
        let attempt = || async {
            let function_code = match &code {
                Code::Archive(bytes) => sdk::FunctionCode::builder()
                    .zip_file(Blob::new(bytes.to_vec()))
                    .build(),
                Code::Image(uri) => sdk::FunctionCode::builder().image_uri(uri).build(),
                Code::Object {
                    bucket,
                    key,
                    version,
                } => sdk::FunctionCode::builder()
                    .s3_bucket(bucket)
                    .s3_key(key)
                    .set_s3_object_version(version.clone())
                    .build(),
            };
            let architectures = config::architectures(value("Architectures"));
            let layers = config::layers(value("Layers"));
            let call = self
                .client
                .create_function()
                .function_name(&name)
                .role(text("Role").unwrap_or_default())
                .code(function_code)
                .set_handler(text("Handler"))
                .set_runtime(text("Runtime").map(|name| sdk::Runtime::from(name.as_str())))
                .set_description(text("Description"))
                .set_kms_key_arn(text("KmsKeyArn"))
                .set_memory_size(config::number(value("MemorySize")))
                .set_timeout(config::number(value("Timeout")))
                .set_package_type(
                    text("PackageType").map(|kind| sdk::PackageType::from(kind.as_str())),
                )
                .set_environment(value("Environment").map(|found| config::environment(Some(found))))
                .set_vpc_config(value("VpcConfig").map(|found| config::vpc(Some(found))))
                .set_dead_letter_config(
                    value("DeadLetterConfig").map(|found| config::dead_letters(Some(found))),
                )
                .set_tracing_config(
                    value("TracingConfig").map(|found| config::tracing(Some(found))),
                )
                .set_layers((!layers.is_empty()).then_some(layers))
                .set_file_system_configs(
                    value("FileSystemConfigs").map(|found| config::file_systems(Some(found))),
                )
                .set_image_config(value("ImageConfig").map(|found| config::image(Some(found))))
                .set_architectures((!architectures.is_empty()).then_some(architectures))
                .set_ephemeral_storage(
                    value("EphemeralStorage").and_then(|found| config::storage(Some(found))),
                )
                .set_snap_start(value("SnapStart").map(|found| config::snap(Some(found))))
                .set_logging_config(config::logging(value("LoggingConfig")))
                .set_code_signing_config_arn(text("CodeSigningConfigArn"))
                .set_tags(Some(resource.all_tags().into_iter().collect()));
            let sent = call.send().await;
            sent.map_err(|error| from_sdk("CreateFunction", &error))
        };
        retry(Deadline::after(ROLE_WAIT), is_role_delay, attempt).await?;
        let found = self.settled(&name).await?;
        let is_role =
            found.state_reason_code() == Some(&sdk::StateReasonCode::InsufficientRolePermissions);
        if is_role {
            // The role is not known everywhere yet: saying it again is what helps.
            let role = BTreeSet::from(["Role".to_owned()]);
            self.update_configuration(resource, &name, &role, None)
                .await?;
        }
        let aside: BTreeSet<String> = [
            "ReservedConcurrentExecutions",
            "RuntimeManagementConfig",
            "RecursiveLoop",
        ]
        .into_iter()
        .filter(|property| resource.get(property).is_some())
        .map(str::to_owned)
        .collect();
        self.update_aside(resource, &name, &aside).await?;
        Ok(name)
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let name = &live.physical_id;
        if changed.contains("Tags") {
            self.update_tags(resource, live).await?;
        }
        let settled = self.settled(name).await?;
        // What was compared is what is changed; a revision of a function that was still busy says nothing.
        let compared =
            Some(live.version.clone()).filter(|text| live.is_settled && !text.is_empty());
        let revision = compared.or_else(|| settled.revision_id().map(str::to_owned));
        self.update_in_order(resource, name, changed, revision)
            .await
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let call = self.client.delete_function().function_name(physical_id);
        match call.send().await {
            Ok(_) => {}
            Err(error) => not_found(from_sdk("DeleteFunction", &error))?,
        }
        match self.configuration(physical_id).await? {
            Some(_) => Ok(Deletion::Going),
            None => Ok(Deletion::Gone),
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        config::normalise(properties);
    }
}

/// Code that a template names by its place in S3 is compared by that place, of which the target says nothing.
fn code_as_wanted(code: Value, lookup: &Lookup) -> Value {
    let wanted = lookup.properties.get("Code");
    match wanted {
        Some(wanted) if wanted.get("S3Bucket").is_some() => wanted.clone(),
        Some(wanted) if wanted.get("Artifact").is_some() => code,
        _ => code,
    }
}

/// Properties with reads of their own count as they are wanted.
fn keep_unread(properties: &mut Map<String, Value>, lookup: &Lookup) {
    for name in [
        "RuntimeManagementConfig",
        "RecursiveLoop",
        "CodeSigningConfigArn",
        "FunctionScalingConfig",
        "PublishToLatestPublished",
        "DurableConfig",
        "TenancyConfig",
        "CapacityProviderConfig",
    ] {
        if let Some(value) = lookup.properties.get(name) {
            properties.insert(name.to_owned(), value.clone());
        }
    }
}
