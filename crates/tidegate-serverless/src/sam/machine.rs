//! `AWS::Serverless::StateMachine`.

use serde_json::{Map, Value, json};

use crate::sam::hash::json_text;
use crate::sam::link::{Event, python_shown};
use crate::sam::location::s3_location;
use crate::sam::push::Target;
use crate::sam::role::{Role, allowing, trust};
use crate::sam::rules::{self, Is, check_id};
use crate::sam::{Fault, Made, Sam, Subject, attribute, fields, is_intrinsic, reference};

const RULES: &[rules::Rule] = &[
    ("Definition", false, Is::Map),
    ("DefinitionUri", false, Is::TextOrMap),
    ("Logging", false, Is::Map),
    ("Role", false, Is::Text),
    ("RolePath", false, Is::Any),
    ("DefinitionSubstitutions", false, Is::Map),
    ("Events", false, Is::Maps),
    ("Name", false, Is::Text),
    ("Type", false, Is::Text),
    ("Tags", false, Is::Map),
    ("PropagateTags", false, Is::Bool),
    ("Policies", false, Is::MachinePolicies),
    ("Tracing", false, Is::Map),
    ("PermissionsBoundary", false, Is::Text),
    ("AutoPublishAlias", false, Is::Any),
    ("DeploymentPreference", false, Is::Any),
    ("UseAliasAsEventTarget", false, Is::OnlyBool),
];

/// Deepest definition that is written out.
const DEPTH_MAX: usize = 64;

