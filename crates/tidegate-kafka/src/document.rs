//! What all documents have: metadata, annotations that Strimzi and we know, fields read strictly.
//!
//! Must not know: brokers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_manifest::{ResourceKey, TrackingId};

/// Strimzi's group.
pub(crate) const GROUP: &str = "kafka.strimzi.io";
/// Strimzi's versions, the preferred one first.
pub(crate) const VERSIONS: [&str; 4] = ["v1", "v1beta2", "v1beta1", "v1alpha1"];
const MANAGED: &str = "strimzi.io/managed";
const PAUSED: &str = "strimzi.io/pause-reconciliation";
/// Characters of a value that a message shows.
const SHOWN: usize = 60;
/// Says that deleting the document deletes what it stands for, data and all.
pub const DELETE_DATA: &str = "tidegate.dev/delete-data";

/// Who looks after what a document stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Tidegate does.
    Managed,
    /// Nobody, by `strimzi.io/managed: "false"` on a topic.
    Unmanaged,
    /// Nobody for now, by `strimzi.io/pause-reconciliation: "true"`.
    Paused,
}

/// An error in a document.
pub(crate) fn invalid(message: impl Into<String>, help: &str) -> ApplierError {
    ApplierError::new(ErrorKind::Invalid, message).help(help)
}

fn annotation<'v>(body: &'v Value, name: &str) -> Option<&'v str> {
    body.get("metadata")?
        .get("annotations")?
        .get(name)?
        .as_str()
}

/// Its annotations.
pub(crate) fn annotations(body: &Value) -> BTreeMap<String, String> {
    let found = body.get("metadata").and_then(|m| m.get("annotations"));
    let texts = found.and_then(Value::as_object).into_iter().flatten();
    texts
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Who looks after it.
pub(crate) fn care(body: &Value, kind: &str) -> Care {
    if kind == "KafkaTopic" && annotation(body, MANAGED) == Some("false") {
        Care::Unmanaged
    } else if annotation(body, PAUSED) == Some("true") {
        Care::Paused
    } else {
        Care::Managed
    }
}

/// Whether deleting the document may delete data.
pub(crate) fn deletes_data(body: &Value) -> bool {
    annotation(body, DELETE_DATA) == Some("true")
}

/// The application whose mark the document bears, for itself and no copy.
pub(crate) fn application(body: &Value, key: &ResourceKey) -> String {
    let id = TrackingId::of(body);
    let own =
        id.filter(|id| id.is_self_reference(&key.group, &key.kind, &key.namespace, &key.name));
    own.map(|id| id.application).unwrap_or_default()
}

/// The document as it is remembered and compared: labels, annotations and spec.
pub(crate) fn kept(body: &Value) -> Value {
    let mut metadata = Map::new();
    for name in ["labels", "annotations"] {
        let found = body.get("metadata").and_then(|m| m.get(name));
        if let Some(some) = found.filter(|v| v.as_object().is_some_and(|map| !map.is_empty())) {
            metadata.insert(name.to_owned(), some.clone());
        }
    }
    let mut spec = body.get("spec").and_then(Value::as_object).cloned();
    if let Some(spec) = &mut spec {
        spec.retain(|_, value| !value.is_null());
    }
    let spec = spec.unwrap_or_default();
    json!({
        "apiVersion": body.get("apiVersion").cloned().unwrap_or(Value::Null),
        "metadata": metadata,
        "spec": spec,
    })
}

/// A whole object of a kept document, another spec and a status.
pub(crate) fn object(
    key: &ResourceKey,
    kept: Option<&Value>,
    uid: &str,
    spec: Value,
    status: Value,
) -> Value {
    let version = kept.and_then(|kept| kept.get("apiVersion")).cloned();
    let version = version.filter(Value::is_string);
    let mut metadata = kept
        .and_then(|kept| kept.get("metadata"))
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    metadata.insert("name".to_owned(), json!(key.name));
    if !key.namespace.is_empty() {
        metadata.insert("namespace".to_owned(), json!(key.namespace));
    }
    if !uid.is_empty() {
        metadata.insert("uid".to_owned(), json!(uid));
    }
    let mut body = json!({
        "apiVersion": version.unwrap_or_else(|| json!(format!("{}/{}", key.group, VERSIONS[0]))),
        "kind": key.kind,
        "metadata": metadata,
    });
    body["spec"] = spec;
    if !status.is_null() {
        body["status"] = status;
    }
    body
}

/// A mapping's fields, read strictly: unknown ones are mistakes.
pub(crate) struct Fields<'v> {
    at: String,
    map: Option<&'v Map<String, Value>>,
}

impl<'v> Fields<'v> {
    /// The fields of a value at a path; absent and null have none.
    pub(crate) fn of(value: Option<&'v Value>, at: &str) -> Result<Self, ApplierError> {
        let map = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => return Err(wrong(at, "a mapping", other)),
        };
        Ok(Self {
            at: at.to_owned(),
            map,
        })
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.map.is_none()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.at)
    }

    /// No others than these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApplierError> {
        let mut names = self.map.into_iter().flat_map(Map::keys);
        match names.find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(invalid(
                format!("unknown field {}", short(self.path(name))),
                &format!("the fields are {}", known.join(", ")),
            )),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'v Value> {
        self.map?.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'v str>, ApplierError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(&self.path(name), "a text", other)),
        }
    }

    pub(crate) fn whole(
        &self,
        name: &str,
        least: i64,
        most: i64,
    ) -> Result<Option<i64>, ApplierError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_i64().filter(|n| (least..=most).contains(n));
        number.map(Some).ok_or_else(|| {
            wrong(
                &self.path(name),
                &format!("a whole number from {least} to {most}"),
                value,
            )
        })
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, ApplierError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_f64().filter(|n| n.is_finite() && *n >= 0.0);
        number
            .map(Some)
            .ok_or_else(|| wrong(&self.path(name), "a number from 0 on", value))
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'v String, &'v Value)> {
        self.map.into_iter().flatten()
    }
}

/// As much of a text as a message has room for.
fn short(text: String) -> String {
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain("…".chars()).collect()
}

/// A text of a document as messages quote it.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", short(text.to_owned()))
}

pub(crate) fn wrong(at: &str, wanted: &str, value: &Value) -> ApplierError {
    let shown = short(value.to_string());
    invalid(
        format!("{at} is {shown}, not {wanted}"),
        &format!("write {wanted}"),
    )
}
