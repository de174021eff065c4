//! AWS's errors, by what one does about them. The message stays AWS's own.

use std::time::Duration;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tidegate_applier::{ApplierError, ErrorKind};

/// An SDK error as an applier's, `Code: message (Operation)`.
///
/// `R` is the SDK's raw response.
pub fn from_sdk<E, R>(operation: &str, error: &SdkError<E, R>) -> ApplierError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match error {
        SdkError::ServiceError(service) => {
            let found = service.err();
            let Some(code) = found.code() else {
                // No answer of the service's own: a proxy's page, or one that cannot be read.
                let text = format!("{operation}: {}", DisplayErrorContext(found));
                return ApplierError::new(ErrorKind::Internal, text);
            };
            from_code(operation, code, found.message().unwrap_or_default())
        }
        SdkError::TimeoutError(_) => ApplierError::new(
            ErrorKind::Timeout,
            format!("{operation}: the deadline passed before AWS answered"),
        ),
        SdkError::DispatchFailure(failure) => {
            let text = format!("{operation}: {}", DisplayErrorContext(error));
            if failure.is_user() {
                ApplierError::new(ErrorKind::Forbidden, text)
                    .help("see that credentials and region are set and valid")
            } else {
                ApplierError::new(ErrorKind::Unavailable, text)
            }
        }
        SdkError::ConstructionFailure(_) => {
            let text = format!("{operation}: {}", DisplayErrorContext(error));
            ApplierError::new(ErrorKind::Invalid, text)
        }
        _ => {
            let text = format!("{operation}: {}", DisplayErrorContext(error));
            ApplierError::new(ErrorKind::Unavailable, text)
        }
    }
}

/// An error by its code, as every AWS service writes it.
pub fn from_code(operation: &str, code: &str, message: &str) -> ApplierError {
    let text = if message.is_empty() {
        format!("{code} ({operation})")
    } else {
        format!("{code}: {message} ({operation})")
    };
    let short = code.rsplit(['.', '#', ':']).next().unwrap_or(code);
    let short = short.strip_suffix("Exception").unwrap_or(short);
    let kind = kind_of(short);
    let error = ApplierError::new(kind, text);
    match (kind, short) {
        (ErrorKind::Throttled, _) => error.retry_after(Duration::from_secs(1)),
        (ErrorKind::Conflict, "ResourceConflict" | "ResourceInUse" | "ConcurrentModification") => {
            error.retryable(true)
        }
        (ErrorKind::Forbidden, "ExpiredToken" | "ExpiredTokenException") => {
            error.help("renew the credentials, for example with `aws sso login`")
        }
        (ErrorKind::Forbidden, _) => error.help(
            "give the credentials that Tidegate uses the permission that AWS names, or use others",
        ),
        (ErrorKind::Invalid, "LimitExceeded" | "CodeStorageExceeded" | "ServiceLimitExceeded") => {
            error.help("raise the quota in Service Quotas, or remove what is no longer used")
        }
        _ => error,
    }
}

/// What sort of failure a code is, without the `Exception` behind it.
fn kind_of(code: &str) -> ErrorKind {
    match code {
        "ResourceNotFound"
        | "NotFound"
        | "NoSuchEntity"
        | "NoSuchBucket"
        | "NoSuchKey"
        | "QueueDoesNotExist"
        | "NonExistentQueue"
        | "NoSuchTagSet"
        | "NoSuchBucketPolicy"
        | "StateMachineDoesNotExist" => ErrorKind::NotFound,
        "Throttling"
        | "ThrottlingException"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "SlowDown"
        | "ProvisionedThroughputExceeded"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete" => ErrorKind::Throttled,
        "ResourceConflict"
        | "ResourceInUse"
        | "ResourceAlreadyExists"
        | "EntityAlreadyExists"
        | "BucketAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "QueueNameExists"
        | "QueueAlreadyExists"
        | "PreconditionFailed"
        | "ConcurrentModification"
        | "ConcurrentOperation"
        | "OperationAborted"
        | "DeleteConflict"
        | "Conflict"
        | "StateMachineAlreadyExists"
        | "AlreadyExists" => ErrorKind::Conflict,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "UnrecognizedClient"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "ExpiredToken"
        | "AuthFailure"
        | "OptInRequired"
        | "AuthorizationError"
        | "InvalidSignature" => ErrorKind::Forbidden,
        "ServiceUnavailable"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServer"
        | "InternalError"
        | "Service"
        | "InternalFailureException" => ErrorKind::Unavailable,
        "RequestTimeout" | "RequestExpired" => ErrorKind::Timeout,
        _ => ErrorKind::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_one_does_about_them() {
        let check = |code: &str, kind: ErrorKind, retryable: bool| {
            let error = from_code("Do", code, "words");
            assert_eq!((error.kind, error.retryable), (kind, retryable), "{code}");
        };
        check("ResourceNotFoundException", ErrorKind::NotFound, false);
        check("NoSuchEntity", ErrorKind::NotFound, false);
        check(
            "AWS.SimpleQueueService.NonExistentQueue",
            ErrorKind::NotFound,
            false,
        );
        check("TooManyRequestsException", ErrorKind::Throttled, true);
        check("ResourceConflictException", ErrorKind::Conflict, true);
        check("PreconditionFailedException", ErrorKind::Conflict, false);
        check("AccessDenied", ErrorKind::Forbidden, false);
        check("ServiceException", ErrorKind::Unavailable, true);
        check("InvalidParameterValueException", ErrorKind::Invalid, false);
    }
}
