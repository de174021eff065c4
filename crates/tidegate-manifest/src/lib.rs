//! Manifest modelling: objects and their keys, where they came from, what their annotations say
//! about a sync, Argo CD's Application and AppProject, Tidegate's own Settings.
//!
//! Everything here is a value: no IO, no async, no knowledge of any target's API.

pub mod annotation;
mod application;
mod diagnostic;
mod document;
mod facts;
mod fields;
mod key;
mod object;
mod origin;
mod project;
mod resource;
mod settings;
mod status;
mod tracking;

pub use application::{
    Application, ApplicationSource, Automated, Backoff, Destination, DirectoryOptions,
    IgnoreDifference, ManagedNamespaceMetadata, Retry, RetryLimit, SyncPolicy,
};
pub use diagnostic::{Diagnostic, Severity};
pub use document::{Documents, read_documents};
pub use facts::{
    ApplicationOptions, Approval, CompareOptions, DependsOn, HookDeletePolicy, HookKind, Phase,
    PropagationPolicy, ResourceOptions, Role, SyncFacts,
};
pub use key::{GroupKind, GroupVersionKind, ResourceKey, Target, TargetKind};
pub use object::{Object, ObjectError};
pub use origin::{Origin, Renderer};
pub use project::{AppProject, KindPattern, ProjectDestination};
pub use resource::{
    ARTIFACT, AWS_API_VERSION, AWS_GROUP, CloudFormationResource, DeletionPolicy, ResourceReference,
};
pub use settings::{
    AwsTarget, DestinationSettings, HelmSettings, KafkaTarget, KubernetesTarget, KustomizeSettings,
    Settings,
};
pub use status::{Health, HealthStatus, OperationPhase, ResultCode, SyncStatus};
pub use tracking::TrackingId;
