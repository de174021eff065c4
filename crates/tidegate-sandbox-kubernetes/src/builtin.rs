//! The built-in resources of Kubernetes 1.36 that the sandbox serves (names, scopes, short names, categories, subresources).
//! Data only.

use crate::resource::{DeleteReply, Generation, Resource, ResourceName, ScalePaths, Version};

/// One row: `group versions plural Kind shortnames categories flags`, `-` for nothing.
/// Flags: `n` namespaced, `s` status, `c` scale, `g` generation tracked, `1` generation constant,
/// `o` DELETE answers the object, `r` create only.
const ROWS: &str = "
- v1 bindings Binding - - nr
- v1 configmaps ConfigMap cm - n
- v1 endpoints Endpoints ep - n
- v1 events Event ev - n
- v1 limitranges LimitRange limits - n
- v1 namespaces Namespace ns - s
- v1 nodes Node no - s
- v1 persistentvolumeclaims PersistentVolumeClaim pvc - nso
- v1 persistentvolumes PersistentVolume pv - so
- v1 pods Pod po all nsgo
- v1 podtemplates PodTemplate - - n1o
- v1 replicationcontrollers ReplicationController rc all nscg
- v1 resourcequotas ResourceQuota quota - nso
- v1 secrets Secret - - n
- v1 serviceaccounts ServiceAccount sa - no
- v1 services Service svc all nso
admissionregistration.k8s.io v1 mutatingadmissionpolicies MutatingAdmissionPolicy - api-extensions g
admissionregistration.k8s.io v1 mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding - api-extensions g
admissionregistration.k8s.io v1 mutatingwebhookconfigurations MutatingWebhookConfiguration - api-extensions g
admissionregistration.k8s.io v1 validatingadmissionpolicies ValidatingAdmissionPolicy - api-extensions sg
admissionregistration.k8s.io v1 validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding - api-extensions g
admissionregistration.k8s.io v1 validatingwebhookconfigurations ValidatingWebhookConfiguration - api-extensions g
apiextensions.k8s.io v1 customresourcedefinitions CustomResourceDefinition crd,crds api-extensions sg
apiregistration.k8s.io v1 apiservices APIService - api-extensions s
apps v1 controllerrevisions ControllerRevision - - n
apps v1 daemonsets DaemonSet ds all nsg
apps v1 deployments Deployment deploy all nscg
apps v1 replicasets ReplicaSet rs all nscg
apps v1 statefulsets StatefulSet sts all nscg
authentication.k8s.io v1 selfsubjectreviews SelfSubjectReview - - r
authentication.k8s.io v1 tokenreviews TokenReview - - r
authorization.k8s.io v1 localsubjectaccessreviews LocalSubjectAccessReview - - nr
authorization.k8s.io v1 selfsubjectaccessreviews SelfSubjectAccessReview - - r
authorization.k8s.io v1 selfsubjectrulesreviews SelfSubjectRulesReview - - r
authorization.k8s.io v1 subjectaccessreviews SubjectAccessReview - - r
autoscaling v2,v1 horizontalpodautoscalers HorizontalPodAutoscaler hpa all ns
batch v1 cronjobs CronJob cj all nsg
batch v1 jobs Job - all nsg
certificates.k8s.io v1 certificatesigningrequests CertificateSigningRequest csr - s
coordination.k8s.io v1 leases Lease - - n
discovery.k8s.io v1 endpointslices EndpointSlice - - n1
events.k8s.io v1 events Event ev - n
flowcontrol.apiserver.k8s.io v1 flowschemas FlowSchema - - sg
flowcontrol.apiserver.k8s.io v1 prioritylevelconfigurations PriorityLevelConfiguration - - sg
networking.k8s.io v1 ingressclasses IngressClass - - g
networking.k8s.io v1 ingresses Ingress ing - nsg
networking.k8s.io v1 ipaddresses IPAddress ip - -
networking.k8s.io v1 networkpolicies NetworkPolicy netpol - ng
networking.k8s.io v1 servicecidrs ServiceCIDR - - s
node.k8s.io v1 runtimeclasses RuntimeClass - - -
policy v1 poddisruptionbudgets PodDisruptionBudget pdb - nsg
rbac.authorization.k8s.io v1 clusterrolebindings ClusterRoleBinding - - -
rbac.authorization.k8s.io v1 clusterroles ClusterRole - - -
rbac.authorization.k8s.io v1 rolebindings RoleBinding - - n
rbac.authorization.k8s.io v1 roles Role - - n
resource.k8s.io v1 deviceclasses DeviceClass - - g
resource.k8s.io v1 resourceclaims ResourceClaim - - ns
resource.k8s.io v1 resourceclaimtemplates ResourceClaimTemplate - - n
resource.k8s.io v1 resourceslices ResourceSlice - - g
scheduling.k8s.io v1 priorityclasses PriorityClass pc - 1
storage.k8s.io v1 csidrivers CSIDriver - - -
storage.k8s.io v1 csinodes CSINode - - -
storage.k8s.io v1 csistoragecapacities CSIStorageCapacity - - n
storage.k8s.io v1 storageclasses StorageClass sc - -
storage.k8s.io v1 volumeattachments VolumeAttachment - - s
storage.k8s.io v1 volumeattributesclasses VolumeAttributesClass vac - -
";

/// Every built-in resource.
pub(crate) fn resources() -> Vec<Resource> {
    ROWS.lines().filter(|line| !line.is_empty()).filter_map(parse).collect()
}

fn parse(row: &'static str) -> Option<Resource> {
    let [group, versions, plural, kind, short, categories, flags] =
        row.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let group: &'static str = if group == "-" { "" } else { group };
    let has = |flag: char| flags.contains(flag);
    let scale = has('c').then(|| ScalePaths {
        spec: ".spec.replicas".to_owned(),
        status: ".status.replicas".to_owned(),
        selector: None,
    });
    let versions = versions
        .split(',')
        .enumerate()
        .map(|(index, name)| Version {
            name: name.to_owned(),
            served: true,
            storage: index == 0,
            status: has('s'),
            scale: scale.clone(),
            custom: None,
        })
        .collect();
    Some(Resource {
        name: ResourceName::new(group, plural),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        singular: kind.to_lowercase(),
        short_names: words(short),
        categories: words(categories),
        namespaced: has('n'),
        versions,
        generation: match (has('g'), has('1')) {
            (true, _) => Generation::Tracked,
            (_, true) => Generation::Constant,
            _ => Generation::Untracked,
        },
        delete_reply: if has('o') { DeleteReply::Object } else { DeleteReply::Status },
        create_only: has('r'),
    })
}

fn words(column: &str) -> Vec<String> {
    if column == "-" { Vec::new() } else { column.split(',').map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read() {
        let rows = ROWS.lines().filter(|line| !line.is_empty()).count();
        assert_eq!(resources().len(), rows);
    }
}
