//! What happens to an object between the body and the commit: identity checks, system metadata, generation, defaults.
//! Pure: it takes the clock as a value and touches the store only to look at the namespace.

use serde_json::{Value, json};

use crate::convert;
use crate::core::{CRDS, Core, NAMESPACES};
use crate::object;
use crate::resource::Generation;
use crate::status::{Cause, Status};
use crate::write::{FieldValidation, Part, Target, WriteOptions};
use crate::{allocate, crd, defaults, fields, metadata, structural, validate};

/// Metadata that only the server writes.
const SYSTEM: [&str; 5] =
    ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];

/// Checks apiVersion and kind of a body, and its fields against the schema; returns warnings.
pub(crate) fn incoming(
    target: &Target,
    mut body: Value,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), Status> {
    check_type(target, &mut body)?;
    metadata::check_shape(&body).map_err(|why| undecodable(target, &why))?;
    let unknown = match &target.resource.version(&target.version).and_then(|v| v.custom.clone()) {
        Some(custom) => structural::prune_object(&custom.schema, &mut body),
        None => fields::prune_builtin(target, &mut body).map_err(|why| undecodable(target, &why))?,
    };
    let mut problems = options.duplicates.clone();
    problems.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
    let warnings = judge_fields(target, problems, options)?;
    Ok((body, warnings))
}

fn undecodable(target: &Target, why: &str) -> Status {
    let kind = &target.resource.kind;
    let version = &target.version;
    Status::bad_request(format!(
        "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
    ))
}

fn judge_fields(
    target: &Target,
    problems: Vec<String>,
    options: &WriteOptions,
) -> Result<Vec<String>, Status> {
    match options.validation {
        _ if problems.is_empty() => Ok(Vec::new()),
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(problems),
        FieldValidation::Strict => {
            let all = problems.join(", ");
            Err(undecodable(target, &format!("strict decoding error: {all}")))
        }
    }
}

/// The same for an applied configuration: its unknown fields are the apply's own matter.
pub(crate) fn incoming_apply(
    target: &Target,
    mut body: Value,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), Status> {
    if !body.is_object() {
        return Err(Status::bad_request("error decoding YAML: the body is not an object"));
    }
    let stated = object::text(&body, &["apiVersion"]).to_owned();
    if stated != target.api_version() {
        let message = if stated.is_empty() {
            "error decoding YAML: Object 'apiVersion' is missing".to_owned()
        } else {
            format!(
                "Incorrect version specified in apply patch. Specified patch version: {stated}, expected: {}",
                target.api_version()
            )
        };
        return Err(Status::bad_request(message));
    }
    check_type(target, &mut body)?;
    metadata::check_shape(&body).map_err(|why| undecodable(target, &why))?;
    if body.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let warnings = match options.validation {
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Warn => options.duplicates.clone(),
        FieldValidation::Strict if options.duplicates.is_empty() => Vec::new(),
        FieldValidation::Strict => {
            let all = options.duplicates.join(", ");
            return Err(Status::bad_request(format!("error strict decoding YAML: {all}")));
        }
    };
    Ok((body, warnings))
}

fn check_type(target: &Target, body: &mut Value) -> Result<(), Status> {
    let (kind, api_version) = expected_type(target);
    let Some(map) = body.as_object_mut() else {
        return Err(Status::bad_request("the body of the request is not an object"));
    };
    let custom = target.resource.is_custom();
    let shown = || serde_json::to_string(&*map).unwrap_or_default();
    for field in ["kind", "apiVersion"] {
        let stated = map.get(field).and_then(Value::as_str).unwrap_or("");
        if stated.is_empty() && custom {
            let message = format!("Object '{}' is missing in '{}'", capital(field), shown());
            return Err(Status::bad_request(match field {
                "kind" => message,
                _ => message.replace("'ApiVersion'", "'apiVersion'"),
            }));
        }
    }
    let stated_kind = map.get("kind").and_then(Value::as_str).unwrap_or(&kind).to_owned();
    let stated_version =
        map.get("apiVersion").and_then(Value::as_str).unwrap_or(&api_version).to_owned();
    if stated_version != api_version && !stated_version.is_empty() {
        return Err(Status::bad_request(format!(
            "the API version in the data ({stated_version}) does not match the expected API version ({api_version})"
        )));
    }
    if stated_kind != kind && !stated_kind.is_empty() {
        let version = &target.version;
        return Err(Status::bad_request(format!(
            "{stated_kind} in version \"{version}\" cannot be handled as a {kind}: converting (v1.{stated_kind}) to (v1.{kind}): unknown conversion"
        )));
    }
    map.insert("kind".to_owned(), json!(kind));
    map.insert("apiVersion".to_owned(), json!(api_version));
    Ok(())
}

