//! Devices and voices: IoT rules and provisioning hooks, Alexa skills and smart homes.
//!
//! Must not know: other kinds of events.

use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text};
use super::script;
use crate::service::context::{Composer, Context, Function, is_mapping};
use crate::service::names;

/// Adds what `iot` events make.
pub(crate) fn rules(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        let events = common::events(function, "iot").into_iter();
        for (index, event) in events.enumerate() {
            rule(context, function, event, index + 1, template);
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace("\r\n", "").replace('\n', "")
}

fn rule(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    number: usize,
    template: &mut Composer,
) {
    let Some(sql) = given(event, "sql").and_then(Node::as_str) else {
        return common::missing(context, template, event, "`sql`");
    };
    let mut payload = Properties::default();
    payload.set(
        "RuleDisabled",
        common::flag(event, "enabled") == Some(false),
    );
    payload.set("Sql", one_line(sql));
    payload.set(
        "Actions",
        json!([{"Lambda": {"FunctionArn": context.target(function)}}]),
    );
    for (name, key) in [
        ("Description", "description"),
        ("AwsIotSqlVersion", "sqlVersion"),
    ] {
        if let Some(value) = text(event, key) {
            payload.set(name, one_line(value));
        }
    }
    let mut properties = Properties::default();
    properties.set("TopicRulePayload", payload.0);
    if let Some(name) = text(event, "name") {
        properties.set("RuleName", one_line(name));
    }
    let prefix = names::normalize(&function.key);
    let id = format!("{prefix}IotTopicRule{number}");
    let resource = common::after_alias(
        function,
        "AWS::IoT::TopicRule",
        &Value::Object(properties.0),
    );
    let source = json!({"SourceArn": {"Fn::Join": ["", [
        "arn:", {"Ref": "AWS::Partition"}, ":iot:", {"Ref": "AWS::Region"}, ":",
        {"Ref": "AWS::AccountId"}, ":rule/", {"Ref": id},
    ]]}});
    template.resource(id, resource, event.span);
    let resource = common::permission(context, function, "iot.amazonaws.com", source);
    let id = format!("{prefix}LambdaPermissionIotTopicRule{number}");
    template.resource(id, resource, event.span);
}

/// Adds what `iotFleetProvisioning` events make.
pub(crate) fn fleets(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        match common::events(function, "iotFleetProvisioning").as_slice() {
            [] => {}
            [event] => fleet(context, function, event, template),
            [_, second, ..] => {
                let message = format!(
                    "Found more than one iotFleetProvision event for function {}",
                    function.key
                );
                let help = "make a function of each, a function is the hook of one template";
                common::refuse(context, template, second, message, help);
            }
        }
    }
}

fn fleet(context: &Context<'_>, function: &Function, event: &Node, template: &mut Composer) {
    let settings = (
        given(event, "templateBody"),
        given(event, "provisioningRoleArn"),
    );
    let (Some(body), Some(role)) = settings else {
        let what = "`templateBody` and `provisioningRoleArn`";
        return common::missing(context, template, event, what);
    };
    let prefix = names::normalize(&function.key);
    let permission = format!("{prefix}LambdaPermissionIotProvisioningTemplate");
    let mut properties = Properties::default();
    properties.set("Enabled", true);
    properties.scalar("Enabled", event, "enabled");
    properties.set(
        "PreProvisioningHook",
        json!({"TargetArn": context.target(function)}),
    );
    properties.set("ProvisioningRoleArn", role.to_json());
    properties.set("TemplateBody", script::stringify(body));
    properties.copy("TemplateName", event, "templateName");
    let alias = function.alias.iter().map(|alias| alias.logical_id.clone());
    let waits: Vec<String> = [permission.clone()].into_iter().chain(alias).collect();
    let resource = json!({
        "Type": "AWS::IoT::ProvisioningTemplate",
        "DependsOn": waits,
        "Properties": properties.0,
    });
    template.resource(
        format!("{prefix}IotProvisioningTemplate"),
        resource,
        event.span,
    );
    let resource = common::permission(context, function, "iot.amazonaws.com", Value::Null);
    template.resource(permission, resource, event.span);
}

/// Adds what `alexaSkill` events make.
pub(crate) fn skills(context: &Context<'_>, template: &mut Composer) {
    voices(
        context,
        ("alexaSkill", "AlexaSkill", "alexa-appkit.amazon.com"),
        template,
    );
}

/// Adds what `alexaSmartHome` events make.
pub(crate) fn homes(context: &Context<'_>, template: &mut Composer) {
    let names = (
        "alexaSmartHome",
        "AlexaSmartHome",
        "alexa-connectedhome.amazon.com",
    );
    voices(context, names, template);
}

fn voices(
    context: &Context<'_>,
    (kind, infix, principal): (&str, &str, &str),
    template: &mut Composer,
) {
    for function in &context.functions {
        for (index, event) in common::events(function, kind).into_iter().enumerate() {
            let token = if is_mapping(event) {
                given(event, "appId")
            } else {
                Some(event)
            };
            let Some(token) = token else {
                common::missing(context, template, event, "`appId`");
                continue;
            };
            let token = match token.as_str() {
                Some(text) => text.replace("\\n", "").replace("\\r", "").into(),
                None => token.to_json(),
            };
            let mut more = json!({"EventSourceToken": token});
            if common::flag(event, "enabled") == Some(false) {
                more["Action"] = "lambda:DisableInvokeFunction".into();
            }
            let resource = common::permission(context, function, principal, more);
            let prefix = names::normalize(&function.key);
            let id = format!("{prefix}LambdaPermission{infix}{}", index + 1);
            template.resource(id, resource, event.span);
        }
    }
}
