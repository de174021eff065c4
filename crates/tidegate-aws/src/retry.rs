//! Waiting and trying again, always within a deadline.

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
    mut ask: impl FnMut() -> F,
) -> Result<T, ApplierError>
where
    F: Future<Output = Result<Option<T>, ApplierError>>,
{
    let mut pause = Pause::between_looks();
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
