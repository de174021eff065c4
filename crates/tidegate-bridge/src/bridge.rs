//! Bindings as running things: each is opened, run, run again when its source fails, and stopped or replaced when
//! its file changes.

mod assemble;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_manifest::{Health, HealthStatus};
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

impl Status {
    fn health(&self) -> Health {
        match self.get() {
            State::Disabled => return Health::new(HealthStatus::Suspended, "it is not enabled"),
            State::Starting => return Health::new(HealthStatus::Progressing, "it is being opened"),
            State::Stopped => return Health::new(HealthStatus::Missing, "it ended"),
            State::Failed(why) => return Health::new(HealthStatus::Degraded, why),
            State::Running => {}
        }
        if self.metrics.destination_refuses.load(Ordering::Relaxed) {
            let message = "the failure destination refuses; its records wait";
            return Health::new(HealthStatus::Degraded, message);
        }
        let partitions = self.metrics.partitions();
        let blocked = partitions.iter().find(|(_, facts)| facts.is_blocked);
        if let Some((partition, _)) = blocked {
            let message = format!("exhausted records hold partition {partition}");
            return Health::new(HealthStatus::Degraded, message);
        }
        if partitions.is_empty() {
            return Health::new(
                HealthStatus::Progressing,
                "no partition is assigned to it yet",
            );
        }
        Health::healthy()
    }
}

#[derive(Debug)]
struct Running {
    binding: Binding,
    status: Arc<Status>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
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
    /// Starts bindings, each on its own; one that fails is tried again and holds up no other. Must be called within a
    /// tokio runtime; [`Bridge::stop`] ends it cleanly, dropping it ends it as a crash would: nothing is lost, some
    /// records come again.
    ///
    /// ```no_run
    /// # async fn start() {
    /// use tidegate_bridge::{Bridge, read};
    ///
    /// let text = std::fs::read_to_string("bindings.yaml").expect("the file is there");
    /// let found = read("bindings.yaml", &text, &|name| std::env::var(name).ok());
    /// assert!(!found.has_errors());
    /// let mut bridge = Bridge::start(found.bindings).await;
    /// for (binding, health) in bridge.health() {
    ///     println!("{binding}: {:?} {}", health.status, health.message);
    /// }
    /// bridge.stop().await;
    /// # }
    /// ```
    pub async fn start(bindings: Vec<Binding>) -> Self {
        let mut bridge = Self::default();
        bridge.replace(bindings).await;
        bridge
    }

    /// Starts a binding, or its new form once the old one has drained; nothing happens when it runs as it is.
    pub async fn put(&mut self, binding: Binding) -> Change {
        let mut wanted = self.bindings();
        wanted.retain(|other| other.name != binding.name);
        wanted.push(binding);
        self.replace(wanted).await
    }

    /// Drains and ends a binding; nothing happens when there is none of that name.
    pub async fn remove(&mut self, name: &str) -> Change {
        let mut wanted = self.bindings();
        wanted.retain(|other| other.name != name);
        self.replace(wanted).await
    }

    /// The bindings, running or disabled, by name.
    pub fn bindings(&self) -> Vec<Binding> {
        self.running
            .values()
            .map(|running| running.binding.clone())
            .collect()
    }

    /// Makes exactly these bindings run: new ones start, others drain and end, changed ones do both in turn.
    /// Counters of a binding that changed go on.
    pub async fn replace(&mut self, bindings: Vec<Binding>) -> Change {
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
                ending.push((name, running));
            }
        }
        for (name, mut running) in ending {
            let ended = (&mut running.task).await;
            if let Err(error) = ended.unwrap_or_else(|error| Err(error.to_string())) {
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
        self.replace(Vec::new()).await
    }

    /// Health of each binding.
    pub fn health(&self) -> BTreeMap<String, Health> {
        self.view().health()
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

    /// Health of each binding: progressing until it has partitions, degraded while it fails, while exhausted records
    /// hold a partition, and while the failure destination refuses.
    pub fn health(&self) -> BTreeMap<String, Health> {
        let bindings = self.bindings.iter();
        bindings
            .map(|(name, status)| (name.clone(), status.health()))
            .collect()
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
