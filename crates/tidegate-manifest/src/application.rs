//! Argo CD's Application as it is written, read with all its mistakes at once (Argo CD section 1).
//!
//! The typed view holds what Tidegate acts on; [`Application::document`] keeps the whole document, unknown
//! fields included, for output.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_yaml::Node;

use crate::fields::{Fields, Reader};
use crate::object::describe;
use crate::{ApplicationOptions, Diagnostic, GroupKind, Origin};

/// Automatic syncs retry this often when nothing else is said.
const AUTOMATED_RETRY_LIMIT: i64 = 5;
/// History entries kept when nothing else is said.
const HISTORY_LIMIT: usize = 10;

/// An Application.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, empty when not given.
    pub namespace: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// `spec.project`; empty is `default`.
    pub project: String,
    /// `spec.sources`, or the one `spec.source`.
    pub sources: Vec<ApplicationSource>,
    /// Whether the document used `sources`.
    pub is_multi_source: bool,
    /// `spec.destination`.
    pub destination: Destination,
    /// `spec.syncPolicy`.
    pub sync_policy: SyncPolicy,
    /// `spec.ignoreDifferences`.
    pub ignore_differences: Vec<IgnoreDifference>,
    /// `spec.revisionHistoryLimit`.
    pub revision_history_limit: usize,
    /// The whole document.
    pub document: Value,
    /// Where the document stands.
    pub origin: Origin,
}

/// One source of manifests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApplicationSource {
    /// `repoURL`.
    pub repo_url: String,
    /// `path`, from the repository's root.
    pub path: Option<String>,
    /// `targetRevision`; empty is HEAD.
    pub target_revision: String,
    /// `chart`.
    pub chart: Option<String>,
    /// `ref`.
    pub reference: Option<String>,
    /// `name`.
    pub name: Option<String>,
    /// `tagPrefix`.
    pub tag_prefix: Option<String>,
    /// `directory`.
    pub directory: Option<DirectoryOptions>,
    /// `helm`, as written.
    pub helm: Option<Value>,
    /// `kustomize`, as written.
    pub kustomize: Option<Value>,
    /// `plugin`, as written.
    pub plugin: Option<Value>,
    /// The whole source, as written.
    pub document: Value,
}

/// The `directory` sub-spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryOptions {
    /// `recurse`.
    pub recurse: bool,
    /// `include`, a glob.
    pub include: Option<String>,
    /// `exclude`, a glob.
    pub exclude: Option<String>,
    /// `disableExtensionFilter`.
    pub disable_extension_filter: bool,
    /// `jsonnet`, as written.
    pub jsonnet: Option<Value>,
}

/// Where an Application goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// `server`, without trailing slashes.
    pub server: Option<String>,
    /// `name`.
    pub name: Option<String>,
    /// `namespace`, for objects that have none.
    pub namespace: String,
}

/// `spec.syncPolicy`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncPolicy {
    /// `automated`, when on.
    pub automated: Option<Automated>,
    /// `syncOptions`, read.
    pub options: ApplicationOptions,
    /// `syncOptions`, as written.
    pub option_list: Vec<String>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `managedNamespaceMetadata`.
    pub managed_namespace_metadata: Option<ManagedNamespaceMetadata>,
}

/// `spec.syncPolicy.automated`, with `enabled` not false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Automated {
    /// Prune in automatic syncs.
    pub prune: bool,
    /// Sync again on live drift.
    pub self_heal: bool,
    /// Permit a sync that removes everything.
    pub allow_empty: bool,
}

/// How often a failed operation is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryLimit {
    /// This many times.
    Times(u32),
    /// Without end.
    Unlimited,
}

/// `spec.syncPolicy.retry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often.
    pub limit: RetryLimit,
    /// How far apart.
    pub backoff: Backoff,
    /// `refresh`: on retry use the newest revision.
    pub refresh: bool,
}

/// `retry.backoff`: wait = min(`max`, `duration` · `factor`^n).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub duration: Duration,
    /// What each further wait is multiplied by.
    pub factor: u32,
    /// The longest wait; zero is without a cap.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(5),
            factor: 2,
            max: Duration::from_secs(180),
        }
    }
}

