//! The `Status` object: every refusal of the API, in the words of the real server (spec kubernetes.md B9).
//! Only wording and codes live here; who refuses and when is decided elsewhere.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::resource::ResourceName;

/// A failed request: HTTP code, machine-readable reason, message for people, and details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// CamelCase reason (`NotFound`, `Conflict`, …); empty when the real server gives none.
    pub reason: String,
    /// The message.
    pub message: String,
    /// What it is about.
    pub details: Option<Box<Details>>,
}

/// What a [`Status`] is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Object name.
    pub name: String,
    /// API group.
    pub group: String,
    /// Resource plural (404, 409) or kind (422).
    pub kind: String,
    /// The object's uid (deletions).
    pub uid: String,
    /// The single reasons.
    pub causes: Vec<Cause>,
    /// After how many seconds a retry makes sense.
    pub retry_after_seconds: Option<u32>,
}

/// One reason of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldManagerConflict`, …
    pub reason: String,
    /// For people.
    pub message: String,
    /// Path of the field, empty for none.
    pub field: String,
}

impl Cause {
    /// A cause about one field.
    pub fn new(
        reason: impl Into<String>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            reason: reason.into(),
            message: message.into(),
            field: field.into(),
        }
    }

    /// `Required value` with an optional hint.
    pub fn required(field: impl Into<String>, hint: &str) -> Self {
        let message = if hint.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {hint}")
        };
        Self::new("FieldValueRequired", field, message)
    }

    /// `Invalid value: VALUE: why`.
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        let shown = show(value);
        Self::new(
            "FieldValueInvalid",
            field,
            format!("Invalid value: {shown}: {why}"),
        )
    }

    /// `Forbidden: why`.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    /// `Duplicate value: VALUE`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(
            "FieldValueDuplicate",
            field,
            format!("Duplicate value: {}", show(value)),
        )
    }

    /// `Unsupported value: VALUE: supported values: "A", "B"`.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| format!("\"{s}\"")).collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            show(value),
            list.join(", ")
        );
        Self::new("FieldValueNotSupported", field, message)
    }
}

/// A value as Go's `field.Error` prints it: strings quoted, scalars bare, the rest as JSON.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

