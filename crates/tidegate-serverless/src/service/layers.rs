//! Layers of a service: code that its functions share.
//!
//! Must not know: which functions use them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};
use tidegate_yaml::{Key, Node};

use super::context::{Composer, Context, entries, is_truthy, items};
use super::events::script;
use super::names;
use super::package::{Code, Packer};

/// Adds what they make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let mut packer = Packer::default();
    for (key, layer) in entries(context.root.get("layers")) {
        if layer.value == tidegate_yaml::Value::Null {
            continue;
        }
        if let Some(code) = packer.layer(context, &key.text, layer, template) {
            add(key, layer, &code, template);
        }
    }
}

fn truthy<'n>(layer: &'n Node, key: &str) -> Option<&'n Node> {
    layer.get(key).filter(|node| is_truthy(node))
}

fn add(key: &Key, layer: &Node, code: &Code, template: &mut Composer) {
    let mut properties = Map::new();
    let name = truthy(layer, "name").map_or_else(|| Value::from(&*key.text), Node::to_json);
    properties.insert("LayerName".to_owned(), name);
    for (setting, property) in [
        ("description", "Description"),
        ("licenseInfo", "LicenseInfo"),
        ("compatibleRuntimes", "CompatibleRuntimes"),
        ("compatibleArchitectures", "CompatibleArchitectures"),
    ] {
        if let Some(node) = truthy(layer, setting) {
            properties.insert(property.to_owned(), node.to_json());
        }
    }
    let digest = digest(&properties, code);
    properties.insert("Content".to_owned(), code.location.clone());
    let is_kept = truthy(layer, "retain").is_some();
    let suffix = if is_kept { digest.as_str() } else { "" };
    let prefix = names::normalize(&key.text);
    let id = format!("{prefix}LambdaLayer{suffix}");
    let kept = |mut resource: Value| {
        if is_kept {
            resource["DeletionPolicy"] = Value::from("Retain");
        }
        resource
    };
    let resource = json!({"Type": "AWS::Lambda::LayerVersion", "Properties": properties});
    template.resource(&id, kept(resource), key.span);
    for account in items(layer.get("allowedAccounts")) {
        let account = script::text(account);
        let resource = json!({
            "Type": "AWS::Lambda::LayerVersionPermission",
            "Properties": {
                "Action": "lambda:GetLayerVersion",
                "LayerVersionArn": {"Ref": id},
                "Principal": account,
            },
        });
        let account = account.replacen('*', "Wild", 1);
        let permission = format!("{prefix}{account}LambdaLayerPermission{suffix}");
        template.resource(permission, kept(resource), key.span);
    }
    let object = code.location.get("S3Key").cloned().unwrap_or_default();
    for (what, description, value) in [
        ("QualifiedArn", "version", json!({"Ref": id})),
        ("Hash", "hash", Value::from(digest)),
        ("S3Key", "S3Key", object),
    ] {
        let description = format!("Current Lambda layer {description}");
        let output = json!({"Description": description, "Value": value});
        template.output(format!("{prefix}LambdaLayer{what}"), output);
    }
}

/// What tells one state of a layer from another: its settings and its code.
fn digest(properties: &Map<String, Value>, code: &Code) -> String {
    let mut digest = Sha1::new();
    digest.update(Value::from(properties.clone()).to_string());
    let archive = code
        .sha256
        .as_ref()
        .and_then(|sha256| STANDARD.decode(sha256).ok());
    match archive {
        Some(archive) => digest.update(archive),
        None => digest.update(code.location.to_string()),
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
