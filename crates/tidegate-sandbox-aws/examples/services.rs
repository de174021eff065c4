//! Runs the AWS API of the sandbox by itself, until it is interrupted: `serve [PORT] [--no-delays]`.
#![expect(
    clippy::print_stdout,
    reason = "the address is what this program is for"
)]

use tidegate_sandbox_aws::{AwsOptions, Delays, SandboxAws};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let hasty = std::env::args().any(|text| text == "--no-delays");
    let sandbox = SandboxAws::start(AwsOptions {
        port,
        delays: if hasty {
            Delays::none()
        } else {
            Delays::default()
        },
        ..AwsOptions::default()
    })
    .await?;
    println!("{}", sandbox.endpoint());
    tokio::signal::ctrl_c().await?;
    sandbox.shutdown().await;
    Ok(())
}
