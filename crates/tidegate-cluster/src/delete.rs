//! Takes one object away, under every precondition (kubernetes.md A8, A9).

use http::Method;
use serde_json::{Value, json};
use tidegate_applier::{ApplierError, DeleteOutcome, DeleteRequest, ErrorKind, OwnerRef};
use tidegate_manifest::{PropagationPolicy, ResourceKey, TrackingId};
use tokio::time::{Instant, sleep};

use crate::cluster::Inner;
use crate::content::{check_precondition, finalizers, metadata};
use crate::failure::Failure;
use crate::retry::{backoff, chance};
use crate::transport::{Call, JSON, JSON_PATCH};

impl Inner {
    pub(crate) async fn delete_one(
        &self,
        request: DeleteRequest,
    ) -> Result<DeleteOutcome, ApplierError> {
        let deadline = self.deadline();
        let outcome = self.delete(&request, deadline).await?;
        if !request.dry_run && !matches!(outcome, DeleteOutcome::Deleting { .. }) {
            self.forget(&request.key).await;
        }
        Ok(outcome)
    }

    async fn delete(
        &self,
        request: &DeleteRequest,
        deadline: Instant,
    ) -> Result<DeleteOutcome, Failure> {
        let policy = self.transport().policy();
        let kind = request.key.group_kind();
        let Some(endpoint) = self.discovery().preferred(self.transport(), &kind).await? else {
            return Ok(DeleteOutcome::Absent);
        };
        let path = endpoint.object(&request.key.namespace, &request.key.name)?;
        let mut conflicts = 0;
        loop {
            let failure = match self.delete_once(request, &path, deadline).await {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let Some(refusal) = failure.refusal() else {
                return Err(failure);
            };
            if refusal.is_kind_missing() {
                // The kind went with its definition, and the object with it.
                self.discovery().look_again(self.transport()).await?;
                let known = self.discovery().preferred(self.transport(), &kind).await?;
                return if known.is_none() {
                    Ok(DeleteOutcome::Absent)
                } else {
                    Err(failure)
                };
            }
            if !refusal.is_optimistic() && refusal.code != 422 || conflicts >= policy.conflict_tries
            {
                return Err(failure);
            }
            // The object changed between look and deletion: look again, check again.
            conflicts += 1;
            let pause = backoff(
                conflicts,
                policy.conflict_base,
                policy.internal_cap,
                chance(),
            );
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            sleep(pause).await;
        }
    }

    async fn delete_once(
        &self,
        request: &DeleteRequest,
        path: &str,
        deadline: Instant,
    ) -> Result<DeleteOutcome, Failure> {
        let Some(mut live) = self.get(path, deadline).await? else {
            return Ok(DeleteOutcome::Absent);
        };
        if let Some(owner) = &request.owner {
            check_owner(owner, &request.key, &live)?;
        }
        check_precondition(&request.precondition, Some(&live))?;
        let uid = metadata(&live, "uid").to_owned();
        let mut version = request.precondition.version.clone();
        let held_by = request
            .remove_finalizer
            .as_ref()
            .filter(|f| finalizers(&live).contains(f));
        if let (Some(finalizer), false) = (held_by, request.dry_run) {
            match self.release(path, &live, finalizer, deadline).await {
                Ok(released) => live = released,
                Err(failure) if failure.is_not_found() => return Ok(DeleteOutcome::Deleted),
                Err(failure) => return Err(failure),
            }
            version = version.map(|_| metadata(&live, "resourceVersion").to_owned());
        }
        if metadata(&live, "deletionTimestamp").is_empty() {
            let call = delete_call(
                path.to_owned(),
                request.propagation,
                &uid,
                version.as_deref(),
                request.dry_run,
            );
            match self.transport().call(&call, deadline).await {
                Ok(reply) if request.dry_run => return predicted(request, &live, &reply.json()?),
                Ok(_) => {}
                Err(failure) if failure.is_not_found() => return Ok(DeleteOutcome::Deleted),
                Err(failure) => return Err(failure),
            }
        } else if request.dry_run {
            return Ok(DeleteOutcome::Deleting {
                finalizers: without(finalizers(&live), request.remove_finalizer.as_ref()),
            });
        }
        match self.get(path, deadline).await? {
            Some(now) if metadata(&now, "uid") == uid => Ok(DeleteOutcome::Deleting {
                finalizers: finalizers(&now),
            }),
            Some(_) | None => Ok(DeleteOutcome::Deleted),
        }
    }

    /// Takes one finalizer off, unless the object changed.
    async fn release(
        &self,
        path: &str,
        live: &Value,
        finalizer: &str,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let before = &live["metadata"]["finalizers"];
        let after: Vec<&Value> = before
            .as_array()
            .into_iter()
            .flatten()
            .filter(|item| item.as_str() != Some(finalizer))
            .collect();
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": live["metadata"]["uid"]},
            {"op": "test", "path": "/metadata/finalizers", "value": before},
            {"op": "replace", "path": "/metadata/finalizers", "value": after},
        ]);
        let path = format!("{path}?fieldManager=tidegate");
        let call = Call::write(Method::PATCH, path, JSON_PATCH, &patch);
        self.transport().call(&call, deadline).await?.json()
    }
}

