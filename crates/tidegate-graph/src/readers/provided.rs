//! What objects bring about beside themselves: Secrets, Services and names that others refer to.

use std::borrow::Cow;

use serde_json::Value;

use crate::reader::{Identity, Place, ReferenceReader, References, View};

/// Reads what objects provide.
#[derive(Debug)]
pub(crate) struct Provided;

impl ReferenceReader for Provided {
    fn read<'a>(&self, view: &View<'a>, found: &mut References<'a>) {
        let name = view.key.name.as_str();
        match (view.key.group.as_str(), view.key.kind.as_str()) {
            ("kafka.strimzi.io", "KafkaTopic") => {
                let topic = text(view.body, &["spec", "topicName"]).unwrap_or(name);
                provide_topic(view, topic, found);
            }
            // A topic that goes straight to Kafka.
            (_, "KafkaTopic" | "Topic")
                if view.key.target.kind == tidegate_manifest::TargetKind::Kafka =>
            {
                provide_topic(view, name, found);
            }
            ("kafka.strimzi.io", "Kafka") => {
                for suffix in [
                    "cluster-ca-cert",
                    "clients-ca-cert",
                    "cluster-ca",
                    "clients-ca",
                ] {
                    provide(view, "Secret", format!("{name}-{suffix}"), found);
                }
                for suffix in ["kafka-bootstrap", "kafka-brokers"] {
                    provide(view, "Service", format!("{name}-{suffix}"), found);
                }
            }
            ("kafka.strimzi.io", "KafkaUser") => {
                let prefixless = text(
                    view.body,
                    &["spec", "template", "secret", "metadata", "name"],
                );
                provide(view, "Secret", prefixless.unwrap_or(name), found);
            }
            ("kafka.strimzi.io", "KafkaConnect") => {
                provide(view, "Service", format!("{name}-connect-api"), found);
            }
            ("kafka.strimzi.io", "KafkaBridge") => {
                provide(view, "Service", format!("{name}-bridge-service"), found);
            }
            ("flink.apache.org", "FlinkDeployment") => {
                provide(view, "Service", format!("{name}-rest"), found);
            }
            ("cert-manager.io", "Certificate") => {
                if let Some(secret) = text(view.body, &["spec", "secretName"]) {
                    provide(view, "Secret", secret, found);
                }
            }
            ("cert-manager.io", "Issuer") => {
                if let Some(secret) =
                    text(view.body, &["spec", "acme", "privateKeySecretRef", "name"])
                {
                    provide(view, "Secret", secret, found);
                }
            }
            ("external-secrets.io", "ExternalSecret") => {
                let secret = text(view.body, &["spec", "target", "name"]).unwrap_or(name);
                provide(view, "Secret", secret, found);
            }
            ("bitnami.com", "SealedSecret") => {
                let secret =
                    text(view.body, &["spec", "template", "metadata", "name"]).unwrap_or(name);
                provide(view, "Secret", secret, found);
            }
            ("postgresql.cnpg.io", "Cluster") => {
                provide(view, "Secret", format!("{name}-app"), found);
                for suffix in ["rw", "ro", "r"] {
                    provide(view, "Service", format!("{name}-{suffix}"), found);
                }
            }
            _ => {}
        }
        provide_connection_secret(view, found);
    }
}

fn provide<'a>(
    view: &View<'a>,
    kind: &'static str,
    name: impl Into<Cow<'a, str>>,
    found: &mut References<'a>,
) {
    let place = Place::Namespace(Cow::Borrowed(view.key.namespace.as_str()));
    found.provide(Identity::new("", kind, place, name));
}

fn provide_topic<'a>(view: &View<'a>, topic: &'a str, found: &mut References<'a>) {
    found.provide(Identity::topic(topic, view.key.namespace.as_str()));
}

/// Crossplane's `spec.writeConnectionSecretToRef`, on resources of any kind.
fn provide_connection_secret<'a>(view: &View<'a>, found: &mut References<'a>) {
    let Some(reference) = view
        .body
        .get("spec")
        .and_then(|spec| spec.get("writeConnectionSecretToRef"))
    else {
        return;
    };
    if let Some(name) = text(reference, &["name"]) {
        let namespace = text(reference, &["namespace"]).unwrap_or(&view.key.namespace);
        let place = Place::Namespace(Cow::Borrowed(namespace));
        found.provide(Identity::new("", "Secret", place, name));
    }
}

fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    let mut here = value;
    for step in path {
        here = here.get(step)?;
    }
    here.as_str().filter(|text| !text.is_empty())
}
