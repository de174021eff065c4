//! Deployments: ReplicaSets by template, rolling and recreating updates, revisions, history
//! (Kubernetes `pkg/controller/deployment`). Scaling is in `deployment/rollout.rs`, the status in `deployment/report.rs`.

mod report;
mod rollout;

use crate::context::Context;
use crate::resources::{PODS, REPLICA_SETS};
use crate::value::{
    Rounding, at, controller, controller_ref, deleting, flag, hash_name, int, int_or, items, name,
    namespace, observed, scaled, selects, text, time, uid,
};
use jiff::Timestamp;
use report::Report;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The most characters that the history annotation holds.
const MAX_HISTORY: usize = 2_000;

/// A ReplicaSet of the Deployment as the rollout sees it; `replicas` is what it will be after this round.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    object: Arc<Value>,
    replicas: i64,
    created: Option<Timestamp>,
}

impl Set {
    fn new(object: Arc<Value>) -> Self {
        let replicas = int_or(&object, "spec.replicas", 1);
        let created = time(at(&object, "metadata.creationTimestamp"));
        Self {
            object,
            replicas,
            created,
        }
    }

    fn name(&self) -> &str {
        name(&self.object)
    }

    fn available(&self) -> i64 {
        int_or(&self.object, "status.availableReplicas", 0)
    }

    fn number(&self, annotation: &str) -> Option<i64> {
        crate::value::annotation(&self.object, annotation)?
            .parse()
            .ok()
    }

    fn revision(&self) -> i64 {
        self.number(REVISION).unwrap_or(0)
    }
}

/// How a Deployment wants to be rolled out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    replicas: i64,
    surge: i64,
    unavailable: i64,
    recreate: bool,
}

impl Plan {
    /// The plan of a Deployment, by Kubernetes' rules: percentages of surge round up, of unavailability down, and
    /// when both come out as nothing one pod may be unavailable.
    pub(crate) fn of(deployment: &Value) -> Self {
        let replicas = int_or(deployment, "spec.replicas", 1);
        let recreate = text(deployment, "spec.strategy.type") == "Recreate";
        if recreate {
            return Self {
                replicas,
                surge: 0,
                unavailable: 0,
                recreate,
            };
        }
        let quarter = json!("25%");
        let value = |field: &str| {
            let value = at(deployment, "spec.strategy.rollingUpdate").get(field);
            value.cloned().unwrap_or_else(|| quarter.clone())
        };
        let surge = scaled(&value("maxSurge"), replicas, Rounding::Up)
            .unwrap_or(1)
            .max(0);
        let unavailable = scaled(&value("maxUnavailable"), replicas, Rounding::Down)
            .unwrap_or(0)
            .max(0);
        let unavailable = if surge == 0 && unavailable == 0 {
            1
        } else {
            unavailable
        };
        Self {
            replicas,
            surge,
            unavailable: unavailable.min(replicas),
            recreate,
        }
    }

    /// The most pods at any time.
    pub(crate) fn most(&self) -> i64 {
        self.replicas.saturating_add(self.surge)
    }

    /// The fewest available pods during a rollout.
    pub(crate) fn fewest(&self) -> i64 {
        self.replicas - self.unavailable
    }
}

pub(crate) fn react(cx: &mut Context<'_>) {
    if !cx.noticed() {
        return;
    }
    let deployment = cx.object;
    let plan = Plan::of(deployment);
    let (new, old) = sets(cx);
    let mut report = Report::new(cx, plan);
    if deleting(deployment) {
        return report.counts_only(cx, new.as_ref(), &old);
    }
    report.paused(cx);
    let scaling = new.iter().chain(&old).any(|set| {
        set.replicas > 0
            && set
                .number(DESIRED)
                .is_some_and(|desired| desired != plan.replicas)
    });
    let mut round = Round { plan, old, new };
    if flag(deployment, "spec.paused") || scaling {
        round.keep_annotations(cx, &mut report);
        round.scale_in_proportion(cx);
        if flag(deployment, "spec.paused") {
            round.clean_up(cx);
        }
        return report.counts_only(cx, round.new.as_ref(), &round.old);
    }
    if plan.recreate {
        round.recreate(cx, &mut report);
    } else {
        round.roll(cx, &mut report);
    }
    report.rollout(cx, round.new.as_ref(), &round.old);
}

/// One round over the ReplicaSets.
pub(crate) struct Round {
    plan: Plan,
    new: Option<Set>,
    old: Vec<Set>,
}

