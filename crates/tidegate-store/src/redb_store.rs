//! A store in one file, on redb: durable, crash-safe, open in one process at a time.
//!
//! Commits that come while another is being written to disk are written together by one of their
//! callers, so that many applications share one flush.

mod group;
mod open;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ::redb::{Database, ReadableDatabase, TableDefinition, TableError};

use crate::{Batch, Record, Store, StoreError};
use group::Queue;

pub(crate) const TABLES: TableDefinition<'static, (&str, &str), &[u8]> =
    TableDefinition::new("tables");
pub(crate) const RECORDS: TableDefinition<'static, (&str, u64), &[u8]> =
    TableDefinition::new("records");
pub(crate) const NEXT: TableDefinition<'static, &str, u64> = TableDefinition::new("next");

/// Memory that redb may use to cache pages.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Tables and journals in one file.
#[derive(Debug)]
pub struct RedbStore {
    database: Database,
    queue: Queue,
    path: PathBuf,
    /// The file that says who has the store, removed when it is closed.
    owner_note: Option<PathBuf>,
}

impl RedbStore {
    /// Opens the file, or makes it together with its directory.
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the process that has it open, [`StoreError::Corrupt`] says that
    /// the file is no store or was damaged, [`StoreError::Io`] what the system said.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = open::open(path)?;
        let owner_note = open::note_owner(path);
        Ok(Self {
            database,
            queue: Queue::default(),
            path: path.to_owned(),
            owner_note,
        })
    }

    /// A store on a backend of the caller, for tests of crashes.
    #[cfg(test)]
    pub(crate) fn on(backend: impl ::redb::StorageBackend) -> Result<Self, StoreError> {
        let path = PathBuf::from("backend");
        let database = guarded(&path, "opened", || {
            let opened = Database::builder().create_with_backend(backend);
            opened.map_err(|error| open::database_error(&path, error))
        })?;
        Ok(Self {
            database,
            queue: Queue::default(),
            path,
            owner_note: None,
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&::redb::ReadTransaction) -> Result<T, ::redb::Error>,
    ) -> Result<Option<T>, StoreError> {
        guarded(&self.path, "read", || {
            let transaction = self
                .database
                .begin_read()
                .map_err(|error| redb_error(&self.path, "read", error.into()))?;
            match read(&transaction) {
                Ok(found) => Ok(Some(found)),
                Err(::redb::Error::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(redb_error(&self.path, "read", error)),
            }
        })
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        if let Some(note) = self.owner_note.take()
            && let Err(error) = std::fs::remove_file(&note)
        {
            tracing::debug!(path = %note.display(), %error, "the owner note could not be removed");
        }
    }
}

impl Store for RedbStore {
    fn get(&self, table: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.read(|transaction| {
            let tables = transaction.open_table(TABLES)?;
            Ok(tables
                .get((table, key))?
                .map(|value| value.value().to_vec()))
        })?;
        Ok(found.flatten())
    }

    fn list(
        &self,
        table: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let start = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        let found = self.read(|transaction| {
            let tables = transaction.open_table(TABLES)?;
            let mut found = Vec::new();
            for entry in tables.range((table, start)..)? {
                let (place, value) = entry?;
                let (at, key) = place.value();
                if at != table || !key.starts_with(prefix) || found.len() >= limit {
                    break;
                }
                if Some(key) != after {
                    found.push((key.to_owned(), value.value().to_vec()));
                }
            }
            Ok(found)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn records(&self, journal: &str, from: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let found = self.read(|transaction| {
            let records = transaction.open_table(RECORDS)?;
            let mut found = Vec::new();
            for entry in records
                .range((journal, from)..=(journal, u64::MAX))?
                .take(limit)
            {
                let (place, data) = entry?;
                found.push(Record {
                    sequence: place.value().1,
                    data: data.value().to_vec(),
                });
            }
            Ok(found)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        self.queue.commit(batch, |batches| {
            guarded(&self.path, "written", || {
                group::write(&self.database, &self.path, batches)
            })
        })
    }
}

/// A damaged page may make redb panic: that is the file's fault, not the caller's.
fn guarded<T>(
    path: &Path,
    action: &'static str,
    call: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        Err(StoreError::Corrupt {
            path: path.to_owned(),
            reason: format!("it cannot be {action}: {}", panic_text(panic.as_ref())),
        })
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("its pages contradict each other")
}

pub(crate) fn redb_error(path: &Path, action: &'static str, error: ::redb::Error) -> StoreError {
    let path = path.to_owned();
    match error {
        ::redb::Error::Corrupted(reason) => StoreError::Corrupt { path, reason },
        other => StoreError::Io {
            path,
            action,
            reason: other.to_string(),
        },
    }
}

pub(crate) fn table_error(path: &Path, error: TableError) -> StoreError {
    redb_error(path, "written", error.into())
}

#[cfg(test)]
mod tests;
