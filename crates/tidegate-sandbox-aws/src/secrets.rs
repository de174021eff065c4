//! Secrets Manager: secrets with versions and stages, as dynamic references read them.
//!
//! Must not know: HTTP, who reads a secret. Values are never logged.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};

/// Secrets of one region.
const SECRETS: usize = 1_000;
/// Versions of one secret.
const VERSIONS: usize = 100;
/// Bytes of all values of one region.
const VALUE_BYTES: usize = 64 << 20;

#[derive(Clone)]
struct Version {
    text: Option<String>,
    binary: Option<String>,
    created: Timestamp,
    stages: BTreeSet<String>,
}

#[derive(Clone)]
struct Secret {
    name: String,
    arn: String,
    description: Option<String>,
    key: Option<String>,
    created: Timestamp,
    changed: Timestamp,
    deleted: Option<Timestamp>,
    tags: BTreeMap<String, String>,
    versions: BTreeMap<String, Version>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

/// The secrets of one region.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    secrets: BTreeMap<String, Secret>,
    counter: u64,
}

pub(super) fn model() -> &'static Model {
    shape::model!("secretsmanager")
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1_000.0
}

fn missing() -> Refusal {
    refuse(
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret.",
    )
}

impl Secret {
    fn staged(&self, stage: &str) -> Option<(&String, &Version)> {
        self.versions
            .iter()
            .find(|(_, version)| version.stages.contains(stage))
    }

    fn describe(&self) -> Value {
        let mut map = Map::new();
        map.insert("ARN".into(), json!(self.arn));
        map.insert("Name".into(), json!(self.name));
        if let Some(description) = &self.description {
            map.insert("Description".into(), json!(description));
        }
        if let Some(key) = &self.key {
            map.insert("KmsKeyId".into(), json!(key));
        }
        if let Some(deleted) = self.deleted {
            map.insert("DeletedDate".into(), json!(seconds(deleted)));
        }
        map.insert("CreatedDate".into(), json!(seconds(self.created)));
        map.insert("LastChangedDate".into(), json!(seconds(self.changed)));
        map.insert("Tags".into(), tag_list(&self.tags));
        let stages: Map<String, Value> = self
            .versions
            .iter()
            .map(|(id, version)| (id.clone(), json!(version.stages)))
            .collect();
        map.insert("VersionIdsToStages".into(), Value::Object(stages));
        Value::Object(map)
    }

    /// Adds a version and moves the stages to it.
    fn add(&mut self, id: String, version: Version) {
        let current = version.stages.contains("AWSCURRENT");
        if current && let Some((old, _)) = self.staged("AWSCURRENT") {
            let old = old.clone();
            for other in self.versions.values_mut() {
                other.stages.remove("AWSPREVIOUS");
            }
            if let Some(old) = self.versions.get_mut(&old) {
                old.stages.insert("AWSPREVIOUS".into());
            }
        }
        for other in self.versions.values_mut() {
            other.stages.retain(|stage| !version.stages.contains(stage));
        }
        self.changed = version.created;
        self.versions.insert(id, version);
        if self.versions.len() > VERSIONS {
            self.versions
                .retain(|_, version| !version.stages.is_empty());
        }
    }
}

fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    json!(
        tags.iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect::<Vec<_>>()
    )
}

fn read_tags(value: &Value) -> BTreeMap<String, String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| {
            Some((
                tag["Key"].as_str()?.to_owned(),
                tag["Value"].as_str()?.to_owned(),
            ))
        })
        .collect()
}

impl Secrets {
    /// Answers one operation.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        self.secrets
            .retain(|_, secret| secret.deleted.is_none_or(|at| at > scope.now));
        if matches!(
            operation,
            "CreateSecret" | "PutSecretValue" | "UpdateSecret"
        ) {
            self.room()?;
        }
        match operation {
            "CreateSecret" => self.create(scope, input),
            "GetSecretValue" => self.value(input),
            "PutSecretValue" => self.put(scope, input),
            "UpdateSecret" => self.update(scope, input),
            "DescribeSecret" => Ok(self.any(input)?.describe()),
            "DeleteSecret" => self.delete(scope, input),
            "RestoreSecret" => {
                let secret = self.any(input)?;
                secret.deleted = None;
                Ok(json!({"ARN": secret.arn, "Name": secret.name}))
            }
            "ListSecrets" => Ok(self.list(input)),
            "ListSecretVersionIds" => {
                let secret = self.any(input)?;
                let versions: Vec<Value> = secret
                    .versions
                    .iter()
                    .map(|(id, version)| json!({"VersionId": id, "VersionStages": version.stages, "CreatedDate": seconds(version.created)}))
                    .collect();
                Ok(json!({"ARN": secret.arn, "Name": secret.name, "Versions": versions}))
            }
            "TagResource" => {
                let tags = read_tags(&input["Tags"]);
                crate::tags::merge(&mut self.live(input)?.tags, tags)?;
                Ok(Value::Null)
            }
            "UntagResource" => {
                let secret = self.live(input)?;
                for key in input["TagKeys"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                {
                    secret.tags.remove(key);
                }
                Ok(Value::Null)
            }
            other => Err(Refusal::unsupported("Secrets Manager", other)),
        }
    }

