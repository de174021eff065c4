//! Deletion: preconditions, finalizers, propagation, grace (spec kubernetes.md A9). Dependents are `lifecycle/`'s matter.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::core::{CRDS, Core, NAMESPACES};
use crate::object;
use crate::objects::{DeleteOptions, Propagation};
use crate::prepare;
use crate::resource::{Generation, ResourceName};
use crate::status::Status;
use crate::store::{CommitError, Expect};
use crate::write::Target;

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";
/// Holds a definition until its objects are gone.
pub(crate) const CRD_CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
const MAX_RACES: usize = 1_000;
/// The longest grace period that is taken at its word (about 30 years).
const MAX_GRACE: i64 = 1_000_000_000;

/// What became of a deletion.
#[derive(Clone, Debug)]
pub(crate) enum Deleted {
    /// It is gone; this was its last state.
    Gone(Arc<Value>),
    /// Finalizers or a grace period hold it.
    Marked(Arc<Value>),
}

/// Deletes an object, or marks it.
pub(crate) fn delete(
    core: &Core,
    target: &Target,
    options: &DeleteOptions,
) -> Result<Deleted, Status> {
    let name = &target.resource.table;
    let key = target.key();
    for _ in 0..MAX_RACES {
        let Some(stored) = core.store.get(name, &key) else {
            return Err(Status::not_found(name, &target.name));
        };
        check_preconditions(target, &stored.object, options)?;
        refuse_protected(target)?;
        let expect = Expect::Revision(stored.revision);
        let Some(marked) = marked(core, target, &stored.object, options) else {
            if options.dry_run {
                return Ok(Deleted::Gone(stored.object));
            }
            match core.store.commit(name, &key, expect, None) {
                Ok(last) => {
                    if *name == CRDS {
                        core.refresh_definitions();
                    }
                    return Ok(Deleted::Gone(last_words(core, target, last)));
                }
                Err(_) => continue,
            }
        };
        if options.dry_run || marked == *stored.object {
            return Ok(Deleted::Marked(Arc::new(marked)));
        }
        match core.store.commit(name, &key, expect, Some(marked)) {
            Ok(object) => {
                if *name == CRDS {
                    core.refresh_definitions();
                }
                return Ok(Deleted::Marked(object));
            }
            Err(CommitError::Raced | CommitError::Full) => {}
        }
    }
    Err(Status::modified(name, &target.name))
}

/// The answer about a pod says when it ended.
fn last_words(core: &Core, target: &Target, last: Arc<Value>) -> Arc<Value> {
    if !target.resource.is("", "pods") || object::is_deleting(&last) {
        return last;
    }
    let mut last = (*last).clone();
    let generation = object::generation(&last);
    let metadata = object::metadata_mut(&mut last);
    metadata.insert(
        "deletionTimestamp".to_owned(),
        json!(object::stamp(core.now())),
    );
    metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
    if let Some(generation) = generation {
        metadata.insert("generation".to_owned(), json!(generation + 1));
    }
    Arc::new(last)
}

fn check_preconditions(
    target: &Target,
    object: &Value,
    options: &DeleteOptions,
) -> Result<(), Status> {
    let conflict = |why: String| {
        let kind = ResourceName::of(target.resource.name.group(), &target.resource.kind);
        Status::conflict(&kind, &target.name, &why)
    };
    if let Some(asked) = &options.uid
        && asked != object::uid(object)
    {
        let have = object::uid(object);
        return Err(conflict(format!(
            "the UID in the precondition ({asked}) does not match the UID in record ({have}). The object might have been deleted and then recreated"
        )));
    }
    if let Some(asked) = &options.resource_version
        && asked != object::meta(object, "resourceVersion")
    {
        let have = object::meta(object, "resourceVersion");
        return Err(conflict(format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record ({have}). The object might have been modified"
        )));
    }
    Ok(())
}

