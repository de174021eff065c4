//! Opening the file of a store, and saying who has it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ::redb::{Database, DatabaseError, StorageError};

use super::{CACHE_BYTES, guarded};
use crate::StoreError;

/// Longest owner note that is read.
const NOTE_BYTES_MAX: usize = 200;

pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent).map_err(|error| StoreError::Io {
            path: path.to_owned(),
            action: "made",
            reason: error.to_string(),
        })?;
    }
    guarded(path, "opened", || {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        builder
            .create(path)
            .map_err(|error| database_error(path, error))
    })
}

pub(super) fn database_error(path: &Path, error: DatabaseError) -> StoreError {
    let place = path.to_owned();
    let corrupt = |reason: String| StoreError::Corrupt {
        path: place.clone(),
        reason,
    };
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::Locked {
                holder: holder(path),
                path: place,
            }
        }
        DatabaseError::UpgradeRequired(version) => corrupt(format!(
            "it was written in the old format {version} of the storage library"
        )),
        DatabaseError::RepairAborted => corrupt("it could not be repaired".to_owned()),
        DatabaseError::Storage(StorageError::Corrupted(reason)) => corrupt(reason),
        DatabaseError::Storage(StorageError::Io(error))
            if matches!(
                error.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            corrupt(format!("it is no state of Tidegate ({error})"))
        }
        other => StoreError::Io {
            path: place,
            action: "opened",
            reason: other.to_string(),
        },
    }
}

fn note_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".owner");
    path.with_file_name(name)
}

/// Leaves a note beside the file; a hint for people only, the lock is the file's own.
pub(super) fn note_owner(path: &Path) -> Option<PathBuf> {
    let note = note_path(path);
    let program = std::env::args_os().next().map(PathBuf::from);
    let program = program.as_deref().and_then(Path::file_name);
    let name = program.map_or_else(|| "process".into(), |name| name.to_string_lossy());
    let text = format!("{name} (process {})", std::process::id());
    match std::fs::write(&note, text) {
        Ok(()) => Some(note),
        Err(error) => {
            tracing::debug!(path = %note.display(), %error, "the owner note could not be written");
            None
        }
    }
}

fn holder(path: &Path) -> String {
    let note = std::fs::read(note_path(path)).unwrap_or_default();
    let text: String = String::from_utf8_lossy(&note)
        .chars()
        .filter(|c| !c.is_control())
        .take(NOTE_BYTES_MAX)
        .collect();
    if text.is_empty() {
        "another process".to_owned()
    } else {
        text
    }
}
