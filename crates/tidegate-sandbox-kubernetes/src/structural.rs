//! Structural schemas of custom resources: pruning, defaults and validation.

use serde_json::Value;

use crate::status::Cause;

/// A parsed structural schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Structural {}

pub(crate) fn prune_object(_schema: &Structural, _object: &mut Value) -> Vec<String> {
    Vec::new()
}

pub(crate) fn default_object(_schema: &Structural, _object: &mut Value) {}

pub(crate) fn check_object(_schema: &Structural, _object: &Value) -> Vec<Cause> {
    Vec::new()
}
