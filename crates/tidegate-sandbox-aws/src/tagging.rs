//! The Resource Groups Tagging API over all services.
//!
//! Must not know: how a service keeps tags.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::hub::Hub;
use crate::refusal::{Refusal, check_model, refuse};
use crate::regions::Scope;
use crate::shape;

/// Resources of one page.
const PAGE: usize = 100;

/// Answers one operation.
///
/// # Errors
/// The service's own refusal.
pub(crate) fn call(
    hub: &Hub,
    scope: &Scope,
    operation: &str,
    input: &Value,
) -> Result<Value, Refusal> {
    let model = shape::model!("resourcegroupstaggingapi");
    check_model(model, operation, input, "InvalidParameterException")?;
    match operation {
        "GetResources" => get_resources(hub.tagged(scope), input),
        "GetTagKeys" => {
            let keys: BTreeSet<String> = hub
                .tagged(scope)
                .into_iter()
                .flat_map(|(_, tags)| tags.into_keys())
                .collect();
            Ok(json!({"TagKeys": keys, "PaginationToken": ""}))
        }
        "GetTagValues" => {
            let key = input["Key"].as_str().unwrap_or("");
            let values: BTreeSet<String> = hub
                .tagged(scope)
                .into_iter()
                .filter_map(|(_, mut tags)| tags.remove(key))
                .collect();
            Ok(json!({"TagValues": values, "PaginationToken": ""}))
        }
        "TagResources" | "UntagResources" => Ok(change(hub, scope, operation, input)),
        other => Err(Refusal::unsupported("tagging", other)),
    }
}

fn get_resources(
    mut all: Vec<(String, BTreeMap<String, String>)>,
    input: &Value,
) -> Result<Value, Refusal> {
    let after = input["PaginationToken"].as_str().unwrap_or("");
    let limit = match input["ResourcesPerPage"].as_u64() {
        Some(limit) if !(1..=100).contains(&limit) => {
            return Err(refuse(
                "InvalidParameterException",
                "ResourcesPerPage must be between 1 and 100.",
            ));
        }
        Some(limit) => usize::try_from(limit).unwrap_or(PAGE),
        None => PAGE,
    };
    all.sort();
    let types: Vec<&str> = texts(&input["ResourceTypeFilters"]);
    let arns: Vec<&str> = texts(&input["ResourceARNList"]);
    let mut found: Vec<(String, BTreeMap<String, String>)> = all
        .into_iter()
        .filter(|(arn, tags)| {
            !tags.is_empty()
                && (types.is_empty() || types.iter().any(|kind| is_of(arn, kind)))
                && (arns.is_empty() || arns.contains(&arn.as_str()))
                && has_tags(tags, &input["TagFilters"])
        })
        .filter(|(arn, _)| after.is_empty() || arn.as_str() > after)
        .collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let token = found
        .last()
        .map(|(arn, _)| arn.clone())
        .filter(|_| more)
        .unwrap_or_default();
    let list: Vec<Value> = found
        .into_iter()
        .map(|(arn, tags)| {
            let tags: Vec<Value> = tags
                .iter()
                .map(|(key, value)| json!({"Key": key, "Value": value}))
                .collect();
            json!({"ResourceARN": arn, "Tags": tags})
        })
        .collect();
    Ok(json!({"ResourceTagMappingList": list, "PaginationToken": token}))
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Every filter's key must be there, with one of its values if it has any.
fn has_tags(tags: &BTreeMap<String, String>, filters: &Value) -> bool {
    filters.as_array().into_iter().flatten().all(|filter| {
        let values = texts(&filter["Values"]);
        tags.get(filter["Key"].as_str().unwrap_or(""))
            .is_some_and(|value| values.is_empty() || values.contains(&value.as_str()))
    })
}

/// Is an ARN of a type such as `sqs`, `dynamodb:table` or `lambda:function`?
fn is_of(arn: &str, kind: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let (service, rest) = (
        parts.get(2).copied().unwrap_or(""),
        parts.get(5).copied().unwrap_or(""),
    );
    match kind.split_once(':') {
        None => service == kind,
        Some((wanted, resource)) => {
            service == wanted
                && (rest == resource
                    || rest.strip_prefix(resource).is_some_and(|rest| rest.starts_with(['/', ':']))
                    // Queues, topics and buckets have no type in their ARN.
                    || matches!(wanted, "sqs" | "sns" | "s3"))
        }
    }
}

/// Tags are changed through the service that owns the resource.
fn change(hub: &Hub, scope: &Scope, operation: &str, input: &Value) -> Value {
    let adds = operation == "TagResources";
    let mut failed = BTreeMap::new();
    let list: Vec<Value> = input["Tags"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    let keys = &input["TagKeys"];
    for arn in texts(&input["ResourceARNList"]) {
        let service = arn.split(':').nth(2).unwrap_or("");
        let (name, field, tags): (&str, &str, Value) = match (service, adds) {
            ("sqs", true) => ("TagQueue", "QueueUrl", input["Tags"].clone()),
            ("sqs", false) => ("UntagQueue", "QueueUrl", Value::Null),
            ("kinesis", true) => ("TagResource", "ResourceARN", input["Tags"].clone()),
            ("events" | "kinesis", false) => ("UntagResource", "ResourceARN", Value::Null),
            ("events", true) => ("TagResource", "ResourceARN", json!(list)),
            ("dynamodb" | "sns" | "scheduler", true) => ("TagResource", "ResourceArn", json!(list)),
            ("dynamodb" | "sns" | "scheduler", false) => {
                ("UntagResource", "ResourceArn", Value::Null)
            }
            ("secretsmanager", true) => ("TagResource", "SecretId", json!(list)),
            ("secretsmanager", false) => ("UntagResource", "SecretId", Value::Null),
            _ => {
                failed.insert(arn, json!({
                    "StatusCode": 400,
                    "ErrorCode": "InvalidParameterException",
                    "ErrorMessage": format!("the sandbox's tagging API does not change tags of {service}"),
                }));
                continue;
            }
        };
        let mut request = json!({field: arn});
        if adds {
            request["Tags"] = tags;
        } else {
            request["TagKeys"] = keys.clone();
        }
        if let Err(refusal) = hub.call_now(scope, service, name, &request) {
            failed.insert(
                arn,
                json!({
                    "StatusCode": refusal.status,
                    "ErrorCode": "InvalidParameterException",
                    "ErrorMessage": refusal.message,
                }),
            );
        }
    }
    json!({"FailedResourcesMap": failed})
}
