//! Names in the target, where a template leaves them open: the same for the same commit, on every machine.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tidegate_render::AwsEnvironment;

/// How a type is named.
struct Naming {
    resource_type: &'static str,
    property: &'static str,
    max: usize,
    is_lower: bool,
}

const fn naming(resource_type: &'static str, property: &'static str, max: usize) -> Naming {
    Naming {
        resource_type,
        property,
        max,
        is_lower: false,
    }
}

const NAMINGS: &[Naming] = &[
    naming("AWS::Lambda::Function", "FunctionName", 64),
    naming("AWS::Lambda::LayerVersion", "LayerName", 140),
    naming("AWS::IAM::Role", "RoleName", 64),
    naming("AWS::IAM::ManagedPolicy", "ManagedPolicyName", 128),
    naming("AWS::Kinesis::Stream", "Name", 128),
    naming("AWS::SQS::Queue", "QueueName", 80),
    naming("AWS::SNS::Topic", "TopicName", 256),
    naming("AWS::DynamoDB::Table", "TableName", 255),
    naming("AWS::Logs::LogGroup", "LogGroupName", 512),
    naming("AWS::Events::Rule", "Name", 64),
    naming("AWS::Events::EventBus", "Name", 256),
    naming("AWS::Scheduler::Schedule", "Name", 64),
    naming("AWS::StepFunctions::StateMachine", "StateMachineName", 80),
    naming(
        "AWS::KinesisFirehose::DeliveryStream",
        "DeliveryStreamName",
        64,
    ),
    naming("AWS::Glue::Job", "Name", 255),
    naming("AWS::Glue::Crawler", "Name", 255),
    naming("AWS::Glue::Trigger", "Name", 255),
    naming("AWS::CloudWatch::Alarm", "AlarmName", 255),
    naming("AWS::CodeDeploy::Application", "ApplicationName", 100),
    naming(
        "AWS::CodeDeploy::DeploymentGroup",
        "DeploymentGroupName",
        100,
    ),
    naming("AWS::MSK::Cluster", "ClusterName", 64),
    naming("AWS::Kinesis::StreamConsumer", "ConsumerName", 128),
    Naming {
        resource_type: "AWS::S3::Bucket",
        property: "BucketName",
        max: 63,
        is_lower: true,
    },
];

/// Characters of a digest in a name: base 32, so that no case matters.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// How many of them.
const DIGEST: usize = 12;

/// The property that names a resource of a type.
pub fn name_property(resource_type: &str) -> Option<&'static str> {
    let found = NAMINGS
        .iter()
        .find(|found| found.resource_type == resource_type);
    found.map(|found| found.property)
}

/// The name that a resource is given when its template gives none.
pub fn invented(
    resource_type: &str,
    stack: &str,
    logical_id: &str,
    properties: &serde_json::Map<String, Value>,
    environment: &AwsEnvironment,
) -> Option<String> {
    let naming = NAMINGS
        .iter()
        .find(|found| found.resource_type == resource_type)?;
    let hash = Sha256::digest(
        [
            environment.partition(),
            &environment.account_id,
            &environment.region,
            stack,
            logical_id,
        ]
        .join("\n")
        .as_bytes(),
    );
    let digest: String = hash
        .iter()
        .take(DIGEST)
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect();
    let is_fifo = [properties.get("FifoQueue"), properties.get("FifoTopic")]
        .into_iter()
        .flatten()
        .any(|value| matches!(value, Value::Bool(true)) || value.as_str() == Some("true"));
    let suffix = if is_fifo { ".fifo" } else { "" };
    let room = naming.max.saturating_sub(DIGEST + 1 + suffix.len());
    let clean: String = format!("{stack}-{logical_id}")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .collect();
    // Stack and logical id share the room, so that a long stack does not hide the id.
    let clean = if clean.len() <= room {
        clean
    } else {
        let id_part = logical_id.len().min(room / 2);
        let stack_part = room.saturating_sub(id_part + 1).min(stack.len());
        format!(
            "{}-{}",
            clean.get(..stack_part).unwrap_or_default(),
            logical_id.get(..id_part).unwrap_or_default()
        )
    };
    let name = format!("{clean}-{digest}{suffix}");
    Some(if naming.is_lower {
        name.to_lowercase().replace('_', "-")
    } else {
        name
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn names_are_stable_distinct_and_short_enough() {
        let environment = AwsEnvironment::default();
        let name = |ty: &str, stack: &str, id: &str| {
            invented(ty, stack, id, &Map::new(), &environment).unwrap_or_default()
        };
        let function = "AWS::Lambda::Function";
        assert_eq!(name(function, "etl", "F"), name(function, "etl", "F"));
        assert_ne!(name(function, "etl", "F"), name(function, "etl", "G"));
        let long = name(function, &"s".repeat(100), &"L".repeat(100));
        assert!(
            long.len() <= 64 && long.contains("sL") || long.contains("s-L"),
            "{long}"
        );
        let bucket = name("AWS::S3::Bucket", "Etl_Prod", "Raw");
        assert_eq!(bucket, bucket.to_lowercase());
        assert!(!bucket.contains('_'));
        let fifo = Map::from_iter([("FifoQueue".to_owned(), json!(true))]);
        let queue = invented("AWS::SQS::Queue", "etl", "Q", &fifo, &environment);
        assert!(queue.is_some_and(|name| name.ends_with(".fifo")));
        assert_eq!(
            invented(
                "AWS::Lambda::EventSourceMapping",
                "a",
                "b",
                &Map::new(),
                &environment
            ),
            None
        );
    }
}