impl Backoff {
    /// The wait before retry number `count`, from 0.
    pub fn wait(&self, count: u32) -> Duration {
        let factor = f64::from(self.factor.max(1)).powi(i32::try_from(count).unwrap_or(i32::MAX));
        let cap = if self.max.is_zero() {
            Duration::from_secs(86_400 * 365)
        } else {
            self.max
        };
        let seconds = self.duration.as_secs_f64() * factor;
        if seconds.is_finite() && seconds < cap.as_secs_f64() {
            Duration::from_secs_f64(seconds)
        } else {
            cap
        }
    }
}

impl Retry {
    /// What an automatic sync does when the Application says nothing.
    pub fn automated_default() -> Self {
        Self {
            limit: RetryLimit::Times(u32::try_from(AUTOMATED_RETRY_LIMIT).expect("a small number")),
            backoff: Backoff::default(),
            refresh: false,
        }
    }

    /// Whether another retry is due after `count` of them.
    pub fn permits(&self, count: u32) -> bool {
        match self.limit {
            RetryLimit::Times(limit) => count < limit,
            RetryLimit::Unlimited => true,
        }
    }
}

/// `spec.syncPolicy.managedNamespaceMetadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedNamespaceMetadata {
    /// Labels of the namespace.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the namespace.
    pub annotations: BTreeMap<String, String>,
}

/// One entry of `spec.ignoreDifferences`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoreDifference {
    /// A glob; empty is the core group only.
    pub group: String,
    /// A glob.
    pub kind: String,
    /// Exact; absent is any.
    pub name: Option<String>,
    /// Exact; absent is any.
    pub namespace: Option<String>,
    /// RFC 6902 pointers.
    pub json_pointers: Vec<String>,
    /// jq path expressions.
    pub jq_path_expressions: Vec<String>,
    /// Field managers whose fields are left alone.
    pub managed_fields_managers: Vec<String>,
}

impl Application {
    /// Whether a document is an Application.
    pub fn matches(kind: &GroupKind) -> bool {
        kind.is("argoproj.io", "Application")
    }

    /// The project's name, `default` when none is given.
    pub fn project_name(&self) -> &str {
        if self.project.is_empty() {
            "default"
        } else {
            &self.project
        }
    }

    /// How an operation of this Application is retried.
    pub fn retry(&self, is_automated: bool) -> Retry {
        match &self.sync_policy.retry {
            Some(retry) => retry.clone(),
            None if is_automated => Retry::automated_default(),
            None => Retry {
                limit: RetryLimit::Times(0),
                ..Retry::automated_default()
            },
        }
    }

    /// Reads an Application with all its mistakes at once.
    ///
    /// None when it cannot be acted on; warnings may come with an Application.
    pub fn from_node(node: &Node, origin: &Origin) -> (Option<Self>, Vec<Diagnostic>) {
        let place = Origin {
            line: node.span.line,
            column: node.span.column,
            ..origin.clone()
        };
        let mut reader = Reader::new(origin, describe(node));
        let root = Fields::root(node);
        let application = read_application(&mut reader, &root, place);
        let found = reader.finish();
        let usable = application.filter(|_| !found.iter().any(Diagnostic::is_error));
        (usable, found)
    }
}

