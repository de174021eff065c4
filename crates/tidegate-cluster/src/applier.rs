//! The applier contract on a cluster.

use tidegate_applier::{
    Applier, ApplierError, ApplyRequest, ApplyResult, ChangePreview, DeleteOutcome, DeleteRequest,
    Description, KindFacts, OwnedList, OwnerRef, ReadOptions, ReadResult, WatchStream, async_trait,
};
use tidegate_manifest::{GroupKind, ResourceKey};

use crate::apply::is_container;
use crate::cluster::{Cluster, batch};

#[async_trait]
impl Applier for Cluster {
    async fn describe(&self) -> Result<Description, ApplierError> {
        self.inner.describe().await
    }

    async fn kinds(&self, kinds: Vec<GroupKind>) -> Vec<Result<Option<KindFacts>, ApplierError>> {
        batch(kinds, |kind| self.inner.kind_facts(kind)).await
    }

    async fn read(&self, keys: Vec<ResourceKey>, options: ReadOptions) -> Vec<ReadResult> {
        batch(keys, |key| self.inner.read_one(key, options)).await
    }

    async fn plan_change(
        &self,
        requests: Vec<ApplyRequest>,
    ) -> Vec<Result<ChangePreview, ApplierError>> {
        batch(requests, |request| self.inner.preview_one(request)).await
    }

    async fn apply(&self, requests: Vec<ApplyRequest>) -> Vec<Result<ApplyResult, ApplierError>> {
        // Namespaces and definitions go first: others of the batch may need them.
        let first = |request: &ApplyRequest| is_container(&request.key.group_kind());
        let mut answers: Vec<(usize, Result<ApplyResult, ApplierError>)> = Vec::new();
        let (early, late): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .enumerate()
            .partition(|(_, request)| first(request));
        for stage in [early, late] {
            let done = batch(stage, |(i, request)| async move {
                (i, self.inner.apply_one(request).await)
            });
            answers.extend(done.await);
        }
        answers.sort_by_key(|(i, _)| *i);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn delete(
        &self,
        requests: Vec<DeleteRequest>,
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        batch(requests, |request| self.inner.delete_one(request)).await
    }

    async fn list_owned(&self, owner: OwnerRef) -> Result<OwnedList, ApplierError> {
        self.inner.list_owned(&owner).await
    }

    async fn watch(&self) -> Result<Option<WatchStream>, ApplierError> {
        self.inner.watch().await.map(Some)
    }
}
