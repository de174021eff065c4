//! Scenarios of section 7.
