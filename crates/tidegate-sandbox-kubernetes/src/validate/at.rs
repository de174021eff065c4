//! A place in an object: its path, as refusals name it, and its value. And the collector of refusals.

use serde_json::{Value, json};

use super::formats;
use crate::status::Cause;

static NULL: Value = Value::Null;

/// A value and where it is.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> At<'a> {
    pub(super) fn new(path: &str, value: &'a Value) -> Self {
        Self {
            path: path.to_owned(),
            value,
        }
    }

    /// The path of a member, whether it is there or not.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    pub(super) fn get(&self, name: &str) -> At<'a> {
        At {
            path: self.path_of(name),
            value: self.value.get(name).unwrap_or(&NULL),
        }
    }

    pub(super) fn key(&self, key: &str) -> At<'a> {
        At {
            path: format!("{}[{key}]", self.path),
            value: self.value.get(key).unwrap_or(&NULL),
        }
    }

    /// The items of a list; nothing for anything else.
    pub(super) fn items(&self) -> Vec<At<'a>> {
        let list = self.value.as_array().map_or(&[][..], Vec::as_slice);
        let at = |(index, value)| At {
            path: format!("{}[{index}]", self.path),
            value,
        };
        list.iter().enumerate().map(at).collect()
    }

    /// The entries of a map; nothing for anything else.
    pub(super) fn entries(&self) -> Vec<(&'a str, At<'a>)> {
        let map = self.value.as_object();
        let at = |(key, value): (&'a String, &'a Value)| {
            (
                key.as_str(),
                At {
                    path: format!("{}[{key}]", self.path),
                    value,
                },
            )
        };
        map.into_iter().flatten().map(at).collect()
    }

    pub(super) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or("")
    }

    pub(super) fn number(&self) -> Option<i64> {
        self.value.as_i64()
    }

    pub(super) fn is_true(&self) -> bool {
        *self.value == Value::Bool(true)
    }

    /// Whether the field is set at all.
    pub(super) fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// Whether the field is absent, or an empty string, list or map.
    pub(super) fn is_empty(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        }
    }
}

/// Collects refusals.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) causes: Vec<Cause>,
}

impl Checks {
    pub(super) fn add(&mut self, cause: Cause) {
        self.causes.push(cause);
    }

    pub(super) fn required(&mut self, at: &At<'_>, hint: &str) {
        self.add(Cause::required(at.path.as_str(), hint));
    }

    pub(super) fn invalid(&mut self, at: &At<'_>, why: &str) {
        self.add(Cause::invalid(at.path.as_str(), at.value, why));
    }

    /// A refusal of a value that is not the field's own.
    pub(super) fn invalid_as(&mut self, path: impl Into<String>, value: &Value, why: &str) {
        self.add(Cause::invalid(path, value, why));
    }

    /// A refusal that shows a value in a form of its own.
    pub(super) fn invalid_shown(&mut self, at: &At<'_>, shown: &str, why: &str) {
        let message = format!("Invalid value: {shown}: {why}");
        self.add(Cause::new("FieldValueInvalid", at.path.as_str(), message));
    }

    /// The same for a value that is not supported.
    pub(super) fn not_supported_shown(&mut self, at: &At<'_>, shown: &str, supported: &[&str]) {
        let mut cause = Cause::not_supported(at.path.as_str(), &Value::Null, supported);
        cause.message = cause.message.replacen("null", shown, 1);
        self.add(cause);
    }

    pub(super) fn forbidden(&mut self, at: &At<'_>, why: &str) {
        self.add(Cause::forbidden(at.path.as_str(), why));
    }

    pub(super) fn duplicate(&mut self, at: &At<'_>) {
        self.add(Cause::duplicate(at.path.as_str(), at.value));
    }

    /// The value of a string field must be one of these; an absent one counts as the empty string.
    pub(super) fn one_of(&mut self, at: &At<'_>, supported: &[&str]) {
        if !supported.contains(&at.text()) {
            let value = if at.is_set() {
                at.value.clone()
            } else {
                json!("")
            };
            self.add(Cause::not_supported(at.path.as_str(), &value, supported));
        }
    }

