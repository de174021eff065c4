//! The listener on loopback: reads requests within bounds, hands them to the door, ends cleanly.
//!
//! Must not know: services.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming as Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::door::{Door, Incoming, Outgoing};

/// Bytes of one request's body.
const BODY_BYTES: usize = 300 << 20;
/// Connections that are served at once.
const CONNECTIONS: usize = 1_000;
/// How long connections may take to end once the sandbox ends.
const ENDING: Duration = Duration::from_secs(2);

/// How long a burst of requests is let go on before schedules are looked at.
const SETTLING: Duration = Duration::from_millis(50);

/// The running listener.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    door: Arc<Door>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on loopback.
    pub(crate) async fn start(door: Arc<Door>, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let stop = watch::Sender::new(false);
        let tasks = vec![
            tokio::spawn(accept(listener, Arc::clone(&door), stop.subscribe())),
            tokio::spawn(tick(Arc::clone(&door), stop.subscribe())),
        ];
        Ok(Self {
            address,
            door,
            stop,
            tasks,
        })
    }

    /// Ends: no new connections, open ones get a moment.
    pub(crate) async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
        self.door.shutdown().await;
    }
}

async fn accept(listener: TcpListener, door: Arc<Door>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let room = connections.len() < CONNECTIONS;
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&door), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(ENDING, ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve(stream: TcpStream, door: Arc<Door>, mut stop: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(handle(&door, request).await) }
    });
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopped(&mut stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// Completes once the sandbox ends.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever stops is gone: the end as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn handle(door: &Door, request: http::Request<Body>) -> http::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let headers: BTreeMap<String, String> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let body = match Limited::new(body, BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let words = format!("{{\"message\":\"the body cannot be read: {error}\"}}");
            return respond(Outgoing::new(413, "application/json", words));
        }
    };
    let mut headers = headers;
    if let Some(authority) = head.uri.authority() {
        headers
            .entry("host".into())
            .or_insert_with(|| authority.to_string());
    }
    let incoming = Incoming {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        headers,
        body,
    };
    respond(door.answer(incoming).await)
}

fn respond(answer: Outgoing) -> http::Response<Full<Bytes>> {
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        // Values come from callers (metadata of objects): what HTTP cannot carry is left out.
        let value = http::HeaderValue::from_bytes(value.as_bytes());
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            response = response.header(name, value);
        }
    }
    response
        .body(Full::new(answer.body))
        .unwrap_or_else(|_| http::Response::new(Full::new(Bytes::new())))
}

/// Fires schedules: at the moment of the next one, and whenever something changed.
async fn tick(door: Arc<Door>, mut stop: watch::Receiver<bool>) {
    let hub = &door.hub;
    let mut changes = hub.changes();
    loop {
        let next = hub.tick();
        changes.mark_unchanged();
        let sleep = async {
            match next {
                Some(next) => hub.clock().sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = sleep => continue,
            _ = changes.changed() => {}
        }
        // Requests come in bursts; one look for all of them.
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(SETTLING) => {}
        }
    }
}
