//! `AWS::IAM::Role`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_iam::Client;
use aws_sdk_iam::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::configuration::{layers as texts, number};
use crate::document::{decoded, normal};
use crate::function::not_found;

/// Sessions last an hour unless a role says otherwise.
const SESSION: i32 = 3_600;

/// Roles.
#[derive(Debug)]
pub(crate) struct Roles {
    client: Client,
}

impl Roles {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn inline(&self, role: &str) -> Result<Vec<Value>, ApplierError> {
        let mut pages = self
            .client
            .list_role_policies()
            .role_name(role)
            .into_paginator()
            .send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| from_sdk("ListRolePolicies", &error))?;
            names.extend(page.policy_names);
        }
        names.sort();
        let mut policies = Vec::with_capacity(names.len());
        for name in names {
            let call = self
                .client
                .get_role_policy()
                .role_name(role)
                .policy_name(&name);
            let found = call.send().await;
            let found = found.map_err(|error| from_sdk("GetRolePolicy", &error))?;
            let document = normal(&decoded(found.policy_document()));
            policies.push(json!({"PolicyName": name, "PolicyDocument": document}));
        }
        Ok(policies)
    }

    async fn attached(&self, role: &str) -> Result<Vec<String>, ApplierError> {
        let mut pages = self
            .client
            .list_attached_role_policies()
            .role_name(role)
            .into_paginator()
            .send();
        let mut arns = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| from_sdk("ListAttachedRolePolicies", &error))?;
            let found = page.attached_policies.unwrap_or_default();
            arns.extend(found.into_iter().filter_map(|policy| policy.policy_arn));
        }
        arns.sort();
        Ok(arns)
    }

    /// Puts and takes away inline policies so that just the wanted ones are there; those that are
    /// policies of their own (`AWS::IAM::Policy`) are not among `before`.
    async fn set_inline(
        &self,
        role: &str,
        wanted: &Value,
        before: &[Value],
    ) -> Result<(), ApplierError> {
        let name = |policy: &Value| {
            policy
                .get("PolicyName")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let list = wanted.as_array().cloned().unwrap_or_default();
        let names: BTreeSet<String> = list.iter().filter_map(name).collect();
        for policy in &list {
            let document = policy.get("PolicyDocument").cloned().unwrap_or_default();
            let text = match document {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let call = self.client.put_role_policy().role_name(role);
            let call = call.policy_name(name(policy).unwrap_or_default());
            let sent = call.policy_document(text).send().await;
            sent.map_err(|error| from_sdk("PutRolePolicy", &error))?;
        }
        for gone in before
            .iter()
            .filter_map(name)
            .filter(|name| !names.contains(name))
        {
            let call = self.client.delete_role_policy().role_name(role);
            match call.policy_name(gone).send().await {
                Ok(_) => {}
                Err(error) => not_found(from_sdk("DeleteRolePolicy", &error))?,
            }
        }
        Ok(())
    }

    async fn set_attached(&self, role: &str, wanted: &[String]) -> Result<(), ApplierError> {
        let current = self.attached(role).await?;
        for arn in wanted.iter().filter(|arn| !current.contains(arn)) {
            let call = self.client.attach_role_policy().role_name(role);
            let sent = call.policy_arn(arn).send().await;
            sent.map_err(|error| from_sdk("AttachRolePolicy", &error))?;
        }
        for arn in current.iter().filter(|arn| !wanted.contains(arn)) {
            let call = self.client.detach_role_policy().role_name(role);
            match call.policy_arn(arn).send().await {
                Ok(_) => {}
                Err(error) => not_found(from_sdk("DetachRolePolicy", &error))?,
            }
        }
        Ok(())
    }
}

fn tags(resource: &Resource) -> Vec<sdk::Tag> {
    let all = resource.all_tags();
    let made = all
        .into_iter()
        .filter_map(|(key, value)| sdk::Tag::builder().key(key).value(value).build().ok());
    made.collect()
}

fn document_text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

#[async_trait]
impl Handler for Roles {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::IAM::Role"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let name = lookup
            .physical_id
            .as_deref()
            .or(lookup.physical_name.as_deref());
        let Some(name) = name else {
            return Ok(None);
        };
        let found = match self.client.get_role().role_name(name).send().await {
            Ok(found) => found,
            Err(error) => return not_found(from_sdk("GetRole", &error)).map(|()| None),
        };
        let Some(role) = found.role() else {
            return Ok(None);
        };
        let trust = role.assume_role_policy_document().unwrap_or_default();
        let mut properties = Map::from_iter([
            ("RoleName".to_owned(), json!(role.role_name())),
            (
                "AssumeRolePolicyDocument".to_owned(),
                normal(&decoded(trust)),
            ),
        ]);
        if role.path() != "/" {
            properties.insert("Path".to_owned(), json!(role.path()));
        }
        if let Some(text) = role.description().filter(|text| !text.is_empty()) {
            properties.insert("Description".to_owned(), json!(text));
        }
        if let Some(seconds) = role
            .max_session_duration()
            .filter(|seconds| *seconds != SESSION)
        {
            properties.insert("MaxSessionDuration".to_owned(), json!(seconds));
        }
        let boundary = role
            .permissions_boundary()
            .and_then(|boundary| boundary.permissions_boundary_arn());
        if let Some(arn) = boundary {
            properties.insert("PermissionsBoundary".to_owned(), json!(arn));
        }
        let attached = self.attached(name).await?;
        if !attached.is_empty() {
            properties.insert("ManagedPolicyArns".to_owned(), json!(attached));
        }
        let inline = self.inline(name).await?;
        let inline = own_inline(inline, lookup);
        if !inline.is_empty() {
            properties.insert("Policies".to_owned(), json!(inline));
        }
        let tags: BTreeMap<String, String> = role
            .tags()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
            .collect();
        Ok(Some(LiveResource {
            physical_id: role.role_name().to_owned(),
            reference: role.role_name().to_owned(),
            attributes: BTreeMap::from([
                ("Arn".to_owned(), json!(role.arn())),
                ("RoleId".to_owned(), json!(role.role_id())),
            ]),
            properties,
            tags: Some(tags),
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let name = resource.physical_name.clone().unwrap_or_default();
        let text = |property: &str| resource.text(property).map(str::to_owned);
        let call = self
            .client
            .create_role()
            .role_name(&name)
            .assume_role_policy_document(document_text(resource.get("AssumeRolePolicyDocument")))
            .set_path(text("Path"))
            .set_description(text("Description"))
            .set_max_session_duration(number(resource.get("MaxSessionDuration")))
            .set_permissions_boundary(text("PermissionsBoundary"))
            .set_tags(Some(tags(resource)));
        let sent = call.send().await;
        sent.map_err(|error| from_sdk("CreateRole", &error))?;
        self.set_attached(&name, &texts(resource.get("ManagedPolicyArns")))
            .await?;
        let inline = resource.get("Policies").cloned().unwrap_or_default();
        self.set_inline(&name, &inline, &[]).await?;
        Ok(name)
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let name = &live.physical_id;
        if changed.contains("AssumeRolePolicyDocument") {
            let call = self.client.update_assume_role_policy().role_name(name);
            let text = document_text(resource.get("AssumeRolePolicyDocument"));
            let sent = call.policy_document(text).send().await;
            sent.map_err(|error| from_sdk("UpdateAssumeRolePolicy", &error))?;
        }
        if changed.contains("Description") || changed.contains("MaxSessionDuration") {
            let seconds = number(resource.get("MaxSessionDuration")).unwrap_or(SESSION);
            let call = self.client.update_role().role_name(name);
            let call = call.description(resource.text("Description").unwrap_or_default());
            let sent = call.max_session_duration(seconds).send().await;
            sent.map_err(|error| from_sdk("UpdateRole", &error))?;
        }
        if changed.contains("PermissionsBoundary") {
            match resource.text("PermissionsBoundary") {
                Some(arn) => {
                    let call = self.client.put_role_permissions_boundary().role_name(name);
                    let sent = call.permissions_boundary(arn).send().await;
                    sent.map_err(|error| from_sdk("PutRolePermissionsBoundary", &error))?;
                }
                None => {
                    let call = self.client.delete_role_permissions_boundary();
                    let sent = call.role_name(name).send().await;
                    sent.map_err(|error| from_sdk("DeleteRolePermissionsBoundary", &error))?;
                }
            }
        }
        if changed.contains("ManagedPolicyArns") {
            self.set_attached(name, &texts(resource.get("ManagedPolicyArns")))
                .await?;
        }
        if changed.contains("Policies") {
            let before = live.properties.get("Policies").and_then(Value::as_array);
            let wanted = resource.get("Policies").cloned().unwrap_or_default();
            let before = before.cloned().unwrap_or_default();
            self.set_inline(name, &wanted, &before).await?;
        }
        if changed.contains("Tags") {
            if !resource.removed_tags.is_empty() {
                let keys = Some(resource.removed_tags.iter().cloned().collect());
                let call = self.client.untag_role().role_name(name);
                let sent = call.set_tag_keys(keys).send().await;
                sent.map_err(|error| from_sdk("UntagRole", &error))?;
            }
            let call = self.client.tag_role().role_name(name);
            let sent = call.set_tags(Some(tags(resource))).send().await;
            sent.map_err(|error| from_sdk("TagRole", &error))?;
        }
        Ok(())
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let attached = match self.attached(physical_id).await {
            Ok(attached) => attached,
            Err(error) => return not_found(error).map(|()| Deletion::Gone),
        };
        if !attached.is_empty() {
            self.set_attached(physical_id, &[]).await?;
        }
        let inline = self.inline(physical_id).await?;
        self.set_inline(physical_id, &Value::Null, &inline).await?;
        match self
            .client
            .delete_role()
            .role_name(physical_id)
            .send()
            .await
        {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => {
                let error = from_sdk("DeleteRole", &error);
                if error.kind == ErrorKind::Conflict {
                    return Err(error.retryable(true));
                }
                not_found(error).map(|()| Deletion::Gone)
            }
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        if let Some(document) = properties.get("AssumeRolePolicyDocument") {
            let document = normal(document);
            properties.insert("AssumeRolePolicyDocument".to_owned(), document);
        }
        if let Some(Value::Array(list)) = properties.get_mut("ManagedPolicyArns") {
            list.sort_by_key(Value::to_string);
            list.dedup();
        }
        if let Some(Value::Array(list)) = properties.get_mut("Policies") {
            for policy in list.iter_mut() {
                if let Some(document) = policy.get("PolicyDocument") {
                    policy["PolicyDocument"] = normal(document);
                }
            }
            list.sort_by_key(|policy| {
                let name = policy.get("PolicyName").and_then(Value::as_str);
                name.unwrap_or_default().to_owned()
            });
        }
        if properties.get("Path") == Some(&json!("/")) {
            properties.remove("Path");
        }
        if let Some(seconds) = number(properties.get("MaxSessionDuration")) {
            if seconds == SESSION {
                properties.remove("MaxSessionDuration");
            } else {
                properties.insert("MaxSessionDuration".to_owned(), json!(seconds));
            }
        }
        let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        properties.retain(|_, value| !is_empty(value));
    }
}

/// Inline policies that are resources of their own are none of the role's: they bear a mark in their names.
fn own_inline(inline: Vec<Value>, lookup: &Lookup) -> Vec<Value> {
    let wanted: BTreeSet<&str> = lookup
        .properties
        .get("Policies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|policy| policy.get("PolicyName")?.as_str())
        .collect();
    let is_own = |policy: &Value| {
        let name = policy.get("PolicyName").and_then(Value::as_str);
        let name = name.unwrap_or_default();
        wanted.contains(name) || !name.ends_with(crate::policy::OWN_SUFFIX)
    };
    inline.into_iter().filter(is_own).collect()
}
