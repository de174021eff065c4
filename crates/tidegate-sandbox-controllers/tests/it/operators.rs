//! Operators bring their kinds to Ready through the states of the real ones, wait for what they depend on, and fail as
//! asked.

use crate::lab::Lab;
use insta::assert_snapshot;
use serde_json::json;

const READY: &[&str] = &["status.observedGeneration", "conditions"];

fn strimzi() -> Lab {
    let lab = Lab::new();
    for kind in [
        "Kafka",
        "KafkaNodePool",
        "KafkaTopic",
        "KafkaUser",
        "KafkaConnect",
        "KafkaConnector",
    ] {
        lab.serve("kafka.strimzi.io", "v1", kind);
    }
    lab
}

const KAFKA: &str = r#"
apiVersion: kafka.strimzi.io/v1
kind: Kafka
metadata: {name: events}
spec:
  kafka:
    version: 4.1.0
    listeners: [{name: plain, port: 9092, type: internal, tls: false}]
    config: {default.replication.factor: 1, min.insync.replicas: 1}
  entityOperator: {topicOperator: {}, userOperator: {}}
"#;
const POOL: &str = r#"
apiVersion: kafka.strimzi.io/v1
kind: KafkaNodePool
metadata: {name: dual, labels: {strimzi.io/cluster: events}}
spec: {replicas: 1, roles: [controller, broker], storage: {type: ephemeral}}
"#;

fn topic(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata: {{name: {name}, labels: {{strimzi.io/cluster: events}}}}\nspec: {{{spec}}}\n"
    )
}

#[test]
fn kafka_waits_for_its_pool_and_topics_for_their_kafka() {
    let mut lab = strimzi();
    lab.apply(KAFKA)
        .apply(&topic("orders", "partitions: 3, replicas: 1"));
    lab.run(3.0);
    assert!(
        lab.get("KafkaTopic", "orders").unwrap()["status"].is_null(),
        "no operator, no status"
    );
    lab.apply(POOL);
    lab.run(4.0);
    lab.patch(
        "Kafka",
        "events",
        json!({"spec": {"kafka": {"config": {"auto.create.topics.enable": "false"}}}}),
    );
    lab.run(4.0);
    let kafka = lab.get("Kafka", "events").unwrap();
    assert_eq!(
        kafka["status"]["listeners"][0]["bootstrapServers"],
        "events-kafka-bootstrap.default.svc:9092"
    );
    let pool = lab.get("KafkaNodePool", "dual").unwrap();
    assert_eq!(pool["status"]["nodeIds"], json!([0]));
    assert_eq!(pool["status"]["clusterId"], kafka["status"]["clusterId"]);
    let topic = lab.get("KafkaTopic", "orders").unwrap();
    assert_eq!(topic["status"]["topicName"], "orders");
    assert_eq!(topic["status"]["topicId"].as_str().unwrap().len(), 22);
    assert_eq!(
        topic["metadata"]["finalizers"],
        json!(["strimzi.io/topic-operator"])
    );
    assert!(lab.get("Secret", "events-cluster-ca-cert").is_some());
    assert_snapshot!(format!(
        "{}\n{}",
        lab.transcript(
            "Kafka",
            "events",
            &[
                "metadata.generation",
                "status.observedGeneration",
                "status.kafkaVersion",
                "conditions"
            ]
        ),
        lab.transcript("KafkaTopic", "orders", READY)
    ));
    lab.delete("KafkaTopic", "orders");
    lab.run(2.0);
    assert!(lab.get("KafkaTopic", "orders").is_none());
}

