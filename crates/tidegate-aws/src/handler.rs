//! The contract between [`crate::AwsApplier`] and the code of single resource types.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::{Map, Value};
use tidegate_applier::ApplierError;
use tidegate_manifest::Health;

use crate::Mark;

/// A resource as it is wanted: every reference evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// `AWS::Lambda::Function`.
    pub resource_type: String,
    /// The name to be given, when the type has names.
    pub physical_name: Option<String>,
    /// The properties, in CloudFormation's words; `Tags` hold the user's tags only.
    pub properties: Map<String, Value>,
    /// Whose it is: to be set as tags where the type has tags, see [`Resource::all_tags`].
    pub mark: Mark,
    /// A token that stays the same for the same attempt, for calls that are made idempotent by one.
    pub token: String,
    /// Tags that the live resource bears and that are to go: they were declared, or are of a former mark.
    pub removed_tags: BTreeSet<String>,
}

impl Resource {
    /// A property.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties.get(name).filter(|value| !value.is_null())
    }

    /// A property that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A property that is a whole number, also when the template has it in quotes.
    pub fn number(&self, name: &str) -> Option<i64> {
        integer(self.get(name)?)
    }

    /// A property that is true or false, also when the template has it in quotes.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            _ => None,
        }
    }

    /// The user's tags and the mark's.
    pub fn all_tags(&self) -> BTreeMap<String, String> {
        let mut tags = tags_of(self.get("Tags"));
        tags.extend(self.mark.tags());
        tags
    }
}

/// A whole number, also when it stands in quotes.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Tags of a `Tags` property in either form: a list of `{Key, Value}`, or a map.
pub fn tags_of(value: Option<&Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|tag| {
                let key = tag.get("Key")?.as_str()?.to_owned();
                Some((key, tag.get("Value").map(text).unwrap_or_default()))
            })
            .collect(),
        Some(Value::Object(map)) => map.iter().map(|(k, v)| (k.clone(), text(v))).collect(),
        _ => BTreeMap::new(),
    }
}

/// What a resource is looked for by, the first that is there: its id of last time, its name, its
/// properties.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lookup {
    /// `AWS::Lambda::Function`.
    pub resource_type: String,
    /// What [`LiveResource::physical_id`] was when it was last seen.
    pub physical_id: Option<String>,
    /// The name that it has, or is to have.
    pub physical_name: Option<String>,
    /// The wanted properties, evaluated as far as the target knows; an unknown part is still an
    /// intrinsic function (an object with one key).
    pub properties: Map<String, Value>,
    /// Whose it is to be: for types that are found by tag or marker.
    pub mark: Mark,
}

impl Lookup {
    /// A property that is text and known.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_str()
    }
}

/// A resource as the target shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveResource {
    /// What the handler finds it by at once: a name, an ARN, a UUID, or several joined by `|`.
    pub physical_id: String,
    /// What `Ref` gives.
    pub reference: String,
    /// What `Fn::GetAtt` gives.
    pub attributes: BTreeMap<String, Value>,
    /// The properties as a template would declare them: in CloudFormation's words and shapes,
    /// without read-only and write-only ones, and **without those that are at their default**, so
    /// that what Git does not declare and nobody set is equal to nothing. `Code` of a function is
    /// `{"Artifact": {"Sha256": …}}`. Without `Tags`.
    pub properties: Map<String, Value>,
    /// All tags, the mark's among them; none when the type has no tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// The target's version of this state (`RevisionId`), or empty: then a digest stands for it.
    pub version: String,
    /// How it is.
    pub health: Health,
    /// No change is under way: it may be changed and depended on.
    pub is_settled: bool,
}

/// What a deletion came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Gone,
    /// It is going.
    Going,
}

/// Reads, creates, changes and deletes resources of some types.
///
/// - Calls may be repeated: each is idempotent, or finds what an earlier one did.
/// - A call returns as soon as the target took the change; the applier waits with
///   [`Handler::read`] until the resource is settled, except where one change must be settled
///   before the next call is accepted: there the handler waits itself (with [`crate::settle`]).
/// - Refusals come as they are, with [`crate::from_sdk`]; throttles are retried by the client, and
///   delays of IAM by the handler ([`crate::retry`]).
#[async_trait]
pub trait Handler: Send + Sync + std::fmt::Debug {
    /// The types that it serves; a trailing `*` makes it the one for all that no other serves.
    fn types(&self) -> &'static [&'static str];

    /// The live resource; None when it is not there.
    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError>;

    /// Creates it and returns its physical id. One that is there already under the same mark counts
    /// as created; a foreign one is a Conflict.
    async fn create(&self, resource: &Resource) -> Result<String, ApplierError>;

    /// Changes the named top-level properties (`Tags` among them when tags differ, the mark's
    /// included) of a live resource to what `resource` says; a property that it does not say goes
    /// back to its default. Never called with a create-only property.
    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError>;

    /// Deletes it; what is absent is gone.
    async fn delete(
        &self,
        resource_type: &str,
        physical_id: &str,
    ) -> Result<Deletion, ApplierError>;

    /// Brings wanted properties of a type into the shapes in which [`Handler::read`] gives them:
    /// documents as objects, sorted sets, numbers that a template has in quotes, defaults left out.
    fn normalise(&self, resource_type: &str, properties: &mut Map<String, Value>) {
        let _ = (resource_type, properties);
    }

    /// Whether everything undeclared counts as default (the handler reads the whole resource). If
    /// not, only properties that are or were declared are compared.
    fn is_exact(&self) -> bool {
        true
    }

    /// Whether a live property (none: it is not shown) is what is declared, for handlers that know more of a type than that
    /// values are equal; None: values are compared. Asked only when [`Handler::is_exact`] is false.
    fn holds(
        &self,
        resource_type: &str,
        property: &str,
        declared: &Value,
        live: Option<&Value>,
    ) -> Option<bool> {
        let _ = (resource_type, property, declared, live);
        None
    }
}
