//! Rows of nodes, events, access rules, and the kinds that need little more than a name and an age.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::row::{NONE, Row, UNKNOWN, UNSET, join, list, or, selector, text};
use crate::object;

/// Kinds without a printer of their own: the creation stamp itself.
pub(super) fn created(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        json!(object::meta(row.object, "creationTimestamp")),
    ]
}

pub(super) fn aged(row: &Row<'_>) -> Vec<Value> {
    vec![row.name(), row.age()]
}

pub(super) fn config_map(row: &Row<'_>) -> Vec<Value> {
    let size = |pointer: &str| row.map(pointer).map_or(0, serde_json::Map::len);
    vec![
        row.name(),
        json!(size("/data") + size("/binaryData")),
        row.age(),
    ]
}

pub(super) fn secret(row: &Row<'_>) -> Vec<Value> {
    let size = row.map("/data").map_or(0, serde_json::Map::len);
    vec![
        row.name(),
        json!(or(row.text("/type"), "Opaque")),
        json!(size),
        row.age(),
    ]
}

pub(super) fn namespace(row: &Row<'_>) -> Vec<Value> {
    vec![row.name(), json!(row.text("/status/phase")), row.age()]
}

pub(super) fn component_status(row: &Row<'_>) -> Vec<Value> {
    let healthy = row
        .list("/conditions")
        .iter()
        .find(|one| text(one, "/type") == "Healthy");
    let status = match healthy.map(|one| text(one, "/status")) {
        None => "Unknown",
        Some("True") => "Healthy",
        Some(_) => "Unhealthy",
    };
    let told = |pointer: &str| json!(healthy.map_or("", |one| text(one, pointer)));
    vec![row.name(), json!(status), told("/message"), told("/error")]
}

pub(super) fn node(row: &Row<'_>) -> Vec<Value> {
    let mut status = match row.condition("Ready").map(|ready| text(ready, "/status")) {
        None => "Unknown".to_owned(),
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
    };
    if row.flag("/spec/unschedulable", false) {
        status.push_str(",SchedulingDisabled");
    }
    let info = |name: &str| row.text(&format!("/status/nodeInfo/{name}")).to_owned();
    let known = |name: &str| or(&info(name), UNKNOWN).to_owned();
    let address = |kind: &str| {
        let all = row.list("/status/addresses");
        let found = all.iter().find(|one| text(one, "/type") == kind);
        json!(found.map_or(NONE, |one| text(one, "/address")))
    };
    let kernel = match info("architecture").as_str() {
        "" => known("kernelVersion"),
        architecture => format!("{} ({architecture})", known("kernelVersion")),
    };
    vec![
        row.name(),
        json!(status),
        json!(or(&roles(row), NONE)),
        row.age(),
        json!(info("kubeletVersion")),
        address("InternalIP"),
        address("ExternalIP"),
        json!(known("osImage")),
        json!(kernel),
        json!(known("containerRuntimeVersion")),
    ]
}

fn roles(row: &Row<'_>) -> String {
    let mut roles: BTreeSet<&str> = BTreeSet::new();
    for (key, value) in row.map("/metadata/labels").into_iter().flatten() {
        let value = value.as_str().unwrap_or("");
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => roles.insert(role),
            None if key == "kubernetes.io/role" => roles.insert(value),
            None => false,
        };
    }
    join(roles.into_iter().filter(|role| !role.is_empty()), ",")
}

/// An event in either of its forms: the second field names are those of `events.k8s.io`.
pub(super) fn event(row: &Row<'_>) -> Vec<Value> {
    let either = |one: &str, other: &str| match row.text(one) {
        "" => row.text(other).to_owned(),
        text => text.to_owned(),
    };
    let span = |one: &str, other: &str, otherwise: &str| match either(one, other).as_str() {
        "" => otherwise.to_owned(),
        stamp => super::age::since(stamp, row.now),
    };
    let first = span(
        "/firstTimestamp",
        "/deprecatedFirstTimestamp",
        &row.since("/eventTime"),
    );
    let mut last = span("/lastTimestamp", "/deprecatedLastTimestamp", &first);
    let mut count = row.int_or("/count", row.int("/deprecatedCount"));
    if row.at("/series").is_some() {
        last = row.since("/series/lastObservedTime");
        count = row.int("/series/count");
    } else if count == 0 {
        count = 1;
    }
    let about = |field: &str| {
        either(
            &format!("/involvedObject/{field}"),
            &format!("/regarding/{field}"),
        )
    };
    let target = match about("name").as_str() {
        "" => about("kind").to_lowercase(),
        name => format!("{}/{name}", about("kind").to_lowercase()),
    };
    vec![
        json!(last),
        json!(row.text("/type")),
        json!(row.text("/reason")),
        json!(target),
        json!(about("fieldPath")),
        json!(event_source(row, &either)),
        json!(either("/message", "/note").trim()),
        json!(first),
        json!(count),
        row.name(),
    ]
}

