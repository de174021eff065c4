//! The applier: requests to the kinds that answer them, whose a topic or a user is, and what is remembered.
//!
//! Must not know: how a kind is compared or changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;
use tidegate_applier::{
    Applier, ApplierError, ApplyRequest, ApplyResult, Capabilities, ChangePreview, DeleteOutcome,
    DeleteRequest, Description, ErrorKind, KindFacts, LiveObject, Owned, OwnedList, OwnerRef,
    ReadOptions, ReadResult, Scope,
};
use tidegate_manifest::{Diagnostic, GroupKind, Object, ResourceKey, Target};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::client::Client;
use crate::document::{GROUP, VERSIONS};
use crate::ledger::{Ledger, MemoryLedger, Record, Records};
use crate::registry::SchemaRegistry;
use crate::secrets::{NoSecrets, SecretSource};
use crate::shape::Plan;
use crate::subject;
use crate::topics::Looks;

/// Objects that are applied at one time.
pub(crate) const PARALLEL: usize = 8;

/// After this no further item of a batch is begun: each may wait for a broker that is silent.
const BATCH: Duration = Duration::from_secs(80);

/// What the applier is made with beside the cluster.
#[derive(Clone, Debug)]
pub struct KafkaApplierOptions {
    /// Remembers what was applied.
    pub ledger: Arc<dyn Ledger>,
    /// Where passwords of users come from.
    pub secrets: Arc<dyn SecretSource>,
    /// Where schemas are registered.
    pub registry: Option<SchemaRegistry>,
}

impl Default for KafkaApplierOptions {
    fn default() -> Self {
        Self {
            ledger: Arc::new(MemoryLedger::default()),
            secrets: Arc::new(NoSecrets),
            registry: None,
        }
    }
}

/// Topics and users of one Kafka cluster. Clones share it.
#[derive(Clone, Debug)]
pub struct KafkaApplier {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) client: Client,
    target: Target,
    pub(crate) options: KafkaApplierOptions,
    /// The application and the body of what is wanted.
    announced: Mutex<BTreeMap<ResourceKey, (String, Value)>>,
    cluster: OnceCell<String>,
}

/// The kinds that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Topic,
    User,
    Subject,
}

impl Kind {
    pub(crate) fn of(kind: &GroupKind) -> Option<Self> {
        match (kind.group.as_str(), kind.kind.as_str()) {
            (GROUP, "KafkaTopic") => Some(Self::Topic),
            (GROUP, "KafkaUser") => Some(Self::User),
            (subject::GROUP, subject::KIND) => Some(Self::Subject),
            _ => None,
        }
    }

    pub(crate) fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Topic | Self::User => &VERSIONS,
            Self::Subject => &[subject::VERSION],
        }
    }
}

/// Everything that is remembered, of all applications, as it was when a call began.
#[derive(Debug, Default)]
pub(crate) struct Book(BTreeMap<String, Records>);

impl Book {
    /// The record of a document, and the application that it stands with.
    pub(crate) fn find(&self, key: &ResourceKey) -> Option<(&str, &Record)> {
        let name = record_key(key);
        self.0
            .iter()
            .find_map(|(application, records)| Some((application.as_str(), records.get(&name)?)))
    }

    /// Another document that manages the same thing.
    pub(crate) fn rival(&self, key: &ResourceKey, subject: &str) -> Option<(&str, &Record)> {
        let own = record_key(key);
        self.0.iter().find_map(|(application, records)| {
            let found = records.iter().find(|(name, record)| {
                **name != own
                    && record.kind == key.kind
                    && record.subject == subject
                    && crate::document::care(&record.document, &record.kind)
                        != crate::document::Care::Unmanaged
            });
            found.map(|(_, record)| (application.as_str(), record))
        })
    }
}

/// How a record of a document is called.
pub(crate) fn record_key(key: &ResourceKey) -> String {
    format!("{} {}/{}", key.kind, key.namespace, key.name)
}

impl KafkaApplier {
    /// An applier of the cluster that a client reaches. Nothing is asked yet.
    pub fn new(client: Client, target: Target, options: KafkaApplierOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                client,
                target,
                options,
                announced: Mutex::default(),
                cluster: OnceCell::new(),
            }),
        }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }
}

