//! Defaults of the built-in kinds, as the real server fills them in (spec kubernetes.md B6).

use serde_json::{Value, json};

use crate::object;
use crate::resource::Resource;

/// Fills in what the author of a built-in object left out. Custom resources take theirs from their schema.
pub(crate) fn apply(resource: &Resource, object: &mut Value) {
    if resource.is("", "namespaces") {
        let name = object::name(object).to_owned();
        let metadata = object::metadata_mut(object);
        let labels = object::child(metadata, "labels");
        labels.insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    }
}

/// What the server's strategies set at creation, after field ownership: the first status and the like.
pub(crate) fn prepare(_resource: &Resource, _object: &mut Value) {}
