//! Objects out of files: lists are opened, and what is no object is refused.

use crate::fault::{CODE_RESOURCE, Fault, Outcome};
use crate::node::Node;
use crate::read::{self, Document};
use crate::resource::{Resource, Source};

/// What a text is read for; the words differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Resources,
    Patch,
}

/// Reads all objects of a text.
///
/// # Errors
/// Text that is no YAML, and documents that are no objects.
pub(crate) fn read(text: &[u8], path: &str, reading: Reading) -> Outcome<Vec<Resource>> {
    let documents = read::documents(text).map_err(|error| {
        let message = if error.message.starts_with("invalid document separator") {
            error.message.clone()
        } else if reading == Reading::Resources {
            format!("MalformedYAMLError: {error} in File: {path}")
        } else {
            error.to_string()
        };
        Fault::new(CODE_RESOURCE, message)
            .at(path)
            .place(error.span.line, error.span.column)
    })?;
    let mut found = Vec::new();
    let mut pending: std::collections::VecDeque<Document> = documents.into();
    while let Some(document) = pending.pop_front() {
        let place = |fault: Fault| fault.at(path).place(document.line, document.column);
        if is_nothing(&document.root) {
            continue;
        }
        check(&document.root).map_err(|message| place(Fault::new(CODE_RESOURCE, message)))?;
        match items_of(&document.root)
            .map_err(|message| place(Fault::new(CODE_RESOURCE, message)))?
        {
            Some(items) => {
                let (line, column) = (document.line, document.column);
                for item in items {
                    if is_nothing(&item) {
                        continue;
                    }
                    check(&item).map_err(|message| {
                        Fault::new(CODE_RESOURCE, message)
                            .at(path)
                            .place(line, column)
                    })?;
                    pending.push_back(Document {
                        root: item,
                        line,
                        column,
                    });
                }
            }
            None => {
                let source = Source {
                    path: path.to_owned(),
                    line: document.line,
                    column: document.column,
                };
                found.push(Resource::new(document.root, source));
            }
        }
    }
    Ok(found)
}

fn is_nothing(node: &Node) -> bool {
    node.is_null()
        || node.as_map().is_some_and(<[_]>::is_empty)
        || (node.is_seq() && node.items().is_empty())
}

/// The items of an object whose kind ends in `List`, as the original copies them through JSON.
fn items_of(node: &Node) -> Result<Option<Vec<Node>>, String> {
    let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
    if !kind.ends_with("List") {
        return Ok(None);
    }
    match node.get("items") {
        None => Ok(None),
        Some(items) if items.is_null() => Ok(Some(Vec::new())),
        Some(Node::Seq(items)) => items
            .iter()
            .map(|item| read::to_json(item).map(|json| read::from_json(&json)))
            .collect::<Result<Vec<_>, _>>()
            .map(Some),
        Some(other) => {
            let found = if other.is_map() {
                "map[string]interface {}"
            } else {
                "string"
            };
            Err(format!("expected array in {kind}/items, but found {found}"))
        }
    }
}

/// Whether a document is an object: a mapping with a kind, and with a name unless it is a list.
///
/// # Errors
/// What it lacks.
pub(crate) fn check(node: &Node) -> Result<(), String> {
    if !node.is_map() {
        let text = node.text().unwrap_or_default();
        return Err(format!(
            "missing Resource metadata: expected a mapping, found {text:?}"
        ));
    }
    let text = |node: Option<&Node>| {
        node.filter(|node| !node.is_null())
            .and_then(Node::text)
            .unwrap_or_default()
            .to_owned()
    };
    let kind = text(node.get("kind"));
    let name = text(node.get("metadata").and_then(|meta| meta.get("name")));
    let shown = || {
        let api_version = text(node.get("apiVersion"));
        format!("{{{{{api_version} {kind}}} {{{{{name} }} map[] map[]}}}}")
    };
    if kind.is_empty() {
        return Err(format!("missing kind in object {}", shown()));
    }
    if name.is_empty() && !kind.ends_with("List") {
        return Err(format!("missing metadata.name in object {}", shown()));
    }
    Ok(())
}
