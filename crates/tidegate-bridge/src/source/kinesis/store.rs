//! Where leases are kept, behind a trait; and the one for a single replica, which is a directory.

pub mod table;

use std::fmt::Debug;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::lease::{Checkpoint, Lease, Leases};

/// What all replicas of a binding agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The stream.
    pub stream: Arc<str>,
    /// Where shards begin that nobody has read.
    pub checkpoint: Checkpoint,
}

/// A write of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The owner from now on.
    pub owner: Option<Arc<str>>,
    /// How far the shard is done.
    pub checkpoint: Checkpoint,
    /// Whether a wish for the lease is fulfilled.
    pub settles_wish: bool,
}

/// Keeps the leases of one binding. Every write is conditional: of two replicas that write, one is refused.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// What was agreed on before, else `wanted`, which is agreed on from now on.
    async fn begin(&self, wanted: &Beginning) -> Result<Beginning, String>;

    /// All leases.
    async fn leases(&self) -> Result<Leases, String>;

    /// Adds a lease unless there is one of its shard.
    async fn add(&self, lease: &Lease) -> Result<(), String>;

    /// Writes a lease whose owner and counter still are those of `known`, and gives its new counter; none: it changed.
    async fn write(&self, known: &Lease, write: &Write) -> Result<Option<u64>, String>;

    /// Asks the owner of a lease for it, unless somebody did already.
    async fn ask(&self, known: &Lease, own: &str) -> Result<(), String>;

    /// Takes away the lease of a finished shard.
    async fn remove(&self, shard: &str) -> Result<(), String>;
}

/// A file in a directory that one process has for itself.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held as long as the process lives.
    _lock: File,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    beginning: Option<Beginning>,
    leases: Leases,
}

#[derive(Deserialize, Serialize)]
struct Document {
    stream: String,
    begin: String,
    shards: Vec<Shard>,
}

#[derive(Deserialize, Serialize)]
struct Shard {
    id: String,
    checkpoint: String,
    parents: Vec<String>,
}

impl Folder {
    /// Opens the file of that name; owners from before are gone.
    ///
    /// # Errors
    /// Another process has it, or it cannot be read.
    pub fn open(folder: &Path, name: &str) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("state directory {}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(told)?;
        let lock = File::create(folder.join(format!("{name}.lock"))).map_err(told)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "state directory {}: another bridge reads {name} with it; replicas share a lease table instead",
                    folder.display()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(told(error)),
        }
        let path = folder.join(format!("{name}.json"));
        let state = match std::fs::read_to_string(&path) {
            Ok(text) => read(&text).map_err(|error| format!("{}: {error}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(told(error)),
        };
        Ok(Self {
            path,
            _lock: lock,
            state: Mutex::new(state),
        })
    }

    /// Changes the state, and saves it when more than a counter or an owner changed.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> (T, bool)) -> Result<T, String> {
        let mut state = self
            .state
            .lock()
            .map_err(|_| "the leases are lost".to_owned())?;
        let (value, is_kept) = change(&mut state);
        if is_kept {
            let saved = save(&self.path, &state);
            saved.map_err(|error| format!("{}: {error}", self.path.display()))?;
        }
        Ok(value)
    }
}

fn read(text: &str) -> Result<State, String> {
    let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let checkpoint =
        |text: &str| Checkpoint::read(text).ok_or_else(|| format!("{text:?} is no checkpoint"));
    let mut leases = Leases::new();
    for shard in document.shards {
        let lease = Lease {
            shard: shard.id.as_str().into(),
            owner: None,
            counter: 0,
            checkpoint: checkpoint(&shard.checkpoint)?,
            parents: shard.parents.into_iter().map(Into::into).collect(),
            wanted_by: None,
        };
        leases.insert(shard.id.into(), lease);
    }
    let beginning = Beginning {
        stream: document.stream.into(),
        checkpoint: checkpoint(&document.begin)?,
    };
    Ok(State {
        beginning: Some(beginning),
        leases,
    })
}

