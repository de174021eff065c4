//! Step Functions: state machines with versions and aliases, executions run by a small interpreter.
//!
//! `definition` checks and walks definitions, `run` is the interpreter (Pass, Wait, Choice, Succeed, Fail), `manage` and
//! `executions` the operations. A Task fails in words: the interpreter calls no function. Must not know: HTTP, Lambda.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

mod choice;
mod definition;
mod executions;
mod manage;
mod run;

use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};
use run::Run;

/// State machines of one region.
const MACHINES: usize = 1_000;
/// Executions of one region that are remembered.
const EXECUTIONS: usize = 5_000;

#[derive(Clone, Debug)]
struct Version {
    number: u64,
    definition: String,
    role: String,
    description: Option<String>,
    created: Timestamp,
}

#[derive(Clone, Debug)]
struct Alias {
    description: Option<String>,
    routing: Value,
    created: Timestamp,
    updated: Timestamp,
}

#[derive(Clone, Debug)]
struct Machine {
    name: String,
    arn: String,
    kind: String,
    definition: String,
    role: String,
    revision: String,
    created: Timestamp,
    settings: BTreeMap<String, Value>,
    tags: BTreeMap<String, String>,
    versions: Vec<Version>,
    published: u64,
    aliases: BTreeMap<String, Alias>,
}

#[derive(Clone, Debug)]
struct Execution {
    arn: String,
    name: String,
    machine: String,
    version: Option<String>,
    alias: Option<String>,
    started: Timestamp,
    /// The input as it was given.
    input: String,
    run: Run,
}

/// The state machines of one region.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    machines: BTreeMap<String, Machine>,
    executions: Vec<Execution>,
    counter: u64,
}

pub(super) fn model() -> &'static Model {
    shape::model!("stepfunctions")
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1_000.0
}

impl Machines {
    /// Answers one operation.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        self.tick(scope.now);
        let mut call = Call {
            machines: self,
            scope,
            input,
        };
        match operation {
            "CreateStateMachine" => call.create(),
            "UpdateStateMachine" => call.update(),
            "DeleteStateMachine" => Ok(call.delete()),
            "DescribeStateMachine" => call.describe(),
            "DescribeStateMachineForExecution" => call.describe_for_execution(),
            "ListStateMachines" => Ok(call.list()),
            "PublishStateMachineVersion" => call.publish(),
            "ListStateMachineVersions" => call.list_versions(),
            "DeleteStateMachineVersion" => call.delete_version(),
            "CreateStateMachineAlias" => call.create_alias(),
            "UpdateStateMachineAlias" => call.update_alias(),
            "DescribeStateMachineAlias" => call.describe_alias(),
            "DeleteStateMachineAlias" => call.delete_alias(),
            "ListStateMachineAliases" => call.list_aliases(),
            "ValidateStateMachineDefinition" => Ok(call.validate()),
            "TagResource" => call.tag(),
            "UntagResource" => call.untag(),
            "ListTagsForResource" => call.list_tags(),
            "StartExecution" => call.start(false),
            "StartSyncExecution" => call.start(true),
            "DescribeExecution" => call.describe_execution(),
            "ListExecutions" => call.list_executions(),
            "StopExecution" => call.stop(),
            "GetExecutionHistory" => call.history(),
            other => Err(Refusal::unsupported("Step Functions", other)),
        }
    }

    /// Every state machine with its tags, for the tagging API.
    pub(crate) fn tagged(&self) -> Vec<(String, BTreeMap<String, String>)> {
        self.machines
            .values()
            .map(|machine| (machine.arn.clone(), machine.tags.clone()))
            .collect()
    }

    /// Lets executions that wait go on.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        for execution in &mut self.executions {
            execution.run.advance(now);
        }
    }
}

/// One request to the state machines of a region.
struct Call<'a> {
    machines: &'a mut Machines,
    scope: &'a Scope,
    input: &'a Value,
}

/// The state machine's ARN in one that may name a version or an alias, and what it names.
fn split(arn: &str) -> (&str, Option<&str>) {
    match arn.match_indices(':').nth(6) {
        Some((at, _)) => (&arn[..at], Some(&arn[at + 1..])),
        None => (arn, None),
    }
}

impl Call<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.input.get(field).and_then(Value::as_str)
    }

    fn machine_of(&mut self, field: &str) -> Result<&mut Machine, Refusal> {
        let given = self.text(field).unwrap_or("").to_owned();
        if !given.contains(":stateMachine:") {
            return Err(refuse(
                "InvalidArn",
                format!("Invalid Arn: 'Invalid ARN prefix: {given}'"),
            ));
        }
        let (arn, _) = split(&given);
        self.machines.machines.get_mut(arn).ok_or_else(|| {
            refuse(
                "StateMachineDoesNotExist",
                format!("State Machine Does Not Exist: '{given}'"),
            )
        })
    }

    fn count(&mut self) -> u64 {
        self.machines.counter += 1;
        self.machines.counter
    }
}

fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    json!(
        tags.iter()
            .map(|(key, value)| json!({"key": key, "value": value}))
            .collect::<Vec<_>>()
    )
}

fn read_tags(value: &Value) -> BTreeMap<String, String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| {
            Some((
                tag["key"].as_str()?.to_owned(),
                tag["value"].as_str().unwrap_or("").to_owned(),
            ))
        })
        .collect()
}
