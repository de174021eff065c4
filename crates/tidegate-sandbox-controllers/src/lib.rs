//! The simulated controllers of the sandbox, on a clock that tests control.
