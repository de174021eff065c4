//! How a wanted resource differs from the live one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::evaluate::is_open;
use crate::{LiveResource, Record, Resource, TypeFacts, tags_of};

/// How a wanted resource differs from the live one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The top-level properties that differ; `Tags` among them.
    pub changed: BTreeSet<String>,
    /// Those of them that no change in place can bring about.
    pub create_only: BTreeSet<String>,
}

/// Compares properties that a handler brought into the same shapes.
///
/// Exact: what the wanted side leaves out counts as default, and the live side leaves defaults out.
/// Otherwise only what is or was declared is compared, and inside of it only the fields that are declared.
pub fn properties(
    wanted: &Resource,
    live: &LiveResource,
    record: Option<&Record>,
    facts: &TypeFacts,
    is_exact: bool,
) -> Difference {
    let mut changed = BTreeSet::new();
    let was_declared = |name: &str| {
        record.is_some_and(|record| record.properties.iter().any(|declared| declared == name))
    };
    let names: BTreeSet<&String> = wanted
        .properties
        .keys()
        .chain(live.properties.keys())
        .collect();
    for name in names {
        if name == "Tags" || facts.is_read_only(name) {
            continue;
        }
        let (left, right) = (wanted.get(name), live.properties.get(name));
        let differs = match (left, right) {
            (Some(left), None) if facts.is_write_only(name) => is_unseen_change(left, name, record),
            (Some(left), Some(right)) if is_exact => left != right,
            (Some(left), Some(right)) => !is_within(left, right, &facts.unseen_below(name)),
            (Some(_), None) => true,
            (None, Some(_)) => is_exact || was_declared(name),
            (None, None) => false,
        };
        if differs {
            changed.insert(name.clone());
        }
    }
    if tags_differ(wanted, live, record) {
        changed.insert("Tags".to_owned());
    }
    let create_only = changed
        .iter()
        .filter(|name| {
            let (left, right) = (wanted.get(name), live.properties.get(*name));
            facts.forbids_change(name, left, right)
        })
        .cloned()
        .collect();
    Difference {
        changed,
        create_only,
    }
}

/// A property that the target never shows changed when its digest did.
fn is_unseen_change(value: &Value, name: &str, record: Option<&Record>) -> bool {
    let Some(record) = record else {
        return false;
    };
    record.unseen.get(name).map(String::as_str) != Some(&*crate::preview::digest(value))
}

/// Whether everything that is declared is so; lists are compared whole.
fn is_within(declared: &Value, live: &Value, unseen: &BTreeSet<String>) -> bool {
    match (declared, live) {
        (Value::Object(declared), Value::Object(live)) => declared.iter().all(|(key, value)| {
            unseen.contains(key)
                || live
                    .get(key)
                    .is_some_and(|live| is_within(value, live, &below(unseen, key)))
        }),
        (Value::Array(declared), Value::Array(live)) => {
            declared.len() == live.len()
                && (declared
                    .iter()
                    .zip(live)
                    .all(|(a, b)| is_within(a, b, &below(unseen, "*")))
                    || declared
                        .iter()
                        .all(|a| live.iter().any(|b| is_within(a, b, &below(unseen, "*")))))
        }
        (declared, live) => is_same_scalar(declared, live) || equal_documents(declared, live),
    }
}

fn below(unseen: &BTreeSet<String>, key: &str) -> BTreeSet<String> {
    let rest = unseen.iter().filter_map(|path| {
        let (first, rest) = path.split_once('.')?;
        (first == key).then(|| rest.to_owned())
    });
    rest.collect()
}

/// CloudFormation takes numbers and booleans in quotes.
fn is_same_scalar(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    a == b || (text(a).is_some() && text(a) == text(b))
}

