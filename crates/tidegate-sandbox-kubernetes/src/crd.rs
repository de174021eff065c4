//! CustomResourceDefinitions: what they serve and how they are established (spec kubernetes.md B7).
//! Their own validation is in `crd/check.rs`, what their schemas do to objects in `structural.rs`.

mod check;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_diff::schema::Schema;

pub(crate) use check::check;

use crate::core::{CRDS, Core};
use crate::managed::Writer;
use crate::object;
use crate::resource::{DeleteReply, Generation, Resource, ResourceName, ScalePaths, Version};
use crate::structural::Structural;
use crate::write::{self, Part, Target, Tracking, WriteOptions};

/// The writer of what the server itself does to definitions.
const SERVER: &str = "kube-apiserver";

/// What one version of a definition adds to a resource.
#[derive(Debug)]
pub(crate) struct CustomVersion {
    pub(crate) schema: Structural,
    /// The `openAPIV3Schema` as it was given.
    pub(crate) openapi: Value,
    /// `additionalPrinterColumns`.
    pub(crate) columns: Vec<Value>,
    /// `selectableFields`, without the leading dot.
    pub(crate) selectable: Vec<String>,
}

/// The resource that an established definition serves.
pub(crate) fn resource(definition: &Value) -> Option<Resource> {
    if !is_true(definition, "Established") {
        return None;
    }
    let spec = definition.get("spec")?;
    let names = definition.pointer("/status/acceptedNames")?;
    let kind = object::text(names, &["kind"]).to_owned();
    let singular = object::text(names, &["singular"]);
    let list_kind = object::text(names, &["listKind"]);
    let versions = spec.get("versions")?.as_array()?;
    let versions: Vec<Version> = versions
        .iter()
        .map(|version| self::version(definition, version))
        .collect();
    if versions.is_empty() {
        return None;
    }
    let name = ResourceName::of(
        object::text(spec, &["group"]),
        object::text(names, &["plural"]),
    );
    Some(Resource {
        table: name.clone(),
        name,
        singular: if singular.is_empty() {
            kind.to_lowercase()
        } else {
            singular.to_owned()
        },
        list_kind: if list_kind.is_empty() {
            format!("{kind}List")
        } else {
            list_kind.to_owned()
        },
        kind,
        short_names: strings(names, "shortNames"),
        categories: strings(names, "categories"),
        namespaced: object::text(spec, &["scope"]) == "Namespaced",
        versions,
        generation: Generation::Tracked,
        delete_reply: DeleteReply::Status,
        create_only: false,
        terminating: object::is_deleting(definition),
        facts: None,
    })
}

fn version(definition: &Value, version: &Value) -> Version {
    let name = object::text(version, &["name"]).to_owned();
    let flag = |key: &str| version.get(key).and_then(Value::as_bool).unwrap_or(false);
    let subresources = version.get("subresources");
    let scale = subresources
        .and_then(|sub| sub.get("scale"))
        .map(|scale| ScalePaths {
            spec: object::text(scale, &["specReplicasPath"]).to_owned(),
            status: object::text(scale, &["statusReplicasPath"]).to_owned(),
            selector: scale
                .get("labelSelectorPath")
                .and_then(Value::as_str)
                .map(str::to_owned),
        });
    let openapi = version
        .pointer("/schema/openAPIV3Schema")
        .cloned()
        .unwrap_or_else(|| json!({}));
    let selectable = version.get("selectableFields").and_then(Value::as_array);
    let custom = CustomVersion {
        schema: Structural::parse(&openapi),
        columns: version
            .get("additionalPrinterColumns")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        selectable: selectable
            .into_iter()
            .flatten()
            .map(|field| {
                object::text(field, &["jsonPath"])
                    .trim_start_matches('.')
                    .to_owned()
            })
            .collect(),
        openapi,
    };
    Version {
        served: flag("served"),
        storage: flag("storage"),
        status: subresources.is_some_and(|sub| sub.get("status").is_some_and(|s| !s.is_null())),
        scale,
        smd: Schema::from_crd(definition, &name).ok(),
        custom: Some(Arc::new(custom)),
        name,
    }
}

