//! The handler of every CloudFormation type that has none of its own, through Cloud Control.
//!
//! `shapes` knows which values are numbers, flags, documents and sets, `identity` how a resource is named, `patch` makes the
//! smallest change, `requests` follows what takes time. Must not know: the engine, any single service.

mod handler;
mod identity;
mod patch;
mod requests;
mod shapes;
mod words;

use std::sync::Arc;

use tidegate_aws::{Aws, Handler};

/// The handler for all types that no other handler serves.
pub fn handlers(aws: &Aws) -> Vec<Arc<dyn Handler>> {
    vec![Arc::new(handler::CloudControl::new(aws))]
}
