//! Which fields of which kinds become edges.

use serde_json::{Value, json};
use tidegate_graph::Strength;

use crate::fixture::{World, edges};

const NONE: Value = Value::Null;

/// `others` are objects without a body; the edges of `words` to them are what is expected, in any order.
fn check(words: &str, body: Value, others: &[&str], expected: &[&str]) {
    let graph = others
        .iter()
        .fold(World::new().apply(words, body), |world, other| {
            world.apply(other, NONE)
        })
        .graph();
    let mut expected: Vec<String> = expected.iter().map(|edge| (*edge).to_owned()).collect();
    expected.sort();
    assert_eq!(edges(&graph), expected, "{words}");
    assert_eq!(graph.diagnostics(), [], "{words}");
}

/// Puts a pod spec into a body.
type Wrap = fn(Value) -> Value;

fn pod_spec() -> Value {
    json!({
        "serviceAccountName": "runner",
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}],
        "initContainers": [{"name": "i", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "k"}}}]}],
        "containers": [{
            "name": "c",
            "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "tokens"}}],
            "env": [{"name": "B", "valueFrom": {"configMapKeyRef": {"name": "flags", "key": "k", "optional": true}}}]
        }],
        "volumes": [
            {"name": "v1", "secret": {"secretName": "tls"}},
            {"name": "v2", "configMap": {"name": "files"}},
            {"name": "v3", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "v4", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "parts"}}]}},
            {"name": "v5", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "csi"}}}
        ]
    })
}

const POD_OBJECTS: [&str; 13] = [
    "v1 ServiceAccount a/runner",
    "scheduling.k8s.io/v1 PriorityClass high",
    "v1 Secret a/registry",
    "v1 Secret a/db",
    "v1 ConfigMap a/settings",
    "v1 Secret a/tokens",
    "v1 ConfigMap a/flags",
    "v1 Secret a/tls",
    "v1 ConfigMap a/files",
    "v1 PersistentVolumeClaim a/data",
    "v1 Secret a/projected",
    "v1 ConfigMap a/parts",
    "v1 Secret a/csi",
];

#[test]
fn a_pod_spec_is_read_wherever_it_stands() {
    let places: [(&str, Wrap); 6] = [
        ("v1 Pod a/x", |spec| json!({"spec": spec})),
        (
            "apps/v1 Deployment a/x",
            |spec| json!({"spec": {"template": {"spec": spec}}}),
        ),
        (
            "batch/v1 CronJob a/x",
            |spec| json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}),
        ),
        (
            "flink.apache.org/v1beta1 FlinkDeployment a/x",
            |spec| json!({"spec": {"taskManager": {"podTemplate": {"spec": spec}}}}),
        ),
        (
            "serving.knative.dev/v1 Service a/x",
            |spec| json!({"spec": {"template": {"spec": spec}}}),
        ),
        (
            "example.com/v1 Anything a/x",
            |spec| json!({"spec": {"workers": [{"pod": {"template": {"spec": spec}}}]}}),
        ),
    ];
    for (words, wrap) in places {
        let kind = words.split(' ').nth(1).expect("a kind");
        let expected: Vec<String> = POD_OBJECTS
            .iter()
            .map(|other| {
                let mut parts = other.split(' ').skip(1);
                let (to, name) = (parts.next().expect("a kind"), parts.next().expect("a name"));
                let relation = match (to, name) {
                    ("ServiceAccount", _) => "serviceAccount",
                    ("PriorityClass", _) => "class",
                    (_, "a/registry") => "imagePullSecret",
                    ("Secret", _) => "secret",
                    ("ConfigMap", _) => "configMap",
                    _ => "volumeClaim",
                };
                format!("{kind} a/x -> {to} {name}: {relation}")
            })
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(words, wrap(pod_spec()), &POD_OBJECTS, &expected);
    }
}

