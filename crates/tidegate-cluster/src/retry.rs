//! Which failures are repeated, how often and after how long (kubernetes.md A11). Pure: time and
//! chance come in as arguments.

use std::time::Duration;

use crate::failure::{Failure, Refusal};

/// How failures are repeated; the default is the table of the specification.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RetryPolicy {
    /// First wait when the server or the network does not answer; doubles.
    pub unavailable_base: Duration,
    /// The longest such wait.
    pub unavailable_cap: Duration,
    /// First wait after an internal error of the server; doubles.
    pub internal_base: Duration,
    /// The longest such wait.
    pub internal_cap: Duration,
    /// How often an internal error is repeated.
    pub internal_tries: u32,
    /// First wait after an optimistic conflict; doubles.
    pub conflict_base: Duration,
    /// How often an optimistic conflict is repeated.
    pub conflict_tries: u32,
    /// How long a namespace that is going is waited for.
    pub terminating_wait: Duration,
    /// How long a kind whose CRD was just applied is waited for.
    pub new_kind_wait: Duration,
    /// How often something that comes about on its own is looked at again.
    pub poll: Duration,
    /// Network failures within [`RetryPolicy::breaker_window`] that open the circuit breaker.
    pub breaker_failures: u32,
    /// The window in which they count.
    pub breaker_window: Duration,
    /// How long calls wait for a cluster that went silent before they fail at once.
    pub breaker_patience: Duration,
    /// The shortest time between two probes of a silent cluster.
    pub breaker_probe: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            unavailable_base: Duration::from_millis(250),
            unavailable_cap: Duration::from_secs(30),
            internal_base: Duration::from_secs(1),
            internal_cap: Duration::from_secs(10),
            internal_tries: 3,
            conflict_base: Duration::from_millis(10),
            conflict_tries: 5,
            terminating_wait: Duration::from_secs(15),
            new_kind_wait: Duration::from_secs(30),
            poll: Duration::from_millis(50),
            breaker_failures: 5,
            breaker_window: Duration::from_secs(30),
            breaker_patience: Duration::from_secs(10),
            breaker_probe: Duration::from_secs(1),
        }
    }
}

/// What one does about a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// The same request fails again.
    Permanent,
    /// Fresh credentials, then once more.
    Credentials,
    /// The server or the way to it is overloaded or away.
    Unavailable,
    /// The server, or a webhook that it asks, broke down.
    Internal,
    /// The namespace is going.
    Terminating,
}

/// The table of A11. Conflicts, 404 and 410 are the business of the caller, who knows what to read again.
pub(crate) fn reaction(failure: &Failure) -> Reaction {
    match failure {
        Failure::Network { permanent, .. } if *permanent => Reaction::Permanent,
        Failure::Network { .. } => Reaction::Unavailable,
        Failure::Deadline { .. } | Failure::Open { .. } | Failure::Local(_) => Reaction::Permanent,
        Failure::Refused(refusal) => refused(refusal),
    }
}

fn refused(refusal: &Refusal) -> Reaction {
    match refusal.code {
        401 => Reaction::Credentials,
        403 if refusal.is_namespace_terminating() => Reaction::Terminating,
        429 | 502 | 503 | 504 => Reaction::Unavailable,
        500 if refusal.is_permanent_internal() => Reaction::Permanent,
        500 => Reaction::Internal,
        _ => Reaction::Permanent,
    }
}

/// Counts the repeats of one request.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    unavailable: u32,
    internal: u32,
    credentials: u32,
    terminated: Duration,
}

impl Repeats {
    /// How long to wait before the same request is sent again; None: give up. `chance` is in 0..1.
    pub(crate) fn next(
        &mut self,
        failure: &Failure,
        policy: &RetryPolicy,
        chance: f64,
    ) -> Option<Duration> {
        let wait = match reaction(failure) {
            Reaction::Permanent => return None,
            Reaction::Credentials => {
                self.credentials += 1;
                return (self.credentials == 1).then_some(Duration::ZERO);
            }
            Reaction::Unavailable => {
                self.unavailable += 1;
                backoff(
                    self.unavailable,
                    policy.unavailable_base,
                    policy.unavailable_cap,
                    chance,
                )
            }
            Reaction::Internal => {
                self.internal += 1;
                if self.internal > policy.internal_tries {
                    return None;
                }
                backoff(
                    self.internal,
                    policy.internal_base,
                    policy.internal_cap,
                    chance,
                )
            }
            Reaction::Terminating => {
                let wait = backoff(4, policy.poll, policy.internal_cap, chance);
                self.terminated += wait;
                if self.terminated > policy.terminating_wait {
                    return None;
                }
                wait
            }
        };
        let asked = failure.retry_after().unwrap_or(Duration::ZERO);
        Some(wait.max(asked))
    }
}

