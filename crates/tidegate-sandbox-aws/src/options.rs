//! What whoever starts the sandbox chooses: address, account, delays, faults.
//!
//! Must not know: services.

use std::time::Duration;

use crate::clock::Clock;

/// How to start the AWS API.
#[derive(Clone, Debug)]
pub struct AwsOptions {
    /// The port on loopback; 0 takes any free one.
    pub port: u16,
    /// The account, twelve digits.
    pub account: String,
    /// The region of requests that name none.
    pub region: String,
    /// Where the time is read.
    pub clock: Clock,
    /// How long changes take.
    pub delays: Delays,
}

impl Default for AwsOptions {
    fn default() -> Self {
        Self {
            port: 0,
            account: "123456789012".into(),
            region: "us-east-1".into(),
            clock: Clock::System,
            delays: Delays::default(),
        }
    }
}

/// How long the services take for what AWS does not do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// CREATING, UPDATING and DELETING of a stream.
    pub stream: Duration,
    /// CREATING and DELETING of a stream's consumer.
    pub consumer: Duration,
    /// CREATING, UPDATING and DELETING of a table and its indexes.
    pub table: Duration,
    /// A request of Cloud Control.
    pub resource_request: Duration,
    /// How long the name of a deleted queue stays unusable.
    pub queue_name_reuse: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            stream: Duration::from_millis(500),
            consumer: Duration::from_millis(300),
            table: Duration::from_millis(300),
            resource_request: Duration::from_millis(400),
            queue_name_reuse: Duration::from_secs(60),
        }
    }
}

impl Delays {
    /// No delay at all: every change is done by the time its answer is read, and names can be reused at once.
    pub fn none() -> Self {
        Self {
            stream: Duration::ZERO,
            consumer: Duration::ZERO,
            table: Duration::ZERO,
            resource_request: Duration::ZERO,
            queue_name_reuse: Duration::ZERO,
        }
    }
}

/// An answer that the sandbox gives instead of doing what it was asked: throttles, conflicts, outages on demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `kinesis`, `dynamodb`, `sqs`, `s3`… as in the credential scope of requests.
    pub service: String,
    /// The operation, such as `CreateStream`; `None` for all of the service. S3 has `PUT` and the like.
    pub operation: Option<String>,
    /// The error's code, such as `ThrottlingException`.
    pub code: String,
    /// Its words.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// How many requests meet it.
    pub times: u32,
}
