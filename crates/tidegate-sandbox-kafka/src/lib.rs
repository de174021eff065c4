//! The Kafka broker of the sandbox: the wire protocol on loopback, everything in memory and bounded.
//!
//! Must not know: the engine, the appliers, any Kafka client.
//!
//! ```no_run
//! # async fn start() -> std::io::Result<()> {
//! use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};
//!
//! let broker = SandboxKafka::start(KafkaOptions::default()).await?;
//! println!("bootstrap.servers={}", broker.bootstrap());
//! broker.shutdown().await;
//! # Ok(())
//! # }
//! ```

use std::io;
use std::sync::Arc;

mod acls;
mod altering;
mod batch;
mod broker;
mod brokerconfigs;
mod clock;
mod cluster;
mod committed;
mod compaction;
mod configs;
mod dispatch;
mod faults;
mod fetch;
mod groups;
mod growth;
mod joining;
mod lock;
mod log;
mod membership;
mod metadata;
mod offsets;
mod options;
mod produce;
mod producers;
mod quotas;
mod records;
mod sasl;
mod scram;
mod server;
mod session;
mod shapes;
mod topics;
mod view;
mod wire;

pub use clock::{Clock, ManualClock};
pub use faults::{Fault, FaultKind};
pub use options::{KafkaOptions, Limits};
pub use view::{AclBinding, PartitionView, Refused, TopicView, Topics, Users};

use broker::Hub;
use server::Server;

/// The broker, running.
#[derive(Debug)]
pub struct SandboxKafka {
    hub: Arc<Hub>,
    server: Server,
}

impl SandboxKafka {
    /// Starts it on loopback.
    ///
    /// # Errors
    /// When a port cannot be taken.
    pub async fn start(options: KafkaOptions) -> io::Result<Self> {
        let hub = Hub::new(options);
        let server = Server::start(&hub).await?;
        Ok(Self { hub, server })
    }

    /// Where clients connect: `127.0.0.1:PORT`.
    pub fn bootstrap(&self) -> String {
        self.server.address.to_string()
    }

    /// Where clients connect with SASL, when that listener was asked for.
    pub fn sasl_bootstrap(&self) -> Option<String> {
        self.server.sasl.map(|address| address.to_string())
    }

    /// Its topics, without the wire.
    pub fn topics(&self) -> Topics {
        Topics::new(Arc::clone(&self.hub))
    }

    /// Its users, their ACLs and quotas, without the wire.
    pub fn users(&self) -> Users {
        Users::new(Arc::clone(&self.hub))
    }

    /// Lets a fault wait for its requests; says whether such requests are served and there was room.
    pub fn inject(&self, fault: Fault) -> bool {
        fault.api().is_none_or(dispatch::serves) && self.hub.faults.add(fault)
    }

    /// Forgets the faults that still wait for their requests; those that began go on.
    pub fn clear_faults(&self) {
        self.hub.faults.clear();
    }

    /// Ends it: no new connections, open ones are closed.
    ///
    /// # Cancel safety
    /// Dropping the future leaves tasks that end by themselves.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
