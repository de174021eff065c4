//! The main job in one go: every Application of a repository brought to Synced and Healthy, in order, and kept there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::{
    ApplicationSummary, ApplicationTask, ApplicationView, Event, Reason, ReconcileOptions,
    ResourceStatus, SyncRequest, Wait, Wanted,
};
use tidegate_manifest::{Application, Diagnostic, HealthStatus, OperationPhase, SyncStatus};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control::{Door, Tasks};
use crate::order::{Prerequisite, Supply, prerequisites};
use crate::source::blocking;
use crate::{Error, Tidegate};

/// Time between two looks at a local repository.
const POLL_LOCAL: Duration = Duration::from_secs(3);
/// Time between two looks at any other.
const POLL_REMOTE: Duration = Duration::from_secs(30);
/// How long an Application must stay Degraded, with nothing running, to count as settled.
const DEGRADED_FOR: Duration = Duration::from_secs(10);
/// Longest time between two looks at what the Applications' tasks tell.
const TICK: Duration = Duration::from_millis(250);
/// Most objects of an Application that are told to be waited for at a time.
const WAITS_TOLD_MAX: usize = 10;
/// How many Applications are rendered at a time.
const RENDERS_AT_ONCE: usize = 8;

/// What has a default.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Go on reconciling when all is well.
    pub keep: bool,
    /// Do not sync Applications without automation.
    pub as_declared: bool,
    /// Time between two looks at Git.
    pub poll_interval: Option<Duration>,
    /// Time between two looks at targets that cannot be watched (AWS, Kafka); absent is two minutes, since real accounts limit
    /// how often they may be asked.
    pub compare_interval: Option<Duration>,
    /// How long all may take to become well.
    pub timeout: Duration,
    /// Where other processes may ask this one ([`crate::ask`]).
    pub socket: Option<PathBuf>,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            keep: false,
            as_declared: false,
            poll_interval: None,
            compare_interval: None,
            timeout: Duration::from_secs(300),
            socket: None,
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpEnd {
    /// All is Synced and Healthy.
    Good,
    /// Something could not be synced.
    Failed,
    /// All is synced, something is not healthy.
    Unhealthy,
    /// The time was over.
    TimedOut,
    /// Somebody ended it.
    Interrupted,
}

/// How it ended, and for whom.
#[derive(Clone, Debug)]
pub struct UpOutcome {
    /// For all together.
    pub end: UpEnd,
    /// For each Application.
    pub applications: Vec<ApplicationSummary>,
    /// What is wrong in documents.
    pub diagnostics: Vec<Diagnostic>,
}

/// One Application on its way.
struct Running {
    name: String,
    before: Vec<Prerequisite>,
    /// It is synced: by its automation, or once because nobody said otherwise.
    counts: bool,
    request: Option<SyncRequest>,
    task: Option<Arc<ApplicationTask>>,
    view: Option<watch::Receiver<ApplicationView>>,
    /// Why it could not be started.
    refused: Option<String>,
    told_waiting: bool,
    /// What it was told to wait for last.
    told_waits: Vec<String>,
    degraded_since: Option<Instant>,
}

/// Where one Application stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Busy,
    Good,
    Failed,
    Unhealthy,
}

