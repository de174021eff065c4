//! Typed values in and out, by way of JSON as `sigs.k8s.io/yaml` does it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{YamlError, YamlErrorKind, YamlErrors};
use crate::options::ParseOptions;
use crate::stream::parse_one;
use crate::{Span, emit};

/// Reads one document into a type, by the Kubernetes rules with repeated keys refused.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Mode { mode: u32, enabled: bool }
/// let mode: Mode = tidegate_yaml::from_str("mode: 0644\nenabled: yes\n")?;
/// assert_eq!((mode.mode, mode.enabled), (0o644, true));
/// # Ok::<(), tidegate_yaml::YamlErrors>(())
/// ```
///
/// # Errors
/// Everything wrong with the text; or, as one [`YamlErrorKind::Type`], why it does not fit `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlErrors> {
    from_slice(text.as_bytes(), &ParseOptions::strict())
}

/// As [`from_str`], from bytes and with options.
///
/// # Errors
/// As [`from_str`].
pub fn from_slice<T: DeserializeOwned>(
    bytes: &[u8],
    options: &ParseOptions,
) -> Result<T, YamlErrors> {
    let node = parse_one(bytes, options)?;
    let span = Span {
        line: node.span.line.max(1),
        column: node.span.column.max(1),
        ..node.span
    };
    serde_json::from_value(node.to_json()).map_err(|error| {
        YamlErrors(vec![YamlError {
            kind: YamlErrorKind::Type,
            message: error.to_string(),
            span,
            document: 0,
            context: None,
        }])
    })
}

/// A serialisable value as one YAML document.
///
/// # Errors
/// When the value has no JSON form (map keys that are no strings, for example).
pub fn serialize<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_value(value).map(|value| emit::to_string(&value))
}
