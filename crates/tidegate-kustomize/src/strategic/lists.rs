//! Lists that merge by keys, and lists of scalars that merge by value.
//!
//! The original keeps elements in lists that share nodes. Where that shows in the result (a repeated
//! key keeps its last element, an element without its key empties what stands before it), the result
//! is the same here: elements live in one arena and lists hold their numbers.

use super::{DIRECTIVE, Directive, Merged, Walker, named_directive, wrong_kind};
use crate::merge_schema::Place;
use crate::node::Node;

/// Elements that a merged list may have: their comparison costs the square of it.
const MAX_ELEMENTS: usize = 4096;

/// The other side of a list.
pub(super) enum Other<'p> {
    /// There is none.
    Missing,
    /// The list itself.
    Same,
    /// The patch's elements, without the one that was a directive.
    Patch(Vec<&'p Node>),
}

/// The values that tell an element apart, one for each key.
type Values = Vec<String>;

/// What a list of the patch says about itself: its first element that has a directive, when that
/// has at most this one field.
pub(super) fn directive(list: &Node) -> Result<Option<Directive>, String> {
    let Some(element) = list
        .items()
        .iter()
        .find(|item| item.get(DIRECTIVE).is_some())
    else {
        return Ok(None);
    };
    if element.as_map().is_none_or(|fields| fields.len() > 1) {
        return Ok(None);
    }
    let word = element.get(DIRECTIVE).and_then(Node::text);
    named_directive(word.unwrap_or_default()).map(Some)
}

/// The elements of a list without those that carry this directive; empty ones go with them.
fn unmarked(list: &Node, directive: Directive) -> Vec<&Node> {
    let word = match directive {
        Directive::Merge => "merge",
        Directive::Replace => "replace",
        Directive::Delete => "delete",
    };
    let marked = |item: &Node| item.get(DIRECTIVE).and_then(Node::text) == Some(word);
    list.items()
        .iter()
        .filter(|item| !is_empty(item) && !marked(item))
        .collect()
}

/// As [`unmarked`], as a list.
pub(super) fn without_directive(list: &Node, directive: Directive) -> Result<Node, String> {
    Ok(Node::seq(
        unmarked(list, directive).into_iter().cloned().collect(),
    ))
}

/// Whether an element is null or a map without fields.
fn is_empty(node: &Node) -> bool {
    node.is_null() || node.as_map().is_some_and(<[_]>::is_empty)
}

impl<'s> Walker<'s> {
    pub(super) fn walk_list(
        &self,
        own: Option<Node>,
        patch: Option<&Node>,
        keys: &[String],
        element: Place<'s>,
    ) -> Result<Merged, String> {
        let own = own.filter(|own| !own.is_null());
        let (items, other) = match (own, patch) {
            (None, None) => return Ok(Merged::Gone),
            (None, Some(patch)) => (patch.clone().into_items(), Other::Same),
            (Some(own), None) => (own.into_items(), Other::Missing),
            (Some(_), Some(patch)) if patch.is_null() => return Ok(Merged::Gone),
            (Some(own), Some(patch)) => match directive(patch)? {
                Some(Directive::Delete) => return Ok(Merged::Gone),
                Some(word @ Directive::Replace) => {
                    let items = unmarked(patch, word).into_iter().cloned().collect();
                    (items, Other::Same)
                }
                Some(word @ Directive::Merge) => {
                    (own.into_items(), Other::Patch(unmarked(patch, word)))
                }
                None => (
                    own.into_items(),
                    Other::Patch(patch.items().iter().collect()),
                ),
            },
        };
        self.merge_elements(items, &other, keys, element)
            .map(Merged::Kept)
    }

