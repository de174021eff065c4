//! Faults that are asked for over HTTP: a POST of JSON to [`PATH`].
//!
//! Must not know: services.

use serde_json::{Value, json};

use super::{Incoming, Outgoing};
use crate::faults::Faults;
use crate::options::Fault;

/// Where faults are posted; no bucket can have such a name.
pub(super) const PATH: &str = "/_tidegate/faults";

/// Lets the fault of a request wait.
pub(super) fn answer(faults: &Faults, request: &Incoming) -> Outgoing {
    let told = |status: u16, words: &str| {
        let body = json!({"message": words}).to_string();
        Outgoing::new(status, "application/json", body)
    };
    if request.method != "POST" {
        return told(405, "a fault is posted");
    }
    let Some(fault) = read(&request.body) else {
        return told(
            400,
            "a fault is JSON with service and code, and may have operation, message, status and times",
        );
    };
    if faults.add(fault) {
        Outgoing::new(204, "application/json", "")
    } else {
        told(429, "too many faults wait already")
    }
}

fn read(body: &[u8]) -> Option<Fault> {
    let given: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| given[name].as_str().map(str::to_owned);
    let number = |name: &str, default: u64| match &given[name] {
        Value::Null => Some(default),
        other => other.as_u64(),
    };
    Some(Fault {
        service: text("service")?,
        operation: text("operation"),
        code: text("code")?,
        message: text("message").unwrap_or_else(|| "a fault on demand".to_owned()),
        status: u16::try_from(number("status", 400)?)
            .ok()
            .filter(|status| (400..=599).contains(status))?,
        times: u32::try_from(number("times", 1)?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, body: &str, status: u16, meets: bool) {
        let faults = Faults::default();
        let request = Incoming {
            method: method.to_owned(),
            body: body.to_owned().into(),
            ..Incoming::default()
        };
        assert_eq!(answer(&faults, &request).status, status, "{body}");
        assert_eq!(faults.meet("lambda", "Invoke").is_some(), meets, "{body}");
    }

    #[test]
    fn faults_are_read() {
        check("POST", r#"{"service": "lambda", "code": "X"}"#, 204, true);
        let other = r#"{"service": "lambda", "operation": "GetAlias", "code": "X", "status": 429, "times": 3}"#;
        check("POST", other, 204, false);
        check("GET", r#"{"service": "lambda", "code": "X"}"#, 405, false);
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"service": "lambda"}"#,
            r#"{"service": "lambda", "code": "X", "status": 200}"#,
            r#"{"service": "lambda", "code": "X", "times": -1}"#,
        ] {
            check("POST", wrong, 400, false);
        }
    }
}
