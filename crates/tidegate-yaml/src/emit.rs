//! Values to YAML text, byte for byte as `sigs.k8s.io/yaml` (go-yaml v2) writes them: sorted keys,
//! two spaces, lists not indented under their key. How one scalar is written: [`scalar`].

mod order;
mod scalar;

use serde_json::{Map, Value};

use crate::number;

/// Width after which scalars fold at the next space.
const BEST_WIDTH: usize = 80;
/// Bytes a key may have to be written as `key:`; longer ones become `? key`.
const SIMPLE_KEY_LENGTH: usize = 128;
/// Spaces of one level.
const INDENT: usize = 2;

/// One document as YAML, with a line break at the end.
pub fn to_string(value: &Value) -> String {
    let mut emitter = Emitter::default();
    emitter.node(value, None, Context::Root);
    emitter.finish()
}

/// Several documents as one stream, joined by `---`.
pub fn stream_to_string<'v>(values: impl IntoIterator<Item = &'v Value>) -> String {
    let documents: Vec<String> = values.into_iter().map(to_string).collect();
    documents.join("---\n")
}

/// A number as it is printed: integers exactly, other floats in Go's shortest `%g`.
pub(crate) fn number_text(number: &serde_json::Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    let Some(value) = number.as_f64() else {
        return number.to_string();
    };
    match number::from_float(value) {
        Some(whole) if whole.is_i64() || whole.is_u64() => whole.to_string(),
        _ => number::shortest(value).general(),
    }
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    Item,
    /// The value after `key:`.
    Value,
    /// The key or value after `?` or `:` of a long key.
    Complex,
    /// A key before its colon.
    Key,
}

/// The writer's state: what libyaml's emitter tracks.
#[derive(Debug, Default)]
struct Emitter {
    out: String,
    column: usize,
    /// The last thing written was white space, or nothing was.
    whitespace: bool,
    /// Only indentation and indicators were written on this line.
    indention: bool,
}

impl Emitter {
    fn finish(mut self) -> String {
        if self.column > 0 {
            self.line_break();
        }
        self.out
    }

    fn node(&mut self, value: &Value, indent: Option<usize>, context: Context) {
        match value {
            Value::Object(map) if !map.is_empty() => self.mapping(map, indent),
            Value::Array(items) if !items.is_empty() => self.sequence(items, indent, context),
            Value::Object(_) => self.indicator("{}", true),
            Value::Array(_) => self.indicator("[]", true),
            Value::Null => self.plain_word("null"),
            Value::Bool(flag) => self.plain_word(if *flag { "true" } else { "false" }),
            Value::Number(number) => self.plain_word(&number_text(number)),
            Value::String(text) => self.string(text, indent, context),
        }
    }

    fn mapping(&mut self, map: &Map<String, Value>, indent: Option<usize>) {
        let indent = indent.map_or(0, |indent| indent + INDENT);
        for key in order::natural(map.keys().map(String::as_str)) {
            let Some(value) = map.get(key) else { continue };
            self.write_indent(indent);
            if key.len() <= SIMPLE_KEY_LENGTH && !scalar::is_multiline(key) {
                self.string(key, Some(indent), Context::Key);
                self.indicator(":", false);
                self.node(value, Some(indent), Context::Value);
            } else {
                self.block_indicator("?");
                self.string(key, Some(indent), Context::Complex);
                self.write_indent(indent);
                self.block_indicator(":");
                self.node(value, Some(indent), Context::Complex);
            }
        }
    }

    fn sequence(&mut self, items: &[Value], indent: Option<usize>, context: Context) {
        let indent = match (indent, context) {
            (None, _) => 0,
            (Some(indent), Context::Value) => indent,
            (Some(indent), _) => indent + INDENT,
        };
        for item in items {
            self.write_indent(indent);
            self.block_indicator("-");
            self.node(item, Some(indent), Context::Item);
        }
    }

    /// Goes to a column, on a new line unless only indicators stand before it.
    fn write_indent(&mut self, indent: usize) {
        let new_line =
            !self.indention || self.column > indent || (self.column == indent && !self.whitespace);
        if new_line && !(self.out.is_empty()) {
            self.line_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    /// `-`, `?` or `:` that opens an entry: a nested collection may begin behind it.
    fn block_indicator(&mut self, indicator: &str) {
        let indention = self.indention;
        self.indicator(indicator, true);
        self.indention = indention;
    }

    fn indicator(&mut self, indicator: &str, spaced: bool) {
        if spaced && !self.whitespace && self.column > 0 {
            self.put(' ');
        }
        indicator.chars().for_each(|c| self.put(c));
        self.whitespace = false;
        self.indention = false;
    }

    fn plain_word(&mut self, word: &str) {
        self.indicator(word, true);
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }
}
