//! Files of a commit, read without a checkout. Every name is validated and everything is bounded: a repository may be hostile.
//!
//! Symbolic links and submodules are reported, never followed; LFS pointers are for the caller to recognise.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use gix::{
    bstr::ByteSlice, objs::TreeRefIter, objs::tree::EntryKind as GixKind, validate::path::component,
};

use crate::{
    Error, ObjectId,
    call::lock,
    fetch::flat,
    source::{Commit, Source},
};

/// Entries that one walk or comparison visits.
pub const MAX_ENTRIES: usize = 200_000;
/// Directories below one another.
pub const MAX_DEPTH: usize = 64;
/// The longest path.
pub const MAX_PATH_BYTES: usize = 4096;
/// All paths of one walk together.
pub const MAX_TOTAL_PATH_BYTES: usize = 64 << 20;
/// One directory, as an object.
const MAX_DIRECTORY_BYTES: u64 = 32 << 20;
/// The longest target of a symbolic link.
const MAX_LINK_BYTES: u64 = 4096;
/// Directories that a [`Tree`] remembers.
const MAX_CACHED_DIRECTORIES: usize = 4096;
/// Repository handles that a [`Tree`] keeps for its readers.
const MAX_IDLE_HANDLES: usize = 8;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A file.
    File,
    /// A file with the executable bit.
    Executable,
    /// A directory.
    Directory,
    /// A symbolic link; [`Tree::read_link`] gives its target.
    Symlink,
    /// A commit of another repository; its files are not here.
    Submodule,
}

impl EntryKind {
    fn word(self) -> &'static str {
        match self {
            Self::File | Self::Executable => "file",
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
            Self::Submodule => "submodule",
        }
    }
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From the root of the repository, with `/` between names; empty for the root.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// The blob, tree, or for a submodule the commit.
    pub id: ObjectId,
}

#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) kind: EntryKind,
    pub(crate) id: gix::ObjectId,
}

/// The files of one commit. Readers may share it between threads.
pub struct Tree {
    pub(crate) source: Arc<Source>,
    pub(crate) remote: String,
    pub(crate) commit: Commit,
    max_object_bytes: u64,
    handles: Mutex<Vec<gix::Repository>>,
    directories: Mutex<HashMap<gix::ObjectId, Arc<Vec<Child>>>>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({} of {})", self.commit.id, self.remote)
    }
}

impl Tree {
    pub(crate) fn new(
        source: Arc<Source>,
        remote: String,
        commit: Commit,
        max_object_bytes: u64,
    ) -> Self {
        Self {
            source,
            remote,
            commit,
            max_object_bytes,
            handles: Mutex::default(),
            directories: Mutex::default(),
        }
    }

    /// The commit that is read.
    #[must_use]
    pub fn commit(&self) -> ObjectId {
        self.commit.id
    }

    /// What stands at `path`; the empty path is the root. A path that no tree can hold (`..`, `.git`, a leading slash) has nothing.
    ///
    /// # Errors
    /// [`Error::InvalidTree`], [`Error::Limit`] or [`Error::Corrupt`] for a directory on the way.
    pub fn entry(&self, path: &str) -> Result<Option<Entry>, Error> {
        let mut at = Child {
            name: String::new(),
            kind: EntryKind::Directory,
            id: self.commit.tree,
        };
        if path.is_empty() {
            return Ok(Some(Entry {
                path: String::new(),
                kind: at.kind,
                id: ObjectId(at.id),
            }));
        }
        if path.len() > MAX_PATH_BYTES {
            return Ok(None);
        }
        let mut offset = 0;
        for name in path.split('/') {
            if at.kind != EntryKind::Directory {
                return Ok(None);
            }
            let directory = self.directory(at.id, path[..offset].trim_end_matches('/'))?;
            let Ok(found) = directory.binary_search_by(|child| child.name.as_str().cmp(name))
            else {
                return Ok(None);
            };
            at = Child {
                name: String::new(),
                kind: directory[found].kind,
                id: directory[found].id,
            };
            offset += name.len() + 1;
        }
        Ok(Some(Entry {
            path: path.to_owned(),
            kind: at.kind,
            id: ObjectId(at.id),
        }))
    }

    /// The entries of one directory, in the order of their names.
    ///
    /// # Errors
    /// [`Error::PathNotFound`], [`Error::WrongKind`], or as [`Tree::entry`].
    pub fn list(&self, directory: &str) -> Result<Vec<Entry>, Error> {
        let entry = self.expect(directory, "directory", |kind| kind == EntryKind::Directory)?;
        let children = self.directory(entry.id.0, directory)?;
        Ok(children
            .iter()
            .map(|child| Entry {
                path: joined(directory, &child.name),
                kind: child.kind,
                id: ObjectId(child.id),
            })
            .collect())
    }

