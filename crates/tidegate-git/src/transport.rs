//! Connections to a remote: HTTP, a child process (ssh, git), or the git daemon's TCP.
//!
//! Each one watches its reads and can be cut off. Nothing here knows revisions or mirrors.

mod daemon;
mod http;
mod process;

use std::sync::Arc;

use gix::protocol::transport::client::blocking_io::Transport;

pub(crate) use self::{
    http::Clients,
    process::{Complaints, SshMode},
};
use crate::{
    Credentials, Error, RemoteOptions,
    call::Call,
    remote::{Address, Remote},
};

/// What is needed to reach a remote.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) remote: Remote,
    pub(crate) credentials: Credentials,
    pub(crate) options: RemoteOptions,
    pub(crate) clients: Clients,
}

impl Access {
    pub(crate) fn new(remote: Remote, credentials: Credentials, options: RemoteOptions) -> Self {
        let credentials = if credentials == Credentials::None {
            remote.embedded.clone()
        } else {
            credentials
        };
        Self {
            remote,
            credentials,
            options,
            clients: Clients::default(),
        }
    }

    pub(crate) fn is_ssh(&self) -> bool {
        matches!(self.remote.address, Address::Ssh { .. })
    }
}

/// An open connection, and the place where a child's complaints are found.
pub(crate) struct Connection {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) complaints: Option<Complaints>,
}

/// Connects to the remote of `access` for `git-upload-pack`, asking for protocol version 2.
pub(crate) fn connect(
    access: &Access,
    ssh: SshMode,
    call: &Arc<Call>,
) -> Result<Connection, Error> {
    match &access.remote.address {
        Address::Http { url, secure, host } => {
            let transport = http::connect(access, url, *secure, host, call)?;
            Ok(Connection {
                transport,
                complaints: None,
            })
        }
        Address::Daemon { host, port, path } => {
            let transport = daemon::connect(host, *port, path, access, call)?;
            Ok(Connection {
                transport,
                complaints: None,
            })
        }
        Address::Ssh {
            user,
            host,
            port,
            path,
        } => process::ssh(
            access,
            &process::SshTarget {
                user: user.as_deref(),
                host,
                port: *port,
                path,
            },
            ssh,
            call,
        ),
        Address::Local { path } => process::local(access, path, call),
    }
}
