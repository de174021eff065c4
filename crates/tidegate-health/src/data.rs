//! Databases, stores, queues and functions, each with a rule of its own. Source: Argo CD's scripts of these kinds.

use tidegate_manifest::{Health, HealthStatus};

use crate::{
    Subject,
    verdict::{degraded, healthy, progressing, suspended, unknown},
    view::View,
};

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    let check: fn(&Subject<'_>) -> Health = match (subject.group, subject.kind) {
        ("keda.sh", "ScaledObject") => |subject| {
            scaler(
                subject.view,
                &[("Ready", "False"), ("Fallback", "True")],
                "Creating HorizontalPodAutoscaler Object",
            )
        },
        ("keda.sh", "ScaledJob") => |subject| {
            scaler(
                subject.view,
                &[("Ready", "False"), ("Ready", "Unknown")],
                "Waiting for ScaledJob",
            )
        },
        ("openfaas.com", "Function") => |subject| function(subject.view),
        ("kubernetes-client.io", "ExternalSecret") => |subject| old_external_secret(subject.view),
        ("postgresql.cnpg.io", "Cluster") => postgres,
        ("k8s.mariadb.com", _) => |subject| mariadb(subject),
        ("clickhouse.altinity.com", "ClickHouseInstallation") => |subject| clickhouse(subject.view),
        ("elasticsearch.k8s.elastic.co", "Elasticsearch") => |subject| elasticsearch(subject.view),
        ("minio.min.io", "Tenant") => |subject| minio(subject.view),
        ("rabbitmq.com", "RabbitmqCluster") => |subject| rabbitmq(subject.view),
        (
            "rabbitmq.com",
            "Binding" | "Exchange" | "Permission" | "Policy" | "Queue" | "Shovel" | "User"
            | "Vhost",
        ) => rabbitmq_topology,
        ("numaflow.numaproj.io", "Pipeline" | "MonoVertex") => numaflow,
        ("db.atlasgo.io", "AtlasSchema" | "AtlasMigration") => |subject| atlas(subject.view),
        ("objectbucket.io", "ObjectBucketClaim" | "ObjectBucket") => object_bucket,
        _ => return None,
    };
    Some(subject.unobserved().unwrap_or_else(|| check(subject)))
}

/// KEDA: the message is that of the last condition that says something.
fn scaler(view: View<'_>, failures: &[(&str, &str)], waiting: &str) -> Health {
    let (mut ready, mut paused, mut failed, mut message) = (false, false, false, "");
    for condition in view.conditions() {
        let failing = failures
            .iter()
            .any(|(kind, status)| condition.is(kind, status));
        (ready, paused, failed) = (
            ready || condition.is_true("Ready"),
            paused || condition.is_true("Paused"),
            failed || failing,
        );
        if failing || condition.is_true("Ready") || condition.is_true("Paused") {
            message = condition.message;
        }
    }
    match (failed, ready, paused) {
        (true, ..) => degraded(message),
        (false, true, true) => suspended(message),
        (false, true, false) => healthy(message),
        (false, false, _) => progressing(waiting),
    }
}

fn function(view: View<'_>) -> Health {
    let decided = view.conditions().iter().find_map(|condition| {
        if condition.is_false("Ready") || condition.is_true("Stalled") {
            return Some(degraded(condition.message));
        }
        let serving = view.count("replicas") > 0;
        condition.is_true("Ready").then(|| {
            if serving {
                healthy(condition.message)
            } else {
                suspended("No replicas available")
            }
        })
    });
    decided.unwrap_or_else(|| progressing("Waiting for Function"))
}

fn old_external_secret(view: View<'_>) -> Health {
    match view.status(&["status"]).text() {
        "SUCCESS" => healthy("Fetched ExternalSecret."),
        status if status.starts_with("ERROR") => degraded(status.replace("ERROR, ", "")),
        _ => progressing("Waiting for ExternalSecret."),
    }
}