fn strings(value: &Value, key: &str) -> Vec<String> {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(|list| {
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default()
}

fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = definition.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| object::text(condition, &["type"]) == kind)
}

fn is_true(definition: &Value, kind: &str) -> bool {
    condition(definition, kind).is_some_and(|c| object::text(c, &["status"]) == "True")
}

/// The version that objects are stored at.
pub(crate) fn storage_version(definition: &Value) -> Option<&str> {
    let versions = definition.pointer("/spec/versions")?.as_array()?;
    let storage = versions
        .iter()
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))?;
    storage.get("name")?.as_str()
}

/// The status of a new definition.
pub(crate) fn fresh_status(object: &mut Value) {
    let stored: Vec<Value> = storage_version(object)
        .map(|name| json!(name))
        .into_iter()
        .collect();
    let status = json!({
        "conditions": null,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": stored,
    });
    object::ensure(object).insert("status".to_owned(), status);
}

/// What the author of a definition left out.
pub(crate) fn complete(object: &mut Value) {
    let storage = storage_version(object).map(str::to_owned);
    let spec = object::child(object::ensure(object), "spec");
    let names = object::child(spec, "names");
    let kind = names
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    let blank = |names: &Map<String, Value>, key: &str| {
        names
            .get(key)
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
    };
    if blank(names, "singular") && !kind.is_empty() {
        names.insert("singular".to_owned(), json!(kind.to_lowercase()));
    }
    if blank(names, "listKind") && !kind.is_empty() {
        names.insert("listKind".to_owned(), json!(format!("{kind}List")));
    }
    let conversion = object::child(spec, "conversion");
    conversion
        .entry("strategy".to_owned())
        .or_insert_with(|| json!("None"));
    if let Some(storage) = storage
        && let Some(stored) = object.pointer_mut("/status/storedVersions")
        && let Some(list) = stored.as_array_mut()
        && !list.iter().any(|name| *name == storage)
    {
        list.push(json!(storage));
    }
}

/// Accepts the names of a definition and establishes it; then serves it.
pub(crate) fn establish(core: &Core, name: &str) {
    let Some(resource) = core.registry().get(&CRDS) else {
        return;
    };
    let version = resource.storage().name.clone();
    let target = Target {
        resource,
        version,
        namespace: String::new(),
        name: name.to_owned(),
        part: Part::Status,
    };
    let options = WriteOptions::of(SERVER);
    let now = core.now();
    let writer = Writer::new(&target, &options, now);
    let established = write::modify_quietly(core, &target, &options, &mut |live| {
        let mut next = live.clone();
        if !object::is_deleting(live) {
            judge(&mut next, &taken(core, live), &object::stamp(now));
        }
        Ok((next, Tracking::Update(writer.clone())))
    });
    if let Err(status) = established {
        tracing::debug!(%status, name, "a definition was not established");
    }
    core.refresh_definitions();
}

/// The names that other definitions of the group have.
#[derive(Debug, Default)]
struct Taken {
    kinds: Vec<String>,
    resources: Vec<String>,
}

fn taken(core: &Core, definition: &Value) -> Taken {
    let group = object::text(definition, &["spec", "group"]);
    let (_, table) = core.store.table(&CRDS);
    let mut taken = Taken::default();
    for stored in table.values() {
        let other = &stored.object;
        let same_object = object::name(other) == object::name(definition);
        if same_object || object::text(other, &["spec", "group"]) != group {
            continue;
        }
        let Some(names) = other.pointer("/status/acceptedNames") else {
            continue;
        };
        for field in ["kind", "listKind"] {
            taken.kinds.push(object::text(names, &[field]).to_owned());
        }
        taken.resources.extend(resource_names(names));
    }
    taken
}

fn resource_names(names: &Value) -> Vec<String> {
    let mut all = strings(names, "shortNames");
    for key in ["plural", "singular"] {
        all.push(object::text(names, &[key]).to_owned());
    }
    all.retain(|name| !name.is_empty());
    all
}

