//! What the tests run against, and a repository of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tidegate::Tidegate;
use tidegate::applier::{Applier, ApplyRequest, FieldOwner, OwnerRef, ReadOptions};
use tidegate::engine::{
    CollectedEvents, Control, Event, OperationState, Reason, SyncRequest, Wanted,
};
use tidegate::manifest::{GroupVersionKind, ResourceKey, Target};
use tidegate::sandbox::{Sandbox, SandboxOptions};
use tidegate::store::{MemoryStore, Store};
use tokio::sync::OnceCell;

/// The sandbox that all tests of this process share; absent when a real cluster was named.
static SANDBOX: OnceCell<(Sandbox, TempDir)> = OnceCell::const_new();

/// The kubeconfig of the cluster under test.
pub(crate) async fn kubeconfig() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDEGATE_TEST_KUBECONFIG") {
        return path.into();
    }
    let (sandbox, _) = SANDBOX
        .get_or_init(|| async {
            // Its tasks must outlive the runtime of the test that comes first.
            let dir = TempDir::new().unwrap();
            let options = SandboxOptions::in_dir(dir.path());
            let sandbox = std::thread::spawn(move || {
                let runtime = Box::leak(Box::new(tokio::runtime::Runtime::new().unwrap()));
                runtime.block_on(Sandbox::start(options)).unwrap()
            })
            .join()
            .unwrap();
            (sandbox, dir)
        })
        .await;
    sandbox.ready().kubeconfig.clone()
}

/// A repository with one application, applied to a namespace of its own.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) name: String,
    pub(crate) events: Arc<CollectedEvents>,
    store: Arc<dyn Store>,
    kubeconfig: PathBuf,
    spec: String,
}

impl World {
    /// A world whose namespace and application are called `name`.
    pub(crate) async fn new(name: &str) -> Self {
        // A real cluster remembers earlier runs.
        let name = format!("tg-{name}-{}", std::process::id());
        Self {
            dir: TempDir::new().unwrap(),
            name,
            events: Arc::default(),
            store: Arc::new(MemoryStore::new()),
            kubeconfig: kubeconfig().await,
            spec: "syncPolicy: {syncOptions: [CreateNamespace=true]}".to_owned(),
        }
    }

    /// Chooses what stands in the Application's spec beside source and destination.
    pub(crate) fn spec(mut self, spec: &str) -> Self {
        self.spec = spec.to_owned();
        self
    }

    /// Writes a manifest.
    pub(crate) fn write(&self, file: &str, text: &str) -> &Self {
        let path = self.dir.path().join("app").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Removes a manifest.
    pub(crate) fn remove(&self, file: &str) -> &Self {
        std::fs::remove_file(self.dir.path().join("app").join(file)).unwrap();
        self
    }

    /// The repository as it stands.
    pub(crate) async fn open(&self) -> Tidegate {
        let Self { name, spec, .. } = self;
        let application = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: {name}\n  finalizers: [resources-finalizer.argocd.argoproj.io]\n\
             spec:\n  project: default\n  source: {{repoURL: 'https://git.example.com/x.git', path: app, directory: {{recurse: true}}}}\n  \
             destination: {{server: 'https://kubernetes.default.svc', namespace: {name}}}\n  {}\n",
            spec.replace('\n', "\n  ")
        );
        std::fs::create_dir_all(self.dir.path().join("app")).unwrap();
        std::fs::write(self.dir.path().join("application.yaml"), application).unwrap();
        Tidegate::open(self.dir.path().to_str().unwrap())
            .kubeconfig(&self.kubeconfig)
            .dir(Some(self.dir.path().join(".state")))
            .store(Arc::clone(&self.store))
            .events(Arc::clone(&self.events) as Arc<dyn tidegate::engine::EventSink>)
            .build()
            .await
            .unwrap()
    }

    /// Runs one sync to its end.
    pub(crate) async fn sync(&self, change: impl FnOnce(&mut SyncRequest)) -> OperationState {
        let tidegate = self.open().await;
        let desired = tidegate.render(&self.name, Wanted::Newest).await.unwrap();
        let mut request = Tidegate::request(&desired.application);
        change(&mut request);
        tidegate
            .sync(&desired, request, None, &Control::none())
            .await
            .unwrap()
    }

    /// The live object, if it is there.
    pub(crate) async fn live(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let applier = self.applier().await;
        let key = self.key(api_version, kind, name);
        let mut found = applier.read(vec![key], ReadOptions::default()).await;
        found.pop().unwrap().unwrap().map(|live| live.body)
    }

    pub(crate) fn key(&self, api_version: &str, kind: &str, name: &str) -> ResourceKey {
        let gvk = GroupVersionKind::new(api_version, kind);
        ResourceKey {
            target: Target::kubernetes("test"),
            group: gvk.group,
            kind: gvk.kind,
            namespace: self.name.clone(),
            name: name.to_owned(),
        }
    }

    pub(crate) async fn applier(&self) -> Arc<dyn Applier> {
        let config = tidegate::cluster::ClusterConfig::kubeconfig(&self.kubeconfig);
        let cluster = tidegate::cluster::Cluster::connect(config, Target::kubernetes("test")).await;
        Arc::new(cluster.unwrap())
    }

    /// Changes a live object as somebody else.
    pub(crate) async fn edit(&self, body: Value) {
        let text = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (api_version, kind, name) =
            (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let key = self.key(&api_version, &kind, &name);
        let owner = OwnerRef {
            application: String::new(),
            destination_namespace: String::new(),
        };
        let mut request =
            ApplyRequest::new(key, GroupVersionKind::new(&api_version, kind), body, owner);
        request.field_owner = FieldOwner("somebody".to_owned());
        let done = self.applier().await.apply(vec![request]).await;
        done.into_iter().next().unwrap().unwrap();
    }

    /// Takes the events so far, in a short form: `Applied ConfigMap/a`.
    pub(crate) fn told(&self, reasons: &[Reason]) -> Vec<String> {
        let events = self.events.take();
        let wanted = events
            .iter()
            .filter(|event| reasons.contains(&event.reason));
        wanted.map(short).collect()
    }
}

fn short(event: &Event) -> String {
    let object = event
        .object
        .as_ref()
        .map(|o| format!(" {}/{}", o.kind, o.name))
        .unwrap_or_default();
    format!("{}{object}", event.reason.as_str())
}

/// A ConfigMap with one value in a wave.
pub(crate) fn config_map(name: &str, wave: i32, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations: {{argocd.argoproj.io/sync-wave: '{wave}'}}\ndata: {{value: '{value}'}}\n---\n"
    )
}

/// A Job that is a hook.
pub(crate) fn job(name: &str, hook: &str, policy: &str, command: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations:\n    argocd.argoproj.io/hook: {hook}\n    \
         argocd.argoproj.io/hook-delete-policy: {policy}\nspec:\n  backoffLimit: 0\n  template:\n    spec:\n      restartPolicy: Never\n      \
         containers: [{{name: main, image: 'busybox:1', command: {command}}}]\n---\n"
    )
}

/// Whether a repository's directory is a path of this machine that exists.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
