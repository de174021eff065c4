//! The Kafka side of a place: clients of clusters, and what was applied to them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_applier::Applier;
use tidegate_kafka::{
    Client, ClusterSecrets, DirectoryLedger, KafkaApplier, KafkaApplierOptions, NoSecrets,
    SchemaRegistry, SecretSource, Security,
};
use tidegate_manifest::{KafkaTarget, Target, TargetKind};
use tokio::sync::Mutex;

use crate::Error;

/// All Kafka targets of a session, made when they are first asked for.
#[derive(Debug)]
pub(crate) struct KafkaWorld {
    /// What was applied is remembered here.
    state: PathBuf,
    made: Mutex<BTreeMap<String, KafkaApplier>>,
}

impl KafkaWorld {
    /// Remembers in `state`.
    pub(crate) fn new(state: PathBuf) -> Self {
        Self {
            state,
            made: Mutex::default(),
        }
    }

    /// The applier of a target by its name; passwords of users come from Secrets of `cluster`, the
    /// Kubernetes target of the same destination.
    ///
    /// # Errors
    /// [`Error::Target`] when the settings cannot be used.
    pub(crate) async fn applier(
        &self,
        name: &str,
        settings: &KafkaTarget,
        cluster: Option<(Target, Arc<dyn Applier>)>,
    ) -> Result<(Target, KafkaApplier), Error> {
        let target = Target::new(TargetKind::Kafka, name);
        let mut made = self.made.lock().await;
        if let Some(applier) = made.get(name) {
            return Ok((target, applier.clone()));
        }
        let security = Security::from_settings(&settings.security);
        let client =
            security.and_then(|security| Client::new(&settings.bootstrap_servers, security));
        let client = client.map_err(|error| Error::Target {
            target: format!("Kafka of {name}"),
            source: error.into(),
        })?;
        let secrets: Arc<dyn SecretSource> = match cluster {
            Some((target, applier)) => Arc::new(ClusterSecrets::new(applier, target)),
            None => Arc::new(NoSecrets),
        };
        let registry = SchemaRegistry::from_settings(&settings.security);
        let registry = registry.map_err(|source| Error::Target {
            target: format!("Schema Registry of {name}"),
            source,
        })?;
        let options = KafkaApplierOptions {
            ledger: Arc::new(DirectoryLedger::new(&self.state)),
            secrets,
            registry,
        };
        let applier = KafkaApplier::new(client, target.clone(), options);
        made.insert(name.to_owned(), applier.clone());
        Ok((target, applier))
    }
}
