//! The AWS API of the sandbox: the real protocols on loopback, with the services' own states, errors and delays.
//!
//! Must not know: the engine, the appliers, any AWS SDK.
