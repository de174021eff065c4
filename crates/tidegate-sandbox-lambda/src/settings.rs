//! What belongs to a function beside its versions: aliases, policies, concurrency, invocation settings, URLs, tags.
//!
//! Must not know: HTTP, processes.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tidegate_sandbox_aws::service::{Incoming, Refusal, Scope, refuse};

use crate::fault::{conflict, constraint, invalid, missing, stale};
use crate::function::{Alias, Function, Provisioned, revision, stamp};
use crate::lambda::{Answer, Lambda, page};
use crate::manage::tags_of;
use crate::names::{self, LATEST, Named, arn};

/// Functions of an account run at once, in all.
const ACCOUNT_CONCURRENCY: u64 = 1_000;
/// Of those, what must stay for functions that reserve none.
const UNRESERVED_LEAST: u64 = 100;
/// Aliases of one function.
const ALIASES: usize = 2_000;
/// Bytes of a policy.
const POLICY_BYTES: usize = 20_480;

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn text<'a>(input: &'a Value, field: &str) -> Option<&'a str> {
    input.get(field).and_then(Value::as_str)
}

/// The weights of a routing configuration.
fn weights(
    function: &Function,
    scope: &Scope,
    input: &Value,
    version: &str,
) -> Result<Option<BTreeMap<String, f64>>, Refusal> {
    let Some(routing) = input.get("RoutingConfig").filter(|value| value.is_object()) else {
        return Ok(None);
    };
    let mut found = BTreeMap::new();
    for (key, weight) in routing["AdditionalVersionWeights"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let weight = weight.as_f64().unwrap_or(-1.0);
        if !(0.0..=1.0).contains(&weight) {
            return Err(invalid("Weight should be between 0.0 and 1.0."));
        }
        if key == version {
            return Err(invalid(format!(
                "Invalid function version {key}. Function version {key} is already included in routing configuration."
            )));
        }
        if key == LATEST {
            return Err(invalid(
                "$LATEST is not supported for an alias pointing to more than 1 version",
            ));
        }
        function.check(scope, Some(key))?;
        found.insert(key.clone(), weight);
    }
    if found.len() > 1 {
        return Err(invalid(
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ));
    }
    if !found.is_empty() && version == LATEST {
        return Err(invalid(
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ));
    }
    Ok(Some(found))
}

