//! CloudFormation's language: parameters, mappings, conditions and functions, evaluated as far as a
//! template says it. What only the target knows stays as it is (see `tidegate_manifest::resource`).

mod expand;
mod functions;
mod parameters;
mod references;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use tidegate_manifest::{CloudFormationResource, DeletionPolicy, Diagnostic, Origin};
use tidegate_render::AwsEnvironment;

use crate::Template;
use crate::physical::{invented, name_property};

pub use parameters::Parameter;

/// Deepest nesting of functions and values.
pub(crate) const DEPTH_MAX: usize = 100;

/// A template, evaluated.
#[derive(Clone, Debug, Default)]
pub struct Evaluated {
    /// The resources whose conditions hold, in the order of the document.
    pub resources: Vec<(CloudFormationResource, Arc<Origin>)>,
    /// The outputs, as far as they are known.
    pub outputs: BTreeMap<String, Value>,
    /// The exports by name.
    pub exports: BTreeMap<String, Value>,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// A value, or nothing (`AWS::NoValue`).
pub(crate) type Out = Option<Value>;

/// One evaluation on its way.
pub(crate) struct Evaluation<'t> {
    pub(crate) template: &'t Template,
    pub(crate) environment: &'t AwsEnvironment,
    pub(crate) stack: &'t str,
    pub(crate) parameters: BTreeMap<String, Parameter>,
    /// The types of all resources whose conditions hold.
    pub(crate) active: BTreeMap<String, String>,
    conditions: RefCell<BTreeMap<String, Option<bool>>>,
    pub(crate) diagnostics: RefCell<Vec<Diagnostic>>,
}

/// Where a value stands: its path in the template for messages, its path in the result for secrets.
pub(crate) struct Place<'p> {
    pub(crate) path: Vec<&'p str>,
    /// The resource or section that messages are about.
    pub(crate) subject: String,
    pub(crate) out: RefCell<Vec<String>>,
    pub(crate) sensitive: RefCell<BTreeSet<String>>,
}

impl<'p> Place<'p> {
    fn new(path: &[&'p str], subject: &str, out: &str) -> Self {
        Self {
            path: path.to_vec(),
            subject: subject.to_owned(),
            out: RefCell::new(vec![out.to_owned()]),
            sensitive: RefCell::default(),
        }
    }

    /// What is being evaluated holds a secret.
    pub(crate) fn hide(&self) {
        let escaped = |step: &String| step.replace('~', "~0").replace('/', "~1");
        let steps: Vec<String> = self.out.borrow().iter().map(escaped).collect();
        self.sensitive
            .borrow_mut()
            .insert(format!("/{}", steps.join("/")));
    }
}

/// Evaluates a template in an environment, as a stack of a name.
pub fn evaluate(template: &Template, environment: &AwsEnvironment, stack: &str) -> Evaluated {
    let mut diagnostics = Vec::new();
    let expanded = expand::loops(template, environment, &mut diagnostics);
    let template = expanded.as_ref().unwrap_or(template);
    let parameters = parameters::read(template, environment, &mut diagnostics);
    let mut evaluation = Evaluation {
        template,
        environment,
        stack,
        parameters,
        active: BTreeMap::new(),
        conditions: RefCell::default(),
        diagnostics: RefCell::new(diagnostics),
    };
    evaluation.find_active();
    let mut result = Evaluated::default();
    for (id, body) in template.resources() {
        if evaluation.active.contains_key(id) {
            result.resources.extend(evaluation.resource(id, body));
        }
    }
    evaluation.outputs(&mut result);
    result.diagnostics = evaluation.diagnostics.into_inner();
    result
}

impl Evaluation<'_> {
    pub(crate) fn error(&self, place: &Place<'_>, message: String, help: &str) {
        let origin = self.template.place(&place.path);
        let found = Diagnostic::error("TG1304", message, origin)
            .object(place.subject.clone())
            .help(help);
        let mut all = self.diagnostics.borrow_mut();
        if !all.contains(&found) {
            all.push(found);
        }
    }

