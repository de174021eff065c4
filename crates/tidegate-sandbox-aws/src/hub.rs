//! All services of the sandbox beside each other: their state, calls between them, deliveries, tags.
//!
//! Must not know: HTTP. Locks are taken one at a time and never held across an await.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::control::{self, Resources, native::ByCalls};
use crate::dynamodb::{self, Tables};
use crate::effect::Effect;
use crate::events::{self, Buses};
use crate::faults::Faults;
use crate::kinesis::{self, Streams};
use crate::lock::Mutex;
use crate::options::AwsOptions;
use crate::parameters::{self, Parameters};
use crate::refusal::{Refusal, check_model};
use crate::regions::{Regions, Scope};
use crate::s3::Buckets;
use crate::scheduler::{self, Schedules};
use crate::secrets::{self, Secrets};
use crate::sns::{self, Topics};
use crate::sqs::{self, Answer, Queues};
use crate::states::{self, Machines};

/// Deliveries that one request may cause, however services feed each other.
const DELIVERIES: usize = 1_000;
/// How often a long poll looks again, beside being woken: messages become visible without a request.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_millis(200);

/// Whatever runs functions: the Lambda service, when the sandbox has one.
pub trait Functions: Send + Sync + Debug {
    /// Starts an asynchronous invocation of the function with this ARN.
    ///
    /// # Errors
    /// Why it cannot be started.
    fn invoke(&self, scope: &Scope, arn: &str, event: Value) -> Result<(), Refusal>;

    /// Does a function exist, and may the service `principal` invoke it for `source`?
    fn admits(&self, arn: &str, principal: &str, source: &str) -> bool;

    /// Every function with its tags.
    fn tagged(&self, region: &str) -> Vec<(String, BTreeMap<String, String>)>;
}

/// The state of all services.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) options: AwsOptions,
    pub(crate) faults: Faults,
    pub(crate) functions: OnceLock<Arc<dyn Functions>>,
    /// Where the sandbox is reached, once it is.
    pub(crate) endpoint: OnceLock<String>,
    pub(crate) streams: Mutex<Regions<Streams>>,
    pub(crate) tables: Mutex<Regions<Tables>>,
    pub(crate) queues: Mutex<Regions<Queues>>,
    topics: Mutex<Regions<Topics>>,
    pub(crate) buckets: Mutex<Buckets>,
    buses: Mutex<Regions<Buses>>,
    schedules: Mutex<Regions<Schedules>>,
    secrets: Mutex<Regions<Secrets>>,
    parameters: Mutex<Regions<Parameters>>,
    machines: Mutex<Regions<Machines>>,
    resources: Mutex<Regions<Resources>>,
    /// Counts requests that may have changed something; pollers and long polls wait on it.
    changes: watch::Sender<u64>,
}

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

impl Hub {
    pub(crate) fn new(options: AwsOptions) -> Self {
        Self {
            options,
            faults: Faults::default(),
            functions: OnceLock::new(),
            endpoint: OnceLock::new(),
            streams: Mutex::default(),
            tables: Mutex::default(),
            queues: Mutex::default(),
            topics: Mutex::default(),
            buckets: Mutex::default(),
            buses: Mutex::default(),
            schedules: Mutex::default(),
            secrets: Mutex::default(),
            parameters: Mutex::default(),
            machines: Mutex::default(),
            resources: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.options.clock
    }

    /// Where changes are told.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Answers one operation of a JSON service; a receive waits for messages.
    ///
    /// # Errors
    /// The service's own refusal.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    pub(crate) async fn call(
        &self,
        scope: &Scope,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        if let Some(fault) = self.faults.meet(service, operation) {
            return Err(fault);
        }
        if service == "sqs" && operation == "ReceiveMessage" {
            return self.receive(scope, input).await;
        }
        self.call_now(scope, service, operation, input)
    }

