//! The loop of an application's task.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidegate_applier::ReadOptions;
use tidegate_manifest::{HealthStatus, ResourceKey, SyncStatus};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{ApplicationView, Message, ReconcileOptions, Reply, Source, Wanted};
use crate::automation::{Decision, decide};
use crate::comparison::{Comparison, Condition};
use crate::live::Observation;
use crate::watching::{Heard, Inbox};
use crate::{
    Controller, Desired, Destination, Engine, EngineError, Event, OperationState, Reason,
    SyncRequest, difference, observe,
};

/// How often a running operation is shown.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// How long the task rests after a look that could not be finished.
const REST_AFTER_ERROR: Duration = Duration::from_secs(5);

/// The first wait between two looks at an application that is not healthy; each further one is twice as long.
const HEALTH_WAIT_MIN: Duration = Duration::from_secs(1);
/// How much rarer live state is compared without a reason where its changes are told.
const RARER_WHEN_WATCHED: u32 = 10;

/// What made the task look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// The source may have changed: render if its revision did.
    Poll,
    /// Render whatever the revision says.
    Refresh,
    /// Live state may have changed.
    Compare,
    /// Only health may have changed.
    Health,
}

pub(super) struct Owner {
    engine: Engine,
    destination: Destination,
    source: Arc<dyn Source>,
    options: ReconcileOptions,
    publish: watch::Sender<ApplicationView>,
    desired: Option<Arc<Desired>>,
    comparison: Option<Arc<Comparison>>,
    observation: Option<Observation>,
    last: Option<OperationState>,
    inbox: Option<Arc<Inbox>>,
    /// Objects whose drift was told.
    drifted: BTreeSet<ResourceKey>,
    /// What automation would not do, so that it is told once.
    refused: Option<Condition>,
    next_poll: Instant,
    next_compare: Instant,
    heal_at: Option<Instant>,
    /// When the health of an application that is not healthy is looked at again, and how long the
    /// next wait is.
    health_at: Option<Instant>,
    health_wait: Duration,
}

impl Owner {
    pub(super) fn new(
        engine: Engine,
        destination: Destination,
        source: Arc<dyn Source>,
        options: ReconcileOptions,
        publish: watch::Sender<ApplicationView>,
    ) -> Self {
        let now = Instant::now();
        Self {
            engine,
            destination,
            source,
            options,
            publish,
            desired: None,
            comparison: None,
            observation: None,
            last: None,
            inbox: None,
            drifted: BTreeSet::new(),
            refused: None,
            next_poll: now,
            next_compare: now,
            heal_at: None,
            health_at: None,
            health_wait: HEALTH_WAIT_MIN,
        }
    }

