//! `AWS::Lambda::EventInvokeConfig`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::ApplierError;
use tidegate_aws::{Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::configuration::number;
use crate::function::not_found;
use crate::function_name;
use crate::version::name_only;

/// Defaults of the service: six hours, two retries.
const AGE: i32 = 21_600;
const RETRIES: i32 = 2;

/// Asynchronous configurations.
#[derive(Debug)]
pub(crate) struct InvokeConfigs {
    client: Client,
}

impl InvokeConfigs {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn put(&self, resource: &Resource) -> Result<String, ApplierError> {
        let function = function_name(resource.text("FunctionName").unwrap_or_default());
        let qualifier = resource.text("Qualifier").unwrap_or("$LATEST");
        let destination = |on: &str| {
            let arn = resource
                .get("DestinationConfig")?
                .get(on)?
                .get("Destination")?;
            arn.as_str().map(str::to_owned)
        };
        let success =
            destination("OnSuccess").map(|arn| sdk::OnSuccess::builder().destination(arn).build());
        let failure =
            destination("OnFailure").map(|arn| sdk::OnFailure::builder().destination(arn).build());
        let config = sdk::DestinationConfig::builder()
            .set_on_success(success)
            .set_on_failure(failure)
            .build();
        let call = self
            .client
            .put_function_event_invoke_config()
            .function_name(function)
            .qualifier(qualifier)
            .set_maximum_event_age_in_seconds(number(resource.get("MaximumEventAgeInSeconds")))
            .set_maximum_retry_attempts(number(resource.get("MaximumRetryAttempts")))
            .destination_config(config);
        let sent = call.send().await;
        sent.map_err(|error| from_sdk("PutFunctionEventInvokeConfig", &error))?;
        Ok(format!("{function}|{qualifier}"))
    }
}

#[async_trait]
impl Handler for InvokeConfigs {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Lambda::EventInvokeConfig"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let by_id = lookup
            .physical_id
            .as_deref()
            .and_then(|id| id.split_once('|'));
        let qualifier = lookup.text("Qualifier").unwrap_or("$LATEST");
        let wanted = lookup
            .text("FunctionName")
            .map(|name| (function_name(name), qualifier));
        let Some((function, qualifier)) = by_id.or(wanted) else {
            return Ok(None);
        };
        let call = self.client.get_function_event_invoke_config();
        let found = match call
            .function_name(function)
            .qualifier(qualifier)
            .send()
            .await
        {
            Ok(found) => found,
            Err(error) => {
                return not_found(from_sdk("GetFunctionEventInvokeConfig", &error)).map(|()| None);
            }
        };
        let mut properties = Map::from_iter([
            ("FunctionName".to_owned(), json!(function)),
            ("Qualifier".to_owned(), json!(qualifier)),
        ]);
        if let Some(age) = found
            .maximum_event_age_in_seconds()
            .filter(|age| *age != AGE)
        {
            properties.insert("MaximumEventAgeInSeconds".to_owned(), json!(age));
        }
        if let Some(count) = found
            .maximum_retry_attempts()
            .filter(|count| *count != RETRIES)
        {
            properties.insert("MaximumRetryAttempts".to_owned(), json!(count));
        }
        let mut destinations = Map::new();
        if let Some(config) = found.destination_config() {
            let success = config.on_success().and_then(|on| on.destination());
            if let Some(arn) = success.filter(|arn| !arn.is_empty()) {
                destinations.insert("OnSuccess".to_owned(), json!({"Destination": arn}));
            }
            let failure = config.on_failure().and_then(|on| on.destination());
            if let Some(arn) = failure.filter(|arn| !arn.is_empty()) {
                destinations.insert("OnFailure".to_owned(), json!({"Destination": arn}));
            }
        }
        if !destinations.is_empty() {
            properties.insert("DestinationConfig".to_owned(), Value::Object(destinations));
        }
        let physical_id = format!("{function}|{qualifier}");
        Ok(Some(LiveResource {
            reference: physical_id.clone(),
            physical_id,
            attributes: BTreeMap::new(),
            properties,
            tags: None,
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        self.put(resource).await
    }

    async fn update(
        &self,
        resource: &Resource,
        _: &LiveResource,
        _: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        self.put(resource).await.map(drop)
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let Some((function, qualifier)) = physical_id.split_once('|') else {
            return Ok(Deletion::Gone);
        };
        let call = self.client.delete_function_event_invoke_config();
        match call
            .function_name(function)
            .qualifier(qualifier)
            .send()
            .await
        {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => not_found(from_sdk("DeleteFunctionEventInvokeConfig", &error))
                .map(|()| Deletion::Gone),
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        name_only(properties);
        for (name, default) in [
            ("MaximumEventAgeInSeconds", AGE),
            ("MaximumRetryAttempts", RETRIES),
        ] {
            if let Some(found) = number(properties.get(name)) {
                if found == default {
                    properties.remove(name);
                } else {
                    properties.insert(name.to_owned(), json!(found));
                }
            }
        }
        if properties.get("DestinationConfig") == Some(&json!({})) {
            properties.remove("DestinationConfig");
        }
        properties
            .entry("Qualifier")
            .or_insert_with(|| json!("$LATEST"));
    }
}
