//! Live state as it was seen, with what could not be seen. Pure values; `observe` fills them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_applier::{ApplierError, ChangePreview, LiveObject, Owned};
use tidegate_manifest::{Diagnostic, ResourceKey};

use crate::Digest;
use crate::comparison::Condition;
use crate::normalise::Normalised;

/// Live objects by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Live {
    pub(crate) objects: BTreeMap<ResourceKey, LiveObject>,
    /// Keys that could not be read.
    pub(crate) errors: BTreeMap<ResourceKey, ApplierError>,
}

impl Live {
    pub(crate) fn get(&self, key: &ResourceKey) -> Option<&LiveObject> {
        self.objects.get(key)
    }

    /// Takes over what one read answered.
    pub(crate) fn set(
        &mut self,
        key: &ResourceKey,
        read: Result<Option<LiveObject>, ApplierError>,
    ) {
        self.errors.remove(key);
        match read {
            Ok(Some(live)) => {
                self.objects.insert(key.clone(), live);
            }
            Ok(None) => {
                self.objects.remove(key);
            }
            Err(error) => {
                self.errors.insert(key.clone(), error);
            }
        }
    }
}

/// Everything that was seen of an application.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observation {
    pub(crate) normalised: Normalised,
    pub(crate) live: Live,
    /// Marked objects that are not desired, sorted by key.
    pub(crate) extras: Vec<Owned>,
    /// What applying each desired object would do; objects that could not be asked about are left out.
    pub(crate) previews: BTreeMap<ResourceKey, Result<ChangePreview, ApplierError>>,
    /// Why nothing may be pruned.
    pub(crate) prune_blocked: Option<String>,
    /// What a person should know.
    pub(crate) conditions: Vec<Condition>,
}

impl Observation {
    pub(crate) fn has_errors(&self) -> bool {
        self.normalised.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The digest of all live versions that were seen.
    pub(crate) fn live_digest(&self) -> Digest {
        let versions: BTreeMap<String, Value> = self
            .live
            .objects
            .values()
            .map(|live| {
                let key = format!("{}/{}", live.key.target, live.key);
                (key, json!([live.uid, live.version]))
            })
            .collect();
        Digest::of(&json!(versions))
    }
}

/// Whether the object is being deleted.
pub(crate) fn is_deleting(live: &LiveObject) -> bool {
    let stamp = live.body.pointer("/metadata/deletionTimestamp");
    stamp.is_some_and(|stamp| !stamp.is_null())
}

/// The finalizers that hold the object.
pub(crate) fn finalizers(live: &LiveObject) -> Vec<String> {
    let list = live
        .body
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

/// The value of one annotation of a live object.
pub(crate) fn live_annotation<'l>(live: &'l LiveObject, name: &str) -> Option<&'l str> {
    live.body
        .get("metadata")?
        .get("annotations")?
        .get(name)?
        .as_str()
}
