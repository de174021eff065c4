//! Lambda with functions that run, and the services around it: event source mappings, IAM, STS, CloudWatch Logs.
//!
//! Functions run as local processes, and only when whoever starts the sandbox says so. Must not know: the engine, the
//! appliers, any AWS SDK.
//!
//! ```no_run
//! # async fn start() -> std::io::Result<()> {
//! use tidegate_sandbox_aws::AwsOptions;
//! use tidegate_sandbox_lambda::LambdaOptions;
//!
//! let lambda = LambdaOptions { run_functions: true, ..LambdaOptions::default() };
//! let sandbox = tidegate_sandbox_lambda::start(AwsOptions::default(), lambda).await?;
//! println!("AWS_ENDPOINT_URL={}", sandbox.endpoint());
//! # Ok(())
//! # }
//! ```

use std::io;
use std::sync::Arc;

use tidegate_sandbox_aws::{AwsOptions, SandboxAws};

mod code;
mod fault;
mod function;
mod iam;
mod invocation;
mod invoke;
mod lambda;
mod later;
mod layers;
mod logs;
mod manage;
mod mappings;
mod names;
mod operation;
mod options;
mod pollers;
mod runner;
mod settings;
mod sts;
#[cfg(test)]
mod testing;
mod urls;

pub use options::LambdaOptions;

use iam::Access;
use invocation::Invocations;
use lambda::{Asked, Guarded, Lambda, LambdaDoor};
use logs::Logs;
use mappings::Mappings;
use runner::{Programs, Runner};
use tidegate_sandbox_aws::service::{Functions, Neighbours, Service};

/// Starts the AWS API with every service of the sandbox.
///
/// # Errors
/// When the port cannot be taken.
pub async fn start(aws: AwsOptions, options: LambdaOptions) -> io::Result<SandboxAws> {
    SandboxAws::start_with(aws, |neighbours| services(neighbours, options)).await
}

fn services(neighbours: &Neighbours, options: LambdaOptions) -> Vec<Arc<dyn Service>> {
    compose(neighbours, options).1
}

/// Lambda, and the services of this crate, itself among them.
fn compose(
    neighbours: &Neighbours,
    options: LambdaOptions,
) -> (Arc<Lambda>, Vec<Arc<dyn Service>>) {
    let access = Arc::new(Access::new(neighbours.clone(), options.propagation));
    let logs = Arc::new(Logs::new(neighbours.clone()));
    let lambda = Arc::new_cyclic(|own| Lambda {
        neighbours: neighbours.clone(),
        roles: Arc::clone(&access) as _,
        lines: Arc::clone(&logs) as _,
        runner: Runner::new(Programs {
            python: options.python.clone(),
            node: options.node.clone(),
        }),
        options,
        state: Guarded::default(),
        running: Guarded::default(),
        later: later::waiting(),
        tasks: Guarded::default(),
        own: own.clone(),
    });
    let asked: Arc<dyn Functions> = Arc::new(Asked(Arc::clone(&lambda)));
    neighbours.set_functions(asked);
    let invoker = Arc::new(Invocations {
        lambda: Arc::downgrade(&lambda),
    });
    let mappings = Mappings::new(Arc::clone(&lambda), invoker);
    let door = LambdaDoor {
        lambda: Arc::clone(&lambda),
        mappings: Some(Arc::new(mappings)),
    };
    (lambda, vec![access, logs, Arc::new(door)])
}
