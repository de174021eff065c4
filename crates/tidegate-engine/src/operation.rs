//! An operation: what was asked for, how far it is, and what it did, in Argo CD's words (section 2.2).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_manifest::{
    AWS_GROUP, Application, ApplicationOptions, HookKind, OperationPhase, Phase, ResourceKey,
    ResultCode, Retry,
};

use crate::tasks::Task;
use crate::{Digest, Wait};

/// How objects are brought to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// With hooks; the default.
    Hook {
        /// Delete and create what cannot be changed in place.
        force: bool,
    },
    /// Without hooks.
    Apply {
        /// Delete and create what cannot be changed in place.
        force: bool,
    },
}

impl Default for Strategy {
    fn default() -> Self {
        Strategy::Hook { force: false }
    }
}

impl Strategy {
    /// Whether what cannot be changed in place is deleted and created.
    pub fn is_forced(self) -> bool {
        match self {
            Strategy::Hook { force } | Strategy::Apply { force } => force,
        }
    }

    /// Whether hooks run.
    pub fn runs_hooks(self) -> bool {
        matches!(self, Strategy::Hook { .. })
    }
}

/// One object that a selective sync takes: `GROUP:KIND:[NAMESPACE/]NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceFilter {
    /// The API group; `*` is any.
    pub group: String,
    /// The kind; `*` is any.
    pub kind: String,
    /// The name; `*` is any.
    pub name: String,
    /// The namespace; none is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Take everything but this (`!` in front).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclude: bool,
}

impl std::str::FromStr for ResourceFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (exclude, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let parts: Vec<&str> = if rest.contains("::") {
            of_type(rest)
        } else {
            rest.splitn(3, ':').collect()
        };
        let [group, kind, place] = parts.as_slice() else {
            return Err(format!(
                "{text:?} is not GROUP:KIND:[NAMESPACE/]NAME (the core group is empty, as in :Service:web)"
            ));
        };
        let (namespace, name) = match place.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, *place),
        };
        if kind.is_empty() || name.is_empty() {
            return Err(format!("{text:?} lacks a kind or a name"));
        }
        Ok(Self {
            group: (*group).to_owned(),
            kind: (*kind).to_owned(),
            name: name.to_owned(),
            namespace,
            exclude,
        })
    }
}

/// A CloudFormation type has colons of its own: `aws:AWS::SQS::Queue:Dead`, the group may be left out.
fn of_type(text: &str) -> Vec<&str> {
    let text = text.strip_prefix("aws:").unwrap_or(text);
    match text.rsplit_once(':') {
        Some((kind, place)) if !kind.ends_with(':') => vec![AWS_GROUP, kind, place],
        Some(_) | None => Vec::new(),
    }
}

impl ResourceFilter {
    fn matches(&self, key: &ResourceKey) -> bool {
        let part = |wanted: &str, is: &str| wanted == "*" || wanted == is;
        part(&self.group, &key.group)
            && part(&self.kind, &key.kind)
            && part(&self.name, &key.name)
            && self
                .namespace
                .as_deref()
                .is_none_or(|ns| ns == key.namespace)
    }

    /// Whether a list of filters takes an object: an empty list takes all, exclusions win.
    pub fn selects(filters: &[Self], key: &ResourceKey) -> bool {
        if filters.iter().any(|f| f.exclude && f.matches(key)) {
            return false;
        }
        let mut wanted = filters.iter().filter(|f| !f.exclude).peekable();
        wanted.peek().is_none() || wanted.any(|f| f.matches(key))
    }
}

/// Who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Initiator {
    /// A person's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// Nobody: automation did.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub automated: bool,
}

/// How often and how far apart a failed operation is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// How often; none is without end.
    pub limit: Option<u32>,
    /// The first wait.
    pub duration: Duration,
    /// What each further wait is multiplied by.
    pub factor: u32,
    /// The longest wait; zero is without a cap.
    pub max: Duration,
    /// Take the newest revision on a retry.
    pub refresh: bool,
}

impl From<Retry> for RetryPolicy {
    fn from(retry: Retry) -> Self {
        let limit = match retry.limit {
            tidegate_manifest::RetryLimit::Times(times) => Some(times),
            tidegate_manifest::RetryLimit::Unlimited => None,
        };
        Self {
            limit,
            duration: retry.backoff.duration,
            factor: retry.backoff.factor,
            max: retry.backoff.max,
            refresh: retry.refresh,
        }
    }
}