    /// The same when the field is set.
    pub(super) fn one_of_if_set(&mut self, at: &At<'_>, supported: &[&str]) {
        if at.is_set() {
            self.one_of(at, supported);
        }
    }

    pub(super) fn present(&mut self, at: &At<'_>) -> bool {
        if at.is_empty() {
            self.required(at, "");
            return false;
        }
        true
    }

    pub(super) fn not_negative(&mut self, at: &At<'_>) {
        if at.number().is_some_and(|number| number < 0) {
            self.invalid(at, "must be greater than or equal to 0");
        }
    }

    pub(super) fn in_range(&mut self, at: &At<'_>, least: i64, most: i64) {
        if at
            .number()
            .is_none_or(|number| !(least..=most).contains(&number))
        {
            self.invalid(
                at,
                &format!("must be between {least} and {most}, inclusive"),
            );
        }
    }

    /// A text against a rule; every reason is a refusal of its own.
    pub(super) fn format(&mut self, at: &At<'_>, rule: fn(&str) -> Vec<String>) {
        for why in rule(at.text()) {
            let value = if at.is_set() {
                at.value.clone()
            } else {
                json!("")
            };
            self.invalid_as(at.path.as_str(), &value, &why);
        }
    }

    /// A name that must be there and follow a rule.
    pub(super) fn named(&mut self, at: &At<'_>, rule: fn(&str) -> Vec<String>) {
        if self.present(at) {
            self.format(at, rule);
        }
    }

    /// A map of labels.
    pub(super) fn labels(&mut self, at: &At<'_>) {
        for (key, value) in at.entries() {
            for why in formats::qualified(key) {
                self.invalid_as(at.path.as_str(), &json!(key), &why);
            }
            for why in formats::label_value(value.text()) {
                self.invalid_as(at.path.as_str(), value.value, &why);
            }
        }
    }

    /// A port number or the name of a port.
    pub(super) fn port(&mut self, at: &At<'_>) {
        match at.value {
            Value::String(_) => self.format(at, formats::port_name),
            Value::Null => {
                let why = "must be between 1 and 65535, inclusive";
                self.invalid_as(at.path.as_str(), &json!(0), why);
            }
            _ => self.in_range(at, 1, 65_535),
        }
    }

    /// A label selector.
    pub(super) fn selector(&mut self, at: &At<'_>) {
        self.labels(&at.get("matchLabels"));
        for expression in at.get("matchExpressions").items() {
            let (operator, values) = (expression.get("operator"), expression.get("values"));
            match operator.text() {
                "In" | "NotIn" => {
                    if values.is_empty() {
                        self.required(
                            &values,
                            "must be specified when `operator` is 'In' or 'NotIn'",
                        );
                    }
                }
                "Exists" | "DoesNotExist" => {
                    if !values.is_empty() {
                        let why =
                            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                        self.forbidden(&values, why);
                    }
                }
                _ => {
                    let value = json!(operator.text());
                    self.invalid_as(
                        operator.path.as_str(),
                        &value,
                        "not a valid selector operator",
                    );
                }
            }
            self.format(&expression.get("key"), formats::qualified);
            for value in values.items() {
                self.format(&value, formats::label_value);
            }
        }
    }

    /// An absolute number or a percentage of at most 100, or of any size.
    pub(super) fn number_or_percent(&mut self, at: &At<'_>, limit: Percent) {
        match at.value {
            Value::String(text) => {
                let percent = text.strip_suffix('%').filter(|digits| {
                    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
                });
                match percent {
                    None => self.invalid(at, formats::PERCENT),
                    Some(digits) => {
                        let above = digits.parse::<u64>().map_or(true, |number| number > 100);
                        if limit == Percent::UpTo100 && above {
                            self.invalid(at, "must not be greater than 100%");
                        }
                    }
                }
            }
            _ => self.not_negative(at),
        }
    }

    /// What was once set stays.
    pub(super) fn immutable(&mut self, new: &At<'_>, old: &At<'_>) {
        if new.value != old.value {
            self.invalid(new, "field is immutable");
        }
    }
}

/// How large a percentage may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Percent {
    UpTo100,
    Any,
}
