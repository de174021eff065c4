//! The order among Applications: waves, declared dependencies, and who brings the kinds and namespaces that
//! others need. What an Application waits for is told, and a cycle is refused.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_manifest::{Application, Diagnostic, GroupKind, Object, Origin, SyncFacts};

/// What an Application brings and needs, as far as other Applications are concerned.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    /// Kinds that it defines.
    pub defines: BTreeSet<GroupKind>,
    /// Namespaces that it brings.
    pub namespaces: BTreeSet<String>,
    /// Kinds that it uses and does not define.
    pub uses: BTreeSet<GroupKind>,
    /// Namespaces that it uses and does not bring.
    pub uses_namespaces: BTreeSet<String>,
}

/// Why one Application waits for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prerequisite {
    /// The Application that goes first.
    pub application: String,
    /// Why.
    pub reason: String,
}

impl Supply {
    /// What rendered objects bring and need.
    pub fn of(application: &Application, objects: &[Object]) -> Self {
        let mut supply = Self::default();
        for object in objects {
            if let Some(kind) = defined_kind(object) {
                supply.defines.insert(kind);
            }
            if object.gvk.group.is_empty() && object.gvk.kind == "Namespace" {
                supply.namespaces.insert(object.name.clone());
            }
            supply.uses.insert(object.group_kind());
            let namespace = if object.namespace.is_empty() {
                &application.destination.namespace
            } else {
                &object.namespace
            };
            supply.uses_namespaces.insert(namespace.clone());
        }
        if application.sync_policy.options.create_namespace {
            supply
                .namespaces
                .insert(application.destination.namespace.clone());
        }
        supply.uses.retain(|kind| !supply.defines.contains(kind));
        supply
            .uses_namespaces
            .retain(|name| !supply.namespaces.contains(name));
        supply
    }
}

/// The kind that a CustomResourceDefinition defines.
fn defined_kind(object: &Object) -> Option<GroupKind> {
    if !object
        .group_kind()
        .is("apiextensions.k8s.io", "CustomResourceDefinition")
    {
        return None;
    }
    let text = |pointer: &str| {
        object
            .body
            .pointer(pointer)
            .and_then(serde_json::Value::as_str)
    };
    Some(GroupKind::new(
        text("/spec/group")?,
        text("/spec/names/kind")?,
    ))
}

/// For each Application the ones that go before it, with reasons; cycles are errors.
///
/// An Application of a higher sync-wave waits for all of lower waves, as in an app of apps. An Application that uses a
/// kind or a namespace which another one brings waits for that one. `tidegate.dev/depends-on` on an Application names others.
pub fn prerequisites(
    applications: &[(&Application, Supply)],
) -> (BTreeMap<String, Vec<Prerequisite>>, Vec<Diagnostic>) {
    let mut found: BTreeMap<String, Vec<Prerequisite>> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    let facts: Vec<SyncFacts> = applications
        .iter()
        .map(|(app, _)| SyncFacts::of(&app.document))
        .collect();
    for (index, (application, supply)) in applications.iter().enumerate() {
        let mut mine = Vec::new();
        for (other_index, (other, other_supply)) in applications.iter().enumerate() {
            if index == other_index {
                continue;
            }
            if let Some(reason) = reason(
                &facts[index],
                supply,
                &facts[other_index],
                other,
                other_supply,
            ) {
                mine.push(Prerequisite {
                    application: other.name.clone(),
                    reason,
                });
            }
        }
        diagnostics.extend(unresolved(application, &facts[index], applications));
        mine.sort_by(|a, b| a.application.cmp(&b.application));
        found.insert(application.name.clone(), mine);
    }
    diagnostics.extend(cycles(applications, &found));
    (found, diagnostics)
}

fn reason(
    facts: &SyncFacts,
    supply: &Supply,
    other_facts: &SyncFacts,
    other: &Application,
    other_supply: &Supply,
) -> Option<String> {
    let declared =
        |d: &&tidegate_manifest::DependsOn| d.kind == "Application" && d.name == other.name;
    if facts.depends_on.iter().any(|d| declared(&d)) {
        return Some("it is named by tidegate.dev/depends-on".to_owned());
    }
    if other_facts.wave < facts.wave {
        return Some(format!(
            "sync wave {} comes before {}",
            other_facts.wave, facts.wave
        ));
    }
    if other_facts.wave > facts.wave {
        return None;
    }
    if let Some(kind) = supply.uses.intersection(&other_supply.defines).next() {
        return Some(format!("it defines {kind}"));
    }
    // Several may make the same namespace with CreateNamespace; then nobody waits for anybody.
    let namespace = supply
        .uses_namespaces
        .intersection(&other_supply.namespaces)
        .next()?;
    (!namespace.is_empty()).then(|| format!("it brings the namespace {namespace}"))
}

fn unresolved(
    application: &Application,
    facts: &SyncFacts,
    all: &[(&Application, Supply)],
) -> Vec<Diagnostic> {
    let known = |d: &tidegate_manifest::DependsOn| {
        d.kind != "Application" || all.iter().any(|(app, _)| app.name == d.name)
    };
    let missing = facts.depends_on.iter().filter(|d| !known(d));
    missing
        .map(|d| {
            Diagnostic::error(
                "TG0401",
                format!(
                    "tidegate.dev/depends-on names Application {:?}, which is not here",
                    d.name
                ),
                application.origin.clone(),
            )
            .object(format!("Application {}", application.name))
            .help("name an Application of this repository, or remove it")
        })
        .collect()
}

