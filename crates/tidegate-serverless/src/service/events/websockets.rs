//! WebSocket APIs: `websocket` events.
//!
//! Must not know: REST and HTTP APIs.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use super::script;
use crate::service::context::{Composer, Context, Function, is_mapping};
use crate::service::names;

const API: &str = "WebsocketsApi";
const STAGE: &str = "WebsocketsDeploymentStage";
const LOGS: &str = "WebsocketsLogGroup";
const DESCRIPTION: &str = "Serverless Websockets";
const LOG_FORMAT: &str = "$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime] \"$context.eventType $context.routeKey $context.connectionId\" $context.requestId";
/// Bytes of the digest in a deployment's logical id.
const DIGEST_BYTES: usize = 8;

/// Who may open a connection.
struct Authorizer<'c> {
    name: String,
    function: Option<&'c Function>,
    target: Value,
    source: Value,
}

struct Route<'c> {
    key: String,
    function: &'c Function,
    event: &'c Node,
    response: Option<Value>,
    authorizer: Option<Authorizer<'c>>,
}

impl Route<'_> {
    fn logical_id(&self) -> String {
        let key = self.key.replace('$', "S").replace('/', "Slash");
        let key = key.replace('-', "Dash").replace('_', "Underscore");
        format!("{}WebsocketsRoute", key.replace('.', "Period"))
    }
}

fn external<'c>(context: &'c Context<'_>) -> Option<&'c Node> {
    context.setting(&["apiGateway", "websocketApiId"])
}

fn reference(context: &Context<'_>) -> Value {
    external(context).map_or_else(|| json!({"Ref": API}), Node::to_json)
}

/// Adds what `websocket` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let mut routes = Vec::new();
    for function in &context.functions {
        for event in common::events(function, "websocket") {
            match read(context, function, event) {
                Ok(route) => routes.push(route),
                Err(message) => {
                    let help = "name a function of this service, or give `arn` and `name`";
                    common::refuse(context, template, event, message, help);
                }
            }
        }
    }
    let Some(first) = routes.first() else {
        return;
    };
    let at = first.event;
    let before: Vec<String> = template.resources.keys().cloned().collect();
    if external(context).is_none() {
        api(context, at, template);
    }
    for route in &routes {
        integrate(context, route, template);
        authorize(context, route, template);
        permit(context, route, template);
        add(context, route, template);
    }
    stage(context, at, template);
    deploy(context, &routes, &before, template);
}

fn read<'c>(
    context: &'c Context<'_>,
    function: &'c Function,
    event: &'c Node,
) -> Result<Route<'c>, String> {
    let key = if is_mapping(event) {
        given(event, "route")
    } else {
        Some(event)
    };
    let key = key
        .map(script::text)
        .ok_or("this websocket event has no `route`")?;
    let authorizer = truthy(event, "authorizer");
    Ok(Route {
        key,
        function,
        event,
        response: truthy(event, "routeResponseSelectionExpression").map(Node::to_json),
        authorizer: authorizer
            .map(|node| authorizer_of(context, node))
            .transpose()?,
    })
}

fn authorizer_of<'c>(context: &'c Context<'_>, node: &Node) -> Result<Authorizer<'c>, String> {
    let last = |arn: &str| arn.rsplit(':').next().unwrap_or_default().to_owned();
    let source = truthy(node, "identitySource").map(|source| match &source.value {
        tidegate_yaml::Value::Sequence(_) => source.to_json(),
        _ => json!([source.to_json()]),
    });
    let source = source.unwrap_or_else(|| json!(["route.request.header.Auth"]));
    let arn = match node.as_str() {
        Some(text) => text.contains(':').then_some(node),
        None => truthy(node, "arn"),
    };
    if let Some(arn) = arn {
        let name = match arn.as_str() {
            Some(arn) => last(arn),
            None => text(node, "name").map(str::to_owned).ok_or(
                "Websocket Authorizer: Non-string \"arn\" needs to be accompanied with \"name\"",
            )?,
        };
        return Ok(Authorizer {
            name,
            function: None,
            target: arn.to_json(),
            source,
        });
    }
    let name = node.as_str().or_else(|| text(node, "name"));
    let name = name.ok_or("this authorizer has neither `arn` nor `name`")?;
    let function = context
        .function(name)
        .ok_or_else(|| format!("Function \"{name}\" doesn't exist in this Service"))?;
    Ok(Authorizer {
        name: name.to_owned(),
        function: Some(function),
        target: context.target(function),
        source,
    })
}

