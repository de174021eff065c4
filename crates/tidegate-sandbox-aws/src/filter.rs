//! Event patterns: the filter language of EventBridge, of event-source mappings and of SNS subscriptions.
//!
//! Must not know: who filters what.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

/// Levels of a pattern.
const DEPTH: usize = 32;
/// Numbers that differ by less are equal, as the services compare them.
const PRECISION: f64 = 1e-6;
/// Stars of one wildcard.
const STARS: usize = 10;

/// The operators that a matcher object may have.
const OPERATORS: [&str; 8] = [
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "anything-but",
    "numeric",
    "exists",
    "cidr",
];

/// Checks a pattern.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn check_text(pattern: &str) -> Result<(), String> {
    match serde_json::from_str(pattern) {
        Ok(Value::Object(map)) if map.is_empty() => Err("Empty patterns are not allowed".into()),
        Ok(Value::Object(map)) => check_object(&map, DEPTH),
        Ok(_) => Err("Filter is not an object".into()),
        Err(error) => Err(format!("Filter is not valid JSON: {error}")),
    }
}

/// Does an event match a pattern? A pattern that is no pattern matches nothing.
pub fn matches_text(pattern: &str, event: &Value) -> bool {
    match serde_json::from_str(pattern) {
        Ok(Value::Object(map)) => matches_object(&map, Some(event), DEPTH),
        _ => false,
    }
}

fn is_or(name: &str, value: &Value) -> bool {
    name == "$or"
        && value.as_array().is_some_and(|all| {
            all.len() >= 2
                && all.iter().all(|one| {
                    one.as_object()
                        .is_some_and(|map| map.keys().all(|key| !OPERATORS.contains(&key.as_str())))
                })
        })
}

fn check_object(map: &Map<String, Value>, depth: usize) -> Result<(), String> {
    if depth == 0 {
        return Err(format!("The pattern is nested deeper than {DEPTH} levels"));
    }
    for (name, value) in map {
        if is_or(name, value) {
            for one in value.as_array().into_iter().flatten() {
                if let Value::Object(inner) = one {
                    check_object(inner, depth - 1)?;
                }
            }
            continue;
        }
        match value {
            Value::Object(inner) if inner.is_empty() => {
                return Err(format!(
                    "\"{name}\" must be an object or an array with at least one value"
                ));
            }
            Value::Object(inner) => check_object(inner, depth - 1)?,
            Value::Array(list) if list.is_empty() => {
                return Err("Empty arrays are not allowed".into());
            }
            Value::Array(list) => list.iter().try_for_each(check_matcher)?,
            _ => return Err(format!("\"{name}\" must be an object or an array")),
        }
    }
    Ok(())
}

fn check_matcher(matcher: &Value) -> Result<(), String> {
    let map = match matcher {
        Value::Object(map) => map,
        Value::Array(_) => {
            return Err("Match value must be String, number, true, false, or null".into());
        }
        _ => return Ok(()),
    };
    let mut fields = map.iter();
    let (Some((operator, operand)), None) = (fields.next(), fields.next()) else {
        return Err("Only one key allowed in match expression".into());
    };
    match operator.as_str() {
        "prefix" | "suffix" => match operand {
            Value::String(_) => Ok(()),
            Value::Object(inner) if inner.len() == 1 && inner.get("equals-ignore-case").is_some_and(Value::is_string) => Ok(()),
            _ => Err(format!("{operator} match pattern must be a string")),
        },
        "equals-ignore-case" if operand.is_string() => Ok(()),
        "wildcard" => match operand.as_str() {
            Some(text) if text.contains("**") => Err("Consecutive wildcard characters".into()),
            Some(text) if text.matches('*').count() > STARS => Err("Too many wildcard characters".into()),
            Some(_) => Ok(()),
            None => Err("wildcard match pattern must be a string".into()),
        },
        "exists" if operand.is_boolean() => Ok(()),
        "exists" => Err("exists match pattern must be either true or false.".into()),
        "numeric" => check_numeric(operand),
        "cidr" => operand
            .as_str()
            .and_then(parse_cidr)
            .map(drop)
            .ok_or_else(|| "Malformed CIDR".to_owned()),
        "anything-but" => match operand {
            Value::Array(list) if list.is_empty() => Err("Empty arrays are not allowed".into()),
            Value::Array(list) if list.iter().all(Value::is_string) || list.iter().all(Value::is_number) => Ok(()),
            Value::String(_) | Value::Number(_) => Ok(()),
            Value::Object(inner) => {
                let mut fields = inner.iter();
                match (fields.next(), fields.next()) {
                    (Some((name, value)), None)
                        if ["prefix", "suffix", "equals-ignore-case", "wildcard"].contains(&name.as_str())
                            && (value.is_string()
                                || value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string))) =>
                    {
                        Ok(())
                    }
                    _ => Err("Unsupported anything-but pattern".into()),
                }
            }
            _ => Err("Inside anything but list, either all values are number or string, mixed type is not supported".into()),
        },
        other => Err(format!("Unrecognized match type {other}")),
    }
}

