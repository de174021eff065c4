//! Subjects of a Schema Registry: checked before a sync, registered, let go of.
//!
//! Must not know: brokers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_applier::{
    ApplierError, ApplyRequest, ApplyResult, DeleteOutcome, DeleteRequest, ErrorKind, LiveObject,
    ReadResult,
};
use tidegate_manifest::{Health, HealthStatus, ResourceKey};

use crate::applier::{Book, Inner};
use crate::document;
use crate::ledger::Record;
use crate::registry::SchemaRegistry;
use crate::shape::{self, Plan};
use crate::subject::{self, LiveSubject, SubjectSpec};

/// What a request and the record say.
struct Asked<'r> {
    request: &'r ApplyRequest,
    spec: SubjectSpec,
    kept: Value,
    record: Option<Record>,
    holder: Option<String>,
}

impl Asked<'_> {
    fn recorded(&self) -> Option<&Value> {
        self.record.as_ref().map(|record| &record.document)
    }

    fn live(&self, live: Option<&LiveSubject>) -> Option<LiveObject> {
        live.map(|live| live_subject(&self.request.key, live, &self.kept, self.record.as_ref()))
    }

    /// The level is ours to take away: the last document set it, and this one does not.
    fn drops_level(&self, live: &LiveSubject) -> bool {
        let set = self
            .recorded()
            .and_then(|doc| doc.get("spec")?.get("compatibility")?.as_str());
        self.spec.level.is_none() && set.is_some() && live.own_level.as_deref() == set
    }

    fn remembered(&self) -> Record {
        let key = &self.request.key;
        Record {
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            subject: self.spec.subject.clone(),
            application: document::application(&self.request.body, key),
            document: self.kept.clone(),
            ..self.record.clone().unwrap_or_default()
        }
    }
}

fn live_subject(
    key: &ResourceKey,
    live: &LiveSubject,
    wanted: &Value,
    record: Option<&Record>,
) -> LiveObject {
    let recorded = record.map(|record| &record.document);
    let latest = &live.latest;
    let status = json!({"id": latest.id, "version": latest.version, "compatibility": live.level});
    let subject = record.map_or(key.name.as_str(), |record| record.subject.as_str());
    let uid = record.map_or_else(|| format!("{} {subject}~0", key.kind), Record::uid);
    let facts = json!([latest.id, latest.version, live.own_level, uid]);
    LiveObject {
        key: key.clone(),
        body: document::object(
            key,
            recorded,
            &uid,
            subject::shown(live, wanted, recorded),
            status,
        ),
        version: shape::version(&facts, recorded),
        uid,
        health: Some(Health::new(HealthStatus::Healthy, "")),
    }
}

impl Inner {
    fn registry(&self) -> Result<&SchemaRegistry, ApplierError> {
        self.options.registry.as_ref().ok_or_else(|| {
            ApplierError::new(
                ErrorKind::Invalid,
                "the destination's Kafka target has no Schema Registry",
            )
            .help("write schema.registry.url under security of the Kafka target in the Settings")
        })
    }

