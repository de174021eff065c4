//! Describe, read, create, update, recreate, delete: each twice where twice must be once.

use tidegate_manifest::GroupKind;

use super::{Bench, Outcome, ensure, one};
use crate::{ApplyMode, ChangeOutcome, DeleteOutcome};

pub(super) async fn describes(bench: &Bench<'_>) -> Outcome {
    let description = bench.applier.describe().await;
    let description = description.map_err(|error| format!("cannot describe: {error}"))?;
    ensure!(!description.name.is_empty(), "the name is empty");
    let target = bench.sample(0).key.target;
    ensure!(
        description.target == target,
        "it serves {}, not {target}",
        description.target
    );
    Ok(())
}

pub(super) async fn kinds(bench: &Bench<'_>) -> Outcome {
    let known = bench.sample(0);
    let mut wanted = vec![known.key.group_kind()];
    let unknown = bench.fixture.unknown();
    wanted.extend(unknown.iter().map(|sample| sample.key.group_kind()));
    wanted.push(known.key.group_kind());
    let answers = bench.applier.kinds(wanted.clone()).await;
    ensure!(
        answers.len() == wanted.len(),
        "{} kinds were answered {} times",
        wanted.len(),
        answers.len()
    );
    for (kind, answer) in wanted.iter().zip(answers) {
        let facts = answer.map_err(|error| format!("{kind}: {error}"))?;
        let is_known = *kind == known.key.group_kind();
        ensure!(facts.is_some() == is_known, "{kind}: {facts:?}");
        if let Some(facts) = facts {
            let told: &GroupKind = &facts.kind;
            ensure!(told == kind, "asked for {kind}, told of {told}");
            ensure!(
                facts.versions.contains(&known.gvk.version),
                "{kind} lacks version {:?}: {:?}",
                known.gvk.version,
                facts.versions
            );
        }
    }
    Ok(())
}

pub(super) async fn absent(bench: &Bench<'_>) -> Outcome {
    let sample = bench.sample(1);
    let live = bench.read(&sample.key).await?;
    ensure!(
        live.is_none(),
        "it is there before it was applied: {live:?}"
    );
    if let Some(unknown) = bench.fixture.unknown() {
        let live = bench.read(&unknown.key).await?;
        ensure!(live.is_none(), "an object of an unknown kind is there");
    }
    let outcome = bench.delete(bench.deletion(&sample.key)).await;
    ensure!(
        outcome == Ok(DeleteOutcome::Absent),
        "deleting what is not there: {outcome:?}"
    );
    Ok(())
}

pub(super) async fn creates(bench: &Bench<'_>) -> Outcome {
    let sample = bench.sample(2);
    let result = bench.applied(&sample).await?;
    ensure!(
        result.outcome == ChangeOutcome::Created,
        "{:?} instead of Created",
        result.outcome
    );
    ensure!(
        result.live.key == sample.key,
        "the answer is of {}",
        result.live.key
    );
    ensure!(!result.live.uid.is_empty(), "the object has no uid");
    ensure!(!result.live.version.is_empty(), "the object has no version");
    let live = bench.live(&sample.key).await?;
    ensure!(live.key == sample.key, "read {} instead", live.key);
    ensure!(live.uid == result.live.uid, "the uid read is another");
    ensure!(
        bench.same(&live.body, &result.live.body),
        "read {} after {}",
        live.body,
        result.live.body
    );
    bench.clean(&[&sample]).await
}

pub(super) async fn idempotent(bench: &Bench<'_>) -> Outcome {
    let sample = bench.sample(3);
    let first = bench.applied(&sample).await?;
    let again = bench.applied(&sample).await?;
    ensure!(
        again.outcome == ChangeOutcome::Unchanged,
        "{:?} instead of Unchanged",
        again.outcome
    );
    ensure!(again.live.uid == first.live.uid, "the uid changed");
    ensure!(
        bench.same(&again.live.body, &first.live.body),
        "the object changed"
    );
    bench.clean(&[&sample]).await
}

pub(super) async fn updates(bench: &Bench<'_>) -> Outcome {
    let sample = bench.sample(4);
    let first = bench.applied(&sample).await?;
    let changed = bench.fixture.changed(&sample);
    let second = bench.applied(&changed).await?;
    ensure!(
        second.outcome == ChangeOutcome::Updated,
        "{:?} instead of Updated",
        second.outcome
    );
    ensure!(second.live.uid == first.live.uid, "the uid changed");
    ensure!(
        second.live.version != first.live.version,
        "the version did not change"
    );
    ensure!(
        !bench.same(&second.live.body, &first.live.body),
        "the object did not change"
    );
    bench.clean(&[&sample]).await
}

pub(super) async fn recreates(bench: &Bench<'_>) -> Outcome {
    let sample = bench.sample(5);
    let first = bench.applied(&sample).await?;
    let mut request = bench.request(&bench.fixture.changed(&sample), "recreate-1");
    request.mode = ApplyMode::Recreate;
    let answer = bench.apply(request.clone()).await;
    let second = answer.map_err(|error| format!("cannot recreate: {error}"))?;
    ensure!(
        second.outcome == ChangeOutcome::Replaced,
        "{:?} instead of Replaced",
        second.outcome
    );
    ensure!(second.live.uid != first.live.uid, "the uid stayed");
    let answer = bench.apply(request).await;
    let third = answer.map_err(|error| format!("cannot repeat the operation: {error}"))?;
    ensure!(
        third.live.uid == second.live.uid,
        "the same operation recreated the object again"
    );
    bench.clean(&[&sample]).await
}

pub(super) async fn deletes(bench: &Bench<'_>) -> Outcome {
    let sample = bench.sample(6);
    bench.applied(&sample).await?;
    let outcome = bench.delete(bench.deletion(&sample.key)).await;
    ensure!(
        matches!(
            outcome,
            Ok(DeleteOutcome::Deleted | DeleteOutcome::Deleting { .. })
        ),
        "the first deletion: {outcome:?}"
    );
    bench.clean(&[&sample]).await?;
    let live = bench.read(&sample.key).await?;
    ensure!(live.is_none(), "it is still there");
    let again = one(bench
        .applier
        .delete(vec![bench.deletion(&sample.key)])
        .await);
    ensure!(
        again == Ok(DeleteOutcome::Absent),
        "the second deletion: {again:?}"
    );
    Ok(())
}
