//! `AWS::DynamoDB::Table`: one change at a time, one index at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types as sdk;
use aws_types::SdkConfig;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Deadline, Deletion, Handler, LiveResource, Lookup, Resource, from_sdk, settle};
use tidegate_manifest::{Health, HealthStatus};

use crate::shapes::{flags, integer, not_found, text, texts};

/// Longest wait for a table to become active again.
const WAIT: Duration = Duration::from_secs(900);

/// Tables.
#[derive(Debug)]
pub(crate) struct Tables {
    client: Client,
}

fn invalid(error: impl std::fmt::Display) -> ApplierError {
    ApplierError::new(ErrorKind::Invalid, error.to_string())
}

fn keys(value: Option<&Value>) -> Result<Vec<sdk::KeySchemaElement>, ApplierError> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    let made = list.map(|key| {
        let kind = text(Some(key), "KeyType").unwrap_or_default();
        sdk::KeySchemaElement::builder()
            .attribute_name(text(Some(key), "AttributeName").unwrap_or_default())
            .key_type(sdk::KeyType::from(kind.as_str()))
            .build()
            .map_err(invalid)
    });
    made.collect()
}

fn definitions(value: Option<&Value>) -> Result<Vec<sdk::AttributeDefinition>, ApplierError> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    let made = list.map(|one| {
        let kind = text(Some(one), "AttributeType").unwrap_or_default();
        sdk::AttributeDefinition::builder()
            .attribute_name(text(Some(one), "AttributeName").unwrap_or_default())
            .attribute_type(sdk::ScalarAttributeType::from(kind.as_str()))
            .build()
            .map_err(invalid)
    });
    made.collect()
}

fn projection(value: Option<&Value>) -> sdk::Projection {
    let kind = text(value, "ProjectionType");
    let names = texts(value.and_then(|value| value.get("NonKeyAttributes")));
    sdk::Projection::builder()
        .set_projection_type(kind.as_deref().map(sdk::ProjectionType::from))
        .set_non_key_attributes((!names.is_empty()).then_some(names))
        .build()
}

fn throughput(value: Option<&Value>) -> Option<sdk::ProvisionedThroughput> {
    let get = |name: &str| integer(value.and_then(|value| value.get(name)));
    sdk::ProvisionedThroughput::builder()
        .read_capacity_units(get("ReadCapacityUnits")?)
        .write_capacity_units(get("WriteCapacityUnits")?)
        .build()
        .ok()
}

fn stream(value: Option<&Value>) -> Option<sdk::StreamSpecification> {
    let view = text(value, "StreamViewType");
    let builder = sdk::StreamSpecification::builder().stream_enabled(view.is_some());
    let view = view.as_deref().map(sdk::StreamViewType::from);
    builder.set_stream_view_type(view).build().ok()
}

fn encryption(value: Option<&Value>) -> sdk::SseSpecification {
    let enabled = value.and_then(|value| value.get("SSEEnabled"));
    let kind = text(value, "SSEType");
    sdk::SseSpecification::builder()
        .set_enabled(Some(enabled.and_then(Value::as_bool).unwrap_or(false)))
        .set_sse_type(kind.as_deref().map(sdk::SseType::from))
        .set_kms_master_key_id(text(value, "KMSMasterKeyId"))
        .build()
}

fn billing(resource: &Resource) -> sdk::BillingMode {
    match resource.text("BillingMode") {
        Some(mode) => sdk::BillingMode::from(mode),
        None => sdk::BillingMode::Provisioned,
    }
}

/// An index by its name.
fn indexes(value: Option<&Value>) -> BTreeMap<String, Value> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|index| Some((text(Some(index), "IndexName")?, index.clone())))
        .collect()
}

impl Tables {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    async fn describe(&self, name: &str) -> Result<Option<sdk::TableDescription>, ApplierError> {
        match self.client.describe_table().table_name(name).send().await {
            Ok(found) => Ok(found.table),
            Err(error) => not_found(from_sdk("DescribeTable", &error)).map(|()| None),
        }
    }

    async fn active(&self, name: &str) -> Result<sdk::TableDescription, ApplierError> {
        let what = format!("table {name} to be active");
        settle(Deadline::after(WAIT), &what, || async {
            let found = self.describe(name).await?;
            Ok(found.filter(is_active))
        })
        .await
    }

