//! CloudFormation resources as objects: one form for SAM, `serverless.yml` and CloudFormation.
//!
//! A resource's body has the outer form of every object, so that phases, waves, options, ignore
//! rules and tracking work on it unchanged:
//!
//! ```yaml
//! apiVersion: aws/2010-09-09
//! kind: AWS::Lambda::Function
//! metadata:
//!   name: Transform            # the logical id
//!   namespace: etl-prod        # the stack's name
//!   annotations: {argocd.argoproj.io/sync-wave: "2"}   # from the resource's Metadata
//! PhysicalName: etl-prod-transform
//! Properties: {MemorySize: 256, Role: {"Fn::GetAtt": [TransformRole, Arn]}}
//! DependsOn: [TransformLogs]
//! DeletionPolicy: Retain
//! References:
//!   TransformRole: {Type: "AWS::IAM::Role", PhysicalName: etl-prod-TransformRole-1K2L3M4N5P6Q}
//! Sensitive: [/Properties/Environment/Variables/PASSWORD]
//! ```
//!
//! Parameters, mappings, conditions and pseudo parameters are evaluated already. What is left of
//! the intrinsic functions is what only the target can say: `Ref`, `Fn::GetAtt`, and `Fn::Join`,
//! `Fn::Select`, `Fn::Split`, `Fn::Base64`, `Fn::ToJsonString` around them, and dynamic references
//! (`{{resolve:…}}`) inside texts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::GroupVersionKind;

/// `apiVersion` of a CloudFormation resource: the language's only version.
pub const AWS_API_VERSION: &str = "aws/2010-09-09";
/// The group in it.
pub const AWS_GROUP: &str = "aws";
/// In `Properties.Code` and a layer's `Content`: names packaged code by its digest,
/// `{"Artifact": {"Sha256": "<base64>", "Size": <bytes>}}`.
pub const ARTIFACT: &str = "Artifact";

/// Another resource that a resource names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResourceReference {
    /// Its type.
    #[serde(rename = "Type")]
    pub resource_type: String,
    /// Its stack, when it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Its name in the target, when that is known without asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_name: Option<String>,
}

/// What CloudFormation does with a resource that leaves the template or is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletionPolicy {
    /// It goes.
    #[default]
    Delete,
    /// It stays and is no longer managed.
    Retain,
    /// It stays, unless its very creation failed.
    RetainExceptOnCreate,
    /// A snapshot is made first.
    Snapshot,
}

/// A CloudFormation resource, its template evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CloudFormationResource {
    /// `AWS::Lambda::Function`.
    pub resource_type: String,
    /// The stack's name.
    pub stack: String,
    /// The logical id.
    pub logical_id: String,
    /// The name in the target, when the type has one: as declared, else made of stack, logical id
    /// and a digest of both.
    pub physical_name: Option<String>,
    /// The properties.
    pub properties: Map<String, Value>,
    /// `DependsOn`.
    pub depends_on: Vec<String>,
    /// `DeletionPolicy`.
    pub deletion_policy: DeletionPolicy,
    /// `UpdateReplacePolicy`.
    pub update_replace_policy: DeletionPolicy,
    /// `UpdatePolicy`, as written.
    pub update_policy: Option<Value>,
    /// Text entries of `Metadata`.
    pub annotations: BTreeMap<String, String>,
    /// The resources that the properties and `DependsOn` name, by logical id.
    pub references: BTreeMap<String, ResourceReference>,
    /// JSON pointers into the body whose values are never shown.
    pub sensitive: Vec<String>,
}

impl CloudFormationResource {
    /// Whether an object of this kind is a CloudFormation resource.
    pub fn is_type(gvk: &GroupVersionKind) -> bool {
        gvk.group == AWS_GROUP
    }

    /// The body of the object.
    pub fn to_body(&self) -> Value {
        let mut body = json!({
            "apiVersion": AWS_API_VERSION,
            "kind": self.resource_type,
            "metadata": {"name": self.logical_id, "namespace": self.stack},
            "Properties": self.properties,
        });
        let mut set = |field: &str, value: Value| {
            if let Some(body) = body.as_object_mut() {
                body.insert(field.to_owned(), value);
            }
        };
        if let Some(name) = &self.physical_name {
            set("PhysicalName", json!(name));
        }
        if !self.depends_on.is_empty() {
            set("DependsOn", json!(self.depends_on));
        }
        for (field, policy) in [
            ("DeletionPolicy", self.deletion_policy),
            ("UpdateReplacePolicy", self.update_replace_policy),
        ] {
            if policy != DeletionPolicy::Delete {
                set(field, json!(policy));
            }
        }
        if let Some(policy) = &self.update_policy {
            set("UpdatePolicy", policy.clone());
        }
        if !self.references.is_empty() {
            set("References", json!(self.references));
        }
        if !self.sensitive.is_empty() {
            set("Sensitive", json!(self.sensitive));
        }
        if !self.annotations.is_empty() {
            body["metadata"]["annotations"] = json!(self.annotations);
        }
        body
    }

    /// Reads a body back; none when it is no CloudFormation resource.
    pub fn from_body(body: &Value) -> Option<Self> {
        if body.get("apiVersion")?.as_str()? != AWS_API_VERSION {
            return None;
        }
        let text = |pointer: &str| {
            let found = body.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        fn read<T: serde::de::DeserializeOwned + Default>(value: Option<&Value>) -> T {
            let value = value.cloned();
            value
                .and_then(|value| serde_json::from_value(value).ok())
                .unwrap_or_default()
        }
        Some(Self {
            resource_type: text("/kind"),
            stack: text("/metadata/namespace"),
            logical_id: text("/metadata/name"),
            physical_name: read(body.get("PhysicalName")),
            properties: read(body.get("Properties")),
            depends_on: read(body.get("DependsOn")),
            deletion_policy: read(body.get("DeletionPolicy")),
            update_replace_policy: read(body.get("UpdateReplacePolicy")),
            update_policy: body.get("UpdatePolicy").cloned(),
            annotations: read(body.pointer("/metadata/annotations")),
            references: read(body.get("References")),
            sensitive: read(body.get("Sensitive")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_reads_back_as_it_was_written() {
        let resource = CloudFormationResource {
            resource_type: "AWS::SQS::Queue".to_owned(),
            stack: "etl".to_owned(),
            logical_id: "Dead".to_owned(),
            physical_name: Some("etl-dead".to_owned()),
            properties: Map::from_iter([("DelaySeconds".to_owned(), json!(5))]),
            depends_on: vec!["Key".to_owned()],
            deletion_policy: DeletionPolicy::Retain,
            annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            references: BTreeMap::from([(
                "Key".to_owned(),
                ResourceReference {
                    resource_type: "AWS::KMS::Key".to_owned(),
                    ..ResourceReference::default()
                },
            )]),
            sensitive: vec!["/Properties/X".to_owned()],
            ..CloudFormationResource::default()
        };
        let body = resource.to_body();
        assert_eq!(CloudFormationResource::from_body(&body), Some(resource));
        assert_eq!(
            CloudFormationResource::from_body(&json!({"apiVersion": "v1"})),
            None
        );
    }
}
