//! `.status` of an Application in Argo CD's form (section 2). Pure.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tidegate_manifest::{Application, OperationPhase, ResourceKey};

use crate::comparison::{Comparison, ResourceStatus};
use crate::journal::{ApplicationRecord, Verdict};
use crate::operation::{HistoryEntry, Initiator, OperationState, ResourceResult, SyncRequest};
use crate::{Desired, Engine, EngineError, Strategy};

/// Seconds, as Kubernetes writes times.
fn time(at: Timestamp) -> Value {
    json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The verdict as it is remembered; times move only when what they date changes.
pub(crate) fn verdict(
    desired: &Desired,
    comparison: &Comparison,
    old: Option<&Verdict>,
    now: Timestamp,
) -> Verdict {
    let since = old.filter(|old| old.health.status == comparison.health.status);
    let conditions = comparison.conditions.iter().map(|condition| {
        let known = old.and_then(|old| old.conditions.iter().find(|(c, _)| c == condition));
        (condition.clone(), known.map_or(now, |(_, at)| *at))
    });
    let sources = desired.sources.iter();
    Verdict {
        sync: comparison.sync,
        health: comparison.health.clone(),
        health_since: since.map_or(now, |old| old.health_since),
        conditions: conditions.collect(),
        reconciled_at: now,
        revisions: comparison.revisions.clone(),
        resources: comparison.resources.iter().map(row).collect(),
        source_types: sources.map(|source| source.source_type.clone()).collect(),
    }
}

/// Puts the fields of an object that are there into a map.
fn identity(key: &ResourceKey, version: &str) -> Map<String, Value> {
    let mut map = Map::new();
    let fields = [
        ("group", key.group.as_str()),
        ("version", version),
        ("kind", key.kind.as_str()),
        ("namespace", key.namespace.as_str()),
        ("name", key.name.as_str()),
    ];
    for (name, value) in fields {
        if !value.is_empty() {
            map.insert(name.to_owned(), json!(value));
        }
    }
    map
}

fn row(resource: &ResourceStatus) -> Value {
    let mut map = identity(&resource.key, &resource.version);
    if let Some(status) = resource.status {
        map.insert("status".to_owned(), json!(status));
    }
    if let Some(health) = &resource.health {
        map.insert("health".to_owned(), json!(health));
    }
    let flags = [
        ("hook", resource.is_hook),
        ("requiresPruning", resource.requires_pruning),
        (
            "requiresDeletionConfirmation",
            resource.requires_deletion_confirmation,
        ),
    ];
    for (name, is_set) in flags.into_iter().filter(|(_, is_set)| *is_set) {
        map.insert(name.to_owned(), json!(is_set));
    }
    if resource.sync_wave != 0 {
        map.insert("syncWave".to_owned(), json!(resource.sync_wave));
    }
    Value::Object(map)
}

/// Inserts `revision` and `source`, or their plural forms.
fn insert_sources(
    map: &mut Map<String, Value>,
    revisions: &[String],
    sources: &[Value],
    many: bool,
) {
    if many {
        map.insert("revisions".to_owned(), json!(revisions));
        map.insert("sources".to_owned(), json!(sources));
        return;
    }
    if let Some(revision) = revisions.first() {
        map.insert("revision".to_owned(), json!(revision));
    }
    if let Some(source) = sources.first() {
        map.insert("source".to_owned(), source.clone());
    }
}

fn initiator(initiated_by: &Initiator) -> Value {
    json!(initiated_by)
}

fn history(entry: &HistoryEntry) -> Value {
    let mut map = Map::new();
    map.insert("id".to_owned(), json!(entry.id));
    insert_sources(
        &mut map,
        &entry.revisions,
        &entry.sources,
        entry.is_multi_source,
    );
    map.insert("deployStartedAt".to_owned(), time(entry.deploy_started_at));
    map.insert("deployedAt".to_owned(), time(entry.deployed_at));
    map.insert("initiatedBy".to_owned(), initiator(&entry.initiated_by));
    Value::Object(map)
}

/// `.operation` of the state, as a client would have written it.
fn operation(state: &OperationState) -> Value {
    let request = &state.request;
    let mut sync = Map::new();
    if state.is_multi_source {
        sync.insert("revisions".to_owned(), json!(state.revisions));
    } else {
        sync.insert("revision".to_owned(), json!(state.revision()));
    }
    for (name, is_set) in [("prune", request.prune), ("dryRun", request.dry_run)] {
        if is_set {
            sync.insert(name.to_owned(), json!(true));
        }
    }
    let strategy = match request.strategy {
        Strategy::Hook { force } => json!({"hook": force_of(force)}),
        Strategy::Apply { force } => json!({"apply": force_of(force)}),
    };
    sync.insert("syncStrategy".to_owned(), strategy);
    if !request.option_list.is_empty() {
        sync.insert("syncOptions".to_owned(), json!(request.option_list));
    }
    if !request.resources.is_empty() {
        let resources = request.resources.iter().map(|filter| {
            let mut map = Map::new();
            map.insert("group".to_owned(), json!(filter.group));
            map.insert("kind".to_owned(), json!(filter.kind));
            map.insert("name".to_owned(), json!(filter.name));
            if let Some(namespace) = &filter.namespace {
                map.insert("namespace".to_owned(), json!(namespace));
            }
            Value::Object(map)
        });
        sync.insert("resources".to_owned(), resources.collect());
    }
    if request.self_heal_attempts > 0 {
        let count = request.self_heal_attempts;
        sync.insert("autoHealAttemptsCount".to_owned(), json!(count));
    }
    json!({
        "sync": sync,
        "initiatedBy": initiator(&request.initiated_by),
        "retry": retry(request),
    })
}

fn force_of(force: bool) -> Value {
    if force {
        json!({"force": true})
    } else {
        json!({})
    }
}

fn retry(request: &SyncRequest) -> Value {
    let policy = &request.retry;
    let limit = policy.limit.map_or(-1, i64::from);
    if limit == 0 {
        return json!({});
    }
    json!({
        "limit": limit,
        "backoff": {
            "duration": format!("{}s", policy.duration.as_secs()),
            "factor": policy.factor,
            "maxDuration": format!("{}s", policy.max.as_secs()),
        },
    })
}

fn result(result: &ResourceResult) -> Value {
    let mut map = identity(&result.key, &result.version);
    if let Some(status) = result.status {
        map.insert("status".to_owned(), json!(status));
    }
    if !result.message.is_empty() {
        map.insert("message".to_owned(), json!(result.message));
    }
    if let Some(hook) = result.hook_type {
        map.insert("hookType".to_owned(), json!(hook));
    }
    map.insert("hookPhase".to_owned(), json!(result.hook_phase));
    map.insert("syncPhase".to_owned(), json!(result.sync_phase));
    if !result.images.is_empty() {
        map.insert("images".to_owned(), json!(result.images));
    }
    Value::Object(map)
}

/// `status.operationState`.
pub(crate) fn operation_state(state: &OperationState) -> Value {
    let mut sync_result = Map::new();
    let (revisions, sources) = (&state.revisions, &state.sources);
    insert_sources(&mut sync_result, revisions, sources, state.is_multi_source);
    let resources = state.results.iter().map(result);
    sync_result.insert("resources".to_owned(), resources.collect());
    let mut map = Map::new();
    map.insert("operation".to_owned(), operation(state));
    map.insert("phase".to_owned(), json!(state.phase));
    map.insert("message".to_owned(), json!(state.message));
    map.insert("syncResult".to_owned(), Value::Object(sync_result));
    map.insert("startedAt".to_owned(), time(state.started_at));
    if let Some(at) = state.finished_at {
        map.insert("finishedAt".to_owned(), time(at));
    }
    if state.retry_count > 0 {
        map.insert("retryCount".to_owned(), json!(state.retry_count));
    }
    Value::Object(map)
}

/// `.status` of an Application from what is remembered of it.
pub(crate) fn status(
    application: &Application,
    record: &ApplicationRecord,
    running: Option<&OperationState>,
) -> Value {
    let mut map = Map::new();
    let verdict = record.verdict.as_ref();
    let mut sync = Map::new();
    let status = verdict.map_or(tidegate_manifest::SyncStatus::Unknown, |v| v.sync);
    sync.insert("status".to_owned(), json!(status));
    let revisions = verdict.map(|v| v.revisions.clone()).unwrap_or_default();
    if application.is_multi_source {
        sync.insert("revisions".to_owned(), json!(revisions));
    } else if let Some(revision) = revisions.first() {
        sync.insert("revision".to_owned(), json!(revision));
    }
    sync.insert("comparedTo".to_owned(), compared_to(application));
    map.insert("sync".to_owned(), Value::Object(sync));
    if let Some(verdict) = verdict {
        let mut health = Map::new();
        health.insert("status".to_owned(), json!(verdict.health.status));
        if !verdict.health.message.is_empty() {
            health.insert("message".to_owned(), json!(verdict.health.message));
        }
        health.insert("lastTransitionTime".to_owned(), time(verdict.health_since));
        map.insert("health".to_owned(), Value::Object(health));
        map.insert("resources".to_owned(), json!(verdict.resources));
        let conditions = verdict.conditions.iter().map(|(condition, at)| {
            json!({
                "type": condition.kind,
                "message": condition.message,
                "lastTransitionTime": time(*at),
            })
        });
        let conditions: Vec<Value> = conditions.collect();
        if !conditions.is_empty() {
            map.insert("conditions".to_owned(), json!(conditions));
        }
        map.insert("reconciledAt".to_owned(), time(verdict.reconciled_at));
        let types = &verdict.source_types;
        match (application.is_multi_source, types.first()) {
            (true, _) => map.insert("sourceTypes".to_owned(), json!(types)),
            (false, Some(first)) => map.insert("sourceType".to_owned(), json!(first)),
            (false, None) => None,
        };
    }
    if !record.history.is_empty() {
        let entries = record.history.iter().map(history);
        map.insert("history".to_owned(), entries.collect());
    }
    if let Some(state) = running.or(record.operation.as_ref()) {
        map.insert("operationState".to_owned(), operation_state(state));
        map.insert("summary".to_owned(), summary(record, state));
    }
    Value::Object(map)
}

fn compared_to(application: &Application) -> Value {
    let spec = application.document.get("spec");
    let mut map = Map::new();
    for name in ["source", "sources", "destination", "ignoreDifferences"] {
        if let Some(value) = spec.and_then(|spec| spec.get(name)) {
            map.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(map)
}

fn summary(record: &ApplicationRecord, state: &OperationState) -> Value {
    let mut images: Vec<&String> = state.results.iter().flat_map(|r| &r.images).collect();
    images.sort();
    images.dedup();
    let mut map = Map::new();
    if !images.is_empty() {
        map.insert("images".to_owned(), json!(images));
    }
    let is_app = |item: &crate::journal::InventoryItem| {
        item.key.group == "argoproj.io" && item.key.kind == "Application"
    };
    if record.inventory.iter().any(is_app) {
        map.insert("isAppOfApps".to_owned(), json!(true));
    }
    Value::Object(map)
}

impl Engine {
    /// The Application document with `.status` in Argo CD's form (section 2), from what was found out
    /// by the last comparison and operation.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn status_document(&self, application: &Application) -> Result<Value, EngineError> {
        let name = self.tracking_name(application);
        let record = self.record(&name).await?;
        let running = match self.published(&name) {
            Some(running) => Some(running),
            None => self
                .progress(&name)
                .await?
                .map(|progress| progress.operation),
        };
        let mut document = application.document.clone();
        if let Some(map) = document.as_object_mut() {
            let status = status(application, &record, running.as_ref());
            map.insert("status".to_owned(), status);
            let is_running = running.filter(|r| r.phase == OperationPhase::Running);
            if let Some(running) = is_running {
                map.insert("operation".to_owned(), operation(&running));
            }
        }
        Ok(document)
    }
}
