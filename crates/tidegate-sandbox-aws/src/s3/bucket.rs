//! One bucket: settings and objects with their versions.
//!
//! Must not know: requests, XML of answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use super::checksum::Checksum;
use super::notify::Notification;
use super::xml::Element;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versioning {
    Never,
    Enabled,
    Suspended,
}

/// Bytes that a version weighs beside its data.
const VERSION_WEIGHT: usize = 2_048;

/// One version of an object, or a delete marker.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) marker: bool,
    pub(super) data: Bytes,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) modified: Timestamp,
    /// Headers that are given back: content type, user metadata, encryption…
    pub(super) headers: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) checksum: Option<Checksum>,
    pub(super) parts: Option<usize>,
}

/// A part of a multipart upload.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) data: Bytes,
    pub(super) etag: String,
    pub(super) modified: Timestamp,
    pub(super) checksum: Checksum,
}

/// A multipart upload in progress.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) started: Timestamp,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) algorithm: Option<String>,
    pub(super) full_object: bool,
    pub(super) parts: BTreeMap<u32, Part>,
}

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) created: Timestamp,
    pub(super) versioning: Versioning,
    /// Subresources as they were put, by query parameter.
    pub(super) settings: BTreeMap<String, Element>,
    pub(super) policy: Option<String>,
    pub(super) notifications: Vec<Notification>,
    pub(super) event_bridge: bool,
    /// Newest version last.
    pub(super) objects: BTreeMap<String, Vec<Version>>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) bytes: usize,
}

impl Bucket {
    pub(super) fn new(name: &str, region: &str, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            region: region.to_owned(),
            created: now,
            versioning: Versioning::Never,
            settings: BTreeMap::new(),
            policy: None,
            notifications: Vec::new(),
            event_bridge: false,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            bytes: 0,
        }
    }

    pub(super) fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.name)
    }

    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        self.settings
            .get("tagging")
            .map(super::tags::read)
            .unwrap_or_default()
    }

    /// The present object of a key; a delete marker is none.
    pub(super) fn current(&self, key: &str) -> Option<&Version> {
        self.objects
            .get(key)?
            .last()
            .filter(|version| !version.marker)
    }

    pub(super) fn version(&self, key: &str, id: Option<&str>) -> Option<&Version> {
        match id {
            None => self.objects.get(key)?.last(),
            Some(id) => self
                .objects
                .get(key)?
                .iter()
                .find(|version| version.id == id),
        }
    }

    /// Stores a version; gives its id when versions are kept.
    pub(super) fn store(
        &mut self,
        key: &str,
        mut version: Version,
        fresh: String,
    ) -> Option<String> {
        let kept = self.versioning == Versioning::Enabled;
        version.id = if kept { fresh } else { "null".into() };
        let shown = (self.versioning != Versioning::Never).then(|| version.id.clone());
        self.bytes += version.data.len() + VERSION_WEIGHT;
        let versions = self.objects.entry(key.to_owned()).or_default();
        if !kept {
            let mut freed = 0;
            versions.retain(|old| {
                let stays = old.id != "null";
                if !stays {
                    freed += old.data.len() + VERSION_WEIGHT;
                }
                stays
            });
            self.bytes = self.bytes.saturating_sub(freed);
        }
        versions.push(version);
        shown
    }

    /// Removes a version for good.
    pub(super) fn remove(&mut self, key: &str, id: &str) -> Option<Version> {
        let versions = self.objects.get_mut(key)?;
        let index = versions.iter().position(|version| version.id == id)?;
        let gone = versions.remove(index);
        self.bytes = self.bytes.saturating_sub(gone.data.len() + VERSION_WEIGHT);
        if versions.is_empty() {
            self.objects.remove(key);
        }
        Some(gone)
    }
}
