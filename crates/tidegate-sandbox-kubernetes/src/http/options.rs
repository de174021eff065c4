//! The parameters and bodies of requests: decoding and validation, in the real server's words.

use bytes::Bytes;
use http::header;
use serde_json::{Value, json};

use super::Call;
use super::route::Query;
use crate::objects::{DeleteOptions, Propagation};
use crate::status::{Cause, Status};
use crate::write::{FieldValidation, WriteOptions};
use crate::{json, protobuf};

/// The longest field manager.
const MAX_MANAGER: usize = 128;

/// A request body as a value, with its duplicate fields.
pub(crate) fn decode(call: &Call<'_>, body: &Bytes) -> Result<(Value, Vec<String>), Status> {
    let media = content_type(call);
    match media.as_str() {
        "" | "application/json" => json::parse(body, floats(call))
            .map(reported)
            .map_err(|error| unreadable(call, body, &error)),
        "application/yaml" => decode_yaml(body),
        protobuf::MEDIA_TYPE => Ok((protobuf::decode(body)?, Vec::new())),
        _ => {
            let known = ["application/json", "application/yaml", protobuf::MEDIA_TYPE];
            Err(Status::unsupported_media(&known))
        }
    }
}

/// Built-in kinds are decoded into Go types.
fn floats(call: &Call<'_>) -> json::Floats {
    if call.resource.is_custom() {
        json::Floats::Whole
    } else {
        json::Floats::Kept
    }
}

/// The media type of the body without its parameters.
pub(crate) fn content_type(call: &Call<'_>) -> String {
    let value = call
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value
        .unwrap_or("")
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_lowercase()
}

/// A JSON patch document of any kind.
pub(crate) fn decode_patch(body: &Bytes) -> Result<(Value, Vec<String>), Status> {
    json::parse(body, json::Floats::Whole)
        .map(reported)
        .map_err(|error| Status::bad_request(format!("error decoding patch: {}", go_error(&error))))
}

fn reported((value, duplicates): (Value, Vec<String>)) -> (Value, Vec<String>) {
    (
        value,
        duplicates
            .iter()
            .map(|path| format!("duplicate field \"{path}\""))
            .collect(),
    )
}

fn go_error(error: &serde_json::Error) -> String {
    if error.is_eof() {
        "unexpected end of JSON input".to_owned()
    } else {
        error.to_string()
    }
}

/// How much of a body an error quotes.
const MAX_QUOTE: usize = 1_024;

fn unreadable(call: &Call<'_>, body: &Bytes, error: &serde_json::Error) -> Status {
    let text = String::from_utf8_lossy(body);
    let shown: String = if text.is_empty() {
        "<empty>".to_owned()
    } else {
        text.chars().take(MAX_QUOTE).collect()
    };
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {} ({shown})",
        call.resource.kind,
        go_error(error)
    ))
}

/// YAML; JSON is YAML too, and far more common here.
pub(crate) fn decode_yaml(body: &Bytes) -> Result<(Value, Vec<String>), Status> {
    if let Ok((value, duplicates)) = json::parse(body, json::Floats::Whole) {
        let key = |path: &String| path.rsplit('.').next().unwrap_or(path).to_owned();
        let told = duplicates
            .iter()
            .map(|path| format!("line 1: key {:?} already set in map", key(path)))
            .collect();
        return Ok((value, told));
    }
    crate::yaml::parse(body)
        .map_err(|why| Status::bad_request(format!("error decoding YAML: {why}")))
}

