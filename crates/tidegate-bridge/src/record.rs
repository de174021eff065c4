//! Records as sources hand them over: partitions, positions, keys, values. No source's own types.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// One ordered part of a source: a partition of a topic, or a shard of a stream.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic; for Kinesis the stream's ARN.
    pub source: Arc<str>,
    /// The partition's number as text, or the shard's id.
    pub id: Arc<str>,
}

impl Partition {
    /// A partition of a topic.
    pub fn kafka(topic: &Arc<str>, number: i32) -> Self {
        Self {
            source: Arc::clone(topic),
            id: number.to_string().into(),
        }
    }

    /// The number of a topic's partition; none for a shard.
    pub fn number(&self) -> Option<i32> {
        self.id.parse().ok()
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.source, self.id)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a record stands in its partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// Kafka's offset.
    Offset(i64),
    /// Kinesis's sequence number.
    Sequence(Arc<str>),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Sequence(number) => f.write_str(number),
        }
    }
}

/// Who set a Kafka record's timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer.
    #[default]
    CreateTime,
    /// The broker.
    LogAppendTime,
}

impl TimestampType {
    /// The word in event JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateTime => "CREATE_TIME",
            Self::LogAppendTime => "LOG_APPEND_TIME",
        }
    }
}

/// One record. Cheap to clone: bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub position: Position,
    /// Milliseconds since 1970: Kafka's timestamp, Kinesis's arrival.
    pub timestamp: i64,
    /// Who set the timestamp.
    pub timestamp_type: TimestampType,
    /// Kafka's key, or Kinesis's partition key.
    pub key: Option<Bytes>,
    /// The value; none for a tombstone.
    pub value: Option<Bytes>,
    /// Headers in the record's order; a header may lack a value.
    pub headers: Arc<[(String, Option<Bytes>)]>,
    /// Kinesis's encryption, when the record is encrypted.
    pub encryption: Option<Arc<str>>,
}

impl Record {
    /// Bytes that it holds in memory, roughly.
    pub fn size(&self) -> usize {
        const FIXED: usize = 160;
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, Bytes::len) + 48)
            .sum();
        FIXED
            + headers
            + self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
    }
}
