//! What can go wrong between a repository and a target, by what one does about it.

use std::path::PathBuf;

use tidegate_applier::ApplierError;
use tidegate_engine::EngineError;
use tidegate_manifest::Diagnostic;
use tidegate_store::StoreError;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Documents are wrong; nothing was changed.
    #[error("{}", first(.0))]
    Documents(Vec<Diagnostic>),
    /// There is no Application of that name.
    #[error("there is no Application {name:?} in {repository}{}", did_you_mean(.known))]
    UnknownApplication {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        repository: String,
        /// What there is, nearest first.
        known: Vec<String>,
    },
    /// The repository cannot be read.
    #[error("{0}")]
    Git(#[from] tidegate_git::Error),
    /// The path given is no directory and no address of a repository.
    #[error("{0}")]
    Location(String),
    /// A destination cannot be used.
    #[error("{0}")]
    Destination(Box<Diagnostic>),
    /// A target does not answer.
    #[error("{target} cannot be reached: {source}")]
    Target {
        /// The target, for people.
        target: String,
        /// What it said.
        #[source]
        source: ApplierError,
    },
    /// The engine could not do as asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The state cannot be kept.
    #[error("state in {}: {source}", .dir.display())]
    Store {
        /// The directory of the state.
        dir: PathBuf,
        /// What the store said.
        #[source]
        source: StoreError,
    },
    /// A file or directory of ours cannot be used.
    #[error("{action} {}: {source}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Something that was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// A call was abandoned: the program is ending.
    #[error("interrupted")]
    Interrupted,
}

fn first(diagnostics: &[Diagnostic]) -> String {
    let worst = diagnostics.iter().find(|found| found.is_error()).or(diagnostics.first());
    worst.map_or_else(|| "documents are wrong".to_owned(), |found| match found.origin.place() {
        place if place.is_empty() => found.message.clone(),
        place => format!("{place}: {}", found.message),
    })
}

fn did_you_mean(known: &[String]) -> String {
    match known {
        [] => "; it has none".to_owned(),
        [only] => format!("; it has {only}"),
        [nearest, ..] => format!("; did you mean {nearest}? it has {}", known.join(", ")),
    }
}

impl Error {
    /// Attempting `action` on `path` failed.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// Whether another process owns the state.
    pub fn is_locked(&self) -> bool {
        matches!(self, Error::Store { source: StoreError::Locked { .. }, .. })
    }

    /// The findings that a person should see instead of the one line.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Error::Documents(found) => found.clone(),
            Error::Destination(found) => vec![(**found).clone()],
            Error::Engine(EngineError::Invalid { diagnostics, .. }) => diagnostics.clone(),
            Error::Engine(_)
            | Error::UnknownApplication { .. }
            | Error::Git(_)
            | Error::Location(_)
            | Error::Target { .. }
            | Error::Store { .. }
            | Error::Io { .. }
            | Error::Refused(_)
            | Error::Interrupted => Vec::new(),
        }
    }
}
