//! Faults on demand: what goes wrong with the next requests.
//!
//! Must not know: what requests do. A handler finds its error code in its call.

use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode as _;

use crate::lock::Mutex;
use crate::wire::Code;

/// Faults that wait at once.
const WAITING: usize = 1_000;

/// Something that goes wrong with the next requests of one kind.
#[derive(Clone, Debug)]
pub struct Fault {
    api: Option<String>,
    kind: FaultKind,
    times: u32,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// NOT_LEADER_OR_FOLLOWER (6): of every partition that the request names.
    NotLeader,
    /// REQUEST_TIMED_OUT (7); nothing was done.
    RequestTimedOut,
    /// COORDINATOR_LOAD_IN_PROGRESS (14).
    CoordinatorLoading,
    /// NOT_COORDINATOR (16).
    NotCoordinator,
    /// Any other error code of Kafka's.
    Error(i16),
    /// The connection ends before the request is looked at.
    Disconnect,
    /// The request is carried out, and the connection ends instead of the answer.
    LostAnswer,
    /// The answer comes so much later.
    Delay(Duration),
    /// The answer says that its client is throttled for so long.
    Throttle(Duration),
}

impl Fault {
    /// A fault of the next request, whatever it is (`ApiVersions` excepted).
    pub fn new(kind: FaultKind) -> Self {
        Self {
            api: None,
            kind,
            times: 1,
        }
    }

    /// The same, but only of requests with this name, as Kafka names them: `Produce`, `JoinGroup`…
    #[must_use]
    pub fn on(mut self, api: impl Into<String>) -> Self {
        self.api = Some(api.into());
        self
    }

    /// The same, so many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Kafka's name of the request it waits for, when it waits for one.
    pub(crate) fn api(&self) -> Option<&str> {
        self.api.as_deref()
    }
}

impl FaultKind {
    /// The error code it answers with, when it answers with one.
    pub(crate) fn code(self) -> Option<Code> {
        match self {
            Self::NotLeader => Some(Code::NotLeaderOrFollower),
            Self::RequestTimedOut => Some(Code::RequestTimedOut),
            Self::CoordinatorLoading => Some(Code::CoordinatorLoadInProgress),
            Self::NotCoordinator => Some(Code::NotCoordinator),
            Self::Error(code) => code.err(),
            Self::Disconnect | Self::LostAnswer | Self::Delay(_) | Self::Throttle(_) => None,
        }
    }
}

/// The faults that wait.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Lets a fault wait; says whether there was room.
    pub(crate) fn add(&self, fault: Fault) -> bool {
        let mut waiting = self.0.lock();
        let room = waiting.len() < WAITING && fault.times > 0;
        if room {
            waiting.push(fault);
        }
        room
    }

    /// Forgets the faults that wait.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    /// The first fault that waits for such a request.
    pub(crate) fn take(&self, api: &str) -> Option<FaultKind> {
        let mut waiting = self.0.lock();
        let index = waiting
            .iter()
            .position(|fault| fault.api.as_deref().is_none_or(|wanted| wanted == api))?;
        let fault = &mut waiting[index];
        fault.times -= 1;
        let kind = fault.kind;
        if fault.times == 0 {
            waiting.remove(index);
        }
        Some(kind)
    }
}