/// The ReplicaSets of the Deployment: the one with its template, and the others, oldest first. Orphans are adopted.
fn sets(cx: &mut Context<'_>) -> (Option<Set>, Vec<Set>) {
    let deployment = cx.object;
    let mut owned = cx.owned(&REPLICA_SETS);
    let selector = at(deployment, "spec.selector");
    if !deleting(deployment) {
        for orphan in cx.selected(&REPLICA_SETS, selector) {
            if controller(&orphan).is_some() || deleting(&orphan) {
                continue;
            }
            let owners: Vec<Value> = items(&orphan, "metadata.ownerReferences")
                .iter()
                .cloned()
                .chain([controller_ref("apps/v1", "Deployment", deployment)])
                .collect();
            cx.patch(
                &REPLICA_SETS,
                &orphan,
                json!({"metadata": {"ownerReferences": owners}}),
            );
            owned.push(orphan);
        }
    }
    owned.retain(|set| selects(selector, at(set, "metadata.labels")));
    let mut all: Vec<Set> = owned.into_iter().map(Set::new).collect();
    all.sort_by(|a, b| (a.created, a.name()).cmp(&(b.created, b.name())));
    let template = plain_template(at(deployment, "spec.template"));
    let found = all
        .iter()
        .position(|set| plain_template(at(&set.object, "spec.template")) == template);
    let new = found.map(|at| all.remove(at));
    (new, all)
}

/// A template without what the Deployment controller adds to it, and without nulls.
pub(crate) fn plain_template(template: &Value) -> Value {
    let mut template = template.clone();
    drop_nulls(&mut template);
    if let Some(labels) = template
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.remove(HASH);
    }
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    }
    template
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

impl Round {
    fn all(&self) -> impl Iterator<Item = &Set> {
        self.old.iter().chain(&self.new)
    }

    fn pods(&self) -> i64 {
        self.all().map(|set| set.replicas).sum()
    }

    /// Keeps the new ReplicaSet's revision and annotations in step, and the Deployment's revision with them.
    fn keep_annotations(&mut self, cx: &mut Context<'_>, report: &mut Report) {
        let next = self.old.iter().map(Set::revision).max().unwrap_or(0) + 1;
        let Some(new) = &self.new else { return };
        let mut annotations = copied_annotations(cx.object);
        annotations
            .retain(|key, value| at(&new.object, "metadata.annotations").get(key) != Some(value));
        let before = new.revision();
        if before < next {
            annotations.insert(REVISION.into(), json!(next.to_string()));
            if crate::value::annotation(&new.object, REVISION).is_some() {
                let known = crate::value::annotation(&new.object, REVISION_HISTORY).unwrap_or("");
                annotations.insert(
                    REVISION_HISTORY.into(),
                    json!(longer_history(known, before)),
                );
            }
        }
        let mut patch = json!({});
        if !annotations.is_empty() {
            patch["metadata"] = json!({"annotations": annotations});
        }
        let min_ready = int_or(cx.object, "spec.minReadySeconds", 0);
        if int_or(&new.object, "spec.minReadySeconds", 0) != min_ready {
            patch["spec"] = json!({"minReadySeconds": min_ready});
        }
        if patch != json!({}) {
            cx.patch(&REPLICA_SETS, &new.object, patch);
        }
        self.show_revision(cx, before.max(next));
        report.found(cx, new.name());
    }

    fn show_revision(&self, cx: &mut Context<'_>, revision: i64) {
        let revision = revision.to_string();
        if crate::value::annotation(cx.object, REVISION) != Some(&revision) {
            cx.patch_self(json!({"metadata": {"annotations": {REVISION: revision}}}));
        }
    }

