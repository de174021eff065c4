//! Overrides that stand in the application's directory: `.argocd-source.yaml`, then
//! `.argocd-source-<application>.yaml`, merged onto the source as JSON merge patches. Image
//! updaters write them.

use serde_json::Value;
use tidegate_manifest::{ApplicationSource, Diagnostic, DirectoryOptions, Origin};
use tidegate_yaml::{ParseOptions, parse_one};

use crate::walk::{Resolved, join, resolve};
use crate::{FileTree, RenderInput};

/// Largest override file in bytes.
const OVERRIDE_BYTES_MAX: u64 = 1 << 20;
/// What an override can never change.
const FIXED: &[&str] = &["repoURL", "path", "chart", "targetRevision"];

/// The source with its overrides, and what is wrong with them.
pub(crate) fn apply(
    tree: &dyn FileTree,
    input: &RenderInput,
) -> (ApplicationSource, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut source = input.source.clone();
    let Ok(Resolved::Directory(directory)) =
        resolve(tree, source.path.as_deref().unwrap_or_default())
    else {
        return (source, diagnostics);
    };
    let mut names = vec![".argocd-source.yaml".to_owned()];
    if !input.application.is_empty() && !input.application.contains('/') {
        names.push(format!(".argocd-source-{}.yaml", input.application));
    }
    let mut document = source.document.clone();
    let mut changed = false;
    for name in names {
        let path = join(&directory, &name);
        match read(tree, &path, &input.origin) {
            Ok(Some(patch)) => {
                merge(&mut document, &patch);
                changed = true;
            }
            Ok(None) => {}
            Err(found) => diagnostics.extend(found),
        }
    }
    if changed {
        for field in FIXED {
            match input.source.document.get(*field) {
                Some(value) => document[*field] = value.clone(),
                None => {
                    if let Some(fields) = document.as_object_mut() {
                        fields.remove(*field);
                    }
                }
            }
        }
        take(&mut source, document);
    }
    (source, diagnostics)
}

fn read(tree: &dyn FileTree, path: &str, base: &Origin) -> Result<Option<Value>, Vec<Diagnostic>> {
    let origin = Origin {
        path: path.to_owned(),
        ..base.clone()
    };
    let refusal = |message: String, line: u32, column: u32| {
        let origin = Origin {
            line,
            column,
            ..origin.clone()
        };
        Diagnostic::error("TG0502", message, origin)
            .help("an override is a mapping in the form of spec.source, for example `kustomize: {images: […]}`")
    };
    let place = match resolve(tree, path) {
        Ok(Resolved::File(place)) => place,
        Ok(Resolved::Missing(_) | Resolved::Directory(_) | Resolved::Submodule(_)) => {
            return Ok(None);
        }
        Err(error) => return Err(vec![refusal(error.to_string(), 0, 0)]),
    };
    let bytes = tree
        .read(&place, OVERRIDE_BYTES_MAX)
        .map_err(|error| vec![refusal(error.to_string(), 0, 0)])?;
    let node = parse_one(&bytes, &ParseOptions::default()).map_err(|errors| {
        errors
            .0
            .into_iter()
            .map(|error| refusal(error.message.clone(), error.span.line, error.span.column))
            .collect::<Vec<_>>()
    })?;
    match node.to_json() {
        Value::Null => Ok(None),
        Value::Object(patch) => Ok(Some(Value::Object(patch))),
        _ => Err(vec![refusal(
            "expected a mapping".to_owned(),
            node.span.line,
            node.span.column,
        )]),
    }
}

/// JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Takes the sub-specs of a patched document over.
fn take(source: &mut ApplicationSource, document: Value) {
    let field = |name: &str| document.get(name).filter(|value| !value.is_null()).cloned();
    source.helm = field("helm");
    source.kustomize = field("kustomize");
    source.plugin = field("plugin");
    source.directory = field("directory").map(|directory| directory_options(&directory));
    source.document = document;
}

fn directory_options(value: &Value) -> DirectoryOptions {
    let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or_default();
    let text = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    DirectoryOptions {
        recurse: flag("recurse"),
        include: text("include"),
        exclude: text("exclude"),
        disable_extension_filter: flag("disableExtensionFilter"),
        jsonnet: value
            .get("jsonnet")
            .filter(|value| !value.is_null())
            .cloned(),
    }
}
