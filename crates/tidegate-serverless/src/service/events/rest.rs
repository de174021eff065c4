//! REST APIs: `http` events and `provider.apiGateway`.
//!
//! Must not know: HTTP and WebSocket APIs.

mod authorizer;
mod cors;
mod endpoint;
mod keys;
mod methods;
mod paths;
mod templates;
mod validators;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tidegate_yaml::{Node, Span};

use self::endpoint::Endpoint;
use super::common::{self, Properties, truthy};
use super::script;
use crate::service::context::{Composer, Context, entries, tag_list};
use crate::service::names;

/// The logical id of the API.
const API: &str = "ApiGatewayRestApi";
const LOGS: &str = "ApiGatewayLogGroup";
/// Bytes of the digest in a deployment's logical id.
const DIGEST_BYTES: usize = 8;

/// The id of the API: the service's own, or one that is there already.
fn reference(context: &Context<'_>) -> Value {
    let id = context.setting(&["apiGateway", "restApiId"]);
    id.map_or_else(|| json!({"Ref": API}), Node::to_json)
}

/// Adds what `http` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    if !check_provider(context, template) {
        return;
    }
    let mut endpoints = Vec::new();
    for function in &context.functions {
        for event in common::events(function, "http") {
            match Endpoint::read(context, function, event) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err((message, help)) => common::refuse(context, template, event, message, help),
            }
        }
    }
    let Some(first) = endpoints.first() else {
        return;
    };
    let at = first.event.span;
    let is_stage = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if context.stage.is_empty() || !context.stage.bytes().all(is_stage) {
        let message = format!(
            "Invalid stage name {}: it should contains only [-_a-zA-Z0-9] for AWS provider if http event are present according to API Gateway limitation.",
            context.stage
        );
        let help = "name the stage with letters, digits, hyphens and underscores";
        return common::refuse(context, template, first.event, message, help);
    }
    if context.setting(&["apiGateway", "restApiId"]).is_none() {
        api(context, at, template);
    }
    let resources = paths::compile(context, &endpoints, template);
    let mut ids = Vec::new();
    for preflight in cors::preflights(&endpoints) {
        let method = cors::method(
            context,
            &preflight.cors,
            &resources.resource(&preflight.path),
        );
        let id = methods::logical_id(&preflight.path, "options");
        template.resource(&id, method, preflight.event.span);
        ids.push(id);
    }
    for endpoint in &endpoints {
        methods::add(
            context,
            endpoint,
            resources.resource(&endpoint.path),
            template,
        );
        ids.push(methods::logical_id(&endpoint.path, &endpoint.method));
        warn_idle(context, endpoint, template);
    }
    for endpoint in &endpoints {
        validators::add(context, endpoint, template);
    }
    for endpoint in &endpoints {
        authorizer::add(context, endpoint, template);
    }
    let deployment = deployment(context, &ids, at, template);
    keys::compile(context, &deployment, template);
    for endpoint in &endpoints {
        permit(context, endpoint, template);
    }
    stage(context, at, template);
}

fn check_provider(context: &Context<'_>, template: &mut Composer) -> bool {
    let setting = |path: &[&str]| context.provider.at(path);
    let Some(id) = context.setting(&["apiGateway", "restApiId"]) else {
        return true;
    };
    let message = if context
        .setting(&["apiGateway", "restApiRootResourceId"])
        .is_none()
    {
        "Missing required \"provider.apiGateway.restApiRootResourceId\" property (needed if \"provider.apiGateway.restApiId\" is provided)"
    } else if setting(&["tracing", "apiGateway"]).is_some() {
        "When external API Gateway resource is imported via \"provider.apiGateway.restApiId\", property \"provider.tracing.apiGateway\" is ineffective."
    } else if setting(&["logs", "restApi"]).is_some() {
        "When external API Gateway resource is imported via \"provider.apiGateway.restApiId\", property \"provider.logs.restApi\" is ineffective."
    } else {
        return true;
    };
    let help = "set the API up in the service that makes it";
    common::refuse(context, template, id, message, help);
    false
}

fn warn_idle(context: &Context<'_>, endpoint: &Endpoint<'_>, template: &mut Composer) {
    if endpoint.has_idle_settings {
        template.warn(
            common::DOUBTFUL,
            format!(
                "settings of the request or response of function {:?} have no effect with {}",
                endpoint.function.key, endpoint.integration
            ),
            context.place(endpoint.event),
            "leave them out, or use `integration: lambda`",
        );
    }
}

