//! The plan: what a sync would do, object by object, as one document with an identity.
//!
//! Canonical JSON (RFC 8785); its SHA-256 is the plan's identity. Same inputs, same bytes.

use serde::{Deserialize, Serialize};
use tidegate_applier::{FieldChange, Precondition};
use tidegate_manifest::{Diagnostic, HookKind, Origin, Phase, ResourceKey};

use crate::{Condition, Digest, Strategy};

/// The version of the plan's form.
pub const PLAN_VERSION: u32 = 1;

/// What would be done with one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlanAction {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted and made anew, or replaced whole.
    Replace,
    /// It is deleted: it is no longer in Git.
    Delete,
    /// It runs in its phase.
    Hook,
    /// It is as it should be.
    Nothing,
    /// It is left alone; the message says why.
    Skip,
}

impl PlanAction {
    /// Whether it changes anything.
    pub fn is_change(self) -> bool {
        match self {
            PlanAction::Create
            | PlanAction::Update
            | PlanAction::Replace
            | PlanAction::Delete
            | PlanAction::Hook => true,
            PlanAction::Nothing | PlanAction::Skip => false,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            PlanAction::Create => "create",
            PlanAction::Update => "update",
            PlanAction::Replace => "replace",
            PlanAction::Delete => "delete",
            PlanAction::Hook => "hook",
            PlanAction::Nothing => "nothing",
            PlanAction::Skip => "skip",
        }
    }
}

/// One object in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanEntry {
    /// The object.
    pub key: ResourceKey,
    /// The API version.
    pub version: String,
    /// What would be done.
    pub action: PlanAction,
    /// The phase it is done in.
    pub phase: Phase,
    /// The wave it is done in, after lifts and mirroring.
    pub wave: i32,
    /// The hook type, for hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookKind>,
    /// The fields that change, sorted by path, secrets masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// What must still hold when it is done.
    pub precondition: Precondition,
    /// The digest of the desired body; none for a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Digest>,
    /// The target could not be asked (its namespace or kind does not exist yet).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assumed: bool,
    /// Why it is skipped, or what is wrong with it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// It cannot be done as it stands: the sync would fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_invalid: bool,
    /// Warnings of the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Where it stands in Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// One order between two entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanEdge {
    /// The entry that goes first, by its place in [`Plan::entries`].
    pub before: usize,
    /// The entry that waits for it.
    pub after: usize,
    /// Why, in words.
    pub reason: String,
}

/// What was given, by digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanInputs {
    /// Objects, spec, annotations and project rules.
    pub desired: Digest,
    /// Versions of all live objects that were looked at.
    pub live: Digest,
}

/// What the sync was asked to do, as far as it decides the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanRequest {
    /// Delete what is no longer in Git.
    pub prune: bool,
    /// How.
    pub strategy: Strategy,
    /// Only these objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::ResourceFilter>,
    /// Sync options, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// What a sync would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The version of this form.
    pub version: u32,
    /// The application.
    pub application: String,
    /// The revisions, one per source.
    pub revisions: Vec<String>,
    /// What was given.
    pub inputs: PlanInputs,
    /// What was asked.
    pub request: PlanRequest,
    /// Objects in the order they are done.
    pub entries: Vec<PlanEntry>,
    /// Orders beyond phases and waves, sorted.
    pub edges: Vec<PlanEdge>,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What is wrong in Git.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

impl Plan {
    /// The canonical JSON text.
    pub fn canonical(&self) -> String {
        tidegate_yaml::canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    /// The plan's identity: SHA-256 of the canonical JSON.
    pub fn id(&self) -> Digest {
        Digest::of(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Whether a sync would change anything.
    pub fn has_changes(&self) -> bool {
        self.entries.iter().any(|entry| entry.action.is_change())
    }

    /// Whether a sync would fail before it changes anything.
    pub fn is_invalid(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
            || self.entries.iter().any(|entry| entry.is_invalid)
    }
}

/// Whether an approved plan still says what would be done now.
///
/// A new version of a live object alone is no reason to refuse (status moves all the time): what
/// would be done to it must differ, or it must be another object.
///
/// # Errors
/// What has changed, object by object.
pub fn check_plan(approved: &Plan, now: &Plan) -> Result<(), Vec<String>> {
    let mut reasons = Vec::new();
    if approved.version != now.version {
        reasons.push(format!(
            "it was written in form {}, this program writes form {}",
            approved.version, now.version
        ));
    }
    if approved.application != now.application {
        reasons.push(format!(
            "it is for application {}, not {}",
            approved.application, now.application
        ));
    }
    if approved.inputs.desired != now.inputs.desired {
        reasons.push(format!(
            "Git renders to something else (it was made of {}, now it is {})",
            approved.revisions.join(" "),
            now.revisions.join(" ")
        ));
    }
    if approved.request != now.request {
        reasons.push("it was made for other options".to_owned());
    }
    let place = |entry: &PlanEntry| (entry.key.clone(), entry.phase);
    let find = |plan: &Plan, entry: &PlanEntry| {
        let mut entries = plan.entries.iter();
        entries.position(|other| place(other) == place(entry))
    };
    for entry in &approved.entries {
        match find(now, entry).map(|index| &now.entries[index]) {
            Some(other) => reasons.extend(difference(entry, other)),
            None if entry.action == PlanAction::Delete => {
                reasons.push(format!("{}: it is gone already", entry.key.short()));
            }
            None => reasons.push(format!(
                "{}: it is no longer in the plan",
                entry.key.short()
            )),
        }
    }
    for entry in &now.entries {
        if find(approved, entry).is_none() {
            let what = entry.action.as_str();
            reasons.push(format!("{}: new since then ({what})", entry.key.short()));
        }
    }
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(reasons)
    }
}

fn difference(approved: &PlanEntry, now: &PlanEntry) -> Option<String> {
    let what = if approved.action != now.action {
        format!(
            "{} became {}",
            approved.action.as_str(),
            now.action.as_str()
        )
    } else if approved.precondition.exists != now.precondition.exists {
        "it was created or deleted since".to_owned()
    } else if approved.precondition.uid != now.precondition.uid {
        "it was deleted and created since".to_owned()
    } else if approved.changes != now.changes || approved.desired != now.desired {
        "it was changed since, so that other fields would change".to_owned()
    } else if (approved.phase, approved.wave) != (now.phase, now.wave) {
        "its phase or wave changed".to_owned()
    } else {
        return None;
    };
    Some(format!("{}: {what}", approved.key.short()))
}
