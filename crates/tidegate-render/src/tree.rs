//! A tree of files as renderers see it: where the files come from is not their business.

use std::fmt;

/// What an entry of a tree is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A commit of another repository; its files are not here.
    Submodule,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// The name, without its directory.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Identity of the content, when the tree knows it without reading (a Git object id).
    pub id: Option<String>,
}

/// Why a tree could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Nothing stands at the path.
    #[error("{0} is not there")]
    NotFound(String),
    /// The path leaves the tree.
    #[error("{path} leaves the repository: {reason}")]
    Escapes {
        /// The path.
        path: String,
        /// In which way.
        reason: String,
    },
    /// A limit was passed.
    #[error("{path}: {reason}")]
    Limit {
        /// The path.
        path: String,
        /// Which limit.
        reason: String,
    },
    /// It cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The path.
        path: String,
        /// Why not.
        reason: String,
    },
}

/// A tree of files. Paths are relative to its root, with `/` between names; the root is the empty path.
///
/// Links are not followed: whoever walks the tree decides what a link may lead to.
pub trait FileTree: fmt::Debug + Send + Sync {
    /// What stands at a path itself; None when nothing does.
    ///
    /// # Errors
    /// The tree cannot be read there.
    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeError>;

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// It is no directory, or cannot be read.
    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, TreeError>;

    /// The bytes of a regular file, at most `limit` of them.
    ///
    /// # Errors
    /// It is no regular file, is longer than `limit`, or cannot be read.
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, TreeError>;

    /// The target of a symbolic link, as it is written.
    ///
    /// # Errors
    /// It is no link, or cannot be read.
    fn read_link(&self, path: &str) -> Result<String, TreeError>;

    /// Identity of a regular file's content, or of all that a directory holds however deep, when
    /// the tree knows it without reading: equal identities mean equal content.
    fn id(&self, path: &str) -> Option<String> {
        let _ = path;
        None
    }
}
