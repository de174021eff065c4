//! The subresources of a bucket: versioning, tags, encryption, access, policy, notifications and the rest.
//!
//! Must not know: objects.

use bytes::Bytes;
use serde_json::Value;

use super::bucket::Versioning;
use super::xml::{Element, leaf, parse};
use super::{Call, Destinations, Response, not_found, notify, tags};
use crate::refusal::{Refusal, refuse};

/// The query parameters that name a subresource.
pub(super) const NAMES: [&str; 20] = [
    "location",
    "versioning",
    "tagging",
    "encryption",
    "publicAccessBlock",
    "ownershipControls",
    "policyStatus",
    "policy",
    "notification",
    "lifecycle",
    "cors",
    "acl",
    "logging",
    "website",
    "accelerate",
    "requestPayment",
    "replication",
    "object-lock",
    "intelligent-tiering",
    "metrics",
];
/// Bytes of a bucket policy.
const POLICY_BYTES: usize = 20_480;
/// Tags of a bucket.
const TAGS: usize = 50;
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The root element of a subresource's document, and the refusal when there is none.
fn shape(name: &str) -> (&'static str, Option<(&'static str, &'static str)>) {
    match name {
        "tagging" => (
            "Tagging",
            Some(("NoSuchTagSet", "The TagSet does not exist")),
        ),
        "encryption" => ("ServerSideEncryptionConfiguration", None),
        "publicAccessBlock" => (
            "PublicAccessBlockConfiguration",
            Some((
                "NoSuchPublicAccessBlockConfiguration",
                "The public access block configuration was not found",
            )),
        ),
        "ownershipControls" => (
            "OwnershipControls",
            Some((
                "OwnershipControlsNotFoundError",
                "The bucket ownership controls were not found",
            )),
        ),
        "lifecycle" => (
            "LifecycleConfiguration",
            Some((
                "NoSuchLifecycleConfiguration",
                "The lifecycle configuration does not exist",
            )),
        ),
        "cors" => (
            "CORSConfiguration",
            Some((
                "NoSuchCORSConfiguration",
                "The CORS configuration does not exist",
            )),
        ),
        "website" => (
            "WebsiteConfiguration",
            Some((
                "NoSuchWebsiteConfiguration",
                "The specified bucket does not have a website configuration",
            )),
        ),
        "replication" => (
            "ReplicationConfiguration",
            Some((
                "ReplicationConfigurationNotFoundError",
                "The replication configuration was not found",
            )),
        ),
        "object-lock" => (
            "ObjectLockConfiguration",
            Some((
                "ObjectLockConfigurationNotFoundError",
                "Object Lock configuration does not exist for this bucket",
            )),
        ),
        "logging" => ("BucketLoggingStatus", None),
        "accelerate" => ("AccelerateConfiguration", None),
        "requestPayment" => ("RequestPaymentConfiguration", None),
        "intelligent-tiering" => (
            "IntelligentTieringConfiguration",
            Some((
                "NoSuchConfiguration",
                "The specified configuration does not exist.",
            )),
        ),
        "metrics" => (
            "MetricsConfiguration",
            Some((
                "NoSuchConfiguration",
                "The specified configuration does not exist.",
            )),
        ),
        _ => ("VersioningConfiguration", None),
    }
}

/// What a new bucket has although nobody put it.
fn default_of(name: &str) -> Option<&'static str> {
    match name {
        "encryption" => Some(
            "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>",
        ),
        "publicAccessBlock" => Some(
            "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets>",
        ),
        "ownershipControls" => {
            Some("<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>")
        }
        "requestPayment" => Some("<Payer>BucketOwner</Payer>"),
        "logging" | "accelerate" => Some(""),
        _ => None,
    }
}

