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

/// Results go out as they are found: what was found before an error counts where the error is forgiven.
type Done = Result<(), String>;
type Results<'v> = Result<Vec<Located<'v>>, String>;

pub(super) fn paths(expression: &Expr, value: &Value) -> Result<Vec<Vec<PathStep>>, String> {
    let mut run = Run { steps: 0 };
    let root = Located {
        value: Cow::Borrowed(value),
        trail: Some(Trail(None)),
    };
    let found = run.all(expression, &root)?;
    found
        .into_iter()
        .map(|l| {
            l.trail
                .map(|t| t.steps())
                .ok_or_else(|| "the expression names no path".into())
        })
        .collect()
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
        Self {
            value: Cow::Owned(value),
            trail: None,
        }
    }

    /// The member at a step; null where there is none.
    fn member(&self, step: PathStep) -> Self {
        let value = match (&self.value, &step) {
            (Cow::Borrowed(Value::Object(map)), PathStep::Key(key)) => {
                map.get(key).map(Cow::Borrowed)
            }
            (Cow::Borrowed(Value::Array(items)), PathStep::Index(at)) => {
                items.get(*at).map(Cow::Borrowed)
            }
            (Cow::Owned(Value::Object(map)), PathStep::Key(key)) => {
                map.get(key).cloned().map(Cow::Owned)
            }
            (Cow::Owned(Value::Array(items)), PathStep::Index(at)) => {
                items.get(*at).cloned().map(Cow::Owned)
            }
            _ => None,
        };
        Self {
            value: value.unwrap_or(Cow::Owned(Value::Null)),
            trail: self.trail.as_ref().map(|t| t.then(step)),
        }
    }
}

struct Run {
    steps: usize,
}

