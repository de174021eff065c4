//! Deleting an application: PreDelete hooks, its objects by descending waves, PostDelete hooks (Argo CD section 10).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_applier::{ApplyMode, ApplyRequest, Owned, Precondition, ReadOptions};
use tidegate_manifest::{
    Approval, HealthStatus, HookDeletePolicy, HookKind, Object, PropagationPolicy, ResourceKey,
    SyncFacts, annotation,
};

use crate::journal::Deletion;
use crate::live::{finalizers, is_deleting, live_annotation};
use crate::normalise::{self, DesiredObject};
use crate::request::{OPERATION_ID, RequestContext, hook_body, without_finalizer};
use crate::{
    Control, Desired, Destination, Engine, EngineError, Event, Reason, SyncRequest, Wait,
    difference, observe, project,
};

impl Engine {
    /// Deletes an application as its finalizers say: with its objects, dependents first or in the
    /// background, or leaving them. What is left afterwards is forgotten.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when its documents are wrong (its hooks are not known then),
    /// [`EngineError::Refused`] when a hook failed, [`EngineError::Target`] when a target cannot be
    /// listed or refuses a deletion, [`EngineError::Cancelled`].
    ///
    /// # Cancel safety
    /// May be repeated: hooks that ended do not run again, what is gone is not deleted again.
    pub async fn delete_application(
        &self,
        destination: &Destination,
        desired: &Desired,
        control: &Control,
    ) -> Result<(), EngineError> {
        let name = self.tracking_name(&desired.application);
        let request = SyncRequest::manual(&desired.application, "");
        let context = self.request_context(desired, &request);
        let (rules, _) = difference::ignore_rules(desired);
        let observation = self.observe(destination, desired, &context, &rules).await;
        if observation.has_errors() {
            return Err(EngineError::Invalid {
                application: desired.application_name().to_owned(),
                diagnostics: observation.normalised.diagnostics,
            });
        }
        let mut record = self.record(&name).await?;
        let deletion = match record.deletion.clone() {
            Some(deletion) => deletion,
            None => {
                let deletion = Deletion {
                    id: self.context.ids.next(),
                    started_at: self.context.clock.now(),
                    done: Vec::new(),
                };
                record.deletion = Some(deletion.clone());
                self.save(&name, &record).await?;
                deletion
            }
        };
        let mut run = Run {
            engine: self,
            destination,
            desired,
            name: name.clone(),
            context,
            objects: observation.normalised.objects,
            deletion,
            control: control.clone(),
        };
        run.context.attempt.clone_from(&run.deletion.id);
        run.run().await?;
        self.forget(&name).await
    }
}

/// How the objects of an application go.
fn cascade(finalizers: &[String]) -> Option<PropagationPolicy> {
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has(annotation::RESOURCES_FINALIZER_BACKGROUND) {
        Some(PropagationPolicy::Background)
    } else if has(annotation::RESOURCES_FINALIZER)
        || has(annotation::RESOURCES_FINALIZER_FOREGROUND)
    {
        Some(PropagationPolicy::Foreground)
    } else {
        None
    }
}

struct Run<'a> {
    engine: &'a Engine,
    destination: &'a Destination,
    desired: &'a Desired,
    name: String,
    context: RequestContext,
    objects: Vec<DesiredObject>,
    deletion: Deletion,
    control: Control,
}

