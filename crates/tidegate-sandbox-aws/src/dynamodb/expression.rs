//! DynamoDB's expressions: condition, filter, key condition, projection and update, as values.
//!
//! `lexer` and `parser` make them of text, `condition`, `update` and `projection` apply them to an item, `key` takes a
//! key condition apart. Must not know: tables, HTTP.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::value::{Attribute, Item};

pub(super) mod condition;
pub(super) mod key;
mod lexer;
mod parser;
pub(super) mod projection;
mod reserved;
pub(super) mod update;

pub(super) use parser::{parse_condition, parse_projection, parse_update};

/// Bytes that one expression may have.
const EXPRESSION_BYTES: usize = 4_096;
/// Operators and functions of one expression.
const OPERATORS: usize = 300;
/// Levels of parentheses and operands.
const DEPTH: usize = 50;

/// Which parameter an expression came in; the name in its error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Condition,
    Filter,
    Key,
    Projection,
    Update,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Condition => "ConditionExpression",
            Self::Filter => "FilterExpression",
            Self::Key => "KeyConditionExpression",
            Self::Projection => "ProjectionExpression",
            Self::Update => "UpdateExpression",
        }
    }
}

/// One step of a document path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

/// A document path, `a.b[1]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path(pub(super) Vec<Step>);

impl Path {
    /// The attribute it starts at.
    pub(super) fn root(&self) -> &str {
        match self.0.first() {
            Some(Step::Name(name)) => name,
            _ => "",
        }
    }

    /// The value it leads to.
    pub(super) fn find<'a>(&self, item: &'a Item) -> Option<&'a Attribute> {
        let mut steps = self.0.iter();
        let Some(Step::Name(first)) = steps.next() else {
            return None;
        };
        let mut at = item.get(first)?;
        for step in steps {
            at = match (step, at) {
                (Step::Name(name), Attribute::Map(map)) => map.get(name)?,
                (Step::Index(index), Attribute::List(list)) => list.get(*index)?,
                _ => return None,
            };
        }
        Some(at)
    }

    /// `[a, b, [1]]`, as the service prints a path.
    pub(super) fn shown(&self) -> String {
        let steps: Vec<String> = self
            .0
            .iter()
            .map(|step| match step {
                Step::Name(name) => name.clone(),
                Step::Index(index) => format!("[{index}]"),
            })
            .collect();
        format!("[{}]", steps.join(", "))
    }
}

/// A value in an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Path(Path),
    Value(Attribute),
    Size(Path),
    IfNotExists(Path, Box<Operand>),
    ListAppend(Box<Operand>, Box<Operand>),
    Plus(Box<Operand>, Box<Operand>),
    Minus(Box<Operand>, Box<Operand>),
}

/// A comparison of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A condition, filter or key condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Compare(Comparator, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    Type(Path, String),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

/// One action of an update expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Set(Path, Operand),
    Remove(Path),
    Add(Path, Attribute),
    Delete(Path, Attribute),
}

impl Action {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Set(path, _)
            | Self::Remove(path)
            | Self::Add(path, _)
            | Self::Delete(path, _) => path,
        }
    }
}

/// `ExpressionAttributeNames` and `ExpressionAttributeValues` of one request, and which of them were used.
#[derive(Debug, Default)]
pub(super) struct Substitutions {
    names: Map<String, Value>,
    values: Item,
    used: RefCell<BTreeSet<String>>,
}

impl Substitutions {
    /// Reads both maps of a request.
    ///
    /// # Errors
    /// DynamoDB's own words for empty maps, wrong keys and bad values.
    pub(super) fn read(input: &Value, any_expression: bool) -> Result<Self, String> {
        let map = |field: &str| -> Result<Map<String, Value>, String> {
            match input.get(field) {
                None | Some(Value::Null) => Ok(Map::new()),
                Some(Value::Object(map)) if map.is_empty() => Err(format!(
                    "1 validation error detected: {field} must not be empty"
                )),
                Some(Value::Object(_)) if !any_expression => Err(format!(
                    "{field} can only be specified when using expressions"
                )),
                Some(Value::Object(map)) => Ok(map.clone()),
                Some(_) => Err(format!("{field} must be an object")),
            }
        };
        let names = map("ExpressionAttributeNames")?;
        for name in names.keys() {
            if !name.starts_with('#') || name.len() < 2 {
                return Err(format!(
                    "ExpressionAttributeNames contains invalid key: Syntax error; key: \"{name}\""
                ));
            }
        }
        let mut values = Item::new();
        for (name, value) in map("ExpressionAttributeValues")? {
            if !name.starts_with(':') || name.len() < 2 {
                return Err(format!(
                    "ExpressionAttributeValues contains invalid key: Syntax error; key: \"{name}\""
                ));
            }
            let value = Attribute::read(&value)
                .map_err(|words| format!("1 validation error detected: {words}"))?;
            values.insert(name, value);
        }
        Ok(Self {
            names,
            values,
            used: RefCell::default(),
        })
    }

    fn name(&self, kind: Kind, placeholder: &str) -> Result<String, String> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        match self.names.get(placeholder).and_then(Value::as_str) {
            Some(name) => Ok(name.to_owned()),
            None => Err(format!(
                "Invalid {}: An expression attribute name used in the document path is not defined; \
                 attribute name: {placeholder}",
                kind.name()
            )),
        }
    }

    fn value(&self, kind: Kind, placeholder: &str) -> Result<Attribute, String> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        self.values.get(placeholder).cloned().ok_or_else(|| {
            format!(
                "Invalid {}: An expression attribute value used in expression is not defined; \
                 attribute value: {placeholder}",
                kind.name()
            )
        })
    }

    /// Refuses names and values that no expression used.
    ///
    /// # Errors
    /// The unused ones, in DynamoDB's words.
    pub(super) fn all_used(&self) -> Result<(), String> {
        let used = self.used.borrow();
        let unused = |keys: Vec<&String>| -> Option<String> {
            let left: Vec<&str> = keys
                .into_iter()
                .map(String::as_str)
                .filter(|key| !used.contains(*key))
                .collect();
            (!left.is_empty()).then(|| left.join(", "))
        };
        if let Some(keys) = unused(self.values.keys().collect()) {
            return Err(format!(
                "Value provided in ExpressionAttributeValues unused in expressions: keys: {{{keys}}}"
            ));
        }
        match unused(self.names.keys().collect()) {
            Some(keys) => Err(format!(
                "Value provided in ExpressionAttributeNames unused in expressions: keys: {{{keys}}}"
            )),
            None => Ok(()),
        }
    }
}
