//! Layers and their versions.
//!
//! Must not know: functions, HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tidegate_sandbox_aws::service::{Refusal, Scope};

use crate::code::Code;
use crate::fault::{constraint, invalid, missing};
use crate::function::stamp;
use crate::lambda::{Answer, Lambda, page};
use crate::manage::read_code;

/// Layers of one region.
const LAYERS: usize = 1_000;

#[derive(Clone, Debug)]
struct LayerVersion {
    code: Arc<Code>,
    /// What the request set, in the shape of the answers.
    settings: Map<String, Value>,
    created: Timestamp,
    statements: Vec<Value>,
}

#[derive(Clone, Debug, Default)]
struct Layer {
    versions: BTreeMap<u64, LayerVersion>,
    last: u64,
}

/// All layers by region and name.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    layers: BTreeMap<(String, String), Layer>,
}

/// Region, name and version of a layer version's ARN.
fn parts(arn: &str) -> Option<(String, String, u64)> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts[..] {
        ["arn", _, "lambda", region, _, "layer", name, version] => {
            Some((region.to_owned(), name.to_owned(), version.parse().ok()?))
        }
        _ => None,
    }
}

impl Layers {
    pub(crate) fn bytes(&self) -> usize {
        let versions = self
            .layers
            .values()
            .flat_map(|layer| layer.versions.values());
        versions.map(|version| version.code.archive.len()).sum()
    }

    fn find(&self, arn: &str) -> Option<&LayerVersion> {
        let (region, name, version) = parts(arn)?;
        self.layers.get(&(region, name))?.versions.get(&version)
    }

    /// Bytes of a layer version.
    pub(crate) fn size(&self, arn: &str) -> Result<usize, Refusal> {
        let found = self.find(arn);
        found
            .map(|version| version.code.archive.len())
            .ok_or_else(|| invalid(format!("Layer version {arn} does not exist.")))
    }

    /// The code of a layer version.
    pub(crate) fn code(&self, arn: &str) -> Option<Arc<Code>> {
        self.find(arn).map(|version| Arc::clone(&version.code))
    }

    pub(crate) fn archive(&self, region: &str, name: &str, version: &str) -> Option<Bytes> {
        let layer = self.layers.get(&(region.to_owned(), name.to_owned()))?;
        Some(
            layer
                .versions
                .get(&version.parse().ok()?)?
                .code
                .archive
                .clone(),
        )
    }
}

impl LayerVersion {
    fn show(&self, scope: &Scope, endpoint: &str, name: &str, number: u64, content: bool) -> Value {
        let mut map = self.settings.clone();
        let arn = scope.arn("lambda", &format!("layer:{name}"));
        map.insert("LayerVersionArn".into(), json!(format!("{arn}:{number}")));
        map.insert("Version".into(), json!(number));
        map.insert("CreatedDate".into(), json!(stamp(self.created)));
        if content {
            map.insert("LayerArn".into(), json!(arn));
            map.insert(
                "Content".into(),
                json!({
                    "Location": format!("{endpoint}/_lambda/code/layer/{}/{name}/{number}", scope.region),
                    "CodeSha256": self.code.sha256, "CodeSize": self.code.archive.len(),
                }),
            );
        }
        Value::Object(map)
    }
}

impl Lambda {
    pub(crate) fn layers(
        &self,
        scope: &Scope,
        method: &str,
        rest: &[&str],
        input: &Value,
        query: &[(String, String)],
    ) -> Answer {
        let endpoint = self.neighbours.endpoint();
        match (method, rest) {
            ("GET", []) => {
                let state = self.state.lock();
                let own = state.layers.layers.iter().filter(|((region, _), layer)| {
                    *region == scope.region && !layer.versions.is_empty()
                });
                let shown: Vec<Value> = own
                    .filter_map(|((_, name), layer)| {
                        let (number, version) = layer.versions.last_key_value()?;
                        Some(json!({
                            "LayerName": name, "LayerArn": scope.arn("lambda", &format!("layer:{name}")),
                            "LatestMatchingVersion": version.show(scope, &endpoint, name, *number, false),
                        }))
                    })
                    .collect();
                Ok((200, page("Layers", &shown, query, 50)))
            }
            ("POST", [name, "versions"]) => self.publish_layer(scope, name, input),
            ("GET", [name, "versions"]) => {
                let state = self.state.lock();
                let layer = state
                    .layers
                    .layers
                    .get(&(scope.region.clone(), (*name).to_owned()));
                let versions = layer
                    .into_iter()
                    .flat_map(|layer| layer.versions.iter().rev());
                let shown: Vec<Value> = versions
                    .map(|(number, version)| version.show(scope, &endpoint, name, *number, false))
                    .collect();
                Ok((200, page("LayerVersions", &shown, query, 50)))
            }
            (_, [name, "versions", number, tail @ ..]) => {
                let arn = scope.arn("lambda", &format!("layer:{name}:{number}"));
                match (method, tail) {
                    ("GET", []) => self.layer_by_arn(scope, &arn),
                    ("DELETE", []) => {
                        let mut state = self.state.lock();
                        let layer = state
                            .layers
                            .layers
                            .get_mut(&(scope.region.clone(), (*name).to_owned()));
                        if let (Some(layer), Ok(number)) = (layer, number.parse()) {
                            layer.versions.remove(&number);
                        }
                        Ok((204, Value::Null))
                    }
                    _ => self.layer_policy(scope, method, &arn, tail, input),
                }
            }
            _ => Err(Refusal::unsupported("lambda", "layers").status(404)),
        }
    }

