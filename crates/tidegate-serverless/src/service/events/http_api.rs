//! HTTP APIs: `httpApi` events and `provider.httpApi`.
//!
//! Must not know: REST and WebSocket APIs.

use serde_json::{Map, Value, json};
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use super::script;
use crate::service::context::{Composer, Context, Function, entries, is_mapping};
use crate::service::names;

const API: &str = "HttpApi";
const STAGE: &str = "HttpApiStage";
const LOGS: &str = "HttpApiLogGroup";
const METHODS: &[&str] = &[
    "ANY", "GET", "POST", "PUT", "PATCH", "OPTIONS", "HEAD", "DELETE",
];
const CORS_HEADERS: &[&str] = &[
    "Content-Type",
    "X-Amz-Date",
    "Authorization",
    "X-Api-Key",
    "X-Amz-Security-Token",
    "X-Amz-User-Agent",
    "X-Amzn-Trace-Id",
];
/// What a line of the access log holds unless the service says otherwise.
const LOG_FORMAT: &str = r#"{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","requestTime":"$context.requestTime","httpMethod":"$context.httpMethod","routeKey":"$context.routeKey","status":"$context.status","protocol":"$context.protocol","responseLength":"$context.responseLength"}"#;
/// Seconds after which API Gateway gives up.
const LONGEST_WAIT: f64 = 30.0;

/// An authorizer that the provider sets up.
struct Authorizer<'c> {
    key: String,
    name: String,
    settings: &'c Node,
    function: Option<&'c Function>,
}

/// A route and who answers it.
struct Route<'c> {
    key: String,
    function: &'c Function,
    event: &'c Node,
    authorization: Map<String, Value>,
}

struct Api<'c> {
    settings: Node,
    /// The id of an API that is there already.
    id: Option<Value>,
    authorizers: Vec<Authorizer<'c>>,
    routes: Vec<Route<'c>>,
    cors: Option<Cors>,
    log_format: Option<String>,
}

struct Cors {
    methods: Vec<Value>,
    grows: bool,
    others: Map<String, Value>,
}

impl Api<'_> {
    fn reference(&self) -> Value {
        self.id.clone().unwrap_or_else(|| json!({"Ref": API}))
    }
}

/// Adds what `httpApi` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let Some(mut api) = configuration(context, template) else {
        return;
    };
    for function in &context.functions {
        let events = common::events(function, "httpApi");
        for event in &events {
            route(context, function, event, &mut api, template);
        }
        if !events.is_empty() {
            check_timeout(context, function, template);
        }
    }
    if api.routes.is_empty() {
        return;
    }
    let at = api
        .routes
        .first()
        .map(|route| route.event.span)
        .unwrap_or_default();
    if api.id.is_none() {
        api_and_stage(context, &api, at, template);
    }
    for authorizer in &api.authorizers {
        add_authorizer(context, &api, authorizer, template);
    }
    for route in &api.routes {
        add_route(context, &api, route, template);
    }
}

fn check_timeout(context: &Context<'_>, function: &Function, template: &mut Composer) {
    let seconds = |node: &Node| common::scalar(node).as_f64();
    let timeout = function
        .setting("timeout")
        .and_then(seconds)
        .or_else(|| context.setting(&["timeout"]).and_then(seconds));
    if timeout.is_some_and(|timeout| timeout >= LONGEST_WAIT) {
        template.warn(
            common::DOUBTFUL,
            format!(
                "function {:?} may run for {LONGEST_WAIT} seconds or longer, when its HTTP API has given up",
                function.key
            ),
            context.place_of(function.at),
            "lower its `timeout` below 30 seconds",
        );
    }
}

