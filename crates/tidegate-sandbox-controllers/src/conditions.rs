//! Status conditions: how they are set without losing the time of their last transition.

use crate::value::{items, stamp, text};
use jiff::Timestamp;
use serde_json::{Value, json};

/// One condition to report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Condition {
    kind: String,
    status: &'static str,
    reason: String,
    message: String,
    severity: Option<&'static str>,
}

impl Condition {
    /// A condition with a status of `True`, `False` or `Unknown`.
    pub(crate) fn new(kind: &str, status: &'static str) -> Self {
        Self {
            kind: kind.to_owned(),
            status,
            reason: String::new(),
            message: String::new(),
            severity: None,
        }
    }

    /// Why.
    pub(crate) fn because(mut self, reason: &str, message: impl Into<String>) -> Self {
        reason.clone_into(&mut self.reason);
        self.message = message.into();
        self
    }

    /// Knative's severity (`Info` for conditions that do not gate readiness).
    pub(crate) fn severity(mut self, severity: &'static str) -> Self {
        self.severity = Some(severity);
        self
    }

    /// As JSON: the transition time is the old one while the status stays the same.
    pub(crate) fn value(&self, old: Option<&Value>, now: Timestamp) -> Value {
        let kept = old
            .filter(|old| text(old, "status") == self.status)
            .map(|old| text(old, "lastTransitionTime"))
            .filter(|time| !time.is_empty());
        let mut value = json!({
            "type": self.kind,
            "status": self.status,
            "lastTransitionTime": kept.map_or_else(|| stamp(now), str::to_owned),
        });
        if !self.reason.is_empty() {
            value["reason"] = json!(self.reason);
        }
        if !self.message.is_empty() {
            value["message"] = json!(self.message);
        }
        if let Some(severity) = self.severity {
            value["severity"] = json!(severity);
        }
        value
    }
}

/// The condition of a type in an object's status.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    find(items(object, "status.conditions"), kind)
}

/// The condition of a type in a list.
pub(crate) fn find<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions
        .iter()
        .find(|condition| text(condition, "type") == kind)
}

/// The status (`True`, `False`, `Unknown`, or nothing) of a condition of an object.
pub(crate) fn condition_status<'a>(object: &'a Value, kind: &str) -> &'a str {
    condition(object, kind).map_or("", |condition| text(condition, "status"))
}

/// Whether a condition of an object is True.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    condition_status(object, kind) == "True"
}

/// A whole list of conditions in the given order, replacing the old list.
pub(crate) fn conditions(object: &Value, new: &[Condition], now: Timestamp) -> Value {
    let old = items(object, "status.conditions");
    new.iter()
        .map(|condition| condition.value(find(old, &condition.kind), now))
        .collect()
}

/// Sets one condition in a list in place, leaving its neighbours alone.
pub(crate) fn set(list: &mut Vec<Value>, condition: &Condition, now: Timestamp) {
    match list
        .iter_mut()
        .find(|old| text(old, "type") == condition.kind)
    {
        Some(old) => *old = condition.value(Some(old), now),
        None => list.push(condition.value(None, now)),
    }
}
