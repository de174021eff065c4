//! Tekton: TaskRuns and PipelineRuns (`tekton.dev`, Tekton Pipelines 0.50+). Tasks run as long as their steps would,
//! in the order of the pipeline's graph; no step is really run.

use crate::conditions::{Condition, condition, condition_status, conditions};
use crate::context::Context;
use crate::fault::{inherited, parse_duration};
use crate::resources::{PIPELINES, TASK_RUNS, TASKS};
use crate::value::{
    at, controller_ref, deleting, items, label, later, name, stamp, suffix, text, time, uid,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const START: u64 = 400;
const STEPS: u64 = 800;
const WHOLE: u64 = START + STEPS;
const TASK_LABEL: &str = "tekton.dev/pipelineTask";
const HOUR_SECONDS: u64 = 3_600;
/// The most tasks of a pipeline that are started.
const MAX_TASKS: usize = 500;

fn done(run: &Value) -> bool {
    matches!(condition_status(run, "Succeeded"), "True" | "False")
}

fn succeeded(status: &'static str, reason: &str, message: impl Into<String>) -> Condition {
    Condition::new("Succeeded", status).because(reason, message)
}

fn finish(cx: &mut Context<'_>, end: &Condition, more: Value) {
    let mut fields =
        json!({"conditions": conditions(cx.object, std::slice::from_ref(end), cx.now)});
    fields["completionTime"] = json!(stamp(cx.now));
    if text(cx.object, "status.startTime").is_empty() {
        fields["startTime"] = json!(stamp(cx.now));
    }
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    cx.merge_status(fields);
}

/// When the run has lasted too long.
fn deadline(cx: &Context<'_>, wanted: &str) -> jiff::Timestamp {
    let limit = parse_duration(wanted).unwrap_or(std::time::Duration::from_secs(HOUR_SECONDS));
    let start = time(at(cx.object, "status.startTime")).unwrap_or(cx.now);
    // A timeout of nothing means none.
    if limit.is_zero() {
        jiff::Timestamp::MAX
    } else {
        later(start, limit)
    }
}

/// A TaskRun.
pub(crate) fn react_task_run(cx: &mut Context<'_>) {
    let run = cx.object;
    if deleting(run) || done(run) {
        return;
    }
    if text(run, "spec.status") == "TaskRunCancelled" {
        let message = format!("TaskRun \"{}\" was cancelled. ", cx.name());
        return finish(
            cx,
            &succeeded("False", "TaskRunCancelled", message),
            json!({}),
        );
    }
    let Some(steps) = steps(cx) else {
        let wanted = text(run, "spec.taskRef.name");
        let message = format!(
            "error when listing tasks for taskRun {}: tasks.tekton.dev \"{wanted}\" not found",
            cx.name()
        );
        return finish(
            cx,
            &succeeded("False", "TaskRunResolutionFailed", message),
            json!({}),
        );
    };
    let pod = format!("{}-pod", cx.name());
    let began = text(run, "status.startTime");
    let began = if began.is_empty() {
        stamp(cx.now)
    } else {
        began.to_owned()
    };
    let running = cx.passed("start", START, WHOLE);
    let limit = deadline(cx, text(run, "spec.timeout"));
    if cx.reached(limit) && !text(run, "status.startTime").is_empty() {
        let limit = text(run, "spec.timeout");
        let limit = if limit.is_empty() { "1h0m0s" } else { limit };
        let message = format!(
            "TaskRun \"{}\" failed to finish within \"{limit}\"",
            cx.name()
        );
        return finish(
            cx,
            &succeeded("False", "TaskRunTimeout", message),
            json!({}),
        );
    }
    if !running || !cx.passed("steps", STEPS, WHOLE) {
        let condition = if running {
            succeeded(
                "Unknown",
                "Running",
                "Not all Steps in the Task have finished executing",
            )
        } else {
            succeeded(
                "Unknown",
                "Pending",
                "pod status \"Initialized\":\"False\"; message: \"containers with incomplete status: [prepare]\"",
            )
        };
        let list = conditions(run, &[condition], cx.now);
        return cx.merge_status(json!({"conditions": list, "startTime": began, "podName": pod}));
    }
    let shown = |code: i64, reason: &str| -> Vec<Value> {
        let ended = json!({"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": stamp(cx.now)});
        let one = |step: &String| json!({"name": step, "container": format!("step-{step}"), "terminated": ended});
        steps.iter().map(one).collect()
    };
    match cx.faults.failure(0).map(str::to_owned) {
        Some(message) => {
            let first = steps.first().map_or("step", String::as_str);
            let message = format!("\"step-{first}\" exited with code 1: {message}");
            let list = shown(1, "Error");
            finish(
                cx,
                &succeeded("False", "Failed", message),
                json!({"steps": list, "podName": pod}),
            );
        }
        None => {
            let list = shown(0, "Completed");
            let end = succeeded("True", "Succeeded", "All Steps have completed executing");
            finish(cx, &end, json!({"steps": list, "podName": pod}));
        }
    }
}

/// The names of a TaskRun's steps; `None` when its Task does not exist.
fn steps(cx: &mut Context<'_>) -> Option<Vec<String>> {
    let run = cx.object;
    let wanted = text(run, "spec.taskRef.name");
    let resolved = !text(run, "spec.taskRef.resolver").is_empty() || wanted.is_empty();
    let task = if resolved || text(run, "spec.taskRef.kind") == "ClusterTask" {
        None
    } else {
        Some(cx.get(&TASKS, cx.namespace(), wanted)?)
    };
    let spec = task
        .as_ref()
        .map_or_else(|| at(run, "spec.taskSpec"), |task| at(task, "spec"));
    let named = items(spec, "steps")
        .iter()
        .enumerate()
        .map(|(index, step)| match text(step, "name") {
            "" => format!("unnamed-{index}"),
            step => step.to_owned(),
        });
    Some(named.collect())
}

/// A PipelineRun.
pub(crate) fn react_pipeline_run(cx: &mut Context<'_>) {
    let run = cx.object;
    if deleting(run) || done(run) {
        return;
    }
    match text(run, "spec.status") {
        "PipelineRunPending" => {
            let message = format!("PipelineRun \"{}\" is pending", cx.name());
            let pending = succeeded("Unknown", "PipelineRunPending", message);
            let list = conditions(run, &[pending], cx.now);
            return cx.merge_status(json!({"conditions": list}));
        }
        "Cancelled" | "CancelledRunFinally" | "StoppedRunFinally" => {
            cancel(cx);
            let message = format!("PipelineRun \"{}\" was cancelled", cx.name());
            return finish(cx, &succeeded("False", "Cancelled", message), json!({}));
        }
        _ => {}
    }
    let wanted = text(run, "spec.pipelineRef.name");
    let resolver = !text(run, "spec.pipelineRef.resolver").is_empty();
    let pipeline = if wanted.is_empty() || resolver {
        None
    } else {
        cx.get(&PIPELINES, cx.namespace(), wanted)
    };
    if pipeline.is_none() && !wanted.is_empty() && !resolver {
        let space = cx.namespace();
        let message = format!(
            "Error retrieving pipeline for pipelinerun {space}/{}: pipelines.tekton.dev \"{wanted}\" not found",
            cx.name()
        );
        return finish(
            cx,
            &succeeded("False", "CouldntGetPipeline", message),
            json!({}),
        );
    }
    let spec = pipeline
        .as_ref()
        .map_or_else(|| at(run, "spec.pipelineSpec"), |found| at(found, "spec"))
        .clone();
    let limit = match text(run, "spec.timeouts.pipeline") {
        "" => text(run, "spec.timeout"),
        limit => limit,
    };
    let due = deadline(cx, limit);
    if cx.reached(due) && !text(run, "status.startTime").is_empty() {
        cancel(cx);
        let limit = if limit.is_empty() { "1h0m0s" } else { limit };
        let message = format!(
            "PipelineRun \"{}\" failed to finish within \"{limit}\"",
            cx.name()
        );
        return finish(
            cx,
            &succeeded("False", "PipelineRunTimeout", message),
            json!({}),
        );
    }
    Graph::of(cx, &spec).step(cx);
}

fn cancel(cx: &mut Context<'_>) {
    for task in cx.owned(&TASK_RUNS).iter().filter(|task| !done(task)) {
        cx.patch(
            &TASK_RUNS,
            task,
            json!({"spec": {"status": "TaskRunCancelled"}}),
        );
    }
}

/// The tasks of a pipeline and the runs that there are of them.
struct Graph {
    tasks: Vec<Value>,
    finally: Vec<Value>,
    runs: BTreeMap<String, Arc<Value>>,
}

impl Graph {
    fn of(cx: &mut Context<'_>, spec: &Value) -> Self {
        let runs = cx
            .owned(&TASK_RUNS)
            .into_iter()
            .filter_map(|run| Some((label(&run, TASK_LABEL)?.to_owned(), run)))
            .collect();
        let list = |field: &str| items(spec, field).iter().take(MAX_TASKS).cloned().collect();
        Self {
            tasks: list("tasks"),
            finally: list("finally"),
            runs,
        }
    }

    fn state(&self, task: &Value) -> &str {
        self.runs.get(text(task, "name")).map_or("", |run| {
            match condition_status(run, "Succeeded") {
                "" => "Unknown",
                state => state,
            }
        })
    }

    /// Whether everything that a task waits for has succeeded: `runAfter`, and results that it reads.
    fn may_start(&self, task: &Value) -> bool {
        let params = at(task, "params").to_string() + &at(task, "when").to_string();
        self.tasks.iter().all(|other| {
            let other_name = text(other, "name");
            let after = items(task, "runAfter")
                .iter()
                .any(|before| before.as_str() == Some(other_name));
            let reads = params.contains(&format!("$(tasks.{other_name}.results."));
            !(after || reads) || self.state(other) == "True"
        })
    }

    fn step(&self, cx: &mut Context<'_>) {
        let began = text(cx.object, "status.startTime");
        let began = if began.is_empty() {
            stamp(cx.now)
        } else {
            began.to_owned()
        };
        if !cx.passed("start", 100, 100) {
            let started = succeeded("Unknown", "Started", "");
            let list = conditions(cx.object, &[started], cx.now);
            return cx.merge_status(json!({"conditions": list, "startTime": began}));
        }
        let ignored = |task: &Value| text(task, "onError") == "continue";
        let failed = self
            .tasks
            .iter()
            .any(|task| self.state(task) == "False" && !ignored(task));
        let running = self.tasks.iter().any(|task| self.state(task) == "Unknown");
        let mut started = Vec::new();
        if !failed {
            let ready = self
                .tasks
                .iter()
                .filter(|task| self.state(task).is_empty() && self.may_start(task));
            started.extend(ready);
        }
        if started.is_empty() && !running {
            let ready = self
                .finally
                .iter()
                .filter(|task| self.state(task).is_empty());
            started.extend(ready);
        }
        let finally_runs = self
            .finally
            .iter()
            .any(|task| self.state(task) == "Unknown");
        for task in &started {
            self.start(cx, task);
        }
        let over = started.is_empty() && !running && !finally_runs;
        self.report(cx, &began, over);
    }

    fn start(&self, cx: &mut Context<'_>, task: &Value) {
        let (run, task_name) = (cx.name(), text(task, "name"));
        let mut child = format!("{run}-{task_name}");
        if child.len() > 63 {
            child = format!(
                "{}-{}",
                child.chars().take(57).collect::<String>(),
                suffix(&[uid(cx.object), task_name])
            );
        }
        let mut spec = json!({"params": at(task, "params")});
        for field in ["taskRef", "taskSpec", "timeout", "retries"] {
            if !at(task, field).is_null() {
                spec[field] = at(task, field).clone();
            }
        }
        if spec["params"].is_null() {
            spec["params"] = json!([]);
        }
        let mut metadata = json!({
            "name": child, "namespace": cx.namespace(),
            "labels": {TASK_LABEL: task_name, "tekton.dev/pipelineRun": run, "tekton.dev/memberOf": "tasks"},
            "ownerReferences": [controller_ref(text(cx.object, "apiVersion"), "PipelineRun", cx.object)],
        });
        // Only the first task fails when the run is to fail: the others depend on how the pipeline is built.
        let first = self
            .tasks
            .first()
            .is_some_and(|first| text(first, "name") == task_name);
        let faults = inherited(cx.object);
        if first && !faults.is_empty() {
            metadata["annotations"] = Value::Object(faults);
        }
        let api_version = text(cx.object, "apiVersion");
        let object = json!({"apiVersion": api_version, "kind": "TaskRun", "metadata": metadata, "spec": spec});
        cx.create(&TASK_RUNS, object);
    }

    fn report(&self, cx: &mut Context<'_>, began: &str, over: bool) {
        let count = |state: &str| {
            let all = self.tasks.iter().chain(&self.finally);
            all.filter(|task| self.state(task) == state).count()
        };
        let (good, bad, never) = (count("True"), count("False"), count(""));
        let cancelled = self
            .runs
            .values()
            .filter(|run| {
                condition(run, "Succeeded").is_some_and(|c| text(c, "reason") == "TaskRunCancelled")
            })
            .count();
        let (finished, bad) = (good + bad, bad - cancelled.min(bad));
        let references: Vec<Value> = self
            .runs
            .iter()
            .map(|(task, run)| {
                json!({
                    "apiVersion": text(cx.object, "apiVersion"), "kind": "TaskRun", "name": name(run),
                    "pipelineTaskName": task,
                })
            })
            .collect();
        let mut more = json!({"startTime": began});
        if !references.is_empty() {
            more["childReferences"] = json!(references);
        }
        if over {
            let message = format!(
                "Tasks Completed: {finished} (Failed: {bad}, Cancelled {cancelled}), Skipped: {never}"
            );
            let end = if bad + cancelled > 0 {
                succeeded("False", "Failed", message)
            } else if never > 0 {
                succeeded("True", "Completed", message)
            } else {
                succeeded("True", "Succeeded", message)
            };
            return finish(cx, &end, more);
        }
        let open = self.tasks.len() + self.finally.len() - finished;
        let message = format!(
            "Tasks Completed: {finished} (Failed: {bad}, Cancelled {cancelled}), Incomplete: {open}, Skipped: 0"
        );
        more["conditions"] = conditions(
            cx.object,
            &[succeeded("Unknown", "Running", message)],
            cx.now,
        );
        cx.merge_status(more);
    }
}
