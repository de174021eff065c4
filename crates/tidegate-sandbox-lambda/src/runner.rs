//! Runs handlers as local processes: one invocation at a time in each, warm ones kept, all of them bounded.
//!
//! A process speaks with its bootstrap (`data/`): one line of JSON per invocation in, one line of JSON per result out, each
//! marked with a token that only this process and the bootstrap know. Must not know: the API.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Refusal, refuse};
use tokio::sync::Semaphore;

use crate::code::Code;
use crate::lambda::Guarded;

mod group;
mod log;
mod process;
#[cfg(test)]
mod tests;

use log::Until;
use process::{Process, Reply};

/// Processes that run at once, and as many that wait.
const PROCESSES: usize = 48;
/// Warm processes of one version.
const WARM: usize = 8;
/// Bytes of an answer: 6 MB and what Lambda adds for its own.
pub(crate) const ANSWER_BYTES: usize = (6 << 20) + 100;
/// How long a handler may take to load.
const LOADING: Duration = Duration::from_secs(20);
/// How long calls may take to be given up when the sandbox ends.
const ENDING: Duration = Duration::from_secs(3);
/// Bytes that a local runtime may hold beyond the function's memory, since it is not the one that Lambda has.
const HELD_BEYOND: u64 = 64 << 20;

/// What a process is started for.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The function's ARN without a qualifier.
    pub(crate) function: String,
    /// `$LATEST` or a number.
    pub(crate) version: String,
    /// Another one, another process.
    pub(crate) revision: String,
    pub(crate) runtime: String,
    pub(crate) handler: String,
    /// In MB.
    pub(crate) memory: u64,
    /// What its files may hold, in MB.
    pub(crate) storage: u64,
    pub(crate) timeout: Duration,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) code: Arc<Code>,
    pub(crate) layers: Vec<Arc<Code>>,
}

/// One event for a handler.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    /// The ARN as it was asked for.
    pub(crate) arn: String,
    pub(crate) event: Bytes,
    /// The client's context, decoded.
    pub(crate) client: Value,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// What the handler returned, or what it failed with in Lambda's shape.
    pub(crate) result: Result<Bytes, (&'static str, Value)>,
    /// What it wrote.
    pub(crate) log: Vec<String>,
    pub(crate) duration: Duration,
    /// How long it took to load, when it was loaded for this call.
    pub(crate) loading: Option<Duration>,
    /// The most memory that the process held, in bytes; 0 when it is not known.
    pub(crate) memory: u64,
}

/// The programs that run handlers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Programs {
    pub(crate) python: PathBuf,
    pub(crate) node: PathBuf,
}

impl Programs {
    /// The program for a runtime such as `python3.13`; `None` when there is none.
    fn of(&self, runtime: &str) -> Option<PathBuf> {
        if runtime.starts_with("python") {
            Some(self.python.clone())
        } else if runtime.starts_with("nodejs") {
            Some(self.node.clone())
        } else {
            None
        }
    }
}

/// Runs handlers.
#[derive(Debug)]
pub(crate) struct Runner {
    programs: Programs,
    permits: Arc<Semaphore>,
    warm: Guarded<BTreeMap<(String, String), Vec<Waiting>>>,
    /// Counts the processes that were kept, so that the one that waits longest is known.
    kept: AtomicU64,
}

/// A process that waits for its next call.
#[derive(Debug)]
struct Waiting {
    since: u64,
    process: Process,
}

fn cannot(message: String) -> Refusal {
    refuse("InvalidRuntimeException", message).status(502)
}

/// How a call ended, as far as its process goes.
enum End {
    Reply(Reply),
    OutOfMemory,
    OutOfTime,
}

impl Runner {
    pub(crate) fn new(programs: Programs) -> Self {
        Self {
            programs,
            permits: Arc::new(Semaphore::new(PROCESSES)),
            warm: Guarded::default(),
            kept: AtomicU64::new(0),
        }
    }

    /// Ends warm processes of a function, or of one version of it.
    pub(crate) fn forget(&self, function: &str, version: Option<&str>) {
        let mut warm = self.warm.lock();
        let ended: Vec<_> = warm
            .extract_if(.., |(name, number), _| {
                name == function && version.is_none_or(|version| version == number)
            })
            .collect();
        drop(warm);
        drop(ended);
    }

    /// Ends warm processes of a version as it was.
    pub(crate) fn forget_revision(&self, function: &str, version: &str, revision: &str) {
        let mut warm = self.warm.lock();
        let Some(kept) = warm.get_mut(&(function.to_owned(), version.to_owned())) else {
            return;
        };
        let ended: Vec<_> = kept
            .extract_if(.., |waiting| waiting.process.revision == revision)
            .collect();
        drop(warm);
        drop(ended);
    }

    /// Starts nothing more and ends all warm processes; running ones end with the calls that wait for them.
    pub(crate) fn close(&self) {
        self.permits.close();
        let warm = std::mem::take(&mut *self.warm.lock());
        drop(warm);
    }

