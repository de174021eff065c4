//! `AWS::Lambda::EventSourceMapping`: what binds a stream, a queue or a topic to a function.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::operation::get_event_source_mapping::GetEventSourceMappingOutput;
use aws_sdk_lambda::types as sdk;
use aws_smithy_types::DateTime;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{
    Deadline, Deletion, Handler, LiveResource, Lookup, Resource, TAG_ID, from_sdk, retry,
};
use tidegate_manifest::{Health, HealthStatus};

/// Longest wait for a role, or for a change that is under way.
const WAIT: Duration = Duration::from_secs(300);
/// What AWS says while a role or a source is not yet known everywhere.
const DELAYS: &[&str] = &[
    "cannot be assumed by Lambda",
    "execution role does not have permissions",
    "ensure the role can perform",
    "Stream not found",
    "ResourceInUseException",
];
/// The key under which the service has Kafka's servers.
const SERVERS: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// Mappings.
#[derive(Debug)]
pub(crate) struct Mappings {
    client: Client,
}

fn is_delay(error: &ApplierError) -> bool {
    DELAYS.iter().any(|words| error.message.contains(words))
}

fn integer(value: Option<&Value>) -> Option<i32> {
    match value? {
        Value::Number(number) => number.as_i64().and_then(|n| i32::try_from(n).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn flag(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text == "true" => Some(true),
        Value::String(text) if text == "false" => Some(false),
        _ => None,
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

/// Polling of streams differs from that of queues in what is the default.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Stream,
    Queue,
    Kafka,
    Other,
}

fn source(properties: &Map<String, Value>) -> Source {
    if properties.contains_key("SelfManagedEventSource") {
        return Source::Kafka;
    }
    let arn = properties.get("EventSourceArn").and_then(Value::as_str);
    match arn.and_then(|arn| arn.split(':').nth(2)) {
        Some("kinesis" | "dynamodb") => Source::Stream,
        Some("sqs") => Source::Queue,
        Some("kafka") => Source::Kafka,
        _ => Source::Other,
    }
}

fn batch_default(source: Source) -> i32 {
    match source {
        Source::Queue => 10,
        Source::Stream | Source::Kafka | Source::Other => 100,
    }
}

fn destination(value: Option<&Value>) -> sdk::DestinationConfig {
    let arn = value
        .and_then(|value| value.get("OnFailure"))
        .and_then(|on| text(on, "Destination"));
    let failure = sdk::OnFailure::builder().set_destination(arn).build();
    sdk::DestinationConfig::builder()
        .on_failure(failure)
        .build()
}

fn filters(value: Option<&Value>) -> sdk::FilterCriteria {
    let list = value
        .and_then(|value| value.get("Filters"))
        .and_then(Value::as_array);
    let made = list.into_iter().flatten().map(|filter| {
        let pattern = match filter.get("Pattern") {
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
            None => None,
        };
        sdk::Filter::builder().set_pattern(pattern).build()
    });
    sdk::FilterCriteria::builder()
        .set_filters(Some(made.collect()))
        .build()
}

fn accesses(value: Option<&Value>) -> Vec<sdk::SourceAccessConfiguration> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    let made = list.map(|one| {
        let kind = text(one, "Type");
        sdk::SourceAccessConfiguration::builder()
            .set_type(kind.as_deref().map(sdk::SourceAccessType::from))
            .set_uri(text(one, "URI"))
            .build()
    });
    made.collect()
}

fn responses(value: Option<&Value>) -> Vec<sdk::FunctionResponseType> {
    let names = texts(value);
    names
        .iter()
        .map(|name| sdk::FunctionResponseType::from(name.as_str()))
        .collect()
}

fn scaling(value: Option<&Value>) -> sdk::ScalingConfig {
    let count = integer(value.and_then(|value| value.get("MaximumConcurrency")));
    sdk::ScalingConfig::builder()
        .set_maximum_concurrency(count)
        .build()
}

fn pollers(value: Option<&Value>) -> sdk::ProvisionedPollerConfig {
    let get = |name: &str| integer(value.and_then(|value| value.get(name)));
    sdk::ProvisionedPollerConfig::builder()
        .set_minimum_pollers(get("MinimumPollers"))
        .set_maximum_pollers(get("MaximumPollers"))
        .build()
}

fn metrics(value: Option<&Value>) -> sdk::EventSourceMappingMetricsConfig {
    let names = texts(value.and_then(|value| value.get("Metrics")));
    let made = names
        .iter()
        .map(|name| sdk::EventSourceMappingMetric::from(name.as_str()));
    sdk::EventSourceMappingMetricsConfig::builder()
        .set_metrics(Some(made.collect()))
        .build()
}

fn documents(value: Option<&Value>) -> sdk::DocumentDbEventSourceConfig {
    let get = |name: &str| value.and_then(|value| text(value, name));
    let full = get("FullDocument");
    sdk::DocumentDbEventSourceConfig::builder()
        .set_database_name(get("DatabaseName"))
        .set_collection_name(get("CollectionName"))
        .set_full_document(full.as_deref().map(sdk::FullDocument::from))
        .build()
}

/// The function in a name or an ARN, with its alias.
fn function(text: &str) -> String {
    match text.split_once(":function:") {
        Some((_, rest)) => rest.to_owned(),
        None => text.to_owned(),
    }
}

impl Mappings {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Finds a mapping by what it binds, and by the mark that it bears.
    async fn find(&self, lookup: &Lookup) -> Result<Option<String>, ApplierError> {
        let name = lookup.text("FunctionName").map(function);
        let Some(name) = name else {
            return Ok(None);
        };
        let mut pages = self
            .client
            .list_event_source_mappings()
            .function_name(&name)
            .set_event_source_arn(lookup.text("EventSourceArn").map(str::to_owned))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let error = from_sdk("ListEventSourceMappings", &error);
                    if error.kind == ErrorKind::NotFound {
                        return Ok(None);
                    }
                    return Err(error);
                }
            };
            for mapping in page.event_source_mappings() {
                let id = mapping.uuid().unwrap_or_default();
                let arn = mapping.event_source_mapping_arn().unwrap_or_default();
                let tags = self.tags(arn).await?;
                let is_ours = tags.get(TAG_ID) == Some(&lookup.mark.id());
                let is_same_kafka = lookup.text("EventSourceArn").is_some()
                    || texts(lookup.properties.get("Topics")) == mapping.topics();
                if is_ours || (!tags.contains_key(TAG_ID) && is_same_kafka) {
                    return Ok(Some(id.to_owned()));
                }
            }
        }
        Ok(None)
    }

    async fn tags(&self, arn: &str) -> Result<BTreeMap<String, String>, ApplierError> {
        if arn.is_empty() {
            return Ok(BTreeMap::new());
        }
        match self.client.list_tags().resource(arn).send().await {
            Ok(found) => {
                let tags: HashMap<String, String> = found.tags.unwrap_or_default();
                Ok(tags.into_iter().collect())
            }
            Err(error) => {
                let error = from_sdk("ListTags", &error);
                match error.kind {
                    // Emulators that have no tags on mappings.
                    ErrorKind::NotFound | ErrorKind::Invalid => Ok(BTreeMap::new()),
                    _ => Err(error),
                }
            }
        }
    }

    async fn get(&self, id: &str) -> Result<Option<GetEventSourceMappingOutput>, ApplierError> {
        match self.client.get_event_source_mapping().uuid(id).send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                let error = from_sdk("GetEventSourceMapping", &error);
                if error.kind == ErrorKind::NotFound {
                    return Ok(None);
                }
                Err(error)
            }
        }
    }
}

