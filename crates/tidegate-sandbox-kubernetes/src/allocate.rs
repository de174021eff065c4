//! What the server hands out to services: cluster addresses, address families, node ports.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::core::Core;
use crate::object;
use crate::resource::{Resource, ResourceName};

const SERVICES: ResourceName = ResourceName::new("", "services");
/// Addresses are 10.96.0.0/16; the first ten are kept for well-known services.
const FIRST: u16 = 10;
/// The real server's range of node ports.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// Gives a new or changed service what its type needs and the author left to the server.
pub(crate) fn assign(core: &Core, resource: &Resource, object: &mut Value) {
    if resource.name != SERVICES {
        return;
    }
    let name = format!("{}/{}", object::namespace(object), object::name(object));
    let taken = Taken::by_others(core, &name);
    let spec = object::child(object::ensure(object), "spec");
    let kind = spec
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    if kind == "ExternalName" {
        return;
    }
    both_forms(spec);
    let given = spec
        .get("clusterIP")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    families(spec, &given);
    let foreign = spec.get("ipFamilies").and_then(|list| list.get(0)) == Some(&json!("IPv6"));
    if given.is_empty() && !foreign {
        let address = taken.free_address(&name);
        spec.insert("clusterIP".to_owned(), json!(address));
        spec.insert("clusterIPs".to_owned(), json!([address]));
    }
    let wants_ports = kind == "NodePort"
        || kind == "LoadBalancer"
            && spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    if wants_ports {
        node_ports(spec, taken, &name);
    }
}

/// A replacement may leave out what was handed out; a new type may need more.
pub(crate) fn reassign(core: &Core, resource: &Resource, live: &Value, next: &mut Value) {
    if resource.name != SERVICES {
        return;
    }
    let kind = |object: &Value| object::text(object, &["spec", "type"]).to_owned();
    let (before, after) = (kind(live), kind(next));
    if before != "ExternalName" && after != "ExternalName" {
        let old = live.get("spec").cloned().unwrap_or_default();
        let spec = object::child(object::ensure(next), "spec");
        let unset = |spec: &Map<String, Value>, field: &str| {
            spec.get(field)
                .is_none_or(|value| value.as_str() == Some("") || value.is_null())
        };
        if unset(spec, "clusterIP") && unset(spec, "clusterIPs") {
            keep(&old, spec, &["clusterIP", "clusterIPs"]);
        } else if spec.get("clusterIP") != old.get("clusterIP")
            && spec.get("clusterIPs") == old.get("clusterIPs")
        {
            // Whoever writes the one means the other too.
            spec.remove("clusterIPs");
            if unset(spec, "clusterIP") {
                keep(&old, spec, &["clusterIP", "clusterIPs"]);
            }
        }
        keep(&old, spec, &["ipFamilies", "ipFamilyPolicy"]);
        if before != "ClusterIP" && after != "ClusterIP" {
            keep_ports(&old, spec);
        }
        if before == "LoadBalancer" && after == "LoadBalancer" {
            keep(&old, spec, &["healthCheckNodePort"]);
        }
    }
    assign(core, resource, next);
}

fn keep(old: &Value, spec: &mut Map<String, Value>, fields: &[&str]) {
    for field in fields {
        if let Some(value) = old.get(*field) {
            spec.entry(*field).or_insert_with(|| value.clone());
        }
    }
}

/// Ports without a node port get the one that the same port had.
fn keep_ports(old: &Value, spec: &mut Map<String, Value>) {
    let known: Vec<Value> = old
        .get("ports")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let Some(Value::Array(ports)) = spec.get_mut("ports") else {
        return;
    };
    let used: Vec<Value> = ports
        .iter()
        .filter_map(|port| port.get("nodePort").cloned())
        .collect();
    for port in ports
        .iter_mut()
        .filter_map(Value::as_object_mut)
        .filter(|port| !port.contains_key("nodePort"))
    {
        let same = |other: &&Value| {
            other.get("port") == port.get("port") && other.get("protocol") == port.get("protocol")
        };
        if let Some(number) = known
            .iter()
            .find(same)
            .and_then(|other| other.get("nodePort"))
            && !used.contains(number)
        {
            port.insert("nodePort".to_owned(), number.clone());
        }
    }
}

