//! The SAM transform: `AWS::Serverless::*` resources become what CloudFormation knows.
//!
//! The reference is what `aws-sam-translator` makes; the same resources, ids and hashes come out.
//! Out of scope, and refused in words: REST, HTTP and WebSocket APIs, nested applications, connectors.

mod capacity;
mod deployment;
mod edited;
mod event_rules;
mod events;
mod function;
mod globals;
mod hash;
mod invoke;
mod layer;
mod link;
mod location;
mod machine;
mod policies;
mod push;
mod resolve;
mod role;
mod rules;
mod table;
mod url;

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_manifest::Diagnostic;
use tidegate_render::AwsEnvironment;

use crate::Template;

/// The macro's name.
pub const TRANSFORM: &str = "AWS::Serverless-2016-10-31";

/// What a transform is made with.
#[derive(Clone, Debug, Default)]
pub struct SamOptions {
    /// The region.
    pub region: String,
    /// The partition.
    pub partition: String,
    /// Parameter values; defaults of the template stand for what is not given.
    pub parameters: BTreeMap<String, String>,
    /// Managed policies by name, before the bundled ones.
    pub managed_policies: BTreeMap<String, String>,
}

impl SamOptions {
    /// Options of an environment.
    pub fn of(environment: &AwsEnvironment) -> Self {
        Self {
            region: environment.region.clone(),
            partition: environment.partition().to_owned(),
            parameters: environment.parameters.clone(),
            managed_policies: BTreeMap::new(),
        }
    }
}

/// What is wrong, in SAM's words, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The resource in whose place it is shown.
    id: String,
    event: Option<String>,
    text: String,
}

pub(crate) type Made<T> = Result<T, Fault>;

impl Fault {
    /// A resource is wrong.
    pub(crate) fn new(id: &str, message: impl AsRef<str>) -> Self {
        let text = format!("Resource with id [{id}] is invalid. {}", message.as_ref());
        Self::whole(id, text)
    }

    /// Words as they are.
    pub(crate) fn whole(id: &str, text: String) -> Self {
        Self {
            id: id.to_owned(),
            event: None,
            text,
        }
    }

    /// The form of the template is wrong.
    pub(crate) fn structure(id: &str, message: &str) -> Self {
        let text = format!("Structure of the SAM template is invalid. {message}");
        Self::whole(id, text)
    }

    /// Shown at another resource than that of which it speaks.
    pub(crate) fn at_resource(self, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..self
        }
    }

    /// Shown at an event of the resource.
    pub(crate) fn at(self, owner: &str, event: &str) -> Self {
        Self {
            id: owner.to_owned(),
            event: Some(event.to_owned()),
            ..self
        }
    }
}

/// A transform on its way.
pub(crate) struct Sam<'t> {
    pub(crate) template: &'t Template,
    pub(crate) options: &'t SamOptions,
    /// Values of parameters, region and partition.
    pub(crate) values: BTreeMap<String, Value>,
    /// The template's resources, globals merged; events edit buckets in it.
    pub(crate) input: Map<String, Value>,
    pub(crate) output: Map<String, Value>,
    pub(crate) conditions: Map<String, Value>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Diagnostic>,
    /// `Fn.Alias` and its like: what `<id>.<name>` stands for.
    pub(crate) derived: BTreeMap<(String, String), String>,
    /// Layers whose ids got a hash.
    pub(crate) renamed: BTreeMap<String, String>,
    pub(crate) deployments: Vec<deployment::Preference>,
    /// What the resource that is being expanded has made, in order.
    pub(crate) made: Vec<(String, String)>,
    /// The resource that is being expanded.
    pub(crate) current: String,
    /// A mistake that ends the transform.
    pub(crate) fatal: OnceCell<String>,
    /// Destinations of `EventInvokeConfig` in `Globals`: the queue or topic that the first function made
    /// for `OnSuccess` or `OnFailure` is that of every function that takes it from there.
    pub(crate) shared: BTreeMap<&'static str, Value>,
}

/// A SAM resource that is being expanded.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'r> {
    pub(crate) id: &'r str,
    pub(crate) resource: &'r Value,
    pub(crate) properties: &'r Map<String, Value>,
}

