//! The order of objects: `legacy` by kind, as `kustomize build` gives without being asked.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::id::Gvk;
use crate::kustomization::SortOptions;
use crate::resource::Resource;

const FIRST: &[&str] = &[
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: &[&str] = &[
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

fn ranks<S: AsRef<str>>(first: &[S], last: &[S]) -> HashMap<String, i64> {
    let front = first
        .iter()
        .rev()
        .enumerate()
        .map(|(i, kind)| (kind, -1 - as_rank(i)));
    let back = last
        .iter()
        .enumerate()
        .map(|(i, kind)| (kind, 1 + as_rank(i)));
    // Of a kind named twice the later place counts; `rev` puts the earlier ones last.
    let mut ranks = HashMap::new();
    for (kind, rank) in front.collect::<Vec<_>>().into_iter().rev().chain(back) {
        ranks.insert(kind.as_ref().to_owned(), rank);
    }
    ranks
}

fn as_rank(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX - 1)
}

/// The key that kinds are ordered by where order is only for determinism.
pub(crate) fn rank_key(gvk: &Gvk) -> (i64, String) {
    let rank = match (
        FIRST.iter().position(|kind| *kind == gvk.kind),
        LAST.iter().position(|kind| *kind == gvk.kind),
    ) {
        (Some(at), _) => as_rank(at) - as_rank(FIRST.len()),
        (None, Some(at)) => 1 + as_rank(at),
        (None, None) => 0,
    };
    (rank, gvk.sort_key())
}

/// Sorts as the options say; without options, as `legacy` does.
///
/// # Errors
/// Options that do not go together.
pub(crate) fn sort(list: &mut [Resource], options: Option<&SortOptions>) -> Result<(), String> {
    let ranks = match options {
        None => ranks(FIRST, LAST),
        Some(options) => match (options.order.as_str(), &options.legacy_sort_options) {
            ("fifo", None) => return Ok(()),
            ("fifo", Some(_)) => {
                return Err("the field 'sortOptions.legacySortOptions' is set but the selected sort order is 'fifo', not 'legacy'".to_owned());
            }
            ("legacy", None) => ranks(FIRST, LAST),
            ("legacy", Some(own)) => ranks(&own.order_first, &own.order_last),
            _ => {
                return Err(
                    "the field 'sortOptions.order' must be one of [fifo, legacy]".to_owned(),
                );
            }
        },
    };
    list.sort_by_cached_key(|resource| {
        let id = resource.id();
        let rank = ranks.get(&id.gvk.kind).copied().unwrap_or_default();
        // Namespaces of the core group come first, and the other way round.
        let core_namespace = (id.gvk.kind == "Namespace" && id.gvk.group.is_empty())
            .then(|| Reverse(id.gvk.sort_key()));
        let or = |text: &str, none: &'static str| {
            if text.is_empty() {
                none.to_owned()
            } else {
                text.to_owned()
            }
        };
        let last = format!(
            "{}|{}|{}",
            id.gvk,
            or(&id.namespace, "~X"),
            or(&id.name, "~N")
        );
        (
            rank,
            core_namespace.is_none(),
            core_namespace,
            id.gvk.sort_key(),
            last,
        )
    });
    Ok(())
}
