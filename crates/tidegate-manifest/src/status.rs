//! The verdicts that Argo CD's documents and clients know, as types.

use serde::{Deserialize, Serialize};

/// Health of an object or application, best first (Argo CD's order).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HealthStatus {
    /// Does what it should.
    Healthy,
    /// Paused on purpose.
    Suspended,
    /// On its way.
    Progressing,
    /// Not there.
    Missing,
    /// Failed, or will not make it.
    Degraded,
    /// Could not be assessed.
    Unknown,
}

impl HealthStatus {
    /// The word as Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Healthy => "Healthy",
            HealthStatus::Suspended => "Suspended",
            HealthStatus::Progressing => "Progressing",
            HealthStatus::Missing => "Missing",
            HealthStatus::Degraded => "Degraded",
            HealthStatus::Unknown => "Unknown",
        }
    }
}

impl std::fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A health verdict with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Why, in the words of the object's controller where it has any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Health {
    /// A verdict with its reason.
    pub fn new(status: HealthStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// `Healthy`, without a message.
    pub fn healthy() -> Self {
        Self::new(HealthStatus::Healthy, "")
    }
}

/// Whether live state equals Git.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SyncStatus {
    /// Equal.
    Synced,
    /// Different.
    OutOfSync,
    /// Could not be compared.
    Unknown,
}

impl SyncStatus {
    /// The word as Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            SyncStatus::Synced => "Synced",
            SyncStatus::OutOfSync => "OutOfSync",
            SyncStatus::Unknown => "Unknown",
        }
    }
}

impl std::fmt::Display for SyncStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Phase of an operation or of one task in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OperationPhase {
    /// Not done.
    Running,
    /// Being ended by a person.
    Terminating,
    /// Ended: a task failed.
    Failed,
    /// Ended: something else went wrong.
    Error,
    /// Ended well.
    Succeeded,
}

impl OperationPhase {
    /// Whether the operation or task has ended.
    pub fn is_completed(self) -> bool {
        match self {
            OperationPhase::Running | OperationPhase::Terminating => false,
            OperationPhase::Failed | OperationPhase::Error | OperationPhase::Succeeded => true,
        }
    }

    /// Whether it ended badly.
    pub fn is_unsuccessful(self) -> bool {
        matches!(self, OperationPhase::Failed | OperationPhase::Error)
    }

    /// The word as Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationPhase::Running => "Running",
            OperationPhase::Terminating => "Terminating",
            OperationPhase::Failed => "Failed",
            OperationPhase::Error => "Error",
            OperationPhase::Succeeded => "Succeeded",
        }
    }
}

/// What applying or pruning one object came to (`syncResult.resources[].status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResultCode {
    /// Applied.
    Synced,
    /// Could not be applied or pruned.
    SyncFailed,
    /// Deleted.
    Pruned,
    /// Left in place though no longer in Git.
    PruneSkipped,
}
