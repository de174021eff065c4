//! What happens to an object between the body and the commit: identity checks, system metadata, generation, defaults.
//! Pure: it takes the clock as a value and touches the store only to look at the namespace.

use serde_json::{Value, json};

use crate::convert;
use crate::core::{CRDS, Core, NAMESPACES};
use crate::object;
use crate::resource::{Generation, Resource};
use crate::status::{Cause, Status};
use crate::write::{FieldValidation, Part, PatchKind, Target, WriteOptions};
use crate::{allocate, crd, defaults, fields, metadata, structural, validate};

/// Metadata that only the server writes.
const SYSTEM: [&str; 5] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
];

/// Checks apiVersion and kind of a body, and its fields against the schema; returns warnings.
pub(crate) fn incoming(
    target: &Target,
    mut body: Value,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), Status> {
    check_type(target, &mut body)?;
    let unknown = match &target
        .resource
        .version(&target.version)
        .and_then(|v| v.custom.clone())
    {
        Some(custom) => {
            metadata::check_shape(&body).map_err(|why| undecodable(target, &why))?;
            structural::prune_object(&custom.schema, &mut body)
        }
        None => {
            fields::prune_builtin(target, &mut body).map_err(|why| undecodable(target, &why))?
        }
    };
    let mut problems = options.duplicates.clone();
    problems.extend(
        unknown
            .iter()
            .map(|path| format!("unknown field \"{path}\"")),
    );
    let warnings = judge_fields(target, problems, options)?;
    Ok((body, warnings))
}

fn undecodable(target: &Target, why: &str) -> Status {
    undecodable_as(target, &target.resource.kind, why)
}

fn undecodable_as(target: &Target, stated: &str, why: &str) -> Status {
    let (kind, version) = (&target.resource.kind, &target.version);
    Status::bad_request(format!(
        "{stated} in version \"{version}\" cannot be handled as a {kind}: {why}"
    ))
}

/// A patch whose result cannot be decoded is not a bad request but an invalid patch.
pub(crate) fn patched(
    target: &Target,
    patch: &PatchKind,
    patched: Value,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), Status> {
    let shown = match patch {
        // These are merged as Go maps, the others as texts.
        PatchKind::Strategic(patch) => go_map(patch),
        _ => patched.to_string(),
    };
    incoming(target, patched, options).map_err(|status| {
        let prefix = format!("cannot be handled as a {}: ", target.resource.kind);
        match status.message.split_once(&prefix) {
            Some((_, why)) if status.code == 400 => {
                let cause = Cause::invalid("patch", &json!(shown), why);
                Status::invalid("", "", "", vec![cause])
            }
            _ => status,
        }
    })
}

/// A value as Go prints it: `map[a:map[b:c]]`.
fn go_map(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(go_map).collect::<Vec<_>>().join(" ")
        ),
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", go_map(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
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
            Err(undecodable(
                target,
                &format!("strict decoding error: {all}"),
            ))
        }
    }
}

/// The same for an applied configuration: its type and its unknown fields are the apply's own matter.
pub(crate) fn incoming_apply(
    target: &Target,
    config: &Value,
    options: &WriteOptions,
) -> Result<Vec<String>, Status> {
    if !config.is_object() {
        let why = "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal into Go value of type map[string]interface {}";
        return Err(Status::bad_request(why));
    }
    let stated = object::namespace(config);
    if !stated.is_empty() && stated != target.namespace && !target.namespace.is_empty() {
        return Err(namespace_mismatch());
    }
    let name = object::name(config);
    if !name.is_empty() && name != target.name {
        return Err(name_mismatch(name, &target.name));
    }
    match options.validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        _ if options.duplicates.is_empty() => Ok(Vec::new()),
        FieldValidation::Warn => Ok(options.duplicates.clone()),
        FieldValidation::Strict => {
            let all = options.duplicates.join("\n  ");
            Err(Status::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  {all}"
            )))
        }
    }
}

/// Built-in resources that are never replaced unconditionally (Kubernetes' registry strategies, 1.36).
const CONDITIONAL: &[(&str, &str)] = &[
    ("certificates.k8s.io", "clustertrustbundles"),
    ("certificates.k8s.io", "podcertificaterequests"),
    ("coordination.k8s.io", "leases"),
    ("node.k8s.io", "runtimeclasses"),
    ("policy", "poddisruptionbudgets"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "csistoragecapacities"),
    ("storage.k8s.io", "volumeattachments"),
];

/// Whether a replacement must say which revision it replaces.
pub(crate) fn needs_revision(resource: &Resource) -> bool {
    let id = (resource.name.group(), resource.name.resource());
    resource.is_custom() || CONDITIONAL.contains(&id) || id.0 == "admissionregistration.k8s.io"
}

/// The outcome of an apply must decode as any other body.
pub(crate) fn decoded(target: &Target, config: &Value, merged: &mut Value) -> Result<(), Status> {
    if target.resource.is_custom() {
        return Ok(());
    }
    let namespace = object::namespace(config);
    fields::decode(target, merged).map_err(|why| {
        let (api_version, kind, name) = (target.api_version(), &target.resource.kind, &target.name);
        Status::new(
            500,
            "",
            format!(
                "failed to convert new object ({namespace}/{name}; {api_version}, Kind={kind}) to proper version: unable to convert unstructured object to {api_version}, Kind={kind}: {why}"
            ),
        )
    })
}