fn refuse_protected(target: &Target) -> Result<(), Status> {
    let protected = ["default", "kube-public", "kube-system"].contains(&target.name.as_str());
    if target.resource.name == NAMESPACES && protected {
        let why = "this namespace may not be deleted";
        return Err(Status::forbidden(&NAMESPACES, &target.name, why));
    }
    Ok(())
}

/// The object as it is while something holds it; `None` when nothing does.
fn marked(core: &Core, target: &Target, object: &Value, options: &DeleteOptions) -> Option<Value> {
    let finalizers = finalizers(target, object, options);
    let grace = grace(target, object, options);
    let held = !finalizers.is_empty() || prepare::holds_itself(target, object) || grace > 0;
    if !held {
        return None;
    }
    let mut next = object.clone();
    object::set_finalizers(&mut next, finalizers);
    if target.resource.name == NAMESPACES {
        let status = object::child(object::ensure(&mut next), "status");
        status.insert("phase".to_owned(), json!("Terminating"));
    }
    let was_deleting = object::is_deleting(object);
    if target.resource.name == CRDS && !was_deleting {
        let why =
            "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        let stamp = object::stamp(core.now());
        let pending = ("True", "InstanceDeletionPending", why);
        crate::crd::set_condition(&mut next, "Terminating", pending, &stamp);
    }
    // Namespaces and definitions are marked by handlers of their own.
    let own_way = [&NAMESPACES, &CRDS].contains(&&target.resource.name);
    let tracked = !own_way
        && (target.resource.generation == Generation::Tracked || target.resource.is_custom());
    let generation = object::generation(object).filter(|_| tracked && !was_deleting);
    let metadata = object::metadata_mut(&mut next);
    let old_grace = metadata
        .get("deletionGracePeriodSeconds")
        .and_then(Value::as_i64);
    if !was_deleting || old_grace.is_some_and(|old| grace < old) {
        let end = core.now().saturating_add(SignedDuration::from_secs(grace));
        let end = end.unwrap_or(jiff::Timestamp::MAX);
        metadata.insert("deletionTimestamp".to_owned(), json!(object::stamp(end)));
        metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
        if own_way {
            metadata.remove("deletionGracePeriodSeconds");
        }
    }
    if let Some(generation) = generation {
        metadata.insert("generation".to_owned(), json!(generation + 1));
    }
    Some(next)
}

/// The finalizers that a deletion with these options leaves on the object.
fn finalizers(target: &Target, object: &Value, options: &DeleteOptions) -> Vec<String> {
    let mut list: Vec<String> = object::finalizers(object)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let orphans_by_default =
        target.resource.is("", "replicationcontrollers") || target.resource.is("batch", "jobs");
    let policy = match options.propagation {
        Some(policy) => Some(policy),
        None if list.iter().any(|name| name == ORPHAN || name == FOREGROUND) => None,
        None if orphans_by_default => Some(Propagation::Orphan),
        None => Some(Propagation::Background),
    };
    if target.resource.name == CRDS && !object::is_deleting(object) {
        list.push(CRD_CLEANUP.to_owned());
        list.dedup();
    }
    let Some(policy) = policy else { return list };
    list.retain(|name| name != ORPHAN && name != FOREGROUND);
    match policy {
        Propagation::Background => {}
        Propagation::Foreground => list.push(FOREGROUND.to_owned()),
        Propagation::Orphan => list.push(ORPHAN.to_owned()),
    }
    list
}

/// Only pods that run somewhere take time to go.
fn grace(target: &Target, object: &Value, options: &DeleteOptions) -> i64 {
    if !target.resource.is("", "pods") {
        return 0;
    }
    let finished = ["Succeeded", "Failed"].contains(&object::text(object, &["status", "phase"]));
    if object::text(object, &["spec", "nodeName"]).is_empty() || finished {
        return 0;
    }
    let own = object
        .pointer("/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_i64);
    options
        .grace_period_seconds
        .unwrap_or(own.unwrap_or(30))
        .clamp(0, MAX_GRACE)
}
