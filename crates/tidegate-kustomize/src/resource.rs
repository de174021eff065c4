//! Objects on their way through a build: the node, what it was called before, and where it is from.
//!
//! The original keeps the history in annotations, which shows: an object with a history always has
//! annotations, and loses an empty map of them in the end.

use std::collections::{BTreeMap, HashSet};

use crate::fault::{CODE_RESOURCE, Fault, Outcome};
use crate::field_path::{Kind, wrong_kind};
use crate::id::{Gvk, ResId, Scopes};
use crate::node::{Key, Node, Scalar, Style, Tag};

/// Annotations that are the build's own, whoever wrote them.
const INTERNAL: &[&str] = &[
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    FROM_HELM,
];

/// The annotation of what a chart gave, which the namespace of a kustomization does not change.
pub(crate) const FROM_HELM: &str = "internal.config.kubernetes.io/helm-generated";

/// What the names of the annotations begin with that the original keeps the history in.
pub(crate) const HISTORY: &str = "internal.config.kubernetes.io/";
/// The annotation that says where an object is from.
pub(crate) const ORIGIN: &str = "config.kubernetes.io/origin";
/// The annotation that says what changed an object.
pub(crate) const CHANGES: &str = "alpha.config.kubernetes.io/transformations";

/// An earlier identity.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Previous {
    name: String,
    namespace: String,
    kind: String,
}

/// What a generated object does to one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    Unspecified,
    Create,
    Replace,
    Merge,
}

impl Behavior {
    pub(crate) fn named(word: &str) -> Self {
        match word {
            "replace" => Behavior::Replace,
            "merge" => Behavior::Merge,
            "create" => Behavior::Create,
            _ => Behavior::Unspecified,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Behavior::Unspecified => "unspecified",
            Behavior::Create => "create",
            Behavior::Replace => "replace",
            Behavior::Merge => "merge",
        }
    }
}

/// Where an object was made or changed, for `buildMetadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) path: String,
    pub(crate) configured_in: String,
    /// apiVersion, kind, name and namespace of what it was configured by.
    pub(crate) configured_by: Option<[String; 4]>,
}

impl Mark {
    fn to_node(&self) -> Node {
        let mut map = Node::Map(Vec::new());
        for (key, text) in [("path", &self.path), ("configuredIn", &self.configured_in)] {
            if !text.is_empty() {
                map.insert(key, marked(text));
            }
        }
        if let Some(by) = &self.configured_by {
            let mut inner = Node::Map(Vec::new());
            for (key, text) in ["apiVersion", "kind", "name", "namespace"].iter().zip(by) {
                if !text.is_empty() {
                    inner.insert(key, marked(text));
                }
            }
            map.insert("configuredBy", inner);
        }
        map
    }
}

/// A new text, quoted where readers would take it for something else.
pub(crate) fn quoted_where_typed(mut node: Node) -> Node {
    let text = node.text().unwrap_or_default();
    if !text.is_empty() && (!crate::read::is_plain_string(text) || crate::read::is_old_word(text)) {
        node.set_style(Style::Double);
    }
    node
}

/// A text of a mark; what older readers take for something else is quoted.
fn marked(text: &str) -> Node {
    let mut node = Node::string(text);
    if crate::read::is_old_word(text) {
        node.set_style(Style::Double);
    }
    node
}

/// An object.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) node: Node,
    previous: Vec<Previous>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) suffixes: Vec<String>,
    pub(crate) behavior: Option<Behavior>,
    pub(crate) needs_hash: bool,
    /// Something else of the build was noted on it.
    pub(crate) noted: bool,
    pub(crate) vars: Vec<String>,
    pub(crate) origin: Option<Mark>,
    pub(crate) transformations: Vec<Mark>,
    /// The file and place it was read from.
    pub(crate) source: Source,
    pub(crate) scopes: Scopes,
}

