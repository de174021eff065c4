//! Text to nodes and nodes to JSON, by the rules of kyaml: what a scalar is depends on its text, its
//! tag and its quotes.

use serde_json::{Map, Number, Value};
use tidegate_yaml::{ParseOptions, Span, YamlErrors};

use crate::node::{Key, Node, Scalar, Style, Tag};

/// A document and the place of its first character.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) root: Node,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Reads all documents of a text; empty ones are dropped.
///
/// # Errors
/// Everything that is wrong with the text.
pub(crate) fn documents(text: &[u8]) -> Result<Vec<Document>, YamlErrors> {
    let parsed = tidegate_yaml::parse_stream(text, &ParseOptions::kyaml());
    if !parsed.errors.is_empty() {
        return Err(YamlErrors(parsed.errors));
    }
    let source = std::str::from_utf8(text).unwrap_or_default();
    let reader = Reader { source };
    Ok(parsed
        .documents
        .iter()
        .map(|document| Document {
            root: reader.node(&document.root),
            line: document.root.span.line,
            column: document.root.span.column,
        })
        .collect())
}

/// Reads a text that stands inside a field.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn text_as_node(text: &str) -> Result<Node, String> {
    let documents = documents(text.as_bytes()).map_err(|errors| errors.to_string())?;
    Ok(documents
        .into_iter()
        .next()
        .map_or_else(|| typed("", Tag::Null), |document| document.root))
}

fn typed(text: &str, tag: Tag) -> Node {
    Node::Scalar(Scalar {
        text: text.into(),
        tag,
        style: Style::Plain,
    })
}

struct Reader<'t> {
    source: &'t str,
}

impl<'t> Reader<'t> {
    fn node(&self, node: &tidegate_yaml::Node) -> Node {
        match &node.value {
            tidegate_yaml::Value::Sequence(items) => {
                Node::Seq(items.iter().map(|item| self.node(item)).collect())
            }
            tidegate_yaml::Value::Mapping(entries) => Node::Map(
                entries
                    .iter()
                    .map(|(key, value)| (self.key(key), self.node(value)))
                    .collect(),
            ),
            value => Node::Scalar(self.scalar(value, node.span)),
        }
    }

    fn key(&self, key: &tidegate_yaml::Key) -> Key {
        let (source, _) = self.written(key.span);
        Key(Scalar {
            text: key.text.clone(),
            tag: Tag::Str,
            style: style_of(source),
        })
    }

    /// What stands at a place, without anchor and tag, and the tag.
    fn written(&self, span: Span) -> (&'t str, Option<&'t str>) {
        let (start, end) = (span.start as usize, span.end as usize);
        let mut source = self.source.get(start..end).unwrap_or_default();
        let mut tag = None;
        while source.starts_with(['&', '!']) {
            let cut = source
                .find(|c: char| c.is_ascii_whitespace())
                .unwrap_or(source.len());
            if source.starts_with('!') {
                tag = Some(&source[..cut]);
            }
            source = source[cut..].trim_start();
        }
        (source, tag)
    }

    fn scalar(&self, value: &tidegate_yaml::Value, span: Span) -> Scalar {
        let (source, tag) = self.written(span);
        let style = style_of(source);
        let plain = source.trim();
        let scalar = |text: &str, tag| Scalar {
            text: text.into(),
            tag,
            style,
        };
        match value {
            tidegate_yaml::Value::Null => {
                scalar(if is_null_word(plain) { plain } else { "" }, Tag::Null)
            }
            tidegate_yaml::Value::Bool(flag) => {
                let text = if plain.is_empty() {
                    flag.to_string()
                } else {
                    plain.to_owned()
                };
                scalar(&text, Tag::Bool)
            }
            tidegate_yaml::Value::Number(number) => {
                let text = if plain.is_empty() {
                    number.to_string()
                } else {
                    plain.to_owned()
                };
                let tag = if is_integer(&text) {
                    Tag::Int
                } else {
                    Tag::Float
                };
                scalar(&text, tag)
            }
            tidegate_yaml::Value::String(text) => {
                let rewritten = style == Style::Plain
                    && tag.is_none()
                    && plain != &**text
                    && plain.starts_with(|c: char| c.is_ascii_digit())
                    && !plain.contains('\n')
                    && text.contains('T');
                if rewritten {
                    scalar(plain, Tag::Timestamp)
                } else {
                    scalar(text, Tag::Str)
                }
            }
            tidegate_yaml::Value::Sequence(_) | tidegate_yaml::Value::Mapping(_) => {
                scalar("", Tag::Null)
            }
        }
    }
}

