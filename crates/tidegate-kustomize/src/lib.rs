//! Kustomize: a file tree in, the objects and the bytes of `kustomize build` out.
//!
//! Must not know: Git, network, processes; what needs them comes in through traits.

mod block_yaml;
mod build;
mod charts;
mod config;
mod fault;
mod field_path;
mod field_spec;
mod flags;
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
mod outside;
mod patches;
mod plugins;
mod read;
mod renderer;
mod replacements;
mod repository;
mod resource;
mod resources;
mod selector;
mod sort;
mod strategic;
mod target;
mod transformers;
mod variables;
mod vars;

pub use build::{BuildOptions, Built, BuiltObject, KUSTOMIZE_VERSION, Reorder, build};
pub use loader::LoadRestrictions;
pub use outside::{ChartAddress, ChartRequest, Charts, NetworkFiles, RemoteBase, RemoteBases};
pub use renderer::KustomizeRenderer;
pub use repository::RepositoryAddress;
