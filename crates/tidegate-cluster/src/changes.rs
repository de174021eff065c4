//! Field changes between two states of an object, for previews. Pure.

use serde_json::{Map, Value};
use tidegate_applier::FieldChange;

/// Fields that are nested deeper are told as one.
const MAX_DEPTH: usize = 128;
/// Members that identify an item of a list, tried in this order.
const KEYS: [&str; 8] = [
    "name",
    "type",
    "key",
    "containerPort",
    "port",
    "mountPath",
    "uid",
    "ip",
];

/// The fields that differ, sorted by path.
pub(crate) fn changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    walk(String::new(), Some(before), Some(after), 0, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(
    path: String,
    before: Option<&Value>,
    after: Option<&Value>,
    depth: usize,
    found: &mut Vec<FieldChange>,
) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) if depth < MAX_DEPTH => {
            members(&path, before, after, depth, found);
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if depth < MAX_DEPTH => {
            if let Some(key) = list_key(before, after) {
                items(&path, key, (before, after), depth, found);
            } else {
                found.push(change(
                    path,
                    Some(&Value::Array(before.clone())),
                    Some(&Value::Array(after.clone())),
                ));
            }
        }
        (before, after) => found.push(change(path, before, after)),
    }
}

fn change(path: String, before: Option<&Value>, after: Option<&Value>) -> FieldChange {
    FieldChange {
        path,
        before: before.cloned(),
        after: after.cloned(),
    }
}

fn members(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    depth: usize,
    found: &mut Vec<FieldChange>,
) {
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        let path = if plain(name) {
            format!("{path}.{name}")
        } else {
            format!("{path}[{}]", Value::from(name.as_str()))
        };
        walk(path, before.get(name), after.get(name), depth + 1, found);
    }
}

fn plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The member by which the items of both lists can be told apart.
fn list_key(before: &[Value], after: &[Value]) -> Option<&'static str> {
    KEYS.into_iter().find(|key| {
        !(before.is_empty() || after.is_empty())
            && [before, after].iter().all(|list| {
                let values: Vec<Option<&Value>> = list.iter().map(|item| item.get(key)).collect();
                let unique = |i: usize| values[i].is_some() && !values[..i].contains(&values[i]);
                (0..values.len()).all(unique)
            })
    })
}

fn items(
    path: &str,
    key: &str,
    (before, after): (&[Value], &[Value]),
    depth: usize,
    found: &mut Vec<FieldChange>,
) {
    let with = |list: &[Value], wanted: &Value| -> Option<usize> {
        list.iter().position(|item| item.get(key) == Some(wanted))
    };
    let ids = before.iter().chain(after).filter_map(|item| item.get(key));
    let mut seen: Vec<&Value> = Vec::new();
    for id in ids {
        if seen.contains(&id) {
            continue;
        }
        seen.push(id);
        let path = format!("{path}[{key}={id}]");
        let old = with(before, id).map(|i| &before[i]);
        let new = with(after, id).map(|i| &after[i]);
        walk(path, old, new, depth + 1, found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(before: &Value, after: &Value, expected: &[&str]) {
        let lines: Vec<String> = changes(before, after)
            .iter()
            .map(|c| {
                let text = |v: &Option<Value>| v.as_ref().map_or("-".to_owned(), Value::to_string);
                format!("{}: {} -> {}", c.path, text(&c.before), text(&c.after))
            })
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn fields_are_named() {
        check(&json!({"a": 1}), &json!({"a": 1}), &[]);
        check(
            &json!({"spec": {"replicas": 1, "containers": [{"name": "a", "image": "x"}, {"name": "b"}]}}),
            &json!({"spec": {"replicas": 2, "containers": [{"name": "a", "image": "y"}, {"name": "c"}]}}),
            &[
                ".spec.containers[name=\"a\"].image: \"x\" -> \"y\"",
                ".spec.containers[name=\"b\"]: {\"name\":\"b\"} -> -",
                ".spec.containers[name=\"c\"]: - -> {\"name\":\"c\"}",
                ".spec.replicas: 1 -> 2",
            ],
        );
        check(
            &json!({"metadata": {"annotations": {"a.b/c": "1"}}, "args": ["x"]}),
            &json!({"metadata": {"annotations": {}}, "args": ["y"]}),
            &[
                ".args: [\"x\"] -> [\"y\"]",
                ".metadata.annotations[\"a.b/c\"]: \"1\" -> -",
            ],
        );
    }
}
