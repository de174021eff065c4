//! Reads lists and watch events without building objects: what is not needed is skipped in the text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tidegate_manifest::{TrackingId, annotation};

/// Annotations that sync options, hooks, waves and marks stand in.
const KEPT_PREFIXES: [&str; 3] = ["argocd.argoproj.io/", "helm.sh/", "tidegate.dev/"];

/// One page of a list.
#[derive(Deserialize)]
pub(crate) struct Page<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: PageMetadata<'a>,
    #[serde(borrow, default)]
    pub(crate) items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PageMetadata<'a> {
    #[serde(borrow)]
    pub(crate) resource_version: Cow<'a, str>,
    #[serde(rename = "continue", borrow)]
    pub(crate) next: Cow<'a, str>,
}

/// One line of a watch.
#[derive(Deserialize)]
pub(crate) struct Line<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) sort: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) object: &'a RawValue,
}

/// An object of a list or a watch, without its body.
#[derive(Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(borrow)]
    pub(crate) metadata: Metadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) uid: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) resource_version: Cow<'a, str>,
    #[serde(default)]
    pub(crate) deletion_timestamp: Option<IgnoredAny>,
    #[serde(default)]
    pub(crate) annotations: Annotations,
    #[serde(default)]
    owner_references: Option<Vec<IgnoredAny>>,
}

impl Metadata<'_> {
    /// No other object owns it.
    pub(crate) fn is_root(&self) -> bool {
        self.owner_references.as_ref().is_none_or(Vec::is_empty)
    }

    /// The mark it bears, when it bears a well-formed one.
    pub(crate) fn mark(&self) -> Option<TrackingId> {
        let (_, text) = self
            .annotations
            .0
            .iter()
            .find(|(name, _)| &**name == annotation::TRACKING_ID)?;
        TrackingId::parse(text)
    }
}

/// The annotations that matter, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotations(pub(crate) Box<[(Box<str>, Box<str>)]>);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnnotationsVisitor)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Annotations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("annotations")
    }

    fn visit_unit<E>(self) -> Result<Annotations, E> {
        Ok(Annotations::default())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Annotations, M::Error> {
        let mut kept: Vec<(Box<str>, Box<str>)> = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            match name {
                Some(name) => kept.push((name, map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        kept.sort();
        Ok(Annotations(kept.into()))
    }
}

/// The name of an annotation, when it matters.
struct Name(Option<Box<str>>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                let kept = KEPT_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
                Ok(Name(kept.then(|| text.into())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_skip_what_is_large() {
        let text = r#"{"kind":"X","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7","creationTimestamp":null,
            "managedFields":[{"fieldsV1":{"f:x":{}}}],"ownerReferences":[{"uid":"o"}],"deletionTimestamp":"2026-01-01T00:00:00Z",
            "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","argocd.argoproj.io/tracking-id":"shop:/X:n/a","argocd.argoproj.io/sync-wave":"3"}},"spec":{}}"#;
        let head: Head<'_> = serde_json::from_str(text).expect("reads");
        let metadata = head.metadata;
        assert_eq!(
            (
                &*metadata.name,
                &*metadata.namespace,
                &*metadata.resource_version
            ),
            ("a", "n", "7")
        );
        assert!(!metadata.is_root() && metadata.deletion_timestamp.is_some());
        assert_eq!(metadata.annotations.0.len(), 2);
        assert_eq!(metadata.mark().expect("marked").application, "shop");
    }

    #[test]
    fn bare_objects_are_read() {
        for text in [
            r#"{"metadata":{}}"#,
            r#"{"metadata":{"annotations":null,"ownerReferences":null}}"#,
        ] {
            let head: Head<'_> = serde_json::from_str(text).expect("reads");
            assert!(head.metadata.is_root() && head.metadata.mark().is_none());
        }
        assert!(serde_json::from_str::<Head<'_>>(r#"{"metadata":{"annotations":"x"}}"#).is_err());
        let page: Page<'_> =
            serde_json::from_str(r#"{"metadata":{"resourceVersion":"1"},"items":null}"#)
                .expect("reads");
        assert!(page.items.is_none());
    }
}
