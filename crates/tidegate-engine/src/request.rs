//! What an applier is asked for one object, by the options of application, operation and object (Argo CD 7.6, 8). Pure.

use serde_json::{Value, json};
use tidegate_applier::{
    ApplyMode, ApplyRequest, DeleteRequest, FieldOwner, LiveObject, OwnerRef, Precondition,
};
use tidegate_manifest::{
    Application, GroupVersionKind, Object, ResourceKey, SyncFacts, Target, annotation,
};

use crate::SyncRequest;

/// Annotation on a hook: which attempt of which operation made it, and for which phase.
pub(crate) const OPERATION_ID: &str = "tidegate.dev/operation-id";

/// What is the same for all requests of an operation.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    pub(crate) owner: OwnerRef,
    pub(crate) field_owner: FieldOwner,
    pub(crate) sync: SyncRequest,
    /// Which attempt of which operation; empty for previews.
    pub(crate) attempt: String,
}

impl RequestContext {
    /// How the object is written: `Replace` and `Force` of application, desired and live object.
    pub(crate) fn mode(
        &self,
        key: &ResourceKey,
        facts: &SyncFacts,
        live: Option<&LiveObject>,
    ) -> (ApplyMode, bool) {
        let live_facts = live
            .map(|live| SyncFacts::of(&live.body))
            .unwrap_or_default();
        let says_replace = facts.options.replace.unwrap_or(self.sync.options.replace)
            || (facts.options.replace.is_none() && live_facts.options.replace == Some(true));
        let force =
            self.sync.strategy.is_forced() || facts.options.force || live_facts.options.force;
        if !says_replace || live.is_none() {
            return (ApplyMode::Apply, force);
        }
        // These two lose everything that hangs on them when they are deleted.
        let is_precious = (key.group.is_empty() && key.kind == "Namespace")
            || (key.group == "apiextensions.k8s.io" && key.kind == "CustomResourceDefinition");
        if force && !is_precious {
            (ApplyMode::Recreate, true)
        } else {
            (ApplyMode::Replace, false)
        }
    }

    /// The request that brings a body to its target.
    pub(crate) fn apply(
        &self,
        key: &ResourceKey,
        gvk: &GroupVersionKind,
        facts: &SyncFacts,
        body: Value,
        live: Option<&LiveObject>,
    ) -> ApplyRequest {
        let (mode, force_recreate) = self.mode(key, facts, live);
        let mut request = ApplyRequest::new(key.clone(), gvk.clone(), body, self.owner.clone());
        request.field_owner = self.field_owner.clone();
        request.mode = mode;
        request.force_recreate = force_recreate;
        request.validate = self.sync.options.validate && facts.options.validate != Some(false);
        request.migrate_client_side_apply = self.sync.options.client_side_apply_migration;
        request.operation_id.clone_from(&self.attempt);
        request
    }

    /// The same request as a question: what would it do. A replacement is asked as a merge, because
    /// that is what decides whether anything differs.
    pub(crate) fn preview(
        &self,
        key: &ResourceKey,
        gvk: &GroupVersionKind,
        facts: &SyncFacts,
        body: Value,
        live: Option<&LiveObject>,
    ) -> ApplyRequest {
        let mut request = self.apply(key, gvk, facts, body, live);
        request.dry_run = true;
        request.mode = ApplyMode::Apply;
        request
    }

    /// The deletion of one very object.
    pub(crate) fn delete(&self, key: &ResourceKey, uid: &str) -> DeleteRequest {
        DeleteRequest {
            key: key.clone(),
            propagation: self.sync.options.prune_propagation_policy,
            precondition: Precondition {
                uid: Some(uid.to_owned()).filter(|uid| !uid.is_empty()),
                ..Precondition::default()
            },
            owner: Some(self.owner.clone()),
            remove_finalizer: None,
            dry_run: false,
            operation_id: self.attempt.clone(),
        }
    }
}

/// The namespace of `CreateNamespace=true` as it is applied: without a mark, so that it is never pruned
/// (Argo CD section 8).
pub(crate) fn managed_namespace(
    application: &Application,
    target: &Target,
) -> Option<ManagedNamespace> {
    let name = &application.destination.namespace;
    if name.is_empty() {
        return None;
    }
    let mut metadata = json!({"name": name});
    let managed = application.sync_policy.managed_namespace_metadata.as_ref();
    if let Some(managed) = managed {
        let mut annotations = managed.annotations.clone();
        annotations
            .entry(annotation::SYNC_OPTIONS.to_owned())
            .or_insert_with(|| "ServerSideApply=true".to_owned());
        metadata["labels"] = json!(managed.labels);
        metadata["annotations"] = json!(annotations);
    }
    Some(ManagedNamespace {
        key: ResourceKey {
            target: target.clone(),
            group: String::new(),
            kind: "Namespace".to_owned(),
            namespace: String::new(),
            name: name.clone(),
        },
        body: json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}),
        has_metadata: managed.is_some(),
    })
}