    async fn ttl(&self, name: &str) -> Result<Option<String>, ApplierError> {
        let found = self
            .client
            .describe_time_to_live()
            .table_name(name)
            .send()
            .await;
        let found = found.map_err(|error| from_sdk("DescribeTimeToLive", &error))?;
        let description = found.time_to_live_description();
        let is_on = description
            .and_then(|found| found.time_to_live_status())
            .is_some_and(|status| matches!(status.as_str(), "ENABLED" | "ENABLING"));
        let attribute = description.and_then(|found| found.attribute_name());
        Ok(attribute.filter(|_| is_on).map(str::to_owned))
    }

    async fn is_recoverable(&self, name: &str) -> Result<bool, ApplierError> {
        match self
            .client
            .describe_continuous_backups()
            .table_name(name)
            .send()
            .await
        {
            Ok(found) => {
                let status = found
                    .continuous_backups_description()
                    .and_then(|found| found.point_in_time_recovery_description())
                    .and_then(|found| found.point_in_time_recovery_status());
                Ok(status.is_some_and(|status| status.as_str() == "ENABLED"))
            }
            Err(error) => {
                let error = from_sdk("DescribeContinuousBackups", &error);
                match error.kind {
                    ErrorKind::NotFound | ErrorKind::Invalid => Ok(false),
                    _ => Err(error),
                }
            }
        }
    }

    async fn set_ttl(
        &self,
        name: &str,
        wanted: Option<&Value>,
        before: Option<&Value>,
    ) -> Result<(), ApplierError> {
        let is_on = wanted.and_then(|found| found.get("Enabled")) != Some(&json!(false));
        let attribute = text(wanted, "AttributeName").filter(|_| is_on);
        let before = text(before, "AttributeName");
        if attribute == before {
            return Ok(());
        }
        let Some(name_of) = attribute.clone().or(before) else {
            return Ok(());
        };
        let specification = sdk::TimeToLiveSpecification::builder()
            .enabled(attribute.is_some())
            .attribute_name(name_of)
            .build()
            .map_err(invalid)?;
        let call = self.client.update_time_to_live().table_name(name);
        let sent = call.time_to_live_specification(specification).send().await;
        sent.map(drop)
            .map_err(|error| from_sdk("UpdateTimeToLive", &error))
    }

    async fn set_recovery(&self, name: &str, is_on: bool) -> Result<(), ApplierError> {
        let specification = sdk::PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(is_on)
            .build()
            .map_err(invalid)?;
        let call = self.client.update_continuous_backups().table_name(name);
        let sent = call
            .point_in_time_recovery_specification(specification)
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| from_sdk("UpdateContinuousBackups", &error))
    }

    /// Adds and removes global indexes, one call each.
    async fn set_indexes(
        &self,
        resource: &Resource,
        live: &LiveResource,
    ) -> Result<(), ApplierError> {
        let name = &live.physical_id;
        let wanted = indexes(resource.get("GlobalSecondaryIndexes"));
        let current = indexes(live.properties.get("GlobalSecondaryIndexes"));
        let mut steps = Vec::new();
        for gone in current.keys().filter(|name| !wanted.contains_key(*name)) {
            let action = sdk::DeleteGlobalSecondaryIndexAction::builder().index_name(gone);
            let action = action.build().map_err(invalid)?;
            steps.push(
                sdk::GlobalSecondaryIndexUpdate::builder()
                    .delete(action)
                    .build(),
            );
        }
        for (index, value) in wanted
            .iter()
            .filter(|(name, _)| !current.contains_key(*name))
        {
            let action = sdk::CreateGlobalSecondaryIndexAction::builder()
                .index_name(index)
                .set_key_schema(Some(keys(value.get("KeySchema"))?))
                .projection(projection(value.get("Projection")))
                .set_provisioned_throughput(throughput(value.get("ProvisionedThroughput")))
                .build()
                .map_err(invalid)?;
            steps.push(
                sdk::GlobalSecondaryIndexUpdate::builder()
                    .create(action)
                    .build(),
            );
        }
        for step in steps {
            self.active(name).await?;
            let call = self
                .client
                .update_table()
                .table_name(name)
                .set_attribute_definitions(Some(definitions(resource.get("AttributeDefinitions"))?))
                .global_secondary_index_updates(step);
            let sent = call.send().await;
            sent.map_err(|error| from_sdk("UpdateTable", &error))?;
        }
        Ok(())
    }
}

fn is_active(found: &sdk::TableDescription) -> bool {
    let indexes = found.global_secondary_indexes().iter();
    let mut states = indexes.filter_map(|index| index.index_status());
    found.table_status() == Some(&sdk::TableStatus::Active)
        && states.all(|status| *status == sdk::IndexStatus::Active)
}

fn schema(list: &[sdk::KeySchemaElement]) -> Value {
    let keys = list.iter().map(
        |key| json!({"AttributeName": key.attribute_name(), "KeyType": key.key_type().as_str()}),
    );
    Value::Array(keys.collect())
}

