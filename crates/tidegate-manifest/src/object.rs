//! A desired object: identity, body, origin, sync facts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_yaml::Node;

use crate::facts::annotations_of;
use crate::{Diagnostic, GroupKind, GroupVersionKind, Origin, ResourceKey, SyncFacts, Target};

/// Longest name that any Kubernetes object may have.
const NAME_MAX: usize = 253;

/// A desired object as a renderer made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// `apiVersion` and `kind`.
    pub gvk: GroupVersionKind,
    /// `metadata.namespace`, empty when the object has none.
    pub namespace: String,
    /// `metadata.name`, empty when the object has only `generateName`.
    pub name: String,
    /// The whole object.
    pub body: Value,
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// What its annotations say about a sync.
    pub facts: SyncFacts,
}

/// Why a value is no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError {
    /// The field, as a path of keys.
    pub path: &'static [&'static str],
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

impl Object {
    /// Makes an object of a body; every mistake is told, not just the first.
    ///
    /// # Errors
    /// All fields that keep the value from being an object.
    pub fn from_body(body: Value, origin: Arc<Origin>) -> Result<Self, Vec<ObjectError>> {
        let errors = check(&body);
        if !errors.is_empty() {
            return Err(errors);
        }
        let text = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let gvk = GroupVersionKind::new(text("/apiVersion"), text("/kind"));
        let namespace = text("/metadata/namespace").to_owned();
        let name = text("/metadata/name").to_owned();
        let facts = SyncFacts::of(&body);
        Ok(Self {
            gvk,
            namespace,
            name,
            body,
            origin,
            facts,
        })
    }

    /// Makes an object of a parsed document and places every finding at its line.
    ///
    /// `origin` names repository, commit, path and renderer; line and column are filled in here.
    pub fn from_node(node: &Node, origin: &Origin) -> (Option<Self>, Vec<Diagnostic>) {
        let at = |node: &Node| Origin {
            line: node.span.line,
            column: node.span.column,
            ..origin.clone()
        };
        let own = at(node);
        let label = describe(node);
        match Self::from_body(node.to_json(), Arc::new(own)) {
            Ok(object) => {
                let warnings = fact_diagnostics(&object, node, origin);
                let usable = !warnings.iter().any(Diagnostic::is_error);
                (usable.then_some(object), warnings)
            }
            Err(errors) => {
                let found = errors
                    .into_iter()
                    .map(|error| {
                        let place = deepest(node, error.path);
                        Diagnostic::error("TG0101", error.message, at(place))
                            .object(label.clone())
                            .field(format!(".{}", error.path.join(".")))
                            .help(error.help)
                    })
                    .collect();
                (None, found)
            }
        }
    }

    /// The kind without its version.
    pub fn group_kind(&self) -> GroupKind {
        self.gvk.group_kind()
    }

    /// The object's key in `target`.
    pub fn key(&self, target: Target) -> ResourceKey {
        ResourceKey {
            target,
            group: self.gvk.group.clone(),
            kind: self.gvk.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// `metadata.generateName`, when the object has no name.
    pub fn generate_name(&self) -> Option<&str> {
        if !self.name.is_empty() {
            return None;
        }
        self.body
            .pointer("/metadata/generateName")
            .and_then(Value::as_str)
    }

    /// Moves the object to `namespace`, in its body too; empty takes the namespace away.
    pub fn set_namespace(&mut self, namespace: &str) {
        self.namespace = namespace.to_owned();
        if let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) {
            if namespace.is_empty() {
                metadata.remove("namespace");
            } else {
                metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
            }
        }
    }

    /// Gives the object its name, in its body too.
    pub fn set_name(&mut self, name: &str) {
        self.name = name.to_owned();
        if let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".to_owned(), Value::String(name.to_owned()));
        }
    }

    /// The value of one annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.body
            .get("metadata")?
            .get("annotations")?
            .get(name)?
            .as_str()
    }

    /// Sets one annotation in the body.
    pub fn set_annotation(&mut self, name: &str, value: &str) {
        let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        let annotations = metadata
            .entry("annotations")
            .or_insert_with(|| Value::Object(<_>::default()));
        if annotations.is_null() {
            *annotations = Value::Object(<_>::default());
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(name.to_owned(), Value::String(value.to_owned()));
        }
    }

    /// `Kind namespace/name`, for people.
    pub fn short(&self) -> String {
        let name = if self.name.is_empty() {
            format!("{}*", self.generate_name().unwrap_or_default())
        } else {
            self.name.clone()
        };
        if self.namespace.is_empty() {
            format!("{} {name}", self.gvk.kind)
        } else {
            format!("{} {}/{name}", self.gvk.kind, self.namespace)
        }
    }
}

