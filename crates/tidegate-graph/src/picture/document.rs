//! The graph as a JSON document, version 1. Everything in it is sorted; names of nodes are stable.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::name;
use crate::{Edge, Graph, Group, Node, NodeId, Reason};

/// The form of the document.
const VERSION: u32 = 1;

pub(crate) fn write(graph: &Graph) -> Value {
    let names = names(graph);
    let of = |id: NodeId| Value::from(names[id.index()].as_str());
    let list = |ids: &[NodeId]| ids.iter().map(|id| of(*id)).collect::<Vec<_>>();
    let group = |group: &Group| {
        json!({
            "phase": group.phase, "wave": group.wave,
            "prunes": list(&group.prunes), "applies": list(&group.applies),
        })
    };
    let tie = |dependent: NodeId, dependency: NodeId, reason: &Reason| {
        json!({
            "dependent": of(dependent), "dependency": of(dependency), "reason": reason,
            "text": reason.sentence(&graph.node(dependent).short(), &graph.node(dependency).short()),
        })
    };
    let edge = |edge: &Edge| {
        let mut value = tie(edge.dependent, edge.dependency, &edge.reason);
        value["before"] = of(edge.before);
        value["after"] = of(edge.after);
        value
    };
    let critical = graph.critical_path(|_| std::time::Duration::from_secs(1));
    json!({
        "version": VERSION,
        "nodes": graph.nodes().iter().zip(&names).map(|(node, name)| node_document(node, name)).collect::<Vec<_>>(),
        "groups": graph.groups().iter().map(group).collect::<Vec<_>>(),
        "edges": graph.edges().iter().map(edge).collect::<Vec<_>>(),
        "contradictions": graph.contradictions().iter().map(|c| tie(c.dependent, c.dependency, &c.reason)).collect::<Vec<_>>(),
        "cycles": graph.cycles().iter().map(|cycle| cycle.edges.iter().map(edge).collect::<Vec<_>>()).collect::<Vec<_>>(),
        "longestChain": list(&critical.nodes),
        "diagnostics": graph.diagnostics(),
    })
}

/// The names of all nodes; hooks that are not named yet get a number.
fn names(graph: &Graph) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let unique = |node: &Node| {
        let name = name(node);
        let count = seen.entry(name.clone()).or_insert(0);
        *count += 1;
        match *count {
            1 => name,
            count => format!("{name}#{count}"),
        }
    };
    graph.nodes().iter().map(unique).collect()
}

fn node_document(node: &Node, name: &str) -> Value {
    let mut map = Map::new();
    map.insert("id".to_owned(), json!(name));
    if let Ok(Value::Object(key)) = serde_json::to_value(&node.key) {
        map.extend(key);
    }
    map.insert("role".to_owned(), json!(node.role));
    map.insert("phase".to_owned(), json!(node.phase));
    map.insert("wave".to_owned(), json!(node.wave));
    if (node.phase, node.wave) != (node.declared_phase, node.declared_wave) {
        map.insert("declaredPhase".to_owned(), json!(node.declared_phase));
        map.insert("declaredWave".to_owned(), json!(node.declared_wave));
    }
    map.insert("origin".to_owned(), json!(node.origin));
    Value::Object(map)
}
