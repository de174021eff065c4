//! The row of a pod: what its containers do, put into one word (the server's pod printer).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age;
use super::row::{NONE, Row, list, or, text};

/// What was counted while walking the containers.
#[derive(Debug, Default)]
struct Tally {
    ready: usize,
    restarts: i64,
    /// When a container last ended and was started again.
    restarted: Option<Timestamp>,
    reason: String,
}

impl Tally {
    fn restart(&mut self, container: &Value) {
        self.restarts += container
            .get("restartCount")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        let ended = age::parse(text(container, "/lastState/terminated/finishedAt"));
        self.restarted = self.restarted.max(ended);
    }
}

pub(super) fn cells(row: &Row<'_>) -> Vec<Value> {
    let mut tally = Tally {
        reason: first_reason(row).to_owned(),
        ..Tally::default()
    };
    // Restarts of sidecars count for a running pod too, those of plain init containers do not.
    let mut sidecars = Tally::default();
    let initializing = walk_init(row, &mut tally, &mut sidecars);
    if !initializing || row.is_true("Initialized") {
        tally.restarts = sidecars.restarts;
        tally.restarted = sidecars.restarted;
        walk_main(row, &mut tally);
    }
    let phase = row.text("/status/phase");
    if row.is_deleting() {
        if row.text("/status/reason") == "NodeLost" {
            tally.reason = "Unknown".to_owned();
        } else if !["Failed", "Succeeded"].contains(&phase) {
            tally.reason = "Terminating".to_owned();
        }
    }
    let restarts = match tally.restarted {
        Some(time) if tally.restarts != 0 => {
            format!(
                "{} ({} ago)",
                tally.restarts,
                age::human(row.now.duration_since(time))
            )
        }
        _ => tally.restarts.to_string(),
    };
    let total = row.list("/spec/containers").len() + sidecar_names(row).len();
    vec![
        row.name(),
        json!(format!("{}/{total}", tally.ready)),
        json!(tally.reason),
        json!(restarts),
        row.age(),
        json!(or(
            row.text("/status/podIPs/0/ip"),
            or(row.text("/status/podIP"), NONE)
        )),
        json!(or(row.text("/spec/nodeName"), NONE)),
        json!(or(row.text("/status/nominatedNodeName"), NONE)),
        json!(readiness_gates(row)),
    ]
}

/// Whether the pod came to its end, and how: the condition of its row.
pub(super) fn conditions(object: &Value) -> Option<Value> {
    let phase = text(object, "/status/phase");
    let message = match phase {
        "Succeeded" => "The pod has completed successfully.",
        "Failed" => "The pod failed.",
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]))
}

fn first_reason<'a>(row: &Row<'a>) -> &'a str {
    let gated = row.list("/status/conditions").iter().any(|one| {
        text(one, "/type") == "PodScheduled" && text(one, "/reason") == "SchedulingGated"
    });
    if gated {
        "SchedulingGated"
    } else {
        or(row.text("/status/reason"), row.text("/status/phase"))
    }
}

fn sidecar_names<'a>(row: &Row<'a>) -> Vec<&'a str> {
    let init = row.list("/spec/initContainers").iter();
    init.filter(|one| text(one, "/restartPolicy") == "Always")
        .map(|one| text(one, "/name"))
        .collect()
}

/// Walks the init containers up to the first that has not done its part; says whether there is one.
fn walk_init(row: &Row<'_>, tally: &mut Tally, sidecars: &mut Tally) -> bool {
    let names = sidecar_names(row);
    let total = row.list("/spec/initContainers").len();
    for (index, container) in row.list("/status/initContainerStatuses").iter().enumerate() {
        let sidecar = names.contains(&text(container, "/name"));
        tally.restart(container);
        if sidecar {
            sidecars.restart(container);
        }
        let flag = |key: &str| container.get(key).and_then(Value::as_bool).unwrap_or(false);
        let terminated = state(container, "terminated");
        let waiting = text(container, "/state/waiting/reason");
        if terminated.is_some_and(|ended| number(ended, "exitCode") == 0) {
            continue;
        }
        if sidecar && flag("started") {
            tally.ready += usize::from(flag("ready"));
            continue;
        }
        tally.reason = match terminated {
            Some(ended) => format!("Init:{}", ending(ended)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => {
                format!("Init:{waiting}")
            }
            None => format!("Init:{index}/{total}"),
        };
        return true;
    }
    false
}

fn walk_main(row: &Row<'_>, tally: &mut Tally) {
    let mut running = false;
    let mut failure = String::new();
    for container in row.list("/status/containerStatuses").iter().rev() {
        tally.restart(container);
        let waiting = text(container, "/state/waiting/reason");
        let ready = container.get("ready") == Some(&Value::Bool(true));
        if !waiting.is_empty() {
            waiting.clone_into(&mut tally.reason);
        } else if let Some(ended) = state(container, "terminated") {
            tally.reason = ending(ended);
            if number(ended, "exitCode") != 0 {
                failure.clone_from(&tally.reason);
            }
        } else if ready && state(container, "running").is_some() {
            running = true;
            tally.ready += 1;
        }
    }
    // One container that ended well does not end a pod whose others run.
    if tally.reason == "Completed" {
        if running && row.is_true("Ready") {
            "Running".clone_into(&mut tally.reason);
        } else if !failure.is_empty() {
            tally.reason = failure;
        } else if running {
            "NotReady".clone_into(&mut tally.reason);
        }
    }
}

fn state<'a>(container: &'a Value, which: &str) -> Option<&'a Value> {
    container
        .get("state")?
        .get(which)
        .filter(|state| !state.is_null())
}

fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or(0)
}

fn ending(ended: &Value) -> String {
    let (reason, signal) = (text(ended, "/reason"), number(ended, "signal"));
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", number(ended, "exitCode"))
    }
}

fn readiness_gates(row: &Row<'_>) -> String {
    let gates = row.list("/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let open = gates
        .iter()
        .filter(|gate| row.is_true(text(gate, "/conditionType")))
        .count();
    format!("{open}/{}", gates.len())
}

/// The row of a pod template.
pub(super) fn template(row: &Row<'_>) -> Vec<Value> {
    let [names, images] = row.containers("/template/spec/containers");
    let labels = super::row::labels(row.map("/template/metadata/labels"));
    vec![row.name(), names, images, json!(labels)]
}

/// Endpoints of the old kind: at most three addresses with their ports.
pub(super) fn endpoints(row: &Row<'_>) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in row.list("/subsets") {
        let addresses = list(subset, "/addresses")
            .iter()
            .map(|one| text(one, "/ip"));
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            all.extend(addresses.map(str::to_owned));
            continue;
        }
        for port in ports {
            let port = number(port, "port");
            for ip in addresses.clone() {
                let host = if ip.contains(':') {
                    format!("[{ip}]")
                } else {
                    ip.to_owned()
                };
                all.push(format!("{host}:{port}"));
            }
        }
    }
    let shown = match row.list("/subsets") {
        [] => NONE.to_owned(),
        _ => super::row::some_of(&all, 3, ","),
    };
    vec![row.name(), json!(shown), row.age()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Value, expected: [&str; 3]) {
        let mut pod = json!({
            "metadata": {"name": "p"},
            "spec": {
                "initContainers": [{"name": "i0"}, {"name": "side", "restartPolicy": "Always"}],
                "containers": [{"name": "a"}, {"name": "b"}],
            },
        });
        pod["status"] = status;
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        let cells = cells(&Row { object: &pod, now });
        assert_eq!(cells[1..4], expected.map(|cell| json!(cell)), "{pod}");
    }

    fn running(name: &str) -> Value {
        json!({"name": name, "ready": true, "started": true, "state": {"running": {}}})
    }

    #[test]
    fn init_containers_are_told_first() {
        let done =
            json!({"name": "i0", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        let check = |list: Value, expected: [&str; 3]| {
            check(
                json!({"phase": "Pending", "initContainerStatuses": list}),
                expected,
            );
        };
        check(
            json!([{"name": "i0", "state": {"waiting": {"reason": "PodInitializing"}}}]),
            ["0/3", "Init:0/2", "0"],
        );
        check(
            json!([done, {"name": "side", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]),
            ["0/3", "Init:ImagePullBackOff", "0"],
        );
        check(
            json!([{"name": "i0", "restartCount": 2, "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]),
            ["0/3", "Init:Error", "2"],
        );
        check(
            json!([{"name": "i0", "state": {"terminated": {"exitCode": 3, "signal": 9}}}]),
            ["0/3", "Init:Signal:9", "0"],
        );
        check(
            json!([{"name": "i0", "state": {"terminated": {"exitCode": 3}}}]),
            ["0/3", "Init:ExitCode:3", "0"],
        );
    }

    #[test]
    fn containers_are_put_into_one_word() {
        let done =
            json!({"name": "i0", "restartCount": 4, "state": {"terminated": {"exitCode": 0}}});
        let check = |phase: &str, containers: Value, ready: &str, expected: [&str; 3]| {
            let init = json!([done, running("side")]);
            let conditions = json!([{"type": "Ready", "status": ready}]);
            check(
                json!({"phase": phase, "conditions": conditions, "initContainerStatuses": init, "containerStatuses": containers}),
                expected,
            );
        };
        let completed =
            json!({"name": "b", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        let failed =
            json!({"name": "a", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}});
        check(
            "Running",
            json!([running("a"), running("b")]),
            "True",
            ["3/3", "Running", "0"],
        );
        check(
            "Running",
            json!([completed, running("b")]),
            "True",
            ["2/3", "Running", "0"],
        );
        check(
            "Running",
            json!([completed, running("b")]),
            "False",
            ["2/3", "NotReady", "0"],
        );
        check(
            "Running",
            json!([completed, failed]),
            "False",
            ["1/3", "Error", "0"],
        );
        check(
            "Succeeded",
            json!([completed, completed]),
            "False",
            ["1/3", "Completed", "0"],
        );
        check(
            "Running",
            json!([{"name": "a", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:09:00Z"}}}]),
            "False",
            ["1/3", "CrashLoopBackOff", "3 (60s ago)"],
        );
    }

    #[test]
    fn deletion_and_gates_win() {
        let pod = |phase: &str| {
            json!({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"readinessGates": [{"conditionType": "x"}, {"conditionType": "y"}]},
                "status": {"phase": phase, "conditions": [{"type": "x", "status": "True"}]}})
        };
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        for (phase, expected) in [("Running", "Terminating"), ("Failed", "Failed")] {
            let pod = pod(phase);
            let cells = cells(&Row { object: &pod, now });
            assert_eq!((&cells[2], &cells[8]), (&json!(expected), &json!("1/2")));
        }
        assert!(conditions(&pod("Running")).is_none() && conditions(&pod("Failed")).is_some());
    }
}
