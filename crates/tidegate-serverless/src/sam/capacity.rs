//! `CapacityProviderConfig` of a function: checked and coerced as the reference's model of it does.

use serde_json::{Map, Value, json};

use crate::sam::{Fault, Made, python_type};

const CALLED: &str = "CapacityProviderConfig";
const ARN: &str = "Arn";
const CONCURRENCY: &str = "PerExecutionEnvironmentMaxConcurrency";
const MEMORY: &str = "ExecutionEnvironmentMemoryGiBPerVCpu";

const NO_MAP: &str = "value is not a valid dict (type=type_error.dict)";
const NO_INTEGER: &str = "value is not a valid integer (type=type_error.integer)";
const NO_FLOAT: &str = "value is not a valid float (type=type_error.float)";

/// What CloudFormation calls it; all mistakes at once.
pub(crate) fn config(id: &str, given: &Value) -> Made<Map<String, Value>> {
    let mut wrong: Vec<(&str, &str)> = Vec::new();
    let mut config = Map::new();
    let Some(given) = given.as_object() else {
        let text = format!(
            "{CALLED} expected dict not {} (type=type_error)",
            python_type(given)
        );
        return refused(id, &[("__root__", &text)]);
    };
    match given.get(ARN) {
        None => wrong.push((ARN, "field required (type=value_error.missing)")),
        Some(Value::Null) => wrong.push((
            ARN,
            "none is not an allowed value (type=type_error.none.not_allowed)",
        )),
        Some(Value::Array(_)) => wrong.extend([
            (ARN, NO_MAP),
            (ARN, "str type expected (type=type_error.str)"),
        ]),
        Some(Value::Bool(flag)) => {
            let shown = if *flag { "True" } else { "False" };
            config.insert("CapacityProviderArn".to_owned(), json!(shown));
        }
        Some(Value::Number(number)) => {
            let shown = number.to_string();
            config.insert("CapacityProviderArn".to_owned(), json!(shown));
        }
        Some(arn) => {
            config.insert("CapacityProviderArn".to_owned(), arn.clone());
        }
    }
    for (name, has_fractions) in [(CONCURRENCY, false), (MEMORY, true)] {
        let Some(value) = given.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        match number(value, has_fractions) {
            Some(value) => {
                config.insert(name.to_owned(), value);
            }
            None => {
                wrong.extend([(name, NO_MAP), (name, NO_INTEGER)]);
                wrong.extend(has_fractions.then_some((name, NO_FLOAT)));
            }
        }
    }
    // The names are sorted here, and so they are in the message.
    let unknown = given
        .keys()
        .filter(|name| ![ARN, CONCURRENCY, MEMORY].contains(&name.as_str()));
    wrong.extend(unknown.map(|name| {
        let text = "extra fields not permitted (type=value_error.extra)";
        (name.as_str(), text)
    }));
    if wrong.is_empty() {
        return Ok(config);
    }
    refused(id, &wrong)
}

/// A mapping as it is, anything else as a whole number; text with a fraction keeps it.
fn number(value: &Value, has_fractions: bool) -> Option<Value> {
    match value {
        Value::Object(_) => Some(value.clone()),
        Value::Bool(flag) => Some(json!(i32::from(*flag))),
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64()?.trunc();
            // A whole number below 2^53 is written without a fraction.
            format!("{whole:.0}")
                .parse::<i64>()
                .ok()
                .map(|whole| json!(whole))
        }
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => {
            let text = text.trim();
            let whole = text.parse::<i64>().ok().map(|whole| json!(whole));
            let fraction = || text.parse::<f64>().ok().map(|number| json!(number));
            whole.or_else(|| fraction().filter(|_| has_fractions))
        }
        Value::Null | Value::Array(_) => None,
    }
}

fn refused(id: &str, wrong: &[(&str, &str)]) -> Made<Map<String, Value>> {
    let count = wrong.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut text = format!("Invalid {CALLED}: {count} validation error{plural} for {CALLED}");
    for (name, what) in wrong {
        text.push_str(&format!("\n{name}\n  {what}"));
    }
    Err(Fault::new(id, text))
}
