//! The first document of a text, for readers who look no further, as go-yaml's `Unmarshal` and
//! `Decode` do. Whole streams are in [`crate::stream`].

use crate::compose::{self, Budget};
use crate::error::{YamlError, YamlErrorKind, YamlErrors};
use crate::node::{Node, Span};
use crate::options::{Limits, ParseOptions};
use crate::parser::{Parser, RawDocument};
use crate::scanner::{Mark, Scanner};
use crate::source;
use crate::stream::{as_error, json_start};

/// Reads the first document of a text; what stands after it is not looked at. Nothing but comments
/// is null.
///
/// ```
/// use tidegate_yaml::{ParseOptions, parse_first};
/// let node = parse_first(b"a: 1\n---\n}", &ParseOptions::default()).unwrap();
/// assert_eq!(node.to_json(), serde_json::json!({"a": 1}));
/// ```
///
/// # Errors
/// Everything that is wrong with the first document.
pub fn parse_first(bytes: &[u8], options: &ParseOptions) -> Result<Node, YamlErrors> {
    let read = with_first(bytes, &options.limits, |raw, text| {
        let Some(raw) = raw else {
            return Ok(Node::default());
        };
        let mut budget = budget(&options.limits);
        let composed = compose::compose(raw, text, 0, options, &mut budget);
        if composed.errors.is_empty() {
            Ok(composed.root)
        } else {
            Err(YamlErrors(composed.errors))
        }
    });
    read.unwrap_or_else(|error| Err(YamlErrors(vec![error])))
}

/// What aliases may add to one document.
pub(crate) fn budget(limits: &Limits) -> Budget {
    Budget {
        nodes: limits.nodes,
        bytes: limits.bytes.saturating_mul(2),
    }
}

/// Calls `use_it` with the first document as it is written, and with the decoded text.
///
/// # Errors
/// Why the text has no well-formed first document.
pub(crate) fn with_first<T>(
    bytes: &[u8],
    limits: &Limits,
    use_it: impl FnOnce(Option<&RawDocument<'_>>, &str) -> T,
) -> Result<T, YamlError> {
    let error = |kind, message: String, at: Mark| YamlError {
        kind,
        message,
        span: at.to(at),
        document: 0,
        context: None,
    };
    if bytes.len() > limits.bytes || u32::try_from(bytes.len()).is_err() {
        let message = format!("{} bytes, more than {}", bytes.len(), limits.bytes);
        return Err(error(YamlErrorKind::Limit, message, Mark::default()));
    }
    let decoded = source::decode(bytes);
    let text = &*decoded.text;
    let scanner = Scanner::new(text, json_start(text), limits.depth);
    let mut parser = Parser::new(scanner, limits.nodes);
    parser.only_first = true;
    let (_, result) = parser.document();
    let end = parser.scanner.mark();
    if let Some(fault) = decoded.faults.first()
        && fault.position <= end.position
    {
        let before = &text[..fault.position];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let mark = Mark {
            position: fault.position,
            line: before.matches('\n').count(),
            column: before[line_start..].chars().count(),
        };
        return Err(error(
            YamlErrorKind::Encoding,
            fault.message.to_owned(),
            mark,
        ));
    }
    match result {
        Ok(raw) => Ok(use_it(raw.as_ref(), text)),
        Err(problem) => Err(as_error(problem, 0)),
    }
}

/// The place of a document's root.
pub(crate) fn root_span(raw: &RawDocument<'_>) -> Span {
    raw.nodes
        .get(raw.root)
        .map(|root| root.span)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Result<serde_json::Value, String> {
        parse_first(text.as_bytes(), &ParseOptions::default())
            .map(|node| node.to_json())
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_follows_is_not_looked_at() {
        assert_eq!(first("a: 1\n---\n}"), Ok(serde_json::json!({"a": 1})));
        assert_eq!(first("[1]\nb: 2\n"), Ok(serde_json::json!([1])));
        assert_eq!(first("# nothing\n"), Ok(serde_json::Value::Null));
        assert!(first("a: [1\n").is_err());
        assert_eq!(
            first("a: \u{7f}\n"),
            Err("yaml: line 1: control characters are not allowed".to_owned())
        );
    }
}
