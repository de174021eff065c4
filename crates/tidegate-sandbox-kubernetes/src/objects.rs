//! The in-process door: what controllers and tests use instead of HTTP. Same write path, same refusals.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::Clock;
use crate::core::Core;
use crate::resource::ResourceName;
use crate::status::Status;
use crate::store::{self, Change, Events};
use crate::write::{self, Part, PatchKind, Target, WriteOptions};

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// What happens to dependents; the resource's default when unset.
    pub propagation: Option<Propagation>,
    /// Seconds that a pod may take; others ignore it.
    pub grace_period_seconds: Option<i64>,
    /// Only this incarnation.
    pub uid: Option<String>,
    /// Only this revision.
    pub resource_version: Option<String>,
    /// Check everything, change nothing.
    pub dry_run: bool,
}

/// Events after a revision.
#[derive(Clone, Debug)]
pub enum Changes {
    /// All of them, oldest first, and the revision they lead to.
    Known {
        /// The revision up to which the list is complete.
        revision: u64,
        /// The events.
        changes: Vec<Change>,
    },
    /// Some are forgotten: list again and go on from the revision of the list.
    Expired,
}

/// The objects of a server, in process. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    pub(crate) core: Arc<Core>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("revision", &self.core.store.revision())
            .finish()
    }
}

impl Objects {
    /// A server's memory without a server: the built-in kinds, the standard namespaces, nobody listening.
    /// Garbage collection and the namespace lifecycle do not run.
    pub fn in_memory(clock: Clock) -> Self {
        Self {
            core: Core::start(clock),
        }
    }

    /// One object.
    pub fn get(&self, resource: &ResourceName, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = store::key(namespace, name);
        self.core
            .store
            .get(&self.table(resource), &key)
            .map(|stored| stored.object)
    }

    /// All objects of a resource (in one namespace), sorted by namespace and name, and the revision of the list.
    pub fn list(&self, resource: &ResourceName, namespace: Option<&str>) -> (u64, Vec<Arc<Value>>) {
        let (revision, table) = self.core.store.table(&self.table(resource));
        let objects = store::range(&table, namespace.unwrap_or(""))
            .map(|(_, stored)| stored.object.clone())
            .collect();
        (revision, objects)
    }

    /// Creates an object.
    ///
    /// # Errors
    /// As the HTTP request would be refused.
    pub fn create(
        &self,
        resource: &ResourceName,
        namespace: &str,
        object: Value,
        manager: &str,
    ) -> Result<Arc<Value>, Status> {
        let target = self.target(resource, namespace, "", Part::Main)?;
        write::create(&self.core, &target, object, &WriteOptions::of(manager))
            .map(|done| done.object)
    }

    /// Replaces an object (not its status, when the kind has a status subresource). Honours `metadata.resourceVersion`.
    ///
    /// # Errors
    /// As the HTTP request would be refused.
    pub fn update(
        &self,
        resource: &ResourceName,
        namespace: &str,
        object: Value,
        manager: &str,
    ) -> Result<Arc<Value>, Status> {
        self.replace(resource, namespace, object, manager, Part::Main)
    }

    /// Replaces the status of an object. Honours `metadata.resourceVersion`.
    ///
    /// # Errors
    /// As the HTTP request would be refused.
    pub fn update_status(
        &self,
        resource: &ResourceName,
        namespace: &str,
        object: Value,
        manager: &str,
    ) -> Result<Arc<Value>, Status> {
        self.replace(resource, namespace, object, manager, Part::Status)
    }

    /// Applies a JSON merge patch to the object or to a subresource (`status`, `scale`).
    ///
    /// # Errors
    /// As the HTTP request would be refused.
    pub fn merge_patch(
        &self,
        resource: &ResourceName,
        namespace: &str,
        name: &str,
        subresource: Option<&str>,
        patch: &Value,
        manager: &str,
    ) -> Result<Arc<Value>, Status> {
        let part = match subresource {
            None => Part::Main,
            Some(part) => Part::named(part).ok_or_else(Status::unknown_resource)?,
        };
        let target = self.target(resource, namespace, name, part)?;
        let patch = PatchKind::Merge(patch.clone());
        write::patch(&self.core, &target, &patch, &WriteOptions::of(manager))
            .map(|done| done.object)
    }

    /// Deletes an object, or marks it as being deleted while finalizers hold it.
    ///
    /// # Errors
    /// As the HTTP request would be refused.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are built where they are used"
    )]
    pub fn delete(
        &self,
        resource: &ResourceName,
        namespace: &str,
        name: &str,
        options: DeleteOptions,
    ) -> Result<(), Status> {
        let target = self.target(resource, namespace, name, Part::Main)?;
        crate::delete::delete(&self.core, &target, &options).map(|_| ())
    }

    /// Everything that happened after `revision`.
    pub fn changes_after(&self, revision: u64) -> Changes {
        match self.core.store.all_events(revision) {
            Events::Known { upto, events } => Changes::Known {
                revision: upto,
                changes: events,
            },
            Events::Expired { .. } => Changes::Expired,
        }
    }

    /// Completes once the server's revision is greater than `after`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn changed(&self, after: u64) {
        let mut seen = self.core.store.subscribe();
        // The sender lives in the store, so the wait cannot fail.
        let _ = seen.wait_for(|revision| *revision > after).await;
    }

    /// The server's clock.
    pub fn clock(&self) -> Clock {
        self.core.clock.clone()
    }

    /// The resource that serves a kind, built-in or custom.
    pub fn serves(&self, group: &str, kind: &str) -> Option<ResourceName> {
        self.core
            .registry()
            .by_kind(group, kind)
            .map(|resource| resource.name.clone())
    }

    /// Where the objects of a resource are kept.
    fn table(&self, name: &ResourceName) -> ResourceName {
        self.core
            .registry()
            .get(name)
            .map_or_else(|| name.clone(), |found| found.table.clone())
    }

    fn replace(
        &self,
        resource: &ResourceName,
        namespace: &str,
        object: Value,
        manager: &str,
        part: Part,
    ) -> Result<Arc<Value>, Status> {
        let name = crate::object::name(&object).to_owned();
        let target = self.target(resource, namespace, &name, part)?;
        write::update(&self.core, &target, object, &WriteOptions::of(manager))
            .map(|done| done.object)
    }

    fn target(
        &self,
        resource: &ResourceName,
        namespace: &str,
        name: &str,
        part: Part,
    ) -> Result<Target, Status> {
        let resource = self
            .core
            .registry()
            .get(resource)
            .ok_or_else(Status::unknown_resource)?;
        let version = resource.storage().name.clone();
        let namespace = if resource.namespaced { namespace } else { "" };
        Ok(Target {
            resource,
            version,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            part,
        })
    }
}
