//! `AWS::Logs::LogGroup` and `AWS::Logs::SubscriptionFilter`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types as sdk;
use aws_types::SdkConfig;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::shapes::{integer, not_found};

const FILTER: &str = "AWS::Logs::SubscriptionFilter";

/// Log groups and subscription filters.
#[derive(Debug)]
pub(crate) struct Logs {
    client: Client,
}

impl Logs {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    async fn group(&self, name: &str) -> Result<Option<sdk::LogGroup>, ApplierError> {
        let call = self
            .client
            .describe_log_groups()
            .log_group_name_prefix(name);
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| from_sdk("DescribeLogGroups", &error))?;
            let mut groups = page.log_groups.unwrap_or_default().into_iter();
            if let Some(found) = groups.find(|group| group.log_group_name() == Some(name)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn read_group(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let name = lookup
            .physical_id
            .as_deref()
            .or(lookup.physical_name.as_deref());
        let Some(name) = name else {
            return Ok(None);
        };
        let Some(found) = self.group(name).await? else {
            return Ok(None);
        };
        let mut properties = Map::from_iter([("LogGroupName".to_owned(), json!(name))]);
        if let Some(days) = found.retention_in_days() {
            properties.insert("RetentionInDays".to_owned(), json!(days));
        }
        if let Some(key) = found.kms_key_id().filter(|key| !key.is_empty()) {
            properties.insert("KmsKeyId".to_owned(), json!(key));
        }
        if let Some(class) = found
            .log_group_class()
            .filter(|class| class.as_str() != "STANDARD")
        {
            properties.insert("LogGroupClass".to_owned(), json!(class.as_str()));
        }
        for name in ["DataProtectionPolicy", "FieldIndexPolicies"] {
            if let Some(value) = lookup.properties.get(name) {
                properties.insert(name.to_owned(), value.clone());
            }
        }
        let arn = found.arn().unwrap_or_default().to_owned();
        let plain = arn.strip_suffix(":*").unwrap_or(&arn);
        let tags = self
            .client
            .list_tags_for_resource()
            .resource_arn(plain)
            .send()
            .await;
        let tags = tags.map_err(|error| from_sdk("ListTagsForResource", &error))?;
        let tags = tags.tags.unwrap_or_default().into_iter().collect();
        Ok(Some(LiveResource {
            physical_id: name.to_owned(),
            reference: name.to_owned(),
            attributes: BTreeMap::from([("Arn".to_owned(), json!(arn))]),
            properties,
            tags: Some(tags),
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn set_retention(&self, name: &str, days: Option<i64>) -> Result<(), ApplierError> {
        match days.and_then(|days| i32::try_from(days).ok()) {
            Some(days) => {
                let call = self.client.put_retention_policy().log_group_name(name);
                let sent = call.retention_in_days(days).send().await;
                sent.map(drop)
                    .map_err(|error| from_sdk("PutRetentionPolicy", &error))
            }
            None => {
                let call = self.client.delete_retention_policy().log_group_name(name);
                match call.send().await {
                    Ok(_) => Ok(()),
                    Err(error) => not_found(from_sdk("DeleteRetentionPolicy", &error)),
                }
            }
        }
    }

    async fn read_filter(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let by_id = lookup
            .physical_id
            .as_deref()
            .and_then(|id| id.split_once('|'));
        let invented = filter_name(
            &lookup.properties,
            &lookup.mark.stack,
            &lookup.mark.logical_id,
        );
        let wanted = lookup
            .text("LogGroupName")
            .map(|group| (invented.as_str(), group));
        let Some((name, group)) = by_id.or(wanted) else {
            return Ok(None);
        };
        let call = self
            .client
            .describe_subscription_filters()
            .log_group_name(group);
        let found = match call.filter_name_prefix(name).send().await {
            Ok(found) => found,
            Err(error) => {
                return not_found(from_sdk("DescribeSubscriptionFilters", &error)).map(|()| None);
            }
        };
        let mut filters = found.subscription_filters.unwrap_or_default().into_iter();
        let Some(filter) = filters.find(|filter| filter.filter_name() == Some(name)) else {
            return Ok(None);
        };
        let mut properties = Map::from_iter([
            ("FilterName".to_owned(), json!(name)),
            ("LogGroupName".to_owned(), json!(group)),
            (
                "DestinationArn".to_owned(),
                json!(filter.destination_arn().unwrap_or_default()),
            ),
            (
                "FilterPattern".to_owned(),
                json!(filter.filter_pattern().unwrap_or_default()),
            ),
        ]);
        if let Some(role) = filter.role_arn().filter(|role| !role.is_empty()) {
            properties.insert("RoleArn".to_owned(), json!(role));
        }
        if let Some(kind) = filter
            .distribution()
            .filter(|kind| kind.as_str() != "ByLogStream")
        {
            properties.insert("Distribution".to_owned(), json!(kind.as_str()));
        }
        Ok(Some(LiveResource {
            physical_id: format!("{name}|{group}"),
            reference: name.to_owned(),
            attributes: BTreeMap::new(),
            properties,
            tags: None,
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn put_filter(&self, resource: &Resource) -> Result<String, ApplierError> {
        let mark = &resource.mark;
        let name = filter_name(&resource.properties, &mark.stack, &mark.logical_id);
        let group = resource.text("LogGroupName").unwrap_or_default();
        let kind = resource.text("Distribution");
        let call = self
            .client
            .put_subscription_filter()
            .filter_name(&name)
            .log_group_name(group)
            .filter_pattern(resource.text("FilterPattern").unwrap_or_default())
            .destination_arn(resource.text("DestinationArn").unwrap_or_default())
            .set_role_arn(resource.text("RoleArn").map(str::to_owned))
            .set_distribution(kind.map(sdk::Distribution::from));
        let sent = call.send().await;
        sent.map_err(|error| from_sdk("PutSubscriptionFilter", &error))?;
        Ok(format!("{name}|{group}"))
    }
}

fn filter_name(properties: &Map<String, Value>, stack: &str, logical_id: &str) -> String {
    match properties.get("FilterName").and_then(Value::as_str) {
        Some(name) => name.to_owned(),
        None => format!("{stack}-{logical_id}"),
    }
}

#[async_trait]
impl Handler for Logs {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Logs::LogGroup", FILTER]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        if lookup.resource_type == FILTER {
            let mut found = self.read_filter(lookup).await?;
            // A name that nobody declared is no property of it.
            if let Some(found) = &mut found
                && !lookup.properties.contains_key("FilterName")
            {
                found.properties.remove("FilterName");
            }
            return Ok(found);
        }
        self.read_group(lookup).await
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        if resource.resource_type == FILTER {
            return self.put_filter(resource).await;
        }
        let name = resource.physical_name.clone().unwrap_or_default();
        let class = resource.text("LogGroupClass");
        let call = self
            .client
            .create_log_group()
            .log_group_name(&name)
            .set_kms_key_id(resource.text("KmsKeyId").map(str::to_owned))
            .set_log_group_class(class.map(sdk::LogGroupClass::from))
            .set_tags(Some(resource.all_tags().into_iter().collect()));
        match call.send().await {
            Ok(_) => {}
            Err(error) => {
                let error = from_sdk("CreateLogGroup", &error);
                if error.kind != ErrorKind::Conflict {
                    return Err(error);
                }
            }
        }
        if let Some(days) = integer(resource.get("RetentionInDays")) {
            self.set_retention(&name, Some(days)).await?;
        }
        Ok(name)
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        if resource.resource_type == FILTER {
            return self.put_filter(resource).await.map(drop);
        }
        let name = &live.physical_id;
        if changed.contains("RetentionInDays") {
            self.set_retention(name, integer(resource.get("RetentionInDays")))
                .await?;
        }
        if changed.contains("KmsKeyId") {
            match resource.text("KmsKeyId") {
                Some(key) => {
                    let call = self.client.associate_kms_key().log_group_name(name);
                    let sent = call.kms_key_id(key).send().await;
                    sent.map_err(|error| from_sdk("AssociateKmsKey", &error))?;
                }
                None => {
                    let call = self.client.disassociate_kms_key().log_group_name(name);
                    let sent = call.send().await;
                    sent.map_err(|error| from_sdk("DisassociateKmsKey", &error))?;
                }
            }
        }
        if changed.contains("Tags") {
            let arn = live.attributes.get("Arn").and_then(Value::as_str);
            let arn = arn.unwrap_or_default();
            let call = self.client.tag_resource();
            let call = call.resource_arn(arn.strip_suffix(":*").unwrap_or(arn));
            let tags = resource.all_tags().into_iter().collect();
            let sent = call.set_tags(Some(tags)).send().await;
            sent.map_err(|error| from_sdk("TagResource", &error))?;
            if !resource.removed_tags.is_empty() {
                let keys = Some(resource.removed_tags.iter().cloned().collect());
                let call = self.client.untag_resource();
                let call = call.resource_arn(arn.strip_suffix(":*").unwrap_or(arn));
                let sent = call.set_tag_keys(keys).send().await;
                sent.map_err(|error| from_sdk("UntagResource", &error))?;
            }
        }
        Ok(())
    }

    async fn delete(
        &self,
        resource_type: &str,
        physical_id: &str,
    ) -> Result<Deletion, ApplierError> {
        if resource_type == FILTER {
            let Some((name, group)) = physical_id.split_once('|') else {
                return Ok(Deletion::Gone);
            };
            let call = self.client.delete_subscription_filter();
            return match call.filter_name(name).log_group_name(group).send().await {
                Ok(_) => Ok(Deletion::Gone),
                Err(error) => {
                    not_found(from_sdk("DeleteSubscriptionFilter", &error)).map(|()| Deletion::Gone)
                }
            };
        }
        let call = self.client.delete_log_group().log_group_name(physical_id);
        match call.send().await {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => not_found(from_sdk("DeleteLogGroup", &error)).map(|()| Deletion::Gone),
        }
    }

    fn normalise(&self, resource_type: &str, properties: &mut Map<String, Value>) {
        if resource_type == FILTER {
            if properties.get("Distribution") == Some(&json!("ByLogStream")) {
                properties.remove("Distribution");
            }
            return;
        }
        if let Some(days) = integer(properties.get("RetentionInDays")) {
            properties.insert("RetentionInDays".to_owned(), json!(days));
        }
        if properties.get("LogGroupClass") == Some(&json!("STANDARD")) {
            properties.remove("LogGroupClass");
        }
    }
}
