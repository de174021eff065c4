//! SSM's Parameter Store: parameters with versions, as dynamic references and functions read them.
//!
//! Must not know: HTTP, who reads a parameter.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};

/// Parameters of one region.
const PARAMETERS: usize = 10_000;
/// Versions of one parameter.
const VERSIONS: usize = 100;
/// Bytes of all values of one region.
const VALUE_BYTES: usize = 64 << 20;

#[derive(Clone)]
struct Version {
    number: u64,
    value: String,
    kind: String,
    key: Option<String>,
    modified: Timestamp,
    labels: Vec<String>,
}

#[derive(Clone)]
struct Parameter {
    name: String,
    description: Option<String>,
    pattern: Option<String>,
    tier: String,
    data_type: String,
    tags: BTreeMap<String, String>,
    versions: Vec<Version>,
}

impl std::fmt::Debug for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameter")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The parameters of one region.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    parameters: BTreeMap<String, Parameter>,
}

pub(super) fn model() -> &'static Model {
    shape::model!("ssm")
}

fn missing(name: &str) -> Refusal {
    refuse("ParameterNotFound", format!("Parameter {name} not found."))
}

fn arn(scope: &Scope, name: &str) -> String {
    scope.arn(
        "ssm",
        &format!("parameter/{}", name.trim_start_matches('/')),
    )
}

impl Parameter {
    fn version(&self, selector: Option<&str>) -> Option<&Version> {
        match selector {
            None => self.versions.last(),
            Some(selector) => self.versions.iter().find(|version| {
                selector.parse() == Ok(version.number)
                    || version.labels.iter().any(|label| label == selector)
            }),
        }
    }

    fn show(
        &self,
        version: &Version,
        selector: Option<&str>,
        decrypt: bool,
        scope: &Scope,
    ) -> Value {
        let hidden = version.kind == "SecureString" && !decrypt;
        let value = if hidden {
            use base64::Engine as _;
            use base64::engine::general_purpose::STANDARD;
            STANDARD.encode(scope.uuid(&self.name))
        } else {
            version.value.clone()
        };
        let mut shown = json!({
            "Name": self.name,
            "Type": version.kind,
            "Value": value,
            "Version": version.number,
            "LastModifiedDate": version.modified.as_millisecond() as f64 / 1_000.0,
            "ARN": arn(scope, &self.name),
            "DataType": self.data_type,
        });
        if let Some(selector) = selector {
            shown["Selector"] = json!(format!(":{selector}"));
        }
        shown
    }

