//! The interpreter: one execution, advanced as far as its clock lets it.
//!
//! Must not know: state machines' versions, requests.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::choice;
use crate::events::find;

/// States that one execution enters.
const STEPS: usize = 10_000;
/// Events of one execution's history that are kept.
const EVENTS: usize = 25_000;
/// Bytes of one execution's history that are kept.
const HISTORY_BYTES: usize = 8 << 20;
/// Bytes that a template may take of its input.
const TEMPLATE_BYTES: usize = 1 << 20;
/// Bytes of a document that goes from state to state.
const DATA_BYTES: usize = 262_144;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Running,
    Succeeded(Value),
    Failed(String, String),
    Aborted(String, String),
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded(_) => "SUCCEEDED",
            Self::Failed(..) => "FAILED",
            Self::Aborted(..) => "ABORTED",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Run {
    definition: Value,
    pub(super) input: Value,
    context: Value,
    pub(super) state: State,
    pub(super) stopped: Option<Timestamp>,
    at: String,
    data: Value,
    wakes: Option<Timestamp>,
    steps: usize,
    /// Bytes of the history.
    pub(super) bytes: usize,
    pub(super) events: Vec<Value>,
}

/// An error name and its cause.
type Failure = (String, String);

fn runtime(cause: impl Into<String>) -> Failure {
    ("States.Runtime".into(), cause.into())
}

impl Run {
    pub(super) fn new(
        definition: Value,
        input: Value,
        context: Value,
        role: &str,
        now: Timestamp,
    ) -> Self {
        let at = definition["StartAt"].as_str().unwrap_or("").to_owned();
        let mut run = Self {
            definition,
            data: input.clone(),
            input,
            context,
            state: State::Running,
            stopped: None,
            at,
            wakes: None,
            steps: 0,
            bytes: 0,
            events: Vec::new(),
        };
        let text = run.input.to_string();
        run.event(
            now,
            "ExecutionStarted",
            "executionStartedEventDetails",
            json!({"input": text, "roleArn": role}),
        );
        run.advance(now);
        run
    }

    fn event(&mut self, now: Timestamp, kind: &str, field: &str, details: Value) {
        if self.events.len() >= EVENTS || self.bytes >= HISTORY_BYTES {
            return;
        }
        let id = self.events.len() + 1;
        let mut event = json!({
            "timestamp": now.as_millisecond() as f64 / 1_000.0,
            "type": kind,
            "id": id,
            "previousEventId": id - 1,
        });
        if !details.is_null() {
            event[field] = details;
        }
        self.bytes += event.to_string().len();
        self.events.push(event);
    }