impl Status {
    /// A status without details.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            message: message.into(),
            details: None,
        }
    }

    fn about(mut self, resource: &ResourceName, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: resource.group().to_owned(),
            kind: resource.resource().to_owned(),
            ..Details::default()
        }));
        self
    }

    /// 404: `configmaps "x" not found`.
    pub fn not_found(resource: &ResourceName, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} {name:?} not found")).about(resource, name)
    }

    /// 404 of a resource that is not served at all.
    pub fn unknown_resource() -> Self {
        let mut status = Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        status.details = Some(Box::default());
        status
    }

    /// 409: `configmaps "x" already exists`.
    pub fn already_exists(resource: &ResourceName, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{resource} {name:?} already exists"),
        )
        .about(resource, name)
    }

    /// 409: `Operation cannot be fulfilled on configmaps "x": why`.
    pub fn conflict(resource: &ResourceName, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// 409 of an outdated resourceVersion.
    pub fn modified(resource: &ResourceName, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// 422: `Deployment.apps "d" is invalid: …`; several causes are joined as `[a, b]`.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let lines: Vec<String> = causes
            .iter()
            .map(|cause| match cause.field.as_str() {
                "" => cause.message.clone(),
                field => format!("{field}: {}", cause.message),
            })
            .collect();
        // The message says each thing once, the causes keep every one.
        let mut once: Vec<String> = Vec::new();
        for line in lines {
            if !once.contains(&line) {
                once.push(line);
            }
        }
        let joined = match once.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        let mut status = Self::new(
            422,
            "Invalid",
            format!("{qualified} {name:?} is invalid: {joined}"),
        );
        status.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        }));
        status
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403: `configmaps "x" is forbidden: why`.
    pub fn forbidden(resource: &ResourceName, name: &str, why: &str) -> Self {
        let subject = if name.is_empty() {
            resource.to_string()
        } else {
            format!("{resource} {name:?}")
        };
        Self::new(403, "Forbidden", format!("{subject} is forbidden: {why}")).about(resource, name)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut status = Self::new(405, "MethodNotAllowed", message);
        status.details = Some(Box::default());
        status
    }

    /// 406 with the media types that are served.
    pub fn not_acceptable(types: &[&str]) -> Self {
        let list = types.join(", ");
        Self::new(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {list}"),
        )
    }

    /// 410 of an outdated watch or continue token.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// 415 with the media types that are accepted.
    pub fn unsupported_media(types: &[&str]) -> Self {
        let list = types.join(", ");
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {list}"
            ),
        )
    }

    /// 429 with a hint when to come back.
    pub fn too_many_requests(message: impl Into<String>, retry_after: u32) -> Self {
        let mut status = Self::new(429, "TooManyRequests", message);
        status.details = Some(Box::new(Details {
            retry_after_seconds: Some(retry_after),
            ..Details::default()
        }));
        status
    }

    /// 500: `Internal error occurred: why`.
    pub fn internal(why: impl fmt::Display) -> Self {
        let mut status = Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {why}"),
        );
        status.details = Some(Box::new(Details {
            causes: vec![Cause::new("", "", why.to_string())],
            ..Details::default()
        }));
        status
    }

    /// Adds causes to the details.
    #[must_use]
    pub fn with_causes(mut self, causes: Vec<Cause>) -> Self {
        self.details.get_or_insert_default().causes.extend(causes);
        self
    }

    /// Adds a hint when to come back.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        self
    }

    /// The JSON form that goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut out = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            out["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            out["details"] = details.to_value();
        }
        out
    }

    /// The `Success` status of a deletion.
    pub fn deleted(resource: &ResourceName, name: &str, uid: &str) -> Value {
        let details = Details {
            name: name.to_owned(),
            group: resource.group().to_owned(),
            kind: resource.resource().to_owned(),
            uid: uid.to_owned(),
            ..Details::default()
        };
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details.to_value(),
        })
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        let texts = [
            ("name", &self.name),
            ("group", &self.group),
            ("kind", &self.kind),
            ("uid", &self.uid),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                out.insert(key.to_owned(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            let causes: Vec<Value> = self.causes.iter().map(Cause::to_value).collect();
            out.insert("causes".to_owned(), Value::Array(causes));
        }
        if let Some(seconds) = self.retry_after_seconds {
            out.insert("retryAfterSeconds".to_owned(), json!(seconds));
        }
        Value::Object(out)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        for (key, text) in [
            ("reason", &self.reason),
            ("message", &self.message),
            ("field", &self.field),
        ] {
            if !text.is_empty() {
                out.insert(key.to_owned(), json!(text));
            }
        }
        Value::Object(out)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_the_real_servers() {
        let widgets = ResourceName::new("example.com", "widgets");
        let maps = ResourceName::new("", "configmaps");
        let check = |status: Status, code: u16, message: &str| {
            assert_eq!((status.code, status.message.as_str()), (code, message));
        };
        check(
            Status::not_found(&widgets, "w1"),
            404,
            "widgets.example.com \"w1\" not found",
        );
        check(
            Status::already_exists(&maps, "b1"),
            409,
            "configmaps \"b1\" already exists",
        );
        let one = vec![Cause::required("spec.a", "")];
        check(
            Status::invalid("apps", "Deployment", "d", one.clone()),
            422,
            "Deployment.apps \"d\" is invalid: spec.a: Required value",
        );
        let two = vec![one[0].clone(), Cause::forbidden("spec.b", "no")];
        check(
            Status::invalid("", "Pod", "p", two),
            422,
            "Pod \"p\" is invalid: [spec.a: Required value, spec.b: Forbidden: no]",
        );
    }
}
