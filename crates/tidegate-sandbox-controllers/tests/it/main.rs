//! The simulated controllers against the sandbox's own memory, on a manual clock. Nothing sleeps here.

mod laws;
mod lab;
mod operators;
mod runner;
mod workloads;
