//! Patches of both kinds: which text is which, whom they are for, and what the objects keep.

use serde_json::Value;
use tidegate_yaml::ParseOptions;

use crate::json_patch::JsonPatch;
use crate::kustomization::{Patch, PatchOptions, Selector};
use crate::merge_schema::MergeSchema;
use crate::node::Node;
use crate::read;
use crate::resource::{CHANGES, HISTORY, ORIGIN, Resource, append_all, find_by_id};
use crate::resources::Reading;
use crate::selector::select;
use crate::strategic;
use crate::target::Build;

/// A patch ready to be applied.
#[derive(Clone, Debug)]
pub(crate) enum Ready {
    Strategic {
        patches: Vec<Resource>,
        options: PatchOptions,
        target: Option<Selector>,
        source: String,
    },
    Json {
        patch: JsonPatch,
        target: Option<Selector>,
        source: String,
        /// Whether today's identity is remembered first.
        remembers: bool,
    },
    /// A text that says nothing.
    Nothing,
}

/// Reads an entry of `patches`; `text` is what `patch` or the file of `path` says.
///
/// # Errors
/// Text that is no patch, or could be both kinds.
pub(crate) fn ready(entry: &Patch, text: &str, build: &Build) -> Result<Ready, String> {
    let source = if entry.patch.trim().is_empty() {
        format!("[path: {:?}]", entry.path)
    } else {
        format!("[patch: {}]", go_quote(text))
    };
    let strategic = build.read(text.as_bytes(), "", Reading::Patch);
    let json = json_patch(text);
    match (strategic, json) {
        (Ok(patches), Ok(json)) if !patches.is_empty() && json.len() > 0 => Err(format!(
            "illegally qualifies as both an SM and JSON patch: {source}"
        )),
        (Err(_), Err(_)) => Err(format!("unable to parse SM or JSON patch from {source}")),
        (Ok(patches), _) if patches.is_empty() => Ok(Ready::Nothing),
        (Ok(mut patches), _) => {
            let options = entry.options.unwrap_or_default();
            if options.allow_name_change || options.allow_kind_change {
                // The original notes it in an annotation, which makes texts of all of them.
                patches.iter_mut().for_each(|patch| {
                    let texts = patch.texts("annotations");
                    patch.set_texts("annotations", &texts);
                });
            }
            Ok(Ready::Strategic {
                patches,
                options,
                target: entry.target.clone(),
                source,
            })
        }
        (Err(_), Ok(patch)) => Ok(Ready::Json {
            patch,
            target: entry.target.clone(),
            source,
            remembers: true,
        }),
    }
}

