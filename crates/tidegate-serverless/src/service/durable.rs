//! What a durable function cannot have.

use tidegate_yaml::Node;

use super::configuration::Findings;
use super::context::{entries, is_mapping, is_truthy, items};

/// Runtimes that durable functions run on.
const RUNTIMES: &[&str] = &[
    "nodejs22.x",
    "nodejs24.x",
    "python3.13",
    "python3.14",
    "java17",
    "java21",
    "java25",
];
/// Events whose sources wait for the function.
const WAITING: &[&str] = &["sqs", "stream", "msk", "kafka", "activemq", "rabbitmq"];
/// Longest that a source waits, in seconds.
const WAIT_MAX: f64 = 900.0;

/// Tells the settings that do not go together with `durableConfig`.
pub(crate) fn check(root: &Node, findings: &mut Findings<'_>) {
    let default = root
        .at(&["provider", "runtime"])
        .filter(|node| is_truthy(node));
    for (key, function) in entries(root.get("functions")) {
        let Some(durable) = function.get("durableConfig").filter(|node| is_truthy(node)) else {
            continue;
        };
        let setting = |name: &str| function.get(name).filter(|node| is_truthy(node));
        let key = &key.text;
        let runtime = setting("runtime").or(default).and_then(Node::as_str);
        let runtime = runtime.unwrap_or("nodejs24.x");
        let is_image = setting("image").is_some();
        let mut wrong = |message: String| findings.wrong(message, durable);
        if !is_image && !RUNTIMES.contains(&runtime) {
            wrong(format!(
                "Function \"{key}\" cannot configure \"durableConfig\" with unsupported runtime \"{runtime}\". AWS Lambda Durable Functions support nodejs22.x, nodejs24.x, python3.13, python3.14, java17, java21, and java25 managed runtimes, or compatible container images."
            ));
        } else if setting("snapStart").is_some()
            && let Some(reason) = snap_start(function, runtime, is_image)
        {
            wrong(format!(
                "Function \"{key}\" cannot configure both \"durableConfig\" and \"snapStart\" {reason}"
            ));
        }
        if setting("destinations").is_some() {
            wrong(format!(
                "Function \"{key}\" cannot configure \"destinations\" with \"durableConfig\". AWS Lambda Durable Functions do not support Lambda destinations."
            ));
        }
        let events = items(function.get("events"));
        let has = |names: &[&str]| {
            events
                .iter()
                .filter(|event| is_mapping(event))
                .any(|event| names.iter().any(|name| event.get(name).is_some()))
        };
        if has(WAITING) && number(durable.get("executionTimeout")) > WAIT_MAX {
            wrong(format!(
                "Function \"{key}\" uses an event source mapping with \"durableConfig.executionTimeout\" greater than 900 seconds. AWS Lambda event source mappings invoke durable functions synchronously and require durable execution timeout to be 15 minutes or less."
            ));
        }
        if has(&["cloudFront"]) {
            wrong(format!(
                "Function \"{key}\" cannot configure \"durableConfig\" with a \"cloudFront\" event. AWS Lambda@Edge does not support durable functions."
            ));
        }
        let attempts = function.get("maximumRetryAttempts");
        if attempts.is_some_and(|node| node.value != tidegate_yaml::Value::Null) {
            wrong(format!(
                "Function \"{key}\" cannot configure \"maximumRetryAttempts\" with \"durableConfig\". AWS Lambda asynchronous retry attempts do not apply to durable executions."
            ));
        }
    }
}

fn number(node: Option<&Node>) -> f64 {
    match node.map(|node| &node.value) {
        Some(tidegate_yaml::Value::Number(number)) => number.as_f64().unwrap_or_default(),
        _ => 0.0,
    }
}

fn snap_start(function: &Node, runtime: &str, is_image: bool) -> Option<String> {
    if is_image {
        return Some("when packaged as a container image. AWS Lambda SnapStart does not support container images.".to_owned());
    }
    if runtime.starts_with("nodejs") {
        return Some(format!(
            "with runtime \"{runtime}\". Supported durable SnapStart runtimes are python3.13, python3.14, java17, java21, and java25."
        ));
    }
    if function.get("fileSystemConfig").is_some_and(is_truthy) {
        return Some(
            "with \"fileSystemConfig\". AWS Lambda SnapStart does not support EFS.".to_owned(),
        );
    }
    (number(function.get("ephemeralStorageSize")) > 512.0)
        .then(|| "with ephemeralStorageSize greater than 512 MB.".to_owned())
}
