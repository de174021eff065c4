//! A pattern as alternatives of trees: `$or` is multiplied out, dotted names become nested ones.
//!
//! Fields of a pattern hold together; a list of a record is entered element by element, and all fields below it must
//! hold for one element.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::matcher::{self, Matcher};

/// Most alternatives of a pattern, after `$or` is multiplied out.
pub(super) const ALTERNATIVES_MAX: usize = 1_000;

/// One way to match.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tree {
    pub(super) fields: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Tree(Tree),
    Leaf(Leaf),
}

/// Conditions on a field: of every list, one must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Leaf {
    path: Vec<String>,
    lists: Vec<Vec<Matcher>>,
}

/// Reads a pattern's text.
pub(super) fn read(text: &str) -> Result<Vec<Tree>, String> {
    if text.is_empty() {
        return Ok(vec![Tree::default()]);
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("the pattern is no JSON: {error}"))?;
    let Value::Object(fields) = value else {
        return Err("the pattern is no JSON object".to_owned());
    };
    if fields.is_empty() {
        return Ok(vec![Tree::default()]);
    }
    let mut alternatives = vec![Tree::default()];
    add_fields(&mut alternatives, &[], &fields)?;
    Ok(alternatives)
}

fn add_fields(
    alternatives: &mut Vec<Tree>,
    path: &[String],
    fields: &Map<String, Value>,
) -> Result<(), String> {
    for (name, value) in fields {
        if name == "$or"
            && let Some(branches) = branches(value)
        {
            multiply(alternatives, path, &branches)?;
            continue;
        }
        let mut path = path.to_vec();
        path.extend(name.split('.').map(str::to_owned));
        match value {
            Value::Object(inner) if inner.is_empty() => {
                return Err(format!("{} is empty", path.join(".")));
            }
            Value::Object(inner) => add_fields(alternatives, &path, inner)?,
            Value::Array(list) if list.is_empty() => {
                return Err(format!("{} is an empty list", path.join(".")));
            }
            Value::Array(list) => {
                let read: Result<Vec<Matcher>, String> = list.iter().map(matcher::read).collect();
                let matchers = read.map_err(|error| format!("{}: {error}", path.join(".")))?;
                for tree in alternatives.iter_mut() {
                    tree.add(&path, &path, matchers.clone())?;
                }
            }
            _ => {
                let name = path.join(".");
                return Err(format!("{name} is no list: write [{value}]"));
            }
        }
    }
    Ok(())
}

/// The branches of an `$or` that is one: two or more objects, none with an operator's name as a field.
fn branches(value: &Value) -> Option<Vec<&Map<String, Value>>> {
    let list = value.as_array().filter(|list| list.len() >= 2)?;
    let branches: Vec<_> = list.iter().map(Value::as_object).collect::<Option<_>>()?;
    let is_or = branches
        .iter()
        .all(|fields| !fields.is_empty() && !fields.keys().any(|name| matcher::is_operator(name)));
    is_or.then_some(branches)
}

fn multiply(
    alternatives: &mut Vec<Tree>,
    path: &[String],
    branches: &[&Map<String, Value>],
) -> Result<(), String> {
    let mut all = Vec::new();
    for fields in branches {
        let mut branch = alternatives.clone();
        add_fields(&mut branch, path, fields)?;
        all.extend(branch);
        if all.len() > ALTERNATIVES_MAX {
            return Err(format!(
                "$or makes more than {ALTERNATIVES_MAX} alternatives"
            ));
        }
    }
    *alternatives = all;
    Ok(())
}

impl Tree {
    fn add(
        &mut self,
        whole: &[String],
        rest: &[String],
        matchers: Vec<Matcher>,
    ) -> Result<(), String> {
        let Some((name, rest)) = rest.split_first() else {
            return Ok(());
        };
        let twice = || format!("{} is both a field and an object", whole.join("."));
        if rest.is_empty() {
            let fresh = || Node::Leaf(Leaf::default());
            let Node::Leaf(leaf) = self.fields.entry(name.clone()).or_insert_with(fresh) else {
                return Err(twice());
            };
            leaf.path = whole.to_vec();
            leaf.lists.push(matchers);
            return Ok(());
        }
        let fresh = || Node::Tree(Self::default());
        match self.fields.entry(name.clone()).or_insert_with(fresh) {
            Node::Tree(tree) => tree.add(whole, rest, matchers),
            Node::Leaf(_) => Err(twice()),
        }
    }

    /// Whether a record's object matches; `root` is the whole record.
    pub(super) fn matches(&self, root: &Value, object: Option<&Map<String, Value>>) -> bool {
        self.fields.iter().all(|(name, node)| {
            let field = object.and_then(|object| object.get(name));
            match node {
                Node::Leaf(leaf) => leaf.matches(root, field),
                Node::Tree(tree) => {
                    let mut objects = Vec::new();
                    field.iter().for_each(|field| collect(field, &mut objects));
                    if objects.is_empty() {
                        return tree.matches(root, None);
                    }
                    objects
                        .into_iter()
                        .any(|object| tree.matches(root, Some(object)))
                }
            }
        })
    }
}

impl Leaf {
    fn matches(&self, root: &Value, field: Option<&Value>) -> bool {
        self.lists.iter().all(|list| {
            list.iter().any(|matcher| match matcher {
                // A field is missing when it is missing in every element of every list on its way.
                Matcher::Exists(false) => !is_there(root, &self.path),
                matcher => {
                    field.is_some_and(|field| any_scalar(field, &|value| matcher.matches(value)))
                }
            })
        })
    }
}

/// An object, or those of a list.
fn collect<'a>(value: &'a Value, objects: &mut Vec<&'a Map<String, Value>>) {
    match value {
        Value::Object(object) => objects.push(object),
        Value::Array(list) => list.iter().for_each(|value| collect(value, objects)),
        _ => {}
    }
}

fn any_scalar(value: &Value, test: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(list) => list.iter().any(|value| any_scalar(value, test)),
        scalar => test(scalar),
    }
}

fn is_there(value: &Value, path: &[String]) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return any_scalar(value, &|_| true);
    };
    match value {
        Value::Object(object) => object.get(name).is_some_and(|value| is_there(value, rest)),
        Value::Array(list) => list.iter().any(|value| is_there(value, path)),
        _ => false,
    }
}
