//! Whole documents of both versions, put together from paths and components. No caching here, no HTTP.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::components::{Components, Edition};
use super::paths::{self, Operation, PathItem};
use crate::registry::Registry;
use crate::resource::{Resource, Version};

const JSON: &str = "application/json";
const STREAM: &str = "application/json;stream=watch";
const WATCH_EVENT: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";
/// Every media type that a reply may have.
const REPLIES: [&str; 1] = [JSON];

/// The document of one group version.
pub(super) fn v3(registry: &Registry, group: &str, version: &str) -> Value {
    let served = registry
        .all()
        .filter(|resource| resource.name.group() == group)
        .filter_map(|resource| Some((&**resource, resource.version(version)?)));
    let (items, components) = gather(Edition::V3, served);
    let paths: Map<String, Value> = items
        .into_iter()
        .map(|item| (item.path.clone(), v3_item(&item)))
        .collect();
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.0"},
        "paths": paths,
        "components": {"schemas": components.schemas},
    })
}

/// The one document of everything.
pub(super) fn v2(registry: &Registry) -> Value {
    let served = registry.all().flat_map(|resource| {
        let versions = resource.versions.iter().filter(|version| version.served);
        versions.map(move |version| (&**resource, version))
    });
    let (items, components) = gather(Edition::V2, served);
    let paths: Map<String, Value> = items
        .into_iter()
        .map(|item| (item.path.clone(), v2_item(&item)))
        .collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.36.0"},
        "paths": paths,
        "definitions": components.schemas,
    })
}

fn gather<'a>(
    edition: Edition,
    served: impl Iterator<Item = (&'a Resource, &'a Version)>,
) -> (Vec<PathItem>, Components) {
    let mut items = Vec::new();
    let mut components = Components::new(edition);
    for (resource, version) in served {
        components.add_custom(resource, version);
        items.extend(paths::of(resource, version));
    }
    let operations = items.iter().flat_map(|item| &item.operations);
    let used: BTreeSet<&String> = operations
        .flat_map(|operation| operation.body.iter().chain(&operation.reply))
        .collect();
    used.into_iter()
        .for_each(|name| components.add_builtin(name));
    components.add_builtin(WATCH_EVENT);
    items.sort_by(|a, b| a.path.cmp(&b.path));
    (items, components)
}

fn v3_item(item: &PathItem) -> Value {
    let mut out = Map::new();
    for operation in &item.operations {
        out.insert(operation.method.to_owned(), v3_operation(operation));
    }
    let mut parameters: Vec<Value> = item
        .variables
        .iter()
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": unique("string")}))
        .collect();
    parameters.push(json!({"name": "pretty", "in": "query", "schema": unique("string")}));
    out.insert("parameters".to_owned(), Value::Array(parameters));
    Value::Object(out)
}

fn unique(kind: &str) -> Value {
    json!({"type": kind, "uniqueItems": true})
}

fn v3_operation(operation: &Operation) -> Value {
    let parameters: Vec<Value> = operation
        .parameters
        .iter()
        .map(|(name, kind)| json!({"name": name, "in": "query", "schema": unique(kind)}))
        .collect();
    let schema = match &operation.reply {
        Some(name) => Edition::V3.reference(name),
        None => json!({"type": "string"}),
    };
    let content: Map<String, Value> = REPLIES
        .iter()
        .map(|media| ((*media).to_owned(), json!({"schema": schema})))
        .collect();
    let mut reply = json!({"description": "OK", "content": content});
    if operation.action == "list" {
        reply["content"][STREAM] = json!({"schema": Edition::V3.reference(WATCH_EVENT)});
    }
    let mut out = json!({
        "operationId": operation.id,
        "parameters": parameters,
        "responses": replies(operation, &reply),
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": operation.kind,
    });
    if let Some(body) = &operation.body {
        let schema = json!({"schema": Edition::V3.reference(body)});
        let content: Map<String, Value> = operation
            .consumes
            .iter()
            .map(|media| ((*media).to_owned(), schema.clone()))
            .collect();
        let mut body = json!({"content": content});
        if operation.method != "delete" {
            body["required"] = json!(true);
        }
        out["requestBody"] = body;
    }
    out
}

fn replies(operation: &Operation, reply: &Value) -> Map<String, Value> {
    let mut out: Map<String, Value> = operation
        .codes
        .iter()
        .map(|code| ((*code).to_owned(), reply.clone()))
        .collect();
    out.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    out
}

fn v2_item(item: &PathItem) -> Value {
    let mut out = Map::new();
    for operation in &item.operations {
        out.insert(operation.method.to_owned(), v2_operation(operation));
    }
    let parameters: Vec<Value> = item
        .variables
        .iter()
        .map(|name| json!({"name": name, "in": "path", "required": true, "type": "string", "uniqueItems": true}))
        .collect();
    out.insert("parameters".to_owned(), Value::Array(parameters));
    Value::Object(out)
}

fn v2_operation(operation: &Operation) -> Value {
    let mut parameters = Vec::new();
    if let Some(body) = &operation.body {
        let mut parameter =
            json!({"name": "body", "in": "body", "schema": Edition::V2.reference(body)});
        if operation.method != "delete" {
            parameter["required"] = json!(true);
        }
        parameters.push(parameter);
    }
    for (name, kind) in operation.parameters {
        parameters.push(json!({"name": name, "in": "query", "type": kind, "uniqueItems": true}));
    }
    let schema = match &operation.reply {
        Some(name) => Edition::V2.reference(name),
        None => json!({"type": "string"}),
    };
    json!({
        "consumes": operation.consumes,
        "produces": REPLIES,
        "operationId": operation.id,
        "parameters": parameters,
        "responses": replies(operation, &json!({"description": "OK", "schema": schema})),
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": operation.kind,
    })
}