impl Call<'_> {
    pub(super) fn setting(
        &mut self,
        name: &str,
        reachable: Destinations<'_>,
    ) -> Result<Response, Refusal> {
        match name {
            "location" => self.location(),
            "versioning" => self.versioning(),
            "policy" => self.policy(),
            "policyStatus" => self.policy_status(),
            "notification" => self.notification(reachable),
            "acl" => self.acl(),
            other => self.stored(other),
        }
    }

    fn location(&mut self) -> Result<Response, Refusal> {
        let region = self.bucket()?.region.clone();
        let body = if region == "us-east-1" {
            format!("<LocationConstraint xmlns=\"{NAMESPACE}\"/>")
        } else {
            format!("<LocationConstraint xmlns=\"{NAMESPACE}\">{region}</LocationConstraint>")
        };
        Ok(Response::xml(body))
    }

    fn versioning(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let bucket = self.bucket()?;
        if request.method == "PUT" {
            bucket.versioning = match parse(&request.body)?.value("Status") {
                Some("Enabled") => Versioning::Enabled,
                Some("Suspended") => Versioning::Suspended,
                _ => {
                    return Err(refuse(
                        "IllegalVersioningConfigurationException",
                        "The Versioning element must be specified",
                    ));
                }
            };
            return Ok(Response::status(200));
        }
        let status = match bucket.versioning {
            Versioning::Never => "",
            Versioning::Enabled => "<Status>Enabled</Status>",
            Versioning::Suspended => "<Status>Suspended</Status>",
        };
        Ok(Response::xml(format!(
            "<VersioningConfiguration xmlns=\"{NAMESPACE}\">{status}</VersioningConfiguration>"
        )))
    }

    fn policy(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let bucket = self.bucket()?;
        match request.method.as_str() {
            "PUT" => {
                let text = String::from_utf8_lossy(&request.body).into_owned();
                let valid = serde_json::from_str::<Value>(&text)
                    .is_ok_and(|policy| policy.get("Statement").is_some());
                if !valid || text.len() > POLICY_BYTES {
                    return Err(refuse(
                        "MalformedPolicy",
                        "This policy contains invalid Json",
                    ));
                }
                bucket.policy = Some(text);
                Ok(Response::status(204))
            }
            "DELETE" => {
                bucket.policy = None;
                Ok(Response::status(204))
            }
            _ => match &bucket.policy {
                Some(text) => Ok(Response {
                    status: 200,
                    headers: vec![("content-type".into(), "application/json".into())],
                    body: Bytes::from(text.clone()),
                }),
                None => Err(not_found(
                    "NoSuchBucketPolicy",
                    "The bucket policy does not exist",
                )),
            },
        }
    }

    fn policy_status(&mut self) -> Result<Response, Refusal> {
        let policy = self.bucket()?.policy.clone();
        let Some(policy) = policy else {
            return Err(not_found(
                "NoSuchBucketPolicy",
                "The bucket policy does not exist",
            ));
        };
        let read: Value = serde_json::from_str(&policy).unwrap_or_default();
        let statements = match &read["Statement"] {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        let public = statements.iter().any(|statement| {
            statement["Effect"] == "Allow"
                && (statement["Principal"] == "*" || statement["Principal"]["AWS"] == "*")
                && statement.get("Condition").is_none()
        });
        Ok(Response::xml(format!(
            "<PolicyStatus xmlns=\"{NAMESPACE}\"><IsPublic>{public}</IsPublic></PolicyStatus>"
        )))
    }

    fn notification(&mut self, reachable: Destinations<'_>) -> Result<Response, Refusal> {
        let request = self.request;
        if request.method != "PUT" {
            let bucket = self.bucket()?;
            let body = notify::document(&bucket.notifications, bucket.event_bridge);
            return Ok(Response::xml(body));
        }
        let document = parse(&request.body)?;
        let skips = request.header("x-amz-skip-destination-validation") == Some("true");
        let (notifications, event_bridge) = notify::read(&document, self.scope)?;
        let arn = self.bucket()?.arn();
        for notification in &notifications {
            if !skips && !reachable(&notification.target, &arn) {
                return Err(refuse(
                    "InvalidArgument",
                    "Unable to validate the following destination configurations",
                )
                .with(
                    "ArgumentName1",
                    Value::String(format!("{}, null", notification.target)),
                )
                .with(
                    "ArgumentValue1",
                    Value::String(
                        "Not authorized to invoke the destination, or it does not exist".into(),
                    ),
                ));
            }
        }
        let bucket_name = request.bucket.clone();
        for notification in &notifications {
            self.effects
                .extend(notify::test_event(notification, &bucket_name, self.scope));
        }
        let bucket = self.bucket()?;
        bucket.notifications = notifications;
        bucket.event_bridge = event_bridge;
        Ok(Response::status(200))
    }

    pub(super) fn acl(&mut self) -> Result<Response, Refusal> {
        if self.request.method == "PUT" {
            return Ok(Response::status(200));
        }
        let owner = leaf("ID", &self.scope.account);
        Ok(Response::xml(format!(
            "<AccessControlPolicy xmlns=\"{NAMESPACE}\"><Owner>{owner}</Owner><AccessControlList><Grant>\
             <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">{owner}</Grantee>\
             <Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>"
        )))
    }

    /// A subresource that is kept as it was put.
    fn stored(&mut self, name: &str) -> Result<Response, Refusal> {
        let request = self.request;
        let (root, missing) = shape(name);
        let place = match request.parameter("id") {
            Some(id) if matches!(name, "intelligent-tiering" | "metrics") => format!("{name}/{id}"),
            _ => name.to_owned(),
        };
        let bucket = self.bucket()?;
        match request.method.as_str() {
            "PUT" => {
                let document = parse(&request.body)?;
                if document.name != root {
                    return Err(refuse(
                        "MalformedXML",
                        "The XML you provided was not well-formed or did not validate against our published schema",
                    ));
                }
                check(name, &document)?;
                bucket.settings.insert(place, document);
                Ok(Response::status(if name == "tagging" { 204 } else { 200 }))
            }
            "DELETE" => {
                let gone = Element {
                    name: String::new(),
                    ..Element::default()
                };
                // What exists by default is absent only once it was deleted.
                if matches!(name, "publicAccessBlock" | "ownershipControls") {
                    bucket.settings.insert(place, gone);
                } else {
                    bucket.settings.remove(&place);
                }
                Ok(Response::status(204))
            }
            _ => {
                let inner = match bucket.settings.get(&place) {
                    Some(document) if document.name.is_empty() => None,
                    Some(document) => Some(document.children.iter().map(Element::write).collect()),
                    None => default_of(name).map(str::to_owned),
                };
                match (inner, missing) {
                    (Some(inner), _) => Ok(Response::xml(format!(
                        "<{root} xmlns=\"{NAMESPACE}\">{inner}</{root}>"
                    ))),
                    (None, Some((code, words))) => Err(not_found(code, words)
                        .with("BucketName", Value::String(request.bucket.clone()))),
                    (None, None) => Ok(Response::xml(format!("<{root} xmlns=\"{NAMESPACE}\"/>"))),
                }
            }
        }
    }
}

fn check(name: &str, document: &Element) -> Result<(), Refusal> {
    let malformed = || {
        refuse(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    };
    match name {
        "tagging" => tags::check(document, TAGS, "Bucket"),
        "lifecycle" => {
            for rule in document.all("Rule") {
                match rule.value("Status") {
                    Some("Enabled" | "Disabled") => {}
                    _ => return Err(malformed()),
                }
            }
            if document.children.is_empty() {
                return Err(malformed());
            }
            Ok(())
        }
        "ownershipControls" => match document
            .child("Rule")
            .and_then(|rule| rule.value("ObjectOwnership"))
        {
            Some("BucketOwnerEnforced" | "BucketOwnerPreferred" | "ObjectWriter") => Ok(()),
            _ => Err(malformed()),
        },
        "encryption" => {
            let algorithm = document
                .child("Rule")
                .and_then(|rule| rule.child("ApplyServerSideEncryptionByDefault"))
                .and_then(|rule| rule.value("SSEAlgorithm"));
            match algorithm {
                Some("AES256" | "aws:kms" | "aws:kms:dsse") => Ok(()),
                _ => Err(malformed()),
            }
        }
        _ => Ok(()),
    }
}
