//! The rules of Choice states.
//!
//! Must not know: executions.

use jiff::Timestamp;
use serde_json::Value;

use crate::events::find;

/// Levels of And, Or and Not.
const DEPTH: usize = 20;

/// Does a rule hold for an input? An error names a path that leads nowhere.
pub(super) fn holds(rule: &Value, input: &Value) -> Result<bool, String> {
    evaluate(rule, input, DEPTH)
}

fn evaluate(rule: &Value, input: &Value, depth: usize) -> Result<bool, String> {
    if depth == 0 {
        return Err("the rule is nested too deeply".into());
    }
    if let Some(all) = rule["And"].as_array() {
        for one in all {
            if !evaluate(one, input, depth - 1)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if let Some(any) = rule["Or"].as_array() {
        for one in any {
            if evaluate(one, input, depth - 1)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    if rule["Not"].is_object() {
        return Ok(!evaluate(&rule["Not"], input, depth - 1)?);
    }
    let path = rule["Variable"].as_str().unwrap_or("");
    let found = find(input, path);
    let Some((name, operand)) = rule
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, _)| !matches!(name.as_str(), "Variable" | "Next" | "Comment" | "Assign"))
    else {
        return Err("the rule compares nothing".into());
    };
    if name == "IsPresent" {
        return Ok(Some(found.is_some()) == operand.as_bool());
    }
    let value = found.ok_or_else(|| {
        format!(
            "Invalid path '{path}': The choice state's condition path references an invalid value."
        )
    })?;
    let resolved;
    let (name, operand) = match name.strip_suffix("Path") {
        Some(name) => {
            let path = operand.as_str().unwrap_or("");
            resolved = find(input, path)
                .cloned()
                .ok_or_else(|| format!("Invalid path '{path}'"))?;
            (name, &resolved)
        }
        None => (name.as_str(), operand),
    };
    Ok(compare(name, value, operand))
}

fn compare(name: &str, value: &Value, operand: &Value) -> bool {
    let is = |kind: bool| Some(kind) == operand.as_bool();
    match name {
        "IsNull" => return is(value.is_null()),
        "IsNumeric" => return is(value.is_number()),
        "IsString" => return is(value.is_string()),
        "IsBoolean" => return is(value.is_boolean()),
        "IsTimestamp" => return is(timestamp(value).is_some()),
        "BooleanEquals" => return value.is_boolean() && value == operand,
        "StringMatches" => {
            return match (value.as_str(), operand.as_str()) {
                (Some(text), Some(pattern)) => crate::filter::wildcard(pattern, text),
                _ => false,
            };
        }
        _ => {}
    }
    let order = if let Some(operator) = name.strip_prefix("String") {
        value
            .as_str()
            .zip(operand.as_str())
            .map(|(a, b)| (operator, a.cmp(b)))
    } else if let Some(operator) = name.strip_prefix("Numeric") {
        value
            .as_f64()
            .zip(operand.as_f64())
            .and_then(|(a, b)| Some((operator, a.partial_cmp(&b)?)))
    } else if let Some(operator) = name.strip_prefix("Timestamp") {
        timestamp(value)
            .zip(timestamp(operand))
            .map(|(a, b)| (operator, a.cmp(&b)))
    } else {
        None
    };
    match order {
        Some(("Equals", order)) => order.is_eq(),
        Some(("LessThan", order)) => order.is_lt(),
        Some(("LessThanEquals", order)) => order.is_le(),
        Some(("GreaterThan", order)) => order.is_gt(),
        Some(("GreaterThanEquals", order)) => order.is_ge(),
        _ => false,
    }
}

fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls read better with values"
    )]
    fn check(rule: Value, expected: Result<bool, ()>) {
        let input = json!({"n": 5, "s": "log.txt", "t": "2026-01-01T00:00:00Z", "b": true});
        assert_eq!(holds(&rule, &input).map_err(drop), expected, "{rule}");
    }

    #[test]
    fn rules() {
        check(
            json!({"Variable": "$.n", "NumericGreaterThan": 4}),
            Ok(true),
        );
        check(
            json!({"Variable": "$.n", "NumericEqualsPath": "$.n"}),
            Ok(true),
        );
        check(
            json!({"Variable": "$.s", "StringMatches": "log*.txt"}),
            Ok(true),
        );
        check(
            json!({"Variable": "$.t", "TimestampLessThan": "2027-01-01T00:00:00Z"}),
            Ok(true),
        );
        check(
            json!({"Not": {"Variable": "$.b", "BooleanEquals": true}}),
            Ok(false),
        );
        check(
            json!({"And": [{"Variable": "$.n", "IsNumeric": true}, {"Variable": "$.x", "IsPresent": false}]}),
            Ok(true),
        );
        check(json!({"Variable": "$.x", "NumericEquals": 1}), Err(()));
    }
}
