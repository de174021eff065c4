//! The Flink Kubernetes operator: deployments, session jobs and snapshots of `flink.apache.org`
//! (flink-kubernetes-operator 1.10-1.12).

use crate::conditions::{Condition, conditions};
use crate::context::Context;
use crate::resources::{FLINK_DEPLOYMENTS, FLINK_SESSION_JOBS};
use crate::value::{
    Hold, at, deleting, finalizers_patch, generation, has_finalizer, hex, int_or, items, name,
    stamp_nanos, text,
};
use serde_json::{Value, json};

const DEPLOY: u64 = 200;
const START: u64 = 600;
const READY: u64 = 300;
const RUN: u64 = 600;
const FINISH: u64 = 1_500;
const SUSPEND: u64 = 500;
const WHOLE: u64 = DEPLOY + START + READY + RUN;
/// The annotation that makes a streaming job end, as a bounded one does.
const BOUNDED: &str = "sandbox.tidegate.dev/finish";

/// Which of the two alike kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Deployment,
    SessionJob,
}

impl Kind {
    fn finalizer(self) -> &'static str {
        match self {
            Self::Deployment => "flinkdeployments.flink.apache.org/finalizer",
            Self::SessionJob => "flinksessionjobs.flink.apache.org/finalizer",
        }
    }
}

/// How the parts of the status that are computed are shown together.
struct Shown<'a> {
    lifecycle: &'a str,
    manager: &'a str,
    job: &'a str,
    reconciliation: &'a str,
    error: Option<String>,
}

pub(crate) fn react_deployment(cx: &mut Context<'_>) {
    react(cx, Kind::Deployment);
}

pub(crate) fn react_session_job(cx: &mut Context<'_>) {
    react(cx, Kind::SessionJob);
}

fn react(cx: &mut Context<'_>, kind: Kind) {
    if deleting(cx.object) {
        return delete(cx, kind);
    }
    if !has_finalizer(cx.object, kind.finalizer()) {
        cx.patch_self(finalizers_patch(cx.object, kind.finalizer(), Hold::Add));
    }
    if !at(cx.object, "status.lifecycleState").is_string() {
        let error = invalid(cx.object, kind);
        let lifecycle = if error.is_some() { "FAILED" } else { "CREATED" };
        let shown = Shown {
            lifecycle,
            manager: "MISSING",
            job: "",
            reconciliation: "UPGRADING",
            error,
        };
        return write(cx, kind, &shown);
    }
    if invalid(cx.object, kind).is_some() || (kind == Kind::SessionJob && !session_ready(cx)) {
        return;
    }
    if reconciled(cx.object).as_ref() == Some(at(cx.object, "spec")) {
        advance(cx, kind);
    } else {
        change(cx, kind);
    }
}

fn delete(cx: &mut Context<'_>, kind: Kind) {
    if !has_finalizer(cx.object, kind.finalizer()) {
        return;
    }
    // A session cluster waits for its jobs.
    let jobs = cx.list(&FLINK_SESSION_JOBS, cx.namespace());
    let used = kind == Kind::Deployment
        && jobs
            .iter()
            .any(|job| text(job, "spec.deploymentName") == name(cx.object));
    if !used && cx.waited("delete", SUSPEND) {
        cx.patch_self(finalizers_patch(cx.object, kind.finalizer(), Hold::Remove));
    } else {
        cx.merge_status(json!({"lifecycleState": "DELETING"}));
    }
}

/// What the operator's validator refuses.
fn invalid(object: &Value, kind: Kind) -> Option<String> {
    let spec = at(object, "spec");
    let missing = match kind {
        Kind::Deployment if text(spec, "flinkVersion").is_empty() => {
            Some("Flink Version must be defined.")
        }
        Kind::SessionJob if text(spec, "deploymentName").is_empty() => {
            Some("The session job must specify a deployment name")
        }
        Kind::SessionJob if !at(spec, "job").is_object() => Some("The job spec should not be null"),
        _ => None,
    };
    let mode = text(spec, "job.upgradeMode");
    let flink = at(spec, "flinkConfiguration");
    let saves = [
        "execution.checkpointing.savepoint-dir",
        "state.savepoints.dir",
    ]
    .iter()
    .any(|key| flink.get(*key).is_some());
    let missing = missing.or_else(|| {
        (kind == Kind::Deployment && mode == "savepoint" && !saves).then_some(
            "Job could not be upgraded with savepoint while config key[execution.checkpointing.savepoint-dir] is not set",
        )
    });
    missing.map(|message| error("ReconciliationException", message))
}

