//! What a reaction is given and what it answers: the object, the world, the clock's time, and a list of actions.
//! Pure: everything a reaction remembers travels in [`Memory`].

use crate::broker::Broker;
use crate::fault::Faults;
use crate::value::{at, digest, generation, hex, later, name, namespace, uid};
use crate::world::{Interest, Key, World};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tidegate_sandbox_kubernetes::ResourceName;

/// The most steps that one object's memory holds; the oldest go first.
const MAX_STEPS: usize = 64;
/// The fastest and the slowest simulation.
const SPEEDS: (f64, f64) = (0.001, 1_000_000.0);

/// One thing to do, in the order given. The first that fails ends the round, and the object reacts again.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Replace the status of the reacting object.
    Status(Value),
    /// Merge a patch into an object (not its status).
    Patch {
        /// Which object.
        key: Key,
        /// The JSON merge patch.
        patch: Value,
    },
    /// Create an object; one that exists already is left as it is.
    Create {
        /// Group and plural.
        resource: ResourceName,
        /// The object, with its namespace.
        object: Value,
    },
    /// Delete an object.
    Delete {
        /// Which object.
        key: Key,
        /// Only this incarnation.
        uid: String,
        /// At once, as the kubelet does when a pod has ended.
        now: bool,
    },
    /// Tell about the reacting object.
    Event {
        /// `Normal` or `Warning`.
        kind: &'static str,
        /// CamelCase.
        reason: String,
        /// For people.
        message: String,
    },
}

/// What an object's controller remembers between reactions: when each step began, counters, the last refusal.
/// Losing it costs time, never correctness.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Memory {
    pub(crate) steps: BTreeMap<String, Timestamp>,
    pub(crate) facts: BTreeMap<String, Value>,
    spec: String,
    epoch: u64,
    /// Why the last round of actions ended early, when it did.
    pub refusal: Option<String>,
}

/// What came out of a reaction.
#[derive(Clone, PartialEq, Debug)]
pub struct Reaction {
    /// What to do now, in order.
    pub actions: Vec<Action>,
    /// When to react again although nothing changed.
    pub wake_at: Option<Timestamp>,
    /// What to remember.
    pub memory: Memory,
    /// What was looked at: a change there is a reason to react again.
    pub interests: BTreeSet<Interest>,
}

/// How fast the simulation runs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pace {
    /// 1 is the built-in pace (a workload 0.2-1.5 s, an operator about 2 s); 10 is ten times as fast.
    pub speed: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { speed: 1.0 }
    }
}

impl Pace {
    /// A delay at this pace.
    pub(crate) fn of(self, delay: Duration) -> Duration {
        let speed = if self.speed.is_nan() {
            1.0
        } else {
            self.speed.clamp(SPEEDS.0, SPEEDS.1)
        };
        Duration::try_from_secs_f64(delay.as_secs_f64() / speed).unwrap_or(Duration::MAX)
    }
}

