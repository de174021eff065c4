//! Bindings as running things: each is opened, run, run again when its source fails, and stopped or replaced when
//! its file changes.

mod assemble;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::binding::Binding;
use crate::metrics::{Metrics, prometheus};
use crate::runtime;

/// Waits before a binding that failed is opened again.
const REOPEN_FIRST: Duration = Duration::from_secs(1);
const REOPEN_MAX: Duration = Duration::from_secs(60);

/// How a binding is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being opened.
    Starting,
    /// It runs.
    Running,
    /// It failed, and is opened again soon.
    Failed(String),
    /// It is not enabled.
    Disabled,
    /// It ended.
    Stopped,
}

/// How a binding is, shared with its task.
#[derive(Debug)]
struct Status {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

impl Status {
    fn set(&self, state: State) {
        if let Ok(mut old) = self.state.lock() {
            *old = state;
        }
    }

    fn get(&self) -> State {
        self.state
            .lock()
            .map_or(State::Stopped, |state| state.clone())
    }
}

#[derive(Debug)]
struct Running {
    binding: Binding,
    status: Arc<Status>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), String>>,
}

/// A set of bindings at work.
#[derive(Debug, Default)]
pub struct Bridge {
    running: BTreeMap<String, Running>,
}

/// What a change of the bindings did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Bindings that began.
    pub started: Vec<String>,
    /// Bindings that ended, or gave way to a new form of them.
    pub stopped: Vec<String>,
    /// Bindings that ended with an error: their last commit failed, records come again.
    pub unclean: Vec<(String, String)>,
}

impl Bridge {
    /// Makes exactly these bindings run: new ones start, others drain and end, changed ones do both in turn.
    /// Counters of a binding that changed go on.
    pub async fn set(&mut self, bindings: Vec<Binding>) -> Change {
        let mut change = Change::default();
        let wanted: BTreeMap<String, Binding> = bindings
            .into_iter()
            .map(|binding| (binding.name.clone(), binding))
            .collect();
        let leaving: Vec<String> = self
            .running
            .iter()
            .filter(|(name, running)| {
                !wanted
                    .get(*name)
                    .is_some_and(|new| same(new, &running.binding))
            })
            .map(|(name, _)| name.clone())
            .collect();
        let mut counters = BTreeMap::new();
        let mut ending = Vec::new();
        for name in leaving {
            if let Some(running) = self.running.remove(&name) {
                running.stop.send_replace(true);
                counters.insert(name.clone(), Arc::clone(&running.status.metrics));
                ending.push((name, running.task));
            }
        }
        for (name, task) in ending {
            if let Err(error) = task.await.unwrap_or_else(|error| Err(error.to_string())) {
                change.unclean.push((name.clone(), error));
            }
            change.stopped.push(name);
        }
        for (name, binding) in wanted {
            if !self.running.contains_key(&name) {
                let metrics = counters.remove(&name).unwrap_or_default();
                self.running.insert(name.clone(), start(binding, metrics));
                change.started.push(name);
            }
        }
        change
    }

    /// Drains and ends every binding.
    pub async fn stop(&mut self) -> Change {
        self.set(Vec::new()).await
    }

    /// How each binding is.
    pub fn states(&self) -> BTreeMap<String, State> {
        let running = self.running.iter();
        running
            .map(|(name, running)| (name.clone(), running.status.get()))
            .collect()
    }

    /// A view that a server can keep while the bindings change.
    pub fn view(&self) -> View {
        let running = self.running.iter();
        View {
            bindings: running
                .map(|(name, running)| (name.clone(), Arc::clone(&running.status)))
                .collect(),
        }
    }
}

/// Whether a binding need not be started anew: where it stands in its file does not matter.
fn same(new: &Binding, old: &Binding) -> bool {
    let moved = Binding {
        origin: old.origin.clone(),
        ..new.clone()
    };
    moved == *old
}

/// States and metrics of bindings at some time.
#[derive(Clone, Debug, Default)]
pub struct View {
    bindings: BTreeMap<String, Arc<Status>>,
}

impl View {
    /// Metrics in Prometheus's form.
    pub fn metrics(&self) -> String {
        let bindings = self.bindings.iter();
        let all = bindings
            .map(|(name, status)| (name.clone(), &*status.metrics))
            .collect();
        prometheus(&all)
    }

    /// Why the bridge is not ready; nothing when every binding runs.
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for (name, status) in &self.bindings {
            match status.get() {
                State::Running | State::Disabled => {}
                State::Starting => reasons.push(format!("{name}: starting")),
                State::Stopped => reasons.push(format!("{name}: stopped")),
                State::Failed(why) => reasons.push(format!("{name}: {why}")),
            }
            let partitions = status.metrics.partitions();
            let blocked = partitions.iter().filter(|(_, facts)| facts.is_blocked);
            for (partition, _) in blocked {
                reasons.push(format!(
                    "{name}: exhausted records hold partition {partition}"
                ));
            }
        }
        reasons
    }
}

fn start(binding: Binding, metrics: Arc<Metrics>) -> Running {
    let status = Arc::new(Status {
        state: Mutex::new(State::Starting),
        metrics,
    });
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn({
        let (binding, status) = (binding.clone(), Arc::clone(&status));
        async move {
            let ended = keep(&binding, &status, stopped).await;
            status.set(State::Stopped);
            ended
        }
    });
    Running {
        binding,
        status,
        stop,
        task,
    }
}

/// Runs a binding, again and again when it fails, until it is to stop.
async fn keep(
    binding: &Binding,
    status: &Status,
    mut stop: watch::Receiver<bool>,
) -> Result<(), String> {
    if !binding.is_enabled {
        status.set(State::Disabled);
        drop(stop.wait_for(|stop| *stop).await);
        return Ok(());
    }
    let mut wait = REOPEN_FIRST;
    loop {
        let opened = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            opened = assemble::open(binding, &status.metrics) => opened,
        };
        let ended = match opened {
            Ok((parts, source)) => {
                status.set(State::Running);
                wait = REOPEN_FIRST;
                runtime::run(parts, source, stop.clone()).await
            }
            Err(error) => Err(error),
        };
        if *stop.borrow() {
            return ended;
        }
        let why = ended.err().unwrap_or_else(|| "it ended".to_owned());
        tracing::error!(binding = %binding.name, "failed: {why}");
        status.set(State::Failed(why));
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(REOPEN_MAX),
        }
    }
}
