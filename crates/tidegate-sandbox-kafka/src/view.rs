//! The broker from inside the process: topics and users as values, for the sandbox's controllers.
//!
//! Must not know: Kubernetes documents. What the wire refuses is refused here in the same words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{AlterUserScramCredentialsRequest, TopicName};
use uuid::Uuid;

use crate::acls::{self, Acl};
use crate::altering;
use crate::broker::{Hub, Refusal};
use crate::scram::{self, Mechanism};
use crate::wire::text;
use crate::{growth, topics};

/// Iterations of passwords that are set here.
const ITERATIONS: i32 = 4_096;

/// Why the broker refuses a change: Kafka's code and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Kafka's error code.
    pub code: i16,
    /// Kafka's name of it, as `INVALID_CONFIG`.
    pub name: String,
    /// What is wrong, in Kafka's words.
    pub message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for Refused {}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let mut name = String::new();
        for letter in format!("{:?}", refusal.code).chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(letter.to_uppercase());
        }
        Self {
            code: refusal.code.code(),
            name,
            message: refusal.message,
        }
    }
}

/// One topic as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionView>,
    /// Copies of each partition: one broker, one copy.
    pub replication: i16,
    /// Configuration set on the topic itself.
    pub configs: BTreeMap<String, String>,
}

/// One partition as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// The first offset that can be read.
    pub start: i64,
    /// The offset that the next record gets.
    pub end: i64,
    /// Bytes of its record batches.
    pub bytes: usize,
}

/// The broker's topics; clones see the same broker.
#[derive(Clone, Debug)]
pub struct Topics {
    hub: Arc<Hub>,
}

impl Topics {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Every topic, by name.
    pub fn list(&self) -> Vec<TopicView> {
        let state = self.hub.state.lock();
        let mut names: Vec<&String> = state.topics.keys().collect();
        names.sort();
        names
            .into_iter()
            .filter_map(|name| view(&state, name))
            .collect()
    }

    /// One topic.
    pub fn get(&self, name: &str) -> Option<TopicView> {
        view(&self.hub.state.lock(), name)
    }

    /// Creates a topic; `partitions` and `replication` may be -1 for the broker's defaults.
    ///
    /// # Errors
    /// What CreateTopics refuses.
    pub fn create(
        &self,
        name: &str,
        partitions: i32,
        replication: i16,
        configs: &BTreeMap<String, String>,
    ) -> Result<TopicView, Refused> {
        let configs = configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key.as_str()))
                .with_value(Some(text(value.as_str())))
        });
        let asked = CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(partitions)
            .with_replication_factor(replication)
            .with_configs(configs.collect());
        let mut state = self.hub.state.lock();
        topics::create_one(&self.hub, &mut state, &asked, false)?;
        let made = view(&state, name);
        drop(state);
        self.hub.changed();
        made.ok_or_else(|| {
            Refused::from(Refusal::new(
                crate::wire::Code::UnknownServerError,
                "the topic is not there",
            ))
        })
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// What CreatePartitions refuses: fewer or as many as there are, too many, no such topic.
    pub fn grow(&self, name: &str, partitions: i32) -> Result<(), Refused> {
        let asked = CreatePartitionsTopic::default()
            .with_name(TopicName(text(name)))
            .with_count(partitions)
            .with_assignments(None);
        growth::grow_one(&self.hub, &mut self.hub.state.lock(), &asked, false)?;
        self.hub.changed();
        Ok(())
    }

    /// Sets and, for `None`, unsets configuration of a topic: all of it or nothing.
    ///
    /// # Errors
    /// What IncrementalAlterConfigs refuses.
    pub fn configure(
        &self,
        name: &str,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<(), Refused> {
        altering::configure(&self.hub, name, changes)?;
        self.hub.changed();
        Ok(())
    }

    /// Deletes a topic and its records.
    ///
    /// # Errors
    /// When there is none with this name.
    pub fn delete(&self, name: &str) -> Result<(), Refused> {
        growth::delete_one(&mut self.hub.state.lock(), name)?;
        self.hub.changed();
        Ok(())
    }
}

fn view(state: &crate::broker::State, name: &str) -> Option<TopicView> {
    let topic = state.topics.get(name)?;
    let partitions = topic.partitions.iter().map(|log| PartitionView {
        start: log.start,
        end: log.end,
        bytes: log.bytes,
    });
    Some(TopicView {
        name: name.to_owned(),
        id: topic.id,
        partitions: partitions.collect(),
        replication: 1,
        configs: topic.configs.clone(),
    })
}

