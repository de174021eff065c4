//! `AWS::SNS::Topic`, `AWS::SNS::Subscription` and `AWS::SNS::TopicPolicy`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::ApplierError;
use tidegate_aws::{Aws, Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::shapes::{document, flags, not_found, parsed, texts};

const SUBSCRIPTION: &str = "AWS::SNS::Subscription";
const POLICY: &str = "AWS::SNS::TopicPolicy";
/// Attributes of a subscription, under the same names on both sides.
const OF_SUBSCRIPTION: &[&str] = &[
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
    "DeliveryPolicy",
];

/// Topics and what hangs on them.
#[derive(Debug)]
pub(crate) struct Topics {
    client: Client,
    aws: Aws,
}

impl Topics {
    pub(crate) fn new(aws: &Aws) -> Self {
        Self {
            client: Client::new(&aws.config),
            aws: aws.clone(),
        }
    }

    async fn attributes(&self, arn: &str) -> Result<Option<HashMap<String, String>>, ApplierError> {
        match self
            .client
            .get_topic_attributes()
            .topic_arn(arn)
            .send()
            .await
        {
            Ok(found) => Ok(Some(found.attributes.unwrap_or_default())),
            Err(error) => not_found(from_sdk("GetTopicAttributes", &error)).map(|()| None),
        }
    }

    async fn read_topic(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let named = lookup
            .physical_name
            .as_ref()
            .map(|name| self.aws.arn("sns", name));
        let Some(arn) = lookup.physical_id.clone().or(named) else {
            return Ok(None);
        };
        let Some(found) = self.attributes(&arn).await? else {
            return Ok(None);
        };
        let name = arn.rsplit(':').next().unwrap_or_default().to_owned();
        let mut properties = Map::from_iter([("TopicName".to_owned(), json!(name))]);
        for name in ["DisplayName", "KmsMasterKeyId"] {
            if let Some(text) = found.get(name).filter(|text| !text.is_empty()) {
                properties.insert(name.to_owned(), json!(text));
            }
        }
        for name in ["FifoTopic", "ContentBasedDeduplication"] {
            if found.get(name).map(String::as_str) == Some("true") {
                properties.insert(name.to_owned(), json!(true));
            }
        }
        for name in [
            "Subscription",
            "TracingConfig",
            "SignatureVersion",
            "ArchivePolicy",
            "DataProtectionPolicy",
            "DeliveryStatusLogging",
            "FifoThroughputScope",
        ] {
            if let Some(value) = lookup.properties.get(name) {
                properties.insert(name.to_owned(), value.clone());
            }
        }
        let tags = self
            .client
            .list_tags_for_resource()
            .resource_arn(&arn)
            .send()
            .await;
        let tags = tags.map_err(|error| from_sdk("ListTagsForResource", &error))?;
        let tags = tags
            .tags()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
        Ok(Some(LiveResource {
            physical_id: arn.clone(),
            reference: arn.clone(),
            attributes: BTreeMap::from([
                ("TopicArn".to_owned(), json!(arn)),
                ("TopicName".to_owned(), json!(name)),
            ]),
            properties,
            tags: Some(tags.collect()),
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn find_subscription(&self, lookup: &Lookup) -> Result<Option<String>, ApplierError> {
        if let Some(arn) = &lookup.physical_id {
            return Ok(Some(arn.clone()));
        }
        let Some(topic) = lookup.text("TopicArn") else {
            return Ok(None);
        };
        let call = self.client.list_subscriptions_by_topic().topic_arn(topic);
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let error = from_sdk("ListSubscriptionsByTopic", &error);
                    return not_found(error).map(|()| None);
                }
            };
            let found = page.subscriptions().iter().find(|one| {
                one.endpoint() == lookup.text("Endpoint")
                    && one.protocol() == lookup.text("Protocol")
            });
            if let Some(arn) = found.and_then(|one| one.subscription_arn()) {
                return Ok(Some(arn.to_owned()));
            }
        }
        Ok(None)
    }

    async fn read_subscription(
        &self,
        lookup: &Lookup,
    ) -> Result<Option<LiveResource>, ApplierError> {
        let Some(arn) = self.find_subscription(lookup).await? else {
            return Ok(None);
        };
        let call = self
            .client
            .get_subscription_attributes()
            .subscription_arn(&arn);
        let found = match call.send().await {
            Ok(found) => found.attributes.unwrap_or_default(),
            Err(error) => {
                return not_found(from_sdk("GetSubscriptionAttributes", &error)).map(|()| None);
            }
        };
        let mut properties = Map::new();
        for name in ["TopicArn", "Protocol", "Endpoint"] {
            properties.insert(name.to_owned(), json!(found.get(name)));
        }
        for name in OF_SUBSCRIPTION {
            if let Some(text) = found.get(*name).filter(|text| !text.is_empty()) {
                properties.insert((*name).to_owned(), parsed(&json!(text)));
            }
        }
        normal_subscription(&mut properties);
        if let Some(region) = lookup.properties.get("Region") {
            properties.insert("Region".to_owned(), region.clone());
        }
        Ok(Some(LiveResource {
            physical_id: arn.clone(),
            reference: arn.clone(),
            attributes: BTreeMap::from([("Arn".to_owned(), json!(arn))]),
            properties,
            tags: None,
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn read_policy(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let by_id = lookup
            .physical_id
            .as_ref()
            .map(|id| id.split('|').map(str::to_owned).collect::<Vec<_>>());
        let topics = by_id.unwrap_or_else(|| texts(lookup.properties.get("Topics")));
        let mut document = None;
        for arn in &topics {
            let found = self.attributes(arn).await?.unwrap_or_default();
            if let Some(text) = found.get("Policy").filter(|text| !text.is_empty()) {
                document = Some(parsed(&json!(text)));
            }
        }
        // Every topic has a policy by default: only ours counts as there.
        let wanted = lookup.properties.get("PolicyDocument").map(parsed);
        let Some(document) =
            document.filter(|found| lookup.physical_id.is_some() || wanted.as_ref() == Some(found))
        else {
            return Ok(None);
        };
        Ok(Some(LiveResource {
            physical_id: topics.join("|"),
            reference: topics.join("|"),
            attributes: BTreeMap::new(),
            properties: Map::from_iter([
                ("PolicyDocument".to_owned(), document),
                ("Topics".to_owned(), json!(topics)),
            ]),
            tags: None,
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn put_policy(&self, resource: &Resource) -> Result<String, ApplierError> {
        let topics = texts(resource.get("Topics"));
        let text = document(resource.get("PolicyDocument"));
        for arn in &topics {
            self.set(arn, "Policy", &text).await?;
        }
        Ok(topics.join("|"))
    }

    async fn set(&self, arn: &str, name: &str, value: &str) -> Result<(), ApplierError> {
        let call = self.client.set_topic_attributes().topic_arn(arn);
        let sent = call
            .attribute_name(name)
            .attribute_value(value)
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| from_sdk("SetTopicAttributes", &error))
    }

    async fn subscribe(&self, resource: &Resource) -> Result<String, ApplierError> {
        let attributes: HashMap<String, String> = OF_SUBSCRIPTION
            .iter()
            .filter_map(|name| {
                let value = resource.get(name)?;
                Some(((*name).to_owned(), document(Some(value))))
            })
            .collect();
        let call = self
            .client
            .subscribe()
            .topic_arn(resource.text("TopicArn").unwrap_or_default())
            .protocol(resource.text("Protocol").unwrap_or_default())
            .set_endpoint(resource.text("Endpoint").map(str::to_owned))
            .set_attributes((!attributes.is_empty()).then_some(attributes))
            .return_subscription_arn(true);
        let made = call.send().await;
        let made = made.map_err(|error| from_sdk("Subscribe", &error))?;
        Ok(made.subscription_arn.unwrap_or_default())
    }
}

fn normal_subscription(properties: &mut Map<String, Value>) {
    flags(properties, &["RawMessageDelivery"]);
    if properties.get("FilterPolicyScope") == Some(&json!("MessageAttributes")) {
        properties.remove("FilterPolicyScope");
    }
    for name in ["FilterPolicy", "RedrivePolicy", "DeliveryPolicy"] {
        if let Some(found) = properties.get(name) {
            let found = parsed(found);
            properties.insert(name.to_owned(), found);
        }
    }
}

fn tags(resource: &Resource) -> Vec<sdk::Tag> {
    let all = resource.all_tags();
    let made = all
        .into_iter()
        .filter_map(|(key, value)| sdk::Tag::builder().key(key).value(value).build().ok());
    made.collect()
}

#[async_trait]
impl Handler for Topics {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::SNS::Topic", SUBSCRIPTION, POLICY]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        match lookup.resource_type.as_str() {
            SUBSCRIPTION => self.read_subscription(lookup).await,
            POLICY => self.read_policy(lookup).await,
            _ => self.read_topic(lookup).await,
        }
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        match resource.resource_type.as_str() {
            SUBSCRIPTION => return self.subscribe(resource).await,
            POLICY => return self.put_policy(resource).await,
            _ => {}
        }
        let mut attributes = HashMap::new();
        for name in ["DisplayName", "KmsMasterKeyId"] {
            if let Some(text) = resource.text(name) {
                attributes.insert(name.to_owned(), text.to_owned());
            }
        }
        for name in ["FifoTopic", "ContentBasedDeduplication"] {
            if resource.flag(name) == Some(true) {
                attributes.insert(name.to_owned(), "true".to_owned());
            }
        }
        let call = self.client.create_topic();
        let call = call.name(resource.physical_name.clone().unwrap_or_default());
        let call = call.set_attributes((!attributes.is_empty()).then_some(attributes));
        let made = call.set_tags(Some(tags(resource))).send().await;
        let made = made.map_err(|error| from_sdk("CreateTopic", &error))?;
        Ok(made.topic_arn.unwrap_or_default())
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let arn = &live.physical_id;
        match resource.resource_type.as_str() {
            POLICY => return self.put_policy(resource).await.map(drop),
            SUBSCRIPTION => {
                for name in OF_SUBSCRIPTION
                    .iter()
                    .filter(|name| changed.contains(**name))
                {
                    let value = document(resource.get(name));
                    let value = match (*name, value.is_empty()) {
                        ("RawMessageDelivery", true) => "false".to_owned(),
                        ("FilterPolicyScope", true) => "MessageAttributes".to_owned(),
                        ("FilterPolicy", true) => "{}".to_owned(),
                        _ => value,
                    };
                    let call = self
                        .client
                        .set_subscription_attributes()
                        .subscription_arn(arn);
                    let sent = call
                        .attribute_name(*name)
                        .attribute_value(value)
                        .send()
                        .await;
                    sent.map_err(|error| from_sdk("SetSubscriptionAttributes", &error))?;
                }
                return Ok(());
            }
            _ => {}
        }
        for name in ["DisplayName", "KmsMasterKeyId", "ContentBasedDeduplication"] {
            if changed.contains(name) {
                let value = match resource.get(name) {
                    Some(Value::Bool(flag)) => flag.to_string(),
                    _ => resource.text(name).unwrap_or_default().to_owned(),
                };
                self.set(arn, name, &value).await?;
            }
        }
        if changed.contains("Tags") {
            let call = self.client.tag_resource().resource_arn(arn);
            let sent = call.set_tags(Some(tags(resource))).send().await;
            sent.map_err(|error| from_sdk("TagResource", &error))?;
            if !resource.removed_tags.is_empty() {
                let keys = Some(resource.removed_tags.iter().cloned().collect());
                let call = self.client.untag_resource().resource_arn(arn);
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
        let gone = |error: ApplierError| not_found(error).map(|()| Deletion::Gone);
        match resource_type {
            // A topic always has a policy; without one of ours the default one does.
            POLICY => Ok(Deletion::Gone),
            SUBSCRIPTION => {
                let call = self.client.unsubscribe().subscription_arn(physical_id);
                match call.send().await {
                    Ok(_) => Ok(Deletion::Gone),
                    Err(error) => gone(from_sdk("Unsubscribe", &error)),
                }
            }
            _ => match self
                .client
                .delete_topic()
                .topic_arn(physical_id)
                .send()
                .await
            {
                Ok(_) => Ok(Deletion::Gone),
                Err(error) => gone(from_sdk("DeleteTopic", &error)),
            },
        }
    }

    fn normalise(&self, resource_type: &str, properties: &mut Map<String, Value>) {
        match resource_type {
            SUBSCRIPTION => normal_subscription(properties),
            POLICY => {
                if let Some(found) = properties.get("PolicyDocument") {
                    let found = parsed(found);
                    properties.insert("PolicyDocument".to_owned(), found);
                }
            }
            _ => flags(properties, &["FifoTopic", "ContentBasedDeduplication"]),
        }
    }
}
