//! The refs of a remote, and how a target revision becomes a commit. Pure: no network, no repository.
//!
//! Source of the rules: Argo CD's `util/git/client.go` and `util/versions/tags.go`; where Argo CD leaves the order to chance (a branch
//! and a tag of the same name), git's own order decides: the tag.

use std::collections::BTreeMap;

use crate::{Error, ObjectId, versions};

/// Shortest abbreviation of a commit name that is taken for one.
pub const MIN_ABBREVIATION: usize = 7;
/// How many similar names an error offers.
const MAX_SUGGESTIONS: usize = 3;

/// One ref as the remote advertises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRef {
    /// The object it names: for an annotated tag the tag object.
    pub target: ObjectId,
    /// The object behind it once tags are peeled: a commit, in sane repositories.
    pub peeled: ObjectId,
    /// The ref that it points to, for a symbolic ref such as `HEAD`.
    pub symbolic: Option<String>,
}

/// The refs of a remote at one moment, by full name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefList {
    pub(crate) refs: BTreeMap<String, RemoteRef>,
}

/// What a target revision came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The commit.
    pub commit: ObjectId,
    /// The full name of the ref that led there; none for a revision that is a commit name itself.
    pub ref_name: Option<String>,
}

/// A resolution that may still need the repository's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    Found(Resolved),
    /// An abbreviated commit name.
    Abbreviated(String),
    Unknown,
}

impl RefList {
    /// All refs in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RemoteRef)> {
        self.refs
            .iter()
            .map(|(name, target)| (name.as_str(), target))
    }

    /// The ref with this full name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RemoteRef> {
        self.refs.get(name)
    }

    /// True for a repository without any commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }

    /// The branch that `HEAD` names.
    #[must_use]
    pub fn default_branch(&self) -> Option<&str> {
        self.refs
            .get("HEAD")?
            .symbolic
            .as_deref()?
            .strip_prefix("refs/heads/")
    }

    fn found(&self, name: &str) -> Option<Resolution> {
        self.refs.get_key_value(name).map(|(name, target)| {
            Resolution::Found(Resolved {
                commit: target.peeled,
                ref_name: Some(name.clone()),
            })
        })
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        self.refs
            .range("refs/tags/".to_owned()..)
            .map_while(|(name, _)| name.strip_prefix("refs/tags/"))
    }

    /// The rule in order: full commit name, `HEAD` for nothing, the highest tag for a version constraint, exact names, abbreviations.
    pub(crate) fn resolve(&self, revision: &str, tag_prefix: &str) -> Resolution {
        if let Ok(commit) = revision.parse() {
            return Resolution::Found(Resolved {
                commit,
                ref_name: None,
            });
        }
        let revision = if revision.is_empty() {
            "HEAD"
        } else {
            revision
        };
        if let Some(tag) = versions::max_version(revision, self.tags(), tag_prefix)
            && let Some(found) = self.found(&format!("refs/tags/{tag}"))
        {
            return found;
        }
        let candidates = ["", "refs/tags/", "refs/heads/", "refs/remotes/", "refs/"]
            .map(|namespace| format!("{namespace}{revision}"));
        // `heads/main` is no short name of a branch for Argo CD, only `main` and `refs/heads/main` are.
        let half_qualified = ["heads/", "tags/", "remotes/"]
            .iter()
            .any(|namespace| revision.starts_with(namespace));
        let usable = if half_qualified {
            &candidates[..4]
        } else {
            &candidates[..]
        };
        if let Some(found) = usable.iter().find_map(|name| self.found(name)) {
            return found;
        }
        let hex = revision.len() >= MIN_ABBREVIATION
            && revision.len() < 40
            && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex {
            Resolution::Abbreviated(revision.to_ascii_lowercase())
        } else {
            Resolution::Unknown
        }
    }

    /// The error for a revision that is not here, with names that are nearly the same.
    pub(crate) fn unknown(&self, remote: &str, revision: &str) -> Error {
        Error::UnknownRevision {
            remote: remote.to_owned(),
            revision: revision.to_owned(),
            did_you_mean: self.similar(revision),
        }
    }

    fn similar(&self, revision: &str) -> Vec<String> {
        let wanted = revision.to_lowercase();
        let wanted = wanted.strip_prefix("origin/").unwrap_or(&wanted);
        if wanted.len() > 100 {
            return Vec::new();
        }
        let names = self.refs.keys().filter_map(|name| {
            name.strip_prefix("refs/heads/")
                .or_else(|| name.strip_prefix("refs/tags/"))
        });
        let allowed = (wanted.chars().count() / 3).clamp(1, 3);
        let mut scored: Vec<(usize, &str)> = names
            .filter_map(|name| {
                let lower = name.to_lowercase();
                let last = lower.rsplit('/').next().unwrap_or(&lower);
                let unversioned = lower.strip_prefix('v').unwrap_or(&lower);
                let distance = [lower.as_str(), last, unversioned]
                    .iter()
                    .map(|name| distance(wanted, name, allowed))
                    .min()?;
                (distance <= allowed).then_some((distance, name))
            })
            .collect();
        scored.sort_unstable();
        scored.dedup_by_key(|(_, name)| *name);
        scored
            .into_iter()
            .take(MAX_SUGGESTIONS)
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}

/// Edit distance with swapped neighbours as one edit, or more than `limit` when it is more.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
#[path = "refs/tests.rs"]
mod tests;
