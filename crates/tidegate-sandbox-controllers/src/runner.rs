//! The shell around the [`Simulation`]: one task that waits for changes, for the clock, or for the end.

use crate::simulation::{ControllerOptions, Progress, Simulation};
use std::time::Duration;
use tidegate_sandbox_kubernetes::{ManualClock, Objects, ResourceName};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The running controllers of one server. Dropping it ends them; [`Controllers::shutdown`] waits for that too.
#[derive(Debug)]
pub struct Controllers {
    objects: Objects,
    progress: watch::Receiver<Progress>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Controllers {
    /// Starts the controllers on the current runtime. Existing objects are taken up as they are.
    pub fn start(objects: Objects, options: ControllerOptions) -> Self {
        let first = Progress {
            busy: true,
            revision: 0,
            wake_at: None,
        };
        let (publish, progress) = watch::channel(first);
        let (stop, stopped) = watch::channel(false);
        let simulation = Simulation::new(objects.clone(), options);
        let task = tokio::spawn(run(simulation, objects.clone(), publish, stopped));
        Self {
            objects,
            progress,
            stop,
            task: Some(task),
        }
    }

    /// Ends the controllers and waits until they have.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take()
            && let Err(failure) = task.await
        {
            tracing::error!(%failure, "the controllers ended badly");
        }
    }

    /// Waits until everything that has happened so far has been reacted to, and nothing is due at the present moment.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn idle(&self) -> Progress {
        let mut progress = self.progress.clone();
        loop {
            let revision = self.objects.list(&ResourceName::new("", "nodes"), None).0;
            let now = self.objects.clock().now();
            let quiet = |seen: &Progress| {
                !seen.busy && seen.revision >= revision && seen.wake_at.is_none_or(|due| due > now)
            };
            // The sender lives as long as the task; without it nothing will ever happen again.
            let Ok(seen) = progress.wait_for(quiet).await.map(|seen| *seen) else {
                return *self.progress.borrow();
            };
            // The controllers' own last writes may have moved the revision: look once more.
            if self.objects.list(&ResourceName::new("", "nodes"), None).0 == revision {
                return seen;
            }
        }
    }

    /// Moves a manual clock forward by `span`, stopping at every moment at which something is due: the whole
    /// simulation of that time, without waiting for any of it.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the clock where it was moved to.
    pub async fn run_for(&self, clock: &ManualClock, span: Duration) {
        let end = crate::value::later(clock.now(), span);
        loop {
            let progress = self.idle().await;
            let next = progress.wake_at.filter(|due| *due <= end).unwrap_or(end);
            let left = Duration::try_from(next.duration_since(clock.now())).unwrap_or_default();
            clock.advance(left);
            if next >= end {
                self.idle().await;
                return;
            }
        }
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn run(
    mut simulation: Simulation,
    objects: Objects,
    publish: watch::Sender<Progress>,
    mut stopped: watch::Receiver<bool>,
) {
    let clock = objects.clock();
    loop {
        let progress = simulation.turn();
        publish.send_replace(progress);
        if *stopped.borrow() {
            return;
        }
        if progress.busy {
            tokio::task::yield_now().await;
            continue;
        }
        let due = async {
            match progress.wake_at {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = objects.changed(progress.revision) => {}
            () = due => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}
