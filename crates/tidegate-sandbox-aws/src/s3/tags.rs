//! Tag sets in XML and in headers.
//!
//! Must not know: buckets, objects.

use std::collections::BTreeMap;

use super::xml::{Element, leaf};
use crate::refusal::{Refusal, refuse};

/// The tags of a `Tagging` document.
pub(super) fn read(document: &Element) -> BTreeMap<String, String> {
    document
        .child("TagSet")
        .into_iter()
        .flat_map(|set| set.all("Tag"))
        .filter_map(|tag| Some((tag.value("Key")?.to_owned(), tag.value("Value")?.to_owned())))
        .collect()
}

/// Checks the number and the keys of tags.
///
/// # Errors
/// `BadRequest` or `InvalidTag` in S3's words.
pub(super) fn check(document: &Element, limit: usize, what: &str) -> Result<(), Refusal> {
    let count = document
        .child("TagSet")
        .map_or(0, |set| set.all("Tag").count());
    let tags = read(document);
    if tags.len() < count {
        return Err(refuse(
            "InvalidTag",
            "Cannot provide multiple Tags with the same key",
        ));
    }
    if tags.keys().any(|key| key.starts_with("aws:")) {
        return Err(refuse(
            "InvalidTag",
            "System tags cannot be added/updated by requester",
        ));
    }
    if count > limit {
        return Err(refuse(
            "BadRequest",
            format!("{what} tags cannot be greater than {limit}"),
        ));
    }
    Ok(())
}

/// A `Tagging` document.
pub(super) fn document(tags: &BTreeMap<String, String>) -> String {
    let set: String = tags
        .iter()
        .map(|(key, value)| format!("<Tag>{}{}</Tag>", leaf("Key", key), leaf("Value", value)))
        .collect();
    format!(
        "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>{set}</TagSet></Tagging>"
    )
}

/// The tags of an `x-amz-tagging` header.
pub(super) fn from_header(header: &str) -> BTreeMap<String, String> {
    crate::form::pairs(header).into_iter().collect()
}
