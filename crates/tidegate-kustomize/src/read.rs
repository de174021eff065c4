//! Text to nodes and nodes to JSON, by the rules of kyaml: what a scalar is depends on its text, its
//! tag and its quotes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Number, Value};
use tidegate_yaml::{
    Build, Limits, ResolvedScalar, Span, WrittenScalar, YamlError, YamlErrorKind, float_number,
    resolve_kyaml,
};

use crate::node::{Key, Node, Scalar, Style, Tag, Text};

/// A document and the place of its first character.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) root: Node,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Reads all documents of a text; empty ones are dropped. A separator is a line that begins with
/// `---`; what stands after the first document between two separators is not looked at.
///
/// # Errors
/// The first thing that is wrong with the text.
pub(crate) fn documents(text: &[u8]) -> Result<Vec<Document>, YamlError> {
    let text = unix_lines(text);
    let chunks = split(&text)?;
    let mut documents = Vec::with_capacity(chunks.len());
    let only_one = chunks.len() == 1;
    for Chunk { bytes, line } in chunks {
        let Some((root, span)) = first(bytes, line)? else {
            continue;
        };
        if root.is_null() {
            continue;
        }
        match root {
            Node::Map(entries) if only_one && is_bare_list(&entries) => {
                let items = entries.into_iter().find(|(key, _)| key.text() == "items");
                let items = items.map(|(_, items)| items.into_items());
                documents.extend(items.unwrap_or_default().into_iter().map(|root| Document {
                    line: root.line().unwrap_or(span.line),
                    column: 1,
                    root,
                }));
            }
            root => documents.push(Document {
                root,
                line: span.line,
                column: span.column,
            }),
        }
    }
    Ok(documents)
}

fn unix_lines(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.windows(2).any(|pair| pair == b"\r\n") {
        return Cow::Borrowed(text);
    }
    let mut lines = Vec::with_capacity(text.len());
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        if !(*byte == b'\r' && bytes.peek() == Some(&&b'\n')) {
            lines.push(*byte);
        }
    }
    Cow::Owned(lines)
}

/// What stands between two separators, and the line it begins on, from 1.
struct Chunk<'t> {
    bytes: &'t [u8],
    line: u32,
}

fn split(text: &[u8]) -> Result<Vec<Chunk<'_>>, YamlError> {
    let mut chunks = Vec::new();
    let (mut start, mut first_line) = (0, 1_u32);
    let (mut at, mut line) = (0, 1_u32);
    // `at` is the start of a line that is not the first of its chunk.
    while let Some(end) = text[at..].iter().position(|b| *b == b'\n') {
        let next = at + end + 1;
        if at > start && text[at..].starts_with(b"---") {
            let rest = String::from_utf8_lossy(&text[at + 3..next]);
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                let message = format!("invalid document separator: ---{rest}");
                return Err(YamlError {
                    kind: YamlErrorKind::Syntax,
                    message,
                    span: Span {
                        line,
                        column: 1,
                        ..Span::default()
                    },
                    document: chunks.len(),
                    context: None,
                });
            }
            chunks.push(Chunk {
                bytes: &text[start..at],
                line: first_line,
            });
            (start, first_line) = (next, line + 1);
        }
        (at, line) = (next, line + 1);
    }
    chunks.push(Chunk {
        bytes: &text[start..],
        line: first_line,
    });
    Ok(chunks)
}

fn is_bare_list(entries: &[(Key, Node)]) -> bool {
    let get = |name: &str| {
        let found = entries.iter().find(|(key, _)| key.text() == name);
        found.map(|(_, value)| value)
    };
    matches!(
        get("kind").and_then(Node::text),
        Some("List" | "ResourceList")
    ) && (get("items").is_some() || get("functionConfig").is_some())
}

