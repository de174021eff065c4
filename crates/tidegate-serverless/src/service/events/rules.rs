//! Rules of EventBridge: `cloudwatchEvent` and `eventBridge`.
//!
//! Must not know: schedules of the `schedule` event.

use md5::{Digest, Md5};
use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use super::script;
use super::targets::{self, Escape, Input};
use crate::service::context::{Composer, Context, Function, entries, is_mapping};
use crate::service::names;

/// The longest name of a rule or id of a target.
const NAME_LIMIT: usize = 64;
/// Characters of a hashed name that are left beside the hash, suffix included.
const KEPT: usize = 31;
const ONE_INPUT: &str = "keep one of `input`, `inputPath` and `inputTransformer`";

fn state(event: &Node) -> &'static str {
    match common::flag(event, "enabled") {
        Some(false) => "DISABLED",
        _ => "ENABLED",
    }
}

fn inputs(event: &Node) -> usize {
    let keys = ["input", "inputPath", "inputTransformer"];
    keys.iter()
        .filter(|key| truthy(event, key).is_some())
        .count()
}

/// Adds what `cloudwatchEvent` events make.
pub(crate) fn cloudwatch(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        let events = common::events(function, "cloudwatchEvent");
        for (index, event) in events.into_iter().enumerate() {
            cloudwatch_event(context, function, event, index + 1, template);
        }
    }
}

fn cloudwatch_event(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    number: usize,
    template: &mut Composer,
) {
    if inputs(event) > 1 {
        let message = "You can only set one of input, inputPath, or inputTransformer properties at the same time for cloudwatch events. Please check the AWS docs for more info";
        return common::refuse(context, template, event, message, ONE_INPUT);
    }
    let Some(pattern) = given(event, "event") else {
        return common::missing(context, template, event, "`event`, its pattern");
    };
    let pattern = script::stringify(pattern)
        .replace("\\n", "")
        .replace("\\r", "");
    let Ok(pattern) = serde_json::from_str::<Value>(&pattern) else {
        return targets::unreadable(context, template, event, "event");
    };
    let input = match Input::of(event, Escape::QuotesAndLines) {
        Ok(input) => input,
        Err(setting) => return targets::unreadable(context, template, event, &setting),
    };
    let mut target = Properties::default();
    target.set("Arn", context.target(function));
    target.set("Id", format!("{}CloudWatchEvent", function.key));
    input.put(&mut target);
    let mut properties = Properties::default();
    properties.set("EventPattern", pattern);
    properties.set("State", state(event));
    properties.set("Targets", json!([target.0]));
    for (name, key) in [("Name", "name"), ("Description", "description")] {
        if let Some(node) = truthy(event, key) {
            match targets::through_json(&script::text(node)) {
                Some(text) => properties.set(name, text),
                None => return targets::unreadable(context, template, node, key),
            }
        }
    }
    let prefix = names::normalize(&function.key);
    let id = format!("{prefix}EventsRuleCloudWatchEvent{number}");
    let permission = format!("{prefix}LambdaPermissionEventsRuleCloudWatchEvent{number}");
    targets::rule(
        context,
        function,
        (id, permission),
        properties,
        event,
        template,
    );
}

/// Adds what `eventBridge` events make.
pub(crate) fn event_bridge(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        for (index, event) in function.events().iter().enumerate() {
            if let Some(event) = truthy(event, "eventBridge") {
                event_bridge_event(context, function, event, index + 1, template);
            }
        }
    }
}

fn hashed(name: &str, suffix: &str) -> String {
    let kept: String = name.chars().take(KEPT - suffix.len()).collect();
    let hash = Md5::digest(name.as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kept}{hash}-{suffix}")
}

fn cut(name: String, suffix: &str) -> String {
    if name.len() > NAME_LIMIT {
        return hashed(&name, suffix);
    }
    name
}

/// A bus that an event names: its name in the template, and whether the template makes it.
struct Bus {
    name: Option<Value>,
    logical_id: Option<String>,
}