    fn describe(&self, scope: &Scope) -> Value {
        let mut map = Map::new();
        map.insert("Name".into(), json!(self.name));
        map.insert("ARN".into(), json!(arn(scope, &self.name)));
        if let Some(version) = self.versions.last() {
            map.insert("Type".into(), json!(version.kind));
            map.insert("Version".into(), json!(version.number));
            map.insert(
                "LastModifiedDate".into(),
                json!(version.modified.as_millisecond() as f64 / 1_000.0),
            );
            if let Some(key) = &version.key {
                map.insert("KeyId".into(), json!(key));
            }
        }
        map.insert(
            "LastModifiedUser".into(),
            json!(format!("arn:aws:iam::{}:root", scope.account)),
        );
        if let Some(description) = &self.description {
            map.insert("Description".into(), json!(description));
        }
        if let Some(pattern) = &self.pattern {
            map.insert("AllowedPattern".into(), json!(pattern));
        }
        map.insert("Tier".into(), json!(self.tier));
        map.insert("Policies".into(), json!([]));
        map.insert("DataType".into(), json!(self.data_type));
        Value::Object(map)
    }
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

fn names(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

impl Parameters {
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
        let decrypt = input["WithDecryption"].as_bool() == Some(true);
        match operation {
            "PutParameter" => self.put(scope, input),
            "GetParameter" => {
                let name = input["Name"].as_str().unwrap_or("");
                match self.find(name, decrypt, scope) {
                    Some(shown) => Ok(json!({"Parameter": shown})),
                    None => Err(missing(name)),
                }
            }
            "GetParameters" => {
                let (mut found, mut invalid) = (Vec::new(), Vec::new());
                for name in names(&input["Names"]) {
                    match self.find(name, decrypt, scope) {
                        Some(shown) => found.push(shown),
                        None => invalid.push(name),
                    }
                }
                Ok(json!({"Parameters": found, "InvalidParameters": invalid}))
            }
            "GetParametersByPath" => self.by_path(scope, input, decrypt),
            "DeleteParameter" => {
                let name = input["Name"].as_str().unwrap_or("");
                match self.parameters.remove(name) {
                    Some(_) => Ok(json!({})),
                    None => Err(missing(name)),
                }
            }
            "DeleteParameters" => {
                let (mut deleted, mut invalid) = (Vec::new(), Vec::new());
                for name in names(&input["Names"]) {
                    match self.parameters.remove(name) {
                        Some(_) => deleted.push(name),
                        None => invalid.push(name),
                    }
                }
                Ok(json!({"DeletedParameters": deleted, "InvalidParameters": invalid}))
            }
            "DescribeParameters" => Ok(self.describe(scope, input)),
            "GetParameterHistory" => self.history(scope, input, decrypt),
            "AddTagsToResource" => {
                let tags = read_tags(&input["Tags"]);
                self.tags(input)?.extend(tags);
                Ok(json!({}))
            }
            "RemoveTagsFromResource" => {
                let tags = self.tags(input)?;
                for key in names(&input["TagKeys"]) {
                    tags.remove(key);
                }
                Ok(json!({}))
            }
            "ListTagsForResource" => {
                let tags: Vec<Value> = self
                    .tags(input)?
                    .iter()
                    .map(|(key, value)| json!({"Key": key, "Value": value}))
                    .collect();
                Ok(json!({"TagList": tags}))
            }
            other => Err(Refusal::unsupported("SSM", other)),
        }
    }

    /// Every parameter with its tags, for the tagging API.
    pub(crate) fn tagged(&self, scope: &Scope) -> Vec<(String, BTreeMap<String, String>)> {
        self.parameters
            .values()
            .map(|parameter| (arn(scope, &parameter.name), parameter.tags.clone()))
            .collect()
    }

    fn find(&self, name: &str, decrypt: bool, scope: &Scope) -> Option<Value> {
        let plain = match name.split_once(":parameter/") {
            Some((_, rest)) if self.parameters.contains_key(rest) => rest.to_owned(),
            Some((_, rest)) => format!("/{rest}"),
            None => name.to_owned(),
        };
        let (stem, selector) = match plain.split_once(':') {
            Some((stem, selector)) => (stem, Some(selector)),
            None => (plain.as_str(), None),
        };
        let parameter = self.parameters.get(stem)?;
        let version = parameter.version(selector)?;
        Some(parameter.show(version, selector, decrypt, scope))
    }

    fn put(&mut self, scope: &Scope, input: &Value) -> Result<Value, Refusal> {
        let name = input["Name"].as_str().unwrap_or("").to_owned();
        let value = input["Value"].as_str().unwrap_or("").to_owned();
        let letters = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte));
        let reserved = name.trim_start_matches('/').to_ascii_lowercase();
        if !letters || name.is_empty() {
            return Err(refuse(
                "ValidationException",
                "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_",
            ));
        }
        if reserved.starts_with("aws") || reserved.starts_with("ssm") {
            return Err(refuse(
                "ValidationException",
                "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).",
            ));
        }
        let tier = input["Tier"].as_str().unwrap_or("Standard");
        let limit = if tier == "Standard" { 4_096 } else { 8_192 };
        if value.len() > limit {
            return Err(refuse(
                "ValidationException",
                format!(
                    "{tier} tier parameters support a maximum parameter value of {limit} characters."
                ),
            ));
        }
        if let Some(pattern) = input["AllowedPattern"].as_str()
            && regex::RegexBuilder::new(pattern)
                .size_limit(1 << 20)
                .build()
                .is_ok_and(|regex| !regex.is_match(&value))
        {
            return Err(refuse(
                "ParameterPatternMismatchException",
                format!("Parameter value, cannot be validated against allowedPattern: {pattern}"),
            ));
        }
        let held: usize = self
            .parameters
            .values()
            .flat_map(|parameter| &parameter.versions)
            .map(|version| version.value.len())
            .sum();
        if held >= VALUE_BYTES {
            return Err(refuse(
                "ParameterLimitExceeded",
                "the sandbox has no room for another parameter value",
            ));
        }
        let overwrite = input["Overwrite"].as_bool() == Some(true);
        let kind = match (input["Type"].as_str(), self.parameters.get(&name)) {
            (Some(kind), _) => kind.to_owned(),
            (None, Some(known)) => known
                .versions
                .last()
                .map_or("String".into(), |v| v.kind.clone()),
            (None, None) => {
                return Err(refuse(
                    "ValidationException",
                    "A parameter type is required when you create a parameter.",
                ));
            }
        };
        if self.parameters.contains_key(&name) {
            if !overwrite {
                return Err(refuse(
                    "ParameterAlreadyExists",
                    "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
                ));
            }
            if input.get("Tags").is_some() {
                return Err(refuse(
                    "ValidationException",
                    "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.",
                ));
            }
        } else if self.parameters.len() >= PARAMETERS {
            return Err(refuse(
                "ParameterLimitExceeded",
                format!("the sandbox keeps at most {PARAMETERS} parameters in a region"),
            ));
        }
        let parameter = self
            .parameters
            .entry(name.clone())
            .or_insert_with(|| Parameter {
                name,
                description: None,
                pattern: None,
                tier: tier.to_owned(),
                data_type: input["DataType"].as_str().unwrap_or("text").to_owned(),
                tags: read_tags(&input["Tags"]),
                versions: Vec::new(),
            });
        if let Some(description) = input["Description"].as_str() {
            parameter.description = Some(description.to_owned());
        }
        if let Some(pattern) = input["AllowedPattern"].as_str() {
            parameter.pattern = Some(pattern.to_owned());
        }
        let number = parameter
            .versions
            .last()
            .map_or(1, |version| version.number + 1);
        let key = (kind == "SecureString").then(|| {
            input["KeyId"]
                .as_str()
                .unwrap_or("alias/aws/ssm")
                .to_owned()
        });
        parameter.versions.push(Version {
            number,
            value,
            kind,
            key,
            modified: scope.now,
            labels: Vec::new(),
        });
        if parameter.versions.len() > VERSIONS {
            parameter.versions.remove(0);
        }
        Ok(json!({"Version": number, "Tier": tier}))
    }

    fn by_path(&self, scope: &Scope, input: &Value, decrypt: bool) -> Result<Value, Refusal> {
        let path = input["Path"].as_str().unwrap_or("");
        if !path.starts_with('/') {
            return Err(refuse(
                "ValidationException",
                "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".",
            ));
        }
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let recursive = input["Recursive"].as_bool() == Some(true);
        let limit = input["MaxResults"]
            .as_u64()
            .map_or(10, |limit| limit.clamp(1, 10));
        let after = input["NextToken"].as_str().unwrap_or("");
        let mut found: Vec<&Parameter> = self
            .parameters
            .values()
            .filter(|parameter| {
                parameter
                    .name
                    .strip_prefix(&prefix)
                    .is_some_and(|rest| recursive || !rest.contains('/'))
            })
            .filter(|parameter| after.is_empty() || parameter.name.as_str() > after)
            .collect();
        let limit = usize::try_from(limit).unwrap_or(10);
        let more = found.len() > limit;
        found.truncate(limit);
        let shown: Vec<Value> = found
            .iter()
            .filter_map(|parameter| {
                Some(parameter.show(parameter.versions.last()?, None, decrypt, scope))
            })
            .collect();
        let mut answer = json!({"Parameters": shown});
        if more && let Some(last) = found.last() {
            answer["NextToken"] = json!(last.name);
        }
        Ok(answer)
    }

    fn describe(&self, scope: &Scope, input: &Value) -> Value {
        let limit = input["MaxResults"]
            .as_u64()
            .map_or(10, |limit| limit.clamp(1, 50));
        let limit = usize::try_from(limit).unwrap_or(10);
        let after = input["NextToken"].as_str().unwrap_or("");
        let filters: Vec<&Value> = input["ParameterFilters"]
            .as_array()
            .into_iter()
            .chain(input["Filters"].as_array())
            .flatten()
            .collect();
        let wanted = |parameter: &Parameter| {
            filters.iter().all(|filter| {
                let values = names(&filter["Values"]);
                let option = filter["Option"].as_str().unwrap_or("Equals");
                let test = |text: &str| {
                    values.iter().any(|value| match option {
                        "BeginsWith" => text.starts_with(value),
                        "Contains" => text.contains(value),
                        _ => text == *value,
                    })
                };
                match filter["Key"].as_str() {
                    Some("Name") => test(&parameter.name),
                    Some("Type") => parameter
                        .versions
                        .last()
                        .is_some_and(|version| test(&version.kind)),
                    Some("Path") => values.iter().any(|value| parameter.name.starts_with(value)),
                    Some(key) => match key.strip_prefix("tag:") {
                        Some(tag) => parameter
                            .tags
                            .get(tag)
                            .is_some_and(|value| values.is_empty() || test(value)),
                        None => true,
                    },
                    None => true,
                }
            })
        };
        let mut found: Vec<&Parameter> = self
            .parameters
            .values()
            .filter(|parameter| {
                wanted(parameter) && (after.is_empty() || parameter.name.as_str() > after)
            })
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let shown: Vec<Value> = found
            .iter()
            .map(|parameter| parameter.describe(scope))
            .collect();
        let mut answer = json!({"Parameters": shown});
        if more && let Some(last) = found.last() {
            answer["NextToken"] = json!(last.name);
        }
        answer
    }

    fn history(&self, scope: &Scope, input: &Value, decrypt: bool) -> Result<Value, Refusal> {
        let name = input["Name"].as_str().unwrap_or("");
        let parameter = self.parameters.get(name).ok_or_else(|| missing(name))?;
        let shown: Vec<Value> = parameter
            .versions
            .iter()
            .map(|version| {
                let mut shown = parameter.show(version, None, decrypt, scope);
                if let Some(map) = shown.as_object_mut() {
                    map.remove("ARN");
                    map.insert("Labels".into(), json!(version.labels));
                    map.insert("Tier".into(), json!(parameter.tier));
                }
                shown
            })
            .collect();
        Ok(json!({"Parameters": shown}))
    }

    fn tags(&mut self, input: &Value) -> Result<&mut BTreeMap<String, String>, Refusal> {
        let id = input["ResourceId"].as_str().unwrap_or("");
        self.parameters
            .get_mut(id)
            .map(|parameter| &mut parameter.tags)
            .ok_or_else(|| {
                refuse("InvalidResourceId", "The resource ID isn't valid. Verify that you entered the correct ID and try again.")
            })
    }
}
