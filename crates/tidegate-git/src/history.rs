//! What changed between commits, who made them, and their order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gix::{
    bstr::ByteSlice, objs::TreeRefIter, revision::walk::Sorting,
    traverse::commit::simple::CommitTimeOrder,
};
use serde::Serialize;

use crate::{
    Error, ObjectId,
    fetch::flat,
    source::{Source, find_commit},
    tree::{Budget, EntryKind, Tree, joined, kind},
};

/// The most commits that one log returns.
pub const MAX_LOG: usize = 10_000;

/// Facts about one commit, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitInfo {
    /// The commit.
    pub id: ObjectId,
    /// `Name <address>`, as Argo CD shows it.
    pub author: String,
    /// When the change was made.
    pub author_date: jiff::Timestamp,
    /// When the commit was made.
    pub commit_date: jiff::Timestamp,
    /// The first line of the message.
    pub subject: String,
    /// The whole message.
    pub message: String,
    /// The commits it builds on.
    pub parents: Vec<ObjectId>,
}

impl Tree {
    /// The paths of files, links and submodules that differ between this commit and `newer`, sorted.
    ///
    /// A renamed file is two paths; a change of mode counts.
    ///
    /// # Errors
    /// [`Error::Limit`] when more than [`crate::MAX_ENTRIES`] entries have to be compared, or [`Error::Corrupt`].
    pub fn changed_paths(&self, newer: &Self) -> Result<Vec<String>, Error> {
        let mut changed = BTreeSet::new();
        let mut budget = Budget::default();
        let mut pending = vec![(
            String::new(),
            Some(self.commit.tree),
            Some(newer.commit.tree),
            0,
        )];
        while let Some((path, old, new, depth)) = pending.pop() {
            if old == new {
                continue;
            }
            let mut sides = BTreeMap::<String, (Option<Node>, Option<Node>)>::new();
            for (name, node) in nodes(self, old, &path)? {
                sides.entry(name).or_default().0 = Some(node);
            }
            for (name, node) in nodes(newer, new, &path)? {
                sides.entry(name).or_default().1 = Some(node);
            }
            for (name, (old, new)) in sides {
                if old == new {
                    continue;
                }
                let path = joined(&path, &name);
                budget
                    .spend(&path, depth)
                    .map_err(|what| self.limit(what))?;
                let directory = |node: Option<Node>| {
                    node.filter(|(kind, _)| *kind == EntryKind::Directory)
                        .map(|(_, id)| id)
                };
                let leaf =
                    |node: Option<Node>| node.is_some_and(|(kind, _)| kind != EntryKind::Directory);
                if leaf(old) || leaf(new) {
                    changed.insert(path.clone());
                }
                if directory(old).is_some() || directory(new).is_some() {
                    pending.push((path, directory(old), directory(new), depth + 1));
                }
            }
        }
        Ok(changed.into_iter().collect())
    }
}

type Node = (EntryKind, gix::ObjectId);

/// Names are taken as they come: a comparison touches no file, and a bad name elsewhere must not hide a change here.
fn nodes(tree: &Tree, id: Option<gix::ObjectId>, path: &str) -> Result<Vec<(String, Node)>, Error> {
    let Some(id) = id else { return Ok(Vec::new()) };
    let data = tree.tree_data(id, path)?;
    TreeRefIter::from_bytes(&data, id.kind())
        .map(|entry| {
            let entry = entry.map_err(|error| Error::InvalidTree {
                remote: tree.remote.clone(),
                commit: tree.commit(),
                directory: path.to_owned(),
                reason: flat(&error),
            })?;
            Ok((
                entry.filename.to_str_lossy().into_owned(),
                (kind(entry.mode), entry.oid.to_owned()),
            ))
        })
        .collect()
}

pub(crate) fn commit_info(
    source: &Arc<Source>,
    remote: &str,
    id: ObjectId,
) -> Result<CommitInfo, Error> {
    let missing = || Error::UnknownRevision {
        remote: remote.to_owned(),
        revision: id.to_string(),
        did_you_mean: Vec::new(),
    };
    let commit = source.commit(remote, id)?.ok_or_else(missing)?;
    let repository = source.current(remote)?.ok_or_else(missing)?;
    read_info(&repository, commit.id).map_err(|error| Error::Corrupt {
        remote: remote.to_owned(),
        detail: flat(&error),
    })
}

/// The newest `limit` commits that `id` builds on, itself first.
pub(crate) fn log(
    source: &Arc<Source>,
    remote: &str,
    id: ObjectId,
    limit: usize,
) -> Result<Vec<CommitInfo>, Error> {
    let missing = || Error::UnknownRevision {
        remote: remote.to_owned(),
        revision: id.to_string(),
        did_you_mean: Vec::new(),
    };
    let commit = source.commit(remote, id)?.ok_or_else(missing)?;
    let repository = source.current(remote)?.ok_or_else(missing)?;
    let read = || -> gix::Result<Vec<CommitInfo>> {
        let walk = repository
            .rev_walk([commit.id.0])
            .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))
            .all()?;
        let mut found = Vec::new();
        for step in walk.take(limit.min(MAX_LOG)) {
            found.push(read_info(&repository, ObjectId(step?.id))?);
        }
        Ok(found)
    };
    read().map_err(|error| Error::Corrupt {
        remote: remote.to_owned(),
        detail: flat(&error),
    })
}

fn read_info(repository: &gix::Repository, id: ObjectId) -> gix::Result<CommitInfo> {
    let commit = repository.find_object(id.0)?.try_into_commit()?;
    let decoded = commit.decode()?;
    let (author, committer) = (decoded.author()?, decoded.committer()?);
    let message = decoded.message.to_str_lossy().into_owned();
    Ok(CommitInfo {
        id,
        author: format!(
            "{} <{}>",
            author.name.to_str_lossy(),
            author.email.to_str_lossy()
        ),
        author_date: timestamp(author.seconds()),
        commit_date: timestamp(committer.seconds()),
        subject: message
            .trim_start()
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
        message,
        parents: decoded.parents().map(ObjectId).collect(),
    })
}

/// A date beyond what can be told is the nearest that can.
fn timestamp(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    })
}

/// Whether `id` is a commit that is here, for abbreviations.
pub(crate) fn committish(
    repository: &gix::Repository,
    candidates: impl IntoIterator<Item = gix::ObjectId>,
) -> Vec<ObjectId> {
    let found = candidates.into_iter().filter_map(|id| {
        find_commit(repository, ObjectId(id))
            .ok()
            .flatten()
            .map(|commit| (id, commit.id))
    });
    let mut found: Vec<ObjectId> = found
        .filter(|(id, commit)| *id == commit.0)
        .map(|(_, commit)| commit)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
