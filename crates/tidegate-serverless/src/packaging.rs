//! Local code in templates: archives of the tree take its place before a template is transformed, and
//! resources name them by digest after it was evaluated.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_manifest::{ARTIFACT, CloudFormationResource, Diagnostic};
use tidegate_render::walk::{Resolved, join, resolve};
use tidegate_render::{Artifact, FileTree};

use crate::Template;
use crate::package::{ArchiveSpec, archive, archive_text, hex};

/// The bucket that stands for packaged code in a printed template.
pub(crate) const BUCKET: &str = "tidegate-code";
/// The key of code that could not be packed; a mistake is told wherever it is used.
const MISSING: &str = "missing.zip";
/// Largest definition of a state machine that is read from a file.
const DEFINITION_MAX: u64 = 1 << 20;

/// Archives by the key under which a template names them.
#[derive(Debug, Default)]
pub struct Packed {
    /// The archives.
    pub by_key: BTreeMap<String, Artifact>,
    /// What keeps code from being packed.
    pub diagnostics: Vec<Diagnostic>,
}

/// Where code is named, per type: the property, and whether its value may be a path.
const CODE: &[(&str, &str)] = &[
    ("AWS::Serverless::Function", "CodeUri"),
    ("AWS::Serverless::LayerVersion", "ContentUri"),
    ("AWS::Lambda::Function", "Code"),
    ("AWS::Lambda::LayerVersion", "Content"),
];

impl Packed {
    /// Packs a path and gives the key of the archive.
    fn pack(
        &mut self,
        tree: &dyn FileTree,
        spec: &ArchiveSpec,
    ) -> Result<String, (String, String)> {
        let artifact = archive(tree, spec)?;
        let key = format!("{}.zip", hex(&artifact));
        self.by_key.insert(key.clone(), artifact);
        Ok(key)
    }

    /// Packs a path for a property of a template; a mistake is told at its place.
    pub(crate) fn pack_at(
        &mut self,
        tree: &dyn FileTree,
        spec: &ArchiveSpec,
        template: &Template,
        path: &[&str],
        subject: &str,
    ) -> Option<String> {
        match self.pack(tree, spec) {
            Ok(key) => Some(key),
            Err((message, help)) => {
                let found = Diagnostic::error("TG1307", message, template.place(path))
                    .object(subject.to_owned())
                    .help(help);
                self.diagnostics.push(found);
                None
            }
        }
    }
}

/// Puts archives in the place of local paths: `directory` is the template's own. What cannot be packed
/// gets a name all the same, so that a transform tells what else is wrong.
pub fn pack_local(template: &Template, tree: &dyn FileTree, directory: &str) -> (Template, Packed) {
    let mut packed = Packed::default();
    let mut body = template.body.clone();
    let globals = body.pointer("/Globals/Function/CodeUri").cloned();
    if let Some(Value::String(path)) = &globals
        && is_local(path)
    {
        let at = ["Globals", "Function", "CodeUri"];
        let key = packed.pack_at(tree, &spec(directory, path), template, &at, "Globals");
        if let Some(value) = body.pointer_mut("/Globals/Function/CodeUri") {
            *value = Value::from(uri(key.as_deref().unwrap_or(MISSING)));
        }
    }
    let resources = body.get_mut("Resources").and_then(Value::as_object_mut);
    for (id, resource) in resources.into_iter().flatten() {
        let kind = resource
            .get("Type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if kind == "AWS::Serverless::StateMachine" {
            inline_definition(resource, id, template, tree, directory, &mut packed);
            continue;
        }
        let Some((kind, property)) = CODE.iter().find(|(name, _)| *name == kind) else {
            continue;
        };
        let is_sam = kind.starts_with("AWS::Serverless");
        let Some(properties) = resource
            .get_mut("Properties")
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        let Some(Value::String(path)) = properties.get(*property) else {
            continue;
        };
        if !is_local(path) {
            continue;
        }
        let place = ["Resources", id.as_str(), "Properties", property];
        let key = packed.pack_at(tree, &spec(directory, path), template, &place, id);
        let key = key.as_deref().unwrap_or(MISSING);
        let value = if is_sam {
            Value::from(uri(key))
        } else {
            json!({"S3Bucket": BUCKET, "S3Key": key})
        };
        properties.insert((*property).to_owned(), value);
    }
    let order = template.resource_order.clone();
    (template.derived(body, order), packed)
}

