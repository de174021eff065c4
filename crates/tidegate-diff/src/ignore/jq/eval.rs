//! Runs an expression over a value, within a bound of steps.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::{Value, json};

use super::{Comparison, Expr, Function};
use crate::ignore::PathStep;
use crate::value::{compare_numbers, equal};

/// An expression may take this many steps over one object.
const MAX_STEPS: usize = 1_000_000;

/// A path, shared with its beginning.
#[derive(Debug, Clone)]
struct Trail(Option<Rc<(Trail, PathStep)>>);

/// A value, and where it stands when it was named rather than computed.
#[derive(Debug, Clone)]
struct Located<'v> {
    value: Cow<'v, Value>,
    trail: Option<Trail>,
}

type Results<'v> = Result<Vec<Located<'v>>, String>;

pub(super) fn paths(expression: &Expr, value: &Value) -> Result<Vec<Vec<PathStep>>, String> {
    let mut run = Run { steps: 0 };
    let root = Located { value: Cow::Borrowed(value), trail: Some(Trail(None)) };
    let found = run.eval(expression, &root)?;
    found.into_iter().map(|l| l.trail.map(|t| t.steps()).ok_or_else(|| "the expression names no path".into())).collect()
}

impl Trail {
    fn then(&self, step: PathStep) -> Self {
        Self(Some(Rc::new((self.clone(), step))))
    }

    fn steps(&self) -> Vec<PathStep> {
        let mut out = Vec::new();
        let mut at = self;
        while let Some(link) = &at.0 {
            out.push(link.1.clone());
            at = &link.0;
        }
        out.reverse();
        out
    }
}

impl<'v> Located<'v> {
    fn computed(value: Value) -> Self {
        Self { value: Cow::Owned(value), trail: None }
    }

    /// The member at a step; null where there is none.
    fn member(&self, step: PathStep) -> Self {
        let value = match (&self.value, &step) {
            (Cow::Borrowed(Value::Object(map)), PathStep::Key(key)) => map.get(key).map(Cow::Borrowed),
            (Cow::Borrowed(Value::Array(items)), PathStep::Index(at)) => items.get(*at).map(Cow::Borrowed),
            (Cow::Owned(Value::Object(map)), PathStep::Key(key)) => map.get(key).cloned().map(Cow::Owned),
            (Cow::Owned(Value::Array(items)), PathStep::Index(at)) => items.get(*at).cloned().map(Cow::Owned),
            _ => None,
        };
        Self { value: value.unwrap_or(Cow::Owned(Value::Null)), trail: self.trail.as_ref().map(|t| t.then(step)) }
    }
}

struct Run {
    steps: usize,
}

