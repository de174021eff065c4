//! The built-in readers of references, by world.

use crate::ReferenceReader;

/// All built-in readers.
pub fn built_in() -> Vec<Box<dyn ReferenceReader>> {
    Vec::new()
}
