//! Validation of the built-in kinds: what the real server answers with 422 (spec kubernetes.md B6). Which kind is checked
//! how; the rules are in `validate/`. Metadata is checked in `metadata.rs`, custom resources against their schema in
//! `structural.rs`.
//!
//! Source of the rules: the validation of the API groups, Kubernetes 1.36; the words are compared with a real server.

mod access;
mod at;
mod batch;
mod config;
mod container;
mod formats;
mod network;
mod others;
mod pod;
mod probe;
mod scaling;
mod service;
mod storage;
mod volume;
mod workloads;

use serde_json::Value;

use crate::object;
use crate::resource::Resource;
use crate::status::Cause;
use crate::write::{Part, Target};
use access::Scope;
use at::{At, Checks};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Checks a new object.
pub(crate) fn create(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut checks = Checks::default();
    content(&mut checks, resource, object);
    if resource.is("", "services") {
        service::new_address(&mut checks, &At::new("spec", &object["spec"]));
    }
    checks.causes
}

/// Checks a changed object against what it was.
pub(crate) fn update(target: &Target, object: &Value, old: &Value) -> Vec<Cause> {
    let mut checks = Checks::default();
    if target.part != Part::Main && target.part != Part::Scale {
        return checks.causes;
    }
    // An object that is going away is only let go.
    if object::is_deleting(old) && object.get("spec") == old.get("spec") {
        return checks.causes;
    }
    content(&mut checks, &target.resource, object);
    if target.resource.is("batch", "jobs") {
        // The real server checks a changed job twice.
        let again = checks.causes.clone();
        let spec = |cause: &&Cause| {
            ["spec.selector", "spec.template.metadata.labels"]
                .iter()
                .any(|path| cause.field.starts_with(path))
        };
        checks.causes.extend(again.iter().filter(spec).cloned());
    }
    changes(&mut checks, &target.resource, object, old);
    checks.causes
}

fn content(checks: &mut Checks, resource: &Resource, object: &Value) {
    let root = At::new("", object);
    let spec = root.get("spec");
    let name = object::name(object);
    match (resource.name.group(), resource.name.resource()) {
        ("", "configmaps") => config::config_map(checks, &root),
        ("", "secrets") => config::secret(checks, &root),
        ("", "pods") => pod::spec(checks, &spec),
        ("", "podtemplates") => pod::template(checks, &root.get("template")),
        ("", "replicationcontrollers") => workloads::replication_controller(checks, &spec),
        ("", "services") => service::service(checks, &spec),
        ("", "persistentvolumeclaims") => storage::claim_spec(checks, &spec),
        ("", "persistentvolumes") => storage::volume(checks, &root),
        ("", "resourcequotas") => others::quota(checks, &spec),
        ("", "limitranges") => others::limits(checks, &spec),
        ("apps", "deployments") => workloads::deployment(checks, &spec),
        ("apps", "statefulsets") => workloads::stateful_set(checks, &spec),
        ("apps", "daemonsets") => workloads::daemon_set(checks, &spec),
        ("apps", "replicasets") => workloads::replica_set(checks, &spec),
        ("apps", "controllerrevisions") if !root.get("data").value.is_object() => {
            checks.required(&root.get("data"), "data must be a valid JSON object");
        }
        ("batch", "jobs") => batch::job(checks, &root, name, object::uid(object)),
        ("batch", "cronjobs") => batch::cron_job(checks, &root, name),
        ("networking.k8s.io", "ingresses") => network::ingress(checks, &root),
        ("networking.k8s.io", "networkpolicies") => network::policy(checks, &spec),
        (RBAC, "roles") => access::role(checks, &root, Scope::Namespace),
        (RBAC, "clusterroles") => access::role(checks, &root, Scope::Cluster),
        (RBAC, "rolebindings") => access::binding(checks, &root, Scope::Namespace),
        (RBAC, "clusterrolebindings") => access::binding(checks, &root, Scope::Cluster),
        ("autoscaling", _) => {
            let version = root
                .get("apiVersion")
                .text()
                .rsplit('/')
                .next()
                .unwrap_or("");
            scaling::scaler(checks, &spec, version);
        }
        ("policy", "poddisruptionbudgets") => scaling::budget(checks, &spec),
        ("coordination.k8s.io", "leases") => scaling::lease(checks, &spec),
        ("scheduling.k8s.io", "priorityclasses") => scaling::priority_class(checks, &root, name),
        ("storage.k8s.io", "storageclasses") => storage::class(checks, &root),
        _ => {}
    }
}