impl Run {
    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err("the expression takes too many steps".into()) } else { Ok(()) }
    }

    fn eval<'v>(&mut self, expression: &Expr, input: &Located<'v>) -> Results<'v> {
        self.step()?;
        match expression {
            Expr::Identity => Ok(vec![input.clone()]),
            Expr::Literal(value) => Ok(vec![Located::computed(value.clone())]),
            Expr::Recurse => {
                let mut out = Vec::new();
                self.recurse(input, &mut out)?;
                Ok(out)
            }
            Expr::Index(term, key) => self.index(term, key, input),
            Expr::Slice(term, start, end) => {
                let terms = self.eval(term, input)?;
                self.each(terms, |_, at| slice(&at, *start, *end))
            }
            Expr::Iterate(term) => {
                let terms = self.eval(term, input)?;
                self.each(terms, Self::iterate)
            }
            Expr::Pipe(left, right) => {
                let terms = self.eval(left, input)?;
                self.each(terms, |run, at| run.eval(right, &at))
            }
            Expr::Comma(left, right) => {
                let mut out = self.eval(left, input)?;
                out.extend(self.eval(right, input)?);
                Ok(out)
            }
            Expr::Alternative(left, right) => {
                let mut out = self.eval(left, input).unwrap_or_default();
                out.retain(|l| truthy(&l.value));
                if out.is_empty() { self.eval(right, input) } else { Ok(out) }
            }
            Expr::Optional(inner) => match self.eval(inner, input) {
                Err(reason) if self.steps > MAX_STEPS => Err(reason),
                result => Ok(result.unwrap_or_default()),
            },
            Expr::Compare(operator, left, right) => {
                self.both(left, right, input, |a, b| json!(holds(*operator, a, b)))
            }
            Expr::And(left, right) => self.both(left, right, input, |a, b| json!(truthy(a) && truthy(b))),
            Expr::Or(left, right) => self.both(left, right, input, |a, b| json!(truthy(a) || truthy(b))),
            Expr::Test(pattern) => match input.value.as_str() {
                Some(text) => Ok(vec![Located::computed(json!(pattern.is_match(text)))]),
                None => Err(format!("{} cannot be matched, as it is not a string", kind(&input.value))),
            },
            Expr::Call(function, arguments) => self.call(*function, arguments, input),
        }
    }

    fn each<'v>(
        &mut self,
        terms: Vec<Located<'v>>,
        mut run: impl FnMut(&mut Self, Located<'v>) -> Results<'v>,
    ) -> Results<'v> {
        let mut out = Vec::new();
        for term in terms {
            out.extend(run(self, term)?);
            self.step()?;
        }
        Ok(out)
    }

    /// All pairs of results.
    fn both<'v>(
        &mut self,
        left: &Expr,
        right: &Expr,
        input: &Located<'v>,
        combine: impl Fn(&Value, &Value) -> Value,
    ) -> Results<'v> {
        let rights = self.eval(right, input)?;
        let lefts = self.eval(left, input)?;
        let mut out = Vec::new();
        for r in &rights {
            for l in &lefts {
                self.step()?;
                out.push(Located::computed(combine(&l.value, &r.value)));
            }
        }
        Ok(out)
    }

    fn index<'v>(&mut self, term: &Expr, key: &Expr, input: &Located<'v>) -> Results<'v> {
        let terms = self.eval(term, input)?;
        let keys = self.eval(key, input)?;
        let mut out = Vec::new();
        for at in &terms {
            for key in &keys {
                self.step()?;
                out.push(index_one(at, &key.value)?);
            }
        }
        Ok(out)
    }

    fn iterate<'v>(&mut self, at: Located<'v>) -> Results<'v> {
        let steps: Vec<PathStep> = match at.value.as_ref() {
            Value::Object(map) => map.keys().cloned().map(PathStep::Key).collect(),
            Value::Array(items) => (0..items.len()).map(PathStep::Index).collect(),
            other => return Err(format!("cannot iterate over {}", kind(other))),
        };
        self.steps += steps.len();
        self.step()?;
        Ok(steps.into_iter().map(|step| at.member(step)).collect())
    }

    fn recurse<'v>(&mut self, at: &Located<'v>, out: &mut Vec<Located<'v>>) -> Result<(), String> {
        out.push(at.clone());
        if at.value.is_object() || at.value.is_array() {
            for below in self.iterate(at.clone())? {
                self.recurse(&below, out)?;
            }
        }
        Ok(())
    }

    fn call<'v>(&mut self, function: Function, arguments: &[Expr], input: &Located<'v>) -> Results<'v> {
        let first = arguments.first();
        match (function, first) {
            (Function::Empty, _) => Ok(Vec::new()),
            (Function::Select, Some(condition)) => {
                let hits = self.eval(condition, input)?.iter().filter(|l| truthy(&l.value)).count();
                Ok(vec![input.clone(); hits])
            }
            (Function::First, Some(inner)) => Ok(self.eval(inner, input)?.into_iter().take(1).collect()),
            (Function::Last, Some(inner)) => Ok(self.eval(inner, input)?.pop().into_iter().collect()),
            (Function::First, None) => Ok(vec![index_one(input, &json!(0))?]),
            (Function::Last, None) => Ok(vec![index_one(input, &json!(-1))?]),
            (Function::Any | Function::All, _) => {
                let items = self.iterate(input.clone())?;
                let found = match first {
                    Some(condition) => self.each(items, |run, at| run.eval(condition, &at))?,
                    None => items,
                };
                let mut verdicts = found.iter().map(|l| truthy(&l.value));
                let verdict = if function == Function::Any { verdicts.any(|v| v) } else { verdicts.all(|v| v) };
                Ok(vec![Located::computed(json!(verdict))])
            }
            (_, Some(argument)) => {
                let arguments = self.eval(argument, input)?;
                arguments.iter().map(|a| with_argument(function, &input.value, &a.value).map(Located::computed)).collect()
            }
            (_, None) => Ok(vec![Located::computed(alone(function, &input.value)?)]),
        }
    }
}

fn index_one<'v>(at: &Located<'v>, key: &Value) -> Result<Located<'v>, String> {
    match (at.value.as_ref(), key) {
        (Value::Object(_) | Value::Null, Value::String(name)) => Ok(at.member(PathStep::Key(name.clone()))),
        (Value::Array(items), Value::Number(n)) => Ok(at.member(PathStep::Index(position(n, items.len())))),
        (Value::Null, Value::Number(n)) => Ok(at.member(PathStep::Index(position(n, 0)))),
        (value, Value::String(name)) => Err(format!("cannot index {} with {name:?}", kind(value))),
        (value, _) => Err(format!("cannot index {}", kind(value))),
    }
}

