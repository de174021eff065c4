//! Addresses of Git repositories: parsing as git parses them, masking, and one identity per repository.
//!
//! Nothing here connects or touches the file system, except that a relative path is made absolute.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use crate::{Credentials, Error};

/// The longest address that is accepted.
pub const MAX_URL_BYTES: usize = 4096;

/// Where a repository is, and how it is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `http` or `https`; the URL has no credentials in it.
    Http {
        url: String,
        secure: bool,
        host: String,
    },
    Ssh {
        user: Option<String>,
        host: String,
        port: Option<u16>,
        path: String,
    },
    Daemon {
        host: String,
        port: Option<u16>,
        path: String,
    },
    Local {
        path: PathBuf,
    },
}

/// A Git repository somewhere, parsed from the forms that git accepts.
///
/// ```
/// use tidegate_git::Remote;
/// let remote = Remote::parse("git@example.com:team/pipelines.git")?;
/// assert_eq!(remote.normalized(), "ssh://git@example.com/team/pipelines");
/// # Ok::<(), tidegate_git::Error>(())
/// ```
#[derive(Clone)]
pub struct Remote {
    pub(crate) address: Address,
    /// Credentials written into the URL.
    pub(crate) embedded: Credentials,
    masked: String,
    normalized: String,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.masked)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl Remote {
    /// Parses `https`, `http`, `ssh`, `git` and `file` URLs, the scp form `user@host:path`, and plain paths.
    ///
    /// As in git, a text without `://` is the scp form when a colon stands before the first slash, else a path.
    ///
    /// # Errors
    /// [`Error::InvalidRemote`] for anything else, `ext::` and other transport helpers above all.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::InvalidRemote {
            url: mask(text),
            reason: reason.to_owned(),
        };
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if text.len() > MAX_URL_BYTES {
            return Err(Error::InvalidRemote {
                url: format!("{}…", mask(text).chars().take(64).collect::<String>()),
                reason: format!("it is longer than {MAX_URL_BYTES} bytes"),
            });
        }
        if text.chars().any(char::is_control) {
            return Err(invalid("it holds a control character"));
        }
        let (address, embedded) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => {
                parse_url(&scheme.to_ascii_lowercase(), rest, &invalid)?
            }
            _ => (parse_without_scheme(text, &invalid)?, Credentials::None),
        };
        let normalized = address.normalized();
        Ok(Self {
            address,
            embedded,
            masked: mask(text),
            normalized,
        })
    }

    /// A remote in a directory of this machine.
    ///
    /// # Errors
    /// [`Error::InvalidRemote`] when the path is not UTF-8 or the current directory is gone.
    pub fn local(path: &Path) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let invalid = |reason: &str| Error::InvalidRemote {
            url: shown.clone(),
            reason: reason.to_owned(),
        };
        let address = Address::Local {
            path: absolute(path, &invalid)?,
        };
        let normalized = address.normalized();
        Ok(Self {
            address,
            embedded: Credentials::None,
            masked: shown,
            normalized,
        })
    }

    /// One spelling for all addresses of the same repository: lower-case scheme and host, no default port, no credentials, no
    /// trailing `.git` or slash.
    #[must_use]
    pub fn normalized(&self) -> &str {
        &self.normalized
    }

    /// The directory of a `file` URL or plain path.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        match &self.address {
            Address::Local { path } => Some(path),
            _ => None,
        }
    }

    /// The file name of the mirror: a digest of the normalised address.
    pub(crate) fn key(&self) -> String {
        let digest = Sha256::digest(self.normalized.as_bytes());
        digest
            .iter()
            .take(20)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl Address {
    fn normalized(&self) -> String {
        fn trimmed(path: &str) -> &str {
            let path = path.trim_end_matches('/');
            path.strip_suffix(".git")
                .filter(|path| !path.is_empty() && !path.ends_with('/'))
                .unwrap_or(path)
        }
        match self {
            Self::Http { url, .. } => trimmed(url).to_owned(),
            Self::Ssh {
                user,
                host,
                port,
                path,
            } => {
                let user = user
                    .as_ref()
                    .map(|user| format!("{user}@"))
                    .unwrap_or_default();
                let port = port
                    .filter(|port| *port != 22)
                    .map(|port| format!(":{port}"))
                    .unwrap_or_default();
                format!(
                    "ssh://{user}{}{port}/{}",
                    bracketed(host),
                    trimmed(path).trim_start_matches('/')
                )
            }
            Self::Daemon { host, port, path } => {
                let port = port
                    .filter(|port| *port != 9418)
                    .map(|port| format!(":{port}"))
                    .unwrap_or_default();
                format!(
                    "git://{}{port}/{}",
                    bracketed(host),
                    trimmed(path).trim_start_matches('/')
                )
            }
            Self::Local { path } => format!(
                "file://{}",
                path.display().to_string().trim_end_matches('/')
            ),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

type Parsed = (Address, Credentials);

fn parse_url(scheme: &str, rest: &str, invalid: &dyn Fn(&str) -> Error) -> Result<Parsed, Error> {
    match scheme {
        "http" | "https" => parse_http(scheme, rest, invalid),
        "ssh" | "git+ssh" | "ssh+git" => {
            let authority = Authority::parse(rest, invalid)?;
            let path = decoded(authority.path, invalid)?;
            // `/~user/repository` is relative to that user's home, as git has it.
            let path = path
                .strip_prefix("/~")
                .map(|home| format!("~{home}"))
                .unwrap_or(path);
            let user = authority
                .user
                .map(|user| decoded(user, invalid))
                .transpose()?;
            Ok((
                ssh(user, authority.host, authority.port, path, invalid)?,
                Credentials::None,
            ))
        }
        "git" => {
            let authority = Authority::parse(rest, invalid)?;
            if authority.user.is_some() {
                return Err(invalid("the git protocol knows no users"));
            }
            let path = decoded(authority.path, invalid)?;
            if path.trim_matches('/').is_empty() {
                return Err(invalid("it names no repository on the host"));
            }
            Ok((
                Address::Daemon {
                    host: authority.host,
                    port: authority.port,
                    path,
                },
                Credentials::None,
            ))
        }
        "file" => {
            let path = rest
                .strip_prefix("localhost")
                .filter(|path| path.starts_with('/'))
                .unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(invalid(
                    "a file URL needs an absolute path, as in `file:///srv/git/repository`",
                ));
            }
            Ok((
                Address::Local {
                    path: absolute(Path::new(&decoded(path, invalid)?), invalid)?,
                },
                Credentials::None,
            ))
        }
        _ => Err(invalid(
            "only https, http, ssh, git and file are understood",
        )),
    }
}

fn parse_http(scheme: &str, rest: &str, invalid: &dyn Fn(&str) -> Error) -> Result<Parsed, Error> {
    let secure = scheme == "https";
    let authority = Authority::parse(rest, invalid)?;
    if authority.path.contains('#') {
        return Err(invalid(
            "a fragment (`#…`) means nothing to git; the revision is given separately",
        ));
    }
    let embedded = match (authority.user, authority.password) {
        (None, _) => Credentials::None,
        (Some(user), password) => Credentials::Basic {
            username: decoded(user, invalid)?,
            password: password
                .map(|password| decoded(password, invalid))
                .transpose()?
                .unwrap_or_default(),
        },
    };
    let default = if secure { 443 } else { 80 };
    let port = authority
        .port
        .filter(|port| *port != default)
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let url = format!(
        "{scheme}://{}{port}{}",
        bracketed(&authority.host),
        authority.path
    );
    Ok((
        Address::Http {
            url,
            secure,
            host: authority.host,
        },
        embedded,
    ))
}

fn parse_without_scheme(text: &str, invalid: &dyn Fn(&str) -> Error) -> Result<Address, Error> {
    if let Some((helper, _)) = text.split_once("::")
        && is_scheme(helper)
    {
        return Err(invalid(
            "transport helpers (`name::…`) run programs and are refused",
        ));
    }
    let slash = text.find('/').unwrap_or(text.len());
    let head = &text[..slash];
    // `[::1]:path` keeps its colons inside the brackets.
    let colon = match (head.find('['), head.find(']')) {
        (Some(open), Some(close)) if open < close => head[close..].find(':').map(|at| close + at),
        _ => head.find(':'),
    };
    let Some(colon) = colon else {
        return Ok(Address::Local {
            path: absolute(Path::new(text), invalid)?,
        });
    };
    let (authority, path) = (&text[..colon], &text[colon + 1..]);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, authority),
    };
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_ascii_lowercase();
    ssh(user, host, None, path.to_owned(), invalid)
}

fn ssh(
    user: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
    invalid: &dyn Fn(&str) -> Error,
) -> Result<Address, Error> {
    // A leading dash would be read as an option by ssh or by the remote program.
    if host.is_empty()
        || host.starts_with('-')
        || user
            .as_deref()
            .is_some_and(|user| user.is_empty() || user.starts_with('-'))
    {
        return Err(invalid(
            "the host or user name is empty or begins with a dash",
        ));
    }
    if path.trim_matches('/').is_empty() || path.starts_with('-') {
        return Err(invalid("it names no repository on the host"));
    }
    Ok(Address::Ssh {
        user,
        host,
        port,
        path,
    })
}

struct Authority<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: String,
    port: Option<u16>,
    path: &'a str,
}

