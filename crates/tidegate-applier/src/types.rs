//! The values that cross between engine and applier: owned, serialisable, one reply per item.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_manifest::{
    GroupKind, GroupVersionKind, Health, PropagationPolicy, ResourceKey, Target,
};

use crate::ApplierError;

/// What an applier is and can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The applier's name, for messages.
    pub name: String,
    /// The applier's version.
    pub version: String,
    /// The target it serves.
    pub target: Target,
    /// What the target is, for people: a server URL and its version.
    pub target_label: String,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// What an applier can do beyond the obligatory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// [`crate::Applier::plan_change`] is exact: the target itself computed it.
    pub exact_preview: bool,
    /// [`crate::Applier::watch`] delivers events.
    pub watch: bool,
}

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In none.
    Cluster,
}

/// What a target knows of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KindFacts {
    /// The kind.
    pub kind: GroupKind,
    /// Whether its objects live in namespaces.
    pub scope: Scope,
    /// The versions served, the preferred one first.
    pub versions: Vec<String>,
    /// The facts are of a discovery that is not current: nothing may be pruned on its word.
    #[serde(default)]
    pub stale: bool,
}

/// The application on whose behalf something is done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerRef {
    /// The application's tracking name: `name`, or `namespace_name`.
    pub application: String,
    /// The application's destination namespace, for the tracking id of cluster-scoped objects.
    pub destination_namespace: String,
}

/// The name under which fields are owned (`fieldManager`): one for the product.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldOwner(pub String);

impl Default for FieldOwner {
    fn default() -> Self {
        Self("tidegate".to_owned())
    }
}

/// How [`crate::Applier::read`] reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadOptions {
    /// The answer may come from a cache that is at most as old as the last watch event.
    pub from_cache: bool,
    /// The body may be cut to kind and metadata: version, uid and health are what is asked for.
    pub metadata_only: bool,
}

/// A live object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveObject {
    /// The object's key.
    pub key: ResourceKey,
    /// The whole object as the target shows it, without bookkeeping such as `managedFields` unless
    /// the applier needs it in `plan_change`.
    pub body: Value,
    /// The target's version of this state, for preconditions (`resourceVersion`, `RevisionId`).
    pub version: String,
    /// The target's identity of this very object (`metadata.uid`), for preconditions.
    pub uid: String,
    /// Health as the applier knows it; None when the kind has no check.
    pub health: Option<Health>,
}

/// The answer to one key of [`crate::Applier::read`]: `Ok(None)` when the object is absent.
pub type ReadResult = Result<Option<LiveObject>, ApplierError>;

/// What must hold for a change to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Precondition {
    /// The object must (not) exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// The object must still be this very one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The object must still be in this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How an object is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApplyMode {
    /// Merge with what others own (server-side apply).
    #[default]
    Apply,
    /// Replace the whole object (`Replace=true`).
    Replace,
    /// Delete and create (`Replace=true` with force).
    Recreate,
}

/// One object to apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyRequest {
    /// The object's key.
    pub key: ResourceKey,
    /// `apiVersion` and `kind` of the body.
    pub gvk: GroupVersionKind,
    /// The desired object, whole, with its tracking annotation.
    pub body: Value,
    /// The application on whose behalf.
    pub owner: OwnerRef,
    /// The name that will own the fields.
    pub field_owner: FieldOwner,
    /// How.
    pub mode: ApplyMode,
    /// Take fields from other owners instead of reporting a conflict.
    pub force_conflicts: bool,
    /// Delete and create when an in-place change is refused (`Force=true`).
    pub force_recreate: bool,
    /// Refuse unknown fields (`Validate`).
    pub validate: bool,
    /// Take over fields of older client-side appliers (`ClientSideApplyMigration`).
    pub migrate_client_side_apply: bool,
    /// Compute the result, change nothing.
    pub dry_run: bool,
    /// What must hold.
    pub precondition: Precondition,
    /// One id per operation; the same id and body again must not act twice.
    pub operation_id: String,
}

impl ApplyRequest {
    /// A plain apply with Tidegate's defaults.
    pub fn new(key: ResourceKey, gvk: GroupVersionKind, body: Value, owner: OwnerRef) -> Self {
        Self {
            key,
            gvk,
            body,
            owner,
            field_owner: FieldOwner::default(),
            mode: ApplyMode::Apply,
            force_conflicts: true,
            force_recreate: false,
            validate: true,
            migrate_client_side_apply: true,
            dry_run: false,
            precondition: Precondition::default(),
            operation_id: String::new(),
        }
    }
}

/// What an apply did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeOutcome {
    /// The object is new.
    Created,
    /// The object changed in place.
    Updated,
    /// The object was deleted and created.
    Replaced,
    /// Nothing had to change.
    Unchanged,
}

/// The result of applying one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyResult {
    /// What was done (or would be, in a dry run).
    pub outcome: ChangeOutcome,
    /// The object after it.
    pub live: LiveObject,
    /// Warnings of the target, in its own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One field that a change touches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field, `.spec.containers[name="a"].image`.
    pub path: String,
    /// The value before; absent when the field is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value after; absent when the field goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What an apply would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangePreview {
    /// What would be done.
    pub outcome: ChangeOutcome,
    /// The object now, None when absent.
    pub before: Option<LiveObject>,
    /// The object after it.
    pub after: Value,
    /// The fields that change, sorted by path; secrets are not masked here.
    pub changes: Vec<FieldChange>,
    /// The preview is a plain creation that the target could not be asked about (its namespace or
    /// kind does not exist yet).
    pub assumed: bool,
    /// Warnings of the target, in its own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One object to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteRequest {
    /// The object's key.
    pub key: ResourceKey,
    /// How dependents go.
    pub propagation: PropagationPolicy,
    /// What must hold; a uid always should.
    pub precondition: Precondition,
    /// When given, the object must bear this application's mark, else the item is a Conflict.
    pub owner: Option<OwnerRef>,
    /// Take this finalizer away first (hook finalizers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_finalizer: Option<String>,
    /// Compute the result, change nothing.
    pub dry_run: bool,
    /// One id per operation.
    pub operation_id: String,
}

/// What a delete did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeleteOutcome {
    /// The object is gone.
    Deleted,
    /// The object is going: finalizers hold it.
    Deleting {
        /// The finalizers that remain.
        finalizers: Vec<String>,
    },
    /// The object was not there.
    Absent,
}

/// An object that bears an application's mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owned {
    /// The object's key.
    pub key: ResourceKey,
    /// The target's identity of it.
    pub uid: String,
    /// The target's version of it.
    pub version: String,
    /// It bears no owner reference: only such objects are candidates for pruning.
    pub is_root: bool,
    /// Its mark names itself (a copied mark does not).
    pub is_self_reference: bool,
    /// It is going.
    pub is_deleting: bool,
    /// Its annotations, for sync options, hooks and waves.
    pub annotations: BTreeMap<String, String>,
}

/// All objects that bear an application's mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnedList {
    /// The objects, sorted by key.
    pub items: Vec<Owned>,
    /// Kinds that could not be listed: nothing may be pruned while this is not empty.
    pub incomplete: Vec<String>,
}

/// Something happened to an object that bears a mark, or that is watched by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchEvent {
    /// The object's key.
    pub key: ResourceKey,
    /// The applications concerned, by tracking name; several when the mark changed.
    pub applications: Vec<String>,
    /// The object is gone.
    pub deleted: bool,
    /// Its health now; None when the kind has no check or the object is gone.
    pub health: Option<Health>,
    /// Something that Tidegate owns may have changed (not only status).
    pub desired_fields_changed: bool,
}
