//! Which objects bear which application's mark, by listing every kind (kubernetes.md A8, argocd.md 5).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tidegate_applier::{ApplierError, Owned, OwnedList, OwnerRef, Scope};
use tidegate_manifest::{GroupKind, ResourceKey, Target};
use tokio::time::Instant;

use crate::cluster::{Inner, LISTS, Shared};
use crate::config::ITEM_DEADLINE;
use crate::decode::{Annotations, Head, Metadata, Page};
use crate::discovery::{Catalog, Endpoint};
use crate::failure::Failure;
use crate::transport::{Call, JSON};

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// A list whose snapshot expired is begun again this often.
const RESTARTS: u32 = 3;

pub(crate) const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Kinds that only the cluster itself makes, and many of: never looked at.
const NOISE: [(&str, &str); 4] = [
    ("", "Event"),
    ("events.k8s.io", "Event"),
    ("coordination.k8s.io", "Lease"),
    ("", "ComponentStatus"),
];
/// Groups that serve measurements, not objects.
const NOISE_GROUPS: [&str; 3] = [
    "metrics.k8s.io",
    "custom.metrics.k8s.io",
    "external.metrics.k8s.io",
];

/// The last listing, shared by those who asked before it began.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    last: tokio::sync::Mutex<Option<(Instant, Arc<Listing>)>>,
}

/// All marked objects by application.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    by_application: HashMap<String, Vec<Owned>>,
    incomplete: Vec<String>,
}

impl Listing {
    pub(crate) fn of(&self, application: &str) -> OwnedList {
        let mut items = self
            .by_application
            .get(application)
            .cloned()
            .unwrap_or_default();
        items.sort_by(|a, b| a.key.cmp(&b.key));
        OwnedList {
            items,
            incomplete: self.incomplete.clone(),
        }
    }
}

impl Inner {
    /// Everything that bears the application's mark, from the cache or from a listing that began
    /// after the question.
    pub(crate) async fn list_owned(&self, owner: &OwnerRef) -> Result<OwnedList, ApplierError> {
        let asked = Instant::now();
        if let Some(cached) = self.cached_owned(&owner.application).await? {
            return Ok(cached);
        }
        let mut last = self.inventory.last.lock().await;
        if let Some((began, listing)) = &*last
            && *began >= asked
        {
            return Ok(listing.of(&owner.application));
        }
        let began = Instant::now();
        let catalog = self.discovery().catalog(self.transport()).await?;
        let wanted = self.config.inventory_kinds.as_deref();
        let listing = list(&self.shared, &self.target, &catalog, |endpoint| {
            wanted.is_none_or(|kinds| kinds.contains(&endpoint.kind))
        })
        .await;
        let listing = Arc::new(listing);
        *last = Some((began, Arc::clone(&listing)));
        Ok(listing.of(&owner.application))
    }
}

/// Whether a kind can hold objects of an application.
pub(crate) fn is_worth_listing(endpoint: &Endpoint) -> bool {
    let GroupKind { group, kind } = &endpoint.kind;
    endpoint.can_list
        && !NOISE.contains(&(group.as_str(), kind.as_str()))
        && !NOISE_GROUPS.contains(&group.as_str())
}

/// Lists the metadata of all objects of the wanted kinds, a few kinds at one time.
pub(crate) async fn list(
    shared: &Shared,
    target: &Target,
    catalog: &Catalog,
    wanted: impl Fn(&Endpoint) -> bool,
) -> Listing {
    let mut listing = Listing {
        incomplete: silent(catalog),
        ..Listing::default()
    };
    let endpoints: Vec<Endpoint> = catalog
        .all()
        .into_iter()
        .filter(|endpoint| is_worth_listing(endpoint) && wanted(endpoint))
        .collect();
    let lists = stream::iter(endpoints)
        .map(|endpoint| async move {
            let found = list_kind(shared, target, &endpoint).await;
            (endpoint, found)
        })
        .buffered(LISTS);
    let answers: Vec<_> = lists.collect().await;
    for (endpoint, answer) in answers {
        match answer {
            Ok(found) => {
                for (application, owned) in found {
                    let items = listing.by_application.entry(application).or_default();
                    items.push(owned);
                }
            }
            Err(failure) => {
                let words = format!("{}: {}", endpoint.kind, failure.words());
                listing.incomplete.push(words);
            }
        }
    }
    listing.incomplete.sort();
    listing
}

