//! Events of functions: what invokes them.

use super::context::{Composer, Context};

/// Adds what they make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let _ = (context, template);
}
