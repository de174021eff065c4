//! CloudWatch Logs: groups, streams, events, subscription filters as they were stored.
//!
//! `groups`, `streams`, `events` and `subscriptions` hold the operations, `pattern` the filter language, `service` the protocol.
//! Must not know: who writes. Events are bounded: the oldest are dropped first.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_sandbox_aws::service::{Refusal, Scope, refuse};

mod events;
mod groups;
mod pattern;
mod service;
mod streams;
mod subscriptions;

pub(crate) use service::{Lines, Logs};

use groups::Group;

/// Groups of one region.
const GROUPS: usize = 10_000;
/// Bytes of messages that one region keeps.
const KEPT_BYTES: usize = 64 << 20;
/// Bytes that an event takes beside its message, as the service counts.
const EVENT_BYTES: usize = 26;

/// The groups of one region.
#[derive(Debug, Default)]
struct Region {
    groups: BTreeMap<String, Group>,
    /// Bytes of all events.
    bytes: usize,
    /// Counts events.
    count: u64,
}

fn invalid(words: impl Into<String>) -> Refusal {
    refuse("InvalidParameterException", words)
}

fn no_group() -> Refusal {
    refuse(
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
}

fn no_stream() -> Refusal {
    refuse(
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )
}

fn exists(what: &str) -> Refusal {
    refuse(
        "ResourceAlreadyExistsException",
        format!("The specified {what} already exists"),
    )
}

/// What breaks a constraint of the model.
fn constraint(value: &str, member: &str, rule: &str) -> Refusal {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
    ))
}

fn null(member: &str) -> Refusal {
    invalid(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}

/// One request at the region it is for.
struct Call<'a> {
    region: &'a mut Region,
    scope: &'a Scope,
    input: &'a Value,
}

impl Region {
    /// Answers one operation.
    ///
    /// # Errors
    /// The service's own refusal.
    fn call(&mut self, scope: &Scope, operation: &str, input: &Value) -> Result<Value, Refusal> {
        let mut call = Call {
            region: self,
            scope,
            input,
        };
        match operation {
            "CreateLogGroup" => call.create_group(),
            "DeleteLogGroup" => call.delete_group(),
            "DescribeLogGroups" => call.describe_groups(),
            "PutRetentionPolicy" => call.put_retention(),
            "DeleteRetentionPolicy" => call.delete_retention(),
            "AssociateKmsKey" => call.associate_key(),
            "DisassociateKmsKey" => call.disassociate_key(),
            "TagLogGroup" | "TagResource" => call.tag(),
            "UntagLogGroup" | "UntagResource" => call.untag(),
            "ListTagsLogGroup" | "ListTagsForResource" => call.list_tags(),
            "CreateLogStream" => call.create_stream(),
            "DeleteLogStream" => call.delete_stream(),
            "DescribeLogStreams" => call.describe_streams(),
            "PutLogEvents" => call.put_events(),
            "GetLogEvents" => call.get_events(),
            "FilterLogEvents" => call.filter_events(),
            "PutSubscriptionFilter" => call.put_subscription(),
            "DescribeSubscriptionFilters" => call.describe_subscriptions(),
            "DeleteSubscriptionFilter" => call.delete_subscription(),
            other => Err(refuse(
                "UnknownOperationException",
                format!("the sandbox's CloudWatch Logs has no operation {other}"),
            )),
        }
    }
}

impl Call<'_> {
    fn text(&self, member: &str) -> Result<&str, Refusal> {
        self.input[member].as_str().ok_or_else(|| null(member))
    }

    /// The name of the group that the request names, by name or ARN.
    fn group_name(&self) -> Result<String, Refusal> {
        let named = ["logGroupName", "logGroupIdentifier", "resourceArn"]
            .iter()
            .find_map(|member| self.input[*member].as_str())
            .ok_or_else(|| null("logGroupName"))?;
        let name = named
            .split_once(":log-group:")
            .map_or(named, |(_, rest)| rest.strip_suffix(":*").unwrap_or(rest));
        check_name(name)?;
        Ok(name.to_owned())
    }

    fn group(&mut self) -> Result<&mut Group, Refusal> {
        let name = self.group_name()?;
        self.region.groups.get_mut(&name).ok_or_else(no_group)
    }

    /// How many entries a page may have.
    fn limit(&self, default: usize, most: u64) -> Result<usize, Refusal> {
        match &self.input["limit"] {
            Value::Null => Ok(default),
            given => match given.as_u64() {
                Some(number) if (1..=most).contains(&number) => {
                    Ok(usize::try_from(number).unwrap_or(usize::MAX))
                }
                _ => Err(constraint(
                    &given.to_string(),
                    "limit",
                    &format!("Member must have value between 1 and {most}"),
                )),
            },
        }
    }

    /// One page of a list under `member`; the token is the key of the last entry given.
    fn page(&self, member: &str, entries: Vec<(String, Value)>, most: usize) -> Value {
        let after = self.input["nextToken"].as_str();
        let mut list = Vec::new();
        let mut last = None;
        let mut more = false;
        for (key, entry) in entries {
            if after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            if list.len() == most {
                more = true;
                break;
            }
            last = Some(key);
            list.push(entry);
        }
        let mut given = Map::new();
        given.insert(member.to_owned(), Value::Array(list));
        if let Some(last) = last.filter(|_| more) {
            given.insert("nextToken".into(), json!(last));
        }
        Value::Object(given)
    }
}

/// A group's name: characters and length.
fn check_name(name: &str) -> Result<(), Refusal> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#".contains(&byte);
    if name.is_empty() || name.len() > 512 {
        let rule = if name.is_empty() {
            "Member must have length greater than or equal to 1"
        } else {
            "Member must have length less than or equal to 512"
        };
        return Err(constraint(name, "logGroupName", rule));
    }
    if name.bytes().all(fine) {
        return Ok(());
    }
    Err(constraint(
        name,
        "logGroupName",
        "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
    ))
}
