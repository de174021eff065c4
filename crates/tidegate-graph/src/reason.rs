//! Why one node comes before another: typed relations with words for people.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::NodeId;

/// What binds a dependent to what it depends on.
///
/// Open for other worlds: a reader may bring a relation of its own as [`Relation::Other`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// `tidegate.dev/depends-on`.
    Declared,
    /// Lives in the namespace.
    Namespace,
    /// Is of a kind that the definition brings.
    DefinesKind,
    /// Reads a Secret.
    Secret,
    /// Reads a ConfigMap.
    ConfigMap,
    /// Pulls images with a Secret.
    ImagePullSecret,
    /// Runs as a ServiceAccount.
    ServiceAccount,
    /// Is permitted to the subject.
    Subject,
    /// Grants the role.
    Role,
    /// Mounts a PersistentVolumeClaim.
    VolumeClaim,
    /// Is bound to a PersistentVolume.
    Volume,
    /// Is provisioned by a StorageClass.
    StorageClass,
    /// Sends to, or is served by, a Service.
    Service,
    /// Is of an IngressClass, GatewayClass, RuntimeClass or PriorityClass.
    Class,
    /// Scales the workload.
    ScaleTarget,
    /// Is called through the Service.
    Webhook,
    /// Belongs to the cluster (Kafka, Kafka Connect, Flink session cluster).
    Cluster,
    /// Is made of the node pool.
    NodePool,
    /// Reads from or writes to the topic.
    Topic,
    /// Connects to the bootstrap address of the Kafka cluster.
    Bootstrap,
    /// Subscribes to the broker or channel.
    Broker,
    /// Sends events to the sink.
    Sink,
    /// Is judged by the analysis template.
    Analysis,
    /// Is signed by the issuer.
    Issuer,
    /// Reads from the secret store.
    SecretStore,
    /// Uses the authentication.
    Authentication,
    /// Takes the template.
    Template,
    /// Routes through the gateway.
    Gateway,
    /// Is a part of the application or project.
    Project,
    /// Names it by kind and name in a field that no reader knows.
    Reference,
    /// A relation of a reader outside this crate, in words: "takes the ARN of".
    Other(Cow<'static, str>),
}

impl Relation {
    /// A stable word for documents.
    pub fn as_str(&self) -> &str {
        match self {
            Relation::Declared => "declared",
            Relation::Namespace => "namespace",
            Relation::DefinesKind => "definesKind",
            Relation::Secret => "secret",
            Relation::ConfigMap => "configMap",
            Relation::ImagePullSecret => "imagePullSecret",
            Relation::ServiceAccount => "serviceAccount",
            Relation::Subject => "subject",
            Relation::Role => "role",
            Relation::VolumeClaim => "volumeClaim",
            Relation::Volume => "volume",
            Relation::StorageClass => "storageClass",
            Relation::Service => "service",
            Relation::Class => "class",
            Relation::ScaleTarget => "scaleTarget",
            Relation::Webhook => "webhook",
            Relation::Cluster => "cluster",
            Relation::NodePool => "nodePool",
            Relation::Topic => "topic",
            Relation::Bootstrap => "bootstrap",
            Relation::Broker => "broker",
            Relation::Sink => "sink",
            Relation::Analysis => "analysis",
            Relation::Issuer => "issuer",
            Relation::SecretStore => "secretStore",
            Relation::Authentication => "authentication",
            Relation::Template => "template",
            Relation::Gateway => "gateway",
            Relation::Project => "project",
            Relation::Reference => "reference",
            Relation::Other(words) => words,
        }
    }

