//! The listener: connections on loopback, HTTP/1.1 and HTTP/2 without TLS, and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;

use super::Api;

/// How many connections are served at the same time; more wait in the listener's queue.
pub const MAX_CONNECTIONS: usize = 20_000;
/// How long running requests may take at the end.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the listener rests after a failed accept (no file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Completes once the server ends.
pub(crate) async fn closed(closing: &mut Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Serves until `closing` turns true, then lets running requests finish.
pub(crate) async fn serve(listener: TcpListener, api: Arc<Api>, mut closing: Receiver<bool>) {
    let mut connections = JoinSet::new();
    let graceful = GracefulShutdown::new();
    loop {
        while connections.try_join_next().is_some() {}
        let full = connections.len() >= MAX_CONNECTIONS;
        tokio::select! {
            () = closed(&mut closing) => break,
            _ = connections.join_next(), if full => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => connect(&mut connections, &graceful, stream, &api),
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    connections.shutdown().await;
}

fn connect(
    connections: &mut JoinSet<()>,
    graceful: &GracefulShutdown,
    stream: TcpStream,
    api: &Arc<Api>,
) {
    // Small replies should not wait for acknowledgements.
    let _ = stream.set_nodelay(true);
    let api = api.clone();
    let service = service_fn(move |request| {
        let api = api.clone();
        async move { api.handle(request).await }
    });
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let watched = graceful.watch(connection);
    connections.spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}
