//! `AWS::Lambda::Alias`: moves only to a version that works.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Deadline, Deletion, Handler, LiveResource, Lookup, Resource, from_sdk, settle};
use tidegate_manifest::{Health, HealthStatus};

use crate::configuration::number;
use crate::function::not_found;
use crate::function_name;
use crate::version::name_only;

/// Longest wait for provisioned concurrency.
const WAIT: Duration = Duration::from_secs(600);
/// In an alias' `Metadata`: an event with which a new version is invoked before the alias moves to it.
const SMOKE_TEST: &str = "tidegate.dev/smoke-test";

/// Aliases.
#[derive(Debug)]
pub(crate) struct Aliases {
    client: Client,
}

impl Aliases {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Refuses a version that is not active, or fails its smoke test.
    async fn check(
        &self,
        resource: &Resource,
        function: &str,
        version: &str,
    ) -> Result<(), ApplierError> {
        if version == "$LATEST" {
            return Ok(());
        }
        let refuse = |why: String| {
            let message =
                format!("the alias stays where it is: version {version} of {function} {why}");
            Err(ApplierError::new(ErrorKind::Invalid, message)
                .help("mend the handler and push again; what the alias points at goes on working"))
        };
        let call = self.client.get_function().function_name(function);
        let found = call.qualifier(version).send().await;
        let found = found.map_err(|error| from_sdk("GetFunction", &error))?;
        let configuration = found.configuration();
        if let Some(sdk::State::Failed) = configuration.and_then(|found| found.state()) {
            let reason = configuration.and_then(|found| found.state_reason());
            return refuse(format!("failed: {}", reason.unwrap_or_default()));
        }
        if let Some(sdk::LastUpdateStatus::Failed) =
            configuration.and_then(|found| found.last_update_status())
        {
            let reason = configuration.and_then(|found| found.last_update_status_reason());
            let reason = reason.unwrap_or_default();
            return refuse(format!("was not taken by its last update: {reason}"));
        }
        let dry = self
            .client
            .invoke()
            .function_name(function)
            .qualifier(version)
            .invocation_type(sdk::InvocationType::DryRun)
            .send()
            .await;
        if let Err(error) = dry {
            let error = from_sdk("Invoke", &error);
            if error.kind == ErrorKind::Invalid {
                return refuse(format!("cannot be invoked: {error}"));
            }
        }
        let Some(event) = resource.mark.annotations.get(SMOKE_TEST) else {
            return Ok(());
        };
        let answer = self
            .client
            .invoke()
            .function_name(function)
            .qualifier(version)
            .payload(Blob::new(event.as_bytes()))
            .send()
            .await;
        let answer = answer.map_err(|error| from_sdk("Invoke", &error))?;
        if let Some(kind) = answer.function_error() {
            let payload = answer.payload().map(|blob| blob.as_ref().to_vec());
            let text = String::from_utf8_lossy(&payload.unwrap_or_default()).into_owned();
            let text: String = text.chars().take(500).collect();
            return refuse(format!("fails its smoke test ({kind}): {text}"));
        }
        Ok(())
    }

    async fn check_all(
        &self,
        resource: &Resource,
        function: &str,
        versions: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        for version in versions {
            self.check(resource, function, version).await?;
        }
        Ok(())
    }

    /// Sets or takes away provisioned concurrency, and waits until it is ready.
    async fn provision(
        &self,
        resource: &Resource,
        function: &str,
        name: &str,
    ) -> Result<(), ApplierError> {
        let wanted = resource.get("ProvisionedConcurrencyConfig");
        let count = number(wanted.and_then(|found| found.get("ProvisionedConcurrentExecutions")));
        let Some(count) = count else {
            let call = self.client.delete_provisioned_concurrency_config();
            let sent = call.function_name(function).qualifier(name).send().await;
            return match sent {
                Ok(_) => Ok(()),
                Err(error) => not_found(from_sdk("DeleteProvisionedConcurrencyConfig", &error)),
            };
        };
        let call = self.client.put_provisioned_concurrency_config();
        let call = call.function_name(function).qualifier(name);
        let sent = call.provisioned_concurrent_executions(count).send().await;
        sent.map_err(|error| from_sdk("PutProvisionedConcurrencyConfig", &error))?;
        let what = format!("provisioned concurrency of {function}:{name} to be ready");
        settle(Deadline::after(WAIT), &what, || async {
            let call = self.client.get_provisioned_concurrency_config();
            let sent = call.function_name(function).qualifier(name).send().await;
            let found =
                sent.map_err(|error| from_sdk("GetProvisionedConcurrencyConfig", &error))?;
            match found.status() {
                Some(sdk::ProvisionedConcurrencyStatusEnum::Ready) => Ok(Some(())),
                Some(sdk::ProvisionedConcurrencyStatusEnum::Failed) => {
                    let reason = found.status_reason().unwrap_or_default();
                    let message = format!("provisioned concurrency failed: {reason}");
                    Err(ApplierError::new(ErrorKind::Invalid, message))
                }
                _ => Ok(None),
            }
        })
        .await
    }

