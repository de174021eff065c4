//! Probes and lifecycle hooks of containers, and the handlers of both.

use super::at::{At, Checks};
use super::formats;

const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

fn handler(checks: &mut Checks, at: &At<'_>) {
    let mut count = 0;
    for kind in HANDLERS {
        let action = at.get(kind);
        if !action.is_set() {
            continue;
        }
        count += 1;
        if count > 1 {
            checks.forbidden(&action, "may not specify more than 1 handler type");
            continue;
        }
        match kind {
            "exec" => {
                checks.present(&action.get("command"));
            }
            "httpGet" => http_get(checks, &action),
            "tcpSocket" => checks.port(&action.get("port")),
            "grpc" => checks.port(&action.get("port")),
            _ => {}
        }
    }
    if count == 0 {
        checks.required(at, "must specify a handler type");
    }
}

fn http_get(checks: &mut Checks, action: &At<'_>) {
    checks.present(&action.get("path"));
    checks.port(&action.get("port"));
    checks.one_of(&action.get("scheme"), &["HTTP", "HTTPS"]);
    for header in action.get("httpHeaders").items() {
        let name = header.get("name");
        for why in formats::http_header(name.text()) {
            checks.invalid_as(action.path_of("httpHeaders"), name.value, &why);
        }
    }
}

pub(super) fn lifecycle(checks: &mut Checks, at: &At<'_>) {
    for hook in ["postStart", "preStop"] {
        if at.get(hook).is_set() {
            handler(checks, &at.get(hook));
        }
    }
}

pub(super) fn all(checks: &mut Checks, container: &At<'_>) {
    for (name, once) in [
        ("livenessProbe", true),
        ("readinessProbe", false),
        ("startupProbe", true),
    ] {
        let probe = container.get(name);
        if !probe.is_set() {
            continue;
        }
        handler(checks, &probe);
        for field in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ] {
            checks.not_negative(&probe.get(field));
        }
        let grace = probe.get("terminationGracePeriodSeconds");
        if grace.is_set() && name == "readinessProbe" {
            checks.invalid(&grace, "must not be set for readinessProbes");
        } else if grace.number().is_some_and(|seconds| seconds <= 0) {
            checks.invalid(&grace, "must be greater than 0");
        }
        let threshold = probe.get("successThreshold");
        if once && threshold.number() != Some(1) {
            checks.invalid(&threshold, "must be 1");
        }
    }
}
