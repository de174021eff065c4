//! The SDK for appliers: the trait, its value types and the conformance kit.