fn error(class: &str, message: &str) -> String {
    let class = format!("org.apache.flink.kubernetes.operator.exception.{class}");
    json!({"type": class, "message": message, "additionalMetadata": {}, "throwableList": []})
        .to_string()
}

/// The spec that was reconciled last, out of the string that holds it.
fn reconciled(object: &Value) -> Option<Value> {
    let text = text(object, "status.reconciliationStatus.lastReconciledSpec");
    serde_json::from_str::<Value>(text)
        .ok()
        .map(|mut last| last["spec"].take())
}

fn session_ready(cx: &mut Context<'_>) -> bool {
    let wanted = text(cx.object, "spec.deploymentName");
    let deployment = cx.get(&FLINK_DEPLOYMENTS, cx.namespace(), wanted);
    deployment
        .is_some_and(|deployment| text(&deployment, "status.jobManagerDeploymentStatus") == "READY")
}

/// What a change of the spec means: nothing is running yet, or the job is suspended first.
fn change(cx: &mut Context<'_>, kind: Kind) {
    let Some(last) = reconciled(cx.object) else {
        if cx.passed(&format!("deploy-{}", cx.epoch()), DEPLOY, WHOLE) {
            deploy(cx, kind);
        }
        return;
    };
    let wants = |spec: &Value| text(spec, "job.state") != "suspended";
    let (was, will) = (wants(&last), wants(at(cx.object, "spec")));
    if !needs_upgrade(&last, at(cx.object, "spec")) {
        // Only what the operator ignores has changed: the new spec counts as reconciled.
        if cx.noticed() {
            let shown = text(cx.object, "status.lifecycleState").to_owned();
            write_reconciled(cx, kind, &shown);
        }
        return;
    }
    if was && !cx.passed(&format!("suspend-{}", cx.epoch()), SUSPEND, WHOLE) {
        let shown = text(cx.object, "status.reconciliationStatus.state");
        if cx.noticed() && shown != "UPGRADING" {
            let manager = text(cx.object, "status.jobManagerDeploymentStatus").to_owned();
            let job = text(cx.object, "status.jobStatus.state").to_owned();
            let shown = Shown {
                lifecycle: "UPGRADING",
                manager: &manager,
                job: &job,
                reconciliation: "UPGRADING",
                error: None,
            };
            write(cx, kind, &shown);
        }
        return;
    }
    if will {
        if cx.passed(&format!("deploy-{}", cx.epoch()), DEPLOY, WHOLE) {
            deploy(cx, kind);
        } else if was {
            // Between the two the job is down, its state kept in a savepoint or checkpoint.
            let shown = Shown {
                lifecycle: "UPGRADING",
                manager: "MISSING",
                job: "FINISHED",
                reconciliation: "UPGRADING",
                error: None,
            };
            write(cx, kind, &shown);
        }
    } else {
        let manager = if kind == Kind::Deployment {
            "MISSING"
        } else {
            "READY"
        };
        let shown = Shown {
            lifecycle: "SUSPENDED",
            manager,
            job: "FINISHED",
            reconciliation: "DEPLOYED",
            error: None,
        };
        write_spec(cx, kind, &shown);
    }
}

/// Fields that the operator does not restart a job for.
fn needs_upgrade(old: &Value, new: &Value) -> bool {
    let plain = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(job) = spec.get_mut("job").and_then(Value::as_object_mut) {
            for ignored in [
                "upgradeMode",
                "initialSavepointPath",
                "allowNonRestoredState",
                "savepointTriggerNonce",
                "checkpointTriggerNonce",
                "autoscalerResetNonce",
            ] {
                job.remove(ignored);
            }
        }
        if let Some(flink) = spec
            .get_mut("flinkConfiguration")
            .and_then(Value::as_object_mut)
        {
            flink.retain(|key, _| {
                !key.starts_with("job.autoscaler")
                    && !key.starts_with("kubernetes.operator")
                    && key != "parallelism.default"
            });
        }
        spec
    };
    plain(old) != plain(new)
}

