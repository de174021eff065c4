//! The conformance kit: says whether an applier keeps the contract of [`Applier`].
//!
//! The kit knows no target. A [`Fixture`] gives it objects to play with, and may inject faults.
//! Every check uses objects of its own and takes them away again.

mod basics;
mod batches;
mod faults;
mod ownership;
mod preconditions;
mod previews;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tidegate_manifest::{GroupVersionKind, PropagationPolicy, ResourceKey};

use crate::{
    Applier, ApplierError, ApplyRequest, ApplyResult, ChangePreview, DeleteOutcome, DeleteRequest,
    ErrorKind, LiveObject, OwnerRef, Precondition, ReadOptions,
};

/// Looks at an object that goes before the kit gives up.
const MAX_LOOKS: usize = 2_000;
/// The numbers of the samples that the checks use are below this.
const NUMBERS: usize = 128;
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// An object to play with.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its key.
    pub key: ResourceKey,
    /// Its kind with its version.
    pub gvk: GroupVersionKind,
    /// What is asked for.
    pub body: Value,
}

/// What an applier is checked with.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Object number `n` (below 128), of a kind whose objects go at once when deleted. It is not at the
    /// target, differs from all others in name, and bears the mark of `owner` when one is given.
    fn sample(&self, n: usize, owner: Option<&OwnerRef>) -> Sample;

    /// The same object with another value in one field.
    fn changed(&self, sample: &Sample) -> Sample;

    /// An object that the target refuses as it stands.
    fn invalid(&self) -> Sample;

    /// An object of a kind that the target does not serve; None when it serves but one kind.
    fn unknown(&self) -> Option<Sample>;

    /// Two applications, whose marks [`Fixture::sample`] knows.
    fn owners(&self) -> (OwnerRef, OwnerRef);

    /// What must be the same in a preview and in the result: the body without what only the target
    /// decides. The default leaves out Kubernetes' bookkeeping and status.
    fn comparable(&self, body: &Value) -> Value {
        let mut body = body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("status");
            if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
                for name in [
                    "uid",
                    "resourceVersion",
                    "generation",
                    "creationTimestamp",
                    "managedFields",
                ] {
                    metadata.remove(name);
                }
            }
        }
        body
    }

    /// The way to disturb the target; None skips the checks of faults.
    fn faults(&self) -> Option<&dyn FaultInjector> {
        None
    }

    /// How long any one call may take, whatever happens.
    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }
}

/// A disturbance of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Requests are answered "too many".
    Throttled,
    /// Requests are answered "not now".
    Unavailable,
    /// Requests have their effect, and the answer is lost.
    LostReply,
    /// Requests are never answered.
    Silence,
}

/// Disturbs the target.
#[async_trait]
pub trait FaultInjector: Send + Sync {
    /// Lets the next `times` requests that change something meet a fault; for [`Fault::Silence`]
    /// all requests until [`FaultInjector::clear`].
    async fn inject(&self, fault: Fault, times: u32);

    /// Ends all disturbance.
    async fn clear(&self);
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The contract was kept.
    Passed,
    /// It was not.
    Failed,
    /// The fixture or the applier lacks what the check needs.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked, a stable name.
    pub name: &'static str,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// Why, when it did not pass.
    pub detail: String,
}

/// The result of all checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The checks in the order they were made.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether no check failed.
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| check.outcome == CheckOutcome::Failed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let word = match check.outcome {
                CheckOutcome::Passed => "ok",
                CheckOutcome::Failed => "FAILED",
                CheckOutcome::Skipped => "skipped",
            };
            write!(f, "{word:8} {}", check.name)?;
            if !check.detail.is_empty() {
                write!(f, ": {}", check.detail)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Why a check did not pass.
#[derive(Debug)]
enum Verdict {
    Failed(String),
    Skipped(String),
}

impl From<String> for Verdict {
    fn from(words: String) -> Self {
        Verdict::Failed(words)
    }
}

type Outcome = Result<(), Verdict>;

macro_rules! ensure {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err($crate::conformance::Verdict::Failed(format!($($words)+)));
        }
    };
}
use ensure;

/// Makes all checks.
pub async fn run(applier: &dyn Applier, fixture: &dyn Fixture) -> Report {
    let bench = Bench { applier, fixture };
    let mut report = Report::default();
    macro_rules! check {
        ($name:literal, $check:expr) => {{
            let limit = fixture.deadline().saturating_mul(8);
            let ended = tokio::time::timeout(limit, $check).await;
            report.add($name, ended);
            if report
                .checks
                .last()
                .is_some_and(|check| check.outcome == CheckOutcome::Failed)
            {
                bench.clean_all(limit).await;
            }
        }};
    }
    check!("describes its target", basics::describes(&bench));
    check!("knows kinds", basics::kinds(&bench));
    check!("absent is no error", basics::absent(&bench));
    check!("creates", basics::creates(&bench));
    check!("applying twice is once", basics::idempotent(&bench));
    check!("updates", basics::updates(&bench));
    check!("recreates once per operation", basics::recreates(&bench));
    check!("deleting twice is once", basics::deletes(&bench));
    check!("a dry run changes nothing", previews::dry_run(&bench));
    check!("a preview is the result", previews::preview(&bench));
    check!("apply keeps preconditions", preconditions::apply(&bench));
    check!("delete keeps preconditions", preconditions::delete(&bench));
    check!("answers stand in order", batches::order(&bench));
    check!("one bad item fails alone", batches::one_bad(&bench));
    check!("only the owner deletes", ownership::delete(&bench));
    check!("lists what is owned", ownership::list(&bench));
    check!("tells of changes", ownership::watch(&bench));
    check!(
        "rides out throttling",
        faults::ride_out(&bench, Fault::Throttled)
    );
    check!(
        "rides out absence",
        faults::ride_out(&bench, Fault::Unavailable)
    );
    check!("survives lost replies", faults::lost_reply(&bench));
    check!("keeps its deadline", faults::silence(&bench));
    report
}

