//! What must hold whatever happens: bounds of a rollout, counts of a Job, rest at the end, the same run twice.

use crate::lab::Lab;
use proptest::prelude::*;
use serde_json::{Value, json};

fn deployment(replicas: i64, surge: &Value, unavailable: &Value) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "a:1"}]}},
        },
    })
    .to_string()
}

/// A bound of a rollout: a number or a percentage.
fn bound() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_i64..4).prop_map(|n| json!(n)),
        (0_i64..=100).prop_map(|n| json!(format!("{n}%")))
    ]
}

fn resolve(bound: &Value, replicas: i64, up: bool) -> i64 {
    bound.as_i64().unwrap_or_else(|| {
        let percent: i64 = bound
            .as_str()
            .unwrap()
            .trim_end_matches('%')
            .parse()
            .unwrap();
        (percent * replicas + if up { 99 } else { 0 }) / 100
    })
}

fn active(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|list| {
        list.iter()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_rolling_update_keeps_its_bounds(replicas in 1_i64..7, surge in bound(), unavailable in bound(), twice in any::<bool>()) {
        let most_more = resolve(&surge, replicas, true);
        let mut fewer = resolve(&unavailable, replicas, false);
        // The server refuses two literal zeros; a percentage that rounds to nothing means one.
        prop_assume!(surge != json!(0) && surge != json!("0%") || unavailable != json!(0) && unavailable != json!("0%"));
        if most_more == 0 && fewer == 0 {
            fewer = 1;
        }
        let mut lab = Lab::new();
        lab.apply(&deployment(replicas, &surge, &unavailable));
        lab.run(5.0);
        for version in 2..=(if twice { 3 } else { 2 }) {
            let image = json!([{"name": "c", "image": format!("a:{version}")}]);
            lab.patch("Deployment", "web", json!({"spec": {"template": {"spec": {"containers": image}}}}));
            let seconds = if twice && version == 2 { 0.7 } else { 30.0 };
            lab.run_with(seconds, |lab| {
                let pods = lab.list("Pod");
                let all = pods.iter().filter(|pod| active(pod)).count() as i64;
                let available = pods.iter().filter(|pod| active(pod) && ready(pod)).count() as i64;
                assert!(all <= replicas + most_more, "{all} pods of {replicas}+{most_more}");
                assert!(available >= replicas - fewer.min(replicas), "{available} available of {replicas}-{fewer}");
            });
        }
        let done = lab.get("Deployment", "web").unwrap();
        prop_assert_eq!(&done["status"]["updatedReplicas"], &json!(replicas));
        prop_assert_eq!(&done["status"]["replicas"], &json!(replicas));
    }

    #[test]
    fn a_job_counts_each_pod_once(completions in 1_i64..6, parallelism in 1_i64..5, fails in 0_i64..4, indexed in any::<bool>()) {
        let mut lab = Lab::new();
        let mode = if indexed { "Indexed" } else { "NonIndexed" };
        lab.apply(&json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "work", "annotations": {"sandbox.tidegate.dev/fail-times": fails.to_string()}},
            "spec": {
                "completions": completions, "parallelism": parallelism, "backoffLimit": 6, "completionMode": mode,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "a"}]}},
            },
        }).to_string());
        lab.run_with(120.0, |lab| {
            let job = lab.get("Job", "work").unwrap();
            let number = |field: &str| job["status"][field].as_i64().unwrap_or(0);
            assert!(number("succeeded") <= completions);
            assert!(number("active") <= parallelism);
            assert!(number("succeeded") + number("active") <= completions, "no pod too many");
        });
        let job = lab.get("Job", "work").unwrap();
        prop_assert_eq!(&job["status"]["succeeded"], &json!(completions), "{}", job["status"]);
        prop_assert_eq!(job["status"]["failed"].as_i64().unwrap_or(0), fails);
        let succeeded = lab.list("Pod").iter().filter(|pod| pod["status"]["phase"] == "Succeeded").count() as i64;
        prop_assert_eq!(succeeded, completions);
    }
}

#[test]
fn the_cluster_comes_to_rest() {
    let mut lab = Lab::new();
    lab.apply(&deployment(3, &json!(1), &json!(0)));
    lab.check_rest_and_restart();
}

#[test]
fn a_custom_resource_without_a_status_subresource_comes_to_rest_too() {
    let mut lab = Lab::new();
    lab.serve_without_status("flink.apache.org", "v1beta1", "FlinkDeployment");
    lab.serve_without_status("kafka.strimzi.io", "v1", "Kafka");
    lab.apply(
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: job}\nspec: {flinkVersion: v1_20, image: a, job: {jarURI: x, state: running}}",
    );
    lab.apply(
        "apiVersion: kafka.strimzi.io/v1\nkind: Kafka\nmetadata: {name: events, annotations: {strimzi.io/node-pools: disabled}}\nspec: {kafka: {listeners: []}}",
    );
    lab.run(10.0);
    let job = lab.get("FlinkDeployment", "job").unwrap();
    assert_eq!(job["status"]["jobStatus"]["state"], "RUNNING");
    lab.check_rest();
}

#[test]
fn the_same_run_twice_is_the_same() {
    let run = || {
        let mut lab = Lab::new();
        lab.apply(&deployment(3, &json!(1), &json!(1)));
        lab.run(5.0);
        let image = json!([{"name": "c", "image": "a:2"}]);
        lab.patch(
            "Deployment",
            "web",
            json!({"spec": {"template": {"spec": {"containers": image}}}}),
        );
        lab.run(5.0);
        lab.changes()
            .iter()
            // An event is named after the uid of its object.
            .filter(|change| change.resource.resource() != "events")
            .map(|change| {
                format!(
                    "{:?} {} {}",
                    change.kind, change.resource, change.object["metadata"]["name"]
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
