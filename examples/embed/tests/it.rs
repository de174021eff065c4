//! The example against the sandbox.

use tidegate::manifest::OperationPhase;
use tidegate::sandbox::{Sandbox, SandboxOptions};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../streaming-analytics");

#[tokio::test(flavor = "multi_thread")]
async fn plans_and_applies() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(SandboxOptions::in_dir(dir.path()))
        .await
        .unwrap();
    let kubeconfig = sandbox.ready().kubeconfig.display().to_string();
    let deploy = async |approve: bool, seen: &mut usize| {
        tidegate_embed_example::deploy(REPOSITORY, &kubeconfig, "platform", |plan| {
            *seen = plan
                .entries
                .iter()
                .filter(|entry| entry.action.is_change())
                .count();
            approve
        })
        .await
        .unwrap()
    };
    let mut changes = 0;
    assert_eq!(deploy(false, &mut changes).await, None);
    assert_eq!(changes, 5, "five definitions are to be created");
    assert_eq!(
        deploy(true, &mut changes).await,
        Some(OperationPhase::Succeeded)
    );
    assert_eq!(changes, 5, "the refused plan changed nothing");
    assert_eq!(
        deploy(true, &mut changes).await,
        Some(OperationPhase::Succeeded)
    );
    assert_eq!(changes, 0, "a second deployment changes nothing");
    sandbox.shutdown().await;
}
