//! Log groups of functions, and the role that they share.

use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::context::{Composer, Context, Function, entries, is_existing_role, items, tag_list};
use super::names;

/// Adds the log groups and the default role.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        if function.setting("disableLogs").is_none() {
            log_group(context, function, template);
        }
    }
    let role = context.provider.at(&["iam", "role"]);
    let is_elsewhere = role.is_some_and(is_existing_role)
        || context.provider.get("role").is_some()
        || context
            .functions
            .iter()
            .all(|function| function.settings.get("role").is_some());
    if context.functions.is_empty() || is_elsewhere {
        return;
    }
    let at = role.unwrap_or(&context.provider).span;
    template.resource(names::ROLE, role_resource(context), at);
    log_statements(context, template);
    for statement in items(first(
        context,
        &[&["iam", "role", "statements"], &["iamRoleStatements"]],
    )) {
        template.statement(statement.to_json());
    }
    let policies = first(
        context,
        &[&["iam", "role", "managedPolicies"], &["iamManagedPolicies"]],
    );
    template.managed_policies(items(policies).iter().map(Node::to_json).collect());
    let has_network = context.setting(&["vpc"]).is_some()
        || context
            .functions
            .iter()
            .any(|function| function.settings.get("vpc").is_some());
    if has_network {
        template.managed_policies(vec![json!({"Fn::Join": ["", [
            "arn:", {"Ref": "AWS::Partition"},
            ":iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole",
        ]]})]);
    }
    durable_statements(context, template);
}

fn first<'c>(context: &'c Context<'_>, paths: &[&[&str]]) -> Option<&'c Node> {
    paths.iter().find_map(|path| context.setting(path))
}

fn log_group(context: &Context<'_>, function: &Function, template: &mut Composer) {
    let mut properties = json!({"LogGroupName": names::log_group_name(&function.name)});
    let settings = [
        ("logRetentionInDays", "RetentionInDays"),
        ("logDataProtectionPolicy", "DataProtectionPolicy"),
    ];
    for (setting, property) in settings {
        let value = function
            .setting(setting)
            .or_else(|| context.setting(&[setting]));
        if let Some(value) = value {
            properties[property] = value.to_json();
        }
    }
    let resource = json!({"Type": "AWS::Logs::LogGroup", "Properties": properties});
    let id = names::log_group(&function.key);
    template.resource(id, function.conditional(resource), function.at);
}

fn role_resource(context: &Context<'_>) -> Value {
    let role = |name: &str| context.setting(&["iam", "role", name]);
    let mut properties = json!({
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": ["lambda.amazonaws.com"]},
                "Action": ["sts:AssumeRole"],
            }],
        },
        "Policies": [{
            "PolicyName": names::policy_name(&context.service, &context.stage),
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogStream", "logs:CreateLogGroup", "logs:TagResource"],
                    "Resource": [],
                },
                {"Effect": "Allow", "Action": ["logs:PutLogEvents"], "Resource": []},
            ]},
        }],
        "Path": role("path").map_or_else(|| Value::from("/"), Node::to_json),
        "RoleName": role("name").map_or_else(
            || names::role_name(&context.service, &context.stage),
            Node::to_json,
        ),
    });
    if let Some(tags) = role("tags") {
        let tags = entries(Some(tags)).iter();
        properties["Tags"] = tag_list(tags.map(|(key, value)| (&*key.text, value)));
    }
    let boundary = role("permissionsBoundary")
        .or_else(|| role("permissionBoundary"))
        .or_else(|| context.setting(&["rolePermissionsBoundary"]));
    if let Some(boundary) = boundary {
        properties["PermissionsBoundary"] = boundary.to_json();
    }
    json!({"Type": "AWS::IAM::Role", "Properties": properties})
}

/// The right to write logs: one entry for all functions that are named after the service, one for
/// each other, and a denial for those of the service that write none.
fn log_statements(context: &Context<'_>, template: &mut Composer) {
    let prefix = format!("{}-{}", context.service, context.stage);
    let mut groups = Vec::new();
    let mut silent = Vec::new();
    let mut has_canonical = false;
    for function in &context.functions {
        let is_silent = function.setting("disableLogs").is_some();
        match (function.name.starts_with(&prefix), is_silent) {
            (true, true) => {
                silent.push(json!({"Fn::Sub": log_arn(&format!("{}:*", function.name))}));
            }
            (true, false) => has_canonical = true,
            (false, true) => {}
            (false, false) => groups.push(function.name.clone()),
        }
    }
    if has_canonical {
        groups.push(format!("{prefix}*"));
    }
    for (index, suffix) in [":*", ":*:*"].iter().enumerate() {
        let resources = groups
            .iter()
            .map(|group| json!({"Fn::Sub": log_arn(&format!("{group}{suffix}"))}));
        let statement = template.statements().and_then(|all| all.get_mut(index));
        if let Some(statement) = statement {
            statement["Resource"] = Value::Array(resources.collect());
        }
    }
    if has_canonical && !silent.is_empty() {
        template.statement(json!({
            "Effect": "Deny",
            "Action": "logs:PutLogEvents",
            "Resource": silent,
        }));
    }
}

fn log_arn(group: &str) -> String {
    let group = names::log_group_name(group);
    format!("arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{group}")
}

fn durable_statements(context: &Context<'_>, template: &mut Composer) {
    let resources: Vec<Value> = context
        .functions
        .iter()
        .filter(|function| {
            function.setting("durableConfig").is_some()
                && context.role_name(function).as_deref() == Some(names::ROLE)
        })
        .map(|function| {
            let name = &function.name;
            let arn = format!(
                "arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{name}:*/durable-execution/*/*"
            );
            json!({"Fn::Sub": arn})
        })
        .collect();
    if !resources.is_empty() {
        template.statement(json!({
            "Effect": "Allow",
            "Action": ["lambda:CheckpointDurableExecution", "lambda:GetDurableExecutionState"],
            "Resource": resources,
        }));
    }
}
