//! Subscriptions to log groups.
//!
//! Must not know: the groups of the functions themselves.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::common::{self, given, text};
use super::targets;
use crate::service::context::{Composer, Context, Function, is_mapping};
use crate::service::names;

/// Subscriptions that a log group may have.
const GROUP_LIMIT: usize = 2;

/// Adds what `cloudwatchLog` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let mut counts = BTreeMap::new();
    for function in &context.functions {
        let mut groups = Vec::new();
        for event in common::events(function, "cloudwatchLog") {
            subscription(
                context,
                function,
                event,
                (&mut groups, &mut counts),
                template,
            );
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace("\r\n", "").replace('\n', "")
}

/// A filter whose first quote is escaped loses one level of escapes.
fn unescaped(filter: &str) -> String {
    let is_escaped = match (filter.find('\\'), filter.find('"')) {
        (Some(slash), Some(quote)) => quote > slash,
        _ => false,
    };
    if !is_escaped {
        return filter.to_owned();
    }
    let mut text = String::with_capacity(filter.len());
    let mut characters = filter.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some(next @ ('"' | '\\' | '\''))) => {
                text.push(*next);
                characters.next();
            }
            _ => text.push(character),
        }
    }
    text
}

/// What all groups begin with, and a star when there are several.
fn common_beginning(groups: &[String]) -> String {
    let Some((first, others)) = groups.split_first() else {
        return String::new();
    };
    let mut kept: Vec<char> = first.chars().collect();
    for other in others {
        let shared = kept
            .iter()
            .zip(other.chars())
            .take_while(|(a, b)| **a == *b);
        let shared = shared.count();
        kept.truncate(shared);
    }
    if !others.is_empty() && kept.last() != Some(&'*') {
        kept.push('*');
    }
    kept.into_iter().collect()
}

fn subscription(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    (groups, counts): (&mut Vec<String>, &mut BTreeMap<String, usize>),
    template: &mut Composer,
) {
    let group = if is_mapping(event) {
        given(event, "logGroup")
    } else {
        Some(event)
    };
    let Some(group) = group.and_then(Node::as_str).map(one_line) else {
        return common::missing(context, template, event, "`logGroup`, a text");
    };
    let count = counts.entry(group.clone()).or_default();
    *count += 1;
    if *count > GROUP_LIMIT {
        let message = format!(
            "Only {GROUP_LIMIT} subscription filters can be configured per log group. You're attempting to configure more subscription filters than allowed for \"{group}\"."
        );
        let help = "let one function read the group and pass on what others need";
        return common::refuse(context, template, event, message, help);
    }
    let Some(group_name) = targets::through_json(&group) else {
        return targets::unreadable(context, template, event, "logGroup");
    };
    groups.push(group);
    let filter = text(event, "filter").map(one_line).unwrap_or_default();
    let prefix = names::normalize(&function.key);
    let permission = format!("{prefix}LambdaPermissionLogsSubscriptionFilterCloudWatchLog");
    let alias = function.alias.iter().map(|alias| alias.logical_id.clone());
    let waits: Vec<String> = [permission.clone()].into_iter().chain(alias).collect();
    let resource = json!({
        "Type": "AWS::Logs::SubscriptionFilter",
        "DependsOn": waits,
        "Properties": {
            "LogGroupName": group_name,
            "FilterPattern": unescaped(&filter),
            "DestinationArn": context.target(function),
        },
    });
    let id = format!(
        "{prefix}LogsSubscriptionFilterCloudWatchLog{}",
        groups.len()
    );
    template.resource(id, resource, event.span);
    let region = json!({"Ref": "AWS::Region"});
    let source = json!({"SourceArn": {"Fn::Join": ["", [
        "arn:", {"Ref": "AWS::Partition"}, ":logs:", region, ":", {"Ref": "AWS::AccountId"},
        ":log-group:", common_beginning(groups), ":*",
    ]]}});
    let principal = json!({"Fn::Join": ["", ["logs.", region, ".amazonaws.com"]]});
    let mut resource = common::permission(context, function, principal, source);
    if let Some(alias) = &function.alias {
        resource["DependsOn"] = Value::from(vec![alias.logical_id.clone()]);
    }
    template.resource(permission, resource, event.span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_share_their_beginning() {
        let check = |groups: &[&str], expected: &str| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            assert_eq!(common_beginning(&groups), expected);
        };
        check(&["/a/b"], "/a/b");
        check(&["/a/b", "/a/c"], "/a/*");
        check(&["/a/*", "/a/*"], "/a/*");
        check(&["/a", "/a"], "/a*");
    }

    #[test]
    fn filters_lose_one_level_of_escapes() {
        assert_eq!(unescaped(r#"{ $.a = \"b\" }"#), r#"{ $.a = "b" }"#);
        assert_eq!(unescaped(r#"{ $.a = "b\"" }"#), r#"{ $.a = "b\"" }"#);
    }
}