/// The new spec is submitted: this is when the generation counts as observed, before the job runs.
fn deploy(cx: &mut Context<'_>, kind: Kind) {
    cx.forget("start");
    cx.forget("ready");
    cx.forget("run");
    cx.forget("finish");
    let manager = if kind == Kind::Deployment {
        "DEPLOYING"
    } else {
        "READY"
    };
    let suspended = text(cx.object, "spec.job.state") == "suspended";
    let idle = suspended || !at(cx.object, "spec.job").is_object();
    let shown = Shown {
        lifecycle: if suspended { "SUSPENDED" } else { "DEPLOYED" },
        manager: if suspended && kind == Kind::Deployment {
            "MISSING"
        } else {
            manager
        },
        job: if idle { "" } else { "RECONCILING" },
        reconciliation: "DEPLOYED",
        error: None,
    };
    write_spec(cx, kind, &shown);
}

/// A reconciled spec on its way to a running job.
fn advance(cx: &mut Context<'_>, kind: Kind) {
    let object = cx.object;
    let (shown_job, lifecycle) = (
        text(object, "status.jobStatus.state"),
        text(object, "status.lifecycleState"),
    );
    let has_job = at(object, "spec.job").is_object();
    let over = matches!(shown_job, "FINISHED" | "FAILED") && lifecycle != "UPGRADING";
    if text(object, "spec.job.state") == "suspended" || over || lifecycle == "FAILED" {
        return;
    }
    let running = shown_job == "RUNNING" || (!has_job && lifecycle == "STABLE");
    if !running {
        let stages = [
            ("start", START, "DEPLOYING", "RECONCILING"),
            ("ready", READY, "DEPLOYED_NOT_READY", "RECONCILING"),
            ("run", RUN, "READY", "CREATED"),
        ];
        for (step, part, manager, job) in stages {
            // A session job has no job manager of its own to wait for.
            let skipped = kind == Kind::SessionJob && step != "run";
            if !skipped && !cx.passed(&format!("{step}-{}", cx.epoch()), part, WHOLE) {
                let job = if has_job { job } else { "" };
                let manager = if kind == Kind::SessionJob {
                    "READY"
                } else {
                    manager
                };
                let shown = Shown {
                    lifecycle: "DEPLOYED",
                    manager,
                    job,
                    reconciliation: "DEPLOYED",
                    error: None,
                };
                return write(cx, kind, &shown);
            }
        }
    }
    let attempts = u32::try_from(cx.fact("failures").as_u64().unwrap_or(0)).unwrap_or(u32::MAX);
    // A job that runs has its failing attempts behind it, whatever this memory knows.
    let healed = shown_job == "RUNNING" && cx.faults.fail_times.is_some();
    let attempts = if healed { u32::MAX } else { attempts };
    let message = cx.faults.failure(attempts).map(str::to_owned).or_else(|| {
        cx.faults
            .crash_loop
            .then(|| "back-off restarting failed container flink-main-container".to_owned())
    });
    match message {
        Some(message) if has_job => fail(cx, kind, &message, attempts),
        Some(message) => {
            let error = Some(error("DeploymentFailedException", &message));
            let shown = Shown {
                lifecycle: "FAILED",
                manager: "ERROR",
                job: "",
                reconciliation: "DEPLOYED",
                error,
            };
            write(cx, kind, &shown);
        }
        None => settle(cx, kind, has_job),
    }
}

fn fail(cx: &mut Context<'_>, kind: Kind, message: &str, attempts: u32) {
    if cx.faults.fail_times.is_some() {
        // Flink's restart strategy starts the job again.
        if cx.waited(&format!("restart-{attempts}"), START) {
            cx.remember("failures", json!(attempts + 1));
            let now = cx.now;
            cx.wake(now);
        }
        let shown = Shown {
            lifecycle: "DEPLOYED",
            manager: "READY",
            job: "RESTARTING",
            reconciliation: "DEPLOYED",
            error: None,
        };
        return write(cx, kind, &shown);
    }
    let error = Some(error("ReconciliationException", message));
    let shown = Shown {
        lifecycle: "FAILED",
        manager: "READY",
        job: "FAILED",
        reconciliation: "DEPLOYED",
        error,
    };
    write(cx, kind, &shown);
}

