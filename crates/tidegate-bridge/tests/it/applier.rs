//! The kit for appliers, on bindings; and what is kept on disk.

use async_trait::async_trait;
use serde_json::json;
use tempfile::TempDir;
use tidegate_applier::conformance::{self, Fixture, Sample};
use tidegate_applier::{Applier, ApplyRequest, OwnerRef, ReadOptions};
use tidegate_bridge::Defaults;
use tidegate_bridge::applier::{BridgeApplier, BridgeApplierOptions, Runs};
use tidegate_manifest::annotation::TRACKING_ID;
use tidegate_manifest::{GroupVersionKind, HealthStatus, ResourceKey, Target, TargetKind};

use crate::place::{Place, until};

struct Bindings;

fn target() -> Target {
    Target::new(TargetKind::Kafka, "test")
}

fn owner(name: &str) -> OwnerRef {
    OwnerRef {
        application: name.to_owned(),
        destination_namespace: "data".to_owned(),
    }
}

fn sample(name: &str, owner: Option<&OwnerRef>) -> Sample {
    let key = ResourceKey {
        target: target(),
        group: "tidegate.dev".to_owned(),
        kind: "EventSourceBinding".to_owned(),
        namespace: "data".to_owned(),
        name: name.to_owned(),
    };
    let mut body = json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "EventSourceBinding",
        "metadata": {"name": name, "namespace": "data"},
        "spec": {"Topics": ["orders"], "StartingPosition": "TRIM_HORIZON", "BatchSize": 10, "target": {"discard": {}}},
    });
    if let Some(owner) = owner {
        let id = format!(
            "{}:tidegate.dev/EventSourceBinding:data/{name}",
            owner.application
        );
        body["metadata"]["annotations"] = json!({ TRACKING_ID: id });
    }
    let gvk = GroupVersionKind::new("tidegate.dev/v1alpha1", "EventSourceBinding".to_owned());
    Sample { key, gvk, body }
}

#[async_trait]
impl Fixture for Bindings {
    fn sample(&self, n: usize, owner: Option<&OwnerRef>) -> Sample {
        sample(&format!("sample-{n}"), owner)
    }

    fn changed(&self, sample: &Sample) -> Sample {
        let mut sample = sample.clone();
        sample.body["spec"]["BatchSize"] = json!(20);
        sample
    }

    fn invalid(&self) -> Sample {
        let mut sample = sample("invalid", Some(&self.owners().0));
        sample.body["spec"]["BatchSize"] = json!(0);
        sample
    }

    fn unknown(&self) -> Option<Sample> {
        let mut sample = sample("unknown", None);
        sample.key.kind = "KafkaConnector".to_owned();
        sample.gvk.kind = "KafkaConnector".to_owned();
        Some(sample)
    }

    fn owners(&self) -> (OwnerRef, OwnerRef) {
        (owner("shop"), owner("other"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_keep_the_contract() {
    let folder = TempDir::new().unwrap();
    let options = BridgeApplierOptions {
        folder: Some(folder.path().to_owned()),
        defaults: Defaults {
            bootstrap_servers: Some("127.0.0.1:1".to_owned()),
            ..Defaults::default()
        },
        ..BridgeApplierOptions::default()
    };
    let applier = BridgeApplier::open(target(), options).await.unwrap();
    let report = conformance::run(&applier, &Bindings).await;
    assert!(report.passed(), "{report}");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "all files are gone again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_applied_runs_here_and_again_after_a_restart() {
    let place = Place::start().await;
    place
        .send("orders", (0..10).map(|number| number.to_string()))
        .await;
    let folder = TempDir::new().unwrap();
    let open = async || {
        let options = BridgeApplierOptions {
            folder: Some(folder.path().to_owned()),
            defaults: place.defaults(),
            runs: Runs::Here,
            inner: None,
        };
        BridgeApplier::open(target(), options).await.unwrap()
    };
    let applier = open().await;
    let owner = owner("shop");
    let sample = sample("orders", Some(&owner));
    let request = ApplyRequest::new(sample.key.clone(), sample.gvk, sample.body, owner);
    applier.apply(vec![request]).await.remove(0).unwrap();
    let is_healthy = async |applier: &BridgeApplier| {
        let read = applier
            .read(vec![sample.key.clone()], ReadOptions::default())
            .await;
        let health = read
            .into_iter()
            .next()
            .unwrap()
            .unwrap()
            .unwrap()
            .health
            .unwrap();
        health.status == HealthStatus::Healthy
    };
    until("the binding is healthy", async || {
        is_healthy(&applier).await
    })
    .await;
    let delivered = |metrics: String, count: usize| {
        metrics.contains(&format!(
            "tidegate_bridge_delivered_records_total{{binding=\"data.orders\"}} {count}\n"
        ))
    };
    until("ten records", async || {
        delivered(applier.view().await.metrics(), 10)
    })
    .await;
    applier.stop().await;
    drop(applier);
    let applier = open().await;
    place.send("orders", std::iter::once("11".to_owned())).await;
    until("one more", async || {
        delivered(applier.view().await.metrics(), 1)
    })
    .await;
    applier.stop().await;
}
