//! Keeps a replica's leases: renews, takes, hands over, writes checkpoints, and owns the readers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::DisplayErrorContext;
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::lease::{Checkpoint, Lease, Leases, Step, forgotten, steps};
use super::reader::{Control, Reader};
use super::store::{Store, Write};
use super::{Shared, StreamName};
use crate::record::Partition;
use crate::source::{Marks, SourceEvent};

/// Time between looks at the stream's shards; a shard that ends makes one come at once.
const SHARDS_EVERY: Duration = Duration::from_secs(15);
/// Leases that are written at once.
const WRITES: usize = 16;
/// Reads at once: each may hold 10 MB until the runtime takes it.
const READS: usize = 16;
/// Leases that a replica holds at most.
const HELD_MAX: usize = 10_000;

/// What a keeper is made with.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) client: Client,
    pub(super) stream: StreamName,
    pub(super) stream_arn: Arc<str>,
    pub(super) store: Arc<dyn Store>,
    /// Where shards begin that nobody has read.
    pub(super) beginning: Checkpoint,
    /// Time between reads of a shard.
    pub(super) poll: Duration,
    /// How long a lease lives without being renewed.
    pub(super) lease: Duration,
}

/// A shard that this replica reads.
#[derive(Debug)]
struct Held {
    lease: Lease,
    renewed: Instant,
    control: Arc<Control>,
    reader: JoinHandle<()>,
    /// The last record that is done.
    mark: Option<Arc<str>>,
    is_leaving: bool,
}

impl Held {
    /// What the lease is to say.
    fn checkpoint(&self) -> Checkpoint {
        let read = self.control.read();
        if read.is_over && (read.last.is_none() || read.last == self.mark) {
            return Checkpoint::Ended;
        }
        match &self.mark {
            Some(number) => Checkpoint::After(Arc::clone(number)),
            None => self.lease.checkpoint.clone(),
        }
    }

    async fn end(&mut self) {
        self.reader.abort();
        // Its last chunk is in the channel, or never comes.
        drop((&mut self.reader).await);
    }
}

/// Owner and counter of a lease, and since when they are so.
#[derive(Debug)]
struct Sight {
    owner: Option<Arc<str>>,
    counter: u64,
    since: Instant,
}

/// A shard whose deliveries are awaited before somebody else gets it.
struct Handover {
    shard: Arc<str>,
    to: Arc<str>,
    marks: Option<Marks>,
}

