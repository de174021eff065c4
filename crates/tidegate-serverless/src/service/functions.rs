//! Functions: the Lambda function itself; its version and alias lie in `version`, what is called
//! from outside and what follows in `invocation`.

use serde_json::{Map, Value, json};
use tidegate_yaml::Node;

use super::context::{Composer, Context, Function, entries, is_mapping, items, tag_list};
use super::image::{Image, image};
use super::package::Packer;
use super::version::Digests;
use super::{invocation, names, version};

/// Adds every function, in the order in which the framework does: it decides the order of the
/// role's statements.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let mut packer = Packer::default();
    let is_image = |function: &&Function| function.setting("image").is_some();
    let mut waiting = Vec::new();
    for function in context
        .functions
        .iter()
        .filter(|function| !is_image(function))
    {
        let Some(digests) = of_code(context, function, &mut packer, template) else {
            continue;
        };
        if version::is_wanted(context, function) {
            waiting.push((function, digests));
        } else {
            finish(context, function, &digests, template);
        }
    }
    for function in context.functions.iter().filter(is_image) {
        if let Some(digests) = of_image(context, function, template) {
            finish(context, function, &digests, template);
        }
    }
    for (function, digests) in waiting {
        finish(context, function, &digests, template);
    }
}

/// What is made once the code of a function is known.
fn finish(context: &Context<'_>, function: &Function, digests: &Digests, template: &mut Composer) {
    version::compile(context, function, digests, template);
    logging(context, function, template);
    invocation::url(context, function, template);
    invocation::events(context, function, template);
}

fn of_code(
    context: &Context<'_>,
    function: &Function,
    packer: &mut Packer,
    template: &mut Composer,
) -> Option<Digests> {
    let Some(handler) = function.setting("handler") else {
        let message = format!(
            "Either \"handler\" or \"image\" property needs to be set on function \"{}\"",
            function.key
        );
        template.error(
            "TG1507",
            message,
            context.place_of(function.at),
            "add a handler",
        );
        return None;
    };
    let code = packer.pack(context, function, template)?;
    let mut properties = Map::new();
    properties.insert("Code".to_owned(), code.location.clone());
    properties.insert("Handler".to_owned(), handler.to_json());
    properties.insert("Runtime".to_owned(), Value::from(context.runtime(function)));
    if let Some(management) = runtime_management(context, function) {
        properties.insert("RuntimeManagementConfig".to_owned(), management);
    }
    resource(context, function, properties, template);
    Some(Digests {
        code: code.sha256,
        location: code.location,
        is_image: false,
    })
}

fn of_image(
    context: &Context<'_>,
    function: &Function,
    template: &mut Composer,
) -> Option<Digests> {
    let found = if function.setting("handler").is_some() {
        let key = &function.key;
        Err(format!(
            "Either \"handler\" or \"image\" property (not both) needs to be set on function \"{key}\"."
        ))
    } else {
        image(context, function)
    };
    let Image { uri, digest } = match found {
        Ok(image) => image,
        Err(message) => {
            let node = function.setting("image").unwrap_or(&function.settings);
            let help = "name an image by its digest: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:…`; no image is built on the way";
            template.error("TG1507", message, context.place(node), help);
            return None;
        }
    };
    let mut properties = Map::new();
    let location = json!({"ImageUri": uri});
    properties.insert("Code".to_owned(), location.clone());
    properties.insert("PackageType".to_owned(), Value::from("Image"));
    let mut config = Map::new();
    let image = function.setting("image");
    for (setting, property) in [
        ("command", "Command"),
        ("entryPoint", "EntryPoint"),
        ("workingDirectory", "WorkingDirectory"),
    ] {
        let value = image.and_then(|image| image.get(setting));
        if let Some(value) = value.filter(|value| super::context::is_truthy(value)) {
            config.insert(property.to_owned(), value.to_json());
        }
    }
    if !config.is_empty() {
        properties.insert("ImageConfig".to_owned(), Value::Object(config));
    }
    resource(context, function, properties, template);
    Some(Digests {
        code: Some(digest),
        location,
        is_image: true,
    })
}

fn runtime_management(context: &Context<'_>, function: &Function) -> Option<Value> {
    let mut mode = "auto".to_owned();
    let mut arn = None;
    let levels = [
        context.setting(&["runtimeManagement"]),
        function.setting("runtimeManagement"),
    ];
    for level in levels.into_iter().flatten() {
        let word = level.as_str().or_else(|| level.get("mode")?.as_str());
        mode = word.map_or(mode, str::to_owned);
        arn = level.get("arn").or(arn);
    }
    let update = match mode.as_str() {
        "onFunctionUpdate" => "FunctionUpdate",
        "manual" => "Manual",
        _ => return None,
    };
    let mut config = json!({"UpdateRuntimeOn": update});
    if let ("manual", Some(arn)) = (mode.as_str(), arn) {
        config["RuntimeVersionArn"] = arn.to_json();
    }
    Some(config)
}

