//! The document of a binding as it is written, and what is checked when it becomes a [`Binding`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tidegate_manifest::{Diagnostic, Origin};

use super::{
    AwsSettings, Binding, CloudEventsMode, DestinationSettings, EVENT_BYTES_MAX, KafkaSettings,
    KinesisSettings, LeaseSettings, Place, SourceSettings, Start, TargetSettings,
};
use crate::filter::{Filter, Kind};
use crate::policy::{Backoff, Exhausted, Oversize, Policy};

/// Retries that AWS applies to a Kafka mapping with a destination and no limit of its own.
const KAFKA_RETRIES_WITH_DESTINATION: u64 = 10;
/// Kafka's window when none is set.
const KAFKA_WINDOW: Duration = Duration::from_millis(500);
const PATTERNS_MAX: usize = 10;
const PATTERN_CHARS_MAX: usize = 4_096;
const TIMEOUT_DEFAULT: u64 = 60;
const TIMEOUT_MAX: u64 = 900;
const IN_FLIGHT_DEFAULT: usize = 64;
const IN_FLIGHT_MAX: usize = 10_000;
const DRAIN_DEFAULT: u64 = 30;
const DRAIN_MAX: u64 = 280;
const LEASE_DEFAULT: u64 = 6;
const POLL_DEFAULT: u64 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
}

