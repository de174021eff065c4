//! Schedules: rules of EventBridge, and schedules of EventBridge Scheduler.
//!
//! Must not know: event patterns.

use serde_json::json;
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use super::script;
use super::targets::{self, Input};
use crate::service::context::{Composer, Context, Function, is_mapping, items};
use crate::service::names;

const SCHEDULER: &str = "scheduler.amazonaws.com";

/// Adds what `schedule` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let mut resources = Vec::new();
    for function in &context.functions {
        let mut number = 0;
        let mut has_scheduler = false;
        for event in common::events(function, "schedule") {
            has_scheduler |= schedule(context, function, event, &mut number, template);
        }
        if has_scheduler {
            let arn = format!(
                "arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{}",
                function.name
            );
            resources.push(json!({"Fn::Sub": arn}));
            resources.push(json!({"Fn::Sub": format!("{arn}:*")}));
        }
    }
    if !resources.is_empty() && template.has_role() {
        common::trust(template, SCHEDULER);
        template.statement(common::allow(&["lambda:InvokeFunction"], resources));
    }
}

/// Adds one event; whether it is the scheduler's.
fn schedule(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    number: &mut usize,
    template: &mut Composer,
) -> bool {
    let rates = if is_mapping(event) {
        given(event, "rate")
    } else {
        Some(event)
    };
    let Some(rates) = rates else {
        common::missing(context, template, event, "`rate`");
        return false;
    };
    let rates = match &rates.value {
        tidegate_yaml::Value::Sequence(_) => items(Some(rates)),
        _ => std::slice::from_ref(rates),
    };
    let is_scheduler = text(event, "method") == Some("scheduler");
    if let Some((message, help)) = unsupported(event, rates.len(), is_scheduler) {
        common::refuse(context, template, event, message, help);
        return is_scheduler;
    }
    for rate in rates {
        *number += 1;
        if is_scheduler {
            scheduler(context, function, (event, rate), *number, template);
        } else {
            rule(context, function, (event, rate), *number, template);
        }
    }
    is_scheduler
}

/// What the framework does not take together, and what to do about it.
fn unsupported(event: &Node, rates: usize, is_scheduler: bool) -> Option<(String, &'static str)> {
    let has = |key: &str| truthy(event, key).is_some();
    if rates > 1 && has("name") {
        let message = "You cannot specify a name when defining more than one rate expression";
        return Some((
            message.to_owned(),
            "make an event of each rate, or leave the name out",
        ));
    }
    let names: &[&str] = if is_scheduler {
        &["inputTransformer", "inputPath"]
    } else {
        &["timezone", "groupName"]
    };
    let name = names.iter().find(|name| has(name))?;
    let message = if is_scheduler {
        format!(
            "Cannot setup \"schedule\" event: \"{name}\" is not supported with \"scheduler\" mode"
        )
    } else {
        format!(
            "Cannot setup \"schedule\" event: \"{name}\" is only supported with \"scheduler\" mode"
        )
    };
    Some((
        message,
        "choose `method: scheduler` or `method: eventBus` by what the event needs",
    ))
}

fn state(event: &Node) -> &'static str {
    match common::flag(event, "enabled") {
        Some(false) => "DISABLED",
        _ => "ENABLED",
    }
}

fn scheduler(
    context: &Context<'_>,
    function: &Function,
    (event, rate): (&Node, &Node),
    number: usize,
    template: &mut Composer,
) {
    let mut target = Properties::default();
    target.set("Arn", context.target(function));
    let own = truthy(event, "roleArn").map(Node::to_json);
    let of_function = template.resources.get(&function.logical_id);
    let of_function = of_function.and_then(|resource| resource.pointer("/Properties/Role"));
    if let Some(role) = own.or_else(|| of_function.cloned()) {
        target.set("RoleArn", role);
    }
    match targets::input_text(truthy(event, "input")) {
        Ok(Some(input)) => target.set("Input", input),
        Ok(None) => {}
        Err(message) => return targets::unreadable(context, template, event, &message),
    }
    let mut properties = Properties::default();
    properties.set("ScheduleExpression", rate.to_json());
    properties.set("State", state(event));
    properties.set("Target", target.0);
    properties.set("FlexibleTimeWindow", json!({"Mode": "OFF"}));
    for (name, key) in [
        ("Name", "name"),
        ("GroupName", "groupName"),
        ("Description", "description"),
        ("ScheduleExpressionTimezone", "timezone"),
    ] {
        if let Some(node) = given(event, key) {
            properties.set(name, node.to_json());
        }
    }
    let id = format!(
        "{}SchedulerSchedule{number}",
        names::normalize(&function.key)
    );
    let resource = common::after_alias(
        function,
        "AWS::Scheduler::Schedule",
        &serde_json::Value::Object(properties.0),
    );
    template.resource(id, resource, event.span);
}

fn rule(
    context: &Context<'_>,
    function: &Function,
    (event, rate): (&Node, &Node),
    number: usize,
    template: &mut Composer,
) {
    let input = match Input::of(event, targets::Escape::Quotes) {
        Ok(input) => input,
        Err(message) => return targets::unreadable(context, template, event, &message),
    };
    let mut target = Properties::default();
    target.set("Arn", context.target(function));
    target.set("Id", format!("{}Schedule", function.key));
    input.put(&mut target);
    let mut properties = Properties::default();
    properties.set("ScheduleExpression", rate.to_json());
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
    let id = format!("{prefix}EventsRuleSchedule{number}");
    let permission = format!("{prefix}LambdaPermissionEventsRuleSchedule{number}");
    targets::rule(
        context,
        function,
        (id, permission),
        properties,
        event,
        template,
    );
}