/// The function's resource, and what its settings add to the role.
fn resource(
    context: &Context<'_>,
    function: &Function,
    mut properties: Map<String, Value>,
    template: &mut Composer,
) {
    let either = |setting: &str| {
        function
            .setting(setting)
            .or_else(|| context.setting(&[setting]))
    };
    let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
    set("FunctionName", Value::from(function.name.as_str()));
    let memory = either("memorySize").map_or(Value::from(1024), Node::to_json);
    set("MemorySize", memory);
    let timeout = either("timeout").map_or(Value::from(6), Node::to_json);
    set("Timeout", timeout);
    if let Some(architecture) = either("architecture") {
        set("Architectures", json!([architecture.to_json()]));
    }
    if let Some(description) = function.setting("description") {
        set("Description", description.to_json());
    }
    if function.setting("snapStart").is_some() {
        set("SnapStart", json!({"ApplyOn": "PublishedVersions"}));
    }
    if let Some(tags) = tags(context, function) {
        set("Tags", tags);
    }
    if let Some(size) = function.setting("ephemeralStorageSize") {
        set("EphemeralStorage", json!({"Size": size.to_json()}));
    }
    if let Some(loops) = function.setting("recursiveLoop") {
        set("RecursiveLoop", loops.to_json());
    }
    if let Some(variables) = variables(context, function) {
        set("Environment", json!({"Variables": variables}));
    }
    if let Some(concurrency) = function.settings.get("reservedConcurrency")
        && concurrency.value != tidegate_yaml::Value::Null
    {
        set("ReservedConcurrentExecutions", concurrency.to_json());
    }
    if let Some(layers) = either("layers") {
        set("Layers", layers.to_json());
    }
    if let Some(durable) = function.setting("durableConfig") {
        let mut config = json!({
            "ExecutionTimeout": durable.get("executionTimeout").map(Node::to_json),
        });
        if let Some(days) = durable.get("retentionPeriodInDays") {
            config["RetentionPeriodInDays"] = days.to_json();
        }
        set("DurableConfig", config);
    }
    statements(context, function, &mut properties, template);
    network(context, function, &mut properties, template);
    let mut depends = Vec::new();
    if function.setting("disableLogs").is_none() {
        depends.push(Value::from(names::log_group(&function.key)));
    }
    match function.setting("dependsOn") {
        Some(list) if !items(Some(list)).is_empty() => {
            depends.extend(items(Some(list)).iter().map(Node::to_json));
        }
        Some(one) => depends.push(one.to_json()),
        None => {}
    }
    role(context, function, &mut properties, &mut depends);
    let mut resource = json!({"Type": "AWS::Lambda::Function", "Properties": properties});
    if !depends.is_empty() {
        resource["DependsOn"] = Value::Array(depends);
    }
    template.resource(
        &function.logical_id,
        function.conditional(resource),
        function.at,
    );
}

fn tags(context: &Context<'_>, function: &Function) -> Option<Value> {
    let levels = [context.setting(&["tags"]), function.setting("tags")];
    levels.iter().flatten().next()?;
    Some(tag_list(merged(&levels).into_iter()))
}

fn variables(context: &Context<'_>, function: &Function) -> Option<Value> {
    let levels = [
        context.setting(&["environment"]),
        function.setting("environment"),
    ];
    levels.iter().flatten().next()?;
    let variables = merged(&levels)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_json()));
    Some(Value::Object(variables.collect()))
}

/// The entries of several mappings: the later ones count, in the place of the earlier ones.
fn merged<'n>(levels: &[Option<&'n Node>]) -> Vec<(&'n str, &'n Node)> {
    let mut all: Vec<(&str, &Node)> = Vec::new();
    for (key, value) in levels.iter().flat_map(|level| entries(*level)) {
        match all.iter_mut().find(|(known, _)| *known == &*key.text) {
            Some(known) => known.1 = value,
            None => all.push((&key.text, value)),
        }
    }
    all
}

