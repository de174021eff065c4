//! What holds for a service as a whole: its parts in one form, its schema, its plugins, and what the
//! framework or AWS no longer offers.

use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::AwsEnvironment;
use tidegate_yaml::{Key, Node, Value};

use super::context::{entries, is_mapping, items};
use super::schema::{self, Mistake};
use super::variables::string;

/// Plugins that leave the template alone.
const HARMLESS: &[&str] = &[
    "serverless-offline",
    "serverless-offline-sqs",
    "serverless-offline-sns",
    "serverless-offline-kinesis",
    "serverless-offline-dynamodb-streams",
    "serverless-offline-ssm",
    "serverless-offline-scheduler",
    "serverless-dynamodb-local",
    "serverless-dynamodb",
    "serverless-s3-local",
    "serverless-localstack",
    "serverless-dotenv-plugin",
    "serverless-prune-plugin",
    "serverless-export-env",
    "serverless-manifest-plugin",
    "serverless-stack-output",
    "serverless-plugin-git-variables",
    "serverless-scriptable-plugin",
    "serverless-hooks-plugin",
    "serverless-plugin-scripts",
    "serverless-openapi-documentation",
    "serverless-s3-sync",
    "serverless-mocha-plugin",
    "serverless-jest-plugin",
    "serverless-finch",
    "serverless-sam",
];
/// Plugins that build code; a ready artefact takes their place.
const BUILDERS: &[&str] = &[
    "serverless-webpack",
    "serverless-esbuild",
    "serverless-bundle",
    "serverless-plugin-typescript",
    "serverless-plugin-optimize",
    "serverless-plugin-include-dependencies",
    "serverless-python-requirements",
    "serverless-rust",
    "serverless-go-plugin",
    "serverless-golang",
    "serverless-dotnet",
    "serverless-plugin-ncc",
    "serverless-jetpack",
    "serverless-package-python-functions",
    "serverless-build-plugin",
    "serverless-plugin-swift",
    "serverless-ruby-package",
];
/// Runtimes that Lambda no longer offers for new functions.
const RETIRED: &[&str] = &[
    "dotnetcore1.0",
    "dotnetcore2.0",
    "dotnetcore2.1",
    "dotnetcore3.1",
    "dotnet6",
    "go1.x",
    "java8",
    "nodejs4.3",
    "nodejs6.10",
    "nodejs8.10",
    "nodejs10.x",
    "nodejs12.x",
    "nodejs14.x",
    "nodejs16.x",
    "nodejs18.x",
    "provided",
    "python2.7",
    "python3.6",
    "python3.7",
    "python3.8",
    "python3.9",
    "ruby2.5",
    "ruby2.7",
    "ruby3.2",
];

/// Findings about a service, with their places.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) all: Vec<Diagnostic>,
}

impl Findings<'_> {
    fn place(&self, node: &Node) -> Origin {
        Origin {
            line: node.span.line,
            column: node.span.column,
            ..self.origin.clone()
        }
    }

    fn error(&mut self, code: &str, message: String, at: &Node, help: &str) {
        let found = Diagnostic::error(code, message, self.place(at)).help(help);
        self.all.push(found);
    }

    pub(crate) fn wrong(&mut self, message: String, at: &Node) {
        self.error("TG1507", message, at, "change one of the settings");
    }

    fn warn(&mut self, code: &str, message: String, at: &Node, help: &str) {
        let found = Diagnostic::warning(code, message, self.place(at)).help(help);
        self.all.push(found);
    }
}

/// Brings a service into one form and checks it.
pub(crate) fn check(root: &mut Node, environment: &AwsEnvironment, findings: &mut Findings<'_>) {
    let file = findings
        .origin
        .path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    if let Some(name) = root
        .get("provider")
        .and_then(Node::as_str)
        .map(str::to_owned)
    {
        set(root, "provider", mapping(vec![("name", string(&name))]));
    }
    let service = root.get("service").cloned().unwrap_or_default();
    if is_mapping(&service) {
        let message = "Object notation for \"service\" property is not supported. Set \"service\" property directly with service name.";
        findings.error(
            "TG1506",
            message.to_owned(),
            &service,
            "write `service: NAME`",
        );
        return;
    }
    let name = root.at(&["provider", "name"]);
    if name.is_none_or(|name| !is_scalar(name)) {
        let message = "Invalid service configuration: \"provider.name\" property is missing";
        let at = root.get("provider").unwrap_or(root);
        findings.error("TG1506", message.to_owned(), at, "write `name: aws`");
        return;
    }
    let service = root.get("service");
    if service.is_none_or(|node| node.value == Value::Null) {
        let message = format!("\"service\" property is missing in {file}");
        findings.error("TG1506", message, root, "add it");
        return;
    }
    for name in ["functions", "resources"] {
        merge_list(root, name, findings);
    }
    if let Some((message, at)) = function_shapes(root) {
        findings.error("TG1506", message, &at, "write a mapping of settings");
        return;
    }
    let provider = root.at(&["provider", "name"]).and_then(Node::as_str);
    if provider.is_some_and(|provider| provider != "aws") {
        let message = format!(
            "the provider {:?} is not supported",
            provider.unwrap_or_default()
        );
        findings.error(
            "TG1506",
            message,
            root.get("provider").unwrap_or(root),
            "only `aws` is",
        );
        return;
    }
    plugins(root, environment, findings);
    let mistakes = schema::check(root);
    tell(root, mistakes, findings);
    stage(environment, findings);
    super::durable::check(root, findings);
    runtimes(root, findings);
    deprecated(root, findings);
}

