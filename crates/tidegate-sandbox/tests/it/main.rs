//! The sandbox as a whole: a workload comes up through the API, and nothing is left behind.

#![expect(
    clippy::unwrap_used,
    reason = "what these helpers do must work for a test to mean anything"
)]

mod kafka;

use serde_json::json;
use tidegate_sandbox::{Clock, ManualClock, Sandbox, SandboxOptions};
use tidegate_sandbox_kubernetes::ResourceName;

const DEPLOYMENTS: ResourceName = ResourceName::new("apps", "deployments");

async fn start(dir: &std::path::Path, clock: Clock) -> Sandbox {
    let mut options = SandboxOptions::in_dir(dir);
    options.clock = clock;
    Sandbox::start(options).await.unwrap()
}

#[tokio::test]
async fn a_deployment_becomes_available() {
    let dir = tempfile::tempdir().unwrap();
    let manual = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let sandbox = start(dir.path(), Clock::Manual(manual.clone())).await;
    let objects = sandbox.kubernetes().objects();
    let body = json!({"metadata": {"name": "web"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
    }});
    objects
        .create(&DEPLOYMENTS, "default", body, "test")
        .unwrap();
    sandbox
        .controllers()
        .run_for(&manual, std::time::Duration::from_secs(30))
        .await;
    let live = objects.get(&DEPLOYMENTS, "default", "web").unwrap();
    assert_eq!(live["status"]["availableReplicas"], 2, "{live}");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_kubeconfig_lives_as_long_as_the_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kubeconfig"), "left behind").unwrap();
    let sandbox = start(&folder, Clock::System).await;
    let path = sandbox.ready().kubeconfig.clone();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains(&sandbox.kubernetes().address().to_string()),
        "{text}"
    );
    assert!(text.contains(sandbox.kubernetes().token()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    sandbox.shutdown().await;
    assert!(!path.exists());
}
