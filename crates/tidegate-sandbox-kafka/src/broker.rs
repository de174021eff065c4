//! What the broker holds: topics with their logs, and the neighbours that live beside them.
//!
//! Must not know: how requests travel. Everything here is reached under one lock that no wait holds.

use std::sync::Arc;

use indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::watch;
use uuid::Uuid;

use crate::acls::Acls;
use crate::clock::Clock;
use crate::configs::Values;
use crate::faults::Faults;
use crate::groups::Group;
use crate::lock::Mutex;
use crate::log::Log;
use crate::options::KafkaOptions;
use crate::quotas::Quotas;
use crate::scram::Credentials;
use crate::wire::{Code, text};

/// A refusal with its code and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A refusal that Kafka gives without a word.
    pub(crate) fn silent(code: Code) -> Self {
        Self::new(code, "")
    }

    /// Its words for an answer: none is null.
    pub(crate) fn said(self) -> Option<StrBytes> {
        (!self.message.is_empty()).then(|| text(self.message))
    }
}

/// One topic.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Log>,
    /// Configuration set on the topic itself.
    pub(crate) configs: Values,
}

/// What the lock guards.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) topics: IndexMap<String, Topic>,
    pub(crate) groups: IndexMap<String, Group>,
    pub(crate) acls: Acls,
    pub(crate) credentials: Credentials,
    pub(crate) quotas: Quotas,
    /// Configuration of the broker set at run time (node) and of the whole cluster.
    pub(crate) broker_configs: Values,
    pub(crate) cluster_configs: Values,
    /// Both together: what holds for topics that say nothing.
    pub(crate) defaults: Values,
    pub(crate) log_bytes: usize,
    pub(crate) next_producer: i64,
    /// Epochs of producers handed out.
    pub(crate) next_topic: u64,
}

/// The broker.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) options: KafkaOptions,
    pub(crate) clock: Clock,
    pub(crate) state: Mutex<State>,
    /// Counts appends and whatever else a waiting fetch looks at again for.
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) faults: Faults,
}

impl Hub {
    pub(crate) fn new(options: KafkaOptions) -> Arc<Self> {
        Arc::new(Self {
            clock: options.clock.clone(),
            state: Mutex::new(State::new()),
            changes: watch::Sender::new(0),
            faults: Faults::default(),
            options,
        })
    }

    /// Lets waiting fetches look again.
    pub(crate) fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Looks at what time alone changes.
    pub(crate) fn tick(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.tidy(now);
        for group in state.groups.values_mut() {
            group.tick(now);
        }
    }
}

impl State {
    fn new() -> Self {
        // A cluster formatted by Kafka 4.1 has this default of its own.
        let cluster: Values = [("min.insync.replicas".to_owned(), "1".to_owned())].into();
        Self {
            defaults: cluster.clone(),
            cluster_configs: cluster,
            ..Self::default()
        }
    }

    /// The log of a partition.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION.
    pub(crate) fn log(&self, topic: &str, partition: i32) -> Result<&Log, Code> {
        let index = usize::try_from(partition).map_err(|_| Code::UnknownTopicOrPartition)?;
        self.topics
            .get(topic)
            .and_then(|topic| topic.partitions.get(index))
            .ok_or(Code::UnknownTopicOrPartition)
    }

    /// The log of a partition, to be written.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION.
    pub(crate) fn log_mut(&mut self, topic: &str, partition: i32) -> Result<&mut Log, Code> {
        let index = usize::try_from(partition).map_err(|_| Code::UnknownTopicOrPartition)?;
        self.topics
            .get_mut(topic)
            .and_then(|topic| topic.partitions.get_mut(index))
            .ok_or(Code::UnknownTopicOrPartition)
    }

    /// A topic's name by its id.
    pub(crate) fn name_of(&self, id: Uuid) -> Option<&str> {
        self.topics
            .iter()
            .find(|(_, topic)| topic.id == id)
            .map(|(name, _)| name.as_str())
    }

    /// Partitions of all topics together.
    pub(crate) fn partitions(&self) -> usize {
        self.topics
            .values()
            .map(|topic| topic.partitions.len())
            .sum()
    }

    /// Applies one topic's retention.
    pub(crate) fn tidy_topic(&mut self, name: &str, now: i64) {
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        let rules = crate::configs::rules(&topic.configs, &self.defaults);
        for log in &mut topic.partitions {
            let before = log.bytes;
            log.retain(now, &rules);
            log.compact(now, &rules);
            self.log_bytes -= before - log.bytes;
        }
    }

    /// Applies retention and compaction where time has passed, and counts what is left.
    pub(crate) fn tidy(&mut self, now: i64) {
        let mut bytes = 0;
        for topic in self.topics.values_mut() {
            let rules = crate::configs::rules(&topic.configs, &self.defaults);
            for log in &mut topic.partitions {
                log.retain(now, &rules);
                log.compact(now, &rules);
                bytes += log.bytes;
            }
        }
        self.log_bytes = bytes;
    }
}