fn style_of(source: &str) -> Style {
    match source.as_bytes().first() {
        Some(b'"') => Style::Double,
        Some(b'\'') => Style::Single,
        Some(b'|' | b'>') => Style::Block,
        _ => Style::Plain,
    }
}

fn is_null_word(text: &str) -> bool {
    matches!(text, "~" | "null" | "Null" | "NULL")
}

/// Whether a number's text is one of the forms of integers.
fn is_integer(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.replace('_', "");
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, &*digits),
    };
    u64::from_str_radix(digits, base).is_ok()
}

/// What a plain text is read as.
fn resolve(text: &str) -> (Tag, Value) {
    let string = || (Tag::Str, Value::String(text.to_owned()));
    if text.is_empty() || is_null_word(text) {
        return (Tag::Null, Value::Null);
    }
    let may_be_typed = text.starts_with(|c: char| {
        c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 't' | 'T' | 'f' | 'F')
    });
    let fits = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_' | b':' | b' '));
    if !may_be_typed || !fits || text.contains(": ") || text.ends_with([':', ' ']) {
        return string();
    }
    if let Ok(number) = text.parse::<i64>()
        && number.to_string() == text
    {
        return (Tag::Int, Value::Number(number.into()));
    }
    match text_as_typed(text) {
        Some((tag, value)) => (tag, value),
        None => string(),
    }
}

fn text_as_typed(text: &str) -> Option<(Tag, Value)> {
    if text.starts_with("- ") || text == "-" || text.starts_with("--- ") {
        return None;
    }
    let special = text.trim_start_matches(['-', '+']).to_ascii_lowercase();
    if special == ".inf" || special == ".nan" {
        return Some((Tag::Float, Value::String(text.to_owned())));
    }
    let node = tidegate_yaml::parse_one(text.as_bytes(), &ParseOptions::kyaml()).ok()?;
    let value = node.to_json();
    let tag = match &value {
        Value::Bool(_) => Tag::Bool,
        Value::Number(_) if is_integer(text) => Tag::Int,
        Value::Number(_) => Tag::Float,
        Value::String(read) if read != text => Tag::Timestamp,
        _ => return None,
    };
    Some((tag, value))
}

/// Whether a text written plain comes back as the same text.
pub(crate) fn is_plain_string(text: &str) -> bool {
    resolve(text).0 == Tag::Str
}

/// The tag that must be written because the text says otherwise.
pub(crate) fn explicit_tag(scalar: &Scalar) -> Option<&str> {
    let typed = !matches!(scalar.tag, Tag::Str | Tag::Untagged);
    (typed && resolve(&scalar.text).0 != scalar.tag).then(|| name_of(&scalar.tag))
}

fn name_of(tag: &Tag) -> &'static str {
    match tag {
        Tag::Untagged | Tag::Str => "!!str",
        Tag::Null => "!!null",
        Tag::Bool => "!!bool",
        Tag::Int => "!!int",
        Tag::Float => "!!float",
        Tag::Timestamp => "!!timestamp",
    }
}

