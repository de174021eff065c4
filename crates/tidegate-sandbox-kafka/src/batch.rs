//! Record batches as bytes: the header of magic 2, its checks and the fields a broker rewrites.
//!
//! Must not know: topics, requests.

use bytes::{Buf as _, Bytes, BytesMut};

/// Bytes before the records of a batch of magic 2.
pub(crate) const HEADER: usize = 61;
/// Bytes that the length field does not count: base offset and the length itself.
const BEFORE: usize = 12;
/// Where the checksum stands, and where what it covers begins.
const CRC_AT: usize = 17;
const COVERED: usize = 21;
/// Records of one batch: more than any client sends, less than a loop over them could hang on.
const RECORDS: i32 = 10_000_000;

const COMPRESSION: i16 = 0x07;
const APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Why bytes are no batch that a broker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Too short, a wrong length or a wrong checksum: CORRUPT_MESSAGE.
    Corrupt(&'static str),
    /// Well formed, and yet not acceptable: INVALID_RECORD.
    Invalid(&'static str),
    /// A magic other than 2: UNSUPPORTED_FOR_MESSAGE_FORMAT.
    Format,
    /// A codec that Kafka does not know: UNSUPPORTED_COMPRESSION_TYPE.
    Codec,
}

/// The header of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// Bytes of the whole batch.
    pub(crate) size: usize,
    pub(crate) leader_epoch: i32,
    pub(crate) attributes: i16,
    pub(crate) last_delta: i32,
    pub(crate) first_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: i32,
}

impl Header {
    /// The codec's number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub(crate) fn codec(&self) -> i16 {
        self.attributes & COMPRESSION
    }

    /// Whether it belongs to a transaction.
    pub(crate) fn transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// The sequence of its last record; sequences wrap at 2^31.
    pub(crate) fn last_sequence(&self) -> i32 {
        sequence_after(self.base_sequence, self.last_delta)
    }
}

/// `by` sequences after `from`, wrapping from 2^31 - 1 to 0.
pub(crate) fn sequence_after(from: i32, by: i32) -> i32 {
    i32::try_from((i64::from(from) + i64::from(by)) & i64::from(i32::MAX)).unwrap_or(0)
}

/// Reads the header of the first batch of `bytes`.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, Broken> {
    if bytes.len() < HEADER {
        return Err(Broken::Corrupt(
            "the record batch is shorter than its header",
        ));
    }
    let mut at = bytes;
    let base_offset = at.get_i64();
    let length = at.get_i32();
    let leader_epoch = at.get_i32();
    let magic = at.get_i8();
    if magic != 2 {
        return Err(Broken::Format);
    }
    let _crc = at.get_u32();
    let size = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_add(BEFORE))
        .filter(|size| (HEADER..=bytes.len()).contains(size))
        .ok_or(Broken::Corrupt("the record batch's length does not fit"))?;
    Ok(Header {
        base_offset,
        size,
        leader_epoch,
        attributes: at.get_i16(),
        last_delta: at.get_i32(),
        first_timestamp: at.get_i64(),
        max_timestamp: at.get_i64(),
        producer_id: at.get_i64(),
        producer_epoch: at.get_i16(),
        base_sequence: at.get_i32(),
        count: at.get_i32(),
    })
}

/// Splits a produce request's records into their batches, each checked as Kafka's log validator does.
pub(crate) fn batches(records: &Bytes) -> Result<Vec<(Header, Bytes)>, Broken> {
    let mut found = Vec::new();
    let mut rest = records.clone();
    while !rest.is_empty() {
        let header = header(&rest)?;
        let batch = rest.split_to(header.size);
        check(&header, &batch)?;
        found.push((header, batch));
    }
    Ok(found)
}

fn check(header: &Header, batch: &[u8]) -> Result<(), Broken> {
    let stored = (&batch[CRC_AT..COVERED]).get_u32();
    if crc32c::crc32c(&batch[COVERED..]) != stored {
        return Err(Broken::Corrupt("Record is corrupt"));
    }
    if header.codec() > 4 {
        return Err(Broken::Codec);
    }
    if header.attributes & CONTROL != 0 {
        return Err(Broken::Invalid(
            "Clients are not allowed to write control records",
        ));
    }
    if header.count <= 0 || header.count > RECORDS {
        return Err(Broken::Invalid("Invalid reported count for record batch"));
    }
    if header.last_delta != header.count - 1 {
        return Err(Broken::Invalid(
            "Inconsistent batch offset range and count of records",
        ));
    }
    if header.producer_id >= 0 && header.base_sequence < 0 {
        return Err(Broken::Invalid(
            "Invalid sequence number in record batch with producerId",
        ));
    }
    Ok(())
}

/// The batch with its place in the log; with `append_time`, stamped by the broker.
pub(crate) fn placed(
    batch: &[u8],
    base_offset: i64,
    leader_epoch: i32,
    append_time: Option<i64>,
) -> Bytes {
    let mut bytes = BytesMut::from(batch);
    bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    if let Some(now) = append_time {
        let attributes = (&batch[21..23]).get_i16() | APPEND_TIME;
        bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
        bytes[35..43].copy_from_slice(&now.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[COVERED..]);
        bytes[CRC_AT..COVERED].copy_from_slice(&crc.to_be_bytes());
    }
    bytes.freeze()
}
