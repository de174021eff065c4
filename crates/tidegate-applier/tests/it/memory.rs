//! An applier whose target is a map in memory; it can be broken in one way on purpose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tidegate_applier::conformance::{Fault, FaultInjector, Fixture, Sample};
use tidegate_applier::manifest::{GroupKind, GroupVersionKind, ResourceKey, Target, TrackingId};
use tidegate_applier::{
    Applier, ApplierError, ApplyMode, ApplyRequest, ApplyResult, Capabilities, ChangeOutcome,
    ChangePreview, DeleteOutcome, DeleteRequest, Description, ErrorKind, FieldChange, KindFacts,
    LiveObject, Owned, OwnedList, OwnerRef, Precondition, ReadOptions, ReadResult, Scope,
    WatchEvent, WatchStream, async_trait,
};
use tokio::sync::broadcast;

/// One way to break the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    ForgetsTarget,
    KnowsNoKind,
    AbsentIsAnError,
    CreationIsAnUpdate,
    AlwaysUpdates,
    NeverUpdates,
    RecreatesAgain,
    DeletesAgain,
    DryRunActs,
    PreviewLies,
    IgnoresApplyPreconditions,
    IgnoresDeletePreconditions,
    AnswersBackwards,
    OneBadFailsAll,
    DeletesForAnyone,
    ListsForeign,
    HidesDeletions,
    GivesUpWhenThrottled,
    GivesUpWhenAbsent,
    LostRepliesAreFinal,
    WaitsForever,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ResourceKey, (Value, u64, u64)>,
    counter: u64,
    recreated: BTreeMap<(String, ResourceKey), u64>,
    fault: Option<(Fault, u32)>,
}

#[derive(Debug)]
pub(crate) struct Memory {
    state: Mutex<State>,
    events: broadcast::Sender<WatchEvent>,
    mutant: Option<Mutant>,
}

impl Memory {
    pub(crate) fn new(mutant: Option<Mutant>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            events: broadcast::channel(4096).0,
            mutant,
        })
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no check panics")
    }

    /// What the next request meets; the applier repeats until it meets nothing.
    async fn disturbed(&self, changes_something: bool) -> Result<bool, ApplierError> {
        loop {
            let fault = {
                let mut state = self.state();
                match &mut state.fault {
                    Some((Fault::Silence, _)) => Some(Fault::Silence),
                    Some((fault, times)) if changes_something && *times > 0 => {
                        *times -= 1;
                        Some(*fault)
                    }
                    _ => None,
                }
            };
            let error = |kind| Err(ApplierError::new(kind, "disturbed"));
            match fault {
                None => return Ok(false),
                Some(Fault::LostReply) => return Ok(true),
                Some(Fault::Silence) if self.is(Mutant::WaitsForever) => {
                    std::future::pending::<()>().await;
                }
                Some(Fault::Silence) => return error(ErrorKind::Timeout),
                Some(Fault::Throttled) if self.is(Mutant::GivesUpWhenThrottled) => {
                    return error(ErrorKind::Throttled);
                }
                Some(Fault::Unavailable) if self.is(Mutant::GivesUpWhenAbsent) => {
                    return error(ErrorKind::Unavailable);
                }
                Some(Fault::Throttled | Fault::Unavailable) => {}
            }
        }
    }

    fn live(&self, state: &State, key: &ResourceKey) -> Option<LiveObject> {
        let (body, uid, version) = state.objects.get(key)?;
        Some(LiveObject {
            key: key.clone(),
            body: body.clone(),
            version: version.to_string(),
            uid: uid.to_string(),
            health: None,
        })
    }

    fn change(&self, request: &ApplyRequest, dry_run: bool) -> Result<ApplyResult, ApplierError> {
        if !KINDS.contains(&request.key.kind.as_str()) {
            return Err(ApplierError::new(ErrorKind::NotFound, "unknown kind"));
        }
        if request.body["value"].is_null() {
            return Err(ApplierError::new(ErrorKind::Invalid, "value is required"));
        }
        let mut state = self.state();
        let live = self.live(&state, &request.key);
        if !self.is(Mutant::IgnoresApplyPreconditions) {
            check(&request.precondition, live.as_ref())?;
        }
        let operation = (request.operation_id.clone(), request.key.clone());
        let done = state.recreated.get(&operation).copied();
        let outcome = match &live {
            None => ChangeOutcome::Created,
            Some(live) if request.mode == ApplyMode::Recreate => {
                if done.is_some_and(|uid| uid.to_string() == live.uid)
                    && !self.is(Mutant::RecreatesAgain)
                {
                    ChangeOutcome::Unchanged
                } else {
                    ChangeOutcome::Replaced
                }
            }
            Some(live) if live.body == request.body => ChangeOutcome::Unchanged,
            Some(_) => ChangeOutcome::Updated,
        };
        let outcome = match outcome {
            ChangeOutcome::Created if self.is(Mutant::CreationIsAnUpdate) => ChangeOutcome::Updated,
            ChangeOutcome::Unchanged if self.is(Mutant::AlwaysUpdates) => ChangeOutcome::Updated,
            ChangeOutcome::Updated if self.is(Mutant::NeverUpdates) => ChangeOutcome::Unchanged,
            outcome => outcome,
        };
        let (uid, version) = match &live {
            Some(live) if outcome != ChangeOutcome::Replaced => (
                live.uid.parse().expect("ours"),
                live.version.parse().expect("ours"),
            ),
            _ => (state.counter + 1, 0),
        };
        let after = if outcome == ChangeOutcome::Unchanged {
            (live.map_or(Value::Null, |live| live.body), uid, version)
        } else {
            (request.body.clone(), uid, state.counter + 2)
        };
        if !dry_run || self.is(Mutant::DryRunActs) {
            state.counter += 2;
            if outcome == ChangeOutcome::Replaced {
                state.recreated.insert(operation, uid);
            }
            state.objects.insert(request.key.clone(), after.clone());
            let _ = self
                .events
                .send(event(request.key.clone(), &after.0, false));
        }
        let (body, uid, version) = after;
        Ok(ApplyResult {
            outcome,
            live: LiveObject {
                key: request.key.clone(),
                body,
                version: version.to_string(),
                uid: uid.to_string(),
                health: None,
            },
            warnings: Vec::new(),
        })
    }

    async fn apply_one(&self, request: &ApplyRequest) -> Result<ApplyResult, ApplierError> {
        if self.disturbed(true).await? {
            self.change(request, request.dry_run)?;
            let error = ApplierError::new(ErrorKind::Timeout, "the reply was lost");
            return Err(error.retryable(!self.is(Mutant::LostRepliesAreFinal)));
        }
        self.change(request, request.dry_run)
    }

    async fn delete_one(&self, request: &DeleteRequest) -> Result<DeleteOutcome, ApplierError> {
        self.disturbed(true).await?;
        let mut state = self.state();
        let Some(live) = self.live(&state, &request.key) else {
            return Ok(
                if self.is(Mutant::DeletesAgain) && request.key.name.ends_with("-6") {
                    DeleteOutcome::Deleted
                } else {
                    DeleteOutcome::Absent
                },
            );
        };
        if let Some(owner) = &request.owner
            && !self.is(Mutant::DeletesForAnyone)
        {
            let mark = TrackingId::of(&live.body);
            if mark.is_none_or(|mark| mark.application != owner.application) {
                return Err(ApplierError::new(ErrorKind::Conflict, "not yours"));
            }
        }
        if !self.is(Mutant::IgnoresDeletePreconditions) {
            check(&request.precondition, Some(&live))?;
        }
        if !request.dry_run {
            state.objects.remove(&request.key);
            if !self.is(Mutant::HidesDeletions) {
                let _ = self
                    .events
                    .send(event(request.key.clone(), &live.body, true));
            }
        }
        Ok(DeleteOutcome::Deleted)
    }
}

