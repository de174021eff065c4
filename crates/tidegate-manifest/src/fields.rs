//! A reader of typed fields that collects every mistake with its place.

use tidegate_yaml::{Node, Value};

use crate::{Diagnostic, Origin};

/// Reads one document; findings gather in `found`.
pub(crate) struct Reader<'o> {
    origin: &'o Origin,
    object: String,
    found: Vec<Diagnostic>,
}

/// A mapping being read, with its path for messages.
#[derive(Clone)]
pub(crate) struct Fields<'n> {
    pub(crate) node: &'n Node,
    pub(crate) path: String,
}

impl<'o> Reader<'o> {
    pub(crate) fn new(origin: &'o Origin, object: String) -> Self {
        Self {
            origin,
            object,
            found: Vec::new(),
        }
    }

    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        self.found
    }

    pub(crate) fn error(
        &mut self,
        node: &Node,
        path: &str,
        message: impl Into<String>,
        help: &str,
    ) {
        self.push(Diagnostic::error, node, path, message.into(), help);
    }

    pub(crate) fn warning(
        &mut self,
        node: &Node,
        path: &str,
        message: impl Into<String>,
        help: &str,
    ) {
        self.push(Diagnostic::warning, node, path, message.into(), help);
    }

    fn push(
        &mut self,
        make: impl Fn(&str, String, Origin) -> Diagnostic,
        node: &Node,
        path: &str,
        message: String,
        help: &str,
    ) {
        let place = Origin {
            line: node.span.line,
            column: node.span.column,
            ..self.origin.clone()
        };
        self.found.push(
            make("TG0110", message, place)
                .object(self.object.clone())
                .field(path)
                .help(help),
        );
    }

    fn wrong_type(&mut self, node: &Node, path: &str, wanted: &str) {
        let message = format!("{path} must be {wanted}, found {}", kind_of(node));
        self.error(node, path, message, &format!("write {wanted}"));
    }

    /// The mapping under `key`; absent and null are none.
    pub(crate) fn mapping<'n>(&mut self, of: &Fields<'n>, key: &str) -> Option<Fields<'n>> {
        let (node, path) = of.present(key)?;
        if matches!(node.value, Value::Mapping(_)) {
            return Some(Fields { node, path });
        }
        self.wrong_type(node, &path, "a mapping");
        None
    }

    /// The mappings of the list under `key`.
    pub(crate) fn mappings<'n>(&mut self, of: &Fields<'n>, key: &str) -> Option<Vec<Fields<'n>>> {
        let (node, path) = of.present(key)?;
        let Value::Sequence(items) = &node.value else {
            self.wrong_type(node, &path, "a list");
            return None;
        };
        let mut found = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if matches!(item.value, Value::Mapping(_)) {
                found.push(Fields { node: item, path });
            } else {
                self.wrong_type(item, &path, "a mapping");
            }
        }
        Some(found)
    }

    /// The text under `key`.
    pub(crate) fn text(&mut self, of: &Fields<'_>, key: &str) -> Option<String> {
        let (node, path) = of.present(key)?;
        if let Some(text) = node.as_str() {
            return Some(text.to_owned());
        }
        self.wrong_type(node, &path, "text (in quotes)");
        None
    }

    /// The texts of the list under `key`.
    pub(crate) fn texts(&mut self, of: &Fields<'_>, key: &str) -> Option<Vec<String>> {
        let (node, path) = of.present(key)?;
        let Value::Sequence(items) = &node.value else {
            self.wrong_type(node, &path, "a list of text");
            return None;
        };
        let mut found = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) => found.push(text.to_owned()),
                None => self.wrong_type(item, &format!("{path}[{index}]"), "text (in quotes)"),
            }
        }
        Some(found)
    }

    /// The mapping of text to text under `key`.
    pub(crate) fn text_map(
        &mut self,
        of: &Fields<'_>,
        key: &str,
    ) -> Option<std::collections::BTreeMap<String, String>> {
        let fields = self.mapping(of, key)?;
        let Value::Mapping(entries) = &fields.node.value else {
            return None;
        };
        let mut found = std::collections::BTreeMap::new();
        for (key, node) in entries {
            match node.as_str() {
                Some(text) => {
                    found.insert(key.text.to_string(), text.to_owned());
                }
                None => self.wrong_type(node, &fields.child(&key.text), "text (in quotes)"),
            }
        }
        Some(found)
    }

    /// The boolean under `key`.
    pub(crate) fn flag(&mut self, of: &Fields<'_>, key: &str) -> Option<bool> {
        let (node, path) = of.present(key)?;
        if let Value::Bool(flag) = node.value {
            return Some(flag);
        }
        self.wrong_type(node, &path, "true or false");
        None
    }

    /// The whole number under `key`.
    pub(crate) fn integer(&mut self, of: &Fields<'_>, key: &str) -> Option<i64> {
        let (node, path) = of.present(key)?;
        if let Value::Number(number) = &node.value
            && let Some(number) = number.as_i64()
        {
            return Some(number);
        }
        self.wrong_type(node, &path, "a whole number");
        None
    }

    /// Text that must be there and not empty.
    pub(crate) fn required_text(&mut self, of: &Fields<'_>, key: &str, help: &str) -> String {
        match of.present(key) {
            None => {
                let path = of.child(key);
                self.error(of.node, &path, format!("{path} is missing"), help);
                String::new()
            }
            Some((node, path)) => match node.as_str() {
                Some("") => {
                    self.error(node, &path, format!("{path} is empty"), help);
                    String::new()
                }
                Some(text) => text.to_owned(),
                None => {
                    self.wrong_type(node, &path, "text (in quotes)");
                    String::new()
                }
            },
        }
    }
}

impl<'n> Fields<'n> {
    pub(crate) fn root(node: &'n Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    /// The path of the field `key`.
    pub(crate) fn child(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// The node under `key` unless it is absent or null.
    pub(crate) fn present(&self, key: &str) -> Option<(&'n Node, String)> {
        let node = self.node.get(key)?;
        (node.value != Value::Null).then(|| (node, self.child(key)))
    }

    /// The value under `key` as JSON.
    pub(crate) fn json(&self, key: &str) -> Option<serde_json::Value> {
        self.present(key).map(|(node, _)| node.to_json())
    }

    /// The keys of the mapping.
    pub(crate) fn keys(&self) -> Vec<&'n tidegate_yaml::Key> {
        match &self.node.value {
            Value::Mapping(entries) => entries.iter().map(|(key, _)| key).collect(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Sequence(_) => Vec::new(),
        }
    }
}

fn kind_of(node: &Node) -> &'static str {
    match node.value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
    }
}
