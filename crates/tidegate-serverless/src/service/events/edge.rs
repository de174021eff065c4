//! Lambda@Edge: `cloudFront` events, the distribution that they share, and its cache policies.
//!
//! Must not know: APIs.

use serde_json::{Map, Value, json};
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use super::script;
use crate::service::context::{Composer, Context, Function, entries};
use crate::service::names;

const DISTRIBUTION: &str = "CloudFrontDistribution";
const REGION: &str = "us-east-1";
/// AWS' own policy for content that may be kept long.
const DEFAULT_POLICY: &str = "658327ea-f89d-4fab-a63d-7e88639e58f6";
/// Megabytes and seconds that functions between CloudFront and the viewer may have.
const VIEWER_LIMITS: (f64, f64) = (128.0, 5.0);
/// Megabytes and seconds that functions between CloudFront and the origin may have.
const ORIGIN_LIMITS: (f64, f64) = (10_240.0, 30.0);
/// What a function at the edge has unless it says otherwise, whatever the provider says.
const DEFAULTS: &[(&str, &str, u32)] =
    &[("memorySize", "MemorySize", 128), ("timeout", "Timeout", 5)];

/// What the events gather.
#[derive(Default)]
struct Edge {
    origins: Vec<Map<String, Value>>,
    /// The position of the origin of what no behaviour matches.
    default: Option<usize>,
    behaviors: Vec<Map<String, Value>>,
    /// Functions' keys and the logical ids of their versions.
    functions: Vec<(String, String)>,
}

fn policy_id(name: &str) -> String {
    format!("CloudFrontCachePolicy{}", names::normalize(name))
}

/// Adds what `cloudFront` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    policies(context, template);
    let mut edge = Edge::default();
    for function in &context.functions {
        for event in common::events(function, "cloudFront") {
            if let Err((message, help)) = read(context, function, event, &mut edge, template) {
                return common::refuse(context, template, event, message, help);
            }
        }
    }
    let events = context
        .functions
        .iter()
        .flat_map(|function| common::events(function, "cloudFront"));
    let Some(first) = events.into_iter().next() else {
        return;
    };
    if let Err((message, help)) = finish(context, &mut edge) {
        return common::refuse(context, template, first, message, help);
    }
    for (key, version) in &edge.functions {
        let source = json!({"Fn::Join": ["", [
            "", "arn:", {"Ref": "AWS::Partition"}, ":cloudfront::", {"Ref": "AWS::AccountId"},
            ":distribution/", {"Ref": DISTRIBUTION},
        ]]});
        let resource = json!({
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Ref": version},
                "Action": "lambda:InvokeFunction",
                "Principal": "edgelambda.amazonaws.com",
                "SourceArn": source,
            },
        });
        template.resource(
            format!("{}InvokePermission", names::function(key)),
            resource,
            first.span,
        );
    }
    common::trust(template, "edgelambda.amazonaws.com");
    let actions = [
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "logs:TagResource",
    ];
    let logs = json!([{"Fn::Sub": "arn:${AWS::Partition}:logs:*:*:*"}]);
    template.statement(common::allow(&actions, logs));
    distribution(context, edge, first, template);
}

fn policies(context: &Context<'_>, template: &mut Composer) {
    let policies = context.setting(&["cloudFront", "cachePolicies"]);
    for (name, policy) in entries(policies) {
        let mut config = policy.to_json();
        let full = format!("{}-{}-{}", context.service, context.stage, name.text);
        if let Some(config) = config.as_object_mut() {
            config.insert("Name".to_owned(), full.into());
        }
        let resource = json!({
            "Type": "AWS::CloudFront::CachePolicy",
            "Properties": {"CachePolicyConfig": config},
        });
        template.resource(policy_id(&name.text), resource, name.span);
    }
}

