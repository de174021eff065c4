//! The targets that an application's destination stands for, and which object goes where.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_applier::Applier;
use tidegate_manifest::{AWS_GROUP, GroupKind, Target, TargetKind};

/// Kinds of CloudFormation begin so.
const CLOUDFORMATION_PREFIX: &str = "AWS::";
/// Kinds of Strimzi that need no Strimzi.
const STRIMZI_KINDS: [&str; 2] = ["KafkaTopic", "KafkaUser"];
/// Kinds of Tidegate's own that belong to a Kafka cluster.
const KAFKA_KINDS: [&str; 2] = ["SchemaSubject", "EventSourceBinding"];

/// The appliers that an application's destination resolves to: one per world at most.
#[derive(Clone, Debug, Default)]
pub struct Destination {
    appliers: BTreeMap<Target, Arc<dyn Applier>>,
}

impl Destination {
    /// A destination of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the applier of one target.
    #[must_use]
    pub fn with(mut self, target: Target, applier: Arc<dyn Applier>) -> Self {
        self.appliers.insert(target, applier);
        self
    }

    /// The applier of a target.
    pub fn applier(&self, target: &Target) -> Option<&Arc<dyn Applier>> {
        self.appliers.get(target)
    }

    /// All appliers, by target.
    pub fn appliers(&self) -> impl Iterator<Item = (&Target, &Arc<dyn Applier>)> {
        self.appliers.iter()
    }

    /// The target of one world.
    pub fn target(&self, kind: TargetKind) -> Option<&Target> {
        self.appliers.keys().find(|target| target.kind == kind)
    }

    /// The targets that may take a kind, the preferred one first: a KafkaTopic or KafkaUser goes to the
    /// cluster when the cluster serves it, otherwise straight to Kafka.
    pub fn candidates(&self, kind: &GroupKind) -> Vec<&Target> {
        let worlds = worlds(kind);
        let found = worlds.iter().filter_map(|world| self.target(*world));
        found.collect()
    }
}

/// The worlds that may take a kind, the preferred one first: the one rule of where objects go.
pub fn worlds(kind: &GroupKind) -> &'static [TargetKind] {
    if kind.group == AWS_GROUP || kind.kind.starts_with(CLOUDFORMATION_PREFIX) {
        &[TargetKind::Aws]
    } else if STRIMZI_KINDS
        .iter()
        .any(|known| kind.is("kafka.strimzi.io", known))
    {
        &[TargetKind::Kubernetes, TargetKind::Kafka]
    } else if KAFKA_KINDS
        .iter()
        .any(|known| kind.is("tidegate.dev", known))
    {
        &[TargetKind::Kafka]
    } else {
        &[TargetKind::Kubernetes]
    }
}
