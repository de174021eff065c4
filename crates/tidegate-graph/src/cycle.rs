//! Cycles, named by their members and the reason of each edge.

use serde::Serialize;

use crate::Edge;

/// A ring of edges: each one's `after` is the next one's `before`, and the last leads back to the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cycle {
    /// The edges, beginning with the smallest node.
    pub edges: Vec<Edge>,
}
