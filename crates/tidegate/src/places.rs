//! Where Applications go: from what a person named to the appliers of a destination.
//!
//! The environment alone never chooses a real cluster: each variant of [`Place`] is somebody's word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tidegate_applier::{Applier, ApplierError};
use tidegate_bridge::applier::Runs;
use tidegate_cluster::{Cluster, ClusterConfig};
use tidegate_engine::Destination;
use tidegate_manifest::{
    Application, AwsTarget, Diagnostic, KafkaTarget, KubernetesTarget, KustomizeSettings, Settings,
    Target, TargetKind,
};
use tidegate_render::AwsEnvironment;
use tidegate_yaml::ParseOptions;
use tokio::sync::Mutex;

use crate::aws::{AwsWorld, sandbox_target};
use crate::bridge::{Bindings, defaults};
use crate::kafka::KafkaWorld;
use crate::{Error, StateDir};

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
    /// One AWS account and region takes every destination: what the `AWS_*` variables or the profile say.
    Aws(AwsTarget),
    /// One Kafka cluster takes every destination.
    Kafka(KafkaTarget),
    /// Several of these at once, one per world.
    Several(Vec<Place>),
    /// Destinations by name.
    Settings(Settings),
    /// Appliers of a program's own; they take every destination.
    Appliers(Vec<(Target, Arc<dyn Applier>)>),
}

impl Place {
    /// How its settings want kustomizations built.
    pub(crate) fn kustomize(&self) -> KustomizeSettings {
        match self {
            Place::Settings(settings) => settings.kustomize.clone(),
            Place::Several(places) => places
                .iter()
                .map(Place::kustomize)
                .find(|found| *found != KustomizeSettings::default())
                .unwrap_or_default(),
            Place::Sandbox(_)
            | Place::Kubeconfig { .. }
            | Place::Aws(_)
            | Place::Kafka(_)
            | Place::Appliers(_) => KustomizeSettings::default(),
        }
    }
}

/// The appliers of all destinations, made when they are first asked for.
#[derive(Debug)]
pub struct Places {
    place: Place,
    clusters: Mutex<BTreeMap<String, Cluster>>,
    aws: AwsWorld,
    kafka: KafkaWorld,
    bindings: Bindings,
}

impl Places {
    /// Places of what was named; `dir` is where what was applied and packaged code are kept. Bindings run in
    /// this process, or are left for a bridge of their own.
    pub fn new(place: Place, dir: &StateDir, runs_bindings: bool) -> Self {
        let runs = if runs_bindings {
            Runs::Here
        } else {
            Runs::Elsewhere
        };
        Self {
            aws: AwsWorld::new(dir.aws(&place), dir.code()),
            kafka: KafkaWorld::new(dir.kafka(&place)),
            bindings: Bindings::new(dir.bindings(&place), runs),
            place,
            clusters: Mutex::default(),
        }
    }

    /// What was named.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Where packaged code is kept.
    pub(crate) fn artifacts(&self) -> &Arc<dyn tidegate_aws::Artifacts> {
        self.aws.artifacts()
    }

    /// The appliers of an Application's destination.
    ///
    /// # Errors
    /// [`Error::Destination`] when nothing stands for it, [`Error::Target`] when it cannot be reached.
    pub async fn destination(&self, application: &Application) -> Result<Destination, Error> {
        let mut destination = Destination::new();
        // Passwords of Kafka's users come from the Secrets of the same destination.
        let mut secrets = None;
        // Bindings of its topics invoke functions of the same destination.
        let mut account = None;
        for world in self.worlds(&self.place, application)? {
            destination = match world {
                World::Kubernetes(name, config) => {
                    let (target, cluster) = self.cluster(&name, *config).await?;
                    secrets = Some((target.clone(), Arc::clone(&cluster)));
                    destination.with(target, cluster)
                }
                World::Aws(name, settings) => {
                    let (target, applier) = self.aws.applier(&name, &settings).await?;
                    account = Some(settings);
                    destination.with(target, Arc::new(applier))
                }
                World::Kafka(name, settings) => {
                    let made = self.kafka.applier(&name, &settings, secrets.clone());
                    let (target, kafka) = made.await?;
                    let is_sandbox = matches!(self.place, Place::Sandbox(_));
                    let defaults = defaults(&settings, account.as_ref(), is_sandbox);
                    let made = self.bindings.applier(&target, Arc::new(kafka), defaults);
                    let applier = made.await?;
                    destination.with(target, Arc::new(applier))
                }
                World::Other(target, applier) => destination.with(target, applier),
            };
        }
        Ok(destination)
    }