fn check_numeric(operand: &Value) -> Result<(), String> {
    let list = operand
        .as_array()
        .ok_or("Value of numeric must be an array.")?;
    let bad = || {
        Err("Bad numeric range: use \"=\", or one or two of \"<\", \"<=\", \">\", \">=\" with numbers".to_owned())
    };
    let pairs: Vec<(&str, f64)> = list
        .chunks(2)
        .filter_map(|pair| Some((pair.first()?.as_str()?, pair.get(1)?.as_f64()?)))
        .collect();
    if pairs.len() * 2 != list.len() {
        return bad();
    }
    match pairs[..] {
        [("=" | "<" | "<=" | ">" | ">=", _)] => Ok(()),
        [(">" | ">=", low), ("<" | "<=", high)] if low < high => Ok(()),
        _ => bad(),
    }
}

fn matches_object(map: &Map<String, Value>, event: Option<&Value>, depth: usize) -> bool {
    if depth == 0 {
        return false;
    }
    if let Some(Value::Array(elements)) = event {
        // Every field must match within one and the same element.
        return elements
            .iter()
            .any(|element| matches_object(map, Some(element), depth - 1));
    }
    map.iter().all(|(name, pattern)| {
        if is_or(name, pattern) {
            return pattern.as_array().into_iter().flatten().any(|one| {
                one.as_object()
                    .is_some_and(|inner| matches_object(inner, event, depth - 1))
            });
        }
        let below = event.and_then(|event| step(event, name));
        match pattern {
            Value::Object(inner) => matches_object(inner, below, depth - 1),
            Value::Array(list) => list.iter().any(|matcher| matches_leaf(matcher, below)),
            _ => false,
        }
    })
}

/// The value of a field, also of a dotted one.
fn step<'a>(event: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(value) = event.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    step(event.get(first)?, rest)
}

fn matches_leaf(matcher: &Value, value: Option<&Value>) -> bool {
    if let Value::Object(map) = matcher
        && let Some(wanted) = map.get("exists").and_then(Value::as_bool)
    {
        let exists = value.is_some_and(|value| match value {
            Value::Object(_) => false,
            Value::Array(list) => list.iter().any(|one| !one.is_object()),
            _ => true,
        });
        return exists == wanted;
    }
    match value {
        None | Some(Value::Object(_)) => false,
        Some(Value::Array(list)) => list.iter().any(|one| matches_leaf(matcher, Some(one))),
        Some(value) => matches_scalar(matcher, value),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() < PRECISION,
            _ => false,
        },
        _ => a == b,
    }
}