impl Lambda {
    pub(crate) fn aliases(
        &self,
        scope: &Scope,
        request: &Incoming,
        named: &Named,
        rest: &[&str],
        input: &Value,
    ) -> Answer {
        let gone = |name: &str| {
            missing(format!(
                "Cannot find alias arn: {}",
                arn(scope, &named.name, Some(name))
            ))
        };
        self.change(scope, named, |function| {
            match (request.method.as_str(), rest) {
                ("GET", []) => {
                    let query = request.parameters();
                    let wanted = query.iter().find(|(key, _)| key == "FunctionVersion");
                    let shown: Vec<Value> = function
                        .aliases
                        .iter()
                        .filter(|(_, alias)| wanted.is_none_or(|(_, version)| alias.version == *version))
                        .map(|(name, alias)| alias.show(scope, &function.name, name))
                        .collect();
                    Ok((200, page("Aliases", &shown, &query, 50)))
                }
                ("POST", []) => {
                    let name = text(input, "Name").unwrap_or_default();
                    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                    if name.is_empty() || !is_word || name.bytes().all(|b| b.is_ascii_digit()) {
                        return Err(constraint(name, "name", "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"));
                    }
                    if function.aliases.contains_key(name) {
                        return Err(conflict(format!(
                            "Alias already exists: {}",
                            arn(scope, &function.name, Some(name))
                        )));
                    }
                    if function.aliases.len() >= ALIASES {
                        return Err(invalid(format!("more than {ALIASES} aliases")));
                    }
                    let version = text(input, "FunctionVersion").unwrap_or_default();
                    if !(version == LATEST || version.bytes().all(|b| b.is_ascii_digit())) || version.is_empty() {
                        return Err(constraint(version, "functionVersion", "Member must satisfy regular expression pattern: (\\$LATEST|[0-9]+)"));
                    }
                    function.check(scope, Some(version))?;
                    let alias = Alias {
                        version: version.to_owned(),
                        description: text(input, "Description").unwrap_or_default().to_owned(),
                        weights: weights(function, scope, input, version)?.unwrap_or_default(),
                        revision: revision(),
                    };
                    let shown = alias.show(scope, &function.name, name);
                    function.aliases.insert(name.to_owned(), alias);
                    Ok((201, shown))
                }
                ("GET", [name]) => {
                    let alias = function.aliases.get(*name).ok_or_else(|| gone(name))?;
                    Ok((200, alias.show(scope, &function.name, name)))
                }
                ("PUT", [name]) => {
                    let mut alias = function.aliases.get(*name).ok_or_else(|| gone(name))?.clone();
                    if text(input, "RevisionId").is_some_and(|given| given != alias.revision) {
                        return Err(stale("GetAlias"));
                    }
                    if let Some(version) = text(input, "FunctionVersion") {
                        function.check(scope, Some(version))?;
                        version.clone_into(&mut alias.version);
                    }
                    if let Some(description) = text(input, "Description") {
                        description.clone_into(&mut alias.description);
                    }
                    if let Some(weights) = weights(function, scope, input, &alias.version)? {
                        alias.weights = weights;
                    }
                    alias.revision = revision();
                    let shown = alias.show(scope, &function.name, name);
                    function.aliases.insert((*name).to_owned(), alias);
                    Ok((200, shown))
                }
                ("DELETE", [name]) => {
                    // Deleting what is not there succeeds.
                    function.aliases.remove(*name);
                    function.policies.remove(*name);
                    function.provisioned.remove(*name);
                    function.invocations.remove(*name);
                    function.urls.remove(*name);
                    Ok((204, Value::Null))
                }
                _ => Err(Refusal::unsupported("lambda", &request.path)),
            }
        })
    }

    pub(crate) fn policy(
        &self,
        scope: &Scope,
        request: &Incoming,
        named: &Named,
        rest: &[&str],
        input: &Value,
    ) -> Answer {
        let qualifier = named.qualifier.clone();
        let key = qualifier.clone().unwrap_or_default();
        let query = request.parameters();
        let none = || missing("The resource you requested does not exist.");
        self.change(scope, named, |function| {
            function.check(scope, qualifier.as_deref())?;
            match (request.method.as_str(), rest) {
                ("GET", []) => {
                    let policy = function.policies.get(&key).filter(|policy| !policy.statements.is_empty());
                    let policy = document(&policy.ok_or_else(none)?.statements);
                    let revision = function.revision(scope, qualifier.as_deref())?;
                    Ok((200, json!({"Policy": policy, "RevisionId": revision})))
                }
                ("POST", []) => {
                    if qualifier.as_deref() == Some(LATEST) {
                        return Err(invalid("We currently do not support adding policies for $LATEST."));
                    }
                    let id = text(input, "StatementId").unwrap_or_default();
                    let statement = statement(scope, function, qualifier.as_deref(), id, input)?;
                    check_revision(function, scope, qualifier.as_deref(), text(input, "RevisionId"))?;
                    let policy = function.policies.entry(key).or_default();
                    if policy.statements.iter().any(|known| known["Sid"] == id) {
                        return Err(conflict(format!(
                            "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the existing statement."
                        )));
                    }
                    policy.statements.push(statement.clone());
                    if document(&policy.statements).len() > POLICY_BYTES {
                        policy.statements.pop();
                        return Err(refuse(
                            "PolicyLengthExceededException",
                            format!("The final policy size is bigger than the limit ({POLICY_BYTES})."),
                        ));
                    }
                    function.touch(qualifier.as_deref());
                    Ok((201, json!({"Statement": statement.to_string()})))
                }
                ("DELETE", [id]) => {
                    let known = function.policies.get(&key).filter(|policy| !policy.statements.is_empty());
                    let known = known.ok_or_else(|| missing("No policy is associated with the given resource."))?;
                    if !known.statements.iter().any(|one| one["Sid"] == **id) {
                        return Err(missing(format!("Statement {id} is not found in resource policy.")));
                    }
                    let given = query.iter().find(|(name, _)| name == "RevisionId");
                    let given = given.map(|(_, value)| value.as_str());
                    check_revision(function, scope, qualifier.as_deref(), given)?;
                    if let Some(policy) = function.policies.get_mut(&key) {
                        policy.statements.retain(|one| one["Sid"] != **id);
                    }
                    function.touch(qualifier.as_deref());
                    Ok((204, Value::Null))
                }
                _ => Err(Refusal::unsupported("lambda", &request.path)),
            }
        })
    }

