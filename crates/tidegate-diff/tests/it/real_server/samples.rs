//! One object of many kinds, to be written to a real API server.

use serde_json::{Value, json};

/// One object of each of many kinds: (collection, group, version, object).
pub(super) fn samples() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let pod = || {
        json!({"containers": [{"name": "c", "image": "i", "env": [{"name": "E", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}],
        "ports": [{"containerPort": 80}], "volumeMounts": [{"name": "v", "mountPath": "/v"}], "securityContext": {"runAsUser": 1},
        "readinessProbe": {"httpGet": {"port": 80}}, "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}],
        "volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "m"}}]}}, {"name": "s", "secret": {"secretName": "s"}}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z", "labelSelector": {"matchLabels": {"a": "b"}}}]}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}], "imagePullSecrets": [{"name": "p"}]})
    };
    let template =
        || json!({"metadata": {"labels": {"a": "b"}, "annotations": {"x": "y"}}, "spec": pod()});
    let job = || {
        let mut template = template();
        template["spec"]["restartPolicy"] = json!("Never");
        json!({"template": template, "suspend": true})
    };
    let selector = json!({"matchLabels": {"a": "b"}});
    let (core, apps) = (
        "/api/v1/namespaces/tidegate-diff",
        "/apis/apps/v1/namespaces/tidegate-diff",
    );
    let claim =
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let path =
        |core: &'static str, plural: &str| -> &'static str { format!("{core}/{plural}").leak() };
    vec![
        (
            path(core, "pods"),
            "",
            "v1",
            json!({"kind": "Pod", "spec": pod()}),
        ),
        (
            path(core, "secrets"),
            "",
            "v1",
            json!({"kind": "Secret", "stringData": {"a": "b"}, "type": "Opaque"}),
        ),
        (
            path(core, "serviceaccounts"),
            "",
            "v1",
            json!({"kind": "ServiceAccount", "imagePullSecrets": [{"name": "p"}]}),
        ),
        (
            path(core, "persistentvolumeclaims"),
            "",
            "v1",
            json!({"kind": "PersistentVolumeClaim", "spec": claim}),
        ),
        (
            path(core, "resourcequotas"),
            "",
            "v1",
            json!({"kind": "ResourceQuota", "spec": {"hard": {"pods": "100"}}}),
        ),
        (
            path(core, "limitranges"),
            "",
            "v1",
            json!({"kind": "LimitRange", "spec": {"limits": [{"type": "Pod", "max": {"cpu": "9"}}]}}),
        ),
        (
            path(core, "endpoints"),
            "",
            "v1",
            json!({"kind": "Endpoints", "subsets": [{"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 1}]}]}),
        ),
        (
            path(core, "podtemplates"),
            "",
            "v1",
            json!({"kind": "PodTemplate", "template": template()}),
        ),
        (
            path(core, "replicationcontrollers"),
            "",
            "v1",
            json!({"kind": "ReplicationController", "spec": {"replicas": 0, "template": template()}}),
        ),
        (
            path(apps, "statefulsets"),
            "apps",
            "v1",
            json!({"kind": "StatefulSet", "spec": {"replicas": 0, "serviceName": "s", "selector": selector,
            "template": template(), "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": claim}]}}),
        ),
        (
            path(apps, "daemonsets"),
            "apps",
            "v1",
            json!({"kind": "DaemonSet", "spec": {"selector": selector, "template": template()}}),
        ),
        (
            path(apps, "deployments"),
            "apps",
            "v1",
            json!({"kind": "Deployment", "spec": {"replicas": 0, "selector": selector, "template": template()}}),
        ),
        (
            "/apis/batch/v1/namespaces/tidegate-diff/jobs",
            "batch",
            "v1",
            json!({"kind": "Job", "spec": job()}),
        ),
        (
            "/apis/batch/v1/namespaces/tidegate-diff/cronjobs",
            "batch",
            "v1",
            json!({"kind": "CronJob", "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job()}}}),
        ),
        (
            "/apis/networking.k8s.io/v1/namespaces/tidegate-diff/ingresses",
            "networking.k8s.io",
            "v1",
            json!({"kind": "Ingress", "spec": {"tls": [{"hosts": ["h"]}],
            "rules": [{"host": "h", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 1}}}}]}}]}}),
        ),
        (
            "/apis/networking.k8s.io/v1/namespaces/tidegate-diff/networkpolicies",
            "networking.k8s.io",
            "v1",
            json!({"kind": "NetworkPolicy", "spec": {"podSelector": {}, "ingress": [{}]}}),
        ),
        (
            "/apis/policy/v1/namespaces/tidegate-diff/poddisruptionbudgets",
            "policy",
            "v1",
            json!({"kind": "PodDisruptionBudget", "spec": {"minAvailable": "50%", "selector": selector}}),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/namespaces/tidegate-diff/roles",
            "rbac.authorization.k8s.io",
            "v1",
            json!({"kind": "Role", "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/namespaces/tidegate-diff/rolebindings",
            "rbac.authorization.k8s.io",
            "v1",
            json!({"kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
        ),
        (
            "/apis/autoscaling/v2/namespaces/tidegate-diff/horizontalpodautoscalers",
            "autoscaling",
            "v2",
            json!({"kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}),
        ),
        (
            "/apis/coordination.k8s.io/v1/namespaces/tidegate-diff/leases",
            "coordination.k8s.io",
            "v1",
            json!({"kind": "Lease", "spec": {"holderIdentity": "h", "leaseDurationSeconds": 5}}),
        ),
        (
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            "scheduling.k8s.io",
            "v1",
            json!({"kind": "PriorityClass", "value": 1}),
        ),
        (
            "/apis/storage.k8s.io/v1/storageclasses",
            "storage.k8s.io",
            "v1",
            json!({"kind": "StorageClass", "provisioner": "p"}),
        ),
        (
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            "admissionregistration.k8s.io",
            "v1",
            json!({"kind": "ValidatingWebhookConfiguration", "webhooks": [
            {"name": "a.b.c", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore", "clientConfig": {"service": {"name": "s", "namespace": "n"}},
             "rules": [{"apiGroups": ["none.test"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothings"]}]}]}),
        ),
    ]
}

/// What admission and storage add after the owners are settled: nobody owns it.
pub(super) const SET_LATE: &[(&str, &str)] = &[
    ("Pod", "/spec/preemptionPolicy"),
    ("Pod", "/spec/priority"),
    ("Pod", "/spec/tolerations"),
    ("PersistentVolumeClaim", "/metadata/finalizers"),
    ("Job", "/spec/selector"),
    (
        "Job",
        "/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid",
    ),
    (
        "Job",
        "/spec/template/metadata/labels/batch.kubernetes.io~1job-name",
    ),
    ("Job", "/spec/template/metadata/labels/controller-uid"),
    ("Job", "/spec/template/metadata/labels/job-name"),
];
