//! What an object's annotations say about a sync, parsed once (Argo CD 7.1, 7.2, 7.5, 8).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::annotation;

/// The phases of a sync in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Before anything of the sync itself.
    PreSync,
    /// The sync itself: every plain object is of this phase.
    Sync,
    /// After the sync is healthy.
    PostSync,
    /// Only when the sync failed.
    SyncFail,
}

impl Phase {
    /// The word as Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::PreSync => "PreSync",
            Phase::Sync => "Sync",
            Phase::PostSync => "PostSync",
            Phase::SyncFail => "SyncFail",
        }
    }
}

/// The hook types that do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HookKind {
    /// Runs before the sync.
    PreSync,
    /// Runs with the sync.
    Sync,
    /// Runs after the sync is healthy.
    PostSync,
    /// Runs when the sync failed.
    SyncFail,
    /// Runs before the application is deleted.
    PreDelete,
    /// Runs after the application's objects are gone.
    PostDelete,
}

impl HookKind {
    /// The sync phase this hook runs in, none for deletion hooks.
    pub fn phase(self) -> Option<Phase> {
        match self {
            HookKind::PreSync => Some(Phase::PreSync),
            HookKind::Sync => Some(Phase::Sync),
            HookKind::PostSync => Some(Phase::PostSync),
            HookKind::SyncFail => Some(Phase::SyncFail),
            HookKind::PreDelete | HookKind::PostDelete => None,
        }
    }

    /// The word as Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            HookKind::PreSync => "PreSync",
            HookKind::Sync => "Sync",
            HookKind::PostSync => "PostSync",
            HookKind::SyncFail => "SyncFail",
            HookKind::PreDelete => "PreDelete",
            HookKind::PostDelete => "PostDelete",
        }
    }

    fn from_argo(word: &str) -> Option<Self> {
        [
            HookKind::PreSync,
            HookKind::Sync,
            HookKind::PostSync,
            HookKind::SyncFail,
            HookKind::PreDelete,
            HookKind::PostDelete,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
    }

    fn from_helm(word: &str) -> Option<Self> {
        match word {
            "pre-install" | "pre-upgrade" => Some(HookKind::PreSync),
            "post-install" | "post-upgrade" => Some(HookKind::PostSync),
            "pre-delete" => Some(HookKind::PreDelete),
            "post-delete" => Some(HookKind::PostDelete),
            _ => None,
        }
    }
}

/// When a hook is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HookDeletePolicy {
    /// Before it runs again; the default.
    BeforeHookCreation,
    /// When the whole sync succeeded.
    HookSucceeded,
    /// When the sync failed.
    HookFailed,
}

/// What an object is in a sync.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Role {
    /// Desired state: applied, compared, counted for health, pruned.
    #[default]
    Resource,
    /// Runs in its phases; neither compared nor counted.
    Hook,
    /// `hook: Skip`: not applied, not compared, not counted.
    Skip,
    /// A hook annotation of no known type: neither applied nor compared (Argo CD 6.1).
    Ignored,
}

/// How `Prune` and `Delete` of one object are permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Approval {
    /// `=true`: without asking.
    Allowed,
    /// `=confirm`: when a person approved it.
    Confirm,
    /// `=false`: never.
    Forbidden,
}

/// How dependents go when an object is deleted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum PropagationPolicy {
    /// Dependents first; the default.
    #[default]
    Foreground,
    /// The object first, dependents after it.
    Background,
    /// Dependents stay.
    Orphan,
}

/// Sync options of one object; `None` leaves it to the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResourceOptions {
    /// `Validate`.
    pub validate: Option<bool>,
    /// `SkipDryRunOnMissingResource`.
    pub skip_dry_run_on_missing_resource: bool,
    /// `PruneLast`.
    pub prune_last: bool,
    /// `Prune`.
    pub prune: Option<Approval>,
    /// `Delete`.
    pub delete: Option<Approval>,
    /// `Replace`.
    pub replace: Option<bool>,
    /// `Force`.
    pub force: bool,
    /// `ServerSideApply`.
    pub server_side_apply: Option<bool>,
}

