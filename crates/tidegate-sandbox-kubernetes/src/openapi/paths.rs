//! Which operations the served resources have, in a form that both versions of OpenAPI print. No schemas here.

use serde_json::{Value, json};
use tidegate_diff::schema::Schema;

use crate::discovery::{self, Sub};
use crate::resource::{Resource, Version, api_version};

/// A path with its operations.
#[derive(Debug)]
pub(super) struct PathItem {
    pub(super) path: String,
    /// Parameters in the path itself.
    pub(super) variables: Vec<&'static str>,
    pub(super) operations: Vec<Operation>,
}

/// What one method does.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) action: &'static str,
    pub(super) id: String,
    pub(super) kind: Value,
    /// Query parameters with their types.
    pub(super) parameters: &'static [(&'static str, &'static str)],
    /// Media types of the body.
    pub(super) consumes: Vec<&'static str>,
    /// Components of the body and the reply; a reply without one is text.
    pub(super) body: Option<String>,
    pub(super) reply: Option<String>,
    pub(super) codes: &'static [&'static str],
}

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

const LIST: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];
const WRITE: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
];
const PATCHING: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
    ("force", "boolean"),
];
const DELETE: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];
const DELETE_ALL: &[(&str, &str)] = &[
    ("continue", "string"),
    ("dryRun", "string"),
    ("fieldSelector", "string"),
    ("gracePeriodSeconds", "integer"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
    ("resourceVersion", "string"),
    ("timeoutSeconds", "integer"),
];
/// Subresources that lead to a machine, which the sandbox has none of.
const MACHINES: [&str; 4] = ["attach", "exec", "portforward", "proxy"];

/// `io.k8s.api.apps.v1.Deployment`; `com.example.v1.Widget` for a custom resource of `example.com`.
pub(super) fn component(resource: &Resource, version: &Version, kind: &str) -> String {
    let group = resource.name.group();
    if version.custom.is_none()
        && let Some(name) = builtin_component(group, &version.name, kind)
    {
        return name;
    }
    let mut parts: Vec<&str> = group.rsplit('.').collect();
    parts.extend([version.name.as_str(), kind]);
    parts.join(".")
}

fn builtin_component(group: &str, version: &str, kind: &str) -> Option<String> {
    let found = Schema::builtin(group, version, kind)?;
    found.node().name.as_deref().map(str::to_owned)
}

/// The media types of a patch; custom resources have no strategic merge.
fn patch_types(resource: &Resource) -> Vec<&'static str> {
    let mut types = vec![
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
    ];
    if !resource.is_custom() {
        types.push("application/strategic-merge-patch+json");
    }
    types
}

/// Every path of a resource at a version.
pub(super) fn of(resource: &Resource, version: &Version) -> Vec<PathItem> {
    let maker = Maker { resource, version };
    let mut items = vec![maker.collection()];
    if resource.create_only {
        return items;
    }
    if resource.namespaced {
        items.push(maker.across());
    }
    items.push(maker.object());
    let subs = discovery::subresources(resource, version);
    let subs = subs
        .iter()
        .filter(|sub| !MACHINES.contains(&sub.name.as_str()));
    items.extend(subs.map(|sub| maker.subresource(sub)));
    items.retain(|item| !item.operations.is_empty());
    items
}

struct Maker<'a> {
    resource: &'a Resource,
    version: &'a Version,
}