/// What a reaction works with.
pub(crate) struct Context<'a> {
    pub(crate) object: &'a Value,
    pub(crate) resource: &'a ResourceName,
    pub(crate) now: Timestamp,
    pub(crate) faults: Faults,
    pub(crate) memory: Memory,
    pace: Pace,
    world: &'a dyn World,
    interests: BTreeSet<Interest>,
    actions: Vec<Action>,
    wake_at: Option<Timestamp>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        resource: &'a ResourceName,
        object: &'a Value,
        world: &'a dyn World,
        mut memory: Memory,
        now: Timestamp,
        pace: Pace,
    ) -> Self {
        let spec = hex(&[&at(object, "spec").to_string()], 8);
        if memory.spec != spec {
            memory.spec = spec;
            memory.epoch += 1;
        }
        Self {
            object,
            resource,
            now,
            faults: Faults::of(object),
            memory,
            pace,
            world,
            interests: BTreeSet::new(),
            actions: Vec::new(),
            wake_at: None,
        }
    }

    pub(crate) fn finish(self) -> Reaction {
        Reaction {
            actions: self.actions,
            wake_at: self.wake_at,
            memory: self.memory,
            interests: self.interests,
        }
    }

    // Reading the world.

    pub(crate) fn name(&self) -> &'a str {
        name(self.object)
    }

    pub(crate) fn namespace(&self) -> &'a str {
        namespace(self.object)
    }

    pub(crate) fn uid(&self) -> &'a str {
        uid(self.object)
    }

    pub(crate) fn generation(&self) -> i64 {
        generation(self.object)
    }

    /// Counts the specs that were seen: what steps of a change are named after. Not the generation, which a custom
    /// resource without a status subresource raises with every status.
    pub(crate) fn epoch(&self) -> u64 {
        self.memory.epoch
    }

    pub(crate) fn key(&self) -> Key {
        Key::of(self.resource, self.object)
    }

    pub(crate) fn get(
        &mut self,
        resource: &ResourceName,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let key = Key {
            resource: resource.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.interests.insert(Interest::Object(key));
        self.world.get(resource, namespace, name)
    }

    /// The objects of a resource that the reacting object controls.
    pub(crate) fn owned(&mut self, resource: &ResourceName) -> Vec<Arc<Value>> {
        self.interests
            .insert(Interest::Owned(resource.clone(), self.uid().to_owned()));
        self.world.owned(resource, self.uid())
    }

    /// The objects of a resource that another object controls.
    pub(crate) fn owned_by(&mut self, resource: &ResourceName, owner: &Value) -> Vec<Arc<Value>> {
        self.interests
            .insert(Interest::Owned(resource.clone(), uid(owner).to_owned()));
        self.world.owned(resource, uid(owner))
    }

    pub(crate) fn labelled(
        &mut self,
        resource: &ResourceName,
        namespace: &str,
        key: &str,
        value: &str,
    ) -> Vec<Arc<Value>> {
        self.interests.insert(Interest::Labelled(
            resource.clone(),
            namespace.to_owned(),
            key.to_owned(),
            value.to_owned(),
        ));
        self.world.labelled(resource, namespace, key, value)
    }

    pub(crate) fn list(&mut self, resource: &ResourceName, namespace: &str) -> Vec<Arc<Value>> {
        self.interests
            .insert(Interest::All(resource.clone(), namespace.to_owned()));
        self.world.list(resource, namespace)
    }

    /// The objects of the own namespace that a label selector selects.
    pub(crate) fn selected(
        &mut self,
        resource: &ResourceName,
        selector: &Value,
    ) -> Vec<Arc<Value>> {
        let space = self.namespace();
        let first = at(selector, "matchLabels")
            .as_object()
            .and_then(|labels| labels.iter().next());
        let mut found = match first.and_then(|(key, value)| Some((key, value.as_str()?))) {
            Some((key, value)) => self.labelled(resource, space, key, value),
            None => self.list(resource, space),
        };
        found.retain(|object| crate::value::selects(selector, at(object, "metadata.labels")));
        found
    }

    pub(crate) fn serves(&self, resource: &ResourceName) -> bool {
        self.world.serves(resource)
    }

    /// The broker that stands for the Kafka clusters.
    pub(crate) fn broker(&self) -> Option<&'a dyn Broker> {
        self.world.broker()
    }

    // Time.

    /// Asks to react again at a moment.
    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
    }

    /// Whether a moment has come; asks to be woken then if not.
    pub(crate) fn reached(&mut self, at: Timestamp) -> bool {
        if self.now < at {
            self.wake(at);
        }
        self.now >= at
    }

    /// When a step began: now, if it had not.
    pub(crate) fn began(&mut self, step: &str) -> Timestamp {
        if let Some(began) = self.memory.steps.get(step) {
            return *began;
        }
        if self.memory.steps.len() >= MAX_STEPS {
            let oldest = self.memory.steps.iter().min_by_key(|(_, began)| **began);
            if let Some(oldest) = oldest.map(|(step, _)| step.clone()) {
                self.memory.steps.remove(&oldest);
            }
        }
        self.memory.steps.insert(step.to_owned(), self.now);
        self.now
    }

    /// Forgets the steps whose name begins so.
    pub(crate) fn forget(&mut self, prefix: &str) {
        self.memory
            .steps
            .retain(|step, _| !step.starts_with(prefix));
    }

    /// Whether a step of `part` out of `whole` milliseconds is over. The annotation `delay` stretches the whole,
    /// `stuck` stops it.
    pub(crate) fn passed(&mut self, step: &str, part: u64, whole: u64) -> bool {
        let began = self.began(step);
        if self.faults.stuck {
            return false;
        }
        let delay = match self.faults.delay {
            Some(delay) => delay.mul_f64(part as f64 / whole.max(1) as f64),
            None => self
                .pace
                .of(Duration::from_millis(part))
                .mul_f64(self.jitter(step)),
        };
        self.reached(later(began, delay))
    }

    /// As [`Context::passed`] for moments that no annotation changes: noticing a change, ending, retrying.
    pub(crate) fn waited(&mut self, step: &str, millis: u64) -> bool {
        let began = self.began(step);
        let delay = self
            .pace
            .of(Duration::from_millis(millis))
            .mul_f64(self.jitter(step));
        self.reached(later(began, delay))
    }

    /// Whether the controller has noticed the present generation: a few hundredths of a second after it appeared.
    /// Until then `observedGeneration` lags, as it does for a moment in every real cluster.
    pub(crate) fn noticed(&mut self) -> bool {
        let step = format!("noticed-{}", self.epoch());
        self.waited(&step, 40)
    }

    /// Between 0.8 and 1.2, always the same for the same name and step: uids differ from run to run.
    fn jitter(&self, step: &str) -> f64 {
        let parts = [
            self.resource.resource(),
            self.namespace(),
            self.name(),
            step,
        ];
        0.8 + 0.4 * f64::from(digest(&parts)[0]) / 255.0
    }

    // Facts.

    pub(crate) fn fact(&self, name: &str) -> &Value {
        self.memory.facts.get(name).unwrap_or(&Value::Null)
    }

    pub(crate) fn remember(&mut self, name: &str, value: Value) {
        self.memory.facts.insert(name.to_owned(), value);
    }

    // Acting.

    /// Replaces the status, when it differs.
    pub(crate) fn status(&mut self, status: Value) {
        if *at(self.object, "status") != status {
            self.actions.push(Action::Status(status));
        }
    }

    /// Merges fields into the status, when that changes it. A null takes a field away.
    pub(crate) fn merge_status(&mut self, fields: Value) {
        let mut status = at(self.object, "status").clone();
        if !status.is_object() {
            status = json!({});
        }
        if let (Some(status), Value::Object(fields)) = (status.as_object_mut(), fields) {
            for (key, value) in fields {
                if value.is_null() {
                    status.remove(&key);
                } else {
                    status.insert(key, value);
                }
            }
        }
        self.status(status);
    }

    pub(crate) fn patch_self(&mut self, patch: Value) {
        let key = self.key();
        self.actions.push(Action::Patch { key, patch });
    }

    pub(crate) fn patch(&mut self, resource: &ResourceName, object: &Value, patch: Value) {
        self.actions.push(Action::Patch {
            key: Key::of(resource, object),
            patch,
        });
    }

    pub(crate) fn create(&mut self, resource: &ResourceName, object: Value) {
        self.actions.push(Action::Create {
            resource: resource.clone(),
            object,
        });
    }

    pub(crate) fn delete(&mut self, resource: &ResourceName, object: &Value) {
        let (key, uid) = (Key::of(resource, object), uid(object).to_owned());
        self.actions.push(Action::Delete {
            key,
            uid,
            now: false,
        });
    }

    /// Ends the reacting object at once.
    pub(crate) fn delete_self_now(&mut self) {
        let (key, uid) = (self.key(), self.uid().to_owned());
        self.actions.push(Action::Delete {
            key,
            uid,
            now: true,
        });
    }

    pub(crate) fn event(&mut self, kind: &'static str, reason: &str, message: impl Into<String>) {
        let (reason, message) = (reason.to_owned(), message.into());
        self.actions.push(Action::Event {
            kind,
            reason,
            message,
        });
    }
}
