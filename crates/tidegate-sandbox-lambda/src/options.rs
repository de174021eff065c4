//! What whoever starts the sandbox chooses about functions.
//!
//! Must not know: requests.

use std::path::PathBuf;
use std::time::Duration;

/// How functions are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LambdaOptions {
    /// Handlers run as local processes; otherwise an invoke is refused in words.
    pub run_functions: bool,
    /// How long a function is Pending.
    pub creation: Duration,
    /// How long an update is InProgress, and provisioned concurrency is allocated.
    pub update: Duration,
    /// How long a new role cannot be assumed yet.
    pub propagation: Duration,
    /// The pause before the first retry of an asynchronous invocation; the second takes twice as long.
    pub retry: Duration,
    /// The interpreter of Python handlers, `python3` of the path unless it is given.
    pub python: PathBuf,
    /// The interpreter of Node handlers, `node` of the path unless it is given.
    pub node: PathBuf,
}

impl Default for LambdaOptions {
    fn default() -> Self {
        Self {
            run_functions: false,
            creation: Duration::from_millis(400),
            update: Duration::from_millis(250),
            propagation: Duration::from_millis(700),
            retry: Duration::from_secs(1),
            python: PathBuf::from("python3"),
            node: PathBuf::from("node"),
        }
    }
}

impl LambdaOptions {
    /// No delays: every change is done by the time its answer is read.
    pub fn immediate(run_functions: bool) -> Self {
        Self {
            run_functions,
            creation: Duration::ZERO,
            update: Duration::ZERO,
            propagation: Duration::ZERO,
            retry: Duration::ZERO,
            ..Self::default()
        }
    }
}
