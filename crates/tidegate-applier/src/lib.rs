//! The SDK for appliers: the one trait that every target is reached through, its value types,
//! and the kit that says whether an implementation keeps the contract.
//!
//! An applier brings objects of one target to a desired state and reads them back. It must not
//! know the engine; the engine must not know how an applier is carried. Every reply is per item:
//! one bad object never fails a batch. See [`Applier`].

mod applier;
pub mod conformance;
mod error;
mod types;

pub use applier::{Applier, WatchStream};
pub use error::{ApplierError, ErrorKind};
pub use types::{
    ApplyMode, ApplyRequest, ApplyResult, Capabilities, ChangeOutcome, ChangePreview,
    DeleteOutcome, DeleteRequest, Description, FieldChange, FieldOwner, KindFacts, LiveObject,
    Owned, OwnedList, OwnerRef, Precondition, ReadOptions, ReadResult, Scope, WatchEvent,
};

pub use async_trait::async_trait;
pub use tidegate_manifest as manifest;
