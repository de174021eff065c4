//! From what was seen to the verdict on an application (Argo CD 6.1, 6.2, 11.1). Pure.

use serde_json::Value;
use tidegate_health::{Member, MemberState, aggregate};
use tidegate_manifest::{Approval, Diagnostic, Health, HealthStatus, Role, SyncFacts, SyncStatus};

use crate::Desired;
use crate::comparison::{Comparison, Condition, ConditionType, ResourceStatus};
use crate::difference::Differences;
use crate::live::Observation;
use crate::normalise::DesiredObject;
use crate::tasks;

/// What a comparison is decided by beside the observation.
pub(crate) struct CompareInput<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) observation: &'a Observation,
    pub(crate) differences: &'a Differences,
    /// Mistakes in the application's ignore rules.
    pub(crate) rule_errors: &'a [Diagnostic],
    /// `managedNamespaceMetadata` as it was applied last; none before the first sync.
    pub(crate) applied_namespace_metadata: Option<&'a Value>,
}

/// Compares an application with its live state.
pub(crate) fn compare(input: &CompareInput<'_>) -> Comparison {
    let observation = input.observation;
    let mut diagnostics = observation.normalised.diagnostics.clone();
    diagnostics.extend(input.rule_errors.iter().cloned());
    let is_unknown = diagnostics.iter().any(Diagnostic::is_error);
    let mut conditions = observation.conditions.clone();
    conditions.extend(error_conditions(&diagnostics, input.differences));
    diagnostics.extend(observation.normalised.refusals.iter().cloned());
    let mut resources = rows(input);
    if is_unknown {
        for row in resources.iter_mut().filter(|row| row.status.is_some()) {
            row.status = Some(SyncStatus::Unknown);
        }
    }
    resources.sort_by(|a, b| a.key.cmp(&b.key));
    conditions.sort();
    conditions.dedup();
    let has_read_errors = !input.differences.errors.is_empty();
    let sync = if is_unknown || has_read_errors {
        SyncStatus::Unknown
    } else {
        overall(input, &resources)
    };
    let health = aggregate(members(input, &resources));
    Comparison {
        application: input.desired.application_name().to_owned(),
        revisions: input.desired.revisions(),
        sync,
        health: Health::new(health.status, health.message),
        resources,
        conditions,
        diagnostics,
    }
}

fn error_conditions(diagnostics: &[Diagnostic], differences: &Differences) -> Vec<Condition> {
    let found = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error());
    let mut conditions: Vec<Condition> = found
        .map(|diagnostic| {
            let kind = match diagnostic.code.as_str() {
                "TG0301" | "TG0302" | "TG0304" | "TG0403" | "TG0404" => {
                    ConditionType::InvalidSpecError
                }
                _ => ConditionType::ComparisonError,
            };
            let place = diagnostic.origin.place();
            let message = if place.is_empty() {
                diagnostic.message.clone()
            } else {
                format!("{place}: {}", diagnostic.message)
            };
            Condition::new(kind, message)
        })
        .collect();
    let refused = differences.errors.iter().chain(&differences.refused);
    conditions.extend(refused.map(|(key, error)| {
        let message = format!("{}: {error}", key.short());
        Condition::new(ConditionType::ComparisonError, message)
    }));
    conditions
}

fn rows(input: &CompareInput<'_>) -> Vec<ResourceStatus> {
    let objects = input.observation.normalised.objects.iter();
    let mut rows: Vec<ResourceStatus> = objects
        .filter_map(|object| desired_row(input, object))
        .collect();
    rows.extend(extra_rows(input));
    rows
}

/// The row of an object in Git; hooks have one only while they are live.
fn desired_row(input: &CompareInput<'_>, object: &DesiredObject) -> Option<ResourceStatus> {
    let live = input.observation.live.get(&object.key);
    let facts = &object.object.facts;
    let is_hook = facts.role == Role::Hook;
    if is_hook && live.is_none() {
        return None;
    }
    let difference = input.differences.by_key.get(&object.key);
    let is_error = input.differences.errors.contains_key(&object.key);
    let status = match facts.role {
        Role::Hook | Role::Skip | Role::Ignored => None,
        Role::Resource if is_error => Some(SyncStatus::Unknown),
        Role::Resource if is_forbidden(object) => Some(SyncStatus::Unknown),
        Role::Resource if input.differences.refused.contains_key(&object.key) => {
            Some(SyncStatus::OutOfSync)
        }
        Role::Resource => match difference {
            Some(difference) if !difference.is_modified() => Some(SyncStatus::Synced),
            Some(_) => Some(SyncStatus::OutOfSync),
            None => Some(SyncStatus::Unknown),
        },
    };
    let health = match live {
        Some(live) => live.health.clone(),
        None if facts.role == Role::Resource && !is_error => {
            Some(Health::new(HealthStatus::Missing, ""))
        }
        None => None,
    };
    let app_prune = input.desired.application.sync_policy.options.prune;
    Some(ResourceStatus {
        key: object.key.clone(),
        version: object.object.gvk.version.clone(),
        status,
        health,
        is_hook,
        requires_pruning: false,
        requires_deletion_confirmation: needs_confirmation(input, facts, app_prune),
        sync_wave: facts.wave,
        is_live: live.is_some(),
        is_ignored_extra: false,
        origin: Some(std::sync::Arc::clone(&object.object.origin)),
        changes: difference
            .map(|found| found.changes.clone())
            .unwrap_or_default(),
    })
}