/// One ACL binding, with the protocol's own numbers (`ResourceType`, `PatternType`, `AclOperation`, `AclPermissionType`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclBinding {
    /// 2 topic, 3 group, 4 cluster, 5 transactional id.
    pub resource_type: i8,
    /// The resource's name, or the beginning of it.
    pub name: String,
    /// 3 literal, 4 prefixed.
    pub pattern: i8,
    /// `User:NAME`.
    pub principal: String,
    /// `*` or an address.
    pub host: String,
    /// 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 10 describe configs, 11 alter configs…
    pub operation: i8,
    /// 2 deny, 3 allow.
    pub permission: i8,
}

/// The broker's users; clones see the same broker.
#[derive(Clone, Debug)]
pub struct Users {
    hub: Arc<Hub>,
}

impl Users {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Users that have a SCRAM-SHA-512 or SCRAM-SHA-256 password.
    pub fn list(&self) -> Vec<String> {
        let state = self.hub.state.lock();
        let mut users: Vec<String> = state
            .credentials
            .keys()
            .map(|(user, _)| user.clone())
            .collect();
        users.dedup();
        users
    }

    /// Gives a user a SCRAM-SHA-512 password; the salt comes from the user's name, so that the same password gives the same keys.
    ///
    /// # Errors
    /// What AlterUserScramCredentials refuses.
    pub fn set_password(&self, user: &str, password: &str) -> Result<(), Refused> {
        let mechanism = Mechanism::Sha512;
        let salt = scram::salt_of(user);
        let salted = scram::salted(mechanism, password.as_bytes(), &salt, ITERATIONS);
        let request = AlterUserScramCredentialsRequest::default().with_upsertions(vec![
            ScramCredentialUpsertion::default()
                .with_name(text(user))
                .with_mechanism(mechanism as i8)
                .with_iterations(ITERATIONS)
                .with_salt(Bytes::from(salt))
                .with_salted_password(Bytes::from(salted)),
        ]);
        scram::alter_one(&self.hub, &mut self.hub.state.lock(), user, &request)?;
        Ok(())
    }

    /// Takes a user's SCRAM-SHA-512 password away.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove_password(&self, user: &str) -> Result<(), Refused> {
        let request = AlterUserScramCredentialsRequest::default().with_deletions(vec![
            ScramCredentialDeletion::default()
                .with_name(text(user))
                .with_mechanism(Mechanism::Sha512 as i8),
        ]);
        scram::alter_one(&self.hub, &mut self.hub.state.lock(), user, &request)?;
        Ok(())
    }

    /// The bindings of a principal.
    pub fn acls(&self, principal: &str) -> Vec<AclBinding> {
        let state = self.hub.state.lock();
        let own = state.acls.iter().filter(|acl| acl.principal == principal);
        own.cloned().map(binding).collect()
    }

    /// Makes these the only bindings of a principal.
    ///
    /// # Errors
    /// What CreateAcls refuses; nothing changes then.
    pub fn set_acls(&self, principal: &str, bindings: &[AclBinding]) -> Result<(), Refused> {
        let mut wanted = acls::Acls::new();
        for binding in bindings {
            wanted.insert(acls::checked_binding(principal, binding)?);
        }
        let mut state = self.hub.state.lock();
        state.acls.retain(|acl| acl.principal != principal);
        acls::check_room(&self.hub, state.acls.len() + wanted.len())?;
        state.acls.extend(wanted);
        Ok(())
    }

    /// Makes these the only quotas of a user: `producer_byte_rate`, `consumer_byte_rate`, `request_percentage`, `controller_mutation_rate`.
    ///
    /// # Errors
    /// What AlterClientQuotas refuses.
    pub fn set_quotas(&self, user: &str, quotas: &BTreeMap<String, f64>) -> Result<(), Refused> {
        crate::quotas::set_user(&self.hub, &mut self.hub.state.lock(), user, quotas)?;
        Ok(())
    }

    /// The quotas of a user.
    pub fn quotas(&self, user: &str) -> BTreeMap<String, f64> {
        let state = self.hub.state.lock();
        let entity = [("user".to_owned(), Some(user.to_owned()))].into();
        state.quotas.get(&entity).cloned().unwrap_or_default()
    }
}

fn binding(acl: Acl) -> AclBinding {
    AclBinding {
        resource_type: acl.resource_type,
        name: acl.name,
        pattern: acl.pattern,
        principal: acl.principal,
        host: acl.host,
        operation: acl.operation,
        permission: acl.permission,
    }
}
