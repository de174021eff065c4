//! Exit codes, a contract with scripts (documented in `docs/`).

use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is as wanted.
    Ok,
    /// The command failed.
    Failed,
    /// The command line was wrong.
    Usage,
    /// Differences were found (`diff`, `plan --exit-code`).
    Differences,
    /// Something is not healthy.
    Unhealthy,
    /// The deadline passed.
    TimedOut,
    /// A signal ended it.
    Interrupted,
}

impl Exit {
    /// The number a shell sees.
    pub(crate) fn number(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Differences => 3,
            Exit::Unhealthy => 4,
            Exit::TimedOut => 5,
            Exit::Interrupted => 130,
        }
    }
}

/// A flag whose value cannot be meant: the command line is wrong, not the world.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.number())
    }
}
