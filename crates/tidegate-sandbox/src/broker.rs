//! The Kafka broker behind the simulated Strimzi operators: their words become the broker's numbers.
//! It decides nothing; what the broker refuses is passed on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tidegate_sandbox_controllers::{Broker, BrokerRefusal, BrokerRule, BrokerTopic, BrokerUser};
use tidegate_sandbox_kafka::{AclBinding, Refused, SandboxKafka, TopicView, Topics, Users};

/// One copy of everything: the broker is alone.
const COPIES: i16 = 1;

/// The sandbox's broker, for every Kafka cluster of the sandbox.
#[derive(Debug)]
pub(crate) struct Shared {
    address: String,
    sasl: Option<String>,
    topics: Topics,
    users: Users,
    /// Passwords as they were last set: making keys of one is slow on purpose.
    passwords: Mutex<BTreeMap<String, String>>,
}

impl Shared {
    pub(crate) fn of(kafka: &SandboxKafka) -> Self {
        Self {
            address: kafka.bootstrap(),
            sasl: kafka.sasl_bootstrap(),
            topics: kafka.topics(),
            users: kafka.users(),
            passwords: Mutex::default(),
        }
    }

    fn apply_password(&self, name: &str, password: Option<&str>) -> Result<(), Refused> {
        let mut known = self
            .passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let held = self.users.list().iter().any(|user| user == name);
        match password {
            Some(password) => {
                if !held || known.get(name).is_none_or(|known| known != password) {
                    self.users.set_password(name, password)?;
                    known.insert(name.to_owned(), password.to_owned());
                }
            }
            None => {
                // Only a password that came from here is taken away.
                if known.remove(name).is_some() && held {
                    self.users.remove_password(name)?;
                }
            }
        }
        Ok(())
    }
}

impl Broker for Shared {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn sasl_address(&self) -> Option<String> {
        self.sasl.clone()
    }

    fn topic(&self, name: &str) -> Option<BrokerTopic> {
        self.topics.get(name).map(topic)
    }

    fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &BTreeMap<String, String>,
    ) -> Result<BrokerTopic, BrokerRefusal> {
        let made = self.topics.create(name, partitions, COPIES, configs);
        made.map(topic).map_err(refusal)
    }

    fn configure_topic(
        &self,
        name: &str,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<(), BrokerRefusal> {
        self.topics.configure(name, changes).map_err(refusal)
    }

    fn grow_topic(&self, name: &str, partitions: i32) -> Result<(), BrokerRefusal> {
        self.topics.grow(name, partitions).map_err(refusal)
    }

    fn delete_topic(&self, name: &str) -> Result<(), BrokerRefusal> {
        if self.topics.get(name).is_none() {
            return Ok(());
        }
        self.topics.delete(name).map_err(refusal)
    }

    fn apply_user(&self, name: &str, user: &BrokerUser) -> Result<(), BrokerRefusal> {
        let principal = format!("User:{name}");
        let bindings: Result<Vec<AclBinding>, BrokerRefusal> = user
            .rules
            .iter()
            .map(|rule| binding(&principal, rule))
            .collect();
        let bindings = bindings?;
        self.apply_password(name, user.password.as_deref())
            .and_then(|()| self.users.set_acls(&principal, &bindings))
            .and_then(|()| self.users.set_quotas(name, &user.quotas))
            .map_err(refusal)
    }

    fn delete_user(&self, name: &str) {
        if let Err(error) = self.apply_user(name, &BrokerUser::default()) {
            tracing::warn!(name, %error, "a user stays on the broker");
        }
    }
}

fn topic(view: TopicView) -> BrokerTopic {
    BrokerTopic {
        id: kafka_id(view.id.as_bytes()),
        partitions: i32::try_from(view.partitions.len()).unwrap_or(i32::MAX),
        configs: view.configs,
    }
}

fn refusal(refused: Refused) -> BrokerRefusal {
    BrokerRefusal {
        error: refused.name,
        message: refused.message,
    }
}

/// Sixteen bytes as Kafka writes an id: URL-safe base64 without padding.
fn kafka_id(bytes: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let whole = u128::from_be_bytes(*bytes);
    // Twenty-one letters of six bits, and one for the two that are left.
    let letters = (0..21).map(|place| whole >> (122 - 6 * place));
    letters
        .chain([whole << 4])
        .map(|bits| char::from(ALPHABET[(bits & 63) as usize]))
        .collect()
}

fn binding(principal: &str, rule: &BrokerRule) -> Result<AclBinding, BrokerRefusal> {
    let number = |known: &[(&str, i8)], word: &str, what: &str| {
        let found = known.iter().find(|(name, _)| *name == word);
        found
            .map(|(_, number)| *number)
            .ok_or_else(|| BrokerRefusal {
                error: "INVALID_REQUEST".to_owned(),
                message: format!("unknown {what} '{word}' in an ACL rule"),
            })
    };
    let resource_type = number(RESOURCES, &rule.resource, "resource type")?;
    let name = match rule.resource.as_str() {
        "cluster" => "kafka-cluster".to_owned(),
        _ => rule.name.clone(),
    };
    Ok(AclBinding {
        resource_type,
        name,
        pattern: number(PATTERNS, &rule.pattern, "pattern type")?,
        principal: principal.to_owned(),
        host: rule.host.clone(),
        operation: number(OPERATIONS, &rule.operation, "operation")?,
        permission: number(PERMISSIONS, &rule.kind, "type")?,
    })
}

const RESOURCES: &[(&str, i8)] = &[
    ("topic", 2),
    ("group", 3),
    ("cluster", 4),
    ("transactionalId", 5),
];
const PATTERNS: &[(&str, i8)] = &[("literal", 3), ("prefix", 4)];
const PERMISSIONS: &[(&str, i8)] = &[("deny", 2), ("allow", 3)];
const OPERATIONS: &[(&str, i8)] = &[
    ("All", 2),
    ("Read", 3),
    ("Write", 4),
    ("Create", 5),
    ("Delete", 6),
    ("Alter", 7),
    ("Describe", 8),
    ("ClusterAction", 9),
    ("DescribeConfigs", 10),
    ("AlterConfigs", 11),
    ("IdempotentWrite", 12),
];

#[cfg(test)]
mod tests {
    use super::kafka_id;

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        assert_eq!(kafka_id(&[0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(kafka_id(&[255; 16]), "_____________________w");
        let mut one = [0; 16];
        one[15] = 1;
        assert_eq!(kafka_id(&one), "AAAAAAAAAAAAAAAAAAAAAQ");
    }
}
