//! YAML that keeps the order of fields and the quotes of scalars, as kyaml writes what it read.

use std::fmt::Write as _;

use crate::node::{Node, Scalar, Style, Tag};
use crate::read::is_plain_string;

/// Writes a document in block style. Comments are not kept.
pub(crate) fn to_string(node: &Node) -> String {
    let mut out = String::new();
    block(&mut out, node, 0, false);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Writes a node that begins at the present column; `inline` says that its first line is begun.
fn block(out: &mut String, node: &Node, indent: usize, inline: bool) {
    match node {
        Node::Map(entries) if !entries.is_empty() => {
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 || !inline {
                    pad(out, indent);
                }
                scalar(out, &key.0, indent);
                out.push(':');
                match value {
                    Node::Map(inner) if !inner.is_empty() => {
                        out.push('\n');
                        block(out, value, indent + 2, false);
                    }
                    Node::Seq(items) if !items.is_empty() => {
                        out.push('\n');
                        block(out, value, indent, false);
                    }
                    _ => {
                        out.push(' ');
                        leaf(out, value, indent);
                    }
                }
            }
        }
        Node::Seq(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 || !inline {
                    pad(out, indent);
                }
                out.push_str("- ");
                match item {
                    Node::Map(inner) if !inner.is_empty() => block(out, item, indent + 2, true),
                    Node::Seq(inner) if !inner.is_empty() => block(out, item, indent + 2, true),
                    _ => leaf(out, item, indent),
                }
            }
        }
        _ => leaf(out, node, indent),
    }
}

fn leaf(out: &mut String, node: &Node, indent: usize) {
    match node {
        Node::Map(_) => out.push_str("{}"),
        Node::Seq(_) => out.push_str("[]"),
        Node::Scalar(value) => scalar(out, value, indent),
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

fn scalar(out: &mut String, value: &Scalar, indent: usize) {
    let text = &*value.text;
    match value.style {
        Style::Single if !text.contains('\n') => {
            let _ = write!(out, "'{}'", text.replace('\'', "''"));
        }
        Style::Double => {
            let _ = write!(out, "{text:?}");
        }
        _ if text.contains('\n') => {
            let chomp = if text.ends_with("\n\n") {
                "+"
            } else if text.ends_with('\n') {
                ""
            } else {
                "-"
            };
            let _ = writeln!(out, "|{chomp}");
            for line in text.trim_end_matches('\n').split('\n') {
                if !line.is_empty() {
                    pad(out, indent + 2);
                }
                out.push_str(line);
                out.push('\n');
            }
        }
        _ if needs_quotes(value) => {
            let plain = serde_json::Value::String(text.to_owned());
            out.push_str(tidegate_yaml::to_string(&plain).trim_end());
        }
        _ => {
            if let Some(tag) = crate::read::explicit_tag(value) {
                out.push_str(tag);
                out.push(' ');
            }
            out.push_str(text);
        }
    }
}

fn needs_quotes(value: &Scalar) -> bool {
    match value.tag {
        Tag::Str => !is_plain_string(&value.text) || has_syntax(&value.text),
        Tag::Untagged => has_syntax(&value.text),
        _ => false,
    }
}

/// Whether a text means something else written plain.
fn has_syntax(text: &str) -> bool {
    let value = serde_json::Value::String(text.to_owned());
    tidegate_yaml::to_string(&value).starts_with('\'')
}
