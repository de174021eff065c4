//! The Renderer trait, source detection, recorded read-set and plain directories.

mod tree;

pub use tree::{EntryKind, FileTree, TreeEntry, TreeError};