impl<'a> Authority<'a> {
    fn parse(rest: &'a str, invalid: &dyn Fn(&str) -> Error) -> Result<Self, Error> {
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let (identity, endpoint) = match authority.rsplit_once('@') {
            Some((identity, endpoint)) => (Some(identity), endpoint),
            None => (None, authority),
        };
        let (user, password) = match identity.and_then(|identity| identity.split_once(':')) {
            Some((user, password)) => (Some(user), Some(password)),
            None => (identity, None),
        };
        let (host, port) = if let Some(bracketed) = endpoint.strip_prefix('[') {
            let (host, after) = bracketed
                .split_once(']')
                .ok_or_else(|| invalid("a bracket is not closed"))?;
            (host, after.strip_prefix(':'))
        } else {
            match endpoint.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (endpoint, None),
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(port) => Some(
                port.parse()
                    .map_err(|_| invalid("the port is not a number up to 65535"))?,
            ),
        };
        let odd = |byte: u8| {
            !(byte.is_ascii_alphanumeric()
                || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%')
                || byte >= 0x80)
        };
        if host.is_empty() || host.starts_with('-') || host.bytes().any(odd) {
            return Err(invalid("the host name is missing or malformed"));
        }
        Ok(Self {
            user,
            password,
            host: host.to_ascii_lowercase(),
            port,
            path,
        })
    }
}