    pub(crate) fn concurrency(
        &self,
        scope: &Scope,
        method: &str,
        named: &Named,
        input: &Value,
    ) -> Answer {
        let others: u64 = {
            let state = self.state.lock();
            let own = state
                .functions
                .iter()
                .filter(|((region, name), _)| *region == scope.region && *name != named.name);
            own.filter_map(|(_, function)| function.concurrency).sum()
        };
        self.change(scope, named, |function| match method {
            "PUT" => {
                let wanted = input.get("ReservedConcurrentExecutions").and_then(Value::as_u64);
                let wanted = wanted.ok_or_else(|| {
                    constraint("null", "reservedConcurrentExecutions", "Member must not be null")
                })?;
                if others + wanted > ACCOUNT_CONCURRENCY - UNRESERVED_LEAST {
                    return Err(invalid(format!(
                        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_LEAST}]."
                    )));
                }
                function.concurrency = Some(wanted);
                Ok((200, json!({"ReservedConcurrentExecutions": wanted})))
            }
            "GET" => Ok((200, match function.concurrency {
                Some(reserved) => json!({"ReservedConcurrentExecutions": reserved}),
                None => json!({}),
            })),
            "DELETE" => {
                function.concurrency = None;
                Ok((204, Value::Null))
            }
            _ => Err(Refusal::unsupported("lambda", "FunctionConcurrency")),
        })
    }

    pub(crate) fn provisioned(
        &self,
        scope: &Scope,
        method: &str,
        named: &Named,
        input: &Value,
        query: &[(String, String)],
    ) -> Answer {
        let ready = scope.after(signed(self.options.update));
        self.change(scope, named, |function| {
            if method == "GET" && query.iter().any(|(name, _)| name == "List") {
                let shown: Vec<Value> = function
                    .provisioned
                    .iter()
                    .map(|(qualifier, kept)| {
                        let mut shown = kept.show(scope);
                        shown["FunctionArn"] = json!(arn(scope, &function.name, Some(qualifier)));
                        shown
                    })
                    .collect();
                return Ok((200, page("ProvisionedConcurrencyConfigs", &shown, query, 50)));
            }
            let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
            if qualifier == LATEST {
                return Err(invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions."));
            }
            function.check(scope, Some(qualifier))?;
            match method {
                "PUT" => {
                    let wanted = input.get("ProvisionedConcurrentExecutions").and_then(Value::as_u64).unwrap_or(0);
                    if wanted == 0 {
                        return Err(constraint("0", "provisionedConcurrentExecutions", "Member must have value greater than or equal to 1"));
                    }
                    if function.concurrency.is_some_and(|reserved| wanted > reserved) {
                        return Err(invalid("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"));
                    }
                    let kept = Provisioned { requested: wanted, ready_at: ready, modified: scope.now };
                    let shown = kept.show(scope);
                    function.provisioned.insert(qualifier.to_owned(), kept);
                    Ok((202, shown))
                }
                "GET" => match function.provisioned.get(qualifier) {
                    Some(kept) => Ok((200, kept.show(scope))),
                    None => Err(refuse(
                        "ProvisionedConcurrencyConfigNotFoundException",
                        "No Provisioned Concurrency Config found for this function",
                    )
                    .status(404)),
                },
                "DELETE" => {
                    function.provisioned.remove(qualifier);
                    Ok((204, Value::Null))
                }
                _ => Err(Refusal::unsupported("lambda", "ProvisionedConcurrencyConfig")),
            }
        })
    }

    pub(crate) fn invoke_config(
        &self,
        scope: &Scope,
        method: &str,
        named: &Named,
        rest: &[&str],
        input: &Value,
        query: &[(String, String)],
    ) -> Answer {
        self.change(scope, named, |function| {
            let qualifier = named.qualifier.clone().unwrap_or_else(|| LATEST.to_owned());
            if rest == ["list"] {
                let shown: Vec<Value> = function.invocations.values().cloned().collect();
                return Ok((200, page("FunctionEventInvokeConfigs", &shown, query, 50)));
            }
            function.check(scope, Some(&qualifier))?;
            let place = arn(scope, &function.name, Some(&qualifier));
            let gone = || {
                missing(format!(
                    "The function {place} doesn't have an EventInvokeConfig"
                ))
            };
            match method {
                "PUT" | "POST" => {
                    let mut config = match function.invocations.get(&qualifier) {
                        Some(known) if method == "POST" => known.clone(),
                        None if method == "POST" => return Err(gone()),
                        Some(_) | None => {
                            json!({"DestinationConfig": {"OnSuccess": {}, "OnFailure": {}}})
                        }
                    };
                    for field in [
                        "MaximumRetryAttempts",
                        "MaximumEventAgeInSeconds",
                        "DestinationConfig",
                    ] {
                        if let Some(value) = input.get(field).filter(|value| !value.is_null()) {
                            config[field] = value.clone();
                        }
                    }
                    if config["MaximumRetryAttempts"]
                        .as_u64()
                        .is_some_and(|tries| tries > 2)
                    {
                        return Err(constraint(
                            &config["MaximumRetryAttempts"].to_string(),
                            "maximumRetryAttempts",
                            "Member must have value less than or equal to 2",
                        ));
                    }
                    if config["MaximumEventAgeInSeconds"]
                        .as_u64()
                        .is_some_and(|age| !(60..=21_600).contains(&age))
                    {
                        return Err(constraint(
                            &config["MaximumEventAgeInSeconds"].to_string(),
                            "maximumEventAgeInSeconds",
                            "Member must have value greater than or equal to 60",
                        ));
                    }
                    config["FunctionArn"] = json!(place);
                    config["LastModified"] = json!(seconds(scope.now));
                    function.invocations.insert(qualifier, config.clone());
                    Ok((200, config))
                }
                "GET" => Ok((
                    200,
                    function
                        .invocations
                        .get(&qualifier)
                        .cloned()
                        .ok_or_else(gone)?,
                )),
                "DELETE" => {
                    function.invocations.remove(&qualifier).ok_or_else(gone)?;
                    Ok((204, Value::Null))
                }
                _ => Err(Refusal::unsupported("lambda", "FunctionEventInvokeConfig")),
            }
        })
    }

    pub(crate) fn url(
        &self,
        scope: &Scope,
        method: &str,
        named: &Named,
        input: &Value,
        is_list: bool,
        query: &[(String, String)],
    ) -> Answer {
        self.change(scope, named, |function| {
            if is_list {
                let shown: Vec<Value> = function.urls.values().cloned().collect();
                return Ok((200, page("FunctionUrlConfigs", &shown, query, 50)));
            }
            let qualifier = named.qualifier.as_deref();
            let key = qualifier.unwrap_or_default().to_owned();
            if qualifier == Some(LATEST) || qualifier.is_some_and(|word| !function.aliases.contains_key(word)) {
                return Err(constraint(&key, "qualifier", "Member must satisfy regular expression pattern: (^\\$LATEST$)|((?!^\\d+$)^[0-9a-zA-Z-_]+$)"));
            }
            let gone = || missing("The resource you requested does not exist.");
            match method {
                "POST" if function.urls.contains_key(&key) => Err(conflict(format!(
                    "Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig exists for this Lambda function",
                    arn(scope, &function.name, qualifier)
                ))),
                "POST" | "PUT" => {
                    let known = function.urls.get(&key).cloned();
                    if method == "PUT" && known.is_none() {
                        return Err(gone());
                    }
                    let place = arn(scope, &function.name, qualifier);
                    let mut config = known.unwrap_or_else(|| {
                        let id = scope.stable_id(&place, 32);
                        json!({
                            "FunctionUrl": format!("https://{id}.lambda-url.{}.on.aws/", scope.region),
                            "FunctionArn": place, "InvokeMode": "BUFFERED",
                            "CreationTime": stamp(scope.now),
                        })
                    });
                    for field in ["AuthType", "Cors", "InvokeMode"] {
                        if let Some(value) = input.get(field).filter(|value| !value.is_null()) {
                            config[field] = value.clone();
                        }
                    }
                    if !matches!(config["AuthType"].as_str(), Some("NONE" | "AWS_IAM")) {
                        return Err(constraint(config["AuthType"].as_str().unwrap_or("null"), "authType", "Member must satisfy enum value set: [NONE, AWS_IAM]"));
                    }
                    config["LastModifiedTime"] = json!(stamp(scope.now));
                    function.urls.insert(key, config.clone());
                    Ok((if method == "POST" { 201 } else { 200 }, config))
                }
                "GET" => Ok((200, function.urls.get(&key).cloned().ok_or_else(gone)?)),
                "DELETE" => {
                    function.urls.remove(&key).ok_or_else(gone)?;
                    Ok((204, Value::Null))
                }
                _ => Err(Refusal::unsupported("lambda", "FunctionUrlConfig")),
            }
        })
    }

    pub(crate) fn tags(
        &self,
        scope: &Scope,
        method: &str,
        resource: &str,
        input: &Value,
        query: &[(String, String)],
    ) -> Answer {
        let named = names::parse(resource, None)?;
        self.change(scope, &named, |function| match method {
            "GET" => Ok((200, json!({"Tags": function.tags}))),
            "POST" => {
                function.tags.extend(tags_of(&input["Tags"]));
                Ok((204, Value::Null))
            }
            "DELETE" => {
                for (_, key) in query.iter().filter(|(name, _)| name == "tagKeys") {
                    function.tags.remove(key);
                }
                Ok((204, Value::Null))
            }
            _ => Err(Refusal::unsupported("lambda", "tags")),
        })
    }

    pub(crate) fn runtime_management(
        &self,
        scope: &Scope,
        method: &str,
        named: &Named,
        input: &Value,
    ) -> Answer {
        self.change(scope, named, |function| {
            if method == "PUT" {
                let update = input["UpdateRuntimeOn"].as_str().unwrap_or("Auto");
                function.runtime_management = json!({
                    "UpdateRuntimeOn": update,
                    "RuntimeVersionArn": input.get("RuntimeVersionArn").cloned().unwrap_or(Value::Null),
                });
            }
            let mut shown = function.runtime_management.clone();
            shown["FunctionArn"] = json!(arn(scope, &function.name, named.qualifier.as_deref()));
            Ok((200, shown))
        })
    }

    pub(crate) fn recursion(
        &self,
        scope: &Scope,
        method: &str,
        named: &Named,
        input: &Value,
    ) -> Answer {
        self.change(scope, named, |function| {
            if method == "PUT" {
                text(input, "RecursiveLoop")
                    .unwrap_or("Terminate")
                    .clone_into(&mut function.recursion);
            }
            Ok((200, json!({"RecursiveLoop": function.recursion})))
        })
    }

    pub(crate) fn account(&self, scope: &Scope) -> Value {
        let state = self.state.lock();
        let own = state
            .functions
            .iter()
            .filter(|((region, _), _)| *region == scope.region);
        let (count, reserved) = own.fold((0_u64, 0_u64), |(count, reserved), (_, function)| {
            (count + 1, reserved + function.concurrency.unwrap_or(0))
        });
        json!({
            "AccountLimit": {
                "TotalCodeSize": 80_530_636_800_u64, "CodeSizeUnzipped": 262_144_000, "CodeSizeZipped": 52_428_800,
                "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
                "UnreservedConcurrentExecutions": ACCOUNT_CONCURRENCY - reserved,
            },
            "AccountUsage": {"TotalCodeSize": state.code_bytes(), "FunctionCount": count},
        })
    }
}

