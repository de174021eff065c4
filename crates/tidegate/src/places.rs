//! Where Applications go: from what a person named to the appliers of a destination.
//!
//! The environment alone never chooses a real cluster: each variant of [`Place`] is somebody's word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tidegate_applier::{Applier, ApplierError};
use tidegate_cluster::{Cluster, ClusterConfig};
use tidegate_engine::Destination;
use tidegate_manifest::{Application, Diagnostic, Settings, Target, TargetKind};
use tidegate_yaml::ParseOptions;
use tokio::sync::Mutex;

use crate::Error;

/// What Argo CD calls the cluster that it runs in.
const IN_CLUSTER_SERVER: &str = "https://kubernetes.default.svc";
const IN_CLUSTER_NAME: &str = "in-cluster";
/// The name of the sandbox's targets.
pub const SANDBOX: &str = "sandbox";

/// What a person named as the place to apply to.
#[derive(Clone, Debug)]
pub enum Place {
    /// The sandbox with this kubeconfig takes every destination.
    Sandbox(PathBuf),
    /// A kubeconfig: its chosen context stands for the cluster at hand, its others go by their names.
    Kubeconfig {
        /// The file; absent is `$KUBECONFIG` or the user's own (a context must be named then).
        file: Option<PathBuf>,
        /// The context; absent is the current one.
        context: Option<String>,
    },
    /// Destinations by name.
    Settings(Settings),
    /// Appliers of a program's own; they take every destination.
    Appliers(Vec<(Target, Arc<dyn Applier>)>),
}

/// The appliers of all destinations, made when they are first asked for.
#[derive(Debug)]
pub struct Places {
    place: Place,
    clusters: Mutex<BTreeMap<String, Cluster>>,
}

impl Places {
    /// Places of what was named.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            clusters: Mutex::default(),
        }
    }

    /// What was named.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The appliers of an Application's destination.
    ///
    /// # Errors
    /// [`Error::Destination`] when nothing stands for it, [`Error::Target`] when it cannot be reached.
    pub async fn destination(&self, application: &Application) -> Result<Destination, Error> {
        match &self.place {
            Place::Sandbox(kubeconfig) => {
                let config = ClusterConfig::kubeconfig(kubeconfig);
                self.cluster(SANDBOX, config).await
            }
            Place::Kubeconfig { file, context } => {
                let (name, context) = chosen(application, file.as_deref(), context.as_deref())?;
                let base = match file {
                    Some(file) => ClusterConfig::kubeconfig(file),
                    None => ClusterConfig::default_kubeconfig(),
                };
                let config = match context {
                    Some(context) => base.context(context),
                    None => base,
                };
                self.cluster(&name, config).await
            }
            Place::Settings(settings) => self.configured(application, settings).await,
            Place::Appliers(appliers) => Ok(appliers
                .iter()
                .fold(Destination::new(), |all, (target, applier)| {
                    all.with(target.clone(), Arc::clone(applier))
                })),
        }
    }

    async fn configured(
        &self,
        application: &Application,
        settings: &Settings,
    ) -> Result<Destination, Error> {
        let wanted = &application.destination;
        let found = settings
            .find(wanted.name.as_deref(), wanted.server.as_deref())
            .ok_or_else(|| {
                let known: Vec<&str> = settings
                    .destinations
                    .iter()
                    .map(|d| d.name.as_str())
                    .collect();
                unknown(
                    application,
                    &format!("the settings have {}", or_none(&known)),
                )
            })?;
        if found.aws.is_some() || found.kafka.is_some() {
            let message = format!(
                "destination {:?} has a target that this build cannot reach yet (only kubernetes)",
                found.name
            );
            return Err(refused(
                application,
                message,
                "keep only kubernetes in the destination",
            ));
        }
        let kubernetes = found
            .kubernetes
            .as_ref()
            .ok_or_else(|| unknown(application, "it has no kubernetes target"))?;
        self.cluster(&found.name, ClusterConfig::from_settings(kubernetes))
            .await
    }

    async fn cluster(&self, name: &str, config: ClusterConfig) -> Result<Destination, Error> {
        let target = Target::new(TargetKind::Kubernetes, name);
        let mut clusters = self.clusters.lock().await;
        let cluster = match clusters.get(name) {
            Some(cluster) => cluster.clone(),
            None => {
                let made = Cluster::connect(config, target.clone()).await;
                let cluster = made.map_err(|source| unreachable_target(name, source))?;
                clusters.insert(name.to_owned(), cluster.clone());
                cluster
            }
        };
        Ok(Destination::new().with(target, Arc::new(cluster)))
    }
}

