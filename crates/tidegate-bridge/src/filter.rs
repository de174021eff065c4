//! Which records of a source are delivered: `FilterCriteria`, applied to keys and values.

use crate::record::{Partition, Record};

/// The filters of a binding; none: every record passes.
#[derive(Clone, Debug, Default)]
pub struct Filter {}

impl Filter {
    /// Whether a record is delivered.
    pub fn passes(&self, _partition: &Partition, _record: &Record) -> bool {
        true
    }
}
