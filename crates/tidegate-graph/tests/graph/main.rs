//! Tests of the graph from outside: what goes in are objects, what comes out are orders, reasons and pictures.

mod diagnostics;
mod fixture;
mod laws;
mod order;
mod pictures;
mod questions;
mod references;
