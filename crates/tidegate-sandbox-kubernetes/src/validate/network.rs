//! Ingresses and network policies.

use serde_json::{Value, json};

use super::at::{At, Checks};
use super::formats;
use crate::status::Cause;

const CLASS: &str = "kubernetes.io/ingress.class";

pub(super) fn ingress(checks: &mut Checks, object: &At<'_>) {
    let spec = object.get("spec");
    let class = object.get("metadata").get("annotations").get(CLASS);
    let named = spec.get("ingressClassName");
    if class.is_set() && named.is_set() && class.value != named.value {
        let path = format!("annotations.{CLASS}");
        checks.invalid_as(
            path,
            class.value,
            "must match `ingressClassName` when both are specified",
        );
    }
    let (backend_of_all, rules) = (spec.get("defaultBackend"), spec.get("rules"));
    if rules.is_empty() && !backend_of_all.is_set() {
        let why = "either `defaultBackend` or `rules` must be specified";
        checks.invalid_as(spec.path.as_str(), &Value::Null, why);
    }
    if backend_of_all.is_set() {
        backend(checks, &backend_of_all);
    }
    for rule in rules.items() {
        host(checks, &rule.get("host"));
        let http = rule.get("http");
        if http.is_set() {
            paths(checks, &http.get("paths"));
        }
    }
    for tls in spec.get("tls").items() {
        for host in tls.get("hosts").items() {
            checks.format(&host, host_rule(host.text()));
        }
        if !tls.get("secretName").is_empty() {
            checks.format(&tls.get("secretName"), formats::subdomain);
        }
    }
    if named.is_set() {
        checks.format(&named, formats::subdomain);
    }
}

fn host_rule(text: &str) -> fn(&str) -> Vec<String> {
    if text.contains('*') {
        formats::wildcard
    } else {
        formats::subdomain
    }
}

fn host(checks: &mut Checks, host: &At<'_>) {
    if host.is_empty() {
        return;
    }
    if host.text().parse::<std::net::IpAddr>().is_ok() {
        checks.invalid(host, "must be a DNS name, not an IP address");
        return;
    }
    checks.format(host, host_rule(host.text()));
}

fn paths(checks: &mut Checks, list: &At<'_>) {
    if list.is_empty() {
        checks.required(list, "");
    }
    for path in list.items() {
        let (kind, text) = (path.get("pathType"), path.get("path"));
        match kind.text() {
            _ if !kind.is_set() => checks.required(&kind, "pathType must be specified"),
            "Exact" | "Prefix" => absolute(checks, &text),
            "ImplementationSpecific" => {
                if !text.is_empty() && !text.text().starts_with('/') {
                    checks.invalid(&text, "must be an absolute path");
                }
            }
            _ => checks.one_of(&kind, &["Exact", "ImplementationSpecific", "Prefix"]),
        }
        backend(checks, &path.get("backend"));
    }
}

fn absolute(checks: &mut Checks, path: &At<'_>) {
    const SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
    if !path.text().starts_with('/') {
        checks.invalid_as(
            path.path.as_str(),
            &json!(path.text()),
            "must be an absolute path",
        );
        return;
    }
    for sequence in SEQUENCES
        .iter()
        .filter(|sequence| path.text().contains(**sequence))
    {
        checks.invalid(path, &format!("must not contain '{sequence}'"));
    }
    for suffix in ["/..", "/."]
        .iter()
        .filter(|suffix| path.text().ends_with(**suffix))
    {
        checks.invalid(path, &format!("cannot end with '{suffix}'"));
    }
}

fn backend(checks: &mut Checks, backend: &At<'_>) {
    let (service, resource) = (backend.get("service"), backend.get("resource"));
    let nothing = json!("");
    if service.is_set() && resource.is_set() {
        checks.invalid_as(
            backend.path.as_str(),
            &nothing,
            "cannot set both resource and service backends",
        );
    } else if resource.is_set() {
        for field in ["kind", "name"] {
            checks.present(&resource.get(field));
        }
    } else if service.is_set() {
        checks.named(&service.get("name"), formats::label);
        let (name, number) = (
            service.get("port").get("name"),
            service.get("port").get("number"),
        );
        let numbered = number.number().is_some_and(|number| number != 0);
        match (!name.is_empty(), numbered) {
            (true, true) => {
                let why = "cannot set both port name & port number";
                checks.invalid_as(backend.path.as_str(), &nothing, why);
            }
            (true, false) => checks.format(&name, formats::port_name),
            (false, true) => checks.in_range(&number, 1, 65_535),
            (false, false) => checks.required(backend, "port name or number is required"),
        }
    } else {
        checks.invalid_as(
            backend.path.as_str(),
            &nothing,
            "resource or service backend is required",
        );
    }
}

pub(super) fn policy(checks: &mut Checks, spec: &At<'_>) {
    const TYPES: [&str; 2] = ["Ingress", "Egress"];
    checks.selector(&spec.get("podSelector"));
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get(rules).items() {
            for port in rule.get("ports").items() {
                policy_port(checks, &port);
            }
            for peer in rule.get(peers).items() {
                policy_peer(checks, &peer);
            }
        }
    }
    let types = spec.get("policyTypes");
    if types.items().len() > TYPES.len() {
        let why = format!(
            "Invalid value: {}: may not specify more than two policyTypes",
            types.value
        );
        checks.add(Cause::new("FieldValueInvalid", types.path.as_str(), why));
        return;
    }
    for kind in types.items() {
        checks.one_of(&kind, &TYPES);
    }
}

fn policy_port(checks: &mut Checks, port: &At<'_>) {
    checks.one_of_if_set(&port.get("protocol"), &["TCP", "UDP", "SCTP"]);
    let (number, end) = (port.get("port"), port.get("endPort"));
    if number.is_set() {
        checks.port(&number);
    }
    if end.is_set() {
        match number.number() {
            Some(first) => {
                if end.number().is_some_and(|end| end < first) {
                    // The real server shows the port, not the end.
                    checks.invalid_as(
                        end.path.as_str(),
                        number.value,
                        "must be greater than or equal to `port`",
                    );
                }
                checks.in_range(&end, 1, 65_535);
            }
            None if number.is_set() => {
                checks.invalid(&end, "may not be specified when `port` is non-numeric");
            }
            None => checks.invalid(&end, "may not be specified when `port` is not specified"),
        }
    }
}

fn policy_peer(checks: &mut Checks, peer: &At<'_>) {
    let mut count = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if peer.get(field).is_set() {
            count += 1;
            checks.selector(&peer.get(field));
        }
    }
    let block = peer.get("ipBlock");
    if block.is_set() {
        let outer = block.get("cidr");
        if checks.present(&outer) {
            checks.format(&outer, formats::cidr);
        }
        for except in block.get("except").items() {
            checks.format(&except, formats::cidr);
            let pair = formats::parse_cidr(except.text()).zip(formats::parse_cidr(outer.text()));
            if pair.is_some_and(|(inner, outer)| !formats::is_strict_subset(inner, outer)) {
                checks.invalid(&except, "must be a strict subset of `cidr`");
            }
        }
    }
    if block.is_set() && count > 0 {
        checks.forbidden(peer, "may not specify both ipBlock and another peer");
    } else if !block.is_set() && count == 0 {
        checks.required(peer, "must specify a peer");
    }
}