fn projected(found: Option<&sdk::Projection>) -> Value {
    let mut projection = Map::new();
    if let Some(kind) = found.and_then(|found| found.projection_type()) {
        projection.insert("ProjectionType".to_owned(), json!(kind.as_str()));
    }
    let names = found
        .map(aws_sdk_dynamodb::types::Projection::non_key_attributes)
        .unwrap_or_default();
    if !names.is_empty() {
        projection.insert("NonKeyAttributes".to_owned(), json!(names));
    }
    Value::Object(projection)
}

fn declared(found: &sdk::TableDescription) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() && value != json!([]) {
            properties.insert(name.to_owned(), value);
        }
    };
    set("TableName", json!(found.table_name()));
    set("KeySchema", schema(found.key_schema()));
    let mut attributes: Vec<Value> = found
        .attribute_definitions()
        .iter()
        .map(|one| {
            json!({"AttributeName": one.attribute_name(), "AttributeType": one.attribute_type().as_str()})
        })
        .collect();
    attributes.sort_by_key(Value::to_string);
    set("AttributeDefinitions", json!(attributes));
    let mode = found
        .billing_mode_summary()
        .and_then(|found| found.billing_mode());
    let is_on_demand = mode == Some(&sdk::BillingMode::PayPerRequest);
    if is_on_demand {
        set("BillingMode", json!("PAY_PER_REQUEST"));
    } else if let Some(units) = found.provisioned_throughput() {
        set(
            "ProvisionedThroughput",
            json!({"ReadCapacityUnits": units.read_capacity_units(),
                "WriteCapacityUnits": units.write_capacity_units()}),
        );
    }
    let global: Vec<Value> = found
        .global_secondary_indexes()
        .iter()
        .map(|index| {
            let mut made = json!({"IndexName": index.index_name(), "KeySchema": schema(index.key_schema()),
                "Projection": projected(index.projection())});
            if let Some(units) = index.provisioned_throughput().filter(|_| !is_on_demand) {
                made["ProvisionedThroughput"] = json!({"ReadCapacityUnits": units.read_capacity_units(),
                    "WriteCapacityUnits": units.write_capacity_units()});
            }
            made
        })
        .collect();
    set("GlobalSecondaryIndexes", sorted(global));
    let local: Vec<Value> = found
        .local_secondary_indexes()
        .iter()
        .map(|index| {
            json!({"IndexName": index.index_name(), "KeySchema": schema(index.key_schema()),
                "Projection": projected(index.projection())})
        })
        .collect();
    set("LocalSecondaryIndexes", sorted(local));
    let view = found
        .stream_specification()
        .filter(|found| found.stream_enabled())
        .and_then(|found| found.stream_view_type());
    if let Some(view) = view {
        set(
            "StreamSpecification",
            json!({"StreamViewType": view.as_str()}),
        );
    }
    if found.deletion_protection_enabled() == Some(true) {
        set("DeletionProtectionEnabled", json!(true));
    }
    let class = found
        .table_class_summary()
        .and_then(|found| found.table_class());
    if let Some(class) = class.filter(|class| class.as_str() != "STANDARD") {
        set("TableClass", json!(class.as_str()));
    }
    if let Some(found) = found.sse_description() {
        let is_on = found
            .status()
            .is_some_and(|s| matches!(s.as_str(), "ENABLED" | "ENABLING"));
        if is_on {
            set("SSESpecification", json!({"SSEEnabled": true}));
        }
    }
    properties
}

fn sorted(mut list: Vec<Value>) -> Value {
    list.sort_by_key(|index| text(Some(index), "IndexName"));
    Value::Array(list)
}

