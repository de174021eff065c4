//! Server-side apply: what apply and update do to an object and to its `metadata.managedFields`.
//!
//! The rules and texts are the API server's (`managedfields` over structured-merge-diff). The clock is an argument;
//! defaulting, validation and storage are the caller's.

mod cap;
mod conflict;
mod entry;
mod filter;
mod kubectl;
mod migrate;
mod reset;
mod scale;
mod shape;
mod time;
mod updater;
mod versions;

use serde_json::{Map, Value, json};

pub use conflict::{Conflict, Conflicts};
pub use entry::{EntryError, ManagerKey, ManagerState, Managers, Operation};
pub use filter::{FieldFilter, Step};
pub use migrate::{MigrateOptions, migrate, migration_patch};
pub use reset::reset_fields;
pub use scale::{from_scale_managers, to_scale_managers};
pub use shape::zero_object;
pub use versions::{KindVersions, Versions};

use crate::schema::TypeRef;
use crate::typed::{Duplicates, validate};
use crate::value::{equal, is_shallow};
use updater::Updater;

/// Owns the fields that an object had when it was first applied to without any record of owners.
pub const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The annotation of client-side apply.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manager name of a request that names none.
const UNKNOWN_MANAGER: &str = "unknown";

/// What stays the same over one write.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The kind's types by version.
    pub versions: &'a dyn Versions,
    /// The version of the request, as in `apps/v1`.
    pub api_version: &'a str,
    pub kind: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
    pub manager: &'a str,
    /// RFC 3339 in whole seconds, as in `2026-01-02T03:04:05Z`.
    pub now: &'a str,
}

/// What to do about fields that other managers own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    Fail,
    /// Take the fields over.
    Force,
}

/// The result of an apply.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The object with its new `metadata.managedFields`.
    pub object: Value,
    /// Whether anything but the owners changed.
    pub changed: bool,
}

/// Why an apply failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// 409 with one cause per field.
    #[error(transparent)]
    Conflicts(Conflicts),
    /// 400.
    #[error("{0}")]
    BadRequest(String),
    /// 500: an object that does not fit its schema is reported so by API servers.
    #[error("{0}")]
    Typed(String),
}

/// Lays `config` over `live` for `request.manager`; `live` is `None` when the object does not exist yet.
///
/// # Errors
/// Conflicts with other managers, a malformed request, or values that do not fit the schema.
pub fn apply(
    request: &Request<'_>,
    live: Option<&Value>,
    config: &Value,
    on_conflict: OnConflict,
) -> Result<Merged, ApplyError> {
    check_config(request, config)?;
    let empty = empty_object(request);
    let source = live.unwrap_or(&empty);
    let mut managers = Managers::decode(&source["metadata"]["managedFields"])
        .map_err(|e| ApplyError::Typed(format!("failed to decode managed fields: {e}")))?;
    let bare = without_managed_fields(source);
    if managers.is_empty() && live.is_some() {
        let first = Request {
            manager: BEFORE_FIRST_APPLY,
            ..*request
        };
        managers = track_update(&first, &empty, &bare, managers).map_err(|e| {
            ApplyError::Typed(format!("failed to create manager for existing fields: {e}"))
        })?;
    }
    let (object, managers, changed) =
        kubectl::apply_leniently(request, &bare, config, managers, on_conflict)?;
    let mut object = object.unwrap_or(bare);
    kubectl::refresh_last_applied(request, config, &mut object);
    put_managed_fields(&mut object, &managers);
    Ok(Merged { object, changed })
}

fn check_config(request: &Request<'_>, config: &Value) -> Result<(), ApplyError> {
    let (version, kind) = (text(config, "apiVersion"), text(config, "kind"));
    if (version, kind) != (request.api_version, request.kind) {
        return Err(ApplyError::BadRequest(format!(
            "invalid object type: {}",
            describe_kind(version, kind)
        )));
    }
    if !config["metadata"]["managedFields"].is_null() {
        return Err(ApplyError::BadRequest(
            "metadata.managedFields must be nil".into(),
        ));
    }
    Ok(())
}

