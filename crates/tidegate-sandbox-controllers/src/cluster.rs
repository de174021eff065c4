//! The rest of a cluster's built-in kinds: nodes, namespaces, autoscalers, disruption budgets, API services.

use crate::conditions::{Condition, conditions, is_true};
use crate::context::Context;
use crate::pod::report::NODE_IP;
use crate::resources::{
    CONFIG_MAPS, DEPLOYMENTS, PODS, REPLICA_SETS, SERVICE_ACCOUNTS, SERVICES, STATEFUL_SETS,
};
use crate::value::{
    Rounding, at, controller, deleting, generation, int, int_or, items, scaled, stamp, text, time,
    uid,
};
use crate::workload::{count, is_active, is_ready, len};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const SCALE: u64 = 500;
const WHOLE: u64 = 500;

/// The simulated nodes, as they join.
pub(crate) fn node(node_name: &str, now: Timestamp) -> Value {
    let fine = |kind: &str, reason: &str, message: &str| {
        let status = if kind == "Ready" { "True" } else { "False" };
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": stamp(now), "lastTransitionTime": stamp(now),
        })
    };
    let room = json!({"cpu": "64", "ephemeral-storage": "1Ti", "memory": "256Gi", "pods": "10000"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": node_name,
            "labels": {
                "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": node_name, "kubernetes.io/os": "linux",
            },
            "annotations": {"sandbox.tidegate.dev/simulated": "true"},
        },
        "spec": {"podCIDR": "10.244.0.0/13", "podCIDRs": ["10.244.0.0/13"]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": NODE_IP}, {"type": "Hostname", "address": node_name},
            ],
            "allocatable": room, "capacity": room,
            "conditions": [
                fine("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                fine("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                fine("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                fine("Ready", "KubeletReady", "kubelet is posting ready status"),
            ],
            "nodeInfo": {
                "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "simulated://1.0",
                "kernelVersion": "simulated", "kubeProxyVersion": "", "kubeletVersion": "v1.36.0",
                "machineID": "", "operatingSystem": "linux", "osImage": "Tidegate sandbox", "systemUUID": "",
            },
        },
    })
}

/// Every namespace has a ServiceAccount `default` and the cluster's certificate.
pub(crate) fn react_namespace(cx: &mut Context<'_>) {
    let space = cx.name();
    if deleting(cx.object) || text(cx.object, "status.phase") == "Terminating" {
        return;
    }
    if cx.get(&SERVICE_ACCOUNTS, space, "default").is_none() {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": space},
        });
        cx.create(&SERVICE_ACCOUNTS, account);
    }
    if cx.get(&CONFIG_MAPS, space, "kube-root-ca.crt").is_none() {
        let certificate = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "kube-root-ca.crt", "namespace": space,
                "annotations": {"kubernetes.io/description":
                    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."},
            },
            "data": {"ca.crt": "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n"},
        });
        cx.create(&CONFIG_MAPS, certificate);
    }
}

/// An APIService is available when it is local or its Service exists.
pub(crate) fn react_api_service(cx: &mut Context<'_>) {
    let (space, service) = (
        text(cx.object, "spec.service.namespace"),
        text(cx.object, "spec.service.name"),
    );
    let condition = if service.is_empty() {
        Condition::new("Available", "True")
            .because("Local", "Local APIServices are always available")
    } else if cx.get(&SERVICES, space, service).is_none() {
        let message = format!("service/{service} in \"{space}\" is not present");
        Condition::new("Available", "False").because("ServiceNotFound", message)
    } else if let Some(message) = cx.faults.failure(0) {
        Condition::new("Available", "False").because("FailedDiscoveryCheck", message)
    } else if !is_true(cx.object, "Available") && !cx.passed("check", SCALE, WHOLE) {
        let message = format!("endpoints for service/{service} in \"{space}\" have no addresses");
        Condition::new("Available", "False").because("MissingEndpoints", message)
    } else {
        Condition::new("Available", "True").because("Passed", "all checks passed")
    };
    cx.status(json!({"conditions": conditions(cx.object, &[condition], cx.now)}));
}

