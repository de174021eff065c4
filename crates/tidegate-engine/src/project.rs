//! What a project permits its applications (Argo CD section 3.1). Pure.

mod glob;

use tidegate_manifest::{
    AppProject, Application, Diagnostic, GroupKind, KindPattern, ProjectDestination,
};

const CODE: &str = "TG0301";

/// What the application itself must not do: sources and destinations outside its project.
pub(crate) fn check_application(
    project: &AppProject,
    application: &Application,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut refuse = |message: String, field: &str, help: String| {
        found.push(
            Diagnostic::error(CODE, message, application.origin.clone())
                .object(format!("Application {}", application.name))
                .field(field)
                .help(help),
        );
    };
    let name = &project.name;
    for source in &application.sources {
        if !permits_source(project, &source.repo_url) {
            refuse(
                format!(
                    "application repo {} is not permitted in project '{name}'",
                    source.repo_url
                ),
                ".spec.source.repoURL",
                format!("add it to sourceRepos of AppProject {name}, or use another project"),
            );
        }
    }
    let destination = &application.destination;
    let server = destination.server.as_deref().unwrap_or_default();
    let place = destination.name.as_deref().unwrap_or_default();
    if !permits_destination(project, server, place, &destination.namespace) {
        let shown = if server.is_empty() { place } else { server };
        refuse(
            format!(
                "application destination {shown} and namespace '{}' do not match any of the allowed destinations in project '{name}'",
                destination.namespace
            ),
            ".spec.destination",
            format!("add it to destinations of AppProject {name}, or use another project"),
        );
    }
    found
}

/// Both sides in one form: lower case, no `.git`, scp form as a path.
fn normal_url(url: &str) -> String {
    let lower = url.trim().to_lowercase();
    let lower = lower.strip_suffix(".git").unwrap_or(&lower);
    if lower.contains("://") || lower.starts_with('/') {
        return lower.to_owned();
    }
    match lower.split_once(':') {
        Some((host, path)) if !host.contains('/') && !path.is_empty() => {
            format!("{host}/{}", path.trim_start_matches('/'))
        }
        Some(_) | None => lower.to_owned(),
    }
}

/// `!pattern` rejects what it matches and allows everything else (Argo CD's trap).
pub(crate) fn permits_source(project: &AppProject, url: &str) -> bool {
    let url = normal_url(url);
    let fits = |pattern: &str| pattern == "*" || glob::matches(&normal_url(pattern), &url, &['/']);
    let mut permitted = false;
    for pattern in &project.source_repos {
        match pattern.strip_prefix('!') {
            Some(refused) if fits(refused) => return false,
            Some(_) => permitted = true,
            None => permitted |= fits(pattern),
        }
    }
    permitted
}

/// One part of a destination: `Some(true)` matches, `Some(false)` does not, and whether it is a refusal.
struct Part {
    is_refusal: bool,
    /// For a refusal: whether the refused pattern hits.
    hits: bool,
}

impl Part {
    fn of(pattern: &str, value: &str) -> Self {
        match pattern.strip_prefix('!') {
            Some(refused) => Self {
                is_refusal: true,
                hits: glob::matches(refused, value, &[]),
            },
            None => Self {
                is_refusal: false,
                hits: glob::matches(pattern, value, &[]),
            },
        }
    }

    fn accepts(&self) -> bool {
        self.hits != self.is_refusal
    }

    fn refuses(&self) -> bool {
        self.is_refusal && self.hits
    }
}

pub(crate) fn permits_destination(
    project: &AppProject,
    server: &str,
    name: &str,
    namespace: &str,
) -> bool {
    let mut permitted = false;
    for item in &project.destinations {
        let ProjectDestination {
            server: item_server,
            name: item_name,
            namespace: item_namespace,
        } = item;
        let by_server = Part::of(item_server, server);
        let by_name = Part::of(item_name, name);
        let by_namespace = Part::of(item_namespace, namespace);
        // An application that names its destination has no server: `*` still means every destination.
        let server_accepts = !item_server.is_empty() && by_server.accepts();
        let name_accepts = !item_name.is_empty() && by_name.accepts();
        if by_name.refuses()
            || (by_server.refuses() && by_namespace.accepts())
            || (by_namespace.refuses() && server_accepts)
        {
            return false;
        }
        permitted |= (server_accepts || name_accepts) && by_namespace.accepts();
    }
    permitted
}

fn listed(patterns: &[KindPattern], kind: &GroupKind, name: &str) -> bool {
    patterns.iter().any(|pattern| {
        glob::matches(&pattern.group, &kind.group, &[])
            && glob::matches(&pattern.kind, &kind.kind, &[])
            && (pattern.name.is_empty() || glob::matches(&pattern.name, name, &[]))
    })
}

