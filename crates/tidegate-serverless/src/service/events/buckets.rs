//! S3 buckets that a service makes, with their notifications.
//!
//! Must not know: buckets that are there already (nothing in a template can change them).

use serde_json::{Map, Value, json};
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use super::script;
use crate::service::context::{Composer, Context, Function, entries, is_mapping, items};
use crate::service::names;

/// The pattern of a bucket's name, as the framework's message shows it.
const NAME_PATTERN: &str = r"(?!^(\d{1,3}\.){3}\d{1,3}$)(^(([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])$)";

/// A bucket and who is told of it.
struct Bucket<'c> {
    name: String,
    /// The key in `provider.s3`, when it is set up there.
    key: Option<String>,
    settings: Option<&'c Node>,
    notifications: Vec<Value>,
    functions: Vec<&'c Function>,
    event: &'c Node,
}

impl Bucket<'_> {
    fn reference(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.name)
    }

    fn permission(&self, function: &Function) -> String {
        let prefix = names::normalize(&function.key);
        let bucket = names::alphanumeric(self.reference());
        format!("{prefix}LambdaPermission{bucket}S3")
    }
}

/// Adds what `s3` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let mut buckets = Vec::new();
    for function in &context.functions {
        for event in common::events(function, "s3") {
            notification(context, function, event, &mut buckets, template);
        }
    }
    for bucket in &buckets {
        add(bucket, template);
    }
    for bucket in &buckets {
        for function in &bucket.functions {
            let source = json!({
                "SourceArn": {"Fn::Join": ["", [
                    "arn:", {"Ref": "AWS::Partition"}, format!(":s3:::{}", bucket.name),
                ]]},
                "SourceAccount": {"Ref": "AWS::AccountId"},
            });
            let resource = common::permission(context, function, "s3.amazonaws.com", source);
            template.resource(bucket.permission(function), resource, bucket.event.span);
        }
    }
}

fn notification<'c>(
    context: &'c Context<'_>,
    function: &'c Function,
    event: &'c Node,
    buckets: &mut Vec<Bucket<'c>>,
    template: &mut Composer,
) {
    if truthy(event, "existing").is_some() {
        template.error(
            common::NOT_BUILT,
            format!("function {:?} listens to a bucket that is there already", function.key),
            context.place(event),
            "declare the bucket in `resources` with its NotificationConfiguration and an AWS::Lambda::Permission, or let the service make it: the framework ships a function of its own for this, which is not built here",
        );
        return;
    }
    let reference = if is_mapping(event) {
        given(event, "bucket")
    } else {
        Some(event)
    };
    let Some(reference) = reference else {
        return common::missing(context, template, event, "`bucket`");
    };
    if is_mapping(reference) {
        let message = "When specifying \"s3.bucket\" with CloudFormation intrinsic function, you need to specify that the bucket is existing via \"existing: true\" property.";
        let help = "name the bucket with plain text";
        return common::refuse(context, template, reference, message, help);
    }
    let reference = script::text(reference);
    let settings = context.setting(&["s3"]).and_then(|all| all.get(&reference));
    let name = settings
        .and_then(|settings| truthy(settings, "name"))
        .map_or_else(|| reference.clone(), script::text);
    if !is_bucket_name(&name) {
        let message = format!(
            "{name} - Bucket name must conform to pattern {NAME_PATTERN}. Please check provider.s3.{reference} and/or s3 events of function \"{}\".",
            function.key
        );
        let help = "use lower-case letters, digits, hyphens and dots";
        return common::refuse(context, template, event, message, help);
    }
    let position = buckets.iter().position(|bucket| bucket.name == name);
    let position = position.unwrap_or(buckets.len());
    if position == buckets.len() {
        buckets.push(Bucket {
            name,
            key: None,
            settings: None,
            notifications: Vec::new(),
            functions: Vec::new(),
            event,
        });
    }
    if let Some(bucket) = buckets.get_mut(position) {
        if settings.is_some() {
            bucket.key = Some(reference);
            bucket.settings = settings;
        }
        bucket
            .notifications
            .push(configuration(context, function, event));
        bucket.functions.push(function);
    }
}

fn configuration(context: &Context<'_>, function: &Function, event: &Node) -> Value {
    let kind = text(event, "event").unwrap_or("s3:ObjectCreated:*");
    let mut configuration = json!({"Event": kind, "Function": context.target(function)});
    if let Some(rules) = truthy(event, "rules") {
        let rules = items(Some(rules)).iter().filter_map(|rule| {
            let (name, value) = script::in_order(entries(Some(rule))).into_iter().next()?;
            Some(json!({"Name": name.text, "Value": value.to_json()}))
        });
        let rules: Vec<Value> = rules.collect();
        configuration["Filter"] = json!({"S3Key": {"Rules": rules}});
    }
    configuration
}

/// Whether a bucket may be called so: labels of lower-case letters, digits and hyphens, no address.
fn is_bucket_name(name: &str) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    let is_label = |label: &str| {
        let is_edge = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let bytes = label.as_bytes();
        is_edge(bytes.first())
            && is_edge(bytes.last())
            && bytes
                .iter()
                .all(|byte| is_edge(Some(byte)) || *byte == b'-')
    };
    let is_octet = |label: &&str| {
        (1..=3).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_address = labels.len() == 4 && labels.iter().all(is_octet);
    labels.iter().all(|label| is_label(label)) && !is_address
}

fn add(bucket: &Bucket<'_>, template: &mut Composer) {
    let mut notifications = Map::new();
    notifications.insert(
        "LambdaConfigurations".to_owned(),
        bucket.notifications.clone().into(),
    );
    let mut properties = Properties::default();
    properties.set("BucketName", bucket.name.as_str());
    for (key, value) in entries(bucket.settings) {
        let name = names::upper_first(&key.text);
        match (name.as_str(), value.to_json()) {
            ("Name", _) if &*key.text == "name" => {}
            ("NotificationConfiguration", Value::Object(more)) => notifications.extend(more),
            (name, value) => properties.set(name, value),
        }
    }
    properties.set("NotificationConfiguration", notifications);
    let waits = bucket.functions.iter().flat_map(|function| {
        let alias = function.alias.iter().map(|alias| alias.logical_id.clone());
        [bucket.permission(function)].into_iter().chain(alias)
    });
    let waits: Vec<String> = waits.collect();
    let resource = json!({
        "Type": "AWS::S3::Bucket",
        "Properties": properties.0,
        "DependsOn": waits,
    });
    let id = format!("S3Bucket{}", names::alphanumeric(bucket.reference()));
    template.resource(id, resource, bucket.event.span);
}

#[cfg(test)]
mod tests {
    use super::is_bucket_name;

    #[test]
    fn names_of_buckets() {
        for name in ["a", "my-bucket", "a.b-c.d1", "1.2.3", "1.2.3.4567"] {
            assert!(is_bucket_name(name), "{name}");
        }
        for name in [
            "",
            "A",
            "-a",
            "a-",
            "a..b",
            "a_b",
            "1.2.3.4",
            "192.168.100.200",
        ] {
            assert!(!is_bucket_name(name), "{name}");
        }
    }
}
