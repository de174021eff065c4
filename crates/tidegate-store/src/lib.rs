//! Where the engine remembers: named tables of keys and values, and append-only journals.
//!
//! A store must not know what it stores means. Everything that a call wrote is durable when the
//! call returns, a [`Batch`] is written whole or not at all, and a key can be changed under the
//! condition that it still has the value that the caller saw.
//!
//! - [`RedbStore`]: one file of one process, safe against crashes at any moment.
//! - [`MemoryStore`]: for embedders that need no memory beyond their process, and for tests.

mod batch;
mod error;
mod memory;
mod redb_store;

pub use batch::{Batch, Operation};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use redb_store::RedbStore;

/// Longest name of a table, a journal or a key, in bytes.
pub const KEY_MAX: usize = 1024;
/// Longest value or journal record, in bytes.
pub const RECORD_MAX: usize = 16 * 1024 * 1024;
/// Most operations in one batch.
pub const BATCH_OPERATIONS_MAX: usize = 10_000;
/// Most bytes of keys and values in one batch.
pub const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One record of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number: grows by one with each record of the journal, also across [`Batch::clear`].
    pub sequence: u64,
    /// What was appended.
    pub data: Vec<u8>,
}

/// Tables and journals that survive the process (or do not, for [`MemoryStore`]).
///
/// Calls block until they are durable: call them off the workers of an async runtime.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The value of a key.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, table: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keys that begin with `prefix` and their values in the order of keys, after the key `after`,
    /// at most `limit` of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn list(
        &self,
        table: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Records of a journal from number `from` on, at most `limit` of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn records(&self, journal: &str, from: u64, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// Does everything in the batch, or nothing of it; durable on return.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a condition does not hold, [`StoreError::TooLarge`] beyond the
    /// limits; nothing was written then. After [`StoreError::Io`] it is unknown whether it was.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Sets one key whatever it held.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn put(&self, table: &str, key: &str, value: Vec<u8>) -> Result<(), StoreError> {
        self.commit(Batch::new().put(table, key, value))
    }

    /// Sets (`None`: removes) one key if it holds `expected`.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn compare_and_set(
        &self,
        table: &str,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let batch = Batch::new().expect(table, key, expected);
        self.commit(match value {
            Some(value) => batch.put(table, key, value),
            None => batch.remove(table, key),
        })
    }

    /// Appends records to a journal, in order.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn append(&self, journal: &str, records: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let batch = records
            .into_iter()
            .fold(Batch::new(), |batch, record| batch.append(journal, record));
        self.commit(batch)
    }
}
