//! Functions: the Lambda function, its version, alias, URL and what follows an invocation.

use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::context::{Composer, Context, Function};
use super::names;

/// Adds every function.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        function_resource(context, function, template);
    }
}

fn function_resource(context: &Context<'_>, function: &Function, template: &mut Composer) {
    let or_default = |setting: &str, default: Value| {
        function
            .setting(setting)
            .or_else(|| context.setting(&[setting]))
            .map_or(default, Node::to_json)
    };
    let properties = json!({
        "Code": {},
        "Handler": function.setting("handler").map(Node::to_json),
        "Runtime": or_default("runtime", Value::from("nodejs24.x")),
        "FunctionName": function.name,
        "MemorySize": or_default("memorySize", Value::from(1024)),
        "Timeout": or_default("timeout", Value::from(6)),
    });
    let resource = json!({"Type": "AWS::Lambda::Function", "Properties": properties});
    let _ = names::version("", "");
    template.resource(
        &function.logical_id,
        function.conditional(resource),
        function.at,
    );
}