    fn tell(&self, code: &str, path: &[&str], subject: &str, message: String, help: &str) {
        let found = Diagnostic::error(code, message, self.template.place(path))
            .object(subject.to_owned())
            .help(help);
        self.diagnostics.borrow_mut().push(found);
    }

    /// The resources whose conditions hold.
    fn find_active(&mut self) {
        let mut active = BTreeMap::new();
        for (id, body) in self.template.resources() {
            let Some(kind) = body.get("Type").and_then(Value::as_str) else {
                self.tell(
                    "TG1303",
                    &["Resources", id],
                    id,
                    format!("resource {id} has no Type"),
                    "give every resource a Type, for example AWS::SQS::Queue",
                );
                continue;
            };
            if !id.bytes().all(|b| b.is_ascii_alphanumeric()) || id.is_empty() {
                self.tell(
                    "TG1303",
                    &["Resources", id],
                    id,
                    format!("resource name {id} is non alphanumeric"),
                    "logical ids hold letters and digits only",
                );
                continue;
            }
            let holds = match body.get("Condition") {
                None => true,
                Some(Value::String(name)) => {
                    let place = Place::new(&["Resources", id, "Condition"], id, "Condition");
                    self.condition(name, &place)
                }
                Some(_) => {
                    self.tell(
                        "TG1303",
                        &["Resources", id, "Condition"],
                        id,
                        "Condition must be the name of a condition".to_owned(),
                        "name a condition of the section Conditions",
                    );
                    false
                }
            };
            if holds {
                active.insert(id.to_owned(), kind.to_owned());
            }
        }
        self.active = active;
    }

    /// Whether a condition of the section `Conditions` holds.
    pub(crate) fn condition(&self, name: &str, place: &Place<'_>) -> bool {
        match self.conditions.borrow().get(name) {
            Some(Some(known)) => return *known,
            Some(None) => {
                let message = format!("Circular dependency: condition {name} needs itself");
                self.error(place, message, "break the circle");
                return false;
            }
            None => {}
        }
        let Some(body) = self
            .template
            .section("Conditions")
            .and_then(|all| all.get(name))
        else {
            let message =
                format!("Unresolved condition {name}: the section Conditions does not have it");
            self.error(place, message, "declare the condition, or correct its name");
            return false;
        };
        self.conditions.borrow_mut().insert(name.to_owned(), None);
        let own = Place::new(&["Conditions", name], name, "Conditions");
        let holds = self.truth(body, &own, 0);
        self.conditions
            .borrow_mut()
            .insert(name.to_owned(), Some(holds));
        holds
    }

