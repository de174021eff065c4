//! The API over HTTP: who may ask, what is asked, and which module answers.
//! Semantics live in the write path and the store; here are only verbs, media types and parameters.

pub(crate) mod mutate;
pub(crate) mod options;
pub(crate) mod read;
pub(crate) mod respond;
pub(crate) mod reviews;
pub(crate) mod route;
pub(crate) mod serve;
pub(crate) mod special;
pub(crate) mod watch;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::core::Core;
use crate::discovery::{self, Aggregated};
use crate::faults::{Asked, Fault, FaultRule, MAX_LATENCY};
use crate::openapi;
use crate::registry::Registry;
use crate::resource::{Resource, ResourceName};
use crate::status::Status;
use respond::{Body, json_reply, refuse, text};
use route::{Query, ResourcePath, Route};

/// The largest body of a request, in bytes (the real server's limit).
pub const MAX_BODY: usize = 3 << 20;

/// The name of everybody who holds the token.
pub(crate) const USER: &str = "sandbox-admin";

/// The API of one server.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) core: Arc<Core>,
    /// Required of every request but health checks and `/version`.
    pub(crate) token: String,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// Turns true when the server ends: watches finish.
    pub(crate) closing: tokio::sync::watch::Receiver<bool>,
}

/// The connection shall break instead of an answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a fault breaks the connection")]
pub(crate) struct Broken;

/// A request on a resource, after routing.
pub(crate) struct Call<'a> {
    pub(crate) api: &'a Api,
    pub(crate) resource: Arc<Resource>,
    pub(crate) path: &'a ResourcePath,
    pub(crate) query: &'a Query,
    pub(crate) headers: &'a HeaderMap,
    /// Faults that concern a watch.
    pub(crate) faults: Vec<Fault>,
}

impl Api {
    pub(crate) async fn handle(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Broken> {
        let (parts, incoming) = request.into_parts();
        let query = Query::parse(parts.uri.query().unwrap_or(""));
        let route = Route::parse(parts.uri.path());
        let open = matches!(route, Route::Health | Route::Version);
        if !open && !self.authorized(&parts.headers) {
            return Ok(refuse(&Status::unauthorized()));
        }
        let body = match read_body(incoming).await {
            Ok(body) => body,
            Err(status) => return Ok(refuse(&status)),
        };
        if let Route::Resource(path) = &route {
            return self
                .resource(&parts.method, path, &query, &parts.headers, body)
                .await;
        }
        Ok(self.documents(&parts.method, route, &query, &parts.headers, &body))
    }

    fn authorized(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let Some((scheme, secret)) = given.and_then(|given| given.split_once(' ')) else {
            return false;
        };
        let secret = secret.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => same(secret, &self.token),
            // Go clients drop a bearer token on plain http, but keep what the server's URL carries.
            "basic" => {
                use base64::Engine;
                let decoded = base64::engine::general_purpose::STANDARD.decode(secret);
                let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let password = text.as_deref().and_then(|text| text.split_once(':'));
                password.is_some_and(|(_, password)| same(password, &self.token))
            }
            _ => false,
        }
    }

