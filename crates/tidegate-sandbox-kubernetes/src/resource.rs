//! What a served resource is: its names, versions, scope and abilities. Built-ins and custom resources alike.
//! The list of built-ins is in `builtin.rs`, what is served right now in `registry.rs`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use tidegate_diff::schema::TypeRef;
use tidegate_diff::schema::resources::ResourceFacts;

use crate::crd::CustomVersion;

/// A group and a plural resource: `("apps", "deployments")`, `("", "pods")`. Prints as `deployments.apps`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    group: Cow<'static, str>,
    resource: Cow<'static, str>,
}

impl ResourceName {
    /// A name known at compile time.
    pub const fn new(group: &'static str, resource: &'static str) -> Self {
        Self {
            group: Cow::Borrowed(group),
            resource: Cow::Borrowed(resource),
        }
    }

    /// A name found at run time.
    pub fn of(group: &str, resource: &str) -> Self {
        Self {
            group: Cow::Owned(group.to_owned()),
            resource: Cow::Owned(resource.to_owned()),
        }
    }

    /// The API group, empty for the core group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The plural resource.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.resource)
        } else {
            write!(f, "{}.{}", self.resource, self.group)
        }
    }
}

/// `group/version`, or the version alone in the core group.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// When `metadata.generation` is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// Never set.
    Untracked,
    /// 1 at creation, then as it is (`PriorityClass`, `PodTemplate` and their like).
    Constant,
    /// +1 whenever anything but metadata and status changes.
    Tracked,
}

/// What a plain `DELETE` of a gone object answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteReply {
    /// A `Success` status.
    Status,
    /// The object as it was.
    Object,
}

/// The paths of the scale subresource (JSON paths such as `.spec.replicas`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// One version of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) served: bool,
    pub(crate) storage: bool,
    /// There is a `/status`; the main endpoint then leaves status alone.
    pub(crate) status: bool,
    pub(crate) scale: Option<ScalePaths>,
    /// How its fields merge; without it nobody owns anything.
    pub(crate) smd: Option<TypeRef>,
    /// Schema and columns, for custom resources.
    pub(crate) custom: Option<Arc<CustomVersion>>,
}

/// A served resource.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) name: ResourceName,
    /// Where its objects are kept: events of both groups are the same objects.
    pub(crate) table: ResourceName,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) versions: Vec<Version>,
    pub(crate) generation: Generation,
    pub(crate) delete_reply: DeleteReply,
    /// Only `create` is served (reviews).
    pub(crate) create_only: bool,
    /// The definition is going away: nothing new is created.
    pub(crate) terminating: bool,
    /// Discovery's view of a built-in.
    pub(crate) facts: Option<&'static ResourceFacts>,
}

impl Resource {
    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        self.versions
            .iter()
            .find(|version| version.served && version.name == name)
    }

    /// The version that objects are stored at.
    pub(crate) fn storage(&self) -> &Version {
        self.versions
            .iter()
            .find(|version| version.storage)
            .unwrap_or(&self.versions[0])
    }

    /// The apiVersion that objects are stored with.
    pub(crate) fn storage_api_version(&self) -> String {
        if self.is_alias() {
            "v1".to_owned()
        } else {
            self.api_version(&self.storage().name)
        }
    }

    /// Whether another resource keeps the objects.
    pub(crate) fn is_alias(&self) -> bool {
        self.name != self.table
    }

    pub(crate) fn api_version(&self, version: &str) -> String {
        api_version(self.name.group(), version)
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.versions.iter().any(|version| version.custom.is_some())
    }

    pub(crate) fn is(&self, group: &str, resource: &str) -> bool {
        self.name.group() == group && self.name.resource() == resource
    }

    /// The verbs, in discovery's order.
    pub(crate) fn verbs(&self) -> Vec<&str> {
        match self.facts {
            Some(facts) => facts.verbs.iter().map(String::as_str).collect(),
            None => vec![
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "create",
                "update",
                "watch",
            ],
        }
    }
}
