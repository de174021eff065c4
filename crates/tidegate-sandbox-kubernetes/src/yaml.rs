//! YAML bodies, read by the workspace's own reader.

/// The first document and its duplicate fields; `None` when YAML is not served.
pub(crate) fn parse(_body: &[u8]) -> Option<Result<(serde_json::Value, Vec<String>), String>> {
    None
}
