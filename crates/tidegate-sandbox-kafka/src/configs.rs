//! A topic's configuration keys as Kafka 4.1 defines them: types, defaults, ranges, synonyms, words of refusal.
//!
//! Must not know: requests. What an answer says about a key comes from here.

use std::collections::BTreeMap;

use crate::broker::Refusal;
use crate::log::Rules;
use crate::wire::Code;

/// Values that somebody set, by key.
pub(crate) type Values = BTreeMap<String, String>;

/// The type of a key, with the values it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Bool,
    /// Any of these words.
    Word(&'static [&'static str]),
    /// A list of these words; no words: anything.
    List(&'static [&'static str]),
    /// A whole number of 32 bits in this range.
    Int(i64, i64),
    /// A whole number of 64 bits in this range.
    Long(i64, i64),
    /// The same, or -1.
    Level(i64, i64),
    Double(f64, f64),
    /// Replicas by partition and broker, or `*` for all.
    Replicas,
    Password,
}

impl Kind {
    /// The type's number in DescribeConfigs.
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::Bool => 1,
            Self::Word(_) => 2,
            Self::Int(..) | Self::Level(..) => 3,
            Self::Long(..) => 5,
            Self::Double(..) => 6,
            Self::List(_) | Self::Replicas => 7,
            Self::Password => 9,
        }
    }
}

/// One key of a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    /// The broker's key that gives the default; empty when the broker's default has another unit or name.
    pub(crate) synonym: &'static str,
}

const fn key(name: &'static str, kind: Kind, default: &'static str, synonym: &'static str) -> Key {
    Key {
        name,
        kind,
        default,
        synonym,
    }
}

const MAX: i64 = i64::MAX;
const INT: i64 = 0x7fff_ffff;
const LONGEST: &str = "9223372036854775807";
const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// Every key of a topic, in the order Kafka lists them.
pub(crate) const TOPIC: &[Key] = &[
    key(
        "cleanup.policy",
        Kind::List(&["compact", "delete"]),
        "delete",
        "log.cleanup.policy",
    ),
    key(
        "compression.gzip.level",
        Kind::Level(1, 9),
        "-1",
        "compression.gzip.level",
    ),
    key(
        "compression.lz4.level",
        Kind::Int(1, 17),
        "9",
        "compression.lz4.level",
    ),
    key(
        "compression.type",
        Kind::Word(CODECS),
        "producer",
        "compression.type",
    ),
    key(
        "compression.zstd.level",
        Kind::Int(-131_072, 22),
        "3",
        "compression.zstd.level",
    ),
    key(
        "delete.retention.ms",
        Kind::Long(0, MAX),
        "86400000",
        "log.cleaner.delete.retention.ms",
    ),
    key(
        "file.delete.delay.ms",
        Kind::Long(0, MAX),
        "60000",
        "log.segment.delete.delay.ms",
    ),
    key(
        "flush.messages",
        Kind::Long(1, MAX),
        LONGEST,
        "log.flush.interval.messages",
    ),
    key("flush.ms", Kind::Long(0, MAX), LONGEST, ""),
    key(
        "follower.replication.throttled.replicas",
        Kind::Replicas,
        "",
        "",
    ),
    key(
        "index.interval.bytes",
        Kind::Int(0, INT),
        "4096",
        "log.index.interval.bytes",
    ),
    key(
        "leader.replication.throttled.replicas",
        Kind::Replicas,
        "",
        "",
    ),
    key(
        "local.retention.bytes",
        Kind::Long(-2, MAX),
        "-2",
        "log.local.retention.bytes",
    ),
    key(
        "local.retention.ms",
        Kind::Long(-2, MAX),
        "-2",
        "log.local.retention.ms",
    ),
    key(
        "max.compaction.lag.ms",
        Kind::Long(1, MAX),
        LONGEST,
        "log.cleaner.max.compaction.lag.ms",
    ),
    key(
        "max.message.bytes",
        Kind::Int(0, INT),
        "1048588",
        "message.max.bytes",
    ),
    key(
        "message.timestamp.after.max.ms",
        Kind::Long(0, MAX),
        "3600000",
        "log.message.timestamp.after.max.ms",
    ),
    key(
        "message.timestamp.before.max.ms",
        Kind::Long(0, MAX),
        LONGEST,
        "log.message.timestamp.before.max.ms",
    ),
    key(
        "message.timestamp.type",
        Kind::Word(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "log.message.timestamp.type",
    ),
    key(
        "min.cleanable.dirty.ratio",
        Kind::Double(0.0, 1.0),
        "0.5",
        "log.cleaner.min.cleanable.ratio",
    ),
    key(
        "min.compaction.lag.ms",
        Kind::Long(0, MAX),
        "0",
        "log.cleaner.min.compaction.lag.ms",
    ),
    key(
        "min.insync.replicas",
        Kind::Int(1, INT),
        "1",
        "min.insync.replicas",
    ),
    key("preallocate", Kind::Bool, "false", "log.preallocate"),
    key("remote.log.copy.disable", Kind::Bool, "false", ""),
    key("remote.log.delete.on.disable", Kind::Bool, "false", ""),
    key("remote.storage.enable", Kind::Bool, "false", ""),
    key(
        "retention.bytes",
        Kind::Long(-1, MAX),
        "-1",
        "log.retention.bytes",
    ),
    key("retention.ms", Kind::Long(-1, MAX), "604800000", ""),
    key(
        "segment.bytes",
        Kind::Int(1_048_576, INT),
        "1073741824",
        "log.segment.bytes",
    ),
    key(
        "segment.index.bytes",
        Kind::Int(4, INT),
        "10485760",
        "log.index.size.max.bytes",
    ),
    key("segment.jitter.ms", Kind::Long(0, MAX), "0", ""),
    key("segment.ms", Kind::Long(1, MAX), "604800000", ""),
    key(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        "unclean.leader.election.enable",
    ),
];

/// A setting of a topic, the broker's setting behind it, and another one with its unit.
type Fallback = (
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
);

/// Keys of the broker that, once set, give a topic's default in its own unit.
const FALLBACKS: &[Fallback] = &[
    ("flush.ms", "log.flush.interval.ms", None),
    (
        "retention.ms",
        "log.retention.ms",
        Some(("log.retention.hours", "168")),
    ),
    (
        "segment.jitter.ms",
        "log.roll.jitter.ms",
        Some(("log.roll.jitter.hours", "0")),
    ),
    ("segment.ms", "log.roll.ms", Some(("log.roll.hours", "168"))),
];

/// The broker's default in another unit, which Kafka tells beside one that was set.
pub(crate) fn in_hours(key: &Key) -> Option<(&'static str, &'static str)> {
    FALLBACKS
        .iter()
        .find(|(topic, ..)| *topic == key.name)
        .and_then(|(.., hours)| *hours)
}

/// The broker's key that stands behind a topic's.
pub(crate) fn behind(key: &Key) -> &'static str {
    FALLBACKS
        .iter()
        .find(|(topic, ..)| *topic == key.name)
        .map_or(key.synonym, |(_, broker, _)| broker)
}

