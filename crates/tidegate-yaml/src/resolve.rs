//! Plain text to typed scalars, by the two rule sets. Knows no tree and no places.

use serde_json::Number;

use crate::number;
use crate::options::Resolver;
use crate::timestamp;

/// What a scalar resolves to.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer of 64 bits, signed or not.
    Integer(Number),
    /// Finite or not.
    Float(f64),
    /// A date or time; the text is what it becomes in the resolver's world.
    Timestamp(Option<String>),
    /// Any other text, as it stands.
    Text,
    /// Decoded `!!binary`.
    Binary(String),
}

const CORE: &str = "tag:yaml.org,2002:";

/// Resolves a plain or tagged scalar. `tag` is expanded, empty for none.
///
/// # Errors
/// The message, when the tag forbids the text.
pub(crate) fn resolve(resolver: Resolver, tag: &str, text: &str) -> Result<Scalar, String> {
    // The non-specific tag `!` means text to go-yaml v2 and nothing to v3.
    let tag = if tag == "!" && resolver == Resolver::Kyaml {
        ""
    } else {
        tag
    };
    let Some(core) = (if tag.is_empty() {
        Some("")
    } else {
        tag.strip_prefix(CORE)
    }) else {
        return Ok(Scalar::Text);
    };
    match core {
        "str" => return Ok(Scalar::Text),
        "binary" => return binary(text).map(Scalar::Binary),
        "" | "bool" | "int" | "float" | "null" | "timestamp" => {}
        _ => return Ok(Scalar::Text),
    }
    let scalar = untagged(resolver, text, matches!(core, "" | "timestamp"));
    let found = match &scalar {
        Scalar::Null => "null",
        Scalar::Bool(_) => "bool",
        Scalar::Integer(_) => "int",
        Scalar::Float(_) => "float",
        Scalar::Timestamp(_) => "timestamp",
        Scalar::Text | Scalar::Binary(_) => "str",
    };
    match scalar {
        scalar if core.is_empty() || core == found => Ok(scalar),
        Scalar::Integer(number) if core == "float" && !number.is_u64_beyond_i64() => {
            Ok(Scalar::Float(number.as_f64().unwrap_or_default()))
        }
        _ => Err(format!("cannot decode !!{found} `{text}` as a !!{core}")),
    }
}

trait BeyondI64 {
    fn is_u64_beyond_i64(&self) -> bool;
}

impl BeyondI64 for Number {
    fn is_u64_beyond_i64(&self) -> bool {
        self.as_i64().is_none() && self.as_u64().is_some()
    }
}

/// Resolves a scalar as kustomize's reader does. `tag` is short (`!!int`), empty for none.
///
/// ```
/// use tidegate_yaml::{ResolvedScalar, resolve_kyaml};
/// assert_eq!(resolve_kyaml("", "yes"), Ok(ResolvedScalar::Text));
/// assert_eq!(resolve_kyaml("", "true"), Ok(ResolvedScalar::Bool(true)));
/// assert!(resolve_kyaml("!!int", "x").is_err());
/// ```
///
/// # Errors
/// The message, when the tag forbids the text.
pub fn resolve_kyaml(tag: &str, text: &str) -> Result<Scalar, String> {
    match tag.strip_prefix("!!") {
        Some(core) => resolve(Resolver::Kyaml, &format!("{CORE}{core}"), text),
        None => resolve(Resolver::Kyaml, tag, text),
    }
}

/// A finite float as the number it becomes on its way through JSON.
pub fn float_number(value: f64) -> Option<Number> {
    number::from_float(value)
}

/// Whether text written plain would come back as the same text.
pub(crate) fn is_plain_text(text: &str) -> bool {
    untagged(Resolver::Kubernetes, text, true) == Scalar::Text
}

fn untagged(resolver: Resolver, text: &str, timestamps: bool) -> Scalar {
    let Some(&first) = text.as_bytes().first() else {
        return Scalar::Null;
    };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
            word(resolver, text)
        }
        b'.' => special_float(text)
            .or_else(|| number::float(text))
            .map_or(Scalar::Text, Scalar::Float),
        b'+' | b'-' | b'0'..=b'9' => {
            if let Some(value) = special_float(text) {
                return Scalar::Float(value);
            }
            if timestamps && let Some(timestamp) = timestamp::parse(text) {
                let rewritten = (resolver == Resolver::Kyaml).then(|| timestamp.to_rfc3339());
                return Scalar::Timestamp(rewritten);
            }
            numeric(text)
        }
        _ => Scalar::Text,
    }
}

fn word(resolver: Resolver, text: &str) -> Scalar {
    let scalar = match text {
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::Text,
    };
    if scalar != Scalar::Text || resolver == Resolver::Kyaml {
        return scalar;
    }
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        _ => Scalar::Text,
    }
}

fn special_float(text: &str) -> Option<f64> {
    match text {
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn numeric(text: &str) -> Scalar {
    let cleaned;
    let plain = if text.contains('_') {
        cleaned = text.replace('_', "");
        cleaned.as_str()
    } else {
        text
    };
    if let Some(integer) = number::integer(plain) {
        return Scalar::Integer(integer);
    }
    number::float(plain).map_or(Scalar::Text, Scalar::Float)
}

/// Standard base64 with padding; line breaks are skipped. Bytes that are no UTF-8 become U+FFFD
/// one by one, as Go's JSON encoder writes them.
fn binary(text: &str) -> Result<String, String> {
    let bytes = decode_base64(text)
        .ok_or_else(|| "!!binary value contains invalid base64 data".to_owned())?;
    let mut decoded = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        decoded.push_str(chunk.valid());
        decoded.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Ok(decoded)
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = text
        .bytes()
        .filter(|b| !matches!(b, b'\r' | b'\n'))
        .collect();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let groups = symbols.len() / 4;
    let mut bytes = Vec::with_capacity(groups * 3);
    for (i, group) in symbols.chunks_exact(4).enumerate() {
        let padding = group.iter().rev().take_while(|&&b| b == b'=').count();
        if padding > 2 || (padding > 0 && i + 1 < groups) {
            return None;
        }
        let mut bits = 0_u32;
        for &symbol in &group[..4 - padding] {
            bits = bits << 6 | sextet(symbol)?;
        }
        bits <<= 6 * padding;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(bytes)
}

fn sextet(symbol: u8) -> Option<u32> {
    let value = match symbol {
        b'A'..=b'Z' => symbol - b'A',
        b'a'..=b'z' => symbol - b'a' + 26,
        b'0'..=b'9' => symbol - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}
