//! API keys and usage plans.
//!
//! Must not know: endpoints.

use serde_json::{Value, json};
use tidegate_yaml::{Node, Span};

use super::validators::first_key;
use crate::service::context::{Composer, Context, entries, is_mapping, items};
use crate::service::events::common::{self, Properties, given, truthy};
use crate::service::events::script;
use crate::service::names;

/// The name of the only plan of a service that names none.
const DEFAULT_PLAN: &str = "default";

/// Adds the keys and plans of an API whose deployment is given.
pub(super) fn compile(context: &Context<'_>, deployment: &str, template: &mut Composer) {
    let keys = context.setting(&["apiGateway", "apiKeys"]);
    let plan = context.setting(&["apiGateway", "usagePlan"]);
    if keys.is_none() && plan.is_none() {
        return;
    }
    let named: Vec<(String, &Node)> = items(plan).iter().filter_map(first_key).collect();
    let is_list = plan.is_some_and(|plan| matches!(plan.value, tidegate_yaml::Value::Sequence(_)));
    let at = plan.or(keys).map(|node| node.span).unwrap_or_default();
    if is_list {
        for (name, limits) in &named {
            add_plan(context, deployment, (name, Some(*limits)), at, template);
        }
    } else {
        add_plan(context, deployment, (DEFAULT_PLAN, plan), at, template);
    }
    let plans: Vec<&str> = match is_list {
        true => named.iter().map(|(name, _)| name.as_str()).collect(),
        false => vec![DEFAULT_PLAN],
    };
    let mut number = 0;
    for key in items(keys) {
        let first = first_key(key);
        let of_plan = first
            .as_ref()
            .filter(|(name, _)| is_list && plans.contains(&name.as_str()));
        if let Some((plan, list)) = of_plan {
            number = 0;
            for key in items(Some(list)) {
                number += 1;
                add_key(context, deployment, (key, Some(plan), number), template);
            }
            continue;
        }
        if let Some((name, _)) =
            first.filter(|(_, value)| !plans.is_empty() && value_is_object(value))
        {
            let message = format!("API key \"{name}\" has no usage plan defined");
            let help = "add the plan to `provider.apiGateway.usagePlan`";
            common::refuse(context, template, key, message, help);
            return;
        }
        number += 1;
        add_key(context, deployment, (key, None, number), template);
    }
}

fn value_is_object(node: &Node) -> bool {
    matches!(
        node.value,
        tidegate_yaml::Value::Mapping(_) | tidegate_yaml::Value::Sequence(_)
    )
}

fn plan_id(name: Option<&str>) -> String {
    format!(
        "ApiGatewayUsagePlan{}",
        name.map(names::upper_first).unwrap_or_default()
    )
}

fn add_plan(
    context: &Context<'_>,
    deployment: &str,
    (name, limits): (&str, Option<&Node>),
    at: Span,
    template: &mut Composer,
) {
    let (service, stage) = (&context.service, &context.stage);
    let is_default = name == DEFAULT_PLAN;
    let (plan, description) = match is_default {
        true => (
            format!("{service}-{stage}"),
            format!("Usage plan for {service} {stage} stage"),
        ),
        false => (
            format!("{service}-{name}-{stage}"),
            format!("Usage plan \"{name}\" for {service} {stage} stage"),
        ),
    };
    let mut properties = Properties::default();
    properties.set(
        "ApiStages",
        json!([{"ApiId": super::reference(context), "Stage": stage}]),
    );
    properties.set("Description", description);
    properties.set("UsagePlanName", plan);
    let numbers = |key: &str, fields: &[(&str, &str)]| {
        let limits = limits.and_then(|limits| truthy(limits, key))?;
        if !is_default && entries(Some(limits)).is_empty() {
            return None;
        }
        let mut properties = Properties::default();
        for (property, field) in fields {
            if let Some(node) = given(limits, field) {
                properties.set(
                    property,
                    match *property {
                        "Period" => node.to_json(),
                        _ => common::scalar(node),
                    },
                );
            }
        }
        Some(properties.0)
    };
    if let Some(quota) = numbers(
        "quota",
        &[
            ("Limit", "limit"),
            ("Offset", "offset"),
            ("Period", "period"),
        ],
    ) {
        properties.set("Quota", quota);
    }
    if let Some(throttle) = numbers(
        "throttle",
        &[("BurstLimit", "burstLimit"), ("RateLimit", "rateLimit")],
    ) {
        properties.set("Throttle", throttle);
    }
    let resource = json!({
        "Type": "AWS::ApiGateway::UsagePlan",
        "DependsOn": deployment,
        "Properties": properties.0,
    });
    template.resource(plan_id((!is_default).then_some(name)), resource, at);
}

fn add_key(
    context: &Context<'_>,
    deployment: &str,
    (key, plan, number): (&Node, Option<&String>, usize),
    template: &mut Composer,
) {
    let mut properties = Properties::default();
    properties.set("Enabled", true);
    if is_mapping(key) {
        properties.scalar("Enabled", key, "enabled");
        for (name, field) in [
            ("Name", "name"),
            ("Description", "description"),
            ("CustomerId", "customerId"),
        ] {
            if let Some(node) = given(key, field) {
                properties.set(name, node.to_json());
            }
        }
        properties.copy("Value", key, "value");
    } else {
        properties.set("Name", script::text(key));
    }
    let stage: Value =
        json!([{"RestApiId": super::reference(context), "StageName": context.stage}]);
    properties.set("StageKeys", stage);
    let suffix = format!(
        "{}{number}",
        plan.map(|plan| names::upper_first(plan))
            .unwrap_or_default()
    );
    let id = format!("ApiGatewayApiKey{suffix}");
    let resource = json!({
        "Type": "AWS::ApiGateway::ApiKey",
        "DependsOn": deployment,
        "Properties": properties.0,
    });
    template.resource(&id, resource, key.span);
    let resource = json!({
        "Type": "AWS::ApiGateway::UsagePlanKey",
        "Properties": {
            "KeyId": {"Ref": id},
            "KeyType": "API_KEY",
            "UsagePlanId": {"Ref": plan_id(plan.map(String::as_str))},
        },
    });
    template.resource(
        format!("ApiGatewayUsagePlanKey{suffix}"),
        resource,
        key.span,
    );
}
