//! The Git source: mirrors, revisions and trees without a checkout.
