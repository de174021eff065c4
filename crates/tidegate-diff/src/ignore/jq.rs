//! jq path expressions, the part of jq that names fields: what stands inside `del(…)`. Computed values may only appear
//! in conditions. What is outside this part is refused when the rule is read, never guessed at.
//!
//! Supported: `.a`, `."a"`, `.["a"]`, `.[0]`, `.[-1]`, `.[1:3]`, `.[]`, `..`, `?`, `|`, `,`, `(…)`, `//`, literals,
//! `== != < <= > >=`, `and`, `or`, `not`, `select`, `recurse`, `first`, `last`, `any`, `all`, `has`, `contains`,
//! `inside`, `startswith`, `endswith`, `test`, `length`, `type`, `keys`, `tostring`, `ascii_downcase`, `ascii_upcase`,
//! `ltrimstr`, `rtrimstr`, `empty`.

mod eval;
mod parse;

use serde_json::Value;

use super::PathStep;

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct PathExpression {
    expression: Expr,
}

impl PathExpression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, or which part of jq is not supported.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self {
            expression: parse::parse(text)?,
        })
    }

    /// The paths that the expression names in `value`.
    ///
    /// # Errors
    /// When the value does not fit (iterating over null, say), the expression computes values instead of naming fields,
    /// or it takes more steps than allowed.
    pub fn paths(&self, value: &Value) -> Result<Vec<Vec<PathStep>>, String> {
        eval::paths(&self.expression, value)
    }
}

#[derive(Debug, Clone)]
enum Expr {
    Identity,
    Recurse,
    Literal(Value),
    /// A field or position of what comes in; the key is computed from the input of the whole term.
    Index(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Option<i64>, Option<i64>),
    Iterate(Box<Expr>),
    Pipe(Box<Expr>, Box<Expr>),
    Comma(Box<Expr>, Box<Expr>),
    Alternative(Box<Expr>, Box<Expr>),
    Optional(Box<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
    /// `test` with its pattern compiled.
    Test(regex::Regex),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Select,
    Not,
    First,
    Last,
    Any,
    All,
    Has,
    Contains,
    Inside,
    StartsWith,
    EndsWith,
    Length,
    Type,
    Keys,
    ToString,
    Downcase,
    Upcase,
    TrimStart,
    TrimEnd,
    Empty,
}

/// Name, function, and the numbers of arguments it takes.
const FUNCTIONS: &[(&str, Function, &[usize])] = &[
    ("select", Function::Select, &[1]),
    ("not", Function::Not, &[0]),
    ("first", Function::First, &[0, 1]),
    ("last", Function::Last, &[0, 1]),
    ("any", Function::Any, &[0, 1]),
    ("all", Function::All, &[0, 1]),
    ("has", Function::Has, &[1]),
    ("contains", Function::Contains, &[1]),
    ("inside", Function::Inside, &[1]),
    ("startswith", Function::StartsWith, &[1]),
    ("endswith", Function::EndsWith, &[1]),
    ("length", Function::Length, &[0]),
    ("type", Function::Type, &[0]),
    ("keys", Function::Keys, &[0]),
    ("tostring", Function::ToString, &[0]),
    ("ascii_downcase", Function::Downcase, &[0]),
    ("ascii_upcase", Function::Upcase, &[0]),
    ("ltrimstr", Function::TrimStart, &[1]),
    ("rtrimstr", Function::TrimEnd, &[1]),
    ("empty", Function::Empty, &[0]),
];