/// One pass of the updater for an apply: the merged object (`None` when nothing changed) and the managers after it.
fn apply_once(
    request: &Request<'_>,
    live: &Value,
    config: &Value,
    mut managers: Managers,
    on_conflict: OnConflict,
) -> Result<(Option<Value>, Managers, bool), ApplyError> {
    let ty = typed_or_error(request, config, "patch")?;
    let live = request
        .versions
        .convert(live, request.api_version)
        .map_err(ApplyError::Typed)?;
    validate(&ty, config, Duplicates::Refuse).map_err(|e| {
        ApplyError::Typed(format!(
            "failed to create typed patch object ({}): {e}",
            describe_object(config)
        ))
    })?;
    validate(&ty, &live, Duplicates::Allow).map_err(|e| {
        ApplyError::Typed(format!(
            "failed to create typed live object ({}): {e}",
            describe_object(&live)
        ))
    })?;
    let key = manager_key(request, Operation::Apply);
    let updater = Updater {
        versions: request.versions,
    };
    let merged = updater.apply(
        &live,
        config,
        request.api_version,
        &mut managers,
        &key,
        on_conflict,
    )?;
    strip_meta(&mut managers, &key);
    let changed = !equal(&live, &merged);
    if changed && let Some(state) = managers.get_mut(&key) {
        state.time = Some(request.now.to_owned());
    }
    Ok((changed.then_some(merged), managers, changed))
}

/// Records a write that is not an apply: `new` comes back with its new `metadata.managedFields`. An object that nobody
/// tracks stays so. `live` is `None` on create. What cannot be typed is returned without managed fields, as API servers do.
pub fn update(request: &Request<'_>, live: Option<&Value>, new: &Value) -> Value {
    let mut object = without_managed_fields(new);
    if let Ok(managers) = managers_after_update(request, live, new, &object) {
        put_managed_fields(&mut object, &managers);
    }
    object
}

fn managers_after_update(
    request: &Request<'_>,
    live: Option<&Value>,
    new: &Value,
    object: &Value,
) -> Result<Managers, String> {
    let empty = empty_object(request);
    let source = live.unwrap_or(&empty);
    let managers = managers_of_write(request, source, new);
    let untracked = live.is_some_and(|live| {
        live["metadata"]["uid"]
            .as_str()
            .is_some_and(|uid| !uid.is_empty())
    });
    if managers.is_empty() && untracked {
        return Ok(managers);
    }
    track_update(request, &without_managed_fields(source), object, managers)
}

/// The owners that a write starts from: its own when it states them (an empty list or `[{}]` forgets all), the live
/// object's otherwise and on subresources.
fn managers_of_write(request: &Request<'_>, live: &Value, new: &Value) -> Managers {
    let of_live = || Managers::decode(&live["metadata"]["managedFields"]).unwrap_or_default();
    if !request.subresource.is_empty() {
        return of_live();
    }
    let stated = &new["metadata"]["managedFields"];
    let reset = match stated.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(Map::is_empty),
        _ => false,
    };
    if reset {
        return Managers::default();
    }
    match Managers::decode(stated) {
        Ok(managers) if !managers.is_empty() => managers,
        _ => of_live(),
    }
}

fn track_update(
    request: &Request<'_>,
    live: &Value,
    new: &Value,
    managers: Managers,
) -> Result<Managers, String> {
    let Some(ty) = request.versions.type_at(request.api_version) else {
        return Err(format!(
            "no corresponding type for {}",
            describe_kind(request.api_version, request.kind)
        ));
    };
    if !is_shallow(live) || !is_shallow(new) {
        return Err("the object is nested too deeply".into());
    }
    let convert = |object: &Value| request.versions.convert(object, request.api_version);
    let (live, new) = (
        shape::fill(&ty, convert(live)?),
        shape::fill(&ty, convert(new)?),
    );
    for (object, what) in [(&new, "new"), (&live, "live")] {
        validate(&ty, object, Duplicates::Allow).map_err(|e| {
            format!(
                "failed to convert {what} object ({}) to smd typed: {e}",
                describe_object(object)
            )
        })?;
    }
    // The write gets an identity of its own first: what it changes it takes from everyone, its manager's past included.
    let current = ManagerKey::current_operation(request.api_version);
    let updater = Updater {
        versions: request.versions,
    };
    let mut managers = managers;
    updater
        .update(&live, &new, request.api_version, &mut managers, &current)
        .map_err(|e| {
            format!(
                "failed to update ManagedFields ({}): {e}",
                describe_object(&new)
            )
        })?;
    strip_meta(&mut managers, &current);
    if let Some(mut state) = managers.remove(&current) {
        let key = manager_key(request, Operation::Update);
        if let Some(previous) = managers.get(&key) {
            state.set = state.set.union(&previous.set);
        }
        state.time = Some(request.now.to_owned());
        managers.insert(key, state);
    }
    cap::cap_updaters(&mut managers);
    Ok(managers)
}

