//! Schemas of built-in and custom kinds for both versions of OpenAPI. Values are generated from the type table; what a
//! custom definition says is passed on (version 3) or cut down to what old clients understand (version 2).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use tidegate_diff::schema::{
    FieldType, JsonType, ListRelation, MapRelation, Schema, TypeId, TypeNode,
};

use super::paths::component;
use crate::resource::{Resource, Version};

/// Which OpenAPI is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edition {
    V2,
    V3,
}

impl Edition {
    fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        }
    }

    pub(super) fn reference(self, name: &str) -> Value {
        json!({"$ref": format!("{}{name}", self.prefix())})
    }
}

/// How deep custom schemas are rewritten; definitions that nest deeper are refused long before.
const MAX_DEPTH: usize = 128;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// The named schemas that some components need, themselves included.
#[derive(Debug)]
pub(super) struct Components {
    edition: Edition,
    pub(super) schemas: BTreeMap<String, Value>,
}

impl Components {
    pub(super) fn new(edition: Edition) -> Self {
        Self {
            edition,
            schemas: BTreeMap::new(),
        }
    }

    /// Adds a built-in component and all that it refers to.
    pub(super) fn add_builtin(&mut self, name: &str) {
        let schema = Schema::builtins();
        let mut open: Vec<TypeId> = schema.named(name).into_iter().collect();
        while let Some(id) = open.pop() {
            let node = schema.node(id);
            let Some(name) = node.name.as_deref() else {
                continue;
            };
            if self.schemas.contains_key(name) {
                continue;
            }
            let mut writer = Writer {
                edition: self.edition,
                used: BTreeSet::new(),
            };
            let mut body = writer.body(node);
            if let Some(kinds) = kinds().get(&id) {
                body["x-kubernetes-group-version-kind"] = json!(kinds);
            }
            self.schemas.insert(name.to_owned(), body);
            open.extend(writer.used.iter().filter_map(|name| schema.named(name)));
        }
    }

    /// Adds a custom kind and its list.
    pub(super) fn add_custom(&mut self, resource: &Resource, version: &Version) {
        let Some(custom) = &version.custom else {
            return;
        };
        self.add_builtin(OBJECT_META);
        self.add_builtin(LIST_META);
        let name = component(resource, version, &resource.kind);
        let mut schema = self.custom(&custom.openapi);
        schema["x-kubernetes-group-version-kind"] =
            json!([kind(resource, version, &resource.kind)]);
        let list = component(resource, version, &resource.list_kind);
        let list_schema = json!({
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"},
                "items": {"type": "array", "items": self.edition.reference(&name)},
                "kind": {"type": "string"},
                "metadata": self.edition.reference(LIST_META),
            },
            "x-kubernetes-group-version-kind": [kind(resource, version, &resource.list_kind)],
        });
        self.schemas.insert(name, schema);
        self.schemas.insert(list, list_schema);
    }

    fn custom(&self, openapi: &Value) -> Value {
        let open = openapi.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        // Old clients would call every field unknown if some were declared.
        if openapi.as_object().is_none_or(Map::is_empty) || (open && self.edition == Edition::V2) {
            return json!({"type": "object"});
        }
        let mut schema = match self.edition {
            Edition::V3 => openapi.clone(),
            Edition::V2 => cut_down(openapi, 0),
        };
        if !schema.get("properties").is_some_and(Value::is_object) {
            schema["properties"] = json!({});
        }
        for field in ["apiVersion", "kind"] {
            schema["properties"][field] = json!({"type": "string"});
        }
        let metadata = self.edition.reference(OBJECT_META);
        schema["properties"]["metadata"] = match self.edition {
            Edition::V2 => metadata,
            Edition::V3 => json!({"allOf": [metadata]}),
        };
        schema
    }
}

fn kind(resource: &Resource, version: &Version, kind: &str) -> Value {
    json!({"group": resource.name.group(), "version": version.name, "kind": kind})
}

/// The kinds that each built-in type stands for.
fn kinds() -> &'static HashMap<TypeId, Vec<Value>> {
    static KINDS: OnceLock<HashMap<TypeId, Vec<Value>>> = OnceLock::new();
    KINDS.get_or_init(|| {
        let mut all: HashMap<TypeId, Vec<Value>> = HashMap::new();
        for (group, version, kind, id) in Schema::builtins().kinds() {
            let kind = json!({"group": group, "version": version, "kind": kind});
            all.entry(id).or_default().push(kind);
        }
        all
    })
}

/// Writes types and notes which named ones they use.
struct Writer {
    edition: Edition,
    used: BTreeSet<String>,
}

