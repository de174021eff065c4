//! What a user gives as a repository: a directory that is read as it stands, or an address.

use std::path::{Path, PathBuf};

use tidegate_git::Remote;

use crate::Error;

/// Where Applications and their sources come from.
#[derive(Clone, Debug)]
pub enum Location {
    /// A directory, read as it stands.
    Directory(PathBuf),
    /// A repository, read at a revision.
    Remote(Remote),
}

impl Location {
    /// Reads what a user gave: a directory, unless it is a bare repository, or an address.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let path = Path::new(text);
        if path.is_dir() {
            let path = path.canonicalize().map_err(Error::io("finding", path))?;
            if is_bare(&path) {
                return Ok(Self::Remote(Remote::local(&path)?));
            }
            return Ok(Self::Directory(path));
        }
        if path.exists() {
            return Err(Error::Location(format!(
                "{text} is a file; give the directory of the repository"
            )));
        }
        if !looks_like_address(text) {
            return Err(Error::Location(format!(
                "{text} is not there; give a directory, or an address such as https://host/team/repository.git"
            )));
        }
        Ok(Self::Remote(Remote::parse(text)?))
    }

    /// Whether it is a directory that the user named, read as it stands.
    pub fn is_directory(&self) -> bool {
        matches!(self, Location::Directory(_))
    }

    /// Whether asking it for news costs next to nothing.
    pub fn is_local(&self) -> bool {
        match self {
            Location::Directory(_) => true,
            Location::Remote(remote) => {
                remote.local_path().is_some() || is_loopback(&remote.to_string())
            }
        }
    }
}

/// For people; credentials of an address are masked.
impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Location::Directory(path) => write!(f, "{}", path.display()),
            Location::Remote(remote) => write!(f, "{remote}"),
        }
    }
}

/// A repository without a working tree.
fn is_bare(path: &Path) -> bool {
    !path.join(".git").exists()
        && path.join("HEAD").is_file()
        && path.join("objects").is_dir()
        && path.join("refs").is_dir()
}

/// `scheme://…`, or `user@host:path`.
fn looks_like_address(text: &str) -> bool {
    text.contains("://")
        || text
            .split_once(':')
            .is_some_and(|(host, path)| !host.contains('/') && !path.is_empty())
}

fn is_loopback(address: &str) -> bool {
    let Some((_, rest)) = address.split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.split(']').next())
        .unwrap_or_else(|| host.split(':').next().unwrap_or_default());
    host == "localhost" || host == "::1" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_local() {
        for (address, expected) in [
            ("http://127.0.0.1:8080/x.git", true),
            ("http://user@localhost/x.git", true),
            ("git://[::1]:9418/x", true),
            ("https://example.com/127.0.0.1", false),
            ("/srv/x.git", false),
        ] {
            assert_eq!(is_loopback(address), expected, "{address}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_in_words() {
        let error = Location::parse("no/such/directory").unwrap_err();
        assert!(error.to_string().contains("is not there"), "{error}");
    }
}
