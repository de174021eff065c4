//! The settings that decide how records become batches, and what a failure leads to. Plain values: no IO, no YAML.

use std::time::Duration;

/// What becomes of records whose retries or age are exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// They go to the failure destination; then the partition moves on.
    Destination,
    /// They are dropped, and counted; then the partition moves on.
    Drop,
    /// They are tried on for ever: their partition waits.
    Block,
}

/// What happens to a record whose event alone is over the bytes limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    /// It is sent alone: the target decides.
    Send,
    /// The target would refuse it: it is exhausted at once.
    Refuse,
}

/// Waits between tries: `first`, times `factor` each time, up to `max`, each with full jitter over its upper half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// Growth.
    pub factor: f64,
    /// The longest wait.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            factor: 1.5,
            max: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait before the try after `failures` failures in a row; `jitter` is between 0 and 1.
    pub fn wait(&self, failures: u32, jitter: f64) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.factor.powi(exponent);
        let bounded = if grown.is_finite() {
            grown.min(self.max.as_secs_f64())
        } else {
            self.max.as_secs_f64()
        };
        Duration::from_secs_f64(bounded * (0.5 + jitter.clamp(0.0, 1.0) / 2.0))
    }
}

/// How a partition's records are batched, tried and given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Most records of a batch, at least 1.
    pub batch_size: usize,
    /// Most bytes of a batch's event.
    pub batch_bytes: usize,
    /// Longest time from a batch's first record until it is sent.
    pub batch_window: Duration,
    /// Batches in flight per partition, at least 1; records of one key stay in order.
    pub parallelization: usize,
    /// Length of the tumbling windows of a stream.
    pub tumbling: Option<Duration>,
    /// Retries after the first try; none: no end.
    pub retries: Option<u64>,
    /// Age at which a record is given up; none: never.
    pub record_age: Option<Duration>,
    /// Whether a failed batch is split in two.
    pub bisect: bool,
    /// What becomes of exhausted records.
    pub exhausted: Exhausted,
    /// What happens to a record over the bytes limit.
    pub oversize: Oversize,
    /// Waits between tries.
    pub backoff: Backoff,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            batch_size: 100,
            batch_bytes: 6 * 1024 * 1024,
            batch_window: Duration::from_millis(500),
            parallelization: 1,
            tumbling: None,
            retries: None,
            record_age: None,
            bisect: false,
            exhausted: Exhausted::Block,
            oversize: Oversize::Send,
            backoff: Backoff::default(),
        }
    }
}
