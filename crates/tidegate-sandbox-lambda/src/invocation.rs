//! Invocations: by a request and by pollers, and what a function finds around it when it runs.
//!
//! Must not know: how processes are run, how asynchronous invocations go on (`later`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use tidegate_sandbox_aws::service::{Incoming, Outgoing, Refusal, Scope, refuse};

use crate::fault::{self, conflict, throttled};
use crate::invoke::{Invoked, Invoker};
use crate::lambda::Lambda;
use crate::names::{self, Named, arn};
use crate::runner::{Call, Job, Outcome};

/// Bytes of an event.
const EVENT_BYTES: usize = 6 << 20;
/// Bytes of an event that is run later.
const LATER_BYTES: usize = 1 << 20;
/// Bytes of a log's tail.
const TAIL_BYTES: usize = 4 << 10;

/// Runs functions: the API, the runner and what they share.
#[derive(Debug)]
pub(crate) struct Invocations {
    pub(crate) lambda: std::sync::Weak<Lambda>,
}

/// What is needed to run one call.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) job: Job,
    name: String,
    group: String,
}

/// Counts a running invocation of a function until it is dropped.
#[derive(Debug)]
struct Running {
    lambda: Arc<Lambda>,
    key: (String, String),
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.lambda.running.lock();
        if let Some(count) = running.get_mut(&self.key) {
            *count = count.saturating_sub(1);
        }
    }
}

impl Lambda {
    /// What an invocation of a function needs.
    fn ready(&self, scope: &Scope, named: &Named) -> Result<Ready, Refusal> {
        let mut state = self.state.lock();
        let key = (scope.region.clone(), named.name.clone());
        let gone = || {
            let place = arn(scope, &named.name, named.qualifier.as_deref());
            fault::missing(format!("Function not found: {place}"))
        };
        let function = state.functions.get_mut(&key).ok_or_else(gone)?;
        let version = function.resolve(scope, named.qualifier.as_deref())?;
        if version.is_pending(scope.now) {
            return Err(conflict(
                "The operation cannot be performed at this time. The function is currently in the following state: Pending",
            ));
        }
        if !self.options.run_functions {
            return Err(refuse(
                "InvalidRuntimeException",
                "functions do not run in this sandbox: their code did not come from a directory that somebody named; pass --run-functions to run it all the same",
            )
            .status(502));
        }
        if let Some(image) = &version.code.image {
            return Err(refuse(
                "InvalidRuntimeException",
                format!(
                    "the sandbox runs no container images, and {} is {image}",
                    named.name
                ),
            )
            .status(502));
        }
        let config = &version.config;
        let layers = config
            .get("Layers")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let group = config
            .get("LoggingConfig")
            .and_then(|logging| logging["LogGroup"].as_str())
            .map_or_else(|| format!("/aws/lambda/{}", function.name), str::to_owned);
        let name = function.name.clone();
        let code = Arc::clone(&version.code);
        let job = Job {
            function: arn(scope, &name, None),
            version: version.name.clone(),
            revision: version.revisions.build.clone(),
            runtime: version.text("Runtime").to_owned(),
            handler: version.text("Handler").to_owned(),
            memory: version.number("MemorySize", 128),
            storage: config
                .get("EphemeralStorage")
                .and_then(|storage| storage["Size"].as_u64())
                .unwrap_or(512),
            timeout: Duration::from_secs(version.number("Timeout", 3)),
            environment: environment(scope, &name, version, &self.neighbours.endpoint(), &group),
            code,
            layers: layers
                .iter()
                .filter_map(|layer| state.layers.code(layer["Arn"].as_str()?))
                .collect(),
        };
        Ok(Ready { job, name, group })
    }

    /// Counts an invocation, unless the function runs as often as it may.
    fn enter(self: &Arc<Self>, scope: &Scope, name: &str) -> Result<Running, Refusal> {
        let key = (scope.region.clone(), name.to_owned());
        let reserved = {
            let state = self.state.lock();
            state
                .functions
                .get(&key)
                .and_then(|function| function.concurrency)
        };
        let mut running = self.running.lock();
        let count = running.entry(key.clone()).or_default();
        if reserved.is_some_and(|most| *count >= most) {
            return Err(throttled());
        }
        *count += 1;
        drop(running);
        Ok(Running {
            lambda: Arc::clone(self),
            key,
        })
    }