impl Provisioned {
    fn show(&self, scope: &Scope) -> Value {
        let ready = scope.now >= self.ready_at;
        let available = if ready { self.requested } else { 0 };
        json!({
            "RequestedProvisionedConcurrentExecutions": self.requested,
            "AvailableProvisionedConcurrentExecutions": available,
            "AllocatedProvisionedConcurrentExecutions": available,
            "Status": if ready { "READY" } else { "IN_PROGRESS" },
            "LastModified": stamp(self.modified),
        })
    }
}

fn check_revision(
    function: &Function,
    scope: &Scope,
    qualifier: Option<&str>,
    given: Option<&str>,
) -> Result<(), Refusal> {
    match given.filter(|given| !given.is_empty()) {
        Some(given) if given != function.revision(scope, qualifier)? => {
            Err(stale("GetFunction/GetAlias"))
        }
        Some(_) | None => Ok(()),
    }
}

fn document(statements: &[Value]) -> String {
    json!({"Version": "2012-10-17", "Id": "default", "Statement": statements}).to_string()
}

fn statement(
    scope: &Scope,
    function: &Function,
    qualifier: Option<&str>,
    id: &str,
    input: &Value,
) -> Result<Value, Refusal> {
    let is_word = id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if id.is_empty() || !is_word || id.len() > 100 {
        return Err(constraint(
            id,
            "statementId",
            "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)",
        ));
    }
    let action = text(input, "Action").unwrap_or_default();
    if !(action.starts_with("lambda:") || action == "*") {
        return Err(constraint(
            action,
            "action",
            "Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])",
        ));
    }
    let principal = text(input, "Principal").unwrap_or_default();
    if principal.is_empty() {
        return Err(constraint("null", "principal", "Member must not be null"));
    }
    let who = if principal == "*" {
        json!("*")
    } else if principal.bytes().all(|b| b.is_ascii_digit()) {
        json!({"AWS": format!("arn:{}:iam::{principal}:root", scope.partition())})
    } else if principal.starts_with("arn:") {
        json!({"AWS": principal})
    } else {
        json!({"Service": principal})
    };
    let mut conditions = Map::new();
    if let Some(source) = text(input, "SourceArn") {
        conditions.insert("ArnLike".into(), json!({"AWS:SourceArn": source}));
    }
    let mut equals = Map::new();
    for (field, key) in [
        ("SourceAccount", "AWS:SourceAccount"),
        ("EventSourceToken", "lambda:EventSourceToken"),
        ("FunctionUrlAuthType", "lambda:FunctionUrlAuthType"),
        ("PrincipalOrgID", "aws:PrincipalOrgID"),
    ] {
        if let Some(value) = text(input, field) {
            equals.insert(key.to_owned(), json!(value));
        }
    }
    if !equals.is_empty() {
        conditions.insert("StringEquals".into(), Value::Object(equals));
    }
    if input["InvokedViaFunctionUrl"] == true {
        conditions.insert(
            "Bool".into(),
            json!({"lambda:InvokedViaFunctionUrl": "true"}),
        );
    }
    let mut statement = Map::new();
    statement.insert("Sid".into(), json!(id));
    statement.insert("Effect".into(), json!("Allow"));
    statement.insert("Principal".into(), who);
    statement.insert("Action".into(), json!(action));
    statement.insert(
        "Resource".into(),
        json!(arn(scope, &function.name, qualifier)),
    );
    if !conditions.is_empty() {
        statement.insert("Condition".into(), Value::Object(conditions));
    }
    Ok(Value::Object(statement))
}

/// A moment as a number of seconds, as some answers write it.
pub(crate) fn seconds(at: jiff::Timestamp) -> f64 {
    let milliseconds = i32::try_from(at.as_millisecond().rem_euclid(1_000)).unwrap_or(0);
    let whole = i32::try_from(at.as_second()).unwrap_or(i32::MAX);
    f64::from(whole) + f64::from(milliseconds) / 1_000.0
}
