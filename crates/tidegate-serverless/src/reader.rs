//! Templates and services among the files of a directory.

use std::sync::Arc;

use serde_json::Value;
use tidegate_manifest::{CloudFormationResource, Diagnostic, Object, Origin, Renderer};
use tidegate_render::walk::join;
use tidegate_render::{
    Artifact, AwsEnvironment, DocumentReader, RenderInput, Rendered, RenderedTemplate,
};
use tidegate_yaml::{Node, ParseOptions};

use crate::packaging::{Packed, pack_local, place_artifacts};
use crate::sam::{SamOptions, TRANSFORM, transform};
use crate::{Template, cloudformation, handler, service};

/// Reads CloudFormation and SAM templates, and services of the Serverless Framework.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateReader;

/// Names that are a service whatever they hold.
const SERVICE_FILES: &[&str] = &["serverless.yml", "serverless.yaml", "serverless.json"];
/// Services that are programs.
const SERVICE_PROGRAMS: &[&str] = &[
    "serverless.ts",
    "serverless.js",
    "serverless.mjs",
    "serverless.cjs",
];

impl DocumentReader for TemplateReader {
    fn wants(&self, name: &str) -> bool {
        name.ends_with(".template") || SERVICE_PROGRAMS.contains(&name)
    }

    fn claims(&self, path: &str, bytes: &[u8]) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        if SERVICE_PROGRAMS.contains(&name) {
            return true;
        }
        if SERVICE_FILES.contains(&name) {
            return parse(bytes).is_none_or(|root| {
                root.get("service").is_some() || root.get("provider").is_some()
            });
        }
        // Cheap before exact: most files of a repository are manifests.
        let holds = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
        holds(b"Resources") && holds(b"::") && parse(bytes).is_some_and(|root| is_template(&root))
    }

    fn read(&self, input: &RenderInput, path: &str, bytes: &[u8]) -> Rendered {
        let name = path.rsplit('/').next().unwrap_or(path);
        let origin = |renderer: Renderer| Origin {
            path: path.to_owned(),
            line: 0,
            column: 0,
            renderer,
            ..input.origin.clone()
        };
        if SERVICE_PROGRAMS.contains(&name) {
            let message = format!("{name} is a program, which is not run");
            let found = Diagnostic::error("TG1501", message, origin(Renderer::Serverless))
                .help("write the service as serverless.yml");
            return failed(vec![found]);
        }
        if SERVICE_FILES.contains(&name) {
            return read_service(input, path, bytes, &origin(Renderer::Serverless));
        }
        let template = match Template::parse(bytes, &origin(Renderer::Cloudformation)) {
            Ok(template) => template,
            Err(found) => return failed(found),
        };
        let undeclared = undeclared_sam(&template);
        if template.has_transform(TRANSFORM) || undeclared.is_some() {
            let mut template = template;
            template.origin.renderer = Renderer::Sam;
            let mut rendered = read_sam(input, path, &template);
            rendered.diagnostics.extend(undeclared);
            rendered
        } else {
            let (template, packed) = pack_local(&template, &*input.tree, directory_of(path));
            finish(input, path, &template, &input.aws, &stack_of(input), packed)
        }
    }
}

/// A template with resources of SAM and without its transform is taken for SAM's all the same.
fn undeclared_sam(template: &Template) -> Option<Diagnostic> {
    if template.has_transform(TRANSFORM) {
        return None;
    }
    let is_sam = |body: &Value| {
        let kind = body.get("Type").and_then(Value::as_str);
        kind.is_some_and(|kind| kind.starts_with("AWS::Serverless::"))
    };
    let resources = template.resources();
    let (id, _) = resources.iter().find(|(_, body)| is_sam(body))?;
    let message =
        format!("{id} is a resource of SAM, and the template does not name its transform");
    let place = template.place(&["Resources", id, "Type"]);
    let help = format!(
        "write `Transform: {TRANSFORM}` at the top: CloudFormation itself refuses the template without it"
    );
    Some(
        Diagnostic::warning("TG1402", message, place)
            .object((*id).to_owned())
            .help(help),
    )
}

fn failed(diagnostics: Vec<Diagnostic>) -> Rendered {
    Rendered {
        diagnostics,
        ..Rendered::default()
    }
}

fn parse(bytes: &[u8]) -> Option<Node> {
    tidegate_yaml::parse_one(bytes, &ParseOptions::cloudformation()).ok()
}

/// Whether a document is a template: resources with types, and nothing of a manifest.
fn is_template(root: &Node) -> bool {
    if root.get("apiVersion").is_some() || root.get("kind").is_some() {
        return false;
    }
    let Some(resources) = root.get("Resources") else {
        return false;
    };
    let tidegate_yaml::Value::Mapping(entries) = &resources.value else {
        return false;
    };
    let is_typed = entries.iter().any(|(_, node)| {
        let kind = node.get("Type").and_then(Node::as_str);
        kind.is_some_and(|kind| kind.contains("::"))
    });
    is_typed || root.get("AWSTemplateFormatVersion").is_some() || root.get("Transform").is_some()
}

fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn stack_of(input: &RenderInput) -> String {
    let given = input.aws.stack_name.clone();
    given.unwrap_or_else(|| input.application.clone())
}

