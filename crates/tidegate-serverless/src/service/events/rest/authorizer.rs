//! Authorizers of REST APIs: what an event says, and the resources and rights of them.
//!
//! Must not know: methods beyond their authorization.

use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::endpoint::{Endpoint, Refusal};
use crate::service::context::{Composer, Context, is_mapping, items};
use crate::service::events::common::{self, Properties, text, truthy};
use crate::service::names;

const HEADER: &str = "method.request.header.Authorization";
/// Seconds for which an answer of an authorizer is kept.
const DEFAULT_TTL: i64 = 300;

/// Who may call a method.
#[derive(Debug, Default)]
pub(super) struct Authorizer {
    kind: Option<String>,
    name: Option<String>,
    arn: Option<Value>,
    is_managed_externally: bool,
    id: Option<Value>,
    alias: Option<String>,
    ttl: Option<i64>,
    source: Option<Value>,
    expression: Option<String>,
    pub(super) claims: Vec<String>,
    scopes: Option<Value>,
}

/// Reads `authorizer` of an event.
///
/// # Errors
///
/// What the Serverless Framework refuses.
pub(super) fn read(
    context: &Context<'_>,
    node: &Node,
    integration: &str,
) -> Result<Authorizer, Refusal> {
    let mut authorizer = Authorizer::default();
    let mut function = None;
    if let Some(written) = node.as_str() {
        if written.eq_ignore_ascii_case("AWS_IAM") {
            authorizer.kind = Some("AWS_IAM".to_owned());
        } else if written.contains(':') {
            authorizer.arn = Some(written.into());
            authorizer.name = Some(name_of(written));
        } else {
            function = Some(written);
        }
    } else if is_mapping(node) {
        function = read_mapping(node, &mut authorizer)?;
    }
    if let Some(name) = function {
        let Some(function) = context.function(name) else {
            let message = format!("Function \"{name}\" doesn't exist in this Service");
            return Err((message, "name a function of this service, or an ARN"));
        };
        authorizer.name = Some(name.to_owned());
        authorizer.arn = Some(context.target(function));
        authorizer.alias = function
            .alias
            .as_ref()
            .map(|alias| alias.logical_id.clone());
    }
    let is_free = authorizer.is_kind("REQUEST") && authorizer.ttl == Some(0);
    if authorizer.source.is_none() && !is_free {
        authorizer.source = Some(HEADER.into());
    }
    let is_pool = authorizer.arn.as_ref().is_some_and(is_user_pool);
    if integration == "AWS_PROXY" && is_pool && !authorizer.claims.is_empty() {
        let message = "Cognito claims can only be filtered when using the lambda integration type";
        return Err((
            message.to_owned(),
            "use `integration: lambda`, or leave the claims out",
        ));
    }
    Ok(authorizer)
}

/// Reads the long form; gives the function that it names.
fn read_mapping<'n>(
    node: &'n Node,
    authorizer: &mut Authorizer,
) -> Result<Option<&'n str>, Refusal> {
    let kind = text(node, "type");
    authorizer.kind = kind.map(str::to_owned);
    let id = truthy(node, "authorizerId").filter(|_| kind.is_some());
    let mut function = None;
    if let Some(id) = id {
        authorizer.id = Some(id.to_json());
    } else if authorizer.is_kind("AWS_IAM") {
        authorizer.kind = Some("AWS_IAM".to_owned());
    } else if let Some(arn) = truthy(node, "arn") {
        authorizer.arn = Some(arn.to_json());
        let named = node.get("name").and_then(Node::as_str);
        authorizer.name = named
            .map(str::to_owned)
            .or_else(|| arn.as_str().map(name_of));
        if authorizer.name.is_none() {
            let message = match authorizer.is_kind("COGNITO_USER_POOLS") {
                true => {
                    "Please provide an authorizer name for authorizers of type COGNITO_USER_POOLS"
                }
                false => "this authorizer has no name, and its ARN is no text to take one from",
            };
            return Err((message.to_owned(), "add `name` to the authorizer"));
        }
    } else if let Some(name) = text(node, "name") {
        function = Some(name);
    } else {
        let message = "Please provide either an authorizer name or ARN";
        return Err((message.to_owned(), "add `name` or `arn` to the authorizer"));
    }
    let ttl = common::given(node, "resultTtlInSeconds").map(common::scalar);
    authorizer.ttl = Some(ttl.and_then(|ttl| ttl.as_i64()).unwrap_or(DEFAULT_TTL));
    let claims = items(node.get("claims")).iter();
    authorizer.claims = claims.map(crate::service::events::script::text).collect();
    authorizer.scopes = truthy(node, "scopes").map(Node::to_json);
    authorizer.source = truthy(node, "identitySource").map(Node::to_json);
    authorizer.expression = node
        .get("identityValidationExpression")
        .and_then(Node::as_str)
        .map(str::to_owned);
    authorizer.is_managed_externally = truthy(node, "managedExternally").is_some();
    Ok(function)
}

