//! Lambda's refusals in its own words.
//!
//! Must not know: what is refused.

use serde_json::json;
use tidegate_sandbox_aws::service::{Outgoing, Refusal, refuse};

pub(crate) const INVALID: &str = "InvalidParameterValueException";

/// 400 for a parameter.
pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
    refuse(INVALID, message)
}

/// 400 for what the model forbids.
pub(crate) fn constraint(value: &str, field: &str, rule: &str) -> Refusal {
    refuse(
        "ValidationException",
        format!(
            "1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: {rule}"
        ),
    )
}

/// 404.
pub(crate) fn missing(message: impl Into<String>) -> Refusal {
    refuse("ResourceNotFoundException", message).status(404)
}

/// 409.
pub(crate) fn conflict(message: impl Into<String>) -> Refusal {
    refuse("ResourceConflictException", message).status(409)
}

/// 412 for a revision id that is not the present one.
pub(crate) fn stale(what: &str) -> Refusal {
    refuse(
        "PreconditionFailedException",
        format!(
            "The Revision Id provided does not match the latest Revision Id. Call the {what} API to retrieve the latest Revision Id"
        ),
    )
    .status(412)
}

/// 429 for a function that runs as often as it may.
pub(crate) fn throttled() -> Refusal {
    refuse("TooManyRequestsException", "Rate Exceeded.")
        .status(429)
        .with(
            "Reason",
            json!("ReservedFunctionConcurrentInvocationLimitExceeded"),
        )
}

/// A refusal as Lambda sends it.
pub(crate) fn answer(refusal: &Refusal) -> Outgoing {
    let mut body = refusal.extra.clone();
    body.insert("Type".into(), json!("User"));
    body.insert("Message".into(), json!(refusal.message));
    body.insert("message".into(), json!(refusal.message));
    let text = serde_json::Value::Object(body).to_string();
    Outgoing::new(refusal.status, "application/json", text)
        .header("x-amzn-errortype", refusal.code.clone())
}
