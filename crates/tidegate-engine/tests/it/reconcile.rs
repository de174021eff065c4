//! The owner task of an application: automation, drift, self-heal, newer revisions, messages (Argo CD section 9).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_engine::{
    ApplicationTask, ApplicationView, Desired, ReconcileOptions, Source, SyncRequest, Wanted,
};
use tidegate_manifest::{HealthStatus, SyncStatus};

use crate::fake::{Fake, key};
use crate::kit::{World, desired, manifests};

/// A repository with one branch.
#[derive(Debug)]
struct Branch {
    head: Mutex<Result<Desired, String>>,
}

impl Branch {
    fn new(desired: Desired) -> Arc<Self> {
        Arc::new(Self {
            head: Mutex::new(Ok(desired)),
        })
    }

    fn push(&self, desired: Result<Desired, String>) {
        *self.head.lock().unwrap() = desired;
    }
}

#[tidegate_applier::async_trait]
impl Source for Branch {
    async fn newest(&self) -> Result<Vec<String>, String> {
        self.head
            .lock()
            .unwrap()
            .as_ref()
            .map(Desired::revisions)
            .map_err(Clone::clone)
    }

    async fn desired(&self, _wanted: Wanted) -> Result<Desired, String> {
        self.head.lock().unwrap().clone()
    }
}

fn at(revision: &str, policy: &str, lines: &str) -> Desired {
    let extra = format!("  syncPolicy: {{{policy}}}");
    let mut desired = desired(&extra, &manifests(lines));
    desired.sources[0].revision = revision.to_owned();
    desired
}

const AUTO: &str = "automated: {prune: true}";
const HEAL: &str = "automated: {prune: true, selfHeal: true}";

struct Kept {
    world: World,
    branch: Arc<Branch>,
    task: ApplicationTask,
}

impl Kept {
    fn start(desired: Desired, options: ReconcileOptions) -> Self {
        Self::over(World::new(), desired, options)
    }

    fn over(world: World, desired: Desired, options: ReconcileOptions) -> Self {
        let branch = Branch::new(desired);
        let task = ApplicationTask::start(
            world.engine.clone(),
            world.destination(),
            branch.clone(),
            options,
        );
        Self {
            world,
            branch,
            task,
        }
    }

    async fn until(
        &self,
        what: &str,
        holds: impl FnMut(&ApplicationView) -> bool,
    ) -> ApplicationView {
        let mut view = self.task.view();
        let found = tokio::time::timeout(Duration::from_secs(5000), view.wait_for(holds)).await;
        match found {
            Ok(view) => view.expect("the task lives").clone(),
            Err(_) => panic!("never: {what}; told {:#?}", self.world.told()),
        }
    }

    async fn good(&self) -> ApplicationView {
        self.until("good", |view| {
            view.comparison
                .as_ref()
                .is_some_and(|found| found.is_good())
        })
        .await
    }

    fn fake(&self) -> &Fake {
        &self.world.fake
    }
}

