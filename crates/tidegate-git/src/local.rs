//! A working directory as it stands: its commit, whether it differs from it, and its committed files.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    CommitInfo, DEFAULT_MAX_OBJECT_BYTES, Error, ObjectId, Tree, fetch::flat, history,
    options::DEFAULT_MAX_FETCHED_OBJECT_BYTES, source::Source, store,
};

/// How long `git status` may take.
const STATUS_TIMEOUT: Duration = Duration::from_secs(60);
const STATUS_PAUSE: Duration = Duration::from_millis(5);

/// What a directory is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The commit that is checked out; none before the first one.
    pub commit: Option<ObjectId>,
    /// True when `git status --porcelain` would print something, untracked files included.
    pub dirty: bool,
    /// The branch that is checked out; none for a detached `HEAD`.
    pub branch: Option<String>,
}

/// A repository of this machine, read in place.
#[derive(Debug)]
pub struct LocalRepository {
    name: String,
    source: Arc<Source>,
    directory: PathBuf,
    work_tree: Option<PathBuf>,
}

impl LocalRepository {
    /// The repository that `directory` is in; `None` when it is in none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is one that cannot be read.
    pub fn open(directory: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let directory = directory.as_ref();
        let name = directory.display().to_string();
        let (found, work_tree) = match gix::discover::upwards(directory) {
            Ok((found, _trust)) => found.into_repository_and_work_tree_directories(),
            Err(error) if no_repository(&error) => return Ok(None),
            Err(error) => {
                return Err(Error::Corrupt {
                    remote: name,
                    detail: flat(&error),
                });
            }
        };
        let source = Arc::new(Source::new(
            found,
            store::options(DEFAULT_MAX_FETCHED_OBJECT_BYTES),
            true,
        ));
        source.reopen(&name)?;
        Ok(Some(Self {
            name,
            source,
            directory: directory.to_owned(),
            work_tree,
        }))
    }

    /// Where the directory stands in its repository, with `/` between names; empty for the root.
    ///
    /// None for a bare repository and for a path that leaves it.
    pub fn prefix(&self) -> Option<String> {
        let work_tree = self.work_tree.as_ref()?.canonicalize().ok()?;
        let directory = self.directory.canonicalize().ok()?;
        let below = directory.strip_prefix(work_tree).ok()?;
        let names: Option<Vec<&str>> = below
            .components()
            .map(|name| name.as_os_str().to_str())
            .collect();
        Some(names?.join("/"))
    }

    /// What the directory is at now.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Timeout`], or [`Error::Io`] when git cannot be run.
    pub fn describe(&self) -> Result<Description, Error> {
        let (commit, branch, bare) = self.head()?;
        let dirty = !bare && dirty(&self.directory, &self.name)?;
        Ok(Description {
            commit,
            dirty,
            branch,
        })
    }

    fn head(&self) -> Result<(Option<ObjectId>, Option<String>, bool), Error> {
        let corrupt = |error: gix::Error| Error::Corrupt {
            remote: self.name.clone(),
            detail: flat(&error),
        };
        let gone = || Error::Corrupt {
            remote: self.name.clone(),
            detail: "it has gone".to_owned(),
        };
        let repository = self.source.reopen(&self.name)?.ok_or_else(gone)?;
        let head = repository.head().map_err(corrupt)?;
        let branch = head.referent_name().map(|name| name.shorten().to_string());
        let commit = if head.is_unborn() {
            None
        } else {
            Some(ObjectId(repository.head_id().map_err(corrupt)?.detach()))
        };
        Ok((commit, branch, repository.is_bare()))
    }

    /// The committed files of a commit of this repository.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`] when it is not here.
    pub fn tree(&self, commit: ObjectId) -> Result<Tree, Error> {
        let unknown = || Error::UnknownRevision {
            remote: self.name.clone(),
            revision: commit.to_string(),
            did_you_mean: Vec::new(),
        };
        let found = self
            .source
            .commit(&self.name, commit)?
            .ok_or_else(unknown)?;
        Ok(Tree::new(
            Arc::clone(&self.source),
            self.name.clone(),
            found,
            DEFAULT_MAX_OBJECT_BYTES,
        ))
    }

    /// Author, dates and message of a commit of this repository.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`] or [`Error::Corrupt`].
    pub fn commit_info(&self, commit: ObjectId) -> Result<CommitInfo, Error> {
        history::commit_info(&self.source, &self.name, commit)
    }
}