/// Brings every Application to Synced and Healthy; with `keep`, `ready` is called then and work goes on until `stop`.
///
/// # Errors
/// Nothing could be begun: no document can be used, the order has a cycle.
///
/// # Cancel safety
/// As [`tidegate_engine::Engine::sync`]; a change of `stop` to true is kinder: begun effects are finished.
pub async fn up(
    tidegate: &Tidegate,
    options: &UpOptions,
    mut stop: watch::Receiver<bool>,
    ready: impl FnOnce() + Send,
) -> Result<UpOutcome, Error> {
    let mut diagnostics = tidegate.declared().diagnostics.clone();
    tell_findings(tidegate, &diagnostics);
    let (mut running, order) = begin(tidegate, options).await?;
    tell_findings(tidegate, &order);
    diagnostics.extend(order);
    let deadline = Instant::now() + options.timeout;
    let tasks = Tasks::default();
    for application in tidegate.applications().values() {
        tasks.declare(application);
    }
    let door = Door::open(options.socket.as_deref(), tidegate.engine(), tasks.clone());
    let mut reloaded: Option<Tidegate> = None;
    let mut news = News::new(tidegate, options).await;
    let mut ready = Some(ready);
    let mut first_end = None;
    let end = loop {
        let tidegate = reloaded.as_ref().unwrap_or(tidegate);
        start_those_that_can(tidegate, options, &mut running, &tasks).await;
        let mut standing: Vec<Standing> = running.iter_mut().map(Running::standing).collect();
        give_up_behind_failed(&running, &mut standing);
        for one in &mut running {
            one.tell_waits(tidegate);
        }
        if first_end.is_none()
            && let Some(end) = settled(&standing, &diagnostics, deadline)
        {
            first_end = Some(end);
            tell_not_begun(tidegate, &running, &standing);
            if !options.keep {
                break end;
            }
            if let Some(ready) = ready.take() {
                tidegate.tell(Event::summary(&summaries(&running)));
                ready();
            }
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = stopped(&mut stop) => break UpEnd::Interrupted,
        }
        if options.keep && news.look(tidegate, &running).await {
            match follow(tidegate, options, &mut running, &tasks).await {
                Ok(new) => reloaded = Some(new),
                Err(error) => {
                    tidegate.tell(Event::new(Reason::Failed, "").message(error.to_string()));
                }
            }
        }
    };
    let applications = summaries(&running);
    drop(door);
    tasks.clear();
    for one in running {
        one.shutdown().await;
    }
    tidegate.tell(Event::summary(&applications));
    Ok(UpOutcome {
        end,
        applications,
        diagnostics,
    })
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody can stop us any more.
        std::future::pending::<()>().await;
    }
}

/// Findings of documents as events, so that a reader of JSON misses none.
fn tell_findings(tidegate: &Tidegate, findings: &[Diagnostic]) {
    for finding in findings.iter().filter(|finding| finding.is_error()) {
        tidegate.tell(Event::of_diagnostic("", finding));
    }
}

/// Finds out who goes before whom; nothing is started yet.
async fn begin(
    tidegate: &Tidegate,
    options: &UpOptions,
) -> Result<(Vec<Running>, Vec<Diagnostic>), Error> {
    let names: Vec<String> = tidegate.names().into_iter().map(str::to_owned).collect();
    let supplies = supplies(tidegate, &names).await?;
    let applications: Vec<Arc<Application>> = names
        .iter()
        .map(|name| tidegate.application(name).cloned())
        .collect::<Result<_, _>>()?;
    let pairs: Vec<(&Application, Supply)> = applications
        .iter()
        .zip(supplies)
        .map(|(application, supply)| (&**application, supply))
        .collect();
    let (mut before, findings) = prerequisites(&pairs);
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Error::Documents(findings));
    }
    let running = applications
        .iter()
        .map(|application| {
            let is_automated = application.sync_policy.automated.is_some();
            Running {
                name: application.name.clone(),
                before: before.remove(&application.name).unwrap_or_default(),
                counts: is_automated || !options.as_declared,
                request: (!is_automated && !options.as_declared)
                    .then(|| Tidegate::request(application)),
                task: None,
                view: None,
                refused: None,
                told_waiting: false,
                told_waits: Vec::new(),
                degraded_since: None,
            }
        })
        .collect();
    Ok((running, findings))
}

/// What each Application brings and needs; one that cannot be rendered brings and needs nothing here.
async fn supplies(tidegate: &Tidegate, names: &[String]) -> Result<Vec<Supply>, Error> {
    let mut supplies = Vec::new();
    for some in names.chunks(RENDERS_AT_ONCE) {
        let rendered = some
            .iter()
            .map(|name| tidegate.render(name, Wanted::Newest));
        for (name, desired) in some
            .iter()
            .zip(futures_util::future::join_all(rendered).await)
        {
            let application = tidegate.application(name)?;
            supplies.push(match desired {
                Ok(desired) => {
                    let objects: Vec<_> = desired
                        .sources
                        .into_iter()
                        .flat_map(|source| source.objects)
                        .collect();
                    Supply::of(application, &objects)
                }
                Err(_) => Supply::default(),
            });
        }
    }
    Ok(supplies)
}

