//! Validation of the built-in kinds: what the real server answers with 422 (spec kubernetes.md B6).
//! Metadata is checked in `metadata.rs`, custom resources against their schema in `structural.rs`.

use serde_json::Value;

use crate::resource::Resource;
use crate::status::Cause;
use crate::write::Target;

/// Checks a new object.
pub(crate) fn create(_resource: &Resource, _object: &Value) -> Vec<Cause> {
    Vec::new()
}

/// Checks a changed object against what it was.
pub(crate) fn update(_target: &Target, _object: &Value, _old: &Value) -> Vec<Cause> {
    Vec::new()
}
