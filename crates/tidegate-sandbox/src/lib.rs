//! The embedded targets, composed: a Kubernetes API server with simulated controllers, on loopback.
//!
//! Whatever speaks to a cluster speaks to this: kubectl, kube, the engine. It is a development target: everything is in memory, programs
//! of pods are not run, and it begins empty each time. It must not know the engine.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidegate_sandbox::SandboxError> {
//! use tidegate_sandbox::{Sandbox, SandboxOptions};
//!
//! let options = SandboxOptions { dir: "/tmp/sandbox".into(), ..SandboxOptions::default() };
//! let sandbox = Sandbox::start(options).await?;
//! println!("kubectl --kubeconfig {} get ns", sandbox.ready().kubeconfig.display());
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod argo;

use std::path::PathBuf;

use serde::Serialize;
use tidegate_sandbox_controllers::Controllers;
use tidegate_sandbox_kubernetes::{Clock, Objects, Options, Server, StartError};

pub use tidegate_sandbox_controllers::ControllerOptions;
pub use tidegate_sandbox_kubernetes as kubernetes;

/// How to start a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The kubeconfig goes here; the folder is made when it is missing.
    pub dir: PathBuf,
    /// The port of the Kubernetes API on 127.0.0.1; 0 for any free one.
    pub kubernetes_port: u16,
    /// The clock of server and controllers.
    pub clock: Clock,
    /// How the simulated controllers behave.
    pub controllers: ControllerOptions,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("."),
            kubernetes_port: 0,
            clock: Clock::System,
            controllers: ControllerOptions::default(),
        }
    }
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The folder cannot be made.
    #[error("cannot make {}: {source}", path.display())]
    Dir {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The API server did not start.
    #[error(transparent)]
    Kubernetes(#[from] StartError),
    /// The kinds that every sandbox serves could not be made.
    #[error("the sandbox's own kinds could not be made: {0}")]
    Bootstrap(String),
}

/// Where to connect; a target that this build lacks is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SandboxReady {
    /// The kubeconfig file.
    pub kubeconfig: PathBuf,
    /// The AWS API's URL.
    pub aws: Option<String>,
    /// The Kafka broker's address.
    pub kafka: Option<String>,
}

/// A running sandbox. Dropping it aborts its tasks; [`Sandbox::shutdown`] ends it in order.
#[derive(Debug)]
pub struct Sandbox {
    server: Server,
    controllers: Controllers,
    ready: SandboxReady,
}

impl Sandbox {
    /// Starts the targets; they take connections when this returns.
    ///
    /// # Errors
    /// A port cannot be had, or the folder cannot be used.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let SandboxOptions { dir, kubernetes_port, clock, controllers } = options;
        let made = tokio::fs::create_dir_all(&dir).await;
        made.map_err(|source| SandboxError::Dir { path: dir.clone(), source })?;
        let kubeconfig = dir.join("kubeconfig");
        // A file of an earlier sandbox would lead clients nowhere until this one is ready.
        drop(tokio::fs::remove_file(&kubeconfig).await);
        let server = Server::start(Options { port: kubernetes_port, dir: Some(dir), clock }).await?;
        argo::install(&server.objects())?;
        let controllers = Controllers::start(server.objects(), controllers);
        let ready = SandboxReady {
            kubeconfig: server.kubeconfig_path().map_or(kubeconfig, std::path::Path::to_owned),
            aws: None,
            kafka: None,
        };
        Ok(Self { server, controllers, ready })
    }

    /// Where to connect.
    pub fn ready(&self) -> &SandboxReady {
        &self.ready
    }

    /// The Kubernetes API server, for tests that look inside or inject faults.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The in-process door to the Kubernetes objects.
    pub fn objects(&self) -> Objects {
        self.server.objects()
    }

    /// Ends controllers and server, and removes the kubeconfig.
    pub async fn shutdown(self) {
        self.controllers.shutdown().await;
        self.server.shutdown().await;
    }
}
