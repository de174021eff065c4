//! The scale subresource: an `autoscaling/v1` Scale made from an object, and written back to its replicas.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::Core;
use crate::managed::Writer;
use crate::object;
use crate::patch;
use crate::resource::ScalePaths;
use crate::status::{Cause, Status};
use crate::write::{self, Outcome, Part, PatchKind, Target, Tracking, WriteOptions};

fn paths(target: &Target) -> Result<ScalePaths, Status> {
    target
        .resource
        .version(&target.version)
        .and_then(|version| version.scale.clone())
        .ok_or_else(Status::unknown_resource)
}

fn steps(path: &str) -> Vec<&str> {
    path.split('.').filter(|step| !step.is_empty()).collect()
}

/// The Scale of an object.
pub(crate) fn of(target: &Target, object: &Value) -> Result<Value, Status> {
    let paths = paths(target)?;
    let number = |path: &str| object::at(object, &steps(path)).and_then(Value::as_i64);
    let mut metadata = json!({"name": object::name(object), "namespace": object::namespace(object)});
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object::metadata(object).and_then(|meta| meta.get(field)) {
            metadata[field] = value.clone();
        }
    }
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": {"replicas": number(&paths.status).unwrap_or(0)},
    });
    if let Some(replicas) = number(&paths.spec) {
        scale["spec"]["replicas"] = json!(replicas);
    }
    let selector = match &paths.selector {
        Some(path) => object::text(object, &steps(path)).to_owned(),
        None => selector_text(object.pointer("/spec/selector")),
    };
    if !selector.is_empty() {
        scale["status"]["selector"] = json!(selector);
    }
    Ok(scale)
}

/// A label selector in its text form, as the real server prints it.
fn selector_text(selector: Option<&Value>) -> String {
    let Some(selector) = selector.and_then(Value::as_object) else { return String::new() };
    let labels = match selector.get("matchLabels") {
        Some(labels) => labels.as_object().cloned().unwrap_or_default(),
        None if selector.contains_key("matchExpressions") => serde_json::Map::new(),
        None => selector.clone(),
    };
    let mut terms: Vec<String> = labels
        .iter()
        .filter_map(|(key, value)| value.as_str().map(|value| format!("{key}={value}")))
        .collect();
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let key = object::text(expression, &["key"]);
        let values: Vec<&str> = expression
            .get("values")
            .and_then(Value::as_array)
            .map(|values| values.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        terms.push(match object::text(expression, &["operator"]) {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    terms.sort();
    terms.join(",")
}

/// `PUT …/scale`.
pub(crate) fn update(
    core: &Core,
    target: &Target,
    body: Value,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    change(core, target, options, &mut |_| Ok(body.clone()))
}

/// `PATCH …/scale`.
pub(crate) fn patch(
    core: &Core,
    target: &Target,
    patch: &PatchKind,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    change(core, target, options, &mut |scale| patch::apply(target, scale, patch))
}

/// Server-side apply on `/scale`: the applier becomes an owner of the replicas.
pub(crate) fn apply(
    core: &Core,
    target: &Target,
    config: &Value,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    change(core, target, options, &mut |scale| {
        patch::apply(target, scale, &PatchKind::Merge(config.clone()))
    })
}

fn change(
    core: &Core,
    target: &Target,
    options: &WriteOptions,
    edit: &mut dyn FnMut(&Value) -> Result<Value, Status>,
) -> Result<Outcome, Status> {
    let paths = paths(target)?;
    let main = Target { part: Part::Main, ..target.clone() };
    let writer = Writer::through(&main, Part::Scale.name(), options, core.now());
    let done = write::modify(core, &main, options, &mut |live| {
        let scale = edit(&of(target, live)?)?;
        let mut next = live.clone();
        let asked = object::meta(&scale, "resourceVersion");
        if !asked.is_empty() && asked != object::meta(live, "resourceVersion") {
            return Err(Status::modified(&target.resource.name, &target.name));
        }
        let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
        if replicas < 0 {
            let why = "must be greater than or equal to 0";
            let cause = Cause::invalid("spec.replicas", &json!(replicas), why);
            return Err(Status::invalid("autoscaling", "Scale", &target.name, vec![cause]));
        }
        let steps = steps(&paths.spec);
        if let Some((last, parents)) = steps.split_last() {
            let map = parents.iter().fold(object::ensure(&mut next), |map, step| object::child(map, step));
            map.insert((*last).to_owned(), json!(replicas));
        }
        Ok((next, Tracking::Update(writer.clone())))
    })?;
    let object = Arc::new(of(target, &done)?);
    Ok(Outcome { object, created: false, warnings: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_print_in_order() {
        let selector = json!({
            "matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [{"key": "c", "operator": "In", "values": ["x", "y"]}],
        });
        assert_eq!(selector_text(Some(&selector)), "a=1,b=2,c in (x,y)");
    }
}
