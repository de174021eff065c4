//! Batches that are given up: the document that tells of them, and the queue, topic or bucket it goes to.
//!
//! Must not know: why a batch was given up.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Refusal, refuse};

use super::Poller;
use super::lane::Item;
use crate::mappings::Source;

/// Why a batch is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

/// What the last invocation of the batch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// There was none that ran.
    None,
    /// The function threw, or ran too long, in this version.
    Threw(String),
    /// It answered, and named failures, in this version.
    Named(String),
}

fn stamp(at: Timestamp) -> Value {
    json!(at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// The document, without the payload that only buckets get.
pub(super) fn document(
    poller: &Poller,
    shard: &str,
    items: &[Item],
    reason: Reason,
    last: &Last,
    invocations: u64,
) -> Value {
    let condition = match reason {
        Reason::RetryAttemptsExhausted => "RetryAttemptsExhausted",
        Reason::RecordAgeExceeded => "RecordAgeExceeded",
    };
    let mut document = json!({
        "requestContext": {
            "requestId": uuid::Uuid::new_v4().to_string(),
            "functionArn": poller.function,
            "condition": condition,
            "approximateInvokeCount": invocations,
        },
        "version": "1.0",
        "timestamp": stamp(poller.now()),
    });
    if reason == Reason::RetryAttemptsExhausted {
        let (error, version) = match last {
            Last::None => (json!("Unhandled"), "$LATEST"),
            Last::Threw(version) => (json!("Unhandled"), version.as_str()),
            Last::Named(version) => (Value::Null, version.as_str()),
        };
        document["responseContext"] =
            json!({"statusCode": 200, "executedVersion": version, "functionError": error});
    }
    if let (Some(first), Some(end)) = (items.first(), items.last()) {
        let name = match poller.source {
            Source::Table { .. } => "DDBStreamBatchInfo",
            _ => "KinesisBatchInfo",
        };
        document[name] = json!({
            "shardId": shard,
            "startSequenceNumber": first.sequence,
            "endSequenceNumber": end.sequence,
            "approximateArrivalOfFirstRecord": stamp(first.arrival),
            "approximateArrivalOfLastRecord": stamp(end.arrival),
            "batchSize": items.len(),
            "streamArn": poller.source.arn(),
        });
    }
    document
}

/// Sends a document to where the mapping says; nowhere when it says nothing.
///
/// # Errors
/// The refusal of the service it goes to.
pub(super) fn send(
    poller: &Poller,
    shard: &str,
    mut document: Value,
    items: &[Item],
) -> Result<(), Refusal> {
    let Some(target) = poller.plan.failed.as_deref() else {
        return Ok(());
    };
    let scope = poller.scope(target);
    let neighbours = &poller.neighbours;
    match target.split(':').nth(2).unwrap_or("") {
        "sqs" => {
            let name = target.rsplit(':').next().unwrap_or("");
            let input = json!({"QueueUrl": name, "MessageBody": document.to_string()});
            neighbours
                .call(&scope, "sqs", "SendMessage", &input)
                .map(drop)
        }
        "sns" => {
            let input = json!({"TopicArn": target, "Message": document.to_string()});
            neighbours.call(&scope, "sns", "Publish", &input).map(drop)
        }
        "s3" => {
            let bucket = target.rsplit(':').next().unwrap_or("");
            let records: Value = items.iter().map(|item| item.record.clone()).collect();
            document["payload"] = json!({"Records": records});
            let day = scope.now.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S");
            let key = format!(
                "aws/lambda/{}/{shard}/{day}-{}",
                poller.uuid,
                uuid::Uuid::new_v4()
            );
            neighbours.put_object(&scope, bucket, &key, Bytes::from(document.to_string()))
        }
        _ => Err(refuse(
            "InvalidParameterValueException",
            format!("the sandbox sends no batches to {target}"),
        )),
    }
}
