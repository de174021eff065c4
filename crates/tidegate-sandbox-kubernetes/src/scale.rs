//! The scale subresource: an `autoscaling/v1` Scale made from an object, and written back to its replicas.

use std::sync::Arc;

use serde_json::{Value, json};

use tidegate_diff::fieldset::FieldPath;
use tidegate_diff::managed::{self as managed_fields, Managers};
use tidegate_diff::schema::{Schema, TypeRef};

use crate::core::Core;
use crate::managed::{self, Writer};
use crate::object;
use crate::patch;
use crate::prepare;
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

/// The Scale of an object; a custom resource without replicas has none to show.
pub(crate) fn of(target: &Target, object: &Value) -> Result<Value, Status> {
    let path = paths(target)?.spec;
    if target.resource.is_custom() && object::at(object, &steps(&path)).is_none() {
        return Err(Status::internal(format!(
            "the spec replicas field {path:?} does not exist"
        )));
    }
    made(target, object)
}

fn made(target: &Target, object: &Value) -> Result<Value, Status> {
    let paths = paths(target)?;
    let number = |path: &str| object::at(object, &steps(path)).and_then(Value::as_i64);
    let mut metadata =
        json!({"name": object::name(object), "namespace": object::namespace(object)});
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object::metadata(object).and_then(|meta| meta.get(field)) {
            metadata[field] = value.clone();
        }
    }
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": {"replicas": number(&paths.status).unwrap_or(0)},
    });
    match number(&paths.spec) {
        Some(0) if !target.resource.is_custom() => {}
        Some(replicas) => scale["spec"]["replicas"] = json!(replicas),
        None => {}
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
    let Some(selector) = selector.and_then(Value::as_object) else {
        return String::new();
    };
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
    mut body: Value,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    let name = object::name(&body);
    if name.is_empty() {
        return Err(prepare::nameless(&target.name));
    }
    if name != target.name {
        return Err(prepare::name_mismatch(name, &target.name));
    }
    prepare::check_namespace(target, &mut body)?;
    change(core, target, options, &mut |writer, scale| {
        let mut new = body.clone();
        managed::track_update(writer, Some(scale), &mut new);
        Ok(new)
    })
}

/// `PATCH …/scale`.
pub(crate) fn patch(
    core: &Core,
    target: &Target,
    patch: &PatchKind,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    let ty = scale_type();
    change(core, target, options, &mut |writer, scale| {
        let mut new = patch::apply(ty.as_ref(), scale, patch)?;
        managed::track_update(writer, Some(scale), &mut new);
        Ok(new)
    })
}

/// Server-side apply on `/scale`: the applier becomes an owner of the replicas.
pub(crate) fn apply(
    core: &Core,
    target: &Target,
    config: &Value,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    change(core, target, options, &mut |writer, scale| {
        managed::apply(writer, Some(scale), config, options.force)
    })
}

fn scale_type() -> Option<TypeRef> {
    Schema::builtin("autoscaling", "v1", "Scale")
}

type Edit<'a> = dyn FnMut(&Writer, &Value) -> Result<Value, Status> + 'a;

/// Shows the Scale of the object with the owners of its replicas, lets it be edited, and writes both back.
fn change(
    core: &Core,
    target: &Target,
    options: &WriteOptions,
    edit: &mut Edit<'_>,
) -> Result<Outcome, Status> {
    let paths = paths(target)?;
    let main = Target {
        part: Part::Main,
        ..target.clone()
    };
    let writer = Writer::of_scale(options, core.now());
    let done = write::modify(core, &main, options, &mut |live| {
        let mut scale = made(target, live)?;
        let owners = Managers::decode(&live["metadata"]["managedFields"]).unwrap_or_default();
        let path_at = |_: &str| Some(FieldPath::of_fields(&steps(&paths.spec)));
        let shown = managed_fields::to_scale_managers(&owners, path_at).encode();
        scale["metadata"]["managedFields"] = Value::Array(shown);
        let edited = edit(&writer, &scale)?;
        let asked = object::meta(&edited, "resourceVersion");
        if !asked.is_empty() && asked != object::meta(live, "resourceVersion") {
            return Err(Status::modified(&target.resource.name, &target.name));
        }
        let replicas = replicas(target, &edited)?;
        let mut next = live.clone();
        if let Some((last, parents)) = steps(&paths.spec).split_last() {
            let root = object::ensure(&mut next);
            let map = parents
                .iter()
                .fold(root, |map, step| object::child(map, step));
            map.insert((*last).to_owned(), json!(replicas));
        }
        let of_scale = Managers::decode(&edited["metadata"]["managedFields"]).unwrap_or_default();
        let api_version = target.api_version();
        let owners =
            managed_fields::from_scale_managers(&owners, &of_scale, &api_version, path_at).encode();
        if !owners.is_empty() {
            object::metadata_mut(&mut next).insert("managedFields".to_owned(), json!(owners));
        }
        Ok((next, Tracking::Done))
    })?;
    let object = Arc::new(made(target, &done)?);
    Ok(Outcome {
        object,
        created: false,
        warnings: Vec::new(),
    })
}

fn replicas(target: &Target, scale: &Value) -> Result<i64, Status> {
    let given = scale
        .pointer("/spec/replicas")
        .cloned()
        .unwrap_or_else(|| json!(0));
    let Some(replicas) = given.as_i64() else {
        return Err(Status::bad_request(
            "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32",
        ));
    };
    if replicas >= 0 {
        return Ok(replicas);
    }
    if target.resource.is_custom() {
        let why = "should be a non-negative integer";
        let cause = Cause::invalid(".spec.replicas", &given, why);
        return Err(target.invalid(&target.name, vec![cause]));
    }
    let cause = Cause::invalid(
        "spec.replicas",
        &given,
        "must be greater than or equal to 0",
    );
    Err(Status::invalid(
        "autoscaling",
        "Scale",
        &target.name,
        vec![cause],
    ))
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