impl<'r> Subject<'r> {
    pub(crate) fn get(&self, name: &str) -> Option<&'r Value> {
        self.properties.get(name).filter(|value| !value.is_null())
    }

    /// A property, unless Python takes it for false.
    pub(crate) fn some(&self, name: &str) -> Option<&'r Value> {
        self.get(name).filter(|value| is_truthy(value))
    }

    /// `Condition`, `DeletionPolicy`, `UpdateReplacePolicy`: copied to everything that is made.
    pub(crate) fn passed_on(&self) -> Map<String, Value> {
        let names = ["Condition", "DeletionPolicy", "UpdateReplacePolicy"];
        self.attributes(&names)
    }

    /// What the resource itself keeps.
    pub(crate) fn own(&self) -> Map<String, Value> {
        let mut found = self.attributes(&[
            "Condition",
            "DeletionPolicy",
            "UpdateReplacePolicy",
            "UpdatePolicy",
            "Metadata",
        ]);
        let depends = self.resource.get("DependsOn");
        if let Some(depends) = depends.filter(|depends| is_truthy(depends)) {
            found.insert("DependsOn".to_owned(), depends.clone());
        }
        found
    }

    fn attributes(&self, names: &[&str]) -> Map<String, Value> {
        let found = names.iter().filter_map(|name| {
            let value = self.resource.get(*name).filter(|value| !value.is_null())?;
            Some(((*name).to_owned(), value.clone()))
        });
        found.collect()
    }
}

/// Transforms a template.
///
/// # Errors
/// All mistakes of the template, in SAM's words, each at its place.
pub fn transform(
    template: &Template,
    options: &SamOptions,
) -> Result<(Template, Vec<Diagnostic>), Vec<Diagnostic>> {
    let resources = sound(template)?;
    let mut sam = Sam {
        template,
        options,
        values: resolve::values(template, options),
        input: resources.clone(),
        output: Map::new(),
        conditions: template.section("Conditions").cloned().unwrap_or_default(),
        faults: Vec::new(),
        warnings: Vec::new(),
        derived: BTreeMap::new(),
        renamed: BTreeMap::new(),
        deployments: Vec::new(),
        made: Vec::new(),
        current: String::new(),
        fatal: OnceCell::new(),
        shared: BTreeMap::new(),
    };
    let mappings = template.body.get("Mappings");
    if mappings.is_some_and(|mappings| !mappings.is_object()) {
        let text = "Structure of the SAM template is invalid. 'Mappings' or 'Parameters' is either null or not a valid dictionary.";
        let told = fault_at(template, &["Mappings"], text.to_owned(), "Mappings");
        return Err(vec![told]);
    }
    if let Err(message) = globals::merge(&mut sam) {
        return Err(vec![fault_at(template, &["Globals"], message, "Globals")]);
    }
    if !sam.faults.is_empty() {
        return Err(sam.told());
    }
    sam.expand();
    sam.add_deployments();
    if let Some(message) = sam.fatal.get() {
        let text = format!("Structure of the SAM template is invalid. {message}");
        let path = ["Resources", sam.current.as_str(), "Properties"];
        return Err(vec![fault_at(template, &path, text, &sam.current)]);
    }
    if !sam.faults.is_empty() {
        return Err(sam.told());
    }
    let warnings = std::mem::take(&mut sam.warnings);
    Ok((sam.finish(), warnings))
}

/// The resources, when the template has the form of one.
fn sound(template: &Template) -> Result<&Map<String, Value>, Vec<Diagnostic>> {
    let wrong = |path: &[&str], text: &str| {
        let subject = path.get(1).copied().unwrap_or("template");
        Err(vec![fault_at(template, path, text.to_owned(), subject)])
    };
    let required = "Structure of the SAM template is invalid. 'Resources' section is required";
    let Some(resources) = template.section("Resources").filter(|all| !all.is_empty()) else {
        return wrong(&["Resources"], required);
    };
    for (id, resource) in template.resources() {
        if !resource.is_object() {
            let text = "Structure of the SAM template is invalid. All 'Resources' must be Objects. If you're using YAML, this may be an indentation issue.";
            return wrong(&["Resources", id], text);
        }
    }
    for (id, resource) in template.resources() {
        let condition = resource.get("Condition").unwrap_or(&Value::Null);
        if !condition.is_string() && is_truthy(condition) {
            let text = "Structure of the SAM template is invalid. Every Condition member must be a string.";
            return wrong(&["Resources", id, "Condition"], text);
        }
        let kind = resource.get("Type").and_then(Value::as_str);
        let properties = resource.get("Properties");
        if kind.is_some_and(|kind| kind.starts_with("AWS::Serverless::"))
            && properties.is_some_and(|value| !value.is_object())
        {
            let text = format!(
                "Resource with id [{id}] is invalid. Attribute 'Properties' should be a map."
            );
            return wrong(&["Resources", id, "Properties"], &text);
        }
    }
    Ok(resources)
}

fn fault_at(template: &Template, path: &[&str], message: String, subject: &str) -> Diagnostic {
    Diagnostic::error("TG1401", message, template.place(path))
        .object(subject.to_owned())
        .help("correct the property; the SAM specification has its form")
}