impl ResourceOptions {
    /// Reads a comma list; options match by exact string as in Argo CD, the rest is returned.
    pub fn parse(list: &str) -> (Self, Vec<String>) {
        let mut options = Self::default();
        let mut unknown = Vec::new();
        for item in list
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            match item {
                "Validate=false" => options.validate = Some(false),
                "Validate=true" => options.validate = Some(true),
                "SkipDryRunOnMissingResource=true" => {
                    options.skip_dry_run_on_missing_resource = true;
                }
                "PruneLast=true" => options.prune_last = true,
                "Prune=true" => options.prune = Some(Approval::Allowed),
                "Prune=false" => options.prune = Some(Approval::Forbidden),
                "Prune=confirm" => options.prune = Some(Approval::Confirm),
                "Delete=true" => options.delete = Some(Approval::Allowed),
                "Delete=false" => options.delete = Some(Approval::Forbidden),
                "Delete=confirm" => options.delete = Some(Approval::Confirm),
                "Replace=true" => options.replace = Some(true),
                "Replace=false" => options.replace = Some(false),
                "Force=true" => options.force = true,
                "ServerSideApply=true" => options.server_side_apply = Some(true),
                "ServerSideApply=false" => options.server_side_apply = Some(false),
                other => unknown.push(other.to_owned()),
            }
        }
        (options, unknown)
    }
}

/// Sync options of an application (`spec.syncPolicy.syncOptions`, or of one operation).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ApplicationOptions {
    /// `Validate`.
    pub validate: bool,
    /// `SkipDryRunOnMissingResource`.
    pub skip_dry_run_on_missing_resource: bool,
    /// `CreateNamespace`.
    pub create_namespace: bool,
    /// `PruneLast`.
    pub prune_last: bool,
    /// `Prune`.
    pub prune: Approval,
    /// `Delete`.
    pub delete: Approval,
    /// `Replace`.
    pub replace: bool,
    /// `ServerSideApply`; Tidegate always applies server-side unless it is `false`.
    pub server_side_apply: Option<bool>,
    /// `ClientSideApplyMigration`.
    pub client_side_apply_migration: bool,
    /// `ApplyOutOfSyncOnly`.
    pub apply_out_of_sync_only: bool,
    /// `PrunePropagationPolicy`.
    pub prune_propagation_policy: PropagationPolicy,
    /// `RespectIgnoreDifferences`.
    pub respect_ignore_differences: bool,
    /// `FailOnSharedResource`.
    pub fail_on_shared_resource: bool,
}

impl Default for ApplicationOptions {
    fn default() -> Self {
        Self {
            validate: true,
            skip_dry_run_on_missing_resource: false,
            create_namespace: false,
            prune_last: false,
            prune: Approval::Allowed,
            delete: Approval::Allowed,
            replace: false,
            server_side_apply: None,
            client_side_apply_migration: true,
            apply_out_of_sync_only: false,
            prune_propagation_policy: PropagationPolicy::Foreground,
            respect_ignore_differences: false,
            fail_on_shared_resource: false,
        }
    }
}

