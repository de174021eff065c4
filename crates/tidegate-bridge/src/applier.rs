//! Bindings as desired state: documents of kind `EventSourceBinding` are kept in a directory that bridges watch, and
//! run in this process when it has a bridge.
//!
//! Stands in front of the applier of the same Kafka cluster: every other kind is that one's.

mod shape;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tidegate_applier::{
    Applier, ApplierError, ApplyMode, ApplyRequest, ApplyResult, Capabilities, ChangeOutcome,
    ChangePreview, DeleteOutcome, DeleteRequest, Description, ErrorKind, KindFacts, LiveObject,
    Owned, OwnedList, OwnerRef, ReadOptions, ReadResult, Scope,
};
use tidegate_manifest::{Diagnostic, GroupKind, Object, Origin, ResourceKey, Target};
use tokio::sync::Mutex;

use crate::binding::{self, Binding, Defaults, LeaseSettings, SourceSettings, from_value};
use crate::bridge::{Bridge, View};
use shape::Plan;
use store::Store;

/// The group of bindings.
pub const GROUP: &str = "tidegate.dev";
/// Their kind.
pub const KIND: &str = "EventSourceBinding";
const VERSION: &str = "v1alpha1";

/// What the applier is made with.
#[derive(Debug, Default)]
pub struct BridgeApplierOptions {
    /// The applier of the Kafka cluster itself: takes every other kind.
    pub inner: Option<Arc<dyn Applier>>,
    /// Where documents are kept; none: in memory.
    pub folder: Option<PathBuf>,
    /// What the destination says about bindings.
    pub defaults: Defaults,
    /// Whether bindings run in this process.
    pub runs: Runs,
}

/// Who runs the bindings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runs {
    /// `tidegate-bridge --config DIR` of the same directory, elsewhere.
    #[default]
    Elsewhere,
    /// This process.
    Here,
}

/// Bindings of one Kafka cluster. Clones share them.
#[derive(Clone, Debug)]
pub struct BridgeApplier {
    inner: Option<Arc<dyn Applier>>,
    target: Target,
    defaults: Arc<Defaults>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    store: Store,
    /// The operation that made a binding anew last: the same one does not do it twice.
    recreated: BTreeMap<(String, String), String>,
    bridge: Option<Bridge>,
}

fn is_ours(key: &ResourceKey) -> bool {
    key.group == GROUP && key.kind == KIND
}

fn place(key: &ResourceKey) -> (String, String) {
    (key.namespace.clone(), key.name.clone())
}

