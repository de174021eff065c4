//! Copies of small texts that share blocks of memory: an allocation for many records instead of two for each.

use bytes::{Bytes, BytesMut};

/// Bytes of a block: what a single record that is kept long holds at most.
const BLOCK: usize = 64 * 1024;
/// Larger texts have memory of their own.
const SHARED_MAX: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(super) struct Arena {
    block: BytesMut,
}

impl Arena {
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        if bytes.len() > SHARED_MAX {
            return Bytes::copy_from_slice(bytes);
        }
        if self.block.capacity() < bytes.len() {
            self.block = BytesMut::with_capacity(BLOCK);
        }
        self.block.extend_from_slice(bytes);
        self.block.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    //! Copies are what was copied, whatever block they are in.

    use super::*;

    #[test]
    fn copies_are_equal_and_stay_so() {
        let mut arena = Arena::default();
        let texts: Vec<Vec<u8>> = (0..2_000_usize)
            .map(|number| vec![number.to_le_bytes()[0]; number * 7 % 5_000])
            .collect();
        let copies: Vec<Bytes> = texts.iter().map(|text| arena.copy(text)).collect();
        assert_eq!(copies, texts);
    }
}