/// What a phase of CloudNativePG means to Argo CD, and what it means when looked at closely: work in progress is no failure, and what
/// nobody asked to stop is not suspended.
const POSTGRES_PHASES: &[(&str, HealthStatus, HealthStatus)] = {
    use HealthStatus::{Degraded, Healthy, Progressing, Suspended};
    &[
        ("Cluster in healthy state", Healthy, Healthy),
        ("Setting up primary", Progressing, Progressing),
        ("Creating a new replica", Progressing, Progressing),
        ("Upgrading cluster", Progressing, Progressing),
        (
            "Waiting for the instances to become active",
            Progressing,
            Progressing,
        ),
        ("Promoting to primary cluster", Progressing, Progressing),
        ("Switchover in progress", Degraded, Progressing),
        ("Failing over", Degraded, Progressing),
        ("Upgrading Postgres major version", Degraded, Progressing),
        ("Cluster upgrade delayed", Degraded, Progressing),
        ("Waiting for user action", Degraded, Degraded),
        (
            "Primary instance is being restarted in-place",
            Degraded,
            Progressing,
        ),
        (
            "Primary instance is being restarted without a switchover",
            Degraded,
            Progressing,
        ),
        (
            "Cluster cannot execute instance online upgrade due to missing architecture binary",
            Degraded,
            Degraded,
        ),
        ("Online upgrade in progress", Degraded, Progressing),
        ("Applying configuration", Degraded, Progressing),
        (
            "Unable to create required cluster objects",
            Suspended,
            Degraded,
        ),
        (
            "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
            Suspended,
            Degraded,
        ),
        (
            "Cluster has incomplete or invalid image catalog",
            Suspended,
            Degraded,
        ),
        (
            "Cluster is unrecoverable and needs manual intervention",
            Suspended,
            Degraded,
        ),
    ]
};

fn postgres(subject: &Subject<'_>) -> Health {
    let view = subject.view;
    // The annotation that this rule knows is documented as `reconciliationLoop`; older ones said `reconciliation`.
    let disabled = ["cnpg.io/reconciliationLoop", "cnpg.io/reconciliation"]
        .iter()
        .any(|name| view.annotation(name) == Some("disabled"));
    if disabled {
        return suspended("Cluster reconciliation is suspended");
    }
    let reason = view.status(&["phaseReason"]).text();
    if !view.status(&["conditions"]).exists() {
        return progressing(reason);
    }
    if let Some(hibernation) = view
        .conditions()
        .iter()
        .find(|condition| condition.kind == "cnpg.io/hibernation")
    {
        return if hibernation.status == "True" {
            suspended(hibernation.message)
        } else {
            degraded(hibernation.message)
        };
    }
    let phase = view.status(&["phase"]).text();
    let known = POSTGRES_PHASES.iter().find(|(known, ..)| *known == phase);
    let message = if reason.is_empty() && subject.precise() {
        phase
    } else {
        reason
    };
    match known {
        Some((_, compatible, precise)) => Health::new(
            if subject.precise() {
                *precise
            } else {
                *compatible
            },
            message,
        ),
        None => unknown(message),
    }
}

fn mariadb(subject: &Subject<'_>) -> Health {
    let conditions = subject.view.conditions();
    if conditions.is_empty() {
        return progressing(format!("No status conditions found for {}", subject.kind));
    }
    match conditions
        .iter()
        .find(|condition| condition.status == "False")
    {
        Some(condition) if condition.reason == "Failed" => degraded(condition.message),
        Some(condition) => progressing(condition.message),
        None => healthy(format!("{} is healthy.", subject.kind)),
    }
}

fn clickhouse(view: View<'_>) -> Health {
    match view.status(&["status"]).text() {
        "" => progressing("ClickHouse status not yet available"),
        "Completed" => healthy("ClickHouse installation completed successfully"),
        "InProgress" => progressing("ClickHouse installation in progress"),
        other => degraded(format!("ClickHouse status: {other}")),
    }
}

fn elasticsearch(view: View<'_>) -> Health {
    let unsure = || unknown("Elasticsearch Cluster status is unknown");
    let Some(available) = view.status(&["availableNodes"]).number() else {
        return unsure();
    };
    let wanted = view
        .spec(&["nodeSets"])
        .items()
        .filter_map(|set| set.at(&["count"]).number())
        .fold(0_i64, i64::saturating_add);
    if available < wanted {
        return progressing(format!(
            "The desired amount of nodes is {wanted} but the amount of availableNodes is {available}"
        ));
    }
    if available > wanted {
        return unsure();
    }
    match (
        view.status(&["phase"]).text(),
        view.status(&["health"]).text(),
    ) {
        ("Ready", "green") => healthy("Elasticsearch Cluster status is Green"),
        ("Ready", "yellow") => progressing(
            "Elasticsearch Cluster status is Yellow. Check the status of indices, replicas and shards",
        ),
        ("Ready", "red") => degraded(
            "Elasticsearch Cluster status is Red. Check the status of indices, replicas and shards",
        ),
        (phase @ ("ApplyingChanges" | "MigratingData" | "Stalled"), _) => {
            progressing(format!("Elasticsearch phase is {phase}"))
        }
        ("Invalid", _) => degraded("Elasticsearch phase is Invalid"),
        _ => unsure(),
    }
}

const MINIO_FAILURES: &[&str] = &[
    "Statefulset not controlled by operator",
    "Another MinIO Tenant already exists in the namespace",
    "Different versions across MinIO Pools",
];

