//! The `Applier` over handlers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;
use tidegate_applier::{
    Applier, ApplierError, ApplyRequest, ApplyResult, Capabilities, ChangePreview, DeleteOutcome,
    DeleteRequest, Description, ErrorKind, KindFacts, Owned, OwnedList, OwnerRef, ReadOptions,
    ReadResult, Scope,
};
use tidegate_manifest::{AWS_GROUP, CloudFormationResource, GroupKind, ResourceKey, Target};

use crate::apply::Leftover;
use crate::discover::Discovery;
use crate::dynamic::BuiltInValues;
use crate::evaluate::secret_pointers;
use crate::facts::is_known;
use crate::pace::Pace;
use crate::resolve::{Known, lookup_of};
use crate::state::Records;
use crate::{
    Aws, DynamicValues, Handler, LiveResource, Lookup, Mark, MemoryState, Record, StateStore,
    batch, order, preview,
};

/// The version of the language, which every kind is served in.
const LANGUAGE_VERSION: &str = "2010-09-09";
/// Reads that are under way at once.
const PARALLEL: usize = 24;
/// Longest wait for a resource to settle after a change; a slower one is reported as progressing.
const SETTLE: Duration = Duration::from_secs(600);

/// What an [`AwsApplier`] is made with.
#[derive(Debug)]
pub struct AwsApplierOptions {
    /// What is remembered of what was applied.
    pub state: Arc<dyn StateStore>,
    /// Who looks up dynamic references; none: the services that this build has.
    pub dynamic: Option<Arc<dyn DynamicValues>>,
    /// Who finds resources by tag; none: only what is remembered is known as owned.
    pub discovery: Option<Arc<dyn Discovery>>,
    /// Longest wait for a resource to settle.
    pub settle: Duration,
}

impl Default for AwsApplierOptions {
    fn default() -> Self {
        Self {
            state: Arc::new(MemoryState::default()),
            dynamic: None,
            discovery: None,
            settle: SETTLE,
        }
    }
}

/// Applies CloudFormation resources to one account and region. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AwsApplier {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) aws: Aws,
    target: Target,
    handlers: BTreeMap<&'static str, Arc<dyn Handler>>,
    fallback: Option<Arc<dyn Handler>>,
    state: Arc<dyn StateStore>,
    pub(crate) dynamic: Arc<dyn DynamicValues>,
    discovery: Option<Arc<dyn Discovery>>,
    pub(crate) settle: Duration,
    /// What the engine wants, by key: names are not in the keys.
    announced: Mutex<BTreeMap<ResourceKey, (String, Arc<CloudFormationResource>)>>,
    /// What discovery found, by key.
    found: Mutex<BTreeMap<ResourceKey, Lookup>>,
}

impl AwsApplier {
    /// An applier of `target` with these handlers; of several for one type the last counts.
    pub fn new(
        aws: Aws,
        target: Target,
        handlers: impl IntoIterator<Item = Arc<dyn Handler>>,
        options: AwsApplierOptions,
    ) -> Self {
        let mut by_type = BTreeMap::new();
        let mut fallback = None;
        for handler in handlers {
            for name in handler.types() {
                if *name == "*" {
                    fallback = Some(Arc::clone(&handler));
                } else {
                    by_type.insert(*name, Arc::clone(&handler));
                }
            }
        }
        let dynamic = options
            .dynamic
            .unwrap_or_else(|| Arc::new(BuiltInValues::new(&aws)));
        Self {
            inner: Arc::new(Inner {
                aws,
                target,
                handlers: by_type,
                fallback,
                state: options.state,
                dynamic,
                discovery: options.discovery,
                settle: options.settle,
                announced: Mutex::default(),
                found: Mutex::default(),
            }),
        }
    }

    /// The connection.
    pub fn aws(&self) -> &Aws {
        &self.inner.aws
    }
}

/// The key under which a resource is remembered.
pub(crate) fn record_key(resource_type: &str, stack: &str, logical_id: &str) -> String {
    format!("{resource_type} {stack}/{logical_id}")
}

impl Inner {
    /// Who serves a type.
    pub(crate) fn handler(&self, resource_type: &str) -> Result<&Arc<dyn Handler>, ApplierError> {
        let found = self.handlers.get(resource_type);
        let fallback = self.fallback.as_ref();
        found
            .or_else(|| fallback.filter(|_| is_known(resource_type)))
            .ok_or_else(|| {
                let message = format!("{resource_type} is not a type that this build can apply");
                ApplierError::new(ErrorKind::NotFound, message).help(
                    "take the resource out, or deploy it by CloudFormation and name it by its ARN",
                )
            })
    }

