//! What every service's template begins with: the bucket of its deployments.

use serde_json::{Value, json};
use tidegate_yaml::{Node, Span};

use super::context::{Composer, Context, entries, is_mapping, is_truthy, tag_list};

const BUCKET: &str = "ServerlessDeploymentBucket";

/// Adds the frame of the template and the deployment bucket, unless the service names one.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let body = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The AWS CloudFormation template for this Serverless application",
    });
    if let Value::Object(body) = body {
        template.body = body;
    }
    let bucket = context.setting(&["deploymentBucket"]);
    let name = match bucket {
        Some(bucket) if is_mapping(bucket) => bucket.get("name").filter(|name| is_truthy(name)),
        other => other,
    };
    if let Some(name) = name {
        template.output(
            "ServerlessDeploymentBucketName",
            json!({"Value": name.to_json()}),
        );
        return;
    }
    template.output(
        "ServerlessDeploymentBucketName",
        json!({"Value": {"Ref": BUCKET}}),
    );
    let at = bucket.map_or_else(Span::default, |bucket| bucket.span);
    template.resource(BUCKET, bucket_resource(bucket), at);
    let is_open = bucket.and_then(|bucket| bucket.get("skipPolicySetup"));
    if !is_open.is_some_and(is_truthy) {
        template.resource(format!("{BUCKET}Policy"), policy(), at);
    }
}

fn bucket_resource(settings: Option<&Node>) -> Value {
    let setting = |name: &str| settings?.get(name).filter(|node| is_truthy(node));
    let mut properties = json!({
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [
            {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}},
        ]},
    });
    let tags = entries(setting("tags"));
    if !tags.is_empty() {
        let tags = tags.iter().map(|(key, value)| (&*key.text, value));
        properties["Tags"] = tag_list(tags);
    }
    if setting("blockPublicAccess").is_some() {
        properties["PublicAccessBlockConfiguration"] = json!({
            "BlockPublicAcls": true,
            "BlockPublicPolicy": true,
            "IgnorePublicAcls": true,
            "RestrictPublicBuckets": true,
        });
    }
    if setting("versioning").is_some() {
        properties["VersioningConfiguration"] = json!({"Status": "Enabled"});
    }
    json!({"Type": "AWS::S3::Bucket", "Properties": properties})
}

fn policy() -> Value {
    let arn = |rest: &[&str]| {
        let mut parts = vec![
            json!("arn:"),
            json!({"Ref": "AWS::Partition"}),
            json!(":s3:::"),
            json!({"Ref": BUCKET}),
        ];
        parts.extend(rest.iter().map(|part| json!(part)));
        json!({"Fn::Join": ["", parts]})
    };
    json!({
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": BUCKET},
            "PolicyDocument": {"Statement": [{
                "Action": "s3:*",
                "Effect": "Deny",
                "Principal": "*",
                "Resource": [arn(&["/*"]), arn(&[])],
                "Condition": {"Bool": {"aws:SecureTransport": false}},
            }]},
        },
    })
}