fn minio(view: View<'_>) -> Health {
    match view.status(&["currentState"]).text() {
        "" => Health::new(HealthStatus::Missing, "No status info available"),
        "Initialized" => healthy("Initialized"),
        state
            if ["Provisioning", "Waiting", "Updating", "Restarting"]
                .iter()
                .any(|word| state.starts_with(word)) =>
        {
            progressing(state)
        }
        state if MINIO_FAILURES.contains(&state) => degraded(state),
        state => unknown(state),
    }
}

fn rabbitmq(view: View<'_>) -> Health {
    let conditions = view.conditions();
    let find = |kind: &str| conditions.iter().find(|condition| condition.kind == kind);
    if let Some(failed) = conditions
        .iter()
        .find(|condition| condition.is_false("ReconcileSuccess"))
    {
        return degraded(failed.message);
    }
    let (available, ready) = (find("ClusterAvailable"), find("AllReplicasReady"));
    let status = |condition: Option<&crate::view::Condition<'_>>| {
        condition
            .map(|condition| condition.status.to_owned())
            .unwrap_or_default()
    };
    match (status(available).as_str(), status(ready).as_str()) {
        ("Unknown", _) | (_, "Unknown") => {
            progressing("Waiting for RabbitMQ cluster readiness (conditions unknown)")
        }
        (_, "False")
            if ready.is_some_and(|ready| ready.reason == "ScaledToZero")
                && view.spec(&["replicas"]).number() == Some(0) =>
        {
            suspended("RabbitmqCluster is scaled to 0 replicas")
        }
        ("False", _) => progressing("Waiting for RabbitMQ cluster formation"),
        (_, "False") => progressing("Waiting for RabbitMQ instances ready"),
        ("True", "True") => healthy("RabbitMQ cluster ready"),
        _ => progressing("Waiting for RabbitMQ Operator"),
    }
}

fn rabbitmq_topology(subject: &Subject<'_>) -> Health {
    let kind = subject.kind.to_lowercase();
    let decided = subject.view.conditions().iter().find_map(|condition| {
        match (condition.kind, condition.status, condition.reason) {
            ("Ready", "True", "SuccessfulCreateOrUpdate") => {
                Some(healthy(format!("RabbitMQ {kind} ready")))
            }
            ("Ready", "False", "FailedCreateOrUpdate") => Some(degraded(format!(
                "RabbitMQ {kind} failed to be created or updated"
            ))),
            _ => None,
        }
    });
    let undecided = || {
        // Argo CD calls an object that its operator has not seen yet Unknown, which is worse than Degraded.
        if subject.precise() {
            progressing(format!("Waiting for RabbitMQ {kind}"))
        } else {
            unknown(format!("RabbitMQ {kind} status is unknown"))
        }
    };
    decided.unwrap_or_else(undecided)
}

fn numaflow(subject: &Subject<'_>) -> Health {
    let (view, kind) = (subject.view, subject.kind);
    let waiting = || progressing(format!("Waiting for {kind} status"));
    if !view.at(&["status"]).exists()
        || view.generation() != view.status(&["observedGeneration"]).number()
    {
        return waiting();
    }
    let phase = view.status(&["phase"]).text();
    let upgrade = view
        .at(&[
            "metadata",
            "labels",
            "numaplane.numaproj.io/progressive-result-state",
        ])
        .text();
    if phase == "Failed" {
        return degraded(view.status(&["message"]).text());
    }
    if upgrade == "failed" {
        return degraded("Failed progressive upgrade");
    }
    if view
        .conditions()
        .iter()
        .any(|condition| condition.status == "False")
    {
        return degraded("Subresources are unhealthy");
    }
    match phase {
        "Paused" | "Pausing" => healthy(format!("{kind} is paused")),
        "Running" => healthy(format!("{kind} is healthy")),
        _ => waiting(),
    }
}

fn atlas(view: View<'_>) -> Health {
    let conditions = view.conditions();
    let Some(ready) = conditions
        .iter()
        .find(|condition| condition.kind == "Ready")
    else {
        return progressing("Waiting for Atlas Operator");
    };
    let underway = |word: &str| matches!(word, "Reconciling" | "GettingDevDB");
    if ready.status == "True" {
        healthy(ready.reason)
    } else if underway(ready.reason) || underway(ready.message) {
        progressing(ready.reason)
    } else {
        degraded(ready.reason)
    }
}

fn object_bucket(subject: &Subject<'_>) -> Health {
    let what = if subject.kind == "ObjectBucket" {
        "Object bucket"
    } else {
        "Object bucket claim"
    };
    if !subject.view.at(&["status"]).exists() {
        return progressing("Waiting for status to be reported");
    }
    match subject.view.status(&["phase"]).text() {
        "" => progressing("Waiting for phase to be reported"),
        phase @ "Bound" => healthy(format!("{what} phase is {phase}")),
        phase @ "Failed" => degraded(format!("{what} phase is {phase}")),
        phase => progressing(format!("{what} phase is {phase}")),
    }
}