/// Whether objects of a kind may be in the project. Namespaced: no whitelist allows all, an empty one
/// none. Cluster-scoped: no whitelist and an empty one allow none. Blacklists win.
pub(crate) fn permits_kind(
    project: &AppProject,
    kind: &GroupKind,
    name: &str,
    is_namespaced: bool,
) -> bool {
    if is_namespaced {
        let allowed = project
            .namespace_resource_whitelist
            .as_deref()
            .is_none_or(|list| listed(list, kind, name));
        allowed && !listed(&project.namespace_resource_blacklist, kind, name)
    } else {
        listed(&project.cluster_resource_whitelist, kind, name)
            && !listed(&project.cluster_resource_blacklist, kind, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(change: impl FnOnce(&mut AppProject)) -> AppProject {
        let mut project = AppProject::permissive("p");
        change(&mut project);
        project
    }

    #[test]
    fn sources_follow_argo_cd() {
        let check = |patterns: &[&str], url: &str, expected: bool| {
            let project = project(|p| {
                p.source_repos = patterns.iter().map(|s| (*s).to_owned()).collect();
            });
            assert_eq!(
                permits_source(&project, url),
                expected,
                "{patterns:?} {url}"
            );
        };
        check(&["*"], "https://git.example/a/b", true);
        check(&[], "https://git.example/a/b", false);
        check(
            &["https://git.example/a/*"],
            "https://git.example/a/b.git",
            true,
        );
        check(&["https://git.example/*"], "https://git.example/a/b", false);
        check(&["https://git.example/**"], "https://GIT.example/a/b", true);
        check(&["git@git.example:a/*"], "git@git.example:a/b.git", true);
        check(
            &["!https://git.example/a/*"],
            "https://git.example/a/b",
            false,
        );
        check(
            &["!https://git.example/a/*"],
            "https://git.example/c/d",
            true,
        );
        check(
            &["*", "!https://git.example/a/*"],
            "https://git.example/a/b",
            false,
        );
    }

    #[test]
    fn destinations_follow_argo_cd() {
        let check = |items: &[(&str, &str, &str)], place: (&str, &str, &str), expected: bool| {
            let project = project(|p| {
                let item = |(server, name, namespace): &(&str, &str, &str)| ProjectDestination {
                    server: (*server).to_owned(),
                    name: (*name).to_owned(),
                    namespace: (*namespace).to_owned(),
                };
                p.destinations = items.iter().map(item).collect();
            });
            let (server, name, namespace) = place;
            let permitted = permits_destination(&project, server, name, namespace);
            assert_eq!(permitted, expected, "{items:?} {place:?}");
        };
        check(&[("*", "", "*")], ("https://c", "", "ns"), true);
        check(&[("*", "", "*")], ("", "prod", "ns"), true);
        check(&[], ("https://c", "", "ns"), false);
        check(
            &[("https://c", "", "team-*")],
            ("https://c", "", "team-a"),
            true,
        );
        check(
            &[("https://c", "", "team-*")],
            ("https://c", "", "other"),
            false,
        );
        check(&[("", "prod", "*")], ("", "prod", "x"), true);
        check(&[("", "prod", "*")], ("", "stage", "x"), false);
        check(
            &[("*", "", "!kube-system")],
            ("https://c", "", "kube-system"),
            false,
        );
        check(&[("*", "", "!kube-system")], ("https://c", "", "a"), true);
        check(
            &[("*", "", "*"), ("*", "", "!kube-system")],
            ("https://c", "", "kube-system"),
            false,
        );
        check(
            &[("!https://c", "", "*"), ("*", "", "*")],
            ("https://c", "", "a"),
            false,
        );
        check(&[("!https://c", "", "*")], ("https://d", "", "a"), true);
    }

    #[test]
    fn kinds_follow_argo_cd() {
        let kind = |group: &str, kind: &str| GroupKind::new(group, kind);
        let pattern = |group: &str, kind: &str, name: &str| KindPattern {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        let none = project(|p| {
            p.cluster_resource_whitelist.clear();
            p.namespace_resource_whitelist = Some(Vec::new());
        });
        assert!(!permits_kind(&none, &kind("", "Namespace"), "x", false));
        assert!(!permits_kind(&none, &kind("", "Service"), "x", true));
        let some = project(|p| {
            p.cluster_resource_whitelist = vec![pattern("", "Namespace", "team-*")];
            p.namespace_resource_blacklist = vec![pattern("*", "ResourceQuota", "")];
        });
        assert!(permits_kind(&some, &kind("", "Namespace"), "team-a", false));
        assert!(!permits_kind(&some, &kind("", "Namespace"), "other", false));
        assert!(permits_kind(&some, &kind("apps", "Deployment"), "x", true));
        assert!(!permits_kind(&some, &kind("", "ResourceQuota"), "x", true));
    }
}
