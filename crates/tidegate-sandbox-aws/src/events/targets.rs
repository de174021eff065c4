//! What a target gets of an event: all of it, a part, a constant, or a template filled in.
//!
//! Must not know: buses.

use serde_json::Value;

use super::Rule;
use crate::effect::Effect;
use crate::regions::Scope;

/// Bytes of what one target gets.
const PAYLOAD_BYTES: usize = 1 << 20;
/// Deliveries that one request causes here.
const DELIVERIES: usize = 200;

/// Delivers an event to every target of a rule.
pub(super) fn deliver(rule: &Rule, event: &Value, scope: &Scope, effects: &mut Vec<Effect>) {
    for target in rule.targets.values() {
        let arn = target["Arn"].as_str().unwrap_or("");
        if effects.len() >= DELIVERIES {
            tracing::warn!(
                arn,
                rule = rule.arn,
                "too many deliveries at once; one is dropped"
            );
            continue;
        }
        let payload = payload(target, event, rule, scope);
        if payload.len() > PAYLOAD_BYTES {
            effects.push(Effect::Unreachable {
                arn: arn.to_owned(),
                reason: format!("the filled template is larger than {PAYLOAD_BYTES} bytes"),
            });
            continue;
        }
        effects.push(Effect::to_target(arn, &payload, target));
    }
}

fn payload(target: &Value, event: &Value, rule: &Rule, scope: &Scope) -> String {
    if let Some(constant) = target["Input"].as_str() {
        return constant.to_owned();
    }
    if let Some(path) = target["InputPath"].as_str() {
        return find(event, path).map_or_else(|| "{}".into(), Value::to_string);
    }
    let Some(template) = target["InputTransformer"]["InputTemplate"].as_str() else {
        return event.to_string();
    };
    let paths = &target["InputTransformer"]["InputPathsMap"];
    let resolve = |name: &str| -> Option<Value> {
        match name {
            "aws.events.rule-arn" => Some(Value::String(rule.arn.clone())),
            "aws.events.rule-name" => Some(Value::String(rule.name.clone())),
            "aws.events.event.ingestion-time" => Some(Value::String(
                scope.now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            )),
            "aws.events.event" | "aws.events.event.json" => Some(event.clone()),
            _ => {
                let path = paths[name].as_str()?;
                Some(find(event, path).cloned().unwrap_or_default())
            }
        }
    };
    fill(template, resolve)
}

/// Puts values in the place of `<names>`: as JSON outside of quotes, as bare text inside.
fn fill(template: &str, resolve: impl Fn(&str) -> Option<Value>) -> String {
    let mut out = String::new();
    let mut quoted = false;
    let mut rest = template;
    while let Some(character) = rest.chars().next() {
        if out.len() > PAYLOAD_BYTES {
            break;
        }
        if character == '<'
            && let Some(end) = rest.find('>')
            && let Some(value) = resolve(&rest[1..end])
        {
            match (&value, quoted) {
                (Value::String(text), true) => {
                    let json = Value::String(text.clone()).to_string();
                    out.push_str(&json[1..json.len() - 1]);
                }
                (other, true) => out.push_str(&other.to_string().replace('"', "\\\"")),
                (other, false) => out.push_str(&other.to_string()),
            }
            rest = &rest[end + 1..];
            continue;
        }
        if character == '"' && !out.ends_with('\\') {
            quoted = !quoted;
        }
        out.push(character);
        rest = &rest[character.len_utf8()..];
    }
    out
}

/// The value at a path such as `$.detail.items[0].id`.
pub(crate) fn find<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = event;
    let path = path.strip_prefix('$')?;
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        at = match step.strip_suffix(']') {
            Some(index) => {
                let index = index.trim_matches(['\'', '"']);
                match index.parse::<usize>() {
                    Ok(number) => at.get(number)?,
                    Err(_) => at.get(index)?,
                }
            }
            None => at.get(step)?,
        };
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_are_filled() {
        let event = json!({"detail": {"id": "a\"b", "n": 5, "list": [{"x": 1}]}});
        let resolve = |name: &str| match name {
            "id" => find(&event, "$.detail.id").cloned(),
            "n" => find(&event, "$.detail.n").cloned(),
            "x" => find(&event, "$.detail.list[0].x").cloned(),
            _ => None,
        };
        assert_eq!(
            fill(
                "{\"id\": <id>, \"text\": \"<id> is <n>\", \"x\": <x>, \"no\": \"<other>\"}",
                resolve
            ),
            "{\"id\": \"a\\\"b\", \"text\": \"a\\\"b is 5\", \"x\": 1, \"no\": \"<other>\"}"
        );
    }
}
