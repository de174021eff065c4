//! The `tidegate` command: parse, compose, exit code.

fn main() {}
