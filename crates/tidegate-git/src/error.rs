//! What can go wrong at a Git remote or in a mirror: one variant per reaction of the caller.
//!
//! Every message names the remote (credentials masked) and says what to do. Nothing here does IO.

use std::time::Duration;

use crate::ObjectId;

/// A failure of this crate.
///
/// Ask [`Error::is_retryable`] before trying again; the calls themselves have retried already.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not the address of a Git repository.
    #[error("`{url}` is not the address of a Git repository: {reason}")]
    InvalidRemote {
        /// The text, credentials masked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The remote needs something that this build, this machine or the server cannot do.
    #[error("{remote}: {reason}")]
    Unsupported {
        /// The remote, credentials masked.
        remote: String,
        /// What is missing, and how to get it.
        reason: String,
    },
    /// The repository is not there, or these credentials may not see it.
    #[error(
        "{remote}: repository not found ({detail}); check the address, and whether these credentials may read it"
    )]
    NotFound {
        /// The remote, credentials masked.
        remote: String,
        /// What the server said.
        detail: String,
    },
    /// The remote wants credentials, or refuses the ones it was given.
    #[error(
        "{remote}: authentication failed ({detail}); check the credentials configured for this repository"
    )]
    AuthenticationRequired {
        /// The remote, credentials masked.
        remote: String,
        /// What the server said.
        detail: String,
    },
    /// The host's SSH key or TLS certificate is not trusted.
    #[error(
        "{remote}: the host could not be verified ({detail}); add its key to the known hosts or its authority to the CA bundle"
    )]
    UntrustedHost {
        /// The remote, credentials masked.
        remote: String,
        /// What could not be verified.
        detail: String,
    },
    /// The remote could not be reached, or the connection broke.
    #[error("{remote}: not reachable ({detail}); check the network and try again")]
    Unreachable {
        /// The remote, credentials masked.
        remote: String,
        /// What the system or the server said.
        detail: String,
    },
    /// The remote asks to come back later (HTTP 429).
    #[error("{remote}: the server limits the rate of requests; poll less often or authenticate")]
    RateLimited {
        /// The remote, credentials masked.
        remote: String,
        /// How long the server wants us to wait.
        retry_after: Option<Duration>,
    },
    /// The deadline of a call passed.
    #[error("{remote}: {attempted} took longer than {}; raise the timeout or check the server", seconds(*.after))]
    Timeout {
        /// The remote, credentials masked.
        remote: String,
        /// What was being done.
        attempted: &'static str,
        /// The limit that passed.
        after: Duration,
    },
    /// The server does not speak the Git protocol as it should.
    #[error("{remote}: unexpected reply while {attempted}: {detail}")]
    Protocol {
        /// The remote, credentials masked.
        remote: String,
        /// What was being done.
        attempted: &'static str,
        /// What was wrong with the reply.
        detail: String,
    },
    /// No branch, tag, or commit answers to this revision.
    #[error("{remote}: unable to resolve '{revision}' to a commit SHA{}", hint(.did_you_mean))]
    UnknownRevision {
        /// The remote, credentials masked.
        remote: String,
        /// The revision as it was asked for.
        revision: String,
        /// Names that are nearly the same.
        did_you_mean: Vec<String>,
    },
    /// An abbreviated commit name fits several objects.
    #[error("{remote}: '{revision}' is ambiguous ({}); write more digits", .candidates.join(", "))]
    AmbiguousRevision {
        /// The remote, credentials masked.
        remote: String,
        /// The revision as it was asked for.
        revision: String,
        /// Full names that begin with it.
        candidates: Vec<String>,
    },
    /// Something is larger than its limit.
    #[error("{remote}: {what} is larger than the limit of {limit}")]
    Limit {
        /// The remote, credentials masked.
        remote: String,
        /// What is too large, with its path where it has one.
        what: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// The mirror on this machine is damaged; the next fetch rebuilds it.
    #[error("{remote}: the local mirror is damaged ({detail}); it is rebuilt on the next fetch")]
    Corrupt {
        /// The remote, credentials masked.
        remote: String,
        /// What was found.
        detail: String,
    },
    /// A tree holds an entry that no honest repository holds.
    #[error("{remote}: commit {commit} has an invalid entry in `{directory}`: {reason}")]
    InvalidTree {
        /// The remote, credentials masked.
        remote: String,
        /// The commit that was read.
        commit: ObjectId,
        /// The directory that holds the entry; empty is the root.
        directory: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The commit has nothing at this path.
    #[error("{remote}: commit {commit} has no `{path}`")]
    PathNotFound {
        /// The remote, credentials masked.
        remote: String,
        /// The commit that was read.
        commit: ObjectId,
        /// The path that was asked for.
        path: String,
    },
    /// The commit has something else at this path.
    #[error("{remote}: `{path}` of commit {commit} is a {found}, not a {wanted}")]
    WrongKind {
        /// The remote, credentials masked.
        remote: String,
        /// The commit that was read.
        commit: ObjectId,
        /// The path that was asked for.
        path: String,
        /// What is there.
        found: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A file or a program of this machine failed.
    #[error("{attempted}: {source}")]
    Io {
        /// What was being done, on what.
        attempted: String,
        /// The system's word.
        source: std::io::Error,
    },
}

impl Error {
    /// True when the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::RateLimited { .. }
                | Self::Timeout { .. }
                | Self::Corrupt { .. }
        )
    }

    pub(crate) fn io(attempted: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let attempted = attempted.into();
        move |source| Self::Io { attempted, source }
    }
}

fn hint(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(
            "; did you mean {}?",
            names
                .iter()
                .map(|name| format!("'{name}'"))
                .collect::<Vec<_>>()
                .join(" or ")
        )
    }
}

fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}
