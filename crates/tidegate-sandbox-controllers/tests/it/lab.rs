//! A cluster in a test: YAML goes in, time is moved by hand, statuses come out as a transcript.

use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_sandbox_controllers::{ControllerOptions, Simulation};
use tidegate_sandbox_kubernetes::{
    Change, ChangeKind, Changes, Clock, DeleteOptions, ManualClock, Objects, ResourceName,
};

pub(crate) struct Lab {
    pub(crate) clock: ManualClock,
    pub(crate) objects: Objects,
    simulation: Simulation,
    first: u64,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let began: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let clock = ManualClock::new(began);
        let objects = Objects::in_memory(Clock::Manual(clock.clone()));
        let simulation = Simulation::new(objects.clone(), ControllerOptions::default());
        let first = objects.list(&ResourceName::new("", "nodes"), None).0;
        Self {
            clock,
            objects,
            simulation,
            first,
        }
    }

    /// Serves a custom kind with any fields and a status.
    pub(crate) fn serve(&self, group: &str, version: &str, kind: &str) -> &Self {
        self.define(group, version, kind, &json!({"status": {}}))
    }

    /// Serves a custom kind whose status is an ordinary field.
    pub(crate) fn serve_without_status(&self, group: &str, version: &str, kind: &str) -> &Self {
        self.define(group, version, kind, &json!({}))
    }

    fn define(&self, group: &str, version: &str, kind: &str, subresources: &Value) -> &Self {
        let plural = plural(kind);
        let schema = json!({"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        }});
        let scope = if kind.starts_with("Cluster") {
            "Cluster"
        } else {
            "Namespaced"
        };
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{group}"),
                "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
            },
            "spec": {
                "group": group, "scope": scope,
                "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
                "versions": [{"name": version, "served": true, "storage": true, "schema": schema,
                    "subresources": subresources}],
            },
        });
        let resource = ResourceName::new("apiextensions.k8s.io", "customresourcedefinitions");
        self.objects
            .create(&resource, "", definition, "test")
            .unwrap();
        self
    }

    /// Creates or replaces the objects of a YAML stream, in namespace `default`.
    pub(crate) fn apply(&self, yaml: &str) -> &Self {
        for document in yaml.split("\n---\n") {
            let mut object: Value =
                tidegate_yaml::from_str(document).unwrap_or_else(|e| panic!("{e:?}\n{document}"));
            let resource = self.resource(&object);
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            if object["metadata"]["namespace"].is_null() && object["kind"] != "Namespace" {
                object["metadata"]["namespace"] = json!("default");
            }
            let known = self.objects.get(&resource, "default", &name);
            let done = match known {
                None => self.objects.create(&resource, "default", object, "test"),
                Some(_) => {
                    let patch = object.clone();
                    self.objects
                        .merge_patch(&resource, "default", &name, None, &patch, "test")
                }
            };
            done.unwrap_or_else(|refusal| panic!("{}\n{document}", refusal.message));
        }
        self
    }

    fn resource(&self, object: &Value) -> ResourceName {
        let version = object["apiVersion"].as_str().unwrap();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let kind = object["kind"].as_str().unwrap();
        self.objects
            .serves(group, kind)
            .unwrap_or_else(|| panic!("{kind} is not served"))
    }

    pub(crate) fn name(&self, kind: &str) -> ResourceName {
        let groups = [
            "",
            "apps",
            "batch",
            "autoscaling",
            "policy",
            "networking.k8s.io",
            "discovery.k8s.io",
            "kafka.strimzi.io",
            "flink.apache.org",
            "sparkoperator.k8s.io",
            "serving.knative.dev",
            "tekton.dev",
            "external-secrets.io",
            "bitnami.com",
            "cert-manager.io",
            "argoproj.io",
            "keda.sh",
            "s3.aws.crossplane.io",
        ];
        let (wanted, kind) = kind
            .split_once('/')
            .map_or((None, kind), |(group, kind)| (Some(group), kind));
        let mut found = groups
            .iter()
            .filter(|group| wanted.is_none_or(|wanted| wanted == **group));
        found
            .find_map(|group| self.objects.serves(group, kind))
            .unwrap_or_else(|| panic!("{kind}?"))
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<Arc<Value>> {
        self.objects.get(&self.name(kind), "default", name)
    }

    pub(crate) fn list(&self, kind: &str) -> Vec<Arc<Value>> {
        self.objects.list(&self.name(kind), Some("default")).1
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "patches are written where they are used"
    )]
    pub(crate) fn patch(&self, kind: &str, name: &str, patch: Value) {
        self.objects
            .merge_patch(&self.name(kind), "default", name, None, &patch, "test")
            .unwrap();
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        self.objects
            .delete(&self.name(kind), "default", name, DeleteOptions::default())
            .unwrap();
    }

    /// New controllers, which remember nothing.
    pub(crate) fn restart(&mut self) {
        self.simulation = Simulation::new(self.objects.clone(), ControllerOptions::default());
    }

    /// Lets simulated time pass, stopping wherever something is due. Returns how often something was.
    pub(crate) fn run(&mut self, seconds: f64) -> usize {
        self.run_with(seconds, |_| {})
    }

    /// The same, with a look at the cluster after every settled moment.
    pub(crate) fn run_with(&mut self, seconds: f64, mut look: impl FnMut(&Self)) -> usize {
        let end = self.clock.now() + jiff::SignedDuration::from_secs_f64(seconds);
        let mut moments = 0;
        loop {
            let progress = self.simulation.settle();
            look(self);
            moments += 1;
            assert!(moments < 20_000, "the simulation never comes to rest");
            let next = progress.wake_at.filter(|due| *due <= end).unwrap_or(end);
            let left =
                Duration::try_from(next.duration_since(self.clock.now())).unwrap_or_default();
            self.clock.advance(left);
            if next >= end {
                self.simulation.settle();
                look(self);
                return moments;
            }
        }
    }

    /// Checks that the cluster is at rest, and that controllers that start anew leave it so.
    pub(crate) fn check_rest_and_restart(&mut self) {
        self.check_rest();
        let before = self.changes().len();
        self.restart();
        self.run(60.0);
        let new = self.changes().split_off(before);
        assert!(new.is_empty(), "a restart changes something: {new:#?}");
    }

    /// Checks that the cluster is at rest: nothing is written in ten minutes.
    pub(crate) fn check_rest(&mut self) {
        self.run(120.0);
        let before = self.changes().len();
        let written = |lab: &Self| -> Vec<String> {
            let new = &lab.changes()[before..];
            new.iter()
                .map(|change| {
                    format!(
                        "{} {} {}",
                        change.resource, change.object["metadata"]["name"], change.object["status"]
                    )
                })
                .collect()
        };
        let moments = self.run(600.0);
        assert_eq!(
            written(self),
            Vec::<String>::new(),
            "something is written without a reason"
        );
        assert!(moments <= 20, "{moments} moments without anything to do");
    }

    /// Everything that happened.
    pub(crate) fn changes(&self) -> Vec<Change> {
        match self.objects.changes_after(self.first) {
            Changes::Known { changes, .. } => changes,
            Changes::Expired => panic!("the history is lost"),
        }
    }

    /// The statuses that an object went through, one a line; what does not change any shown field is left out.
    pub(crate) fn transcript(&self, kind: &str, name: &str, paths: &[&str]) -> String {
        let resource = self.name(kind);
        let mut lines: Vec<String> = Vec::new();
        for change in self.changes() {
            if change.resource != resource || change.object["metadata"]["name"] != name {
                continue;
            }
            let line = if change.kind == ChangeKind::Deleted {
                "deleted".to_owned()
            } else {
                paths
                    .iter()
                    .filter_map(|path| shown(&change.object, path))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            if !line.is_empty() && lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        lines.join("\n")
    }
}

fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{lower}s"),
    }
}

/// A field as text: `name=value`; conditions as `Type=Status(Reason: message)`.
fn shown(object: &Value, path: &str) -> Option<String> {
    if path == "conditions" {
        let list = object["status"]["conditions"].as_array()?;
        let texts: Vec<String> = list.iter().map(condition).collect();
        return (!texts.is_empty()).then(|| format!("[{}]", texts.join(", ")));
    }
    let found = path
        .split('.')
        .try_fold(object, |value, key| value.get(key))?;
    let name = path.rsplit('.').next().unwrap_or(path);
    let text = found
        .as_str()
        .map_or_else(|| found.to_string(), str::to_owned);
    (!found.is_null()).then(|| format!("{name}={text}"))
}

pub(crate) fn condition(value: &Value) -> String {
    let field = |name: &str| value[name].as_str().unwrap_or("");
    let head = format!("{}={}", field("type"), field("status"));
    match (field("reason"), field("message")) {
        ("", "") => head,
        (reason, "") => format!("{head}({reason})"),
        (reason, message) => format!("{head}({reason}: {message})"),
    }
}
