//! Versions of functions and the aliases that follow them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_yaml::Node;

use super::context::{Composer, Context, Function, is_truthy};
use super::names;

/// What tells one state of a function's code from another.
#[derive(Debug)]
pub(crate) struct Digests {
    /// The SHA-256 of the code: base64 for an archive, hexadecimal for an image; none for an object
    /// in S3.
    pub(crate) code: Option<String>,
    /// `Code` of the function.
    pub(crate) location: Value,
    /// Whether the code is a container image.
    pub(crate) is_image: bool,
}

/// Whether a function gets a version.
pub(crate) fn is_wanted(context: &Context<'_>, function: &Function) -> bool {
    is_kept(context, function)
        || function.setting("provisionedConcurrency").is_some()
        || function.setting("snapStart").is_some()
}

/// Whether a function's versions are kept when the next one is published.
fn is_kept(context: &Context<'_>, function: &Function) -> bool {
    let is_set = |node: &&Node| node.value != tidegate_yaml::Value::Null;
    let wish = function
        .settings
        .get("versionFunction")
        .filter(is_set)
        .or_else(|| context.provider.get("versionFunctions").filter(is_set));
    function.setting("durableConfig").is_some() || wish.is_none_or(is_truthy)
}

/// Adds the version and the alias of a function.
pub(crate) fn compile(
    context: &Context<'_>,
    function: &Function,
    digests: &Digests,
    template: &mut Composer,
) {
    if !is_wanted(context, function) {
        return;
    }
    let has_both = function.setting("provisionedConcurrency").is_some()
        && function.setting("snapStart").is_some();
    if has_both {
        let message = format!(
            "Functions with enabled SnapStart does not support provisioned concurrency. Please remove at least one of the settings on function \"{}\".",
            function.key
        );
        let place = context.place_of(function.at);
        template.error("TG1507", message, place, "remove one of the settings");
        return;
    }
    let id = names::version(&function.key, &digest(function, digests, template));
    let mut properties = json!({"FunctionName": {"Ref": function.logical_id}});
    if let Some(code) = &digests.code {
        properties["CodeSha256"] = Value::from(code.as_str());
    }
    if let Some(description) = function.setting("description") {
        properties["Description"] = description.to_json();
    }
    let mut version = json!({"Type": "AWS::Lambda::Version", "Properties": properties});
    if is_kept(context, function) {
        version["DeletionPolicy"] = Value::from("Retain");
    }
    template.resource(id.as_str(), function.conditional(version), function.at);
    let output = json!({"Description": "Current Lambda function version", "Value": {"Ref": id}});
    template.output(
        format!("{}QualifiedArn", function.logical_id),
        function.conditional(output),
    );
    let Some(alias) = &function.alias else { return };
    let mut properties = json!({
        "FunctionName": {"Ref": function.logical_id},
        "FunctionVersion": {"Fn::GetAtt": [id, "Version"]},
        "Name": alias.name,
    });
    if let Some(count) = function.setting("provisionedConcurrency") {
        properties["ProvisionedConcurrencyConfig"] =
            json!({"ProvisionedConcurrentExecutions": count.to_json()});
    }
    let resource = json!({
        "Type": "AWS::Lambda::Alias",
        "Properties": properties,
        "DependsOn": function.logical_id,
    });
    template.resource(
        alias.logical_id.as_str(),
        function.conditional(resource),
        function.at,
    );
}

/// A digest of the code, the layers and the settings: with any of them, the version is another.
fn digest(function: &Function, digests: &Digests, template: &Composer) -> String {
    let resource = template.resources.get(&function.logical_id);
    let properties = resource.and_then(|resource| resource.get("Properties"));
    let mut properties = properties.cloned().unwrap_or_default();
    let layers = properties.get("Layers").and_then(Value::as_array);
    let layers: Vec<Value> = layers
        .into_iter()
        .flatten()
        .filter_map(|layer| {
            let id = layer.get("Ref")?.as_str()?;
            let layer = template.resources.get(id)?;
            Some(json!({"ref": id, "properties": layer.get("Properties")}))
        })
        .collect();
    if let Some(properties) = properties.as_object_mut() {
        if !digests.is_image {
            properties.remove("Code");
        }
        properties.remove("ReservedConcurrentExecutions");
        properties.remove("Tags");
        properties.insert("layerConfigurations".to_owned(), Value::Array(layers));
    }
    let mut hash = Sha256::new();
    match &digests.code {
        Some(code) => hash.update(code),
        None => hash.update(digests.location.to_string()),
    }
    hash.update(properties.to_string());
    STANDARD.encode(hash.finalize())
}
