//! The conformance kit.

use async_trait::async_trait;
use serde_json::{Value, json};
use tidegate_applier::OwnerRef;
use tidegate_applier::conformance::{self, CheckOutcome, Fixture, Sample};
use tidegate_aws::{AwsApplier, AwsApplierOptions, Handler};
use tidegate_manifest::{
    AWS_API_VERSION, AWS_GROUP, CloudFormationResource, GroupVersionKind, ResourceKey, Target,
    TargetKind, TrackingId, annotation,
};

use crate::memory::{Memory, THING, nowhere};

struct Things;

#[expect(
    clippy::needless_pass_by_value,
    reason = "a table of literals reads better"
)]
fn sample(kind: &str, name: &str, properties: Value, owner: Option<&OwnerRef>) -> Sample {
    let mut resource = CloudFormationResource {
        resource_type: kind.to_owned(),
        stack: "kit".to_owned(),
        logical_id: name.to_owned(),
        physical_name: Some(format!("kit-{name}")),
        properties: properties.as_object().cloned().unwrap_or_default(),
        ..CloudFormationResource::default()
    };
    if let Some(owner) = owner {
        let id = TrackingId {
            application: owner.application.clone(),
            group: AWS_GROUP.to_owned(),
            kind: kind.to_owned(),
            namespace: "kit".to_owned(),
            name: name.to_owned(),
        };
        resource
            .annotations
            .insert(annotation::TRACKING_ID.to_owned(), id.to_string());
    }
    Sample {
        key: ResourceKey {
            target: Target::new(TargetKind::Aws, "kit"),
            group: AWS_GROUP.to_owned(),
            kind: kind.to_owned(),
            namespace: "kit".to_owned(),
            name: name.to_owned(),
        },
        gvk: GroupVersionKind::new(AWS_API_VERSION, kind),
        body: resource.to_body(),
    }
}

#[async_trait]
impl Fixture for Things {
    fn sample(&self, n: usize, owner: Option<&OwnerRef>) -> Sample {
        sample(THING, &format!("Thing{n}"), json!({"Size": n}), owner)
    }

    fn changed(&self, sample: &Sample) -> Sample {
        let mut changed = sample.clone();
        let size = changed.body["Properties"]["Size"]
            .as_u64()
            .unwrap_or_default();
        changed.body["Properties"]["Size"] = json!(size + 1000);
        changed
    }

    fn invalid(&self) -> Sample {
        sample(THING, "Invalid", json!({"Bad": true}), None)
    }

    fn unknown(&self) -> Option<Sample> {
        Some(sample("AWS::No::Such", "Unknown", json!({}), None))
    }

    fn owners(&self) -> (OwnerRef, OwnerRef) {
        let owner = |name: &str| OwnerRef {
            application: name.to_owned(),
            destination_namespace: String::new(),
        };
        (owner("first"), owner("second"))
    }

    fn comparable(&self, body: &Value) -> Value {
        json!([body["kind"], body["PhysicalName"], body["Properties"]])
    }
}

#[tokio::test]
async fn the_contract_is_kept() {
    let handler = std::sync::Arc::new(Memory::default()) as std::sync::Arc<dyn Handler>;
    let target = Target::new(TargetKind::Aws, "kit");
    let applier = AwsApplier::new(nowhere(), target, [handler], AwsApplierOptions::default());
    let report = conformance::run(&applier, &Things).await;
    let failed: Vec<String> = report
        .checks
        .iter()
        .filter(|check| check.outcome != CheckOutcome::Passed)
        .map(|check| format!("{}: {:?} {}", check.name, check.outcome, check.detail))
        .collect();
    assert!(
        failed.iter().all(|line| line.contains("Skipped")),
        "{failed:#?}"
    );
}
