//! `Globals`: properties that resources of a type share.

use serde_json::{Map, Value};

use crate::sam::link::python_shown;
use crate::sam::{Fault, Sam, is_intrinsic, is_truthy};

/// Properties that each section may hold, in SAM's order.
const SECTIONS: &[(&str, &[&str])] = &[
    (
        "Function",
        &[
            "Handler",
            "Runtime",
            "CodeUri",
            "DeadLetterQueue",
            "Description",
            "MemorySize",
            "Timeout",
            "VpcConfig",
            "Environment",
            "Tags",
            "PropagateTags",
            "Tracing",
            "KmsKeyArn",
            "AutoPublishAlias",
            "AutoPublishAliasAllProperties",
            "Layers",
            "DeploymentPreference",
            "RolePath",
            "PermissionsBoundary",
            "ReservedConcurrentExecutions",
            "ProvisionedConcurrencyConfig",
            "AssumeRolePolicyDocument",
            "EventInvokeConfig",
            "FileSystemConfigs",
            "CodeSigningConfigArn",
            "Architectures",
            "SnapStart",
            "EphemeralStorage",
            "FunctionUrlConfig",
            "RuntimeManagementConfig",
            "LoggingConfig",
            "RecursiveLoop",
            "SourceKMSKeyArn",
            "TenancyConfig",
            "DurableConfig",
            "CapacityProviderConfig",
            "FunctionScalingConfig",
            "PublishToLatestPublished",
            "VersionDeletionPolicy",
        ],
    ),
    ("SimpleTable", &["SSESpecification"]),
    ("StateMachine", &["PropagateTags"]),
    ("LayerVersion", &["PublishLambdaVersion"]),
];
/// Sections of types that are out of scope: checked, and of no effect.
const OTHERS: &[(&str, &[&str])] = &[
    (
        "Api",
        &[
            "Auth",
            "Name",
            "DefinitionUri",
            "CacheClusterEnabled",
            "CacheClusterSize",
            "MergeDefinitions",
            "Variables",
            "EndpointConfiguration",
            "MethodSettings",
            "BinaryMediaTypes",
            "MinimumCompressionSize",
            "Cors",
            "GatewayResponses",
            "AccessLogSetting",
            "CanarySetting",
            "TracingEnabled",
            "OpenApiVersion",
            "Domain",
            "AlwaysDeploy",
            "PropagateTags",
            "SecurityPolicy",
            "EndpointAccessMode",
        ],
    ),
    (
        "CapacityProvider",
        &[
            "VpcConfig",
            "OperatorRole",
            "Tags",
            "InstanceRequirements",
            "ScalingConfig",
            "KmsKeyArn",
            "PropagateTags",
            "LoggingConfig",
            "ManagedResourceTags",
        ],
    ),
    (
        "HttpApi",
        &[
            "Auth",
            "AccessLogSettings",
            "StageVariables",
            "Tags",
            "CorsConfiguration",
            "DefaultRouteSettings",
            "Domain",
            "RouteSettings",
            "FailOnWarnings",
            "PropagateTags",
        ],
    ),
    (
        "MicrovmImage",
        &[
            "BuildRoleArn",
            "BaseImageArn",
            "BaseImageVersion",
            "Logging",
            "EgressNetworkConnectors",
            "CpuConfigurations",
            "Resources",
            "AdditionalOsCapabilities",
            "Hooks",
            "EnvironmentVariables",
            "Tags",
            "PropagateTags",
        ],
    ),
    (
        "NetworkConnector",
        &["OperatorRole", "Tags", "PropagateTags"],
    ),
    (
        "WebSocketApi",
        &[
            "AccessLogSettings",
            "ApiKeySelectionExpression",
            "DefaultRouteSettings",
            "DisableExecuteApiEndpoint",
            "DisableSchemaValidation",
            "Domain",
            "FailOnWarnings",
            "IpAddressType",
            "PropagateTags",
            "RouteSelectionExpression",
            "RouteSettings",
            "StageVariables",
            "Tags",
        ],
    ),
];

