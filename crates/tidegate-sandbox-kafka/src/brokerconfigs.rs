//! The broker's own configuration: the keys an administrator reads and changes, with Kafka 4.1's defaults.
//!
//! Must not know: requests. Keys of replication, quorum, TLS and tiered storage do not exist here.

use crate::altering::SOURCES;
use crate::broker::{Hub, Refusal, State};
use crate::configs::{self, Kind, Values};
use crate::wire::Code;

/// Where a key may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Only before the broker starts.
    Fixed,
    /// At run time, for one broker or for all.
    Anywhere,
}

const MAX: i64 = i64::MAX;
const INT: i64 = 0x7fff_ffff;

/// Keys beside the defaults of topics: name, type, default, reach.
const OWN: &[(&str, Kind, &str, Reach)] = &[
    (
        "auto.create.topics.enable",
        Kind::Bool,
        "true",
        Reach::Fixed,
    ),
    (
        "background.threads",
        Kind::Int(1, INT),
        "10",
        Reach::Anywhere,
    ),
    ("broker.id", Kind::Int(-1, INT), "-1", Reach::Fixed),
    (
        "default.replication.factor",
        Kind::Int(1, INT),
        "1",
        Reach::Fixed,
    ),
    ("delete.topic.enable", Kind::Bool, "true", Reach::Fixed),
    (
        "group.initial.rebalance.delay.ms",
        Kind::Int(0, INT),
        "3000",
        Reach::Fixed,
    ),
    (
        "group.max.session.timeout.ms",
        Kind::Int(0, INT),
        "1800000",
        Reach::Fixed,
    ),
    (
        "group.max.size",
        Kind::Int(1, INT),
        "2147483647",
        Reach::Fixed,
    ),
    (
        "group.min.session.timeout.ms",
        Kind::Int(0, INT),
        "6000",
        Reach::Fixed,
    ),
    ("log.cleaner.enable", Kind::Bool, "true", Reach::Fixed),
    (
        "log.cleaner.threads",
        Kind::Int(0, INT),
        "1",
        Reach::Anywhere,
    ),
    (
        "log.flush.interval.ms",
        Kind::Long(0, MAX),
        "",
        Reach::Anywhere,
    ),
    (
        "log.retention.check.interval.ms",
        Kind::Long(1, MAX),
        "300000",
        Reach::Fixed,
    ),
    (
        "log.retention.hours",
        Kind::Int(-1, INT),
        "168",
        Reach::Fixed,
    ),
    (
        "log.retention.minutes",
        Kind::Int(-1, INT),
        "",
        Reach::Fixed,
    ),
    (
        "log.retention.ms",
        Kind::Long(i64::MIN, MAX),
        "",
        Reach::Anywhere,
    ),
    ("log.roll.hours", Kind::Int(1, INT), "168", Reach::Fixed),
    (
        "log.roll.jitter.ms",
        Kind::Long(0, MAX),
        "",
        Reach::Anywhere,
    ),
    ("log.roll.ms", Kind::Long(1, MAX), "", Reach::Anywhere),
    (
        "max.connections",
        Kind::Int(0, INT),
        "2147483647",
        Reach::Anywhere,
    ),
    (
        "max.connections.per.ip",
        Kind::Int(0, INT),
        "2147483647",
        Reach::Anywhere,
    ),
    ("node.id", Kind::Int(0, INT), "-1", Reach::Fixed),
    ("num.io.threads", Kind::Int(1, INT), "8", Reach::Anywhere),
    (
        "num.network.threads",
        Kind::Int(1, INT),
        "3",
        Reach::Anywhere,
    ),
    ("num.partitions", Kind::Int(1, INT), "1", Reach::Fixed),
    (
        "offset.metadata.max.bytes",
        Kind::Int(0, INT),
        "4096",
        Reach::Fixed,
    ),
    (
        "offsets.retention.minutes",
        Kind::Int(1, INT),
        "10080",
        Reach::Fixed,
    ),
    (
        "offsets.topic.num.partitions",
        Kind::Int(1, INT),
        "50",
        Reach::Fixed,
    ),
    (
        "offsets.topic.replication.factor",
        Kind::Int(1, 0x7fff),
        "3",
        Reach::Fixed,
    ),
    (
        "socket.request.max.bytes",
        Kind::Int(1, INT),
        "104857600",
        Reach::Fixed,
    ),
    ("super.users", Kind::Password, "", Reach::Fixed),
];

