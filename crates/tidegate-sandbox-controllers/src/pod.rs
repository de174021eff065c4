//! The scheduler and the kubelet of the simulated node: a pod's way from Pending to Ready, to its end, or to a fault.
//! No program runs: `pod/program.rs` says how a container's command decides its exit code.

pub(crate) mod needs;
mod program;
pub(crate) mod report;

use crate::context::Context;
use crate::resources::{JOBS, NODES};
use crate::value::{
    Hold, controller, deleting, finalizers_patch, has_finalizer, int_or, items, name, text, uid,
};
use jiff::Timestamp;
use needs::Need;
use report::{Report, Stage, State};
use serde_json::{Value, json};

/// The finalizer by which the Job controller counts each pod exactly once.
pub(crate) const JOB_FINALIZER: &str = "batch.kubernetes.io/job-tracking";

const SCHEDULE: u64 = 50;
const CREATE: u64 = 250;
const INIT: u64 = 150;
const READY: u64 = 250;
const RUN: u64 = 500;
const CRASH: u64 = 200;
const STOP: u64 = 200;
const WHOLE: u64 = SCHEDULE + CREATE + READY;

/// How often a kubelet lets a container crash before it waits its longest, 5 minutes.
const LONGEST_BACKOFF: i64 = 300;
/// The simulation waits this part of what the kubelet would wait.
const BACKOFF_SHARE_MILLIS: u64 = 50;
/// The most failing pulls that `fail-times` can ask for.
const MAX_PULLS: u32 = 20;

pub(crate) fn react(cx: &mut Context<'_>) {
    let pod = cx.object;
    let ended = matches!(text(pod, "status.phase"), "Succeeded" | "Failed");
    release_orphan(cx);
    if deleting(pod) {
        stop(cx);
    } else if !ended {
        resume(cx);
        run(cx);
    }
}

/// A Job's pod whose Job is gone would wait for ever to be counted.
fn release_orphan(cx: &mut Context<'_>) {
    let pod = cx.object;
    if !has_finalizer(pod, JOB_FINALIZER) {
        return;
    }
    let job = controller(pod).filter(|owner| text(owner, "kind") == "Job");
    let alive = job.is_some_and(|owner| {
        cx.get(&JOBS, cx.namespace(), text(owner, "name"))
            .is_some_and(|job| uid(&job) == text(owner, "uid"))
    });
    if !alive {
        cx.patch_self(finalizers_patch(pod, JOB_FINALIZER, Hold::Remove));
    }
}

fn stop(cx: &mut Context<'_>) {
    if cx.fact("stopped").as_bool() == Some(true) {
        return;
    }
    // Containers without a zero grace period take a moment to end, whatever an annotation says.
    let at_once = int_or(cx.object, "metadata.deletionGracePeriodSeconds", 30) == 0;
    if at_once || cx.waited("stop", STOP) {
        cx.remember("stopped", json!(true));
        cx.delete_self_now();
    }
}

/// Takes up a pod that was running before this memory began.
fn resume(cx: &mut Context<'_>) {
    if !cx.memory.steps.is_empty() || text(cx.object, "status.phase") != "Running" {
        return;
    }
    let run = format!("run-{}", restarts(cx.object));
    for step in ["schedule", "create", "init", &run] {
        cx.memory
            .steps
            .insert(step.to_owned(), Timestamp::UNIX_EPOCH);
    }
}

fn restarts(pod: &Value) -> i64 {
    let statuses = items(pod, "status.containerStatuses").iter();
    statuses
        .map(|status| int_or(status, "restartCount", 0))
        .max()
        .unwrap_or(0)
}

fn run(cx: &mut Context<'_>) {
    if !schedule(cx) {
        return;
    }
    let stage = match next_stage(cx) {
        Ok(stage) | Err(stage) => stage,
    };
    Report::new(cx, stage).write(cx);
}

/// Whether the pod has a node; reports why not.
fn schedule(cx: &mut Context<'_>) -> bool {
    let pod = cx.object;
    if let Some(message) = needs::unbound_claim(cx) {
        Report::new(cx, Stage::Unschedulable(message)).write(cx);
        return false;
    }
    if !text(pod, "spec.nodeName").is_empty() {
        cx.began("schedule");
        return true;
    }
    if !cx.passed("schedule", SCHEDULE, WHOLE) {
        Report::new(cx, Stage::Unscheduled).write(cx);
        return false;
    }
    let nodes = cx.list(&NODES, "");
    let open: Vec<&str> = nodes
        .iter()
        .filter(|node| !crate::value::flag(node, "spec.unschedulable"))
        .map(|node| name(node))
        .collect();
    if open.is_empty() {
        let message = "no nodes available to schedule pods".to_owned();
        Report::new(cx, Stage::Unschedulable(message)).write(cx);
        return false;
    }
    let pick = usize::from(crate::value::digest(&[cx.uid()])[0]) % open.len();
    let (space, pod_name, node) = (cx.namespace(), cx.name(), open[pick]);
    cx.patch_self(json!({"spec": {"nodeName": node}}));
    let message = format!("Successfully assigned {space}/{pod_name} to {node}");
    cx.event("Normal", "Scheduled", message);
    // The assignment comes back as a change; the pod goes on from there.
    false
}