impl Report {
    fn add(&mut self, name: &'static str, ended: Result<Outcome, tokio::time::error::Elapsed>) {
        let (outcome, detail) = match ended {
            Ok(Ok(())) => (CheckOutcome::Passed, String::new()),
            Ok(Err(Verdict::Failed(words))) => (CheckOutcome::Failed, words),
            Ok(Err(Verdict::Skipped(words))) => (CheckOutcome::Skipped, words),
            Err(_) => (CheckOutcome::Failed, "it did not end in time".to_owned()),
        };
        self.checks.push(Check {
            name,
            outcome,
            detail,
        });
    }
}

/// What every check works with.
struct Bench<'a> {
    applier: &'a dyn Applier,
    fixture: &'a dyn Fixture,
}

impl Bench<'_> {
    fn owner(&self) -> OwnerRef {
        self.fixture.owners().0
    }

    /// Object `n` with the first application's mark.
    fn sample(&self, n: usize) -> Sample {
        self.fixture.sample(n, Some(&self.owner()))
    }

    fn request(&self, sample: &Sample, operation: &str) -> ApplyRequest {
        let mut request = ApplyRequest::new(
            sample.key.clone(),
            sample.gvk.clone(),
            sample.body.clone(),
            self.owner(),
        );
        operation.clone_into(&mut request.operation_id);
        request
    }

    async fn apply(&self, request: ApplyRequest) -> Result<ApplyResult, ApplierError> {
        one(self.applier.apply(vec![request]).await)
    }

    /// Applies what must be accepted.
    async fn applied(&self, sample: &Sample) -> Result<ApplyResult, Verdict> {
        let request = self.request(sample, "setup");
        let answer = self.apply(request).await;
        Ok(answer.map_err(|error| format!("cannot apply {}: {error}", sample.key))?)
    }

    async fn preview(&self, request: ApplyRequest) -> Result<ChangePreview, Verdict> {
        let answer = one(self.applier.plan_change(vec![request]).await);
        Ok(answer.map_err(|error| format!("cannot preview: {error}"))?)
    }

    async fn read(&self, key: &ResourceKey) -> Result<Option<LiveObject>, Verdict> {
        let answers = self.applier.read(vec![key.clone()], ReadOptions::default());
        Ok(one(answers.await).map_err(|error| format!("cannot read {key}: {error}"))?)
    }

    /// Reads what must be there.
    async fn live(&self, key: &ResourceKey) -> Result<LiveObject, Verdict> {
        let live = self.read(key).await?;
        Ok(live.ok_or_else(|| format!("{key} is not there"))?)
    }

    fn deletion(&self, key: &ResourceKey) -> DeleteRequest {
        DeleteRequest {
            key: key.clone(),
            propagation: PropagationPolicy::Background,
            precondition: Precondition::default(),
            owner: None,
            remove_finalizer: None,
            dry_run: false,
            operation_id: "cleanup".to_owned(),
        }
    }

    async fn delete(&self, request: DeleteRequest) -> Result<DeleteOutcome, ApplierError> {
        one(self.applier.delete(vec![request]).await)
    }

    /// Takes objects away, for good.
    async fn clean(&self, samples: &[&Sample]) -> Result<(), Verdict> {
        for sample in samples {
            let mut looks = 0;
            loop {
                let answer = self.delete(self.deletion(&sample.key)).await;
                let outcome =
                    answer.map_err(|error| format!("cannot delete {}: {error}", sample.key))?;
                if outcome == DeleteOutcome::Absent {
                    break;
                }
                looks += 1;
                ensure!(looks < MAX_LOOKS, "{} does not go", sample.key);
                if outcome != DeleteOutcome::Deleted {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }

    /// Takes away whatever a failed check may have left, so that the next ones begin anew.
    async fn clean_all(&self, limit: Duration) {
        if let Some(faults) = self.fixture.faults() {
            faults.clear().await;
        }
        let numbered = (0..NUMBERS).map(|n| self.fixture.sample(n, None));
        let left = numbered.chain([self.fixture.invalid()]);
        let requests = left.map(|sample| self.deletion(&sample.key)).collect();
        let _ = tokio::time::timeout(limit, self.applier.delete(requests)).await;
    }

    fn same(&self, a: &Value, b: &Value) -> bool {
        self.fixture.comparable(a) == self.fixture.comparable(b)
    }
}

/// The only answer of a batch of one.
fn one<T>(answers: Vec<Result<T, ApplierError>>) -> Result<T, ApplierError> {
    let count = answers.len();
    let mut answers = answers.into_iter();
    match (answers.next(), count) {
        (Some(answer), 1) => answer,
        _ => Err(ApplierError::new(
            ErrorKind::Internal,
            format!("one item was answered {count} times"),
        )),
    }
}

/// The error must be of this kind.
fn expect_error<T: fmt::Debug>(
    what: &str,
    answer: Result<T, ApplierError>,
    kind: ErrorKind,
) -> Outcome {
    match answer {
        Err(error) if error.kind == kind => {
            ensure!(!error.message.is_empty(), "{what}: the error says nothing");
            Ok(())
        }
        Err(error) => Err(Verdict::Failed(format!(
            "{what}: {:?} instead of {kind:?}: {error}",
            error.kind
        ))),
        Ok(answer) => Err(Verdict::Failed(format!(
            "{what}: accepted instead of {kind:?}: {answer:?}"
        ))),
    }
}
