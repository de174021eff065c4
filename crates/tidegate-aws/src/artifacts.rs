//! Where packaged code is kept between rendering and applying: by digest.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use tidegate_applier::{ApplierError, ErrorKind};

/// Packaged code by the SHA-256 of its bytes, in standard base64 as Lambda writes it.
pub trait Artifacts: Send + Sync + Debug {
    /// The bytes of a digest.
    ///
    /// # Errors
    /// They are not there, or cannot be read.
    fn get(&self, sha256: &str) -> Result<Arc<[u8]>, ApplierError>;

    /// Keeps bytes under their digest.
    ///
    /// # Errors
    /// They cannot be written.
    fn put(&self, sha256: &str, bytes: &Arc<[u8]>) -> Result<(), ApplierError>;
}

/// Keeps archives in memory.
#[derive(Debug, Default)]
pub struct MemoryArtifacts(Mutex<BTreeMap<String, Arc<[u8]>>>);

impl Artifacts for MemoryArtifacts {
    fn get(&self, sha256: &str) -> Result<Arc<[u8]>, ApplierError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(sha256).cloned().ok_or_else(|| missing(sha256))
    }

    fn put(&self, sha256: &str, bytes: &Arc<[u8]>) -> Result<(), ApplierError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(sha256.to_owned(), Arc::clone(bytes));
        Ok(())
    }
}

/// Keeps archives as files of a directory; a damaged one counts as absent.
#[derive(Clone, Debug)]
pub struct DirectoryArtifacts {
    directory: PathBuf,
}

impl DirectoryArtifacts {
    /// Keeps them in `directory`, which is made when the first comes.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    fn path(&self, sha256: &str) -> PathBuf {
        let name = match STANDARD.decode(sha256) {
            Ok(bytes) => URL_SAFE_NO_PAD.encode(bytes),
            Err(_) => URL_SAFE_NO_PAD.encode(sha256),
        };
        self.directory.join(format!("{name}.zip"))
    }
}

impl Artifacts for DirectoryArtifacts {
    fn get(&self, sha256: &str) -> Result<Arc<[u8]>, ApplierError> {
        let bytes = std::fs::read(self.path(sha256)).map_err(|_| missing(sha256))?;
        if STANDARD.encode(Sha256::digest(&bytes)) != sha256 {
            return Err(missing(sha256));
        }
        Ok(bytes.into())
    }

    fn put(&self, sha256: &str, bytes: &Arc<[u8]>) -> Result<(), ApplierError> {
        let path = self.path(sha256);
        let is_kept = std::fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64);
        if is_kept {
            return Ok(());
        }
        write(&self.directory, &path, bytes).map_err(|error| {
            let message = format!("{}: the archive cannot be kept: {error}", path.display());
            ApplierError::new(ErrorKind::Internal, message)
                .help("free space on the disk, or name another directory with --dir")
        })
    }
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn write(directory: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    std::fs::create_dir_all(directory)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let draft = directory.join(format!(".draft-{}-{count}", std::process::id()));
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&draft, path)
}

fn missing(sha256: &str) -> ApplierError {
    let message = format!("the archive with the digest {sha256} is not kept");
    ApplierError::new(ErrorKind::NotFound, message)
        .help("render the application again: the archive is made of the files in Git")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_archives_and_notices_damage() {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = DirectoryArtifacts::new(directory.path().join("code"));
        let bytes: Arc<[u8]> = b"PK".to_vec().into();
        let sha256 = STANDARD.encode(Sha256::digest(&bytes));
        assert!(artifacts.get(&sha256).is_err());
        artifacts.put(&sha256, &bytes).unwrap();
        assert_eq!(artifacts.get(&sha256).unwrap(), bytes);
        std::fs::write(artifacts.path(&sha256), b"xx").unwrap();
        assert_eq!(
            artifacts.get(&sha256).unwrap_err().kind,
            ErrorKind::NotFound
        );
    }
}
