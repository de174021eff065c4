//! Faults on demand: what a test wants the server to do wrong, and the requests it applies to.
//! Matching is here; `http/serve.rs` carries a matched fault out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lock::RwLock;

/// How many rules may wait at the same time.
pub const MAX_FAULTS: usize = 1_000;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Fault {
    /// 429 with `Retry-After`.
    #[serde(rename_all = "camelCase")]
    TooManyRequests {
        /// Seconds.
        retry_after_seconds: u32,
    },
    /// 503.
    Unavailable,
    /// 500.
    InternalError,
    /// 409 of an outdated revision.
    Conflict,
    /// 403 in the words of RBAC.
    Forbidden,
    /// The answer comes later.
    #[serde(rename_all = "camelCase")]
    Latency {
        /// Milliseconds, at most [`MAX_LATENCY`].
        milliseconds: u64,
    },
    /// The connection breaks before any answer.
    Disconnect,
    /// A watch ends after so many events.
    #[serde(rename_all = "camelCase")]
    DropWatch {
        /// Events that still arrive.
        after_events: u32,
    },
    /// A watch ends with an in-stream 410 after so many events.
    #[serde(rename_all = "camelCase")]
    ExpireWatch {
        /// Events that still arrive.
        after_events: u32,
    },
}

/// The longest latency a fault may ask for.
pub const MAX_LATENCY: Duration = Duration::from_secs(60);

/// Which requests, what happens to them, and how often. Absent fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct FaultRule {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// API group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Plural resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Object name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happens.
    pub fault: Option<Fault>,
    /// How many requests to let pass first.
    pub after: u32,
    /// How many requests it applies to; without it every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// A request as far as faults tell requests apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl FaultRule {
    fn matches(&self, asked: Asked<'_>) -> bool {
        let is = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|w| w == have);
        is(&self.verb, asked.verb)
            && is(&self.group, asked.group)
            && is(&self.resource, asked.resource)
            && is(&self.namespace, asked.namespace)
            && is(&self.name, asked.name)
    }
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct Faults {
    rules: RwLock<Vec<FaultRule>>,
}

impl Faults {
    /// Adds a rule; `false` when there are [`MAX_FAULTS`] already.
    pub fn add(&self, rule: FaultRule) -> bool {
        let mut rules = self.rules.write();
        let room = rules.len() < MAX_FAULTS;
        if room {
            rules.push(rule);
        }
        room
    }

    /// The rules still in force.
    pub fn rules(&self) -> Vec<FaultRule> {
        self.rules.read().clone()
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules.write().clear();
    }

    /// The faults of this request, in the order of their rules; counts them.
    pub(crate) fn of(&self, asked: Asked<'_>) -> Vec<Fault> {
        if self.rules.read().is_empty() {
            return Vec::new();
        }
        let mut hit = Vec::new();
        self.rules.write().retain_mut(|rule| {
            if !rule.matches(asked) {
                return true;
            }
            if rule.after > 0 {
                rule.after -= 1;
                return true;
            }
            hit.extend(rule.fault.clone());
            match &mut rule.times {
                None => true,
                Some(times) => {
                    *times = times.saturating_sub(1);
                    *times > 0
                }
            }
        });
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_waits_counts_and_goes() {
        let faults = Faults::default();
        faults.add(FaultRule {
            verb: Some("patch".to_owned()),
            fault: Some(Fault::Unavailable),
            after: 1,
            times: Some(2),
            ..FaultRule::default()
        });
        let patch = Asked {
            verb: "patch",
            resource: "pods",
            ..Asked::default()
        };
        let get = Asked {
            verb: "get",
            ..patch
        };
        let hits: Vec<usize> = [patch, get, patch, patch, patch]
            .map(|asked| faults.of(asked).len())
            .to_vec();
        assert_eq!(hits, [0, 0, 1, 1, 0]);
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn rules_read_and_write_as_json() {
        let text = r#"{"verb":"list","fault":{"type":"tooManyRequests","retryAfterSeconds":3},"after":0,"times":1}"#;
        let rule: FaultRule = serde_json::from_str(text).unwrap();
        assert_eq!(
            rule.fault,
            Some(Fault::TooManyRequests {
                retry_after_seconds: 3
            })
        );
        assert_eq!(serde_json::to_string(&rule).unwrap(), text);
    }
}
