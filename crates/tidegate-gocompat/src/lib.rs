//! The Go dialects that manifests contain: semver constraints, globs, durations, quantities.

pub mod duration;
