//! Field ownership: where the write path meets structured merge diff. The algorithm itself is `tidegate_diff`'s.

use jiff::Timestamp;
use serde_json::Value;
use tidegate_diff::managed::{self, ApplyError, FieldFilter, OnConflict, Request, Versions};
use tidegate_diff::schema::{Schema, TypeRef};

use crate::convert;
use crate::object;
use crate::resource::{Resource, ResourceName};
use crate::status::{Cause, Details, Status};
use crate::write::{Target, WriteOptions};

const SCALE_VERSION: &str = "autoscaling/v1";

/// Who writes, what, and when.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    manager: String,
    api_version: String,
    subresource: &'static str,
    now: String,
    versions: KindVersions,
}

/// The versions of one resource as ownership needs them.
#[derive(Clone, Debug)]
struct KindVersions {
    kind: String,
    types: Vec<(String, TypeRef)>,
    filter: Option<FieldFilter>,
}

impl KindVersions {
    fn of(resource: &Resource, subresource: &str) -> Self {
        let mut types: Vec<(String, TypeRef)> = resource
            .versions
            .iter()
            .filter_map(|version| Some((resource.api_version(&version.name), version.smd.clone()?)))
            .collect();
        if resource.table == ResourceName::new("", "events") {
            // The same objects are written through both groups.
            for (group, version) in [("", "v1"), ("events.k8s.io", "v1")] {
                let name = crate::resource::api_version(group, version);
                let ty = Schema::builtin(group, version, "Event");
                if let Some(ty) = ty.filter(|_| types.iter().all(|(known, _)| *known != name)) {
                    types.push((name, ty));
                }
            }
        }
        let has_status = resource.versions.iter().any(|version| version.status);
        let group = resource.name.group();
        let filter = managed::reset_fields(group, &resource.kind, subresource, has_status);
        Self {
            kind: resource.kind.clone(),
            types,
            filter,
        }
    }
}

impl Versions for KindVersions {
    fn type_at(&self, api_version: &str) -> Option<TypeRef> {
        self.types
            .iter()
            .find(|(version, _)| version == api_version)
            .map(|(_, ty)| ty.clone())
    }

    fn filter_at(&self, _api_version: &str) -> Option<&FieldFilter> {
        self.filter.as_ref()
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let mut object = object.clone();
        convert::to_version(&mut object, api_version);
        Ok(object)
    }
}

impl Writer {
    /// A writer through the endpoint of the target.
    pub(crate) fn new(target: &Target, options: &WriteOptions, now: Timestamp) -> Self {
        let subresource = target.part.name();
        Self {
            manager: options.manager.clone(),
            api_version: target.api_version(),
            subresource,
            now: object::stamp(now),
            versions: KindVersions::of(&target.resource, subresource),
        }
    }

    /// A writer of the scale of an object.
    pub(crate) fn of_scale(options: &WriteOptions, now: Timestamp) -> Self {
        let ty = Schema::builtin("autoscaling", "v1", "Scale");
        let types = ty
            .map(|ty| (SCALE_VERSION.to_owned(), ty))
            .into_iter()
            .collect();
        Self {
            manager: options.manager.clone(),
            api_version: SCALE_VERSION.to_owned(),
            subresource: "scale",
            now: object::stamp(now),
            versions: KindVersions {
                kind: "Scale".to_owned(),
                types,
                filter: None,
            },
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            versions: &self.versions,
            api_version: &self.api_version,
            kind: &self.versions.kind,
            subresource: self.subresource,
            manager: &self.manager,
            now: &self.now,
        }
    }
}

/// Attributes what `new` changes against `live` to the writer.
pub(crate) fn track_update(writer: &Writer, live: Option<&Value>, new: &mut Value) {
    *new = managed::update(&writer.request(), live, new);
}

/// Merges an applied configuration into the live object.
pub(crate) fn apply(
    writer: &Writer,
    live: Option<&Value>,
    config: &Value,
    force: bool,
) -> Result<Value, Status> {
    let on_conflict = if force {
        OnConflict::Force
    } else {
        OnConflict::Fail
    };
    let merged = managed::apply(&writer.request(), live, config, on_conflict);
    merged
        .map(|merged| merged.object)
        .map_err(|error| match error {
            ApplyError::Conflicts(conflicts) => {
                let causes = conflicts
                    .iter()
                    .map(|one| {
                        Cause::new("FieldManagerConflict", one.path.to_string(), one.cause())
                    })
                    .collect();
                let mut status = Status::new(409, "Conflict", conflicts.to_string());
                status.details = Some(Box::new(Details {
                    causes,
                    ..Details::default()
                }));
                status
            }
            ApplyError::BadRequest(message) => Status::bad_request(message),
            ApplyError::Typed(message) => Status::new(500, "", message),
        })
}

/// New times of owners are taken back when nothing else changed.
pub(crate) fn settle_times(live: &Value, new: &mut Value) {
    managed::settle_times(live, new);
}
