//! A chart written out of a tree, for a program that reads files. Must not follow what leaves the tree.

use std::fs;
use std::path::Path;

use tidegate_render::walk::{Resolved, join, resolve};
use tidegate_render::{EntryKind, FileTree};

/// Most files of one chart, with the charts that it holds.
pub(super) const FILES_MAX: usize = 10_000;
/// Most bytes of all of them.
pub(super) const BYTES_MAX: u64 = 64 << 20;
/// Deepest folder.
pub(super) const DEPTH_MAX: usize = 32;

/// What is left of the limits.
struct Left {
    files: usize,
    bytes: u64,
}

/// Copies a directory of a tree; links become what they lead to.
///
/// # Errors
/// The chart is larger than the limits, or a file cannot be read or written.
pub(super) fn copy(tree: &dyn FileTree, directory: &str, to: &Path) -> Result<(), String> {
    let mut left = Left {
        files: FILES_MAX,
        bytes: BYTES_MAX,
    };
    copy_into(tree, directory, to, DEPTH_MAX, &mut left)
}

fn copy_into(
    tree: &dyn FileTree,
    directory: &str,
    to: &Path,
    depth: usize,
    left: &mut Left,
) -> Result<(), String> {
    if depth == 0 {
        return Err(format!("{directory} is deeper than {DEPTH_MAX} folders"));
    }
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    for entry in tree.list(directory).map_err(|error| error.to_string())? {
        let place = join(directory, &entry.name);
        let target = to.join(&entry.name);
        let found = match entry.kind {
            EntryKind::File => Resolved::File(place),
            EntryKind::Directory => Resolved::Directory(place),
            EntryKind::Symlink | EntryKind::Submodule => {
                resolve(tree, &place).map_err(|error| error.to_string())?
            }
        };
        match found {
            Resolved::File(file) => copy_file(tree, &file, &target, left)?,
            Resolved::Directory(inner) => copy_into(tree, &inner, &target, depth - 1, left)?,
            Resolved::Submodule(_) | Resolved::Missing(_) => {}
        }
    }
    Ok(())
}

fn copy_file(tree: &dyn FileTree, file: &str, to: &Path, left: &mut Left) -> Result<(), String> {
    left.files = left
        .files
        .checked_sub(1)
        .ok_or_else(|| format!("the chart has more than {FILES_MAX} files"))?;
    let bytes = tree
        .read(file, left.bytes)
        .map_err(|error| format!("{error} (a chart may have {BYTES_MAX} bytes in all)"))?;
    left.bytes = left.bytes.saturating_sub(bytes.len() as u64);
    fs::write(to, bytes).map_err(|error| format!("{}: {error}", to.display()))
}
