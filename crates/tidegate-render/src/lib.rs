//! The `Renderer` trait, source detection, the recorded read-set, and plain directories.
//!
//! A renderer makes objects of a tree of files. It must not know where the files come from (Git, a
//! directory, memory), and never reads anything but the tree it is given.

mod detect;
mod directory_tree;
mod read_set;
mod registry;
mod render;
mod tree;

pub use detect::{detect, detect_files};
pub use directory_tree::DirectoryTree;
pub use read_set::ReadSet;
pub use registry::Renderers;
pub use render::{RenderInput, Rendered, Renderer, SourceType};
pub use tree::{EntryKind, FileTree, TreeEntry, TreeError};
