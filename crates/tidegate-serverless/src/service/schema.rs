//! Whether a service is well formed, and values in the type that the framework takes them in: a
//! number where a text is wanted becomes one, a single value where a list is wanted a list of it.
//!
//! The forms lie in `schema.json`, one definition a line: `t` type, `p` properties, `pp` properties
//! by pattern, `ap` other properties, `r` required ones, `i` items, `e` one of (`told`: how many of them a
//! message names), `c` exactly, `any`,
//! `one`, `all`, `not`, `re` and `rei` patterns, `min` and `max` of numbers, `minl`, `mini`, `minp`
//! (and `max…`) of lengths, items and properties, `$` another definition.

mod explain;
mod pattern;

use std::sync::LazyLock;

use serde_json::{Map, Value as Json};
use tidegate_yaml::{Node, Value};

use pattern::is_match;

/// Most mistakes that are looked at.
const ERRORS_MAX: usize = 20_000;

static SCHEMA: LazyLock<Map<String, Json>> = LazyLock::new(|| {
    let parsed = serde_json::from_str(include_str!("schema.json"));
    parsed.expect("the schema is valid JSON; a test reads it")
});

/// A mistake, in the framework's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Keys and indexes of the value that it is about.
    pub(crate) at: Vec<String>,
    /// What is wrong with it.
    pub(crate) message: String,
    /// Whether it is a property that the schema does not know.
    pub(crate) is_unknown: bool,
}

/// Takes every value in its type; gives what is wrong, all at once.
pub(crate) fn check(root: &mut Node) -> Vec<Mistake> {
    let mut checker = Checker::default();
    if let Some(schema) = SCHEMA.get("service-file") {
        checker.node(root, schema);
    }
    explain::explain(checker.errors)
}

/// What a rule found, before it is known whether it matters.
#[derive(Clone, Debug)]
struct Found {
    at: Vec<String>,
    /// The way through the schema.
    rule: String,
    keyword: &'static str,
    message: String,
    /// `const`, or the type that was wanted.
    kind: Option<String>,
    /// The property that is not known.
    property: Option<String>,
}

#[derive(Debug, Default)]
struct Checker {
    at: Vec<String>,
    rule: String,
    errors: Vec<Found>,
}

fn followed(mut schema: &Json) -> &Json {
    for _ in 0..16 {
        match schema.get("$").and_then(Json::as_str) {
            Some(name) => match SCHEMA.get(name) {
                Some(found) => schema = found,
                None => return &Json::Null,
            },
            None => break,
        }
    }
    schema
}

impl Checker {
    fn wrong(&mut self, keyword: &'static str, schema: &Json, message: String) {
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        // A constant that is empty or false does not count as one.
        let is_empty =
            |constant: &Json| matches!(constant, Json::Bool(false) | Json::Null) || constant == "";
        let kind = if schema.get("c").is_some_and(|constant| !is_empty(constant)) {
            Some("const".to_owned())
        } else {
            let kind = schema.get("t").and_then(Json::as_str);
            kind.map(str::to_owned)
        };
        self.errors.push(Found {
            at: self.at.clone(),
            rule: format!("{}/{keyword}", self.rule),
            keyword,
            message,
            kind,
            property: None,
        });
    }

    fn within<T>(&mut self, rule: &str, check: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.rule.len();
        self.rule.push('/');
        self.rule
            .push_str(&rule.replace('~', "~0").replace('/', "~1"));
        let result = check(self);
        self.rule.truncate(length);
        result
    }

