//! Whose a resource is: the tags that say so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Tags of Tidegate's own begin so.
pub const TAG_PREFIX: &str = "tidegate.dev/";
/// The application's tracking name.
pub const TAG_APPLICATION: &str = "tidegate.dev/app";
/// `<stack>/<logical id>`.
pub const TAG_ID: &str = "tidegate.dev/id";
/// Sync facts that must outlive the resource's place in Git: `wave=2 prune=false delete=false`.
pub(crate) const TAG_FACTS: &str = "tidegate.dev/facts";
/// `true`: it stays when it leaves Git, and nobody manages it any more.
pub(crate) const TAG_RETAIN: &str = "tidegate.dev/retain";
/// Tag values are cut here.
const TAG_VALUE_MAX: usize = 256;

/// Whose a resource is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The application's tracking name; empty: nobody's, and no tags are set.
    pub application: String,
    /// The stack.
    pub stack: String,
    /// The logical id.
    pub logical_id: String,
    /// Annotations that must outlive the resource's place in Git.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// It stays when it leaves Git (`DeletionPolicy: Retain`).
    #[serde(default)]
    pub retain: bool,
}

impl Mark {
    /// `<stack>/<logical id>`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.stack, self.logical_id)
    }

    /// The mark as tags.
    pub fn tags(&self) -> BTreeMap<String, String> {
        if self.application.is_empty() {
            return BTreeMap::new();
        }
        let mut tags = BTreeMap::from([
            (TAG_APPLICATION.to_owned(), cut(&self.application)),
            (TAG_ID.to_owned(), cut(&self.id())),
        ]);
        let facts = self.facts();
        if !facts.is_empty() {
            tags.insert(TAG_FACTS.to_owned(), cut(&facts));
        }
        if self.retain {
            tags.insert(TAG_RETAIN.to_owned(), "true".to_owned());
        }
        tags
    }

    /// Reads a mark from tags; none when they bear none.
    pub fn of_tags(tags: &BTreeMap<String, String>) -> Option<Self> {
        let application = tags.get(TAG_APPLICATION)?.clone();
        let (stack, logical_id) = tags.get(TAG_ID)?.rsplit_once('/')?;
        let facts = tags.get(TAG_FACTS).map(String::as_str).unwrap_or_default();
        Some(Self {
            application,
            stack: stack.to_owned(),
            logical_id: logical_id.to_owned(),
            annotations: read_facts(facts),
            retain: tags.contains_key(TAG_RETAIN),
        })
    }

    /// A text for fields that can carry a marker where a type has no tags (`Description`).
    pub fn marker(&self) -> String {
        cut(&format!("tidegate: {} {}", self.application, self.id()))
    }

    fn facts(&self) -> String {
        let mut words = Vec::new();
        for (name, value) in &self.annotations {
            let short = name.strip_prefix("argocd.argoproj.io/");
            if let Some(short) = short
                && (short == "sync-wave" || short == "sync-options" || short == "hook")
            {
                let value = value.replace(',', " + ").replace(';', " ");
                words.push(format!("{short}={}", value.replace(" + ", "+")));
            }
        }
        words.join("@")
    }
}

fn read_facts(text: &str) -> BTreeMap<String, String> {
    let words = text.split('@').filter_map(|word| word.split_once('='));
    words
        .map(|(name, value)| {
            let name = format!("argocd.argoproj.io/{name}");
            (name, value.replace('+', ","))
        })
        .collect()
}

/// Tag values hold letters, digits, spaces and `_.:/=+-@`, up to 256 of them.
fn cut(text: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    let clean = text.chars().map(|c| if allowed(c) { c } else { '_' });
    clean.take(TAG_VALUE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives_its_tags() {
        let mark = Mark {
            application: "etl".to_owned(),
            stack: "etl-prod".to_owned(),
            logical_id: "Transform".to_owned(),
            annotations: BTreeMap::from([
                ("argocd.argoproj.io/sync-wave".to_owned(), "-2".to_owned()),
                (
                    "argocd.argoproj.io/sync-options".to_owned(),
                    "Prune=false,Delete=false".to_owned(),
                ),
            ]),
            retain: true,
        };
        assert_eq!(Mark::of_tags(&mark.tags()), Some(mark));
    }

    #[test]
    fn tags_without_a_mark_are_nobodys() {
        assert_eq!(Mark::of_tags(&BTreeMap::new()), None);
    }
}
