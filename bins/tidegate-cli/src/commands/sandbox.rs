//! `tidegate sandbox`: only the embedded targets, until interrupted.

use anyhow::Result;
use serde_json::Value;
use tidegate::engine::Event;
use tidegate::sandbox::{Sandbox, SandboxOptions};
use tidegate::{SandboxClaim, StateDir};

use super::common;
use crate::arguments::{PortArguments, SandboxArguments, StreamOutput};
use crate::exit::Exit;
use crate::output;

pub(crate) async fn run(arguments: SandboxArguments) -> Result<Exit> {
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
        kafka_port: ports.kafka_port,
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
        output::note(&format!(
            "AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox aws --endpoint-url {aws} --region us-east-1 lambda list-functions"
        ));
    }
    if let Some(kafka) = &sandbox.ready().kafka {
        output::note(&format!("kcat -b {kafka} -L"));
    }
}