fn configuration<'c>(context: &'c Context<'_>, template: &mut Composer) -> Option<Api<'c>> {
    let settings = context.setting(&["httpApi"]).cloned().unwrap_or_default();
    let id = truthy(&settings, "id").map(Node::to_json);
    let logs = context.setting(&["logs", "httpApi"]);
    let outside = [
        ("cors", "CORS rules", truthy(&settings, "cors")),
        (
            "authorizers",
            "authorizers",
            truthy(&settings, "authorizers"),
        ),
        ("logs", "access logs", logs),
    ];
    let refused = outside
        .iter()
        .find(|(_, _, node)| id.is_some() && node.is_some());
    if let Some((_, what, Some(node))) = refused {
        let message = format!("Cannot setup {what} for externally configured HTTP API");
        let help = "set them up where the API is made, or leave `provider.httpApi.id` out";
        common::refuse(context, template, node, message, help);
        return None;
    }
    let log_format = logs.map(|logs| text(logs, "format").unwrap_or(LOG_FORMAT).to_owned());
    let cors = truthy(&settings, "cors").map(cors);
    let configured = context.setting(&["httpApi", "authorizers"]);
    let mut authorizers = Vec::new();
    for (key, settings) in script::in_order(entries(configured)) {
        authorizers.push(authorizer(context, &key.text, settings, template)?);
    }
    Some(Api {
        settings,
        id,
        authorizers,
        routes: Vec::new(),
        cors,
        log_format,
    })
}

fn cors(settings: &Node) -> Cors {
    let or = |key: &str, default: &[&str]| {
        let default = || default.iter().map(|text| json!(text)).collect();
        truthy(settings, key).map_or_else(default, common::set_of)
    };
    let mut others = Properties::default();
    others.set("AllowOrigins", or("allowedOrigins", &["*"]));
    others.set("AllowHeaders", or("allowedHeaders", CORS_HEADERS));
    if truthy(settings, "allowCredentials").is_some() {
        others.set("AllowCredentials", true);
    }
    if let Some(exposed) = truthy(settings, "exposedResponseHeaders") {
        others.set("ExposeHeaders", common::set_of(exposed));
    }
    others.scalar("MaxAge", settings, "maxAge");
    let methods = truthy(settings, "allowedMethods");
    Cors {
        methods: methods.map_or_else(|| vec![json!("OPTIONS")], common::set_of),
        grows: methods.is_none(),
        others: others.0,
    }
}

fn authorizer<'c>(
    context: &'c Context<'_>,
    key: &str,
    settings: &'c Node,
    template: &mut Composer,
) -> Option<Authorizer<'c>> {
    let mut function = None;
    if text(settings, "type") == Some("request") {
        let named = text(settings, "functionName");
        let has_arn = truthy(settings, "functionArn").is_some();
        function = named.and_then(|name| context.function(name));
        let message = if named.is_none() && !has_arn {
            format!(
                "Either \"functionArn\" or \"functionName\" property needs to be set on authorizer \"{key}\""
            )
        } else if named.is_some() && has_arn {
            format!(
                "Either \"functionArn\" or \"functionName\" (not both) property needs to be set on authorizer \"{key}\""
            )
        } else if let Some(name) = named.filter(|_| function.is_none()) {
            format!("Function \"{name}\" for HTTP API authorizer \"{key}\" not found in service.")
        } else if truthy(settings, "resultTtlInSeconds").is_some()
            && truthy(settings, "identitySource").is_none()
        {
            format!(
                "Property \"identitySource\" has to be set on authorizer \"{key}\" when \"resultTtlInSeconds\" is set to non-zero value."
            )
        } else {
            String::new()
        };
        if !message.is_empty() {
            let help = "correct `provider.httpApi.authorizers`";
            common::refuse(context, template, settings, message, help);
            return None;
        }
    }
    let name = text(settings, "name").unwrap_or(key).to_owned();
    Some(Authorizer {
        key: key.to_owned(),
        name,
        settings,
        function,
    })
}

