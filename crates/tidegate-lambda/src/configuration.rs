//! Properties of a function and the SDK's shapes of them. Pure.

use aws_sdk_lambda::types as sdk;
use serde_json::{Map, Value, json};

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array);
    let list = list.into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A whole number, also in quotes.
pub(crate) fn number(value: Option<&Value>) -> Option<i32> {
    match value? {
        Value::Number(number) => number.as_i64().and_then(|n| i32::try_from(n).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(crate) fn environment(value: Option<&Value>) -> sdk::Environment {
    let variables = value
        .and_then(|value| value.get("Variables"))
        .and_then(Value::as_object);
    let variables = variables.into_iter().flatten().map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (name.clone(), text)
    });
    sdk::Environment::builder()
        .set_variables(Some(variables.collect()))
        .build()
}

pub(crate) fn vpc(value: Option<&Value>) -> sdk::VpcConfig {
    let list = |name: &str| Some(texts(value.and_then(|value| value.get(name))));
    let dual = value.and_then(|value| value.get("Ipv6AllowedForDualStack"));
    sdk::VpcConfig::builder()
        .set_subnet_ids(list("SubnetIds"))
        .set_security_group_ids(list("SecurityGroupIds"))
        .set_ipv6_allowed_for_dual_stack(dual.and_then(Value::as_bool))
        .build()
}

pub(crate) fn dead_letters(value: Option<&Value>) -> sdk::DeadLetterConfig {
    let arn = value.and_then(|value| text(value, "TargetArn"));
    sdk::DeadLetterConfig::builder()
        .target_arn(arn.unwrap_or_default())
        .build()
}

pub(crate) fn tracing(value: Option<&Value>) -> sdk::TracingConfig {
    let mode = value.and_then(|value| text(value, "Mode"));
    let mode = mode.unwrap_or_else(|| "PassThrough".to_owned());
    sdk::TracingConfig::builder()
        .mode(sdk::TracingMode::from(mode.as_str()))
        .build()
}

pub(crate) fn layers(value: Option<&Value>) -> Vec<String> {
    texts(value)
}

pub(crate) fn file_systems(value: Option<&Value>) -> Vec<sdk::FileSystemConfig> {
    let list = value.and_then(Value::as_array);
    let made = list.into_iter().flatten().filter_map(|one| {
        sdk::FileSystemConfig::builder()
            .arn(text(one, "Arn")?)
            .local_mount_path(text(one, "LocalMountPath")?)
            .build()
            .ok()
    });
    made.collect()
}

pub(crate) fn image(value: Option<&Value>) -> sdk::ImageConfig {
    let list = |name: &str| {
        let found = value.and_then(|value| value.get(name));
        found.map(|found| texts(Some(found)))
    };
    sdk::ImageConfig::builder()
        .set_entry_point(list("EntryPoint"))
        .set_command(list("Command"))
        .set_working_directory(value.and_then(|value| text(value, "WorkingDirectory")))
        .build()
}

pub(crate) fn storage(value: Option<&Value>) -> Option<sdk::EphemeralStorage> {
    let size = number(value.and_then(|value| value.get("Size"))).unwrap_or(512);
    sdk::EphemeralStorage::builder().size(size).build().ok()
}

pub(crate) fn snap(value: Option<&Value>) -> sdk::SnapStart {
    let apply = value.and_then(|value| text(value, "ApplyOn"));
    let apply = apply.unwrap_or_else(|| "None".to_owned());
    sdk::SnapStart::builder()
        .apply_on(sdk::SnapStartApplyOn::from(apply.as_str()))
        .build()
}

pub(crate) fn logging(value: Option<&Value>) -> Option<sdk::LoggingConfig> {
    let value = value?;
    let format = text(value, "LogFormat");
    let application = text(value, "ApplicationLogLevel");
    let system = text(value, "SystemLogLevel");
    Some(
        sdk::LoggingConfig::builder()
            .set_log_format(format.as_deref().map(sdk::LogFormat::from))
            .set_application_log_level(application.as_deref().map(sdk::ApplicationLogLevel::from))
            .set_system_log_level(system.as_deref().map(sdk::SystemLogLevel::from))
            .set_log_group(text(value, "LogGroup"))
            .build(),
    )
}

pub(crate) fn architectures(value: Option<&Value>) -> Vec<sdk::Architecture> {
    let names = texts(value);
    names
        .iter()
        .map(|name| sdk::Architecture::from(name.as_str()))
        .collect()
}

/// A function's configuration as a template would declare it, defaults left out.
pub(crate) fn declared(found: &sdk::FunctionConfiguration) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut set = |name: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !is_empty {
            properties.insert(name.to_owned(), value);
        }
    };
    set("FunctionName", json!(found.function_name()));
    set("Handler", json!(found.handler()));
    set("Runtime", json!(found.runtime().map(sdk::Runtime::as_str)));
    set("Role", json!(found.role()));
    set("Description", json!(found.description()));
    set("KmsKeyArn", json!(found.kms_key_arn()));
    let memory = found.memory_size().filter(|size| *size != 128);
    set("MemorySize", json!(memory));
    let timeout = found.timeout().filter(|seconds| *seconds != 3);
    set("Timeout", json!(timeout));
    let kind = found.package_type().map(sdk::PackageType::as_str);
    set("PackageType", json!(kind.filter(|kind| *kind != "Zip")));
    let names: Vec<&str> = found
        .architectures()
        .iter()
        .map(sdk::Architecture::as_str)
        .collect();
    if names != ["x86_64"] {
        set("Architectures", json!(names));
    }
    let variables = found
        .environment()
        .and_then(|environment| environment.variables());
    if let Some(variables) = variables.filter(|variables| !variables.is_empty()) {
        set("Environment", json!({"Variables": variables}));
    }
    if let Some(vpc) = found.vpc_config() {
        let (mut subnets, mut groups) =
            (vpc.subnet_ids().to_vec(), vpc.security_group_ids().to_vec());
        subnets.sort();
        groups.sort();
        let mut config = Map::new();
        if !subnets.is_empty() || !groups.is_empty() {
            config.insert("SubnetIds".to_owned(), json!(subnets));
            config.insert("SecurityGroupIds".to_owned(), json!(groups));
        }
        if vpc.ipv6_allowed_for_dual_stack() == Some(true) {
            config.insert("Ipv6AllowedForDualStack".to_owned(), json!(true));
        }
        set("VpcConfig", Value::Object(config));
    }
    let target = found
        .dead_letter_config()
        .and_then(|config| config.target_arn());
    if let Some(target) = target.filter(|target| !target.is_empty()) {
        set("DeadLetterConfig", json!({"TargetArn": target}));
    }
    let mode = found.tracing_config().and_then(|config| config.mode());
    if let Some(mode) = mode.filter(|mode| mode.as_str() != "PassThrough") {
        set("TracingConfig", json!({"Mode": mode.as_str()}));
    }
    let layers: Vec<&str> = found
        .layers()
        .iter()
        .filter_map(|layer| layer.arn())
        .collect();
    set("Layers", json!(layers));
    let mounts: Vec<Value> = found
        .file_system_configs()
        .iter()
        .map(|mount| json!({"Arn": mount.arn(), "LocalMountPath": mount.local_mount_path()}))
        .collect();
    set("FileSystemConfigs", json!(mounts));
    let size = found.ephemeral_storage().map(sdk::EphemeralStorage::size);
    if let Some(size) = size.filter(|size| *size != 512) {
        set("EphemeralStorage", json!({"Size": size}));
    }
    let snap = found.snap_start().and_then(|snap| snap.apply_on());
    if let Some(apply) = snap.filter(|apply| apply.as_str() != "None") {
        set("SnapStart", json!({"ApplyOn": apply.as_str()}));
    }
    if let Some(image) = found
        .image_config_response()
        .and_then(|response| response.image_config())
    {
        let mut config = Map::new();
        if !image.entry_point().is_empty() {
            config.insert("EntryPoint".to_owned(), json!(image.entry_point()));
        }
        if !image.command().is_empty() {
            config.insert("Command".to_owned(), json!(image.command()));
        }
        if let Some(directory) = image.working_directory() {
            config.insert("WorkingDirectory".to_owned(), json!(directory));
        }
        set("ImageConfig", Value::Object(config));
    }
    if let Some(logging) = found.logging_config() {
        set(
            "LoggingConfig",
            logging_declared(logging, found.function_name()),
        );
    }
    properties
}

