//! What can go wrong with one item, by what one does about it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What sort of failure it is; the engine's reaction follows from it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The object, its kind or its namespace is not there.
    NotFound,
    /// A precondition does not hold, or somebody else owns a field.
    Conflict,
    /// Not permitted.
    Forbidden,
    /// The target refuses the object as it stands.
    Invalid,
    /// Too many requests.
    Throttled,
    /// The target does not answer.
    Unavailable,
    /// The deadline passed; the effect is unknown.
    Timeout,
    /// Anything else.
    Internal,
}

/// The failure of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(rename_all = "camelCase")]
pub struct ApplierError {
    /// What sort of failure it is.
    pub kind: ErrorKind,
    /// The target's own words.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// When the target asks to come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
    /// What a person can do, when the applier knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl ApplierError {
    /// A failure that is retryable exactly when its kind says so.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retryable = match kind {
            ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Timeout => true,
            ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Forbidden
            | ErrorKind::Invalid
            | ErrorKind::Internal => false,
        };
        Self {
            kind,
            message: message.into(),
            retryable,
            retry_after: None,
            help: None,
        }
    }

    /// Says whether the same request may succeed later.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Says when the target asks to come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self.retryable = true;
        self
    }

    /// Says what a person can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