/// What a dry run of a deletion leads to: the server only says that it would be accepted.
fn predicted(
    request: &DeleteRequest,
    live: &Value,
    reply: &Value,
) -> Result<DeleteOutcome, Failure> {
    let shown = if reply["kind"] == "Status" {
        live
    } else {
        reply
    };
    let left = without(finalizers(shown), request.remove_finalizer.as_ref());
    if left.is_empty() {
        return Ok(DeleteOutcome::Deleted);
    }
    Ok(DeleteOutcome::Deleting { finalizers: left })
}

fn without(mut finalizers: Vec<String>, removed: Option<&String>) -> Vec<String> {
    finalizers.retain(|finalizer| Some(finalizer) != removed);
    finalizers
}

/// A DELETE that hits only this very object.
pub(crate) fn delete_call(
    path: String,
    propagation: PropagationPolicy,
    uid: &str,
    version: Option<&str>,
    dry_run: bool,
) -> Call {
    let propagation = match propagation {
        PropagationPolicy::Foreground => "Foreground",
        PropagationPolicy::Background => "Background",
        PropagationPolicy::Orphan => "Orphan",
    };
    let mut body = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
        "preconditions": {"uid": uid},
    });
    if let Some(version) = version {
        body["preconditions"]["resourceVersion"] = version.into();
    }
    if dry_run {
        body["dryRun"] = json!(["All"]);
    }
    Call::write(Method::DELETE, path, JSON, &body)
}

/// # Errors
/// A `Conflict` when the object is not the application's to delete.
fn check_owner(owner: &OwnerRef, key: &ResourceKey, live: &Value) -> Result<(), ApplierError> {
    let conflict = |message: String| {
        Err(ApplierError::new(ErrorKind::Conflict, message)
            .help("delete it by hand, or give it back to the application that manages it"))
    };
    let name = &owner.application;
    let Some(id) = TrackingId::of(live) else {
        return conflict(format!(
            "{} bears no mark of application {name:?}",
            key.short()
        ));
    };
    if id.application != *name {
        return conflict(format!(
            "{} is managed by application {:?}, not {name:?}",
            key.short(),
            id.application
        ));
    }
    // The namespace test is waived where the live object has none.
    let namespace = metadata(live, "namespace");
    if !id.is_self_reference(&key.group, &key.kind, namespace, &key.name) {
        return conflict(format!(
            "{} bears a copied mark: it speaks of {id}",
            key.short()
        ));
    }
    let controller = live["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|reference| reference["controller"] == true);
    if let Some(reference) = controller {
        return conflict(format!(
            "{} is managed by {} {}",
            key.short(),
            reference["kind"].as_str().unwrap_or_default(),
            reference["name"].as_str().unwrap_or_default()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidegate_manifest::Target;

    use super::*;

    #[test]
    fn only_what_is_the_applications_own_is_deleted() {
        let owner = OwnerRef {
            application: "shop".into(),
            destination_namespace: "ns".into(),
        };
        let key = ResourceKey {
            target: Target::kubernetes("x"),
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "ns".into(),
            name: "web".into(),
        };
        let check = |mark: Option<&str>, owners: Value, expected: Option<&str>| {
            let mut live = json!({"metadata": {"name": "web", "namespace": "ns", "ownerReferences": owners, "annotations": {}}});
            if let Some(mark) = mark {
                live["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = mark.into();
            }
            let found = check_owner(&owner, &key, &live)
                .err()
                .map(|error| error.message);
            match expected {
                None => assert_eq!(found, None),
                Some(words) => assert!(
                    found.as_deref().unwrap_or_default().contains(words),
                    "{found:?}"
                ),
            }
        };
        check(Some("shop:apps/Deployment:ns/web"), json!([]), None);
        check(
            Some("shop:apps/Deployment:ns/web"),
            json!([{"kind": "X", "name": "y"}]),
            None,
        );
        check(None, json!([]), Some("bears no mark"));
        check(Some("nonsense"), json!([]), Some("bears no mark"));
        check(
            Some("bank:apps/Deployment:ns/web"),
            json!([]),
            Some("managed by application \"bank\""),
        );
        check(
            Some("shop:apps/Deployment:ns/api"),
            json!([]),
            Some("copied mark"),
        );
        check(
            Some("shop:apps/Deployment:ns/web"),
            json!([{"kind": "Rollout", "name": "r", "controller": true}]),
            Some("managed by Rollout r"),
        );
    }
}
