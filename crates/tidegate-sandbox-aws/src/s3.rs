//! S3: buckets with their settings, objects with versions, multipart uploads, listings, notifications.
//!
//! `bucket` holds a bucket, `settings` its subresources, `objects`, `list` and `multipart` the operations, `notify` the
//! events, `chunked`, `checksum` and `xml` the wire. Must not know: sockets, Lambda.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

mod bucket;
mod buckets;
mod checksum;
mod chunked;
mod list;
mod multipart;
mod notify;
mod objects;
mod settings;
mod tags;
mod xml;

use crate::effect::Effect;
use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use bucket::Bucket;

/// Buckets of the account.
const BUCKETS: usize = 1_000;
/// Bytes of objects and parts that the sandbox keeps.
const OBJECT_BYTES: usize = 512 << 20;
/// Bytes of one object that is put in one request.
const PUT_BYTES: usize = 256 << 20;

/// All buckets: their names are the same in every region.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    buckets: BTreeMap<String, Bucket>,
    counter: u64,
}

/// A request to S3, its bucket and key already told apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// `GET`, `PUT`…
    pub(crate) method: String,
    /// The bucket, empty for the account itself.
    pub(crate) bucket: String,
    /// The key, decoded; empty for the bucket itself.
    pub(crate) key: String,
    /// Query parameters, decoded.
    pub(crate) query: BTreeMap<String, String>,
    /// Headers by lowercase name.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body as it came.
    pub(crate) body: Bytes,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.query.contains_key(name)
    }
}

/// An answer of S3.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Headers, lowercase names.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Bytes,
}

impl Response {
    fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    fn xml(body: impl AsRef<str>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".into(), "application/xml".into())],
            body: Bytes::from(format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
                body.as_ref()
            )),
        }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Whether a notification may be sent to an ARN.
pub(crate) type Destinations<'a> = &'a dyn Fn(&str, &str) -> bool;

impl Buckets {
    /// Answers one request; notifications that it causes are added to `effects`. `reachable` tells whether a
    /// destination (first) exists and lets the bucket with this ARN (second) send to it.
    ///
    /// # Errors
    /// The service's own refusal, to be written by [`error_response`].
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        request: &Request,
        reachable: Destinations<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Response, Refusal> {
        let mut call = Call {
            buckets: self,
            scope,
            request,
            effects,
        };
        match (request.bucket.is_empty(), request.key.is_empty()) {
            (true, _) => call.list_buckets(),
            (false, true) => call.bucket_request(reachable),
            (false, false) => call.object_request(),
        }
    }

    /// Every bucket with its tags and region, for the tagging API.
    pub(crate) fn tagged(&self) -> Vec<(String, String, BTreeMap<String, String>)> {
        self.buckets
            .values()
            .map(|bucket| (bucket.region.clone(), bucket.arn(), bucket.tags()))
            .collect()
    }

    fn held(&self) -> usize {
        self.buckets.values().map(|bucket| bucket.bytes).sum()
    }
}

/// A refusal as S3 writes it.
pub(crate) fn error_response(refusal: &Refusal, request: &Request, id: &str) -> Response {
    let mut fields = String::new();
    for (name, value) in &refusal.extra {
        if let Value::String(text) = value {
            fields.push_str(&xml::leaf(name, text));
        }
    }
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{}{}{fields}<RequestId>{id}</RequestId><HostId>sandbox</HostId></Error>",
        xml::leaf("Code", &refusal.code),
        xml::leaf("Message", &refusal.message),
    );
    let empty = request.method == "HEAD" || refusal.status == 304;
    let mut response = Response::status(refusal.status).header("content-type", "application/xml");
    if !empty {
        response.body = Bytes::from(body);
    }
    response
}

/// One request.
struct Call<'a> {
    buckets: &'a mut Buckets,
    scope: &'a Scope,
    request: &'a Request,
    effects: &'a mut Vec<Effect>,
}

fn not_found(code: &str, message: &str) -> Refusal {
    refuse(code, message).status(404)
}

fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn iso_date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

impl Call<'_> {
    fn bucket(&mut self) -> Result<&mut Bucket, Refusal> {
        let name = &self.request.bucket;
        self.buckets.buckets.get_mut(name).ok_or_else(|| {
            not_found("NoSuchBucket", "The specified bucket does not exist")
                .with("BucketName", Value::String(name.clone()))
        })
    }

    /// A number that no other request has; versions and sequencers are made of it.
    fn count(&mut self) -> u64 {
        self.buckets.counter += 1;
        self.buckets.counter
    }

    fn room(&self, bytes: usize) -> Result<(), Refusal> {
        if bytes <= PUT_BYTES && self.buckets.held() + bytes <= OBJECT_BYTES {
            return Ok(());
        }
        Err(refuse(
            "EntityTooLarge",
            format!(
                "The sandbox keeps {} MiB of objects and takes {} MiB in one request.",
                OBJECT_BYTES >> 20,
                PUT_BYTES >> 20
            ),
        ))
    }

    fn object_request(&mut self) -> Result<Response, Refusal> {
        self.bucket()?;
        let request = self.request;
        if request.key.len() > 1_024 {
            return Err(refuse("KeyTooLongError", "Your key is too long"));
        }
        match (
            request.method.as_str(),
            request.has("uploadId"),
            request.has("uploads"),
        ) {
            ("POST", _, true) => return self.create_upload(),
            ("PUT", true, _) => return self.upload_part(),
            ("POST", true, _) => return self.complete_upload(),
            ("DELETE", true, _) => return self.abort_upload(),
            ("GET", true, _) => return self.list_parts(),
            _ => {}
        }
        if request.has("tagging") {
            return self.object_tagging();
        }
        if request.has("acl") {
            return self.acl();
        }
        match request.method.as_str() {
            "PUT" if request.headers.contains_key("x-amz-copy-source") => self.copy_object(),
            "PUT" => self.put_object(),
            "GET" if request.has("attributes") => self.object_attributes(),
            "GET" | "HEAD" => self.get_object(),
            "DELETE" => self.delete_object(),
            other => Err(refuse(
                "MethodNotAllowed",
                format!(
                    "The sandbox's S3 does not answer {other} on an object with these parameters."
                ),
            )
            .status(405)),
        }
    }
}
