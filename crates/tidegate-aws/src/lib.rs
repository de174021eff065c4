//! What every AWS applier shares: connection, identity, ownership, references, comparison, and the
//! `Applier` over handlers of single resource types.
//!
//! A [`Handler`] knows how one or a few resource types are read, created, changed and deleted;
//! [`AwsApplier`] does the rest: it finds what is there, evaluates what templates leave open,
//! compares, replaces, orders a batch by its references, waits, and keeps ownership.
//! Must not know: the engine, any one service (but those that say who one is, whose a resource is,
//! and what a secret reference stands for).

mod applier;
mod apply;
mod artifacts;
mod attributes;
mod batch;
mod compare;
mod connection;
mod delete;
mod discover;
mod dynamic;
mod error;
mod evaluate;
mod facts;
mod handler;
mod mark;
mod mask;
mod order;
mod pace;
mod preview;
mod resolve;
mod retry;
mod state;
#[cfg(feature = "tagging")]
mod tagging;

pub use applier::{AwsApplier, AwsApplierOptions};
pub use artifacts::{Artifacts, DirectoryArtifacts, MemoryArtifacts};
pub use attributes::{Known, predicted};
pub use compare::{Difference, equal_documents, properties as compare_properties};
pub use connection::{Aws, AwsOptions};
pub use discover::{Discovery, lookup_of_arn};
pub use dynamic::DynamicValues;
pub use error::{from_code, from_sdk};
pub use evaluate::{Unresolved, evaluate};
pub use facts::{TypeFacts, facts};
pub use handler::{Deletion, Handler, LiveResource, Lookup, Resource, tags_of};
pub use mark::{Mark, TAG_APPLICATION, TAG_ID, TAG_PREFIX};
pub use retry::{Deadline, Experience, Pause, retry, settle};
pub use state::{DirectoryState, MemoryState, Record, Records, StateStore};
#[cfg(feature = "tagging")]
pub use tagging::TaggingDiscovery;
