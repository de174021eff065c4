//! Brings one object to its desired state, or says what that would do.

use http::Method;
use serde_json::Value;
use tidegate_applier::Scope;
use tidegate_applier::{
    ApplierError, ApplyMode, ApplyRequest, ApplyResult, ChangeOutcome, ChangePreview, ErrorKind,
    FieldChange,
};
use tidegate_diff::changes::changes;
use tidegate_manifest::{GroupKind, ResourceKey};
use tokio::time::{Instant, sleep};

use crate::cluster::Inner;
use crate::content::{check_precondition, comparable, desired, digest, live_object, metadata};
use crate::discovery::{Endpoint, Missing};
use crate::failure::{Failure, Refusal};
use crate::migrate;
use crate::retry::{backoff, chance};
use crate::transport::{APPLY_PATCH, Call, JSON, Reply};

/// What one apply did, or would do.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) outcome: ChangeOutcome,
    pub(crate) before: Option<Value>,
    pub(crate) after: Value,
    pub(crate) warnings: Vec<String>,
    pub(crate) has_status: bool,
}

/// One apply with where it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) request: &'a ApplyRequest,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) dry_run: bool,
    pub(crate) deadline: Instant,
}

impl Item<'_> {
    fn key(&self) -> &ResourceKey {
        &self.request.key
    }

    pub(crate) fn path(&self) -> Result<String, ApplierError> {
        self.endpoint
            .object(&self.key().namespace, &self.key().name)
    }

    /// Deleting a namespace or a definition would take all that is in it (argocd.md 7.6).
    fn may_recreate(&self) -> bool {
        !is_container(&self.key().group_kind())
    }

    /// The parameters of every write.
    pub(crate) fn parameters(&self) -> String {
        let manager = percent_encoding::utf8_percent_encode(
            &self.request.field_owner.0,
            percent_encoding::NON_ALPHANUMERIC,
        );
        let validation = if self.request.validate {
            "Strict"
        } else {
            "Ignore"
        };
        let dry_run = if self.dry_run { "&dryRun=All" } else { "" };
        format!("fieldManager={manager}&fieldValidation={validation}{dry_run}")
    }

    /// The object to send.
    pub(crate) fn body(&self) -> Result<Value, ApplierError> {
        desired(
            &self.request.body,
            &self.endpoint.api_version(),
            self.key(),
            self.endpoint.scope == Scope::Namespaced,
        )
    }

    fn change(&self, before: Option<Value>, after: Value, reply: &Reply) -> Change {
        let has_status = self.endpoint.has_status;
        let outcome = match &before {
            None => ChangeOutcome::Created,
            Some(before) if comparable(before, has_status) == comparable(&after, has_status) => {
                ChangeOutcome::Unchanged
            }
            Some(_) => ChangeOutcome::Updated,
        };
        Change {
            outcome,
            before,
            after,
            warnings: reply.warnings(),
            has_status,
        }
    }
}

impl Inner {
    pub(crate) async fn apply_one(
        &self,
        request: ApplyRequest,
    ) -> Result<ApplyResult, ApplierError> {
        let deadline = self.deadline();
        let dry_run = request.dry_run;
        let is_crd = request
            .key
            .group_kind()
            .is("apiextensions.k8s.io", "CustomResourceDefinition");
        let mut change = self
            .change(&request, dry_run, deadline)
            .await
            .map_err(|missing| Failure::from(missing).into_error())?;
        if is_crd && !dry_run {
            change.after = self
                .await_established(&request, change.after, deadline)
                .await;
        }
        if !dry_run {
            self.observe(&request.key, &change.after).await;
        }
        Ok(ApplyResult {
            outcome: change.outcome,
            live: live_object(&request.key, change.after, &self.shared.assess),
            warnings: change.warnings,
        })
    }

    pub(crate) async fn preview_one(
        &self,
        request: ApplyRequest,
    ) -> Result<ChangePreview, ApplierError> {
        let deadline = self.deadline();
        let change = match self.change(&request, true, deadline).await {
            Ok(change) => change,
            Err(Missing::Kind(_)) => return self.assume(&request, deadline).await,
            Err(Missing::Failed(Failure::Refused(refusal)))
                if refusal.is_namespace_missing() || refusal.is_kind_missing() =>
            {
                return self.assume(&request, deadline).await;
            }
            Err(Missing::Failed(failure)) => return Err(failure.into_error()),
        };
        let fields = self.fields(&request, &change, deadline).await;
        let mut after = change.after;
        if let Some(metadata) = after.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let assess = &self.shared.assess;
        Ok(ChangePreview {
            outcome: change.outcome,
            before: change
                .before
                .map(|before| live_object(&request.key, before, assess)),
            after,
            changes: fields,
            assumed: false,
            warnings: change.warnings,
        })
    }