/// What the real server warns of, though it accepts it.
pub(crate) fn warnings(resource: &Resource, object: &Value) -> Vec<String> {
    let mut told = Vec::new();
    let spec = At::new("spec", object.get("spec").unwrap_or(&Value::Null));
    match (resource.name.group(), resource.name.resource()) {
        ("", "endpoints") => {
            told.push(
                "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
                    .to_owned(),
            );
        }
        ("", "services") if !spec.get("externalIPs").is_empty() => {
            let path = spec.path_of("externalIPs");
            told.push(format!(
                "{path} is deprecated and may no longer be implemented in some clusters"
            ));
        }
        ("", "pods") => pod::warnings(&spec, &mut told),
        ("apps", "deployments" | "daemonsets" | "replicasets" | "statefulsets")
        | ("batch", "jobs") => {
            pod::warnings(&spec.get("template").get("spec"), &mut told);
        }
        ("batch", "cronjobs") => {
            let job = spec.get("jobTemplate").get("spec");
            pod::warnings(&job.get("template").get("spec"), &mut told);
        }
        _ => {}
    }
    told
}

/// What cannot change once it is set.
fn changes(checks: &mut Checks, resource: &Resource, object: &Value, old: &Value) {
    let (new, old) = (At::new("", object), At::new("", old));
    let (spec, old_spec) = (new.get("spec"), old.get("spec"));
    match (resource.name.group(), resource.name.resource()) {
        ("", "configmaps" | "secrets") => config::change(checks, &new, &old),
        ("", "pods") => pod::change(checks, &spec, &old_spec),
        ("", "services") => service::change(checks, &spec, &old_spec),
        ("", "persistentvolumeclaims") => storage::claim_change(checks, &new, &old),
        ("", "persistentvolumes") => storage::volume_change(checks, &spec, &old_spec),
        ("apps", "statefulsets") => workloads::stateful_set_change(checks, &spec, &old_spec),
        ("apps", _) if spec.get("selector").is_set() => {
            checks.immutable(&spec.get("selector"), &old_spec.get("selector"));
        }
        ("batch", "jobs") => batch::job_change(checks, &spec, &old_spec),
        (RBAC, "rolebindings" | "clusterrolebindings") => {
            access::binding_change(checks, &new, &old);
        }
        ("storage.k8s.io", "storageclasses") => {
            for field in [
                "parameters",
                "provisioner",
                "reclaimPolicy",
                "volumeBindingMode",
            ] {
                checks.immutable(&new.get(field), &old.get(field));
            }
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            scaling::priority_class_change(checks, &new, &old);
        }
        ("networking.k8s.io", "ingressclasses") => {
            checks.immutable(&spec.get("controller"), &old_spec.get("controller"));
        }
        ("discovery.k8s.io", "endpointslices") => {
            checks.immutable(&new.get("addressType"), &old.get("addressType"));
        }
        ("node.k8s.io", "runtimeclasses") => {
            checks.immutable(&new.get("handler"), &old.get("handler"));
        }
        _ => {}
    }
}

/// Whether a label selector is true of labels. No selector is true of nothing, an empty one of everything.
fn matches_selector(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let selector = At::new("", selector);
    let value = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = selector
        .get("matchLabels")
        .entries()
        .iter()
        .all(|(key, wanted)| value(key) == Some(wanted.text()));
    equal
        && selector
            .get("matchExpressions")
            .items()
            .iter()
            .all(|expression| {
                let have = value(expression.get("key").text());
                let listed = have.is_some_and(|have| {
                    expression
                        .get("values")
                        .items()
                        .iter()
                        .any(|one| one.text() == have)
                });
                match expression.get("operator").text() {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => have.is_some(),
                    "DoesNotExist" => have.is_none(),
                    _ => false,
                }
            })
}