impl Run {
    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            Err("the expression takes too many steps".into())
        } else {
            Ok(())
        }
    }

    fn all<'v>(&mut self, expression: &Expr, input: &Located<'v>) -> Results<'v> {
        let mut out = Vec::new();
        self.eval(expression, input, &mut out)?;
        Ok(out)
    }

    fn eval<'v>(
        &mut self,
        expression: &Expr,
        input: &Located<'v>,
        out: &mut Vec<Located<'v>>,
    ) -> Done {
        self.step()?;
        match expression {
            Expr::Identity => out.push(input.clone()),
            Expr::Literal(value) => out.push(Located::computed(value.clone())),
            Expr::Recurse => self.recurse(input, out)?,
            Expr::Index(term, key) => {
                let keys = self.all(key, input)?;
                self.each(term, input, out, |_, at, out| {
                    keys.iter()
                        .try_for_each(|key| index_one(at, &key.value).map(|found| out.push(found)))
                })?;
            }
            Expr::Slice(term, start, end) => {
                self.each(term, input, out, |_, at, out| {
                    slice(at, *start, *end).map(|found| out.extend(found))
                })?;
            }
            Expr::Iterate(term) => {
                self.each(term, input, out, |run, at, out| {
                    run.iterate(at).map(|found| out.extend(found))
                })?;
            }
            Expr::Pipe(left, right) => {
                self.each(left, input, out, |run, at, out| run.eval(right, at, out))?;
            }
            Expr::Comma(left, right) => {
                self.eval(left, input, out)?;
                self.eval(right, input, out)?;
            }
            Expr::Alternative(left, right) => {
                let mut found = Vec::new();
                let done = self.eval(left, input, &mut found);
                self.forgive(done)?;
                found.retain(|l| truthy(&l.value));
                if found.is_empty() {
                    self.eval(right, input, out)?;
                } else {
                    out.extend(found);
                }
            }
            Expr::Optional(inner) => {
                let done = self.eval(inner, input, out);
                self.forgive(done)?;
            }
            Expr::Compare(operator, left, right) => {
                self.both(left, right, input, out, |a, b| {
                    json!(holds(*operator, a, b))
                })?;
            }
            Expr::And(left, right) => self.connect(left, right, input, out, false)?,
            Expr::Or(left, right) => self.connect(left, right, input, out, true)?,
            Expr::Test(pattern) => match input.value.as_str() {
                Some(text) => out.push(Located::computed(json!(pattern.is_match(text)))),
                None => {
                    return Err(format!(
                        "{} cannot be matched, as it is not a string",
                        kind(&input.value)
                    ));
                }
            },
            Expr::Call(function, arguments) => self.call(*function, arguments, input, out)?,
        }
        Ok(())
    }

    /// Any error but that of the step bound.
    fn forgive(&self, done: Done) -> Done {
        if self.steps > MAX_STEPS { done } else { Ok(()) }
    }

    /// Runs `then` on every result of `term`, on those before an error too.
    fn each<'v>(
        &mut self,
        term: &Expr,
        input: &Located<'v>,
        out: &mut Vec<Located<'v>>,
        mut then: impl FnMut(&mut Self, &Located<'v>, &mut Vec<Located<'v>>) -> Done,
    ) -> Done {
        let mut terms = Vec::new();
        let done = self.eval(term, input, &mut terms);
        for at in &terms {
            self.step()?;
            then(self, at, out)?;
        }
        done
    }

    /// `and` and `or`: a left side equal to `decided` is the answer, and the right side is not looked at.
    fn connect<'v>(
        &mut self,
        left: &Expr,
        right: &Expr,
        input: &Located<'v>,
        out: &mut Vec<Located<'v>>,
        decided: bool,
    ) -> Done {
        for l in self.all(left, input)? {
            if truthy(&l.value) == decided {
                out.push(Located::computed(json!(decided)));
                continue;
            }
            let rights = self.all(right, input)?;
            out.extend(
                rights
                    .iter()
                    .map(|r| Located::computed(json!(truthy(&r.value)))),
            );
        }
        Ok(())
    }

    /// All pairs of results.
    fn both<'v>(
        &mut self,
        left: &Expr,
        right: &Expr,
        input: &Located<'v>,
        out: &mut Vec<Located<'v>>,
        combine: impl Fn(&Value, &Value) -> Value,
    ) -> Done {
        let rights = self.all(right, input)?;
        let lefts = self.all(left, input)?;
        for r in &rights {
            for l in &lefts {
                self.step()?;
                out.push(Located::computed(combine(&l.value, &r.value)));
            }
        }
        Ok(())
    }

    fn iterate<'v>(&mut self, at: &Located<'v>) -> Results<'v> {
        let steps: Vec<PathStep> = match at.value.as_ref() {
            Value::Object(map) => map.keys().cloned().map(PathStep::Key).collect(),
            Value::Array(items) => (0..items.len()).map(PathStep::Index).collect(),
            other => return Err(format!("cannot iterate over {}", kind(other))),
        };
        self.steps += steps.len();
        self.step()?;
        Ok(steps.into_iter().map(|step| at.member(step)).collect())
    }

    fn recurse<'v>(&mut self, at: &Located<'v>, out: &mut Vec<Located<'v>>) -> Done {
        out.push(at.clone());
        if at.value.is_object() || at.value.is_array() {
            for below in self.iterate(at)? {
                self.recurse(&below, out)?;
            }
        }
        Ok(())
    }

    fn call<'v>(
        &mut self,
        function: Function,
        arguments: &[Expr],
        input: &Located<'v>,
        out: &mut Vec<Located<'v>>,
    ) -> Done {
        match (function, arguments.first()) {
            (Function::Empty, _) => {}
            (Function::Select, Some(condition)) => {
                let hits = self
                    .all(condition, input)?
                    .iter()
                    .filter(|l| truthy(&l.value))
                    .count();
                out.extend(std::iter::repeat_n(input.clone(), hits));
            }
            (Function::First, Some(inner)) => {
                out.extend(self.all(inner, input)?.into_iter().take(1));
            }
            (Function::Last, Some(inner)) => out.extend(self.all(inner, input)?.pop()),
            (Function::First, None) => out.push(index_one(input, &json!(0))?),
            (Function::Last, None) => out.push(index_one(input, &json!(-1))?),
            (Function::Any | Function::All, condition) => {
                let mut verdicts = Vec::new();
                for item in self.iterate(input)? {
                    match condition {
                        Some(condition) => verdicts
                            .extend(self.all(condition, &item)?.iter().map(|l| truthy(&l.value))),
                        None => verdicts.push(truthy(&item.value)),
                    }
                }
                let mut verdicts = verdicts.into_iter();
                let verdict = if function == Function::Any {
                    verdicts.any(|v| v)
                } else {
                    verdicts.all(|v| v)
                };
                out.push(Located::computed(json!(verdict)));
            }
            (_, Some(argument)) => {
                for argument in self.all(argument, input)? {
                    out.push(Located::computed(with_argument(
                        function,
                        &input.value,
                        &argument.value,
                    )?));
                }
            }
            (_, None) => out.push(Located::computed(alone(function, &input.value)?)),
        }
        Ok(())
    }
}

