//! Request bodies in Kubernetes' protobuf form (spec kubernetes.md B3).

use serde_json::Value;

use crate::status::Status;

pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// Decodes a body into the JSON that it stands for.
pub(crate) fn decode(_body: &[u8]) -> Result<Value, Status> {
    Err(Status::unsupported_media(&["application/json", "application/yaml"]))
}
