//! Shorthand for objects and graphs in tests.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_graph::{Graph, GraphOptions, Node, NodeId, NodeInput};
use tidegate_manifest::{Object, Origin, Phase, ResourceKey, SyncFacts, Target};

/// A graph's input: objects to apply, and live objects to prune.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) desired: Vec<Object>,
    pub(crate) live: Vec<Object>,
}

pub(crate) fn target() -> Target {
    Target::kubernetes("prod")
}

fn origin(line: usize) -> Arc<Origin> {
    Arc::new(Origin {
        path: "app.yaml".to_owned(),
        line: u32::try_from(line).expect("few objects"),
        column: 1,
        ..Origin::default()
    })
}

/// `apps/v1 Deployment shop/web`, with annotations `wave=1`, `hook=PreSync`, `depends-on=…`, `options=…`.
pub(crate) fn object(line: usize, words: &str, rest: Value) -> Object {
    let mut words = words.split_whitespace();
    let mut next = || words.next().unwrap_or_default().to_owned();
    let (api_version, kind, place) = (next(), next(), next());
    let (namespace, name) = match place.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, place.as_str()),
    };
    let mut body = rest;
    if body.is_null() {
        body = json!({});
    }
    body["apiVersion"] = json!(api_version);
    body["kind"] = json!(kind);
    body["metadata"]["name"] = json!(name);
    if let Some(namespace) = namespace {
        body["metadata"]["namespace"] = json!(namespace);
    }
    for word in words {
        let (key, value) = word.split_once('=').expect("key=value");
        let key = match key {
            "wave" => "argocd.argoproj.io/sync-wave",
            "hook" => "argocd.argoproj.io/hook",
            "options" => "argocd.argoproj.io/sync-options",
            "depends-on" => "tidegate.dev/depends-on",
            other => other,
        };
        body["metadata"]["annotations"][key] = json!(value);
    }
    Object::from_body(body, origin(line)).expect("a valid object")
}

impl World {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn apply(mut self, words: &str, rest: Value) -> Self {
        let line = self.desired.len() + self.live.len() + 1;
        self.desired.push(object(line, words, rest));
        self
    }

    pub(crate) fn prune(mut self, words: &str, rest: Value) -> Self {
        let line = self.desired.len() + self.live.len() + 1;
        self.live.push(object(line, words, rest));
        self
    }

    pub(crate) fn inputs(&self) -> Vec<NodeInput<'_>> {
        let target = target();
        let desired = self
            .desired
            .iter()
            .flat_map(|object| NodeInput::of_object(object, &target));
        let live = self.live.iter().map(|object| {
            NodeInput::prune(
                object.key(target.clone()),
                &object.body,
                &object.facts,
                Arc::clone(&object.origin),
            )
        });
        desired.chain(live).collect()
    }

    pub(crate) fn graph(&self) -> Graph {
        Graph::build(self.inputs(), &GraphOptions::default())
    }
}

/// `Deployment shop/web`, with the phase for hooks and a mark for prunes.
pub(crate) fn show(node: &Node) -> String {
    use tidegate_graph::NodeRole;
    match node.role {
        NodeRole::Apply => node.short(),
        NodeRole::Hook => format!("{} @{}", node.short(), node.declared_phase.as_str()),
        NodeRole::Prune => format!("-{}", node.short()),
        NodeRole::Skip => format!("~{}", node.short()),
    }
}

/// `Sync 0: a, b` for each group.
pub(crate) fn groups(graph: &Graph, groups: &[tidegate_graph::Group]) -> Vec<String> {
    groups
        .iter()
        .map(|group| {
            let members: Vec<String> = group.members().map(|id| show(graph.node(id))).collect();
            format!(
                "{} {}: {}",
                group.phase.as_str(),
                group.wave,
                members.join(", ")
            )
        })
        .collect()
}

/// `dependent -> dependency: relation`, sorted.
pub(crate) fn edges(graph: &Graph) -> Vec<String> {
    let mut all: Vec<String> = graph
        .edges()
        .iter()
        .map(|edge| {
            format!(
                "{} -> {}: {}",
                graph.node(edge.dependent).short(),
                graph.node(edge.dependency).short(),
                edge.reason.relation.as_str()
            )
        })
        .collect();
    all.sort();
    all
}

pub(crate) fn id(graph: &Graph, words: &str) -> NodeId {
    graph
        .iter()
        .find(|(_, node)| show(node) == words)
        .expect("the graph holds the node that the test asks for")
        .0
}

/// A key and facts of an arbitrary body, for hostile input.
pub(crate) fn raw<'a>(body: &'a Value, facts: &'a SyncFacts, name: &str) -> NodeInput<'a> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or("x");
    let gvk = tidegate_manifest::GroupVersionKind::new(text("apiVersion"), text("kind"));
    NodeInput {
        key: ResourceKey {
            target: target(),
            group: gvk.group,
            kind: gvk.kind,
            namespace: "ns".to_owned(),
            name: name.to_owned(),
        },
        role: tidegate_graph::NodeRole::Apply,
        phase: Phase::Sync,
        wave: 0,
        body,
        facts,
        origin: Arc::new(Origin::default()),
    }
}