/// How far the pod gets now. An `Err` is a place where it waits for something outside it.
fn next_stage(cx: &mut Context<'_>) -> Result<Stage, Stage> {
    if let Some(Need { reason, message }) = needs::missing_volume(cx) {
        if cx.fact("told").as_str() != Some(&message) {
            cx.remember("told", json!(message));
            cx.event("Warning", reason, message);
        }
        return Err(Stage::Creating);
    }
    if !cx.passed("create", CREATE, WHOLE) {
        return Err(Stage::Creating);
    }
    image(cx)?;
    if !items(cx.object, "spec.initContainers").is_empty() && !cx.passed("init", INIT, WHOLE) {
        return Err(Stage::Initializing);
    }
    if let Some(Need { reason, message }) = needs::missing_environment(cx) {
        return Err(Stage::Waiting {
            reason: reason.to_owned(),
            message,
        });
    }
    Ok(containers(cx))
}

/// The pull of the image, when an annotation makes it fail: for ever, or `fail-times` times.
fn image(cx: &mut Context<'_>) -> Result<(), Stage> {
    if !cx.faults.image_pull_backoff {
        return Ok(());
    }
    let first = items(cx.object, "spec.containers").first();
    let image = first.map_or("", |first| text(first, "image"));
    for attempt in 0..cx.faults.fail_times.unwrap_or(1).min(MAX_PULLS) {
        if !cx.waited(&format!("pull-{attempt}"), CRASH) {
            let message = format!(
                "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": not found"
            );
            return Err(Stage::Waiting {
                reason: "ErrImagePull".into(),
                message,
            });
        }
        let back_off = format!("back-off-pull-{attempt}");
        if cx.faults.fail_times.is_none() || !cx.waited(&back_off, BACKOFF_SHARE_MILLIS * 10) {
            let message = format!("Back-off pulling image \"{image}\"");
            return Err(Stage::Waiting {
                reason: "ImagePullBackOff".into(),
                message,
            });
        }
    }
    Ok(())
}

/// The containers' runs: starting, ready, ended, or waiting to be started again.
fn containers(cx: &mut Context<'_>) -> Stage {
    let pod = cx.object;
    let run = restarts(pod);
    let began = format!("run-{run}");
    cx.began(&began);
    let policy = match text(pod, "spec.restartPolicy") {
        "" => "Always",
        policy => policy,
    };
    let specs = items(pod, "spec.containers");
    let exits: Vec<_> = specs
        .iter()
        .map(|spec| program::exit(cx, spec, run, policy))
        .collect();
    let failing = exits.iter().flatten().any(|exit| exit.code != 0);
    let ending = exits.iter().all(Option::is_some);
    if failing && cx.passed(&began, CRASH, CRASH + WHOLE) {
        if policy == "Never" {
            return ended(exits);
        }
        return crash(cx, run, &exits);
    }
    if !failing && ending && cx.passed(&began, RUN, RUN + CREATE) {
        return ended(exits);
    }
    let ready = !failing && (ending || cx.passed(&began, READY, WHOLE));
    Stage::Running {
        ready,
        restarts: run,
    }
}

fn ended(exits: Vec<Option<program::Exit>>) -> Stage {
    // With `Never`, containers that would run on are stopped when the pod fails.
    let exits = exits
        .into_iter()
        .map(|exit| exit.unwrap_or_else(program::Exit::stopped))
        .collect();
    Stage::Ended(exits)
}

fn crash(cx: &mut Context<'_>, run: i64, exits: &[Option<program::Exit>]) -> Stage {
    let seconds = (10_i64 << run.clamp(0, 5)).min(LONGEST_BACKOFF);
    let wait = format!("back-off-{run}");
    if cx.waited(&wait, seconds.unsigned_abs() * BACKOFF_SHARE_MILLIS) {
        let before = format!("run-{run}");
        cx.forget(&before);
        cx.forget(&wait);
        let after = run + 1;
        cx.began(&format!("run-{after}"));
        return Stage::Restarted {
            exits: exits.to_vec(),
            restarts: after,
        };
    }
    Stage::CrashLoop {
        exits: exits.to_vec(),
        restarts: run,
        seconds,
    }
}

/// The state of a container that waits.
fn waiting(reason: &str, message: &str) -> State {
    let mut state = json!({"reason": reason});
    if !message.is_empty() {
        state["message"] = json!(message);
    }
    State(json!({"waiting": state}))
}
