//! Commits of many callers in one transaction: the first one writes for all that wait.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ::redb::{Database, ReadableTable, WriteTransaction};

use super::{NEXT, RECORDS, TABLES, redb_error, table_error};
use crate::{BATCH_BYTES_MAX, Batch, Operation, StoreError};

/// Most batches in one transaction.
const GROUP_MAX: usize = 1024;

type Outcome = Result<(), StoreError>;

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<(u64, Batch)>,
    results: BTreeMap<u64, Outcome>,
    next: u64,
    is_writing: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the batch in and returns once somebody has written it.
    pub(super) fn commit(
        &self,
        batch: Batch,
        write: impl Fn(&[Batch]) -> Result<Vec<Outcome>, StoreError>,
    ) -> Outcome {
        let mut state = self.lock();
        let ticket = state.next;
        state.next += 1;
        state.waiting.push((ticket, batch));
        loop {
            if let Some(outcome) = state.results.remove(&ticket) {
                return outcome;
            }
            if state.is_writing {
                state = self
                    .done
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_writing = true;
            let (tickets, batches) = take_group(&mut state.waiting);
            drop(state);
            let written = write(&batches);
            state = self.lock();
            state.is_writing = false;
            match written {
                Ok(outcomes) => state.results.extend(tickets.into_iter().zip(outcomes)),
                Err(error) => {
                    let again = tickets.iter().map(|ticket| (*ticket, Err(repeat(&error))));
                    state.results.extend(again);
                }
            }
            self.done.notify_all();
        }
    }
}

/// The first batches that wait, as many as fit in one transaction, and always one.
fn take_group(waiting: &mut Vec<(u64, Batch)>) -> (Vec<u64>, Vec<Batch>) {
    let mut bytes = 0;
    let fitting = waiting.iter().take(GROUP_MAX).take_while(|(_, batch)| {
        let is_first = bytes == 0;
        bytes += size(batch).max(1);
        is_first || bytes <= BATCH_BYTES_MAX
    });
    let count = fitting.count();
    waiting.drain(..count).unzip()
}

fn size(batch: &Batch) -> usize {
    let bytes = |operation: &Operation| match operation {
        Operation::Put { value, .. } => value.len(),
        Operation::Append { record, .. } => record.len(),
        Operation::Expect { .. } | Operation::Remove { .. } | Operation::Clear { .. } => 0,
    };
    batch.operations.iter().map(bytes).sum()
}

/// The same failure for every caller whose batch was in the transaction.
fn repeat(error: &StoreError) -> StoreError {
    match error {
        StoreError::Corrupt { path, reason } => StoreError::Corrupt {
            path: path.clone(),
            reason: reason.clone(),
        },
        StoreError::Io {
            path,
            action,
            reason,
        } => StoreError::Io {
            path: path.clone(),
            action,
            reason: reason.clone(),
        },
        other @ (StoreError::Conflict { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Locked { .. }) => StoreError::Io {
            path: std::path::PathBuf::new(),
            action: "written",
            reason: other.to_string(),
        },
    }
}

/// Writes the batches in one transaction; one whose condition does not hold changes nothing.
pub(super) fn write(
    database: &Database,
    path: &Path,
    batches: &[Batch],
) -> Result<Vec<Outcome>, StoreError> {
    let transaction = database
        .begin_write()
        .map_err(|error| redb_error(path, "written", error.into()))?;
    let mut outcomes = Vec::with_capacity(batches.len());
    for batch in batches {
        outcomes.push(match conflict(&transaction, path, batch)? {
            Some(conflict) => Err(conflict),
            None => {
                change(&transaction, path, batch)?;
                Ok(())
            }
        });
    }
    transaction
        .commit()
        .map_err(|error| redb_error(path, "written", error.into()))?;
    Ok(outcomes)
}

fn conflict(
    transaction: &WriteTransaction,
    path: &Path,
    batch: &Batch,
) -> Result<Option<StoreError>, StoreError> {
    let tables = transaction
        .open_table(TABLES)
        .map_err(|error| table_error(path, error))?;
    for operation in &batch.operations {
        let Operation::Expect { table, key, value } = operation else {
            continue;
        };
        let held = tables
            .get((table.as_str(), key.as_str()))
            .map_err(|error| redb_error(path, "read", error.into()))?;
        if held.as_ref().map(::redb::AccessGuard::value) != value.as_deref() {
            let (table, key) = (table.clone(), key.clone());
            return Ok(Some(StoreError::Conflict { table, key }));
        }
    }
    Ok(None)
}

fn change(transaction: &WriteTransaction, path: &Path, batch: &Batch) -> Result<(), StoreError> {
    let failed = |error: ::redb::StorageError| redb_error(path, "written", error.into());
    let missing = |error| table_error(path, error);
    let mut tables = transaction.open_table(TABLES).map_err(missing)?;
    let mut records = transaction.open_table(RECORDS).map_err(missing)?;
    let mut next = transaction.open_table(NEXT).map_err(missing)?;
    for operation in &batch.operations {
        match operation {
            Operation::Expect { .. } => {}
            Operation::Put { table, key, value } => {
                let place = (table.as_str(), key.as_str());
                tables.insert(place, value.as_slice()).map_err(failed)?;
            }
            Operation::Remove { table, key } => {
                tables
                    .remove((table.as_str(), key.as_str()))
                    .map_err(failed)?;
            }
            Operation::Append { journal, record } => {
                let journal = journal.as_str();
                let number = next
                    .get(journal)
                    .map_err(failed)?
                    .map_or(0, |number| number.value());
                let place = (journal, number);
                records.insert(place, record.as_slice()).map_err(failed)?;
                next.insert(journal, number + 1).map_err(failed)?;
            }
            Operation::Clear { journal } => {
                let journal = journal.as_str();
                records
                    .retain_in((journal, 0)..=(journal, u64::MAX), |_, _| false)
                    .map_err(failed)?;
            }
        }
    }
    Ok(())
}