#[test]
fn topics_are_refused_in_the_operators_words() {
    let mut lab = strimzi();
    lab.apply(KAFKA).apply(POOL);
    lab.run(4.0);
    lab.apply(&topic("wide", "partitions: 1, replicas: 3"));
    lab.apply(&topic("shrinks", "partitions: 3"));
    lab.apply(&topic("renamed", "partitions: 1, topicName: first"));
    lab.apply(&topic("spread", "partitions: 2, replicas: 1"));
    lab.run(2.0);
    lab.apply(&topic("rival", "topicName: spread"));
    lab.patch("KafkaTopic", "shrinks", json!({"spec": {"partitions": 1}}));
    lab.patch(
        "KafkaTopic",
        "renamed",
        json!({"spec": {"topicName": "second"}}),
    );
    lab.patch("KafkaTopic", "spread", json!({"spec": {"replicas": 2}}));
    let pause = json!({"metadata": {"annotations": {"strimzi.io/managed": "false"}}});
    lab.run(2.0);
    let all = ["wide", "shrinks", "renamed", "spread", "rival"];
    let mut lines: Vec<String> = all
        .iter()
        .map(|name| format!("# {name}\n{}", lab.transcript("KafkaTopic", name, READY)))
        .collect();
    lab.patch("KafkaTopic", "spread", pause);
    lab.run(2.0);
    lines.push(
        lab.transcript("KafkaTopic", "spread", &["conditions"])
            .lines()
            .last()
            .unwrap()
            .to_owned(),
    );
    assert_snapshot!(lines.join("\n"));
    lab.check_rest();
}

#[test]
fn a_kafka_that_cannot_be_says_why() {
    let mut lab = strimzi();
    lab.apply(&KAFKA.replace(
        "default.replication.factor: 1",
        "default.replication.factor: 3",
    ));
    lab.apply(&POOL.replace("[controller, broker]", "[broker]"));
    lab.run(3.0);
    lab.patch(
        "KafkaNodePool",
        "dual",
        json!({"spec": {"roles": ["controller", "broker"]}}),
    );
    lab.run(3.0);
    lab.patch("KafkaNodePool", "dual", json!({"spec": {"replicas": 3}}));
    lab.run(4.0);
    let paused = json!({"metadata": {"annotations": {"strimzi.io/pause-reconciliation": "true"}}, "spec": {"kafka": {"version": "4.1.1"}}});
    lab.patch("Kafka", "events", paused);
    lab.run(4.0);
    assert_snapshot!(lab.transcript(
        "Kafka",
        "events",
        &[
            "metadata.generation",
            "status.observedGeneration",
            "conditions"
        ]
    ));
}

