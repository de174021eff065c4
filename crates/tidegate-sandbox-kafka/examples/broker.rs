//! A broker on its own: `cargo run -p tidegate-sandbox-kafka --example broker [PORT [SASL_PORT]]`, until interrupted.

use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut ports = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok());
    let broker = SandboxKafka::start(KafkaOptions {
        port: ports.next().unwrap_or(0),
        sasl_port: ports.next(),
        ..KafkaOptions::default()
    })
    .await?;
    tracing::info!(bootstrap = broker.bootstrap(), "ready");
    tokio::signal::ctrl_c().await?;
    broker.shutdown().await;
    Ok(())
}
