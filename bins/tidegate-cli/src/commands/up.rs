//! `tidegate up`: the main job in one go.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tidegate::engine::{Event, Reason};
use tidegate::sandbox::Sandbox;
use tidegate::{Location, Place, StateDir, Tidegate, UpEnd, UpOptions, UpOutcome};

use super::common;
use crate::arguments::{StreamOutput, UpArguments};
use crate::exit::Exit;
use crate::output::{self, Table, Tone};

pub(crate) async fn run(arguments: UpArguments) -> Result<Exit> {
    let is_json = arguments.output == StreamOutput::Json;
    let events = output::events(is_json);
    let named = common::named(&arguments.place)?;
    // What cannot be read at all is refused before anything is started.
    let location = Location::parse(&arguments.repo)?;
    let state = StateDir::open(arguments.dir.dir.as_deref())?;
    let (place, sandbox) = match named {
        Some(place) => (place, None),
        None => {
            // Code of a directory that the user named may run; a repository's may not unasked.
            let run_functions = arguments.ports.run_functions || location.is_directory();
            let started = super::sandbox::start(&state, &arguments.ports, run_functions);
            let (sandbox, claim) = started.await?;
            events.emit(super::sandbox::ready_event(&sandbox));
            (Place::Sandbox(state.kubeconfig()), Some((sandbox, claim)))
        }
    };
    let builder = common::builder(&arguments.repo, arguments.revision.clone(), &arguments.map)?
        .dir(Some(state.path().to_owned()))
        .store(state.store(&place)?)
        .events(Arc::clone(&events))
        .run_bindings(sandbox.is_some() || arguments.keep)
        .place(place);
    let done = async {
        let tidegate = builder.build().await?;
        if !is_json {
            introduce(&tidegate, &location, sandbox.is_some());
        }
        // Errors are told as events.
        output::warn_all(&tidegate.declared().diagnostics);
        let sandbox = sandbox.as_ref().map(|(sandbox, _)| sandbox);
        let done = follow(&tidegate, &arguments, sandbox, is_json, state.socket()).await;
        tidegate.shutdown().await;
        done
    }
    .await;
    if let Some((sandbox, _claim)) = sandbox {
        sandbox.shutdown().await;
    }
    done
}

/// Time between two looks at the sandbox's targets that cannot be watched.
const COMPARE_SANDBOX: Duration = Duration::from_secs(3);

async fn follow(
    tidegate: &Tidegate,
    arguments: &UpArguments,
    sandbox: Option<&Sandbox>,
    is_json: bool,
    socket: PathBuf,
) -> Result<Exit> {
    let options = UpOptions {
        keep: arguments.keep,
        as_declared: arguments.as_declared,
        poll_interval: arguments.poll_interval,
        // The sandbox limits nobody, and whoever changes it by hand wants to see it healed.
        compare_interval: sandbox.map(|_| COMPARE_SANDBOX),
        timeout: arguments.timeout,
        socket: Some(socket),
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let signals = tokio::spawn(async move {
        common::signalled().await;
        // The receiver is gone when all is over anyway.
        let _gone = stop.send(true);
        common::signalled().await;
        common::exit_at_once();
    });
    let ready = || {
        if !is_json && let Some(sandbox) = sandbox {
            super::sandbox::introduce(sandbox);
        }
    };
    let outcome = tidegate::up(tidegate, &options, stopped, ready).await;
    signals.abort();
    let outcome = outcome?;
    if !is_json {
        conclude(&outcome)?;
    }
    Ok(match outcome.end {
        UpEnd::Good => Exit::Ok,
        UpEnd::Failed => Exit::Failed,
        UpEnd::Unhealthy => Exit::Unhealthy,
        UpEnd::TimedOut => Exit::TimedOut,
        // Ending what was asked to be kept is no failure.
        UpEnd::Interrupted if arguments.keep => Exit::Ok,
        UpEnd::Interrupted => Exit::Interrupted,
    })
}

/// What was found and where it is read from.
fn introduce(tidegate: &Tidegate, location: &Location, is_sandbox: bool) {
    let declared = tidegate.declared();
    let names = tidegate.names();
    let found = match names.as_slice() {
        [] => "no Applications".to_owned(),
        [only] if declared.is_implicit => format!("no Applications: all of it is one, {only}"),
        [only] => format!("1 Application: {only}"),
        several => format!("{} Applications: {}", several.len(), several.join(", ")),
    };
    output::note(&format!("{location}: {found}"));
    if is_sandbox {
        output::note("applying to the embedded sandbox (a development target)");
    }
    let mut told = std::collections::BTreeSet::new();
    for name in names {
        let Ok(source) = tidegate.source(name) else {
            continue;
        };
        for read in source.read_from() {
            if told.insert(read.repo_url.clone()) {
                output::note(&format!("{} is read from {}", read.repo_url, read.place));
            }
        }
    }
}

/// The last words: one line per Application.
fn conclude(outcome: &UpOutcome) -> Result<()> {
    let mut table = Table::new(&["APPLICATION", "SYNC", "HEALTH", "REVISION"]);
    for application in &outcome.applications {
        table.row(vec![
            (application.name.clone(), None),
            (
                application.sync.to_string(),
                Some(Tone::from(application.sync)),
            ),
            (
                application.health.to_string(),
                Some(Tone::from(application.health)),
            ),
            (short(&application.revision), Some(Tone::Dim)),
        ]);
    }
    output::raw(&table.render())
}

/// A revision as people read it.
pub(crate) fn short(revision: &str) -> String {
    let shorten = |revision: &str| match revision.split_once('+') {
        Some((commit, rest)) if commit.len() == 40 => format!("{}+{rest}", &commit[..7]),
        None if revision.len() == 40 && revision.is_ascii() => revision[..7].to_owned(),
        _ => revision.to_owned(),
    };
    revision
        .split(',')
        .map(shorten)
        .collect::<Vec<_>>()
        .join(",")
}

/// What an event of the sandbox says.
pub(super) fn sandbox_event(details: serde_json::Map<String, serde_json::Value>) -> Event {
    let mut event = Event::new(Reason::SandboxReady, "");
    event.time = Some(tidegate::now());
    event.details.extend(details);
    event
}
