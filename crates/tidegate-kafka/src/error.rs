//! What Kafka refuses, in its own words, and what one does about it.
//!
//! Must not know: documents. Callers say which topic or user an error is of.

use std::fmt;
use std::time::Duration;

use kafka_protocol::ResponseError;
use tidegate_applier::{ApplierError, ErrorKind};

/// A code of Kafka's, 0 when all went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(i16);

impl Code {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const UNKNOWN_TOPIC: Self = Self(3);
    pub(crate) const LEADER_NOT_AVAILABLE: Self = Self(5);
    pub(crate) const INVALID_TOPIC: Self = Self(17);
    pub(crate) const ILLEGAL_SASL_STATE: Self = Self(34);
    pub(crate) const UNSUPPORTED_VERSION: Self = Self(35);

    pub(crate) const TOPIC_EXISTS: Self = Self(36);
    pub(crate) const SECURITY_DISABLED: Self = Self(54);
    pub(crate) const RESOURCE_NOT_FOUND: Self = Self(91);
    pub(crate) const UNKNOWN_TOPIC_ID: Self = Self(100);

    pub(crate) fn new(code: i16) -> Self {
        Self(code)
    }

    /// Kafka's name of it, as `INVALID_CONFIG`.
    pub(crate) fn name(self) -> String {
        let Some(error) = ResponseError::try_from_code(self.0) else {
            return if self.0 == 0 {
                "NONE".to_owned()
            } else {
                format!("UNKNOWN_CODE_{}", self.0)
            };
        };
        let mut name = String::new();
        for letter in format!("{error:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(letter.to_uppercase());
        }
        name
    }

    /// Fails unless all went well; `words` are the broker's own.
    pub(crate) fn check(self, request: &str, words: Option<&str>) -> Result<(), KafkaError> {
        if self == Self::NONE {
            return Ok(());
        }
        let words = words.filter(|words| !words.is_empty());
        let said = match words {
            Some(words) => words.to_owned(),
            None => {
                ResponseError::try_from_code(self.0).map_or_else(String::new, |e| e.to_string())
            }
        };
        Err(KafkaError {
            code: self,
            cause: Cause::Refused,
            message: format!("{request}: {}: {said}", self.name()),
            wait: None,
        })
    }

    /// What one does about it.
    fn kind(self) -> ErrorKind {
        match self.0 {
            3 | 69 | 91 | 100 => ErrorKind::NotFound,
            29..=31 | 53 | 58 | 65 => ErrorKind::Forbidden,
            36 | 60 | 68 | 86 => ErrorKind::Conflict,
            7 => ErrorKind::Timeout,
            89 => ErrorKind::Throttled,
            5 | 6 | 8 | 9 | 13..=16 | 41 | 56 | 88 => ErrorKind::Unavailable,
            10 | 17 | 33..=35 | 37..=40 | 42 | 44 | 54 | 57 | 73 | 92 | 93 => ErrorKind::Invalid,
            _ => ErrorKind::Internal,
        }
    }

    /// What a person can do.
    fn help(self) -> Option<&'static str> {
        Some(match self.0 {
            17 => {
                "use 1 to 249 letters, digits, dots, underscores and hyphens, and no name that differs from another only in dots and underscores"
            }
            29 => {
                "give Tidegate's user Create, Alter, AlterConfigs, DescribeConfigs, Describe and Delete on the topic"
            }
            31 => {
                "give Tidegate's user Alter, AlterConfigs, Create, Describe and DescribeConfigs on the cluster"
            }
            33 | 34 | 58 => {
                "correct sasl.mechanism, sasl.username and sasl.password under security in the Settings"
            }
            35 => "the broker is too old for this request: update it",
            37 => {
                "write a number of partitions from 1 on, and none that is below what the topic has"
            }
            38 => "write replicas that are no more than the brokers that run",
            40 => "correct the value, or remove the key from .spec.config",
            44 => "keep to the broker's policy for topics, or have it changed",
            54 => {
                "the brokers have no authorizer: set authorizer.class.name, or remove .spec.authorization"
            }
            60 => "wait until the reassignment of partitions is over",
            73 => "set delete.topic.enable=true on the brokers, or keep the topic",
            _ => return None,
        })
    }
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Nobody there, or the connection ended.
    Unreachable,
    /// No answer in time.
    Silent,
    /// The broker said no.
    Refused,
    /// Something that cannot be understood.
    Garbled,
    /// The settings do not fit.
    Settings,
}

/// The failure of one request, or of one item in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KafkaError {
    code: Code,
    cause: Cause,
    message: String,
    wait: Option<Duration>,
}

impl KafkaError {
    fn of(cause: Cause, message: String) -> Self {
        Self {
            code: Code::NONE,
            cause,
            message,
            wait: None,
        }
    }

    pub(crate) fn unreachable(address: &str, error: &dyn fmt::Display) -> Self {
        Self::of(
            Cause::Unreachable,
            format!("broker {address} cannot be reached: {error}"),
        )
    }

