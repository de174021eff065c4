//! A tree in memory, for tests and for callers that made their files themselves.

use std::collections::BTreeMap;

use crate::digest::sha256;
use crate::{EntryKind, FileTree, TreeEntry, TreeError};

#[derive(Clone, Debug)]
enum Kept {
    File(Vec<u8>),
    Symlink(String),
    Submodule,
}

/// Files by path; directories are where their files are.
///
/// ```
/// use tidegate_render::{FileTree, MemoryTree};
/// let tree = MemoryTree::default().with_file("apps/a.yaml", "a: 1\n").with_link("b.yaml", "apps/a.yaml");
/// assert_eq!(tree.read("apps/a.yaml", 100)?, b"a: 1\n");
/// # Ok::<(), tidegate_render::TreeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryTree {
    kept: BTreeMap<String, Kept>,
}

impl MemoryTree {
    /// Adds or replaces a file.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.kept
            .insert(path.to_owned(), Kept::File(content.into()));
        self
    }

    /// Adds or replaces a symbolic link.
    #[must_use]
    pub fn with_link(mut self, path: &str, target: &str) -> Self {
        self.kept
            .insert(path.to_owned(), Kept::Symlink(target.to_owned()));
        self
    }

    /// Adds a commit of another repository.
    #[must_use]
    pub fn with_submodule(mut self, path: &str) -> Self {
        self.kept.insert(path.to_owned(), Kept::Submodule);
        self
    }

    /// Removes what stands at a path.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.kept.remove(path);
        self
    }

    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.below(path).next().is_some()
    }

    /// The paths below a directory, relative to it, in order.
    fn below<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a Kept)> {
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        let start = prefix.clone();
        self.kept
            .range(start..)
            .map_while(move |(path, kept)| path.strip_prefix(&prefix).map(|rest| (rest, kept)))
    }
}

impl Kept {
    fn kind(&self) -> EntryKind {
        match self {
            Kept::File(_) => EntryKind::File,
            Kept::Symlink(_) => EntryKind::Symlink,
            Kept::Submodule => EntryKind::Submodule,
        }
    }
}

impl FileTree for MemoryTree {
    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        Ok(match self.kept.get(path) {
            Some(kept) => Some(kept.kind()),
            None => self.is_directory(path).then_some(EntryKind::Directory),
        })
    }

    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, TreeError> {
        if !self.is_directory(directory) {
            return Err(TreeError::NotFound(directory.to_owned()));
        }
        let mut entries: BTreeMap<String, TreeEntry> = BTreeMap::new();
        for (rest, kept) in self.below(directory) {
            let (name, kind, id) = match rest.split_once('/') {
                Some((name, _)) => (name, EntryKind::Directory, None),
                None => {
                    let id = match kept {
                        Kept::File(content) => Some(sha256(content)),
                        Kept::Symlink(_) | Kept::Submodule => None,
                    };
                    (rest, kept.kind(), id)
                }
            };
            let entry = TreeEntry {
                name: name.to_owned(),
                kind,
                id,
            };
            entries.entry(name.to_owned()).or_insert(entry);
        }
        Ok(entries.into_values().collect())
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, TreeError> {
        match self.kept.get(path) {
            Some(Kept::File(content)) if content.len() as u64 > limit => {
                let reason = format!(
                    "it has {} bytes, more than the {limit} that are read",
                    content.len()
                );
                Err(TreeError::Limit {
                    path: path.to_owned(),
                    reason,
                })
            }
            Some(Kept::File(content)) => Ok(content.clone()),
            Some(_) => {
                let reason = "it is no regular file".to_owned();
                Err(TreeError::Unreadable {
                    path: path.to_owned(),
                    reason,
                })
            }
            None => Err(TreeError::NotFound(path.to_owned())),
        }
    }

    fn read_link(&self, path: &str) -> Result<String, TreeError> {
        match self.kept.get(path) {
            Some(Kept::Symlink(target)) => Ok(target.clone()),
            Some(_) => {
                let reason = "it is no symbolic link".to_owned();
                Err(TreeError::Unreadable {
                    path: path.to_owned(),
                    reason,
                })
            }
            None => Err(TreeError::NotFound(path.to_owned())),
        }
    }

    fn id(&self, path: &str) -> Option<String> {
        match self.kept.get(path) {
            Some(Kept::File(content)) => Some(sha256(content)),
            Some(Kept::Symlink(_) | Kept::Submodule) | None => None,
        }
    }
}
