//! Topics at the brokers: looked at, created, grown, configured, deleted. Batches answer item by item.
//!
//! Must not know: documents, ownership.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::client::{Client, Who};
use crate::error::{Code, KafkaError};

/// How long a broker may take to carry a change out, in milliseconds.
const TIMEOUT_MS: i32 = 8_000;
/// Topics asked about in one request.
const BATCH: usize = 500;
/// The wire's number of a topic among resources.
const TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;
/// The wire's number of a value that is set on the topic itself.
const ON_TOPIC: i8 = 1;

/// A topic as the brokers show it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LiveTopic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) configs: BTreeMap<String, Config>,
    pub(crate) is_internal: bool,
}

/// Who holds a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    pub(crate) has_leader: bool,
    pub(crate) replicas: usize,
    pub(crate) in_sync: usize,
}

/// One value of a topic's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// None for a value that is kept secret.
    pub(crate) value: Option<String>,
    /// It is set on the topic itself, and no default.
    pub(crate) is_own: bool,
}

impl LiveTopic {
    /// Replicas of each partition; None when they differ.
    pub(crate) fn replicas(&self) -> Option<usize> {
        let first = self.partitions.first()?.replicas;
        let is_uniform = self.partitions.iter().all(|one| one.replicas == first);
        is_uniform.then_some(first)
    }

    /// What is set on the topic itself.
    pub(crate) fn own(&self) -> impl Iterator<Item = (&String, &Config)> {
        self.configs.iter().filter(|(_, config)| config.is_own)
    }
}

fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}

fn topic_name(of: &str) -> TopicName {
    TopicName(text(of))
}

fn words(of: Option<&StrBytes>) -> Option<&str> {
    of.map(StrBytes::as_str)
}

/// What one item of a batch came to.
pub(crate) type Item<T> = Result<T, KafkaError>;

impl Client {
    /// These topics; None for one that is not there.
    pub(crate) async fn topics(
        &self,
        names: &[String],
    ) -> BTreeMap<String, Item<Option<LiveTopic>>> {
        let mut found = BTreeMap::new();
        for names in names.chunks(BATCH) {
            match self.topics_of(names).await {
                Ok(some) => found.extend(some),
                Err(error) => {
                    found.extend(names.iter().map(|name| (name.clone(), Err(error.clone()))));
                }
            }
        }
        found
    }

    async fn topics_of(&self, names: &[String]) -> Item<BTreeMap<String, Item<Option<LiveTopic>>>> {
        let metadata = self.metadata(Some(names)).await?;
        let mut found: BTreeMap<String, Item<Option<LiveTopic>>> = BTreeMap::new();
        for topic in metadata.topics {
            let Some(name) = topic.name.map(|name| name.to_string()) else {
                continue;
            };
            let code = Code::new(topic.error_code);
            let live = match code {
                Code::NONE | Code::LEADER_NOT_AVAILABLE => Ok(Some(LiveTopic {
                    name: name.clone(),
                    id: topic.topic_id,
                    partitions: partitions(topic.partitions),
                    configs: BTreeMap::new(),
                    is_internal: topic.is_internal,
                })),
                Code::UNKNOWN_TOPIC | Code::UNKNOWN_TOPIC_ID | Code::INVALID_TOPIC => Ok(None),
                _ => code.check("Metadata", None).map(|()| None),
            };
            found.insert(name, live);
        }
        let there: Vec<String> = found
            .iter()
            .filter(|(_, live)| matches!(live, Ok(Some(_))))
            .map(|(name, _)| name.clone())
            .collect();
        if !there.is_empty() {
            for (name, configs) in self.configs(&there).await? {
                let Some(Ok(slot)) = found.get_mut(&name) else {
                    continue;
                };
                match (configs, slot.as_mut()) {
                    (Ok(configs), Some(live)) => live.configs = configs,
                    // It went in between.
                    (Err(error), _) if error.code() == Code::UNKNOWN_TOPIC => *slot = None,
                    (Err(error), _) => {
                        found.insert(name, Err(error));
                    }
                    (Ok(_), None) => {}
                }
            }
        }
        for name in names {
            found.entry(name.clone()).or_insert(Ok(None));
        }
        Ok(found)
    }