fn health(state: &str, last: &str, reason: &str) -> Health {
    match state {
        "Enabled" if last.starts_with("PROBLEM") => Health::new(HealthStatus::Degraded, last),
        "Enabled" | "Disabled" => Health::new(HealthStatus::Healthy, ""),
        other => Health::new(HealthStatus::Progressing, format!("{other}: {reason}")),
    }
}

/// A mapping as a template would declare it, defaults left out.
fn declared(found: &GetEventSourceMappingOutput) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut set = |name: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !is_empty {
            properties.insert(name.to_owned(), value);
        }
    };
    set("FunctionName", json!(found.function_arn().map(function)));
    set("EventSourceArn", json!(found.event_source_arn()));
    set(
        "StartingPosition",
        json!(
            found
                .starting_position()
                .map(aws_sdk_lambda::types::EventSourcePosition::as_str)
        ),
    );
    set(
        "StartingPositionTimestamp",
        json!(
            found
                .starting_position_timestamp()
                .map(DateTime::as_secs_f64)
        ),
    );
    set("BatchSize", json!(found.batch_size()));
    set(
        "MaximumBatchingWindowInSeconds",
        json!(
            found
                .maximum_batching_window_in_seconds()
                .filter(|n| *n != 0)
        ),
    );
    set(
        "ParallelizationFactor",
        json!(found.parallelization_factor().filter(|n| *n != 1)),
    );
    set(
        "MaximumRetryAttempts",
        json!(found.maximum_retry_attempts().filter(|n| *n != -1)),
    );
    set(
        "MaximumRecordAgeInSeconds",
        json!(found.maximum_record_age_in_seconds().filter(|n| *n != -1)),
    );
    set(
        "TumblingWindowInSeconds",
        json!(found.tumbling_window_in_seconds().filter(|n| *n != 0)),
    );
    set(
        "BisectBatchOnFunctionError",
        json!(found.bisect_batch_on_function_error().filter(|flag| *flag)),
    );
    let names: Vec<&str> = found
        .function_response_types()
        .iter()
        .map(aws_sdk_lambda::types::FunctionResponseType::as_str)
        .collect();
    set("FunctionResponseTypes", json!(names));
    let failure = found
        .destination_config()
        .and_then(|config| config.on_failure())
        .and_then(|on| on.destination());
    if let Some(arn) = failure.filter(|arn| !arn.is_empty()) {
        set(
            "DestinationConfig",
            json!({"OnFailure": {"Destination": arn}}),
        );
    }
    let patterns: Vec<Value> = found
        .filter_criteria()
        .map(aws_sdk_lambda::types::FilterCriteria::filters)
        .unwrap_or_default()
        .iter()
        .map(|filter| json!({"Pattern": filter.pattern()}))
        .collect();
    if !patterns.is_empty() {
        set("FilterCriteria", json!({"Filters": patterns}));
    }
    set("KmsKeyArn", json!(found.kms_key_arn()));
    set("Topics", json!(found.topics()));
    set("Queues", json!(found.queues()));
    let mut list: Vec<Value> = found
        .source_access_configurations()
        .iter()
        .map(|one| json!({"Type": one.r#type().map(aws_sdk_lambda::types::SourceAccessType::as_str), "URI": one.uri()}))
        .collect();
    list.sort_by_key(Value::to_string);
    set("SourceAccessConfigurations", json!(list));
    let servers = found
        .self_managed_event_source()
        .and_then(|own| own.endpoints())
        .and_then(|endpoints| endpoints.iter().find(|(key, _)| key.as_str() == SERVERS));
    if let Some((_, servers)) = servers {
        let mut servers = servers.clone();
        servers.sort();
        let endpoints = json!({"Endpoints": {"KafkaBootstrapServers": servers}});
        set("SelfManagedEventSource", endpoints);
    }
    let count = found
        .scaling_config()
        .and_then(aws_sdk_lambda::types::ScalingConfig::maximum_concurrency);
    if let Some(count) = count {
        set("ScalingConfig", json!({"MaximumConcurrency": count}));
    }
    let group = found
        .amazon_managed_kafka_event_source_config()
        .and_then(|config| config.consumer_group_id());
    if let Some(group) = group {
        let config = json!({"ConsumerGroupId": group});
        set("AmazonManagedKafkaEventSourceConfig", config);
    }
    let group = found
        .self_managed_kafka_event_source_config()
        .and_then(|config| config.consumer_group_id());
    if let Some(group) = group {
        let config = json!({"ConsumerGroupId": group});
        set("SelfManagedKafkaEventSourceConfig", config);
    }
    if let Some(config) = found.provisioned_poller_config() {
        let mut pollers = Map::new();
        if let Some(count) = config.minimum_pollers() {
            pollers.insert("MinimumPollers".to_owned(), json!(count));
        }
        if let Some(count) = config.maximum_pollers() {
            pollers.insert("MaximumPollers".to_owned(), json!(count));
        }
        set("ProvisionedPollerConfig", Value::Object(pollers));
    }
    let names: Vec<&str> = found
        .metrics_config()
        .map(aws_sdk_lambda::types::EventSourceMappingMetricsConfig::metrics)
        .unwrap_or_default()
        .iter()
        .map(aws_sdk_lambda::types::EventSourceMappingMetric::as_str)
        .collect();
    if !names.is_empty() {
        set("MetricsConfig", json!({"Metrics": names}));
    }
    if let Some(config) = found.document_db_event_source_config() {
        let mut documents = Map::new();
        if let Some(name) = config.database_name() {
            documents.insert("DatabaseName".to_owned(), json!(name));
        }
        if let Some(name) = config.collection_name() {
            documents.insert("CollectionName".to_owned(), json!(name));
        }
        if let Some(kind) = config
            .full_document()
            .filter(|kind| kind.as_str() != "Default")
        {
            documents.insert("FullDocument".to_owned(), json!(kind.as_str()));
        }
        set("DocumentDBEventSourceConfig", Value::Object(documents));
    }
    if matches!(found.state(), Some("Disabled" | "Disabling")) {
        set("Enabled", json!(false));
    }
    let kind = source(&properties);
    if integer(properties.get("BatchSize")) == Some(batch_default(kind)) {
        properties.remove("BatchSize");
    }
    properties
}

#[async_trait]
impl Handler for Mappings {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Lambda::EventSourceMapping"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let id = match lookup.physical_id.clone() {
            Some(id) => Some(id),
            None => self.find(lookup).await?,
        };
        let Some(id) = id else {
            return Ok(None);
        };
        let Some(found) = self.get(&id).await? else {
            return Ok(None);
        };
        let state = found.state().unwrap_or("Enabled").to_owned();
        let arn = found
            .event_source_mapping_arn()
            .unwrap_or_default()
            .to_owned();
        let tags = self.tags(&arn).await?;
        let mut properties = declared(&found);
        for name in ["LoggingConfig"] {
            if let Some(value) = lookup.properties.get(name) {
                properties.insert(name.to_owned(), value.clone());
            }
        }
        keep_generated(&mut properties, lookup);
        let last = found.last_processing_result().unwrap_or_default();
        let reason = found.state_transition_reason().unwrap_or_default();
        Ok(Some(LiveResource {
            reference: id.clone(),
            attributes: BTreeMap::from([
                ("Id".to_owned(), json!(id)),
                ("EventSourceMappingArn".to_owned(), json!(arn)),
            ]),
            properties,
            // Without an ARN the target has no tags on mappings.
            tags: (!arn.is_empty()).then_some(tags),
            version: String::new(),
            health: health(&state, last, reason),
            is_settled: matches!(state.as_str(), "Enabled" | "Disabled"),
            physical_id: id,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let value = |name: &str| resource.get(name);
        let name = resource.text("FunctionName").unwrap_or_default();
        let servers = value("SelfManagedEventSource")
            .and_then(|own| own.get("Endpoints"))
            .and_then(|endpoints| endpoints.get("KafkaBootstrapServers"));
        let own = servers.map(|servers| {
            sdk::SelfManagedEventSource::builder()
                .endpoints(
                    sdk::EndPointType::KafkaBootstrapServers,
                    texts(Some(servers)),
                )
                .build()
        });
        let group = |name: &str| value(name).and_then(|config| text(config, "ConsumerGroupId"));
        let managed = group("AmazonManagedKafkaEventSourceConfig").map(|group| {
            sdk::AmazonManagedKafkaEventSourceConfig::builder()
                .consumer_group_id(group)
                .build()
        });
        let kafka = group("SelfManagedKafkaEventSourceConfig").map(|group| {
            sdk::SelfManagedKafkaEventSourceConfig::builder()
                .consumer_group_id(group)
                .build()
        });
        let at = value("StartingPositionTimestamp").and_then(Value::as_f64);
        let attempt = || async {
            let call = self
                .client
                .create_event_source_mapping()
                .function_name(name)
                .set_event_source_arn(resource.text("EventSourceArn").map(str::to_owned))
                .set_starting_position(
                    resource
                        .text("StartingPosition")
                        .map(sdk::EventSourcePosition::from),
                )
                .set_starting_position_timestamp(at.map(DateTime::from_secs_f64))
                .set_enabled(flag(value("Enabled")))
                .set_batch_size(integer(value("BatchSize")))
                .set_maximum_batching_window_in_seconds(integer(value(
                    "MaximumBatchingWindowInSeconds",
                )))
                .set_parallelization_factor(integer(value("ParallelizationFactor")))
                .set_maximum_retry_attempts(integer(value("MaximumRetryAttempts")))
                .set_maximum_record_age_in_seconds(integer(value("MaximumRecordAgeInSeconds")))
                .set_tumbling_window_in_seconds(integer(value("TumblingWindowInSeconds")))
                .set_bisect_batch_on_function_error(flag(value("BisectBatchOnFunctionError")))
                .set_function_response_types(
                    value("FunctionResponseTypes").map(|found| responses(Some(found))),
                )
                .set_destination_config(
                    value("DestinationConfig").map(|found| destination(Some(found))),
                )
                .set_filter_criteria(value("FilterCriteria").map(|found| filters(Some(found))))
                .set_kms_key_arn(resource.text("KmsKeyArn").map(str::to_owned))
                .set_topics(value("Topics").map(|found| texts(Some(found))))
                .set_queues(value("Queues").map(|found| texts(Some(found))))
                .set_source_access_configurations(
                    value("SourceAccessConfigurations").map(|found| accesses(Some(found))),
                )
                .set_self_managed_event_source(own.clone())
                .set_amazon_managed_kafka_event_source_config(managed.clone())
                .set_self_managed_kafka_event_source_config(kafka.clone())
                .set_scaling_config(value("ScalingConfig").map(|found| scaling(Some(found))))
                .set_provisioned_poller_config(
                    value("ProvisionedPollerConfig").map(|found| pollers(Some(found))),
                )
                .set_metrics_config(value("MetricsConfig").map(|found| metrics(Some(found))))
                .set_document_db_event_source_config(
                    value("DocumentDBEventSourceConfig").map(|found| documents(Some(found))),
                )
                .set_tags(Some(resource.all_tags().into_iter().collect()));
            let sent = call.send().await;
            sent.map_err(|error| from_sdk("CreateEventSourceMapping", &error))
        };
        let made = retry(Deadline::after(WAIT), is_delay, attempt).await?;
        Ok(made.uuid().unwrap_or_default().to_owned())
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let is = |name: &str| changed.contains(name);
        let value = |name: &str| resource.get(name);
        let kind = source(&resource.properties);
        if changed.iter().any(|name| name != "Tags") {
            let attempt = || async {
                let mut call = self
                    .client
                    .update_event_source_mapping()
                    .uuid(&live.physical_id);
                if is("FunctionName") {
                    call = call.function_name(resource.text("FunctionName").unwrap_or_default());
                }
                if is("Enabled") {
                    call = call.enabled(flag(value("Enabled")).unwrap_or(true));
                }
                if is("BatchSize") {
                    call =
                        call.batch_size(integer(value("BatchSize")).unwrap_or(batch_default(kind)));
                }
                if is("MaximumBatchingWindowInSeconds") {
                    let window = integer(value("MaximumBatchingWindowInSeconds")).unwrap_or(0);
                    call = call.maximum_batching_window_in_seconds(window);
                }
                if is("ParallelizationFactor") {
                    call = call.parallelization_factor(
                        integer(value("ParallelizationFactor")).unwrap_or(1),
                    );
                }
                if is("MaximumRetryAttempts") {
                    call = call.maximum_retry_attempts(
                        integer(value("MaximumRetryAttempts")).unwrap_or(-1),
                    );
                }
                if is("MaximumRecordAgeInSeconds") {
                    let age = integer(value("MaximumRecordAgeInSeconds")).unwrap_or(-1);
                    call = call.maximum_record_age_in_seconds(age);
                }
                if is("TumblingWindowInSeconds") {
                    call = call.tumbling_window_in_seconds(
                        integer(value("TumblingWindowInSeconds")).unwrap_or(0),
                    );
                }
                if is("BisectBatchOnFunctionError") {
                    let bisects = flag(value("BisectBatchOnFunctionError")).unwrap_or(false);
                    call = call.bisect_batch_on_function_error(bisects);
                }
                if is("FunctionResponseTypes") {
                    call = call.set_function_response_types(Some(responses(value(
                        "FunctionResponseTypes",
                    ))));
                }
                if is("DestinationConfig") {
                    call = call.destination_config(destination(value("DestinationConfig")));
                }
                if is("FilterCriteria") {
                    call = call.filter_criteria(filters(value("FilterCriteria")));
                }
                if is("KmsKeyArn") {
                    call = call.kms_key_arn(resource.text("KmsKeyArn").unwrap_or_default());
                }
                if is("SourceAccessConfigurations") {
                    let list = accesses(value("SourceAccessConfigurations"));
                    call = call.set_source_access_configurations(Some(list));
                }
                if is("ScalingConfig") {
                    call = call.scaling_config(scaling(value("ScalingConfig")));
                }
                if is("ProvisionedPollerConfig") {
                    call =
                        call.provisioned_poller_config(pollers(value("ProvisionedPollerConfig")));
                }
                if is("MetricsConfig") {
                    call = call.metrics_config(metrics(value("MetricsConfig")));
                }
                if is("DocumentDBEventSourceConfig") {
                    call = call.document_db_event_source_config(documents(value(
                        "DocumentDBEventSourceConfig",
                    )));
                }
                let sent = call.send().await;
                sent.map_err(|error| from_sdk("UpdateEventSourceMapping", &error))
            };
            retry(Deadline::after(WAIT), is_delay, attempt).await?;
        }
        if is("Tags")
            && let Some(Value::String(arn)) = live.attributes.get("EventSourceMappingArn")
            && !arn.is_empty()
        {
            let call = self.client.tag_resource().resource(arn.as_str());
            let tags = resource.all_tags().into_iter().collect();
            let sent = call.set_tags(Some(tags)).send().await;
            sent.map_err(|error| from_sdk("TagResource", &error))?;
            if !resource.removed_tags.is_empty() {
                let keys = Some(resource.removed_tags.iter().cloned().collect());
                let call = self.client.untag_resource().resource(arn.as_str());
                let sent = call.set_tag_keys(keys).send().await;
                sent.map_err(|error| from_sdk("UntagResource", &error))?;
            }
        }
        Ok(())
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let attempt = || async {
            let call = self.client.delete_event_source_mapping();
            let sent = call.uuid(physical_id).send().await;
            sent.map_err(|error| from_sdk("DeleteEventSourceMapping", &error))
        };
        let in_use = |error: &ApplierError| error.message.contains("ResourceInUseException");
        match retry(Deadline::after(WAIT), in_use, attempt).await {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Deletion::Gone),
            Err(error) => return Err(error),
        }
        match self.get(physical_id).await? {
            Some(_) => Ok(Deletion::Going),
            None => Ok(Deletion::Gone),
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        normalise(properties);
    }
}

/// A consumer group that the service made up is no difference.
fn keep_generated(properties: &mut Map<String, Value>, lookup: &Lookup) {
    for name in [
        "AmazonManagedKafkaEventSourceConfig",
        "SelfManagedKafkaEventSourceConfig",
    ] {
        match lookup.properties.get(name) {
            None => {
                properties.remove(name);
            }
            Some(wanted) if wanted.get("SchemaRegistryConfig").is_some() => {
                let mut own = wanted.clone();
                let live = properties
                    .get(name)
                    .and_then(|found| found.get("ConsumerGroupId"));
                if let (Some(live), Some(own)) = (live.cloned(), own.as_object_mut())
                    && own.contains_key("ConsumerGroupId")
                {
                    own.insert("ConsumerGroupId".to_owned(), live);
                }
                properties.insert(name.to_owned(), own);
            }
            Some(_) => {}
        }
    }
}

fn normalise(properties: &mut Map<String, Value>) {
    if let Some(Value::String(name)) = properties.get("FunctionName") {
        let name = function(name);
        properties.insert("FunctionName".to_owned(), json!(name));
    }
    let kind = source(properties);
    let defaults = [
        ("BatchSize", batch_default(kind)),
        ("MaximumBatchingWindowInSeconds", 0),
        ("ParallelizationFactor", 1),
        ("MaximumRetryAttempts", -1),
        ("MaximumRecordAgeInSeconds", -1),
        ("TumblingWindowInSeconds", 0),
    ];
    for (name, default) in defaults {
        if let Some(found) = integer(properties.get(name)) {
            if found == default {
                properties.remove(name);
            } else {
                properties.insert(name.to_owned(), json!(found));
            }
        }
    }
    match flag(properties.get("Enabled")) {
        Some(true) => {
            properties.remove("Enabled");
        }
        Some(false) => {
            properties.insert("Enabled".to_owned(), json!(false));
        }
        None => {}
    }
    if flag(properties.get("BisectBatchOnFunctionError")) == Some(false) {
        properties.remove("BisectBatchOnFunctionError");
    }
    if let Some(Value::Array(list)) = properties.get_mut("SourceAccessConfigurations") {
        list.sort_by_key(Value::to_string);
    }
    if let Some(Value::Array(list)) = properties
        .get_mut("SelfManagedEventSource")
        .and_then(|own| own.get_mut("Endpoints"))
        .and_then(|endpoints| endpoints.get_mut("KafkaBootstrapServers"))
    {
        list.sort_by_key(Value::to_string);
    }
    if let Some(Value::Array(list)) = properties
        .get_mut("FilterCriteria")
        .and_then(|criteria| criteria.get_mut("Filters"))
    {
        for filter in list {
            if let Some(Value::Object(pattern)) = filter.get("Pattern") {
                let text = Value::Object(pattern.clone()).to_string();
                filter["Pattern"] = json!(text);
            }
        }
    }
    let is_empty = |value: &Value| match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    properties.retain(|_, value| !is_empty(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_and_what_is_read_have_one_shape() {
        let found = GetEventSourceMappingOutput::builder()
            .uuid("u")
            .function_arn("arn:aws:lambda:eu-west-1:1:function:f:live")
            .event_source_arn("arn:aws:kinesis:eu-west-1:1:stream/s")
            .starting_position(sdk::EventSourcePosition::TrimHorizon)
            .batch_size(100)
            .parallelization_factor(1)
            .maximum_retry_attempts(2)
            .maximum_record_age_in_seconds(-1)
            .bisect_batch_on_function_error(true)
            .function_response_types(sdk::FunctionResponseType::ReportBatchItemFailures)
            .state("Enabled")
            .build();
        let mut wanted = json!({"FunctionName": "arn:aws:lambda:eu-west-1:1:function:f:live",
            "EventSourceArn": "arn:aws:kinesis:eu-west-1:1:stream/s", "StartingPosition": "TRIM_HORIZON",
            "BatchSize": "100", "MaximumRetryAttempts": 2, "BisectBatchOnFunctionError": true,
            "FunctionResponseTypes": ["ReportBatchItemFailures"], "Enabled": true});
        let wanted = wanted.as_object_mut().expect("a map");
        normalise(wanted);
        assert_eq!(*wanted, declared(&found));
    }

    #[test]
    fn a_mapping_with_a_problem_is_degraded() {
        let status = |state, last| health(state, last, "").status;
        assert_eq!(status("Enabled", "OK"), HealthStatus::Healthy);
        assert_eq!(
            status("Enabled", "PROBLEM: Function call failed"),
            HealthStatus::Degraded
        );
        assert_eq!(status("Creating", ""), HealthStatus::Progressing);
        assert_eq!(status("Disabled", ""), HealthStatus::Healthy);
    }
}
