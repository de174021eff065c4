//! A SchemaSubject document: the schema that a subject of a Schema Registry should have. Pure.
//!
//! ```yaml
//! apiVersion: tidegate.dev/v1alpha1
//! kind: SchemaSubject
//! metadata: {name: orders-value}
//! spec:
//!   subject: orders-value        # default: the name
//!   schemaType: AVRO             # or PROTOBUF, JSON
//!   compatibility: BACKWARD      # left alone when absent
//!   schema: '{"type": "record", …}'
//!   references: [{name: …, subject: …, version: 1}]
//! ```

use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_manifest::ResourceKey;

use crate::document::{Fields, invalid, quoted, wrong};
use crate::registry::{Schema, Verdict, Version};

/// The group of Tidegate's own kinds.
pub(crate) const GROUP: &str = "tidegate.dev";
pub(crate) const KIND: &str = "SchemaSubject";
pub(crate) const VERSION: &str = "v1alpha1";
const TYPES: [&str; 3] = ["AVRO", "PROTOBUF", "JSON"];
const LEVELS: [&str; 7] = [
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
    "NONE",
];
/// Bytes of a schema at most.
const SCHEMA: usize = 4 << 20;
/// The registry's words that are shown at most.
const MESSAGES: usize = 5;

/// What a document asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SubjectSpec {
    pub(crate) subject: String,
    pub(crate) schema: Schema,
    pub(crate) level: Option<String>,
}

impl SubjectSpec {
    /// Reads a document.
    ///
    /// # Errors
    /// Something in it is no schema; the error says which field.
    pub(crate) fn read(body: &Value, key: &ResourceKey) -> Result<Self, ApplierError> {
        let spec = Fields::of(body.get("spec"), ".spec")?;
        spec.only(&[
            "subject",
            "schemaType",
            "schema",
            "references",
            "compatibility",
        ])?;
        let kind = one_of(&spec, "schemaType", &TYPES)?.unwrap_or_else(|| "AVRO".to_owned());
        let schema = match spec.get("schema") {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Object(_) | Value::Array(_))) if kind != "PROTOBUF" => {
                value.to_string()
            }
            Some(other) => return Err(wrong(".spec.schema", "the text of a schema", other)),
            None => {
                return Err(invalid(
                    ".spec.schema is missing",
                    "write the text of the schema",
                ));
            }
        };
        if schema.len() > SCHEMA {
            return Err(invalid(
                format!(".spec.schema has more than {SCHEMA} bytes"),
                "split it, and use references",
            ));
        }
        if kind != "PROTOBUF"
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&schema)
        {
            return Err(invalid(
                format!(".spec.schema is no JSON: {error}"),
                "correct the schema; line and column are those within its text",
            ));
        }
        Ok(Self {
            subject: spec.text("subject")?.unwrap_or(&key.name).to_owned(),
            schema: Schema {
                kind,
                text: schema,
                references: references(&spec)?,
            },
            level: one_of(&spec, "compatibility", &LEVELS)?,
        })
    }
}

fn one_of(spec: &Fields<'_>, name: &str, known: &[&str]) -> Result<Option<String>, ApplierError> {
    let Some(text) = spec.text(name)? else {
        return Ok(None);
    };
    if known.contains(&text) {
        return Ok(Some(text.to_owned()));
    }
    Err(invalid(
        format!("{} is {}", spec.path(name), quoted(text)),
        &format!("write one of {}", known.join(", ")),
    ))
}

fn references(spec: &Fields<'_>) -> Result<Vec<(String, String, i64)>, ApplierError> {
    let list = match spec.get("references") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(wrong(&spec.path("references"), "a list", other)),
    };
    let mut found = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let fields = Fields::of(Some(item), &format!(".spec.references[{index}]"))?;
        fields.only(&["name", "subject", "version"])?;
        let (name, subject) = (fields.text("name")?, fields.text("subject")?);
        let version = fields.whole("version", 1, i64::from(i32::MAX))?;
        match (name, subject, version) {
            (Some(name), Some(subject), Some(version)) => {
                found.push((name.to_owned(), subject.to_owned(), version));
            }
            _ => {
                return Err(invalid(
                    format!(".spec.references[{index}] lacks name, subject or version"),
                    "write all three",
                ));
            }
        }
    }
    Ok(found)
}

/// A subject as the registry shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveSubject {
    pub(crate) latest: Version,
    /// The version that the document's schema is, when it is registered.
    pub(crate) same: Option<i64>,
    pub(crate) own_level: Option<String>,
    pub(crate) level: String,
}

impl LiveSubject {
    pub(crate) fn is_current(&self) -> bool {
        self.same.is_some()
    }
}

/// The subject as a spec, of the fields that its document has or had.
pub(crate) fn shown(live: &LiveSubject, wanted: &Value, recorded: Option<&Value>) -> Value {
    let of = |document: &Value, name: &str| document.get("spec")?.get(name).cloned();
    let written = |name: &str| of(wanted, name).or_else(|| recorded.and_then(|doc| of(doc, name)));
    let mut spec = Map::new();
    if let Some(subject) = written("subject") {
        spec.insert("subject".to_owned(), subject);
    }
    if live.is_current() {
        for name in ["schemaType", "schema", "references"] {
            if let Some(value) = of(wanted, name) {
                spec.insert(name.to_owned(), value);
            }
        }
    } else {
        let schema = &live.latest.schema;
        spec.insert("schemaType".to_owned(), json!(schema.kind));
        spec.insert("schema".to_owned(), json!(schema.text));
        if !schema.references.is_empty() {
            let list = schema.references.iter().map(|(name, subject, version)| {
                json!({"name": name, "subject": subject, "version": version})
            });
            spec.insert("references".to_owned(), list.collect());
        }
    }
    if written("compatibility").is_some()
        && let Some(level) = &live.own_level
    {
        spec.insert("compatibility".to_owned(), json!(level));
    }
    Value::Object(spec)
}

/// The error of a schema that may not follow what is registered.
pub(crate) fn incompatible(spec: &SubjectSpec, level: &str, verdict: &Verdict) -> ApplierError {
    let said: Vec<&str> = verdict
        .messages
        .iter()
        .take(MESSAGES)
        .map(String::as_str)
        .collect();
    let said = if said.is_empty() {
        "it does not say why".to_owned()
    } else {
        said.join("; ")
    };
    let message = format!(
        "the schema of subject {} is not compatible with what is registered (compatibility {level}): {said}",
        spec.subject
    );
    let help = "give new fields a default and remove none that others still need; or register it under a new subject; or set .spec.compatibility: NONE if every reader and writer is changed at once";
    ApplierError::new(ErrorKind::Invalid, message).help(help)
}

/// In which order readers and writers must follow a new version.
pub(crate) fn order(level: &str) -> Option<&'static str> {
    match level {
        "BACKWARD" | "BACKWARD_TRANSITIVE" => {
            Some("compatibility is BACKWARD: roll out consumers before producers")
        }
        "FORWARD" | "FORWARD_TRANSITIVE" => {
            Some("compatibility is FORWARD: roll out producers before consumers")
        }
        "NONE" => {
            Some("compatibility is NONE: nothing was checked, and old records may not be readable")
        }
        _ => None,
    }
}
