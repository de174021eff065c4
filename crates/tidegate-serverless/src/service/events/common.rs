//! What all kinds of events share: going over them, reading their settings, permissions.
//!
//! Must not know: any single kind.

use serde_json::{Map, Value, json};
use tidegate_yaml::Node;

use super::script;
use crate::service::context::{Composer, Context, Function, is_mapping, is_truthy, items};

/// An event is refused, in the words of the Serverless Framework.
pub(crate) const REFUSED: &str = "TG1520";
/// A setting of an event is missing or has the wrong shape.
pub(crate) const MALFORMED: &str = "TG1521";
/// An event, or a setting of it, that needs what no template gives.
pub(crate) const NOT_BUILT: &str = "TG1522";

/// Something that works but will disappoint.
pub(crate) const DOUBTFUL: &str = "TG1523";

/// The events of one kind of a function, in document order.
pub(crate) fn events<'f>(function: &'f Function, kind: &str) -> Vec<&'f Node> {
    let events = function.events().iter();
    events
        .filter_map(|event| event.get(kind))
        .filter(|event| is_truthy(event))
        .collect()
}

/// A setting that is there and not null.
pub(crate) fn given<'n>(event: &'n Node, key: &str) -> Option<&'n Node> {
    event
        .get(key)
        .filter(|node| node.value != tidegate_yaml::Value::Null)
}

/// A setting that counts in JavaScript's sense.
pub(crate) fn truthy<'n>(event: &'n Node, key: &str) -> Option<&'n Node> {
    event.get(key).filter(|node| is_truthy(node))
}

/// The text of a setting.
pub(crate) fn text<'n>(event: &'n Node, key: &str) -> Option<&'n str> {
    truthy(event, key).and_then(Node::as_str)
}

/// A number or flag as the framework's schema makes it: texts that say one become one.
pub(crate) fn scalar(node: &Node) -> Value {
    match node.as_str() {
        Some("true") => Value::Bool(true),
        Some("false") => Value::Bool(false),
        Some(text) => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => text
                .parse::<f64>()
                .map_or_else(|_| text.into(), Value::from),
        },
        None => node.to_json(),
    }
}

/// Whether a flag is set, in any of the forms that the framework takes for one.
pub(crate) fn flag(event: &Node, key: &str) -> Option<bool> {
    given(event, key).map(|node| match scalar(node) {
        Value::Bool(flag) => flag,
        _ => is_truthy(node),
    })
}

/// The properties of a resource, as they gather.
#[derive(Debug, Default)]
pub(crate) struct Properties(pub(crate) Map<String, Value>);

impl Properties {
    /// Sets a property.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets a property from a number or flag that is there.
    pub(crate) fn scalar(&mut self, name: &str, event: &Node, key: &str) {
        if let Some(node) = given(event, key) {
            self.set(name, scalar(node));
        }
    }

    /// Sets a property from a number that is there and not zero.
    pub(crate) fn positive(&mut self, name: &str, event: &Node, key: &str) {
        if let Some(node) = truthy(event, key) {
            self.set(name, scalar(node));
        }
    }

    /// Sets a property from a setting that counts.
    pub(crate) fn copy(&mut self, name: &str, event: &Node, key: &str) {
        if let Some(node) = truthy(event, key) {
            self.set(name, node.to_json());
        }
    }

    /// Sets the filter of a mapping.
    pub(crate) fn filters(&mut self, event: &Node) {
        if let Some(patterns) = truthy(event, "filterPatterns") {
            let filters = items(Some(patterns)).iter();
            let filters: Vec<Value> = filters
                .map(|pattern| json!({"Pattern": script::stringify(pattern)}))
                .collect();
            self.set("FilterCriteria", json!({"Filters": filters}));
        }
    }
}

/// An event-source mapping, which waits for the function's role and alias.
pub(crate) fn mapping(
    context: &Context<'_>,
    function: &Function,
    mut properties: Properties,
    others: &[String],
) -> Value {
    properties.set("FunctionName", context.target(function));
    let alias = function.alias.iter().map(|alias| alias.logical_id.clone());
    let role = context.role_name(function).into_iter();
    let waits: Vec<String> = role.chain(alias).chain(others.iter().cloned()).collect();
    json!({
        "Type": "AWS::Lambda::EventSourceMapping",
        "DependsOn": waits,
        "Properties": properties.0,
    })
}

