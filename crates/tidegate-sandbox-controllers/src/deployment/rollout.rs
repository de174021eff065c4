//! Scaling ReplicaSets up and down: rolling, recreating, and in proportion.

use super::report::Report;
use super::{DESIRED, MAXIMUM, Round, Set};
use crate::context::Context;
use crate::resources::REPLICA_SETS;
use crate::value::{int_or, observed};
use serde_json::json;

impl Round {
    /// One step of a rolling update: up if possible, else down if possible.
    pub(super) fn roll(&mut self, cx: &mut Context<'_>, report: &mut Report) {
        if self.new.is_some() {
            self.keep_annotations(cx, report);
        } else {
            self.create(cx, report);
            return;
        }
        if self.grow_new(cx) || self.shrink_old(cx) {
            return;
        }
        if self.is_complete(cx) {
            self.clean_up(cx);
        }
    }

    /// One step of a recreating update: all old pods go before the first new one comes.
    pub(super) fn recreate(&mut self, cx: &mut Context<'_>, report: &mut Report) {
        if self.new.is_some() {
            self.keep_annotations(cx, report);
        }
        let running: Vec<usize> = (0..self.old.len())
            .filter(|at| self.old[*at].replicas > 0)
            .collect();
        if !running.is_empty() {
            for at in running {
                scale(cx, &mut self.old[at], 0, &self.plan);
            }
            return;
        }
        if self.old_pods_run(cx) {
            return;
        }
        let replicas = self.plan.replicas;
        match &mut self.new {
            None => self.create(cx, report),
            Some(new) => {
                scale(cx, new, replicas, &self.plan);
            }
        }
        if self.is_complete(cx) {
            self.clean_up(cx);
        }
    }

    fn grow_new(&mut self, cx: &mut Context<'_>) -> bool {
        let (pods, plan) = (self.pods(), self.plan);
        let Some(new) = &mut self.new else {
            return false;
        };
        if new.replicas >= plan.replicas {
            return scale(cx, new, plan.replicas, &plan);
        }
        let room = (plan.most() - pods)
            .max(0)
            .min(plan.replicas - new.replicas);
        let size = new.replicas + room;
        scale(cx, new, size, &plan)
    }

    fn shrink_old(&mut self, cx: &mut Context<'_>) -> bool {
        let old: i64 = self.old.iter().map(|set| set.replicas).sum();
        if old == 0 {
            return false;
        }
        let (new_replicas, new_available) = self
            .new
            .as_ref()
            .map_or((0, 0), |new| (new.replicas, new.available()));
        let room = self.pods() - self.plan.fewest() - (new_replicas - new_available);
        if room <= 0 {
            return false;
        }
        // Unhealthy pods go first: they would hold the rollout back without serving anybody.
        let mut cleaned = 0;
        for set in &mut self.old {
            let unhealthy = set.replicas - set.available();
            let take = unhealthy.min(room - cleaned);
            if take > 0 {
                let size = set.replicas - take;
                scale(cx, set, size, &self.plan);
                cleaned += take;
            }
        }
        let available: i64 = self.all().map(Set::available).sum();
        let spare = available - self.plan.fewest();
        let mut taken = 0;
        for set in &mut self.old {
            let take = set.replicas.min(spare - taken);
            if take > 0 {
                let size = set.replicas - take;
                scale(cx, set, size, &self.plan);
                taken += take;
            }
        }
        cleaned + taken > 0
    }

    fn is_complete(&self, cx: &Context<'_>) -> bool {
        let count = |field: &str| int_or(cx.object, field, 0);
        count("status.updatedReplicas") == self.plan.replicas
            && count("status.replicas") == self.plan.replicas
            && count("status.availableReplicas") == self.plan.replicas
            && observed(cx.object) >= cx.generation()
    }

