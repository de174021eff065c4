//! The SAM transform: `AWS::Serverless::*` resources become what CloudFormation knows.
//!
//! The reference is what `aws-sam-translator` makes; the same resources, ids and hashes come out.
//! Out of scope, and refused in words: REST, HTTP and WebSocket APIs, nested applications, connectors.

mod deployment;
mod events;
mod function;
mod globals;
mod hash;
mod layer;
mod machine;
mod policies;
mod push;
mod resolve;
mod role;
mod rules;
mod table;

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

/// What is wrong with one resource, in SAM's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) id: String,
    pub(crate) event: Option<String>,
    pub(crate) message: String,
}

pub(crate) type Made<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn new(id: &str, message: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            event: None,
            message: message.into(),
        }
    }

    pub(crate) fn event(id: &str, event: &str, message: impl Into<String>) -> Self {
        Self {
            event: Some(event.to_owned()),
            ..Self::new(id, message)
        }
    }

    fn text(&self) -> String {
        let event = match &self.event {
            Some(event) => format!("Event with id [{event}] is invalid. "),
            None => String::new(),
        };
        format!(
            "Resource with id [{}] is invalid. {event}{}",
            self.id, self.message
        )
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

    /// `Condition`, `DeletionPolicy`, `UpdateReplacePolicy`: copied to everything that is made.
    pub(crate) fn passed_on(&self) -> Map<String, Value> {
        let names = ["Condition", "DeletionPolicy", "UpdateReplacePolicy"];
        self.attributes(&names)
    }

    /// What the resource itself keeps: the former, `DependsOn`, `UpdatePolicy` and sync annotations.
    pub(crate) fn own(&self) -> Map<String, Value> {
        let names = [
            "Condition",
            "DeletionPolicy",
            "UpdateReplacePolicy",
            "DependsOn",
            "UpdatePolicy",
        ];
        let mut found = self.attributes(&names);
        let metadata = self.resource.get("Metadata").and_then(Value::as_object);
        let annotations: Map<String, Value> = metadata
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.contains('/'))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !annotations.is_empty() {
            found.insert("Metadata".to_owned(), Value::Object(annotations));
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
    let Some(resources) = template.section("Resources").filter(|all| !all.is_empty()) else {
        let message = "'Resources' section is required";
        return Err(vec![fault_at(
            template,
            &["Resources"],
            message.to_owned(),
            "template",
        )]);
    };
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
    };
    if let Err(message) = globals::merge(&mut sam) {
        return Err(vec![fault_at(template, &["Globals"], message, "Globals")]);
    }
    sam.expand();
    sam.add_deployments();
    if !sam.faults.is_empty() {
        let tell = |fault: &Fault| {
            let mut path = vec!["Resources", fault.id.as_str(), "Properties"];
            if let Some(event) = &fault.event {
                path.extend(["Events", event.as_str()]);
            }
            fault_at(template, &path, fault.text(), &fault.id)
        };
        return Err(sam.faults.iter().map(tell).collect());
    }
    let warnings = std::mem::take(&mut sam.warnings);
    Ok((sam.finish(), warnings))
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
                if let Err(fault) = self.expand_one(id, kind, &resource) {
                    self.faults.push(fault);
                }
            }
        }
    }

    fn expand_one(&mut self, id: &str, kind: &str, resource: &Value) -> Made<()> {
        if !kind.starts_with("AWS::Serverless::") {
            // Events may have edited it meanwhile; what they made stays.
            let current = self.input.get(id).cloned().unwrap_or_default();
            self.output.insert(id.to_owned(), current);
            return Ok(());
        }
        let empty = Map::new();
        let properties = match resource.get("Properties") {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(Fault::new(id, "Properties of a resource must be a map.")),
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
        let mut resource = Map::new();
        resource.insert("Type".to_owned(), json!(kind));
        resource.extend(attributes);
        let properties: Map<String, Value> = properties
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect();
        if !properties.is_empty() {
            resource.insert("Properties".to_owned(), Value::Object(properties));
        }
        self.output.insert(id.to_owned(), Value::Object(resource));
    }

    /// The finished template: references to what got another id follow it.
    fn finish(self) -> Template {
        let mut body = self.template.body.clone();
        if let Some(sections) = body.as_object_mut() {
            sections.remove("Transform");
            sections.remove("Globals");
            let others = self.other_transforms();
            if let Some(others) = others {
                sections.insert("Transform".to_owned(), others);
            }
            if !self.conditions.is_empty() {
                sections.insert(
                    "Conditions".to_owned(),
                    Value::Object(self.conditions.clone()),
                );
            }
            sections.insert("Resources".to_owned(), Value::Object(self.output.clone()));
            for section in ["Resources", "Outputs"] {
                if let Some(value) = sections.get_mut(section) {
                    resolve::follow(value, &self.derived, &self.renamed, 0);
                }
            }
        }
        let order = self.template.resource_order.clone();
        self.template.derived(body, order)
    }

    /// Macros beside SAM's.
    fn other_transforms(&self) -> Option<Value> {
        let list = self.template.body.get("Transform")?.as_array()?;
        let rest: Vec<Value> = list
            .iter()
            .filter(|name| name.as_str() != Some(TRANSFORM))
            .cloned()
            .collect();
        (!rest.is_empty()).then_some(Value::Array(rest))
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

/// Tags as a list: the reserved one first, then the user's.
pub(crate) fn tag_list(reserved: Option<(&str, &str)>, tags: Option<&Value>) -> Option<Value> {
    let mut list = Vec::new();
    if let Some((key, value)) = reserved {
        list.push(json!({"Key": key, "Value": value}));
    }
    match tags {
        Some(Value::Object(map)) => {
            list.extend(
                map.iter()
                    .map(|(key, value)| json!({"Key": key, "Value": value})),
            );
        }
        Some(Value::Array(already)) => list.extend(already.iter().cloned()),
        _ => {}
    }
    (!list.is_empty()).then_some(Value::Array(list))
}