fn route<'c>(
    context: &'c Context<'_>,
    function: &'c Function,
    event: &'c Node,
    api: &mut Api<'c>,
    template: &mut Composer,
) {
    let (method, path) = method_and_path(event);
    let key = match route_key(function, method, path) {
        Ok(key) => key,
        Err(message) => {
            let help = "write METHOD /path, or * for all that has no route of its own";
            return common::refuse(context, template, event, message, help);
        }
    };
    let is_known = api.routes.iter().any(|route| route.key == key);
    if is_known && key != "*" {
        let message = format!(
            "Duplicate route '{key}' configuration in function {} for httpApi event in serverless.yml",
            function.key
        );
        let help = "give each route to one function";
        return common::refuse(context, template, event, message, help);
    }
    let authorization = match authorization(event, api) {
        Ok(authorization) => authorization,
        Err(message) => {
            let help =
                "name an authorizer of `provider.httpApi.authorizers`, or say its `id` or `type`";
            return common::refuse(context, template, event, message, help);
        }
    };
    api.routes.retain(|route| route.key != key);
    let method = key.split_once(' ').map_or("ANY", |(method, _)| method);
    if let Some(cors) = api.cors.as_mut().filter(|cors| cors.grows) {
        let added = match method {
            "ANY" => METHODS.get(1..).unwrap_or_default(),
            _ => std::slice::from_ref(&method),
        };
        for method in added.iter().map(|method| json!(method)) {
            if !cors.methods.contains(&method) {
                cors.methods.push(method);
            }
        }
    }
    api.routes.push(Route {
        key,
        function,
        event,
        authorization,
    });
}

fn method_and_path(event: &Node) -> (Option<String>, String) {
    if is_mapping(event) {
        let path = given(event, "path").map(script::text);
        let path = path.unwrap_or_else(|| "undefined".to_owned());
        return (truthy(event, "method").map(script::text), path);
    }
    let written = script::text(event);
    match written.split_once(' ') {
        Some((method, path)) => (Some(method.to_owned()), path.to_owned()),
        None => (None, written),
    }
}

fn route_key(function: &Function, method: Option<String>, path: String) -> Result<String, String> {
    let key = &function.key;
    let about = |what: &str| {
        format!("{what} property in function {key} for httpApi event in serverless.yml")
    };
    if path == "*" {
        return match method.as_deref() {
            None | Some("*") => Ok(path),
            Some(_) => Err(about("Invalid \"path\"")),
        };
    }
    let method = method
        .ok_or_else(|| about("Missing \"method\""))?
        .to_uppercase();
    let method = if method == "*" { "ANY" } else { &method };
    if !METHODS.contains(&method) {
        return Err(about("Invalid \"method\""));
    }
    if !path.starts_with('/') || path.contains(char::is_whitespace) {
        return Err(about("Invalid \"path\""));
    }
    Ok(format!("{method} {path}"))
}

/// Who may use a route, as its properties.
fn authorization(event: &Node, api: &Api<'_>) -> Result<Map<String, Value>, String> {
    let mut properties = Properties::default();
    let Some(authorizer) = truthy(event, "authorizer") else {
        return Ok(properties.0);
    };
    let kind = text(authorizer, "type");
    let name = match is_mapping(authorizer) {
        true => text(authorizer, "name"),
        false => authorizer.as_str(),
    };
    let id = truthy(authorizer, "id");
    let scopes = truthy(authorizer, "scopes");
    if kind == Some("aws_iam") {
        if name.is_some() || id.is_some() || scopes.is_some() {
            return Err("When configuring authorizer with type: \"aws_iam\", all other properties are not supported.".to_owned());
        }
        properties.set("AuthorizationType", "AWS_IAM");
        return Ok(properties.0);
    }
    let mut kind = kind;
    if let Some(id) = id {
        if api.id.is_none() {
            let id = script::text(id);
            return Err(format!(
                "Event references external authorizer '{id}', but httpApi is part of the current stack."
            ));
        }
        properties.set("AuthorizerId", id.to_json());
    } else {
        let Some(name) = name else {
            let kind = kind.unwrap_or("jwt");
            return Err(format!(
                "When configuring an authorizer with type: \"{kind}\", property \"id\" or \"name\" has to be specified."
            ));
        };
        let known = api.authorizers.iter().find(|known| known.key == name);
        let known =
            known.ok_or_else(|| format!("Event references not configured authorizer '{name}'"))?;
        kind = text(known.settings, "type");
        properties.set("AuthorizerId", json!({"Ref": authorizer_id(&known.name)}));
    }
    let kind = if kind == Some("request") {
        "CUSTOM"
    } else {
        "JWT"
    };
    properties.set("AuthorizationType", kind);
    if let Some(scopes) = scopes {
        properties.set("AuthorizationScopes", common::set_of(scopes));
    }
    Ok(properties.0)
}

