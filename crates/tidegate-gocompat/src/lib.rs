//! The small Go dialects that manifests contain, each exactly as the Go library reads it.
//!
//! Lives here: version constraints, globs, durations, quantities. Must not know anything else of
//! the workspace: no YAML, no manifests, no IO.

pub mod duration;
pub mod glob;
pub mod quantity;
pub mod semver;

pub use duration::{Duration, DurationError};
pub use glob::{Glob, GlobError, PathGlob};
pub use quantity::{Quantity, QuantityError};
pub use semver::{Constraint, Version, VersionError};
