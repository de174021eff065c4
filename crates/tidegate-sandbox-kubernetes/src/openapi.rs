//! OpenAPI documents, generated from what is served (spec kubernetes.md B4): per group version in version 3.
//! Built-in kinds are named without their fields; custom resources come with their schema.

use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::http::respond::{Body, json_reply, page_not_found, tag, tagged};
use crate::http::route::Query;
use crate::registry::Registry;
use crate::resource::{Resource, Version};

const JSON: &str = "application/json";

/// `/openapi/v3`: the list of documents.
pub(crate) fn v3_index(registry: &Registry, _headers: &HeaderMap) -> Response<Body> {
    let mut paths = Map::new();
    for group in registry.groups() {
        for version in &group.versions {
            let path = document_path(&group.name, version);
            let document = document(registry, &group.name, version).to_string();
            let url = format!("/openapi/v3/{path}?hash={}", tag(document.as_bytes()));
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json_reply(StatusCode::OK, &json!({"paths": paths}))
}

/// `/openapi/v3/PATH`: the document of one group version.
pub(crate) fn v3(
    registry: &Registry,
    path: &str,
    _query: &Query,
    headers: &HeaderMap,
) -> Response<Body> {
    let parts: Vec<&str> = path.split('/').collect();
    let (group, version) = match parts.as_slice() {
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return page_not_found(),
    };
    if !registry.serves_version(group, version) {
        return page_not_found();
    }
    let text = document(registry, group, version).to_string();
    tagged(text.into_bytes(), JSON, headers)
}

/// `/openapi/v2`: one document for everything, as old clients read it; not served.
pub(crate) fn v2(_registry: &Registry, _headers: &HeaderMap) -> Response<Body> {
    page_not_found()
}

fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn document(registry: &Registry, group: &str, version: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in registry.all().filter(|resource| resource.name.group() == group) {
        let Some(served) = resource.version(version) else { continue };
        let name = schema_name(resource, served);
        schemas.insert(name.clone(), schema(resource, served));
        let base = format!("/{}", document_path(group, version));
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{base}{scope}/{}", resource.name.resource());
        let mut operations = Map::new();
        operations.insert("get".to_owned(), operation(resource, served, "list"));
        operations.insert("post".to_owned(), with_body(resource, served, "post", &[JSON], &name));
        paths.insert(collection.clone(), Value::Object(operations));
        if resource.create_only {
            continue;
        }
        let mut operations = Map::new();
        operations.insert("get".to_owned(), operation(resource, served, "get"));
        operations.insert("put".to_owned(), with_body(resource, served, "put", &[JSON], &name));
        operations.insert("delete".to_owned(), operation(resource, served, "delete"));
        let types = patch_types(resource);
        operations.insert("patch".to_owned(), with_body(resource, served, "patch", &types, &name));
        paths.insert(format!("{collection}/{{name}}"), Value::Object(operations));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn patch_types(resource: &Resource) -> Vec<&'static str> {
    let mut types =
        vec!["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
    if !resource.is_custom() {
        types.push("application/strategic-merge-patch+json");
    }
    types
}

fn kind(resource: &Resource, version: &Version) -> Value {
    json!({"group": resource.name.group(), "version": version.name, "kind": resource.kind})
}

fn operation(resource: &Resource, version: &Version, action: &str) -> Value {
    let mut parameters = Vec::new();
    if ["post", "put", "patch", "delete"].contains(&action) {
        parameters.push("dryRun");
    }
    if ["post", "put", "patch"].contains(&action) {
        parameters.extend(["fieldManager", "fieldValidation"]);
    }
    if action == "patch" {
        parameters.push("force");
    }
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| {
            let kind = if *name == "force" { "boolean" } else { "string" };
            json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
        })
        .collect();
    json!({
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind(resource, version),
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
    })
}

fn with_body(
    resource: &Resource,
    version: &Version,
    action: &str,
    types: &[&str],
    schema: &str,
) -> Value {
    let mut operation = operation(resource, version, action);
    let content: Map<String, Value> = types
        .iter()
        .map(|media| {
            let reference = format!("#/components/schemas/{schema}");
            ((*media).to_owned(), json!({"schema": {"$ref": reference}}))
        })
        .collect();
    operation["requestBody"] = json!({"content": content});
    operation
}

/// `io.k8s.api.apps.v1.Deployment`, or `com.example.v1.Widget` for a custom resource of `example.com`.
fn schema_name(resource: &Resource, version: &Version) -> String {
    let named = version.smd.as_ref().filter(|_| version.custom.is_none());
    if let Some(name) = named.and_then(|ty| ty.node().name.as_deref()) {
        return name.to_owned();
    }
    let mut parts: Vec<&str> = resource.name.group().rsplit('.').collect();
    parts.extend([version.name.as_str(), resource.kind.as_str()]);
    parts.join(".")
}

fn schema(resource: &Resource, version: &Version) -> Value {
    let custom = version.custom.as_ref().map(|custom| custom.openapi.clone());
    let mut schema = custom.unwrap_or_else(|| json!({"type": "object"}));
    schema["x-kubernetes-group-version-kind"] = json!([kind(resource, version)]);
    schema
}
