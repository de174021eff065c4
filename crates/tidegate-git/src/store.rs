//! A mirror on disk: a bare repository that only this crate writes, and the lock that keeps writers apart.
//!
//! Its refs are `refs/tidegate/<commit>`, one for each tip whose history is complete: no two can be in each other's way, and no name
//! of a remote ever becomes a file name. Packs are never deleted while the directory stands, so readers need no lock.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Error, ObjectId, call::Call};

/// Packs after which a mirror is written anew.
pub(crate) const MAX_PACKS: usize = 200;
/// How often a waiting writer looks at the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const REF_PREFIX: &str = "refs/tidegate/";

/// The exclusive right to write a mirror, across processes; gone with the value.
#[derive(Debug)]
pub(crate) struct WriteLock {
    _file: File,
}

impl WriteLock {
    pub(crate) fn acquire(path: &Path, call: &Call) -> Result<Self, Error> {
        let attempted = || format!("locking `{}`", path.display());
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(Error::io(attempted()))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock)
                    if call.is_cancelled() || call.remaining().is_zero() =>
                {
                    return Err(call.timeout_error());
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(Error::io(attempted())(error)),
            }
        }
    }
}

/// Makes an empty bare repository.
pub(crate) fn create(path: &Path, remote: &str) -> Result<(), Error> {
    let write = || {
        fs::create_dir_all(path.join("objects/pack"))?;
        fs::create_dir_all(path.join("objects/info"))?;
        fs::create_dir_all(path.join("refs"))?;
        fs::write(
            path.join("config"),
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = false\n\tbare = true\n",
        )?;
        fs::write(path.join("description"), format!("mirror of {remote}\n"))?;
        // Last: a directory without it is no repository, so a crash before here is seen as damage.
        fs::write(path.join("HEAD"), "ref: refs/heads/none\n")
    };
    write().map_err(Error::io(format!(
        "creating the mirror `{}`",
        path.display()
    )))
}

/// Removes what a killed writer left behind. Only under the lock.
pub(crate) fn sweep(path: &Path) {
    let Ok(entries) = fs::read_dir(path.join("objects/pack")) else {
        return;
    };
    for entry in entries.flatten() {
        let file = entry.path();
        let extension = file
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default();
        if !matches!(extension, "pack" | "idx") {
            // A file that cannot be removed is harmless.
            let _ = fs::remove_file(file);
        }
    }
}

pub(crate) fn count_packs(path: &Path) -> usize {
    fs::read_dir(path.join("objects/pack"))
        .map(|entries| {
            entries
                .flatten()
                .filter(|entry| {
                    entry
                        .path()
                        .extension()
                        .is_some_and(|extension| extension == "pack")
                })
                .count()
        })
        .unwrap_or(0)
}

/// Opens the repository, without any configuration of the machine or the user.
pub(crate) fn open(
    path: &Path,
    remote: &str,
    max_object_bytes: u64,
) -> Result<gix::ThreadSafeRepository, Error> {
    options(max_object_bytes)
        .open_path_as_is(true)
        .open(path)
        .map_err(|error| Error::Corrupt {
            remote: remote.to_owned(),
            detail: crate::fetch::flat(&error),
        })
}

/// How repositories are opened: isolated, without replacement objects, with a bound on what is held in memory.
pub(crate) fn options(max_object_bytes: u64) -> gix::open::Options {
    gix::open::Options::isolated()
        .with(gix::sec::Trust::Full)
        .config_overrides([
            "gitoxide.objects.noReplace=true".to_owned(),
            format!("gitoxide.objects.allocLimit={max_object_bytes}"),
            "core.commitGraph=false".to_owned(),
        ])
}

/// The tips whose history is complete.
pub(crate) fn read_tips(path: &Path) -> BTreeSet<ObjectId> {
    let text = fs::read_to_string(path.join("packed-refs")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' ')?.0.parse().ok())
        .collect()
}

/// Replaces the tips in one step.
pub(crate) fn write_tips(path: &Path, tips: &BTreeSet<ObjectId>) -> Result<(), Error> {
    let mut text = String::from("# pack-refs with: sorted \n");
    for tip in tips {
        text.push_str(&format!("{tip} {REF_PREFIX}{tip}\n"));
    }
    let write = || {
        let mut file = tempfile::Builder::new()
            .prefix("packed-refs-")
            .tempfile_in(path)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path.join("packed-refs"))
            .map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(Error::io(format!(
        "writing the refs of `{}`",
        path.display()
    )))
}

/// Puts the repository at `new` in the place of the one at `path`.
pub(crate) fn swap(path: &Path, new: &Path) -> Result<(), Error> {
    let old = sibling(path, "old");
    let exchange = || {
        remove(&old)?;
        if path.exists() {
            fs::rename(path, &old)?;
        }
        fs::rename(new, path)
    };
    exchange().map_err(Error::io(format!(
        "replacing the mirror `{}`",
        path.display()
    )))?;
    // Readers that hold its files open go on reading them.
    let _ = remove(&old);
    Ok(())
}

pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    path.with_extension(suffix)
}

pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