const KINDS: [&str; 1] = ["Thing"];

fn event(key: ResourceKey, body: &Value, deleted: bool) -> WatchEvent {
    WatchEvent {
        key,
        applications: TrackingId::of(body)
            .map(|mark| mark.application)
            .into_iter()
            .collect(),
        deleted,
        health: None,
        desired_fields_changed: true,
    }
}

fn check(wanted: &Precondition, live: Option<&LiveObject>) -> Result<(), ApplierError> {
    let holds = wanted.exists.is_none_or(|exists| exists == live.is_some())
        && wanted
            .uid
            .as_ref()
            .is_none_or(|uid| live.is_some_and(|live| live.uid == *uid))
        && wanted
            .version
            .as_ref()
            .is_none_or(|v| live.is_some_and(|live| live.version == *v));
    if holds {
        return Ok(());
    }
    Err(ApplierError::new(
        ErrorKind::Conflict,
        "precondition failed",
    ))
}

#[async_trait]
impl Applier for Memory {
    async fn describe(&self) -> Result<Description, ApplierError> {
        let name = if self.is(Mutant::ForgetsTarget) {
            "other"
        } else {
            "memory"
        };
        Ok(Description {
            name: "memory".into(),
            version: "1".into(),
            target: Target::kubernetes(name),
            target_label: "memory".into(),
            capabilities: Capabilities {
                exact_preview: true,
                watch: true,
            },
        })
    }

    async fn kinds(&self, kinds: Vec<GroupKind>) -> Vec<Result<Option<KindFacts>, ApplierError>> {
        let known =
            |kind: &GroupKind| KINDS.contains(&kind.kind.as_str()) && !self.is(Mutant::KnowsNoKind);
        kinds
            .into_iter()
            .map(|kind| {
                Ok(known(&kind).then(|| KindFacts {
                    kind,
                    scope: Scope::Namespaced,
                    versions: vec!["v1".into()],
                    stale: false,
                }))
            })
            .collect()
    }

