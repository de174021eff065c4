//! Pictures and documents of a graph: DOT, Mermaid, SVG, JSON. They read the graph and decide nothing.

use crate::{CriticalPath, Graph};

impl Graph {
    /// Graphviz.
    pub fn to_dot(&self) -> String {
        String::new()
    }

    /// A Mermaid flowchart.
    pub fn to_mermaid(&self) -> String {
        String::new()
    }

    /// The whole graph as a sorted document; `version` tells its form.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// A picture that stands alone: waves as columns, targets as lanes, reasons as tooltips, no scripts.
    pub fn to_svg(&self, critical: &CriticalPath) -> String {
        let _ = critical;
        String::new()
    }
}