fn is_scalar(node: &Node) -> bool {
    let (Value::Null | Value::Mapping(_) | Value::Sequence(_)) = node.value else {
        return true;
    };
    false
}

/// Functions are a mapping of mappings: the first that is none, as the framework tells it.
fn function_shapes(root: &Node) -> Option<(String, Node)> {
    let inspected = |node: &Node| match &node.to_json() {
        serde_json::Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    };
    let functions = root.get("functions")?;
    let Value::Mapping(entries) = &functions.value else {
        let is_nothing = matches!(
            functions.to_json(),
            serde_json::Value::Null | serde_json::Value::Bool(false)
        );
        let is_wrong = !is_nothing && is_scalar(functions) && functions.as_str() != Some("");
        return is_wrong.then(|| {
            let message = format!(
                "Unexpected \"functions\" configuration: Expected object received: {}",
                inspected(functions)
            );
            (message, functions.clone())
        });
    };
    let (name, function) = entries.iter().find(|(_, function)| is_scalar(function))?;
    let message = format!(
        "Unexpected \"{}\" function configuration: Expected object received {})",
        name.text,
        inspected(function)
    );
    Some((message, function.clone()))
}

fn mapping(entries: Vec<(&str, Node)>) -> Node {
    let entries = entries.into_iter().map(|(key, node)| {
        let key = Key {
            text: key.into(),
            span: node.span,
        };
        (key, node)
    });
    Node {
        value: Value::Mapping(entries.collect()),
        ..Node::default()
    }
}

fn set(root: &mut Node, name: &str, mut node: Node) {
    let Value::Mapping(entries) = &mut root.value else {
        return;
    };
    if let Some((key, there)) = entries.iter_mut().find(|(key, _)| &*key.text == name) {
        node.span = key.span;
        *there = node;
    }
}

/// A list of mappings becomes one mapping.
fn merge_list(root: &mut Node, name: &str, findings: &mut Findings<'_>) {
    let Some(list) = root
        .get(name)
        .filter(|node| matches!(node.value, Value::Sequence(_)))
    else {
        return;
    };
    let mut merged = mapping(Vec::new());
    for item in items(Some(&list.clone())) {
        match &item.value {
            Value::Mapping(_) => merge(&mut merged, item),
            Value::Null | Value::Bool(false) => {}
            _ => {
                let message = format!(
                    "Non-object value specified in {name} array: {}",
                    item.to_json()
                );
                findings.error("TG1506", message, item, "write a mapping");
            }
        }
    }
    set(root, name, merged);
}

/// Mappings are merged key by key and lists item by item; anything else is replaced.
fn merge(target: &mut Node, source: &Node) {
    match (&mut target.value, &source.value) {
        (Value::Mapping(into), Value::Mapping(from)) => {
            for (key, value) in from {
                match into.iter_mut().find(|(known, _)| known.text == key.text) {
                    Some((_, there)) => merge(there, value),
                    None => into.push((key.clone(), value.clone())),
                }
            }
        }
        (Value::Sequence(into), Value::Sequence(from)) => {
            for (index, value) in from.iter().enumerate() {
                match into.get_mut(index) {
                    Some(there) => merge(there, value),
                    None => into.push(value.clone()),
                }
            }
        }
        _ => *target = source.clone(),
    }
}

/// How the framework that a service asks for takes mistakes of form: before version 4 it warned.
fn is_lenient(root: &Node) -> bool {
    match root.get("configValidationMode").and_then(Node::as_str) {
        Some(mode) => mode != "error",
        None => {
            let version = root
                .get("frameworkVersion")
                .and_then(Node::as_str)
                .unwrap_or_default();
            let version = version.trim_start_matches(['^', '~', '>', '=', 'v', ' ']);
            version.starts_with(['1', '2', '3'])
        }
    }
}

