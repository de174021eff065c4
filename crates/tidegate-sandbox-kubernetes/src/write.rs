//! The write path: create, update and patch, from a decoded body to a commit (spec kubernetes.md B6).
//! Deletion is in `delete.rs`, bodies are decoded in `http/`, rules per kind are in `defaults.rs` and `validate.rs`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::{CRDS, Core, NAMESPACES};
use crate::managed::{self, Writer};
use crate::object;
use crate::patch;
use crate::prepare;
use crate::resource::Resource;
use crate::status::{Cause, Status};
use crate::store::{CommitError, Expect, MAX_OBJECTS, key};

/// How often a write that lost a race starts over.
const MAX_RACES: usize = 1_000;
/// How many generated names are tried.
const MAX_NAMES: usize = 8;

/// Which part of an object a request writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
    Scale,
    /// `namespaces/x/finalize`.
    Finalize,
    /// `certificatesigningrequests/x/approval`.
    Approval,
    /// `pods/x/ephemeralcontainers`.
    EphemeralContainers,
    /// `pods/x/resize`.
    Resize,
}

impl Part {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "" => Self::Main,
            "status" => Self::Status,
            "scale" => Self::Scale,
            "finalize" => Self::Finalize,
            "approval" => Self::Approval,
            "ephemeralcontainers" => Self::EphemeralContainers,
            "resize" => Self::Resize,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Finalize => "finalize",
            Self::Approval => "approval",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Resize => "resize",
        }
    }
}

/// What a request writes to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) resource: Arc<Resource>,
    /// The version of the URL.
    pub(crate) version: String,
    pub(crate) namespace: String,
    /// Empty for a creation: the body names the object.
    pub(crate) name: String,
    pub(crate) part: Part,
}

impl Target {
    pub(crate) fn api_version(&self) -> String {
        self.resource.api_version(&self.version)
    }

    pub(crate) fn storage_version(&self) -> String {
        self.resource.storage_api_version()
    }

    pub(crate) fn key(&self) -> Arc<str> {
        key(&self.namespace, &self.name)
    }

    pub(crate) fn invalid(&self, name: &str, causes: Vec<Cause>) -> Status {
        Status::invalid(
            self.resource.name.group(),
            &self.resource.kind,
            name,
            causes,
        )
    }

    fn not_found(&self) -> Status {
        Status::not_found(&self.resource.name, &self.name)
    }
}

/// What to do with unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// The query's part of a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub(crate) manager: String,
    pub(crate) dry_run: bool,
    pub(crate) force: bool,
    pub(crate) validation: FieldValidation,
    /// Duplicate fields that the decoder found, as `strict decoding error` details.
    pub(crate) duplicates: Vec<String>,
}

impl WriteOptions {
    /// The options of an in-process write: fields are not questioned.
    pub(crate) fn of(manager: &str) -> Self {
        Self {
            manager: manager.to_owned(),
            validation: FieldValidation::Ignore,
            ..Self::default()
        }
    }
}

/// A done write: the object at the storage version.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) object: Arc<Value>,
    pub(crate) created: bool,
    pub(crate) warnings: Vec<String>,
}

