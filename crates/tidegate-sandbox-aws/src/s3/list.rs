//! Listings of keys, versions and uploads: prefixes, delimiters, pages.
//!
//! Must not know: contents of objects.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::bucket::Version;
use super::xml::leaf;
use super::{Call, Response, iso_date};
use crate::refusal::{Refusal, refuse};

/// Keys of one page.
const PAGE: usize = 1_000;
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/');

/// What a page holds: keys and common prefixes in one order, and where the next one begins.
struct Page<'a> {
    keys: Vec<&'a str>,
    prefixes: Vec<String>,
    /// The last key or prefix of a page that is not the last.
    next: Option<String>,
}

/// Gathers a page of keys (sorted) behind `after`.
fn page<'a>(
    keys: impl Iterator<Item = &'a str>,
    prefix: &str,
    delimiter: &str,
    after: &str,
    limit: usize,
) -> Page<'a> {
    let mut page = Page {
        keys: Vec::new(),
        prefixes: Vec::new(),
        next: None,
    };
    let mut last = String::new();
    for key in keys.filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let common = (!delimiter.is_empty())
            .then(|| rest.find(delimiter))
            .flatten()
            .map(|at| &key[..prefix.len() + at + delimiter.len()]);
        let entry = common.unwrap_or(key);
        if entry <= after
            || (common.is_some() && page.prefixes.last().map(String::as_str) == common)
        {
            continue;
        }
        if page.keys.len() + page.prefixes.len() >= limit {
            page.next = Some(last);
            return page;
        }
        entry.clone_into(&mut last);
        match common {
            Some(common) => page.prefixes.push(common.to_owned()),
            None => page.keys.push(key),
        }
    }
    page
}

fn contents(key: &str, version: &Version, owner: Option<&str>) -> String {
    let class = version
        .headers
        .get("x-amz-storage-class")
        .map_or("STANDARD", String::as_str);
    let mut inner = leaf("Key", key)
        + &leaf("LastModified", &iso_date(version.modified))
        + &leaf("ETag", &format!("\"{}\"", version.etag));
    if let Some(checksum) = &version.checksum {
        inner.push_str(&leaf(
            "ChecksumAlgorithm",
            &checksum.algorithm.to_ascii_uppercase(),
        ));
        inner.push_str(&leaf("ChecksumType", checksum.kind()));
    }
    inner.push_str(&leaf("Size", &version.data.len().to_string()));
    if let Some(owner) = owner {
        inner.push_str(&format!("<Owner>{}</Owner>", leaf("ID", owner)));
    }
    inner.push_str(&leaf("StorageClass", class));
    format!("<Contents>{inner}</Contents>")
}

