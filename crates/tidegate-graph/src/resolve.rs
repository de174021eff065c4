//! From inputs to a graph: schedules the tasks, reads their references, resolves them inside the graph.
//! What a kind's fields mean is known by `readers`, what is said to the user by `diagnose`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::Value;
use tidegate_manifest::{AWS_GROUP, Phase, ResourceKey, TargetKind};

use crate::diagnose::Findings;
use crate::graph::Link;
use crate::index::{Index, Lookup};
use crate::node::UNNAMED;
use crate::reader::{Identity, Need, Place, ReferenceReader, References, View};
use crate::schedule::{self, PruneLast};
use crate::{
    Contradiction, Edge, Graph, GraphOptions, MAX_NODES, Node, NodeId, NodeInput, NodeRole, Reason,
    Relation, Strength,
};

/// The group of definitions of kinds, for lookups: the kind is the namesake, the name the group.
const DEFINITION: &str = "tidegate.dev/kind";

pub(crate) fn build<'a>(
    inputs: impl IntoIterator<Item = NodeInput<'a>>,
    options: GraphOptions,
    readers: &[&dyn ReferenceReader],
) -> Graph {
    let mut findings = Findings::default();
    let inputs = admit(inputs, &mut findings);
    let (nodes, inputs) = schedule_all(inputs, options);
    let groups = schedule::group(&nodes, (0..nodes.len()).map(NodeId::at));
    let mut by_key: Vec<NodeId> = (0..nodes.len()).map(NodeId::at).collect();
    by_key.sort_by(|a, b| {
        let key = |id: &NodeId| &nodes[id.index()].key;
        key(a).cmp(key(b)).then(a.cmp(b))
    });
    let found = references(&nodes, &inputs, readers, &mut findings);
    let mut ties = Ties::default();
    resolve_all(&nodes, &inputs, found, &mut ties, &mut findings);
    drop(inputs);
    let (mut edges, mut contradictions) = (ties.edges, ties.contradictions);
    unique(&mut edges);
    contradictions.sort_unstable();
    contradictions.dedup_by(|b, a| {
        a.dependent == b.dependent
            && a.dependency == b.dependency
            && a.reason.relation == b.reason.relation
    });
    let cycles = crate::cycle::find(&nodes, &mut edges, &contradictions, &mut findings);
    for contradiction in &contradictions {
        findings.contradiction(&nodes, contradiction);
    }
    ties.prunes.sort_unstable();
    ties.prunes.dedup();
    let links = link(&nodes, &groups, &edges);
    let mut graph = Graph {
        nodes,
        groups,
        edges,
        contradictions,
        cycles,
        diagnostics: findings.finish(),
        links,
        by_key,
        prune_links: ties.prunes,
        options,
    };
    let mut groups = std::mem::take(&mut graph.groups);
    graph.sort_prunes(&mut groups);
    graph.groups = groups;
    graph
}

/// Takes in the inputs up to the limit; of two with one key and phase the later wins.
fn admit<'a>(
    inputs: impl IntoIterator<Item = NodeInput<'a>>,
    findings: &mut Findings,
) -> Vec<NodeInput<'a>> {
    let mut inputs = inputs.into_iter();
    let mut admitted: Vec<NodeInput<'a>> = inputs.by_ref().take(MAX_NODES).collect();
    if let Some(first) = inputs.next() {
        findings.too_many_nodes(&first);
    }
    let mut seen: HashMap<(ResourceKey, Option<Phase>), usize> = HashMap::new();
    let mut is_dropped = vec![false; admitted.len()];
    let applied: HashSet<ResourceKey> = admitted
        .iter()
        .filter(|input| input.role.applies())
        .map(|input| input.key.clone())
        .collect();
    for (index, input) in admitted.iter().enumerate() {
        if input.role == NodeRole::Prune && applied.contains(&input.key) {
            is_dropped[index] = true;
            continue;
        }
        // Hooks that are not named yet are as many objects as there are.
        if input.key.name.is_empty() || input.key.name.ends_with(UNNAMED) {
            continue;
        }
        let phase = input.role.applies().then_some(input.phase);
        if let Some(earlier) = seen.insert((input.key.clone(), phase), index) {
            is_dropped[earlier] = true;
            findings.duplicate(&admitted[earlier], input);
        }
    }
    let mut dropped = is_dropped.into_iter();
    admitted.retain(|_| !dropped.next().unwrap_or(false));
    admitted
}

