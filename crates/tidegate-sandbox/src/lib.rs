//! The embedded targets, put together: the Kubernetes API server and its simulated controllers, on loopback.
//!
//! A development target, and it says so: nothing runs, nothing is kept after the end, everybody with the kubeconfig may do
//! everything. It composes and decides nothing; it must not know the engine.

mod argo;

use std::path::{Path, PathBuf};

use serde::Serialize;
use tidegate_sandbox_controllers::{ControllerOptions, Controllers};
use tidegate_sandbox_kubernetes::{Options, Server, StartError};

pub use tidegate_sandbox_kubernetes::{
    Change, ChangeKind, Changes, Clock, Faults, ManualClock, Objects, ResourceName,
};

/// How to start a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The kubeconfig goes here; the folder is made when absent.
    pub dir: PathBuf,
    /// The API server's port on 127.0.0.1; 0 for any free one.
    pub kubernetes_port: u16,
    /// The clock of the server and its controllers.
    pub clock: Clock,
}

impl SandboxOptions {
    /// Any free port and the wall clock.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            kubernetes_port: 0,
            clock: Clock::System,
        }
    }
}

/// Where clients connect. In JSON, `null` for a target that this build lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SandboxReady {
    /// The kubeconfig's path.
    pub kubeconfig: PathBuf,
    /// The endpoint of the AWS API.
    pub aws: Option<String>,
    /// The bootstrap address of the Kafka broker.
    pub kafka: Option<String>,
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The API server did not start.
    #[error("the sandbox's Kubernetes API did not start: {0}")]
    Kubernetes(#[from] StartError),
    /// The kinds that every sandbox serves could not be made.
    #[error("the sandbox's own kinds could not be made: {0}")]
    Bootstrap(String),
}

/// A running sandbox. Dropping it aborts everything; [`Sandbox::shutdown`] ends it in order.
///
/// ```
/// # async fn show() -> Result<(), Box<dyn std::error::Error>> {
/// use tidegate_sandbox::{Sandbox, SandboxOptions};
///
/// let dir = std::env::temp_dir().join("sandbox");
/// let sandbox = Sandbox::start(SandboxOptions::in_dir(dir)).await?;
/// let kubeconfig = &sandbox.ready().kubeconfig;
/// assert!(kubeconfig.exists());
/// sandbox.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sandbox {
    ready: SandboxReady,
    controllers: Controllers,
    server: Server,
}

impl Sandbox {
    /// Starts the API server, then the controllers. What an earlier sandbox left in the folder is removed.
    ///
    /// # Errors
    /// When the port cannot be had or the folder cannot be written.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let server = Server::start(Options {
            port: options.kubernetes_port,
            dir: Some(options.dir.clone()),
            clock: options.clock,
        })
        .await?;
        argo::install(&server.objects())?;
        let controllers = Controllers::start(server.objects(), ControllerOptions::default());
        let kubeconfig = server.kubeconfig_path().map_or(options.dir, Path::to_owned);
        let ready = SandboxReady {
            kubeconfig,
            aws: None,
            kafka: None,
        };
        Ok(Self {
            ready,
            controllers,
            server,
        })
    }

    /// Where clients connect.
    pub fn ready(&self) -> &SandboxReady {
        &self.ready
    }

    /// The Kubernetes API server: address, token, in-process door, faults.
    pub fn kubernetes(&self) -> &Server {
        &self.server
    }

    /// The simulated controllers.
    pub fn controllers(&self) -> &Controllers {
        &self.controllers
    }

    /// Ends the controllers, then the server, and removes the kubeconfig.
    pub async fn shutdown(self) {
        self.controllers.shutdown().await;
        self.server.shutdown().await;
    }
}