/// The kind and apiVersion of a body must be the URL's; built-in kinds may leave them out.
fn check_type(target: &Target, body: &mut Value) -> Result<(), Status> {
    let (kind, api_version) = (target.resource.kind.as_str(), target.api_version());
    let Some(map) = body.as_object_mut() else {
        return Err(unrecognized(
            kind,
            "couldn't get version/kind; json parse error: the body is not an object",
        ));
    };
    let text = |key: &str| {
        map.get(key)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let (stated_kind, stated_version) = (text("kind"), text("apiVersion"));
    if target.resource.is_custom() {
        if stated_kind.is_empty() {
            let shown = serde_json::to_string(&*map).unwrap_or_default();
            return Err(unrecognized(
                kind,
                &format!("Object 'Kind' is missing in '{shown}'"),
            ));
        }
        if stated_version != api_version {
            return Err(Status::bad_request(format!(
                "the API version in the data ({stated_version}) does not match the expected API version ({api_version})"
            )));
        }
        if stated_kind != kind {
            let why = format!("must be {kind}");
            let cause = Cause::invalid("kind", &json!(stated_kind), &why);
            let group = target.resource.name.group();
            return Err(Status::invalid(
                group,
                &stated_kind,
                object::name(body),
                vec![cause],
            ));
        }
        return Ok(());
    }
    if !stated_version.is_empty() && stated_version != api_version {
        let why = format!(
            "no kind {stated_kind:?} is registered for version {stated_version:?} in scheme \"pkg/runtime/scheme.go:111\""
        );
        return Err(undecodable_as(target, &stated_kind, &why));
    }
    if !stated_kind.is_empty() && stated_kind != kind {
        let group = target.resource.name.group();
        let internal = if group.is_empty() {
            "core"
        } else {
            group.split('.').next().unwrap_or(group)
        };
        let version = &target.version;
        let why = format!(
            "converting ({version}.{stated_kind}) to ({internal}.{kind}): unknown conversion"
        );
        return Err(undecodable_as(target, &stated_kind, &why));
    }
    map.insert("kind".to_owned(), json!(kind));
    map.insert("apiVersion".to_owned(), json!(api_version));
    Ok(())
}

fn unrecognized(kind: &str, why: &str) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why}"
    ))
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
        return Err(namespace_mismatch());
    }
    Ok(())
}

fn namespace_mismatch() -> Status {
    Status::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    )
}

pub(crate) fn nameless(url: &str) -> Status {
    Status::bad_request(format!(
        "the name of the object ({url} based on URL) was undeterminable: name must be provided"
    ))
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
    let base: String = object::meta(object, "generateName")
        .chars()
        .take(LONGEST)
        .collect();
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
    let why =
        format!("unable to create new content in namespace {at} because it is being terminated");
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
        if field != "managedFields"
            || metadata
                .get(field)
                .is_some_and(|list| list.as_array().is_none_or(Vec::is_empty))
        {
            metadata.remove(field);
        }
    }
    for field in SYSTEM {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
    metadata.insert(
        "creationTimestamp".to_owned(),
        json!(object::stamp(core.now())),
    );
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
    allocate::assign(core, resource, object);
    defaults::prepare(resource, object);
}

/// Defaults: from the schema for custom resources, from the tables for built-ins.
pub(crate) fn complete(target: &Target, object: &mut Value) {
    match target
        .resource
        .version(&target.version)
        .and_then(|version| version.custom.as_ref())
    {
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
            metadata
                .entry(field.to_owned())
                .or_insert_with(|| value.clone());
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

fn uid_conflict(target: &Target, asked: &str, have: &str) -> Status {
    // The words of the storage layer.
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, UID in object meta: {have}",
        target.resource.name.resource(),
        target.key()
    );
    Status::conflict(&target.resource.name, &target.name, &why)
}

/// What a write of this part may change; then defaults and generation.
pub(crate) fn changed_object(core: &Core, target: &Target, live: &Value, next: &mut Value) {
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
    if target.part == Part::Main && !target.resource.is_custom() {
        defaults::change(&target.resource, live, next);
        allocate::reassign(core, &target.resource, live, next);
    }
    bump_generation(target, live, next);
}

/// System metadata cannot be changed; what would be an error is left for the checks to find.
fn restore_system_metadata(live: &Value, next: &mut Value) {
    let Some(old) = object::metadata(live) else {
        return;
    };
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
    if !target
        .resource
        .version(&target.version)
        .is_some_and(|version| version.status)
    {
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
    match next
        .get_mut(path[0])
        .and_then(|value| value.get_mut(path[1]))
    {
        Some(value) => part.insert(path[1].to_owned(), value.take()),
        None => part.remove(path[1]),
    };
    *next = result;
}

fn keep(live: &Value, next: &mut Value, section: &str, field: &str) {
    let old = live
        .get(section)
        .and_then(|value| value.get(field))
        .cloned();
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
    let with_status = resource
        .version(&target.version)
        .is_some_and(|version| version.status);
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
    // The real server checks this once for all kinds and once more for each.
    let change = metadata::check_change(live, next);
    causes.extend(change.iter().cloned().chain(change.clone()));
    causes.extend(check_content(target, next, Some(live)));
    causes
}

fn check_content(target: &Target, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let resource = &target.resource;
    if resource.name == CRDS {
        return crd::check(object, old);
    }
    match resource
        .version(&target.version)
        .and_then(|version| version.custom.as_ref())
    {
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
            Some(old) => validate::update(target, object, old),
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
