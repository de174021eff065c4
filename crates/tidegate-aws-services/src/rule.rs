//! `AWS::Events::Rule` with its targets, and `AWS::Events::EventBus`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types as sdk;
use aws_types::SdkConfig;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::shapes::{document, integer, not_found, parsed, text};

const BUS: &str = "AWS::Events::EventBus";

/// Rules and buses.
#[derive(Debug)]
pub(crate) struct Rules {
    client: Client,
}

fn invalid(error: impl std::fmt::Display) -> ApplierError {
    ApplierError::new(ErrorKind::Invalid, error.to_string())
}

/// The bus in a name or an ARN; the default one is nameless.
fn bus_name(text: &str) -> Option<String> {
    let name = text.rsplit('/').next().unwrap_or(text);
    (name != "default" && !name.is_empty()).then(|| name.to_owned())
}

/// `name`, or `bus|name`.
fn identity(name: &str, bus: Option<&str>) -> String {
    match bus {
        Some(bus) => format!("{bus}|{name}"),
        None => name.to_owned(),
    }
}

fn parts(physical_id: &str) -> (Option<String>, &str) {
    match physical_id.split_once('|') {
        Some((bus, name)) => (Some(bus.to_owned()), name),
        None => (None, physical_id),
    }
}

/// Fields of a target that are carried over.
fn target(value: &Value) -> Result<sdk::Target, ApplierError> {
    let transformer = value.get("InputTransformer").map(|found| {
        let paths = found.get("InputPathsMap").and_then(Value::as_object);
        let paths = paths
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
        sdk::InputTransformer::builder()
            .set_input_paths_map(Some(paths.collect()))
            .input_template(text(Some(found), "InputTemplate").unwrap_or_default())
            .build()
            .map_err(invalid)
    });
    let retry = value.get("RetryPolicy").map(|found| {
        let get = |name: &str| integer(found.get(name)).and_then(|n| i32::try_from(n).ok());
        sdk::RetryPolicy::builder()
            .set_maximum_retry_attempts(get("MaximumRetryAttempts"))
            .set_maximum_event_age_in_seconds(get("MaximumEventAgeInSeconds"))
            .build()
    });
    let queue = value.get("DeadLetterConfig").map(|found| {
        sdk::DeadLetterConfig::builder()
            .set_arn(text(Some(found), "Arn"))
            .build()
    });
    let kinesis = value.get("KinesisParameters").map(|found| {
        sdk::KinesisParameters::builder()
            .partition_key_path(text(Some(found), "PartitionKeyPath").unwrap_or_default())
            .build()
            .map_err(invalid)
    });
    let sqs = value.get("SqsParameters").map(|found| {
        sdk::SqsParameters::builder()
            .set_message_group_id(text(Some(found), "MessageGroupId"))
            .build()
    });
    sdk::Target::builder()
        .id(text(Some(value), "Id").unwrap_or_default())
        .arn(text(Some(value), "Arn").unwrap_or_default())
        .set_role_arn(text(Some(value), "RoleArn"))
        .set_input(text(Some(value), "Input"))
        .set_input_path(text(Some(value), "InputPath"))
        .set_input_transformer(transformer.transpose()?)
        .set_retry_policy(retry)
        .set_dead_letter_config(queue)
        .set_kinesis_parameters(kinesis.transpose()?)
        .set_sqs_parameters(sqs)
        .build()
        .map_err(invalid)
}

