//! What a reader of references sees and says. No kinds are known here: those live in `readers`.

use std::borrow::Cow;

use serde_json::Value;
use tidegate_manifest::{ResourceKey, SyncFacts};

use crate::{Relation, Strength};

/// Most references that one object may make; the rest is dropped with a warning.
pub const MAX_REFERENCES_PER_OBJECT: usize = 4_096;

/// Most mentions that one object passes on to its readers; the rest is dropped.
pub(crate) const MAX_MENTIONS_PER_OBJECT: usize = 64;

/// Reads what objects of some kinds refer to, and what they bring about beside themselves.
///
/// A reader must be pure: the same view gives the same references.
pub trait ReferenceReader: Send + Sync {
    /// Says what `view` needs and provides.
    fn read<'a>(&self, view: &View<'a>, found: &mut References<'a>);
}

/// One object, as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The object's key; its namespace holds even when the body names none.
    pub key: &'a ResourceKey,
    /// Its body.
    pub body: &'a Value,
    /// What its annotations say.
    pub facts: &'a SyncFacts,
}

impl<'a> View<'a> {
    /// A label of the object.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.body
            .get("metadata")?
            .get("labels")?
            .get(name)?
            .as_str()
    }

    /// `Kind namespace/name`, for people.
    pub fn short(&self) -> String {
        self.key.short()
    }

    /// Whether the object is exactly `kind` of `group`.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.key.group == group && self.key.kind == kind
    }
}

/// Names an object, or a thing that an object brings about, in the target of the one who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity<'a> {
    /// The API group; `None` matches any (declared references without a group).
    pub group: Option<Cow<'a, str>>,
    /// The kind.
    pub kind: Cow<'a, str>,
    /// Where to look.
    pub place: Place<'a>,
    /// The name.
    pub name: Cow<'a, str>,
}

/// Where a named thing is looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place<'a> {
    /// In this namespace; a cluster-scoped thing with that name serves too when none is there.
    Namespace(Cow<'a, str>),
    /// Outside any namespace.
    Cluster,
    /// In this namespace, else anywhere when the whole graph knows just one of that name.
    Nearest(Cow<'a, str>),
    /// As `Nearest`, but in this namespace of another target first, and then in the other targets too (a topic that a
    /// function reads).
    Anywhere(Cow<'a, str>),
}

impl<'a> Identity<'a> {
    /// `kind` of `group`, named `name`, in `place`.
    pub fn new(
        group: impl Into<Cow<'a, str>>,
        kind: impl Into<Cow<'a, str>>,
        place: Place<'a>,
        name: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            group: Some(group.into()),
            kind: kind.into(),
            place,
            name: name.into(),
        }
    }

    /// A Kafka topic, by its name in Kafka.
    pub fn topic(name: impl Into<Cow<'a, str>>, near: impl Into<Cow<'a, str>>) -> Self {
        Self::new(SYNTHETIC, "topic", Place::Anywhere(near.into()), name)
    }

    /// A Lambda function, by its name in AWS.
    pub fn function(name: impl Into<Cow<'a, str>>, near: impl Into<Cow<'a, str>>) -> Self {
        Self::new(SYNTHETIC, "function", Place::Anywhere(near.into()), name)
    }

    /// `Secret shop/tls`, for people.
    pub(crate) fn words(&self) -> String {
        match &self.place {
            Place::Cluster => format!("{} {}", self.kind, self.name),
            Place::Namespace(ns) | Place::Nearest(ns) | Place::Anywhere(ns) if ns.is_empty() => {
                format!("{} {}", self.kind, self.name)
            }
            Place::Namespace(ns) => format!("{} {ns}/{}", self.kind, self.name),
            Place::Nearest(_) | Place::Anywhere(_) => format!("{} {}", self.kind, self.name),
        }
    }
}

/// The group of things that are no objects themselves: topics and functions.
pub(crate) const SYNTHETIC: &str = "tidegate.dev/name";

/// One thing that an object needs.
#[derive(Clone, Debug)]
pub struct Need<'a> {
    /// What it needs.
    pub identity: Identity<'a>,
    /// How it is bound to it.
    pub relation: Relation,
    /// The field that says so.
    pub field: String,
    /// How firmly.
    pub strength: Strength,
}

/// Collects what one object needs and provides.
#[derive(Debug, Default)]
pub struct References<'a> {
    pub(crate) needs: Vec<Need<'a>>,
    pub(crate) provides: Vec<Identity<'a>>,
    pub(crate) needed_by: Vec<Need<'a>>,
    pub(crate) mentions: Vec<Need<'a>>,
    pub(crate) is_truncated: bool,
}

impl<'a> References<'a> {
    /// The object needs this.
    pub fn need(&mut self, need: Need<'a>) {
        if self.has_room() {
            self.needs.push(need);
        }
    }

    /// This needs the object: the edge goes the other way (a Kafka needs its node pools).
    pub fn needed_by(&mut self, need: Need<'a>) {
        if self.has_room() {
            self.needed_by.push(need);
        }
    }

    /// The object brings this about (an ExternalSecret its Secret, a KafkaTopic its topic).
    pub fn provide(&mut self, identity: Identity<'a>) {
        if self.has_room() {
            self.provides.push(identity);
        }
    }

    /// Whoever reads the object needs this (a topic that a ConfigMap names).
    pub fn mention(&mut self, need: Need<'a>) {
        if self.mentions.len() < MAX_MENTIONS_PER_OBJECT {
            self.mentions.push(need);
        }
    }

    fn has_room(&mut self) -> bool {
        let room = self.needs.len() + self.provides.len() + self.needed_by.len()
            < MAX_REFERENCES_PER_OBJECT;
        self.is_truncated |= !room;
        room
    }
}
