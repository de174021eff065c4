//! A function: its versions, aliases, policies and settings, and how they are shown.
//!
//! Must not know: HTTP, processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tidegate_sandbox_aws::service::{Refusal, Scope};

use crate::code::Code;
use crate::fault::{conflict, missing};
use crate::names::{LATEST, arn};

/// One version of a function; `$LATEST` changes, the numbered ones do not.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// `$LATEST` or a number.
    pub(crate) name: String,
    /// What requests set, in the shape of FunctionConfiguration.
    pub(crate) config: Map<String, Value>,
    pub(crate) code: Arc<Code>,
    pub(crate) revisions: Revisions,
    pub(crate) modified: Timestamp,
    /// Until then it is Pending.
    pub(crate) active_at: Timestamp,
    /// Until then its last update is InProgress.
    pub(crate) updated_at: Timestamp,
}

/// The revision ids of a version: a change gives a new one, and so does its end.
#[derive(Clone, Debug)]
pub(crate) struct Revisions {
    /// Another code or configuration, another build.
    pub(crate) build: String,
    changing: String,
    settled: String,
}

impl Revisions {
    /// Those of a change that begins now.
    pub(crate) fn new() -> Self {
        Self {
            build: revision(),
            changing: revision(),
            settled: revision(),
        }
    }

    /// Those of a version that keeps one id whatever its state.
    pub(crate) fn steady() -> Self {
        let own = revision();
        Self {
            build: revision(),
            changing: own.clone(),
            settled: own,
        }
    }

    /// Something about the version changed that it does not run by.
    fn touch(&mut self) {
        self.changing = revision();
        self.settled = revision();
    }
}

/// A name for a version.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) version: String,
    pub(crate) description: String,
    /// Shares of other versions.
    pub(crate) weights: BTreeMap<String, f64>,
    pub(crate) revision: String,
}

/// Who may do what with a function or a qualifier of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) statements: Vec<Value>,
}

/// Capacity that is kept ready.
#[derive(Clone, Debug)]
pub(crate) struct Provisioned {
    pub(crate) requested: u64,
    pub(crate) ready_at: Timestamp,
    pub(crate) modified: Timestamp,
}

/// A function.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) latest: Version,
    pub(crate) versions: BTreeMap<u64, Version>,
    pub(crate) next: u64,
    pub(crate) aliases: BTreeMap<String, Alias>,
    /// By qualifier; empty for the function itself.
    pub(crate) policies: BTreeMap<String, Policy>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) concurrency: Option<u64>,
    pub(crate) provisioned: BTreeMap<String, Provisioned>,
    /// By qualifier, `$LATEST` for the function itself.
    pub(crate) invocations: BTreeMap<String, Value>,
    pub(crate) urls: BTreeMap<String, Value>,
    pub(crate) runtime_management: Value,
    pub(crate) recursion: String,
}

/// A moment as Lambda writes it.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

impl Version {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.config
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(crate) fn number(&self, field: &str, default: u64) -> u64 {
        self.config
            .get(field)
            .and_then(Value::as_u64)
            .unwrap_or(default)
    }

    /// `Pending` or `Active`.
    pub(crate) fn is_pending(&self, now: Timestamp) -> bool {
        now < self.active_at
    }

    /// The revision id at a moment.
    pub(crate) fn revision(&self, now: Timestamp) -> &str {
        if now < self.active_at.max(self.updated_at) {
            &self.revisions.changing
        } else {
            &self.revisions.settled
        }
    }

    /// Refuses a change while an earlier one is under way.
    ///
    /// # Errors
    /// One is.
    pub(crate) fn settled(&self, scope: &Scope, name: &str) -> Result<(), Refusal> {
        if self.is_pending(scope.now) {
            return Err(conflict(
                "The operation cannot be performed at this time. The function is currently in the following state: Pending",
            ));
        }
        if scope.now < self.updated_at {
            return Err(conflict(format!(
                "The operation cannot be performed at this time. An update is in progress for resource: {}",
                arn(scope, name, None)
            )));
        }
        Ok(())
    }

    /// FunctionConfiguration.
    pub(crate) fn show(&self, scope: &Scope, function: &str, qualified: bool) -> Value {
        let mut map = self.config.clone();
        let own = (qualified || self.name != LATEST).then_some(self.name.as_str());
        map.insert("FunctionName".into(), json!(function));
        map.insert("FunctionArn".into(), json!(arn(scope, function, own)));
        map.insert("Version".into(), json!(self.name));
        map.insert("CodeSize".into(), json!(self.code.archive.len()));
        map.insert("CodeSha256".into(), json!(self.code.sha256));
        map.insert("LastModified".into(), json!(stamp(self.modified)));
        map.insert("RevisionId".into(), json!(self.revision(scope.now)));
        if self.is_pending(scope.now) {
            map.insert("State".into(), json!("Pending"));
            map.insert(
                "StateReason".into(),
                json!("The function is being created."),
            );
            map.insert("StateReasonCode".into(), json!("Creating"));
        } else {
            map.insert("State".into(), json!("Active"));
        }
        if self.is_pending(scope.now) {
            // A function that is being created has no update yet.
        } else if scope.now < self.updated_at {
            map.insert("LastUpdateStatus".into(), json!("InProgress"));
            map.insert(
                "LastUpdateStatusReason".into(),
                json!("The function is being created."),
            );
            map.insert("LastUpdateStatusReasonCode".into(), json!("Creating"));
        } else {
            map.insert("LastUpdateStatus".into(), json!("Successful"));
        }
        let optimised = map.get("SnapStart").and_then(|s| s.get("ApplyOn"))
            == Some(&json!("PublishedVersions"));
        if let Some(snap) = map.get_mut("SnapStart").and_then(Value::as_object_mut) {
            let on = optimised && self.name != LATEST;
            snap.insert(
                "OptimizationStatus".into(),
                json!(if on { "On" } else { "Off" }),
            );
        }
        if self.code.image.is_none() {
            let version = format!(
                "arn:aws:lambda:{}::runtime:{}",
                scope.region,
                "0".repeat(64)
            );
            map.insert(
                "RuntimeVersionConfig".into(),
                json!({"RuntimeVersionArn": version}),
            );
        }
        Value::Object(map)
    }
}

