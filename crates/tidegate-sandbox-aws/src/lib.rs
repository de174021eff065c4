//! The AWS API of the sandbox: the real protocols on loopback, with the services' own states, errors and delays.
//!
//! Must not know: the engine, the appliers, any AWS SDK.
//!
//! ```no_run
//! # async fn start() -> std::io::Result<()> {
//! use tidegate_sandbox_aws::{AwsOptions, SandboxAws};
//!
//! let sandbox = SandboxAws::start(AwsOptions::default()).await?;
//! println!("AWS_ENDPOINT_URL={}", sandbox.endpoint());
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! ```

use std::io;
use std::sync::Arc;

mod clock;
mod control;
mod cron;
mod door;
mod dynamodb;
mod effect;
mod events;
mod faults;
pub mod feeds;
mod filter;
mod form;
mod hub;
mod kinesis;
mod lock;
mod options;
mod parameters;
mod refusal;
mod regions;
mod s3;
mod scheduler;
mod secrets;
mod server;
pub mod service;
mod shape;
mod sns;
mod sqs;
mod states;
mod tagging;
mod tags;

pub use clock::{Clock, ManualClock};
pub use options::{AwsOptions, Delays, Fault};

use door::Door;
use hub::Hub;
use server::Server;

/// The AWS API, running.
#[derive(Debug)]
pub struct SandboxAws {
    hub: Arc<Hub>,
    server: Server,
}

impl SandboxAws {
    /// Starts it on loopback.
    ///
    /// # Errors
    /// When the port cannot be taken.
    pub async fn start(options: AwsOptions) -> io::Result<Self> {
        Self::start_with(options, |_| Vec::new()).await
    }

    /// Starts it on loopback with further services, which are asked before its own.
    ///
    /// # Errors
    /// When the port cannot be taken.
    pub async fn start_with(
        options: AwsOptions,
        services: impl FnOnce(&service::Neighbours) -> Vec<Arc<dyn service::Service>>,
    ) -> io::Result<Self> {
        let port = options.port;
        let hub = Arc::new(Hub::new(options));
        let services = services(&service::Neighbours::new(Arc::clone(&hub)));
        let door = Arc::new(Door {
            hub: Arc::clone(&hub),
            services,
        });
        let server = Server::start(door, port).await?;
        hub.endpoint
            .get_or_init(|| format!("http://{}", server.address));
        Ok(Self { hub, server })
    }

    /// Where clients connect: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Lets a fault wait for its requests; says whether there was room.
    pub fn inject(&self, fault: Fault) -> bool {
        self.hub.faults.add(fault)
    }

    /// What its streams, queues and tables hold, read without HTTP.
    pub fn feeds(&self) -> feeds::Feeds {
        feeds::Feeds::new(Arc::clone(&self.hub))
    }

    /// Ends it: no new connections, open ones get a moment.
    ///
    /// # Cancel safety
    /// Dropping the future leaves tasks that end by themselves.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
