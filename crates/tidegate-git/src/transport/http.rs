//! Smart HTTP on reqwest: authorisation, redirects, TLS trust, proxies, and typed failures.
//!
//! It implements gix's `Http` trait, because gix's own backend leaves most of these out. Everything runs on the thread of the call.

mod body;

use std::{
    any::Any,
    fmt, io,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use gix::protocol::transport::{
    Protocol,
    client::blocking_io::{
        Transport,
        http::{GetResponse, Http, PostBodyDataKind, PostResponse, Transport as GitTransport},
    },
};
use reqwest::{
    StatusCode, Url,
    blocking::{Client, ClientBuilder, Response},
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER},
};

use self::body::{Body, Headers, PostBuffer};
use super::Access;
use crate::{
    Credentials, Error, PlainHttpCredentials, Proxy, RemoteOptions,
    call::{Call, lock},
    remote::is_loopback,
};

/// Redirects that one request follows.
const MAX_REDIRECTS: usize = 5;
/// How long an idle connection is kept between polls.
const IDLE: Duration = Duration::from_secs(90);

type GixResult<T> = gix::error::Result<T>;

/// The HTTP clients of one remote, kept between calls for their open connections.
#[derive(Default)]
pub(crate) struct Clients {
    plain: Mutex<Option<Client>>,
    secure: Mutex<Option<Client>>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    fn get(&self, url: &Url, options: &RemoteOptions, call: &Call) -> Result<Client, Error> {
        let secure = url.scheme() == "https";
        let slot = if secure { &self.secure } else { &self.plain };
        let mut slot = lock(slot);
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let direct = url.host_str().is_some_and(is_loopback);
        let client = build(secure, direct, options, call)?;
        *slot = Some(client.clone());
        Ok(client)
    }
}