/// A place in a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Resource {
    pub(crate) fn new(node: Node, source: Source) -> Self {
        Self {
            node,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            behavior: None,
            needs_hash: false,
            noted: false,
            vars: Vec::new(),
            origin: None,
            transformations: Vec::new(),
            source,
            scopes: Scopes::default(),
        }
    }

    fn text(&self, key: &str) -> &str {
        self.node.get(key).and_then(Node::text).unwrap_or_default()
    }

    fn meta_text(&self, key: &str) -> &str {
        let value = self.node.get("metadata").and_then(|meta| meta.get(key));
        value
            .filter(|value| !value.is_null())
            .and_then(Node::text)
            .unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.meta_text("name")
    }

    pub(crate) fn namespace(&self) -> &str {
        self.meta_text("namespace")
    }

    pub(crate) fn gvk(&self) -> Gvk {
        Gvk::new(self.text("apiVersion"), self.kind())
    }

    /// Group, version and kind.
    pub(crate) fn kind_parts(&self) -> (&str, &str, &str) {
        let api_version = self.text("apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        (group, version, self.kind())
    }

    /// Group, version and kind, the kind as it was first.
    pub(crate) fn first_kind_parts(&self) -> (&str, &str, &str) {
        let (group, version, kind) = self.kind_parts();
        let first = self.previous.first().map_or(kind, |first| &first.kind);
        (group, version, first)
    }

    pub(crate) fn id(&self) -> ResId {
        let mut id = ResId::new(self.gvk(), self.name(), self.namespace());
        id.cluster_scoped = id.cluster_scoped || self.scopes.is_cluster_scoped(&id.gvk);
        id
    }

    /// All earlier identities, the oldest first; apiVersions are today's.
    pub(crate) fn previous_ids(&self) -> Vec<ResId> {
        let api_version = self.text("apiVersion");
        self.previous
            .iter()
            .map(|p| ResId {
                // The original forgets here whether the kind lives in namespaces.
                gvk: Gvk::new(api_version, &p.kind),
                name: p.name.clone(),
                namespace: p.namespace.clone(),
                cluster_scoped: false,
            })
            .collect()
    }

    pub(crate) fn original_id(&self) -> ResId {
        self.previous_ids()
            .into_iter()
            .next()
            .unwrap_or_else(|| self.id())
    }

    /// Today's identity and all earlier ones.
    pub(crate) fn all_ids(&self) -> Vec<ResId> {
        let mut ids = self.previous_ids();
        ids.push(self.id());
        ids
    }

    pub(crate) fn has_id(&self, matches: impl Fn(&ResId) -> bool) -> bool {
        matches(&self.id())
            || (!self.previous.is_empty() && self.previous_ids().iter().any(matches))
    }

    pub(crate) fn store_previous_id(&mut self) {
        let id = self.id();
        self.previous.push(Previous {
            namespace: id.effective_namespace().to_owned(),
            name: id.name,
            kind: id.gvk.kind,
        });
    }

    /// The annotations that the original would have on the object now.
    pub(crate) fn notes(&self) -> Vec<(&'static str, String)> {
        let listed = |part: fn(&Previous) -> &str| {
            let parts: Vec<&str> = self.previous.iter().map(part).collect();
            parts.join(",")
        };
        let behavior = self.behavior.map(Behavior::word).unwrap_or_default();
        let hash = if self.needs_hash { "enabled" } else { "" };
        let named = [
            (
                "internal.config.kubernetes.io/previousNames",
                listed(|p| &p.name),
            ),
            (
                "internal.config.kubernetes.io/previousNamespaces",
                listed(|p| &p.namespace),
            ),
            (
                "internal.config.kubernetes.io/previousKinds",
                listed(|p| &p.kind),
            ),
            (
                "internal.config.kubernetes.io/prefixes",
                self.prefixes.join(","),
            ),
            (
                "internal.config.kubernetes.io/suffixes",
                self.suffixes.join(","),
            ),
            (
                "internal.config.kubernetes.io/generatorBehavior",
                behavior.to_owned(),
            ),
            (
                "internal.config.kubernetes.io/needsHashSuffix",
                hash.to_owned(),
            ),
            (
                "internal.config.kubernetes.io/refBy",
                if self.noted {
                    " ".to_owned()
                } else {
                    String::new()
                },
            ),
            (ORIGIN, self.origin_text().unwrap_or_default()),
            (CHANGES, self.changes_text().unwrap_or_default()),
        ];
        let mut notes = named.to_vec();
        notes.retain(|(_, text)| !text.is_empty());
        notes
    }

    fn origin_text(&self) -> Option<String> {
        let mark = self.origin.as_ref()?;
        Some(crate::block_yaml::to_string(&mark.to_node()))
    }

    fn changes_text(&self) -> Option<String> {
        if self.transformations.is_empty() {
            return None;
        }
        let list = self.transformations.iter().map(Mark::to_node).collect();
        Some(crate::block_yaml::to_string(&Node::Seq(list)))
    }

    /// Forgets everything, as when a patch removes all annotations.
    pub(crate) fn forget(&mut self) {
        self.previous.clear();
        self.prefixes.clear();
        self.suffixes.clear();
        self.behavior = None;
        self.needs_hash = false;
        self.noted = false;
        self.origin = None;
        self.transformations.clear();
    }

    /// Sets a field of the object itself.
    pub(crate) fn set_field(&mut self, key: &str, text: &str) {
        set_text(&mut self.node, key, text);
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        set_text(metadata(&mut self.node), "name", name);
    }

    /// Sets the namespace; the empty one removes the field.
    pub(crate) fn set_namespace(&mut self, namespace: &str) {
        if !namespace.is_empty() {
            set_text(metadata(&mut self.node), "namespace", namespace);
        } else if let Some(meta) = self.node.get_mut("metadata").and_then(Node::as_map_mut) {
            meta.retain(|(key, _)| key.text() != "namespace");
        }
    }

    /// Labels or annotations as texts.
    pub(crate) fn texts(&self, field: &str) -> BTreeMap<String, String> {
        let map = self.node.get("metadata").and_then(|meta| meta.get(field));
        map.and_then(Node::as_map)
            .unwrap_or_default()
            .iter()
            .map(|(key, value)| {
                (
                    key.text().to_owned(),
                    value.text().unwrap_or_default().to_owned(),
                )
            })
            .collect()
    }

    /// One label or annotation.
    pub(crate) fn text_of(&self, field: &str, key: &str) -> Option<&str> {
        let value = self.node.get("metadata")?.get(field)?.get(key)?;
        Some(value.text().unwrap_or_default())
    }

    /// Sets labels or annotations anew, all as text; none removes the field.
    pub(crate) fn set_texts(&mut self, field: &str, texts: &BTreeMap<String, String>) {
        let meta = metadata(&mut self.node);
        if let Some(entries) = meta.as_map_mut() {
            entries.retain(|(key, _)| key.text() != field);
        }
        if texts.is_empty() {
            return;
        }
        let entries = texts
            .iter()
            .map(|(key, value)| (Key::new(key), Node::string(value)))
            .collect();
        meta.insert(field, Node::Map(entries));
    }

    /// Ends the build for this object: the build's own annotations go, all others become text.
    ///
    /// # Errors
    /// Metadata that can hold no annotations.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        if let Some(metadata) = self.node.get("metadata")
            && !metadata.is_map()
            && !metadata.is_null()
        {
            return Err(format!(
                "failed to clean up origin tracking annotations: {}",
                wrong_kind(Kind::Map, metadata)
            ));
        }
        let mut annotations = self.texts("annotations");
        annotations.retain(|key, _| !INTERNAL.contains(&key.as_str()));
        self.set_texts("annotations", &annotations);
        Ok(())
    }

    /// Writes where it is from and what changed it.
    pub(crate) fn write_marks(&mut self, origin: bool, transformations: bool) {
        let mut annotations = self.texts("annotations");
        if origin && let Some(text) = self.origin_text() {
            annotations.insert(ORIGIN.to_owned(), text);
        }
        if transformations && let Some(text) = self.changes_text() {
            annotations.insert(CHANGES.to_owned(), text);
        }
        if !annotations.is_empty() {
            self.set_texts("annotations", &annotations);
        }
    }

    /// Takes labels, annotations, name, namespace and history of the object it replaces.
    fn inherit(&mut self, old: &Resource) {
        let merged = |mut theirs: BTreeMap<String, String>, own| {
            theirs.extend::<BTreeMap<_, _>>(own);
            theirs
        };
        let labels = merged(old.texts("labels"), self.texts("labels"));
        self.set_texts("labels", &labels);
        let annotations = merged(old.texts("annotations"), self.texts("annotations"));
        self.set_texts("annotations", &annotations);
        self.set_name(old.name());
        self.set_namespace(old.namespace());
        self.previous.clone_from(&old.previous);
        self.prefixes.clone_from(&old.prefixes);
        self.suffixes.clone_from(&old.suffixes);
        self.vars.clone_from(&old.vars);
        self.noted |= old.noted;
        if self.needs_hash {
            self.needs_hash = old.needs_hash;
        }
        self.behavior = old.behavior;
        self.transformations.clone_from(&old.transformations);
    }

    /// Adds what the object it is merged over has in a map of texts.
    fn merge_map(&mut self, old: &Resource, field: &str) {
        let texts = |node: &Node| -> BTreeMap<String, String> {
            let map = node.get(field).and_then(Node::as_map).unwrap_or_default();
            map.iter()
                .map(|(key, value)| {
                    (
                        key.text().to_owned(),
                        value.text().unwrap_or_default().to_owned(),
                    )
                })
                .collect()
        };
        let mut all = texts(&old.node);
        all.extend(texts(&self.node));
        if let Some(entries) = self.node.as_map_mut() {
            entries.retain(|(key, _)| key.text() != field);
        }
        if !all.is_empty() {
            let entries = all
                .iter()
                .map(|(key, value)| (Key::new(key), Node::string(value)))
                .collect();
            self.node.insert(field, Node::Map(entries));
        }
    }
}