fn bus(event: &Node, template: &mut Composer) -> Bus {
    let elsewhere = |name| Bus {
        name,
        logical_id: None,
    };
    let Some(node) = truthy(event, "eventBus") else {
        return elsewhere(None);
    };
    let Some(name) = node.as_str() else {
        return elsewhere(Some(node.to_json()));
    };
    if name == "default" {
        return elsewhere(None);
    }
    if name.starts_with("arn") {
        let name = name.split_once('/').map_or(name, |(_, name)| name);
        return elsewhere((name != "default").then(|| name.into()));
    }
    let id = format!("{}EventBridgeEventBus", names::normalize(name));
    let resource = json!({"Type": "AWS::Events::EventBus", "Properties": {"Name": name}});
    template.resource(&id, resource, node.span);
    Bus {
        name: Some(name.into()),
        logical_id: Some(id),
    }
}

fn target(context: &Context<'_>, function: &Function, event: &Node, rule: &str) -> Value {
    let mut target = Properties::default();
    target.set("Arn", context.target(function));
    target.set("Id", cut(format!("{rule}-target"), "target"));
    if let Some(policy) = truthy(event, "retryPolicy") {
        let mut retry = Properties::default();
        retry.scalar("MaximumEventAgeInSeconds", policy, "maximumEventAge");
        retry.scalar("MaximumRetryAttempts", policy, "maximumRetryAttempts");
        target.set("RetryPolicy", retry.0);
    }
    if let Some(queue) = truthy(event, "deadLetterQueueArn") {
        target.set("DeadLetterConfig", json!({"Arn": queue.to_json()}));
    }
    if let Some(input) = truthy(event, "input") {
        target.set("Input", script::stringify(input));
    }
    target.copy("InputPath", event, "inputPath");
    if let Some(transformer) = truthy(event, "inputTransformer") {
        let mut renamed = Properties::default();
        for (key, value) in entries(Some(transformer)) {
            renamed.set(&names::upper_first(&key.text), value.to_json());
        }
        target.set("InputTransformer", renamed.0);
    }
    target.0.into()
}

fn event_bridge_event(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    number: usize,
    template: &mut Composer,
) {
    if !is_mapping(event) {
        return common::missing(context, template, event, "`pattern` or `schedule`");
    }
    if inputs(event) > 1 {
        let message = "You can only set one of input, inputPath, or inputTransformer properties for eventBridge events.";
        return common::refuse(context, template, event, message, ONE_INPUT);
    }
    let suffix = format!("rule-{number}");
    let plain = format!("{}-{suffix}", function.name);
    let name = text(event, "name").map_or_else(|| cut(plain.clone(), &suffix), str::to_owned);
    let bus = bus(event, template);
    let mut properties = Properties::default();
    properties.set("Name", name.as_str());
    properties.set("State", state(event));
    properties.set("Targets", json!([target(context, function, event, &name)]));
    if let Some(bus) = &bus.name {
        properties.set("EventBusName", bus.clone());
    }
    for (property, key) in [
        ("Description", "description"),
        ("EventPattern", "pattern"),
        ("ScheduleExpression", "schedule"),
    ] {
        if let Some(node) = given(event, key) {
            properties.set(property, node.to_json());
        }
    }
    let mut resource =
        common::after_alias(function, "AWS::Events::Rule", &Value::Object(properties.0));
    if let Some(bus) = bus.logical_id {
        let alias = function.alias.iter().map(|alias| alias.logical_id.clone());
        let waits: Vec<String> = alias.chain([bus]).collect();
        resource["DependsOn"] = match waits.as_slice() {
            [one] => one.as_str().into(),
            many => many.into(),
        };
    }
    let id = format!("{}EventBridgeRule", names::alphanumeric(&plain));
    template.resource(id, resource, event.span);
    let path: Vec<Value> = [Some("rule".into()), bus.name, Some(name.into())]
        .into_iter()
        .flatten()
        .collect();
    let source = json!({"SourceArn": {"Fn::Join": [":", [
        "arn", {"Ref": "AWS::Partition"}, "events", {"Ref": "AWS::Region"},
        {"Ref": "AWS::AccountId"}, {"Fn::Join": ["/", path]},
    ]]}});
    let id = format!(
        "{}EventBridgeLambdaPermission{number}",
        names::normalize(&function.key)
    );
    let resource = common::permission(context, function, "events.amazonaws.com", source);
    template.resource(id, resource, event.span);
}
