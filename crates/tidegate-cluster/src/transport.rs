//! One request to the API server and its answer: deadline, repeats, concurrency, circuit breaker.
//! What a request means is not known here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use tidegate_applier::{ApplierError, ErrorKind};
use tokio::time::{Instant, sleep, timeout_at};

use crate::breaker::{Admission, Breaker};
use crate::config::{ClusterConfig, chain};
use crate::failure::{Failure, Refusal, retry_after};
use crate::limiter::Limiter;
use crate::retry::{Repeats, RetryPolicy, chance};

/// The largest answer that is taken in; a page of 500 objects of ordinary size is 3 MiB.
pub(crate) const MAX_REPLY: usize = 256 << 20;
/// The largest error answer that is read.
const MAX_ERROR_REPLY: usize = 1 << 20;
/// How long a probe of a silent cluster may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Credentials are renewed at most this often.
const RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// Credentials that end are renewed this many seconds before.
const RENEW_AHEAD: i64 = 60;

/// A request that may be sent several times.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) body: Bytes,
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const APPLY_PATCH: &str = "application/apply-patch+yaml";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            accept: JSON,
            content_type: None,
            if_none_match: None,
            body: Bytes::new(),
        }
    }

    pub(crate) fn write(
        method: Method,
        path: String,
        content_type: &'static str,
        body: &serde_json::Value,
    ) -> Self {
        Self {
            method,
            path,
            content_type: Some(content_type),
            body: Bytes::from(body.to_string()),
            ..Self::get("")
        }
    }

    pub(crate) fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    fn request(&self) -> Result<http::Request<Body>, Failure> {
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(header::ACCEPT, self.accept);
        if let Some(content_type) = self.content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if let Some(etag) = &self.if_none_match {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        request
            .body(Body::from(self.body.clone()))
            .map_err(|error| {
                Failure::Local(ApplierError::new(
                    ErrorKind::Invalid,
                    format!("cannot ask for {:?}: {error}", self.path),
                ))
            })
    }
}

/// A good answer (2xx or 304).
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The answer as JSON.
    pub(crate) fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::Local(ApplierError::new(
                ErrorKind::Internal,
                format!("cannot read the API server's answer: {error}"),
            ))
        })
    }

    /// The texts of the `Warning` headers.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.headers
            .get_all(header::WARNING)
            .iter()
            .filter_map(|value| warning(&String::from_utf8_lossy(value.as_bytes())))
            .collect()
    }
}

/// `299 - "text"` with backslash escapes (RFC 7234 section 5.5).
fn warning(value: &str) -> Option<String> {
    let (_, text) = value.split_once('"')?;
    let mut words = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '\\' => words.push(chars.next()?),
            '"' => return Some(words),
            other => words.push(other),
        }
    }
}

/// All requests to one cluster go through here.
pub(crate) struct Transport {
    client: ArcSwap<kube::Client>,
    /// None: the client was given and cannot be built again.
    config: Option<ClusterConfig>,
    renewed: tokio::sync::Mutex<Option<Instant>>,
    limiter: Limiter,
    breaker: Mutex<Breaker>,
    policy: RetryPolicy,
    attempt_timeout: Duration,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Talks through a client built from `config`.
    pub(crate) async fn connect(config: &ClusterConfig) -> Result<(Self, String), ApplierError> {
        let settings = config.load().await?;
        let url = settings.cluster_url.to_string();
        let client = client(settings)?;
        Ok((Self::new(client, Some(config.clone()), config), url))
    }

    /// Talks through a given client.
    pub(crate) fn with_client(client: kube::Client, config: &ClusterConfig) -> Self {
        Self::new(client, None, config)
    }

    fn new(client: kube::Client, source: Option<ClusterConfig>, config: &ClusterConfig) -> Self {
        Self {
            client: ArcSwap::from_pointee(client),
            config: source,
            renewed: tokio::sync::Mutex::new(None),
            limiter: Limiter::new(),
            breaker: Mutex::new(Breaker::default()),
            policy: config.retry.clone(),
            attempt_timeout: config.attempt_timeout,
        }
    }