    async fn configs(
        &self,
        names: &[String],
    ) -> Item<Vec<(String, Item<BTreeMap<String, Config>>)>> {
        let resources = names.iter().map(|name| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text(name))
                .with_configuration_keys(None)
        });
        let request = DescribeConfigsRequest::default().with_resources(resources.collect());
        let answer = self.ask(Who::Any, &request, |_| Ok(())).await?;
        let read = answer.results.into_iter().map(|result| {
            let name = result.resource_name.to_string();
            (name, read_configs(&result))
        });
        Ok(read.collect())
    }

    /// Creates a topic; -1 stands for the broker's default.
    pub(crate) async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replicas: i16,
        configs: &BTreeMap<String, String>,
        dry_run: bool,
    ) -> Item<()> {
        let configs = configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(TIMEOUT_MS)
            .with_validate_only(dry_run);
        let answer = self.send(Who::Controller, &request).await?;
        let wait = answer.throttle_time_ms;
        let result = answer.topics.into_iter().next();
        let result = result.ok_or_else(|| unanswered("CreateTopics"))?;
        Code::new(result.error_code)
            .check("CreateTopics", words(result.error_message.as_ref()))
            .map_err(|error| error.after(wait))
    }

    /// Gives a topic more partitions.
    pub(crate) async fn grow_topic(&self, name: &str, partitions: i32, dry_run: bool) -> Item<()> {
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(partitions)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(TIMEOUT_MS)
            .with_validate_only(dry_run);
        let answer = self.send(Who::Controller, &request).await?;
        let wait = answer.throttle_time_ms;
        let result = answer.results.into_iter().next();
        let result = result.ok_or_else(|| unanswered("CreatePartitions"))?;
        Code::new(result.error_code)
            .check("CreatePartitions", words(result.error_message.as_ref()))
            .map_err(|error| error.after(wait))
    }

    /// Sets one value of a topic, or unsets it; all others stay.
    ///
    /// # Errors
    /// The broker refuses it, or cannot be reached.
    pub async fn set_topic_config(
        &self,
        topic: &str,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), KafkaError> {
        let changes = BTreeMap::from([(key.to_owned(), value.map(str::to_owned))]);
        self.configure_topic(topic, &changes, false).await
    }

    /// Sets and, for None, unsets values of a topic; all others stay.
    pub(crate) async fn configure_topic(
        &self,
        name: &str,
        changes: &BTreeMap<String, Option<String>>,
        dry_run: bool,
    ) -> Item<()> {
        let configs = changes.iter().map(|(key, value)| {
            AlterableConfig::default()
                .with_name(text(key))
                .with_config_operation(if value.is_some() { SET } else { DELETE })
                .with_value(value.as_deref().map(text))
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(name))
            .with_configs(configs.collect());
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(vec![resource])
            .with_validate_only(dry_run);
        let answer = self.send(Who::Controller, &request).await?;
        let wait = answer.throttle_time_ms;
        let result = answer.responses.into_iter().next();
        let result = result.ok_or_else(|| unanswered("IncrementalAlterConfigs"))?;
        Code::new(result.error_code)
            .check(
                "IncrementalAlterConfigs",
                words(result.error_message.as_ref()),
            )
            .map_err(|error| error.after(wait))
    }

    /// Deletes this very topic with its records; one that is gone already is no error.
    pub(crate) async fn delete_topic(&self, name: &str, id: Uuid) -> Item<()> {
        let state = if id.is_nil() {
            DeleteTopicState::default().with_name(Some(topic_name(name)))
        } else {
            DeleteTopicState::default().with_topic_id(id)
        };
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![state])
            .with_timeout_ms(TIMEOUT_MS);
        let answer = self.send(Who::Controller, &request).await?;
        let wait = answer.throttle_time_ms;
        let result = answer.responses.into_iter().next();
        let result = result.ok_or_else(|| unanswered("DeleteTopics"))?;
        match Code::new(result.error_code) {
            Code::UNKNOWN_TOPIC | Code::UNKNOWN_TOPIC_ID => Ok(()),
            code => code
                .check("DeleteTopics", words(result.error_message.as_ref()))
                .map_err(|error| error.after(wait)),
        }
    }
}

pub(crate) fn unanswered(request: &str) -> KafkaError {
    KafkaError::garbled("of the cluster", request, &"it answers nothing")
}

fn partitions(
    of: Vec<kafka_protocol::messages::metadata_response::MetadataResponsePartition>,
) -> Vec<Partition> {
    let mut found: Vec<Partition> = of
        .into_iter()
        .map(|partition| Partition {
            index: partition.partition_index,
            has_leader: partition.leader_id.0 >= 0,
            replicas: partition.replica_nodes.len(),
            in_sync: partition.isr_nodes.len(),
        })
        .collect();
    found.sort_by_key(|partition| partition.index);
    found
}

fn read_configs(result: &DescribeConfigsResult) -> Item<BTreeMap<String, Config>> {
    let said = words(result.error_message.as_ref());
    Code::new(result.error_code).check("DescribeConfigs", said)?;
    let read = result.configs.iter().map(|config| {
        let value = config.value.as_ref().filter(|_| !config.is_sensitive);
        let read = Config {
            value: value.map(ToString::to_string),
            is_own: config.config_source == ON_TOPIC,
        };
        (config.name.to_string(), read)
    });
    Ok(read.collect())
}
