//! The binding file: documents of kind `EventSourceBinding`, with the settings of Lambda's event-source mappings
//! under their names. Reading and checking only; nothing is opened.

mod document;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize as _;
use tidegate_manifest::{Diagnostic, Origin};

use crate::policy::Policy;

/// Most bytes of a binding file.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bindings of a file.
pub const BINDINGS_MAX: usize = 1_000;
/// Bytes of the largest request that a function takes.
pub const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Where records of a new group begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest.
    TrimHorizon,
    /// With those that come after the binding.
    Latest,
    /// With the first one at or after this time, in milliseconds since 1970.
    At(i64),
}

/// Topics of a Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port`, with commas.
    pub bootstrap_servers: Arc<str>,
    /// Topics.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// The MSK cluster, when it is one.
    pub cluster_arn: Option<Arc<str>>,
    /// The word in `eventSource` for clusters that are not MSK.
    pub event_source: Arc<str>,
    /// More settings of the client.
    pub properties: BTreeMap<String, String>,
}

/// Where leases of shards are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseSettings {
    /// A table of DynamoDB, which replicas share; made when it is missing.
    Table(String),
    /// A directory: one replica.
    Folder(PathBuf),
}

/// A stream of Kinesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KinesisSettings {
    /// The stream.
    pub stream_arn: Arc<str>,
    /// Where leases are kept.
    pub leases: LeaseSettings,
    /// How long a lease lives without being renewed: a lost replica's shards stand still for as long.
    pub lease: Duration,
    /// Time between reads of a shard.
    pub poll: Duration,
    /// The Kafka cluster of a failure destination, when one is named.
    pub failure_cluster: Option<KafkaSettings>,
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSettings {
    /// Kafka or MSK.
    Kafka(KafkaSettings),
    /// Kinesis.
    Kinesis(KinesisSettings),
}

impl SourceSettings {
    /// The cluster of a `kafka://` failure destination.
    pub fn failure_cluster(&self) -> Option<&KafkaSettings> {
        match self {
            Self::Kafka(kafka) => Some(kafka),
            Self::Kinesis(kinesis) => kinesis.failure_cluster.as_ref(),
        }
    }
}

/// How CloudEvents travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudEventsMode {
    /// One request per record, attributes in headers.
    Binary,
    /// One request per record, one JSON document.
    Structured,
    /// One request per batch, a JSON array.
    Batch,
}

/// Where batches go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetSettings {
    /// A Lambda function.
    Lambda {
        /// Name or ARN, with a version or an alias when wanted.
        function: String,
    },
    /// The event JSON as a POST.
    Http {
        /// The address.
        url: String,
        /// More headers.
        headers: BTreeMap<String, String>,
        /// Longest request.
        timeout: Duration,
    },
    /// CloudEvents over HTTP.
    CloudEvents {
        /// The address.
        url: String,
        /// How they travel.
        mode: CloudEventsMode,
        /// Their `type`.
        kind: String,
        /// Their `source`; none: made of the topic or the stream.
        source: Option<String>,
        /// More headers.
        headers: BTreeMap<String, String>,
        /// Longest request.
        timeout: Duration,
    },
    /// Nothing: for measurements.
    Discard,
}

/// Where records go that are given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationSettings {
    /// A queue, by ARN.
    Sqs(String),
    /// A topic of SNS, by ARN.
    Sns(String),
    /// A bucket, by name.
    S3(String),
    /// A topic of the source's cluster; for a stream, of the cluster that the binding names.
    Kafka(String),
}

/// How AWS is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// The region.
    pub region: Option<String>,
    /// An emulator.
    pub endpoint_url: Option<String>,
    /// A role to assume.
    pub role_arn: Option<String>,
    /// Id and secret instead of the environment's: for emulators in the same process; no file sets them.
    pub fixed_credentials: Option<(String, String)>,
}