fn decoded(text: &str, invalid: &dyn Fn(&str) -> Error) -> Result<String, Error> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| invalid("an escaped character is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(invalid("it holds an escaped control character"));
    }
    Ok(text.into_owned())
}

fn absolute(path: &Path, invalid: &dyn Fn(&str) -> Error) -> Result<PathBuf, Error> {
    let path = std::path::absolute(path).map_err(|_| invalid("the current directory is gone"))?;
    if path.to_str().is_none() {
        return Err(invalid("the path is not UTF-8"));
    }
    Ok(path)
}

/// True for `localhost` and loopback addresses.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The text with the password of a URL replaced by `***`, and the user too when it stands alone (it is a token then).
pub(crate) fn mask(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let slash = rest.find('/').unwrap_or(rest.len());
    let at = match rest[..slash].rfind('@') {
        Some(at) => at,
        // A password with an unescaped slash in it: not a valid URL, but not to be shown either.
        None => match (rest[..slash].split_once(':'), rest.rfind('@')) {
            (Some((_, port)), Some(at)) if port.bytes().any(|byte| !byte.is_ascii_digit()) => at,
            _ => return text.to_owned(),
        },
    };
    let identity = &rest[..at];
    let shown = match identity.split_once(':') {
        Some((user, _)) => format!("{user}:***"),
        None if scheme.starts_with("http") => "***".to_owned(),
        None => identity.to_owned(),
    };
    format!("{scheme}://{shown}{}", &rest[at..])
}

#[cfg(test)]
#[path = "remote/tests.rs"]
mod tests;
