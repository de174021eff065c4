//! Variables: `${source:address, fallback}` in the values of a service.

mod parse;
mod resolve;
mod sources;
#[cfg(test)]
mod tests;

pub(crate) use parse::{string, whole_number};
pub(crate) use resolve::{Inputs, resolve};
