//! `AWS::IAM::Policy`, `AWS::IAM::RolePolicy`: inline policies as resources of their own; `AWS::IAM::ManagedPolicy`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_iam::Client;
use aws_sdk_iam::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Aws, Deletion, Handler, LiveResource, Lookup, Resource, from_sdk, predicted};
use tidegate_manifest::{Health, HealthStatus};

use crate::configuration::layers as texts;
use crate::document::{decoded, normal};
use crate::function::not_found;

/// Behind the names of inline policies that are resources of their own, so that their roles leave them alone.
pub(crate) const OWN_SUFFIX: &str = "-policy";
const MANAGED: &str = "AWS::IAM::ManagedPolicy";

/// Policies.
#[derive(Debug)]
pub(crate) struct Policies {
    client: Client,
    aws: Aws,
}

impl Policies {
    pub(crate) fn new(client: Client, aws: Aws) -> Self {
        Self { client, aws }
    }

    async fn read_inline(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let wanted = || {
            let name = inline_name(lookup.text("PolicyName")?);
            let roles = roles(&lookup.properties);
            (!roles.is_empty()).then(|| format!("{name}|{}", roles.join(",")))
        };
        let Some(physical_id) = lookup.physical_id.clone().or_else(wanted) else {
            return Ok(None);
        };
        let Some((name, list)) = physical_id.split_once('|') else {
            return Ok(None);
        };
        let mut found_roles = Vec::new();
        let mut document = None;
        for role in list.split(',') {
            let call = self
                .client
                .get_role_policy()
                .role_name(role)
                .policy_name(name);
            match call.send().await {
                Ok(found) => {
                    found_roles.push(role.to_owned());
                    document = Some(normal(&decoded(found.policy_document())));
                }
                Err(error) => not_found(from_sdk("GetRolePolicy", &error))?,
            }
        }
        let Some(document) = document else {
            return Ok(None);
        };
        let declared = name.strip_suffix(OWN_SUFFIX).unwrap_or(name);
        let mut properties = Map::from_iter([
            ("PolicyName".to_owned(), json!(declared)),
            ("PolicyDocument".to_owned(), document),
        ]);
        if lookup.resource_type == "AWS::IAM::RolePolicy" {
            properties.insert("RoleName".to_owned(), json!(found_roles.first()));
        } else {
            found_roles.sort();
            properties.insert("Roles".to_owned(), json!(found_roles));
        }
        Ok(Some(LiveResource {
            reference: declared.to_owned(),
            attributes: BTreeMap::new(),
            properties,
            tags: None,
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
            physical_id,
        }))
    }

