//! The names of Lambda's operations, by method and path.
//!
//! Must not know: what they do.

/// The name of an operation, as faults name it; empty for none that is known.
pub(crate) fn name(method: &str, parts: &[&str], query: &[(String, String)]) -> &'static str {
    match parts {
        [_, "functions", _, rest @ ..] if !rest.is_empty() => of_function(method, rest, query),
        [_, "functions", ..] => match (method, parts.len()) {
            ("POST", 2) => "CreateFunction",
            ("GET", 2) => "ListFunctions",
            ("GET", 3) => "GetFunction",
            ("DELETE", 3) => "DeleteFunction",
            _ => "",
        },
        [_, "layers", rest @ ..] => of_layer(method, rest, query),
        [_, "event-source-mappings"] => match method {
            "POST" => "CreateEventSourceMapping",
            "GET" => "ListEventSourceMappings",
            _ => "",
        },
        [_, "event-source-mappings", _] => match method {
            "PUT" => "UpdateEventSourceMapping",
            "DELETE" => "DeleteEventSourceMapping",
            "GET" => "GetEventSourceMapping",
            _ => "",
        },
        [_, "tags", _] => match method {
            "GET" => "ListTags",
            "POST" => "TagResource",
            "DELETE" => "UntagResource",
            _ => "",
        },
        [_, "account-settings"] if method == "GET" => "GetAccountSettings",
        _ => "",
    }
}

fn of_function(method: &str, rest: &[&str], query: &[(String, String)]) -> &'static str {
    let is_list = query.iter().any(|(name, _)| name == "List");
    match (method, rest) {
        ("PUT", ["code"]) => "UpdateFunctionCode",
        ("PUT", ["configuration"]) => "UpdateFunctionConfiguration",
        ("GET", ["configuration"]) => "GetFunctionConfiguration",
        ("POST", ["versions"]) => "PublishVersion",
        ("GET", ["versions"]) => "ListVersionsByFunction",
        ("POST", ["aliases"]) => "CreateAlias",
        ("GET", ["aliases"]) => "ListAliases",
        ("GET", ["aliases", _]) => "GetAlias",
        ("PUT", ["aliases", _]) => "UpdateAlias",
        ("DELETE", ["aliases", _]) => "DeleteAlias",
        ("POST", ["policy"]) => "AddPermission",
        ("GET", ["policy"]) => "GetPolicy",
        ("DELETE", ["policy", _]) => "RemovePermission",
        ("POST", ["invocations"]) => "Invoke",
        ("POST", ["invoke-async"]) => "InvokeAsync",
        ("PUT", ["concurrency"]) => "PutFunctionConcurrency",
        ("GET", ["concurrency"]) => "GetFunctionConcurrency",
        ("DELETE", ["concurrency"]) => "DeleteFunctionConcurrency",
        ("PUT", ["provisioned-concurrency"]) => "PutProvisionedConcurrencyConfig",
        ("GET", ["provisioned-concurrency"]) if is_list => "ListProvisionedConcurrencyConfigs",
        ("GET", ["provisioned-concurrency"]) => "GetProvisionedConcurrencyConfig",
        ("DELETE", ["provisioned-concurrency"]) => "DeleteProvisionedConcurrencyConfig",
        ("PUT", ["event-invoke-config"]) => "PutFunctionEventInvokeConfig",
        ("POST", ["event-invoke-config"]) => "UpdateFunctionEventInvokeConfig",
        ("GET", ["event-invoke-config"]) => "GetFunctionEventInvokeConfig",
        ("GET", ["event-invoke-config", "list"]) => "ListFunctionEventInvokeConfigs",
        ("DELETE", ["event-invoke-config"]) => "DeleteFunctionEventInvokeConfig",
        ("POST", ["url"]) => "CreateFunctionUrlConfig",
        ("PUT", ["url"]) => "UpdateFunctionUrlConfig",
        ("GET", ["url"]) => "GetFunctionUrlConfig",
        ("GET", ["urls"]) => "ListFunctionUrlConfigs",
        ("DELETE", ["url"]) => "DeleteFunctionUrlConfig",
        ("GET", ["code-signing-config"]) => "GetFunctionCodeSigningConfig",
        ("PUT", ["code-signing-config"]) => "PutFunctionCodeSigningConfig",
        ("GET", ["runtime-management-config"]) => "GetRuntimeManagementConfig",
        ("PUT", ["runtime-management-config"]) => "PutRuntimeManagementConfig",
        ("GET", ["recursion-config"]) => "GetFunctionRecursionConfig",
        ("PUT", ["recursion-config"]) => "PutFunctionRecursionConfig",
        _ => "",
    }
}

fn of_layer(method: &str, rest: &[&str], query: &[(String, String)]) -> &'static str {
    match (method, rest) {
        ("GET", []) if query.iter().any(|(name, _)| name == "find") => "GetLayerVersionByArn",
        ("GET", []) => "ListLayers",
        ("POST", [_, "versions"]) => "PublishLayerVersion",
        ("GET", [_, "versions"]) => "ListLayerVersions",
        ("GET", [_, "versions", _]) => "GetLayerVersion",
        ("DELETE", [_, "versions", _]) => "DeleteLayerVersion",
        ("GET", [_, "versions", _, "policy"]) => "GetLayerVersionPolicy",
        ("POST", [_, "versions", _, "policy"]) => "AddLayerVersionPermission",
        ("DELETE", [_, "versions", _, "policy", _]) => "RemoveLayerVersionPermission",
        _ => "",
    }
}
