//! Executions started, described, listed and stopped.
//!
//! Must not know: how states are run.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::run::{Run, State};
use super::{Call, EXECUTIONS, Execution, seconds, split};
use crate::refusal::{Refusal, refuse};

/// Bytes of all histories of one region.
const HISTORY_BYTES: usize = 128 << 20;
/// Entries of one page.
const PAGE: usize = 100;

impl Execution {
    fn describe(&self) -> Value {
        let mut described = json!({
            "executionArn": self.arn,
            "stateMachineArn": self.machine,
            "name": self.name,
            "status": self.run.state.name(),
            "startDate": seconds(self.started),
            "input": self.input,
            "inputDetails": {"included": true},
            "redriveCount": 0,
            "redriveStatus": "NOT_REDRIVABLE",
        });
        if let Some(stopped) = self.run.stopped {
            described["stopDate"] = json!(seconds(stopped));
        }
        if let Some(version) = &self.version {
            described["stateMachineVersionArn"] = json!(version);
        }
        if let Some(alias) = &self.alias {
            described["stateMachineAliasArn"] = json!(alias);
        }
        match &self.run.state {
            State::Running => {}
            State::Succeeded(output) => {
                described["output"] = json!(output.to_string());
                described["outputDetails"] = json!({"included": true});
            }
            State::Failed(error, cause) | State::Aborted(error, cause) => {
                described["error"] = json!(error);
                described["cause"] = json!(cause);
            }
        }
        described
    }
}

