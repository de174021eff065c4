//! A directory of this machine as a tree. Nothing outside it is ever read: links are not followed here.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::{EntryKind, FileTree, TreeEntry, TreeError};

/// Most entries of one directory.
const ENTRIES_MAX: usize = 100_000;

/// A directory as it stands.
#[derive(Clone, Debug)]
pub struct DirectoryTree {
    root: PathBuf,
}

impl DirectoryTree {
    /// The tree below a directory.
    ///
    /// # Errors
    /// It is not there, or no directory.
    pub fn open(root: &Path) -> std::io::Result<Self> {
        let root = root.canonicalize()?;
        if !root.is_dir() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::NotADirectory,
                "it is no directory",
            ));
        }
        Ok(Self { root })
    }

    /// The place of a path, none of whose directories is a link.
    fn place(&self, path: &str) -> Result<PathBuf, TreeError> {
        let mut place = self.root.clone();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        for (index, part) in parts.iter().enumerate() {
            if matches!(*part, "." | "..") || part.contains('\\') || part.contains('\0') {
                let reason = format!("{part:?} is no name of a file");
                return Err(TreeError::Escapes {
                    path: path.to_owned(),
                    reason,
                });
            }
            place.push(part);
            let is_last = index + 1 == parts.len();
            if !is_last && fs::symlink_metadata(&place).is_ok_and(|found| found.is_symlink()) {
                let reason = format!("{part:?} is a symbolic link");
                return Err(TreeError::Escapes {
                    path: path.to_owned(),
                    reason,
                });
            }
        }
        Ok(place)
    }
}

fn failed(path: &str) -> impl FnOnce(std::io::Error) -> TreeError {
    move |error| match error.kind() {
        std::io::ErrorKind::NotFound => TreeError::NotFound(path.to_owned()),
        _ => TreeError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        },
    }
}

fn kind_of(found: &fs::Metadata) -> Option<EntryKind> {
    if found.is_symlink() {
        Some(EntryKind::Symlink)
    } else if found.is_dir() {
        Some(EntryKind::Directory)
    } else if found.is_file() {
        Some(EntryKind::File)
    } else {
        // Sockets, pipes and devices are no files of a repository.
        None
    }
}

impl FileTree for DirectoryTree {
    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        match fs::symlink_metadata(self.place(path)?) {
            Ok(found) => Ok(kind_of(&found)),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed(path)(error)),
        }
    }

    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let place = self.place(directory)?;
        if fs::symlink_metadata(&place)
            .map_err(failed(directory))?
            .is_symlink()
        {
            let reason = "it is a symbolic link".to_owned();
            return Err(TreeError::Escapes {
                path: directory.to_owned(),
                reason,
            });
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(&place).map_err(failed(directory))? {
            let entry = entry.map_err(failed(directory))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            // The repository's own administration is no part of its content.
            if name.eq_ignore_ascii_case(".git") {
                continue;
            }
            if entries.len() >= ENTRIES_MAX {
                let reason = format!("it has more than {ENTRIES_MAX} entries");
                return Err(TreeError::Limit {
                    path: directory.to_owned(),
                    reason,
                });
            }
            let Ok(found) = fs::symlink_metadata(entry.path()) else {
                continue;
            };
            if let Some(kind) = kind_of(&found) {
                entries.push(TreeEntry {
                    name,
                    kind,
                    id: None,
                });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, TreeError> {
        let place = self.place(path)?;
        let found = fs::symlink_metadata(&place).map_err(failed(path))?;
        if !found.is_file() {
            let reason = "it is no regular file".to_owned();
            return Err(TreeError::Unreadable {
                path: path.to_owned(),
                reason,
            });
        }
        let file = fs::File::open(&place).map_err(failed(path))?;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed(path))?;
        if bytes.len() as u64 > limit {
            let reason = format!("it has more than the {limit} bytes that are read");
            return Err(TreeError::Limit {
                path: path.to_owned(),
                reason,
            });
        }
        Ok(bytes)
    }

    fn read_link(&self, path: &str) -> Result<String, TreeError> {
        let target = fs::read_link(self.place(path)?).map_err(failed(path))?;
        target
            .into_os_string()
            .into_string()
            .map_err(|_| TreeError::Unreadable {
                path: path.to_owned(),
                reason: "the target of the symbolic link is not UTF-8".to_owned(),
            })
    }
}