    fn asked_subject<'r>(
        &self,
        request: &'r ApplyRequest,
        book: &Book,
    ) -> Result<Asked<'r>, ApplierError> {
        let key = &request.key;
        let spec = SubjectSpec::read(&request.body, key)?;
        let is_same = |other: &ResourceKey, body: &Value| {
            SubjectSpec::read(body, other).is_ok_and(|other| other.subject == spec.subject)
        };
        self.check_rivals(key, "subject", &spec.subject, book, is_same)?;
        let found = book.find(key);
        let record = found.map(|(_, record)| record.clone());
        if let Some(record) = &record
            && record.subject != spec.subject
        {
            let message = format!(
                "{} stood for subject {} and would stand for {}",
                key.short(),
                record.subject,
                spec.subject
            );
            return Err(document::invalid(
                message,
                "give the new subject a document of its own",
            ));
        }
        Ok(Asked {
            request,
            kept: document::kept(&request.body),
            record,
            holder: found.map(|(application, _)| application.to_owned()),
            spec,
        })
    }

    async fn look_at_subject(
        &self,
        spec: &SubjectSpec,
    ) -> Result<Option<LiveSubject>, ApplierError> {
        let registry = self.registry()?;
        let Some(latest) = registry.latest(&spec.subject).await? else {
            return Ok(None);
        };
        let same = registry.lookup(&spec.subject, &spec.schema).await?;
        let (own_level, level) = registry.level(&spec.subject).await?;
        Ok(Some(LiveSubject {
            latest,
            same: same.map(|found| found.version),
            own_level,
            level,
        }))
    }

    /// The gate before a sync: the registry says whether the schema may follow.
    async fn check_schema(
        &self,
        asked: &Asked<'_>,
        live: Option<&LiveSubject>,
    ) -> Result<Vec<String>, ApplierError> {
        let Some(live) = live else {
            return Ok(Vec::new());
        };
        let wanted = asked.spec.level.as_deref();
        let level = wanted.unwrap_or(&live.level);
        let mut warnings = Vec::new();
        if wanted.is_some_and(|level| level != live.level) {
            warnings.push(format!("compatibility goes from {} to {level}", live.level));
        }
        if let Some(version) = live.same {
            if version != live.latest.version {
                warnings.push(format!(
                    "the schema is version {version} of subject {}, and version {} is the newest: registering it again makes no new version",
                    asked.spec.subject, live.latest.version
                ));
            }
            return Ok(warnings);
        }
        if level != "NONE" {
            let is_transitive = level.ends_with("_TRANSITIVE");
            let registry = self.registry()?;
            let verdict = registry
                .check(&asked.spec.subject, &asked.spec.schema, is_transitive)
                .await?;
            if !verdict.is_compatible {
                return Err(subject::incompatible(&asked.spec, &live.level, &verdict));
            }
        }
        warnings.extend(subject::order(level).map(str::to_owned));
        Ok(warnings)
    }

    async fn planned(
        &self,
        asked: &Asked<'_>,
    ) -> Result<(Plan, Option<LiveSubject>), ApplierError> {
        let live = self.look_at_subject(&asked.spec).await?;
        let before = asked.live(live.as_ref());
        let seen = before
            .as_ref()
            .map(|live| (live.uid.as_str(), live.version.as_str()));
        shape::check(&asked.request.key, &asked.request.precondition, seen)?;
        let warnings = self.check_schema(asked, live.as_ref()).await?;
        let uid = before
            .as_ref()
            .map(|live| live.uid.clone())
            .unwrap_or_default();
        let after = document::object(
            &asked.request.key,
            Some(&asked.kept),
            &uid,
            asked.kept["spec"].clone(),
            Value::Null,
        );
        Ok((Plan::new(before, after, warnings), live))
    }

    pub(crate) async fn plan_subject(
        &self,
        request: &ApplyRequest,
        book: &Book,
    ) -> Result<Plan, ApplierError> {
        let asked = self.asked_subject(request, book)?;
        self.planned(&asked).await.map(|(plan, _)| plan)
    }

    pub(crate) async fn apply_subject(
        &self,
        request: &ApplyRequest,
        book: &Book,
    ) -> Result<ApplyResult, ApplierError> {
        let mut asked = self.asked_subject(request, book)?;
        let (plan, live) = self.planned(&asked).await?;
        let registry = self.registry()?;
        let subject = &asked.spec.subject;
        let own_level = live.as_ref().and_then(|live| live.own_level.as_deref());
        if let Some(level) = asked
            .spec
            .level
            .as_deref()
            .filter(|level| Some(*level) != own_level)
        {
            registry.set_level(subject, level).await?;
        }
        if live.as_ref().is_some_and(|live| asked.drops_level(live)) {
            registry.unset_level(subject).await?;
        }
        if !live.as_ref().is_some_and(LiveSubject::is_current) {
            registry.register(subject, &asked.spec.schema).await?;
        }
        let record = asked.remembered();
        let (key, owner) = (&request.key, &request.owner.application);
        self.remember(owner, key, Some(record.clone())).await?;
        if let Some(holder) = asked.holder.as_ref().filter(|holder| *holder != owner) {
            self.remember(holder, key, None).await?;
        }
        asked.record = Some(record);
        let live = self.look_at_subject(&asked.spec).await?;
        let live = asked.live(live.as_ref()).ok_or_else(|| {
            let message = format!("subject {} is not seen yet", asked.spec.subject);
            ApplierError::new(ErrorKind::Unavailable, message)
        })?;
        Ok(ApplyResult {
            outcome: plan.outcome,
            live,
            warnings: plan.warnings,
        })
    }

    /// Lets go of a subject; it is deleted, softly, only when the document said so.
    pub(crate) async fn delete_subject(
        &self,
        request: &DeleteRequest,
        application: &str,
        record: &Record,
    ) -> Result<DeleteOutcome, ApplierError> {
        let key = &request.key;
        let uid = record.uid();
        let expected = request.precondition.version.clone().unwrap_or_default();
        shape::check(
            key,
            &request.precondition,
            Some((uid.as_str(), expected.as_str())),
        )?;
        if request.dry_run {
            return Ok(DeleteOutcome::Deleted);
        }
        if document::deletes_data(&record.document) {
            self.registry()?.delete(&record.subject).await?;
        }
        self.remember(application, key, None).await?;
        Ok(DeleteOutcome::Deleted)
    }

    pub(crate) async fn read_subjects(
        &self,
        keys: &[ResourceKey],
        book: &Book,
    ) -> BTreeMap<ResourceKey, ReadResult> {
        let mut found = BTreeMap::new();
        for key in keys {
            found.insert(key.clone(), self.read_subject(key, book).await);
        }
        found
    }

    async fn read_subject(&self, key: &ResourceKey, book: &Book) -> ReadResult {
        let record = book.find(key).map(|(_, record)| record);
        let announced = self.announced(key);
        let wanted = announced.as_ref().map(document::kept);
        let Some(document) = wanted.as_ref().or(record.map(|record| &record.document)) else {
            return Ok(None);
        };
        let Ok(spec) = SubjectSpec::read(document, key) else {
            return Ok(None);
        };
        let live = self.look_at_subject(&spec).await?;
        Ok(live.map(|live| live_subject(key, &live, document, record)))
    }
}
