//! The JSON protocols: operations by `X-Amz-Target`.
//!
//! Must not know: what operations do.

use serde_json::{Value, json};

use super::{Incoming, Outgoing, read_json};
use crate::hub::Hub;
use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::sqs;

/// Target prefixes and the services behind them.
const TARGETS: [(&str, &str); 11] = [
    ("Kinesis_20131202", "kinesis"),
    ("DynamoDB_20120810", "dynamodb"),
    ("DynamoDBStreams_20120810", "dynamodbstreams"),
    ("AmazonSQS", "sqs"),
    ("AWSEvents", "events"),
    ("AWSStepFunctions", "states"),
    ("secretsmanager", "secretsmanager"),
    ("AmazonSSM", "ssm"),
    ("CloudApiService", "cloudcontrol"),
    ("ResourceGroupsTaggingAPI_20170126", "tagging"),
    ("AmazonEventBridge", "events"),
];

/// The service and operation of a target.
pub(super) fn target(target: &str) -> Option<(&'static str, String)> {
    let (prefix, operation) = target.split_once('.')?;
    let (_, service) = TARGETS.iter().find(|(known, _)| *known == prefix)?;
    Some((service, operation.to_owned()))
}

pub(super) async fn answer(
    hub: &Hub,
    scope: &Scope,
    service: &str,
    operation: &str,
    request: &Incoming,
) -> Outgoing {
    let kind = request
        .header("content-type")
        .filter(|kind| kind.starts_with("application/x-amz-json"))
        .unwrap_or("application/x-amz-json-1.1");
    let done = if request
        .header("content-type")
        .is_some_and(|kind| kind.contains("cbor"))
    {
        Err(refuse(
            "SerializationException",
            "the sandbox speaks JSON, not CBOR",
        ))
    } else {
        match read_json(&request.body) {
            Ok(input) if input.is_object() => hub.call(scope, service, operation, &input).await,
            Ok(_) => Err(refuse(
                "SerializationException",
                "the request is no JSON object",
            )),
            Err(words) => Err(refuse("SerializationException", words)),
        }
    };
    match done {
        Ok(value) => {
            let body = match value {
                Value::Null if service == "kinesis" || service == "events" => String::new(),
                Value::Null => "{}".to_owned(),
                value => value.to_string(),
            };
            finish(service, Outgoing::new(200, kind, body))
        }
        Err(refusal) => finish(service, refused(service, kind, &refusal)),
    }
}

fn refused(service: &str, kind: &str, refusal: &Refusal) -> Outgoing {
    let code = match service {
        "sqs" => sqs::fault::json_type(&refusal.code),
        "dynamodb" | "dynamodbstreams" => match refusal.code.as_str() {
            "ValidationException" | "SerializationException" | "ThrottlingException" => {
                format!("com.amazon.coral.validate#{}", refusal.code)
            }
            code => format!("com.amazonaws.dynamodb.v20120810#{code}"),
        },
        _ => refusal.code.clone(),
    };
    let mut body = json!({"__type": code, "message": refusal.message});
    if let Some(map) = body.as_object_mut() {
        map.extend(refusal.extra.clone());
        if refusal.code == "TransactionCanceledException" {
            map.insert("Message".into(), json!(refusal.message));
        }
    }
    let mut answer = Outgoing::new(refusal.status, kind, body.to_string())
        .header("x-amzn-errortype", refusal.code.clone());
    if service == "sqs" {
        let side = if refusal.status < 500 {
            "Sender"
        } else {
            "Receiver"
        };
        answer = answer.header(
            "x-amzn-query-error",
            format!("{};{side}", sqs::fault::query_code(&refusal.code)),
        );
    }
    answer
}

/// DynamoDB's clients check a checksum of the body.
fn finish(service: &str, answer: Outgoing) -> Outgoing {
    if service.starts_with("dynamodb") {
        let checksum = crc32fast::hash(&answer.body);
        return answer.header("x-amz-crc32", checksum.to_string());
    }
    answer
}