/// Types that are out of scope, and what to do.
const REFUSED: &[(&str, &str)] = &[
    (
        "AWS::Serverless::Api",
        "deploy the API by itself, and name the function by its ARN",
    ),
    (
        "AWS::Serverless::HttpApi",
        "deploy the API by itself, and name the function by its ARN",
    ),
    (
        "AWS::Serverless::WebSocketApi",
        "deploy the API by itself, and name the function by its ARN",
    ),
    (
        "AWS::Serverless::WebFunction",
        "write an AWS::Serverless::Function",
    ),
    (
        "AWS::Serverless::MicrovmImage",
        "write the AWS::Lambda::MicrovmImage resource",
    ),
    (
        "AWS::Serverless::NetworkConnector",
        "write the AWS::Lambda::NetworkConnector resource",
    ),
    (
        "AWS::Serverless::Application",
        "make the nested application an Application of its own",
    ),
    (
        "AWS::Serverless::Connector",
        "write the policy into the function's Policies",
    ),
    (
        "AWS::Serverless::GraphQLApi",
        "write the AWS::AppSync resources",
    ),
    (
        "AWS::Serverless::CapacityProvider",
        "write the AWS::Lambda::CapacityProvider resource",
    ),
];

impl Sam<'_> {
    /// What is wrong, each at its place, in the order in which it was found and once.
    fn told(&self) -> Vec<Diagnostic> {
        let tell = |fault: &Fault| {
            let mut path = vec!["Resources", fault.id.as_str(), "Properties"];
            if let Some(event) = &fault.event {
                path.extend(["Events", event.as_str()]);
            }
            fault_at(self.template, &path, fault.text.clone(), &fault.id)
        };
        let mut found: Vec<Diagnostic> = Vec::new();
        for fault in &self.faults {
            if found.iter().all(|known| known.message != fault.text) {
                found.push(tell(fault));
            }
        }
        found
    }

    /// Functions first, then state machines, then the rest, each in the order of the document.
    fn expand(&mut self) {
        let ids: Vec<(String, String)> = self
            .template
            .resources()
            .iter()
            .map(|(id, body)| {
                let kind = body.get("Type").and_then(Value::as_str);
                ((*id).to_owned(), kind.unwrap_or_default().to_owned())
            })
            .collect();
        let rank = |kind: &str| match kind {
            "AWS::Serverless::Function" => 0,
            "AWS::Serverless::StateMachine" => 1,
            _ => 2,
        };
        for wanted in 0..3 {
            for (id, kind) in ids.iter().filter(|(_, kind)| rank(kind) == wanted) {
                let Some(resource) = self.input.get(id).cloned() else {
                    continue;
                };
                self.made.clear();
                id.clone_into(&mut self.current);
                if let Err(fault) = self.expand_one(id, kind, &resource) {
                    self.faults.push(fault);
                }
                if self.fatal.get().is_some() {
                    return;
                }
            }
        }
    }

    fn expand_one(&mut self, id: &str, kind: &str, resource: &Value) -> Made<()> {
        if !kind.starts_with("AWS::Serverless::") {
            // Events may have edited it meanwhile; what they made stays.
            let current = self.input.get(id).cloned().unwrap_or_default();
            self.output.entry(id.to_owned()).or_insert(current);
            return Ok(());
        }
        let empty = Map::new();
        let properties = match resource.get("Properties") {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(properties)) => properties,
            Some(_) => {
                return Err(Fault::new(
                    id,
                    "Properties of a resource must be an object.",
                ));
            }
        };
        let subject = Subject {
            id,
            resource,
            properties,
        };
        if let Some((_, help)) = REFUSED.iter().find(|(name, _)| *name == kind) {
            let message = format!("{kind} is not transformed by this build");
            return Err(Fault::new(id, format!("{message}: {help}")));
        }
        match kind {
            "AWS::Serverless::Function" => self.function(&subject),
            "AWS::Serverless::SimpleTable" => self.table(&subject),
            "AWS::Serverless::LayerVersion" => self.layer(&subject),
            "AWS::Serverless::StateMachine" => self.machine(&subject),
            _ => Err(Fault::new(id, format!("{kind} is not a type that SAM has"))),
        }
    }

    /// Adds a resource that was made.
    pub(crate) fn emit(
        &mut self,
        id: &str,
        kind: &str,
        properties: Map<String, Value>,
        attributes: Map<String, Value>,
    ) {
        self.made.push((id.to_owned(), kind.to_owned()));
        let written = self
            .template
            .section("Resources")
            .and_then(|all| all.get(id));
        let before = written.and_then(|written| written.get("Type"));
        let before = before.and_then(Value::as_str).unwrap_or_default();
        let is_checked = written.is_some() && !self.current.is_empty();
        if is_checked && !BECOMES.contains(&(before, kind)) {
            let owner = self.current.clone();
            let text = format!(
                "Transforming resource with id [{owner}] attempts to create a new resource with id [{id}] and type \"{kind}\". A resource with that id already exists within this template. Please use a different id for that resource."
            );
            self.faults.push(Fault::whole(&owner, text));
            return;
        }
        let mut resource = Map::new();
        resource.insert("Type".to_owned(), json!(kind));
        resource.extend(attributes);
        let properties = properties.into_iter().filter(|(_, value)| !value.is_null());
        resource.insert("Properties".to_owned(), Value::Object(properties.collect()));
        self.output.insert(id.to_owned(), Value::Object(resource));
    }

    /// The names below a path in the order in which they are written.
    pub(crate) fn order(&self, path: &[&str]) -> Vec<String> {
        self.template.keys(path)
    }

    /// A mapping of the resource that is being expanded as a list of tags, globals first.
    pub(crate) fn tags(
        &self,
        reserved: Option<(&str, &str)>,
        subject: &Subject<'_>,
    ) -> Option<Value> {
        let kind = subject.resource.get("Type").and_then(Value::as_str);
        let section = kind
            .and_then(|kind| kind.rsplit("::").next())
            .unwrap_or_default();
        let mut order = self.order(&["Globals", section, "Tags"]);
        order.extend(self.order(&["Resources", subject.id, "Properties", "Tags"]));
        tag_list(reserved, subject.get("Tags"), &order)
    }

    /// The finished template: references to what got another id follow it.
    fn finish(self) -> Template {
        let mut body = self.template.body.clone();
        if let Some(sections) = body.as_object_mut() {
            sections.remove("Transform");
            sections.remove("Globals");
            if !self.conditions.is_empty() {
                sections.insert(
                    "Conditions".to_owned(),
                    Value::Object(self.conditions.clone()),
                );
            }
            sections.insert("Resources".to_owned(), Value::Object(self.output.clone()));
        }
        let names = resolve::Names {
            derived: &self.derived,
            renamed: &self.renamed,
        };
        names.follow(&mut body, 0);
        let order = self.template.resource_order.clone();
        self.template.derived(body, order)
    }
}