/// Whether two values are the same JSON document, one of them perhaps as text.
pub fn equal_documents(a: &Value, b: &Value) -> bool {
    let parsed = |value: &Value| match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            serde_json::from_str(text).ok()
        }
        Value::Object(_) | Value::Array(_) => Some(value.clone()),
        _ => None,
    };
    match (parsed(a), parsed(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// Tags that are declared must be there; tags that were declared must be gone; others are not ours.
fn tags_differ(wanted: &Resource, live: &LiveResource, record: Option<&Record>) -> bool {
    let Some(tags) = &live.tags else {
        return false;
    };
    let declared: BTreeMap<String, String> = wanted.all_tags();
    let is_missing = declared.iter().any(|(key, value)| {
        let is_known = !wanted.get("Tags").is_some_and(is_open);
        is_known && tags.get(key) != Some(value)
    });
    let is_left = record.is_some_and(|record| {
        let gone = |key: &&String| tags.contains_key(*key) && !declared.contains_key(*key);
        record.tags.iter().any(|key| gone(&key))
    });
    is_missing || is_left
}

/// Tags that a resource bears and that must go: they were declared and are no longer.
pub(crate) fn user_tags(properties: &Map<String, Value>) -> Vec<String> {
    tags_of(properties.get("Tags")).into_keys().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_manifest::{Health, HealthStatus};

    use super::*;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a table of literals reads better"
    )]
    fn live(properties: Value, tags: Option<&[(&str, &str)]>) -> LiveResource {
        LiveResource {
            physical_id: "x".to_owned(),
            reference: "x".to_owned(),
            attributes: BTreeMap::new(),
            properties: properties.as_object().cloned().unwrap_or_default(),
            tags: tags.map(|tags| {
                let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
                tags.collect()
            }),
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a table of literals reads better"
    )]
    fn wanted(properties: Value) -> Resource {
        Resource {
            properties: properties.as_object().cloned().unwrap_or_default(),
            ..Resource::default()
        }
    }

    fn check(want: Value, have: Value, exact: bool, expected: &[&str]) {
        let facts = TypeFacts::default();
        let found = properties(&wanted(want), &live(have, None), None, &facts, exact);
        let changed: Vec<&str> = found.changed.iter().map(String::as_str).collect();
        assert_eq!(changed, expected);
    }

    #[test]
    fn exact_handlers_own_what_is_not_declared() {
        check(json!({"A": 1}), json!({"A": 1}), true, &[]);
        check(json!({"A": 1}), json!({"A": 2}), true, &["A"]);
        check(json!({}), json!({"B": 2}), true, &["B"]);
        check(json!({"B": {"C": 1}}), json!({}), true, &["B"]);
    }

    #[test]
    fn others_own_what_is_declared() {
        check(json!({"A": "1"}), json!({"A": 1, "B": 2}), false, &[]);
        check(
            json!({"A": {"X": 1}}),
            json!({"A": {"X": 1, "Y": 2}}),
            false,
            &[],
        );
        check(
            json!({"A": {"X": 1}}),
            json!({"A": {"X": 2}}),
            false,
            &["A"],
        );
        check(
            json!({"A": "{\"X\": 1}"}),
            json!({"A": {"X": 1}}),
            false,
            &[],
        );
        check(json!({"A": [1, 2]}), json!({"A": [2, 1]}), false, &[]);
        check(json!({"A": [1, 2]}), json!({"A": [2, 3]}), false, &["A"]);
    }

    #[test]
    fn what_was_declared_and_no_longer_is_goes_back() {
        let record = Record {
            properties: vec!["B".to_owned()],
            tags: vec!["old".to_owned()],
            ..Record::default()
        };
        let have = live(json!({"B": 1}), Some(&[("old", "x"), ("foreign", "y")]));
        let mut want = wanted(json!({}));
        let check = |want: &Resource, have: &LiveResource, expected: &[&str]| {
            let facts = TypeFacts::default();
            let found = properties(want, have, Some(&record), &facts, false);
            let changed: Vec<&str> = found.changed.iter().map(String::as_str).collect();
            assert_eq!(changed, expected);
        };
        check(&want, &have, &["B", "Tags"]);
        let mut marked = have.clone();
        marked.properties.clear();
        marked.tags = Some(want.all_tags());
        check(&want, &marked, &[]);
        want.properties
            .insert("Tags".to_owned(), json!([{"Key": "a", "Value": "b"}]));
        check(&want, &marked, &["Tags"]);
    }
}
