//! The layout of every request that is served, walked before it is decoded: what a length claims must be there.
//!
//! Must not know: what fields mean. A decoder that reserves room for a claimed count may only see counts that hold.

use bytes::Buf as _;
use kafka_protocol::messages::ApiKey;

use crate::wire::Bad;

/// Elements of all lists of one request together.
pub(crate) const ELEMENTS: usize = 1_000_000;

/// One field: what it is and in which versions it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    kind: Kind,
    since: i16,
    until: i16,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string, or null.
    Text,
    /// Bytes, or null.
    Raw,
    /// A list of values of so many bytes.
    FixedList(usize),
    /// A list of strings.
    TextList,
    /// A list of structures.
    List(&'static [Field]),
    /// A structure, or null.
    Maybe(&'static [Field]),
}

impl Field {
    const fn of(kind: Kind) -> Self {
        Self {
            kind,
            since: 0,
            until: i16::MAX,
        }
    }

    const fn since(mut self, version: i16) -> Self {
        self.since = version;
        self
    }

    const fn until(mut self, version: i16) -> Self {
        self.until = version;
        self
    }
}

const I8: Field = Field::of(Kind::Fixed(1));
const I16: Field = Field::of(Kind::Fixed(2));
const I32: Field = Field::of(Kind::Fixed(4));
const I64: Field = Field::of(Kind::Fixed(8));
const ID: Field = Field::of(Kind::Fixed(16));
const TEXT: Field = Field::of(Kind::Text);
const RAW: Field = Field::of(Kind::Raw);
const I32S: Field = Field::of(Kind::FixedList(4));
const TEXTS: Field = Field::of(Kind::TextList);

/// Fields that live as long as the program.
macro_rules! fields {
    ($($field:expr),* $(,)?) => { const { &[$($field),*] } };
}

/// A list of structures with these fields.
macro_rules! list {
    ($($field:expr),* $(,)?) => { Field::of(Kind::List(fields![$($field),*])) };
}

const ACL: &[Field] = &[I8, TEXT, I8, TEXT, TEXT, I8, I8];
const FETCHED: &[Field] = &[I32, I32.since(9), I64, I32.since(12), I64.since(5), I32];

/// The layout of a request's body.
pub(crate) fn layout(key: ApiKey) -> &'static [Field] {
    match key {
        ApiKey::Produce => fields![
            TEXT,
            I16,
            I32,
            list![TEXT.until(12), ID.since(13), list![I32, RAW]]
        ],
        ApiKey::Fetch => fields![
            I32.until(14),
            I32,
            I32,
            I32,
            I8,
            I32.since(7),
            I32.since(7),
            list![TEXT.until(12), ID.since(13), Field::of(Kind::List(FETCHED))],
            list![TEXT.until(12), ID.since(13), I32S].since(7),
            TEXT.since(11),
        ],
        ApiKey::ListOffsets => fields![
            I32,
            I8.since(2),
            list![TEXT, list![I32, I32.since(4), I64]],
            I32.since(10),
        ],
        ApiKey::Metadata => fields![
            list![ID.since(10), TEXT],
            I8.since(4),
            I8.since(8).until(10),
            I8.since(8)
        ],
        ApiKey::OffsetCommit => fields![
            TEXT,
            I32,
            TEXT,
            TEXT.since(7),
            I64.until(4),
            list![TEXT, list![I32, I64, I32.since(6), TEXT]],
        ],
        ApiKey::OffsetFetch => fields![
            TEXT.until(7),
            list![TEXT, I32S].until(7),
            list![TEXT, TEXT.since(9), I32.since(9), list![TEXT, I32S]].since(8),
            I8.since(7),
        ],
        ApiKey::CreateTopics => fields![
            list![TEXT, I32, I16, list![I32, I32S], list![TEXT, TEXT]],
            I32,
            I8,
        ],
        ApiKey::DeleteTopics => fields![list![TEXT, ID].since(6), TEXTS.until(5), I32],
        ApiKey::DeleteRecords => fields![list![TEXT, list![I32, I64]], I32],
        ApiKey::CreatePartitions => fields![list![TEXT, I32, list![I32S]], I32, I8],
        ApiKey::OffsetForLeaderEpoch => fields![I32.since(3), list![TEXT, list![I32, I32, I32]]],
        ApiKey::InitProducerId => fields![TEXT, I32, I64.since(3), I16.since(3)],
        ApiKey::DescribeLogDirs
        | ApiKey::OffsetDelete
        | ApiKey::ListPartitionReassignments
        | ApiKey::DescribeTopicPartitions
        | ApiKey::DescribeCluster => cluster(key),
        ApiKey::DescribeConfigs | ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => {
            configs(key)
        }
        ApiKey::DescribeAcls => ACL,
        ApiKey::CreateAcls | ApiKey::DeleteAcls => fields![Field::of(Kind::List(ACL))],
        ApiKey::ApiVersions => fields![TEXT.since(3), TEXT.since(3)],
        _ => others(key),
    }
}