impl Inner {
    /// The cluster's id, or where it is when it has none.
    pub(crate) async fn cluster(&self) -> Result<&str, ApplierError> {
        let asked = self.cluster.get_or_try_init(|| async {
            let metadata = self.client.metadata(Some(&[])).await;
            let metadata = metadata.map_err(|error| error.of_what(""))?;
            let id = metadata.cluster_id.map(|id| id.to_string());
            Ok(id
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| self.client.label()))
        });
        asked.await.map(String::as_str)
    }

    /// Fails when no broker answers.
    pub(crate) async fn cluster_answers(&self) -> Result<(), ApplierError> {
        let answer = self.client.metadata(Some(&[])).await;
        answer.map(|_| ()).map_err(|error| error.of_what(""))
    }

    pub(crate) async fn book(&self) -> Result<Book, ApplierError> {
        let cluster = self.cluster().await?;
        let ledger = &self.options.ledger;
        let mut book = Book::default();
        for application in ledger.applications(cluster)? {
            let records = ledger.load(cluster, &application)?;
            book.0.insert(application, records);
        }
        Ok(book)
    }

    /// Remembers a document, or forgets it.
    pub(crate) async fn remember(
        &self,
        application: &str,
        key: &ResourceKey,
        record: Option<Record>,
    ) -> Result<(), ApplierError> {
        let cluster = self.cluster().await?;
        let changes = BTreeMap::from([(record_key(key), record)]);
        self.options.ledger.save(cluster, application, &changes)
    }

    pub(crate) fn announced(&self, key: &ResourceKey) -> Option<Value> {
        let announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        announced.get(key).map(|(_, body)| body.clone())
    }

    /// Only one document may stand for a topic or a user; whoever had it first keeps it.
    pub(crate) fn check_rivals(
        &self,
        key: &ResourceKey,
        what: &str,
        subject: &str,
        book: &Book,
        is_same: impl Fn(&ResourceKey, &Value) -> bool,
    ) -> Result<(), ApplierError> {
        let taken = |by: String| {
            let message = format!("{what} {subject} is managed by {by}");
            ApplierError::new(ErrorKind::Conflict, message)
                .help("keep one document for it; to hand a topic over, annotate the old document with strimzi.io/managed: \"false\", sync, and remove it")
        };
        if let Some((other, application)) = self.announced_rival(key, is_same) {
            let has = |key: &ResourceKey| book.find(key).is_some_and(|(_, r)| r.subject == subject);
            if !has(key) || has(&other) {
                return Err(taken(format!(
                    "{} and {} at once (application {application})",
                    key.short(),
                    other.short()
                )));
            }
        }
        match book.rival(key, subject) {
            Some((application, record)) => Err(taken(format!(
                "{} {}/{} of application {application}, and {} asks for it too",
                record.kind,
                record.namespace,
                record.name,
                key.short()
            ))),
            None => Ok(()),
        }
    }

    /// Another wanted document of the same kind that stands for the same thing.
    fn announced_rival(
        &self,
        key: &ResourceKey,
        is_same: impl Fn(&ResourceKey, &Value) -> bool,
    ) -> Option<(ResourceKey, String)> {
        let announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut others = announced.iter().filter(|(other, _)| {
            *other != key && other.kind == key.kind && other.group == key.group
        });
        let found = others.find(|(other, (_, body))| is_same(other, body));
        found.map(|(other, (application, _))| (other.clone(), application.clone()))
    }

    /// Refuses kinds and versions that nobody serves.
    fn kind_of(request: &ApplyRequest) -> Result<Kind, ApplierError> {
        let kind = request.key.group_kind();
        let served = Kind::of(&kind).ok_or_else(|| {
            ApplierError::new(
                ErrorKind::NotFound,
                format!("{kind} is no kind that goes straight to Kafka"),
            )
            .help("KafkaTopic and KafkaUser of kafka.strimzi.io do; give the destination a cluster with Strimzi for the others")
        })?;
        if served.versions().contains(&request.gvk.version.as_str()) {
            return Ok(served);
        }
        Err(ApplierError::new(
            ErrorKind::NotFound,
            format!("{kind} has no version {:?}", request.gvk.version),
        )
        .help(format!(
            "write apiVersion: {}/{}",
            kind.group,
            served.versions()[0]
        )))
    }

    async fn plan_one(
        &self,
        request: &ApplyRequest,
        book: &Book,
        seen: &Looks,
    ) -> Result<Plan, ApplierError> {
        match Self::kind_of(request)? {
            Kind::Topic => self.plan_topic(request, book, seen).await,
            Kind::User => self.plan_user(request, book).await,
            Kind::Subject => self.plan_subject(request, book).await,
        }
    }

    async fn apply_one(
        &self,
        request: &ApplyRequest,
        book: &Book,
    ) -> Result<ApplyResult, ApplierError> {
        let kind = Self::kind_of(request)?;
        if request.dry_run {
            let plan = self.plan_one(request, book, &Looks::new()).await?;
            return Ok(foretold(request, plan));
        }
        match kind {
            Kind::Topic => self.apply_topic(request, book).await,
            Kind::User => self.apply_user(request, book).await,
            Kind::Subject => self.apply_subject(request, book).await,
        }
    }

    async fn delete_one(
        &self,
        request: &DeleteRequest,
        book: &Book,
    ) -> Result<DeleteOutcome, ApplierError> {
        let Some(kind) = Kind::of(&request.key.group_kind()) else {
            return Ok(DeleteOutcome::Absent);
        };
        let Some((application, record)) = book.find(&request.key) else {
            return Ok(DeleteOutcome::Absent);
        };
        if let Some(owner) = &request.owner
            && record.application != owner.application
        {
            let by = match record.application.as_str() {
                "" => "no application".to_owned(),
                other => format!("application {other}"),
            };
            let message = format!("{} belongs to {by}", request.key.short());
            return Err(ApplierError::new(ErrorKind::Conflict, message));
        }
        match kind {
            Kind::Topic => self.delete_topic(request, application, record).await,
            Kind::User => self.delete_user(request, application, record).await,
            Kind::Subject => self.delete_subject(request, application, record).await,
        }
    }

    async fn read_all(&self, keys: &[ResourceKey]) -> Vec<ReadResult> {
        let book = match self.book().await {
            Ok(book) => book,
            Err(error) => return keys.iter().map(|_| Err(error.clone())).collect(),
        };
        let of_kind = |kind: Kind| {
            let keys = keys
                .iter()
                .filter(move |key| Kind::of(&key.group_kind()) == Some(kind));
            keys.cloned().collect::<Vec<_>>()
        };
        let mut found = self.read_topics(&of_kind(Kind::Topic), &book).await;
        found.extend(self.read_users(&of_kind(Kind::User), &book).await);
        found.extend(self.read_subjects(&of_kind(Kind::Subject), &book).await);
        let answers = keys.iter().map(|key| found.remove(key).unwrap_or(Ok(None)));
        answers.collect()
    }
}