/// The last word of a function's ARN.
fn name_of(arn: &str) -> String {
    let last = arn.rsplit(':').next().unwrap_or_default();
    last.rsplit('-').next().unwrap_or_default().to_owned()
}

/// Whether an ARN is that of a user pool.
fn is_user_pool(arn: &Value) -> bool {
    let rest = arn.as_str().and_then(|arn| arn.strip_prefix("arn:"));
    rest.and_then(|rest| rest.split_once(':'))
        .is_some_and(|(partition, rest)| {
            let is_plain = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
            partition.bytes().all(is_plain) && rest.starts_with("cognito-idp")
        })
}

impl Authorizer {
    fn is_kind(&self, kind: &str) -> bool {
        self.kind
            .as_deref()
            .is_some_and(|own| own.eq_ignore_ascii_case(kind))
    }

    fn is_pool(&self) -> bool {
        self.is_kind("COGNITO_USER_POOLS") || self.arn.as_ref().is_some_and(is_user_pool)
    }

    fn logical_id(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        format!("{}ApiGatewayAuthorizer", names::normalize(name))
    }

    /// What a method says about it, and what it waits for.
    pub(super) fn authorize(&self, properties: &mut Properties) -> Option<String> {
        if self.kind.as_deref() == Some("AWS_IAM") {
            properties.set("AuthorizationType", "AWS_IAM");
            return None;
        }
        let scopes = self.scopes.as_ref();
        let scopes = scopes.filter(|scopes| scopes.as_array().is_none_or(|all| !all.is_empty()));
        if let (Some(kind), Some(id)) = (&self.kind, &self.id) {
            let is_custom = self.is_kind("TOKEN") || self.is_kind("REQUEST");
            properties.set("AuthorizationType", if is_custom { "CUSTOM" } else { kind });
            properties.set("AuthorizerId", id.clone());
            if let Some(scopes) = scopes.filter(|_| self.is_kind("COGNITO_USER_POOLS")) {
                properties.set("AuthorizationScopes", scopes.clone());
            }
            return None;
        }
        let id = self.logical_id();
        properties.set("AuthorizerId", json!({"Ref": id}));
        if self.is_pool() {
            properties.set("AuthorizationType", "COGNITO_USER_POOLS");
            if let Some(scopes) = scopes {
                properties.set("AuthorizationScopes", scopes.clone());
            }
        } else {
            properties.set("AuthorizationType", "CUSTOM");
        }
        Some(id)
    }
}

/// Adds the authorizer of an endpoint.
pub(super) fn add(context: &Context<'_>, endpoint: &Endpoint<'_>, template: &mut Composer) {
    let Some((authorizer, arn)) = with_arn(endpoint) else {
        return;
    };
    let mut properties = Properties::default();
    if let Some(ttl) = authorizer.ttl {
        properties.set("AuthorizerResultTtlInSeconds", ttl);
    }
    if let Some(source) = &authorizer.source {
        properties.set("IdentitySource", source.clone());
    }
    properties.set("Name", authorizer.name.as_deref());
    properties.set("RestApiId", super::reference(context));
    if let Some(expression) = &authorizer.expression {
        properties.set("IdentityValidationExpression", expression.as_str());
    }
    if authorizer.is_pool() {
        properties.set("Type", "COGNITO_USER_POOLS");
        properties.set("ProviderARNs", json!([arn]));
    } else {
        let kind = authorizer.kind.as_ref().map(|kind| kind.to_uppercase());
        properties.set("Type", kind.as_deref().unwrap_or("TOKEN"));
        properties.set("AuthorizerUri", common::invocation_uri(&arn.clone()));
    }
    let mut resource = json!({"Type": "AWS::ApiGateway::Authorizer", "Properties": properties.0});
    if let Some(alias) = &authorizer.alias {
        resource["DependsOn"] = alias.as_str().into();
    }
    template.resource(authorizer.logical_id(), resource, endpoint.event.span);
}

/// Adds the right of the API to invoke the authorizer of an endpoint.
pub(super) fn permit(context: &Context<'_>, endpoint: &Endpoint<'_>, template: &mut Composer) {
    let Some((authorizer, arn)) = with_arn(endpoint) else {
        return;
    };
    let name = names::normalize(authorizer.name.as_deref().unwrap_or_default());
    let id = format!("{name}LambdaPermissionApiGateway");
    if authorizer.is_pool()
        || authorizer.is_managed_externally
        || template.resources.contains_key(&id)
    {
        return;
    }
    let function = match &authorizer.alias {
        Some(alias) => json!({"Ref": alias}),
        None => arn.clone(),
    };
    let resource = json!({
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": function,
            "Action": "lambda:InvokeFunction",
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": common::execution_arn(&super::reference(context), "/*/*"),
        },
    });
    template.resource(id, resource, endpoint.event.span);
}

fn with_arn<'e>(endpoint: &'e Endpoint<'_>) -> Option<(&'e Authorizer, &'e Value)> {
    let authorizer = endpoint.authorizer.as_ref()?;
    Some((authorizer, authorizer.arn.as_ref()?))
}
