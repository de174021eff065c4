//! How a function is invoked from inside: what pollers and deliveries ask for.
//!
//! Must not know: how a function runs.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use tidegate_sandbox_aws::service::Refusal;

/// What became of an invocation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Invoked {
    /// What the function returned, and the version that ran.
    Answer { body: Bytes, version: String },
    /// It failed in this version.
    FunctionError { version: String },
    /// It was not run: throttled (`TooManyRequestsException`), gone (`ResourceNotFoundException`) and the like.
    Refused(Refusal),
}

/// Runs functions and waits for what they return.
#[async_trait]
pub(crate) trait Invoker: Send + Sync + Debug {
    /// Invokes the function with this ARN, with or without a qualifier.
    async fn invoke(&self, arn: &str, payload: Bytes) -> Invoked;
}