#[test]
fn optional_references_are_soft() {
    let graph = World::new()
        .apply("v1 Pod a/x", json!({"spec": pod_spec()}))
        .apply("v1 ConfigMap a/flags", NONE)
        .apply("v1 ConfigMap a/files", NONE)
        .graph();
    let strengths: Vec<Strength> = graph
        .edges()
        .iter()
        .map(|edge| edge.reason.strength)
        .collect();
    assert_eq!(strengths, [Strength::Firm, Strength::Soft]);
}

#[test]
fn references_stay_in_their_namespace() {
    check(
        "v1 Pod a/x",
        json!({"spec": pod_spec()}),
        &["v1 ConfigMap b/settings", "v1 Secret c/tls"],
        &[],
    );
    check(
        "external-secrets.io/v1 SecretStore a/s",
        json!({"spec": {"provider": {"vault": {"auth": {"tokenSecretRef": {"name": "t", "namespace": "b"}}}}}}),
        &["v1 Secret a/t", "v1 Secret b/t"],
        &["SecretStore a/s -> Secret b/t: secret"],
    );
}

#[test]
fn namespaces_and_definitions_come_first() {
    let graph = World::new()
        .apply("v1 Namespace a", NONE)
        .apply(
            "apiextensions.k8s.io/v1 CustomResourceDefinition widgets.example.com",
            json!({"spec": {"group": "example.com", "names": {"kind": "Widget"}}}),
        )
        .apply("example.com/v1 Widget a/w", NONE)
        .apply("other.com/v1 Widget a/w", NONE)
        .graph();
    assert_eq!(
        edges(&graph),
        [
            "Widget a/w -> CustomResourceDefinition widgets.example.com: definesKind",
            "Widget a/w -> Namespace a: namespace",
            "Widget a/w -> Namespace a: namespace",
        ]
    );
}

