//! The simulated controllers against the sandbox's own memory, on a manual clock. Nothing sleeps here.

mod lab;
mod laws;
mod operators;
mod runner;
mod workloads;
