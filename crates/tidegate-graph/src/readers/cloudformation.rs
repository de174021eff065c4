//! References between CloudFormation resources: `Ref`, `Fn::GetAtt`, `Fn::Sub` and `DependsOn`, and the
//! topics that a function reads.

use std::borrow::Cow;

use serde_json::Value;
use tidegate_manifest::AWS_GROUP;

use super::path::Path;
use crate::reader::{Identity, Need, Place, ReferenceReader, References, View};
use crate::{Relation, Strength};

/// Deepest value that is looked into.
const DEPTH_MAX: usize = 100;

/// Reads what an evaluated resource names.
#[derive(Debug)]
pub(crate) struct CloudFormation;

impl ReferenceReader for CloudFormation {
    fn read<'a>(&self, view: &View<'a>, found: &mut References<'a>) {
        if view.key.group != AWS_GROUP {
            return;
        }
        let stack = view.key.namespace.as_str();
        let named = view.body.get("References").and_then(Value::as_object);
        for (id, reference) in named.into_iter().flatten() {
            let Some(kind) = reference.get("Type").and_then(Value::as_str) else {
                continue;
            };
            let other = reference.get("Stack").and_then(Value::as_str);
            let (relation, field) = place(view.body, id);
            found.need(Need {
                identity: Identity::new(
                    AWS_GROUP,
                    kind,
                    Place::Namespace(Cow::Borrowed(other.unwrap_or(stack))),
                    id.as_str(),
                ),
                relation,
                field,
                strength: Strength::Firm,
            });
        }
        if view.key.kind == "AWS::Lambda::EventSourceMapping" {
            topics(view, found);
        }
        let own = view.body.get("PhysicalName").and_then(Value::as_str);
        if let Some(name) = own.filter(|_| view.key.kind == "AWS::Lambda::Function") {
            found.provide(Identity::function(name, stack));
        }
    }
}

/// How a resource names another, and where it does so first.
fn place(body: &Value, id: &str) -> (Relation, String) {
    let properties = body.get("Properties").unwrap_or(&Value::Null);
    if let Some(found) = search(properties, id, &Path::ROOT.key("Properties"), 0) {
        return found;
    }
    let depends = body.get("DependsOn").and_then(Value::as_array);
    let is_listed = depends.is_some_and(|list| list.iter().any(|name| name.as_str() == Some(id)));
    if is_listed {
        return (Relation::Declared, ".DependsOn".to_owned());
    }
    (Relation::Reference, String::new())
}