fn matches_scalar(matcher: &Value, value: &Value) -> bool {
    let Value::Object(map) = matcher else {
        return same(matcher, value);
    };
    let Some((operator, operand)) = map.iter().next() else {
        return false;
    };
    let text = value.as_str();
    match operator.as_str() {
        "prefix" | "suffix" | "equals-ignore-case" | "wildcard" => {
            text.is_some_and(|text| matches_words(operator, operand, text))
        }
        "numeric" => value
            .as_f64()
            .is_some_and(|number| matches_numeric(operand, number)),
        "cidr" => text
            .zip(operand.as_str())
            .is_some_and(|(text, range)| in_cidr(text, range)),
        "anything-but" => match operand {
            Value::Array(list) => !list.iter().any(|one| same(one, value)),
            Value::Object(inner) => inner.iter().next().is_some_and(|(operator, operand)| {
                let choices = match operand {
                    Value::Array(list) => list.clone(),
                    one => vec![one.clone()],
                };
                !text.is_some_and(|text| {
                    choices.iter().any(|one| matches_words(operator, one, text))
                })
            }),
            one => !same(one, value),
        },
        _ => false,
    }
}

fn matches_words(operator: &str, operand: &Value, text: &str) -> bool {
    let folded = operand["equals-ignore-case"]
        .as_str()
        .map(str::to_lowercase);
    match (operator, operand.as_str(), folded) {
        ("prefix", Some(wanted), _) => text.starts_with(wanted),
        ("suffix", Some(wanted), _) => text.ends_with(wanted),
        ("prefix", None, Some(wanted)) => text.to_lowercase().starts_with(&wanted),
        ("suffix", None, Some(wanted)) => text.to_lowercase().ends_with(&wanted),
        ("equals-ignore-case", Some(wanted), _) => text.to_lowercase() == wanted.to_lowercase(),
        ("wildcard", Some(wanted), _) => wildcard(wanted, text),
        _ => false,
    }
}

/// `*` stands for any text; `\*` and `\\` for themselves. One pass with one point of return.
pub(crate) fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts: Vec<Option<char>> = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => parts.push(None),
            '\\' => parts.push(Some(characters.next().unwrap_or('\\'))),
            other => parts.push(Some(other)),
        }
    }
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut part) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        match parts.get(part) {
            Some(None) => {
                back = Some((part, at));
                part += 1;
            }
            Some(Some(wanted)) if *wanted == text[at] => {
                at += 1;
                part += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    at = from + 1;
                    part = star + 1;
                }
                None => return false,
            },
        }
    }
    parts[part..].iter().all(Option::is_none)
}

fn matches_numeric(operand: &Value, number: f64) -> bool {
    let list = operand.as_array().map_or(&[][..], Vec::as_slice);
    !list.is_empty()
        && list.chunks(2).all(|pair| {
            let (Some(operator), Some(bound)) =
                (pair[0].as_str(), pair.get(1).and_then(Value::as_f64))
            else {
                return false;
            };
            match operator {
                "=" => number == bound,
                "<" => number < bound,
                "<=" => number <= bound,
                ">" => number > bound,
                ">=" => number >= bound,
                _ => false,
            }
        })
}

/// The network bits of a range with their count, in 128 bits; the flag says whether it is IPv6.
fn parse_cidr(range: &str) -> Option<(u128, u32, bool)> {
    let (address, bits) = range.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    if let Ok(v4) = address.parse::<Ipv4Addr>() {
        return (bits <= 32).then(|| (u128::from(u32::from(v4)), bits, false));
    }
    let v6 = address.parse::<Ipv6Addr>().ok()?;
    (bits <= 128).then(|| (u128::from(v6), bits, true))
}

