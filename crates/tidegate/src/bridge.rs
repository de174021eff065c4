//! Bindings of a session: where their documents are kept, and whether they run in this process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_applier::Applier;
use tidegate_bridge::Defaults;
use tidegate_bridge::applier::{BridgeApplier, BridgeApplierOptions, Runs};
use tidegate_bridge::binding::AwsSettings;
use tidegate_manifest::{AwsTarget, KafkaTarget, Target};
use tokio::sync::Mutex;

use crate::Error;
use crate::aws::EMULATOR_CREDENTIALS;

/// The bindings of all Kafka targets of a session.
#[derive(Debug)]
pub(crate) struct Bindings {
    folder: PathBuf,
    runs: Runs,
    made: Mutex<BTreeMap<String, BridgeApplier>>,
}

impl Bindings {
    /// Keeps documents in `folder`.
    pub(crate) fn new(folder: PathBuf, runs: Runs) -> Self {
        Self {
            folder,
            runs,
            made: Mutex::default(),
        }
    }

    /// The applier that takes bindings and hands every other kind to `kafka`.
    ///
    /// # Errors
    /// [`Error::Target`] when the folder cannot be read.
    pub(crate) async fn applier(
        &self,
        target: &Target,
        kafka: Arc<dyn Applier>,
        defaults: Defaults,
    ) -> Result<BridgeApplier, Error> {
        let mut made = self.made.lock().await;
        if let Some(applier) = made.get(&*target.name) {
            return Ok(applier.clone());
        }
        let options = BridgeApplierOptions {
            inner: Some(kafka),
            folder: Some(self.folder.join(&*target.name)),
            defaults,
            runs: self.runs,
        };
        let applier = BridgeApplier::open(target.clone(), options).await;
        let applier = applier.map_err(|source| Error::Target {
            target: format!("bindings of {}", target.name),
            source,
        })?;
        made.insert(target.name.to_string(), applier.clone());
        Ok(applier)
    }

    /// Drains and ends those that run here.
    pub(crate) async fn stop(&self) {
        for applier in self.made.lock().await.values() {
            applier.stop().await;
        }
    }
}

/// Settings of a Kafka target as librdkafka knows them: passwords from where they are kept, nothing of the registry.
fn properties(security: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let client = security
        .iter()
        .filter(|(name, _)| !name.starts_with("schema.registry."));
    let known = client.filter_map(|(name, value)| {
        if let Some(name) = name.strip_suffix(".env") {
            return Some((name.to_owned(), std::env::var(value).ok()?));
        }
        if let Some(name) = name.strip_suffix(".file") {
            let text = std::fs::read_to_string(value).ok()?;
            return Some((name.to_owned(), text.trim_end().to_owned()));
        }
        Some((name.clone(), value.clone()))
    });
    known.collect()
}

/// What a destination says about its bindings: its own Kafka cluster and its own account.
pub(crate) fn defaults(kafka: &KafkaTarget, aws: Option<&AwsTarget>, is_sandbox: bool) -> Defaults {
    let (id, secret) = EMULATOR_CREDENTIALS;
    let aws = aws.cloned().unwrap_or_default();
    Defaults {
        bootstrap_servers: Some(kafka.bootstrap_servers.clone()),
        properties: properties(&kafka.security),
        aws: AwsSettings {
            region: aws.region,
            endpoint_url: aws.endpoint_url,
            role_arn: aws.role_arn,
            fixed_credentials: is_sandbox.then(|| (id.to_owned(), secret.to_owned())),
        },
        replaces: is_sandbox,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_its_own_settings_only() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("password");
        std::fs::write(&file, "secret\n").expect("a file");
        let settings = [
            ("sasl.username", "tidegate"),
            ("sasl.password.file", file.to_str().expect("a UTF-8 path")),
            ("schema.registry.url", "http://registry:8081"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = properties(&settings.into());
        let expected = [("sasl.password", "secret"), ("sasl.username", "tidegate")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, expected.into());
    }
}
