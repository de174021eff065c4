//! A target in memory that behaves like a cluster: versions, uids, finalizers, owners, kinds, dry runs, faults.
//! It writes down every effect, and can end the process after any of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};
use tidegate_applier::{
    Applier, ApplierError, ApplyMode, ApplyRequest, ApplyResult, Capabilities, ChangeOutcome,
    ChangePreview, DeleteOutcome, DeleteRequest, Description, ErrorKind, FieldChange, KindFacts,
    LiveObject, Owned, OwnedList, OwnerRef, Precondition, ReadOptions, ReadResult, Scope,
    WatchEvent, WatchStream, async_trait,
};
use tidegate_manifest::{
    GroupKind, GroupVersionKind, Health, HealthStatus, ResourceKey, Target, TrackingId,
};

/// Health by looks: `Progressing,Healthy` is Progressing at the first look and Healthy from then on.
pub(crate) const HEALTH: &str = "fake/health";
/// How many looks a deleted object stays, held by a finalizer.
pub(crate) const LINGER: &str = "fake/linger";
/// The message with which the object is refused when it is really applied.
pub(crate) const REFUSE: &str = "fake/refuse";
/// The message with which the object is refused in a dry run too.
pub(crate) const INVALID: &str = "fake/invalid";

#[derive(Clone, Debug)]
pub(crate) struct Fake(Arc<Mutex<State>>);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<ResourceKey, Stored>,
    pub(crate) kinds: BTreeMap<GroupKind, KindFacts>,
    pub(crate) log: Vec<String>,
    pub(crate) incomplete: Vec<String>,
    /// Ends the process after this many more effects.
    pub(crate) crash_after: Option<usize>,
    pub(crate) crashed: Arc<tokio::sync::Notify>,
    pub(crate) unavailable: bool,
    pub(crate) reads: usize,
    /// Where watchers hear; none: it cannot be watched.
    pub(crate) events: Option<tokio::sync::broadcast::Sender<WatchEvent>>,
    pub(crate) next: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) body: Value,
    /// What the engine applied last.
    pub(crate) applied: Value,
    pub(crate) uid: String,
    pub(crate) version: u64,
    pub(crate) looks: usize,
    pub(crate) lingers: usize,
}

pub(crate) fn target() -> Target {
    Target::kubernetes("test")
}