    async fn read(&self, keys: Vec<ResourceKey>, _: ReadOptions) -> Vec<ReadResult> {
        let mut answers = Vec::new();
        for key in keys {
            if let Err(error) = self.disturbed(false).await {
                answers.push(Err(error));
                continue;
            }
            let live = self.live(&self.state(), &key);
            answers.push(if live.is_none() && self.is(Mutant::AbsentIsAnError) {
                Err(ApplierError::new(ErrorKind::NotFound, "not there"))
            } else {
                Ok(live)
            });
        }
        answers
    }

    async fn plan_change(
        &self,
        requests: Vec<ApplyRequest>,
    ) -> Vec<Result<ChangePreview, ApplierError>> {
        let preview = |request: &ApplyRequest| {
            let before = self.live(&self.state(), &request.key);
            let result = self.change(request, true)?;
            let mut after = result.live.body;
            if self.is(Mutant::PreviewLies) {
                after["value"] = json!("something else");
            }
            let changes = match (&before, result.outcome) {
                (Some(before), ChangeOutcome::Updated) => vec![FieldChange {
                    path: ".value".into(),
                    before: Some(before.body["value"].clone()),
                    after: Some(after["value"].clone()),
                }],
                _ => Vec::new(),
            };
            Ok(ChangePreview {
                outcome: result.outcome,
                before,
                after,
                changes,
                assumed: false,
                warnings: Vec::new(),
            })
        };
        requests.iter().map(preview).collect()
    }

    async fn apply(&self, requests: Vec<ApplyRequest>) -> Vec<Result<ApplyResult, ApplierError>> {
        let mut answers = Vec::new();
        for request in &requests {
            answers.push(self.apply_one(request).await);
        }
        if self.is(Mutant::AnswersBackwards) {
            answers.reverse();
        }
        if self.is(Mutant::OneBadFailsAll)
            && let Some(error) = answers.iter().find_map(|a| a.as_ref().err().cloned())
        {
            answers = requests.iter().map(|_| Err(error.clone())).collect();
        }
        answers
    }

    async fn delete(
        &self,
        requests: Vec<DeleteRequest>,
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        let mut answers = Vec::new();
        for request in &requests {
            answers.push(self.delete_one(request).await);
        }
        answers
    }

    async fn list_owned(&self, owner: OwnerRef) -> Result<OwnedList, ApplierError> {
        let state = self.state();
        let owned = |(key, (body, uid, version)): (&ResourceKey, &(Value, u64, u64))| {
            let mark = TrackingId::of(body)?;
            let is_own = mark.application == owner.application || self.is(Mutant::ListsForeign);
            is_own.then(|| Owned {
                key: key.clone(),
                uid: uid.to_string(),
                version: version.to_string(),
                is_root: true,
                is_self_reference: true,
                is_deleting: false,
                annotations: BTreeMap::new(),
            })
        };
        Ok(OwnedList {
            items: state.objects.iter().filter_map(owned).collect(),
            incomplete: Vec::new(),
        })
    }

    async fn watch(&self) -> Result<Option<WatchStream>, ApplierError> {
        let receiver = self.events.subscribe();
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await.ok()?;
            Some((Ok(event), receiver))
        });
        Ok(Some(stream.boxed()))
    }
}

#[async_trait]
impl FaultInjector for Memory {
    async fn inject(&self, fault: Fault, times: u32) {
        self.state().fault = Some((fault, times));
    }

    async fn clear(&self) {
        self.state().fault = None;
    }
}

#[async_trait]
impl Fixture for Memory {
    fn sample(&self, n: usize, owner: Option<&OwnerRef>) -> Sample {
        let key = ResourceKey {
            target: Target::kubernetes("memory"),
            group: String::new(),
            kind: "Thing".into(),
            namespace: "ns".into(),
            name: format!("thing-{n}"),
        };
        let mut body = json!({"value": n});
        if let Some(owner) = owner {
            let mark = TrackingId {
                application: owner.application.clone(),
                group: String::new(),
                kind: key.kind.clone(),
                namespace: key.namespace.clone(),
                name: key.name.clone(),
            };
            body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
                mark.to_string().into();
        }
        Sample {
            key,
            gvk: GroupVersionKind::new("v1", "Thing"),
            body,
        }
    }

    fn changed(&self, sample: &Sample) -> Sample {
        let mut changed = sample.clone();
        changed.body["value"] = json!("changed");
        changed
    }

    fn invalid(&self) -> Sample {
        let mut invalid = self.sample(900, None);
        invalid.body = json!({});
        invalid
    }

    fn unknown(&self) -> Option<Sample> {
        let mut unknown = self.sample(901, None);
        unknown.key.kind = "Unheard".into();
        unknown.gvk.kind = "Unheard".into();
        Some(unknown)
    }

    fn owners(&self) -> (OwnerRef, OwnerRef) {
        let owner = |application: &str| OwnerRef {
            application: application.into(),
            destination_namespace: "ns".into(),
        };
        (owner("shop"), owner("bank"))
    }

    fn faults(&self) -> Option<&dyn FaultInjector> {
        Some(self)
    }

    fn deadline(&self) -> std::time::Duration {
        std::time::Duration::from_millis(200)
    }
}
