//! `AWS::Lambda::Permission`: one statement of a function's policy, named so that a change makes another.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types as sdk;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Deletion, Handler, LiveResource, Lookup, Resource, from_sdk};
use tidegate_manifest::{Health, HealthStatus};

use crate::function::not_found;

/// Statement ids are cut here.
const SID_MAX: usize = 100;

/// Permissions.
#[derive(Debug)]
pub(crate) struct Permissions {
    client: Client,
}

impl Permissions {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

/// The function and the qualifier in a name, an ARN, or an alias' ARN.
fn target(text: &str) -> (String, Option<String>) {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() >= 7 && parts[5] == "function" {
        return (parts[6].to_owned(), parts.get(7).map(|q| (*q).to_owned()));
    }
    match text.split_once(':') {
        Some((name, qualifier)) => (name.to_owned(), Some(qualifier.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// A statement id of stack, logical id and a digest of what the statement says.
fn statement_id(stack: &str, logical_id: &str, properties: &Map<String, Value>) -> String {
    let hash = Sha256::digest(Value::Object(properties.clone()).to_string().as_bytes());
    let digest = URL_SAFE_NO_PAD.encode(&hash[..8]);
    let room = SID_MAX.saturating_sub(digest.len() + 1);
    let name: String = format!("{stack}-{logical_id}")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .take(room)
        .collect();
    format!("{name}-{digest}")
}

/// The properties that make a statement, without those that AWS fills in.
fn said(properties: &Map<String, Value>) -> Map<String, Value> {
    let mut said = properties.clone();
    said.retain(|name, value| name != "Tags" && !value.is_null());
    said
}

#[async_trait]
impl Handler for Permissions {
    fn types(&self) -> &'static [&'static str] {
        &["AWS::Lambda::Permission"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let remembered = lookup.physical_id.as_deref().map(str::to_owned);
        let wanted = lookup.text("FunctionName").map(|name| {
            let (stack, id) = (&lookup.mark.stack, &lookup.mark.logical_id);
            let sid = statement_id(stack, id, &said(&lookup.properties));
            format!("{name}|{sid}")
        });
        let Some(physical_id) = remembered.or(wanted.clone()) else {
            return Ok(None);
        };
        let Some((name, sid)) = physical_id.rsplit_once('|') else {
            return Ok(None);
        };
        let (function, qualifier) = target(name);
        let call = self.client.get_policy().function_name(function);
        let found = match call.set_qualifier(qualifier).send().await {
            Ok(found) => found,
            Err(error) => return not_found(from_sdk("GetPolicy", &error)).map(|()| None),
        };
        let policy: Value =
            serde_json::from_str(found.policy().unwrap_or("{}")).unwrap_or_default();
        let statements = policy.get("Statement").and_then(Value::as_array);
        let statement = statements
            .into_iter()
            .flatten()
            .find(|statement| statement.get("Sid").and_then(Value::as_str) == Some(sid));
        if statement.is_none() {
            return Ok(None);
        }
        // The id holds a digest of what was said: another id is another statement.
        let is_same = wanted.as_ref().is_none_or(|wanted| *wanted == physical_id);
        let mut properties = said(&lookup.properties);
        if !is_same {
            properties.insert("Action".to_owned(), json!("another statement"));
        }
        Ok(Some(LiveResource {
            reference: sid.to_owned(),
            attributes: BTreeMap::from([("Id".to_owned(), json!(sid))]),
            properties,
            tags: None,
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
            physical_id,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let name = resource.text("FunctionName").unwrap_or_default();
        let (function, qualifier) = target(name);
        let mark = &resource.mark;
        let sid = statement_id(&mark.stack, &mark.logical_id, &said(&resource.properties));
        let text = |property: &str| resource.text(property).map(str::to_owned);
        let url = text("FunctionUrlAuthType");
        let call = self
            .client
            .add_permission()
            .function_name(function)
            .set_qualifier(qualifier)
            .statement_id(&sid)
            .action(text("Action").unwrap_or_else(|| "lambda:InvokeFunction".to_owned()))
            .principal(text("Principal").unwrap_or_default())
            .set_source_arn(text("SourceArn"))
            .set_source_account(text("SourceAccount"))
            .set_event_source_token(text("EventSourceToken"))
            .set_principal_org_id(text("PrincipalOrgID"))
            .set_function_url_auth_type(
                url.map(|kind| sdk::FunctionUrlAuthType::from(kind.as_str())),
            )
            .set_invoked_via_function_url(resource.flag("InvokedViaFunctionUrl"));
        match call.send().await {
            Ok(_) => {}
            Err(error) => {
                let error = from_sdk("AddPermission", &error);
                // The same statement is there already.
                if error.kind != ErrorKind::Conflict {
                    return Err(error);
                }
            }
        }
        Ok(format!("{name}|{sid}"))
    }

    async fn update(
        &self,
        _: &Resource,
        _: &LiveResource,
        _: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let message = "a permission cannot be changed";
        Err(ApplierError::new(ErrorKind::Invalid, message))
    }

    async fn delete(&self, _: &str, physical_id: &str) -> Result<Deletion, ApplierError> {
        let Some((name, sid)) = physical_id.rsplit_once('|') else {
            return Ok(Deletion::Gone);
        };
        let (function, qualifier) = target(name);
        let call = self.client.remove_permission().function_name(function);
        match call.set_qualifier(qualifier).statement_id(sid).send().await {
            Ok(_) => Ok(Deletion::Gone),
            Err(error) => not_found(from_sdk("RemovePermission", &error)).map(|()| Deletion::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_statement_has_another_id() {
        let one = Map::from_iter([("Principal".to_owned(), json!("s3.amazonaws.com"))]);
        let two = Map::from_iter([("Principal".to_owned(), json!("sns.amazonaws.com"))]);
        assert_eq!(statement_id("s", "L", &one), statement_id("s", "L", &one));
        assert_ne!(statement_id("s", "L", &one), statement_id("s", "L", &two));
        assert!(statement_id(&"s".repeat(200), "L", &one).len() <= SID_MAX);
    }

    #[test]
    fn aliases_are_qualifiers() {
        let arn = "arn:aws:lambda:eu-west-1:1:function:f";
        assert_eq!(target("f"), ("f".to_owned(), None));
        assert_eq!(target(arn), ("f".to_owned(), None));
        let live = ("f".to_owned(), Some("live".to_owned()));
        assert_eq!(target(&format!("{arn}:live")), live);
    }
}
