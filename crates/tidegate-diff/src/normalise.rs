//! The differences that are none: forms that a server stores otherwise than Git writes them. Both sides of a comparison
//! pass through here; nothing is sent in these forms.
//!
//! Rules: built-in normalisations of Argo CD's comparison, and what a typed API server does to a value on its way in
//! (quantities, protocol and reference defaults, `stringData`, empty lists, nulls).

mod defaults;
mod quantity;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use serde_json::{Map, Value};

pub use defaults::fill_defaults;
pub use quantity::same_quantity;

use crate::schema::{JsonType, Schema, TypeId, TypeRef};
use crate::value::equal;

/// The aggregated rules of a ClusterRole are written by a controller.
const AGGREGATION_RULE: &str = "aggregationRule";

/// Base64 with or without padding: servers read both, and write it padded.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the settings of an installation say about comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub status: IgnoreStatus,
    /// Whether the rules of aggregated roles are left alone.
    pub ignore_aggregated_roles: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            status: IgnoreStatus::All,
            ignore_aggregated_roles: false,
        }
    }
}

/// For which kinds `/status` is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreStatus {
    All,
    /// Only for CustomResourceDefinitions.
    Crd,
    None,
}

/// Brings one side of a comparison into its normal form.
pub fn normalise(object: &mut Value, options: Options) {
    let (group, kind) = group_kind(object);
    let (group, kind) = (group.to_owned(), kind.to_owned());
    remove(object, &["metadata", "creationTimestamp"]);
    let crd = kind == "CustomResourceDefinition";
    match options.status {
        IgnoreStatus::All => remove(object, &["status"]),
        IgnoreStatus::Crd if crd => remove(object, &["status"]),
        IgnoreStatus::Crd | IgnoreStatus::None => {}
    }
    match (group.as_str(), kind.as_str()) {
        ("", "Secret") => fold_string_data(object),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => normalise_role(object, options),
        ("", "Endpoints") => normalise_endpoints(object),
        _ => {}
    }
    drop_empty_annotations(object);
}

/// The group and kind of an object.
pub fn group_kind(object: &Value) -> (&str, &str) {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    (
        version.split_once('/').map_or("", |(group, _)| group),
        object["kind"].as_str().unwrap_or_default(),
    )
}

fn remove(object: &mut Value, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let parent = parents.iter().try_fold(object, |at, key| at.get_mut(key));
    if let Some(map) = parent.and_then(Value::as_object_mut) {
        map.remove(*last);
    }
}

/// `stringData` becomes part of `data`; null values are empty ones.
pub fn fold_string_data(secret: &mut Value) {
    let Some(map) = secret.as_object_mut() else {
        return;
    };
    if let Some(Value::Object(plain)) = map.remove("stringData") {
        let data = map
            .entry("data")
            .or_insert_with(|| Value::Object(Map::new()));
        if data.is_null() {
            *data = Value::Object(Map::new());
        }
        if let Some(data) = data.as_object_mut() {
            for (key, value) in plain {
                let text = match &value {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                data.insert(key, Value::String(STANDARD.encode(text)));
            }
        }
    }
    for value in map
        .get_mut("data")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        if value.is_null() {
            *value = Value::String(String::new());
        }
    }
}

fn normalise_role(role: &mut Value, options: Options) {
    let aggregated =
        options.ignore_aggregated_roles && role.get(AGGREGATION_RULE).is_some_and(|r| !r.is_null());
    let Some(map) = role.as_object_mut() else {
        return;
    };
    let empty = map
        .get("rules")
        .is_some_and(|r| r.as_array().is_some_and(Vec::is_empty) || r.is_null());
    if aggregated || empty {
        map.remove("rules");
    }
}

fn normalise_endpoints(endpoints: &mut Value) {
    let Some(subsets) = endpoints.get_mut("subsets").and_then(Value::as_array_mut) else {
        return;
    };
    for subset in subsets.iter_mut() {
        for port in subset
            .get_mut("ports")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(port) = port.as_object_mut() {
                port.entry("protocol")
                    .or_insert_with(|| Value::String("TCP".into()));
            }
        }
        for list in ["addresses", "notReadyAddresses", "ports"] {
            if let Some(items) = subset.get_mut(list).and_then(Value::as_array_mut) {
                items.sort_by_key(Value::to_string);
            }
        }
    }
    subsets.sort_by_key(Value::to_string);
}

fn drop_empty_annotations(object: &mut Value) {
    for key in ["annotations", "labels"] {
        let empty = object["metadata"][key]
            .as_object()
            .is_some_and(Map::is_empty)
            || object["metadata"][key].is_null();
        if empty {
            remove(object, &["metadata", key]);
        }
    }
}

/// Whether two values of a type mean the same to the server.
pub fn same_meaning(ty: &TypeRef, a: &Value, b: &Value) -> bool {
    same(ty.schema(), Some(ty.id()), a, b)
}

fn same(schema: &Schema, ty: Option<TypeId>, a: &Value, b: &Value) -> bool {
    if equal(a, b) || (is_nothing(a) && is_nothing(b)) {
        return true;
    }
    let node = ty.map(|ty| schema.node(ty));
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let map = node.and_then(|n| n.map.as_ref());
            x.keys()
                .chain(y.keys().filter(|k| !x.contains_key(*k)))
                .all(|key| {
                    let (v, w) = (
                        x.get(key).unwrap_or(&Value::Null),
                        y.get(key).unwrap_or(&Value::Null),
                    );
                    same(schema, map.and_then(|m| m.member(key)), v, w)
                })
        }
        (Value::Array(x), Value::Array(y)) => {
            let element = node.and_then(|n| n.list.as_ref()).map(|l| l.element);
            x.len() == y.len() && x.iter().zip(y).all(|(v, w)| same(schema, element, v, w))
        }
        _ => match node.map(|n| &n.json) {
            Some(JsonType::Quantity) => same_quantity(a, b),
            Some(JsonType::String { format }) if format.as_deref() == Some("byte") => {
                same_bytes(a, b)
            }
            _ => false,
        },
    }
}

/// Null, and containers without content.
pub(crate) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn same_bytes(a: &Value, b: &Value) -> bool {
    let bytes = |value: &Value| {
        let text: String = value
            .as_str()?
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .collect();
        LENIENT.decode(text).ok()
    };
    matches!((bytes(a), bytes(b)), (Some(a), Some(b)) if a == b)
}