fn scalar_to_json(scalar: &Scalar) -> Result<Value, String> {
    let text = &*scalar.text;
    let string = || Ok(Value::String(text.to_owned()));
    match (&scalar.tag, scalar.style) {
        (Tag::Str, _) => return string(),
        (Tag::Untagged, style) if style != Style::Plain => return string(),
        (Tag::Int, Style::Plain) => {
            if let Ok(number) = text.parse::<i64>()
                && !text.starts_with(['0', '+', '-'])
            {
                return Ok(Value::Number(number.into()));
            }
        }
        _ => {}
    }
    let (found, value) = resolve(text);
    if scalar.tag == Tag::Untagged || (scalar.tag == found && scalar.style == Style::Plain) {
        return finite(found, value, text);
    }
    if scalar.tag == found {
        // The tag is left out because the text says the same; the quotes stay.
        return if scalar.tag == Tag::Null {
            Ok(Value::Null)
        } else {
            string()
        };
    }
    match (&scalar.tag, &found) {
        (Tag::Null, _) if text.is_empty() => Ok(Value::Null),
        (Tag::Float, Tag::Int) => Ok(value),
        (tag, found) => Err(format!(
            "yaml: cannot decode {} `{text}` as a {}",
            name_of(found),
            name_of(tag)
        )),
    }
}

fn finite(tag: Tag, value: Value, text: &str) -> Result<Value, String> {
    if tag == Tag::Float && value.is_string() {
        let lower = text.to_ascii_lowercase();
        let name = if lower.ends_with("nan") {
            "NaN"
        } else if lower.starts_with('-') {
            "-Inf"
        } else {
            "+Inf"
        };
        return Err(format!("json: unsupported value: {name}"));
    }
    Ok(value)
}

/// A node as JSON.
///
/// # Errors
/// Scalars whose text does not fit their tag, and keys that are no text.
pub(crate) fn to_json(node: &Node) -> Result<Value, String> {
    json_at(node, 0)
}

fn json_at(node: &Node, depth: usize) -> Result<Value, String> {
    match node {
        Node::Scalar(scalar) => scalar_to_json(scalar),
        Node::Seq(items) => items
            .iter()
            .map(|item| json_at(item, depth + 1))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array),
        Node::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let scalar = &key.0;
                if scalar.tag == Tag::Untagged
                    && scalar.style == Style::Plain
                    && depth > 0
                    && !is_plain_string(&scalar.text)
                {
                    return Err("json: unsupported type: map[interface {}]interface {}".to_owned());
                }
                map.insert(key.text().to_owned(), json_at(value, depth + 1)?);
            }
            Ok(Value::Object(map))
        }
    }
}

/// A node of JSON whose numbers went through Go's floats, as after a JSON patch.
pub(crate) fn from_decoded_json(value: &Value) -> Node {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().unwrap_or_default();
            let text = go_float(float);
            let tag = if is_integer(&text) {
                Tag::Int
            } else {
                Tag::Float
            };
            typed(&text, tag)
        }
        Value::Array(items) => Node::Seq(items.iter().map(from_decoded_json).collect()),
        Value::Object(map) => Node::Map(
            map.iter()
                .map(|(key, value)| (text_key(key), from_decoded_json(value)))
                .collect(),
        ),
        other => from_json(other),
    }
}

fn text_key(key: &str) -> Key {
    Key(Scalar {
        text: key.into(),
        tag: Tag::Str,
        style: Style::Plain,
    })
}

/// A float as Go's `%g` prints it with as few digits as tell it apart.
fn go_float(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A node of JSON text.
pub(crate) fn from_json(value: &Value) -> Node {
    match value {
        Value::Null => typed("null", Tag::Null),
        Value::Bool(flag) => typed(if *flag { "true" } else { "false" }, Tag::Bool),
        Value::Number(number) => number_node(number),
        Value::String(text) => Node::Scalar(Scalar {
            text: text.as_str().into(),
            tag: Tag::Str,
            style: if text.contains('\n') {
                Style::Block
            } else if is_plain_string(text) {
                Style::Plain
            } else {
                Style::Double
            },
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
