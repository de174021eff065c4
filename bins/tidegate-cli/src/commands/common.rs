//! What commands share: where things come from, where they go, how a sync's end becomes an exit code.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use tidegate::engine::{
    ApplicationSummary, Control, Controller, Desired, Event, EventSink, NoEvents, OperationState,
    Wanted,
};
use tidegate::git::Credentials;
use tidegate::manifest::{
    Application, AwsTarget, HealthStatus, KafkaTarget, OperationPhase, Settings, SyncStatus,
};
use tidegate::{Answer, Ask, Builder, Error, Place, StateDir, Tidegate};

use super::failure::{Standing, exit};
use crate::arguments::{ApplicationArguments, WhereArguments};
use crate::exit::{Exit, Usage};
use crate::output;

/// What commands on one Application work with.
pub(crate) struct Session {
    pub(crate) tidegate: Tidegate,
    pub(crate) name: String,
    /// The socket of the process that owns the state, when it is another one.
    pub(crate) owner: Option<PathBuf>,
}

/// Whether a command keeps a journal or only looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// It changes the world or reads what was done: the journal of the state directory.
    Journal,
    /// It only looks: no other process is in its way.
    Nothing,
}

impl Session {
    /// Opens the repository and finds the Application.
    pub(crate) async fn open(
        arguments: &ApplicationArguments,
        keeps: Keeps,
        events: Option<Arc<dyn EventSink>>,
    ) -> Result<Self> {
        let is_streaming = events.is_some();
        let state = StateDir::open(arguments.dir.dir.as_deref())?;
        let place = place(&arguments.place, &state)?;
        let mut builder = builder(&arguments.repository.repo, None, &arguments.repository.map)?
            .applications_from(arguments.file.clone())
            .events(events.unwrap_or_else(|| Arc::new(NoEvents)))
            .dir(arguments.dir.dir.clone());
        let mut owner = None;
        if keeps == Keeps::Journal {
            match state.store(&place) {
                Ok(store) => builder = builder.store(store),
                Err(error) if error.is_locked() && state.socket().exists() => {
                    owner = Some(state.socket());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let tidegate = builder.place(place).build().await?;
        let name = match tidegate.find(arguments.app.as_deref()) {
            Ok(name) => name.to_owned(),
            Err(error) => {
                // What is wrong with the documents may be why it is not there.
                if !matches!(error, Error::Documents(_)) {
                    refuse_declared(&tidegate, is_streaming);
                }
                return Err(error.into());
            }
        };
        Ok(Self {
            tidegate,
            name,
            owner,
        })
    }

    /// Asks the process that owns the state; None when this one does.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Option<Answer>> {
        let Some(socket) = &self.owner else {
            return Ok(None);
        };
        match tidegate::ask(socket, &self.name, ask).await? {
            Some(Answer::Refused(why)) => Err(Error::Refused(why).into()),
            Some(answer) => Ok(Some(answer)),
            None => Err(Error::Refused(format!(
                "the process that owns {} does not answer",
                socket.display()
            ))
            .into()),
        }
    }

    /// Refuses what only the owner of the state can do.
    pub(crate) fn must_own(&self, what: &str) -> Result<()> {
        match &self.owner {
            None => Ok(()),
            Some(_) => Err(Error::Refused(format!(
                "{what} cannot be done while another tidegate keeps {} reconciled\nhelp: end that one first (it may be `tidegate up --keep`)",
                self.name
            ))
            .into()),
        }
    }

    /// The Application.
    pub(crate) fn application(&self) -> Result<&Arc<Application>> {
        Ok(self.tidegate.application(&self.name)?)
    }

    /// Tells the last line of a run, with how the Application is now.
    pub(crate) async fn sum_up(&self, desired: &Desired) {
        let standing = self.standing(desired).await;
        self.tidegate.tell(Event::summary(&[standing]));
    }

    /// Adds to an error how the Application is, for the last line of a run.
    pub(crate) async fn failed(&self, desired: &Desired, error: Error) -> anyhow::Error {
        if exit(&error) == Exit::Interrupted {
            return error.into();
        }
        anyhow::Error::new(error).context(Standing(self.standing(desired).await))
    }

    /// How the Application is now; unknown where nobody can tell.
    async fn standing(&self, desired: &Desired) -> ApplicationSummary {
        let compared = async {
            let destination = self.tidegate.destination(&self.name).await?;
            Ok::<_, Error>(
                self.tidegate
                    .engine()
                    .compare(&destination, desired)
                    .await?,
            )
        };
        let compared = compared.await.ok();
        ApplicationSummary {
            name: self.name.clone(),
            sync: compared
                .as_ref()
                .map_or(SyncStatus::Unknown, |found| found.sync),
            health: compared
                .as_ref()
                .map_or(HealthStatus::Unknown, |found| found.health.status),
            revision: compared
                .map_or_else(|| desired.revisions(), |found| found.revisions)
                .join(","),
        }
    }

    /// What it renders to, at the revision it names or at another one.
    pub(crate) async fn desired(&self, revision: Option<&str>) -> Result<Desired> {
        let wanted = match revision {
            None => Wanted::Newest,
            Some(revision) => {
                let sources = self.application()?.sources.len();
                Wanted::Revisions(vec![revision.to_owned(); sources])
            }
        };
        Ok(self.tidegate.render(&self.name, wanted).await?)
    }
}

/// Shows what is wrong with the repository's documents, as events where events are told.
fn refuse_declared(tidegate: &Tidegate, is_streaming: bool) {
    let findings = &tidegate.declared().diagnostics;
    if !is_streaming {
        output::refuse_all(findings);
        return;
    }
    output::warn_all(findings);
    for finding in findings.iter().filter(|finding| finding.is_error()) {
        tidegate.tell(Event::of_diagnostic("", finding));
    }
}

/// Begins a session with a repository.
pub(crate) fn builder(repo: &str, revision: Option<String>, maps: &[String]) -> Result<Builder> {
    let mut builder = Tidegate::open(repo)
        .revision(revision)
        .credentials(credentials());
    for map in maps {
        let (url, dir) = map.rsplit_once('=').ok_or_else(|| {
            Usage(format!(
                "--map {map:?} is not URL=DIR\nhelp: for example https://host/team/x.git=../x"
            ))
        })?;
        builder = builder.map(url, PathBuf::from(dir));
    }
    Ok(builder)
}

/// Credentials for the repository's own host.
fn credentials() -> Credentials {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (
        variable("TIDEGATE_GIT_USERNAME"),
        variable("TIDEGATE_GIT_PASSWORD"),
        variable("TIDEGATE_GIT_TOKEN"),
    ) {
        (Some(username), Some(password), _) => Credentials::Basic { username, password },
        (_, _, Some(token)) => Credentials::Bearer { token },
        (_, _, None) => Credentials::None,
    }
}

/// What the user named as the place to apply to; with nothing, the sandbox of the state directory.
pub(crate) fn place(arguments: &WhereArguments, state: &StateDir) -> Result<Place> {
    if let Some(place) = named(arguments)? {
        return Ok(place);
    }
    let kubeconfig = state.kubeconfig();
    if !kubeconfig.is_file() {
        return Err(Error::Refused(format!(
            "no sandbox runs in {}\nhelp: start one with `tidegate up DIR --keep` or `tidegate sandbox`, or say where to apply with --kubeconfig or --settings",
            state.path().display()
        ))
        .into());
    }
    Ok(Place::Sandbox(kubeconfig))
}

/// What the user named, if anything.
pub(crate) fn named(arguments: &WhereArguments) -> Result<Option<Place>> {
    if let Some(file) = &arguments.settings {
        return Ok(Some(Place::Settings(read_settings(file)?)));
    }
    let mut places = Vec::new();
    if arguments.kubeconfig.is_some() || arguments.context.is_some() {
        if let Some(file) = arguments.kubeconfig.as_ref().filter(|file| !file.is_file()) {
            return Err(Error::Refused(format!(
                "--kubeconfig {} is not there\nhelp: give the path of a kubeconfig file, or nothing to use the sandbox",
                file.display()
            )).into());
        }
        places.push(Place::Kubeconfig {
            file: arguments.kubeconfig.clone(),
            context: arguments.context.clone(),
        });
    }
    if arguments.aws {
        places.push(Place::Aws(AwsTarget::default()));
    }
    let kafka = arguments.kafka.clone();
    places.extend(kafka.map(|bootstrap_servers| {
        Place::Kafka(KafkaTarget {
            bootstrap_servers,
            security: <_>::default(),
        })
    }));
    Ok(match places.len() {
        0 | 1 => places.pop(),
        _ => Some(Place::Several(places)),
    })
}

fn read_settings(file: &std::path::Path) -> Result<Settings> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let origin = tidegate::manifest::Origin {
        path: file.display().to_string(),
        ..<_>::default()
    };
    let stream = tidegate::yaml::parse_stream(&bytes, &<_>::default());
    if let Some(error) = stream.errors.first() {
        return Err(anyhow!("{}: {error}", file.display()));
    }
    let mut settings = Settings::default();
    for document in &stream.documents {
        let (read, findings) = Settings::from_node(&document.root, &origin);
        output::warn_all(&findings);
        match read {
            Some(read) => settings.destinations.extend(read.destinations),
            None => return Err(Error::Documents(findings).into()),
        }
    }
    if settings.destinations.is_empty() {
        return Err(anyhow!("{} has no destinations", file.display()));
    }
    Ok(settings)
}

/// A control that a first interrupt cancels: begun effects are finished and journalled.
pub(crate) fn interruptible() -> (Control, Interrupts) {
    let (controller, control) = Controller::new();
    let task = tokio::spawn(async move {
        signalled().await;
        output::note("interrupted: finishing what was begun (again: at once)");
        controller.cancel();
        signalled().await;
        exit_at_once();
    });
    (control, Interrupts(task))
}

/// Ends the program without finishing anything: somebody asked twice.
#[expect(clippy::exit, reason = "a second interrupt means at once")]
pub(crate) fn exit_at_once() -> ! {
    std::process::exit(i32::from(Exit::Interrupted.number()))
}

/// Listens for interrupts while it lives.
#[derive(Debug)]
pub(crate) struct Interrupts(tokio::task::JoinHandle<()>);

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns when SIGINT or SIGTERM arrives.
pub(crate) async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// The exit code of an operation, and the words for it.
pub(crate) fn end_of(operation: &OperationState) -> Exit {
    match operation.phase {
        OperationPhase::Succeeded => Exit::Ok,
        OperationPhase::Failed | OperationPhase::Error => Exit::Failed,
        OperationPhase::Running | OperationPhase::Terminating => Exit::Interrupted,
    }
}
