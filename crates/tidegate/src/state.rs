//! Where Tidegate keeps its state: mirrors, journal, the sandbox's kubeconfig.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_store::{RedbStore, Store};

use crate::Error;

/// The state's directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// The directory that was given, or a folder under the user's cache; made when it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(given: Option<&Path>) -> Result<Self, Error> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => default_dir()?,
        };
        std::fs::create_dir_all(&path).map_err(Error::io("making", &path))?;
        let path = path.canonicalize().map_err(Error::io("finding", &path))?;
        Ok(Self { path })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bare mirrors of remotes.
    pub fn mirrors(&self) -> PathBuf {
        self.path.join("git")
    }

    /// The sandbox's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }

    /// The socket of the process that owns the state.
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The journal of everything, owned by one process at a time.
    ///
    /// # Errors
    /// Another process owns it, or it is damaged.
    pub fn store(&self) -> Result<Arc<dyn Store>, Error> {
        let path = self.path.join("state.redb");
        let store = RedbStore::open(&path)
            .map_err(|source| Error::Store { dir: self.path.clone(), source })?;
        Ok(Arc::new(store))
    }
}

fn default_dir() -> Result<PathBuf, Error> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache.map(|cache| cache.join("tidegate")).ok_or_else(|| {
        Error::Refused("neither XDG_CACHE_HOME nor HOME is set: pass --dir DIR".to_owned())
    })
}
