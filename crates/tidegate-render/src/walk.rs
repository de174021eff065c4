//! Paths inside a tree: names that are safe, links that stay inside. Every renderer walks by these
//! rules, whatever its tree does by itself.

use std::collections::VecDeque;

use crate::{EntryKind, FileTree, TreeError};

/// Links followed on the way to one file.
pub const LINK_HOPS_MAX: usize = 8;

/// Where a path leads to, links followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A regular file at this path.
    File(String),
    /// A directory at this path.
    Directory(String),
    /// Another repository begins at this path.
    Submodule(String),
    /// Nothing stands where the path or a link on it leads.
    Missing(String),
}

/// A path from the tree's root without `.`, empty names and a trailing slash.
///
/// # Errors
/// [`TreeError::Escapes`] for an absolute path, for one that climbs out of the root, and for names
/// that no repository may hold.
pub fn clean_path(path: &str) -> Result<String, TreeError> {
    let escapes = |reason: &str| TreeError::Escapes {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    if path.starts_with('/') {
        return Err(escapes("it is absolute"));
    }
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names
                    .pop()
                    .ok_or_else(|| escapes("it climbs above the root with `..`"))?;
            }
            name => match unsafe_name(name) {
                Some(reason) => return Err(escapes(reason)),
                None => names.push(name),
            },
        }
    }
    Ok(names.join("/"))
}

/// Why a name may not stand in a tree, if it may not.
pub fn unsafe_name(name: &str) -> Option<&'static str> {
    if matches!(name, "" | "." | "..") {
        return Some("a name is empty, `.` or `..`");
    }
    if name.contains(['/', '\\', '\0']) {
        return Some("a name holds a slash, a backslash or a zero byte");
    }
    // What other systems take for `.git`: case, trailing dots and spaces, the short name, and
    // characters that HFS+ ignores.
    let visible: String = name.chars().filter(|c| !matches!(c, '\u{200C}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{206A}'..='\u{206F}' | '\u{FEFF}')).collect();
    let stem = visible.split(':').next().unwrap_or_default();
    let stem = stem.trim_end_matches(['.', ' ']);
    if stem.eq_ignore_ascii_case(".git") || stem.eq_ignore_ascii_case("git~1") {
        return Some("a name stands for the repository's own `.git`");
    }
    None
}

/// `directory/name`, where the root is empty.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// Follows a path name by name; links may lead anywhere inside the tree, over at most
/// [`LINK_HOPS_MAX`] of them.
///
/// # Errors
/// [`TreeError::Escapes`] when a link leaves the tree, [`TreeError::Limit`] for a chain or a circle
/// of links, and what the tree itself answers.
pub fn resolve(tree: &dyn FileTree, path: &str) -> Result<Resolved, TreeError> {
    let mut pending: VecDeque<String> = clean_path(path)?.split('/').map(str::to_owned).collect();
    let mut here: Vec<String> = Vec::new();
    let mut hops = 0;
    while let Some(name) = pending.pop_front() {
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                if here.pop().is_none() {
                    return Err(leaves(
                        path,
                        "a symbolic link on the way climbs above the root",
                    ));
                }
                continue;
            }
            name => {
                if let Some(reason) = unsafe_name(name) {
                    return Err(leaves(path, reason));
                }
            }
        }
        here.push(name);
        let place = here.join("/");
        match tree.entry(&place)? {
            None => return Ok(Resolved::Missing(place)),
            Some(EntryKind::Directory) => {}
            Some(EntryKind::Submodule) => return Ok(Resolved::Submodule(place)),
            Some(EntryKind::File)
                if pending.iter().all(|name| matches!(name.as_str(), "" | ".")) =>
            {
                return Ok(Resolved::File(place));
            }
            Some(EntryKind::File) => return Ok(Resolved::Missing(join(&place, &pending[0]))),
            Some(EntryKind::Symlink) => {
                hops += 1;
                if hops > LINK_HOPS_MAX {
                    let reason = format!(
                        "more than {LINK_HOPS_MAX} symbolic links lead to it, or they go in a circle"
                    );
                    return Err(TreeError::Limit {
                        path: path.to_owned(),
                        reason,
                    });
                }
                let target = tree.read_link(&place)?;
                if target.starts_with('/') {
                    return Err(leaves(
                        path,
                        "a symbolic link on the way names an absolute path",
                    ));
                }
                here.pop();
                for part in target.split('/').rev() {
                    pending.push_front(part.to_owned());
                }
            }
        }
    }
    Ok(Resolved::Directory(here.join("/")))
}

fn leaves(path: &str, reason: &str) -> TreeError {
    TreeError::Escapes {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}
