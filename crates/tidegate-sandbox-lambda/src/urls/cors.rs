//! The cross-origin rules of a function URL.
//!
//! Must not know: functions.

use serde_json::Value;
use tidegate_sandbox_aws::service::{Incoming, Outgoing};

fn words<'a>(rules: &'a Value, field: &str) -> Vec<&'a str> {
    let list = rules[field].as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// The origin that may read the answer, when the rules admit the request's.
fn admitted<'a>(rules: &Value, request: &'a Incoming) -> Option<&'a str> {
    let origin = request.header("origin")?;
    let origins = words(rules, "AllowOrigins");
    if origins.contains(&"*") && rules["AllowCredentials"] != true {
        return Some("*");
    }
    let known = origins
        .iter()
        .any(|one| *one == "*" || one.eq_ignore_ascii_case(origin));
    known.then_some(origin)
}

/// The answer to a browser that asks beforehand; the function is not called for it.
pub(super) fn preflight(rules: &Value, request: &Incoming) -> Option<Outgoing> {
    let is_asked = request.method == "OPTIONS"
        && request.header("access-control-request-method").is_some()
        && rules.as_object().is_some_and(|rules| !rules.is_empty());
    if !is_asked {
        return None;
    }
    let mut answer = complete(rules, request, Outgoing::new(200, "application/json", ""));
    for (field, header) in [
        ("AllowMethods", "access-control-allow-methods"),
        ("AllowHeaders", "access-control-allow-headers"),
    ] {
        let given = words(rules, field);
        if !given.is_empty() {
            answer = answer.header(header, given.join(","));
        }
    }
    if let Some(age) = rules["MaxAge"].as_u64() {
        answer = answer.header("access-control-max-age", age.to_string());
    }
    Some(answer)
}

/// An answer with what the rules add to it, in place of what the function said about origins.
pub(super) fn complete(rules: &Value, request: &Incoming, mut answer: Outgoing) -> Outgoing {
    let Some(origin) = admitted(rules, request) else {
        return answer;
    };
    answer
        .headers
        .retain(|(name, _)| !name.starts_with("access-control-"));
    answer = answer.header("access-control-allow-origin", origin);
    if rules["AllowCredentials"] == true {
        answer = answer.header("access-control-allow-credentials", "true");
    }
    let exposed = words(rules, "ExposeHeaders");
    if !exposed.is_empty() {
        answer = answer.header("access-control-expose-headers", exposed.join(","));
    }
    answer.header("vary", "Origin")
}