fn description(context: &Context<'_>) -> Value {
    let own = context.setting(&["websocketsDescription"]);
    own.map_or_else(|| DESCRIPTION.into(), Node::to_json)
}

fn api(context: &Context<'_>, at: &Node, template: &mut Composer) {
    let named = context
        .setting(&["websocketsApiName"])
        .and_then(Node::as_str);
    let name = named.map_or_else(
        || format!("{}-{}-websockets", context.stage, context.service),
        str::to_owned,
    );
    let selection = context.setting(&["websocketsApiRouteSelectionExpression"]);
    let selection = selection.map_or_else(|| "$request.body.action".into(), Node::to_json);
    let mut properties = Properties::default();
    properties.set("Name", name);
    properties.set("RouteSelectionExpression", selection);
    properties.set("Description", description(context));
    properties.set("ProtocolType", "WEBSOCKET");
    properties.copy("Tags", &context.provider, "tags");
    let resource = json!({"Type": "AWS::ApiGatewayV2::Api", "Properties": properties.0});
    template.resource(API, resource, at.span);
    let connections = "arn:${AWS::Partition}:execute-api:*:*:*/@connections/*";
    let resources = json!([{"Fn::Sub": connections}]);
    template.statement(common::allow(&["execute-api:ManageConnections"], resources));
}

fn integration_id(function: &Function) -> String {
    format!("{}WebsocketsIntegration", names::normalize(&function.key))
}

fn integrate(context: &Context<'_>, route: &Route<'_>, template: &mut Composer) {
    let properties = json!({
        "ApiId": reference(context),
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": common::invocation_uri(&context.target(route.function)),
    });
    let kind = "AWS::ApiGatewayV2::Integration";
    let resource = common::after_alias(route.function, kind, &properties);
    template.resource(integration_id(route.function), resource, route.event.span);
}

fn authorize(context: &Context<'_>, route: &Route<'_>, template: &mut Composer) {
    let Some(authorizer) = &route.authorizer else {
        return;
    };
    let mut resource = json!({
        "Type": "AWS::ApiGatewayV2::Authorizer",
        "Properties": {
            "ApiId": reference(context),
            "Name": authorizer.name,
            "AuthorizerType": "REQUEST",
            "AuthorizerUri": common::invocation_uri(&authorizer.target.clone()),
            "IdentitySource": authorizer.source,
        },
    });
    let local = authorizer
        .function
        .or_else(|| context.function(&authorizer.name));
    if let Some(alias) = local.and_then(|function| function.alias.as_ref()) {
        resource["DependsOn"] = alias.logical_id.as_str().into();
    }
    template.resource(authorizer_id(authorizer), resource, route.event.span);
}

fn authorizer_id(authorizer: &Authorizer<'_>) -> String {
    format!("{}WebsocketsAuthorizer", names::normalize(&authorizer.name))
}

fn permit(context: &Context<'_>, route: &Route<'_>, template: &mut Composer) {
    let api = reference(context);
    let api = api.get("Ref").and_then(Value::as_str);
    let mut permit = |name: &str, target: Value, waits: Vec<&str>| {
        let resource = json!({
            "Type": "AWS::Lambda::Permission",
            "DependsOn": waits,
            "Properties": {
                "FunctionName": target,
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
            },
        });
        let id = format!("{}LambdaPermissionWebsockets", names::normalize(name));
        template.resource(id, resource, route.event.span);
    };
    let waits = api.into_iter().chain([invoked(route.function)]);
    permit(
        &route.function.key,
        context.target(route.function),
        waits.collect(),
    );
    if let Some(authorizer) = &route.authorizer {
        let local = authorizer.function.into_iter().flat_map(|function| {
            let alias = function.alias.iter().map(|alias| alias.logical_id.as_str());
            [function.logical_id.as_str()].into_iter().chain(alias)
        });
        let waits = api.into_iter().chain(local);
        permit(&authorizer.name, authorizer.target.clone(), waits.collect());
    }
}

/// What invoking a function waits for: its alias, or itself.
fn invoked(function: &Function) -> &str {
    let alias = function.alias.as_ref();
    alias.map_or(&function.logical_id, |alias| &alias.logical_id)
}

