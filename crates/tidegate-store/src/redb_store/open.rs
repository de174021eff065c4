//! Opening the file of a store, and saying who has it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::redb::{Database, DatabaseError, StorageError};

use super::{CACHE_BYTES, guarded};
use crate::StoreError;

/// How long the lock of a process that has ended is waited for.
const ORPHANS_WAIT: Duration = Duration::from_secs(5);
/// Between two tries.
const ORPHANS_POLL: Duration = Duration::from_millis(20);
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
    let end = Instant::now() + ORPHANS_WAIT;
    loop {
        let opened = guarded(path, "opened", || {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES);
            builder
                .create(path)
                .map_err(|error| database_error(path, error))
        });
        match opened {
            Err(StoreError::Locked { .. }) if is_holder_gone(path) && Instant::now() < end => {
                std::thread::sleep(ORPHANS_POLL);
            }
            opened => return opened,
        }
    }
}

/// Whether the process that left the note has ended: the lock is then held by a child of it that was being started when
/// it was killed, and goes as soon as that child runs its own program.
fn is_holder_gone(path: &Path) -> bool {
    let noted = holder(path);
    let number = noted.rsplit_once("(process ").map(|(_, number)| number);
    let number = number.and_then(|number| number.strip_suffix(')')?.parse::<u32>().ok());
    let processes = Path::new("/proc");
    number.is_some_and(|number| {
        processes.join("self").exists() && !processes.join(number.to_string()).exists()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_process_that_ended_is_waited_for() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("state.redb");
        let held = open(&path).unwrap();
        // Process numbers end before this one.
        std::fs::write(note_path(&path), "tidegate (process 4194999)").unwrap();
        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(held);
        });
        assert!(open(&path).is_ok());
        release.join().unwrap();
    }

    #[test]
    fn the_lock_of_a_living_process_is_told_at_once() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("state.redb");
        let _held = open(&path).unwrap();
        note_owner(&path).unwrap();
        let began = Instant::now();
        assert!(matches!(open(&path), Err(StoreError::Locked { .. })));
        assert!(began.elapsed() < ORPHANS_WAIT);
    }
}
