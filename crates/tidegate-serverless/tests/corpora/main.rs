//! Our results against what the reference tools made of the same cases, without the tools.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod normal;
mod services;
mod templates;