    pub(super) fn merge_elements(
        &self,
        own: Vec<Node>,
        other: &Other<'_>,
        keys: &[String],
        element: Place<'s>,
    ) -> Result<Node, String> {
        let said = match other {
            Other::Patch(items) => items.len(),
            Other::Missing | Other::Same => 0,
        };
        if own.len().max(said) > MAX_ELEMENTS {
            return Err(format!(
                "a merged list has more than {MAX_ELEMENTS} elements"
            ));
        }
        let scalars = [String::new()];
        let keys = if keys.is_empty() { &scalars } else { keys };
        let mut values: Vec<Values> = Vec::new();
        let patch: &[&Node] = match other {
            Other::Patch(items) => items,
            Other::Missing | Other::Same => &[],
        };
        for item in patch.iter().copied().chain(&own) {
            let found = values_of(item, keys);
            if !values.contains(&found) {
                values.push(found);
            }
        }
        if values.is_empty() {
            return Ok(Node::seq(own));
        }
        if keys.len() > 1 {
            unify(&mut values);
        }
        let mut lists = Lists::new(own);
        let mut last = Vec::new();
        for tuple in &values {
            let (keys, tuple) = valid(&values, tuple, keys);
            self.merge_element(&mut lists, other, (&keys, &tuple), element)?;
            last = keys;
        }
        lists.append_own(&last)?;
        Ok(Node::seq(lists.into_merged()))
    }

    /// Merges the element that one tuple of values names, and puts it into the result.
    fn merge_element(
        &self,
        lists: &mut Lists,
        other: &Other<'_>,
        (keys, values): (&[String], &[String]),
        element: Place<'s>,
    ) -> Result<(), String> {
        let tuple = [values.to_vec()];
        let (sought, wanted) = valid(&tuple, values, keys);
        let mine = lists
            .own
            .iter()
            .copied()
            .find(|id| matches(&lists.arena[*id], &sought, &wanted));
        let theirs = match other {
            Other::Patch(items) => items
                .iter()
                .copied()
                .find(|item| matches(item, &sought, &wanted)),
            Other::Missing | Other::Same => None,
        };
        let copy = mine.map(|id| lists.arena[id].clone());
        let merged = match (other, copy) {
            (Other::Same, Some(copy)) => self
                .settle(copy, element)?
                .map_or(Merged::Gone, Merged::Kept),
            (_, copy) => self.walk(copy, theirs, element)?,
        };
        let id = match (merged, mine) {
            (Merged::Gone, _) => return lists.delete_own(keys, values),
            (Merged::Kept(node), Some(id)) => {
                lists.arena[id] = node;
                id
            }
            (Merged::Kept(node) | Merged::Taken(node), _) => lists.add(node),
        };
        if is_empty(&lists.arena[id]) {
            return lists.delete_own(keys, values);
        }
        for (key, value) in keys.iter().zip(values) {
            let node = &mut lists.arena[id];
            if !key.is_empty() && !value.is_empty() && node.is_map() && node.get(key).is_none() {
                node.insert(key, Node::plain(value));
            }
        }
        set(&lists.arena, &mut lists.merged, Some(id), keys, values)
    }
}

/// The lists of one merge; both hold numbers of nodes.
struct Lists {
    arena: Vec<Node>,
    own: Vec<usize>,
    merged: Vec<usize>,
}

impl Lists {
    fn new(own: Vec<Node>) -> Self {
        Self {
            own: (0..own.len()).collect(),
            arena: own,
            merged: Vec::new(),
        }
    }

    fn add(&mut self, node: Node) -> usize {
        self.arena.push(node);
        self.arena.len() - 1
    }

    fn delete_own(&mut self, keys: &[String], values: &[String]) -> Result<(), String> {
        set(&self.arena, &mut self.own, None, keys, values)
    }

    /// Appends the object's own elements, each in place of what the result holds under its keys.
    fn append_own(&mut self, keys: &[String]) -> Result<(), String> {
        for id in std::mem::take(&mut self.own) {
            let element = &self.arena[id];
            let mut values = Vec::new();
            for key in keys {
                if key.is_empty() {
                    values.push(element.text().unwrap_or_default().to_owned());
                } else if element.is_null() || element.is_map() {
                    match element.get(key) {
                        Some(value) => values.push(value.text().unwrap_or_default().to_owned()),
                        None => self.merged.push(id),
                    }
                } else {
                    return Err(wrong_kind("MappingNode", element));
                }
            }
            if keys.len() > 1 {
                set(&self.arena, &mut self.merged, None, keys, &values)?;
            }
            set(&self.arena, &mut self.merged, Some(id), keys, &values)?;
        }
        Ok(())
    }

    /// The merged elements; a node that stands twice is copied.
    fn into_merged(self) -> Vec<Node> {
        let mut uses = vec![0_usize; self.arena.len()];
        for id in &self.merged {
            uses[*id] += 1;
        }
        let mut arena: Vec<Option<Node>> = self.arena.into_iter().map(Some).collect();
        self.merged
            .into_iter()
            .filter_map(|id| {
                uses[id] -= 1;
                if uses[id] == 0 {
                    arena[id].take()
                } else {
                    arena[id].clone()
                }
            })
            .collect()
    }
}

