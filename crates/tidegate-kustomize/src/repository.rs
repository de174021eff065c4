//! Addresses of bases in other repositories, as the original takes them apart. Nothing is fetched here.

/// Where a base stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryAddress {
    /// What `git clone` takes: `https://github.com/org/repo`, `git@host:org/repo.git`.
    pub clone: String,
    /// The directory of the base in the repository, empty for its root.
    pub directory: String,
    /// Branch, tag or commit; empty for the default branch.
    pub reference: String,
    /// Whether submodules are wanted.
    pub submodules: bool,
}

const SCHEMES: [&str; 4] = ["ssh://", "https://", "http://", "file://"];
const FILE_SCHEME: &str = "file://";

impl RepositoryAddress {
    /// Takes an address apart; `None` for what is no address of a repository.
    ///
    /// ```
    /// use tidegate_kustomize::RepositoryAddress;
    /// let address = RepositoryAddress::parse("github.com/org/repo//deploy/base?ref=v1").unwrap();
    /// assert_eq!(address.clone, "https://github.com/org/repo");
    /// assert_eq!(address.directory, "deploy/base");
    /// assert_eq!(address.reference, "v1");
    /// assert!(RepositoryAddress::parse("../base").is_none());
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return None;
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (host, rest) = host(address)?;
        let (repository, directory) = if host.starts_with(FILE_SCHEME) {
            at_marker(rest).unwrap_or((rest.to_owned(), String::new()))
        } else {
            at_marker(rest).or_else(|| {
                let (organisation, tail) = rest.split_once('/')?;
                let (name, directory) = tail.split_once('/').unwrap_or((tail, ""));
                Some((format!("{organisation}/{name}"), directory.to_owned()))
            })?
        };
        if repository.is_empty() || leaves(&directory) {
            return None;
        }
        let value = |key: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .filter(|(name, value)| *name == key && !value.is_empty())
                .map(|(_, value)| value)
                .next()
        };
        Some(Self {
            clone: format!("{host}{repository}"),
            directory: directory.strip_prefix('/').unwrap_or(&directory).to_owned(),
            reference: value("ref")
                .or_else(|| value("version"))
                .unwrap_or_default()
                .to_owned(),
            submodules: !matches!(
                value("submodules"),
                Some("0" | "f" | "F" | "false" | "False" | "FALSE")
            ),
        })
    }
}

/// Scheme, user and host, and what stands after them.
fn host(address: &str) -> Option<(String, &str)> {
    let address = without_prefix(address, "git::").unwrap_or(address);
    let (scheme, rest) = SCHEMES
        .iter()
        .find_map(|scheme| Some((*scheme, without_prefix(address, scheme)?)))
        .unwrap_or(("", address));
    let (user, rest) = match rest.split_once('@') {
        Some((user, host)) if is_user(user) => (format!("{user}@"), host),
        _ => (String::new(), rest),
    };
    let is_github = ["github.com/", "github.com:"]
        .iter()
        .any(|host| without_prefix(rest, host).is_some());
    let accepts_colon = scheme.is_empty() && (!user.is_empty() || is_github);
    if scheme.is_empty() && !accepts_colon {
        return None;
    }
    if scheme == FILE_SCHEME {
        return user.is_empty().then(|| (scheme.to_owned(), rest));
    }
    let slash = rest.find('/');
    let end = match rest.find(':').filter(|_| accepts_colon) {
        Some(colon) if slash.is_none_or(|slash| colon > 0 && colon < slash) => Some(colon),
        _ => slash,
    };
    let (name, path) = match end {
        Some(end) => rest.split_at(end + 1),
        None => (rest, ""),
    };
    if is_github {
        let host = if scheme == "ssh://" || !user.is_empty() {
            format!("{user}github.com:")
        } else {
            "https://github.com/".to_owned()
        };
        return Some((host, path));
    }
    (!name.is_empty()).then(|| (format!("{scheme}{user}{name}"), path))
}

fn is_user(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The rest after a prefix in any case.
fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

/// Repository and directory where a sign between them says where it ends.
fn at_marker(path: &str) -> Option<(String, String)> {
    const AZURE: &str = "_git/";
    const SUFFIX: &str = ".git";
    if let Some(at) = path.find(AZURE) {
        let (front, tail) = path.split_at(at + AZURE.len());
        let (name, directory) = tail.split_once('/').unwrap_or((tail, ""));
        return Some((format!("{front}{name}"), directory.to_owned()));
    }
    if let Some((repository, directory)) = path.split_once("//") {
        return Some((repository.to_owned(), directory.to_owned()));
    }
    let (repository, directory) = path.split_at(path.find(SUFFIX)? + SUFFIX.len());
    Some((repository.to_owned(), directory.to_owned()))
}

/// Whether a directory leads out of its repository.
fn leaves(directory: &str) -> bool {
    let mut depth = 0_i64;
    for name in directory.split('/') {
        match name {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str, &str)>) {
        let parsed = RepositoryAddress::parse(text);
        let parts = parsed
            .as_ref()
            .map(|a| (a.clone.as_str(), a.directory.as_str(), a.reference.as_str()));
        assert_eq!(parts, expected, "{text}");
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (text, expected) in [
            ("github.com/o/r", ("https://github.com/o/r", "", "")),
            (
                "https://github.com/o/r/a/b?ref=v1",
                ("https://github.com/o/r", "a/b", "v1"),
            ),
            (
                "GitHub.com/o/r.git/a",
                ("https://github.com/o/r.git", "a", ""),
            ),
            (
                "git@github.com:o/r.git//a?version=x",
                ("git@github.com:o/r.git", "a", "x"),
            ),
            ("ssh://git@github.com/o/r", ("git@github.com:o/r", "", "")),
            (
                "git::https://gitlab.com/g/s/r.git//a/b",
                ("https://gitlab.com/g/s/r.git", "a/b", ""),
            ),
            (
                "https://dev.azure.com/o/p/_git/r/a/b?ref=m&timeout=9",
                ("https://dev.azure.com/o/p/_git/r", "a/b", "m"),
            ),
            (
                "user@host.xz:path/to/r.git/a",
                ("user@host.xz:path/to/r.git", "a", ""),
            ),
            (
                "ssh://git@host:22/o/r/a",
                ("ssh://git@host:22/o/r", "a", ""),
            ),
            ("file:///srv/repo//a", ("file:///srv/repo", "a", "")),
            ("https://host/o/r?ref=", ("https://host/o/r", "", "")),
        ] {
            check(text, Some(expected));
        }
        for text in [
            "../base",
            "/abs",
            "base",
            "host.com/o/r",
            "https://host",
            "https://github.com/o",
            "https://github.com/o/r//../..",
            "",
        ] {
            check(text, None);
        }
        let address = RepositoryAddress::parse("https://h/o/r?submodules=false");
        assert!(address.is_some_and(|address| !address.submodules));
    }
}