    fn serves(&self, resource_type: &str) -> bool {
        self.handler(resource_type).is_ok()
    }

    fn target_name(&self) -> String {
        format!("{}/{}", self.aws.account_id, self.aws.region)
    }

    /// What is remembered of an application.
    pub(crate) fn records(&self, application: &str) -> Result<Records, ApplierError> {
        self.state.load(&self.target_name(), application)
    }

    /// One of them.
    pub(crate) fn record_of_key(
        &self,
        application: &str,
        key: &str,
    ) -> Result<Option<Record>, ApplierError> {
        self.state.one(&self.target_name(), application, key)
    }

    /// Remembers, or forgets.
    pub(crate) fn remember(
        &self,
        application: &str,
        key: String,
        record: Option<Record>,
    ) -> Result<(), ApplierError> {
        let changes = BTreeMap::from([(key, record)]);
        self.state.save(&self.target_name(), application, &changes)
    }

    /// What is remembered of a resource: of the application that is named, else of any.
    pub(crate) fn record(
        &self,
        resource_type: &str,
        mark: &Mark,
        application: Option<&str>,
    ) -> Result<Option<Record>, ApplierError> {
        let key = record_key(resource_type, &mark.stack, &mark.logical_id);
        if let Some(application) = application
            && let Some(found) = self.record_of_key(application, &key)?
        {
            return Ok(Some(found));
        }
        for other in self.state.applications(&self.target_name())? {
            if let Some(found) = self.record_of_key(&other, &key)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The live resource that a lookup finds, and what is remembered of it.
    pub(crate) async fn find(
        &self,
        mut lookup: Lookup,
        application: Option<&str>,
    ) -> Result<(Option<LiveResource>, Option<Record>), ApplierError> {
        let handler = self.handler(&lookup.resource_type)?;
        let record = self.record(&lookup.resource_type, &lookup.mark, application)?;
        if lookup.physical_id.is_none() {
            lookup.physical_id = record.as_ref().map(|found| found.physical_id.clone());
        }
        let live = handler.read(&lookup).await?;
        Ok((live, record))
    }

    fn announced(&self, key: &ResourceKey) -> Option<(String, Arc<CloudFormationResource>)> {
        let announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        announced.get(key).cloned()
    }

    /// What was announced of the same application, for references.
    fn announced_of(&self, application: &str) -> Vec<Arc<CloudFormationResource>> {
        let announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of = announced.values().filter(|(owner, _)| owner == application);
        of.map(|(_, resource)| Arc::clone(resource)).collect()
    }

    fn announce(&self, owner: &OwnerRef, wanted: &mut dyn Iterator<Item = (&ResourceKey, &Value)>) {
        let mut announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        announced.retain(|_, (application, _)| *application != owner.application);
        for (key, body) in wanted {
            if let Some(resource) = CloudFormationResource::from_body(body) {
                let entry = (owner.application.clone(), Arc::new(resource));
                announced.insert(key.clone(), entry);
            }
        }
    }

    async fn read_one(&self, key: &ResourceKey, contexts: &Contexts<'_>) -> ReadResult {
        let mut sensitive = Vec::new();
        let (lookup, application) = match self.announced(key) {
            Some((application, resource)) => {
                let known = contexts.known(&application);
                let evaluated = self.evaluated(&resource, known, &application, 0).await?;
                sensitive.clone_from(&resource.sensitive);
                secret_pointers(&evaluated.0.properties, &mut sensitive);
                (lookup_of(&evaluated.0), Some(application))
            }
            None => {
                let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                let lookup = found.get(key).cloned();
                drop(found);
                (lookup.unwrap_or_else(|| lookup_by_key(key)), None)
            }
        };
        if !self.serves(&lookup.resource_type) {
            return Ok(None);
        }
        let mark = lookup.mark.clone();
        let (live, record) = self.find(lookup, application.as_deref()).await?;
        let Some(live) = live else {
            return Ok(None);
        };
        if let Some(application) = &application {
            let known = contexts.known(application);
            known.learn(&mark.stack, &mark.logical_id, Some(live.clone()));
        }
        Ok(Some(preview::live_object(
            key,
            &live,
            record.as_ref(),
            &sensitive,
            None,
        )))
    }

    /// The requests' resources, or why one is none.
    pub(crate) fn resources(
        requests: &[ApplyRequest],
    ) -> Vec<Result<CloudFormationResource, ApplierError>> {
        let read = |request: &ApplyRequest| {
            CloudFormationResource::from_body(&request.body).ok_or_else(|| {
                let message = format!("{} is no CloudFormation resource", request.key.short());
                ApplierError::new(ErrorKind::Invalid, message)
            })
        };
        requests.iter().map(read).collect()
    }

    async fn discovered(
        &self,
        owner: &OwnerRef,
    ) -> Result<Vec<(ResourceKey, Lookup)>, ApplierError> {
        let Some(discovery) = &self.discovery else {
            return Ok(Vec::new());
        };
        let found = discovery.marked(&owner.application).await?;
        let named = found.into_iter().filter_map(|lookup| {
            if !self.serves(&lookup.resource_type) {
                return None;
            }
            let key = ResourceKey {
                target: self.target.clone(),
                group: AWS_GROUP.to_owned(),
                kind: lookup.resource_type.clone(),
                namespace: lookup.mark.stack.clone(),
                name: lookup.mark.logical_id.clone(),
            };
            Some((key, lookup))
        });
        Ok(named.collect())
    }
}

/// What a key alone says.
fn lookup_by_key(key: &ResourceKey) -> Lookup {
    Lookup {
        resource_type: key.kind.clone(),
        mark: Mark {
            stack: key.namespace.clone(),
            logical_id: key.name.clone(),
            ..Mark::default()
        },
        ..Lookup::default()
    }
}

/// What was announced, per application, with what is learnt of it during one call.
struct Contexts<'r> {
    known: BTreeMap<String, Known<'r>>,
    nothing: Known<'r>,
}

impl<'r> Contexts<'r> {
    fn of(resources: &'r BTreeMap<String, Vec<Arc<CloudFormationResource>>>) -> Self {
        let known = resources.iter().map(|(application, resources)| {
            let known = Known::of(resources.iter().map(AsRef::as_ref));
            (application.clone(), known)
        });
        Self {
            known: known.collect(),
            nothing: Known::default(),
        }
    }

