//! `AWS::S3::Bucket` with its versioning, encryption, access block and notifications; `AWS::S3::BucketPolicy`;
//! `Tidegate::S3::BucketNotification`, entries in the notifications of a bucket that somebody else manages.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Aws, Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::shapes::{document, not_found, parsed, text};

const POLICY: &str = "AWS::S3::BucketPolicy";
const NOTIFICATION: &str = "Tidegate::S3::BucketNotification";
/// Kinds of notification: CloudFormation's list, the field of its target.
const KINDS: &[(&str, &str)] = &[
    ("LambdaConfigurations", "Function"),
    ("QueueConfigurations", "Queue"),
    ("TopicConfigurations", "Topic"),
];
/// Properties that are not read back: they count as they are wanted.
const UNREAD: &[&str] = &[
    "LifecycleConfiguration",
    "CorsConfiguration",
    "LoggingConfiguration",
    "OwnershipControls",
    "AccessControl",
    "WebsiteConfiguration",
    "ReplicationConfiguration",
    "AccelerateConfiguration",
    "AnalyticsConfigurations",
    "IntelligentTieringConfigurations",
    "InventoryConfigurations",
    "MetricsConfigurations",
    "ObjectLockConfiguration",
    "ObjectLockEnabled",
];

/// Buckets.
#[derive(Debug)]
pub(crate) struct Buckets {
    client: Client,
    region: String,
    partition: String,
}

fn invalid(error: impl std::fmt::Display) -> ApplierError {
    ApplierError::new(ErrorKind::Invalid, error.to_string())
}

impl Buckets {
    pub(crate) fn new(aws: &Aws) -> Self {
        let config = aws_sdk_s3::config::Builder::from(&aws.config)
            // Emulators have no host names of their own for buckets.
            .force_path_style(aws.endpoint_url.is_some())
            .build();
        Self {
            client: Client::from_conf(config),
            region: aws.region.clone(),
            partition: aws.partition.clone(),
        }
    }

    async fn exists(&self, bucket: &str) -> Result<bool, ApplierError> {
        match self
            .client
            .get_bucket_location()
            .bucket(bucket)
            .send()
            .await
        {
            Ok(_) => Ok(true),
            Err(error) => not_found(from_sdk("GetBucketLocation", &error)).map(|()| false),
        }
    }

    async fn tags(&self, bucket: &str) -> Result<BTreeMap<String, String>, ApplierError> {
        match self.client.get_bucket_tagging().bucket(bucket).send().await {
            Ok(found) => Ok(found
                .tag_set()
                .iter()
                .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                .collect()),
            Err(error) => not_found(from_sdk("GetBucketTagging", &error)).map(|()| BTreeMap::new()),
        }
    }

    async fn set_tags(
        &self,
        bucket: &str,
        resource: &Resource,
        current: &BTreeMap<String, String>,
    ) -> Result<(), ApplierError> {
        // The call replaces all tags: those of others are put back.
        let mut all = current.clone();
        all.retain(|key, _| !resource.removed_tags.contains(key) && !key.starts_with("aws:"));
        all.extend(resource.all_tags());
        let tags: Result<Vec<sdk::Tag>, _> = all
            .into_iter()
            .map(|(key, value)| sdk::Tag::builder().key(key).value(value).build())
            .collect();
        let tagging = sdk::Tagging::builder()
            .set_tag_set(Some(tags.map_err(invalid)?))
            .build()
            .map_err(invalid)?;
        let call = self.client.put_bucket_tagging().bucket(bucket);
        let sent = call.tagging(tagging).send().await;
        sent.map(drop)
            .map_err(|error| from_sdk("PutBucketTagging", &error))
    }