/// Starts every Application whose prerequisites are good; tells once what the others wait for.
async fn start_those_that_can(
    tidegate: &Tidegate,
    options: &UpOptions,
    running: &mut [Running],
    tasks: &Tasks,
) {
    let good: BTreeSet<String> = running
        .iter()
        .filter(|one| !one.counts || one.is_good())
        .map(|one| one.name.clone())
        .collect();
    for one in running
        .iter_mut()
        .filter(|one| one.task.is_none() && one.refused.is_none())
    {
        let missing: Vec<&Prerequisite> = one
            .before
            .iter()
            .filter(|p| !good.contains(&p.application))
            .collect();
        if missing.is_empty() {
            start(tidegate, options, one).await;
            if let Some(task) = &one.task {
                tasks.started(&one.name, task);
            }
        } else if !one.told_waiting {
            one.told_waiting = true;
            let reasons: Vec<String> = missing
                .iter()
                .map(|p| format!("{} ({})", p.application, p.reason))
                .collect();
            let message = format!(
                "waits until {} is Synced and Healthy",
                reasons.join(" and ")
            );
            tidegate.tell(Event::new(Reason::Waiting, one.name.clone()).message(message));
        }
    }
}

async fn start(tidegate: &Tidegate, options: &UpOptions, one: &mut Running) {
    let made = async {
        let destination = tidegate.destination(&one.name).await?;
        let source = Arc::new(tidegate.source(&one.name)?.clone());
        Ok::<_, Error>((destination, source))
    };
    match made.await {
        Ok((destination, source)) => {
            let usual = ReconcileOptions::default();
            let reconcile = ReconcileOptions {
                poll_interval: poll_interval(tidegate, options),
                compare_interval: options.compare_interval.unwrap_or(usual.compare_interval),
                sync_once: one.request.take(),
            };
            let task =
                ApplicationTask::start(tidegate.engine().clone(), destination, source, reconcile);
            one.view = Some(task.view());
            one.task = Some(Arc::new(task));
        }
        Err(error) => {
            let event = match error.diagnostics().first() {
                Some(finding) => Event::of_diagnostic(one.name.clone(), finding),
                None => Event::new(Reason::Failed, one.name.clone()).message(error.to_string()),
            };
            tidegate.tell(event);
            one.refused = Some(error.to_string());
        }
    }
}

fn poll_interval(tidegate: &Tidegate, options: &UpOptions) -> Duration {
    options.poll_interval.unwrap_or_else(|| {
        if tidegate.repository().location().is_local() {
            POLL_LOCAL
        } else {
            POLL_REMOTE
        }
    })
}

/// An Application that was not begun because another one failed has failed with it, and so on behind it.
fn give_up_behind_failed(running: &[Running], standing: &mut [Standing]) {
    let place: BTreeMap<&str, usize> = running
        .iter()
        .enumerate()
        .map(|(place, one)| (one.name.as_str(), place))
        .collect();
    loop {
        let is_lost = |(at, one): &(usize, &Running)| {
            let mut before = one
                .before
                .iter()
                .filter_map(|p| place.get(p.application.as_str()));
            one.task.is_none()
                && standing[*at] == Standing::Busy
                && before.any(|before| {
                    matches!(standing[*before], Standing::Failed | Standing::Unhealthy)
                })
        };
        let lost: Vec<usize> = running
            .iter()
            .enumerate()
            .filter(is_lost)
            .map(|(at, _)| at)
            .collect();
        if lost.is_empty() {
            return;
        }
        for at in lost {
            standing[at] = Standing::Failed;
        }
    }
}

/// Tells which Applications were given up before they were begun, and for whom.
fn tell_not_begun(tidegate: &Tidegate, running: &[Running], standing: &[Standing]) {
    let failed: BTreeSet<&str> = running
        .iter()
        .zip(standing)
        .filter(|(_, standing)| matches!(standing, Standing::Failed | Standing::Unhealthy))
        .map(|(one, _)| one.name.as_str())
        .collect();
    let is_left = |one: &&Running| one.task.is_none() && one.refused.is_none();
    for one in running.iter().filter(is_left) {
        let before: Vec<&str> = one
            .before
            .iter()
            .map(|p| p.application.as_str())
            .filter(|name| failed.contains(name))
            .collect();
        if !before.is_empty() {
            let message = format!(
                "not begun: it comes after {}, which failed",
                before.join(" and ")
            );
            tidegate.tell(Event::new(Reason::Failed, one.name.clone()).message(message));
        }
    }
}

