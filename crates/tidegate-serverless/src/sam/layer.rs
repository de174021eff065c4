//! `AWS::Serverless::LayerVersion`.

use serde_json::{Map, Value, json};

use crate::sam::location::s3_location;
use crate::sam::rules::{self, Is};
use crate::sam::{Fault, Made, Sam, Subject, fields, hash, is_intrinsic};

const RULES: &[rules::Rule] = &[
    ("LayerName", false, Is::TextOrMap),
    ("Description", false, Is::Text),
    ("PublishLambdaVersion", false, Is::Bool),
    ("ContentUri", true, Is::TextOrMap),
    ("CompatibleArchitectures", false, Is::TextsOrMaps),
    ("CompatibleRuntimes", false, Is::TextsOrMaps),
    ("LicenseInfo", false, Is::Text),
    ("RetentionPolicy", false, Is::Text),
];

impl Sam<'_> {
    pub(crate) fn layer(&mut self, subject: &Subject<'_>) -> Made<()> {
        let id = subject.id;
        rules::check_subject(self, subject, "AWS::Serverless::LayerVersion", RULES)?;
        let mut resolved = subject.properties.clone();
        resolved.retain(|_, value| !value.is_null());
        for name in ["LayerName", "LicenseInfo", "Description", "RetentionPolicy"] {
            let Some(value) = subject.some(name) else {
                continue;
            };
            let value = self.resolved(value);
            if !value.is_string() && !value.is_object() {
                let message = format!(
                    "Could not resolve parameter for '{name}' or parameter is not a String."
                );
                return Err(Fault::new(id, message));
            }
            resolved.insert(name.to_owned(), value);
        }
        let retention = self.retention(subject, resolved.get("RetentionPolicy"))?;
        let mut hashed = Map::from_iter([
            ("Type".to_owned(), json!("AWS::Serverless::LayerVersion")),
            ("Properties".to_owned(), Value::Object(resolved.clone())),
        ]);
        let mut attributes = subject.own();
        attributes.retain(|name, _| {
            !["DeletionPolicy", "UpdateReplacePolicy", "Metadata"].contains(&name.as_str())
        });
        hashed.extend(attributes);
        let data = json!({id: hashed});
        let layer = hash::id(id, &data);
        self.renamed.insert(id.to_owned(), layer.clone());
        let name = resolved
            .get("LayerName")
            .filter(|name| crate::sam::is_truthy(name))
            .cloned();
        let properties = fields([
            ("LayerName", Some(name.unwrap_or_else(|| json!(id)))),
            ("Description", resolved.get("Description").cloned()),
            (
                "Content",
                Some(
                    s3_location(&layer, &subject.properties["ContentUri"], "ContentUri")
                        .map_err(|fault| fault.at_resource(id))?,
                ),
            ),
            (
                "CompatibleArchitectures",
                resolved.get("CompatibleArchitectures").cloned(),
            ),
            (
                "CompatibleRuntimes",
                subject.get("CompatibleRuntimes").cloned(),
            ),
            ("LicenseInfo", resolved.get("LicenseInfo").cloned()),
        ]);
        check_architectures(&layer, resolved.get("CompatibleArchitectures"))
            .map_err(|fault| fault.at_resource(id))?;
        let mut attributes = subject.passed_on();
        let own = subject.own();
        attributes.extend(fields([("DependsOn", own.get("DependsOn").cloned())]));
        // Sync annotations stand in the metadata; the reference drops it all.
        let notes = own.get("Metadata").and_then(Value::as_object);
        let notes = notes.into_iter().flatten();
        let notes: Map<String, Value> = notes
            .filter(|(name, _)| name.starts_with("tidegate.dev/"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !notes.is_empty() {
            attributes.insert("Metadata".to_owned(), Value::Object(notes));
        }
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
            None => Err(Fault::new(
                subject.id,
                "Invalid 'RetentionPolicy' type, please use one of the following options: ['Retain', 'Delete']",
            )),
            Some(_) => Err(Fault::new(
                subject.id,
                "'RetentionPolicy' must be one of the following options: ['Retain', 'Delete'].",
            )),
        }
    }
}

fn check_architectures(id: &str, given: Option<&Value>) -> Made<()> {
    for architecture in given.and_then(Value::as_array).into_iter().flatten() {
        let is_known = matches!(architecture.as_str(), Some("x86_64" | "arm64"));
        if !is_known && !is_intrinsic(architecture) {
            let message = "CompatibleArchitectures needs to be a list of 'x86_64' or 'arm64'";
            return Err(Fault::new(id, message));
        }
    }
    Ok(())
}
