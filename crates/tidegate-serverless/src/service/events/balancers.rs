//! Application load balancers: `alb` events.
//!
//! Must not know: other kinds of events.

use md5::{Digest, Md5};
use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use super::script;
use crate::service::context::{Composer, Context, Function, entries, is_mapping, items};
use crate::service::names;

/// The longest name of a target group.
const GROUP_NAME_LIMIT: usize = 32;

/// An event, checked.
struct Balanced<'c> {
    function: &'c Function,
    event: &'c Node,
    balancer: String,
    listener: String,
    priority: Value,
}

impl Balanced<'_> {
    fn has_lists(&self) -> bool {
        truthy(self.event, "multiValueHeaders").is_some()
    }

    fn group_id(&self) -> String {
        let lists = if self.has_lists() { "MultiValue" } else { "" };
        let prefix = names::normalize(&self.function.key);
        format!("{prefix}Alb{lists}TargetGroup{}", self.balancer)
    }

    fn permission_id(&self, suffix: &str) -> String {
        format!(
            "{}LambdaPermission{suffix}",
            names::normalize(&self.function.key)
        )
    }
}

/// Adds what `alb` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let mut all: Vec<Balanced<'_>> = Vec::new();
    for function in &context.functions {
        for event in common::events(function, "alb") {
            let read = read(context, function, event);
            match read.and_then(|event| check_priority(&all, &event).map(|()| event)) {
                Ok(event) => all.push(event),
                Err(message) => {
                    let help = "see the `alb` event in the reference of serverless.yml";
                    common::refuse(context, template, event, message, help);
                }
            }
        }
    }
    for event in &all {
        group(context, event, template);
        rule(context, event, template);
        permit(context, event, template);
    }
}

fn read<'c>(
    context: &Context<'_>,
    function: &'c Function,
    event: &'c Node,
) -> Result<Balanced<'c>, String> {
    let key = &function.key;
    let invalid = || format!("Invalid ALB listenerArn in function \"{key}\".");
    let arn = given(event, "listenerArn").ok_or_else(invalid)?;
    let (balancer, listener) = match arn.get("Ref").and_then(Node::as_str) {
        Some(reference) => (reference.to_owned(), reference.to_owned()),
        None => arn.as_str().and_then(listener).ok_or_else(invalid)?,
    };
    if entries(event.get("conditions")).is_empty() {
        return Err(format!(
            "Cannot setup \"alb\" event in \"{key}\" function: At least one condition must be defined"
        ));
    }
    if truthy(event, "targetGroupName").is_some()
        && context.setting(&["alb", "targetGroupPrefix"]).is_some()
    {
        return Err("ALB \"targetGroupName\" setting is exclusive with \"provider.alb.targetGroupPrefix\": Please specify only one.".to_owned());
    }
    for name in authorizers(event) {
        if context
            .provider
            .at(&["alb", "authorizers", &name])
            .is_none()
        {
            return Err(format!(
                "No match for \"{name}\" in function \"{key}\" found in registered ALB authorizers"
            ));
        }
    }
    let priority = given(event, "priority").map(common::scalar);
    Ok(Balanced {
        function,
        event,
        balancer,
        listener,
        priority: priority.ok_or("this alb event has no `priority`")?,
    })
}

fn authorizers(event: &Node) -> Vec<String> {
    match truthy(event, "authorizer") {
        Some(one) if one.as_str().is_some() => vec![script::text(one)],
        all => items(all).iter().map(script::text).collect(),
    }
}

/// The ids of the balancer and the listener in a listener's ARN.
fn listener(arn: &str) -> Option<(String, String)> {
    let rest = arn.strip_prefix("arn:aws")?;
    let (_, rest) = rest.split_once(":elasticloadbalancing:")?;
    let (_, path) = rest.split_once(":listener/app/")?;
    let mut parts = path.split('/');
    let (_, balancer, listener) = (parts.next()?, parts.next()?, parts.next()?);
    parts
        .next()
        .is_none()
        .then(|| (balancer.to_owned(), listener.to_owned()))
}

