//! `POST`, `PUT`, `PATCH`, `DELETE`: from media types and parameters to the write path.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::Call;
use super::options;
use super::read::{self, Selection};
use super::respond::{self, Body, json_reply};
use super::special;
use crate::delete::{self, Deleted};
use crate::object;
use crate::objects::{DeleteOptions, Propagation};
use crate::resource::DeleteReply;
use crate::status::{Cause, Status};
use crate::store;
use crate::write::{self, Outcome, Part, PatchKind, Target};

pub(crate) fn target(call: &Call<'_>) -> Result<Target, Status> {
    let part = Part::named(&call.path.subresource).ok_or_else(|| no_subresource(call))?;
    let resource = &call.resource;
    let version = read::version(call);
    let exists = match part {
        Part::Main => true,
        Part::Status => version.status,
        Part::Scale => version.scale.is_some(),
        Part::Finalize => resource.is("", "namespaces"),
        Part::Approval => resource.is("certificates.k8s.io", "certificatesigningrequests"),
        Part::EphemeralContainers | Part::Resize => resource.is("", "pods"),
    };
    if !exists {
        return Err(no_subresource(call));
    }
    Ok(Target {
        resource: resource.clone(),
        version: call.path.version.clone(),
        namespace: call.path.namespace.clone().unwrap_or_default(),
        name: call.path.name.clone().unwrap_or_default(),
        part,
    })
}

/// What a subresource that does not exist is called.
fn no_subresource(call: &Call<'_>) -> Status {
    let name = call.path.name.as_deref().unwrap_or("");
    if call.resource.is_custom() {
        return Status::not_found(&call.resource.name, name);
    }
    let known = call
        .resource
        .facts
        .is_some_and(|facts| facts.subresource(&call.path.subresource).is_some());
    if known {
        let what = &call.path.subresource;
        return Status::bad_request(format!(
            "the sandbox runs no machines: {what} is not served"
        ));
    }
    Status::unknown_resource()
}

fn done(call: &Call<'_>, outcome: &Outcome) -> Result<Response<Body>, Status> {
    let code = if outcome.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut response = if call.path.subresource == "scale" {
        json_reply(code, &outcome.object)
    } else {
        read::object_reply(call, code, &outcome.object)?
    };
    let mut warnings = outcome.warnings.clone();
    if call.path.subresource.is_empty() && !call.resource.is_custom() {
        warnings.extend(crate::validate::warnings(&call.resource, &outcome.object));
    }
    respond::warn(&mut response, &warnings);
    Ok(response)
}

pub(crate) fn create(call: &Call<'_>, body: &Bytes) -> Result<Response<Body>, Status> {
    respond::view(call)?;
    if !call.path.subresource.is_empty() {
        return special::create(call, body);
    }
    if call.resource.terminating {
        let mut status = Status::method_not_allowed();
        "create not allowed while custom resource definition is terminating"
            .clone_into(&mut status.message);
        return Err(status);
    }
    let mut options = options::write_options(call, "CreateOptions")?;
    let (value, duplicates) = options::decode(call, body)?;
    options.duplicates = duplicates;
    let outcome = write::create(&call.api.core, &target(call)?, value, &options)?;
    done(call, &outcome)
}

pub(crate) fn update(call: &Call<'_>, body: &Bytes) -> Result<Response<Body>, Status> {
    respond::view(call)?;
    let mut options = options::write_options(call, "UpdateOptions")?;
    let target = target(call)?;
    let (value, duplicates) = options::decode(call, body)?;
    options.duplicates = duplicates;
    let outcome = write::update(&call.api.core, &target, value, &options)?;
    done(call, &outcome)
}

pub(crate) fn patch(call: &Call<'_>, body: &Bytes) -> Result<Response<Body>, Status> {
    respond::view(call)?;
    let target = target(call)?;
    let media = options::content_type(call);
    let known = patch_types(call);
    if !known.contains(&media.as_str()) {
        return Err(unsupported(call, &known));
    }
    let applies = media == "application/apply-patch+yaml";
    check_patch_options(call, applies)?;
    let mut options = options::write_options(call, "PatchOptions")?;
    let (value, duplicates) = if applies {
        options::decode_yaml(body)?
    } else {
        options::decode_patch(body)?
    };
    options.duplicates = duplicates;
    let patch = match media.as_str() {
        "application/json-patch+json" => PatchKind::Json(operations(value)?),
        "application/merge-patch+json" => PatchKind::Merge(value),
        "application/strategic-merge-patch+json" => PatchKind::Strategic(value),
        _ => PatchKind::Apply(value),
    };
    let outcome = write::patch(&call.api.core, &target, &patch, &options)?;
    done(call, &outcome)
}

