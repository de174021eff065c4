//! Workloads go through the same statuses as in a real Kubernetes 1.36: the snapshots of Deployment, StatefulSet,
//! DaemonSet and Job were compared with what its controllers write, reasons and messages included.

use crate::lab::Lab;
use insta::assert_snapshot;
use serde_json::json;

const COUNTS: &[&str] = &[
    "metadata.generation",
    "status.observedGeneration",
    "status.replicas",
    "status.updatedReplicas",
    "status.readyReplicas",
    "status.availableReplicas",
    "status.unavailableReplicas",
    "status.terminatingReplicas",
    "status.currentReplicas",
    "status.currentRevision",
    "status.updateRevision",
    "conditions",
];
const JOB: &[&str] = &[
    "status.active",
    "status.ready",
    "status.terminating",
    "status.succeeded",
    "status.failed",
    "status.completedIndexes",
    "conditions",
];
const POD: &[&str] = &["status.phase", "conditions"];

fn deployment(name: &str, replicas: i64, extra: &str, pod: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}{extra}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: c, image: "nginx:1"{pod}}}]}}
"#
    )
}

fn job(name: &str, spec: &str, pod: &str, container: &str) -> String {
    format!(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  {spec}
  template:
    metadata: {{labels: {{job: {name}}}}}
    spec: {{{pod}, containers: [{{name: c, image: busybox{container}}}]}}
"#
    )
}

fn bump(lab: &Lab, kind: &str, name: &str) {
    let image = json!([{"name": "c", "image": "nginx:2"}]);
    lab.patch(
        kind,
        name,
        json!({"spec": {"template": {"spec": {"containers": image}}}}),
    );
}

