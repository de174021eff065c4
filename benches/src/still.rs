//! An applier without a target: what was applied stands still in memory, indexed by application. It answers at once, so
//! that what is measured is the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tidegate_applier::{
    Applier, ApplierError, ApplyRequest, ApplyResult, Capabilities, ChangeOutcome, ChangePreview,
    DeleteOutcome, DeleteRequest, Description, KindFacts, LiveObject, Owned, OwnedList, OwnerRef,
    ReadOptions, ReadResult, Scope, async_trait,
};
use tidegate_manifest::{GroupKind, ResourceKey, Target};

/// See the module.
#[derive(Debug)]
pub struct Still {
    target: Target,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<ResourceKey, LiveObject>,
    owned: HashMap<String, BTreeMap<ResourceKey, Owned>>,
}

impl Still {
    /// Nothing at `target` yet.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What applying would do; what stands there already equals what is asked for in every benchmark.
fn outcome(live: Option<&LiveObject>, request: &ApplyRequest) -> ChangeOutcome {
    match live {
        None => ChangeOutcome::Created,
        Some(live) if live.body == request.body => ChangeOutcome::Unchanged,
        Some(_) => ChangeOutcome::Updated,
    }
}

fn owned(live: &LiveObject) -> Owned {
    let annotations = live
        .body
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    Owned {
        key: live.key.clone(),
        uid: live.uid.clone(),
        version: live.version.clone(),
        is_root: true,
        is_self_reference: true,
        is_deleting: false,
        annotations: annotations.into_iter().flatten().filter_map(text).collect(),
    }
}

#[async_trait]
impl Applier for Still {
    async fn describe(&self) -> Result<Description, ApplierError> {
        Ok(Description {
            name: "still".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: self.target.clone(),
            target_label: "memory".to_owned(),
            capabilities: Capabilities {
                exact_preview: true,
                watch: false,
            },
        })
    }

    async fn kinds(&self, kinds: Vec<GroupKind>) -> Vec<Result<Option<KindFacts>, ApplierError>> {
        let facts = |kind: GroupKind| {
            let scope = if kind.kind == "Namespace" {
                Scope::Cluster
            } else {
                Scope::Namespaced
            };
            Ok(Some(KindFacts {
                kind,
                scope,
                versions: vec!["v1".to_owned()],
                stale: false,
            }))
        };
        kinds.into_iter().map(facts).collect()
    }

    async fn read(&self, keys: Vec<ResourceKey>, _: ReadOptions) -> Vec<ReadResult> {
        let state = self.state();
        keys.iter()
            .map(|key| Ok(state.objects.get(key).cloned()))
            .collect()
    }

    async fn plan_change(
        &self,
        requests: Vec<ApplyRequest>,
    ) -> Vec<Result<ChangePreview, ApplierError>> {
        let state = self.state();
        let preview = |request: ApplyRequest| {
            let before = state.objects.get(&request.key);
            Ok(ChangePreview {
                outcome: outcome(before, &request),
                before: before.cloned(),
                after: request.body,
                changes: Vec::new(),
                assumed: false,
                warnings: Vec::new(),
            })
        };
        requests.into_iter().map(preview).collect()
    }

    async fn apply(&self, requests: Vec<ApplyRequest>) -> Vec<Result<ApplyResult, ApplierError>> {
        let mut state = self.state();
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            let outcome = outcome(state.objects.get(&request.key), &request);
            let live = LiveObject {
                key: request.key,
                body: request.body,
                version: "1".to_owned(),
                uid: state.objects.len().to_string(),
                health: None,
            };
            if !request.dry_run {
                state.objects.insert(live.key.clone(), live.clone());
                // Only what bears a mark is the application's own: the namespace of CreateNamespace does not.
                if live.body.pointer("/metadata/annotations").is_some() {
                    let list = state.owned.entry(request.owner.application).or_default();
                    list.insert(live.key.clone(), owned(&live));
                }
            }
            results.push(Ok(ApplyResult {
                outcome,
                live,
                warnings: Vec::new(),
            }));
        }
        results
    }

    async fn delete(
        &self,
        requests: Vec<DeleteRequest>,
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        let mut state = self.state();
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            let found = state.objects.remove(&request.key).is_some();
            for list in state.owned.values_mut() {
                list.remove(&request.key);
            }
            results.push(Ok(if found {
                DeleteOutcome::Deleted
            } else {
                DeleteOutcome::Absent
            }));
        }
        results
    }

    async fn list_owned(&self, owner: OwnerRef) -> Result<OwnedList, ApplierError> {
        let state = self.state();
        let items = state.owned.get(&owner.application);
        let items = items
            .map(|list| list.values().cloned().collect())
            .unwrap_or_default();
        Ok(OwnedList {
            items,
            incomplete: Vec::new(),
        })
    }
}
