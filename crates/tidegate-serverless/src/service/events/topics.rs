//! SNS topics: those that a service makes, and those that it subscribes to.
//!
//! Must not know: queues, beside the dead-letter queue of a subscription.

use serde_json::{Value, json};
use tidegate_render::DEFAULT_REGION;
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use crate::service::context::{Composer, Context, Function, is_mapping};
use crate::service::names;

/// A topic as an event names it.
struct Topic {
    name: String,
    arn: Option<Value>,
    region: Option<String>,
}

/// Adds what `sns` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        for event in common::events(function, "sns") {
            match topic(context, event) {
                Ok(topic) => subscribe(context, function, event, topic, template),
                Err(message) => {
                    let help = "name the topic with `sns.topicName`";
                    common::refuse(context, template, event, message, help);
                }
            }
        }
    }
}

fn topic(context: &Context<'_>, event: &Node) -> Result<Topic, &'static str> {
    let plain = |name: &str| Topic {
        name: name.to_owned(),
        arn: None,
        region: None,
    };
    if !is_mapping(event) {
        let text = super::script::text(event);
        return Ok(match text.starts_with("arn:") {
            true => Topic {
                name: text.rsplit(':').next().unwrap_or_default().to_owned(),
                arn: Some(text.as_str().into()),
                region: None,
            },
            false => plain(&text),
        });
    }
    let named = text(event, "topicName");
    let Some(arn) = truthy(event, "arn") else {
        return named
            .map(plain)
            .ok_or("this sns event has neither \"topicName\" nor \"arn\"");
    };
    let parts = arn.as_str().map(parts);
    let last = parts.as_ref().and_then(|parts| parts.last().cloned());
    let name = named.map(str::to_owned).or(last).ok_or(
        "Missing \"sns.topicName\" setting (it needs to be provided if \"sns.arn\" is not provided as plain ARN string)",
    )?;
    let region = parts.and_then(|parts| parts.get(3).cloned());
    Ok(Topic {
        name,
        arn: Some(arn.to_json()),
        region: region.filter(|region| !is_asked_for(context, region)),
    })
}

/// Whether the operator asked for this region, which a subscription then need not name.
fn is_asked_for(context: &Context<'_>, region: &str) -> bool {
    let asked = context.environment.region.as_str();
    asked == region && asked != DEFAULT_REGION
}

/// The parts of an ARN: only single colons part them.
fn parts(arn: &str) -> Vec<String> {
    let characters: Vec<char> = arn.chars().collect();
    let mut parts = vec![String::new()];
    for (index, character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| characters.get(index));
        let is_single = before != Some(&':') && characters.get(index + 1) != Some(&':');
        if *character == ':' && is_single {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(*character);
        }
    }
    parts
}

fn subscribe(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    topic: Topic,
    template: &mut Composer,
) {
    let prefix = names::normalize(&function.key);
    let topic_name = names::alphanumeric(&topic.name);
    let redrive = truthy(event, "redrivePolicy");
    let redrive =
        redrive.and_then(|policy| dead_letters(context, function, policy, &topic, template));
    let mut properties = Properties::default();
    properties.set("Protocol", "lambda");
    properties.set("Endpoint", context.target(function));
    for (name, key) in [
        ("FilterPolicy", "filterPolicy"),
        ("FilterPolicyScope", "filterPolicyScope"),
    ] {
        if let Some(node) = given(event, key) {
            properties.set(name, node.to_json());
        }
    }
    if let Some(redrive) = &redrive {
        properties.set("RedrivePolicy", redrive.clone());
    }
    let is_own = topic.arn.is_none();
    let has_settings = truthy(event, "filterPolicy").is_some() || redrive.is_some();
    if is_own {
        let id = own_topic(function, event, &topic.name, template);
        if has_settings {
            properties.set("TopicArn", json!({"Ref": id}));
        } else {
            subscribe_within(&id, &context.target(function), template);
        }
    } else {
        properties.set("TopicArn", topic.arn.clone());
        if let Some(region) = &topic.region {
            properties.set("Region", region.as_str());
        }
    }
    if !is_own || has_settings {
        let id = format!("{prefix}SnsSubscription{topic_name}");
        let resource = common::after_alias(
            function,
            "AWS::SNS::Subscription",
            &Value::Object(properties.0),
        );
        template.resource(id, resource, event.span);
    }
    let arn = topic.arn.unwrap_or_else(|| {
        json!({"Fn::Join": ["", [
            "arn:", {"Ref": "AWS::Partition"}, ":sns:", {"Ref": "AWS::Region"}, ":",
            {"Ref": "AWS::AccountId"}, ":", topic.name,
        ]]})
    });
    let source = json!({"SourceArn": arn});
    let resource = common::permission(context, function, "sns.amazonaws.com", source);
    template.resource(
        format!("{prefix}LambdaPermission{topic_name}SNS"),
        resource,
        event.span,
    );
}

