//! Which reaction belongs to which resource. Nothing is simulated that is not listed here.

use crate::context::{Context, Memory, Pace, Reaction};
use crate::resources as r;
use crate::world::World;
use crate::{
    cluster, cron_job, daemon_set, deployment, flink, job, knative, pod, replica_set, rollout,
    secrets, service, simple, spark, stateful_set, storage, strimzi, tekton,
};
use jiff::Timestamp;
use serde_json::Value;
use tidegate_sandbox_kubernetes::ResourceName;

type React = fn(&mut Context<'_>);

const REACTIONS: &[(ResourceName, React)] = &[
    (r::PODS, pod::react),
    (r::REPLICA_SETS, replica_set::react),
    (r::DEPLOYMENTS, deployment::react),
    (r::STATEFUL_SETS, stateful_set::react),
    (r::DAEMON_SETS, daemon_set::react),
    (r::JOBS, job::react),
    (r::CRON_JOBS, cron_job::react),
    (r::SERVICES, service::react),
    (r::INGRESSES, service::react_ingress),
    (r::CLAIMS, storage::react_claim),
    (r::VOLUMES, storage::react_volume),
    (r::NAMESPACES, cluster::react_namespace),
    (r::AUTOSCALERS, cluster::react_autoscaler),
    (r::DISRUPTION_BUDGETS, cluster::react_disruption_budget),
    (r::API_SERVICES, cluster::react_api_service),
    (r::KAFKAS, strimzi::kafka::react),
    (r::KAFKA_NODE_POOLS, strimzi::kafka::react_pool),
    (r::KAFKA_REBALANCES, strimzi::kafka::react_rebalance),
    (r::KAFKA_TOPICS, strimzi::topic::react),
    (r::KAFKA_USERS, strimzi::user::react),
    (r::KAFKA_CONNECTS, strimzi::connect::react_connect),
    (r::KAFKA_CONNECTORS, strimzi::connect::react_connector),
    (r::KAFKA_MIRROR_MAKERS, strimzi::connect::react_mirror_maker),
    (r::KAFKA_BRIDGES, strimzi::connect::react_bridge),
    (r::FLINK_DEPLOYMENTS, flink::react_deployment),
    (r::FLINK_SESSION_JOBS, flink::react_session_job),
    (r::FLINK_SNAPSHOTS, flink::react_snapshot),
    (r::SPARK_APPLICATIONS, spark::react),
    (r::SCHEDULED_SPARK_APPLICATIONS, spark::react_scheduled),
    (r::KNATIVE_SERVICES, knative::react_service),
    (r::KNATIVE_CONFIGURATIONS, knative::react_configuration),
    (r::KNATIVE_REVISIONS, knative::react_revision),
    (r::KNATIVE_ROUTES, knative::react_route),
    (r::TASK_RUNS, tekton::react_task_run),
    (r::PIPELINE_RUNS, tekton::react_pipeline_run),
    (r::SECRET_STORES, secrets::react_store),
    (r::CLUSTER_SECRET_STORES, secrets::react_store),
    (r::EXTERNAL_SECRETS, secrets::react_external),
    (r::SEALED_SECRETS, secrets::react_sealed),
    (r::ISSUERS, secrets::react_issuer),
    (r::CLUSTER_ISSUERS, secrets::react_issuer),
    (r::CERTIFICATES, secrets::react_certificate),
    (r::ROLLOUTS, rollout::react),
    (r::SCALED_OBJECTS, simple::react_scaled_object),
];

fn reaction(resource: &ResourceName) -> Option<React> {
    let exact = REACTIONS
        .iter()
        .find(|(known, _)| known == resource)
        .map(|(_, react)| *react);
    exact.or_else(|| simple::knows(resource).then_some(simple::react as React))
}

/// Whether objects of the resource are simulated.
pub fn simulates(resource: &ResourceName) -> bool {
    reaction(resource).is_some()
}

/// The built-in resources that reactions look at: those to read before the first reaction.
pub(crate) fn watched() -> impl Iterator<Item = ResourceName> {
    let plain = [
        r::NODES,
        r::ENDPOINTS,
        r::SECRETS,
        r::CONFIG_MAPS,
        r::SERVICE_ACCOUNTS,
        r::REVISIONS,
    ];
    let more = [r::ENDPOINT_SLICES, r::STORAGE_CLASSES];
    let simulated = REACTIONS.iter().map(|(resource, _)| resource.clone());
    simulated
        .chain(plain)
        .chain(more)
        .filter(|resource| !resource.group().contains('.') || is_built_in(resource))
}

fn is_built_in(resource: &ResourceName) -> bool {
    resource.group().ends_with(".k8s.io") && resource.group() != "sparkoperator.k8s.io"
}

/// What the controller of an object does now: pure, the same for the same arguments.
/// `None` for kinds that are not simulated.
pub fn react(
    resource: &ResourceName,
    object: &Value,
    world: &dyn World,
    memory: Memory,
    now: Timestamp,
    pace: Pace,
) -> Option<Reaction> {
    let react = reaction(resource)?;
    let mut cx = Context::new(resource, object, world, memory, now, pace);
    react(&mut cx);
    Some(cx.finish())
}
