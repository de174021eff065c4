//! The smallest RFC 6902 patch from a live model to a wanted one. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tidegate_aws::TypeFacts;

use crate::identity::at;

/// The patch that brings the `changed` top-level properties of `live` to what `wanted` says; what `wanted` does not say goes.
///
/// What only the service sets inside of a property stays as it is. Declared properties that are never shown are always sent:
/// the service keeps them only so.
pub(crate) fn patch(
    facts: &TypeFacts,
    live: &Map<String, Value>,
    wanted: &Map<String, Value>,
    changed: &BTreeSet<String>,
) -> Vec<Value> {
    let mut operations = Vec::new();
    for name in changed {
        if facts.is_read_only(name) {
            continue;
        }
        let path = format!("/{}", escaped(name));
        match (wanted.get(name), live.get(name)) {
            (Some(value), Some(found)) => {
                let value = with_service_values(facts, name, value, found);
                if value != *found {
                    operations.push(json!({"op": "replace", "path": path, "value": value}));
                }
            }
            (Some(value), None) => {
                operations.push(json!({"op": "add", "path": path, "value": value}));
            }
            (None, Some(_)) => operations.push(json!({"op": "remove", "path": path})),
            (None, None) => {}
        }
    }
    if !operations.is_empty() {
        operations.extend(unseen(facts, live, wanted, changed));
    }
    operations
}

/// Declared values that are never shown and may be changed.
fn unseen(
    facts: &TypeFacts,
    live: &Map<String, Value>,
    wanted: &Map<String, Value>,
    changed: &BTreeSet<String>,
) -> Vec<Value> {
    let is_fixed = |path: &String| {
        let mut fixed = facts.create_only.iter();
        fixed.any(|fixed| path == fixed || path.starts_with(&format!("{fixed}.")))
    };
    let mut operations = Vec::new();
    for path in facts.write_only.iter().filter(|path| !is_fixed(path)) {
        let first = path.split('.').next().unwrap_or(path);
        if changed.contains(first) {
            continue;
        }
        let parent = path.rsplit_once('.').map(|(parent, _)| parent);
        let has_parent = parent.is_none_or(|parent| at(live, parent).is_some());
        if let Some(value) = at(wanted, path).filter(|_| has_parent && at(live, path).is_none()) {
            let pointer: String = path
                .split('.')
                .map(|s| format!("/{}", escaped(s)))
                .collect();
            operations.push(json!({"op": "add", "path": pointer, "value": value}));
        }
    }
    operations
}

/// A wanted value with what only the service sets inside of it.
fn with_service_values(facts: &TypeFacts, name: &str, wanted: &Value, live: &Value) -> Value {
    let mut value = wanted.clone();
    let prefix = format!("{name}.");
    for path in &facts.read_only {
        let Some(rest) = path.strip_prefix(&prefix) else {
            continue;
        };
        let pointer: String = rest.split('.').map(|step| format!("/{step}")).collect();
        let Some(found) = live.pointer(&pointer) else {
            continue;
        };
        let (parent, last) = pointer.rsplit_once('/').unwrap_or(("", &pointer));
        if let Some(Value::Object(map)) = value.pointer_mut(parent) {
            map.insert(last.to_owned(), found.clone());
        }
    }
    value
}

fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a table of literals reads better"
    )]
    fn check(facts: &TypeFacts, live: Value, wanted: Value, changed: &[&str], expected: Value) {
        let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let changed = changed.iter().map(|name| (*name).to_owned()).collect();
        let found = patch(facts, &map(&live), &map(&wanted), &changed);
        assert_eq!(Value::Array(found), expected);
    }

    #[test]
    fn only_what_changed_is_patched() {
        let facts = TypeFacts {
            read_only: vec!["Arn".to_owned(), "Sub.Id".to_owned()],
            write_only: vec!["Secret".to_owned(), "Fixed".to_owned()],
            create_only: vec!["Fixed".to_owned()],
            ..TypeFacts::default()
        };
        check(
            &facts,
            json!({"A": 1, "B": 2, "Old": 3, "Arn": "x", "Sub": {"Id": "i", "X": 1}}),
            json!({"A": 2, "B": 2, "C": 4, "Sub": {"X": 2}, "Secret": "s", "Fixed": "f"}),
            &["A", "B", "C", "Old", "Sub", "Arn"],
            json!([
                {"op": "replace", "path": "/A", "value": 2},
                {"op": "add", "path": "/C", "value": 4},
                {"op": "remove", "path": "/Old"},
                {"op": "replace", "path": "/Sub", "value": {"Id": "i", "X": 2}},
                {"op": "add", "path": "/Secret", "value": "s"},
            ]),
        );
    }

    #[test]
    fn nothing_changed_sends_nothing() {
        let facts = TypeFacts {
            write_only: vec!["Secret".to_owned()],
            ..TypeFacts::default()
        };
        check(
            &facts,
            json!({"A": 1}),
            json!({"A": 1, "Secret": 1}),
            &["A"],
            json!([]),
        );
        check(
            &facts,
            json!({}),
            json!({"a/b~": 1}),
            &["a/b~"],
            json!([{"op": "add", "path": "/a~1b~0", "value": 1}]),
        );
    }
}
