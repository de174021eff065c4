//! The listener on loopback: frames within bounds, one request of a connection at a time, a clean end.
//!
//! Must not know: what requests do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::broker::Hub;
use crate::dispatch;
use crate::session::Session;
use crate::wire::{self, Reply};

/// How long connections may take to end once the broker ends.
const ENDING: Duration = Duration::from_secs(2);
/// How often sessions, rebalances and retention are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Bytes read at a time: a frame's announced length alone reserves nothing.
const CHUNK: usize = 64 << 10;

/// The running listeners.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) sasl: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on loopback.
    pub(crate) async fn start(hub: &Arc<Hub>) -> io::Result<Self> {
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, hub.options.port)).await?;
        let address = plain.local_addr()?;
        let stop = watch::Sender::new(false);
        let mut sasl = None;
        let mut tasks = Vec::new();
        if let Some(port) = hub.options.sasl_port {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            sasl = Some(listener.local_addr()?);
            tasks.push(tokio::spawn(accept(
                listener,
                Arc::clone(hub),
                stop.subscribe(),
                true,
            )));
        }
        tasks.push(tokio::spawn(accept(
            plain,
            Arc::clone(hub),
            stop.subscribe(),
            false,
        )));
        tasks.push(tokio::spawn(tick(Arc::clone(hub), stop.subscribe())));
        Ok(Self {
            address,
            sasl,
            stop,
            tasks,
        })
    }

    /// Ends: no new connections, open ones are closed.
    pub(crate) async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }
}

async fn accept(listener: TcpListener, hub: Arc<Hub>, mut stop: watch::Receiver<bool>, sasl: bool) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let mut connections = JoinSet::new();
    loop {
        let room = connections.len() < hub.options.limits.connections;
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, peer)) => {
                    let session = Session::new(peer.ip().to_string(), port, sasl);
                    connections.spawn(serve(stream, Arc::clone(&hub), session, stop.clone()));
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

async fn tick(hub: Arc<Hub>, mut stop: watch::Receiver<bool>) {
    let mut beat = tokio::time::interval(TICK);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            _ = beat.tick() => hub.tick(),
        }
    }
}

async fn serve(
    stream: TcpStream,
    hub: Arc<Hub>,
    session: Session,
    mut stop: watch::Receiver<bool>,
) {
    let host = session.host.clone();
    tokio::select! {
        () = stopped(&mut stop) => {}
        ended = converse(stream, &hub, session) => {
            if let Err(error) = ended {
                tracing::debug!(%error, host, "a connection ended");
            }
        }
    }
}

/// Reads requests and writes answers until either side ends.
async fn converse(mut stream: TcpStream, hub: &Arc<Hub>, mut session: Session) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(frame) = read(&mut stream, hub.options.limits.frame_bytes).await? {
        match dispatch::answer(hub, &mut session, frame).await {
            Reply::Frame(frame) => stream.write_all(&wire::framed(&frame)).await?,
            Reply::Silence => {}
            Reply::Hangup(why) => {
                tracing::debug!(why, "hanging up");
                break;
            }
        }
    }
    stream.shutdown().await
}

/// One frame; `None` at a clean end.
async fn read(stream: &mut TcpStream, most: usize) -> io::Result<Option<Bytes>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(i32::from_be_bytes(length))
        .ok()
        .filter(|length| *length <= most)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the frame is longer than the limit",
            )
        })?;
    let mut frame = BytesMut::with_capacity(length.min(CHUNK));
    while frame.len() < length {
        let room = (length - frame.len()).min(CHUNK);
        let mut part = (&mut *stream).take(u64::try_from(room).unwrap_or(0));
        if part.read_buf(&mut frame).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(frame.freeze()))
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever stops is gone: the end as well.
    let _ = stop.wait_for(|stop| *stop).await;
}
