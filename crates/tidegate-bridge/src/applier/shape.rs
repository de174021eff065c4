//! Documents compared: what is kept of one, its version, the fields that change. Pure.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_applier::{
    ApplierError, ApplyRequest, ChangeOutcome, ErrorKind, FieldChange, LiveObject, Precondition,
};
use tidegate_diff::changes::{changes, without_server_fields};
use tidegate_diff::schema::Schema;
use tidegate_manifest::{Health, ResourceKey, TrackingId};

/// What applying a document would do.
pub(super) struct Plan {
    pub(super) outcome: ChangeOutcome,
    pub(super) before: Option<LiveObject>,
    pub(super) after: Value,
    pub(super) changes: Vec<FieldChange>,
}

/// Compares a request with what there is.
pub(super) fn plan(request: &ApplyRequest, before: Option<LiveObject>) -> Plan {
    let uid = before.as_ref().map(|live| live.uid.clone());
    let after = kept(&request.body, uid.as_deref());
    let changes = before
        .as_ref()
        .map_or_else(Vec::new, |live| field_changes(&live.body, &after));
    let outcome = match &before {
        None => ChangeOutcome::Created,
        Some(_) if changes.is_empty() => ChangeOutcome::Unchanged,
        Some(_) => ChangeOutcome::Updated,
    };
    Plan {
        outcome,
        before,
        after,
        changes,
    }
}

/// A document without status and without what a cluster writes into one.
fn kept(body: &Value, uid: Option<&str>) -> Value {
    let mut body = without_server_fields(body);
    if let Some(fields) = body.as_object_mut() {
        fields.remove("status");
    }
    if let (Some(uid), Some(metadata)) = (uid, body.get_mut("metadata"))
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.insert("uid".to_owned(), json!(uid));
    }
    body
}

fn field_changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let strip = |body: &Value| kept(body, None);
    let found = changes(
        &Schema::deduced(),
        Some(&strip(before)),
        Some(&strip(after)),
    );
    let mut found: Vec<FieldChange> = found
        .into_iter()
        .map(|change| FieldChange {
            path: change.path.to_string(),
            before: change.before,
            after: change.after,
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The live object of a kept document.
pub(super) fn live(key: &ResourceKey, document: &Value, health: Option<Health>) -> LiveObject {
    let uid = document["metadata"]["uid"].as_str().unwrap_or_default();
    let hash = Sha256::digest(document.to_string().as_bytes());
    LiveObject {
        key: key.clone(),
        body: document.clone(),
        version: hash
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        uid: uid.to_owned(),
        health,
    }
}

/// The application whose mark a document bears; empty when it bears none.
pub(super) fn application(document: &Value, key: &ResourceKey) -> String {
    let id = TrackingId::of(document);
    let own =
        id.filter(|id| id.is_self_reference(&key.group, &key.kind, &key.namespace, &key.name));
    own.map(|id| id.application).unwrap_or_default()
}

/// Fails unless what is there is what must be there.
pub(super) fn check(
    key: &ResourceKey,
    precondition: &Precondition,
    live: Option<&LiveObject>,
) -> Result<(), ApplierError> {
    let tell = |why: &str| {
        let message = format!("{}: {why}", key.short());
        Err(ApplierError::new(ErrorKind::Conflict, message)
            .help("plan again: somebody changed it since"))
    };
    match (precondition.exists, live.is_some()) {
        (Some(true), false) => return tell("it is not there any more"),
        (Some(false), true) => return tell("it is there already"),
        _ => {}
    }
    let uid = live.map(|live| live.uid.as_str());
    if precondition.uid.is_some() && precondition.uid.as_deref() != uid {
        return tell("it is another one than before");
    }
    let version = live.map(|live| live.version.as_str());
    if precondition.version.is_some() && precondition.version.as_deref() != version {
        return tell("it changed in between");
    }
    Ok(())
}
