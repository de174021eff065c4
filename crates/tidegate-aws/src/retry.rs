//! Waiting and trying again, always within a deadline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_applier::{ApplierError, ErrorKind};
use tokio::time::Instant;

/// When waiting ends.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait)
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        Instant::now() >= self.0
    }
}

/// Pauses that grow, each cut by up to a quarter so that callers spread out.
#[derive(Clone, Debug)]
pub struct Pause {
    next: Duration,
    longest: Duration,
    /// A pause is so many tenths of the one before.
    tenths: u32,
    seed: u64,
}

impl Pause {
    /// Pauses from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        use std::hash::{BuildHasher as _, RandomState};
        Self {
            next: first,
            longest,
            tenths: 15,
            seed: RandomState::new().hash_one(0_u8),
        }
    }

    /// Pauses between looks at something that is under way: a look comes at most about a fifth of the time later than
    /// what it waits for, with 18 looks in the first three seconds.
    pub fn between_looks() -> Self {
        Self {
            tenths: 12,
            ..Self::new(Duration::from_millis(25), Duration::from_secs(3))
        }
    }

    /// Waits, and makes the next pause longer.
    pub async fn wait(&mut self) {
        let now = self.take();
        tokio::time::sleep(now).await;
    }

    fn take(&mut self) -> Duration {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let quarter = self.next / 4;
        let cut = quarter.mul_f64((self.seed >> 33) as f64 / f64::from(u32::MAX >> 1));
        let now = self.next.saturating_sub(cut);
        self.next = (self.next * self.tenths / 10).min(self.longest);
        now
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(5))
    }
}

/// Does something again while `may_retry` says so of its error, until the deadline.
///
/// # Errors
/// The last error.
pub async fn retry<T, F>(
    deadline: Deadline,
    may_retry: impl Fn(&ApplierError) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, ApplierError>
where
    F: Future<Output = Result<T, ApplierError>>,
{
    let mut pause = Pause::default();
    loop {
        match attempt().await {
            Err(error) if may_retry(&error) && !deadline.has_passed() => pause.wait().await,
            answer => return answer,
        }
    }
}

/// Asks again until the answer is there, or the deadline passes; `what` is waited for, for the message.
///
/// # Errors
/// What `ask` fails with, or `Timeout`.
pub async fn settle<T, F>(
    deadline: Deadline,
    what: &str,
    ask: impl FnMut() -> F,
) -> Result<T, ApplierError>
where
    F: Future<Output = Result<Option<T>, ApplierError>>,
{
    settle_after(Pause::between_looks(), deadline, what, ask).await
}

/// How long a kind of change took before: the first look comes when it is likely to be done, and the next ones are close.
///
/// A change that takes less is seen late a few times, each time less so; one that takes more is looked at more often.
#[derive(Debug, Default)]
pub struct Experience(AtomicU64);

impl Experience {
    /// Changes that take longer are looked at from the start.
    const MOST: Duration = Duration::from_secs(10);

    fn expected(&self) -> Option<Duration> {
        let micros = self.0.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let before = self.0.load(Ordering::Relaxed);
        // One slow change is no rule; a fast one may be the next one too.
        let next = if before == 0 || took < before {
            took
        } else {
            before.saturating_add((took - before) / 4)
        };
        self.0.store(next, Ordering::Relaxed);
    }

    /// [`settle`], with the first look when the change is expected to be done.
    ///
    /// # Errors
    /// As [`settle`].
    pub async fn settle<T, F>(
        &self,
        deadline: Deadline,
        what: &str,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, ApplierError>
    where
        F: Future<Output = Result<Option<T>, ApplierError>>,
    {
        let start = Instant::now();
        let expected = self.expected().filter(|expected| *expected < Self::MOST);
        let pause = match expected {
            Some(expected) => {
                // A little early, and then in small steps.
                tokio::time::sleep(expected * 9 / 10).await;
                Pause {
                    next: (expected / 20).max(Duration::from_millis(5)),
                    ..Pause::between_looks()
                }
            }
            None => Pause::between_looks(),
        };
        let mut looks = 0_u32;
        let counted = || {
            looks += 1;
            ask()
        };
        let found = settle_after(pause, deadline, what, counted).await;
        if found.is_ok() {
            // Done at the first look: who knows since when.
            let was_late = looks == 1 && expected.is_some();
            self.learn(start.elapsed() / if was_late { 2 } else { 1 });
        }
        found
    }
}

async fn settle_after<T, F>(
    mut pause: Pause,
    deadline: Deadline,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T, ApplierError>
where
    F: Future<Output = Result<Option<T>, ApplierError>>,
{
    loop {
        match ask().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) if matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unavailable) => {}
            Err(error) => return Err(error),
        }
        if deadline.has_passed() {
            return Err(ApplierError::new(
                ErrorKind::Timeout,
                format!("the deadline passed while waiting: {what}"),
            ));
        }
        pause.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How long a change of `takes` is waited for, and how many looks that costs.
    async fn waited(experience: &Experience, takes: Duration) -> (Duration, u32) {
        let (start, looks) = (Instant::now(), Cell::new(0));
        let deadline = Deadline::after(Duration::from_secs(600));
        let found = experience.settle(deadline, "a change", || {
            looks.set(looks.get() + 1);
            let is_done = start.elapsed() >= takes;
            async move { Ok(is_done.then_some(())) }
        });
        found.await.unwrap();
        (start.elapsed(), looks.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_learnt_brings_the_look_close_to_the_end() {
        let experience = Experience::default();
        let takes = Duration::from_secs(1);
        let (first, many) = waited(&experience, takes).await;
        assert!(first < takes * 13 / 10, "{first:?}");
        for _ in 0..5 {
            waited(&experience, takes).await;
        }
        let (later, few) = waited(&experience, takes).await;
        assert!(later < takes * 11 / 10, "{later:?}");
        assert!(few < many, "{few} looks after {many}");
        // A change that became faster is seen late a few times, and then in time.
        let fast = Duration::from_millis(100);
        for _ in 0..5 {
            waited(&experience, fast).await;
        }
        assert!(waited(&experience, fast).await.0 < fast * 13 / 10);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_come_within_a_fifth_of_the_time() {
        for millis in [30, 250, 900, 2_500, 8_000] {
            let takes = Duration::from_millis(millis);
            let waited = waited(&Experience::default(), takes).await.0;
            let most = takes * 5 / 4 + Duration::from_millis(30);
            assert!(waited <= most, "{waited:?} for {takes:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_it_and_teaches_nothing() {
        let experience = Experience::default();
        let deadline = Deadline::after(Duration::from_secs(1));
        let never = experience.settle::<(), _>(deadline, "nothing", || async { Ok(None) });
        let error = never.await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout);
        assert_eq!(experience.expected(), None);
    }
}
