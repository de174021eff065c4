//! Where Tidegate keeps its state: mirrors, journal, the sandbox's kubeconfig.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tidegate_store::{RedbStore, Store, StoreError};

use crate::{Error, Place, SANDBOX};

/// The sandbox's own word on where it serves what, beside its kubeconfig.
const SANDBOX_FILE: &str = tidegate_sandbox::READY_FILE;

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

    /// Where the sandbox says what else it serves than Kubernetes.
    pub fn sandbox_file(&self) -> PathBuf {
        self.path.join(SANDBOX_FILE)
    }

    /// Where the sandbox with this kubeconfig serves `aws` or `kafka`.
    pub(crate) fn sandbox_address(kubeconfig: &Path, world: &str) -> Option<String> {
        let bytes = std::fs::read(kubeconfig.parent()?.join(SANDBOX_FILE)).ok()?;
        let ready: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        ready.get(world)?.as_str().map(str::to_owned)
    }

    /// What was applied to the AWS side of a place is remembered here.
    pub fn aws(&self, place: &Place) -> PathBuf {
        self.path.join(format!("{}-aws", name_of(place)))
    }

    /// What was applied to the Kafka side of a place is remembered here.
    pub fn kafka(&self, place: &Place) -> PathBuf {
        self.path.join(format!("{}-kafka", name_of(place)))
    }

    /// Bindings that a bridge runs are kept here, a folder for each Kafka cluster.
    pub fn bindings(&self, place: &Place) -> PathBuf {
        self.path.join(format!("{}-bindings", name_of(place)))
    }

    /// Packaged code, by digest.
    pub fn code(&self) -> PathBuf {
        self.path.join("code")
    }

    /// The socket of the process that owns the state.
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The journal of everything done at a place, owned by one process at a time.
    ///
    /// # Errors
    /// Another process owns it, or it is damaged.
    pub fn store(&self, place: &Place) -> Result<Arc<dyn Store>, Error> {
        let path = self.path.join(format!("{}.redb", name_of(place)));
        let store = RedbStore::open(&path).map_err(|source| Error::Store {
            dir: self.path.clone(),
            source,
        })?;
        Ok(Arc::new(store))
    }

    /// Makes ready for a new sandbox: it begins empty, so what was known of an earlier one is forgotten.
    ///
    /// # Errors
    /// A sandbox of this directory runs already, or the journal of an earlier one cannot be removed.
    pub fn claim_sandbox(&self) -> Result<SandboxClaim, Error> {
        let lock = self.path.join("sandbox.lock");
        let file = std::fs::File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock);
        let file = file.map_err(Error::io("opening", &lock))?;
        let path = self.path.join(format!("{SANDBOX}.redb"));
        let locked = |path: &Path| Error::Store {
            dir: self.path.clone(),
            source: StoreError::Locked {
                path: path.to_owned(),
                holder: "the sandbox that runs there".to_owned(),
            },
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(&path)),
            Err(TryLockError::Error(error)) => return Err(Error::io("locking", &lock)(error)),
        }
        for world in ["aws", "kafka", "bindings"] {
            let remembered = self.path.join(format!("{SANDBOX}-{world}"));
            if remembered.exists() {
                std::fs::remove_dir_all(&remembered).map_err(Error::io("removing", &remembered))?;
            }
        }
        if !path.exists() {
            return Ok(SandboxClaim { _file: file });
        }
        // A damaged journal of a sandbox that is gone is of no use to anybody.
        if let Err(StoreError::Locked { .. }) = RedbStore::open(&path) {
            return Err(locked(&path));
        }
        std::fs::remove_file(&path).map_err(Error::io("removing", &path))?;
        Ok(SandboxClaim { _file: file })
    }
}

/// The right to run the sandbox of a state directory: one process at a time has it, until it is dropped.
#[derive(Debug)]
pub struct SandboxClaim {
    _file: std::fs::File,
}

/// One journal per place: two clusters may have Applications of the same name.
fn name_of(place: &Place) -> String {
    let (kind, what) = match place {
        Place::Sandbox(_) => return SANDBOX.to_owned(),
        Place::Appliers(_) => return "appliers".to_owned(),
        Place::Kubeconfig { file, context } => ("kubeconfig", format!("{file:?} {context:?}")),
        Place::Aws(settings) => ("aws", format!("{settings:?} {:?}", aws_identity())),
        Place::Kafka(settings) => ("kafka", settings.bootstrap_servers.clone()),
        Place::Several(places) => {
            let names: Vec<String> = places.iter().map(name_of).collect();
            ("several", names.join(" "))
        }
        Place::Settings(settings) => ("settings", format!("{:?}", settings.destinations)),
    };
    let digest = Sha256::digest(what.as_bytes());
    let short: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{kind}-{short}")
}

/// What in the environment decides which account and region one is in.
fn aws_identity() -> Vec<Option<String>> {
    let names = [
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
    ];
    names.map(|name| std::env::var(name).ok()).to_vec()
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
