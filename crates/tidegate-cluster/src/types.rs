//! The types of kinds, for what people read of a change: which list items are told apart by what.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidegate_diff::schema::{Schema, TypeRef};
use tidegate_manifest::GroupVersionKind;
use tokio::time::Instant;

use crate::cluster::Inner;

/// A type is read again after this time.
const MAX_AGE: Duration = Duration::from_secs(60);
/// Types that are kept.
const MAX_TYPES: usize = 1_000;

/// The types of custom kinds that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Types {
    known: Mutex<HashMap<GroupVersionKind, (TypeRef, Instant)>>,
}

impl Inner {
    /// The type of a kind: built in, or from its definition; unknown ones are deduced from the objects.
    pub(crate) async fn schema_type(&self, gvk: &GroupVersionKind, deadline: Instant) -> TypeRef {
        if let Some(ty) = Schema::builtin(&gvk.group, &gvk.version, &gvk.kind) {
            return ty;
        }
        if let Some(known) = self.known_type(gvk) {
            return known;
        }
        let ty = self
            .defined_type(gvk, deadline)
            .await
            .unwrap_or_else(Schema::deduced);
        let mut known = self
            .types
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TYPES {
            known.clear();
        }
        known.insert(gvk.clone(), (ty.clone(), Instant::now()));
        ty
    }

    fn known_type(&self, gvk: &GroupVersionKind) -> Option<TypeRef> {
        let known = self
            .types
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (ty, at) = known.get(gvk)?;
        (at.elapsed() < MAX_AGE).then(|| ty.clone())
    }

    async fn defined_type(&self, gvk: &GroupVersionKind, deadline: Instant) -> Option<TypeRef> {
        let endpoint = self
            .discovery()
            .endpoint(self.transport(), gvk)
            .await
            .ok()?;
        let path = format!(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}.{}",
            endpoint.plural, gvk.group
        );
        let crd = self.get(&path, deadline).await.ok().flatten()?;
        Schema::from_crd(&crd, &gvk.version).ok()
    }
}
