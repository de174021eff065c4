//! Multipart uploads.
//!
//! Must not know: listings of objects.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use md5::{Digest as _, Md5};
use serde_json::Value;

use super::bucket::{Part, Upload, Version};
use super::checksum::{Checksum, composite, settle};
use super::objects::{body, check_write, kept_headers};
use super::xml::{leaf, parse};
use super::{Call, Response, iso_date, not_found, tags};
use crate::refusal::{Refusal, refuse};

/// Uploads of a bucket that may be open at once.
const UPLOADS: usize = 1_000;
/// Bytes that every part but the last must have.
const LEAST_PART: usize = 5 << 20;
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

impl Call<'_> {
    pub(super) fn create_upload(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let count = self.count();
        let id = self.scope.stable_id(&format!("upload/{count}"), 64);
        let started = self.scope.now;
        let bucket = self.bucket()?;
        if bucket.uploads.len() >= UPLOADS {
            return Err(refuse(
                "SlowDown",
                format!("a bucket of the sandbox has at most {UPLOADS} open uploads"),
            )
            .status(503));
        }
        let upload = Upload {
            key: request.key.clone(),
            started,
            headers: kept_headers(request, bucket),
            tags: request
                .header("x-amz-tagging")
                .map(tags::from_header)
                .unwrap_or_default(),
            algorithm: request
                .header("x-amz-checksum-algorithm")
                .map(str::to_ascii_lowercase),
            full_object: request.header("x-amz-checksum-type") == Some("FULL_OBJECT"),
            parts: BTreeMap::new(),
        };
        let mut response = Response::xml(format!(
            "<InitiateMultipartUploadResult xmlns=\"{NAMESPACE}\">{}{}{}</InitiateMultipartUploadResult>",
            leaf("Bucket", &request.bucket),
            leaf("Key", &request.key),
            leaf("UploadId", &id)
        ));
        if let Some(encryption) = upload.headers.get("x-amz-server-side-encryption") {
            response = response.header("x-amz-server-side-encryption", encryption);
        }
        if let Some(algorithm) = &upload.algorithm {
            response = response
                .header("x-amz-checksum-algorithm", algorithm.to_ascii_uppercase())
                .header(
                    "x-amz-checksum-type",
                    if upload.full_object {
                        "FULL_OBJECT"
                    } else {
                        "COMPOSITE"
                    },
                );
        }
        bucket.uploads.insert(id, upload);
        Ok(response)
    }

    fn upload(&mut self) -> Result<&mut Upload, Refusal> {
        let request = self.request;
        let id = request.parameter("uploadId").unwrap_or("");
        self.bucket()?
            .uploads
            .get_mut(id)
            .filter(|upload| upload.key == request.key)
            .ok_or_else(|| {
                not_found(
                    "NoSuchUpload",
                    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
                )
                .with("UploadId", Value::String(id.to_owned()))
            })
    }

    pub(super) fn upload_part(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        self.upload()?;
        let number: u32 = request
            .parameter("partNumber")
            .and_then(|text| text.parse().ok())
            .filter(|number| (1..=10_000).contains(number))
            .ok_or_else(|| {
                refuse(
                    "InvalidArgument",
                    "Part number must be an integer between 1 and 10000, inclusive",
                )
            })?;
        let copies = request.headers.contains_key("x-amz-copy-source");
        let (data, checksum) = if copies {
            let data = self.copied_range()?;
            let checksum = settle(None, &data)?;
            (data, checksum)
        } else {
            body(request)?
        };
        self.room(data.len())?;
        let now = self.scope.now;
        let etag = super::checksum::md5_hex(&data);
        let size = data.len();
        let old = self.upload()?.parts.insert(
            number,
            Part {
                data,
                etag: etag.clone(),
                modified: now,
                checksum: checksum.clone(),
            },
        );
        let bucket = self.bucket()?;
        bucket.bytes += size;
        bucket.bytes = bucket
            .bytes
            .saturating_sub(old.map_or(0, |old| old.data.len()));
        if copies {
            return Ok(Response::xml(format!(
                "<CopyPartResult xmlns=\"{NAMESPACE}\">{}{}</CopyPartResult>",
                leaf("LastModified", &iso_date(now)),
                leaf("ETag", &format!("\"{etag}\""))
            )));
        }
        Ok(Response::status(200)
            .header("etag", format!("\"{etag}\""))
            .header(&checksum.header(), checksum.value))
    }

    fn copied_range(&mut self) -> Result<Bytes, Refusal> {
        let source = self.copy_source()?;
        let Some(range) = self.request.header("x-amz-copy-source-range") else {
            return Ok(source.data);
        };
        let bounds = range
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
            .and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)))
            .filter(|(from, to)| from <= to && *to < source.data.len());
        match bounds {
            Some((from, to)) => Ok(source.data.slice(from..=to)),
            None => {
                Err(refuse("InvalidRange", "The requested range is not satisfiable").status(416))
            }
        }
    }

    pub(super) fn abort_upload(&mut self) -> Result<Response, Refusal> {
        self.upload()?;
        let id = self.request.parameter("uploadId").unwrap_or("");
        let bucket = self.bucket()?;
        if let Some(upload) = bucket.uploads.remove(id) {
            let held: usize = upload.parts.values().map(|part| part.data.len()).sum();
            bucket.bytes = bucket.bytes.saturating_sub(held);
        }
        Ok(Response::status(204))
    }

    pub(super) fn list_parts(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let after: u32 = request
            .parameter("part-number-marker")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let limit: usize = request
            .parameter("max-parts")
            .and_then(|text| text.parse().ok())
            .unwrap_or(1_000)
            .min(1_000);
        let upload = self.upload()?;
        let mut parts: Vec<(&u32, &Part)> = upload.parts.range(after + 1..).collect();
        let truncated = parts.len() > limit;
        parts.truncate(limit);
        let mut inner = leaf("Bucket", &request.bucket)
            + &leaf("Key", &request.key)
            + &leaf("UploadId", request.parameter("uploadId").unwrap_or(""))
            + &leaf("PartNumberMarker", &after.to_string())
            + &leaf("MaxParts", &limit.to_string())
            + &leaf("IsTruncated", &truncated.to_string());
        if let Some((last, _)) = parts.last().filter(|_| truncated) {
            inner.push_str(&leaf("NextPartNumberMarker", &last.to_string()));
        }
        for (number, part) in parts {
            let entry = leaf("PartNumber", &number.to_string())
                + &leaf("LastModified", &iso_date(part.modified))
                + &leaf("ETag", &format!("\"{}\"", part.etag))
                + &leaf(&part.checksum.element(), &part.checksum.value)
                + &leaf("Size", &part.data.len().to_string());
            inner.push_str(&format!("<Part>{entry}</Part>"));
        }
        Ok(Response::xml(format!(
            "<ListPartsResult xmlns=\"{NAMESPACE}\">{inner}</ListPartsResult>"
        )))
    }

    pub(super) fn complete_upload(&mut self) -> Result<Response, Refusal> {
        let request = self.request;
        let document = parse(&request.body)?;
        let upload = self.upload()?.clone();
        let chosen = choose(&upload, &document)?;
        check_write(request, self.bucket()?.current(&request.key))?;
        let mut data = BytesMut::new();
        let mut digests = Md5::new();
        let mut checksums = Vec::new();
        for part in &chosen {
            data.extend_from_slice(&part.data);
            digests.update(Md5::digest(&part.data));
            checksums.push(part.checksum.value.clone());
        }
        let data = data.freeze();
        let digest: String = digests
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let etag = format!("{digest}-{}", chosen.len());
        let checksum = match &upload.algorithm {
            Some(algorithm) if !upload.full_object && algorithm != "crc64nvme" => {
                let same = chosen
                    .iter()
                    .all(|part| part.checksum.algorithm == *algorithm);
                same.then(|| composite(algorithm, &checksums)).flatten()
            }
            Some(algorithm) => super::checksum::digest(algorithm, &data).map(|digest| {
                use base64::Engine as _;
                use base64::engine::general_purpose::STANDARD;
                Checksum {
                    algorithm: algorithm.clone(),
                    value: STANDARD.encode(digest),
                }
            }),
            None => settle(None, &data).ok(),
        };
        let id = request.parameter("uploadId").unwrap_or("");
        let held: usize = upload.parts.values().map(|part| part.data.len()).sum();
        let modified = self.scope.now;
        let bucket = self.bucket()?;
        bucket.uploads.remove(id);
        bucket.bytes = bucket.bytes.saturating_sub(held);
        let version = Version {
            id: String::new(),
            marker: false,
            data,
            etag: etag.clone(),
            modified,
            headers: upload.headers,
            tags: upload.tags,
            checksum: checksum.clone(),
            parts: Some(chosen.len()),
        };
        let id = self.keep(
            &request.key,
            version,
            "ObjectCreated:CompleteMultipartUpload",
            "CompleteMultipartUpload",
        )?;
        let mut inner = leaf(
            "Location",
            &format!("{}/{}/{}", self.scope.endpoint, request.bucket, request.key),
        ) + &leaf("Bucket", &request.bucket)
            + &leaf("Key", &request.key)
            + &leaf("ETag", &format!("\"{etag}\""));
        if let Some(checksum) = &checksum {
            inner.push_str(&leaf(&checksum.element(), &checksum.value));
            inner.push_str(&leaf("ChecksumType", checksum.kind()));
        }
        let mut response = Response::xml(format!(
            "<CompleteMultipartUploadResult xmlns=\"{NAMESPACE}\">{inner}</CompleteMultipartUploadResult>"
        ));
        if let Some(id) = id {
            response = response.header("x-amz-version-id", id);
        }
        Ok(response)
    }
}

/// The parts that a completion names, in its order, checked.
fn choose(upload: &Upload, document: &super::xml::Element) -> Result<Vec<Part>, Refusal> {
    let invalid = || {
        refuse(
            "InvalidPart",
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
        )
    };
    let mut chosen = Vec::new();
    let mut before = 0;
    for listed in document.all("Part") {
        let number: u32 = listed
            .value("PartNumber")
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(invalid)?;
        if number <= before {
            return Err(refuse(
                "InvalidPartOrder",
                "The list of parts was not in ascending order. Parts must be ordered by part number.",
            ));
        }
        before = number;
        let part = upload.parts.get(&number).ok_or_else(invalid)?;
        if listed.value("ETag").map(|etag| etag.trim_matches('"')) != Some(part.etag.as_str()) {
            return Err(invalid());
        }
        chosen.push(part.clone());
    }
    if chosen.is_empty() {
        return Err(refuse(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        ));
    }
    let small = chosen
        .iter()
        .rev()
        .skip(1)
        .any(|part| part.data.len() < LEAST_PART);
    if small {
        return Err(refuse(
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed size",
        ));
    }
    Ok(chosen)
}
