//! What every test stands on: a broker, an applier with a ledger, documents from YAML-like JSON.
//!
//! Must not know: any one test.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_applier::{
    Applier, ApplierError, ApplyRequest, ApplyResult, ChangePreview, DeleteOutcome, DeleteRequest,
    LiveObject, OwnerRef, Precondition, ReadOptions,
};
use tidegate_kafka::{
    Client, KafkaApplier, KafkaApplierOptions, MemoryLedger, SchemaRegistry, SecretSource, Security,
};
use tidegate_manifest::{
    GroupVersionKind, PropagationPolicy, ResourceKey, Target, TargetKind, TrackingId, annotation,
};
use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};

/// A broker and an applier of it.
pub(crate) struct Stage {
    pub(crate) sandbox: Option<SandboxKafka>,
    pub(crate) applier: KafkaApplier,
    pub(crate) secret: Arc<OneSecret>,
    /// Stands before the names of topics: a real broker keeps those of the last run.
    pub(crate) prefix: String,
}

pub(crate) fn target() -> Target {
    Target::new(TargetKind::Kafka, "test")
}

pub(crate) fn owner(name: &str) -> OwnerRef {
    OwnerRef {
        application: name.to_owned(),
        destination_namespace: "shop".to_owned(),
    }
}

/// One Secret, whose value changes.
#[derive(Debug, Default)]
pub(crate) struct OneSecret(std::sync::Mutex<Option<String>>);

impl OneSecret {
    pub(crate) fn set(&self, value: Option<&str>) {
        *self.0.lock().unwrap() = value.map(str::to_owned);
    }
}

#[async_trait::async_trait]
impl SecretSource for OneSecret {
    async fn value(&self, _: &str, name: &str, _: &str) -> Result<Option<String>, ApplierError> {
        let value = self.0.lock().unwrap().clone();
        Ok(value.filter(|_| name == "passwords"))
    }
}

fn applier(bootstrap: &str, secrets: &Arc<OneSecret>) -> KafkaApplier {
    applier_with(bootstrap, secrets, None)
}

/// An applier with a Schema Registry.
pub(crate) fn applier_with(
    bootstrap: &str,
    secrets: &Arc<OneSecret>,
    registry: Option<SchemaRegistry>,
) -> KafkaApplier {
    let client = Client::new(bootstrap, Security::default()).unwrap();
    applier_of(client, secrets, registry)
}

fn applier_of(
    client: Client,
    secrets: &Arc<OneSecret>,
    registry: Option<SchemaRegistry>,
) -> KafkaApplier {
    let options = KafkaApplierOptions {
        ledger: Arc::new(MemoryLedger::default()),
        secrets: Arc::<OneSecret>::clone(secrets),
        registry,
    };
    KafkaApplier::new(client, target(), options)
}

/// Any broker that a client reaches.
#[cfg(feature = "tls")]
pub(crate) fn of(client: Client) -> Stage {
    let secret = Arc::new(OneSecret::default());
    Stage {
        applier: applier_of(client, &secret, None),
        secret,
        sandbox: None,
        prefix: String::new(),
    }
}

/// The sandbox's broker.
pub(crate) async fn sandbox() -> Stage {
    let options = KafkaOptions {
        sasl_port: Some(0),
        ..KafkaOptions::default()
    };
    let sandbox = SandboxKafka::start(options).await.unwrap();
    let secret = Arc::new(OneSecret::default());
    Stage {
        applier: applier(&sandbox.bootstrap(), &secret),
        secret,
        sandbox: Some(sandbox),
        prefix: String::new(),
    }
}

/// Both brokers, or the sandbox's alone where there is no other.
pub(crate) async fn all() -> Vec<Stage> {
    let mut stages = vec![sandbox().await];
    match std::env::var("TIDEGATE_TEST_KAFKA") {
        Ok(bootstrap) => {
            let secret = Arc::new(OneSecret::default());
            stages.push(Stage {
                applier: applier(&bootstrap, &secret),
                secret,
                sandbox: None,
                prefix: format!("t{}-", &uuid()[..8]),
            });
        }
        Err(_) => say("SKIPPED on Apache Kafka: TIDEGATE_TEST_KAFKA is not set"),
    }
    stages
}

/// Tells people something.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so loudly")]
pub(crate) fn say(words: &str) {
    eprintln!("{words}");
}

/// Something that no earlier run had.
fn uuid() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!(
        "{:08x}{:08x}",
        now.unwrap().subsec_nanos(),
        std::process::id()
    )
}

impl Stage {
    pub(crate) fn key(&self, kind: &str, name: &str) -> ResourceKey {
        ResourceKey {
            target: target(),
            group: "kafka.strimzi.io".to_owned(),
            kind: kind.to_owned(),
            namespace: "shop".to_owned(),
            name: format!("{}{name}", self.prefix),
        }
    }