fn read_application(
    reader: &mut Reader<'_>,
    root: &Fields<'_>,
    origin: Origin,
) -> Option<Application> {
    let metadata = reader.mapping(root, "metadata");
    let metadata = metadata.unwrap_or_else(|| Fields {
        node: root.node,
        path: ".metadata".to_owned(),
    });
    let name = reader.required_text(&metadata, "name", "give the Application a name");
    let Some(spec) = reader.mapping(root, "spec") else {
        if root.present("spec").is_none() {
            reader.error(
                root.node,
                ".spec",
                ".spec is missing",
                "write spec with source, destination and project",
            );
        }
        return None;
    };
    let (sources, is_multi_source) = read_sources(reader, &spec);
    let destination = read_destination(reader, &spec);
    let sync_policy = read_sync_policy(reader, &spec);
    if spec.present("sourceHydrator").is_some() {
        reader.error(
            spec.node,
            ".spec.sourceHydrator",
            "sourceHydrator is not supported yet",
            "point spec.source at the hydrated branch",
        );
    }
    warn_unknown(reader, &spec, SPEC_FIELDS);
    let limit = reader.integer(&spec, "revisionHistoryLimit");
    Some(Application {
        name,
        namespace: reader.text(&metadata, "namespace").unwrap_or_default(),
        labels: reader.text_map(&metadata, "labels").unwrap_or_default(),
        annotations: reader
            .text_map(&metadata, "annotations")
            .unwrap_or_default(),
        finalizers: reader.texts(&metadata, "finalizers").unwrap_or_default(),
        project: reader.text(&spec, "project").unwrap_or_default(),
        sources,
        is_multi_source,
        destination,
        sync_policy,
        ignore_differences: read_ignore_differences(reader, &spec),
        revision_history_limit: limit.map_or(HISTORY_LIMIT, |n| usize::try_from(n).unwrap_or(0)),
        document: root.node.to_json(),
        origin,
    })
}

const SPEC_FIELDS: &[&str] = &[
    "project",
    "source",
    "sources",
    "sourceHydrator",
    "destination",
    "syncPolicy",
    "ignoreDifferences",
    "info",
    "revisionHistoryLimit",
];

const SOURCE_FIELDS: &[&str] = &[
    "repoURL",
    "path",
    "targetRevision",
    "chart",
    "ref",
    "name",
    "tagPrefix",
    "directory",
    "helm",
    "kustomize",
    "plugin",
];

/// Unknown fields are kept and told: the API server drops them silently, which hides typing errors.
fn warn_unknown(reader: &mut Reader<'_>, of: &Fields<'_>, known: &[&str]) {
    for key in of.keys() {
        if known.contains(&&*key.text) {
            continue;
        }
        let near = known
            .iter()
            .find(|name| name.eq_ignore_ascii_case(&key.text));
        let help = match near {
            Some(near) => format!("did you mean {near:?}?"),
            None => "remove it, or check its spelling and indentation".to_owned(),
        };
        let node = Node {
            span: key.span,
            value: tidegate_yaml::Value::Null,
        };
        let path = of.child(&key.text);
        reader.warning(
            &node,
            &path,
            format!("{path} is not a known field and has no effect"),
            &help,
        );
    }
}

fn read_sources(reader: &mut Reader<'_>, spec: &Fields<'_>) -> (Vec<ApplicationSource>, bool) {
    let many = reader.mappings(spec, "sources").unwrap_or_default();
    if !many.is_empty() {
        let sources = many
            .iter()
            .map(|source| read_source(reader, source, true))
            .collect();
        return (sources, true);
    }
    match reader.mapping(spec, "source") {
        Some(source) => (vec![read_source(reader, &source, false)], false),
        None => {
            let has_hydrator = spec.present("sourceHydrator").is_some();
            if !has_hydrator && spec.present("source").is_none() {
                reader.error(
                    spec.node,
                    ".spec.source",
                    ".spec.source is missing",
                    "write spec.source with repoURL, path and targetRevision",
                );
            }
            (Vec::new(), false)
        }
    }
}

