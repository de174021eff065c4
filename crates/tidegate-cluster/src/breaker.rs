//! The circuit breaker of one cluster: a silent cluster is probed by one, not hammered by all.
//! Pure; the caller brings the clock.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::retry::RetryPolicy;

/// Probes of a silent cluster are at most this far apart.
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: VecDeque<Instant>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    since: Instant,
    next_probe: Instant,
    interval: Duration,
    last: String,
}

/// What a caller may do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Send the request.
    Go,
    /// Ask `/readyz`, and tell how it went.
    Probe,
    /// Look again after this time.
    Wait(Duration),
    /// Fail now.
    Refuse { last: String, retry_after: Duration },
}

impl Breaker {
    /// Whether a request may be sent.
    pub(crate) fn admit(&mut self, policy: &RetryPolicy, now: Instant) -> Admission {
        let Some(open) = &mut self.open else {
            return Admission::Go;
        };
        if now >= open.next_probe {
            open.interval = (open.interval * 2).min(MAX_PROBE_INTERVAL);
            open.next_probe = now + open.interval;
            return Admission::Probe;
        }
        let wait = open.next_probe - now;
        if now.duration_since(open.since) < policy.breaker_patience {
            return Admission::Wait(wait.min(policy.breaker_probe));
        }
        Admission::Refuse {
            last: open.last.clone(),
            retry_after: wait,
        }
    }

    /// The cluster answered, whatever it said.
    pub(crate) fn answered(&mut self) {
        self.failures.clear();
        self.open = None;
    }

    /// The cluster did not answer.
    pub(crate) fn silent(&mut self, words: &str, policy: &RetryPolicy, now: Instant) {
        if let Some(open) = &mut self.open {
            words.clone_into(&mut open.last);
            return;
        }
        self.failures.push_back(now);
        while self
            .failures
            .front()
            .is_some_and(|first| now.duration_since(*first) > policy.breaker_window)
        {
            self.failures.pop_front();
        }
        if self.failures.len() >= policy.breaker_failures as usize {
            self.failures.clear();
            self.open = Some(Open {
                since: now,
                next_probe: now + policy.breaker_probe,
                interval: policy.breaker_probe,
                last: words.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_open_it_and_one_answer_closes_it() {
        let policy = RetryPolicy::default();
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.silent("refused", &policy, start);
        }
        assert_eq!(breaker.admit(&policy, start), Admission::Go);
        breaker.silent("refused", &policy, start);
        assert!(matches!(breaker.admit(&policy, start), Admission::Wait(_)));
        let later = start + policy.breaker_probe;
        assert_eq!(breaker.admit(&policy, later), Admission::Probe);
        assert!(
            matches!(breaker.admit(&policy, later), Admission::Wait(_)),
            "one probe at a time"
        );
        breaker.answered();
        assert_eq!(breaker.admit(&policy, later), Admission::Go);
    }

    #[test]
    fn patience_ends() {
        let policy = RetryPolicy::default();
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            breaker.silent("refused", &policy, start);
        }
        let late = start + policy.breaker_patience * 2;
        assert_eq!(breaker.admit(&policy, late), Admission::Probe);
        breaker.silent("still refused", &policy, late);
        let Admission::Refuse { last, .. } = breaker.admit(&policy, late) else {
            panic!("refused")
        };
        assert_eq!(last, "still refused");
    }

    #[test]
    fn old_failures_do_not_count() {
        let policy = RetryPolicy::default();
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for i in 0..20 {
            breaker.silent("refused", &policy, start + policy.breaker_window / 3 * i);
        }
        assert_eq!(
            breaker.admit(&policy, start + policy.breaker_window * 10),
            Admission::Go
        );
    }
}
