//! What the benchmarks share: manifests, an application, an applier without a target, CPU time as a measure, a
//! place with an API server. No benchmark and no figure lives here.

pub mod cpu;
pub mod fixtures;
pub mod place;
pub mod still;