/// Takes back new times when nothing but times changed, so that a write without effect is none.
pub fn settle_times(live: &Value, new: &mut Value) {
    let (Some(old), Some(entries)) = (
        live["metadata"]["managedFields"].as_array(),
        new.pointer("/metadata/managedFields")
            .and_then(Value::as_array),
    ) else {
        return;
    };
    let timeless = |entry: &Value| {
        let mut entry = entry.clone();
        if let Some(object) = entry.as_object_mut() {
            object.remove("time");
        }
        entry
    };
    let same_entries = old.len() == entries.len()
        && old
            .iter()
            .zip(entries)
            .all(|(a, b)| timeless(a) == timeless(b))
        && without_managed_fields(live) == without_managed_fields(new);
    if same_entries {
        new["metadata"]["managedFields"] = Value::Array(old.clone());
    }
}

fn typed_or_error(
    request: &Request<'_>,
    object: &Value,
    what: &str,
) -> Result<TypeRef, ApplyError> {
    if !is_shallow(object) {
        return Err(ApplyError::BadRequest(
            "the object is nested too deeply".into(),
        ));
    }
    request
        .versions
        .type_at(request.api_version)
        .ok_or_else(|| {
            ApplyError::Typed(format!(
                "failed to create typed {what} object ({}): no corresponding type for {}",
                describe_object(object),
                describe_kind(request.api_version, request.kind)
            ))
        })
}

fn manager_key(request: &Request<'_>, operation: Operation) -> ManagerKey {
    let manager = if request.manager.is_empty() {
        UNKNOWN_MANAGER
    } else {
        request.manager
    };
    ManagerKey::new(manager, operation, request.api_version, request.subresource)
}

/// Identity and bookkeeping fields are nobody's.
fn strip_meta(managers: &mut Managers, key: &ManagerKey) {
    if let Some(state) = managers.get_mut(key) {
        state.set = state.set.difference(stripped_fields());
        if state.set.is_empty() {
            managers.remove(key);
        }
    }
}

/// The fields that never appear in a manager's set.
pub fn stripped_fields() -> &'static crate::fieldset::FieldSet {
    static FIELDS: std::sync::OnceLock<crate::fieldset::FieldSet> = std::sync::OnceLock::new();
    FIELDS.get_or_init(|| {
        crate::fieldset::FieldSet::of_fields(&[
            &["apiVersion"],
            &["kind"],
            &["metadata"],
            &["metadata", "name"],
            &["metadata", "namespace"],
            &["metadata", "creationTimestamp"],
            &["metadata", "selfLink"],
            &["metadata", "uid"],
            &["metadata", "clusterName"],
            &["metadata", "generation"],
            &["metadata", "managedFields"],
            &["metadata", "resourceVersion"],
        ])
    })
}

fn empty_object(request: &Request<'_>) -> Value {
    json!({"apiVersion": request.api_version, "kind": request.kind})
}

pub(crate) fn without_managed_fields(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
    }
    object
}

fn put_managed_fields(object: &mut Value, managers: &Managers) {
    let Some(root) = object.as_object_mut() else {
        return;
    };
    let entries = managers.encode();
    let meta = root.entry("metadata").or_insert_with(|| json!({}));
    if let Some(meta) = meta.as_object_mut() {
        if entries.is_empty() {
            meta.remove("managedFields");
        } else {
            meta.insert("managedFields".into(), Value::Array(entries));
        }
    }
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object[key].as_str().unwrap_or_default()
}

/// `namespace/name; group/version, Kind=Kind`, as Go prints it.
fn describe_object(object: &Value) -> String {
    let meta = &object["metadata"];
    format!(
        "{}/{}; {}",
        text(meta, "namespace"),
        text(meta, "name"),
        describe_kind(text(object, "apiVersion"), text(object, "kind"))
    )
}

fn describe_kind(api_version: &str, kind: &str) -> String {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    format!("{group}/{version}, Kind={kind}")
}
