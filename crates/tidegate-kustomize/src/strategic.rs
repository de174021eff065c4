//! Strategic merge patches as `kustomize build` applies them: what a patch says to an object, field
//! by field. Lists are merged in [`lists`]; which of them merge comes from [`crate::merge_schema`];
//! which objects are patched is decided in [`crate::patches`].

mod lists;

use std::collections::HashSet;

use crate::merge_schema::{MergeSchema, Place};
use crate::node::{Node, Style, Tag};

/// The key of directives.
const DIRECTIVE: &str = "$patch";

/// What kinds of values are called.
const MAPPING: &str = "MappingNode";
const SEQUENCE: &str = "SequenceNode";

/// What a part of a patch says about its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

/// What became of a place.
#[derive(Debug)]
enum Merged {
    /// Nothing is left.
    Gone,
    /// The object's own value, changed.
    Kept(Node),
    /// The patch's value; the object's own is no longer used.
    Taken(Node),
}

impl Merged {
    fn into_node(self) -> Option<Node> {
        match self {
            Merged::Gone => None,
            Merged::Kept(node) | Merged::Taken(node) => Some(node),
        }
    }
}

/// Merges a patch into an object; `None` when the patch deletes it. One that means to replace the
/// whole object changes nothing, as in the original.
///
/// # Errors
/// Directives nobody knows, and values whose kinds do not fit, in the words of the original.
pub(crate) fn merge(
    object: Node,
    patch: &Node,
    schema: &MergeSchema,
) -> Result<Option<Node>, String> {
    if patch.is_map() && directive(patch)? == Directive::Replace {
        return Ok(Some(object));
    }
    Walker { schema }
        .walk(Some(object), Some(patch), Place::Unknown)
        .map(Merged::into_node)
}

struct Walker<'s> {
    schema: &'s MergeSchema,
}

impl<'s> Walker<'s> {
    /// Merges one place. Depth is bounded by that of the parsed documents.
    fn walk(
        &self,
        own: Option<Node>,
        patch: Option<&Node>,
        place: Place<'s>,
    ) -> Result<Merged, String> {
        let place = self.locate(place, own.as_ref(), patch);
        let shape = {
            let present = [own.as_ref(), patch].into_iter().flatten();
            let mut present = present.filter(|node| !node.is_null());
            present.next().map(|first| {
                let kind = kind_name(first);
                let other = present.find(|node| kind_name(node) != kind);
                other.map_or(Ok(kind), |other| Err(wrong_kind(kind, other)))
            })
        };
        let Some(kind) = shape.transpose()? else {
            return Ok(merge_nulls(own, patch));
        };
        match (kind, place.merge_keys()) {
            (MAPPING, _) => self.walk_map(own, patch, place),
            (SEQUENCE, Some(keys)) => self.walk_list(own, patch, keys, place.element()),
            _ => Ok(override_with(own, patch)),
        }
    }

