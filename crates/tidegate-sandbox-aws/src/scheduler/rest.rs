//! Scheduler's REST form: operations by method and path, members from path, query and body.
//!
//! Must not know: what operations do.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The operation and input of a request; `path` is decoded part by part.
pub(crate) fn route(
    method: &str,
    path: &[String],
    query: &BTreeMap<String, String>,
    repeated: &[(String, String)],
    body: Value,
) -> Option<(&'static str, Value)> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let (operation, member, name) = match (method, parts.as_slice()) {
        ("GET", ["schedules"]) => ("ListSchedules", None, ""),
        ("POST", ["schedules", name]) => ("CreateSchedule", Some("Name"), *name),
        ("PUT", ["schedules", name]) => ("UpdateSchedule", Some("Name"), *name),
        ("GET", ["schedules", name]) => ("GetSchedule", Some("Name"), *name),
        ("DELETE", ["schedules", name]) => ("DeleteSchedule", Some("Name"), *name),
        ("GET", ["schedule-groups"]) => ("ListScheduleGroups", None, ""),
        ("POST", ["schedule-groups", name]) => ("CreateScheduleGroup", Some("Name"), *name),
        ("GET", ["schedule-groups", name]) => ("GetScheduleGroup", Some("Name"), *name),
        ("DELETE", ["schedule-groups", name]) => ("DeleteScheduleGroup", Some("Name"), *name),
        ("POST", ["tags", arn]) => ("TagResource", Some("ResourceArn"), *arn),
        ("DELETE", ["tags", arn]) => ("UntagResource", Some("ResourceArn"), *arn),
        ("GET", ["tags", arn]) => ("ListTagsForResource", Some("ResourceArn"), *arn),
        _ => return None,
    };
    let mut input = match body {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    if let Some(member) = member {
        input.insert(member.to_owned(), json!(name));
    }
    for (name, value) in query {
        let (member, number) = match name.as_str() {
            "groupName" => ("GroupName", false),
            "ScheduleGroup" => ("GroupName", false),
            "clientToken" => ("ClientToken", false),
            "MaxResults" => ("MaxResults", true),
            "NamePrefix" | "NextToken" | "State" => (name.as_str(), false),
            _ => continue,
        };
        let value = match value.parse::<i64>() {
            Ok(parsed) if number => json!(parsed),
            _ => json!(value),
        };
        input.insert(member.to_owned(), value);
    }
    let keys: Vec<&String> = repeated
        .iter()
        .filter(|(name, _)| name == "TagKeys")
        .map(|(_, value)| value)
        .collect();
    if !keys.is_empty() {
        input.insert("TagKeys".into(), json!(keys));
    }
    Some((operation, Value::Object(input)))
}
