//! What two packagings of the same service may differ in, made the same: places of code, hashes of
//! archives, times. Used by the tests of this crate and by `cargo xtask templates-check`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

/// Ids that end in a hash of the code or in a time.
static HASHED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\b([A-Za-z0-9]+LambdaVersion|ApiGatewayDeployment|WebsocketsDeployment)[A-Za-z0-9]{12,}",
    )
    .expect("a constant")
});

/// Ids of layers that are kept, and of their permissions: they end in a hash of the code.
static LAYERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b([A-Za-z0-9]+LambdaLayer(?:Permission)?)[0-9a-f]{40}\b").expect("a constant")
});

/// Outputs whose value tells of an archive.
const CODE_OUTPUTS: &[&str] = &["Current Lambda layer hash", "Current Lambda layer S3Key"];

/// The template with every packaged archive, its hash and its time replaced by words.
pub(crate) fn normalised(template: &Value) -> Value {
    match template {
        Value::Object(map) => {
            let is_code = map.contains_key("S3Key") && map.contains_key("S3Bucket");
            let described = map.get("Description").and_then(Value::as_str);
            let is_output = described.is_some_and(|text| CODE_OUTPUTS.contains(&text));
            let fields = map.iter().map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    ("S3Key" | "S3Bucket", _) if is_code => json!("CODE"),
                    ("CodeSha256", Value::String(_)) => json!("CODE"),
                    ("Value", _) if is_output => json!("CODE"),
                    ("DependsOn", Value::Array(_)) => sorted(&normalised(value)),
                    _ => normalised(value),
                };
                (plain(key), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(list) => list.iter().map(normalised).collect(),
        Value::String(text) => Value::String(plain(text)),
        other => other.clone(),
    }
}

fn plain(text: &str) -> String {
    let text = HASHED.replace_all(text, "$1");
    LAYERS.replace_all(&text, "$1").into_owned()
}

/// A transformed SAM template: what it waits for is a set, and so are alternatives, which the reference
/// writes in the order of a Python set.
pub(crate) fn without_order(template: &Value) -> Value {
    match template {
        Value::Object(map) => {
            let fields = map.iter().map(|(key, value)| {
                let value = match key.as_str() {
                    "DependsOn" | "Fn::Or" => sorted(value),
                    _ => without_order(value),
                };
                (key.clone(), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(list) => list.iter().map(without_order).collect(),
        other => other.clone(),
    }
}

fn sorted(value: &Value) -> Value {
    let Value::Array(list) = value else {
        return value.clone();
    };
    let mut list = list.clone();
    list.sort_by_key(Value::to_string);
    Value::Array(list)
}
