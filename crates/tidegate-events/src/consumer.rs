//! `AWS::Kinesis::StreamConsumer`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

/// Consumers with a share of a stream of their own.
#[derive(Debug)]
pub(crate) struct Consumers {
    client: Client,
}

impl Consumers {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn describe(
        &self,
        arn: Option<&str>,
        named: Option<(&str, &str)>,
    ) -> Result<Option<sdk::ConsumerDescription>, ApplierError> {
        let call = self.client.describe_stream_consumer();
        let call = match (arn, named) {
            (Some(arn), _) => call.consumer_arn(arn),
            (None, Some((stream, name))) => call.stream_arn(stream).consumer_name(name),
            (None, None) => return Ok(None),
        };
        match call.send().await {
            Ok(found) => Ok(found.consumer_description),
            Err(error) => {
                let error = from_sdk("DescribeStreamConsumer", &error);
                if error.kind == ErrorKind::NotFound {
                    return Ok(None);
                }
                Err(error)
            }
        }
    }

    async fn tags(&self, arn: &str) -> Option<BTreeMap<String, String>> {
        let found = self
            .client
            .list_tags_for_resource()
            .resource_arn(arn)
            .send()
            .await
            .ok()?;
        let tags = found.tags().iter().map(|tag| {
            let value = tag.value().unwrap_or_default().to_owned();
            (tag.key().to_owned(), value)
        });
        Some(tags.collect())
    }
}

#[async_trait]
impl Handler for Consumers {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Kinesis::StreamConsumer"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let named = lookup.text("StreamARN").zip(lookup.text("ConsumerName"));
        let Some(found) = self.describe(lookup.physical_id.as_deref(), named).await? else {
            return Ok(None);
        };
        let arn = found.consumer_arn().to_owned();
        let is_active = *found.consumer_status() == sdk::ConsumerStatus::Active;
        let health = if is_active {
            Health::new(HealthStatus::Healthy, "")
        } else {
            let status = found.consumer_status().as_str();
            Health::new(
                HealthStatus::Progressing,
                format!("the consumer is {status}"),
            )
        };
        let properties = Map::from_iter([
            ("ConsumerName".to_owned(), json!(found.consumer_name())),
            ("StreamARN".to_owned(), json!(found.stream_arn())),
        ]);
        Ok(Some(LiveResource {
            reference: arn.clone(),
            attributes: BTreeMap::from([
                ("ConsumerARN".to_owned(), json!(arn)),
                ("ConsumerName".to_owned(), json!(found.consumer_name())),
                (
                    "ConsumerStatus".to_owned(),
                    json!(found.consumer_status().as_str()),
                ),
                ("StreamARN".to_owned(), json!(found.stream_arn())),
            ]),
            properties,
            tags: self.tags(&arn).await,
            version: String::new(),
            health,
            is_settled: is_active,
            physical_id: arn,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let call = self.client.register_stream_consumer();
        let call = call.stream_arn(resource.text("StreamARN").unwrap_or_default());
        let call = call.consumer_name(resource.text("ConsumerName").unwrap_or_default());
        let tags = resource.all_tags().into_iter().collect();
        let made = call.set_tags(Some(tags)).send().await;
        let made = made.map_err(|error| from_sdk("RegisterStreamConsumer", &error))?;
        let arn = made
            .consumer()
            .map(|consumer| consumer.consumer_arn().to_owned());
        Ok(arn.unwrap_or_default())
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        if changed.contains("Tags") {
            let call = self.client.tag_resource().resource_arn(&live.physical_id);
            let tags = resource.all_tags().into_iter().collect();
            let sent = call.set_tags(Some(tags)).send().await;
            sent.map_err(|error| from_sdk("TagResource", &error))?;
            if !resource.removed_tags.is_empty() {
                let keys = Some(resource.removed_tags.iter().cloned().collect());
                let call = self.client.untag_resource().resource_arn(&live.physical_id);
                let sent = call.set_tag_keys(keys).send().await;
                sent.map_err(|error| from_sdk("UntagResource", &error))?;
            }
        }
        Ok(())
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let call = self.client.deregister_stream_consumer();
        match call.consumer_arn(physical_id).send().await {
            Ok(_) => {}
            Err(error) => {
                let error = from_sdk("DeregisterStreamConsumer", &error);
                if error.kind != ErrorKind::NotFound {
                    return Err(error);
                }
            }
        }
        match self.describe(Some(physical_id), None).await? {
            Some(_) => Ok(Deletion::Going),
            None => Ok(Deletion::Gone),
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        properties.retain(|_, value| !matches!(value, Value::Null));
    }
}
