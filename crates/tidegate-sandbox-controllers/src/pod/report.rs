//! A pod's status, field by field, for each stage of its life. Times that were reported once stay as they are.

use super::program::Exit;
use super::waiting;
use crate::conditions::Condition;
use crate::context::Context;
use crate::value::{at, digest, hex, int_or, items, name, pairs, stamp, text, uid};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Where a pod is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Stage {
    Unscheduled,
    /// The message is empty while the scheduler only waits for a volume.
    Unschedulable(String),
    Creating,
    Initializing,
    Waiting {
        reason: String,
        message: String,
    },
    Running {
        ready: bool,
        restarts: i64,
    },
    CrashLoop {
        exits: Vec<Option<Exit>>,
        restarts: i64,
        seconds: i64,
    },
    Restarted {
        exits: Vec<Option<Exit>>,
        restarts: i64,
    },
    Ended(Vec<Exit>),
}

/// The state of a container (`{waiting: …}`, `{running: …}`, `{terminated: …}`).
#[derive(Clone, PartialEq, Debug)]
pub(super) struct State(pub(super) Value);

/// A status in the making.
pub(super) struct Report<'a> {
    pod: &'a Value,
    now: Timestamp,
    stage: Stage,
}

impl<'a> Report<'a> {
    pub(super) fn new(cx: &Context<'a>, stage: Stage) -> Self {
        Self {
            pod: cx.object,
            now: cx.now,
            stage,
        }
    }

    pub(super) fn write(&self, cx: &mut Context<'_>) {
        cx.status(self.status());
    }

    fn status(&self) -> Value {
        let mut status = json!({"phase": self.phase(), "qosClass": qos_class(self.pod)});
        let conditions = self.conditions();
        if !conditions.is_empty() {
            status["conditions"] = crate::conditions::conditions(self.pod, &conditions, self.now);
        }
        if matches!(self.stage, Stage::Unscheduled | Stage::Unschedulable(_)) {
            return status;
        }
        let start = text(self.pod, "status.startTime");
        let start = if start.is_empty() {
            stamp(self.now)
        } else {
            start.to_owned()
        };
        status["startTime"] = json!(start);
        status["hostIP"] = json!(NODE_IP);
        status["hostIPs"] = json!([{"ip": NODE_IP}]);
        if !matches!(self.stage, Stage::Creating) {
            let ip = pod_ip(self.pod);
            status["podIP"] = json!(ip);
            status["podIPs"] = json!([{"ip": ip}]);
        }
        let init: Vec<Value> = items(self.pod, "spec.initContainers")
            .iter()
            .map(|spec| self.init(spec))
            .collect();
        if !init.is_empty() {
            status["initContainerStatuses"] = json!(init);
        }
        let specs = items(self.pod, "spec.containers").iter().enumerate();
        status["containerStatuses"] = specs
            .map(|(index, spec)| self.container(index, spec))
            .collect();
        status
    }

