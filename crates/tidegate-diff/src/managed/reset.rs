//! Which fields each endpoint of a kind resets: what is written there without effect is nobody's.
//!
//! Facts of the API server's registry (Kubernetes 1.36) for built-in kinds, and of its custom resource handler.

use super::filter::{FieldFilter, Step};
use crate::fieldset::{FieldSet, PathElement};
use crate::schema::resources::{self, ResourceFacts};

/// Kinds whose status endpoint resets `metadata` too.
const STATUS_RESETS_METADATA: &[(&str, &str)] = &[
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("internal.apiserver.k8s.io", "StorageVersion"),
    ("networking.k8s.io", "ServiceCIDR"),
    ("resource.k8s.io", "DeviceTaintRule"),
    ("resource.k8s.io", "ResourceClaim"),
    ("resource.k8s.io", "ResourcePoolStatusRequest"),
    ("scheduling.k8s.io", "PodGroup"),
    ("storage.k8s.io", "VolumeAttachment"),
    ("storagemigration.k8s.io", "StorageVersionMigration"),
];

/// The filter of an endpoint, `subresource` being empty for the object itself. Kinds that are not built in count as
/// custom resources; `has_status` says whether those have a status subresource.
pub fn reset_fields(
    group: &str,
    kind: &str,
    subresource: &str,
    has_status: bool,
) -> Option<FieldFilter> {
    let facts = resources::builtin()
        .iter()
        .find(|r| r.group == group && r.kind == kind);
    let exclude = |paths: &[&[&str]]| Some(FieldFilter::Exclude(FieldSet::of_fields(paths)));
    let with_status = facts.map_or(has_status, |f| f.subresource("status").is_some());
    match (group, kind, subresource) {
        ("certificates.k8s.io", "CertificateSigningRequest", "") => {
            exclude(&[&["spec"], &["status"]])
        }
        ("certificates.k8s.io", "CertificateSigningRequest", "status") => {
            exclude(&[&["spec"], &["status", "conditions"]])
        }
        ("certificates.k8s.io", "CertificateSigningRequest", "approval") => {
            exclude(&[&["spec"], &["status", "certificate"]])
        }
        ("certificates.k8s.io", "PodCertificateRequest", "") => None,
        ("", "Pod", "status") => exclude(&[
            &["spec"],
            &["metadata", "deletionTimestamp"],
            &["metadata", "ownerReferences"],
        ]),
        ("", "Pod", "ephemeralcontainers") => Some(FieldFilter::Include(vec![vec![
            field("spec"),
            field("ephemeralContainers"),
        ]])),
        ("", "Pod", "resize") => Some(resize()),
        ("apps", "Deployment", "status") => exclude(&[&["spec"], &["metadata", "labels"]]),
        (_, _, "") if with_status => exclude(&[&["status"]]),
        (_, _, "status") if resets_metadata(facts, group, kind) => {
            exclude(&[&["metadata"], &["spec"]])
        }
        (_, _, "status") => exclude(&[&["spec"]]),
        ("", "Namespace", "finalize") => exclude(&[&["status"]]),
        _ => None,
    }
}

fn resets_metadata(facts: Option<&ResourceFacts>, group: &str, kind: &str) -> bool {
    facts.is_none() || STATUS_RESETS_METADATA.contains(&(group, kind))
}

fn resize() -> FieldFilter {
    let mut prefixes = Vec::new();
    for list in ["containers", "initContainers"] {
        for last in ["resources", "resizePolicy"] {
            prefixes.push(vec![field("spec"), field(list), Step::Any, field(last)]);
        }
    }
    FieldFilter::Include(prefixes)
}

fn field(name: &str) -> Step {
    Step::Is(PathElement::field(name))
}
