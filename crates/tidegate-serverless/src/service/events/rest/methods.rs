//! Methods of a REST API with their integrations and answers.
//!
//! Must not know: how paths become resources.

use serde_json::{Map, Value, json};
use tidegate_yaml::Node;

use super::endpoint::{Endpoint, Status, is_required};
use super::templates;
use crate::service::context::{Composer, Context, entries, is_mapping};
use crate::service::events::common::{Properties, given, text, truthy};
use crate::service::events::script;
use crate::service::names;

/// The logical id of a method.
pub(super) fn logical_id(path: &str, method: &str) -> String {
    let method = names::upper_first(&method.to_lowercase());
    format!(
        "ApiGatewayMethod{}{method}",
        super::super::common::path_id(path)
    )
}

/// Adds the method of an endpoint.
pub(super) fn add(
    context: &Context<'_>,
    endpoint: &Endpoint<'_>,
    resource: Value,
    template: &mut Composer,
) {
    let mut properties = Properties::default();
    properties.set("HttpMethod", endpoint.method.as_str());
    let parameters = endpoint.parameters.iter();
    let parameters = parameters.map(|(name, node)| (name.clone(), is_required(node)));
    properties.set("RequestParameters", parameters.collect::<Map<_, _>>());
    properties.set("ResourceId", resource);
    properties.set("RestApiId", super::reference(context));
    properties.copy("OperationName", endpoint.event, "operationId");
    properties.set(
        "ApiKeyRequired",
        truthy(endpoint.event, "private").is_some(),
    );
    properties.set("Integration", integration(context, endpoint));
    properties.set("MethodResponses", method_responses(endpoint));
    properties.set("AuthorizationType", "NONE");
    let authorizer = endpoint.authorizer.as_ref();
    let authorizer = authorizer.and_then(|authorizer| authorizer.authorize(&mut properties));
    let permission = format!(
        "{}LambdaPermissionApiGateway",
        names::normalize(&endpoint.function.key)
    );
    let first = authorizer.unwrap_or(permission);
    let alias = endpoint
        .function
        .alias
        .iter()
        .map(|alias| alias.logical_id.clone());
    let waits: Vec<String> = [first].into_iter().chain(alias).collect();
    let method = json!({
        "Type": "AWS::ApiGateway::Method",
        "DependsOn": waits,
        "Properties": properties.0,
    });
    let id = logical_id(&endpoint.path, &endpoint.method);
    template.resource(id, method, endpoint.event.span);
}

fn integration(context: &Context<'_>, endpoint: &Endpoint<'_>) -> Map<String, Value> {
    let kind = endpoint.integration.as_str();
    let request = endpoint.request();
    let mut properties = Properties::default();
    properties.set("IntegrationHttpMethod", "POST");
    properties.set("Type", kind);
    if let Some(timeout) = context.setting(&["apiGateway", "timeoutInMillis"]) {
        properties.set("TimeoutInMillis", super::super::common::scalar(timeout));
    }
    properties.positive("TimeoutInMillis", endpoint.event, "timeoutInMillis");
    if kind.starts_with("AWS") {
        properties.set("Uri", invocation(endpoint));
    } else if kind.starts_with("HTTP") {
        let method = request
            .filter(|_| kind == "HTTP")
            .and_then(|request| text(request, "method"));
        let method = method.map_or_else(|| endpoint.method.clone(), str::to_uppercase);
        properties.set("IntegrationHttpMethod", method);
        if let Some(request) = request {
            properties.copy("Uri", request, "uri");
        }
        if let Some(connection) = &endpoint.connection {
            properties.set("ConnectionType", connection.as_str());
            properties.copy("ConnectionId", endpoint.event, "connectionId");
        }
    }
    if !endpoint.is_proxy() {
        let pass = request.and_then(|request| truthy(request, "passThrough"));
        match pass {
            Some(pass) => properties.set("PassthroughBehavior", pass.to_json()),
            None if kind == "AWS" => properties.set("PassthroughBehavior", "NEVER"),
            None => {}
        }
        if let Some(request) = request {
            properties.copy("ContentHandling", request, "contentHandling");
        }
        let templates = request_templates(endpoint);
        if !templates.is_empty() {
            properties.set("RequestTemplates", templates);
        }
        properties.set("IntegrationResponses", integration_responses(endpoint));
    }
    let is_async = truthy(endpoint.event, "async").is_some();
    let maps_parameters =
        ["AWS", "HTTP", "HTTP_PROXY"].contains(&kind) && !endpoint.parameters.is_empty();
    if maps_parameters || is_async {
        properties.set("RequestParameters", request_parameters(endpoint, is_async));
    }
    if let Some(mode) = &endpoint.transfer {
        properties.set("ResponseTransferMode", mode.as_str());
    }
    properties.0
}