/// A binding of a source to a target, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Its name: the label of its metrics.
    pub name: String,
    /// Whether it runs.
    pub is_enabled: bool,
    /// Where records come from.
    pub source: SourceSettings,
    /// Where they begin.
    pub start: Start,
    /// Where batches go.
    pub target: TargetSettings,
    /// Where records go that are given up.
    pub destination: Option<DestinationSettings>,
    /// Batches, tries, ends.
    pub policy: Policy,
    /// The patterns of `FilterCriteria`, as they stand in the file.
    pub patterns: Vec<String>,
    /// Whether a response names records that failed.
    pub reports_item_failures: bool,
    /// How AWS is reached.
    pub aws: AwsSettings,
    /// Most deliveries at once.
    pub in_flight_max: usize,
    /// Longest wait for deliveries when partitions are taken away or the program ends.
    pub drain: Duration,
    /// Where it stands.
    pub origin: Origin,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Bindings {
    /// The bindings that are whole.
    pub bindings: Vec<Binding>,
    /// What is wrong with the others, and warnings.
    pub findings: Vec<Diagnostic>,
}

impl Bindings {
    /// Whether anything is wrong, beyond warnings.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(Diagnostic::is_error)
    }
}

/// Reads the documents of `text`; `path` is for messages. `env` gives the values of `${env:NAME}`.
pub fn read(path: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Bindings {
    let mut found = Bindings::default();
    if text.len() > FILE_BYTES_MAX {
        let origin = origin(path, 0, 0);
        let message = format!("the file is larger than {FILE_BYTES_MAX} bytes");
        found
            .findings
            .push(Diagnostic::error("TG1201", message, origin));
        return found;
    }
    let starts = document_lines(text);
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let start = starts.get(index).copied().unwrap_or(1);
        if index >= BINDINGS_MAX {
            let message = format!("more than {BINDINGS_MAX} documents in a file");
            found
                .findings
                .push(Diagnostic::error("TG1201", message, origin(path, start, 1)));
            break;
        }
        match serde_json::Value::deserialize(document) {
            Ok(serde_json::Value::Null) => {}
            Ok(value) => read_document(value, &Place { path, text, start }, env, &mut found),
            Err(error) => {
                let place = error.location();
                let (line, column) = place.map_or((start, 1), |at| (at.line(), at.column()));
                let message = format!("no YAML: {error}");
                let finding = Diagnostic::error("TG1201", message, origin(path, line, column));
                found.findings.push(finding.help("mend the line"));
                break;
            }
        }
    }
    refuse_doubles(&mut found);
    found
}

/// What a destination says about bindings that do not say it themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The Kafka cluster of bindings that name none.
    pub bootstrap_servers: Option<String>,
    /// Settings of the client for that cluster.
    pub properties: BTreeMap<String, String>,
    /// AWS, where a binding leaves it open.
    pub aws: AwsSettings,
    /// They replace what bindings name: a sandbox takes every cluster and account.
    pub replaces: bool,
}

