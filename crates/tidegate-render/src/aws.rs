//! What AWS templates are read against, and what a rendering leaves beside its objects: templates
//! and archives of code. Must not know: how a template is read, AWS clients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::{RenderInput, Rendered};

/// The region that templates are read against when nobody names one.
pub const DEFAULT_REGION: &str = "us-east-1";
/// The account that templates are read against when nobody names one.
pub const DEFAULT_ACCOUNT: &str = "123456789012";

/// What AWS templates are read against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsEnvironment {
    /// `AWS::Region`.
    pub region: String,
    /// `AWS::AccountId`.
    pub account_id: String,
    /// `AWS::StackName`; none: the application's name, or what a `serverless.yml` says.
    pub stack_name: Option<String>,
    /// The stage of a `serverless.yml` (`--stage`).
    pub stage: Option<String>,
    /// Values of template parameters, and of `${param:…}`.
    pub parameters: BTreeMap<String, String>,
    /// Values of `${opt:…}` other than stage and region.
    pub options: BTreeMap<String, String>,
    /// Environment variables that `${env:…}` may read; nothing else of the environment is visible.
    pub variables: BTreeMap<String, String>,
    /// Exports of other stacks, for `Fn::ImportValue`.
    pub exports: BTreeMap<String, Value>,
    /// Plugins of a `serverless.yml` that the operator declares to leave the template alone.
    pub ignored_plugins: Vec<String>,
}

impl Default for AwsEnvironment {
    fn default() -> Self {
        AwsEnvironment {
            region: DEFAULT_REGION.to_owned(),
            account_id: DEFAULT_ACCOUNT.to_owned(),
            stack_name: None,
            stage: None,
            parameters: BTreeMap::new(),
            options: BTreeMap::new(),
            variables: BTreeMap::new(),
            exports: BTreeMap::new(),
            ignored_plugins: Vec::new(),
        }
    }
}

impl AwsEnvironment {
    /// The partition that the region lies in.
    pub fn partition(&self) -> &'static str {
        const PREFIXES: &[(&str, &str)] = &[
            ("cn-", "aws-cn"),
            ("us-gov-", "aws-us-gov"),
            ("us-isob-", "aws-iso-b"),
            ("us-isof-", "aws-iso-f"),
            ("us-iso-", "aws-iso"),
            ("eu-isoe-", "aws-iso-e"),
            ("eusc-", "aws-eusc"),
        ];
        let found = PREFIXES
            .iter()
            .find(|(prefix, _)| self.region.starts_with(prefix));
        found.map_or("aws", |(_, partition)| partition)
    }

    /// The environment with what a source's `plugin` sub-spec says: `parameters` named `stage`,
    /// `region`, `stackName` (string), `parameters`, `options`, `variables` (map) and
    /// `ignoredPlugins` (array).
    #[must_use]
    pub fn with_plugin(mut self, plugin: &Value) -> Self {
        let entries = plugin.get("parameters").and_then(Value::as_array);
        for entry in entries.into_iter().flatten() {
            let text = entry.get("string").and_then(Value::as_str);
            let map = || {
                let fields = entry.get("map").and_then(Value::as_object);
                fields.into_iter().flatten().filter_map(|(key, value)| {
                    let text = match value {
                        Value::String(text) => text.clone(),
                        Value::Number(_) | Value::Bool(_) => value.to_string(),
                        Value::Null | Value::Array(_) | Value::Object(_) => return None,
                    };
                    Some((key.clone(), text))
                })
            };
            match entry.get("name").and_then(Value::as_str) {
                Some("stage") => self.stage = text.map(str::to_owned),
                Some("region") => self.region = text.map_or(self.region, str::to_owned),
                Some("stackName") => self.stack_name = text.map(str::to_owned),
                Some("parameters") => self.parameters.extend(map()),
                Some("options") => self.options.extend(map()),
                Some("variables") => self.variables.extend(map()),
                Some("ignoredPlugins") => {
                    let names = entry.get("array").and_then(Value::as_array);
                    let names = names.into_iter().flatten().filter_map(Value::as_str);
                    self.ignored_plugins.extend(names.map(str::to_owned));
                }
                Some(_) | None => {}
            }
        }
        self
    }
}

/// Names of a `plugin` sub-spec under which a source is a plain directory with AWS options.
pub const PLUGIN_NAMES: &[&str] = &["tidegate", "sam", "serverless", "cloudformation"];

/// Whether a `plugin` sub-spec only carries AWS options.
pub fn is_aws_plugin(plugin: &Value) -> bool {
    let name = plugin.get("name").and_then(Value::as_str);
    name.is_some_and(|name| PLUGIN_NAMES.contains(&name))
}

/// A template as CloudFormation would be given it: one form for SAM, `serverless.yml` and CloudFormation.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedTemplate {
    /// The file that it stems from.
    pub path: String,
    /// The template, references unresolved.
    pub body: Value,
}

/// Packaged code: the same tree gives the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The SHA-256 of the bytes in standard base64, as Lambda writes `CodeSha256`.
    pub sha256: String,
    /// The archive.
    pub bytes: Arc<[u8]>,
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.bytes.len();
        write!(f, "Artifact({}, {size} bytes)", self.sha256)
    }
}

/// Reads whole files of a directory that are no manifests: templates and services.
pub trait DocumentReader: fmt::Debug + Send + Sync {
    /// Whether a file of this name is looked at though no manifest is called so.
    fn wants(&self, name: &str) -> bool;

    /// Whether the file is this reader's, by its path and bytes.
    fn claims(&self, path: &str, bytes: &[u8]) -> bool;

    /// What the file renders to; files that it names are read from the input's tree.
    fn read(&self, input: &RenderInput, path: &str, bytes: &[u8]) -> Rendered;
}