fn schedule_all(
    inputs: Vec<NodeInput<'_>>,
    options: GraphOptions,
) -> (Vec<Node>, Vec<NodeInput<'_>>) {
    let mut nodes: Vec<Node> = inputs.iter().map(node).collect();
    let prune_last = if options.prune_last {
        PruneLast::All
    } else {
        PruneLast::Marked
    };
    schedule::set_prune_waves(&mut nodes, prune_last, |_| true);
    let order = schedule::order(&mut nodes);
    let mut pairs: Vec<Option<(Node, NodeInput<'_>)>> =
        nodes.into_iter().zip(inputs).map(Some).collect();
    order
        .into_iter()
        .filter_map(|index| pairs[index].take())
        .unzip()
}

fn node(input: &NodeInput<'_>) -> Node {
    Node {
        key: input.key.clone(),
        role: input.role,
        phase: input.phase,
        wave: input.wave,
        declared_phase: input.phase,
        declared_wave: input.wave,
        prune_last: input.facts.options.prune_last,
        origin: std::sync::Arc::clone(&input.origin),
        defines: definition(&input.key, input.body),
    }
}

/// The group and kind that a CustomResourceDefinition brings.
fn definition(key: &ResourceKey, body: &Value) -> Option<(String, String)> {
    if key.group != "apiextensions.k8s.io" || key.kind != "CustomResourceDefinition" {
        return None;
    }
    let spec = body.get("spec")?;
    let group = spec.get("group")?.as_str()?;
    let kind = spec.get("names")?.get("kind")?.as_str()?;
    Some((group.to_owned(), kind.to_owned()))
}

fn references<'a>(
    nodes: &[Node],
    inputs: &'a [NodeInput<'a>],
    readers: &[&dyn ReferenceReader],
    findings: &mut Findings,
) -> Vec<References<'a>> {
    inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let mut found = References::default();
            if !input.role.is_task() {
                return found;
            }
            let view = View {
                key: &input.key,
                body: input.body,
                facts: input.facts,
            };
            read_always(&view, nodes[index].defines.as_ref(), &mut found);
            for reader in readers {
                reader.read(&view, &mut found);
            }
            if found.is_truncated {
                findings.too_many_references(&nodes[index]);
            }
            found
        })
        .collect()
}

/// What holds for every object: its namespace, the definition of its kind, its declared dependencies.
fn read_always<'a>(
    view: &View<'a>,
    defines: Option<&(String, String)>,
    found: &mut References<'a>,
) {
    for wanted in &view.facts.depends_on {
        let place = match &wanted.namespace {
            Some(namespace) if namespace.is_empty() => Place::Cluster,
            Some(namespace) => Place::Namespace(Cow::Borrowed(namespace)),
            // A stack is no namespace of a cluster, nor the other way round.
            None if wanted.kind.contains("::") != (view.key.group == AWS_GROUP) => {
                Place::Anywhere(Cow::Borrowed(&view.key.namespace))
            }
            None => Place::Namespace(Cow::Borrowed(&view.key.namespace)),
        };
        found.need(Need {
            identity: Identity {
                group: wanted.group.as_deref().map(Cow::Borrowed),
                kind: Cow::Borrowed(&wanted.kind),
                place,
                name: Cow::Borrowed(&wanted.name),
            },
            relation: Relation::Declared,
            field: format!(
                ".metadata.annotations[{:?}]",
                tidegate_manifest::annotation::DEPENDS_ON
            ),
            strength: Strength::Declared,
        });
    }
    if view.key.target.kind != TargetKind::Kubernetes {
        return;
    }
    if !view.key.namespace.is_empty() {
        found.need(Need {
            identity: Identity::new("", "Namespace", Place::Cluster, view.key.namespace.as_str()),
            relation: Relation::Namespace,
            field: String::new(),
            strength: Strength::Firm,
        });
    }
    found.need(Need {
        identity: Identity::new(
            DEFINITION,
            view.key.kind.as_str(),
            Place::Cluster,
            view.key.group.as_str(),
        ),
        relation: Relation::DefinesKind,
        field: String::new(),
        strength: Strength::Firm,
    });
    if let Some((group, kind)) = defines {
        found.provide(Identity::new(
            DEFINITION,
            kind.clone(),
            Place::Cluster,
            group.clone(),
        ));
    }
}

