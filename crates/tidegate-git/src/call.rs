//! One network call: its deadline, its thread, its retries, and what it has to kill when it is abandoned.
//!
//! Blocking work runs on a thread of its own. The caller waits for it no longer than the deadline allows; then the call is cancelled:
//! children are killed, sockets shut, and every further read fails, so that the thread ends by itself. Nothing here knows Git.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io::{self, Read},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::Error;

/// How many network calls of one [`crate::Mirrors`] run at a time, abandoned ones that have not ended yet included.
pub const MAX_CONCURRENT_CALLS: usize = 64;
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Kill = Box<dyn FnOnce() + Send>;

/// What the thread of a call and its waiting caller share.
pub(crate) struct Call {
    pub(crate) remote: String,
    pub(crate) attempted: &'static str,
    started: Instant,
    timeout: Duration,
    stall: Duration,
    /// Read by gix between its steps.
    pub(crate) cancelled: AtomicBool,
    /// When the read that is now blocked began.
    blocked_since: Mutex<Option<Instant>>,
    received: AtomicU64,
    max_bytes: u64,
    kills: Mutex<Vec<Kill>>,
    /// The typed cause, when the error that comes back through gix has lost it.
    failure: Mutex<Option<Error>>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({} {})", self.attempted, self.remote)
    }
}

impl Call {
    pub(crate) fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.started.elapsed())
    }

    pub(crate) fn stall(&self) -> Duration {
        self.stall
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(crate) fn timeout_error(&self) -> Error {
        Error::Timeout {
            remote: self.remote.clone(),
            attempted: self.attempted,
            after: self.timeout,
        }
    }

    /// Remembers the typed cause of a failure; the first one counts.
    pub(crate) fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
    }

    pub(crate) fn take_failure(&self) -> Option<Error> {
        lock(&self.failure).take()
    }

    /// Runs `kill` when the call is abandoned, at once when it is already.
    pub(crate) fn on_cancel(&self, kill: impl FnOnce() + Send + 'static) {
        lock(&self.kills).push(Box::new(kill));
        if self.is_cancelled() {
            self.cancel();
        }
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        let kills = std::mem::take(&mut *lock(&self.kills));
        for kill in kills {
            kill();
        }
    }

    /// Runs something that waits for the remote, under the eye of the stall watch.
    pub(crate) fn blocking<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.is_cancelled() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the call was abandoned",
            ));
        }
        *lock(&self.blocked_since) = Some(Instant::now());
        let result = work();
        *lock(&self.blocked_since) = None;
        result
    }

    fn count(&self, bytes: usize) -> io::Result<()> {
        let total = self.received.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if total > self.max_bytes {
            self.fail(Error::Limit {
                remote: self.remote.clone(),
                what: "what the server sends".to_owned(),
                limit: format!("{} bytes (max_pack_bytes)", self.max_bytes),
            });
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the server sends too much",
            ));
        }
        Ok(())
    }

    /// How long the caller may sleep before it has to look again; `None` when the call is over its limits.
    fn patience(&self) -> Option<Duration> {
        let remaining = self.remaining();
        let quiet = lock(&self.blocked_since).map_or(Duration::ZERO, |since| since.elapsed());
        let until_stalled = self.stall.saturating_sub(quiet);
        let patience = remaining.min(until_stalled);
        (!patience.is_zero()).then_some(patience)
    }
}

/// A reader whose every read is watched, counted and cancellable.
pub(crate) struct Watched<R> {
    inner: R,
    call: Arc<Call>,
}

impl<R> Watched<R> {
    pub(crate) fn new(inner: R, call: Arc<Call>) -> Self {
        Self { inner, call }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { inner, call } = self;
        let bytes = call.blocking(|| inner.read(buffer))?;
        call.count(bytes)?;
        Ok(bytes)
    }
}

/// Counts the calls that run.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    running: Mutex<usize>,
    freed: Condvar,
}

