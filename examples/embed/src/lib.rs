//! Render, plan, approve, apply: Tidegate in about ten lines of a program of your own.

use tidegate::engine::Plan;
use tidegate::manifest::OperationPhase;
use tidegate::{Error, Tidegate};

/// Brings one Application of a repository to the cluster of a kubeconfig, when `approve` agrees to the plan.
///
/// Says how it ended, or None when the plan was not approved.
///
/// # Errors
/// The repository or the cluster cannot be read, or documents are wrong.
pub async fn deploy(
    repository: &str,
    kubeconfig: &str,
    application: &str,
    approve: impl FnOnce(&Plan) -> bool,
) -> Result<Option<OperationPhase>, Error> {
    let tidegate = Tidegate::open(repository)
        .kubeconfig(kubeconfig)
        .build()
        .await?;
    let plan = tidegate.plan(application).await?;
    if !approve(&plan) {
        return Ok(None);
    }
    let done = tidegate.apply(&plan).await?;
    Ok(Some(done.phase))
}
