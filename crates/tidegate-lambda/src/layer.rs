//! `AWS::Lambda::LayerVersion`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Artifacts, Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::configuration::{architectures, layers as texts};
use crate::function::not_found;

/// Layers.
#[derive(Debug)]
pub(crate) struct Layers {
    client: Client,
    artifacts: Arc<dyn Artifacts>,
}

impl Layers {
    pub(crate) fn new(client: Client, artifacts: Arc<dyn Artifacts>) -> Self {
        Self { client, artifacts }
    }

    /// The newest version of a layer that has some content.
    async fn newest(
        &self,
        name: &str,
        sha256: Option<&str>,
    ) -> Result<Option<(i64, String)>, ApplierError> {
        let call = self.client.list_layer_versions().layer_name(name);
        let listed = match call.send().await {
            Ok(listed) => listed,
            Err(error) => return not_found(from_sdk("ListLayerVersions", &error)).map(|()| None),
        };
        for version in listed.layer_versions() {
            let number = version.version();
            let call = self.client.get_layer_version().layer_name(name);
            let found = match call.version_number(number).send().await {
                Ok(found) => found,
                Err(error) => {
                    not_found(from_sdk("GetLayerVersion", &error))?;
                    continue;
                }
            };
            let digest = found.content().and_then(|content| content.code_sha256());
            if sha256.is_none() || digest == sha256 {
                let arn = found.layer_version_arn().unwrap_or_default();
                return Ok(Some((number, arn.to_owned())));
            }
        }
        Ok(None)
    }
}

/// Name and number in a layer version's ARN.
fn parts(arn: &str) -> Option<(&str, i64)> {
    let mut fields = arn.split(':');
    let name = fields.nth(6)?;
    Some((name, fields.next()?.parse().ok()?))
}

fn digest(properties: &Map<String, Value>) -> Option<&str> {
    properties
        .get("Content")?
        .get("Artifact")?
        .get("Sha256")?
        .as_str()
}

#[async_trait]
impl Handler for Layers {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Lambda::LayerVersion"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let by_id = lookup.physical_id.clone();
        let arn = match (by_id, lookup.text("LayerName")) {
            (Some(arn), _) => Some(arn),
            (None, Some(name)) if digest(&lookup.properties).is_some() => {
                let found = self.newest(name, digest(&lookup.properties)).await?;
                found.map(|(_, arn)| arn)
            }
            _ => None,
        };
        let Some(arn) = arn else {
            return Ok(None);
        };
        let Some((name, number)) = parts(&arn) else {
            return Ok(None);
        };
        let call = self.client.get_layer_version().layer_name(name);
        let found = match call.version_number(number).send().await {
            Ok(found) => found,
            Err(error) => return not_found(from_sdk("GetLayerVersion", &error)).map(|()| None),
        };
        let mut properties = Map::from_iter([("LayerName".to_owned(), json!(name))]);
        if let Some(text) = found.description().filter(|text| !text.is_empty()) {
            properties.insert("Description".to_owned(), json!(text));
        }
        if let Some(text) = found.license_info().filter(|text| !text.is_empty()) {
            properties.insert("LicenseInfo".to_owned(), json!(text));
        }
        let mut runtimes: Vec<&str> = found
            .compatible_runtimes()
            .iter()
            .map(aws_sdk_lambda::types::Runtime::as_str)
            .collect();
        runtimes.sort_unstable();
        if !runtimes.is_empty() {
            properties.insert("CompatibleRuntimes".to_owned(), json!(runtimes));
        }
        let mut names: Vec<&str> = found
            .compatible_architectures()
            .iter()
            .map(aws_sdk_lambda::types::Architecture::as_str)
            .collect();
        names.sort_unstable();
        if !names.is_empty() {
            properties.insert("CompatibleArchitectures".to_owned(), json!(names));
        }
        let sha256 = found.content().and_then(|content| content.code_sha256());
        let content = match lookup.properties.get("Content") {
            Some(wanted) if wanted.get("S3Bucket").is_some() => wanted.clone(),
            _ => json!({"Artifact": {"Sha256": sha256}}),
        };
        properties.insert("Content".to_owned(), content);
        Ok(Some(LiveResource {
            physical_id: arn.clone(),
            reference: arn.clone(),
            attributes: BTreeMap::from([("LayerVersionArn".to_owned(), json!(arn))]),
            properties,
            tags: None,
            version: number.to_string(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let name = resource.text("LayerName").unwrap_or_default();
        let content = resource.get("Content").cloned().unwrap_or_default();
        let text = |field: &str| {
            content
                .get(field)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let input = match digest(&resource.properties) {
            Some(sha256) => {
                let bytes = self.artifacts.get(sha256)?;
                sdk::LayerVersionContentInput::builder()
                    .zip_file(Blob::new(bytes.to_vec()))
                    .build()
            }
            None => sdk::LayerVersionContentInput::builder()
                .set_s3_bucket(text("S3Bucket"))
                .set_s3_key(text("S3Key"))
                .set_s3_object_version(text("S3ObjectVersion"))
                .build(),
        };
        let runtimes = texts(resource.get("CompatibleRuntimes"));
        let runtimes: Vec<sdk::Runtime> = runtimes
            .iter()
            .map(|r| sdk::Runtime::from(r.as_str()))
            .collect();
        let names = architectures(resource.get("CompatibleArchitectures"));
        let call = self
            .client
            .publish_layer_version()
            .layer_name(name)
            .content(input)
            .set_description(resource.text("Description").map(str::to_owned))
            .set_license_info(resource.text("LicenseInfo").map(str::to_owned))
            .set_compatible_runtimes((!runtimes.is_empty()).then_some(runtimes))
            .set_compatible_architectures((!names.is_empty()).then_some(names));
        let made = call.send().await;
        let made = made.map_err(|error| from_sdk("PublishLayerVersion", &error))?;
        Ok(made.layer_version_arn().unwrap_or_default().to_owned())
    }

    async fn update(
        &self,
        _: &Resource,
        _: &LiveResource,
        _: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let message = "a layer version cannot be changed";
        Err(ApplierError::new(ErrorKind::Invalid, message))
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let Some((name, number)) = parts(physical_id) else {
            return Ok(Deletion::Gone);
        };
        let call = self.client.delete_layer_version().layer_name(name);
        match call.version_number(number).send().await {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => {
                not_found(from_sdk("DeleteLayerVersion", &error)).map(|()| Deletion::Gone)
            }
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        for name in ["CompatibleRuntimes", "CompatibleArchitectures"] {
            if let Some(Value::Array(list)) = properties.get_mut(name) {
                list.sort_by_key(Value::to_string);
            }
        }
        if let Some(Value::Object(artifact)) = properties
            .get_mut("Content")
            .and_then(|content| content.get_mut("Artifact"))
        {
            artifact.remove("Size");
        }
    }
}
