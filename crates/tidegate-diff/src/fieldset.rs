//! Sets of field paths: who owns what. Pure set algebra; schema and values are elsewhere.
//!
//! Order and operations are those of structured-merge-diff's `fieldpath`: names before keys before values before
//! indexes; a set is a trie in which a node may be a member, have children, or both.

mod codec;

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub use codec::CodecError;

use crate::schema::{MapType, Schema, TypeId};
use crate::value;

/// One step of a path.
#[derive(Debug, Clone)]
pub enum PathElement {
    /// A member of a map or struct.
    Field(Arc<str>),
    /// An item of a list by its key fields, sorted by name.
    Key(Arc<[(Arc<str>, Value)]>),
    /// An item of a set.
    Value(Arc<Value>),
    /// An item of a list by position.
    Index(i64),
}

impl PathElement {
    /// A field name.
    pub fn field(name: &str) -> Self {
        Self::Field(Arc::from(name))
    }

    /// Key fields in any order.
    pub fn key(mut fields: Vec<(Arc<str>, Value)>) -> Self {
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Key(fields.into())
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => {
                let pairs = a.iter().zip(b.iter());
                let first = pairs
                    .map(|(a, b)| a.0.cmp(&b.0).then_with(|| value::compare(&a.1, &b.1)))
                    .find(|o| o.is_ne());
                first.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            (Self::Value(a), Self::Value(b)) => value::compare(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathElement {}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let parts: Vec<String> = fields
                    .iter()
                    .map(|(k, v)| format!("{k}={}", value::display(v)))
                    .collect();
                write!(f, "[{}]", parts.join(","))
            }
            Self::Value(v) => write!(f, "[={}]", value::display(v)),
            Self::Index(i) => write!(f, "[{i}]"),
        }
    }
}

/// A path from the root of an object, printed as Kubernetes prints it: `.spec.containers[name="a"].image`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<PathElement>);

impl FieldPath {
    /// A path of field names.
    pub fn of_fields(names: &[&str]) -> Self {
        Self(names.iter().map(|n| PathElement::field(n)).collect())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(f))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    element: PathElement,
    member: bool,
    children: FieldSet,
}

/// A set of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Sorted by element; an entry is a member or has children.
    entries: Vec<Entry>,
}

