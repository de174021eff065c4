//! What was applied last, per application: how resources without tags are known to be ours, and
//! which properties and tags were declared.
//!
//! The record is a help, not the truth: a resource that bears another application's tags is never
//! touched, whatever a record says, and what has tags is found without any record.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tidegate_applier::{ApplierError, ErrorKind};

use crate::Mark;
use crate::artifacts::write;

/// What is remembered of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its type.
    pub resource_type: String,
    /// What its handler finds it by.
    pub physical_id: String,
    /// Whose it is.
    pub mark: Mark,
    /// The top-level properties that were declared.
    #[serde(default)]
    pub properties: Vec<String>,
    /// The tags that were declared.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The resources that it names, for the order of deletions: `stack/logical id`.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Digests of properties that the target takes and never shows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unseen: BTreeMap<String, String>,
    /// How often it was made anew under the same physical id: tells one from the next.
    #[serde(default)]
    pub incarnation: u32,
    /// The operation that made it anew last; the same one does not do it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recreated_by: Option<String>,
}

impl Record {
    /// The identity of this very resource.
    pub(crate) fn uid(physical_id: &str, record: Option<&Self>) -> String {
        match record.map(|record| record.incarnation) {
            None | Some(0) => physical_id.to_owned(),
            Some(incarnation) => format!("{physical_id}{INCARNATION}{incarnation}"),
        }
    }

    /// The physical id in such an identity.
    pub(crate) fn physical_id_of(uid: &str) -> &str {
        match uid.rsplit_once(INCARNATION) {
            Some((id, count)) if count.bytes().all(|b| b.is_ascii_digit()) => id,
            Some(_) | None => uid,
        }
    }
}

/// Stands before the count in the identity of a resource that was made anew.
const INCARNATION: char = '~';

/// Records of one account and region, by application and `type stack/logical id`.
pub type Records = BTreeMap<String, Record>;

/// Keeps records.
pub trait StateStore: Send + Sync + Debug {
    /// All records of an application in a target.
    ///
    /// # Errors
    /// They cannot be read.
    fn load(&self, target: &str, application: &str) -> Result<Records, ApplierError>;

    /// One record of an application in a target.
    ///
    /// # Errors
    /// It cannot be read.
    fn one(
        &self,
        target: &str,
        application: &str,
        key: &str,
    ) -> Result<Option<Record>, ApplierError> {
        Ok(self.load(target, application)?.remove(key))
    }

    /// Sets records of an application, or takes them away.
    ///
    /// # Errors
    /// They cannot be written.
    fn save(
        &self,
        target: &str,
        application: &str,
        changes: &BTreeMap<String, Option<Record>>,
    ) -> Result<(), ApplierError>;

    /// The applications that have records in a target.
    ///
    /// # Errors
    /// They cannot be read.
    fn applications(&self, target: &str) -> Result<Vec<String>, ApplierError>;
}

/// Whether these changes change nothing.
fn holds(records: &Records, changes: &BTreeMap<String, Option<Record>>) -> bool {
    let mut changes = changes.iter();
    changes.all(|(key, change)| records.get(key) == change.as_ref())
}

fn merge(records: &mut Records, changes: &BTreeMap<String, Option<Record>>) {
    for (key, change) in changes {
        match change {
            Some(record) => records.insert(key.clone(), record.clone()),
            None => records.remove(key),
        };
    }
}

/// Keeps records in memory.
#[derive(Debug, Default)]
pub struct MemoryState(Mutex<BTreeMap<(String, String), Records>>);

impl StateStore for MemoryState {
    fn load(&self, target: &str, application: &str) -> Result<Records, ApplierError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (target.to_owned(), application.to_owned());
        Ok(kept.get(&key).cloned().unwrap_or_default())
    }

    fn one(
        &self,
        target: &str,
        application: &str,
        key: &str,
    ) -> Result<Option<Record>, ApplierError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let records = kept.get(&(target.to_owned(), application.to_owned()));
        Ok(records.and_then(|records| records.get(key)).cloned())
    }

    fn save(
        &self,
        target: &str,
        application: &str,
        changes: &BTreeMap<String, Option<Record>>,
    ) -> Result<(), ApplierError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (target.to_owned(), application.to_owned());
        merge(kept.entry(key).or_default(), changes);
        Ok(())
    }

    fn applications(&self, target: &str) -> Result<Vec<String>, ApplierError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_target = kept
            .iter()
            .filter(|((at, _), records)| at == target && !records.is_empty());
        Ok(of_target.map(|((_, name), _)| name.clone()).collect())
    }
}