    async fn notifications(&self, bucket: &str) -> Result<Notifications, ApplierError> {
        let call = self.client.get_bucket_notification_configuration();
        let found = call.bucket(bucket).send().await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let error = from_sdk("GetBucketNotificationConfiguration", &error);
                return not_found(error).map(|()| Notifications::default());
            }
        };
        Ok(Notifications {
            lambda: found.lambda_function_configurations().to_vec(),
            queue: found.queue_configurations().to_vec(),
            topic: found.topic_configurations().to_vec(),
            bridge: found.event_bridge_configuration().cloned(),
        })
    }

    async fn put_notifications(
        &self,
        bucket: &str,
        wanted: Notifications,
    ) -> Result<(), ApplierError> {
        let configuration = sdk::NotificationConfiguration::builder()
            .set_lambda_function_configurations(Some(wanted.lambda))
            .set_queue_configurations(Some(wanted.queue))
            .set_topic_configurations(Some(wanted.topic))
            .set_event_bridge_configuration(wanted.bridge)
            .build();
        let call = self.client.put_bucket_notification_configuration();
        let sent = call
            .bucket(bucket)
            .notification_configuration(configuration)
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| from_sdk("PutBucketNotificationConfiguration", &error))
    }

    async fn set_encryption(
        &self,
        bucket: &str,
        wanted: Option<&Value>,
    ) -> Result<(), ApplierError> {
        let rule = wanted
            .and_then(|found| found.get("ServerSideEncryptionConfiguration"))
            .and_then(|list| list.get(0));
        let by_default = rule.and_then(|rule| rule.get("ServerSideEncryptionByDefault"));
        let Some(algorithm) = text(by_default, "SSEAlgorithm") else {
            let call = self.client.delete_bucket_encryption().bucket(bucket);
            let sent = call.send().await;
            return sent
                .map(drop)
                .map_err(|error| from_sdk("DeleteBucketEncryption", &error));
        };
        let by_default = sdk::ServerSideEncryptionByDefault::builder()
            .sse_algorithm(sdk::ServerSideEncryption::from(algorithm.as_str()))
            .set_kms_master_key_id(text(by_default, "KMSMasterKeyID"))
            .build()
            .map_err(invalid)?;
        let key = rule.and_then(|rule| rule.get("BucketKeyEnabled"));
        let rule = sdk::ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(by_default)
            .set_bucket_key_enabled(key.and_then(Value::as_bool))
            .build();
        let configuration = sdk::ServerSideEncryptionConfiguration::builder()
            .rules(rule)
            .build()
            .map_err(invalid)?;
        let call = self.client.put_bucket_encryption().bucket(bucket);
        let sent = call
            .server_side_encryption_configuration(configuration)
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| from_sdk("PutBucketEncryption", &error))
    }

    async fn set_access_block(
        &self,
        bucket: &str,
        wanted: Option<&Value>,
    ) -> Result<(), ApplierError> {
        let flag = |name: &str| wanted?.get(name)?.as_bool();
        let block = sdk::PublicAccessBlockConfiguration::builder()
            .set_block_public_acls(flag("BlockPublicAcls"))
            .set_block_public_policy(flag("BlockPublicPolicy"))
            .set_ignore_public_acls(flag("IgnorePublicAcls"))
            .set_restrict_public_buckets(flag("RestrictPublicBuckets"))
            .build();
        let call = self.client.put_public_access_block().bucket(bucket);
        let sent = call.public_access_block_configuration(block).send().await;
        sent.map(drop)
            .map_err(|error| from_sdk("PutPublicAccessBlock", &error))
    }

    async fn set_versioning(
        &self,
        bucket: &str,
        wanted: Option<&Value>,
    ) -> Result<(), ApplierError> {
        let status = text(wanted, "Status").unwrap_or_else(|| "Suspended".to_owned());
        let configuration = sdk::VersioningConfiguration::builder()
            .status(sdk::BucketVersioningStatus::from(status.as_str()))
            .build();
        let call = self.client.put_bucket_versioning().bucket(bucket);
        let sent = call.versioning_configuration(configuration).send().await;
        sent.map(drop)
            .map_err(|error| from_sdk("PutBucketVersioning", &error))
    }

    async fn read_bucket(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let name = lookup
            .physical_id
            .as_deref()
            .or(lookup.physical_name.as_deref());
        let Some(bucket) = name else {
            return Ok(None);
        };
        if !self.exists(bucket).await? {
            return Ok(None);
        }
        let mut properties = Map::from_iter([("BucketName".to_owned(), json!(bucket))]);
        let found = self
            .client
            .get_bucket_versioning()
            .bucket(bucket)
            .send()
            .await;
        let found = found.map_err(|error| from_sdk("GetBucketVersioning", &error))?;
        let wants_suspended = lookup
            .properties
            .get("VersioningConfiguration")
            .is_some_and(|wanted| text(Some(wanted), "Status").as_deref() == Some("Suspended"));
        if let Some(status) = found.status()
            && (status.as_str() == "Enabled" || wants_suspended)
        {
            let versioning = json!({"Status": status.as_str()});
            properties.insert("VersioningConfiguration".to_owned(), versioning);
        }
        // What every bucket has by default is read only where something else is wanted.
        if let Some(wanted) = lookup.properties.get("BucketEncryption") {
            let found = self
                .client
                .get_bucket_encryption()
                .bucket(bucket)
                .send()
                .await;
            let algorithm = found.ok().and_then(|found| {
                let rules = found.server_side_encryption_configuration?.rules;
                let by_default = rules.first()?.apply_server_side_encryption_by_default()?;
                Some(by_default.sse_algorithm().as_str().to_owned())
            });
            let rule = wanted
                .get("ServerSideEncryptionConfiguration")
                .and_then(|list| list.get(0));
            let by_default = rule.and_then(|rule| rule.get("ServerSideEncryptionByDefault"));
            let is_same = text(by_default, "SSEAlgorithm") == algorithm;
            let value = if is_same {
                wanted.clone()
            } else {
                json!({"SSEAlgorithm": algorithm})
            };
            properties.insert("BucketEncryption".to_owned(), value);
        }
        if let Some(wanted) = lookup.properties.get("PublicAccessBlockConfiguration") {
            let found = self
                .client
                .get_public_access_block()
                .bucket(bucket)
                .send()
                .await;
            let block = found
                .ok()
                .and_then(|found| found.public_access_block_configuration);
            let mut live = Map::new();
            for (name, flag) in [
                (
                    "BlockPublicAcls",
                    block.as_ref().and_then(
                        aws_sdk_s3::types::PublicAccessBlockConfiguration::block_public_acls,
                    ),
                ),
                (
                    "BlockPublicPolicy",
                    block.as_ref().and_then(
                        aws_sdk_s3::types::PublicAccessBlockConfiguration::block_public_policy,
                    ),
                ),
                (
                    "IgnorePublicAcls",
                    block.as_ref().and_then(
                        aws_sdk_s3::types::PublicAccessBlockConfiguration::ignore_public_acls,
                    ),
                ),
                (
                    "RestrictPublicBuckets",
                    block.as_ref().and_then(
                        aws_sdk_s3::types::PublicAccessBlockConfiguration::restrict_public_buckets,
                    ),
                ),
            ] {
                if wanted.get(name).is_some() {
                    live.insert(name.to_owned(), json!(flag.unwrap_or(false)));
                }
            }
            properties.insert(
                "PublicAccessBlockConfiguration".to_owned(),
                Value::Object(live),
            );
        }
        let wanted = lookup.properties.get("NotificationConfiguration");
        let notifications = self.notifications(bucket).await?;
        let own = notifications.declared(&|id: &str| id.starts_with(NOTIFICATION_PREFIX));
        if wanted.is_some() || !own.is_empty() {
            properties.insert("NotificationConfiguration".to_owned(), Value::Object(own));
        }
        for name in UNREAD {
            if let Some(value) = lookup.properties.get(*name) {
                properties.insert((*name).to_owned(), value.clone());
            }
        }
        let (partition, region) = (&self.partition, &self.region);
        Ok(Some(LiveResource {
            physical_id: bucket.to_owned(),
            reference: bucket.to_owned(),
            attributes: BTreeMap::from([
                (
                    "Arn".to_owned(),
                    json!(format!("arn:{partition}:s3:::{bucket}")),
                ),
                (
                    "DomainName".to_owned(),
                    json!(format!("{bucket}.s3.amazonaws.com")),
                ),
                (
                    "RegionalDomainName".to_owned(),
                    json!(format!("{bucket}.s3.{region}.amazonaws.com")),
                ),
            ]),
            properties,
            tags: Some(self.tags(bucket).await?),
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn set_all(
        &self,
        bucket: &str,
        resource: &Resource,
        changed: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), ApplierError> {
        if changed("VersioningConfiguration") {
            self.set_versioning(bucket, resource.get("VersioningConfiguration"))
                .await?;
        }
        if changed("BucketEncryption") {
            self.set_encryption(bucket, resource.get("BucketEncryption"))
                .await?;
        }
        if changed("PublicAccessBlockConfiguration") {
            self.set_access_block(bucket, resource.get("PublicAccessBlockConfiguration"))
                .await?;
        }
        if changed("NotificationConfiguration") {
            let current = self.notifications(bucket).await?;
            let wanted = resource.get("NotificationConfiguration");
            let is_foreign = |id: &str| id.starts_with(NOTIFICATION_PREFIX);
            let merged = current.merged(wanted, "bucket", &is_foreign)?;
            self.put_notifications(bucket, merged).await?;
        }
        Ok(())
    }
}

/// Ids of entries that a `Tidegate::S3::BucketNotification` made, in a bucket of another owner.
const NOTIFICATION_PREFIX: &str = "tidegate-notification-";

/// All notifications of a bucket.
#[derive(Clone, Debug, Default)]
struct Notifications {
    lambda: Vec<sdk::LambdaFunctionConfiguration>,
    queue: Vec<sdk::QueueConfiguration>,
    topic: Vec<sdk::TopicConfiguration>,
    bridge: Option<sdk::EventBridgeConfiguration>,
}

fn filter_of(value: Option<&Value>) -> Option<sdk::NotificationConfigurationFilter> {
    let rules = value?.get("S3Key")?.get("Rules")?.as_array()?;
    let rules = rules.iter().map(|rule| {
        let name = text(Some(rule), "Name").unwrap_or_default().to_lowercase();
        sdk::FilterRule::builder()
            .name(sdk::FilterRuleName::from(name.as_str()))
            .set_value(text(Some(rule), "Value"))
            .build()
    });
    let key = sdk::S3KeyFilter::builder()
        .set_filter_rules(Some(rules.collect()))
        .build();
    Some(
        sdk::NotificationConfigurationFilter::builder()
            .key(key)
            .build(),
    )
}

fn declared_filter(found: Option<&sdk::NotificationConfigurationFilter>) -> Option<Value> {
    let rules = found?.key()?.filter_rules();
    if rules.is_empty() {
        return None;
    }
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| {
            let name = rule.name().map(|name| name.as_str().to_lowercase());
            json!({"Name": name, "Value": rule.value()})
        })
        .collect();
    Some(json!({"S3Key": {"Rules": rules}}))
}

/// One entry of CloudFormation's per event.
fn entries(target: &str, arn: &str, events: &[sdk::Event], filter: Option<&Value>) -> Vec<Value> {
    let made = events.iter().map(|event| {
        let mut entry = json!({"Event": event.as_str(), target: arn});
        if let Some(filter) = filter {
            entry["Filter"] = filter.clone();
        }
        entry
    });
    made.collect()
}

impl Notifications {
    /// The entries as a template would declare them, without those whose ids are others'.
    fn declared(&self, is_foreign: &dyn Fn(&str) -> bool) -> Map<String, Value> {
        let mut lists: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for one in self
            .lambda
            .iter()
            .filter(|one| !is_foreign(one.id().unwrap_or_default()))
        {
            let made = entries(
                "Function",
                one.lambda_function_arn(),
                one.events(),
                declared_filter(one.filter()).as_ref(),
            );
            lists
                .entry("LambdaConfigurations")
                .or_default()
                .extend(made);
        }
        for one in self
            .queue
            .iter()
            .filter(|one| !is_foreign(one.id().unwrap_or_default()))
        {
            let made = entries(
                "Queue",
                one.queue_arn(),
                one.events(),
                declared_filter(one.filter()).as_ref(),
            );
            lists.entry("QueueConfigurations").or_default().extend(made);
        }
        for one in self
            .topic
            .iter()
            .filter(|one| !is_foreign(one.id().unwrap_or_default()))
        {
            let made = entries(
                "Topic",
                one.topic_arn(),
                one.events(),
                declared_filter(one.filter()).as_ref(),
            );
            lists.entry("TopicConfigurations").or_default().extend(made);
        }
        let mut declared = Map::new();
        for (name, mut list) in lists {
            list.sort_by_key(Value::to_string);
            declared.insert(name.to_owned(), Value::Array(list));
        }
        if self.bridge.is_some() {
            declared.insert(
                "EventBridgeConfiguration".to_owned(),
                json!({"EventBridgeEnabled": true}),
            );
        }
        declared
    }

    /// Others' entries as they are, and ours as they are wanted; ours get ids that begin with `prefix`.
    fn merged(
        &self,
        wanted: Option<&Value>,
        prefix: &str,
        is_foreign: &dyn Fn(&str) -> bool,
    ) -> Result<Self, ApplierError> {
        let mut merged = self.clone();
        merged
            .lambda
            .retain(|one| is_foreign(one.id().unwrap_or_default()));
        merged
            .queue
            .retain(|one| is_foreign(one.id().unwrap_or_default()));
        merged
            .topic
            .retain(|one| is_foreign(one.id().unwrap_or_default()));
        let mut count = 0;
        for (list, target) in KINDS {
            let items = wanted
                .and_then(|wanted| wanted.get(*list))
                .and_then(Value::as_array);
            for item in items.into_iter().flatten() {
                count += 1;
                let id = format!("{prefix}-{count}");
                let arn = text(Some(item), target).unwrap_or_default();
                let event = text(Some(item), "Event").unwrap_or_default();
                let event = sdk::Event::from(event.as_str());
                let filter = filter_of(item.get("Filter"));
                match *target {
                    "Function" => merged.lambda.push(
                        sdk::LambdaFunctionConfiguration::builder()
                            .id(id)
                            .lambda_function_arn(arn)
                            .events(event)
                            .set_filter(filter)
                            .build()
                            .map_err(invalid)?,
                    ),
                    "Queue" => merged.queue.push(
                        sdk::QueueConfiguration::builder()
                            .id(id)
                            .queue_arn(arn)
                            .events(event)
                            .set_filter(filter)
                            .build()
                            .map_err(invalid)?,
                    ),
                    _ => merged.topic.push(
                        sdk::TopicConfiguration::builder()
                            .id(id)
                            .topic_arn(arn)
                            .events(event)
                            .set_filter(filter)
                            .build()
                            .map_err(invalid)?,
                    ),
                }
            }
        }
        let bridge = wanted
            .and_then(|wanted| wanted.get("EventBridgeConfiguration"))
            .and_then(|bridge| bridge.get("EventBridgeEnabled"));
        merged.bridge = (bridge == Some(&json!(true)))
            .then(|| sdk::EventBridgeConfiguration::builder().build());
        Ok(merged)
    }
}

impl Buckets {
    async fn read_policy(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let Some(bucket) = lookup.physical_id.as_deref().or(lookup.text("Bucket")) else {
            return Ok(None);
        };
        let found = match self.client.get_bucket_policy().bucket(bucket).send().await {
            Ok(found) => found,
            Err(error) => return not_found(from_sdk("GetBucketPolicy", &error)).map(|()| None),
        };
        let document = parsed(&json!(found.policy().unwrap_or_default()));
        Ok(Some(hanging(
            bucket,
            Map::from_iter([
                ("Bucket".to_owned(), json!(bucket)),
                ("PolicyDocument".to_owned(), document),
            ]),
        )))
    }

    async fn put_policy(&self, resource: &Resource) -> Result<String, ApplierError> {
        let bucket = resource.text("Bucket").unwrap_or_default();
        let call = self.client.put_bucket_policy().bucket(bucket);
        let sent = call
            .policy(document(resource.get("PolicyDocument")))
            .send()
            .await;
        sent.map_err(|error| from_sdk("PutBucketPolicy", &error))?;
        Ok(bucket.to_owned())
    }

    async fn read_notification(
        &self,
        lookup: &Lookup,
    ) -> Result<Option<LiveResource>, ApplierError> {
        let by_id = lookup
            .physical_id
            .as_deref()
            .and_then(|id| id.split_once('|'));
        let prefix = notification_prefix(&lookup.mark.stack, &lookup.mark.logical_id);
        let wanted = lookup
            .text("Bucket")
            .map(|bucket| (bucket, prefix.as_str()));
        let Some((bucket, prefix)) = by_id.or(wanted) else {
            return Ok(None);
        };
        if !self.exists(bucket).await? {
            return Ok(None);
        }
        let found = self.notifications(bucket).await?;
        let mut own = found.declared(&|id: &str| !id.starts_with(prefix));
        own.remove("EventBridgeConfiguration");
        if own.is_empty() {
            return Ok(None);
        }
        own.insert("Bucket".to_owned(), json!(bucket));
        Ok(Some(hanging(&format!("{bucket}|{prefix}"), own)))
    }

    async fn put_notification(
        &self,
        bucket: &str,
        prefix: &str,
        wanted: Option<&Value>,
    ) -> Result<(), ApplierError> {
        let current = self.notifications(bucket).await?;
        let mut merged = current.merged(wanted, prefix, &|id: &str| !id.starts_with(prefix))?;
        merged.bridge = current.bridge;
        self.put_notifications(bucket, merged).await
    }
}

fn notification_prefix(stack: &str, logical_id: &str) -> String {
    format!("{NOTIFICATION_PREFIX}{stack}-{logical_id}")
}

fn hanging(physical_id: &str, properties: Map<String, Value>) -> LiveResource {
    LiveResource {
        physical_id: physical_id.to_owned(),
        reference: physical_id.to_owned(),
        attributes: BTreeMap::new(),
        properties,
        tags: None,
        version: String::new(),
        health: Health::new(HealthStatus::Healthy, ""),
        is_settled: true,
    }
}

#[async_trait]
impl Handler for Buckets {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::S3::Bucket", POLICY, NOTIFICATION]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        match lookup.resource_type.as_str() {
            POLICY => self.read_policy(lookup).await,
            NOTIFICATION => self.read_notification(lookup).await,
            _ => self.read_bucket(lookup).await,
        }
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        match resource.resource_type.as_str() {
            POLICY => return self.put_policy(resource).await,
            NOTIFICATION => {
                let bucket = resource.text("Bucket").unwrap_or_default();
                let prefix = notification_prefix(&resource.mark.stack, &resource.mark.logical_id);
                let wanted = Value::Object(resource.properties.clone());
                self.put_notification(bucket, &prefix, Some(&wanted))
                    .await?;
                return Ok(format!("{bucket}|{prefix}"));
            }
            _ => {}
        }
        let bucket = resource.physical_name.clone().unwrap_or_default();
        let place = (self.region != "us-east-1").then(|| {
            sdk::CreateBucketConfiguration::builder()
                .location_constraint(sdk::BucketLocationConstraint::from(self.region.as_str()))
                .build()
        });
        let call = self.client.create_bucket().bucket(&bucket);
        match call.set_create_bucket_configuration(place).send().await {
            Ok(_) => {}
            Err(error) => {
                let error = from_sdk("CreateBucket", &error);
                // Names are global: one that is ours already was made by an earlier attempt.
                if !error.message.contains("BucketAlreadyOwnedByYou") {
                    return Err(error);
                }
            }
        }
        self.set_tags(&bucket, resource, &BTreeMap::new()).await?;
        self.set_all(&bucket, resource, &|name| resource.get(name).is_some())
            .await?;
        Ok(bucket)
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        match resource.resource_type.as_str() {
            POLICY => return self.put_policy(resource).await.map(drop),
            NOTIFICATION => {
                let Some((bucket, prefix)) = live.physical_id.split_once('|') else {
                    return Ok(());
                };
                let wanted = Value::Object(resource.properties.clone());
                return self.put_notification(bucket, prefix, Some(&wanted)).await;
            }
            _ => {}
        }
        let bucket = &live.physical_id;
        if changed.contains("Tags") {
            let current = live.tags.clone().unwrap_or_default();
            self.set_tags(bucket, resource, &current).await?;
        }
        self.set_all(bucket, resource, &|name| changed.contains(name))
            .await
    }

    async fn delete(
        &self,
        resource_type: &str,
        physical_id: &str,
    ) -> Result<Deletion, ApplierError> {
        let gone = |error: ApplierError| not_found(error).map(|()| Deletion::Gone);
        match resource_type {
            POLICY => match self
                .client
                .delete_bucket_policy()
                .bucket(physical_id)
                .send()
                .await
            {
                Ok(_) => Ok(Deletion::Gone),
                Err(error) => gone(from_sdk("DeleteBucketPolicy", &error)),
            },
            NOTIFICATION => {
                let Some((bucket, prefix)) = physical_id.split_once('|') else {
                    return Ok(Deletion::Gone);
                };
                match self.put_notification(bucket, prefix, None).await {
                    Ok(()) => Ok(Deletion::Gone),
                    Err(error) => gone(error),
                }
            }
            _ => match self.client.delete_bucket().bucket(physical_id).send().await {
                Ok(_) => Ok(Deletion::Gone),
                Err(error) => {
                    let error = from_sdk("DeleteBucket", &error);
                    if error.message.contains("BucketNotEmpty") {
                        return Err(error.help(
                            "empty the bucket by hand, or keep it with DeletionPolicy: Retain",
                        ));
                    }
                    gone(error)
                }
            },
        }
    }

    fn normalise(&self, resource_type: &str, properties: &mut Map<String, Value>) {
        let lists = |holder: &mut Map<String, Value>| {
            for (name, _) in KINDS {
                if let Some(Value::Array(list)) = holder.get_mut(*name) {
                    for entry in list.iter_mut() {
                        let rules = entry.pointer_mut("/Filter/S3Key/Rules");
                        for rule in rules.and_then(Value::as_array_mut).into_iter().flatten() {
                            if let Some(name) = text(Some(rule), "Name") {
                                rule["Name"] = json!(name.to_lowercase());
                            }
                        }
                    }
                    list.sort_by_key(Value::to_string);
                }
                if holder.get(*name) == Some(&json!([])) {
                    holder.remove(*name);
                }
            }
        };
        match resource_type {
            POLICY => {
                if let Some(found) = properties.get("PolicyDocument") {
                    let found = parsed(found);
                    properties.insert("PolicyDocument".to_owned(), found);
                }
            }
            NOTIFICATION => lists(properties),
            _ => {
                if let Some(Value::Object(wanted)) = properties.get_mut("NotificationConfiguration")
                {
                    lists(wanted);
                }
            }
        }
    }
}
