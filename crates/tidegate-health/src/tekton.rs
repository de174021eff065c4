//! Tekton runs. Argo CD has no check for them, so these verdicts are Tidegate's own. Source: Tekton's condition `Succeeded`.

use tidegate_manifest::Health;

use crate::{
    Subject,
    verdict::{degraded, healthy, progressing, suspended},
};

const RUNS: &[&str] = &["PipelineRun", "TaskRun", "CustomRun", "Run"];

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    let is_run = subject.group == "tekton.dev" && RUNS.contains(&subject.kind);
    if !subject.precise() || !is_run {
        return None;
    }
    let conditions = subject.view.conditions();
    let pending = subject.view.spec(&["status"]).text() == "PipelineRunPending";
    let Some(succeeded) = conditions
        .iter()
        .find(|condition| condition.kind == "Succeeded")
    else {
        return Some(if pending {
            suspended("the run is pending")
        } else {
            progressing("Waiting for Tekton")
        });
    };
    Some(match succeeded.status {
        "True" => healthy(succeeded.message),
        "False" => degraded(succeeded.words()),
        _ if pending => suspended(succeeded.message),
        _ => progressing(succeeded.words()),
    })
}
