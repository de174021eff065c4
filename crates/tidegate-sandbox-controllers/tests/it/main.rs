//! The simulated controllers against the sandbox's own memory, on a manual clock. Nothing sleeps here.

#[cfg(test)]
mod lab;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod runner;
#[cfg(test)]
mod workloads;
