//! What the handlers behind Cloud Control report, by what one does about it. Pure.

use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::from_code;

/// A failed request as an error, in the words of the service behind it.
pub(crate) fn failed(operation: &str, code: &str, message: &str) -> ApplierError {
    let kind = match code {
        "NotFound" => ErrorKind::NotFound,
        "AlreadyExists" | "ResourceConflict" => ErrorKind::Conflict,
        "AccessDenied" | "InvalidCredentials" | "UnauthorizedTaggingOperation" => {
            ErrorKind::Forbidden
        }
        "Throttling" => ErrorKind::Throttled,
        "ServiceInternalError" | "NetworkFailure" | "InternalFailure" => ErrorKind::Unavailable,
        "ServiceTimeout" | "NotStabilized" => ErrorKind::Timeout,
        _ => ErrorKind::Invalid,
    };
    let text = if message.is_empty() {
        format!("{code} ({operation})")
    } else {
        format!("{code}: {message} ({operation})")
    };
    let error = ApplierError::new(kind, text);
    match code {
        "ResourceConflict" => error.retryable(true),
        "NotUpdatable" => error.help(REPLACE),
        "ServiceLimitExceeded" => {
            error.help("raise the quota in Service Quotas, or remove what is no longer used")
        }
        "UnauthorizedTaggingOperation" => error.help(
            "give the credentials the permission to tag this type: Tidegate marks by tags what it manages",
        ),
        "AccessDenied" => error.help(
            "give the credentials that Tidegate uses the permission that AWS names, or use others",
        ),
        _ => error,
    }
}

const REPLACE: &str = "the service cannot change this in place: let the resource be replaced \
                       (`argocd.argoproj.io/sync-options: Replace=true` in its Metadata), or take the change back";

/// A refusal of Cloud Control itself.
pub(crate) fn refused(error: ApplierError, code: Option<&str>) -> ApplierError {
    match code {
        // Another request is at the same resource.
        Some("ConcurrentOperationException") => error.retryable(true),
        Some("NotUpdatableException") => error.help(REPLACE),
        Some("UnsupportedActionException" | "TypeNotFoundException") => {
            let message = error.message.clone();
            ApplierError::new(ErrorKind::Invalid, message).help(
                "take the resource out, or deploy it by CloudFormation and name it by its ARN",
            )
        }
        Some("HandlerInternalFailureException" | "NetworkFailureException") => {
            ApplierError::new(ErrorKind::Unavailable, error.message)
        }
        Some("NotStabilizedException") => ApplierError::new(ErrorKind::Timeout, error.message),
        Some("InvalidCredentialsException") => {
            ApplierError::new(ErrorKind::Forbidden, error.message)
        }
        _ => error,
    }
}

/// A type that nobody can provision for us.
pub(crate) fn unsupported(resource_type: &str) -> ApplierError {
    from_code(
        "Cloud Control",
        "UnsupportedAction",
        &format!("{resource_type} cannot be provisioned through Cloud Control, and Tidegate has no handler of its own for it"),
    )
    .help("take the resource out, or deploy it by CloudFormation and name it by its ARN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handler_errors_say_whether_trying_again_helps() {
        let check = |code: &str, kind: ErrorKind, retryable: bool| {
            let error = failed("CreateResource", code, "words");
            assert_eq!((error.kind, error.retryable), (kind, retryable), "{code}");
            assert!(error.message.contains("words"));
        };
        check("Throttling", ErrorKind::Throttled, true);
        check("NotStabilized", ErrorKind::Timeout, true);
        check("ResourceConflict", ErrorKind::Conflict, true);
        check("AlreadyExists", ErrorKind::Conflict, false);
        check("InvalidRequest", ErrorKind::Invalid, false);
        check("NotUpdatable", ErrorKind::Invalid, false);
        check("AccessDenied", ErrorKind::Forbidden, false);
    }
}
