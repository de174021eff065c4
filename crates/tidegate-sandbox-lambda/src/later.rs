//! Asynchronous invocations: accepted at once, run with retries and up to an age, and what came of them sent on.
//!
//! Must not know: HTTP, how processes are run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Refusal, Scope, refuse};

use crate::fault::throttled;
use crate::lambda::Lambda;
use crate::names::{self, Named, arn};
use crate::runner::Call;

/// Asynchronous invocations that wait or run at once.
const WAITING: usize = 1_000;
/// How often a failed function is tried again, unless the function says.
const RETRIES: u64 = 2;
/// For how many seconds an event is kept, unless the function says.
const AGE_SECONDS: u64 = 21_600;
/// The longest pause while a function is throttled, in pauses of its first retry.
const THROTTLED_MOST: u32 = 300;

/// As many asynchronous invocations as may wait.
pub(crate) fn waiting() -> Arc<tokio::sync::Semaphore> {
    Arc::new(tokio::sync::Semaphore::new(WAITING))
}

/// An event that was accepted.
struct Event {
    call: Call,
    payload: Value,
    accepted: Timestamp,
    /// Runs that the function failed.
    failures: u32,
    /// Runs of which the function got the event.
    invocations: u32,
}

/// How a function wants asynchronous invocations to go on.
struct Ways {
    settings: Value,
    dead_letters: Option<String>,
    reserved: Option<u64>,
    qualifier: String,
}

impl Ways {
    fn retries(&self) -> u64 {
        self.settings["MaximumRetryAttempts"]
            .as_u64()
            .unwrap_or(RETRIES)
    }

    fn age(&self) -> SignedDuration {
        let seconds = self.settings["MaximumEventAgeInSeconds"]
            .as_u64()
            .unwrap_or(AGE_SECONDS);
        SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

/// Why an event is given up, as destinations are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Success,
    RetriesExhausted,
    EventAgeExceeded,
    ZeroReservedConcurrency,
}

impl Condition {
    fn word(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
            Self::ZeroReservedConcurrency => "ZeroReservedConcurrency",
        }
    }
}

/// What came of the last run.
struct Last {
    condition: Condition,
    /// What the function returned, or failed with; nothing when it never ran.
    payload: Option<Value>,
    version: String,
}