#[tokio::test(start_paused = true)]
async fn automation_syncs_each_revision_once() {
    let kept = Kept::start(
        at("one", AUTO, "ConfigMap a\nDeployment web"),
        ReconcileOptions::default(),
    );
    let view = kept.good().await;
    assert_eq!(view.operation.expect("an operation").revisions, ["one"]);
    assert_eq!(
        kept.world.log(),
        "create ConfigMap/a\ncreate Deployment/web"
    );
    kept.branch
        .push(Ok(at("two", AUTO, "ConfigMap a data=new\nDeployment web")));
    kept.until("two", |view| {
        view.operation
            .as_ref()
            .is_some_and(|o| o.revisions == ["two"])
    })
    .await;
    kept.good().await;
    assert_eq!(kept.world.log(), "update ConfigMap/a");
    // The same content under another commit is no reason to sync.
    kept.branch.push(Ok(at(
        "three",
        AUTO,
        "ConfigMap a data=new\nDeployment web",
    )));
    kept.until("three", |view| {
        view.comparison
            .as_ref()
            .is_some_and(|found| found.revisions == ["three"])
    })
    .await;
    assert_eq!(kept.world.log(), "");
    kept.task.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn without_automation_it_syncs_once_when_told_to() {
    let desired = at("one", "", "ConfigMap a");
    let options = ReconcileOptions {
        sync_once: Some(SyncRequest::manual(&desired.application, "tester")),
        ..ReconcileOptions::default()
    };
    let kept = Kept::start(desired, options);
    kept.good().await;
    kept.branch.push(Ok(at("two", "", "ConfigMap a data=new")));
    let view = kept
        .until("two", |view| {
            view.comparison
                .as_ref()
                .is_some_and(|found| found.revisions == ["two"])
        })
        .await;
    assert_eq!(
        view.comparison.expect("compared").sync,
        SyncStatus::OutOfSync
    );
    assert_eq!(kept.world.log(), "create ConfigMap/a");
    let request = SyncRequest::manual(&desired_of(&kept).application, "tester");
    kept.task.sync(request).await.expect("it runs");
    kept.good().await;
    assert_eq!(kept.world.log(), "update ConfigMap/a");
}

fn desired_of(kept: &Kept) -> Desired {
    kept.branch.head.lock().unwrap().clone().expect("a head")
}

#[tokio::test(start_paused = true)]
async fn drift_is_told_and_undone_only_under_self_heal() {
    for (policy, healed) in [(AUTO, false), (HEAL, true)] {
        let kept = Kept::start(
            at("one", policy, "ConfigMap a\nJob pre hook=PreSync"),
            ReconcileOptions::default(),
        );
        kept.good().await;
        kept.world.log();
        kept.world.told();
        let place = key("", "ConfigMap", "shop", "a");
        kept.fake()
            .edit(&place, |body| body["data"]["a"] = "drifted".into());
        kept.task.refresh().await;
        let now = kept.fake().clone();
        if healed {
            kept.until("healed", |view| {
                view.operation
                    .as_ref()
                    .is_some_and(|o| o.request.self_heal_attempts == 1)
            })
            .await;
            kept.good().await;
            // A heal is a partial sync: the hook does not run, history is not written.
            assert_eq!(kept.world.log(), "update ConfigMap/a");
            let history = kept
                .world
                .engine
                .history(&desired_of(&kept).application)
                .await;
            assert_eq!(history.expect("readable").len(), 1);
        } else {
            kept.until("seen", |view| {
                view.comparison
                    .as_ref()
                    .is_some_and(|c| c.sync == SyncStatus::OutOfSync)
            })
            .await;
            assert_eq!(now.body(&place).expect("there")["data"]["a"], "drifted");
        }
        let told = kept.world.told();
        let drifted = "Drifted ConfigMap/a | changed: .data.a".to_owned();
        assert_eq!(
            told.iter().filter(|line| **line == drifted).count(),
            1,
            "{told:#?}"
        );
        assert_eq!(
            told.contains(&"Healed ConfigMap/a".to_owned()),
            healed,
            "{told:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn heals_come_further_and_further_apart() {
    let options = ReconcileOptions {
        compare_interval: Duration::from_millis(100),
        ..ReconcileOptions::default()
    };
    let kept = Kept::start(at("one", HEAL, "ConfigMap a"), options);
    kept.good().await;
    let place = key("", "ConfigMap", "shop", "a");
    let mut waits = Vec::new();
    for attempt in 1..=5 {
        let start = tokio::time::Instant::now();
        kept.fake().edit(&place, |body| {
            body["data"]["a"] = format!("drift {attempt}").into();
        });
        kept.until("healed", |view| {
            view.operation
                .as_ref()
                .is_some_and(|o| o.request.self_heal_attempts == attempt)
        })
        .await;
        kept.good().await;
        waits.push(start.elapsed().as_secs());
    }
    // 2 s times 3 per attempt, from the end of the last one.
    assert_eq!(waits, [0, 2, 6, 18, 54]);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_failed_is_not_tried_again() {
    let policy = "automated: {}, retry: {limit: 1}";
    let kept = Kept::start(
        at("one", policy, "ConfigMap a refuse=no"),
        ReconcileOptions::default(),
    );
    kept.until("failed", |view| {
        view.operation
            .as_ref()
            .is_some_and(|o| o.phase.is_unsuccessful())
    })
    .await;
    for _again in 0..3 {
        let rounds = kept.task.view().borrow().rounds;
        kept.task.refresh().await;
        kept.until("another round", |view| view.rounds > rounds)
            .await;
    }
    let told = kept.world.told();
    let failed: Vec<&String> = told
        .iter()
        .filter(|l| l.starts_with("SyncFailed"))
        .collect();
    assert_eq!(failed.len(), 1, "{told:#?}");
    let refused: Vec<&String> = told
        .iter()
        .filter(|l| l.contains("Failed last sync attempt to [one]"))
        .collect();
    assert_eq!(refused.len(), 1, "{told:#?}");
    kept.branch.push(Ok(at("two", policy, "ConfigMap a")));
    kept.good().await;
}

#[tokio::test(start_paused = true)]
async fn a_fix_that_is_pushed_ends_an_operation_that_waits() {
    let stuck = at(
        "one",
        AUTO,
        "Deployment a health=Progressing\nConfigMap b wave=1",
    );
    let kept = Kept::start(stuck, ReconcileOptions::default());
    kept.until("waiting", |view| {
        view.operation
            .as_ref()
            .is_some_and(|o| o.message.starts_with("waiting for healthy"))
    })
    .await;
    kept.branch.push(Ok(at(
        "two",
        AUTO,
        "Deployment a health=Healthy\nConfigMap b wave=1",
    )));
    let view = kept.good().await;
    assert_eq!(view.comparison.expect("compared").revisions, ["two"]);
    let told = kept.world.told();
    assert!(
        told.contains(&"Superseded | superseded by two".to_owned()),
        "{told:#?}"
    );
    // A push that renders to the same does not.
    assert_eq!(
        told.iter()
            .filter(|line| line.starts_with("SyncSucceeded"))
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn automation_does_not_remove_everything() {
    let kept = Kept::start(
        at("one", AUTO, "ConfigMap a\nConfigMap b"),
        ReconcileOptions::default(),
    );
    kept.good().await;
    kept.branch.push(Ok(at("two", AUTO, "")));
    kept.until("two", |view| {
        view.comparison
            .as_ref()
            .is_some_and(|found| found.revisions == ["two"])
    })
    .await;
    let rounds = kept.task.view().borrow().rounds;
    kept.task.refresh().await;
    kept.until("another round", |view| view.rounds > rounds)
        .await;
    assert_eq!(kept.fake().names(), ["ConfigMap/a", "ConfigMap/b"]);
    let told = kept.world.told();
    assert!(
        told.iter()
            .any(|l| l.contains("auto-sync will wipe out all resources")),
        "{told:#?}"
    );
    kept.branch.push(Ok(at(
        "three",
        "automated: {prune: true, allowEmpty: true}",
        "",
    )));
    kept.until("empty", |view| {
        view.comparison
            .as_ref()
            .is_some_and(|found| found.resources.is_empty())
    })
    .await;
    assert!(kept.fake().names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_broken_push_changes_nothing_and_the_next_one_mends_it() {
    let kept = Kept::start(
        at("one", HEAL, "ConfigMap a\nConfigMap b"),
        ReconcileOptions::default(),
    );
    kept.good().await;
    kept.world.log();
    let mut broken = at("two", HEAL, "ConfigMap a data=new");
    broken
        .diagnostics
        .push(tidegate_manifest::Diagnostic::error(
            "TG0001",
            "it is no YAML",
            tidegate_manifest::Origin::default(),
        ));
    kept.branch.push(Ok(broken));
    let view = kept
        .until("unknown", |view| {
            view.comparison
                .as_ref()
                .is_some_and(|c| c.sync == SyncStatus::Unknown)
        })
        .await;
    assert_eq!(view.comparison.expect("compared").diagnostics.len(), 1);
    assert_eq!(kept.world.log(), "");
    kept.branch
        .push(Err("the remote does not answer".to_owned()));
    let view = kept.until("an error", |view| view.error.is_some()).await;
    assert_eq!(view.error.as_deref(), Some("the remote does not answer"));
    assert!(view.comparison.is_some());
    kept.branch
        .push(Ok(at("three", HEAL, "ConfigMap a data=new")));
    kept.good().await;
    assert_eq!(kept.world.log(), "delete ConfigMap/b\nupdate ConfigMap/a");
}

#[tokio::test(start_paused = true)]
async fn a_shut_down_task_leaves_an_operation_that_the_next_one_ends() {
    let world = World::new();
    let stuck = at(
        "one",
        AUTO,
        "Job pre hook=PreSync health=Progressing,Progressing,Progressing,Progressing,Progressing,Progressing,Progressing,Progressing,Healthy\nConfigMap b",
    );
    let kept = Kept::over(world.clone(), stuck.clone(), ReconcileOptions::default());
    kept.until("waiting", |view| {
        view.operation
            .as_ref()
            .is_some_and(|o| o.message.starts_with("waiting for completion"))
    })
    .await;
    kept.task.shutdown().await;
    let left = world
        .engine
        .unfinished(&stuck.application)
        .await
        .expect("readable");
    assert!(left.is_some());
    let again = Kept::over(world.clone(), stuck, ReconcileOptions::default());
    let view = again.good().await;
    assert_eq!(view.operation.expect("an operation").id, "op-1");
    assert_eq!(
        world.log(),
        "create Job/pre\nrelease Job/pre\ncreate ConfigMap/b"
    );
}

#[tokio::test(start_paused = true)]
async fn messages_are_heard_while_an_operation_runs() {
    let stuck = at(
        "one",
        AUTO,
        "Deployment a health=Progressing\nConfigMap b wave=1",
    );
    let kept = Kept::start(stuck.clone(), ReconcileOptions::default());
    kept.until("waiting", |view| {
        view.operation
            .as_ref()
            .is_some_and(|o| o.message.starts_with("waiting for healthy"))
    })
    .await;
    let other = kept
        .task
        .sync(SyncRequest::manual(&stuck.application, "tester"))
        .await;
    let error = other.expect_err("one at a time");
    assert!(
        error
            .to_string()
            .contains("is in progress (since 2024-05-01T10:00:00Z)"),
        "{error}"
    );
    kept.task.terminate().await;
    let view = kept
        .until("terminated", |view| {
            view.operation
                .as_ref()
                .is_some_and(|o| o.message == "Operation terminated")
        })
        .await;
    assert_eq!(
        view.operation.expect("an operation").phase.as_str(),
        "Failed"
    );
}

#[tokio::test(start_paused = true)]
async fn health_is_told_when_it_changes() {
    let kept = Kept::start(
        at(
            "one",
            AUTO,
            "Deployment a health=Progressing,Healthy,Healthy,Degraded",
        ),
        ReconcileOptions {
            compare_interval: Duration::from_secs(1),
            ..ReconcileOptions::default()
        },
    );
    kept.until("degraded", |view| {
        view.comparison
            .as_ref()
            .is_some_and(|c| c.health.status == HealthStatus::Degraded)
    })
    .await;
    let told = kept.world.told();
    let changes: Vec<&String> = told
        .iter()
        .filter(|line| line.as_str() == "Healthy" || line.starts_with("Degraded"))
        .collect();
    assert_eq!(changes, ["Healthy", "Degraded | Deployment shop/a"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_watch_tells_is_looked_at_at_once() {
    let world = World::new();
    let events = world.fake.watched();
    let options = ReconcileOptions {
        poll_interval: Duration::from_secs(3600),
        compare_interval: Duration::from_secs(3600),
        ..ReconcileOptions::default()
    };
    let kept = Kept::over(
        world,
        at("one", HEAL, "ConfigMap a\nDeployment web"),
        options,
    );
    kept.good().await;
    kept.world.log();
    let place = key("", "ConfigMap", "shop", "a");
    let start = tokio::time::Instant::now();
    kept.fake()
        .edit(&place, |body| body["data"]["a"] = "drifted".into());
    events
        .send(crate::fake::changed(&place, "app"))
        .expect("somebody listens");
    kept.until("healed", |view| {
        view.operation
            .as_ref()
            .is_some_and(|o| o.request.self_heal_attempts == 1)
    })
    .await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(kept.world.log(), "update ConfigMap/a");
    // Another application's event is none of its business.
    let reads = kept.fake().state().reads;
    events
        .send(crate::fake::changed(&place, "other"))
        .expect("somebody listens");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(kept.fake().state().reads, reads);
}