    fn known(&self, application: &str) -> &Known<'r> {
        self.known.get(application).unwrap_or(&self.nothing)
    }
}

#[async_trait]
impl Applier for AwsApplier {
    async fn describe(&self) -> Result<Description, ApplierError> {
        Ok(Description {
            name: "aws".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: self.inner.target.clone(),
            target_label: self.inner.aws.label(),
            capabilities: Capabilities {
                exact_preview: true,
                watch: false,
            },
        })
    }

    async fn kinds(&self, kinds: Vec<GroupKind>) -> Vec<Result<Option<KindFacts>, ApplierError>> {
        let answer = |kind: GroupKind| {
            let is_served = kind.group == AWS_GROUP && self.inner.serves(&kind.kind);
            Ok(is_served.then(|| KindFacts {
                kind,
                scope: Scope::Namespaced,
                versions: vec![LANGUAGE_VERSION.to_owned()],
                stale: false,
            }))
        };
        kinds.into_iter().map(answer).collect()
    }

    fn announce(&self, owner: &OwnerRef, wanted: &mut dyn Iterator<Item = (&ResourceKey, &Value)>) {
        self.inner.announce(owner, wanted);
    }

    async fn read(&self, keys: Vec<ResourceKey>, _: ReadOptions) -> Vec<ReadResult> {
        let mut resources = BTreeMap::new();
        for key in &keys {
            if let Some((application, _)) = self.inner.announced(key) {
                let entry = resources.entry(application);
                entry.or_insert_with_key(|name| self.inner.announced_of(name));
            }
        }
        let contexts = Contexts::of(&resources);
        let mut reads = Vec::with_capacity(keys.len());
        for key in &keys {
            reads.push(self.inner.read_one(key, &contexts));
        }
        stream::iter(reads).buffered(PARALLEL).collect().await
    }

