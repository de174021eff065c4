//! What a service adds to its template itself: `resources`, merged over what it generates, and
//! `resources.extensions`, which changes single attributes.

use serde_json::{Map, Value};
use tidegate_yaml::Node;

use super::context::{Composer, Context, entries, items};

/// Merges the resources of the service into the template.
pub(crate) fn merge(context: &Context<'_>, template: &mut Composer) {
    let own = context.root.get("resources");
    for (section, node) in entries(own) {
        match &*section.text {
            "extensions" => {}
            "Resources" => resources(node, template),
            "Outputs" => {
                let mut outputs = Value::Object(std::mem::take(&mut template.outputs));
                merge_value(&mut outputs, node.to_json());
                if let Value::Object(outputs) = outputs {
                    template.outputs = outputs;
                }
            }
            other => merge_field(&mut template.body, other, node.to_json()),
        }
    }
    for (id, extension) in entries(own.and_then(|own| own.get("extensions"))) {
        extend(context, &id.text, extension, template);
    }
}

fn resources(node: &Node, template: &mut Composer) {
    for (id, resource) in entries(Some(node)) {
        merge_field(&mut template.resources, &id.text, resource.to_json());
        template.written(&id.text, resource);
    }
}

fn merge_field(map: &mut Map<String, Value>, key: &str, value: Value) {
    match map.get_mut(key) {
        Some(there) => merge_value(there, value),
        None => {
            map.insert(key.to_owned(), value);
        }
    }
}

/// Mappings are merged key by key and lists item by item; anything else is replaced.
fn merge_value(target: &mut Value, source: Value) {
    match (target, source) {
        (Value::Object(target), Value::Object(source)) => {
            for (key, value) in source {
                merge_field(target, &key, value);
            }
        }
        (Value::Array(target), Value::Array(source)) => {
            for (index, value) in source.into_iter().enumerate() {
                match target.get_mut(index) {
                    Some(there) => merge_value(there, value),
                    None => target.push(value),
                }
            }
        }
        (target, source) => *target = source,
    }
}

fn extend(context: &Context<'_>, id: &str, extension: &Node, template: &mut Composer) {
    for (attribute, value) in entries(Some(extension)) {
        let Some(Value::Object(resource)) = template.resources.get_mut(id) else {
            let message =
                format!("Cannot extend \"{id}\" resource, as it's not found in generated stack");
            let help = "name a logical id that the service makes: `tidegate render` shows them";
            template.error("TG1507", message, context.place(extension), help);
            return;
        };
        let name = &*attribute.text;
        match name {
            "Condition"
            | "CreationPolicy"
            | "DeletionPolicy"
            | "UpdatePolicy"
            | "UpdateReplacePolicy" => {
                resource.insert(name.to_owned(), value.to_json());
            }
            "Properties" | "Metadata" => {
                let fields = resource
                    .entry(name)
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(fields) = fields {
                    let values = entries(Some(value)).iter();
                    fields.extend(values.map(|(key, node)| (key.text.to_string(), node.to_json())));
                }
            }
            "DependsOn" => {
                let mut all = match resource.remove("DependsOn") {
                    Some(Value::Array(list)) => list,
                    Some(one @ Value::String(_)) => vec![one],
                    _ => Vec::new(),
                };
                match value.as_str() {
                    // As the framework spreads it: a text is taken letter by letter there, which
                    // nobody can mean.
                    Some(one) => all.push(Value::from(one)),
                    None => all.extend(items(Some(value)).iter().map(Node::to_json)),
                }
                resource.insert("DependsOn".to_owned(), Value::Array(all));
            }
            other => {
                let message = format!(
                    "Cannot extend \"{id}\" resource, as extending the \"{other}\" attribute at this point is not supported"
                );
                let help = "extend Properties, Metadata, DependsOn, Condition or a policy";
                template.error("TG1507", message, context.place(value), help);
            }
        }
    }
}

/// Takes away properties that are null: a null means that there is none.
pub(crate) fn strip_nulls(template: &mut Composer) {
    for (_, resource) in &mut template.resources {
        if let Some(properties) = resource.get_mut("Properties") {
            if properties.is_null()
                && let Some(resource) = resource.as_object_mut()
            {
                resource.remove("Properties");
            } else if let Some(properties) = resource.get_mut("Properties") {
                strip(properties);
            }
        }
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_merged_by_key_and_by_index() {
        let check = |mut target: Value, source: Value, expected: Value| {
            merge_value(&mut target, source);
            assert_eq!(target, expected);
        };
        check(
            json!({"a": {"b": 1}}),
            json!({"a": {"c": 2}}),
            json!({"a": {"b": 1, "c": 2}}),
        );
        check(
            json!([{"a": 1}, 2]),
            json!([{"b": 2}]),
            json!([{"a": 1, "b": 2}, 2]),
        );
        check(json!([1]), json!([2, 3]), json!([2, 3]));
        check(json!({"a": [1]}), json!({"a": null}), json!({"a": null}));
        check(
            json!({"a": "x"}),
            json!({"a": {"b": 1}}),
            json!({"a": {"b": 1}}),
        );
    }
}