impl Run<'_> {
    async fn run(&mut self) -> Result<(), EngineError> {
        self.hooks(HookKind::PreDelete).await?;
        if let Some(propagation) = cascade(&self.desired.application.finalizers) {
            self.context.sync.options.prune_propagation_policy = propagation;
            self.objects_by_wave().await?;
        }
        self.hooks(HookKind::PostDelete).await?;
        self.clean_up(HookKind::PreDelete).await?;
        self.clean_up(HookKind::PostDelete).await
    }

    fn emit(&self, event: Event) {
        self.engine.emit(event);
    }

    fn event(&self, reason: Reason, key: &ResourceKey) -> Event {
        Event::new(reason, self.desired.application_name()).object(key)
    }

    fn hooks_of(&self, kind: HookKind) -> Vec<(ResourceKey, Object)> {
        let hooks = self.objects.iter().filter(|object| {
            object.object.facts.is_hook() && object.object.facts.hooks.contains(&kind)
        });
        let named = hooks.map(|hook| {
            let mut object = (*hook.object).clone();
            if let Some(prefix) = hook.object.generate_name() {
                let revision = self
                    .desired
                    .sources
                    .first()
                    .map_or("", |s| s.revision.as_str());
                let short: String = revision.chars().take(7).collect();
                let at = self.deletion.started_at.as_second();
                let word = kind.as_str().to_lowercase();
                object.set_name(&format!("{prefix}{short}-{word}-{at}"));
                let mark = normalise::tracking_id(&object, &self.context.owner);
                object.set_annotation(annotation::TRACKING_ID, &mark.to_string());
            }
            (object.key(hook.key.target.clone()), object)
        });
        named.collect()
    }

    /// Makes the hooks of one kind, all at once, and waits until they have ended well.
    async fn hooks(&mut self, kind: HookKind) -> Result<(), EngineError> {
        let hooks = self.hooks_of(kind);
        let mut poll = self.engine.options.poll_min;
        loop {
            let mut waits = Vec::new();
            for (key, object) in &hooks {
                if self.deletion.done.contains(&(key.clone(), kind)) {
                    continue;
                }
                if let Some(wait) = self.hook(key, object, kind).await? {
                    waits.push(wait);
                }
            }
            if waits.is_empty() {
                return Ok(());
            }
            self.pause(&waits, &mut poll).await?;
        }
    }

    /// One look at one hook: made when it is not there, and what is waited for.
    async fn hook(
        &mut self,
        key: &ResourceKey,
        object: &Object,
        kind: HookKind,
    ) -> Result<Option<Wait>, EngineError> {
        let live = self.read(key).await?;
        let mark = format!("{}/{}", self.deletion.id, kind.as_str());
        let body = hook_body(object, &key.name, &self.deletion.id, kind.as_str());
        let Some(live) = live else {
            self.apply(key, object, body, None).await?;
            self.emit(self.event(Reason::HookStarted, key).origin(&object.origin));
            return Ok(Some(Wait::hook(key, None)));
        };
        if live_annotation(&live, OPERATION_ID) != Some(&mark) {
            if is_deleting(&live) {
                return Ok(Some(Wait::gone(key, &finalizers(&live))));
            }
            // It is of an earlier operation: it makes way, so that this one's runs.
            self.delete(key, &live.uid).await?;
            return Ok(Some(Wait::gone(key, &finalizers(&live))));
        }
        let status = live.health.as_ref().map(|health| health.status);
        match status {
            None | Some(HealthStatus::Healthy) => {
                self.deletion.done.push((key.clone(), kind));
                let mut record = self.engine.record(&self.name).await?;
                record.deletion = Some(self.deletion.clone());
                self.engine.save(&self.name, &record).await?;
                let bare = without_finalizer(&body);
                self.apply(key, object, bare, Some(&live.uid)).await?;
                self.emit(
                    self.event(Reason::HookSucceeded, key)
                        .origin(&object.origin),
                );
                Ok(None)
            }
            Some(HealthStatus::Degraded | HealthStatus::Unknown) => {
                let message = live.health.map(|health| health.message).unwrap_or_default();
                self.delete(key, &live.uid).await?;
                let event = self.event(Reason::HookFailed, key).origin(&object.origin);
                self.emit(event.message(message.clone()));
                Err(EngineError::Refused(format!(
                    "{} hook {} failed: {message}; it is made again by the next attempt",
                    kind.as_str(),
                    key.short()
                )))
            }
            Some(HealthStatus::Progressing | HealthStatus::Suspended | HealthStatus::Missing) => {
                Ok(Some(Wait::hook(key, live.health.as_ref())))
            }
        }
    }

    /// Deletes the application's objects, the highest wave first, each wave gone before the next.
    async fn objects_by_wave(&mut self) -> Result<(), EngineError> {
        let mut poll = self.engine.options.poll_min;
        loop {
            let (marked, incomplete) = observe::owned(self.destination, &self.context.owner).await;
            if !incomplete.is_empty() {
                return Err(EngineError::Refused(format!(
                    "nothing is deleted while the target cannot be listed whole: {}",
                    incomplete.join(", ")
                )));
            }
            let left: Vec<(Owned, SyncFacts)> = marked
                .into_iter()
                .map(|owned| {
                    let facts = facts_of(&owned);
                    (owned, facts)
                })
                .filter(|(owned, facts)| self.goes(owned, facts))
                .collect();
            let going = left.iter().filter(|(owned, _)| owned.is_deleting);
            let mut waits: Vec<Wait> = going
                .map(|(owned, _)| Wait::gone(&owned.key, &[]))
                .collect();
            if waits.is_empty() {
                waits = self.unapproved(&left);
            }
            if !waits.is_empty() {
                self.pause(&waits, &mut poll).await?;
                continue;
            }
            let Some(wave) = left.iter().map(|(_, facts)| facts.wave).max() else {
                return Ok(());
            };
            for (owned, _) in left.iter().filter(|(_, facts)| facts.wave == wave) {
                self.delete(&owned.key, &owned.uid).await?;
                let event = self.event(Reason::Pruned, &owned.key);
                self.emit(Event {
                    wave: Some(wave),
                    ..event
                });
            }
            let gone: Vec<Wait> = Vec::new();
            self.pause(&gone, &mut poll).await?;
        }
    }

    /// Whether an object goes with its application.
    fn goes(&self, owned: &Owned, facts: &SyncFacts) -> bool {
        let key = &owned.key;
        let kind = key.group_kind();
        let is_self = kind.is("argoproj.io", "Application")
            && key.name == self.desired.application.name
            && (key.namespace == self.desired.application.namespace
                || self.desired.application.namespace.is_empty());
        let is_namespaced = !key.namespace.is_empty();
        let permitted =
            project::permits_kind(&self.desired.project, &kind, &key.name, is_namespaced);
        let is_post_delete = facts.hooks.contains(&HookKind::PostDelete);
        let stays = self.delete_approval(facts) == Approval::Forbidden || facts.helm_keep;
        owned.is_root
            && owned.is_self_reference
            && !normalise::is_definition(&kind)
            && permitted
            && !is_self
            && !is_post_delete
            && !stays
    }

    fn delete_approval(&self, facts: &SyncFacts) -> Approval {
        facts
            .options
            .delete
            .unwrap_or(self.context.sync.options.delete)
    }

    /// Objects whose deletion a person must approve: nothing goes before.
    fn unapproved(&self, left: &[(Owned, SyncFacts)]) -> Vec<Wait> {
        let approved = self.context.sync.deletion_approved;
        let approved: Option<Timestamp> = approved.max(self.control.signals().approved);
        if approved.is_some_and(|at| at >= self.deletion.started_at) {
            return Vec::new();
        }
        let asks = left
            .iter()
            .filter(|(_, facts)| self.delete_approval(facts) == Approval::Confirm);
        asks.map(|(owned, _)| Wait::approval(&owned.key, "deletion"))
            .collect()
    }

    /// Deletes hooks whose policy fits how they all ended.
    async fn clean_up(&mut self, kind: HookKind) -> Result<(), EngineError> {
        // A hook that failed ended the deletion before: here all of them ended well.
        for (key, object) in self.hooks_of(kind) {
            let policies = &object.facts.delete_policies;
            if policies.contains(&HookDeletePolicy::HookSucceeded)
                && let Some(live) = self.read(&key).await?
            {
                self.delete(&key, &live.uid).await?;
            }
        }
        Ok(())
    }

    async fn read(
        &self,
        key: &ResourceKey,
    ) -> Result<Option<tidegate_applier::LiveObject>, EngineError> {
        let read = observe::read(self.destination, vec![key.clone()], ReadOptions::default());
        match read.await.pop() {
            Some((_, Ok(live))) => Ok(live),
            Some((_, Err(error))) => Err(self.failed(key, "read", error)),
            None => Ok(None),
        }
    }

    fn failed(
        &self,
        key: &ResourceKey,
        action: &'static str,
        error: tidegate_applier::ApplierError,
    ) -> EngineError {
        EngineError::Target {
            target: key.target.clone(),
            action,
            source: Box::new(tidegate_applier::ApplierError {
                message: format!("{}: {}", key.short(), error.message),
                ..error
            }),
        }
    }

    async fn apply(
        &self,
        key: &ResourceKey,
        object: &Object,
        body: serde_json::Value,
        uid: Option<&str>,
    ) -> Result<(), EngineError> {
        let mut request: ApplyRequest =
            self.context
                .apply(key, &object.gvk, &object.facts, body, None);
        request.mode = ApplyMode::Apply;
        request.force_recreate = false;
        request.precondition = Precondition {
            exists: Some(uid.is_some()),
            uid: uid.map(str::to_owned),
            version: None,
        };
        let Some(applier) = self.destination.applier(&key.target) else {
            return Ok(());
        };
        match applier.apply(vec![request]).await.pop() {
            Some(Err(error)) if uid.is_none() => Err(self.failed(key, "changed", error)),
            Some(Ok(_) | Err(_)) | None => Ok(()),
        }
    }

    async fn delete(&self, key: &ResourceKey, uid: &str) -> Result<(), EngineError> {
        let Some(applier) = self.destination.applier(&key.target) else {
            return Ok(());
        };
        let mut request = self.context.delete(key, uid);
        request.remove_finalizer = Some(annotation::HOOK_FINALIZER.to_owned());
        let Some(Err(error)) = applier.delete(vec![request]).await.pop() else {
            return Ok(());
        };
        let left = self.read(key).await?;
        if left.is_some_and(|live| live.uid == uid && !is_deleting(&live)) {
            return Err(self.failed(key, "changed", error));
        }
        Ok(())
    }

    /// Tells of what is waited for and waits a little.
    async fn pause(&mut self, waits: &[Wait], poll: &mut Duration) -> Result<(), EngineError> {
        let signals = self.control.signals();
        if signals.is_cancelled || signals.is_terminated {
            return Err(EngineError::Cancelled {
                application: self.desired.application_name().to_owned(),
            });
        }
        if *poll == self.engine.options.poll_min {
            for wait in waits {
                let event = self.event(Reason::Waiting, &wait.object);
                self.emit(event.message(wait.to_string()));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(*poll) => {}
            () = self.control.changed(&signals) => {}
        }
        *poll = (*poll * 3 / 2).min(self.engine.options.poll_max);
        Ok(())
    }
}

fn facts_of(owned: &Owned) -> SyncFacts {
    let annotations: BTreeMap<&str, &str> = owned
        .annotations
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    SyncFacts::read(&annotations).0
}