fn check_priority(all: &[Balanced<'_>], event: &Balanced<'_>) -> Result<(), String> {
    for other in all.iter().filter(|other| other.priority == event.priority) {
        let (is_function, is_listener) = (
            other.function.key == event.function.key,
            other.listener == event.listener,
        );
        let message = format!(
            "ALB event in function \"{}\" cannot use priority \"{}\" because it is already in use.",
            event.function.key, event.priority
        );
        match (is_function, is_listener) {
            (true, false) => {
                return Err(format!(
                    "{message}\n  Events in the same function cannot use the same priority even if they have a different listenerArn.\n  This is a Serverless limitation that will be fixed in the next major release."
                ));
            }
            (false, true) => return Err(message),
            _ => {}
        }
    }
    Ok(())
}

fn health(event: &Node, properties: &mut Properties) {
    properties.set("HealthCheckEnabled", false);
    let Some(check) = truthy(event, "healthCheck") else {
        return;
    };
    properties.set("HealthCheckEnabled", true);
    properties.set("HealthCheckPath", "/");
    properties.set("HealthCheckIntervalSeconds", 35);
    properties.set("HealthCheckTimeoutSeconds", 30);
    properties.set("HealthyThresholdCount", 5);
    properties.set("UnhealthyThresholdCount", 5);
    properties.set("Matcher", json!({"HttpCode": "200"}));
    properties.copy("HealthCheckPath", check, "path");
    properties.scalar("HealthCheckIntervalSeconds", check, "intervalSeconds");
    properties.scalar("HealthCheckTimeoutSeconds", check, "timeoutSeconds");
    properties.scalar("HealthyThresholdCount", check, "healthyThresholdCount");
    properties.positive("UnhealthyThresholdCount", check, "unhealthyThresholdCount");
    if let Some(code) = check.at(&["matcher", "httpCode"]) {
        properties.set("Matcher", json!({"HttpCode": script::text(code)}));
    }
}

fn group(context: &Context<'_>, event: &Balanced<'_>, template: &mut Composer) {
    let (service, stage, key) = (&context.service, &context.stage, &event.function.key);
    let tag = |lists: &str| format!("{service}-{key}-{}-{lists}{stage}", event.balancer);
    let name = text(event.event, "targetGroupName")
        .map(str::to_owned)
        .unwrap_or_else(|| {
            let digest = Md5::digest(tag(if event.has_lists() {
                "multi-value-"
            } else {
                ""
            }));
            let digest = digest.iter().map(|byte| format!("{byte:02x}"));
            let prefix = context
                .setting(&["alb", "targetGroupPrefix"])
                .map(script::text);
            let name = prefix.into_iter().chain(digest).collect::<String>();
            name.chars().take(GROUP_NAME_LIMIT).collect()
        });
    let mut properties = Properties::default();
    properties.set("TargetType", "lambda");
    properties.set("Targets", json!([{"Id": context.target(event.function)}]));
    properties.set("Name", name);
    properties.set("Tags", json!([{"Key": "Name", "Value": tag("")}]));
    let lists = json!({"Key": "lambda.multi_value_headers.enabled", "Value": event.has_lists()});
    properties.set("TargetGroupAttributes", json!([lists]));
    health(event.event, &mut properties);
    let alias = event
        .function
        .alias
        .iter()
        .map(|alias| alias.logical_id.clone());
    let register = event.permission_id("RegisterTarget");
    let waits: Vec<String> = [register].into_iter().chain(alias).collect();
    let resource = json!({
        "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
        "DependsOn": waits,
        "Properties": properties.0,
    });
    template.resource(event.group_id(), resource, event.event.span);
}

/// The step that asks who calls.
fn authentication(settings: &Node, order: usize) -> Value {
    let is_cognito = text(settings, "type") == Some("cognito");
    let fields: &[(&str, &str)] = match is_cognito {
        true => &[
            ("UserPoolArn", "userPoolArn"),
            ("UserPoolClientId", "userPoolClientId"),
            ("UserPoolDomain", "userPoolDomain"),
        ],
        false => &[
            ("AuthorizationEndpoint", "authorizationEndpoint"),
            ("ClientId", "clientId"),
            ("Issuer", "issuer"),
            ("TokenEndpoint", "tokenEndpoint"),
            ("UserInfoEndpoint", "userInfoEndpoint"),
        ],
    };
    let shared: &[(&str, &str)] = &[
        ("AuthenticationRequestExtraParams", "requestExtraParams"),
        ("Scope", "scope"),
        ("SessionCookieName", "sessionCookieName"),
        ("SessionTimeout", "sessionTimeout"),
    ];
    let mut config = Properties::default();
    config.set("OnUnauthenticatedRequest", "deny");
    config.copy(
        "OnUnauthenticatedRequest",
        settings,
        "onUnauthenticatedRequest",
    );
    for (property, key) in fields.iter().chain(shared) {
        if let Some(node) = given(settings, key) {
            config.set(property, node.to_json());
        }
    }
    if is_cognito {
        return json!({"Type": "authenticate-cognito", "Order": order, "AuthenticateCognitoConfig": config.0});
    }
    match truthy(settings, "clientSecret") {
        Some(secret) => config.set("ClientSecret", secret.to_json()),
        None => config.set("UseExistingClientSecret", true),
    }
    json!({"Type": "authenticate-oidc", "Order": order, "AuthenticateOidcConfig": config.0})
}

/// A list, or the one item that stands for a list of it.
fn list(node: &Node) -> Value {
    match &node.value {
        tidegate_yaml::Value::Sequence(_) => node.to_json(),
        _ => json!([node.to_json()]),
    }
}

fn conditions(event: &Node) -> Vec<Value> {
    let settings = event.get("conditions").cloned().unwrap_or_default();
    let mut all = Vec::new();
    let values = |key: &str| truthy(&settings, key).map(list);
    if let Some(paths) = values("path") {
        all.push(json!({"Field": "path-pattern", "Values": paths}));
    }
    if let Some(hosts) = values("host") {
        all.push(json!({"Field": "host-header", "HostHeaderConfig": {"Values": hosts}}));
    }
    if let Some(methods) = values("method") {
        let config = json!({"Values": methods});
        all.push(json!({"Field": "http-request-method", "HttpRequestMethodConfig": config}));
    }
    let headers = truthy(&settings, "header");
    let single = headers.filter(|header| is_mapping(header));
    for header in items(headers).iter().chain(single) {
        let mut config = Properties::default();
        config.copy("HttpHeaderName", header, "name");
        config.copy("Values", header, "values");
        all.push(json!({"Field": "http-header", "HttpHeaderConfig": config.0}));
    }
    if let Some(query) = truthy(&settings, "query") {
        let pairs = script::in_order(entries(Some(query))).into_iter();
        let pairs: Vec<Value> = pairs
            .map(|(key, value)| json!({"Key": key.text, "Value": value.to_json()}))
            .collect();
        all.push(json!({"Field": "query-string", "QueryStringConfig": {"Values": pairs}}));
    }
    if let Some(addresses) = values("ip") {
        all.push(json!({"Field": "source-ip", "SourceIpConfig": {"Values": addresses}}));
    }
    all
}

fn rule(context: &Context<'_>, event: &Balanced<'_>, template: &mut Composer) {
    let mut actions = Vec::new();
    for name in authorizers(event.event) {
        if let Some(settings) = context.provider.at(&["alb", "authorizers", &name]) {
            actions.push(authentication(settings, actions.len() + 1));
        }
    }
    let mut forward = json!({"Type": "forward", "TargetGroupArn": {"Ref": event.group_id()}});
    if !actions.is_empty() {
        forward["Order"] = (actions.len() + 1).into();
    }
    actions.push(forward);
    let mut properties = Properties::default();
    properties.set("Actions", actions);
    properties.set("Conditions", conditions(event.event));
    properties.set("Priority", event.priority.clone());
    if let Some(arn) = event.event.get("listenerArn") {
        properties.set("ListenerArn", arn.to_json());
    }
    let resource = json!({
        "Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
        "Properties": properties.0,
    });
    let prefix = names::normalize(&event.function.key);
    let id = format!("{prefix}AlbListenerRule{}", event.priority);
    template.resource(id, resource, event.event.span);
}

fn permit(context: &Context<'_>, event: &Balanced<'_>, template: &mut Composer) {
    let principal = "elasticloadbalancing.amazonaws.com";
    let source = json!({"SourceArn": {"Ref": event.group_id()}});
    for (suffix, more) in [("Alb", source), ("RegisterTarget", Value::Null)] {
        let mut resource = common::permission(context, event.function, principal, more);
        if let Some(alias) = &event.function.alias {
            resource["DependsOn"] = json!([alias.logical_id]);
        }
        template.resource(event.permission_id(suffix), resource, event.event.span);
    }
}
