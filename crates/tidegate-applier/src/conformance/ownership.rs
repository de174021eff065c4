//! What bears whose mark.

use futures_util::StreamExt;
use tidegate_manifest::ResourceKey;
use tokio::time::{Instant, timeout_at};

use super::{Bench, Outcome, Verdict, ensure, expect_error};
use crate::{ErrorKind, WatchEvent, WatchStream};

pub(super) async fn delete(bench: &Bench<'_>) -> Outcome {
    let (owner, other) = bench.fixture.owners();
    let own = bench.fixture.sample(40, Some(&owner));
    let unmarked = bench.fixture.sample(41, None);
    for sample in [&own, &unmarked] {
        bench.applied(sample).await?;
    }
    for (what, sample, owner) in [
        ("another application", &own, &other),
        ("no application", &unmarked, &owner),
    ] {
        let mut request = bench.deletion(&sample.key);
        request.owner = Some(owner.clone());
        let what = format!("deleting an object of {what}");
        expect_error(&what, bench.delete(request).await, ErrorKind::Conflict)?;
        bench.live(&sample.key).await?;
    }
    let mut request = bench.deletion(&own.key);
    request.owner = Some(owner);
    let answer = bench.delete(request).await;
    answer.map_err(|error| format!("the owner may not delete its object: {error}"))?;
    bench.clean(&[&own, &unmarked]).await
}

pub(super) async fn list(bench: &Bench<'_>) -> Outcome {
    let (owner, other) = bench.fixture.owners();
    let mut own = [
        bench.fixture.sample(51, Some(&owner)),
        bench.fixture.sample(50, Some(&owner)),
    ];
    let foreign = bench.fixture.sample(52, Some(&other));
    let unmarked = bench.fixture.sample(53, None);
    for sample in own.iter().chain([&foreign, &unmarked]) {
        bench.applied(sample).await?;
    }
    let listed = bench.applier.list_owned(owner.clone()).await;
    let listed = listed.map_err(|error| format!("cannot list: {error}"))?;
    ensure!(
        listed.incomplete.is_empty(),
        "kinds are missing: {:?}",
        listed.incomplete
    );
    let keys: Vec<&ResourceKey> = listed.items.iter().map(|owned| &owned.key).collect();
    own.sort_by(|a, b| a.key.cmp(&b.key));
    let expected: Vec<&ResourceKey> = own.iter().map(|sample| &sample.key).collect();
    ensure!(keys == expected, "listed {keys:?} instead of {expected:?}");
    for owned in &listed.items {
        let live = bench.live(&owned.key).await?;
        ensure!(owned.uid == live.uid, "{}: another uid", owned.key);
        ensure!(owned.is_root, "{} is said to have an owner", owned.key);
        ensure!(
            owned.is_self_reference,
            "{} is said to bear a copied mark",
            owned.key
        );
        ensure!(!owned.is_deleting, "{} is said to be going", owned.key);
    }
    bench
        .clean(&[&own[0], &own[1], &foreign, &unmarked])
        .await?;
    let listed = bench.applier.list_owned(owner).await;
    let listed = listed.map_err(|error| format!("cannot list: {error}"))?;
    ensure!(
        listed.items.is_empty(),
        "listed after deletion: {:?}",
        listed.items
    );
    Ok(())
}

pub(super) async fn watch(bench: &Bench<'_>) -> Outcome {
    let stream = bench.applier.watch().await;
    let stream = stream.map_err(|error| format!("cannot watch: {error}"))?;
    let can_watch = bench.applier.describe().await.map(|d| d.capabilities.watch);
    let Some(mut stream) = stream else {
        ensure!(
            can_watch != Ok(true),
            "it says that it can watch, and does not"
        );
        return Err(Verdict::Skipped("the applier does not watch".to_owned()));
    };
    let sample = bench.sample(60);
    bench.applied(&sample).await?;
    let event = next(bench, &mut stream, &sample.key, false).await?;
    let owner = bench.owner().application;
    ensure!(
        event.applications.contains(&owner),
        "the event does not name {owner:?}: {event:?}"
    );
    bench.clean(&[&sample]).await?;
    next(bench, &mut stream, &sample.key, true).await?;
    Ok(())
}

/// The next event that tells of this.
async fn next(
    bench: &Bench<'_>,
    stream: &mut WatchStream,
    key: &ResourceKey,
    deleted: bool,
) -> Result<WatchEvent, Verdict> {
    let deadline = Instant::now() + bench.fixture.deadline();
    loop {
        let told = timeout_at(deadline, stream.next()).await;
        let told = told.map_err(|_| format!("no event for {key} (deleted: {deleted})"))?;
        let event = told.ok_or_else(|| "the stream ended".to_owned())?;
        let event = event.map_err(|error| format!("the stream broke: {error}"))?;
        if event.key == *key && event.deleted == deleted {
            return Ok(event);
        }
    }
}
