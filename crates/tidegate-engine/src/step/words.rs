//! The messages of an operation, as Argo CD words them.

use tidegate_manifest::Health;

use crate::tasks::Task;

/// How the message of a hook begins that could not be deleted.
pub(crate) const NOT_DELETED: &str = "Failed to delete";

pub(super) fn health(health: &Health) -> String {
    if health.message.is_empty() {
        health.status.to_string()
    } else {
        format!("{}: {}", health.status, health.message)
    }
}

fn name(task: &Task) -> String {
    format!("{}/{}/{}", task.key.group, task.key.kind, task.key.name)
}

fn and_more(tasks: &[&Task], what: &str) -> String {
    match tasks.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {more} more {what}"),
    }
}

pub(super) fn waiting(tasks: &[&Task]) -> String {
    let Some(first) = tasks.first() else {
        return String::new();
    };
    let (waiting_for, what) = if first.is_hook() {
        ("completion of hook", "hooks")
    } else {
        ("healthy state of", "resources")
    };
    format!(
        "waiting for {waiting_for} {}{}",
        name(first),
        and_more(tasks, what)
    )
}

pub(super) fn deleting(tasks: &[&Task]) -> String {
    let Some(first) = tasks.first() else {
        return String::new();
    };
    let what = if first.is_hook() {
        "hooks"
    } else {
        "resources"
    };
    format!(
        "waiting for deletion of {}{}",
        name(first),
        and_more(tasks, what)
    )
}

pub(super) fn confirming(tasks: &[&Task]) -> String {
    let Some(first) = tasks.first() else {
        return String::new();
    };
    let what = and_more(tasks, "resources");
    let key = &first.key;
    format!(
        "waiting for pruning confirmation of {}/{}/{}{what}",
        first.gvk.api_version(),
        key.kind,
        key.name
    )
}
