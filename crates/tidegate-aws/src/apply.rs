//! One resource: what applying it would do, and doing it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tidegate_applier::{
    ApplierError, ApplyMode, ApplyRequest, ApplyResult, ChangeOutcome, ChangePreview, ErrorKind,
    LiveObject, Precondition,
};
use tidegate_manifest::{CloudFormationResource, DeletionPolicy, HealthStatus};

use crate::applier::{Inner, record_key};
use crate::evaluate::{is_open, secret_pointers};
use crate::preview::{after_body, field_changes, live_object, mark_of_live, outcome};
use crate::resolve::{Known, lookup_of, open_error};
use crate::{
    Deadline, Deletion, Difference, LiveResource, Lookup, Mark, Pause, Record, Resource, TypeFacts,
    compare, facts,
};

/// Annotation that lets a resource be taken over which nobody marked, or CloudFormation made.
pub(crate) const ADOPT: &str = "tidegate.dev/adopt";
/// Annotation that lets a resource be replaced although data goes with it.
pub(crate) const REPLACE: &str = "tidegate.dev/replace";
/// CloudFormation's own mark.
const CLOUDFORMATION_STACK: &str = "aws:cloudformation:stack-name";

/// Types whose replacement loses data or a name that others hold.
const PRECIOUS: &[&str] = &[
    "AWS::Kinesis::Stream",
    "AWS::DynamoDB::Table",
    "AWS::DynamoDB::GlobalTable",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::Logs::LogGroup",
    "AWS::MSK::Cluster",
    "AWS::MSK::ServerlessCluster",
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBCluster",
    "AWS::EFS::FileSystem",
    "AWS::OpenSearchService::Domain",
    "AWS::SecretsManager::Secret",
    "AWS::KMS::Key",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
];

/// Types of which there can be no second one beside the first while a replacement is made.
const ONE_AT_A_TIME: &[&str] = &[
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Url",
    "AWS::SNS::Subscription",
];

/// The old resource of a replacement, to go once nothing names it any more.
#[derive(Clone, Debug)]
pub(crate) struct Leftover {
    pub(crate) resource_type: String,
    pub(crate) physical_id: String,
    /// On whose behalf it was replaced.
    pub(crate) application: String,
}

impl Leftover {
    const PREFIX: &str = "replaced ";

    pub(crate) fn key(&self) -> String {
        format!(
            "{}{} {}",
            Self::PREFIX,
            self.resource_type,
            self.physical_id
        )
    }

    pub(crate) fn is_key(key: &str) -> bool {
        key.starts_with(Self::PREFIX)
    }
}

/// A wanted resource beside the live one.
struct Compared {
    wanted: Resource,
    is_open: bool,
    live: Option<LiveResource>,
    record: Option<Record>,
    difference: Difference,
    /// Digests of what is declared and not compared by value alone, secrets as the references that stand for them.
    unseen: BTreeMap<String, String>,
    /// Pointers to what is never shown.
    sensitive: Vec<String>,
}

impl Inner {
    async fn compared(
        &self,
        resource: &CloudFormationResource,
        known: &Known<'_>,
        application: &str,
    ) -> Result<(Compared, crate::Unresolved), ApplierError> {
        let handler = self.handler(&resource.resource_type)?;
        let (mut wanted, open) = self.evaluated(resource, known, application, 0).await?;
        let (live, record) = self.find(lookup_of(&wanted), Some(application)).await?;
        handler.normalise(&resource.resource_type, &mut wanted.properties);
        let is_open = wanted.properties.values().any(is_open);
        let facts = facts(&resource.resource_type);
        let unseen = unseen(&wanted, &facts, handler.is_exact());
        let mut sensitive = resource.sensitive.clone();
        secret_pointers(&wanted.properties, &mut sensitive);
        let difference = match &live {
            Some(live) => {
                known.learn(&resource.stack, &resource.logical_id, Some(live.clone()));
                // What lives holds the values, not the references.
                self.with_dynamic_values(&mut wanted).await?;
                let record = record.as_ref();
                let found = compare::properties(&wanted, live, record, &facts, handler.as_ref());
                wanted.removed_tags = compare::removed_tags(&wanted, live, record);
                let is_marked = !wanted.mark.application.is_empty();
                let owner = is_marked.then_some(application);
                with_ownership(found, resource, live, record, owner)?
            }
            None => Difference::default(),
        };
        let compared = Compared {
            wanted,
            is_open,
            live,
            record,
            difference,
            unseen,
            sensitive,
        };
        Ok((compared, open))
    }