fn build(
    secure: bool,
    direct: bool,
    options: &RemoteOptions,
    call: &Call,
) -> Result<Client, Error> {
    let wrong = |what: &str, error: reqwest::Error| Error::Unsupported {
        remote: call.remote.clone(),
        reason: format!("{what} cannot be used: {}", with_causes(&error)),
    };
    let mut builder = ClientBuilder::new()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(options.connect_timeout)
        .timeout(options.stall_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(2)
        .tcp_nodelay(true);
    builder = match &options.proxy {
        _ if direct => builder.no_proxy(),
        Proxy::Environment => builder,
        Proxy::Direct => builder.no_proxy(),
        Proxy::Url { url, no_proxy } => {
            let proxy =
                reqwest::Proxy::all(url.as_str()).map_err(|error| wrong("the proxy", error))?;
            builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(no_proxy)))
        }
    };
    if !secure {
        // Without this, the system's authorities would be loaded for nothing.
        builder = builder.tls_certs_only(std::iter::empty());
    } else if options.insecure_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    } else if let Some(bundle) = &options.ca_bundle {
        let certificates = reqwest::Certificate::from_pem_bundle(bundle)
            .map_err(|error| wrong("the CA bundle", error))?;
        if certificates.is_empty() {
            return Err(Error::Unsupported {
                remote: call.remote.clone(),
                reason: "the CA bundle holds no certificate; give PEM text with at least one `BEGIN CERTIFICATE`".to_owned(),
            });
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let (true, Some(identity)) = (secure, &options.client_certificate) {
        let identity = reqwest::Identity::from_pem(&identity.pem)
            .map_err(|error| wrong("the client certificate", error))?;
        builder = builder.identity(identity);
    }
    builder
        .build()
        .map_err(|error| wrong("the TLS settings", error))
}

pub(super) fn connect(
    access: &Access,
    url: &str,
    secure: bool,
    host: &str,
    call: &Arc<Call>,
) -> Result<Box<dyn Transport>, Error> {
    let authorization = authorization(&access.credentials, call)?;
    let exposed = !secure
        && !is_loopback(host)
        && access.options.plain_http_credentials == PlainHttpCredentials::LoopbackOnly;
    if authorization.is_some() && exposed {
        return Err(Error::Unsupported {
            remote: call.remote.clone(),
            reason: "credentials would travel in clear text over http and were not sent; use an https address, or allow plain http \
                     credentials for this repository"
                .to_owned(),
        });
    }
    let wrong = |detail: String| Error::InvalidRemote {
        url: call.remote.clone(),
        reason: detail,
    };
    let home = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
    let gix_url = gix::url::parse(url).map_err(|error| wrong(error.to_string()))?;
    let http = Session {
        clients: Arc::new(SessionClients {
            home: home.clone(),
            first: access.clients.get(&home, &access.options, call)?,
            options: access.options.clone(),
        }),
        authorization,
        call: Arc::clone(call),
        redirected: None,
    };
    Ok(Box::new(GitTransport::new_http(
        http,
        gix_url,
        Protocol::V2,
        false,
    )))
}

fn authorization(credentials: &Credentials, call: &Call) -> Result<Option<HeaderValue>, Error> {
    let text = match credentials {
        Credentials::None => return Ok(None),
        Credentials::Bearer { token } => format!("Bearer {token}"),
        Credentials::Basic { username, password } => format!(
            "Basic {}",
            STANDARD.encode(format!("{username}:{password}"))
        ),
        Credentials::SshKey { .. } => {
            return Err(Error::Unsupported {
                remote: call.remote.clone(),
                reason: "an SSH key is configured, but the address is http; use a password or token, or an ssh address".to_owned(),
            });
        }
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| Error::AuthenticationRequired {
        remote: call.remote.clone(),
        detail:
            "the configured token holds a line break or another character that no header may hold"
                .to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

struct SessionClients {
    home: Url,
    first: Client,
    options: RemoteOptions,
}

/// The HTTP side of one call.
struct Session {
    clients: Arc<SessionClients>,
    authorization: Option<HeaderValue>,
    call: Arc<Call>,
    redirected: Option<String>,
}

impl Session {
    fn prepare(&self, headers: impl IntoIterator<Item = impl AsRef<str>>) -> HeaderMap {
        let mut map = HeaderMap::new();
        for line in headers {
            if let Some((name, value)) = line.as_ref().split_once(':')
                && let (Ok(name), Ok(value)) = (
                    HeaderName::try_from(name.trim()),
                    HeaderValue::try_from(value.trim()),
                )
            {
                map.append(name, value);
            }
        }
        map
    }

    fn sender(&self) -> Sender {
        Sender {
            clients: Arc::clone(&self.clients),
            authorization: self.authorization.clone(),
            call: Arc::clone(&self.call),
        }
    }
}

/// Sends one request.
struct Sender {
    clients: Arc<SessionClients>,
    authorization: Option<HeaderValue>,
    call: Arc<Call>,
}

impl Sender {
    /// Credentials stay with the host they were given for; an upgrade from http to https keeps them.
    fn may_authorize(&self, url: &Url) -> bool {
        let home = &self.clients.home;
        home.host_str() == url.host_str()
            && (home.port_or_known_default() == url.port_or_known_default()
                && home.scheme() == url.scheme()
                || home.scheme() == "http" && url.scheme() == "https")
    }

    fn send(&self, url: &Url, headers: &HeaderMap, body: Option<&[u8]>) -> Result<Response, Error> {
        let call = &self.call;
        let client = if url.scheme() == self.clients.home.scheme() {
            self.clients.first.clone()
        } else {
            build(
                url.scheme() == "https",
                url.host_str().is_some_and(is_loopback),
                &self.clients.options,
                call,
            )?
        };
        let mut request = match body {
            Some(body) => client.post(url.clone()).body(body.to_vec()),
            None => client.get(url.clone()),
        };
        request = request.headers(headers.clone());
        if let (Some(authorization), true) = (&self.authorization, self.may_authorize(url)) {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let remaining = call.remaining();
        if remaining.is_zero() {
            return Err(call.timeout_error());
        }
        if remaining < call.stall() {
            request = request.timeout(remaining);
        }
        let mut outcome = None;
        call.blocking(|| {
            outcome = Some(request.send());
            Ok(())
        })
        .map_err(|_| call.timeout_error())?;
        outcome
            .unwrap_or_else(|| unreachable!("set above"))
            .map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &reqwest::Error) -> Error {
        let remote = self.call.remote.clone();
        let detail = with_causes(error);
        if error.is_timeout() && !error.is_connect() {
            return self.call.timeout_error();
        }
        let untrusted = ["certificate", "UnknownIssuer", "invalid peer"]
            .iter()
            .any(|sign| detail.contains(sign));
        if untrusted {
            Error::UntrustedHost { remote, detail }
        } else {
            Error::Unreachable { remote, detail }
        }
    }

    fn check(&self, response: Response) -> Result<Response, Error> {
        let remote = self.call.remote.clone();
        let status = response.status();
        let detail = format!("HTTP {status}");
        Err(match status {
            StatusCode::UNAUTHORIZED if self.authorization.is_some() => {
                Error::AuthenticationRequired {
                    remote,
                    detail: "the server refuses the given credentials, HTTP 401".to_owned(),
                }
            }
            StatusCode::UNAUTHORIZED => Error::AuthenticationRequired {
                remote,
                detail: "the server wants credentials and none are configured, HTTP 401".to_owned(),
            },
            StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Error::AuthenticationRequired { remote, detail }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Error::NotFound { remote, detail },
            StatusCode::TOO_MANY_REQUESTS => Error::RateLimited {
                remote,
                retry_after: retry_after(response.headers()),
            },
            StatusCode::REQUEST_TIMEOUT => Error::Unreachable { remote, detail },
            status if status.is_success() => return Ok(response),
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                Error::Unreachable { remote, detail }
            }
            _ => Error::Protocol {
                remote,
                attempted: self.call.attempted,
                detail,
            },
        })
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

impl Session {
    fn follow(
        &mut self,
        url: &str,
        base_url: &str,
        headers: &HeaderMap,
    ) -> Result<Response, Error> {
        let remote = self.call.remote.clone();
        let odd = |detail: String| Error::Protocol {
            remote: remote.clone(),
            attempted: self.call.attempted,
            detail,
        };
        let sender = self.sender();
        let tail = url.strip_prefix(base_url).unwrap_or_default().to_owned();
        let mut at = Url::parse(url).map_err(|error| odd(error.to_string()))?;
        for _ in 0..=MAX_REDIRECTS {
            let response = sender.send(&at, headers, None)?;
            if !response.status().is_redirection() {
                if at.as_str() != url {
                    let base = at.as_str().strip_suffix(tail.as_str());
                    self.redirected = Some(
                        base.ok_or_else(|| {
                            odd(format!("redirected to `{at}`, which is no repository"))
                        })?
                        .to_owned(),
                    );
                }
                return sender.check(response);
            }
            let target = response
                .headers()
                .get(LOCATION)
                .and_then(|location| location.to_str().ok())
                .unwrap_or_default();
            let next = at
                .join(target)
                .map_err(|error| odd(format!("redirected to `{target}`: {error}")))?;
            if !matches!(next.scheme(), "http" | "https")
                || (at.scheme() == "https" && next.scheme() == "http")
            {
                return Err(odd(format!(
                    "redirected from {} to {}, which is refused",
                    at.scheme(),
                    next.scheme()
                )));
            }
            at = next;
        }
        Err(odd(format!("more than {MAX_REDIRECTS} redirects")))
    }
}

impl Http for Session {
    type Headers = Headers;
    type ResponseBody = Body;
    type PostBody = PostBuffer;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> GixResult<GetResponse<Self::Headers, Self::ResponseBody>> {
        let headers = self.prepare(headers);
        match self.follow(url, base_url, &headers) {
            Ok(response) => {
                let (headers, body) = body::answered(response, &self.call);
                Ok(GetResponse { headers, body })
            }
            Err(error) => Err(gix::error::Error::from_error(into_io(error, &self.call))),
        }
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> GixResult<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let url = Url::parse(url)
            .map_err(|error| gix::error::Error::from_error(io::Error::other(error)))?;
        let (post_body, headers, body) = body::pending(self.sender(), url, self.prepare(headers));
        Ok(PostResponse {
            post_body,
            headers,
            body,
        })
    }

    fn configure(&mut self, _config: &dyn Any) -> GixResult<()> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}

fn into_io(error: Error, call: &Call) -> io::Error {
    let shown = io::Error::other(error.to_string());
    call.fail(error);
    shown
}
