//! Objects put, read, copied and deleted.
//!
//! Must not know: listings, multipart uploads.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::bucket::{Bucket, Version, Versioning};
use super::checksum::{ALGORITHMS, Checksum, md5_hex, settle};
use super::notify::{Happening, effects};
use super::xml::{leaf, parse};
use super::{Call, Request, Response, chunked, http_date, iso_date, not_found, tags};
use crate::refusal::{Refusal, refuse};

/// Headers that are kept with an object and given back.
const KEPT: [&str; 11] = [
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
];
/// Tags of an object.
const TAGS: usize = 10;
/// Keys of one DeleteObjects request.
const DELETES: usize = 1_000;

fn no_such_key(key: &str) -> Refusal {
    not_found("NoSuchKey", "The specified key does not exist.")
        .with("Key", Value::String(key.to_owned()))
}

fn precondition(condition: &str) -> Refusal {
    refuse(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    )
    .status(412)
    .with("Condition", Value::String(condition.to_owned()))
}

/// The body of a request without framing, and its checksum, verified.
///
/// # Errors
/// `IncompleteBody`, `BadDigest`.
pub(super) fn body(request: &Request) -> Result<(Bytes, Checksum), Refusal> {
    let framed = request
        .header("x-amz-content-sha256")
        .is_some_and(|hash| hash.starts_with("STREAMING-"))
        || request
            .header("content-encoding")
            .is_some_and(|encoding| encoding.contains("aws-chunked"));
    let (data, trailers) = if framed {
        chunked::decode(&request.body)?
    } else {
        (request.body.clone(), BTreeMap::new())
    };
    if let Some(length) = request.header("x-amz-decoded-content-length")
        && length.parse() != Ok(data.len())
    {
        return Err(refuse(
            "IncompleteBody",
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
        ));
    }
    if let Some(sent) = request.header("content-md5")
        && STANDARD.decode(sent).is_ok_and(|digest| {
            digest
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                != md5_hex(&data)
        })
    {
        return Err(refuse(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
        ));
    }
    let sent = ALGORITHMS.iter().find_map(|algorithm| {
        let name = format!("x-amz-checksum-{algorithm}");
        let value = request
            .header(&name)
            .or(trailers.get(&name).map(String::as_str))?;
        Some(Checksum {
            algorithm: (*algorithm).to_owned(),
            value: value.to_owned(),
        })
    });
    let checksum = settle(sent, &data)?;
    Ok((data, checksum))
}

/// The headers of a request that stay with the object.
pub(super) fn kept_headers(request: &Request, bucket: &Bucket) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = request
        .headers
        .iter()
        .filter(|(name, _)| KEPT.contains(&name.as_str()) || name.starts_with("x-amz-meta-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(encoding) = headers.remove("content-encoding") {
        let rest: Vec<&str> = encoding
            .split(',')
            .map(str::trim)
            .filter(|part| *part != "aws-chunked" && !part.is_empty())
            .collect();
        if !rest.is_empty() {
            headers.insert("content-encoding".into(), rest.join(","));
        }
    }
    if headers
        .get("x-amz-storage-class")
        .is_some_and(|class| class == "STANDARD")
    {
        headers.remove("x-amz-storage-class");
    }
    headers
        .entry("content-type".into())
        .or_insert_with(|| "binary/octet-stream".into());
    if !headers.contains_key("x-amz-server-side-encryption") {
        let rule = bucket
            .settings
            .get("encryption")
            .and_then(|document| document.child("Rule"))
            .and_then(|rule| rule.child("ApplyServerSideEncryptionByDefault"));
        let algorithm = rule
            .and_then(|rule| rule.value("SSEAlgorithm"))
            .unwrap_or("AES256");
        headers.insert("x-amz-server-side-encryption".into(), algorithm.to_owned());
        if let Some(key) = rule.and_then(|rule| rule.value("KMSMasterKeyID")) {
            headers.insert(
                "x-amz-server-side-encryption-aws-kms-key-id".into(),
                key.to_owned(),
            );
        }
    }
    headers
}