    /// What applying would do.
    pub(crate) async fn preview_one(
        &self,
        request: &ApplyRequest,
        resource: &CloudFormationResource,
        known: &Known<'_>,
    ) -> Result<ChangePreview, ApplierError> {
        let application = &request.owner.application;
        let (compared, _) = self.compared(resource, known, application).await?;
        let before = compared
            .live
            .as_ref()
            .map(|live| self.shown(request, live, &compared));
        let body = before.as_ref().map(|before| &before.body);
        let after = after_body(
            body,
            resource,
            &compared.wanted,
            &compared.difference,
            &compared.sensitive,
        );
        let outcome = match &compared.live {
            Some(_) => outcome(&compared.difference),
            None => ChangeOutcome::Created,
        };
        let mut changes = match body {
            Some(_) => field_changes(body, &after),
            // A creation is told as one: all of it is new.
            None => Vec::new(),
        };
        if outcome == ChangeOutcome::Updated && changes.is_empty() {
            changes = unseen_changes(&compared.difference);
        }
        Ok(ChangePreview {
            outcome,
            before,
            changes,
            after,
            assumed: compared.is_open,
            warnings: warnings(resource, &compared),
        })
    }

    fn shown(
        &self,
        request: &ApplyRequest,
        live: &LiveResource,
        compared: &Compared,
    ) -> LiveObject {
        let mut declared = compared.wanted.all_tags();
        if let Some(record) = &compared.record {
            let tags = record.tags.iter().map(|tag| (tag.clone(), String::new()));
            declared.extend(tags);
        }
        live_object(
            &request.key,
            live,
            compared.record.as_ref(),
            &compared.sensitive,
            Some(&declared),
        )
    }

    /// Applies one resource; what it names was applied before.
    pub(crate) async fn apply_one(
        &self,
        request: &ApplyRequest,
        resource: &CloudFormationResource,
        known: &Known<'_>,
        leftovers: &Mutex<Vec<Leftover>>,
    ) -> Result<ApplyResult, ApplierError> {
        let application = &request.owner.application;
        let (mut compared, open) = self.compared(resource, known, application).await?;
        check_precondition(&request.precondition, &compared)?;
        check_replacement(request, resource, &compared)?;
        if request.dry_run {
            return Ok(self.dry(request, resource, &compared));
        }
        if !open.is_empty() || compared.is_open {
            return Err(open_error(&open));
        }
        self.with_dynamic_values(&mut compared.wanted).await?;
        compared.wanted.token = token(request, &compared);
        let handler = self.handler(&resource.resource_type)?;
        let must_recreate = must_recreate(request, &compared);
        let (outcome, id) = match &compared.live {
            None => (
                ChangeOutcome::Created,
                handler.create(&compared.wanted).await?,
            ),
            Some(live) if !compared.difference.create_only.is_empty() || must_recreate => {
                let id = self
                    .replace(resource, &compared, live, application, leftovers)
                    .await?;
                (ChangeOutcome::Replaced, id)
            }
            Some(live) if compared.difference.changed.is_empty() => {
                (ChangeOutcome::Unchanged, live.physical_id.clone())
            }
            Some(live) => {
                let changed = &compared.difference.changed;
                handler.update(&compared.wanted, live, changed).await?;
                (ChangeOutcome::Updated, live.physical_id.clone())
            }
        };
        let recreated = (outcome == ChangeOutcome::Replaced).then_some(&request.operation_id);
        compared.record =
            Some(self.remember_applied(resource, &compared, &id, application, recreated)?);
        let live = match (&compared.live, outcome) {
            (Some(live), ChangeOutcome::Unchanged) if live.is_settled => live.clone(),
            _ => self.settled(resource, &compared.wanted, &id).await?,
        };
        known.learn(&resource.stack, &resource.logical_id, Some(live.clone()));
        check_usable(&live, outcome)?;
        Ok(ApplyResult {
            outcome,
            live: self.shown(request, &live, &compared),
            warnings: warnings(resource, &compared),
        })
    }