/// Adds a subscription to the topic's own list.
fn subscribe_within(topic: &str, endpoint: &Value, template: &mut Composer) {
    let properties = template
        .resources
        .get_mut(topic)
        .and_then(|topic| topic.get_mut("Properties"))
        .and_then(Value::as_object_mut);
    if let Some(properties) = properties {
        let list = properties
            .entry("Subscription")
            .or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!({"Endpoint": endpoint, "Protocol": "lambda"}));
        }
    }
}

/// Adds a topic unless it is there, and lets it wait for the function's alias.
fn own_topic(function: &Function, event: &Node, name: &str, template: &mut Composer) -> String {
    let id = format!("SNSTopic{}", names::alphanumeric(name));
    if !template.resources.contains_key(&id) {
        let mut properties = Properties::default();
        properties.set("TopicName", name);
        properties.copy("DisplayName", event, "displayName");
        let resource = json!({"Type": "AWS::SNS::Topic", "Properties": properties.0});
        template.resource(&id, resource, event.span);
    }
    let topic = template
        .resources
        .get_mut(&id)
        .and_then(Value::as_object_mut);
    if let (Some(alias), Some(topic)) = (&function.alias, topic) {
        let alias = Value::from(alias.logical_id.as_str());
        let mut waits = match topic.remove("DependsOn") {
            Some(Value::Array(waits)) => waits,
            Some(one) => vec![one],
            None => Vec::new(),
        };
        if !waits.contains(&alias) {
            waits.push(alias);
        }
        let waits = match <[Value; 1]>::try_from(waits) {
            Ok([one]) => one,
            Err(many) => many.into(),
        };
        topic.insert("DependsOn".to_owned(), waits);
    }
    id
}

/// The queue of messages that could not be delivered; its policy lets the topic send to it.
fn dead_letters(
    context: &Context<'_>,
    function: &Function,
    policy: &Node,
    topic: &Topic,
    template: &mut Composer,
) -> Option<Value> {
    let (arn, url) = if let Some(arn) = text(policy, "deadLetterTargetArn") {
        let mut parts = arn.rsplit(':');
        let mut part = || parts.next().unwrap_or("undefined");
        let (queue, account, region) = (part(), part(), part());
        let url = json!({"Fn::Join": ["", [
            format!("https://sqs.{region}."),
            {"Ref": "AWS::URLSuffix"},
            format!("/{account}/{queue}"),
        ]]});
        (json!(arn), url)
    } else if let Some(queue) = truthy(policy, "deadLetterTargetRef").map(Node::to_json) {
        (json!({"Fn::GetAtt": [queue, "Arn"]}), json!({"Ref": queue}))
    } else if let Some(import) = truthy(policy, "deadLetterTargetImport") {
        let part = |key: &str| import.get(key).map(Node::to_json);
        (
            json!({"Fn::ImportValue": part("arn")}),
            json!({"Fn::ImportValue": part("url")}),
        )
    } else {
        let what = "`deadLetterTargetArn`, `deadLetterTargetRef` or `deadLetterTargetImport`";
        common::missing(context, template, policy, what);
        return None;
    };
    let id = format!(
        "{}To{}DLQPolicy",
        names::alphanumeric(&topic.name),
        names::normalize(&function.key)
    );
    let mut condition = Properties::default();
    if let Some(topic) = &topic.arn {
        condition.set("aws:SourceArn", topic.clone());
    }
    let resource = json!({
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Id": id,
                "Statement": [{
                    "Effect": "Allow",
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                    "Condition": {"ArnEquals": condition.0},
                }],
            },
            "Queues": [url],
        },
    });
    template.resource(id, resource, policy.span);
    Some(json!({"deadLetterTargetArn": arn}))
}
