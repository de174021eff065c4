//! How AWS is reached: region, credentials, role, endpoint; and who one is there.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use tidegate_applier::{ApplierError, ErrorKind};

use crate::error::from_sdk;

/// Longest single call, all tries of it together.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest try of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(25);
/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries of a call that is throttled or meets a failing service. What is throttled still is the applier's, which then
/// does less at once: the SDK's adaptive mode shares one rate among all clients of the process, falls to one call in
/// two seconds in a burst of throttles, and takes minutes to come back.
const ATTEMPTS_MAX: u32 = 5;

/// How AWS is to be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsOptions {
    /// The region; else what the environment or the profile says.
    pub region: Option<String>,
    /// A role to assume.
    pub role_arn: Option<String>,
    /// An emulator's URL.
    pub endpoint_url: Option<String>,
    /// Fixed credentials (id, secret) instead of the environment's: for emulators.
    pub fixed_credentials: Option<(String, String)>,
}

/// A connection to one account and region. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The SDK's configuration: clients are made of it.
    pub config: SdkConfig,
    /// The account.
    pub account_id: String,
    /// The region.
    pub region: String,
    /// The partition, by the ARN of who one is.
    pub partition: String,
    /// An emulator's URL.
    pub endpoint_url: Option<String>,
}

impl Aws {
    /// Connects: reads the configuration and asks who one is.
    ///
    /// # Errors
    /// There is no region, there are no credentials, or AWS refuses them.
    pub async fn connect(options: &AwsOptions) -> Result<Self, ApplierError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(OPERATION_TIMEOUT)
                    .build(),
            );
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &options.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some((id, secret)) = &options.fixed_credentials {
            let fixed = aws_credential_types::Credentials::new(id, secret, None, None, "fixed");
            loader = loader.credentials_provider(fixed);
        }
        let mut config = loader.load().await;
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(
                ApplierError::new(ErrorKind::Invalid, "no AWS region is set")
                    .help("set aws.region in the settings, AWS_REGION, or a region in the profile"),
            );
        };
        if let Some(role) = &options.role_arn {
            let provider = AssumeRoleProvider::builder(role)
                .session_name("tidegate")
                .configure(&config)
                .build()
                .await;
            let shared = aws_credential_types::provider::SharedCredentialsProvider::new(provider);
            config = config.into_builder().credentials_provider(shared).build();
        }
        let identity = aws_sdk_sts::Client::new(&config)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| from_sdk("GetCallerIdentity", &error))?;
        let arn = identity.arn().unwrap_or_default();
        let partition = arn.split(':').nth(1).filter(|part| !part.is_empty());
        Ok(Self {
            account_id: identity.account().unwrap_or_default().to_owned(),
            partition: partition.unwrap_or("aws").to_owned(),
            endpoint_url: options
                .endpoint_url
                .clone()
                .or_else(|| config.endpoint_url().map(str::to_owned)),
            region,
            config,
        })
    }

    /// An ARN in this account and region.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let (partition, region, account) = (&self.partition, &self.region, &self.account_id);
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }

    /// `aws account/region`, and the emulator's URL when there is one: for people.
    pub fn label(&self) -> String {
        let at = self.endpoint_url.as_deref();
        let at = at.map(|url| format!(" at {url}")).unwrap_or_default();
        format!("AWS {}/{}{at}", self.account_id, self.region)
    }
}
