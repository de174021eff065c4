//! The verdict on an application: per object whether it equals Git and how it is, and both for the whole.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_applier::FieldChange;
use tidegate_manifest::{Diagnostic, Health, Origin, ResourceKey, SyncStatus};

/// Types of an application's conditions (Argo CD section 2.1); the suffix is the severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionType {
    /// Live state could not be compared.
    ComparisonError,
    /// The application could not be deleted.
    DeletionError,
    /// Objects of excluded kinds are in Git.
    ExcludedResourceWarning,
    /// The specification is wrong.
    InvalidSpecError,
    /// Objects of nobody are in the namespace.
    OrphanedResourceWarning,
    /// Two sources bring the same object.
    RepeatedResourceWarning,
    /// An object is of another application too.
    SharedResourceWarning,
    /// A sync failed, or automation will not try again.
    SyncError,
    /// Anything else.
    UnknownError,
}

impl ConditionType {
    /// The word as Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            ConditionType::ComparisonError => "ComparisonError",
            ConditionType::DeletionError => "DeletionError",
            ConditionType::ExcludedResourceWarning => "ExcludedResourceWarning",
            ConditionType::InvalidSpecError => "InvalidSpecError",
            ConditionType::OrphanedResourceWarning => "OrphanedResourceWarning",
            ConditionType::RepeatedResourceWarning => "RepeatedResourceWarning",
            ConditionType::SharedResourceWarning => "SharedResourceWarning",
            ConditionType::SyncError => "SyncError",
            ConditionType::UnknownError => "UnknownError",
        }
    }
}

/// Something about an application that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Condition {
    /// What sort.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// In words.
    pub message: String,
}

impl Condition {
    /// A condition.
    pub fn new(kind: ConditionType, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// One object of an application.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceStatus {
    /// The object.
    pub key: ResourceKey,
    /// The API version, of Git where it is there, else of the live object.
    pub version: String,
    /// Whether it equals Git; none for hooks, skipped objects and copies of a tracking mark.
    pub status: Option<SyncStatus>,
    /// How it is; none when its kind has no check.
    pub health: Option<Health>,
    /// It is a hook.
    pub is_hook: bool,
    /// It is live and no longer in Git.
    pub requires_pruning: bool,
    /// Its deletion needs a person's approval.
    pub requires_deletion_confirmation: bool,
    /// The wave.
    pub sync_wave: i32,
    /// It is live.
    pub is_live: bool,
    /// An extra object that does not make the application OutOfSync.
    pub is_ignored_extra: bool,
    /// Where it stands in Git.
    pub origin: Option<Arc<Origin>>,
    /// The fields that differ, sorted by path, secrets masked; empty for extra objects.
    pub changes: Vec<FieldChange>,
}

/// The verdict on an application.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The application.
    pub application: String,
    /// The revisions that were compared, one per source.
    pub revisions: Vec<String>,
    /// Whether it equals Git.
    pub sync: SyncStatus,
    /// How it is.
    pub health: Health,
    /// Its objects, sorted by group, kind, namespace, name.
    pub resources: Vec<ResourceStatus>,
    /// What a person should know, sorted.
    pub conditions: Vec<Condition>,
    /// What is wrong in Git, with file and line.
    pub diagnostics: Vec<Diagnostic>,
}

impl Comparison {
    /// Whether it is Synced and Healthy.
    pub fn is_good(&self) -> bool {
        self.sync == SyncStatus::Synced
            && self.health.status == tidegate_manifest::HealthStatus::Healthy
    }

    /// The objects that differ from Git and count.
    pub fn out_of_sync(&self) -> impl Iterator<Item = &ResourceStatus> {
        self.resources.iter().filter(|resource| {
            resource.status == Some(SyncStatus::OutOfSync) && !resource.is_ignored_extra
        })
    }

    /// The verdict on one object.
    pub fn resource(&self, key: &ResourceKey) -> Option<&ResourceStatus> {
        self.resources.iter().find(|resource| resource.key == *key)
    }
}

/// How one object differs from Git, for people and for `diff`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDiff {
    /// The object.
    pub key: ResourceKey,
    /// What a sync would do.
    pub action: crate::PlanAction,
    /// The live object, secrets masked, without the target's bookkeeping; none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<Value>,
    /// The object as it would be, in the same form; none when it would be pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<Value>,
    /// The fields that differ, sorted by path, secrets masked.
    pub changes: Vec<FieldChange>,
    /// Where it stands in Git.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Arc<Origin>>,
}
