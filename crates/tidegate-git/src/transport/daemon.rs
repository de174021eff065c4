//! The git daemon: plain TCP, no credentials, no encryption.

use std::{
    net::{Shutdown, TcpStream, ToSocketAddrs},
    sync::Arc,
};

use gix::protocol::transport::{
    Protocol,
    client::{
        blocking_io::Transport,
        git::{ConnectMode, blocking_io::Connection},
    },
};

use super::Access;
use crate::{
    Error,
    call::{Call, Watched},
};

const DEFAULT_PORT: u16 = 9418;

pub(super) fn connect(
    host: &str,
    port: Option<u16>,
    path: &str,
    access: &Access,
    call: &Arc<Call>,
) -> Result<Box<dyn Transport>, Error> {
    let unreachable = |error: std::io::Error| Error::Unreachable {
        remote: call.remote.clone(),
        detail: error.to_string(),
    };
    let addresses = (host, port.unwrap_or(DEFAULT_PORT))
        .to_socket_addrs()
        .map_err(unreachable)?;
    let mut last = None;
    for address in addresses {
        let patience = access.options.connect_timeout.min(call.remaining());
        if patience.is_zero() {
            return Err(call.timeout_error());
        }
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return open(stream, host, port, path, call).map_err(unreachable),
            Err(error) => last = Some(error),
        }
    }
    Err(unreachable(last.unwrap_or_else(|| {
        std::io::Error::other("the host has no address")
    })))
}

fn open(
    stream: TcpStream,
    host: &str,
    port: Option<u16>,
    path: &str,
    call: &Arc<Call>,
) -> std::io::Result<Box<dyn Transport>> {
    stream.set_nodelay(true)?;
    let reader = stream.try_clone()?;
    let handle = stream.try_clone()?;
    call.on_cancel(move || {
        // An error means that the connection is gone already.
        let _ = handle.shutdown(Shutdown::Both);
    });
    let reader = Watched::new(reader, Arc::clone(call));
    Ok(Box::new(Connection::new(
        reader,
        stream,
        Protocol::V2,
        path,
        Some((host, port)),
        ConnectMode::Daemon,
        false,
    )))
}
