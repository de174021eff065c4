//! Failures of requests in the server's words, and what they mean for an item of a batch.

use std::time::Duration;

use serde::Deserialize;
use tidegate_applier::{ApplierError, ErrorKind};

/// The longest message of a server that is kept; some proxies answer whole pages.
const MAX_MESSAGE: usize = 4096;

/// How one request failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The server answered with an error.
    Refused(Box<Refusal>),
    /// No answer, or not a whole one.
    Network {
        message: String,
        /// Trying again cannot help (a certificate that does not verify).
        permanent: bool,
    },
    /// The deadline passed.
    Deadline { last: String },
    /// The circuit breaker keeps requests from a silent cluster.
    Open { last: String, retry_after: Duration },
    /// Something on this side.
    Local(ApplierError),
}

/// An error answer of the API server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) causes: Vec<Cause>,
    pub(crate) retry_after: Option<Duration>,
    /// The body was a `Status`; otherwise it came from a proxy, or the path is not served.
    pub(crate) is_status: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cause {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) field: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    kind: String,
    reason: Option<String>,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    name: Option<String>,
    kind: Option<String>,
    causes: Option<Vec<Cause>>,
    retry_after_seconds: Option<u64>,
}

impl Refusal {
    /// Reads an error answer; anything that is no `Status` is kept as text.
    pub(crate) fn parse(code: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        match serde_json::from_slice::<Status>(body) {
            Ok(status) if status.kind == "Status" => {
                let details = status.details.unwrap_or_default();
                let asked = details
                    .retry_after_seconds
                    .filter(|s| *s > 0)
                    .map(Duration::from_secs);
                Self {
                    code,
                    reason: status.reason.unwrap_or_default(),
                    message: shorten(status.message.unwrap_or_default()),
                    name: details.name.unwrap_or_default(),
                    kind: details.kind.unwrap_or_default(),
                    causes: details.causes.unwrap_or_default(),
                    retry_after: retry_after.or(asked),
                    is_status: true,
                }
            }
            _ => Self {
                code,
                message: shorten(String::from_utf8_lossy(body).trim().to_owned()),
                retry_after,
                ..Self::default()
            },
        }
    }

    fn has_cause(&self, reason: &str) -> bool {
        self.causes.iter().any(|cause| cause.reason == reason)
    }

    /// `namespaces "x" not found`.
    pub(crate) fn is_namespace_missing(&self) -> bool {
        self.code == 404 && self.kind == "namespaces"
    }

    /// The path is not served: the kind, or its version, is not there.
    pub(crate) fn is_kind_missing(&self) -> bool {
        self.code == 404
            && (!self.is_status
                || self.name.is_empty() && self.message.contains("could not find the requested"))
    }

