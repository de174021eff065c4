//! ACL rules: as documents write them, as the wire numbers them, as people read them. Pure.
//!
//! Must not know: users' other fields, requests.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};
use tidegate_applier::ApplierError;

use crate::document::{Fields, invalid, quoted, wrong};

/// Names and numbers of resources; the cluster has one name of its own.
const RESOURCES: [(&str, i8); 4] = [
    ("topic", 2),
    ("group", 3),
    ("cluster", 4),
    ("transactionalId", 5),
];
const CLUSTER: i8 = 4;
const CLUSTER_NAME: &str = "kafka-cluster";
const PATTERNS: [(&str, i8); 2] = [("literal", 3), ("prefix", 4)];
const OPERATIONS: [(&str, i8); 11] = [
    ("All", 2),
    ("Read", 3),
    ("Write", 4),
    ("Create", 5),
    ("Delete", 6),
    ("Alter", 7),
    ("Describe", 8),
    ("ClusterAction", 9),
    ("DescribeConfigs", 10),
    ("AlterConfigs", 11),
    ("IdempotentWrite", 12),
];
const PERMISSIONS: [(&str, i8); 2] = [("deny", 2), ("allow", 3)];
/// Rules of one document at most.
const RULES: usize = 2_000;

/// One rule of a principal, in the wire's numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acl {
    pub(crate) resource: i8,
    pub(crate) name: String,
    pub(crate) pattern: i8,
    pub(crate) host: String,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

fn number(table: &[(&str, i8)], name: &str) -> Option<i8> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number)
}

fn word(table: &[(&str, i8)], number: i8) -> String {
    let found = table.iter().find(|(_, known)| *known == number);
    found.map_or_else(|| number.to_string(), |(word, _)| (*word).to_owned())
}

/// `allow Read on topic orders from *`, for people and for paths.
impl fmt::Display for Acl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permission = word(&PERMISSIONS, self.permission);
        let operation = word(&OPERATIONS, self.operation);
        let resource = word(&RESOURCES, self.resource);
        write!(out, "{permission} {operation} on {resource}")?;
        match (self.resource, self.pattern) {
            (CLUSTER, _) => {}
            (_, 4) => write!(out, " {}*", self.name)?,
            _ => write!(out, " {}", self.name)?,
        }
        if self.host != "*" {
            write!(out, " from {}", self.host)?;
        }
        Ok(())
    }
}

/// The rules of `.spec.authorization`.
///
/// # Errors
/// Something is no rule; the error says which field.
pub(crate) fn read(authorization: &Value) -> Result<BTreeSet<Acl>, ApplierError> {
    let at = ".spec.authorization";
    let fields = Fields::of(Some(authorization), at)?;
    fields.only(&["type", "acls"])?;
    match fields.text("type")? {
        Some("simple") => {}
        other => {
            return Err(invalid(
                format!("{at}.type is {}", quoted(other.unwrap_or_default())),
                "write type: simple; it is the only one for users",
            ));
        }
    }
    let mut rules = BTreeSet::new();
    let list = match fields.get("acls") {
        None => return Ok(rules),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(wrong(&fields.path("acls"), "a list of rules", other)),
    };
    for (index, item) in list.iter().enumerate() {
        rules.extend(rule(item, &format!("{at}.acls[{index}]"))?);
        if rules.len() > RULES {
            return Err(invalid(
                format!("{at}.acls stands for more than {RULES} rules"),
                "use patternType: prefix, or operation All",
            ));
        }
    }
    Ok(rules)
}

fn one_of(
    table: &[(&str, i8)],
    fields: &Fields<'_>,
    name: &str,
    default: &str,
) -> Result<i8, ApplierError> {
    let text = fields.text(name)?.unwrap_or(default);
    number(table, text).ok_or_else(|| unknown(table, &fields.path(name), text))
}

fn unknown(table: &[(&str, i8)], at: &str, text: &str) -> ApplierError {
    let known: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
    invalid(
        format!("{at} is {}", quoted(text)),
        &format!("write one of {}", known.join(", ")),
    )
}

fn rule(item: &Value, at: &str) -> Result<Vec<Acl>, ApplierError> {
    let fields = Fields::of(Some(item), at)?;
    fields.only(&["type", "resource", "host", "operation", "operations"])?;
    let permission = one_of(&PERMISSIONS, &fields, "type", "allow")?;
    let host = fields.text("host")?.unwrap_or("*").to_owned();
    let resource = Fields::of(fields.get("resource"), &fields.path("resource"))?;
    resource.only(&["type", "name", "patternType"])?;
    let kind = one_of(&RESOURCES, &resource, "type", "")?;
    let pattern = one_of(&PATTERNS, &resource, "patternType", "literal")?;
    let name = match (kind, resource.text("name")?) {
        (CLUSTER, None | Some(CLUSTER_NAME)) => CLUSTER_NAME,
        (CLUSTER, Some(_)) => {
            return Err(invalid(
                format!(
                    "{} is set, and a cluster has no name",
                    resource.path("name")
                ),
                "remove the name",
            ));
        }
        (_, Some(name)) if !name.is_empty() => name,
        (_, _) => {
            return Err(invalid(
                format!("{} is missing", resource.path("name")),
                "write the name, or \"*\" for all",
            ));
        }
    };
    let operations = operations(&fields)?;
    Ok(operations
        .into_iter()
        .map(|operation| Acl {
            resource: kind,
            name: name.to_owned(),
            pattern: if kind == CLUSTER { 3 } else { pattern },
            host: host.clone(),
            operation,
            permission,
        })
        .collect())
}

