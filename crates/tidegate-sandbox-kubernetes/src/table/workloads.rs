//! Rows of workloads: controllers of pods, Jobs, autoscalers, and what belongs to them.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::age;
use super::row::{
    NONE, Row, UNKNOWN, UNSET, join, labels, quantity, selector, selector_or_none, text,
};
use crate::object;

const POD: &str = "/spec/template/spec/containers";

pub(super) fn deployment(row: &Row<'_>) -> Vec<Value> {
    let wanted = row.int_or("/spec/replicas", 1);
    let [names, images] = row.containers(POD);
    let selects = match selector(row.at("/spec/selector")).as_str() {
        "<error>" => "<invalid>".to_owned(),
        text => text.to_owned(),
    };
    vec![
        row.name(),
        json!(format!("{}/{wanted}", row.int("/status/readyReplicas"))),
        json!(row.int("/status/updatedReplicas")),
        json!(row.int("/status/availableReplicas")),
        row.age(),
        names,
        images,
        json!(selects),
    ]
}

pub(super) fn stateful_set(row: &Row<'_>) -> Vec<Value> {
    let wanted = row.int_or("/spec/replicas", 1);
    let ready = format!("{}/{wanted}", row.int("/status/readyReplicas"));
    let [names, images] = row.containers(POD);
    vec![row.name(), json!(ready), row.age(), names, images]
}

pub(super) fn replica_set(row: &Row<'_>) -> Vec<Value> {
    replicas(row, selector_or_none(row.at("/spec/selector")))
}

pub(super) fn replication_controller(row: &Row<'_>) -> Vec<Value> {
    replicas(row, json!(labels(row.map("/spec/selector"))))
}

fn replicas(row: &Row<'_>, selects: Value) -> Vec<Value> {
    let [names, images] = row.containers(POD);
    vec![
        row.name(),
        json!(row.int_or("/spec/replicas", 1)),
        json!(row.int("/status/replicas")),
        json!(row.int("/status/readyReplicas")),
        row.age(),
        names,
        images,
        selects,
    ]
}

pub(super) fn daemon_set(row: &Row<'_>) -> Vec<Value> {
    let [names, images] = row.containers(POD);
    let mut cells = vec![row.name()];
    cells.extend(
        [
            "/status/desiredNumberScheduled",
            "/status/currentNumberScheduled",
            "/status/numberReady",
            "/status/updatedNumberScheduled",
            "/status/numberAvailable",
        ]
        .map(|pointer| json!(row.int(pointer))),
    );
    let nodes = labels(row.map("/spec/template/spec/nodeSelector"));
    let selects = selector_or_none(row.at("/spec/selector"));
    cells.extend([json!(nodes), row.age(), names, images, selects]);
    cells
}

pub(super) fn job(row: &Row<'_>) -> Vec<Value> {
    let succeeded = row.int("/status/succeeded");
    let parallelism = row.int("/spec/parallelism");
    let completions = match row.at("/spec/completions").and_then(Value::as_i64) {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    };
    let start = age::parse(row.text("/status/startTime"));
    let end = age::parse(row.text("/status/completionTime")).unwrap_or(row.now);
    let took = start.map_or_else(String::new, |start| age::human(end.duration_since(start)));
    let [names, images] = row.containers(POD);
    vec![
        row.name(),
        json!(job_status(row)),
        json!(completions),
        json!(took),
        row.age(),
        names,
        images,
        selector_or_none(row.at("/spec/selector")),
    ]
}

