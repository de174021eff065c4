//! Frames and headers: requests decoded, answers encoded, error codes by name.
//!
//! Must not know: what a request does.

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

pub(crate) use kafka_protocol::ResponseError as Code;

/// A request as it came: its header, its version, its body.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) client: String,
    pub(crate) host: String,
    /// The listener's port, which metadata answers with.
    pub(crate) port: u16,
    /// Milliseconds that the answer tells its client to wait.
    pub(crate) throttle: i32,
    /// A code to answer with instead of doing the work.
    pub(crate) fault: Option<Code>,
}

/// What a request is answered with.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A frame without its length.
    Frame(Bytes),
    /// Nothing: produce with `acks=0`.
    Silence,
    /// The connection ends.
    Hangup(&'static str),
}

/// Why a request cannot be answered: its connection ends, as Kafka ends it.
pub(crate) type Bad = &'static str;

/// Reads a request's body.
pub(crate) fn decode<T: Decodable>(body: &Bytes, version: i16) -> Result<T, Bad> {
    let mut body = body.clone();
    T::decode(&mut body, version).map_err(|_| "the request's body cannot be read")
}

/// Reads a request's header; the body stays in `frame`.
pub(crate) fn header(frame: &mut Bytes) -> Result<(ApiKey, RequestHeader), Bad> {
    if frame.len() < 8 {
        return Err("the request is shorter than its header");
    }
    let number = i16::from_be_bytes([frame[0], frame[1]]);
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    let key = ApiKey::try_from(number).map_err(|()| "the request's API key is unknown")?;
    let layout = key.request_header_version(version);
    let header =
        RequestHeader::decode(frame, layout).map_err(|_| "the request's header cannot be read")?;
    Ok((key, header))
}

/// Writes an answer with its header.
pub(crate) fn encode<T: Encodable>(call: &Call, answer: &T) -> Result<Reply, Bad> {
    encode_as(call, call.version, answer)
}

/// Writes an answer in the form of another version.
pub(crate) fn encode_as<T: Encodable>(call: &Call, version: i16, answer: &T) -> Result<Reply, Bad> {
    let mut frame = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(call.correlation);
    header
        .encode(&mut frame, call.key.response_header_version(version))
        .and_then(|()| answer.encode(&mut frame, version))
        .map_err(|error| {
            tracing::error!(%error, key = ?call.key, version, "an answer could not be written");
            "the answer cannot be written"
        })?;
    Ok(Reply::Frame(frame.freeze()))
}

/// A string of the protocol.
pub(crate) fn text(of: impl Into<String>) -> StrBytes {
    StrBytes::from_string(of.into())
}

/// A frame with its length before it.
pub(crate) fn framed(frame: &Bytes) -> Bytes {
    let mut bytes = BytesMut::with_capacity(frame.len() + 4);
    bytes.put_i32(i32::try_from(frame.len()).unwrap_or(i32::MAX));
    bytes.extend_from_slice(frame);
    bytes.freeze()
}
