//! How many resources are worked on at once: more while the service takes it, half when it throttles. No fixed rate.
//!
//! Single calls are tried again by the SDK; this counts the throttles that its tries could not absorb.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidegate_applier::{ApplierError, ErrorKind};
use tokio::time::Instant;

use crate::Pause;

/// At once in the beginning.
const FIRST: usize = 24;
/// At once at most.
const MOST: usize = 128;
/// At once at least.
const LEAST: usize = 2;
/// Throttles within this time of a slowdown are of the same crowd.
const CROWD: Duration = Duration::from_secs(1);
/// Further tries of a resource that is throttled beyond what single calls bear.
const TRIES: usize = 16;

/// The number, as it is learnt.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
    /// The pause after the first throttle.
    first_pause: Duration,
}

#[derive(Debug)]
struct State {
    limit: usize,
    slowed: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                limit: FIRST,
                slowed: None,
            }),
            first_pause: Duration::from_secs(1),
        }
    }
}

impl Pace {
    /// How many may be under way now.
    pub(crate) fn limit(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.limit
    }

    fn faster(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.limit = (state.limit + 1).min(MOST);
    }

    fn slower(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.slowed.is_some_and(|at| now - at < CROWD) {
            return;
        }
        state.slowed = Some(now);
        state.limit = (state.limit / 2).max(LEAST);
    }

    /// Does it, and again when it is throttled; every other answer stands.
    pub(crate) async fn keep<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, ApplierError>
    where
        F: Future<Output = Result<T, ApplierError>>,
    {
        let mut pause = Pause::new(self.first_pause, Duration::from_secs(10));
        for _ in 0..TRIES {
            match attempt().await {
                Err(error) if error.kind == ErrorKind::Throttled => {
                    self.slower(Instant::now());
                    pause.wait().await;
                }
                answer => {
                    if answer.is_ok() {
                        self.faster();
                    }
                    return answer;
                }
            }
        }
        attempt().await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn at_once() -> Pace {
        Pace {
            first_pause: Duration::ZERO,
            ..Pace::default()
        }
    }

    #[tokio::test]
    async fn throttles_halve_and_success_adds_one() {
        let pace = at_once();
        let asked = Cell::new(0);
        let throttled = || ApplierError::new(ErrorKind::Throttled, "TooManyRequestsException");
        let answer = pace.keep(|| {
            asked.set(asked.get() + 1);
            let done = asked.get() > 2;
            async move { if done { Ok(()) } else { Err(throttled()) } }
        });
        assert!(answer.await.is_ok());
        assert_eq!(asked.get(), 3);
        // Two throttles of one crowd halve once; the success adds one.
        assert_eq!(pace.limit(), FIRST / 2 + 1);
        let now = Instant::now();
        for times in 1..20 {
            pace.slower(now + CROWD * times);
        }
        assert_eq!(pace.limit(), LEAST);
        for _ in 0..500 {
            pace.faster();
        }
        assert_eq!(pace.limit(), MOST);
    }

    #[tokio::test]
    async fn refusals_stand_and_throttles_end() {
        let asked = Cell::new(0);
        let count = |kind| {
            asked.set(asked.get() + 1);
            async move { Err::<(), _>(ApplierError::new(kind, "no")) }
        };
        let pace = at_once();
        assert!(pace.keep(|| count(ErrorKind::Invalid)).await.is_err());
        assert_eq!(asked.get(), 1);
        assert!(pace.keep(|| count(ErrorKind::Throttled)).await.is_err());
        assert_eq!(asked.get(), 1 + TRIES + 1);
    }
}