/// `operations`, or the older `operation`.
fn operations(fields: &Fields<'_>) -> Result<Vec<i8>, ApplierError> {
    let mut found = Vec::new();
    if let Some(one) = fields.text("operation")? {
        let known = number(&OPERATIONS, one);
        found.push(known.ok_or_else(|| unknown(&OPERATIONS, &fields.path("operation"), one))?);
    }
    match fields.get("operations") {
        None => {}
        Some(Value::Array(list)) => {
            for item in list {
                let text = item.as_str().unwrap_or_default();
                let known = number(&OPERATIONS, text);
                found.push(
                    known.ok_or_else(|| unknown(&OPERATIONS, &fields.path("operations"), text))?,
                );
            }
        }
        Some(other) => {
            return Err(wrong(
                &fields.path("operations"),
                "a list of operations",
                other,
            ));
        }
    }
    if found.is_empty() {
        return Err(invalid(
            format!("{} is missing", fields.path("operations")),
            "write a list of operations, as [Read, Describe]",
        ));
    }
    Ok(found)
}

/// Rules as a document would write them, one an entry.
pub(crate) fn written(rules: &BTreeSet<Acl>) -> Value {
    let entry = |acl: &Acl| {
        let mut resource = Map::new();
        resource.insert("type".to_owned(), json!(word(&RESOURCES, acl.resource)));
        if acl.resource != CLUSTER {
            resource.insert("name".to_owned(), json!(acl.name));
            resource.insert(
                "patternType".to_owned(),
                json!(word(&PATTERNS, acl.pattern)),
            );
        }
        json!({
            "type": word(&PERMISSIONS, acl.permission),
            "resource": resource,
            "host": acl.host,
            "operations": [word(&OPERATIONS, acl.operation)],
        })
    };
    let acls: Vec<Value> = rules.iter().map(entry).collect();
    json!({"type": "simple", "acls": acls})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(acls: &Value, expected: Result<&[&str], &str>) {
        let found = read(&json!({"type": "simple", "acls": acls}));
        match (found, expected) {
            (Ok(rules), Ok(expected)) => {
                let words: Vec<String> = rules.iter().map(ToString::to_string).collect();
                assert_eq!(words, expected);
                assert_eq!(read(&written(&rules)).unwrap(), rules);
            }
            (Err(error), Err(part)) => assert!(error.message.contains(part), "{error}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn rules_of_every_resource_are_read() {
        check(
            &json!([
                {"resource": {"type": "topic", "name": "orders"}, "operations": ["Read", "Describe"]},
                {"resource": {"type": "topic", "name": "log-", "patternType": "prefix"}, "operation": "Write", "host": "10.0.0.1"},
                {"resource": {"type": "group", "name": "*"}, "operations": ["Read"], "type": "deny"},
                {"resource": {"type": "cluster"}, "operations": ["IdempotentWrite"]},
                {"resource": {"type": "transactionalId", "name": "t"}, "operations": ["All"]},
            ]),
            Ok(&[
                "allow Write on topic log-* from 10.0.0.1",
                "allow Read on topic orders",
                "allow Describe on topic orders",
                "deny Read on group *",
                "allow IdempotentWrite on cluster",
                "allow All on transactionalId t",
            ]),
        );
    }

    #[test]
    fn mistakes_name_their_field() {
        let topic = json!({"type": "topic", "name": "a"});
        for (rule, part) in [
            (json!({"resource": topic}), "acls[0].operations is missing"),
            (
                json!({"resource": topic, "operations": ["Reed"]}),
                "operations is \"Reed\"",
            ),
            (
                json!({"resource": {"type": "queue", "name": "a"}, "operations": ["Read"]}),
                "resource.type is \"queue\"",
            ),
            (
                json!({"resource": {"type": "topic"}, "operations": ["Read"]}),
                "resource.name is missing",
            ),
            (
                json!({"resource": {"type": "cluster", "name": "x"}, "operations": ["Read"]}),
                "a cluster has no name",
            ),
            (
                json!({"resource": topic, "operations": ["Read"], "hosts": "*"}),
                "unknown field .spec.authorization.acls[0].hosts",
            ),
        ] {
            check(&json!([rule]), Err(part));
        }
        assert!(read(&json!({"type": "opa"})).is_err());
    }
}