/// What came of the references.
#[derive(Debug, Default)]
struct Ties {
    edges: Vec<Edge>,
    contradictions: Vec<Contradiction>,
    prunes: Vec<(NodeId, NodeId)>,
}

/// The names of what is applied, of what is pruned, and of what takes no part.
struct Indexes<'a> {
    applied: Index<'a>,
    pruned: Index<'a>,
    skipped: Index<'a>,
}

fn resolve_all<'a>(
    nodes: &[Node],
    inputs: &'a [NodeInput<'a>],
    mut found: Vec<References<'a>>,
    ties: &mut Ties,
    findings: &mut Findings,
) {
    let mut indexes = Indexes {
        applied: Index::default(),
        pruned: Index::default(),
        skipped: Index::default(),
    };
    for (position, input) in inputs.iter().enumerate() {
        let id = NodeId::at(position);
        let index = match input.role {
            NodeRole::Apply | NodeRole::Hook => &mut indexes.applied,
            NodeRole::Prune => &mut indexes.pruned,
            NodeRole::Skip => &mut indexes.skipped,
        };
        index.add_object(&input.key, id);
        let target = index.target(&input.key.target);
        for identity in std::mem::take(&mut found[position].provides) {
            index.add_provided(identity, target, id);
        }
    }
    for position in 0..found.len() {
        let id = NodeId::at(position);
        for need in std::mem::take(&mut found[position].needs) {
            let relation = need.relation.clone();
            let Some(dependency) = resolve(nodes, &indexes, id, need, ties, findings) else {
                continue;
            };
            if relation != Relation::ConfigMap {
                continue;
            }
            for mention in found[dependency.index()].mentions.clone() {
                resolve(nodes, &indexes, id, mention, ties, findings);
            }
        }
        for need in std::mem::take(&mut found[position].needed_by) {
            resolve_backwards(nodes, &indexes, id, need, ties);
        }
    }
}

fn index_of<'i, 'a>(indexes: &'i Indexes<'a>, node: &Node) -> &'i Index<'a> {
    if node.role == NodeRole::Prune {
        &indexes.pruned
    } else {
        &indexes.applied
    }
}

/// Makes one need an edge or a finding; returns what it resolved to.
fn resolve<'a>(
    nodes: &[Node],
    indexes: &Indexes<'a>,
    dependent: NodeId,
    need: Need<'a>,
    ties: &mut Ties,
    findings: &mut Findings,
) -> Option<NodeId> {
    let node = &nodes[dependent.index()];
    let target = &node.key.target;
    let is_declared = need.strength == Strength::Declared && node.role != NodeRole::Prune;
    match index_of(indexes, node).find(&need.identity, target) {
        Lookup::Node {
            node: dependency,
            is_object,
        } => {
            let same = nodes[dependency.index()].key == node.key;
            if same && !is_declared {
                return None;
            }
            let through = (!is_object && is_told(&need.relation)).then(|| need.identity.words());
            let reason = Reason {
                relation: need.relation,
                field: need.field,
                strength: need.strength,
                through,
            };
            tie(
                nodes,
                dependent,
                if same { dependent } else { dependency },
                reason,
                ties,
            );
            Some(dependency)
        }
        Lookup::Ambiguous => {
            if is_declared {
                findings.ambiguous(node, &need.identity);
            }
            None
        }
        Lookup::Nothing => {
            if node.role == NodeRole::Prune {
                return None;
            }
            if is_declared {
                let is_skipped = indexes.skipped.find(&need.identity, target) != Lookup::Nothing;
                findings.unresolved(nodes, node, &need.identity, is_skipped);
            } else if need.strength == Strength::Firm
                && let Lookup::Node {
                    node: gone,
                    is_object: true,
                } = indexes.pruned.find(&need.identity, target)
            {
                findings.needs_pruned(node, &nodes[gone.index()], &need);
            }
            None
        }
    }
}

