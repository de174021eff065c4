//! What came of a delivery, in the words that decide about retries.

use std::time::Duration;

/// Why a delivery failed: for the failure destination, metrics and people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The status that the target answered, when it answered.
    pub status: Option<u16>,
    /// Lambda's `FunctionError`, or the like; none for a partial failure.
    pub function_error: Option<String>,
    /// The version that ran.
    pub executed_version: Option<String>,
    /// The target's id for the request.
    pub request_id: Option<String>,
    /// What happened, in the target's words.
    pub message: String,
}

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every record was taken.
    Delivered,
    /// The records before `from` were taken; those from it on are tried again.
    Partial {
        /// Index of the first record that failed.
        from: usize,
        /// What the target said.
        failure: Failure,
    },
    /// Records went one by one: those before `at` were taken, `then` came of that one, those behind it were not tried.
    Stopped {
        /// Index of the record.
        at: usize,
        /// What came of it.
        then: Box<Outcome>,
    },
    /// A function with a tumbling window returned its state.
    Windowed {
        /// The state.
        state: serde_json::Value,
        /// What came of the records.
        then: Box<Outcome>,
    },
    /// The function failed: counts as a try.
    Failed(Failure),
    /// The target will never take this batch.
    Rejected(Failure),
    /// The target could not be asked, or is busy: no try is spent.
    Unavailable {
        /// What happened.
        failure: Failure,
        /// When the target wants to be asked again.
        retry_after: Option<Duration>,
    },
}

/// Why records were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Their tries are spent.
    RetryAttemptsExhausted,
    /// They are too old.
    RecordAgeExceeded,
    /// They are too big for the target.
    MaximumPayloadSizeExceeded,
}

impl Condition {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
            Self::MaximumPayloadSizeExceeded => "MaximumPayloadSizeExceeded",
        }
    }
}

impl Outcome {
    /// Whether the target was busy or away.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Stopped { then, .. } | Self::Windowed { then, .. } => then.is_unavailable(),
            _ => false,
        }
    }

    /// How many of `count` records were taken.
    pub fn taken(&self, count: usize) -> usize {
        match self {
            Self::Delivered => count,
            Self::Partial { from: taken, .. } | Self::Stopped { at: taken, .. } => {
                (*taken).min(count)
            }
            Self::Windowed { then, .. } => then.taken(count),
            Self::Failed(_) | Self::Rejected(_) | Self::Unavailable { .. } => 0,
        }
    }

    /// Why it is no success.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Delivered => None,
            Self::Stopped { then, .. } | Self::Windowed { then, .. } => then.failure(),
            Self::Partial { failure, .. }
            | Self::Failed(failure)
            | Self::Rejected(failure)
            | Self::Unavailable { failure, .. } => Some(failure),
        }
    }
}
