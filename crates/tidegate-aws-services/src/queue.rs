//! `AWS::SQS::Queue` and `AWS::SQS::QueuePolicy`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use aws_types::SdkConfig;
use serde_json::{Map, Value, json};
use tidegate_applier::ApplierError;
use tidegate_aws::{Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::shapes::{document, flags, integer, not_found, numbers, parsed, texts};

const POLICY: &str = "AWS::SQS::QueuePolicy";

/// Attributes that are numbers, under CloudFormation's names, with the service's defaults.
const NUMBERS: &[(&str, &str, i64)] = &[
    ("DelaySeconds", "DelaySeconds", 0),
    ("MaximumMessageSize", "MaximumMessageSize", 262_144),
    ("MessageRetentionPeriod", "MessageRetentionPeriod", 345_600),
    (
        "ReceiveMessageWaitTimeSeconds",
        "ReceiveMessageWaitTimeSeconds",
        0,
    ),
    ("VisibilityTimeout", "VisibilityTimeout", 30),
    (
        "KmsDataKeyReusePeriodSeconds",
        "KmsDataKeyReusePeriodSeconds",
        300,
    ),
];
/// Attributes that are text.
const TEXTS: &[&str] = &[
    "KmsMasterKeyId",
    "DeduplicationScope",
    "FifoThroughputLimit",
];
/// Attributes that are flags.
const FLAGS: &[&str] = &["FifoQueue", "ContentBasedDeduplication"];
/// Attributes that are documents.
const DOCUMENTS: &[&str] = &["RedrivePolicy", "RedriveAllowPolicy"];
/// Larger messages are allowed since; both are defaults.
const LARGE_MESSAGE: i64 = 1_048_576;

/// Queues and their policies.
#[derive(Debug)]
pub(crate) struct Queues {
    client: Client,
}

impl Queues {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    async fn url(&self, lookup: &Lookup) -> Result<Option<String>, ApplierError> {
        if let Some(url) = &lookup.physical_id {
            return Ok(Some(url.clone()));
        }
        let Some(name) = &lookup.physical_name else {
            return Ok(None);
        };
        match self.client.get_queue_url().queue_name(name).send().await {
            Ok(found) => Ok(found.queue_url),
            Err(error) => not_found(from_sdk("GetQueueUrl", &error)).map(|()| None),
        }
    }

    async fn attributes(&self, url: &str) -> Result<Option<HashMap<Name, String>>, ApplierError> {
        let call = self.client.get_queue_attributes().queue_url(url);
        match call.attribute_names(Name::All).send().await {
            Ok(found) => Ok(Some(found.attributes.unwrap_or_default())),
            Err(error) => not_found(from_sdk("GetQueueAttributes", &error)).map(|()| None),
        }
    }

    async fn read_queue(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let Some(url) = self.url(lookup).await? else {
            return Ok(None);
        };
        let Some(found) = self.attributes(&url).await? else {
            return Ok(None);
        };
        let get = |name: &str| found.get(&Name::from(name)).cloned();
        let name = url.rsplit('/').next().unwrap_or_default().to_owned();
        let mut properties = Map::from_iter([("QueueName".to_owned(), json!(name))]);
        for (property, attribute, default) in NUMBERS {
            let number = get(attribute).and_then(|text| text.parse::<i64>().ok());
            let is_default = |number: i64| {
                number == *default || (*property == "MaximumMessageSize" && number == LARGE_MESSAGE)
            };
            if let Some(number) = number.filter(|number| !is_default(*number)) {
                properties.insert((*property).to_owned(), json!(number));
            }
        }
        for name in TEXTS {
            let text = get(name).filter(|text| !text.is_empty());
            let is_default = |text: &str| {
                (*name == "DeduplicationScope" && text == "queue")
                    || (*name == "FifoThroughputLimit" && text == "perQueue")
            };
            if let Some(text) = text.filter(|text| !is_default(text)) {
                properties.insert((*name).to_owned(), json!(text));
            }
        }
        for name in FLAGS {
            if get(name).as_deref() == Some("true") {
                properties.insert((*name).to_owned(), json!(true));
            }
        }
        for name in DOCUMENTS {
            if let Some(text) = get(name).filter(|text| !text.is_empty()) {
                properties.insert((*name).to_owned(), redrive(&parsed(&json!(text))));
            }
        }
        let arn = get("QueueArn").unwrap_or_default();
        let tags = self.client.list_queue_tags().queue_url(&url).send().await;
        let tags = tags.map_err(|error| from_sdk("ListQueueTags", &error))?;
        let tags = tags.tags.unwrap_or_default().into_iter().collect();
        Ok(Some(LiveResource {
            physical_id: url.clone(),
            reference: url.clone(),
            attributes: BTreeMap::from([
                ("Arn".to_owned(), json!(arn)),
                ("QueueName".to_owned(), json!(name)),
                ("QueueUrl".to_owned(), json!(url)),
            ]),
            properties,
            tags: Some(tags),
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    /// Each queue of a policy has the same document.
    async fn read_policy(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let wanted = texts(lookup.properties.get("Queues"));
        let by_id = lookup.physical_id.as_ref().map(|id| {
            let urls = id.split('|').map(str::to_owned);
            urls.collect::<Vec<_>>()
        });
        let urls = by_id.unwrap_or(wanted);
        let mut found = None;
        let mut with = Vec::new();
        for url in &urls {
            let attributes = self.attributes(url).await?.unwrap_or_default();
            if let Some(text) = attributes
                .get(&Name::Policy)
                .filter(|text| !text.is_empty())
            {
                found = Some(parsed(&json!(text)));
                with.push(url.clone());
            }
        }
        let Some(document) = found else {
            return Ok(None);
        };
        Ok(Some(LiveResource {
            physical_id: urls.join("|"),
            reference: urls.join("|"),
            attributes: BTreeMap::new(),
            properties: Map::from_iter([
                ("PolicyDocument".to_owned(), document),
                ("Queues".to_owned(), json!(with)),
            ]),
            tags: None,
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn set(&self, url: &str, attributes: HashMap<Name, String>) -> Result<(), ApplierError> {
        let call = self.client.set_queue_attributes().queue_url(url);
        let sent = call.set_attributes(Some(attributes)).send().await;
        sent.map(drop)
            .map_err(|error| from_sdk("SetQueueAttributes", &error))
    }

    async fn put_policy(&self, resource: &Resource) -> Result<String, ApplierError> {
        let urls = texts(resource.get("Queues"));
        let text = document(resource.get("PolicyDocument"));
        for url in &urls {
            self.set(url, HashMap::from([(Name::Policy, text.clone())]))
                .await?;
        }
        Ok(urls.join("|"))
    }
}

/// `maxReceiveCount` comes back as text or as a number.
fn redrive(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(count) = integer(value.get("maxReceiveCount")) {
        value["maxReceiveCount"] = json!(count);
    }
    value
}

/// The attributes that some properties say; those in `reset` go back to their defaults.
fn attributes(resource: &Resource, changed: Option<&BTreeSet<String>>) -> HashMap<Name, String> {
    let mut attributes = HashMap::new();
    let is_asked = |name: &str| changed.is_none_or(|changed| changed.contains(name));
    for (property, attribute, default) in NUMBERS {
        let value = integer(resource.get(property));
        let value = value.or(changed.map(|_| *default));
        if let Some(value) = value.filter(|_| is_asked(property)) {
            attributes.insert(Name::from(*attribute), value.to_string());
        }
    }
    for name in TEXTS {
        let text = resource.text(name).map(str::to_owned);
        let text = text.or(changed.map(|_| String::new()));
        if let Some(text) = text.filter(|_| is_asked(name)) {
            attributes.insert(Name::from(*name), text);
        }
    }
    for name in FLAGS {
        let is_created_only = *name == "FifoQueue" && changed.is_some();
        if let Some(flag) = resource
            .flag(name)
            .filter(|_| is_asked(name) && !is_created_only)
            && (flag || changed.is_some())
        {
            attributes.insert(Name::from(*name), flag.to_string());
        }
    }
    for name in DOCUMENTS {
        let text = resource.get(name).map(|found| document(Some(found)));
        let text = text.or(changed.map(|_| String::new()));
        if let Some(text) = text.filter(|_| is_asked(name)) {
            attributes.insert(Name::from(*name), text);
        }
    }
    attributes
}

#[async_trait]
impl Handler for Queues {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::SQS::Queue", POLICY]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        if lookup.resource_type == POLICY {
            self.read_policy(lookup).await
        } else {
            self.read_queue(lookup).await
        }
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        if resource.resource_type == POLICY {
            return self.put_policy(resource).await;
        }
        let call = self
            .client
            .create_queue()
            .queue_name(resource.physical_name.clone().unwrap_or_default())
            .set_attributes(Some(attributes(resource, None)))
            .set_tags(Some(resource.all_tags().into_iter().collect()));
        let made = call.send().await;
        let made = made.map_err(|error| {
            let error = from_sdk("CreateQueue", &error);
            // A name is free again a minute after its queue was deleted.
            let is_recent = error.message.contains("QueueDeletedRecently");
            error.retryable(is_recent)
        })?;
        Ok(made.queue_url.unwrap_or_default())
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        if resource.resource_type == POLICY {
            return self.put_policy(resource).await.map(drop);
        }
        let url = &live.physical_id;
        let wanted = attributes(resource, Some(changed));
        if !wanted.is_empty() {
            self.set(url, wanted).await?;
        }
        if changed.contains("Tags") {
            let call = self.client.tag_queue().queue_url(url);
            let tags = resource.all_tags().into_iter().collect();
            let sent = call.set_tags(Some(tags)).send().await;
            sent.map_err(|error| from_sdk("TagQueue", &error))?;
            if !resource.removed_tags.is_empty() {
                let keys = Some(resource.removed_tags.iter().cloned().collect());
                let call = self.client.untag_queue().queue_url(url);
                let sent = call.set_tag_keys(keys).send().await;
                sent.map_err(|error| from_sdk("UntagQueue", &error))?;
            }
        }
        Ok(())
    }

    async fn delete(
        &self,
        resource_type: &str,
        physical_id: &str,
    ) -> Result<Deletion, ApplierError> {
        if resource_type == POLICY {
            for url in physical_id.split('|') {
                let empty = HashMap::from([(Name::Policy, String::new())]);
                match self.set(url, empty).await {
                    Ok(()) => {}
                    Err(error) => not_found(error)?,
                }
            }
            return Ok(Deletion::Gone);
        }
        match self
            .client
            .delete_queue()
            .queue_url(physical_id)
            .send()
            .await
        {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => not_found(from_sdk("DeleteQueue", &error)).map(|()| Deletion::Gone),
        }
    }

    fn normalise(&self, resource_type: &str, properties: &mut Map<String, Value>) {
        if resource_type == POLICY {
            if let Some(document) = properties.get("PolicyDocument") {
                let document = parsed(document);
                properties.insert("PolicyDocument".to_owned(), document);
            }
            return;
        }
        let defaults: Vec<(&str, i64)> = NUMBERS.iter().map(|(name, _, n)| (*name, *n)).collect();
        numbers(properties, &defaults);
        flags(properties, FLAGS);
        for name in DOCUMENTS {
            if let Some(found) = properties.get(*name) {
                let found = redrive(&parsed(found));
                properties.insert((*name).to_owned(), found);
            }
        }
    }
}