#[test]
fn users_and_connectors() {
    let mut lab = strimzi();
    lab.apply(
        r#"
apiVersion: kafka.strimzi.io/v1
kind: KafkaUser
metadata: {name: app, labels: {strimzi.io/cluster: events}}
spec: {authentication: {type: scram-sha-512}}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnect
metadata: {name: sinks, annotations: {strimzi.io/use-connector-resources: "true"}}
spec: {replicas: 1, bootstrapServers: "events-kafka-bootstrap:9092"}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnector
metadata: {name: files, labels: {strimzi.io/cluster: sinks}}
spec: {class: org.example.FileStreamSinkConnector, tasksMax: 2, config: {topics: "orders, audit"}}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnector
metadata: {name: lost, labels: {strimzi.io/cluster: nowhere}}
spec: {class: x}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnector
metadata: {name: broken, labels: {strimzi.io/cluster: sinks}, annotations: {sandbox.tidegate.dev/fail: "bad password"}}
spec: {class: x}
"#,
    );
    lab.run(2.0);
    assert!(
        lab.get("KafkaConnect", "sinks").unwrap()["status"]["conditions"].is_null()
            || lab.get("Kafka", "events").is_none()
    );
    lab.apply(KAFKA).apply(POOL);
    lab.run(12.0);
    let connector = lab.get("KafkaConnector", "files").unwrap();
    assert_eq!(
        connector["status"]["connectorStatus"]["connector"]["state"],
        "RUNNING"
    );
    assert_eq!(connector["status"]["topics"], json!(["orders", "audit"]));
    assert_eq!(
        connector["status"]["connectorStatus"]["tasks"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let user = lab.get("KafkaUser", "app").unwrap();
    assert_eq!(user["status"]["secret"], "app");
    assert!(lab.get("Secret", "app").unwrap()["data"]["password"].is_string());
    lab.patch(
        "KafkaConnector",
        "files",
        json!({"spec": {"state": "paused"}}),
    );
    lab.run(3.0);
    let connector = lab.get("KafkaConnector", "files").unwrap();
    assert_eq!(
        connector["status"]["connectorStatus"]["tasks"][1]["state"],
        "PAUSED"
    );
    let lines = ["files", "lost", "broken"].map(|name| {
        format!(
            "# {name}\n{}",
            lab.transcript("KafkaConnector", name, READY)
        )
    });
    assert_snapshot!(lines.join("\n"));
    lab.check_rest_and_restart();
}

const FLINK: &str = r#"
apiVersion: flink.apache.org/v1beta1
kind: FlinkDeployment
metadata: {name: enrich}
spec:
  image: flink:1.20
  flinkVersion: v1_20
  flinkConfiguration: {taskmanager.numberOfTaskSlots: "2"}
  serviceAccount: flink
  jobManager: {resource: {memory: 1024m, cpu: 1}}
  taskManager: {resource: {memory: 1024m, cpu: 1}}
  job: {jarURI: "local:///opt/job.jar", parallelism: 4, upgradeMode: stateless, state: running}
"#;
const FLINK_STATES: &[&str] = &[
    "status.observedGeneration",
    "status.lifecycleState",
    "status.jobManagerDeploymentStatus",
    "status.jobStatus.state",
    "status.reconciliationStatus.state",
    "status.error",
];

fn flink() -> Lab {
    let lab = Lab::new();
    for kind in ["FlinkDeployment", "FlinkSessionJob", "FlinkStateSnapshot"] {
        lab.serve("flink.apache.org", "v1beta1", kind);
    }
    lab
}

#[test]
fn a_flink_job_deploys_upgrades_and_suspends() {
    let mut lab = flink();
    lab.apply(FLINK);
    lab.run(4.0);
    assert_eq!(
        lab.get("FlinkDeployment", "enrich").unwrap()["status"]["taskManager"]["replicas"],
        2
    );
    lab.patch(
        "FlinkDeployment",
        "enrich",
        json!({"spec": {"image": "flink:1.20.1"}}),
    );
    lab.run(5.0);
    lab.patch(
        "FlinkDeployment",
        "enrich",
        json!({"spec": {"job": {"state": "suspended"}}}),
    );
    lab.run(3.0);
    lab.patch(
        "FlinkDeployment",
        "enrich",
        json!({"spec": {"job": {"state": "running"}}}),
    );
    lab.run(4.0);
    // Of these the operator takes note without touching the job.
    lab.patch(
        "FlinkDeployment",
        "enrich",
        json!({"spec": {"job": {"upgradeMode": "last-state"}}}),
    );
    lab.run(2.0);
    assert_snapshot!(lab.transcript("FlinkDeployment", "enrich", FLINK_STATES));
    lab.delete("FlinkDeployment", "enrich");
    lab.run(2.0);
    assert!(lab.get("FlinkDeployment", "enrich").is_none());
}

#[test]
fn flink_jobs_fail_restart_and_finish() {
    let mut lab = flink();
    let named = |name: &str, annotation: &str| {
        FLINK.replace(
            "metadata: {name: enrich}",
            &format!("metadata: {{name: {name}, annotations: {{{annotation}}}}}"),
        )
    };
    lab.apply(&named(
        "fails",
        r#"sandbox.tidegate.dev/fail: "no checkpoint""#,
    ));
    lab.apply(&named("flaky", r#"sandbox.tidegate.dev/fail-times: "1""#));
    lab.apply(&named("batch", "a: b").replace(
        "taskmanager.numberOfTaskSlots: \"2\"",
        "execution.runtime-mode: BATCH",
    ));
    lab.apply(
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkSessionJob\nmetadata: {name: query}\nspec: {deploymentName: session, job: {jarURI: x, parallelism: 1, state: running}}",
    );
    lab.run(2.0);
    lab.apply(
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: session}\nspec: {flinkVersion: v1_20, image: flink}",
    );
    lab.run(6.0);
    let mut lines: Vec<String> = ["fails", "flaky", "batch", "session"]
        .iter()
        .map(|name| {
            format!(
                "# {name}\n{}",
                lab.transcript("FlinkDeployment", name, FLINK_STATES)
            )
        })
        .collect();
    lines.push(format!(
        "# query\n{}",
        lab.transcript("FlinkSessionJob", "query", FLINK_STATES)
    ));
    assert_snapshot!(lines.join("\n"));
    lab.check_rest_and_restart();
}

#[test]
fn spark_applications_run_to_their_end() {
    let mut lab = Lab::new();
    lab.serve("sparkoperator.k8s.io", "v1beta2", "SparkApplication");
    lab.serve(
        "sparkoperator.k8s.io",
        "v1beta2",
        "ScheduledSparkApplication",
    );
    let application = |name: &str, annotation: &str, policy: &str| {
        format!(
            "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nmetadata: {{name: {name}, annotations: {{{annotation}}}}}\nspec: {{type: Python, mainApplicationFile: \"local:///job.py\", restartPolicy: {{{policy}}}, executor: {{instances: 2}}}}"
        )
    };
    lab.apply(&application("daily", "a: b", "type: Never"));
    lab.apply(&application(
        "fails",
        "sandbox.tidegate.dev/fail: boom",
        "type: Never",
    ));
    lab.apply(&application(
        "flaky",
        "sandbox.tidegate.dev/fail-times: \"1\"",
        "type: OnFailure, onFailureRetries: 2",
    ));
    lab.apply(&application("stream", "a: b", "type: Always"));
    lab.run(8.0);
    assert_eq!(
        lab.get("SparkApplication", "daily").unwrap()["status"]["executorState"]
            .as_object()
            .unwrap()
            .len(),
        2
    );
    lab.patch(
        "SparkApplication",
        "daily",
        json!({"spec": {"executor": {"instances": 3}}}),
    );
    lab.patch(
        "SparkApplication",
        "stream",
        json!({"spec": {"suspend": true}}),
    );
    lab.run(6.0);
    lab.patch(
        "SparkApplication",
        "stream",
        json!({"spec": {"suspend": false}}),
    );
    lab.run(6.0);
    let lines = ["daily", "fails", "flaky", "stream"].map(|name| {
        let states = lab.transcript("SparkApplication", name, &["status.applicationState"]);
        format!("# {name}\n{states}")
    });
    assert_snapshot!(lines.join("\n"));
    lab.apply(
        "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: ScheduledSparkApplication\nmetadata: {name: hourly}\nspec: {schedule: \"0 * * * *\", template: {type: Python, mainApplicationFile: x, restartPolicy: {type: Never}}}",
    );
    lab.run(3.0 * 3600.0);
    let scheduled = lab.get("ScheduledSparkApplication", "hourly").unwrap();
    assert_eq!(scheduled["status"]["scheduleState"], "Scheduled");
    assert_eq!(
        scheduled["status"]["pastSuccessfulRunNames"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn knative_services_with_and_without_children() {
    let service = |name: &str, annotation: &str| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {{name: {name}, annotations: {{{annotation}}}}}\nspec: {{template: {{spec: {{containers: [{{image: a}}]}}}}}}"
        )
    };
    let mut lines = Vec::new();
    for children in [false, true] {
        let mut lab = Lab::new();
        lab.serve("serving.knative.dev", "v1", "Service");
        if children {
            for kind in ["Configuration", "Revision", "Route"] {
                lab.serve("serving.knative.dev", "v1", kind);
            }
        }
        lab.apply(&service("good", "a: b"))
            .apply(&service("bad", "sandbox.tidegate.dev/fail: \"no image\""));
        lab.run(4.0);
        let image = json!([{"image": "b"}]);
        lab.patch(
            "serving.knative.dev/Service",
            "good",
            json!({"spec": {"template": {"spec": {"containers": image}}}}),
        );
        lab.run(4.0);
        let good = lab.get("serving.knative.dev/Service", "good").unwrap();
        assert_eq!(good["status"]["latestReadyRevisionName"], "good-00002");
        assert_eq!(good["status"]["traffic"][0]["revisionName"], "good-00002");
        assert_eq!(good["status"]["url"], "http://good.default.example.com");
        let shown = &[
            "status.observedGeneration",
            "status.latestReadyRevisionName",
            "conditions",
        ];
        for name in ["good", "bad"] {
            let states = lab.transcript("serving.knative.dev/Service", name, shown);
            lines.push(format!("# {name}, children: {children}\n{states}"));
        }
        lab.check_rest_and_restart();
    }
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn tekton_runs_its_graph() {
    let mut lab = Lab::new();
    for kind in ["Task", "TaskRun", "Pipeline", "PipelineRun"] {
        lab.serve("tekton.dev", "v1", kind);
    }
    lab.apply(
        r#"
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: step}
spec: {steps: [{name: run, image: a}]}
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: etl}
spec:
  tasks:
  - {name: extract, taskRef: {name: step}}
  - {name: load, taskRef: {name: step}, runAfter: [extract]}
  finally: [{name: tidy, taskRef: {name: step}}]
---
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: good}
spec: {pipelineRef: {name: etl}}
---
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: bad, annotations: {sandbox.tidegate.dev/fail: boom}}
spec: {pipelineRef: {name: etl}}
---
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: lost}
spec: {pipelineRef: {name: none}}
"#,
    );
    lab.run(10.0);
    let mut lines = Vec::new();
    for name in ["good", "bad", "lost"] {
        lines.push(format!(
            "# {name}\n{}",
            lab.transcript("PipelineRun", name, &["conditions"])
        ));
    }
    lines.push(format!(
        "# good-extract\n{}",
        lab.transcript("TaskRun", "good-extract", &["conditions"])
    ));
    assert_snapshot!(lines.join("\n"));
    lab.check_rest_and_restart();
}

