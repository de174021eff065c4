//! Where passwords come from: a Secret by namespace, name and key.
//!
//! Must not know: what they are for. Values never reach a message.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_applier::{Applier, ApplierError, ErrorKind, ReadOptions};
use tidegate_manifest::{ResourceKey, Target};

/// Bytes of a password at most.
const PASSWORD: usize = 4_096;

/// A place that Secrets are read from.
#[async_trait]
pub trait SecretSource: Send + Sync + Debug {
    /// The value of a key; None when the Secret or the key is not there.
    ///
    /// # Errors
    /// The place cannot be read.
    async fn value(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<String>, ApplierError>;
}

/// No Secrets at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

#[async_trait]
impl SecretSource for NoSecrets {
    async fn value(&self, _: &str, _: &str, _: &str) -> Result<Option<String>, ApplierError> {
        Ok(None)
    }
}

/// Secrets as files: `DIRECTORY/NAMESPACE/NAME/KEY`, as Kubernetes mounts them.
#[derive(Clone, Debug)]
pub struct DirectorySecrets(PathBuf);

impl DirectorySecrets {
    /// Secrets in a directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }
}

#[async_trait]
impl SecretSource for DirectorySecrets {
    async fn value(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<String>, ApplierError> {
        let parts = [namespace, name, key];
        let is_part = |part: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !part.is_empty() && part.chars().all(is_plain) && part != "." && part != ".."
        };
        if !parts.into_iter().all(is_part) {
            return Ok(None);
        }
        let path = parts
            .iter()
            .fold(self.0.clone(), |path, part| path.join(part));
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => checked(text.trim_end_matches(['\r', '\n']).to_owned()).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let message = format!("{}: {error}", path.display());
                Err(ApplierError::new(ErrorKind::Internal, message))
            }
        }
    }
}

/// Secrets of a Kubernetes cluster, through its applier.
#[derive(Clone, Debug)]
pub struct ClusterSecrets {
    applier: Arc<dyn Applier>,
    target: Target,
}

impl ClusterSecrets {
    /// Secrets of the cluster that an applier serves.
    pub fn new(applier: Arc<dyn Applier>, target: Target) -> Self {
        Self { applier, target }
    }
}

#[async_trait]
impl SecretSource for ClusterSecrets {
    async fn value(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<String>, ApplierError> {
        let secret = ResourceKey {
            target: self.target.clone(),
            group: String::new(),
            kind: "Secret".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let answers = self
            .applier
            .read(vec![secret], ReadOptions::default())
            .await;
        let answer = answers.into_iter().next().unwrap_or(Ok(None))?;
        let encoded = answer
            .as_ref()
            .and_then(|live| live.body.get("data")?.get(key)?.as_str());
        let Some(encoded) = encoded else {
            return Ok(None);
        };
        let bytes = STANDARD.decode(encoded).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        match text {
            Some(text) => checked(text).map(Some),
            None => {
                let message = format!("key {key} of Secret {namespace}/{name} is no text");
                Err(ApplierError::new(ErrorKind::Invalid, message).help(
                    "write the password as text, in base64 under data or plainly under stringData",
                ))
            }
        }
    }
}

fn checked(text: String) -> Result<String, ApplierError> {
    if text.is_empty() || text.len() > PASSWORD {
        let message = format!(
            "a password has 1 to {PASSWORD} bytes, this one has {}",
            text.len()
        );
        return Err(ApplierError::new(ErrorKind::Invalid, message)
            .help("write another password into the Secret"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_secrets_and_nothing_outside_is() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("shop/alice");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("password"), "s3cret\n").unwrap();
        std::fs::write(folder.join("empty"), "").unwrap();
        let secrets = DirectorySecrets::new(directory.path().join("shop/.."));
        let read = async |key: &str| secrets.value("shop", "alice", key).await;
        assert_eq!(read("password").await, Ok(Some("s3cret".to_owned())));
        assert_eq!(read("other").await, Ok(None));
        assert_eq!(read("../alice/password").await, Ok(None));
        assert!(read("empty").await.is_err());
    }
}