impl Call<'_> {
    pub(super) fn start(&mut self, wait: bool) -> Result<Value, Refusal> {
        let count = self.count();
        let now = self.scope.now;
        let given = self.text("stateMachineArn").unwrap_or("").to_owned();
        let name = match self.text("name") {
            Some(name) => name.to_owned(),
            None => self.scope.uuid(&format!("execution/{count}")),
        };
        let input_text = self.text("input").unwrap_or("{}").to_owned();
        let input: Value = serde_json::from_str(&input_text).map_err(|error| {
            refuse(
                "InvalidExecutionInput",
                format!("Invalid State Machine Execution Input: '{error}'"),
            )
        })?;
        let machine = self.machine_of("stateMachineArn")?.clone();
        let (arn, part) = split(&given);
        let (mut text, mut role) = (machine.definition.clone(), machine.role.clone());
        let (mut version_arn, mut alias_arn) = (None, None);
        if let Some(part) = part {
            let number = match machine.aliases.get(part) {
                Some(alias) => {
                    alias_arn = Some(given.clone());
                    weighted(&alias.routing, count)
                }
                None => part.to_owned(),
            };
            let Some(version) = machine
                .versions
                .iter()
                .find(|version| number.parse() == Ok(version.number))
            else {
                return Err(refuse(
                    "StateMachineDoesNotExist",
                    format!("State Machine Does Not Exist: '{given}'"),
                ));
            };
            text.clone_from(&version.definition);
            role.clone_from(&version.role);
            version_arn = Some(format!("{arn}:{number}"));
        }
        if wait && machine.kind != "EXPRESS" {
            return Err(refuse(
                "StateMachineTypeNotSupported",
                "This operation is not supported by this type of state machine",
            ));
        }
        let execution_arn = self
            .scope
            .arn("states", &format!("execution:{}:{name}", machine.name));
        if let Some(known) = self
            .machines
            .executions
            .iter()
            .find(|one| one.arn == execution_arn)
        {
            if known.run.input == input && known.run.state == State::Running {
                return Ok(
                    json!({"executionArn": execution_arn, "startDate": seconds(known.started)}),
                );
            }
            return Err(refuse(
                "ExecutionAlreadyExists",
                format!("Execution Already Exists: '{execution_arn}'"),
            ));
        }
        let definition: Value = serde_json::from_str(&text).unwrap_or_default();
        let context = json!({
            "Execution": {
                "Id": execution_arn, "Name": name, "Input": input, "RoleArn": role,
                "StartTime": now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            },
            "StateMachine": {"Id": arn, "Name": machine.name},
        });
        let execution = Execution {
            arn: execution_arn.clone(),
            name,
            machine: arn.to_owned(),
            version: version_arn,
            alias: alias_arn,
            started: now,
            input: input_text,
            run: Run::new(definition, input, context, &role, now),
        };
        let described = execution.describe();
        self.make_room()?;
        self.machines.executions.push(execution);
        if wait {
            return Ok(described);
        }
        Ok(json!({"executionArn": execution_arn, "startDate": seconds(now)}))
    }

    /// The oldest executions that have ended make room for another.
    fn make_room(&mut self) -> Result<(), Refusal> {
        let executions = &mut self.machines.executions;
        let mut held: usize = executions.iter().map(|one| one.run.bytes).sum();
        while executions.len() >= EXECUTIONS || held > HISTORY_BYTES {
            let ended = executions
                .iter()
                .position(|one| one.run.state != State::Running);
            let Some(index) = ended else {
                return Err(refuse(
                    "ExecutionLimitExceeded",
                    "The maximum number of running executions has been reached.",
                ));
            };
            held = held.saturating_sub(executions.remove(index).run.bytes);
        }
        Ok(())
    }

    fn execution(&mut self) -> Result<&mut Execution, Refusal> {
        let arn = self.text("executionArn").unwrap_or("").to_owned();
        self.machines
            .executions
            .iter_mut()
            .find(|execution| execution.arn == arn)
            .ok_or_else(|| {
                refuse(
                    "ExecutionDoesNotExist",
                    format!("Execution Does Not Exist: '{arn}'"),
                )
            })
    }

    pub(super) fn describe_execution(&mut self) -> Result<Value, Refusal> {
        Ok(self.execution()?.describe())
    }

    pub(super) fn describe_for_execution(&mut self) -> Result<Value, Refusal> {
        let arn = self.execution()?.machine.clone();
        let Some(machine) = self.machines.machines.get(&arn) else {
            return Err(refuse(
                "StateMachineDoesNotExist",
                format!("State Machine Does Not Exist: '{arn}'"),
            ));
        };
        Ok(json!({
            "stateMachineArn": arn,
            "name": machine.name,
            "definition": machine.definition,
            "roleArn": machine.role,
            "updateDate": seconds(machine.created),
            "revisionId": machine.revision,
        }))
    }

    pub(super) fn list_executions(&mut self) -> Result<Value, Refusal> {
        let (arn, _) = split(self.text("stateMachineArn").unwrap_or(""));
        let arn = arn.to_owned();
        self.machine_of("stateMachineArn")?;
        let wanted = self.text("statusFilter").map(str::to_owned);
        let limit = match self.input["maxResults"].as_u64() {
            None | Some(0) => PAGE,
            Some(limit) => usize::try_from(limit).unwrap_or(PAGE),
        };
        let skip: usize = self
            .text("nextToken")
            .and_then(|token| token.parse().ok())
            .unwrap_or(0);
        let found: Vec<Value> = self
            .machines
            .executions
            .iter()
            .rev()
            .filter(|execution| execution.machine == arn)
            .filter(|execution| {
                wanted
                    .as_deref()
                    .is_none_or(|wanted| execution.run.state.name() == wanted)
            })
            .map(Execution::describe)
            .map(|mut described| {
                if let Some(map) = described.as_object_mut() {
                    for field in [
                        "input",
                        "inputDetails",
                        "output",
                        "outputDetails",
                        "error",
                        "cause",
                        "redriveStatus",
                    ] {
                        map.remove(field);
                    }
                }
                described
            })
            .collect();
        let more = found.len() > skip + limit;
        let page: Vec<Value> = found.into_iter().skip(skip).take(limit).collect();
        let mut answer = json!({"executions": page});
        if more {
            answer["nextToken"] = json!((skip + limit).to_string());
        }
        Ok(answer)
    }

    pub(super) fn stop(&mut self) -> Result<Value, Refusal> {
        let now: Timestamp = self.scope.now;
        let text = |field: &str| self.text(field).unwrap_or("").to_owned();
        let (error, cause) = (text("error"), text("cause"));
        self.execution()?.run.abort(error, cause, now);
        Ok(json!({"stopDate": seconds(now)}))
    }

    pub(super) fn history(&mut self) -> Result<Value, Refusal> {
        let reverse = self.input["reverseOrder"] == true;
        let limit = match self.input["maxResults"].as_u64() {
            None | Some(0) => 1_000,
            Some(limit) => usize::try_from(limit).unwrap_or(1_000),
        };
        let skip: usize = self
            .text("nextToken")
            .and_then(|token| token.parse().ok())
            .unwrap_or(0);
        let events = &self.execution()?.run.events;
        let count = events.len();
        let page: Vec<Value> = if reverse {
            events
                .iter()
                .rev()
                .skip(skip)
                .take(limit)
                .cloned()
                .collect()
        } else {
            events.iter().skip(skip).take(limit).cloned().collect()
        };
        let mut answer = json!({"events": page});
        if count > skip + limit {
            answer["nextToken"] = json!((skip + limit).to_string());
        }
        Ok(answer)
    }
}

/// The version that an alias picks this time: weights are honoured over every hundred executions.
fn weighted(routing: &Value, count: u64) -> String {
    let mut place = i64::try_from(count * 61 % 100).unwrap_or(0);
    let list = routing.as_array().map_or(&[][..], Vec::as_slice);
    for one in list {
        place -= one["weight"].as_i64().unwrap_or(0);
        if place < 0 {
            let arn = one["stateMachineVersionArn"].as_str().unwrap_or("");
            return split(arn).1.unwrap_or("").to_owned();
        }
    }
    String::new()
}
