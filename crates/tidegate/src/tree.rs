//! A commit's files as renderers see them.

use tidegate_git::Tree;
use tidegate_render::{EntryKind, FileTree, TreeEntry, TreeError};

/// The files of one commit.
#[derive(Debug)]
pub(crate) struct CommitTree(pub(crate) Tree);

impl FileTree for CommitTree {
    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        let entry = self
            .0
            .entry(path)
            .map_err(|error| unreadable(path, error))?;
        Ok(entry.map(|entry| kind(entry.kind)))
    }

    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let entries = self
            .0
            .list(directory)
            .map_err(|error| unreadable(directory, error))?;
        let name = |path: String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let mut found: Vec<TreeEntry> = entries
            .into_iter()
            .map(|entry| TreeEntry {
                name: name(entry.path),
                kind: kind(entry.kind),
                id: Some(entry.id.to_string()),
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, TreeError> {
        let size = self.0.size(path).map_err(|error| unreadable(path, error))?;
        if size > limit {
            let reason = format!("it has {size} bytes, more than the {limit} that are read");
            return Err(TreeError::Limit {
                path: path.to_owned(),
                reason,
            });
        }
        self.0.read(path).map_err(|error| unreadable(path, error))
    }

    fn read_link(&self, path: &str) -> Result<String, TreeError> {
        self.0
            .read_link(path)
            .map_err(|error| unreadable(path, error))
    }

    fn id(&self, path: &str) -> Option<String> {
        self.0
            .entry(path)
            .ok()
            .flatten()
            .map(|entry| entry.id.to_string())
    }
}

fn kind(kind: tidegate_git::EntryKind) -> EntryKind {
    match kind {
        tidegate_git::EntryKind::File | tidegate_git::EntryKind::Executable => EntryKind::File,
        tidegate_git::EntryKind::Directory => EntryKind::Directory,
        tidegate_git::EntryKind::Symlink => EntryKind::Symlink,
        tidegate_git::EntryKind::Submodule => EntryKind::Submodule,
    }
}

fn unreadable(path: &str, error: tidegate_git::Error) -> TreeError {
    match error {
        tidegate_git::Error::PathNotFound { .. } => TreeError::NotFound(path.to_owned()),
        tidegate_git::Error::Limit { .. } => TreeError::Limit {
            path: path.to_owned(),
            reason: error.to_string(),
        },
        other => TreeError::Unreadable {
            path: path.to_owned(),
            reason: other.to_string(),
        },
    }
}

/// A directory of a tree as a tree of its own.
#[derive(Debug)]
pub(crate) struct Below<T> {
    tree: T,
    prefix: String,
}

impl<T: FileTree> Below<T> {
    /// The directory `prefix` of `tree`; empty is the whole tree.
    pub(crate) fn new(tree: T, prefix: String) -> Self {
        Self { tree, prefix }
    }

    fn path(&self, path: &str) -> Result<String, TreeError> {
        if path.split('/').any(|part| part == "..") {
            let reason = "it climbs with ..".to_owned();
            return Err(TreeError::Escapes {
                path: path.to_owned(),
                reason,
            });
        }
        Ok(match (self.prefix.is_empty(), path.is_empty()) {
            (true, _) => path.to_owned(),
            (false, true) => self.prefix.clone(),
            (false, false) => format!("{}/{path}", self.prefix),
        })
    }
}

impl<T: FileTree> FileTree for Below<T> {
    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        self.tree.entry(&self.path(path)?)
    }

    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, TreeError> {
        self.tree.list(&self.path(directory)?)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, TreeError> {
        self.tree.read(&self.path(path)?, limit)
    }

    fn read_link(&self, path: &str) -> Result<String, TreeError> {
        self.tree.read_link(&self.path(path)?)
    }

    fn id(&self, path: &str) -> Option<String> {
        self.tree.id(&self.path(path).ok()?)
    }
}