fn declared(found: &sdk::Target) -> Value {
    let mut value = json!({"Id": found.id(), "Arn": found.arn()});
    let mut set = |name: &str, text: Option<&str>| {
        if let Some(text) = text {
            value[name] = json!(text);
        }
    };
    set("RoleArn", found.role_arn());
    set("Input", found.input());
    set("InputPath", found.input_path());
    if let Some(transformer) = found.input_transformer() {
        let mut made = json!({"InputTemplate": transformer.input_template()});
        if let Some(paths) = transformer
            .input_paths_map()
            .filter(|paths| !paths.is_empty())
        {
            made["InputPathsMap"] = json!(paths);
        }
        value["InputTransformer"] = made;
    }
    if let Some(retry) = found.retry_policy() {
        let mut made = Map::new();
        if let Some(count) = retry.maximum_retry_attempts() {
            made.insert("MaximumRetryAttempts".to_owned(), json!(count));
        }
        if let Some(age) = retry.maximum_event_age_in_seconds() {
            made.insert("MaximumEventAgeInSeconds".to_owned(), json!(age));
        }
        value["RetryPolicy"] = Value::Object(made);
    }
    if let Some(arn) = found.dead_letter_config().and_then(|queue| queue.arn()) {
        value["DeadLetterConfig"] = json!({"Arn": arn});
    }
    if let Some(kinesis) = found.kinesis_parameters() {
        value["KinesisParameters"] = json!({"PartitionKeyPath": kinesis.partition_key_path()});
    }
    if let Some(group) = found
        .sqs_parameters()
        .and_then(|sqs| sqs.message_group_id())
    {
        value["SqsParameters"] = json!({"MessageGroupId": group});
    }
    value
}

fn tags(resource: &Resource) -> Vec<sdk::Tag> {
    let all = resource.all_tags();
    let made = all
        .into_iter()
        .filter_map(|(key, value)| sdk::Tag::builder().key(key).value(value).build().ok());
    made.collect()
}

impl Rules {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    async fn tags_of(&self, arn: &str) -> Result<BTreeMap<String, String>, ApplierError> {
        let found = self
            .client
            .list_tags_for_resource()
            .resource_arn(arn)
            .send()
            .await;
        let found = found.map_err(|error| from_sdk("ListTagsForResource", &error))?;
        Ok(found
            .tags()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
            .collect())
    }

    async fn targets(
        &self,
        name: &str,
        bus: Option<&str>,
    ) -> Result<Vec<sdk::Target>, ApplierError> {
        let call = self.client.list_targets_by_rule().rule(name);
        let found = call.set_event_bus_name(bus.map(str::to_owned)).send().await;
        let found = found.map_err(|error| from_sdk("ListTargetsByRule", &error))?;
        Ok(found.targets.unwrap_or_default())
    }

    async fn read_rule(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let wanted_bus = lookup.text("EventBusName").and_then(bus_name);
        let named = lookup
            .physical_name
            .as_ref()
            .map(|name| identity(name, wanted_bus.as_deref()));
        let Some(physical_id) = lookup.physical_id.clone().or(named) else {
            return Ok(None);
        };
        let (bus, name) = parts(&physical_id);
        let call = self.client.describe_rule().name(name);
        let found = match call.set_event_bus_name(bus.clone()).send().await {
            Ok(found) => found,
            Err(error) => return not_found(from_sdk("DescribeRule", &error)).map(|()| None),
        };
        let mut properties = Map::from_iter([("Name".to_owned(), json!(name))]);
        if let Some(bus) = &bus {
            properties.insert("EventBusName".to_owned(), json!(bus));
        }
        for (property, value) in [
            ("Description", found.description()),
            ("ScheduleExpression", found.schedule_expression()),
            ("RoleArn", found.role_arn()),
        ] {
            if let Some(text) = value.filter(|text| !text.is_empty()) {
                properties.insert(property.to_owned(), json!(text));
            }
        }
        if let Some(text) = found.event_pattern().filter(|text| !text.is_empty()) {
            properties.insert("EventPattern".to_owned(), parsed(&json!(text)));
        }
        if let Some(state) = found.state().filter(|state| state.as_str() != "ENABLED") {
            properties.insert("State".to_owned(), json!(state.as_str()));
        }
        let targets = self.targets(name, bus.as_deref()).await?;
        let mut targets: Vec<Value> = targets.iter().map(declared).collect();
        targets.sort_by_key(|target| text(Some(target), "Id"));
        if !targets.is_empty() {
            properties.insert("Targets".to_owned(), json!(targets));
        }
        let arn = found.arn().unwrap_or_default().to_owned();
        Ok(Some(LiveResource {
            reference: name.to_owned(),
            attributes: BTreeMap::from([("Arn".to_owned(), json!(arn))]),
            properties,
            tags: Some(self.tags_of(&arn).await?),
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
            physical_id,
        }))
    }

