//! The AWS side of a place: connections, appliers with all handlers, packaged code.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_aws::{
    Artifacts, Aws, AwsApplier, AwsApplierOptions, AwsOptions, DirectoryArtifacts, DirectoryState,
    TaggingDiscovery,
};
use tidegate_manifest::{AwsTarget, Target, TargetKind};
use tidegate_render::AwsEnvironment;
use tokio::sync::Mutex;

use crate::Error;

/// Credentials that emulators on loopback are given when nobody names any.
pub(crate) const EMULATOR_CREDENTIALS: (&str, &str) = ("sandbox", "sandbox");
/// The region of an emulator when nobody names one.
const EMULATOR_REGION: &str = tidegate_render::DEFAULT_REGION;

/// All AWS targets of a session, connected when they are first asked for.
#[derive(Debug)]
pub(crate) struct AwsWorld {
    /// What was applied is remembered here.
    state: PathBuf,
    artifacts: Arc<dyn Artifacts>,
    connected: Mutex<BTreeMap<String, AwsApplier>>,
}

impl AwsWorld {
    /// Remembers in `state`, keeps code in `code`.
    pub(crate) fn new(state: PathBuf, code: PathBuf) -> Self {
        Self {
            state,
            artifacts: Arc::new(DirectoryArtifacts::new(code)),
            connected: Mutex::default(),
        }
    }

    /// Where packaged code is kept.
    pub(crate) fn artifacts(&self) -> &Arc<dyn Artifacts> {
        &self.artifacts
    }

    /// The applier of a target by its name.
    ///
    /// # Errors
    /// [`Error::Target`] when AWS cannot be reached.
    pub(crate) async fn applier(
        &self,
        name: &str,
        settings: &AwsTarget,
    ) -> Result<(Target, AwsApplier), Error> {
        let target = Target::new(TargetKind::Aws, name);
        let mut connected = self.connected.lock().await;
        if let Some(applier) = connected.get(name) {
            return Ok((target, applier.clone()));
        }
        let aws = Aws::connect(&options(settings)).await;
        let aws = aws.map_err(|source| Error::Target {
            target: format!("AWS of {name}"),
            source,
        })?;
        let mut handlers = tidegate_cloudcontrol::handlers(&aws);
        handlers.extend(tidegate_aws_services::handlers(&aws));
        handlers.extend(tidegate_events::handlers(&aws));
        handlers.extend(tidegate_lambda::handlers(&aws, Arc::clone(&self.artifacts)));
        let options = AwsApplierOptions {
            state: Arc::new(DirectoryState::new(&self.state)),
            discovery: Some(Arc::new(TaggingDiscovery::new(&aws))),
            ..AwsApplierOptions::default()
        };
        let applier = AwsApplier::new(aws, target.clone(), handlers, options);
        connected.insert(name.to_owned(), applier.clone());
        Ok((target, applier))
    }

    /// What templates are read against in a target.
    ///
    /// # Errors
    /// [`Error::Target`] when AWS cannot be reached.
    pub(crate) async fn environment(
        &self,
        name: &str,
        settings: &AwsTarget,
    ) -> Result<AwsEnvironment, Error> {
        let (_, applier) = self.applier(name, settings).await?;
        Ok(AwsEnvironment {
            region: applier.aws().region.clone(),
            account_id: applier.aws().account_id.clone(),
            ..AwsEnvironment::default()
        })
    }
}

/// How a target is connected to; an emulator on loopback needs no account.
fn options(settings: &AwsTarget) -> AwsOptions {
    let url = settings
        .endpoint_url
        .clone()
        .or_else(|| std::env::var("AWS_ENDPOINT_URL").ok())
        .filter(|url| !url.is_empty());
    let is_emulator = url.as_deref().is_some_and(is_loopback);
    let has_credentials = std::env::var_os("AWS_ACCESS_KEY_ID").is_some()
        || std::env::var_os("AWS_PROFILE").is_some();
    let has_region = std::env::var_os("AWS_REGION").is_some()
        || std::env::var_os("AWS_DEFAULT_REGION").is_some()
        || std::env::var_os("AWS_PROFILE").is_some();
    let (id, secret) = EMULATOR_CREDENTIALS;
    AwsOptions {
        region: settings
            .region
            .clone()
            .or_else(|| (is_emulator && !has_region).then(|| EMULATOR_REGION.to_owned())),
        role_arn: settings.role_arn.clone(),
        endpoint_url: url,
        fixed_credentials: (is_emulator && !has_credentials)
            .then(|| (id.to_owned(), secret.to_owned())),
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

/// The sandbox's own target: the endpoint that it says, and nothing of the environment.
pub(crate) fn sandbox_target(endpoint: &str) -> AwsTarget {
    AwsTarget {
        region: Some(EMULATOR_REGION.to_owned()),
        role_arn: None,
        endpoint_url: Some(endpoint.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulators_are_told_by_their_address() {
        assert!(is_loopback("http://127.0.0.1:5000"));
        assert!(is_loopback("http://localhost:5000/x"));
        assert!(!is_loopback("https://lambda.eu-west-1.amazonaws.com"));
    }
}