    /// The fields that a change touches; a creation is told by its object alone.
    async fn fields(
        &self,
        request: &ApplyRequest,
        change: &Change,
        deadline: Instant,
    ) -> Vec<FieldChange> {
        let (Some(before), true) = (&change.before, change.outcome != ChangeOutcome::Unchanged)
        else {
            return Vec::new();
        };
        let ty = self.schema_type(&request.gvk, deadline).await;
        let before = comparable(before, change.has_status);
        let after = comparable(&change.after, change.has_status);
        let mut fields: Vec<FieldChange> = changes(&ty, Some(&before), Some(&after))
            .into_iter()
            .map(|change| FieldChange {
                path: change.path,
                before: change.before,
                after: change.after,
            })
            .collect();
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        fields
    }

    /// The preview of an object that the cluster cannot be asked about: its namespace, its kind or
    /// its version is not there yet.
    async fn assume(
        &self,
        request: &ApplyRequest,
        deadline: Instant,
    ) -> Result<ChangePreview, ApplierError> {
        let body = desired(
            &request.body,
            &request.gvk.api_version(),
            &request.key,
            !request.key.namespace.is_empty(),
        )?;
        let mut preview = ChangePreview {
            outcome: ChangeOutcome::Created,
            before: None,
            after: body,
            changes: Vec::new(),
            assumed: true,
            warnings: Vec::new(),
        };
        // The object may exist in another version of its kind.
        let kind = request.key.group_kind();
        let known = self.discovery().preferred(self.transport(), &kind).await?;
        if let Some(endpoint) = known {
            let path = endpoint.object(&request.key.namespace, &request.key.name)?;
            let live = match self.get(&path, deadline).await {
                Err(Failure::Refused(refusal)) if refusal.is_kind_missing() => None,
                other => other?,
            };
            if let Some(live) = live {
                check_precondition(&request.precondition, Some(&live))?;
                preview.outcome = ChangeOutcome::Updated;
                preview.changes.push(FieldChange {
                    path: ".apiVersion".to_owned(),
                    before: Some(endpoint.api_version().into()),
                    after: Some(request.gvk.api_version().into()),
                });
                preview.before = Some(live_object(&request.key, live, &self.shared.assess));
                return Ok(preview);
            }
        }
        check_precondition(&request.precondition, None)?;
        Ok(preview)
    }

    /// Applies, and starts over where the world moved in between.
    async fn change(
        &self,
        request: &ApplyRequest,
        dry_run: bool,
        deadline: Instant,
    ) -> Result<Change, Missing> {
        let policy = self.transport().policy();
        let (mut conflicts, mut relooked, mut wait) = (0, false, policy.poll);
        let kind = request.key.group_kind();
        let mut endpoint = self
            .discovery()
            .endpoint(self.transport(), &request.gvk)
            .await?;
        loop {
            let item = Item {
                request,
                endpoint: &endpoint,
                dry_run,
                deadline,
            };
            let failure = match self.change_once(item).await {
                Ok(change) => return Ok(change),
                Err(failure) => failure,
            };
            let Some(refusal) = failure.refusal() else {
                return Err(failure.into());
            };
            if refusal.is_kind_missing() {
                let until = self.discovery().expected_until(&kind);
                if until.is_some_and(|until| Instant::now() + wait < until.min(deadline)) {
                    sleep(wait).await;
                    wait =
                        (wait * 2).min(policy.internal_cap.min(std::time::Duration::from_secs(1)));
                    continue;
                }
                if relooked {
                    return Err(failure.into());
                }
                relooked = true;
                self.discovery().look_again(self.transport()).await?;
                endpoint = self
                    .discovery()
                    .endpoint(self.transport(), &request.gvk)
                    .await?;
                continue;
            }
            let raced = refusal.is_already_exists() || refusal.is_optimistic();
            if !raced
                || request.precondition.version.is_some()
                || conflicts >= policy.conflict_tries
            {
                return Err(failure.into());
            }
            conflicts += 1;
            let pause = backoff(
                conflicts,
                policy.conflict_base,
                policy.internal_cap,
                chance(),
            );
            if Instant::now() + pause >= deadline {
                return Err(failure.into());
            }
            sleep(pause).await;
        }
    }