    /// A document with the mark of an application.
    pub(crate) fn document(
        &self,
        kind: &str,
        name: &str,
        application: &str,
        annotations: &[(&str, &str)],
        spec: &Value,
    ) -> (ResourceKey, Value) {
        let key = self.key(kind, name);
        let mut marks: BTreeMap<String, String> = annotations
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let id = TrackingId {
            application: application.to_owned(),
            group: key.group.clone(),
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        };
        marks.insert(annotation::TRACKING_ID.to_owned(), id.to_string());
        let body = json!({
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "labels": {"strimzi.io/cluster": "main"},
                "annotations": marks,
            },
            "spec": spec,
        });
        (key, body)
    }

    pub(crate) fn topic(&self, name: &str, spec: &Value) -> (ResourceKey, Value) {
        self.document("KafkaTopic", name, "shop", &[], spec)
    }

    pub(crate) fn user(&self, name: &str, spec: &Value) -> (ResourceKey, Value) {
        self.document("KafkaUser", name, "shop", &[], spec)
    }

    pub(crate) async fn apply(
        &self,
        document: &(ResourceKey, Value),
    ) -> Result<ApplyResult, ApplierError> {
        self.apply_for("shop", document).await
    }

    pub(crate) async fn apply_for(
        &self,
        application: &str,
        document: &(ResourceKey, Value),
    ) -> Result<ApplyResult, ApplierError> {
        self.send(request(application, document)).await
    }

    pub(crate) async fn send(&self, request: ApplyRequest) -> Result<ApplyResult, ApplierError> {
        self.applier.apply(vec![request]).await.remove(0)
    }

    pub(crate) async fn plan(
        &self,
        document: &(ResourceKey, Value),
    ) -> Result<ChangePreview, ApplierError> {
        let requests = vec![request("shop", document)];
        self.applier.plan_change(requests).await.remove(0)
    }

    pub(crate) async fn read(&self, key: &ResourceKey) -> Option<LiveObject> {
        let keys = vec![key.clone()];
        let answers = self.applier.read(keys, ReadOptions::default());
        answers.await.remove(0).unwrap()
    }

    pub(crate) async fn delete(&self, key: &ResourceKey) -> Result<DeleteOutcome, ApplierError> {
        self.delete_very(key, None).await
    }

    /// Deletes the very object with this identity.
    pub(crate) async fn delete_very(
        &self,
        key: &ResourceKey,
        uid: Option<String>,
    ) -> Result<DeleteOutcome, ApplierError> {
        let request = DeleteRequest {
            key: key.clone(),
            propagation: PropagationPolicy::Background,
            precondition: Precondition {
                uid,
                ..Precondition::default()
            },
            owner: Some(owner("shop")),
            remove_finalizer: None,
            dry_run: false,
            operation_id: "prune".to_owned(),
        };
        self.applier.delete(vec![request]).await.remove(0)
    }
}

pub(crate) fn request(application: &str, document: &(ResourceKey, Value)) -> ApplyRequest {
    let (key, body) = document;
    let gvk = GroupVersionKind::new(body["apiVersion"].as_str().unwrap(), key.kind.clone());
    let mut request = ApplyRequest::new(key.clone(), gvk, body.clone(), owner(application));
    request.operation_id = "sync-1".to_owned();
    request
}

/// The brokers past the applier: what somebody else does, and what somebody else sees.
impl Stage {
    fn consumer(&self) -> rdkafka::ClientConfig {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", self.applier.client().label());
        config
    }

    /// Sets or unsets a value as another tool would.
    pub(crate) async fn by_hand(&self, topic: &str, key: &str, value: Option<&str>) {
        self.applier
            .client()
            .set_topic_config(topic, key, value)
            .await
            .unwrap();
    }

    /// What is set on the topic itself, as librdkafka reads it.
    pub(crate) async fn own_configs(&self, topic: &str) -> BTreeMap<String, String> {
        use rdkafka::admin::{AdminClient, AdminOptions, ConfigSource, ResourceSpecifier};
        let admin: AdminClient<_> = self.consumer().create().unwrap();
        let asked = [ResourceSpecifier::Topic(topic)];
        let found = admin.describe_configs(&asked, &AdminOptions::new()).await;
        let found = found.unwrap().remove(0).unwrap();
        let own = found
            .entries
            .into_iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic);
        own.map(|entry| (entry.name, entry.value.unwrap_or_default()))
            .collect()
    }

    /// Whether librdkafka sees the topic of a document with this name.
    pub(crate) async fn is_there(&self, name: &str) -> bool {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let name = format!("{}{name}", self.prefix);
        let consumer: BaseConsumer = self.consumer().create().unwrap();
        let seen = tokio::task::spawn_blocking(move || {
            let all = consumer.fetch_metadata(None, std::time::Duration::from_secs(10));
            let all = all.unwrap();
            all.topics().iter().any(|topic| topic.name() == name)
        });
        seen.await.unwrap()
    }
}