    /// Objects inside values of unknown type bring their own type.
    fn locate(&self, place: Place<'s>, own: Option<&Node>, patch: Option<&Node>) -> Place<'s> {
        if !place.is_unknown() {
            return place;
        }
        let roots = [own, patch].into_iter().flatten().map(|node| {
            let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default();
            self.schema.root(text("apiVersion"), text("kind"))
        });
        roots
            .into_iter()
            .find(|place| !place.is_unknown())
            .unwrap_or(Place::Unknown)
    }

    fn walk_map(
        &self,
        own: Option<Node>,
        patch: Option<&Node>,
        place: Place<'s>,
    ) -> Result<Merged, String> {
        let own = own.filter(|own| !own.is_null());
        match (own, patch) {
            (None, None) => Ok(Merged::Gone),
            // An added map is forgiving: a directive nobody knows stays as a key.
            (None, Some(patch)) => match directive(patch) {
                Ok(Directive::Delete) => Ok(Merged::Gone),
                Ok(_) => self.take(without_directive(patch), place),
                Err(_) => self.take(patch.clone(), place),
            },
            (Some(own), None) => self.merge_fields(own, None, place),
            (Some(_), Some(patch)) if patch.is_null() => Ok(Merged::Gone),
            (Some(own), Some(patch)) => match directive(patch)? {
                Directive::Delete => Ok(Merged::Gone),
                Directive::Replace => self.take(without_directive(patch), place),
                Directive::Merge => self.merge_fields(own, Some(patch), place),
            },
        }
    }

    fn merge_fields(
        &self,
        mut own: Node,
        patch: Option<&Node>,
        place: Place<'s>,
    ) -> Result<Merged, String> {
        let Some(fields) = own.as_map_mut() else {
            return Ok(Merged::Kept(own));
        };
        if fields.iter().any(|(key, _)| key.text().is_empty()) {
            // The original takes the name of such a field for the value itself.
            return Err(wrong_kind("ScalarNode", &own));
        }
        let said = |key: &str| {
            patch
                .filter(|_| key != DIRECTIVE)
                .and_then(|patch| patch.get(key))
        };
        let known: HashSet<String> = fields.iter().map(|(k, _)| k.text().to_owned()).collect();
        let mut merged = Vec::with_capacity(fields.len());
        for (key, value) in std::mem::take(fields) {
            let style = value.style();
            let said = said(key.text());
            let outcome = self.walk(Some(value), said, place.field(key.text()))?;
            if let Some(mut value) = outcome.into_node() {
                value.set_style(style);
                quote_untyped(&mut value);
                merged.push((key, value));
            }
        }
        for (key, value) in patch.and_then(Node::as_map).unwrap_or_default() {
            let name = key.text();
            if name == DIRECTIVE || known.contains(name) {
                continue;
            }
            let outcome = self.walk(None, Some(value), place.field(name))?;
            if let Some(mut value) = outcome.into_node() {
                quote_untyped(&mut value);
                merged.push((key.clone(), value));
            }
        }
        *fields = merged;
        Ok(Merged::Kept(own))
    }

    /// A map or list of the patch that becomes the value: directives inside are obeyed.
    fn take(&self, node: Node, place: Place<'s>) -> Result<Merged, String> {
        self.settle_inside(node, place).map(Merged::Taken)
    }

    fn settle_inside(&self, mut node: Node, place: Place<'s>) -> Result<Node, String> {
        if let Some(fields) = node.as_map_mut() {
            let mut settled = Vec::with_capacity(fields.len());
            for (key, value) in std::mem::take(fields) {
                if let Some(value) = self.settle(value, place.field(key.text()))? {
                    settled.push((key, value));
                }
            }
            *fields = settled;
            return Ok(node);
        }
        match place.merge_keys() {
            Some(keys) if node.is_seq() => {
                let items = node.into_items();
                self.merge_elements(items, &lists::Other::Same, keys, place.element())
            }
            _ => Ok(node),
        }
    }

    /// A value inside one that was taken from the patch.
    fn settle(&self, node: Node, place: Place<'s>) -> Result<Option<Node>, String> {
        let place = self.locate(place, Some(&node), None);
        if node.is_null() {
            return Ok(None);
        }
        let node = if node.is_map() {
            match directive(&node)? {
                Directive::Delete => return Ok(None),
                Directive::Merge | Directive::Replace => without_directive(&node),
            }
        } else if node.is_seq() && place.merge_keys().is_some() {
            match lists::directive(&node)? {
                Some(Directive::Delete) => return Ok(None),
                Some(word) => lists::without_directive(&node, word)?,
                None => node,
            }
        } else {
            return Ok(Some(node));
        };
        self.settle_inside(node, place).map(Some)
    }
}

/// A text that a transformer wrote without a type gets quotes where it would be read as another type,
/// once a merge has passed over it.
fn quote_untyped(node: &mut Node) {
    if let Node::Scalar(scalar) = node
        && scalar.tag == Tag::Untagged
        && scalar.style.is_plain()
        && !scalar.text.is_empty()
        && !crate::read::is_plain_string(&scalar.text)
    {
        scalar.style = Style::Double;
    }
}

/// Two values of which neither says anything: a null that is written out stays one.
fn merge_nulls(own: Option<Node>, patch: Option<&Node>) -> Merged {
    match (own, patch) {
        (Some(own), None) if own.text().is_some_and(|text| !text.is_empty()) => Merged::Kept(own),
        _ => Merged::Gone,
    }
}

fn override_with(own: Option<Node>, patch: Option<&Node>) -> Merged {
    match (own, patch) {
        (_, Some(patch)) if patch.is_null() => Merged::Gone,
        (_, Some(patch)) => Merged::Taken(patch.clone()),
        (Some(own), None) => Merged::Kept(own),
        (None, None) => Merged::Gone,
    }
}

/// What a map of the patch says about itself.
fn directive(patch: &Node) -> Result<Directive, String> {
    let Some(value) = patch.get(DIRECTIVE) else {
        return Ok(Directive::Merge);
    };
    named_directive(value.text().unwrap_or_default())
}

fn named_directive(word: &str) -> Result<Directive, String> {
    match word {
        "merge" => Ok(Directive::Merge),
        "replace" => Ok(Directive::Replace),
        "delete" => Ok(Directive::Delete),
        _ => Err(format!("unknown patch strategy '{word}'")),
    }
}

fn without_directive(patch: &Node) -> Node {
    let mut copy = patch.clone();
    if let Some(fields) = copy.as_map_mut() {
        fields.retain(|(key, _)| key.text() != DIRECTIVE);
    }
    copy
}

fn kind_name(node: &Node) -> &'static str {
    if node.is_map() {
        MAPPING
    } else if node.is_seq() {
        SEQUENCE
    } else {
        "ScalarNode"
    }
}

fn wrong_kind(expected: &str, node: &Node) -> String {
    let found = kind_name(node);
    format!("wrong node kind: expected {expected} but got {found}")
}
