//! What an SVG shows: cards, columns, lanes and lines, still without places. Large graphs are gathered by kind here.

use std::collections::BTreeMap;

use tidegate_manifest::{Phase, Target, TargetKind};

use super::{Sort, drawn};
use crate::{CriticalPath, Graph, Node, NodeId, NodeRole, Strength};

/// Most nodes that are drawn one by one; more are gathered by kind.
pub(crate) const MAX_CARDS: usize = 600;
/// Most lines of one tooltip.
const MAX_TITLE_LINES: usize = 12;

/// One card: a node, or the nodes of a kind.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) title: String,
    pub(crate) role: NodeRole,
    pub(crate) badge: Option<String>,
    pub(crate) lane: usize,
    pub(crate) column: usize,
    pub(crate) is_critical: bool,
    pub(crate) count: usize,
}

/// A column of the picture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) heading: String,
    pub(crate) note: String,
    pub(crate) class: &'static str,
}

/// A line from card to card.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) sort: Sort,
    pub(crate) is_soft: bool,
    pub(crate) is_critical: bool,
    pub(crate) is_against: bool,
    pub(crate) label: String,
    pub(crate) title: String,
}

#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) cards: Vec<Card>,
    pub(crate) columns: Vec<Column>,
    pub(crate) lanes: Vec<String>,
    pub(crate) lines: Vec<Line>,
    /// Neighbours on the longest chain that no line joins.
    pub(crate) jumps: Vec<(usize, usize)>,
    pub(crate) tasks: usize,
    pub(crate) is_gathered: bool,
}

pub(crate) fn build(graph: &Graph, critical: &CriticalPath) -> Scene {
    let is_gathered = graph.nodes().len() > MAX_CARDS;
    let (lane_of, lanes) = lanes(graph);
    let (column_of, columns) = columns(graph);
    let mut is_critical = vec![false; graph.nodes().len()];
    for id in &critical.nodes {
        if let Some(mark) = is_critical.get_mut(id.index()) {
            *mark = true;
        }
    }
    let mut cards: Vec<Card> = Vec::new();
    let mut card_of = vec![0; graph.nodes().len()];
    let mut gathered: BTreeMap<(usize, usize, NodeRole, &str, &str), usize> = BTreeMap::new();
    let order = graph.order().into_iter().chain(skipped(graph));
    for id in order {
        let node = graph.node(id);
        let (lane, column) = (lane_of[id.index()], column_of[id.index()]);
        let key = (
            column,
            lane,
            node.role,
            node.key.group.as_str(),
            node.key.kind.as_str(),
        );
        if let Some(&card) = gathered.get(&key).filter(|_| is_gathered) {
            let card_of_kind = &mut cards[card];
            card_of_kind.count += 1;
            card_of_kind.is_critical |= is_critical[id.index()];
            card_of_kind.name = format!("{} objects", card_of_kind.count);
            card_of_kind.namespace = String::new();
            card_of[id.index()] = card;
            continue;
        }
        card_of[id.index()] = cards.len();
        gathered.insert(key, cards.len());
        cards.push(card(node, lane, column, is_critical[id.index()]));
    }
    let lines = lines(graph, critical, &card_of);
    let joined: std::collections::BTreeSet<(usize, usize)> =
        lines.iter().map(|line| (line.from, line.to)).collect();
    let known = critical
        .nodes
        .iter()
        .filter(|id| id.index() < card_of.len());
    let on_path: Vec<usize> = known.map(|id| card_of[id.index()]).collect();
    let pairs = on_path.windows(2).map(|pair| (pair[0], pair[1]));
    let jumps = pairs
        .filter(|pair| pair.0 != pair.1 && !joined.contains(pair))
        .collect();
    let tasks = graph
        .nodes()
        .iter()
        .filter(|node| node.role.is_task())
        .count();
    Scene {
        cards,
        columns,
        lanes,
        lines,
        jumps,
        tasks,
        is_gathered,
    }
}

fn skipped(graph: &Graph) -> impl Iterator<Item = NodeId> + '_ {
    graph
        .iter()
        .filter(|(_, node)| !node.role.is_task())
        .map(|(id, _)| id)
}

/// One lane per target, Kubernetes first.
fn lanes(graph: &Graph) -> (Vec<usize>, Vec<String>) {
    let mut targets: BTreeMap<&Target, usize> = graph
        .nodes()
        .iter()
        .map(|node| (&node.key.target, 0))
        .collect();
    for (number, lane) in targets.values_mut().enumerate() {
        *lane = number;
    }
    let of = graph
        .nodes()
        .iter()
        .map(|node| targets[&node.key.target])
        .collect();
    let words = |kind| match kind {
        TargetKind::Kubernetes => "Kubernetes",
        TargetKind::Aws => "Lambda",
        TargetKind::Kafka => "Kafka",
    };
    let names = targets
        .keys()
        .map(|target| format!("{} · {}", words(target.kind), target.name))
        .collect();
    (of, names)
}

