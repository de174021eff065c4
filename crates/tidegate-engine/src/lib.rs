//! Plan and sync as a pure step function, with an async shell around it.