/// Reads the first document of a text that begins on a line.
fn first(bytes: &[u8], line: u32) -> Result<Option<(Node, Span)>, YamlError> {
    let mut reader = Reader {
        before: line - 1,
        keys: HashMap::new(),
    };
    let moved = |mut span: Span| {
        span.line += line - 1;
        span
    };
    match tidegate_yaml::read_first(bytes, &Limits::default(), &mut reader) {
        Ok(found) => Ok(found.map(|(root, span)| (root, moved(span)))),
        Err(error) => Err(YamlError {
            span: moved(error.span),
            ..error
        }),
    }
}

/// Reads a text that stands inside a field.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn text_as_node(text: &str) -> Result<Node, String> {
    let found = first(text.as_bytes(), 1).map_err(|error| error.to_string())?;
    Ok(found.map_or_else(|| typed("", Tag::Null), |(root, _)| root))
}

fn typed(text: &str, tag: Tag) -> Node {
    Node::Scalar(Scalar {
        text: text.into(),
        tag,
        ..Scalar::default()
    })
}

/// Makes nodes; knows how many lines stand before its text.
struct Reader {
    before: u32,
    /// Texts of keys, which come again and again.
    keys: HashMap<Box<str>, Text>,
}

impl Reader {
    fn make(&self, written: &WrittenScalar<'_>, text: Text) -> Scalar {
        let style = match written.style {
            tidegate_yaml::Style::Plain if written.in_flow => Style::Flow,
            tidegate_yaml::Style::Plain => Style::Plain,
            tidegate_yaml::Style::Single => Style::Single,
            tidegate_yaml::Style::Double => Style::Double,
            tidegate_yaml::Style::Literal | tidegate_yaml::Style::Folded => Style::Block,
        };
        let tag = match written.tag {
            "" if style.is_plain() => resolve(written.text).0,
            "!!null" => Tag::Null,
            "!!bool" => Tag::Bool,
            "!!int" => Tag::Int,
            "!!float" => Tag::Float,
            "!!timestamp" => Tag::Timestamp,
            "!!binary" => Tag::Binary,
            _ => Tag::Str,
        };
        Scalar {
            text,
            tag,
            style,
            tagged: !written.tag.is_empty(),
            line: written.span.line + self.before,
        }
    }
}

impl Build for Reader {
    type Key = Key;
    type Node = Node;

    fn scalar(&mut self, written: &WrittenScalar<'_>) -> Node {
        Node::Scalar(self.make(written, written.text.into()))
    }

    fn key(&mut self, written: &WrittenScalar<'_>) -> Key {
        let text = match self.keys.get(written.text) {
            Some(text) => Rc::clone(text),
            None => {
                let text: Text = written.text.into();
                self.keys.insert(written.text.into(), Rc::clone(&text));
                text
            }
        };
        Key(self.make(written, text))
    }

    fn sequence(&mut self, items: Vec<Node>) -> Node {
        Node::Seq(items)
    }

    fn mapping(&mut self, entries: Vec<(Key, Node)>) -> Node {
        Node::Map(entries)
    }
}

/// What a plain text is read as.
fn resolve(text: &str) -> (Tag, ResolvedScalar) {
    // Most texts begin with a letter that begins no typed word.
    let plain = text.as_bytes().first().is_some_and(|first| {
        !matches!(
            first,
            b'0'..=b'9' | b'+' | b'-' | b'.' | b'~' | b't' | b'T' | b'f' | b'F' | b'n' | b'N'
        )
    });
    if plain {
        return (Tag::Str, ResolvedScalar::Text);
    }
    let value = resolve_kyaml("", text).unwrap_or(ResolvedScalar::Text);
    (tag_of(&value), value)
}

fn tag_of(value: &ResolvedScalar) -> Tag {
    match value {
        ResolvedScalar::Null => Tag::Null,
        ResolvedScalar::Bool(_) => Tag::Bool,
        ResolvedScalar::Integer(_) => Tag::Int,
        ResolvedScalar::Float(_) => Tag::Float,
        ResolvedScalar::Timestamp(_) => Tag::Timestamp,
        ResolvedScalar::Text | ResolvedScalar::Binary(_) => Tag::Str,
    }
}