/// Settings that the default role needs a right for.
fn statements(
    context: &Context<'_>,
    function: &Function,
    properties: &mut Map<String, Value>,
    template: &mut Composer,
) {
    if let Some(target) = function.setting("onError") {
        properties.insert(
            "DeadLetterConfig".to_owned(),
            json!({"TargetArn": target.to_json()}),
        );
        if let Some(arn) = target.as_str() {
            template.statement(json!({
                "Effect": "Allow", "Action": ["sns:Publish"], "Resource": [arn],
            }));
        }
    }
    let key = function
        .setting("kmsKeyArn")
        .or_else(|| context.setting(&["kmsKeyArn"]));
    if let Some(key) = key {
        properties.insert("KmsKeyArn".to_owned(), key.to_json());
        if let Some(arn) = key.as_str() {
            template.statement_once(json!({
                "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [arn],
            }));
        }
    }
    let tracing = function
        .setting("tracing")
        .or_else(|| context.setting(&["tracing", "lambda"]));
    if let Some(tracing) = tracing {
        let mode = tracing.as_str().unwrap_or("Active");
        properties.insert("TracingConfig".to_owned(), json!({"Mode": mode}));
        template.statement_once(json!({
            "Effect": "Allow",
            "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
            "Resource": ["*"],
        }));
    }
}

/// The network and file system of a function.
fn network(
    context: &Context<'_>,
    function: &Function,
    properties: &mut Map<String, Value>,
    template: &mut Composer,
) {
    let own = function.settings.get("vpc");
    let is_off = own.is_some_and(|own| {
        matches!(
            own.value,
            tidegate_yaml::Value::Null | tidegate_yaml::Value::Bool(false)
        )
    });
    if !is_off {
        let setting = |name: &str| {
            let own = own.and_then(|own| own.get(name));
            own.filter(|node| super::context::is_truthy(node))
                .or_else(|| context.setting(&["vpc", name]))
                .map(Node::to_json)
        };
        if let (Some(groups), Some(subnets)) = (setting("securityGroupIds"), setting("subnetIds")) {
            let mut vpc = json!({"SecurityGroupIds": groups, "SubnetIds": subnets});
            if let Some(allowed) = setting("ipv6AllowedForDualStack") {
                vpc["Ipv6AllowedForDualStack"] = allowed;
            }
            properties.insert("VpcConfig".to_owned(), vpc);
        }
    }
    let Some(config) = function.setting("fileSystemConfig") else {
        return;
    };
    if !properties.contains_key("VpcConfig") {
        let message = format!(
            "Function \"{}\": when using fileSystemConfig, ensure that function has vpc configured on function or provider level",
            function.key
        );
        template.error("TG1507", message, context.place(config), "add `vpc`");
        return;
    }
    let value = |name: &str| config.get(name).map_or(Value::Null, Node::to_json);
    template.statement(json!({
        "Effect": "Allow",
        "Action": ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
        "Resource": [value("arn")],
    }));
    properties.insert(
        "FileSystemConfigs".to_owned(),
        json!([{"Arn": value("arn"), "LocalMountPath": value("localMountPath")}]),
    );
}

/// The role that a function runs as, and what must be there before it.
fn role(
    context: &Context<'_>,
    function: &Function,
    properties: &mut Map<String, Value>,
    depends: &mut Vec<Value>,
) {
    let role = context.custom_role(function);
    let value = match role {
        None => json!({"Fn::GetAtt": [names::ROLE, "Arn"]}),
        Some(role) => match role.as_str() {
            Some(arn) if arn.starts_with("arn:") => Value::from(arn),
            Some(id) => {
                if id != names::ROLE {
                    depends.push(Value::from(id));
                }
                json!({"Fn::GetAtt": [id, "Arn"]})
            }
            None => {
                if is_mapping(role)
                    && let Some(id) = items(role.get("Fn::GetAtt")).first()
                {
                    depends.push(id.to_json());
                }
                role.to_json()
            }
        },
    };
    properties.insert("Role".to_owned(), value);
}

fn logging(context: &Context<'_>, function: &Function, template: &mut Composer) {
    let logs = function
        .setting("logs")
        .or_else(|| context.setting(&["logs", "lambda"]));
    let Some(logs) = logs else { return };
    let mut config = Map::new();
    for (setting, property) in [
        ("applicationLogLevel", "ApplicationLogLevel"),
        ("logFormat", "LogFormat"),
        ("logGroup", "LogGroup"),
        ("systemLogLevel", "SystemLogLevel"),
    ] {
        let value = logs.get(setting);
        if let Some(value) = value.filter(|value| super::context::is_truthy(value)) {
            config.insert(property.to_owned(), value.to_json());
        }
    }
    let resource = template.resources.get_mut(&function.logical_id);
    if let Some(resource) = resource.filter(|_| !config.is_empty()) {
        resource["Properties"]["LoggingConfig"] = Value::Object(config);
    }
}