    async fn provisioned(
        &self,
        function: &str,
        name: &str,
    ) -> Result<Option<Provisioned>, ApplierError> {
        let call = self.client.get_provisioned_concurrency_config();
        match call.function_name(function).qualifier(name).send().await {
            Ok(found) => Ok(found
                .requested_provisioned_concurrent_executions()
                .map(|count| Provisioned {
                    count,
                    status: found.status().cloned(),
                    reason: found.status_reason().unwrap_or_default().to_owned(),
                })),
            Err(error) => {
                let error = from_sdk("GetProvisionedConcurrencyConfig", &error);
                match error.kind {
                    // Emulators that do not know it.
                    ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Internal => Ok(None),
                    _ => Err(error),
                }
            }
        }
    }
}

struct Provisioned {
    count: i32,
    status: Option<sdk::ProvisionedConcurrencyStatusEnum>,
    reason: String,
}

fn routing(value: Option<&Value>) -> sdk::AliasRoutingConfiguration {
    let list = value
        .and_then(|value| value.get("AdditionalVersionWeights"))
        .and_then(Value::as_array);
    let weights = list.into_iter().flatten().filter_map(|one| {
        let version = match one.get("FunctionVersion")? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((version, one.get("FunctionWeight")?.as_f64()?))
    });
    sdk::AliasRoutingConfiguration::builder()
        .set_additional_version_weights(Some(weights.collect()))
        .build()
}

fn version_of(resource: &Resource) -> String {
    match resource.get("FunctionVersion") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "$LATEST".to_owned(),
    }
}

/// The versions that get traffic and did not before, those with a weight among them.
fn versions_of(resource: &Resource, live: Option<&Map<String, Value>>) -> BTreeSet<String> {
    let weighted = |value: Option<&Value>| -> Vec<String> {
        let config = routing(value);
        let weights = config.additional_version_weights();
        weights
            .into_iter()
            .flat_map(|map| map.keys().cloned())
            .collect()
    };
    let mut versions = BTreeSet::from([version_of(resource)]);
    versions.extend(weighted(resource.get("RoutingConfig")));
    if let Some(live) = live {
        let current = live.get("FunctionVersion").and_then(Value::as_str);
        versions.retain(|version| Some(version.as_str()) != current);
        for version in weighted(live.get("RoutingConfig")) {
            versions.remove(&version);
        }
    }
    versions
}