/// Whether a text written plain comes back as the same text.
pub(crate) fn is_plain_string(text: &str) -> bool {
    resolve(text).0 == Tag::Str
}

/// Whether a text is a boolean or a number to readers of YAML 1.1 only; such texts are quoted for
/// them.
pub(crate) fn is_old_word(text: &str) -> bool {
    is_plain_string(text) && !is_plain_to_old_readers(text)
}

fn is_plain_to_old_readers(text: &str) -> bool {
    !tidegate_yaml::to_string(&Value::String(text.to_owned())).starts_with('"')
}

/// The tag that must be written because the text says otherwise.
pub(crate) fn explicit_tag(scalar: &Scalar) -> Option<&str> {
    let typed = !matches!(scalar.tag, Tag::Str | Tag::Untagged);
    (typed && resolve(&scalar.text).0 != scalar.tag).then(|| name_of(scalar.tag))
}

fn name_of(tag: Tag) -> &'static str {
    match tag {
        Tag::Untagged | Tag::Str => "!!str",
        Tag::Null => "!!null",
        Tag::Bool => "!!bool",
        Tag::Int => "!!int",
        Tag::Float => "!!float",
        Tag::Timestamp => "!!timestamp",
        Tag::Binary => "!!binary",
    }
}

fn scalar_to_json(scalar: &Scalar) -> Result<Value, String> {
    let text = &*scalar.text;
    let string = || Ok(Value::String(text.to_owned()));
    if scalar.tag == Tag::Str || (scalar.tag == Tag::Untagged && !scalar.style.is_plain()) {
        return string();
    }
    if scalar.tagged {
        return by_tag(scalar.tag, text);
    }
    let (found, value) = resolve(text);
    if scalar.tag == Tag::Untagged || scalar.tag == found {
        if scalar.style.is_plain() {
            // Between brackets nothing is written as '', and a text with a colon in quotes.
            return match (scalar.style, found) {
                (Style::Flow, Tag::Null) if text.is_empty() => string(),
                (Style::Flow, Tag::Timestamp) if text.contains(':') => string(),
                _ => resolved_to_json(value, text),
            };
        }
        // The tag is left out because the text says the same; the quotes stay.
        return if found == Tag::Null {
            Ok(Value::Null)
        } else {
            string()
        };
    }
    by_tag(scalar.tag, text)
}

/// A text whose tag is written before it.
fn by_tag(tag: Tag, text: &str) -> Result<Value, String> {
    match resolve_kyaml(name_of(tag), text) {
        Ok(value) => resolved_to_json(value, text),
        Err(message) => Err(format!("yaml: {message}")),
    }
}

fn resolved_to_json(value: ResolvedScalar, text: &str) -> Result<Value, String> {
    Ok(match value {
        ResolvedScalar::Null => Value::Null,
        ResolvedScalar::Bool(flag) => Value::Bool(flag),
        ResolvedScalar::Integer(number) => Value::Number(number),
        ResolvedScalar::Float(value) => match float_number(value) {
            Some(number) => Value::Number(number),
            None => {
                let name = if value.is_nan() {
                    "NaN"
                } else if value < 0.0 {
                    "-Inf"
                } else {
                    "+Inf"
                };
                return Err(format!("json: unsupported value: {name}"));
            }
        },
        ResolvedScalar::Timestamp(Some(rewritten)) => Value::String(rewritten),
        ResolvedScalar::Binary(decoded) => Value::String(decoded),
        ResolvedScalar::Timestamp(None) | ResolvedScalar::Text => Value::String(text.to_owned()),
    })
}

/// A node as JSON.
///
/// # Errors
/// Scalars whose text does not fit their tag, keys that are no text, keys that stand twice.
pub(crate) fn to_json(node: &Node) -> Result<Value, String> {
    Writer { last: false }.value(node, 0)
}

/// As [`to_json`], for the output: it passes through a reader of YAML once more, which refuses
/// control characters and folds the line breaks of other scripts.
///
/// # Errors
/// As [`to_json`], and control characters.
pub(crate) fn to_output(node: &Node) -> Result<Value, String> {
    Writer { last: true }.value(node, 0)
}