impl Sam<'_> {
    pub(crate) fn machine(&mut self, subject: &Subject<'_>) -> Made<()> {
        let id = subject.id;
        let policies = self.policies(subject)?;
        rules::check_subject(self, subject, "AWS::Serverless::StateMachine", RULES)?;
        self.link_events(subject, true)?;
        let fault = |message: &str| Err(Fault::new(id, message));
        let mut properties = fields([
            ("StateMachineName", subject.get("Name").cloned()),
            ("StateMachineType", subject.get("Type").cloned()),
            ("LoggingConfiguration", subject.get("Logging").cloned()),
            ("TracingConfiguration", subject.get("Tracing").cloned()),
            (
                "DefinitionSubstitutions",
                subject.some("DefinitionSubstitutions").cloned(),
            ),
            (
                "Tags",
                self.tags(Some(("stateMachine:createdBy", "SAM")), subject),
            ),
        ]);
        match (subject.some("Definition"), subject.some("DefinitionUri")) {
            (Some(_), Some(_)) => {
                return fault(
                    "Specify either 'Definition' or 'DefinitionUri' property and not both.",
                );
            }
            (None, None) => {
                return fault("Either 'Definition' or 'DefinitionUri' property must be specified.");
            }
            (Some(definition), None) => {
                let mut substitutions = Map::new();
                // The definition itself is never a function: only what lies in it is looked at.
                let plain = inside(definition, &mut substitutions, 0);
                let mut text = String::new();
                pretty(&plain, 0, &mut text);
                let lines: Vec<&str> = text.split('\n').collect();
                properties.insert(
                    "DefinitionString".to_owned(),
                    json!({"Fn::Join": ["\n", lines]}),
                );
                if !substitutions.is_empty() {
                    let all = properties
                        .entry("DefinitionSubstitutions")
                        .or_insert_with(|| json!({}));
                    if let Some(all) = all.as_object_mut() {
                        all.extend(substitutions);
                    }
                }
            }
            (None, Some(uri)) => {
                let location = s3_location(id, uri, "DefinitionUri")?;
                let location = fields([
                    ("Bucket", location.get("S3Bucket").cloned()),
                    ("Key", location.get("S3Key").cloned()),
                    ("Version", location.get("S3ObjectVersion").cloned()),
                ]);
                properties.insert("DefinitionS3Location".to_owned(), Value::Object(location));
            }
        }
        match (subject.some("Role"), subject.some("Policies")) {
            (Some(_), Some(_)) => {
                return fault(
                    "Specify either 'Role' or 'Policies' (but not both at the same time) or neither of them",
                );
            }
            (Some(role), None) => {
                properties.insert("RoleArn".to_owned(), role.clone());
            }
            (None, _) => {
                let role = self.machine_role(subject, &policies)?;
                properties.insert("RoleArn".to_owned(), attribute(&role.id, "Arn"));
                self.emit(
                    &role.id,
                    "AWS::IAM::Role",
                    role.properties(),
                    role.attributes.clone(),
                );
            }
        }
        self.emit(
            id,
            "AWS::StepFunctions::StateMachine",
            properties,
            subject.own(),
        );
        let alias = self.machine_alias(subject)?;
        self.machine_events(subject, alias.as_deref())?;
        self.propagate_tags(subject);
        Ok(())
    }

    fn machine_role(&self, subject: &Subject<'_>, policies: &[Value]) -> Made<Role> {
        let mut role = Role {
            id: format!("{}Role", subject.id),
            trust: trust("states.amazonaws.com"),
            path: subject.get("RolePath").cloned(),
            boundary: subject.get("PermissionsBoundary").cloned(),
            tags: self.tags(Some(("stateMachine:createdBy", "SAM")), subject),
            attributes: subject.passed_on(),
            ..Role::default()
        };
        self.add_policies(subject, policies, &mut role)?;
        let traces = subject
            .get("Tracing")
            .and_then(|tracing| tracing.get("Enabled"));
        if traces == Some(&Value::Bool(true)) {
            let is_aws = self.options.partition == "aws";
            let name = if is_aws {
                "AWSXrayWriteOnlyAccess"
            } else {
                "AWSXRayDaemonWriteAccess"
            };
            role.manage(self.managed_arn(name));
        }
        Ok(role)
    }

    fn machine_alias(&mut self, subject: &Subject<'_>) -> Made<Option<String>> {
        let id = subject.id;
        let preference = subject.some("DeploymentPreference");
        let Some(alias) = subject.some("AutoPublishAlias") else {
            let needs = |name: &str| {
                let message =
                    format!("'{name}' requires 'AutoPublishAlias' property to be specified.");
                Err(Fault::new(id, message))
            };
            if subject.some("UseAliasAsEventTarget").is_some() {
                return needs("UseAliasAsEventTarget");
            }
            if preference.is_some() {
                return needs("DeploymentPreference");
            }
            return Ok(None);
        };
        let version = format!("{id}Version");
        let mut attributes = subject.passed_on();
        for name in ["DeletionPolicy", "UpdateReplacePolicy"] {
            attributes.entry(name).or_insert_with(|| json!("Retain"));
        }
        let properties = fields([
            ("StateMachineArn", Some(reference(id))),
            (
                "StateMachineRevisionId",
                Some(attribute(id, "StateMachineRevisionId")),
            ),
        ]);
        self.emit(
            &version,
            "AWS::StepFunctions::StateMachineVersion",
            properties,
            attributes,
        );
        let logical = format!("{id}Alias{}", python_shown(alias));
        check_id(id, &logical)?;
        let mut shifting = match preference {
            Some(Value::Object(given)) => given.clone(),
            _ => Map::from_iter([("Type".to_owned(), json!("ALL_AT_ONCE"))]),
        };
        shifting.insert("StateMachineVersionArn".to_owned(), reference(&version));
        let properties = fields([
            ("Name", Some(alias.clone())),
            ("DeploymentPreference", Some(Value::Object(shifting))),
        ]);
        self.emit(
            &logical,
            "AWS::StepFunctions::StateMachineAlias",
            properties,
            subject.passed_on(),
        );
        Ok(Some(logical))
    }

    fn machine_events(&mut self, subject: &Subject<'_>, alias: Option<&str>) -> Made<()> {
        let Some(Value::Object(events)) = subject.some("Events") else {
            return Ok(());
        };
        let uses_alias = subject.some("UseAliasAsEventTarget").is_some();
        let arn = reference(alias.filter(|_| uses_alias).unwrap_or(subject.id));
        let attributes = subject.passed_on();
        for (name, body) in events {
            let id = format!("{}{name}", subject.id);
            let kind = body.get("Type").and_then(Value::as_str).unwrap_or_default();
            let empty = Map::new();
            let properties = body
                .get("Properties")
                .and_then(Value::as_object)
                .unwrap_or(&empty);
            let event = Event {
                owner: subject.id,
                name,
                id: &id,
                properties,
                is_machine: true,
            };
            match kind {
                "Schedule" | "CloudWatchEvent" | "EventBridgeRule" => {
                    let boundary = subject.some("PermissionsBoundary");
                    let role = match event.copied("RoleArn") {
                        Some(role) => role,
                        None => self.starting_role(&event, &arn, boundary, &attributes),
                    };
                    let target = Target {
                        arn: arn.clone(),
                        attributes: &attributes,
                        suffix: "StepFunctionsTarget",
                        role: Some(role),
                    };
                    self.rule(&event, kind, &target)?;
                }
                "ScheduleV2" => {
                    let policy = allowing(
                        &format!("{id}StartExecutionPolicy"),
                        "states:StartExecution",
                        &arn,
                    );
                    self.schedule(&event, &arn, &policy, &attributes)?;
                }
                other => {
                    return event.fault(format!(
                        "{other} events of state machines are not transformed by this build"
                    ));
                }
            }
        }
        Ok(())
    }

    fn starting_role(
        &mut self,
        event: &Event<'_>,
        arn: &Value,
        boundary: Option<&Value>,
        attributes: &Map<String, Value>,
    ) -> Value {
        let id = format!("{}Role", event.id);
        let policy = allowing(
            &format!("{id}StartExecutionPolicy"),
            "states:StartExecution",
            arn,
        );
        let properties = fields([
            (
                "AssumeRolePolicyDocument",
                Some(trust("events.amazonaws.com")),
            ),
            ("Policies", Some(json!([policy]))),
            ("PermissionsBoundary", boundary.cloned()),
        ]);
        self.emit(&id, "AWS::IAM::Role", properties, attributes.clone());
        attribute(&id, "Arn")
    }
}

