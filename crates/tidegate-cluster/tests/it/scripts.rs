//! An API server that answers by a script, to show what a real one shows too rarely.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tidegate_applier::manifest::Target;
use tidegate_cluster::{Cluster, ClusterConfig, RetryPolicy};
use tower::BoxError;

/// One answer.
#[derive(Clone)]
pub(crate) enum Answer {
    Json(u16, Value),
    /// With this content type.
    Typed(u16, &'static str, Value),
    /// With this content type and this ETag.
    Tagged(&'static str, &'static str, Value),
    Text(u16, &'static str),
    /// JSON with a header.
    With(u16, &'static str, &'static str, Value),
    /// Lines of a watch, then its end.
    Lines(Vec<Value>),
    /// Lines of a watch that goes on without a word.
    Open(Vec<Value>),
    Break,
}

/// Answers by `METHOD path` (without the query); the last answer of a route is given again and again.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    routes: HashMap<String, Vec<Answer>>,
    asked: Vec<(String, Value)>,
}

impl Script {
    pub(crate) fn on(self, route: &str, answers: &[Answer]) -> Self {
        self.0
            .lock()
            .expect("sound")
            .routes
            .insert(route.to_owned(), answers.to_vec());
        self
    }

    /// What was asked, `METHOD path?query`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0
            .lock()
            .expect("sound")
            .asked
            .iter()
            .map(|(line, _)| line.clone())
            .collect()
    }

    /// How often a line with these words was asked.
    pub(crate) fn count(&self, words: &str) -> usize {
        self.asked()
            .iter()
            .filter(|line| line.contains(words))
            .count()
    }

    /// The bodies that were sent with these words.
    pub(crate) fn bodies(&self, words: &str) -> Vec<Value> {
        let state = self.0.lock().expect("sound");
        state
            .asked
            .iter()
            .filter(|(line, _)| line.contains(words))
            .map(|(_, body)| body.clone())
            .collect()
    }

    fn next(&self, line: &str, body: Value) -> Answer {
        let mut state = self.0.lock().expect("sound");
        state.asked.push((line.to_owned(), body));
        let route = line.split('?').next().unwrap_or_default();
        let watch = format!("WATCH {}", route.trim_start_matches("GET "));
        let route = if line.contains("watch=1") {
            watch.as_str()
        } else {
            route
        };
        match state.routes.get_mut(route) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => Answer::Text(404, "404 page not found"),
        }
    }

    /// A cluster that asks this script, and loses no time.
    pub(crate) fn cluster(&self) -> Cluster {
        self.cluster_with(
            ClusterConfig::token("http://127.0.0.1:1", "t").deadline(Duration::from_secs(20)),
        )
    }

    pub(crate) fn cluster_with(&self, config: ClusterConfig) -> Cluster {
        let ms = Duration::from_millis;
        let quick = RetryPolicy {
            unavailable_base: ms(1),
            unavailable_cap: ms(5),
            internal_base: ms(1),
            internal_cap: ms(5),
            conflict_base: ms(1),
            terminating_wait: ms(20),
            new_kind_wait: ms(200),
            poll: ms(1),
            breaker_patience: ms(20),
            breaker_probe: ms(5),
            ..RetryPolicy::default()
        };
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let script = script.clone();
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let body = request
                    .into_body()
                    .collect()
                    .await
                    .map_err(BoxError::from)?
                    .to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                script.next(&line, body).respond()
            }
        });
        let client = kube::Client::new(service, "default");
        Cluster::with_client(client, config.retry(quick), Target::kubernetes("test"))
    }
}

type Stream = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, BoxError>;

impl Answer {
    fn respond(self) -> Result<Response<Stream>, BoxError> {
        use futures_util::{StreamExt, stream};
        use http_body::Frame;
        let lines = |lines: Vec<Value>| {
            let frames = lines
                .into_iter()
                .map(|line| Ok::<_, BoxError>(Frame::data(format!("{line}\n").into())));
            stream::iter(frames.collect::<Vec<_>>())
        };
        let whole = |text: String| {
            http_body_util::Full::new(text.into())
                .map_err(|e| match e {})
                .boxed_unsync()
        };
        let build = |code: u16, kind: &str, body: Stream| {
            Response::builder()
                .status(code)
                .header("content-type", kind)
                .body(body)
                .map_err(BoxError::from)
        };
        match self {
            Answer::Json(code, value) => build(code, "application/json", whole(value.to_string())),
            Answer::Typed(code, kind, value) => build(code, kind, whole(value.to_string())),
            Answer::Tagged(kind, etag, value) => Response::builder()
                .header("content-type", kind)
                .header("etag", etag)
                .body(whole(value.to_string()))
                .map_err(BoxError::from),
            Answer::Text(code, text) => build(code, "text/plain", whole(text.to_owned())),
            Answer::With(code, name, header, value) => Response::builder()
                .status(code)
                .header("content-type", "application/json")
                .header(name, header)
                .body(whole(value.to_string()))
                .map_err(BoxError::from),
            Answer::Lines(all) => {
                let body = http_body_util::StreamBody::new(lines(all));
                build(200, "application/json", body.boxed_unsync())
            }
            Answer::Open(all) => {
                let body = http_body_util::StreamBody::new(lines(all).chain(stream::pending()));
                build(200, "application/json", body.boxed_unsync())
            }
            Answer::Break => Err(BoxError::from("connection reset by peer")),
        }
    }
}

/// An error of the server.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Answer {
    Answer::Json(
        code,
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}),
    )
}

/// The object is not there.
pub(crate) fn not_found() -> Answer {
    Answer::Json(
        404,
        json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "configmaps \"a\" not found",
        "details": {"name": "a", "kind": "configmaps"}}),
    )
}

pub(crate) const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// An aggregated resource.
pub(crate) fn resource(plural: &str, kind: &str, namespaced: bool) -> Value {
    json!({"resource": plural, "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": if namespaced { "Namespaced" } else { "Cluster" }, "verbs": ["get", "list", "watch", "delete", "patch"]})
}

/// A server that serves ConfigMaps and Secrets, with aggregated discovery.
pub(crate) fn core() -> Script {
    let core = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {}, "versions": [{"version": "v1", "freshness": "Current",
        "resources": [resource("configmaps", "ConfigMap", true), resource("namespaces", "Namespace", false)]}]}]});
    Script::default()
        .on("GET /api", &[Answer::Typed(200, AGGREGATED, core)])
        .on(
            "GET /apis",
            &[Answer::Typed(
                200,
                AGGREGATED,
                json!({"kind": "APIGroupDiscoveryList", "items": []}),
            )],
        )
}

/// A ConfigMap in namespace `ns`.
pub(crate) fn config_map(name: &str, version: &str, application: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"),
        "resourceVersion": version, "annotations": {"argocd.argoproj.io/tracking-id": format!("{application}:/ConfigMap:ns/{name}")}},
        "data": {"k": "v"}})
}