    /// Checks a value against a schema; whether it holds.
    fn node(&mut self, node: &mut Node, schema: &Json) -> bool {
        let schema = followed(schema);
        let before = self.errors.len();
        if let Some(wanted) = schema.get("t") {
            let wanted: Vec<&str> = match wanted {
                Json::Array(list) => list.iter().filter_map(Json::as_str).collect(),
                other => other.as_str().into_iter().collect(),
            };
            let is_kept = wanted == ["object"] && has_rules_for_maps(schema);
            if !wanted.iter().any(|kind| is_kind(node, kind)) && (is_kept || !coerce(node, &wanted))
            {
                self.wrong("type", schema, format!("must be {}", wanted.join(",")));
            }
        }
        match &node.value {
            Value::Number(_) => self.number(node, schema),
            Value::String(_) => self.text(node, schema),
            Value::Sequence(_) => self.list(node, schema),
            Value::Mapping(_) => self.map(node, schema),
            Value::Null | Value::Bool(_) => {}
        }
        self.value(node, schema);
        self.errors.len() == before
    }

    fn number(&mut self, node: &Node, schema: &Json) {
        let Value::Number(number) = &node.value else {
            return;
        };
        let value = number.as_f64().unwrap_or_default();
        if let Some(max) = schema
            .get("max")
            .filter(|max| max.as_f64().is_some_and(|max| value > max))
        {
            self.wrong("maximum", schema, format!("must be <= {max}"));
        }
        if let Some(min) = schema
            .get("min")
            .filter(|min| min.as_f64().is_some_and(|min| value < min))
        {
            self.wrong("minimum", schema, format!("must be >= {min}"));
        }
    }

    /// The bounds on a length, in characters, items or properties.
    fn length(
        &mut self,
        length: usize,
        schema: &Json,
        keys: [&str; 2],
        words: [&'static str; 2],
        what: &str,
    ) {
        let limit = |key: &str| schema.get(key).and_then(Json::as_u64);
        if let Some(max) = limit(keys[0]).filter(|max| length as u64 > *max) {
            self.wrong(
                words[0],
                schema,
                format!("must NOT have more than {max} {what}"),
            );
        }
        if let Some(min) = limit(keys[1]).filter(|min| (length as u64) < *min) {
            self.wrong(
                words[1],
                schema,
                format!("must NOT have fewer than {min} {what}"),
            );
        }
    }

    fn text(&mut self, node: &Node, schema: &Json) {
        let text = node.as_str().unwrap_or_default();
        self.length(
            text.chars().count(),
            schema,
            ["maxl", "minl"],
            ["maxLength", "minLength"],
            "characters",
        );
        if let Some(pattern) = schema.get("re").and_then(Json::as_str)
            && !is_match(pattern, text)
        {
            self.wrong(
                "pattern",
                schema,
                format!("must match pattern \"{pattern}\""),
            );
        }
    }

    fn list(&mut self, node: &mut Node, schema: &Json) {
        let Value::Sequence(items) = &mut node.value else {
            return;
        };
        self.length(
            items.len(),
            schema,
            ["maxi", "mini"],
            ["maxItems", "minItems"],
            "items",
        );
        if schema.get("uniq").and_then(Json::as_bool) == Some(true) {
            let same = (0..items.len()).rev().find_map(|later| {
                let earlier = (0..later)
                    .rev()
                    .find(|earlier| items[*earlier].value == items[later].value)?;
                Some((earlier, later))
            });
            if let Some((earlier, later)) = same {
                let message = format!(
                    "must NOT have duplicate items (items ## {earlier} and {later} are identical)"
                );
                self.wrong("uniqueItems", schema, message);
            }
        }
        let Some(rule) = schema.get("i") else { return };
        for (index, item) in items.iter_mut().enumerate() {
            self.at.push(index.to_string());
            match rule {
                Json::Array(rules) => {
                    if let Some(rule) = rules.get(index) {
                        self.within("items", |own| {
                            own.within(&index.to_string(), |own| own.node(item, rule))
                        });
                    }
                }
                rule => {
                    self.within("items", |own| own.node(item, rule));
                }
            }
            self.at.pop();
        }
    }

    fn map(&mut self, node: &mut Node, schema: &Json) {
        let Value::Mapping(entries) = &mut node.value else {
            return;
        };
        // A null counts as if nothing were there.
        let is_there = |node: &Node| node.value != Value::Null;
        let count = entries.iter().filter(|(_, node)| is_there(node)).count();
        self.length(
            count,
            schema,
            ["maxp", "minp"],
            ["maxProperties", "minProperties"],
            "properties",
        );
        for name in schema
            .get("r")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            let name = name.as_str().unwrap_or_default();
            if !entries
                .iter()
                .any(|(key, node)| &*key.text == name && is_there(node))
            {
                self.wrong(
                    "required",
                    schema,
                    format!("must have required property '{name}'"),
                );
            }
        }
        if let Some(names) = schema.get("names") {
            for (key, _) in entries.iter() {
                let mut name = super::variables::string(&key.text);
                self.within("propertyNames", |own| own.node(&mut name, names));
            }
        }
        let known = schema.get("p");
        let patterns = schema.get("pp").and_then(Json::as_object);
        for (key, node) in entries.iter_mut().filter(|(_, node)| is_there(node)) {
            let name = &*key.text;
            self.at.push(name.to_owned());
            let mut is_known = false;
            if let Some(rule) = known.and_then(|known| known.get(name)) {
                is_known = true;
                self.within("properties", |own| {
                    own.within(name, |own| own.node(node, rule))
                });
            }
            for (pattern, rule) in patterns.into_iter().flatten() {
                if is_match(pattern, name) {
                    is_known = true;
                    self.within("patternProperties", |own| {
                        own.within(pattern, |own| own.node(node, rule))
                    });
                }
            }
            match schema.get("ap") {
                Some(Json::Bool(false)) if !is_known => {
                    self.at.pop();
                    self.unknown(schema, name);
                    continue;
                }
                Some(rule @ Json::Object(_)) if !is_known => {
                    self.within("additionalProperties", |own| own.node(node, rule));
                }
                _ => {}
            }
            self.at.pop();
        }
    }

