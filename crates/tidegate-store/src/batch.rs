//! What one commit does. No storage.

use crate::{BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, KEY_MAX, RECORD_MAX, StoreError};

/// One step of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The key must hold this value (`None`: must be absent) when the batch begins.
    Expect {
        /// The table.
        table: String,
        /// The key.
        key: String,
        /// What it must hold.
        value: Option<Vec<u8>>,
    },
    /// Sets a key.
    Put {
        /// The table.
        table: String,
        /// The key.
        key: String,
        /// What it will hold.
        value: Vec<u8>,
    },
    /// Removes a key, if it is there.
    Remove {
        /// The table.
        table: String,
        /// The key.
        key: String,
    },
    /// Appends a record to a journal.
    Append {
        /// The journal.
        journal: String,
        /// The record.
        record: Vec<u8>,
    },
    /// Removes all records of a journal; numbers go on where they were.
    Clear {
        /// The journal.
        journal: String,
    },
}

/// Steps that are done together or not at all. All conditions are looked at before the first change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub(crate) operations: Vec<Operation>,
}

impl Batch {
    /// A batch of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the batch conditional on what a key holds.
    #[must_use]
    pub fn expect(mut self, table: &str, key: &str, value: Option<Vec<u8>>) -> Self {
        self.operations.push(Operation::Expect {
            table: table.to_owned(),
            key: key.to_owned(),
            value,
        });
        self
    }

    /// Sets a key.
    #[must_use]
    pub fn put(mut self, table: &str, key: &str, value: Vec<u8>) -> Self {
        self.operations.push(Operation::Put {
            table: table.to_owned(),
            key: key.to_owned(),
            value,
        });
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn remove(mut self, table: &str, key: &str) -> Self {
        self.operations.push(Operation::Remove {
            table: table.to_owned(),
            key: key.to_owned(),
        });
        self
    }

    /// Appends a record to a journal.
    #[must_use]
    pub fn append(mut self, journal: &str, record: Vec<u8>) -> Self {
        self.operations.push(Operation::Append {
            journal: journal.to_owned(),
            record,
        });
        self
    }

    /// Removes all records of a journal.
    #[must_use]
    pub fn clear(mut self, journal: &str) -> Self {
        self.operations.push(Operation::Clear {
            journal: journal.to_owned(),
        });
        self
    }

    /// The steps, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Whether the batch keeps the limits.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] says which one it does not.
    pub fn check(&self) -> Result<(), StoreError> {
        let limit = |what: &str, size: usize, max: usize| {
            if size > max {
                let what = what.to_owned();
                return Err(StoreError::TooLarge { what, size, max });
            }
            Ok(())
        };
        limit("a batch", self.operations.len(), BATCH_OPERATIONS_MAX)?;
        let mut bytes = 0;
        for operation in &self.operations {
            let (names, value): ([&str; 2], &[u8]) = match operation {
                Operation::Expect { table, key, value } => {
                    ([table, key], value.as_deref().unwrap_or_default())
                }
                Operation::Put { table, key, value } => ([table, key], value),
                Operation::Remove { table, key } => ([table, key], &[]),
                Operation::Append { journal, record } => ([journal, ""], record),
                Operation::Clear { journal } => ([journal, ""], &[]),
            };
            for name in names {
                limit("a key", name.len(), KEY_MAX)?;
                bytes += name.len();
            }
            limit("a record", value.len(), RECORD_MAX)?;
            bytes += value.len();
        }
        limit("a batch", bytes, BATCH_BYTES_MAX)
    }
}