    async fn put_rule(&self, resource: &Resource, is_new: bool) -> Result<String, ApplierError> {
        let name = resource.physical_name.clone().unwrap_or_default();
        let bus = resource.text("EventBusName").and_then(bus_name);
        let pattern = resource
            .get("EventPattern")
            .map(|found| document(Some(found)));
        let state = resource.text("State").unwrap_or("ENABLED");
        let call = self
            .client
            .put_rule()
            .name(&name)
            .set_event_bus_name(bus.clone())
            .set_description(resource.text("Description").map(str::to_owned))
            .set_schedule_expression(resource.text("ScheduleExpression").map(str::to_owned))
            .set_role_arn(resource.text("RoleArn").map(str::to_owned))
            .set_event_pattern(pattern)
            .state(sdk::RuleState::from(state))
            .set_tags(is_new.then(|| tags(resource)));
        let sent = call.send().await;
        sent.map_err(|error| from_sdk("PutRule", &error))?;
        self.set_targets(resource, &name, bus.as_deref()).await?;
        Ok(identity(&name, bus.as_deref()))
    }

    async fn set_targets(
        &self,
        resource: &Resource,
        name: &str,
        bus: Option<&str>,
    ) -> Result<(), ApplierError> {
        let list = resource.get("Targets").and_then(Value::as_array);
        let wanted: Result<Vec<sdk::Target>, ApplierError> =
            list.into_iter().flatten().map(target).collect();
        let wanted = wanted?;
        let ids: BTreeSet<String> = wanted.iter().map(|target| target.id().to_owned()).collect();
        let current = self.targets(name, bus).await?;
        let gone: Vec<String> = current
            .iter()
            .map(|target| target.id().to_owned())
            .filter(|id| !ids.contains(id))
            .collect();
        if !gone.is_empty() {
            let call = self.client.remove_targets().rule(name);
            let call = call.set_event_bus_name(bus.map(str::to_owned));
            let sent = call.set_ids(Some(gone)).send().await;
            sent.map_err(|error| from_sdk("RemoveTargets", &error))?;
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let call = self.client.put_targets().rule(name);
        let call = call.set_event_bus_name(bus.map(str::to_owned));
        let sent = call.set_targets(Some(wanted)).send().await;
        let sent = sent.map_err(|error| from_sdk("PutTargets", &error))?;
        match sent.failed_entries().first() {
            Some(failed) => {
                let (code, message) = (failed.error_code(), failed.error_message());
                let text = format!(
                    "{}: {}",
                    code.unwrap_or_default(),
                    message.unwrap_or_default()
                );
                Err(ApplierError::new(ErrorKind::Invalid, text))
            }
            None => Ok(()),
        }
    }

    async fn read_bus(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let name = lookup
            .physical_id
            .as_deref()
            .or(lookup.physical_name.as_deref());
        let Some(name) = name else {
            return Ok(None);
        };
        let found = match self.client.describe_event_bus().name(name).send().await {
            Ok(found) => found,
            Err(error) => return not_found(from_sdk("DescribeEventBus", &error)).map(|()| None),
        };
        let arn = found.arn().unwrap_or_default().to_owned();
        let mut properties = Map::from_iter([("Name".to_owned(), json!(name))]);
        if let Some(text) = found.description().filter(|text| !text.is_empty()) {
            properties.insert("Description".to_owned(), json!(text));
        }
        for name in [
            "EventSourceName",
            "KmsKeyIdentifier",
            "Policy",
            "DeadLetterConfig",
            "LogConfig",
        ] {
            if let Some(value) = lookup.properties.get(name) {
                properties.insert(name.to_owned(), value.clone());
            }
        }
        Ok(Some(LiveResource {
            physical_id: name.to_owned(),
            reference: name.to_owned(),
            attributes: BTreeMap::from([
                ("Arn".to_owned(), json!(arn)),
                ("Name".to_owned(), json!(name)),
            ]),
            properties,
            tags: Some(self.tags_of(&arn).await?),
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }
}

#[async_trait]
impl Handler for Rules {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Events::Rule", BUS]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        if lookup.resource_type == BUS {
            self.read_bus(lookup).await
        } else {
            self.read_rule(lookup).await
        }
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        if resource.resource_type != BUS {
            return self.put_rule(resource, true).await;
        }
        let name = resource.physical_name.clone().unwrap_or_default();
        let call = self
            .client
            .create_event_bus()
            .name(&name)
            .set_description(resource.text("Description").map(str::to_owned))
            .set_event_source_name(resource.text("EventSourceName").map(str::to_owned))
            .set_tags(Some(tags(resource)));
        let sent = call.send().await;
        sent.map_err(|error| from_sdk("CreateEventBus", &error))?;
        Ok(name)
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        if resource.resource_type != BUS && changed.iter().any(|name| name != "Tags") {
            self.put_rule(resource, false).await?;
        }
        if resource.resource_type == BUS && changed.contains("Description") {
            let call = self.client.update_event_bus().name(&live.physical_id);
            let text = resource.text("Description").unwrap_or_default();
            let sent = call.description(text).send().await;
            sent.map_err(|error| from_sdk("UpdateEventBus", &error))?;
        }
        if changed.contains("Tags") {
            let arn = live.attributes.get("Arn").and_then(Value::as_str);
            let call = self
                .client
                .tag_resource()
                .resource_arn(arn.unwrap_or_default());
            let sent = call.set_tags(Some(tags(resource))).send().await;
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

    async fn delete(
        &self,
        resource_type: &str,
        physical_id: &str,
    ) -> Result<Deletion, ApplierError> {
        let gone = |error: ApplierError| not_found(error).map(|()| Deletion::Gone);
        if resource_type == BUS {
            return match self
                .client
                .delete_event_bus()
                .name(physical_id)
                .send()
                .await
            {
                Ok(_) => Ok(Deletion::Gone),
                Err(error) => gone(from_sdk("DeleteEventBus", &error)),
            };
        }
        let (bus, name) = parts(physical_id);
        match self.targets(name, bus.as_deref()).await {
            Ok(targets) if !targets.is_empty() => {
                let ids = targets
                    .iter()
                    .map(|target| target.id().to_owned())
                    .collect();
                let call = self.client.remove_targets().rule(name);
                let call = call.set_event_bus_name(bus.clone());
                let sent = call.set_ids(Some(ids)).send().await;
                sent.map_err(|error| from_sdk("RemoveTargets", &error))?;
            }
            Ok(_) => {}
            Err(error) => not_found(error)?,
        }
        let call = self.client.delete_rule().name(name);
        match call.set_event_bus_name(bus).send().await {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => gone(from_sdk("DeleteRule", &error)),
        }
    }

    fn normalise(&self, resource_type: &str, properties: &mut Map<String, Value>) {
        if resource_type == BUS {
            return;
        }
        match properties
            .get("EventBusName")
            .and_then(Value::as_str)
            .map(bus_name)
        {
            Some(Some(bus)) => {
                properties.insert("EventBusName".to_owned(), json!(bus));
            }
            Some(None) => {
                properties.remove("EventBusName");
            }
            None => {}
        }
        if properties.get("State") == Some(&json!("ENABLED")) {
            properties.remove("State");
        }
        if let Some(found) = properties.get("EventPattern") {
            let found = parsed(found);
            properties.insert("EventPattern".to_owned(), found);
        }
        if let Some(Value::Array(list)) = properties.get_mut("Targets") {
            list.sort_by_key(|target| text(Some(target), "Id"));
        }
        if properties.get("Targets") == Some(&json!([])) {
            properties.remove("Targets");
        }
    }
}