    /// Creates the ReplicaSet of the present template.
    fn create(&mut self, cx: &mut Context<'_>, report: &mut Report) {
        let deployment = cx.object;
        let collisions = int(deployment, "status.collisionCount");
        let salt = collisions
            .map(|count| count.to_string())
            .unwrap_or_default();
        let hash = hash_name(&plain_template(at(deployment, "spec.template")), &salt);
        let set_name = format!("{}-{hash}", name(deployment));
        let taken = cx.get(&REPLICA_SETS, namespace(deployment), &set_name);
        if taken.is_some_and(|other| {
            controller(&other).is_none_or(|owner| text(owner, "uid") != uid(deployment))
        }) {
            // Somebody else has the name: the next one.
            cx.merge_status(json!({"collisionCount": collisions.unwrap_or(0) + 1}));
            return;
        }
        let mut template = at(deployment, "spec.template").clone();
        let labels = labels_with(at(deployment, "spec.template.metadata.labels"), &hash);
        template["metadata"]["labels"] = labels.clone();
        let mut selector = at(deployment, "spec.selector").clone();
        selector["matchLabels"] = labels_with(at(deployment, "spec.selector.matchLabels"), &hash);
        let replicas = self.first_size();
        let revision = self.old.iter().map(Set::revision).max().unwrap_or(0) + 1;
        let mut annotations = copied_annotations(deployment);
        annotations.insert(REVISION.into(), json!(revision.to_string()));
        annotations.insert(DESIRED.into(), json!(self.plan.replicas.to_string()));
        annotations.insert(MAXIMUM.into(), json!(self.plan.most().to_string()));
        let mut spec = json!({"replicas": replicas, "selector": selector, "template": template});
        let min_ready = int_or(deployment, "spec.minReadySeconds", 0);
        if min_ready > 0 {
            spec["minReadySeconds"] = json!(min_ready);
        }
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": set_name, "namespace": namespace(deployment), "labels": labels,
                "annotations": annotations,
                "ownerReferences": [controller_ref("apps/v1", "Deployment", deployment)],
            },
            "spec": spec,
        });
        cx.create(&REPLICA_SETS, object.clone());
        if replicas > 0 {
            cx.event(
                "Normal",
                "ScalingReplicaSet",
                format!("Scaled up replica set {set_name} from 0 to {replicas}"),
            );
        }
        self.show_revision(cx, revision);
        report.created(cx, &set_name);
        self.new = Some(Set::new(Arc::new(object)));
    }

    fn first_size(&self) -> i64 {
        if self.plan.recreate {
            return self.plan.replicas;
        }
        (self.plan.most() - self.pods()).clamp(0, self.plan.replicas.max(0))
    }

    /// Deletes old ReplicaSets beyond the history limit, lowest revision first.
    fn clean_up(&mut self, cx: &mut Context<'_>) {
        let limit = int_or(cx.object, "spec.revisionHistoryLimit", 10);
        let mut alive: Vec<&Set> = self
            .old
            .iter()
            .filter(|set| !deleting(&set.object))
            .collect();
        alive.sort_by_key(|set| set.revision());
        let surplus = usize::try_from(alive.len() as i64 - limit).unwrap_or(0);
        for set in alive.into_iter().take(surplus) {
            let behind = crate::value::generation(&set.object) > observed(&set.object);
            if set.replicas == 0 && int_or(&set.object, "status.replicas", 0) == 0 && !behind {
                cx.delete(&REPLICA_SETS, &set.object);
            }
        }
    }

    /// Whether pods of old ReplicaSets still exist.
    fn old_pods_run(&self, cx: &mut Context<'_>) -> bool {
        let mut any = self
            .old
            .iter()
            .any(|set| int_or(&set.object, "status.replicas", 0) > 0);
        for set in &self.old {
            let pods = cx.owned_by(&PODS, &set.object);
            any |= pods.iter().any(|pod| !crate::workload::has_ended(pod));
        }
        any
    }
}

fn labels_with(labels: &Value, hash: &str) -> Value {
    let mut labels = labels.as_object().cloned().unwrap_or_default();
    labels.insert(HASH.into(), json!(hash));
    Value::Object(labels)
}

fn copied_annotations(deployment: &Value) -> Map<String, Value> {
    const SKIPPED: [&str; 6] = [
        LAST_APPLIED,
        REVISION,
        REVISION_HISTORY,
        DESIRED,
        MAXIMUM,
        "deprecated.deployment.rollback.to",
    ];
    let all = at(deployment, "metadata.annotations")
        .as_object()
        .into_iter()
        .flatten();
    all.filter(|(key, _)| !SKIPPED.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The history annotation with one more revision; the oldest go when it grows too long.
fn longer_history(known: &str, revision: i64) -> String {
    let mut all: Vec<String> = known
        .split(',')
        .filter(|revision| !revision.is_empty())
        .map(str::to_owned)
        .collect();
    all.push(revision.to_string());
    while all.len() > 1 && all.iter().map(|one| one.len() + 1).sum::<usize>() > MAX_HISTORY {
        all.remove(0);
    }
    all.join(",")
}
