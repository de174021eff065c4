//! What the engine remembers of an application, and the journal of its running operation.
//!
//! Before an effect its intent is appended, after it the result; both are durable before the engine goes on.
//! Folded, the journal is the operation's state at the moment that the process died. Pure; `engine` does the IO.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_manifest::{Health, HookKind, OperationPhase, Phase, ResourceKey, SyncStatus};
use tidegate_store::{Batch, Record};

use crate::step::DryRun;
use crate::{Condition, HistoryEntry, OperationState, ResourceResult};

/// The table of what is remembered by application.
pub(crate) const APPLICATIONS: &str = "applications";

/// The journal of an application's running operation.
pub(crate) fn journal_name(application: &str) -> String {
    format!("operation/{application}")
}

/// What is remembered of an application between operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ApplicationRecord {
    /// The last operation that ended.
    pub(crate) operation: Option<OperationState>,
    /// Successful syncs, oldest first.
    pub(crate) history: Vec<HistoryEntry>,
    /// The number of the next history entry.
    pub(crate) next_history_id: u64,
    /// What was applied and not pruned.
    pub(crate) inventory: Vec<InventoryItem>,
    /// `managedNamespaceMetadata` as it was applied last.
    pub(crate) namespace_metadata: Option<Value>,
    /// The last verdict, for `status`.
    pub(crate) verdict: Option<Verdict>,
    /// The deletion of the application that has begun.
    pub(crate) deletion: Option<Deletion>,
}

/// A deletion on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deletion {
    /// Marks the hooks that it made.
    pub(crate) id: String,
    pub(crate) started_at: Timestamp,
    /// Hooks that ended well.
    pub(crate) done: Vec<(ResourceKey, HookKind)>,
}

/// One object that was applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct InventoryItem {
    pub(crate) key: ResourceKey,
    pub(crate) uid: String,
}

/// The last verdict with the times at which it changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    pub(crate) sync: SyncStatus,
    pub(crate) health: Health,
    pub(crate) health_since: Timestamp,
    pub(crate) conditions: Vec<(Condition, Timestamp)>,
    pub(crate) reconciled_at: Timestamp,
    pub(crate) revisions: Vec<String>,
    /// Rows in Argo CD's form.
    pub(crate) resources: Vec<Value>,
    pub(crate) source_types: Vec<String>,
}

impl ApplicationRecord {
    pub(crate) fn read(bytes: Option<&[u8]>) -> Self {
        let read = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
        read.unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Takes an ended operation over: inventory, history, namespace metadata.
    pub(crate) fn close(&mut self, operation: &OperationState, limit: usize, metadata: Value) {
        let mut items: BTreeMap<ResourceKey, String> = self
            .inventory
            .drain(..)
            .map(|item| (item.key, item.uid))
            .collect();
        for result in &operation.results {
            use tidegate_manifest::ResultCode::{PruneSkipped, Pruned, SyncFailed, Synced};
            match result.status {
                Some(Synced) if result.hook_type.is_none() && !operation.request.dry_run => {
                    items.insert(result.key.clone(), result.uid.clone());
                }
                Some(Pruned) if !operation.request.dry_run => {
                    items.remove(&result.key);
                }
                Some(Synced | Pruned | SyncFailed | PruneSkipped) | None => {}
            }
        }
        let items = items.into_iter();
        self.inventory = items.map(|(key, uid)| InventoryItem { key, uid }).collect();
        let succeeded = operation.phase == OperationPhase::Succeeded;
        if succeeded && operation.request.writes_history() {
            self.history.push(HistoryEntry {
                id: self.next_history_id,
                revisions: operation.revisions.clone(),
                sources: operation.sources.clone(),
                is_multi_source: operation.is_multi_source,
                deploy_started_at: operation.started_at,
                deployed_at: operation.finished_at.unwrap_or(operation.started_at),
                initiated_by: operation.request.initiated_by.clone(),
            });
            self.next_history_id += 1;
            self.namespace_metadata = Some(metadata);
        }
        let excess = self.history.len().saturating_sub(limit);
        self.history.drain(..excess);
        self.operation = Some(operation.clone());
    }
}

/// What is about to be done to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Effect {
    /// It is applied; again has no further effect.
    Apply,
    /// It is deleted and made anew: must not happen twice.
    Recreate,
    /// It is deleted because it is no longer in Git.
    Prune,
    /// A hook is deleted, by a policy or before it runs again.
    DeleteHook,
    /// A running hook is deleted because its operation is terminated.
    TerminateHook,
    /// A hook's finalizer is taken away.
    ReleaseHook,
}