    async fn receive(&self, scope: &Scope, input: &Value) -> Result<Value, Refusal> {
        let mut scope = scope.clone();
        let mut deadline: Option<Timestamp> = None;
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            match self.call_queues(&scope, "ReceiveMessage", input)? {
                Answer::Ready(answer) => return Ok(answer),
                Answer::Wait(seconds) => {
                    let end = *deadline
                        .get_or_insert_with(|| scope.after(SignedDuration::from_secs(seconds)));
                    if scope.now >= end {
                        return Ok(json!({}));
                    }
                    let next = scope.after(LOOK_AGAIN).min(end);
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = self.clock().sleep_until(next) => {}
                    }
                    scope.now = self.clock().now();
                }
            }
        }
    }

    fn call_queues(
        &self,
        scope: &Scope,
        operation: &str,
        input: &Value,
    ) -> Result<Answer, Refusal> {
        check_model(sqs::model(), operation, input, "InvalidParameterValue")
            .map_err(sqs::fault::missing)?;
        let reuse = signed(self.options.delays.queue_name_reuse);
        let mut queues = self.queues.lock();
        queues
            .get(&scope.region)
            .call(scope, reuse, operation, input)
    }

    /// Answers one operation of a JSON service at once.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call_now(
        &self,
        scope: &Scope,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        let mut effects = Vec::new();
        let region = &scope.region;
        let delays = self.options.delays;
        let checked = |model, code| check_model(model, operation, input, code);
        let answer = match service {
            "kinesis" => {
                checked(kinesis::model(), "ValidationException")?;
                let delays = kinesis::Delays {
                    stream: signed(delays.stream),
                    consumer: signed(delays.consumer),
                };
                self.streams
                    .lock()
                    .get(region)
                    .call(scope, delays, operation, input)
            }
            "dynamodb" => {
                checked(dynamodb::model(), "ValidationException")?;
                self.tables
                    .lock()
                    .get(region)
                    .call(scope, signed(delays.table), operation, input)
            }
            "dynamodbstreams" => {
                checked(dynamodb::streams_model(), "ValidationException")?;
                self.tables
                    .lock()
                    .get(region)
                    .call_streams(scope, operation, input)
            }
            "sqs" => self
                .call_queues(scope, operation, input)
                .map(|answer| match answer {
                    Answer::Ready(answer) => answer,
                    Answer::Wait(_) => json!({}),
                }),
            "sns" => {
                checked(sns::model(), "ValidationError")?;
                self.topics
                    .lock()
                    .get(region)
                    .call(scope, operation, input, &mut effects)
            }
            "events" => {
                checked(events::model(), "ValidationException")?;
                self.buses
                    .lock()
                    .get(region)
                    .call(scope, operation, input, &mut effects)
            }
            "scheduler" => {
                checked(scheduler::model(), "ValidationException")?;
                self.schedules
                    .lock()
                    .get(region)
                    .call(scope, operation, input)
            }
            "secretsmanager" => {
                checked(secrets::model(), "ValidationException")?;
                self.secrets
                    .lock()
                    .get(region)
                    .call(scope, operation, input)
            }
            "ssm" => {
                checked(parameters::model(), "ValidationException")?;
                self.parameters
                    .lock()
                    .get(region)
                    .call(scope, operation, input)
            }
            "states" => {
                checked(states::model(), "ValidationException")?;
                self.machines
                    .lock()
                    .get(region)
                    .call(scope, operation, input)
            }
            "cloudcontrol" => {
                checked(control::model(), "ValidationException")?;
                self.call_control(scope, operation, input)
            }
            "tagging" => crate::tagging::call(self, scope, operation, input),
            other => Err(Refusal::unsupported(other, operation)),
        };
        self.deliver(scope, effects);
        self.changed();
        answer
    }

    fn call_control(
        &self,
        scope: &Scope,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        let call = |service: &str, operation: &str, input: &Value| {
            self.call_now(scope, service, operation, input)
        };
        let natives = ByCalls { call: &call };
        let delay = signed(self.options.delays.resource_request);
        let mut resources = self.resources.lock();
        resources
            .get(&scope.region)
            .call(scope, delay, &natives, operation, input)
    }

    /// Carries deliveries out, and those that they cause, up to a limit.
    pub(crate) fn deliver(&self, scope: &Scope, effects: Vec<Effect>) {
        let mut waiting: VecDeque<Effect> = effects.into();
        let mut done = 0;
        while let Some(effect) = waiting.pop_front() {
            done += 1;
            if done > DELIVERIES {
                tracing::warn!(
                    left = waiting.len(),
                    "services feed each other in a circle; deliveries dropped"
                );
                return;
            }
            let mut caused = Vec::new();
            if let Err(refusal) = self.deliver_one(scope, &effect, &mut caused) {
                tracing::warn!(
                    code = refusal.code,
                    message = refusal.message,
                    "a delivery was refused"
                );
            }
            waiting.extend(caused);
        }
        if done > 0 {
            self.changed();
        }
    }

    fn deliver_one(
        &self,
        scope: &Scope,
        effect: &Effect,
        caused: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let at = |arn: &str| {
            let region = arn.split(':').nth(3).filter(|region| !region.is_empty());
            Scope {
                region: region.unwrap_or(&scope.region).to_owned(),
                ..scope.clone()
            }
        };
        match effect {
            Effect::Queue { arn, message } => {
                let scope = at(arn);
                self.queues
                    .lock()
                    .get(&scope.region)
                    .deliver(&scope, arn, message)
                    .map(drop)
            }
            Effect::Function { arn, event } => match self.functions.get() {
                Some(functions) => functions.invoke(&at(arn), arn, event.clone()),
                None => Err(Refusal::unsupported(
                    "sandbox",
                    "Invoke: it has no Lambda service",
                )),
            },
            Effect::Topic {
                arn,
                message,
                subject,
                group,
            } => {
                let scope = at(arn);
                let mut input = json!({"TopicArn": arn, "Message": message});
                if let Some(subject) = subject {
                    input["Subject"] = json!(subject);
                }
                if let Some(group) = group {
                    input["MessageGroupId"] = json!(group);
                    input["MessageDeduplicationId"] = json!(uuid::Uuid::new_v4().to_string());
                }
                self.topics
                    .lock()
                    .get(&scope.region)
                    .call(&scope, "Publish", &input, caused)
                    .map(drop)
            }
            Effect::Stream { arn, key, data } => {
                use base64::Engine as _;
                use base64::engine::general_purpose::STANDARD;
                let input =
                    json!({"StreamARN": arn, "PartitionKey": key, "Data": STANDARD.encode(data)});
                self.call_now(&at(arn), "kinesis", "PutRecord", &input)
                    .map(drop)
            }
            Effect::Bus { region, entry } => {
                let scope = Scope {
                    region: region.clone(),
                    ..scope.clone()
                };
                let input = json!({"Entries": [entry]});
                self.buses
                    .lock()
                    .get(region)
                    .call(&scope, "PutEvents", &input, caused)
                    .map(drop)
            }
            Effect::Machine { arn, input } => {
                let input = json!({"stateMachineArn": arn, "input": input});
                self.call_now(&at(arn), "states", "StartExecution", &input)
                    .map(drop)
            }
            Effect::Unreachable { arn, reason } => {
                tracing::warn!(arn, reason, "a delivery has no way");
                Ok(())
            }
        }
    }

    /// Answers a request to S3.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call_s3(
        &self,
        scope: &Scope,
        request: &crate::s3::Request,
    ) -> Result<crate::s3::Response, Refusal> {
        if let Some(fault) = self.faults.meet("s3", &request.method) {
            return Err(fault);
        }
        let reachable = |target: &str, bucket: &str| self.reachable(target, bucket);
        let mut effects = Vec::new();
        let answer = self
            .buckets
            .lock()
            .call(scope, request, &reachable, &mut effects);
        self.deliver(scope, effects);
        answer
    }

    /// Can a bucket send notifications to an ARN?
    fn reachable(&self, target: &str, bucket: &str) -> bool {
        let parts: Vec<&str> = target.split(':').collect();
        let region = parts.get(3).copied().unwrap_or("");
        match parts.get(2).copied() {
            Some("sqs") => self.queues.lock().get(region).visibility(target).is_some(),
            Some("sns") => self
                .topics
                .lock()
                .get(region)
                .tagged()
                .iter()
                .any(|(arn, _)| arn == target),
            Some("lambda") => self
                .functions
                .get()
                .is_some_and(|functions| functions.admits(target, "s3.amazonaws.com", bucket)),
            _ => false,
        }
    }

    /// Every resource of a region with its tags.
    pub(crate) fn tagged(&self, scope: &Scope) -> Vec<(String, BTreeMap<String, String>)> {
        let region = &scope.region;
        let mut all = self.streams.lock().get(region).tagged();
        all.extend(self.tables.lock().get(region).tagged());
        all.extend(self.queues.lock().get(region).tagged());
        all.extend(self.topics.lock().get(region).tagged());
        all.extend(self.buses.lock().get(region).tagged());
        all.extend(self.schedules.lock().get(region).tagged());
        all.extend(self.machines.lock().get(region).tagged());
        all.extend(self.secrets.lock().get(region).tagged());
        all.extend(self.parameters.lock().get(region).tagged(scope));
        let buckets = self.buckets.lock().tagged();
        all.extend(
            buckets
                .into_iter()
                .filter(|(place, ..)| place == region)
                .map(|(_, arn, tags)| (arn, tags)),
        );
        if let Some(functions) = self.functions.get() {
            all.extend(functions.tagged(region));
        }
        let call = |service: &str, operation: &str, input: &Value| {
            self.call_now(scope, service, operation, input)
        };
        let natives = ByCalls { call: &call };
        all.extend(self.resources.lock().get(region).tagged(&natives));
        all
    }

    /// Fires rules and schedules that are due; tells when the next one is.
    pub(crate) fn tick(&self) -> Option<Timestamp> {
        let base = Scope {
            account: self.options.account.clone(),
            region: String::new(),
            endpoint: String::new(),
            now: self.clock().now(),
        };
        let at = |region: &String| Scope {
            region: region.clone(),
            ..base.clone()
        };
        let mut effects = Vec::new();
        let mut next: Vec<Timestamp> = Vec::new();
        for (region, buses) in self.buses.lock().iter_mut() {
            buses.tick(&at(region), &mut effects);
            next.extend(buses.next_due());
        }
        for (region, schedules) in self.schedules.lock().iter_mut() {
            schedules.tick(&at(region), &mut effects);
            next.extend(schedules.next_due());
        }
        let base = Scope {
            region: self.options.region.clone(),
            ..base
        };
        self.deliver(&base, effects);
        next.into_iter().min()
    }
}
