//! The broker over its wire, as clients see it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod admin;
mod client;
mod compare;
mod groups;
mod logs;
mod peers;
mod wire;
