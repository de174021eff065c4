//! Kinds that only have to say Ready after a while: a table of their conditions, and one reaction for all.

use crate::conditions::{Condition, condition_status, conditions};
use crate::context::Context;
use crate::resources::AUTOSCALERS;
use crate::value::{
    annotation, at, controller_ref, deleting, int_or, name, namespace, observed, text,
};
use serde_json::{Value, json};
use tidegate_sandbox_kubernetes::ResourceName;

const SETTLE: u64 = 600;

/// How a kind says that it is ready.
struct Simple {
    /// Group, or a suffix of it when it begins with a dot.
    group: &'static str,
    /// Plural; empty for every kind of the group.
    plural: &'static str,
    /// The conditions in order; the last one sums up and carries the failure.
    conditions: &'static [&'static str],
    /// Reason and message of the last condition when all is well.
    good: (&'static str, &'static str),
    /// Its reason when not.
    bad: &'static str,
}

const fn simple(
    group: &'static str,
    plural: &'static str,
    conditions: &'static [&'static str],
    good: (&'static str, &'static str),
    bad: &'static str,
) -> Simple {
    Simple {
        group,
        plural,
        conditions,
        good,
        bad,
    }
}

const READY: &[&str] = &["Ready"];
const SOURCE: &[&str] = &["Deployed", "SinkProvided", "Ready"];

/// All such kinds.
const KINDS: &[Simple] = &[
    simple(
        "eventing.knative.dev",
        "brokers",
        &[
            "Addressable",
            "FilterReady",
            "IngressReady",
            "TriggerChannelReady",
            "Ready",
        ],
        ("", ""),
        "DeploymentUnavailable",
    ),
    simple(
        "eventing.knative.dev",
        "triggers",
        &[
            "BrokerReady",
            "DeadLetterSinkResolved",
            "DependencyReady",
            "SubscriberResolved",
            "SubscriptionReady",
            "Ready",
        ],
        ("", ""),
        "SubscriptionNotReady",
    ),
    simple(
        "messaging.knative.dev",
        "",
        &["Addressable", "Ready"],
        ("", ""),
        "NotReady",
    ),
    simple(
        "sources.knative.dev",
        "",
        SOURCE,
        ("", ""),
        "DeploymentUnavailable",
    ),
    simple(
        "flows.knative.dev",
        "",
        &["Addressable", "Ready"],
        ("", ""),
        "NotReady",
    ),
    simple(
        "keda.sh",
        "scaledjobs",
        &["Active", "Ready"],
        (
            "ScaledJobReady",
            "ScaledJob is defined correctly and is ready to scaling",
        ),
        "ScaledJobCheckFailed",
    ),
    simple(
        "keda.sh",
        "triggerauthentications",
        READY,
        ("", ""),
        "NotReady",
    ),
    simple(
        ".crossplane.io",
        "",
        &["Synced", "Ready"],
        ("Available", ""),
        "Unavailable",
    ),
    simple(
        ".upbound.io",
        "",
        &["Synced", "Ready"],
        ("Available", ""),
        "Unavailable",
    ),
    simple(
        ".services.k8s.aws",
        "",
        &["ACK.ResourceSynced", "Ready"],
        ("", "Resource synced successfully"),
        "NotReady",
    ),
];

fn find(resource: &ResourceName) -> Option<&'static Simple> {
    KINDS.iter().find(|kind| {
        let group = if kind.group.starts_with('.') {
            resource.group().ends_with(kind.group)
        } else {
            resource.group() == kind.group
        };
        group && (kind.plural.is_empty() || resource.resource() == kind.plural)
    })
}

/// Whether the table has the kind.
pub(crate) fn knows(resource: &ResourceName) -> bool {
    find(resource).is_some()
}

