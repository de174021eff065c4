//! The checks of a pipeline, in one pass.

use tidegate_manifest::{Diagnostic, Object};

use crate::facts::Pipeline;
use crate::rules;

/// Checks the objects of one Application against each other; all findings, in the order of the objects.
///
/// Errors are what a target is sure to refuse in the middle of a sync; everything else is a warning.
pub fn check<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<Diagnostic> {
    let objects: Vec<&Object> = objects.into_iter().collect();
    let pipeline = Pipeline::of(&objects);
    let mut found = Vec::new();
    for mapping in &pipeline.mappings {
        rules::start(mapping, &pipeline, &mut found);
        rules::visibility(mapping, &pipeline, &mut found);
        rules::failures(mapping, &pipeline, &mut found);
        rules::concurrency(mapping, &pipeline, &mut found);
    }
    for consumer in &pipeline.consumers {
        rules::partitions(consumer, &pipeline, &mut found);
    }
    for binding in &pipeline.bindings {
        rules::sizes(binding, &pipeline, &mut found);
    }
    found
}