    async fn put_inline(&self, resource: &Resource) -> Result<String, ApplierError> {
        let roles = roles(&resource.properties);
        if roles.is_empty() {
            let message = "an inline policy needs a role: users and groups are not managed";
            return Err(ApplierError::new(ErrorKind::Invalid, message));
        }
        let name = inline_name(resource.text("PolicyName").unwrap_or_default());
        let text = match resource.get("PolicyDocument") {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        for role in &roles {
            let call = self.client.put_role_policy().role_name(role);
            let sent = call.policy_name(&name).policy_document(&text).send().await;
            sent.map_err(|error| from_sdk("PutRolePolicy", &error))?;
        }
        Ok(format!("{name}|{}", roles.join(",")))
    }

    async fn delete_inline(&self, physical_id: &str) -> Result<Deletion, ApplierError> {
        let Some((name, list)) = physical_id.split_once('|') else {
            return Ok(Deletion::Gone);
        };
        for role in list.split(',') {
            let call = self.client.delete_role_policy().role_name(role);
            match call.policy_name(name).send().await {
                Ok(_) => {}
                Err(error) => not_found(from_sdk("DeleteRolePolicy", &error))?,
            }
        }
        Ok(Deletion::Gone)
    }

    async fn read_managed(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let Some(arn) = lookup.physical_id.clone() else {
            return Ok(None);
        };
        let found = match self.client.get_policy().policy_arn(&arn).send().await {
            Ok(found) => found,
            Err(error) => return not_found(from_sdk("GetPolicy", &error)).map(|()| None),
        };
        let Some(policy) = found.policy() else {
            return Ok(None);
        };
        let version = policy.default_version_id().unwrap_or("v1");
        let call = self.client.get_policy_version().policy_arn(&arn);
        let body = call.version_id(version).send().await;
        let body = body.map_err(|error| from_sdk("GetPolicyVersion", &error))?;
        let document = body.policy_version().and_then(|found| found.document());
        let mut properties = Map::from_iter([
            ("ManagedPolicyName".to_owned(), json!(policy.policy_name())),
            (
                "PolicyDocument".to_owned(),
                normal(&decoded(document.unwrap_or_default())),
            ),
        ]);
        for (name, value) in [
            ("Path", policy.path()),
            ("Description", policy.description()),
        ] {
            if let Some(text) = value.filter(|text| !text.is_empty() && *text != "/") {
                properties.insert(name.to_owned(), json!(text));
            }
        }
        let call = self.client.list_entities_for_policy().policy_arn(&arn);
        let entities = call.send().await;
        let entities = entities.map_err(|error| from_sdk("ListEntitiesForPolicy", &error))?;
        let mut roles: Vec<&str> = entities
            .policy_roles()
            .iter()
            .filter_map(|role| role.role_name())
            .collect();
        roles.sort_unstable();
        let wanted = lookup
            .properties
            .get("Roles")
            .map(|found| texts(Some(found)));
        // Roles attach it themselves too: only those that are named here are its own.
        if let Some(wanted) = wanted {
            roles.retain(|role| wanted.iter().any(|name| name == role));
            if !roles.is_empty() {
                properties.insert("Roles".to_owned(), json!(roles));
            }
        }
        let tags = policy
            .tags()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
        Ok(Some(LiveResource {
            physical_id: arn.clone(),
            reference: arn.clone(),
            attributes: BTreeMap::from([("PolicyArn".to_owned(), json!(arn))]),
            properties,
            tags: Some(tags.collect()),
            version: version.to_owned(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn create_managed(&self, resource: &Resource) -> Result<String, ApplierError> {
        let tags = resource.all_tags();
        let tags = tags
            .into_iter()
            .filter_map(|(key, value)| sdk::Tag::builder().key(key).value(value).build().ok());
        let text = |property: &str| resource.text(property).map(str::to_owned);
        let document = resource.get("PolicyDocument").cloned().unwrap_or_default();
        let call = self
            .client
            .create_policy()
            .policy_name(resource.physical_name.clone().unwrap_or_default())
            .policy_document(document.to_string())
            .set_path(text("Path"))
            .set_description(text("Description"))
            .set_tags(Some(tags.collect()));
        let made = call.send().await;
        let made = made.map_err(|error| from_sdk("CreatePolicy", &error))?;
        let arn = made.policy().and_then(|policy| policy.arn());
        let arn = arn.unwrap_or_default().to_owned();
        for role in texts(resource.get("Roles")) {
            let call = self.client.attach_role_policy().role_name(role);
            let sent = call.policy_arn(&arn).send().await;
            sent.map_err(|error| from_sdk("AttachRolePolicy", &error))?;
        }
        Ok(arn)
    }

    /// A policy keeps five versions: the oldest makes room.
    async fn new_version(&self, arn: &str, document: String) -> Result<(), ApplierError> {
        let call = self.client.list_policy_versions().policy_arn(arn);
        let listed = call.send().await;
        let listed = listed.map_err(|error| from_sdk("ListPolicyVersions", &error))?;
        let mut old: Vec<&sdk::PolicyVersion> = listed
            .versions()
            .iter()
            .filter(|version| !version.is_default_version())
            .collect();
        old.sort_by_key(|version| {
            version
                .create_date()
                .map(aws_sdk_lambda::primitives::DateTime::secs)
        });
        if listed.versions().len() >= 5
            && let Some(oldest) = old.first()
        {
            let call = self.client.delete_policy_version().policy_arn(arn);
            let id = oldest.version_id().unwrap_or_default();
            let sent = call.version_id(id).send().await;
            sent.map_err(|error| from_sdk("DeletePolicyVersion", &error))?;
        }
        let call = self.client.create_policy_version().policy_arn(arn);
        let sent = call
            .policy_document(document)
            .set_as_default(true)
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| from_sdk("CreatePolicyVersion", &error))
    }

    async fn delete_managed(&self, arn: &str) -> Result<Deletion, ApplierError> {
        let call = self.client.list_entities_for_policy().policy_arn(arn);
        let entities = match call.send().await {
            Ok(entities) => entities,
            Err(error) => {
                return not_found(from_sdk("ListEntitiesForPolicy", &error))
                    .map(|()| Deletion::Gone);
            }
        };
        for role in entities
            .policy_roles()
            .iter()
            .filter_map(|role| role.role_name())
        {
            let call = self.client.detach_role_policy().role_name(role);
            match call.policy_arn(arn).send().await {
                Ok(_) => {}
                Err(error) => not_found(from_sdk("DetachRolePolicy", &error))?,
            }
        }
        let listed = self
            .client
            .list_policy_versions()
            .policy_arn(arn)
            .send()
            .await;
        let listed = listed.map_err(|error| from_sdk("ListPolicyVersions", &error))?;
        for version in listed.versions().iter().filter(|v| !v.is_default_version()) {
            let call = self.client.delete_policy_version().policy_arn(arn);
            let id = version.version_id().unwrap_or_default();
            let sent = call.version_id(id).send().await;
            sent.map_err(|error| from_sdk("DeletePolicyVersion", &error))?;
        }
        match self.client.delete_policy().policy_arn(arn).send().await {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => not_found(from_sdk("DeletePolicy", &error)).map(|()| Deletion::Gone),
        }
    }
}

fn inline_name(name: &str) -> String {
    format!("{name}{OWN_SUFFIX}")
}

fn roles(properties: &Map<String, Value>) -> Vec<String> {
    let mut roles = texts(properties.get("Roles"));
    if let Some(Value::String(role)) = properties.get("RoleName") {
        roles.push(role.clone());
    }
    roles.sort();
    roles
}

#[async_trait]
impl Handler for Policies {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::IAM::Policy", "AWS::IAM::RolePolicy", MANAGED]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        if lookup.resource_type == MANAGED {
            let name = lookup.physical_name.as_deref();
            let by_name =
                || predicted(&self.aws, MANAGED, name, Some(&lookup.properties)).reference;
            let lookup = Lookup {
                physical_id: lookup.physical_id.clone().or_else(by_name),
                ..lookup.clone()
            };
            self.read_managed(&lookup).await
        } else {
            self.read_inline(lookup).await
        }
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        if resource.resource_type == MANAGED {
            self.create_managed(resource).await
        } else {
            self.put_inline(resource).await
        }
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        if resource.resource_type != MANAGED {
            return self.put_inline(resource).await.map(drop);
        }
        let arn = &live.physical_id;
        if changed.contains("PolicyDocument") {
            let document = resource.get("PolicyDocument").cloned().unwrap_or_default();
            self.new_version(arn, document.to_string()).await?;
        }
        if changed.contains("Roles") {
            for role in texts(resource.get("Roles")) {
                let call = self.client.attach_role_policy().role_name(role);
                let sent = call.policy_arn(arn).send().await;
                sent.map_err(|error| from_sdk("AttachRolePolicy", &error))?;
            }
        }
        if changed.contains("Tags") {
            let tags = resource.all_tags();
            let tags = tags
                .into_iter()
                .filter_map(|(key, value)| sdk::Tag::builder().key(key).value(value).build().ok());
            let call = self.client.tag_policy().policy_arn(arn);
            let sent = call.set_tags(Some(tags.collect())).send().await;
            sent.map_err(|error| from_sdk("TagPolicy", &error))?;
            if !resource.removed_tags.is_empty() {
                let keys = Some(resource.removed_tags.iter().cloned().collect());
                let call = self.client.untag_policy().policy_arn(arn);
                let sent = call.set_tag_keys(keys).send().await;
                sent.map_err(|error| from_sdk("UntagPolicy", &error))?;
            }
        }
        Ok(())
    }

    async fn delete(
        &self,
        resource_type: &str,
        physical_id: &str,
    ) -> Result<Deletion, ApplierError> {
        if resource_type == MANAGED {
            self.delete_managed(physical_id).await
        } else {
            self.delete_inline(physical_id).await
        }
    }

    fn normalise(&self, resource_type: &str, properties: &mut Map<String, Value>) {
        if let Some(document) = properties.get("PolicyDocument") {
            let document = normal(document);
            properties.insert("PolicyDocument".to_owned(), document);
        }
        if let Some(Value::Array(list)) = properties.get_mut("Roles") {
            list.sort_by_key(Value::to_string);
        }
        if resource_type == MANAGED && properties.get("Path") == Some(&json!("/")) {
            properties.remove("Path");
        }
    }
}
