//! The command against brokers and functions: the sandbox's broker, and Apache Kafka where `TIDEGATE_TEST_KAFKA` names
//! one (`host:port`, a throwaway one).
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stderr, reason = "tests print their counts")]

mod broker;
mod command;
mod delivery;
mod function;
mod kill;
mod replicas;
mod streams;