/// Functions and dynamic references in a definition become substitutions, numbered in the order of their paths.
fn substituted(value: &Value, into: &mut Map<String, Value>, depth: usize) -> Value {
    let is_dynamic = |text: &str| {
        let inner = text
            .strip_prefix("{{resolve:")
            .and_then(|rest| rest.strip_suffix("}}"));
        inner
            .and_then(|inner| inner.split_once(':'))
            .is_some_and(|(service, key)| {
                let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
                !service.is_empty() && service.bytes().all(is_name) && !key.is_empty()
            })
    };
    let replaced = |into: &mut Map<String, Value>, value: &Value| {
        let name = format!("definition_substitution_{}", into.len() + 1);
        let text = json!(format!("${{{name}}}"));
        into.insert(name, value.clone());
        text
    };
    match value {
        _ if depth > DEPTH_MAX => value.clone(),
        Value::String(text) if is_dynamic(text) => replaced(into, value),
        _ if is_intrinsic(value) => replaced(into, value),
        other => inside(other, into, depth),
    }
}

/// The parts of a mapping or of a list of a definition.
fn inside(value: &Value, into: &mut Map<String, Value>, depth: usize) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            keys.into_iter()
                .map(|key| (key.clone(), substituted(&map[key], into, depth + 1)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(list) => list
            .iter()
            .map(|value| substituted(value, into, depth + 1))
            .collect(),
        plain => plain.clone(),
    }
}

/// JSON with four spaces a level and sorted keys.
fn pretty(value: &Value, level: usize, text: &mut String) {
    let indent = |text: &mut String, level: usize| text.push_str(&"    ".repeat(level));
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push_str("{\n");
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            for (index, key) in keys.iter().enumerate() {
                indent(text, level + 1);
                text.push_str(&json_text(&Value::String((*key).clone())));
                text.push_str(": ");
                pretty(&map[*key], level + 1, text);
                text.push_str(if index + 1 < keys.len() { ",\n" } else { "\n" });
            }
            indent(text, level);
            text.push('}');
        }
        Value::Array(list) if !list.is_empty() => {
            text.push_str("[\n");
            for (index, item) in list.iter().enumerate() {
                indent(text, level + 1);
                pretty(item, level + 1, text);
                text.push_str(if index + 1 < list.len() { ",\n" } else { "\n" });
            }
            indent(text, level);
            text.push(']');
        }
        plain => text.push_str(&json_text(plain)),
    }
}