/// A refusal: its message, and what to do.
type Refusal = (String, &'static str);

fn read(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    edge: &mut Edge,
    template: &mut Composer,
) -> Result<(), Refusal> {
    check_limits(function, event)?;
    let version = prepare(function, template).ok_or_else(|| {
        let message = format!(
            "function \"{}\" has no version for CloudFront to call",
            function.key
        );
        (message, "leave `versionFunction: false` out")
    })?;
    let origin = given(event, "origin").ok_or_else(|| {
        let message = "this cloudFront event has no `origin`";
        (
            message.to_owned(),
            "add the URL of the origin, or a mapping",
        )
    })?;
    let origin = origin_of(origin)?;
    let id = origin.get("Id").cloned().unwrap_or_default();
    let known = edge
        .origins
        .iter()
        .position(|known| known.get("Id") == Some(&id));
    let position = known.unwrap_or(edge.origins.len());
    match edge.origins.get_mut(position) {
        Some(known) => extend(known, origin),
        None => edge.origins.push(origin),
    }
    if truthy(event, "isDefaultOrigin").is_some() {
        if edge.default.is_some_and(|default| default != position) {
            let message = "Found more than one cloudfront event with \"isDefaultOrigin\" defined";
            return Err((message.to_owned(), "keep one of them"));
        }
        edge.default = Some(position);
    }
    let behavior = behavior(context, event, &version, id)?;
    let same = |known: &&mut Map<String, Value>| {
        ["PathPattern", "TargetOriginId"]
            .iter()
            .all(|key| known.get(*key) == behavior.get(*key))
    };
    match edge.behaviors.iter_mut().find(same) {
        Some(known) => extend(known, behavior),
        None => edge.behaviors.push(behavior),
    }
    edge.functions.push((function.key.clone(), version));
    Ok(())
}

fn check_limits(function: &Function, event: &Node) -> Result<(), Refusal> {
    let kind = text(event, "eventType").unwrap_or("default");
    let (memory, seconds) = match kind.starts_with("origin") {
        true => ORIGIN_LIMITS,
        false => VIEWER_LIMITS,
    };
    for (setting, limit) in [("memorySize", memory), ("timeout", seconds)] {
        let value = function
            .setting(setting)
            .and_then(|node| common::scalar(node).as_f64());
        if value.is_some_and(|value| value > limit) {
            let message = format!(
                "\"{}\" {setting} is greater than {limit} which is not supported by Lambda@Edge functions of type \"{kind}\"",
                function.key
            );
            return Err((message, "lower it, or move the work behind the origin"));
        }
    }
    Ok(())
}

/// Takes from a function what no edge takes; gives the logical id of its version.
fn prepare(function: &Function, template: &mut Composer) -> Option<String> {
    let resource = template
        .resources
        .get_mut(&function.logical_id)?
        .as_object_mut()?;
    resource.insert("DeletionPolicy".to_owned(), "Retain".into());
    let properties = resource.get_mut("Properties")?.as_object_mut()?;
    properties.remove("VpcConfig");
    properties.remove("Environment");
    for (setting, property, default) in DEFAULTS {
        if function.setting(setting).is_none() {
            properties.insert((*property).to_owned(), (*default).into());
        }
    }
    let versions = template.resources.iter().find(|(_, resource)| {
        let of = resource
            .pointer("/Properties/FunctionName/Ref")
            .and_then(Value::as_str);
        resource.get("Type").and_then(Value::as_str) == Some("AWS::Lambda::Version")
            && of == Some(&function.logical_id)
    });
    versions.map(|(id, _)| id.clone())
}

fn origin_of(node: &Node) -> Result<Map<String, Value>, Refusal> {
    let mut origin = Properties::default();
    if let Some(url) = node.as_str() {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            (
                format!("the origin \"{url}\" is no URL"),
                "write it with its scheme, `https://…`",
            )
        })?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let host = host.rsplit('@').next().unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default().to_lowercase();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        origin.set("DomainName", host);
        if path.len() > 1 {
            origin.set("OriginPath", path);
        }
        if scheme.eq_ignore_ascii_case("s3") {
            origin.set("S3OriginConfig", json!({}));
        } else {
            origin.set(
                "CustomOriginConfig",
                json!({"OriginProtocolPolicy": "match-viewer"}),
            );
        }
    } else {
        for (key, value) in entries(Some(node)) {
            origin.set(&key.text, value.to_json());
        }
    }
    let kind = if origin.0.contains_key("S3OriginConfig") {
        "s3"
    } else {
        "custom"
    };
    let domain = match (origin.0.get("DomainName"), node.get("DomainName")) {
        (Some(Value::String(domain)), _) => domain.clone(),
        (_, Some(domain)) => names::alphanumeric(&script::stringify(domain)),
        _ => String::new(),
    };
    let path = origin
        .0
        .get("OriginPath")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let id = format!("{kind}/{domain}{path}");
    origin.set("Id", id);
    Ok(origin.0)
}

/// Adds what is new to a mapping: keys at any depth, and items of lists.
fn extend(known: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (known.get_mut(&key), value) {
            (Some(Value::Array(known)), Value::Array(more)) => {
                for item in more {
                    if !known.contains(&item) {
                        known.push(item);
                    }
                }
            }
            (Some(Value::Object(known)), Value::Object(more)) => extend(known, more),
            (Some(_), _) => {}
            (None, value) => {
                known.insert(key, value);
            }
        }
    }
}