    fn dry(
        &self,
        request: &ApplyRequest,
        resource: &CloudFormationResource,
        compared: &Compared,
    ) -> ApplyResult {
        let before = compared
            .live
            .as_ref()
            .map(|live| self.shown(request, live, compared));
        let body = before.as_ref().map(|before| &before.body);
        let after = after_body(
            body,
            resource,
            &compared.wanted,
            &compared.difference,
            &compared.sensitive,
        );
        let outcome = match &compared.live {
            Some(_) if must_recreate(request, compared) => ChangeOutcome::Replaced,
            Some(_) => outcome(&compared.difference),
            None => ChangeOutcome::Created,
        };
        let live = before.map_or_else(
            || LiveObject {
                key: request.key.clone(),
                body: after.clone(),
                version: String::new(),
                uid: String::new(),
                health: None,
            },
            |before| LiveObject {
                body: after.clone(),
                ..before
            },
        );
        ApplyResult {
            outcome,
            live,
            warnings: warnings(resource, compared),
        }
    }

    /// Makes a new resource in the place of one that cannot be changed into it.
    async fn replace(
        &self,
        resource: &CloudFormationResource,
        compared: &Compared,
        live: &LiveResource,
        application: &str,
        leftovers: &Mutex<Vec<Leftover>>,
    ) -> Result<String, ApplierError> {
        let handler = self.handler(&resource.resource_type)?;
        let old = &live.physical_id;
        let kind = resource.resource_type.as_str();
        if can_stand_beside(kind, &compared.wanted, live) {
            let id = handler.create(&compared.wanted).await?;
            if id != *old && resource.update_replace_policy == DeletionPolicy::Delete {
                let leftover = Leftover {
                    resource_type: kind.to_owned(),
                    physical_id: old.clone(),
                    application: application.to_owned(),
                };
                let record = Record {
                    resource_type: kind.to_owned(),
                    physical_id: old.clone(),
                    mark: compared.wanted.mark.clone(),
                    ..Record::default()
                };
                self.remember(application, leftover.key(), Some(record))?;
                let mut list = leftovers.lock().unwrap_or_else(PoisonError::into_inner);
                list.push(leftover);
            }
            return Ok(id);
        }
        let deadline = Deadline::after(self.settle);
        crate::settle(deadline, &format!("{kind} {old} to be gone"), || async {
            Ok((handler.delete(kind, old).await? == Deletion::Gone).then_some(()))
        })
        .await?;
        handler.create(&compared.wanted).await
    }

    /// Waits until a resource is settled; one that is still at it after the deadline is what it is.
    async fn settled(
        &self,
        resource: &CloudFormationResource,
        wanted: &Resource,
        id: &str,
    ) -> Result<LiveResource, ApplierError> {
        let handler = self.handler(&resource.resource_type)?;
        let lookup = Lookup {
            physical_id: Some(id.to_owned()),
            ..lookup_of(wanted)
        };
        let deadline = Deadline::after(self.settle);
        let mut pause = Pause::between_looks();
        let mut absent = 0;
        loop {
            match handler.read(&lookup).await {
                Ok(Some(live)) if live.is_settled || deadline.has_passed() => return Ok(live),
                Ok(Some(_)) => {}
                // Reads may lag behind a creation.
                Ok(None) if absent < 20 => absent += 1,
                Ok(None) => {
                    let message = format!("{id} is not there although it was applied");
                    return Err(ApplierError::new(ErrorKind::NotFound, message).retryable(true));
                }
                Err(error) if error.retryable && !deadline.has_passed() => {}
                Err(error) => return Err(error),
            }
            pause.wait().await;
        }
    }