    /// Waits, for a moment, until no call is under way.
    pub(crate) async fn idle(&self) {
        let until = Instant::now() + ENDING;
        while self.permits.available_permits() < PROCESSES && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs one call.
    ///
    /// # Errors
    /// No process can be had for it: the runtime is not installed, or is none that runs here.
    ///
    /// # Cancel safety
    /// Dropping the future ends the process.
    pub(crate) async fn run(&self, job: &Job, call: &Call) -> Result<Outcome, Refusal> {
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| cannot("the sandbox ends".to_owned()))?;
        let (mut process, loading) = match self.take(job) {
            Some(process) => (process, None),
            None => {
                let began = Instant::now();
                let mut process = process::spawn(job, &self.programs).await?;
                if let Some(shape) = load(&mut process, job, call).await {
                    return Ok(Outcome {
                        result: Err(("Unhandled", shape)),
                        log: process.log.take(Until::End).await,
                        duration: began.elapsed(),
                        loading: Some(began.elapsed()),
                        memory: group::peak(process.group.leader()),
                    });
                }
                (process, Some(began.elapsed()))
            }
        };
        let began = Instant::now();
        let leader = process.group.leader();
        let end = watched(leader, job.memory, job.timeout, process.call(job, call)).await;
        let duration = began.elapsed();
        let (result, reusable) = match end {
            End::Reply(Reply::Answer(bytes)) => (Ok(bytes), true),
            End::Reply(Reply::Failure { shape, ends }) => (Err(shape), !ends),
            End::Reply(Reply::TooLarge(size)) => (Err(too_large(size)), true),
            End::Reply(Reply::Closed) => {
                let left = job.timeout.saturating_sub(duration);
                (Err(closed(&mut process, job, call, left).await), false)
            }
            End::OutOfMemory => (
                Err(exited(call, "Runtime exited with error: signal: killed")),
                false,
            ),
            End::OutOfTime => (Err(timed_out(job.timeout, call)), false),
        };
        let memory = group::peak(leader);
        let log = process
            .log
            .take(if reusable { Until::Mark } else { Until::End })
            .await;
        if reusable {
            self.keep(job, process);
        }
        Ok(Outcome {
            result: result.map_err(|shape| ("Unhandled", shape)),
            log,
            duration,
            loading,
            memory,
        })
    }

    fn take(&self, job: &Job) -> Option<Process> {
        let mut warm = self.warm.lock();
        let kept = warm.get_mut(&(job.function.clone(), job.version.clone()))?;
        let old: Vec<_> = kept
            .extract_if(.., |waiting| waiting.process.revision != job.revision)
            .collect();
        let found = kept.pop();
        drop(warm);
        drop(old);
        found.map(|waiting| waiting.process)
    }

    fn keep(&self, job: &Job, process: Process) {
        if self.permits.is_closed() {
            return;
        }
        let since = self.kept.fetch_add(1, Ordering::Relaxed);
        let mut warm = self.warm.lock();
        let kept = warm
            .entry((job.function.clone(), job.version.clone()))
            .or_default();
        let mut ended: Vec<_> = kept
            .extract_if(.., |known| known.process.revision != process.revision)
            .collect();
        kept.push(Waiting { since, process });
        if kept.len() > WARM {
            ended.push(kept.remove(0));
        }
        let total: usize = warm.values().map(Vec::len).sum();
        if total > PROCESSES {
            let oldest = warm
                .values_mut()
                .filter(|kept| !kept.is_empty())
                .min_by_key(|kept| kept[0].since);
            ended.extend(oldest.map(|kept| kept.remove(0)));
        }
        warm.retain(|_, kept| !kept.is_empty());
        drop(warm);
        drop(ended);
    }
}

/// Waits for a process, within bounds of time and memory (in MB).
async fn watched(
    leader: rustix::process::Pid,
    memory: u64,
    time: Duration,
    work: impl Future<Output = Reply>,
) -> End {
    tokio::select! {
        reply = work => End::Reply(reply),
        () = group::overflow(leader, (memory << 20) + HELD_BEYOND) => End::OutOfMemory,
        () = tokio::time::sleep(time) => End::OutOfTime,
    }
}

/// Waits until a handler is loaded, or says in Lambda's shape why it is not.
async fn load(process: &mut Process, job: &Job, call: &Call) -> Option<Value> {
    let leader = process.group.leader();
    let loaded = async {
        match process.loaded().await {
            None => Reply::Answer(Bytes::new()),
            Some(reply) => reply,
        }
    };
    match watched(leader, job.memory, LOADING, loaded).await {
        End::Reply(Reply::Answer(_) | Reply::TooLarge(_)) => None,
        End::Reply(Reply::Failure { shape, .. }) => Some(shape),
        End::Reply(Reply::Closed) => Some(closed(process, job, call, LOADING).await),
        End::OutOfMemory => Some(exited(call, "Runtime exited with error: signal: killed")),
        End::OutOfTime => Some(timed_out(LOADING, call)),
    }
}

/// A process that says nothing more has ended, or is given the time that is left to end.
async fn closed(process: &mut Process, job: &Job, call: &Call, left: Duration) -> Value {
    match tokio::time::timeout(left, process.ended()).await {
        Ok(words) => exited(call, &words),
        Err(_) => timed_out(job.timeout, call),
    }
}

fn exited(call: &Call, words: &str) -> Value {
    let message = format!("RequestId: {} Error: {words}", call.id);
    json!({"errorType": "Runtime.ExitError", "errorMessage": message})
}

fn timed_out(after: Duration, call: &Call) -> Value {
    let message = format!(
        "RequestId: {} Error: Task timed out after {:.2} seconds",
        call.id,
        after.as_secs_f64()
    );
    json!({"errorType": "Sandbox.Timedout", "errorMessage": message})
}

fn too_large(size: u64) -> Value {
    let message = format!(
        "Response payload size ({size} bytes) exceeded maximum allowed payload size ({ANSWER_BYTES} bytes)."
    );
    json!({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message})
}
