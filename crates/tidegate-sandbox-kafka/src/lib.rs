//! The Kafka broker of the sandbox.
