//! The kit for appliers, on topics and on users.

use async_trait::async_trait;
use serde_json::json;
use tidegate_applier::OwnerRef;
use tidegate_applier::conformance::{self, Fault, FaultInjector, Fixture, Sample};
use tidegate_manifest::GroupVersionKind;
use tidegate_sandbox_kafka::{Fault as BrokerFault, FaultKind};

use crate::stage::{self, Stage};

/// Throttled requests are answered with this code.
const THROTTLED: i16 = 89;
/// Requests that change something.
const CHANGES: [&str; 8] = [
    "CreateTopics",
    "DeleteTopics",
    "CreatePartitions",
    "IncrementalAlterConfigs",
    "CreateAcls",
    "DeleteAcls",
    "AlterUserScramCredentials",
    "AlterClientQuotas",
];
/// A silence that no client waits for.
const LONG: std::time::Duration = std::time::Duration::from_secs(3_600);

struct Objects<'s> {
    stage: &'s Stage,
    kind: &'static str,
}

impl Objects<'_> {
    fn build(&self, name: &str, owner: Option<&OwnerRef>, spec: &serde_json::Value) -> Sample {
        let marks = [(tidegate_kafka::DELETE_DATA, "true")];
        let application = owner.map_or("", |owner| owner.application.as_str());
        let (key, mut body) = self
            .stage
            .document(self.kind, name, application, &marks, spec);
        if owner.is_none() {
            let annotations = body["metadata"]["annotations"].as_object_mut().unwrap();
            annotations.remove(tidegate_manifest::annotation::TRACKING_ID);
        }
        Sample {
            gvk: GroupVersionKind::new("kafka.strimzi.io/v1", key.kind.clone()),
            key,
            body,
        }
    }
}

#[async_trait]
impl Fixture for Objects<'_> {
    fn sample(&self, n: usize, owner: Option<&OwnerRef>) -> Sample {
        let spec = match self.kind {
            "KafkaUser" => json!({
                "authentication": {"type": "scram-sha-512", "password": {"valueFrom": {"secretKeyRef": {"name": "passwords", "key": "one"}}}},
                "authorization": {"type": "simple", "acls": [
                    {"resource": {"type": "topic", "name": "orders"}, "operations": ["Read", "Describe"]},
                ]},
                "quotas": {"producerByteRate": 1024, "requestPercentage": 55},
            }),
            _ => json!({"partitions": 1, "config": {"retention.ms": 7_200_000}}),
        };
        self.build(&format!("sample-{n}"), owner, &spec)
    }

    fn changed(&self, sample: &Sample) -> Sample {
        let mut sample = sample.clone();
        match self.kind {
            "KafkaUser" => sample.body["spec"]["quotas"]["producerByteRate"] = json!(2048),
            _ => sample.body["spec"]["config"]["retention.ms"] = json!(3_600_000),
        }
        sample
    }

    fn invalid(&self) -> Sample {
        let spec = match self.kind {
            "KafkaUser" => json!({"authentication": {"type": "tls"}}),
            _ => json!({"partitions": 1, "config": {"retention.ms": "banana"}}),
        };
        self.build("invalid", Some(&self.owners().0), &spec)
    }

    fn unknown(&self) -> Option<Sample> {
        let mut sample = self.build("unknown", None, &json!({}));
        sample.key.kind = "KafkaConnector".to_owned();
        sample.gvk.kind = "KafkaConnector".to_owned();
        Some(sample)
    }

    fn owners(&self) -> (OwnerRef, OwnerRef) {
        (stage::owner("shop"), stage::owner("other"))
    }

    fn faults(&self) -> Option<&dyn FaultInjector> {
        self.stage.sandbox.is_some().then_some(self)
    }
}

#[async_trait]
impl FaultInjector for Objects<'_> {
    async fn inject(&self, fault: Fault, times: u32) {
        let sandbox = self.stage.sandbox.as_ref().unwrap();
        let kind = match fault {
            Fault::Throttled => FaultKind::Error(THROTTLED),
            Fault::Unavailable => FaultKind::Disconnect,
            Fault::LostReply => FaultKind::LostAnswer,
            Fault::Silence => {
                assert!(sandbox.inject(BrokerFault::new(FaultKind::Delay(LONG)).times(times)));
                return;
            }
        };
        for api in CHANGES {
            assert!(sandbox.inject(BrokerFault::new(kind).on(api).times(times)));
        }
    }

    async fn clear(&self) {
        self.stage.sandbox.as_ref().unwrap().clear_faults();
    }
}

async fn passes(kind: &'static str) {
    for stage in &stage::all().await {
        stage.secret.set(Some("s3cret"));
        let report = conformance::run(&stage.applier, &Objects { stage, kind }).await;
        stage::say(&report.to_string());
        assert!(report.passed(), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_passes_on_topics() {
    passes("KafkaTopic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_passes_on_users() {
    passes("KafkaUser").await;
}
