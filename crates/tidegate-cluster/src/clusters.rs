//! Many clusters: one connection for each distinct setting, made when it is first asked for.

use std::collections::BTreeMap;

use tidegate_applier::ApplierError;
use tidegate_manifest::Target;

use crate::cluster::Cluster;
use crate::config::ClusterConfig;

/// A pool of clusters keyed by their settings.
///
/// Two destinations with the same settings but other names share nothing: their keys differ.
#[derive(Debug, Default)]
pub struct Clusters {
    known: tokio::sync::Mutex<BTreeMap<(ClusterConfig, Target), Cluster>>,
}

impl Clusters {
    /// The cluster of these settings, connected when it was not yet.
    ///
    /// # Errors
    /// Settings that cannot be read or used.
    pub async fn get(
        &self,
        config: &ClusterConfig,
        target: &Target,
    ) -> Result<Cluster, ApplierError> {
        let key = (config.clone(), target.clone());
        let mut known = self.known.lock().await;
        if let Some(cluster) = known.get(&key) {
            return Ok(cluster.clone());
        }
        let cluster = Cluster::connect(config.clone(), target.clone()).await?;
        known.insert(key, cluster.clone());
        Ok(cluster)
    }

    /// Forgets a cluster whose settings changed and ends its cache.
    pub async fn remove(&self, config: &ClusterConfig, target: &Target) {
        let key = (config.clone(), target.clone());
        let gone = self.known.lock().await.remove(&key);
        if let Some(cluster) = gone {
            cluster.stop_cache().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_settings_share_a_connection() {
        let clusters = Clusters::default();
        let target = Target::kubernetes("x");
        let config = ClusterConfig::token("http://127.0.0.1:1", "t");
        let first = clusters.get(&config, &target).await.expect("set up");
        let second = clusters.get(&config, &target).await.expect("set up");
        assert!(std::sync::Arc::ptr_eq(&first.inner, &second.inner));
        let other = ClusterConfig::token("http://127.0.0.1:1", "u");
        let third = clusters.get(&other, &target).await.expect("set up");
        assert!(!std::sync::Arc::ptr_eq(&first.inner, &third.inner));
    }
}