impl Maker<'_> {
    fn base(&self) -> String {
        let group = self.resource.name.group();
        let root = if group.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}", api_version(group, &self.version.name))
    }

    fn collection_path(&self) -> String {
        let scope = if self.resource.namespaced {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        format!("{}{scope}/{}", self.base(), self.resource.name.resource())
    }

    fn variables(&self, named: bool) -> Vec<&'static str> {
        let mut variables = Vec::new();
        variables.extend(named.then_some("name"));
        variables.extend(self.resource.namespaced.then_some("namespace"));
        variables
    }

    /// `readAppsV1NamespacedDeployment`, as generated clients know it.
    fn id(&self, action: &str, tail: &str) -> String {
        let group = match self.resource.name.group() {
            "" => "Core".to_owned(),
            group => {
                let short = group.strip_suffix(".k8s.io").unwrap_or(group);
                short.split(['.', '-']).map(capitalised).collect()
            }
        };
        let scope = if self.resource.namespaced {
            "Namespaced"
        } else {
            ""
        };
        let version = capitalised(&self.version.name);
        let (action, whole) = match action.strip_suffix("collection") {
            Some(action) => (action, "Collection"),
            None => (action, ""),
        };
        format!(
            "{action}{group}{version}{whole}{scope}{}{tail}",
            self.resource.kind
        )
    }

    fn kind(&self) -> Value {
        let group = self.resource.name.group();
        json!({"group": group, "version": self.version.name, "kind": self.resource.kind})
    }

    fn component(&self) -> String {
        component(self.resource, self.version, &self.resource.kind)
    }

    fn has(&self, verb: &str) -> bool {
        self.resource.verbs().contains(&verb)
    }

    fn operation(&self, method: &'static str, action: &'static str, id: String) -> Operation {
        let component = self.component();
        let patch = action == "patch";
        let body = match action {
            "post" | "put" => Some(component.clone()),
            "patch" => Some(PATCH.to_owned()),
            "delete" | "deletecollection" => Some(DELETE_OPTIONS.to_owned()),
            _ => None,
        };
        let (parameters, codes, reply): (_, &[&str], _) = match action {
            "list" => (LIST, &["200"], component_of_list(self)),
            "post" => (WRITE, &["200", "201", "202"], component),
            "put" => (WRITE, &["200", "201"], component),
            "patch" => (PATCHING, &["200", "201"], component),
            "delete" => (DELETE, &["200", "202"], STATUS.to_owned()),
            "deletecollection" => (DELETE_ALL, &["200"], STATUS.to_owned()),
            _ => (&[][..], &["200"], component),
        };
        Operation {
            method,
            action,
            id,
            kind: self.kind(),
            parameters,
            consumes: if patch {
                patch_types(self.resource)
            } else {
                vec!["*/*"]
            },
            body,
            reply: Some(reply),
            codes,
        }
    }

    fn collection(&self) -> PathItem {
        let mut operations = Vec::new();
        for (verb, method, action, word) in [
            ("list", "get", "list", "list"),
            ("create", "post", "post", "create"),
            (
                "deletecollection",
                "delete",
                "deletecollection",
                "deletecollection",
            ),
        ] {
            if self.has(verb) {
                operations.push(self.operation(method, action, self.id(word, "")));
            }
        }
        PathItem {
            path: self.collection_path(),
            variables: self.variables(false),
            operations,
        }
    }

    fn across(&self) -> PathItem {
        let mut operations = Vec::new();
        if self.has("list") {
            let id = self
                .id("list", "ForAllNamespaces")
                .replacen("Namespaced", "", 1);
            operations.push(self.operation("get", "list", id));
        }
        let path = format!("{}/{}", self.base(), self.resource.name.resource());
        PathItem {
            path,
            variables: Vec::new(),
            operations,
        }
    }

    fn object(&self) -> PathItem {
        let mut operations = Vec::new();
        for (verb, method, word) in [
            ("get", "get", "read"),
            ("update", "put", "replace"),
            ("patch", "patch", "patch"),
            ("delete", "delete", "delete"),
        ] {
            if self.has(verb) {
                operations.push(self.operation(method, method, self.id(word, "")));
            }
        }
        let path = format!("{}/{{name}}", self.collection_path());
        PathItem {
            path,
            variables: self.variables(true),
            operations,
        }
    }

    fn subresource(&self, sub: &Sub) -> PathItem {
        let component = match builtin_component(&sub.group, &sub.version, &sub.kind) {
            Some(name) => name,
            None => self.component(),
        };
        let mut operations = Vec::new();
        for (verb, method, word) in [
            ("get", "get", "read"),
            ("create", "post", "create"),
            ("update", "put", "replace"),
            ("patch", "patch", "patch"),
        ] {
            if !sub.verbs.iter().any(|one| one == verb) {
                continue;
            }
            let mut operation =
                self.operation(method, method, self.id(word, &capitalised(&sub.name)));
            operation.kind = json!({"group": sub.group, "version": sub.version, "kind": sub.kind});
            operation.reply = (sub.name != "log").then(|| component.clone());
            if ["post", "put"].contains(&method) {
                operation.body = Some(component.clone());
            }
            operations.push(operation);
        }
        let path = format!("{}/{{name}}/{}", self.collection_path(), sub.name);
        PathItem {
            path,
            variables: self.variables(true),
            operations,
        }
    }
}

fn component_of_list(maker: &Maker<'_>) -> String {
    component(maker.resource, maker.version, &maker.resource.list_kind)
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_carry_their_operations() {
        let find = |name: &str| {
            let all = crate::builtin::resources();
            all.iter()
                .find(|one| one.name.to_string() == name)
                .unwrap()
                .clone()
        };
        let check = |resource: &str, path: &str, expected: &[&str]| {
            let resource = find(resource);
            let items = of(&resource, resource.storage());
            let item = items.iter().find(|item| item.path == path).unwrap();
            let ids: Vec<&str> = item.operations.iter().map(|one| one.id.as_str()).collect();
            assert_eq!(ids, expected, "{path}");
        };
        check(
            "deployments.apps",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
            &[
                "readAppsV1NamespacedDeploymentScale",
                "replaceAppsV1NamespacedDeploymentScale",
                "patchAppsV1NamespacedDeploymentScale",
            ],
        );
        check(
            "configmaps",
            "/api/v1/configmaps",
            &["listCoreV1ConfigMapForAllNamespaces"],
        );
        check(
            "nodes",
            "/api/v1/nodes",
            &[
                "listCoreV1Node",
                "createCoreV1Node",
                "deleteCoreV1CollectionNode",
            ],
        );
        check(
            "pods",
            "/api/v1/namespaces/{namespace}/pods/{name}/log",
            &["readCoreV1NamespacedPodLog"],
        );
        check(
            "selfsubjectaccessreviews.authorization.k8s.io",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            &["createAuthorizationV1SelfSubjectAccessReview"],
        );
    }
}
