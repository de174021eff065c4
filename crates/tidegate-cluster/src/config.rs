//! How a cluster is reached, and the limits of all calls to it. No IO but reading these settings.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_manifest::{GroupKind, KubernetesTarget};

use crate::retry::RetryPolicy;

/// How long a TCP and TLS connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What an item of a batch may take altogether, repeats included.
pub(crate) const ITEM_DEADLINE: Duration = Duration::from_secs(90);

/// What one request may take; admission webhooks have 30 s at most.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(40);

/// How a Kubernetes cluster is reached.
///
/// ```
/// use tidegate_cluster::ClusterConfig;
///
/// let config = ClusterConfig::kubeconfig("dev/kubeconfig").context("prod");
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterConfig {
    pub(crate) source: Source,
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) inventory_kinds: Option<Vec<GroupKind>>,
    pub(crate) compatible_health: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A kubeconfig file (None: `$KUBECONFIG`, then the user's own) and a context in it.
    Kubeconfig {
        file: Option<PathBuf>,
        context: Option<String>,
    },
    /// The service account of the pod.
    InCluster,
    /// Everything said.
    Server(Server),
}

/// An API server with everything that is needed to talk to it.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Server {
    /// Its URL.
    pub url: String,
    /// A bearer token.
    pub token: Option<String>,
    /// The PEM bundle that its certificate must chain to; absent: the system's roots.
    pub ca_pem: Option<String>,
    /// The client certificate, PEM.
    pub client_certificate_pem: Option<String>,
    /// The key of the client certificate, PEM.
    pub client_key_pem: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
    /// The name to expect in its certificate.
    pub tls_server_name: Option<String>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}

impl ClusterConfig {
    fn new(source: Source) -> Self {
        Self {
            source,
            deadline: ITEM_DEADLINE,
            attempt_timeout: ATTEMPT_TIMEOUT,
            retry: RetryPolicy::default(),
            inventory_kinds: None,
            compatible_health: false,
        }
    }

    /// A kubeconfig file, with its current context.
    pub fn kubeconfig(file: impl Into<PathBuf>) -> Self {
        Self::new(Source::Kubeconfig {
            file: Some(file.into()),
            context: None,
        })
    }

    /// `$KUBECONFIG` or the user's own kubeconfig, with its current context.
    pub fn default_kubeconfig() -> Self {
        Self::new(Source::Kubeconfig {
            file: None,
            context: None,
        })
    }

    /// The service account of the pod that the program runs in.
    pub fn in_cluster() -> Self {
        Self::new(Source::InCluster)
    }

    /// An API server by its URL and a bearer token.
    pub fn token(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self::server(Server {
            url: url.into(),
            token: Some(token.into()),
            ..Server::default()
        })
    }

    /// An API server with everything said.
    pub fn server(server: Server) -> Self {
        Self::new(Source::Server(server))
    }

    /// What Settings say of a destination.
    pub fn from_settings(settings: &KubernetesTarget) -> Self {
        if settings.in_cluster {
            return Self::in_cluster();
        }
        Self::new(Source::Kubeconfig {
            file: settings.kubeconfig.as_ref().map(PathBuf::from),
            context: settings.context.clone(),
        })
    }

    /// Another context of the kubeconfig than the current one.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>) -> Self {
        if let Source::Kubeconfig { context, .. } = &mut self.source {
            *context = Some(name.into());
        }
        self
    }

    /// What one item of a batch may take altogether, repeats included (default: 90 s).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self.attempt_timeout = self.attempt_timeout.min(deadline);
        self
    }

    /// How failures are repeated.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Assesses health exactly as Argo CD does, its traps included (default: the best that can be said).
    #[must_use]
    pub fn compatible_health(mut self, compatible: bool) -> Self {
        self.compatible_health = compatible;
        self
    }

    /// Looks for an application's objects in these kinds only, where a full look costs one list per
    /// kind that the cluster serves (about 60 requests).
    ///
    /// Sound only when the caller knows every kind the application ever had objects of: those of
    /// its recorded inventory and those in Git. An object of any other kind is never pruned.
    #[must_use]
    pub fn inventory_kinds(mut self, mut kinds: Vec<GroupKind>) -> Self {
        kinds.sort();
        kinds.dedup();
        self.inventory_kinds = Some(kinds);
        self
    }

    /// What kube needs to connect.
    pub(crate) async fn load(&self) -> Result<kube::Config, ApplierError> {
        let mut config = match &self.source {
            Source::Kubeconfig { file, context } => load_file(file.as_ref(), context).await?,
            Source::InCluster => kube::Config::incluster().map_err(|error| {
                refuse(format!("cannot use the pod's service account: {error}"))
                    .help("run in a pod with a mounted service account token, or name a kubeconfig")
            })?,
            Source::Server(server) => load_server(server).await?,
        };
        // Retrying is ours: kube's own goes on for hours and repeats what must not be repeated.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        if config.cluster_url.scheme_str() == Some("http") && config.root_cert.is_none() {
            // Without TLS there is nothing to verify, and a machine without root certificates is no error.
            config.root_cert = Some(Vec::new());
        }
        let agent = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
        config.headers.push((
            http::header::USER_AGENT,
            http::HeaderValue::from_static(agent),
        ));
        Ok(config)
    }
}