    fn remember_applied(
        &self,
        resource: &CloudFormationResource,
        compared: &Compared,
        id: &str,
        application: &str,
        recreated_by: Option<&String>,
    ) -> Result<Record, ApplierError> {
        let needs = resource.references.iter().map(|(id, reference)| {
            let stack = reference.stack.as_deref().unwrap_or(&resource.stack);
            format!("{stack}/{id}")
        });
        let before = compared.record.as_ref();
        let count = before.map_or(0, |record| record.incarnation);
        let is_same_id = before.is_some_and(|record| record.physical_id == id);
        let record = Record {
            incarnation: match recreated_by {
                Some(_) if is_same_id => count.saturating_add(1),
                Some(_) | None => count,
            },
            recreated_by: recreated_by
                .or(before.and_then(|record| record.recreated_by.as_ref()))
                .cloned(),
            resource_type: resource.resource_type.clone(),
            physical_id: id.to_owned(),
            mark: compared.wanted.mark.clone(),
            properties: compared.wanted.properties.keys().cloned().collect(),
            tags: compare::user_tags(&compared.wanted.properties),
            needs: needs.collect(),
            unseen: compared.unseen.clone(),
        };
        if before == Some(&record) {
            return Ok(record);
        }
        let key = record_key(
            &resource.resource_type,
            &resource.stack,
            &resource.logical_id,
        );
        self.remember(application, key, Some(record.clone()))?;
        Ok(record)
    }

    /// Deletes what replacements left behind, once everything that named it was moved.
    pub(crate) async fn clear_leftovers(&self, leftovers: Vec<Leftover>, is_clean: bool) {
        if !is_clean {
            return;
        }
        for leftover in leftovers {
            let kind = &leftover.resource_type;
            let Ok(handler) = self.handler(kind) else {
                continue;
            };
            match handler.delete(kind, &leftover.physical_id).await {
                Ok(_) => {
                    let application = &leftover.application;
                    if let Err(error) = self.remember(application, leftover.key(), None) {
                        tracing::warn!(%error, "a record was not cleared");
                    }
                }
                Err(error) => {
                    let id = &leftover.physical_id;
                    tracing::warn!(%error, kind, id, "the replaced resource was not deleted");
                }
            }
        }
    }
}

/// Digests of declared properties: of those that are never shown, and where values alone do not tell what was declared.
fn unseen(wanted: &Resource, facts: &TypeFacts, is_exact: bool) -> BTreeMap<String, String> {
    let declared = wanted.properties.iter();
    declared
        .filter(|(name, _)| *name != "Tags" && (!is_exact || facts.is_write_only(name)))
        .map(|(name, value)| (name.clone(), crate::preview::digest(value)))
        .collect()
}

/// Refuses a resource that is somebody else's.
fn with_ownership(
    mut difference: Difference,
    resource: &CloudFormationResource,
    live: &LiveResource,
    record: Option<&Record>,
    application: Option<&str>,
) -> Result<Difference, ApplierError> {
    let may_adopt = resource.annotations.get(ADOPT).map(String::as_str) == Some("true");
    let refuse = |what: String, help: String| {
        let kind = &resource.resource_type;
        let message = format!("{kind} {} exists and {what}", live.physical_id);
        Err(ApplierError::new(ErrorKind::Conflict, message).help(help))
    };
    let adopt = format!("set `{ADOPT}: \"true\"` in the resource's Metadata to take it over");
    let Some(tags) = &live.tags else {
        let remembered = record.map(|record| record.mark.application.as_str());
        if let Some(other) = remembered.filter(|other| application.is_some_and(|own| own != *other))
        {
            return refuse(format!("is part of application {other}"), adopt);
        }
        // What has no tags hangs on something that has: its owner answers for it.
        if hangs_on_another(resource) || record.is_some() || may_adopt {
            return Ok(difference);
        }
        return refuse("bears no mark".to_owned(), adopt);
    };
    match Mark::of_tags(tags) {
        Some(mark) if Some(mark.application.as_str()) == application => Ok(difference),
        Some(mark) => refuse(
            format!("is part of application {}", mark.application),
            format!(
                "remove it from one of the two applications; deleting it from {} with \
                 `DeletionPolicy: Retain` first keeps the resource",
                mark.application
            ),
        ),
        None if application.is_none() => Ok(difference),
        None if may_adopt => {
            difference.changed.insert("Tags".to_owned());
            Ok(difference)
        }
        None => match tags.get(CLOUDFORMATION_STACK) {
            Some(stack) => refuse(
                format!("is managed by the CloudFormation stack {stack}"),
                format!(
                    "give the stack's resources `DeletionPolicy: Retain`, delete the stack, and {adopt}"
                ),
            ),
            None => refuse("bears no mark of Tidegate".to_owned(), adopt),
        },
    }
}