pub(crate) fn react(cx: &mut Context<'_>) {
    let Some(kind) = find(cx.resource) else {
        return;
    };
    // Kinds without a spec (compositions, settings) have nothing to become ready.
    if deleting(cx.object) || !at(cx.object, "spec").is_object() || !cx.noticed() {
        return;
    }
    let generation = cx.generation();
    let failure = cx.faults.failure(0).map(str::to_owned);
    let last = kind.conditions.last().copied().unwrap_or("Ready");
    let decided = matches!(condition_status(cx.object, last), "True" | "False");
    let shown = decided && observed(cx.object) == generation;
    let settled = shown || cx.passed(&format!("settle-{}", cx.epoch()), SETTLE, SETTLE);
    let new: Vec<Condition> = kind
        .conditions
        .iter()
        .map(|shown| match (&failure, settled) {
            (_, false) => Condition::new(shown, "Unknown"),
            (Some(message), true) if *shown == last => {
                Condition::new(shown, "False").because(kind.bad, message.clone())
            }
            _ if *shown == last => Condition::new(shown, "True").because(kind.good.0, kind.good.1),
            _ => Condition::new(shown, "True"),
        })
        .collect();
    let list = conditions(cx.object, &new, cx.now);
    let mut fields = json!({"conditions": list, "observedGeneration": generation});
    if kind.conditions.contains(&"Addressable") && settled {
        let (object, space) = (name(cx.object), namespace(cx.object));
        let host = "broker-ingress.knative-eventing.svc.cluster.local";
        fields["address"] = json!({"url": format!("http://{host}/{space}/{object}")});
    }
    cx.merge_status(fields);
}

/// A KEDA ScaledObject: an autoscaler for its target.
pub(crate) fn react_scaled_object(cx: &mut Context<'_>) {
    let scaled = cx.object;
    if deleting(scaled) || !cx.passed(&format!("settle-{}", cx.epoch()), SETTLE, SETTLE) {
        return;
    }
    let paused = [
        "autoscaling.keda.sh/paused",
        "autoscaling.keda.sh/paused-replicas",
    ]
    .iter()
    .any(|key| annotation(scaled, key).is_some_and(|value| value != "false"));
    let ready = match cx.faults.failure(0) {
        Some(message) => {
            Condition::new("Ready", "False").because("ScaledObjectCheckFailed", message)
        }
        None => Condition::new("Ready", "True").because(
            "ScaledObjectReady",
            "ScaledObject is defined correctly and is ready for scaling",
        ),
    };
    let pause = if paused {
        Condition::new("Paused", "True").because("ScaledObjectPaused", "ScaledObject is paused")
    } else {
        Condition::new("Paused", "Unknown")
    };
    let new = [
        ready,
        Condition::new("Active", "False").because(
            "ScalerNotActive",
            "Scaling is not performed because triggers are not active",
        ),
        Condition::new("Fallback", "False").because(
            "NoFallbackFound",
            "No fallbacks are active on this scaled object",
        ),
        pause,
    ];
    let kind = match text(scaled, "spec.scaleTargetRef.kind") {
        "" => "Deployment",
        kind => kind,
    };
    let api_version = match text(scaled, "spec.scaleTargetRef.apiVersion") {
        "" => "apps/v1",
        version => version,
    };
    let child = match text(scaled, "spec.advanced.horizontalPodAutoscalerConfig.name") {
        "" => format!("keda-hpa-{}", cx.name()),
        wanted => wanted.to_owned(),
    };
    let known = cx.get(&AUTOSCALERS, cx.namespace(), &child);
    if cx.faults.failure(0).is_none() && known.is_none() && !paused {
        autoscaler(cx, &child, api_version, kind);
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let list = conditions(scaled, &new, cx.now);
    cx.merge_status(json!({
        "conditions": list, "hpaName": child, "originalReplicaCount": 1,
        "scaleTargetGVKR": {"group": group, "kind": kind, "resource": format!("{}s", kind.to_lowercase()), "version": version},
        "scaleTargetKind": format!("{api_version}.{kind}"),
    }));
}

fn autoscaler(cx: &mut Context<'_>, child: &str, api_version: &str, kind: &str) {
    let scaled = cx.object;
    let target: &Value = at(scaled, "spec.scaleTargetRef.name");
    let object = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": child, "namespace": cx.namespace(),
            "labels": {"app.kubernetes.io/managed-by": "keda-operator", "scaledobject.keda.sh/name": cx.name()},
            "ownerReferences": [controller_ref(text(scaled, "apiVersion"), "ScaledObject", scaled)],
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": api_version, "kind": kind, "name": target},
            "minReplicas": int_or(scaled, "spec.minReplicaCount", 1).max(1),
            "maxReplicas": int_or(scaled, "spec.maxReplicaCount", 100),
        },
    });
    cx.create(&AUTOSCALERS, object);
}
