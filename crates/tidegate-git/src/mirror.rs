//! Mirrors: one bare repository per remote, shared by every application that uses it.
//!
//! Polling, resolving and fetching live here; reading files is `tree`, the protocol is `fetch`, the directory is `store`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    CommitInfo, Credentials, Error, FetchScope, ObjectId, RefList, Remote, RemoteOptions, Resolved,
    Tree,
    call::{self, Call, Limits, Permits, lock},
    fetch::{self, NAMESPACES, Session},
    history,
    refs::Resolution,
    source::Source,
    store::{self, WriteLock},
    transport::{Access, SshMode},
};

/// The most a remote may send while its refs are listed.
const MAX_LISTING_BYTES: u64 = 256 << 20;
/// Remotes that are remembered in memory; unused ones are forgotten beyond it.
pub const MAX_REMOTES: usize = 10_000;
/// Complete tips that a mirror remembers when it fetches only what is wanted.
const MAX_TIPS: usize = 1_000;

/// A directory of mirrors. Several processes may share it.
///
/// All calls block. From async code, run them with `tokio::task::spawn_blocking` or its like; a call that outlives its deadline returns
/// [`Error::Timeout`] and leaves nothing running for longer than its own deadline.
///
/// ```no_run
/// use tidegate_git::{Credentials, Mirrors, Remote, RemoteOptions};
/// let mirrors = Mirrors::new("/var/cache/tidegate/git")?;
/// let remote = Remote::parse("https://example.com/team/pipelines.git")?;
/// let mirror = mirrors.open(remote, Credentials::None, RemoteOptions::default());
/// let resolved = mirror.resolve("main", "")?;
/// mirror.ensure(resolved.commit)?;
/// let tree = mirror.tree(resolved.commit)?;
/// for entry in tree.walk("envs/prod")? {
///     println!("{}", entry.path);
/// }
/// # Ok::<(), tidegate_git::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mirrors {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    remotes: Mutex<BTreeMap<String, Arc<Shared>>>,
    permits: Arc<Permits>,
}

/// What all users of one remote share.
#[derive(Debug)]
struct Shared {
    source: Arc<Source>,
    writer: Mutex<()>,
    refs: RwLock<Option<Arc<RefList>>>,
    ssh_inline: AtomicBool,
}

impl Mirrors {
    /// Mirrors in `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be made.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        std::fs::create_dir_all(&directory)
            .map_err(Error::io(format!("creating `{}`", directory.display())))?;
        Ok(Self {
            inner: Arc::new(Inner {
                directory,
                remotes: Mutex::default(),
                permits: Arc::default(),
            }),
        })
    }

    /// The mirror of a remote; nothing is read or sent yet. Whoever holds it can read all that the mirror holds, so which application may
    /// use which remote is decided before.
    #[must_use]
    pub fn open(&self, remote: Remote, credentials: Credentials, options: RemoteOptions) -> Mirror {
        let key = remote.key();
        let mut remotes = lock(&self.inner.remotes);
        if remotes.len() >= MAX_REMOTES {
            remotes.retain(|_, shared| Arc::strong_count(shared) > 1);
        }
        let shared = remotes.entry(key.clone()).or_insert_with(|| {
            let path = self.inner.directory.join(format!("{key}.git"));
            let source = Source::new(path, store::options(options.max_fetched_object_bytes), true);
            Arc::new(Shared {
                source: Arc::new(source),
                writer: Mutex::default(),
                refs: RwLock::default(),
                ssh_inline: AtomicBool::new(false),
            })
        });
        Mirror {
            name: remote.to_string(),
            shared: Arc::clone(shared),
            permits: Arc::clone(&self.inner.permits),
            access: Arc::new(Access::new(remote, credentials, options)),
        }
    }
}

/// One remote, with somebody's credentials for it.
#[derive(Clone)]
pub struct Mirror {
    name: String,
    shared: Arc<Shared>,
    permits: Arc<Permits>,
    access: Arc<Access>,
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mirror({})", self.name)
    }
}

