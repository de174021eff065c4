//! The self-hosted event-source runtime.