/// Merges the globals into the resources; the message of a section that is wrong.
pub(crate) fn merge(sam: &mut Sam<'_>) -> Result<(), String> {
    let globals = match sam.template.body.get("Globals") {
        None => return Ok(()),
        Some(Value::Object(globals)) => globals,
        Some(_) => return Err(invalid("It must be a non-empty dictionary")),
    };
    for section in sam.order(&["Globals"]) {
        let Some((section, properties)) = globals.get_key_value(&section) else {
            continue;
        };
        let mut known = SECTIONS.iter().chain(OTHERS);
        let Some((_, supported)) = known.find(|(name, _)| name == section) else {
            let known = SECTIONS.iter().chain(OTHERS);
            let mut names: Vec<&str> = known.map(|(name, _)| *name).collect();
            names.sort_unstable();
            return Err(invalid(&format!(
                "'{section}' is not supported. Must be one of the following values - {}",
                python_list(&names)
            )));
        };
        let Some(properties) = properties.as_object() else {
            return Err(invalid("Value of ${section} must be a dictionary"));
        };
        let written = sam.order(&["Globals", section]);
        let mut keys = written.iter().filter(|key| properties.contains_key(*key));
        if let Some(unknown) = keys.find(|key| !supported.contains(&key.as_str())) {
            return Err(invalid(&format!(
                "'{unknown}' is not a supported property of '{section}'. Must be one of the following values - {}",
                python_list(supported)
            )));
        }
    }
    let kinds = SECTIONS.iter().filter_map(|(section, _)| {
        let properties = globals.get(*section)?.as_object()?;
        Some((format!("AWS::Serverless::{section}"), properties))
    });
    let kinds: Vec<(String, &Map<String, Value>)> = kinds.collect();
    for (id, _) in sam.template.resources() {
        let Some(resource) = sam.input.get_mut(id) else {
            continue;
        };
        let kind = resource
            .get("Type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some((_, properties)) = kinds.iter().find(|(name, _)| name == kind) else {
            continue;
        };
        match taken(id, resource.get("IgnoreGlobals"), properties) {
            Ok(taken) => merge_into(resource, &taken),
            Err(fault) => {
                sam.faults.push(fault);
                break;
            }
        }
    }
    Ok(())
}

fn invalid(message: &str) -> String {
    format!("'Globals' section is invalid. {message}")
}

pub(crate) fn python_list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", quoted.join(", "))
}

/// The globals that a resource takes, by its `IgnoreGlobals`.
fn taken(
    id: &str,
    ignore: Option<&Value>,
    properties: &Map<String, Value>,
) -> Result<Map<String, Value>, Fault> {
    let wrong = |what: &str| {
        let message =
            format!("Resource {id} has invalid resource attribute 'IgnoreGlobals'{what}.");
        Err(Fault::new(id, message))
    };
    match ignore {
        None => Ok(properties.clone()),
        Some(nothing) if !is_truthy(nothing) => Ok(properties.clone()),
        Some(Value::String(all)) if all == "*" => Ok(Map::new()),
        Some(Value::Array(names)) => {
            let mut rest = properties.clone();
            for name in names {
                let known = name.as_str().and_then(|name| rest.remove(name));
                if known.is_none() {
                    return wrong(&format!(" on item '{}'", python_shown(name)));
                }
            }
            Ok(rest)
        }
        Some(_) => wrong(""),
    }
}

fn merge_into(resource: &mut Value, globals: &Map<String, Value>) {
    let Some(resource) = resource.as_object_mut() else {
        return;
    };
    let properties = resource
        .entry("Properties")
        .or_insert_with(|| Value::Object(Map::new()));
    if properties.is_null() {
        *properties = Value::Object(Map::new());
    }
    if let Some(properties) = properties.as_object_mut() {
        for (name, global) in globals {
            let merged = match properties.get(name) {
                // Another architecture is another place to run, not one more.
                Some(local) if name == "Architectures" => local.clone(),
                Some(local) => merged(global, local, 0),
                None => global.clone(),
            };
            properties.insert(name.clone(), merged);
        }
    }
}

/// Deepest mapping that is merged.
const DEPTH_MAX: usize = 64;

/// Maps are merged key by key, lists are joined, anything else of the resource wins.
fn merged(global: &Value, local: &Value, depth: usize) -> Value {
    match (global, local) {
        (Value::Object(a), Value::Object(b))
            if depth < DEPTH_MAX && !is_intrinsic(global) && !is_intrinsic(local) =>
        {
            let mut fields = a.clone();
            for (name, value) in b {
                let value = match a.get(name) {
                    Some(global) => merged(global, value, depth + 1),
                    None => value.clone(),
                };
                fields.insert(name.clone(), value);
            }
            Value::Object(fields)
        }
        (Value::Array(a), Value::Array(b)) => a.iter().chain(b).cloned().collect(),
        _ => local.clone(),
    }
}
