//! The patch kinds on a live object: JSON patch (RFC 6902), merge (RFC 7396), strategic merge. Apply is in `managed.rs`.

use serde_json::Value;

use crate::status::Status;
use crate::write::{PatchKind, Target};

/// The result of a patch on the object as it is at the URL's version.
pub(crate) fn apply(target: &Target, live: &Value, patch: &PatchKind) -> Result<Value, Status> {
    let mut object = live.clone();
    match patch {
        PatchKind::Json(operations) => {
            json_patch::patch(&mut object, operations).map_err(|error| {
                let mut status = Status::new(422, "Invalid", format!("the server rejected our request due to an error in our request: {error}"));
                status.details = Some(Box::default());
                status
            })?;
        }
        PatchKind::Merge(patch) | PatchKind::Apply(patch) => json_patch::merge(&mut object, patch),
        PatchKind::Strategic(patch) => {
            let _ = target;
            json_patch::merge(&mut object, patch);
        }
    }
    if object.is_object() {
        Ok(object)
    } else {
        Err(Status::bad_request("the patched object is not an object"))
    }
}