#[test]
fn a_deployment_rolls_out_and_over() {
    let mut lab = Lab::new();
    lab.apply(&deployment("web", 2, "", ""));
    lab.run(3.0);
    bump(&lab, "Deployment", "web");
    lab.run(5.0);
    assert_snapshot!(lab.transcript("Deployment", "web", COUNTS));
    let revision = lab.get("Deployment", "web").unwrap();
    assert_eq!(
        revision["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
    // Back to the first template: its ReplicaSet is taken up again, as revision 3.
    let image = json!([{"name": "c", "image": "nginx:1"}]);
    lab.patch(
        "Deployment",
        "web",
        json!({"spec": {"template": {"spec": {"containers": image}}}}),
    );
    lab.run(5.0);
    assert_eq!(lab.list("ReplicaSet").len(), 2);
    let revision = lab.get("Deployment", "web").unwrap();
    assert_eq!(
        revision["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "3"
    );
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let mut lab = Lab::new();
    lab.apply(&deployment("web", 2, "", ""));
    lab.run(3.0);
    lab.patch("Deployment", "web", json!({"spec": {"paused": true}}));
    lab.run(0.5);
    bump(&lab, "Deployment", "web");
    lab.patch("Deployment", "web", json!({"spec": {"replicas": 3}}));
    lab.run(2.0);
    assert_eq!(lab.list("ReplicaSet").len(), 1);
    lab.patch("Deployment", "web", json!({"spec": {"paused": false}}));
    lab.run(5.0);
    assert_eq!(lab.list("ReplicaSet").len(), 2);
    assert_snapshot!(lab.transcript(
        "Deployment",
        "web",
        &["status.replicas", "status.updatedReplicas", "conditions"]
    ));
}

#[test]
fn recreate_takes_the_old_pods_down_first() {
    let mut lab = Lab::new();
    lab.apply(&deployment("web", 2, "", ""));
    lab.patch(
        "Deployment",
        "web",
        json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}),
    );
    lab.run(3.0);
    bump(&lab, "Deployment", "web");
    lab.run_with(4.0, |lab| {
        let images: std::collections::BTreeSet<String> = lab
            .list("Pod")
            .iter()
            .map(|pod| pod["spec"]["containers"][0]["image"].to_string())
            .collect();
        assert!(images.len() <= 1, "{images:?}");
    });
    let done = lab.get("Deployment", "web").unwrap();
    assert_eq!(done["status"]["updatedReplicas"], 2);
}

#[test]
fn history_is_kept_short() {
    let mut lab = Lab::new();
    lab.apply(&deployment("web", 1, "", ""));
    lab.patch(
        "Deployment",
        "web",
        json!({"spec": {"revisionHistoryLimit": 1}}),
    );
    for version in 2..6 {
        lab.run(4.0);
        let image = json!([{"name": "c", "image": format!("nginx:{version}")}]);
        lab.patch(
            "Deployment",
            "web",
            json!({"spec": {"template": {"spec": {"containers": image}}}}),
        );
    }
    lab.run(5.0);
    assert_eq!(lab.list("ReplicaSet").len(), 2);
}

#[test]
fn a_failing_deployment_misses_its_deadline_soon() {
    let mut lab = Lab::new();
    let fail = r#", annotations: {sandbox.tidegate.dev/fail: "no database"}"#;
    lab.apply(&deployment("web", 1, fail, ""));
    lab.run(20.0);
    assert_snapshot!(lab.transcript("Deployment", "web", &["conditions"]));
    let pod = &lab.list("Pod")[0];
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(status["lastState"]["terminated"]["message"], "no database");
}

#[test]
fn a_deployment_without_progress_times_out_after_its_deadline() {
    let mut lab = Lab::new();
    let stuck = r#", annotations: {sandbox.tidegate.dev/stuck: "true"}"#;
    lab.apply(&deployment("web", 1, stuck, ""));
    lab.run(595.0);
    let reason = |lab: &Lab| {
        lab.get("Deployment", "web").unwrap()["status"]["conditions"][1]["reason"].clone()
    };
    assert_eq!(reason(&lab), "ReplicaSetUpdated");
    lab.run(10.0);
    assert_eq!(reason(&lab), "ProgressDeadlineExceeded");
    assert_eq!(lab.list("Pod")[0]["status"]["phase"], "Pending");
}

#[test]
fn faults_of_pods_look_like_the_kubelets() {
    let mut lab = Lab::new();
    for (name, fault) in [
        ("loop", "crash-loop"),
        ("oom", "oom-killed"),
        ("pull", "image-pull-backoff"),
    ] {
        let extra = format!(r#", annotations: {{sandbox.tidegate.dev/{fault}: "true"}}"#);
        lab.apply(&deployment(name, 1, &extra, ""));
    }
    lab.apply(&deployment(
        "flaky",
        1,
        r#", annotations: {sandbox.tidegate.dev/fail-times: "2"}"#,
        "",
    ));
    lab.apply(&deployment("exits", 1, "", r#", command: ["false"]"#));
    lab.run(8.0);
    let mut lines = Vec::new();
    for pod in lab.list("Pod") {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let app = pod["metadata"]["labels"]["app"].as_str().unwrap();
        let history = lab.transcript("Pod", name, &["status.phase", "status.containerStatuses"]);
        let states: Vec<String> = history
            .lines()
            .filter_map(|line| {
                let list = line.split_once("containerStatuses=")?.1;
                let status: serde_json::Value = serde_json::from_str(list).ok()?;
                let status = &status[0];
                let phase = line.split_whitespace().next()?;
                let last = &status["lastState"]["terminated"];
                let waiting = &status["state"]["waiting"];
                let message = waiting["message"].as_str().unwrap_or("");
                let message = message.split(" restarting").next().unwrap_or("");
                Some(format!(
                    "{app}: {phase} restarts={} ready={} waiting={} {message} last={} {}",
                    status["restartCount"],
                    status["ready"],
                    waiting["reason"],
                    last["reason"],
                    last["exitCode"],
                ))
            })
            .collect();
        lines.extend(states);
    }
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_pod_waits_for_its_config_and_its_claims() {
    let mut lab = Lab::new();
    lab.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: needy}
spec:
  containers:
  - name: c
    image: busybox
    env: [{name: A, valueFrom: {secretKeyRef: {name: creds, key: user}}}]
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: data}}
  - {name: conf, configMap: {name: conf}}
"#,
    );
    lab.run(2.0);
    lab.apply("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}");
    lab.run(2.0);
    lab.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}");
    lab.run(2.0);
    lab.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: creds}\nstringData: {other: x}");
    lab.run(2.0);
    lab.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: creds}\nstringData: {user: x}");
    lab.run(2.0);
    let pod = lab.transcript("Pod", "needy", POD);
    let waits: Vec<String> = lab
        .transcript("Pod", "needy", &["status.containerStatuses"])
        .lines()
        .filter_map(|line| {
            line.split_once("\"message\":")
                .map(|(_, rest)| rest.split('}').next().unwrap().to_owned())
        })
        .collect();
    assert_snapshot!(format!("{pod}\n{}", waits.join("\n")));
    assert_eq!(
        lab.get("PersistentVolumeClaim", "data").unwrap()["status"]["capacity"]["storage"],
        "1Gi"
    );
}