pub(crate) fn key(group: &str, kind: &str, namespace: &str, name: &str) -> ResourceKey {
    ResourceKey {
        target: target(),
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// An event about more than status.
pub(crate) fn changed(key: &ResourceKey, application: &str) -> WatchEvent {
    WatchEvent {
        key: key.clone(),
        applications: vec![application.to_owned()],
        deleted: false,
        health: None,
        desired_fields_changed: true,
    }
}

impl Fake {
    pub(crate) fn new() -> Self {
        let mut kinds = BTreeMap::new();
        for (group, version, kind, scope) in [
            ("", "v1", "ConfigMap", Scope::Namespaced),
            ("", "v1", "Secret", Scope::Namespaced),
            ("", "v1", "Service", Scope::Namespaced),
            ("", "v1", "Namespace", Scope::Cluster),
            ("apps", "v1", "Deployment", Scope::Namespaced),
            ("batch", "v1", "Job", Scope::Namespaced),
            (
                "rbac.authorization.k8s.io",
                "v1",
                "ClusterRole",
                Scope::Cluster,
            ),
            (
                "apiextensions.k8s.io",
                "v1",
                "CustomResourceDefinition",
                Scope::Cluster,
            ),
            ("argoproj.io", "v1alpha1", "Application", Scope::Namespaced),
        ] {
            let kind = GroupKind::new(group, kind);
            let facts = KindFacts {
                kind: kind.clone(),
                scope,
                versions: vec![version.to_owned()],
                stale: false,
            };
            kinds.insert(kind, facts);
        }
        let fake = Self(Arc::new(Mutex::new(State {
            objects: BTreeMap::new(),
            kinds,
            log: Vec::new(),
            incomplete: Vec::new(),
            crash_after: None,
            crashed: Arc::default(),
            unavailable: false,
            reads: 0,
            events: None,
            next: 1,
        })));
        fake.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
        fake
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Makes it watchable; what is sent is what watchers hear.
    pub(crate) fn watched(&self) -> tokio::sync::broadcast::Sender<WatchEvent> {
        let (sender, _) = tokio::sync::broadcast::channel(16);
        self.state().events = Some(sender.clone());
        sender
    }

    /// Takes out what happened so far.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    /// Puts an object there as somebody else would.
    pub(crate) fn put(&self, body: Value) {
        let text = |p: &str| {
            body.pointer(p)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let gvk = GroupVersionKind::new(&text("/apiVersion"), text("/kind"));
        let key = key(
            &gvk.group,
            &gvk.kind,
            &text("/metadata/namespace"),
            &text("/metadata/name"),
        );
        let mut state = self.state();
        let number = state.number();
        state.objects.insert(
            key,
            Stored {
                body,
                applied: json!({}),
                uid: format!("uid-{number}"),
                version: number,
                looks: 0,
                lingers: 0,
            },
        );
    }

    /// Changes an object as somebody else would.
    pub(crate) fn edit(&self, key: &ResourceKey, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let number = state.number();
        let stored = state.objects.get_mut(key).expect("the object is there");
        change(&mut stored.body);
        stored.version = number;
    }

    pub(crate) fn body(&self, key: &ResourceKey) -> Option<Value> {
        self.state()
            .objects
            .get(key)
            .map(|stored| stored.body.clone())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.state();
        let keys = state.objects.keys().filter(|key| key.kind != "Namespace");
        keys.map(|key| format!("{}/{}", key.kind, key.name))
            .collect()
    }

    /// Writes an effect down; true when the process ends with it.
    fn effect(state: &mut State, text: String) -> bool {
        state.log.push(text);
        match &mut state.crash_after {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                if *left == 0 {
                    state.crashed.notify_one();
                    return true;
                }
                false
            }
            None => false,
        }
    }
}

fn short(key: &ResourceKey) -> String {
    format!("{}/{}", key.kind, key.name)
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn live(&mut self, key: &ResourceKey, is_look: bool) -> Option<LiveObject> {
        let stored = self.objects.get_mut(key)?;
        let deleting = stored.body.pointer("/metadata/deletionTimestamp").is_some();
        if deleting && is_look && has_finalizer(&stored.body, "fake/hold") {
            if stored.lingers == 0 {
                remove_finalizer(&mut stored.body, "fake/hold");
            } else {
                stored.lingers -= 1;
            }
        }
        if deleting && finalizers(&stored.body).is_empty() {
            self.objects.remove(key);
            return None;
        }
        let stored = self.objects.get_mut(key)?;
        if is_look {
            stored.looks += 1;
        }
        Some(LiveObject {
            key: key.clone(),
            body: stored.body.clone(),
            version: stored.version.to_string(),
            uid: stored.uid.clone(),
            health: health(key, stored, deleting),
        })
    }

    fn check(&self, key: &ResourceKey, wanted: &Precondition) -> Result<(), ApplierError> {
        let stored = self.objects.get(key);
        let holds = wanted
            .exists
            .is_none_or(|exists| exists == stored.is_some())
            && wanted
                .uid
                .as_ref()
                .is_none_or(|uid| stored.is_some_and(|s| s.uid == *uid))
            && wanted
                .version
                .as_ref()
                .is_none_or(|version| stored.is_some_and(|s| s.version.to_string() == *version));
        if holds {
            Ok(())
        } else {
            Err(ApplierError::new(
                ErrorKind::Conflict,
                "the precondition does not hold",
            ))
        }
    }

    fn refusal(&self, request: &ApplyRequest) -> Option<ApplierError> {
        let note = |name: &str| {
            let notes = request.body.pointer("/metadata/annotations")?;
            notes.get(name)?.as_str().map(str::to_owned)
        };
        let fail = |kind, message: String| Some(ApplierError::new(kind, message));
        if self.unavailable {
            return fail(
                ErrorKind::Unavailable,
                "the target does not answer".to_owned(),
            );
        }
        if let Some(message) = note(INVALID) {
            return fail(ErrorKind::Invalid, message);
        }
        if let Some(message) = note(REFUSE).filter(|_| !request.dry_run) {
            return fail(ErrorKind::Forbidden, message);
        }
        let kind = request.key.group_kind();
        if !self.kinds.contains_key(&kind) {
            return fail(ErrorKind::NotFound, format!("no kind {kind}"));
        }
        let namespace = key("", "Namespace", "", &request.key.namespace);
        let is_homeless =
            !request.key.namespace.is_empty() && !self.objects.contains_key(&namespace);
        if is_homeless && !request.dry_run {
            let message = format!("namespaces {:?} not found", request.key.namespace);
            return fail(ErrorKind::NotFound, message);
        }
        if request.key.kind == "Job"
            && let Some(stored) = self.objects.get(&request.key)
            && !request.force_recreate
            && request.mode != ApplyMode::Recreate
            && stored.body.get("spec") != request.body.get("spec")
        {
            return fail(ErrorKind::Invalid, "field is immutable".to_owned());
        }
        None
    }

    /// What the object would be, and what was done to it.
    fn merged(&self, request: &ApplyRequest) -> (ChangeOutcome, Value) {
        let Some(stored) = self.objects.get(&request.key) else {
            return (ChangeOutcome::Created, request.body.clone());
        };
        if request.mode == ApplyMode::Recreate {
            return (ChangeOutcome::Replaced, request.body.clone());
        }
        let mut body = stored.body.clone();
        if request.mode == ApplyMode::Replace {
            body = request.body.clone();
        } else {
            take_away(&mut body, &stored.applied, &request.body);
            merge(&mut body, &request.body);
        }
        if body == stored.body {
            return (ChangeOutcome::Unchanged, body);
        }
        if request.force_recreate
            && request.key.kind == "Job"
            && body.get("spec") != stored.body.get("spec")
        {
            return (ChangeOutcome::Replaced, request.body.clone());
        }
        (ChangeOutcome::Updated, body)
    }

    fn define(&mut self, body: &Value) {
        let text = |p: &str| body.pointer(p).and_then(Value::as_str).map(str::to_owned);
        let (Some(group), Some(kind)) = (text("/spec/group"), text("/spec/names/kind")) else {
            return;
        };
        let kind = GroupKind::new(group, kind);
        let scope = match text("/spec/scope").as_deref() {
            Some("Cluster") => Scope::Cluster,
            _ => Scope::Namespaced,
        };
        let facts = KindFacts {
            kind: kind.clone(),
            scope,
            versions: vec!["v1".to_owned()],
            stale: false,
        };
        self.kinds.insert(kind, facts);
    }
}

fn health(key: &ResourceKey, stored: &Stored, deleting: bool) -> Option<Health> {
    let held_by_hook = has_finalizer(&stored.body, "argocd.argoproj.io/hook-finalizer");
    if deleting && !held_by_hook {
        return Some(Health::new(HealthStatus::Progressing, "Pending deletion"));
    }
    let list = stored
        .body
        .pointer("/metadata/annotations")
        .and_then(|notes| notes.get(HEALTH)?.as_str());
    let list = list.or(match key.kind.as_str() {
        "Job" | "Deployment" => Some("Progressing,Healthy"),
        _ => None,
    })?;
    let words: Vec<&str> = list.split(',').collect();
    let word = words[stored.looks.min(words.len()).saturating_sub(1)];
    let status = match word {
        "Healthy" => HealthStatus::Healthy,
        "Progressing" => HealthStatus::Progressing,
        "Degraded" => HealthStatus::Degraded,
        "Suspended" => HealthStatus::Suspended,
        "Missing" => HealthStatus::Missing,
        "Unknown" => HealthStatus::Unknown,
        "none" => return None,
        other => panic!("{other} is no health"),
    };
    Some(Health::new(status, ""))
}

fn finalizers(body: &Value) -> Vec<String> {
    let list = body
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

fn has_finalizer(body: &Value, name: &str) -> bool {
    finalizers(body).iter().any(|f| f == name)
}

fn remove_finalizer(body: &mut Value, name: &str) {
    let left: Vec<String> = finalizers(body).into_iter().filter(|f| f != name).collect();
    if left.is_empty() {
        if let Some(metadata) = body["metadata"].as_object_mut() {
            metadata.remove("finalizers");
        }
    } else {
        body["metadata"]["finalizers"] = json!(left);
    }
}

/// Removes what was applied before and is no longer wanted.
fn take_away(body: &mut Value, before: &Value, now: &Value) {
    let (Some(body), Some(before)) = (body.as_object_mut(), before.as_object()) else {
        return;
    };
    for (name, old) in before {
        match now.get(name) {
            None => {
                body.remove(name);
            }
            Some(new) => {
                if let Some(inner) = body.get_mut(name) {
                    take_away(inner, old, new);
                }
            }
        }
    }
}

fn merge(body: &mut Value, wanted: &Value) {
    match (body, wanted) {
        (Value::Object(body), Value::Object(wanted)) => {
            for (name, value) in wanted {
                merge(body.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (body, wanted) => *body = wanted.clone(),
    }
}

/// The leaves that differ.
fn changes(path: &str, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<FieldChange>) {
    match (before, after) {
        (a, b) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                changes(&format!("{path}.{name}"), a.get(name), b.get(name), out);
            }
        }
        (a, b) => out.push(FieldChange {
            path: path.to_owned(),
            before: a.cloned(),
            after: b.cloned(),
        }),
    }
}

/// Never returns: the process has died.
async fn die() {
    std::future::pending::<()>().await;
}

#[async_trait]
impl Applier for Fake {
    async fn describe(&self) -> Result<Description, ApplierError> {
        Ok(Description {
            name: "fake".to_owned(),
            version: "1".to_owned(),
            target: target(),
            target_label: "a map".to_owned(),
            capabilities: Capabilities::default(),
        })
    }

    async fn kinds(&self, kinds: Vec<GroupKind>) -> Vec<Result<Option<KindFacts>, ApplierError>> {
        let state = self.state();
        kinds
            .iter()
            .map(|kind| Ok(state.kinds.get(kind).cloned()))
            .collect()
    }

    async fn read(&self, keys: Vec<ResourceKey>, _options: ReadOptions) -> Vec<ReadResult> {
        let mut state = self.state();
        state.reads += keys.len();
        if state.unavailable {
            let error = ApplierError::new(ErrorKind::Unavailable, "the target does not answer");
            return keys.iter().map(|_| Err(error.clone())).collect();
        }
        keys.iter().map(|key| Ok(state.live(key, true))).collect()
    }

    async fn plan_change(
        &self,
        requests: Vec<ApplyRequest>,
    ) -> Vec<Result<ChangePreview, ApplierError>> {
        let mut state = self.state();
        let preview = |request: ApplyRequest| {
            if let Some(error) = state.refusal(&request) {
                return Err(error);
            }
            let (outcome, after) = state.merged(&request);
            let before = state.live(&request.key, false);
            let namespace = key("", "Namespace", "", &request.key.namespace);
            let assumed =
                !request.key.namespace.is_empty() && !state.objects.contains_key(&namespace);
            let mut found = Vec::new();
            let old = before.as_ref().map(|live| &live.body);
            let nothing = Value::Object(Map::new());
            changes("", Some(old.unwrap_or(&nothing)), Some(&after), &mut found);
            Ok(ChangePreview {
                outcome,
                before,
                after,
                changes: found,
                assumed,
                warnings: Vec::new(),
            })
        };
        requests.into_iter().map(preview).collect()
    }

    async fn apply(&self, requests: Vec<ApplyRequest>) -> Vec<Result<ApplyResult, ApplierError>> {
        let mut answers = Vec::new();
        for request in requests {
            let (answer, dies) = self.apply_one(&request);
            if dies {
                die().await;
            }
            answers.push(answer);
        }
        answers
    }

    async fn delete(
        &self,
        requests: Vec<DeleteRequest>,
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        let mut answers = Vec::new();
        for request in requests {
            let (answer, dies) = self.delete_one(&request);
            if dies {
                die().await;
            }
            answers.push(answer);
        }
        answers
    }

    async fn watch(&self) -> Result<Option<WatchStream>, ApplierError> {
        let Some(sender) = self.state().events.clone() else {
            return Ok(None);
        };
        let events = futures_util::stream::unfold(sender.subscribe(), |mut receiver| async {
            let event = receiver.recv().await.ok()?;
            Some((Ok(event), receiver))
        });
        Ok(Some(Box::pin(events)))
    }

    async fn list_owned(&self, owner: OwnerRef) -> Result<OwnedList, ApplierError> {
        let mut state = self.state();
        if state.unavailable {
            return Err(ApplierError::new(
                ErrorKind::Unavailable,
                "the target does not answer",
            ));
        }
        let going: Vec<ResourceKey> = state
            .objects
            .iter()
            .filter(|(_, stored)| stored.body.pointer("/metadata/deletionTimestamp").is_some())
            .map(|(key, _)| key.clone())
            .collect();
        for key in going {
            state.live(&key, true);
        }
        let items = state.objects.iter().filter_map(|(key, stored)| {
            let mark = TrackingId::of(&stored.body)?;
            let notes = stored.body.pointer("/metadata/annotations")?.as_object()?;
            (mark.application == owner.application).then(|| Owned {
                key: key.clone(),
                uid: stored.uid.clone(),
                version: stored.version.to_string(),
                is_root: stored.body.pointer("/metadata/ownerReferences").is_none(),
                is_self_reference: mark.is_self_reference(
                    &key.group,
                    &key.kind,
                    &key.namespace,
                    &key.name,
                ),
                is_deleting: stored.body.pointer("/metadata/deletionTimestamp").is_some(),
                annotations: notes
                    .iter()
                    .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
                    .collect(),
            })
        });
        Ok(OwnedList {
            items: items.collect(),
            incomplete: state.incomplete.clone(),
        })
    }
}

impl Fake {
    fn apply_one(&self, request: &ApplyRequest) -> (Result<ApplyResult, ApplierError>, bool) {
        let mut state = self.state();
        if state.crash_after == Some(0) {
            return (Err(ApplierError::new(ErrorKind::Internal, "dead")), true);
        }
        let refused = state
            .check(&request.key, &request.precondition)
            .err()
            .or_else(|| state.refusal(request));
        if let Some(error) = refused {
            return (Err(error), false);
        }
        let (outcome, body) = state.merged(request);
        let number = state.number();
        let verb = match outcome {
            ChangeOutcome::Created => "create",
            ChangeOutcome::Updated => "update",
            ChangeOutcome::Replaced => "recreate",
            ChangeOutcome::Unchanged => "same",
        };
        let lost_hook = state.objects.get(&request.key).is_some_and(|stored| {
            let hook = "argocd.argoproj.io/hook-finalizer";
            has_finalizer(&stored.body, hook) && !has_finalizer(&body, hook)
        });
        let verb = if lost_hook && outcome == ChangeOutcome::Updated {
            "release"
        } else {
            verb
        };
        let fresh = Stored {
            body: body.clone(),
            applied: request.body.clone(),
            uid: format!("uid-{number}"),
            version: number,
            looks: 0,
            lingers: 0,
        };
        match outcome {
            ChangeOutcome::Created | ChangeOutcome::Replaced => {
                state.objects.insert(request.key.clone(), fresh);
            }
            ChangeOutcome::Updated => {
                let stored = state.objects.get_mut(&request.key).unwrap();
                (stored.body, stored.applied, stored.version) = (fresh.body, fresh.applied, number);
                stored.looks = if verb == "release" { stored.looks } else { 0 };
            }
            ChangeOutcome::Unchanged => {}
        }
        if request.key.kind == "CustomResourceDefinition" {
            state.define(&body);
        }
        let dies = Self::effect(&mut state, format!("{verb} {}", short(&request.key)));
        let live = state.live(&request.key, false).unwrap_or(LiveObject {
            key: request.key.clone(),
            body,
            version: String::new(),
            uid: String::new(),
            health: None,
        });
        let result = ApplyResult {
            outcome,
            live,
            warnings: Vec::new(),
        };
        (Ok(result), dies)
    }

    fn delete_one(&self, request: &DeleteRequest) -> (Result<DeleteOutcome, ApplierError>, bool) {
        let mut state = self.state();
        if state.crash_after == Some(0) {
            return (Err(ApplierError::new(ErrorKind::Internal, "dead")), true);
        }
        let Some(stored) = state.objects.get(&request.key) else {
            return (Ok(DeleteOutcome::Absent), false);
        };
        let mark = TrackingId::of(&stored.body).map(|mark| mark.application);
        let is_owned = request
            .owner
            .as_ref()
            .is_none_or(|o| mark == Some(o.application.clone()));
        if let Err(error) = state.check(&request.key, &request.precondition) {
            return (Err(error), false);
        }
        if !is_owned {
            return (
                Err(ApplierError::new(
                    ErrorKind::Conflict,
                    "it has no such mark",
                )),
                false,
            );
        }
        let stored = state.objects.get_mut(&request.key).unwrap();
        if let Some(name) = &request.remove_finalizer {
            remove_finalizer(&mut stored.body, name);
        }
        let linger = stored.body.pointer("/metadata/annotations");
        let linger = linger.and_then(|notes| notes.get(LINGER)?.as_str()?.parse().ok());
        if let Some(looks) = linger
            && stored.body.pointer("/metadata/deletionTimestamp").is_none()
        {
            stored.lingers = looks;
            let mut held = finalizers(&stored.body);
            held.push("fake/hold".to_owned());
            stored.body["metadata"]["finalizers"] = json!(held);
        }
        let held = finalizers(&stored.body);
        if held.is_empty() {
            state.objects.remove(&request.key);
        } else {
            stored.body["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:00:00Z");
        }
        let dies = Self::effect(&mut state, format!("delete {}", short(&request.key)));
        let outcome = if held.is_empty() {
            DeleteOutcome::Deleted
        } else {
            DeleteOutcome::Deleting { finalizers: held }
        };
        (Ok(outcome), dies)
    }
}
