//! Dynamic references: values that stand in AWS and are never kept.

use async_trait::async_trait;
use tidegate_applier::{ApplierError, ErrorKind};

/// Looks up `{{resolve:service:…}}`.
#[async_trait]
pub trait DynamicValues: Send + Sync + std::fmt::Debug {
    /// The value of a reference: `service` is `ssm`, `ssm-secure` or `secretsmanager`, `rest` what
    /// follows it.
    ///
    /// # Errors
    /// There is no such value, or it may not be read.
    async fn resolve(&self, service: &str, rest: &str) -> Result<String, ApplierError>;
}

/// Refuses every reference in words.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoDynamicValues;

#[async_trait]
impl DynamicValues for NoDynamicValues {
    async fn resolve(&self, service: &str, rest: &str) -> Result<String, ApplierError> {
        let message = format!("{{{{resolve:{service}:{rest}}}}} cannot be looked up by this build");
        Err(ApplierError::new(ErrorKind::Invalid, message)
            .help("use a build with the feature `secrets`, or pass the value as a parameter"))
    }
}
