//! `serverless.yml`: a service of the Serverless Framework in, one CloudFormation template out.
//!
//! Variables are resolved first, then every part of the service adds its resources to a
//! `context::Composer`. Must not know: AWS clients, plugins' code.

mod configuration;
mod context;
mod core;
mod durable;
mod events;
mod functions;
mod image;
mod invocation;
mod layers;
mod load;
mod names;
mod package;
mod resources;
mod role;
mod schema;
mod text;
mod variables;
mod version;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::{Artifact, AwsEnvironment, FileTree};
use tidegate_yaml::Node;

use self::context::{Alias, Composer, Context, Function, entries, is_truthy};
use crate::Template;

/// What a service becomes.
#[derive(Debug, Default)]
pub struct Composed {
    /// The template; none when an error keeps it from being made.
    pub template: Option<Template>,
    /// The name of the stack: `<service>-<stage>` unless the service says one.
    pub stack: String,
    /// Values of the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Archives of code by the key under which the template names them.
    pub archives: BTreeMap<String, Artifact>,
    /// What is wrong, all at once.
    pub diagnostics: Vec<Diagnostic>,
}

/// Composes the template of the service at `path`.
pub fn compose(
    tree: &Arc<dyn FileTree>,
    path: &str,
    bytes: &[u8],
    environment: &AwsEnvironment,
    origin: &Origin,
) -> Composed {
    let root = match load::parse(bytes, origin) {
        Ok(root) => root,
        Err(diagnostics) => {
            return Composed {
                diagnostics,
                ..Composed::default()
            };
        }
    };
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let inputs = variables::Inputs {
        environment,
        tree: &**tree,
        directory,
        origin,
    };
    let (mut root, diagnostics) = variables::resolve(root, inputs);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Composed {
            diagnostics,
            ..Composed::default()
        };
    }
    let mut findings = configuration::Findings {
        origin,
        all: diagnostics,
    };
    configuration::check(&mut root, environment, &mut findings);
    let diagnostics = findings.all;
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Composed {
            diagnostics,
            ..Composed::default()
        };
    }
    let provider = root.get("provider").cloned().unwrap_or_default();
    let text = |path: &[&str]| root.at(path).and_then(Node::as_str).map(str::to_owned);
    let service = text(&["service"]).unwrap_or_default();
    let stage = environment
        .stage
        .clone()
        .or_else(|| text(&["provider", "stage"]));
    let stage = stage.unwrap_or_else(|| "dev".to_owned());
    let region = text(&["provider", "region"]).unwrap_or_else(|| environment.region.clone());
    let functions = functions_of(&root, &service, &stage);
    let context = Context {
        service,
        stage,
        region,
        provider,
        functions,
        environment,
        origin,
        tree: &**tree,
        directory,
        root,
    };
    composed(&context, diagnostics)
}

fn composed(context: &Context<'_>, diagnostics: Vec<Diagnostic>) -> Composed {
    let mut template = Composer::default();
    template.diagnostics = diagnostics;
    core::compile(context, &mut template);
    role::compile(context, &mut template);
    layers::compile(context, &mut template);
    functions::compile(context, &mut template);
    events::compile(context, &mut template);
    export_names(context, &mut template);
    resources::merge(context, &mut template);
    resources::strip_nulls(&mut template);
    let stack = context.setting(&["stackName"]).and_then(Node::as_str);
    let stack = stack.map_or_else(
        || format!("{}-{}", context.service, context.stage),
        str::to_owned,
    );
    Composed {
        stack,
        parameters: context.environment.parameters.clone(),
        archives: std::mem::take(&mut template.archives),
        diagnostics: std::mem::take(&mut template.diagnostics),
        template: Some(template.finish(context.origin)),
    }
}

/// The functions of a service; those that are null are none.
fn functions_of(root: &Node, service: &str, stage: &str) -> Vec<Function> {
    let functions = entries(root.get("functions")).iter();
    functions
        .filter(|(_, settings)| settings.value != tidegate_yaml::Value::Null)
        .map(|(key, settings)| {
            let name = settings.get("name").filter(|name| is_truthy(name));
            let name = name.and_then(Node::as_str).map(str::to_owned);
            Function {
                key: key.text.to_string(),
                name: name.unwrap_or_else(|| format!("{service}-{stage}-{}", key.text)),
                logical_id: names::function(&key.text),
                at: key.span,
                alias: alias(&key.text, settings),
                condition: settings
                    .get("condition")
                    .and_then(Node::as_str)
                    .map(str::to_owned),
                settings: settings.clone(),
            }
        })
        .collect()
}

fn alias(key: &str, settings: &Node) -> Option<Alias> {
    const ALIASES: &[(&str, &str, &str)] = &[
        ("durableConfig", "durable", "Durable"),
        ("provisionedConcurrency", "provisioned", "ProvConc"),
        ("snapStart", "snapstart", "SnapStart"),
    ];
    let (_, name, infix) = ALIASES
        .iter()
        .find(|(setting, _, _)| settings.get(setting).is_some_and(is_truthy))?;
    Some(Alias {
        name,
        logical_id: format!("{}{infix}LambdaAlias", names::normalize(key)),
    })
}

/// Gives every output a name under which other stacks import it.
fn export_names(context: &Context<'_>, template: &mut Composer) {
    for (key, output) in &mut template.outputs {
        if let Some(output) = output.as_object_mut()
            && !output.contains_key("Export")
        {
            let name = format!("sls-{}-{}-{key}", context.service, context.stage);
            output.insert("Export".to_owned(), json!({"Name": name}));
        }
    }
}