struct Writer {
    /// The text is written for the last time.
    last: bool,
}

impl Writer {
    fn value(&self, node: &Node, depth: usize) -> Result<Value, String> {
        match node {
            Node::Scalar(scalar) => match scalar_to_json(scalar)? {
                Value::String(text) => self.text(text).map(Value::String),
                other => Ok(other),
            },
            Node::Seq(items) => items
                .iter()
                .map(|item| self.value(item, depth + 1))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array),
            Node::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let value = self.value(value, depth + 1)?;
                    let name = self.key(&key.0, depth)?;
                    if map.insert(name, value).is_some() {
                        return Err(repeated(entries, key));
                    }
                }
                Ok(Value::Object(map))
            }
        }
    }

    /// Only the outermost mapping takes the text of keys that are no text.
    fn key(&self, scalar: &Scalar, depth: usize) -> Result<String, String> {
        if scalar.tag != Tag::Str {
            let value = scalar_to_json(scalar)?;
            let fits = match value {
                Value::String(_) => true,
                Value::Null => false,
                _ => depth == 0,
            };
            if !fits {
                return Err("json: unsupported type: map[interface {}]interface {}".to_owned());
            }
        }
        self.text(scalar.text.to_string())
    }

    fn text(&self, text: String) -> Result<String, String> {
        let fine =
            |c: char| matches!(c, '\0'..='~' | '\u{A0}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}');
        if !self.last || text.is_ascii() && !text.contains('\u{7f}') || text.chars().all(fine) {
            return Ok(text);
        }
        if text.chars().any(|c| !fine(c) && c != '\u{85}') {
            return Err("yaml: control characters are not allowed".to_owned());
        }
        Ok(folded(&text))
    }
}

/// What stands between double quotes, its line breaks folded: one is a space, more are one break
/// less. Other breaks are escaped there, so only U+0085 is one.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.split('\u{85}').peekable();
    let mut is_first = true;
    let mut breaks = 0;
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        let mut line = line;
        if !is_first {
            line = line.trim_start_matches(' ');
        }
        if !is_last {
            line = line.trim_end_matches(' ');
        }
        if !is_first {
            breaks += 1;
        }
        if line.is_empty() && !is_first && !is_last {
            continue;
        }
        match breaks {
            0 => {}
            1 => out.push(' '),
            more => out.extend(std::iter::repeat_n('\n', more - 1)),
        }
        breaks = 0;
        out.push_str(line);
        is_first = false;
    }
    out
}

fn repeated(entries: &[(Key, Node)], key: &Key) -> String {
    let line = |key: &Key| key.0.line;
    let first = entries.iter().find(|(other, _)| other.text() == key.text());
    format!(
        "yaml: unmarshal errors:\n  line {}: mapping key {:?} already defined at line {}",
        line(key),
        key.text(),
        first.map_or(0, |(first, _)| line(first))
    )
}

/// A node of JSON whose numbers went through Go's floats, as after a JSON patch.
pub(crate) fn from_decoded_json(value: &Value) -> Node {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().unwrap_or_default();
            let text = go_float(float);
            let tag = resolve(&text).0;
            typed(&text, tag)
        }
        Value::String(text) => Node::Scalar(Scalar {
            text: text.as_str().into(),
            tag: Tag::Str,
            style: style_when_written(text),
            ..Scalar::default()
        }),
        Value::Array(items) => Node::Seq(items.iter().map(from_decoded_json).collect()),
        Value::Object(map) => Node::Map(
            map.iter()
                .map(|(key, value)| (text_key(key), from_decoded_json(value)))
                .collect(),
        ),
        other => from_json(other),
    }
}

