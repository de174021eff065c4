//! Nothing changes before it is asked for, and what happens is what was foretold.

use super::{Bench, Outcome, ensure};
use crate::{ApplyMode, ChangeOutcome};

pub(super) async fn dry_run(bench: &Bench<'_>) -> Outcome {
    let (sample, other) = (bench.sample(10), bench.sample(11));
    let mut request = bench.request(&sample, "dry-1");
    request.dry_run = true;
    let answer = bench.apply(request).await;
    let result = answer.map_err(|error| format!("cannot dry-run a creation: {error}"))?;
    ensure!(
        result.outcome == ChangeOutcome::Created,
        "{:?} instead of Created",
        result.outcome
    );
    let live = bench.read(&sample.key).await?;
    ensure!(live.is_none(), "a dry run created the object");

    bench.applied(&other).await?;
    let before = bench.live(&other.key).await?;
    for mode in [ApplyMode::Apply, ApplyMode::Replace, ApplyMode::Recreate] {
        let mut request = bench.request(&bench.fixture.changed(&other), "dry-2");
        request.dry_run = true;
        request.mode = mode;
        let answer = bench.apply(request).await;
        let result = answer.map_err(|error| format!("cannot dry-run {mode:?}: {error}"))?;
        let expected = match mode {
            ApplyMode::Apply | ApplyMode::Replace => ChangeOutcome::Updated,
            ApplyMode::Recreate => ChangeOutcome::Replaced,
        };
        ensure!(
            result.outcome == expected,
            "{mode:?}: {:?} instead of {expected:?}",
            result.outcome
        );
    }
    let mut deletion = bench.deletion(&other.key);
    deletion.dry_run = true;
    let outcome = bench.delete(deletion).await;
    outcome.map_err(|error| format!("cannot dry-run a deletion: {error}"))?;
    let after = bench.live(&other.key).await?;
    ensure!(
        (&after.uid, &after.version) == (&before.uid, &before.version),
        "a dry run changed the object"
    );
    bench.clean(&[&other]).await
}

pub(super) async fn preview(bench: &Bench<'_>) -> Outcome {
    let sample = bench.sample(12);
    let changed = bench.fixture.changed(&sample);
    for (wanted, expected) in [
        (&sample, ChangeOutcome::Created),
        (&sample, ChangeOutcome::Unchanged),
        (&changed, ChangeOutcome::Updated),
    ] {
        let before = bench.read(&sample.key).await?;
        let preview = bench.preview(bench.request(wanted, "plan-1")).await?;
        ensure!(
            preview.outcome == expected,
            "the preview says {:?} instead of {expected:?}",
            preview.outcome
        );
        ensure!(
            preview.before.as_ref().map(|live| &live.version)
                == before.as_ref().map(|live| &live.version),
            "the preview's `before` is not what is there"
        );
        ensure!(
            preview.changes.is_empty() == (expected != ChangeOutcome::Updated),
            "{expected:?} with these changes: {:?}",
            preview.changes
        );
        let sorted = preview
            .changes
            .windows(2)
            .all(|pair| pair[0].path <= pair[1].path);
        ensure!(sorted, "the changes are not sorted: {:?}", preview.changes);
        let unchanged = bench.read(&sample.key).await?;
        ensure!(
            unchanged.map(|live| live.version) == before.map(|live| live.version),
            "the preview changed the object"
        );
        let result = bench.applied(wanted).await?;
        ensure!(
            result.outcome == preview.outcome,
            "{:?} was foretold, {:?} happened",
            preview.outcome,
            result.outcome
        );
        ensure!(
            bench.same(&preview.after, &result.live.body),
            "foretold {}, became {}",
            bench.fixture.comparable(&preview.after),
            bench.fixture.comparable(&result.live.body)
        );
    }
    bench.clean(&[&sample]).await
}
