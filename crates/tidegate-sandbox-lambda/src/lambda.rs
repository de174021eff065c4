//! The Lambda API: requests told apart by path, state by region and name.
//!
//! Must not know: how functions run, how mappings poll.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{
    Functions, Incoming, Neighbours, Outgoing, Refusal, Scope, Service,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::fault::{self, missing};
use crate::function::Function;
use crate::iam::Roles;
use crate::layers::Layers;
use crate::logs::Lines;
use crate::names::{self, Named, arn};
use crate::operation;
use crate::options::LambdaOptions;
use crate::runner::Runner;
use crate::urls;

/// The status and body of an answer.
pub(crate) type Answer = Result<(u16, Value), Refusal>;

/// What the sandbox serves itself, beside the API: archives of functions.
const OWN_PATH: &str = "/_lambda/code/";

/// A lock that a panicking holder cannot poison for everybody else.
#[derive(Debug, Default)]
pub(crate) struct Guarded<T>(Mutex<T>);

impl<T> Guarded<T> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All functions and layers.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// By region and name.
    pub(crate) functions: BTreeMap<(String, String), Function>,
    pub(crate) layers: Layers,
}

impl State {
    /// Bytes of all code.
    pub(crate) fn code_bytes(&self) -> usize {
        let functions = self.functions.values().map(|function| {
            let versions = function
                .versions
                .values()
                .map(|version| version.code.archive.len());
            function.latest.code.archive.len() + versions.sum::<usize>()
        });
        functions.sum::<usize>() + self.layers.bytes()
    }
}

/// The Lambda service.
#[derive(Debug)]
pub(crate) struct Lambda {
    pub(crate) neighbours: Neighbours,
    pub(crate) options: LambdaOptions,
    pub(crate) roles: Arc<dyn Roles>,
    pub(crate) lines: Arc<dyn Lines>,
    pub(crate) runner: Runner,
    pub(crate) state: Guarded<State>,
    /// Running invocations by region and name.
    pub(crate) running: Guarded<BTreeMap<(String, String), u64>>,
    /// Room for asynchronous invocations.
    pub(crate) later: Arc<Semaphore>,
    /// The asynchronous invocations.
    pub(crate) tasks: Guarded<JoinSet<()>>,
    /// Itself, for tasks that outlive a request.
    pub(crate) own: Weak<Lambda>,
}

/// The service as the door knows it.
#[derive(Debug)]
pub(crate) struct LambdaDoor {
    pub(crate) lambda: Arc<Lambda>,
    /// Who answers for event source mappings.
    pub(crate) mappings: Option<Arc<dyn Service>>,
}

impl Lambda {
    /// Reads a function.
    pub(crate) fn read(
        &self,
        scope: &Scope,
        named: &Named,
        read: impl FnOnce(&Function) -> Answer,
    ) -> Answer {
        self.change(scope, named, |function| read(function))
    }

    /// Changes a function.
    pub(crate) fn change(
        &self,
        scope: &Scope,
        named: &Named,
        change: impl FnOnce(&mut Function) -> Answer,
    ) -> Answer {
        let mut state = self.state.lock();
        let key = (scope.region.clone(), named.name.clone());
        let function = state.functions.get_mut(&key).ok_or_else(|| {
            let qualifier = named.qualifier.as_deref();
            missing(format!(
                "Function not found: {}",
                arn(scope, &named.name, qualifier)
            ))
        })?;
        change(function)
    }

    /// Bytes of a layer version by its ARN.
    pub(crate) fn layer_size(&self, arn: &str) -> Result<usize, Refusal> {
        self.state.lock().layers.size(arn)
    }

    fn scope_of(&self, scope: &Scope, arn: &str) -> Scope {
        let region = arn.split(':').nth(3).filter(|region| !region.is_empty());
        Scope {
            region: region.unwrap_or(&scope.region).to_owned(),
            ..scope.clone()
        }
    }

    fn archive(&self, path: &str) -> Outgoing {
        let parts: Vec<&str> = path.split('/').collect();
        let found = match parts[..] {
            [region, name, version] => {
                let state = self.state.lock();
                let function = state.functions.get(&(region.to_owned(), name.to_owned()));
                function.map(|function| {
                    let number = version.parse().ok();
                    let numbered = number.and_then(|number: u64| function.versions.get(&number));
                    let found = numbered.unwrap_or(&function.latest);
                    found.code.archive.clone()
                })
            }
            ["layer", region, name, version] => {
                self.state.lock().layers.archive(region, name, version)
            }
            _ => None,
        };
        match found {
            Some(bytes) => Outgoing::new(200, "application/zip", bytes),
            None => Outgoing::new(404, "application/json", "{}"),
        }
    }