    async fn change_once(&self, item: Item<'_>) -> Result<Change, Failure> {
        let request = item.request;
        let live = self.get(&item.path()?, item.deadline).await?;
        check_precondition(&request.precondition, live.as_ref())?;
        if item.dry_run
            && let Some(change) = self.remembered(item, live.as_ref())
        {
            return Ok(change);
        }
        let in_place_only = !item.may_recreate();
        let change = match (request.mode, live) {
            (ApplyMode::Apply, live) => self.server_side_apply(item, live).await?,
            (ApplyMode::Recreate, Some(live)) if !in_place_only => {
                let uid = metadata(&live, "uid");
                if self.was_recreated(&request.operation_id, &request.key, uid) {
                    self.server_side_apply(item, Some(live)).await?
                } else {
                    self.recreate(item, live).await?
                }
            }
            (ApplyMode::Recreate, None) => {
                let change = self.server_side_apply(item, None).await?;
                if !item.dry_run {
                    let uid = metadata(&change.after, "uid");
                    self.note_recreated(&request.operation_id, &request.key, uid);
                }
                change
            }
            (ApplyMode::Replace | ApplyMode::Recreate, live) => self.replace(item, live).await?,
        };
        self.remember(item, &change);
        Ok(change)
    }

    /// The verdict on this very request in this very state, when there is one.
    fn remembered(&self, item: Item<'_>, live: Option<&Value>) -> Option<Change> {
        let live = live?;
        let (uid, version) = (metadata(live, "uid"), metadata(live, "resourceVersion"));
        let known = !version.is_empty()
            && self
                .memo
                .is_unchanged(item.key(), &fingerprint(item), uid, version);
        known.then(|| Change {
            outcome: ChangeOutcome::Unchanged,
            before: Some(live.clone()),
            after: live.clone(),
            warnings: Vec::new(),
            has_status: item.endpoint.has_status,
        })
    }

    fn remember(&self, item: Item<'_>, change: &Change) {
        // A verdict with warnings is asked for again, so that they are shown again.
        if change.outcome != ChangeOutcome::Unchanged || !change.warnings.is_empty() {
            return;
        }
        let Some(before) = &change.before else {
            return;
        };
        let version = metadata(before, "resourceVersion");
        if version == metadata(&change.after, "resourceVersion") {
            let uid = metadata(before, "uid");
            self.memo
                .unchanged(item.key(), fingerprint(item), uid, version);
        }
    }

    /// Server-side apply (kubernetes.md A3).
    pub(crate) async fn server_side_apply(
        &self,
        item: Item<'_>,
        live: Option<Value>,
    ) -> Result<Change, Failure> {
        let request = item.request;
        let mut version = request.precondition.version.clone();
        let mut migration = None;
        if request.migrate_client_side_apply
            && let Some(live) = &live
        {
            migration = migrate::plan(live, &request.field_owner.0);
            if let (Some(migration), false) = (&migration, item.dry_run) {
                let moved = self.send_migration(item, migration).await?;
                version = version.map(|_| metadata(&moved, "resourceVersion").to_owned());
            }
        }
        let mut body = item.body()?;
        if let Some(version) = version {
            body["metadata"]["resourceVersion"] = version.into();
        }
        if let Some(uid) = &request.precondition.uid {
            body["metadata"]["uid"] = uid.as_str().into();
        }
        let reply = match self.send_apply(item, &body).await {
            Ok(reply) => reply,
            Err(Failure::Refused(refusal))
                if request.force_recreate && item.may_recreate() && refusal.is_immutable() =>
            {
                return match live {
                    Some(live) => self.recreate(item, live).await,
                    None => Err(Failure::Refused(refusal)),
                };
            }
            Err(failure) => return Err(failure),
        };
        let mut after: Value = reply.json()?;
        if let (Some(migration), true) = (&migration, item.dry_run) {
            let ty = self.schema_type(&request.gvk, item.deadline).await;
            after = migrate::emulate(&after, migration, &request.field_owner.0, &ty);
        }
        Ok(item.change(live, after, &reply))
    }

    /// The server-side apply itself.
    pub(crate) async fn send_apply(&self, item: Item<'_>, body: &Value) -> Result<Reply, Failure> {
        let force = item.request.force_conflicts;
        let path = format!("{}?{}&force={force}", item.path()?, item.parameters());
        let call = Call::write(Method::PATCH, path, APPLY_PATCH, body);
        self.transport().call(&call, item.deadline).await
    }

