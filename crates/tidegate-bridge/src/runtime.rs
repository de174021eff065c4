//! One binding at work: a single loop owns every partition's queue; deliveries run beside it and report back.
//!
//! The loop never waits for a delivery, so that rebalances, pauses and commits are never late.

mod partitions;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::destination::{Destination, GivenUp};
use crate::event::{EventShape, envelope_len, record_len};
use crate::filter::Filter;
use crate::metrics::Metrics;
use crate::outcome::Condition;
use crate::policy::{Exhausted, Policy};
use crate::queue::{Finish, Moment, Next, Work};
use crate::record::{Partition, Record};
use crate::source::{Marks, Source, SourceEvent};
use crate::target::{Delivery, Target};
use partitions::Partitions;

/// Longest time between commits.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Records delivered since the last commit that make the next one come at once.
const COMMIT_RECORDS: u64 = 5_000;

/// What a binding runs with.
#[derive(Debug)]
pub struct Parts {
    /// Its name.
    pub name: Arc<str>,
    /// The function, as failure documents name it.
    pub function: Arc<str>,
    /// What it says about its events.
    pub shape: Arc<EventShape>,
    /// Batches, tries, ends.
    pub policy: Arc<Policy>,
    /// Which records are delivered.
    pub filter: Arc<Filter>,
    /// Where batches go.
    pub target: Arc<dyn Target>,
    /// Where records go that are given up.
    pub destination: Option<Arc<dyn Destination>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Most deliveries at once.
    pub in_flight_max: usize,
    /// Longest wait for deliveries when partitions go or the program ends.
    pub drain: Duration,
}

/// A delivery that ended.
struct Done {
    partition: Partition,
    generation: u64,
    lane: usize,
    finish: Finish,
}

/// A handover that waits for deliveries.
struct Handover {
    partitions: Vec<Partition>,
    reply: oneshot::Sender<Marks>,
    deadline: Duration,
}

struct Runtime {
    parts: Arc<Parts>,
    source: Box<dyn Source>,
    partitions: Partitions,
    works: JoinSet<Done>,
    handovers: Vec<Handover>,
    begin: Instant,
    /// Records delivered up to the last commit.
    committed: u64,
}

/// Runs a binding until `stop` says so or its source fails. What is delivered by then is committed.
///
/// # Errors
/// The source failed, or the last commit did: records come again later, none is lost.
pub async fn run(
    parts: Parts,
    source: Box<dyn Source>,
    stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let parts = Arc::new(parts);
    let committed = parts.metrics.delivered.get();
    let mut runtime = Runtime {
        partitions: Partitions::new(Arc::clone(&parts)),
        parts,
        source,
        works: JoinSet::new(),
        handovers: Vec::new(),
        begin: Instant::now(),
        committed,
    };
    let ended = runtime.work(stop).await;
    let left = runtime.drain().await;
    ended.and(left)
}

impl Runtime {
    fn now(&self) -> Moment {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Moment {
            running: self.begin.elapsed(),
            wall: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        }
    }

