//! The managed policies of AWS itself, by name, and the documents of those that functions use.
//!
//! Must not know: roles. Names are public facts; service-linked policies cannot be attached and are left out.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Value, json};

/// Paths and names below `arn:aws:iam::aws:policy/`.
fn names() -> &'static BTreeSet<&'static str> {
    static NAMES: OnceLock<BTreeSet<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| include_str!("catalog.txt").lines().collect())
}

/// The path and name of a policy of AWS in its ARN, when there is such a policy.
pub(super) fn known(arn: &str) -> Option<&'static str> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(":iam::aws:policy/")?;
    let known = ["aws", "aws-cn", "aws-us-gov"].contains(&partition);
    names().get(rest).copied().filter(|_| known)
}

/// Every policy of AWS as path and name.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    names().iter().copied()
}

/// `service-role/A` as path and name: `/service-role/` and `A`.
pub(super) fn split(known: &str) -> (String, &str) {
    match known.rsplit_once('/') {
        Some((path, name)) => (format!("/{path}/"), name),
        None => ("/".to_owned(), known),
    }
}

const LOGS: [&str; 3] = [
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
];

/// The document of a policy of AWS; `None` when the sandbox does not know it.
pub(super) fn document(known: &str) -> Option<Value> {
    let own: &[&str] = match known.rsplit('/').next().unwrap_or("") {
        "AdministratorAccess" => return Some(allow(&["*"])),
        "AmazonS3FullAccess" => return Some(allow(&["s3:*", "s3-object-lambda:*"])),
        "AmazonKinesisFullAccess" => return Some(allow(&["kinesis:*"])),
        "AmazonSQSFullAccess" => return Some(allow(&["sqs:*"])),
        "AWSLambdaRole" => return Some(allow(&["lambda:InvokeFunction"])),
        "AWSLambdaBasicExecutionRole" => &[],
        "AWSLambdaKinesisExecutionRole" => &[
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
            "kinesis:ListStreams",
            "kinesis:SubscribeToShard",
        ],
        "AWSLambdaDynamoDBExecutionRole" => &[
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
        "AWSLambdaSQSQueueExecutionRole" => &[
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
        ],
        "AWSLambdaMSKExecutionRole" => &[
            "kafka:DescribeCluster",
            "kafka:DescribeClusterV2",
            "kafka:GetBootstrapBrokers",
            "ec2:CreateNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeVpcs",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeSubnets",
            "ec2:DescribeSecurityGroups",
        ],
        "AWSXRayDaemonWriteAccess" | "AWSXrayWriteOnlyAccess" => {
            return Some(allow(&[
                "xray:PutTraceSegments",
                "xray:PutTelemetryRecords",
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:GetSamplingStatisticSummaries",
            ]));
        }
        _ => return None,
    };
    let actions: Vec<&str> = own.iter().chain(LOGS.iter()).copied().collect();
    Some(allow(&actions))
}

fn allow(actions: &[&str]) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_of_aws_are_known_by_name() {
        let basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
        assert_eq!(
            known(basic),
            Some("service-role/AWSLambdaBasicExecutionRole")
        );
        assert_eq!(split("service-role/A"), ("/service-role/".to_owned(), "A"));
        assert_eq!(
            known("arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole"),
            None
        );
        assert_eq!(
            known("arn:aws:iam::123456789012:policy/AdministratorAccess"),
            None
        );
        for name in all() {
            if let Some(document) = document(name) {
                let text = document.to_string();
                let checked =
                    super::super::document::check(&text, super::super::document::Use::Grants);
                assert_eq!(checked, Ok(()), "{name}");
            }
        }
    }
}
