//! The repository with the Applications, and the snapshots that their sources are rendered from.
//!
//! Everything here blocks: call it off the workers of an async runtime.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tidegate_git::{
    Credentials, LocalRepository, Mirror, Mirrors, ObjectId, Remote, RemoteOptions,
};
use tidegate_gocompat::Glob;
use tidegate_kustomize::{RemoteBase, RepositoryAddress};
use tidegate_manifest::ApplicationSource;
use tidegate_render::{DirectoryTree, FileTree};

use crate::tree::CommitTree;
use crate::{Error, Location};

/// Behind the commit of a directory that differs from it.
const DIRTY: &str = "+dirty";
/// The revision of a directory that is in no repository.
const UNVERSIONED: &str = "unversioned";

/// How a repository is opened.
#[derive(Debug)]
pub struct RepositoryOptions {
    /// What the user gave.
    pub location: Location,
    /// Revision of an address; HEAD when absent.
    pub revision: Option<String>,
    /// Directories that stand for repository URLs.
    pub maps: Vec<(String, PathBuf)>,
    /// Where mirrors are kept.
    pub mirrors: PathBuf,
    /// Credentials for the host of `location`; no other host ever gets them.
    pub credentials: Credentials,
}

/// The repository with the Applications.
#[derive(Debug)]
pub struct Repository {
    location: Location,
    revision: Option<String>,
    maps: BTreeMap<String, PathBuf>,
    mirrors: Mirrors,
    credentials: Credentials,
    opened: Mutex<BTreeMap<String, Mirror>>,
    asked: Mutex<BTreeMap<String, Instant>>,
}

/// The files of one repository at one revision.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The files.
    pub tree: Arc<dyn FileTree>,
    /// The commit, with `+dirty` for a directory that differs from it.
    pub revision: String,
    /// The repository, as people know it.
    pub repository: String,
    /// It is read from here although its URL says otherwise.
    pub read_from: Option<String>,
}

/// Where a source is read from.
enum Place {
    /// A directory, as it stands.
    Directory(PathBuf),
    /// The repository that its address names.
    Mirror(Mirror),
    /// The repository at hand, in place of the one that its address names.
    Instead(Mirror),
}

/// How long an answer of a remote serves all who ask for its refs.
const REFS_SHARED_FOR: Duration = Duration::from_millis(500);

impl Repository {
    /// Opens a repository; nothing is read or fetched yet.
    ///
    /// # Errors
    /// The directory of mirrors cannot be made, or a map names no directory.
    pub fn open(options: RepositoryOptions) -> Result<Self, Error> {
        let RepositoryOptions {
            location,
            revision,
            maps,
            mirrors,
            credentials,
        } = options;
        if revision.is_some() && matches!(location, Location::Directory(_)) {
            return Err(Error::Refused(format!(
                "{location} is a directory and is read as it stands: a revision can be given only for a repository's address"
            )));
        }
        let mut known = BTreeMap::new();
        for (url, path) in maps {
            let path = path.canonicalize().map_err(Error::io("finding", path))?;
            known.insert(normalized(&url), path);
        }
        Ok(Self {
            location,
            revision,
            maps: known,
            mirrors: Mirrors::new(mirrors)?,
            credentials,
            opened: Mutex::default(),
            asked: Mutex::default(),
        })
    }

