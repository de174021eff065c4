//! Carries actions out through the server's in-process door, and records events.

use crate::context::Action;
use crate::resources::{CUSTOM_RESOURCES, EVENTS};
use crate::value::{at, controller, flag, hex, int_or, items, name, namespace, stamp, text, uid};
use crate::world::{Cache, Key, World};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use tidegate_sandbox_kubernetes::{DeleteOptions, Objects, Propagation, ResourceName, Status};

/// The field manager of everything that the controllers write.
pub(super) const MANAGER: &str = "sandbox-controllers";
/// The most events that are kept; the oldest go first.
const MAX_EVENTS: usize = 2_000;
/// The longest message of an event, as in the real server.
const MAX_MESSAGE: usize = 1_024;

/// How a round ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Done {
    /// Everything went through.
    All,
    /// Somebody else wrote first.
    Conflict,
    /// The server refused.
    Refused(String),
}

/// Remembers which events there are, to keep their number bounded.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    known: VecDeque<(String, String)>,
}

/// Does what a reaction asks for, in order, until something does not go through.
pub(super) fn perform(
    objects: &Objects,
    cache: &mut Cache,
    recorder: &mut Recorder,
    key: &Key,
    actions: &[Action],
) -> Done {
    for action in actions {
        let outcome = match action {
            Action::Status(status) => write_status(objects, cache, key, status),
            Action::Patch { key, patch } => {
                let done = objects.merge_patch(
                    &key.resource,
                    &key.namespace,
                    &key.name,
                    None,
                    patch,
                    MANAGER,
                );
                done.map(|object| cache.put(&key.resource, object))
            }
            Action::Create { resource, object } => create(objects, cache, resource, object),
            Action::Delete { key, uid, now } => delete(objects, key, uid, *now),
            Action::Event {
                kind,
                reason,
                message,
            } => {
                if let Some(object) = cache.find(key) {
                    recorder.record(objects, object, kind, reason, message);
                }
                Ok(())
            }
        };
        match outcome {
            Ok(()) => {}
            // What is gone needs nothing any more.
            Err(status) if status.code == 404 => {}
            Err(status) if status.reason == "Conflict" => return Done::Conflict,
            Err(status) => return Done::Refused(status.message),
        }
    }
    Done::All
}

fn write_status(
    objects: &Objects,
    cache: &mut Cache,
    key: &Key,
    status: &Value,
) -> Result<(), Status> {
    let Some(known) = cache.find(key) else {
        return Ok(());
    };
    let mut object = Value::clone(known);
    let before = object["status"].take();
    object["status"] = status.clone();
    let written = if has_status(cache, &key.resource) {
        objects.update_status(&key.resource, &key.namespace, object, MANAGER)?
    } else if same(&before, status) {
        return Ok(());
    } else {
        objects.update(&key.resource, &key.namespace, object, MANAGER)?
    };
    cache.put(&key.resource, written);
    Ok(())
}

/// Whether the resource has a status of its own to write: everything built in, and custom resources that say so.
/// Without, the status is an ordinary field.
fn has_status(cache: &Cache, resource: &ResourceName) -> bool {
    let definition = format!("{}.{}", resource.resource(), resource.group());
    let Some(definition) = cache.get(&CUSTOM_RESOURCES, "", &definition) else {
        return true;
    };
    let stored = items(&definition, "spec.versions")
        .iter()
        .find(|version| flag(version, "storage"));
    stored.is_some_and(|version| at(version, "subresources.status").is_object())
}

/// Whether two statuses differ in the observed generation only. Where every write makes a new generation, writing
/// that would never end.
fn same(before: &Value, after: &Value) -> bool {
    let plain = |status: &Value| {
        let mut status = status.clone();
        if let Some(fields) = status.as_object_mut() {
            fields.remove("observedGeneration");
        }
        status
    };
    plain(before) == plain(after)
}

fn create(
    objects: &Objects,
    cache: &mut Cache,
    resource: &ResourceName,
    object: &Value,
) -> Result<(), Status> {
    match objects.create(resource, namespace(object), object.clone(), MANAGER) {
        Ok(created) => {
            cache.put(resource, created);
            Ok(())
        }
        Err(refusal) if refusal.reason == "AlreadyExists" => {
            let owner =
                |object: &Value| controller(object).map(|owner| text(owner, "uid").to_owned());
            let known = objects.get(resource, namespace(object), name(object));
            match known {
                Some(known) if owner(&known) == owner(object) || owner(object).is_none() => {
                    cache.put(resource, known);
                    Ok(())
                }
                _ => Err(refusal),
            }
        }
        Err(refusal) => Err(refusal),
    }
}

fn delete(objects: &Objects, key: &Key, uid: &str, now: bool) -> Result<(), Status> {
    let options = DeleteOptions {
        propagation: Some(Propagation::Background),
        grace_period_seconds: now.then_some(0),
        uid: Some(uid.to_owned()).filter(|uid| !uid.is_empty()),
        ..DeleteOptions::default()
    };
    match objects.delete(&key.resource, &key.namespace, &key.name, options) {
        // Another incarnation: the one that was meant is gone.
        Err(refusal) if refusal.reason == "Conflict" => Ok(()),
        done => done,
    }
}

impl Recorder {
    fn record(
        &mut self,
        objects: &Objects,
        object: &Arc<Value>,
        kind: &str,
        reason: &str,
        message: &str,
    ) {
        let now = stamp(objects.clock().now());
        let space = match namespace(object) {
            "" => "default",
            space => space,
        };
        let message: String = message.chars().take(MAX_MESSAGE).collect();
        let event_name = format!(
            "{}.{}",
            name(object),
            hex(&[uid(object), reason, &message], 8)
        );
        if let Some(known) = objects.get(&EVENTS, space, &event_name) {
            let patch = json!({"count": int_or(&known, "count", 1) + 1, "lastTimestamp": now});
            // An event that is not counted harms nobody.
            let _ = objects.merge_patch(&EVENTS, space, &event_name, None, &patch, MANAGER);
            return;
        }
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": event_name, "namespace": space},
            "involvedObject": {
                "apiVersion": at(object, "apiVersion"), "kind": at(object, "kind"), "name": name(object),
                "namespace": space, "uid": uid(object),
                "resourceVersion": at(object, "metadata.resourceVersion"),
            },
            "type": kind, "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now,
            "source": {"component": MANAGER},
            "reportingComponent": MANAGER, "reportingInstance": "",
        });
        if objects.create(&EVENTS, space, event, MANAGER).is_ok() {
            self.known.push_back((space.to_owned(), event_name));
        }
        while self.known.len() > MAX_EVENTS {
            if let Some((space, oldest)) = self.known.pop_front() {
                let _ = objects.delete(&EVENTS, &space, &oldest, DeleteOptions::default());
            }
        }
    }
}