/// Text format into the group of the function's own name is the default.
fn logging_declared(logging: &sdk::LoggingConfig, function: Option<&str>) -> Value {
    let mut config = Map::new();
    let format = logging.log_format().map(sdk::LogFormat::as_str);
    if let Some(format) = format.filter(|format| *format != "Text") {
        config.insert("LogFormat".to_owned(), json!(format));
        if let Some(level) = logging
            .application_log_level()
            .filter(|l| l.as_str() != "INFO")
        {
            config.insert("ApplicationLogLevel".to_owned(), json!(level.as_str()));
        }
        if let Some(level) = logging.system_log_level().filter(|l| l.as_str() != "INFO") {
            config.insert("SystemLogLevel".to_owned(), json!(level.as_str()));
        }
    }
    let own = format!("/aws/lambda/{}", function.unwrap_or_default());
    if let Some(group) = logging.log_group().filter(|group| *group != own) {
        config.insert("LogGroup".to_owned(), json!(group));
    }
    Value::Object(config)
}

/// Wanted properties in the shapes of [`declared`].
pub(crate) fn normalise(properties: &mut Map<String, Value>) {
    for (name, default) in [("MemorySize", 128), ("Timeout", 3)] {
        if let Some(found) = number(properties.get(name)) {
            properties.insert(name.to_owned(), json!(found));
            if found == default {
                properties.remove(name);
            }
        }
    }
    if let Some(count) = number(properties.get("ReservedConcurrentExecutions")) {
        properties.insert("ReservedConcurrentExecutions".to_owned(), json!(count));
    }
    let defaults = [
        ("PackageType", json!("Zip")),
        ("Architectures", json!(["x86_64"])),
        ("TracingConfig", json!({"Mode": "PassThrough"})),
        ("SnapStart", json!({"ApplyOn": "None"})),
        ("EphemeralStorage", json!({"Size": 512})),
        ("Environment", json!({"Variables": {}})),
        ("RecursiveLoop", json!("Terminate")),
        (
            "RuntimeManagementConfig",
            json!({"UpdateRuntimeOn": "Auto"}),
        ),
    ];
    for (name, default) in defaults {
        if properties.get(name) == Some(&default) {
            properties.remove(name);
        }
    }
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    properties.retain(|name, value| name == "Code" || !is_empty(value));
    if let Some(Value::Object(variables)) = properties
        .get_mut("Environment")
        .and_then(|e| e.get_mut("Variables"))
    {
        for value in variables.values_mut() {
            if let Value::Number(_) | Value::Bool(_) = value {
                *value = Value::String(value.to_string());
            }
        }
    }
    if let Some(Value::Object(vpc)) = properties.get_mut("VpcConfig") {
        for list in ["SubnetIds", "SecurityGroupIds"] {
            if let Some(Value::Array(items)) = vpc.get_mut(list) {
                items.sort_by_key(Value::to_string);
            }
        }
        vpc.retain(|name, value| name != "Ipv6AllowedForDualStack" || *value == json!(true));
        let is_nowhere = vpc.values().all(is_empty);
        if is_nowhere {
            properties.remove("VpcConfig");
        }
    }
    if let Some(Value::Object(logging)) = properties.get_mut("LoggingConfig") {
        if logging.get("LogFormat") == Some(&json!("Text")) {
            logging.remove("LogFormat");
        }
        for level in ["ApplicationLogLevel", "SystemLogLevel"] {
            if logging.get(level) == Some(&json!("INFO")) {
                logging.remove(level);
            }
        }
        if logging.is_empty() {
            properties.remove("LoggingConfig");
        }
    }
    if let Some(Value::Object(code)) = properties.get_mut("Code") {
        // The size is known from the digest; the target does not show it.
        if let Some(Value::Object(artifact)) = code.get_mut("Artifact") {
            artifact.remove("Size");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_and_what_is_read_have_one_shape() {
        let found = sdk::FunctionConfiguration::builder()
            .function_name("f")
            .handler("a.h")
            .runtime(sdk::Runtime::Python312)
            .role("arn:r")
            .memory_size(256)
            .timeout(3)
            .architectures(sdk::Architecture::X8664)
            .environment(
                sdk::EnvironmentResponse::builder()
                    .variables("N", "1")
                    .build(),
            )
            .build();
        let mut wanted = json!({"FunctionName": "f", "Handler": "a.h", "Runtime": "python3.12", "Role": "arn:r",
            "MemorySize": "256", "Timeout": 3, "Architectures": ["x86_64"], "Layers": [],
            "Environment": {"Variables": {"N": 1}}, "TracingConfig": {"Mode": "PassThrough"}});
        let wanted = wanted.as_object_mut().expect("a map");
        normalise(wanted);
        assert_eq!(*wanted, declared(&found));
    }
}
