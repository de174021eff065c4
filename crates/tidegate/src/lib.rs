//! Tidegate for embedders: render, plan, approve, apply from a program of your own.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidegate::Error> {
//! let tidegate = tidegate::Tidegate::open("./gitops").kubeconfig("./kubeconfig").build().await?;
//! let plan = tidegate.plan("clickstream").await?;
//! if plan.has_changes() {
//!     tidegate.apply(&plan).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! This crate is where rooms that must not know each other meet: the repository (`tidegate-git`), rendering
//! (`tidegate-render` and its renderers), the targets (`tidegate-cluster`, `tidegate-aws` with its handlers,
//! `tidegate-sandbox`) and the engine (`tidegate-engine`).

mod aws;
mod bridge;
mod control;
mod discover;
mod duration;
mod error;
mod helm;
mod kafka;
mod location;
mod order;
mod places;
mod renderers;
mod repository;
mod session;
mod source;
mod state;
mod tree;
mod up;

pub use control::{Answer, Ask, ask};
pub use discover::{Declared, discover};
pub use duration::parse_duration;
pub use error::Error;
pub use location::Location;
pub use order::{Prerequisite, Supply, prerequisites};
pub use places::{Place, Places, SANDBOX};
pub use renderers::{renderers, renderers_with};
pub use repository::{Repository, RepositoryOptions, Snapshot};
pub use session::{Builder, Tidegate};
pub use source::{GitSource, ReadFrom};
pub use state::{SandboxClaim, StateDir};
pub use up::{UpEnd, UpOptions, UpOutcome, up};

/// The time, for events that are told beside the engine's own.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Whether a built-in kind lives in no namespace; unknown kinds are taken as namespaced, as Argo CD does.
pub fn is_cluster_scoped(object: &manifest::Object) -> bool {
    tidegate_diff::schema::resources::builtin()
        .iter()
        .any(|facts| {
            facts.group == object.gvk.group && facts.kind == object.gvk.kind && !facts.namespaced
        })
}

pub use tidegate_applier as applier;
pub use tidegate_cluster as cluster;
pub use tidegate_diff as diff;
pub use tidegate_engine as engine;
pub use tidegate_git as git;
pub use tidegate_graph as graph;
pub use tidegate_health as health;
pub use tidegate_manifest as manifest;
pub use tidegate_render as render;
pub use tidegate_sandbox as sandbox;
pub use tidegate_store as store;
pub use tidegate_yaml as yaml;
