//! Shapes that mean the same wherever they stand: pod specs, key references, `{kind, name}`, `serviceAccountName`.
//! So every kind that embeds a pod template is read, whether it is known here or not.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::path::Path;
use crate::reader::{Identity, Need, Place, ReferenceReader, References, View};
use crate::{Relation, Strength};

/// Reads shapes.
#[derive(Debug)]
pub(crate) struct Shapes;

impl ReferenceReader for Shapes {
    fn read<'a>(&self, view: &View<'a>, found: &mut References<'a>) {
        if !is_read(view) {
            return;
        }
        let Some(body) = view.body.as_object() else {
            return;
        };
        let mut walk = Walk { view, found };
        for (key, value) in body {
            if !matches!(
                key.as_str(),
                "apiVersion"
                    | "kind"
                    | "metadata"
                    | "status"
                    | "data"
                    | "stringData"
                    | "binaryData"
            ) {
                walk.entry(body, key, value, &Path::ROOT);
                walk.value(value, &Path::ROOT.key(key));
            }
        }
    }
}

/// Whether a body is looked into: schemas and embedded programs only look like references.
fn is_read(view: &View<'_>) -> bool {
    let key = view.key;
    !(key.group == "apiextensions.k8s.io"
        || (key.group.is_empty() && matches!(key.kind.as_str(), "ConfigMap" | "Secret"))
        || key.group == "rbac.authorization.k8s.io" && key.kind.ends_with("Role"))
}

struct Walk<'w, 'a> {
    view: &'w View<'a>,
    found: &'w mut References<'a>,
}

