//! `$(NAME)` references: what a text becomes, and the variables of kustomizations.

use std::collections::BTreeMap;

use crate::node::{Node, Scalar, Tag};

/// The value of a variable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum VarValue {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A mapping or a list: it is never put anywhere.
    Other,
}

/// The variables of a build, and which of them were used.
#[derive(Debug, Default)]
pub(crate) struct Vars {
    values: BTreeMap<String, VarValue>,
    used: std::collections::BTreeSet<String>,
}

/// What a text becomes.
#[derive(Debug, PartialEq)]
enum Expanded {
    Text(String),
    /// The text was one reference and nothing else: the value keeps its type.
    Whole(VarValue),
}

impl Vars {
    pub(crate) fn new(values: BTreeMap<String, VarValue>) -> Self {
        Self {
            values,
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The variables that no text mentioned, sorted.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &str> {
        self.values
            .keys()
            .filter(|name| !self.used.contains(*name))
            .map(String::as_str)
    }

    fn value(&mut self, name: &str) -> Option<VarValue> {
        let value = self.values.get(name)?;
        if *value == VarValue::Other {
            return None;
        }
        self.used.insert(name.to_owned());
        Some(value.clone())
    }

    /// Replaces references; `$$` is a dollar sign, what is no reference stays.
    fn expand(&mut self, text: &str) -> Expanded {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let after = &rest[at + 1..];
            let Some(next) = after.chars().next() else {
                break;
            };
            out.push_str(&rest[..at]);
            rest = match next {
                '$' => {
                    out.push('$');
                    &after[1..]
                }
                '(' => match after.find(')') {
                    Some(end) => {
                        let name = &after[1..end];
                        let value = self.value(name);
                        if text.len() == name.len() + 3 {
                            return match value {
                                Some(value) => Expanded::Whole(value),
                                None => Expanded::Text(text.to_owned()),
                            };
                        }
                        match value {
                            Some(value) => out.push_str(&value.embedded()),
                            None => {
                                out.push_str("$(");
                                out.push_str(name);
                                out.push(')');
                            }
                        }
                        &after[end + 1..]
                    }
                    None => {
                        out.push_str("$(");
                        &after[1..]
                    }
                },
                other => {
                    out.push('$');
                    out.push(other);
                    &after[other.len_utf8()..]
                }
            };
        }
        out.push_str(rest);
        Expanded::Text(out)
    }

    /// Replaces references in the value at a field: in a text, in the texts of a list, in the values
    /// of a mapping.
    ///
    /// # Errors
    /// List elements and mapping keys that are no text.
    pub(crate) fn replace(&mut self, node: &mut Node) -> Result<(), String> {
        match node {
            Node::Scalar(scalar) => {
                if is_string(scalar) {
                    self.set(scalar);
                }
                Ok(())
            }
            Node::Seq(items) => items.iter_mut().try_for_each(|item| match item {
                Node::Scalar(scalar) if is_string(scalar) => {
                    self.set(scalar);
                    Ok(())
                }
                _ => Err("invalid value type expect a string".to_owned()),
            }),
            Node::Map(entries) => entries.iter_mut().try_for_each(|(key, value)| {
                if !is_string(&key.0) {
                    let (text, tag) = (&key.0.text, tag_name(&key.0.tag));
                    return Err(format!("invalid map key: value='{text}', tag='{tag}'"));
                }
                if let Node::Scalar(scalar) = value
                    && is_string(scalar)
                {
                    self.set(scalar);
                }
                Ok(())
            }),
        }
    }

    fn set(&mut self, scalar: &mut Scalar) {
        let (text, tag) = match self.expand(&scalar.text) {
            Expanded::Text(text) | Expanded::Whole(VarValue::Text(text)) => (text, Tag::Str),
            Expanded::Whole(VarValue::Int(number)) => (number.to_string(), Tag::Int),
            Expanded::Whole(VarValue::Bool(flag)) => (flag.to_string(), Tag::Bool),
            Expanded::Whole(VarValue::Float(number)) => (plain_float(number), Tag::Float),
            Expanded::Whole(VarValue::Other) => return,
        };
        *scalar = Scalar {
            text: text.into(),
            tag,
            ..Scalar::default()
        };
    }
}

impl VarValue {
    /// As Go's `%v` prints it.
    fn embedded(&self) -> String {
        match self {
            VarValue::Text(text) => text.clone(),
            VarValue::Int(number) => number.to_string(),
            VarValue::Bool(flag) => flag.to_string(),
            VarValue::Float(number) => crate::read::go_float(*number),
            VarValue::Other => String::new(),
        }
    }