/// A topic's key by its name.
pub(crate) fn topic_key(name: &str) -> Option<&'static Key> {
    TOPIC.iter().find(|key| key.name == name)
}

/// Checks one value of a topic's key.
///
/// # Errors
/// INVALID_CONFIG in Kafka's words.
pub(crate) fn check_topic(name: &str, value: &str) -> Result<(), Refusal> {
    let Some(key) = topic_key(name) else {
        return Err(invalid(format!("Unknown topic config name: {name}")));
    };
    check(key.name, key.kind, value)
}

fn invalid(message: String) -> Refusal {
    Refusal::new(Code::InvalidConfig, message)
}

/// Checks one value against a key's type and range.
///
/// # Errors
/// INVALID_CONFIG in Kafka's words.
pub(crate) fn check(name: &str, kind: Kind, value: &str) -> Result<(), Refusal> {
    let refuse = |value: &str, why: &str| {
        Err(invalid(format!(
            "Invalid value {value} for configuration {name}: {why}"
        )))
    };
    let trimmed = value.trim();
    let ranged = |number: Option<i64>, least: i64, most: i64, word: &str| match number {
        None => refuse(value, &format!("Not a number of type {word}")),
        Some(number) if number < least => {
            refuse(trimmed, &format!("Value must be at least {least}"))
        }
        Some(number) if number > most => {
            refuse(trimmed, &format!("Value must be no more than {most}"))
        }
        Some(_) => Ok(()),
    };
    match kind {
        Kind::Bool
            if trimmed.eq_ignore_ascii_case("true") || trimmed.eq_ignore_ascii_case("false") =>
        {
            Ok(())
        }
        Kind::Bool => refuse(value, "Expected value to be either true or false"),
        Kind::Word(words) if words.contains(&trimmed) => Ok(()),
        Kind::Word(words) => refuse(
            value,
            &format!("String must be one of: {}", words.join(", ")),
        ),
        Kind::List(words) => list(name, words, trimmed),
        Kind::Int(least, most) => ranged(
            trimmed.parse::<i32>().ok().map(i64::from),
            least,
            most,
            "INT",
        ),
        Kind::Long(least, most) => ranged(trimmed.parse().ok(), least, most, "LONG"),
        Kind::Level(least, most) => match trimmed.parse::<i32>() {
            Err(_) => refuse(value, "Not a number of type INT"),
            Ok(-1) => Ok(()),
            Ok(number) if (least..=most).contains(&i64::from(number)) => Ok(()),
            Ok(number) => refuse(
                &number.to_string(),
                &format!("Value must be between {least} and {most} or equal to -1"),
            ),
        },
        Kind::Double(least, most) => match trimmed.parse::<f64>() {
            Err(_) => refuse(value, "Not a number of type DOUBLE"),
            Ok(number) if number < least => refuse(
                &double(number),
                &format!("Value must be at least {}", least as i64),
            ),
            Ok(number) if number > most => refuse(
                &double(number),
                &format!("Value must be no more than {}", most as i64),
            ),
            Ok(_) => Ok(()),
        },
        Kind::Replicas => replicas(name, trimmed),
        Kind::Password => Ok(()),
    }
}