fn event_source(row: &Row<'_>, either: &dyn Fn(&str, &str) -> String) -> String {
    let component = either("/source/component", "/deprecatedSource/component");
    let host = either("/source/host", "/deprecatedSource/host");
    let reporter = either("/reportingComponent", "/reportingController");
    let component = or(&component, &reporter);
    match or(&host, row.text("/reportingInstance")) {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    }
}

pub(super) fn binding(row: &Row<'_>) -> Vec<Value> {
    let role = format!(
        "{}/{}",
        row.text("/roleRef/kind"),
        row.text("/roleRef/name")
    );
    let subjects = row.list("/subjects");
    let of_kind = |kind: &'static str| {
        subjects
            .iter()
            .filter(move |one| text(one, "/kind") == kind)
    };
    let named = |kind: &'static str| json!(join(of_kind(kind).map(|one| text(one, "/name")), ", "));
    let accounts: Vec<String> = of_kind("ServiceAccount")
        .map(|one| format!("{}/{}", text(one, "/namespace"), text(one, "/name")))
        .collect();
    let accounts = json!(accounts.join(", "));
    vec![
        row.name(),
        json!(role),
        row.age(),
        named("User"),
        named("Group"),
        accounts,
    ]
}

pub(super) fn lease(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        json!(row.text("/spec/holderIdentity")),
        row.age(),
    ]
}

pub(super) fn runtime_class(row: &Row<'_>) -> Vec<Value> {
    vec![row.name(), json!(row.text("/handler")), row.age()]
}

pub(super) fn webhooks(row: &Row<'_>) -> Vec<Value> {
    vec![row.name(), json!(row.list("/webhooks").len()), row.age()]
}

pub(super) fn validating_policy(row: &Row<'_>) -> Vec<Value> {
    policy(row, "/spec/validations")
}

pub(super) fn mutating_policy(row: &Row<'_>) -> Vec<Value> {
    policy(row, "/spec/mutations")
}

fn policy(row: &Row<'_>, rules: &str) -> Vec<Value> {
    let kind = row.at("/spec/paramKind").map_or_else(
        || UNSET.to_owned(),
        |kind| format!("{}/{}", text(kind, "/apiVersion"), text(kind, "/kind")),
    );
    vec![
        row.name(),
        json!(row.list(rules).len()),
        json!(kind),
        row.age(),
    ]
}

pub(super) fn policy_binding(row: &Row<'_>) -> Vec<Value> {
    let mut parameters = UNSET.to_owned();
    if let Some(found) = row.at("/spec/paramRef") {
        match text(found, "/name") {
            "" if found.get("selector").is_some() => parameters = selector(found.get("selector")),
            "" => {}
            name => parameters = format!("{}/{name}", or(text(found, "/namespace"), "*")),
        }
    }
    vec![
        row.name(),
        json!(row.text("/spec/policyName")),
        json!(parameters),
        row.age(),
    ]
}

pub(super) fn flow_schema(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        json!(row.text("/spec/priorityLevelConfiguration/name")),
        json!(row.int("/spec/matchingPrecedence")),
        json!(row.text_or("/spec/distinguisherMethod/type", NONE)),
        row.age(),
        json!(
            row.condition("Dangling")
                .map_or("?", |one| text(one, "/status"))
        ),
    ]
}

pub(super) fn priority_level(row: &Row<'_>) -> Vec<Value> {
    let number = |part: &str, field: &str| match row.at(part) {
        Some(found) => json!(found.get(field).and_then(Value::as_i64).unwrap_or(0)),
        None => json!(NONE),
    };
    let queuing = "/spec/limited/limitResponse/queuing";
    vec![
        row.name(),
        json!(row.text("/spec/type")),
        number("/spec/limited", "nominalConcurrencyShares"),
        number(queuing, "queues"),
        number(queuing, "handSize"),
        number(queuing, "queueLengthLimit"),
        row.age(),
    ]
}