/// Whether a resource is a part of another one that the template names: what identifies it names the other, or it has
/// no name of its own. One with a name of its own is somebody's by itself, whatever else it names.
fn hangs_on_another(resource: &CloudFormationResource) -> bool {
    if resource.references.is_empty() {
        return false;
    }
    if resource.physical_name.is_none() {
        return true;
    }
    let facts = facts(&resource.resource_type);
    let mut identifying = facts.primary_identifier.iter().chain(&facts.create_only);
    identifying.any(|name| {
        let mut asked = std::collections::BTreeSet::new();
        if let Some(value) = resource.properties.get(name) {
            crate::evaluate::asks(value, &mut asked);
        }
        !asked.is_empty()
    })
}

/// Whether a second one can be made while the first is still there.
fn can_stand_beside(kind: &str, wanted: &Resource, live: &LiveResource) -> bool {
    if ONE_AT_A_TIME.contains(&kind) {
        // A mapping of another source, a configuration of another function.
        let moved = ["EventSourceArn", "TargetFunctionArn", "TopicArn"];
        let moved = moved.iter().any(|name| {
            wanted.get(name).is_some() && wanted.get(name) != live.properties.get(*name)
        });
        return moved;
    }
    match &wanted.physical_name {
        Some(name) => {
            let id = live.physical_id.as_str();
            let mut parts = id.split(['|', ':', '/']);
            id != name && !parts.any(|part| part == name)
        }
        None => true,
    }
}

/// A replacement that loses data needs a word.
fn check_replacement(
    request: &ApplyRequest,
    resource: &CloudFormationResource,
    compared: &Compared,
) -> Result<(), ApplierError> {
    if compared.difference.create_only.is_empty() {
        return Ok(());
    }
    let is_precious = PRECIOUS.contains(&resource.resource_type.as_str());
    let is_allowed = request.force_recreate
        || request.mode == ApplyMode::Recreate
        || resource.annotations.get(REPLACE).map(String::as_str) == Some("true");
    if !is_precious || is_allowed {
        return Ok(());
    }
    let fields: Vec<&str> = compared
        .difference
        .create_only
        .iter()
        .map(String::as_str)
        .collect();
    let message = format!(
        "{} can only be changed by a new resource, and what the old one holds would be lost",
        fields.join(", ")
    );
    Err(ApplierError::new(ErrorKind::Invalid, message).help(format!(
        "take the change back, or allow the replacement with `{REPLACE}: \"true\"` in the resource's Metadata"
    )))
}

/// Whether somebody asked for a new resource, and this operation did not make it yet.
fn must_recreate(request: &ApplyRequest, compared: &Compared) -> bool {
    let done_by = compared
        .record
        .as_ref()
        .and_then(|record| record.recreated_by.as_deref());
    request.mode == ApplyMode::Recreate && done_by != Some(request.operation_id.as_str())
}