/// Accepts every name that nobody else has; the last refused one is the condition's reason.
fn judge(definition: &mut Value, taken: &Taken, stamp: &str) {
    let names = definition
        .pointer("/spec/names")
        .cloned()
        .unwrap_or_else(|| json!({}));
    let mut refused: Option<(&str, String)> = None;
    let mut accepted: Map<String, Value> = Map::new();
    for (field, reason) in [
        ("plural", "PluralConflict"),
        ("singular", "SingularConflict"),
        ("shortNames", "ShortNamesConflict"),
        ("kind", "KindConflict"),
        ("listKind", "ListKindConflict"),
    ] {
        let others = if field.ends_with("ind") {
            &taken.kinds
        } else {
            &taken.resources
        };
        let wanted = match field {
            "shortNames" => strings(&names, field),
            _ => vec![object::text(&names, &[field]).to_owned()],
        };
        match wanted
            .iter()
            .find(|name| !name.is_empty() && others.contains(name))
        {
            Some(name) => refused = Some((reason, format!("{name:?} is already in use"))),
            None => accepted.extend(
                names
                    .get(field)
                    .map(|name| (field.to_owned(), name.clone())),
            ),
        }
    }
    accepted.extend(
        names
            .get("categories")
            .map(|list| ("categories".to_owned(), list.clone())),
    );
    for field in ["plural", "kind"] {
        accepted
            .entry(field.to_owned())
            .or_insert_with(|| json!(""));
    }
    let status = object::child(object::ensure(definition), "status");
    status.insert("acceptedNames".to_owned(), Value::Object(accepted));
    let verdict = match &refused {
        None => ("True", "NoConflicts", "no conflicts found"),
        Some((reason, message)) => ("False", *reason, message.as_str()),
    };
    set_condition(definition, "NamesAccepted", verdict, stamp);
    if refused.is_none() {
        let established = (
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        );
        set_condition(definition, "Established", established, stamp);
    } else if !is_true(definition, "Established") {
        let waiting = ("False", "NotAccepted", "not all names are accepted");
        set_condition(definition, "Established", waiting, stamp);
    }
}

/// Sets a condition; its time changes only with its status.
pub(crate) fn set_condition(
    definition: &mut Value,
    kind: &str,
    (status, reason, message): (&str, &str, &str),
    stamp: &str,
) {
    let old = condition(definition, kind).cloned();
    let unchanged = old
        .as_ref()
        .is_some_and(|old| object::text(old, &["status"]) == status);
    if unchanged {
        return;
    }
    let new = json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": stamp,
    });
    let part = object::child(object::ensure(definition), "status");
    let list = part.entry("conditions".to_owned()).or_insert(Value::Null);
    if !list.is_array() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else {
        return;
    };
    match list
        .iter_mut()
        .find(|condition| object::text(condition, &["type"]) == kind)
    {
        Some(place) => *place = new,
        None => list.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::objects::Objects;

    fn definition(plural: &str, kind: &str) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.example.com")},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
            },
        })
    }

    #[test]
    fn a_definition_is_established_and_served() {
        let objects =
            Objects::in_memory(Clock::Manual(ManualClock::new(jiff::Timestamp::UNIX_EPOCH)));
        objects
            .create(&CRDS, "", definition("widgets", "Widget"), "test")
            .unwrap();
        let made = objects.get(&CRDS, "", "widgets.example.com").unwrap();
        assert!(is_true(&made, "NamesAccepted") && is_true(&made, "Established"));
        assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
        assert_eq!(made["status"]["acceptedNames"]["listKind"], "WidgetList");
        let name = objects.serves("example.com", "Widget").unwrap();
        assert_eq!(name.to_string(), "widgets.example.com");
    }

    #[test]
    fn a_kind_is_given_once_per_group() {
        let objects = Objects::in_memory(Clock::System);
        objects
            .create(&CRDS, "", definition("widgets", "Widget"), "test")
            .unwrap();
        objects
            .create(&CRDS, "", definition("gadgets", "Widget"), "test")
            .unwrap();
        let second = objects.get(&CRDS, "", "gadgets.example.com").unwrap();
        assert!(!is_true(&second, "NamesAccepted") && !is_true(&second, "Established"));
        assert!(objects.serves("example.com", "Widget").is_some());
        assert_eq!(
            objects
                .core
                .registry()
                .all()
                .filter(|r| r.is_custom())
                .count(),
            1
        );
    }
}