/// A disruption budget counts the pods that it protects.
pub(crate) fn react_disruption_budget(cx: &mut Context<'_>) {
    let budget = cx.object;
    if deleting(budget) {
        return;
    }
    let mut pods = cx.selected(&PODS, at(budget, "spec.selector"));
    pods.retain(|pod| is_active(pod));
    let healthy = count(&pods, is_ready);
    let (expected, desired) = expected_pods(cx, &pods);
    let allowed = if expected > 0 {
        (healthy - desired).max(0)
    } else {
        0
    };
    let (status, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let mut condition = Condition::new("DisruptionAllowed", status)
        .because(reason, "")
        .value(
            crate::conditions::condition(budget, "DisruptionAllowed"),
            cx.now,
        );
    condition["message"] = json!("");
    condition["observedGeneration"] = json!(cx.generation());
    cx.status(json!({
        "observedGeneration": cx.generation(), "currentHealthy": healthy, "desiredHealthy": desired,
        "expectedPods": expected, "disruptionsAllowed": allowed, "conditions": [condition],
    }));
}

/// How many pods there should be, and how many must be healthy.
fn expected_pods(cx: &mut Context<'_>, pods: &[Arc<Value>]) -> (i64, i64) {
    let budget = cx.object;
    let most = at(budget, "spec.maxUnavailable");
    if !most.is_null() {
        let expected = expected_scale(cx, pods);
        let unavailable = scaled(most, expected, Rounding::Up).unwrap_or(0);
        return (expected, (expected - unavailable).max(0));
    }
    let least = at(budget, "spec.minAvailable");
    if let Some(number) = least.as_i64() {
        return (len(pods), number);
    }
    let expected = expected_scale(cx, pods);
    let least = if least.is_null() {
        json!(1)
    } else {
        least.clone()
    };
    (
        expected,
        scaled(&least, expected, Rounding::Up).unwrap_or(0),
    )
}

/// The sum of what the pods' controllers want.
fn expected_scale(cx: &mut Context<'_>, pods: &[Arc<Value>]) -> i64 {
    let space = cx.namespace();
    let mut scales: BTreeMap<String, i64> = BTreeMap::new();
    for pod in pods {
        let Some(owner) = controller(pod) else {
            continue;
        };
        let (kind, owner_name) = (text(owner, "kind"), text(owner, "name"));
        let resource = match kind {
            "ReplicaSet" => REPLICA_SETS,
            "StatefulSet" => STATEFUL_SETS,
            _ => continue,
        };
        let Some(mut object) = cx.get(&resource, space, owner_name) else {
            continue;
        };
        if let Some(above) = controller(&object).filter(|above| text(above, "kind") == "Deployment")
            && let Some(deployment) = cx.get(&DEPLOYMENTS, space, text(above, "name"))
        {
            object = deployment;
        }
        scales.insert(uid(&object).to_owned(), int_or(&object, "spec.replicas", 1));
    }
    scales.values().sum()
}

/// An autoscaler keeps its target between the bounds; the simulated load always fits the present size.
pub(crate) fn react_autoscaler(cx: &mut Context<'_>) {
    let autoscaler = cx.object;
    if deleting(autoscaler) || !cx.noticed() {
        return;
    }
    if let Some(message) = cx.faults.failure(0).map(str::to_owned) {
        if cx.passed("measure", SCALE, WHOLE) {
            let scale = able(
                "SucceededGetScale",
                "the HPA controller was able to get the target's current scale",
            );
            let active = Condition::new("ScalingActive", "False")
                .because("FailedGetResourceMetric", message);
            write_autoscaler(cx, 0, 0, &[scale, active]);
        }
        return;
    }
    let reference = at(autoscaler, "spec.scaleTargetRef");
    let (kind, target_name) = (text(reference, "kind"), text(reference, "name"));
    let resource = match kind {
        "Deployment" => Some(DEPLOYMENTS),
        "StatefulSet" => Some(STATEFUL_SETS),
        "ReplicaSet" => Some(REPLICA_SETS),
        "Rollout" => Some(crate::resources::ROLLOUTS),
        _ => None,
    };
    let target = resource
        .as_ref()
        .and_then(|resource| cx.get(resource, cx.namespace(), target_name));
    let Some((resource, target)) = resource.zip(target) else {
        let lower = kind.to_lowercase();
        let message = format!(
            "the HPA controller was unable to get the target's current scale: {lower}s.apps \"{target_name}\" not found"
        );
        let failure = Condition::new("AbleToScale", "False").because("FailedGetScale", message);
        return write_autoscaler(cx, 0, 0, &[failure]);
    };
    if !cx.passed("measure", SCALE, WHOLE) {
        return;
    }
    let current = int_or(&target, "spec.replicas", 1);
    let (least, most) = (
        int_or(autoscaler, "spec.minReplicas", 1),
        int_or(autoscaler, "spec.maxReplicas", 1),
    );
    if current == 0 {
        let scale = able(
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        );
        let message = "scaling is disabled since the replica count of the target is zero";
        let active = Condition::new("ScalingActive", "False").because("ScalingDisabled", message);
        return write_autoscaler(cx, 0, 0, &[scale, active]);
    }
    let desired = current.clamp(least.min(most), most.max(1));
    let running = int_or(&target, "status.replicas", current);
    let message = "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)";
    let active = Condition::new("ScalingActive", "True").because("ValidMetricFound", message);
    if desired == current {
        let fits = "recommended size matches current size";
        let range = Condition::new("ScalingLimited", "False").because(
            "DesiredWithinRange",
            "the desired count is within the acceptable range",
        );
        return write_autoscaler(
            cx,
            running,
            desired,
            &[able("ReadyForNewScale", fits), active, range],
        );
    }
    cx.patch(&resource, &target, json!({"spec": {"replicas": desired}}));
    let why = if current > most {
        "Current number of replicas above Spec.MaxReplicas"
    } else {
        "Current number of replicas below Spec.MinReplicas"
    };
    cx.event(
        "Normal",
        "SuccessfulRescale",
        format!("New size: {desired}; reason: {why}"),
    );
    let message = format!("the HPA controller was able to update the target scale to {desired}");
    write_autoscaler(
        cx,
        running,
        desired,
        &[able("SucceededRescale", &message), active],
    );
}

fn able(reason: &str, message: &str) -> Condition {
    Condition::new("AbleToScale", "True").because(reason, message)
}

fn write_autoscaler(cx: &mut Context<'_>, current: i64, desired: i64, new: &[Condition]) {
    let mut status = json!({
        "conditions": conditions(cx.object, new, cx.now),
        "currentReplicas": current,
        "desiredReplicas": desired,
    });
    if current == 0 && desired == 0 {
        if let Some(known) = int(cx.object, "status.currentReplicas") {
            status["currentReplicas"] = json!(known);
        }
    } else {
        status["currentMetrics"] = metrics(cx.object);
        status["observedGeneration"] = json!(generation(cx.object));
    }
    if new.iter().any(|one| *one == able_rescaled(desired)) {
        status["lastScaleTime"] = json!(stamp(cx.now));
    } else if let Some(known) = time(at(cx.object, "status.lastScaleTime")) {
        status["lastScaleTime"] = json!(stamp(known));
    }
    cx.status(status);
}

fn able_rescaled(desired: i64) -> Condition {
    let message = format!("the HPA controller was able to update the target scale to {desired}");
    able("SucceededRescale", &message)
}

/// Metrics that are exactly on target.
fn metrics(autoscaler: &Value) -> Value {
    items(autoscaler, "spec.metrics")
        .iter()
        .filter(|metric| text(metric, "type") == "Resource")
        .map(|metric| {
            let utilization = at(metric, "resource.target.averageUtilization");
            let mut current = json!({"averageValue": "100m"});
            if !utilization.is_null() {
                current["averageUtilization"] = utilization.clone();
            }
            json!({"type": "Resource", "resource": {"name": text(metric, "resource.name"), "current": current}})
        })
        .collect()
}
