//! The door: an HTTP request told apart by service and protocol, answered by the hub, written in the protocol's form.
//!
//! `json`, `query` and `rest` are the protocols, `origin` reads where a request was signed for. Must not know: how services
//! work. A further service joins through [`Service`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;

mod inject;
mod json;
mod origin;
mod query;
mod rest;
mod sqs_query;

use crate::hub::Hub;
use crate::regions::Scope;
use crate::{form, s3};

/// Bytes of a request's body for every service but S3.
const BODY_BYTES: usize = 16 << 20;

/// A request as it came in, its body read.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// `GET`, `POST`…
    pub method: String,
    /// The path as it came, not decoded.
    pub path: String,
    /// The query string as it came.
    pub query: String,
    /// Headers by lowercase name.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
}

impl Incoming {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The parts of the path, decoded.
    pub fn parts(&self) -> Vec<String> {
        self.path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// The parameters of the query string, decoded, in order.
    pub fn parameters(&self) -> Vec<(String, String)> {
        form::pairs(&self.query)
    }
}

/// An answer on its way out.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The HTTP status.
    pub status: u16,
    /// Headers, lowercase names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Outgoing {
    /// An answer with a body of a media type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), content_type.into())],
            body: body.into(),
        }
    }

    /// With another header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A service that reads and writes HTTP itself; asked before those of the hub.
#[async_trait]
pub trait Service: Send + Sync + Debug {
    /// Is a request, signed for `service`, this service's?
    fn takes(&self, service: Option<&str>, request: &Incoming) -> bool;

    /// Answers it.
    async fn answer(&self, scope: &Scope, request: &Incoming) -> Outgoing;

    /// Ends what it started: tasks, processes. Called once, after the last answer.
    async fn shutdown(&self) {}
}

/// The services behind one address.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) hub: Arc<Hub>,
    pub(crate) services: Vec<Arc<dyn Service>>,
}

/// What protocol a request speaks, and with which service.
enum Way {
    Json(&'static str, String),
    Query(String),
    Rest,
    Bucket,
}

impl Door {
    /// Answers a request.
    pub(crate) async fn answer(&self, request: Incoming) -> Outgoing {
        if request.path == inject::PATH {
            return inject::answer(&self.hub.faults, &request);
        }
        let origin = origin::read(&request, &self.hub.options);
        let scope = Scope {
            account: self.hub.options.account.clone(),
            region: origin.region,
            endpoint: origin.endpoint,
            now: self.hub.clock().now(),
        };
        let id = uuid::Uuid::new_v4().to_string();
        let service = origin.service.as_deref();
        let mut answer = match self
            .services
            .iter()
            .find(|one| one.takes(service, &request))
        {
            Some(one) => one.answer(&scope, &request).await,
            None => match way(service, &request) {
                Some(Way::Json(..) | Way::Query(_) | Way::Rest)
                    if request.body.len() > BODY_BYTES =>
                {
                    Outgoing::new(
                        413,
                        "application/json",
                        "{\"__type\":\"RequestEntityTooLarge\"}",
                    )
                }
                Some(Way::Json(service, operation)) => {
                    json::answer(&self.hub, &scope, service, &operation, &request).await
                }
                Some(Way::Query(service)) => {
                    query::answer(&self.hub, &scope, &service, &request, &id).await
                }
                Some(Way::Rest) => rest::answer(&self.hub, &scope, &request).await,
                Some(Way::Bucket) => self.answer_s3(&scope, &request, &id),
                None => unknown(service, &request),
            },
        };
        let name = if service == Some("s3") {
            "x-amz-request-id"
        } else {
            "x-amzn-requestid"
        };
        // An invocation's id is also what its handler sees, so its service sets it.
        if !answer.headers.iter().any(|(known, _)| known == name) {
            answer.headers.push((name.into(), id));
        }
        answer
    }

    /// Ends the services that joined.
    pub(crate) async fn shutdown(&self) {
        for service in &self.services {
            service.shutdown().await;
        }
    }

    fn answer_s3(&self, scope: &Scope, request: &Incoming, id: &str) -> Outgoing {
        let asked = rest::bucket_request(request);
        let answer = match self.hub.call_s3(scope, &asked) {
            Ok(answer) => answer,
            Err(refusal) => s3::error_response(&refusal, &asked, id),
        };
        Outgoing {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        }
    }
}

fn way(service: Option<&str>, request: &Incoming) -> Option<Way> {
    if let Some(target) = request.header("x-amz-target") {
        let (service, operation) = json::target(target)?;
        return Some(Way::Json(service, operation));
    }
    let form = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let action = || {
        request
            .parameters()
            .iter()
            .any(|(name, _)| name == "Action")
    };
    match service {
        Some(service @ ("sqs" | "sns")) if form || action() => Some(Way::Query(service.to_owned())),
        Some("scheduler") => Some(Way::Rest),
        Some("s3" | "s3express") | None => Some(Way::Bucket),
        Some(_) => None,
    }
}

/// The answer to a request for a service that the sandbox lacks.
fn unknown(service: Option<&str>, request: &Incoming) -> Outgoing {
    let service = service.unwrap_or("unknown");
    let what = request.header("x-amz-target").map_or_else(
        || format!("{} {}", request.method, request.path),
        str::to_owned,
    );
    let words = format!("the sandbox has no service {service} ({what})");
    if request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
    {
        let body = form::error("http://sandbox/", "UnknownService", &words, 501, "-");
        return Outgoing::new(501, "text/xml", body);
    }
    let body = serde_json::json!({"__type": "UnknownService", "message": words}).to_string();
    Outgoing::new(501, "application/json", body).header("x-amzn-errortype", "UnknownService")
}

/// The JSON of a body; an empty one is an empty object.
fn read_json(body: &[u8]) -> Result<Value, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(serde_json::json!({}));
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}