/// Whether a picture should say what stands between dependent and dependency.
fn is_told(relation: &Relation) -> bool {
    !matches!(
        relation,
        Relation::DefinesKind | Relation::Topic | Relation::Bootstrap
    )
}

fn resolve_backwards<'a>(
    nodes: &[Node],
    indexes: &Indexes<'a>,
    dependency: NodeId,
    need: Need<'a>,
    ties: &mut Ties,
) {
    let node = &nodes[dependency.index()];
    let found = index_of(indexes, node).find(&need.identity, &node.key.target);
    if let Lookup::Node {
        node: dependent, ..
    } = found
        && dependent != dependency
    {
        let reason = Reason {
            relation: need.relation,
            field: need.field,
            strength: need.strength,
            through: None,
        };
        tie(nodes, dependent, dependency, reason, ties);
    }
}

/// Waves win: a reference that runs against them orders nothing.
fn tie(nodes: &[Node], dependent: NodeId, dependency: NodeId, reason: Reason, ties: &mut Ties) {
    let is_prune = nodes[dependent.index()].role == NodeRole::Prune;
    let (before, after) = if is_prune {
        (dependent, dependency)
    } else {
        (dependency, dependent)
    };
    let place = |id: NodeId| (nodes[id.index()].phase, nodes[id.index()].wave);
    if is_prune {
        ties.prunes.push((before, after));
    }
    if place(before) <= place(after) {
        ties.edges.push(Edge {
            before,
            after,
            dependent,
            dependency,
            reason,
        });
    } else if !is_prune {
        ties.contradictions.push(Contradiction {
            dependency,
            dependent,
            reason,
        });
    }
}

/// One edge for each pair and relation: the firmest, then the first field.
fn unique(edges: &mut Vec<Edge>) {
    edges.sort_by(|a, b| {
        (a.before, a.after, &a.reason.relation)
            .cmp(&(b.before, b.after, &b.reason.relation))
            .then(b.reason.strength.cmp(&a.reason.strength))
            .then_with(|| a.reason.field.cmp(&b.reason.field))
            .then_with(|| a.cmp(b))
    });
    edges.dedup_by(|b, a| {
        (a.before, a.after, &a.reason.relation) == (b.before, b.after, &b.reason.relation)
    });
}

/// Vertices for nodes and for the barrier behind each group, so that waves cost one link per task and side.
fn link(nodes: &[Node], groups: &[schedule::Group], edges: &[Edge]) -> DiGraph<(), Link> {
    let mut links =
        DiGraph::with_capacity(nodes.len() + groups.len(), edges.len() + 2 * nodes.len());
    for _ in 0..nodes.len() + groups.len() {
        links.add_node(());
    }
    for (number, edge) in edges.iter().enumerate() {
        let number = u32::try_from(number).expect("edges are bounded by nodes and references");
        links.add_edge(vertex(edge.before), vertex(edge.after), Link::Edge(number));
    }
    let ordered = groups.iter().filter(|group| group.phase != Phase::SyncFail);
    for (number, group) in ordered.enumerate() {
        let barrier = NodeIndex::new(nodes.len() + number);
        for member in group.members() {
            links.add_edge(vertex(member), barrier, Link::Barrier);
            if number > 0 {
                links.add_edge(
                    NodeIndex::new(nodes.len() + number - 1),
                    vertex(member),
                    Link::Barrier,
                );
            }
        }
        if number > 0 {
            links.add_edge(
                NodeIndex::new(nodes.len() + number - 1),
                barrier,
                Link::Barrier,
            );
        }
    }
    links
}

pub(crate) fn vertex(id: NodeId) -> NodeIndex {
    NodeIndex::new(id.index())
}