    /// What the dependent does, as the verb between dependent and dependency.
    pub fn verb(&self) -> &str {
        match self {
            Relation::Declared => "declares that it depends on",
            Relation::Namespace => "lives in",
            Relation::DefinesKind => "is of the kind that is defined by",
            Relation::Secret | Relation::ConfigMap => "reads",
            Relation::ImagePullSecret => "pulls images with",
            Relation::ServiceAccount => "runs as",
            Relation::Subject => "grants rights to",
            Relation::Role => "grants the rights of",
            Relation::VolumeClaim => "mounts",
            Relation::Volume => "is bound to",
            Relation::StorageClass => "is provisioned by",
            Relation::Service => "uses",
            Relation::Class => "is of the class",
            Relation::ScaleTarget => "scales",
            Relation::Webhook => "is called through",
            Relation::Cluster => "belongs to",
            Relation::NodePool => "is made of",
            Relation::Topic => "names the topic of",
            Relation::Bootstrap => "connects to",
            Relation::Broker => "subscribes to",
            Relation::Sink => "sends events to",
            Relation::Analysis => "is judged by",
            Relation::Issuer => "is issued by",
            Relation::SecretStore => "reads from",
            Relation::Authentication => "authenticates with",
            Relation::Template => "is made from",
            Relation::Gateway => "is routed by",
            Relation::Project => "is part of",
            Relation::Reference => "refers to",
            Relation::Other(words) => words,
        }
    }

    /// A word or two for a label in a picture.
    pub fn label(&self) -> &str {
        match self {
            Relation::Declared => "depends on",
            Relation::Namespace => "namespace",
            Relation::DefinesKind => "defines kind",
            Relation::Secret => "secret",
            Relation::ConfigMap => "config",
            Relation::ImagePullSecret => "pull secret",
            Relation::ServiceAccount => "runs as",
            Relation::Subject => "subject",
            Relation::Role => "role",
            Relation::VolumeClaim | Relation::Volume => "volume",
            Relation::StorageClass => "storage",
            Relation::Service => "service",
            Relation::Class => "class",
            Relation::ScaleTarget => "scales",
            Relation::Webhook => "webhook",
            Relation::Cluster => "cluster",
            Relation::NodePool => "node pool",
            Relation::Topic => "topic",
            Relation::Bootstrap => "bootstrap",
            Relation::Broker => "broker",
            Relation::Sink => "sink",
            Relation::Analysis => "analysis",
            Relation::Issuer => "issuer",
            Relation::SecretStore => "store",
            Relation::Authentication => "auth",
            Relation::Template => "template",
            Relation::Gateway => "gateway",
            Relation::Project => "project",
            Relation::Reference => "refers to",
            Relation::Other(words) => words,
        }
    }
}

impl Serialize for Relation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How firmly an edge holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strength {
    /// A guess (a name in a value) or an optional reference: it gives way to a cycle.
    Soft,
    /// A reference that the dependent needs.
    Firm,
    /// Declared by a person: it must hold.
    Declared,
}

/// Why one node comes before another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Reason {
    /// What binds them.
    pub relation: Relation,
    /// The field of the dependent that says so, `.spec.template.spec.volumes[0].secret`; empty when no single one does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// How firmly it holds.
    pub strength: Strength,
    /// What the named thing is, when an object of the graph only brings it about: `Secret shop/tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
}

impl Reason {
    /// `Deployment shop/web reads ConfigMap shop/settings (.spec…)`.
    pub fn sentence(&self, dependent: &str, dependency: &str) -> String {
        let mut text = format!("{dependent} {} ", self.relation.verb());
        match &self.through {
            Some(through) => text.push_str(&format!("{through}, which {dependency} brings")),
            None => text.push_str(dependency),
        }
        let is_optional = self.strength == Strength::Soft && self.relation != Relation::Topic;
        match (self.field.is_empty(), is_optional) {
            (true, true) => text.push_str(" (optional)"),
            (true, false) => {}
            (false, true) => text.push_str(&format!(" ({}, optional)", self.field)),
            (false, false) => text.push_str(&format!(" ({})", self.field)),
        }
        text
    }
}

/// The relation's label, for a picture.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.relation.label())
    }
}

/// One node must be done before another.
///
/// For applies `dependency` goes first; between two prune tasks the dependent goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Edge {
    /// What goes first.
    pub before: NodeId,
    /// What waits for it.
    pub after: NodeId,
    /// The node whose body or annotation makes the edge.
    pub dependent: NodeId,
    /// The node that it refers to.
    pub dependency: NodeId,
    /// Why.
    pub reason: Reason,
}

/// A reference that phases and waves run against; it orders nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Contradiction {
    /// What the dependent needs, though it comes later.
    pub dependency: NodeId,
    /// What comes earlier.
    pub dependent: NodeId,
    /// Why they are bound.
    pub reason: Reason,
}