/// The wait before try `attempt` (from 1): doubling from `base` to `cap`, of which half is chance,
/// so that those who failed together do not come back together.
pub(crate) fn backoff(attempt: u32, base: Duration, cap: Duration, chance: f64) -> Duration {
    let doubled = base.saturating_mul(1 << attempt.saturating_sub(1).min(20));
    let full = doubled.min(cap);
    full / 2 + full.mul_f64(chance.clamp(0.0, 1.0) / 2.0)
}

/// A number in 0..1 that differs from call to call; good enough to spread waits.
pub(crate) fn chance() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let hash = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> Failure {
        Failure::Refused(Box::new(Refusal::parse(
            code,
            None,
            serde_json::json!({"kind": "Status", "reason": reason, "message": message, "code": code})
                .to_string()
                .as_bytes(),
        )))
    }

    #[test]
    fn the_table_of_reactions() {
        let check = |failure: Failure, expected: Reaction| {
            assert_eq!(reaction(&failure), expected, "{failure:?}");
        };
        check(status(400, "BadRequest", "x"), Reaction::Permanent);
        check(status(401, "Unauthorized", "x"), Reaction::Credentials);
        check(status(403, "Forbidden", "x"), Reaction::Permanent);
        check(status(404, "NotFound", "x"), Reaction::Permanent);
        check(status(405, "MethodNotAllowed", "x"), Reaction::Permanent);
        check(status(409, "Conflict", "x"), Reaction::Permanent);
        check(status(410, "Expired", "x"), Reaction::Permanent);
        check(
            status(413, "RequestEntityTooLarge", "x"),
            Reaction::Permanent,
        );
        check(
            status(415, "UnsupportedMediaType", "x"),
            Reaction::Permanent,
        );
        check(status(422, "Invalid", "x"), Reaction::Permanent);
        check(status(429, "TooManyRequests", "x"), Reaction::Unavailable);
        check(
            status(500, "InternalError", "failed calling webhook"),
            Reaction::Internal,
        );
        check(
            status(
                500,
                "",
                "failed to create typed patch object (/w; example.com/v1, Kind=W): .spec.zz: field not declared in schema",
            ),
            Reaction::Permanent,
        );
        check(
            status(500, "", "etcdserver: request is too large"),
            Reaction::Permanent,
        );
        for code in [502, 503, 504] {
            check(status(code, "ServerTimeout", "x"), Reaction::Unavailable);
        }
        let terminating = serde_json::json!({"kind": "Status", "reason": "Forbidden", "message": "m", "code": 403,
            "details": {"causes": [{"reason": "NamespaceTerminating", "message": "going"}]}});
        check(
            Failure::Refused(Box::new(Refusal::parse(
                403,
                None,
                terminating.to_string().as_bytes(),
            ))),
            Reaction::Terminating,
        );
    }

    #[test]
    fn internal_errors_are_repeated_three_times_and_credentials_once() {
        let policy = RetryPolicy::default();
        let count = |failure: &Failure| {
            let mut repeats = Repeats::default();
            (0..50)
                .take_while(|_| repeats.next(failure, &policy, 0.5).is_some())
                .count()
        };
        assert_eq!(count(&status(500, "InternalError", "x")), 3);
        assert_eq!(count(&status(401, "Unauthorized", "x")), 1);
        assert_eq!(count(&status(422, "Invalid", "x")), 0);
    }

    #[test]
    fn retry_after_is_honoured() {
        let body = br#"{"kind":"Status","code":429,"details":{"retryAfterSeconds":7}}"#;
        let failure = Failure::Refused(Box::new(Refusal::parse(429, None, body)));
        let wait = Repeats::default().next(&failure, &RetryPolicy::default(), 0.0);
        assert_eq!(wait, Some(Duration::from_secs(7)));
    }

    proptest! {
        #[test]
        fn waits_are_bounded(attempt in 0u32..100, chance in 0.0f64..1.0) {
            let (base, cap) = (Duration::from_millis(250), Duration::from_secs(30));
            let wait = backoff(attempt, base, cap, chance);
            prop_assert!(wait <= cap && wait >= base / 2);
        }
    }
}