#[test]
fn secrets_come_from_their_stores_and_issuers() {
    let mut lab = Lab::new();
    for (group, version, kind) in [
        ("external-secrets.io", "v1", "SecretStore"),
        ("external-secrets.io", "v1", "ExternalSecret"),
        ("bitnami.com", "v1alpha1", "SealedSecret"),
        ("cert-manager.io", "v1", "Issuer"),
        ("cert-manager.io", "v1", "Certificate"),
    ] {
        lab.serve(group, version, kind);
    }
    lab.apply(
        r#"
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db}
spec: {secretStoreRef: {name: vault}, target: {name: db-creds}, data: [{secretKey: password, remoteRef: {key: db}}]}
---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: sealed}
spec: {encryptedData: {token: AgB}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web}
spec: {secretName: web-tls, issuerRef: {name: ca}}
"#,
    );
    lab.run(2.0);
    lab.apply("apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: vault}\nspec: {provider: {vault: {}}}");
    lab.apply("apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {name: ca}\nspec: {selfSigned: {}}");
    lab.run(4.0);
    assert!(lab.get("Secret", "db-creds").unwrap()["data"]["password"].is_string());
    assert!(lab.get("Secret", "sealed").unwrap()["data"]["token"].is_string());
    assert_eq!(
        lab.get("Secret", "web-tls").unwrap()["type"],
        "kubernetes.io/tls"
    );
    let lines = [
        ("ExternalSecret", "db"),
        ("SealedSecret", "sealed"),
        ("Certificate", "web"),
        ("SecretStore", "vault"),
        ("Issuer", "ca"),
    ]
    .map(|(kind, name)| format!("# {kind}\n{}", lab.transcript(kind, name, &["conditions"])));
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_rollout_walks_its_canary_steps() {
    let mut lab = Lab::new();
    lab.serve("argoproj.io", "v1alpha1", "Rollout");
    lab.apply(
        r#"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  strategy: {canary: {steps: [{setWeight: 25}, {pause: {duration: 10s}}, {setWeight: 50}, {pause: {}}]}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "a:1"}]}
"#,
    );
    lab.run(4.0);
    let image = json!([{"name": "c", "image": "a:2"}]);
    lab.patch(
        "Rollout",
        "web",
        json!({"spec": {"template": {"spec": {"containers": image}}}}),
    );
    lab.run(60.0);
    let paused = lab.get("Rollout", "web").unwrap();
    assert_eq!(paused["status"]["phase"], "Paused");
    assert_eq!(paused["status"]["currentStepIndex"], 3);
    // A person promotes: the pause condition goes.
    let resource = lab.name("Rollout");
    let promote = json!({"status": {"pauseConditions": null}});
    lab.objects
        .merge_patch(
            &resource,
            "default",
            "web",
            Some("status"),
            &promote,
            "person",
        )
        .unwrap();
    lab.run(6.0);
    assert_snapshot!(lab.transcript(
        "Rollout",
        "web",
        &[
            "status.phase",
            "status.message",
            "status.currentStepIndex",
            "status.updatedReplicas",
            "status.availableReplicas"
        ]
    ));
    assert_eq!(
        lab.get("Rollout", "web").unwrap()["status"]["phase"],
        "Healthy"
    );
    lab.check_rest_and_restart();
}