async fn load_file(
    file: Option<&PathBuf>,
    context: &Option<String>,
) -> Result<kube::Config, ApplierError> {
    let options = KubeConfigOptions {
        context: context.clone(),
        ..KubeConfigOptions::default()
    };
    let Some(file) = file else {
        return kube::Config::from_kubeconfig(&options)
            .await
            .map_err(|error| refuse(format!("cannot use the kubeconfig: {}", chain(&error))));
    };
    let name = file.display();
    let kubeconfig = Kubeconfig::read_from(file)
        .map_err(|error| refuse(format!("cannot read kubeconfig {name}: {}", chain(&error))))?;
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
    kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| {
            let error = refuse(format!("cannot use kubeconfig {name}: {}", chain(&error)));
            match context {
                Some(wanted) if !contexts.contains(wanted) => error.help(format!(
                    "{name} has no context {wanted:?}; it has: {}",
                    contexts.join(", ")
                )),
                _ => error,
            }
        })
}

async fn load_server(server: &Server) -> Result<kube::Config, ApplierError> {
    use serde_json::json;
    let mut cluster = json!({"server": server.url, "insecure-skip-tls-verify": server.insecure});
    if let Some(name) = &server.tls_server_name {
        cluster["tls-server-name"] = json!(name);
    }
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "server", "cluster": cluster}],
        "users": [{"name": "server", "user": {}}],
        "contexts": [{"name": "server", "context": {"cluster": "server", "user": "server"}}],
        "current-context": "server",
    }))
    .map_err(|error| refuse(error.to_string()))?;
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(|error| refuse(format!("cannot use server {}: {error}", server.url)))?;
    let encode = |pem: &String| STANDARD.encode(pem);
    config.auth_info = serde_json::from_value::<AuthInfo>(json!({
        "token": server.token,
        "client-certificate-data": server.client_certificate_pem.as_ref().map(encode),
        "client-key-data": server.client_key_pem.as_ref().map(encode),
    }))
    .map_err(|error| refuse(error.to_string()))?;
    if let Some(ca) = &server.ca_pem {
        config.root_cert = Some(certificates(ca)?);
    }
    Ok(config)
}

/// The DER bodies of a PEM bundle.
fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, ApplierError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|certificate| certificate.map(|c| c.as_ref().to_vec()))
        .collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(refuse("the certificate authority holds no certificate")),
        Err(error) => Err(refuse(format!(
            "the certificate authority is no PEM: {error}"
        ))),
    }
}

fn refuse(message: impl Into<String>) -> ApplierError {
    ApplierError::new(ErrorKind::Invalid, message)
}

/// An error with its causes, each once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let config = ClusterConfig::token("https://127.0.0.1:6443", "very-secret");
        assert!(!format!("{config:?}").contains("very-secret"));
    }

    #[tokio::test]
    async fn a_missing_context_names_those_that_exist() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("kubeconfig");
        std::fs::write(
            &file,
            "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\ncontexts: [{name: blue, context: {cluster: a, user: u}}]\ncurrent-context: blue\n",
        )
        .expect("written");
        let good = ClusterConfig::kubeconfig(&file)
            .load()
            .await
            .expect("loads");
        assert!(!good.default_retry);
        let error = ClusterConfig::kubeconfig(&file)
            .context("green")
            .load()
            .await
            .expect_err("no such context");
        assert!(error.help.expect("help").contains("it has: blue"));
        let error = ClusterConfig::kubeconfig(dir.path().join("none"))
            .load()
            .await;
        assert!(
            error
                .expect_err("no such file")
                .message
                .contains("cannot read kubeconfig")
        );
    }
}
