//! The end of namespaces and of definitions: their content goes first.

use serde_json::{Value, json};

use super::edit;
use crate::core::{CRDS, Core, NAMESPACES};
use crate::crd;
use crate::delete::{self, CRD_CLEANUP};
use crate::object;
use crate::objects::{DeleteOptions, Propagation};
use crate::resource::ResourceName;
use crate::status::Status;
use crate::store;
use crate::write::Part;

/// What is left of a resource after a round of deletion.
struct Left {
    resource: ResourceName,
    count: usize,
    /// Finalizers and how many objects each holds.
    finalizers: Vec<(String, usize)>,
}

/// Deletes the content of a terminating namespace; without content it goes itself.
pub(super) fn finalize(core: &Core, name: &str) -> Result<(), Status> {
    let Some(namespace) = core
        .namespace(name)
        .filter(|object| object::is_deleting(object))
    else {
        return Ok(());
    };
    let mut left = Vec::new();
    for resource in core.registry().all() {
        if resource.namespaced && !resource.create_only && !resource.is_alias() {
            left.extend(sweep(core, &resource.name, name)?);
        }
    }
    let id = ("", name, object::uid(&namespace));
    if left.is_empty() {
        return edit(core, &NAMESPACES, id, Part::Finalize, &|object| {
            let spec = object::child(object::ensure(object), "spec");
            spec.remove("finalizers");
        });
    }
    let stamp = object::stamp(core.now());
    edit(core, &NAMESPACES, id, Part::Status, &|object| {
        report(object, &left, &stamp);
    })
}

/// Deletes all objects of a resource in a namespace (everywhere when that is empty); says what stays.
fn sweep(core: &Core, resource: &ResourceName, namespace: &str) -> Result<Option<Left>, Status> {
    let (_, table) = core.store.table(resource);
    for (_, stored) in store::range(&table, namespace) {
        if object::is_deleting(&stored.object) {
            continue;
        }
        let (namespace, name) = (
            object::namespace(&stored.object),
            object::name(&stored.object),
        );
        let Some(target) = core.target(resource, namespace, name) else {
            continue;
        };
        let options = DeleteOptions {
            propagation: Some(Propagation::Background),
            uid: Some(object::uid(&stored.object).to_owned()),
            ..DeleteOptions::default()
        };
        match delete::delete(core, &target, &options) {
            Err(status) if status.code != 404 && status.code != 409 => return Err(status),
            _ => {}
        }
    }
    let (_, table) = core.store.table(resource);
    let mut left = Left {
        resource: resource.clone(),
        count: 0,
        finalizers: Vec::new(),
    };
    for (_, stored) in store::range(&table, namespace) {
        left.count += 1;
        for finalizer in object::finalizers(&stored.object) {
            match left
                .finalizers
                .iter_mut()
                .find(|(name, _)| name == finalizer)
            {
                Some((_, count)) => *count += 1,
                None => left.finalizers.push((finalizer.to_owned(), 1)),
            }
        }
    }
    Ok((left.count > 0).then_some(left))
}

/// The five conditions of a namespace that waits for its content.
fn report(namespace: &mut Value, left: &[Left], stamp: &str) {
    let remaining: Vec<String> = left
        .iter()
        .map(|left| {
            let dotted = if left.resource.group().is_empty() {
                format!("{}.", left.resource.resource())
            } else {
                left.resource.to_string()
            };
            format!("{dotted} has {} resource instances", left.count)
        })
        .collect();
    let mut held: Vec<(String, usize)> = Vec::new();
    for (name, count) in left.iter().flat_map(|left| &left.finalizers) {
        match held.iter_mut().find(|(known, _)| known == name) {
            Some((_, total)) => *total += count,
            None => held.push((name.clone(), *count)),
        }
    }
    held.sort();
    let held: Vec<String> = held
        .iter()
        .map(|(name, count)| format!("{name} in {count} resource instances"))
        .collect();
    let remaining = format!("Some resources are remaining: {}", remaining.join(", "));
    let finalizers = if held.is_empty() {
        (
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished".to_owned(),
        )
    } else {
        let list = format!(
            "Some content in the namespace has finalizers remaining: {}",
            held.join(", ")
        );
        ("True", "SomeFinalizersRemain", list)
    };
    let plain = |text: &str| text.to_owned();
    let conditions = [
        (
            "NamespaceDeletionDiscoveryFailure",
            (
                "False",
                "ResourcesDiscovered",
                plain("All resources successfully discovered"),
            ),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            (
                "False",
                "ParsedGroupVersions",
                plain("All legacy kube types successfully parsed"),
            ),
        ),
        (
            "NamespaceDeletionContentFailure",
            (
                "False",
                "ContentDeleted",
                plain("All content successfully deleted, may be waiting on finalization"),
            ),
        ),
        (
            "NamespaceContentRemaining",
            ("True", "SomeResourcesRemain", remaining),
        ),
        ("NamespaceFinalizersRemaining", finalizers),
    ];
    let status = object::child(object::ensure(namespace), "status");
    let old = status
        .get("conditions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let list: Vec<Value> = conditions
        .iter()
        .map(|(kind, (value, reason, message))| {
            let before = old.iter().find(|one| object::text(one, &["type"]) == *kind);
            let since = before
                .filter(|one| object::text(one, &["status"]) == *value)
                .map_or(stamp, |one| object::text(one, &["lastTransitionTime"]));
            json!({
                "type": kind, "status": value, "reason": reason, "message": message,
                "lastTransitionTime": since,
            })
        })
        .collect();
    status.insert("conditions".to_owned(), Value::Array(list));
}

/// Deletes the objects of a definition that goes away; without objects it goes itself.
pub(super) fn clean_definition(core: &Core, name: &str) -> Result<(), Status> {
    let Some(stored) = core.store.get(&CRDS, name) else {
        return Ok(());
    };
    let definition = &stored.object;
    if !object::is_deleting(definition) || !object::finalizers(definition).contains(&CRD_CLEANUP) {
        return Ok(());
    }
    let group = object::text(definition, &["spec", "group"]);
    let plural = object::text(definition, &["spec", "names", "plural"]);
    let resource = ResourceName::of(group, plural);
    // A definition that was never established has no objects of its own.
    let served = core
        .registry()
        .get(&resource)
        .is_some_and(|resource| resource.is_custom());
    if served && sweep(core, &resource, "")?.is_some() {
        return Ok(());
    }
    let stamp = object::stamp(core.now());
    let id = ("", name, object::uid(definition));
    let done = (
        "False",
        "InstanceDeletionCompleted",
        "removed all instances",
    );
    edit(core, &CRDS, id, Part::Status, &|object| {
        crd::set_condition(object, "Terminating", done, &stamp);
    })?;
    edit(core, &CRDS, id, Part::Main, &|object| {
        let kept = object::finalizers(object)
            .into_iter()
            .filter(|name| *name != CRD_CLEANUP)
            .map(str::to_owned)
            .collect();
        object::set_finalizers(object, kept);
    })
}
