//! Checksums of objects: those that clients send are verified, and CRC-64/NVME is made when none was sent.
//!
//! Must not know: requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::refusal::{Refusal, refuse};

/// A checksum with the header it travels in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    /// `crc32`, `crc32c`, `crc64nvme`, `sha1` or `sha256`.
    pub(super) algorithm: String,
    /// Base64; of a multipart object with its count of parts.
    pub(super) value: String,
}

impl Checksum {
    pub(super) fn header(&self) -> String {
        format!("x-amz-checksum-{}", self.algorithm)
    }

    /// `ChecksumCRC32`
    pub(super) fn element(&self) -> String {
        format!("Checksum{}", self.algorithm.to_ascii_uppercase())
    }

    pub(super) fn kind(&self) -> &'static str {
        if self.value.contains('-') {
            "COMPOSITE"
        } else {
            "FULL_OBJECT"
        }
    }
}

/// The algorithms that clients may name.
pub(super) const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// The digest of some bytes; `None` for SHA-1, which is taken as it comes.
pub(super) fn digest(algorithm: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(match algorithm {
        "crc32" => crc32fast::hash(bytes).to_be_bytes().to_vec(),
        "crc32c" => crc32c(bytes).to_be_bytes().to_vec(),
        "crc64nvme" => crc64nvme(bytes).to_be_bytes().to_vec(),
        "sha256" => Sha256::digest(bytes).to_vec(),
        _ => return None,
    })
}

/// Checks the checksum that came with a body, or makes one.
///
/// # Errors
/// `BadDigest` when it does not fit.
pub(super) fn settle(sent: Option<Checksum>, bytes: &[u8]) -> Result<Checksum, Refusal> {
    let Some(sent) = sent else {
        return Ok(Checksum {
            algorithm: "crc64nvme".into(),
            value: STANDARD.encode(crc64nvme(bytes).to_be_bytes()),
        });
    };
    let found = digest(&sent.algorithm, bytes).map(|digest| STANDARD.encode(digest));
    if found.is_some_and(|found| found != sent.value) {
        return Err(refuse(
            "BadDigest",
            format!(
                "The {} you specified did not match the calculated checksum.",
                sent.algorithm.to_ascii_uppercase()
            ),
        ));
    }
    Ok(sent)
}

/// The checksum of a multipart object: of the parts' checksums, with their count.
pub(super) fn composite(algorithm: &str, parts: &[String]) -> Option<Checksum> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(STANDARD.decode(part).ok()?);
    }
    Some(Checksum {
        algorithm: algorithm.to_owned(),
        value: format!(
            "{}-{}",
            STANDARD.encode(digest(algorithm, &all)?),
            parts.len()
        ),
    })
}

/// The MD5 of some bytes in hexadecimal, without quotes.
pub(super) fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn crc64nvme(bytes: &[u8]) -> u64 {
    let table = crc64_table();
    let mut crc = u64::MAX;
    for byte in bytes {
        let index = (crc ^ u64::from(*byte)) & 0xff;
        crc = (crc >> 8) ^ table[usize::try_from(index).unwrap_or(0)];
    }
    !crc
}

fn crc64_table() -> &'static [u64; 256] {
    static TABLE: std::sync::OnceLock<[u64; 256]> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = [0; 256];
        for (index, entry) in (0_u64..).zip(table.iter_mut()) {
            let mut crc = index;
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0x9a6c_9329_ac4b_c9b5 & (crc & 1).wrapping_neg());
            }
            *entry = crc;
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_algorithms() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc64nvme(b"123456789"), 0xae8b_1486_0a79_9888);
        assert_eq!(md5_hex(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(settle(None, b"x").is_ok());
        let wrong = Checksum {
            algorithm: "crc32".into(),
            value: "AAAAAA==".into(),
        };
        assert!(settle(Some(wrong), b"x").is_err());
    }
}