struct Permit(Arc<Permits>);

impl Drop for Permit {
    fn drop(&mut self) {
        *lock(&self.0.running) -= 1;
        self.0.freed.notify_one();
    }
}

impl Permits {
    fn acquire(self: &Arc<Self>, patience: Duration) -> Option<Permit> {
        let running = lock(&self.running);
        let (mut running, _) = self
            .freed
            .wait_timeout_while(running, patience, |running| {
                *running >= MAX_CONCURRENT_CALLS
            })
            .unwrap_or_else(PoisonError::into_inner);
        if *running >= MAX_CONCURRENT_CALLS {
            return None;
        }
        *running += 1;
        Some(Permit(Arc::clone(self)))
    }
}

/// The limits of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) attempted: &'static str,
    pub(crate) timeout: Duration,
    pub(crate) stall: Duration,
    pub(crate) attempts: u32,
    pub(crate) max_bytes: u64,
}

/// Runs `work` on a thread of its own until it succeeds, fails for good, or the deadline passes.
pub(crate) fn run<T: Send + 'static>(
    permits: &Arc<Permits>,
    remote: &str,
    limits: Limits,
    work: impl Fn(&Arc<Call>) -> Result<T, Error> + Clone + Send + 'static,
) -> Result<T, Error> {
    let started = Instant::now();
    let mut attempt = 1;
    loop {
        let error = match run_once(permits, remote, limits, started, work.clone()) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let left = limits.timeout.saturating_sub(started.elapsed());
        let pause = pause(attempt, &error);
        if attempt >= limits.attempts || !error.is_retryable() || pause >= left {
            return Err(error);
        }
        tracing::debug!(remote, attempt, %error, "trying again in {pause:?}");
        std::thread::sleep(pause);
        attempt += 1;
    }
}

fn run_once<T: Send + 'static>(
    permits: &Arc<Permits>,
    remote: &str,
    limits: Limits,
    started: Instant,
    work: impl FnOnce(&Arc<Call>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let call = Arc::new(Call {
        remote: remote.to_owned(),
        attempted: limits.attempted,
        started,
        timeout: limits.timeout,
        stall: limits.stall,
        cancelled: AtomicBool::new(false),
        blocked_since: Mutex::new(None),
        received: AtomicU64::new(0),
        max_bytes: limits.max_bytes,
        kills: Mutex::new(Vec::new()),
        failure: Mutex::new(None),
    });
    let permit = permits
        .acquire(call.remaining())
        .ok_or_else(|| call.timeout_error())?;
    let (sender, receiver) = mpsc::sync_channel(1);
    let for_thread = Arc::clone(&call);
    let body = move || {
        let result = work(&for_thread);
        drop(permit);
        // Nobody listens when the caller has gone.
        let _ = sender.send(result);
    };
    std::thread::Builder::new()
        .name("tidegate-git".to_owned())
        .spawn(body)
        .map_err(Error::io("starting a thread for a Git remote"))?;
    loop {
        let Some(patience) = call.patience() else {
            call.cancel();
            let after = if call.remaining().is_zero() {
                limits.timeout
            } else {
                limits.stall
            };
            return Err(Error::Timeout {
                remote: remote.to_owned(),
                attempted: limits.attempted,
                after,
            });
        };
        match receiver.recv_timeout(patience) {
            Ok(result) => return result,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Error::Protocol {
                    remote: remote.to_owned(),
                    attempted: limits.attempted,
                    detail: "the reply crashed its reader; please report this server".to_owned(),
                });
            }
        }
    }
}

