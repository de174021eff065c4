//! What every AWS applier shares: connection, identity, ownership, references, comparison, and the
//! `Applier` over handlers of single resource types.
//!
//! Must not know: the engine, any one service.