impl Writer {
    /// A type where it is used: named ones by reference.
    fn at(&mut self, id: TypeId) -> Value {
        let node = Schema::builtins().node(id);
        let Some(name) = node.name.as_deref() else {
            return self.body(node);
        };
        self.used.insert(name.to_owned());
        let reference = self.edition.reference(name);
        let mut used = match self.edition {
            Edition::V2 => reference,
            Edition::V3 => json!({"allOf": [reference]}),
        };
        if node.overridden
            && let Some(map) = &node.map
        {
            used["x-kubernetes-map-type"] = json!(relation(map.relation));
        }
        used
    }

    /// An element, which the real server gives an empty default.
    fn element(&mut self, id: TypeId) -> Value {
        let node = Schema::builtins().node(id);
        let mut element = self.at(id);
        if self.edition == Edition::V3 {
            let empty = match &node.json {
                JsonType::Object if node.name.is_some() => json!({}),
                JsonType::String { format: None } => json!(""),
                JsonType::Integer { .. } | JsonType::Number { .. } => json!(0),
                JsonType::Boolean => json!(false),
                // A reference without anything beside it stands alone.
                _ if node.name.is_some() => {
                    return self
                        .edition
                        .reference(node.name.as_deref().unwrap_or_default());
                }
                _ => return element,
            };
            element["default"] = empty;
        }
        element
    }

    fn field(&mut self, field: &FieldType) -> Value {
        let mut written = self.at(field.ty);
        if let (Edition::V3, Some(default)) = (self.edition, &field.default) {
            written["default"] = default.clone();
        }
        let patch = &field.patch;
        let strategy = match (patch.merge, patch.retain_keys) {
            (true, true) => "merge,retainKeys",
            (true, false) => "merge",
            (false, true) => "retainKeys",
            (false, false) => "",
        };
        if !strategy.is_empty() {
            written["x-kubernetes-patch-strategy"] = json!(strategy);
        }
        if let Some(key) = &patch.merge_key {
            written["x-kubernetes-patch-merge-key"] = json!(key);
        }
        written
    }

    fn body(&mut self, node: &TypeNode) -> Value {
        match &node.json {
            JsonType::String { format } => scalar("string", format.as_deref()),
            JsonType::Integer { format } => scalar("integer", format.as_deref()),
            JsonType::Number { format } => scalar("number", format.as_deref()),
            JsonType::Boolean => scalar("boolean", None),
            JsonType::Quantity if self.edition == Edition::V2 => scalar("string", None),
            JsonType::Quantity => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            JsonType::IntOrString if self.edition == Edition::V2 => {
                scalar("string", Some("int-or-string"))
            }
            JsonType::IntOrString => {
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
            }
            JsonType::Raw => json!({"type": "object"}),
            JsonType::Any => json!({}),
            JsonType::Array => self.list(node),
            JsonType::Object => self.map(node),
        }
    }

    fn list(&mut self, node: &TypeNode) -> Value {
        let Some(list) = &node.list else {
            return json!({"type": "array", "items": {}});
        };
        let mut written = json!({"type": "array", "items": self.element(list.element)});
        if list.declared {
            written["x-kubernetes-list-type"] = json!(match list.relation {
                ListRelation::Atomic => "atomic",
                ListRelation::Set => "set",
                ListRelation::Map => "map",
            });
            if !list.keys.is_empty() {
                written["x-kubernetes-list-map-keys"] = json!(list.keys);
            }
        }
        written
    }

    fn map(&mut self, node: &TypeNode) -> Value {
        let mut written = json!({"type": "object"});
        let Some(map) = &node.map else { return written };
        let required: Vec<&str> = map
            .fields
            .iter()
            .filter(|field| field.required)
            .map(|field| &*field.name)
            .collect();
        if !required.is_empty() {
            written["required"] = json!(required);
        }
        if !map.fields.is_empty() {
            let fields: Map<String, Value> = map
                .fields
                .iter()
                .map(|field| (field.name.to_string(), self.field(field)))
                .collect();
            written["properties"] = Value::Object(fields);
        } else if let Some(element) = map.element
            && says_something(Schema::builtins().node(element))
        {
            written["additionalProperties"] = self.element(element);
        }
        if map.declared {
            written["x-kubernetes-map-type"] = json!(relation(map.relation));
        }
        written
    }
}

/// Whether a type is more than "whatever comes".
fn says_something(node: &TypeNode) -> bool {
    node.name.is_some() || node.json != JsonType::Any
}

fn scalar(kind: &str, format: Option<&str>) -> Value {
    match format {
        Some(format) => json!({"type": kind, "format": format}),
        None => json!({"type": kind}),
    }
}

fn relation(relation: MapRelation) -> &'static str {
    match relation {
        MapRelation::Atomic => "atomic",
        MapRelation::Granular => "granular",
    }
}