fn spec(directory: &str, path: &str) -> ArchiveSpec {
    ArchiveSpec {
        path: join(directory, path.trim_start_matches("./")),
        patterns: Vec::new(),
    }
}

fn uri(key: &str) -> String {
    format!("s3://{BUCKET}/{key}")
}

fn is_local(path: &str) -> bool {
    !path.contains("://") && !path.is_empty() && !path.starts_with("{{resolve:")
}

/// A state machine's definition in a file of the repository becomes part of the template.
fn inline_definition(
    resource: &mut Value,
    id: &str,
    template: &Template,
    tree: &dyn FileTree,
    directory: &str,
    packed: &mut Packed,
) {
    let Some(properties) = resource
        .get_mut("Properties")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let Some(Value::String(path)) = properties.get("DefinitionUri") else {
        return;
    };
    if !is_local(path) {
        return;
    }
    let path = join(directory, path.trim_start_matches("./"));
    let read = match resolve(tree, &path) {
        Ok(Resolved::File(place)) => tree
            .read(&place, DEFINITION_MAX)
            .map_err(|error| error.to_string()),
        Ok(_) => Err(format!("{path:?} is no file of the repository")),
        Err(error) => Err(error.to_string()),
    };
    let parsed = read.and_then(|bytes| {
        tidegate_yaml::parse_one(&bytes, &tidegate_yaml::ParseOptions::cloudformation())
            .map(|node| node.to_json())
            .map_err(|errors| format!("{path}: {errors}"))
    });
    match parsed {
        Ok(definition) => {
            properties.remove("DefinitionUri");
            properties.insert("Definition".to_owned(), definition);
        }
        Err(message) => {
            properties.insert("DefinitionUri".to_owned(), Value::from(uri(MISSING)));
            let place = ["Resources", id, "Properties", "DefinitionUri"];
            packed.diagnostics.push(
                Diagnostic::error("TG1307", message, template.place(&place))
                    .object(id.to_owned())
                    .help("commit the definition as JSON or YAML, or name an object in S3"),
            );
        }
    }
}

/// Names archives by digest in evaluated resources; gives those that are named.
pub(crate) fn place_artifacts(
    resource: &mut CloudFormationResource,
    packed: &mut Packed,
) -> Vec<Artifact> {
    let property = match resource.resource_type.as_str() {
        "AWS::Lambda::Function" => "Code",
        "AWS::Lambda::LayerVersion" => "Content",
        _ => return Vec::new(),
    };
    let runtime = resource.properties.get("Runtime").and_then(Value::as_str);
    let runtime = runtime.unwrap_or_default().to_owned();
    let Some(Value::Object(code)) = resource.properties.get_mut(property) else {
        return Vec::new();
    };
    if let Some(Value::String(text)) = code.get("ZipFile") {
        let name = if runtime.starts_with("python") {
            "index.py"
        } else {
            "index.js"
        };
        let Ok(artifact) = archive_text(name, text) else {
            return Vec::new();
        };
        code.remove("ZipFile");
        name_artifact(code, &artifact);
        return vec![artifact];
    }
    let is_ours = code.get("S3Bucket").and_then(Value::as_str) == Some(BUCKET);
    let key = code.get("S3Key").and_then(Value::as_str);
    let Some(artifact) = key
        .filter(|_| is_ours)
        .and_then(|key| packed.by_key.get(key))
    else {
        return Vec::new();
    };
    let artifact = artifact.clone();
    code.remove("S3Bucket");
    code.remove("S3Key");
    name_artifact(code, &artifact);
    vec![artifact]
}

fn name_artifact(code: &mut Map<String, Value>, artifact: &Artifact) {
    let named = json!({"Sha256": artifact.sha256, "Size": artifact.bytes.len()});
    code.insert(ARTIFACT.to_owned(), named);
}