/// Keeps records as one JSON file per application: read once, then written through.
#[derive(Debug)]
pub struct DirectoryState {
    directory: PathBuf,
    kept: Mutex<BTreeMap<(String, String), Records>>,
    /// The applications of a target that have a file: listed once, then known.
    named: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl DirectoryState {
    /// Keeps them in `directory`, which is made when the first comes.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            kept: Mutex::default(),
            named: Mutex::default(),
        }
    }

    fn folder(&self, target: &str) -> PathBuf {
        self.directory.join(URL_SAFE_NO_PAD.encode(target))
    }

    fn path(&self, target: &str, application: &str) -> PathBuf {
        let name = URL_SAFE_NO_PAD.encode(application);
        self.folder(target).join(format!("{name}.json"))
    }

    /// Looks at the records of an application, read from the file the first time.
    fn with<T>(
        &self,
        target: &str,
        application: &str,
        look: impl FnOnce(&Records) -> T,
    ) -> Result<T, ApplierError> {
        let key = (target.to_owned(), application.to_owned());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get(&key) {
            return Ok(look(found));
        }
        let found = self.read(target, application)?;
        Ok(look(kept.entry(key).or_insert(found)))
    }

    fn listed(&self, target: &str) -> BTreeSet<String> {
        let Ok(entries) = std::fs::read_dir(self.folder(target)) else {
            return BTreeSet::new();
        };
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?.strip_suffix(".json")?;
            let bytes = URL_SAFE_NO_PAD.decode(name).ok()?;
            String::from_utf8(bytes).ok()
        });
        names.collect()
    }

    fn read(&self, target: &str, application: &str) -> Result<Records, ApplierError> {
        let path = self.path(target, application);
        let tell = |why: String| {
            let message = format!("{}: the records cannot be read: {why}", path.display());
            ApplierError::new(ErrorKind::Internal, message).help(
                "restore the file, or remove it: resources with tags are found again without it",
            )
        };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| tell(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Records::new()),
            Err(error) => Err(tell(error.to_string())),
        }
    }
}

impl StateStore for DirectoryState {
    fn load(&self, target: &str, application: &str) -> Result<Records, ApplierError> {
        self.with(target, application, Records::clone)
    }

    fn one(
        &self,
        target: &str,
        application: &str,
        key: &str,
    ) -> Result<Option<Record>, ApplierError> {
        self.with(target, application, |records| records.get(key).cloned())
    }

    fn save(
        &self,
        target: &str,
        application: &str,
        changes: &BTreeMap<String, Option<Record>>,
    ) -> Result<(), ApplierError> {
        if self.with(target, application, |records| holds(records, changes))? {
            return Ok(());
        }
        let key = (target.to_owned(), application.to_owned());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Another call may have written between: its changes stay.
        let current = kept.entry(key).or_default();
        merge(current, changes);
        let bytes = serde_json::to_vec_pretty(&*current)
            .map_err(|error| ApplierError::new(ErrorKind::Internal, error.to_string()))?;
        let path = self.path(target, application);
        write(&self.folder(target), &path, &bytes).map_err(|error| {
            let message = format!("{}: the records cannot be kept: {error}", path.display());
            ApplierError::new(ErrorKind::Internal, message)
                .help("free space on the disk, or name another directory with --dir")
        })?;
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = named.get_mut(target) {
            names.insert(application.to_owned());
        }
        Ok(())
    }

    fn applications(&self, target: &str) -> Result<Vec<String>, ApplierError> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let names = named
            .entry(target.to_owned())
            .or_insert_with(|| self.listed(target));
        Ok(names.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(store: &dyn StateStore) {
        let record = Record {
            resource_type: "AWS::Lambda::Alias".to_owned(),
            physical_id: "f|live".to_owned(),
            ..Record::default()
        };
        let set = BTreeMap::from([("a".to_owned(), Some(record.clone()))]);
        store.save("aws", "etl/prod", &set).unwrap();
        let loaded = store.load("aws", "etl/prod").unwrap();
        assert_eq!(loaded, Records::from([("a".to_owned(), record)]));
        assert_eq!(store.applications("aws").unwrap(), ["etl/prod"]);
        assert!(store.load("other", "etl/prod").unwrap().is_empty());
        let unset = BTreeMap::from([("a".to_owned(), None)]);
        store.save("aws", "etl/prod", &unset).unwrap();
        assert!(store.load("aws", "etl/prod").unwrap().is_empty());
    }

    #[test]
    fn stores_keep_and_forget() {
        check(&MemoryState::default());
        let directory = tempfile::tempdir().unwrap();
        check(&DirectoryState::new(directory.path()));
    }

    #[test]
    fn a_directory_outlives_its_store_and_damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let set = BTreeMap::from([("a".to_owned(), Some(Record::default()))]);
        let first = DirectoryState::new(directory.path());
        first.save("aws", "etl", &set).unwrap();
        let second = DirectoryState::new(directory.path());
        assert_eq!(second.load("aws", "etl").unwrap().len(), 1);
        std::fs::write(second.path("aws", "etl"), b"{").unwrap();
        let third = DirectoryState::new(directory.path());
        assert!(third.load("aws", "etl").is_err());
    }
}