fn index_one<'v>(at: &Located<'v>, key: &Value) -> Result<Located<'v>, String> {
    match (at.value.as_ref(), key) {
        (Value::Object(_) | Value::Null, Value::String(name)) => {
            Ok(at.member(PathStep::Key(name.clone())))
        }
        (Value::Array(items), Value::Number(n)) => {
            Ok(at.member(PathStep::Index(position(n, items.len()))))
        }
        (Value::Null, Value::Number(n)) => Ok(at.member(PathStep::Index(position(n, 0)))),
        (value, Value::String(name)) => Err(format!("cannot index {} with {name:?}", kind(value))),
        (value, _) => Err(format!("cannot index {}", kind(value))),
    }
}

/// A position; one before the start points behind the end, where nothing is.
fn position(n: &serde_json::Number, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let at = n.as_i64().unwrap_or(i64::MAX);
    usize::try_from(if at < 0 {
        at.saturating_add(length)
    } else {
        at
    })
    .unwrap_or(usize::MAX)
}

/// The items of a slice, one by one: they are what gets deleted.
fn slice<'v>(at: &Located<'v>, start: Option<i64>, end: Option<i64>) -> Results<'v> {
    let items = match at.value.as_ref() {
        Value::Array(items) => items,
        Value::Null => return Ok(Vec::new()),
        other => return Err(format!("cannot slice {}", kind(other))),
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let bound = |n: i64| {
        usize::try_from(if n < 0 { n.saturating_add(length) } else { n }.clamp(0, length))
            .unwrap_or(0)
    };
    let (start, end) = (bound(start.unwrap_or(0)), bound(end.unwrap_or(length)));
    Ok((start..end.max(start))
        .map(|i| at.member(PathStep::Index(i)))
        .collect())
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
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
            crate::value::compare(a, b)
        }
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
        (Function::StartsWith, Value::String(s), Value::String(a)) => {
            json!(s.starts_with(a.as_str()))
        }
        (Function::EndsWith, Value::String(s), Value::String(a)) => json!(s.ends_with(a.as_str())),
        (Function::TrimStart, Value::String(s), Value::String(a)) => {
            json!(s.strip_prefix(a.as_str()).unwrap_or(s))
        }
        (Function::TrimEnd, Value::String(s), Value::String(a)) => {
            json!(s.strip_suffix(a.as_str()).unwrap_or(s))
        }
        (Function::TrimStart | Function::TrimEnd, other, _) => other.clone(),
        (Function::Has, Value::Object(map), Value::String(key)) => json!(map.contains_key(key)),
        (Function::Has, Value::Array(items), Value::Number(n)) => {
            json!(
                n.as_u64()
                    .is_some_and(|at| usize::try_from(at).is_ok_and(|at| at < items.len()))
            )
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
        (Value::Array(x), Value::Array(y)) => Ok(y
            .iter()
            .all(|wanted| x.iter().any(|have| contains(have, wanted).unwrap_or(false)))),
        _ if kind(a) == kind(b) => Ok(equal(a, b)),
        _ => Err(format!(
            "{} and {} cannot contain each other",
            kind(a),
            kind(b)
        )),
    }
}