/// The options of a write, from the query.
pub(crate) fn write_options(call: &Call<'_>, kind: &str) -> Result<WriteOptions, Status> {
    let query = call.query;
    let mut causes = Vec::new();
    let dry_run = dry_run(query, &mut causes);
    let manager = query.get("fieldManager");
    if manager.len() > MAX_MANAGER {
        let message = format!("Too long: may not be more than {MAX_MANAGER} bytes");
        causes.push(Cause::new("FieldValueTooLong", "fieldManager", message));
    }
    if manager.chars().any(char::is_control) {
        let why = "should not contain any non-printable character";
        causes.push(Cause::invalid("fieldManager", &json!(manager), why));
    }
    let validation = match query.get("fieldValidation") {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            let known = ["", "Ignore", "Strict", "Warn"];
            causes.push(Cause::not_supported(
                "fieldValidation",
                &json!(other),
                &known,
            ));
            FieldValidation::Warn
        }
    };
    if !causes.is_empty() {
        return Err(Status::invalid("meta.k8s.io", kind, "", causes));
    }
    let manager = if manager.is_empty() {
        user_agent(call)
    } else {
        manager.to_owned()
    };
    let force = query.flag("force");
    Ok(WriteOptions {
        manager,
        dry_run,
        force,
        validation,
        duplicates: Vec::new(),
    })
}

fn dry_run(query: &Query, causes: &mut Vec<Cause>) -> bool {
    match query.get("dryRun") {
        "" => false,
        "All" => true,
        other => {
            causes.push(Cause::not_supported("dryRun", &json!([other]), &["All"]));
            true
        }
    }
}

/// The manager of a client that names none: its user agent up to the first slash.
fn user_agent(call: &Call<'_>) -> String {
    let agent = call
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let name = agent.unwrap_or("").split('/').next().unwrap_or("");
    let clean: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_MANAGER)
        .collect();
    if clean.is_empty() {
        "unknown".to_owned()
    } else {
        clean
    }
}

/// The options of a deletion, from the body or else the query.
pub(crate) fn delete_options(call: &Call<'_>, body: &Bytes) -> Result<DeleteOptions, Status> {
    let value = if body.is_empty() {
        from_query(call.query)?
    } else {
        decode(call, body)?.0
    };
    let mut causes = Vec::new();
    let orphan = value.get("orphanDependents").and_then(Value::as_bool);
    let propagation = match value.get("propagationPolicy").and_then(Value::as_str) {
        None => None,
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some("Orphan") => Some(Propagation::Orphan),
        Some(other) => {
            let known = ["Foreground", "Background", "Orphan", "nil"];
            causes.push(Cause::not_supported(
                "propagationPolicy",
                &json!(other),
                &known,
            ));
            None
        }
    };
    if orphan.is_some() && propagation.is_some() {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        let shown = value.get("propagationPolicy").cloned().unwrap_or_default();
        causes.push(Cause::invalid("propagationPolicy", &shown, why));
    }
    let dry = match value.get("dryRun") {
        None | Some(Value::Null) => false,
        Some(Value::Array(list)) if list.is_empty() => false,
        Some(Value::Array(list)) if list.iter().all(|item| item == "All") => true,
        Some(other) => {
            causes.push(Cause::not_supported("dryRun", other, &["All"]));
            true
        }
    };
    if !causes.is_empty() {
        return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", causes));
    }
    let text = |path: &str| {
        value
            .pointer(path)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Ok(DeleteOptions {
        propagation: propagation.or(match orphan {
            Some(true) => Some(Propagation::Orphan),
            Some(false) => Some(Propagation::Background),
            None => None,
        }),
        grace_period_seconds: value.get("gracePeriodSeconds").and_then(Value::as_i64),
        uid: text("/preconditions/uid"),
        resource_version: text("/preconditions/resourceVersion"),
        dry_run: dry,
    })
}

fn from_query(query: &Query) -> Result<Value, Status> {
    let mut value = json!({});
    if !query.get("dryRun").is_empty() {
        value["dryRun"] = json!([query.get("dryRun")]);
    }
    if query.has("propagationPolicy") {
        value["propagationPolicy"] = json!(query.get("propagationPolicy"));
    }
    if query.has("orphanDependents") {
        value["orphanDependents"] = json!(query.flag("orphanDependents"));
    }
    if query.has("gracePeriodSeconds") {
        let seconds: i64 = query.get("gracePeriodSeconds").parse().map_err(|_| {
            Status::bad_request(format!(
                "strconv.ParseInt: parsing {:?}: invalid syntax",
                query.get("gracePeriodSeconds")
            ))
        })?;
        value["gracePeriodSeconds"] = json!(seconds);
    }
    Ok(value)
}