#[async_trait]
impl Handler for Aliases {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Lambda::Alias"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let by_id = lookup
            .physical_id
            .as_deref()
            .and_then(|id| id.split_once('|'));
        let wanted = lookup
            .text("FunctionName")
            .map(function_name)
            .zip(lookup.text("Name"));
        let Some((function, name)) = by_id.or(wanted) else {
            return Ok(None);
        };
        let call = self.client.get_alias().function_name(function).name(name);
        let found = match call.send().await {
            Ok(found) => found,
            Err(error) => return not_found(from_sdk("GetAlias", &error)).map(|()| None),
        };
        let mut properties = Map::from_iter([
            ("FunctionName".to_owned(), json!(function)),
            ("Name".to_owned(), json!(name)),
            (
                "FunctionVersion".to_owned(),
                json!(found.function_version()),
            ),
        ]);
        if let Some(description) = found.description().filter(|text| !text.is_empty()) {
            properties.insert("Description".to_owned(), json!(description));
        }
        let weights = found
            .routing_config()
            .and_then(|config| config.additional_version_weights())
            .filter(|weights| !weights.is_empty());
        if let Some(weights) = weights {
            let sorted: BTreeMap<&String, &f64> = weights.iter().collect();
            let list: Vec<Value> = sorted
                .iter()
                .map(|(version, weight)| {
                    json!({"FunctionVersion": version, "FunctionWeight": weight})
                })
                .collect();
            properties.insert(
                "RoutingConfig".to_owned(),
                json!({"AdditionalVersionWeights": list}),
            );
        }
        let mut health = Health::new(HealthStatus::Healthy, "");
        let mut is_settled = true;
        if let Some(provisioned) = self.provisioned(function, name).await? {
            properties.insert(
                "ProvisionedConcurrencyConfig".to_owned(),
                json!({"ProvisionedConcurrentExecutions": provisioned.count}),
            );
            match provisioned.status {
                Some(sdk::ProvisionedConcurrencyStatusEnum::InProgress) => {
                    is_settled = false;
                    health = Health::new(
                        HealthStatus::Progressing,
                        "provisioned concurrency is being allocated",
                    );
                }
                Some(sdk::ProvisionedConcurrencyStatusEnum::Failed) => {
                    health = Health::new(HealthStatus::Degraded, provisioned.reason);
                }
                _ => {}
            }
        }
        let arn = found.alias_arn().unwrap_or_default().to_owned();
        Ok(Some(LiveResource {
            physical_id: format!("{function}|{name}"),
            reference: arn.clone(),
            attributes: BTreeMap::from([("AliasArn".to_owned(), json!(arn))]),
            properties,
            tags: None,
            version: found.revision_id().unwrap_or_default().to_owned(),
            health,
            is_settled,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let function = function_name(resource.text("FunctionName").unwrap_or_default()).to_owned();
        let name = resource.text("Name").unwrap_or_default().to_owned();
        let version = version_of(resource);
        self.check_all(resource, &function, &versions_of(resource, None))
            .await?;
        let call = self
            .client
            .create_alias()
            .function_name(&function)
            .name(&name)
            .function_version(&version)
            .set_description(resource.text("Description").map(str::to_owned))
            .set_routing_config(
                resource
                    .get("RoutingConfig")
                    .map(|found| routing(Some(found))),
            );
        match call.send().await {
            Ok(_) => {}
            Err(error) => {
                let error = from_sdk("CreateAlias", &error);
                if error.kind != ErrorKind::Conflict {
                    return Err(error);
                }
            }
        }
        if resource.get("ProvisionedConcurrencyConfig").is_some() {
            self.provision(resource, &function, &name).await?;
        }
        Ok(format!("{function}|{name}"))
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let Some((function, name)) = live.physical_id.split_once('|') else {
            return Ok(());
        };
        let moves = ["FunctionVersion", "Description", "RoutingConfig"];
        if moves.iter().any(|property| changed.contains(*property)) {
            let version = version_of(resource);
            let new = versions_of(resource, Some(&live.properties));
            self.check_all(resource, function, &new).await?;
            let revision = Some(live.version.clone()).filter(|revision| !revision.is_empty());
            let call = self
                .client
                .update_alias()
                .function_name(function)
                .name(name)
                .function_version(version)
                .description(resource.text("Description").unwrap_or_default())
                .routing_config(routing(resource.get("RoutingConfig")))
                .set_revision_id(revision);
            let sent = call.send().await;
            sent.map_err(|error| from_sdk("UpdateAlias", &error))?;
        }
        if changed.contains("ProvisionedConcurrencyConfig") {
            self.provision(resource, function, name).await?;
        }
        Ok(())
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let Some((function, name)) = physical_id.split_once('|') else {
            return Ok(Deletion::Gone);
        };
        let call = self
            .client
            .delete_alias()
            .function_name(function)
            .name(name);
        match call.send().await {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => not_found(from_sdk("DeleteAlias", &error)).map(|()| Deletion::Gone),
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        name_only(properties);
        if let Some(version) = properties.get("FunctionVersion")
            && version.is_number()
        {
            let text = version.to_string();
            properties.insert("FunctionVersion".to_owned(), json!(text));
        }
        let config = properties.get("ProvisionedConcurrencyConfig");
        let count = number(config.and_then(|found| found.get("ProvisionedConcurrentExecutions")));
        match count {
            Some(count) => {
                let config = json!({"ProvisionedConcurrentExecutions": count});
                properties.insert("ProvisionedConcurrencyConfig".to_owned(), config);
            }
            None => {
                properties.remove("ProvisionedConcurrencyConfig");
            }
        }
        if let Some(Value::Array(list)) = properties
            .get_mut("RoutingConfig")
            .and_then(|config| config.get_mut("AdditionalVersionWeights"))
        {
            list.sort_by_key(Value::to_string);
        }
    }
}
