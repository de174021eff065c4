//! `AWS::Kinesis::Stream`: one change at a time, each settled before the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{
    Deadline, Deletion, Handler, LiveResource, Lookup, Resource, from_sdk, retry, settle,
};
use tidegate_manifest::{Health, HealthStatus};

/// Longest wait for a stream to become active again.
const WAIT: Duration = Duration::from_secs(900);
/// Records are kept a day unless a stream says otherwise.
const RETENTION: i32 = 24;

/// Streams.
#[derive(Debug)]
pub(crate) struct Streams {
    client: Client,
}

fn integer(value: Option<&Value>) -> Option<i32> {
    match value? {
        Value::Number(number) => number.as_i64().and_then(|n| i32::try_from(n).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn mode(properties: &Map<String, Value>) -> &str {
    let mode = properties
        .get("StreamModeDetails")
        .and_then(|mode| mode.get("StreamMode"));
    mode.and_then(Value::as_str).unwrap_or("PROVISIONED")
}

/// The steps from one number of shards to another: a call at most doubles or halves them.
pub(crate) fn shard_steps(from: i32, to: i32) -> Vec<i32> {
    let mut steps = Vec::new();
    let mut at = from.max(1);
    while at != to && steps.len() < 32 {
        at = if to > at {
            to.min(at.saturating_mul(2))
        } else {
            to.max((at + 1) / 2)
        };
        steps.push(at);
    }
    steps
}

impl Streams {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn summary(
        &self,
        name: &str,
    ) -> Result<Option<sdk::StreamDescriptionSummary>, ApplierError> {
        let call = self.client.describe_stream_summary().stream_name(name);
        match call.send().await {
            Ok(found) => Ok(found.stream_description_summary),
            Err(error) => {
                let error = from_sdk("DescribeStreamSummary", &error);
                if error.kind == ErrorKind::NotFound {
                    return Ok(None);
                }
                Err(error)
            }
        }
    }

    async fn active(&self, name: &str) -> Result<sdk::StreamDescriptionSummary, ApplierError> {
        let what = format!("stream {name} to be active");
        settle(Deadline::after(WAIT), &what, || async {
            let found = self.summary(name).await?;
            Ok(found.filter(|found| *found.stream_status() == sdk::StreamStatus::Active))
        })
        .await
    }

    /// Does one change when the stream is active, and again while another is under way.
    async fn change<F, T>(&self, name: &str, call: impl Fn() -> F) -> Result<(), ApplierError>
    where
        F: Future<Output = Result<T, ApplierError>>,
    {
        self.active(name).await?;
        let busy = |error: &ApplierError| {
            error.message.contains("ResourceInUseException")
                || error.message.contains("LimitExceededException: Rate")
        };
        retry(Deadline::after(WAIT), busy, &call).await?;
        self.active(name).await.map(drop)
    }

    async fn set_shards(&self, name: &str, wanted: i32) -> Result<(), ApplierError> {
        let current = self.active(name).await?.open_shard_count();
        for count in shard_steps(current, wanted) {
            self.change(name, || async {
                let call = self.client.update_shard_count().stream_name(name);
                let call = call.target_shard_count(count);
                let sent = call
                    .scaling_type(sdk::ScalingType::UniformScaling)
                    .send()
                    .await;
                sent.map_err(|error| from_sdk("UpdateShardCount", &error))
            })
            .await?;
        }
        Ok(())
    }

    async fn set_retention(&self, name: &str, hours: i32) -> Result<(), ApplierError> {
        let current = self.active(name).await?.retention_period_hours();
        if hours > current {
            self.change(name, || async {
                let call = self.client.increase_stream_retention_period();
                let sent = call
                    .stream_name(name)
                    .retention_period_hours(hours)
                    .send()
                    .await;
                sent.map_err(|error| from_sdk("IncreaseStreamRetentionPeriod", &error))
            })
            .await
        } else if hours < current {
            self.change(name, || async {
                let call = self.client.decrease_stream_retention_period();
                let sent = call
                    .stream_name(name)
                    .retention_period_hours(hours)
                    .send()
                    .await;
                sent.map_err(|error| from_sdk("DecreaseStreamRetentionPeriod", &error))
            })
            .await
        } else {
            Ok(())
        }
    }

    async fn set_encryption(
        &self,
        name: &str,
        wanted: Option<&Value>,
        key: Option<String>,
    ) -> Result<(), ApplierError> {
        let text = |field: &str| wanted?.get(field)?.as_str().map(str::to_owned);
        match (text("KeyId"), key) {
            (Some(id), _) => {
                self.change(name, || async {
                    let call = self.client.start_stream_encryption().stream_name(name);
                    let call = call.encryption_type(sdk::EncryptionType::Kms);
                    let sent = call.key_id(&id).send().await;
                    sent.map_err(|error| from_sdk("StartStreamEncryption", &error))
                })
                .await
            }
            (None, Some(id)) => {
                self.change(name, || async {
                    let call = self.client.stop_stream_encryption().stream_name(name);
                    let call = call.encryption_type(sdk::EncryptionType::Kms);
                    let sent = call.key_id(&id).send().await;
                    sent.map_err(|error| from_sdk("StopStreamEncryption", &error))
                })
                .await
            }
            (None, None) => Ok(()),
        }
    }

    async fn set_metrics(
        &self,
        name: &str,
        wanted: &[String],
        current: &[String],
    ) -> Result<(), ApplierError> {
        let names = |list: &[String]| {
            let made = list
                .iter()
                .map(|name| sdk::MetricsName::from(name.as_str()));
            made.collect::<Vec<_>>()
        };
        let more: Vec<String> = wanted
            .iter()
            .filter(|n| !current.contains(n))
            .cloned()
            .collect();
        let fewer: Vec<String> = current
            .iter()
            .filter(|n| !wanted.contains(n))
            .cloned()
            .collect();
        if !more.is_empty() {
            let call = self.client.enable_enhanced_monitoring().stream_name(name);
            let sent = call
                .set_shard_level_metrics(Some(names(&more)))
                .send()
                .await;
            sent.map_err(|error| from_sdk("EnableEnhancedMonitoring", &error))?;
        }
        if !fewer.is_empty() {
            let call = self.client.disable_enhanced_monitoring().stream_name(name);
            let sent = call
                .set_shard_level_metrics(Some(names(&fewer)))
                .send()
                .await;
            sent.map_err(|error| from_sdk("DisableEnhancedMonitoring", &error))?;
        }
        Ok(())
    }

    async fn tags(&self, name: &str) -> Result<BTreeMap<String, String>, ApplierError> {
        let call = self.client.list_tags_for_stream().stream_name(name);
        let found = call.send().await;
        let found = found.map_err(|error| from_sdk("ListTagsForStream", &error))?;
        let tags = found.tags().iter().map(|tag| {
            let value = tag.value().unwrap_or_default().to_owned();
            (tag.key().to_owned(), value)
        });
        Ok(tags.collect())
    }

    async fn set_tags(&self, name: &str, resource: &Resource) -> Result<(), ApplierError> {
        let call = self.client.add_tags_to_stream().stream_name(name);
        let tags = resource.all_tags().into_iter().collect();
        let sent = call.set_tags(Some(tags)).send().await;
        sent.map_err(|error| from_sdk("AddTagsToStream", &error))?;
        if !resource.removed_tags.is_empty() {
            let keys = Some(resource.removed_tags.iter().cloned().collect());
            let call = self.client.remove_tags_from_stream().stream_name(name);
            let sent = call.set_tag_keys(keys).send().await;
            sent.map_err(|error| from_sdk("RemoveTagsFromStream", &error))?;
        }
        Ok(())
    }
}

fn names(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<String> = list
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

fn metrics_of(found: &sdk::StreamDescriptionSummary) -> Vec<String> {
    let lists = found.enhanced_monitoring().iter();
    let mut names: Vec<String> = lists
        .flat_map(aws_sdk_kinesis::types::EnhancedMetrics::shard_level_metrics)
        .map(|name| name.as_str().to_owned())
        .collect();
    names.sort();
    names
}

#[async_trait]
impl Handler for Streams {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Kinesis::Stream"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let name = lookup
            .physical_id
            .as_deref()
            .or(lookup.physical_name.as_deref());
        let Some(name) = name else {
            return Ok(None);
        };
        let Some(found) = self.summary(name).await? else {
            return Ok(None);
        };
        let mut properties = Map::from_iter([("Name".to_owned(), json!(found.stream_name()))]);
        let is_on_demand = found
            .stream_mode_details()
            .is_some_and(|mode| *mode.stream_mode() == sdk::StreamMode::OnDemand);
        if is_on_demand {
            let mode = json!({"StreamMode": "ON_DEMAND"});
            properties.insert("StreamModeDetails".to_owned(), mode);
        } else {
            properties.insert("ShardCount".to_owned(), json!(found.open_shard_count()));
        }
        let hours = found.retention_period_hours();
        if hours != RETENTION {
            properties.insert("RetentionPeriodHours".to_owned(), json!(hours));
        }
        if found.encryption_type() == Some(&sdk::EncryptionType::Kms) {
            let encryption = json!({"EncryptionType": "KMS", "KeyId": found.key_id()});
            properties.insert("StreamEncryption".to_owned(), encryption);
        }
        let metrics = metrics_of(&found);
        if !metrics.is_empty() {
            properties.insert("DesiredShardLevelMetrics".to_owned(), json!(metrics));
        }
        for name in ["MaxRecordSizeInKiB", "WarmThroughputMiBps"] {
            if let Some(value) = lookup.properties.get(name) {
                properties.insert(name.to_owned(), value.clone());
            }
        }
        let is_active = *found.stream_status() == sdk::StreamStatus::Active;
        let health = if is_active {
            Health::new(HealthStatus::Healthy, "")
        } else {
            let status = found.stream_status().as_str();
            Health::new(HealthStatus::Progressing, format!("the stream is {status}"))
        };
        let name = found.stream_name().to_owned();
        let tags = match self.tags(&name).await {
            Ok(tags) => tags,
            // It went between the two questions.
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(LiveResource {
            reference: name.clone(),
            attributes: BTreeMap::from([("Arn".to_owned(), json!(found.stream_arn()))]),
            properties,
            tags: Some(tags),
            version: String::new(),
            health,
            is_settled: is_active,
            physical_id: name,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let name = resource.physical_name.clone().unwrap_or_default();
        let is_on_demand = mode(&resource.properties) == "ON_DEMAND";
        let details = is_on_demand
            .then(|| {
                sdk::StreamModeDetails::builder()
                    .stream_mode(sdk::StreamMode::OnDemand)
                    .build()
                    .ok()
            })
            .flatten();
        let shards = integer(resource.get("ShardCount"));
        let call = self
            .client
            .create_stream()
            .stream_name(&name)
            .set_shard_count((!is_on_demand).then_some(shards.unwrap_or(1)))
            .set_stream_mode_details(details)
            .set_tags(Some(resource.all_tags().into_iter().collect()));
        let sent = call.send().await;
        sent.map_err(|error| from_sdk("CreateStream", &error))?;
        self.active(&name).await?;
        // Servers that know no tags at creation leave them out: a stream without a mark is nobody's.
        let found = self.tags(&name).await?;
        if resource
            .all_tags()
            .keys()
            .any(|key| !found.contains_key(key))
        {
            self.set_tags(&name, resource).await?;
        }
        if let Some(hours) = integer(resource.get("RetentionPeriodHours")) {
            self.set_retention(&name, hours).await?;
        }
        if let Some(encryption) = resource.get("StreamEncryption") {
            self.set_encryption(&name, Some(encryption), None).await?;
        }
        let metrics = names(resource.get("DesiredShardLevelMetrics"));
        self.set_metrics(&name, &metrics, &[]).await?;
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
            self.set_tags(name, resource).await?;
        }
        if changed.contains("StreamModeDetails") {
            let wanted = sdk::StreamMode::from(mode(&resource.properties));
            let details = sdk::StreamModeDetails::builder()
                .stream_mode(wanted)
                .build();
            let details = details
                .map_err(|error| ApplierError::new(ErrorKind::Invalid, error.to_string()))?;
            let arn = live.attributes.get("Arn").and_then(Value::as_str);
            let arn = arn.unwrap_or_default().to_owned();
            self.change(name, || async {
                let call = self.client.update_stream_mode().stream_arn(&arn);
                let sent = call.stream_mode_details(details.clone()).send().await;
                sent.map_err(|error| from_sdk("UpdateStreamMode", &error))
            })
            .await?;
        }
        if changed.contains("ShardCount")
            && mode(&resource.properties) != "ON_DEMAND"
            && let Some(count) = integer(resource.get("ShardCount"))
        {
            self.set_shards(name, count).await?;
        }
        if changed.contains("RetentionPeriodHours") {
            let hours = integer(resource.get("RetentionPeriodHours")).unwrap_or(RETENTION);
            self.set_retention(name, hours).await?;
        }
        if changed.contains("StreamEncryption") {
            let key = live.properties.get("StreamEncryption");
            let key = key
                .and_then(|found| found.get("KeyId"))
                .and_then(Value::as_str);
            let wanted = resource.get("StreamEncryption");
            self.set_encryption(name, wanted, key.map(str::to_owned))
                .await?;
        }
        if changed.contains("DesiredShardLevelMetrics") {
            let wanted = names(resource.get("DesiredShardLevelMetrics"));
            let current = names(live.properties.get("DesiredShardLevelMetrics"));
            self.set_metrics(name, &wanted, &current).await?;
        }
        Ok(())
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let call = self.client.delete_stream().stream_name(physical_id);
        match call.enforce_consumer_deletion(true).send().await {
            Ok(_) => {}
            Err(error) => {
                let error = from_sdk("DeleteStream", &error);
                match error.kind {
                    ErrorKind::NotFound => return Ok(Deletion::Gone),
                    // It is going already.
                    ErrorKind::Conflict => return Ok(Deletion::Going),
                    _ => return Err(error),
                }
            }
        }
        match self.summary(physical_id).await? {
            Some(_) => Ok(Deletion::Going),
            None => Ok(Deletion::Gone),
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        let is_on_demand = mode(properties) == "ON_DEMAND";
        if is_on_demand {
            properties.remove("ShardCount");
        } else {
            properties.remove("StreamModeDetails");
            let count = integer(properties.get("ShardCount")).unwrap_or(1);
            properties.insert("ShardCount".to_owned(), json!(count));
        }
        if let Some(hours) = integer(properties.get("RetentionPeriodHours")) {
            if hours == RETENTION {
                properties.remove("RetentionPeriodHours");
            } else {
                properties.insert("RetentionPeriodHours".to_owned(), json!(hours));
            }
        }
        let metrics = names(properties.get("DesiredShardLevelMetrics"));
        if metrics.is_empty() {
            properties.remove("DesiredShardLevelMetrics");
        } else {
            properties.insert("DesiredShardLevelMetrics".to_owned(), json!(metrics));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_grow_and_shrink_in_steps_that_the_service_takes() {
        assert_eq!(shard_steps(2, 2), Vec::<i32>::new());
        assert_eq!(shard_steps(1, 4), [2, 4]);
        assert_eq!(shard_steps(2, 5), [4, 5]);
        assert_eq!(shard_steps(10, 1), [5, 3, 2, 1]);
    }
}
