//! What `Ref` and `Fn::GetAtt` give of a resource that is not there yet, as far as its name says it. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Aws;

/// What is known of a resource without asking.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// What `Ref` gives.
    pub reference: Option<String>,
    /// What `Fn::GetAtt` gives.
    pub attributes: BTreeMap<String, Value>,
}

/// What the name and the properties of a resource say.
///
/// Nothing is guessed: what depends on a random part, or on properties that are not known, is absent.
pub fn predicted(
    aws: &Aws,
    resource_type: &str,
    name: Option<&str>,
    properties: Option<&Map<String, Value>>,
) -> Known {
    let text = |field: &str| properties?.get(field)?.as_str();
    let mut known = Known::default();
    let Some(name) = name else {
        return known;
    };
    let mut arn_is = |service: &str, resource: String| {
        let arn = aws.arn(service, &resource);
        known.attributes.insert("Arn".to_owned(), json!(arn));
        arn
    };
    let reference = match resource_type {
        "AWS::Lambda::Function" => {
            arn_is("lambda", format!("function:{name}"));
            Some(name.to_owned())
        }
        "AWS::Kinesis::Stream" => {
            arn_is("kinesis", format!("stream/{name}"));
            Some(name.to_owned())
        }
        "AWS::DynamoDB::Table" => {
            arn_is("dynamodb", format!("table/{name}"));
            Some(name.to_owned())
        }
        "AWS::Logs::LogGroup" => {
            arn_is("logs", format!("log-group:{name}:*"));
            Some(name.to_owned())
        }
        "AWS::Events::EventBus" => {
            arn_is("events", format!("event-bus/{name}"));
            known.attributes.insert("Name".to_owned(), json!(name));
            Some(name.to_owned())
        }
        "AWS::KinesisFirehose::DeliveryStream" => {
            arn_is("firehose", format!("deliverystream/{name}"));
            Some(name.to_owned())
        }
        "AWS::SNS::Topic" => {
            known.attributes.insert("TopicName".to_owned(), json!(name));
            let arn = aws.arn("sns", name);
            known.attributes.insert("TopicArn".to_owned(), json!(arn));
            Some(arn)
        }
        "AWS::StepFunctions::StateMachine" => {
            let arn = arn_is("states", format!("stateMachine:{name}"));
            known.attributes.insert("Name".to_owned(), json!(name));
            Some(arn)
        }
        "AWS::SQS::Queue" => {
            arn_is("sqs", name.to_owned());
            known.attributes.insert("QueueName".to_owned(), json!(name));
            let url = queue_url(aws, name);
            if let Some(url) = &url {
                known.attributes.insert("QueueUrl".to_owned(), json!(url));
            }
            url
        }
        "AWS::S3::Bucket" => {
            let arn = format!("arn:{}:s3:::{name}", aws.partition);
            known.attributes.insert("Arn".to_owned(), json!(arn));
            Some(name.to_owned())
        }
        // A path would stand in the ARN: without the properties it is not known to be absent.
        "AWS::IAM::Role" if properties.is_some() => {
            let is_open = properties
                .is_some_and(|found| found.get("Path").is_some_and(|path| !path.is_string()));
            if !is_open {
                let path = text("Path").unwrap_or("/");
                let (partition, account) = (&aws.partition, &aws.account_id);
                let arn = format!("arn:{partition}:iam::{account}:role{path}{name}");
                known.attributes.insert("Arn".to_owned(), json!(arn));
            }
            Some(name.to_owned())
        }
        "AWS::IAM::Role" => Some(name.to_owned()),
        "AWS::IAM::ManagedPolicy" if properties.is_some() => {
            let is_open = properties
                .is_some_and(|found| found.get("Path").is_some_and(|path| !path.is_string()));
            let path = text("Path").unwrap_or("/");
            let (partition, account) = (&aws.partition, &aws.account_id);
            let arn = format!("arn:{partition}:iam::{account}:policy{path}{name}");
            if is_open {
                None
            } else {
                known.attributes.insert("PolicyArn".to_owned(), json!(arn));
                Some(arn)
            }
        }
        _ => None,
    };
    known.reference = reference;
    known
}

/// The URL of a queue; an emulator's own form is not guessed.
fn queue_url(aws: &Aws, name: &str) -> Option<String> {
    if aws.endpoint_url.is_some() {
        return None;
    }
    let suffix = match aws.partition.as_str() {
        "aws" | "aws-us-gov" => "amazonaws.com",
        "aws-cn" => "amazonaws.com.cn",
        _ => return None,
    };
    let (region, account) = (&aws.region, &aws.account_id);
    Some(format!("https://sqs.{region}.{suffix}/{account}/{name}"))
}
