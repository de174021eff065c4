//! The graph for Graphviz.

use std::fmt::Write;

use super::text::dot as quote;
use super::{Sort, drawn};
use crate::{Graph, Group, NodeRole, Strength};

pub(crate) fn write(graph: &Graph) -> String {
    let mut out = String::from(
        "digraph tidegate {\n  rankdir=LR;\n  compound=true;\n  newrank=true;\n  fontname=\"sans-serif\";\n  \
         node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=11];\n  \
         edge [fontname=\"sans-serif\", fontsize=9];\n",
    );
    for (number, group) in graph.groups().iter().enumerate() {
        let heading = format!("{} wave {}", group.phase.as_str(), group.wave);
        line(&mut out, format_args!("  subgraph cluster_{number} {{"));
        line(
            &mut out,
            format_args!("    label={}; style=rounded; color=gray;", quote(&heading)),
        );
        for id in group.members() {
            node(&mut out, "    ", graph, id.index());
        }
        out.push_str("  }\n");
        barrier(&mut out, graph.groups(), number);
    }
    for (id, _) in graph.iter().filter(|(_, node)| !node.role.is_task()) {
        node(&mut out, "  ", graph, id.index());
    }
    for edge in drawn(graph) {
        let style = match edge.reason.strength {
            Strength::Soft => "dashed",
            Strength::Firm => "solid",
            Strength::Declared => "bold",
        };
        line(
            &mut out,
            format_args!(
                "  n{} -> n{} [label={}, tooltip={}, style={style}, color={}];",
                edge.before.index(),
                edge.after.index(),
                quote(edge.reason.relation.label()),
                quote(&graph.edge_text(edge)),
                colour(Sort::of(&edge.reason.relation)),
            ),
        );
    }
    for against in super::told(graph) {
        let text = against.reason.sentence(
            &graph.node(against.dependent).short(),
            &graph.node(against.dependency).short(),
        );
        line(
            &mut out,
            format_args!(
                "  n{} -> n{} [label={}, tooltip={}, style=dashed, color=red, constraint=false];",
                against.dependency.index(),
                against.dependent.index(),
                quote(&format!(
                    "{} (against waves)",
                    against.reason.relation.label()
                )),
                quote(&text),
            ),
        );
    }
    out.push_str("}\n");
    out
}

/// An invisible point between two waves that keeps them apart as columns, with one edge per task and side.
fn barrier(out: &mut String, groups: &[Group], number: usize) {
    let Some(before) = number.checked_sub(1).and_then(|at| groups.get(at)) else {
        return;
    };
    line(
        out,
        format_args!("  barrier_{number} [shape=point, style=invis];"),
    );
    for id in before.members() {
        let id = id.index();
        line(
            out,
            format_args!("  n{id} -> barrier_{number} [style=invis];"),
        );
    }
    for id in groups[number].members() {
        let id = id.index();
        line(
            out,
            format_args!("  barrier_{number} -> n{id} [style=invis];"),
        );
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a String cannot fail");
}

fn node(out: &mut String, indent: &str, graph: &Graph, index: usize) {
    let node = &graph.nodes()[index];
    let place = if node.key.namespace.is_empty() {
        String::new()
    } else {
        format!("{}/", node.key.namespace)
    };
    let (badge, style) = match node.role {
        NodeRole::Apply => ("", "rounded"),
        NodeRole::Hook => (" (hook)", "rounded,bold"),
        NodeRole::Prune => (" (prune)", "rounded,dashed"),
        NodeRole::Skip => (" (skipped)", "rounded,dotted"),
    };
    let label = format!("{}{badge}\n{place}{}", node.key.kind, node.key.name);
    line(
        out,
        format_args!(
            "{indent}n{index} [label={}, tooltip={}, style={}];",
            quote(&label),
            quote(&super::name(node)),
            quote(style)
        ),
    );
}

fn colour(sort: Sort) -> &'static str {
    match sort {
        Sort::Declared => "purple",
        Sort::Data => "darkorange3",
        Sort::Traffic => "royalblue3",
        Sort::Config => "darkgreen",
        Sort::Structure => "gray50",
    }
}
