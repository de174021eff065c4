//! What the tests share: an application from text, an engine over the fake, transcripts.

use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::{
    CollectedEvents, Control, CountedIds, Desired, Destination, Engine, EngineContext, EngineError,
    EngineOptions, Event, OperationState, RenderedSource, RuntimeClock, SyncRequest,
};
use tidegate_manifest::{AppProject, Application, Documents, Origin, read_documents};
use tidegate_store::{MemoryStore, Store};

use crate::fake::{Fake, target};

pub(crate) const APPLICATION: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: app}
spec:
  project: default
  source: {repoURL: https://git.example/repo, path: .}
  destination: {name: test, namespace: shop}
";

/// Reads documents; `path` is where they stand.
pub(crate) fn documents(text: &str, path: &str) -> Documents {
    let parsed = tidegate_yaml::parse_stream(text.as_bytes(), &<_>::default());
    let origin = Origin {
        repository: "https://git.example/repo".to_owned(),
        commit: "c0ffee00".to_owned(),
        path: path.to_owned(),
        ..Origin::default()
    };
    let mut documents = Documents::default();
    for document in &parsed.documents {
        read_documents(&document.root, &origin, &mut documents);
    }
    documents
}

pub(crate) fn application(text: &str) -> Arc<Application> {
    let mut found = documents(text, "app.yaml");
    let errors = found.diagnostics.iter().filter(|d| d.is_error()).count();
    assert_eq!(errors, 0, "{:?}", found.diagnostics);
    Arc::new(found.applications.remove(0))
}

/// The desired state: an application (with `extra` below `spec`) and its manifests.
pub(crate) fn desired(extra: &str, manifests: &str) -> Desired {
    let text = format!("{APPLICATION}{extra}");
    let found = documents(manifests, "all.yaml");
    Desired {
        application: application(&text),
        project: Arc::new(AppProject::permissive("default")),
        sources: vec![RenderedSource {
            revision: "c0ffee0011223344".to_owned(),
            source_type: "Directory".to_owned(),
            objects: found.objects,
        }],
        diagnostics: found.diagnostics,
    }
}

/// An engine, its target and what it says.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) engine: Engine,
    pub(crate) events: Arc<CollectedEvents>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(
            Fake::new(),
            Arc::new(MemoryStore::new()),
            EngineOptions::default(),
            "op",
        )
    }

    pub(crate) fn with(
        fake: Fake,
        store: Arc<dyn Store>,
        options: EngineOptions,
        ids: &str,
    ) -> Self {
        let events = Arc::new(CollectedEvents::default());
        let context = EngineContext {
            store,
            clock: Arc::new(RuntimeClock::starting_at(
                "2024-05-01T10:00:00Z".parse().expect("a time"),
            )),
            ids: Arc::new(CountedIds::new(ids)),
            events: events.clone(),
        };
        Self {
            fake,
            engine: Engine::new(context, options),
            events,
        }
    }

    pub(crate) fn destination(&self) -> Destination {
        Destination::new().with(target(), Arc::new(self.fake.clone()))
    }

    pub(crate) async fn sync(&self, desired: &Desired) -> OperationState {
        self.sync_with(desired, |_| {}).await
    }

    /// Syncs with pruning, changed by `change`.
    pub(crate) async fn sync_with(
        &self,
        desired: &Desired,
        change: impl FnOnce(&mut SyncRequest),
    ) -> OperationState {
        let mut request = SyncRequest::manual(&desired.application, "tester");
        request.prune = true;
        change(&mut request);
        self.try_sync(desired, request, &Control::none())
            .await
            .expect("the operation runs")
    }

    pub(crate) async fn try_sync(
        &self,
        desired: &Desired,
        request: SyncRequest,
        control: &Control,
    ) -> Result<OperationState, EngineError> {
        let destination = self.destination();
        let run = self
            .engine
            .sync(&destination, desired, request, None, control);
        let limit = Duration::from_secs(100_000);
        tokio::time::timeout(limit, run)
            .await
            .expect("the operation ends")
    }

    /// What happened in the target since the last look.
    pub(crate) fn log(&self) -> String {
        self.fake.take_log().join("\n")
    }

    /// What was told since the last look, in short.
    pub(crate) fn told(&self) -> Vec<String> {
        self.events.take().iter().map(line).collect()
    }
}