/// `clusterIP` is the first of `clusterIPs`, for authors of either.
fn both_forms(spec: &mut Map<String, Value>) {
    let one = spec
        .get("clusterIP")
        .filter(|one| one.as_str() != Some(""))
        .cloned();
    let first = spec.get("clusterIPs").and_then(|list| list.get(0)).cloned();
    match (one, first) {
        (None, Some(first)) => {
            spec.insert("clusterIP".to_owned(), first);
        }
        (Some(one), None) => {
            spec.insert("clusterIPs".to_owned(), json!([one]));
        }
        _ => {}
    }
}

/// One family, IPv4; a headless service without selector is for both.
fn families(spec: &mut Map<String, Value>, address: &str) {
    let selects = spec
        .get("selector")
        .and_then(Value::as_object)
        .is_some_and(|map| !map.is_empty());
    let both = address == "None" && !selects;
    let policy = if both {
        "RequireDualStack"
    } else {
        "SingleStack"
    };
    spec.entry("ipFamilyPolicy")
        .or_insert_with(|| json!(policy));
    let single = spec.get("ipFamilyPolicy") == Some(&json!("SingleStack"));
    let known = spec
        .get("ipFamilies")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if known.is_empty() {
        let first = if address.contains(':') {
            "IPv6"
        } else {
            "IPv4"
        };
        let list = if both && !single {
            json!(["IPv4", "IPv6"])
        } else {
            json!([first])
        };
        spec.insert("ipFamilies".to_owned(), list);
    }
}

fn node_ports(spec: &mut Map<String, Value>, mut taken: Taken, name: &str) {
    let local = spec.get("externalTrafficPolicy") == Some(&json!("Local"));
    let balanced = spec.get("type") == Some(&json!("LoadBalancer"));
    if let Some(Value::Array(ports)) = spec.get_mut("ports") {
        for port in ports
            .iter()
            .filter_map(|port| port.get("nodePort")?.as_u64())
        {
            taken.ports.insert(port);
        }
        // The same number serves several protocols of one service.
        let mut shared: Vec<(u64, String, u64)> = Vec::new();
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            let number = port.get("port").and_then(Value::as_u64).unwrap_or(0);
            let protocol = port
                .get("protocol")
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned();
            let given = port.get("nodePort").and_then(Value::as_u64).unwrap_or(0);
            let chosen = if given > 0 {
                given
            } else {
                let other = shared
                    .iter()
                    .find(|(n, p, _)| *n == number && *p != protocol);
                let chosen = other.map_or_else(|| taken.free_port(name), |(_, _, chosen)| *chosen);
                port.insert("nodePort".to_owned(), json!(chosen));
                chosen
            };
            taken.ports.insert(chosen);
            shared.push((number, protocol, chosen));
        }
    }
    if local && balanced && !spec.contains_key("healthCheckNodePort") {
        let chosen = taken.free_port(name);
        spec.insert("healthCheckNodePort".to_owned(), json!(chosen));
    }
}

/// What other services hold.
struct Taken {
    addresses: HashSet<String>,
    ports: HashSet<u64>,
}

impl Taken {
    fn by_others(core: &Core, name: &str) -> Self {
        let (_, table) = core.store.table(&SERVICES);
        let mut taken = Self {
            addresses: HashSet::new(),
            ports: HashSet::new(),
        };
        for (key, stored) in &table {
            if **key == *name {
                continue;
            }
            let Some(spec) = stored.object.get("spec") else {
                continue;
            };
            taken
                .addresses
                .insert(object::text(spec, &["clusterIP"]).to_owned());
            let ports = spec
                .get("ports")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            taken
                .ports
                .extend(ports.filter_map(|port| port.get("nodePort")?.as_u64()));
            taken
                .ports
                .extend(spec.get("healthCheckNodePort").and_then(Value::as_u64));
        }
        taken
    }

    /// The first free address from a place that depends on the name, so that the same cluster gets the same addresses.
    fn free_address(&self, name: &str) -> String {
        let start = hash(name);
        (0..=u16::MAX)
            .map(|step| start.wrapping_add(step))
            .filter(|number| *number >= FIRST && *number != u16::MAX)
            .map(|number| format!("10.96.{}.{}", number >> 8, number & 255))
            .find(|address| !self.addresses.contains(address))
            .unwrap_or_else(|| "None".to_owned())
    }

    fn free_port(&self, name: &str) -> u64 {
        let size = NODE_PORTS.end() - NODE_PORTS.start() + 1;
        let start = hash(name) % size;
        (0..size)
            .map(|step| u64::from(NODE_PORTS.start() + (start + step) % size))
            .find(|port| !self.ports.contains(port))
            .unwrap_or(0)
    }
}

fn hash(name: &str) -> u16 {
    name.bytes().fold(0_u16, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u16::from(byte))
    })
}
