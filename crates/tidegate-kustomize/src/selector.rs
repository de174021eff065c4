//! Which objects a patch or a replacement is for.

use crate::go_regex::Anchored;
use crate::id::{Gvk, ResId};
use crate::kustomization::Selector;
use crate::label_selector::LabelSelector;
use crate::resource::Resource;

/// A selector ready to be asked.
#[derive(Debug)]
pub(crate) struct Matcher {
    group: Option<Anchored>,
    version: Option<Anchored>,
    kind: Option<Anchored>,
    name: Option<Anchored>,
    namespace: Option<Anchored>,
    labels: LabelSelector,
    annotations: LabelSelector,
    /// No part but labels and annotations is asked for.
    is_unnamed: bool,
    asks_texts: bool,
}

fn part(pattern: &str) -> Result<Option<Anchored>, String> {
    if pattern.is_empty() {
        return Ok(None);
    }
    Anchored::new(pattern).map(Some)
}

fn fits(pattern: Option<&Anchored>, text: &str) -> bool {
    pattern.is_none_or(|pattern| pattern.is_match(text))
}

impl Matcher {
    /// # Errors
    /// Bad regular expressions and label selectors.
    pub(crate) fn new(selector: &Selector) -> Result<Self, String> {
        Ok(Self {
            group: part(&selector.group)?,
            version: part(&selector.version)?,
            kind: part(&selector.kind)?,
            name: part(&selector.name)?,
            namespace: part(&selector.namespace)?,
            labels: LabelSelector::parse(&selector.label_selector)?,
            annotations: LabelSelector::parse(&selector.annotation_selector)?,
            is_unnamed: selector_id(selector).is_empty(),
            asks_texts: !selector.label_selector.is_empty()
                || !selector.annotation_selector.is_empty(),
        })
    }

    fn gvk(&self, gvk: &Gvk) -> bool {
        fits(self.group.as_ref(), &gvk.group)
            && fits(self.version.as_ref(), &gvk.version)
            && fits(self.kind.as_ref(), &gvk.kind)
    }

    /// Whether an identity fits, its namespace as it is written.
    pub(crate) fn id(&self, id: &ResId) -> bool {
        self.gvk(&id.gvk)
            && fits(self.name.as_ref(), &id.name)
            && fits(self.namespace.as_ref(), &id.namespace)
    }

    /// Whether labels and annotations fit.
    pub(crate) fn texts(&self, resource: &Resource) -> bool {
        self.labels.matches(|key| resource.text_of("labels", key))
            && self
                .annotations
                .matches(|key| resource.text_of("annotations", key))
    }

    /// Whether only labels and annotations are asked for.
    pub(crate) fn is_unnamed(&self) -> bool {
        self.is_unnamed
    }

    /// Whether labels or annotations are asked for.
    pub(crate) fn asks_texts(&self) -> bool {
        self.asks_texts
    }

    /// Whether an object is selected for a patch: by its first or its present name and namespace.
    pub(crate) fn selects(&self, resource: &Resource) -> bool {
        let current = resource.id();
        let original = resource.original_id();
        let namespace = |id: &ResId| fits(self.namespace.as_ref(), id.effective_namespace());
        let name = |id: &ResId| fits(self.name.as_ref(), &id.name);
        (namespace(&original) || namespace(&current))
            && (name(&original) || name(&current))
            && self.gvk(&current.gvk)
            && self.texts(resource)
    }
}

fn selector_id(selector: &Selector) -> ResId {
    ResId {
        gvk: Gvk {
            group: selector.group.clone(),
            version: selector.version.clone(),
            kind: selector.kind.clone(),
        },
        name: selector.name.clone(),
        namespace: selector.namespace.clone(),
        cluster_scoped: false,
    }
}

/// The numbers of the objects that a selector selects.
///
/// # Errors
/// As [`Matcher::new`].
pub(crate) fn select(list: &[Resource], selector: &Selector) -> Result<Vec<usize>, String> {
    let matcher = Matcher::new(selector)?;
    Ok((0..list.len())
        .filter(|index| matcher.selects(&list[*index]))
        .collect())
}
