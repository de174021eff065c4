//! IAM and STS as services of the sandbox: the query protocol around their state, and what Lambda asks of roles.
//!
//! Must not know: what operations do.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate_sandbox_aws::service::{
    Incoming, Neighbours, Outgoing, Refusal, Scope, Service, form,
};

use super::{Iam, Roles};
use crate::sts::Sessions;

const IAM: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// Bytes of a request.
const BODY_BYTES: usize = 1 << 20;

/// IAM and STS of one sandbox.
#[derive(Debug)]
pub(crate) struct Access {
    neighbours: Neighbours,
    /// How long a change takes to be seen by other services.
    spread: SignedDuration,
    iam: Mutex<Iam>,
    sessions: Mutex<Sessions>,
}

impl Access {
    /// Without roles; what is made later is seen by Lambda after `spread`.
    pub(crate) fn new(neighbours: Neighbours, spread: Duration) -> Self {
        Self {
            neighbours,
            spread: SignedDuration::try_from(spread).unwrap_or(SignedDuration::MAX),
            iam: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    fn iam(&self) -> MutexGuard<'_, Iam> {
        self.iam.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(
        &self,
        scope: &Scope,
        service: &str,
        action: &str,
        request: &Incoming,
        input: &Value,
    ) -> Result<Value, Refusal> {
        if let Some(fault) = self.neighbours.fault(service, action) {
            return Err(fault);
        }
        if service == "iam" {
            return self.iam().call(scope, self.spread, action, input);
        }
        let iam = self.iam();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.call(scope, &iam, access_key(request).as_deref(), action, input)
    }
}

/// The access key that signed a request.
fn access_key(request: &Incoming) -> Option<String> {
    let header = request.header("authorization")?;
    let (_, rest) = header.split_once("Credential=")?;
    rest.split('/').next().map(str::to_owned)
}

#[async_trait]
impl Service for Access {
    fn takes(&self, service: Option<&str>, _: &Incoming) -> bool {
        matches!(service, Some("iam" | "sts"))
    }

    async fn answer(&self, scope: &Scope, request: &Incoming) -> Outgoing {
        let mut pairs = request.parameters();
        let unsigned_of = pairs
            .iter()
            .find(|(name, _)| name == "X-Amz-Credential")
            .map(|(_, value)| value.contains("/sts/"));
        let service = match request.header("authorization") {
            Some(header) if header.contains("/sts/aws4_request") => "sts",
            Some(_) => "iam",
            None if unsigned_of == Some(true) => "sts",
            None => "iam",
        };
        let namespace = if service == "iam" { IAM } else { STS };
        let id = scope.uuid(&format!("{service}{}", request.body.len()));
        let refused = |refusal: &Refusal| {
            let body = form::error(
                namespace,
                &refusal.code,
                &refusal.message,
                refusal.status,
                &id,
            );
            Outgoing::new(refusal.status, "text/xml", body)
        };
        if request.body.len() > BODY_BYTES {
            let refusal = tidegate_sandbox_aws::service::refuse(
                "RequestEntityTooLarge",
                "Request entity too large",
            );
            return refused(&refusal.status(413));
        }
        pairs.extend(form::pairs(&String::from_utf8_lossy(&request.body)));
        let input = form::document(&pairs);
        let action = input["Action"].as_str().unwrap_or("");
        match self.call(scope, service, action, request, &input) {
            Ok(value) => {
                let body = form::answer(action, namespace, &value, &[], &id);
                Outgoing::new(200, "text/xml", body)
            }
            Err(refusal) => refused(&refusal),
        }
    }
}

impl Roles for Access {
    fn assumable_by_lambda(&self, role_arn: &str, now: Timestamp) -> bool {
        self.iam()
            .assume(role_arn, "lambda.amazonaws.com", now)
            .is_ok()
    }
}
