//! CustomResourceDefinitions: what they must say, what they serve, how they are established (spec kubernetes.md B7).

use serde_json::{Value, json};

use crate::core::Core;
use crate::object;
use crate::resource::Resource;
use crate::status::Cause;
use crate::structural::Structural;

/// What one version of a definition adds to a resource.
#[derive(Debug)]
pub(crate) struct CustomVersion {
    pub(crate) schema: Structural,
    pub(crate) selectable: Vec<String>,
}

pub(crate) fn resource(_definition: &Value) -> Option<Resource> {
    None
}

pub(crate) fn establish(core: &Core, _name: &str) {
    core.refresh_definitions();
}

pub(crate) fn fresh_status(object: &mut Value) {
    object::ensure(object).insert("status".to_owned(), json!({}));
}

pub(crate) fn complete(_object: &mut Value) {}

pub(crate) fn check(_object: &Value, _old: Option<&Value>) -> Vec<Cause> {
    Vec::new()
}