    /// Every secret with its tags, for the tagging API.
    pub(crate) fn tagged(&self) -> Vec<(String, BTreeMap<String, String>)> {
        self.secrets
            .values()
            .map(|secret| (secret.arn.clone(), secret.tags.clone()))
            .collect()
    }

    /// A secret by name, ARN, or ARN without its suffix.
    fn any(&mut self, input: &Value) -> Result<&mut Secret, Refusal> {
        let id = input["SecretId"].as_str().unwrap_or("");
        self.secrets
            .values_mut()
            .find(|secret| {
                secret.name == id
                    || secret.arn == id
                    || (id.starts_with("arn:")
                        && secret
                            .arn
                            .rsplit_once('-')
                            .is_some_and(|(stem, _)| stem == id))
            })
            .ok_or_else(missing)
    }

    fn live(&mut self, input: &Value) -> Result<&mut Secret, Refusal> {
        let secret = self.any(input)?;
        if secret.deleted.is_some() {
            return Err(refuse(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            ));
        }
        Ok(secret)
    }

    fn room(&self) -> Result<(), Refusal> {
        let size = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let held: usize = self
            .secrets
            .values()
            .flat_map(|secret| secret.versions.values())
            .map(|version| size(&version.text) + size(&version.binary))
            .sum();
        if held < VALUE_BYTES {
            return Ok(());
        }
        Err(refuse(
            "LimitExceededException",
            "the sandbox has no room for another secret value",
        ))
    }

    fn version(&mut self, scope: &Scope, input: &Value) -> Option<(String, Version)> {
        let text = input["SecretString"].as_str().map(str::to_owned);
        let binary = input["SecretBinary"].as_str().map(str::to_owned);
        if text.is_none() && binary.is_none() {
            return None;
        }
        self.counter += 1;
        let id = match input["ClientRequestToken"].as_str() {
            Some(token) => token.to_owned(),
            None => scope.uuid(&format!("secret/{}", self.counter)),
        };
        let stages = match input["VersionStages"].as_array() {
            Some(list) => list
                .iter()
                .filter_map(|stage| stage.as_str().map(str::to_owned))
                .collect(),
            None => BTreeSet::from(["AWSCURRENT".to_owned()]),
        };
        Some((
            id,
            Version {
                text,
                binary,
                created: scope.now,
                stages,
            },
        ))
    }