    fn phase(&self) -> &'static str {
        match &self.stage {
            Stage::Unscheduled | Stage::Unschedulable(_) | Stage::Creating => "Pending",
            Stage::Initializing | Stage::Waiting { .. } => "Pending",
            Stage::Running { .. } | Stage::CrashLoop { .. } | Stage::Restarted { .. } => "Running",
            Stage::Ended(exits) if exits.iter().all(|exit| exit.code == 0) => "Succeeded",
            Stage::Ended(_) => "Failed",
        }
    }

    fn conditions(&self) -> Vec<Condition> {
        let names = |field: &str| {
            let names: Vec<&str> = items(self.pod, field)
                .iter()
                .map(|spec| text(spec, "name"))
                .collect();
            names.join(" ")
        };
        let on = |kind: &str| Condition::new(kind, "True");
        let off = |kind: &str| Condition::new(kind, "False");
        let unready = format!(
            "containers with unready status: [{}]",
            names("spec.containers")
        );
        let not_ready = |kind: &str| off(kind).because("ContainersNotReady", unready.clone());
        match &self.stage {
            Stage::Unscheduled => Vec::new(),
            Stage::Unschedulable(message) if message.is_empty() => Vec::new(),
            Stage::Unschedulable(message) => {
                vec![off("PodScheduled").because("Unschedulable", message.clone())]
            }
            Stage::Creating | Stage::Initializing | Stage::Waiting { .. } => {
                let initialized = if items(self.pod, "spec.initContainers").is_empty()
                    || matches!(self.stage, Stage::Waiting { .. })
                {
                    on("Initialized")
                } else {
                    let names = names("spec.initContainers");
                    let message = format!("containers with incomplete status: [{names}]");
                    off("Initialized").because("ContainersNotInitialized", message)
                };
                let sandbox = if matches!(self.stage, Stage::Creating) {
                    off
                } else {
                    on
                };
                vec![
                    sandbox("PodReadyToStartContainers"),
                    initialized,
                    not_ready("Ready"),
                    not_ready("ContainersReady"),
                    on("PodScheduled"),
                ]
            }
            Stage::Running { ready: true, .. } => {
                ["PodReadyToStartContainers", "Initialized", "Ready"]
                    .into_iter()
                    .chain(["ContainersReady", "PodScheduled"])
                    .map(on)
                    .collect()
            }
            Stage::Running { .. } | Stage::CrashLoop { .. } | Stage::Restarted { .. } => vec![
                on("PodReadyToStartContainers"),
                on("Initialized"),
                not_ready("Ready"),
                not_ready("ContainersReady"),
                on("PodScheduled"),
            ],
            Stage::Ended(_) => {
                let (initialized, reason) = match self.phase() {
                    "Succeeded" => (
                        on("Initialized").because("PodCompleted", ""),
                        "PodCompleted",
                    ),
                    _ => (on("Initialized"), "PodFailed"),
                };
                vec![
                    off("PodReadyToStartContainers"),
                    initialized,
                    off("Ready").because(reason, ""),
                    off("ContainersReady").because(reason, ""),
                    on("PodScheduled"),
                ]
            }
        }
    }

    fn container(&self, index: usize, spec: &Value) -> Value {
        let started = self.started(index);
        let running = || State(json!({"running": {"startedAt": started}}));
        let last = at(self.old(index), "lastState");
        let mut last_state = if last.is_object() {
            last.clone()
        } else {
            json!({})
        };
        let pod_init = !items(self.pod, "spec.initContainers").is_empty();
        let creating = if pod_init {
            "PodInitializing"
        } else {
            "ContainerCreating"
        };
        let (state, ready, started_flag, restarts) = match &self.stage {
            Stage::Unscheduled
            | Stage::Unschedulable(_)
            | Stage::Creating
            | Stage::Initializing => (waiting(creating, ""), false, false, 0),
            Stage::Waiting { reason, message } => (waiting(reason, message), false, false, 0),
            Stage::Running { ready, restarts } => (running(), *ready, true, *restarts),
            Stage::Restarted { exits, restarts } => match exits.get(index).and_then(Option::as_ref)
            {
                Some(exit) if exit.code != 0 => {
                    let again = State(json!({"running": {"startedAt": stamp(self.now)}}));
                    (again, false, true, *restarts)
                }
                _ => (
                    running(),
                    true,
                    true,
                    int_or(self.old(index), "restartCount", 0),
                ),
            },
            Stage::CrashLoop {
                exits,
                restarts,
                seconds,
            } => match exits.get(index).and_then(Option::as_ref) {
                Some(exit) if exit.code != 0 => {
                    last_state = self.terminated(index, exit).0;
                    (self.back_off(spec, *seconds), false, false, *restarts)
                }
                _ => (
                    running(),
                    true,
                    true,
                    int_or(self.old(index), "restartCount", 0),
                ),
            },
            Stage::Ended(exits) => {
                let exit = exits.get(index).cloned().unwrap_or_else(Exit::stopped);
                let restarts = int_or(self.old(index), "restartCount", 0);
                (self.terminated(index, &exit), false, false, restarts)
            }
        };
        let container = text(spec, "name");
        let mut status = json!({
            "name": container, "state": state.0, "lastState": last_state, "ready": ready,
            "started": started_flag, "restartCount": restarts, "image": text(spec, "image"), "imageID": "",
        });
        if state.0.get("waiting").is_none() {
            status["imageID"] = json!(format!(
                "{}@sha256:{}",
                text(spec, "image"),
                hex(&[text(spec, "image")], 32)
            ));
            let id = hex(&[uid(self.pod), container, &restarts.to_string()], 32);
            status["containerID"] = json!(format!("containerd://{id}"));
        }
        status
    }

    fn back_off(&self, spec: &Value, seconds: i64) -> State {
        let wait = match (seconds / 60, seconds % 60) {
            (0, seconds) => format!("{seconds}s"),
            (minutes, seconds) => format!("{minutes}m{seconds}s"),
        };
        let (space, pod) = (text(self.pod, "metadata.namespace"), name(self.pod));
        let (container, uid) = (text(spec, "name"), uid(self.pod));
        let message = format!(
            "back-off {wait} restarting failed container={container} pod={pod}_{space}({uid})"
        );
        waiting("CrashLoopBackOff", &message)
    }

    fn terminated(&self, index: usize, exit: &Exit) -> State {
        let before = self.old(index);
        let known = at(before, "lastState.terminated");
        if matches!(self.stage, Stage::CrashLoop { .. })
            && at(before, "state.waiting").is_object()
            && known.is_object()
        {
            return State(json!({"terminated": known}));
        }
        let mut ended = json!({
            "exitCode": exit.code, "reason": exit.reason,
            "startedAt": self.started(index), "finishedAt": stamp(self.now),
        });
        if !exit.message.is_empty() {
            ended["message"] = json!(exit.message);
        }
        State(json!({"terminated": ended}))
    }

    fn init(&self, spec: &Value) -> Value {
        let sidecar = text(spec, "restartPolicy") == "Always";
        let old = items(self.pod, "status.initContainerStatuses")
            .iter()
            .find(|status| text(status, "name") == text(spec, "name"));
        let began = old.map_or("", |old| text(old, "state.running.startedAt"));
        let began = if began.is_empty() {
            stamp(self.now)
        } else {
            began.to_owned()
        };
        let over = !matches!(self.stage, Stage::Creating | Stage::Initializing);
        let state = match (&self.stage, old) {
            (Stage::Creating, _) => waiting("PodInitializing", "").0,
            (_, Some(old)) if at(old, "state.terminated").is_object() => at(old, "state").clone(),
            _ if over && !sidecar => json!({"terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": began, "finishedAt": stamp(self.now),
            }}),
            _ => json!({"running": {"startedAt": began}}),
        };
        json!({
            "name": text(spec, "name"), "state": state, "lastState": {}, "ready": over, "started": sidecar && over,
            "restartCount": 0, "image": text(spec, "image"), "imageID": "",
        })
    }

    fn old(&self, index: usize) -> &'a Value {
        static NULL: Value = Value::Null;
        items(self.pod, "status.containerStatuses")
            .get(index)
            .unwrap_or(&NULL)
    }

    fn started(&self, index: usize) -> String {
        let known = text(self.old(index), "state.running.startedAt");
        if known.is_empty() {
            stamp(self.now)
        } else {
            known.to_owned()
        }
    }
}

/// The address of the simulated node. Nothing listens there.
pub(crate) const NODE_IP: &str = "172.18.0.2";

/// A pod's address in the pod network. Nothing listens there.
pub(crate) fn pod_ip(pod: &Value) -> String {
    let known = text(pod, "status.podIP");
    if !known.is_empty() {
        return known.to_owned();
    }
    let digest = digest(&[uid(pod), "ip"]);
    format!(
        "10.{}.{}.{}",
        244 + (digest[0] & 7),
        digest[1],
        1 + digest[2] % 254
    )
}

fn qos_class(pod: &Value) -> &'static str {
    let known = text(pod, "status.qosClass");
    match known {
        "Guaranteed" => return "Guaranteed",
        "Burstable" => return "Burstable",
        "BestEffort" => return "BestEffort",
        _ => {}
    }
    let (mut any, mut guaranteed) = (false, true);
    for spec in items(pod, "spec.containers")
        .iter()
        .chain(items(pod, "spec.initContainers"))
    {
        for resource in ["cpu", "memory"] {
            let limit = at(spec, "resources.limits").get(resource);
            let request = at(spec, "resources.requests").get(resource);
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    let any = any || pairs(pod, "spec.resources.requests").next().is_some();
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
