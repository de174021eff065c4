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

/// What a destination says about its bindings: its own Kafka cluster and its own account.
pub(crate) fn defaults(kafka: &KafkaTarget, aws: Option<&AwsTarget>, is_sandbox: bool) -> Defaults {
    let (id, secret) = EMULATOR_CREDENTIALS;
    let aws = aws.cloned().unwrap_or_default();
    Defaults {
        bootstrap_servers: Some(kafka.bootstrap_servers.clone()),
        properties: kafka.security.clone(),
        aws: AwsSettings {
            region: aws.region,
            endpoint_url: aws.endpoint_url,
            role_arn: aws.role_arn,
            fixed_credentials: is_sandbox.then(|| (id.to_owned(), secret.to_owned())),
        },
        replaces: is_sandbox,
    }
}
