//! When an application is synced by itself (Argo CD 9.2, 9.3). Pure.

use jiff::{SignedDuration, Timestamp};
use tidegate_manifest::{OperationPhase, SyncStatus};

use crate::comparison::{Comparison, Condition, ConditionType};
use crate::{Desired, OperationState, ResourceFilter, SyncRequest};

/// The first wait between two heals.
const HEAL_BASE_SECONDS: i64 = 2;
/// What each further wait is multiplied by.
const HEAL_FACTOR: i64 = 3;
/// The longest wait.
const HEAL_MAX_SECONDS: i64 = 300;

/// What automation does now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// Nothing.
    Rest,
    /// Sync to a revision that was not tried.
    Sync(Box<SyncRequest>),
    /// Undo drift.
    Heal(Box<SyncRequest>),
    /// Undo drift, but not before this time.
    HealAt(Timestamp),
    /// Nothing, and a person should know why.
    Refuse(Condition),
}

/// Decides by the last comparison and the last operation.
pub(crate) fn decide(
    desired: &Desired,
    comparison: &Comparison,
    last: Option<&OperationState>,
    now: Timestamp,
) -> Decision {
    let application = &desired.application;
    let Some(automated) = application.sync_policy.automated else {
        return Decision::Rest;
    };
    if comparison.sync != SyncStatus::OutOfSync {
        return Decision::Rest;
    }
    let only_extras = comparison.out_of_sync().all(|row| row.requires_pruning);
    let has_differences = comparison.out_of_sync().next().is_some();
    if only_extras && has_differences && !automated.prune {
        return Decision::Rest;
    }
    let request = SyncRequest::automated(application);
    let attempt = last.filter(|last| was_attempted(desired, last));
    let decision = match attempt {
        None => Decision::Sync(Box::new(request)),
        Some(last) if last.phase != OperationPhase::Succeeded => {
            return Decision::Refuse(failed_before(last));
        }
        Some(_) if !automated.self_heal => return Decision::Rest,
        Some(last) => heal(comparison, last, request, now),
    };
    let rows = comparison
        .resources
        .iter()
        .filter(|row| row.status.is_some());
    if automated.prune && !automated.allow_empty && rows.clone().all(|row| row.requires_pruning) {
        let count = rows.count();
        return Decision::Refuse(Condition::new(
            ConditionType::SyncError,
            format!(
                "Skipping sync attempt to {}: auto-sync will wipe out all resources ({count} of them); set spec.syncPolicy.automated.allowEmpty to permit it",
                desired.revisions().join(", ")
            ),
        ));
    }
    decision
}

/// Whether an operation has tried these revisions of these sources. A directory that differs from its
/// commit keeps its revision while its content changes: there the content counts.
fn was_attempted(desired: &Desired, last: &OperationState) -> bool {
    let sources = desired
        .application
        .sources
        .iter()
        .map(|source| &source.document);
    let is_dirty = last
        .revisions
        .iter()
        .any(|revision| revision.ends_with("+dirty"));
    let same_sources = sources.eq(last.sources.iter());
    let same_content = !is_dirty || last.desired == desired.digest();
    let counts = !last.is_superseded && !last.request.dry_run;
    counts && last.revisions == desired.revisions() && same_sources && same_content
}

fn failed_before(last: &OperationState) -> Condition {
    Condition::new(
        ConditionType::SyncError,
        format!(
            "Failed last sync attempt to [{}]: {}",
            last.revisions.join(", "),
            last.message
        ),
    )
}

/// A partial sync of what differs: hooks do not run, no history is written.
fn heal(
    comparison: &Comparison,
    last: &OperationState,
    request: SyncRequest,
    now: Timestamp,
) -> Decision {
    let attempts = last.request.self_heal_attempts;
    let due = heal_at(last, attempts);
    if due > now {
        return Decision::HealAt(due);
    }
    let filter = |row: &crate::ResourceStatus| ResourceFilter {
        group: row.key.group.clone(),
        kind: row.key.kind.clone(),
        name: row.key.name.clone(),
        namespace: None,
        exclude: false,
    };
    Decision::Heal(Box::new(SyncRequest {
        resources: comparison.out_of_sync().map(filter).collect(),
        self_heal_attempts: attempts.saturating_add(1),
        ..request
    }))
}

/// When drift may be undone again: at once the first time, then further and further apart.
fn heal_at(last: &OperationState, attempts: u32) -> Timestamp {
    let Some(finished) = last.finished_at.filter(|_| attempts > 0) else {
        return Timestamp::MIN;
    };
    let factor = HEAL_FACTOR.checked_pow(attempts - 1).unwrap_or(i64::MAX);
    let seconds = HEAL_BASE_SECONDS
        .saturating_mul(factor)
        .min(HEAL_MAX_SECONDS);
    let due = finished.checked_add(SignedDuration::from_secs(seconds));
    due.unwrap_or(Timestamp::MAX)
}