    pub(crate) fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Sends a request until it is answered for good or the deadline is near.
    pub(crate) async fn call(&self, call: &Call, deadline: Instant) -> Result<Reply, Failure> {
        let mut repeats = Repeats::default();
        loop {
            self.admit(deadline).await?;
            let failure = match self.attempt(call, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let Some(wait) = repeats.next(&failure, &self.policy, chance()) else {
                return Err(failure);
            };
            if failure.refusal().is_some_and(|refusal| refusal.code == 401) {
                if !self.renew().await {
                    return Err(failure);
                }
                continue;
            }
            if Instant::now() + wait >= deadline {
                return Err(failure);
            }
            tracing::debug!(path = call.path, wait = ?wait, "repeating: {}", failure.words());
            sleep(wait).await;
        }
    }

    /// Opens a stream of lines; the caller bounds its life. Repeats nothing.
    pub(crate) async fn stream(&self, call: &Call, deadline: Instant) -> Result<Body, Failure> {
        self.admit(deadline).await?;
        let mut request = call.request()?;
        // Servers from 1.37 on compress watch streams event by event, which decoders do not follow.
        request.headers_mut().insert(
            header::ACCEPT_ENCODING,
            http::HeaderValue::from_static("identity"),
        );
        let response = timeout_at(deadline, self.send(request))
            .await
            .unwrap_or_else(|_| {
                Err(Failure::Deadline {
                    last: String::new(),
                })
            })
            .inspect_err(|failure| self.note(failure));
        let response = response?;
        self.breaker().answered();
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let failure = timeout_at(deadline, refusal(response)).await;
        Err(failure.unwrap_or_else(|_| Failure::Deadline {
            last: String::new(),
        }))
    }

    async fn attempt(&self, call: &Call, deadline: Instant) -> Result<Reply, Failure> {
        let Ok(permit) = timeout_at(deadline, self.limiter.acquire()).await else {
            return Err(Failure::Deadline {
                last: "too many requests are under way".to_owned(),
            });
        };
        let end = deadline.min(Instant::now() + self.attempt_timeout);
        let result = timeout_at(end, self.exchange(call))
            .await
            .unwrap_or_else(|_| {
                let last = format!("no answer to {} {}", call.method, call.path);
                if end == deadline {
                    Err(Failure::Deadline { last })
                } else {
                    Err(Failure::Network {
                        message: last,
                        permanent: false,
                    })
                }
            });
        let overloaded = match &result {
            Ok(_) => false,
            Err(Failure::Refused(refusal)) => matches!(refusal.code, 429 | 503 | 504),
            Err(Failure::Deadline { .. } | Failure::Network { .. }) => true,
            Err(Failure::Open { .. } | Failure::Local(_)) => false,
        };
        self.limiter.release(permit, overloaded, Instant::now());
        match &result {
            Err(failure) => self.note(failure),
            Ok(_) => self.breaker().answered(),
        }
        result
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the breaker of a failure.
    fn note(&self, failure: &Failure) {
        match failure {
            Failure::Network {
                permanent: false, ..
            }
            | Failure::Deadline { .. } => {
                self.breaker()
                    .silent(&failure.words(), &self.policy, Instant::now());
            }
            // A gateway that speaks for an absent server is silence too.
            Failure::Refused(refusal)
                if matches!(refusal.code, 502..=504) && !refusal.is_status =>
            {
                self.breaker()
                    .silent(&failure.words(), &self.policy, Instant::now());
            }
            Failure::Refused(_) => self.breaker().answered(),
            Failure::Network { .. } | Failure::Open { .. } | Failure::Local(_) => {}
        }
    }

    /// Waits until the circuit breaker lets a request through.
    async fn admit(&self, deadline: Instant) -> Result<(), Failure> {
        loop {
            let now = Instant::now();
            let admission = self.breaker().admit(&self.policy, now);
            match admission {
                Admission::Go => return Ok(()),
                Admission::Probe => match self.probe().await {
                    Ok(()) => self.breaker().answered(),
                    Err(failure) => {
                        self.breaker()
                            .silent(&failure.words(), &self.policy, Instant::now());
                    }
                },
                Admission::Wait(wait) if now + wait < deadline => sleep(wait).await,
                Admission::Wait(wait) => {
                    return Err(Failure::Open {
                        last: "no answer".to_owned(),
                        retry_after: wait,
                    });
                }
                Admission::Refuse { last, retry_after } => {
                    return Err(Failure::Open { last, retry_after });
                }
            }
        }
    }

    async fn probe(&self) -> Result<(), Failure> {
        let end = Instant::now() + PROBE_TIMEOUT;
        match timeout_at(end, self.exchange(&Call::get("/readyz"))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Failure::Refused(refusal))) if refusal.code < 500 => Ok(()),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::Deadline {
                last: "no answer to /readyz".to_owned(),
            }),
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Reply, Failure> {
        let response = self.send(call.request()?).await?;
        let status = response.status();
        if !status.is_success() && status != StatusCode::NOT_MODIFIED {
            return Err(refusal(response).await);
        }
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_REPLY)
            .collect()
            .await
            .map_err(|error| Failure::Network {
                message: chain(error.as_ref()),
                permanent: false,
            })?
            .to_bytes();
        Ok(Reply {
            status,
            headers: parts.headers,
            body,
        })
    }

    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>, Failure> {
        let client = self.client.load_full();
        let soon = jiff::Timestamp::now().as_second() + RENEW_AHEAD;
        let ending = client
            .valid_until()
            .is_some_and(|end| end.as_second() < soon);
        if ending {
            self.renew().await;
        }
        let client = self.client.load_full();
        client.send(request).await.map_err(|error| network(&error))
    }

