//! `AWS::Serverless::LayerVersion`.

use serde_json::{Map, Value, json};

use crate::sam::function::s3_location;
use crate::sam::rules::{self, Is};
use crate::sam::{Fault, Made, Sam, Subject, fields, hash, is_intrinsic};

const RULES: &[rules::Rule] = &[
    ("LayerName", false, Is::TextOrMap),
    ("Description", false, Is::Any),
    ("ContentUri", true, Is::TextOrMap),
    ("CompatibleArchitectures", false, Is::Any),
    ("CompatibleRuntimes", false, Is::Any),
    ("LicenseInfo", false, Is::Any),
    ("RetentionPolicy", false, Is::Any),
    ("PublishLambdaVersion", false, Is::Bool),
];

impl Sam<'_> {
    pub(crate) fn layer(&mut self, subject: &Subject<'_>) -> Made<()> {
        let id = subject.id;
        rules::check(subject, "AWS::Serverless::LayerVersion", RULES)?;
        let mut resolved = subject.properties.clone();
        for name in ["LayerName", "LicenseInfo", "Description", "RetentionPolicy"] {
            if let Some(value) = resolved.get(name).cloned() {
                resolved.insert(name.to_owned(), self.resolved(&value));
            }
        }
        let retention = self.retention(subject, resolved.get("RetentionPolicy"))?;
        let mut hashed = Map::from_iter([
            ("Type".to_owned(), json!("AWS::Serverless::LayerVersion")),
            ("Properties".to_owned(), Value::Object(resolved.clone())),
        ]);
        let attributes = subject.resource.as_object().into_iter().flatten();
        for (name, value) in attributes {
            let is_part = ![
                "Type",
                "Properties",
                "DeletionPolicy",
                "UpdateReplacePolicy",
                "Metadata",
            ]
            .contains(&name.as_str());
            if is_part {
                hashed.insert(name.clone(), value.clone());
            }
        }
        let data = json!({id: hashed});
        let layer = hash::id(id, &data);
        self.renamed.insert(id.to_owned(), layer.clone());
        self.check_architectures(subject)?;
        let name = resolved
            .get("LayerName")
            .filter(|name| !name.is_null())
            .cloned();
        let properties = fields([
            ("LayerName", Some(name.unwrap_or_else(|| json!(id)))),
            ("Description", resolved.get("Description").cloned()),
            (
                "Content",
                Some(s3_location(
                    id,
                    &subject.properties["ContentUri"],
                    "ContentUri",
                )?),
            ),
            (
                "CompatibleArchitectures",
                subject.get("CompatibleArchitectures").cloned(),
            ),
            (
                "CompatibleRuntimes",
                subject.get("CompatibleRuntimes").cloned(),
            ),
            ("LicenseInfo", resolved.get("LicenseInfo").cloned()),
        ]);
        let mut attributes = subject.own();
        if let Some(retention) = retention {
            attributes.insert("DeletionPolicy".to_owned(), json!(retention));
        }
        self.emit(&layer, "AWS::Lambda::LayerVersion", properties, attributes);
        Ok(())
    }

    fn retention(&self, subject: &Subject<'_>, policy: Option<&Value>) -> Made<Option<String>> {
        let Some(policy) = policy.filter(|policy| !policy.is_null()) else {
            let is_given = subject.resource.get("DeletionPolicy").is_some();
            return Ok((!is_given).then(|| "Retain".to_owned()));
        };
        match policy.as_str().map(str::to_lowercase).as_deref() {
            Some("retain") => Ok(Some("Retain".to_owned())),
            Some("delete") => Ok(Some("Delete".to_owned())),
            _ if is_intrinsic(policy) => Err(Fault::new(
                subject.id,
                "'RetentionPolicy' does not accept intrinsic functions, please use one of the following options: ['Retain', 'Delete']",
            )),
            _ => Err(Fault::new(
                subject.id,
                "'RetentionPolicy' must be one of the following options: ['Retain', 'Delete'].",
            )),
        }
    }

    fn check_architectures(&self, subject: &Subject<'_>) -> Made<()> {
        let Some(given) = subject.get("CompatibleArchitectures") else {
            return Ok(());
        };
        let resolved = self.resolved(given);
        let list = resolved.as_array();
        for architecture in list.into_iter().flatten() {
            let is_known = architecture
                .as_str()
                .is_none_or(|name| ["x86_64", "arm64"].contains(&name));
            if !is_known {
                let message =
                    format!("CompatibleArchitectures needs to be a list of 'x86_64' or 'arm64'");
                return Err(Fault::new(subject.id, message));
            }
        }
        Ok(())
    }
}