fn add(context: &Context<'_>, route: &Route<'_>, template: &mut Composer) {
    let id = route.logical_id();
    let integration = integration_id(route.function);
    let mut properties = Properties::default();
    properties.set("ApiId", reference(context));
    properties.set("RouteKey", route.key.as_str());
    properties.set("AuthorizationType", "NONE");
    properties.set(
        "Target",
        json!({"Fn::Join": ["/", ["integrations", {"Ref": integration}]]}),
    );
    if let Some(response) = &route.response {
        properties.set("RouteResponseSelectionExpression", response.clone());
        let resource = json!({
            "Type": "AWS::ApiGatewayV2::RouteResponse",
            "Properties": {
                "ApiId": reference(context),
                "RouteId": {"Ref": id},
                "RouteResponseKey": "$default",
            },
        });
        template.resource(format!("{id}Response"), resource, route.event.span);
    }
    if let Some(authorizer) = &route.authorizer {
        properties.set("AuthorizationType", "CUSTOM");
        properties.set("AuthorizerId", json!({"Ref": authorizer_id(authorizer)}));
    }
    let resource = json!({"Type": "AWS::ApiGatewayV2::Route", "Properties": properties.0});
    template.resource(id, resource, route.event.span);
}

fn stage(context: &Context<'_>, at: &Node, template: &mut Composer) {
    if external(context).is_some() {
        return;
    }
    let mut properties = Properties::default();
    properties.set("ApiId", reference(context));
    properties.set("StageName", context.stage.as_str());
    properties.set("Description", description(context));
    if let Some(logs) = context.setting(&["logs", "websocket"]) {
        let is_on = |key: &str| common::flag(logs, key) != Some(false);
        let level = text(logs, "level").unwrap_or("INFO");
        let is_level = ["INFO", "ERROR"].contains(&level);
        if is_on("executionLogging") && !is_level {
            let message = format!(
                "provider.logs.websocket.level is set to an invalid value. Support values are INFO, ERROR, got {level}."
            );
            return common::refuse(context, template, logs, message, "choose INFO or ERROR");
        }
        let level = if is_on("executionLogging") {
            level
        } else {
            "OFF"
        };
        let data = is_on("fullExecutionData");
        let settings = json!({"DataTraceEnabled": data, "LoggingLevel": level});
        properties.set("DefaultRouteSettings", settings);
        if is_on("accessLogging") {
            let group = format!(
                "arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:${{{LOGS}}}"
            );
            let format = text(logs, "format").unwrap_or(LOG_FORMAT);
            let settings = json!({"DestinationArn": {"Fn::Sub": group}, "Format": format});
            properties.set("AccessLogSettings", settings);
        }
        let name = format!("/aws/websocket/{}-{}", context.service, context.stage);
        template.resource(LOGS, common::log_group(context, name), logs.span);
        let rest = context.setting(&["logs", "restApi"]);
        if rest
            .and_then(|rest| truthy(rest, "roleManagedExternally"))
            .is_none()
        {
            common::no_account_role(context, template, logs, "logs.websocket");
        }
    }
    let resource = json!({"Type": "AWS::ApiGatewayV2::Stage", "Properties": properties.0});
    template.resource(STAGE, resource, at.span);
}

/// Adds the deployment. Its id changes with what the API consists of: a deployment is a snapshot.
fn deploy(context: &Context<'_>, routes: &[Route<'_>], before: &[String], template: &mut Composer) {
    let mut digest = Sha256::new();
    for (id, resource) in &template.resources {
        if !before.contains(id) {
            digest.update(id.as_bytes());
            digest.update(resource.to_string().as_bytes());
        }
    }
    let digest = digest.finalize();
    let digest: String = digest
        .iter()
        .take(DIGEST_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let id = format!("WebsocketsDeployment{digest}");
    let waits = routes.iter().flat_map(|route| {
        let own = route.logical_id();
        let response = route.response.as_ref().map(|_| format!("{own}Response"));
        response.into_iter().chain([own])
    });
    let waits: Vec<String> = waits.collect();
    let mut properties = Properties::default();
    properties.set("ApiId", reference(context));
    properties.set("Description", description(context));
    if external(context).is_some() {
        properties.set("StageName", context.stage.as_str());
    }
    let resource = json!({
        "Type": "AWS::ApiGatewayV2::Deployment",
        "DependsOn": waits,
        "Properties": properties.0,
    });
    let at = routes
        .first()
        .map(|route| route.event.span)
        .unwrap_or_default();
    template.resource(&id, resource, at);
    let stage = template.resources.get_mut(STAGE);
    if let Some(stage) = stage.and_then(|stage| stage.get_mut("Properties")) {
        stage["DeploymentId"] = json!({"Ref": id});
    }
    let path = Some(format!("/{}", context.stage));
    let url = common::endpoint("wss://", reference(context), path);
    let output = json!({"Description": "URL of the service endpoint", "Value": url});
    template.output("ServiceEndpointWebsocket", output);
}
