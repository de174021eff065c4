//! Checks across the worlds of a pipeline: what one document says, held against what another says.
//!
//! Each world refuses what is wrong in itself. That a queue hides a message for less time than its function runs, that more
//! consumers are asked for than a topic has partitions, or that failures go nowhere, only the whole pipeline shows. Pure:
//! the objects of an Application go in, findings with their file and line come out.
//!
//! Facts are typed: a rule never reads a document. What a document leaves to the target (a stream known only by
//! the ARN of another account, a topic of another repository) gives no finding.

mod facts;
mod pipeline;
mod rules;

pub use crate::pipeline::check;
