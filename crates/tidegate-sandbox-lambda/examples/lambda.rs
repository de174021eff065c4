//! Runs the whole AWS API of the sandbox by itself, with functions that run, until it is interrupted: `serve [PORT] [--no-delays]`.
//!
//! `TIDEGATE_PYTHON` names the interpreter of Python handlers, for example one that has boto3.
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
    let mut lambda = if hasty {
        LambdaOptions::immediate(true)
    } else {
        LambdaOptions {
            run_functions: true,
            ..LambdaOptions::default()
        }
    };
    if let Some(python) = std::env::var_os("TIDEGATE_PYTHON") {
        lambda.python = python.into();
    }
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
