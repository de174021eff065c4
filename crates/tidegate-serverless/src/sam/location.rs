//! Places of code in S3, as text or as a mapping.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::sam::{Fault, Made, fields, is_truthy};

/// References whose names hold a slash cannot be taken apart as a URI.
static DYNAMIC: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\{\{resolve:(ssm|ssm-secure|secretsmanager):[a-zA-Z0-9_.\-/]+(:\d+)?\}\}").ok()
});

/// `s3://bucket/key[?versionId=v]`, or `{Bucket, Key[, Version]}`.
pub(crate) fn s3_location(id: &str, uri: &Value, property: &str) -> Made<Value> {
    match uri {
        Value::Object(parts) => {
            let some = |name: &str| parts.get(name).filter(|value| is_truthy(value)).cloned();
            let (Some(bucket), Some(key)) = (some("Bucket"), some("Key")) else {
                let message =
                    format!("'{property}' requires Bucket and Key properties to be specified.");
                return Err(Fault::new(id, message));
            };
            let location = fields([
                ("S3Bucket", Some(bucket)),
                ("S3Key", Some(key)),
                ("S3ObjectVersion", parts.get("Version").cloned()),
                ("S3ObjectStorageMode", parts.get("StorageMode").cloned()),
            ]);
            Ok(Value::Object(location))
        }
        Value::String(text) => {
            let reference = DYNAMIC.as_ref().and_then(|dynamic| dynamic.find(text));
            if reference.is_some_and(|found| found.as_str().contains('/')) {
                let message = format!(
                    "Unsupported dynamic reference detected in '{property}'. Please consider using alternative 'FunctionCode' object format."
                );
                return Err(Fault::new(id, message));
            }
            let Some((bucket, key, version)) = parse(text) else {
                let message = format!(
                    "'{property}' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter."
                );
                return Err(Fault::new(id, message));
            };
            let location = fields([
                ("S3Bucket", Some(json!(bucket))),
                ("S3Key", Some(json!(key))),
                ("S3ObjectVersion", version.map(|version| json!(version))),
            ]);
            Ok(Value::Object(location))
        }
        _ => {
            let message = format!("'{property}' must be of type dict or string.");
            Err(Fault::new(id, message))
        }
    }
}

/// Bucket, key and version of a URI.
fn parse(text: &str) -> Option<(&str, &str, Option<String>)> {
    let (scheme, rest) = text.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("s3") {
        return None;
    }
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let slash = place.find('/')?;
    let (bucket, key) = (&place[..slash], &place[slash..]);
    if bucket.is_empty() {
        return None;
    }
    let versions: Vec<&str> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, value)| decoded(name) == "versionId" && !value.is_empty())
        .map(|(_, value)| value)
        .collect();
    let version = match versions.as_slice() {
        [only] => Some(decoded(only)),
        _ => None,
    };
    Some((bucket, key.trim_start_matches('/'), version))
}

/// Text of a query: `+` is a space, `%41` is a byte.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let hex = behind.get(..2).filter(|_| first == b'%');
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &behind[2..];
            continue;
        }
        bytes.push(if first == b'+' { b' ' } else { first });
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn uris_have_their_parts() {
        let of = |text: &str| s3_location("F", &json!(text), "CodeUri").ok();
        assert_eq!(
            of("s3://b/a/k.zip?versionId=a%2Bb+c&x=1"),
            Some(json!({"S3Bucket": "b", "S3Key": "a/k.zip", "S3ObjectVersion": "a+b c"}))
        );
        assert_eq!(
            of("S3://b//k#part"),
            Some(json!({"S3Bucket": "b", "S3Key": "k"}))
        );
        for bad in ["s3://b", "s3:///k", "https://b/k", "src/", ""] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
