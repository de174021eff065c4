//! The names of SQS's errors in its two protocols.
//!
//! Must not know: what went wrong.

/// The name of an error in the query protocol (and in `x-amzn-query-error`).
pub(crate) fn query_code(code: &str) -> String {
    match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".into(),
        "QueueNameExists" => "QueueAlreadyExists".into(),
        "QueueDeletedRecently"
        | "PurgeQueueInProgress"
        | "MessageNotInflight"
        | "EmptyBatchRequest"
        | "TooManyEntriesInBatchRequest"
        | "BatchEntryIdsNotDistinct"
        | "BatchRequestTooLong"
        | "InvalidBatchEntryId"
        | "UnsupportedOperation" => format!("AWS.SimpleQueueService.{code}"),
        other => other.to_owned(),
    }
}

/// The `__type` of an error in the JSON protocol.
pub(crate) fn json_type(code: &str) -> String {
    match code {
        "InvalidParameterValue" => "com.amazon.coral.service#InvalidParameterValueException".into(),
        "MissingParameter" => "com.amazon.coral.service#MissingRequiredParameterException".into(),
        "UnknownOperationException" => "com.amazon.coral.service#UnknownOperationException".into(),
        "SerializationException" => "com.amazon.coral.service#SerializationException".into(),
        other => format!("com.amazonaws.sqs#{other}"),
    }
}

/// The refusal of a request that lacks a member, in SQS's words.
pub(crate) fn missing(refusal: crate::refusal::Refusal) -> crate::refusal::Refusal {
    let name = refusal
        .message
        .split_once("Value null at '")
        .and_then(|(_, rest)| rest.split_once('\''))
        .map(|(name, _)| name.to_owned());
    match name {
        Some(name) => {
            let mut characters = name.chars();
            let upper: String = characters
                .next()
                .map(|first| first.to_uppercase().chain(characters).collect())
                .unwrap_or_default();
            crate::refusal::refuse(
                "MissingParameter",
                format!("The request must contain the parameter {upper}."),
            )
        }
        None => refusal,
    }
}
