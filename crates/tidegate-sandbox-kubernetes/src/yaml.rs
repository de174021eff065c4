//! YAML bodies, read by the workspace's own reader with the limits of a request.

use tidegate_yaml::{DuplicateKeys, Limits, ParseOptions, parse_stream};

use crate::http::MAX_BODY;

/// How many values a body may hold, aliases expanded.
const MAX_NODES: usize = 500_000;

/// The only document of a body, and its duplicate keys as go-yaml reports them.
pub(crate) fn parse(body: &[u8]) -> Result<(serde_json::Value, Vec<String>), String> {
    let limits = Limits {
        bytes: 2 * MAX_BODY,
        nodes: MAX_NODES,
        ..Limits::default()
    };
    let options = ParseOptions {
        limits,
        duplicate_keys: DuplicateKeys::LastWins,
        ..Default::default()
    };
    let mut parsed = parse_stream(body, &options);
    if let Some(error) = parsed.errors.first() {
        return Err(format!("error converting YAML to JSON: {error}"));
    }
    if parsed.documents.is_empty() {
        return Ok((serde_json::Value::Null, Vec::new()));
    }
    // Go's reader takes the first document and leaves the rest.
    let root = parsed.documents.swap_remove(0).root;
    let duplicates = parsed
        .warnings
        .iter()
        .map(|warning| format!("line {}: {}", warning.span.line, warning.message))
        .collect();
    Ok((root.to_json(), duplicates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_are_read_as_kubernetes_reads_them() {
        let (value, duplicates) = parse(b"a: yes\nb: 0644\na: no\n").unwrap();
        assert_eq!(value, json!({"a": false, "b": 420}));
        assert_eq!(duplicates.len(), 1);
        assert!(duplicates[0].starts_with("line 3: "), "{duplicates:?}");
        assert!(parse(b"a: [").is_err());
    }
}
