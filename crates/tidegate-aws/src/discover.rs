//! Finding resources by the tags of their mark.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidegate_applier::ApplierError;

use crate::{Lookup, Mark};

/// Finds resources by tag.
#[async_trait]
pub trait Discovery: Send + Sync + std::fmt::Debug {
    /// Everything that bears an application's mark.
    ///
    /// # Errors
    /// It cannot be listed whole.
    async fn marked(&self, application: &str) -> Result<Vec<Lookup>, ApplierError>;
}

/// Types by the ARN's service and the first word of its resource; the rest of it is the name.
const BY_ARN: &[(&str, &str, &str)] = &[
    ("lambda", "function:", "AWS::Lambda::Function"),
    ("kinesis", "stream/", "AWS::Kinesis::Stream"),
    ("dynamodb", "table/", "AWS::DynamoDB::Table"),
    ("logs", "log-group:", "AWS::Logs::LogGroup"),
    ("iam", "role/", "AWS::IAM::Role"),
    ("events", "rule/", "AWS::Events::Rule"),
    ("events", "event-bus/", "AWS::Events::EventBus"),
    (
        "firehose",
        "deliverystream/",
        "AWS::KinesisFirehose::DeliveryStream",
    ),
    ("glue", "job/", "AWS::Glue::Job"),
    ("glue", "crawler/", "AWS::Glue::Crawler"),
    ("cloudwatch", "alarm:", "AWS::CloudWatch::Alarm"),
];

/// Types whose handlers know them by the whole ARN.
const WHOLE_ARN: &[(&str, &str, &str)] = &[
    (
        "states",
        "stateMachine:",
        "AWS::StepFunctions::StateMachine",
    ),
    ("iam", "policy/", "AWS::IAM::ManagedPolicy"),
    ("kafka", "cluster/", "AWS::MSK::Cluster"),
];

/// What a tagged ARN is: none for what has no mark, or is of a type that is not listed.
pub fn lookup_of_arn(arn: &str, tags: &BTreeMap<String, String>) -> Option<Lookup> {
    let mark = Mark::of_tags(tags)?;
    let mut parts = arn.splitn(6, ':');
    let service = parts.nth(2)?;
    let resource = parts.nth(2)?;
    let lookup = |resource_type: &str, id: Option<&str>, name: Option<&str>| {
        Some(Lookup {
            resource_type: resource_type.to_owned(),
            physical_id: id.map(str::to_owned),
            physical_name: name.map(str::to_owned),
            properties: <_>::default(),
            mark: mark.clone(),
        })
    };
    match service {
        "sqs" => return lookup("AWS::SQS::Queue", None, Some(resource)),
        "sns" if !resource.contains(':') => return lookup("AWS::SNS::Topic", None, Some(resource)),
        "s3" => return lookup("AWS::S3::Bucket", None, Some(resource)),
        "lambda" if resource.starts_with("event-source-mapping:") => {
            let id = resource.strip_prefix("event-source-mapping:");
            return lookup("AWS::Lambda::EventSourceMapping", id, None);
        }
        "kinesis" if resource.contains("/consumer/") => {
            return lookup("AWS::Kinesis::StreamConsumer", Some(arn), None);
        }
        _ => {}
    }
    let of = |table: &[(&str, &str, &'static str)]| {
        let mut rows = table.iter().filter(|(of, _, _)| *of == service);
        rows.find_map(|(_, prefix, resource_type)| {
            let name = resource.strip_prefix(prefix)?;
            Some((*resource_type, name.to_owned()))
        })
    };
    if let Some((resource_type, _)) = of(WHOLE_ARN) {
        return lookup(resource_type, Some(arn), None);
    }
    let (resource_type, name) = of(BY_ARN)?;
    let name = match resource_type {
        // A role's path is no part of its name.
        "AWS::IAM::Role" => name.rsplit('/').next().unwrap_or_default(),
        "AWS::Logs::LogGroup" => name.strip_suffix(":*").unwrap_or(&name),
        _ => &name,
    };
    lookup(resource_type, None, Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_read() {
        let mark = Mark {
            application: "a".to_owned(),
            stack: "s".to_owned(),
            logical_id: "L".to_owned(),
            ..Mark::default()
        };
        let check = |arn: &str, expected: Option<(&str, &str)>| {
            let found = lookup_of_arn(arn, &mark.tags());
            let found = found.map(|lookup| {
                let id = lookup.physical_id.or(lookup.physical_name);
                (lookup.resource_type, id.unwrap_or_default())
            });
            let expected = expected.map(|(ty, id)| (ty.to_owned(), id.to_owned()));
            assert_eq!(found, expected, "{arn}");
        };
        check(
            "arn:aws:lambda:eu-west-1:1:function:f",
            Some(("AWS::Lambda::Function", "f")),
        );
        check(
            "arn:aws:lambda:eu-west-1:1:event-source-mapping:u-u",
            Some(("AWS::Lambda::EventSourceMapping", "u-u")),
        );
        check("arn:aws:iam::1:role/path/r", Some(("AWS::IAM::Role", "r")));
        check("arn:aws:sqs:eu-west-1:1:q", Some(("AWS::SQS::Queue", "q")));
        check("arn:aws:s3:::b", Some(("AWS::S3::Bucket", "b")));
        check(
            "arn:aws:states:eu-west-1:1:stateMachine:m",
            Some((
                "AWS::StepFunctions::StateMachine",
                "arn:aws:states:eu-west-1:1:stateMachine:m",
            )),
        );
        check("arn:aws:ec2:eu-west-1:1:vpc/v", None);
        assert_eq!(
            lookup_of_arn("arn:aws:s3:::b", &BTreeMap::new()),
            None,
            "no mark"
        );
    }
}
