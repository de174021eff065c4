//! Services.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::at::{At, Checks};
use super::formats;
use crate::status::Cause;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";
/// The range of cluster addresses, and its first two bytes.
const RANGE: (&str, [u8; 2]) = ("10.96.0.0/16", [10, 96]);

pub(super) fn service(checks: &mut Checks, spec: &At<'_>) {
    let kind = spec.get("type");
    let headless = spec.get("clusterIP").text() == "None";
    let ports = spec.get("ports");
    if ports.is_empty() && !headless && kind.text() != "ExternalName" {
        checks.required(&ports, "");
    }
    by_type(checks, spec, headless);
    let many = ports.items().len() > 1;
    let mut names = HashSet::new();
    for port in ports.items() {
        one_port(checks, &port, many, headless, &mut names);
    }
    checks.labels(&spec.get("selector"));
    affinity(checks, spec);
    if kind.is_empty() {
        checks.required(&kind, "");
    } else {
        checks.one_of(&kind, &TYPES);
    }
    if kind.text() == "ClusterIP" {
        for port in ports.items() {
            let node = port.get("nodePort");
            if node.number().is_some_and(|number| number != 0) {
                checks.forbidden(&node, "may not be used when `type` is 'ClusterIP'");
            }
        }
    }
    duplicates(checks, &ports);
    for address in spec.get("externalIPs").items() {
        checks.format(&address, formats::ip);
    }
    addresses(checks, spec);
    checks.one_of_if_set(&spec.get("ipFamilyPolicy"), &FAMILY_POLICIES);
    balanced_only(checks, spec);
    traffic(checks, spec);
}

const FAMILY_POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];

fn by_type(checks: &mut Checks, spec: &At<'_>, headless: bool) {
    match spec.get("type").text() {
        kind @ ("NodePort" | "LoadBalancer") if headless => {
            let first = At {
                path: format!("{}[0]", spec.path_of("clusterIPs")),
                value: spec.get("clusterIP").value,
            };
            checks.invalid(
                &first,
                &format!("may not be set to 'None' for {kind} services"),
            );
        }
        "ExternalName" => {
            let addresses = spec.get("clusterIPs");
            if !addresses.is_empty() {
                checks.forbidden(
                    &addresses.clone(),
                    "may not be set when `type` is 'ExternalName'",
                );
            }
            let name = spec.get("externalName");
            if name.is_empty() {
                checks.required(&name, "");
            } else {
                let trimmed = name.text().strip_suffix('.').unwrap_or(name.text());
                for why in formats::subdomain(trimmed) {
                    checks.invalid(&name, &why);
                }
            }
        }
        _ => {}
    }
}

fn one_port<'a>(
    checks: &mut Checks,
    port: &At<'a>,
    many: bool,
    headless: bool,
    names: &mut HashSet<&'a str>,
) {
    let name = port.get("name");
    if many && name.is_empty() {
        checks.required(&name, "");
    } else if !name.is_empty() {
        checks.format(&name, formats::label);
        if !names.insert(name.text()) {
            checks.duplicate(&name);
        }
    }
    let number = port.get("port");
    if !number
        .number()
        .is_some_and(|number| (1..=65_535).contains(&number))
    {
        let shown = json!(number.number().unwrap_or(0));
        checks.invalid_as(
            number.path.as_str(),
            &shown,
            "must be between 1 and 65535, inclusive",
        );
    }
    super::container::protocol(checks, &port.get("protocol"));
    let target = port.get("targetPort");
    checks.port(&target);
    let protocol = port.get("appProtocol");
    if protocol.is_set() {
        checks.format(&protocol, formats::qualified);
    }
    let differs = !(target.value.is_string() && target.is_empty()) && target.value != number.value;
    if headless
        && differs
        && target.is_set()
        && target.value.is_number()
        && target.number() == Some(0)
    {
        checks.invalid(
            &target,
            "must be equal to the value of 'port' when clusterIP = None",
        );
    }
}

fn affinity(checks: &mut Checks, spec: &At<'_>) {
    let affinity = spec.get("sessionAffinity");
    if affinity.is_empty() {
        checks.required(&affinity, "");
    } else {
        checks.one_of(&affinity, &["ClientIP", "None"]);
    }
    let seconds = spec
        .get("sessionAffinityConfig")
        .get("clientIP")
        .get("timeoutSeconds");
    if affinity.text() == "ClientIP"
        && seconds
            .number()
            .is_some_and(|number| !(1..=86_400).contains(&number))
    {
        checks.invalid(&seconds, "must be greater than 0 and less than 86400");
    }
}

