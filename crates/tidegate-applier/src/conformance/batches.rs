//! Batches answer item by item, in the order of the request.

use super::{Bench, Outcome, Sample, ensure, expect_error};
use crate::{ChangeOutcome, DeleteOutcome, ErrorKind, ReadOptions};

/// Items of a batch: more than most appliers send at one time.
const BATCH: usize = 24;

pub(super) async fn order(bench: &Bench<'_>) -> Outcome {
    let samples: Vec<Sample> = (0..BATCH).map(|i| bench.sample(100 + i)).collect();
    let requests = samples.iter().map(|s| bench.request(s, "batch")).collect();
    let answers = bench.applier.apply(requests).await;
    ensure!(
        answers.len() == BATCH,
        "{BATCH} items, {} answers",
        answers.len()
    );
    for (sample, answer) in samples.iter().zip(answers) {
        let result = answer.map_err(|error| format!("{}: {error}", sample.key))?;
        ensure!(
            result.live.key == sample.key,
            "{} was answered for {}",
            result.live.key,
            sample.key
        );
    }
    // Every second one is not there.
    let mut keys: Vec<_> = samples.iter().rev().map(|s| s.key.clone()).collect();
    let gone: Vec<&Sample> = samples.iter().step_by(2).collect();
    bench.clean(&gone).await?;
    let answers = bench
        .applier
        .read(keys.clone(), ReadOptions::default())
        .await;
    ensure!(
        answers.len() == BATCH,
        "{BATCH} keys, {} answers",
        answers.len()
    );
    for (key, answer) in keys.iter().zip(answers) {
        let live = answer.map_err(|error| format!("{key}: {error}"))?;
        let is_gone = gone.iter().any(|sample| sample.key == *key);
        ensure!(live.is_some() != is_gone, "{key} was answered for another");
        ensure!(
            live.is_none_or(|live| live.key == *key),
            "{key} was answered for another"
        );
    }
    keys.reverse();
    let deletions = keys.iter().map(|key| bench.deletion(key)).collect();
    let answers = bench.applier.delete(deletions).await;
    ensure!(
        answers.len() == BATCH,
        "{BATCH} deletions, {} answers",
        answers.len()
    );
    for (i, answer) in answers.into_iter().enumerate() {
        let outcome = answer.map_err(|error| format!("{}: {error}", keys[i]))?;
        let was_absent = outcome == DeleteOutcome::Absent;
        ensure!(was_absent == (i % 2 == 0), "{}: {outcome:?}", keys[i]);
    }
    let left: Vec<&Sample> = samples.iter().collect();
    bench.clean(&left).await?;
    let empty = bench.applier.apply(Vec::new()).await;
    ensure!(
        empty.is_empty(),
        "an empty batch has {} answers",
        empty.len()
    );
    Ok(())
}

pub(super) async fn one_bad(bench: &Bench<'_>) -> Outcome {
    let (first, last) = (bench.sample(30), bench.sample(31));
    let invalid = bench.fixture.invalid();
    let unknown = bench.fixture.unknown();
    let mut batch = vec![&first, &invalid];
    batch.extend(unknown.iter());
    batch.push(&last);
    let requests = batch.iter().map(|s| bench.request(s, "bad")).collect();
    let mut answers = bench.applier.apply(requests).await;
    ensure!(
        answers.len() == batch.len(),
        "{} items, {} answers",
        batch.len(),
        answers.len()
    );
    let created =
        |answer: Result<crate::ApplyResult, crate::ApplierError>, which: &str| match answer {
            Ok(result) if result.outcome == ChangeOutcome::Created => Ok(()),
            other => Err(format!("the {which} good item: {other:?}")),
        };
    created(answers.remove(0), "first")?;
    created(answers.remove(answers.len() - 1), "last")?;
    expect_error("an invalid object", answers.remove(0), ErrorKind::Invalid)?;
    if unknown.is_some() {
        expect_error("an unknown kind", answers.remove(0), ErrorKind::NotFound)?;
    }
    bench.live(&first.key).await?;
    bench.live(&last.key).await?;
    let absent = bench.read(&invalid.key).await;
    ensure!(
        !matches!(absent, Ok(Some(_))),
        "the invalid object was created"
    );
    bench.clean(&[&first, &last]).await
}
