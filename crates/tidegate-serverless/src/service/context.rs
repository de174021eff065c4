//! What the parts of a service are compiled against, and what they compile into.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::{Artifact, AwsEnvironment, FileTree};
use tidegate_yaml::{Key, Node, Span};

use super::names;
use crate::Template;

/// A service whose variables are resolved.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// `service`.
    pub(crate) service: String,
    /// The stage in force.
    pub(crate) stage: String,
    /// The region in force.
    pub(crate) region: String,
    /// The whole configuration.
    pub(crate) root: Node,
    /// `provider`.
    pub(crate) provider: Node,
    /// The functions in document order.
    pub(crate) functions: Vec<Function>,
    /// What the operator gave.
    pub(crate) environment: &'a AwsEnvironment,
    /// Repository, commit and path.
    pub(crate) origin: &'a Origin,
    /// The files of the repository.
    pub(crate) tree: &'a dyn FileTree,
    /// The folder of the service.
    pub(crate) directory: &'a str,
}

/// An alias that a function is invoked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alias {
    /// The alias' own name.
    pub(crate) name: &'static str,
    /// The logical id.
    pub(crate) logical_id: String,
}

/// A function of a service.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// The key in `functions`.
    pub(crate) key: String,
    /// The name in Lambda.
    pub(crate) name: String,
    /// The logical id.
    pub(crate) logical_id: String,
    /// What is written below the key.
    pub(crate) settings: Node,
    /// The place of the key.
    pub(crate) at: Span,
    /// The alias that events target.
    pub(crate) alias: Option<Alias>,
    /// The condition of everything that the function makes.
    pub(crate) condition: Option<String>,
}

impl Function {
    /// The entries of `events`.
    pub(crate) fn events(&self) -> &[Node] {
        match self.settings.get("events").map(|events| &events.value) {
            Some(tidegate_yaml::Value::Sequence(events)) => events,
            _ => &[],
        }
    }

    /// A setting that counts in JavaScript's sense: not null, false, zero or empty text.
    pub(crate) fn setting(&self, key: &str) -> Option<&Node> {
        self.settings.get(key).filter(|node| is_truthy(node))
    }

    /// A resource of the function: it has the function's condition.
    pub(crate) fn conditional(&self, mut resource: Value) -> Value {
        if let (Some(condition), Some(map)) = (&self.condition, resource.as_object_mut()) {
            map.insert("Condition".to_owned(), Value::from(condition.as_str()));
        }
        resource
    }
}

/// Whether a value counts in JavaScript's sense.
pub(crate) fn is_truthy(node: &Node) -> bool {
    match &node.value {
        tidegate_yaml::Value::Null => false,
        tidegate_yaml::Value::Bool(flag) => *flag,
        tidegate_yaml::Value::Number(number) => number.as_f64() != Some(0.0),
        tidegate_yaml::Value::String(text) => !text.is_empty(),
        tidegate_yaml::Value::Sequence(_) | tidegate_yaml::Value::Mapping(_) => true,
    }
}

/// The entries of a mapping in document order; none for anything else.
pub(crate) fn entries(node: Option<&Node>) -> &[(Key, Node)] {
    match node.map(|node| &node.value) {
        Some(tidegate_yaml::Value::Mapping(entries)) => entries,
        _ => &[],
    }
}

/// The items of a sequence; none for anything else.
pub(crate) fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(tidegate_yaml::Value::Sequence(items)) => items,
        _ => &[],
    }
}

/// Whether a node is a mapping.
pub(crate) fn is_mapping(node: &Node) -> bool {
    matches!(node.value, tidegate_yaml::Value::Mapping(_))
}

/// `[{Key, Value}]` of a mapping, in document order.
pub(crate) fn tag_list<'n>(tags: impl Iterator<Item = (&'n str, &'n Node)>) -> Value {
    let list = tags.map(|(key, value)| json!({"Key": key, "Value": value.to_json()}));
    Value::Array(list.collect())
}

impl Context<'_> {
    /// The place of a node.
    pub(crate) fn place(&self, node: &Node) -> Origin {
        self.place_of(node.span)
    }

    /// The place of a span.
    pub(crate) fn place_of(&self, span: Span) -> Origin {
        Origin {
            line: span.line,
            column: span.column,
            ..self.origin.clone()
        }
    }

    /// The function of a key.
    pub(crate) fn function(&self, key: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.key == key)
    }

    /// What invokes a function: its ARN, or that of its alias.
    pub(crate) fn target(&self, function: &Function) -> Value {
        let arn = json!({"Fn::GetAtt": [function.logical_id, "Arn"]});
        match &function.alias {
            Some(alias) => json!({"Fn::Join": [":", [arn, alias.name]]}),
            None => arn,
        }
    }

    /// A setting of the provider, by its path.
    pub(crate) fn setting(&self, path: &[&str]) -> Option<&Node> {
        self.provider.at(path).filter(|node| is_truthy(node))
    }

    /// The runtime of a function.
    pub(crate) fn runtime(&self, function: &Function) -> String {
        let runtime = function
            .setting("runtime")
            .or_else(|| self.setting(&["runtime"]));
        let runtime = runtime.and_then(Node::as_str);
        runtime.unwrap_or("nodejs24.x").to_owned()
    }

    /// The role that the service names for a function, instead of the default role.
    pub(crate) fn custom_role<'s>(&'s self, function: &'s Function) -> Option<&'s Node> {
        if let Some(role) = function.setting("role") {
            return Some(role);
        }
        let role = self.provider.at(&["iam", "role"]);
        role.filter(|role| is_existing_role(role))
            .or_else(|| self.provider.get("role"))
            .filter(|role| is_truthy(role))
    }

    /// The logical id of a function's role, when it lies in the template.
    pub(crate) fn role_name(&self, function: &Function) -> Option<String> {
        let Some(role) = self.custom_role(function) else {
            return Some(names::ROLE.to_owned());
        };
        if let Some(text) = role.as_str() {
            return (!text.contains(':')).then(|| text.to_owned());
        }
        if let Some(parts) = role.get("Fn::GetAtt") {
            let parts: Vec<Option<&str>> = items(Some(parts)).iter().map(Node::as_str).collect();
            if let [Some(id), Some("Arn")] = parts.as_slice() {
                return Some((*id).to_owned());
            }
        }
        let is_elsewhere = ["Fn::ImportValue", "Ref", "Fn::Sub"]
            .iter()
            .any(|name| role.get(name).is_some());
        (!is_elsewhere).then(|| names::ROLE.to_owned())
    }
}