/// The metadata of an object, made when there is none.
fn metadata(node: &mut Node) -> &mut Node {
    let entries = match node {
        Node::Map(entries) => entries,
        // An object is a mapping wherever metadata is set.
        other => return other,
    };
    let at = entries.iter().position(|(key, _)| key.text() == "metadata");
    let at = at.unwrap_or_else(|| {
        entries.push((Key::new("metadata"), Node::Map(Vec::new())));
        entries.len() - 1
    });
    let (_, meta) = &mut entries[at];
    if !meta.is_map() {
        *meta = Node::Map(Vec::new());
    }
    meta
}

/// Sets a field to a text that decides its own type; quotes that are there stay.
fn set_text(map: &mut Node, key: &str, text: &str) {
    match map.get_mut(key) {
        Some(value) => {
            let style = value.style();
            *value = Node::Scalar(Scalar {
                text: text.into(),
                tag: Tag::Untagged,
                style: if value.is_null() { Style::Plain } else { style },
                ..Scalar::default()
            });
        }
        None => map.insert(key, quoted_where_typed(Node::plain(text))),
    }
}

/// The identities of a list of objects, as long as nothing but appending happens to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Option<HashSet<String>>);

impl Known {
    /// To be called when objects changed.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

/// Adds objects; two with the same identity are refused.
pub(crate) fn append_all(list: &mut Vec<Resource>, more: Vec<Resource>) -> Outcome<()> {
    append_known(list, &mut Known::default(), more)
}

/// As [`append_all`], for many calls on the same list.
pub(crate) fn append_known(
    list: &mut Vec<Resource>,
    known: &mut Known,
    more: Vec<Resource>,
) -> Outcome<()> {
    let known = known
        .0
        .get_or_insert_with(|| list.iter().map(|r| r.id().key()).collect());
    for resource in more {
        let id = resource.id();
        if !known.insert(id.key()) {
            let message = format!("may not add resource with an already registered id: {id}");
            let Source { path, line, column } = &resource.source;
            return Err(Fault::new(CODE_RESOURCE, message)
                .at(path)
                .place(*line, *column));
        }
        list.push(resource);
    }
    Ok(())
}

/// Takes generated objects: new ones are added, others merge with or replace what is there.
pub(crate) fn absorb_all(list: &mut Vec<Resource>, more: Vec<Resource>) -> Result<(), String> {
    more.into_iter()
        .try_for_each(|resource| absorb(list, resource))
}

fn absorb(list: &mut Vec<Resource>, mut resource: Resource) -> Result<(), String> {
    let id = resource.id();
    let matches: Vec<usize> = list
        .iter()
        .enumerate()
        .filter(|(_, old)| old.has_id(|other| other.equals(&id)))
        .map(|(index, _)| index)
        .collect();
    let behavior = resource.behavior.unwrap_or(Behavior::Unspecified);
    match matches.as_slice() {
        [] if matches!(behavior, Behavior::Merge | Behavior::Replace) => Err(format!(
            "id {} does not exist; cannot merge or replace",
            go_id(&id)
        )),
        [] => append_all(list, vec![resource]).map_err(|fault| fault.message),
        [index] => {
            let old = &list[*index];
            match behavior {
                Behavior::Replace => resource.inherit(old),
                Behavior::Merge => {
                    let origin = old.origin.clone();
                    resource.inherit(old);
                    resource.merge_map(old, "data");
                    resource.merge_map(old, "binaryData");
                    if origin.is_some() {
                        resource.origin = origin;
                    }
                }
                Behavior::Unspecified | Behavior::Create => {
                    return Err(format!(
                        "id {} exists; can not use behavior: '{}', behavior must be merge or replace",
                        go_id(&id),
                        behavior.word()
                    ));
                }
            }
            list[*index] = resource;
            Ok(())
        }
        _ => Err(format!(
            "found multiple objects that could accept merge of {id}"
        )),
    }
}

/// An identity as Go's `%#v` prints it.
fn go_id(id: &ResId) -> String {
    let ResId {
        gvk,
        name,
        namespace,
        cluster_scoped,
    } = id;
    let Gvk {
        group,
        version,
        kind,
    } = gvk;
    format!(
        "resid.ResId{{Gvk:resid.Gvk{{Group:{group:?}, Version:{version:?}, Kind:{kind:?}, isClusterScoped:{cluster_scoped}}}, Name:{name:?}, Namespace:{namespace:?}}}"
    )
}

/// The one object that has or had this identity.
pub(crate) fn find_by_id(list: &[Resource], id: &ResId) -> Result<usize, String> {
    let mut matches = list
        .iter()
        .enumerate()
        .filter(|(_, resource)| resource.has_id(|other| id.equals(other)));
    let failed =
        |what: &str| format!("{what} for Id {id}; failed to find unique target for patch {id}");
    match (matches.next(), matches.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some(_), Some(_)) => Err(failed("multiple matches")),
        (None, _) => Err(failed("no matches")),
    }
}
