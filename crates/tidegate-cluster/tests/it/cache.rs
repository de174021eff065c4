//! The watch cache: what it knows, what it tells, how it comes back.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tidegate_applier::manifest::{GroupKind, HealthStatus};
use tidegate_applier::{Applier, ErrorKind, ReadOptions, WatchEvent, WatchStream};
use tidegate_cluster::{CacheKinds, ClusterConfig};
use tokio::time::{Instant, timeout};

use crate::scripts::{Answer, config_map, core, status};
use crate::target::{cluster, marked, unique};

/// How long an event may take; far beyond what it does take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn next(stream: &mut WatchStream) -> WatchEvent {
    let event = timeout(PATIENCE, stream.next())
        .await
        .expect("an event comes");
    event.expect("the stream goes on").expect("an event")
}

/// The next event in a namespace; other tests may use the same server.
async fn next_in(stream: &mut WatchStream, namespace: &str) -> WatchEvent {
    loop {
        let event = next(stream).await;
        if event.key.namespace == namespace {
            return event;
        }
    }
}

fn only_config_maps() -> CacheKinds {
    CacheKinds::Only(vec![GroupKind::new("", "ConfigMap")])
}

fn list(version: &str, items: &[Value]) -> Answer {
    Answer::Json(
        200,
        json!({"metadata": {"resourceVersion": version}, "items": items}),
    )
}

fn line(sort: &str, object: &Value) -> Value {
    json!({"type": sort, "object": object})
}

const LIST: &str = "GET /api/v1/configmaps";
const WATCH: &str = "WATCH /api/v1/configmaps";

#[tokio::test]
async fn what_others_do_is_told() {
    let test = cluster().await;
    let mut stream = test
        .cluster
        .watch()
        .await
        .expect("watches")
        .expect("can watch");
    assert!(test.cluster.cache_synced(Instant::now() + PATIENCE).await);
    let body = marked(test.config_map("a", &json!({"k": "v"})), &test.owner());
    let collection = format!("/api/v1/namespaces/{}/configmaps", test.namespace);
    test.send("POST", &collection, "application/json", &body)
        .await;
    let event = next_in(&mut stream, &test.namespace).await;
    assert_eq!((event.key.name.as_str(), event.deleted), ("a", false));
    assert_eq!(event.applications, [test.owner().application]);
    let listed = test.cluster.list_owned(test.owner()).await.expect("listed");
    assert_eq!(listed.items.len(), 1);
    let path = format!("{collection}/a");
    test.send("DELETE", &path, "application/json", &json!({}))
        .await;
    assert!(next_in(&mut stream, &test.namespace).await.deleted);
    assert!(
        test.cluster
            .list_owned(test.owner())
            .await
            .expect("listed")
            .items
            .is_empty()
    );
    test.cluster.stop_cache().await;
    assert_eq!(test.cluster.cache_stats().await, None);
}

#[tokio::test]
async fn our_own_deeds_are_known_at_once() {
    let test = cluster().await;
    test.cluster
        .start_cache(CacheKinds::All)
        .await
        .expect("started");
    let body = marked(test.config_map("a", &json!({"k": "v"})), &test.owner());
    let live = test.apply(test.request(&body)).await.expect("applied").live;
    let listed = test.cluster.list_owned(test.owner()).await.expect("listed");
    assert_eq!(
        (listed.items.len(), &listed.items[0].version),
        (1, &live.version)
    );
    let options = ReadOptions {
        from_cache: true,
        metadata_only: true,
    };
    let cached = test
        .cluster
        .read(vec![live.key.clone()], options)
        .await
        .remove(0)
        .expect("read");
    assert_eq!(
        cached.map(|cached| (cached.uid, cached.version)),
        Some((live.uid, live.version))
    );
    let mut none = live.key;
    none.name = "none".into();
    let absent = test.cluster.read(vec![none], options).await.remove(0);
    assert_eq!(absent, Ok(None));
    test.cluster.stop_cache().await;
}