fn job_status(row: &Row<'_>) -> &'static str {
    if row.is_true("Complete") {
        "Complete"
    } else if row.is_true("Failed") {
        "Failed"
    } else if row.is_deleting() {
        "Terminating"
    } else if row.is_true("Suspended") {
        "Suspended"
    } else if row.is_true("FailureTarget") {
        "FailureTarget"
    } else if row.is_true("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

pub(super) fn cron_job(row: &Row<'_>) -> Vec<Value> {
    let last = match row.at("/status/lastScheduleTime") {
        Some(_) => row.since("/status/lastScheduleTime"),
        None => NONE.to_owned(),
    };
    // The column is a boolean, but the server prints a pointer's text.
    let suspend = match row.at("/spec/suspend").and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => UNSET,
    };
    let [names, images] = row.containers("/spec/jobTemplate/spec/template/spec/containers");
    vec![
        row.name(),
        json!(row.text("/spec/schedule")),
        json!(row.text_or("/spec/timeZone", NONE)),
        json!(suspend),
        json!(row.list("/status/active").len()),
        json!(last),
        row.age(),
        names,
        images,
        selector_or_none(row.at("/spec/jobTemplate/spec/selector")),
    ]
}

pub(super) fn controller_revision(row: &Row<'_>) -> Vec<Value> {
    let owners = row.list("/metadata/ownerReferences");
    let controller = owners
        .iter()
        .find(|one| one.get("controller") == Some(&Value::Bool(true)));
    let controller = controller.map_or_else(
        || NONE.to_owned(),
        |owner| {
            let kind = text(owner, "/kind");
            let group = text(owner, "/apiVersion")
                .split_once('/')
                .map(|(group, _)| group);
            let kind = group.map_or_else(|| kind.to_owned(), |group| format!("{kind}.{group}"));
            format!("{}/{}", kind.to_lowercase(), text(owner, "/name"))
        },
    );
    vec![
        row.name(),
        json!(controller),
        json!(row.int("/revision")),
        row.age(),
    ]
}

pub(super) fn disruption_budget(row: &Row<'_>) -> Vec<Value> {
    let number = |pointer: &str| match row.at(pointer) {
        Some(value) => json!(object::scalar(Some(value))),
        None => json!("N/A"),
    };
    vec![
        row.name(),
        number("/spec/minAvailable"),
        number("/spec/maxUnavailable"),
        json!(row.int("/status/disruptionsAllowed")),
        row.age(),
    ]
}

pub(super) fn autoscaler(row: &Row<'_>) -> Vec<Value> {
    let target = |field: &str| {
        row.text(&format!("/spec/scaleTargetRef/{field}"))
            .to_owned()
    };
    let least = row.at("/spec/minReplicas").and_then(Value::as_i64);
    vec![
        row.name(),
        json!(format!("{}/{}", target("kind"), target("name"))),
        json!(metrics(row)),
        json!(least.map_or_else(|| UNSET.to_owned(), |least| least.to_string())),
        json!(row.int("/spec/maxReplicas")),
        json!(row.int("/status/currentReplicas")),
        row.age(),
    ]
}

/// At most two metrics, each as current and target.
fn metrics(row: &Row<'_>) -> String {
    const SHOWN: usize = 2;
    let percent = |pointer: &str, otherwise: &str| match row.at(pointer).and_then(Value::as_i64) {
        Some(value) => format!("{value}%"),
        None => otherwise.to_owned(),
    };
    // Version 1 knows one metric only.
    if row.at("/spec/targetCPUUtilizationPercentage").is_some() {
        let current = percent("/status/currentCPUUtilizationPercentage", UNKNOWN);
        let target = percent("/spec/targetCPUUtilizationPercentage", UNKNOWN);
        return format!("cpu: {current}/{target}");
    }
    let current = row.list("/status/currentMetrics");
    let all: Vec<String> = row
        .list("/spec/metrics")
        .iter()
        .enumerate()
        .map(|(index, metric)| one_metric(metric, current.get(index)))
        .collect();
    if all.is_empty() {
        NONE.to_owned()
    } else {
        super::row::some_of(&all, SHOWN, ", ")
    }
}

fn one_metric(metric: &Value, status: Option<&Value>) -> String {
    let (field, named, by_use) = match text(metric, "/type") {
        "External" => ("external", false, false),
        "Pods" => ("pods", false, false),
        "Object" => ("object", false, false),
        "Resource" => ("resource", true, true),
        "ContainerResource" => ("containerResource", true, true),
        _ => return "<unknown type>".to_owned(),
    };
    let part = |value: Option<&Value>, pointer: String| {
        value
            .and_then(|value| value.pointer(&pointer))
            .filter(|value| !value.is_null())
            .cloned()
    };
    let target = |name: &str| part(Some(metric), format!("/{field}/target/{name}"));
    let current = |name: &str| part(status, format!("/{field}/current/{name}"));
    let name = if named {
        format!("{}: ", text(metric, &format!("/{field}/name")))
    } else {
        String::new()
    };
    let shown = |value: Option<Value>| {
        value.map_or_else(|| UNKNOWN.to_owned(), |value| quantity(Some(&value)))
    };
    if let Some(average) = target("averageValue") {
        let mark = if ["external", "object"].contains(&field) {
            " (avg)"
        } else {
            ""
        };
        return format!(
            "{name}{}/{}{mark}",
            shown(current("averageValue")),
            quantity(Some(&average))
        );
    }
    if by_use {
        let percent = |value: Option<Value>, otherwise: &str| match value.and_then(|v| v.as_i64()) {
            Some(value) => format!("{value}%"),
            None => otherwise.to_owned(),
        };
        let current = percent(current("averageUtilization"), UNKNOWN);
        return format!(
            "{name}{current}/{}",
            percent(target("averageUtilization"), "<auto>")
        );
    }
    format!(
        "{name}{}/{}",
        shown(current("value")),
        quantity(target("value").as_ref())
    )
}

/// Used and hard limits of a quota: requests and limits apart.
pub(super) fn quota(row: &Row<'_>) -> Vec<Value> {
    let used = row.map("/status/used");
    let mut hard: Vec<(&String, &Value)> = row.map("/status/hard").into_iter().flatten().collect();
    hard.sort_by_key(|(name, _)| name.as_str());
    let shown = |limits: bool| {
        let chosen = hard
            .iter()
            .filter(|(name, _)| name.starts_with("limits.") == limits);
        let terms: Vec<String> = chosen
            .map(|(name, most)| {
                let used = used.and_then(|used| used.get(*name));
                format!("{name}: {}/{}", quantity(used), quantity(Some(most)))
            })
            .collect();
        json!(join(terms.iter().map(String::as_str), ", "))
    };
    vec![row.name(), shown(false), shown(true), row.age()]
}

pub(super) fn priority_class(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        json!(row.int("/value")),
        json!(row.flag("/globalDefault", false)),
        row.age(),
        json!(row.text("/preemptionPolicy")),
    ]
}

pub(super) fn signing_request(row: &Row<'_>) -> Vec<Value> {
    let has = |kind: &str| row.condition(kind).is_some();
    let mut status = if has("Denied") {
        "Denied".to_owned()
    } else if has("Approved") {
        "Approved".to_owned()
    } else {
        "Pending".to_owned()
    };
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !row.text("/status/certificate").is_empty() {
        status.push_str(",Issued");
    }
    let wanted = row.at("/spec/expirationSeconds").and_then(Value::as_i64);
    let wanted = wanted.map_or_else(
        || NONE.to_owned(),
        |seconds| age::human(SignedDuration::from_secs(seconds)),
    );
    vec![
        row.name(),
        row.age(),
        json!(super::row::or(row.text("/spec/signerName"), NONE)),
        json!(row.text("/spec/username")),
        json!(wanted),
        json!(status),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(object: &Value) -> Row<'_> {
        Row {
            object,
            now: "2026-01-01T01:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn jobs_tell_status_completions_and_duration() {
        let check = |spec: Value, status: Value, expected: [&str; 3]| {
            let object = json!({"metadata": {"name": "j"}, "spec": spec, "status": status});
            assert_eq!(job(&row(&object))[1..4], expected.map(|cell| json!(cell)));
        };
        let is = |kind: &str| json!({"type": kind, "status": "True"});
        check(json!({"completions": 3}), json!({}), ["Running", "0/3", ""]);
        check(
            json!({"parallelism": 4}),
            json!({"startTime": "2026-01-01T00:59:30Z"}),
            ["Running", "0/1 of 4", "30s"],
        );
        check(
            json!({"completions": 1, "parallelism": 1}),
            json!({"succeeded": 1, "conditions": [is("SuccessCriteriaMet"), is("Complete")],
                "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:05Z"}),
            ["Complete", "1/1", "5s"],
        );
        check(
            json!({}),
            json!({"conditions": [is("Suspended")]}),
            ["Suspended", "0/1", ""],
        );
        check(
            json!({}),
            json!({"conditions": [is("FailureTarget"), is("Failed")]}),
            ["Failed", "0/1", ""],
        );
    }

    #[test]
    fn metrics_show_current_and_target() {
        let check = |spec: Value, status: Value, expected: &str| {
            let object = json!({"spec": {"metrics": spec}, "status": {"currentMetrics": status}});
            assert_eq!(metrics(&row(&object)), expected);
        };
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
        let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"averageValue": "1024Mi"}}});
        let queue = json!({"type": "External", "external": {"target": {"averageValue": "30"}}});
        let object = json!({"type": "Object", "object": {"target": {"value": "2k"}}});
        check(json!([]), json!([]), "<none>");
        check(json!([cpu]), json!([]), "cpu: <unknown>/80%");
        check(
            json!([cpu]),
            json!([{"resource": {"current": {"averageUtilization": 12}}}]),
            "cpu: 12%/80%",
        );
        check(
            json!([memory, queue]),
            json!([{"resource": {"current": {"averageValue": "512Mi"}}}]),
            "memory: 512Mi/1Gi, <unknown>/30 (avg)",
        );
        check(
            json!([object, cpu, queue]),
            json!([{"object": {"current": {"value": "500m"}}}]),
            "500m/2k, cpu: <unknown>/80% + 1 more...",
        );
    }

    #[test]
    fn quotas_part_requests_from_limits() {
        let object = json!({"metadata": {"name": "q"}, "status": {
            "hard": {"pods": "10", "limits.cpu": "2", "requests.memory": "1Gi"},
            "used": {"pods": "3", "limits.cpu": "500m"}}});
        let cells = quota(&row(&object));
        assert_eq!(
            cells[1..3],
            [
                json!("pods: 3/10, requests.memory: 0/1Gi"),
                json!("limits.cpu: 500m/2")
            ]
        );
    }
}
