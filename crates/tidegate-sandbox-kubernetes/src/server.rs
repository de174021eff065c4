//! Starting and ending a server, and the kubeconfig that leads to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::core::Core;
use crate::faults::Faults;
use crate::http::{Api, serve};
use crate::lifecycle;
use crate::objects::Objects;

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// Where `kubeconfig` is written; nothing is written without it.
    pub dir: Option<PathBuf>,
    /// The clock.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            dir: None,
            clock: Clock::System,
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken or may not be used.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The kubeconfig cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// A running API server: Kubernetes 1.36 as clients see it, in memory.
///
/// What it does not do: run admission webhooks and policies, evaluate `x-kubernetes-validations`, call conversion webhooks,
/// enforce quotas and RBAC (whoever holds the token may do everything), answer in YAML or protobuf.
///
/// Dropping it aborts its tasks; [`Server::shutdown`] ends it in order.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    token: String,
    core: Arc<Core>,
    kubeconfig: Option<PathBuf>,
    closing: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on 127.0.0.1 and serves.
    ///
    /// # Errors
    /// When the port cannot be had or the kubeconfig cannot be written.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let port = options.port;
        let listen = |source| StartError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let token = new_token();
        let kubeconfig = match &options.dir {
            None => None,
            Some(dir) => Some(write_kubeconfig(dir, &kubeconfig(address, &token)).await?),
        };
        let core = Core::start(options.clock);
        let (closing, closed) = watch::channel(false);
        let api = Arc::new(Api {
            core: core.clone(),
            token: token.clone(),
            address: address.to_string(),
            closing: closed.clone(),
        });
        let tasks = vec![
            tokio::spawn(serve::serve(listener, api, closed.clone())),
            tokio::spawn(lifecycle::run(core.clone(), closed)),
        ];
        Ok(Self {
            address,
            token,
            core,
            kubeconfig,
            closing,
            tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bearer token that every request needs.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The text of a kubeconfig that leads here.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(self.address, &self.token)
    }

    /// The kubeconfig's file, when a folder was given.
    pub fn kubeconfig_path(&self) -> Option<&Path> {
        self.kubeconfig.as_deref()
    }

    /// The in-process door.
    pub fn objects(&self) -> Objects {
        Objects {
            core: self.core.clone(),
        }
    }

    /// Faults to inject.
    pub fn faults(&self) -> &Faults {
        &self.core.faults
    }

    /// Forgets all past events: watches from an older revision get an in-stream 410, old pages a 410.
    pub fn compact(&self) {
        self.core.store.compact();
    }

    /// Ends watches, lets running requests finish, removes the kubeconfig.
    pub async fn shutdown(mut self) {
        self.closing.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            // A task that panicked has nothing more to say here.
            let _ = task.await;
        }
        if let Some(path) = self.kubeconfig.take() {
            let _ = tokio::fs::remove_file(path).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn new_token() -> String {
    format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    )
}

/// Go clients send a token over plain http only when the URL carries it, others only when the user does: both are there.
fn kubeconfig(address: SocketAddr, token: &str) -> String {
    format!(
        "# Written by the Tidegate sandbox, valid as long as it runs.\n\
         apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: tidegate-sandbox\n\
         \x20 cluster:\n\
         \x20   server: http://sandbox:{token}@{address}\n\
         users:\n\
         - name: tidegate-sandbox\n\
         \x20 user:\n\
         \x20   token: {token}\n\
         contexts:\n\
         - name: tidegate-sandbox\n\
         \x20 context:\n\
         \x20   cluster: tidegate-sandbox\n\
         \x20   user: tidegate-sandbox\n\
         current-context: tidegate-sandbox\n"
    )
}

async fn write_kubeconfig(dir: &Path, text: &str) -> Result<PathBuf, StartError> {
    let path = dir.join("kubeconfig");
    let failed = |source| StartError::Kubeconfig {
        path: path.clone(),
        source,
    };
    tokio::fs::create_dir_all(dir).await.map_err(failed)?;
    // A file left behind by a killed sandbox may be readable by others: never write into it.
    match tokio::fs::remove_file(&path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(&path).await.map_err(failed)?;
    tokio::io::AsyncWriteExt::write_all(&mut file, text.as_bytes())
        .await
        .map_err(failed)?;
    tokio::io::AsyncWriteExt::flush(&mut file)
        .await
        .map_err(failed)?;
    Ok(path)
}
