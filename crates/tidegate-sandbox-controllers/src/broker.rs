//! The door to a Kafka broker behind the simulated Strimzi operators: topics and users as values, in Kafka's words.
//! Level-triggered: every call says what should be, and saying it twice changes nothing. No Kubernetes, no wire.

use std::collections::BTreeMap;
use std::fmt;

/// A broker that stands for every Kafka cluster of the sandbox. Calls answer at once.
pub trait Broker: fmt::Debug + Send + Sync {
    /// Where clients connect: `HOST:PORT`.
    fn address(&self) -> String;
    /// Where clients connect with SCRAM, when the broker has such a listener.
    fn sasl_address(&self) -> Option<String>;
    /// A topic as it stands.
    fn topic(&self, name: &str) -> Option<BrokerTopic>;
    /// Creates a topic, in one copy.
    ///
    /// # Errors
    /// What the broker refuses.
    fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &BTreeMap<String, String>,
    ) -> Result<BrokerTopic, BrokerRefusal>;
    /// Sets and, for `None`, unsets configuration of a topic: all of it or nothing.
    ///
    /// # Errors
    /// What the broker refuses.
    fn configure_topic(
        &self,
        name: &str,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<(), BrokerRefusal>;
    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// What the broker refuses.
    fn grow_topic(&self, name: &str, partitions: i32) -> Result<(), BrokerRefusal>;
    /// Deletes a topic and its records; one that is not there is deleted.
    ///
    /// # Errors
    /// What the broker refuses.
    fn delete_topic(&self, name: &str) -> Result<(), BrokerRefusal>;
    /// Makes a user what is said, and nothing besides.
    ///
    /// # Errors
    /// What the broker refuses.
    fn apply_user(&self, name: &str, user: &BrokerUser) -> Result<(), BrokerRefusal>;
    /// Takes a user's password, rules and quotas away.
    fn delete_user(&self, name: &str);
}

/// A topic as the broker describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerTopic {
    /// Its id, as Kafka writes it: 22 characters.
    pub id: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// Configuration set on the topic itself.
    pub configs: BTreeMap<String, String>,
}

/// What a user should be on the broker.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct BrokerUser {
    /// The SCRAM-SHA-512 password; `None` for a user without one.
    pub password: Option<String>,
    /// What it may and may not do.
    pub rules: Vec<BrokerRule>,
    /// Quotas under Kafka's names, as `producer_byte_rate`.
    pub quotas: BTreeMap<String, f64>,
}

/// One access rule, in the words of a KafkaUser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerRule {
    /// `topic`, `group`, `cluster` or `transactionalId`.
    pub resource: String,
    /// The resource's name, or the beginning of it.
    pub name: String,
    /// `literal` or `prefix`.
    pub pattern: String,
    /// `*` or an address.
    pub host: String,
    /// `Read`, `Write`, `Describe`…
    pub operation: String,
    /// `allow` or `deny`.
    pub kind: String,
}

/// Why the broker refuses a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerRefusal {
    /// Kafka's name of the error, as `INVALID_CONFIG`.
    pub error: String,
    /// What is wrong, in Kafka's words.
    pub message: String,
}

impl BrokerRefusal {
    /// The exception of Kafka's Java client for this error, as `InvalidConfigurationException`.
    pub fn exception(&self) -> String {
        match self.error.as_str() {
            "INVALID_CONFIG" => "InvalidConfigurationException".to_owned(),
            "TOPIC_ALREADY_EXISTS" => "TopicExistsException".to_owned(),
            "UNKNOWN_SERVER_ERROR" => "UnknownServerException".to_owned(),
            other => {
                let words = other
                    .split('_')
                    .filter(|word| !matches!(*word, "" | "EXCEPTION"));
                let mut name = String::new();
                for word in words {
                    let (first, rest) =
                        word.split_at(word.chars().next().map_or(0, char::len_utf8));
                    name.push_str(first);
                    name.push_str(&rest.to_lowercase());
                }
                name + "Exception"
            }
        }
    }
}

impl fmt::Display for BrokerRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exception = self.exception();
        write!(
            out,
            "org.apache.kafka.common.errors.{exception}: {}",
            self.message
        )
    }
}

impl std::error::Error for BrokerRefusal {}

#[cfg(test)]
mod tests {
    use super::BrokerRefusal;

    #[test]
    fn a_refusal_reads_as_the_java_client_writes_it() {
        for (error, expected) in [
            ("INVALID_CONFIG", "InvalidConfigurationException"),
            ("INVALID_PARTITIONS", "InvalidPartitionsException"),
            ("INVALID_TOPIC_EXCEPTION", "InvalidTopicException"),
            ("TOPIC_ALREADY_EXISTS", "TopicExistsException"),
        ] {
            let (error, message) = (error.to_owned(), "no".to_owned());
            assert_eq!(
                BrokerRefusal { error, message }.to_string(),
                format!("org.apache.kafka.common.errors.{expected}: no")
            );
        }
    }
}