/// Sets, appends or removes the element that has these values under these keys. Empty elements go in
/// passing, and without any values everything that does not match goes, as in the original.
fn set(
    arena: &[Node],
    list: &mut Vec<usize>,
    element: Option<usize>,
    keys: &[String],
    values: &[String],
) -> Result<(), String> {
    let seeks_maps = keys.first().is_some_and(|key| !key.is_empty())
        && values.first().is_some_and(|value| !value.is_empty());
    let mut content = Vec::with_capacity(list.len() + 1);
    let mut replaced = false;
    for id in list.iter().copied() {
        let node = &arena[id];
        if is_empty(node) {
            continue;
        }
        if !node.is_map() && seeks_maps {
            content.push(id);
            continue;
        }
        if !found(node, keys, values)? {
            if !values.is_empty() {
                content.push(id);
            }
            continue;
        }
        replaced = true;
        content.extend(element);
    }
    if let Some(id) = element
        && !replaced
        && !arena[id].is_null()
    {
        content.push(id);
    }
    *list = content;
    Ok(())
}

/// Whether an element has the values; an empty one asks for the key only.
fn found(node: &Node, keys: &[String], values: &[String]) -> Result<bool, String> {
    let mut found = false;
    for (index, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(index) {
            found = if key.is_empty() {
                if node.is_map() || node.is_seq() {
                    return Err(wrong_kind("ScalarNode", node));
                }
                node.text().unwrap_or_default() == value
            } else {
                if !node.is_map() {
                    return Err(wrong_kind("MappingNode", node));
                }
                node.get(key).is_some_and(|field| {
                    value.is_empty() || field.text().unwrap_or_default() == value
                })
            };
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(found)
}

/// Whether an element is the one sought: all values are equal.
fn matches(node: &Node, keys: &[String], values: &[String]) -> bool {
    if keys.first().is_some_and(String::is_empty) {
        return values.first().is_some_and(|value| raw_text(node) == value);
    }
    node.is_map()
        && keys.len() == values.len()
        && keys
            .iter()
            .zip(values)
            .all(|(key, value)| node.get(key).is_some_and(|field| raw_text(field) == value))
}

/// The text of a scalar, nothing for anything else.
fn raw_text(node: &Node) -> &str {
    node.text().unwrap_or_default()
}

fn values_of(node: &Node, keys: &[String]) -> Values {
    keys.iter()
        .map(|key| {
            if key.is_empty() {
                return raw_text(node).to_owned();
            }
            match node.get(key) {
                Some(field) if !field.is_null() => raw_text(field).to_owned(),
                _ => String::new(),
            }
        })
        .collect()
}

/// Tuples that agree in one value, and where they differ one of them is empty, become one.
fn unify(values: &mut [Values]) {
    for first in 0..values.len() {
        let tuple = values[first].clone();
        for second in 0..values.len() {
            if let Some(both) = united(&tuple, &values[second]) {
                values[first].clone_from(&both);
                values[second] = both;
            }
        }
    }
}

fn united(first: &[String], second: &[String]) -> Option<Values> {
    let mut common = false;
    let mut both = Vec::with_capacity(first.len());
    for (a, b) in first.iter().zip(second) {
        if a == b {
            common = true;
        } else if !a.is_empty() && !b.is_empty() {
            return None;
        }
        both.push(if a.is_empty() { b } else { a }.clone());
    }
    common.then_some(both)
}

/// The keys that have a value anywhere in the list, and this tuple's values under them.
fn valid(all: &[Values], values: &[String], keys: &[String]) -> (Vec<String>, Vec<String>) {
    let used = |index: usize| {
        all.iter()
            .any(|tuple| tuple.get(index).is_some_and(|value| !value.is_empty()))
    };
    let kept: Vec<usize> = (0..keys.len()).filter(|index| used(*index)).collect();
    if kept.is_empty() {
        return (keys.to_vec(), values.to_vec());
    }
    let pick = |from: &[String]| {
        kept.iter()
            .filter_map(|index| from.get(*index).cloned())
            .collect()
    };
    (pick(keys), pick(values))
}
