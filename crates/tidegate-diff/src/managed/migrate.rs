//! Moves ownership from client-side apply and from other tools to one applier, so that what leaves Git is pruned.
//! The result is a value or a JSON patch; sending it is the caller's.

use serde_json::{Value, json};

use super::LAST_APPLIED;
use super::entry::{EntryError, ManagerKey, ManagerState, Managers, Operation};
use crate::fieldset::{FieldPath, FieldSet, PathElement};

/// Whose fields move to whom.
#[derive(Debug, Clone, Copy)]
pub struct MigrateOptions<'a> {
    /// Managers whose `Update` entries move.
    pub updaters: &'a [&'a str],
    /// Managers whose `Apply` entries move: other tools' server-side apply.
    pub appliers: &'a [&'a str],
    /// The applier that takes over.
    pub to: &'a str,
    /// RFC 3339, for an entry that is new.
    pub now: &'a str,
}

/// The managers of `object` after the move; `None` when there is nothing to move. Only entries of the object itself
/// (no subresource) move. The last-applied annotation is left to nobody, so that the next apply may drop it.
///
/// # Errors
/// When the object's managed fields are malformed.
pub fn migrate(
    object: &Value,
    options: &MigrateOptions<'_>,
) -> Result<Option<Managers>, EntryError> {
    let mut managers = Managers::decode(&object["metadata"]["managedFields"])?;
    let moves = |key: &ManagerKey| {
        let names = match key.operation {
            Operation::Apply => options.appliers,
            Operation::Update => options.updaters,
        };
        key.subresource.is_empty()
            && names.contains(&key.manager.as_str())
            && !(key.operation == Operation::Apply && key.manager == options.to)
    };
    let moved: Vec<ManagerKey> = managers
        .iter()
        .map(|(key, _)| key.clone())
        .filter(moves)
        .collect();
    let Some(first) = moved.first() else {
        return Ok(None);
    };
    let own = ManagerKey::new(options.to, Operation::Apply, "", "");
    let version = |key: &ManagerKey| {
        managers
            .get(key)
            .map(|s| s.api_version.clone())
            .unwrap_or_default()
    };
    let api_version = if managers.get(&own).is_some() {
        version(&own)
    } else {
        version(first)
    };
    let mut set = managers
        .get(&own)
        .map(|s| s.set.clone())
        .unwrap_or_default();
    let time = managers
        .get(&own)
        .map_or_else(|| Some(options.now.to_owned()), |s| s.time.clone());
    for key in moved {
        if let Some(state) = managers
            .remove(&key)
            .filter(|s| s.api_version == api_version)
        {
            set = set.union(&state.set);
        }
    }
    let set = without_last_applied(&set);
    if !set.is_empty() {
        managers.insert(
            own,
            ManagerState {
                api_version,
                set,
                time,
            },
        );
    }
    Ok(Some(managers))
}

fn without_last_applied(set: &FieldSet) -> FieldSet {
    let mut path = FieldPath::of_fields(&["metadata", "annotations"]);
    path.0.push(PathElement::field(LAST_APPLIED));
    let mut annotation = FieldSet::new();
    annotation.insert(&path.0);
    set.difference(&annotation)
}

/// The move as a JSON patch, guarded by the object's resourceVersion; `None` when there is nothing to move. The guard
/// is a `replace`, not a `test`, so that a server answers a lost race with 409.
///
/// # Errors
/// When the object's managed fields are malformed.
pub fn migration_patch(
    object: &Value,
    options: &MigrateOptions<'_>,
) -> Result<Option<Value>, EntryError> {
    let Some(managers) = migrate(object, options)? else {
        return Ok(None);
    };
    let version = object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    Ok(Some(json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": managers.encode()},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ])))
}