fn check_precondition(
    precondition: &Precondition,
    compared: &Compared,
) -> Result<(), ApplierError> {
    let live = compared.live.as_ref();
    let refuse = |what: &str| Err(ApplierError::new(ErrorKind::Conflict, what));
    if precondition
        .exists
        .is_some_and(|exists| exists != live.is_some())
    {
        return refuse("the resource appeared or went since it was looked at");
    }
    let Some(live) = live else {
        return Ok(());
    };
    if let Some(uid) = &precondition.uid
        && !uid.is_empty()
        && *uid != Record::uid(&live.physical_id, compared.record.as_ref())
    {
        return refuse("the resource is another one than was looked at");
    }
    let version = if live.version.is_empty() {
        crate::preview::digest(&serde_json::json!([live.properties, live.tags]))
    } else {
        live.version.clone()
    };
    if precondition
        .version
        .as_ref()
        .is_some_and(|found| *found != version)
    {
        return refuse("the resource was changed since it was looked at");
    }
    Ok(())
}

/// What follows may build on a resource only if it works.
fn check_usable(live: &LiveResource, outcome: ChangeOutcome) -> Result<(), ApplierError> {
    if outcome == ChangeOutcome::Unchanged || live.health.status != HealthStatus::Degraded {
        return Ok(());
    }
    let message = format!("{} is degraded: {}", live.physical_id, live.health.message);
    Err(ApplierError::new(ErrorKind::Invalid, message))
}

/// Changes that no body shows: the mark, or what the target never tells.
fn unseen_changes(difference: &Difference) -> Vec<tidegate_applier::FieldChange> {
    let change = |name: &String| tidegate_applier::FieldChange {
        path: format!(".Properties.{name}"),
        before: None,
        after: Some(Value::String(
            "(changed; the target does not show it)".to_owned(),
        )),
    };
    let hidden = difference.changed.iter().filter(|name| *name != "Tags");
    let mut changes: Vec<_> = hidden.map(change).collect();
    if difference.changed.contains("Tags") {
        changes.push(tidegate_applier::FieldChange {
            path: ".Properties.Tags".to_owned(),
            before: None,
            after: Some(Value::String("the mark of the application".to_owned())),
        });
    }
    changes
}

fn warnings(resource: &CloudFormationResource, compared: &Compared) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(live) = &compared.live else {
        return warnings;
    };
    let kind = resource.resource_type.as_str();
    if !compared.difference.create_only.is_empty() {
        let fields: Vec<&str> = compared
            .difference
            .create_only
            .iter()
            .map(String::as_str)
            .collect();
        let order = if can_stand_beside(kind, &compared.wanted, live) {
            "the new one is made before the old one goes"
        } else {
            "the old one goes before the new one is made"
        };
        warnings.push(format!(
            "{} cannot be changed in place: the resource is replaced; {order}",
            fields.join(", ")
        ));
        if kind == "AWS::Lambda::EventSourceMapping" {
            warnings.extend(mapping_advice(&compared.wanted));
        }
    }
    warnings
}

/// What replacing a mapping does to its position, and how nothing is lost or read twice.
fn mapping_advice(wanted: &Resource) -> Vec<String> {
    let is_kafka = wanted.get("Topics").is_some();
    let position = wanted.text("StartingPosition").unwrap_or("LATEST");
    if is_kafka {
        return vec![
            "the new mapping goes on where its consumer group stands: keep ConsumerGroupId, else it \
             begins at StartingPosition"
                .to_owned(),
        ];
    }
    let what = match position {
        "TRIM_HORIZON" => "records that were processed are processed again",
        "AT_TIMESTAMP" => "it begins at StartingPositionTimestamp",
        _ => "records that arrive while it is replaced are not processed",
    };
    vec![format!(
        "the checkpoint of the old mapping is lost and the new one begins at {position}: {what}; to lose \
         nothing, note the time, set StartingPosition AT_TIMESTAMP with StartingPositionTimestamp at it"
    )]
}

/// The same attempt has the same token.
fn token(request: &ApplyRequest, compared: &Compared) -> String {
    let wanted = serde_json::json!([
        request.operation_id,
        compared.wanted.mark.id(),
        compared.wanted.properties,
    ]);
    crate::preview::digest(&wanted)
}

/// Whose a live resource is, for deletions.
pub(crate) fn owner_of(live: &LiveResource, record: Option<&Record>) -> Option<Mark> {
    mark_of_live(live, record.map(|record| &record.mark))
}