impl ApplicationOptions {
    /// Reads the options in order, later ones win; those not recognised are returned.
    pub fn parse<'s>(options: impl IntoIterator<Item = &'s str>) -> (Self, Vec<String>) {
        let mut parsed = Self::default();
        let unknown = options
            .into_iter()
            .filter(|option| !parsed.set(option))
            .map(str::to_owned)
            .collect();
        (parsed, unknown)
    }

    /// Sets one option; false when it is not recognised (exact strings, as in Argo CD).
    pub fn set(&mut self, option: &str) -> bool {
        match option {
            "Validate=true" => self.validate = true,
            "Validate=false" => self.validate = false,
            "SkipDryRunOnMissingResource=true" => self.skip_dry_run_on_missing_resource = true,
            "SkipDryRunOnMissingResource=false" => self.skip_dry_run_on_missing_resource = false,
            "CreateNamespace=true" => self.create_namespace = true,
            "CreateNamespace=false" => self.create_namespace = false,
            "PruneLast=true" => self.prune_last = true,
            "PruneLast=false" => self.prune_last = false,
            "Prune=true" => self.prune = Approval::Allowed,
            "Prune=confirm" => self.prune = Approval::Confirm,
            "Prune=false" => self.prune = Approval::Forbidden,
            "Delete=true" => self.delete = Approval::Allowed,
            "Delete=confirm" => self.delete = Approval::Confirm,
            "Delete=false" => self.delete = Approval::Forbidden,
            "Replace=true" => self.replace = true,
            "Replace=false" => self.replace = false,
            "ServerSideApply=true" => self.server_side_apply = Some(true),
            "ServerSideApply=false" => self.server_side_apply = Some(false),
            "ClientSideApplyMigration=true" => self.client_side_apply_migration = true,
            "ClientSideApplyMigration=false" => self.client_side_apply_migration = false,
            "ApplyOutOfSyncOnly=true" => self.apply_out_of_sync_only = true,
            "ApplyOutOfSyncOnly=false" => self.apply_out_of_sync_only = false,
            "PrunePropagationPolicy=foreground" => {
                self.prune_propagation_policy = PropagationPolicy::Foreground;
            }
            "PrunePropagationPolicy=background" => {
                self.prune_propagation_policy = PropagationPolicy::Background;
            }
            "PrunePropagationPolicy=orphan" => {
                self.prune_propagation_policy = PropagationPolicy::Orphan;
            }
            "RespectIgnoreDifferences=true" => self.respect_ignore_differences = true,
            "RespectIgnoreDifferences=false" => self.respect_ignore_differences = false,
            "FailOnSharedResource=true" => self.fail_on_shared_resource = true,
            "FailOnSharedResource=false" => self.fail_on_shared_resource = false,
            _ => return false,
        }
        true
    }
}

/// How one object is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CompareOptions {
    /// `IgnoreExtraneous`: extra live objects do not make the application OutOfSync.
    pub ignore_extraneous: bool,
    /// `ServerSideDiff`.
    pub server_side_diff: Option<bool>,
    /// `IncludeMutationWebhook`.
    pub include_mutation_webhook: bool,
}

impl CompareOptions {
    fn parse(list: &str) -> Self {
        let mut options = Self::default();
        for item in list.split(',').map(str::trim) {
            match item {
                "IgnoreExtraneous" => options.ignore_extraneous = true,
                "ServerSideDiff=true" => options.server_side_diff = Some(true),
                "ServerSideDiff=false" => options.server_side_diff = Some(false),
                "IncludeMutationWebhook=true" => options.include_mutation_webhook = true,
                _ => {}
            }
        }
        options
    }
}

/// One declared dependency: `[GROUP:]KIND:[NAMESPACE/]NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DependsOn {
    /// The API group; absent matches any.
    pub group: Option<String>,
    /// The kind.
    pub kind: String,
    /// The namespace; absent is the namespace of the object that declares it, or none. Between resources of templates, whose
    /// namespace is their stack, and objects of other worlds, absent is any.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl DependsOn {
    fn parse(item: &str) -> Option<Self> {
        let (head, place) = item.rsplit_once(':')?;
        // Kinds of CloudFormation have colons of their own, always two.
        let single = head.match_indices(':').map(|(at, _)| at).find(|at| {
            let bytes = head.as_bytes();
            let before = at.checked_sub(1).and_then(|before| bytes.get(before));
            before != Some(&b':') && bytes.get(at + 1) != Some(&b':')
        });
        let (group, kind) = match single {
            Some(at) => (Some(head[..at].to_owned()), &head[at + 1..]),
            None => (None, head),
        };
        if kind.replace("::", "").contains(':') {
            return None;
        }
        let (namespace, name) = match place.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, place),
        };
        if kind.is_empty() || name.is_empty() || name.contains('/') {
            return None;
        }
        Some(Self {
            group,
            kind: kind.to_owned(),
            namespace,
            name: name.to_owned(),
        })
    }
}