impl RetryPolicy {
    /// Whether another retry is due after `count` of them.
    pub fn permits(&self, count: u32) -> bool {
        self.limit.is_none_or(|limit| count < limit)
    }

    /// The wait before retry number `count`, from 0.
    pub fn wait(&self, count: u32) -> Duration {
        let backoff = tidegate_manifest::Backoff {
            duration: self.duration,
            factor: self.factor,
            max: self.max,
        };
        backoff.wait(count)
    }
}

/// What a sync is asked to do (`operation.sync`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncRequest {
    /// Delete what is no longer in Git.
    pub prune: bool,
    /// Change nothing.
    pub dry_run: bool,
    /// How.
    pub strategy: Strategy,
    /// Only these objects; then hooks do not run and no history is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceFilter>,
    /// Sync options, read.
    pub options: ApplicationOptions,
    /// Sync options, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub option_list: Vec<String>,
    /// Who asked.
    pub initiated_by: Initiator,
    /// How it is tried again.
    pub retry: RetryPolicy,
    /// How often automation healed this revision before.
    #[serde(default)]
    pub self_heal_attempts: u32,
    /// `argocd.argoproj.io/deletion-approved`: when deletions that ask for it were approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_approved: Option<Timestamp>,
    /// The revision was named by a person: a newer commit does not end the operation.
    #[serde(default)]
    pub is_pinned: bool,
    /// The history entry that is rolled back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<u64>,
}

impl SyncRequest {
    /// A sync that a person asks for, with the application's own options, pruning nothing.
    pub fn manual(application: &Application, username: impl Into<String>) -> Self {
        Self::for_application(
            application,
            Initiator {
                username: username.into(),
                automated: false,
            },
        )
    }

    /// A sync by automation: prunes when the application says so, retries five times by default.
    pub fn automated(application: &Application) -> Self {
        let initiator = Initiator {
            username: String::new(),
            automated: true,
        };
        let prune = application
            .sync_policy
            .automated
            .is_some_and(|automated| automated.prune);
        Self {
            prune,
            ..Self::for_application(application, initiator)
        }
    }

    fn for_application(application: &Application, initiated_by: Initiator) -> Self {
        let approved = application
            .annotations
            .get(tidegate_manifest::annotation::DELETION_APPROVED);
        Self {
            prune: false,
            dry_run: false,
            strategy: Strategy::default(),
            resources: Vec::new(),
            options: application.sync_policy.options.clone(),
            option_list: application.sync_policy.option_list.clone(),
            retry: application.retry(initiated_by.automated).into(),
            initiated_by,
            self_heal_attempts: 0,
            deletion_approved: approved.and_then(|time| time.parse().ok()),
            is_pinned: false,
            rollback_to: None,
        }
    }

    /// Sets one sync option (`Key=value`) for this operation.
    ///
    /// # Errors
    /// The option is not known; options match exactly.
    pub fn option(mut self, option: &str) -> Result<Self, String> {
        if !self.options.set(option) {
            return Err(format!(
                "sync option {option:?} is not known: options match exactly, for example CreateNamespace=true"
            ));
        }
        self.option_list.push(option.to_owned());
        Ok(self)
    }

    /// Whether another request asks for the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.prune, self.dry_run, self.strategy) == (other.prune, other.dry_run, other.strategy)
            && self.resources == other.resources
            && self.options == other.options
    }

    /// Whether hooks run in it.
    pub fn runs_hooks(&self) -> bool {
        self.strategy.runs_hooks() && self.resources.is_empty()
    }

    /// Whether its success makes an entry of the history.
    pub fn writes_history(&self) -> bool {
        !self.dry_run && self.resources.is_empty()
    }
}

/// What one task came to so far (`syncResult.resources[]`): one entry per object and phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceResult {
    /// The object.
    pub key: ResourceKey,
    /// The API version it was applied in.
    pub version: String,
    /// The phase of the task.
    pub sync_phase: Phase,
    /// What applying or pruning came to; none for a task that failed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ResultCode>,
    /// Where the task stands; filled for plain objects too.
    pub hook_phase: OperationPhase,
    /// In the words of the target where it has any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The hook type, for hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_type: Option<HookKind>,
    /// Images of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// The very object that the task made or found.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// When the task was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

