//! Tidegate's own Settings: the destinations that Applications name.

use std::collections::BTreeMap;
use tidegate_yaml::Node;

use crate::fields::{Fields, Reader};
use crate::object::describe;
use crate::{Diagnostic, GroupKind, Origin};

/// The API group of Tidegate's own kinds.
const GROUP: &str = "tidegate.dev";

/// `kind: Settings`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The destinations by name, in the order they are written.
    pub destinations: Vec<DestinationSettings>,
    /// How kustomizations are built.
    pub kustomize: KustomizeSettings,
}

/// How kustomizations are built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KustomizeSettings {
    /// Flags of `kustomize build`, as Argo CD's `kustomize.buildOptions`.
    pub build_options: String,
    /// Globs of the repositories that bases may be fetched from, such as `https://github.com/team/*`.
    pub remote_bases: Vec<String>,
    /// The operator's permission to run Helm for `helmCharts`; without it no program runs.
    pub helm: Option<HelmSettings>,
}

/// How Helm runs for the charts of kustomizations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelmSettings {
    /// The program; absent is what `--helm-command` of the build options names, and then `helm`.
    pub command: Option<String>,
    /// Seconds after which a run is ended; absent is a minute.
    pub timeout_seconds: Option<u64>,
    /// Globs of the repositories that charts may be pulled from, such as `https://charts.example.com/*`.
    pub repositories: Vec<String>,
}

/// A name for a set of targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DestinationSettings {
    /// What an Application's `destination.name` says.
    pub name: String,
    /// What an Application's `destination.server` says, besides the name.
    pub server: Option<String>,
    /// The Kubernetes cluster.
    pub kubernetes: Option<KubernetesTarget>,
    /// The AWS account and region.
    pub aws: Option<AwsTarget>,
    /// The Kafka cluster.
    pub kafka: Option<KafkaTarget>,
}

/// How a Kubernetes cluster is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubernetesTarget {
    /// A kubeconfig file; absent is `$KUBECONFIG` or the user's own.
    pub kubeconfig: Option<String>,
    /// A context in it; absent is the current one.
    pub context: Option<String>,
    /// Use the account of the pod that Tidegate runs in.
    pub in_cluster: bool,
}

/// How AWS is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsTarget {
    /// The region.
    pub region: Option<String>,
    /// A role to assume.
    pub role_arn: Option<String>,
    /// An emulator's URL.
    pub endpoint_url: Option<String>,
}

/// How Kafka is reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KafkaTarget {
    /// `host:port`, comma separated.
    pub bootstrap_servers: String,
    /// Client settings.
    pub security: BTreeMap<String, String>,
}

impl Settings {
    /// Whether a document is a Settings.
    pub fn matches(kind: &GroupKind) -> bool {
        kind.is(GROUP, "Settings")
    }

    /// The destination an Application names, by name or by server.
    pub fn find(&self, name: Option<&str>, server: Option<&str>) -> Option<&DestinationSettings> {
        self.destinations
            .iter()
            .find(|destination| match (name, server) {
                (Some(name), _) => destination.name == name,
                (None, Some(server)) => {
                    destination
                        .server
                        .as_deref()
                        .map(|s| s.trim_end_matches('/'))
                        == Some(server)
                }
                (None, None) => false,
            })
    }

    /// Reads settings with all their mistakes at once.
    pub fn from_node(node: &Node, origin: &Origin) -> (Option<Self>, Vec<Diagnostic>) {
        let mut reader = Reader::new(origin, describe(node));
        let root = Fields::root(node);
        let mut settings = Self::default();
        for entry in reader.mappings(&root, "destinations").unwrap_or_default() {
            let destination = read_destination(&mut reader, &entry);
            if settings
                .destinations
                .iter()
                .any(|known| known.name == destination.name)
            {
                let path = entry.child("name");
                let message = format!("destination {:?} is written twice", destination.name);
                reader.error(
                    entry.node,
                    &path,
                    message,
                    "give each destination a name of its own",
                );
            }
            settings.destinations.push(destination);
        }
        if let Some(fields) = reader.mapping(&root, "kustomize") {
            settings.kustomize = KustomizeSettings {
                build_options: reader.text(&fields, "buildOptions").unwrap_or_default(),
                remote_bases: reader.texts(&fields, "remoteBases").unwrap_or_default(),
                helm: reader
                    .mapping(&fields, "helm")
                    .map(|helm| read_helm(&mut reader, &helm)),
            };
        }
        let found = reader.finish();
        let usable = (!found.iter().any(Diagnostic::is_error)).then_some(settings);
        (usable, found)
    }
}

fn read_helm(reader: &mut Reader<'_>, fields: &Fields<'_>) -> HelmSettings {
    let seconds = reader.integer(fields, "timeoutSeconds");
    let timeout_seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let timeout_seconds = timeout_seconds.filter(|seconds| *seconds > 0);
    if let (Some(seconds), None, Some((node, path))) =
        (seconds, timeout_seconds, fields.present("timeoutSeconds"))
    {
        let message = format!("{seconds} seconds leave no time to run");
        reader.error(node, &path, message, "write a number above 0");
    }
    HelmSettings {
        command: reader.text(fields, "command"),
        timeout_seconds,
        repositories: reader.texts(fields, "repositories").unwrap_or_default(),
    }
}

fn read_destination(reader: &mut Reader<'_>, entry: &Fields<'_>) -> DestinationSettings {
    let name = reader.required_text(entry, "name", "give the destination a name");
    let kubernetes = reader
        .mapping(entry, "kubernetes")
        .map(|fields| KubernetesTarget {
            kubeconfig: reader.text(&fields, "kubeconfig"),
            context: reader.text(&fields, "context"),
            in_cluster: reader.flag(&fields, "inCluster").unwrap_or(false),
        });
    let aws = reader.mapping(entry, "aws").map(|fields| AwsTarget {
        region: reader.text(&fields, "region"),
        role_arn: reader.text(&fields, "roleArn"),
        endpoint_url: reader.text(&fields, "endpointUrl"),
    });
    let kafka = reader.mapping(entry, "kafka").map(|fields| KafkaTarget {
        bootstrap_servers: reader.required_text(&fields, "bootstrapServers", "write host:port"),
        security: reader.text_map(&fields, "security").unwrap_or_default(),
    });
    if kubernetes.is_none() && aws.is_none() && kafka.is_none() {
        reader.error(
            entry.node,
            &entry.path,
            format!("destination {name:?} has no target"),
            "add kubernetes, aws or kafka",
        );
    }
    DestinationSettings {
        name,
        server: reader.text(entry, "server"),
        kubernetes,
        aws,
        kafka,
    }
}