    fn create(&mut self, scope: &Scope, input: &Value) -> Result<Value, Refusal> {
        let name = input["Name"].as_str().unwrap_or("").to_owned();
        let letters = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte));
        if !letters {
            return Err(refuse(
                "ValidationException",
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
            ));
        }
        match self.secrets.get(&name) {
            Some(secret) if secret.deleted.is_some() => {
                return Err(refuse(
                    "InvalidRequestException",
                    "You can't create this secret because a secret with this name is already scheduled for deletion.",
                ));
            }
            Some(_) => {
                return Err(refuse(
                    "ResourceExistsException",
                    format!("The operation failed because the secret {name} already exists."),
                ));
            }
            None if self.secrets.len() >= SECRETS => {
                return Err(refuse(
                    "LimitExceededException",
                    format!("the sandbox keeps at most {SECRETS} secrets in a region"),
                ));
            }
            None => {}
        }
        let suffix = scope.stable_id(&name, 6);
        let mut secret = Secret {
            arn: scope.arn("secretsmanager", &format!("secret:{name}-{suffix}")),
            description: input["Description"].as_str().map(str::to_owned),
            key: input["KmsKeyId"].as_str().map(str::to_owned),
            created: scope.now,
            changed: scope.now,
            deleted: None,
            tags: read_tags(&input["Tags"]),
            versions: BTreeMap::new(),
            name: name.clone(),
        };
        let mut answer = json!({"ARN": secret.arn, "Name": name});
        if let Some((id, version)) = self.version(scope, input) {
            answer["VersionId"] = json!(id);
            secret.add(id, version);
        }
        self.secrets.insert(name, secret);
        Ok(answer)
    }

    fn value(&mut self, input: &Value) -> Result<Value, Refusal> {
        let stage = input["VersionStage"].as_str().unwrap_or("AWSCURRENT");
        let id = input["VersionId"].as_str();
        let secret = self.live(input)?;
        let found = match id {
            Some(id) => secret.versions.get_key_value(id),
            None => secret.staged(stage),
        };
        let Some((id, version)) = found else {
            let label = id.map_or(format!("staging label: {stage}"), |id| {
                format!("VersionId: {id}")
            });
            return Err(refuse(
                "ResourceNotFoundException",
                format!("Secrets Manager can't find the specified secret value for {label}"),
            ));
        };
        let mut answer = json!({
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": id,
            "VersionStages": version.stages,
            "CreatedDate": seconds(version.created),
        });
        if let Some(text) = &version.text {
            answer["SecretString"] = json!(text);
        }
        if let Some(binary) = &version.binary {
            answer["SecretBinary"] = json!(binary);
        }
        Ok(answer)
    }

    fn put(&mut self, scope: &Scope, input: &Value) -> Result<Value, Refusal> {
        self.live(input)?;
        let Some((id, version)) = self.version(scope, input) else {
            return Err(refuse(
                "InvalidRequestException",
                "You must provide either SecretString or SecretBinary.",
            ));
        };
        let secret = self.live(input)?;
        if let Some(known) = secret.versions.get(&id)
            && (known.text != version.text || known.binary != version.binary)
        {
            return Err(refuse(
                "ResourceExistsException",
                format!(
                    "You can't use ClientRequestToken {id} because that value is already in use for a version of secret {}.",
                    secret.arn
                ),
            ));
        }
        let stages = version.stages.clone();
        secret.add(id.clone(), version);
        Ok(
            json!({"ARN": secret.arn, "Name": secret.name, "VersionId": id, "VersionStages": stages}),
        )
    }

    fn update(&mut self, scope: &Scope, input: &Value) -> Result<Value, Refusal> {
        self.live(input)?;
        let version = self.version(scope, input);
        let secret = self.live(input)?;
        if let Some(description) = input["Description"].as_str() {
            secret.description = Some(description.to_owned());
        }
        if let Some(key) = input["KmsKeyId"].as_str() {
            secret.key = Some(key.to_owned());
        }
        secret.changed = scope.now;
        let mut answer = json!({"ARN": secret.arn, "Name": secret.name});
        if let Some((id, version)) = version {
            answer["VersionId"] = json!(id);
            secret.add(id, version);
        }
        Ok(answer)
    }

    fn delete(&mut self, scope: &Scope, input: &Value) -> Result<Value, Refusal> {
        let force = input["ForceDeleteWithoutRecovery"].as_bool() == Some(true);
        let days = input["RecoveryWindowInDays"].as_i64();
        if force && days.is_some() {
            return Err(refuse(
                "InvalidParameterException",
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
            ));
        }
        let days = days.unwrap_or(30);
        if !(7..=30).contains(&days) {
            return Err(refuse(
                "InvalidParameterException",
                "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
            ));
        }
        let secret = match self.any(input) {
            Err(_) if force => {
                let id = input["SecretId"].clone();
                return Ok(json!({"ARN": id, "Name": id, "DeletionDate": seconds(scope.now)}));
            }
            other => other?,
        };
        let at = if force {
            scope.now
        } else {
            scope.after(SignedDuration::from_hours(24 * days))
        };
        secret.deleted = Some(at);
        Ok(json!({"ARN": secret.arn, "Name": secret.name, "DeletionDate": seconds(at)}))
    }

    fn list(&self, input: &Value) -> Value {
        let limit = input["MaxResults"]
            .as_u64()
            .map_or(100, |limit| limit.clamp(1, 100));
        let limit = usize::try_from(limit).unwrap_or(100);
        let after = input["NextToken"].as_str().unwrap_or("");
        let planned = input["IncludePlannedDeletion"].as_bool() == Some(true);
        let wanted = |secret: &Secret| {
            input["Filters"]
                .as_array()
                .into_iter()
                .flatten()
                .all(|filter| {
                    let values: Vec<&str> = filter["Values"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .collect();
                    match filter["Key"].as_str() {
                        Some("name") => values.iter().any(|value| secret.name.starts_with(value)),
                        Some("tag-key") => values
                            .iter()
                            .any(|value| secret.tags.keys().any(|key| key.starts_with(value))),
                        Some("tag-value") => values
                            .iter()
                            .any(|value| secret.tags.values().any(|tag| tag.starts_with(value))),
                        _ => true,
                    }
                })
        };
        let mut found: Vec<&Secret> = self
            .secrets
            .values()
            .filter(|secret| (planned || secret.deleted.is_none()) && wanted(secret))
            .filter(|secret| after.is_empty() || secret.name.as_str() > after)
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let list: Vec<Value> = found
            .iter()
            .map(|secret| {
                let mut described = secret.describe();
                if let Some(map) = described.as_object_mut()
                    && let Some(stages) = map.remove("VersionIdsToStages")
                {
                    map.insert("SecretVersionsToStages".into(), stages);
                }
                described
            })
            .collect();
        let mut answer = json!({"SecretList": list});
        if more && let Some(last) = found.last() {
            answer["NextToken"] = json!(last.name);
        }
        answer
    }
}
