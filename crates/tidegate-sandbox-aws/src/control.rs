//! Cloud Control: any CloudFormation type as a JSON resource, changed through requests that take time.
//!
//! `types` knows identifiers and handlers of every type, `patch` is RFC 6902, `identify` names new resources, `native` maps
//! types that the sandbox implements onto their own service. Must not know: HTTP.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

mod identify;
pub(crate) mod native;
mod patch;
mod types;

use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};
use native::Natives;
use types::TypeFacts;

/// Resources of one region.
const RESOURCES: usize = 20_000;
/// Requests that are remembered.
const REQUESTS: usize = 5_000;
/// Bytes of one resource's properties.
const PROPERTIES_BYTES: usize = 262_144;
/// Bytes of all properties of one region.
const TOTAL_BYTES: usize = 128 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

#[derive(Clone, Debug)]
struct Request {
    token: String,
    type_name: String,
    identifier: Option<String>,
    operation: Operation,
    client: Option<(String, String)>,
    started: Timestamp,
    working: Timestamp,
    done: Timestamp,
    cancelled: Option<Timestamp>,
    failure: Option<(String, String)>,
    /// What was asked for: the new model of a create or an update.
    model: Option<Value>,
    applied: bool,
}

impl Request {
    fn status(&self, now: Timestamp) -> &'static str {
        if self.cancelled.is_some() {
            return "CANCEL_COMPLETE";
        }
        if now < self.working {
            "PENDING"
        } else if now < self.done {
            "IN_PROGRESS"
        } else if self.failure.is_some() {
            "FAILED"
        } else {
            "SUCCESS"
        }
    }

    fn is_open(&self, now: Timestamp) -> bool {
        self.cancelled.is_none() && now < self.done
    }

    fn describe(&self, now: Timestamp) -> Value {
        let status = self.status(now);
        let at = match status {
            "PENDING" => self.started,
            "IN_PROGRESS" => self.working,
            _ => self.cancelled.unwrap_or(self.done),
        };
        let mut event = json!({
            "TypeName": self.type_name,
            "RequestToken": self.token,
            "Operation": self.operation.name(),
            "OperationStatus": status,
            "EventTime": at.as_millisecond() as f64 / 1_000.0,
        });
        if let Some(identifier) = &self.identifier {
            event["Identifier"] = json!(identifier);
        }
        if let Some((code, words)) = self.failure.as_ref().filter(|_| status == "FAILED") {
            event["ErrorCode"] = json!(code);
            event["StatusMessage"] = json!(words);
        }
        if let Some(model) = self.model.as_ref().filter(|_| status == "SUCCESS") {
            event["ResourceModel"] = json!(model.to_string());
        }
        if matches!(status, "PENDING" | "IN_PROGRESS") {
            event["RetryAfter"] = json!(self.done.as_millisecond() as f64 / 1_000.0);
        }
        event
    }
}

/// The resources of one region.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    models: BTreeMap<(String, String), Value>,
    requests: VecDeque<Request>,
    counter: u64,
    bytes: usize,
}

pub(super) fn model() -> &'static Model {
    shape::model!("cloudcontrol")
}

fn not_found(type_name: &str, identifier: &str) -> Refusal {
    refuse(
        "ResourceNotFoundException",
        format!(
            "AWS::CloudFormation Resource of type '{type_name}' with identifier '{identifier}' was not found."
        ),
    )
}

fn facts(type_name: &str) -> Result<&'static TypeFacts, Refusal> {
    types::find(type_name).ok_or_else(|| {
        refuse(
            "TypeNotFoundException",
            format!("The type '{type_name}' cannot be found."),
        )
    })
}

fn supports(facts: &TypeFacts, handler: char, action: &str) -> Result<(), Refusal> {
    if facts.handlers.contains(handler) {
        return Ok(());
    }
    Err(refuse(
        "UnsupportedActionException",
        format!(
            "Resource type {} does not support {action} action",
            facts.name
        ),
    ))
}

