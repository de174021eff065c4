//! Moves field ownership from earlier appliers to Tidegate, so that what leaves Git is removed
//! (kubernetes.md A5), and says what that removes without doing it.

use http::Method;
use serde_json::{Value, json};
use tidegate_diff::fieldset::{FieldSet, PathElement};
use tidegate_diff::managed::{ManagerKey, Managers, MigrateOptions, Operation, migrate};
use tidegate_diff::schema::TypeRef;
use tidegate_diff::typed::remove_items;

use crate::apply::Item;
use crate::cluster::Inner;
use crate::content::metadata;
use crate::failure::Failure;
use crate::transport::{Call, JSON_PATCH};

/// Appliers that write by update: kubectl's and Argo CD's client-side apply.
const UPDATERS: [&str; 2] = ["kubectl-client-side-apply", "argocd-controller"];
/// Appliers that write by server-side apply.
const APPLIERS: [&str; 1] = ["argocd-controller"];

/// A migration that an object needs.
#[derive(Clone, Debug)]
pub(crate) struct Migration {
    managers: Managers,
    resource_version: String,
}

/// The migration of a live object to `owner`; None when it needs none.
pub(crate) fn plan(live: &Value, owner: &str) -> Option<Migration> {
    // Our own updates (`Replace=true`) move to our apply too.
    let updaters = [UPDATERS[0], UPDATERS[1], owner];
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let options = MigrateOptions {
        updaters: &updaters,
        appliers: &APPLIERS,
        to: owner,
        now: &now,
    };
    let managers = match migrate(live, &options) {
        Ok(managers) => managers?,
        Err(error) => {
            // An apply works on such an object; only what left Git before today may stay.
            tracing::warn!(
                "cannot read the managed fields of {}: {error}",
                metadata(live, "name")
            );
            return None;
        }
    };
    Some(Migration {
        managers,
        resource_version: metadata(live, "resourceVersion").to_owned(),
    })
}

impl Inner {
    /// Sends a migration; the answer is the object after it.
    pub(crate) async fn send_migration(
        &self,
        item: Item<'_>,
        migration: &Migration,
    ) -> Result<Value, Failure> {
        // `replace` of the resourceVersion makes a lost race a 409, which starts the apply over.
        let patch = json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": migration.managers.encode()},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": migration.resource_version},
        ]);
        let path = format!("{}?{}", item.path()?, item.parameters());
        let call = Call::write(Method::PATCH, path, JSON_PATCH, &patch);
        let reply = self.transport().call(&call, item.deadline).await?;
        reply.json()
    }
}

/// What a dry run without the migration would have answered with it: the fields that move to us,
/// are no longer asked for and belong to nobody else are gone.
pub(crate) fn emulate(after: &Value, migration: &Migration, owner: &str, ty: &TypeRef) -> Value {
    let key = |operation| ManagerKey::new(owner, operation, "", "");
    let own = key(Operation::Apply);
    let Some(moved) = migration.managers.get(&own).map(|state| &state.set) else {
        return after.clone();
    };
    let Ok(now) = Managers::decode(&after["metadata"]["managedFields"]) else {
        return after.clone();
    };
    let mut kept = now
        .get(&own)
        .map_or_else(FieldSet::new, |state| state.set.clone());
    for (key, state) in migration.managers.iter() {
        if *key != own {
            kept = kept.union(&state.set);
        }
    }
    kept = kept.union(&FieldSet::of_fields(&[
        &["metadata", "name"],
        &["metadata", "namespace"],
    ]));
    let mut gone = FieldSet::new();
    collect_gone(moved, &kept, &mut Vec::new(), &mut gone);
    if gone.is_empty() {
        return after.clone();
    }
    let mut bare = after.clone();
    let mut managed = None;
    if let Some(metadata) = bare.get_mut("metadata").and_then(Value::as_object_mut) {
        managed = metadata.remove("managedFields");
    }
    let mut left = remove_items(ty, &bare, &gone);
    drop_emptied(&mut left, after);
    if let (Some(managed), Some(metadata)) = (
        managed,
        left.get_mut("metadata").and_then(Value::as_object_mut),
    ) {
        metadata.insert("managedFields".to_owned(), managed);
    }
    left
}

/// The paths of `moved` at and below which nothing is kept, the shortest of each (the pruning of
/// structured merge diff: a named field counts as owned when anything below it is).
fn collect_gone(
    moved: &FieldSet,
    kept: &FieldSet,
    path: &mut Vec<PathElement>,
    gone: &mut FieldSet,
) {
    let nothing = FieldSet::new();
    for (element, is_member, children) in moved.iter_elements() {
        path.push(element.clone());
        let below = kept.below(element).unwrap_or(&nothing);
        let is_kept = kept.has_element(element) || !below.is_empty();
        if !is_kept && (is_member || matches!(element, PathElement::Field(_))) {
            gone.insert(path);
        } else {
            collect_gone(children, below, path, gone);
        }
        path.pop();
    }
}

/// Maps that lost their last member are not shown by the server.
fn drop_emptied(left: &mut Value, before: &Value) {
    let Some(members) = left.as_object_mut() else {
        return;
    };
    members.retain(|name, member| {
        let was = &before[name.as_str()];
        drop_emptied(member, was);
        let emptied = member.as_object().is_some_and(serde_json::Map::is_empty)
            && was.as_object().is_some_and(|was| !was.is_empty());
        !emptied
    });
}

#[cfg(test)]
mod tests {
    use tidegate_diff::schema::Schema;

    use super::*;

    #[test]
    fn what_moves_and_is_not_asked_for_goes() {
        let live = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "resourceVersion": "5", "labels": {"old": "x"}, "managedFields": [
                {"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z",
                 "fieldsV1": {"f:data": {".": {}, "f:keep": {}, "f:drop": {}, "f:shared": {}}, "f:metadata": {"f:labels": {".": {}, "f:old": {}}}}},
                {"manager": "other", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z",
                 "fieldsV1": {"f:data": {"f:shared": {}, "f:theirs": {}}}},
            ]},
            "data": {"keep": "1", "drop": "2", "shared": "3", "theirs": "4"},
        });
        let migration = plan(&live, "tidegate").expect("needed");
        let mut after = live.clone();
        after["metadata"]["managedFields"].as_array_mut().expect("a list").push(json!(
            {"manager": "tidegate", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z",
             "fieldsV1": {"f:data": {"f:keep": {}}}}
        ));
        let ty = Schema::builtin("", "v1", "ConfigMap").expect("known");
        let seen = emulate(&after, &migration, "tidegate", &ty);
        assert_eq!(
            seen["data"],
            json!({"keep": "1", "shared": "3", "theirs": "4"})
        );
        assert_eq!(seen["metadata"].get("labels"), None);
        assert!(seen["metadata"]["managedFields"].is_array());
    }

    #[test]
    fn nothing_to_move() {
        let live = json!({"metadata": {"managedFields": [
            {"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}]}});
        assert!(plan(&live, "tidegate").is_none());
        assert!(plan(&json!({"metadata": {}}), "tidegate").is_none());
    }
}