/// The style that a text gets when it is written anew.
fn style_when_written(text: &str) -> Style {
    /// No word that stands for something else is longer.
    const LONGEST_WORD: usize = 5;
    let simple = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
    if text.len() > LONGEST_WORD
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(simple)
    {
        return Style::Plain;
    }
    if text.contains('\n') {
        return Style::Block;
    }
    let written = tidegate_yaml::to_string(&Value::String(text.to_owned()));
    match written.as_bytes().first() {
        Some(b'"') => Style::Double,
        Some(b'\'') => Style::Single,
        _ => Style::Plain,
    }
}

fn text_key(key: &str) -> Key {
    Key(Scalar {
        text: key.into(),
        tag: Tag::Str,
        ..Scalar::default()
    })
}

/// A float as Go's `%g` prints it with as few digits as tell it apart.
pub(crate) fn go_float(float: f64) -> String {
    general(&format!("{float:e}"), &float)
}

/// As [`go_float`], with as few digits as tell it apart from its neighbours of single precision.
pub(crate) fn go_single_float(float: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the precision of the original"
    )]
    let single = float as f32;
    general(&format!("{single:e}"), &single)
}

fn general(scientific: &str, plain: &dyn std::fmt::Display) -> String {
    let (digits, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return plain.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A node of JSON text, in which every text is quoted.
pub(crate) fn from_json(value: &Value) -> Node {
    match value {
        Value::Null => typed("null", Tag::Null),
        Value::Bool(flag) => typed(if *flag { "true" } else { "false" }, Tag::Bool),
        Value::Number(number) => number_node(number),
        Value::String(text) => Node::Scalar(Scalar {
            text: text.as_str().into(),
            tag: Tag::Str,
            style: Style::Double,
            ..Scalar::default()
        }),
        Value::Array(items) => Node::Seq(items.iter().map(from_json).collect()),
        Value::Object(map) => Node::Map(
            map.iter()
                .map(|(key, value)| (text_key(key), from_json(value)))
                .collect(),
        ),
    }
}

fn number_node(number: &Number) -> Node {
    let text = number.to_string();
    let tag = if number.is_f64() {
        Tag::Float
    } else {
        Tag::Int
    };
    typed(&text, tag)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_is_written_back() {
        let text = "a: 1\nb: '1'\nc: yes\nd: 2001-12-14\ne: ~\nf:\ng: 0x10\nh: 1.50\ni: true\nj: !!str 12\nk: &x [1, \"2\"]\nl: *x\nm: 1_000\nn: |\n  text\n";
        let document = documents(text.as_bytes()).unwrap().remove(0);
        assert_eq!(
            to_json(&document.root).unwrap(),
            json!({"a": 1, "b": "1", "c": "yes", "d": "2001-12-14T00:00:00Z", "e": null, "f": null, "g": 16,
                "h": 1.5, "i": true, "j": "12", "k": [1, "2"], "l": [1, "2"], "m": 1000, "n": "text\n"})
        );
    }

    fn check(text: &str, tag: Tag, style: Style, expected: Result<Value, &str>) {
        let scalar = Scalar {
            text: text.into(),
            tag,
            style,
            ..Scalar::default()
        };
        assert_eq!(
            scalar_to_json(&scalar),
            expected.map_err(str::to_owned),
            "{scalar:?}"
        );
    }

    #[test]
    fn tags_and_quotes_decide() {
        check("8", Tag::Int, Style::Plain, Ok(json!(8)));
        check("8", Tag::Int, Style::Double, Ok(json!("8")));
        check("8", Tag::Str, Style::Plain, Ok(json!("8")));
        check("8", Tag::Untagged, Style::Plain, Ok(json!(8)));
        check(
            "x",
            Tag::Int,
            Style::Plain,
            Err("yaml: cannot decode !!str `x` as a !!int"),
        );
        check(
            "1",
            Tag::Null,
            Style::Plain,
            Err("yaml: cannot decode !!int `1` as a !!null"),
        );
        check("a: b", Tag::Untagged, Style::Plain, Ok(json!("a: b")));
        check(
            ".inf",
            Tag::Float,
            Style::Plain,
            Err("json: unsupported value: +Inf"),
        );
    }
}
