//! Short names for verdicts, so that rules read as sentences.

use tidegate_manifest::{Health, HealthStatus};

pub(crate) fn healthy(message: impl Into<String>) -> Health {
    Health::new(HealthStatus::Healthy, message)
}

pub(crate) fn progressing(message: impl Into<String>) -> Health {
    Health::new(HealthStatus::Progressing, message)
}

pub(crate) fn degraded(message: impl Into<String>) -> Health {
    Health::new(HealthStatus::Degraded, message)
}

pub(crate) fn suspended(message: impl Into<String>) -> Health {
    Health::new(HealthStatus::Suspended, message)
}

pub(crate) fn unknown(message: impl Into<String>) -> Health {
    Health::new(HealthStatus::Unknown, message)
}
