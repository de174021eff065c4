//! Buckets listed, made, looked up and deleted, and the way of a bucket's requests.
//!
//! Must not know: objects' contents.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::bucket::Bucket;
use super::xml::{leaf, parse};
use super::{BUCKETS, Call, Destinations, Response, iso_date, not_found};
use crate::refusal::{Refusal, refuse};

fn check_name(name: &str) -> Result<(), Refusal> {
    let letters = name.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    });
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let fits = (3..=63).contains(&name.len())
        && letters
        && edge(bytes.first())
        && edge(bytes.last())
        && !name.contains("..")
        && name.parse::<Ipv4Addr>().is_err();
    if fits {
        return Ok(());
    }
    Err(
        refuse("InvalidBucketName", "The specified bucket is not valid.")
            .with("BucketName", Value::String(name.to_owned())),
    )
}

impl Call<'_> {
    pub(super) fn list_buckets(&mut self) -> Result<Response, Refusal> {
        if self.request.method != "GET" {
            return Err(refuse(
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            )
            .status(405));
        }
        let prefix = self.request.parameter("prefix").unwrap_or("");
        let region = self.request.parameter("bucket-region");
        let buckets: String = self
            .buckets
            .buckets
            .values()
            .filter(|bucket| bucket.name.starts_with(prefix))
            .filter(|bucket| region.is_none_or(|region| bucket.region == region))
            .map(|bucket| {
                format!(
                    "<Bucket>{}{}{}{}</Bucket>",
                    leaf("Name", &bucket.name),
                    leaf("CreationDate", &iso_date(bucket.created)),
                    leaf("BucketRegion", &bucket.region),
                    leaf("BucketArn", &bucket.arn())
                )
            })
            .collect();
        Ok(Response::xml(format!(
            "<ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner>{}</Owner><Buckets>{buckets}</Buckets></ListAllMyBucketsResult>",
            leaf("ID", &self.scope.account)
        )))
    }

    pub(super) fn bucket_request(
        &mut self,
        reachable: Destinations<'_>,
    ) -> Result<Response, Refusal> {
        let request = self.request;
        let setting = super::settings::NAMES
            .iter()
            .find(|name| request.has(name))
            .copied();
        if request.method == "PUT" && setting.is_none() {
            return self.create_bucket();
        }
        self.bucket()?;
        if let Some(setting) = setting {
            return self.setting(setting, reachable);
        }
        match request.method.as_str() {
            "POST" if request.has("delete") => self.delete_objects(),
            "GET" if request.has("uploads") => self.list_uploads(),
            "GET" if request.has("versions") => self.list_versions(),
            "GET" if request.parameter("list-type") == Some("2") => self.list_objects_v2(),
            "GET" => self.list_objects(),
            "HEAD" => {
                let region = self.bucket()?.region.clone();
                Ok(Response::status(200)
                    .header("x-amz-bucket-region", region)
                    .header("content-type", "application/xml"))
            }
            "DELETE" => self.delete_bucket(),
            _ => Err(refuse(
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            )
            .status(405)),
        }
    }

    fn create_bucket(&mut self) -> Result<Response, Refusal> {
        let name = self.request.bucket.clone();
        check_name(&name)?;
        let asked = self.scope.region.clone();
        let document = if self.request.body.is_empty() {
            None
        } else {
            Some(parse(&self.request.body)?)
        };
        let constraint = document
            .as_ref()
            .and_then(|document| document.value("LocationConstraint"))
            .filter(|constraint| !constraint.is_empty());
        let region = match constraint {
            Some("EU") => "eu-west-1".to_owned(),
            Some("us-east-1") => {
                return Err(refuse(
                    "InvalidLocationConstraint",
                    "The specified location-constraint is not valid",
                )
                .with("LocationConstraint", Value::String("us-east-1".into())));
            }
            Some(other) if asked != "us-east-1" && other != asked => {
                return Err(refuse(
                    "IllegalLocationConstraintException",
                    format!(
                        "The {other} location constraint is incompatible for the region specific endpoint this request was sent to."
                    ),
                ));
            }
            Some(other) => other.to_owned(),
            None if asked != "us-east-1" => {
                return Err(refuse(
                    "IllegalLocationConstraintException",
                    "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.",
                ));
            }
            None => asked,
        };
        if let Some(known) = self.buckets.buckets.get(&name) {
            if known.region == "us-east-1" && region == "us-east-1" {
                return Ok(Response::status(200).header("location", format!("/{name}")));
            }
            return Err(refuse(
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
            )
            .status(409)
            .with("BucketName", Value::String(name)));
        }
        if self.buckets.buckets.len() >= BUCKETS {
            return Err(refuse(
                "TooManyBuckets",
                "You have attempted to create more buckets than allowed",
            ));
        }
        let mut bucket = Bucket::new(&name, &region, self.scope.now);
        if let Some(tags) = document
            .as_ref()
            .and_then(|document| document.child("Tags"))
        {
            bucket.settings.insert(
                "tagging".into(),
                super::xml::Element {
                    name: "Tagging".into(),
                    text: String::new(),
                    children: vec![super::xml::Element {
                        name: "TagSet".into(),
                        ..tags.clone()
                    }],
                },
            );
        }
        if self.request.header("x-amz-bucket-object-lock-enabled") == Some("true") {
            bucket.versioning = super::bucket::Versioning::Enabled;
            let lock = parse(b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>")?;
            bucket.settings.insert("object-lock".into(), lock);
        }
        if let Some(ownership) = self.request.header("x-amz-object-ownership") {
            let text = format!(
                "<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>"
            );
            bucket
                .settings
                .insert("ownershipControls".into(), parse(text.as_bytes())?);
        }
        let location = if region == "us-east-1" {
            format!("/{name}")
        } else {
            format!("{}/{name}", self.scope.endpoint)
        };
        self.buckets.buckets.insert(name, bucket);
        Ok(Response::status(200).header("location", location))
    }

    fn delete_bucket(&mut self) -> Result<Response, Refusal> {
        let name = self.request.bucket.clone();
        let bucket = self.bucket()?;
        if !bucket.objects.is_empty() {
            return Err(refuse(
                "BucketNotEmpty",
                "The bucket you tried to delete is not empty",
            )
            .status(409)
            .with("BucketName", Value::String(name)));
        }
        self.buckets
            .buckets
            .remove(&name)
            .map(|_| Response::status(204))
            .ok_or_else(|| not_found("NoSuchBucket", "The specified bucket does not exist"))
    }
}
