//! `tidegate sandbox`: only the embedded targets, until interrupted.

use anyhow::Result;
use serde_json::Value;
use tidegate::engine::Event;
use tidegate::sandbox::Sandbox;
use tidegate::{Error, SandboxClaim, StateDir};

use super::common;
use crate::arguments::{PortArguments, SandboxArguments, StreamOutput};
use crate::exit::Exit;
use crate::output;

pub(crate) async fn run(arguments: SandboxArguments) -> Result<Exit> {
    refuse_missing_targets(&arguments.ports)?;
    let state = StateDir::open(arguments.dir.dir.as_deref())?;
    let (sandbox, _claim) = start(&state, &arguments.ports).await?;
    match arguments.output {
        StreamOutput::Json => output::line(&serde_json::to_string(&ready_event(&sandbox))?)?,
        StreamOutput::Table => introduce(&sandbox),
    }
    common::signalled().await;
    sandbox.shutdown().await;
    Ok(Exit::Ok)
}

/// Flags for targets that this build lacks are refused rather than passed over.
pub(super) fn refuse_missing_targets(ports: &PortArguments) -> Result<()> {
    let missing = [
        (
            "--aws-port",
            ports.aws_port.is_some_and(|port| port != 0),
            "AWS",
        ),
        (
            "--kafka-port",
            ports.kafka_port.is_some_and(|port| port != 0),
            "Kafka",
        ),
        ("--run-functions", ports.run_functions, "Lambda"),
    ];
    match missing.into_iter().find(|(_, is_given, _)| *is_given) {
        Some((flag, _, target)) => Err(Error::Refused(format!(
            "{flag}: the sandbox of this build has no {target} target yet"
        ))
        .into()),
        None => Ok(()),
    }
}

/// Starts the sandbox in a state directory; what was known of an earlier one is forgotten with it.
pub(super) async fn start(
    state: &StateDir,
    ports: &PortArguments,
) -> Result<(Sandbox, SandboxClaim)> {
    let claim = state.claim_sandbox()?;
    Ok((
        Sandbox::start(super::up::sandbox_options(state, ports.kubernetes_port)).await?,
        claim,
    ))
}

/// The event that tells programs where to connect.
pub(super) fn ready_event(sandbox: &Sandbox) -> Event {
    let ready = sandbox.ready();
    let mut details = serde_json::Map::new();
    details.insert(
        "kubeconfig".to_owned(),
        Value::String(ready.kubeconfig.display().to_string()),
    );
    details.insert(
        "aws".to_owned(),
        ready.aws.clone().map_or(Value::Null, Value::String),
    );
    details.insert(
        "kafka".to_owned(),
        ready.kafka.clone().map_or(Value::Null, Value::String),
    );
    super::up::sandbox_event(details)
}

/// Tells people where to connect.
pub(super) fn introduce(sandbox: &Sandbox) {
    let kubeconfig = sandbox.ready().kubeconfig.display().to_string();
    output::note(&format!("kubectl --kubeconfig {kubeconfig} get all -A"));
}