    /// Answers what is no invocation.
    fn manage(&self, scope: &Scope, request: &Incoming, parts: &[&str], input: &Value) -> Answer {
        let query = request.parameters();
        let parameter = |name: &str| {
            let found = query.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        let method = request.method.as_str();
        match (method, parts) {
            ("GET", [_, "functions"]) => self.list(scope, &query),
            ("POST", [_, "functions"]) => self.create(scope, input),
            ("GET", [_, "layers"]) if parameter("find") == Some("LayerVersion") => {
                self.layer_by_arn(scope, parameter("Arn").unwrap_or_default())
            }
            (_, [_, "layers", rest @ ..]) => self.layers(scope, method, rest, input, &query),
            (_, [_, "tags", resource]) => self.tags(scope, method, resource, input, &query),
            ("GET", [_, "account-settings"]) => Ok((200, self.account(scope))),
            (_, [_, "functions", name, rest @ ..]) => {
                let named = names::parse(name, parameter("Qualifier"))?;
                self.of_function(scope, request, &named, rest, input)
            }
            _ => Err(
                Refusal::unsupported("lambda", &format!("{method} {}", request.path)).status(404),
            ),
        }
    }

    fn of_function(
        &self,
        scope: &Scope,
        request: &Incoming,
        named: &Named,
        rest: &[&str],
        input: &Value,
    ) -> Answer {
        let query = request.parameters();
        match (request.method.as_str(), rest) {
            ("GET", []) => self.get(scope, named),
            ("DELETE", []) => self.delete(scope, named),
            ("PUT", ["code"]) => self.update_code(scope, named, input),
            ("GET", ["configuration"]) => self.get_configuration(scope, named),
            ("PUT", ["configuration"]) => self.update_configuration(scope, named, input),
            ("GET", ["versions"]) => self.list_versions(scope, named, &query),
            ("POST", ["versions"]) => self.publish(scope, named, input),
            (_, ["aliases", ..]) => self.aliases(scope, request, named, &rest[1..], input),
            (_, ["policy", ..]) => self.policy(scope, request, named, &rest[1..], input),
            (method, ["concurrency"]) => self.concurrency(scope, method, named, input),
            (method, ["provisioned-concurrency"]) => {
                self.provisioned(scope, method, named, input, &query)
            }
            (method, ["event-invoke-config", ..]) => {
                self.invoke_config(scope, method, named, &rest[1..], input, &query)
            }
            (method, ["url" | "urls"]) => {
                self.url(scope, method, named, input, rest == ["urls"], &query)
            }
            (method, ["code-signing-config"]) => self.read(scope, named, |function| match method {
                "GET" => Ok((
                    200,
                    json!({"CodeSigningConfigArn": "", "FunctionName": function.name}),
                )),
                _ => Err(Refusal::unsupported(
                    "lambda",
                    "PutFunctionCodeSigningConfig",
                )),
            }),
            (method, ["runtime-management-config"]) => {
                self.runtime_management(scope, method, named, input)
            }
            (method, ["recursion-config"]) => self.recursion(scope, method, named, input),
            (method, _) => Err(Refusal::unsupported(
                "lambda",
                &format!("{method} {}", request.path),
            )
            .status(404)),
        }
    }
}

#[async_trait]
impl Service for LambdaDoor {
    fn takes(&self, service: Option<&str>, request: &Incoming) -> bool {
        service == Some("lambda")
            || urls::target(request).is_some()
            || (service.is_none() && request.path.starts_with(OWN_PATH))
    }