/// Whether all is decided, and how.
fn settled(standing: &[Standing], diagnostics: &[Diagnostic], deadline: Instant) -> Option<UpEnd> {
    if standing.contains(&Standing::Busy) {
        if Instant::now() < deadline {
            return None;
        }
        let is_only_late = standing
            .iter()
            .all(|one| matches!(one, Standing::Busy | Standing::Good));
        return Some(if is_only_late {
            UpEnd::TimedOut
        } else {
            UpEnd::Failed
        });
    }
    Some(
        if standing.contains(&Standing::Failed) || diagnostics.iter().any(Diagnostic::is_error) {
            UpEnd::Failed
        } else if standing.contains(&Standing::Unhealthy) {
            UpEnd::Unhealthy
        } else {
            UpEnd::Good
        },
    )
}

fn summaries(running: &[Running]) -> Vec<ApplicationSummary> {
    running
        .iter()
        .map(|one| {
            let view = one
                .view
                .as_ref()
                .map(|view| view.borrow().clone())
                .unwrap_or_default();
            let comparison = view.comparison;
            ApplicationSummary {
                name: one.name.clone(),
                sync: comparison.as_ref().map_or(SyncStatus::Unknown, |c| c.sync),
                health: comparison
                    .as_ref()
                    .map_or(HealthStatus::Unknown, |c| c.health.status),
                revision: comparison
                    .map(|c| c.revisions.join(","))
                    .unwrap_or_default(),
            }
        })
        .collect()
}

impl Running {
    fn view(&self) -> Option<ApplicationView> {
        self.view.as_ref().map(|view| view.borrow().clone())
    }

    /// Ends its task; whoever still asks holds it for a moment longer, and dropping it ends it too.
    async fn shutdown(self) {
        if let Some(task) = self.task.and_then(Arc::into_inner) {
            task.shutdown().await;
        }
    }

    /// Tells, once each, which objects keep an Application from being Healthy when no operation runs that tells it.
    fn tell_waits(&mut self, tidegate: &Tidegate) {
        let view = self
            .view()
            .filter(|view| self.counts && !is_operating(view));
        let comparison = view
            .and_then(|view| view.comparison)
            .filter(|found| found.sync == SyncStatus::Synced);
        let Some(comparison) = comparison else {
            self.told_waits.clear();
            return;
        };
        let is_awaited = |row: &&ResourceStatus| {
            let status = row.health.as_ref().map(|health| health.status);
            row.status.is_some() && status.is_some_and(|status| status != HealthStatus::Healthy)
        };
        let mut told = Vec::new();
        for row in comparison
            .resources
            .iter()
            .filter(is_awaited)
            .take(WAITS_TOLD_MAX)
        {
            let text = Wait::healthy(&row.key, row.health.as_ref()).to_string();
            if !self.told_waits.contains(&text) {
                let event = Event::new(Reason::Waiting, self.name.clone())
                    .object(&row.key)
                    .message(text.clone());
                tidegate.tell(match &row.origin {
                    Some(origin) => event.origin(origin),
                    None => event,
                });
            }
            told.push(text);
        }
        self.told_waits = told;
    }

    fn is_good(&self) -> bool {
        self.view().is_some_and(|view| view_is_good(&view))
    }

    fn standing(&mut self) -> Standing {
        if self.refused.is_some() {
            return Standing::Failed;
        }
        if !self.counts {
            return Standing::Good;
        }
        let Some(view) = self.view() else {
            return Standing::Busy;
        };
        if view_is_good(&view) {
            return Standing::Good;
        }
        let is_ended_badly = view
            .operation
            .as_ref()
            .is_some_and(|operation| operation.phase.is_unsuccessful() && !operation.is_superseded);
        let has_errors = view
            .comparison
            .as_ref()
            .is_some_and(|c| c.diagnostics.iter().any(Diagnostic::is_error));
        if is_ended_badly
            || has_errors
            || (view.error.is_some() && view.rounds > 0 && view.comparison.is_none())
        {
            return Standing::Failed;
        }
        let is_degraded = view.comparison.as_ref().is_some_and(|c| {
            c.sync == SyncStatus::Synced && c.health.status == HealthStatus::Degraded
        });
        if !is_degraded || is_operating(&view) {
            self.degraded_since = None;
            return Standing::Busy;
        }
        let since = *self.degraded_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= DEGRADED_FOR {
            Standing::Unhealthy
        } else {
            Standing::Busy
        }
    }
}