/// A patch, decoded.
#[derive(Clone, Debug)]
pub(crate) enum PatchKind {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

/// Creates an object from a body at the version of the URL.
pub(crate) fn create(
    core: &Core,
    target: &Target,
    body: Value,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    let (mut object, warnings) = prepare::incoming(target, body, options)?;
    prepare::check_namespace(target, &mut object)?;
    if !object::meta(&object, "resourceVersion").is_empty() {
        let why = "resourceVersion should not be set on objects to be created";
        return Err(Status::new(500, "", why));
    }
    if !target.name.is_empty() && object::name(&object) != target.name {
        return Err(prepare::name_mismatch(object::name(&object), &target.name));
    }
    let mut generated = false;
    for attempt in 0..MAX_NAMES {
        if object::name(&object).is_empty() && !object::meta(&object, "generateName").is_empty() {
            generated = true;
        }
        let mut candidate = object.clone();
        if generated {
            prepare::generate_name(&mut candidate);
        }
        let writer = Writer::new(target, options, core.now());
        let made = finish_create(core, target, candidate, options, |new| {
            let blank = crate::defaults::blank(&target.resource, new);
            managed::track_update(&writer, blank.as_ref(), new);
        });
        match made {
            Err(status)
                if generated && status.reason == "AlreadyExists" && attempt + 1 < MAX_NAMES => {}
            Err(status) => return Err(status),
            Ok(object) => {
                return Ok(Outcome {
                    object,
                    created: true,
                    warnings,
                });
            }
        }
    }
    Err(Status::already_exists(
        &target.resource.name,
        object::name(&object),
    ))
}

/// The common end of `POST` and of an apply that creates.
fn finish_create(
    core: &Core,
    target: &Target,
    mut object: Value,
    options: &WriteOptions,
    track: impl FnOnce(&mut Value),
) -> Result<Arc<Value>, Status> {
    let resource = &target.resource;
    prepare::admit_namespace(core, target, object::name(&object))?;
    prepare::complete(target, &mut object);
    track(&mut object);
    crate::defaults::admit(core, resource, &mut object)?;
    prepare::new_object(core, target, &mut object);
    let causes = prepare::check_new(target, &object);
    if !causes.is_empty() {
        return Err(target.invalid(object::name(&object), causes));
    }
    prepare::to_version(&mut object, &target.storage_version());
    let name = object::name(&object).to_owned();
    let key = key(&target.namespace, &name);
    if core.store.get(&resource.table, &key).is_some() {
        return Err(Status::already_exists(&resource.name, &name));
    }
    if options.dry_run {
        return Ok(Arc::new(object));
    }
    let made = core
        .store
        .commit(&resource.table, &key, Expect::Absent, Some(object));
    let made = made.map_err(|error| match error {
        CommitError::Raced => Status::already_exists(&resource.name, &name),
        CommitError::Full => full(),
    })?;
    Ok(settle(core, target, made))
}

/// What a commit sets off at once: new definitions are established, new namespaces furnished.
fn settle(core: &Core, target: &Target, made: Arc<Value>) -> Arc<Value> {
    if target.resource.name == CRDS {
        crate::crd::establish(core, object::name(&made));
    }
    if target.resource.name == NAMESPACES && !object::is_deleting(&made) {
        crate::bootstrap::furnish(core, object::name(&made));
    }
    made
}

/// Replaces an object (or one part of it) by a body at the version of the URL.
pub(crate) fn update(
    core: &Core,
    target: &Target,
    body: Value,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    if target.part == Part::Scale {
        return crate::scale::update(core, target, body, options);
    }
    let (mut new, warnings) = prepare::incoming(target, body, options)?;
    prepare::check_namespace(target, &mut new)?;
    if object::name(&new) != target.name {
        return Err(match object::name(&new) {
            "" => prepare::nameless(&target.name),
            name => prepare::name_mismatch(name, &target.name),
        });
    }
    let writer = Writer::new(target, options, core.now());
    let done = modify(core, target, options, &mut |live| {
        prepare::precondition_uid(target, live, &new)?;
        if prepare::needs_revision(&target.resource)
            && object::meta(&new, "resourceVersion").is_empty()
        {
            let why = "must be specified for an update";
            let cause = Cause::invalid("metadata.resourceVersion", &json!(0), why);
            let resource = &target.resource.name;
            let (group, plural) = (resource.group(), resource.resource());
            return Err(Status::invalid(group, plural, &target.name, vec![cause]));
        }
        let mut next = new.clone();
        prepare::keep_system_fields(live, &mut next);
        Ok((next, Tracking::Update(writer.clone())))
    })?;
    Ok(Outcome {
        object: done,
        created: false,
        warnings,
    })
}

/// Applies a patch of any kind; a server-side apply may create.
pub(crate) fn patch(
    core: &Core,
    target: &Target,
    patch: &PatchKind,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    if let PatchKind::Apply(config) = patch {
        return apply(core, target, config, options);
    }
    if target.part == Part::Scale {
        return crate::scale::patch(core, target, patch, options);
    }
    let writer = Writer::new(target, options, core.now());
    let mut warnings = Vec::new();
    let object = modify(core, target, options, &mut |live| {
        let ty = target
            .resource
            .version(&target.version)
            .and_then(|version| version.smd.as_ref());
        let patched = patch::apply(ty, live, patch)?;
        let (mut next, told) = prepare::patched(target, patch, patched, options)?;
        warnings = told;
        if object::name(&next) != target.name {
            return Err(prepare::name_mismatch(object::name(&next), &target.name));
        }
        prepare::check_namespace(target, &mut next)?;
        Ok((next, Tracking::Update(writer.clone())))
    })?;
    Ok(Outcome {
        object,
        created: false,
        warnings,
    })
}

fn apply(
    core: &Core,
    target: &Target,
    config: &Value,
    options: &WriteOptions,
) -> Result<Outcome, Status> {
    let warnings = prepare::incoming_apply(target, config, options)?;
    let writer = Writer::new(target, options, core.now());
    if target.part == Part::Scale {
        return crate::scale::apply(core, target, config, options);
    }
    for _ in 0..MAX_RACES {
        if core
            .store
            .get(&target.resource.table, &target.key())
            .is_some()
        {
            let changed = modify(core, target, options, &mut |live| {
                let mut merged = managed::apply(&writer, Some(live), config, options.force)?;
                prepare::decoded(target, config, &mut merged)?;
                Ok((merged, Tracking::Done))
            });
            match changed {
                Err(status) if status.code == 404 && status.reason == "NotFound" => continue,
                other => {
                    return other.map(|object| Outcome {
                        object,
                        created: false,
                        warnings,
                    });
                }
            }
        }
        if target.part != Part::Main {
            return Err(target.not_found());
        }
        if !object::uid(config).is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                object::uid(config)
            );
            return Err(Status::conflict(&target.resource.name, &target.name, &why));
        }
        let mut merged = managed::apply(&writer, None, config, options.force)?;
        prepare::decoded(target, config, &mut merged)?;
        prepare::check_namespace(target, &mut merged)?;
        object::metadata_mut(&mut merged).insert("name".to_owned(), json!(target.name));
        match finish_create(core, target, merged, options, |_| {}) {
            Err(status) if status.reason == "AlreadyExists" => {}
            other => {
                return other.map(|object| Outcome {
                    object,
                    created: true,
                    warnings,
                });
            }
        }
    }
    Err(Status::modified(&target.resource.name, &target.name))
}

