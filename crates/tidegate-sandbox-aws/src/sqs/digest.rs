//! The MD5 digests that SQS gives of bodies and attributes.
//!
//! Must not know: queues.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};

use super::queue::MessageAttribute;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of a body.
pub(super) fn body(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

/// The digest of attributes: name, type, transport and value of each, in the order of names; `None` when there are none.
pub(super) fn attributes(all: &BTreeMap<String, MessageAttribute>) -> Option<String> {
    if all.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    for (name, attribute) in all {
        for text in [name, &attribute.kind] {
            digest.update(length(text.as_bytes()));
            digest.update(text.as_bytes());
        }
        digest.update([if attribute.binary { 2_u8 } else { 1 }]);
        digest.update(length(&attribute.value));
        digest.update(&attribute.value);
    }
    Some(hex(&digest.finalize()))
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_that_clients_compute() {
        assert_eq!(body("Hello World"), "b10a8db164e0754105b7a99be72e3fe5");
        assert_eq!(attributes(&BTreeMap::new()), None);
        let attribute = MessageAttribute {
            kind: "String".into(),
            binary: false,
            value: b"b".to_vec(),
        };
        let by_hand = Md5::digest(b"\0\0\0\x01a\0\0\0\x06String\x01\0\0\0\x01b");
        assert_eq!(
            attributes(&BTreeMap::from([("a".to_owned(), attribute)])),
            Some(hex(&by_hand))
        );
    }
}