    async fn answer(&self, scope: &Scope, request: &Incoming) -> Outgoing {
        if let Some(rest) = request.path.strip_prefix(OWN_PATH) {
            return self.lambda.archive(rest);
        }
        if let Some((id, path)) = urls::target(request) {
            return self.lambda.serve_url(scope, request, id, path).await;
        }
        let parts = request.parts();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let operation = operation::name(&request.method, &parts, &request.parameters());
        if let Some(refusal) = self.lambda.neighbours.fault("lambda", operation) {
            return fault::answer(&refusal);
        }
        let is_mapping = match parts[..] {
            [_, "functions", name, "invocations"] if request.method == "POST" => {
                return self.lambda.invoke_over_http(scope, name, request).await;
            }
            [_, "event-source-mappings", ..] => true,
            [_, "tags", resource] => resource.contains(":event-source-mapping:"),
            _ => false,
        };
        if is_mapping && let Some(mappings) = &self.mappings {
            return mappings.answer(scope, request).await;
        }
        let input = if request.body.iter().all(u8::is_ascii_whitespace) {
            Ok(json!({}))
        } else {
            serde_json::from_slice::<Value>(&request.body)
        };
        let done = match input {
            Ok(input) if input.is_object() => self.lambda.manage(scope, request, &parts, &input),
            Ok(_) | Err(_) => Err(tidegate_sandbox_aws::service::refuse(
                "InvalidRequestContentException",
                "Could not parse request body into json: the body is no JSON object",
            )),
        };
        match done {
            Ok((status, Value::Null)) => Outgoing::new(status, "application/json", ""),
            Ok((status, body)) => Outgoing::new(status, "application/json", body.to_string()),
            Err(refusal) => fault::answer(&refusal),
        }
    }

    async fn shutdown(&self) {
        if let Some(mappings) = &self.mappings {
            mappings.shutdown().await;
        }
        self.lambda.shutdown().await;
    }
}

/// What other services ask of functions.
#[derive(Debug)]
pub(crate) struct Asked(pub(crate) Arc<Lambda>);

impl Functions for Asked {
    fn invoke(&self, scope: &Scope, arn: &str, event: Value) -> Result<(), Refusal> {
        let scope = self.0.scope_of(scope, arn);
        let named = names::parse(arn, None)?;
        let event = bytes::Bytes::from(event.to_string());
        self.0.invoke_later(&scope, &named, event).map(drop)
    }

    fn admits(&self, arn: &str, principal: &str, source: &str) -> bool {
        let Ok(named) = names::parse(arn, None) else {
            return false;
        };
        let region = arn.split(':').nth(3).unwrap_or_default().to_owned();
        let state = self.0.state.lock();
        let function = state.functions.get(&(region, named.name));
        let policy = function.and_then(|function| {
            function
                .policies
                .get(named.qualifier.as_deref().unwrap_or_default())
        });
        policy.is_some_and(|policy| {
            policy.statements.iter().any(|statement| {
                let who = &statement["Principal"]["Service"];
                let like = statement["Condition"]["ArnLike"]["AWS:SourceArn"].as_str();
                (who == principal) && like.is_none_or(|like| covers(like, source))
            })
        })
    }

    fn tagged(&self, region: &str) -> Vec<(String, BTreeMap<String, String>)> {
        let state = self.0.state.lock();
        let account = &self.0.neighbours.options().account;
        let own = state
            .functions
            .iter()
            .filter(|((place, _), function)| place == region && !function.tags.is_empty());
        own.map(|((region, name), function)| {
            let arn = format!("arn:aws:lambda:{region}:{account}:function:{name}");
            (arn, function.tags.clone())
        })
        .collect()
    }
}

/// Whether an ARN with wildcards stands for a source, which a bucket gives by its name alone.
fn covers(like: &str, source: &str) -> bool {
    let last = like.rsplit(':').next().unwrap_or(like);
    let matches = |pattern: &str| match pattern.split_once('*') {
        None => pattern == source,
        Some((front, back)) => {
            source.starts_with(front)
                && source.len() >= front.len() + back.len()
                && source.ends_with(back.trim_start_matches('*'))
        }
    };
    matches(like) || matches(last)
}

/// A page of a list: `Marker` and `MaxItems` of the query choose it.
pub(crate) fn page(field: &str, items: &[Value], query: &[(String, String)], most: usize) -> Value {
    let parameter = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    };
    let from: usize = parameter("Marker")
        .and_then(|marker| marker.parse().ok())
        .unwrap_or(0);
    let asked: usize = parameter("MaxItems")
        .and_then(|count| count.parse().ok())
        .unwrap_or(most);
    let count = asked.clamp(1, most);
    let shown: Vec<&Value> = items.iter().skip(from).take(count).collect();
    let end = from.saturating_add(shown.len());
    let mut page = json!({ field: shown });
    if end < items.len() {
        page["NextMarker"] = json!(end.to_string());
    }
    page
}