    /// The value of a field: what a variable takes from a node.
    ///
    /// # Errors
    /// Numbers and booleans that Go's parsers refuse.
    pub(crate) fn of(node: &Node) -> Result<VarValue, String> {
        let Node::Scalar(scalar) = node else {
            return Ok(VarValue::Other);
        };
        let text = &*scalar.text;
        Ok(match scalar.tag {
            Tag::Int => VarValue::Int(
                text.parse()
                    .map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))?,
            ),
            Tag::Float => VarValue::Float(
                text.parse()
                    .map_err(|_| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))?,
            ),
            Tag::Bool => match text {
                "true" | "True" | "TRUE" => VarValue::Bool(true),
                "false" | "False" | "FALSE" => VarValue::Bool(false),
                _ => {
                    return Err(format!(
                        "strconv.ParseBool: parsing {text:?}: invalid syntax"
                    ));
                }
            },
            _ => VarValue::Text(text.to_owned()),
        })
    }
}

fn is_string(scalar: &Scalar) -> bool {
    matches!(scalar.tag, Tag::Str | Tag::Untagged)
}

fn tag_name(tag: &Tag) -> &'static str {
    match tag {
        Tag::Untagged => "",
        Tag::Null => "!!null",
        Tag::Bool => "!!bool",
        Tag::Int => "!!int",
        Tag::Float => "!!float",
        Tag::Str => "!!str",
        Tag::Timestamp => "!!timestamp",
        Tag::Binary => "!!binary",
    }
}

/// Without an exponent, as few digits as tell the number apart.
fn plain_float(number: f64) -> String {
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars() -> Vars {
        Vars::new(BTreeMap::from([
            ("A".to_owned(), VarValue::Text("x".to_owned())),
            ("E".to_owned(), VarValue::Text(String::new())),
            ("N".to_owned(), VarValue::Int(8)),
            ("F".to_owned(), VarValue::Float(1e21)),
            ("R".to_owned(), VarValue::Text("$(A)".to_owned())),
            ("M".to_owned(), VarValue::Other),
        ]))
    }

    #[test]
    fn texts_expand() {
        for (text, expected) in [
            ("a $(A)-$(A) b", "a x-x b"),
            ("$(E)", ""),
            ("p$(E)q", "pq"),
            ("$$(A)_$(A)", "$(A)_x"),
            ("$$$(N)", "$8"),
            ("$(N)$(F)", "81e+21"),
            ("$(UNKNOWN)", "$(UNKNOWN)"),
            ("a$(UNKNOWN)b", "a$(UNKNOWN)b"),
            ("$(R)!", "$(A)!"),
            ("$(M)", "$(M)"),
            ("$(A", "$(A"),
            ("$($(", "$($("),
            ("end$", "end$"),
            ("$A ${A} $é", "$A ${A} $é"),
            ("$()", "$()"),
        ] {
            let expanded = match vars().expand(text) {
                Expanded::Text(text) | Expanded::Whole(VarValue::Text(text)) => text,
                Expanded::Whole(other) => other.embedded(),
            };
            assert_eq!(expanded, expected, "{text}");
        }
    }

    #[test]
    fn whole_references_keep_their_type() {
        let mut node = Node::string("$(N)");
        let mut vars = vars();
        assert_eq!(vars.replace(&mut node), Ok(()));
        let scalar = Scalar {
            text: "8".into(),
            tag: Tag::Int,
            ..Scalar::default()
        };
        assert_eq!(node, Node::Scalar(scalar));
        assert_eq!(vars.unused().collect::<Vec<_>>(), ["A", "E", "F", "M", "R"]);
    }

    #[test]
    fn lists_take_texts_only() {
        let number = Node::Scalar(Scalar {
            text: "1".into(),
            tag: Tag::Int,
            ..Scalar::default()
        });
        let refused = vars().replace(&mut Node::seq(vec![number]));
        assert_eq!(
            refused,
            Err("invalid value type expect a string".to_owned())
        );
    }
}
