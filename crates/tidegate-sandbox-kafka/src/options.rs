//! What a broker is started with: its port, its name, its limits.
//!
//! Must not know: requests.

use crate::clock::Clock;

/// How the broker starts; the default is any free port, node 1 and the system's clock.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Port on loopback; 0 takes any free one.
    pub port: u16,
    /// Port of a second listener that wants SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512); `None`: no such listener.
    pub sasl_port: Option<u16>,
    /// Users of SASL PLAIN: name and password.
    pub plain_users: Vec<(String, String)>,
    /// The broker's id.
    pub node_id: i32,
    /// The cluster's id, as clients see it.
    pub cluster_id: String,
    /// Where it reads the time.
    pub clock: Clock,
    /// Whether metadata and produce requests create topics that are missing.
    pub auto_create_topics: bool,
    /// Partitions of a topic whose creator names none.
    pub default_partitions: i32,
    /// Replicas that count as in sync for `min.insync.replicas`; more than one where this broker stands for several.
    pub in_sync_replicas: i64,
    /// How long a first member waits for others, in milliseconds (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay_ms: i32,
    /// What it holds at most.
    pub limits: Limits,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            port: 0,
            sasl_port: None,
            plain_users: Vec::new(),
            node_id: 1,
            cluster_id: "tidegate-sandbox-kafka".to_owned(),
            clock: Clock::System,
            auto_create_topics: true,
            default_partitions: 1,
            in_sync_replicas: 1,
            initial_rebalance_delay_ms: 0,
            limits: Limits::default(),
        }
    }
}

/// What the broker holds at most; beyond it requests are refused in words.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one request frame (`socket.request.max.bytes`).
    pub frame_bytes: usize,
    /// Connections served at once.
    pub connections: usize,
    /// Topics of the broker.
    pub topics: usize,
    /// Partitions of all topics together.
    pub partitions: usize,
    /// Bytes of records of all partitions together.
    pub log_bytes: usize,
    /// Consumer groups.
    pub groups: usize,
    /// Members of one group.
    pub members: usize,
    /// ACL bindings, SCRAM credentials and quota entities, each.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 100 << 20,
            connections: 1_000,
            topics: 10_000,
            partitions: 20_000,
            log_bytes: 1 << 30,
            groups: 10_000,
            members: 1_000,
            entries: 10_000,
        }
    }
}