/// What an object's annotations say about a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncFacts {
    /// What the object is in a sync.
    pub role: Role,
    /// Hook types, in order, without repetition; empty for plain objects.
    pub hooks: Vec<HookKind>,
    /// The wave.
    pub wave: i32,
    /// When the hook is deleted; never empty for a hook.
    pub delete_policies: Vec<HookDeletePolicy>,
    /// Sync options.
    pub options: ResourceOptions,
    /// Compare options.
    pub compare: CompareOptions,
    /// Declared dependencies.
    pub depends_on: Vec<DependsOn>,
    /// `ignore-healthcheck: "true"`.
    pub ignore_healthcheck: bool,
    /// `helm.sh/resource-policy: keep`.
    pub helm_keep: bool,
}

/// An annotation that could not be read as meant; what happens instead is in `message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactWarning {
    /// The annotation's name.
    pub annotation: &'static str,
    /// What is wrong and what happens instead.
    pub message: String,
    /// What to write.
    pub help: String,
    /// Whether the object must not be applied as it stands.
    pub is_error: bool,
}

impl SyncFacts {
    /// Reads the facts of an object (desired or live) out of its annotations.
    pub fn of(body: &serde_json::Value) -> Self {
        Self::read(&annotations_of(body)).0
    }

    /// Reads the facts and says which annotations could not be read as meant.
    pub fn read(annotations: &BTreeMap<&str, &str>) -> (Self, Vec<FactWarning>) {
        let get = |name: &str| annotations.get(name).copied();
        let mut warnings = Vec::new();
        let (role, hooks) = read_hooks(
            get(annotation::HOOK),
            get(annotation::HELM_HOOK),
            &mut warnings,
        );
        let delete_policies = if role == Role::Hook {
            read_delete_policies(
                get(annotation::HOOK_DELETE_POLICY),
                get(annotation::HELM_HOOK_DELETE_POLICY),
            )
        } else {
            Vec::new()
        };
        let (options, unknown) = get(annotation::SYNC_OPTIONS)
            .map(ResourceOptions::parse)
            .unwrap_or_default();
        warnings.extend(unknown.into_iter().map(|option| FactWarning {
            annotation: annotation::SYNC_OPTIONS,
            message: format!(
                "sync option {option:?} is not known for a resource and has no effect"
            ),
            help: "options are matched exactly, for example Prune=false or Replace=true".to_owned(),
            is_error: false,
        }));
        let wave = read_wave(
            get(annotation::SYNC_WAVE),
            get(annotation::HELM_HOOK_WEIGHT),
            &mut warnings,
        );
        let depends_on = get(annotation::DEPENDS_ON)
            .map(|list| read_depends_on(list, &mut warnings))
            .unwrap_or_default();
        let facts = Self {
            role,
            hooks,
            wave,
            delete_policies,
            options,
            compare: get(annotation::COMPARE_OPTIONS)
                .map(CompareOptions::parse)
                .unwrap_or_default(),
            depends_on,
            ignore_healthcheck: get(annotation::IGNORE_HEALTHCHECK) == Some("true"),
            helm_keep: get(annotation::HELM_RESOURCE_POLICY) == Some("keep"),
        };
        (facts, warnings)
    }

    /// Whether the object is a hook.
    pub fn is_hook(&self) -> bool {
        self.role == Role::Hook
    }

    /// The sync phases the object is a task of: `Sync` for a plain object, none for a deletion hook.
    pub fn phases(&self) -> Vec<Phase> {
        match self.role {
            Role::Resource => vec![Phase::Sync],
            Role::Hook => self.hooks.iter().filter_map(|hook| hook.phase()).collect(),
            Role::Skip | Role::Ignored => Vec::new(),
        }
    }
}

