//! Event source mappings: the API, their states, and the tasks that poll for them.
//!
//! `settings` checks and completes what requests say, `source` tells sources apart. Must not know: how pollers batch and
//! retry (`pollers`). A mapping owns its poller: it ends with the mapping, and all end with the sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tidegate_sandbox_aws::service::{
    Incoming, Neighbours, Outgoing, Refusal, Scope, Service, refuse,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod settings;
mod source;

pub(crate) use settings::Plan;
pub(crate) use source::{Source, visibility};

use crate::fault::{self, conflict, invalid, missing};
use crate::invoke::Invoker;
use crate::lambda::{Guarded, Lambda, page};
use crate::names;
use crate::pollers::{self, Progress};

/// Mappings of the sandbox.
const MAPPINGS: usize = 1_000;
/// Tags of a mapping.
const TAGS: usize = 50;

/// What a mapping is changing into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Creating,
    Updating,
    Enabling,
    Disabling,
    Deleting,
}

/// A task that ends when nobody owns it any more.
#[derive(Debug)]
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A mapping.
#[derive(Debug)]
struct Mapping {
    source: Source,
    function: String,
    /// What requests set and defaults complete, as answers show it.
    shown: Map<String, Value>,
    tags: BTreeMap<String, String>,
    enabled: bool,
    modified: Timestamp,
    change: Change,
    /// Until then the change is under way.
    settles: Timestamp,
    progress: Arc<Guarded<Progress>>,
    stop: watch::Sender<bool>,
    task: Option<Owned>,
}

/// The event source mappings of one sandbox.
#[derive(Debug)]
pub(crate) struct Mappings {
    lambda: Arc<Lambda>,
    neighbours: Neighbours,
    invoker: Arc<dyn Invoker>,
    /// By region and UUID.
    all: Guarded<BTreeMap<(String, String), Mapping>>,
}

type Answer = Result<(u16, Value), Refusal>;

fn unknown() -> Refusal {
    missing("The resource you requested does not exist.")
}

fn in_use(what: &str) -> Refusal {
    refuse(
        "ResourceInUseException",
        format!("Cannot {what} the event source mapping because it is in use."),
    )
}

impl Mapping {
    fn state(&self, now: Timestamp) -> &'static str {
        match self.change {
            _ if now >= self.settles => {
                if self.enabled {
                    "Enabled"
                } else {
                    "Disabled"
                }
            }
            Change::Creating => "Creating",
            Change::Updating => "Updating",
            Change::Enabling => "Enabling",
            Change::Disabling => "Disabling",
            Change::Deleting => "Deleting",
        }
    }

    fn is_gone(&self, now: Timestamp) -> bool {
        self.change == Change::Deleting && now >= self.settles
    }

    fn show(&self, scope: &Scope, uuid: &str) -> Value {
        let mut shown = self.shown.clone();
        shown.insert("UUID".into(), json!(uuid));
        shown.insert("FunctionArn".into(), json!(self.function));
        shown.insert(
            "EventSourceMappingArn".into(),
            json!(mapping_arn(scope, uuid)),
        );
        let millis = self.modified.as_millisecond();
        shown.insert("LastModified".into(), json!(millis as f64 / 1_000.0));
        shown.insert("State".into(), json!(self.state(scope.now)));
        let (reason, result) = match self.source {
            Source::Queue { .. } => ("USER_INITIATED", None),
            Source::Kafka => (
                "USER_INITIATED: the sandbox does not poll Kafka itself; tidegate-bridge polls it for this mapping",
                Some("No records processed".to_owned()),
            ),
            _ => ("User action", Some(self.progress.lock().result())),
        };
        shown.insert("StateTransitionReason".into(), json!(reason));
        if let Some(result) = result {
            shown.insert("LastProcessingResult".into(), json!(result));
        }
        Value::Object(shown)
    }
}

fn mapping_arn(scope: &Scope, uuid: &str) -> String {
    scope.arn("lambda", &format!("event-source-mapping:{uuid}"))
}

