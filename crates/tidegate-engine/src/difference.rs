//! How one desired object differs from its live one, with ignore rules and masks applied (Argo CD 6.4, 6.5). Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_applier::{ApplierError, ChangeOutcome, ChangePreview, ErrorKind, FieldChange};
use tidegate_diff::changes::{self, without_server_fields};
use tidegate_diff::ignore::IgnoreRules;
use tidegate_diff::schema::{Schema, TypeRef};
use tidegate_manifest::{Diagnostic, GroupVersionKind, ResourceKey, Role};

use crate::Desired;
use crate::live::Observation;
use crate::normalise::{DesiredObject, Served};

const BAD_RULE: &str = "TG0308";

/// How a desired object differs from its live one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) outcome: ChangeOutcome,
    /// The fields that differ and count, secrets masked, sorted by path.
    pub(crate) changes: Vec<FieldChange>,
    pub(crate) assumed: bool,
    pub(crate) warnings: Vec<String>,
}

impl Difference {
    pub(crate) fn is_modified(&self) -> bool {
        self.outcome != ChangeOutcome::Unchanged
    }
}

/// The differences of all desired objects that could be compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Differences {
    pub(crate) by_key: BTreeMap<ResourceKey, Difference>,
    /// Objects that the target refuses as they stand: they differ, and a sync says why it fails.
    pub(crate) refused: BTreeMap<ResourceKey, ApplierError>,
    /// Objects that could not be compared.
    pub(crate) errors: BTreeMap<ResourceKey, ApplierError>,
}

impl Differences {
    /// Objects that are as they should be.
    pub(crate) fn unmodified(&self) -> BTreeSet<ResourceKey> {
        let same = self.by_key.iter().filter(|(_, found)| !found.is_modified());
        same.map(|(key, _)| key.clone()).collect()
    }
}

/// The application's rules about differences that do not count.
///
/// A rule that cannot be read is told once per mistake, and then no rule is used.
pub(crate) fn ignore_rules(desired: &Desired) -> (IgnoreRules, Vec<Diagnostic>) {
    let application = &desired.application;
    match IgnoreRules::compile(&application.ignore_differences) {
        Ok(rules) => (rules, Vec::new()),
        Err(errors) => {
            let tell = |error: tidegate_diff::ignore::IgnoreError| {
                Diagnostic::error(BAD_RULE, error.to_string(), application.origin.clone())
                    .object(format!("Application {}", application.name))
                    .field(".spec.ignoreDifferences")
                    .help("correct the rule, or remove it")
            };
            (
                IgnoreRules::default(),
                errors.into_iter().map(tell).collect(),
            )
        }
    }
}

/// The type table's view of a kind; kinds that it does not know are taken as they look.
pub(crate) fn type_of(gvk: &GroupVersionKind) -> TypeRef {
    Schema::builtin(&gvk.group, &gvk.version, &gvk.kind).unwrap_or_else(Schema::deduced)
}

/// Compares everything that was seen.
pub(crate) fn differences(observation: &Observation, rules: &IgnoreRules) -> Differences {
    let mut found = Differences::default();
    for object in &observation.normalised.objects {
        if object.object.facts.role != Role::Resource {
            continue;
        }
        let key = object.key.clone();
        if let Some(error) = observation.live.errors.get(&key) {
            found.errors.insert(key, error.clone());
            continue;
        }
        match observation.previews.get(&key) {
            Some(Ok(preview)) => {
                found.by_key.insert(key, of_preview(object, preview, rules));
            }
            Some(Err(error)) if is_refusal(error) => {
                found.refused.insert(key, error.clone());
            }
            Some(Err(error)) => {
                found.errors.insert(key, error.clone());
            }
            None if object.served != Served::Yes => {
                found.by_key.insert(key, creation(object));
            }
            None => {}
        }
    }
    found
}

/// Whether the target was there to say no.
fn is_refusal(error: &ApplierError) -> bool {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Forbidden | ErrorKind::Invalid => {
            true
        }
        ErrorKind::Throttled
        | ErrorKind::Unavailable
        | ErrorKind::Timeout
        | ErrorKind::Internal => false,
    }
}

fn of_preview(object: &DesiredObject, preview: &ChangePreview, rules: &IgnoreRules) -> Difference {
    let body = &object.object.body;
    let mut outcome = preview.outcome;
    let mut changed = match &preview.before {
        Some(before) if rules.concern(body) => {
            let ty = type_of(&object.object.gvk);
            let mut live = without_server_fields(&before.body);
            let mut target = without_server_fields(&preview.after);
            rules.apply(Some(&ty), &mut target, &mut live);
            let changed = changes::changes(&ty, Some(&live), Some(&target));
            changed.into_iter().map(from_diff).collect()
        }
        Some(_) | None => preview.changes.clone(),
    };
    if preview.before.is_some() {
        // Status is the controllers' own: it never counts (Argo CD 6.4).
        changed.retain(|change| !is_status(&change.path));
        if changed.is_empty() && outcome == ChangeOutcome::Updated {
            outcome = ChangeOutcome::Unchanged;
        }
    }
    mask(body, &mut changed);
    changed.sort_by(|a, b| a.path.cmp(&b.path));
    Difference {
        outcome,
        changes: changed,
        assumed: preview.assumed,
        warnings: preview.warnings.clone(),
    }
}

fn is_status(path: &str) -> bool {
    path == ".status" || path.starts_with(".status.") || path.starts_with(".status[")
}

/// A plain creation that nobody could be asked about.
fn creation(object: &DesiredObject) -> Difference {
    let body = without_server_fields(&object.object.body);
    let found = changes::changes(&type_of(&object.object.gvk), None, Some(&body));
    let mut found: Vec<FieldChange> = found.into_iter().map(from_diff).collect();
    mask(&object.object.body, &mut found);
    Difference {
        outcome: ChangeOutcome::Created,
        changes: found,
        assumed: true,
        warnings: Vec::new(),
    }
}

fn from_diff(change: changes::FieldChange) -> FieldChange {
    FieldChange {
        path: change.path,
        before: change.before,
        after: change.after,
    }
}

/// Hides the values of a Secret.
pub(crate) fn mask(body: &Value, found: &mut [FieldChange]) {
    if !tidegate_diff::mask::is_secret(body) {
        return;
    }
    let mut plain: Vec<changes::FieldChange> = found
        .iter()
        .map(|change| changes::FieldChange {
            path: change.path.clone(),
            before: change.before.clone(),
            after: change.after.clone(),
        })
        .collect();
    tidegate_diff::mask::mask_changes(&mut plain, &[]);
    for (change, masked) in found.iter_mut().zip(plain) {
        *change = from_diff(masked);
    }
}
