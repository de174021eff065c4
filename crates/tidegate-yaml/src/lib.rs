//! YAML and JSON exactly as Kubernetes' Go tools read and write them.
//!
//! Lives here: the parser-event reader, the two scalar resolvers, the compact [`Node`] with byte
//! spans, the readable emitter, serde in and out. Must not know: Kubernetes, files, async.

mod node;

pub use node::{Key, Node, Span, Value};
