//! Why a command could not be done: the exit code, the words, and the events that say so.

use tidegate::Error;
use tidegate::engine::{ApplicationSummary, EngineError, Event, Reason, with_causes};
use tidegate::manifest::Diagnostic;

use crate::exit::{Exit, Usage};
use crate::output;

/// How the Application is that a command failed on.
#[derive(Clone, Debug)]
pub(crate) struct Standing(pub(crate) ApplicationSummary);

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} is {} and {}",
            self.0.name, self.0.sync, self.0.health
        )
    }
}

/// The exit code, and one event per failure. Warnings are shown at once: they are no events.
pub(crate) fn failures(error: &anyhow::Error) -> (Exit, Vec<Event>) {
    if let Some(usage) = error.downcast_ref::<Usage>() {
        return (Exit::Usage, vec![failure("TG0610", &usage.0, None)]);
    }
    let Some(error) = error.downcast_ref::<Error>() else {
        return (
            Exit::Failed,
            vec![failure("TG0900", &format!("{error:#}"), None)],
        );
    };
    let findings = error.diagnostics();
    if findings.iter().any(Diagnostic::is_error) {
        output::warn_all(&findings);
        let errors = findings.iter().filter(|finding| finding.is_error());
        return (
            Exit::Failed,
            errors
                .map(|finding| Event::of_diagnostic("", finding))
                .collect(),
        );
    }
    (
        exit(error),
        vec![failure(code(error), &with_causes(error), help(error))],
    )
}

/// The last line of a run that failed: how things are, as far as anybody knows.
pub(crate) fn last_words(error: &anyhow::Error) -> Event {
    let standing = error
        .downcast_ref::<Standing>()
        .map(|standing| standing.0.clone());
    let mut event = Event::summary(&Vec::from_iter(standing));
    event.time = Some(tidegate::now());
    event
}

fn failure(code: &str, text: &str, help: Option<&str>) -> Event {
    let (message, own) = text.split_once("\nhelp: ").unzip();
    let mut event = Event::new(Reason::Failed, "").message(message.unwrap_or(text));
    event.time = Some(tidegate::now());
    event.details.insert("code".to_owned(), code.into());
    if let Some(help) = own.or(help) {
        event.details.insert("help".to_owned(), help.into());
    }
    event
}

/// The exit code of an error.
pub(crate) fn exit(error: &Error) -> Exit {
    match error {
        Error::Interrupted | Error::Engine(EngineError::Cancelled { .. }) => Exit::Interrupted,
        Error::Engine(EngineError::TimedOut { .. }) => Exit::TimedOut,
        Error::Documents(_)
        | Error::UnknownApplication { .. }
        | Error::Git(_)
        | Error::Location(_)
        | Error::Destination(_)
        | Error::Target { .. }
        | Error::Engine(_)
        | Error::Store { .. }
        | Error::Io { .. }
        | Error::Refused(_) => Exit::Failed,
    }
}

/// The code of an error, for searching the docs.
fn code(error: &Error) -> &'static str {
    match error {
        Error::Documents(_) => "TG0604",
        Error::UnknownApplication { .. } => "TG0601",
        Error::Git(_) => "TG0605",
        Error::Location(_) => "TG0602",
        Error::Destination(_) => "TG0403",
        Error::Target { .. } => "TG0606",
        Error::Engine(EngineError::StalePlan { .. }) => "TG0701",
        Error::Engine(EngineError::InProgress { .. }) => "TG0702",
        Error::Engine(EngineError::TimedOut { .. }) => "TG0703",
        Error::Engine(EngineError::Cancelled { .. }) | Error::Interrupted => "TG0704",
        Error::Engine(_) => "TG0700",
        Error::Store { .. } => "TG0801",
        Error::Io { .. } => "TG0802",
        Error::Refused(_) => "TG0603",
    }
}

/// What to do about an error that does not say so itself.
fn help(error: &Error) -> Option<&'static str> {
    if error.is_locked() {
        return Some("end the other tidegate that uses this directory, or pass another --dir");
    }
    Some(match error {
        Error::Engine(EngineError::StalePlan { .. }) => {
            "plan again, look at it, and sync that plan"
        }
        Error::Engine(EngineError::InProgress { .. }) => {
            "wait for it, or end it with `tidegate terminate`"
        }
        Error::Engine(EngineError::TimedOut { .. }) => {
            "`tidegate get` shows what is missing; calling it again goes on where this ended"
        }
        Error::Engine(EngineError::Cancelled { .. }) | Error::Interrupted => {
            "the same command goes on where it was"
        }
        Error::Target { .. } => {
            "look at the server's address and the credentials in the kubeconfig"
        }
        Error::Documents(_)
        | Error::UnknownApplication { .. }
        | Error::Git(_)
        | Error::Location(_)
        | Error::Destination(_)
        | Error::Engine(_)
        | Error::Store { .. }
        | Error::Io { .. }
        | Error::Refused(_) => return None,
    })
}