    /// `Replace=true`: PUT what exists, create what does not (argocd.md 7.6).
    async fn replace(&self, item: Item<'_>, live: Option<Value>) -> Result<Change, Failure> {
        let mut body = item.body()?;
        let call = match &live {
            None => {
                let place = item.endpoint.place(&item.key().namespace)?;
                let path = format!("{place}?{}", item.parameters());
                Call::write(Method::POST, path, JSON, &body)
            }
            Some(live) => {
                let fields = &mut body["metadata"];
                fields["resourceVersion"] = metadata(live, "resourceVersion").into();
                fields["uid"] = metadata(live, "uid").into();
                // Others put these there to be asked before the object goes, or to own it.
                for name in ["finalizers", "ownerReferences"] {
                    if fields.get(name).is_none() && !live["metadata"][name].is_null() {
                        fields[name] = live["metadata"][name].clone();
                    }
                }
                let path = format!("{}?{}", item.path()?, item.parameters());
                Call::write(Method::PUT, path, JSON, &body)
            }
        };
        match self.transport().call(&call, item.deadline).await {
            Ok(reply) => {
                let after = reply.json()?;
                Ok(item.change(live, after, &reply))
            }
            Err(Failure::Refused(refusal))
                if item.request.force_recreate && item.may_recreate() && refusal.is_immutable() =>
            {
                match live {
                    Some(live) => self.recreate(item, live).await,
                    None => Err(Failure::Refused(refusal)),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// Waits until a CRD that was just applied is served, and has discovery know its kind. What
    /// does not come about in time is left to the objects of the kind, which wait for it too.
    async fn await_established(
        &self,
        request: &ApplyRequest,
        mut live: Value,
        deadline: Instant,
    ) -> Value {
        let policy = self.transport().policy().clone();
        let Some((kind, versions)) = crate::discovery::crd_kind(&live) else {
            return live;
        };
        self.discovery().expect(&live, policy.new_kind_wait);
        let end = deadline.min(Instant::now() + policy.new_kind_wait / 3);
        let mut wait = policy.poll;
        while !is_established(&live) && Instant::now() + wait < end {
            sleep(wait).await;
            wait = (wait * 2).min(std::time::Duration::from_millis(500));
            let endpoint = self
                .discovery()
                .endpoint(self.transport(), &request.gvk)
                .await;
            let Ok(Ok(path)) = endpoint.map(|e| e.object("", &request.key.name)) else {
                break;
            };
            match self.get(&path, deadline).await {
                Ok(Some(now)) => live = now,
                Ok(None) | Err(_) => break,
            }
        }
        if !is_established(&live) {
            tracing::warn!("{} is not established yet", request.key.name);
        }
        let refreshed = self
            .discovery()
            .refresh_group(self.transport(), &kind.group, &versions)
            .await;
        if let Err(failure) = refreshed {
            tracing::warn!("discovery of {}: {}", kind.group, failure.words());
        }
        live
    }
}

/// Whether other objects live in, or by, objects of this kind.
pub(crate) fn is_container(kind: &GroupKind) -> bool {
    kind.is("", "Namespace") || kind.is("apiextensions.k8s.io", "CustomResourceDefinition")
}

fn is_established(crd: &Value) -> bool {
    crd["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

/// Everything of a request that decides what it does.
fn fingerprint(item: Item<'_>) -> [u8; 32] {
    let request = item.request;
    digest(&serde_json::json!([
        item.endpoint.api_version(),
        request.body,
        request.field_owner.0,
        format!("{:?}", request.mode),
        request.force_conflicts,
        request.validate,
        request.migrate_client_side_apply,
    ]))
}

/// A refusal that speaks of a stand-in, in terms of the object it stands for.
pub(crate) fn rename_refusal(mut refusal: Box<Refusal>, from: &str, to: &str) -> Failure {
    refusal.message = refusal.message.replace(from, to);
    refusal.name = refusal.name.replace(from, to);
    Failure::Refused(refusal)
}

/// # Errors
/// An object that is not gone in time, with what holds it.
pub(crate) fn still_there(finalizers: &[String]) -> ApplierError {
    let error = ApplierError::new(
        ErrorKind::Timeout,
        "the object is still being deleted".to_owned(),
    );
    if finalizers.is_empty() {
        return error;
    }
    error.help(format!(
        "these finalizers hold it: {}; see that their controllers run",
        finalizers.join(", ")
    ))
}