fn read_source(reader: &mut Reader<'_>, source: &Fields<'_>, is_multi: bool) -> ApplicationSource {
    let repo_url = reader.required_text(source, "repoURL", "write the repository's URL");
    let path = reader.text(source, "path").filter(|p| !p.is_empty());
    let chart = reader.text(source, "chart").filter(|c| !c.is_empty());
    let reference = reader.text(source, "ref").filter(|r| !r.is_empty());
    let target_revision = reader.text(source, "targetRevision").unwrap_or_default();
    let has_place = path.is_some() || chart.is_some() || (is_multi && reference.is_some());
    if !has_place {
        let path = source.child("path");
        let wanted = if is_multi {
            "path, chart or ref"
        } else {
            "path or chart"
        };
        reader.error(
            source.node,
            &path,
            format!("{} needs {wanted}", source.path),
            "write path: . for the repository's root",
        );
    }
    if chart.is_some() && target_revision.is_empty() {
        reader.error(
            source.node,
            &source.child("targetRevision"),
            "a chart needs targetRevision",
            "write the chart's version",
        );
    }
    let tools: Vec<&str> = ["directory", "helm", "kustomize", "plugin"]
        .into_iter()
        .filter(|tool| source.present(tool).is_some())
        .collect();
    if tools.len() > 1 {
        let message = format!("multiple application sources defined: {}", tools.join(", "));
        reader.error(source.node, &source.path, message, "keep one of them");
    }
    if let Some(path) = &path
        && (path.starts_with('/') || path.split('/').any(|part| part == ".."))
    {
        let field = source.child("path");
        let message = format!("{field} {path:?} leaves the repository");
        reader.error(
            source.node,
            &field,
            message,
            "write a path from the repository's root, without ..",
        );
    }
    warn_unknown(reader, source, SOURCE_FIELDS);
    ApplicationSource {
        repo_url,
        path,
        target_revision,
        chart,
        reference,
        name: reader.text(source, "name"),
        tag_prefix: reader.text(source, "tagPrefix"),
        directory: read_directory(reader, source),
        helm: source.json("helm"),
        kustomize: source.json("kustomize"),
        plugin: source.json("plugin"),
        document: source.node.to_json(),
    }
}

fn read_directory(reader: &mut Reader<'_>, source: &Fields<'_>) -> Option<DirectoryOptions> {
    let directory = reader.mapping(source, "directory")?;
    warn_unknown(
        reader,
        &directory,
        &[
            "recurse",
            "include",
            "exclude",
            "disableExtensionFilter",
            "jsonnet",
        ],
    );
    Some(DirectoryOptions {
        recurse: reader.flag(&directory, "recurse").unwrap_or(false),
        include: reader
            .text(&directory, "include")
            .filter(|glob| !glob.is_empty()),
        exclude: reader
            .text(&directory, "exclude")
            .filter(|glob| !glob.is_empty()),
        disable_extension_filter: reader
            .flag(&directory, "disableExtensionFilter")
            .unwrap_or(false),
        jsonnet: directory
            .json("jsonnet")
            .filter(|value| value.as_object().is_some_and(|map| !map.is_empty())),
    })
}

fn read_destination(reader: &mut Reader<'_>, spec: &Fields<'_>) -> Destination {
    let Some(destination) = reader.mapping(spec, "destination") else {
        if spec.present("destination").is_none() {
            reader.error(
                spec.node,
                ".spec.destination",
                ".spec.destination is missing",
                "write destination with server or name, and namespace",
            );
        }
        return Destination::default();
    };
    warn_unknown(reader, &destination, &["server", "name", "namespace"]);
    let server = reader
        .text(&destination, "server")
        .filter(|s| !s.is_empty());
    let name = reader.text(&destination, "name").filter(|n| !n.is_empty());
    match (&server, &name) {
        (Some(_), Some(_)) => reader.error(
            destination.node,
            &destination.path,
            "destination has both server and name",
            "keep one of them",
        ),
        (None, None) => reader.error(
            destination.node,
            &destination.path,
            "destination has neither server nor name",
            "write server: https://kubernetes.default.svc for the cluster at hand, or the name of a destination",
        ),
        (Some(_), None) | (None, Some(_)) => {}
    }
    Destination {
        server: server.map(|s| s.trim_end_matches('/').to_owned()),
        name,
        namespace: reader.text(&destination, "namespace").unwrap_or_default(),
    }
}