/// A position; one before the start points behind the end, where nothing is.
fn position(n: &serde_json::Number, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let at = n.as_i64().unwrap_or(i64::MAX);
    usize::try_from(if at < 0 { at.saturating_add(length) } else { at }).unwrap_or(usize::MAX)
}

/// The items of a slice, one by one: they are what gets deleted.
fn slice<'v>(at: &Located<'v>, start: Option<i64>, end: Option<i64>) -> Results<'v> {
    let items = match at.value.as_ref() {
        Value::Array(items) => items,
        Value::Null => return Ok(Vec::new()),
        other => return Err(format!("cannot slice {}", kind(other))),
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let bound = |n: i64| usize::try_from(if n < 0 { n.saturating_add(length) } else { n }.clamp(0, length)).unwrap_or(0);
    let (start, end) = (bound(start.unwrap_or(0)), bound(end.unwrap_or(length)));
    Ok((start..end.max(start)).map(|i| at.member(PathStep::Index(i))).collect())
}

fn truthy(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn holds(operator: Comparison, a: &Value, b: &Value) -> bool {
    let order = order(a, b);
    match operator {
        Comparison::Equal => equal(a, b),
        Comparison::NotEqual => !equal(a, b),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

/// jq's order: null, false, true, numbers, strings, arrays, objects.
fn order(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Bool(false) => 1,
            Value::Bool(true) => 2,
            Value::Number(_) => 3,
            Value::String(_) => 4,
            Value::Array(_) => 5,
            Value::Object(_) => 6,
        }
    }
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => compare_numbers(x, y),
        (Value::String(x), Value::String(y)) => x.cmp(y),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => crate::value::compare(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn alone(function: Function, value: &Value) -> Result<Value, String> {
    Ok(match (function, value) {
        (Function::Not, _) => json!(!truthy(value)),
        (Function::Type, _) => json!(kind(value)),
        (Function::Length, Value::Null) => json!(0),
        (Function::Length, Value::String(s)) => json!(s.chars().count()),
        (Function::Length, Value::Array(items)) => json!(items.len()),
        (Function::Length, Value::Object(map)) => json!(map.len()),
        (Function::Length, Value::Number(n)) => json!(n.as_f64().unwrap_or_default().abs()),
        (Function::Keys, Value::Object(map)) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            json!(keys)
        }
        (Function::Keys, Value::Array(items)) => json!((0..items.len()).collect::<Vec<_>>()),
        (Function::ToString, Value::String(s)) => json!(s),
        (Function::ToString, other) => json!(other.to_string()),
        (Function::Downcase, Value::String(s)) => json!(s.to_ascii_lowercase()),
        (Function::Upcase, Value::String(s)) => json!(s.to_ascii_uppercase()),
        (_, other) => return Err(format!("{} has no such property", kind(other))),
    })
}

fn with_argument(function: Function, value: &Value, argument: &Value) -> Result<Value, String> {
    Ok(match (function, value, argument) {
        (Function::StartsWith, Value::String(s), Value::String(a)) => json!(s.starts_with(a.as_str())),
        (Function::EndsWith, Value::String(s), Value::String(a)) => json!(s.ends_with(a.as_str())),
        (Function::TrimStart, Value::String(s), Value::String(a)) => json!(s.strip_prefix(a.as_str()).unwrap_or(s)),
        (Function::TrimEnd, Value::String(s), Value::String(a)) => json!(s.strip_suffix(a.as_str()).unwrap_or(s)),
        (Function::TrimStart | Function::TrimEnd, other, _) => other.clone(),
        (Function::Has, Value::Object(map), Value::String(key)) => json!(map.contains_key(key)),
        (Function::Has, Value::Array(items), Value::Number(n)) => {
            json!(n.as_u64().is_some_and(|at| usize::try_from(at).is_ok_and(|at| at < items.len())))
        }
        (Function::Contains, _, _) => json!(contains(value, argument)?),
        (Function::Inside, _, _) => json!(contains(argument, value)?),
        (_, other, _) => return Err(format!("{} cannot be asked this", kind(other))),
    })
}

fn contains(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::String(x), Value::String(y)) => Ok(x.contains(y.as_str())),
        (Value::Object(x), Value::Object(y)) => {
            for (key, wanted) in y {
                if !matches!(x.get(key), Some(have) if contains(have, wanted)?) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Array(x), Value::Array(y)) => {
            Ok(y.iter().all(|wanted| x.iter().any(|have| contains(have, wanted).unwrap_or(false))))
        }
        _ if kind(a) == kind(b) => Ok(equal(a, b)),
        _ => Err(format!("{} and {} cannot contain each other", kind(a), kind(b))),
    }
}
