//! The trait that every target is reached through.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tidegate_manifest::{Diagnostic, GroupKind, Object, ResourceKey};

use crate::{
    ApplierError, ApplyRequest, ApplyResult, ChangePreview, DeleteOutcome, DeleteRequest,
    Description, KindFacts, OwnedList, OwnerRef, ReadOptions, ReadResult, WatchEvent,
};

/// Events of a target until the stream is dropped; an error ends it.
pub type WatchStream = BoxStream<'static, Result<WatchEvent, ApplierError>>;

/// Brings objects of one target to a desired state and reads them back.
///
/// The contract, checked by the conformance kit:
/// - Every method answers within a deadline of the implementation's own, and retries what is safe
///   to retry within it.
/// - Batches answer item by item, in the order of the request; one bad item never fails the rest.
/// - `apply` is idempotent: the same request again answers `Unchanged` and has no further effect.
/// - What `apply` does equals what `plan_change` said, field by field, if nothing else happened.
/// - A precondition that does not hold is a `Conflict`, and nothing changed.
/// - With `dry_run` nothing changes, ever.
/// - Objects that do not bear the application's mark are never deleted when `owner` is given.
///
/// # Cancel safety
/// Dropping a future may leave the effects of the items that were sent; the same request again
/// finds them and goes on.
#[async_trait]
pub trait Applier: Send + Sync + std::fmt::Debug {
    /// What this applier is, which target it serves, what it can do. Fails when the target cannot
    /// be reached.
    async fn describe(&self) -> Result<Description, ApplierError>;

    /// What the target knows of these kinds; None for a kind that it does not serve.
    ///
    /// An unknown kind makes the applier look again (rate limited) before it answers None.
    async fn kinds(&self, kinds: Vec<GroupKind>) -> Vec<Result<Option<KindFacts>, ApplierError>>;

    /// Told before [`Applier::read`]: the wanted objects of an application, all of them.
    ///
    /// A target whose own names are not in the keys (a cloud resource is known by its name, and its
    /// key holds a logical id) finds its objects by what is wanted. Cheap: nothing is asked here.
    fn announce(&self, owner: &OwnerRef, wanted: &mut dyn Iterator<Item = (&ResourceKey, &Value)>) {
        let _ = (owner, wanted);
    }

    /// Mistakes in the wanted objects that only this kind of target knows, all at once, with their place.
    ///
    /// Given all wanted objects of an application for this target. An error among the findings keeps the application
    /// from being compared and synced. Pure and cheap: nothing is asked here.
    fn check(&self, wanted: &mut dyn Iterator<Item = &Object>) -> Vec<Diagnostic> {
        let _ = wanted;
        Vec::new()
    }

    /// The live state of these keys.
    async fn read(&self, keys: Vec<ResourceKey>, options: ReadOptions) -> Vec<ReadResult>;

    /// What applying each would do, exactly, without doing it.
    async fn plan_change(
        &self,
        requests: Vec<ApplyRequest>,
    ) -> Vec<Result<ChangePreview, ApplierError>>;

    /// Applies each object.
    async fn apply(&self, requests: Vec<ApplyRequest>) -> Vec<Result<ApplyResult, ApplierError>>;

    /// Deletes each object.
    async fn delete(
        &self,
        requests: Vec<DeleteRequest>,
    ) -> Vec<Result<DeleteOutcome, ApplierError>>;

    /// Everything that bears the application's mark.
    async fn list_owned(&self, owner: OwnerRef) -> Result<OwnedList, ApplierError>;

    /// Events of marked objects from now on; None when the applier cannot watch (the engine polls).
    async fn watch(&self) -> Result<Option<WatchStream>, ApplierError> {
        Ok(None)
    }
}
