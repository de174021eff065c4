//! The process dies after any write to the journal and after any effect; the next one goes on: no effect is made
//! twice, none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_engine::{Control, Desired, EngineOptions, OperationState, SyncRequest};
use tidegate_store::{Batch, MemoryStore, Record, Store, StoreError};

use crate::fake::Fake;
use crate::kit::{World, app, desired, manifests, verdict};

/// A store that fails after some commits, as if the process had died: before the commit, or right after it.
#[derive(Debug)]
struct DyingStore {
    inner: Arc<MemoryStore>,
    left: AtomicUsize,
    writes_last: bool,
}

impl Store for DyingStore {
    fn get(&self, table: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn list(
        &self,
        table: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.inner.list(table, prefix, after, limit)
    }

    fn records(&self, journal: &str, from: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.inner.records(journal, from, limit)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let died = || StoreError::Io {
            path: "state".into(),
            action: "written",
            reason: "the process died".to_owned(),
        };
        let left = self.left.load(Ordering::SeqCst);
        match left {
            0 => Err(died()),
            1 => {
                self.left.store(0, Ordering::SeqCst);
                if self.writes_last {
                    self.inner.commit(batch)?;
                }
                Err(died())
            }
            _ => {
                self.left.store(left - 1, Ordering::SeqCst);
                self.inner.commit(batch)
            }
        }
    }
}

fn request(desired: &Desired) -> SyncRequest {
    let mut request = SyncRequest::manual(&desired.application, "tester");
    request.prune = true;
    request.retry.limit = Some(1);
    request.retry.duration = Duration::from_secs(1);
    request
}

/// Effects that must not happen twice, sorted; `same` is no effect.
fn effects(log: &[String]) -> Vec<String> {
    let mut effects: Vec<String> = log
        .iter()
        .filter(|line| !line.starts_with("same"))
        .cloned()
        .collect();
    effects.sort();
    effects
}

type Results = Vec<(String, String, String)>;

fn outcome(state: &OperationState) -> (String, Results) {
    let mut results: Results = state
        .results
        .iter()
        .map(|r| {
            let phase = format!("{} {}", r.sync_phase.as_str(), r.hook_phase.as_str());
            (r.key.to_string(), phase, format!("{:?}", r.status))
        })
        .collect();
    results.sort();
    (verdict(state), results)
}

/// Everything of interest in one operation.
struct Scenario {
    name: &'static str,
    before: Option<Desired>,
    desired: Desired,
}

fn scenarios() -> Vec<Scenario> {
    let waves = "
        Job pre hook=PreSync
        Job seed-* hook=PreSync wave=1
        ConfigMap a
        ConfigMap b wave=1 data=new
        Deployment web wave=2
        Job both hook=Sync,PostSync policy=BeforeHookCreation,HookSucceeded wave=2
        Job smoke hook=PostSync policy=HookSucceeded";
    let before = "
        Job pre hook=PreSync
        ConfigMap b wave=1
        ConfigMap p0
        ConfigMap p1 wave=1 linger=2
        Deployment p2 wave=2
        Job both hook=PostSync";
    let failing = "
        Job pre hook=PreSync policy=HookFailed
        ConfigMap bad refuse=no
        ConfigMap good
        Job alarm hook=SyncFail
        Job later hook=PostSync";
    let recreated = "
        Job one spec=2 options=Replace=true,Force=true
        Job two spec=2 options=Force=true wave=1
        ConfigMap c options=Replace=true data=c wave=2";
    let recreated_before = "Job one spec=1\nJob two spec=1 wave=1\nConfigMap c wave=2";
    let fresh = desired(
        "  syncPolicy: {syncOptions: [CreateNamespace=true]}",
        &manifests("CustomResourceDefinition widgets.example.org\nWidget w\nJob pre hook=PreSync"),
    );
    let scenario = |name, before: Option<&str>, desired| Scenario {
        name,
        before: before.map(app),
        desired,
    };
    vec![
        scenario("fresh", None, app(waves)),
        scenario("over another", Some(before), app(waves)),
        scenario("failing", None, app(failing)),
        scenario("recreating", Some(recreated_before), app(recreated)),
        scenario("namespace and definition", None, fresh),
    ]
}

async fn prepare(scenario: &Scenario) -> (Fake, Arc<MemoryStore>) {
    let (fake, memory) = (Fake::new(), Arc::new(MemoryStore::new()));
    if scenario.name == "namespace and definition" {
        fake.state().objects.clear();
    }
    if let Some(before) = &scenario.before {
        let world = World::with(
            fake.clone(),
            memory.clone(),
            EngineOptions::default(),
            "old",
        );
        world.sync(before).await;
        fake.take_log();
    }
    (fake, memory)
}

/// Runs the operation in processes that die, each at its own moment, until one ends it.
async fn finish(fake: &Fake, memory: &Arc<MemoryStore>, scenario: &Scenario) -> OperationState {
    let world = World::with(
        fake.clone(),
        memory.clone(),
        EngineOptions::default(),
        "again",
    );
    let left = world
        .engine
        .unfinished(&scenario.desired.application)
        .await
        .expect("readable");
    let ended = world
        .engine
        .operation(&scenario.desired.application)
        .await
        .expect("readable");
    if let (None, Some(ended)) = (left, ended.filter(|ended| ended.id.starts_with("next"))) {
        // It died right after its end was recorded: a next call would be another operation.
        return ended;
    }
    world
        .try_sync(
            &scenario.desired,
            request(&scenario.desired),
            &Control::none(),
        )
        .await
        .expect("the last process lives")
}

/// How the operation ends when nobody dies.
async fn undisturbed(scenario: &Scenario) -> (Vec<String>, (String, Results), Vec<String>) {
    let (fake, memory) = prepare(scenario).await;
    let state = finish(&fake, &memory, scenario).await;
    let names = fake.names();
    (effects(&fake.take_log()), outcome(&state), names)
}

#[tokio::test(start_paused = true)]
async fn dying_at_any_write_of_the_journal_repeats_and_loses_nothing() {
    for scenario in scenarios() {
        let expected = undisturbed(&scenario).await;
        for writes_last in [false, true] {
            for moment in 1..400 {
                let (fake, memory) = prepare(&scenario).await;
                let store = Arc::new(DyingStore {
                    inner: memory.clone(),
                    left: AtomicUsize::new(moment),
                    writes_last,
                });
                let world = World::with(fake.clone(), store, EngineOptions::default(), "next");
                let asked = request(&scenario.desired);
                let first = world
                    .try_sync(&scenario.desired, asked, &Control::none())
                    .await;
                if first.is_ok() {
                    assert!(moment > 8, "{}: it writes at all", scenario.name);
                    break;
                }
                let state = finish(&fake, &memory, &scenario).await;
                let found = (effects(&fake.take_log()), outcome(&state), fake.names());
                let place = format!("{} write {moment} {writes_last}", scenario.name);
                check(&place, &found, &expected);
            }
        }
    }
}

fn check(
    place: &str,
    found: &(Vec<String>, (String, Results), Vec<String>),
    expected: &(Vec<String>, (String, Results), Vec<String>),
) {
    assert_eq!(found.0, expected.0, "{place}: effects");
    assert_eq!(found.1.0, expected.1.0, "{place}: verdict");
    let keys = |results: &Results| -> Vec<(String, String)> {
        results
            .iter()
            .map(|(key, _, status)| (key.clone(), status.clone()))
            .collect()
    };
    assert_eq!(keys(&found.1.1), keys(&expected.1.1), "{place}: results");
    assert_eq!(found.2, expected.2, "{place}: objects");
}

#[tokio::test(start_paused = true)]
async fn dying_after_any_effect_repeats_and_loses_nothing() {
    for scenario in scenarios() {
        let expected = undisturbed(&scenario).await;
        for moment in 1..200 {
            let (fake, memory) = prepare(&scenario).await;
            fake.state().crash_after = Some(moment);
            let crashed = fake.state().crashed.clone();
            let world = World::with(
                fake.clone(),
                memory.clone(),
                EngineOptions::default(),
                "next",
            );
            let asked = request(&scenario.desired);
            let control = Control::none();
            let run = world.try_sync(&scenario.desired, asked, &control);
            let lived = tokio::select! {
                _ = run => true,
                () = crashed.notified() => false,
            };
            if lived {
                assert!(moment > 3, "{}: it has effects", scenario.name);
                break;
            }
            fake.state().crash_after = None;
            let state = finish(&fake, &memory, &scenario).await;
            let found = (effects(&fake.take_log()), outcome(&state), fake.names());
            check(
                &format!("{} effect {moment}", scenario.name),
                &found,
                &expected,
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_revision_ends_what_was_left_behind() {
    let (fake, memory) = (Fake::new(), Arc::new(MemoryStore::new()));
    fake.state().crash_after = Some(1);
    let crashed = fake.state().crashed.clone();
    let world = World::with(
        fake.clone(),
        memory.clone(),
        EngineOptions::default(),
        "first",
    );
    let old = app("ConfigMap a\nConfigMap b wave=1");
    tokio::select! {
        _ = world.sync(&old) => panic!("it dies"),
        () = crashed.notified() => {}
    }
    fake.state().crash_after = None;
    let world = World::with(fake.clone(), memory, EngineOptions::default(), "second");
    let state = world.sync(&app("ConfigMap a data=new")).await;
    assert_eq!(state.id, "second-1");
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (all tasks run)"
    );
    let told = world.told();
    let line = "Superseded | superseded by c0ffee0011223344".to_owned();
    assert!(told.contains(&line), "{told:#?}");
}