fn behavior(
    context: &Context<'_>,
    event: &Node,
    version: &str,
    origin: Value,
) -> Result<Map<String, Value>, Refusal> {
    let mut behavior = Properties::default();
    behavior.set("ViewerProtocolPolicy", "allow-all");
    let own = truthy(event, "behavior");
    for (key, value) in entries(own) {
        behavior.set(&key.text, value.to_json());
    }
    let has_own = own.is_some_and(|own| {
        truthy(own, "CachePolicyId").is_some()
            || truthy(own, "ForwardedValues").is_some()
            || ["MaxTTL", "MinTTL", "DefaultTTL"]
                .iter()
                .any(|key| given(own, key).is_some())
    });
    if let Some(policy) = truthy(event, "cachePolicy") {
        let name = text(policy, "name");
        let is_known = |name: &&str| {
            context
                .provider
                .at(&["cloudFront", "cachePolicies", name])
                .is_some()
        };
        if let Some(name) = name.filter(|name| !is_known(name)) {
            let message = format!("Event references not configured cache policy '{name}'");
            return Err((message, "add it to `provider.cloudFront.cachePolicies`"));
        }
        let id = truthy(policy, "id").map(Node::to_json);
        let id = id.unwrap_or_else(|| json!({"Ref": policy_id(name.unwrap_or_default())}));
        behavior.set("CachePolicyId", id);
    } else if !has_own {
        behavior.set("CachePolicyId", DEFAULT_POLICY);
    }
    let mut association = Properties::default();
    association.copy("EventType", event, "eventType");
    association.set("LambdaFunctionARN", json!({"Ref": version}));
    association.scalar("IncludeBody", event, "includeBody");
    behavior.set("TargetOriginId", origin);
    behavior.set("LambdaFunctionAssociations", json!([association.0]));
    if let Some(path) = text(event, "pathPattern") {
        behavior.set("PathPattern", path);
    }
    Ok(behavior.0)
}

/// Brings the behaviours in order, the one for all the rest first.
fn finish(context: &Context<'_>, edge: &mut Edge) -> Result<(), Refusal> {
    if context.region != REGION {
        let message =
            "CloudFront associated functions have to be deployed to the us-east-1 region.";
        return Err((message.to_owned(), "set `provider.region: us-east-1`"));
    }
    edge.behaviors
        .sort_by_key(|behavior| behavior.contains_key("PathPattern"));
    let patterns: Vec<Option<&Value>> = edge
        .behaviors
        .iter()
        .map(|behavior| behavior.get("PathPattern"))
        .collect();
    let repeats = |list: &[Option<&Value>]| {
        list.iter()
            .enumerate()
            .any(|(index, item)| list.iter().take(index).any(|other| other == item))
    };
    if repeats(&patterns) {
        let message = "Found more than one behavior with the same PathPattern";
        return Err((message.to_owned(), "give each path to one origin"));
    }
    let is_twice = edge.behaviors.iter().any(|behavior| {
        let associations = behavior
            .get("LambdaFunctionAssociations")
            .and_then(Value::as_array);
        let kinds = associations
            .into_iter()
            .flatten()
            .map(|one| one.get("EventType"));
        repeats(&kinds.collect::<Vec<_>>())
    });
    if is_twice {
        let message =
            "The event type of a function association must be unique in the cache behavior";
        return Err((message.to_owned(), "call one function from the other"));
    }
    let first = edge.behaviors.first().cloned().unwrap_or_default();
    if first.contains_key("PathPattern") {
        if edge.default.is_none() && edge.origins.len() > 1 {
            let message = "Found more than one origin but none of the cloudfront event has \"isDefaultOrigin\" defined";
            return Err((
                message.to_owned(),
                "set `isDefaultOrigin: true` on one of them",
            ));
        }
        let origin = edge.origins.get(edge.default.unwrap_or_default());
        let mut rest = first;
        rest.remove("PathPattern");
        rest.remove("LambdaFunctionAssociations");
        if let Some(id) = origin.and_then(|origin| origin.get("Id")) {
            rest.insert("TargetOriginId".to_owned(), id.clone());
        }
        edge.behaviors.insert(0, rest);
    }
    Ok(())
}

fn distribution(context: &Context<'_>, edge: Edge, at: &Node, template: &mut Composer) {
    let mut behaviors = edge.behaviors.into_iter();
    let mut config = Properties::default();
    config.set("Comment", format!("{} {}", context.service, context.stage));
    config.set("Enabled", true);
    config.set("DefaultCacheBehavior", behaviors.next().unwrap_or_default());
    config.set("Origins", edge.origins);
    let others: Vec<Value> = behaviors.map(Value::Object).collect();
    if !others.is_empty() {
        config.set("CacheBehaviors", others);
    }
    let resource = json!({
        "Type": "AWS::CloudFront::Distribution",
        "Properties": {"DistributionConfig": config.0},
    });
    template.resource(DISTRIBUTION, resource, at.span);
    let id = json!({"Description": "CloudFront Distribution Id", "Value": {"Ref": DISTRIBUTION}});
    template.output(DISTRIBUTION, id);
    let domain = json!({"Fn::GetAtt": [DISTRIBUTION, "DomainName"]});
    let domain = json!({"Description": "CloudFront Distribution Domain Name", "Value": domain});
    template.output(format!("{DISTRIBUTION}DomainName"), domain);
}