/// Writes a new file beside the old one, then puts it in its place.
fn save(path: &Path, state: &State) -> std::io::Result<()> {
    let Some(beginning) = &state.beginning else {
        return Ok(());
    };
    let shards = state.leases.values().map(|lease| Shard {
        id: lease.shard.to_string(),
        checkpoint: lease.checkpoint.to_string(),
        parents: lease.parents.iter().map(ToString::to_string).collect(),
    });
    let document = Document {
        stream: beginning.stream.to_string(),
        begin: beginning.checkpoint.to_string(),
        shards: shards.collect(),
    };
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(&document)?)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[async_trait]
impl Store for Folder {
    async fn begin(&self, wanted: &Beginning) -> Result<Beginning, String> {
        self.change(|state| {
            let is_new = state.beginning.is_none();
            let agreed = state.beginning.get_or_insert_with(|| wanted.clone());
            (agreed.clone(), is_new)
        })
    }

    async fn leases(&self) -> Result<Leases, String> {
        self.change(|state| (state.leases.clone(), false))
    }

    async fn add(&self, lease: &Lease) -> Result<(), String> {
        self.change(|state| {
            let entry = state.leases.entry(Arc::clone(&lease.shard));
            entry.or_insert_with(|| lease.clone());
            ((), true)
        })
    }

    async fn write(&self, known: &Lease, write: &Write) -> Result<Option<u64>, String> {
        self.change(|state| {
            let Some(lease) = state.leases.get_mut(&known.shard) else {
                return (None, false);
            };
            if lease.owner != known.owner || lease.counter != known.counter {
                return (None, false);
            }
            let has_moved = lease.checkpoint != write.checkpoint;
            lease.owner = write.owner.clone();
            lease.checkpoint = write.checkpoint.clone();
            lease.counter += 1;
            if write.settles_wish {
                lease.wanted_by = None;
            }
            (Some(lease.counter), has_moved)
        })
    }

    async fn ask(&self, known: &Lease, own: &str) -> Result<(), String> {
        self.change(|state| {
            if let Some(lease) = state.leases.get_mut(&known.shard)
                && lease.owner == known.owner
            {
                lease.wanted_by.get_or_insert_with(|| own.into());
            }
            ((), false)
        })
    }

    async fn remove(&self, shard: &str) -> Result<(), String> {
        self.change(|state| {
            let is_there = state.leases.remove(shard).is_some();
            ((), is_there)
        })
    }
}

#[cfg(test)]
mod tests {
    //! A directory is one process's, and remembers.

    use super::*;

    #[tokio::test]
    async fn a_directory_remembers_checkpoints_and_has_one_owner() {
        let folder = tempfile::TempDir::new().unwrap();
        let beginning = Beginning {
            stream: "s".into(),
            checkpoint: Checkpoint::At(7),
        };
        let store = Folder::open(folder.path(), "b").unwrap();
        assert!(Folder::open(folder.path(), "b").is_err(), "it is taken");
        assert_eq!(store.begin(&beginning).await.unwrap(), beginning);
        let lease = Lease {
            shard: "a".into(),
            owner: None,
            counter: 0,
            checkpoint: Checkpoint::At(7),
            parents: vec!["p".into()],
            wanted_by: None,
        };
        store.add(&lease).await.unwrap();
        let write = Write {
            owner: Some("me".into()),
            checkpoint: Checkpoint::After("12".into()),
            settles_wish: true,
        };
        assert_eq!(store.write(&lease, &write).await.unwrap(), Some(1));
        assert_eq!(
            store.write(&lease, &write).await.unwrap(),
            None,
            "it changed"
        );
        drop(store);
        let store = Folder::open(folder.path(), "b").unwrap();
        let other = Beginning {
            checkpoint: Checkpoint::TrimHorizon,
            ..beginning.clone()
        };
        assert_eq!(store.begin(&other).await.unwrap(), beginning);
        let expected = Lease {
            checkpoint: Checkpoint::After("12".into()),
            ..lease
        };
        assert_eq!(store.leases().await.unwrap()["a"], expected);
    }
}
