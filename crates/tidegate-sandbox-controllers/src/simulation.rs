//! The controllers' loop without threads or sleeping: follows the server's changes, reacts, acts, keeps timers.
//! The shell that waits is `runner.rs`; what each kind does is in its own module.

mod perform;

use crate::broker::Broker;
use crate::context::{Action, Memory, Pace};
use crate::kinds::{react, simulates, watched};
use crate::resources::{CUSTOM_RESOURCES, EVENTS, KAFKA_USERS, NODES};
use crate::strimzi::user::ON_BROKER;
use crate::value::{at, later, text, uid};
use crate::world::{Cache, Interest, Key, World};
use jiff::Timestamp;
use perform::{Done, Recorder};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tidegate_sandbox_kubernetes::{Change, ChangeKind, Changes, Objects, ResourceName};

/// How many objects react in one turn before others get the thread.
const TURN: usize = 256;
/// How often one object may act within [`WINDOW`]; a kind that quarrels with somebody is slowed down, not stopped.
const MAX_ROUNDS: u32 = 500;
/// The time over which rounds are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// How often a refused round is tried again before only a change helps.
const MAX_RETRIES: u32 = 20;
/// The first and the longest wait after a refusal.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));
/// The most simulated nodes.
const MAX_NODES: u32 = 100;

/// How the controllers run.
#[derive(Clone, Debug)]
pub struct ControllerOptions {
    /// 1 is the built-in pace (a workload 0.2-1.5 s, an operator about 2 s); 10 is ten times as fast.
    pub speed: f64,
    /// How many nodes the cluster has.
    pub nodes: u32,
    /// The broker that stands for the Kafka clusters; without one they are words only.
    pub broker: Option<Arc<dyn Broker>>,
}

impl Default for ControllerOptions {
    fn default() -> Self {
        Self {
            speed: 1.0,
            nodes: 1,
            broker: None,
        }
    }
}

/// The state of the loop between two turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Objects still wait for their reaction: call again.
    pub busy: bool,
    /// The server's revision that has been taken in.
    pub revision: u64,
    /// When something is due although nothing changes.
    pub wake_at: Option<Timestamp>,
}

/// The controllers of one server. Drive it with [`Simulation::turn`], or let
/// [`Controllers`](crate::Controllers) do so.
#[derive(Debug)]
pub struct Simulation {
    objects: Objects,
    options: ControllerOptions,
    cache: Cache,
    revision: u64,
    started: bool,
    queue: VecDeque<Key>,
    queued: BTreeSet<Key>,
    timers: BTreeSet<(Timestamp, Key)>,
    states: BTreeMap<Key, State>,
    interested: BTreeMap<Interest, BTreeSet<Key>>,
    recorder: Recorder,
}

/// What is known about one object besides itself.
#[derive(Debug, Default)]
struct State {
    uid: String,
    memory: Memory,
    interests: BTreeSet<Interest>,
    timer: Option<Timestamp>,
    retries: u32,
    window: Option<Timestamp>,
    rounds: u32,
}

impl Simulation {
    /// Controllers that have not looked at anything yet.
    pub fn new(objects: Objects, options: ControllerOptions) -> Self {
        let cache = Cache::with_broker(options.broker.clone());
        Self {
            objects,
            options,
            cache,
            revision: 0,
            started: false,
            queue: VecDeque::new(),
            queued: BTreeSet::new(),
            timers: BTreeSet::new(),
            states: BTreeMap::new(),
            interested: BTreeMap::new(),
            recorder: Recorder::default(),
        }
    }

    /// Takes in what changed and lets a bounded number of objects react.
    pub fn turn(&mut self) -> Progress {
        if !self.started {
            self.started = true;
            self.relist();
            self.join_nodes();
        }
        self.catch_up();
        let now = self.now();
        while let Some((due, key)) = self.timers.first().cloned() {
            if due > now {
                break;
            }
            self.timers.remove(&(due, key.clone()));
            if let Some(state) = self.states.get_mut(&key) {
                state.timer = None;
            }
            self.mark(key);
        }
        for _ in 0..TURN {
            let Some(key) = self.queue.pop_front() else {
                break;
            };
            self.queued.remove(&key);
            self.round(&key);
            self.catch_up();
        }
        Progress {
            busy: !self.queue.is_empty(),
            revision: self.revision,
            wake_at: self.timers.first().map(|(due, _)| *due),
        }
    }