impl ResourceResult {
    /// A task that has done nothing yet.
    pub(crate) fn new(task: &Task) -> Self {
        let body = task.body.as_deref();
        Self {
            key: task.key.clone(),
            version: task.gvk.version.clone(),
            sync_phase: task.phase,
            status: None,
            hook_phase: OperationPhase::Running,
            message: String::new(),
            hook_type: task.hook,
            images: body.map(crate::request::images).unwrap_or_default(),
            uid: String::new(),
            started_at: None,
        }
    }

    /// A task that is known by its key only: its object is gone.
    pub(crate) fn of_key(key: &ResourceKey, phase: Phase, uid: &str) -> Self {
        Self {
            key: key.clone(),
            version: String::new(),
            sync_phase: phase,
            status: None,
            hook_phase: OperationPhase::Running,
            message: String::new(),
            hook_type: None,
            images: Vec::new(),
            uid: uid.to_owned(),
            started_at: None,
        }
    }

    /// What tells one task from all others of an operation.
    pub fn task(&self) -> (&ResourceKey, Phase) {
        (&self.key, self.sync_phase)
    }
}

/// An operation: request, progress, results (`status.operationState`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationState {
    /// The operation's identity.
    pub id: String,
    /// What was asked.
    pub request: SyncRequest,
    /// The revisions, one per source.
    pub revisions: Vec<String>,
    /// The sources at the time, as written.
    pub sources: Vec<Value>,
    /// Whether the application used `sources`.
    pub is_multi_source: bool,
    /// What decided what was done: objects and spec.
    pub desired: Digest,
    /// Where it stands.
    pub phase: OperationPhase,
    /// In words.
    pub message: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; with a phase of `Running` the operation waits for a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Retries so far.
    pub retry_count: u32,
    /// Results in the order of execution.
    pub results: Vec<ResourceResult>,
    /// What it waits for right now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
    /// A newer revision ended it.
    #[serde(default)]
    pub is_superseded: bool,
}

impl OperationState {
    /// The first revision, or nothing.
    pub fn revision(&self) -> &str {
        self.revisions.first().map_or("", String::as_str)
    }

    /// The result of one task.
    pub fn result(&self, key: &ResourceKey, phase: Phase) -> Option<&ResourceResult> {
        self.results
            .iter()
            .find(|result| result.task() == (key, phase))
    }

    /// What marks objects as made by this attempt of this operation.
    pub fn attempt_id(&self) -> String {
        format!("{}/{}", self.id, self.retry_count)
    }

    /// Whether it waits for the time of its next retry.
    pub fn is_waiting_for_retry(&self) -> bool {
        self.phase == OperationPhase::Running && self.finished_at.is_some()
    }
}

/// One entry of an application's history (`status.history[]`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Grows by one with each entry.
    pub id: u64,
    /// The revisions, one per source.
    pub revisions: Vec<String>,
    /// The sources, as written.
    pub sources: Vec<Value>,
    /// Whether the application used `sources`.
    pub is_multi_source: bool,
    /// When the sync began.
    pub deploy_started_at: Timestamp,
    /// When it ended.
    pub deployed_at: Timestamp,
    /// Who asked.
    pub initiated_by: Initiator,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_objects_of_both_worlds() {
        let check = |text: &str, expected: Option<(&str, &str, Option<&str>, &str)>| {
            let found: Option<ResourceFilter> = text.parse().ok();
            let found = found.as_ref().map(|filter| {
                let namespace = filter.namespace.as_deref();
                (&*filter.group, &*filter.kind, namespace, &*filter.name)
            });
            assert_eq!(found, expected, "{text}");
        };
        check(":Service:web", Some(("", "Service", None, "web")));
        check(
            "rbac.authorization.k8s.io:ClusterRole:system:node",
            Some((
                "rbac.authorization.k8s.io",
                "ClusterRole",
                None,
                "system:node",
            )),
        );
        check(
            "aws:AWS::SQS::Queue:Dead",
            Some(("aws", "AWS::SQS::Queue", None, "Dead")),
        );
        check(
            "AWS::SQS::Queue:etl/Dead",
            Some(("aws", "AWS::SQS::Queue", Some("etl"), "Dead")),
        );
        check("AWS::SQS::Queue", None);
        check("Service", None);
    }
}
