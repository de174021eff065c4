//! References that no table says: labels that name a cluster, edges that run backwards, webhooks of definitions.

use std::borrow::Cow;

use serde_json::Value;

use crate::reader::{Identity, Need, Place, ReferenceReader, References, View};
use crate::{Relation, Strength};

const STRIMZI: &str = "kafka.strimzi.io";
const STRIMZI_CLUSTER: &str = "strimzi.io/cluster";

/// Reads them.
#[derive(Debug)]
pub(crate) struct Special;

impl ReferenceReader for Special {
    fn read<'a>(&self, view: &View<'a>, found: &mut References<'a>) {
        match (view.key.group.as_str(), view.key.kind.as_str()) {
            (STRIMZI, kind) => strimzi(view, kind, found),
            ("apiextensions.k8s.io", "CustomResourceDefinition") => conversion_webhook(view, found),
            ("flink.apache.org", "FlinkStateSnapshot") => snapshot(view, found),
            _ => {}
        }
    }
}

/// What the label `strimzi.io/cluster` means depends on the kind: a connector names its Kafka Connect cluster.
///
/// A node pool comes before its Kafka: the operator makes a Kafka ready only when it has pools, and a pool has no
/// readiness of its own (kafka.md 1.3).
fn strimzi<'a>(view: &View<'a>, kind: &str, found: &mut References<'a>) {
    let Some(cluster) = view.label(STRIMZI_CLUSTER).filter(|name| !name.is_empty()) else {
        return;
    };
    let need = |kind: &'static str, relation| Need {
        identity: Identity::new(
            STRIMZI,
            kind,
            Place::Nearest(Cow::Borrowed(view.key.namespace.as_str())),
            cluster,
        ),
        relation,
        field: format!(".metadata.labels[{STRIMZI_CLUSTER:?}]"),
        strength: Strength::Firm,
    };
    match kind {
        "KafkaTopic" | "KafkaUser" | "KafkaRebalance" | "KafkaConnect" | "KafkaMirrorMaker2"
        | "KafkaBridge" => {
            found.need(need("Kafka", Relation::Cluster));
        }
        "KafkaConnector" => found.need(need("KafkaConnect", Relation::Cluster)),
        "KafkaNodePool" => found.needed_by(need("Kafka", Relation::NodePool)),
        _ => {}
    }
}

/// A definition works without its conversion webhook until it has several versions: a guess.
fn conversion_webhook<'a>(view: &View<'a>, found: &mut References<'a>) {
    let Some(service) = view
        .body
        .pointer("/spec/conversion/webhook/clientConfig/service")
    else {
        return;
    };
    let text = |key: &str| service.get(key).and_then(Value::as_str).unwrap_or_default();
    found.need(Need {
        identity: Identity::new(
            "",
            "Service",
            Place::Namespace(Cow::Borrowed(text("namespace"))),
            text("name"),
        ),
        relation: Relation::Webhook,
        field: ".spec.conversion.webhook.clientConfig.service".to_owned(),
        strength: Strength::Soft,
    });
}

/// `spec.jobReference` of a snapshot names a deployment or a session job.
fn snapshot<'a>(view: &View<'a>, found: &mut References<'a>) {
    let Some(name) = view
        .body
        .pointer("/spec/jobReference/name")
        .and_then(Value::as_str)
    else {
        return;
    };
    let kind = view
        .body
        .pointer("/spec/jobReference/kind")
        .and_then(Value::as_str);
    found.need(Need {
        identity: Identity::new(
            "flink.apache.org",
            kind.unwrap_or("FlinkDeployment"),
            Place::Namespace(Cow::Borrowed(view.key.namespace.as_str())),
            name,
        ),
        relation: Relation::Cluster,
        field: ".spec.jobReference".to_owned(),
        strength: Strength::Firm,
    });
}