fn patch_types(call: &Call<'_>) -> Vec<&'static str> {
    let mut types = vec![
        "application/json-patch+json",
        "application/merge-patch+json",
    ];
    if !call.resource.is_custom() {
        types.push("application/strategic-merge-patch+json");
    }
    types.push("application/apply-patch+yaml");
    types
}

fn check_patch_options(call: &Call<'_>, applies: bool) -> Result<(), Status> {
    let mut causes = Vec::new();
    if applies && call.query.get("fieldManager").is_empty() {
        causes.push(Cause::required(
            "fieldManager",
            "is required for apply patch",
        ));
    }
    if !applies && call.query.has("force") {
        causes.push(Cause::forbidden(
            "force",
            "may not be specified for non-apply patch",
        ));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("meta.k8s.io", "PatchOptions", "", causes))
}

/// How many operations a JSON patch may have (the real server's limit).
const MAX_OPERATIONS: usize = 10_000;

fn operations(value: Value) -> Result<json_patch::Patch, Status> {
    let count = value.as_array().map_or(0, Vec::len);
    if count > MAX_OPERATIONS {
        return Err(Status::new(
            413,
            "RequestEntityTooLarge",
            format!(
                "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
            ),
        ));
    }
    if !value.is_array() {
        return Err(Status::bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ));
    }
    serde_json::from_value(value).map_err(|_| crate::patch::rejected())
}

/// Built-in kinds are refused by the router, custom ones by their handler; the words differ.
fn unsupported(call: &Call<'_>, known: &[&str]) -> Status {
    if call.resource.is_custom() {
        return Status::unsupported_media(known);
    }
    let mut status = Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
    status.details = Some(Box::default());
    status
}

const JOB_WARNING: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

pub(crate) fn delete(call: &Call<'_>, body: &Bytes) -> Result<Response<Body>, Status> {
    respond::view(call)?;
    let target = target(call)?;
    let options = options::delete_options(call, body)?;
    let deleted = delete::delete(&call.api.core, &target, &options)?;
    match deleted {
        Deleted::Marked(object) => {
            let waits = options.propagation == Some(Propagation::Foreground)
                && call.query.get("orphanDependents") == "false";
            let code = if waits {
                StatusCode::ACCEPTED
            } else {
                StatusCode::OK
            };
            let mut response = read::object_reply(call, code, &object)?;
            if options.propagation.is_none() && call.resource.is("batch", "jobs") {
                respond::warn(&mut response, &[JOB_WARNING.to_owned()]);
            }
            Ok(response)
        }
        Deleted::Gone(object) => match call.resource.delete_reply {
            DeleteReply::Object if !call.resource.is_custom() => {
                read::object_reply(call, StatusCode::OK, &object)
            }
            _ => {
                let status =
                    Status::deleted(&target.resource.name, &target.name, object::uid(&object));
                Ok(json_reply(StatusCode::OK, &status))
            }
        },
    }
}

pub(crate) fn delete_collection(call: &Call<'_>, body: &Bytes) -> Result<Response<Body>, Status> {
    if !call.resource.verbs().contains(&"deletecollection") {
        return Err(Status::method_not_allowed());
    }
    let selection = Selection::of(call)?;
    let options = options::delete_options(call, body)?;
    let core = &call.api.core;
    let (revision, table) = core.store.table(&call.resource.table);
    let mut objects: Vec<Arc<Value>> = Vec::new();
    for (_, stored) in store::range(&table, &selection.namespace) {
        if !selection.matches(&stored.object) {
            continue;
        }
        let mut one = target(call)?;
        object::name(&stored.object).clone_into(&mut one.name);
        object::namespace(&stored.object).clone_into(&mut one.namespace);
        let each = DeleteOptions {
            uid: None,
            resource_version: None,
            ..options.clone()
        };
        match delete::delete(core, &one, &each) {
            Ok(Deleted::Gone(_) | Deleted::Marked(_)) => objects.push(stored.object.clone()),
            // Somebody else was faster.
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    let served: Vec<_> = objects
        .iter()
        .map(|object| respond::served(&call.resource, &call.path.version, object))
        .collect();
    let items: Vec<&Value> = served.iter().map(AsRef::as_ref).collect();
    Ok(read::plain_list(
        call,
        &json!({"resourceVersion": revision.to_string()}),
        &items,
    ))
}