fn search(value: &Value, id: &str, path: &Path<'_>, depth: usize) -> Option<(Relation, String)> {
    if depth > DEPTH_MAX {
        return None;
    }
    match value {
        Value::Object(map) => {
            if map.len() == 1 {
                if map.get("Ref").and_then(Value::as_str) == Some(id) {
                    return Some((Relation::Reference, path.to_string()));
                }
                let taken = map.get("Fn::GetAtt").and_then(Value::as_array);
                let first = taken.and_then(|list| list.first()).and_then(Value::as_str);
                if first == Some(id) {
                    let words = Relation::Other(Cow::Borrowed(TAKES));
                    return Some((words, path.to_string()));
                }
                if let Some(relation) = map.get("Fn::Sub").and_then(|sub| substituted(sub, id)) {
                    return Some((relation, path.to_string()));
                }
            }
            map.iter()
                .find_map(|(key, value)| search(value, id, &path.key(key), depth + 1))
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .find_map(|(index, value)| search(value, id, &path.item(index), depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// How the text of `Fn::Sub` names `id`.
fn substituted(sub: &Value, id: &str) -> Option<Relation> {
    let text = sub.as_str().or_else(|| sub.get(0)?.as_str())?;
    text.split("${").skip(1).find_map(|rest| {
        let name = rest.split('}').next()?.trim();
        if name == id {
            return Some(Relation::Reference);
        }
        let rest = name.strip_prefix(id)?;
        let is_attribute = rest.starts_with('.');
        is_attribute.then_some(Relation::Other(Cow::Borrowed(TAKES)))
    })
}

/// What `Fn::GetAtt` does.
const TAKES: &str = "takes an attribute of";

/// The topics of a mapping: they may be objects of another target.
fn topics<'a>(view: &View<'a>, found: &mut References<'a>) {
    let topics = view.body.pointer("/Properties/Topics");
    let topics = topics.and_then(Value::as_array).into_iter().flatten();
    for (index, topic) in topics.enumerate() {
        if let Some(name) = topic.as_str().filter(|name| !name.is_empty()) {
            found.need(Need {
                identity: Identity::topic(name, view.key.namespace.as_str()),
                relation: Relation::Topic,
                field: format!(".Properties.Topics[{index}]"),
                strength: Strength::Soft,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_manifest::{ResourceKey, SyncFacts, Target, TargetKind};

    use super::*;

    /// `field relation kind stack/name` of each need.
    fn needs(body: &Value) -> Vec<String> {
        let kind = body["kind"].as_str().unwrap_or_default();
        let key = ResourceKey {
            target: Target::new(TargetKind::Aws, "dev"),
            group: AWS_GROUP.to_owned(),
            kind: kind.to_owned(),
            namespace: "etl".to_owned(),
            name: "Me".to_owned(),
        };
        let facts = SyncFacts::default();
        let view = View {
            key: &key,
            body,
            facts: &facts,
        };
        let mut found = References::default();
        CloudFormation.read(&view, &mut found);
        let shown = found.needs.iter().map(|need| {
            let place = match &need.identity.place {
                Place::Namespace(name) | Place::Anywhere(name) => name.to_string(),
                Place::Nearest(_) | Place::Cluster => String::new(),
            };
            let Identity { kind, name, .. } = &need.identity;
            format!(
                "{} {} {kind} {place}/{name}",
                need.field,
                need.relation.as_str()
            )
        });
        shown.collect()
    }

    #[test]
    fn resources_need_what_they_name() {
        let body = json!({"kind": "AWS::Lambda::Function", "DependsOn": ["Log"], "Properties": {
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Environment": {"Variables": {"T": {"Fn::Join": ["-", ["a", {"Ref": "Table"}]]}}}},
            "References": {
                "Log": {"Type": "AWS::Logs::LogGroup"},
                "Role": {"Type": "AWS::IAM::Role"},
                "Table": {"Type": "AWS::DynamoDB::Table", "Stack": "data"}}});
        assert_eq!(
            needs(&body),
            [
                ".DependsOn declared AWS::Logs::LogGroup etl/Log",
                ".Properties.Role takes an attribute of AWS::IAM::Role etl/Role",
                ".Properties.Environment.Variables.T[\"Fn::Join\"][1][1] reference AWS::DynamoDB::Table data/Table",
            ]
        );
    }

    #[test]
    fn texts_name_resources_too() {
        let body = json!({"kind": "AWS::SQS::Queue", "Properties": {
            "A": {"Fn::Sub": "x-${Tables}-${Table}"}, "B": {"Fn::Sub": ["${Role.Arn}", {}]}},
            "References": {"Role": {"Type": "AWS::IAM::Role"}, "Table": {"Type": "AWS::DynamoDB::Table"}}});
        assert_eq!(
            needs(&body),
            [
                ".Properties.B takes an attribute of AWS::IAM::Role etl/Role",
                ".Properties.A reference AWS::DynamoDB::Table etl/Table",
            ]
        );
    }

    #[test]
    fn a_mapping_needs_its_topics() {
        let body = json!({"kind": "AWS::Lambda::EventSourceMapping", "Properties": {"Topics": ["orders"]}});
        assert_eq!(
            needs(&body),
            [".Properties.Topics[0] topic topic etl/orders"]
        );
        assert!(needs(&json!({"kind": "AWS::SQS::Queue"})).is_empty());
    }
}