fn cluster(key: ApiKey) -> &'static [Field] {
    match key {
        ApiKey::DescribeLogDirs => fields![list![TEXT, I32S]],
        ApiKey::OffsetDelete => fields![TEXT, list![TEXT, list![I32]]],
        ApiKey::ListPartitionReassignments => fields![I32, list![TEXT, I32S]],
        ApiKey::DescribeTopicPartitions => {
            fields![list![TEXT], I32, Field::of(Kind::Maybe(fields![TEXT, I32]))]
        }
        _ => fields![I8, I8.since(1), I8.since(2)],
    }
}

fn configs(key: ApiKey) -> &'static [Field] {
    match key {
        ApiKey::DescribeConfigs => fields![list![I8, TEXT, TEXTS], I8, I8.since(3)],
        ApiKey::AlterConfigs => fields![list![I8, TEXT, list![TEXT, TEXT]], I8],
        _ => fields![list![I8, TEXT, list![TEXT, I8, TEXT]], I8],
    }
}

fn others(key: ApiKey) -> &'static [Field] {
    match key {
        ApiKey::FindCoordinator => fields![TEXT.until(3), I8.since(1), TEXTS.since(4)],
        ApiKey::JoinGroup => fields![
            TEXT,
            I32,
            I32.since(1),
            TEXT,
            TEXT.since(5),
            TEXT,
            list![TEXT, RAW],
            TEXT.since(8),
        ],
        ApiKey::SyncGroup => fields![
            TEXT,
            I32,
            TEXT,
            TEXT.since(3),
            TEXT.since(5),
            TEXT.since(5),
            list![TEXT, RAW],
        ],
        ApiKey::Heartbeat => fields![TEXT, I32, TEXT, TEXT.since(3)],
        ApiKey::LeaveGroup => fields![
            TEXT,
            TEXT.until(2),
            list![TEXT, TEXT, TEXT.since(5)].since(3)
        ],
        ApiKey::DescribeGroups => fields![TEXTS, I8.since(3)],
        ApiKey::ListGroups => fields![TEXTS.since(4), TEXTS.since(5)],
        ApiKey::DeleteGroups => fields![TEXTS],
        ApiKey::SaslHandshake => fields![TEXT],
        ApiKey::SaslAuthenticate => fields![RAW],
        ApiKey::DescribeClientQuotas => fields![list![TEXT, I8, TEXT], I8],
        ApiKey::AlterClientQuotas => fields![list![list![TEXT, TEXT], list![TEXT, I64, I8]], I8],
        ApiKey::DescribeUserScramCredentials => fields![list![TEXT]],
        ApiKey::AlterUserScramCredentials => {
            fields![list![TEXT, I8], list![TEXT, I8, I32, RAW, RAW]]
        }
        _ => fields![],
    }
}

/// Walks a request's body.
///
/// # Errors
/// When a length or a count claims more than is there, or lists hold more than [`ELEMENTS`].
pub(crate) fn check(key: ApiKey, version: i16, body: &[u8]) -> Result<(), Bad> {
    let mut walk = Walk {
        at: body,
        version,
        // Header version 2 is that of the flexible layouts.
        flexible: key.request_header_version(version) >= 2,
        left: ELEMENTS,
    };
    walk.fields(layout(key))
        .ok_or("a length in the request does not hold")
}

struct Walk<'a> {
    at: &'a [u8],
    version: i16,
    flexible: bool,
    left: usize,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &[Field]) -> Option<()> {
        for field in fields {
            if (field.since..=field.until).contains(&self.version) {
                self.field(field.kind)?;
            }
        }
        if self.flexible {
            for _ in 0..self.number()? {
                self.number()?;
                let size = self.number()?;
                self.skip(size)?;
            }
        }
        Some(())
    }

    fn field(&mut self, kind: Kind) -> Option<()> {
        match kind {
            Kind::Fixed(size) => self.skip(size),
            Kind::Text => {
                let size = self.length(2)?;
                self.skip(size)
            }
            Kind::Raw => {
                let size = self.length(4)?;
                self.skip(size)
            }
            Kind::FixedList(size) => {
                let count = self.count()?;
                self.skip(count.checked_mul(size)?)
            }
            Kind::TextList => (0..self.count()?).try_for_each(|_| self.field(Kind::Text)),
            Kind::List(fields) => (0..self.count()?).try_for_each(|_| self.fields(fields)),
            Kind::Maybe(fields) => match self.at.try_get_i8().ok()? {
                ..0 => Some(()),
                _ => self.fields(fields),
            },
        }
    }

    fn skip(&mut self, size: usize) -> Option<()> {
        self.at = self.at.get(size..)?;
        Some(())
    }

    fn count(&mut self) -> Option<usize> {
        let count = self.length(4)?;
        self.left = self.left.checked_sub(count)?;
        (count <= self.at.len()).then_some(count)
    }

    /// A length: of so many bytes, or a varint that is one more; null is zero.
    fn length(&mut self, bytes: usize) -> Option<usize> {
        if self.flexible {
            return Some(self.number()?.saturating_sub(1));
        }
        let length = if bytes == 2 {
            i32::from(self.at.try_get_i16().ok()?)
        } else {
            self.at.try_get_i32().ok()?
        };
        if length == -1 {
            Some(0)
        } else {
            usize::try_from(length).ok()
        }
    }

    fn number(&mut self) -> Option<usize> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.at.try_get_u8().ok()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).ok();
            }
        }
        None
    }
}