impl Call<'_> {
    fn limit(&self) -> Result<usize, Refusal> {
        let given = ["max-keys", "max-uploads"]
            .iter()
            .find_map(|name| self.request.parameter(name));
        match given {
            None => Ok(PAGE),
            Some(text) => text
                .parse::<usize>()
                .map(|limit| limit.min(PAGE))
                .map_err(|_| {
                    refuse(
                        "InvalidArgument",
                        "Provided max-keys not an integer or within integer range",
                    )
                }),
        }
    }

    fn shown(&self, text: &str) -> String {
        if self.request.parameter("encoding-type") == Some("url") {
            utf8_percent_encode(text, URL).to_string()
        } else {
            text.to_owned()
        }
    }

    fn head(&self, limit: usize, truncated: bool) -> String {
        let request = self.request;
        let mut head = leaf("Name", &request.bucket)
            + &leaf(
                "Prefix",
                &self.shown(request.parameter("prefix").unwrap_or("")),
            );
        if let Some(delimiter) = request.parameter("delimiter") {
            head.push_str(&leaf("Delimiter", &self.shown(delimiter)));
        }
        if let Some(encoding) = request.parameter("encoding-type") {
            head.push_str(&leaf("EncodingType", encoding));
        }
        head + &leaf("MaxKeys", &limit.to_string()) + &leaf("IsTruncated", &truncated.to_string())
    }

    fn prefixes(&self, page: &Page<'_>) -> String {
        page.prefixes
            .iter()
            .map(|prefix| {
                let inner = leaf("Prefix", &self.shown(prefix));
                format!("<CommonPrefixes>{inner}</CommonPrefixes>")
            })
            .collect()
    }

    pub(super) fn list_objects(&mut self) -> Result<Response, Refusal> {
        let limit = self.limit()?;
        let request = self.request;
        let marker = request.parameter("marker").unwrap_or("");
        let delimiter = request.parameter("delimiter").unwrap_or("");
        let prefix = request.parameter("prefix").unwrap_or("");
        let bucket = self.bucket()?.clone();
        let keys = bucket
            .objects
            .keys()
            .map(String::as_str)
            .filter(|key| bucket.current(key).is_some());
        let page = page(keys, prefix, delimiter, marker, limit);
        let truncated = page.next.is_some() && limit > 0;
        let mut inner = self.head(limit, truncated) + &leaf("Marker", &self.shown(marker));
        if let Some(next) = page
            .next
            .as_ref()
            .filter(|_| truncated && !delimiter.is_empty())
        {
            inner.push_str(&leaf("NextMarker", &self.shown(next)));
        }
        for key in &page.keys {
            if let Some(version) = bucket.current(key) {
                inner.push_str(&contents(
                    &self.shown(key),
                    version,
                    Some(&self.scope.account),
                ));
            }
        }
        inner.push_str(&self.prefixes(&page));
        Ok(Response::xml(format!(
            "<ListBucketResult xmlns=\"{NAMESPACE}\">{inner}</ListBucketResult>"
        )))
    }

    pub(super) fn list_objects_v2(&mut self) -> Result<Response, Refusal> {
        let limit = self.limit()?;
        let request = self.request;
        let token = request.parameter("continuation-token");
        let after = match token {
            Some(token) => URL_SAFE_NO_PAD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| {
                    refuse(
                        "InvalidArgument",
                        "The continuation token provided is incorrect",
                    )
                })?,
            None => request.parameter("start-after").unwrap_or("").to_owned(),
        };
        let delimiter = request.parameter("delimiter").unwrap_or("");
        let prefix = request.parameter("prefix").unwrap_or("");
        let bucket = self.bucket()?.clone();
        let keys = bucket
            .objects
            .keys()
            .map(String::as_str)
            .filter(|key| bucket.current(key).is_some());
        let page = page(keys, prefix, delimiter, &after, limit);
        let truncated = page.next.is_some() && limit > 0;
        let mut inner = self.head(limit, truncated)
            + &leaf(
                "KeyCount",
                &(page.keys.len() + page.prefixes.len()).to_string(),
            );
        if let Some(token) = token {
            inner.push_str(&leaf("ContinuationToken", token));
        }
        if let Some(start) = request.parameter("start-after") {
            inner.push_str(&leaf("StartAfter", &self.shown(start)));
        }
        if let Some(next) = page.next.as_ref().filter(|_| truncated) {
            inner.push_str(&leaf(
                "NextContinuationToken",
                &URL_SAFE_NO_PAD.encode(next),
            ));
        }
        let owner = (request.parameter("fetch-owner") == Some("true"))
            .then_some(self.scope.account.as_str());
        for key in &page.keys {
            if let Some(version) = bucket.current(key) {
                inner.push_str(&contents(&self.shown(key), version, owner));
            }
        }
        inner.push_str(&self.prefixes(&page));
        Ok(Response::xml(format!(
            "<ListBucketResult xmlns=\"{NAMESPACE}\">{inner}</ListBucketResult>"
        )))
    }

    pub(super) fn list_versions(&mut self) -> Result<Response, Refusal> {
        let limit = self.limit()?;
        let request = self.request;
        let prefix = request.parameter("prefix").unwrap_or("");
        let delimiter = request.parameter("delimiter").unwrap_or("");
        let marker = request.parameter("key-marker").unwrap_or("");
        let bucket = self.bucket()?.clone();
        // A page ends between keys, so that one marker tells where the next begins.
        let page = page(
            bucket.objects.keys().map(String::as_str),
            prefix,
            delimiter,
            marker,
            limit,
        );
        let truncated = page.next.is_some() && limit > 0;
        let mut inner = self.head(limit, truncated) + &leaf("KeyMarker", &self.shown(marker));
        if let Some(next) = page.next.as_ref().filter(|_| truncated) {
            inner.push_str(&leaf("NextKeyMarker", &self.shown(next)));
        }
        let owner = format!("<Owner>{}</Owner>", leaf("ID", &self.scope.account));
        for key in &page.keys {
            let versions = bucket.objects.get(*key).map_or(&[][..], Vec::as_slice);
            for (index, version) in versions.iter().enumerate().rev() {
                let mut entry = leaf("Key", &self.shown(key))
                    + &leaf("VersionId", &version.id)
                    + &leaf("IsLatest", &(index + 1 == versions.len()).to_string())
                    + &leaf("LastModified", &iso_date(version.modified));
                if version.marker {
                    inner.push_str(&format!("<DeleteMarker>{entry}{owner}</DeleteMarker>"));
                    continue;
                }
                entry.push_str(&leaf("ETag", &format!("\"{}\"", version.etag)));
                entry.push_str(&leaf("Size", &version.data.len().to_string()));
                entry.push_str(&leaf("StorageClass", "STANDARD"));
                inner.push_str(&format!("<Version>{entry}{owner}</Version>"));
            }
        }
        inner.push_str(&self.prefixes(&page));
        Ok(Response::xml(format!(
            "<ListVersionsResult xmlns=\"{NAMESPACE}\">{inner}</ListVersionsResult>"
        )))
    }

    pub(super) fn list_uploads(&mut self) -> Result<Response, Refusal> {
        let limit = self.limit()?;
        let request = self.request;
        let prefix = request.parameter("prefix").unwrap_or("");
        let bucket = self.bucket()?.clone();
        let mut inner = leaf("Bucket", &request.bucket)
            + &leaf("Prefix", prefix)
            + &leaf("MaxUploads", &limit.to_string())
            + &leaf("IsTruncated", "false");
        let mut uploads: Vec<(&String, &super::bucket::Upload)> = bucket
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(prefix))
            .collect();
        uploads.sort_by_key(|(id, upload)| (upload.key.clone(), upload.started, (*id).clone()));
        for (id, upload) in uploads {
            let entry = leaf("Key", &self.shown(&upload.key))
                + &leaf("UploadId", id)
                + &leaf("StorageClass", "STANDARD")
                + &leaf("Initiated", &iso_date(upload.started));
            inner.push_str(&format!("<Upload>{entry}</Upload>"));
        }
        Ok(Response::xml(format!(
            "<ListMultipartUploadsResult xmlns=\"{NAMESPACE}\">{inner}</ListMultipartUploadsResult>"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        prefix: &str,
        delimiter: &str,
        after: &str,
        limit: usize,
        expected: (&[&str], &[&str], Option<&str>),
    ) {
        let keys = ["a", "b/1", "b/2", "c/x/1", "d"];
        let page = page(keys.into_iter(), prefix, delimiter, after, limit);
        assert_eq!(page.keys, expected.0);
        assert_eq!(page.prefixes, expected.1);
        assert_eq!(page.next.as_deref(), expected.2);
    }

    #[test]
    fn pages_count_keys_and_prefixes_together() {
        check(
            "",
            "",
            "",
            10,
            (&["a", "b/1", "b/2", "c/x/1", "d"], &[], None),
        );
        check("", "/", "", 10, (&["a", "d"], &["b/", "c/"], None));
        check("", "/", "", 2, (&["a"], &["b/"], Some("b/")));
        check("", "/", "b/", 2, (&["d"], &["c/"], None));
        check("b/", "", "b/1", 10, (&["b/2"], &[], None));
        check("c/", "/", "", 10, (&[], &["c/x/"], None));
    }
}
