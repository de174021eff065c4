//! One connection: who is at its other end.
//!
//! Must not know: the broker's state.

use crate::sasl::Progress;

/// A connection's own state.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) host: String,
    /// Port of the listener it came in by.
    pub(crate) port: u16,
    /// Whether it must authenticate before anything else.
    pub(crate) guarded: bool,
    /// `User:NAME` once it is known who is there.
    pub(crate) principal: Option<String>,
    pub(crate) sasl: Progress,
}

impl Session {
    pub(crate) fn new(host: String, port: u16, sasl: bool) -> Self {
        Self {
            host,
            port,
            guarded: sasl,
            principal: (!sasl).then(|| "User:ANONYMOUS".to_owned()),
            sasl: Progress::Nothing,
        }
    }
}
