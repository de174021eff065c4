//! Deletion under finalizers, owners and preconditions.

use serde_json::{Value, json};
use tidegate_applier::manifest::{PropagationPolicy, annotation};
use tidegate_applier::{
    Applier, ApplierError, DeleteOutcome, DeleteRequest, ErrorKind, Precondition,
};

use crate::target::{TestCluster, cluster, marked};

fn request(test: &TestCluster, body: &Value) -> DeleteRequest {
    DeleteRequest {
        key: test.key(body),
        propagation: PropagationPolicy::Background,
        precondition: Precondition::default(),
        owner: None,
        remove_finalizer: None,
        dry_run: false,
        operation_id: String::new(),
    }
}

async fn delete(test: &TestCluster, request: DeleteRequest) -> Result<DeleteOutcome, ApplierError> {
    test.cluster.delete(vec![request]).await.remove(0)
}

fn deleting(finalizers: &[&str]) -> DeleteOutcome {
    DeleteOutcome::Deleting {
        finalizers: finalizers.iter().map(|f| (*f).to_owned()).collect(),
    }
}

#[tokio::test]
async fn finalizers_hold_an_object_until_they_are_taken_off() {
    let test = cluster().await;
    let mut body = test.config_map("a", &json!({}));
    body["metadata"]["finalizers"] = json!(["example.com/other", annotation::HOOK_FINALIZER]);
    test.apply(test.request(&body)).await.expect("created");
    let mut dry = request(&test, &body);
    dry.dry_run = true;
    dry.remove_finalizer = Some(annotation::HOOK_FINALIZER.to_owned());
    assert_eq!(
        delete(&test, dry).await,
        Ok(deleting(&["example.com/other"]))
    );
    assert!(
        test.live(&body).await.expect("untouched").body["metadata"]
            .get("deletionTimestamp")
            .is_none()
    );
    let both = deleting(&["example.com/other", annotation::HOOK_FINALIZER]);
    assert_eq!(delete(&test, request(&test, &body)).await, Ok(both.clone()));
    assert_eq!(
        delete(&test, request(&test, &body)).await,
        Ok(both),
        "again"
    );
    let mut release = request(&test, &body);
    release.remove_finalizer = Some(annotation::HOOK_FINALIZER.to_owned());
    assert_eq!(
        delete(&test, release).await,
        Ok(deleting(&["example.com/other"]))
    );
    let mut release = request(&test, &body);
    release.remove_finalizer = Some("example.com/other".to_owned());
    assert_eq!(delete(&test, release).await, Ok(DeleteOutcome::Deleted));
    assert_eq!(
        delete(&test, request(&test, &body)).await,
        Ok(DeleteOutcome::Absent)
    );
}

#[tokio::test]
async fn a_hook_goes_with_its_finalizer_in_one_call() {
    let test = cluster().await;
    let mut body = test.config_map("a", &json!({}));
    body["metadata"]["finalizers"] = json!([annotation::HOOK_FINALIZER]);
    let live = test.apply(test.request(&body)).await.expect("created").live;
    let mut release = request(&test, &body);
    release.remove_finalizer = Some(annotation::HOOK_FINALIZER.to_owned());
    release.precondition.uid = Some(live.uid);
    release.precondition.version = Some(live.version);
    assert_eq!(delete(&test, release).await, Ok(DeleteOutcome::Deleted));
    assert!(test.live(&body).await.is_none());
}

#[tokio::test]
async fn a_recreated_object_is_not_deleted_by_an_old_plan() {
    let test = cluster().await;
    let body = test.config_map("a", &json!({}));
    let old = test.apply(test.request(&body)).await.expect("created").live;
    delete(&test, request(&test, &body)).await.expect("deleted");
    test.apply(test.request(&body)).await.expect("created anew");
    let mut stale = request(&test, &body);
    stale.precondition.uid = Some(old.uid);
    let error = delete(&test, stale).await.expect_err("another object");
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(test.live(&body).await.is_some());
}

#[tokio::test]
async fn controlled_objects_are_left_to_their_controller() {
    let test = cluster().await;
    let parent = test.config_map("parent", &json!({}));
    let uid = test
        .apply(test.request(&parent))
        .await
        .expect("created")
        .live
        .uid;
    let mut child = marked(test.config_map("child", &json!({})), &test.owner());
    child["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "parent", "uid": uid, "controller": true}]);
    test.apply(test.request(&child)).await.expect("created");
    let mut own = request(&test, &child);
    own.owner = Some(test.owner());
    let error = delete(&test, own).await.expect_err("not ours alone");
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("ConfigMap parent"), "{error}");
    let listed = test.cluster.list_owned(test.owner()).await.expect("listed");
    let child = listed
        .items
        .iter()
        .find(|owned| owned.key.name == "child")
        .expect("marked");
    assert!(!child.is_root && child.is_self_reference);
}

#[tokio::test]
async fn a_copied_mark_makes_no_ownership() {
    let test = cluster().await;
    let mut copy = marked(test.config_map("original", &json!({})), &test.owner());
    copy["metadata"]["name"] = json!("copy");
    test.apply(test.request(&copy)).await.expect("created");
    let listed = test.cluster.list_owned(test.owner()).await.expect("listed");
    assert_eq!(listed.items.len(), 1);
    assert!(!listed.items[0].is_self_reference);
    let mut own = request(&test, &copy);
    own.owner = Some(test.owner());
    let error = delete(&test, own).await.expect_err("a copy");
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("copied mark"), "{error}");
}

#[tokio::test]
async fn cluster_scoped_objects_are_owned_too() {
    let test = cluster().await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": format!("role:{}", test.namespace), "namespace": "ignored"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    let mut role = marked(role, &test.owner());
    role["metadata"]["namespace"] = Value::Null;
    test.apply(test.request(&role)).await.expect("created");
    let listed = test.cluster.list_owned(test.owner()).await.expect("listed");
    let owned = &listed.items[0];
    assert_eq!(
        (owned.key.namespace.as_str(), owned.is_self_reference),
        ("", true)
    );
    let mut own = request(&test, &role);
    own.owner = Some(test.owner());
    assert_eq!(delete(&test, own).await, Ok(DeleteOutcome::Deleted));
}

#[tokio::test]
async fn foreground_deletion_says_that_it_waits() {
    let test = cluster().await;
    let parent = test.config_map("parent", &json!({}));
    let uid = test
        .apply(test.request(&parent))
        .await
        .expect("created")
        .live
        .uid;
    let mut child = test.config_map("child", &json!({}));
    child["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "parent", "uid": uid, "blockOwnerDeletion": true}]);
    child["metadata"]["finalizers"] = json!(["example.com/hold"]);
    test.apply(test.request(&child)).await.expect("created");
    let mut foreground = request(&test, &parent);
    foreground.propagation = PropagationPolicy::Foreground;
    assert_eq!(
        delete(&test, foreground).await,
        Ok(deleting(&["foregroundDeletion"]))
    );
    let mut release = request(&test, &child);
    release.remove_finalizer = Some("example.com/hold".to_owned());
    delete(&test, release).await.expect("released");
}