fn tell(root: &Node, mistakes: Vec<Mistake>, findings: &mut Findings<'_>) {
    let mode = root.get("configValidationMode").and_then(Node::as_str);
    if mode == Some("off") {
        return;
    }
    let is_lenient = is_lenient(root);
    let has_plugins = !plugin_names(root).is_empty();
    let help = "correct it, or remove it";
    for mistake in mistakes {
        let mut path: Vec<&str> = mistake.at.iter().map(String::as_str).collect();
        while root.at(&path).is_none() && path.pop().is_some() {}
        let node = root.at(&path).unwrap_or(root);
        let message = format!("Configuration error {}", mistake.message);
        // A plugin may know the property.
        if is_lenient || (has_plugins && mistake.is_unknown) {
            findings.warn("TG1506", message, node, help);
        } else {
            findings.error("TG1506", message, node, help);
        }
    }
}

fn stage(environment: &AwsEnvironment, findings: &mut Findings<'_>) {
    let Some(stage) = &environment.stage else {
        return;
    };
    let is_fine = !stage.is_empty()
        && stage
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_fine {
        let message =
            "Invalid stage name. Stage names may contain only ASCII letters, numbers, and hyphens.";
        findings.error(
            "TG1506",
            message.to_owned(),
            &Node::default(),
            "give another stage",
        );
    }
}

fn plugin_names(root: &Node) -> Vec<&Node> {
    let plugins = root.get("plugins");
    let list = plugins
        .and_then(|plugins| plugins.get("modules"))
        .or(plugins);
    items(list)
        .iter()
        .filter(|node| node.as_str().is_some())
        .collect()
}

fn plugins(root: &Node, environment: &AwsEnvironment, findings: &mut Findings<'_>) {
    for node in plugin_names(root) {
        let name = node.as_str().unwrap_or_default();
        let is_ignored = environment
            .ignored_plugins
            .iter()
            .any(|ignored| ignored == name);
        if is_ignored || HARMLESS.contains(&name) {
            let message = format!("the plugin {name} is passed over");
            findings.warn(
                "TG1508",
                message,
                node,
                "nothing to do: it leaves the template alone",
            );
        } else if BUILDERS.contains(&name) {
            builder(root, node, name, findings);
        } else {
            let message = format!(
                "the plugin {name} is not supported: plugins are programs, which are not run"
            );
            let help = "write what it generates into `resources`; if it leaves the template alone, name it in `ignoredPlugins`";
            findings.error("TG1508", message, node, help);
        }
    }
}

/// Code that a plugin would build must be there as an artefact.
fn builder(root: &Node, node: &Node, name: &str, findings: &mut Findings<'_>) {
    let has_artifact = |package: Option<&Node>| {
        package
            .and_then(|package| package.get("artifact"))
            .is_some()
    };
    let missing: Vec<&str> = entries(root.get("functions"))
        .iter()
        .filter(|(_, function)| is_mapping(function) && function.get("image").is_none())
        .filter(|(_, function)| !has_artifact(function.get("package")))
        .map(|(key, _)| &*key.text)
        .collect();
    if has_artifact(root.get("package")) || missing.is_empty() {
        let message = format!("the plugin {name} is passed over: the artefacts are there");
        findings.warn("TG1508", message, node, "nothing to do");
    } else {
        let message = format!(
            "the plugin {name} would build the code of {}, and nothing is built on the way",
            missing.join(", ")
        );
        let help = "commit the built archive, or put it into S3, and name it in `package.artifact`";
        findings.error("TG1508", message, node, help);
    }
}

fn runtimes(root: &Node, findings: &mut Findings<'_>) {
    let functions = entries(root.get("functions")).iter();
    let all = functions
        .map(|(_, function)| function)
        .chain(root.get("provider"));
    for node in all.filter_map(|node| node.get("runtime")) {
        let name = node.as_str().unwrap_or_default();
        if RETIRED.contains(&name) {
            let message = format!("Lambda no longer offers the runtime {name} for new functions");
            findings.warn("TG1509", message, node, "move to a later runtime");
        }
    }
}

fn deprecated(root: &Node, findings: &mut Findings<'_>) {
    const MOVED: &[(&[&str], &str)] = &[
        (&["role"], "provider.iam.role"),
        (
            &["rolePermissionsBoundary"],
            "provider.iam.role.permissionsBoundary",
        ),
        (
            &["iam", "role", "permissionBoundary"],
            "provider.iam.role.permissionsBoundary",
        ),
        (&["iamManagedPolicies"], "provider.iam.role.managedPolicies"),
        (&["iamRoleStatements"], "provider.iam.role.statements"),
        (&["cfnRole"], "provider.iam.deploymentRole"),
    ];
    let provider = root.get("provider");
    for (path, place) in MOVED {
        if let Some(node) = provider.and_then(|provider| provider.at(path)) {
            let message = format!("provider.{} is deprecated", path.join("."));
            findings.warn("TG1509", message, node, &format!("move it to {place}"));
        }
    }
}