#[tokio::test]
async fn new_definitions_begin_to_be_watched() {
    let test = cluster().await;
    let mut stream = test
        .cluster
        .watch()
        .await
        .expect("watches")
        .expect("can watch");
    assert!(test.cluster.cache_synced(Instant::now() + PATIENCE).await);
    let group = format!("{}.example.com", unique("g"));
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("gears.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "gears", "singular": "gear", "kind": "Gear", "listKind": "GearList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    test.apply(test.request(&crd)).await.expect("applied");
    let gear = json!({"apiVersion": format!("{group}/v1"), "kind": "Gear", "metadata": {"name": "g", "namespace": test.namespace}, "spec": {"teeth": 12}});
    let gear = marked(gear, &test.owner());
    test.apply(test.request(&gear)).await.expect("applied");
    // Another tool changes it, again and again: only a watch can tell.
    let path = format!("/apis/{group}/v1/namespaces/{}/gears/g", test.namespace);
    let mut teeth = 100;
    loop {
        teeth += 1;
        let change = json!({"spec": {"teeth": teeth}});
        test.send("PATCH", &path, "application/merge-patch+json", &change)
            .await;
        let told = timeout(Duration::from_millis(200), stream.next()).await;
        if told.is_ok_and(|event| event.is_some_and(|e| e.is_ok_and(|e| e.key.kind == "Gear"))) {
            break;
        }
        assert!(teeth < 400, "the new kind is not watched");
    }
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gears.{group}");
    test.send("DELETE", &path, "application/json", &json!({}))
        .await;
    loop {
        let event = next(&mut stream).await;
        if event.key.kind == "Gear" && event.deleted {
            break;
        }
    }
    test.cluster.stop_cache().await;
}

#[tokio::test]
async fn expired_watches_list_again_and_find_what_was_missed() {
    // Once as an HTTP status, once within the stream.
    let gone = status(410, "Expired", "too old");
    let expired = Answer::Lines(vec![line(
        "ERROR",
        &json!({"kind": "Status", "code": 410, "reason": "Expired"}),
    )]);
    for (watches, name) in [
        ([gone, Answer::Open(vec![])], "status"),
        ([expired, Answer::Open(vec![])], "event"),
    ] {
        let script = core()
            .on(
                LIST,
                &[
                    list(
                        "5",
                        &[config_map("a", "3", "shop"), config_map("b", "4", "shop")],
                    ),
                    list(
                        "9",
                        &[config_map("b", "4", "shop"), config_map("c", "8", "shop")],
                    ),
                ],
            )
            .on(WATCH, &watches);
        let cluster = script.cluster();
        let mut events = {
            cluster
                .start_cache(only_config_maps())
                .await
                .expect("started");
            cluster.watch().await.expect("watches").expect("can watch")
        };
        let mut told = [next(&mut events).await, next(&mut events).await];
        told.sort_by(|a, b| a.key.cmp(&b.key));
        let told: Vec<(&str, bool)> = told
            .iter()
            .map(|e| (e.key.name.as_str(), e.deleted))
            .collect();
        assert_eq!(told, [("a", true), ("c", false)], "{name}");
        cluster.stop_cache().await;
    }
}

#[tokio::test]
async fn a_watch_goes_on_from_the_last_bookmark() {
    let bookmark = json!({"kind": "ConfigMap", "metadata": {"resourceVersion": "77"}});
    let added = config_map("z", "78", "shop");
    let script = core().on(LIST, &[list("5", &[])]).on(
        WATCH,
        &[
            Answer::Lines(vec![line("BOOKMARK", &bookmark)]),
            Answer::Open(vec![line("ADDED", &added)]),
        ],
    );
    let cluster = script.cluster();
    cluster
        .start_cache(only_config_maps())
        .await
        .expect("started");
    let mut events = cluster.watch().await.expect("watches").expect("can watch");
    assert_eq!(next(&mut events).await.key.name, "z");
    assert_eq!(
        script.count("resourceVersion=77"),
        1,
        "{:?}",
        script.asked()
    );
    assert_eq!(
        script.count("GET /api/v1/configmaps?limit"),
        1,
        "no second list"
    );
    cluster.stop_cache().await;
}

#[tokio::test]
async fn forbidden_kinds_are_incomplete_and_the_rest_is_known() {
    let script = core()
        .on(LIST, &[list("5", &[config_map("a", "3", "shop")])])
        .on(WATCH, &[Answer::Open(vec![])])
        .on(
            "GET /api/v1/namespaces",
            &[status(403, "Forbidden", "namespaces is forbidden")],
        );
    let cluster = script.cluster();
    cluster.start_cache(CacheKinds::All).await.expect("started");
    assert!(cluster.cache_synced(Instant::now() + PATIENCE).await);
    let owner = tidegate_applier::OwnerRef {
        application: "shop".into(),
        destination_namespace: "ns".into(),
    };
    let listed = cluster.list_owned(owner).await.expect("listed");
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.incomplete, ["Namespace: namespaces is forbidden"]);
    cluster.stop_cache().await;
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_told_so() {
    let burst: Vec<Value> = (0..6_000)
        .map(|i| {
            line(
                "ADDED",
                &config_map(&format!("m{i}"), &(10 + i).to_string(), "shop"),
            )
        })
        .collect();
    let script = core()
        .on(LIST, &[list("5", &[])])
        .on(WATCH, &[Answer::Lines(burst), Answer::Open(vec![])]);
    let cluster = script.cluster();
    cluster
        .start_cache(only_config_maps())
        .await
        .expect("started");
    let mut events = cluster.watch().await.expect("watches").expect("can watch");
    loop {
        let stats = cluster.cache_stats().await.expect("runs");
        if stats.marked == 6_000 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let error = events
        .next()
        .await
        .expect("told")
        .expect_err("events were missed");
    assert_eq!(
        (error.kind, error.retryable),
        (ErrorKind::Unavailable, true)
    );
    assert!(events.next().await.is_none(), "the stream has ended");
    cluster.stop_cache().await;
}

#[tokio::test]
async fn health_comes_with_the_events() {
    let deployments = json!({"items": [{"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [
        crate::scripts::resource("deployments", "Deployment", true)]}]}]});
    let deployment = |version: &str, ready: u32| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "ns", "uid": "u", "generation": 1, "resourceVersion": version,
            "annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:ns/d"}}, "spec": {"replicas": 1},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": ready}})
    };
    let script = core()
        .on(
            "GET /apis",
            &[Answer::Typed(200, crate::scripts::AGGREGATED, deployments)],
        )
        .on(
            "GET /apis/apps/v1/deployments",
            &[list("5", &[deployment("4", 0)])],
        )
        .on(
            "WATCH /apis/apps/v1/deployments",
            &[Answer::Open(vec![
                line("MODIFIED", &deployment("6", 0)),
                line("MODIFIED", &deployment("7", 1)),
            ])],
        );
    let config = ClusterConfig::token("http://127.0.0.1:1", "t");
    let cluster = script.cluster_with(config);
    cluster
        .start_cache(CacheKinds::Only(vec![GroupKind::new("apps", "Deployment")]))
        .await
        .expect("started");
    let mut events = cluster.watch().await.expect("watches").expect("can watch");
    let event = next(&mut events).await;
    assert_eq!(
        event.health.map(|health| health.status),
        Some(HealthStatus::Healthy),
        "status churn is not told"
    );
    assert!(!event.desired_fields_changed);
    cluster.stop_cache().await;
}