    /// Everything below a directory except the directories themselves, in the order of the paths' bytes.
    ///
    /// # Errors
    /// [`Error::Limit`] beyond [`MAX_ENTRIES`], [`MAX_DEPTH`] or [`MAX_TOTAL_PATH_BYTES`]; else as [`Tree::list`].
    pub fn walk(&self, directory: &str) -> Result<Vec<Entry>, Error> {
        let entry = self.expect(directory, "directory", |kind| kind == EntryKind::Directory)?;
        let mut budget = Budget::default();
        let mut found = Vec::new();
        let mut pending = vec![(entry.path, entry.id.0, 0)];
        while let Some((path, id, depth)) = pending.pop() {
            for child in self.directory(id, &path)?.iter() {
                let path = joined(&path, &child.name);
                budget
                    .spend(&path, depth)
                    .map_err(|what| self.limit(what))?;
                if child.kind == EntryKind::Directory {
                    pending.push((path, child.id, depth + 1));
                } else {
                    found.push(Entry {
                        path,
                        kind: child.kind,
                        id: ObjectId(child.id),
                    });
                }
            }
        }
        found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The bytes of a file. Symbolic links are not followed.
    ///
    /// # Errors
    /// [`Error::PathNotFound`], [`Error::WrongKind`], [`Error::Limit`] for a file beyond `max_object_bytes`, or [`Error::Corrupt`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        let entry = self.expect(path, "file", |kind| {
            matches!(kind, EntryKind::File | EntryKind::Executable)
        })?;
        self.read_entry(&entry)
    }

    /// The bytes of a file that [`Tree::walk`] or [`Tree::list`] gave.
    ///
    /// # Errors
    /// As [`Tree::read`].
    pub fn read_entry(&self, entry: &Entry) -> Result<Vec<u8>, Error> {
        if !matches!(entry.kind, EntryKind::File | EntryKind::Executable) {
            return Err(self.wrong_kind(entry, "file"));
        }
        self.blob(entry, self.max_object_bytes)
    }

    /// The size of a file in bytes, without reading it.
    ///
    /// # Errors
    /// As [`Tree::read`].
    pub fn size(&self, path: &str) -> Result<u64, Error> {
        let entry = self.expect(path, "file", |kind| {
            matches!(kind, EntryKind::File | EntryKind::Executable)
        })?;
        self.with_repository(|repository| Ok(repository.find_header(entry.id.0)?.size()))
    }

    /// The target of a symbolic link, as it is written: it may lead anywhere, and following it is the caller's decision.
    ///
    /// # Errors
    /// As [`Tree::read`], and [`Error::InvalidTree`] for a target that is not UTF-8.
    pub fn read_link(&self, path: &str) -> Result<String, Error> {
        let entry = self.expect(path, "symbolic link", |kind| kind == EntryKind::Symlink)?;
        let target = self.blob(&entry, MAX_LINK_BYTES)?;
        String::from_utf8(target)
            .map_err(|_| self.invalid(path, "the target of the symbolic link is not UTF-8"))
    }

    fn expect(
        &self,
        path: &str,
        wanted: &'static str,
        fits: impl Fn(EntryKind) -> bool,
    ) -> Result<Entry, Error> {
        match self.entry(path)? {
            Some(entry) if fits(entry.kind) => Ok(entry),
            Some(entry) => Err(self.wrong_kind(&entry, wanted)),
            None => Err(Error::PathNotFound {
                remote: self.remote.clone(),
                commit: self.commit.id,
                path: path.to_owned(),
            }),
        }
    }

    fn wrong_kind(&self, entry: &Entry, wanted: &'static str) -> Error {
        Error::WrongKind {
            remote: self.remote.clone(),
            commit: self.commit.id,
            path: entry.path.clone(),
            found: entry.kind.word(),
            wanted,
        }
    }

    fn invalid(&self, directory: &str, reason: impl Into<String>) -> Error {
        Error::InvalidTree {
            remote: self.remote.clone(),
            commit: self.commit.id,
            directory: directory.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn limit(&self, (what, limit): (String, String)) -> Error {
        Error::Limit {
            remote: self.remote.clone(),
            what,
            limit,
        }
    }

    fn blob(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, Error> {
        let data = self.with_repository(|repository| {
            let size = repository.find_header(entry.id.0)?.size();
            if size > limit {
                return Ok(Err(size));
            }
            Ok(Ok(repository.find_object(entry.id.0)?.detach().data))
        })?;
        data.map_err(|size| {
            self.limit((
                format!("`{}` ({size} bytes)", entry.path),
                format!("{limit} bytes"),
            ))
        })
    }

    /// Runs `read`; once more on a reopened repository when it fails, for the mirror may have been replaced meanwhile.
    pub(crate) fn with_repository<T>(
        &self,
        read: impl Fn(&gix::Repository) -> gix::Result<T>,
    ) -> Result<T, Error> {
        let kept = lock(&self.handles).pop();
        let repository = match kept {
            Some(repository) => Some(repository),
            None => self.source.current(&self.remote)?,
        };
        if let Some(repository) = repository
            && let Ok(value) = read(&repository)
        {
            let mut handles = lock(&self.handles);
            if handles.len() < MAX_IDLE_HANDLES {
                handles.push(repository);
            }
            return Ok(value);
        }
        let gone = || Error::Corrupt {
            remote: self.remote.clone(),
            detail: "it has gone".to_owned(),
        };
        let repository = self.source.reopen(&self.remote)?.ok_or_else(gone)?;
        read(&repository).map_err(|error| {
            self.source.suspect();
            Error::Corrupt {
                remote: self.remote.clone(),
                detail: flat(&error),
            }
        })
    }

    pub(crate) fn directory(
        &self,
        id: gix::ObjectId,
        path: &str,
    ) -> Result<Arc<Vec<Child>>, Error> {
        if let Some(known) = lock(&self.directories).get(&id) {
            return Ok(Arc::clone(known));
        }
        let data = self.tree_data(id, path)?;
        let children = decode(&data, id.kind()).map_err(|reason| self.invalid(path, reason))?;
        let children = Arc::new(children);
        let mut directories = lock(&self.directories);
        if directories.len() < MAX_CACHED_DIRECTORIES {
            directories.insert(id, Arc::clone(&children));
        }
        Ok(children)
    }

    pub(crate) fn tree_data(&self, id: gix::ObjectId, path: &str) -> Result<Vec<u8>, Error> {
        if id.is_empty_tree() {
            return Ok(Vec::new());
        }
        let data = self.with_repository(|repository| {
            let header = repository.find_header(id)?;
            if header.size() > MAX_DIRECTORY_BYTES {
                return Ok(None);
            }
            let object = repository.find_object(id)?;
            Ok(Some((object.kind, object.detach().data)))
        })?;
        match data {
            Some((gix::objs::Kind::Tree, data)) => Ok(data),
            Some(_) => Err(self.invalid(path, "it is no tree object")),
            None => Err(self.limit((
                format!("the directory `{path}`"),
                format!("{MAX_DIRECTORY_BYTES} bytes"),
            ))),
        }
    }
}

/// What one walk may use up.
#[derive(Default)]
pub(crate) struct Budget {
    entries: usize,
    bytes: usize,
}

impl Budget {
    pub(crate) fn spend(&mut self, path: &str, depth: usize) -> Result<(), (String, String)> {
        self.entries += 1;
        self.bytes += path.len();
        if self.entries > MAX_ENTRIES {
            return Err(("the tree".to_owned(), format!("{MAX_ENTRIES} entries")));
        }
        if depth >= MAX_DEPTH {
            return Err((
                "the depth of the tree".to_owned(),
                format!("{MAX_DEPTH} directories"),
            ));
        }
        if path.len() > MAX_PATH_BYTES || self.bytes > MAX_TOTAL_PATH_BYTES {
            return Err((
                "the paths of the tree".to_owned(),
                format!("{MAX_PATH_BYTES} bytes each, {MAX_TOTAL_PATH_BYTES} in all"),
            ));
        }
        Ok(())
    }
}

pub(crate) fn joined(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

pub(crate) fn kind(mode: gix::objs::tree::EntryMode) -> EntryKind {
    match mode.kind() {
        GixKind::Tree => EntryKind::Directory,
        GixKind::Blob => EntryKind::File,
        GixKind::BlobExecutable => EntryKind::Executable,
        GixKind::Link => EntryKind::Symlink,
        GixKind::Commit => EntryKind::Submodule,
    }
}

/// The names in a raw tree object, sorted, or why it is refused.
///
/// # Errors
/// When the bytes are no tree, or hold a name that no honest repository holds.
pub fn names(data: &[u8]) -> Result<Vec<String>, String> {
    let children = decode(data, gix::hash::Kind::Sha1)?;
    Ok(children.into_iter().map(|child| child.name).collect())
}

fn decode(data: &[u8], hash: gix::hash::Kind) -> Result<Vec<Child>, String> {
    let mut children = Vec::new();
    for entry in TreeRefIter::from_bytes(data, hash) {
        let entry = entry.map_err(|error| format!("it cannot be decoded: {}", flat(&error)))?;
        let shown = || entry.filename.to_str_lossy().escape_debug().to_string();
        let kind = kind(entry.mode);
        let link = (kind == EntryKind::Symlink).then_some(component::Mode::Symlink);
        // Device names of Windows are fine here; `.git` in any disguise is not.
        let options = component::Options {
            protect_windows: cfg!(windows),
            protect_hfs: true,
            protect_ntfs: true,
        };
        component(entry.filename, link, options)
            .map_err(|error| format!("`{}`: {error}", shown()))?;
        if entry.filename.find_byteset(b"\\\0").is_some() {
            return Err(format!("`{}`: a backslash or NUL in a name", shown()));
        }
        let name = entry
            .filename
            .to_str()
            .map_err(|_| format!("`{}`: the name is not UTF-8", shown()))?;
        children.push(Child {
            name: name.to_owned(),
            kind,
            id: entry.oid.to_owned(),
        });
    }
    children.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = children
        .windows(2)
        .find(|pair| pair[0].name == pair[1].name)
    {
        return Err(format!(
            "`{}`: the name is there twice",
            pair[0].name.escape_debug()
        ));
    }
    Ok(children)
}
