//! One Application over two worlds: the engine with the AWS applier over resources in memory, beside the cluster.

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tidegate::Tidegate;
use tidegate::applier::Applier;
use tidegate::cluster::{Cluster, ClusterConfig};
use tidegate::engine::{Control, Wanted};
use tidegate::manifest::{HealthStatus, OperationPhase, SyncStatus, Target, TargetKind};
use tidegate::store::MemoryStore;
use tidegate_aws::{AwsApplier, AwsApplierOptions, Handler};

use crate::cluster::kubeconfig;
use crate::memory::{Memory, NOTE, THING, nowhere};

struct Worlds {
    dir: TempDir,
    name: String,
    memory: Memory,
    aws: Arc<dyn Applier>,
    cluster: Arc<dyn Applier>,
    store: Arc<MemoryStore>,
}

impl Worlds {
    async fn new(name: &str) -> Self {
        let memory = Memory::default();
        let handler: Arc<dyn Handler> = Arc::new(memory.clone());
        let target = Target::new(TargetKind::Aws, "test");
        let options = AwsApplierOptions::default();
        let config = ClusterConfig::kubeconfig(kubeconfig().await);
        let cluster = Cluster::connect(config, Target::kubernetes("test")).await;
        Self {
            dir: TempDir::new().unwrap(),
            name: format!("tg-{name}-{}", std::process::id()),
            aws: Arc::new(AwsApplier::new(nowhere(), target, [handler], options)),
            cluster: Arc::new(cluster.unwrap()),
            memory,
            store: Arc::new(MemoryStore::new()),
        }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.dir.path().join("app").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    async fn open(&self) -> Tidegate {
        let name = &self.name;
        let application = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n  project: default\n  \
             source: {{repoURL: 'https://git.example.com/x.git', path: app, directory: {{recurse: true}}}}\n  \
             destination: {{server: 'https://kubernetes.default.svc', namespace: {name}}}\n  \
             syncPolicy: {{automated: {{prune: true, selfHeal: true}}, syncOptions: [CreateNamespace=true]}}\n",
        );
        std::fs::write(self.dir.path().join("application.yaml"), application).unwrap();
        Tidegate::open(self.dir.path().to_str().unwrap())
            .applier(Target::kubernetes("test"), Arc::clone(&self.cluster))
            .applier(Target::new(TargetKind::Aws, "test"), Arc::clone(&self.aws))
            .dir(Some(self.dir.path().join(".state")))
            .store(Arc::clone(&self.store) as _)
            .build()
            .await
            .unwrap()
    }

    async fn sync(&self) -> tidegate::engine::OperationState {
        let tidegate = self.open().await;
        let desired = tidegate.render(&self.name, Wanted::Newest).await.unwrap();
        let request = Tidegate::request(&desired.application);
        tidegate
            .sync(&desired, request, None, &Control::none())
            .await
            .unwrap()
    }
}

/// A resource as a template renders to one.
fn resource(kind: &str, id: &str, wave: i32, rest: &str) -> String {
    format!(
        "---\napiVersion: aws/2010-09-09\nkind: {kind}\nmetadata: {{name: {id}, namespace: etl, annotations: {{argocd.argoproj.io/sync-wave: '{wave}'}}}}\n{rest}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn one_application_spans_both_worlds() {
    let worlds = Worlds::new("both").await;
    worlds.write(
        "kubernetes.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n---\n\
         apiVersion: batch/v1\nkind: Job\nmetadata: {name: check}\n\
         spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}}\n",
    );
    let thing = resource(
        THING,
        "Thing",
        0,
        "PhysicalName: etl-thing\nProperties: {Size: 1}",
    );
    let user = resource(
        THING,
        "User",
        0,
        "PhysicalName: a-user\nProperties: {Uses: {'Fn::GetAtt': [Thing, Arn]}}\n\
         References: {Thing: {Type: 'AWS::Glue::Job', PhysicalName: etl-thing}}",
    );
    let note = resource(
        NOTE,
        "Note",
        1,
        "Properties: {Parent: {Ref: User}}\nReferences: {User: {Type: 'AWS::Glue::Job', PhysicalName: a-user}}",
    );
    worlds.write("template.yaml", &format!("{thing}{user}{note}"));

    let done = worlds.sync().await;
    assert_eq!(done.phase, OperationPhase::Succeeded, "{}", done.message);
    assert_eq!(
        worlds.memory.calls(),
        ["create etl-thing", "create a-user", "create a-user|Note"]
    );
    let tidegate = worlds.open().await;
    let compared = tidegate.compare(&worlds.name).await.unwrap();
    assert_eq!(compared.sync, SyncStatus::Synced, "{compared:?}");
    assert_eq!(compared.health.status, HealthStatus::Healthy);
    assert_eq!(compared.resources.len(), 5);

    // Drift is seen and healed.
    worlds.memory.with(|world| {
        let key = (THING.to_owned(), "etl-thing".to_owned());
        let thing = world.things.get_mut(&key).unwrap();
        thing.properties.insert("Size".to_owned(), json!(9));
    });
    let compared = tidegate.compare(&worlds.name).await.unwrap();
    assert_eq!(compared.sync, SyncStatus::OutOfSync);
    let changed: Vec<&str> = compared
        .resources
        .iter()
        .flat_map(|row| &row.changes)
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(changed, [".Properties.Size"]);
    worlds.sync().await;
    assert_eq!(worlds.memory.calls(), ["update etl-thing Size"]);

    // What leaves Git is pruned, dependents first; Kubernetes is not touched.
    worlds.write("template.yaml", &thing);
    let plan = tidegate.plan(&worlds.name).await.unwrap();
    let pruned: Vec<String> = plan
        .entries
        .iter()
        .filter(|entry| entry.action.is_change())
        .map(|entry| entry.key.name.clone())
        .collect();
    assert_eq!(pruned.len(), 2, "{pruned:?}");
    let done = worlds.sync().await;
    assert_eq!(done.phase, OperationPhase::Succeeded, "{}", done.message);
    assert_eq!(
        worlds.memory.calls(),
        ["delete a-user|Note", "delete a-user"]
    );
    let compared = tidegate.compare(&worlds.name).await.unwrap();
    assert_eq!(compared.sync, SyncStatus::Synced);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_is_refused_fails_the_sync_in_its_own_words() {
    let worlds = Worlds::new("refused").await;
    let bad = resource(
        THING,
        "Worse",
        0,
        "PhysicalName: worse\nProperties: {Bad: 1}",
    );
    let later = resource(THING, "Later", 1, "PhysicalName: later\nProperties: {}");
    worlds.write("template.yaml", &format!("{bad}{later}"));
    let done = worlds.sync().await;
    assert_eq!(done.phase, OperationPhase::Failed);
    assert!(
        done.message.contains("Bad is not allowed"),
        "{}",
        done.message
    );
    assert_eq!(worlds.memory.calls(), Vec::<String>::new());
}
