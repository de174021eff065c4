//! What happens, told one line at a time (DESIGN section 4, "Events"). No decisions.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_manifest::{Diagnostic, HealthStatus, Origin, Phase, ResourceKey, SyncStatus, Target};

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The sandbox takes connections.
    SandboxReady,
    /// A revision is known.
    Resolved,
    /// The objects of a revision are known.
    Rendered,
    /// What has to be done is known.
    Planned,
    /// A phase begins.
    PhaseStarted,
    /// A wave begins.
    WaveStarted,
    /// An object was created or changed.
    Applied,
    /// An object was as it should be.
    Unchanged,
    /// An object was deleted because it is no longer in Git.
    Pruned,
    /// A hook was created.
    HookStarted,
    /// A hook ended well.
    HookSucceeded,
    /// A hook ended badly.
    HookFailed,
    /// An object, or the application, is healthy.
    Healthy,
    /// Something is waited for; the message says what, and who can change it.
    Waiting,
    /// An object, or the application, is degraded.
    Degraded,
    /// Live state differs from the revision that was synced.
    Drifted,
    /// Drift was undone.
    Healed,
    /// An object could not be applied or pruned, or a document is wrong.
    Failed,
    /// A newer revision ended the operation.
    Superseded,
    /// An operation ended well.
    SyncSucceeded,
    /// An operation ended badly.
    SyncFailed,
    /// The last line of a run.
    Summary,
}

impl Reason {
    /// The word as it is written in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::SandboxReady => "SandboxReady",
            Reason::Resolved => "Resolved",
            Reason::Rendered => "Rendered",
            Reason::Planned => "Planned",
            Reason::PhaseStarted => "PhaseStarted",
            Reason::WaveStarted => "WaveStarted",
            Reason::Applied => "Applied",
            Reason::Unchanged => "Unchanged",
            Reason::Pruned => "Pruned",
            Reason::HookStarted => "HookStarted",
            Reason::HookSucceeded => "HookSucceeded",
            Reason::HookFailed => "HookFailed",
            Reason::Healthy => "Healthy",
            Reason::Waiting => "Waiting",
            Reason::Degraded => "Degraded",
            Reason::Drifted => "Drifted",
            Reason::Healed => "Healed",
            Reason::Failed => "Failed",
            Reason::Superseded => "Superseded",
            Reason::SyncSucceeded => "SyncSucceeded",
            Reason::SyncFailed => "SyncFailed",
            Reason::Summary => "Summary",
        }
    }
}

/// The object of an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventObject {
    /// The target, `kubernetes:prod`.
    pub target: Target,
    /// The API group, left out for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace, left out for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl From<&ResourceKey> for EventObject {
    fn from(key: &ResourceKey) -> Self {
        Self {
            target: key.target.clone(),
            group: key.group.clone(),
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }
}

/// The place in Git that an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventOrigin {
    /// The repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// The commit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl From<&Origin> for EventOrigin {
    fn from(origin: &Origin) -> Self {
        Self {
            repository: origin.repository.clone(),
            commit: origin.commit.clone(),
            path: origin.path.clone(),
            line: Some(origin.line).filter(|line| *line > 0),
        }
    }
}

/// One event; absent fields are left out of its JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// What it tells.
    pub reason: Reason,
    /// The application concerned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub application: String,
    /// The phase concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The wave concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<i32>,
    /// The object concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<EventObject>,
    /// The rest, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The place in Git that is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<EventOrigin>,
    /// How all applications are, in a summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applications: Option<Vec<ApplicationSummary>>,
    /// Fields that only this reason has (addresses of a sandbox).
    #[serde(flatten)]
    pub details: BTreeMap<String, Value>,
}

/// One application in the last line of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationSummary {
    /// The application's name.
    pub name: String,
    /// Whether it equals Git.
    pub sync: SyncStatus,
    /// How it is.
    pub health: HealthStatus,
    /// The revision that was synced last.
    pub revision: String,
}

impl Event {
    /// An event of an application; empty when it is of none.
    pub fn new(reason: Reason, application: impl Into<String>) -> Self {
        Self {
            time: None,
            reason,
            application: application.into(),
            phase: None,
            wave: None,
            object: None,
            message: String::new(),
            origin: None,
            applications: None,
            details: BTreeMap::new(),
        }
    }

    /// A mistake in a document: what is wrong, where, and what to do.
    pub fn of_diagnostic(application: impl Into<String>, found: &Diagnostic) -> Self {
        let mut event = Self::new(Reason::Failed, application)
            .origin(&found.origin)
            .message(found.message.clone());
        event.take_details(found);
        event
    }

    /// Adds what a finding says beside its message and place.
    pub(crate) fn take_details(&mut self, found: &Diagnostic) {
        let details = [
            ("code", Some(&found.code)),
            ("subject", found.object.as_ref()),
            ("field", found.field.as_ref()),
            ("help", found.help.as_ref()),
        ];
        for (name, value) in details {
            if let Some(value) = value {
                self.details.insert(name.to_owned(), value.as_str().into());
            }
        }
        if found.origin.line > 0 && found.origin.column > 0 {
            self.details
                .insert("column".to_owned(), found.origin.column.into());
        }
    }

    /// The last line of a run.
    pub fn summary(applications: &[ApplicationSummary]) -> Self {
        Self {
            applications: Some(applications.to_vec()),
            ..Self::new(Reason::Summary, "")
        }
    }

    /// Names the object.
    #[must_use]
    pub fn object(mut self, key: &ResourceKey) -> Self {
        self.object = Some(key.into());
        self
    }

    /// Names phase and wave.
    #[must_use]
    pub fn at(mut self, phase: Phase, wave: i32) -> Self {
        self.phase = Some(phase);
        self.wave = Some(wave);
        self
    }

    /// Says the rest.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Names the place in Git.
    #[must_use]
    pub fn origin(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.into()).filter(|o: &EventOrigin| *o != EventOrigin::default());
        self
    }
}

/// Takes events. Called on the engine's own tasks: it must not block.
pub trait EventSink: Send + Sync + std::fmt::Debug {
    /// Takes one event.
    fn emit(&self, event: Event);
}

/// Drops all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn emit(&self, _event: Event) {}
}

/// Keeps all events, for tests and short runs.
#[derive(Debug, Default)]
pub struct CollectedEvents {
    events: Mutex<Vec<Event>>,
}

impl CollectedEvents {
    /// Takes out what was kept so far.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventSink for CollectedEvents {
    fn emit(&self, event: Event) {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
    }
}
