//! `AWS::Serverless::StateMachine`.

use serde_json::{Map, Value, json};

use crate::sam::events::Event;
use crate::sam::function::s3_location;
use crate::sam::push::Target;
use crate::sam::role::{Role, allowing, trust};
use crate::sam::rules::{self, Is};
use crate::sam::{Fault, Made, Sam, Subject, attribute, fields, is_intrinsic, reference, tag_list};

const RULES: &[rules::Rule] = &[
    ("Definition", false, Is::Map),
    ("DefinitionUri", false, Is::TextOrMap),
    ("Logging", false, Is::Map),
    ("Role", false, Is::Text),
    ("RolePath", false, Is::Any),
    ("DefinitionSubstitutions", false, Is::Map),
    ("Events", false, Is::Map),
    ("Name", false, Is::Any),
    ("Type", false, Is::Any),
    ("Tags", false, Is::Map),
    ("PropagateTags", false, Is::Bool),
    ("Policies", false, Is::Policies),
    ("Tracing", false, Is::Map),
    ("PermissionsBoundary", false, Is::Any),
    ("AutoPublishAlias", false, Is::Any),
    ("DeploymentPreference", false, Is::Map),
    ("UseAliasAsEventTarget", false, Is::Bool),
];

/// Deepest definition that is written out.
const DEPTH_MAX: usize = 64;

impl Sam<'_> {
    pub(crate) fn machine(&mut self, subject: &Subject<'_>) -> Made<()> {
        let id = subject.id;
        rules::check(subject, "AWS::Serverless::StateMachine", RULES)?;
        let before: Vec<String> = self.output.keys().cloned().collect();
        let fault = |message: &str| Err(Fault::new(id, message));
        let mut properties = fields([
            ("StateMachineName", subject.get("Name").cloned()),
            ("StateMachineType", subject.get("Type").cloned()),
            ("LoggingConfiguration", subject.get("Logging").cloned()),
            ("TracingConfiguration", subject.get("Tracing").cloned()),
            (
                "DefinitionSubstitutions",
                subject.get("DefinitionSubstitutions").cloned(),
            ),
            (
                "Tags",
                tag_list(Some(("stateMachine:createdBy", "SAM")), subject.get("Tags")),
            ),
        ]);
        match (subject.get("Definition"), subject.get("DefinitionUri")) {
            (Some(_), Some(_)) => {
                return fault(
                    "Specify either 'Definition' or 'DefinitionUri' property and not both.",
                );
            }
            (None, None) => {
                return fault("Either 'Definition' or 'DefinitionUri' property must be specified.");
            }
            (Some(definition), None) => {
                if definition.as_object().is_none_or(Map::is_empty) {
                    return fault("Definition must be a non-empty map");
                }
                let mut substitutions = Map::new();
                let plain = substituted(definition, &mut substitutions, 0);
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
        match (subject.get("Role"), subject.get("Policies")) {
            (Some(_), Some(_)) => {
                return fault("Specify either 'Role' or 'Policies' property and not both.");
            }
            (Some(role), None) => {
                properties.insert("RoleArn".to_owned(), role.clone());
            }
            (None, policies) => {
                let role = self.machine_role(subject)?;
                if policies.is_none() {
                    // Without policies there is still a role: CloudFormation wants one.
                }
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
        self.propagate_tags(subject, &before);
        Ok(())
    }

    fn machine_role(&self, subject: &Subject<'_>) -> Made<Role> {
        let mut role = Role {
            id: format!("{}Role", subject.id),
            trust: trust("states.amazonaws.com"),
            path: subject.get("RolePath").cloned(),
            boundary: subject.get("PermissionsBoundary").cloned(),
            tags: tag_list(Some(("stateMachine:createdBy", "SAM")), subject.get("Tags")),
            attributes: subject.passed_on(),
            ..Role::default()
        };
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
        self.add_policies(subject, &mut role)?;
        Ok(role)
    }

    fn machine_alias(&mut self, subject: &Subject<'_>) -> Made<Option<String>> {
        let id = subject.id;
        let Some(alias) = subject.get("AutoPublishAlias") else {
            if subject.get("DeploymentPreference").is_some() {
                let message =
                    "'DeploymentPreference' requires 'AutoPublishAlias' property to be specified.";
                return Err(Fault::new(id, message));
            }
            return Ok(None);
        };
        let alias = self.resolved(alias);
        let Some(name) = alias.as_str() else {
            let message = "'AutoPublishAlias' must be a string or a Ref to a template parameter";
            return Err(Fault::new(id, message));
        };
        let version = format!("{id}Version");
        let mut attributes = subject.passed_on();
        attributes.insert("DeletionPolicy".to_owned(), json!("Retain"));
        attributes.insert("UpdateReplacePolicy".to_owned(), json!("Retain"));
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
        let logical = format!("{id}Alias{name}");
        let mut preference = Map::from_iter([
            ("StateMachineVersionArn".to_owned(), reference(&version)),
            ("Type".to_owned(), json!("ALL_AT_ONCE")),
        ]);
        if let Some(Value::Object(given)) = subject.get("DeploymentPreference") {
            preference.extend(given.clone());
        }
        let properties = fields([
            ("Name", Some(json!(name))),
            ("DeploymentPreference", Some(Value::Object(preference))),
        ]);
        self.emit(
            &logical,
            "AWS::StepFunctions::StateMachineAlias",
            properties,
            subject.passed_on(),
        );
        self.derived
            .insert((id.to_owned(), "Version".to_owned()), version);
        self.derived
            .insert((id.to_owned(), "Alias".to_owned()), logical.clone());
        Ok(Some(logical))
    }

    fn machine_events(&mut self, subject: &Subject<'_>, alias: Option<&str>) -> Made<()> {
        let Some(Value::Object(events)) = subject.get("Events") else {
            return Ok(());
        };
        let uses_alias = subject.get("UseAliasAsEventTarget") == Some(&Value::Bool(true));
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
            };
            match kind {
                "Schedule" | "CloudWatchEvent" | "EventBridgeRule" => {
                    let role = match event.copied("RoleArn") {
                        Some(role) => role,
                        None => self.starting_role(&event, &arn, &attributes),
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
            ("PermissionsBoundary", event.copied("PermissionsBoundary")),
        ]);
        self.emit(&id, "AWS::IAM::Role", properties, attributes.clone());
        attribute(&id, "Arn")
    }
}

/// Functions and dynamic references in a definition become substitutions, numbered in the order of their paths.
fn substituted(value: &Value, into: &mut Map<String, Value>, depth: usize) -> Value {
    let is_dynamic = |text: &str| text.starts_with("{{resolve:") && text.ends_with("}}");
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
                text.push_str(&Value::String((*key).clone()).to_string());
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
        plain => text.push_str(&plain.to_string()),
    }
}
