//! Secret values are in no plan, no result and no error; and what the plan says of a mapping that is replaced.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_applier::ChangeOutcome;
use tidegate_aws::MemoryArtifacts;
use tidegate_manifest::CloudFormationResource;

use crate::bench::{Bench, resources};
use crate::cases::{function, role};
use crate::cases_more::bindings;
use crate::servers::{package, sandbox};

/// A function with a variable that its name makes secret, and one that the template's `NoEcho` parameter does.
fn template(code: &str, password: &str, parameter: &str) -> Vec<CloudFormationResource> {
    let mut function = function("keeper", code);
    function["Properties"]["Environment"] = json!({"Variables": {"DB_PASSWORD": password, "DSN_PART": parameter, "STAGE": "test", "PLAIN": parameter}});
    let template: Value = json!({"Role": role("keeper-role"), "Function": function});
    let mut all = resources("keeper", &template);
    for resource in &mut all {
        if resource.logical_id == "Function" {
            resource.sensitive = vec!["/Properties/Environment/Variables/PLAIN".to_owned()];
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_shown_nowhere_and_a_change_of_one_is() {
    let (server, aws) = sandbox().await;
    let artifacts = Arc::new(MemoryArtifacts::default());
    let code = package(&artifacts, "one");
    let bench = Bench::new(&aws, "it", &artifacts);
    let first = template(&code, "hunter2-first", "noecho-first");
    let second = template(&code, "hunter2-second", "noecho-second");
    let mut shown = format!("{:?}", bench.plan(&first).await);
    shown.push_str(&format!("{:?}", bench.apply(&first, false).await));
    let plans = bench.plan(&second).await;
    let place = second
        .iter()
        .position(|one| one.logical_id == "Function")
        .unwrap();
    let plan = plans[place].as_ref().unwrap();
    assert_eq!(plan.outcome, ChangeOutcome::Updated);
    let paths: Vec<&str> = plan
        .changes
        .iter()
        .map(|change| change.path.as_str())
        .collect();
    for name in ["DB_PASSWORD", "DSN_PART", "PLAIN"] {
        assert!(
            paths.iter().any(|path| path.ends_with(name)),
            "{name} in {paths:?}"
        );
    }
    shown.push_str(&format!("{plans:?}"));
    shown.push_str(&format!("{:?}", bench.apply(&second, false).await));
    // An error of the service repeats what it was sent.
    let mut wrong = template(&code, "hunter2-third", "noecho-third");
    wrong[place].properties["MemorySize"] = json!(7);
    shown.push_str(&format!("{:?}", bench.apply(&wrong, false).await));
    for secret in ["hunter2", "noecho"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_a_mapping_warns_of_its_checkpoint() {
    let (server, aws) = sandbox().await;
    let artifacts = Arc::new(MemoryArtifacts::default());
    let code = [package(&artifacts, "one"), package(&artifacts, "two")];
    let bench = Bench::new(&aws, "it", &artifacts);
    let case = bindings(&code).swap_remove(0);
    let all = resources("moved", &case.template);
    for answer in bench.apply(&all, false).await {
        answer.unwrap();
    }
    let mut changed = case.template;
    changed["Mapping"]["Properties"]["StartingPosition"] = json!("LATEST");
    let changed = resources("moved", &changed);
    let place = changed
        .iter()
        .position(|one| one.logical_id == "Mapping")
        .unwrap();
    let plan = bench.plan(&changed).await.swap_remove(place).unwrap();
    assert_eq!(plan.outcome, ChangeOutcome::Replaced);
    let words = plan.warnings.join("\n");
    for part in [
        "checkpoint",
        "LATEST",
        "AT_TIMESTAMP",
        "StartingPositionTimestamp",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    server.shutdown().await;
}
