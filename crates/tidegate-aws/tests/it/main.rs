//! The applier over a handler in memory: the conformance kit, and what only this world has.

mod conformance;
mod memory;
mod scenarios;
