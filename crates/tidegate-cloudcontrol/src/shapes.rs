//! Which values of a resource type are numbers, flags, documents and sets, and which have defaults
//! (`data/shapes.txt`, made by `data/shapes.py`). Pure.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};
use tidegate_aws::equal_documents;

/// The extract.
const SHAPES: &str = include_str!("../data/shapes.txt");
/// Deepest value that is looked into.
const DEPTH_MAX: usize = 64;

/// The lines of the extract by type, read further when a type is asked for.
static LINES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let lines = SHAPES.lines();
    lines.filter_map(|line| line.split_once('\t')).collect()
});

/// What sort of value a property has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'s> {
    Text,
    Number,
    Flag,
    /// A document or a map: left as it is.
    Any,
    /// The object at this place.
    Object(usize),
    /// A list of this kind, in order or not.
    List {
        of: &'s str,
        is_set: bool,
    },
}

/// The shape of one resource type.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    objects: Vec<HashMap<&'static str, &'static str>>,
    defaults: Map<String, Value>,
}

/// The shape of a type that Cloud Control can make, read and delete.
pub(crate) fn shape(resource_type: &str) -> Option<Shape> {
    let line = LINES.get(resource_type)?;
    let (objects, defaults) = line.split_once('\t')?;
    let object = |text: &'static str| {
        let fields = text.split(',').filter_map(|field| field.split_once('='));
        fields.collect()
    };
    Some(Shape {
        objects: objects.split('|').map(object).collect(),
        defaults: serde_json::from_str(defaults).unwrap_or_default(),
    })
}

fn kind(text: &str) -> Kind<'_> {
    match text.split_at_checked(1) {
        None | Some(("", _)) => Kind::Text,
        Some(("i", "")) => Kind::Number,
        Some(("b", "")) => Kind::Flag,
        Some(("[", of)) => Kind::List { of, is_set: false },
        Some(("{", of)) => Kind::List { of, is_set: true },
        Some(_) => text.parse().map_or(Kind::Any, Kind::Object),
    }
}

impl Shape {
    /// Whether a top-level property is a map or a document.
    pub(crate) fn is_map(&self, name: &str) -> bool {
        self.field(0, name) == Kind::Any
    }

    fn field(&self, object: usize, name: &str) -> Kind<'static> {
        let found = self.objects.get(object).and_then(|fields| fields.get(name));
        kind(found.copied().unwrap_or_default())
    }

    /// Brings properties into the types that Cloud Control asks for; CloudFormation takes numbers and flags in quotes,
    /// and numbers where text belongs.
    pub(crate) fn coerce(&self, properties: &mut Map<String, Value>) {
        for (name, value) in properties {
            self.coerce_value(value, self.field(0, name), 0);
        }
    }

    fn coerce_value(&self, value: &mut Value, kind_of_value: Kind<'_>, depth: usize) {
        if depth > DEPTH_MAX || is_open(value) {
            return;
        }
        match (kind_of_value, &mut *value) {
            (Kind::Object(object), Value::Object(map)) => {
                for (name, value) in map {
                    self.coerce_value(value, self.field(object, name), depth + 1);
                }
            }
            (Kind::List { of, .. }, Value::Array(list)) => {
                for item in list {
                    self.coerce_value(item, kind(of), depth + 1);
                }
            }
            (Kind::Number, Value::String(text)) => {
                let number = serde_json::from_str::<serde_json::Number>(text.trim());
                if let Ok(number) = number {
                    *value = Value::Number(number);
                }
            }
            (Kind::Flag, Value::String(text)) => {
                if let Ok(flag) = text.trim().to_ascii_lowercase().parse::<bool>() {
                    *value = Value::Bool(flag);
                }
            }
            (Kind::Text, Value::Number(number)) => *value = Value::String(number.to_string()),
            (Kind::Text, Value::Bool(flag)) => *value = Value::String(flag.to_string()),
            _ => {}
        }
    }

    /// Whether what is declared of a top-level property is so in the live one; `unseen` are the dotted paths below it that are
    /// never shown.
    pub(crate) fn holds(
        &self,
        name: &str,
        declared: &Value,
        live: Option<&Value>,
        unseen: &dyn Fn(&str) -> bool,
    ) -> bool {
        match live {
            Some(live) => self.is_within(declared, live, self.field(0, name), "", unseen, 0),
            None => is_nothing(declared) || self.defaults.get(name) == Some(declared),
        }
    }

    fn is_within(
        &self,
        declared: &Value,
        live: &Value,
        kind_of_value: Kind<'_>,
        path: &str,
        unseen: &dyn Fn(&str) -> bool,
        depth: usize,
    ) -> bool {
        if depth > DEPTH_MAX {
            return declared == live;
        }
        let below = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        match (declared, live) {
            (Value::Object(wanted), Value::Object(found)) => wanted.iter().all(|(name, value)| {
                let path = below(name);
                let kind = match kind_of_value {
                    Kind::Object(object) => self.field(object, name),
                    _ => Kind::Any,
                };
                unseen(&path)
                    || match found.get(name) {
                        Some(live) => self.is_within(value, live, kind, &path, unseen, depth + 1),
                        None => is_nothing(value),
                    }
            }),
            (Value::Array(wanted), Value::Array(found)) => {
                let path = below("*");
                let (item, is_set) = match kind_of_value {
                    Kind::List { of, is_set } => (kind(of), is_set),
                    _ => (Kind::Any, false),
                };
                let same =
                    |a: &Value, b: &Value| self.is_within(a, b, item, &path, unseen, depth + 1);
                wanted.len() == found.len()
                    && if is_set {
                        is_same_set(wanted, found, same)
                    } else {
                        wanted.iter().zip(found).all(|(a, b)| same(a, b))
                    }
            }
            (declared, live) => is_same_scalar(declared, live) || equal_documents(declared, live),
        }
    }
}