impl Mappings {
    /// Without mappings; they invoke through `invoker`.
    pub(crate) fn new(lambda: Arc<Lambda>, invoker: Arc<dyn Invoker>) -> Self {
        Self {
            neighbours: lambda.neighbours.clone(),
            lambda,
            invoker,
            all: Guarded::default(),
        }
    }

    /// How long a change is under way.
    fn delay(&self) -> SignedDuration {
        SignedDuration::try_from(self.lambda.options.update).unwrap_or(SignedDuration::MAX)
    }

    /// The ARN of the function that a request names, and the seconds that it may run.
    fn function(&self, scope: &Scope, input: &Value) -> Result<(String, u64), Refusal> {
        let text = input["FunctionName"]
            .as_str()
            .ok_or_else(|| fault::constraint("null", "functionName", "Member must not be null"))?;
        let named = names::parse(text, None)?;
        let state = self.lambda.state.lock();
        let key = (scope.region.clone(), named.name.clone());
        let function = state
            .functions
            .get(&key)
            .ok_or_else(|| invalid("Function does not exist"))?;
        if let Some(qualifier) = &named.qualifier {
            let number: Option<u64> = qualifier.parse().ok();
            let known = qualifier == names::LATEST
                || function.aliases.contains_key(qualifier)
                || number.is_some_and(|number| function.versions.contains_key(&number));
            if !known {
                return Err(invalid("Function does not exist"));
            }
        }
        let seconds = function.latest.number("Timeout", 3);
        Ok((
            names::arn(scope, &named.name, named.qualifier.as_deref()),
            seconds,
        ))
    }

    fn create(&self, scope: &Scope, input: &Value) -> Answer {
        let source = Source::of(input)?;
        let plan = settings::complete(&source, None, input, scope.now)?;
        let (function, seconds) = self.function(scope, input)?;
        source.check(&self.neighbours, scope, seconds)?;
        let tags = tags_of(&input["Tags"])?;
        let mut all = self.all.lock();
        all.retain(|_, mapping| !mapping.is_gone(scope.now));
        let twin = all.iter().find(|((region, _), mapping)| {
            *region == scope.region
                && mapping.function == function
                && source.is_same(&mapping.source, &mapping.shown, input)
        });
        if let Some(((_, uuid), _)) = twin {
            let name = function.rsplit(":function:").next().unwrap_or(&function);
            return Err(conflict(source.duplicate(name, uuid)));
        }
        if all.len() >= MAPPINGS {
            return Err(refuse(
                "ServiceException",
                format!("the sandbox has at most {MAPPINGS} event source mappings"),
            ));
        }
        let uuid = uuid::Uuid::new_v4().to_string();
        let mut shown = plan;
        settings::identify(&source, &mut shown, &uuid);
        let mut mapping = Mapping {
            source,
            function,
            shown,
            tags,
            enabled: input["Enabled"].as_bool().unwrap_or(true),
            modified: scope.now,
            change: Change::Creating,
            settles: scope.after(self.delay()),
            progress: Arc::default(),
            stop: watch::Sender::new(false),
            task: None,
        };
        self.start(scope, &uuid, &mut mapping);
        let mut answer = mapping.show(scope, &uuid);
        answer["State"] = json!("Creating");
        all.insert((scope.region.clone(), uuid), mapping);
        Ok((202, answer))
    }

    /// Lets a mapping poll as it is now; what polled before ends first.
    fn start(&self, scope: &Scope, uuid: &str, mapping: &mut Mapping) {
        mapping.stop.send_replace(true);
        let before = mapping.task.take();
        if !mapping.enabled || matches!(mapping.source, Source::Kafka) {
            // What is under way is finished, and owned until then.
            mapping.task = before;
            return;
        }
        mapping.stop = watch::Sender::new(false);
        let poller = pollers::Poller {
            uuid: uuid.to_owned(),
            function: mapping.function.clone(),
            role: self.role(scope, &mapping.function),
            source: mapping.source.clone(),
            plan: Plan::read(&mapping.shown),
            neighbours: self.neighbours.clone(),
            invoker: Arc::clone(&self.invoker),
            progress: Arc::clone(&mapping.progress),
            backoff: self.lambda.options.retry,
            stop: mapping.stop.subscribe(),
        };
        poller.mark();
        let begins = mapping.settles;
        let clock = self.neighbours.clock().clone();
        mapping.task = Some(Owned(tokio::spawn(async move {
            if let Some(mut before) = before {
                // A poller that panicked has ended too.
                let _ = (&mut before.0).await;
            }
            clock.sleep_until(begins).await;
            poller.run().await;
        })));
    }