fn unreachable_target(name: &str, source: ApplierError) -> Error {
    Error::Target {
        target: format!("cluster {name}"),
        source,
    }
}

/// The name and context that an Application's destination stands for in a kubeconfig.
fn chosen(
    application: &Application,
    file: Option<&Path>,
    context: Option<&str>,
) -> Result<(String, Option<String>), Error> {
    let known = Contexts::read(file);
    let at_hand = || {
        let name = context.map(str::to_owned).or_else(|| known.current.clone());
        (
            name.unwrap_or_else(|| IN_CLUSTER_NAME.to_owned()),
            context.map(str::to_owned),
        )
    };
    let wanted = &application.destination;
    match (wanted.server.as_deref(), wanted.name.as_deref()) {
        (Some(IN_CLUSTER_SERVER), _) | (None, Some(IN_CLUSTER_NAME)) => Ok(at_hand()),
        (None, Some(name)) if known.servers.contains_key(name) => {
            Ok((name.to_owned(), Some(name.to_owned())))
        }
        (Some(server), _) => {
            let mut same = known
                .servers
                .iter()
                .filter(|(_, url)| url.trim_end_matches('/') == server);
            let preferred = context.or(known.current.as_deref());
            match same
                .clone()
                .find(|(name, _)| Some(name.as_str()) == preferred)
                .or_else(|| same.next())
            {
                Some((name, _)) => Ok((name.clone(), Some(name.clone()))),
                None => Err(unknown(
                    application,
                    &format!("no context of the kubeconfig has the server {server}"),
                )),
            }
        }
        (None, name) => {
            let contexts: Vec<&str> = known.servers.keys().map(String::as_str).collect();
            let named = name.unwrap_or_default();
            Err(unknown(
                application,
                &format!(
                    "the kubeconfig has no context {named:?}; it has {}",
                    or_none(&contexts)
                ),
            ))
        }
    }
}

fn or_none(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// The contexts of a kubeconfig with their servers; what cannot be read is told when it is connected to.
#[derive(Debug, Default)]
struct Contexts {
    current: Option<String>,
    servers: BTreeMap<String, String>,
}

impl Contexts {
    fn read(file: Option<&Path>) -> Self {
        let path = file.map(Path::to_owned).or_else(default_kubeconfig);
        let Some(bytes) = path.and_then(|path| std::fs::read(path).ok()) else {
            return Self::default();
        };
        let Ok(node) = tidegate_yaml::parse_one(&bytes, &ParseOptions::default()) else {
            return Self::default();
        };
        Self::of(&node.to_json())
    }

    fn of(document: &Value) -> Self {
        let entries = |list: &str| document[list].as_array().cloned().unwrap_or_default();
        let clusters: BTreeMap<String, String> = entries("clusters")
            .iter()
            .filter_map(|c| {
                Some((
                    c["name"].as_str()?.to_owned(),
                    c["cluster"]["server"].as_str()?.to_owned(),
                ))
            })
            .collect();
        let servers = entries("contexts")
            .iter()
            .filter_map(|c| {
                let cluster = c["context"]["cluster"].as_str()?;
                Some((
                    c["name"].as_str()?.to_owned(),
                    clusters.get(cluster).cloned().unwrap_or_default(),
                ))
            })
            .collect();
        Self {
            current: document["current-context"].as_str().map(str::to_owned),
            servers,
        }
    }
}

/// Where the user's own kubeconfig is; read only after a context was named.
fn default_kubeconfig() -> Option<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG") {
        return std::env::split_paths(&list).next();
    }
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"))
}

fn unknown(application: &Application, why: &str) -> Error {
    let wanted = &application.destination;
    let what = match (&wanted.name, &wanted.server) {
        (Some(name), _) => format!("name {name:?}"),
        (None, Some(server)) => format!("server {server}"),
        (None, None) => "nothing".to_owned(),
    };
    refused(
        application,
        format!("no destination stands for {what}: {why}"),
        "name the destination in a Settings file and pass --settings FILE, or pass --kubeconfig FILE --context NAME",
    )
}

fn refused(application: &Application, message: String, help: &str) -> Error {
    let diagnostic = Diagnostic::error("TG0403", message, application.origin.clone())
        .object(format!("Application {}", application.name))
        .field(".spec.destination")
        .help(help);
    Error::Destination(Box::new(diagnostic))
}