fn in_cidr(text: &str, range: &str) -> bool {
    let Some((network, bits, six)) = parse_cidr(range) else {
        return false;
    };
    let (address, width) = if six {
        (text.parse::<Ipv6Addr>().ok().map(u128::from), 128)
    } else {
        (
            text.parse::<Ipv4Addr>()
                .ok()
                .map(|v4| u128::from(u32::from(v4))),
            32,
        )
    };
    let Some(address) = address else {
        return false;
    };
    match width - bits {
        128 => true,
        shift => address >> shift == network >> shift,
    }
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
    fn check(pattern: Value, event: Value, expected: bool) {
        let text = pattern.to_string();
        assert_eq!(check_text(&text), Ok(()), "{text}");
        assert_eq!(matches_text(&text, &event), expected, "{text} on {event}");
    }

    #[test]
    fn operators() {
        for (matcher, value, expected) in [
            (json!("a"), json!("a"), true),
            (json!("a"), json!("A"), false),
            (json!(300), json!(3.0e2), true),
            (json!(5), json!("5"), false),
            (json!(null), json!(null), true),
            (json!(""), json!(""), true),
            (json!({"prefix": "ab"}), json!("abc"), true),
            (
                json!({"suffix": {"equals-ignore-case": "PNG"}}),
                json!("x.png"),
                true,
            ),
            (json!({"equals-ignore-case": "X"}), json!("x"), true),
            (json!({"wildcard": "a*b*"}), json!("axxbyy"), true),
            (json!({"wildcard": "a\\*b"}), json!("axb"), false),
            (json!({"wildcard": "*a"}), json!("aab"), false),
            (json!({"anything-but": ["a", "b"]}), json!("c"), true),
            (json!({"anything-but": ["a", "b"]}), json!("a"), false),
            (
                json!({"anything-but": {"prefix": ["x", "y"]}}),
                json!("yes"),
                false,
            ),
            (json!({"anything-but": 5}), json!(6), true),
            (json!({"numeric": [">", 0, "<=", 5]}), json!(5), true),
            (json!({"numeric": [">", 0, "<=", 5]}), json!("5"), false),
            (json!({"exists": true}), json!(1), true),
            (json!({"exists": true}), json!({"x": 1}), false),
            (json!({"cidr": "10.0.0.0/24"}), json!("10.0.0.77"), true),
            (json!({"cidr": "10.0.0.0/24"}), json!("10.0.1.77"), false),
            (json!({"cidr": "::/0"}), json!("2001:db8::1"), true),
        ] {
            check(json!({"f": [matcher]}), json!({"f": value}), expected);
        }
        check(json!({"f": [{"exists": false}]}), json!({}), true);
        check(json!({"a": {"f": [{"exists": false}]}}), json!({}), true);
    }

    #[test]
    fn structure() {
        check(
            json!({"a": {"b": [1]}, "c": ["x", "y"]}),
            json!({"a": {"b": 1}, "c": "y"}),
            true,
        );
        check(json!({"a.b": [1]}), json!({"a": {"b": 1}}), true);
        check(json!({"a": ["x"]}), json!({"a": ["z", "x"]}), true);
        let list = json!({"l": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]});
        check(json!({"l": {"x": [1], "y": [2]}}), list.clone(), true);
        check(json!({"l": {"x": [1], "y": [4]}}), list, false);
        check(
            json!({"$or": [{"a": [1]}, {"b": [2]}]}),
            json!({"b": 2}),
            true,
        );
        check(
            json!({"c": [1], "$or": [{"a": [1]}, {"b": [2]}]}),
            json!({"b": 2}),
            false,
        );
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in [
            "",
            "[]",
            "{}",
            "{\"a\": 1}",
            "{\"a\": []}",
            "{\"a\": {}}",
            "{\"a\": [[1]]}",
            "{\"a\": [{\"prefix\": 1}]}",
            "{\"a\": [{\"numeric\": [\">\", \"1\"]}]}",
            "{\"a\": [{\"numeric\": [\">\", 5, \"<\", 1]}]}",
            "{\"a\": [{\"numeric\": []}]}",
            "{\"a\": [{\"what\": 1}]}",
            "{\"a\": [{\"wildcard\": \"a**\"}]}",
            "{\"a\": [{\"exists\": 1}]}",
            "{\"a\": [{\"anything-but\": [1, \"a\"]}]}",
            "{\"a\": [{\"cidr\": \"10.0.0.0\"}]}",
            "{\"a\": [{\"prefix\": \"a\", \"suffix\": \"b\"}]}",
        ] {
            assert!(check_text(pattern).is_err(), "{pattern}");
        }
        let deep = "{\"a\":".repeat(60) + "[1]" + &"}".repeat(60);
        assert!(check_text(&deep).is_err());
    }
}
