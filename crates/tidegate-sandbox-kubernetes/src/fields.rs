//! Built-in objects against their schema: unknown fields are found and dropped, nulls go, types must fit, as decoding into
//! Go structs does it.

use serde_json::Value;
use tidegate_diff::schema::{JsonType, Schema, TypeId, TypeNode};
use tidegate_diff::typed;

use crate::write::Target;

/// How deep an object may nest.
const MAX_DEPTH: usize = 64;

/// Drops unknown fields and nulls; returns the paths of the unknown ones, or why the body cannot be decoded.
pub(crate) fn prune_builtin(target: &Target, body: &mut Value) -> Result<Vec<String>, String> {
    let version = target.resource.version(&target.version);
    let Some(ty) = version.and_then(|version| version.smd.as_ref()) else {
        return Ok(Vec::new());
    };
    let unknown: Vec<String> = typed::unknown_fields(ty, body)
        .iter()
        .map(|path| path.to_string().trim_start_matches('.').to_owned())
        .collect();
    if !unknown.is_empty() {
        typed::drop_unknown(ty, body);
    }
    let mut walk = Walk { schema: ty.schema(), path: Vec::new(), depth: 0 };
    walk.decode(ty.id(), "", body)?;
    Ok(unknown)
}

struct Walk<'a> {
    schema: &'a Schema,
    /// Field names from the root, without list positions, as Go's decoder names them.
    path: Vec<String>,
    depth: usize,
}

impl Walk<'_> {
    fn decode(&mut self, ty: TypeId, owner: &str, value: &mut Value) -> Result<(), String> {
        let node = self.schema.node(ty);
        self.check(node, owner, value)?;
        if self.depth >= MAX_DEPTH {
            return Err("the object is nested too deeply".to_owned());
        }
        self.depth += 1;
        let done = match value {
            Value::Object(map) => self.decode_map(node, owner, map),
            Value::Array(items) => self.decode_list(node, owner, items),
            _ => Ok(()),
        };
        self.depth -= 1;
        done
    }

    fn decode_map(
        &mut self,
        node: &TypeNode,
        owner: &str,
        map: &mut serde_json::Map<String, Value>,
    ) -> Result<(), String> {
        let Some(shape) = node.as_map().filter(|_| !opaque(node)) else { return Ok(()) };
        let own = struct_name(node).unwrap_or_else(|| owner.to_owned());
        // A null member of a struct is an absent one; a null entry of a map of strings is the empty string.
        map.retain(|key, value| !value.is_null() || shape.field(key).is_none());
        // What Go leaves out when it is empty: optional lists and maps. A required empty list is stored as null.
        map.retain(|key, value| {
            let Some(field) = shape.field(key) else { return true };
            let hollow = hollow(self.schema.node(field.ty), value);
            if hollow && field.required && value.is_array() {
                *value = Value::Null;
            }
            !hollow || field.required
        });
        for (key, value) in map.iter_mut() {
            let Some(ty) = shape.member(key) else { continue };
            if value.is_null() && shape.field(key).is_some() {
                continue;
            }
            if value.is_null() {
                if matches!(self.schema.node(ty).json, JsonType::String { .. }) {
                    *value = Value::String(String::new());
                }
                continue;
            }
            let declared = shape.field(key).is_some();
            if declared {
                self.path.push(key.clone());
            }
            self.decode(ty, &own, value)?;
            if declared {
                self.path.pop();
            }
        }
        Ok(())
    }

    fn decode_list(&mut self, node: &TypeNode, owner: &str, items: &mut [Value]) -> Result<(), String> {
        let Some(list) = node.as_list().filter(|_| !opaque(node)) else { return Ok(()) };
        let element = list.element;
        items.iter_mut().try_for_each(|item| match item {
            Value::Null => Ok(()),
            item => self.decode(element, owner, item),
        })
    }

    /// Whether the value has the JSON type that Go's decoder needs.
    fn check(&self, node: &TypeNode, owner: &str, value: &Value) -> Result<(), String> {
        let fits = match &node.json {
            JsonType::String { .. } => value.is_string(),
            JsonType::Integer { format } => match value.as_number() {
                Some(number) => {
                    let whole = number.as_i64().or_else(|| {
                        number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64)
                    });
                    let narrow = format.as_deref() == Some("int32");
                    match whole {
                        Some(whole) if !narrow || i32::try_from(whole).is_ok() => true,
                        _ => return Err(self.refusal(&format!("number {number}"), node, owner)),
                    }
                }
                None => false,
            },
            JsonType::Number { .. } => value.is_number(),
            JsonType::Boolean => value.is_boolean(),
            JsonType::Array => value.is_array(),
            JsonType::Object if node.as_map().is_some() => value.is_object(),
            JsonType::Quantity => return check_quantity(value),
            JsonType::IntOrString => value.is_string() || value.is_number(),
            JsonType::Object | JsonType::Raw | JsonType::Any => true,
        };
        if fits { Ok(()) } else { Err(self.refusal(kind_of(value), node, owner)) }
    }

    fn refusal(&self, have: &str, node: &TypeNode, owner: &str) -> String {
        let field = self.path.join(".");
        let wanted = go_type(self.schema, node);
        if owner.is_empty() {
            return format!("json: cannot unmarshal {have} into Go value of type {wanted}");
        }
        format!("json: cannot unmarshal {have} into Go struct field {owner}.{field} of type {wanted}")
    }
}

