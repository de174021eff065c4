//! Health of live objects by kind, and of an application from its objects. Pure: an object and the time go in, a verdict comes out.
//!
//! The rules are Argo CD's, built-in checks and scripts alike, written natively, plus the kinds of data pipelines that Argo CD does not
//! check. No IO, no cluster, no scripts live here.

mod aggregate;
mod argo;
mod batch;
mod core;
mod data;
mod flink;
mod kafka;
mod knative;
mod platform;
mod spark;
mod table;
mod tekton;
mod verdict;
mod view;
mod workloads;

use std::time::SystemTime;

use serde_json::Value;
use tidegate_manifest::annotation;
pub use tidegate_manifest::{Health, HealthStatus};

pub use crate::aggregate::{AppHealth, Cause, MAX_CAUSES, Member, MemberState, aggregate};
use crate::{verdict::progressing, view::View};

/// The longest message of a verdict, in bytes; controllers write what they like into conditions.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// Whose verdicts are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The best that can be said: status of an older generation does not count, failed jobs of streaming systems do, and kinds without a
    /// check in Argo CD have one.
    #[default]
    Precise,
    /// Exactly what Argo CD says, its traps included.
    Compatible,
}

/// How health is assessed.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HealthOptions {
    /// Whose verdicts are wanted.
    pub mode: Mode,
    /// The time, for rules that bear with a state for a while; without it they bear with it for ever.
    pub now: Option<SystemTime>,
}

impl HealthOptions {
    /// Options for Argo CD's own verdicts.
    #[must_use]
    pub fn compatible() -> Self {
        Self {
            mode: Mode::Compatible,
            now: None,
        }
    }
}

/// The health of a live object, as the API server gave it; `None` for kinds that have no check.
///
/// An object that is being deleted is Progressing, whatever its kind, unless only a hook's finalizer holds it.
///
/// ```
/// use tidegate_health::{HealthOptions, HealthStatus, assess};
/// let claim = serde_json::json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Lost"}});
/// let health = assess(&claim, &HealthOptions::default()).expect("claims have a check");
/// assert_eq!(health.status, HealthStatus::Degraded);
/// ```
#[must_use]
pub fn assess(object: &Value, options: &HealthOptions) -> Option<Health> {
    let view = View::new(object);
    let version = view.at(&["apiVersion"]).text();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let subject = Subject {
        view,
        group,
        version,
        kind: view.at(&["kind"]).text(),
        options,
    };
    let health = if is_being_deleted(view) {
        Some(progressing("Pending deletion"))
    } else {
        by_kind(&subject)
    };
    health.map(bounded)
}

/// What a rule looks at.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) view: View<'a>,
    pub(crate) group: &'a str,
    /// `group/version`, or the version alone for the core group.
    pub(crate) version: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) options: &'a HealthOptions,
}

impl Subject<'_> {
    pub(crate) fn precise(&self) -> bool {
        self.options.mode == Mode::Precise
    }

    /// In the precise mode, the verdict for a status that speaks of an older specification.
    pub(crate) fn unobserved(&self) -> Option<Health> {
        let (observed, generation) = self.view.stale()?;
        self.precise().then(|| {
            progressing(format!(
                "waiting for generation {generation} to be observed (now at {observed})"
            ))
        })
    }
}

fn is_being_deleted(view: View<'_>) -> bool {
    let held_by_hook = || {
        view.at(&["metadata", "finalizers"])
            .items()
            .any(|name| name.text() == annotation::HOOK_FINALIZER)
    };
    view.at(&["metadata", "deletionTimestamp"]).exists() && !held_by_hook()
}

/// Exact kinds go before families of groups, as Argo CD looks scripts up.
fn by_kind(subject: &Subject<'_>) -> Option<Health> {
    workloads::assess(subject)
        .or_else(|| core::assess(subject))
        .or_else(|| batch::assess(subject))
        .or_else(|| kafka::assess(subject))
        .or_else(|| flink::assess(subject))
        .or_else(|| spark::assess(subject))
        .or_else(|| knative::assess(subject))
        .or_else(|| argo::assess(subject))
        .or_else(|| tekton::assess(subject))
        .or_else(|| data::assess(subject))
        .or_else(|| table::assess(subject))
        .or_else(|| platform::assess(subject))
}

fn bounded(mut health: Health) -> Health {
    if health.message.len() > MAX_MESSAGE_BYTES {
        let cut = health
            .message
            .floor_char_boundary(MAX_MESSAGE_BYTES - '…'.len_utf8());
        health.message.truncate(cut);
        health.message.push('…');
    }
    health
}
