//! How many requests are under way to one cluster: more while it goes well, half when it does not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Requests under way at first.
pub(crate) const START: u32 = 16;
/// The most requests under way.
pub(crate) const MAX: u32 = 64;
/// The fewest.
const MIN: u32 = 1;
/// Successes that earn one more.
const SUCCESSES_PER_STEP: u32 = 50;
/// Failures that come together count once.
const CUT_INTERVAL: Duration = Duration::from_secs(1);

/// The pure part: additive increase, multiplicative decrease.
#[derive(Debug)]
struct Aimd {
    limit: u32,
    successes: u32,
    last_cut: Option<Instant>,
}

impl Aimd {
    fn new() -> Self {
        Self {
            limit: START,
            successes: 0,
            last_cut: None,
        }
    }

    /// Whether one more request may be under way from now on.
    fn succeeded(&mut self) -> bool {
        self.successes += 1;
        if self.successes < SUCCESSES_PER_STEP || self.limit >= MAX {
            return false;
        }
        self.successes = 0;
        self.limit += 1;
        true
    }

    /// How many fewer may be under way from now on.
    fn overloaded(&mut self, now: Instant) -> u32 {
        self.successes = 0;
        if self
            .last_cut
            .is_some_and(|cut| now.duration_since(cut) < CUT_INTERVAL)
        {
            return 0;
        }
        self.last_cut = Some(now);
        let halved = (self.limit / 2).max(MIN);
        std::mem::replace(&mut self.limit, halved) - halved
    }
}

/// Hands out the right to have a request under way.
#[derive(Debug)]
pub(crate) struct Limiter {
    permits: Arc<Semaphore>,
    state: Mutex<(Aimd, u32)>,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(START as usize)),
            state: Mutex::new((Aimd::new(), 0)),
        }
    }

    /// Waits for the right to send one request.
    pub(crate) async fn acquire(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed")
    }

    /// Gives the right back, with how it went.
    pub(crate) fn release(&self, permit: OwnedSemaphorePermit, overloaded: bool, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (aimd, debt) = &mut *state;
        if overloaded {
            let cut = aimd.overloaded(now);
            let free = u32::try_from(self.permits.forget_permits(cut as usize)).unwrap_or(cut);
            // What is under way cannot be called back: it is taken in when it returns.
            *debt += cut - free;
        } else if aimd.succeeded() {
            if *debt > 0 {
                *debt -= 1;
            } else {
                self.permits.add_permits(1);
            }
        }
        if *debt > 0 {
            *debt -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_by_one_and_halves() {
        let mut aimd = Aimd::new();
        for _ in 0..SUCCESSES_PER_STEP - 1 {
            assert!(!aimd.succeeded());
        }
        assert!(aimd.succeeded());
        assert_eq!(aimd.limit, START + 1);
        let now = Instant::now();
        assert_eq!(aimd.overloaded(now), 9);
        assert_eq!(aimd.limit, 8);
        assert_eq!(aimd.overloaded(now), 0, "failures together count once");
        for i in 1..20 {
            aimd.overloaded(now + CUT_INTERVAL * i);
        }
        assert_eq!(aimd.limit, MIN);
        for _ in 0..SUCCESSES_PER_STEP * 100 {
            aimd.succeeded();
        }
        assert_eq!(aimd.limit, MAX);
    }

    #[tokio::test]
    async fn permits_under_way_are_taken_in_when_they_return() {
        let limiter = Limiter::new();
        let mut held = Vec::new();
        for _ in 0..START {
            held.push(limiter.acquire().await);
        }
        let now = Instant::now();
        limiter.release(held.pop().expect("held"), true, now);
        while let Some(permit) = held.pop() {
            limiter.release(permit, false, now);
        }
        assert_eq!(limiter.permits.available_permits(), (START / 2) as usize);
    }
}
