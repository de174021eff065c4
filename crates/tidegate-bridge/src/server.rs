//! `/metrics`, `/healthz` and `/readyz` on a small HTTP server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bridge::View;

/// Longest time for a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// Most connections at once.
const CONNECTIONS_MAX: usize = 64;

/// A bound server that does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Binds an address.
    ///
    /// # Errors
    /// The address is taken or none of this machine's.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` says so; `view` is what it shows.
    pub async fn serve(self, view: watch::Receiver<View>, mut stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            let stream = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                stream = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => stream,
            };
            let Ok((stream, _)) = stream else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let view = view.clone();
            connections.spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let view = view.borrow().clone();
                    async move { Ok::<_, Infallible>(answer(&request, &view)) }
                });
                let mut server = hyper::server::conn::http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(HEAD);
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    }
}

fn answer(request: &Request<Incoming>, view: &View) -> Response<Full<Bytes>> {
    let (status, kind, body) = match request.uri().path() {
        "/metrics" => (StatusCode::OK, "text/plain; version=0.0.4", view.metrics()),
        "/healthz" => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" => {
            let unready = view.unready();
            if unready.is_empty() {
                (StatusCode::OK, "text/plain", "ok\n".to_owned())
            } else {
                let text = unready.join("\n") + "\n";
                (StatusCode::SERVICE_UNAVAILABLE, "text/plain", text)
            }
        }
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "not found\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, kind);
    response
}

/// A view that a server shows, and the way to renew it.
pub fn shown() -> (Arc<watch::Sender<View>>, watch::Receiver<View>) {
    let (sender, receiver) = watch::channel(View::default());
    (Arc::new(sender), receiver)
}