fn replicas(name: &str, value: &str) -> Result<(), Refusal> {
    let listed: Vec<&str> = value.split(',').map(str::trim).collect();
    let number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let pair = |word: &&str| {
        word.split_once(':')
            .is_some_and(|(partition, broker)| number(partition) && number(broker))
    };
    if value.is_empty() || listed[0] == "*" || listed.iter().all(pair) {
        return Ok(());
    }
    Err(invalid(format!(
        "Invalid value [{}] for configuration {name}: {name} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        listed.join(", ")
    )))
}

/// A number as Java writes it.
fn double(number: f64) -> String {
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let written = format!("{number:E}");
    match written.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => written,
    }
}

fn list(name: &str, words: &[&str], value: &str) -> Result<(), Refusal> {
    if words.is_empty() || value.is_empty() {
        return Ok(());
    }
    match value
        .split(',')
        .map(str::trim)
        .find(|word| !words.contains(word))
    {
        None => Ok(()),
        Some(word) => Err(invalid(format!(
            "Invalid value {word} for configuration {name}: String must be one of: {}",
            words.join(", ")
        ))),
    }
}

/// What holds for a topic's key: its own value, the broker's, or the default.
pub(crate) fn effective<'a>(key: &Key, topic: &'a Values, broker: &'a Values) -> &'a str
where
    'static: 'a,
{
    topic
        .get(key.name)
        .or_else(|| broker.get(behind(key)))
        .map_or(key.default, String::as_str)
}

/// A number that holds for a topic's key.
pub(crate) fn number(name: &str, topic: &Values, broker: &Values) -> i64 {
    topic_key(name)
        .and_then(|key| effective(key, topic, broker).trim().parse().ok())
        .unwrap_or_default()
}

/// Checks what values must hold together.
///
/// # Errors
/// INVALID_CONFIG in Kafka's words.
pub(crate) fn check_together(topic: &Values) -> Result<(), Refusal> {
    let none = Values::new();
    let (most, least) = (
        number("max.compaction.lag.ms", topic, &none),
        number("min.compaction.lag.ms", topic, &none),
    );
    if least > most {
        return Err(invalid(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        )));
    }
    let on = topic
        .get("remote.storage.enable")
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    if on {
        return Err(invalid("Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.".to_owned()));
    }
    Ok(())
}

/// What a topic's logs keep.
pub(crate) fn rules(topic: &Values, broker: &Values) -> Rules {
    let policy = topic_key("cleanup.policy").map_or("", |key| effective(key, topic, broker));
    let has = |word: &str| policy.split(',').any(|one| one.trim() == word);
    Rules {
        retention_ms: number("retention.ms", topic, broker),
        retention_bytes: number("retention.bytes", topic, broker),
        segment_bytes: number("segment.bytes", topic, broker),
        segment_ms: number("segment.ms", topic, broker),
        delete: has("delete"),
        compact: has("compact"),
        delete_retention_ms: number("delete.retention.ms", topic, broker),
        min_compaction_lag_ms: number("min.compaction.lag.ms", topic, broker),
    }
}