/// An event on one line: reason, phase and wave, object, message.
pub(crate) fn line(event: &Event) -> String {
    let mut text = event.reason.as_str().to_owned();
    if let Some(phase) = event.phase {
        text = format!("{text} {}", phase.as_str());
    }
    if let Some(wave) = event.wave {
        text = format!("{text}:{wave}");
    }
    if let Some(object) = &event.object {
        text = format!("{text} {}/{}", object.kind, object.name);
    }
    if !event.message.is_empty() {
        text = format!("{text} | {}", event.message);
    }
    text
}

/// A manifest on one line: `KIND NAME [annotation=value …]`; short names for the common annotations.
pub(crate) fn manifests(lines: &str) -> String {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (kind, name) = (words.next().expect("a kind"), words.next().expect("a name"));
        let (version, spec) = match kind {
            "Deployment" => ("apps/v1", "spec: {replicas: 1}"),
            "Job" => ("batch/v1", "spec: {backoffLimit: 0}"),
            "ConfigMap" => ("v1", "data: {a: b}"),
            "Secret" => ("v1", "stringData: {password: hunter2}"),
            "Widget" => ("example.org/v1", "spec: {size: 1}"),
            "CustomResourceDefinition" => (
                "apiextensions.k8s.io/v1",
                "spec: {group: example.org, names: {kind: Widget}, scope: Namespaced}",
            ),
            "ClusterRole" => ("rbac.authorization.k8s.io/v1", "rules: []"),
            "Application" => ("argoproj.io/v1alpha1", "spec: {}"),
            _ => ("v1", "data: {}"),
        };
        let mut notes = String::new();
        let mut data = spec.to_owned();
        let mut namespace = String::new();
        for word in words {
            let (name, value) = word.split_once('=').expect("name=value");
            let name = match name {
                "wave" => "argocd.argoproj.io/sync-wave",
                "hook" => "argocd.argoproj.io/hook",
                "policy" => "argocd.argoproj.io/hook-delete-policy",
                "options" => "argocd.argoproj.io/sync-options",
                "compare" => "argocd.argoproj.io/compare-options",
                "depends" => "tidegate.dev/depends-on",
                "health" => "fake/health",
                "linger" => "fake/linger",
                "refuse" => "fake/refuse",
                "invalid" => "fake/invalid",
                "ns" => {
                    namespace = format!("  namespace: {value}\n");
                    continue;
                }
                "data" => {
                    data = format!("data: {{a: {value}}}");
                    continue;
                }
                "spec" => {
                    data = format!("spec: {{value: {value}}}");
                    continue;
                }
                other => other,
            };
            notes.push_str(&format!("    {name}: {value:?}\n"));
        }
        let name = match name.strip_suffix('*') {
            Some(prefix) => format!("generateName: {prefix}"),
            None => format!("name: {name}"),
        };
        text.push_str(&format!(
            "---\napiVersion: {version}\nkind: {kind}\nmetadata:\n  {name}\n{namespace}"
        ));
        if !notes.is_empty() {
            text.push_str(&format!("  annotations:\n{notes}"));
        }
        text.push_str(&format!("{data}\n"));
    }
    text
}

/// The desired state of an application without options.
pub(crate) fn app(lines: &str) -> Desired {
    desired("", &manifests(lines))
}

/// The phase and message of an operation.
pub(crate) fn verdict(state: &OperationState) -> String {
    format!("{}: {}", state.phase.as_str(), state.message)
}

/// Results in the order of execution.
pub(crate) fn results(state: &OperationState) -> Vec<String> {
    let line = |result: &tidegate_engine::ResourceResult| {
        let status = result.status.map(|status| format!("{status:?}"));
        format!(
            "{} {}/{} {} {}",
            result.sync_phase.as_str(),
            result.key.kind,
            result.key.name,
            status.unwrap_or_else(|| "-".to_owned()),
            result.hook_phase.as_str()
        )
    };
    state.results.iter().map(line).collect()
}