fn read_sam(input: &RenderInput, path: &str, template: &Template) -> Rendered {
    let environment = with_samconfig(input, path);
    let (template, mut packed) = pack_local(template, &*input.tree, directory_of(path));
    let is_packed = !packed.diagnostics.iter().any(Diagnostic::is_error);
    let options = SamOptions::of(&environment);
    match transform(&template, &options) {
        Ok(_) if !is_packed => failed(packed.diagnostics),
        Ok((transformed, warnings)) => {
            packed.diagnostics.extend(warnings);
            finish(
                input,
                path,
                &transformed,
                &environment,
                &stack_of(input),
                packed,
            )
        }
        Err(mut found) => {
            found.extend(packed.diagnostics);
            failed(found)
        }
    }
}

fn read_service(input: &RenderInput, path: &str, bytes: &[u8], origin: &Origin) -> Rendered {
    let composed = service::compose(&input.tree, path, bytes, &input.aws, origin);
    let mut packed = Packed {
        by_key: composed.archives,
        diagnostics: composed.diagnostics,
    };
    match composed.template {
        Some(template) if !packed.diagnostics.iter().any(Diagnostic::is_error) => {
            let stack = input.aws.stack_name.clone().unwrap_or(composed.stack);
            let environment = AwsEnvironment {
                parameters: composed.parameters,
                ..(*input.aws).clone()
            };
            finish(input, path, &template, &environment, &stack, packed)
        }
        Some(_) | None => failed(std::mem::take(&mut packed.diagnostics)),
    }
}

/// Evaluates a finished template into objects.
fn finish(
    input: &RenderInput,
    path: &str,
    template: &Template,
    environment: &AwsEnvironment,
    stack: &str,
    mut packed: Packed,
) -> Rendered {
    let evaluated = cloudformation::evaluate(template, environment, stack);
    let mut rendered = Rendered {
        templates: vec![RenderedTemplate {
            path: path.to_owned(),
            body: template.body.clone(),
        }],
        diagnostics: std::mem::take(&mut packed.diagnostics),
        ..Rendered::default()
    };
    rendered.diagnostics.extend(evaluated.diagnostics);
    for (mut resource, origin) in evaluated.resources {
        let is_inline = resource
            .properties
            .get("Code")
            .is_some_and(|code| code.get("ZipFile").is_some());
        let artifacts = place_artifacts(&mut resource, &mut packed);
        if let [artifact] = artifacts.as_slice()
            && resource.resource_type == "AWS::Lambda::Function"
            && !is_inline
        {
            let found = check_handler(template, &resource, artifact);
            rendered.diagnostics.extend(found);
        }
        rendered.artifacts.extend(artifacts);
        match Object::from_body(resource.to_body(), Arc::clone(&origin)) {
            Ok(object) => rendered.objects.push(object),
            Err(errors) => rendered.diagnostics.extend(errors.into_iter().map(|error| {
                Diagnostic::error("TG1303", error.message, (*origin).clone())
                    .object(resource.logical_id.clone())
                    .help(error.help)
            })),
        }
    }
    rendered.artifacts.sort_by(|a, b| a.sha256.cmp(&b.sha256));
    rendered.artifacts.dedup();
    let _ = input;
    rendered
}

/// The code of a finding that a template renders with, as the reference tools do, and that must not be deployed: the
/// function would be Active and fail at every event. Whoever applies what was rendered takes it as an error.
pub const UNLOADABLE_HANDLER: &str = "TG1308";

/// The handler's module must be in the function's archive.
fn check_handler(
    template: &Template,
    function: &CloudFormationResource,
    artifact: &Artifact,
) -> Option<Diagnostic> {
    let id = function.logical_id.as_str();
    let missing = handler::check(id, &function.properties, artifact)?;
    let place = template.place(&["Resources", id, "Properties", "Handler"]);
    let found = Diagnostic::warning(UNLOADABLE_HANDLER, missing.message, place);
    Some(found.object(id.to_owned()).help(missing.help))
}

/// Largest `samconfig.toml` that is read.
const SAMCONFIG_MAX: u64 = 1 << 20;

/// Parameter values of a `samconfig.toml` beside the template; values that were given count more.
fn with_samconfig(input: &RenderInput, path: &str) -> AwsEnvironment {
    let mut environment = (*input.aws).clone();
    let file = join(directory_of(path), "samconfig.toml");
    let Ok(bytes) = input.tree.read(&file, SAMCONFIG_MAX) else {
        return environment;
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let Ok(parsed) = text.parse::<toml::Table>() else {
        return environment;
    };
    let parsed = serde_json::to_value(parsed).unwrap_or_default();
    let stages = [environment.stage.as_deref().unwrap_or("default"), "default"];
    for stage in stages {
        let overrides = parsed
            .get(stage)
            .and_then(|stage| stage.pointer("/deploy/parameters/parameter_overrides"));
        for (key, value) in overrides.map(pairs).unwrap_or_default() {
            environment.parameters.entry(key).or_insert(value);
        }
    }
    environment
}

/// `A=1 B="2 3"`, or a list of such, or a table.
fn pairs(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::String(text) => {
            let mut found = Vec::new();
            let mut rest = text.trim();
            while let Some((key, behind)) = rest.split_once('=') {
                let (value, after) = match behind.strip_prefix('"') {
                    Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                    None => behind
                        .split_once(char::is_whitespace)
                        .unwrap_or((behind, "")),
                };
                found.push((key.trim().to_owned(), value.to_owned()));
                rest = after.trim_start();
            }
            found
        }
        Value::Array(list) => list.iter().flat_map(pairs).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (key.clone(), text)
            })
            .collect(),
        _ => Vec::new(),
    }
}
