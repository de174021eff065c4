//! `embed REPOSITORY KUBECONFIG APPLICATION`: shows the plan of an Application and applies it.

use std::process::ExitCode;

use tidegate::engine::Plan;
use tidegate::manifest::OperationPhase;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [repository, kubeconfig, application] = arguments.as_slice() else {
        say("usage: embed REPOSITORY KUBECONFIG APPLICATION");
        return ExitCode::from(2);
    };
    match tidegate_embed_example::deploy(repository, kubeconfig, application, show).await {
        Ok(Some(OperationPhase::Succeeded)) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Shows a plan; approves it when it can be applied as it stands.
fn show(plan: &Plan) -> bool {
    for entry in plan.entries.iter().filter(|entry| entry.action.is_change()) {
        say(&format!("{} {}", entry.action.as_str(), entry.key.short()));
    }
    !plan.is_invalid()
}

#[expect(clippy::print_stderr, reason = "this is a command")]
fn say(line: &str) {
    eprintln!("{line}");
}
