//! Faults on demand: which request meets which.
//!
//! Must not know: services, protocols.

use crate::lock::Mutex;
use crate::options::Fault;
use crate::refusal::{Refusal, refuse};

/// Faults that wait at once.
const FAULTS: usize = 1_000;

/// The faults that wait for their requests.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Mutex<Vec<Fault>>,
}

impl Faults {
    /// Lets a fault wait; says whether there was room.
    pub(crate) fn add(&self, fault: Fault) -> bool {
        let mut waiting = self.waiting.lock();
        let room = waiting.len() < FAULTS;
        if room && fault.times > 0 {
            waiting.push(fault);
        }
        room
    }

    /// The fault that a request meets, used up once.
    pub(crate) fn meet(&self, service: &str, operation: &str) -> Option<Refusal> {
        let mut waiting = self.waiting.lock();
        let index = waiting.iter().position(|fault| {
            fault.service == service
                && fault
                    .operation
                    .as_deref()
                    .is_none_or(|name| name == operation)
        })?;
        let fault = &mut waiting[index];
        fault.times -= 1;
        let refusal = refuse(&fault.code, &fault.message).status(fault.status);
        if fault.times == 0 {
            waiting.remove(index);
        }
        Some(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_met_as_often_as_it_says() {
        let faults = Faults::default();
        assert!(faults.add(Fault {
            service: "kinesis".into(),
            operation: Some("PutRecord".into()),
            code: "ThrottlingException".into(),
            message: "slow down".into(),
            status: 400,
            times: 2,
        }));
        assert!(faults.meet("kinesis", "GetRecords").is_none());
        assert!(faults.meet("sqs", "PutRecord").is_none());
        assert!(faults.meet("kinesis", "PutRecord").is_some());
        assert!(faults.meet("kinesis", "PutRecord").is_some());
        assert!(faults.meet("kinesis", "PutRecord").is_none());
    }
}
