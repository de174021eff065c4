//! JSON by the Go types: what decoding into a struct refuses, normalises and drops, and what encoding adds.
//! Unknown fields are somebody else's matter; they pass through here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tidegate_gocompat::Quantity;

use super::{Field, GoType, Omit, StructId, Table};

/// How deep an object may nest.
const MAX_DEPTH: usize = 64;

/// Checks the types of a value and brings it into the form that it has after decoding: nulls and empty optional members
/// go, quantities and times are canonical. The error is in the words of Go's decoder.
pub(crate) fn decode(id: StructId, value: &mut Value) -> Result<(), String> {
    let mut walk = Walk {
        table: Table::get(),
        path: Vec::new(),
        depth: 0,
    };
    match value {
        Value::Object(map) => walk.members(id, map),
        other => Err(format!(
            "json: cannot unmarshal {} into Go value of type {}",
            kind_of(other),
            walk.table.at(id).printed()
        )),
    }
}

/// Adds what encoding writes even when it is empty: required members, and structs that are no pointers.
pub(crate) fn fill(id: StructId, value: &mut Value) {
    if let Value::Object(map) = value {
        fill_members(Table::get(), id, map, 0);
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

struct Walk {
    table: &'static Table,
    /// Field names from the root, without list positions, as Go's decoder names them.
    path: Vec<&'static str>,
    depth: usize,
}

impl Walk {
    fn members(&mut self, id: StructId, map: &mut Map<String, Value>) -> Result<(), String> {
        if self.depth >= MAX_DEPTH {
            return Err("the object is nested too deeply".to_owned());
        }
        self.depth += 1;
        let owner = self.table.at(id).short();
        let mut drop = Vec::new();
        for (key, value) in map.iter_mut() {
            let Some(field) = self.table.field(id, key) else {
                continue;
            };
            if value.is_null() {
                drop.push(key.clone());
                continue;
            }
            let outer = self.path.len();
            self.path.extend(self.table.inlined_into(id, key));
            self.path.push(field.name);
            self.value(owner, &field.ty, value)?;
            self.path.truncate(outer);
            if left_out(self.table, field, value) {
                drop.push(key.clone());
            } else if is_nil(&field.ty, value) {
                // What is always shown loses the difference between empty and nil in storage.
                *value = Value::Null;
            }
        }
        for key in drop {
            map.remove(&key);
        }
        self.depth -= 1;
        Ok(())
    }

    fn value(&mut self, owner: &str, ty: &GoType, value: &mut Value) -> Result<(), String> {
        let fits = match ty {
            GoType::String(_) => value.is_string(),
            GoType::Bool => value.is_boolean(),
            GoType::Int32 => {
                return self.integer(owner, ty, value, i64::from(i32::MIN), i64::from(i32::MAX));
            }
            GoType::Int64 => return self.integer(owner, ty, value, i64::MIN, i64::MAX),
            GoType::Float => value.is_number(),
            GoType::Bytes => return self.bytes(owner, value),
            GoType::Time | GoType::MicroTime if value.is_string() => return time(ty, value),
            GoType::Time | GoType::MicroTime => {
                return Err(self.refusal(owner, kind_of(value), &GoType::String(None)));
            }
            GoType::Duration => value.is_string(),
            GoType::Quantity => return quantity(value),
            GoType::IntOrString if value.is_string() => true,
            GoType::IntOrString => return self.value(owner, &GoType::Int32, value),
            GoType::Wrapped => {
                let list = GoType::List(Box::new(GoType::String(None)));
                return self.value(owner, &list, value);
            }
            GoType::Raw | GoType::FieldsV1 | GoType::Json | GoType::Any => true,
            GoType::OneOrMany(id) => return self.alternative(*id, value),
            GoType::OneOrBool(id) => return self.alternative(*id, value),
            GoType::OneOrStrings(id) => return self.alternative(*id, value),
            GoType::List(element) => match value {
                Value::Array(items) => return self.items(owner, element, items),
                _ => false,
            },
            GoType::Map(element) => match value {
                Value::Object(map) => return self.entries(owner, element, map),
                _ => false,
            },
            GoType::Struct(id) => match value {
                Value::Object(map) => return self.members(*id, map),
                _ => false,
            },
        };
        if fits {
            Ok(())
        } else {
            Err(self.refusal(owner, kind_of(value), ty))
        }
    }

    fn items(&mut self, owner: &str, element: &GoType, items: &mut [Value]) -> Result<(), String> {
        for item in items {
            match item {
                Value::Null => *item = zero(self.table, element, self.depth),
                item => self.value(owner, element, item)?,
            }
        }
        Ok(())
    }

    fn entries(
        &mut self,
        owner: &str,
        element: &GoType,
        map: &mut Map<String, Value>,
    ) -> Result<(), String> {
        for value in map.values_mut() {
            match value {
                Value::Null => *value = zero(self.table, element, self.depth),
                value => self.value(owner, element, value)?,
            }
        }
        Ok(())
    }

    /// A schema, or one of the other forms, which pass.
    fn alternative(&mut self, id: StructId, value: &mut Value) -> Result<(), String> {
        match value {
            Value::Object(map) => self.members(id, map),
            Value::Array(items) => {
                let ty = GoType::Struct(id);
                let owner = self.table.at(id).short();
                items
                    .iter_mut()
                    .filter(|item| item.is_object())
                    .try_for_each(|item| self.value(owner, &ty, item))
            }
            _ => Ok(()),
        }
    }

    fn integer(
        &self,
        owner: &str,
        ty: &GoType,
        value: &Value,
        least: i64,
        most: i64,
    ) -> Result<(), String> {
        let Some(number) = value.as_number() else {
            return Err(self.refusal(owner, kind_of(value), ty));
        };
        match number.as_i64() {
            Some(whole) if (least..=most).contains(&whole) => Ok(()),
            _ => Err(self.refusal(owner, &format!("number {number}"), ty)),
        }
    }

    fn bytes(&self, owner: &str, value: &mut Value) -> Result<(), String> {
        let Some(text) = value.as_str() else {
            return Err(self.refusal(owner, kind_of(value), &GoType::Bytes));
        };
        let clean: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        match STANDARD.decode(&clean) {
            Ok(_) if clean.len() == text.len() => Ok(()),
            Ok(_) => {
                *value = Value::String(clean);
                Ok(())
            }
            Err(base64::DecodeError::InvalidByte(at, _)) => {
                Err(format!("illegal base64 data at input byte {at}"))
            }
            Err(_) => Err(format!(
                "illegal base64 data at input byte {}",
                clean.len() / 4 * 4
            )),
        }
    }

    fn refusal(&self, owner: &str, have: &str, ty: &GoType) -> String {
        let field = self.path.join(".");
        let wanted = printed(self.table, ty);
        format!(
            "json: cannot unmarshal {have} into Go struct field {owner}.{field} of type {wanted}"
        )
    }
}

/// A type as Go prints it.
fn printed(table: &Table, ty: &GoType) -> String {
    match ty {
        GoType::String(name) => name.unwrap_or("string").to_owned(),
        GoType::Bool => "bool".to_owned(),
        GoType::Int32 => "int32".to_owned(),
        GoType::Int64 => "int64".to_owned(),
        GoType::Float => "float64".to_owned(),
        GoType::Bytes => "[]uint8".to_owned(),
        GoType::Duration => "string".to_owned(),
        GoType::Map(element) if **element == GoType::Quantity => "v1.ResourceList".to_owned(),
        GoType::Map(element) => format!("map[string]{}", printed(table, element)),
        GoType::List(element) => format!("[]{}", printed(table, element)),
        GoType::Wrapped => "[]string".to_owned(),
        GoType::Struct(id) => table.at(*id).printed().to_owned(),
        GoType::Time => "v1.Time".to_owned(),
        GoType::MicroTime => "v1.MicroTime".to_owned(),
        GoType::Quantity => "resource.Quantity".to_owned(),
        GoType::IntOrString => "intstr.IntOrString".to_owned(),
        _ => "interface {}".to_owned(),
    }
}

/// Whether JSON leaves the member out.
fn left_out(table: &Table, field: &Field, value: &Value) -> bool {
    if field.omit == Omit::Never || field.pointer {
        return false;
    }
    match &field.ty {
        GoType::Struct(id) => field.omit == Omit::Zero && is_zero_struct(table, *id, value),
        GoType::Time | GoType::MicroTime => field.omit == Omit::Zero && value.is_null(),
        GoType::Quantity | GoType::IntOrString | GoType::Raw | GoType::Any | GoType::Json => false,
        ty => is_nil(ty, value) || *value == zero(table, ty, 0),
    }
}

/// Whether a value is an empty list, map or byte string.
fn is_nil(ty: &GoType, value: &Value) -> bool {
    match (ty, value) {
        (GoType::List(_) | GoType::Wrapped, Value::Array(items)) => items.is_empty(),
        (GoType::Map(_), Value::Object(map)) => map.is_empty(),
        (GoType::Bytes, Value::String(text)) => text.is_empty(),
        _ => false,
    }
}

fn is_zero_struct(table: &Table, id: StructId, value: &Value) -> bool {
    let Value::Object(map) = value else {
        return false;
    };
    map.iter().all(|(key, value)| match table.field(id, key) {
        Some(field) if field.pointer => value.is_null(),
        Some(Field {
            ty: GoType::Struct(inner),
            ..
        }) => is_zero_struct(table, *inner, value),
        Some(field) => value.is_null() || *value == zero(table, &field.ty, 0),
        None => false,
    })
}

/// The JSON of a Go zero value.
fn zero(table: &Table, ty: &GoType, depth: usize) -> Value {
    match ty {
        GoType::String(_) => json!(""),
        GoType::Bool => json!(false),
        GoType::Int32 | GoType::Int64 | GoType::Float | GoType::IntOrString => json!(0),
        GoType::Quantity => json!("0"),
        GoType::Duration => json!("0s"),
        GoType::Struct(id) => {
            let mut map = Map::new();
            fill_members(table, *id, &mut map, depth + 1);
            Value::Object(map)
        }
        _ => Value::Null,
    }
}

fn quantity(value: &mut Value) -> Result<(), String> {
    const PATTERN: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    let text = match &*value {
        Value::String(text) => text.clone(),
        // Go's decoder takes the number's literal.
        Value::Number(number) => number.to_string(),
        _ => return Err(PATTERN.to_owned()),
    };
    match Quantity::parse(text.trim()) {
        Ok(parsed) => {
            *value = Value::String(parsed.to_string());
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn time(ty: &GoType, value: &mut Value) -> Result<(), String> {
    let text = value.as_str().unwrap_or("");
    let layout = if *ty == GoType::Time {
        "2006-01-02T15:04:05Z07:00"
    } else {
        "2006-01-02T15:04:05.000000Z07:00"
    };
    if let Err((rest, element)) = follows_layout(text, *ty == GoType::MicroTime) {
        return Err(format!(
            "parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}"
        ));
    }
    let Ok(parsed) = text.parse::<jiff::Timestamp>() else {
        return Err(format!(
            "parsing time {text:?}: {} out of range",
            out_of_range(text)
        ));
    };
    *value = Value::String(print_time(ty, parsed));
    Ok(())
}

pub(crate) fn print_time(ty: &GoType, time: jiff::Timestamp) -> String {
    let form = if *ty == GoType::Time {
        "%Y-%m-%dT%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    };
    time.strftime(form).to_string()
}

/// Whether a text has the form of Go's RFC 3339 layouts; else what is left of it, and the element that it should be.
fn follows_layout(text: &str, micro: bool) -> Result<(), (&str, &'static str)> {
    const ELEMENTS: [(&str, usize); 11] = [
        ("2006", 4),
        ("-", 0),
        ("01", 2),
        ("-", 0),
        ("02", 2),
        ("T", 0),
        ("15", 2),
        (":", 0),
        ("04", 2),
        (":", 0),
        ("05", 2),
    ];
    let mut rest = text;
    for (element, digits) in ELEMENTS {
        rest = match digits {
            0 => rest.strip_prefix(element),
            count => digits_off(rest, count),
        }
        .ok_or((rest, element))?;
    }
    if micro {
        rest = rest
            .strip_prefix('.')
            .and_then(|tail| digits_off(tail, 6))
            .ok_or((rest, ".000000"))?;
    } else if let Some(tail) = rest.strip_prefix(['.', ',']) {
        let after = tail.trim_start_matches(|c: char| c.is_ascii_digit());
        if after.len() == tail.len() {
            return Err((rest, "Z07:00"));
        }
        rest = after;
    }
    let zone = rest.strip_prefix('Z').or_else(|| {
        let hours = digits_off(rest.strip_prefix(['+', '-'])?, 2)?;
        digits_off(hours.strip_prefix(':')?, 2)
    });
    match zone {
        Some("") => Ok(()),
        _ => Err((rest, "Z07:00")),
    }
}

fn digits_off(text: &str, count: usize) -> Option<&str> {
    let (head, rest) = text.split_at_checked(count)?;
    head.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(rest)
}

/// Which part of a well-formed time cannot be.
fn out_of_range(text: &str) -> &'static str {
    let part = |from: usize| {
        text.get(from..from + 2)
            .and_then(|part| part.parse::<u32>().ok())
            .unwrap_or(0)
    };
    match () {
        () if !(1..=12).contains(&part(5)) => "month",
        () if part(11) > 23 => "hour",
        () if part(14) > 59 => "minute",
        () if part(17) > 59 => "second",
        () => "day",
    }
}

fn fill_members(table: &Table, id: StructId, map: &mut Map<String, Value>, depth: usize) {
    if depth >= MAX_DEPTH {
        return;
    }
    for field in &table.at(id).fields {
        if let (GoType::Struct(inner), true) = (&field.ty, field.inline) {
            fill_members(table, *inner, map, depth + 1);
            continue;
        }
        if field.number == 0 && ["apiVersion", "kind"].contains(&field.name) {
            continue;
        }
        match map.get_mut(field.name) {
            Some(value) => fill_value(table, &field.ty, value, depth),
            None => {
                if let Some(value) = always_shown(table, field, depth) {
                    map.insert(field.name.to_owned(), value);
                }
            }
        }
    }
}

/// What JSON shows of a member that is not set.
fn always_shown(table: &Table, field: &Field, depth: usize) -> Option<Value> {
    let by_value = matches!(
        field.ty,
        GoType::Struct(_)
            | GoType::Time
            | GoType::MicroTime
            | GoType::Quantity
            | GoType::IntOrString
    );
    match field.omit {
        Omit::Zero => None,
        Omit::Empty if field.pointer || !by_value => None,
        Omit::Never if field.pointer => Some(Value::Null),
        Omit::Empty | Omit::Never => Some(zero(table, &field.ty, depth)),
    }
}

fn fill_value(table: &Table, ty: &GoType, value: &mut Value, depth: usize) {
    match (ty, value) {
        (GoType::Struct(id), Value::Object(map)) => fill_members(table, *id, map, depth + 1),
        (GoType::List(element), Value::Array(items)) => {
            items
                .iter_mut()
                .for_each(|item| fill_value(table, element, item, depth));
        }
        (GoType::Map(element), Value::Object(map)) => {
            map.values_mut()
                .for_each(|value| fill_value(table, element, value, depth));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(group: &str, version: &str, kind: &str) -> StructId {
        Table::get().kind(group, version, kind).unwrap()
    }

    #[test]
    fn decoding_drops_what_go_leaves_out() {
        let check = |kind: StructId, mut value: Value, expected: Value| {
            decode(kind, &mut value).unwrap();
            assert_eq!(value, expected);
        };
        let service = id("", "v1", "Service");
        check(
            service,
            json!({"metadata": {"labels": {}, "annotations": null}, "spec": {"type": "", "ports": [{"port": 0, "name": ""}]}}),
            json!({"metadata": {}, "spec": {"ports": [{"port": 0}]}}),
        );
        check(
            id("", "v1", "ConfigMap"),
            json!({"data": {"a": null}}),
            json!({"data": {"a": ""}}),
        );
        let pod = id("", "v1", "Pod");
        check(
            pod,
            json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "0.5", "memory": 1024}}}]}}),
            json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "1024"}}}]}}),
        );
        check(
            pod,
            json!({"metadata": {"creationTimestamp": "2026-01-01T02:00:00.5+02:00"}, "spec": {"replicas": 1, "volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"replicas": 1, "volumes": [{"name": "v", "emptyDir": {}}]}}),
        );
    }

    #[test]
    fn wrong_types_are_refused_as_go_does() {
        let check = |kind: StructId, mut value: Value, expected: &str| {
            assert_eq!(decode(kind, &mut value).unwrap_err(), expected);
        };
        let deployment = id("apps", "v1", "Deployment");
        check(
            deployment,
            json!({"spec": {"replicas": "three"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        check(
            deployment,
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        );
        check(
            deployment,
            json!({"spec": {"template": {"spec": {"restartPolicy": 5}}}}),
            "json: cannot unmarshal number into Go struct field PodSpec.spec.template.spec.restartPolicy of type v1.RestartPolicy",
        );
        check(
            id("", "v1", "ConfigMap"),
            json!({"data": {"a": 1}}),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        );
        check(
            id("", "v1", "Secret"),
            json!({"data": {"a": "?"}}),
            "illegal base64 data at input byte 0",
        );
    }

    #[test]
    fn encoding_shows_structs_and_required_members() {
        let mut value = json!({"metadata": {"name": "a"}, "spec": {}});
        fill(id("", "v1", "Service"), &mut value);
        assert_eq!(
            value,
            json!({"metadata": {"name": "a"}, "spec": {}, "status": {"loadBalancer": {}}})
        );
        let mut value = json!({"metadata": {"name": "a"}});
        fill(id("rbac.authorization.k8s.io", "v1", "Role"), &mut value);
        assert_eq!(value, json!({"metadata": {"name": "a"}, "rules": null}));
    }
}