/// Whether the value is an empty list or an empty map (not an empty struct).
fn hollow(node: &TypeNode, value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty() && node.as_list().is_some() && !opaque(node),
        Value::Object(map) => {
            // A struct without fields has a name; a map has none.
            let plain = node.name.is_none()
                && node.as_map().is_some_and(|shape| shape.fields.is_empty());
            map.is_empty() && plain && !opaque(node)
        }
        _ => false,
    }
}

/// Whether the value is kept as it comes.
fn opaque(node: &TypeNode) -> bool {
    matches!(node.json, JsonType::Raw | JsonType::Any) && node.as_map().is_none_or(|map| map.fields.is_empty())
}

fn check_quantity(value: &Value) -> Result<(), String> {
    match value {
        Value::Number(_) => Ok(()),
        Value::String(text) if is_quantity(text) => Ok(()),
        Value::String(_) => Err(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned(),
        ),
        other => Err(format!("unable to parse quantity's suffix: {other}")),
    }
}

/// A number with a decimal exponent, or a binary or decimal suffix.
fn is_quantity(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let dots = number.len() - digits;
    let exponent = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let known = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    digits > 0
        && dots <= 1
        && (known.contains(&suffix) || suffix.strip_prefix(['e', 'E']).is_some_and(exponent))
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

/// The Go name of a struct: the last part of its component's name.
fn struct_name(node: &TypeNode) -> Option<String> {
    let name = node.name.as_deref()?;
    Some(name.rsplit('.').next().unwrap_or(name).to_owned())
}

/// A type as Go prints it.
fn go_type(schema: &Schema, node: &TypeNode) -> String {
    match &node.json {
        JsonType::String { .. } => "string".to_owned(),
        JsonType::Integer { format } => format.as_deref().unwrap_or("int64").to_owned(),
        JsonType::Number { .. } => "float64".to_owned(),
        JsonType::Boolean => "bool".to_owned(),
        JsonType::Quantity => "resource.Quantity".to_owned(),
        JsonType::IntOrString => "intstr.IntOrString".to_owned(),
        _ => {
            if let Some(name) = node.name.as_deref() {
                let mut parts = name.rsplit('.');
                let (last, package) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
                return format!("{package}.{last}");
            }
            if let Some(list) = node.as_list() {
                return format!("[]{}", go_type(schema, schema.node(list.element)));
            }
            match node.as_map().and_then(|map| map.element) {
                Some(element) => format!("map[string]{}", go_type(schema, schema.node(element))),
                None => "map[string]interface {}".to_owned(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::resource::ResourceName;
    use crate::write::Part;
    use serde_json::json;

    fn run(resource: ResourceName, mut body: Value) -> (Result<Vec<String>, String>, Value) {
        let resource = Registry::new(Vec::new()).get(&resource).unwrap();
        let version = resource.storage().name.clone();
        let target = Target { resource, version, namespace: String::new(), name: String::new(), part: Part::Main };
        let result = prune_builtin(&target, &mut body);
        (result, body)
    }

    const DEPLOYMENTS: ResourceName = ResourceName::new("apps", "deployments");
    const MAPS: ResourceName = ResourceName::new("", "configmaps");

    #[test]
    fn unknown_fields_and_nulls_go() {
        let body = json!({"spec": {"replicas": null, "replica": 1, "template": {"spec": {"containers": [{"name": "a", "imag": "b"}]}}}});
        let (result, body) = run(DEPLOYMENTS, body);
        assert_eq!(result.unwrap(), ["spec.replica", "spec.template.spec.containers[0].imag"]);
        assert_eq!(body, json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}));
        let (result, body) = run(MAPS, json!({"data": {"a": null, "b": "1"}}));
        assert_eq!(result.unwrap(), Vec::<String>::new());
        assert_eq!(body, json!({"data": {"a": "", "b": "1"}}));
    }

    #[test]
    fn wrong_types_are_refused_as_go_does() {
        let check = |name: ResourceName, body: Value, expected: &str| {
            assert_eq!(run(name, body).0.unwrap_err(), expected);
        };
        check(
            DEPLOYMENTS,
            json!({"spec": {"replicas": "three"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        check(
            MAPS,
            json!({"data": {"a": 1}}),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        );
        check(
            DEPLOYMENTS,
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        );
    }

    #[test]
    fn quantities_are_recognised() {
        for (text, good) in
            [("1", true), ("0.5Gi", true), ("1e3", true), ("-5m", true), ("1.2.3", false), ("Gi", false), ("5x", false), ("1e", false)]
        {
            assert_eq!(is_quantity(text), good, "{text}");
        }
    }
}