    /// The execution role of a function.
    fn role(&self, scope: &Scope, function: &str) -> String {
        let Ok(named) = names::parse(function, None) else {
            return String::new();
        };
        let state = self.lambda.state.lock();
        let found = state.functions.get(&(scope.region.clone(), named.name));
        found.map_or_else(String::new, |function| {
            function.latest.text("Role").to_owned()
        })
    }

    fn with(&self, scope: &Scope, uuid: &str, act: impl FnOnce(&mut Mapping) -> Answer) -> Answer {
        let mut all = self.all.lock();
        let key = (scope.region.clone(), uuid.to_owned());
        let mapping = all
            .get_mut(&key)
            .filter(|mapping| !mapping.is_gone(scope.now))
            .ok_or_else(unknown)?;
        act(mapping)
    }

    fn update(&self, scope: &Scope, uuid: &str, input: &Value) -> Answer {
        let function = match input["FunctionName"].as_str() {
            Some(_) => Some(self.function(scope, input)?),
            None => None,
        };
        self.with(scope, uuid, |mapping| {
            if scope.now < mapping.settles {
                return Err(in_use("update"));
            }
            let plan = settings::complete(&mapping.source, Some(&mapping.shown), input, scope.now)?;
            if let Some((arn, seconds)) = function {
                mapping.source.check(&self.neighbours, scope, seconds)?;
                mapping.function = arn;
            }
            mapping.shown = plan;
            let enabled = input["Enabled"].as_bool().unwrap_or(mapping.enabled);
            mapping.change = match (mapping.enabled, enabled) {
                (false, true) => Change::Enabling,
                (true, false) => Change::Disabling,
                _ => Change::Updating,
            };
            mapping.enabled = enabled;
            mapping.modified = scope.now;
            mapping.settles = scope.after(self.delay());
            self.start(scope, uuid, mapping);
            let mut answer = mapping.show(scope, uuid);
            answer["State"] = json!(match mapping.change {
                Change::Enabling => "Enabling",
                Change::Disabling => "Disabling",
                _ => "Updating",
            });
            Ok((202, answer))
        })
    }

    fn delete(&self, scope: &Scope, uuid: &str) -> Answer {
        let answer = self.with(scope, uuid, |mapping| {
            if scope.now < mapping.settles {
                return Err(in_use("delete"));
            }
            mapping.change = Change::Deleting;
            mapping.enabled = false;
            mapping.settles = scope.after(self.delay());
            self.start(scope, uuid, mapping);
            let mut answer = mapping.show(scope, uuid);
            answer["State"] = json!("Deleting");
            Ok((202, answer))
        });
        self.all
            .lock()
            .retain(|_, mapping| !mapping.is_gone(scope.now));
        answer
    }

    fn list(&self, scope: &Scope, query: &[(String, String)]) -> Answer {
        let parameter = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let function = match parameter("FunctionName") {
            Some(text) => {
                let named = names::parse(text, None)?;
                Some(names::arn(scope, &named.name, named.qualifier.as_deref()))
            }
            None => None,
        };
        let source = parameter("EventSourceArn");
        let all = self.all.lock();
        let found: Vec<Value> = all
            .iter()
            .filter(|((region, _), mapping)| *region == scope.region && !mapping.is_gone(scope.now))
            .filter(|(_, mapping)| function.as_ref().is_none_or(|arn| *arn == mapping.function))
            .filter(|(_, mapping)| {
                source.is_none_or(|arn| {
                    mapping
                        .shown
                        .get("EventSourceArn")
                        .is_some_and(|own| own == arn)
                })
            })
            .map(|((_, uuid), mapping)| mapping.show(scope, uuid))
            .collect();
        Ok((200, page("EventSourceMappings", &found, query, 100)))
    }