    /// What the user gave.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The files that Applications are looked for in.
    ///
    /// # Errors
    /// The remote does not answer, or has no such revision.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        match &self.location {
            Location::Directory(path) => directory_snapshot(path, &self.location.to_string(), None),
            Location::Remote(remote) => {
                let mirror = self.mirror(remote)?;
                mirror_snapshot(&mirror, self.at_hand(&mirror)?)
            }
        }
    }

    /// What the repository looks like now: its commit, or for a directory its files.
    ///
    /// # Errors
    /// As [`Repository::snapshot`].
    pub(crate) fn look(&self) -> Result<String, Error> {
        match &self.location {
            Location::Directory(path) => Ok(format!("{:x}", crate::source::fingerprint(path))),
            Location::Remote(remote) => Ok(self.at_hand(&self.mirror(remote)?)?.to_string()),
        }
    }

    /// The files of an Application's source; `exactly` pins a revision that was resolved before.
    ///
    /// # Errors
    /// As [`Repository::snapshot`], and when the source may not be read.
    pub fn source(
        &self,
        source: &ApplicationSource,
        exactly: Option<&str>,
    ) -> Result<Snapshot, Error> {
        match self.place(source)? {
            Place::Directory(path) => {
                let snapshot = directory_snapshot(&path, &source.repo_url, Some(&path))?;
                match exactly {
                    Some(revision) if revision != snapshot.revision => {
                        committed(&path, &source.repo_url, revision)
                    }
                    Some(_) | None => Ok(snapshot),
                }
            }
            Place::Mirror(mirror) => {
                mirror_snapshot(&mirror, self.commit(&mirror, source, exactly)?)
            }
            Place::Instead(mirror) => {
                let snapshot =
                    mirror_snapshot(&mirror, self.commit_instead(&mirror, source, exactly)?)?;
                Ok(Snapshot {
                    read_from: Some(snapshot.repository.clone()),
                    ..snapshot
                })
            }
        }
    }

    /// What an Application's source stands for now; asks the remote for its refs only.
    ///
    /// # Errors
    /// As [`Repository::source`].
    pub fn newest(&self, source: &ApplicationSource) -> Result<String, Error> {
        match self.place(source)? {
            Place::Directory(path) => describe(&path),
            Place::Mirror(mirror) => Ok(self.commit(&mirror, source, None)?.to_string()),
            Place::Instead(mirror) => Ok(self.commit_instead(&mirror, source, None)?.to_string()),
        }
    }

    /// The directory that a source is read from, when it is one.
    pub(crate) fn directory_of(&self, source: &ApplicationSource) -> Option<PathBuf> {
        match self.place(source).ok()? {
            Place::Directory(path) => Some(path),
            Place::Mirror(_) | Place::Instead(_) => None,
        }
    }

    fn commit(
        &self,
        mirror: &Mirror,
        source: &ApplicationSource,
        exactly: Option<&str>,
    ) -> Result<ObjectId, Error> {
        let wanted =
            exactly.unwrap_or_else(|| match (&self.revision, source.target_revision.as_str()) {
                // A source of the repository at hand that names no revision goes with the one that was given.
                (Some(revision), "") if self.is_own(source) => revision,
                (_, target) => target,
            });
        let prefix = source.tag_prefix.as_deref().unwrap_or_default();
        self.resolve(mirror, wanted, prefix)
    }

    /// The revision of a source in the repository that stands in for its own: its target revision when there is
    /// one of that name, else the revision at hand.
    fn commit_instead(
        &self,
        mirror: &Mirror,
        source: &ApplicationSource,
        exactly: Option<&str>,
    ) -> Result<ObjectId, Error> {
        match self.commit(mirror, source, exactly) {
            Err(Error::Git(tidegate_git::Error::UnknownRevision { .. })) if exactly.is_none() => {
                self.at_hand(mirror)
            }
            found => found,
        }
    }

    /// The commit that was asked for on the command line.
    fn at_hand(&self, mirror: &Mirror) -> Result<ObjectId, Error> {
        self.resolve(mirror, self.revision.as_deref().unwrap_or_default(), "")
    }

    /// Resolves a revision; many that are asked for at once cost the remote one answer.
    fn resolve(&self, mirror: &Mirror, revision: &str, prefix: &str) -> Result<ObjectId, Error> {
        if let Ok(commit) = revision.parse() {
            return Ok(commit);
        }
        let key = mirror.remote().normalized().to_owned();
        let now = Instant::now();
        let is_fresh = {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked
                .get(&key)
                .is_some_and(|at| now.duration_since(*at) < REFS_SHARED_FOR)
        };
        let refs = match mirror.last_refs().filter(|_| is_fresh) {
            Some(refs) => refs,
            None => {
                let refs = mirror.poll()?;
                self.asked
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(key, Instant::now());
                refs
            }
        };
        Ok(mirror.resolve_in(&refs, revision, prefix)?.commit)
    }

    /// The files of a base that a kustomization names by its address: a directory that was mapped, the repository at
    /// hand, or one that `allowed` lets through.
    ///
    /// # Errors
    /// Nobody allowed it; the remote does not answer, or has no such revision.
    pub(crate) fn base(
        &self,
        address: &RepositoryAddress,
        allowed: &[String],
    ) -> Result<RemoteBase, Error> {
        let directory = address.directory.clone();
        if let Some(path) = self.maps.get(&normalized(&address.clone)) {
            let tree = DirectoryTree::open(path).map_err(Error::io("opening", path))?;
            let tree: Arc<dyn FileTree> = Arc::new(tree);
            return Ok(RemoteBase { tree, directory });
        }
        let remote = Remote::parse(&address.clone)?;
        let is_own = match &self.location {
            Location::Directory(_) => false,
            Location::Remote(own) => own.normalized() == remote.normalized(),
        };
        let is_allowed = || {
            let names = [address.clone.as_str(), remote.normalized()];
            let names = names.map(|name| name.trim_end_matches(".git"));
            allowed.iter().any(|pattern| {
                let pattern = pattern.trim_end_matches(".git");
                Glob::new(pattern, &['/'])
                    .is_ok_and(|glob| names.iter().any(|name| glob.matches(name)))
            })
        };
        if !is_own && (remote.local_path().is_some() || !is_allowed()) {
            return Err(Error::Refused(format!(
                "{} is not allowed: pass --map {}=DIR, or name it under kustomize.remoteBases in the settings",
                address.clone, address.clone
            )));
        }
        let mirror = self.mirror(&remote)?;
        let commit = self.resolve(&mirror, &address.reference, "")?;
        let tree = mirror_snapshot(&mirror, commit)?.tree;
        Ok(RemoteBase { tree, directory })
    }

    /// Where a source is read from: a map, the directory at hand when it has the path, or its own address.
    fn place(&self, source: &ApplicationSource) -> Result<Place, Error> {
        if let Some(path) = self.maps.get(&normalized(&source.repo_url)) {
            return Ok(Place::Directory(path.clone()));
        }
        if let Location::Directory(root) = &self.location {
            let path = source.path.as_deref().unwrap_or_default();
            if source.chart.is_none() && has_directory(root, path) {
                return Ok(Place::Directory(root.clone()));
            }
        }
        if let Location::Remote(remote) = &self.location {
            let mirror = self.mirror(remote)?;
            if self.is_own(source) {
                return Ok(Place::Mirror(mirror));
            }
            if source.chart.is_none()
                && self.has_path(&mirror, source.path.as_deref().unwrap_or_default())?
            {
                return Ok(Place::Instead(mirror));
            }
        }
        let remote = Remote::parse(&source.repo_url)?;
        if remote.local_path().is_some() {
            return Err(Error::Refused(format!(
                "source {} is a path of this machine, which a repository may not name: pass --map {}=DIR if it is meant",
                source.repo_url, source.repo_url
            )));
        }
        Ok(Place::Mirror(self.mirror(&remote)?))
    }

    /// Whether the repository at hand has a directory at `path`.
    fn has_path(&self, mirror: &Mirror, path: &str) -> Result<bool, Error> {
        let commit = mirror.ensure(self.at_hand(mirror)?)?;
        let path = path.trim_matches('/');
        let path = if path == "." { "" } else { path };
        let entry = mirror.tree(commit)?.entry(path)?;
        Ok(entry.is_some_and(|entry| entry.kind == tidegate_git::EntryKind::Directory))
    }

    /// Whether a source is of the repository that the user gave.
    fn is_own(&self, source: &ApplicationSource) -> bool {
        match &self.location {
            Location::Directory(_) => false,
            Location::Remote(remote) => Remote::parse(&source.repo_url)
                .is_ok_and(|own| own.normalized() == remote.normalized()),
        }
    }

    fn mirror(&self, remote: &Remote) -> Result<Mirror, Error> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let key = remote.normalized().to_owned();
        let mirror = opened.entry(key).or_insert_with(|| {
            let own = matches!(&self.location, Location::Remote(given) if same_host(given, remote));
            let credentials = if own {
                self.credentials.clone()
            } else {
                Credentials::None
            };
            self.mirrors
                .open(remote.clone(), credentials, RemoteOptions::default())
        });
        Ok(mirror.clone())
    }
}

