//! `AWS::Lambda::Version`: published only when something changed; old ones stay as long as somebody may go back to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{
    Deadline, Deletion, Handler, LiveResource, Lookup, Resource, from_sdk, retry, settle,
};
use tidegate_manifest::{Health, HealthStatus};

use crate::function::{is_role_delay, not_found};
use crate::function_name;

/// Longest wait for a version to become active.
const WAIT: Duration = Duration::from_secs(600);

/// Versions.
#[derive(Debug)]
pub(crate) struct Versions {
    client: Client,
}

impl Versions {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn configuration(
        &self,
        function: &str,
        version: &str,
    ) -> Result<Option<sdk::FunctionConfiguration>, ApplierError> {
        let call = self.client.get_function().function_name(function);
        match call.qualifier(version).send().await {
            Ok(found) => Ok(found.configuration),
            Err(error) => not_found(from_sdk("GetFunction", &error)).map(|()| None),
        }
    }
}

impl Versions {
    /// A function whose last change failed is not published: what an alias may point at works.
    async fn check(&self, function: &str) -> Result<(), ApplierError> {
        let call = self.client.get_function().function_name(function);
        let found = match call.send().await {
            Ok(found) => found.configuration,
            Err(error) => return Err(from_sdk("GetFunction", &error)),
        };
        let Some(found) = found else {
            return Ok(());
        };
        let (what, reason) = match (found.state(), found.last_update_status()) {
            (Some(sdk::State::Failed), _) => ("it is in state Failed", found.state_reason()),
            (_, Some(sdk::LastUpdateStatus::Failed)) => {
                ("its last update failed", found.last_update_status_reason())
            }
            _ => return Ok(()),
        };
        let reason = reason.unwrap_or("AWS gives no reason");
        let message = format!("no version of {function} is published: {what}: {reason}");
        Err(ApplierError::new(ErrorKind::Invalid, message)
            .help("mend the function and push again; aliases go on pointing at what works"))
    }
}

/// `function|version`.
fn parts(physical_id: &str) -> Option<(&str, &str)> {
    physical_id.split_once('|')
}

#[async_trait]
impl Handler for Versions {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Lambda::Version"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let Some((function, version)) = lookup.physical_id.as_deref().and_then(parts) else {
            return Ok(None);
        };
        let Some(found) = self.configuration(function, version).await? else {
            return Ok(None);
        };
        let mut properties = Map::from_iter([("FunctionName".to_owned(), json!(function))]);
        // What cannot change counts as it was wanted.
        for name in [
            "Description",
            "CodeSha256",
            "ProvisionedConcurrencyConfig",
            "RuntimePolicy",
        ] {
            if let Some(value) = lookup.properties.get(name) {
                properties.insert(name.to_owned(), value.clone());
            }
        }
        let is_busy = matches!(found.state(), Some(sdk::State::Pending));
        let health = match found.state() {
            Some(sdk::State::Failed) => {
                let reason = found.state_reason().unwrap_or_default();
                Health::new(HealthStatus::Degraded, reason)
            }
            Some(sdk::State::Pending) => {
                Health::new(HealthStatus::Progressing, "the version is being published")
            }
            _ => Health::new(HealthStatus::Healthy, ""),
        };
        Ok(Some(LiveResource {
            physical_id: format!("{function}|{version}"),
            reference: found.function_arn().unwrap_or_default().to_owned(),
            attributes: BTreeMap::from([
                ("Version".to_owned(), json!(version)),
                ("FunctionArn".to_owned(), json!(found.function_arn())),
            ]),
            properties,
            tags: None,
            version: found.revision_id().unwrap_or_default().to_owned(),
            health,
            is_settled: !is_busy,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let function = function_name(resource.text("FunctionName").unwrap_or_default()).to_owned();
        self.check(&function).await?;
        let attempt = || async {
            let call = self.client.publish_version().function_name(&function);
            let call = call
                .set_description(resource.text("Description").map(str::to_owned))
                .set_code_sha256(resource.text("CodeSha256").map(str::to_owned));
            let sent = call.send().await;
            sent.map_err(|error| from_sdk("PublishVersion", &error))
        };
        let published = retry(Deadline::after(WAIT), is_role_delay, attempt).await?;
        let version = published.version().unwrap_or_default().to_owned();
        let what = format!("version {version} of {function} to become active");
        settle(Deadline::after(WAIT), &what, || async {
            let found = self.configuration(&function, &version).await?;
            Ok(found.filter(|found| !matches!(found.state(), Some(sdk::State::Pending))))
        })
        .await?;
        Ok(format!("{function}|{version}"))
    }

    async fn update(
        &self,
        _: &Resource,
        _: &LiveResource,
        _: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let message = "a version cannot be changed";
        Err(ApplierError::new(ErrorKind::Invalid, message))
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let Some((function, version)) = parts(physical_id) else {
            return Ok(Deletion::Gone);
        };
        let call = self.client.delete_function().function_name(function);
        match call.qualifier(version).send().await {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => {
                let error = from_sdk("DeleteFunction", &error);
                // An alias still points at it: it is what one may go back to, and stays.
                if error.kind == ErrorKind::Conflict {
                    return Ok(Deletion::Gone);
                }
                not_found(error).map(|()| Deletion::Gone)
            }
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        name_only(properties);
    }
}

/// A function is named by its name, however the template says it.
pub(crate) fn name_only(properties: &mut Map<String, Value>) {
    if let Some(Value::String(name)) = properties.get("FunctionName") {
        let name = function_name(name).to_owned();
        properties.insert("FunctionName".to_owned(), Value::String(name));
    }
}
