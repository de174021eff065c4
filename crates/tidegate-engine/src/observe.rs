//! Looking at the targets: kinds, live objects, marked objects, previews. Reads only; decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tidegate_applier::{
    Applier, ApplierError, ApplyRequest, ChangePreview, ErrorKind, LiveObject, Owned, OwnerRef,
    ReadOptions,
};
use tidegate_manifest::{Diagnostic, GroupKind, ResourceKey, Target, TrackingId};

use crate::comparison::{Condition, ConditionType};
use crate::live::{Live, Observation};
use crate::normalise::{self, Discovery, KindAnswer, Normalised};
use crate::{Desired, Destination, project};

/// Asks the targets which of them serve the kinds.
pub(crate) async fn discover(destination: &Destination, kinds: &BTreeSet<GroupKind>) -> Discovery {
    let mut asked: BTreeMap<&Target, Vec<GroupKind>> = BTreeMap::new();
    for kind in kinds {
        for target in destination.candidates(kind) {
            asked.entry(target).or_default().push(kind.clone());
        }
    }
    let answers = asked.into_iter().map(|(target, kinds)| async move {
        let Some(applier) = destination.applier(target) else {
            return Vec::new();
        };
        let answers = applier.kinds(kinds.clone()).await;
        let mut answers = answers.into_iter();
        kinds
            .into_iter()
            .map(|kind| {
                (
                    (target.clone(), kind),
                    answers.next().unwrap_or_else(no_answer),
                )
            })
            .collect()
    });
    let answers: BTreeMap<_, _> = join_all(answers).await.into_iter().flatten().collect();
    let mut discovery = Discovery::default();
    for kind in kinds {
        let candidates = destination.candidates(kind);
        let mut chosen = KindAnswer {
            target: candidates.first().map(|target| (*target).clone()),
            facts: None,
            error: None,
        };
        for target in candidates {
            match answers.get(&(target.clone(), kind.clone())) {
                Some(Ok(Some(facts))) => {
                    chosen.target = Some(target.clone());
                    chosen.facts = Some(facts.clone());
                    chosen.error = None;
                    break;
                }
                Some(Err(error)) => {
                    chosen.error.get_or_insert_with(|| error.clone());
                }
                Some(Ok(None)) | None => {}
            }
        }
        discovery.kinds.insert(kind.clone(), chosen);
    }
    discovery
}

fn no_answer<T>() -> Result<T, ApplierError> {
    let message = "the applier answered fewer items than it was asked for";
    Err(ApplierError::new(ErrorKind::Internal, message))
}

/// Splits keys by target, keeping the order.
fn by_target<T>(items: Vec<T>, target: impl Fn(&T) -> Target) -> BTreeMap<Target, Vec<T>> {
    let mut split: BTreeMap<Target, Vec<T>> = BTreeMap::new();
    for item in items {
        split.entry(target(&item)).or_default().push(item);
    }
    split
}

/// Sends a batch to the applier of each target and pairs the answers with what was asked.
pub(crate) async fn per_target<Q, A, F>(
    destination: &Destination,
    requests: Vec<Q>,
    target: impl Fn(&Q) -> Target,
    call: impl Fn(Arc<dyn Applier>, Vec<Q>) -> F,
) -> Vec<(Q, Result<A, ApplierError>)>
where
    Q: Clone,
    F: Future<Output = Vec<Result<A, ApplierError>>>,
{
    let calls = by_target(requests, target)
        .into_iter()
        .map(|(target, batch)| {
            let applier = destination.applier(&target).cloned();
            let call = applier.map(|applier| call(applier, batch.clone()));
            async move {
                let answers = match call {
                    Some(call) => call.await,
                    None => Vec::new(),
                };
                let mut answers = answers.into_iter();
                batch
                    .into_iter()
                    .map(|request| (request, answers.next().unwrap_or_else(no_answer)))
                    .collect::<Vec<_>>()
            }
        });
    join_all(calls).await.into_iter().flatten().collect()
}