fn invocation(endpoint: &Endpoint<'_>) -> Value {
    let streams =
        endpoint.transfer.as_deref() == Some("STREAM") && endpoint.integration == "AWS_PROXY";
    let (version, call) = match streams {
        true => ("2021-11-15", "/response-streaming-invocations"),
        false => ("2015-03-31", "/invocations"),
    };
    let mut parts = vec![
        json!("arn:"),
        json!({"Ref": "AWS::Partition"}),
        json!(":apigateway:"),
        json!({"Ref": "AWS::Region"}),
        json!(format!(":lambda:path/{version}/functions/")),
        json!({"Fn::GetAtt": [endpoint.function.logical_id, "Arn"]}),
    ];
    if let Some(alias) = &endpoint.function.alias {
        parts.extend([json!(":"), json!(alias.name)]);
    }
    parts.push(json!(call));
    json!({"Fn::Join": ["", parts]})
}

fn request_parameters(endpoint: &Endpoint<'_>, is_async: bool) -> Map<String, Value> {
    let mut parameters = Properties::default();
    for (name, node) in &endpoint.parameters {
        let mapped = truthy(node, "mappedValue").map(Node::to_json);
        let mapped = mapped.unwrap_or_else(|| name.as_str().into());
        // A mock's parameters are taken as written, and lose as many letters as `method.` has.
        let rest = name.char_indices().nth("method.".len());
        let rest = rest
            .and_then(|(start, _)| name.get(start..))
            .unwrap_or_default();
        parameters.set(&format!("integration.{rest}"), mapped);
    }
    if is_async {
        parameters.set(
            "integration.request.header.X-Amz-Invocation-Type",
            "'Event'",
        );
    }
    parameters.0
}

fn request_templates(endpoint: &Endpoint<'_>) -> Map<String, Value> {
    let mut all = Map::new();
    if endpoint.integration == "AWS" {
        all.insert("application/json".to_owned(), templates::json().into());
        all.insert(
            "application/x-www-form-urlencoded".to_owned(),
            templates::form().into(),
        );
    }
    let own = endpoint
        .request()
        .and_then(|request| request.get("template"));
    for (kind, node) in entries(own) {
        match &node.value {
            tidegate_yaml::Value::Null => {
                all.remove(&*kind.text);
            }
            _ => {
                all.insert(kind.text.to_string(), script::text(node).into());
            }
        }
    }
    let claims = endpoint
        .authorizer
        .iter()
        .flat_map(|authorizer| &authorizer.claims);
    let claims: String = claims
        .map(|claim| format!("{},", templates::claim(claim)))
        .collect();
    for text in all.values_mut() {
        if let Some(template) = text.as_str() {
            *text = template.replacen(templates::CLAIMS, &claims, 1).into();
        }
    }
    all
}

/// The headers that every answer has, by their names.
fn shared_headers(endpoint: &Endpoint<'_>) -> Map<String, Value> {
    let mut headers = Properties::default();
    if let Some(cors) = &endpoint.cors {
        headers.set("Access-Control-Allow-Origin", cors.answer());
        if cors.allows_credentials {
            headers.set("Access-Control-Allow-Credentials", "true");
        }
    }
    let own = endpoint
        .response()
        .and_then(|response| truthy(response, "headers"));
    for (name, value) in entries(own) {
        headers.set(&name.text, value.to_json());
    }
    headers.0
}

/// The headers of one answer, as parameters.
fn headers(shared: &Map<String, Value>, status: &Status<'_>) -> Map<String, Value> {
    let named = |name: &str| format!("method.response.header.{name}");
    let own = status
        .settings
        .and_then(|settings| truthy(settings, "headers"));
    let own = entries(own)
        .iter()
        .map(|(name, value)| (named(&name.text), value.to_json()));
    let shared = shared
        .iter()
        .map(|(name, value)| (named(name), value.clone()));
    shared.chain(own).collect()
}

fn integration_responses(endpoint: &Endpoint<'_>) -> Vec<Value> {
    let shared = shared_headers(endpoint);
    let response = endpoint.response();
    let mut all = Vec::new();
    for status in endpoint.statuses.iter().flatten() {
        let mut templates = Properties::default();
        if let Some(response) = response {
            templates.copy("application/json", response, "template");
        }
        match status
            .settings
            .and_then(|settings| truthy(settings, "template"))
        {
            Some(own) if is_mapping(own) => {
                for (kind, text) in entries(Some(own)) {
                    templates.set(&kind.text, text.to_json());
                }
            }
            Some(own) => templates.set("application/json", own.to_json()),
            None => {}
        }
        let mut properties = Properties::default();
        properties.set("StatusCode", status.code.as_str());
        properties.set("SelectionPattern", status.pattern.as_str());
        properties.set("ResponseParameters", headers(&shared, status));
        properties.set("ResponseTemplates", templates.0);
        let handling = response.and_then(|response| given(response, "contentHandling"));
        if let Some(handling) = handling.filter(|_| status.code.starts_with('2')) {
            properties.set("ContentHandling", handling.to_json());
        }
        all.push(properties.0.into());
    }
    all
}

fn method_responses(endpoint: &Endpoint<'_>) -> Vec<Value> {
    let shared = shared_headers(endpoint);
    let statuses = endpoint.statuses.iter().flatten();
    let all = statuses.map(|status| {
        let names = headers(&shared, status).into_iter();
        let parameters: Map<String, Value> = names.map(|(name, _)| (name, true.into())).collect();
        json!({
            "ResponseParameters": parameters,
            "ResponseModels": {},
            "StatusCode": status.code,
        })
    });
    all.collect()
}
