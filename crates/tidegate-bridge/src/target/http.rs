//! The event JSON as a POST: any web service can be a function.
//!
//! 2xx: taken. 429, 502, 503, 504 and failing connections: the service is busy or away, no try is spent. 400, 413,
//! 415 and 422: it will never take this batch. Everything else, and a timeout: the function failed.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};

use super::{Delivery, Target, response};
use crate::outcome::{Failure, Outcome};

/// Most bytes of a response that are read.
const RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Most bytes of a response in a message.
const MESSAGE_BYTES_MAX: usize = 1_024;
const CONNECT: Duration = Duration::from_secs(10);

/// A web service that takes event JSON.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    url: String,
    reports_item_failures: bool,
}

/// A client with fixed headers and deadlines.
///
/// # Errors
/// A header is none.
pub(super) fn client(
    headers: &BTreeMap<String, String>,
    timeout: Duration,
) -> Result<Client, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let header = HeaderName::try_from(name.as_str());
        let header = header.map_err(|_| format!("{name:?} is no name of a header"))?;
        let value = HeaderValue::try_from(value.as_str());
        let mut value = value.map_err(|_| format!("the value of header {name} cannot be sent"))?;
        value.set_sensitive(true);
        map.insert(header, value);
    }
    Client::builder()
        .default_headers(map)
        .timeout(timeout)
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| format!("the HTTP client cannot be made: {error}"))
}

impl Http {
    /// A target at `url`.
    ///
    /// # Errors
    /// A header is none.
    pub fn new(
        url: &str,
        headers: &BTreeMap<String, String>,
        timeout: Duration,
        reports_item_failures: bool,
    ) -> Result<Self, String> {
        Ok(Self {
            client: client(headers, timeout)?,
            url: url.to_owned(),
            reports_item_failures,
        })
    }
}

#[async_trait]
impl Target for Http {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let body = delivery.event();
        let request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let answer = match send(request).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let reports = self.reports_item_failures;
        response::answered(delivery, &answer.body, answer.failure, reports)
    }
}

/// A successful answer.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// What a failure in the body is reported with.
    pub(super) failure: Failure,
}

/// Sends a request; every answer that is no success is an outcome.
pub(super) async fn send(request: reqwest::RequestBuilder) -> Result<Answer, Outcome> {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Err(unsent(&error)),
    };
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = match body(response).await {
        Ok(body) => body,
        Err(error) => return Err(unsent(&error)),
    };
    let mut failure = Failure {
        status: Some(status.as_u16()),
        ..Failure::default()
    };
    if status.is_success() {
        return Ok(Answer { body, failure });
    }
    let shown = body.get(..MESSAGE_BYTES_MAX).unwrap_or(&body);
    failure.message = format!("{status}: {}", String::from_utf8_lossy(shown).trim());
    failure.function_error = Some("Unhandled".to_owned());
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Unavailable {
            failure,
            retry_after,
        },
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Outcome::Rejected(failure),
        _ => Outcome::Failed(failure),
    })
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

async fn body(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = RESPONSE_BYTES_MAX.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if room <= chunk.len() {
            break;
        }
    }
    Ok(body)
}

/// No answer came. A timeout is the function's; everything else is the way to it.
fn unsent(error: &reqwest::Error) -> Outcome {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    let failure = Failure {
        message,
        function_error: Some("Unhandled".to_owned()),
        ..Failure::default()
    };
    if error.is_timeout() && !error.is_connect() {
        return Outcome::Failed(failure);
    }
    Outcome::Unavailable {
        failure,
        retry_after: None,
    }
}