/// The binding of a document that is a value already; `origin` is where it stands.
///
/// # Errors
/// What is wrong with it; warnings alone are no error.
pub fn from_value(
    value: &serde_json::Value,
    origin: &Origin,
    defaults: &Defaults,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Binding, Vec<Diagnostic>> {
    let mut found = of_value(value, origin, defaults, env);
    let Some(mut binding) = found.bindings.pop() else {
        return Err(found.findings);
    };
    binding.origin = origin.clone();
    binding.aws = defaults.aws_of(binding.aws);
    Ok(binding)
}

/// What is wrong with a document that is a value already, warnings too; each finding stands at the document.
pub(crate) fn findings(
    value: &serde_json::Value,
    origin: &Origin,
    defaults: &Defaults,
    env: &dyn Fn(&str) -> Option<String>,
) -> Vec<Diagnostic> {
    let mut findings = of_value(value, origin, defaults, env).findings;
    for finding in &mut findings {
        finding.origin = origin.clone();
    }
    findings
}

fn of_value(
    value: &serde_json::Value,
    origin: &Origin,
    defaults: &Defaults,
    env: &dyn Fn(&str) -> Option<String>,
) -> Bindings {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    defaults.fill(&mut value);
    let place = Place {
        path: &origin.path,
        text: "",
        start: usize::try_from(origin.line).unwrap_or(0),
    };
    let mut found = Bindings::default();
    read_document(value, &place, env, &mut found);
    found
}

impl Defaults {
    fn fill(&self, value: &mut serde_json::Value) {
        let Some(servers) = &self.bootstrap_servers else {
            return;
        };
        let Some(spec) = value.get_mut("spec").and_then(|spec| spec.as_object_mut()) else {
            return;
        };
        let names_one = spec.contains_key("SelfManagedEventSource")
            || spec
                .get("kafka")
                .is_some_and(|kafka| kafka.get("bootstrapServers").is_some());
        if names_one && !self.replaces {
            return;
        }
        let kafka = spec.entry("kafka").or_insert_with(|| serde_json::json!({}));
        let Some(kafka) = kafka.as_object_mut() else {
            return;
        };
        kafka.insert("bootstrapServers".to_owned(), servers.as_str().into());
        let own = kafka.get("properties").and_then(|given| given.as_object());
        let mut properties = own.cloned().unwrap_or_default();
        // Secrets and keys are for the cluster that is not asked here.
        let is_access = |name: &str| {
            ["security.", "sasl.", "ssl."]
                .iter()
                .any(|part| name.starts_with(part))
        };
        properties.retain(|name, _| !is_access(name));
        for (name, value) in &self.properties {
            properties.insert(name.clone(), value.as_str().into());
        }
        kafka.insert("properties".to_owned(), properties.into());
    }

    fn aws_of(&self, own: AwsSettings) -> AwsSettings {
        let ours = &self.aws;
        if self.replaces {
            return ours.clone();
        }
        AwsSettings {
            region: own.region.or_else(|| ours.region.clone()),
            endpoint_url: own.endpoint_url.or_else(|| ours.endpoint_url.clone()),
            role_arn: own.role_arn.or_else(|| ours.role_arn.clone()),
            fixed_credentials: own
                .fixed_credentials
                .or_else(|| ours.fixed_credentials.clone()),
        }
    }
}

fn read_document(
    value: serde_json::Value,
    place: &Place<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    found: &mut Bindings,
) {
    let raw: document::Document = match serde_json::from_value(value) {
        Ok(raw) => raw,
        Err(error) => {
            let message = error.to_string();
            let field = message.split('`').nth(1).unwrap_or_default().to_owned();
            let finding = Diagnostic::error("TG1202", message, place.of(&field));
            let help = "settings have the names of Lambda's event-source mappings; docs/src/bridge.md lists them";
            found.findings.push(finding.help(help));
            return;
        }
    };
    let (binding, findings) = raw.check(place, env);
    found.findings.extend(findings);
    found.bindings.extend(binding);
}

fn refuse_doubles(found: &mut Bindings) {
    let mut names: BTreeMap<String, Origin> = BTreeMap::new();
    for binding in &found.bindings {
        if let Some(first) = names.get(&binding.name) {
            let message = format!(
                "binding {} stands here and at {}",
                binding.name,
                first.place()
            );
            let finding = Diagnostic::error("TG1203", message, binding.origin.clone());
            found
                .findings
                .push(finding.help("give one of them another name"));
            continue;
        }
        names.insert(binding.name.clone(), binding.origin.clone());
    }
    let mut seen = std::collections::BTreeSet::new();
    found
        .bindings
        .retain(|binding| seen.insert(binding.name.clone()));
}

/// Where findings of a document stand.
pub(crate) struct Place<'a> {
    path: &'a str,
    text: &'a str,
    start: usize,
}

impl Place<'_> {
    /// The line of a field's first appearance in the document; the document's own when it has none.
    pub(crate) fn of(&self, field: &str) -> Origin {
        let lines = self
            .text
            .lines()
            .enumerate()
            .skip(self.start.saturating_sub(1));
        for (index, line) in lines {
            if index + 1 > self.start && is_separator(line) {
                break;
            }
            if let Some(column) = column_of(line, field) {
                return origin(self.path, index + 1, column);
            }
        }
        origin(self.path, self.start, 1)
    }
}

fn column_of(line: &str, field: &str) -> Option<usize> {
    if field.is_empty() {
        return None;
    }
    let at = line.find(&format!("{field}:"))?;
    let before = line[..at].trim_start_matches([' ', '-', '{', ',']);
    let is_key = before.is_empty() || line[..at].ends_with([' ', '{', ',']);
    is_key.then_some(at + 1)
}

fn origin(path: &str, line: usize, column: usize) -> Origin {
    Origin {
        path: path.to_owned(),
        line: u32::try_from(line).unwrap_or(0),
        column: u32::try_from(column).unwrap_or(0),
        ..Origin::default()
    }
}

fn is_separator(line: &str) -> bool {
    line == "---" || line.starts_with("--- ")
}

/// The first line of each document.
fn document_lines(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut is_open = false;
    for (index, line) in text.lines().enumerate() {
        if is_separator(line) {
            is_open = false;
        } else if !is_open && !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            is_open = true;
            starts.push(index + 1);
        }
    }
    starts
}
