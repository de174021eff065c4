//! `AWS::Lambda::Url`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types as sdk;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::configuration::{layers as texts, number};
use crate::function::not_found;
use crate::function_name;

/// URLs.
#[derive(Debug)]
pub(crate) struct Urls {
    client: Client,
}

impl Urls {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

/// The function and the qualifier that a URL is of.
fn target(arn: &str, qualifier: Option<&str>) -> (String, Option<String>) {
    let name = function_name(arn).to_owned();
    let in_arn = arn.split(':').nth(7).map(str::to_owned);
    (name, qualifier.map(str::to_owned).or(in_arn))
}

fn identity(function: &str, qualifier: Option<&str>) -> String {
    format!("{function}|{}", qualifier.unwrap_or_default())
}

fn cors(value: Option<&Value>) -> sdk::Cors {
    let list = |name: &str| {
        let found = value.and_then(|value| value.get(name));
        found.map(|found| texts(Some(found)))
    };
    let credentials = value.and_then(|value| value.get("AllowCredentials"));
    sdk::Cors::builder()
        .set_allow_credentials(credentials.and_then(Value::as_bool))
        .set_allow_headers(list("AllowHeaders"))
        .set_allow_methods(list("AllowMethods"))
        .set_allow_origins(list("AllowOrigins"))
        .set_expose_headers(list("ExposeHeaders"))
        .set_max_age(number(value.and_then(|value| value.get("MaxAge"))))
        .build()
}

fn cors_declared(found: &sdk::Cors) -> Map<String, Value> {
    let mut declared = Map::new();
    let mut list = |name: &str, items: &[String]| {
        if !items.is_empty() {
            declared.insert(name.to_owned(), json!(items));
        }
    };
    list("AllowHeaders", found.allow_headers());
    list("AllowMethods", found.allow_methods());
    list("AllowOrigins", found.allow_origins());
    list("ExposeHeaders", found.expose_headers());
    if found.allow_credentials() == Some(true) {
        declared.insert("AllowCredentials".to_owned(), json!(true));
    }
    if let Some(age) = found.max_age().filter(|age| *age != 0) {
        declared.insert("MaxAge".to_owned(), json!(age));
    }
    declared
}

#[async_trait]
impl Handler for Urls {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Lambda::Url"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let by_id = lookup
            .physical_id
            .as_deref()
            .and_then(|id| id.split_once('|'));
        let by_id = by_id.map(|(function, qualifier)| {
            let qualifier = (!qualifier.is_empty()).then(|| qualifier.to_owned());
            (function.to_owned(), qualifier)
        });
        let wanted = lookup
            .text("TargetFunctionArn")
            .map(|arn| target(arn, lookup.text("Qualifier")));
        let Some((function, qualifier)) = by_id.or(wanted) else {
            return Ok(None);
        };
        let call = self
            .client
            .get_function_url_config()
            .function_name(&function);
        let found = match call.set_qualifier(qualifier.clone()).send().await {
            Ok(found) => found,
            Err(error) => {
                return not_found(from_sdk("GetFunctionUrlConfig", &error)).map(|()| None);
            }
        };
        let mut properties = Map::from_iter([
            ("TargetFunctionArn".to_owned(), json!(function)),
            ("AuthType".to_owned(), json!(found.auth_type().as_str())),
        ]);
        if let Some(qualifier) = &qualifier {
            properties.insert("Qualifier".to_owned(), json!(qualifier));
        }
        if let Some(mode) = found
            .invoke_mode()
            .filter(|mode| !mode.as_str().eq_ignore_ascii_case("BUFFERED"))
        {
            properties.insert("InvokeMode".to_owned(), json!(mode.as_str()));
        }
        let declared = found.cors().map(cors_declared).unwrap_or_default();
        if !declared.is_empty() {
            properties.insert("Cors".to_owned(), Value::Object(declared));
        }
        let arn = found.function_arn().to_owned();
        Ok(Some(LiveResource {
            physical_id: identity(&function, qualifier.as_deref()),
            reference: arn.clone(),
            attributes: BTreeMap::from([
                ("FunctionArn".to_owned(), json!(arn)),
                ("FunctionUrl".to_owned(), json!(found.function_url())),
            ]),
            properties,
            tags: None,
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let arn = resource.text("TargetFunctionArn").unwrap_or_default();
        let (function, qualifier) = target(arn, resource.text("Qualifier"));
        let kind = resource.text("AuthType").unwrap_or("AWS_IAM");
        let mode = resource.text("InvokeMode");
        let call = self
            .client
            .create_function_url_config()
            .function_name(&function)
            .set_qualifier(qualifier.clone())
            .auth_type(sdk::FunctionUrlAuthType::from(kind))
            .set_invoke_mode(mode.map(sdk::InvokeMode::from))
            .set_cors(resource.get("Cors").map(|found| cors(Some(found))));
        match call.send().await {
            Ok(_) => {}
            Err(error) => {
                let error = from_sdk("CreateFunctionUrlConfig", &error);
                if error.kind != ErrorKind::Conflict {
                    return Err(error);
                }
            }
        }
        Ok(identity(&function, qualifier.as_deref()))
    }

    async fn update(
        &self,
        resource: &Resource,
        _: &LiveResource,
        _: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let arn = resource.text("TargetFunctionArn").unwrap_or_default();
        let (function, qualifier) = target(arn, resource.text("Qualifier"));
        let kind = resource.text("AuthType").unwrap_or("AWS_IAM");
        let mode = resource.text("InvokeMode").unwrap_or("BUFFERED");
        let call = self
            .client
            .update_function_url_config()
            .function_name(&function)
            .set_qualifier(qualifier)
            .auth_type(sdk::FunctionUrlAuthType::from(kind))
            .invoke_mode(sdk::InvokeMode::from(mode))
            .cors(cors(resource.get("Cors")));
        let sent = call.send().await;
        sent.map(drop)
            .map_err(|error| from_sdk("UpdateFunctionUrlConfig", &error))
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let Some((function, qualifier)) = physical_id.split_once('|') else {
            return Ok(Deletion::Gone);
        };
        let qualifier = (!qualifier.is_empty()).then(|| qualifier.to_owned());
        let call = self
            .client
            .delete_function_url_config()
            .function_name(function);
        match call.set_qualifier(qualifier).send().await {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => {
                not_found(from_sdk("DeleteFunctionUrlConfig", &error)).map(|()| Deletion::Gone)
            }
        }
    }

    fn normalise(&self, _: &str, properties: &mut Map<String, Value>) {
        if let Some(Value::String(arn)) = properties.get("TargetFunctionArn") {
            let given = properties.get("Qualifier").and_then(Value::as_str);
            let (function, qualifier) = target(arn, given);
            properties.insert("TargetFunctionArn".to_owned(), json!(function));
            if let Some(qualifier) = qualifier {
                properties.insert("Qualifier".to_owned(), json!(qualifier));
            }
        }
        if properties.get("InvokeMode") == Some(&json!("BUFFERED")) {
            properties.remove("InvokeMode");
        }
        if properties.get("Cors") == Some(&json!({})) {
            properties.remove("Cors");
        }
    }
}
