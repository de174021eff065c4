//! Tables: what `kubectl get` prints, column by column (spec kubernetes.md B10).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http::respond;
use crate::object;
use crate::resource::{Resource, Version};

/// What a table is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) version: &'a Version,
    /// `v1` or `v1beta1`.
    pub(crate) form: &'static str,
    /// The `includeObject` parameter.
    pub(crate) include: &'a str,
    pub(crate) now: Timestamp,
}

/// The table of one object (or of one watch event).
pub(crate) fn of_object(request: &Request<'_>, objects: &[&Value]) -> Value {
    let metadata = match objects {
        [object] => json!({"resourceVersion": object::meta(object, "resourceVersion")}),
        _ => json!({}),
    };
    of_list(request, metadata, objects)
}

/// The table of a list with the list's metadata.
pub(crate) fn of_list(request: &Request<'_>, metadata: Value, objects: &[&Value]) -> Value {
    let _ = (request.resource, request.version, request.now);
    let rows: Vec<Value> = objects.iter().map(|object| row(request, object)).collect();
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{}", request.form),
        "metadata": metadata,
        "columnDefinitions": [
            {"name": "Name", "type": "string", "format": "name", "description": "Name must be unique within a namespace.", "priority": 0},
            {"name": "Created At", "type": "date", "format": "", "description": "When it was created.", "priority": 0},
        ],
        "rows": rows,
    })
}

fn row(request: &Request<'_>, object: &Value) -> Value {
    let shown = match request.include {
        "None" => Value::Null,
        "Object" => object.clone(),
        _ => respond::partial(object, request.form),
    };
    json!({
        "cells": [object::name(object), object::meta(object, "creationTimestamp")],
        "object": shown,
    })
}