/// A resource that waits for the function's alias, if it has one.
pub(crate) fn after_alias(function: &Function, kind: &str, properties: &Value) -> Value {
    let mut resource = json!({"Type": kind, "Properties": properties});
    if let Some(alias) = &function.alias {
        resource["DependsOn"] = Value::from(alias.logical_id.as_str());
    }
    resource
}

/// The right of a service to invoke the function.
pub(crate) fn permission(
    context: &Context<'_>,
    function: &Function,
    principal: impl Into<Value>,
    more: Value,
) -> Value {
    let mut properties = json!({
        "FunctionName": context.target(function),
        "Action": "lambda:InvokeFunction",
        "Principal": principal.into(),
    });
    if let (Some(properties), Value::Object(more)) = (properties.as_object_mut(), more) {
        properties.extend(more);
    }
    after_alias(function, "AWS::Lambda::Permission", &properties)
}

/// A statement that allows actions on resources.
pub(crate) fn allow(actions: &[&str], resources: impl Into<Value>) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": resources.into()})
}

/// Adds a statement, unless it is about nothing.
pub(crate) fn allow_some(template: &mut Composer, actions: &[&str], resources: Vec<Value>) {
    if !resources.is_empty() {
        template.statement(allow(actions, resources));
    }
}

/// What a function needs to reach a broker in a private network.
pub(crate) const NETWORK_ACTIONS: &[&str] = &[
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeVpcs",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeSubnets",
    "ec2:DescribeSecurityGroups",
];

/// The last item of the list that a `Fn::Join` joins.
fn last_joined(arn: &Node) -> Option<&str> {
    items(items(arn.get("Fn::Join")).get(1))
        .last()
        .and_then(Node::as_str)
}

/// What a source is called, for the logical id of its mapping: an ARN's last part after
/// `separator`, or what a function of CloudFormation names.
pub(crate) fn source_name(arn: &Node, separator: char) -> Option<String> {
    if let Some(text) = arn.as_str() {
        let part = match separator {
            '/' => text.split('/').nth(1),
            _ => text.rsplit(separator).next(),
        };
        return part.map(str::to_owned);
    }
    let owned = |node: &Node| node.as_str().map(str::to_owned);
    if let Some(parts) = arn.get("Fn::GetAtt") {
        return items(Some(parts)).first().and_then(owned);
    }
    if let Some(name) = arn.get("Fn::ImportValue").or_else(|| arn.get("Ref")) {
        return owned(name);
    }
    let last = last_joined(arn)?;
    let last = match separator {
        '/' => last.rsplit('/').next().unwrap_or(last),
        _ => last,
    };
    Some(last.to_owned())
}

/// Tells that the name of a source cannot be made out.
pub(crate) fn nameless(context: &Context<'_>, template: &mut Composer, kind: &str, at: &Node) {
    let what = if is_mapping(at) || at.as_str().is_some() {
        "gives no name"
    } else {
        "has no ARN"
    };
    template.error(
        MALFORMED,
        format!("the source of this {kind} event {what}"),
        context.place(at),
        "give `arn` as text, Fn::GetAtt, Fn::ImportValue, Ref or Fn::Join",
    );
}

/// Tells what the framework would say, and what to do about it.
pub(crate) fn refuse(
    context: &Context<'_>,
    template: &mut Composer,
    at: &Node,
    message: impl Into<String>,
    help: &str,
) {
    template.error(REFUSED, message.into(), context.place(at), help);
}

/// Tells that a setting is missing.
pub(crate) fn missing(context: &Context<'_>, template: &mut Composer, at: &Node, what: &str) {
    template.error(
        MALFORMED,
        format!("this event needs {what}"),
        context.place(at),
        "write the setting, see the reference of serverless.yml",
    );
}

/// The ARN under which an API may invoke: `api` is the API's id, `path` what may call.
pub(crate) fn execution_arn(api: &Value, path: &str) -> Value {
    json!({"Fn::Join": ["", [
        "arn:", {"Ref": "AWS::Partition"}, ":execute-api:", {"Ref": "AWS::Region"}, ":",
        {"Ref": "AWS::AccountId"}, ":", api, path,
    ]]})
}