/// Kinds that the project does not permit are not compared (Argo CD 6.2).
fn is_forbidden(object: &DesiredObject) -> bool {
    let reason = object.invalid.as_deref().unwrap_or_default();
    reason.contains("is not permitted in project")
}

fn needs_confirmation(input: &CompareInput<'_>, facts: &SyncFacts, prune: Approval) -> bool {
    let delete = input.desired.application.sync_policy.options.delete;
    tasks::needs_approval(facts, prune)
        || facts.options.delete.unwrap_or(delete) == Approval::Confirm
}

/// Rows of marked live objects that Git does not have.
fn extra_rows<'a>(input: &'a CompareInput<'_>) -> impl Iterator<Item = ResourceStatus> + 'a {
    let app_prune = input.desired.application.sync_policy.options.prune;
    input.observation.extras.iter().filter_map(move |owned| {
        let live = input.observation.live.get(&owned.key)?;
        let facts = SyncFacts::of(&live.body);
        let is_hook = matches!(facts.role, Role::Hook | Role::Ignored);
        let is_extra = facts.role == Role::Resource && owned.is_self_reference;
        let version = live.body.get("apiVersion").and_then(Value::as_str);
        let version = version
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default();
        Some(ResourceStatus {
            key: owned.key.clone(),
            version: version.to_owned(),
            status: is_extra.then_some(SyncStatus::OutOfSync),
            health: live.health.clone(),
            is_hook,
            requires_pruning: is_extra,
            requires_deletion_confirmation: needs_confirmation(input, &facts, app_prune),
            sync_wave: facts.wave,
            is_live: true,
            is_ignored_extra: facts.compare.ignore_extraneous,
            origin: None,
            changes: Vec::new(),
        })
    })
}

fn overall(input: &CompareInput<'_>, resources: &[ResourceStatus]) -> SyncStatus {
    let counts = resources.iter().filter(|row| !row.is_ignored_extra);
    let mut worst = counts.filter_map(|row| row.status);
    let is_out = worst.any(|status| status == SyncStatus::OutOfSync);
    if is_out || namespace_metadata_differs(input) {
        SyncStatus::OutOfSync
    } else {
        SyncStatus::Synced
    }
}

/// `managedNamespaceMetadata` that is not what the last sync applied (Argo CD 6.2).
fn namespace_metadata_differs(input: &CompareInput<'_>) -> bool {
    let policy = &input.desired.application.sync_policy;
    let wanted = namespace_metadata(input.desired);
    policy.options.create_namespace
        && input
            .applied_namespace_metadata
            .is_some_and(|applied| *applied != wanted)
}

/// The form in which `managedNamespaceMetadata` is remembered.
pub(crate) fn namespace_metadata(desired: &Desired) -> Value {
    let managed = &desired.application.sync_policy.managed_namespace_metadata;
    serde_json::to_value(managed).unwrap_or_default()
}

fn members(input: &CompareInput<'_>, resources: &[ResourceStatus]) -> Vec<Member> {
    let application = &input.desired.application;
    let counts = |row: &&ResourceStatus| {
        let is_self = row.key.group == "argoproj.io"
            && row.key.kind == "Application"
            && row.key.name == application.name;
        let live = input.observation.live.get(&row.key);
        let ignores = live.is_some_and(|live| SyncFacts::of(&live.body).ignore_healthcheck);
        row.status.is_some() && !row.is_hook && !is_self && !ignores
    };
    let member = |row: &ResourceStatus| {
        let is_application = row.key.group == "argoproj.io" && row.key.kind == "Application";
        let unread = input.observation.live.errors.get(&row.key);
        let state = match (&row.health, row.is_live) {
            (_, false) if unread.is_some() => {
                let why = unread.map(ToString::to_string).unwrap_or_default();
                MemberState::Checked(Health::new(HealthStatus::Unknown, why))
            }
            (_, false) => MemberState::Missing,
            (Some(health), true) if is_application => MemberState::Application(health.clone()),
            (Some(health), true) => MemberState::Checked(health.clone()),
            (None, true) => MemberState::Unchecked,
        };
        Member {
            object: row.key.short(),
            state,
        }
    };
    resources.iter().filter(counts).map(member).collect()
}