    fn documents(
        &self,
        method: &Method,
        route: Route,
        query: &Query,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Response<Body> {
        if !matches!(route, Route::Faults | Route::Compact)
            && method != Method::GET
            && method != Method::HEAD
        {
            return refuse(&Status::method_not_allowed());
        }
        let registry = self.core.registry();
        match route {
            Route::Health => text(StatusCode::OK, "ok"),
            Route::Version => json_reply(StatusCode::OK, &version_document()),
            Route::CoreVersions | Route::Groups => {
                let core = route == Route::CoreVersions;
                match respond::discovery_form(headers) {
                    Ok(Some(form)) => {
                        let document = discovery::aggregated(&registry, form, core);
                        respond::with_etag(&document, &aggregated_type(form), headers)
                    }
                    Ok(None) if core => {
                        json_reply(StatusCode::OK, &discovery::core_versions(&self.address))
                    }
                    Ok(None) => json_reply(StatusCode::OK, &discovery::group_list(&registry)),
                    Err(status) => refuse(&status),
                }
            }
            Route::Group(group) => or_unknown(discovery::group(&registry, &group)),
            Route::GroupVersion(group, version) => {
                or_unknown(discovery::resource_list(&registry, &group, &version))
            }
            Route::OpenApiV2 => openapi::v2(&registry, headers),
            Route::OpenApiV3Index => openapi::v3_index(&registry, headers),
            Route::OpenApiV3(path) => {
                openapi::v3(&registry, &path, query, headers, self.core.now())
            }
            Route::Faults => self.faults(method, body),
            Route::Compact => {
                self.core.store.compact();
                json_reply(
                    StatusCode::OK,
                    &json!({"revision": self.core.store.revision()}),
                )
            }
            Route::Unknown | Route::Resource(_) => respond::page_not_found(),
        }
    }

    /// `GET`, `POST` (one rule or a list) and `DELETE` on `/sandbox/faults`.
    fn faults(&self, method: &Method, body: &Bytes) -> Response<Body> {
        let faults = &self.core.faults;
        match *method {
            Method::GET => {}
            Method::DELETE => faults.clear(),
            Method::POST => {
                let rules = serde_json::from_slice::<Vec<FaultRule>>(body)
                    .or_else(|_| serde_json::from_slice::<FaultRule>(body).map(|rule| vec![rule]));
                match rules {
                    Err(error) => return refuse(&Status::bad_request(error.to_string())),
                    Ok(rules) => {
                        if !rules.into_iter().all(|rule| faults.add(rule)) {
                            return refuse(&Status::bad_request("too many fault rules"));
                        }
                    }
                }
            }
            _ => return refuse(&Status::method_not_allowed()),
        }
        json_reply(StatusCode::OK, &json!(faults.rules()))
    }

    async fn resource(
        &self,
        method: &Method,
        path: &ResourcePath,
        query: &Query,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Body>, Broken> {
        let registry = self.core.registry();
        let name = ResourceName::of(&path.group, &path.resource);
        let found = registry
            .get(&name)
            .filter(|resource| resource.version(&path.version).is_some());
        let Some(resource) = found else {
            return Ok(if is_builtin_group(&registry, &path.group) {
                refuse(&Status::unknown_resource())
            } else {
                respond::page_not_found()
            });
        };
        let asked = verb(method, path, query);
        let Some(verb) =
            asked.filter(|verb| !path.subresource.is_empty() || resource.verbs().contains(verb))
        else {
            return Ok(refuse(&Status::method_not_allowed()));
        };
        let faults = match self.suffer(verb, path).await? {
            Ok(faults) => faults,
            Err(status) => return Ok(refuse(&status)),
        };
        let call = Call {
            api: self,
            resource,
            path,
            query,
            headers,
            faults,
        };
        let scoped = call.resource.namespaced == path.namespace.is_some();
        let across =
            call.resource.namespaced && path.name.is_none() && ["list", "watch"].contains(&verb);
        if !scoped && !across {
            let status = if path.name.is_none() && call.resource.namespaced {
                Status::method_not_allowed()
            } else {
                Status::unknown_resource()
            };
            return Ok(refuse(&status));
        }
        if call.resource.create_only {
            return Ok(reviews::serve(&call, verb, &body).unwrap_or_else(|status| refuse(&status)));
        }
        let reply = match verb {
            "get" => special::get(&call),
            "list" => read::list(&call),
            "watch" => watch::start(&call),
            "create" => mutate::create(&call, &body),
            "update" => mutate::update(&call, &body),
            "patch" => mutate::patch(&call, &body),
            "delete" => mutate::delete(&call, &body),
            _ => mutate::delete_collection(&call, &body),
        };
        Ok(reply.unwrap_or_else(|status| refuse(&status)))
    }

    /// Carries out the faults of a request; what is left concerns a watch.
    async fn suffer(
        &self,
        verb: &'static str,
        path: &ResourcePath,
    ) -> Result<Result<Vec<Fault>, Status>, Broken> {
        let asked = Asked {
            verb,
            group: &path.group,
            resource: &path.resource,
            namespace: path.namespace.as_deref().unwrap_or(""),
            name: path.name.as_deref().unwrap_or(""),
        };
        let mut left = Vec::new();
        for fault in self.core.faults.of(asked) {
            match fault {
                Fault::Latency { milliseconds } => {
                    let wait = std::time::Duration::from_millis(milliseconds).min(MAX_LATENCY);
                    tokio::time::sleep(wait).await;
                }
                Fault::Disconnect => return Err(Broken),
                Fault::DropWatch { .. } | Fault::ExpireWatch { .. } => left.push(fault),
                Fault::TooManyRequests { .. }
                | Fault::Unavailable
                | Fault::InternalError
                | Fault::Conflict
                | Fault::Forbidden => return Ok(Err(fault_status(&fault, asked))),
            }
        }
        Ok(Ok(left))
    }
}

/// Paths below the groups of the server itself are known to its router, whatever follows.
fn is_builtin_group(registry: &Registry, group: &str) -> bool {
    registry
        .all()
        .any(|resource| resource.name.group() == group && resource.facts.is_some())
}

fn fault_status(fault: &Fault, asked: Asked<'_>) -> Status {
    let resource = ResourceName::of(asked.group, asked.resource);
    match fault {
        Fault::TooManyRequests {
            retry_after_seconds,
        } => Status::too_many_requests(
            "too many requests, please try again later",
            *retry_after_seconds,
        ),
        Fault::Unavailable => Status::new(
            503,
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        Fault::Conflict => Status::modified(&resource, asked.name),
        Fault::Forbidden => {
            let scope = if asked.namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {:?}", asked.namespace)
            };
            let why = format!(
                "User {USER:?} cannot {} resource {:?} in API group {:?} {scope}",
                asked.verb, asked.resource, asked.group
            );
            Status::forbidden(&resource, asked.name, &why)
        }
        _ => Status::internal("injected by a fault rule"),
    }
}

/// Compares secrets in a time that does not depend on where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |acc, (x, y)| acc | (x ^ y))
            == 0
}

fn verb(method: &Method, path: &ResourcePath, query: &Query) -> Option<&'static str> {
    let named = path.name.is_some();
    Some(match *method {
        Method::GET | Method::HEAD if named => "get",
        Method::GET if query.flag("watch") => "watch",
        Method::GET | Method::HEAD => "list",
        Method::POST if !named || !path.subresource.is_empty() => "create",
        Method::PUT if named => "update",
        Method::PATCH if named => "patch",
        Method::DELETE if named && path.subresource.is_empty() => "delete",
        Method::DELETE if !named => "deletecollection",
        _ => return None,
    })
}

async fn read_body(incoming: Incoming) -> Result<Bytes, Status> {
    match Limited::new(incoming, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Status::too_large(MAX_BODY))
        }
        Err(error) => Err(Status::bad_request(format!(
            "the body could not be read: {error}"
        ))),
    }
}

fn or_unknown(document: Option<Value>) -> Response<Body> {
    match document {
        Some(document) => json_reply(StatusCode::OK, &document),
        None => respond::page_not_found(),
    }
}

fn aggregated_type(form: Aggregated) -> String {
    format!(
        "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList",
        form.version()
    )
}

fn version_document() -> Value {
    json!({
        "major": "1", "minor": "36",
        "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": concat!("v1.36.0+tidegate.", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none", "compiler": "rustc", "platform": "sandbox",
    })
}