impl Resources {
    /// Answers one operation. `delay` is how long a request takes, `natives` the services behind native types.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        delay: SignedDuration,
        natives: &dyn Natives,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        self.settle(scope.now, natives);
        let mut call = Call {
            resources: self,
            scope,
            delay,
            natives,
            input,
        };
        match operation {
            "CreateResource" => call.create(),
            "UpdateResource" => call.update(),
            "DeleteResource" => call.delete(),
            "GetResource" => call.get(),
            "ListResources" => call.list(),
            "GetResourceRequestStatus" => call.status(),
            "ListResourceRequests" => Ok(call.list_requests()),
            "CancelResourceRequest" => call.cancel(),
            other => Err(Refusal::unsupported("Cloud Control", other)),
        }
    }

    /// Carries out the requests whose moment has come.
    pub(crate) fn settle(&mut self, now: Timestamp, natives: &dyn Natives) {
        let mut due: Vec<Request> = Vec::new();
        for request in &mut self.requests {
            if !request.applied
                && request.cancelled.is_none()
                && request.failure.is_none()
                && request.done <= now
            {
                request.applied = true;
                due.push(request.clone());
            }
        }
        for request in due {
            let outcome = self.apply(&request, natives);
            if let Some(place) = self
                .requests
                .iter_mut()
                .find(|one| one.token == request.token)
            {
                match outcome {
                    Ok(identifier) => place.identifier = identifier.or(place.identifier.take()),
                    Err(refusal) => {
                        place.failure = Some((handler_code(&refusal.code), refusal.message));
                    }
                }
            }
        }
    }

    fn apply(
        &mut self,
        request: &Request,
        natives: &dyn Natives,
    ) -> Result<Option<String>, Refusal> {
        let name = &request.type_name;
        let identifier = request.identifier.clone().unwrap_or_default();
        let key = (name.clone(), identifier.clone());
        match (request.operation, &request.model) {
            (Operation::Create, Some(model)) => {
                let given = match natives.create(name, model) {
                    Some(outcome) => Some(outcome?),
                    None => None,
                };
                let identifier = given.unwrap_or(identifier);
                self.keep((name.clone(), identifier.clone()), model.clone());
                Ok(Some(identifier))
            }
            (Operation::Update, Some(model)) => {
                if let Some(outcome) = natives.update(name, &identifier, model) {
                    outcome?;
                }
                self.keep(key, model.clone());
                Ok(None)
            }
            (Operation::Delete, _) => {
                if let Some(outcome) = natives.delete(name, &identifier) {
                    outcome?;
                }
                if let Some(gone) = self.models.remove(&key) {
                    self.bytes = self.bytes.saturating_sub(gone.to_string().len());
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn keep(&mut self, key: (String, String), model: Value) {
        self.bytes += model.to_string().len();
        if let Some(old) = self.models.insert(key, model) {
            self.bytes = self.bytes.saturating_sub(old.to_string().len());
        }
    }

    /// The properties of a resource: what was asked for, with what its own service says.
    fn read(&self, natives: &dyn Natives, type_name: &str, identifier: &str) -> Option<Value> {
        let kept = self
            .models
            .get(&(type_name.to_owned(), identifier.to_owned()));
        match natives.read(type_name, identifier) {
            None => kept.cloned(),
            Some(None) => None,
            Some(Some(own)) => {
                let mut model = kept.cloned().unwrap_or_else(|| json!({}));
                if let (Some(model), Value::Object(own)) = (model.as_object_mut(), own) {
                    for (name, value) in own {
                        if value.is_null() {
                            model.remove(&name);
                        } else {
                            model.insert(name, value);
                        }
                    }
                }
                Some(model)
            }
        }
    }

    /// Every generic resource that has tags, with its ARN.
    pub(crate) fn tagged(&self, natives: &dyn Natives) -> Vec<(String, BTreeMap<String, String>)> {
        self.models
            .iter()
            .filter(|((type_name, _), _)| !natives.knows(type_name))
            .filter_map(|((_, identifier), model)| {
                let arn = identify::arn_of(model, identifier)?;
                Some((arn, identify::tags_of(model)))
            })
            .collect()
    }
}

/// The handler's error code for a service's own.
fn handler_code(code: &str) -> String {
    let matched = match code {
        code if code.contains("Exist") && !code.contains("NotExist") => "AlreadyExists",
        code if code.contains("InUse") => "ResourceConflict",
        code if code.contains("NotFound")
            || code.contains("NotExist")
            || code.contains("NoSuch") =>
        {
            "NotFound"
        }
        code if code.contains("Limit") => "ServiceLimitExceeded",
        code if code.contains("Throttl") => "Throttling",
        code if code.contains("Conflict") => "ResourceConflict",
        _ => "InvalidRequest",
    };
    matched.to_owned()
}

/// One request to the resources of a region.
struct Call<'a> {
    resources: &'a mut Resources,
    scope: &'a Scope,
    delay: SignedDuration,
    natives: &'a dyn Natives,
    input: &'a Value,
}

impl Call<'_> {
    fn text(&self, field: &str) -> &str {
        self.input[field].as_str().unwrap_or("")
    }

    /// An earlier request with the same client token.
    fn repeated(&self, operation: Operation, payload: &str) -> Result<Option<Value>, Refusal> {
        let Some(token) = self.input["ClientToken"].as_str() else {
            return Ok(None);
        };
        let known = self.resources.requests.iter().find(|request| {
            request
                .client
                .as_ref()
                .is_some_and(|(client, _)| client == token)
        });
        match known {
            None => Ok(None),
            Some(request)
                if request.operation == operation
                    && request
                        .client
                        .as_ref()
                        .is_some_and(|(_, sent)| sent == payload) =>
            {
                Ok(Some(
                    json!({"ProgressEvent": request.describe(self.scope.now)}),
                ))
            }
            Some(_) => Err(refuse(
                "ClientTokenConflictException",
                format!("The client token {token} was already used with another request."),
            )),
        }
    }

    /// Only one request at a time may change a resource.
    fn alone(&self, type_name: &str, identifier: &str) -> Result<(), Refusal> {
        let now = self.scope.now;
        let other = self.resources.requests.iter().find(|request| {
            request.is_open(now)
                && request.type_name == type_name
                && request.identifier.as_deref() == Some(identifier)
        });
        match other {
            None => Ok(()),
            Some(request) => Err(refuse(
                "ConcurrentOperationException",
                format!(
                    "Resource {identifier} of type {type_name} is locked by the {} request {}.",
                    request.operation.name(),
                    request.token
                ),
            )),
        }
    }

    fn begin(
        &mut self,
        type_name: &str,
        identifier: Option<String>,
        operation: Operation,
        model: Option<Value>,
        payload: String,
        failure: Option<(String, String)>,
    ) -> Value {
        self.resources.counter += 1;
        let seed = format!("request/{}", self.resources.counter);
        let client = self.input["ClientToken"]
            .as_str()
            .map(|token| (token.to_owned(), payload));
        let request = Request {
            token: self.scope.uuid(&seed),
            type_name: type_name.to_owned(),
            identifier,
            operation,
            client,
            started: self.scope.now,
            working: self.scope.after(self.delay / 3),
            done: self.scope.after(self.delay),
            cancelled: None,
            failure,
            model,
            applied: false,
        };
        let described = request.describe(self.scope.now);
        if self.resources.requests.len() >= REQUESTS {
            self.resources.requests.pop_front();
        }
        self.resources.requests.push_back(request);
        // A sandbox without delays has done it by the time it answers.
        self.resources.settle(self.scope.now, self.natives);
        let token = described["RequestToken"].clone();
        let now = self.scope.now;
        let request = self
            .resources
            .requests
            .iter()
            .find(|request| token == request.token.as_str());
        json!({"ProgressEvent": request.map_or(described, |request| request.describe(now))})
    }

    fn create(&mut self) -> Result<Value, Refusal> {
        let type_name = self.text("TypeName").to_owned();
        let facts = facts(&type_name)?;
        supports(facts, 'C', "CREATE")?;
        let payload = format!("{type_name}\n{}", self.text("DesiredState"));
        if let Some(answer) = self.repeated(Operation::Create, &payload)? {
            return Ok(answer);
        }
        let desired = self.text("DesiredState");
        let mut model: Value = serde_json::from_str(desired)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| refuse("ValidationException", "DesiredState must be a JSON object."))?;
        if let Some(words) = identify::check(facts, &model) {
            return Err(refuse(
                "ValidationException",
                format!("Model validation failed ({words})"),
            ));
        }
        if self.resources.models.len() >= RESOURCES || self.resources.bytes > TOTAL_BYTES {
            return Err(refuse(
                "ServiceLimitExceededException",
                "The sandbox has no room for another resource.",
            ));
        }
        self.resources.counter += 1;
        let seed = format!("resource/{}", self.resources.counter);
        let identifier = identify::complete(facts, &mut model, self.scope, &seed);
        self.alone(&type_name, &identifier)?;
        let failure = self
            .resources
            .read(self.natives, &type_name, &identifier)
            .map(|_| {
                (
                    "AlreadyExists".to_owned(),
                    format!("Resource of type '{type_name}' with identifier '{identifier}' already exists."),
                )
            });
        Ok(self.begin(
            &type_name,
            Some(identifier),
            Operation::Create,
            Some(model),
            payload,
            failure,
        ))
    }

    fn update(&mut self) -> Result<Value, Refusal> {
        let type_name = self.text("TypeName").to_owned();
        let facts = facts(&type_name)?;
        supports(facts, 'U', "UPDATE")?;
        let identifier = identify::normal(facts, self.text("Identifier"));
        let patch_text = self.text("PatchDocument").to_owned();
        let payload = format!("{type_name}\n{identifier}\n{patch_text}");
        if let Some(answer) = self.repeated(Operation::Update, &payload)? {
            return Ok(answer);
        }
        let model = self
            .resources
            .read(self.natives, &type_name, &identifier)
            .ok_or_else(|| not_found(&type_name, &identifier))?;
        self.alone(&type_name, &identifier)?;
        let changes: Value = serde_json::from_str(&patch_text).map_err(|error| {
            refuse(
                "ValidationException",
                format!("PatchDocument is not valid JSON: {error}"),
            )
        })?;
        let patched =
            patch::apply(&model, &changes).map_err(|words| refuse("ValidationException", words))?;
        identify::check_change(facts, &model, &patched)?;
        if patched.to_string().len() > PROPERTIES_BYTES {
            return Err(refuse(
                "ValidationException",
                "The resource's properties are larger than 262144 bytes.",
            ));
        }
        Ok(self.begin(
            &type_name,
            Some(identifier),
            Operation::Update,
            Some(patched),
            payload,
            None,
        ))
    }

    fn delete(&mut self) -> Result<Value, Refusal> {
        let type_name = self.text("TypeName").to_owned();
        let facts = facts(&type_name)?;
        supports(facts, 'D', "DELETE")?;
        let identifier = identify::normal(facts, self.text("Identifier"));
        let payload = format!("{type_name}\n{identifier}");
        if let Some(answer) = self.repeated(Operation::Delete, &payload)? {
            return Ok(answer);
        }
        self.alone(&type_name, &identifier)?;
        let found = self
            .resources
            .read(self.natives, &type_name, &identifier)
            .is_some();
        let failure = (!found).then(|| {
            (
                "NotFound".to_owned(),
                format!(
                    "Resource of type '{type_name}' with identifier '{identifier}' was not found."
                ),
            )
        });
        Ok(self.begin(
            &type_name,
            Some(identifier),
            Operation::Delete,
            None,
            payload,
            failure,
        ))
    }

    fn get(&mut self) -> Result<Value, Refusal> {
        let type_name = self.text("TypeName").to_owned();
        let facts = facts(&type_name)?;
        supports(facts, 'R', "READ")?;
        let identifier = identify::normal(facts, self.text("Identifier"));
        let model = self
            .resources
            .read(self.natives, &type_name, &identifier)
            .ok_or_else(|| not_found(&type_name, &identifier))?;
        let shown = identify::readable(facts, &model);
        Ok(json!({
            "TypeName": type_name,
            "ResourceDescription": {"Identifier": identifier, "Properties": shown.to_string()},
        }))
    }

    fn list(&mut self) -> Result<Value, Refusal> {
        let type_name = self.text("TypeName").to_owned();
        let facts = facts(&type_name)?;
        supports(facts, 'L', "LIST")?;
        let limit = self.input["MaxResults"]
            .as_u64()
            .map_or(20, |limit| limit.clamp(1, 100));
        let limit = usize::try_from(limit).unwrap_or(20);
        let after = self.text("NextToken");
        let mut identifiers: Vec<String> = match self.natives.list(&type_name) {
            Some(all) => all,
            None => self
                .resources
                .models
                .keys()
                .filter(|(name, _)| *name == type_name)
                .map(|(_, identifier)| identifier.clone())
                .collect(),
        };
        identifiers.sort();
        identifiers.retain(|identifier| after.is_empty() || identifier.as_str() > after);
        let more = identifiers.len() > limit;
        identifiers.truncate(limit);
        let descriptions: Vec<Value> = identifiers
            .iter()
            .filter_map(|identifier| {
                let model = self.resources.read(self.natives, &type_name, identifier)?;
                let shown = identify::readable(facts, &model);
                Some(json!({"Identifier": identifier, "Properties": shown.to_string()}))
            })
            .collect();
        let mut answer = json!({"TypeName": type_name, "ResourceDescriptions": descriptions});
        if more && let Some(last) = identifiers.last() {
            answer["NextToken"] = json!(last);
        }
        Ok(answer)
    }

    fn request(&mut self) -> Result<&mut Request, Refusal> {
        let token = self.text("RequestToken").to_owned();
        self.resources
            .requests
            .iter_mut()
            .find(|request| request.token == token)
            .ok_or_else(|| {
                refuse(
                    "RequestTokenNotFoundException",
                    format!("Request with token {token} was not found"),
                )
            })
    }

    fn status(&mut self) -> Result<Value, Refusal> {
        let now = self.scope.now;
        Ok(json!({"ProgressEvent": self.request()?.describe(now)}))
    }

    fn list_requests(&mut self) -> Value {
        let now = self.scope.now;
        let filter = &self.input["ResourceRequestStatusFilter"];
        let wanted = |field: &str, value: &str| {
            filter[field]
                .as_array()
                .is_none_or(|list| list.iter().any(|one| one == value))
        };
        let limit = self.input["MaxResults"]
            .as_u64()
            .map_or(20, |limit| limit.clamp(1, 100));
        let events: Vec<Value> = self
            .resources
            .requests
            .iter()
            .rev()
            .filter(|request| wanted("Operations", request.operation.name()))
            .filter(|request| wanted("OperationStatuses", request.status(now)))
            .take(usize::try_from(limit).unwrap_or(20))
            .map(|request| request.describe(now))
            .collect();
        json!({"ResourceRequestStatusSummaries": events})
    }

    fn cancel(&mut self) -> Result<Value, Refusal> {
        let now = self.scope.now;
        let request = self.request()?;
        if !request.is_open(now) {
            return Err(refuse(
                "ConcurrentModificationException",
                format!(
                    "The request {} is already in the state {}.",
                    request.token,
                    request.status(now)
                ),
            ));
        }
        request.cancelled = Some(now);
        Ok(json!({"ProgressEvent": request.describe(now)}))
    }
}
