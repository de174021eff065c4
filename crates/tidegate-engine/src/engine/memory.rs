//! Reading and writing what the engine remembers. Store calls block: they run off the async workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_manifest::{Application, Diagnostic};
use tidegate_store::{Batch, Record, Store, StoreError};

use super::Engine;
use crate::compare::namespace_metadata;
use crate::journal::{APPLICATIONS, ApplicationRecord, Progress, journal_name};
use crate::{Comparison, Desired, EngineError, Event, OperationState, status};

/// Records that are read at once.
const PAGE: usize = 1000;

type Operations = Arc<Mutex<BTreeMap<String, Option<OperationState>>>>;

/// Holds the place of an application's running operation; dropped, it is free again.
pub(super) struct Running {
    operations: Operations,
    name: String,
}

impl Running {
    pub(super) fn begin(operations: &Operations, name: &str) -> Result<Self, EngineError> {
        let mut held = operations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = held.get(name) {
            let since = other.as_ref().map(|other| other.started_at.to_string());
            return Err(EngineError::InProgress {
                application: name.to_owned(),
                since: since.unwrap_or_else(|| "a moment ago".to_owned()),
            });
        }
        held.insert(name.to_owned(), None);
        Ok(Self {
            operations: Arc::clone(operations),
            name: name.to_owned(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut held = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.remove(&self.name);
    }
}

impl Engine {
    /// Runs a store call where blocking is allowed.
    async fn with_store<T: Send + 'static>(
        &self,
        application: &str,
        call: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let store = Arc::clone(&self.context.store);
        let done = tokio::task::spawn_blocking(move || call(store.as_ref())).await;
        let failed = |source| EngineError::Store {
            application: application.to_owned(),
            source,
        };
        match done {
            Ok(answer) => answer.map_err(failed),
            Err(join) => Err(failed(StoreError::Io {
                path: std::path::PathBuf::new(),
                action: "used",
                reason: join.to_string(),
            })),
        }
    }

    pub(crate) async fn commit(&self, application: &str, batch: Batch) -> Result<(), EngineError> {
        self.with_store(application, move |store| store.commit(batch))
            .await
    }

    /// What is remembered of an application.
    pub(crate) async fn record(&self, name: &str) -> Result<ApplicationRecord, EngineError> {
        let key = name.to_owned();
        let found = self
            .with_store(name, move |store| store.get(APPLICATIONS, &key))
            .await?;
        Ok(ApplicationRecord::read(found.as_deref()))
    }

    /// The operation that is on its way, as far as the journal tells.
    pub(crate) async fn progress(&self, name: &str) -> Result<Option<Progress>, EngineError> {
        let journal = journal_name(name);
        let records = self
            .with_store(name, move |store| {
                let mut all: Vec<Record> = Vec::new();
                loop {
                    let from = all.last().map_or(0, |record| record.sequence + 1);
                    let page = store.records(&journal, from, PAGE)?;
                    let is_last = page.len() < PAGE;
                    all.extend(page);
                    if is_last {
                        return Ok(all);
                    }
                }
            })
            .await?;
        Ok(Progress::fold(&records))
    }

    /// Ends an operation: what it came to and an empty journal, in one write.
    pub(crate) async fn close(
        &self,
        name: &str,
        desired: &Desired,
        operation: &OperationState,
    ) -> Result<(), EngineError> {
        let mut record = self.record(name).await?;
        let limit = desired.application.revision_history_limit;
        record.close(operation, limit, namespace_metadata(desired));
        let batch = Batch::new()
            .put(APPLICATIONS, name, record.bytes())
            .clear(&journal_name(name));
        self.commit(name, batch).await?;
        self.publish(name, operation);
        Ok(())
    }

    /// Forgets an application.
    pub(crate) async fn forget(&self, name: &str) -> Result<(), EngineError> {
        let batch = Batch::new()
            .remove(APPLICATIONS, name)
            .clear(&journal_name(name));
        self.commit(name, batch).await
    }

    /// Changes what is remembered of an application.
    pub(crate) async fn save(
        &self,
        name: &str,
        record: &ApplicationRecord,
    ) -> Result<(), EngineError> {
        self.commit(name, Batch::new().put(APPLICATIONS, name, record.bytes()))
            .await
    }

    /// Remembers a verdict, when it says something new.
    pub(crate) async fn remember(
        &self,
        name: &str,
        desired: &Desired,
        comparison: &Comparison,
        mut record: ApplicationRecord,
    ) -> Result<(), EngineError> {
        let now = self.context.clock.now();
        let verdict = status::verdict(desired, comparison, record.verdict.as_ref(), now);
        let is_news = record.verdict.as_ref().is_none_or(|old| {
            let same_time = crate::journal::Verdict {
                reconciled_at: old.reconciled_at,
                ..verdict.clone()
            };
            *old != same_time
        });
        if !is_news {
            return Ok(());
        }
        record.verdict = Some(verdict);
        self.save(name, &record).await
    }

    /// Tells what is wrong in documents, each finding once while it lasts: an operation and a
    /// comparison find the same.
    pub(crate) fn tell_findings(&self, application: &str, found: &[Diagnostic]) {
        let errors = found.iter().filter(|found| found.is_error());
        let errors: Vec<Diagnostic> = errors.cloned().collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.insert(application.to_owned(), errors.clone());
        drop(told);
        for found in errors {
            if known.as_ref().is_none_or(|known| !known.contains(&found)) {
                self.emit(Event::of_diagnostic(application, &found));
            }
        }
    }

    /// Lets everything be told again.
    pub(crate) fn forget_told(&self, application: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.remove(application);
    }

    /// Shows how far the running operation is.
    pub(crate) fn publish(&self, name: &str, operation: &OperationState) {
        let mut held = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = held.get_mut(name) {
            *place = Some(operation.clone());
        }
    }

    pub(crate) fn published(&self, name: &str) -> Option<OperationState> {
        let held = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(name).cloned().flatten()
    }

    /// The operation that runs in this process.
    pub(crate) fn running_operation(&self, application: &Application) -> Option<OperationState> {
        self.published(&self.tracking_name(application))
    }

    /// When the operation that runs in this process began.
    pub(crate) fn published_since(&self, application: &Application) -> String {
        let running = self.running_operation(application);
        running.map_or_else(|| "a moment ago".to_owned(), |o| o.started_at.to_string())
    }

    /// The last operation that ended.
    pub(crate) async fn last(
        &self,
        application: &Application,
    ) -> Result<Option<OperationState>, EngineError> {
        Ok(self
            .record(&self.tracking_name(application))
            .await?
            .operation)
    }
}
