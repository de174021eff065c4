//! Argo CD's rank of kinds inside a wave (Argo CD 7.3). The rank looks at the kind alone, never at the group.

const RANKED: [&str; 35] = [
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// The place of a kind inside its wave, first to last; kinds that are not listed come after all that
/// are, and CloudFormation types after all of Kubernetes, so that they stand together.
pub fn kind_rank(kind: &str) -> usize {
    if kind.contains("::") {
        return RANKED.len() + 1;
    }
    RANKED
        .iter()
        .position(|ranked| *ranked == kind)
        .unwrap_or(RANKED.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_kinds_come_in_order_and_before_the_rest() {
        let order = [
            "Namespace",
            "ServiceAccount",
            "Secret",
            "ConfigMap",
            "CustomResourceDefinition",
            "ClusterRole",
            "Role",
            "Service",
            "Deployment",
            "HorizontalPodAutoscaler",
            "StatefulSet",
            "Job",
            "Ingress",
            "APIService",
            "KafkaTopic",
        ];
        assert!(
            order
                .windows(2)
                .all(|pair| kind_rank(pair[0]) < kind_rank(pair[1]))
        );
        assert_eq!(kind_rank("KafkaTopic"), kind_rank("Anything"));
        assert!(kind_rank("Anything") < kind_rank("AWS::IAM::Role"));
    }
}