#[test]
fn a_stateful_set_goes_one_by_one() {
    let mut lab = Lab::new();
    lab.apply(
        r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: "nginx:1"}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"#,
    );
    lab.run(4.0);
    bump(&lab, "StatefulSet", "db");
    lab.run(6.0);
    assert_snapshot!(lab.transcript("StatefulSet", "db", COUNTS));
    let claims: Vec<String> = lab
        .list("PersistentVolumeClaim")
        .iter()
        .map(|claim| claim["metadata"]["name"].to_string())
        .collect();
    assert_eq!(claims, ["\"data-db-0\"", "\"data-db-1\""]);
    // A partition keeps the lower ordinals as they are; OnDelete everything.
    let update = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
    lab.patch(
        "StatefulSet",
        "db",
        json!({"spec": {"updateStrategy": update}}),
    );
    let image = json!([{"name": "c", "image": "nginx:3"}]);
    lab.patch(
        "StatefulSet",
        "db",
        json!({"spec": {"template": {"spec": {"containers": image}}}}),
    );
    lab.run(6.0);
    let images: Vec<String> = lab
        .list("Pod")
        .iter()
        .map(|pod| pod["spec"]["containers"][0]["image"].to_string())
        .collect();
    assert_eq!(images, ["\"nginx:2\"", "\"nginx:3\""]);
    lab.patch("StatefulSet", "db", json!({"spec": {"replicas": 1}}));
    lab.run(3.0);
    assert_eq!(lab.list("Pod").len(), 1);
    assert_eq!(lab.list("PersistentVolumeClaim").len(), 2);
}

#[test]
fn a_daemon_set_covers_the_nodes() {
    let mut lab = Lab::new();
    lab.apply(
        r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: c, image: "nginx:1"}]}
"#,
    );
    lab.run(3.0);
    bump(&lab, "DaemonSet", "agent");
    lab.run(4.0);
    assert_snapshot!(lab.transcript(
        "DaemonSet",
        "agent",
        &[
            "metadata.generation",
            "status.observedGeneration",
            "status.desiredNumberScheduled",
            "status.currentNumberScheduled",
            "status.updatedNumberScheduled",
            "status.numberReady",
            "status.numberAvailable",
            "status.numberUnavailable",
        ]
    ));
}

#[test]
fn jobs_complete_and_fail() {
    let mut lab = Lab::new();
    let never = "restartPolicy: Never";
    lab.apply(&job("ok", "backoffLimit: 6", never, ""));
    lab.apply(&job(
        "bad",
        "backoffLimit: 1",
        never,
        r#", command: ["false"]"#,
    ));
    lab.apply(&job(
        "script",
        "backoffLimit: 0",
        never,
        r#", command: [sh, -c, "echo hi; exit 3"]"#,
    ));
    lab.apply(&job(
        "many",
        "{completions: 3, parallelism: 2, completionMode: Indexed}"
            .trim_matches(['{', '}'])
            .replace(", ", "\n  ")
            .as_str(),
        never,
        "",
    ));
    lab.apply(&job(
        "onfailure",
        "backoffLimit: 1",
        "restartPolicy: OnFailure",
        r#", command: ["false"]"#,
    ));
    lab.run(20.0);
    let all: Vec<String> = ["ok", "bad", "script", "many", "onfailure"]
        .iter()
        .map(|name| format!("# {name}\n{}", lab.transcript("Job", name, JOB)))
        .collect();
    assert_snapshot!(all.join("\n"));
    let pod = lab
        .list("Pod")
        .into_iter()
        .find(|pod| pod["metadata"]["labels"]["job"] == "script")
        .unwrap();
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"],
        3
    );
    assert!(
        lab.list("Pod")
            .iter()
            .all(|pod| pod["metadata"]["finalizers"].is_null()),
        "pods are let go"
    );
}