    /// Runs one call and writes its log.
    pub(crate) async fn run(
        self: &Arc<Self>,
        scope: &Scope,
        named: &Named,
        call: &Call,
    ) -> Result<(Ready, Outcome), Refusal> {
        let ready = self.ready(scope, named)?;
        let _running = self.enter(scope, &ready.name)?;
        let outcome = self.runner.run(&ready.job, call).await?;
        self.forget_replaced(&ready.job, scope, named);
        let lines = log_lines(&ready.job, call, &outcome);
        let now = self.neighbours.clock().now();
        let stream = stream_name(&ready.job);
        let stamped: Vec<_> = lines.into_iter().map(|line| (now, line)).collect();
        self.lines
            .put(&scope.region, &ready.group, &stream, &stamped);
        Ok((ready, outcome))
    }

    /// Ends the warm process of a version that was deleted or changed while it ran.
    fn forget_replaced(&self, job: &Job, scope: &Scope, named: &Named) {
        let key = (scope.region.clone(), named.name.clone());
        let is_current = {
            let state = self.state.lock();
            let function = state.functions.get(&key);
            let version =
                function.and_then(|function| function.version(scope, Some(&job.version)).ok());
            version.is_some_and(|version| version.revisions.build == job.revision)
        };
        if !is_current {
            self.runner
                .forget_revision(&job.function, &job.version, &job.revision);
        }
    }

    /// Ends asynchronous invocations and all processes.
    pub(crate) async fn shutdown(&self) {
        self.runner.close();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
        self.runner.idle().await;
    }

    pub(crate) async fn invoke_over_http(
        self: &Arc<Self>,
        scope: &Scope,
        name: &str,
        request: &Incoming,
    ) -> Outgoing {
        match self.invoke_request(scope, name, request).await {
            Ok(answer) => answer,
            Err(refusal) => fault::answer(&refusal),
        }
    }

    async fn invoke_request(
        self: &Arc<Self>,
        scope: &Scope,
        name: &str,
        request: &Incoming,
    ) -> Result<Outgoing, Refusal> {
        let query = request.parameters();
        let qualifier = query.iter().find(|(key, _)| key == "Qualifier");
        let named = names::parse(name, qualifier.map(|(_, value)| value.as_str()))?;
        let event = if request.body.is_empty() {
            Bytes::from_static(b"{}")
        } else {
            request.body.clone()
        };
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&event) {
            return Err(refuse(
                "InvalidRequestContentException",
                format!("Could not parse request body into json: {error}"),
            ));
        }
        let kind = request
            .header("x-amz-invocation-type")
            .unwrap_or("RequestResponse");
        let most = if kind == "Event" {
            LATER_BYTES
        } else {
            EVENT_BYTES
        };
        if event.len() > most {
            return Err(refuse(
                "RequestEntityTooLargeException",
                format!(
                    "Request must be smaller than {most} bytes for the InvokeFunction operation"
                ),
            )
            .status(413));
        }
        match kind {
            "DryRun" => {
                self.change(scope, &named, |function| {
                    function.check(scope, named.qualifier.as_deref())?;
                    Ok((204, Value::Null))
                })?;
                Ok(Outgoing::new(204, "application/json", ""))
            }
            "Event" => {
                let id = self.invoke_later(scope, &named, event)?;
                Ok(Outgoing::new(202, "application/json", "").header("x-amzn-requestid", id))
            }
            _ => self.invoke_now(scope, &named, request, event).await,
        }
    }

    async fn invoke_now(
        self: &Arc<Self>,
        scope: &Scope,
        named: &Named,
        request: &Incoming,
        event: Bytes,
    ) -> Result<Outgoing, Refusal> {
        let client = request.header("x-amz-client-context");
        let client = client.and_then(|text| STANDARD.decode(text).ok());
        let client = client.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let call = Call {
            id: uuid::Uuid::new_v4().to_string(),
            arn: arn(scope, &named.name, named.qualifier.as_deref()),
            event,
            client: client.unwrap_or_default(),
        };
        let (ready, outcome) = self.run(scope, named, &call).await?;
        let mut answer = match &outcome.result {
            Ok(bytes) => Outgoing::new(200, "application/json", bytes.clone()),
            Err((kind, shape)) => Outgoing::new(200, "application/json", shape.to_string())
                .header("x-amz-function-error", *kind),
        };
        if request.header("x-amz-log-type") == Some("Tail") {
            let text = log_lines(&ready.job, &call, &outcome).join("\n") + "\n";
            let from = text.len().saturating_sub(TAIL_BYTES);
            let tail = STANDARD.encode(&text.as_bytes()[from..]);
            answer = answer.header("x-amz-log-result", tail);
        }
        Ok(answer
            .header("x-amz-executed-version", ready.job.version)
            .header("x-amzn-requestid", call.id))
    }
}

