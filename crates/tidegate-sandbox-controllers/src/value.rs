//! Reading and writing untyped objects: paths, metadata, timestamps, hashes. No knowledge of any kind.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

static NULL: Value = Value::Null;

/// The value at a dotted path (`spec.template.spec`); null where anything on the way is missing.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .try_fold(value, |value, key| value.get(key))
        .unwrap_or(&NULL)
}

/// The string at a path, or the empty one.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or("")
}

/// The integer at a path.
pub(crate) fn int(value: &Value, path: &str) -> Option<i64> {
    let found = at(value, path);
    found
        .as_i64()
        .or_else(|| found.as_f64().map(|float| float as i64))
}

/// The integer at a path, or a default.
pub(crate) fn int_or(value: &Value, path: &str, default: i64) -> i64 {
    int(value, path).unwrap_or(default)
}

/// Whether the boolean at a path is true.
pub(crate) fn flag(value: &Value, path: &str) -> bool {
    at(value, path).as_bool().unwrap_or(false)
}

/// The list at a path, or the empty one.
pub(crate) fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// The pairs of the map at a path.
pub(crate) fn pairs<'a>(
    value: &'a Value,
    path: &str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    at(value, path)
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}

/// `metadata.name`.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "metadata.name")
}

/// `metadata.namespace`; empty for cluster-wide objects.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "metadata.namespace")
}

/// `metadata.uid`.
pub(crate) fn uid(object: &Value) -> &str {
    text(object, "metadata.uid")
}

/// `metadata.generation`; 1 where the server keeps none.
pub(crate) fn generation(object: &Value) -> i64 {
    int_or(object, "metadata.generation", 1)
}

/// `status.observedGeneration`, 0 when nothing was observed yet.
pub(crate) fn observed(object: &Value) -> i64 {
    int_or(object, "status.observedGeneration", 0)
}

/// Whether somebody asked to delete the object.
pub(crate) fn deleting(object: &Value) -> bool {
    at(object, "metadata.deletionTimestamp").is_string()
}

/// An annotation's value.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    at(object, "metadata.annotations").get(key)?.as_str()
}

/// A label's value.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    at(object, "metadata.labels").get(key)?.as_str()
}

/// The owner reference that controls the object.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    items(object, "metadata.ownerReferences")
        .iter()
        .find(|owner| flag(owner, "controller"))
}

/// Whether the object holds a finalizer.
pub(crate) fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    items(object, "metadata.finalizers")
        .iter()
        .any(|held| held.as_str() == Some(finalizer))
}

/// A merge patch that adds or removes one finalizer.
pub(crate) fn finalizers_patch(object: &Value, finalizer: &str, hold: Hold) -> Value {
    let mut held: Vec<Value> = items(object, "metadata.finalizers").to_vec();
    held.retain(|other| other.as_str() != Some(finalizer));
    if hold == Hold::Add {
        held.push(json!(finalizer));
    }
    // An empty list is written as none, as the server's own types do.
    let held = if held.is_empty() {
        Value::Null
    } else {
        json!(held)
    };
    json!({"metadata": {"finalizers": held}})
}

/// What [`finalizers_patch`] does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    /// Holds the object back from deletion.
    Add,
    /// Lets it go.
    Remove,
}

/// A controlling owner reference to `owner`.
pub(crate) fn controller_ref(api_version: &str, kind: &str, owner: &Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// A time as Kubernetes writes it: RFC 3339, whole seconds, UTC.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time with nanoseconds, as the Flink operator writes it.
pub(crate) fn stamp_nanos(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// Reads a time written by anybody.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A moment later, at most the end of time.
pub(crate) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// FNV-1a, 32 bits: the hash that names ReplicaSets and revisions.
pub(crate) fn fnv32(parts: &[&str]) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    hash
}

/// A number in the alphabet that Kubernetes uses for generated names: no vowels, nothing that looks alike.
pub(crate) fn safe_encode(number: u32) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    number
        .to_string()
        .bytes()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % 27]))
        .collect()
}

/// A hash of anything serialisable, in the form of `pod-template-hash`.
pub(crate) fn hash_name(value: &Value, salt: &str) -> String {
    safe_encode(fnv32(&[&value.to_string(), salt]))
}

/// Five characters for a generated name, the same for the same parts.
pub(crate) fn suffix(parts: &[&str]) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = digest(parts);
    digest
        .iter()
        .take(5)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % 27]))
        .collect()
}