fn columns(graph: &Graph) -> (Vec<usize>, Vec<Column>) {
    let mut of = vec![0; graph.nodes().len()];
    let mut columns = Vec::new();
    for group in graph.groups() {
        for id in group.members() {
            of[id.index()] = columns.len();
        }
        let class = match group.phase {
            Phase::PreSync => "presync",
            Phase::Sync => "sync",
            Phase::PostSync => "postsync",
            Phase::SyncFail => "syncfail",
        };
        let mut note = count(group.applies.len(), "to apply");
        if !group.prunes.is_empty() {
            note = format!(
                "{}{}",
                count(group.prunes.len(), "to prune"),
                if group.applies.is_empty() {
                    String::new()
                } else {
                    format!(", {note}")
                }
            );
        }
        if group.phase == Phase::SyncFail {
            note = "only when the sync fails".to_owned();
        }
        columns.push(Column {
            heading: format!("{} · wave {}", group.phase.as_str(), group.wave),
            note,
            class,
        });
    }
    let mut skipped = skipped(graph).peekable();
    if skipped.peek().is_some() {
        for id in skipped {
            of[id.index()] = columns.len();
        }
        columns.push(Column {
            heading: "Skipped".to_owned(),
            note: "takes no part".to_owned(),
            class: "skipped",
        });
    }
    (of, columns)
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}")
}

fn card(node: &Node, lane: usize, column: usize, is_critical: bool) -> Card {
    let mut title = format!(
        "{}\n{} in {}",
        super::name(node),
        crate::diagnose::role_words(node.role),
        crate::diagnose::when(node)
    );
    if node.is_lifted() {
        title.push_str(&format!(
            ", lifted from {} wave {}",
            node.declared_phase.as_str(),
            node.declared_wave
        ));
    }
    if node.role == NodeRole::Prune && node.wave != node.declared_wave {
        title.push_str(&format!(", created in wave {}", node.declared_wave));
    }
    let place = node.origin.place();
    if !place.is_empty() {
        title.push_str(&format!("\n{place}"));
    }
    let badge = match node.role {
        NodeRole::Hook => Some(format!("{} hook", node.declared_phase.as_str())),
        NodeRole::Prune => Some("prune".to_owned()),
        NodeRole::Skip => Some("skip".to_owned()),
        NodeRole::Apply if node.is_lifted() => Some("lifted".to_owned()),
        NodeRole::Apply => None,
    };
    Card {
        kind: node.key.kind.clone(),
        name: node.key.name.clone(),
        namespace: node.key.namespace.clone(),
        title,
        role: node.role,
        badge,
        lane,
        column,
        is_critical,
        count: 1,
    }
}

/// Lines between cards: edges of one sort between two cards are one line.
fn lines(graph: &Graph, critical: &CriticalPath, card_of: &[usize]) -> Vec<Line> {
    let on_path: std::collections::BTreeSet<(NodeId, NodeId)> = critical
        .nodes
        .windows(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    let mut lines: BTreeMap<(usize, usize, Sort, bool), Line> = BTreeMap::new();
    let mut add =
        |before: NodeId, after: NodeId, reason: &crate::Reason, text: String, is_against: bool| {
            let (from, to) = (card_of[before.index()], card_of[after.index()]);
            if from == to {
                return;
            }
            let sort = Sort::of(&reason.relation);
            let is_soft = reason.strength == Strength::Soft;
            let line = lines
                .entry((from, to, sort, is_against))
                .or_insert_with(|| Line {
                    from,
                    to,
                    sort,
                    is_soft: true,
                    is_critical: false,
                    is_against,
                    label: reason.relation.label().to_owned(),
                    title: String::new(),
                });
            line.is_soft &= is_soft;
            line.is_critical |= !is_against && on_path.contains(&(before, after));
            let told = line.title.lines().count();
            if told < MAX_TITLE_LINES {
                if told > 0 {
                    line.title.push('\n');
                }
                line.title.push_str(&text);
            } else if told == MAX_TITLE_LINES {
                line.title.push_str("\n…");
            }
        };
    for edge in drawn(graph) {
        add(
            edge.before,
            edge.after,
            &edge.reason,
            graph.edge_text(edge),
            false,
        );
    }
    for against in super::told(graph) {
        let text = against.reason.sentence(
            &graph.node(against.dependent).short(),
            &graph.node(against.dependency).short(),
        );
        add(
            against.dependency,
            against.dependent,
            &against.reason,
            format!("against the waves: {text}"),
            true,
        );
    }
    lines.into_values().collect()
}
