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

/// Looks references up in the services that the build has; others are refused in words.
#[derive(Clone, Debug)]
pub(crate) struct BuiltInValues {
    #[cfg(feature = "secrets")]
    secrets: aws_sdk_secretsmanager::Client,
    #[cfg(feature = "ssm")]
    parameters: aws_sdk_ssm::Client,
}

impl BuiltInValues {
    pub(crate) fn new(aws: &crate::Aws) -> Self {
        let _ = aws;
        Self {
            #[cfg(feature = "secrets")]
            secrets: aws_sdk_secretsmanager::Client::new(&aws.config),
            #[cfg(feature = "ssm")]
            parameters: aws_sdk_ssm::Client::new(&aws.config),
        }
    }

    /// `secret-id:SecretString[:json-key[:version-stage[:version-id]]]`; an ARN has colons of its own.
    #[cfg(feature = "secrets")]
    async fn secret(&self, rest: &str) -> Result<String, ApplierError> {
        let (id, path) = match rest.split_once(":SecretString") {
            Some((id, path)) => (id, path.trim_start_matches(':')),
            None => (rest, ""),
        };
        let mut path = path.split(':');
        let text = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(str::to_owned);
        let key = text(path.next());
        let found = self
            .secrets
            .get_secret_value()
            .secret_id(id)
            .set_version_stage(text(path.next()))
            .set_version_id(text(path.next()))
            .send()
            .await
            .map_err(|error| crate::from_sdk("GetSecretValue", &error))?;
        let whole = found.secret_string().unwrap_or_default();
        let Some(key) = key else {
            return Ok(whole.to_owned());
        };
        let parsed: Option<serde_json::Value> = serde_json::from_str(whole).ok();
        match parsed.as_ref().and_then(|parsed| parsed.get(&key)) {
            Some(serde_json::Value::String(text)) => Ok(text.clone()),
            Some(other) => Ok(other.to_string()),
            None => {
                let message = format!("the secret {id} is no JSON object with the key {key:?}");
                Err(ApplierError::new(ErrorKind::Invalid, message))
            }
        }
    }

    /// `name[:version]`.
    #[cfg(feature = "ssm")]
    async fn parameter(&self, rest: &str) -> Result<String, ApplierError> {
        let found = self
            .parameters
            .get_parameter()
            .name(rest)
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| crate::from_sdk("GetParameter", &error))?;
        let value = found.parameter().and_then(|parameter| parameter.value());
        Ok(value.unwrap_or_default().to_owned())
    }
}

#[async_trait]
impl DynamicValues for BuiltInValues {
    async fn resolve(&self, service: &str, rest: &str) -> Result<String, ApplierError> {
        match service {
            #[cfg(feature = "secrets")]
            "secretsmanager" => self.secret(rest).await,
            #[cfg(feature = "ssm")]
            "ssm" | "ssm-secure" => self.parameter(rest).await,
            _ => {
                let message =
                    format!("{{{{resolve:{service}:{rest}}}}} cannot be looked up by this build");
                Err(ApplierError::new(ErrorKind::Invalid, message).help(
                    "build tidegate-aws with the feature `ssm` or `secrets`, or pass the value as a parameter",
                ))
            }
        }
    }
}
