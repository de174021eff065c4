//! The floors of the house: a crate may depend only on lower floors (ARCHITECTURE.md).

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Floor of every crate. Rooms of floor 4 that build on each other stand on half floors.
const FLOORS: &[(&str, u32)] = &[
    ("tidegate-yaml", 0),
    ("tidegate-gocompat", 0),
    ("tidegate-manifest", 5),
    ("tidegate-graph", 10),
    ("tidegate-diff", 10),
    ("tidegate-health", 10),
    ("tidegate-policy", 10),
    ("tidegate-render", 10),
    ("tidegate-kustomize", 12),
    ("tidegate-serverless", 12),
    ("tidegate-applier", 20),
    ("tidegate-git", 20),
    ("tidegate-store", 20),
    ("tidegate-cluster", 25),
    ("tidegate-aws", 24),
    ("tidegate-lambda", 25),
    ("tidegate-events", 25),
    ("tidegate-aws-services", 25),
    ("tidegate-cloudcontrol", 25),
    ("tidegate-kafka", 25),
    ("tidegate-bridge", 26),
    ("tidegate-engine", 30),
    ("tidegate-sandbox-kubernetes", 40),
    ("tidegate-sandbox-aws", 40),
    ("tidegate-sandbox-kafka", 40),
    ("tidegate-sandbox-controllers", 41),
    ("tidegate-sandbox-lambda", 41),
    ("tidegate-sandbox", 42),
    ("tidegate", 45),
    ("tidegate-cli", 50),
    ("tidegate-bridge-bin", 50),
    ("tidegate-embed-example", 50),
    ("xtask", 60),
    ("tidegate-benches", 60),
];

/// Edges that are forbidden though they point down: adapters and the engine do not know each other.
const FORBIDDEN: &[(&str, &str)] = &[
    ("tidegate-engine", "tidegate-cluster"),
    ("tidegate-engine", "tidegate-git"),
    ("tidegate-engine", "tidegate-render"),
    ("tidegate-sandbox", "tidegate-engine"),
    ("tidegate-sandbox", "tidegate-cluster"),
    ("tidegate-sandbox-kubernetes", "tidegate-engine"),
    ("tidegate-sandbox-kubernetes", "tidegate-cluster"),
    ("tidegate-sandbox-controllers", "tidegate-engine"),
    ("tidegate-sandbox-aws", "tidegate-engine"),
    ("tidegate-sandbox-aws", "tidegate-aws"),
    ("tidegate-sandbox-lambda", "tidegate-engine"),
    ("tidegate-sandbox-lambda", "tidegate-aws"),
    ("tidegate-sandbox-kafka", "tidegate-engine"),
    ("tidegate-sandbox-kafka", "tidegate-events"),
    ("tidegate-sandbox-kafka", "tidegate-kafka"),
    ("tidegate-sandbox-kafka", "rdkafka"),
    ("tidegate-engine", "tidegate-aws"),
];

/// Heavy foreign crates and the only crates that may name them.
const WRAPPERS: &[(&str, &[&str])] = &[
    ("kube", &["tidegate-cluster"]),
    ("k8s-openapi", &["tidegate-cluster"]),
    ("gix", &["tidegate-git"]),
    ("redb", &["tidegate-store"]),
    (
        "axum",
        &["tidegate-sandbox-kubernetes", "tidegate-sandbox-aws"],
    ),
    ("petgraph", &["tidegate-graph"]),
    ("aws-config", &["tidegate-aws"]),
    ("aws-sdk-sts", &["tidegate-aws"]),
    ("aws-sdk-resourcegroupstagging", &["tidegate-aws"]),
    ("aws-sdk-secretsmanager", &["tidegate-aws"]),
    ("aws-sdk-ssm", &["tidegate-aws"]),
    (
        "aws-sdk-lambda",
        &["tidegate-lambda", "tidegate-events", "tidegate-bridge"],
    ),
    ("aws-sdk-iam", &["tidegate-lambda"]),
    ("aws-sdk-kinesis", &["tidegate-events", "tidegate-bridge"]),
    ("rdkafka", &["tidegate-bridge"]),
    (
        "kafka-protocol",
        &["tidegate-kafka", "tidegate-sandbox-kafka"],
    ),
    ("aws-sdk-cloudcontrol", &["tidegate-cloudcontrol"]),
];

/// Crates below the doors: no IO, no async runtime.
const PURE_BELOW: u32 = 20;
const IMPURE: &[&str] = &[
    "tokio",
    "reqwest",
    "hyper",
    "kube",
    "gix",
    "redb",
    "axum",
    "async-trait",
];

/// Checks every workspace crate's normal dependencies.
pub(crate) fn check() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .output()
        .context("running cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let faults = faults(&metadata);
    if faults.is_empty() {
        return Ok(());
    }
    bail!("the floors do not hold:\n  {}", faults.join("\n  "));
}

fn faults(metadata: &Value) -> Vec<String> {
    let floors: BTreeMap<&str, u32> = FLOORS.iter().copied().collect();
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(&floor) = floors.get(name) else {
            faults.push(format!(
                "{name} has no floor: give it one in xtask/src/floors.rs"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Tests may reach up: the appliers are tested against the sandbox.
            if dependency["kind"].as_str() == Some("dev") {
                continue;
            }
            let on = dependency["name"].as_str().unwrap_or_default();
            faults.extend(fault(name, floor, on, &floors));
        }
    }
    faults
}

fn fault(name: &str, floor: u32, on: &str, floors: &BTreeMap<&str, u32>) -> Option<String> {
    if let Some(&below) = floors.get(on) {
        if below >= floor {
            return Some(format!(
                "{name} (floor {floor}) depends on {on} (floor {below})"
            ));
        }
        if FORBIDDEN.contains(&(name, on)) {
            return Some(format!("{name} must not know {on}"));
        }
    }
    if let Some((_, allowed)) = WRAPPERS.iter().find(|(heavy, _)| *heavy == on)
        && !allowed.contains(&name)
    {
        return Some(format!(
            "{name} names {on}, which only {} may",
            allowed.join(", ")
        ));
    }
    if floor < PURE_BELOW && IMPURE.contains(&on) {
        return Some(format!("{name} is pure and depends on {on}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_house_keeps_its_floors() {
        check().unwrap();
    }

    fn found(name: &str, on: &str) -> Vec<String> {
        faults(&json!({"packages": [{"name": name, "dependencies": [{"name": on, "kind": null}]}]}))
    }

    #[test]
    fn a_broken_floor_is_found() {
        assert_eq!(
            found("tidegate-graph", "tidegate-manifest"),
            Vec::<String>::new()
        );
        assert_eq!(found("tidegate-graph", "tidegate-engine").len(), 1);
        assert_eq!(
            found("tidegate-engine", "tidegate-cluster"),
            ["tidegate-engine must not know tidegate-cluster"]
        );
        assert_eq!(found("tidegate-engine", "kube").len(), 1);
        assert_eq!(found("tidegate-diff", "tokio").len(), 1);
        assert_eq!(found("tidegate-new", "serde").len(), 1);
    }
}