/// Credentials go to the host that they were given for and to no other.
fn same_host(given: &Remote, other: &Remote) -> bool {
    let host = |remote: &Remote| {
        let text = remote.normalized().to_owned();
        let (scheme, rest) = text.split_once("://")?;
        Some((scheme.to_owned(), rest.split('/').next()?.to_owned()))
    };
    given.normalized() == other.normalized() || host(given).is_some_and(|g| host(other) == Some(g))
}

fn normalized(url: &str) -> String {
    Remote::parse(url).map_or_else(
        |_| url.trim_end_matches('/').to_owned(),
        |remote| remote.normalized().to_owned(),
    )
}

/// Whether `path` is a directory inside `root`, without following a link out of it.
fn has_directory(root: &std::path::Path, path: &str) -> bool {
    root.join(path)
        .canonicalize()
        .is_ok_and(|found| found.is_dir() && found.starts_with(root))
}

fn mirror_snapshot(mirror: &Mirror, commit: ObjectId) -> Result<Snapshot, Error> {
    let commit = mirror.ensure(commit)?;
    let tree = mirror.tree(commit)?;
    Ok(Snapshot {
        tree: Arc::new(CommitTree(tree)),
        revision: commit.to_string(),
        repository: mirror.remote().to_string(),
        read_from: None,
    })
}

