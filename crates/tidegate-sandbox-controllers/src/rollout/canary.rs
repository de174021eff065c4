//! Canary arithmetic: the weight at a step, and how many pods that is on each side.

use crate::fault::parse_duration;
use crate::value::{Rounding, at, int, scaled};
use serde_json::{Value, json};
use std::time::Duration;

/// A step of a canary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// This share of the pods, in percent.
    Weight(i64),
    /// A wait; without a duration until somebody promotes.
    Pause(Option<Duration>),
    /// A number of canary pods of its own: needs a router, here it changes nothing.
    Scale,
    /// Analyses, experiments, routes, plugins: taken as passed.
    Other,
}

impl Step {
    pub(super) fn read(step: &Value) -> Self {
        if let Some(weight) = int(step, "setWeight") {
            return Self::Weight(weight.clamp(0, 100));
        }
        if let Some(pause) = step.get("pause") {
            let duration = pause.get("duration").and_then(|duration| match duration {
                Value::Number(seconds) => Some(Duration::from_secs(seconds.as_u64()?)),
                Value::String(text) => text
                    .parse()
                    .map(Duration::from_secs)
                    .ok()
                    .or_else(|| parse_duration(text)),
                _ => None,
            });
            return Self::Pause(duration);
        }
        if step.get("setCanaryScale").is_some() {
            Self::Scale
        } else {
            Self::Other
        }
    }
}

/// The weight in force at a step: the last one set.
pub(super) fn weight(steps: &[Step], current: usize) -> i64 {
    let so_far = steps.iter().take(current + 1).rev();
    so_far
        .filter_map(|step| {
            if let Step::Weight(weight) = step {
                Some(*weight)
            } else {
                None
            }
        })
        .next()
        .unwrap_or(0)
}

/// How many pods there may be too many and too few.
pub(super) fn limits(rollout: &Value, replicas: i64) -> (i64, i64) {
    let quarter = json!("25%");
    let value = |field: &str| {
        let value = at(rollout, "spec.strategy.canary").get(field);
        value.cloned().unwrap_or_else(|| quarter.clone())
    };
    let surge = scaled(&value("maxSurge"), replicas, Rounding::Up)
        .unwrap_or(1)
        .max(0);
    let unavailable = scaled(&value("maxUnavailable"), replicas, Rounding::Down)
        .unwrap_or(0)
        .max(0);
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

/// Canary and stable pods that come closest to a weight (argo-rollouts `utils/replicaset/canary.go`).
pub(super) fn split(replicas: i64, weight: i64, surge: i64) -> (i64, i64) {
    let zero_is_fine = weight == 0 || weight == 100 || (replicas == 1 && surge == 0);
    let mut candidates: Vec<(i64, i64)> = Vec::new();
    for total in [replicas, replicas + 1]
        .into_iter()
        .take(if surge > 0 { 2 } else { 1 })
    {
        let share = total * weight;
        let (floor, ceil) = (share.div_euclid(100), (share + 99).div_euclid(100));
        if total == replicas {
            if ceil < total || zero_is_fine {
                candidates.push((ceil, total));
            }
        } else {
            candidates.push((ceil, total));
        }
        if share.rem_euclid(100) != 50 && (floor != 0 || zero_is_fine) {
            candidates.push((floor, total));
        }
    }
    let distance = |(canary, total): &(i64, i64)| {
        if *total == 0 {
            return 0;
        }
        // Distances are compared as integers: scaled by 1000 per percent.
        (canary * 100_000 / total - weight * 1_000).abs()
    };
    let best = candidates
        .into_iter()
        .min_by_key(distance)
        .unwrap_or((0, replicas));
    (best.0, best.1 - best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_become_pods() {
        for (replicas, weight, surge, expected) in [
            (10, 20, 1, (2, 8)),
            (10, 0, 1, (0, 10)),
            (10, 100, 1, (10, 0)),
            (1, 50, 1, (1, 1)),
            (1, 50, 0, (1, 0)),
            (5, 10, 1, (1, 5)),
            (3, 33, 1, (1, 2)),
        ] {
            assert_eq!(
                split(replicas, weight, surge),
                expected,
                "{replicas} at {weight} %"
            );
        }
    }
}