fn read_sync_policy(reader: &mut Reader<'_>, spec: &Fields<'_>) -> SyncPolicy {
    let Some(policy) = reader.mapping(spec, "syncPolicy") else {
        return SyncPolicy::default();
    };
    warn_unknown(
        reader,
        &policy,
        &[
            "automated",
            "syncOptions",
            "retry",
            "managedNamespaceMetadata",
        ],
    );
    let automated = reader.mapping(&policy, "automated").and_then(|automated| {
        warn_unknown(
            reader,
            &automated,
            &["enabled", "prune", "selfHeal", "allowEmpty"],
        );
        let enabled = reader.flag(&automated, "enabled").unwrap_or(true);
        let read = Automated {
            prune: reader.flag(&automated, "prune").unwrap_or(false),
            self_heal: reader.flag(&automated, "selfHeal").unwrap_or(false),
            allow_empty: reader.flag(&automated, "allowEmpty").unwrap_or(false),
        };
        enabled.then_some(read)
    });
    let option_list = reader.texts(&policy, "syncOptions").unwrap_or_default();
    let (options, unknown) = ApplicationOptions::parse(option_list.iter().map(String::as_str));
    if let Some((node, path)) = policy.present("syncOptions") {
        for option in unknown {
            reader.warning(
                node,
                &path,
                format!("sync option {option:?} is not known and has no effect"),
                "options are matched exactly, for example CreateNamespace=true",
            );
        }
    }
    let managed_namespace_metadata =
        reader
            .mapping(&policy, "managedNamespaceMetadata")
            .map(|metadata| ManagedNamespaceMetadata {
                labels: reader.text_map(&metadata, "labels").unwrap_or_default(),
                annotations: reader
                    .text_map(&metadata, "annotations")
                    .unwrap_or_default(),
            });
    SyncPolicy {
        automated,
        options,
        option_list,
        retry: read_retry(reader, &policy),
        managed_namespace_metadata,
    }
}

fn read_retry(reader: &mut Reader<'_>, policy: &Fields<'_>) -> Option<Retry> {
    let retry = reader.mapping(policy, "retry")?;
    warn_unknown(reader, &retry, &["limit", "backoff", "refresh"]);
    let limit = match reader.integer(&retry, "limit").unwrap_or(0) {
        limit if limit < 0 => RetryLimit::Unlimited,
        limit => RetryLimit::Times(u32::try_from(limit).unwrap_or(u32::MAX)),
    };
    let mut backoff = Backoff::default();
    if let Some(fields) = reader.mapping(&retry, "backoff") {
        warn_unknown(reader, &fields, &["duration", "factor", "maxDuration"]);
        if let Some(duration) = read_duration(reader, &fields, "duration") {
            backoff.duration = duration;
        }
        if let Some(factor) = reader.integer(&fields, "factor") {
            backoff.factor = u32::try_from(factor).unwrap_or(1);
        }
        if let Some(max) = read_duration(reader, &fields, "maxDuration") {
            backoff.max = max;
        }
    }
    let refresh = reader.flag(&retry, "refresh").unwrap_or(false);
    Some(Retry {
        limit,
        backoff,
        refresh,
    })
}

/// A Go duration; a bare integer is seconds.
fn read_duration(reader: &mut Reader<'_>, of: &Fields<'_>, key: &str) -> Option<Duration> {
    let (node, path) = of.present(key)?;
    let text = match &node.value {
        tidegate_yaml::Value::Number(number) => number.to_string(),
        _ => reader.text(of, key)?,
    };
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let parsed = tidegate_gocompat::duration::Duration::parse(&text).ok();
    match parsed.and_then(tidegate_gocompat::duration::Duration::to_std) {
        Some(duration) => Some(duration),
        None => {
            reader.error(
                node,
                &path,
                format!("{text:?} is not a duration"),
                "write for example 5s, 3m or 1h30m",
            );
            None
        }
    }
}

fn read_ignore_differences(reader: &mut Reader<'_>, spec: &Fields<'_>) -> Vec<IgnoreDifference> {
    let entries = reader
        .mappings(spec, "ignoreDifferences")
        .unwrap_or_default();
    entries
        .iter()
        .map(|entry| IgnoreDifference {
            group: reader.text(entry, "group").unwrap_or_default(),
            kind: reader.required_text(entry, "kind", "write the kind the rule is for, or \"*\""),
            name: reader.text(entry, "name").filter(|n| !n.is_empty()),
            namespace: reader.text(entry, "namespace").filter(|n| !n.is_empty()),
            json_pointers: reader.texts(entry, "jsonPointers").unwrap_or_default(),
            jq_path_expressions: reader.texts(entry, "jqPathExpressions").unwrap_or_default(),
            managed_fields_managers: reader
                .texts(entry, "managedFieldsManagers")
                .unwrap_or_default(),
        })
        .collect()
}