    /// Drains and ends the bindings that run in this process.
    pub async fn stop(&self) {
        self.bindings.stop().await;
    }

    /// What the templates of an Application are read against: the account and region that its
    /// destination stands for, or a stand-in where it has none.
    ///
    /// # Errors
    /// AWS cannot be reached.
    pub async fn environment(&self, application: &Application) -> Result<AwsEnvironment, Error> {
        for world in self.worlds(&self.place, application)? {
            if let World::Aws(name, settings) = world {
                return self.aws.environment(&name, &settings).await;
            }
        }
        Ok(AwsEnvironment::default())
    }

    /// What a place stands for, for one Application.
    fn worlds(&self, place: &Place, application: &Application) -> Result<Vec<World>, Error> {
        match place {
            Place::Sandbox(kubeconfig) => {
                let config = Box::new(ClusterConfig::kubeconfig(kubeconfig));
                let mut worlds = vec![World::Kubernetes(SANDBOX.to_owned(), config)];
                let aws = StateDir::sandbox_address(kubeconfig, "aws");
                worlds.extend(aws.map(|url| World::Aws(SANDBOX.to_owned(), sandbox_target(&url))));
                let kafka = StateDir::sandbox_address(kubeconfig, "kafka");
                worlds.extend(kafka.map(|bootstrap_servers| {
                    let settings = KafkaTarget {
                        bootstrap_servers,
                        security: BTreeMap::new(),
                    };
                    World::Kafka(SANDBOX.to_owned(), settings)
                }));
                Ok(worlds)
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
                Ok(vec![World::Kubernetes(name, Box::new(config))])
            }
            Place::Aws(settings) => Ok(vec![World::Aws("aws".to_owned(), settings.clone())]),
            Place::Kafka(settings) => Ok(vec![World::Kafka("kafka".to_owned(), settings.clone())]),
            Place::Several(places) => {
                let mut worlds = Vec::new();
                for place in places {
                    worlds.extend(self.worlds(place, application)?);
                }
                Ok(worlds)
            }
            Place::Settings(settings) => configured(application, settings),
            Place::Appliers(appliers) => Ok(appliers
                .iter()
                .map(|(target, applier)| World::Other(target.clone(), Arc::clone(applier)))
                .collect()),
        }
    }

    async fn cluster(
        &self,
        name: &str,
        config: ClusterConfig,
    ) -> Result<(Target, Arc<dyn Applier>), Error> {
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
        Ok((target, Arc::new(cluster)))
    }
}

/// One target that a place stands for.
enum World {
    Kubernetes(String, Box<ClusterConfig>),
    Aws(String, AwsTarget),
    Kafka(String, KafkaTarget),
    Other(Target, Arc<dyn Applier>),
}

/// The targets of a destination in the settings.
fn configured(application: &Application, settings: &Settings) -> Result<Vec<World>, Error> {
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
    let kubernetes = found
        .kubernetes
        .as_ref()
        .map(|kubernetes: &KubernetesTarget| {
            let config = Box::new(ClusterConfig::from_settings(kubernetes));
            World::Kubernetes(found.name.clone(), config)
        });
    let aws = found.aws.as_ref();
    let aws = aws.map(|aws| World::Aws(found.name.clone(), aws.clone()));
    let kafka = found.kafka.as_ref();
    let kafka = kafka.map(|kafka| World::Kafka(found.name.clone(), kafka.clone()));
    let worlds: Vec<World> = kubernetes.into_iter().chain(aws).chain(kafka).collect();
    if worlds.is_empty() {
        return Err(unknown(application, "it has no target"));
    }
    Ok(worlds)
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
