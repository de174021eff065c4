//! What is wrong with a graph, in words for the person who wrote the manifests. It decides nothing.

use std::collections::BTreeMap;

use tidegate_manifest::{Diagnostic, Origin, Severity, annotation};

use crate::reader::{Identity, MAX_REFERENCES_PER_OBJECT, Need, Place};
use crate::{Contradiction, Cycle, Edge, MAX_NODES, Node, NodeInput, NodeRole, Strength};

/// Most findings of one code that are told one by one.
const MAX_PER_CODE: usize = 200;

/// Most edges of a cycle that are spelt out.
const MAX_EDGES_TOLD: usize = 12;

/// Collects findings, bounded per code.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Vec<Diagnostic>,
    counts: BTreeMap<String, usize>,
}

/// `Deployment shop/web (deploy/web.yaml:3)`.
fn placed(node: &Node) -> String {
    placed_at(&node.short(), &node.origin)
}

fn placed_at(short: &str, origin: &Origin) -> String {
    let place = origin.place();
    if place.is_empty() {
        short.to_owned()
    } else {
        format!("{short} ({place})")
    }
}

/// `Sync wave 2`.
pub(crate) fn when(node: &Node) -> String {
    format!("{} wave {}", node.phase.as_str(), node.wave)
}

impl Findings {
    fn push(&mut self, diagnostic: Diagnostic) {
        let count = self.counts.entry(diagnostic.code.clone()).or_insert(0);
        *count += 1;
        if *count <= MAX_PER_CODE {
            self.found.push(diagnostic);
        }
    }

    /// All findings: errors first, then by place and object.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by(|a, b| {
            let place = |d: &Diagnostic| (d.origin.path.clone(), d.origin.line, d.code.clone());
            (b.severity.cmp(&a.severity))
                .then_with(|| place(a).cmp(&place(b)))
                .then_with(|| (&a.object, &a.message).cmp(&(&b.object, &b.message)))
        });
        for (code, count) in self.counts {
            if count > MAX_PER_CODE {
                let more = count - MAX_PER_CODE;
                let severity = self
                    .found
                    .iter()
                    .find(|d| d.code == code)
                    .map(|d| d.severity);
                let mut note = Diagnostic::warning(
                    &code,
                    format!("{more} more findings of this sort are not shown"),
                    Origin::default(),
                );
                note.severity = severity.unwrap_or(Severity::Warning);
                self.found.push(note);
            }
        }
        self.found
    }

    pub(crate) fn too_many_nodes(&mut self, first: &NodeInput<'_>) {
        self.push(
            Diagnostic::error(
                "TG0208",
                format!(
                    "more than {MAX_NODES} objects in one sync: this and all after it are left out"
                ),
                (*first.origin).clone(),
            )
            .object(first.key.short())
            .help("split the application"),
        );
    }

    pub(crate) fn too_many_references(&mut self, node: &Node) {
        self.push(
            Diagnostic::warning(
                "TG0207",
                format!("more than {MAX_REFERENCES_PER_OBJECT} references in one object: the rest plays no part in the order"),
                (*node.origin).clone(),
            )
            .object(node.short())
            .help("declare what matters with tidegate.dev/depends-on, or order it by waves"),
        );
    }

    pub(crate) fn duplicate(&mut self, earlier: &NodeInput<'_>, later: &NodeInput<'_>) {
        self.push(
            Diagnostic::warning(
                "TG0209",
                format!(
                    "{} appears twice: {} is replaced by this one",
                    later.key.short(),
                    match earlier.origin.place() {
                        place if place.is_empty() => "the earlier one".to_owned(),
                        place => format!("the one at {place}"),
                    }
                ),
                (*later.origin).clone(),
            )
            .object(later.key.short())
            .help("keep one of them"),
        );
    }

    pub(crate) fn unresolved(
        &mut self,
        nodes: &[Node],
        node: &Node,
        wanted: &Identity<'_>,
        is_skipped: bool,
    ) {
        let what = declared_words(wanted);
        // The search for a namesake looks at every node: only for findings that will be shown.
        let is_shown = self
            .counts
            .get("TG0201")
            .is_none_or(|count| *count < MAX_PER_CODE);
        let (message, help) = if is_skipped {
            (
                format!("depends on {what}, which takes no part in the sync"),
                "take the hook annotation off the dependency, or the dependency off the list"
                    .to_owned(),
            )
        } else {
            let help = match is_shown.then(|| namesake(nodes, wanted)).flatten() {
                Some(other) => {
                    format!("did you mean {}? write {}", placed(other), reference(other))
                }
                None => {
                    "name an object of this application: [GROUP:]KIND:[NAMESPACE/]NAME".to_owned()
                }
            };
            (
                format!("depends on {what}, which is not part of the sync"),
                help,
            )
        };
        self.push(declared("TG0201", message, node).help(help));
    }

    pub(crate) fn ambiguous(&mut self, node: &Node, wanted: &Identity<'_>) {
        let what = declared_words(wanted);
        self.push(
            declared(
                "TG0201",
                format!("depends on {what}, and objects of several groups bear that name"),
                node,
            )
            .help("write the group too: GROUP:KIND:[NAMESPACE/]NAME"),
        );
    }

    pub(crate) fn needs_pruned(&mut self, node: &Node, gone: &Node, need: &Need<'_>) {
        let verb = need.relation.verb();
        self.push(
            Diagnostic::warning(
                "TG0206",
                format!("{verb} {}, which this sync prunes", gone.short()),
                (*node.origin).clone(),
            )
            .object(node.short())
            .field(need.field.clone())
            .help(format!(
                "put {} back into Git, or take the reference away",
                gone.short()
            )),
        );
    }

    pub(crate) fn contradiction(&mut self, nodes: &[Node], found: &Contradiction) {
        let (dependent, dependency) = (
            &nodes[found.dependent.index()],
            &nodes[found.dependency.index()],
        );
        let verb = found.reason.relation.verb();
        let through = found
            .reason
            .through
            .as_ref()
            .map(|what| format!("{what} of "))
            .unwrap_or_default();
        let message = format!(
            "{} of {} {verb} {through}{}, which comes later, in {}",
            dependent.short(),
            when(dependent),
            placed(dependency),
            when(dependency),
        );
        let diagnostic = match found.reason.strength {
            Strength::Soft => return,
            Strength::Firm => Diagnostic::warning("TG0204", message, (*dependent.origin).clone()).help(format!(
                "waves win; give {} an earlier phase or wave than {}, or {} a later one",
                dependency.short(), when(dependent), dependent.short()
            )),
            Strength::Declared => Diagnostic::error("TG0202", message, (*dependent.origin).clone()).help(format!(
                "a declared dependency must not run against phases and waves: move {} to {} or before, or drop the declaration",
                dependency.short(), when(dependent)
            )),
        };
        let mut diagnostic = diagnostic.object(dependent.short());
        if !found.reason.field.is_empty() {
            diagnostic = diagnostic.field(found.reason.field.clone());
        }
        self.push(diagnostic);
    }

    pub(crate) fn cycle(&mut self, nodes: &[Node], cycle: &Cycle) {
        let Some(first) = cycle.edges.first() else {
            return;
        };
        let member = &nodes[first.before.index()];
        let mut message = format!("{} objects wait for each other: ", cycle.edges.len());
        if cycle.edges.len() == 1 {
            message = "an object waits for itself: ".to_owned();
        }
        let sentences: Vec<String> = cycle
            .edges
            .iter()
            .rev()
            .take(MAX_EDGES_TOLD)
            .map(|edge| sentence(nodes, edge))
            .collect();
        message.push_str(&sentences.join("; "));
        if cycle.edges.len() > MAX_EDGES_TOLD {
            message.push_str(&format!(
                "; and {} more",
                cycle.edges.len() - MAX_EDGES_TOLD
            ));
        }
        let help = match cycle
            .edges
            .iter()
            .find(|edge| edge.reason.strength == Strength::Declared)
        {
            Some(edge) => format!(
                "take {} off the {} list of {}",
                reference(&nodes[edge.dependency.index()]),
                annotation::DEPENDS_ON,
                nodes[edge.dependent.index()].short()
            ),
            None => "take one of these references away, or put the objects into different waves"
                .to_owned(),
        };
        self.push(
            Diagnostic::error("TG0203", message, (*member.origin).clone())
                .object(member.short())
                .help(help),
        );
    }

    pub(crate) fn dropped_soft(&mut self, nodes: &[Node], edge: &Edge) {
        let dependent = &nodes[edge.dependent.index()];
        let mut diagnostic = Diagnostic::warning(
            "TG0205",
            format!("{}, but also the other way round: this guess orders nothing", sentence(nodes, edge)),
            (*dependent.origin).clone(),
        )
        .object(dependent.short())
        .help("nothing to do, unless the order matters: then declare it with tidegate.dev/depends-on or waves");
        if !edge.reason.field.is_empty() {
            diagnostic = diagnostic.field(edge.reason.field.clone());
        }
        self.push(diagnostic);
    }
}

