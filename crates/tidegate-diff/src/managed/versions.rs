//! The versions of one kind: their types, and how objects move between them.

use std::fmt;

use serde_json::Value;

use super::filter::FieldFilter;
use crate::schema::TypeRef;

/// What a write needs to know of a kind's versions.
pub trait Versions: fmt::Debug {
    /// The type at a version; `None` when the version is not served (any more): its managers are forgotten.
    fn type_at(&self, api_version: &str) -> Option<TypeRef>;

    /// What a write through the endpoint may own at a version.
    fn filter_at(&self, api_version: &str) -> Option<&FieldFilter>;

    /// The object at another version. The default is the conversion strategy `None`: only `apiVersion` changes.
    ///
    /// # Errors
    /// When the object cannot be converted.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let mut object = object.clone();
        if let Some(map) = object.as_object_mut() {
            map.insert("apiVersion".into(), Value::String(api_version.to_owned()));
        }
        Ok(object)
    }
}

/// A kind's versions as plain lists.
#[derive(Debug, Clone, Default)]
pub struct KindVersions {
    types: Vec<(String, TypeRef)>,
    filters: Vec<(String, FieldFilter)>,
}

impl KindVersions {
    /// A kind with one version.
    pub fn one(api_version: &str, ty: TypeRef) -> Self {
        Self::default().with(api_version, ty)
    }

    /// Adds a version.
    #[must_use]
    pub fn with(mut self, api_version: &str, ty: TypeRef) -> Self {
        self.types.push((api_version.to_owned(), ty));
        self
    }

    /// Sets what a write through the endpoint may own at a version.
    #[must_use]
    pub fn with_filter(mut self, api_version: &str, filter: FieldFilter) -> Self {
        self.filters.push((api_version.to_owned(), filter));
        self
    }
}

impl Versions for KindVersions {
    fn type_at(&self, api_version: &str) -> Option<TypeRef> {
        self.types
            .iter()
            .find(|(v, _)| v == api_version)
            .map(|(_, ty)| ty.clone())
    }

    fn filter_at(&self, api_version: &str) -> Option<&FieldFilter> {
        self.filters
            .iter()
            .find(|(v, _)| v == api_version)
            .map(|(_, f)| f)
    }
}