    fn tags(
        &self,
        scope: &Scope,
        method: &str,
        arn: &str,
        request: &Incoming,
        input: &Value,
    ) -> Answer {
        let uuid = arn.rsplit(':').next().unwrap_or("");
        self.with(scope, uuid, |mapping| match method {
            "GET" => Ok((200, json!({"Tags": mapping.tags}))),
            "POST" => {
                let mut merged = mapping.tags.clone();
                merged.extend(tags_of(&input["Tags"])?);
                if merged.len() > TAGS {
                    return Err(invalid(format!("A resource has at most {TAGS} tags")));
                }
                mapping.tags = merged;
                Ok((204, Value::Null))
            }
            "DELETE" => {
                for (name, key) in request.parameters() {
                    if name == "tagKeys" {
                        mapping.tags.remove(&key);
                    }
                }
                Ok((204, Value::Null))
            }
            other => Err(Refusal::unsupported("lambda", other).status(405)),
        })
    }

    fn call(&self, scope: &Scope, request: &Incoming) -> Answer {
        let input = if request.body.iter().all(u8::is_ascii_whitespace) {
            json!({})
        } else {
            serde_json::from_slice(&request.body)
                .ok()
                .filter(Value::is_object)
                .ok_or_else(|| {
                    refuse(
                        "InvalidRequestContentException",
                        "Could not parse request body into json: the body is no JSON object",
                    )
                })?
        };
        let parts = request.parts();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (request.method.as_str(), &parts[..]) {
            ("POST", [_, "event-source-mappings"]) => self.create(scope, &input),
            ("GET", [_, "event-source-mappings"]) => self.list(scope, &request.parameters()),
            ("GET", [_, "event-source-mappings", uuid]) => {
                self.with(scope, uuid, |mapping| Ok((200, mapping.show(scope, uuid))))
            }
            ("PUT", [_, "event-source-mappings", uuid]) => self.update(scope, uuid, &input),
            ("DELETE", [_, "event-source-mappings", uuid]) => self.delete(scope, uuid),
            (method, [_, "tags", arn]) => self.tags(scope, method, arn, request, &input),
            (method, _) => Err(Refusal::unsupported(
                "lambda",
                &format!("{method} {}", request.path),
            )
            .status(404)),
        }
    }
}

/// The tags of a request.
fn tags_of(given: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    for (key, value) in given.as_object().into_iter().flatten() {
        let value = value.as_str().ok_or_else(|| invalid("Tags are texts"))?;
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid(
                "A tag's key has 1 to 128 characters, its value at most 256",
            ));
        }
        tags.insert(key.clone(), value.to_owned());
    }
    if tags.len() > TAGS {
        return Err(invalid(format!("A resource has at most {TAGS} tags")));
    }
    Ok(tags)
}

#[async_trait]
impl Service for Mappings {
    fn takes(&self, _: Option<&str>, request: &Incoming) -> bool {
        request.path.contains("/event-source-mappings")
    }

    async fn answer(&self, scope: &Scope, request: &Incoming) -> Outgoing {
        match self.call(scope, request) {
            Ok((status, Value::Null)) => Outgoing::new(status, "application/json", ""),
            Ok((status, body)) => Outgoing::new(status, "application/json", body.to_string()),
            Err(refusal) => fault::answer(&refusal),
        }
    }

    async fn shutdown(&self) {
        let all = std::mem::take(&mut *self.all.lock());
        for mut mapping in all.into_values() {
            if let Some(mut task) = mapping.task.take() {
                task.0.abort();
                // A poller that panicked has ended too.
                let _ = (&mut task.0).await;
            }
        }
    }
}
