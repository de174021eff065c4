//! Reads live objects.

use tidegate_applier::{ApplierError, KindFacts, ReadOptions, ReadResult};
use tidegate_manifest::{GroupKind, ResourceKey};

use crate::cluster::Inner;
use crate::content::live_object;
use crate::failure::Failure;

impl Inner {
    pub(crate) async fn read_one(&self, key: ResourceKey, options: ReadOptions) -> ReadResult {
        if options.from_cache
            && let Some(answer) = self.cached(&key, options).await
        {
            return Ok(answer);
        }
        let deadline = self.deadline();
        let kind = key.group_kind();
        let Some(endpoint) = self.discovery().preferred(self.transport(), &kind).await? else {
            return Ok(None);
        };
        let path = endpoint.object(&key.namespace, &key.name)?;
        let live = match self.get(&path, deadline).await {
            Err(Failure::Refused(refusal)) if refusal.is_kind_missing() => {
                self.discovery().look_again(self.transport()).await?;
                None
            }
            other => other?,
        };
        Ok(live.map(|body| live_object(&key, body, &self.shared.assess)))
    }

    pub(crate) async fn kind_facts(
        &self,
        kind: GroupKind,
    ) -> Result<Option<KindFacts>, ApplierError> {
        let served = self.discovery().find(self.transport(), &kind).await?;
        Ok(served.map(|served| served.facts()))
    }
}
