//! Runs the AWS API of the sandbox by itself, until it is interrupted.
#![expect(
    clippy::print_stdout,
    reason = "the address is what this program is for"
)]

use tidegate_sandbox_aws::{AwsOptions, SandboxAws};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let sandbox = SandboxAws::start(AwsOptions {
        port,
        ..AwsOptions::default()
    })
    .await?;
    println!("{}", sandbox.endpoint());
    tokio::signal::ctrl_c().await?;
    sandbox.shutdown().await;
    Ok(())
}
