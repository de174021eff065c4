//! `tidegate sandbox`: only the embedded targets, until interrupted.

use anyhow::Result;
use serde_json::Value;
use tidegate::engine::Event;
use tidegate::sandbox::{Sandbox, SandboxOptions};
use tidegate::{Error, SandboxClaim, StateDir};

use super::common;
use crate::arguments::{PortArguments, SandboxArguments, StreamOutput};
use crate::exit::Exit;
use crate::output;

pub(crate) async fn run(arguments: SandboxArguments) -> Result<Exit> {
    refuse_missing_targets(&arguments.ports)?;
    let state = StateDir::open(arguments.dir.dir.as_deref())?;
    let (sandbox, _claim) = start(&state, &arguments.ports, arguments.ports.run_functions).await?;
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
    match ports.kafka_port {
        None | Some(0) => Ok(()),
        Some(_) => Err(Error::Refused(
            "--kafka-port: the sandbox of this build has no Kafka target yet".to_owned(),
        )
        .into()),
    }
}

/// Starts the sandbox in a state directory; what was known of an earlier one is forgotten with it.
pub(super) async fn start(
    state: &StateDir,
    ports: &PortArguments,
    run_functions: bool,
) -> Result<(Sandbox, SandboxClaim)> {
    let claim = state.claim_sandbox()?;
    let options = SandboxOptions {
        kubernetes_port: ports.kubernetes_port,
        aws_port: ports.aws_port,
        run_functions,
        ..SandboxOptions::in_dir(state.path())
    };
    Ok((Sandbox::start(options).await?, claim))
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
    if let Some(aws) = &sandbox.ready().aws {
        output::note(&format!("aws --endpoint-url {aws} lambda list-functions"));
    }
}