#[derive(Debug)]
pub(super) struct Keeper {
    options: Options,
    own: Arc<str>,
    events: mpsc::Sender<SourceEvent>,
    shared: Arc<Shared>,
    ended: Arc<Notify>,
    held: BTreeMap<Arc<str>, Held>,
    /// What was seen of others' leases, and since when.
    seen: BTreeMap<Arc<str>, Sight>,
    reads: Arc<Semaphore>,
    handovers: JoinSet<(Arc<str>, Arc<str>, Option<Marks>)>,
    listed: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(
        options: Options,
        events: mpsc::Sender<SourceEvent>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            options,
            own: uuid::Uuid::new_v4().to_string().into(),
            events,
            shared,
            ended: Arc::new(Notify::new()),
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            reads: Arc::new(Semaphore::new(READS)),
            handovers: JoinSet::new(),
            listed: None,
        }
    }

    /// Works until it is to stop; then writes the last checkpoints and lets the leases go.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), String> {
        let mut ticks = tokio::time::interval(self.options.lease / 3);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (shared, ended) = (Arc::clone(&self.shared), Arc::clone(&self.ended));
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                Some(handover) = self.handovers.join_next(), if !self.handovers.is_empty() => {
                    if let Ok((shard, to, marks)) = handover {
                        self.hand_over(Handover { shard, to, marks }).await;
                    }
                }
                () = shared.has_marks.notified() => {
                    self.take_marks();
                    self.write(false).await;
                    if self.listed.is_none() {
                        // A shard is finished: its children are to be read.
                        self.look().await;
                    }
                }
                () = ended.notified() => {
                    self.listed = None;
                    self.write(false).await;
                    self.look().await;
                }
                _ = ticks.tick() => {
                    self.write(true).await;
                    self.look().await;
                }
            }
        }
        self.leave().await
    }

    async fn tell(&self, event: SourceEvent) {
        drop(self.events.send(event).await);
    }

    async fn trouble(&self, what: String) {
        self.tell(SourceEvent::Trouble(what)).await;
    }

    fn partition(&self, shard: &Arc<str>) -> Partition {
        Partition {
            source: Arc::clone(&self.options.stream_arn),
            id: Arc::clone(shard),
        }
    }

    /// Takes over the marks that the runtime left.
    fn take_marks(&mut self) {
        let Ok(mut marks) = self.shared.marks.lock() else {
            return;
        };
        for (shard, mark) in std::mem::take(&mut *marks) {
            if let Some(held) = self.held.get_mut(&shard) {
                held.mark = Some(mark);
            }
        }
    }

    /// Writes checkpoints that changed; `renews`: all leases.
    async fn write(&mut self, renews: bool) {
        let due: Vec<(Lease, Write)> = self
            .held
            .values()
            .filter(|held| renews || held.checkpoint() != held.lease.checkpoint)
            .map(|held| {
                let checkpoint = held.checkpoint();
                let is_done = checkpoint == Checkpoint::Ended;
                let write = Write {
                    owner: (!is_done).then(|| Arc::clone(&self.own)),
                    checkpoint,
                    settles_wish: is_done,
                };
                (held.lease.clone(), write)
            })
            .collect();
        let (store, limit) = (&self.options.store, self.options.lease / 2);
        let written: Vec<_> = stream::iter(due)
            .map(|(lease, write)| async move {
                let begin = Instant::now();
                let written = tokio::time::timeout(limit, store.write(&lease, &write)).await;
                let written = written.unwrap_or_else(|_| {
                    Err(format!(
                        "the lease of shard {} was not written in time",
                        lease.shard
                    ))
                });
                (lease, write, begin, written)
            })
            .buffer_unordered(WRITES)
            .collect()
            .await;
        for (lease, write, begin, written) in written {
            self.written(lease, write, begin, written).await;
        }
        self.give_up_old().await;
    }

    async fn written(
        &mut self,
        lease: Lease,
        write: Write,
        begin: Instant,
        written: Result<Option<u64>, String>,
    ) {
        let shard = Arc::clone(&lease.shard);
        match written {
            Ok(Some(_)) if write.checkpoint == Checkpoint::Ended => {
                tracing::info!(%shard, "finished");
                self.drop_held(&shard, SourceEvent::Finished).await;
                self.listed = None;
            }
            Ok(Some(counter)) => {
                if let Some(held) = self.held.get_mut(&shard) {
                    held.lease.counter = counter;
                    held.lease.checkpoint = write.checkpoint;
                    held.renewed = begin;
                }
            }
            Ok(None) => self.drop_held(&shard, SourceEvent::Lost).await,
            Err(error) => self.trouble(error).await,
        }
    }

    /// Stops reading shards whose leases could not be renewed: somebody else may have them by now.
    async fn give_up_old(&mut self) {
        let old: Vec<Arc<str>> = self
            .held
            .iter()
            .filter(|(_, held)| held.renewed.elapsed() >= self.options.lease)
            .map(|(shard, _)| Arc::clone(shard))
            .collect();
        for shard in old {
            self.drop_held(&shard, SourceEvent::Lost).await;
        }
    }

    async fn drop_held(&mut self, shard: &Arc<str>, event: fn(Vec<Partition>) -> SourceEvent) {
        let Some(mut held) = self.held.remove(shard) else {
            return;
        };
        self.forget_control(shard);
        held.end().await;
        self.seen.remove(shard);
        self.tell(event(vec![self.partition(shard)])).await;
    }

    fn forget_control(&self, shard: &Arc<str>) {
        if let Ok(mut controls) = self.shared.controls.lock() {
            controls.remove(shard);
        }
    }

    /// Looks at shards and leases, and does what they ask for.
    async fn look(&mut self) {
        if let Err(error) = self.try_to_look().await {
            self.trouble(error).await;
        }
    }

    async fn try_to_look(&mut self) -> Result<(), String> {
        let store = Arc::clone(&self.options.store);
        let mut leases = store.leases().await?;
        let is_due = |listed: Instant| listed.elapsed() >= SHARDS_EVERY;
        if self.listed.is_none_or(is_due) {
            self.list_shards(&mut leases).await?;
            self.listed = Some(Instant::now());
        }
        let stale = self.stale(&leases);
        self.answer_wishes(&leases).await;
        // What was handed over, and what was taken by a write whose answer was lost.
        for lease in leases.values() {
            let is_ours = lease.owner.as_ref() == Some(&self.own);
            if is_ours && !self.held.contains_key(&lease.shard) {
                self.take(lease).await?;
            }
        }
        for step in steps(&self.own, &leases, &stale) {
            match step {
                Step::Take(shard) if self.held.len() < HELD_MAX => {
                    let lease = leases.get(&shard);
                    if let Some(lease) = lease.filter(|_| !self.held.contains_key(&shard)) {
                        self.take(lease).await?;
                    }
                }
                Step::Take(_) => {}
                Step::Ask(shard) => {
                    if let Some(lease) = leases.get(&shard) {
                        store.ask(lease, &self.own).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Leases of others that nobody renewed for as long as a lease lives.
    fn stale(&mut self, leases: &Leases) -> BTreeSet<Arc<str>> {
        let now = Instant::now();
        self.seen.retain(|shard, _| leases.contains_key(shard));
        let mut stale = BTreeSet::new();
        for lease in leases.values() {
            let fresh = || Sight {
                owner: lease.owner.clone(),
                counter: lease.counter,
                since: now,
            };
            let seen = self
                .seen
                .entry(Arc::clone(&lease.shard))
                .or_insert_with(fresh);
            if seen.owner != lease.owner || seen.counter != lease.counter {
                *seen = fresh();
            }
            let is_others = lease.owner.is_some() && lease.owner.as_ref() != Some(&self.own);
            if is_others && now.duration_since(seen.since) >= self.options.lease {
                stale.insert(Arc::clone(&lease.shard));
            }
        }
        stale
    }

    /// Adds leases of shards that are new, parents first, and takes away those that nobody needs.
    async fn list_shards(&mut self, leases: &mut Leases) -> Result<(), String> {
        let mut shards = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut call = self.options.client.list_shards();
            call = match token.take() {
                Some(token) => call.next_token(token),
                None => call
                    .set_stream_name(self.options.stream.name.clone())
                    .set_stream_arn(self.options.stream.arn.clone()),
            };
            let page = call.send().await.map_err(|error| {
                format!(
                    "the shards cannot be listed: {}",
                    DisplayErrorContext(error)
                )
            })?;
            shards.extend(page.shards.unwrap_or_default());
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        // Ids rise: a child's is higher than its parents'.
        shards.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
        let listed: BTreeSet<Arc<str>> = shards
            .iter()
            .map(|shard| shard.shard_id.as_str().into())
            .collect();
        for shard in shards {
            let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
            let lease = Lease {
                shard: shard.shard_id.into(),
                owner: None,
                counter: 0,
                checkpoint: self.options.beginning.clone(),
                parents: parents.into_iter().flatten().map(Into::into).collect(),
                wanted_by: None,
            };
            if !leases.contains_key(&lease.shard) {
                self.options.store.add(&lease).await?;
                leases.insert(Arc::clone(&lease.shard), lease);
            }
        }
        for shard in forgotten(leases, &listed) {
            self.options.store.remove(&shard).await?;
            leases.remove(&shard);
        }
        Ok(())
    }

    async fn take(&mut self, lease: &Lease) -> Result<(), String> {
        let write = Write {
            owner: Some(Arc::clone(&self.own)),
            checkpoint: lease.checkpoint.clone(),
            settles_wish: true,
        };
        let renewed = Instant::now();
        let Some(counter) = self.options.store.write(lease, &write).await? else {
            return Ok(());
        };
        let shard = Arc::clone(&lease.shard);
        let control = Arc::new(Control::new(Arc::clone(&self.ended)));
        if let Ok(mut controls) = self.shared.controls.lock() {
            controls.insert(Arc::clone(&shard), Arc::clone(&control));
        }
        let partition = self.partition(&shard);
        self.tell(SourceEvent::Assigned(vec![partition.clone()]))
            .await;
        let reader = Reader {
            client: self.options.client.clone(),
            stream: self.options.stream.clone(),
            partition,
            from: lease.checkpoint.clone(),
            poll: self.options.poll,
            events: self.events.clone(),
            control: Arc::clone(&control),
            reads: Arc::clone(&self.reads),
        };
        let held = Held {
            lease: Lease {
                owner: write.owner,
                counter,
                wanted_by: None,
                ..lease.clone()
            },
            renewed,
            control,
            reader: tokio::spawn(reader.run()),
            mark: None,
            is_leaving: false,
        };
        self.held.insert(shard, held);
        Ok(())
    }

    /// Begins to hand over what others ask for.
    async fn answer_wishes(&mut self, leases: &Leases) {
        let mut leaving = Vec::new();
        for lease in leases.values() {
            let Some(to) = lease.wanted_by.clone().filter(|to| *to != self.own) else {
                continue;
            };
            if lease.owner.as_ref() != Some(&self.own) {
                continue;
            }
            if let Some(held) = self.held.get_mut(&lease.shard)
                && !held.is_leaving
            {
                held.is_leaving = true;
                held.reader.abort();
                leaving.push((Arc::clone(&lease.shard), to));
            }
        }
        for (shard, to) in leaving {
            let (reply, answer) = oneshot::channel();
            let partitions = vec![self.partition(&shard)];
            self.tell(SourceEvent::Revoking { partitions, reply }).await;
            self.handovers
                .spawn(async move { (shard, to, answer.await.ok()) });
        }
    }

    /// Gives a lease away, with the checkpoint of what is done.
    async fn hand_over(&mut self, handover: Handover) {
        let Some(mut held) = self.held.remove(&handover.shard) else {
            return;
        };
        self.forget_control(&handover.shard);
        held.end().await;
        let marks = handover.marks.unwrap_or_default();
        for (_, position) in marks {
            held.mark = Some(position.to_string().into());
        }
        let checkpoint = held.checkpoint();
        let write = Write {
            owner: (checkpoint != Checkpoint::Ended).then_some(handover.to),
            checkpoint,
            settles_wish: true,
        };
        match self.options.store.write(&held.lease, &write).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                self.trouble(format!(
                    "shard {} was somebody else's already: its last records come again",
                    handover.shard
                ))
                .await;
            }
            Err(error) => self.trouble(error).await,
        }
    }

    /// Writes the last checkpoints and lets all leases go.
    async fn leave(mut self) -> Result<(), String> {
        while let Some(handover) = self.handovers.join_next().await {
            if let Ok((shard, to, marks)) = handover {
                self.hand_over(Handover { shard, to, marks }).await;
            }
        }
        self.take_marks();
        let mut failure = None;
        for (shard, mut held) in std::mem::take(&mut self.held) {
            held.end().await;
            let write = Write {
                owner: None,
                checkpoint: held.checkpoint(),
                settles_wish: false,
            };
            match self.options.store.write(&held.lease, &write).await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    failure = Some(format!("shard {shard} was somebody else's already"));
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

impl Drop for Keeper {
    fn drop(&mut self) {
        for held in self.held.values() {
            held.reader.abort();
        }
    }
}
