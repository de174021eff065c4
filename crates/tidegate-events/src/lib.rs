//! Handlers of Kinesis streams and consumers, and of event-source mappings.
