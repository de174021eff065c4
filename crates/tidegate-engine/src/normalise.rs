//! Rendered objects become tasks' objects: target, scope, namespace, tracking mark, no duplicates (Argo CD 4.3, 5). Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_applier::{ApplierError, KindFacts, OwnerRef, Scope};
use tidegate_manifest::{
    AWS_GROUP, Diagnostic, GroupKind, Object, ResourceKey, Role, Target, TrackingId, annotation,
};

use crate::comparison::{Condition, ConditionType};
use crate::{Desired, project};

const NO_TARGET: &str = "TG0302";
const DUPLICATE: &str = "TG0303";
const NO_NAMESPACE: &str = "TG0304";
const NO_NAME: &str = "TG0305";
const MISSING_KIND: &str = "TG0306";
const NOT_PERMITTED: &str = "TG0307";

/// What is known of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KindAnswer {
    /// Where its objects go; none when the destination has no such world.
    pub(crate) target: Option<Target>,
    /// What the target knows of it; none when it does not serve it.
    pub(crate) facts: Option<KindFacts>,
    /// Why the target could not say.
    pub(crate) error: Option<ApplierError>,
}

/// What is known of all kinds that an application uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Discovery {
    pub(crate) kinds: BTreeMap<GroupKind, KindAnswer>,
}

/// Whether an object's kind can be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// The target serves it.
    Yes,
    /// A definition of this very sync brings it, or changes it.
    Here,
    /// Nobody knows it.
    No,
}

/// A desired object in its final form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DesiredObject {
    pub(crate) key: ResourceKey,
    pub(crate) object: Arc<Object>,
    pub(crate) scope: Scope,
    pub(crate) served: Served,
    /// A definition of this sync defines its kind.
    pub(crate) is_defined_here: bool,
    /// Why it must not be applied as it stands.
    pub(crate) invalid: Option<String>,
}

/// The desired objects of an application in their final form, and what is wrong with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Normalised {
    pub(crate) objects: Vec<DesiredObject>,
    pub(crate) conditions: Vec<Condition>,
    /// What keeps the whole application from being compared.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What keeps single objects from being applied; a sync that includes them fails before it begins.
    pub(crate) refusals: Vec<Diagnostic>,
}

/// The kinds that an application's objects are of.
pub(crate) fn kinds_of(desired: &Desired) -> BTreeSet<GroupKind> {
    let objects = desired.sources.iter().flat_map(|source| &source.objects);
    objects.map(Object::group_kind).collect()
}

/// The group and kind that a CustomResourceDefinition defines, with their scope.
pub(crate) fn definition(object: &Object) -> Option<(GroupKind, Scope)> {
    if !is_definition(&object.group_kind()) {
        return None;
    }
    let text = |pointer: &str| object.body.pointer(pointer)?.as_str();
    let kind = GroupKind::new(text("/spec/group")?, text("/spec/names/kind")?);
    let scope = match text("/spec/scope") {
        Some("Cluster") => Scope::Cluster,
        Some(_) | None => Scope::Namespaced,
    };
    Some((kind, scope))
}

pub(crate) fn is_definition(kind: &GroupKind) -> bool {
    kind.is("apiextensions.k8s.io", "CustomResourceDefinition")
}

/// Brings the objects into their final form. Nothing here fails: what is wrong is told.
pub(crate) fn normalise(desired: &Desired, discovery: &Discovery, owner: &OwnerRef) -> Normalised {
    let mut result = Normalised {
        diagnostics: desired.diagnostics.clone(),
        ..Normalised::default()
    };
    result.diagnostics.extend(project::check_application(
        &desired.project,
        &desired.application,
    ));
    let objects = desired.sources.iter().flat_map(|source| &source.objects);
    let defined: BTreeMap<GroupKind, Scope> = objects.filter_map(definition).collect();
    let mut places: BTreeMap<ResourceKey, (usize, usize)> = BTreeMap::new();
    for (source, rendered) in desired.sources.iter().enumerate() {
        for object in &rendered.objects {
            if object.facts.role == Role::Ignored {
                continue;
            }
            let found = match place(desired, object, discovery, &defined, owner) {
                Ok((found, refusal)) => {
                    result.refusals.extend(refusal);
                    found
                }
                Err(diagnostic) => {
                    result.diagnostics.push(*diagnostic);
                    continue;
                }
            };
            if found.key.name.is_empty() {
                result.objects.push(found);
                continue;
            }
            match places.get(&found.key).copied() {
                None => {
                    places.insert(found.key.clone(), (source, result.objects.len()));
                    result.objects.push(found);
                }
                Some((other, index)) if other == source => {
                    let first = &result.objects[index].object;
                    result.diagnostics.push(duplicate(first, &found.object));
                }
                Some((_, index)) => {
                    result.conditions.push(repeated(&found));
                    places.insert(found.key.clone(), (source, index));
                    result.objects[index] = found;
                }
            }
        }
    }
    result.diagnostics.sort_by_key(|found| !found.is_error());
    result
}