    pub(crate) fn broken(address: &str, error: &std::io::Error) -> Self {
        let why = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the broker ended the connection".to_owned(),
            _ => error.to_string(),
        };
        Self::of(Cause::Unreachable, format!("broker {address}: {why}"))
    }

    /// The first request of nobody was not answered.
    pub(crate) fn unproven(address: &str) -> Self {
        let why = "the broker ended the connection at the first request; if this listener wants a user, set security.protocol to SASL_PLAINTEXT or SASL_SSL";
        Self::of(Cause::Unreachable, format!("broker {address}: {why}"))
    }

    /// Plain text was sent to a listener that speaks TLS.
    pub(crate) fn encrypted(address: &str) -> Self {
        let why = "it speaks TLS: set security.protocol to SSL or SASL_SSL";
        Self::of(Cause::Garbled, format!("broker {address}: {why}"))
    }

    pub(crate) fn silent(address: &str, request: &str) -> Self {
        Self::of(
            Cause::Silent,
            format!("broker {address} does not answer {request}"),
        )
    }

    pub(crate) fn garbled(address: &str, request: &str, why: &dyn fmt::Display) -> Self {
        Self::of(
            Cause::Garbled,
            format!("broker {address}: the answer to {request} cannot be read: {why}"),
        )
    }

    pub(crate) fn unsayable(request: &str, version: i16, why: &dyn fmt::Display) -> Self {
        Self::of(
            Cause::Garbled,
            format!("{request} cannot be written in version {version}: {why}"),
        )
    }

    pub(crate) fn unknown_request(address: &str, request: &str) -> Self {
        Self {
            code: Code::UNSUPPORTED_VERSION,
            cause: Cause::Refused,
            message: format!(
                "broker {address} does not know {request} in a version that Tidegate speaks"
            ),
            wait: None,
        }
    }

    pub(crate) fn settings(message: impl Into<String>) -> Self {
        Self::of(Cause::Settings, message.into())
    }

    /// Kafka refused the credentials.
    pub(crate) fn credentials(message: impl Into<String>) -> Self {
        Self {
            code: Code::new(58),
            ..Self::of(Cause::Refused, message.into())
        }
    }

    /// The broker asks to come back later.
    #[must_use]
    pub(crate) fn after(mut self, milliseconds: i32) -> Self {
        let wait = u64::try_from(milliseconds).unwrap_or(0);
        self.wait = (wait > 0).then(|| Duration::from_millis(wait));
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// The connection must not be used again.
    pub(crate) fn is_broken(&self) -> bool {
        match self.cause {
            Cause::Unreachable | Cause::Silent | Cause::Garbled => true,
            Cause::Refused | Cause::Settings => false,
        }
    }

    /// The same request may succeed in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self.cause {
            Cause::Unreachable | Cause::Silent => true,
            Cause::Refused => matches!(
                self.code.kind(),
                ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Timeout
            ),
            Cause::Garbled | Cause::Settings => false,
        }
    }

    /// The error as the engine reacts to it, said of something (`topic "orders"`).
    pub(crate) fn of_what(&self, what: &str) -> ApplierError {
        let kind = match self.cause {
            Cause::Unreachable => ErrorKind::Unavailable,
            Cause::Silent => ErrorKind::Timeout,
            Cause::Refused => self.code.kind(),
            Cause::Garbled => ErrorKind::Internal,
            Cause::Settings => ErrorKind::Invalid,
        };
        let message = if what.is_empty() {
            self.message.clone()
        } else {
            format!("{what}: {}", self.message)
        };
        let mut error = ApplierError::new(kind, message);
        if let Some(wait) = self.wait {
            error = error.retry_after(wait);
        }
        let help = match self.cause {
            Cause::Unreachable | Cause::Silent => Some(
                "look whether the brokers run and whether bootstrapServers of the destination is right",
            ),
            Cause::Garbled => Some(
                "look whether bootstrapServers names Kafka's own port, and whether security.protocol is what that listener speaks",
            ),
            Cause::Settings => Some("correct security of the Kafka target in the Settings"),
            Cause::Refused => self.code.help(),
        };
        match help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

impl From<KafkaError> for ApplierError {
    fn from(error: KafkaError) -> Self {
        error.of_what("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_broker_stay() {
        let refused = Code::new(40).check("CreateTopics", Some("Invalid value banana"));
        let error = refused.unwrap_err().of_what("topic \"orders\"");
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert_eq!(
            error.message,
            "topic \"orders\": CreateTopics: INVALID_CONFIG: Invalid value banana"
        );
        assert!(error.help.is_some());
    }

    #[test]
    fn passing_trouble_is_told_from_lasting() {
        assert!(Code::new(41).check("x", None).unwrap_err().is_passing());
        assert!(!Code::new(36).check("x", None).unwrap_err().is_passing());
        assert!(KafkaError::silent("a:1", "Metadata").is_broken());
    }
}