/// SHA-256 over the parts: where an identity has to look random and be the same in every run.
pub(crate) fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// Lower-case hexadecimal of the first `bytes` bytes of [`digest`].
pub(crate) fn hex(parts: &[&str], bytes: usize) -> String {
    digest(parts)
        .iter()
        .take(bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A UUID made of a digest.
pub(crate) fn uuid(parts: &[&str]) -> String {
    let hex = hex(parts, 16);
    format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}

/// Twenty-two characters of URL-safe base64: how Kafka writes its ids.
pub(crate) fn kafka_id(parts: &[&str]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let id: String = digest(parts)
        .iter()
        .take(22)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % 64]))
        .collect();
    // Kafka never hands out an id that begins with a dash.
    match id.strip_prefix('-') {
        Some(rest) => format!("A{rest}"),
        None => id,
    }
}

/// Standard base64, for the contents of Secrets.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0u32, |group, byte| (group << 8) | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (group >> (18 - 6 * place)) & 63;
            out.push(if place <= chunk.len() {
                char::from(ALPHABET[index as usize])
            } else {
                '='
            });
        }
    }
    out
}

/// The text behind standard base64, when it is one.
pub(crate) fn from_base64(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len() / 4 * 3);
    let (mut group, mut bits) = (0u32, 0u32);
    for letter in encoded.bytes().filter(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        group = (group << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether labels satisfy a label selector (`matchLabels` and `matchExpressions`).
/// A null selector selects nothing, an empty one everything.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(fields) = selector.as_object() else {
        return false;
    };
    let has = |key: &str| labels.get(key).and_then(Value::as_str);
    let wanted = fields.get("matchLabels").and_then(Value::as_object);
    let equal = wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| has(key) == value.as_str());
    equal
        && items(selector, "matchExpressions").iter().all(|rule| {
            let found = has(text(rule, "key"));
            let listed = || {
                items(rule, "values")
                    .iter()
                    .any(|value| value.as_str() == found)
            };
            match text(rule, "operator") {
                "In" => found.is_some() && listed(),
                "NotIn" => found.is_none() || !listed(),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

/// Resolves a number or a percentage (`25%`) of `total`, rounding as asked.
pub(crate) fn scaled(value: &Value, total: i64, rounding: Rounding) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    let text = value.as_str()?;
    let Some(percent) = text.strip_suffix('%') else {
        return text.parse().ok();
    };
    let share = percent.parse::<i64>().ok()?.checked_mul(total)?;
    Some(match rounding {
        Rounding::Up => share.div_euclid(100) + i64::from(share.rem_euclid(100) != 0),
        Rounding::Down => share.div_euclid(100),
    })
}

/// How a percentage becomes a number of pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rounding {
    /// To the next pod.
    Up,
    /// To whole pods only.
    Down,
}

/// Leaves out fields that Go's `omitempty` would leave out: zeros, empty strings, empty lists and maps, nulls.
pub(crate) fn compact(fields: Value) -> Value {
    let Value::Object(fields) = fields else {
        return fields;
    };
    let kept: Map<String, Value> = fields
        .into_iter()
        .filter(|(_, value)| match value {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
        })
        .collect();
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_follow_kubernetes() {
        let labels = json!({"app": "web", "tier": "front"});
        for (selector, expected) in [
            (json!(null), false),
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "db"}}), false),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["x"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Near"}]}),
                false,
            ),
        ] {
            assert_eq!(selects(&selector, &labels), expected, "{selector}");
        }
    }

    #[test]
    fn percentages_round_as_the_rollout_asks() {
        for (value, total, rounding, expected) in [
            (json!("25%"), 3, Rounding::Up, Some(1)),
            (json!("25%"), 3, Rounding::Down, Some(0)),
            (json!("100%"), 7, Rounding::Down, Some(7)),
            (json!(2), 7, Rounding::Up, Some(2)),
            (json!("2"), 7, Rounding::Up, Some(2)),
            (json!("x%"), 7, Rounding::Up, None),
        ] {
            assert_eq!(
                scaled(&value, total, rounding),
                expected,
                "{value} of {total}"
            );
        }
    }

    #[test]
    fn base64_pads() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }

    #[test]
    fn identities_have_their_real_shape() {
        assert_eq!(uuid(&["a"]).len(), 36);
        assert_eq!(kafka_id(&["a"]).len(), 22);
        assert_eq!(suffix(&["a"]).len(), 5);
        assert_eq!(safe_encode(1_234), "5678");
    }
}