/// The commit and state of the working directory `directory` is in; `None` when it is in none.
///
/// # Errors
/// As [`LocalRepository::open`] and [`LocalRepository::describe`].
pub fn describe(directory: impl AsRef<Path>) -> Result<Option<Description>, Error> {
    LocalRepository::open(directory)?
        .map(|repository| repository.describe())
        .transpose()
}

fn no_repository(error: &gix::Error) -> bool {
    error.is_not_found() || flat(error).contains("Could not find a git repository")
}

/// Asks `git status`, because only it knows the ignore rules, line endings and filters that this user lives with. What a repository's own
/// configuration would run is switched off. Without the git program, gix answers, and knows nothing of the user.
fn dirty(directory: &Path, name: &str) -> Result<bool, Error> {
    if !git_is_installed() {
        return dirty_by_gix(directory, name);
    }
    let mut command = git(directory);
    for filter in repository_filters(directory, name)? {
        command.args(["-c", &format!("{filter}=")]);
    }
    command.args(["status", "--porcelain=v1", "--untracked-files=normal", "-z"]);
    Ok(!output(command, name)?.is_empty())
}

fn git_is_installed() -> bool {
    let asked = Command::new("git")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

fn dirty_by_gix(directory: &Path, name: &str) -> Result<bool, Error> {
    let look = || -> gix::Result<bool> {
        let (found, _trust) = gix::discover::upwards(directory)?;
        let git_directory = found.into_repository_and_work_tree_directories().0;
        // With less than full trust, programs that the repository's configuration names are not run.
        let options =
            store::options(DEFAULT_MAX_FETCHED_OBJECT_BYTES).with(gix::sec::Trust::Reduced);
        let repository = options.open(git_directory)?.to_thread_local();
        let status = repository
            .status(gix::progress::Discard)?
            .untracked_files(gix::status::UntrackedFiles::Collapsed);
        match status.into_iter(None)?.next() {
            Some(change) => change.map(|_| true),
            None => Ok(false),
        }
    };
    look().map_err(|error| Error::Corrupt {
        remote: name.to_owned(),
        detail: flat(&error),
    })
}

/// The filter programs that the repository's own configuration names.
fn repository_filters(directory: &Path, name: &str) -> Result<Vec<String>, Error> {
    let mut command = git(directory);
    command.args([
        "config",
        "--show-scope",
        "--includes",
        "--name-only",
        "--get-regexp",
        r"^filter\..*\.(clean|process|smudge)$",
    ]);
    let listed = output(command, name).unwrap_or_default();
    let lines = String::from_utf8_lossy(&listed).into_owned();
    let own = lines
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(scope, _)| matches!(*scope, "local" | "worktree"));
    Ok(own.map(|(_, key)| key.to_owned()).collect())
}

fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(directory)
        .args([
            "--no-optional-locks",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.pager=cat",
        ])
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn output(mut command: Command, name: &str) -> Result<Vec<u8>, Error> {
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Unsupported {
            remote: name.to_owned(),
            reason:
                "the git program is needed to see whether the directory has changes; install it"
                    .to_owned(),
        },
        _ => Error::Io {
            attempted: "starting `git status`".to_owned(),
            source: error,
        },
    })?;
    let reader = child.stdout.take().map(|mut stdout| {
        std::thread::spawn(move || {
            let mut first = [0; 4096];
            let mut kept = Vec::new();
            // All of it is drained, the beginning is kept: whether there is any is what counts.
            while let Ok(count @ 1..) = std::io::Read::read(&mut stdout, &mut first) {
                if kept.len() < 1 << 20 {
                    kept.extend_from_slice(&first[..count]);
                }
            }
            kept
        })
    });
    let started = Instant::now();
    let status = loop {
        match child
            .try_wait()
            .map_err(Error::io("waiting for `git status`"))?
        {
            Some(status) => break status,
            None if started.elapsed() > STATUS_TIMEOUT => {
                // It may have ended in this moment.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::Timeout {
                    remote: name.to_owned(),
                    attempted: "asking git for changes",
                    after: STATUS_TIMEOUT,
                });
            }
            None => std::thread::sleep(STATUS_PAUSE),
        }
    };
    let kept = reader
        .and_then(|reader| reader.join().ok())
        .unwrap_or_default();
    if !status.success() {
        return Err(Error::Corrupt {
            remote: name.to_owned(),
            detail: format!("`git status` failed, {status}"),
        });
    }
    Ok(kept)
}

#[cfg(test)]
#[path = "local/tests.rs"]
mod tests;