fn api(context: &Context<'_>, at: Span, template: &mut Composer) {
    let (service, stage) = (&context.service, &context.stage);
    let settings = context
        .setting(&["apiGateway"])
        .cloned()
        .unwrap_or_default();
    let mut properties = Properties::default();
    let name = match context.setting(&["apiName"]) {
        Some(name) => script::text(name),
        None if truthy(&settings, "shouldStartNameWithService").is_some() => {
            format!("{service}-{stage}")
        }
        None => format!("{stage}-{service}"),
    };
    properties.set("Name", name);
    if let Some(types) = truthy(&settings, "binaryMediaTypes") {
        properties.set(
            "BinaryMediaTypes",
            match &types.value {
                tidegate_yaml::Value::Sequence(_) => types.to_json(),
                _ => json!([types.to_json()]),
            },
        );
    }
    properties.scalar(
        "DisableExecuteApiEndpoint",
        &settings,
        "disableDefaultEndpoint",
    );
    let kind = context.setting(&["endpointType"]).map(script::text);
    let kind = kind.map_or_else(|| "EDGE".to_owned(), |kind| kind.to_uppercase());
    let mut endpoint = json!({"Types": [kind]});
    if let Some(ids) = context
        .setting(&["vpcEndpointIds"])
        .filter(|_| context.setting(&["endpointType"]).is_some())
    {
        if kind != "PRIVATE" {
            let message = "VPC endpoint IDs are only available for private APIs";
            let help = "set `provider.endpointType: PRIVATE`, or leave the ids out";
            return common::refuse(context, template, ids, message, help);
        }
        endpoint["VpcEndpointIds"] = ids.to_json();
    }
    properties.set("EndpointConfiguration", endpoint);
    if let Some(endpoint) = truthy(&settings, "endpoint") {
        properties.copy("SecurityPolicy", endpoint, "securityPolicy");
        if let Some(mode) = common::given(endpoint, "accessMode") {
            properties.set("EndpointAccessMode", script::text(mode).to_uppercase());
        }
    }
    if let Some(tags) = context.setting(&["tags"]) {
        let tags = script::in_order(entries(Some(tags))).into_iter();
        properties.set(
            "Tags",
            tag_list(tags.map(|(key, value)| (&*key.text, value))),
        );
    }
    let policy = truthy(&settings, "resourcePolicy").map(Node::to_json);
    let is_empty = |policy: &Value| {
        policy.as_array().is_some_and(Vec::is_empty)
            || policy.as_object().is_some_and(serde_json::Map::is_empty)
    };
    match policy.filter(|policy| !is_empty(policy)) {
        Some(policy) => {
            properties.set(
                "Policy",
                json!({"Version": "2012-10-17", "Statement": policy}),
            );
        }
        None => properties.set("Policy", ""),
    }
    if let Some(source) = truthy(&settings, "apiKeySourceType") {
        properties.set("ApiKeySourceType", script::text(source).to_uppercase());
    }
    properties.scalar(
        "MinimumCompressionSize",
        &settings,
        "minimumCompressionSize",
    );
    properties.copy("Description", &settings, "description");
    let resource = json!({"Type": "AWS::ApiGateway::RestApi", "Properties": properties.0});
    template.resource(API, resource, at);
}

/// Adds the deployment. Its id changes with what the API consists of: a deployment is a snapshot.
fn deployment(
    context: &Context<'_>,
    methods: &[String],
    at: Span,
    template: &mut Composer,
) -> String {
    let mut digest = Sha256::new();
    for (id, resource) in &template.resources {
        let kind = resource
            .get("Type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if kind.starts_with("AWS::ApiGateway::") {
            digest.update(id.as_bytes());
            digest.update(resource.to_string().as_bytes());
        }
    }
    let digest = digest.finalize();
    let digest = digest.iter().take(DIGEST_BYTES);
    let digest: String = digest.map(|byte| format!("{byte:02x}")).collect();
    let id = format!("ApiGatewayDeployment{digest}");
    let mut properties = Properties::default();
    properties.set("RestApiId", reference(context));
    let stage = context.setting(&["apiGateway", "stage"]).map(script::text);
    properties.set("StageName", stage.unwrap_or_else(|| context.stage.clone()));
    if let Some(description) = context.setting(&["apiGateway", "description"]) {
        properties.set("Description", description.to_json());
    }
    let resource = json!({
        "Type": "AWS::ApiGateway::Deployment",
        "DependsOn": methods,
        "Properties": properties.0,
    });
    template.resource(&id, resource, at);
    let path = Some(format!("/{}", context.stage));
    let url = common::endpoint("https://", reference(context), path);
    let output = json!({"Description": "URL of the service endpoint", "Value": url});
    template.output("ServiceEndpoint", output);
    id
}

fn permit(context: &Context<'_>, endpoint: &Endpoint<'_>, template: &mut Composer) {
    let source = json!({"SourceArn": common::execution_arn(&reference(context), "/*/*")});
    let function = endpoint.function;
    let resource = common::permission(context, function, "apigateway.amazonaws.com", source);
    let prefix = names::normalize(&function.key);
    let id = format!("{prefix}LambdaPermissionApiGateway");
    template.resource(id, resource, endpoint.event.span);
    authorizer::permit(context, endpoint, template);
}

/// What the framework sets on the stage once the service is deployed, and no template says.
fn stage(context: &Context<'_>, at: Span, template: &mut Composer) {
    let is_traced = context.setting(&["tracing", "apiGateway"]).is_some();
    let logs = context.setting(&["logs", "restApi"]);
    let flags = [
        (is_traced, "tracing.apiGateway"),
        (logs.is_some(), "logs.restApi"),
    ];
    for (_, setting) in flags.iter().filter(|(is_set, _)| *is_set) {
        template.warn(
            common::DOUBTFUL,
            format!("`provider.{setting}` is not set on the stage: no template says it"),
            context.place_of(at),
            "declare an AWS::ApiGateway::Stage in `resources` if you need it",
        );
    }
    let Some(logs) = logs.filter(|logs| common::flag(logs, "accessLogging") != Some(false)) else {
        return;
    };
    let name = format!("/aws/api-gateway/{}-{}", context.service, context.stage);
    template.resource(LOGS, common::log_group(context, name), logs.span);
    if truthy(logs, "roleManagedExternally").is_none() {
        common::no_account_role(context, template, logs, "logs.restApi");
    }
}
