//! The graph for Mermaid.

use std::fmt::Write;

use super::drawn;
use super::text::mermaid as escape;
use crate::{Graph, Node, NodeRole, Strength};

pub(crate) fn write(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    for (number, group) in graph.groups().iter().enumerate() {
        line(
            &mut out,
            format_args!(
                "  subgraph g{number}[\"{} wave {}\"]",
                group.phase.as_str(),
                group.wave
            ),
        );
        for id in group.members() {
            node(&mut out, "    ", graph.node(id), id.index());
        }
        out.push_str("  end\n");
    }
    for (id, skipped) in graph.iter().filter(|(_, node)| !node.role.is_task()) {
        node(&mut out, "  ", skipped, id.index());
    }
    for number in 1..graph.groups().len() {
        line(&mut out, format_args!("  g{} ==> g{number}", number - 1));
    }
    for edge in drawn(graph) {
        let arrow = match edge.reason.strength {
            Strength::Soft => "-.->",
            Strength::Firm => "-->",
            Strength::Declared => "==>",
        };
        let label = escape(edge.reason.relation.label());
        line(
            &mut out,
            format_args!(
                "  n{} {arrow}|\"{label}\"| n{}",
                edge.before.index(),
                edge.after.index()
            ),
        );
    }
    for against in super::told(graph) {
        let label = escape(against.reason.relation.label());
        line(
            &mut out,
            format_args!(
                "  n{} -.->|\"{label} (against waves)\"| n{}",
                against.dependency.index(),
                against.dependent.index()
            ),
        );
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a String cannot fail");
}

fn node(out: &mut String, indent: &str, node: &Node, index: usize) {
    let place = if node.key.namespace.is_empty() {
        String::new()
    } else {
        format!("{}/", escape(&node.key.namespace))
    };
    let badge = match node.role {
        NodeRole::Apply => "",
        NodeRole::Hook => " (hook)",
        NodeRole::Prune => " (prune)",
        NodeRole::Skip => " (skipped)",
    };
    let (kind, name) = (escape(&node.key.kind), escape(&node.key.name));
    let (open, close) = match node.role {
        NodeRole::Apply => ("[", "]"),
        NodeRole::Hook => ("([", "])"),
        NodeRole::Prune | NodeRole::Skip => ("[/", "/]"),
    };
    line(
        out,
        format_args!("{indent}n{index}{open}\"{kind}{badge}<br/>{place}{name}\"{close}"),
    );
}