#[async_trait]
impl Handler for Tables {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::DynamoDB::Table"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let name = lookup
            .physical_id
            .as_deref()
            .or(lookup.physical_name.as_deref());
        let Some(name) = name else {
            return Ok(None);
        };
        let Some(found) = self.describe(name).await? else {
            return Ok(None);
        };
        let mut properties = declared(&found);
        let is_settled = is_active(&found);
        if is_settled {
            if let Some(attribute) = self.ttl(name).await? {
                let ttl = json!({"AttributeName": attribute, "Enabled": true});
                properties.insert("TimeToLiveSpecification".to_owned(), ttl);
            }
            if self.is_recoverable(name).await? {
                let recovery = json!({"PointInTimeRecoveryEnabled": true});
                properties.insert("PointInTimeRecoverySpecification".to_owned(), recovery);
            }
        }
        let wants_key = lookup.properties.get("SSESpecification");
        if properties.contains_key("SSESpecification")
            && let Some(wanted) = wants_key
        {
            properties.insert("SSESpecification".to_owned(), wanted.clone());
        }
        for name in [
            "ContributorInsightsSpecification",
            "KinesisStreamSpecification",
            "ResourcePolicy",
            "OnDemandThroughput",
            "WarmThroughput",
        ] {
            if let Some(value) = lookup.properties.get(name) {
                properties.insert(name.to_owned(), value.clone());
            }
        }
        let arn = found.table_arn().unwrap_or_default().to_owned();
        let tags = self
            .client
            .list_tags_of_resource()
            .resource_arn(&arn)
            .send()
            .await;
        let tags = tags.map_err(|error| from_sdk("ListTagsOfResource", &error))?;
        let tags = tags
            .tags()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
        let status = found.table_status().map(sdk::TableStatus::as_str);
        let health = if is_settled {
            Health::new(HealthStatus::Healthy, "")
        } else {
            let status = status.unwrap_or_default();
            Health::new(HealthStatus::Progressing, format!("the table is {status}"))
        };
        Ok(Some(LiveResource {
            physical_id: name.to_owned(),
            reference: name.to_owned(),
            attributes: BTreeMap::from([
                ("Arn".to_owned(), json!(arn)),
                ("StreamArn".to_owned(), json!(found.latest_stream_arn())),
            ]),
            properties,
            tags: Some(tags.collect()),
            version: String::new(),
            health,
            is_settled,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let name = resource.physical_name.clone().unwrap_or_default();
        let global = indexes(resource.get("GlobalSecondaryIndexes"));
        let global: Result<Vec<_>, ApplierError> = global
            .iter()
            .map(|(index, value)| {
                sdk::GlobalSecondaryIndex::builder()
                    .index_name(index)
                    .set_key_schema(Some(keys(value.get("KeySchema"))?))
                    .projection(projection(value.get("Projection")))
                    .set_provisioned_throughput(throughput(value.get("ProvisionedThroughput")))
                    .build()
                    .map_err(invalid)
            })
            .collect();
        let local = indexes(resource.get("LocalSecondaryIndexes"));
        let local: Result<Vec<_>, ApplierError> = local
            .iter()
            .map(|(index, value)| {
                sdk::LocalSecondaryIndex::builder()
                    .index_name(index)
                    .set_key_schema(Some(keys(value.get("KeySchema"))?))
                    .projection(projection(value.get("Projection")))
                    .build()
                    .map_err(invalid)
            })
            .collect();
        let (global, local) = (global?, local?);
        let tags = resource.all_tags();
        let tags = tags
            .into_iter()
            .filter_map(|(key, value)| sdk::Tag::builder().key(key).value(value).build().ok());
        let class = resource.text("TableClass");
        let call = self
            .client
            .create_table()
            .table_name(&name)
            .set_key_schema(Some(keys(resource.get("KeySchema"))?))
            .set_attribute_definitions(Some(definitions(resource.get("AttributeDefinitions"))?))
            .billing_mode(billing(resource))
            .set_provisioned_throughput(throughput(resource.get("ProvisionedThroughput")))
            .set_global_secondary_indexes((!global.is_empty()).then_some(global))
            .set_local_secondary_indexes((!local.is_empty()).then_some(local))
            .set_stream_specification(
                resource
                    .get("StreamSpecification")
                    .and_then(|found| stream(Some(found))),
            )
            .set_sse_specification(
                resource
                    .get("SSESpecification")
                    .map(|found| encryption(Some(found))),
            )
            .set_deletion_protection_enabled(resource.flag("DeletionProtectionEnabled"))
            .set_table_class(class.map(sdk::TableClass::from))
            .set_tags(Some(tags.collect()));
        let sent = call.send().await;
        sent.map_err(|error| from_sdk("CreateTable", &error))?;
        self.active(&name).await?;
        self.set_ttl(&name, resource.get("TimeToLiveSpecification"), None)
            .await?;
        let recovery = resource.get("PointInTimeRecoverySpecification");
        let recovery = recovery.and_then(|found| found.get("PointInTimeRecoveryEnabled"));
        if recovery == Some(&json!(true)) {
            self.set_recovery(&name, true).await?;
        }
        Ok(name)
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let name = &live.physical_id;
        let is = |property: &str| changed.contains(property);
        if is("BillingMode") || is("ProvisionedThroughput") {
            self.active(name).await?;
            let call = self.client.update_table().table_name(name);
            let call = call.billing_mode(billing(resource));
            let units = throughput(resource.get("ProvisionedThroughput"));
            let sent = call.set_provisioned_throughput(units).send().await;
            sent.map_err(|error| from_sdk("UpdateTable", &error))?;
        }
        if is("StreamSpecification") {
            self.active(name).await?;
            let call = self.client.update_table().table_name(name);
            let specification = stream(resource.get("StreamSpecification"));
            let sent = call.set_stream_specification(specification).send().await;
            sent.map_err(|error| from_sdk("UpdateTable", &error))?;
        }
        if is("DeletionProtectionEnabled") || is("TableClass") {
            self.active(name).await?;
            let class = resource.text("TableClass").unwrap_or("STANDARD");
            let call = self.client.update_table().table_name(name);
            let protects = resource.flag("DeletionProtectionEnabled").unwrap_or(false);
            let call = call.deletion_protection_enabled(protects);
            let class = is("TableClass").then(|| sdk::TableClass::from(class));
            let sent = call.set_table_class(class).send().await;
            sent.map_err(|error| from_sdk("UpdateTable", &error))?;
        }
        if is("SSESpecification") {
            self.active(name).await?;
            let call = self.client.update_table().table_name(name);
            let wanted = encryption(resource.get("SSESpecification"));
            let sent = call.sse_specification(wanted).send().await;
            sent.map_err(|error| from_sdk("UpdateTable", &error))?;
        }
        if is("GlobalSecondaryIndexes") {
            self.set_indexes(resource, live).await?;
        }
        if is("TimeToLiveSpecification") {
            let before = live.properties.get("TimeToLiveSpecification");
            self.set_ttl(name, resource.get("TimeToLiveSpecification"), before)
                .await?;
        }
        if is("PointInTimeRecoverySpecification") {
            let wanted = resource.get("PointInTimeRecoverySpecification");
            let wanted = wanted.and_then(|found| found.get("PointInTimeRecoveryEnabled"));
            self.set_recovery(name, wanted == Some(&json!(true)))
                .await?;
        }
        if is("Tags") {
            let arn = live.attributes.get("Arn").and_then(Value::as_str);
            let tags = resource.all_tags();
            let tags = tags
                .into_iter()
                .filter_map(|(key, value)| sdk::Tag::builder().key(key).value(value).build().ok());
            let call = self
                .client
                .tag_resource()
                .resource_arn(arn.unwrap_or_default());
            let sent = call.set_tags(Some(tags.collect())).send().await;
            sent.map_err(|error| from_sdk("TagResource", &error))?;
            if !resource.removed_tags.is_empty() {
                let keys = Some(resource.removed_tags.iter().cloned().collect());
                let call = self.client.untag_resource();
                let call = call.resource_arn(arn.unwrap_or_default());
                let sent = call.set_tag_keys(keys).send().await;
                sent.map_err(|error| from_sdk("UntagResource", &error))?;
            }
        }
        Ok(())
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        match self
            .client
            .delete_table()
            .table_name(physical_id)
            .send()
            .await
        {
            Ok(_) => {}
            Err(error) => {
                let error = from_sdk("DeleteTable", &error);
                match error.kind {
                    ErrorKind::NotFound => return Ok(Deletion::Gone),
                    ErrorKind::Conflict => return Ok(Deletion::Going),
                    _ => return Err(error),
                }
            }
        }
        match self.describe(physical_id).await? {
            Some(_) => Ok(Deletion::Going),
            None => Ok(Deletion::Gone),
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        flags(properties, &["DeletionProtectionEnabled"]);
        if let Some(Value::Array(list)) = properties.get_mut("AttributeDefinitions") {
            list.sort_by_key(Value::to_string);
        }
        for name in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
            if let Some(Value::Array(list)) = properties.get_mut(name) {
                list.sort_by_key(|index| text(Some(index), "IndexName"));
            }
        }
        let is_on_demand = properties.get("BillingMode") == Some(&json!("PAY_PER_REQUEST"));
        if is_on_demand {
            properties.remove("ProvisionedThroughput");
        } else {
            properties.remove("BillingMode");
        }
        let off = [
            (
                "PointInTimeRecoverySpecification",
                "PointInTimeRecoveryEnabled",
            ),
            ("SSESpecification", "SSEEnabled"),
            ("TimeToLiveSpecification", "Enabled"),
        ];
        for (name, flag) in off {
            let is_off =
                properties.get(name).and_then(|found| found.get(flag)) == Some(&json!(false));
            if is_off {
                properties.remove(name);
            }
        }
        if let Some(Value::Object(units)) = properties.get_mut("ProvisionedThroughput") {
            for value in units.values_mut() {
                if let Some(number) = integer(Some(value)) {
                    *value = json!(number);
                }
            }
        }
    }
}