/// A namespace that an application brings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ManagedNamespace {
    pub(crate) key: ResourceKey,
    pub(crate) body: Value,
    /// Labels and annotations are managed too: an existing namespace is changed.
    pub(crate) has_metadata: bool,
}

/// The name of a hook that has only `generateName`: stable over the steps and retries of one operation (Argo CD 7.5).
pub(crate) fn hook_name(
    prefix: &str,
    revision: &str,
    phase: tidegate_manifest::Phase,
    started_at: jiff::Timestamp,
) -> String {
    let short: String = if revision.chars().count() >= 8 {
        revision.chars().take(7).collect()
    } else {
        revision.to_owned()
    };
    let phase = phase.as_str().to_lowercase();
    let name = format!("{prefix}{short}-{phase}-{}", started_at.as_second());
    // A dirty directory's revision may hold what no name may.
    name.to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect()
}

/// The body of a hook as it is created: named, with the finalizer that keeps its result, and with
/// the mark of the attempt that made it.
pub(crate) fn hook_body(object: &Object, name: &str, attempt: &str, phase: &str) -> Value {
    let mut hook = object.clone();
    hook.set_name(name);
    if !attempt.is_empty() {
        hook.set_annotation(OPERATION_ID, &format!("{attempt}/{phase}"));
    }
    let mut body = hook.body;
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generateName");
        let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
        if !finalizers.is_array() {
            *finalizers = json!([]);
        }
        if let Some(list) = finalizers.as_array_mut()
            && !list.iter().any(|item| item == annotation::HOOK_FINALIZER)
        {
            list.push(json!(annotation::HOOK_FINALIZER));
        }
    }
    body
}

/// The same body without the finalizer: applied, it lets a hook go.
pub(crate) fn without_finalizer(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        let list = metadata.get_mut("finalizers").and_then(Value::as_array_mut);
        let is_empty = list.is_some_and(|list| {
            list.retain(|item| item != annotation::HOOK_FINALIZER);
            list.is_empty()
        });
        if is_empty {
            metadata.remove("finalizers");
        }
    }
    body
}

/// Images that a body names, in order, without repetition: containers of pods, templates and jobs.
pub(crate) fn images(body: &Value) -> Vec<String> {
    const PODS: &[&str] = &[
        "/spec",
        "/spec/template/spec",
        "/spec/jobTemplate/spec/template/spec",
    ];
    let mut found: Vec<String> = Vec::new();
    for pod in PODS.iter().filter_map(|pointer| body.pointer(pointer)) {
        for list in ["initContainers", "containers"] {
            let containers = pod.get(list).and_then(Value::as_array);
            for container in containers.into_iter().flatten() {
                let image = container.get("image").and_then(Value::as_str);
                if let Some(image) = image.filter(|image| !found.iter().any(|f| f == image)) {
                    found.push(image.to_owned());
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_manifest::Phase;

    #[test]
    fn hook_names_follow_argo_cd() {
        let started = "2024-05-01T10:00:00Z".parse().expect("a time");
        let name = |revision| hook_name("migrate-", revision, Phase::PreSync, started);
        assert_eq!(
            name("0123456789abcdef"),
            "migrate-0123456-presync-1714557600"
        );
        assert_eq!(name("0123456"), "migrate-0123456-presync-1714557600");
        assert_eq!(name("abc+dirty"), "migrate-abc-dir-presync-1714557600");
    }

    #[test]
    fn a_finalizer_comes_and_goes() {
        let body = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "a-", "finalizers": ["x/y"]}});
        let object = Object::from_body(body, <_>::default()).expect("an object");
        let hook = hook_body(&object, "a-1", "op/0", "PreSync");
        assert_eq!(
            hook["metadata"],
            json!({"name": "a-1", "finalizers": ["x/y", annotation::HOOK_FINALIZER],
                "annotations": {OPERATION_ID: "op/0/PreSync"}})
        );
        assert_eq!(
            without_finalizer(&hook)["metadata"]["finalizers"],
            json!(["x/y"])
        );
    }

    #[test]
    fn images_are_found_in_templates() {
        let body = json!({"spec": {"template": {"spec": {
            "initContainers": [{"image": "a:1"}], "containers": [{"image": "b:1"}, {"image": "a:1"}]}}}});
        assert_eq!(images(&body), ["a:1", "b:1"]);
    }
}
