//! A CloudFormation template in its long form, with the places of everything in it.

use serde_json::{Map, Value};
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_yaml::{Node, ParseOptions};

/// A template: JSON with long-form functions, and where it was written.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// The whole document.
    pub body: Value,
    /// The logical ids in the order of the document.
    pub resource_order: Vec<String>,
    /// Repository, commit and path.
    pub origin: Origin,
    root: Node,
}

impl Template {
    /// Reads YAML or JSON.
    ///
    /// # Errors
    /// What keeps it from being read, all at once.
    pub fn parse(bytes: &[u8], origin: &Origin) -> Result<Self, Vec<Diagnostic>> {
        let mut root = match tidegate_yaml::parse_one(bytes, &ParseOptions::cloudformation()) {
            Ok(root) => root,
            Err(errors) => {
                let tell = |error: tidegate_yaml::YamlError| {
                    let place = Origin {
                        line: error.span.line,
                        column: error.span.column,
                        ..origin.clone()
                    };
                    Diagnostic::error("TG1301", error.message, place)
                        .help("mend the YAML; a template is one document")
                };
                return Err(errors.0.into_iter().map(tell).collect());
            }
        };
        if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() {
            crate::scalars::retype_json(&mut root, bytes);
        } else {
            crate::scalars::retype(&mut root, bytes);
        }
        Ok(Self::of_node(root, origin))
    }

    /// A template of a document that is parsed already.
    pub fn of_node(root: Node, origin: &Origin) -> Self {
        let resource_order = match root.get("Resources").map(|node| &node.value) {
            Some(tidegate_yaml::Value::Mapping(entries)) => entries
                .iter()
                .map(|(key, _)| key.text.to_string())
                .collect(),
            _ => Vec::new(),
        };
        Self {
            body: root.to_json(),
            resource_order,
            origin: origin.clone(),
            root,
        }
    }

    /// A template that was made of another: its places are those of the other where they are the same.
    #[must_use]
    pub fn derived(&self, body: Value, resource_order: Vec<String>) -> Self {
        Self {
            body,
            resource_order,
            origin: self.origin.clone(),
            root: self.root.clone(),
        }
    }

    /// The place of a path, or of as much of it as is written down.
    pub fn place(&self, path: &[&str]) -> Origin {
        let mut here = &self.root;
        let mut span = here.span;
        for step in path {
            if let Some((key, node)) = here.entry(step) {
                span = key.span;
                here = node;
            } else if let Some(node) = here.at(&[step]) {
                span = node.span;
                here = node;
            } else {
                break;
            }
        }
        Origin {
            line: span.line,
            column: span.column,
            ..self.origin.clone()
        }
    }

    /// The names of a mapping in the order in which they are written.
    pub fn keys(&self, path: &[&str]) -> Vec<String> {
        match self.root.at(path).map(|node| &node.value) {
            Some(tidegate_yaml::Value::Mapping(entries)) => entries
                .iter()
                .map(|(key, _)| key.text.to_string())
                .collect(),
            _ => Vec::new(),
        }
    }

    /// A section that is a mapping.
    pub fn section(&self, name: &str) -> Option<&Map<String, Value>> {
        self.body.get(name)?.as_object()
    }

    /// The resources in the order of the document; those that a transform made come last, by name.
    pub fn resources(&self) -> Vec<(&str, &Value)> {
        let Some(all) = self.section("Resources") else {
            return Vec::new();
        };
        let mut found: Vec<(&str, &Value)> = self
            .resource_order
            .iter()
            .filter_map(|id| {
                all.get_key_value(id)
                    .map(|(id, value)| (id.as_str(), value))
            })
            .collect();
        let rest = all
            .iter()
            .filter(|(id, _)| !self.resource_order.contains(id));
        found.extend(rest.map(|(id, value)| (id.as_str(), value)));
        found
    }

    /// Whether `Transform` names a macro.
    pub fn has_transform(&self, name: &str) -> bool {
        match self.body.get("Transform") {
            Some(Value::String(text)) => text == name,
            Some(Value::Array(list)) => list.iter().any(|entry| {
                entry.as_str() == Some(name)
                    || entry.get("Name").and_then(Value::as_str) == Some(name)
            }),
            _ => false,
        }
    }
}