/// The intent of one effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) key: ResourceKey,
    pub(crate) phase: Phase,
    pub(crate) effect: Effect,
    /// The object before it; empty when absent.
    pub(crate) uid: String,
}

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// An operation began.
    Began(Box<OperationState>),
    /// These effects are about to be made.
    Intent(Vec<Intent>),
    /// These tasks came to this.
    Results(Vec<ResourceResult>),
    /// The dry run came to this.
    DryRun(DryRun),
    /// An attempt failed; the next begins after a wait.
    Retry {
        message: String,
        at: Timestamp,
        waits_from: Timestamp,
    },
    /// The next attempt begins.
    Attempt(u32),
}

impl Entry {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// An operation on its way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Progress {
    pub(crate) operation: OperationState,
    pub(crate) dry_run: DryRun,
    /// Effects whose outcome is not recorded.
    pub(crate) open: Vec<Intent>,
    /// When the next attempt is due.
    pub(crate) retry_at: Option<Timestamp>,
}

impl Progress {
    pub(crate) fn new(operation: OperationState) -> Self {
        Self {
            operation,
            dry_run: DryRun::Pending,
            open: Vec::new(),
            retry_at: None,
        }
    }

    /// The state that the records add up to; none when no operation is on its way. A record that
    /// cannot be read ends the fold: what is behind it was written by a newer program.
    pub(crate) fn fold(records: &[Record]) -> Option<Self> {
        let mut progress: Option<Self> = None;
        for record in records {
            let Ok(entry) = serde_json::from_slice::<Entry>(&record.data) else {
                break;
            };
            match (&mut progress, entry) {
                (None, Entry::Began(operation)) => progress = Some(Self::new(*operation)),
                (None, _) => {}
                (Some(progress), entry) => progress.take(entry),
            }
        }
        progress
    }

    /// Takes one record over; the same code runs while the operation runs and when it is resumed.
    pub(crate) fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Began(operation) => *self = Self::new(*operation),
            Entry::Intent(intents) => self.open.extend(intents),
            Entry::Results(results) => {
                for result in results {
                    self.open
                        .retain(|open| (&open.key, open.phase) != result.task());
                    self.merge(result);
                }
            }
            Entry::DryRun(outcome) => self.dry_run = outcome,
            Entry::Retry {
                message,
                at,
                waits_from,
            } => {
                self.operation.message = message;
                self.operation.finished_at = Some(waits_from);
                self.retry_at = Some(at);
                self.operation.waits.clear();
            }
            Entry::Attempt(count) => {
                self.operation.retry_count = count;
                self.operation.finished_at = None;
                self.operation.results.clear();
                self.operation.message = String::new();
                self.dry_run = DryRun::Pending;
                self.open.clear();
                self.retry_at = None;
            }
        }
    }

    fn merge(&mut self, result: ResourceResult) {
        let results = &mut self.operation.results;
        match results
            .iter_mut()
            .find(|other| other.task() == result.task())
        {
            Some(other) => *other = result,
            None => results.push(result),
        }
    }

    /// The batch that appends entries to the journal of the application.
    pub(crate) fn batch(application: &str, entries: &[Entry]) -> Batch {
        let journal = journal_name(application);
        let append = |batch: Batch, entry: &Entry| batch.append(&journal, entry.bytes());
        entries.iter().fold(Batch::new(), append)
    }
}
