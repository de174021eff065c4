//! One watch per target for all applications: events go to the inbox of the application concerned, so that what one
//! application costs does not grow with the number of the others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use tidegate_applier::{Applier, WatchEvent};
use tidegate_manifest::{ResourceKey, Target};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::Destination;

/// How long a broken watch rests before it is opened again.
const REOPEN_AFTER: Duration = Duration::from_secs(5);

/// What was heard of one application since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    heard: Mutex<Heard>,
    news: Notify,
}

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Objects that changed, and whether more than their status may have.
    pub(crate) keys: BTreeMap<ResourceKey, bool>,
    /// Events may be missing: a watch broke.
    pub(crate) has_gap: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what was heard.
    pub(crate) fn take(&self) -> Heard {
        std::mem::take(&mut self.lock())
    }

    /// Returns once something was heard that was not taken out.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn news(&self) {
        loop {
            let notified = self.news.notified();
            if *self.lock() != Heard::default() {
                return;
            }
            notified.await;
        }
    }

    fn put(&self, event: &WatchEvent) {
        let mut heard = self.lock();
        let change = heard.keys.entry(event.key.clone()).or_default();
        *change |= event.desired_fields_changed || event.deleted;
        drop(heard);
        self.news.notify_one();
    }

    fn put_gap(&self) {
        self.lock().has_gap = true;
        self.news.notify_one();
    }
}

type Inboxes = Arc<Mutex<BTreeMap<String, Vec<Weak<Inbox>>>>>;

/// The watches of an engine.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    targets: Mutex<BTreeMap<Target, Watched>>,
}

#[derive(Debug)]
struct Watched {
    inboxes: Inboxes,
    is_live: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// The inbox of an application; it hears of the targets of `destination` from now on.
    pub(crate) fn subscribe(&self, application: &str, destination: &Destination) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        let mut targets = lock(&self.targets);
        for (target, applier) in destination.appliers() {
            let watched = targets.entry(target.clone()).or_insert_with(|| {
                let (inboxes, is_live) = (Inboxes::default(), Arc::default());
                let task = listen(
                    Arc::clone(applier),
                    Arc::clone(&inboxes),
                    Arc::clone(&is_live),
                );
                Watched {
                    inboxes,
                    is_live,
                    task: tokio::spawn(task),
                }
            });
            let mut inboxes = lock(&watched.inboxes);
            let mine = inboxes.entry(application.to_owned()).or_default();
            mine.retain(|other| other.strong_count() > 0);
            mine.push(Arc::downgrade(&inbox));
        }
        inbox
    }

    /// Whether all these targets are watched right now.
    pub(crate) fn is_live<'a>(&self, asked: impl IntoIterator<Item = &'a Target>) -> bool {
        let targets = lock(&self.targets);
        asked.into_iter().all(|target| {
            let watched = targets.get(target);
            watched.is_some_and(|watched| watched.is_live.load(Ordering::Relaxed))
        })
    }
}

/// Hands events to inboxes for as long as the applier can be watched.
async fn listen(applier: Arc<dyn Applier>, inboxes: Inboxes, is_live: Arc<AtomicBool>) {
    loop {
        match applier.watch().await {
            Ok(Some(mut events)) => {
                // What happened before the watch was open was not heard.
                tell_gap(&inboxes);
                is_live.store(true, Ordering::Relaxed);
                while let Some(Ok(event)) = events.next().await {
                    hand_out(&inboxes, &event);
                }
            }
            // It cannot be watched, now or ever: live state is looked at from time to time anyway.
            Ok(None) => return,
            Err(error) => tracing::debug!(%error, "the target cannot be watched now"),
        }
        is_live.store(false, Ordering::Relaxed);
        tell_gap(&inboxes);
        tokio::time::sleep(REOPEN_AFTER).await;
    }
}

fn tell_gap(inboxes: &Inboxes) {
    for inbox in lock(inboxes).values().flatten().filter_map(Weak::upgrade) {
        inbox.put_gap();
    }
}

fn hand_out(inboxes: &Inboxes, event: &WatchEvent) {
    let mut inboxes = lock(inboxes);
    for application in &event.applications {
        let Some(mine) = inboxes.get_mut(application) else {
            continue;
        };
        mine.retain(|inbox| inbox.strong_count() > 0);
        for inbox in mine.iter().filter_map(Weak::upgrade) {
            inbox.put(event);
        }
        if mine.is_empty() {
            inboxes.remove(application);
        }
    }
}