fn expected_type(target: &Target) -> (String, String) {
    (target.resource.kind.clone(), target.api_version())
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

/// The object's namespace must be the URL's; an absent one is filled in, a cluster-scoped one cleared.
pub(crate) fn check_namespace(target: &Target, body: &mut Value) -> Result<(), Status> {
    let stated = object::namespace(body).to_owned();
    if stated == target.namespace {
        return Ok(());
    }
    let metadata = object::metadata_mut(body);
    if target.namespace.is_empty() {
        metadata.remove("namespace");
    } else if stated.is_empty() {
        metadata.insert("namespace".to_owned(), json!(target.namespace));
    } else {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

pub(crate) fn name_mismatch(body: &str, url: &str) -> Status {
    Status::bad_request(format!(
        "the name of the object ({body}) does not match the name on the URL ({url})"
    ))
}

/// Appends five letters to `generateName` (alphabet without vowels, so no words appear).
pub(crate) fn generate_name(object: &mut Value) {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    const LONGEST: usize = 58;
    let base: String = object::meta(object, "generateName").chars().take(LONGEST).collect();
    let random = uuid::Uuid::new_v4();
    let tail: String = random.as_bytes()[..5]
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect();
    object::metadata_mut(object).insert("name".to_owned(), json!(format!("{base}{tail}")));
}

/// Nothing is created in a namespace that is absent or going away.
pub(crate) fn admit_namespace(core: &Core, target: &Target, name: &str) -> Result<(), Status> {
    if target.namespace.is_empty() {
        return Ok(());
    }
    let Some(namespace) = core.namespace(&target.namespace) else {
        return Err(Status::not_found(&NAMESPACES, &target.namespace));
    };
    if !object::is_deleting(&namespace) {
        return Ok(());
    }
    let at = &target.namespace;
    let why = format!("unable to create new content in namespace {at} because it is being terminated");
    let cause = Cause::new(
        "NamespaceTerminating",
        "metadata.namespace",
        format!("namespace {at} is being terminated"),
    );
    Err(Status::forbidden(&target.resource.name, name, &why).with_causes(vec![cause]))
}

/// System metadata, defaults and the first status of a new object.
pub(crate) fn new_object(core: &Core, target: &Target, object: &mut Value) {
    let resource = &target.resource;
    let version = resource.version(&target.version);
    let metadata = object::metadata_mut(object);
    for field in ["selfLink", "resourceVersion", "managedFields"] {
        if field != "managedFields" || metadata.get(field).is_some_and(|list| list.as_array().is_none_or(Vec::is_empty)) {
            metadata.remove(field);
        }
    }
    for field in SYSTEM {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".to_owned(), json!(object::stamp(core.now())));
    if resource.generation != Generation::Untracked || resource.is_custom() {
        metadata.insert("generation".to_owned(), json!(1));
    }
    let map = object::ensure(object);
    if version.is_some_and(|version| version.status) && !resource.is("", "nodes") {
        map.remove("status");
    }
    if resource.name == NAMESPACES {
        object::child(map, "spec").insert("finalizers".to_owned(), json!(["kubernetes"]));
        object::child(map, "status").insert("phase".to_owned(), json!("Active"));
    }
    if resource.name == CRDS {
        crd::fresh_status(object);
    }
    defaults::prepare(resource, object);
    allocate::assign(core, resource, object);
}

/// Defaults: from the schema for custom resources, from the tables for built-ins.
pub(crate) fn complete(target: &Target, object: &mut Value) {
    match target.resource.version(&target.version).and_then(|version| version.custom.as_ref()) {
        Some(custom) => structural::default_object(&custom.schema, object),
        None => defaults::apply(&target.resource, object),
    }
    if target.resource.name == CRDS {
        crd::complete(object);
    }
}

/// A replacement may leave out what only the server writes.
pub(crate) fn keep_system_fields(live: &Value, next: &mut Value) {
    let metadata = object::metadata_mut(next);
    for field in SYSTEM {
        if let Some(value) = object::metadata(live).and_then(|meta| meta.get(field)) {
            metadata.entry(field.to_owned()).or_insert_with(|| value.clone());
        }
    }
}

/// A body with a uid replaces only that incarnation.
pub(crate) fn precondition_uid(target: &Target, live: &Value, body: &Value) -> Result<(), Status> {
    let (asked, have) = (object::uid(body), object::uid(live));
    if asked.is_empty() || asked == have {
        return Ok(());
    }
    Err(uid_conflict(target, asked, have))
}

pub(crate) fn uid_conflict(target: &Target, asked: &str, have: &str) -> Status {
    let why = format!(
        "Precondition failed: UID in precondition: {asked}, UID in object meta: {have}"
    );
    Status::conflict(&target.resource.name, &target.name, &why)
}

/// What a write of this part may change; then defaults and generation.
pub(crate) fn changed_object(target: &Target, live: &Value, next: &mut Value) {
    restore_system_metadata(live, next);
    match target.part {
        Part::Main => keep_status(target, live, next),
        Part::Status => only_status(target, live, next),
        Part::Finalize => only(live, next, &["spec", "finalizers"]),
        Part::Approval => only(live, next, &["status", "conditions"]),
        Part::EphemeralContainers => only(live, next, &["spec", "ephemeralContainers"]),
        Part::Resize => only(live, next, &["spec", "containers"]),
        Part::Scale => {}
    }
    if target.resource.name == NAMESPACES && target.part == Part::Main {
        keep(live, next, "spec", "finalizers");
    }
    bump_generation(target, live, next);
}

/// System metadata cannot be changed; what would be an error is left for the checks to find.
fn restore_system_metadata(live: &Value, next: &mut Value) {
    let Some(old) = object::metadata(live) else { return };
    let metadata = object::metadata_mut(next);
    for field in SYSTEM {
        let keep = match field {
            "uid" => !metadata.contains_key(field),
            "creationTimestamp" | "generation" => true,
            _ => old.contains_key(field),
        };
        if !keep {
            continue;
        }
        match old.get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
    metadata.remove("selfLink");
    let revision = old.get("resourceVersion").cloned().unwrap_or(Value::Null);
    metadata.insert("resourceVersion".to_owned(), revision);
}

fn keep_status(target: &Target, live: &Value, next: &mut Value) {
    if !target.resource.version(&target.version).is_some_and(|version| version.status) {
        return;
    }
    let map = object::ensure(next);
    match live.get("status") {
        Some(status) => map.insert("status".to_owned(), status.clone()),
        None => map.remove("status"),
    };
}

fn only_status(target: &Target, live: &Value, next: &mut Value) {
    let mut result = live.clone();
    let map = object::ensure(&mut result);
    match next.get("status") {
        Some(status) => map.insert("status".to_owned(), status.clone()),
        None => map.remove("status"),
    };
    let written = object::metadata_mut(next);
    let metadata = object::metadata_mut(&mut result);
    let mut taken = vec!["managedFields"];
    if !target.resource.is_custom() {
        taken.extend(["annotations", "finalizers", "ownerReferences", "uid"]);
    }
    for field in taken {
        match written.remove(field) {
            Some(value) => metadata.insert(field.to_owned(), value),
            None => metadata.remove(field),
        };
    }
    *next = result;
}

fn only(live: &Value, next: &mut Value, path: &[&str; 2]) {
    let mut result = live.clone();
    if let Some(fields) = next.pointer_mut("/metadata/managedFields") {
        object::metadata_mut(&mut result).insert("managedFields".to_owned(), fields.take());
    }
    let part = object::child(object::ensure(&mut result), path[0]);
    match next.get_mut(path[0]).and_then(|value| value.get_mut(path[1])) {
        Some(value) => part.insert(path[1].to_owned(), value.take()),
        None => part.remove(path[1]),
    };
    *next = result;
}

fn keep(live: &Value, next: &mut Value, section: &str, field: &str) {
    let old = live.get(section).and_then(|value| value.get(field)).cloned();
    let part = object::child(object::ensure(next), section);
    match old {
        Some(value) => part.insert(field.to_owned(), value),
        None => part.remove(field),
    };
}

fn bump_generation(target: &Target, live: &Value, next: &mut Value) {
    let resource = &target.resource;
    let custom = resource.is_custom();
    if resource.generation != Generation::Tracked && !custom {
        return;
    }
    let with_status = resource.version(&target.version).is_some_and(|version| version.status);
    let ignored = |key: &str| {
        key == "metadata" || key == "apiVersion" || (key == "status" && (with_status || !custom))
    };
    let part = |object: &Value| {
        let mut map = object.as_object().cloned().unwrap_or_default();
        map.retain(|key, _| !ignored(key));
        map
    };
    let old = object::generation(live).unwrap_or(0);
    if part(live) != part(next) {
        object::metadata_mut(next).insert("generation".to_owned(), json!(old + 1));
    }
}

/// The refusals of a new object.
pub(crate) fn check_new(target: &Target, object: &Value) -> Vec<Cause> {
    let mut causes = metadata::check(&target.resource, object);
    causes.extend(check_content(target, object, None));
    causes
}

/// The refusals of a changed object.
pub(crate) fn check_changed(target: &Target, live: &Value, next: &Value) -> Vec<Cause> {
    let mut causes = metadata::check(&target.resource, next);
    causes.extend(metadata::check_change(live, next));
    causes.extend(check_content(target, next, Some(live)));
    causes
}

fn check_content(target: &Target, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let resource = &target.resource;
    if resource.name == CRDS {
        return crd::check(object, old);
    }
    match resource.version(&target.version).and_then(|version| version.custom.as_ref()) {
        Some(custom) => {
            let mut causes = structural::check_object(&custom.schema, object);
            if let Some(old) = old.filter(|_| !causes.is_empty()) {
                // What was wrong already and did not change may stay (the server's ratcheting).
                let before = structural::check_object(&custom.schema, old);
                causes.retain(|cause| !before.contains(cause));
            }
            causes
        }
        None => match old {
            None => validate::create(resource, object),
            Some(old) => validate::update(resource, object, old),
        },
    }
}

/// Whether something other than finalizers keeps a deleted object (a namespace's own `kubernetes`).
pub(crate) fn holds_itself(target: &Target, object: &Value) -> bool {
    target.resource.name == NAMESPACES
        && object
            .pointer("/spec/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
}

/// Rewrites an object between versions of its kind.
pub(crate) fn to_version(object: &mut Value, api_version: &str) {
    convert::to_version(object, api_version);
}