/// No two ports are the same, outside as inside.
fn duplicates(checks: &mut Checks, ports: &At<'_>) {
    let mut nodes = HashSet::new();
    for port in ports.items() {
        let node = port.get("nodePort");
        let Some(number) = node.number().filter(|number| *number != 0) else {
            continue;
        };
        if !nodes.insert((number, port.get("protocol").text())) {
            let path = node.path.as_str();
            checks.add(Cause::duplicate(
                path,
                &json!({"Protocol": port.get("protocol").text(), "NodePort": number}),
            ));
        }
    }
    let mut seen = HashSet::new();
    for port in ports.items() {
        let (protocol, number) = (port.get("protocol").text(), port.get("port").number());
        if !seen.insert((protocol, number)) {
            let shown = json!({
                "Name": "", "Protocol": protocol, "AppProtocol": null, "Port": number.unwrap_or(0),
                "TargetPort": 0, "NodePort": 0,
            });
            // In the order of the real server's type.
            let text = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                shown["Protocol"], shown["Port"]
            );
            checks.add(Cause::new(
                "FieldValueDuplicate",
                port.path.as_str(),
                format!("Duplicate value: {text}"),
            ));
        }
    }
}

fn addresses(checks: &mut Checks, spec: &At<'_>) {
    if spec.get("type").text() == "ExternalName" {
        return;
    }
    let families = spec.get("ipFamilies");
    for (index, address) in spec.get("clusterIPs").items().iter().enumerate() {
        let text = address.text();
        if text == "None" || text.is_empty() {
            continue;
        }
        let whys = formats::ip(text);
        if !whys.is_empty() {
            checks.format(address, formats::ip);
            continue;
        }
        let wanted = families.items().get(index).map_or("", At::text);
        let family = if text.contains(':') { "IPv6" } else { "IPv4" };
        if !wanted.is_empty() && wanted != family {
            let why = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
            checks.invalid(address, &why);
            return;
        }
    }
    let selectorless = spec.get("clusterIP").text() == "None" && spec.get("selector").is_empty();
    for family in families.items() {
        if !["IPv4", "IPv6"].contains(&family.text()) {
            checks.one_of(&family, &["IPv4", "IPv6"]);
        } else if family.text() == "IPv6" && !selectorless {
            checks.invalid(&family, "not configured on this cluster");
        }
    }
}

/// A given address of a new service must be one that can be handed out.
pub(super) fn new_address(checks: &mut Checks, spec: &At<'_>) {
    let address = spec.get("clusterIP");
    let Ok(given) = address.text().parse::<std::net::Ipv4Addr>() else {
        return;
    };
    if given.octets()[..2] != RANGE.1 {
        let why = format!(
            "failed to allocate IP {given}: the provided IP ({given}) is not in the valid range. The range of valid IPs is {}",
            RANGE.0
        );
        checks.invalid(&spec.get("clusterIPs"), &why);
    }
}

fn balanced_only(checks: &mut Checks, spec: &At<'_>) {
    let balanced = spec.get("type").text() == "LoadBalancer";
    let ranges = spec.get("loadBalancerSourceRanges");
    if !ranges.is_empty() {
        let named = At {
            path: spec.path_of("LoadBalancerSourceRanges"),
            value: ranges.value,
        };
        if !balanced {
            checks.forbidden(&named, ONLY_BALANCED);
        }
        for range in named.items() {
            for why in formats::cidr(range.text().trim()) {
                checks.invalid(&range, &why);
            }
        }
    }
    let allocate = spec.get("allocateLoadBalancerNodePorts");
    if allocate.is_set() && !balanced {
        checks.forbidden(&allocate, ONLY_BALANCED);
    }
    let class = spec.get("loadBalancerClass");
    if class.is_set() {
        if balanced {
            checks.format(&class, formats::qualified);
        } else {
            checks.forbidden(&class, ONLY_BALANCED);
        }
    }
}

fn traffic(checks: &mut Checks, spec: &At<'_>) {
    let kind = spec.get("type").text();
    let external = ["NodePort", "LoadBalancer"].contains(&kind)
        || kind == "ClusterIP" && !spec.get("externalIPs").is_empty();
    let policy = spec.get("externalTrafficPolicy");
    if external {
        if policy.is_empty() {
            checks.required(&policy, "");
        } else {
            checks.one_of(&policy, &["Cluster", "Local"]);
        }
    } else if !policy.is_empty() {
        checks.invalid(
            &policy,
            "may only be set for externally-accessible services",
        );
    }
    let inner = spec.get("internalTrafficPolicy");
    if ["ClusterIP", "NodePort", "LoadBalancer"].contains(&kind) {
        if inner.is_set() {
            checks.one_of(&inner, &["Cluster", "Local"]);
        } else {
            checks.required(&inner, "");
        }
    }
}

/// An address stays once it is set.
pub(super) fn change(checks: &mut Checks, new: &At<'_>, old: &At<'_>) {
    let external = |spec: &At<'_>| spec.get("type").text() == "ExternalName";
    if external(new) || external(old) {
        return;
    }
    let (now, before) = (new.get("clusterIPs"), old.get("clusterIPs"));
    let first = |at: &At<'_>| at.value.get(0).cloned().unwrap_or(Value::Null);
    if !before.is_empty() && first(&now) != first(&before) {
        let shown = if now.is_set() {
            now.value.clone()
        } else {
            json!([])
        };
        checks.invalid_as(
            format!("{}[0]", now.path),
            &shown,
            "may not change once set",
        );
    }
}