pub(super) fn api_service(row: &Row<'_>) -> Vec<Value> {
    let service = row.at("/spec/service").map_or_else(
        || "Local".to_owned(),
        |found| format!("{}/{}", text(found, "/namespace"), text(found, "/name")),
    );
    let available = row.condition("Available").map_or_else(
        || "Unknown".to_owned(),
        |found| match (text(found, "/status"), text(found, "/reason")) {
            ("True", _) => "True".to_owned(),
            (status, "") => status.to_owned(),
            (status, reason) => format!("{status} ({reason})"),
        },
    );
    vec![row.name(), json!(service), json!(available), row.age()]
}

pub(super) fn resource_claim(row: &Row<'_>) -> Vec<Value> {
    let mut state = Vec::new();
    match (row.is_deleting(), row.at("/status/allocation").is_some()) {
        (true, false) => state.push("deleted"),
        (true, true) => state.extend(["deleted", "allocated"]),
        (false, false) => state.push("pending"),
        (false, true) => state.push("allocated"),
    }
    if row.at("/status/allocation").is_some() && !list(row.object, "/status/reservedFor").is_empty()
    {
        state.push("reserved");
    }
    vec![row.name(), json!(state.join(",")), row.age()]
}

pub(super) fn resource_slice(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        json!(row.text("/spec/nodeName")),
        json!(row.text("/spec/driver")),
        json!(row.text("/spec/pool/name")),
        row.age(),
    ]
}

/// The Scale of any kind.
pub(super) fn scale(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        json!(row.int("/spec/replicas")),
        json!(row.int("/status/replicas")),
        row.age(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(object: &Value) -> Row<'_> {
        Row {
            object,
            now: "2026-01-01T00:10:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn events_of_both_groups_read_the_same() {
        let old = json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "Pulled", "message": " got it\n",
            "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec"}, "count": 3,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:09:00Z",
            "source": {"component": "kubelet", "host": "n1"}});
        let new = json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "Pulled", "note": "got it",
            "regarding": {"kind": "Pod", "name": "p", "fieldPath": "spec"}, "deprecatedCount": 3,
            "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z", "deprecatedLastTimestamp": "2026-01-01T00:09:00Z",
            "deprecatedSource": {"component": "kubelet", "host": "n1"}});
        let expected = json!([
            "60s",
            "Normal",
            "Pulled",
            "pod/p",
            "spec",
            "kubelet, n1",
            "got it",
            "10m",
            3,
            "e"
        ]);
        assert_eq!(
            (json!(event(&row(&old))), json!(event(&row(&new)))),
            (expected.clone(), expected)
        );
        let series = json!({"eventTime": "2026-01-01T00:08:00Z", "series": {"count": 7, "lastObservedTime": "2026-01-01T00:09:30.000000Z"},
            "regarding": {"kind": "Node"}, "reportingController": "c"});
        let expected = json!(["30s", "", "", "node", "", "c", "", "2m", 7, ""]);
        assert_eq!(json!(event(&row(&series))), expected);
    }

    #[test]
    fn nodes_tell_status_roles_and_addresses() {
        let object = json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x"}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1.36.0", "kernelVersion": "6.1", "architecture": "amd64"}}});
        let expected = json!([
            "n",
            "NotReady,SchedulingDisabled",
            "control-plane,worker,x",
            "<unknown>",
            "v1.36.0",
            "10.0.0.1",
            "<none>",
            "<unknown>",
            "6.1 (amd64)",
            "<unknown>"
        ]);
        assert_eq!(json!(node(&row(&object))), expected);
    }

    #[test]
    fn bindings_part_their_subjects() {
        let object = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "name": "u1"}, {"kind": "User", "name": "u2"}, {"kind": "Group", "name": "g"},
            {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]});
        let cells = binding(&row(&object));
        assert_eq!(
            (&cells[1], &cells[3..]),
            (
                &json!("Role/r"),
                &[json!("u1, u2"), json!("g"), json!("n/s")][..]
            )
        );
    }
}