    /// Turns until nothing is left to do at the present moment.
    pub fn settle(&mut self) -> Progress {
        loop {
            let progress = self.turn();
            let due = progress
                .wake_at
                .is_some_and(|wake_at| wake_at <= self.now());
            if !progress.busy && !due {
                return progress;
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.objects.clock().now()
    }

    fn mark(&mut self, key: Key) {
        if self.queued.insert(key.clone()) {
            self.queue.push_back(key);
        }
    }

    // Following the server.

    fn catch_up(&mut self) {
        match self.objects.changes_after(self.revision) {
            Changes::Known { revision, changes } => {
                for change in changes {
                    self.take(change);
                }
                self.revision = self.revision.max(revision);
            }
            Changes::Expired => self.relist(),
        }
    }

    fn take(&mut self, change: Change) {
        let Change {
            kind,
            resource,
            object,
            previous,
            ..
        } = change;
        if resource == EVENTS {
            return;
        }
        let mut touched: BTreeSet<Interest> =
            Interest::touched(&resource, &object).into_iter().collect();
        if let Some(previous) = previous {
            touched.extend(Interest::touched(&resource, &previous));
        }
        let key = Key::of(&resource, &object);
        if kind == ChangeKind::Deleted {
            self.cache.remove(&key);
            self.forget(&key);
        } else {
            self.cache.put(&resource, object);
            if simulates(&resource) {
                self.mark(key);
            }
        }
        if resource == CUSTOM_RESOURCES {
            self.take_served();
        }
        let woken: BTreeSet<Key> = touched
            .iter()
            .filter_map(|interest| self.interested.get(interest))
            .flatten()
            .cloned()
            .collect();
        for key in woken {
            self.mark(key);
        }
    }

    /// Reads everything anew: at the start, and after falling too far behind.
    fn relist(&mut self) {
        let mut cache = Cache::with_broker(self.options.broker.clone());
        let (revision, definitions) = self.objects.list(&CUSTOM_RESOURCES, None);
        let served: Vec<ResourceName> = definitions.iter().map(served).collect();
        for object in definitions {
            cache.put(&CUSTOM_RESOURCES, object);
        }
        let mut seen = BTreeSet::new();
        for resource in watched().chain(served) {
            if !seen.insert(resource.clone()) {
                continue;
            }
            for object in self.objects.list(&resource, None).1 {
                cache.put(&resource, object);
            }
        }
        let gone: Vec<Key> = self
            .states
            .keys()
            .filter(|key| cache.find(key).is_none())
            .cloned()
            .collect();
        self.cache = cache;
        self.revision = revision;
        for key in gone {
            self.forget(&key);
        }
        self.take_served();
        let all: Vec<Key> = self
            .cache
            .keys()
            .filter(|key| simulates(&key.resource))
            .cloned()
            .collect();
        for key in all {
            self.mark(key);
        }
    }

    fn take_served(&mut self) {
        let definitions = self.cache.list(&CUSTOM_RESOURCES, "");
        self.cache.serve(definitions.iter().map(served));
    }

    fn forget(&mut self, key: &Key) {
        let Some(state) = self.states.remove(key) else {
            return;
        };
        if let Some(timer) = state.timer {
            self.timers.remove(&(timer, key.clone()));
        }
        for interest in state.interests {
            self.lose_interest(&interest, key);
        }
        // A KafkaUser has no finalizer: its operator sees that it is gone.
        let held = state.memory.facts.get(ON_BROKER).and_then(Value::as_str);
        if let (Some(broker), Some(user)) = (&self.options.broker, held)
            && key.resource == KAFKA_USERS
        {
            broker.delete_user(user);
        }
    }

    fn lose_interest(&mut self, interest: &Interest, key: &Key) {
        if let Some(keys) = self.interested.get_mut(interest) {
            keys.remove(key);
            if keys.is_empty() {
                self.interested.remove(interest);
            }
        }
    }

    fn join_nodes(&mut self) {
        for number in 1..=self.options.nodes.min(MAX_NODES) {
            let node_name = format!("sandbox-node-{number}");
            if self.objects.get(&NODES, "", &node_name).is_none() {
                let node = crate::cluster::node(&node_name, self.now());
                if let Err(refusal) = self.objects.create(&NODES, "", node, perform::MANAGER) {
                    tracing::warn!(
                        node = node_name,
                        refusal = refusal.message,
                        "a simulated node cannot join"
                    );
                }
            }
        }
    }

    // Reacting.

    fn round(&mut self, key: &Key) {
        let Some(object) = self.cache.find(key).cloned() else {
            return;
        };
        let now = self.now();
        let mut state = self.states.remove(key).unwrap_or_default();
        if state.uid != uid(&object) {
            // A new incarnation begins anew.
            let interests = std::mem::take(&mut state.interests);
            let timer = state.timer.take();
            state = State {
                uid: uid(&object).to_owned(),
                interests,
                timer,
                ..State::default()
            };
        }
        let pace = Pace {
            speed: self.options.speed,
        };
        let memory = state.memory.clone();
        let Some(reaction) = react(&key.resource, &object, &self.cache, memory, now, pace) else {
            return;
        };
        state.memory = reaction.memory;
        let mut wake_at = reaction.wake_at;
        self.keep_interests(key, &mut state, reaction.interests);
        if !reaction.actions.is_empty() {
            if let Some(until) = slowed(&mut state, now) {
                wake_at = Some(until);
            } else {
                let done = self.perform(key, &reaction.actions);
                let retry = self.after(key, &mut state, done, now);
                wake_at = wake_at.into_iter().chain(retry).min();
            }
        } else if state.memory.refusal.take().is_some() {
            state.retries = 0;
        }
        self.set_timer(key, &mut state, wake_at, now);
        self.states.insert(key.clone(), state);
    }

    fn keep_interests(&mut self, key: &Key, state: &mut State, new: BTreeSet<Interest>) {
        for lost in state
            .interests
            .difference(&new)
            .cloned()
            .collect::<Vec<_>>()
        {
            self.lose_interest(&lost, key);
        }
        for gained in new.difference(&state.interests) {
            self.interested
                .entry(gained.clone())
                .or_default()
                .insert(key.clone());
        }
        state.interests = new;
    }

    fn set_timer(
        &mut self,
        key: &Key,
        state: &mut State,
        wake_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        if let Some(old) = state.timer.take() {
            self.timers.remove(&(old, key.clone()));
        }
        match wake_at {
            Some(wake_at) if wake_at <= now => self.mark(key.clone()),
            Some(wake_at) => {
                self.timers.insert((wake_at, key.clone()));
                state.timer = Some(wake_at);
            }
            None => {}
        }
    }

    fn perform(&mut self, key: &Key, actions: &[Action]) -> Done {
        perform::perform(
            &self.objects,
            &mut self.cache,
            &mut self.recorder,
            key,
            actions,
        )
    }

    /// When to try again after a round that did not go through. A refusal is shown in the object's status at once.
    fn after(
        &mut self,
        key: &Key,
        state: &mut State,
        done: Done,
        now: Timestamp,
    ) -> Option<Timestamp> {
        match done {
            Done::All => {
                state.retries = 0;
                state.memory.refusal = None;
                None
            }
            Done::Conflict => self.back_off(key, state, now, "a write conflicts with another one"),
            Done::Refused(message) => {
                let retry = self.back_off(key, state, now, &message);
                state.memory.refusal = Some(message);
                self.show_refusal(key, state, now);
                retry
            }
        }
    }

    fn back_off(
        &mut self,
        key: &Key,
        state: &mut State,
        now: Timestamp,
        why: &str,
    ) -> Option<Timestamp> {
        state.retries += 1;
        if state.retries > MAX_RETRIES {
            tracing::warn!(resource = %key.resource, name = key.name, why, "given up until something changes");
            return None;
        }
        let wait = RETRY
            .0
            .saturating_mul(1 << (state.retries - 1).min(16))
            .min(RETRY.1);
        Some(later(now, wait))
    }

    fn show_refusal(&mut self, key: &Key, state: &mut State, now: Timestamp) {
        self.catch_up();
        let Some(object) = self.cache.find(key).cloned() else {
            return;
        };
        let pace = Pace {
            speed: self.options.speed,
        };
        let memory = state.memory.clone();
        let Some(reaction) = react(&key.resource, &object, &self.cache, memory, now, pace) else {
            return;
        };
        let shown: Vec<Action> = reaction
            .actions
            .into_iter()
            .filter(|action| matches!(action, Action::Status(_)))
            .collect();
        if let Done::Refused(message) = self.perform(key, &shown) {
            tracing::debug!(resource = %key.resource, name = key.name, message, "a status is refused");
        }
    }
}

/// Counts a round that acts; the moment until which the object has to wait when there were too many.
fn slowed(state: &mut State, now: Timestamp) -> Option<Timestamp> {
    let begun = state.window.filter(|begun| now < later(*begun, WINDOW));
    let Some(begun) = begun else {
        state.window = Some(now);
        state.rounds = 1;
        return None;
    };
    state.rounds += 1;
    (state.rounds > MAX_ROUNDS).then(|| later(begun, WINDOW))
}

/// The resource that a definition serves.
fn served(definition: &Arc<Value>) -> ResourceName {
    ResourceName::of(
        text(definition, "spec.group"),
        text(at(definition, "spec.names"), "plural"),
    )
}
