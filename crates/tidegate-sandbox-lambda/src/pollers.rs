//! Pollers of event source mappings: they read a source, gather batches, invoke the function and follow what it answers.
//!
//! `streams` reads shards, `lane` gathers and retries batches of a shard, `tumble` holds windows, `queues` polls queues,
//! `filters`, `reply` and `failed` are what all share. Must not know: the API of mappings, how functions run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_sandbox_aws::service::{Neighbours, Refusal, Scope};
use tokio::sync::watch;

mod failed;
mod filters;
mod lane;
mod queues;
mod reply;
mod streams;
mod tumble;

use crate::invoke::Invoker;
use crate::lambda::Guarded;
use crate::mappings::{Plan, Source};

/// Bytes of one invocation's event.
const EVENT_BYTES: usize = 6 << 20;
/// Bytes of an event around its records.
const ENVELOPE_BYTES: usize = 1_024;
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The shortest one, so that no setting makes a poller spin.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// How often a source is looked at when nothing tells of a change.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a burst of changes is let go on before the source is read.
const SETTLING: Duration = Duration::from_millis(50);

/// Where a reader of a shard stands.
#[derive(Clone, Debug)]
enum Place {
    Kinesis(tidegate_sandbox_aws::feeds::Position),
    Log(u64),
}

/// What a mapping remembers of its source while it lives.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Where the reading of each shard goes on.
    places: BTreeMap<String, Place>,
    /// Shards that were read to their end.
    finished: BTreeSet<String>,
    /// Was the source seen before? Shards that appear later are read from their beginning.
    seen: bool,
    result: Option<String>,
}

impl Progress {
    /// What became of the last invocation, in Lambda's words.
    pub(crate) fn result(&self) -> String {
        self.result
            .clone()
            .unwrap_or_else(|| "No records processed".to_owned())
    }
}

/// The poller of one mapping as it is set now.
#[derive(Debug)]
pub(crate) struct Poller {
    pub(crate) uuid: String,
    pub(crate) function: String,
    pub(crate) role: String,
    pub(crate) source: Source,
    pub(crate) plan: Plan,
    pub(crate) neighbours: Neighbours,
    pub(crate) invoker: Arc<dyn Invoker>,
    pub(crate) progress: Arc<Guarded<Progress>>,
    /// Twice the first pause after a failure.
    pub(crate) backoff: Duration,
    /// True once the poller is to end.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Poller {
    /// Polls until it is stopped; an invocation under way is finished.
    ///
    /// # Cancel safety
    /// Dropping the future ends the poller; what was not checkpointed comes again.
    pub(crate) async fn run(self) {
        let poller = Arc::new(self);
        match poller.source {
            Source::Queue { .. } => queues::run(poller).await,
            Source::Kinesis { .. } | Source::Table { .. } => streams::run(poller).await,
            Source::Kafka => {}
        }
    }

    fn now(&self) -> Timestamp {
        self.neighbours.clock().now()
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Completes once the poller is to end.
    async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // An error means that the mapping is gone: the end as well.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Sleeps by the sandbox's clock; says whether the poller goes on.
    async fn pause(&self, duration: Duration) -> bool {
        let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let end = self
            .now()
            .saturating_add(duration)
            .unwrap_or(Timestamp::MAX);
        tokio::select! {
            () = self.stopped() => false,
            () = self.neighbours.clock().sleep_until(end) => !self.is_stopped(),
        }
    }

    /// Waits until the source may have something new; says whether the poller goes on.
    async fn look_again(&self, changes: &mut watch::Receiver<u64>) -> bool {
        let duration = SignedDuration::try_from(LOOK_AGAIN).unwrap_or(SignedDuration::MAX);
        let end = self
            .now()
            .saturating_add(duration)
            .unwrap_or(Timestamp::MAX);
        tokio::select! {
            () = self.stopped() => return false,
            () = self.neighbours.clock().sleep_until(end) => return !self.is_stopped(),
            _ = changes.changed() => {}
        }
        tokio::select! {
            () = self.stopped() => false,
            () = tokio::time::sleep(SETTLING) => true,
        }
    }

    fn scope(&self, arn: &str) -> Scope {
        let region = arn.split(':').nth(3).filter(|region| !region.is_empty());
        let own = self.function.split(':').nth(3).unwrap_or("");
        Scope {
            account: self.neighbours.options().account.clone(),
            region: region.unwrap_or(own).to_owned(),
            endpoint: self.neighbours.endpoint(),
            now: self.now(),
        }
    }

    fn tell(&self, result: &str) {
        self.progress.lock().result = Some(result.to_owned());
    }

    /// What is told of an invocation that was refused.
    fn tell_refused(&self, refusal: &Refusal) {
        self.tell(match refusal.code.as_str() {
            "TooManyRequestsException" => "PROBLEM: Function call was throttled",
            "ResourceNotFoundException" => "PROBLEM: Function not found",
            _ => "PROBLEM: Function call failed",
        });
    }
}

/// Pauses that grow after each failure.
#[derive(Debug)]
struct Backoff {
    first: Duration,
    next: Duration,
}

impl Backoff {
    fn new(base: Duration) -> Self {
        let first = (base / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        Self { first, next: first }
    }

    fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next pause, give or take half of it.
    fn pause(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 3 / 2).min(LONGEST_PAUSE);
        let share = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
        (now / 2)
            .saturating_add(now * share / 255)
            .clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}