fn settle(cx: &mut Context<'_>, kind: Kind, has_job: bool) {
    let object = cx.object;
    let mode = at(object, "spec.flinkConfiguration").get("execution.runtime-mode");
    let batch = mode
        .and_then(Value::as_str)
        .is_some_and(|mode| mode.eq_ignore_ascii_case("batch"));
    let bounded =
        batch || crate::value::annotation(object, BOUNDED).is_some_and(|value| value != "false");
    let step = format!("finish-{}", cx.epoch());
    let job = match (has_job, bounded) {
        (false, _) => "",
        (true, true) if cx.passed(&step, FINISH, FINISH) => "FINISHED",
        (true, _) => "RUNNING",
    };
    let shown = Shown {
        lifecycle: "STABLE",
        manager: "READY",
        job,
        reconciliation: "DEPLOYED",
        error: None,
    };
    write(cx, kind, &shown);
}

/// Writes the status with the present spec as the one reconciled last.
fn write_spec(cx: &mut Context<'_>, kind: Kind, shown: &Shown<'_>) {
    let (api_version, generation) = (text(cx.object, "apiVersion"), cx.generation());
    let first = reconciled(cx.object).is_none();
    let last = json!({
        "spec": at(cx.object, "spec"),
        "resource_metadata": {
            "apiVersion": api_version, "metadata": {"generation": generation}, "firstDeployment": first,
        },
    });
    let mut status = status(cx, kind, shown);
    status["observedGeneration"] = json!(generation);
    status["reconciliationStatus"]["lastReconciledSpec"] = json!(last.to_string());
    status["reconciliationStatus"]["reconciliationTimestamp"] = json!(cx.now.as_millisecond());
    cx.status(status);
}

fn write_reconciled(cx: &mut Context<'_>, kind: Kind, lifecycle: &str) {
    let manager = text(cx.object, "status.jobManagerDeploymentStatus").to_owned();
    let job = text(cx.object, "status.jobStatus.state").to_owned();
    let shown = Shown {
        lifecycle,
        manager: &manager,
        job: &job,
        reconciliation: "DEPLOYED",
        error: None,
    };
    write_spec(cx, kind, &shown);
}

fn write(cx: &mut Context<'_>, kind: Kind, shown: &Shown<'_>) {
    let status = status(cx, kind, shown);
    cx.status(status);
}

fn status(cx: &mut Context<'_>, kind: Kind, shown: &Shown<'_>) -> Value {
    let object = cx.object;
    let mut status = at(object, "status").clone();
    if !status.is_object() {
        status = json!({});
    }
    status["lifecycleState"] = json!(shown.lifecycle);
    let old = text(object, "status.jobStatus.state");
    let mut job = at(object, "status.jobStatus").clone();
    if !job.is_object() {
        job = json!({});
    }
    if !shown.job.is_empty() && old != shown.job {
        let now = cx.now.as_millisecond().to_string();
        if matches!(shown.job, "RECONCILING") || text(&job, "startTime").is_empty() {
            job["startTime"] = json!(now);
        }
        job["updateTime"] = json!(now);
        job["state"] = json!(shown.job);
        let id = hex(&[cx.uid(), &generation(object).to_string(), "job"], 16);
        job["jobId"] = json!(id);
        job["jobName"] = json!(name(object));
        if shown.job == "FINISHED" && shown.lifecycle != "STABLE" {
            let mode = text(object, "spec.job.upgradeMode");
            if mode == "savepoint" || mode == "last-state" {
                let path = format!("file:///flink-data/savepoints/savepoint-{}", &id[..6]);
                job["upgradeSavepointPath"] = json!(path);
            }
        }
    }
    status["jobStatus"] = job;
    status["reconciliationStatus"]["state"] = json!(shown.reconciliation);
    if shown.lifecycle == "STABLE" {
        let last = at(object, "status.reconciliationStatus.lastReconciledSpec").clone();
        status["reconciliationStatus"]["lastStableSpec"] = last;
    }
    match &shown.error {
        Some(error) => status["error"] = json!(error),
        None => {
            if let Some(fields) = status.as_object_mut() {
                fields.remove("error");
            }
        }
    }
    if kind == Kind::Deployment {
        deployment_fields(cx, &mut status, shown);
    }
    status
}

