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
    #[error("there is no Application {name:?} in {repository}{}", did_you_mean(.name, .known))]
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
    let worst = diagnostics
        .iter()
        .find(|found| found.is_error())
        .or(diagnostics.first());
    worst.map_or_else(
        || "documents are wrong".to_owned(),
        |found| match found.origin.place() {
            place if place.is_empty() => found.message.clone(),
            place => format!("{place}: {}", found.message),
        },
    )
}

/// The near one, and what there is.
fn did_you_mean(name: &str, known: &[String]) -> String {
    let near = known
        .iter()
        .filter(|other| is_near(name, other))
        .min_by_key(|other| distance(name, other));
    let asked = near
        .map(|other| format!("; did you mean {other:?}?"))
        .unwrap_or_default();
    match known {
        [] => "\nhelp: it has none".to_owned(),
        known => format!("{asked}\nhelp: it has {}", known.join(", ")),
    }
}

/// Whether one name was probably typed for another: a part of it, or few letters away.
fn is_near(name: &str, other: &str) -> bool {
    let (name, other) = (name.to_lowercase(), other.to_lowercase());
    let is_part = name.len() >= PART_MIN && (other.contains(&name) || name.contains(&other));
    is_part || distance(&name, &other) <= name.chars().count().max(other.chars().count()) / 3
}

/// Fewest letters that count as a part of a name.
const PART_MIN: usize = 3;

/// Letters to add, leave out or change (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut corner = above;
        row[0] = above + 1;
        for (place, other) in to.iter().enumerate() {
            let changed = corner + usize::from(letter != *other);
            corner = row[place + 1];
            row[place + 1] = changed.min(corner + 1).min(row[place] + 1);
        }
    }
    row[to.len()]
}

impl Error {
    /// Attempting `action` on `path` failed.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether another process owns the state.
    pub fn is_locked(&self) -> bool {
        matches!(
            self,
            Error::Store {
                source: StoreError::Locked { .. },
                ..
            }
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, known: &[&str], expected: &str) {
        let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(did_you_mean(name, &known), expected, "{name}");
    }

    #[test]
    fn a_near_name_comes_to_mind() {
        check(
            "clikstream",
            &["clickstream", "sessions"],
            "; did you mean \"clickstream\"?\nhelp: it has clickstream, sessions",
        );
        check(
            "Click",
            &["clickstream"],
            "; did you mean \"clickstream\"?\nhelp: it has clickstream",
        );
        check("zebra", &["clickstream"], "\nhelp: it has clickstream");
        check("zebra", &[], "\nhelp: it has none");
        check("", &["a"], "\nhelp: it has a");
    }
}