fn sentence(nodes: &[Node], edge: &Edge) -> String {
    edge.reason.sentence(
        &placed(&nodes[edge.dependent.index()]),
        &placed(&nodes[edge.dependency.index()]),
    )
}

fn declared(code: &str, message: String, node: &Node) -> Diagnostic {
    Diagnostic::error(code, message, (*node.origin).clone())
        .object(node.short())
        .field(format!(
            ".metadata.annotations[{:?}]",
            annotation::DEPENDS_ON
        ))
}

fn declared_words(wanted: &Identity<'_>) -> String {
    let group = match &wanted.group {
        Some(group) if !group.is_empty() => format!(" of {group}"),
        _ => String::new(),
    };
    format!("{}{group}", wanted.words())
}

/// An applied object of the wanted kind and name, or of that name, elsewhere.
fn namesake<'n>(nodes: &'n [Node], wanted: &Identity<'_>) -> Option<&'n Node> {
    let applied = || {
        nodes
            .iter()
            .filter(|node| node.role.applies() && node.key.name == *wanted.name)
    };
    let in_place =
        |node: &&Node| matches!(&wanted.place, Place::Namespace(ns) if *ns == node.key.namespace);
    applied()
        .find(|node| node.key.kind.eq_ignore_ascii_case(&wanted.kind))
        .or_else(|| applied().find(in_place))
        .or_else(|| applied().next())
}

/// How `depends-on` names a node.
fn reference(node: &Node) -> String {
    let key = &node.key;
    let place = if key.namespace.is_empty() {
        String::new()
    } else {
        format!("{}/", key.namespace)
    };
    let group = if key.group.is_empty() {
        String::new()
    } else {
        format!("{}:", key.group)
    };
    format!("{group}{}:{place}{}", key.kind, key.name)
}

/// Words for a badge or a tooltip.
pub(crate) fn role_words(role: NodeRole) -> &'static str {
    match role {
        NodeRole::Apply => "applied",
        NodeRole::Hook => "hook",
        NodeRole::Prune => "pruned",
        NodeRole::Skip => "skipped",
    }
}
