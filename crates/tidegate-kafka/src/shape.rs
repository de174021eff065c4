//! What all kinds share in a plan: the live object, its version, the fields that change. Pure.
//!
//! Must not know: brokers, kinds.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_applier::{
    ApplierError, ChangeOutcome, ErrorKind, FieldChange, LiveObject, Precondition,
};
use tidegate_diff::changes::{changes, without_server_fields};
use tidegate_diff::schema::Schema;
use tidegate_manifest::ResourceKey;

/// What applying a document would do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) outcome: ChangeOutcome,
    pub(crate) before: Option<LiveObject>,
    pub(crate) after: Value,
    pub(crate) changes: Vec<FieldChange>,
    pub(crate) warnings: Vec<String>,
}

impl Plan {
    /// A plan by the bodies before and after.
    pub(crate) fn new(before: Option<LiveObject>, after: Value, warnings: Vec<String>) -> Self {
        let changes = before
            .as_ref()
            .map_or_else(Vec::new, |live| field_changes(&live.body, &after));
        let outcome = match &before {
            None => ChangeOutcome::Created,
            Some(_) if changes.is_empty() => ChangeOutcome::Unchanged,
            Some(_) => ChangeOutcome::Updated,
        };
        Self {
            outcome,
            before,
            after,
            changes,
            warnings,
        }
    }
}

/// The fields that differ, status left out, by path.
pub(crate) fn field_changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let strip = |body: &Value| {
        let mut body = without_server_fields(body);
        if let Some(fields) = body.as_object_mut() {
            fields.remove("status");
            fields.remove("apiVersion");
        }
        body
    };
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

/// A digest of a value: hexadecimal, 32 digits.
pub(crate) fn digest(value: &Value) -> String {
    let hash = Sha256::digest(value.to_string().as_bytes());
    let bytes = hash.iter().take(16);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// A version of what is there and of the document that was applied.
pub(crate) fn version(live: &Value, kept: Option<&Value>) -> String {
    digest(&json!([live, kept]))
}

/// Fails unless what is there is what must be there.
pub(crate) fn check(
    key: &ResourceKey,
    precondition: &Precondition,
    live: Option<(&str, &str)>,
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
    let (uid, version) = live.unzip();
    if precondition.uid.is_some() && precondition.uid.as_deref() != uid {
        return tell("it is another one than before");
    }
    if precondition.version.is_some() && precondition.version.as_deref() != version {
        return tell("it changed in between");
    }
    Ok(())
}
