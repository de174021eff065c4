//! Tumbling windows: which records belong together, the state that goes from one invocation to the next.
//!
//! Must not know: batches, retries. Windows begin at multiples of their length since the epoch.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Bytes of the state of one window.
const STATE_BYTES: usize = 1 << 20;

/// The windows of one lane.
#[derive(Debug)]
pub(super) struct Tumbling {
    seconds: i64,
    /// When the present window began, in seconds since the epoch.
    start: Option<i64>,
    state: Value,
}

impl Tumbling {
    pub(super) fn new(seconds: u64) -> Self {
        Self {
            seconds: i64::try_from(seconds).unwrap_or(900).max(1),
            start: None,
            state: json!({}),
        }
    }

    fn start_of(&self, at: Timestamp) -> i64 {
        let second = at.as_second();
        second - second.rem_euclid(self.seconds)
    }

    /// Do two records belong to the same window?
    pub(super) fn is_same(&self, one: Timestamp, other: Timestamp) -> bool {
        self.start_of(one) == self.start_of(other)
    }

    /// When the present window ends.
    pub(super) fn end(&self) -> Option<Timestamp> {
        let start = self.start?;
        Timestamp::from_second(start.saturating_add(self.seconds)).ok()
    }

    /// Is the present window to be closed before the record that arrived at `next` is done?
    pub(super) fn is_due(&self, next: Option<Timestamp>, now: Timestamp, closed: bool) -> bool {
        let (Some(start), Some(end)) = (self.start, self.end()) else {
            return false;
        };
        match next {
            Some(next) => self.start_of(next) > start,
            None => now >= end || closed,
        }
    }

    /// Begins the window of a record unless it has begun.
    pub(super) fn open(&mut self, at: Timestamp) {
        if self.start.is_none() {
            self.start = Some(self.start_of(at));
        }
    }

    /// Ends the window, or only its state when the window stays.
    pub(super) fn close(&mut self, stays: bool) {
        self.state = json!({});
        if !stays {
            self.start = None;
        }
    }

    /// Writes the window into an event; `closing` says whether it is the last one, and whether it ends early.
    pub(super) fn describe(&self, event: &mut Value, closing: Option<bool>) {
        let start = self.start.unwrap_or(0);
        let stamp = |second: i64| {
            Timestamp::from_second(second)
                .map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
                .unwrap_or_default()
        };
        event["window"] =
            json!({"start": stamp(start), "end": stamp(start.saturating_add(self.seconds))});
        event["state"] = self.state.clone();
        event["isFinalInvokeForWindow"] = json!(closing.is_some());
        event["isWindowTerminatedEarly"] = json!(closing == Some(true));
    }

    /// Takes the state of an answer; false when it has none.
    pub(super) fn answered(&mut self, answer: &[u8]) -> bool {
        let Ok(mut answer) = serde_json::from_slice::<Value>(answer) else {
            return false;
        };
        match answer.get_mut("state").map(Value::take) {
            Some(state @ Value::Object(_)) => {
                self.state = state;
                true
            }
            _ => false,
        }
    }

    /// Is the state larger than a window may keep?
    pub(super) fn is_large(&self) -> bool {
        self.state.to_string().len() > STATE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_at_multiples_of_their_length() {
        let at = |second: i64| Timestamp::from_second(second).expect("within range");
        let mut own = Tumbling::new(120);
        assert!(own.is_same(at(240), at(359)));
        assert!(!own.is_same(at(240), at(360)));
        assert!(
            !own.is_due(Some(at(400)), at(1_000), false),
            "no window has begun"
        );
        own.open(at(300));
        assert_eq!(own.end(), Some(at(360)));
        assert!(!own.is_due(Some(at(350)), at(1_000), false));
        assert!(own.is_due(Some(at(360)), at(301), false));
        assert!(own.is_due(None, at(360), false));
        assert!(own.is_due(None, at(301), true));
        assert!(own.answered(br#"{"state":{"n":1}}"#));
        assert!(!own.answered(br#"{"n":1}"#));
        let mut event = json!({});
        own.describe(&mut event, Some(false));
        assert_eq!(
            event,
            json!({
                "window": {"start": "1970-01-01T00:04:00Z", "end": "1970-01-01T00:06:00Z"},
                "state": {"n": 1}, "isFinalInvokeForWindow": true, "isWindowTerminatedEarly": false,
            })
        );
        own.close(false);
        assert_eq!(own.end(), None);
    }
}
