//! Reading an object for its row: values by JSON pointer with what stands for nothing, and texts that several kinds share.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tidegate_gocompat::quantity::Quantity;

use super::age;
use crate::object;

pub(super) const NONE: &str = "<none>";
pub(super) const UNSET: &str = "<unset>";
pub(super) const UNKNOWN: &str = "<unknown>";

/// One object at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) object: &'a Value,
    pub(super) now: Timestamp,
}

impl<'a> Row<'a> {
    pub(super) fn name(&self) -> Value {
        Value::from(object::name(self.object))
    }

    pub(super) fn age(&self) -> Value {
        Value::from(age::since(
            object::meta(self.object, "creationTimestamp"),
            self.now,
        ))
    }

    pub(super) fn is_deleting(&self) -> bool {
        object::is_deleting(self.object)
    }

    /// A value that is there and not null.
    pub(super) fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.object
            .pointer(pointer)
            .filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, pointer: &str) -> &'a str {
        self.at(pointer).and_then(Value::as_str).unwrap_or("")
    }

    pub(super) fn text_or(&self, pointer: &str, otherwise: &'a str) -> &'a str {
        self.at(pointer)
            .and_then(Value::as_str)
            .unwrap_or(otherwise)
    }

    pub(super) fn int(&self, pointer: &str) -> i64 {
        self.int_or(pointer, 0)
    }

    pub(super) fn int_or(&self, pointer: &str, otherwise: i64) -> i64 {
        self.at(pointer)
            .and_then(Value::as_i64)
            .unwrap_or(otherwise)
    }

    pub(super) fn flag(&self, pointer: &str, otherwise: bool) -> bool {
        self.at(pointer)
            .and_then(Value::as_bool)
            .unwrap_or(otherwise)
    }

    pub(super) fn list(&self, pointer: &str) -> &'a [Value] {
        list(self.object, pointer)
    }

    pub(super) fn map(&self, pointer: &str) -> Option<&'a Map<String, Value>> {
        self.at(pointer).and_then(Value::as_object)
    }

    /// How long ago a stamp is.
    pub(super) fn since(&self, pointer: &str) -> String {
        age::since(self.text(pointer), self.now)
    }

    /// The status of a condition under `status.conditions`.
    pub(super) fn condition(&self, kind: &str) -> Option<&'a Value> {
        self.list("/status/conditions")
            .iter()
            .find(|one| text(one, "/type") == kind)
    }

    pub(super) fn is_true(&self, kind: &str) -> bool {
        self.condition(kind)
            .is_some_and(|condition| text(condition, "/status") == "True")
    }

    pub(super) fn annotated(&self, key: &str) -> bool {
        let annotations = object::metadata(self.object).and_then(|meta| meta.get("annotations"));
        annotations
            .and_then(|map| map.get(key))
            .and_then(Value::as_str)
            == Some("true")
    }

    /// Names and images of the containers under a pod template.
    pub(super) fn containers(&self, pointer: &str) -> [Value; 2] {
        let containers = self.list(pointer);
        ["/name", "/image"]
            .map(|field| Value::from(join(containers.iter().map(|one| text(one, field)), ",")))
    }
}

pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

pub(super) fn join<'a>(parts: impl Iterator<Item = &'a str>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

pub(super) fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// A quantity in its canonical form; nothing is zero.
pub(super) fn quantity(value: Option<&Value>) -> String {
    let text = object::scalar(value);
    if text.is_empty() {
        return "0".to_owned();
    }
    Quantity::parse(&text).map_or_else(|_| text.into_owned(), |parsed| parsed.canonical())
}

/// Labels as `a=b,c=d`.
pub(super) fn labels(map: Option<&Map<String, Value>>) -> String {
    let Some(map) = map.filter(|map| !map.is_empty()) else {
        return NONE.to_owned();
    };
    let mut terms: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    terms.sort_unstable();
    terms.join(",")
}

/// A label selector as people write it; empty when it selects everything or is not there.
pub(super) fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else {
        return String::new();
    };
    let mut terms: Vec<(&str, String)> = Vec::new();
    if let Some(map) = selector.get("matchLabels").and_then(Value::as_object) {
        let equal =
            |(key, value): (&'_ String, &Value)| format!("{key}={}", value.as_str().unwrap_or(""));
        terms.extend(
            map.iter()
                .map(|(key, value)| (key.as_str(), equal((key, value)))),
        );
    }
    for one in list(selector, "/matchExpressions") {
        let key = text(one, "/key");
        let mut values: Vec<&str> = list(one, "/values")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        values.sort_unstable();
        let values = values.join(",");
        terms.push((
            key,
            match text(one, "/operator") {
                "In" => format!("{key} in ({values})"),
                "NotIn" => format!("{key} notin ({values})"),
                "Exists" => key.to_owned(),
                "DoesNotExist" => format!("!{key}"),
                _ => return "<error>".to_owned(),
            },
        ));
    }
    terms.sort_by_key(|(key, _)| *key);
    join(terms.iter().map(|(_, term)| term.as_str()), ",")
}

/// A label selector, `<none>` when it says nothing.
pub(super) fn selector_or_none(found: Option<&Value>) -> Value {
    let text = selector(found);
    Value::from(or(&text, NONE))
}

/// The first `most` of a list and how many more there are.
pub(super) fn some_of(all: &[String], most: usize, between: &str) -> String {
    let shown = all.iter().take(most).map(String::as_str);
    let shown = join(shown, between);
    match all.len().checked_sub(most) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} + {more} more..."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_read_as_kubectl_shows_them() {
        let check = |given: Value, expected: &str| {
            assert_eq!(selector(Some(&given)), expected);
        };
        check(json!({}), "");
        check(json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2");
        check(
            json!({"matchLabels": {"m": "1"}, "matchExpressions": [
                {"key": "z", "operator": "In", "values": ["y", "x"]},
                {"key": "a", "operator": "DoesNotExist"},
                {"key": "k", "operator": "NotIn", "values": ["v"]},
                {"key": "n", "operator": "Exists"},
            ]}),
            "!a,k notin (v),m=1,n,z in (x,y)",
        );
        check(
            json!({"matchExpressions": [{"key": "a", "operator": "Near"}]}),
            "<error>",
        );
        assert_eq!(selector_or_none(None), json!("<none>"));
        assert_eq!(labels(json!({}).as_object()), "<none>");
    }

    #[test]
    fn long_lists_are_cut() {
        let all: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(some_of(&all, 3, ","), "a,b,c + 1 more...");
        assert_eq!(some_of(&all, 4, ","), "a,b,c,d");
        assert_eq!(some_of(&[], 3, ","), "");
    }
}
