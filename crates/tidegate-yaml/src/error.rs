//! What can be wrong with a text, as data: kind, words, place. No printing, no files.

use std::fmt;

use crate::node::Span;

/// Which rule a text broke; callers react to this, people read the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum YamlErrorKind {
    /// The bytes are no valid UTF-8 or UTF-16 text, or hold control characters.
    Encoding,
    /// The text is not well-formed YAML 1.1 as libyaml reads it.
    Syntax,
    /// A key stands twice in one mapping.
    DuplicateKey,
    /// A key is a mapping, a sequence, null, or otherwise cannot be a JSON object key.
    InvalidKey,
    /// A merge key `<<` has something else than mappings as its value.
    Merge,
    /// An alias points at nothing or at itself, or aliases blow the document up.
    Alias,
    /// A value JSON cannot hold (`.inf`, `.nan`) or that its tag forbids.
    Value,
    /// A limit of [`crate::Limits`] was reached.
    Limit,
    /// More than one document where exactly one was asked for.
    Documents,
    /// The value does not fit the type asked for ([`crate::from_str`]).
    Type,
}

/// One thing wrong with a stream, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Which rule was broken.
    pub kind: YamlErrorKind,
    /// What is wrong, in the words of go-yaml where it has words, without the line.
    pub message: String,
    /// Where, in the whole stream.
    pub span: Span,
    /// Index of the document, from 0, empty documents not counted.
    pub document: usize,
    /// What was being read when it went wrong and where that began: "while scanning a simple key".
    pub context: Option<(&'static str, Span)>,
}

impl YamlError {
    /// What the writer of the text can do about it, when there is a usual cause.
    pub fn help(&self) -> Option<&'static str> {
        HELP.iter()
            .find(|(kind, needle, _)| *kind == self.kind && self.message.contains(needle))
            .map(|(_, _, help)| *help)
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "yaml: line {}: {}", self.span.line, self.message)
    }
}

impl std::error::Error for YamlError {}

/// All errors of one text, in its order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlErrors(pub Vec<YamlError>);

impl fmt::Display for YamlErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for YamlErrors {}

/// Usual causes: the kind, a part of the message, the advice.
const HELP: &[(YamlErrorKind, &str, &str)] = &[
    (
        YamlErrorKind::Syntax,
        "cannot start any token",
        "YAML forbids tabs as indentation, and `@`, `` ` `` and `%` at the start of a plain value: indent with spaces, quote the value",
    ),
    (
        YamlErrorKind::Syntax,
        "tab character",
        "YAML forbids tabs as indentation: indent with spaces",
    ),
    (
        YamlErrorKind::Syntax,
        "mapping values are not allowed",
        "a value that contains `: ` must be quoted; otherwise check the indentation of this line",
    ),
    (
        YamlErrorKind::Syntax,
        "could not find expected ':'",
        "this line is no `key: value` pair: add the colon and a space, or indent the line under the text it continues",
    ),
    (
        YamlErrorKind::Syntax,
        "did not find expected key",
        "the line does not line up with the mapping it belongs to: check the indentation and unclosed quotes above it",
    ),
    (
        YamlErrorKind::Syntax,
        "did not find expected '-' indicator",
        "the line does not line up with the list it belongs to: check its indentation",
    ),
    (
        YamlErrorKind::Syntax,
        "found unexpected",
        "a quote is never closed: add the closing quote",
    ),
    (
        YamlErrorKind::Syntax,
        "unknown escape character",
        "double quotes interpret backslashes: use single quotes, or double the backslash",
    ),
    (
        YamlErrorKind::Syntax,
        "incompatible YAML document",
        "only `%YAML 1.1` is accepted: remove the directive",
    ),
    (
        YamlErrorKind::InvalidKey,
        "invalid map key",
        "`{{ … }}` in plain YAML is read as a mapping used as a key: quote the value, or render the template first",
    ),
    (
        YamlErrorKind::InvalidKey,
        "<nil>",
        "a null key cannot be a field name: quote it",
    ),
    (
        YamlErrorKind::DuplicateKey,
        "already defined",
        "remove or rename one of the two keys",
    ),
    (
        YamlErrorKind::Alias,
        "unknown anchor",
        "anchors live inside one document and must stand before their aliases; quote the value if `*` is meant literally",
    ),
    (
        YamlErrorKind::Value,
        "unsupported value",
        "JSON has no infinity and no NaN: quote the value if text is meant",
    ),
    (
        YamlErrorKind::Encoding,
        "control characters",
        "remove the character, or write it as an escape in double quotes",
    ),
    (YamlErrorKind::Encoding, "UTF", "save the file as UTF-8"),
];