/// Whether `provider.iam.role` names a role instead of describing the default one.
pub(crate) fn is_existing_role(role: &Node) -> bool {
    role.as_str().is_some()
        || entries(Some(role))
            .iter()
            .any(|(key, _)| key.text.contains("::"))
}

/// The template that a service compiles into.
#[derive(Debug, Default)]
pub(crate) struct Composer {
    /// Everything beside resources and outputs: conditions, parameters, …
    pub(crate) body: Map<String, Value>,
    /// The resources.
    pub(crate) resources: Map<String, Value>,
    /// The logical ids in the order in which they were added.
    pub(crate) order: Vec<String>,
    /// The outputs.
    pub(crate) outputs: Map<String, Value>,
    /// Archives by the key under which the template names them.
    pub(crate) archives: BTreeMap<String, Artifact>,
    /// What is wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
    places: BTreeMap<String, Node>,
}

impl Composer {
    /// Adds a resource, or puts it in the place of one: `at` is what it stems from.
    pub(crate) fn resource(&mut self, id: impl Into<String>, resource: Value, at: Span) {
        let id = id.into();
        let place = Node {
            value: tidegate_yaml::Value::Null,
            span: at,
        };
        self.places.insert(id.clone(), place);
        if self.resources.insert(id.clone(), resource).is_none() {
            self.order.push(id);
        }
    }

    /// Tells where a resource and all in it is written.
    pub(crate) fn written(&mut self, id: &str, node: &Node) {
        self.places.insert(id.to_owned(), node.clone());
        if !self.order.iter().any(|known| known == id) {
            self.order.push(id.to_owned());
        }
    }

    /// Adds an output.
    pub(crate) fn output(&mut self, id: impl Into<String>, output: Value) {
        self.outputs.insert(id.into(), output);
    }

    /// Whether the template has the default role.
    pub(crate) fn has_role(&self) -> bool {
        self.resources.contains_key(names::ROLE)
    }

    /// The statements of the default role's policy, when the template has it.
    pub(crate) fn statements(&mut self) -> Option<&mut Vec<Value>> {
        let role = self.resources.get_mut(names::ROLE)?;
        role.pointer_mut("/Properties/Policies/0/PolicyDocument/Statement")?
            .as_array_mut()
    }

    /// Adds a statement to the default role, if the template has it.
    pub(crate) fn statement(&mut self, statement: Value) {
        if let Some(statements) = self.statements() {
            statements.push(statement);
        }
    }

    /// Adds a statement that is not there yet.
    pub(crate) fn statement_once(&mut self, statement: Value) {
        if let Some(statements) = self.statements()
            && !statements.contains(&statement)
        {
            statements.push(statement);
        }
    }

    /// Adds managed policies to the default role, if the template has it.
    pub(crate) fn managed_policies(&mut self, policies: Vec<Value>) {
        let role = self.resources.get_mut(names::ROLE);
        let properties = role.and_then(|role| role.get_mut("Properties"));
        let Some(properties) = properties.and_then(Value::as_object_mut) else {
            return;
        };
        if policies.is_empty() {
            return;
        }
        let list = properties
            .entry("ManagedPolicyArns")
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = list.as_array_mut() {
            list.extend(policies);
        }
    }

    /// Tells an error; `help` says what to do.
    pub(crate) fn error(&mut self, code: &str, message: String, place: Origin, help: &str) {
        let found = Diagnostic::error(code, message, place).help(help);
        self.diagnostics.push(found);
    }

    /// Tells a warning.
    pub(crate) fn warn(&mut self, code: &str, message: String, place: Origin, help: &str) {
        let found = Diagnostic::warning(code, message, place).help(help);
        self.diagnostics.push(found);
    }

    /// The finished template, and the archives and findings beside it.
    pub(crate) fn finish(self, origin: &Origin) -> Template {
        let mut body = self.body;
        body.insert("Resources".to_owned(), Value::Object(self.resources));
        body.insert("Outputs".to_owned(), Value::Object(self.outputs));
        let mut places = self.places;
        let resources = self.order.iter().filter_map(|id| {
            let node = places.remove(id)?;
            let key = Key {
                text: id.as_str().into(),
                span: node.span,
            };
            Some((key, node))
        });
        let resources = Node {
            value: tidegate_yaml::Value::Mapping(resources.collect()),
            span: Span::default(),
        };
        let key = Key {
            text: "Resources".into(),
            span: Span::default(),
        };
        let root = Node {
            value: tidegate_yaml::Value::Mapping(vec![(key, resources)]),
            span: Span::default(),
        };
        Template::of_node(root, origin).derived(Value::Object(body), self.order)
    }
}
