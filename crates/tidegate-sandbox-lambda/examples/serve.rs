//! Runs the whole AWS API of the sandbox by itself, with functions that run, until it is interrupted: `serve [PORT] [--no-delays]`.
#![expect(
    clippy::print_stdout,
    reason = "the address is what this program is for"
)]

use tidegate_sandbox_aws::{AwsOptions, Delays};
use tidegate_sandbox_lambda::LambdaOptions;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let hasty = std::env::args().any(|text| text == "--no-delays");
    let lambda = if hasty {
        LambdaOptions::immediate(true)
    } else {
        LambdaOptions {
            run_functions: true,
            ..LambdaOptions::default()
        }
    };
    let aws = AwsOptions {
        port,
        delays: if hasty {
            Delays::none()
        } else {
            Delays::default()
        },
        ..AwsOptions::default()
    };
    let sandbox = tidegate_sandbox_lambda::start(aws, lambda).await?;
    println!("{}", sandbox.endpoint());
    tokio::signal::ctrl_c().await?;
    sandbox.shutdown().await;
    Ok(())
}
