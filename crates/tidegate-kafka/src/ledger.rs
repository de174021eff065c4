//! What was applied last, per application: topics and users bear no labels, so this says whose they are
//! and what a document set.
//!
//! Must not know: brokers. A record is of one cluster, by the id that the cluster says it has.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_applier::{ApplierError, ErrorKind};

/// What is remembered of one document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The kind.
    pub kind: String,
    /// The document's namespace.
    pub namespace: String,
    /// The document's name.
    pub name: String,
    /// What it is in Kafka: the topic's name, the user's principal, the subject.
    pub subject: String,
    /// The application by the document's mark; empty when it bore none.
    pub application: String,
    /// The document as it was applied, without status.
    pub document: Value,
    /// The topic's id when it was applied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// How often it was made anew; tells one user from the next of the same name.
    #[serde(default)]
    pub incarnation: u32,
    /// The operation that made it anew last; the same one does not do it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recreated_by: Option<String>,
    /// What tells a user's password from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordMark>,
}

impl Record {
    /// The identity of this very thing.
    pub(crate) fn uid(&self) -> String {
        if self.id.is_empty() {
            format!("{} {}~{}", self.kind, self.subject, self.incarnation)
        } else {
            self.id.clone()
        }
    }
}

/// A password as it is remembered: salted and hashed as Kafka itself keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordMark {
    /// The salt, in base64.
    pub salt: String,
    /// A digest of the salted password, in hexadecimal.
    pub digest: String,
}

/// Records of one cluster and application, by `Kind namespace/name`.
pub type Records = BTreeMap<String, Record>;

/// Keeps records.
pub trait Ledger: Send + Sync + Debug {
    /// All records of an application in a cluster.
    ///
    /// # Errors
    /// They cannot be read.
    fn load(&self, cluster: &str, application: &str) -> Result<Records, ApplierError>;

    /// Sets records of an application, or takes them away.
    ///
    /// # Errors
    /// They cannot be written.
    fn save(
        &self,
        cluster: &str,
        application: &str,
        changes: &BTreeMap<String, Option<Record>>,
    ) -> Result<(), ApplierError>;

    /// The applications that have records in a cluster.
    ///
    /// # Errors
    /// They cannot be read.
    fn applications(&self, cluster: &str) -> Result<Vec<String>, ApplierError>;
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
pub struct MemoryLedger(Mutex<BTreeMap<(String, String), Records>>);

impl Ledger for MemoryLedger {
    fn load(&self, cluster: &str, application: &str) -> Result<Records, ApplierError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (cluster.to_owned(), application.to_owned());
        Ok(kept.get(&key).cloned().unwrap_or_default())
    }

    fn save(
        &self,
        cluster: &str,
        application: &str,
        changes: &BTreeMap<String, Option<Record>>,
    ) -> Result<(), ApplierError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (cluster.to_owned(), application.to_owned());
        merge(kept.entry(key).or_default(), changes);
        Ok(())
    }

    fn applications(&self, cluster: &str) -> Result<Vec<String>, ApplierError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = kept
            .iter()
            .filter(|((at, _), records)| at == cluster && !records.is_empty());
        Ok(there.map(|((_, name), _)| name.clone()).collect())
    }
}

/// Keeps records as one JSON file per application.
#[derive(Debug)]
pub struct DirectoryLedger {
    directory: PathBuf,
    /// One writer at a time.
    writing: Mutex<()>,
}

impl DirectoryLedger {
    /// Keeps them in `directory`, which is made when the first comes.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            writing: Mutex::default(),
        }
    }

    fn folder(&self, cluster: &str) -> PathBuf {
        self.directory.join(URL_SAFE_NO_PAD.encode(cluster))
    }

    fn path(&self, cluster: &str, application: &str) -> PathBuf {
        let name = URL_SAFE_NO_PAD.encode(application);
        self.folder(cluster).join(format!("{name}.json"))
    }
}

impl Ledger for DirectoryLedger {
    fn load(&self, cluster: &str, application: &str) -> Result<Records, ApplierError> {
        let path = self.path(cluster, application);
        let tell = |why: String| {
            let message = format!("{}: the records cannot be read: {why}", path.display());
            ApplierError::new(ErrorKind::Internal, message)
                .help("restore the file, or remove it: topics are adopted again, and what left Git is forgotten")
        };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| tell(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Records::new()),
            Err(error) => Err(tell(error.to_string())),
        }
    }

    fn save(
        &self,
        cluster: &str,
        application: &str,
        changes: &BTreeMap<String, Option<Record>>,
    ) -> Result<(), ApplierError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.load(cluster, application)?;
        let mut records = before.clone();
        merge(&mut records, changes);
        if records == before {
            return Ok(());
        }
        let bytes = serde_json::to_vec_pretty(&records)
            .map_err(|error| ApplierError::new(ErrorKind::Internal, error.to_string()))?;
        let path = self.path(cluster, application);
        write(&path, &bytes).map_err(|error| {
            let message = format!("{}: the records cannot be kept: {error}", path.display());
            ApplierError::new(ErrorKind::Internal, message)
                .help("free space on the disk, or name another directory with --dir")
        })
    }

    fn applications(&self, cluster: &str) -> Result<Vec<String>, ApplierError> {
        let Ok(entries) = std::fs::read_dir(self.folder(cluster)) else {
            return Ok(Vec::new());
        };
        let named = entries.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?.strip_suffix(".json")?;
            let bytes = URL_SAFE_NO_PAD.decode(name).ok()?;
            String::from_utf8(bytes).ok()
        });
        let mut names: Vec<String> = named.collect();
        names.sort();
        Ok(names)
    }
}

/// Writes beside the file and renames, so that the file is whole at any moment.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ledger: &dyn Ledger) {
        let record = Record {
            subject: "orders".to_owned(),
            ..Record::default()
        };
        let set = BTreeMap::from([("a".to_owned(), Some(record.clone()))]);
        ledger.save("c", "shop/prod", &set).unwrap();
        let loaded = ledger.load("c", "shop/prod").unwrap();
        assert_eq!(loaded, Records::from([("a".to_owned(), record)]));
        assert_eq!(ledger.applications("c").unwrap(), ["shop/prod"]);
        assert!(ledger.load("other", "shop/prod").unwrap().is_empty());
        let unset = BTreeMap::from([("a".to_owned(), None)]);
        ledger.save("c", "shop/prod", &unset).unwrap();
        assert!(ledger.load("c", "shop/prod").unwrap().is_empty());
    }

    #[test]
    fn ledgers_keep_and_forget() {
        check(&MemoryLedger::default());
        let directory = tempfile::tempdir().unwrap();
        check(&DirectoryLedger::new(directory.path()));
    }

    #[test]
    fn damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = DirectoryLedger::new(directory.path());
        let set = BTreeMap::from([("a".to_owned(), Some(Record::default()))]);
        ledger.save("c", "shop", &set).unwrap();
        std::fs::write(ledger.path("c", "shop"), b"{").unwrap();
        let error = ledger.load("c", "shop").unwrap_err();
        assert!(error.message.contains("cannot be read"), "{error}");
    }
}
