//! Config maps and secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::at::{At, Checks};
use super::formats;
use crate::status::Cause;

/// How much a config map or a secret may hold.
const MAX_SIZE: usize = 1024 * 1024;

pub(super) fn config_map(checks: &mut Checks, object: &At<'_>) {
    let (data, binary) = (object.get("data"), object.get("binaryData"));
    let mut total = 0;
    for (key, value) in data.entries() {
        keys(checks, key, &value);
        if binary.value.get(key).is_some() {
            checks.invalid_as(
                value.path.as_str(),
                &json!(key),
                "duplicate of key present in binaryData",
            );
        }
        total += value.text().len();
    }
    for (key, value) in binary.entries() {
        keys(checks, key, &value);
        total += decoded(value.text()).len();
    }
    // The real server names no field here.
    too_long(checks, "[]", total);
}

fn keys(checks: &mut Checks, key: &str, value: &At<'_>) {
    for why in formats::config_key(key) {
        checks.invalid_as(value.path.as_str(), &json!(key), &why);
    }
}

fn too_long(checks: &mut Checks, path: &str, total: usize) {
    if total > MAX_SIZE {
        let message = format!("Too long: may not be more than {MAX_SIZE} bytes");
        checks.add(Cause::new("FieldValueTooLong", path, message));
    }
}

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}

pub(super) fn secret(checks: &mut Checks, object: &At<'_>) {
    let data = object.get("data");
    let mut total = 0;
    for (key, value) in data.entries() {
        keys(checks, key, &value);
        total += decoded(value.text()).len();
    }
    too_long(checks, "data", total);
    let has = |key: &str| data.value.get(key).is_some();
    match object.get("type").text() {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            let account = object.get("metadata").get("annotations").key(key);
            if account.is_empty() {
                checks.required(&account, "");
            }
        }
        "kubernetes.io/dockercfg" => registry(checks, &data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => registry(checks, &data, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            checks.required(&data.key("username"), "");
            checks.required(&data.key("password"), "");
        }
        "kubernetes.io/ssh-auth" if data.key("ssh-privatekey").is_empty() => {
            checks.required(&data.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if !has(key) {
                    checks.required(&data.key(key), "");
                }
            }
        }
        _ => {}
    }
}

/// Credentials of registries are JSON.
fn registry(checks: &mut Checks, data: &At<'_>, key: &str) {
    let entry = data.key(key);
    if !entry.is_set() {
        checks.required(&entry, "");
        return;
    }
    let bytes = decoded(entry.text());
    if let Err(error) = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes) {
        let first = String::from_utf8_lossy(&bytes).chars().next();
        let why = match first {
            None => "unexpected end of JSON input".to_owned(),
            Some(c) if !"{[\"-0123456789tfn".contains(c) => {
                format!("invalid character '{c}' looking for beginning of value")
            }
            Some(_) => error.to_string(),
        };
        let shown = json!("<secret contents redacted>");
        checks.invalid_as(entry.path.as_str(), &shown, &why);
    }
}

const FIXED: &str = "field is immutable when `immutable` is set";

/// What was declared immutable stays, and a secret keeps its type.
pub(super) fn change(checks: &mut Checks, new: &At<'_>, old: &At<'_>) {
    if old.get("type").is_set() {
        checks.immutable(&new.get("type"), &old.get("type"));
    }
    if !old.get("immutable").is_true() {
        return;
    }
    if !new.get("immutable").is_true() {
        checks.forbidden(&new.get("immutable"), FIXED);
    }
    for field in ["data", "binaryData"] {
        if new.get(field).value != old.get(field).value {
            checks.forbidden(&new.get(field), FIXED);
        }
    }
}