    async fn work(&mut self, mut stop: watch::Receiver<bool>) -> Result<(), String> {
        let mut commits = tokio::time::interval(COMMIT_EVERY);
        commits.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake = self.dispatch();
            self.hand_over();
            let wake = tokio::time::Instant::from_std(self.begin + wake);
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                Some(done) = self.works.join_next(), if !self.works.is_empty() => {
                    self.done(done);
                    while let Some(done) = self.works.try_join_next() {
                        self.done(done);
                    }
                    if self.parts.metrics.delivered.get() - self.committed >= COMMIT_RECORDS {
                        self.commit();
                    }
                }
                _ = commits.tick() => self.commit(),
                event = self.source.next() => self.event(event)?,
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Starts what is due; gives the running time at which to look again.
    fn dispatch(&mut self) -> Duration {
        let now = self.now();
        self.partitions.wake(now);
        while self.works.len() < self.parts.in_flight_max {
            let Some((partition, generation, next)) = self.partitions.next(now) else {
                break;
            };
            if let Next::Work(work) = next {
                self.start(partition, generation, work, now);
            }
        }
        let running = &self.parts.metrics.in_flight;
        running.store(self.works.len() as u64, Ordering::Relaxed);
        let handover = self
            .handovers
            .iter()
            .map(|handover| handover.deadline)
            .min();
        let next = self.partitions.next_timer();
        let far = now.running + COMMIT_EVERY;
        far.min(next.unwrap_or(far)).min(handover.unwrap_or(far))
    }

    fn start(&mut self, partition: Partition, generation: u64, work: Work, now: Moment) {
        let parts = Arc::clone(&self.parts);
        self.works.spawn(async move {
            let lane = work.lane;
            let finish = match work.condition {
                None => deliver(&parts, &partition, work).await,
                Some(condition) => give_up(&parts, &partition, work, condition, now.wall).await,
            };
            Done {
                partition,
                generation,
                lane,
                finish,
            }
        });
    }

    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = self.now();
        match done {
            Ok(done) => {
                let resumed = self.partitions.finish(
                    &done.partition,
                    done.generation,
                    done.lane,
                    done.finish,
                    now,
                );
                if resumed {
                    self.source.resume(&done.partition);
                }
            }
            // A delivery that panicked holds its lane: nothing behind it is committed. It is not expected.
            Err(error) => tracing::error!(binding = %self.parts.name, %error, "a delivery broke"),
        }
    }

    fn event(&mut self, event: SourceEvent) -> Result<(), String> {
        let metrics = Arc::clone(&self.parts.metrics);
        match event {
            SourceEvent::Records(chunk) => self.records(chunk),
            SourceEvent::Assigned(partitions) => {
                metrics.rebalances.add(1);
                tracing::info!(binding = %self.parts.name, ?partitions, "assigned");
                self.partitions.assign(partitions);
                self.partitions.report(self.now());
            }
            SourceEvent::Revoking { partitions, reply } => {
                metrics.rebalances.add(1);
                tracing::info!(binding = %self.parts.name, ?partitions, "revoked");
                self.partitions.hold(&partitions);
                self.handovers.push(Handover {
                    partitions,
                    reply,
                    deadline: self.now().running + self.parts.drain,
                });
            }
            SourceEvent::Lost(partitions) => {
                metrics.rebalances.add(1);
                tracing::warn!(binding = %self.parts.name, ?partitions, "lost");
                self.partitions.remove(&partitions);
                self.partitions.report(self.now());
            }
            SourceEvent::Finished(partitions) => {
                metrics.rebalances.add(1);
                tracing::info!(binding = %self.parts.name, ?partitions, "finished");
                self.partitions.remove(&partitions);
                self.partitions.report(self.now());
            }
            SourceEvent::Progress(partition, progress) => {
                self.partitions.progress(&partition, progress);
            }
            SourceEvent::Ends(ends) => self.partitions.set_ends(ends),
            SourceEvent::Trouble(text) => {
                metrics.source_errors.add(1);
                tracing::warn!(binding = %self.parts.name, "{text}");
            }
            SourceEvent::Failed(text) => {
                metrics.source_errors.add(1);
                return Err(text);
            }
        }
        Ok(())
    }

    fn records(&mut self, chunk: Vec<(Partition, Vec<Record>)>) {
        let now = self.now();
        for (partition, records) in chunk {
            if self.partitions.push(&partition, records, now) {
                self.source.pause(&partition);
            }
        }
    }

    /// Answers handovers whose deliveries are done, or whose time is over.
    fn hand_over(&mut self) {
        let now = self.now().running;
        let mut index = 0;
        while let Some(handover) = self.handovers.get(index) {
            let is_done = self.partitions.are_idle(&handover.partitions);
            if !is_done && now < handover.deadline {
                index += 1;
                continue;
            }
            let handover = self.handovers.swap_remove(index);
            let marks = self.partitions.marks_of(&handover.partitions);
            self.partitions.remove(&handover.partitions);
            drop(handover.reply.send(marks));
        }
    }