/// As Go's `%q`.
fn go_quote(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Reads the operations of a JSON patch from JSON or from the first document of YAML.
///
/// # Errors
/// Text that is none.
pub(crate) fn json_patch(text: &str) -> Result<JsonPatch, String> {
    if text.is_empty() {
        return Err("empty json patch operations".to_owned());
    }
    let value: Value = if text.starts_with('[') {
        serde_json::from_str(text).map_err(|e| e.to_string())?
    } else {
        tidegate_yaml::parse_first(text.as_bytes(), &ParseOptions::default())
            .map_err(|errors| errors.to_string())?
            .to_json()
    };
    JsonPatch::decode(&value)
}

impl Ready {
    pub(crate) fn is_strategic(&self) -> bool {
        matches!(self, Ready::Strategic { .. })
    }

    /// Applies the patch to the objects of a build.
    ///
    /// # Errors
    /// Targets that are not there, and what does not apply.
    pub(crate) fn apply(
        &self,
        list: &mut Vec<Resource>,
        schema: &MergeSchema,
    ) -> Result<(), String> {
        match self {
            Ready::Nothing => Ok(()),
            Ready::Strategic {
                patches,
                options,
                target: Some(target),
                source,
            } => {
                let [patch] = patches.as_slice() else {
                    return Err(format!(
                        "Multiple Strategic-Merge Patches in one `patches` entry is not allowed to set `patches.target` field: {source}"
                    ));
                };
                let selected = select(list, target).map_err(|error| {
                    format!("unable to find patch target in `resources`: {error}")
                })?;
                merge_into(list, &selected, patch, *options, schema)
            }
            Ready::Strategic {
                patches,
                options,
                target: None,
                ..
            } => patches.iter().try_for_each(|patch| {
                let id = patch.id();
                let index = find_by_id(list, &id).map_err(|error| {
                    format!("no resource matches strategic merge patch \"{id}\": {error}")
                })?;
                let resource = list[index].clone();
                match merged(resource, patch, *options, schema)? {
                    Some(resource) => list[index] = resource,
                    None => {
                        list.remove(index);
                    }
                }
                Ok(())
            }),
            Ready::Json {
                target: None,
                source,
                ..
            } => Err(format!("must specify a target for JSON patch {source}")),
            Ready::Json {
                patch,
                target: Some(target),
                remembers,
                ..
            } => {
                for index in select(list, target)? {
                    if *remembers {
                        list[index].store_previous_id();
                    }
                    apply_json(&mut list[index], patch)?;
                }
                list.retain(|resource| !is_empty(&resource.node));
                Ok(())
            }
        }
    }
}

/// Whether nothing is left of an object.
pub(crate) fn is_empty(node: &Node) -> bool {
    node.is_null() || node.as_map().is_some_and(<[_]>::is_empty)
}

/// Merges entries of `patchesStrategicMerge`: each has one object.
///
/// # Errors
/// Objects that are not there, and what does not fit.
pub(crate) fn merge_each(
    list: &mut Vec<Resource>,
    patches: &[Resource],
    schema: &MergeSchema,
) -> Result<(), String> {
    patches.iter().try_for_each(|patch| {
        let index = find_by_id(list, &patch.id())?;
        merge_into(list, &[index], patch, PatchOptions::default(), schema)
    })
}

/// Merges one patch into many objects. Its labels and annotations become texts first, so a null
/// there deletes nothing.
fn merge_into(
    list: &mut Vec<Resource>,
    selected: &[usize],
    patch: &Resource,
    options: PatchOptions,
    schema: &MergeSchema,
) -> Result<(), String> {
    let mut patch = patch.clone();
    for field in ["labels", "annotations"] {
        let texts = patch.texts(field);
        patch.set_texts(field, &texts);
    }
    let mut kept = Vec::with_capacity(list.len());
    for (index, resource) in std::mem::take(list).into_iter().enumerate() {
        if !selected.contains(&index) {
            kept.push(resource);
            continue;
        }
        let mut patch = patch.clone();
        patch.set_field("apiVersion", &resource.gvk().api_version());
        kept.extend(merged(resource, &patch, options, schema)?);
    }
    append_all(list, kept).map_err(|fault| fault.message)
}

/// An object after a strategic merge patch; `None` when it is deleted.
fn merged(
    mut resource: Resource,
    patch: &Resource,
    options: PatchOptions,
    schema: &MergeSchema,
) -> Result<Option<Resource>, String> {
    let (kind, name, namespace) = (
        resource.kind().to_owned(),
        resource.name().to_owned(),
        resource.namespace().to_owned(),
    );
    if options.allow_name_change || options.allow_kind_change {
        resource.store_previous_id();
    }
    let node = std::mem::replace(&mut resource.node, Node::Map(Vec::new()));
    let Some(node) = strategic::merge(node, &patch.node, schema)? else {
        return Ok(None);
    };
    if is_empty(&node) {
        return Ok(None);
    }
    resource.node = node;
    if replaces_annotations(&patch.node) {
        resource.forget();
    }
    if !options.allow_kind_change {
        resource.set_field("kind", &kind);
    }
    if !options.allow_name_change {
        resource.set_name(&name);
    }
    resource.set_namespace(&namespace);
    Ok(Some(resource))
}

/// Whether a patch throws all annotations away, the build's own with them.
fn replaces_annotations(patch: &Node) -> bool {
    let directive = |node: &Node| {
        matches!(
            node.get("$patch").and_then(Node::text),
            Some("replace" | "delete")
        )
    };
    let Some(metadata) = patch.get("metadata") else {
        return false;
    };
    directive(metadata)
        || metadata
            .get("annotations")
            .is_some_and(|annotations| annotations.is_null() || directive(annotations))
}

/// Applies a JSON patch to an object. One with a history has annotations whatever it says, and all
/// of them are texts afterwards.
fn apply_json(resource: &mut Resource, patch: &JsonPatch) -> Result<(), String> {
    let mut document = read::to_json(&resource.node)?;
    let notes = resource.notes();
    if !notes.is_empty()
        && let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut)
    {
        let annotations = metadata
            .entry("annotations")
            .or_insert_with(|| Value::Object(Default::default()));
        if annotations.is_null() {
            *annotations = Value::Object(Default::default());
        }
        if let Some(annotations) = annotations.as_object_mut() {
            for (name, text) in &notes {
                annotations.insert((*name).to_owned(), Value::String(text.clone()));
            }
        }
    }
    patch.apply(&mut document)?;
    if !document.is_object() {
        return Err(
            "json: cannot unmarshal array into Go value of type map[string]interface {}".to_owned(),
        );
    }
    resource.node = read::from_decoded_json(&document);
    let mut annotations = resource.texts("annotations");
    for (name, _) in notes.iter().filter(|(name, _)| name.starts_with(HISTORY)) {
        annotations.remove(*name);
    }
    if resource.origin.is_some() && annotations.remove(ORIGIN).is_none() {
        resource.origin = None;
    }
    if !resource.transformations.is_empty() && annotations.remove(CHANGES).is_none() {
        resource.transformations.clear();
    }
    resource.set_texts("annotations", &annotations);
    Ok(())
}