fn authorizer_id(name: &str) -> String {
    format!("HttpApiAuthorizer{}", names::normalize(name))
}

fn api_and_stage(
    context: &Context<'_>,
    api: &Api<'_>,
    at: tidegate_yaml::Span,
    template: &mut Composer,
) {
    let (service, stage) = (&context.service, &context.stage);
    let name = truthy(&api.settings, "name")
        .map(script::text)
        .unwrap_or_else(
            || match truthy(&api.settings, "shouldStartNameWithService") {
                Some(_) => format!("{service}-{stage}"),
                None => format!("{stage}-{service}"),
            },
        );
    let mut properties = Properties::default();
    properties.set("Name", name);
    properties.set("ProtocolType", "HTTP");
    if let Some(description) = truthy(&api.settings, "description") {
        properties.set("Description", script::text(description));
    }
    properties.scalar(
        "DisableExecuteApiEndpoint",
        &api.settings,
        "disableDefaultEndpoint",
    );
    properties.copy("Tags", &context.provider, "tags");
    if let Some(cors) = &api.cors {
        let mut rules = Properties(cors.others.clone());
        rules.set("AllowMethods", cors.methods.clone());
        properties.set("CorsConfiguration", rules.0);
    }
    template.resource(
        API,
        json!({"Type": "AWS::ApiGatewayV2::Api", "Properties": properties.0}),
        at,
    );
    let mut properties = Properties::default();
    properties.set("ApiId", json!({"Ref": API}));
    properties.set("StageName", "$default");
    properties.set("AutoDeploy", true);
    let metrics = truthy(&api.settings, "metrics").map_or(Value::Bool(false), common::scalar);
    properties.set(
        "DefaultRouteSettings",
        json!({"DetailedMetricsEnabled": metrics}),
    );
    properties.copy("Tags", &context.provider, "tags");
    let mut resource = json!({"Type": "AWS::ApiGatewayV2::Stage"});
    if let Some(format) = &api.log_format {
        let stack = context.setting(&["stackName"]).and_then(Node::as_str);
        let stack = stack.map_or_else(|| format!("{service}-{stage}"), str::to_owned);
        template.resource(
            LOGS,
            common::log_group(context, format!("/aws/http-api/{stack}")),
            at,
        );
        let settings = json!({"DestinationArn": {"Fn::GetAtt": [LOGS, "Arn"]}, "Format": format});
        properties.set("AccessLogSettings", settings);
        resource["DependsOn"] = LOGS.into();
    }
    resource["Properties"] = properties.0.into();
    template.resource(STAGE, resource, at);
    let id = json!({"Description": "Id of the HTTP API", "Value": {"Ref": API}});
    template.output("HttpApiId", id);
    let url = common::endpoint("https://", json!({"Ref": API}), None);
    template.output(
        "HttpApiUrl",
        json!({"Description": "URL of the HTTP API", "Value": url}),
    );
}