    fn unknown(&mut self, schema: &Json, name: &str) {
        let before = self.errors.len();
        self.wrong("additionalProperties", schema, String::new());
        if let Some(found) = self.errors.get_mut(before) {
            found.property = Some(name.to_owned());
        }
    }

    /// The rules that hold for values of every type.
    fn value(&mut self, node: &mut Node, schema: &Json) {
        if let Some(wanted) = schema.get("c")
            && !is_same(node, wanted)
        {
            self.wrong("const", schema, "must be equal to constant".to_owned());
        }
        if let Some(Json::Array(allowed)) = schema.get("e")
            && !allowed.iter().any(|allowed| is_same(node, allowed))
        {
            // Runtimes of the past are taken, and not proposed.
            let told = schema.get("told").and_then(Json::as_u64);
            let told = told.and_then(|told| usize::try_from(told).ok());
            let allowed = allowed.iter().take(told.unwrap_or(allowed.len()));
            let texts: Option<Vec<&str>> = allowed.map(Json::as_str).collect();
            let texts = texts.map(|texts| format!(" [{}]", texts.join(", ")));
            let message = format!(
                "must be equal to one of the allowed values{}",
                texts.unwrap_or_default()
            );
            self.wrong("enum", schema, message);
        }
        if let Some(pattern) = schema.get("rei").and_then(Json::as_str)
            && let Some(text) = node.as_str()
            && !is_match(pattern, text)
        {
            self.wrong(
                "regexp",
                schema,
                format!("value '{text}' does not satisfy pattern {pattern}"),
            );
        }
        if let Some(not) = schema.get("not") {
            let before = self.errors.len();
            let holds = self.within("not", |own| own.node(node, not));
            self.errors.truncate(before);
            if holds {
                self.wrong("not", schema, "must NOT be valid".to_owned());
            }
        }
        if let Some(Json::Array(rules)) = schema.get("any") {
            self.any(node, schema, rules);
        }
        if let Some(Json::Array(rules)) = schema.get("one") {
            self.one(node, schema, rules);
        }
        for (index, rule) in schema
            .get("all")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            self.within("allOf", |own| {
                own.within(&index.to_string(), |own| own.node(node, rule))
            });
        }
    }

    fn any(&mut self, node: &mut Node, schema: &Json, rules: &[Json]) {
        let before = self.errors.len();
        for (index, rule) in rules.iter().enumerate() {
            if self.within("anyOf", |own| {
                own.within(&index.to_string(), |own| own.node(node, rule))
            }) {
                self.errors.truncate(before);
                return;
            }
        }
        self.wrong("anyOf", schema, "must match a schema in anyOf".to_owned());
    }

    fn one(&mut self, node: &mut Node, schema: &Json, rules: &[Json]) {
        let before = self.errors.len();
        let mut count = 0;
        for (index, rule) in rules.iter().enumerate() {
            if self.within("oneOf", |own| {
                own.within(&index.to_string(), |own| own.node(node, rule))
            }) {
                count += 1;
            }
        }
        if count == 1 {
            self.errors.truncate(before);
        } else {
            self.wrong(
                "oneOf",
                schema,
                "must match exactly one schema in oneOf".to_owned(),
            );
        }
    }
}