impl Alias {
    pub(crate) fn show(&self, scope: &Scope, function: &str, name: &str) -> Value {
        let mut map = Map::new();
        map.insert("AliasArn".into(), json!(arn(scope, function, Some(name))));
        map.insert("Name".into(), json!(name));
        map.insert("FunctionVersion".into(), json!(self.version));
        map.insert("Description".into(), json!(self.description));
        if !self.weights.is_empty() {
            map.insert(
                "RoutingConfig".into(),
                json!({"AdditionalVersionWeights": self.weights}),
            );
        }
        map.insert("RevisionId".into(), json!(self.revision));
        Value::Object(map)
    }

    /// The version that an invocation gets; `share` is at least 0 and below 1.
    fn pick(&self, share: f64) -> &str {
        let mut passed = 0.0;
        for (version, weight) in &self.weights {
            passed += weight;
            if share < passed {
                return version;
            }
        }
        &self.version
    }
}

impl Function {
    /// The version behind a qualifier.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn version(
        &self,
        scope: &Scope,
        qualifier: Option<&str>,
    ) -> Result<&Version, Refusal> {
        let gone = || {
            missing(format!(
                "Function not found: {}",
                arn(scope, &self.name, qualifier)
            ))
        };
        match qualifier {
            None | Some(LATEST) => Ok(&self.latest),
            Some(word) => {
                let version = self
                    .aliases
                    .get(word)
                    .map_or(word, |alias| alias.version.as_str());
                if version == LATEST {
                    return Ok(&self.latest);
                }
                let number: u64 = version.parse().map_err(|_| gone())?;
                self.versions.get(&number).ok_or_else(gone)
            }
        }
    }

    /// The version that an invocation runs; an alias with weights draws one.
    ///
    /// # Errors
    /// There is no such version or alias.
    pub(crate) fn resolve(
        &self,
        scope: &Scope,
        qualifier: Option<&str>,
    ) -> Result<&Version, Refusal> {
        match self.aliases.get(qualifier.unwrap_or(LATEST)) {
            Some(alias) => {
                let draw = u32::try_from(uuid::Uuid::new_v4().as_u128() & 0xffff_ffff).unwrap_or(0);
                let share = f64::from(draw) / (f64::from(u32::MAX) + 1.0);
                self.version(scope, Some(alias.pick(share)))
            }
            None => self.version(scope, qualifier),
        }
    }

    /// The revision id of what a qualifier names: an alias has its own.
    ///
    /// # Errors
    /// It names nothing.
    pub(crate) fn revision(
        &self,
        scope: &Scope,
        qualifier: Option<&str>,
    ) -> Result<String, Refusal> {
        match self.aliases.get(qualifier.unwrap_or(LATEST)) {
            Some(alias) => Ok(alias.revision.clone()),
            None => {
                let version = self.version(scope, qualifier)?;
                Ok(version.revision(scope.now).to_owned())
            }
        }
    }

    /// Gives what a qualifier names a new revision id.
    pub(crate) fn touch(&mut self, qualifier: Option<&str>) {
        let word = qualifier.unwrap_or(LATEST);
        if let Some(alias) = self.aliases.get_mut(word) {
            alias.revision = revision();
        } else if word == LATEST {
            self.latest.revisions.touch();
        } else if let Some(version) = word
            .parse()
            .ok()
            .and_then(|n: u64| self.versions.get_mut(&n))
        {
            version.revisions.touch();
        }
    }

    /// Refuses a qualifier that names nothing.
    ///
    /// # Errors
    /// It does.
    pub(crate) fn check(&self, scope: &Scope, qualifier: Option<&str>) -> Result<(), Refusal> {
        self.version(scope, qualifier).map(drop)
    }
}

/// A new revision id.
pub(crate) fn revision() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_shares_by_weight() {
        let alias = Alias {
            version: "1".into(),
            description: String::new(),
            weights: BTreeMap::from([("2".to_owned(), 0.25)]),
            revision: String::new(),
        };
        assert_eq!(alias.pick(0.0), "2");
        assert_eq!(alias.pick(0.249), "2");
        assert_eq!(alias.pick(0.25), "1");
        assert_eq!(alias.pick(0.999), "1");
    }
}
