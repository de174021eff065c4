//! A store that lives and dies with its process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Batch, Operation, Record, Store, StoreError};

/// Tables and journals in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    tables: BTreeMap<(String, String), Vec<u8>>,
    journals: BTreeMap<String, Journal>,
}

#[derive(Clone, Debug, Default)]
struct Journal {
    next: u64,
    records: BTreeMap<u64, Vec<u8>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of another holder leaves whole batches only: conditions are checked before changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store with the same content that goes its own way from here.
impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        Self {
            state: Mutex::new(self.lock().clone()),
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, table: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let place = (table.to_owned(), key.to_owned());
        Ok(self.lock().tables.get(&place).cloned())
    }

    fn list(
        &self,
        table: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded((table.to_owned(), after.to_owned())),
            Some(_) | None => Bound::Included((table.to_owned(), prefix.to_owned())),
        };
        let state = self.lock();
        let found = state
            .tables
            .range((start, Bound::Unbounded))
            .take_while(|((at, key), _)| at == table && key.starts_with(prefix))
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.clone()));
        Ok(found.collect())
    }

    fn records(&self, journal: &str, from: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let state = self.lock();
        let Some(journal) = state.journals.get(journal) else {
            return Ok(Vec::new());
        };
        let found = journal.records.range(from..).take(limit);
        Ok(found
            .map(|(sequence, data)| Record {
                sequence: *sequence,
                data: data.clone(),
            })
            .collect())
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        let mut state = self.lock();
        for operation in &batch.operations {
            if let Operation::Expect { table, key, value } = operation
                && state.tables.get(&(table.clone(), key.clone())) != value.as_ref()
            {
                let (table, key) = (table.clone(), key.clone());
                return Err(StoreError::Conflict { table, key });
            }
        }
        for operation in batch.operations {
            match operation {
                Operation::Expect { .. } => {}
                Operation::Put { table, key, value } => {
                    state.tables.insert((table, key), value);
                }
                Operation::Remove { table, key } => {
                    state.tables.remove(&(table, key));
                }
                Operation::Append { journal, record } => {
                    let journal = state.journals.entry(journal).or_default();
                    journal.records.insert(journal.next, record);
                    journal.next += 1;
                }
                Operation::Clear { journal } => {
                    state.journals.entry(journal).or_default().records.clear();
                }
            }
        }
        Ok(())
    }
}
