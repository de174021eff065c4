//! Order: phases, waves, kinds, lifts, prune waves (Argo CD 7.2, 7.3, 0.1).

use crate::kit::{World, app, results, verdict};

/// What is done for these manifests, after the first ones were synced.
async fn check(before: &str, manifests: &str, expected: &str, message: &str) {
    let world = World::new();
    if !before.is_empty() {
        world.sync(&app(before)).await;
        world.log();
    }
    let state = world.sync(&app(manifests)).await;
    let trimmed: Vec<&str> = expected.split_whitespace().collect();
    let log = world.log().replace(' ', ":");
    let log: Vec<&str> = log.split_whitespace().collect();
    assert_eq!(log, trimmed, "{}", verdict(&state));
    assert_eq!(verdict(&state), message);
}

const ALL_RUN: &str = "Succeeded: successfully synced (all tasks run)";
const NO_MORE: &str = "Succeeded: successfully synced (no more tasks)";

#[tokio::test(start_paused = true)]
async fn kinds_go_in_their_order() {
    check(
        "",
        "Deployment web\nConfigMap b\nConfigMap a\nSecret s",
        "create:Secret/s create:ConfigMap/a create:ConfigMap/b create:Deployment/web",
        ALL_RUN,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn waves_go_before_kinds() {
    check(
        "",
        "ConfigMap last wave=5\nDeployment first wave=-1\nConfigMap middle",
        "create:Deployment/first create:ConfigMap/middle create:ConfigMap/last",
        ALL_RUN,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn phases_go_before_waves() {
    check(
        "",
        "Job post hook=PostSync wave=-5\nConfigMap a wave=3\nJob pre hook=PreSync wave=9\nJob during hook=Sync wave=3",
        "create:Job/pre release:Job/pre create:ConfigMap/a create:Job/during release:Job/during create:Job/post release:Job/post",
        NO_MORE,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_lifted_before_what_lives_in_it() {
    check(
        "",
        "ConfigMap a ns=new wave=-2\nNamespace new wave=7",
        "create:Namespace/new create:ConfigMap/a",
        ALL_RUN,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_and_its_object_go_in_one_sync() {
    check(
        "",
        "Widget w wave=-1\nCustomResourceDefinition widgets.example.org",
        "create:CustomResourceDefinition/widgets.example.org create:Widget/w",
        ALL_RUN,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn prune_waves_are_mirrored_in_every_step() {
    // Section 0.1, first example: prune 2 together with apply 0, then prune 1, then prune 0, then apply 1 and 2.
    check(
        "ConfigMap p0 wave=0\nConfigMap p1 wave=1\nConfigMap p2 wave=2",
        "ConfigMap a0 wave=0\nConfigMap a1 wave=1\nConfigMap a2 wave=2",
        "delete:ConfigMap/p2 create:ConfigMap/a0 delete:ConfigMap/p1 delete:ConfigMap/p0 create:ConfigMap/a1 create:ConfigMap/a2",
        ALL_RUN,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn prunes_go_one_after_the_other_before_a_later_wave() {
    // Section 0.1, second example.
    check(
        "ConfigMap p wave=-1\nConfigMap q wave=0\nConfigMap r wave=2\nConfigMap s wave=5",
        "ConfigMap a wave=0",
        "delete:ConfigMap/s delete:ConfigMap/r delete:ConfigMap/q delete:ConfigMap/p create:ConfigMap/a",
        ALL_RUN,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn prune_last_goes_after_everything() {
    let extra = "  syncPolicy: {syncOptions: [PruneLast=true]}";
    let world = World::new();
    world
        .sync(&app("ConfigMap old\nConfigMap older wave=1"))
        .await;
    world.log();
    let manifests = crate::kit::manifests("ConfigMap new wave=4\nJob post hook=PostSync");
    world.sync(&crate::kit::desired(extra, &manifests)).await;
    assert_eq!(
        world.log(),
        "create ConfigMap/new\ndelete ConfigMap/older\ndelete ConfigMap/old\ncreate Job/post\nrelease Job/post"
    );
}

#[tokio::test(start_paused = true)]
async fn one_object_may_be_pruned_last() {
    check(
        "ConfigMap late options=PruneLast=true wave=9\nConfigMap soon",
        "ConfigMap new wave=2",
        // The waves 0 and 9 change places before the last wave is counted: the other one is pruned in wave 9.
        "create:ConfigMap/new delete:ConfigMap/soon delete:ConfigMap/late",
        ALL_RUN,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wave_waits_for_the_health_of_the_one_before() {
    let world = World::new();
    let health = "health=Progressing,Progressing,Progressing,Healthy";
    world
        .sync(&app(&format!(
            "Deployment a {health}\nDeployment b wave=1 {health}"
        )))
        .await;
    let told = world.told();
    let waits: Vec<&String> = told
        .iter()
        .filter(|line| line.starts_with("Waiting"))
        .collect();
    assert_eq!(
        waits,
        [
            "Waiting Sync:0 Deployment/a | Deployment shop/a: waiting until health is Healthy; now: Progressing; changed by the controller of Deployment"
        ],
        "{told:#?}"
    );
    let place = |text: &str| {
        told.iter()
            .position(|line| line.starts_with(text))
            .expect(text)
    };
    assert!(place("Healthy Sync:0 Deployment/a") < place("WaveStarted Sync:1"));
}

#[tokio::test(start_paused = true)]
async fn the_last_wave_is_not_waited_for() {
    let world = World::new();
    let state = world.sync(&app("Deployment a health=Progressing")).await;
    assert_eq!(verdict(&state), ALL_RUN);
    assert_eq!(results(&state), ["Sync Deployment/a Synced Running"]);
}

#[tokio::test(start_paused = true)]
async fn a_pruned_object_is_waited_for_until_it_is_gone() {
    let world = World::new();
    world
        .sync(&app("ConfigMap old wave=0 linger=3\nConfigMap keep wave=1"))
        .await;
    world.told();
    let state = world.sync(&app("ConfigMap keep wave=1 data=new")).await;
    assert_eq!(verdict(&state), ALL_RUN);
    let told = world.told();
    assert!(
        told.iter().any(|line| line.contains(
            "waiting until the object is gone; now: it is being deleted and held by fake/hold"
        )),
        "{told:#?}"
    );
    assert_eq!(world.fake.names(), ["ConfigMap/keep"]);
}