    /// The object is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code == 404 && !self.is_namespace_missing() && !self.is_kind_missing()
    }

    /// Another application of the same change won the race to create.
    pub(crate) fn is_already_exists(&self) -> bool {
        self.code == 409 && self.reason == "AlreadyExists"
    }

    /// Somebody else owns a field.
    pub(crate) fn is_field_conflict(&self) -> bool {
        self.code == 409 && self.has_cause("FieldManagerConflict")
    }

    /// The object changed since it was read.
    pub(crate) fn is_optimistic(&self) -> bool {
        self.code == 409 && !self.is_already_exists() && !self.is_field_conflict()
    }

    /// The namespace is going, and takes nothing new.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
        self.code == 403
            && (self.has_cause("NamespaceTerminating")
                || self.message.contains("because it is being terminated"))
    }

    /// A field may not change in place.
    pub(crate) fn is_immutable(&self) -> bool {
        if self.code != 422 {
            return false;
        }
        let told = |text: &str| {
            let text = text.to_ascii_lowercase();
            text.contains("immutable")
                || text.contains("may not be changed")
                || text.contains("may not change")
                || text.contains("cannot be changed")
                || text.contains("cannot change")
                || text.contains("forbidden: updates to ")
                || text.contains("may not change fields other than")
        };
        told(&self.message) || self.causes.iter().any(|cause| told(&cause.message))
    }

    /// An internal error that the same request meets again (measured on 1.36: a field outside the
    /// schema in a server-side apply is a 500 without a reason).
    pub(crate) fn is_permanent_internal(&self) -> bool {
        self.code == 500
            && (self.message.contains("failed to create typed patch object") || self.is_too_large())
    }

    /// The object is larger than the store takes.
    pub(crate) fn is_too_large(&self) -> bool {
        self.code == 413 || self.message.contains("etcdserver: request is too large")
    }

    fn error_kind(&self) -> (ErrorKind, bool) {
        match self.code {
            400 | 405 | 413 | 422 => (ErrorKind::Invalid, false),
            401 => (ErrorKind::Forbidden, false),
            403 => (ErrorKind::Forbidden, self.is_namespace_terminating()),
            404 => (ErrorKind::NotFound, false),
            409 => (ErrorKind::Conflict, !self.is_field_conflict()),
            410 => (ErrorKind::Unavailable, true),
            429 => (ErrorKind::Throttled, true),
            500 if self.is_permanent_internal() => (ErrorKind::Invalid, false),
            500 => (ErrorKind::Internal, true),
            502..=504 => (ErrorKind::Unavailable, true),
            _ => (ErrorKind::Internal, false),
        }
    }

    fn help(&self) -> Option<String> {
        if self.code == 401 {
            return Some(
                "the cluster does not accept these credentials: renew the token, certificate or login of the kubeconfig"
                    .to_owned(),
            );
        }
        if self.is_field_conflict() {
            return Some(self.conflict_help());
        }
        if self.is_namespace_terminating() {
            return Some(
                "the namespace is being deleted: wait until it is gone, or see what holds it (kubectl get namespace NAME -o yaml)"
                    .to_owned(),
            );
        }
        if self.is_namespace_missing() {
            return Some(format!(
                "create namespace {:?} first, or set the sync option CreateNamespace=true",
                self.name
            ));
        }
        if self.is_immutable() {
            return Some(
                "the field cannot change in place: the sync options Force=true,Replace=true delete the object and create it anew"
                    .to_owned(),
            );
        }
        if self.is_too_large() {
            return Some("split the object: the store takes about 1.5 MiB".to_owned());
        }
        if self.message.contains("field not declared in schema")
            || self.message.contains("strict decoding error")
        {
            return Some(
                "remove or correct the field, or set the sync option Validate=false".to_owned(),
            );
        }
        if let Some(webhook) = quoted_after(&self.message, "failed calling webhook ") {
            return Some(format!(
                "webhook {webhook:?} of the cluster does not answer: look at its service and pods"
            ));
        }
        if let Some(webhook) = quoted_after(&self.message, "admission webhook ") {
            return Some(format!(
                "webhook {webhook:?} of the cluster refuses it: change the object or the policy"
            ));
        }
        if self.code == 403 && self.message.contains("exceeded quota") {
            return Some("raise the quota of the namespace or ask for less".to_owned());
        }
        permission_help(&self.message).filter(|_| self.code == 403)
    }

    /// Who owns which field.
    fn conflict_help(&self) -> String {
        let mut owners: Vec<String> = self
            .causes
            .iter()
            .filter(|cause| cause.reason == "FieldManagerConflict")
            .map(|cause| {
                let manager = cause
                    .message
                    .strip_prefix("conflict with ")
                    .unwrap_or(&cause.message);
                format!("{manager} owns {}", cause.field)
            })
            .collect();
        owners.sort();
        format!(
            "{}; take the field out of Git, or let Tidegate take it by force",
            owners.join(", ")
        )
    }
}