/// One diagnostic for each Application that waits for itself in the end.
fn cycles(
    applications: &[(&Application, Supply)],
    found: &BTreeMap<String, Vec<Prerequisite>>,
) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut told = BTreeSet::new();
    for (application, _) in applications {
        let Some(path) = path_to_itself(&application.name, found) else {
            continue;
        };
        let mut members: Vec<&str> = path.iter().map(|p| p.application.as_str()).collect();
        members.sort_unstable();
        if !told.insert(members.join(" ")) {
            continue;
        }
        let steps: Vec<String> = path
            .iter()
            .map(|p| format!("{} ({})", p.application, p.reason))
            .collect();
        let origin: Origin = application.origin.clone();
        diagnostics.push(
            Diagnostic::error(
                "TG0402",
                format!(
                    "Applications wait for each other: {} waits for {}",
                    application.name,
                    steps.join(", which waits for ")
                ),
                origin,
            )
            .object(format!("Application {}", application.name))
            .help("give one of them an earlier sync wave, or remove a dependency"),
        );
    }
    diagnostics
}

/// A way of prerequisites from `start` back to itself.
fn path_to_itself(
    start: &str,
    found: &BTreeMap<String, Vec<Prerequisite>>,
) -> Option<Vec<Prerequisite>> {
    let mut seen = BTreeSet::new();
    let mut queue: std::collections::VecDeque<Vec<Prerequisite>> =
        found.get(start)?.iter().map(|p| vec![p.clone()]).collect();
    while let Some(path) = queue.pop_front() {
        let last = &path.last()?.application;
        if last == start {
            return Some(path);
        }
        if !seen.insert(last.clone()) {
            continue;
        }
        for next in found.get(last).into_iter().flatten() {
            let mut longer = path.clone();
            longer.push(next.clone());
            queue.push_back(longer);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn application(name: &str, annotations: &str) -> Application {
        let text = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: {name}\n  annotations: {{{annotations}}}\nspec:\n  \
             source: {{repoURL: https://example.com/x.git, path: .}}\n  destination: {{name: here, namespace: {name}}}\n"
        );
        let document = tidegate_yaml::parse_one(text.as_bytes(), &<_>::default()).unwrap();
        Application::from_node(&document, &Origin::default())
            .0
            .unwrap()
    }

    fn objects(bodies: &[serde_json::Value]) -> Vec<Object> {
        bodies
            .iter()
            .map(|b| Object::from_body(b.clone(), Arc::default()).unwrap())
            .collect()
    }

    fn crd(group: &str, kind: &str) -> serde_json::Value {
        serde_json::json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}s.{group}", kind.to_lowercase())}, "spec": {"group": group, "names": {"kind": kind}}})
    }

    fn custom(group: &str, kind: &str) -> serde_json::Value {
        serde_json::json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "x"}})
    }

    fn order(apps: &[(&Application, &[serde_json::Value])]) -> (Vec<String>, Vec<String>) {
        let supplied: Vec<(&Application, Supply)> = apps
            .iter()
            .map(|(app, bodies)| (*app, Supply::of(app, &objects(bodies))))
            .collect();
        let (found, diagnostics) = prerequisites(&supplied);
        let lines = found
            .iter()
            .flat_map(|(name, before)| {
                before
                    .iter()
                    .map(move |p| format!("{name} after {}: {}", p.application, p.reason))
            })
            .collect();
        (lines, diagnostics.into_iter().map(|d| d.message).collect())
    }

    #[test]
    fn who_defines_a_kind_goes_first() {
        let (a, b) = (application("a", ""), application("b", ""));
        let (lines, diagnostics) = order(&[
            (&a, &[custom("x.io", "Widget")]),
            (&b, &[crd("x.io", "Widget")]),
        ]);
        assert_eq!(lines, ["a after b: it defines Widget.x.io"]);
        assert_eq!(diagnostics, Vec::<String>::new());
    }

    #[test]
    fn waves_win_over_kinds() {
        let a = application("a", "argocd.argoproj.io/sync-wave: '-1'");
        let b = application("b", "");
        let (lines, _) = order(&[
            (&a, &[custom("x.io", "Widget")]),
            (&b, &[crd("x.io", "Widget")]),
        ]);
        assert_eq!(lines, ["b after a: sync wave -1 comes before 0"]);
    }

    #[test]
    fn cycles_and_unknown_names_are_refused() {
        let a = application("a", "tidegate.dev/depends-on: 'Application:b'");
        let b = application(
            "b",
            "tidegate.dev/depends-on: 'Application:a,Application:c'",
        );
        let (_, diagnostics) = order(&[(&a, &[]), (&b, &[])]);
        assert_eq!(diagnostics.len(), 2, "{diagnostics:?}");
        assert!(diagnostics[0].contains("\"c\""), "{diagnostics:?}");
        assert!(diagnostics[1].contains("a waits for b"), "{diagnostics:?}");
    }
}
