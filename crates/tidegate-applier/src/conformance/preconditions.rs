//! A precondition that does not hold is a conflict, and nothing changed.

use super::{Bench, Outcome, Sample, ensure, expect_error};
use crate::{ErrorKind, Precondition};

/// Preconditions that do not hold for an object of this version.
fn wrong(uid: &str) -> [(&'static str, Precondition); 3] {
    [
        (
            "must not exist",
            Precondition {
                exists: Some(false),
                ..Precondition::default()
            },
        ),
        (
            "another uid",
            Precondition {
                uid: Some(format!("{uid}-other")),
                ..Precondition::default()
            },
        ),
        (
            "another version",
            Precondition {
                version: Some("1".to_owned()),
                ..Precondition::default()
            },
        ),
    ]
}

pub(super) async fn apply(bench: &Bench<'_>) -> Outcome {
    let (sample, never) = (bench.sample(20), bench.sample(21));
    must_exist(bench, &never).await?;
    bench.applied(&sample).await?;
    let before = bench.live(&sample.key).await?;
    let changed = bench.fixture.changed(&sample);
    for (what, precondition) in wrong(&before.uid) {
        for dry_run in [true, false] {
            let mut request = bench.request(&changed, "precondition");
            request.precondition = precondition.clone();
            request.dry_run = dry_run;
            expect_error(what, bench.apply(request).await, ErrorKind::Conflict)?;
        }
        let after = bench.live(&sample.key).await?;
        ensure!(
            after.version == before.version,
            "{what}: the object changed"
        );
    }
    let mut request = bench.request(&changed, "precondition");
    request.precondition = Precondition {
        exists: Some(true),
        uid: Some(before.uid.clone()),
        version: Some(before.version.clone()),
    };
    let answer = bench.apply(request).await;
    answer.map_err(|error| format!("preconditions that hold are refused: {error}"))?;
    bench.clean(&[&sample]).await
}

async fn must_exist(bench: &Bench<'_>, never: &Sample) -> Outcome {
    let mut request = bench.request(never, "precondition");
    request.precondition.exists = Some(true);
    expect_error(
        "must exist",
        bench.apply(request).await,
        ErrorKind::Conflict,
    )?;
    let live = bench.read(&never.key).await?;
    ensure!(live.is_none(), "must exist: the object was created");
    Ok(())
}

pub(super) async fn delete(bench: &Bench<'_>) -> Outcome {
    let sample = bench.sample(22);
    bench.applied(&sample).await?;
    let before = bench.live(&sample.key).await?;
    for (what, precondition) in wrong(&before.uid) {
        let mut request = bench.deletion(&sample.key);
        request.precondition = precondition;
        expect_error(what, bench.delete(request).await, ErrorKind::Conflict)?;
        bench.live(&sample.key).await?;
    }
    let mut request = bench.deletion(&sample.key);
    request.precondition.uid = Some(before.uid);
    request.precondition.version = Some(before.version);
    let answer = bench.delete(request).await;
    answer.map_err(|error| format!("preconditions that hold are refused: {error}"))?;
    bench.clean(&[&sample]).await
}
