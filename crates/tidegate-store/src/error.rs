//! What can go wrong, by what one does about it.

use std::path::PathBuf;

/// Why a store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A key did not hold what the caller expected: read again and decide again.
    #[error("{table}/{key} was changed by somebody else")]
    Conflict {
        /// The table.
        table: String,
        /// The key.
        key: String,
    },
    /// A limit was passed: write less.
    #[error("{what} of {size} is over the limit of {max}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// How large it is.
        size: usize,
        /// How large it may be.
        max: usize,
    },
    /// Another process has the file open: end it, or use another directory.
    #[error("the state in {} is in use by {holder}: only one process may have it open", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Who has it, as far as is known.
        holder: String,
    },
    /// The file is no store, or was damaged: move it away.
    #[error("the state in {} cannot be used: {reason}; move the file away to begin anew", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk did not do as asked.
    #[error("the state in {} cannot be {action}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        reason: String,
    },
}

impl StoreError {
    /// Whether a condition of a batch did not hold.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}