impl Last {
    /// What a function returned, or failed with.
    fn of(version: String, result: Result<Bytes, (&'static str, Value)>) -> Self {
        let (condition, payload) = match result {
            Ok(bytes) => {
                let body = serde_json::from_slice(&bytes).unwrap_or_default();
                (Condition::Success, body)
            }
            Err((_, shape)) => (Condition::RetriesExhausted, shape),
        };
        Self {
            condition,
            payload: Some(payload),
            version,
        }
    }

    /// A run that was refused, and whether that may pass.
    fn refused(refusal: &Refusal, ways: &Ways) -> (Self, bool) {
        let never = ways.reserved == Some(0);
        let passes = matches!(
            refusal.code.as_str(),
            "TooManyRequestsException" | "ResourceConflictException"
        );
        if !passes {
            tracing::warn!(
                code = refusal.code,
                message = refusal.message,
                "an asynchronous invocation was refused"
            );
        }
        let last = Self {
            condition: if never {
                Condition::ZeroReservedConcurrency
            } else {
                Condition::RetriesExhausted
            },
            payload: None,
            version: String::new(),
        };
        (last, passes && !never)
    }
}

impl Lambda {
    /// Starts an asynchronous invocation and gives its id.
    ///
    /// # Errors
    /// There is no such function, too many wait already, or the event is no JSON.
    pub(crate) fn invoke_later(
        &self,
        scope: &Scope,
        named: &Named,
        event: Bytes,
    ) -> Result<String, Refusal> {
        let payload: Value = serde_json::from_slice(&event).map_err(|error| {
            refuse(
                "InvalidRequestContentException",
                format!("Could not parse request body into json: {error}"),
            )
        })?;
        let lambda = self
            .own
            .upgrade()
            .ok_or_else(|| refuse("ServiceException", "the sandbox ends").status(500))?;
        self.read(scope, named, |function| {
            function.check(scope, named.qualifier.as_deref())?;
            Ok((202, Value::Null))
        })?;
        let permit = Arc::clone(&self.later).try_acquire_owned();
        let permit = permit.map_err(|_| throttled())?;
        let (scope, named) = (scope.clone(), named.clone());
        let id = uuid::Uuid::new_v4().to_string();
        let event = Event {
            call: Call {
                id: id.clone(),
                arn: arn(&scope, &named.name, named.qualifier.as_deref()),
                event,
                client: Value::Null,
            },
            payload,
            accepted: self.neighbours.clock().now(),
            failures: 0,
            invocations: 0,
        };
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            lambda.later(&scope, &named, event).await;
            drop(permit);
        });
        Ok(id)
    }

    /// Runs an asynchronous invocation with its retries, and sends what came of it on.
    async fn later(self: &Arc<Self>, scope: &Scope, named: &Named, mut event: Event) {
        let clock = self.neighbours.clock();
        let mut throttles = 0_u32;
        loop {
            let scope = Scope {
                now: clock.now(),
                ..scope.clone()
            };
            let done = self.run(&scope, named, &event.call).await;
            // A function that is gone takes its events with it.
            let Some(ways) = self.ways(&scope, named) else {
                return;
            };
            let (last, pause) = match done {
                Ok((ready, outcome)) => {
                    event.invocations += 1;
                    let last = Last::of(ready.job.version, outcome.result);
                    let ends = u64::from(event.failures) >= ways.retries();
                    if last.condition == Condition::Success || ends {
                        self.send_on(&scope, named, &ways, &event, &last);
                        return;
                    }
                    event.failures += 1;
                    (last, self.options.retry * event.failures)
                }
                Err(refusal) => {
                    let (last, passes) = Last::refused(&refusal, &ways);
                    if !passes {
                        self.send_on(&scope, named, &ways, &event, &last);
                        return;
                    }
                    let factor = 2_u32.saturating_pow(throttles).min(THROTTLED_MOST);
                    throttles += 1;
                    let pause = self.options.retry * factor;
                    (last, pause.max(Duration::from_millis(1)))
                }
            };
            let wake = clock
                .now()
                .saturating_add(SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX))
                .unwrap_or(Timestamp::MAX);
            clock.sleep_until(wake).await;
            if clock.now().duration_since(event.accepted) > ways.age() {
                let last = Last {
                    condition: Condition::EventAgeExceeded,
                    ..last
                };
                self.send_on(&scope, named, &ways, &event, &last);
                return;
            }
        }
    }

    fn ways(&self, scope: &Scope, named: &Named) -> Option<Ways> {
        let state = self.state.lock();
        let key = (scope.region.clone(), named.name.clone());
        let function = state.functions.get(&key)?;
        let version = function.version(scope, named.qualifier.as_deref()).ok()?;
        let qualifier = named.qualifier.as_deref().unwrap_or(names::LATEST);
        let dead = version.config.get("DeadLetterConfig");
        Some(Ways {
            settings: function
                .invocations
                .get(qualifier)
                .cloned()
                .unwrap_or_default(),
            dead_letters: dead
                .and_then(|dead| dead["TargetArn"].as_str())
                .map(str::to_owned),
            reserved: function.concurrency,
            qualifier: qualifier.to_owned(),
        })
    }

    /// Sends what came of an event to its destination, and an event that failed to the dead letters.
    fn send_on(&self, scope: &Scope, named: &Named, ways: &Ways, event: &Event, last: &Last) {
        let failed = last.condition != Condition::Success;
        let words = last
            .payload
            .as_ref()
            .map(|shape| shape["errorMessage"].as_str().unwrap_or_default());
        if failed && let Some(target) = &ways.dead_letters {
            let attributes = json!({
                "RequestID": {"DataType": "String", "StringValue": event.call.id},
                "ErrorCode": {"DataType": "Number", "StringValue": if words.is_some() { "200" } else { "429" }},
                // An empty value is no attribute to a queue.
                "ErrorMessage": {"DataType": "String", "StringValue": words.filter(|words| !words.is_empty()).unwrap_or("Rate Exceeded.")},
            });
            let text = String::from_utf8_lossy(&event.call.event);
            self.sent(target, self.send(scope, target, &text, Some(attributes)));
        }
        let which = if failed { "OnFailure" } else { "OnSuccess" };
        let Some(target) = ways.settings["DestinationConfig"][which]["Destination"].as_str() else {
            return;
        };
        let function = arn(scope, &named.name, Some(&ways.qualifier));
        let mut document = json!({
            "version": "1.0", "timestamp": scope.now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            "requestContext": {
                "requestId": event.call.id, "functionArn": function,
                "condition": last.condition.word(), "approximateInvokeCount": event.invocations,
            },
            "requestPayload": event.payload,
        });
        if let Some(payload) = &last.payload {
            let mut context = json!({"statusCode": 200, "executedVersion": last.version});
            if failed {
                context["functionError"] = json!("Unhandled");
            }
            document["responseContext"] = context;
            document["responsePayload"] = payload.clone();
        }
        let sent = self.send_document(scope, named, target, &function, failed, &document);
        self.sent(target, sent);
    }

    fn sent(&self, target: &str, sent: Result<(), Refusal>) {
        if let Err(refusal) = sent {
            tracing::warn!(
                target,
                code = refusal.code,
                message = refusal.message,
                "a destination was refused"
            );
        }
    }

    fn send_document(
        &self,
        scope: &Scope,
        named: &Named,
        target: &str,
        function: &str,
        failed: bool,
        document: &Value,
    ) -> Result<(), Refusal> {
        let there = self.there(scope, target);
        match target.split(':').nth(2) {
            Some("lambda") => {
                let named = names::parse(target, None)?;
                let event = Bytes::from(document.to_string());
                self.invoke_later(&there, &named, event).map(drop)
            }
            Some("events") => {
                let how = if failed { "Failure" } else { "Success" };
                let entry = json!({
                    "EventBusName": target, "Source": "lambda", "Detail": document.to_string(),
                    "DetailType": format!("Lambda Function Invocation Result - {how}"), "Resources": [target, function],
                });
                self.neighbours
                    .call(&there, "events", "PutEvents", &json!({"Entries": [entry]}))
                    .map(drop)
            }
            Some("s3") => {
                let bucket = target.rsplit(':').next().unwrap_or_default();
                let day = scope.now.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S");
                let key = format!(
                    "aws/lambda/async/{}/{day}-{}",
                    named.name,
                    uuid::Uuid::new_v4()
                );
                self.neighbours
                    .put_object(&there, bucket, &key, Bytes::from(document.to_string()))
            }
            _ => self.send(scope, target, &document.to_string(), None),
        }
    }

    /// The scope of the region that an ARN names.
    fn there(&self, scope: &Scope, target: &str) -> Scope {
        let region = target.split(':').nth(3).filter(|region| !region.is_empty());
        Scope {
            region: region.unwrap_or(&scope.region).to_owned(),
            now: self.neighbours.clock().now(),
            ..scope.clone()
        }
    }

    /// Sends a text to a queue or a topic.
    fn send(
        &self,
        scope: &Scope,
        target: &str,
        text: &str,
        attributes: Option<Value>,
    ) -> Result<(), Refusal> {
        let there = self.there(scope, target);
        let name = target.rsplit(':').next().unwrap_or_default();
        let (service, operation, mut input) = match target.split(':').nth(2) {
            Some("sqs") => (
                "sqs",
                "SendMessage",
                json!({"QueueUrl": name, "MessageBody": text}),
            ),
            Some("sns") => (
                "sns",
                "Publish",
                json!({"TopicArn": target, "Message": text}),
            ),
            _ => {
                return Err(refuse(
                    "InvalidParameterValueException",
                    "the sandbox sends nothing there",
                ));
            }
        };
        if let Some(attributes) = attributes {
            input["MessageAttributes"] = attributes;
        }
        self.neighbours
            .call(&there, service, operation, &input)
            .map(drop)
    }
}

#[cfg(test)]
mod tests;