#[test]
fn simple_kinds_settle_and_unknown_ones_are_left_alone() {
    let mut lab = Lab::new();
    lab.serve("keda.sh", "v1alpha1", "ScaledObject");
    lab.serve("s3.aws.crossplane.io", "v1", "Bucket");
    lab.serve("example.com", "v1", "Widget");
    lab.apply(
        r#"
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: web}
spec: {scaleTargetRef: {name: web}, triggers: []}
---
apiVersion: s3.aws.crossplane.io/v1
kind: Bucket
metadata: {name: raw}
spec: {forProvider: {}}
---
apiVersion: s3.aws.crossplane.io/v1
kind: Bucket
metadata: {name: denied, annotations: {sandbox.tidegate.dev/fail: "access denied"}}
spec: {forProvider: {}}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {size: 1}
"#,
    );
    lab.run(3.0);
    let lines = [
        ("ScaledObject", "web"),
        ("Bucket", "raw"),
        ("Bucket", "denied"),
    ]
    .map(|(kind, name)| format!("# {name}\n{}", lab.transcript(kind, name, &["conditions"])));
    assert_snapshot!(lines.join("\n"));
    let widget = lab.objects.serves("example.com", "Widget").unwrap();
    assert!(lab.objects.get(&widget, "default", "w").unwrap()["status"].is_null());
    lab.check_rest_and_restart();
}

