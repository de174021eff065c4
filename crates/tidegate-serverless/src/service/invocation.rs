//! How a function is called through its own URL, and what follows an asynchronous call.

use serde_json::{Map, Value, json};
use tidegate_yaml::Node;

use super::context::{Composer, Context, Function, is_mapping, is_truthy, items};
use super::names;

/// What a browser may send when a URL says no more than `cors: true`.
const HEADERS: &[&str] = &[
    "Content-Type",
    "X-Amz-Date",
    "Authorization",
    "X-Api-Key",
    "X-Amz-Security-Token",
    "X-Amzn-Trace-Id",
];

/// Adds the URL of a function, and who may call it.
pub(crate) fn url(context: &Context<'_>, function: &Function, template: &mut Composer) {
    let Some(url) = function.setting("url") else {
        return;
    };
    let is_signed = url.get("authorizer").and_then(Node::as_str) == Some("aws_iam");
    let auth = if is_signed { "AWS_IAM" } else { "NONE" };
    let mut properties = json!({
        "AuthType": auth,
        "TargetFunctionArn": context.target(function),
    });
    if let Some(cors) = url.get("cors").filter(|cors| is_truthy(cors)) {
        properties["Cors"] = self::cors(cors);
    }
    if url.get("invokeMode").and_then(Node::as_str) == Some("RESPONSE_STREAM") {
        properties["InvokeMode"] = Value::from("RESPONSE_STREAM");
    }
    let key = names::normalize(&function.key);
    let id = format!("{key}LambdaFunctionUrl");
    let resource = after_alias(function, "AWS::Lambda::Url", &properties);
    template.resource(id.as_str(), resource, url.span);
    let output = json!({
        "Description": "Lambda Function URL",
        "Value": {"Fn::GetAtt": [id, "FunctionUrl"]},
    });
    template.output(id, function.conditional(output));
    if is_signed {
        return;
    }
    let permissions = [
        (
            "LambdaPermissionFnUrl",
            "lambda:InvokeFunctionUrl",
            "FunctionUrlAuthType",
            Value::from(auth),
        ),
        (
            "LambdaPermissionFn",
            "lambda:InvokeFunction",
            "InvokedViaFunctionUrl",
            Value::Bool(true),
        ),
    ];
    for (suffix, action, property, value) in permissions {
        let mut properties = json!({
            "FunctionName": context.target(function),
            "Action": action,
            "Principal": "*",
        });
        properties[property] = value;
        let resource = after_alias(function, "AWS::Lambda::Permission", &properties);
        template.resource(format!("{key}{suffix}"), resource, url.span);
    }
}

fn after_alias(function: &Function, kind: &str, properties: &Value) -> Value {
    let mut resource = json!({"Type": kind, "Properties": properties});
    if let Some(alias) = &function.alias {
        resource["DependsOn"] = Value::from(alias.logical_id.as_str());
    }
    function.conditional(resource)
}

fn cors(cors: &Node) -> Value {
    let mut found = Map::new();
    let lists: &[(&str, &str, &[&str])] = &[
        ("allowedOrigins", "AllowOrigins", &["*"]),
        ("allowedHeaders", "AllowHeaders", HEADERS),
        ("allowedMethods", "AllowMethods", &["*"]),
    ];
    for (setting, property, default) in lists {
        match cors.get(setting) {
            Some(list) if is_truthy(list) => {
                found.insert((*property).to_owned(), unique(list));
            }
            Some(null) if null.value == tidegate_yaml::Value::Null => {}
            Some(_) | None => {
                found.insert((*property).to_owned(), json!(default));
            }
        }
    }
    if cors.get("allowCredentials").is_some_and(is_truthy) {
        found.insert("AllowCredentials".to_owned(), Value::Bool(true));
    }
    if let Some(list) = cors
        .get("exposedResponseHeaders")
        .filter(|list| is_truthy(list))
    {
        found.insert("ExposeHeaders".to_owned(), unique(list));
    }
    if let Some(age) = cors.get("maxAge") {
        found.insert("MaxAge".to_owned(), age.to_json());
    }
    Value::Object(found)
}

fn unique(list: &Node) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for item in items(Some(list)) {
        let item = item.to_json();
        if !all.contains(&item) {
            all.push(item);
        }
    }
    Value::Array(all)
}