impl FieldSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of paths of field names.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::new();
        for path in paths {
            set.insert(&FieldPath::of_fields(path).0);
        }
        set
    }

    /// Whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many paths are in the set.
    pub fn len(&self) -> usize {
        self.entries
            .iter()
            .map(|e| usize::from(e.member) + e.children.len())
            .sum()
    }

    /// Adds a path; the empty path (the whole object) is not tracked.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => self.entry(last).member = true,
            [first, rest @ ..] => self.entry(first).children.insert(rest),
        }
    }

    /// Whether the path itself is in the set.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.find(last).is_some_and(|e| e.member),
            [first, rest @ ..] => self.find(first).is_some_and(|e| e.children.has(rest)),
        }
    }

    /// What lies below `element`.
    pub fn below(&self, element: &PathElement) -> Option<&Self> {
        self.find(element)
            .map(|e| &e.children)
            .filter(|c| !c.is_empty())
    }

    /// Whether `element` itself is a member.
    pub fn has_element(&self, element: &PathElement) -> bool {
        self.find(element).is_some_and(|e| e.member)
    }

    /// First level: element, whether it is a member, and its children.
    pub fn iter_elements(&self) -> impl Iterator<Item = (&PathElement, bool, &Self)> {
        self.entries
            .iter()
            .map(|e| (&e.element, e.member, &e.children))
    }

    fn position(&self, element: &PathElement) -> Result<usize, usize> {
        // Sets are built in order most of the time.
        match self.entries.last() {
            None => Err(0),
            Some(last) if last.element < *element => Err(self.entries.len()),
            Some(_) => self.entries.binary_search_by(|e| e.element.cmp(element)),
        }
    }

    fn find(&self, element: &PathElement) -> Option<&Entry> {
        self.position(element).ok().map(|i| &self.entries[i])
    }

    fn entry(&mut self, element: &PathElement) -> &mut Entry {
        let at = match self.position(element) {
            Ok(at) => at,
            Err(at) => {
                let entry = Entry {
                    element: element.clone(),
                    member: false,
                    children: Self::new(),
                };
                self.entries.insert(at, entry);
                at
            }
        };
        &mut self.entries[at]
    }

    pub(crate) fn set_child(&mut self, element: &PathElement, member: bool, children: Self) {
        if member || !children.is_empty() {
            let entry = self.entry(element);
            entry.member |= member;
            entry.children = if entry.children.is_empty() {
                children
            } else {
                entry.children.union(&children)
            };
        }
    }

    /// Paths in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut entries = Vec::with_capacity(self.entries.len().max(other.entries.len()));
        for pair in Pairs::new(&self.entries, &other.entries) {
            entries.push(match pair {
                (Some(a), Some(b)) => Entry {
                    element: a.element.clone(),
                    member: a.member || b.member,
                    children: a.children.union(&b.children),
                },
                (Some(one), None) | (None, Some(one)) => one.clone(),
                (None, None) => continue,
            });
        }
        Self { entries }
    }

    /// Paths in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| {
            let b = b?;
            Some((a.member && b.member, a.children.intersection(&b.children)))
        })
    }

    /// Paths here that are not in `other`; what lies below a path of `other` stays.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |a, b| match b {
            None => Some((a.member, a.children.clone())),
            Some(b) => Some((a.member && !b.member, a.children.difference(&b.children))),
        })
    }

    /// Paths here that are neither in `other` nor below a path of it.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.combine(other, |a, b| match b {
            None => Some((a.member, a.children.clone())),
            Some(b) if b.member => None,
            Some(b) => Some((a.member, a.children.recursive_difference(&b.children))),
        })
    }

    fn combine(
        &self,
        other: &Self,
        keep: impl Fn(&Entry, Option<&Entry>) -> Option<(bool, Self)>,
    ) -> Self {
        let mut entries = Vec::new();
        for (a, b) in Pairs::new(&self.entries, &other.entries) {
            let Some(a) = a else { continue };
            if let Some((member, children)) = keep(a, b)
                && (member || !children.is_empty())
            {
                entries.push(Entry {
                    element: a.element.clone(),
                    member,
                    children,
                });
            }
        }
        Self { entries }
    }

    /// Members without members below them.
    #[must_use]
    pub fn leaves(&self) -> Self {
        let entries = self.entries.iter().map(|e| Entry {
            element: e.element.clone(),
            member: e.member && e.children.is_empty(),
            children: e.children.leaves(),
        });
        Self {
            entries: entries.collect(),
        }
    }

    /// Every path, a node's own members before what lies below them: the order of conflict messages.
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<FieldPath>) {
        for entry in self.entries.iter().filter(|e| e.member) {
            let mut path = prefix.clone();
            path.push(entry.element.clone());
            out.push(FieldPath(path));
        }
        for entry in &self.entries {
            prefix.push(entry.element.clone());
            entry.children.collect(prefix, out);
            prefix.pop();
        }
    }

    /// The set, plus every declared struct field that has members below it.
    #[must_use]
    pub(crate) fn with_named_fields(&self, schema: &Schema, ty: Option<TypeId>) -> Self {
        let node = ty.map(|ty| schema.node(ty));
        let map: Option<&MapType> = node.and_then(|n| n.map.as_ref());
        let list = node.and_then(|n| n.list.as_ref());
        let entries = self.entries.iter().map(|e| {
            let (named, child) = match &e.element {
                PathElement::Field(name) => (
                    !e.children.is_empty() && map.is_some_and(|m| m.field(name).is_some()),
                    map.and_then(|m| m.member(name)),
                ),
                PathElement::Key(_) => (false, list.map(|l| l.element)),
                PathElement::Value(_) | PathElement::Index(_) => (false, None),
            };
            Entry {
                element: e.element.clone(),
                member: e.member || named,
                children: e.children.with_named_fields(schema, child),
            }
        });
        Self {
            entries: entries.collect(),
        }
    }
}

/// Walks two sorted entry lists together.
struct Pairs<'a> {
    a: &'a [Entry],
    b: &'a [Entry],
}

impl<'a> Pairs<'a> {
    fn new(a: &'a [Entry], b: &'a [Entry]) -> Self {
        Self { a, b }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Option<&'a Entry>, Option<&'a Entry>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.a.first(), self.b.first()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.element.cmp(&b.element),
        };
        let mut pair = (None, None);
        if order.is_le() {
            pair.0 = self.a.first();
            self.a = &self.a[1..];
        }
        if order.is_ge() {
            pair.1 = self.b.first();
            self.b = &self.b[1..];
        }
        Some(pair)
    }
}