    /// Enters states until the execution ends or waits.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while self.state == State::Running {
            if self.wakes.is_some_and(|wakes| wakes > now) {
                return;
            }
            let moment = self.wakes.unwrap_or(now);
            if let Err((error, cause)) = self.step(moment) {
                self.event(
                    now,
                    "ExecutionFailed",
                    "executionFailedEventDetails",
                    json!({"error": error, "cause": cause}),
                );
                self.state = State::Failed(error, cause);
                self.stopped = Some(now);
            }
        }
    }

    /// Stops it.
    pub(super) fn abort(&mut self, error: String, cause: String, now: Timestamp) {
        if self.state == State::Running {
            self.event(
                now,
                "ExecutionAborted",
                "executionAbortedEventDetails",
                json!({"error": error, "cause": cause}),
            );
            self.state = State::Aborted(error, cause);
            self.stopped = Some(now);
        }
    }

    fn step(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.steps += 1;
        if self.steps > STEPS {
            return Err(runtime(format!(
                "the execution entered more than {STEPS} states"
            )));
        }
        if self.definition["QueryLanguage"] == "JSONata" {
            return Err(runtime("the sandbox runs state machines in JSONPath only"));
        }
        let name = self.at.clone();
        let state = self.definition["States"][&name].clone();
        let kind = state["Type"].as_str().unwrap_or("").to_owned();
        if state["QueryLanguage"] == "JSONata" {
            return Err(runtime(format!(
                "the sandbox runs states in JSONPath only; {name} is in JSONata"
            )));
        }
        let woken = self.wakes.take().is_some();
        if !woken {
            let input = self.data.to_string();
            self.event(
                now,
                &format!("{kind}StateEntered"),
                "stateEnteredEventDetails",
                json!({"name": name, "input": input}),
            );
        }
        let input = path(&state, "InputPath", &self.data)?;
        let (output, next) = match kind.as_str() {
            "Pass" => {
                let value = match (state.get("Result"), state.get("Parameters")) {
                    (Some(result), _) => result.clone(),
                    (None, Some(template)) => {
                        self.template(template, &input, &mut { TEMPLATE_BYTES })?
                    }
                    (None, None) => input.clone(),
                };
                (self.placed(&state, value)?, state["Next"].as_str())
            }
            "Wait" if !woken => {
                self.wakes = Some(waits_until(&state, &input, now)?);
                return Ok(());
            }
            "Wait" => (input, state["Next"].as_str()),
            "Choice" => {
                let mut chosen = None;
                for rule in state["Choices"].as_array().into_iter().flatten() {
                    if choice::holds(rule, &input).map_err(runtime)? {
                        chosen = rule["Next"].as_str();
                        break;
                    }
                }
                let Some(next) = chosen.or(state["Default"].as_str()) else {
                    return Err((
                        "States.NoChoiceMatched".into(),
                        format!("no rule of {name} matched and it has no Default"),
                    ));
                };
                (input, Some(next))
            }
            "Succeed" => (input, None),
            "Fail" => {
                let text = |field: &str| {
                    let by_path = state[format!("{field}Path")]
                        .as_str()
                        .and_then(|path| find(&input, path));
                    by_path
                        .and_then(Value::as_str)
                        .or(state[field].as_str())
                        .unwrap_or("")
                        .to_owned()
                };
                return Err((text("Error"), text("Cause")));
            }
            "Task" => {
                let resource = state["Resource"].as_str().unwrap_or("");
                return Err((
                    "States.TaskFailed".into(),
                    format!(
                        "the sandbox's Step Functions runs no tasks; {name} asks for {resource}"
                    ),
                ));
            }
            other => {
                return Err(runtime(format!(
                    "the sandbox's Step Functions has no {other} states; {name} is one"
                )));
            }
        };
        let output = path(&state, "OutputPath", &output)?;
        let text = output.to_string();
        if text.len() > DATA_BYTES {
            return Err((
                "States.DataLimitExceeded".into(),
                format!("the output of {name} is larger than {DATA_BYTES} bytes"),
            ));
        }
        self.event(
            now,
            &format!("{kind}StateExited"),
            "stateExitedEventDetails",
            json!({"name": name, "output": text}),
        );
        self.data = output;
        match next {
            Some(next) => next.clone_into(&mut self.at),
            None => {
                let output = self.data.clone();
                let text = output.to_string();
                self.event(
                    now,
                    "ExecutionSucceeded",
                    "executionSucceededEventDetails",
                    json!({"output": text}),
                );
                self.state = State::Succeeded(output);
                self.stopped = Some(now);
            }
        }
        Ok(())
    }

    /// Fills a template: fields that end in `.$` are paths.
    fn template(
        &self,
        template: &Value,
        input: &Value,
        budget: &mut usize,
    ) -> Result<Value, Failure> {
        match template {
            Value::Object(map) => {
                let mut out = Map::new();
                for (name, value) in map {
                    match (name.strip_suffix(".$"), value.as_str()) {
                        (Some(name), Some(path)) => {
                            let found = match path.strip_prefix("$$") {
                                Some(rest) => find(&self.context, &format!("${rest}")),
                                None => find(input, path),
                            };
                            let found = found.cloned().ok_or_else(|| {
                                (
                                    "States.ParameterPathFailure".to_owned(),
                                    format!(
                                        "The JSONPath '{path}' could not be found in the input"
                                    ),
                                )
                            })?;
                            *budget = budget.checked_sub(found.to_string().len()).ok_or_else(|| {
                                (
                                    "States.DataLimitExceeded".to_owned(),
                                    format!("the template takes more than {TEMPLATE_BYTES} bytes of its input"),
                                )
                            })?;
                            out.insert(name.to_owned(), found);
                        }
                        _ => {
                            out.insert(name.clone(), self.template(value, input, budget)?);
                        }
                    }
                }
                Ok(Value::Object(out))
            }
            Value::Array(list) => list
                .iter()
                .map(|one| self.template(one, input, budget))
                .collect(),
            other => Ok(other.clone()),
        }
    }

    /// The state's input with a result put at its ResultPath.
    fn placed(&self, state: &Value, value: Value) -> Result<Value, Failure> {
        match state.get("ResultPath") {
            Some(Value::Null) => Ok(self.data.clone()),
            None => Ok(value),
            Some(place) => {
                let steps: Vec<&str> = place
                    .as_str()
                    .unwrap_or("$")
                    .trim_start_matches('$')
                    .split('.')
                    .filter(|step| !step.is_empty())
                    .collect();
                let Some((last, above)) = steps.split_last() else {
                    return Ok(value);
                };
                let mut out = self.data.clone();
                let mut at = &mut out;
                let unmatched = || {
                    (
                        "States.ResultPathMatchFailure".to_owned(),
                        format!("{place} leads through a value that is no object"),
                    )
                };
                for step in above {
                    at = at
                        .as_object_mut()
                        .ok_or_else(unmatched)?
                        .entry(*step)
                        .or_insert_with(|| json!({}));
                }
                at.as_object_mut()
                    .ok_or_else(unmatched)?
                    .insert((*last).to_owned(), value);
                Ok(out)
            }
        }
    }
}

