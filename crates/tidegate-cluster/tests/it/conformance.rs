//! The kit against a cluster, with and without the watch cache.

use std::time::Duration;

use tidegate_applier::conformance::{CheckOutcome, run};
use tidegate_applier::manifest::Target;
use tidegate_cluster::{CacheKinds, Cluster, RetryPolicy};

use crate::fixture::{ConfigMaps, Faults, disturbed};
use crate::target::cluster;

async fn check(with_cache: bool) {
    let test = cluster().await;
    let faults = Faults::default();
    let client = disturbed(test.raw().await, faults.clone());
    let quick = RetryPolicy {
        unavailable_base: Duration::from_millis(10),
        ..RetryPolicy::default()
    };
    let config = test
        .config
        .clone()
        .retry(quick)
        .deadline(Duration::from_secs(3));
    let disturbed = Cluster::with_client(client, config, Target::kubernetes("test"));
    if with_cache {
        disturbed
            .start_cache(CacheKinds::All)
            .await
            .expect("started");
    }
    let fixture = ConfigMaps {
        namespace: test.namespace.clone(),
        faults,
    };
    let report = run(&disturbed, &fixture).await;
    assert!(
        report
            .checks
            .iter()
            .all(|check| check.outcome == CheckOutcome::Passed),
        "{report}"
    );
    disturbed.stop_cache().await;
}

#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    check(false).await;
}

#[tokio::test]
async fn a_cluster_with_its_cache_keeps_the_contract() {
    check(true).await;
}