/// `User "joe" cannot patch resource "deployments" in API group "apps" in the namespace "x"`.
fn permission_help(message: &str) -> Option<String> {
    let user = quoted_after(message, "User ")?;
    let verb = message.split(" cannot ").nth(1)?.split(' ').next()?;
    let resource = quoted_after(message, " resource ")?;
    let group = quoted_after(message, " in API group ").unwrap_or_default();
    let resource = if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    };
    let place = match quoted_after(message, " in the namespace ") {
        Some(namespace) => format!("in namespace {namespace:?} (Role and RoleBinding)"),
        None => "in the whole cluster (ClusterRole and ClusterRoleBinding)".to_owned(),
    };
    Some(format!(
        "grant user {user:?} the verb {verb} on {resource} {place}"
    ))
}

/// The text in double quotes that follows `before`.
fn quoted_after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let rest = text.get(start..)?.strip_prefix('"')?;
    rest.split('"').next()
}

fn shorten(mut text: String) -> String {
    if text.len() > MAX_MESSAGE {
        let cut = (0..=MAX_MESSAGE)
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

impl Failure {
    /// The server's refusal, when it was one.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Failure::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// When the server asked to come back.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(|refusal| refusal.retry_after)
    }

    /// The object (not its kind, not its namespace) is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_not_found)
    }

    /// For messages of a later failure.
    pub(crate) fn words(&self) -> String {
        match self {
            Failure::Refused(refusal) => {
                if refusal.message.is_empty() {
                    format!("HTTP status {}", refusal.code)
                } else {
                    refusal.message.clone()
                }
            }
            Failure::Network { message, .. } => message.clone(),
            Failure::Deadline { last } | Failure::Open { last, .. } => last.clone(),
            Failure::Local(error) => error.message.clone(),
        }
    }

    /// The failure as an item of a batch reports it.
    pub(crate) fn into_error(self) -> ApplierError {
        match self {
            Failure::Refused(refusal) => {
                let (kind, retryable) = refusal.error_kind();
                let message = if refusal.message.is_empty() {
                    format!("the API server answered with HTTP status {}", refusal.code)
                } else {
                    refusal.message.clone()
                };
                let mut error = ApplierError::new(kind, message).retryable(retryable);
                error.help = refusal.help();
                if retryable {
                    error.retry_after = refusal.retry_after;
                }
                error
            }
            Failure::Network { message, permanent } => {
                let error = ApplierError::new(
                    ErrorKind::Unavailable,
                    format!("the API server does not answer: {message}"),
                )
                .retryable(!permanent);
                if permanent {
                    error.help("the server's certificate is not trusted: check certificate-authority and server of the kubeconfig")
                } else {
                    error.help("check that the server of the kubeconfig is up and can be reached from here")
                }
            }
            Failure::Deadline { last } => {
                let message = if last.is_empty() {
                    "the API server did not answer in time".to_owned()
                } else {
                    format!("the API server did not answer in time: {last}")
                };
                ApplierError::new(ErrorKind::Timeout, message)
            }
            Failure::Open { last, retry_after } => ApplierError::new(
                ErrorKind::Unavailable,
                format!("the API server has not answered for a while: {last}"),
            )
            .retry_after(retry_after)
            .help("check that the server of the kubeconfig is up and can be reached from here"),
            Failure::Local(error) => error,
        }
    }
}

impl From<ApplierError> for Failure {
    fn from(error: ApplierError) -> Self {
        Failure::Local(error)
    }
}

impl From<Failure> for ApplierError {
    fn from(failure: Failure) -> Self {
        failure.into_error()
    }
}