    /// Runs until `stop`; a panic inside one look ends that look only.
    pub(super) async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut level = Level::Refresh;
        let mut asked: Option<(Box<SyncRequest>, Reply)> = None;
        loop {
            let look = self.look(level, asked.take(), &mut messages, &mut stop);
            let done = AssertUnwindSafe(look).catch_unwind().await;
            match done {
                Ok(Ok(())) => self.show(None),
                Ok(Err(error)) => {
                    self.show(Some(error));
                    self.next_poll = self.next_poll.min(Instant::now() + REST_AFTER_ERROR);
                }
                Err(_) => {
                    self.show(Some("an internal error ended the last look".to_owned()));
                    self.next_poll = Instant::now() + REST_AFTER_ERROR;
                }
            }
            if *stop.borrow() {
                return;
            }
            tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Refresh) => level = Level::Refresh,
                    Some(Message::Sync(request, reply)) => {
                        level = Level::Poll;
                        asked = Some((request, reply));
                    }
                    Some(Message::Terminate) => level = Level::Compare,
                    None => return,
                },
                _ = stop.wait_for(|stop| *stop) => return,
                found = self.due() => level = found,
            }
        }
    }

    /// Returns when it is time to look again, and at what.
    async fn due(&self) -> Level {
        let heal_at = self.heal_at.unwrap_or(self.next_compare);
        let health_at = self.health_at.unwrap_or(self.next_compare);
        let inbox = self.inbox.clone();
        let news = async move {
            match inbox {
                Some(inbox) => {
                    inbox.news().await;
                    inbox.take()
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(self.next_poll) => Level::Poll,
            () = tokio::time::sleep_until(self.next_compare.min(heal_at)) => Level::Compare,
            heard = news => level_of(&heard),
            () = tokio::time::sleep_until(health_at) => Level::Health,
        }
    }

    fn name(&self) -> String {
        self.desired
            .as_ref()
            .map(|desired| desired.application_name().to_owned())
            .unwrap_or_default()
    }

    fn event(&self, reason: Reason) -> Event {
        Event::new(reason, self.name())
    }

    /// One look: source, live state, and what follows from both.
    async fn look(
        &mut self,
        level: Level,
        asked: Option<(Box<SyncRequest>, Reply)>,
        messages: &mut mpsc::Receiver<Message>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), String> {
        self.heal_at = None;
        let is_first = self.desired.is_none();
        if matches!(level, Level::Poll | Level::Refresh) {
            self.next_poll = Instant::now() + self.options.poll_interval;
            if !self.fetch(level == Level::Refresh).await? && asked.is_none() {
                return Ok(());
            }
        }
        let Some(desired) = self.desired.clone() else {
            return Ok(());
        };
        if is_first {
            self.begin(&desired, messages, stop).await?;
        }
        if let Some((request, reply)) = asked {
            let ended = self.operate(&desired, *request, messages, stop).await;
            let _gone = reply.send(ended);
        } else if is_first && let Some(request) = self.options.sync_once.take() {
            let _ended = self.operate(&desired, request, messages, stop).await;
        }
        if *stop.borrow() {
            return Ok(());
        }
        self.compare(level == Level::Health).await?;
        self.automate(messages, stop).await
    }

    /// Asks the source; true when what it says is new, or must be looked at anyway.
    async fn fetch(&mut self, anyway: bool) -> Result<bool, String> {
        let newest = self.source.newest().await?;
        let known = self.desired.as_ref().map(|desired| desired.revisions());
        let is_new = known.as_ref() != Some(&newest);
        if !is_new && !anyway {
            return Ok(false);
        }
        let desired = self.source.desired(Wanted::Newest).await?;
        let is_other = self
            .desired
            .as_ref()
            .is_none_or(|known| known.digest() != desired.digest());
        self.engine.tell_desired(&desired, is_new, is_other);
        self.desired = Some(Arc::new(desired));
        if is_other || is_new {
            self.refused = None;
            self.drifted.clear();
        }
        Ok(true)
    }

    /// Once, when the application is known: hear of its objects, go on with what was left behind.
    async fn begin(
        &mut self,
        desired: &Arc<Desired>,
        messages: &mut mpsc::Receiver<Message>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), String> {
        let application = &desired.application;
        let name = self.engine.tracking_name(application);
        self.inbox = Some(self.engine.hub().subscribe(&name, &self.destination));
        self.last = self
            .engine
            .last(application)
            .await
            .map_err(|error| words(&error))?;
        let left = self
            .engine
            .unfinished(application)
            .await
            .map_err(|error| words(&error))?;
        let Some(left) = left else {
            return Ok(());
        };
        if left.revisions == desired.revisions() && left.desired == desired.digest() {
            let _ended = self.operate(desired, left.request, messages, stop).await;
            self.options.sync_once = None;
        }
        Ok(())
    }

    async fn compare(&mut self, only_health: bool) -> Result<(), String> {
        let Some(desired) = self.desired.clone() else {
            return Ok(());
        };
        let heard = self.inbox.as_ref().map(|inbox| inbox.take());
        let (rules, rule_errors) = difference::ignore_rules(&desired);
        let is_quiet = heard.is_none_or(|heard| level_of(&heard) == Level::Health);
        let comparison = match (&mut self.observation, only_health && is_quiet) {
            (Some(observation), true) => {
                let keys = observation.live.objects.keys().cloned().collect();
                let options = ReadOptions::default();
                for (key, answer) in observe::read(&self.destination, keys, options).await {
                    observation.live.set(&key, answer);
                }
                let judged = self
                    .engine
                    .judge(&desired, observation, &rules, &rule_errors);
                judged.await.map_err(|error| words(&error))?
            }
            (_, _) => {
                self.next_compare = Instant::now() + self.options.compare_interval;
                let compared = self.engine.compare_observed(&self.destination, &desired);
                let (comparison, observation) = compared.await.map_err(|error| words(&error))?;
                if self.is_watched(&comparison) {
                    self.next_compare += self.options.compare_interval * (RARER_WHEN_WATCHED - 1);
                }
                self.observation = Some(observation);
                comparison
            }
        };
        self.tell(&comparison);
        self.plan_health_look(&comparison);
        self.comparison = Some(Arc::new(comparison));
        self.publish.send_modify(|view| view.rounds += 1);
        self.show(None);
        Ok(())
    }

    /// Whether changes of everything that the Application has are told: a target that cannot be watched matters only to
    /// those who have something in it.
    fn is_watched(&self, comparison: &Comparison) -> bool {
        let used = comparison.resources.iter().map(|row| &row.key.target);
        !comparison.resources.is_empty() && self.engine.hub().is_live(used)
    }

    /// Plans the next look at health: an event may be missed, or not every target tells of them.
    fn plan_health_look(&mut self, comparison: &Comparison) {
        let before = self.comparison.as_ref();
        let before = before.map(|before| (before.sync, &before.health));
        if before != Some((comparison.sync, &comparison.health)) {
            self.health_wait = HEALTH_WAIT_MIN;
        }
        let is_live = self.is_watched(comparison);
        let times = if is_live { RARER_WHEN_WATCHED } else { 1 };
        let is_healthy = comparison.health.status == HealthStatus::Healthy;
        self.health_at = (!is_healthy).then(|| Instant::now() + self.health_wait * times);
        self.health_wait = (self.health_wait * 2).min(self.options.compare_interval);
    }

    /// Tells of what is wrong in documents, of changes of health, and of drift.
    fn tell(&mut self, comparison: &Comparison) {
        self.engine
            .tell_findings(&self.name(), &comparison.diagnostics);
        let before = self.comparison.as_ref().map(|before| before.health.status);
        let now = comparison.health.status;
        let message = comparison.health.message.clone();
        match now {
            HealthStatus::Healthy if before != Some(now) => {
                self.engine.emit(self.event(Reason::Healthy));
            }
            HealthStatus::Degraded if before != Some(now) => {
                self.engine
                    .emit(self.event(Reason::Degraded).message(message));
            }
            HealthStatus::Healthy
            | HealthStatus::Degraded
            | HealthStatus::Suspended
            | HealthStatus::Progressing
            | HealthStatus::Missing
            | HealthStatus::Unknown => {}
        }
        if comparison.sync == SyncStatus::Synced {
            self.drifted.clear();
        }
        if !self.was_synced() {
            return;
        }
        for row in comparison.out_of_sync() {
            if self.drifted.insert(row.key.clone()) {
                let fields: Vec<&str> = row.changes.iter().map(|c| c.path.as_str()).collect();
                let message = match (row.requires_pruning, row.is_live) {
                    (true, _) => "it is not in Git".to_owned(),
                    (false, false) => "it is gone".to_owned(),
                    (false, true) => format!("changed: {}", fields.join(", ")),
                };
                let mut event = self
                    .event(Reason::Drifted)
                    .object(&row.key)
                    .message(message);
                if let Some(origin) = &row.origin {
                    event = event.origin(origin);
                }
                self.engine.emit(event);
            }
        }
    }

    /// Whether the desired state was synced before: what differs now has drifted.
    fn was_synced(&self) -> bool {
        let (Some(last), Some(desired)) = (&self.last, &self.desired) else {
            return false;
        };
        last.phase == tidegate_manifest::OperationPhase::Succeeded
            && !last.request.dry_run
            && last.revisions == desired.revisions()
            && last.desired == desired.digest()
    }

    /// Syncs or heals as the application's policy says.
    async fn automate(
        &mut self,
        messages: &mut mpsc::Receiver<Message>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), String> {
        let (Some(desired), Some(comparison)) = (self.desired.clone(), self.comparison.clone())
        else {
            return Ok(());
        };
        let now = self.engine.context.clock.now();
        match decide(&desired, &comparison, self.last.as_ref(), now) {
            Decision::Rest => {}
            Decision::Refuse(condition) => {
                if self.refused.as_ref() != Some(&condition) {
                    let event = self
                        .event(Reason::Failed)
                        .message(condition.message.clone());
                    self.engine.emit(event);
                    self.refused = Some(condition);
                }
            }
            Decision::HealAt(at) => {
                let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                self.heal_at = Some(Instant::now() + wait);
            }
            Decision::Sync(request) => {
                let _ended = self.operate(&desired, *request, messages, stop).await;
                self.compare(false).await?;
            }
            Decision::Heal(request) => {
                let drifted: Vec<ResourceKey> = comparison
                    .out_of_sync()
                    .map(|row| row.key.clone())
                    .collect();
                let ended = self.operate(&desired, *request, messages, stop).await;
                let is_healed = ended
                    .is_ok_and(|ended| ended.phase == tidegate_manifest::OperationPhase::Succeeded);
                for key in drifted.iter().filter(|_| is_healed) {
                    self.engine.emit(self.event(Reason::Healed).object(key));
                }
                self.compare(false).await?;
            }
        }
        Ok(())
    }

    /// Runs an operation; meanwhile messages are heard and the source is asked for news.
    async fn operate(
        &mut self,
        desired: &Arc<Desired>,
        request: SyncRequest,
        messages: &mut mpsc::Receiver<Message>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<OperationState, EngineError> {
        let (controller, control) = Controller::new();
        let engine = self.engine.clone();
        let destination = self.destination.clone();
        let wanted = Arc::clone(desired);
        let inbox = self.inbox.clone();
        let run = async move {
            let sync = engine.sync_heard(&destination, &wanted, request, &control, inbox);
            sync.await
        };
        tokio::pin!(run);
        let mut news: Option<BoxFuture<'static, Option<Vec<String>>>> = None;
        let mut is_stopping = false;
        let ended = loop {
            let is_asking = news.is_some();
            let asking = async {
                match &mut news {
                    Some(news) => news.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ended = &mut run => break ended,
                found = asking => {
                    news = None;
                    if let Some(revisions) = found {
                        controller.newer(revisions);
                        // It is fetched as soon as the operation has ended.
                        self.next_poll = Instant::now();
                    }
                }
                Some(message) = messages.recv() => match message {
                    Message::Refresh => news = Some(newer(&self.source, desired)),
                    Message::Terminate => controller.terminate(),
                    Message::Sync(_, reply) => {
                        let application = self.name();
                        let since = self.engine.published_since(&desired.application);
                        let _gone = reply.send(Err(EngineError::InProgress { application, since }));
                    }
                },
                _ = stop.wait_for(|stop| *stop), if !is_stopping => {
                    is_stopping = true;
                    controller.cancel();
                }
                () = tokio::time::sleep_until(self.next_poll), if !is_asking => {
                    self.next_poll = Instant::now() + self.options.poll_interval;
                    news = Some(newer(&self.source, desired));
                }
                () = tokio::time::sleep(SHOW_EVERY) => self.show_running(desired),
            }
        };
        match &ended {
            Ok(operation) => self.last = Some(operation.clone()),
            Err(EngineError::Cancelled { .. }) => {}
            Err(error) => self
                .engine
                .emit(self.event(Reason::Failed).message(words(error))),
        }
        self.show(ended.as_ref().err().map(words));
        ended
    }

    fn show_running(&self, desired: &Desired) {
        if let Some(running) = self.engine.running_operation(&desired.application) {
            let running = Arc::new(running);
            self.publish.send_if_modified(|view| {
                let is_news = view.operation.as_ref() != Some(&running);
                view.operation = Some(running);
                is_news
            });
        }
    }

    fn show(&self, error: Option<String>) {
        self.publish.send_modify(|view| {
            view.comparison.clone_from(&self.comparison);
            view.operation = self.last.clone().map(Arc::new);
            view.error = error;
        });
    }
}

fn level_of(heard: &Heard) -> Level {
    if heard.has_gap || heard.keys.values().any(|is_more| *is_more) {
        Level::Compare
    } else {
        Level::Health
    }
}

/// The newest revisions, if they render to something else than what runs.
fn newer(
    source: &Arc<dyn Source>,
    running: &Arc<Desired>,
) -> BoxFuture<'static, Option<Vec<String>>> {
    let (source, running) = (Arc::clone(source), Arc::clone(running));
    async move {
        let newest = source.newest().await.ok()?;
        if newest == running.revisions() {
            return None;
        }
        let desired = source.desired(Wanted::Newest).await.ok()?;
        (desired.digest() != running.digest()).then(|| desired.revisions())
    }
    .boxed()
}

fn words(error: &EngineError) -> String {
    crate::with_causes(error)
}