/// The annotations of an object as text.
pub(crate) fn annotations_of(body: &serde_json::Value) -> BTreeMap<&str, &str> {
    body.pointer("/metadata/annotations")
        .and_then(serde_json::Value::as_object)
        .map(|map| {
            map.iter()
                .filter_map(|(k, v)| v.as_str().map(|v| (k.as_str(), v)))
                .collect()
        })
        .unwrap_or_default()
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

fn read_hooks(
    argo: Option<&str>,
    helm: Option<&str>,
    warnings: &mut Vec<FactWarning>,
) -> (Role, Vec<HookKind>) {
    let (list, is_argo) = match (argo, helm) {
        (Some(list), _) => (list, true),
        (None, Some(list)) => (list, false),
        (None, None) => return (Role::Resource, Vec::new()),
    };
    if !is_argo && words(list).any(|word| word == "crd-install") {
        return (Role::Resource, Vec::new());
    }
    let parse = if is_argo {
        HookKind::from_argo
    } else {
        HookKind::from_helm
    };
    let mut hooks: Vec<HookKind> = words(list).filter_map(parse).collect();
    hooks.sort_unstable();
    hooks.dedup();
    if !hooks.is_empty() {
        return (Role::Hook, hooks);
    }
    if is_argo && words(list).any(|word| word == "Skip") {
        return (Role::Skip, Vec::new());
    }
    if is_argo {
        warnings.push(FactWarning {
            annotation: annotation::HOOK,
            message: format!(
                "{list:?} names no hook type: the object is neither applied nor compared"
            ),
            help: "use PreSync, Sync, PostSync, SyncFail, Skip, PreDelete or PostDelete".to_owned(),
            is_error: false,
        });
    }
    (Role::Ignored, Vec::new())
}

fn read_delete_policies(argo: Option<&str>, helm: Option<&str>) -> Vec<HookDeletePolicy> {
    let from_argo = |word: &str| match word {
        "BeforeHookCreation" => Some(HookDeletePolicy::BeforeHookCreation),
        "HookSucceeded" => Some(HookDeletePolicy::HookSucceeded),
        "HookFailed" => Some(HookDeletePolicy::HookFailed),
        _ => None,
    };
    let from_helm = |word: &str| match word {
        "before-hook-creation" => Some(HookDeletePolicy::BeforeHookCreation),
        "hook-succeeded" => Some(HookDeletePolicy::HookSucceeded),
        "hook-failed" => Some(HookDeletePolicy::HookFailed),
        _ => None,
    };
    let mut policies: Vec<HookDeletePolicy> = match (argo, helm) {
        (Some(list), _) => words(list).filter_map(from_argo).collect(),
        (None, Some(list)) => words(list).filter_map(from_helm).collect(),
        (None, None) => Vec::new(),
    };
    policies.sort_unstable();
    policies.dedup();
    if policies.is_empty() {
        policies.push(HookDeletePolicy::BeforeHookCreation);
    }
    policies
}

/// Strict decimal integer; what does not parse falls through to the next source (Argo CD 7.2).
fn read_wave(argo: Option<&str>, helm: Option<&str>, warnings: &mut Vec<FactWarning>) -> i32 {
    let mut parse = |name: &'static str, text: Option<&str>| {
        let text = text?;
        let wave = text.parse::<i32>().ok();
        if wave.is_none() {
            warnings.push(FactWarning {
                annotation: name,
                message: format!("{text:?} is not an integer: the wave falls back to its default"),
                help: "write a decimal integer in quotes, for example \"-1\" or \"2\"".to_owned(),
                is_error: false,
            });
        }
        wave
    };
    parse(annotation::SYNC_WAVE, argo)
        .or_else(|| parse(annotation::HELM_HOOK_WEIGHT, helm))
        .unwrap_or(0)
}

