//! Lambda with functions that run, and the services around it: event source mappings, IAM, STS, CloudWatch Logs.
//!
//! Must not know: the engine, the appliers, any AWS SDK.

mod iam;
mod invoke;
mod sts;
