//! Fault annotations: how a manifest asks the simulation to misbehave. Reading only; each kind decides what failing means.

use crate::value::{annotation, at};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The prefix of every annotation that the simulation reads.
pub const PREFIX: &str = "sandbox.tidegate.dev/";

/// The longest delay that an annotation can ask for.
const MAX_DELAY: Duration = Duration::from_secs(7 * 24 * 3600);

/// What an object's annotations ask for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// `fail`: ends in the failed state, with this message.
    pub fail: Option<String>,
    /// `fail-times`: only the first so many attempts fail.
    pub fail_times: Option<u32>,
    /// `delay`: how long the way to the final state takes.
    pub delay: Option<Duration>,
    /// `stuck`: never leaves the first state.
    pub stuck: bool,
    /// `image-pull-backoff`: the image cannot be pulled.
    pub image_pull_backoff: bool,
    /// `crash-loop`: containers exit with 1 right after their start.
    pub crash_loop: bool,
    /// `oom-killed`: containers are killed for their memory.
    pub oom_killed: bool,
}

impl Faults {
    /// Reads the annotations of an object; a value that cannot be read counts as absent.
    pub fn of(object: &Value) -> Self {
        let value = |key: &str| annotation(object, &format!("{PREFIX}{key}"));
        let flag = |key: &str| value(key).is_some_and(|text| !matches!(text, "" | "false"));
        Self {
            fail: value("fail")
                .filter(|text| !matches!(*text, "" | "false"))
                .map(|text| match text {
                    "true" => "failed because an annotation asks for it".to_owned(),
                    text => text.to_owned(),
                }),
            fail_times: value("fail-times").and_then(|text| text.trim().parse().ok()),
            delay: value("delay")
                .and_then(parse_duration)
                .map(|delay| delay.min(MAX_DELAY)),
            stuck: flag("stuck"),
            image_pull_backoff: flag("image-pull-backoff"),
            crash_loop: flag("crash-loop"),
            oom_killed: flag("oom-killed"),
        }
    }

    /// Whether the object never gets well as long as its annotations stay.
    pub fn is_broken(&self) -> bool {
        let fault =
            self.fail.is_some() || self.image_pull_backoff || self.crash_loop || self.oom_killed;
        fault && self.fail_times.is_none()
    }

    /// The failure message of the attempt after `done` attempts, when that attempt fails.
    pub fn failure(&self, done: u32) -> Option<&str> {
        const DEFAULT: &str = "failed because an annotation asks for it";
        match (self.fail_times, &self.fail) {
            (Some(times), fail) if done < times => Some(fail.as_deref().unwrap_or(DEFAULT)),
            (Some(_), _) | (None, None) => None,
            (None, Some(fail)) => Some(fail),
        }
    }
}

/// The fault annotations of an owner that its pods inherit at birth.
pub(crate) fn inherited(owner: &Value) -> Map<String, Value> {
    let all = at(owner, "metadata.annotations").as_object();
    let ours = all
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(PREFIX));
    ours.map(|(key, value)| (key.clone(), json!(value)))
        .collect()
}

/// Reads a duration as Go writes it: `30s`, `1m30s`, `1.5h`, `500ms`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        for (text, millis) in [
            ("30s", Some(30_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("-3s", None),
            ("s", None),
            ("3 s", None),
            ("99999999999999999999999h", None),
        ] {
            assert_eq!(
                parse_duration(text).map(|d| d.as_millis()),
                millis,
                "{text}"
            );
        }
    }

    #[test]
    fn attempts_fail_as_often_as_asked() {
        let faults = |pairs: Value| Faults::of(&json!({"metadata": {"annotations": pairs}}));
        let twice = faults(json!({"sandbox.tidegate.dev/fail-times": "2"}));
        assert_eq!(
            [0, 1, 2].map(|done| twice.failure(done).is_some()),
            [true, true, false]
        );
        let named = faults(
            json!({"sandbox.tidegate.dev/fail-times": "1", "sandbox.tidegate.dev/fail": "boom"}),
        );
        assert_eq!([0, 1].map(|done| named.failure(done)), [Some("boom"), None]);
        let always = faults(json!({"sandbox.tidegate.dev/fail": "boom"}));
        assert_eq!(always.failure(99), Some("boom"));
        assert_eq!(
            faults(json!({"sandbox.tidegate.dev/fail": "false"})),
            Faults::default()
        );
    }
}
