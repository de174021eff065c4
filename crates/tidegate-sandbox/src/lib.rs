//! The embedded targets, put together: the Kubernetes API server with its simulated controllers, the AWS API and the Kafka
//! broker, on loopback.
//!
//! A development target, and it says so: nothing runs, nothing is kept after the end, everybody with the kubeconfig may do
//! everything. It composes and decides nothing; it must not know the engine.

mod argo;
mod broker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tidegate_sandbox_aws::{AwsOptions, SandboxAws};
use tidegate_sandbox_controllers::{ControllerOptions, Controllers};
use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};
use tidegate_sandbox_kubernetes::{Options, Server, StartError};
use tidegate_sandbox_lambda::LambdaOptions;

pub use tidegate_sandbox_kubernetes::{
    Change, ChangeKind, Changes, Clock, Faults, ManualClock, Objects, ResourceName,
};

/// The file in the sandbox's folder that says where it serves what: [`SandboxReady`] as JSON.
pub const READY_FILE: &str = "sandbox.json";

/// The broker stands for clusters of several brokers: what their topics ask of `min.insync.replicas` holds as long as
/// it runs.
const IN_SYNC: i64 = i16::MAX as i64;

/// How to start a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The kubeconfig goes here; the folder is made when absent.
    pub dir: PathBuf,
    /// The API server's port on 127.0.0.1; 0 for any free one.
    pub kubernetes_port: u16,
    /// The AWS API's port on 127.0.0.1; 0 for any free one.
    pub aws_port: u16,
    /// The Kafka broker's port on 127.0.0.1; 0 for any free one.
    pub kafka_port: u16,
    /// Lambda handlers run as local processes; otherwise an invoke is refused in words.
    pub run_functions: bool,
    /// The clock of the server and its controllers.
    pub clock: Clock,
}

impl SandboxOptions {
    /// Any free port and the wall clock.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            kubernetes_port: 0,
            aws_port: 0,
            kafka_port: 0,
            run_functions: false,
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
    /// The AWS API did not start.
    #[error("the sandbox's AWS API did not start: {0}")]
    Aws(#[source] std::io::Error),
    /// The Kafka broker did not start.
    #[error("the sandbox's Kafka broker did not start: {0}")]
    Kafka(#[source] std::io::Error),
    /// The file that says where it serves what could not be written.
    #[error("{READY_FILE} could not be written: {0}")]
    Ready(#[source] std::io::Error),
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
    ready_file: PathBuf,
    controllers: Controllers,
    server: Server,
    aws: SandboxAws,
    kafka: SandboxKafka,
}

impl Sandbox {
    /// Starts the API servers, then the controllers. What an earlier sandbox left in the folder is removed.
    ///
    /// # Errors
    /// When a port cannot be had or the folder cannot be written.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let ready_file = options.dir.join(READY_FILE);
        let server = Server::start(Options {
            port: options.kubernetes_port,
            dir: Some(options.dir.clone()),
            clock: options.clock,
        })
        .await?;
        argo::install(&server.objects())?;
        let aws = AwsOptions {
            port: options.aws_port,
            ..AwsOptions::default()
        };
        let lambda = LambdaOptions {
            run_functions: options.run_functions,
            ..LambdaOptions::default()
        };
        let aws = tidegate_sandbox_lambda::start(aws, lambda).await;
        let aws = aws.map_err(SandboxError::Aws)?;
        let kafka = KafkaOptions {
            port: options.kafka_port,
            sasl_port: Some(0),
            in_sync_replicas: IN_SYNC,
            ..KafkaOptions::default()
        };
        let kafka = SandboxKafka::start(kafka).await;
        let kafka = kafka.map_err(SandboxError::Kafka)?;
        let controllers = ControllerOptions {
            broker: Some(Arc::new(broker::Shared::of(&kafka))),
            ..ControllerOptions::default()
        };
        let controllers = Controllers::start(server.objects(), controllers);
        let kubeconfig = server.kubeconfig_path().map_or(options.dir, Path::to_owned);
        let ready = SandboxReady {
            kubeconfig,
            aws: Some(aws.endpoint()),
            kafka: Some(kafka.bootstrap()),
        };
        write_ready(&ready_file, &ready)?;
        Ok(Self {
            ready,
            ready_file,
            controllers,
            server,
            aws,
            kafka,
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

    /// The AWS API: address, faults.
    pub fn aws(&self) -> &SandboxAws {
        &self.aws
    }

    /// The Kafka broker: addresses, topics, users, faults.
    pub fn kafka(&self) -> &SandboxKafka {
        &self.kafka
    }

    /// Ends the controllers, then the servers, and removes the files that say where they are.
    pub async fn shutdown(self) {
        self.controllers.shutdown().await;
        self.kafka.shutdown().await;
        self.aws.shutdown().await;
        self.server.shutdown().await;
        // Whoever finds a file that could not be removed finds nobody at its addresses.
        let _ = std::fs::remove_file(&self.ready_file);
    }
}

/// Written beside its place and moved, so that a reader never sees half of it.
fn write_ready(file: &Path, ready: &SandboxReady) -> Result<(), SandboxError> {
    let text =
        serde_json::to_vec_pretty(ready).map_err(|error| SandboxError::Ready(error.into()))?;
    let beside = file.with_extension("json.new");
    std::fs::write(&beside, text).map_err(SandboxError::Ready)?;
    std::fs::rename(&beside, file).map_err(SandboxError::Ready)
}