/// The live state of some keys.
pub(crate) async fn read(
    destination: &Destination,
    keys: Vec<ResourceKey>,
    options: ReadOptions,
) -> Vec<(ResourceKey, Result<Option<LiveObject>, ApplierError>)> {
    per_target(
        destination,
        keys,
        |key| key.target.clone(),
        |applier, keys| async move { applier.read(keys, options).await },
    )
    .await
}

/// Tells the targets what is wanted of them, for those whose own names are not in the keys.
fn announce(destination: &Destination, owner: &OwnerRef, normalised: &Normalised) {
    for (target, applier) in destination.appliers() {
        let here = normalised
            .objects
            .iter()
            .filter(|object| object.key.target == *target);
        let mut wanted = here.map(|object| (&object.key, &object.object.body));
        applier.announce(owner, &mut wanted);
    }
}

/// What the targets find wrong with what is wanted of them.
fn check(destination: &Destination, normalised: &Normalised) -> Vec<Diagnostic> {
    let found = destination.appliers().map(|(target, applier)| {
        let objects = normalised.objects.iter();
        let here = objects.filter(|object| object.key.target == *target);
        applier.check(&mut here.map(|object| &*object.object))
    });
    found.flatten().collect()
}

/// What applying would do.
pub(crate) async fn preview(
    destination: &Destination,
    requests: Vec<ApplyRequest>,
) -> Vec<(ApplyRequest, Result<ChangePreview, ApplierError>)> {
    per_target(
        destination,
        requests,
        |request| request.key.target.clone(),
        |applier, requests| async move { applier.plan_change(requests).await },
    )
    .await
}

/// Everything that bears the application's mark, and what could not be listed.
pub(crate) async fn owned(
    destination: &Destination,
    owner: &OwnerRef,
) -> (Vec<Owned>, Vec<String>) {
    let lists = destination.appliers().map(|(target, applier)| async move {
        match applier.list_owned(owner.clone()).await {
            Ok(list) => (list.items, list.incomplete),
            Err(error) => (Vec::new(), vec![format!("{target}: {error}")]),
        }
    });
    let (items, incomplete): (Vec<_>, Vec<_>) = join_all(lists).await.into_iter().unzip();
    let mut items: Vec<Owned> = items.into_iter().flatten().collect();
    items.sort_by(|a, b| a.key.cmp(&b.key));
    (items, incomplete.into_iter().flatten().collect())
}

/// Looks at everything that a comparison or a plan needs.
///
/// `request` makes the apply request of a desired object, so that previews say what apply does.
pub(crate) async fn observe(
    destination: &Destination,
    desired: &Desired,
    owner: &OwnerRef,
    more: Option<ResourceKey>,
    request: impl Fn(&normalise::DesiredObject, Option<&LiveObject>) -> Option<ApplyRequest>,
) -> Observation {
    let discovery = discover(destination, &normalise::kinds_of(desired)).await;
    let mut normalised = normalise::normalise(desired, &discovery, owner);
    let mistakes = check(destination, &normalised);
    normalised.diagnostics.extend(mistakes);
    let (marked, incomplete) = owned(destination, owner).await;
    let mut observation = Observation {
        prune_blocked: prune_block(&normalised, &discovery, &incomplete),
        conditions: normalised.conditions.clone(),
        ..Observation::default()
    };
    let candidates = extras(desired, &normalised, marked);
    let served = |object: &&normalise::DesiredObject| {
        object.served == normalise::Served::Yes && !object.key.name.is_empty()
    };
    let wanted = normalised.objects.iter().filter(served);
    let mut keys: Vec<ResourceKey> = wanted.map(|object| object.key.clone()).collect();
    announce(destination, owner, &normalised);
    keys.extend(more.filter(|key| !keys.contains(key)));
    keys.extend(candidates.iter().map(|owned| owned.key.clone()));
    let mut live = Live::default();
    for (key, answer) in read(destination, keys, ReadOptions::default()).await {
        live.set(&key, answer);
    }
    observation.extras = still_ours(candidates, &normalised, &live, owner);
    let requests = normalised
        .objects
        .iter()
        .filter(served)
        .filter_map(|object| request(object, live.get(&object.key)));
    for (asked, answer) in preview(destination, requests.collect()).await {
        observation.previews.insert(asked.key, answer);
    }
    observation
        .conditions
        .extend(shared(&normalised, &live, owner));
    observation.normalised = normalised;
    observation.live = live;
    observation
}