fn deployment_fields(cx: &Context<'_>, status: &mut Value, shown: &Shown<'_>) {
    let object = cx.object;
    status["jobManagerDeploymentStatus"] = json!(shown.manager);
    let slots = at(object, "spec.flinkConfiguration").get("taskmanager.numberOfTaskSlots");
    let slots = slots
        .and_then(|slots| slots.as_i64().or_else(|| slots.as_str()?.parse().ok()))
        .unwrap_or(1);
    let parallelism = int_or(object, "spec.job.parallelism", 1);
    let up = shown.manager == "READY";
    let replicas = if up {
        (parallelism + slots.max(1) - 1) / slots.max(1)
    } else {
        0
    };
    let replicas = int_or(object, "spec.taskManager.replicas", replicas);
    status["taskManager"] = json!({
        "labelSelector": format!("component=taskmanager,app={}", name(object)),
        "replicas": if up { replicas } else { 0 },
    });
    if up {
        let version = text(object, "spec.flinkVersion")
            .trim_start_matches('v')
            .replace('_', ".");
        status["clusterInfo"] = json!({
            "flink-revision": "simulated", "flink-version": format!("{version}.0"),
            "total-cpu": "2.0", "total-memory": "4294967296",
        });
    }
    let running = shown.job == "RUNNING" || (shown.job.is_empty() && up);
    let words = camel(if shown.job.is_empty() {
        shown.manager
    } else {
        shown.job
    });
    let condition = Condition::new("Running", if running { "True" } else { "False" }).because(
        &words,
        format!("JobManager is {}, job is {}", shown.manager, shown.job),
    );
    let mut list = conditions(object, &[condition], cx.now);
    if let Some(first) = list.get_mut(0)
        && let Some(old) = items(object, "status.conditions").first()
        && at(old, "status") == at(first, "status")
    {
        first["lastTransitionTime"] = at(old, "lastTransitionTime").clone();
    }
    status["conditions"] = list;
}

fn camel(word: &str) -> String {
    word.split('_')
        .filter_map(|part| {
            let mut chars = part.chars();
            let first = chars.next()?;
            Some(format!("{first}{}", chars.as_str().to_lowercase()))
        })
        .collect()
}

/// A snapshot of a job's state.
pub(crate) fn react_snapshot(cx: &mut Context<'_>) {
    let snapshot = cx.object;
    let state = text(snapshot, "status.state");
    if deleting(snapshot) || matches!(state, "COMPLETED" | "ABANDONED") {
        return;
    }
    let reference = at(snapshot, "spec.jobReference");
    let resource = match text(reference, "kind") {
        "FlinkSessionJob" => FLINK_SESSION_JOBS,
        _ => FLINK_DEPLOYMENTS,
    };
    let job = cx.get(&resource, cx.namespace(), text(reference, "name"));
    let running = job.is_some_and(|job| text(&job, "status.jobStatus.state") == "RUNNING");
    let failures = u32::try_from(int_or(snapshot, "status.failures", 0)).unwrap_or(0);
    if !running {
        return cx.merge_status(json!({"state": "TRIGGER_PENDING", "failures": failures}));
    }
    let began = stamp_nanos(cx.began("trigger"));
    if !cx.passed(&format!("take-{failures}"), 800, 800) {
        let fields =
            json!({"state": "IN_PROGRESS", "failures": failures, "triggerTimestamp": began});
        return cx.merge_status(fields);
    }
    if let Some(message) = cx.faults.failure(failures).map(str::to_owned) {
        let limit = int_or(snapshot, "spec.backoffLimit", -1);
        let more = limit < 0 || i64::from(failures) < limit;
        let state = if more && cx.faults.fail_times.is_some() {
            "IN_PROGRESS"
        } else {
            "FAILED"
        };
        if text(snapshot, "status.state") != "FAILED" {
            cx.merge_status(json!({"state": state, "failures": failures + 1, "error": message}));
        }
        return;
    }
    let wanted = text(snapshot, "spec.savepoint.path");
    let id = hex(&[cx.uid(), "savepoint"], 6);
    let base = if wanted.is_empty() {
        "file:///flink-data/savepoints"
    } else {
        wanted
    };
    let fields = json!({
        "state": "COMPLETED", "failures": failures, "path": format!("{base}/savepoint-{id}"),
        "resultTimestamp": stamp_nanos(cx.now), "error": Value::Null,
    });
    cx.merge_status(fields);
}