/// Exponential and jittered; the server's own wish when it has one.
fn pause(attempt: u32, error: &Error) -> Duration {
    if let Error::RateLimited {
        retry_after: Some(wish),
        ..
    } = error
    {
        return *wish;
    }
    let base = FIRST_PAUSE
        .saturating_mul(1 << attempt.min(6))
        .min(MAX_PAUSE);
    // A fresh random state is the only randomness that the standard library offers; good enough to spread clients.
    let jitter = RandomState::new().hash_one(attempt) % 500;
    base / 2 + base.mul_f64(jitter as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use super::{Limits, MAX_CONCURRENT_CALLS, MAX_PAUSE, Permits, pause, run};
    use crate::Error;

    fn limits(timeout: Duration, attempts: u32) -> Limits {
        Limits {
            attempted: "listing refs",
            timeout,
            stall: timeout,
            attempts,
            max_bytes: 10,
        }
    }

    fn unreachable() -> Error {
        Error::Unreachable {
            remote: "r".into(),
            detail: "reset".into(),
        }
    }

    #[test]
    fn retryable_failures_are_tried_again_and_others_are_not() {
        let check = |retryable: bool, expected: u32| {
            let tries = Arc::new(AtomicU32::new(0));
            let counted = Arc::clone(&tries);
            let result: Result<(), Error> = run(
                &Arc::default(),
                "r",
                limits(Duration::from_secs(60), 3),
                move |_| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    if retryable {
                        Err(unreachable())
                    } else {
                        Err(Error::NotFound {
                            remote: "r".into(),
                            detail: String::new(),
                        })
                    }
                },
            );
            assert!(result.is_err());
            assert_eq!(tries.load(Ordering::Relaxed), expected);
        };
        check(true, 3);
        check(false, 1);
    }

    #[test]
    fn a_second_try_can_succeed() {
        let tries = Arc::new(AtomicU32::new(0));
        let result = run(
            &Arc::default(),
            "r",
            limits(Duration::from_secs(60), 3),
            move |_| {
                if tries.fetch_add(1, Ordering::Relaxed) == 0 {
                    Err(unreachable())
                } else {
                    Ok(7)
                }
            },
        );
        assert_eq!(result.expect("the second try"), 7);
    }

    #[test]
    fn the_deadline_abandons_the_thread_and_runs_its_kills() {
        let (killed, was_killed) = std::sync::mpsc::channel::<()>();
        let result: Result<(), Error> = run(
            &Arc::default(),
            "r",
            limits(Duration::from_millis(20), 1),
            move |call| {
                let (released, release) = std::sync::mpsc::channel::<()>();
                let killed = killed.clone();
                call.on_cancel(move || {
                    let _ = killed.send(());
                    drop(released);
                });
                // Blocked as in a read that never returns, until the kill closes it.
                let _ = release.recv();
                Ok(())
            },
        );
        assert!(matches!(result, Err(Error::Timeout { .. })), "{result:?}");
        was_killed.recv().expect("the kill has run");
    }

    #[test]
    fn a_panic_in_the_thread_is_an_error() {
        let result: Result<(), Error> = run(
            &Arc::default(),
            "r",
            limits(Duration::from_secs(60), 1),
            |_| std::panic::resume_unwind(Box::new("boom")),
        );
        assert!(matches!(result, Err(Error::Protocol { .. })), "{result:?}");
    }

    #[test]
    fn permits_are_bounded_and_come_back() {
        let permits = Arc::new(Permits::default());
        let held: Vec<_> = (0..MAX_CONCURRENT_CALLS)
            .map(|_| permits.acquire(Duration::ZERO).expect("free"))
            .collect();
        assert!(permits.acquire(Duration::ZERO).is_none());
        drop(held);
        assert!(permits.acquire(Duration::ZERO).is_some());
    }

    #[test]
    fn pauses_grow_within_bounds() {
        for attempt in 1..50 {
            let pause = pause(attempt, &unreachable());
            assert!(
                pause >= Duration::from_millis(100) && pause <= MAX_PAUSE,
                "{attempt}: {pause:?}"
            );
        }
        let wish = Duration::from_secs(42);
        assert_eq!(
            pause(
                1,
                &Error::RateLimited {
                    remote: "r".into(),
                    retry_after: Some(wish)
                }
            ),
            wish
        );
    }
}
