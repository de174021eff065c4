//! Argo CD's kinds, so that an app of apps can be applied: the sandbox stores Applications, whoever started it acts on them.

use serde_json::{Value, json};
use tidegate_sandbox_kubernetes::{Objects, ResourceName};

use crate::SandboxError;

const GROUP: &str = "argoproj.io";
const MANAGER: &str = "tidegate-sandbox";
/// The namespace that Argo CD's documents name.
const NAMESPACE: &str = "argocd";

/// Makes the namespace and the kinds.
pub(crate) fn install(objects: &Objects) -> Result<(), SandboxError> {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    create(objects, &ResourceName::new("", "namespaces"), namespace)?;
    let definitions = ResourceName::new("apiextensions.k8s.io", "customresourcedefinitions");
    for (kind, plural, short_names) in [
        ("Application", "applications", ["app", "apps"]),
        ("AppProject", "appprojects", ["appproj", "appprojs"]),
        ("ApplicationSet", "applicationsets", ["appset", "appsets"]),
    ] {
        create(
            objects,
            &definitions,
            definition(kind, plural, &short_names),
        )?;
    }
    Ok(())
}

fn create(objects: &Objects, resource: &ResourceName, object: Value) -> Result<(), SandboxError> {
    let made = objects.create(resource, "", object, MANAGER);
    made.map(drop)
        .map_err(|status| SandboxError::Bootstrap(status.to_string()))
}

/// A definition that takes any fields: which ones are right is for whoever acts on them.
fn definition(kind: &str, plural: &str, short_names: &[&str]) -> Value {
    let columns = if kind == "Application" {
        json!([
            {"name": "Sync Status", "type": "string", "jsonPath": ".status.sync.status"},
            {"name": "Health Status", "type": "string", "jsonPath": ".status.health.status"},
            {"name": "Revision", "type": "string", "jsonPath": ".status.sync.revision", "priority": 10},
            {"name": "Project", "type": "string", "jsonPath": ".spec.project", "priority": 10},
        ])
    } else {
        json!([{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}])
    };
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": kind.to_lowercase(), "shortNames": short_names,
            },
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "required": ["metadata", "spec"],
                    "properties": {"spec": open, "status": open, "operation": open},
                }},
            }],
        },
    })
}
