//! The dependency graph of a sync: phases, waves, inferred and declared edges, cycles, critical path, pictures.
//!
//! Nodes are objects of any target; what an object refers to is read from its body by
//! [`ReferenceReader`]s. Nothing here knows an API client, does IO or is async: the same inputs give the same
//! graph, byte for byte.
//!
//! ```
//! use std::sync::Arc;
//! use serde_json::json;
//! use tidegate_graph::{Graph, GraphOptions, NodeInput};
//! use tidegate_manifest::{Object, Origin, Target};
//!
//! let origin = Arc::new(Origin::default());
//! let object = |body| Object::from_body(body, Arc::clone(&origin)).expect("a valid object");
//! let config = object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}}));
//! let pod = object(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
//!     "spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]}}));
//! let target = Target::kubernetes("prod");
//! let inputs = [&pod, &config].into_iter().flat_map(|object| NodeInput::of_object(object, &target));
//! let graph = Graph::build(inputs, &GraphOptions::default());
//! assert_eq!(graph.edges().len(), 1);
//! assert_eq!(graph.edges()[0].reason.field, ".spec.containers[0].envFrom[0].configMapRef");
//! ```

mod cycle;
mod diagnose;
mod graph;
mod index;
mod kinds;
mod node;
mod picture;
mod query;
mod reader;
mod readers;
mod reason;
mod resolve;
mod schedule;

pub use cycle::Cycle;
pub use graph::{Graph, GraphOptions, MAX_NODES};
pub use kinds::kind_rank;
pub use node::{Node, NodeId, NodeInput, NodeRole};
pub use query::{CriticalPath, Follow, Step};
pub use reader::{
    Identity, MAX_REFERENCES_PER_OBJECT, Need, Place, ReferenceReader, References, View,
};
pub use readers::built_in as built_in_readers;
pub use reason::{Contradiction, Edge, Reason, Relation, Strength};
pub use schedule::{Group, mirror_waves};