    /// Reads the credentials anew; false when that cannot help.
    async fn renew(&self) -> bool {
        let Some(config) = &self.config else {
            return false;
        };
        let mut renewed = self.renewed.lock().await;
        if renewed.is_some_and(|at| at.elapsed() < RENEW_INTERVAL) {
            return true;
        }
        *renewed = Some(Instant::now());
        let fresh = async { client(config.load().await?) }.await;
        match fresh {
            Ok(fresh) => {
                self.client.store(Arc::new(fresh));
                true
            }
            Err(error) => {
                tracing::warn!("cannot renew the credentials: {error}");
                false
            }
        }
    }
}

fn client(settings: kube::Config) -> Result<kube::Client, ApplierError> {
    // Another part of the program may have chosen a provider; the first choice holds.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    kube::Client::try_from(settings).map_err(|error| {
        ApplierError::new(
            ErrorKind::Invalid,
            format!("cannot set up the connection: {}", chain(&error)),
        )
    })
}

async fn refusal(response: http::Response<Body>) -> Failure {
    let (parts, body) = response.into_parts();
    let wait = parts
        .headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| retry_after(value, jiff::Timestamp::now()));
    let body = Limited::new(body, MAX_ERROR_REPLY)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    Failure::Refused(Box::new(Refusal::parse(parts.status.as_u16(), wait, &body)))
}

fn network(error: &kube::Error) -> Failure {
    let message = chain(error);
    if let kube::Error::Auth(_) = error {
        return Failure::Local(
            ApplierError::new(
                ErrorKind::Forbidden,
                format!("cannot get credentials for the cluster: {message}"),
            )
            .help("run the login command of the kubeconfig's user by hand and see what it says"),
        );
    }
    let permanent = ["invalid peer certificate", "certificate verify failed"]
        .iter()
        .any(|words| message.contains(words));
    Failure::Network { message, permanent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read() {
        for (header, expected) in [
            ("299 - \"v1beta1 is old\"", Some("v1beta1 is old")),
            ("299 - \"say \\\"hi\\\"\"", Some("say \"hi\"")),
            ("299 - plain", None),
            ("299 - \"open", None),
        ] {
            assert_eq!(warning(header).as_deref(), expected, "{header}");
        }
    }
}
