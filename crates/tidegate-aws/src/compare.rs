//! How a wanted resource differs from the live one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::evaluate::is_open;
use crate::{Handler, LiveResource, Record, Resource, TAG_PREFIX, TypeFacts, tags_of};

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
    handler: &dyn Handler,
) -> Difference {
    let names: BTreeSet<&String> = wanted
        .properties
        .keys()
        .chain(live.properties.keys())
        .filter(|name| *name != "Tags" && !facts.is_read_only(name))
        .collect();
    let sides = Sides {
        wanted,
        live,
        record,
        facts,
    };
    let mut changed: BTreeSet<String> = names
        .into_iter()
        .filter(|name| {
            if handler.is_exact() {
                sides.differ_exactly(name)
            } else {
                sides.differ_as_declared(name, handler)
            }
        })
        .cloned()
        .collect();
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

/// What is wanted beside what lives.
#[derive(Clone, Copy)]
struct Sides<'s> {
    wanted: &'s Resource,
    live: &'s LiveResource,
    record: Option<&'s Record>,
    facts: &'s TypeFacts,
}

impl Sides<'_> {
    fn differ_exactly(&self, name: &str) -> bool {
        match (self.wanted.get(name), self.live.properties.get(name)) {
            (Some(left), None) if self.facts.is_write_only(name) => self.was_other(name, left),
            (left, right) => left != right,
        }
    }

    fn differ_as_declared(&self, name: &str, handler: &dyn Handler) -> bool {
        let (left, right) = (self.wanted.get(name), self.live.properties.get(name));
        let Some(left) = left else {
            let declared = self.record.iter().flat_map(|record| &record.properties);
            return right.is_some() && declared.into_iter().any(|declared| declared == name);
        };
        // A part that is no longer declared is seen by the digest alone.
        if self.was_other(name, left) {
            return true;
        }
        if right.is_none() && self.facts.is_write_only(name) {
            return false;
        }
        let known = handler.holds(&self.wanted.resource_type, name, left, right);
        let holds = known.unwrap_or_else(|| match right {
            Some(right) => is_within(left, right, &self.facts.unseen_below(name)),
            None => false,
        });
        !holds
    }

    /// Whether the digest of what was declared last is another one.
    fn was_other(&self, name: &str, value: &Value) -> bool {
        let digest = self.record.and_then(|record| record.unseen.get(name));
        digest.is_some_and(|digest| *digest != crate::preview::digest(value))
    }
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
    is_missing || !removed_tags(wanted, live, record).is_empty()
}

/// Tags that the live resource bears and that must go: they were declared and are no longer, or a former mark set them.
pub(crate) fn removed_tags(
    wanted: &Resource,
    live: &LiveResource,
    record: Option<&Record>,
) -> BTreeSet<String> {
    let declared = wanted.all_tags();
    let was_declared =
        |key: &String| record.is_some_and(|record| record.tags.iter().any(|tag| tag == key));
    let is_marked = !wanted.mark.application.is_empty();
    let tags = live.tags.iter().flat_map(BTreeMap::keys);
    tags.filter(|key| !declared.contains_key(*key))
        .filter(|key| was_declared(key) || (is_marked && key.starts_with(TAG_PREFIX)))
        .cloned()
        .collect()
}

/// The user's tags that are declared.
pub(crate) fn user_tags(properties: &Map<String, Value>) -> Vec<String> {
    tags_of(properties.get("Tags")).into_keys().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_applier::ApplierError;
    use tidegate_manifest::{Health, HealthStatus};

    use super::*;
    use crate::{Deletion, Lookup};

    /// A handler that only says whether it is exact.
    #[derive(Debug)]
    struct Plain(bool);

    #[async_trait::async_trait]
    impl Handler for Plain {
        fn types(&self) -> &'static [&'static str] {
            &[]
        }
        async fn read(&self, _: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
            Ok(None)
        }
        async fn create(&self, _: &Resource) -> Result<String, ApplierError> {
            Ok(String::new())
        }
        async fn update(
            &self,
            _: &Resource,
            _: &LiveResource,
            _: &BTreeSet<String>,
        ) -> Result<(), ApplierError> {
            Ok(())
        }
        async fn delete(&self, _: &str, _: &str) -> Result<Deletion, ApplierError> {
            Ok(Deletion::Gone)
        }
        fn is_exact(&self) -> bool {
            self.0
        }
    }

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
        let handler = Plain(exact);
        let found = properties(&wanted(want), &live(have, None), None, &facts, &handler);
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
            let found = properties(want, have, Some(&record), &facts, &Plain(false));
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