/// Checks If-Match and If-None-Match of a write.
///
/// # Errors
/// `PreconditionFailed`, `NoSuchKey`.
pub(super) fn check_write(request: &Request, current: Option<&Version>) -> Result<(), Refusal> {
    if request.header("if-none-match") == Some("*") && current.is_some() {
        return Err(precondition("If-None-Match"));
    }
    if let Some(wanted) = request.header("if-match") {
        let Some(current) = current else {
            return Err(no_such_key(&request.key));
        };
        if wanted != "*" && wanted.trim_matches('"') != current.etag {
            return Err(precondition("If-Match"));
        }
    }
    Ok(())
}

fn parse_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text)
        .ok()
        .map(|zoned| zoned.timestamp())
}

fn matches_etag(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(|part| part.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|part| part == "*" || part == etag)
}

fn check_read(request: &Request, prefix: &str, version: &Version) -> Result<(), Refusal> {
    let header = |name: &str| request.header(&format!("{prefix}{name}"));
    let modified = version.modified.as_second();
    if let Some(list) = header("if-match") {
        if !matches_etag(list, &version.etag) {
            return Err(precondition("If-Match"));
        }
    } else if let Some(date) = header("if-unmodified-since").and_then(parse_date)
        && modified > date.as_second()
    {
        return Err(precondition("If-Unmodified-Since"));
    }
    let unchanged = match (
        header("if-none-match"),
        header("if-modified-since").and_then(parse_date),
    ) {
        (Some(list), _) => matches_etag(list, &version.etag),
        (None, Some(date)) => modified <= date.as_second(),
        (None, None) => false,
    };
    if !unchanged {
        return Ok(());
    }
    if prefix.is_empty() {
        return Err(refuse("NotModified", "Not Modified").status(304));
    }
    Err(precondition("If-None-Match"))
}

/// The bytes that a Range header asks for; `None` to send everything.
fn range(header: Option<&str>, length: usize) -> Result<Option<(usize, usize)>, Refusal> {
    let Some(spec) = header.and_then(|header| header.strip_prefix("bytes=")) else {
        return Ok(None);
    };
    let Some((from, to)) = spec.split_once('-') else {
        return Ok(None);
    };
    let unsatisfiable = || {
        refuse("InvalidRange", "The requested range is not satisfiable")
            .status(416)
            .with("ActualObjectSize", Value::String(length.to_string()))
            .with("RangeRequested", Value::String(format!("bytes={spec}")))
    };
    let (start, end) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(start), Ok(end)) if start <= end => (start, end),
        (Ok(start), Err(_)) if to.is_empty() => (start, usize::MAX),
        (Err(_), Ok(last)) if from.is_empty() && last > 0 => {
            (length.saturating_sub(last), usize::MAX)
        }
        (Err(_), Ok(_)) if from.is_empty() => return Err(unsatisfiable()),
        _ => return Ok(None),
    };
    if start >= length {
        return Err(unsatisfiable());
    }
    Ok(Some((start, end.min(length - 1))))
}