/// `Retry-After`: seconds or an HTTP date.
pub(crate) fn retry_after(value: &str, now: jiff::Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(code: u16, body: &serde_json::Value) -> ApplierError {
        Failure::Refused(Box::new(Refusal::parse(
            code,
            None,
            body.to_string().as_bytes(),
        )))
        .into_error()
    }

    #[test]
    fn words_are_kept_and_help_is_given() {
        let check = |code: u16, body: serde_json::Value, kind: ErrorKind, help: Option<&str>| {
            let error = error(code, &body);
            assert_eq!(error.kind, kind, "{body}");
            assert_eq!(error.message, body["message"].as_str().unwrap_or_default());
            match help {
                Some(words) => assert!(
                    error.help.as_deref().unwrap_or_default().contains(words),
                    "{:?} lacks {words:?}",
                    error.help
                ),
                None => assert_eq!(error.help, None),
            }
        };
        check(
            403,
            json!({"kind": "Status", "reason": "Forbidden", "message": "deployments.apps \"web\" is forbidden: User \"joe\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"shop\""}),
            ErrorKind::Forbidden,
            Some("grant user \"joe\" the verb patch on deployments.apps in namespace \"shop\""),
        );
        check(
            403,
            json!({"kind": "Status", "reason": "Forbidden", "message": "namespaces is forbidden: User \"joe\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope"}),
            ErrorKind::Forbidden,
            Some("the verb list on namespaces in the whole cluster"),
        );
        check(
            409,
            json!({"kind": "Status", "reason": "Conflict", "message": "Apply failed with 1 conflict: conflict with \"x\" using v1: .data.a",
                "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"x\" using v1", "field": ".data.a"}]}}),
            ErrorKind::Conflict,
            Some("\"x\" using v1 owns .data.a"),
        );
        check(
            404,
            json!({"kind": "Status", "reason": "NotFound", "message": "namespaces \"shop\" not found", "details": {"name": "shop", "kind": "namespaces"}}),
            ErrorKind::NotFound,
            Some("create namespace \"shop\" first"),
        );
        check(
            422,
            json!({"kind": "Status", "reason": "Invalid", "message": "Job.batch \"a\" is invalid: spec.template: Invalid value: {}: field is immutable"}),
            ErrorKind::Invalid,
            Some("delete the object and create it anew"),
        );
        check(
            500,
            json!({"kind": "Status", "message": "failed to create typed patch object (/w; example.com/v1, Kind=W): .spec.zz: field not declared in schema"}),
            ErrorKind::Invalid,
            Some("Validate=false"),
        );
        check(
            500,
            json!({"kind": "Status", "reason": "InternalError", "message": "Internal error occurred: failed calling webhook \"v.example.com\": Post"}),
            ErrorKind::Internal,
            Some("webhook \"v.example.com\""),
        );
        check(
            422,
            json!({"kind": "Status", "reason": "Invalid", "message": "x"}),
            ErrorKind::Invalid,
            None,
        );
    }

    #[test]
    fn the_three_sorts_of_404() {
        let object = Refusal::parse(404, None, json!({"kind": "Status", "message": "configmaps \"a\" not found", "details": {"name": "a", "kind": "configmaps"}}).to_string().as_bytes());
        assert!(object.is_not_found() && !object.is_kind_missing());
        let kind = Refusal::parse(404, None, b"404 page not found\n");
        assert!(kind.is_kind_missing() && !kind.is_not_found());
        let kind = Refusal::parse(404, None, json!({"kind": "Status", "message": "the server could not find the requested resource", "details": {}}).to_string().as_bytes());
        assert!(kind.is_kind_missing());
    }

    #[test]
    fn retry_after_reads_both_forms() {
        let now: jiff::Timestamp = "1994-11-06T08:49:30Z".parse().expect("a time");
        for (text, expected) in [
            ("5", Some(5)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(
                retry_after(text, now),
                expected.map(Duration::from_secs),
                "{text}"
            );
        }
    }

    #[test]
    fn hostile_bodies_are_cut() {
        let page = "é".repeat(10_000);
        let refusal = Refusal::parse(502, None, page.as_bytes());
        assert!(refusal.message.len() <= MAX_MESSAGE + 4);
        assert!(!refusal.is_status);
    }
}