fn directory_snapshot(
    path: &std::path::Path,
    repository: &str,
    read_from: Option<&std::path::Path>,
) -> Result<Snapshot, Error> {
    let tree = DirectoryTree::open(path).map_err(Error::io("opening", path))?;
    Ok(Snapshot {
        tree: Arc::new(tree),
        revision: describe(path)?,
        repository: repository.to_owned(),
        read_from: read_from.map(|path| path.display().to_string()),
    })
}

/// An earlier commit of a directory's own repository, for a rollback or a resumed sync.
fn committed(path: &std::path::Path, repository: &str, revision: &str) -> Result<Snapshot, Error> {
    let gone = || {
        Error::Refused(format!(
            "{} is no longer at {revision}, and only committed revisions can be read again",
            path.display()
        ))
    };
    let commit: ObjectId = revision.parse().map_err(|_| gone())?;
    let local = LocalRepository::open(path)?.ok_or_else(gone)?;
    let tree = local.tree(commit).map_err(|_| gone())?;
    let below = local.prefix().ok_or_else(gone)?;
    Ok(Snapshot {
        tree: Arc::new(crate::tree::Below::new(CommitTree(tree), below)),
        revision: revision.to_owned(),
        repository: repository.to_owned(),
        read_from: Some(path.display().to_string()),
    })
}

fn describe(path: &std::path::Path) -> Result<String, Error> {
    let Some(description) = tidegate_git::describe(path)? else {
        return Ok(UNVERSIONED.to_owned());
    };
    let Some(commit) = description.commit else {
        return Ok(format!("{UNVERSIONED}{DIRTY}"));
    };
    let dirty = if description.dirty { DIRTY } else { "" };
    Ok(format!("{commit}{dirty}"))
}