impl<'a> Walk<'_, 'a> {
    fn value(&mut self, value: &'a Value, path: &Path<'_>) {
        if path.is_too_deep() {
            return;
        }
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    self.entry(map, key, value, path);
                    // A template's own metadata refers to nothing.
                    if key != "metadata" {
                        self.value(value, &path.key(key));
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &path.item(index));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn entry(&mut self, map: &'a Map<String, Value>, key: &str, value: &'a Value, path: &Path<'_>) {
        let here = path.key(key);
        match value {
            Value::String(name) if !name.is_empty() => self.named(map, key, name, path),
            Value::Object(inner) => self.keyed(key, inner, &here),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let here = here.item(index);
                    if let Value::Object(inner) = item {
                        self.keyed(key, inner, &here);
                    } else if let (Value::String(name), "imagePullSecrets") = (item, key) {
                        let relation = Relation::ImagePullSecret;
                        self.need(
                            ("", "Secret"),
                            self.own(),
                            name,
                            relation,
                            Strength::Firm,
                            &here,
                        );
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// A key that holds a name: `serviceAccountName: spark`.
    fn named(&mut self, map: &'a Map<String, Value>, key: &str, name: &'a str, path: &Path<'_>) {
        let (kind, place, relation) = match key {
            "serviceAccountName" | "serviceAccount" => {
                (("", "ServiceAccount"), self.own(), Relation::ServiceAccount)
            }
            "secretName" => {
                let beside = map.get("secretNamespace").or_else(|| map.get("namespace"));
                (("", "Secret"), self.place(beside), Relation::Secret)
            }
            "configMapName" => (
                ("", "ConfigMap"),
                self.place(map.get("namespace")),
                Relation::ConfigMap,
            ),
            "claimName" => (
                ("", "PersistentVolumeClaim"),
                self.own(),
                Relation::VolumeClaim,
            ),
            "storageClassName" => (
                ("storage.k8s.io", "StorageClass"),
                Place::Cluster,
                Relation::StorageClass,
            ),
            "priorityClassName" => (
                ("scheduling.k8s.io", "PriorityClass"),
                Place::Cluster,
                Relation::Class,
            ),
            "runtimeClassName" => (
                ("node.k8s.io", "RuntimeClass"),
                Place::Cluster,
                Relation::Class,
            ),
            "ingressClassName" => (
                ("networking.k8s.io", "IngressClass"),
                Place::Cluster,
                Relation::Class,
            ),
            "gatewayClassName" => (
                ("gateway.networking.k8s.io", "GatewayClass"),
                Place::Cluster,
                Relation::Class,
            ),
            "serviceName" => (
                ("", "Service"),
                self.place(map.get("namespace")),
                Relation::Service,
            ),
            _ => return,
        };
        // What a Certificate names here it makes, see `provided`.
        if key == "secretName"
            && self.view.is("cert-manager.io", "Certificate")
            && path.depth() == 1
        {
            return;
        }
        self.need(kind, place, name, relation, strength(map), &path.key(key));
    }

    /// A key that holds a mapping with a name: `secretKeyRef: {name: db}`, `scaleTargetRef: {kind, name}`.
    fn keyed(&mut self, key: &str, map: &'a Map<String, Value>, path: &Path<'_>) {
        if map.contains_key("metadata") {
            return;
        }
        let Some(name) = text(map, "name") else {
            return;
        };
        if let Some(kind) = text(map, "kind") {
            self.typed(key, kind, name, map, path);
            return;
        }
        let is = |suffix: &str| key.ends_with(suffix);
        let (kind, relation) = if key == "imagePullSecrets" {
            ("Secret", Relation::ImagePullSecret)
        } else if key == "secret" || is("ecretRef") || is("ecretKeyRef") || is("ecretTargetRef") {
            ("Secret", Relation::Secret)
        } else if key == "configMap"
            || is("onfigMapRef")
            || is("onfigMapKeyRef")
            || is("onfigMapTargetRef")
        {
            ("ConfigMap", Relation::ConfigMap)
        } else if key == "service" && path_has(path, "clientConfig") {
            ("Service", Relation::Webhook)
        } else if key == "service" {
            ("Service", Relation::Service)
        } else if is("erviceAccountRef") {
            ("ServiceAccount", Relation::ServiceAccount)
        } else {
            return;
        };
        let place = self.place(map.get("namespace"));
        self.need(("", kind), place, name, relation, strength(map), path);
    }

    fn typed(
        &mut self,
        key: &str,
        kind: &'a str,
        name: &'a str,
        map: &'a Map<String, Value>,
        path: &Path<'_>,
    ) {
        // A volume's claim and an owner point back at what already needs them.
        if matches!(key, "claimRef" | "ownerReferences" | "involvedObject")
            || self.is_left_to_others(key)
        {
            return;
        }
        let group = text(map, "apiVersion")
            .map(|version| version.rsplit_once('/').map_or("", |(group, _)| group))
            .or_else(|| map.get("apiGroup").and_then(Value::as_str))
            .or_else(|| map.get("group").and_then(Value::as_str));
        let relation = typed_relation(key, kind);
        let is_optional = strength(map) == Strength::Soft;
        let strength = if is_optional || matches!(relation, Relation::Reference | Relation::Subject)
        {
            Strength::Soft
        } else {
            Strength::Firm
        };
        let place = match map
            .get("namespace")
            .and_then(Value::as_str)
            .filter(|ns| !ns.is_empty())
        {
            Some(namespace) => Place::Namespace(Cow::Borrowed(namespace)),
            None if kind.starts_with("Cluster") => Place::Cluster,
            None => self.own(),
        };
        // The group of a reference is matched as written, except that a core kind may leave it out.
        let group = group
            .map(Cow::Borrowed)
            .or_else(|| is_core(kind).then_some(Cow::Borrowed("")));
        self.found.need(Need {
            identity: Identity {
                group,
                kind: Cow::Borrowed(kind),
                place,
                name: Cow::Borrowed(name),
            },
            relation,
            field: path.to_string(),
            strength,
        });
    }

    /// References that a reader of the kind knows better.
    fn is_left_to_others(&self, key: &str) -> bool {
        match key {
            "issuerRef" | "secretStoreRef" | "authenticationRef" | "parentRefs" | "backendRefs"
            | "jobReference" => true,
            "subject" => self.view.is("sources.knative.dev", "SinkBinding"),
            "scaleTargetRef" => self.view.key.group == "keda.sh",
            _ => false,
        }
    }

    fn own(&self) -> Place<'a> {
        Place::Namespace(Cow::Borrowed(self.view.key.namespace.as_str()))
    }

    fn place(&self, namespace: Option<&'a Value>) -> Place<'a> {
        match namespace
            .and_then(Value::as_str)
            .filter(|ns| !ns.is_empty())
        {
            Some(namespace) => Place::Namespace(Cow::Borrowed(namespace)),
            None => self.own(),
        }
    }

    fn need(
        &mut self,
        (group, kind): (&'static str, &'static str),
        place: Place<'a>,
        name: &'a str,
        relation: Relation,
        strength: Strength,
        path: &Path<'_>,
    ) {
        self.found.need(Need {
            identity: Identity::new(group, kind, place, name),
            relation,
            field: path.to_string(),
            strength,
        });
    }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn strength(map: &Map<String, Value>) -> Strength {
    match map.get("optional") {
        Some(Value::Bool(true)) => Strength::Soft,
        _ => Strength::Firm,
    }
}

fn path_has(path: &Path<'_>, key: &str) -> bool {
    path.keys().any(|step| step == key)
}

fn is_core(kind: &str) -> bool {
    matches!(
        kind,
        "Secret" | "ConfigMap" | "ServiceAccount" | "PersistentVolumeClaim" | "Pod"
    )
}

fn typed_relation(key: &str, kind: &str) -> Relation {
    match key {
        "scaleTargetRef" | "targetRef" => Relation::ScaleTarget,
        "roleRef" => Relation::Role,
        "subjects" => Relation::Subject,
        "ref" | "sink" | "deadLetterSink" | "subscriber" | "reply" => Relation::Sink,
        "channel" => Relation::Broker,
        "sourceRef" | "chartRef" => Relation::Template,
        "workloadRef" => Relation::Template,
        _ => match kind {
            "Secret" => Relation::Secret,
            "ConfigMap" => Relation::ConfigMap,
            "ServiceAccount" => Relation::ServiceAccount,
            "PersistentVolumeClaim" => Relation::VolumeClaim,
            _ => Relation::Reference,
        },
    }
}
