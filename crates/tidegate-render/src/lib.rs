//! The `Renderer` trait, source detection, the recorded read-set, and plain directories.
//!
//! A renderer makes objects of a tree of files. It must not know where the files come from (Git, a
//! directory, memory), and never reads anything but the tree it is given.

mod aws;
mod detect;
mod digest;
pub mod directory;
mod directory_tree;
mod memory_tree;
mod overrides;
mod read_set;
mod registry;
mod render;
mod tree;
pub mod walk;

pub use aws::{
    Artifact, AwsEnvironment, DEFAULT_ACCOUNT, DEFAULT_REGION, DocumentReader, PLUGIN_NAMES,
    RenderedTemplate, is_aws_plugin,
};
pub use detect::{KUSTOMIZATION_FILES, detect, detect_files, explicit_types};
pub use directory::DirectoryRenderer;
pub use directory_tree::DirectoryTree;
pub use memory_tree::MemoryTree;
pub use read_set::{ReadSet, RecordedTree};
pub use registry::Renderers;
pub use render::{RenderInput, Rendered, Renderer, SourceType};
pub use tree::{EntryKind, FileTree, TreeEntry, TreeError};
