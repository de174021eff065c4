//! Lambda functions: synchronous invocations.
//!
//! Only what the function itself did counts as a try: its error, or no answer within the longest time that a function may
//! run. Throttling, missing permissions, a function that is not there (yet) and failing connections are the way to it.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::{DisplayErrorContext, ProvideErrorMetadata as _, SdkError};
use aws_sdk_lambda::operation::RequestId as _;
use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use serde_json::Value;
use tidegate_aws::Aws;

use super::{Delivery, Target, response};
use crate::outcome::{Failure, Outcome};

/// Longest invocation: a function runs for 15 minutes at most.
const INVOCATION: Duration = Duration::from_secs(15 * 60 + 30);
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of a function's answer in a message.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// A function.
#[derive(Clone, Debug)]
pub struct Lambda {
    client: Client,
    function: String,
    reports_item_failures: bool,
}

impl Lambda {
    /// The function of that name or ARN, with a version or an alias when the name has one.
    pub fn new(aws: &Aws, function: &str, reports_item_failures: bool) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(INVOCATION)
            .operation_timeout(INVOCATION)
            .read_timeout(INVOCATION)
            .build();
        let config = aws_sdk_lambda::config::Builder::from(&aws.config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(config),
            function: function.to_owned(),
            reports_item_failures,
        }
    }
}

#[async_trait]
impl Target for Lambda {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let body = delivery.event();
        let sent = self
            .client
            .invoke()
            .function_name(&self.function)
            .invocation_type(InvocationType::RequestResponse)
            .payload(Blob::new(body))
            .send()
            .await;
        match sent {
            Ok(output) => answered(delivery, &output, self.reports_item_failures),
            Err(error) => unanswered(&error),
        }
    }
}

fn answered(delivery: &Delivery, output: &InvokeOutput, reports_item_failures: bool) -> Outcome {
    let payload = output.payload().map_or(&[][..], |blob| blob.as_ref());
    let mut failure = Failure {
        status: u16::try_from(output.status_code()).ok(),
        function_error: output.function_error().map(str::to_owned),
        executed_version: output.executed_version().map(str::to_owned),
        request_id: output.request_id().map(str::to_owned),
        message: String::new(),
    };
    if let Some(kind) = output.function_error() {
        failure.message = format!("the function failed ({kind}): {}", error_text(payload));
        return Outcome::Failed(failure);
    }
    response::answered(delivery, payload, failure, reports_item_failures)
}

/// What a failed function says: `errorType: errorMessage`, else its answer as it stands.
fn error_text(payload: &[u8]) -> String {
    if let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(payload)
        && let Some(Value::String(message)) = fields.get("errorMessage")
    {
        return match fields.get("errorType") {
            Some(Value::String(kind)) => format!("{kind}: {message}"),
            _ => message.clone(),
        };
    }
    let shown = payload.get(..MESSAGE_BYTES_MAX).unwrap_or(payload);
    String::from_utf8_lossy(shown).into_owned()
}

fn unanswered(error: &SdkError<InvokeError>) -> Outcome {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let mut failure = Failure {
        status,
        function_error: Some("Unhandled".to_owned()),
        request_id: error.request_id().map(str::to_owned),
        ..Failure::default()
    };
    let Some(service) = error.as_service_error() else {
        failure.message = DisplayErrorContext(error).to_string();
        return match error {
            SdkError::TimeoutError(_) => Outcome::Failed(failure),
            _ => Outcome::Unavailable {
                failure,
                retry_after: None,
            },
        };
    };
    let code = service.code().unwrap_or("an unknown error");
    failure.message = format!("{code}: {}", service.message().unwrap_or_default());
    match service {
        InvokeError::RequestTooLargeException(_)
        | InvokeError::InvalidRequestContentException(_)
        | InvokeError::UnsupportedMediaTypeException(_) => Outcome::Rejected(failure),
        InvokeError::TooManyRequestsException(throttled) => {
            let seconds = throttled.retry_after_seconds();
            Outcome::Unavailable {
                failure,
                retry_after: seconds
                    .and_then(|text| text.parse().ok())
                    .map(Duration::from_secs),
            }
        }
        _ => Outcome::Unavailable {
            failure,
            retry_after: None,
        },
    }
}