/// `{"Ref": id}`.
pub(crate) fn reference(id: &str) -> Value {
    json!({"Ref": id})
}

/// `{"Fn::GetAtt": [id, attribute]}`.
pub(crate) fn attribute(id: &str, name: &str) -> Value {
    json!({"Fn::GetAtt": [id, name]})
}

/// A mapping of fields that are there.
pub(crate) fn fields<const N: usize>(entries: [(&str, Option<Value>); N]) -> Map<String, Value> {
    entries
        .into_iter()
        .filter_map(|(name, value)| {
            let value = value.filter(|value| !value.is_null())?;
            Some((name.to_owned(), value))
        })
        .collect()
}

/// Whether a value is an intrinsic function.
pub(crate) fn is_intrinsic(value: &Value) -> bool {
    let Some(map) = value.as_object().filter(|map| map.len() == 1) else {
        return false;
    };
    map.keys()
        .all(|key| key == "Ref" || key == "Condition" || key.starts_with("Fn::"))
}

/// `{"Ref": "AWS::NoValue"}`.
pub(crate) fn is_no_value(value: &Value) -> bool {
    value.get("Ref").and_then(Value::as_str) == Some("AWS::NoValue")
}

/// Tags as a list: the reserved one first, then the user's in the order of the document.
pub(crate) fn tag_list(
    reserved: Option<(&str, &str)>,
    tags: Option<&Value>,
    order: &[String],
) -> Option<Value> {
    let mut list = Vec::new();
    if let Some((key, value)) = reserved {
        list.push(json!({"Key": key, "Value": value}));
    }
    if let Some(Value::Object(map)) = tags {
        let mut names: Vec<&String> = map.keys().collect();
        let place = |name: &str| order.iter().position(|known| known == name);
        names.sort_by_key(|name| place(name).unwrap_or(order.len()));
        list.extend(names.into_iter().map(|key| match &map[key] {
            Value::Null => json!({"Key": key, "Value": ""}),
            value => json!({"Key": key, "Value": value}),
        }));
    }
    (!list.is_empty()).then_some(Value::Array(list))
}

/// Whether Python takes a value for true.
pub(crate) fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// What a value of a template is called in Python.
pub(crate) fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// Types of resources that a resource of the same id may become.
const BECOMES: &[(&str, &str)] = &[
    ("AWS::Serverless::Function", "AWS::Lambda::Function"),
    ("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion"),
    ("AWS::S3::Bucket", "AWS::S3::Bucket"),
    ("AWS::SNS::Topic", "AWS::SNS::Topic"),
    ("AWS::Serverless::SimpleTable", "AWS::DynamoDB::Table"),
    ("AWS::Cognito::UserPool", "AWS::Cognito::UserPool"),
    (
        "AWS::Serverless::StateMachine",
        "AWS::StepFunctions::StateMachine",
    ),
];