/// One object in its final form, and why it must not be applied; an error when there is no place for it.
fn place(
    desired: &Desired,
    object: &Object,
    discovery: &Discovery,
    defined: &BTreeMap<GroupKind, Scope>,
    owner: &OwnerRef,
) -> Result<(DesiredObject, Option<Diagnostic>), Box<Diagnostic>> {
    let kind = object.group_kind();
    let tell = |code: &str, message: String, help: &str| {
        let place = (*object.origin).clone();
        Diagnostic::error(code, message, place)
            .object(object.short())
            .help(help)
    };
    let answer = discovery.kinds.get(&kind);
    let Some(target) = answer.and_then(|answer| answer.target.clone()) else {
        return Err(Box::new(tell(
            NO_TARGET,
            format!("the destination has no target for {kind}"),
            "name one with --kubeconfig, --aws or --kafka, or give the destination one in the settings",
        )));
    };
    let facts = answer.and_then(|answer| answer.facts.as_ref());
    let here = defined.get(&kind).copied();
    let scope = facts.map(|facts| facts.scope).or(here);
    let scope = scope.unwrap_or(Scope::Namespaced);
    let served = match (facts, here) {
        (Some(facts), _) if facts.versions.contains(&object.gvk.version) => Served::Yes,
        (_, Some(_)) => Served::Here,
        (Some(_) | None, None) => Served::No,
    };
    let mut normal = object.clone();
    match scope {
        Scope::Cluster => normal.set_namespace(""),
        Scope::Namespaced if normal.namespace.is_empty() => {
            normal.set_namespace(&desired.application.destination.namespace);
        }
        Scope::Namespaced => {}
    }
    if scope == Scope::Namespaced && normal.namespace.is_empty() {
        return Err(Box::new(tell(
            NO_NAMESPACE,
            format!("namespace for {} {kind} is missing", normal.name),
            "set metadata.namespace, or spec.destination.namespace of the Application",
        )));
    }
    if normal.name.is_empty() && normal.facts.role != Role::Hook {
        return Err(Box::new(tell(
            NO_NAME,
            "an object that has only generateName cannot be kept in sync".to_owned(),
            "give it a name, or make it a hook",
        )));
    }
    if !is_definition(&kind) {
        let id = tracking_id(&normal, owner);
        normal.set_annotation(annotation::TRACKING_ID, &id.to_string());
    }
    let refusal = refusal(desired, object, answer, served, scope);
    let diagnostic = refusal
        .as_ref()
        .map(|refusal| tell(refusal.code, refusal.message.clone(), &refusal.help));
    let found = DesiredObject {
        key: normal.key(target),
        object: Arc::new(normal),
        scope,
        served,
        is_defined_here: here.is_some(),
        invalid: refusal.map(|refusal| refusal.message),
    };
    Ok((found, diagnostic))
}

struct Refusal {
    code: &'static str,
    message: String,
    help: String,
}

/// Why an object must not be applied. It fails the sync that would apply it, not the comparison.
fn refusal(
    desired: &Desired,
    object: &Object,
    answer: Option<&KindAnswer>,
    served: Served,
    scope: Scope,
) -> Option<Refusal> {
    let kind = object.group_kind();
    let project = &desired.project;
    if !project::permits_kind(project, &kind, &object.name, scope == Scope::Namespaced) {
        let name = &project.name;
        return Some(Refusal {
            code: NOT_PERMITTED,
            message: format!(
                "resource {}:{} is not permitted in project {name}",
                kind.group, kind.kind
            ),
            help: format!("add the kind to AppProject {name}, or use another project"),
        });
    }
    if let Some(error) = answer.and_then(|answer| answer.error.as_ref()) {
        let help = error.help.clone();
        return Some(Refusal {
            code: MISSING_KIND,
            message: format!(
                "the target cannot say whether it serves {}: {error}",
                object.gvk
            ),
            help: help.unwrap_or_else(|| "try again once the target answers".to_owned()),
        });
    }
    let skips = object.facts.options.skip_dry_run_on_missing_resource
        || desired
            .application
            .sync_policy
            .options
            .skip_dry_run_on_missing_resource;
    if served == Served::No && !skips {
        let versions = answer
            .and_then(|a| a.facts.as_ref())
            .map(|f| f.versions.join(", "));
        let message = match versions {
            Some(versions) => format!(
                "the target serves {kind} in {versions}, not in {}",
                object.gvk.version
            ),
            None => format!(
                "the server could not find the requested resource: it does not serve {}",
                object.gvk
            ),
        };
        return Some(Refusal {
            code: MISSING_KIND,
            message,
            help: if kind.group == AWS_GROUP {
                "take the resource out, or deploy it by CloudFormation and name it by its ARN"
                    .to_owned()
            } else {
                format!(
                    "add the CustomResourceDefinition of {kind} to the application, install it before, or set the sync option SkipDryRunOnMissingResource=true"
                )
            },
        });
    }
    None
}

/// The mark of an object; a cluster-scoped one has the destination's namespace in it (Argo CD section 5).
pub(crate) fn tracking_id(object: &Object, owner: &OwnerRef) -> TrackingId {
    let namespace = if object.namespace.is_empty() {
        owner.destination_namespace.clone()
    } else {
        object.namespace.clone()
    };
    TrackingId {
        application: owner.application.clone(),
        group: object.gvk.group.clone(),
        kind: object.gvk.kind.clone(),
        namespace,
        name: object.name.clone(),
    }
}

fn duplicate(first: &Object, second: &Object) -> Diagnostic {
    let other = match first.origin.place() {
        place if place.is_empty() => "elsewhere".to_owned(),
        place => format!("at {place}"),
    };
    let message = format!(
        "duplicate object: {} is also defined {other}",
        second.short()
    );
    Diagnostic::error(DUPLICATE, message, (*second.origin).clone())
        .object(second.short())
        .help("remove one of the two, or give them different names or namespaces")
}

fn repeated(object: &DesiredObject) -> Condition {
    let key = &object.key;
    Condition::new(
        ConditionType::RepeatedResourceWarning,
        format!(
            "Resource {}/{}/{}/{} appeared 2 times among application resources.",
            key.group, key.kind, key.namespace, key.name
        ),
    )
}