impl Mirror {
    /// The remote.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.access.remote
    }

    /// Asks the remote for its branches and tags; no object is fetched.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::AuthenticationRequired`], [`Error::NotFound`], [`Error::Timeout`] and their like.
    pub fn poll(&self) -> Result<Arc<RefList>, Error> {
        let refs = Arc::new(self.list(NAMESPACES.iter().map(ToString::to_string).collect())?);
        self.remember(&refs);
        Ok(refs)
    }

    /// The refs as they were when somebody last polled or fetched.
    #[must_use]
    pub fn last_refs(&self) -> Option<Arc<RefList>> {
        self.shared
            .refs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, refs: &Arc<RefList>) {
        *self
            .shared
            .refs
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(refs));
    }

    fn list(&self, prefixes: Vec<String>) -> Result<RefList, Error> {
        let options = &self.access.options;
        let limits = Limits {
            attempted: "listing refs",
            timeout: options.poll_timeout,
            stall: options.stall_timeout,
            attempts: options.attempts,
            max_bytes: MAX_LISTING_BYTES,
        };
        let this = self.clone();
        call::run(&self.permits, &self.name, limits, move |call| {
            let mut session = this.connect(call)?;
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            let refs = session.list(&prefixes)?;
            session.close();
            Ok(refs)
        })
    }

    fn connect(&self, call: &Arc<Call>) -> Result<Session, Error> {
        let known = self.shared.ssh_inline.load(Ordering::Relaxed);
        let session = Session::open(
            &self.access,
            if known {
                SshMode::Inline
            } else {
                SshMode::SendEnv
            },
            call,
        )?;
        if known || session.is_version_2() || !self.access.is_ssh() {
            return Ok(session);
        }
        // The server drops GIT_PROTOCOL; a shell behind it may take it from the command.
        match Session::open(&self.access, SshMode::Inline, call) {
            Ok(inline) if inline.is_version_2() => {
                self.shared.ssh_inline.store(true, Ordering::Relaxed);
                Ok(inline)
            }
            _ => Ok(session),
        }
    }

    /// The commit that a target revision means now, as Argo CD resolves it. Asks the remote, except for a full commit name.
    ///
    /// `tag_prefix` narrows a version constraint to the tags that begin with it; usually it is empty.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`], [`Error::AmbiguousRevision`], or as [`Mirror::poll`].
    pub fn resolve(&self, target_revision: &str, tag_prefix: &str) -> Result<Resolved, Error> {
        if let Ok(commit) = target_revision.parse() {
            return Ok(Resolved {
                commit,
                ref_name: None,
            });
        }
        self.resolve_in(&*self.poll()?, target_revision, tag_prefix)
    }

    /// As [`Mirror::resolve`], against refs that were polled before: many revisions of one remote cost one poll.
    ///
    /// An abbreviated commit name or a ref outside branches and tags may still ask the remote.
    ///
    /// # Errors
    /// As [`Mirror::resolve`].
    pub fn resolve_in(
        &self,
        refs: &RefList,
        target_revision: &str,
        tag_prefix: &str,
    ) -> Result<Resolved, Error> {
        match refs.resolve(target_revision, tag_prefix) {
            Resolution::Found(resolved) => Ok(resolved),
            Resolution::Abbreviated(hex) => self.abbreviated(refs, &hex),
            Resolution::Unknown => self.elsewhere(refs, target_revision),
        }
    }

    /// Refs such as `refs/pull/7/head`: there may be very many, so each is asked for by name.
    fn elsewhere(&self, refs: &RefList, revision: &str) -> Result<Resolved, Error> {
        let unknown = || refs.unknown(&self.name, revision);
        let possible = revision.contains('/')
            && gix::validate::reference::name_partial(revision.into()).is_ok()
            && !NAMESPACES
                .iter()
                .any(|namespace| revision.starts_with(namespace));
        if !possible {
            return Err(unknown());
        }
        let prefix = if revision.starts_with("refs/") {
            revision.to_owned()
        } else {
            format!("refs/{revision}")
        };
        match self.list(vec![prefix])?.resolve(revision, "") {
            Resolution::Found(resolved) => Ok(resolved),
            _ => Err(unknown()),
        }
    }

    fn abbreviated(&self, refs: &RefList, hex: &str) -> Result<Resolved, Error> {
        let mut candidates = self.candidates(hex)?;
        if candidates.is_empty() {
            self.fetch(None)?;
            candidates = self.candidates(hex)?;
        }
        match candidates.as_slice() {
            [] => Err(refs.unknown(&self.name, hex)),
            [commit] => Ok(Resolved {
                commit: *commit,
                ref_name: None,
            }),
            several => Err(Error::AmbiguousRevision {
                remote: self.name.clone(),
                revision: hex.to_owned(),
                candidates: several.iter().take(5).map(ToString::to_string).collect(),
            }),
        }
    }

    fn candidates(&self, hex: &str) -> Result<Vec<ObjectId>, Error> {
        let Some(repository) = self.shared.source.current(&self.name)? else {
            return Ok(Vec::new());
        };
        let Ok(prefix) = gix::hash::Prefix::from_hex(hex) else {
            return Ok(Vec::new());
        };
        let mut found = std::collections::HashSet::default();
        let looked = repository.objects.lookup_prefix(prefix, Some(&mut found));
        looked.map_err(|error| self.corrupt(&error))?;
        Ok(history::committish(&repository, found))
    }

    fn corrupt(&self, error: &gix::Error) -> Error {
        self.shared.source.suspect();
        Error::Corrupt {
            remote: self.name.clone(),
            detail: fetch::flat(error),
        }
    }

    /// Makes sure that a commit and all it builds on are here, and returns the commit itself when `id` is a tag object. Without network
    /// when it is here already.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`] when the remote does not have it either, [`Error::Limit`], or as [`Mirror::poll`].
    pub fn ensure(&self, id: ObjectId) -> Result<ObjectId, Error> {
        if !self.shared.source.is_suspect()
            && let Ok(Some(commit)) = self.shared.source.commit(&self.name, id)
        {
            return Ok(commit.id);
        }
        self.fetch(Some(id))?;
        let commit = self.shared.source.commit(&self.name, id)?;
        commit
            .map(|commit| commit.id)
            .ok_or_else(|| self.unknown(id))
    }

    fn unknown(&self, id: ObjectId) -> Error {
        Error::UnknownRevision {
            remote: self.name.clone(),
            revision: id.to_string(),
            did_you_mean: Vec::new(),
        }
    }

    /// The server's refusal of an object does not always name it.
    fn named(&self, error: Error, want: ObjectId) -> Error {
        if matches!(error, Error::UnknownRevision { .. }) {
            self.unknown(want)
        } else {
            error
        }
    }

    fn fetch(&self, want: Option<ObjectId>) -> Result<(), Error> {
        let options = &self.access.options;
        let limits = Limits {
            attempted: "fetching",
            timeout: options.fetch_timeout,
            stall: options.stall_timeout,
            attempts: options.attempts,
            max_bytes: options.max_pack_bytes.saturating_add(MAX_LISTING_BYTES),
        };
        let this = self.clone();
        call::run(&self.permits, &self.name, limits, move |call| {
            // Within the process first: a file lock alone would leave the order to chance.
            let _writer = lock(&this.shared.writer);
            if call.is_cancelled() {
                return Err(call.timeout_error());
            }
            let _lock = WriteLock::acquire(&store::sibling(this.path(), "lock"), call)?;
            this.fetch_locked(call, want)
        })
    }

    fn path(&self) -> &Path {
        self.shared.source.path()
    }

    fn fetch_locked(&self, call: &Arc<Call>, want: Option<ObjectId>) -> Result<(), Error> {
        let source = &self.shared.source;
        let usable = !source.is_suspect() && matches!(source.reopen(&self.name), Ok(Some(_)));
        if !usable {
            return self.rebuild(call, want);
        }
        // Another process may have brought it meanwhile.
        if let Some(want) = want
            && matches!(source.commit(&self.name, want), Ok(Some(_)))
        {
            return Ok(());
        }
        store::sweep(self.path());
        match self.fetch_into(call, self.path(), want) {
            Ok(()) => {}
            Err(error @ (Error::Protocol { .. } | Error::Corrupt { .. })) => {
                // What is on disk may be what the conversation stumbled over.
                tracing::warn!(remote = self.name, %error, "writing the mirror anew");
                return self.rebuild(call, want);
            }
            Err(error) => return Err(error),
        }
        source.reopen(&self.name)?;
        if store::count_packs(self.path()) > store::MAX_PACKS
            && let Err(error) = self.rebuild(call, want)
        {
            tracing::warn!(remote = self.name, %error, "the mirror has many packs and could not be written anew");
        }
        Ok(())
    }

    /// Fetches everything into a new directory and puts it in the place of the old one once it is whole.
    fn rebuild(&self, call: &Arc<Call>, want: Option<ObjectId>) -> Result<(), Error> {
        let fresh = store::sibling(self.path(), "new");
        store::remove(&fresh).map_err(Error::io(format!("removing `{}`", fresh.display())))?;
        store::create(&fresh, &self.name)?;
        self.fetch_into(call, &fresh, want)?;
        store::swap(self.path(), &fresh)?;
        self.shared.source.trust();
        self.shared.source.reopen(&self.name)?;
        Ok(())
    }

    fn fetch_into(
        &self,
        call: &Arc<Call>,
        path: &Path,
        want: Option<ObjectId>,
    ) -> Result<(), Error> {
        let options = &self.access.options;
        let open = || {
            Ok::<_, Error>(
                store::open(path, &self.name, options.max_fetched_object_bytes)?.to_thread_local(),
            )
        };
        let mut session = self.connect(call)?;
        let refs = session.list(NAMESPACES)?;
        let current = fetch::tips(&refs);
        self.remember(&Arc::new(refs));
        let repository = open()?;
        let wants: Vec<ObjectId> = match (options.fetch_scope, want) {
            (FetchScope::WantedOnly, Some(want)) => vec![want],
            _ => current
                .iter()
                .copied()
                .filter(|tip| !repository.has_object(tip.0))
                .collect(),
        };
        if !wants.is_empty() {
            let received = session.receive(&repository, &wants, options.max_fetched_object_bytes);
            received.map_err(|error| self.named(error, want.unwrap_or(wants[0])))?;
        }
        session.close();
        let mut repository = open()?;
        if let Some(want) = want
            && !repository.has_object(want.0)
        {
            // No branch or tag leads to it any more; most servers give it away nevertheless.
            let mut session = self.connect(call)?;
            session.list(&["HEAD"])?;
            session
                .receive(&repository, &[want], options.max_fetched_object_bytes)
                .map_err(|error| self.named(error, want))?;
            session.close();
            repository = open()?;
        }
        let previous = store::read_tips(path).into_iter().take(MAX_TIPS);
        let tips: BTreeSet<ObjectId> = match options.fetch_scope {
            FetchScope::AllRefs => current.into_iter().chain(want).collect(),
            FetchScope::WantedOnly => current.into_iter().chain(want).chain(previous).collect(),
        };
        let present: BTreeSet<ObjectId> = tips
            .into_iter()
            .filter(|tip| repository.has_object(tip.0))
            .collect();
        store::write_tips(path, &present)?;
        match want {
            Some(want) if !repository.has_object(want.0) => Err(self.unknown(want)),
            _ => Ok(()),
        }
    }

    /// The files of a commit that is here.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`] before [`Mirror::ensure`] has brought it.
    pub fn tree(&self, commit: ObjectId) -> Result<Tree, Error> {
        let found = self
            .shared
            .source
            .commit(&self.name, commit)?
            .ok_or_else(|| self.unknown(commit))?;
        Ok(Tree::new(
            Arc::clone(&self.shared.source),
            self.name.clone(),
            found,
            self.access.options.max_object_bytes,
        ))
    }

    /// The sorted paths that differ between two commits that are here; see [`Tree::changed_paths`].
    ///
    /// # Errors
    /// As [`Mirror::tree`] and [`Tree::changed_paths`].
    pub fn changed_paths(&self, older: ObjectId, newer: ObjectId) -> Result<Vec<String>, Error> {
        self.tree(older)?.changed_paths(&self.tree(newer)?)
    }

    /// Author, dates and message of a commit that is here.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`] or [`Error::Corrupt`].
    pub fn commit_info(&self, commit: ObjectId) -> Result<CommitInfo, Error> {
        history::commit_info(&self.shared.source, &self.name, commit)
    }

    /// The newest commits up to `commit`, itself first, at most [`crate::MAX_LOG`].
    ///
    /// # Errors
    /// As [`Mirror::commit_info`].
    pub fn log(&self, commit: ObjectId, limit: usize) -> Result<Vec<CommitInfo>, Error> {
        history::log(&self.shared.source, &self.name, commit, limit)
    }
}