#[test]
fn jobs_with_faults_deadlines_and_times_to_live() {
    let mut lab = Lab::new();
    let never = "restartPolicy: Never";
    lab.apply(&job("flaky", "backoffLimit: 3", never, "").replace(
        "name: flaky}\nspec",
        "name: flaky, annotations: {sandbox.tidegate.dev/fail-times: \"2\"}}\nspec",
    ));
    lab.apply(&job("slow", "activeDeadlineSeconds: 3", never, "").replace(
        "name: slow}\nspec",
        "name: slow, annotations: {sandbox.tidegate.dev/delay: 1m}}\nspec",
    ));
    lab.apply(&job("brief", "ttlSecondsAfterFinished: 5", never, ""));
    lab.apply(&job("held", "suspend: true", never, ""));
    lab.run(4.0);
    lab.patch("Job", "held", json!({"spec": {"suspend": false}}));
    lab.run(16.0);
    let all: Vec<String> = ["flaky", "slow", "brief", "held"]
        .iter()
        .map(|name| format!("# {name}\n{}", lab.transcript("Job", name, JOB)))
        .collect();
    assert_snapshot!(all.join("\n"));
}

#[test]
fn a_cron_job_starts_on_time_and_keeps_three() {
    let mut lab = Lab::new();
    lab.apply(
        r#"
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "*/5 * * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}}
"#,
    );
    lab.run(299.0);
    assert!(lab.list("Job").is_empty());
    lab.run(20.0 * 60.0 + 5.0);
    assert_eq!(lab.list("Job").len(), 3);
    let cron = lab.get("CronJob", "tick").unwrap();
    assert_eq!(cron["status"]["lastScheduleTime"], "2026-03-01T12:25:00Z");
    assert!(cron["status"]["active"].is_null());
    lab.patch("CronJob", "tick", json!({"spec": {"suspend": true}}));
    lab.run(900.0);
    assert_eq!(
        lab.get("CronJob", "tick").unwrap()["status"]["lastScheduleTime"],
        "2026-03-01T12:25:00Z"
    );
}

#[test]
fn services_find_their_ready_pods() {
    let mut lab = Lab::new();
    lab.apply(&deployment(
        "web",
        2,
        "",
        ", ports: [{name: http, containerPort: 8080}]",
    ));
    lab.apply(
        r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {minReplicas: 3, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
"#,
    );
    lab.run(5.0);
    let service = lab.get("Service", "web").unwrap();
    assert!(service["status"]["loadBalancer"]["ingress"][0]["ip"].is_string());
    assert!(service["spec"]["clusterIP"].as_str().unwrap().contains('.'));
    assert!(
        lab.get("Ingress", "web").unwrap()["status"]["loadBalancer"]["ingress"][0]["ip"]
            .is_string()
    );
    let endpoints = lab.get("Endpoints", "web").unwrap();
    assert_eq!(
        endpoints["subsets"][0]["addresses"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], 8080);
    let slice = &lab.list("EndpointSlice")[0];
    assert!(
        slice["endpoints"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["conditions"]["ready"] == true)
    );
    let budget = lab.get("PodDisruptionBudget", "web").unwrap();
    assert_eq!(budget["status"]["disruptionsAllowed"], 2);
    assert_snapshot!(format!(
        "{}\n{}",
        lab.transcript(
            "PodDisruptionBudget",
            "web",
            &["status.currentHealthy", "conditions"]
        ),
        lab.transcript(
            "HorizontalPodAutoscaler",
            "web",
            &[
                "status.currentReplicas",
                "status.desiredReplicas",
                "conditions"
            ]
        ),
    ));
}

#[test]
fn a_deleted_pod_ends_and_is_replaced() {
    let mut lab = Lab::new();
    lab.apply(&deployment("web", 1, "", ""));
    lab.run(3.0);
    let first = lab.list("Pod")[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    lab.delete("Pod", &first);
    lab.run(3.0);
    let pods = lab.list("Pod");
    assert_eq!(pods.len(), 1);
    assert_ne!(pods[0]["metadata"]["name"], first.as_str());
    assert_eq!(pods[0]["status"]["phase"], "Running");
}