/// One key of the broker as it is described.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) value: Option<String>,
    pub(crate) read_only: bool,
    pub(crate) source: i8,
    /// Values and their sources, the one that holds first.
    pub(crate) synonyms: Vec<(String, i8)>,
}

/// The type of a key of the broker.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    own(name)
        .map(|(_, kind, _, _)| *kind)
        .or_else(|| topic_default(name).map(|key| key.kind))
}

fn own(name: &str) -> Option<&'static (&'static str, Kind, &'static str, Reach)> {
    OWN.iter().find(|(own, ..)| *own == name)
}

fn topic_default(name: &str) -> Option<&'static configs::Key> {
    configs::TOPIC.iter().find(|key| key.synonym == name)
}

/// Every key of the broker, sorted.
pub(crate) fn keys(hub: &Hub, state: &State) -> Vec<Described> {
    let fixed = in_file(hub);
    let own = OWN
        .iter()
        .map(|(name, kind, default, reach)| (*name, *kind, *default, *reach));
    let defaults = configs::TOPIC
        .iter()
        .filter(|key| !key.synonym.is_empty())
        .map(|key| (key.synonym, key.kind, key.default, Reach::Anywhere));
    let mut keys: Vec<Described> = own
        .chain(defaults)
        .map(|(name, kind, default, reach)| {
            let mut synonyms = Vec::new();
            let layers = [&state.broker_configs, &state.cluster_configs, &fixed];
            for (values, source) in layers.into_iter().zip(SOURCES) {
                if let Some(value) = values.get(name) {
                    synonyms.push((value.clone(), source));
                }
            }
            // An empty default is none: Kafka says null.
            if !default.is_empty() {
                synonyms.push((default.to_owned(), SOURCES[3]));
            }
            let first = synonyms.first().cloned();
            Described {
                name,
                kind,
                source: first.as_ref().map_or(SOURCES[3], |(_, source)| *source),
                value: first.map(|(value, _)| value),
                read_only: reach == Reach::Fixed,
                synonyms,
            }
        })
        .collect();
    keys.sort_by_key(|key| key.name);
    keys
}

/// What the broker was started with.
fn in_file(hub: &Hub) -> Values {
    let options = &hub.options;
    let own = [
        ("node.id", options.node_id.to_string()),
        ("broker.id", options.node_id.to_string()),
        (
            "auto.create.topics.enable",
            options.auto_create_topics.to_string(),
        ),
        ("num.partitions", options.default_partitions.to_string()),
        (
            "group.initial.rebalance.delay.ms",
            options.initial_rebalance_delay_ms.to_string(),
        ),
        ("offsets.topic.replication.factor", "1".to_owned()),
        (
            "socket.request.max.bytes",
            options.limits.frame_bytes.to_string(),
        ),
    ];
    own.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Checks one change; `value` is what the key would have, `None` when it goes back.
///
/// # Errors
/// INVALID_REQUEST.
pub(crate) fn check_change(name: &str, value: Option<&str>) -> Result<(), Refusal> {
    let Some(kind) = kind(name) else {
        // Keys that nobody knows may be those of a plugin: Kafka takes them.
        return Ok(());
    };
    if own(name).is_some_and(|(.., reach)| *reach == Reach::Fixed) {
        return Err(Refusal::new(
            Code::InvalidRequest,
            format!("Cannot update these configs dynamically: Set({name})"),
        ));
    }
    let checked = value.map_or(Ok(()), |value| configs::check(name, kind, value));
    checked.map_err(|refusal| Refusal::new(Code::InvalidRequest, refusal.message))
}