fn add_authorizer(
    context: &Context<'_>,
    api: &Api<'_>,
    authorizer: &Authorizer<'_>,
    template: &mut Composer,
) {
    let settings = authorizer.settings;
    let mut properties = Properties::default();
    properties.set("ApiId", api.reference());
    properties.set("Name", authorizer.name.as_str());
    let source = truthy(settings, "identitySource").map(|source| match &source.value {
        tidegate_yaml::Value::Sequence(_) => source.to_json(),
        _ => json!([source.to_json()]),
    });
    properties.set("IdentitySource", source.unwrap_or_else(|| json!([])));
    let mut resource = json!({"Type": "AWS::ApiGatewayV2::Authorizer"});
    if text(settings, "type") == Some("request") {
        let arn = truthy(settings, "functionArn").map(Node::to_json);
        let function = authorizer.function.map(|function| context.target(function));
        let Some(target) = arn.or(function) else {
            return;
        };
        properties.set("AuthorizerType", "REQUEST");
        properties.scalar("EnableSimpleResponses", settings, "enableSimpleResponses");
        properties.scalar(
            "AuthorizerResultTtlInSeconds",
            settings,
            "resultTtlInSeconds",
        );
        let version = truthy(settings, "payloadVersion").map(script::text);
        let version = version.unwrap_or_else(|| "2.0".to_owned());
        properties.set("AuthorizerPayloadFormatVersion", version);
        properties.set("AuthorizerUri", common::invocation_uri(&target.clone()));
        let alias = authorizer
            .function
            .and_then(|function| function.alias.as_ref());
        if let Some(alias) = alias {
            resource["DependsOn"] = alias.logical_id.as_str().into();
        }
        if truthy(settings, "managedExternally").is_none() {
            let mut permission = json!({
                "Type": "AWS::Lambda::Permission",
                "Properties": {
                    "FunctionName": target,
                    "Action": "lambda:InvokeFunction",
                    "Principal": "apigateway.amazonaws.com",
                    "SourceArn": common::execution_arn(&api.reference(), "/*"),
                },
            });
            if let Some(alias) = alias {
                permission["DependsOn"] = alias.logical_id.as_str().into();
            }
            let name = names::normalize(&authorizer.name);
            let id = format!("{name}LambdaAuthorizerPermissionHttpApi");
            template.resource(id, permission, settings.span);
        }
    } else {
        properties.set("AuthorizerType", "JWT");
        let mut token = Properties::default();
        let audience = settings.get("audience").map(common::set_of);
        token.set("Audience", audience.unwrap_or_default());
        if let Some(issuer) = given(settings, "issuerUrl") {
            token.set("Issuer", issuer.to_json());
        }
        properties.set("JwtConfiguration", token.0);
    }
    resource["Properties"] = properties.0.into();
    template.resource(authorizer_id(&authorizer.name), resource, settings.span);
}

fn add_route(context: &Context<'_>, api: &Api<'_>, route: &Route<'_>, template: &mut Composer) {
    let function = route.function;
    let prefix = names::normalize(&function.key);
    let at = route.event.span;
    let source = json!({"SourceArn": common::execution_arn(&api.reference(), "/*")});
    let permission = common::permission(context, function, "apigateway.amazonaws.com", source);
    template.resource(format!("{prefix}LambdaPermissionHttpApi"), permission, at);
    let payload = function
        .settings
        .at(&["httpApi", "payload"])
        .filter(|payload| crate::service::context::is_truthy(payload))
        .or_else(|| truthy(&api.settings, "payload"))
        .map_or_else(|| "2.0".to_owned(), script::text);
    let properties = json!({
        "ApiId": api.reference(),
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": context.target(function),
        "PayloadFormatVersion": payload,
        "TimeoutInMillis": 30000,
    });
    let integration = format!("HttpApiIntegration{prefix}");
    let resource = common::after_alias(function, "AWS::ApiGatewayV2::Integration", &properties);
    template.resource(&integration, resource, at);
    let mut properties = Properties(route.authorization.clone());
    properties.set("ApiId", api.reference());
    properties.set(
        "RouteKey",
        if route.key == "*" {
            "$default"
        } else {
            &route.key
        },
    );
    let target = json!({"Fn::Join": ["/", ["integrations", {"Ref": integration}]]});
    properties.set("Target", target);
    let resource = json!({
        "Type": "AWS::ApiGatewayV2::Route",
        "DependsOn": integration,
        "Properties": properties.0,
    });
    let id = match route.key.as_str() {
        "*" => "HttpApiRouteDefault".to_owned(),
        key => format!("HttpApiRoute{}", common::path_id(key)),
    };
    template.resource(id, resource, at);
}
