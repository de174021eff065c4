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
    Corrupt,
    /// Well formed, and yet not acceptable (a control batch, a count or sequence that does not fit): INVALID_RECORD.
    Invalid,
    /// This magic, where 2 should be: INVALID_RECORD.
    Format(i8),
    /// A codec that Kafka does not know, and falls over: UNKNOWN_SERVER_ERROR.
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
        return Err(Broken::Corrupt);
    }
    let mut at = bytes;
    let base_offset = at.get_i64();
    let length = at.get_i32();
    let leader_epoch = at.get_i32();
    let magic = at.get_i8();
    if magic != 2 {
        return Err(Broken::Format(magic));
    }
    let _crc = at.get_u32();
    let size = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_add(BEFORE))
        .filter(|size| (HEADER..=bytes.len()).contains(size))
        .ok_or(Broken::Corrupt)?;
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

/// Checks a batch as Kafka's log validator does.
pub(crate) fn check(header: &Header, batch: &[u8]) -> Result<(), Broken> {
    let stored = (&batch[CRC_AT..COVERED]).get_u32();
    if crc32c::crc32c(&batch[COVERED..]) != stored {
        return Err(Broken::Corrupt);
    }
    if header.codec() > 4 {
        return Err(Broken::Codec);
    }
    let control = header.attributes & CONTROL != 0;
    let counted = (1..=RECORDS).contains(&header.count);
    let dense = header.last_delta == header.count - 1;
    let sequenced = header.producer_id < 0 || header.base_sequence >= 0;
    if control || !counted || !dense || !sequenced {
        return Err(Broken::Invalid);
    }
    Ok(())
}

/// The batch with its place in the log and the time that holds for it: that of its newest record, or the broker's own.
pub(crate) fn placed(
    batch: &[u8],
    base_offset: i64,
    leader_epoch: i32,
    append_time: Option<i64>,
    newest: i64,
) -> Bytes {
    let mut bytes = BytesMut::from(batch);
    bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    let before = (&batch[21..23]).get_i16();
    let attributes = match append_time {
        Some(_) => before | APPEND_TIME,
        // Whose clock it was is the topic's to say, not the producer's.
        None => before & !APPEND_TIME,
    };
    let stamp = append_time.unwrap_or(newest);
    if attributes != before || stamp != (&batch[35..43]).get_i64() {
        bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
        bytes[35..43].copy_from_slice(&stamp.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[COVERED..]);
        bytes[CRC_AT..COVERED].copy_from_slice(&crc.to_be_bytes());
    }
    bytes.freeze()
}
