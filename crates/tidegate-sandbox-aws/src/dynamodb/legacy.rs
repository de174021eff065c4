//! The parameters that expressions replaced (`Expected`, `AttributeUpdates`, `KeyConditions`, filters), turned into expressions.
//!
//! Must not know: items, tables.

use serde_json::Value;

use super::expression::{Action, Comparator, Condition, Operand, Path, Step};
use super::invalid;
use super::items::Write;
use super::value::Attribute;
use crate::refusal::Refusal;

fn path(name: &str) -> Path {
    Path(vec![Step::Name(name.to_owned())])
}

/// Reads `Expected` and `AttributeUpdates`; `None` when the request has neither.
///
/// # Errors
/// DynamoDB's own words, also when the request has expressions as well.
pub(super) fn write(input: &Value, expressions: bool) -> Result<Option<Write>, Refusal> {
    let expected = input.get("Expected").and_then(Value::as_object);
    let updates = input.get("AttributeUpdates").and_then(Value::as_object);
    if expected.is_none() && updates.is_none() {
        return Ok(None);
    }
    if expressions {
        return Err(mixed(if expected.is_some() {
            "Expected"
        } else {
            "AttributeUpdates"
        }));
    }
    let condition = match input.get("Expected") {
        Some(conditions) => self::conditions(conditions, input["ConditionalOperator"].as_str())?,
        None => None,
    };
    let mut actions = Vec::new();
    for (name, update) in updates.into_iter().flatten() {
        let value = match update.get("Value") {
            Some(value) => Some(Attribute::read(value).map_err(invalid)?),
            None => None,
        };
        let action = match (update["Action"].as_str().unwrap_or("PUT"), value) {
            ("PUT", Some(value)) => Action::Set(path(name), Operand::Value(value)),
            ("DELETE", None) => Action::Remove(path(name)),
            ("DELETE", Some(value)) => Action::Delete(path(name), value),
            ("ADD", Some(value)) => Action::Add(path(name), value),
            _ => {
                return Err(invalid(
                    "One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified",
                ));
            }
        };
        actions.push(action);
    }
    Ok(Some(Write { condition, actions }))
}

/// The refusal of a request that mixes both forms.
pub(super) fn mixed(parameter: &str) -> Refusal {
    invalid(format!(
        "Can not use both expression and non-expression parameters in the same request: \
         Non-expression parameters: {{{parameter}}} Expression parameters are present too"
    ))
}

/// Reads a map of conditions by attribute, joined by AND or OR.
///
/// # Errors
/// DynamoDB's own words.
pub(super) fn conditions(
    map: &Value,
    operator: Option<&str>,
) -> Result<Option<Condition>, Refusal> {
    let mut joined: Option<Condition> = None;
    for (name, body) in map.as_object().into_iter().flatten() {
        let next = condition(name, body)?;
        joined = Some(match joined {
            None => next,
            Some(before) if operator == Some("OR") => {
                Condition::Or(Box::new(before), Box::new(next))
            }
            Some(before) => Condition::And(Box::new(before), Box::new(next)),
        });
    }
    Ok(joined)
}

fn condition(name: &str, body: &Value) -> Result<Condition, Refusal> {
    let subject = || Operand::Path(path(name));
    if let Some(exists) = body.get("Exists").and_then(Value::as_bool) {
        return match (exists, body.get("Value")) {
            (false, None) => Ok(Condition::NotExists(path(name))),
            (true, Some(value)) => equal(subject(), value),
            _ => Err(invalid(
                "One or more parameter values were invalid: Exists and Value do not go together",
            )),
        };
    }
    let Some(operator) = body["ComparisonOperator"].as_str() else {
        return equal(subject(), &body["Value"]);
    };
    let mut values = Vec::new();
    for value in body["AttributeValueList"].as_array().into_iter().flatten() {
        values.push(Operand::Value(Attribute::read(value).map_err(invalid)?));
    }
    let wrong = || {
        invalid(format!(
            "One or more parameter values were invalid: Invalid number of argument(s) for the {operator} ComparisonOperator"
        ))
    };
    let mut values_iter = values.clone().into_iter();
    let first = values_iter.next();
    let second = values_iter.next();
    let compare = |comparator| match (values.len(), first.clone()) {
        (1, Some(value)) => Ok(Condition::Compare(comparator, subject(), value)),
        _ => Err(wrong()),
    };
    match operator {
        "EQ" => compare(Comparator::Equal),
        "NE" => compare(Comparator::NotEqual),
        "LT" => compare(Comparator::Less),
        "LE" => compare(Comparator::LessOrEqual),
        "GT" => compare(Comparator::Greater),
        "GE" => compare(Comparator::GreaterOrEqual),
        "NULL" if values.is_empty() => Ok(Condition::NotExists(path(name))),
        "NOT_NULL" if values.is_empty() => Ok(Condition::Exists(path(name))),
        "IN" if !values.is_empty() => Ok(Condition::In(subject(), values)),
        "BETWEEN" => match (values.len(), first, second) {
            (2, Some(low), Some(high)) => Ok(Condition::Between(subject(), low, high)),
            _ => Err(wrong()),
        },
        "BEGINS_WITH" | "CONTAINS" | "NOT_CONTAINS" => match (values.len(), first) {
            (1, Some(value)) if operator == "BEGINS_WITH" => {
                Ok(Condition::BeginsWith(subject(), value))
            }
            (1, Some(value)) if operator == "CONTAINS" => Ok(Condition::Contains(subject(), value)),
            (1, Some(value)) => Ok(Condition::Not(Box::new(Condition::Contains(
                subject(),
                value,
            )))),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn equal(subject: Operand, value: &Value) -> Result<Condition, Refusal> {
    let value = Attribute::read(value).map_err(invalid)?;
    Ok(Condition::Compare(
        Comparator::Equal,
        subject,
        Operand::Value(value),
    ))
}
