//! The built-in readers of references, by world. What resolves, and in which order it puts things, is decided elsewhere.

mod bindings;
mod cloudformation;
mod path;
mod provided;
mod shapes;
mod special;
mod table;
mod topics;

use crate::ReferenceReader;

/// All built-in readers: shapes that mean the same wherever they stand, fields of known kinds, names of topics.
pub fn built_in() -> Vec<Box<dyn ReferenceReader>> {
    vec![
        Box::new(shapes::Shapes),
        Box::new(table::Table::new()),
        Box::new(special::Special),
        Box::new(provided::Provided),
        Box::new(topics::Topics),
        Box::new(cloudformation::CloudFormation),
        Box::new(bindings::Bindings),
    ]
}
