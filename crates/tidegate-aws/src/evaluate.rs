//! The intrinsic functions that are left to the target: references, and what stands around them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Deepest nesting of a value that is evaluated; templates are refused long before.
const DEPTH_MAX: usize = 128;

/// What a template asks of another resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ask {
    /// `Ref`.
    Reference(String),
    /// `Fn::GetAtt`.
    Attribute(String, String),
}

impl Ask {
    /// The logical id.
    pub(crate) fn logical_id(&self) -> &str {
        match self {
            Ask::Reference(id) | Ask::Attribute(id, _) => id,
        }
    }
}

impl std::fmt::Display for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ask::Reference(id) => write!(f, "Ref {id}"),
            Ask::Attribute(id, attribute) => write!(f, "GetAtt {id}.{attribute}"),
        }
    }
}

/// What could not be evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unresolved(pub(crate) BTreeSet<String>);

impl Unresolved {
    /// Nothing is left open.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The one key and its argument, when a value is an intrinsic function.
fn function(value: &Value) -> Option<(&str, &Value)> {
    let map = value.as_object()?;
    let (name, argument) = map.iter().next()?;
    let is_function = map.len() == 1 && (name == "Ref" || name.starts_with("Fn::"));
    is_function.then_some((name.as_str(), argument))
}

/// Whether a value holds anything that is not known.
pub(crate) fn is_open(value: &Value) -> bool {
    match value {
        Value::Object(map) => function(value).is_some() || map.values().any(is_open),
        Value::Array(list) => list.iter().any(is_open),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Everything that a value asks of other resources.
pub(crate) fn asks(value: &Value, found: &mut BTreeSet<Ask>) {
    match (function(value), value) {
        (Some(("Ref", Value::String(id))), _) => {
            found.insert(Ask::Reference(id.clone()));
        }
        (Some(("Fn::GetAtt", argument)), _) => found.extend(attribute(argument)),
        (_, Value::Object(map)) => map.values().for_each(|value| asks(value, found)),
        (_, Value::Array(list)) => list.iter().for_each(|value| asks(value, found)),
        _ => {}
    }
}

fn attribute(argument: &Value) -> Option<Ask> {
    match argument {
        Value::Array(list) => {
            let mut texts = list.iter().map(Value::as_str);
            let id = texts.next()??.to_owned();
            let rest: Option<Vec<&str>> = texts.collect();
            Some(Ask::Attribute(id, rest?.join(".")))
        }
        Value::String(text) => {
            let (id, rest) = text.split_once('.')?;
            Some(Ask::Attribute(id.to_owned(), rest.to_owned()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// Evaluates properties with the answers that are known; the rest stays as it is and is told.
pub fn evaluate(
    properties: &Map<String, Value>,
    answers: &BTreeMap<String, Value>,
) -> (Map<String, Value>, Unresolved) {
    let mut open = Unresolved::default();
    let mut evaluated = Map::new();
    for (name, value) in properties {
        evaluated.insert(name.clone(), walk(value, answers, &mut open, 0));
    }
    (evaluated, open)
}

fn walk(
    value: &Value,
    answers: &BTreeMap<String, Value>,
    open: &mut Unresolved,
    depth: usize,
) -> Value {
    if depth > DEPTH_MAX {
        open.0
            .insert("a value that is nested too deeply".to_owned());
        return value.clone();
    }
    let mut inner = |value: &Value| walk(value, answers, open, depth + 1);
    match (function(value), value) {
        (Some(("Ref", Value::String(id))), _) => {
            answer(&Ask::Reference(id.clone()), value, answers, open)
        }
        (Some(("Fn::GetAtt", argument)), _) => match attribute(argument) {
            Some(ask) => answer(&ask, value, answers, open),
            None => value.clone(),
        },
        (Some((name, argument)), _) => {
            let argument = inner(argument);
            if is_open(&argument) {
                return Value::Object(Map::from_iter([(name.to_owned(), argument)]));
            }
            match apply(name, &argument) {
                Some(found) => found,
                None => {
                    open.0.insert(format!("{name} of {argument}"));
                    Value::Object(Map::from_iter([(name.to_owned(), argument)]))
                }
            }
        }
        (None, Value::Object(map)) => {
            let fields = map.iter().map(|(k, v)| (k.clone(), inner(v)));
            Value::Object(fields.collect())
        }
        (None, Value::Array(list)) => Value::Array(list.iter().map(inner).collect()),
        (None, plain) => plain.clone(),
    }
}

fn answer(
    ask: &Ask,
    value: &Value,
    answers: &BTreeMap<String, Value>,
    open: &mut Unresolved,
) -> Value {
    let key = ask.to_string();
    match answers.get(&key) {
        Some(found) => found.clone(),
        None => {
            open.0.insert(key);
            value.clone()
        }
    }
}

/// A function of arguments that are known.
fn apply(name: &str, argument: &Value) -> Option<Value> {
    let list = argument.as_array();
    match name {
        "Fn::Join" => {
            let [separator, parts] = list?.as_slice() else {
                return None;
            };
            let parts = parts.as_array()?.iter().map(text);
            let parts: Option<Vec<String>> = parts.collect();
            Some(Value::String(parts?.join(separator.as_str()?)))
        }
        "Fn::Split" => {
            let [separator, whole] = list?.as_slice() else {
                return None;
            };
            let separator = separator.as_str().filter(|text| !text.is_empty())?;
            let parts = whole.as_str()?.split(separator);
            Some(Value::Array(parts.map(Value::from).collect()))
        }
        "Fn::Select" => {
            let [index, from] = list?.as_slice() else {
                return None;
            };
            let index = crate::handler::integer(index)?;
            from.as_array()?.get(usize::try_from(index).ok()?).cloned()
        }
        "Fn::Base64" => Some(Value::String(STANDARD.encode(argument.as_str()?))),
        "Fn::ToJsonString" => Some(Value::String(argument.to_string())),
        "Fn::Length" => Some(Value::from(list?.len())),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Where dynamic references begin and end.
const DYNAMIC: (&str, &str) = ("{{resolve:", "}}");

/// All dynamic references of a value, as `(service, rest)`.
pub(crate) fn dynamic_references(value: &Value, found: &mut BTreeSet<(String, String)>) {
    match value {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some((_, behind)) = rest.split_once(DYNAMIC.0) {
                let Some((inside, after)) = behind.split_once(DYNAMIC.1) else {
                    return;
                };
                if let Some((service, id)) = inside.split_once(':') {
                    found.insert((service.to_owned(), id.to_owned()));
                }
                rest = after;
            }
        }
        Value::Array(list) => list.iter().for_each(|v| dynamic_references(v, found)),
        Value::Object(map) => map.values().for_each(|v| dynamic_references(v, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Pointers to the properties that hold a reference to a secret, `/Properties/…`.
pub(crate) fn secret_pointers(properties: &Map<String, Value>, found: &mut Vec<String>) {
    fn walk(value: &Value, pointer: &str, found: &mut Vec<String>) {
        match value {
            Value::String(text)
                if text.contains("{{resolve:secretsmanager:")
                    || text.contains("{{resolve:ssm-secure:") =>
            {
                found.push(pointer.to_owned());
            }
            Value::Array(list) => {
                for (place, value) in list.iter().enumerate() {
                    walk(value, &format!("{pointer}/{place}"), found);
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    walk(value, &format!("{pointer}/{name}"), found);
                }
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    for (name, value) in properties {
        let name = name.replace('~', "~0").replace('/', "~1");
        walk(value, &format!("/Properties/{name}"), found);
    }
}

/// Puts looked-up values in the place of dynamic references.
pub(crate) fn replace_dynamic(value: &mut Value, known: &BTreeMap<(String, String), String>) {
    match value {
        Value::String(text) if text.contains(DYNAMIC.0) => {
            for ((service, rest), found) in known {
                let reference = format!("{}{service}:{rest}{}", DYNAMIC.0, DYNAMIC.1);
                *text = text.replace(&reference, found);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| replace_dynamic(v, known)),
        Value::Object(map) => map.values_mut().for_each(|v| replace_dynamic(v, known)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a table of literals reads better"
    )]
    fn check(value: Value, expected: Value, open: &[&str]) {
        let answers = BTreeMap::from([
            ("Ref Queue".to_owned(), json!("https://q/1")),
            ("GetAtt Role.Arn".to_owned(), json!("arn:aws:iam::1:role/r")),
        ]);
        let properties = Map::from_iter([("P".to_owned(), value)]);
        let (evaluated, unresolved) = evaluate(&properties, &answers);
        assert_eq!(evaluated["P"], expected);
        let unresolved: Vec<&str> = unresolved.0.iter().map(String::as_str).collect();
        assert_eq!(unresolved, open);
    }

    #[test]
    fn what_is_known_is_put_in_and_the_rest_is_told() {
        check(json!({"Ref": "Queue"}), json!("https://q/1"), &[]);
        check(
            json!({"Fn::GetAtt": ["Role", "Arn"]}),
            json!("arn:aws:iam::1:role/r"),
            &[],
        );
        check(
            json!({"Fn::GetAtt": "Role.Arn"}),
            json!("arn:aws:iam::1:role/r"),
            &[],
        );
        check(json!({"Ref": "New"}), json!({"Ref": "New"}), &["Ref New"]);
        check(
            json!({"Fn::Join": ["", ["a-", {"Ref": "Queue"}, 1]]}),
            json!("a-https://q/11"),
            &[],
        );
        check(
            json!({"Fn::Join": ["", ["a", {"Ref": "New"}]]}),
            json!({"Fn::Join": ["", ["a", {"Ref": "New"}]]}),
            &["Ref New"],
        );
        check(
            json!({"Fn::Select": ["1", {"Fn::Split": ["/", {"Fn::GetAtt": ["Role", "Arn"]}]}]}),
            json!("r"),
            &[],
        );
        check(json!({"Fn::Base64": "hi"}), json!("aGk="), &[]);
        check(
            json!({"Fn::Join": 3}),
            json!({"Fn::Join": 3}),
            &["Fn::Join of 3"],
        );
    }

    #[test]
    fn dynamic_references_are_found_and_replaced() {
        let mut value =
            json!({"A": ["x{{resolve:ssm:/a/b:1}}y{{resolve:secretsmanager:s:SecretString:k}}"]});
        let mut found = BTreeSet::new();
        dynamic_references(&value, &mut found);
        assert_eq!(found.len(), 2);
        let known = found.into_iter().map(|key| (key, "V".to_owned())).collect();
        replace_dynamic(&mut value, &known);
        assert_eq!(value, json!({"A": ["xVyV"]}));
    }
}
