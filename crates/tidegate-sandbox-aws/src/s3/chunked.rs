//! Bodies in `aws-chunked` form: chunks with their lengths, trailing headers.
//!
//! Must not know: what the bytes are. Signatures of chunks are not verified.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::refusal::{Refusal, refuse};

/// Bytes of one line of framing.
const LINE: usize = 8_192;

/// A decoded body with its trailing headers (lowercase names).
pub(super) type Decoded = (Bytes, BTreeMap<String, String>);

fn broken() -> Refusal {
    refuse("IncompleteBody", "The request body terminated unexpectedly")
}

/// Takes the framing off a body.
///
/// # Errors
/// `IncompleteBody` when the framing is broken or bytes are missing.
pub(super) fn decode(body: &Bytes) -> Result<Decoded, Refusal> {
    let mut data = BytesMut::with_capacity(body.len());
    let mut at = 0;
    loop {
        let (line, next) = line(body, at).ok_or_else(broken)?;
        let size = line.split(';').next().unwrap_or("").trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| broken())?;
        at = next;
        if size == 0 {
            break;
        }
        let end = at
            .checked_add(size)
            .filter(|end| *end <= body.len())
            .ok_or_else(broken)?;
        data.extend_from_slice(&body[at..end]);
        at = end;
        if body[at..].starts_with(b"\r\n") {
            at += 2;
        }
    }
    let mut trailers = BTreeMap::new();
    while let Some((line, next)) = line(body, at) {
        at = next;
        if let Some((name, value)) = line.split_once(':') {
            trailers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Ok((data.freeze(), trailers))
}

/// The line that starts at a place, and where the next one starts.
fn line(body: &[u8], at: usize) -> Option<(&str, usize)> {
    let rest = body.get(at..)?;
    if rest.is_empty() {
        return None;
    }
    let window = &rest[..rest.len().min(LINE)];
    let length = window.windows(2).position(|pair| pair == b"\r\n");
    let (length, skip) = match length {
        Some(length) => (length, 2),
        None if rest.len() <= LINE => (rest.len(), 0),
        None => return None,
    };
    Some((
        std::str::from_utf8(&rest[..length]).ok()?,
        at + length + skip,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_trailers_are_told_apart() {
        let body = Bytes::from_static(
            b"5;chunk-signature=ab\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n",
        );
        let (data, trailers) = decode(&body).unwrap();
        assert_eq!(&data[..], b"hello world");
        assert_eq!(trailers["x-amz-checksum-crc32"], "DUoRhQ==");
        assert_eq!(
            &decode(&Bytes::from_static(b"0\r\n\r\n")).unwrap().0[..],
            b""
        );
    }

    #[test]
    fn broken_framing_is_refused() {
        for body in ["", "5\r\nhell", "zz\r\n", "ffffffffffffffff\r\nx"] {
            assert!(decode(&Bytes::from(body)).is_err(), "{body}");
        }
    }
}