/// Groups that discovery could not see: who knows what they hold.
pub(crate) fn silent(catalog: &Catalog) -> Vec<String> {
    catalog
        .silent
        .iter()
        .filter(|((group, _), _)| !NOISE_GROUPS.contains(&group.as_str()))
        .map(|((group, version), words)| format!("{group}/{version}: {words}"))
        .collect()
}

async fn list_kind(
    shared: &Shared,
    target: &Target,
    endpoint: &Endpoint,
) -> Result<Vec<(String, Owned)>, Failure> {
    let mut restarts = 0;
    loop {
        let mut found = Vec::new();
        let end = pages(shared, endpoint, METADATA_LIST, |page| {
            for item in page.items.iter().flatten() {
                let head: Head<'_> = serde_json::from_str(item.get())?;
                found.extend(owned(target, endpoint, &head.metadata));
            }
            Ok(())
        })
        .await;
        match end {
            Ok(_) => return Ok(found),
            Err(Failure::Refused(refusal)) if refusal.code == 410 && restarts < RESTARTS => {
                restarts += 1;
            }
            // The kind went away since discovery saw it.
            Err(Failure::Refused(refusal)) if refusal.is_kind_missing() => return Ok(Vec::new()),
            // Served, but nothing that can be listed.
            Err(Failure::Refused(refusal)) if refusal.code == 405 => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
}

fn owned(target: &Target, endpoint: &Endpoint, head: &Metadata<'_>) -> Option<(String, Owned)> {
    let mark = head.mark()?;
    let namespace = match endpoint.scope {
        Scope::Namespaced => head.namespace.clone().into_owned(),
        Scope::Cluster => String::new(),
    };
    let key = ResourceKey {
        target: target.clone(),
        group: endpoint.kind.group.clone(),
        kind: endpoint.kind.kind.clone(),
        namespace,
        name: head.name.clone().into_owned(),
    };
    let owned = Owned {
        uid: head.uid.clone().into_owned(),
        version: head.resource_version.clone().into_owned(),
        is_root: head.is_root(),
        is_self_reference: mark.is_self_reference(&key.group, &key.kind, &key.namespace, &key.name),
        is_deleting: head.deletion_timestamp.is_some(),
        annotations: annotations(&head.annotations),
        key,
    };
    Some((mark.application, owned))
}

pub(crate) fn annotations(kept: &Annotations) -> BTreeMap<String, String> {
    kept.0
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

/// Reads all pages of a kind; answers the resourceVersion of the list.
pub(crate) async fn pages(
    shared: &Shared,
    endpoint: &Endpoint,
    accept: &'static str,
    mut take: impl FnMut(&Page<'_>) -> Result<(), serde_json::Error>,
) -> Result<String, Failure> {
    let _permit = shared
        .lists
        .acquire()
        .await
        .expect("the semaphore is never closed");
    let collection = endpoint.collection();
    let mut path = format!("{collection}?limit={PAGE}");
    loop {
        let call = Call::get(path).accept(accept);
        let reply = shared
            .transport
            .call(&call, Instant::now() + ITEM_DEADLINE)
            .await?;
        let page: Page<'_> = reply.json()?;
        take(&page).map_err(|error| Failure::Network {
            message: format!("cannot read a list of {}: {error}", endpoint.kind),
            permanent: true,
        })?;
        if page.metadata.next.is_empty() {
            return Ok(page.metadata.resource_version.into_owned());
        }
        let next = percent_encoding::utf8_percent_encode(
            &page.metadata.next,
            percent_encoding::NON_ALPHANUMERIC,
        );
        path = format!("{collection}?limit={PAGE}&continue={next}");
    }
}

/// Whole objects.
pub(crate) const FULL_LIST: &str = JSON;