#[test]
fn rights_storage_and_traffic_are_read() {
    check(
        "rbac.authorization.k8s.io/v1 RoleBinding a/b",
        json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
               "subjects": [{"kind": "ServiceAccount", "name": "s", "namespace": "other"}, {"kind": "User", "name": "u"}]}),
        &[
            "rbac.authorization.k8s.io/v1 Role a/r",
            "v1 ServiceAccount other/s",
            "v1 ServiceAccount a/s",
        ],
        &[
            "RoleBinding a/b -> Role a/r: role",
            "RoleBinding a/b -> ServiceAccount other/s: subject",
        ],
    );
    check(
        "rbac.authorization.k8s.io/v1 ClusterRoleBinding b",
        json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}}),
        &[
            "rbac.authorization.k8s.io/v1 ClusterRole r",
            "rbac.authorization.k8s.io/v1 Role a/r",
        ],
        &["ClusterRoleBinding b -> ClusterRole r: role"],
    );
    check(
        "v1 PersistentVolumeClaim a/c",
        json!({"spec": {"storageClassName": "fast", "volumeName": "disk"}}),
        &[
            "storage.k8s.io/v1 StorageClass fast",
            "v1 PersistentVolume disk",
        ],
        &[
            "PersistentVolumeClaim a/c -> PersistentVolume disk: volume",
            "PersistentVolumeClaim a/c -> StorageClass fast: storageClass",
        ],
    );
    check(
        "v1 PersistentVolume disk",
        json!({"spec": {"claimRef": {"kind": "PersistentVolumeClaim", "name": "c", "namespace": "a"}}}),
        &["v1 PersistentVolumeClaim a/c"],
        &[],
    );
    check(
        "networking.k8s.io/v1 Ingress a/i",
        json!({"metadata": {"annotations": {"cert-manager.io/cluster-issuer": "ca"}},
               "spec": {"ingressClassName": "nginx", "tls": [{"secretName": "tls"}],
                        "rules": [{"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}),
        &[
            "v1 Service a/web",
            "networking.k8s.io/v1 IngressClass nginx",
            "v1 Secret a/tls",
            "cert-manager.io/v1 ClusterIssuer ca",
        ],
        &[
            "Ingress a/i -> ClusterIssuer ca: issuer",
            "Ingress a/i -> IngressClass nginx: class",
            "Ingress a/i -> Secret a/tls: secret",
            "Ingress a/i -> Service a/web: service",
        ],
    );
    check(
        "autoscaling/v2 HorizontalPodAutoscaler a/h",
        json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}}}),
        &["apps/v1 StatefulSet a/db", "apps/v1 Deployment a/db"],
        &["HorizontalPodAutoscaler a/h -> StatefulSet a/db: scaleTarget"],
    );
    check(
        "apps/v1 StatefulSet a/db",
        json!({"spec": {"serviceName": "db", "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"storageClassName": "fast"}}]}}),
        &["v1 Service a/db", "storage.k8s.io/v1 StorageClass fast"],
        &[
            "StatefulSet a/db -> Service a/db: service",
            "StatefulSet a/db -> StorageClass fast: storageClass",
        ],
    );
    check(
        "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration w",
        json!({"webhooks": [{"clientConfig": {"service": {"name": "hook", "namespace": "a"}}}]}),
        &["v1 Service a/hook"],
        &["ValidatingWebhookConfiguration w -> Service a/hook: webhook"],
    );
    check(
        "policy/v1 PodDisruptionBudget a/p",
        json!({"spec": {"selector": {"matchLabels": {"app": "web"}}}}),
        &["apps/v1 Deployment a/web"],
        &[],
    );
}

fn cluster(name: &str) -> Value {
    json!({"metadata": {"labels": {"strimzi.io/cluster": name}}})
}

#[test]
fn strimzi_labels_name_clusters() {
    for kind in ["KafkaTopic", "KafkaUser", "KafkaRebalance"] {
        check(
            &format!("kafka.strimzi.io/v1 {kind} apps/x"),
            cluster("events"),
            &["kafka.strimzi.io/v1 Kafka kafka/events"],
            &[&format!("{kind} apps/x -> Kafka kafka/events: cluster")],
        );
    }
    check(
        "kafka.strimzi.io/v1 KafkaConnector a/c",
        cluster("connect"),
        &[
            "kafka.strimzi.io/v1 KafkaConnect a/connect",
            "kafka.strimzi.io/v1 Kafka a/connect",
        ],
        &["KafkaConnector a/c -> KafkaConnect a/connect: cluster"],
    );
    check(
        "kafka.strimzi.io/v1 KafkaNodePool a/p",
        cluster("events"),
        &["kafka.strimzi.io/v1 Kafka a/events"],
        &["Kafka a/events -> KafkaNodePool a/p: nodePool"],
    );
    check(
        "kafka.strimzi.io/v1 KafkaConnect a/connect",
        json!({"spec": {"bootstrapServers": "events-kafka-bootstrap.kafka.svc:9093",
                        "tls": {"trustedCertificates": [{"secretName": "events-cluster-ca-cert", "certificate": "ca.crt"}]}}}),
        &[
            "kafka.strimzi.io/v1 Kafka kafka/events",
            "kafka.strimzi.io/v1 Kafka a/other",
        ],
        &["KafkaConnect a/connect -> Kafka kafka/events: bootstrap"],
    );
    check(
        "kafka.strimzi.io/v1 KafkaMirrorMaker2 a/m",
        json!({"spec": {"target": {"bootstrapServers": "b-kafka-bootstrap:9092"}, "mirrors": [{"source": {"bootstrapServers": "a-kafka-bootstrap:9092"}}]}}),
        &[
            "kafka.strimzi.io/v1 Kafka a/a",
            "kafka.strimzi.io/v1 Kafka a/b",
        ],
        &[
            "KafkaMirrorMaker2 a/m -> Kafka a/a: bootstrap",
            "KafkaMirrorMaker2 a/m -> Kafka a/b: bootstrap",
        ],
    );
    // Two clusters of one name elsewhere: the label says too little.
    check(
        "kafka.strimzi.io/v1 KafkaTopic apps/x",
        cluster("e"),
        &[
            "kafka.strimzi.io/v1 Kafka k1/e",
            "kafka.strimzi.io/v1 Kafka k2/e",
        ],
        &[],
    );
}

#[test]
fn topics_are_found_by_name() {
    let uses = [
        json!({"spec": {"containers": [{"name": "c", "env": [{"name": "TOPIC", "value": "orders.v1"}]}]}}),
        json!({"spec": {"containers": [{"name": "c", "args": ["--topic", "orders.v1"]}]}}),
        json!({"spec": {"containers": [{"name": "c", "args": ["--topics=payments,orders.v1"]}]}}),
    ];
    for body in uses {
        let graph = World::new()
            .apply("v1 Pod a/x", body.clone())
            .apply(
                "kafka.strimzi.io/v1 KafkaTopic k/orders",
                json!({"spec": {"topicName": "orders.v1"}}),
            )
            .apply("kafka.strimzi.io/v1 KafkaTopic k/order", NONE)
            .graph();
        assert_eq!(
            edges(&graph),
            ["Pod a/x -> KafkaTopic k/orders: topic"],
            "{body}"
        );
    }
    let kinds = [
        (
            "flink.apache.org/v1beta1 FlinkDeployment a/x",
            json!({"spec": {"job": {"args": ["--in", "orders"]}}}),
        ),
        (
            "flink.apache.org/v1beta1 FlinkDeployment a/x",
            json!({"spec": {"flinkConfiguration": {"user.in": "orders"}}}),
        ),
        (
            "sparkoperator.k8s.io/v1beta2 SparkApplication a/x",
            json!({"spec": {"arguments": ["orders"]}}),
        ),
        (
            "sources.knative.dev/v1 KafkaSource a/x",
            json!({"spec": {"topics": ["orders"]}}),
        ),
        (
            "kafka.strimzi.io/v1 KafkaConnector a/x",
            json!({"spec": {"config": {"topics": "orders"}}}),
        ),
        (
            "keda.sh/v1alpha1 ScaledObject a/x",
            json!({"spec": {"triggers": [{"type": "kafka", "metadata": {"topic": "orders"}}]}}),
        ),
    ];
    for (words, body) in kinds {
        let kind = words.split(' ').nth(1).expect("a kind");
        check(
            words,
            body,
            &["kafka.strimzi.io/v1 KafkaTopic a/orders"],
            &[&format!("{kind} a/x -> KafkaTopic a/orders: topic")],
        );
    }
}

#[test]
fn a_topic_in_a_config_map_is_needed_by_its_readers() {
    for data in [
        json!({"TOPIC": "orders"}),
        json!({"app.properties": "# c\ngroup=x\ninput.topic = orders\n"}),
        json!({"app.yaml": "kafka:\n  topics: [orders]\n"}),
    ] {
        let graph = World::new()
            .apply("v1 ConfigMap a/settings", json!({"data": data}))
            .apply("v1 Pod a/x", json!({"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]}}))
            .apply("kafka.strimzi.io/v1 KafkaTopic a/orders", NONE)
            .graph();
        assert_eq!(
            edges(&graph),
            [
                "Pod a/x -> ConfigMap a/settings: configMap",
                "Pod a/x -> KafkaTopic a/orders: topic"
            ],
            "{data}"
        );
    }
}

#[test]
fn streaming_and_eventing_kinds_are_read() {
    check(
        "flink.apache.org/v1beta1 FlinkSessionJob a/j",
        json!({"spec": {"deploymentName": "s"}}),
        &["flink.apache.org/v1beta1 FlinkDeployment a/s"],
        &["FlinkSessionJob a/j -> FlinkDeployment a/s: cluster"],
    );
    check(
        "flink.apache.org/v1beta1 FlinkDeployment a/d",
        json!({"spec": {"serviceAccount": "flink"}}),
        &["v1 ServiceAccount a/flink"],
        &["FlinkDeployment a/d -> ServiceAccount a/flink: serviceAccount"],
    );
    check(
        "flink.apache.org/v1beta1 FlinkStateSnapshot a/s",
        json!({"spec": {"jobReference": {"kind": "FlinkSessionJob", "name": "j"}}}),
        &["flink.apache.org/v1beta1 FlinkSessionJob a/j"],
        &["FlinkStateSnapshot a/s -> FlinkSessionJob a/j: cluster"],
    );
    check(
        "sparkoperator.k8s.io/v1beta2 SparkApplication a/s",
        json!({"spec": {"driver": {"serviceAccount": "spark"}}}),
        &["v1 ServiceAccount a/spark"],
        &["SparkApplication a/s -> ServiceAccount a/spark: serviceAccount"],
    );
    check(
        "eventing.knative.dev/v1 Trigger a/t",
        json!({"spec": {"broker": "b", "subscriber": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "fn"}}}}),
        &[
            "eventing.knative.dev/v1 Broker a/b",
            "serving.knative.dev/v1 Service a/fn",
            "v1 Service a/fn",
        ],
        &[
            "Trigger a/t -> Broker a/b: broker",
            "Trigger a/t -> Service a/fn: sink",
        ],
    );
    check(
        "sources.knative.dev/v1 KafkaSource a/s",
        json!({"spec": {"sink": {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "b"}}}}),
        &["eventing.knative.dev/v1 Broker a/b"],
        &["KafkaSource a/s -> Broker a/b: sink"],
    );
    check(
        "keda.sh/v1alpha1 ScaledObject a/o",
        json!({"spec": {"scaleTargetRef": {"name": "web"}, "triggers": [{"authenticationRef": {"name": "k"}}, {"authenticationRef": {"kind": "ClusterTriggerAuthentication", "name": "k"}}]}}),
        &[
            "apps/v1 Deployment a/web",
            "keda.sh/v1alpha1 TriggerAuthentication a/k",
            "keda.sh/v1alpha1 ClusterTriggerAuthentication k",
        ],
        &[
            "ScaledObject a/o -> ClusterTriggerAuthentication k: authentication",
            "ScaledObject a/o -> Deployment a/web: scaleTarget",
            "ScaledObject a/o -> TriggerAuthentication a/k: authentication",
        ],
    );
    check(
        "argoproj.io/v1alpha1 Rollout a/r",
        json!({"spec": {"strategy": {"canary": {"stableService": "web", "canaryService": "web-canary",
               "steps": [{"analysis": {"templates": [{"templateName": "errors"}, {"templateName": "lag", "clusterScope": true}]}}]}}}}),
        &[
            "v1 Service a/web",
            "v1 Service a/web-canary",
            "argoproj.io/v1alpha1 AnalysisTemplate a/errors",
            "argoproj.io/v1alpha1 ClusterAnalysisTemplate lag",
        ],
        &[
            "Rollout a/r -> AnalysisTemplate a/errors: analysis",
            "Rollout a/r -> ClusterAnalysisTemplate lag: analysis",
            "Rollout a/r -> Service a/web-canary: service",
            "Rollout a/r -> Service a/web: service",
        ],
    );
}

#[test]
fn made_secrets_lead_to_their_makers() {
    let reader = json!({"spec": {"containers": [{"envFrom": [{"secretRef": {"name": "made"}}]}]}});
    let makers = [
        ("external-secrets.io/v1 ExternalSecret a/made", NONE),
        (
            "external-secrets.io/v1 ExternalSecret a/e",
            json!({"spec": {"target": {"name": "made"}}}),
        ),
        (
            "cert-manager.io/v1 Certificate a/c",
            json!({"spec": {"secretName": "made"}}),
        ),
        ("bitnami.com/v1alpha1 SealedSecret a/made", NONE),
        ("kafka.strimzi.io/v1 KafkaUser a/made", NONE),
        (
            "database.example.org/v1 Instance a/i",
            json!({"spec": {"writeConnectionSecretToRef": {"name": "made"}}}),
        ),
    ];
    for (words, body) in makers {
        let graph = World::new()
            .apply("v1 Pod a/x", reader.clone())
            .apply(words, body)
            .graph();
        let maker = words.split(' ').skip(1).collect::<Vec<_>>().join(" ");
        assert_eq!(edges(&graph), [format!("Pod a/x -> {maker}: secret")]);
        assert!(
            graph
                .edge_text(&graph.edges()[0])
                .contains("Secret a/made, which"),
            "{}",
            graph.edge_text(&graph.edges()[0])
        );
    }
    // The Secret itself beats what would make it.
    let graph = World::new()
        .apply("v1 Pod a/x", reader)
        .apply("kafka.strimzi.io/v1 KafkaUser a/made", NONE)
        .apply("v1 Secret a/made", NONE)
        .graph();
    assert_eq!(edges(&graph), ["Pod a/x -> Secret a/made: secret"]);
    check(
        "cert-manager.io/v1 Certificate a/c",
        json!({"spec": {"secretName": "tls", "issuerRef": {"name": "ca", "kind": "ClusterIssuer"}}}),
        &[
            "v1 Secret a/tls",
            "cert-manager.io/v1 ClusterIssuer ca",
            "cert-manager.io/v1 Issuer a/ca",
        ],
        &["Certificate a/c -> ClusterIssuer ca: issuer"],
    );
    check(
        "external-secrets.io/v1 ExternalSecret a/e",
        json!({"spec": {"secretStoreRef": {"name": "vault"}}}),
        &["external-secrets.io/v1 SecretStore a/vault"],
        &["ExternalSecret a/e -> SecretStore a/vault: secretStore"],
    );
}

#[test]
fn declared_dependencies_are_edges() {
    check(
        "apps/v1 Deployment a/x depends-on=Job:b/load,kafka.strimzi.io:KafkaTopic:orders,ClusterThing:all",
        NONE,
        &[
            "batch/v1 Job b/load",
            "kafka.strimzi.io/v1 KafkaTopic a/orders",
            "example.com/v1 ClusterThing all",
        ],
        &[
            "Deployment a/x -> ClusterThing all: declared",
            "Deployment a/x -> Job b/load: declared",
            "Deployment a/x -> KafkaTopic a/orders: declared",
        ],
    );
}

#[test]
fn resources_of_templates_and_manifests_name_each_other_without_a_namespace() {
    check(
        "aws/2010-09-09 AWS::Lambda::EventSourceMapping etl/Map depends-on=batch:Job:load",
        NONE,
        &["batch/v1 Job b/load"],
        &["AWS::Lambda::EventSourceMapping etl/Map -> Job b/load: declared"],
    );
    check(
        "apps/v1 Deployment a/x depends-on=AWS::Kinesis::Stream:Orders",
        NONE,
        &["aws/2010-09-09 AWS::Kinesis::Stream etl/Orders"],
        &["Deployment a/x -> AWS::Kinesis::Stream etl/Orders: declared"],
    );
}

#[test]
fn a_binding_ties_a_topic_to_a_function() {
    let graph = World::new()
        .apply(
            "tidegate.dev/v1alpha1 EventSourceBinding a/alerts",
            json!({"spec": {"Topics": ["alerts"], "FunctionName": "page-somebody:live"}}),
        )
        .apply("kafka.strimzi.io/v1 KafkaTopic a/alerts", NONE)
        .apply(
            "aws/2010-09-09 AWS::Lambda::Function stack/Page",
            json!({"PhysicalName": "page-somebody"}),
        )
        .graph();
    assert_eq!(
        edges(&graph),
        [
            "EventSourceBinding a/alerts -> AWS::Lambda::Function stack/Page: reference",
            "EventSourceBinding a/alerts -> KafkaTopic a/alerts: topic",
        ]
    );
}