    fn commit(&mut self) {
        self.committed = self.parts.metrics.delivered.get();
        let marks = self.partitions.new_marks();
        if !marks.is_empty() {
            self.source.commit(marks);
        }
        self.partitions.report(self.now());
    }

    /// Waits for deliveries in flight, then commits and leaves.
    async fn drain(mut self) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + self.parts.drain;
        while !self.works.is_empty() {
            // Rebalances that happen meanwhile are answered too.
            tokio::select! {
                Some(done) = self.works.join_next() => self.done(done),
                () = tokio::time::sleep_until(deadline) => break,
                event = self.source.next() => match event {
                    SourceEvent::Records(_) => {}
                    SourceEvent::Failed(_) => break,
                    event => self.event(event)?,
                },
            }
            self.hand_over();
        }
        self.works.abort_all();
        let held: Vec<Partition> = self
            .handovers
            .iter()
            .flat_map(|handover| handover.partitions.clone())
            .collect();
        let marks = self.partitions.marks_of(&held);
        for handover in self.handovers.drain(..) {
            let own = marks
                .iter()
                .filter(|(partition, _)| handover.partitions.contains(partition));
            drop(handover.reply.send(own.cloned().collect()));
        }
        self.partitions.remove(&held);
        let marks = self.partitions.marks();
        self.source.close(marks).await
    }
}

async fn deliver(parts: &Parts, partition: &Partition, work: Work) -> Finish {
    let count = work.records.len();
    let delivery = Delivery {
        shape: Arc::clone(&parts.shape),
        partition: partition.clone(),
        records: work.records,
        window: work.window.map(|window| *window),
    };
    let begin = Instant::now();
    let outcome = parts.target.deliver(&delivery).await;
    let metrics = &parts.metrics;
    metrics.took(begin.elapsed().as_secs_f64());
    metrics.delivered.add(outcome.taken(count));
    if outcome.failure().is_none() {
        metrics.batches.add(1);
    }
    if let Some(failure) = outcome.failure() {
        let counter = if outcome.is_unavailable() {
            &metrics.unavailable
        } else {
            &metrics.failures
        };
        counter.add(1);
        metrics.retries.add(1);
        tracing::warn!(binding = %parts.name, %partition, records = count, "delivery failed: {}", failure.message);
    }
    Finish::Outcome(outcome)
}

async fn give_up(
    parts: &Parts,
    partition: &Partition,
    work: Work,
    condition: Condition,
    time: i64,
) -> Finish {
    let count = work.records.len();
    let metrics = &parts.metrics;
    let Some(destination) = &parts.destination else {
        if parts.policy.exhausted != Exhausted::Drop {
            return Finish::GiveUpFailed;
        }
        metrics.dropped.add(count);
        tracing::error!(binding = %parts.name, %partition, records = count, "dropped: {}", condition.as_str());
        return Finish::GivenUp;
    };
    let given_up = GivenUp {
        binding: Arc::clone(&parts.name),
        function: Arc::clone(&parts.function),
        shape: Arc::clone(&parts.shape),
        partition: partition.clone(),
        records: work.records,
        window: work.window.map(|window| *window),
        span: work.span.map(|span| *span),
        condition,
        invocations: work.invocations,
        failure: work.failure,
        time,
    };
    let taken = destination.take(&given_up).await;
    metrics
        .destination_refuses
        .store(taken.is_err(), Ordering::Relaxed);
    match taken {
        Ok(()) => {
            metrics.given_up.add(count);
            Finish::GivenUp
        }
        Err(error) => {
            metrics.destination_failures.add(1);
            tracing::error!(binding = %parts.name, %partition, records = count, "the failure destination refused: {error}");
            Finish::GiveUpFailed
        }
    }
}

/// Bytes of a record in an event of this binding, and of the event around it.
fn sizes(parts: &Parts, partition: &Partition, record: &Record) -> usize {
    record_len(&parts.shape, partition, record)
}

fn envelope(parts: &Parts, partition: &Partition) -> usize {
    envelope_len(&parts.shape, partition)
}
