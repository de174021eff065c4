//! Live objects as their controllers write them, and the verdicts they deserve. The cases are in `tests/cases`, one file per family.
//!
//! A verdict is written `Status` or `Status: message`, or `none` for a kind without a check. `compatible` is Argo CD's; where it is left
//! out, it is the same as `precise`.

use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value;
use tidegate_health::{Health, HealthOptions, Mode, assess};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    object: Value,
    precise: String,
    compatible: Option<String>,
    /// Seconds since 1970.
    now: Option<u64>,
}

fn shown(health: Option<Health>) -> String {
    match health {
        None => "none".to_owned(),
        Some(Health { status, message }) if message.is_empty() => status.to_string(),
        Some(Health { status, message }) => format!("{status}: {message}"),
    }
}

fn check(family: &str, text: &str) {
    let cases: Vec<Case> = tidegate_yaml::from_str(text).expect(family);
    assert!(!cases.is_empty(), "{family}");
    for case in cases {
        let mut options = HealthOptions::default();
        options.now = case
            .now
            .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(
            shown(assess(&case.object, &options)),
            case.precise,
            "{family}, precise: {}",
            case.name
        );
        options.mode = Mode::Compatible;
        let expected = case.compatible.as_ref().unwrap_or(&case.precise);
        assert_eq!(
            &shown(assess(&case.object, &options)),
            expected,
            "{family}, compatible: {}",
            case.name
        );
    }
}

macro_rules! families {
    ($($family:ident),* $(,)?) => {
        $(#[test]
        fn $family() {
            check(stringify!($family), include_str!(concat!("cases/", stringify!($family), ".yaml")));
        })*
    };
}

families!(
    argo, batch, core, data, flink, kafka, knative, platform, secrets, spark, tekton, workloads
);

/// No shape of an object may make a rule panic, and a verdict is bounded.
mod laws {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use tidegate_health::{HealthOptions, MAX_MESSAGE_BYTES, assess};

    const KINDS: &[(&str, &str)] = &[
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("v1", "Pod"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("autoscaling/v1", "HorizontalPodAutoscaler"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("kafka.strimzi.io/v1", "Kafka"),
        ("kafka.strimzi.io/v1", "KafkaConnector"),
        ("kafka.banzaicloud.io/v1beta1", "KafkaCluster"),
        ("flink.apache.org/v1beta1", "FlinkDeployment"),
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication"),
        ("serving.knative.dev/v1", "Service"),
        ("argoproj.io/v1alpha1", "Rollout"),
        ("elasticsearch.k8s.elastic.co/v1", "Elasticsearch"),
        ("s3.services.k8s.aws/v1alpha1", "Bucket"),
        ("x.crossplane.io/v1", "Thing"),
        ("postgresql.cnpg.io/v1", "Cluster"),
    ];
    const NAMES: &[&str] = &[
        "conditions",
        "type",
        "status",
        "reason",
        "message",
        "phase",
        "state",
        "replicas",
        "observedGeneration",
        "generation",
        "Ready",
        "True",
        "False",
        "brokersState",
        "executorState",
        "applicationState",
        "connectorStatus",
        "connector",
        "tasks",
        "metadata",
        "spec",
        "error",
        "lastReconciledSpec",
        "reconciliationStatus",
        "containerStatuses",
        "RUNNING",
        "STABLE",
        "DEPLOYED",
        "lifecycleState",
    ];

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            proptest::sample::select(NAMES).prop_map(Value::from),
            "\\PC{0,100}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((proptest::sample::select(NAMES), inner), 0..6).prop_map(
                    |entries| {
                        Value::from(
                            entries
                                .into_iter()
                                .map(|(key, value)| (key.to_owned(), value))
                                .collect::<Map<_, _>>(),
                        )
                    }
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_object_has_a_bounded_verdict(kind in proptest::sample::select(KINDS), spec in any_value(), status in any_value(), metadata in any_value()) {
            let object = json!({"apiVersion": kind.0, "kind": kind.1, "metadata": metadata, "spec": spec, "status": status});
            for options in [HealthOptions::default(), HealthOptions::compatible()] {
                let health = assess(&object, &options).expect("these kinds have checks");
                prop_assert!(health.message.len() <= MAX_MESSAGE_BYTES);
            }
        }

        #[test]
        fn long_messages_are_cut_between_characters(text in "[aé€😀]{0,40}") {
            let message = text.repeat(200);
            let object = json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Succeeded", "message": message}});
            let health = assess(&object, &HealthOptions::default()).expect("pods have a check");
            prop_assert!(health.message.len() <= MAX_MESSAGE_BYTES);
            prop_assert_eq!(health.message == message, message.len() <= MAX_MESSAGE_BYTES);
        }

        #[test]
        fn anything_else_is_no_object(value in any_value()) {
            let _ = assess(&value, &HealthOptions::default());
        }
    }
}