/// A structural schema as version 2 clients can read it: no junctors, no nullable types, nothing inside open objects
/// (the apiextensions server cuts the same way).
fn cut_down(schema: &Value, depth: usize) -> Value {
    let Some(schema) = schema.as_object().filter(|_| depth < MAX_DEPTH) else {
        return json!({});
    };
    let flag = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    let (nullable, open) = (
        flag("nullable"),
        flag("x-kubernetes-preserve-unknown-fields"),
    );
    let mut out = Map::new();
    for key in [
        "description",
        "format",
        "title",
        "x-kubernetes-int-or-string",
    ] {
        if let Some(value) = schema.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    let extensions = schema
        .iter()
        .filter(|(key, _)| key.starts_with("x-kubernetes-"));
    out.extend(extensions.map(|(key, value)| (key.clone(), value.clone())));
    out.remove("x-kubernetes-validations");
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or("");
    let items = schema
        .get("items")
        .filter(|items| items.is_object() && !open);
    let untyped = nullable || (open && kind == "object") || (kind == "array" && items.is_none());
    if untyped || kind.is_empty() {
        return Value::Object(out);
    }
    out.insert("type".to_owned(), json!(kind));
    if let Some(items) = items {
        out.insert("items".to_owned(), cut_down(items, depth + 1));
    }
    let mut lenient = BTreeSet::new();
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let is_nullable = |value: &Value| value.get("nullable") == Some(&Value::Bool(true));
        lenient.extend(
            properties
                .iter()
                .filter(|(_, value)| is_nullable(value))
                .map(|(key, _)| key.as_str()),
        );
        let cut = properties
            .iter()
            .map(|(key, value)| (key.clone(), cut_down(value, depth + 1)));
        out.insert("properties".to_owned(), Value::Object(cut.collect()));
    }
    if let Some(more) = schema
        .get("additionalProperties")
        .filter(|more| more.is_object())
    {
        out.insert("additionalProperties".to_owned(), cut_down(more, depth + 1));
    }
    if let Some(required) = schema.get("required").and_then(Value::as_array) {
        let kept = required
            .iter()
            .filter(|one| !one.as_str().is_some_and(|one| lenient.contains(one)));
        let kept: Vec<&Value> = kept.collect();
        if !kept.is_empty() {
            out.insert("required".to_owned(), json!(kept));
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_types_keep_their_merge_facts() {
        let mut components = Components::new(Edition::V3);
        components.add_builtin("io.k8s.api.apps.v1.Deployment");
        let pod = &components.schemas["io.k8s.api.core.v1.PodSpec"];
        assert_eq!(
            pod["properties"]["containers"]["x-kubernetes-patch-merge-key"],
            "name"
        );
        assert_eq!(
            pod["properties"]["containers"]["x-kubernetes-list-map-keys"],
            json!(["name"])
        );
        assert_eq!(
            pod["properties"]["volumes"]["x-kubernetes-patch-strategy"],
            "merge,retainKeys"
        );
        let expected = json!({"default": {}, "allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]});
        assert_eq!(pod["properties"]["containers"]["items"], expected);
        assert_eq!(
            pod["properties"]["nodeSelector"]["additionalProperties"],
            json!({"type": "string", "default": ""})
        );
        let deployment = &components.schemas["io.k8s.api.apps.v1.Deployment"];
        let kind = json!([{"group": "apps", "version": "v1", "kind": "Deployment"}]);
        assert_eq!(deployment["x-kubernetes-group-version-kind"], kind);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => map.iter().for_each(|(key, value)| match value {
                    Value::String(text) if key == "$ref" => found.push(text),
                    _ => references(value, found),
                }),
                Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        for edition in [Edition::V2, Edition::V3] {
            let mut components = Components::new(edition);
            for (_, _, _, id) in Schema::builtins().kinds() {
                let name = Schema::builtins().node(id).name.as_deref().unwrap_or("");
                components.add_builtin(name);
            }
            let mut found = Vec::new();
            components
                .schemas
                .values()
                .for_each(|schema| references(schema, &mut found));
            assert!(found.len() > 1_000);
            for reference in found {
                let name = reference.strip_prefix(edition.prefix()).unwrap_or("");
                assert!(components.schemas.contains_key(name), "{reference}");
            }
        }
    }

    #[test]
    fn custom_schemas_are_cut_down_for_old_clients() {
        let check =
            |given: Value, expected: Value| assert_eq!(cut_down(&given, 0), expected, "{given}");
        check(
            json!({"type": "string", "enum": ["a"], "nullable": true}),
            json!({}),
        );
        check(json!({"type": "array"}), json!({}));
        check(
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {}}}),
            json!({"x-kubernetes-preserve-unknown-fields": true}),
        );
        check(
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"x-kubernetes-int-or-string": true}),
        );
        check(
            json!({"type": "object", "required": ["a", "b"], "properties": {
                "a": {"type": "string", "nullable": true}, "b": {"type": "array", "items": {"type": "integer", "minimum": 1}}}}),
            json!({"type": "object", "required": ["b"], "properties": {
                "a": {}, "b": {"type": "array", "items": {"type": "integer"}}}}),
        );
    }
}
