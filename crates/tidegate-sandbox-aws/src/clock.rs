//! The time of the sandbox: the system's, or one that only tests move.
//!
//! Must not know: what waits for it. Every stamp that the sandbox writes comes from [`Clock::now`].

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// Where the sandbox reads the time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The wall clock.
    System,
    /// A clock that stands still until it is advanced.
    Manual(ManualClock),
}

impl Clock {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Manual(manual) => manual.now(),
        }
    }

    /// Completes once [`Clock::now`] has reached `deadline`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        match self {
            Self::System => {
                let left = deadline.duration_since(Timestamp::now());
                if let Ok(left) = Duration::try_from(left) {
                    tokio::time::sleep(left).await;
                }
            }
            Self::Manual(manual) => manual.reached(deadline).await,
        }
    }
}

/// A clock that stands still until [`ManualClock::advance`] moves it; clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: watch::Sender<Timestamp>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self {
            time: watch::Sender::new(start),
        }
    }

    /// The time it shows.
    pub fn now(&self) -> Timestamp {
        *self.time.borrow()
    }

    /// Moves the time forward and wakes every sleeper whose moment has come.
    pub fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.time
            .send_modify(|time| *time = time.saturating_add(by).unwrap_or(Timestamp::MAX));
    }

    async fn reached(&self, deadline: Timestamp) {
        let mut seen = self.time.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = seen.wait_for(|time| *time >= deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_manual_clock_wakes_sleepers_exactly_when_reached() {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let clock = Clock::Manual(manual.clone());
        let deadline = Timestamp::from_second(10).unwrap();
        let mut sleep = Box::pin(clock.sleep_until(deadline));
        assert!(sleep.as_mut().now_or_never().is_none());
        manual.advance(Duration::from_secs(9));
        assert!(sleep.as_mut().now_or_never().is_none());
        manual.advance(Duration::from_secs(1));
        assert!(sleep.as_mut().now_or_never().is_some());
        assert_eq!(clock.now(), deadline);
    }
}