impl Call<'_> {
    /// Stores an object, notifies, and gives the id of its version.
    pub(super) fn keep(
        &mut self,
        key: &str,
        version: Version,
        event: &str,
        reason: &str,
    ) -> Result<Option<String>, Refusal> {
        let count = self.count();
        let fresh = self.scope.stable_id(&format!("version/{count}"), 32);
        let scope = self.scope;
        let size = version.data.len();
        let etag = version.etag.clone();
        let bucket = self.bucket()?;
        let id = bucket.store(key, version, fresh);
        let happening = Happening {
            event,
            reason,
            key,
            object: Some((size, etag)),
            version: id.clone(),
            sequencer: count,
        };
        let caused = effects(bucket, &happening, scope);
        self.effects.extend(caused);
        Ok(id)
    }

    pub(super) fn put_object(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let now = self.scope.now;
        let (data, checksum) = body(request)?;
        self.room(data.len())?;
        let bucket = self.bucket()?;
        check_write(request, bucket.current(&request.key))?;
        let etag = md5_hex(&data);
        let headers = kept_headers(request, bucket);
        let encryption = headers["x-amz-server-side-encryption"].clone();
        let version = Version {
            id: String::new(),
            marker: false,
            data,
            etag: etag.clone(),
            modified: now,
            headers,
            tags: request
                .header("x-amz-tagging")
                .map(tags::from_header)
                .unwrap_or_default(),
            checksum: Some(checksum.clone()),
            parts: None,
        };
        let id = self.keep(&request.key, version, "ObjectCreated:Put", "PutObject")?;
        let mut response = Response::status(200)
            .header("etag", format!("\"{etag}\""))
            .header("x-amz-server-side-encryption", encryption)
            .header(&checksum.header(), checksum.value.clone())
            .header("x-amz-checksum-type", checksum.kind());
        if let Some(id) = id {
            response = response.header("x-amz-version-id", id);
        }
        Ok(response)
    }

    /// The version that a request reads.
    fn wanted<'b>(bucket: &'b Bucket, key: &str, id: Option<&str>) -> Result<&'b Version, Refusal> {
        match bucket.version(key, id) {
            Some(version) if !version.marker => Ok(version),
            Some(_) if id.is_some() => Err(refuse(
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            )
            .status(405)),
            None if id.is_some() => Err(not_found(
                "NoSuchVersion",
                "The specified version does not exist.",
            )
            .with("Key", Value::String(key.to_owned()))),
            _ => Err(no_such_key(key)),
        }
    }

    pub(super) fn get_object(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let bucket = self.bucket()?;
        let versioned = bucket.versioning != Versioning::Never;
        let version = Self::wanted(bucket, &request.key, request.parameter("versionId"))?;
        check_read(request, "", version)?;
        let length = version.data.len();
        let part = range(request.header("range"), length)?;
        let data = match part {
            Some((start, end)) => version.data.slice(start..=end),
            None => version.data.clone(),
        };
        let mut response = Response::status(if part.is_some() { 206 } else { 200 })
            .header("etag", format!("\"{}\"", version.etag))
            .header("last-modified", http_date(version.modified))
            .header("accept-ranges", "bytes");
        if let Some((start, end)) = part {
            response = response.header("content-range", format!("bytes {start}-{end}/{length}"));
        }
        for (name, value) in &version.headers {
            if request.parameter(&format!("response-{name}")).is_none() {
                response = response.header(name, value);
            }
        }
        for (name, value) in &request.query {
            if let Some(name) = name
                .strip_prefix("response-")
                .filter(|name| KEPT.contains(name))
            {
                response = response.header(name, value);
            }
        }
        if versioned {
            response = response.header("x-amz-version-id", version.id.clone());
        }
        if !version.tags.is_empty() {
            response = response.header("x-amz-tagging-count", version.tags.len().to_string());
        }
        if let Some(parts) = version.parts.filter(|_| request.has("partNumber")) {
            response = response.header("x-amz-mp-parts-count", parts.to_string());
        }
        let checked = request
            .header("x-amz-checksum-mode")
            .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"));
        if let Some(checksum) = version
            .checksum
            .as_ref()
            .filter(|_| checked && part.is_none())
        {
            response = response
                .header(&checksum.header(), checksum.value.clone())
                .header("x-amz-checksum-type", checksum.kind());
        }
        if request.method == "HEAD" {
            return Ok(response.header("content-length", data.len().to_string()));
        }
        response.body = data;
        Ok(response)
    }

    pub(super) fn object_attributes(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let bucket = self.bucket()?;
        let version = Self::wanted(bucket, &request.key, request.parameter("versionId"))?;
        let wanted = request.header("x-amz-object-attributes").unwrap_or("");
        let mut inner = String::new();
        for name in wanted.split(',').map(str::trim) {
            match name {
                "ETag" => inner.push_str(&leaf("ETag", &version.etag)),
                "ObjectSize" => {
                    inner.push_str(&leaf("ObjectSize", &version.data.len().to_string()));
                }
                "StorageClass" => inner.push_str(&leaf("StorageClass", "STANDARD")),
                "Checksum" => {
                    if let Some(checksum) = &version.checksum {
                        let value = leaf(&checksum.element(), &checksum.value);
                        let kind = leaf("ChecksumType", checksum.kind());
                        inner.push_str(&format!("<Checksum>{value}{kind}</Checksum>"));
                    }
                }
                _ => {}
            }
        }
        let modified = http_date(version.modified);
        Ok(Response::xml(format!(
            "<GetObjectAttributesResponse xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</GetObjectAttributesResponse>"
        ))
        .header("last-modified", modified))
    }

    /// The object that `x-amz-copy-source` names, after its conditions were checked.
    pub(super) fn copy_source(&mut self) -> Result<Version, Refusal> {
        let request = self.request;
        let source = request.header("x-amz-copy-source").unwrap_or("");
        let (path, id) = match source.split_once("?versionId=") {
            Some((path, id)) => (path, Some(id.to_owned())),
            None => (source, None),
        };
        let path = percent_decode_str(path.trim_start_matches('/'))
            .decode_utf8_lossy()
            .into_owned();
        let Some((bucket, key)) = path.split_once('/') else {
            return Err(refuse("InvalidArgument", "Invalid copy source object key"));
        };
        let bucket = self
            .buckets
            .buckets
            .get(bucket)
            .ok_or_else(|| not_found("NoSuchBucket", "The specified bucket does not exist"))?;
        let version = Self::wanted(bucket, key, id.as_deref())?;
        check_read(request, "x-amz-copy-source-", version)?;
        Ok(version.clone())
    }

    pub(super) fn copy_object(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let source = self.copy_source()?;
        self.room(source.data.len())?;
        let now = self.scope.now;
        let replaces = request.header("x-amz-metadata-directive") == Some("REPLACE");
        let own = request.header("x-amz-copy-source").is_some_and(|path| {
            path.trim_start_matches('/') == format!("{}/{}", request.bucket, request.key)
        });
        if own && !replaces && request.header("x-amz-storage-class").is_none() {
            return Err(refuse(
                "InvalidRequest",
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
            ));
        }
        let bucket = self.bucket()?;
        check_write(request, bucket.current(&request.key))?;
        let mut headers = kept_headers(request, bucket);
        if !replaces {
            for (name, value) in &source.headers {
                if !name.starts_with("x-amz-server-side") {
                    headers.insert(name.clone(), value.clone());
                }
            }
        }
        let tags = if request.header("x-amz-tagging-directive") == Some("REPLACE") {
            request
                .header("x-amz-tagging")
                .map(tags::from_header)
                .unwrap_or_default()
        } else {
            source.tags.clone()
        };
        let etag = md5_hex(&source.data);
        let version = Version {
            id: String::new(),
            marker: false,
            etag: etag.clone(),
            modified: now,
            headers,
            tags,
            parts: None,
            ..source
        };
        let id = self.keep(&request.key, version, "ObjectCreated:Copy", "CopyObject")?;
        let mut response = Response::xml(format!(
            "<CopyObjectResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}{}</CopyObjectResult>",
            leaf("LastModified", &iso_date(now)),
            leaf("ETag", &format!("\"{etag}\""))
        ));
        if let Some(id) = id {
            response = response.header("x-amz-version-id", id);
        }
        Ok(response)
    }

    /// Deletes a key or a version; gives the id of the version, and whether it is a delete marker.
    fn drop_key(&mut self, key: &str, id: Option<&str>) -> Result<(Option<String>, bool), Refusal> {
        let count = self.count();
        let fresh = self.scope.stable_id(&format!("version/{count}"), 32);
        let scope = self.scope;
        let bucket = self.bucket()?;
        let (version, marker, event) = match (id, bucket.versioning) {
            (Some(id), _) => {
                let Some(gone) = bucket.remove(key, id) else {
                    return Ok((Some(id.to_owned()), false));
                };
                (Some(gone.id), gone.marker, "ObjectRemoved:Delete")
            }
            (None, Versioning::Never) => {
                if bucket.remove(key, "null").is_none() {
                    return Ok((None, false));
                }
                (None, false, "ObjectRemoved:Delete")
            }
            (None, _) => {
                let version = Version {
                    id: String::new(),
                    marker: true,
                    data: Bytes::new(),
                    etag: String::new(),
                    modified: scope.now,
                    headers: BTreeMap::new(),
                    tags: BTreeMap::new(),
                    checksum: None,
                    parts: None,
                };
                let id = bucket.store(key, version, fresh);
                (id, true, "ObjectRemoved:DeleteMarkerCreated")
            }
        };
        let happening = Happening {
            event,
            reason: "DeleteObject",
            key,
            object: None,
            version: version.clone(),
            sequencer: count,
        };
        let caused = effects(bucket, &happening, scope);
        self.effects.extend(caused);
        Ok((version, marker))
    }

    pub(super) fn delete_object(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let current = self.bucket()?.current(&request.key);
        if request.header("if-match").is_some() {
            check_write(request, current)?;
        }
        let (id, marker) = self.drop_key(&request.key, request.parameter("versionId"))?;
        let mut response = Response::status(204);
        if let Some(id) = id {
            response = response.header("x-amz-version-id", id);
        }
        if marker {
            response = response.header("x-amz-delete-marker", "true");
        }
        Ok(response)
    }

    pub(super) fn delete_objects(&mut self) -> Result<Response, Refusal> {
        let (data, _) = body(self.request)?;
        let document = parse(&data)?;
        let quiet = document.value("Quiet") == Some("true");
        let objects: Vec<(String, Option<String>)> = document
            .all("Object")
            .filter_map(|object| {
                let id = object.value("VersionId").filter(|id| !id.is_empty());
                Some((object.value("Key")?.to_owned(), id.map(str::to_owned)))
            })
            .collect();
        if objects.is_empty() || objects.len() > DELETES {
            return Err(refuse(
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our published schema",
            ));
        }
        let mut inner = String::new();
        for (key, id) in objects {
            let (version, marker) = self.drop_key(&key, id.as_deref())?;
            if quiet {
                continue;
            }
            let mut deleted = leaf("Key", &key);
            if let Some(id) = &id {
                deleted.push_str(&leaf("VersionId", id));
            }
            if marker {
                deleted.push_str("<DeleteMarker>true</DeleteMarker>");
                if let Some(version) = version {
                    deleted.push_str(&leaf("DeleteMarkerVersionId", &version));
                }
            }
            inner.push_str(&format!("<Deleted>{deleted}</Deleted>"));
        }
        Ok(Response::xml(format!(
            "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</DeleteResult>"
        )))
    }

    pub(super) fn object_tagging(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let document = if request.method == "PUT" {
            let document = parse(&body(request)?.0)?;
            tags::check(&document, TAGS, "Object")?;
            Some(document)
        } else {
            None
        };
        let id = request.parameter("versionId");
        let bucket = self.bucket()?;
        let wanted = Self::wanted(bucket, &request.key, id)?.id.clone();
        let version = bucket
            .objects
            .get_mut(&request.key)
            .and_then(|versions| versions.iter_mut().find(|version| version.id == wanted))
            .ok_or_else(|| no_such_key(&request.key))?;
        match (request.method.as_str(), document) {
            ("PUT", Some(document)) => {
                version.tags = tags::read(&document);
                Ok(Response::status(200))
            }
            ("DELETE", _) => {
                version.tags.clear();
                Ok(Response::status(204))
            }
            _ => Ok(Response::xml(tags::document(&version.tags))),
        }
    }
}