/// What two sources share that only one may have.
fn shared_place(one: &SourceSettings, other: &SourceSettings) -> Option<String> {
    match (one, other) {
        (SourceSettings::Kafka(one), SourceSettings::Kafka(other)) => {
            let shares = one.group == other.group
                && one.bootstrap_servers == other.bootstrap_servers
                && one.topics.iter().any(|topic| other.topics.contains(topic));
            shares.then(|| format!("with consumer group {:?}", one.group))
        }
        (SourceSettings::Kinesis(one), SourceSettings::Kinesis(other)) => match &one.leases {
            LeaseSettings::Table(table) if one.leases == other.leases => {
                Some(format!("with lease table {table:?}"))
            }
            _ => None,
        },
        _ => None,
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl BridgeApplier {
    /// Reads what was applied before, and runs it when this process is to. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn open(target: Target, options: BridgeApplierOptions) -> Result<Self, ApplierError> {
        let store = match &options.folder {
            Some(folder) => Store::open(folder)?,
            None => Store::memory(),
        };
        let mut bindings = Vec::new();
        for document in store.documents.values() {
            match from_value(
                document,
                &Origin::default(),
                &options.defaults,
                &environment,
            ) {
                Ok(binding) => bindings.push(binding),
                Err(findings) => {
                    let error = refused(&findings);
                    tracing::error!("a binding that was applied does not run: {error}");
                }
            }
        }
        let bridge = match options.runs {
            Runs::Here => Some(Bridge::start(bindings).await),
            Runs::Elsewhere => None,
        };
        Ok(Self {
            inner: options.inner,
            target,
            defaults: Arc::new(options.defaults),
            state: Arc::new(Mutex::new(State {
                store,
                recreated: BTreeMap::new(),
                bridge,
            })),
        })
    }

    /// States and metrics of the bindings that run here.
    pub async fn view(&self) -> View {
        let state = self.state.lock().await;
        state.bridge.as_ref().map(Bridge::view).unwrap_or_default()
    }

    /// Drains and ends the bindings that run here; what is kept stays.
    pub async fn stop(&self) {
        if let Some(bridge) = &mut self.state.lock().await.bridge {
            bridge.stop().await;
        }
    }

    fn binding(&self, body: &Value) -> Result<Binding, ApplierError> {
        let read = from_value(body, &Origin::default(), &self.defaults, &environment);
        read.map_err(|findings| refused(&findings))
    }

    fn checked(&self, request: &ApplyRequest) -> Result<Binding, ApplierError> {
        if request.gvk.version != VERSION {
            let message = format!("{KIND} has no version {:?}", request.gvk.version);
            let help = format!("write apiVersion: {GROUP}/{VERSION}");
            return Err(ApplierError::new(ErrorKind::NotFound, message).help(help));
        }
        self.binding(&request.body)
    }

    fn plan_one(&self, state: &State, request: &ApplyRequest) -> Result<Plan, ApplierError> {
        let binding = self.checked(request)?;
        let before = self.live(state, &request.key);
        shape::check(&request.key, &request.precondition, before.as_ref())?;
        self.no_rival(state, &request.key, &binding)?;
        Ok(shape::plan(request, before))
    }

    /// Two documents may not share a consumer group of one topic, or the leases of a stream: each would get a part of
    /// the records.
    fn no_rival(
        &self,
        state: &State,
        key: &ResourceKey,
        binding: &Binding,
    ) -> Result<(), ApplierError> {
        let own = place(key);
        for (other, document) in &state.store.documents {
            if *other == own {
                continue;
            }
            let Ok(rival) = self.binding(document) else {
                continue;
            };
            let shared = shared_place(&binding.source, &rival.source);
            let shared = shared.or_else(|| {
                let name = &binding.name;
                (*name == rival.name).then(|| format!("with the name {name}"))
            });
            if let Some(shared) = shared {
                let message = format!(
                    "{} reads {shared}, which {}/{} has",
                    key.short(),
                    other.0,
                    other.1
                );
                return Err(ApplierError::new(ErrorKind::Conflict, message).help(
                    "give one of them another ConsumerGroupId, or another kinesis.leaseTable",
                ));
            }
        }
        Ok(())
    }

    fn live(&self, state: &State, key: &ResourceKey) -> Option<LiveObject> {
        let document = state.store.documents.get(&place(key))?;
        let health = state.bridge.as_ref().and_then(|bridge| {
            let name = self.binding(document).ok()?.name;
            bridge.health().remove(&name)
        });
        Some(shape::live(key, document, health))
    }

    async fn apply_one(&self, request: &ApplyRequest) -> Result<ApplyResult, ApplierError> {
        let mut state = self.state.lock().await;
        let mut plan = self.plan_one(&state, request)?;
        let own = place(&request.key);
        let again = state.recreated.get(&own) == Some(&request.operation_id);
        if request.mode == ApplyMode::Recreate && plan.before.is_some() && !again {
            plan.outcome = ChangeOutcome::Replaced;
        }
        if request.dry_run {
            return Ok(ApplyResult {
                outcome: plan.outcome,
                live: shape::live(&request.key, &plan.after, None),
                warnings: Vec::new(),
            });
        }
        if plan.outcome != ChangeOutcome::Unchanged {
            let mut document = plan.after;
            if plan.before.is_none() || plan.outcome == ChangeOutcome::Replaced {
                let uid = uuid::Uuid::new_v4().to_string();
                document["metadata"]["uid"] = Value::String(uid);
            }
            if plan.outcome == ChangeOutcome::Replaced {
                state.recreated.insert(own, request.operation_id.clone());
            }
            let binding = self.binding(&document)?;
            state.store.put(&place(&request.key), document)?;
            if let Some(bridge) = &mut state.bridge {
                bridge.put(binding).await;
            }
        }
        let live = self
            .live(&state, &request.key)
            .ok_or_else(|| ApplierError::new(ErrorKind::Internal, "the document was not kept"))?;
        Ok(ApplyResult {
            outcome: plan.outcome,
            live,
            warnings: Vec::new(),
        })
    }

    async fn delete_one(&self, request: &DeleteRequest) -> Result<DeleteOutcome, ApplierError> {
        let mut state = self.state.lock().await;
        let Some(live) = self.live(&state, &request.key) else {
            return Ok(DeleteOutcome::Absent);
        };
        shape::check(&request.key, &request.precondition, Some(&live))?;
        let holder = shape::application(&live.body, &request.key);
        if let Some(owner) = &request.owner
            && holder != owner.application
        {
            let by = if holder.is_empty() {
                "no application".to_owned()
            } else {
                format!("application {holder}")
            };
            let message = format!("{} belongs to {by}", request.key.short());
            return Err(ApplierError::new(ErrorKind::Conflict, message));
        }
        if request.dry_run {
            return Ok(DeleteOutcome::Deleted);
        }
        let name = self.binding(&live.body).map(|binding| binding.name);
        state.store.remove(&place(&request.key))?;
        state.recreated.remove(&place(&request.key));
        if let (Some(bridge), Ok(name)) = (&mut state.bridge, name) {
            bridge.remove(&name).await;
        }
        Ok(DeleteOutcome::Deleted)
    }
}

/// The first of some findings, as one error.
fn refused(findings: &[Diagnostic]) -> ApplierError {
    let Some(first) = findings.iter().find(|finding| finding.is_error()) else {
        return ApplierError::new(ErrorKind::Invalid, "it is no binding");
    };
    let error = ApplierError::new(ErrorKind::Invalid, first.message.clone());
    match &first.help {
        Some(help) => error.help(help.clone()),
        None => error,
    }
}

/// Sends what is ours one way and the rest another; answers come back in the order of the items.
macro_rules! split {
    ($self:ident, $items:ident, $inner:ident $(($($more:expr),*))?, |$item:ident| $key:expr => $own:expr, else $none:expr) => {{
        let mut answers = BTreeMap::new();
        let mut others = Vec::new();
        let mut places = Vec::new();
        for (index, $item) in $items.into_iter().enumerate() {
            if is_ours($key) {
                answers.insert(index, $own);
            } else {
                places.push(index);
                others.push($item);
            }
        }
        if !others.is_empty() {
            let theirs = match &$self.inner {
                Some(inner) => inner.$inner(others $($(, $more)*)?).await,
                None => others.iter().map(|_| $none).collect(),
            };
            answers.extend(places.into_iter().zip(theirs));
        }
        answers.into_values().collect()
    }};
}

fn unserved() -> ApplierError {
    ApplierError::new(
        ErrorKind::NotFound,
        "only EventSourceBinding goes to a bridge",
    )
}

#[async_trait]
impl Applier for BridgeApplier {
    async fn describe(&self) -> Result<Description, ApplierError> {
        if let Some(inner) = &self.inner {
            return inner.describe().await;
        }
        Ok(Description {
            name: "bridge".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: self.target.clone(),
            target_label: "event-source bindings".to_owned(),
            capabilities: Capabilities {
                exact_preview: true,
                watch: false,
            },
        })
    }

    async fn kinds(&self, kinds: Vec<GroupKind>) -> Vec<Result<Option<KindFacts>, ApplierError>> {
        let mut answers = match &self.inner {
            Some(inner) => inner.kinds(kinds.clone()).await,
            None => kinds.iter().map(|_| Ok(None)).collect(),
        };
        for (kind, answer) in kinds.into_iter().zip(&mut answers) {
            if kind.is(GROUP, KIND) {
                *answer = Ok(Some(KindFacts {
                    kind,
                    scope: Scope::Namespaced,
                    versions: vec![VERSION.to_owned()],
                    stale: false,
                }));
            }
        }
        answers
    }

    fn announce(&self, owner: &OwnerRef, wanted: &mut dyn Iterator<Item = (&ResourceKey, &Value)>) {
        if let Some(inner) = &self.inner {
            inner.announce(owner, wanted);
        }
    }

    fn check(&self, wanted: &mut dyn Iterator<Item = &Object>) -> Vec<Diagnostic> {
        let objects: Vec<&Object> = wanted.collect();
        let inner = self.inner.as_ref();
        let mut found =
            inner.map_or_else(Vec::new, |inner| inner.check(&mut objects.iter().copied()));
        let bindings = objects
            .into_iter()
            .filter(|object| object.group_kind().is(GROUP, KIND));
        for object in bindings {
            let findings =
                binding::findings(&object.body, &object.origin, &self.defaults, &environment);
            found.extend(
                findings
                    .into_iter()
                    .map(|finding| finding.object(object.short())),
            );
        }
        found
    }

    async fn read(&self, keys: Vec<ResourceKey>, options: ReadOptions) -> Vec<ReadResult> {
        split!(self, keys, read(options), |key| &key => {
            Ok(self.live(&*self.state.lock().await, &key))
        }, else Ok(None))
    }

    async fn plan_change(
        &self,
        requests: Vec<ApplyRequest>,
    ) -> Vec<Result<ChangePreview, ApplierError>> {
        split!(self, requests, plan_change, |request| &request.key => {
            let state = self.state.lock().await;
            self.plan_one(&state, &request).map(|plan| ChangePreview {
                outcome: plan.outcome,
                before: plan.before,
                after: plan.after,
                changes: plan.changes,
                assumed: false,
                warnings: Vec::new(),
            })
        }, else Err(unserved()))
    }

    async fn apply(&self, requests: Vec<ApplyRequest>) -> Vec<Result<ApplyResult, ApplierError>> {
        split!(self, requests, apply, |request| &request.key => {
            self.apply_one(&request).await
        }, else Err(unserved()))
    }

    async fn delete(
        &self,
        requests: Vec<DeleteRequest>,
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        split!(self, requests, delete, |request| &request.key => {
            self.delete_one(&request).await
        }, else Err(unserved()))
    }

    async fn list_owned(&self, owner: OwnerRef) -> Result<OwnedList, ApplierError> {
        let mut list = match &self.inner {
            Some(inner) => inner.list_owned(owner.clone()).await?,
            None => OwnedList::default(),
        };
        let state = self.state.lock().await;
        for ((namespace, name), document) in &state.store.documents {
            let key = ResourceKey {
                target: self.target.clone(),
                group: GROUP.to_owned(),
                kind: KIND.to_owned(),
                namespace: namespace.clone(),
                name: name.clone(),
            };
            if shape::application(document, &key) != owner.application {
                continue;
            }
            let live = shape::live(&key, document, None);
            let annotations = document["metadata"]["annotations"].as_object();
            let texts = annotations.into_iter().flatten();
            list.items.push(Owned {
                key,
                uid: live.uid,
                version: live.version,
                is_root: true,
                is_self_reference: true,
                is_deleting: false,
                annotations: texts
                    .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                    .collect(),
            });
        }
        list.items.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(list)
    }
}