/// Does the work unless the batch that it belongs to has gone on for too long already.
fn in_time<'f, T: Send + 'f>(
    work: impl Future<Output = Result<T, ApplierError>> + Send + 'f,
) -> impl Future<Output = Result<T, ApplierError>> + Send + 'f {
    let end = Instant::now() + BATCH;
    async move {
        if Instant::now() > end {
            let message = "not attempted: the rest of its batch took too long";
            return Err(ApplierError::new(ErrorKind::Timeout, message));
        }
        work.await
    }
}

/// A dry run's answer.
fn foretold(request: &ApplyRequest, plan: Plan) -> ApplyResult {
    let live = plan.before.unwrap_or_else(|| LiveObject {
        key: request.key.clone(),
        body: Value::Null,
        version: String::new(),
        uid: String::new(),
        health: None,
    });
    ApplyResult {
        outcome: plan.outcome,
        live: LiveObject {
            body: plan.after,
            ..live
        },
        warnings: plan.warnings,
    }
}

#[async_trait]
impl Applier for KafkaApplier {
    async fn describe(&self) -> Result<Description, ApplierError> {
        let cluster = self.inner.cluster().await?;
        Ok(Description {
            name: "kafka".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: self.inner.target.clone(),
            target_label: format!("{} (cluster {cluster})", self.inner.client.label()),
            capabilities: Capabilities {
                exact_preview: true,
                watch: false,
            },
        })
    }

