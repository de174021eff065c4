//! Tags and resource policies of streams and consumers, through both tagging APIs.
//!
//! Must not know: shards.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Call;
use crate::refusal::{Refusal, refuse};

/// Tags of one resource.
const TAGS: usize = 50;

/// Reads a map of tags.
///
/// # Errors
/// When a value is no text or there are too many.
pub(super) fn read_tags(value: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    add(&mut tags, value)?;
    Ok(tags)
}

fn add(tags: &mut BTreeMap<String, String>, value: &Value) -> Result<(), Refusal> {
    let mut all = tags.clone();
    for (name, value) in value.as_object().into_iter().flatten() {
        if name.starts_with("aws:") {
            return Err(refuse(
                "InvalidArgumentException",
                format!("Tag key {name} is invalid: the prefix aws: is reserved."),
            ));
        }
        all.insert(name.clone(), value.as_str().unwrap_or("").to_owned());
    }
    if all.len() > TAGS {
        return Err(refuse(
            "InvalidArgumentException",
            format!("Failed to add tags to the resource: it would have more than {TAGS} tags."),
        ));
    }
    *tags = all;
    Ok(())
}

fn listed(tags: &BTreeMap<String, String>) -> Vec<Value> {
    tags.iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

fn keys(input: &Value) -> Vec<String> {
    input["TagKeys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|key| key.as_str().map(str::to_owned))
        .collect()
}

impl Call<'_> {
    pub(super) fn add_tags_to_stream(&mut self) -> Result<Value, Refusal> {
        let tags = self.input["Tags"].clone();
        add(&mut self.stream()?.tags, &tags)?;
        Ok(Value::Null)
    }

    pub(super) fn remove_tags_from_stream(&mut self) -> Result<Value, Refusal> {
        let keys = keys(self.input);
        let stream = self.stream()?;
        stream.tags.retain(|name, _| !keys.contains(name));
        Ok(Value::Null)
    }

    pub(super) fn list_tags_for_stream(&mut self) -> Result<Value, Refusal> {
        let limit = self.number("Limit").map_or(50, |limit| limit.clamp(1, 50));
        let limit = usize::try_from(limit).unwrap_or(50);
        let after = self.text("ExclusiveStartTagKey").map(str::to_owned);
        let stream = self.stream()?;
        let mut tags: Vec<Value> = listed(&stream.tags)
            .into_iter()
            .filter(|tag| {
                after
                    .as_deref()
                    .is_none_or(|after| tag["Key"].as_str().is_some_and(|key| key > after))
            })
            .collect();
        let more = tags.len() > limit;
        tags.truncate(limit);
        Ok(json!({"Tags": tags, "HasMoreTags": more}))
    }

    /// The tags of the stream or consumer that `ResourceARN` names.
    fn resource_tags(&mut self) -> Result<&mut BTreeMap<String, String>, Refusal> {
        let arn = self.text("ResourceARN").unwrap_or("").to_owned();
        let missing = refuse(
            "ResourceNotFoundException",
            format!(
                "Resource {arn} under account {} not found.",
                self.scope.account
            ),
        );
        let path = arn.split_once(":stream/").map_or("", |(_, path)| path);
        let name = path.split('/').next().unwrap_or("");
        let Some(stream) = self.streams.streams.get_mut(name) else {
            return Err(missing);
        };
        if path.contains("/consumer/") {
            return match stream
                .consumers
                .values_mut()
                .find(|consumer| consumer.arn == arn)
            {
                Some(consumer) => Ok(&mut consumer.tags),
                None => Err(missing),
            };
        }
        Ok(&mut stream.tags)
    }

    pub(super) fn tag_resource(&mut self) -> Result<Value, Refusal> {
        let tags = self.input["Tags"].clone();
        add(self.resource_tags()?, &tags)?;
        Ok(Value::Null)
    }

    pub(super) fn untag_resource(&mut self) -> Result<Value, Refusal> {
        let keys = keys(self.input);
        self.resource_tags()?.retain(|name, _| !keys.contains(name));
        Ok(Value::Null)
    }

    pub(super) fn list_tags_for_resource(&mut self) -> Result<Value, Refusal> {
        Ok(json!({"Tags": listed(self.resource_tags()?)}))
    }

    fn policy_place(&mut self) -> Result<&mut Option<String>, Refusal> {
        let arn = self.text("ResourceARN").unwrap_or("").to_owned();
        let path = arn.split_once(":stream/").map_or("", |(_, path)| path);
        let missing = self.missing(path);
        match self.streams.streams.get_mut(path) {
            Some(stream) => Ok(&mut stream.policy),
            None => Err(missing),
        }
    }

    pub(super) fn put_policy(&mut self) -> Result<Value, Refusal> {
        let policy = self.text("Policy").unwrap_or("").to_owned();
        if serde_json::from_str::<Value>(&policy).is_err() {
            return Err(refuse(
                "InvalidArgumentException",
                "The policy is not valid JSON.",
            ));
        }
        *self.policy_place()? = Some(policy);
        Ok(Value::Null)
    }

    pub(super) fn get_policy(&mut self) -> Result<Value, Refusal> {
        let policy = self.policy_place()?.clone();
        Ok(json!({"Policy": policy.unwrap_or_else(|| "{}".into())}))
    }

    pub(super) fn delete_policy(&mut self) -> Result<Value, Refusal> {
        match self.policy_place()?.take() {
            Some(_) => Ok(Value::Null),
            None => Err(refuse(
                "ResourceNotFoundException",
                "No resource policy found for the resource.",
            )),
        }
    }
}
