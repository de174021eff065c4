//! Kustomize: a file tree in, the objects and the bytes of `kustomize build` out.
//!
//! Must not know: Git, network, processes; what needs them comes in through traits.

mod block_yaml;
mod build;
mod config;
mod fault;
mod field_path;
mod field_spec;
mod generators;
mod go_json;
mod go_regex;
mod id;
mod json_patch;
mod kustomization;
mod label_selector;
mod loader;
mod merge_schema;
mod name_reference;
mod node;
mod patches;
mod plugins;
mod read;
mod renderer;
mod replacements;
mod resource;
mod resources;
mod selector;
mod sort;
mod strategic;
mod target;
mod transformers;
mod vars;

pub use build::{BuildOptions, Built, BuiltObject, KUSTOMIZE_VERSION, build};
pub use loader::{LoadRestrictions, RemoteBase, RemoteBases};
pub use renderer::KustomizeRenderer;
