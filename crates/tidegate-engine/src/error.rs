//! What can go wrong in an engine call, by what one does about it. What goes wrong with one object is in its result.

use tidegate_applier::ApplierError;
use tidegate_manifest::{Diagnostic, Target};
use tidegate_store::StoreError;

/// Why the engine could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Documents are wrong; nothing was changed.
    #[error("{} of {application} cannot be used: {}", count(.diagnostics.len()), first(.diagnostics))]
    Invalid {
        /// The application.
        application: String,
        /// Everything that is wrong, errors and warnings.
        diagnostics: Vec<Diagnostic>,
    },
    /// The state could not be kept: nothing goes on without a journal.
    #[error("the journal of {application} cannot be kept")]
    Store {
        /// The application.
        application: String,
        /// What the store said.
        #[source]
        source: StoreError,
    },
    /// A target does not answer, or refuses to be read.
    #[error("{target} cannot be {action}: {source}")]
    Target {
        /// The target.
        target: Target,
        /// What was attempted.
        action: &'static str,
        /// What it said.
        #[source]
        source: Box<ApplierError>,
    },
    /// The plan that was approved is not what would be done now.
    #[error("the plan no longer holds: {}", .reasons.join("; "))]
    StalePlan {
        /// What has changed since, object by object.
        reasons: Vec<String>,
    },
    /// Another operation of the application runs.
    #[error("another operation of {application} is in progress (since {since})")]
    InProgress {
        /// The application.
        application: String,
        /// When it began.
        since: String,
    },
    /// A rule forbids it.
    #[error("{0}")]
    Refused(String),
    /// The call was cancelled; what was begun is in the journal and can be resumed.
    #[error("interrupted: the operation of {application} can be resumed")]
    Cancelled {
        /// The application.
        application: String,
    },
    /// What was waited for did not come in time.
    #[error("{application} did not become {wanted} in time: {now}")]
    TimedOut {
        /// The application.
        application: String,
        /// What was waited for.
        wanted: String,
        /// How it is now.
        now: String,
    },
}

fn count(number: usize) -> String {
    match number {
        1 => "a document".to_owned(),
        _ => format!("{number} documents"),
    }
}

fn first(diagnostics: &[Diagnostic]) -> String {
    let worst = diagnostics.iter().find(|diagnostic| diagnostic.is_error());
    let Some(found) = worst.or_else(|| diagnostics.first()) else {
        return String::new();
    };
    match found.origin.place() {
        place if place.is_empty() => found.message.clone(),
        place => format!("{place}: {}", found.message),
    }
}

/// An error with its causes, where it does not tell them itself.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let more = found.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = found.source();
    }
    text
}