/// Why nothing may be pruned: something failed to render, or the target was not seen whole.
fn prune_block(
    normalised: &Normalised,
    discovery: &Discovery,
    incomplete: &[String],
) -> Option<String> {
    if normalised.diagnostics.iter().any(Diagnostic::is_error) {
        return Some("ignored (the manifests have errors)".to_owned());
    }
    if !incomplete.is_empty() {
        return Some(format!(
            "ignored (the target could not be listed whole: {})",
            incomplete.join(", ")
        ));
    }
    let answers = discovery.kinds.iter();
    let mut stale = answers.filter(|(_, answer)| {
        answer.error.is_some() || answer.facts.as_ref().is_some_and(|facts| facts.stale)
    });
    let (kind, _) = stale.next()?;
    Some(format!(
        "ignored (what the target knows of {kind} is not current)"
    ))
}

/// Marked objects that Git does not have: roots whose mark names themselves, in kinds that the
/// project permits (Argo CD 5, 6.1).
fn extras(desired: &Desired, normalised: &Normalised, marked: Vec<Owned>) -> Vec<Owned> {
    let wanted: BTreeSet<&ResourceKey> = normalised.objects.iter().map(|o| &o.key).collect();
    let permitted = |owned: &Owned| {
        let is_namespaced = !owned.key.namespace.is_empty();
        let kind = owned.key.group_kind();
        project::permits_kind(&desired.project, &kind, &owned.key.name, is_namespaced)
    };
    marked
        .into_iter()
        .filter(|owned| !wanted.contains(&owned.key) && owned.is_root && permitted(owned))
        .filter(|owned| !normalise::is_definition(&owned.key.group_kind()))
        .collect()
}

/// Drops candidates that are gone, bear another application's mark by now, or are a desired object
/// under the name of another API group.
fn still_ours(
    candidates: Vec<Owned>,
    normalised: &Normalised,
    live: &Live,
    owner: &OwnerRef,
) -> Vec<Owned> {
    let objects = normalised.objects.iter();
    let wanted: BTreeSet<&str> = objects
        .filter_map(|object| live.get(&object.key))
        .map(|live| live.uid.as_str())
        .filter(|uid| !uid.is_empty())
        .collect();
    candidates
        .into_iter()
        .filter(|owned| {
            let Some(found) = live.get(&owned.key) else {
                return false;
            };
            let is_other = TrackingId::of(&found.body)
                .is_some_and(|mark| mark.application != owner.application);
            !is_other && !wanted.contains(found.uid.as_str())
        })
        .collect()
}

/// Objects that another application marks (Argo CD 5, 0.9).
fn shared(normalised: &Normalised, live: &Live, owner: &OwnerRef) -> Vec<Condition> {
    let foreign = |object: &normalise::DesiredObject| {
        let found = live.get(&object.key)?;
        let other = foreign_owner(found, owner)?;
        let key = &object.key;
        Some(Condition::new(
            ConditionType::SharedResourceWarning,
            format!(
                "{}/{} is part of applications {} and {other}",
                key.kind, key.name, owner.application
            ),
        ))
    };
    normalised.objects.iter().filter_map(foreign).collect()
}

/// The other application whose mark a live object bears, when the mark names the object itself.
pub(crate) fn foreign_owner(live: &LiveObject, owner: &OwnerRef) -> Option<String> {
    let mark = TrackingId::of(&live.body)?;
    let key = &live.key;
    let is_own = mark.application == owner.application;
    let names_itself = mark.is_self_reference(&key.group, &key.kind, &key.namespace, &key.name);
    (!is_own && names_itself).then_some(mark.application)
}