    fn publish_layer(&self, scope: &Scope, name: &str, input: &Value) -> Answer {
        let name = name.rsplit(':').next().unwrap_or(name);
        let is_word = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if name.is_empty() || !is_word || name.len() > 140 {
            return Err(constraint(
                name,
                "layerName",
                "Member must satisfy regular expression pattern: (arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+",
            ));
        }
        let code = read_code(&self.neighbours, scope, &input["Content"])?;
        let mut settings = Map::new();
        settings.insert(
            "Description".into(),
            json!(input["Description"].as_str().unwrap_or_default()),
        );
        for field in [
            "CompatibleRuntimes",
            "CompatibleArchitectures",
            "LicenseInfo",
        ] {
            if let Some(value) = input.get(field).filter(|value| !value.is_null()) {
                settings.insert(field.to_owned(), value.clone());
            }
        }
        let endpoint = self.neighbours.endpoint();
        let mut state = self.state.lock();
        if state.layers.layers.len() >= LAYERS {
            return Err(invalid(format!("more than {LAYERS} layers")));
        }
        let layer = state
            .layers
            .layers
            .entry((scope.region.clone(), name.to_owned()))
            .or_default();
        layer.last += 1;
        let number = layer.last;
        let version = LayerVersion {
            code: Arc::new(code),
            settings,
            created: scope.now,
            statements: Vec::new(),
        };
        let shown = version.show(scope, &endpoint, name, number, true);
        layer.versions.insert(number, version);
        Ok((201, shown))
    }

    pub(crate) fn layer_by_arn(&self, scope: &Scope, arn: &str) -> Answer {
        let gone = || missing("The resource you requested does not exist.");
        let (region, name, number) = parts(arn).ok_or_else(gone)?;
        let state = self.state.lock();
        let version = state.layers.find(arn).ok_or_else(gone)?;
        let scope = Scope {
            region,
            ..scope.clone()
        };
        Ok((
            200,
            version.show(&scope, &self.neighbours.endpoint(), &name, number, true),
        ))
    }

    fn layer_policy(
        &self,
        scope: &Scope,
        method: &str,
        arn: &str,
        tail: &[&str],
        input: &Value,
    ) -> Answer {
        let gone = || missing("The resource you requested does not exist.");
        let (region, name, number) = parts(arn).ok_or_else(gone)?;
        let mut state = self.state.lock();
        let layer = state
            .layers
            .layers
            .get_mut(&(region, name))
            .ok_or_else(gone)?;
        let version = layer.versions.get_mut(&number).ok_or_else(gone)?;
        match (method, tail) {
            ("GET", ["policy"]) if !version.statements.is_empty() => {
                let text = json!({"Version": "2012-10-17", "Id": "default", "Statement": version.statements});
                Ok((
                    200,
                    json!({"Policy": text.to_string(), "RevisionId": scope.uuid(arn)}),
                ))
            }
            ("GET", ["policy"]) => Err(missing("No policy is associated with the given resource.")),
            ("POST", ["policy"]) => {
                let principal = input["Principal"].as_str().unwrap_or_default();
                let statement = json!({
                    "Sid": input["StatementId"], "Effect": "Allow", "Principal": principal,
                    "Action": input["Action"], "Resource": arn,
                });
                version
                    .statements
                    .retain(|known| known["Sid"] != input["StatementId"]);
                version.statements.push(statement.clone());
                Ok((
                    201,
                    json!({"Statement": statement.to_string(), "RevisionId": scope.uuid(arn)}),
                ))
            }
            ("DELETE", ["policy", id]) => {
                version.statements.retain(|known| known["Sid"] != **id);
                Ok((204, Value::Null))
            }
            _ => Err(Refusal::unsupported("lambda", "layer policy")),
        }
    }
}
