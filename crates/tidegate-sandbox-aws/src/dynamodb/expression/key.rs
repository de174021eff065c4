//! A key condition taken apart: the partition's value and the condition on the sort key.
//!
//! Must not know: text of expressions.

use super::{Comparator, Condition, Operand, Path};
use crate::dynamodb::value::Attribute;

/// What a query asks of its keys.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::dynamodb) struct KeyCondition {
    /// The partition key's value.
    pub(in crate::dynamodb) hash: Attribute,
    /// The condition on the sort key, if any.
    pub(in crate::dynamodb) range: Option<Condition>,
}

/// Splits a key condition by the key schema.
///
/// # Errors
/// DynamoDB's own words (a `ValidationException`).
pub(in crate::dynamodb) fn split(
    condition: &Condition,
    hash: &str,
    range: Option<&str>,
) -> Result<KeyCondition, String> {
    let mut parts = Vec::new();
    flatten(condition, &mut parts)?;
    let mut found_hash = None;
    let mut found_range = None;
    for part in &parts {
        let path = subject(part)?;
        let root = path.root();
        if path.0.len() != 1 {
            return Err("Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on nested attributes".into());
        }
        if root == hash {
            let Condition::Compare(Comparator::Equal, a, b) = part else {
                return Err("Query key condition not supported".into());
            };
            if found_hash.is_some() {
                return Err(ONE_EACH.into());
            }
            found_hash = constant(a, b);
        } else if Some(root) == range {
            if found_range.is_some() {
                return Err(ONE_EACH.into());
            }
            if matches!(part, Condition::Compare(Comparator::NotEqual, ..)) {
                return Err("Unsupported operator on KeyConditionExpression: operator: <>".into());
            }
            found_range = Some((*part).clone());
        } else if parts.len() > 1 || found_hash.is_none() {
            let missing = if parts
                .iter()
                .any(|part| subject(part).is_ok_and(|path| path.root() == hash))
            {
                range.unwrap_or(hash)
            } else {
                hash
            };
            return Err(format!(
                "Query condition missed key schema element: {missing}"
            ));
        }
    }
    match found_hash {
        Some(hash) => Ok(KeyCondition {
            hash,
            range: found_range,
        }),
        None => Err(format!("Query condition missed key schema element: {hash}")),
    }
}

const ONE_EACH: &str = "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key";

fn flatten<'a>(condition: &'a Condition, parts: &mut Vec<&'a Condition>) -> Result<(), String> {
    match condition {
        Condition::And(a, b) => {
            flatten(a, parts)?;
            flatten(b, parts)
        }
        Condition::Or(..) => Err("Invalid operator used in KeyConditionExpression: OR".into()),
        Condition::Not(_) => Err("Invalid operator used in KeyConditionExpression: NOT".into()),
        Condition::In(..) => Err("Invalid operator used in KeyConditionExpression: IN".into()),
        Condition::Exists(_) => invalid("attribute_exists"),
        Condition::NotExists(_) => invalid("attribute_not_exists"),
        Condition::Type(..) => invalid("attribute_type"),
        Condition::Contains(..) => invalid("contains"),
        Condition::Compare(..) | Condition::Between(..) | Condition::BeginsWith(..) => {
            parts.push(condition);
            if parts.len() > 2 {
                return Err("Conditions can be of length 1 or 2 only".into());
            }
            Ok(())
        }
    }
}

fn invalid(operator: &str) -> Result<(), String> {
    Err(format!(
        "Invalid operator used in KeyConditionExpression: {operator}"
    ))
}

/// The attribute that a part speaks of.
fn subject(part: &Condition) -> Result<&Path, String> {
    let path = match part {
        Condition::Compare(_, Operand::Path(path), _)
        | Condition::Compare(_, _, Operand::Path(path)) => Some(path),
        Condition::Between(Operand::Path(path), ..)
        | Condition::BeginsWith(Operand::Path(path), _) => Some(path),
        _ => None,
    };
    path.ok_or_else(|| {
        "Invalid KeyConditionExpression: No key attribute specified in a condition".to_owned()
    })
}

fn constant(a: &Operand, b: &Operand) -> Option<Attribute> {
    match (a, b) {
        (_, Operand::Value(value)) | (Operand::Value(value), _) => Some(value.clone()),
        _ => None,
    }
}