#[async_trait]
impl Invoker for Invocations {
    async fn invoke(&self, arn: &str, payload: Bytes) -> Invoked {
        let Some(lambda) = self.lambda.upgrade() else {
            return Invoked::Refused(refuse("ServiceException", "the sandbox ends").status(500));
        };
        let named = match names::parse(arn, None) {
            Ok(named) => named,
            Err(refusal) => return Invoked::Refused(refusal),
        };
        let region = arn.split(':').nth(3).unwrap_or_default().to_owned();
        let scope = Scope {
            account: lambda.neighbours.options().account.clone(),
            region,
            endpoint: lambda.neighbours.endpoint(),
            now: lambda.neighbours.clock().now(),
        };
        let call = Call {
            id: uuid::Uuid::new_v4().to_string(),
            arn: arn.to_owned(),
            event: payload,
            client: Value::Null,
        };
        match lambda.run(&scope, &named, &call).await {
            Ok((ready, outcome)) => {
                let version = ready.job.version;
                match outcome.result {
                    Ok(body) => Invoked::Answer { body, version },
                    Err(_) => Invoked::FunctionError { version },
                }
            }
            Err(refusal) => Invoked::Refused(refusal),
        }
    }
}

/// What a process finds in its environment.
fn environment(
    scope: &Scope,
    name: &str,
    version: &crate::function::Version,
    endpoint: &str,
    group: &str,
) -> BTreeMap<String, String> {
    let own = version
        .config
        .get("Environment")
        .and_then(|environment| environment["Variables"].as_object());
    let own = own.into_iter().flatten();
    let mut all: BTreeMap<String, String> = own
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let stream = format!("[{}]", version.name);
    for (key, value) in [
        ("AWS_REGION", scope.region.as_str()),
        ("AWS_DEFAULT_REGION", &scope.region),
        ("AWS_ACCESS_KEY_ID", "sandbox"),
        ("AWS_SECRET_ACCESS_KEY", "sandbox"),
        ("AWS_SESSION_TOKEN", "sandbox"),
        ("AWS_ENDPOINT_URL", endpoint),
        (
            "AWS_EXECUTION_ENV",
            &format!("AWS_Lambda_{}", version.text("Runtime")),
        ),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", &version.name),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &stream),
    ] {
        all.insert(key.to_owned(), value.to_owned());
    }
    all
}

fn stream_name(job: &Job) -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d").to_string();
    let id: String = job.revision.chars().filter(|c| *c != '-').collect();
    format!("{day}/[{}]{id}", job.version)
}

/// The lines that Lambda writes around what a handler writes.
fn log_lines(job: &Job, call: &Call, outcome: &Outcome) -> Vec<String> {
    let id = &call.id;
    let milliseconds = outcome.duration.as_secs_f64() * 1_000.0;
    let mut lines = vec![format!("START RequestId: {id} Version: {}", job.version)];
    lines.extend(outcome.log.iter().cloned());
    if let Err((_, shape)) = &outcome.result {
        let words = shape["errorMessage"].as_str().unwrap_or_default();
        let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        match (shape["errorType"].as_str(), words.split_once(" Error: ")) {
            (Some("Sandbox.Timedout"), Some((_, words))) => {
                lines.push(format!("{at} {id} {words}\n"));
            }
            (Some("Runtime.ExitError"), _) => {
                lines.push(words.to_owned());
                lines.push("Runtime.ExitError".to_owned());
            }
            _ => {}
        }
    }
    lines.push(format!("END RequestId: {id}"));
    let mut report = format!(
        "REPORT RequestId: {id}\tDuration: {milliseconds:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {} MB\tMax Memory Used: {} MB",
        milliseconds.ceil(),
        job.memory,
        outcome.memory.div_ceil(1 << 20)
    );
    if let Some(loading) = outcome.loading {
        report.push_str(&format!(
            "\tInit Duration: {:.2} ms",
            loading.as_secs_f64() * 1_000.0
        ));
    }
    lines.push(report);
    lines
}
