//! Runs the API server alone until standard input ends: `serve DIR [PORT]`. For trying clients against it.

use std::path::PathBuf;

use tidegate_sandbox_kubernetes::{Options, Server};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().map(PathBuf::from);
    let port = arguments
        .next()
        .map(|port| port.parse())
        .transpose()?
        .unwrap_or(0);
    let server = Server::start(Options {
        port,
        dir,
        ..Options::default()
    })
    .await?;
    let path = server
        .kubeconfig_path()
        .map(|path| path.display().to_string());
    tracing::info!(url = server.url(), kubeconfig = path, "ready");
    let mut ignored = Vec::new();
    tokio::io::stdin().read_to_end(&mut ignored).await?;
    server.shutdown().await;
    Ok(())
}
