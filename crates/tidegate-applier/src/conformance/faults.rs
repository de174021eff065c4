//! Disturbances: ridden out, or told as what they are, and always in time.

use tokio::time::timeout;

use super::{Bench, Fault, FaultInjector, Outcome, Verdict, ensure};
use crate::{ChangeOutcome, ErrorKind, ReadOptions};

/// Disturbed requests in a row that an applier must ride out.
const TIMES: u32 = 2;

fn injector<'a>(bench: &'a Bench<'_>) -> Result<&'a dyn FaultInjector, Verdict> {
    bench
        .fixture
        .faults()
        .ok_or_else(|| Verdict::Skipped("the fixture injects no faults".to_owned()))
}

pub(super) async fn ride_out(bench: &Bench<'_>, fault: Fault) -> Outcome {
    let faults = injector(bench)?;
    let sample = bench.sample(70 + fault as usize);
    faults.inject(fault, TIMES).await;
    let result = bench.applied(&sample).await;
    faults.clear().await;
    let result = result?;
    ensure!(
        result.outcome == ChangeOutcome::Created,
        "{:?} instead of Created",
        result.outcome
    );
    faults.inject(fault, TIMES).await;
    let cleaned = bench.clean(&[&sample]).await;
    faults.clear().await;
    cleaned
}

pub(super) async fn lost_reply(bench: &Bench<'_>) -> Outcome {
    let faults = injector(bench)?;
    let sample = bench.sample(80);
    faults.inject(Fault::LostReply, 1).await;
    let answer = bench.apply(bench.request(&sample, "lost-1")).await;
    faults.clear().await;
    if let Err(error) = answer {
        ensure!(
            error.retryable,
            "a lost reply is said to be final: {:?}: {error}",
            error.kind
        );
    }
    let again = bench.applied(&sample).await?;
    ensure!(
        again.outcome == ChangeOutcome::Unchanged,
        "{:?} instead of Unchanged after a lost reply",
        again.outcome
    );
    let listed = bench.applier.list_owned(bench.owner()).await;
    let listed = listed.map_err(|error| format!("cannot list: {error}"))?;
    ensure!(
        listed.items.len() == 1,
        "one object was applied, {} are there",
        listed.items.len()
    );
    bench.clean(&[&sample]).await
}

pub(super) async fn silence(bench: &Bench<'_>) -> Outcome {
    let faults = injector(bench)?;
    let sample = bench.sample(90);
    let limit = bench.fixture.deadline();
    faults.inject(Fault::Silence, u32::MAX).await;
    let key = vec![sample.key.clone()];
    let read = timeout(limit, bench.applier.read(key, ReadOptions::default())).await;
    let applied = timeout(limit, bench.apply(bench.request(&sample, "silence-1"))).await;
    faults.clear().await;
    let read = read.map_err(|_| "a read of a silent target does not end".to_owned())?;
    let applied = applied.map_err(|_| "an apply to a silent target does not end".to_owned())?;
    let errors = [read.into_iter().find_map(Result::err), applied.err()];
    for error in errors {
        let error = error.ok_or_else(|| "a silent target is said to answer".to_owned())?;
        ensure!(
            matches!(error.kind, ErrorKind::Timeout | ErrorKind::Unavailable) && error.retryable,
            "silence is told as {:?}: {error}",
            error.kind
        );
    }
    bench.clean(&[&sample]).await
}
