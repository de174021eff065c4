//! Documents of bindings that were applied: one file each in a directory, or in memory.
//!
//! The files are whole documents: `tidegate-bridge --config DIR` reads the same directory.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidegate_applier::{ApplierError, ErrorKind};

/// Most bytes of a document.
const DOCUMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// By namespace and name.
pub(super) type Documents = BTreeMap<(String, String), Value>;

/// Where documents are kept.
#[derive(Debug)]
pub(super) struct Store {
    folder: Option<PathBuf>,
    pub(super) documents: Documents,
}

impl Store {
    /// In memory only.
    pub(super) fn memory() -> Self {
        Self {
            folder: None,
            documents: Documents::new(),
        }
    }

    /// The documents of a directory, which is made when it is missing.
    pub(super) fn open(folder: &Path) -> Result<Self, ApplierError> {
        let fails = |error: std::io::Error| internal(folder, &error);
        std::fs::create_dir_all(folder).map_err(fails)?;
        let mut documents = Documents::new();
        for entry in std::fs::read_dir(folder).map_err(fails)? {
            let path = entry.map_err(fails)?.path();
            if path.extension().is_none_or(|end| end != "yaml") {
                continue;
            }
            let length = path
                .metadata()
                .map_err(|error| internal(&path, &error))?
                .len();
            if length > DOCUMENT_BYTES_MAX {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| internal(&path, &error))?;
            let parsed: Result<Value, _> = serde_json::from_str(&text);
            // A file that somebody else put there is theirs.
            let Ok(document) = parsed else { continue };
            let metadata = |name: &str| document["metadata"][name].as_str().unwrap_or_default();
            let key = (
                metadata("namespace").to_owned(),
                metadata("name").to_owned(),
            );
            if path == file(folder, &key) {
                documents.insert(key, document);
            }
        }
        Ok(Self {
            folder: Some(folder.to_owned()),
            documents,
        })
    }

    /// Keeps a document; it is on disk before this returns.
    pub(super) fn put(
        &mut self,
        key: &(String, String),
        document: Value,
    ) -> Result<(), ApplierError> {
        if let Some(folder) = &self.folder {
            let path = file(folder, key);
            write(&path, &document).map_err(|error| internal(&path, &error))?;
        }
        self.documents.insert(key.clone(), document);
        Ok(())
    }

    /// Forgets a document.
    pub(super) fn remove(&mut self, key: &(String, String)) -> Result<(), ApplierError> {
        if let Some(folder) = &self.folder {
            let path = file(folder, key);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(internal(&path, &error));
                }
                _ => {}
            }
        }
        self.documents.remove(key);
        Ok(())
    }
}

/// JSON is YAML: the file is what the bridge reads. It is renamed into place, so that readers see all or nothing.
fn write(path: &Path, document: &Value) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(format!("{document:#}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

/// Names are Kubernetes' own, without slashes; whatever else stands in one becomes a hexadecimal number.
fn file(folder: &Path, (namespace, name): &(String, String)) -> PathBuf {
    let safe = |text: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("_{byte:02x}"));
            }
        }
        out
    };
    folder.join(format!("{}.{}.yaml", safe(namespace), safe(name)))
}

fn internal(path: &Path, error: &std::io::Error) -> ApplierError {
    let message = format!("{}: {error}", path.display());
    ApplierError::new(ErrorKind::Internal, message)
}
