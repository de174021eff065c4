//! Credentials and limits for one remote. Debug output never shows a secret.

use std::{fmt, path::PathBuf, time::Duration};

/// How long listing the refs of a remote may take.
pub const DEFAULT_POLL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a fetch may take.
pub const DEFAULT_FETCH_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a remote may stay silent within a call.
pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long connecting may take.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a call is tried before it fails.
pub const DEFAULT_ATTEMPTS: u32 = 3;
/// The largest file that is read from a tree.
pub const DEFAULT_MAX_OBJECT_BYTES: u64 = 64 << 20;
/// The largest object that a fetch accepts anywhere in the history: it is held in memory once.
pub const DEFAULT_MAX_FETCHED_OBJECT_BYTES: u64 = 512 << 20;
/// The largest pack that a fetch accepts.
pub const DEFAULT_MAX_PACK_BYTES: u64 = 8 << 30;

/// Who we are at a remote.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// Nobody; for `ssh`, the user's own agent, keys and configuration.
    #[default]
    None,
    /// User and password, or user and token as most hosts want it.
    Basic {
        /// The user name, such as `x-access-token` or `oauth2`.
        username: String,
        /// The password or token.
        password: String,
    },
    /// A token for `Authorization: Bearer`.
    Bearer {
        /// The token.
        token: String,
    },
    /// An SSH private key in PEM or OpenSSH form, without a passphrase.
    SshKey {
        /// The key's text.
        private_key: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic { username, .. } => {
                write!(f, "Basic {{ username: {username:?}, password: *** }}")
            }
            Self::Bearer { .. } => f.write_str("Bearer { token: *** }"),
            Self::SshKey { .. } => f.write_str("SshKey { private_key: *** }"),
        }
    }
}

/// Which proxy an `http` or `https` remote is reached through. Loopback hosts are always reached directly.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// As `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// None.
    Direct,
    /// This one.
    Url {
        /// The proxy, `http://user:password@host:port`.
        url: String,
        /// Hosts reached directly, comma-separated as in `NO_PROXY`.
        no_proxy: String,
    },
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::Direct => f.write_str("Direct"),
            Self::Url { url, no_proxy } => write!(
                f,
                "Url {{ url: {:?}, no_proxy: {no_proxy:?} }}",
                crate::remote::mask(url)
            ),
        }
    }
}

/// Whether credentials may travel over plain `http`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttpCredentials {
    /// Only to a loopback host; anything else is refused before a byte is sent.
    #[default]
    LoopbackOnly,
    /// To any host: somebody has decided that the network is trusted.
    Allow,
}

/// Which commits a fetch brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FetchScope {
    /// Everything that branches and tags reach: one fetch serves every application on the remote.
    #[default]
    AllRefs,
    /// The wanted commit and its history.
    WantedOnly,
}

/// Timeouts, trust and limits for one remote.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemoteOptions {
    /// Deadline of listing refs, retries included.
    pub poll_timeout: Duration,
    /// Deadline of a fetch, retries included.
    pub fetch_timeout: Duration,
    /// How long the remote may stay silent.
    pub stall_timeout: Duration,
    /// Deadline of connecting.
    pub connect_timeout: Duration,
    /// Tries per call, at least one.
    pub attempts: u32,
    /// Authorities to trust beside the system's, PEM.
    pub ca_bundle: Option<Vec<u8>>,
    /// TLS client certificate and key, PEM in one text.
    pub client_certificate: Option<ClientCertificate>,
    /// Neither TLS certificates nor SSH host keys are checked.
    pub insecure_skip_verify: bool,
    /// The proxy for `http` and `https`.
    pub proxy: Proxy,
    /// Credentials over plain `http`.
    pub plain_http_credentials: PlainHttpCredentials,
    /// SSH host keys, in the form of `ssh_known_hosts`; without it the user's own known hosts count.
    pub known_hosts: Option<String>,
    /// The `ssh` program.
    pub ssh_program: PathBuf,
    /// The `git` program, needed for `file` remotes and paths only.
    pub git_program: PathBuf,
    /// The largest file that is read from a tree, in bytes.
    pub max_object_bytes: u64,
    /// The largest object that a fetch accepts, in bytes.
    pub max_fetched_object_bytes: u64,
    /// The largest pack that a fetch accepts, in bytes.
    pub max_pack_bytes: u64,
    /// What a fetch brings.
    pub fetch_scope: FetchScope,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            poll_timeout: DEFAULT_POLL_TIMEOUT,
            fetch_timeout: DEFAULT_FETCH_TIMEOUT,
            stall_timeout: DEFAULT_STALL_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            attempts: DEFAULT_ATTEMPTS,
            ca_bundle: None,
            client_certificate: None,
            insecure_skip_verify: false,
            proxy: Proxy::default(),
            plain_http_credentials: PlainHttpCredentials::default(),
            known_hosts: None,
            ssh_program: PathBuf::from("ssh"),
            git_program: PathBuf::from("git"),
            max_object_bytes: DEFAULT_MAX_OBJECT_BYTES,
            max_fetched_object_bytes: DEFAULT_MAX_FETCHED_OBJECT_BYTES,
            max_pack_bytes: DEFAULT_MAX_PACK_BYTES,
            fetch_scope: FetchScope::default(),
        }
    }
}

/// A TLS client certificate with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Certificate chain and private key, PEM, one after the other.
    pub pem: Vec<u8>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate { pem: *** }")
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Proxy};

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            Credentials::Basic {
                username: "bob".into(),
                password: "hunter2".into()
            },
            Credentials::Bearer {
                token: "hunter2".into()
            },
            Credentials::SshKey {
                private_key: "hunter2".into()
            },
            Proxy::Url {
                url: "http://bob:hunter2@proxy:3128".into(),
                no_proxy: String::new()
            },
        );
        assert!(shown.contains("bob"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