#[test]
fn delay_stretches_and_stuck_stops() {
    let mut lab = strimzi();
    let annotated = |annotation: &str| {
        KAFKA.replace(
            "{name: events}",
            &format!("{{name: events, annotations: {{{annotation}}}}}"),
        )
    };
    lab.apply(&annotated("sandbox.tidegate.dev/delay: 2m"))
        .apply(POOL);
    lab.run(110.0);
    let status =
        |lab: &Lab| lab.get("Kafka", "events").unwrap()["status"]["conditions"][0]["type"].clone();
    assert_eq!(status(&lab), "NotReady");
    lab.run(20.0);
    assert_eq!(status(&lab), "Ready");
    let mut lab = strimzi();
    lab.apply(&annotated("sandbox.tidegate.dev/stuck: \"true\""))
        .apply(POOL);
    lab.run(10_000.0);
    assert_eq!(status(&lab), "NotReady");
    let mut lab = strimzi();
    lab.apply(&annotated("sandbox.tidegate.dev/fail-times: \"1\""))
        .apply(POOL);
    lab.run(10.0);
    let lines = lab.transcript("Kafka", "events", &["conditions"]);
    assert_eq!(
        lines
            .lines()
            .map(|line| line.split(':').next().unwrap())
            .collect::<Vec<_>>(),
        [
            "[NotReady=True(Creating",
            "[NotReady=True(TimeoutException",
            "[Ready=True]"
        ]
    );
}

#[test]
fn a_topic_that_goes_with_its_kafka_is_let_go() {
    let mut lab = strimzi();
    lab.apply(KAFKA)
        .apply(POOL)
        .apply(&topic("orders", "partitions: 1"));
    lab.run(5.0);
    lab.delete("Kafka", "events");
    lab.delete("KafkaTopic", "orders");
    lab.run(1.0);
    assert!(lab.get("KafkaTopic", "orders").is_none());
    // One that is deleted long after its operator waits for ever, as in a real cluster.
    lab.apply(KAFKA).apply(&topic("late", "partitions: 1"));
    lab.run(5.0);
    lab.delete("Kafka", "events");
    lab.run(60.0);
    lab.delete("KafkaTopic", "late");
    lab.run(60.0);
    assert!(lab.get("KafkaTopic", "late").is_some());
}
