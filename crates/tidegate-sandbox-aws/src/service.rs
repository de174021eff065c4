//! What a service of another crate joins the sandbox with: its requests, its answers, and its neighbours.
//!
//! Must not know: which services join.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::feeds::Feeds;
use crate::hub::Hub;
use crate::options::AwsOptions;

pub use crate::door::{Incoming, Outgoing, Service};
pub use crate::hub::Functions;
pub use crate::refusal::{Refusal, refuse};
pub use crate::regions::Scope;

/// The query protocol: parameters in, XML out.
pub mod form {
    pub use crate::form::{Maps, answer, document, error, escape, pairs};
}

/// The filters of events and rules: patterns over JSON.
pub mod pattern {
    pub use crate::filter::{check_text, matches_text};
}

/// The other services; clones are the same ones.
#[derive(Clone, Debug)]
pub struct Neighbours {
    hub: Arc<Hub>,
}

impl Neighbours {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// How the sandbox was started.
    pub fn options(&self) -> &AwsOptions {
        &self.hub.options
    }

    /// Where the time is read.
    pub fn clock(&self) -> &Clock {
        self.hub.clock()
    }

    /// Where the sandbox is reached; empty until it listens.
    pub fn endpoint(&self) -> String {
        self.hub.endpoint.get().cloned().unwrap_or_default()
    }

    /// The fault that a request meets, used up once.
    pub fn fault(&self, service: &str, operation: &str) -> Option<Refusal> {
        self.hub.faults.meet(service, operation)
    }

    /// Calls an operation of a JSON service (`kinesis`, `dynamodb`, `sqs`, `sns`, `events`…) as a request would.
    ///
    /// # Errors
    /// The service's own refusal.
    pub fn call(
        &self,
        scope: &Scope,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        self.hub.call_now(scope, service, operation, input)
    }

    /// An object of S3.
    ///
    /// # Errors
    /// S3's own refusal.
    pub fn object(&self, scope: &Scope, bucket: &str, key: &str) -> Result<Bytes, Refusal> {
        self.bucket("GET", scope, bucket, key, Bytes::new())
    }

    /// Puts an object into S3.
    ///
    /// # Errors
    /// S3's own refusal.
    pub fn put_object(
        &self,
        scope: &Scope,
        bucket: &str,
        key: &str,
        body: Bytes,
    ) -> Result<(), Refusal> {
        self.bucket("PUT", scope, bucket, key, body).map(drop)
    }

    fn bucket(
        &self,
        method: &str,
        scope: &Scope,
        bucket: &str,
        key: &str,
        body: Bytes,
    ) -> Result<Bytes, Refusal> {
        let request = crate::s3::Request {
            method: method.to_owned(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            body,
            ..crate::s3::Request::default()
        };
        self.hub
            .call_s3(scope, &request)
            .map(|response| response.body)
    }

    /// Streams, queues and change logs, read as pollers do.
    pub fn feeds(&self) -> Feeds {
        Feeds::new(Arc::clone(&self.hub))
    }

    /// Changes whenever a request may have added something to read.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.hub.changes()
    }

    /// Gives topics, buckets, rules and schedules a way to functions; the first who calls it is the one.
    pub fn set_functions(&self, functions: Arc<dyn Functions>) {
        // A second Lambda service would be a mistake of whoever composes the sandbox; the first one stays.
        let _ = self.hub.functions.set(functions);
    }
}
