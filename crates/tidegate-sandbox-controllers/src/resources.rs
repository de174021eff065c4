//! The names of every resource that the simulation touches, in one place.

use tidegate_sandbox_kubernetes::ResourceName;

macro_rules! resources {
    ($($constant:ident = $group:literal / $plural:literal;)*) => {
        $(pub(crate) const $constant: ResourceName = ResourceName::new($group, $plural);)*
    };
}

resources! {
    PODS = "" / "pods";
    NODES = "" / "nodes";
    NAMESPACES = "" / "namespaces";
    SERVICES = "" / "services";
    ENDPOINTS = "" / "endpoints";
    SECRETS = "" / "secrets";
    CONFIG_MAPS = "" / "configmaps";
    SERVICE_ACCOUNTS = "" / "serviceaccounts";
    EVENTS = "" / "events";
    CLAIMS = "" / "persistentvolumeclaims";
    VOLUMES = "" / "persistentvolumes";
    ENDPOINT_SLICES = "discovery.k8s.io" / "endpointslices";
    STORAGE_CLASSES = "storage.k8s.io" / "storageclasses";
    DEPLOYMENTS = "apps" / "deployments";
    REPLICA_SETS = "apps" / "replicasets";
    STATEFUL_SETS = "apps" / "statefulsets";
    DAEMON_SETS = "apps" / "daemonsets";
    REVISIONS = "apps" / "controllerrevisions";
    JOBS = "batch" / "jobs";
    CRON_JOBS = "batch" / "cronjobs";
    INGRESSES = "networking.k8s.io" / "ingresses";
    AUTOSCALERS = "autoscaling" / "horizontalpodautoscalers";
    DISRUPTION_BUDGETS = "policy" / "poddisruptionbudgets";
    API_SERVICES = "apiregistration.k8s.io" / "apiservices";
    CUSTOM_RESOURCES = "apiextensions.k8s.io" / "customresourcedefinitions";

    KAFKAS = "kafka.strimzi.io" / "kafkas";
    KAFKA_NODE_POOLS = "kafka.strimzi.io" / "kafkanodepools";
    KAFKA_TOPICS = "kafka.strimzi.io" / "kafkatopics";
    KAFKA_USERS = "kafka.strimzi.io" / "kafkausers";
    KAFKA_CONNECTS = "kafka.strimzi.io" / "kafkaconnects";
    KAFKA_CONNECTORS = "kafka.strimzi.io" / "kafkaconnectors";
    KAFKA_MIRROR_MAKERS = "kafka.strimzi.io" / "kafkamirrormaker2s";
    KAFKA_BRIDGES = "kafka.strimzi.io" / "kafkabridges";
    KAFKA_REBALANCES = "kafka.strimzi.io" / "kafkarebalances";

    FLINK_DEPLOYMENTS = "flink.apache.org" / "flinkdeployments";
    FLINK_SESSION_JOBS = "flink.apache.org" / "flinksessionjobs";
    FLINK_SNAPSHOTS = "flink.apache.org" / "flinkstatesnapshots";

    SPARK_APPLICATIONS = "sparkoperator.k8s.io" / "sparkapplications";
    SCHEDULED_SPARK_APPLICATIONS = "sparkoperator.k8s.io" / "scheduledsparkapplications";

    KNATIVE_SERVICES = "serving.knative.dev" / "services";
    KNATIVE_CONFIGURATIONS = "serving.knative.dev" / "configurations";
    KNATIVE_REVISIONS = "serving.knative.dev" / "revisions";
    KNATIVE_ROUTES = "serving.knative.dev" / "routes";

    TASKS = "tekton.dev" / "tasks";
    TASK_RUNS = "tekton.dev" / "taskruns";
    PIPELINES = "tekton.dev" / "pipelines";
    PIPELINE_RUNS = "tekton.dev" / "pipelineruns";

    EXTERNAL_SECRETS = "external-secrets.io" / "externalsecrets";
    SECRET_STORES = "external-secrets.io" / "secretstores";
    CLUSTER_SECRET_STORES = "external-secrets.io" / "clustersecretstores";
    SEALED_SECRETS = "bitnami.com" / "sealedsecrets";

    CERTIFICATES = "cert-manager.io" / "certificates";
    ISSUERS = "cert-manager.io" / "issuers";
    CLUSTER_ISSUERS = "cert-manager.io" / "clusterissuers";

    ROLLOUTS = "argoproj.io" / "rollouts";
    SCALED_OBJECTS = "keda.sh" / "scaledobjects";
}
