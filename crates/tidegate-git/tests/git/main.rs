//! The Git source against real repositories: every transport, faults, hostile trees, and git itself as the judge.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod local;
#[cfg(test)]
mod mirrors;
#[cfg(test)]
mod revisions;
#[cfg(test)]
mod server;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod transports;
