//! The API server of a test, with a namespace of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tidegate_applier::manifest::{GroupVersionKind, ResourceKey, Target};
use tidegate_applier::{Applier, ApplyRequest, LiveObject, OwnerRef, ReadOptions};
use tidegate_cluster::{Cluster, ClusterConfig};
use tidegate_sandbox_kubernetes::{Options, Server};

/// What a test works with.
pub(crate) struct TestCluster {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    /// The settings that lead to the same server.
    pub(crate) config: ClusterConfig,
    kubeconfig: PathBuf,
    _server: Option<Server>,
    _dir: Option<tempfile::TempDir>,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A name that no other test of this run or another uses.
pub(crate) fn unique(prefix: &str) -> String {
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    format!("{prefix}-{:x}-{n}", nanos & 0xff_ffff_ffff)
}

/// The API server, and a fresh namespace on it.
pub(crate) async fn cluster() -> TestCluster {
    let (config, kubeconfig, server, dir) = match std::env::var_os("TIDEGATE_TEST_KUBECONFIG") {
        Some(file) => (
            ClusterConfig::kubeconfig(&file),
            PathBuf::from(file),
            None,
            None,
        ),
        None => {
            let dir = tempfile::tempdir().expect("a directory");
            let options = Options {
                dir: Some(dir.path().to_owned()),
                ..Options::default()
            };
            let server = Server::start(options).await.expect("the sandbox starts");
            let file = server.kubeconfig_path().expect("written").to_owned();
            (
                ClusterConfig::kubeconfig(&file),
                file,
                Some(server),
                Some(dir),
            )
        }
    };
    let cluster = Cluster::connect(config.clone(), Target::kubernetes("test"))
        .await
        .expect("settings are read");
    let namespace = unique("t");
    let test = TestCluster {
        cluster,
        namespace: namespace.clone(),
        config,
        kubeconfig,
        _server: server,
        _dir: dir,
    };
    let request = test.request(
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
    );
    test.apply(request).await.expect("a namespace");
    test
}

/// Whether the API server is the real one.
pub(crate) fn is_real() -> bool {
    std::env::var_os("TIDEGATE_TEST_KUBECONFIG").is_some()
}

impl TestCluster {
    /// A client for what Tidegate itself would not do.
    pub(crate) async fn raw(&self) -> kube::Client {
        let kubeconfig = kube::config::Kubeconfig::read_from(&self.kubeconfig).expect("written");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default())
            .await
            .expect("sound");
        kube::Client::try_from(config).expect("a client")
    }

    /// Sends a request as another tool would.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        content: &str,
        body: &Value,
    ) -> Value {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content)
            .body(body.to_string().into_bytes())
            .expect("sound");
        self.raw()
            .await
            .request::<Value>(request)
            .await
            .expect("accepted")
    }

    pub(crate) fn owner(&self) -> OwnerRef {
        OwnerRef {
            application: format!("app-{}", self.namespace),
            destination_namespace: self.namespace.clone(),
        }
    }

    pub(crate) fn key(&self, body: &Value) -> ResourceKey {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let gvk = gvk(body);
        ResourceKey {
            target: Target::kubernetes("test"),
            group: gvk.group,
            kind: gvk.kind,
            namespace: text(&body["metadata"]["namespace"]),
            name: text(&body["metadata"]["name"]),
        }
    }

    pub(crate) fn request(&self, body: &Value) -> ApplyRequest {
        ApplyRequest::new(self.key(body), gvk(body), body.clone(), self.owner())
    }

    pub(crate) async fn apply(
        &self,
        request: ApplyRequest,
    ) -> Result<tidegate_applier::ApplyResult, tidegate_applier::ApplierError> {
        self.cluster.apply(vec![request]).await.remove(0)
    }

    pub(crate) async fn preview(
        &self,
        request: ApplyRequest,
    ) -> Result<tidegate_applier::ChangePreview, tidegate_applier::ApplierError> {
        self.cluster.plan_change(vec![request]).await.remove(0)
    }

    pub(crate) async fn live(&self, body: &Value) -> Option<LiveObject> {
        let keys = vec![self.key(body)];
        let mut answers = self.cluster.read(keys, ReadOptions::default()).await;
        answers.remove(0).expect("readable")
    }

    /// A ConfigMap in the test's namespace.
    pub(crate) fn config_map(&self, name: &str, data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": self.namespace}, "data": data})
    }
}

fn gvk(body: &Value) -> GroupVersionKind {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    GroupVersionKind::new(text("apiVersion"), text("kind"))
}

/// The object with its own mark.
pub(crate) fn marked(mut body: Value, owner: &OwnerRef) -> Value {
    let gvk = gvk(&body);
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let namespace = text(&body["metadata"]["namespace"]);
    let namespace = if namespace.is_empty() {
        owner.destination_namespace.clone()
    } else {
        namespace
    };
    let mark = format!(
        "{}:{}/{}:{namespace}/{}",
        owner.application,
        gvk.group,
        gvk.kind,
        text(&body["metadata"]["name"])
    );
    body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = mark.into();
    body
}
