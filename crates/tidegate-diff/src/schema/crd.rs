//! Turns the structural schema of a CustomResourceDefinition into types. Validation of CRDs themselves is elsewhere.
//!
//! The reading follows the API server's: the version's OpenAPI v3 schema with `apiVersion`, `kind` and the built-in
//! `ObjectMeta` at the root and in every embedded resource; preserve-unknown-fields reaches all descendants.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    CommonTypes, FieldType, JsonType, ListRelation, ListType, MapRelation, MapType, Name,
    PatchFacts, Scalar, Schema, TypeId, TypeNode, TypeRef,
};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Deeper schemas are refused: the API server's own JSON reader stops there too.
const MAX_DEPTH: usize = 128;

/// Why a CRD has no types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrdError {
    #[error("the definition has no version {0:?}")]
    NoSuchVersion(String),
    #[error("{path}: {reason}")]
    Malformed { path: String, reason: String },
}

pub(super) fn read(crd: &Value, version: &str) -> Result<TypeRef, CrdError> {
    let spec = &crd["spec"];
    let found = spec["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|v| v["name"] == version);
    let Some(found) = found else {
        return Err(CrdError::NoSuchVersion(version.to_owned()));
    };
    let Some(root) = found
        .pointer("/schema/openAPIV3Schema")
        .filter(|s| s.is_object())
    else {
        return Ok(Schema::deduced());
    };
    let mut schema = Schema::default();
    let common = schema.add_common();
    let mut reader = Reader {
        schema,
        common,
        copied: HashMap::new(),
        path: String::new(),
        depth: 0,
    };
    let preserve = spec["preserveUnknownFields"] == true;
    let mut node = reader.node(root, preserve)?;
    reader.add_type_meta(&mut node);
    let id = reader.schema.add(node);
    Ok(TypeRef {
        schema: Arc::new(reader.schema),
        id,
    })
}

struct Reader {
    schema: Schema,
    common: CommonTypes,
    /// Built-in types already copied here.
    copied: HashMap<TypeId, TypeId>,
    path: String,
    depth: usize,
}

impl Reader {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, CrdError> {
        let path = if self.path.is_empty() {
            "openAPIV3Schema"
        } else {
            self.path.as_str()
        };
        Err(CrdError::Malformed {
            path: path.to_owned(),
            reason: reason.into(),
        })
    }

    fn node(&mut self, source: &Value, preserve: bool) -> Result<TypeNode, CrdError> {
        if self.depth >= MAX_DEPTH {
            return self.fail("the schema is nested too deeply");
        }
        let preserved_here = source["x-kubernetes-preserve-unknown-fields"] == true;
        let preserve = preserve || preserved_here;
        let format = source["format"].as_str().map(|f| Cow::Owned(f.to_owned()));
        let int_or_string = source["x-kubernetes-int-or-string"] == true;
        let mut node = match source["type"].as_str() {
            None | Some("") => {
                let json = if int_or_string {
                    JsonType::IntOrString
                } else {
                    JsonType::Any
                };
                let list = self.list(source, preserve)?;
                let map = self.map(source, preserve)?;
                TypeNode {
                    list: Some(list),
                    map: Some(map),
                    ..TypeNode::scalar(json, Scalar::Untyped)
                }
            }
            Some("object") => TypeNode {
                map: Some(self.map(source, preserve)?),
                ..TypeNode::empty(JsonType::Object)
            },
            Some("array") => TypeNode {
                list: Some(self.list(source, preserve)?),
                ..TypeNode::empty(JsonType::Array)
            },
            Some("integer") => TypeNode::scalar(JsonType::Integer { format }, Scalar::Numeric),
            Some("number") => TypeNode::scalar(JsonType::Number { format }, Scalar::Numeric),
            Some("boolean") => TypeNode::scalar(JsonType::Boolean, Scalar::Boolean),
            Some("string") => {
                let plain = matches!(format.as_deref(), None | Some("" | "byte"));
                let scalar = if plain {
                    Scalar::String
                } else {
                    Scalar::Untyped
                };
                TypeNode::scalar(JsonType::String { format }, scalar)
            }
            Some(other) => return self.fail(format!("unrecognized type: {other:?}")),
        };
        node.preserve_unknown = preserved_here;
        node.nullable = source["nullable"] == true;
        node.embedded = source["x-kubernetes-embedded-resource"] == true;
        if node.embedded {
            self.add_type_meta(&mut node);
        }
        Ok(node)
    }

    /// `apiVersion`, `kind` and `metadata`, whatever the schema says of them.
    fn add_type_meta(&mut self, node: &mut TypeNode) {
        let Some(map) = &mut node.map else { return };
        map.fields
            .retain(|f| !matches!(f.name.as_ref(), "apiVersion" | "kind" | "metadata"));
        let string = self.schema.add(TypeNode::scalar(
            JsonType::String { format: None },
            Scalar::String,
        ));
        let builtins = Schema::builtins();
        let meta = builtins
            .named(OBJECT_META)
            .map_or(self.common.deduced, |id| self.copy(builtins, id));
        for (name, ty) in [("apiVersion", string), ("kind", string), ("metadata", meta)] {
            map.fields.push(field(Cow::Borrowed(name), ty));
        }
        map.fields.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Copies a built-in type and what it refers to into this schema.
    fn copy(&mut self, from: &Schema, id: TypeId) -> TypeId {
        if let Some(known) = self.copied.get(&id) {
            return *known;
        }
        let mut node = from.node(id).clone();
        let here = self.schema.add(TypeNode::empty(JsonType::Any));
        self.copied.insert(id, here);
        if let Some(list) = &mut node.list {
            list.element = self.copy(from, list.element);
        }
        if let Some(map) = &mut node.map {
            for field in &mut map.fields {
                field.ty = self.copy(from, field.ty);
            }
            map.element = map.element.map(|e| self.copy(from, e));
        }
        if let Some(name) = &node.name {
            self.schema.by_name.insert(name.clone(), here);
        }
        self.schema.types[here.0 as usize] = node;
        here
    }

    fn child(&mut self, segment: &str, source: &Value, preserve: bool) -> Result<TypeId, CrdError> {
        let length = self.path.len();
        self.path.push('.');
        self.path.push_str(segment);
        self.depth += 1;
        let node = self.node(source, preserve);
        self.depth -= 1;
        let node = node?;
        self.path.truncate(length);
        Ok(self.schema.add(node))
    }

    fn map(&mut self, source: &Value, preserve: bool) -> Result<MapType, CrdError> {
        let empty = Map::new();
        let properties = source["properties"].as_object().unwrap_or(&empty);
        let required: Vec<&str> = source["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut fields = Vec::with_capacity(properties.len());
        for (name, member) in properties {
            let ty = self.child(name, member, preserve)?;
            fields.push(FieldType {
                required: required.contains(&name.as_str()),
                default: member.get("default").cloned(),
                ..field(Cow::Owned(name.clone()), ty)
            });
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let element = match source.get("additionalProperties") {
            None | Some(Value::Null) => {
                (preserve || properties.is_empty()).then_some(self.common.deduced)
            }
            Some(Value::Bool(true)) => Some(self.common.deduced),
            Some(Value::Bool(false)) => None,
            Some(element) => Some(self.child("*", element, preserve)?),
        };
        let (relation, declared) = match source["x-kubernetes-map-type"].as_str() {
            None => (MapRelation::Granular, false),
            Some("granular") => (MapRelation::Granular, true),
            Some("atomic") => (MapRelation::Atomic, true),
            Some(other) => return self.fail(format!("unknown map type {other}")),
        };
        Ok(MapType {
            fields,
            element,
            relation,
            declared,
        })
    }

    fn list(&mut self, source: &Value, preserve: bool) -> Result<ListType, CrdError> {
        let keys: Vec<Name> = source["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|k| Cow::Owned(k.to_owned()))
            .collect();
        let relation = match source["x-kubernetes-list-type"].as_str() {
            None | Some("atomic") => ListRelation::Atomic,
            Some("set") => ListRelation::Set,
            Some("map") if keys.is_empty() => return self.fail("missing map keys"),
            Some("map") => ListRelation::Map,
            Some(other) => return self.fail(format!("unknown list type {other}")),
        };
        let element = match source.get("items") {
            Some(items) if items.is_object() => self.child("[]", items, preserve)?,
            None | Some(Value::Null) if source["type"] == "array" => {
                return self.fail("`items` must be specified on arrays");
            }
            None | Some(Value::Null) => self.common.atomic,
            Some(_) => {
                return self.fail("structural schema arrays must have exactly one member subtype");
            }
        };
        let keys = if relation == ListRelation::Map {
            keys
        } else {
            Vec::new()
        };
        Ok(ListType {
            element,
            relation,
            keys,
            declared: source.get("x-kubernetes-list-type").is_some(),
        })
    }
}

fn field(name: Name, ty: TypeId) -> FieldType {
    FieldType {
        name,
        ty,
        required: false,
        default: None,
        patch: PatchFacts::default(),
    }
}
