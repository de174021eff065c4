//! The patch kinds on a live object: JSON patch (RFC 6902), merge (RFC 7396), strategic merge. Apply is in `managed.rs`.

use serde_json::Value;
use tidegate_diff::merge_patch::merge_patch;
use tidegate_diff::schema::TypeRef;
use tidegate_diff::strategic::{StrategicError, strategic_merge_patch};

use crate::status::Status;
use crate::write::PatchKind;

/// The result of a patch on an object of the given type.
pub(crate) fn apply(
    ty: Option<&TypeRef>,
    live: &Value,
    patch: &PatchKind,
) -> Result<Value, Status> {
    match patch {
        PatchKind::Json(operations) => {
            let mut object = live.clone();
            json_patch::patch(&mut object, operations).map_err(|_| rejected())?;
            if object.is_object() {
                Ok(object)
            } else {
                Err(rejected())
            }
        }
        PatchKind::Merge(patch) | PatchKind::Apply(patch) => {
            if !patch.is_object() {
                return Err(not_a_map(patch));
            }
            Ok(merge_patch(live, patch))
        }
        PatchKind::Strategic(patch) => {
            if !patch.is_object() {
                return Err(not_a_map(patch));
            }
            match ty {
                Some(ty) => {
                    strategic_merge_patch(ty, live, patch).map_err(|error| strategic(&error))
                }
                None => Ok(merge_patch(live, patch)),
            }
        }
    }
}

/// The one answer to every patch that cannot be carried out.
pub(crate) fn rejected() -> Status {
    let message = "the server rejected our request due to an error in our request";
    let mut status = Status::new(422, "Invalid", message);
    status.details = Some(Box::default());
    status
}

fn not_a_map(patch: &Value) -> Status {
    let have = match patch {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    Status::bad_request(format!(
        "error decoding patch: json: cannot unmarshal {have} into Go value of type map[string]interface {{}}"
    ))
}

/// A list item without its merge key is an internal error of the real server, every other mistake a bad request.
fn strategic(error: &StrategicError) -> Status {
    let message = error.to_string();
    if matches!(error, StrategicError::NoMergeKey(_)) {
        return Status::new(500, "", message);
    }
    Status::bad_request(message)
}