fn is_operating(view: &ApplicationView) -> bool {
    view.operation
        .as_ref()
        .is_some_and(|operation| !operation.phase.is_completed())
}

fn view_is_good(view: &ApplicationView) -> bool {
    let synced = view
        .operation
        .as_ref()
        .is_none_or(|operation| operation.phase == OperationPhase::Succeeded);
    synced
        && view
            .comparison
            .as_ref()
            .is_some_and(|comparison| comparison.is_good())
}

/// Follows what the repository declares now: new Applications begin, changed ones begin anew, those that left Git are let go.
async fn follow(
    tidegate: &Tidegate,
    options: &UpOptions,
    running: &mut Vec<Running>,
    tasks: &Tasks,
) -> Result<Tidegate, Error> {
    let new = tidegate.reloaded().await?;
    let findings = &new.declared().diagnostics;
    let known = &tidegate.declared().diagnostics;
    let fresh: Vec<Diagnostic> = findings
        .iter()
        .filter(|found| !known.contains(found))
        .cloned()
        .collect();
    tell_findings(&new, &fresh);
    let (mut wanted, order) = begin(&new, options).await?;
    tell_findings(&new, &order);
    let old = std::mem::take(running);
    for one in old {
        let place = wanted.iter().position(|wanted| wanted.name == one.name);
        let sources = (new.source(&one.name), tidegate.source(&one.name));
        let is_same = matches!(sources, (Ok(new), Ok(known)) if new.is_same(known));
        // A document that is broken now says nothing new: what it said before holds on.
        let own = format!("Application {}", one.name);
        let is_broken = place.is_none()
            && findings
                .iter()
                .any(|f| f.is_error() && f.object.as_deref() == Some(&own));
        match place {
            Some(place) if is_same => {
                let before = std::mem::take(&mut wanted[place].before);
                wanted[place] = Running { before, ..one };
            }
            None if is_broken => running.push(one),
            Some(_) | None => {
                if place.is_none() {
                    let message = "it left Git and is no longer reconciled; its objects stay";
                    new.tell(Event::new(Reason::Superseded, one.name.clone()).message(message));
                    tasks.forget(&one.name);
                }
                one.shutdown().await;
            }
        }
    }
    for one in &wanted {
        if one.task.is_none() {
            tasks.declare(new.application(&one.name)?);
        }
    }
    running.append(&mut wanted);
    running.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(new)
}

/// News of the repository itself: what its tasks do not see at their own polls.
struct News {
    interval: Duration,
    next: Instant,
    repository: Option<String>,
    seen: BTreeMap<String, Option<u64>>,
}

impl News {
    async fn new(tidegate: &Tidegate, options: &UpOptions) -> Self {
        let interval = poll_interval(tidegate, options);
        let repository = tidegate.look().await.ok();
        let mut news = Self {
            interval,
            next: Instant::now() + interval,
            repository,
            seen: BTreeMap::new(),
        };
        for name in tidegate.names() {
            let seen = fingerprint(tidegate, name).await;
            news.seen.insert(name.to_owned(), seen);
        }
        news
    }

    /// Whether the repository changed. A directory is read as it stands: its revision may stay the same while its
    /// files change, so the tasks of its Applications are told.
    async fn look(&mut self, tidegate: &Tidegate, running: &[Running]) -> bool {
        if Instant::now() < self.next {
            return false;
        }
        self.next = Instant::now() + self.interval;
        for one in running {
            let now = fingerprint(tidegate, &one.name).await;
            let before = self.seen.insert(one.name.clone(), now);
            if before.is_some_and(|before| before != now)
                && let Some(task) = &one.task
            {
                task.refresh().await;
            }
        }
        // A remote that does not answer now is told by the tasks that need it.
        let Ok(now) = tidegate.look().await else {
            return false;
        };
        let has_changed = self.repository.as_ref() != Some(&now);
        self.repository = Some(now);
        has_changed && !tidegate.is_from_file()
    }
}

/// What the files of an Application's directories are, by size and time; None when all its sources are in Git.
async fn fingerprint(tidegate: &Tidegate, name: &str) -> Option<u64> {
    let source = tidegate.source(name).ok()?.clone();
    blocking(move || Ok(source.fingerprint_blocking()))
        .await
        .ok()
        .flatten()
}
