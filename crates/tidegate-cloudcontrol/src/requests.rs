//! Requests of Cloud Control, followed until they are done.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudcontrol::Client;
use aws_sdk_cloudcontrol::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudcontrol::types::{OperationStatus, ProgressEvent};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Deadline, Pause, from_sdk};

use crate::words::{failed, refused};

/// Longest wait for one request; managed Kafka clusters take 40 minutes.
const REQUEST_MAX: Duration = Duration::from_secs(3_600);
/// Longest pause between two questions, whatever the service asks for.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Pauses while the service says nothing of its own.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest wait for another request at the same resource.
const CONCURRENT_MAX: Duration = Duration::from_secs(600);

/// A refusal of Cloud Control, sorted.
pub(crate) fn refusal<E, R>(operation: &str, error: &SdkError<E, R>) -> ApplierError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    refused(from_sdk(operation, error), error.code())
}

/// Begins a request, again and again while another one is at the same resource.
///
/// # Errors
/// The refusal.
pub(crate) async fn begin<F>(mut ask: impl FnMut() -> F) -> Result<ProgressEvent, ApplierError>
where
    F: Future<Output = Result<Option<ProgressEvent>, ApplierError>>,
{
    let deadline = Deadline::after(CONCURRENT_MAX);
    let mut pause = Pause::new(PAUSE_FIRST, PAUSE_MAX);
    loop {
        match ask().await {
            Ok(Some(event)) => return Ok(event),
            Ok(None) => {
                let message = "Cloud Control answered without a request";
                return Err(ApplierError::new(ErrorKind::Internal, message));
            }
            Err(error)
                if error.message.starts_with("ConcurrentOperation") && !deadline.has_passed() => {}
            Err(error) => return Err(error),
        }
        pause.wait().await;
    }
}

/// Follows a request until it is done; gives its last event.
///
/// # Errors
/// What the request failed with, or `Timeout`: the request goes on, and the same attempt meets it again.
pub(crate) async fn done(
    client: &Client,
    operation: &str,
    first: ProgressEvent,
) -> Result<ProgressEvent, ApplierError> {
    let deadline = Deadline::after(REQUEST_MAX);
    let mut pause = Pause::new(PAUSE_FIRST, PAUSE_MAX);
    let mut event = first;
    let token = event.request_token().unwrap_or_default().to_owned();
    loop {
        let message = event.status_message().unwrap_or_default();
        match event.operation_status() {
            Some(OperationStatus::Success) => return Ok(event),
            Some(OperationStatus::Failed) => {
                let code = event.error_code().map_or("Failed", |code| code.as_str());
                return Err(failed(operation, code, message));
            }
            Some(OperationStatus::CancelComplete | OperationStatus::CancelInProgress) => {
                let text = format!("{operation}: somebody cancelled the request {token}");
                return Err(ApplierError::new(ErrorKind::Conflict, text).retryable(true));
            }
            _ if deadline.has_passed() => {
                let text = format!("{operation}: the request {token} is still under way");
                return Err(ApplierError::new(ErrorKind::Timeout, text));
            }
            _ => {}
        }
        match wish(&event) {
            Some(wish) => tokio::time::sleep(wish).await,
            None => pause.wait().await,
        }
        let asked = client
            .get_resource_request_status()
            .request_token(&token)
            .send()
            .await;
        match asked {
            Ok(found) => event = found.progress_event.unwrap_or(event),
            Err(error) => {
                let error = refusal("GetResourceRequestStatus", &error);
                if !error.retryable || deadline.has_passed() {
                    return Err(error);
                }
            }
        }
    }
}

/// How long the service wishes one to wait.
fn wish(event: &ProgressEvent) -> Option<Duration> {
    let at = SystemTime::try_from(*event.retry_after()?).ok()?;
    let wait = at.duration_since(SystemTime::now()).ok()?;
    Some(wait.clamp(Duration::from_millis(20), PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::DateTime;

    use super::*;

    #[test]
    fn wishes_are_bounded() {
        let in_seconds = |seconds: i64| {
            let at = DateTime::from(SystemTime::now()).secs() + seconds;
            let event = ProgressEvent::builder().retry_after(DateTime::from_secs(at));
            wish(&event.build())
        };
        assert_eq!(in_seconds(100_000), Some(PAUSE_MAX));
        assert_eq!(
            in_seconds(-100),
            None,
            "a moment that has passed is no wish"
        );
        assert!(in_seconds(5).is_some_and(|wait| wait <= Duration::from_secs(5)));
        assert_eq!(wish(&ProgressEvent::builder().build()), None);
    }
}