fn is_same(node: &Node, wanted: &Json) -> bool {
    match (&node.value, wanted) {
        (Value::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Json::String(b)) => **a == **b,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::Null, Json::Null) => true,
        _ => false,
    }
}

fn is_kind(node: &Node, kind: &str) -> bool {
    match (&node.value, kind) {
        (Value::Null, "null")
        | (Value::Bool(_), "boolean")
        | (Value::Number(_), "number")
        | (Value::String(_), "string")
        | (Value::Sequence(_), "array")
        | (Value::Mapping(_), "object") => true,
        (Value::Number(number), "integer") => {
            number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        _ => false,
    }
}

/// Whether a schema asks more of a mapping than that it is one: nothing else is made a mapping then.
fn has_rules_for_maps(schema: &Json) -> bool {
    ["p", "pp", "ap", "r", "names", "maxp", "minp"]
        .iter()
        .any(|rule| schema.get(rule).is_some())
}

/// Makes a value of one of the types out of another, as far as JavaScript's validator does.
fn coerce(node: &mut Node, wanted: &[&str]) -> bool {
    let only = match &node.value {
        Value::Sequence(items) if items.len() == 1 && !wanted.contains(&"array") => {
            items[0].clone()
        }
        _ => node.clone(),
    };
    if wanted.iter().any(|kind| is_kind(&only, kind)) {
        *node = only;
        return true;
    }
    for kind in wanted {
        let found = match (*kind, &only.value) {
            ("string", Value::Number(number)) => Some(Value::String(number.to_string().into())),
            ("string", Value::Bool(flag)) => Some(Value::String(flag.to_string().into())),
            ("string", Value::Null) => Some(Value::String("".into())),
            ("number" | "integer", value) => number_of(value, *kind == "integer"),
            ("boolean", value) => boolean_of(value),
            (
                "array",
                value @ (Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null),
            ) => {
                let item = Node {
                    value: value.clone(),
                    span: node.span,
                };
                Some(Value::Sequence(vec![item]))
            }
            _ => None,
        };
        if let Some(value) = found {
            node.value = value;
            return true;
        }
    }
    false
}

fn number_of(value: &Value, is_whole: bool) -> Option<Value> {
    let number = match value {
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Null => 0.0,
        Value::String(text) if !text.trim().is_empty() => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    if let Some(whole) = super::variables::whole_number(number) {
        return Some(Value::Number(whole.into()));
    }
    let number = serde_json::Number::from_f64(number).filter(|_| !is_whole)?;
    Some(Value::Number(number))
}

fn boolean_of(value: &Value) -> Option<Value> {
    match value {
        Value::Null => Some(Value::Bool(false)),
        Value::String(text) if &**text == "true" => Some(Value::Bool(true)),
        Value::String(text) if &**text == "false" => Some(Value::Bool(false)),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(Value::Bool(true)),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(Value::Bool(false)),
        _ => None,
    }
}
