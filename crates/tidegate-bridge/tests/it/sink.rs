//! A web service that keeps what it was sent and answers as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// A request that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) type Answer = (StatusCode, String);

/// Takes a request.
pub(crate) fn taken() -> Answer {
    (StatusCode::OK, String::new())
}

type Decide = dyn Fn(&Seen) -> Answer + Send + Sync;

/// The service.
pub(crate) struct Sink {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Sink {
    /// Keeps what `decide` answers with 2xx.
    pub(crate) async fn start(decide: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let seen = Arc::default();
        let server = tokio::spawn(serve(listener, Arc::new(decide), Arc::clone(&seen)));
        Self { url, seen, server }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, decide: Arc<Decide>, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let (decide, seen) = (Arc::clone(&decide), Arc::clone(&seen));
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (decide, seen) = (Arc::clone(&decide), Arc::clone(&seen));
                async move { Ok::<_, Infallible>(answer(request, &*decide, &seen).await) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    request: Request<Incoming>,
    decide: &Decide,
    seen: &Mutex<Vec<Seen>>,
) -> Response<Full<Bytes>> {
    let headers = request.headers().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let request = Seen { headers, body };
    let (status, body) = decide(&request);
    if status.is_success() {
        seen.lock().unwrap().push(request);
    }
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
