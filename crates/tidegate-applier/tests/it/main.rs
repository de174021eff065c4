//! The conformance kit against a sound applier in memory, and against broken ones.

mod conformance;
mod memory;