    /// Follows a change of `spec.replicas` in the middle of a rollout, or while paused, without hastening it.
    pub(super) fn scale_in_proportion(&mut self, cx: &mut Context<'_>) {
        let plan = self.plan;
        let active = self.all().filter(|set| set.replicas > 0).count();
        if active <= 1 {
            // The one that runs, else the newest.
            let target = match self.new.as_mut() {
                Some(new) if active == 0 || new.replicas > 0 => Some(new),
                _ => {
                    let running = self
                        .old
                        .iter()
                        .rposition(|set| set.replicas > 0 || active == 0);
                    running.and_then(|at| self.old.get_mut(at))
                }
            };
            if let Some(target) = target {
                scale(cx, target, plan.replicas, &plan);
            }
            return;
        }
        let saturated = self.new.as_ref().is_some_and(|new| {
            new.replicas == plan.replicas
                && new.number(DESIRED) == Some(plan.replicas)
                && new.available() == plan.replicas
        });
        if saturated {
            for set in self.old.iter_mut().filter(|set| set.replicas > 0) {
                scale(cx, set, 0, &plan);
            }
            return;
        }
        if !plan.recreate {
            self.share(cx);
        }
    }

    fn share(&mut self, cx: &mut Context<'_>) {
        let plan = self.plan;
        let allowed = if plan.replicas > 0 { plan.most() } else { 0 };
        let to_add = allowed - self.pods();
        let before = int_or(cx.object, "status.replicas", 0);
        let mut sets: Vec<&mut Set> = self
            .old
            .iter_mut()
            .chain(self.new.as_mut())
            .filter(|set| set.replicas > 0)
            .collect();
        // Larger ones first; of equal ones the newer when growing, the older when shrinking.
        sets.sort_by(|a, b| {
            let age = if to_add > 0 {
                b.created.cmp(&a.created)
            } else {
                a.created.cmp(&b.created)
            };
            b.replicas.cmp(&a.replicas).then(age)
        });
        let mut added = 0;
        let mut sizes: Vec<i64> = Vec::new();
        for set in &sets {
            let share = if to_add == 0 || to_add == added {
                0
            } else {
                let fraction = fraction(set, &plan, before);
                let left = to_add - added;
                if to_add > 0 {
                    fraction.min(left)
                } else {
                    fraction.max(left)
                }
            };
            added += share;
            sizes.push(set.replicas + share);
        }
        for (index, (set, size)) in sets.into_iter().zip(sizes).enumerate() {
            let size = if index == 0 {
                (size + to_add - added).max(0)
            } else {
                size
            };
            scale_always(cx, set, size, &plan);
        }
    }
}

fn fraction(set: &Set, plan: &super::Plan, before: i64) -> i64 {
    if plan.replicas == 0 {
        return -set.replicas;
    }
    let known = set
        .number(MAXIMUM)
        .filter(|most| *most != 0)
        .unwrap_or(before);
    if known == 0 {
        return 0;
    }
    let size = (set.replicas * plan.most()) as f64 / known as f64;
    size.round() as i64 - set.replicas
}

/// Scales a ReplicaSet, when that changes its size.
fn scale(cx: &mut Context<'_>, set: &mut Set, size: i64, plan: &super::Plan) -> bool {
    if set.replicas == size {
        return false;
    }
    scale_always(cx, set, size, plan);
    true
}

fn scale_always(cx: &mut Context<'_>, set: &mut Set, size: i64, plan: &super::Plan) {
    let noted =
        set.number(DESIRED) == Some(plan.replicas) && set.number(MAXIMUM) == Some(plan.most());
    if set.replicas == size && noted {
        return;
    }
    let annotations = json!({DESIRED: plan.replicas.to_string(), MAXIMUM: plan.most().to_string()});
    let mut patch = json!({"metadata": {"annotations": annotations}});
    if set.replicas != size {
        patch["spec"] = json!({"replicas": size});
        let direction = if set.replicas < size { "up" } else { "down" };
        let (set_name, before) = (set.name(), set.replicas);
        let message = format!("Scaled {direction} replica set {set_name} from {before} to {size}");
        cx.patch(&REPLICA_SETS, &set.object, patch);
        cx.event("Normal", "ScalingReplicaSet", message);
    } else {
        cx.patch(&REPLICA_SETS, &set.object, patch);
    }
    set.replicas = size;
}