    async fn plan_change(
        &self,
        requests: Vec<ApplyRequest>,
    ) -> Vec<Result<ChangePreview, ApplierError>> {
        let resources = Inner::resources(&requests);
        let known = Known::of(resources.iter().flatten());
        let mut previews = Vec::with_capacity(requests.len());
        for (request, resource) in requests.iter().zip(&resources) {
            let known = &known;
            previews.push(async move {
                let resource = resource.as_ref().map_err(Clone::clone)?;
                self.inner.preview_one(request, resource, known).await
            });
        }
        stream::iter(previews).buffered(PARALLEL).collect().await
    }

    async fn apply(&self, requests: Vec<ApplyRequest>) -> Vec<Result<ApplyResult, ApplierError>> {
        let resources = Inner::resources(&requests);
        let known = Known::of(resources.iter().flatten());
        // A place without a resource waits for nothing and fails by itself.
        let empty = CloudFormationResource::default();
        let batch: Vec<&CloudFormationResource> = resources
            .iter()
            .map(|resource| resource.as_ref().unwrap_or(&empty))
            .collect();
        let needs = if requests.iter().all(|request| request.dry_run) {
            vec![BTreeSet::new(); requests.len()]
        } else {
            order::dependencies(&batch)
        };
        let leftovers: Mutex<Vec<Leftover>> = Mutex::default();
        let pace = Pace::default();
        let work = |place: usize| {
            let (request, resource) = (&requests[place], &resources[place]);
            let (known, leftovers, pace) = (&known, &leftovers, &pace);
            async move {
                let resource = resource.as_ref().map_err(Clone::clone)?;
                let applied = pace
                    .keep(|| self.inner.apply_one(request, resource, known, leftovers))
                    .await;
                applied.map_err(|error| at_resource(error, resource))
            }
        };
        let blocked = |_: usize, need: usize| {
            let name = &batch[need].logical_id;
            let message = format!("not applied: {name}, which it names, was not applied");
            ApplierError::new(ErrorKind::Invalid, message).help(format!(
                "mend {name} first; its own error says what is wrong"
            ))
        };
        let answers = batch::run(&needs, &pace, work, blocked).await;
        let leftovers = leftovers
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let is_clean = answers.iter().all(Result::is_ok);
        self.inner.clear_leftovers(leftovers, is_clean).await;
        answers
    }

    async fn delete(
        &self,
        requests: Vec<DeleteRequest>,
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        self.inner.delete_all(&requests).await
    }

    async fn list_owned(&self, owner: OwnerRef) -> Result<OwnedList, ApplierError> {
        let mut items: BTreeMap<ResourceKey, Owned> = BTreeMap::new();
        let mut incomplete = Vec::new();
        let mut add = |key: ResourceKey, uid: String, mark: &Mark| {
            if mark.retain {
                return;
            }
            let owned = Owned {
                key: key.clone(),
                uid,
                version: String::new(),
                is_root: true,
                is_self_reference: true,
                is_deleting: false,
                annotations: mark.annotations.clone(),
            };
            items.entry(key).or_insert(owned);
        };
        for (key, record) in self.inner.records(&owner.application)? {
            let is_ours = record.mark.application == owner.application;
            if Leftover::is_key(&key) || !is_ours {
                continue;
            }
            let key = ResourceKey {
                target: self.inner.target.clone(),
                group: AWS_GROUP.to_owned(),
                kind: record.resource_type.clone(),
                namespace: record.mark.stack.clone(),
                name: record.mark.logical_id.clone(),
            };
            let uid = Record::uid(&record.physical_id, Some(&record));
            add(key, uid, &record.mark);
        }
        match self.inner.discovered(&owner).await {
            Ok(found) => {
                let mut kept = self
                    .inner
                    .found
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                for (key, lookup) in found {
                    let id = lookup.physical_id.clone();
                    let id = id.or_else(|| lookup.physical_name.clone());
                    add(key.clone(), id.unwrap_or_default(), &lookup.mark);
                    kept.insert(key, lookup);
                }
            }
            Err(error) => incomplete.push(format!("resources by tag: {error}")),
        }
        Ok(OwnedList {
            items: items.into_values().collect(),
            incomplete,
        })
    }
}

/// Says which resource an error is of, where AWS's words do not.
fn at_resource(mut error: ApplierError, resource: &CloudFormationResource) -> ApplierError {
    if !error.message.contains(&resource.logical_id) {
        error.message = format!("{}: {}", resource.logical_id, error.message);
    }
    error
}
