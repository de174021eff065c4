//! Rows of Services, Ingresses and other kinds of the network.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::row::{
    NONE, Row, UNKNOWN, UNSET, join, labels, list, or, selector_or_none, some_of, text,
};

/// How many hosts, ports or addresses one cell shows.
const SHOWN: usize = 3;

pub(super) fn service(row: &Row<'_>) -> Vec<Value> {
    let own = or(
        row.text("/spec/clusterIPs/0"),
        or(row.text("/spec/clusterIP"), NONE),
    );
    let ports = row.list("/spec/ports").iter().map(|port| {
        let number = |key: &str| port.get(key).and_then(Value::as_i64).unwrap_or(0);
        let protocol = or(text(port, "/protocol"), "TCP");
        match number("nodePort") {
            0 => format!("{}/{protocol}", number("port")),
            node => format!("{}:{node}/{protocol}", number("port")),
        }
    });
    let ports = ports.collect::<Vec<_>>().join(",");
    vec![
        row.name(),
        json!(or(row.text("/spec/type"), "ClusterIP")),
        json!(own),
        json!(external(row)),
        json!(or(&ports, NONE)),
        row.age(),
        json!(labels(row.map("/spec/selector"))),
    ]
}

fn external(row: &Row<'_>) -> String {
    let given: Vec<&str> = row
        .list("/spec/externalIPs")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match or(row.text("/spec/type"), "ClusterIP") {
        "ClusterIP" | "NodePort" if given.is_empty() => NONE.to_owned(),
        "ClusterIP" | "NodePort" => given.join(","),
        "LoadBalancer" => {
            let mut all = balancers(row);
            all.extend(given.iter().map(|&ip| ip.to_owned()));
            if all.is_empty() {
                "<pending>".to_owned()
            } else {
                all.join(",")
            }
        }
        "ExternalName" => row.text("/spec/externalName").to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

/// Addresses of the load balancer, sorted.
fn balancers(row: &Row<'_>) -> Vec<String> {
    let ingress = row.list("/status/loadBalancer/ingress").iter();
    let all: BTreeSet<&str> = ingress
        .map(|one| or(text(one, "/ip"), text(one, "/hostname")))
        .filter(|address| !address.is_empty())
        .collect();
    all.into_iter().map(str::to_owned).collect()
}

pub(super) fn ingress(row: &Row<'_>) -> Vec<Value> {
    let ports = if row.list("/spec/tls").is_empty() {
        "80"
    } else {
        "80, 443"
    };
    vec![
        row.name(),
        json!(row.text_or("/spec/ingressClassName", NONE)),
        json!(hosts(row.list("/spec/rules"))),
        json!(balancers(row).join(",")),
        json!(ports),
        row.age(),
    ]
}

/// Rules without a host count among those that are not shown, as the real server counts.
fn hosts(rules: &[Value]) -> String {
    let mut shown: Vec<&str> = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= shown.len() == SHOWN;
        let host = text(rule, "/host");
        if !more && !host.is_empty() {
            shown.push(host);
        }
    }
    match (shown.is_empty(), more) {
        (true, _) => "*".to_owned(),
        (false, false) => shown.join(","),
        (false, true) => format!("{} + {} more...", shown.join(","), rules.len() - SHOWN),
    }
}

pub(super) fn ingress_class(row: &Row<'_>) -> Vec<Value> {
    let mut parameters = NONE.to_owned();
    if let Some(found) = row.at("/spec/parameters") {
        parameters = text(found, "/kind").to_owned();
        if let Some(group) = found.get("apiGroup").and_then(Value::as_str) {
            parameters = format!("{parameters}.{group}");
        }
        parameters = format!("{parameters}/{}", text(found, "/name"));
    }
    let name = super::storage::marked(row, &["ingressclass.kubernetes.io/is-default-class"]);
    vec![
        name,
        json!(row.text("/spec/controller")),
        json!(parameters),
        row.age(),
    ]
}

pub(super) fn network_policy(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        selector_or_none(row.at("/spec/podSelector")),
        row.age(),
    ]
}

pub(super) fn endpoint_slice(row: &Row<'_>) -> Vec<Value> {
    let ports: Vec<String> = row
        .list("/ports")
        .iter()
        .map(|port| match port.get("port").and_then(Value::as_i64) {
            Some(number) => number.to_string(),
            None => port
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or("*")
                .to_owned(),
        })
        .collect();
    let addresses: Vec<String> = row
        .list("/endpoints")
        .iter()
        .flat_map(|one| list(one, "/addresses"))
        .filter_map(|address| address.as_str().map(str::to_owned))
        .collect();
    let cell = |all: &[String]| json!(or(&some_of(all, SHOWN, ","), UNSET));
    vec![
        row.name(),
        json!(row.text("/addressType")),
        cell(&ports),
        cell(&addresses),
        row.age(),
    ]
}

pub(super) fn service_cidr(row: &Row<'_>) -> Vec<Value> {
    let all = row.list("/spec/cidrs").iter().filter_map(Value::as_str);
    vec![row.name(), json!(join(all, ",")), row.age()]
}

pub(super) fn ip_address(row: &Row<'_>) -> Vec<Value> {
    let mut parent = NONE.to_owned();
    if let Some(found) = row.at("/spec/parentRef") {
        let (group, resource) = (text(found, "/group"), text(found, "/resource"));
        parent = if group.is_empty() {
            resource.to_owned()
        } else {
            format!("{resource}.{group}")
        };
        parent = parent.to_lowercase();
        for part in ["/namespace", "/name"] {
            let part = text(found, part);
            if !part.is_empty() {
                parent = format!("{parent}/{part}");
            }
        }
    }
    // The real server gives an age without a column for it.
    vec![row.name(), json!(parent), row.age()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(object: &Value) -> Row<'_> {
        Row {
            object,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn services_tell_addresses_and_ports() {
        let check = |spec: Value, status: Value, expected: [&str; 4]| {
            let object = json!({"metadata": {"name": "s"}, "spec": spec, "status": status});
            assert_eq!(
                service(&row(&object))[1..5],
                expected.map(|cell| json!(cell))
            );
        };
        let none = json!({});
        check(
            json!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "nodePort": 30053}]}),
            none.clone(),
            ["ClusterIP", "10.0.0.1", "<none>", "80/TCP,53:30053/UDP"],
        );
        check(
            json!({"clusterIP": "None"}),
            none.clone(),
            ["ClusterIP", "None", "<none>", "<none>"],
        );
        check(
            json!({"type": "LoadBalancer"}),
            none.clone(),
            ["LoadBalancer", "<none>", "<pending>", "<none>"],
        );
        let status = json!({"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "a.example"}, {"ip": "1.1.1.1"}]}});
        check(
            json!({"type": "LoadBalancer", "externalIPs": ["4.4.4.4"]}),
            status,
            [
                "LoadBalancer",
                "<none>",
                "1.1.1.1,9.9.9.9,a.example,4.4.4.4",
                "<none>",
            ],
        );
        check(
            json!({"type": "ExternalName", "externalName": "db.example"}),
            none,
            ["ExternalName", "<none>", "db.example", "<none>"],
        );
    }

    #[test]
    fn hosts_are_cut_after_three() {
        let check = |names: &[&str], expected: &str| {
            let rules: Vec<Value> = names.iter().map(|host| json!({"host": host})).collect();
            assert_eq!(hosts(&rules), expected);
        };
        check(&[], "*");
        check(&[""], "*");
        check(&["a", "", "b", "c"], "a,b,c");
        check(&["a", "b", "c", "d", ""], "a,b,c + 2 more...");
    }
}