fn path(state: &Value, field: &str, data: &Value) -> Result<Value, Failure> {
    match state.get(field) {
        None => Ok(data.clone()),
        Some(Value::Null) => Ok(json!({})),
        Some(path) => {
            let path = path.as_str().unwrap_or("$");
            find(data, path)
                .cloned()
                .ok_or_else(|| runtime(format!("Invalid path '{path}' in {field}")))
        }
    }
}

fn waits_until(state: &Value, input: &Value, now: Timestamp) -> Result<Timestamp, Failure> {
    let by_path = |field: &str| {
        state[field]
            .as_str()
            .and_then(|path| find(input, path))
            .cloned()
    };
    let seconds = state
        .get("Seconds")
        .cloned()
        .or_else(|| by_path("SecondsPath"));
    if let Some(seconds) = seconds.as_ref().and_then(Value::as_i64) {
        return Ok(now
            .checked_add(SignedDuration::from_secs(seconds.max(0)))
            .unwrap_or(Timestamp::MAX));
    }
    let moment = state
        .get("Timestamp")
        .cloned()
        .or_else(|| by_path("TimestampPath"));
    moment
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| runtime("the Wait state says neither for how many seconds nor until when"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls read better with values"
    )]
    fn check(states: Value, input: Value, expected: State) {
        let definition = json!({"StartAt": "A", "States": states});
        let run = Run::new(definition, input, json!({}), "role", Timestamp::UNIX_EPOCH);
        assert_eq!(run.state, expected);
    }

    #[test]
    fn states_are_run() {
        check(
            json!({"A": {"Type": "Pass", "Parameters": {"x.$": "$.n", "y": 1}, "ResultPath": "$.r", "Next": "B"},
                   "B": {"Type": "Choice", "Choices": [{"Variable": "$.r.x", "NumericEquals": 5, "Next": "C"}], "Default": "D"},
                   "C": {"Type": "Succeed", "OutputPath": "$.r"}, "D": {"Type": "Fail", "Error": "E", "Cause": "c"}}),
            json!({"n": 5}),
            State::Succeeded(json!({"x": 5, "y": 1})),
        );
        check(
            json!({"A": {"Type": "Fail", "Error": "E", "Cause": "c"}}),
            json!({}),
            State::Failed("E".into(), "c".into()),
        );
        // A circle ends.
        let circle = json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}});
        let run = Run::new(circle, json!({}), json!({}), "role", Timestamp::UNIX_EPOCH);
        assert!(matches!(run.state, State::Failed(..)));
    }

    #[test]
    fn a_wait_ends_by_the_clock() {
        let definition =
            json!({"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 10, "End": true}}});
        let mut run = Run::new(
            definition,
            json!({"a": 1}),
            json!({}),
            "role",
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(run.state, State::Running);
        let later = Timestamp::UNIX_EPOCH
            .checked_add(SignedDuration::from_secs(9))
            .unwrap_or_default();
        run.advance(later);
        assert_eq!(run.state, State::Running);
        let later = Timestamp::UNIX_EPOCH
            .checked_add(SignedDuration::from_secs(10))
            .unwrap_or_default();
        run.advance(later);
        assert_eq!(run.state, State::Succeeded(json!({"a": 1})));
    }
}