impl Metadata {
    /// The binding's name: that of its group and its metrics.
    fn binding(&self) -> String {
        match self.namespace.as_str() {
            "" | "default" => self.name.clone(),
            namespace => format!("{namespace}.{}", self.name),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Spec {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    topics: Vec<String>,
    event_source_arn: Option<String>,
    self_managed_event_source: Option<SelfManagedEventSource>,
    self_managed_kafka_event_source_config: Option<GroupConfig>,
    amazon_managed_kafka_event_source_config: Option<GroupConfig>,
    function_name: Option<String>,
    batch_size: Option<u32>,
    maximum_batching_window_in_seconds: Option<u32>,
    starting_position: Option<String>,
    starting_position_timestamp: Option<f64>,
    filter_criteria: Option<FilterCriteria>,
    parallelization_factor: Option<u32>,
    maximum_retry_attempts: Option<i64>,
    maximum_record_age_in_seconds: Option<i64>,
    #[serde(default)]
    bisect_batch_on_function_error: bool,
    #[serde(default)]
    function_response_types: Vec<String>,
    tumbling_window_in_seconds: Option<u32>,
    destination_config: Option<DestinationConfig>,
    source_access_configurations: Option<serde_json::Value>,
    #[serde(rename = "target")]
    target: Option<Target>,
    #[serde(rename = "kafka", default)]
    kafka: Kafka,
    #[serde(rename = "kinesis")]
    kinesis: Option<Kinesis>,
    #[serde(rename = "aws", default)]
    aws: AwsDocument,
    #[serde(rename = "onExhausted")]
    on_exhausted: Option<OnExhausted>,
    #[serde(rename = "maximumBatchBytes")]
    maximum_batch_bytes: Option<usize>,
    #[serde(rename = "maximumInFlight")]
    maximum_in_flight: Option<usize>,
    #[serde(rename = "drainTimeoutSeconds")]
    drain_timeout_seconds: Option<u64>,
    #[serde(rename = "backoff", default)]
    backoff: BackoffDocument,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SelfManagedEventSource {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoints {
    #[serde(rename = "KAFKA_BOOTSTRAP_SERVERS", alias = "KafkaBootstrapServers")]
    servers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupConfig {
    #[serde(rename = "ConsumerGroupId")]
    group: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterCriteria {
    #[serde(rename = "Filters", default)]
    filters: Vec<FilterDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterDocument {
    #[serde(rename = "Pattern", default)]
    pattern: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationConfig {
    #[serde(rename = "OnFailure")]
    on_failure: Option<OnFailure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnFailure {
    #[serde(rename = "Destination")]
    destination: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum Target {
    Lambda { function: String },
    Http(HttpTarget),
    CloudEvents(HttpTarget),
    Discard {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HttpTarget {
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    timeout_seconds: Option<u64>,
    mode: Option<Mode>,
    #[serde(rename = "type")]
    kind: Option<String>,
    source: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Binary,
    Structured,
    Batch,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kafka {
    bootstrap_servers: Option<String>,
    event_source: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kinesis {
    lease_table: Option<String>,
    state_directory: Option<PathBuf>,
    lease_seconds: Option<u64>,
    poll_millis: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AwsDocument {
    region: Option<String>,
    endpoint_url: Option<String>,
    role_arn: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnExhausted {
    Drop,
    Block,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BackoffDocument {
    initial_millis: Option<u64>,
    factor: Option<f64>,
    maximum_seconds: Option<u64>,
}

/// Collects findings about one document.
struct Checker<'a> {
    place: &'a Place<'a>,
    object: String,
    env: &'a dyn Fn(&str) -> Option<String>,
    findings: Vec<Diagnostic>,
}

impl Document {
    pub(super) fn check(
        self,
        place: &Place<'_>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> (Option<Binding>, Vec<Diagnostic>) {
        let mut checker = Checker {
            place,
            object: format!("EventSourceBinding {}", self.metadata.name),
            env,
            findings: Vec::new(),
        };
        if self.api_version != "tidegate.dev/v1alpha1" || self.kind != "EventSourceBinding" {
            let what = format!("{}/{} is no binding", self.api_version, self.kind);
            checker.refuse(
                "kind",
                what,
                "write apiVersion tidegate.dev/v1alpha1, kind EventSourceBinding",
            );
        }
        if self.metadata.name.is_empty() {
            checker.refuse(
                "name",
                "the binding has no name".to_owned(),
                "set metadata.name",
            );
        }
        let binding = checker.binding(self.metadata.binding(), self.spec, place.of("kind"));
        let is_whole = !checker.findings.iter().any(Diagnostic::is_error);
        (binding.filter(|_| is_whole), checker.findings)
    }
}

impl Checker<'_> {
    fn refuse(&mut self, field: &str, message: String, help: &str) {
        let finding = Diagnostic::error("TG1202", message, self.place.of(field));
        let finding = finding
            .object(self.object.clone())
            .field(format!(".spec.{field}"));
        self.findings.push(finding.help(help));
    }

    fn warn(&mut self, field: &str, message: &str, help: &str) {
        let finding = Diagnostic::warning("TG1204", message, self.place.of(field));
        let finding = finding
            .object(self.object.clone())
            .field(format!(".spec.{field}"));
        self.findings.push(finding.help(help));
    }

    fn within<T: PartialOrd + std::fmt::Display + Copy>(
        &mut self,
        field: &str,
        value: T,
        (low, high): (T, T),
    ) -> T {
        if value < low || value > high {
            let message = format!("{field} is {value}; it is {low} to {high}");
            self.refuse(field, message, "choose a value within the limits");
        }
        value
    }

    fn binding(&mut self, name: String, mut spec: Spec, origin: Origin) -> Option<Binding> {
        if spec.source_access_configurations.is_some() {
            let message = "SourceAccessConfigurations are not read";
            let help = "set security.protocol, sasl.* and ssl.* in kafka.properties; ${env:NAME} takes a value from the environment";
            self.refuse("SourceAccessConfigurations", message.to_owned(), help);
        }
        let service = spec.event_source_arn.as_deref();
        let service = service.and_then(|arn| arn.split(':').nth(2));
        let is_stream = service.is_some_and(|service| service != "kafka");
        let source = self.source(&name, &mut spec);
        let target = self.target(&mut spec, is_stream);
        let destination = self.destination(&spec, source.as_ref());
        self.tumbling(&spec, is_stream, target.as_ref());
        let start = self.start(&spec);
        let policy = self.policy(&spec, is_stream, target.as_ref(), destination.as_ref());
        let patterns = self.patterns(&spec, is_stream);
        let reports_item_failures = self.response_types(&spec);
        let in_flight = spec.maximum_in_flight.unwrap_or(IN_FLIGHT_DEFAULT);
        let in_flight_max = self.within("maximumInFlight", in_flight, (1, IN_FLIGHT_MAX));
        let drain = spec.drain_timeout_seconds.unwrap_or(DRAIN_DEFAULT);
        let drain = Duration::from_secs(self.within("drainTimeoutSeconds", drain, (0, DRAIN_MAX)));
        Some(Binding {
            name,
            is_enabled: spec.enabled,
            source: source?,
            start,
            target: target?,
            destination,
            policy,
            patterns,
            reports_item_failures,
            aws: AwsSettings {
                region: spec.aws.region,
                endpoint_url: spec.aws.endpoint_url,
                role_arn: spec.aws.role_arn,
                fixed_credentials: None,
            },
            in_flight_max,
            drain,
            origin,
        })
    }

    fn tumbling(&mut self, spec: &Spec, is_stream: bool, target: Option<&TargetSettings>) {
        const FIELD: &str = "TumblingWindowInSeconds";
        let seconds = spec.tumbling_window_in_seconds.unwrap_or(0);
        self.within(FIELD, seconds, (0, 900));
        if seconds == 0 {
            return;
        }
        if !is_stream {
            let message = "TumblingWindowInSeconds is for streams; topics have no windows";
            self.refuse(FIELD, message.to_owned(), "remove it");
        }
        if matches!(target, Some(TargetSettings::CloudEvents { .. })) {
            let message = "CloudEvents carry no state from one delivery to the next";
            let help = "deliver to a function or to target.http, or remove TumblingWindowInSeconds";
            self.refuse(FIELD, message.to_owned(), help);
        }
    }

    fn source(&mut self, name: &str, spec: &mut Spec) -> Option<SourceSettings> {
        let arn = spec.event_source_arn.take();
        match arn.as_deref().and_then(|arn| arn.split(':').nth(2)) {
            Some("kinesis") => return self.stream(name, &arn.unwrap_or_default(), spec),
            None | Some("kafka") => {}
            Some(service) => {
                let message = format!("records of {service} are not read");
                let help = "name a stream of Kinesis or an MSK cluster; Lambda's own mappings read the rest";
                self.refuse("EventSourceArn", message, help);
                return None;
            }
        }
        if spec.kinesis.is_some() {
            let message = "kinesis is for streams".to_owned();
            self.refuse(
                "kinesis",
                message,
                "name a stream in EventSourceArn, or remove it",
            );
        }
        let listed = spec
            .self_managed_event_source
            .take()
            .map(|own| own.endpoints.servers.join(","));
        let servers = spec
            .kafka
            .bootstrap_servers
            .take()
            .or(listed)
            .unwrap_or_default();
        if servers.trim().is_empty() {
            let help = "set SelfManagedEventSource.Endpoints.KAFKA_BOOTSTRAP_SERVERS, or kafka.bootstrapServers for MSK";
            self.refuse(
                "SelfManagedEventSource",
                "no Kafka cluster is named".to_owned(),
                help,
            );
        }
        if spec.topics.is_empty() {
            self.refuse("Topics", "no topic is named".to_owned(), "set Topics");
        }
        for topic in &spec.topics {
            let is_char = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            if topic.is_empty() || topic.len() > 249 || !topic.chars().all(is_char) {
                let message = format!("{topic:?} is no name of a topic");
                self.refuse("Topics", message, "up to 249 of a-z A-Z 0-9 . _ -");
            }
        }
        let config = spec
            .self_managed_kafka_event_source_config
            .take()
            .or(spec.amazon_managed_kafka_event_source_config.take());
        let group = config.map_or_else(|| format!("tidegate-{name}"), |config| config.group);
        if group.is_empty() || group.len() > 200 {
            let message = "ConsumerGroupId has 1 to 200 characters".to_owned();
            self.refuse("ConsumerGroupId", message, "choose another");
        }
        let properties = self.properties(&spec.kafka.properties);
        let word = spec.kafka.event_source.take();
        Some(SourceSettings::Kafka(KafkaSettings {
            bootstrap_servers: servers.into(),
            topics: std::mem::take(&mut spec.topics),
            group,
            cluster_arn: arn.map(Into::into),
            event_source: word.unwrap_or_else(|| "SelfManagedKafka".to_owned()).into(),
            properties,
        }))
    }

    fn stream(&mut self, name: &str, arn: &str, spec: &mut Spec) -> Option<SourceSettings> {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
        let is_stream = resource
            .strip_prefix("stream/")
            .is_some_and(|name| !name.is_empty());
        if !is_stream || resource.contains("/consumer/") {
            let message = format!("{arn:?} is no stream");
            let help = "write arn:aws:kinesis:REGION:ACCOUNT:stream/NAME; consumers with a push of their own are not read";
            self.refuse("EventSourceArn", message, help);
            return None;
        }
        if !spec.topics.is_empty() {
            let message = "Topics are for Kafka; EventSourceArn names a stream".to_owned();
            self.refuse("Topics", message, "keep one of the two");
        }
        let given = spec.kinesis.take().unwrap_or_default();
        let leases = match (given.lease_table, given.state_directory) {
            (Some(_), Some(_)) => {
                let message = "leaseTable and stateDirectory are both set".to_owned();
                let help = "keep leaseTable when there may be several replicas";
                self.refuse("leaseTable", message, help);
                return None;
            }
            (None, Some(folder)) => LeaseSettings::Folder(folder),
            (table, None) => {
                let table = table.unwrap_or_else(|| format!("tidegate-{name}"));
                let is_char = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                if !(3..=255).contains(&table.len()) || !table.chars().all(is_char) {
                    let message = format!("{table:?} is no name of a table");
                    self.refuse("leaseTable", message, "3 to 255 of a-z A-Z 0-9 . _ -");
                }
                LeaseSettings::Table(table)
            }
        };
        let lease = given.lease_seconds.unwrap_or(LEASE_DEFAULT);
        let lease = self.within("leaseSeconds", lease, (2, 300));
        let poll = given.poll_millis.unwrap_or(POLL_DEFAULT);
        let poll = self.within("pollMillis", poll, (210, 60_000));
        let failure_cluster = spec.kafka.bootstrap_servers.take().map(|servers| {
            let properties = self.properties(&spec.kafka.properties);
            KafkaSettings {
                bootstrap_servers: servers.into(),
                topics: Vec::new(),
                group: String::new(),
                cluster_arn: None,
                event_source: "SelfManagedKafka".into(),
                properties,
            }
        });
        Some(SourceSettings::Kinesis(KinesisSettings {
            stream_arn: arn.into(),
            leases,
            lease: Duration::from_secs(lease),
            poll: Duration::from_millis(poll),
            failure_cluster,
        }))
    }

    fn properties(
        &mut self,
        given: &BTreeMap<String, serde_json::Value>,
    ) -> BTreeMap<String, String> {
        const OURS: [&str; 7] = [
            "group.id",
            "bootstrap.servers",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "auto.offset.reset",
            "partition.assignment.strategy",
            "enable.partition.eof",
        ];
        let mut properties = BTreeMap::new();
        for (name, value) in given {
            if OURS.contains(&name.as_str()) {
                let message = format!("{name} is the bridge's own");
                self.refuse(name, message, "remove it from kafka.properties");
                continue;
            }
            let text = match value {
                serde_json::Value::String(text) => self.expand(name, text),
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(flag) => flag.to_string(),
                _ => {
                    let message = format!("{name} is no text, number or boolean");
                    self.refuse(name, message, "write one value");
                    continue;
                }
            };
            properties.insert(name.clone(), text);
        }
        properties
    }

    /// Puts the environment's values for `${env:NAME}`.
    fn expand(&mut self, field: &str, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${env:") {
            out.push_str(&rest[..at]);
            let after = &rest[at + "${env:".len()..];
            let Some(end) = after.find('}') else { break };
            let name = &after[..end];
            match (self.env)(name) {
                Some(value) => out.push_str(&value),
                None => {
                    let message = format!("the environment has no {name}");
                    self.refuse(field, message, "set the variable before the bridge starts");
                }
            }
            rest = &after[end + 1..];
        }
        out.push_str(rest);
        out
    }

    fn headers(&mut self, given: BTreeMap<String, String>) -> BTreeMap<String, String> {
        given
            .into_iter()
            .map(|(name, value)| (name, self.expand("headers", &value)))
            .collect()
    }

    fn target(&mut self, spec: &mut Spec, is_stream: bool) -> Option<TargetSettings> {
        let target = match (spec.function_name.take(), spec.target.take()) {
            (Some(function), None) | (None, Some(Target::Lambda { function })) => {
                return Some(TargetSettings::Lambda { function });
            }
            (Some(_), Some(_)) => {
                let message = "FunctionName and target are both set".to_owned();
                self.refuse("target", message, "keep one");
                return None;
            }
            (None, None) => {
                let help = "set FunctionName for Lambda, or target.http or target.cloudEvents";
                self.refuse("FunctionName", "the binding has no target".to_owned(), help);
                return None;
            }
            (None, Some(target)) => target,
        };
        let (http, is_cloud_events) = match target {
            Target::Discard {} => return Some(TargetSettings::Discard),
            Target::Lambda { function } => return Some(TargetSettings::Lambda { function }),
            Target::Http(http) => (http, false),
            Target::CloudEvents(http) => (http, true),
        };
        if !http.url.starts_with("http://") && !http.url.starts_with("https://") {
            let message = format!("{:?} is no HTTP address", http.url);
            self.refuse("url", message, "begin it with http:// or https://");
        }
        let seconds = http.timeout_seconds.unwrap_or(TIMEOUT_DEFAULT);
        let timeout = Duration::from_secs(self.within("timeoutSeconds", seconds, (1, TIMEOUT_MAX)));
        let headers = self.headers(http.headers);
        if !is_cloud_events {
            if http.mode.is_some() || http.kind.is_some() || http.source.is_some() {
                let message = "mode, type and source are for target.cloudEvents".to_owned();
                self.refuse(
                    "target",
                    message,
                    "remove them, or write cloudEvents for http",
                );
            }
            return Some(TargetSettings::Http {
                url: http.url,
                headers,
                timeout,
            });
        }
        Some(TargetSettings::CloudEvents {
            url: http.url,
            mode: match http.mode.unwrap_or(Mode::Binary) {
                Mode::Binary => CloudEventsMode::Binary,
                Mode::Structured => CloudEventsMode::Structured,
                Mode::Batch => CloudEventsMode::Batch,
            },
            kind: http.kind.unwrap_or_else(|| {
                let source = if is_stream { "kinesis" } else { "kafka" };
                format!("dev.tidegate.{source}.record")
            }),
            source: http.source,
            headers,
            timeout,
        })
    }

    fn destination(
        &mut self,
        spec: &Spec,
        source: Option<&SourceSettings>,
    ) -> Option<DestinationSettings> {
        let text = &spec
            .destination_config
            .as_ref()?
            .on_failure
            .as_ref()?
            .destination;
        if let Some(topic) = text.strip_prefix("kafka://") {
            if spec.topics.iter().any(|source| source == topic) {
                let message = "the failure destination is the topic that is read".to_owned();
                self.refuse("Destination", message, "name another topic");
            }
            if source.is_some_and(|source| source.failure_cluster().is_none()) {
                let message = "the failure destination is a topic, and no cluster is named";
                let help = "set kafka.bootstrapServers, or name a queue, an SNS topic or a bucket";
                self.refuse("Destination", message.to_owned(), help);
            }
            return Some(DestinationSettings::Kafka(topic.to_owned()));
        }
        let mut parts = text.splitn(6, ':');
        let service = parts.nth(2).unwrap_or_default();
        let resource = parts.nth(2).unwrap_or_default();
        match (service, resource.is_empty()) {
            ("sqs", false) => Some(DestinationSettings::Sqs(text.clone())),
            ("sns", false) => Some(DestinationSettings::Sns(text.clone())),
            ("s3", false) => Some(DestinationSettings::S3(resource.to_owned())),
            _ => {
                let message = format!("{text:?} is no failure destination");
                self.refuse(
                    "Destination",
                    message,
                    "name a queue, an SNS topic or a bucket by ARN, or kafka://TOPIC",
                );
                None
            }
        }
    }

    fn start(&mut self, spec: &Spec) -> Start {
        let time = spec.starting_position_timestamp;
        match (spec.starting_position.as_deref(), time) {
            (Some("TRIM_HORIZON"), None) => Start::TrimHorizon,
            (Some("LATEST"), None) => Start::Latest,
            (Some("AT_TIMESTAMP"), Some(time)) if (0.0..1e11).contains(&time) =>
            {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "checked to be within the range"
                )]
                Start::At((time * 1000.0) as i64)
            }
            (None, _) => {
                let help = "set StartingPosition to TRIM_HORIZON, LATEST or AT_TIMESTAMP";
                self.refuse(
                    "StartingPosition",
                    "StartingPosition is missing".to_owned(),
                    help,
                );
                Start::TrimHorizon
            }
            (Some("AT_TIMESTAMP"), _) => {
                let message = "AT_TIMESTAMP needs StartingPositionTimestamp".to_owned();
                self.refuse("StartingPosition", message, "set it, in seconds since 1970");
                Start::TrimHorizon
            }
            (Some(other), time) => {
                let message = match time {
                    Some(_) => format!("StartingPositionTimestamp is not for {other}"),
                    None => format!("{other:?} is no starting position"),
                };
                self.refuse(
                    "StartingPosition",
                    message,
                    "TRIM_HORIZON, LATEST, or AT_TIMESTAMP with a timestamp",
                );
                Start::TrimHorizon
            }
        }
    }

    fn policy(
        &mut self,
        spec: &Spec,
        is_stream: bool,
        target: Option<&TargetSettings>,
        destination: Option<&DestinationSettings>,
    ) -> Policy {
        let batch_size = self.within("BatchSize", spec.batch_size.unwrap_or(100), (1, 10_000));
        let window = spec
            .maximum_batching_window_in_seconds
            .map(|seconds| self.within("MaximumBatchingWindowInSeconds", seconds, (0, 300)));
        let lanes = spec.parallelization_factor.unwrap_or(1);
        let lanes = self.within("ParallelizationFactor", lanes, (1, 10));
        let retries = spec.maximum_retry_attempts.unwrap_or(-1);
        let retries = self.within("MaximumRetryAttempts", retries, (-1, 10_000));
        let age = spec.maximum_record_age_in_seconds.unwrap_or(-1);
        if age != -1 {
            self.within("MaximumRecordAgeInSeconds", age, (60, 604_800));
        }
        let exhausted = match (destination, spec.on_exhausted) {
            (Some(_), Some(_)) => {
                let message =
                    "onExhausted is for bindings without a failure destination".to_owned();
                self.refuse("onExhausted", message, "remove one of the two");
                Exhausted::Destination
            }
            (Some(_), None) => Exhausted::Destination,
            (None, Some(OnExhausted::Drop)) => Exhausted::Drop,
            (None, Some(OnExhausted::Block)) => Exhausted::Block,
            (None, None) => {
                if (retries >= 0 || age >= 0) && spec.destination_config.is_none() {
                    let message =
                        "without a failure destination, exhausted records hold their partition";
                    let help = "set DestinationConfig.OnFailure, or onExhausted: drop to lose them as AWS does, or onExhausted: block";
                    self.warn("MaximumRetryAttempts", message, help);
                }
                Exhausted::Block
            }
        };
        let retries = match u64::try_from(retries) {
            Ok(retries) => Some(retries),
            Err(_) if is_stream => None,
            Err(_) => destination.map(|_| KAFKA_RETRIES_WITH_DESTINATION),
        };
        let bytes = spec.maximum_batch_bytes.unwrap_or(EVENT_BYTES_MAX);
        let is_lambda = matches!(target, Some(TargetSettings::Lambda { .. }));
        Policy {
            batch_size: batch_size as usize,
            batch_bytes: self.within("maximumBatchBytes", bytes, (1, EVENT_BYTES_MAX)),
            batch_window: match window {
                Some(seconds) => Duration::from_secs(seconds.into()),
                None if is_stream => Duration::ZERO,
                None => KAFKA_WINDOW,
            },
            parallelization: lanes as usize,
            tumbling: spec
                .tumbling_window_in_seconds
                .filter(|seconds| *seconds > 0)
                .map(|seconds| Duration::from_secs(seconds.into())),
            retries,
            record_age: u64::try_from(age).ok().map(Duration::from_secs),
            bisect: spec.bisect_batch_on_function_error,
            exhausted,
            oversize: if is_lambda {
                Oversize::Refuse
            } else {
                Oversize::Send
            },
            backoff: self.backoff(&spec.backoff),
        }
    }

    fn backoff(&mut self, given: &BackoffDocument) -> Backoff {
        let default = Backoff::default();
        let first = given
            .initial_millis
            .map(|millis| self.within("initialMillis", millis, (1, 60_000)));
        let factor = given.factor.unwrap_or(default.factor);
        let max = given
            .maximum_seconds
            .map(|seconds| self.within("maximumSeconds", seconds, (1, 3_600)));
        Backoff {
            first: first.map_or(default.first, Duration::from_millis),
            factor: self.within("factor", factor, (1.0, 10.0)),
            max: max.map_or(default.max, Duration::from_secs),
        }
    }

    fn patterns(&mut self, spec: &Spec, is_stream: bool) -> Vec<String> {
        let Some(criteria) = &spec.filter_criteria else {
            return Vec::new();
        };
        if criteria.filters.len() > PATTERNS_MAX {
            let message = format!("{} filters; at most {PATTERNS_MAX}", criteria.filters.len());
            self.refuse("FilterCriteria", message, "join some of them by $or");
        }
        let mut patterns = Vec::new();
        for filter in &criteria.filters {
            if filter.pattern.chars().count() > PATTERN_CHARS_MAX {
                let message = format!("a pattern is longer than {PATTERN_CHARS_MAX} characters");
                self.refuse("Pattern", message, "split it");
            }
            patterns.push(filter.pattern.clone());
        }
        let (kind, part) = if is_stream {
            (Kind::Kinesis, "data")
        } else {
            (Kind::Kafka, "value")
        };
        if let Err((index, error)) = Filter::new(kind, &patterns) {
            let message = format!("pattern {}: {error}", index + 1);
            let help = format!(
                "patterns are those of EventBridge: {{\"{part}\": {{\"FIELD\": [\"VALUE\"]}}}}"
            );
            self.refuse("Pattern", message, &help);
        }
        patterns
    }

    fn response_types(&mut self, spec: &Spec) -> bool {
        for kind in &spec.function_response_types {
            if kind != "ReportBatchItemFailures" {
                let message = format!("{kind:?} is no response type");
                self.refuse(
                    "FunctionResponseTypes",
                    message,
                    "ReportBatchItemFailures is the only one",
                );
            }
        }
        !spec.function_response_types.is_empty()
    }
}