/// `Kind namespace/name` of a document that may be no object.
pub(crate) fn describe(node: &Node) -> String {
    let text = |path: &[&str]| {
        node.at(path)
            .and_then(Node::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (kind, namespace, name) = (
        text(&["kind"]),
        text(&["metadata", "namespace"]),
        text(&["metadata", "name"]),
    );
    match (kind.is_empty(), namespace.is_empty()) {
        (true, _) if name.is_empty() => "unnamed document".to_owned(),
        (true, _) => name,
        (false, true) => format!("{kind} {name}").trim_end().to_owned(),
        (false, false) => format!("{kind} {namespace}/{name}"),
    }
}

/// The deepest node on `path` that is there.
fn deepest<'n>(node: &'n Node, path: &[&str]) -> &'n Node {
    let mut here = node;
    for step in path {
        match here.get(step) {
            Some(next) => here = next,
            None => break,
        }
    }
    here
}

fn check(body: &Value) -> Vec<ObjectError> {
    let Some(object) = body.as_object() else {
        return vec![ObjectError {
            path: &[],
            message: format!("expected an object, found {}", type_name(body)),
            help: "every document is a mapping with apiVersion, kind and metadata",
        }];
    };
    let mut errors = Vec::new();
    let mut need =
        |value: Option<&Value>, path: &'static [&'static str], help: &'static str| match value {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(Value::String(_)) => errors.push(ObjectError {
                path,
                message: format!("{} is empty", path.join(".")),
                help,
            }),
            Some(other) if !other.is_null() => errors.push(ObjectError {
                path,
                message: format!(
                    "{} must be text, found {}",
                    path.join("."),
                    type_name(other)
                ),
                help,
            }),
            Some(_) | None => errors.push(ObjectError {
                path,
                message: format!("{} is missing", path.join(".")),
                help,
            }),
        };
    need(
        object.get("apiVersion"),
        &["apiVersion"],
        "write apiVersion, for example v1 or apps/v1",
    );
    need(
        object.get("kind"),
        &["kind"],
        "write kind, for example Deployment",
    );
    let metadata = object.get("metadata").filter(|m| !m.is_null());
    match metadata {
        Some(Value::Object(metadata)) => {
            let generated = metadata
                .get("generateName")
                .and_then(Value::as_str)
                .is_some_and(|n| !n.is_empty());
            let name = metadata
                .get("name")
                .filter(|name| !(generated && (name.is_null() || name.as_str() == Some(""))));
            if name.is_some() || !generated {
                need(
                    name,
                    &["metadata", "name"],
                    "give the object a name (or generateName for a hook)",
                );
            }
            check_metadata(metadata, &mut errors);
        }
        Some(other) => errors.push(ObjectError {
            path: &["metadata"],
            message: format!("metadata must be a mapping, found {}", type_name(other)),
            help: "write metadata as a mapping with a name",
        }),
        None => need(
            None,
            &["metadata", "name"],
            "give the object a name (or generateName for a hook)",
        ),
    }
    errors
}

fn check_metadata(metadata: &serde_json::Map<String, Value>, errors: &mut Vec<ObjectError>) {
    if metadata
        .get("name")
        .and_then(Value::as_str)
        .is_some_and(|name| name.len() > NAME_MAX)
    {
        errors.push(ObjectError {
            path: &["metadata", "name"],
            message: format!("metadata.name is longer than {NAME_MAX} characters"),
            help: "shorten the name",
        });
    }
    if metadata
        .get("namespace")
        .is_some_and(|ns| !ns.is_null() && !ns.is_string())
    {
        errors.push(ObjectError {
            path: &["metadata", "namespace"],
            message: "metadata.namespace must be text".to_owned(),
            help: "put the namespace in quotes",
        });
    }
    for (field, path) in [
        ("labels", &["metadata", "labels"]),
        ("annotations", &["metadata", "annotations"]),
    ] {
        match metadata.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => {
                for (key, value) in map.iter().filter(|(_, v)| !v.is_string() && !v.is_null()) {
                    errors.push(ObjectError {
                        path,
                        message: format!(
                            "metadata.{field}[{key:?}] must be text, found {}",
                            type_name(value)
                        ),
                        help: "put the value in quotes",
                    });
                }
            }
            Some(other) => errors.push(ObjectError {
                path,
                message: format!(
                    "metadata.{field} must be a mapping, found {}",
                    type_name(other)
                ),
                help: "write it as a mapping of text to text",
            }),
        }
    }
}

/// What a value is, in the words of a person.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn fact_diagnostics(object: &Object, node: &Node, origin: &Origin) -> Vec<Diagnostic> {
    let (_, warnings) = SyncFacts::read(&annotations_of(&object.body));
    warnings
        .into_iter()
        .map(|warning| {
            let span = node
                .at(&["metadata", "annotations"])
                .and_then(|annotations| annotations.entry(warning.annotation))
                .map_or(node.span, |(key, _)| key.span);
            let place = Origin {
                line: span.line,
                column: span.column,
                ..origin.clone()
            };
            let make = if warning.is_error {
                Diagnostic::error
            } else {
                Diagnostic::warning
            };
            make(
                "TG0102",
                format!("{}: {}", warning.annotation, warning.message),
                place,
            )
            .object(object.short())
            .field(format!(".metadata.annotations[{:?}]", warning.annotation))
            .help(warning.help)
        })
        .collect()
}
