//! Where objects are read from: a mirror or a repository of this machine, reopened when it was replaced underneath.

use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use gix::objs::Kind;

use crate::{Error, ObjectId, fetch::flat};

/// The largest commit or tag that is read.
pub(crate) const MAX_COMMIT_BYTES: u64 = 4 << 20;
/// How many tags may point to tags.
const MAX_TAG_DEPTH: usize = 8;

/// A repository that readers share.
pub(crate) struct Source {
    path: std::path::PathBuf,
    /// For a mirror the options that `store` sets; a working repository is opened the same way.
    options: gix::open::Options,
    bare: bool,
    repository: RwLock<Option<gix::ThreadSafeRepository>>,
    suspect: AtomicBool,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.path.display())
    }
}

impl Source {
    pub(crate) fn new(path: std::path::PathBuf, options: gix::open::Options, bare: bool) -> Self {
        Self {
            path,
            options,
            bare,
            repository: RwLock::new(None),
            suspect: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The open repository; `None` when there is none on disk.
    pub(crate) fn current(&self, remote: &str) -> Result<Option<gix::Repository>, Error> {
        if let Some(repository) = &*self
            .repository
            .read()
            .unwrap_or_else(PoisonError::into_inner)
        {
            return Ok(Some(repository.to_thread_local()));
        }
        self.reopen(remote)
    }

    /// Opens the repository again, as it is on disk now.
    pub(crate) fn reopen(&self, remote: &str) -> Result<Option<gix::Repository>, Error> {
        if !self.path.exists() {
            return Ok(None);
        }
        let opened = self
            .options
            .clone()
            .open_path_as_is(self.bare)
            .open(&self.path)
            .map_err(|error| Error::Corrupt {
                remote: remote.to_owned(),
                detail: flat(&error),
            })?;
        let local = opened.to_thread_local();
        *self
            .repository
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(Some(local))
    }

    /// Notes damage: the next fetch writes the mirror anew.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    pub(crate) fn trust(&self) {
        self.suspect.store(false, Ordering::Relaxed);
    }

    /// The commit behind `id`, when it and its root tree are here.
    pub(crate) fn commit(&self, remote: &str, id: ObjectId) -> Result<Option<Commit>, Error> {
        let Some(repository) = self.current(remote)? else {
            return Ok(None);
        };
        match find_commit(&repository, id) {
            Ok(Some(commit)) => return Ok(Some(commit)),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(remote, %id, error = flat(&error), "reading a commit again from a reopened mirror");
            }
        }
        let Some(repository) = self.reopen(remote)? else {
            return Ok(None);
        };
        find_commit(&repository, id).map_err(|error| {
            self.suspect();
            Error::Corrupt {
                remote: remote.to_owned(),
                detail: flat(&error),
            }
        })
    }
}

/// A commit that is present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit {
    pub(crate) id: ObjectId,
    pub(crate) tree: gix::ObjectId,
}

/// Reads and peels `id`; `None` when it is missing or no commit.
pub(crate) fn find_commit(
    repository: &gix::Repository,
    id: ObjectId,
) -> gix::Result<Option<Commit>> {
    let mut at = id.0;
    for _ in 0..MAX_TAG_DEPTH {
        let Some(header) = repository.try_find_header(at)? else {
            return Ok(None);
        };
        if header.size() > MAX_COMMIT_BYTES {
            return Ok(None);
        }
        match header.kind() {
            Kind::Commit => {
                let tree = repository
                    .find_object(at)?
                    .try_into_commit()?
                    .tree_id()?
                    .detach();
                // A commit without its tree is half a fetch; the empty tree need not be stored.
                let whole = tree.is_empty_tree() || repository.try_find_header(tree)?.is_some();
                return Ok(whole.then_some(Commit {
                    id: ObjectId(at),
                    tree,
                }));
            }
            Kind::Tag => {
                at = repository
                    .find_object(at)?
                    .try_into_tag()?
                    .target_id()?
                    .detach();
            }
            Kind::Tree | Kind::Blob => return Ok(None),
        }
    }
    Ok(None)
}
