//! What a render read: contents, links, listings, and what was not there. Its result holds for
//! every tree in which all of that reads the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::{EntryKind, FileTree, TreeEntry, TreeError};

/// Most bytes of one file that are read again to see whether it still reads the same.
const READ_MAX: u64 = 64 << 20;

/// Everything that a render read of its tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSet {
    /// SHA-256 of each file by its path; None for a path at which nothing stood.
    pub files: BTreeMap<String, Option<String>>,
    /// SHA-256 of each directory's names and kinds by its path; None where none stood.
    pub directories: BTreeMap<String, Option<String>>,
    /// What stood at a path that was asked for.
    pub kinds: BTreeMap<String, Option<EntryKind>>,
    /// Target of each link that was read.
    pub links: BTreeMap<String, String>,
    /// What the tree calls the content of files and directories, where it knows: a shortcut that
    /// saves reading them again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ids: BTreeMap<String, String>,
    /// Something could not be read: the result never holds for another tree.
    #[serde(default)]
    pub is_incomplete: bool,
}

impl ReadSet {
    /// Whether everything reads the same in another tree.
    pub fn still_valid(&self, tree: &dyn FileTree) -> bool {
        if self.is_incomplete {
            return false;
        }
        // A directory whose whole content has the same identity needs no further look. Parents
        // come before their children in the map.
        let mut same: Vec<&str> = Vec::new();
        for (path, digest) in &self.directories {
            if is_below(path, &same) {
                continue;
            }
            if self.has_same_id(tree, path) {
                same.push(path);
            } else if listing(tree, path).ok() != Some(digest.clone()) {
                return false;
            }
        }
        let files = self
            .files
            .iter()
            .filter(|(path, _)| !is_below(path, &same))
            .all(|(path, digest)| {
                (digest.is_some() && self.has_same_id(tree, path))
                    || content(tree, path).ok() == Some(digest.clone())
            });
        let kinds = self
            .kinds
            .iter()
            .filter(|(path, _)| !is_below(path, &same))
            .all(|(path, kind)| tree.entry(path).as_ref() == Ok(kind));
        let links = self
            .links
            .iter()
            .filter(|(path, _)| !is_below(path, &same))
            .all(|(path, target)| tree.read_link(path).as_ref() == Ok(target));
        files && kinds && links
    }

    /// One digest over all that was read: equal for equal content, wherever it came from.
    pub fn digest(&self) -> String {
        let content = ReadSet {
            ids: BTreeMap::new(),
            ..self.clone()
        };
        let json = serde_json::to_value(content).expect("maps with text keys have a JSON form");
        sha256(tidegate_yaml::canonical(&json).as_bytes())
    }

    fn has_same_id(&self, tree: &dyn FileTree, path: &str) -> bool {
        self.ids
            .get(path)
            .is_some_and(|id| tree.id(path).as_ref() == Some(id))
    }
}

fn is_below(path: &str, directories: &[&str]) -> bool {
    directories.iter().any(|directory| {
        directory.is_empty()
            || path
                .strip_prefix(directory)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn content(tree: &dyn FileTree, path: &str) -> Result<Option<String>, TreeError> {
    match tree.read(path, READ_MAX) {
        Ok(bytes) => Ok(Some(sha256(&bytes))),
        Err(TreeError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn listing(tree: &dyn FileTree, path: &str) -> Result<Option<String>, TreeError> {
    match tree.list(path) {
        Ok(entries) => Ok(Some(listing_digest(&entries))),
        Err(TreeError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn listing_digest(entries: &[TreeEntry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let kind = match entry.kind {
            EntryKind::File => 'f',
            EntryKind::Directory => 'd',
            EntryKind::Symlink => 'l',
            EntryKind::Submodule => 's',
        };
        text.push(kind);
        text.push_str(&entry.name);
        text.push('\0');
    }
    sha256(text.as_bytes())
}

/// A tree that writes down what is read of another one.
#[derive(Debug)]
pub struct RecordedTree {
    tree: Arc<dyn FileTree>,
    read: Mutex<ReadSet>,
}

impl RecordedTree {
    /// Records the reads of `tree`.
    pub fn new(tree: Arc<dyn FileTree>) -> Self {
        RecordedTree {
            tree,
            read: Mutex::default(),
        }
    }

    /// What was read up to now.
    pub fn read_set(&self) -> ReadSet {
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn record(&self, write: impl FnOnce(&mut ReadSet)) {
        write(&mut self.read.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes an outcome: a value, nothing there, or a failure that spoils the record.
    fn outcome<T>(
        &self,
        result: &Result<T, TreeError>,
        note: impl FnOnce(&mut ReadSet, Option<&T>),
    ) {
        self.record(|read| match result {
            Ok(value) => note(read, Some(value)),
            Err(TreeError::NotFound(_)) => note(read, None),
            Err(_) => read.is_incomplete = true,
        });
    }

    fn note_id(&self, path: &str) {
        if let Some(id) = self.tree.id(path) {
            self.record(|read| {
                read.ids.insert(path.to_owned(), id);
            });
        }
    }
}

impl FileTree for RecordedTree {
    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        let result = self.tree.entry(path);
        self.outcome(&result, |read, kind| {
            read.kinds.insert(path.to_owned(), kind.copied().flatten());
        });
        result
    }

    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let result = self.tree.list(directory);
        self.outcome(&result, |read, entries| {
            let digest = entries.map(|entries| listing_digest(entries));
            read.directories.insert(directory.to_owned(), digest);
        });
        self.note_id(directory);
        result
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, TreeError> {
        let result = self.tree.read(path, limit);
        self.outcome(&result, |read, bytes| {
            read.files
                .insert(path.to_owned(), bytes.map(|bytes| sha256(bytes)));
        });
        self.note_id(path);
        result
    }

    fn read_link(&self, path: &str) -> Result<String, TreeError> {
        let result = self.tree.read_link(path);
        self.outcome(&result, |read, target| match target {
            Some(target) => {
                read.links.insert(path.to_owned(), target.clone());
            }
            None => {
                read.kinds.insert(path.to_owned(), None);
            }
        });
        result
    }

    fn id(&self, path: &str) -> Option<String> {
        self.tree.id(path)
    }
}