/// Adds where the outcome of an asynchronous call goes, and how long it is tried.
pub(crate) fn events(context: &Context<'_>, function: &Function, template: &mut Composer) {
    let destinations = function.setting("destinations");
    let age = function.setting("maximumEventAge");
    let attempts = function.settings.get("maximumRetryAttempts");
    let attempts = attempts.filter(|node| node.value != tidegate_yaml::Value::Null);
    if destinations.is_none() && age.is_none() && attempts.is_none() {
        return;
    }
    let mut config = Map::new();
    let mut depends: Vec<String> = function
        .alias
        .iter()
        .map(|a| a.logical_id.clone())
        .collect();
    for (setting, property) in [("onSuccess", "OnSuccess"), ("onFailure", "OnFailure")] {
        let target = destinations.and_then(|all| all.get(setting));
        let Some(target) = target.filter(|target| is_truthy(target)) else {
            continue;
        };
        match destination(context, function, target) {
            Ok((arn, alias)) => {
                config.insert(property.to_owned(), json!({"Destination": arn}));
                depends.extend(alias);
                if let Err(message) = permission(context, function, target, template) {
                    told(context, target, message, template);
                }
            }
            Err(message) => told(context, target, message, template),
        }
    }
    let qualifier = function
        .alias
        .as_ref()
        .map_or("$LATEST", |alias| alias.name);
    let mut properties = json!({
        "FunctionName": {"Ref": function.logical_id},
        "DestinationConfig": config,
        "Qualifier": qualifier,
    });
    if let Some(age) = age {
        properties["MaximumEventAgeInSeconds"] = age.to_json();
    }
    if let Some(attempts) = attempts {
        properties["MaximumRetryAttempts"] = attempts.to_json();
    }
    let mut resource = json!({"Type": "AWS::Lambda::EventInvokeConfig", "Properties": properties});
    let mut once: Vec<String> = Vec::new();
    for id in depends {
        if !once.contains(&id) {
            once.push(id);
        }
    }
    match once.as_slice() {
        [] => {}
        [one] => resource["DependsOn"] = Value::from(one.as_str()),
        many => resource["DependsOn"] = json!(many),
    }
    let id = format!("{}LambdaEvConf", names::normalize(&function.key));
    let at = destinations.map_or(function.at, |all| all.span);
    template.resource(id, function.conditional(resource), at);
}

fn told(context: &Context<'_>, target: &Node, message: String, template: &mut Composer) {
    let help =
        "name a function of this service, or an ARN of a function, queue, topic or event bus";
    template.error("TG1507", message, context.place(target), help);
}

/// The ARN of a destination, and the alias that must be there before it.
fn destination(
    context: &Context<'_>,
    function: &Function,
    target: &Node,
) -> Result<(Value, Option<String>), String> {
    if is_mapping(target) {
        let arn = target.get("arn").map_or(Value::Null, Node::to_json);
        return Ok((arn, None));
    }
    let text = target.as_str().unwrap_or_default();
    if text.starts_with("arn:") {
        return Ok((Value::from(text), None));
    }
    let Some(other) = context.function(text) else {
        return Err(format!("Function \"{text}\" doesn't exist in this Service"));
    };
    if let Some(condition) = &other.condition
        && function.condition.as_ref() != Some(condition)
    {
        return Err(format!(
            "Function \"{}\" routes async destinations to conditional function \"{text}\". Apply condition \"{condition}\" to \"{}\" or remove the destination.",
            function.key, function.key
        ));
    }
    let alias = other.alias.as_ref().map(|alias| alias.logical_id.clone());
    Ok((context.target(other), alias))
}

/// The right of the default role to reach a destination.
fn permission(
    context: &Context<'_>,
    function: &Function,
    target: &Node,
    template: &mut Composer,
) -> Result<(), String> {
    if context.custom_role(function).is_some() {
        return Ok(());
    }
    let kind = target.get("type").and_then(Node::as_str);
    let text = target.as_str();
    let action = match (kind, text) {
        (Some("function"), _) => "lambda:InvokeFunction",
        (Some("sqs"), _) => "sqs:SendMessage",
        (Some("sns"), _) => "sns:Publish",
        (Some("eventBus"), _) => "events:PutEvents",
        (_, Some(text)) if !text.starts_with("arn:") || text.contains(":function:") => {
            "lambda:InvokeFunction"
        }
        (_, Some(text)) if text.contains(":sqs:") => "sqs:SendMessage",
        (_, Some(text)) if text.contains(":sns:") => "sns:Publish",
        (_, Some(text)) if text.contains(":event-bus/") => "events:PutEvents",
        (_, text) => {
            let text = text.map_or_else(|| target.to_json().to_string(), str::to_owned);
            return Err(format!("Unsupported destination target {text}"));
        }
    };
    let resource = match text {
        None => target.get("arn").map_or(Value::Null, Node::to_json),
        Some(text) => match context.function(text) {
            Some(other) if !text.starts_with("arn:") => {
                let alias = other.alias.as_ref().map(|alias| format!(":{}", alias.name));
                json!({"Fn::Sub": format!(
                    "arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{}{}",
                    other.name,
                    alias.unwrap_or_default()
                )})
            }
            _ => Value::from(text),
        },
    };
    let statement = json!({"Effect": "Allow", "Action": action, "Resource": resource});
    if text.is_some() {
        template.statement_once(statement);
    } else {
        template.statement(statement);
    }
    Ok(())
}