fn read_depends_on(list: &str, warnings: &mut Vec<FactWarning>) -> Vec<DependsOn> {
    let mut found = Vec::new();
    for item in words(list) {
        match DependsOn::parse(item) {
            Some(dependency) => found.push(dependency),
            None => warnings.push(FactWarning {
                annotation: annotation::DEPENDS_ON,
                message: format!("{item:?} is not a reference"),
                help: "write [GROUP:]KIND:[NAMESPACE/]NAME, for example \
                       kafka.strimzi.io:KafkaTopic:events"
                    .to_owned(),
                is_error: true,
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "the cases read better")]
    fn check(
        annotations: serde_json::Value,
        role: Role,
        hooks: &[HookKind],
        wave: i32,
        warnings: usize,
    ) {
        let body = json!({"metadata": {"annotations": annotations}});
        let (facts, found) = SyncFacts::read(&annotations_of(&body));
        assert_eq!(
            (facts.role, facts.hooks.as_slice(), facts.wave),
            (role, hooks, wave),
            "{body}"
        );
        assert_eq!(found.len(), warnings, "{body}: {found:?}");
    }

    #[test]
    fn hooks_and_waves_follow_argo_cd() {
        use HookKind::{PostDelete, PostSync, PreSync, Sync, SyncFail};
        check(json!({}), Role::Resource, &[], 0, 0);
        check(
            json!({"argocd.argoproj.io/hook": "PreSync, PostSync"}),
            Role::Hook,
            &[PreSync, PostSync],
            0,
            0,
        );
        check(
            json!({"argocd.argoproj.io/hook": "Skip"}),
            Role::Skip,
            &[],
            0,
            0,
        );
        check(
            json!({"argocd.argoproj.io/hook": "Skip,Sync"}),
            Role::Hook,
            &[Sync],
            0,
            0,
        );
        check(
            json!({"argocd.argoproj.io/hook": "Presync"}),
            Role::Ignored,
            &[],
            0,
            1,
        );
        check(
            json!({"helm.sh/hook": "pre-install,pre-upgrade"}),
            Role::Hook,
            &[PreSync],
            0,
            0,
        );
        check(json!({"helm.sh/hook": "test"}), Role::Ignored, &[], 0, 0);
        check(
            json!({"helm.sh/hook": "crd-install"}),
            Role::Resource,
            &[],
            0,
            0,
        );
        check(
            json!({"helm.sh/hook": "post-delete", "argocd.argoproj.io/hook": "SyncFail"}),
            Role::Hook,
            &[SyncFail],
            0,
            0,
        );
        check(
            json!({"helm.sh/hook": "post-delete", "helm.sh/hook-weight": "-3"}),
            Role::Hook,
            &[PostDelete],
            -3,
            0,
        );
        check(
            json!({"argocd.argoproj.io/sync-wave": "5", "helm.sh/hook-weight": "-3"}),
            Role::Resource,
            &[],
            5,
            0,
        );
        check(
            json!({"argocd.argoproj.io/sync-wave": "x", "helm.sh/hook-weight": "-3"}),
            Role::Resource,
            &[],
            -3,
            1,
        );
        check(
            json!({"argocd.argoproj.io/sync-wave": "0x5"}),
            Role::Resource,
            &[],
            0,
            1,
        );
        check(
            json!({"argocd.argoproj.io/sync-wave": " 1"}),
            Role::Resource,
            &[],
            0,
            1,
        );
    }

    #[test]
    fn options_match_exactly() {
        let (options, unknown) =
            ResourceOptions::parse("Prune=False, Replace=true ,Delete=confirm");
        assert_eq!(unknown, ["Prune=False"]);
        assert_eq!(options.prune, None);
        assert_eq!(options.replace, Some(true));
        assert_eq!(options.delete, Some(Approval::Confirm));
    }

    #[test]
    fn references_are_read_in_all_their_forms() {
        let parse = |text| DependsOn::parse(text).map(|d| (d.group, d.kind, d.namespace, d.name));
        let some = |g: Option<&str>, k: &str, ns: Option<&str>, n: &str| {
            Some((
                g.map(str::to_owned),
                k.to_owned(),
                ns.map(str::to_owned),
                n.to_owned(),
            ))
        };
        assert_eq!(parse("Service:web"), some(None, "Service", None, "web"));
        assert_eq!(
            parse("apps:Deployment:x/web"),
            some(Some("apps"), "Deployment", Some("x"), "web")
        );
        assert_eq!(
            parse(":Service:web"),
            some(Some(""), "Service", None, "web")
        );
        assert_eq!(
            parse("AWS::Lambda::Function:etl/Transform"),
            some(None, "AWS::Lambda::Function", Some("etl"), "Transform")
        );
        assert_eq!(
            parse("aws:AWS::Kinesis::Stream:Orders"),
            some(Some("aws"), "AWS::Kinesis::Stream", None, "Orders")
        );
        for bad in ["", "web", "a:b:c:d", "Service:", ":x", "Service:a/b/c"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