    async fn kinds(&self, kinds: Vec<GroupKind>) -> Vec<Result<Option<KindFacts>, ApplierError>> {
        let answer = |kind: GroupKind| {
            Ok(Kind::of(&kind).map(|served| KindFacts {
                kind,
                scope: Scope::Namespaced,
                versions: served.versions().iter().map(|v| (*v).to_owned()).collect(),
                stale: false,
            }))
        };
        kinds.into_iter().map(answer).collect()
    }

    fn announce(&self, owner: &OwnerRef, wanted: &mut dyn Iterator<Item = (&ResourceKey, &Value)>) {
        let mut announced = self
            .inner
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        announced.retain(|_, (application, _)| *application != owner.application);
        for (key, body) in wanted {
            if Kind::of(&key.group_kind()).is_some() {
                let entry = (owner.application.clone(), body.clone());
                announced.insert(key.clone(), entry);
            }
        }
    }

    fn check(&self, wanted: &mut dyn Iterator<Item = &Object>) -> Vec<Diagnostic> {
        let objects: Vec<Object> = wanted.cloned().collect();
        crate::check(&objects)
    }

    async fn read(&self, keys: Vec<ResourceKey>, _: ReadOptions) -> Vec<ReadResult> {
        self.inner.read_all(&keys).await
    }

    async fn plan_change(
        &self,
        requests: Vec<ApplyRequest>,
    ) -> Vec<Result<ChangePreview, ApplierError>> {
        let book = match self.inner.book().await {
            Ok(book) => book,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let seen = self.inner.look_at_topics(&requests).await;
        let mut plans = Vec::with_capacity(requests.len());
        for request in &requests {
            plans.push(in_time(self.inner.plan_one(request, &book, &seen)));
        }
        let plans: Vec<_> = stream::iter(plans).buffered(PARALLEL).collect().await;
        let preview = |plan: Plan| ChangePreview {
            outcome: plan.outcome,
            before: plan.before,
            after: plan.after,
            changes: plan.changes,
            assumed: false,
            warnings: plan.warnings,
        };
        plans.into_iter().map(|plan| plan.map(preview)).collect()
    }

    async fn apply(&self, requests: Vec<ApplyRequest>) -> Vec<Result<ApplyResult, ApplierError>> {
        let book = match self.inner.book().await {
            Ok(book) => book,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut work = Vec::with_capacity(requests.len());
        for request in &requests {
            work.push(in_time(self.inner.apply_one(request, &book)));
        }
        stream::iter(work).buffered(PARALLEL).collect().await
    }

    async fn delete(
        &self,
        requests: Vec<DeleteRequest>,
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        let book = match self.inner.book().await {
            Ok(book) => book,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut work = Vec::with_capacity(requests.len());
        for request in &requests {
            work.push(in_time(self.inner.delete_one(request, &book)));
        }
        stream::iter(work).buffered(PARALLEL).collect().await
    }

    async fn list_owned(&self, owner: OwnerRef) -> Result<OwnedList, ApplierError> {
        let cluster = self.inner.cluster().await?;
        let records = self
            .inner
            .options
            .ledger
            .load(cluster, &owner.application)?;
        let ours = records
            .into_values()
            .filter(|record| record.application == owner.application);
        let mut items: Vec<Owned> = ours
            .map(|record| Owned {
                key: ResourceKey {
                    target: self.inner.target.clone(),
                    group: match record.kind.as_str() {
                        subject::KIND => subject::GROUP.to_owned(),
                        _ => GROUP.to_owned(),
                    },
                    kind: record.kind.clone(),
                    namespace: record.namespace.clone(),
                    name: record.name.clone(),
                },
                uid: record.uid(),
                version: String::new(),
                is_root: true,
                is_self_reference: true,
                is_deleting: false,
                annotations: crate::document::annotations(&record.document),
            })
            .collect();
        items.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(OwnedList {
            items,
            incomplete: Vec::new(),
        })
    }
}
