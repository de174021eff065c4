//! The records inside a batch: decompressed within a bound, walked, filtered for compaction.
//!
//! Must not know: logs, topics. Foreign bytes come in here: nothing may panic or grow without bound.

use std::io::Read;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::batch::{self, HEADER};

/// Bytes that one batch may become when it is decompressed.
const DECOMPRESSED: usize = 64 << 20;
/// How snappy streams of the Java client begin; raw blocks follow, each with its length.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

/// One record, as far as a broker looks into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    /// A record without a value: the end of its key.
    pub(crate) tombstone: bool,
    /// The record as it stands in the batch, its length included.
    raw: Bytes,
}

/// The records of a batch; `None` when its bytes do not hold what the header says.
pub(crate) fn records(bytes: &Bytes) -> Option<Vec<Record>> {
    let header = batch::header(bytes).ok()?;
    let body = decompressed(header.codec(), bytes.slice(HEADER..header.size))?;
    let append_time = header.attributes & 0x08 != 0;
    let mut at = body.clone();
    let mut found = Vec::new();
    for _ in 0..header.count {
        let before = at.clone();
        let length = usize::try_from(varint(&mut at)?).ok()?;
        if length > at.len() {
            return None;
        }
        let mut inside = at.split_to(length);
        let raw = before.slice(..before.len() - at.len());
        if inside.is_empty() {
            return None;
        }
        inside.advance(1);
        let timestamp = header.first_timestamp.wrapping_add(varint(&mut inside)?);
        let delta = varint(&mut inside)?;
        if !(0..=i64::from(header.last_delta)).contains(&delta) {
            return None;
        }
        let key = field(&mut inside)?;
        let value = field(&mut inside)?;
        headers(&mut inside)?;
        found.push(Record {
            offset: header.base_offset.wrapping_add(delta),
            timestamp: if append_time {
                header.max_timestamp
            } else {
                timestamp
            },
            key,
            tombstone: value.is_none(),
            raw,
        });
    }
    at.is_empty().then_some(found)
}

/// The first record from offset `from` on whose time is `timestamp` or later: its time and its offset.
pub(crate) fn first_at(bytes: &Bytes, timestamp: i64, from: i64) -> Option<(i64, i64)> {
    records(bytes)?
        .into_iter()
        .find(|record| record.timestamp >= timestamp && record.offset >= from)
        .map(|record| (record.timestamp, record.offset))
}

/// The batch with only these records, uncompressed, at the same place; `None` when none is left.
pub(crate) fn rebuilt(bytes: &Bytes, kept: &[Record]) -> Option<Bytes> {
    if kept.is_empty() {
        return None;
    }
    let mut built = BytesMut::from(bytes.get(..HEADER)?);
    for record in kept {
        built.extend_from_slice(&record.raw);
    }
    let attributes = i16::from_be_bytes([built[21], built[22]]) & !0x07;
    built[21..23].copy_from_slice(&attributes.to_be_bytes());
    let length = i32::try_from(built.len() - 12).ok()?;
    built[8..12].copy_from_slice(&length.to_be_bytes());
    let count = i32::try_from(kept.len()).ok()?;
    built[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&built[21..]);
    built[17..21].copy_from_slice(&crc.to_be_bytes());
    Some(built.freeze())
}

fn headers(at: &mut Bytes) -> Option<()> {
    let count = varint(at)?;
    if count < 0 {
        return None;
    }
    for _ in 0..count {
        field(at)??;
        field(at)?;
    }
    at.is_empty().then_some(())
}

/// Bytes with their length before them: outside `None` is broken, inside `None` is null.
#[expect(clippy::option_option, reason = "broken and null are two things")]
fn field(at: &mut Bytes) -> Option<Option<Bytes>> {
    let length = varint(at)?;
    if length < 0 {
        return (length == -1).then_some(None);
    }
    let length = usize::try_from(length).ok()?;
    (length <= at.len()).then(|| Some(at.split_to(length)))
}

/// A zigzag number of at most ten bytes.
fn varint(at: &mut Bytes) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        if at.is_empty() {
            return None;
        }
        let byte = at.get_u8();
        if shift < 64 {
            value |= u64::from(byte & 0x7f) << shift;
        }
        if byte & 0x80 == 0 {
            let half = i64::try_from(value >> 1).ok()?;
            return Some(if value & 1 == 0 { half } else { !half });
        }
    }
    None
}

fn decompressed(codec: i16, body: Bytes) -> Option<Bytes> {
    match codec {
        0 => Some(body),
        1 => bounded(flate2::read::MultiGzDecoder::new(body.reader())),
        2 => snappy(body),
        3 => bounded(lz4::Decoder::new(body.reader()).ok()?),
        4 => bounded(zstd::stream::read::Decoder::new(body.reader()).ok()?),
        _ => None,
    }
}

fn bounded(from: impl Read) -> Option<Bytes> {
    let most = u64::try_from(DECOMPRESSED).ok()?;
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= DECOMPRESSED).then(|| bytes.into())
}

fn snappy(mut body: Bytes) -> Option<Bytes> {
    let raw = |block: &[u8], room: usize| {
        let length = snap::raw::decompress_len(block).ok()?;
        if length > room {
            return None;
        }
        snap::raw::Decoder::new().decompress_vec(block).ok()
    };
    if !body.starts_with(XERIAL) {
        return raw(&body, DECOMPRESSED).map(Bytes::from);
    }
    if body.len() < XERIAL_HEADER {
        return None;
    }
    body.advance(XERIAL_HEADER);
    let mut bytes = BytesMut::new();
    while !body.is_empty() {
        if body.len() < 4 {
            return None;
        }
        let length = usize::try_from(body.get_i32()).ok()?;
        if length > body.len() {
            return None;
        }
        bytes.put_slice(&raw(&body.split_to(length), DECOMPRESSED - bytes.len())?);
    }
    Some(bytes.freeze())
}
