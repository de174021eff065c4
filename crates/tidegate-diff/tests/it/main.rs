//! The tests of structured merge diff: tables, laws, and a comparison with a real API server.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "tables build their values in place"
)]

mod changes;
mod fieldset;
mod generate;
mod ignore;
mod managed;
mod own;
mod patches;
mod real_server;
mod schema;
mod typed;