/// Who owns the fields that a write changes.
pub(crate) enum Tracking {
    /// Compare and attribute after everything else.
    Update(Writer),
    /// The apply has done it already.
    Done,
}

/// What an object shall become, and who answers for it.
pub(crate) type Change<'a> = dyn FnMut(&Value) -> Result<(Value, Tracking), Status> + 'a;

/// A read-change-commit loop: `change` sees the object at the URL's version and says what it shall be.
pub(crate) fn modify(
    core: &Core,
    target: &Target,
    options: &WriteOptions,
    change: &mut Change<'_>,
) -> Result<Arc<Value>, Status> {
    let done = modify_quietly(core, target, options, change)?;
    if target.resource.name == CRDS && !options.dry_run {
        crate::crd::establish(core, object::name(&done));
    }
    Ok(done)
}

/// The same without what a commit sets off.
pub(crate) fn modify_quietly(
    core: &Core,
    target: &Target,
    options: &WriteOptions,
    change: &mut Change<'_>,
) -> Result<Arc<Value>, Status> {
    let name = &target.resource.table;
    let object_key = target.key();
    for _ in 0..MAX_RACES {
        let Some(stored) = core.store.get(name, &object_key) else {
            return Err(target.not_found());
        };
        let mut live = (*stored.object).clone();
        prepare::to_version(&mut live, &target.api_version());
        let (next, tracking) = change(&live)?;
        let Some(next) = prepared(core, target, &live, next, tracking)? else {
            return Ok(stored.object);
        };
        if options.dry_run {
            return Ok(Arc::new(next));
        }
        let expect = Expect::Revision(stored.revision);
        let gone = object::is_deleting(&next)
            && object::finalizers(&next).is_empty()
            && !prepare::holds_itself(target, &next);
        let committed = if gone {
            let last = core.store.commit(name, &object_key, expect, None);
            last.map(|_| Arc::new(next))
        } else {
            core.store.commit(name, &object_key, expect, Some(next))
        };
        match committed {
            Ok(object) => return Ok(object),
            Err(CommitError::Raced) => {}
            Err(CommitError::Full) => return Err(full()),
        }
    }
    Err(Status::modified(&target.resource.name, &target.name))
}

/// Everything between what the client asked for and the commit; `None` when nothing changes.
fn prepared(
    core: &Core,
    target: &Target,
    live: &Value,
    mut next: Value,
    tracking: Tracking,
) -> Result<Option<Value>, Status> {
    let asked = object::meta(&next, "resourceVersion");
    if !asked.is_empty() && asked != "0" && asked != object::meta(live, "resourceVersion") {
        if asked.parse::<u64>().is_err() {
            let why = format!("strconv.ParseUint: parsing {asked:?}: invalid syntax");
            return Err(Status::new(500, "", why));
        }
        return Err(Status::modified(&target.resource.name, &target.name));
    }
    prepare::complete(target, &mut next);
    if let Tracking::Update(writer) = tracking {
        managed::track_update(&writer, Some(live), &mut next);
    }
    prepare::changed_object(core, target, live, &mut next);
    let causes = prepare::check_changed(target, live, &next);
    if !causes.is_empty() {
        return Err(target.invalid(&target.name, causes));
    }
    managed::settle_times(live, &mut next);
    if *live == next {
        return Ok(None);
    }
    prepare::to_version(&mut next, &target.storage_version());
    Ok(Some(next))
}

/// The refusal of a server that holds as much as it may.
pub(crate) fn full() -> Status {
    let message = format!(
        "the sandbox is full: it keeps at most {MAX_OBJECTS} objects and a bounded number of bytes"
    );
    Status::new(507, "InsufficientStorage", message)
}