/// Whether every item has one of its own on the other side; items that are equal word for word are paired first.
fn is_same_set(wanted: &[Value], found: &[Value], same: impl Fn(&Value, &Value) -> bool) -> bool {
    let mut left: Vec<&Value> = found.iter().collect();
    let mut open = Vec::new();
    for item in wanted {
        match left.iter().position(|live| *live == item) {
            Some(place) => {
                left.swap_remove(place);
            }
            None => open.push(item),
        }
    }
    open.into_iter().all(|item| {
        let place = left.iter().position(|live| same(item, live));
        place.is_some_and(|place| {
            left.swap_remove(place);
            true
        })
    })
}

/// Declaring these is like declaring nothing: services leave them out of what they show.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        Value::Number(_) => false,
    }
}

/// Whether a value is an intrinsic function that is still open.
fn is_open(value: &Value) -> bool {
    let Value::Object(map) = value else {
        return false;
    };
    map.len() == 1
        && map
            .keys()
            .all(|name| name == "Ref" || name.starts_with("Fn::"))
}

fn is_same_scalar(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0);
            Some(whole.map_or_else(|| number.to_string(), |float| format!("{float:.0}")))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    a == b || (text(a).is_some() && text(a) == text(b))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_line_is_read_and_points_inside_itself() {
        assert!(LINES.len() > 1_700);
        for name in LINES.keys() {
            let shape = shape(name).unwrap();
            for text in shape.objects.iter().flat_map(HashMap::values) {
                let inner = text.trim_start_matches(['[', '{']);
                if let Ok(place) = inner.parse::<usize>() {
                    assert!(place < shape.objects.len(), "{name}: {text}");
                } else {
                    assert!(["", "i", "b", "j"].contains(&inner), "{name}: {text}");
                }
            }
        }
        assert!(shape("AWS::WAF::Rule").is_none(), "no handlers");
    }

    #[test]
    fn quotes_are_taken_off_where_numbers_belong_and_put_on_where_text_does() {
        let mut job = json!({
            "MaxRetries": "2", "JobRunQueuingEnabled": "True", "Role": 7, "Command": {"PythonVersion": 3},
            "DefaultArguments": {"--n": 1}, "Timeout": {"Ref": "Timeout"}, "NumberOfWorkers": "many",
        });
        let map = job.as_object_mut().unwrap();
        shape("AWS::Glue::Job").unwrap().coerce(map);
        assert_eq!(
            job,
            json!({
                "MaxRetries": 2, "JobRunQueuingEnabled": true, "Role": "7", "Command": {"PythonVersion": "3"},
                "DefaultArguments": {"--n": 1}, "Timeout": {"Ref": "Timeout"}, "NumberOfWorkers": "many",
            })
        );
    }

    #[test]
    fn lists_are_compared_in_order_unless_their_order_means_nothing() {
        let check = |kind: &str, name: &str, a: Value, b: Value| {
            shape(kind).unwrap().holds(name, &a, Some(&b), &|_| false)
        };
        let machine = "AWS::StepFunctions::StateMachine";
        let logging = |names: [&str; 2]| {
            let to = names.map(|name| json!({"CloudWatchLogsLogGroup": {"LogGroupArn": name}}));
            json!({"Destinations": to})
        };
        assert!(check(
            machine,
            "LoggingConfiguration",
            logging(["a", "b"]),
            logging(["b", "a"])
        ));
        assert!(!check(
            machine,
            "LoggingConfiguration",
            logging(["a", "a"]),
            logging(["a", "b"])
        ));
        let job = "AWS::Glue::Job";
        let connections = |names: [&str; 2]| json!({"Connections": names});
        assert!(!check(
            job,
            "Connections",
            connections(["a", "b"]),
            connections(["b", "a"])
        ));
        assert!(check(job, "MaxRetries", json!(1), json!(1.0)));
        assert!(check(
            job,
            "DefaultArguments",
            json!("{\"a\": 1}"),
            json!({"a": 1})
        ));
    }

    #[test]
    fn defaults_and_empty_values_may_be_left_out_by_the_service() {
        let alarm = shape("AWS::CloudWatch::Alarm").unwrap();
        let holds = |value: Value| alarm.holds("ActionsEnabled", &value, None, &|_| false);
        assert!(holds(json!(true)));
        assert!(alarm.holds("AlarmActions", &json!([]), None, &|_| false));
        assert!(!alarm.holds("AlarmActions", &json!(["a"]), None, &|_| false));
    }

    #[test]
    fn values_deeper_than_the_limit_are_compared_whole() {
        let mut value = json!(1);
        for _ in 0..100 {
            value = json!({"DefaultArguments": value});
        }
        let job = shape("AWS::Glue::Job").unwrap();
        assert!(job.holds("DefaultArguments", &value.clone(), Some(&value), &|_| false));
    }
}