/// The URI under which API Gateway invokes a function.
pub(crate) fn invocation_uri(function: &Value) -> Value {
    json!({"Fn::Join": ["", [
        "arn:", {"Ref": "AWS::Partition"}, ":apigateway:", {"Ref": "AWS::Region"},
        ":lambda:path/2015-03-31/functions/", function, "/invocations",
    ]]})
}

/// The URL of an API's host: `scheme` before the id, `path` behind the host.
pub(crate) fn endpoint(scheme: &str, api: Value, path: Option<String>) -> Value {
    let mut parts = vec![
        json!(scheme),
        api,
        json!(".execute-api."),
        json!({"Ref": "AWS::Region"}),
        json!("."),
        json!({"Ref": "AWS::URLSuffix"}),
    ];
    parts.extend(path.map(Value::from));
    json!({"Fn::Join": ["", parts]})
}

/// A log group of an API, with the provider's retention.
pub(crate) fn log_group(context: &Context<'_>, name: String) -> Value {
    let mut properties = Properties::default();
    properties.set("LogGroupName", name);
    properties.copy("RetentionInDays", &context.provider, "logRetentionInDays");
    properties.copy(
        "DataProtectionPolicy",
        &context.provider,
        "logDataProtectionPolicy",
    );
    json!({"Type": "AWS::Logs::LogGroup", "Properties": properties.0})
}

/// A path as part of a logical id: `/users/{user-id}` is `UsersUserDashidVar`.
pub(crate) fn path_id(path: &str) -> String {
    path.split('/').map(path_part_id).collect()
}

fn path_part_id(part: &str) -> String {
    let part = part.to_lowercase().replace('-', "Dash");
    let part = match (part.find('{'), part.rfind('}')) {
        (Some(open), Some(close)) if open < close => {
            let (before, rest) = part.split_at(open);
            let (inner, after) = rest.split_at(close - open);
            format!("{before}{inner}Var{after}")
        }
        _ => part,
    };
    crate::service::names::alphanumeric(&part)
}

/// The items of a list, or the one value that stands for a list of it; each once.
pub(crate) fn set_of(node: &Node) -> Vec<Value> {
    let single = std::slice::from_ref(node);
    let all = match &node.value {
        tidegate_yaml::Value::Sequence(_) => items(Some(node)),
        _ => single,
    };
    let mut set: Vec<Value> = Vec::new();
    for item in all.iter().map(Node::to_json) {
        if !set.contains(&item) {
            set.push(item);
        }
    }
    set
}

/// Tells that the role by which API Gateway writes logs is not made here.
pub(crate) fn no_account_role(
    context: &Context<'_>,
    template: &mut Composer,
    at: &Node,
    setting: &str,
) {
    template.error(
        NOT_BUILT,
        format!("`provider.{setting}` needs the role by which API Gateway writes logs"),
        context.place(at),
        "make an AWS::ApiGateway::Account once for the account and set `provider.logs.restApi.roleManagedExternally: true`: the framework ships a function of its own for this, which is not built here",
    );
}

/// Lets a service take the default role, where Lambda does.
pub(crate) fn trust(template: &mut Composer, service: &str) {
    let role = template.resources.get_mut(crate::service::names::ROLE);
    let statements = role
        .and_then(|role| role.pointer_mut("/Properties/AssumeRolePolicyDocument/Statement"))
        .and_then(Value::as_array_mut);
    let services = statements.into_iter().flatten().find_map(|statement| {
        let services = statement
            .pointer_mut("/Principal/Service")?
            .as_array_mut()?;
        services
            .iter()
            .any(|name| name == "lambda.amazonaws.com")
            .then_some(services)
    });
    if let Some(services) = services {
        services.push(service.into());
    }
}

#[cfg(test)]
mod tests {
    use super::path_id;

    #[test]
    fn paths_become_parts_of_logical_ids() {
        assert_eq!(path_id("users/{user-id}"), "UsersUserDashidVar");
        assert_eq!(path_id("GET /a.b/{proxy+}"), "GetAbProxyVar");
        assert_eq!(path_id("{a}-{b}"), "ADashbVar");
    }
}