    fn resource(&self, id: &str, body: &Value) -> Option<(CloudFormationResource, Arc<Origin>)> {
        let kind = self.active.get(id)?;
        let place = Place::new(&["Resources", id, "Properties"], id, "Properties");
        let mut properties = match body.get("Properties") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(fields)) => self.fields(fields, &place, 0),
            Some(_) => {
                self.error(
                    &place,
                    "Properties must be a mapping".to_owned(),
                    "write a mapping",
                );
                return None;
            }
        };
        let declared = name_property(kind);
        let physical_name = match declared.and_then(|name| properties.get(name)) {
            Some(Value::String(name)) => Some(name.clone()),
            // A name with a reference in it is known to the target only.
            Some(_) => None,
            None => invented(kind, self.stack, id, &properties, self.environment),
        };
        if let (Some(property), Some(name)) = (declared, &physical_name) {
            properties
                .entry(property)
                .or_insert_with(|| Value::String(name.clone()));
        }
        let depends_on = self.depends_on(id, body);
        let references = self.references(&properties, &depends_on);
        let resource = CloudFormationResource {
            resource_type: kind.clone(),
            stack: self.stack.to_owned(),
            logical_id: id.to_owned(),
            physical_name,
            deletion_policy: self.policy(id, body, "DeletionPolicy"),
            update_replace_policy: self.policy(id, body, "UpdateReplacePolicy"),
            update_policy: body.get("UpdatePolicy").cloned(),
            annotations: self.annotations(kind, body),
            references,
            depends_on,
            sensitive: place.sensitive.into_inner().into_iter().collect(),
            properties,
        };
        let origin = self.template.place(&["Resources", id]);
        Some((resource, Arc::new(origin)))
    }

    /// Those of a resource; an alias has the smoke test of its function, since templates declare functions and make aliases of them.
    fn annotations(&self, kind: &str, body: &Value) -> BTreeMap<String, String> {
        let mut found = annotations(body);
        if kind == "AWS::Lambda::Alias" && !found.contains_key(SMOKE_TEST) {
            let function = body.pointer("/Properties/FunctionName/Ref");
            let function = function.and_then(Value::as_str);
            let declared = self.template.section("Resources");
            let function = function.and_then(|id| declared?.get(id));
            let test = function.and_then(|body| annotations(body).remove(SMOKE_TEST));
            found.extend(test.map(|test| (SMOKE_TEST.to_owned(), test)));
        }
        found
    }

    /// `DependsOn` without resources whose conditions do not hold.
    fn depends_on(&self, id: &str, body: &Value) -> Vec<String> {
        let names: Vec<&str> = match body.get("DependsOn") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(_) => {
                self.tell(
                    "TG1303",
                    &["Resources", id, "DependsOn"],
                    id,
                    "DependsOn must be a logical id or a list of them".to_owned(),
                    "write a logical id",
                );
                Vec::new()
            }
        };
        let declared = self.template.section("Resources");
        let mut found = Vec::new();
        for name in names {
            if self.active.contains_key(name) {
                found.push(name.to_owned());
            } else if !declared.is_some_and(|all| all.contains_key(name)) {
                self.tell(
                    "TG1305",
                    &["Resources", id, "DependsOn"],
                    id,
                    format!(
                        "Unresolved resource dependencies [{name}] in the Resources block of the template"
                    ),
                    "correct the logical id, or declare the resource",
                );
            }
        }
        found
    }

    fn policy(&self, id: &str, body: &Value, field: &str) -> DeletionPolicy {
        let place = Place::new(&["Resources", id, field], id, field);
        let value = match body.get(field) {
            None => return DeletionPolicy::Delete,
            Some(value) => self.value(value, &place, 0),
        };
        match value.as_ref().and_then(Value::as_str) {
            None | Some("Delete") => DeletionPolicy::Delete,
            Some("Retain") => DeletionPolicy::Retain,
            Some("RetainExceptOnCreate") => DeletionPolicy::RetainExceptOnCreate,
            Some("Snapshot") => DeletionPolicy::Snapshot,
            Some(other) => {
                let message = format!("Unrecognized {field} {other} for resource {id}");
                self.error(
                    &place,
                    message,
                    "use Delete, Retain, RetainExceptOnCreate or Snapshot",
                );
                // What nobody understands must not lose anything.
                DeletionPolicy::Retain
            }
        }
    }

    fn outputs(&self, result: &mut Evaluated) {
        let Some(outputs) = self.template.section("Outputs") else {
            return;
        };
        for (name, body) in outputs {
            let place = Place::new(&["Outputs", name], name, "Outputs");
            if let Some(condition) = body.get("Condition").and_then(Value::as_str)
                && !self.condition(condition, &place)
            {
                continue;
            }
            let Some(value) = body
                .get("Value")
                .and_then(|value| self.value(value, &place, 0))
            else {
                continue;
            };
            let export = body.get("Export").and_then(|export| export.get("Name"));
            let export = export.and_then(|name| self.value(name, &place, 0));
            // What only the target knows cannot be handed to another template.
            if let Some(Value::String(export)) = export
                && value.is_string()
            {
                result.exports.insert(export, value.clone());
            }
            result.outputs.insert(name.clone(), value);
        }
    }
}

/// The event that a version must answer before an alias moves to it.
const SMOKE_TEST: &str = "tidegate.dev/smoke-test";

/// Sync annotations of a resource: text entries of its `Metadata` whose names have a domain.
fn annotations(body: &Value) -> BTreeMap<String, String> {
    let metadata = body.get("Metadata").and_then(Value::as_object);
    metadata
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.contains('/'))
        .filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            Some((name.clone(), text))
        })
        .collect()
}
