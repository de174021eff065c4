//! Topics: read, planned, applied, let go of. Looks, acts, and looks again, so that a lost answer is no loss.
//!
//! Must not know: other kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_applier::{
    ApplierError, ApplyMode, ApplyRequest, ApplyResult, ChangeOutcome, DeleteOutcome,
    DeleteRequest, ErrorKind, LiveObject, ReadResult,
};
use tidegate_manifest::{Health, HealthStatus, ResourceKey};
use tokio::time::Instant;
use uuid::Uuid;

use crate::admin::LiveTopic;
use crate::applier::{Book, Inner, Kind};
use crate::client::pause;
use crate::document::{self, Care};
use crate::error::{Code, KafkaError};
use crate::ledger::Record;
use crate::shape::{self, Plan};
use crate::topic::{self, TopicChanges, TopicSpec};

/// Rounds of looking and acting before the trouble is told.
const ROUNDS: u32 = 6;
/// How long a change may take to be seen, and how long rounds go on.
const SEEN: Duration = Duration::from_secs(20);

/// Topics that were asked for together, by name.
pub(crate) type Looks = BTreeMap<String, Result<Option<LiveTopic>, KafkaError>>;

/// What a request and the record say, before anything is looked at.
struct Asked<'r> {
    request: &'r ApplyRequest,
    spec: TopicSpec,
    kept: Value,
    care: Care,
    record: Option<Record>,
    /// The application whose ledger the record stands in.
    holder: Option<String>,
    /// It was made anew on this request's behalf.
    is_recreated: bool,
}

/// What is to be done.
enum Act {
    Nothing,
    Create,
    Change(TopicChanges),
    Recreate(Uuid),
}

impl Asked<'_> {
    fn what(&self) -> String {
        format!("topic {}", self.spec.name)
    }

    fn recorded(&self) -> Option<&Value> {
        self.record.as_ref().map(|record| &record.document)
    }

    fn last_spec(&self) -> Option<TopicSpec> {
        let record = self.record.as_ref()?;
        Some(TopicSpec::remembered(&record.document, &self.request.key))
    }

    /// The live object of a topic, or of a document that nobody looks after.
    fn live(&self, topic: Option<&LiveTopic>) -> Option<LiveObject> {
        if self.care == Care::Managed {
            let documents: Vec<&Value> = [&self.kept].into_iter().chain(self.recorded()).collect();
            return topic
                .map(|topic| live_topic(&self.request.key, topic, self.recorded(), &documents));
        }
        let record = self.record.as_ref()?;
        Some(shell(&self.request.key, record))
    }

    fn after(&self, topic: Option<&LiveTopic>) -> Value {
        let uid = topic.map_or_else(String::new, |topic| topic.id.to_string());
        let mut spec = self.kept["spec"].clone();
        if self.spec.name != self.request.key.name {
            spec["topicName"] = json!(self.spec.name);
        }
        document::object(&self.request.key, Some(&self.kept), &uid, spec, Value::Null)
    }

    fn is_recreation(&self) -> bool {
        let operation = Some(&self.request.operation_id).filter(|id| !id.is_empty());
        let last = self.record.as_ref();
        let done = last.and_then(|record| record.recreated_by.as_ref());
        let is_done = self.is_recreated || (operation.is_some() && done == operation);
        self.request.mode == ApplyMode::Recreate && !is_done
    }

    fn act(&self, topic: Option<&LiveTopic>) -> Result<Act, ApplierError> {
        if self.care != Care::Managed {
            return Ok(Act::Nothing);
        }
        let Some(topic) = topic else {
            return Ok(Act::Create);
        };
        if topic.is_internal {
            let message = format!("topic {} is Kafka's own", topic.name);
            return Err(document::invalid(message, "take the document out of Git"));
        }
        if self.is_recreation() {
            self.may_delete(topic)?;
            return Ok(Act::Recreate(topic.id));
        }
        match topic::compare(&self.spec, self.last_spec().as_ref(), topic) {
            Ok(changes) if changes.is_empty() => Ok(Act::Nothing),
            Ok(changes) => Ok(Act::Change(changes)),
            Err(_) if self.request.force_recreate && document::deletes_data(&self.kept) => {
                Ok(Act::Recreate(topic.id))
            }
            Err(error) => Err(error),
        }
    }

    fn may_delete(&self, topic: &LiveTopic) -> Result<(), ApplierError> {
        if document::deletes_data(&self.kept) {
            return Ok(());
        }
        let message = format!(
            "topic {} would be deleted with its records and made anew",
            topic.name
        );
        Err(document::invalid(
            message,
            "annotate the document with tidegate.dev/delete-data: \"true\" if its records may go, or take Replace and Force out of the sync options",
        ))
    }
}

fn live_topic(
    key: &ResourceKey,
    topic: &LiveTopic,
    recorded: Option<&Value>,
    documents: &[&Value],
) -> LiveObject {
    let own: BTreeMap<&String, &Option<String>> = topic
        .own()
        .map(|(key, config)| (key, &config.value))
        .collect();
    let facts = json!([
        topic.id.to_string(),
        topic.partitions.len(),
        topic.replicas(),
        own
    ]);
    let uid = topic.id.to_string();
    let spec = topic::shown(topic, documents, key);
    LiveObject {
        key: key.clone(),
        body: document::object(key, recorded, &uid, spec, topic::status(topic)),
        version: shape::version(&facts, recorded),
        uid,
        health: Some(topic::health(topic)),
    }
}

/// The live object of a document that nobody looks after: what was asked for, and why it is left alone.
pub(crate) fn shell(key: &ResourceKey, record: &Record) -> LiveObject {
    let (condition, health) = match document::care(&record.document, &record.kind) {
        Care::Unmanaged => (
            "Unmanaged",
            Health::new(
                HealthStatus::Healthy,
                "unmanaged: the topic in Kafka is left as it is",
            ),
        ),
        Care::Paused | Care::Managed => (
            "ReconciliationPaused",
            Health::new(
                HealthStatus::Suspended,
                "paused by strimzi.io/pause-reconciliation",
            ),
        ),
    };
    let status = json!({"conditions": [{"type": condition, "status": "True"}]});
    let kept = &record.document;
    let uid = record.uid();
    LiveObject {
        key: key.clone(),
        body: document::object(key, Some(kept), &uid, kept["spec"].clone(), status),
        version: shape::version(&Value::Null, Some(kept)),
        uid,
        health: Some(health),
    }
}

impl Inner {
    fn asked<'r>(&self, request: &'r ApplyRequest, book: &Book) -> Result<Asked<'r>, ApplierError> {
        let key = &request.key;
        let spec = TopicSpec::read(&request.body, key)?;
        let found = book.find(key);
        let asked = Asked {
            request,
            kept: document::kept(&request.body),
            care: document::care(&request.body, &key.kind),
            record: found.map(|(_, record)| record.clone()),
            holder: found.map(|(application, _)| application.to_owned()),
            spec,
            is_recreated: false,
        };
        if asked.care != Care::Unmanaged {
            let name = &asked.spec.name;
            let is_same = |other: &ResourceKey, body: &Value| {
                let is_managed = document::care(body, &other.kind) != Care::Unmanaged;
                is_managed && TopicSpec::read(body, other).is_ok_and(|spec| spec.name == *name)
            };
            self.check_rivals(key, "topic", name, book, is_same)?;
        }
        if let Some(record) = &asked.record
            && record.subject != asked.spec.name
            && asked.care == Care::Managed
            && document::care(&record.document, &record.kind) == Care::Managed
        {
            let message = format!(
                "{} stood for topic {} and would stand for {}: a topic cannot be renamed",
                key.short(),
                record.subject,
                asked.spec.name
            );
            return Err(document::invalid(
                message,
                &format!(
                    "write topicName: {} again, or give the new topic a document of its own",
                    record.subject
                ),
            ));
        }
        Ok(asked)
    }

    async fn look(&self, asked: &Asked<'_>) -> Result<Option<LiveTopic>, KafkaError> {
        if asked.care != Care::Managed {
            return Ok(None);
        }
        self.look_at(&asked.spec.name).await
    }

    async fn look_at(&self, name: &str) -> Result<Option<LiveTopic>, KafkaError> {
        let names = [name.to_owned()];
        let mut found = self.client.topics(&names).await;
        found.remove(name).unwrap_or(Ok(None))
    }

    /// All topics that these requests speak of, asked for together.
    pub(crate) async fn look_at_topics(&self, requests: &[ApplyRequest]) -> Looks {
        let of_topics = requests.iter().filter(|request| {
            Kind::of(&request.key.group_kind()) == Some(Kind::Topic)
                && document::care(&request.body, &request.key.kind) == Care::Managed
        });
        let names = of_topics.filter_map(|request| {
            let spec = TopicSpec::read(&request.body, &request.key).ok()?;
            Some(spec.name)
        });
        let names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
        if names.is_empty() {
            return Looks::new();
        }
        self.client.topics(&names).await
    }

    /// What applying would do; the broker is asked whether it would.
    pub(crate) async fn plan_topic(
        &self,
        request: &ApplyRequest,
        book: &Book,
        seen: &Looks,
    ) -> Result<Plan, ApplierError> {
        let asked = self.asked(request, book)?;
        let topic = match seen.get(&asked.spec.name) {
            Some(seen) if asked.care == Care::Managed => seen.clone(),
            _ => self.look(&asked).await,
        };
        let topic = topic.map_err(|error| error.of_what(&asked.what()))?;
        let before = asked.live(topic.as_ref());
        let seen = before
            .as_ref()
            .map(|live| (live.uid.as_str(), live.version.as_str()));
        shape::check(&request.key, &request.precondition, seen)?;
        let act = asked.act(topic.as_ref())?;
        let rehearsed = self.carry_out(&asked, &act, true).await;
        rehearsed.map_err(|error| error.of_what(&asked.what()))?;
        Ok(foretell(&asked, topic.as_ref(), before, &act))
    }

    /// Makes the topic what the document asks for.
    pub(crate) async fn apply_topic(
        &self,
        request: &ApplyRequest,
        book: &Book,
    ) -> Result<ApplyResult, ApplierError> {
        let mut asked = self.asked(request, book)?;
        let tell = |asked: &Asked<'_>, error: &KafkaError| error.of_what(&asked.what());
        let topic = self.look(&asked).await;
        let mut topic = topic.map_err(|error| tell(&asked, &error))?;
        let before = asked.live(topic.as_ref());
        let seen = before
            .as_ref()
            .map(|live| (live.uid.as_str(), live.version.as_str()));
        shape::check(&request.key, &request.precondition, seen)?;
        let mut act = asked.act(topic.as_ref())?;
        let plan = foretell(&asked, topic.as_ref(), before, &act);
        let is_recreated = matches!(act, Act::Recreate(_));
        let begin = Instant::now();
        let mut round = 0;
        while !matches!(act, Act::Nothing) {
            round += 1;
            let done = self.carry_out(&asked, &act, false).await;
            if let Err(error) = done {
                let is_raced = error.code() == Code::TOPIC_EXISTS;
                let may_pass = error.is_passing() || is_raced;
                if !may_pass || round >= ROUNDS || begin.elapsed() > SEEN {
                    return Err(tell(&asked, &error));
                }
                tokio::time::sleep(pause(round, error.wait())).await;
            }
            let seen = self.until_seen(&asked, &act).await;
            topic = seen.map_err(|error| tell(&asked, &error))?;
            let gone = match act {
                Act::Recreate(id) => topic.as_ref().is_none_or(|topic| topic.id != id),
                _ => false,
            };
            if gone {
                asked.is_recreated = true;
            }
            act = asked.act(topic.as_ref())?;
            if round >= ROUNDS && !matches!(act, Act::Nothing) {
                let message = format!(
                    "{}: the brokers took the change and do not show it",
                    asked.what()
                );
                return Err(ApplierError::new(ErrorKind::Timeout, message));
            }
        }
        let record = asked.remembered(topic.as_ref());
        self.keep(&asked, record.clone()).await?;
        asked.record = Some(record);
        let live = asked.live(topic.as_ref()).ok_or_else(|| {
            ApplierError::new(
                ErrorKind::Unavailable,
                format!("{} is not seen yet", asked.what()),
            )
        })?;
        let outcome = if is_recreated {
            ChangeOutcome::Replaced
        } else {
            plan.outcome
        };
        Ok(ApplyResult {
            outcome,
            live,
            warnings: plan.warnings,
        })
    }

    async fn keep(&self, asked: &Asked<'_>, record: Record) -> Result<(), ApplierError> {
        let (key, owner) = (&asked.request.key, &asked.request.owner.application);
        self.remember(owner, key, Some(record)).await?;
        match &asked.holder {
            Some(holder) if holder != owner => self.remember(holder, key, None).await,
            _ => Ok(()),
        }
    }

    /// Does it, or asks the broker whether it would.
    async fn carry_out(
        &self,
        asked: &Asked<'_>,
        act: &Act,
        dry_run: bool,
    ) -> Result<(), KafkaError> {
        let (client, spec) = (&self.client, &asked.spec);
        match act {
            Act::Nothing => Ok(()),
            Act::Create => {
                let partitions = spec.partitions.unwrap_or(-1);
                let replicas = spec.replicas.unwrap_or(-1);
                let made =
                    client.create_topic(&spec.name, partitions, replicas, &spec.config, dry_run);
                made.await
            }
            Act::Change(changes) => {
                if let Some(count) = changes.grow {
                    client.grow_topic(&spec.name, count, dry_run).await?;
                }
                if !changes.config.is_empty() {
                    client
                        .configure_topic(&spec.name, &changes.config, dry_run)
                        .await?;
                }
                Ok(())
            }
            Act::Recreate(_) if dry_run => Ok(()),
            Act::Recreate(id) => client.delete_topic(&spec.name, *id).await,
        }
    }

    /// The topic once brokers show what was done, or as it is when they do not in time.
    async fn until_seen(
        &self,
        asked: &Asked<'_>,
        act: &Act,
    ) -> Result<Option<LiveTopic>, KafkaError> {
        let begin = Instant::now();
        let mut look = 0;
        loop {
            look += 1;
            let topic = self.look(asked).await?;
            let is_seen = match (act, &topic) {
                (Act::Nothing, _) => true,
                (Act::Create, Some(topic)) => {
                    !topic.partitions.is_empty()
                        && topic.partitions.iter().all(|one| one.has_leader)
                }
                (Act::Create | Act::Change(_), None) => false,
                (Act::Change(changes), Some(topic)) => is_in_effect(changes, topic),
                (Act::Recreate(id), topic) => topic.as_ref().is_none_or(|topic| topic.id != *id),
            };
            if is_seen || begin.elapsed() > SEEN / 4 {
                return Ok(topic);
            }
            tokio::time::sleep(pause(look.min(3), None) / 4).await;
        }
    }

    /// Lets go of a topic; its data goes only when the document said so.
    pub(crate) async fn delete_topic(
        &self,
        request: &DeleteRequest,
        application: &str,
        record: &Record,
    ) -> Result<DeleteOutcome, ApplierError> {
        let key = &request.key;
        let tell = |error: KafkaError| error.of_what(&format!("topic {}", record.subject));
        let is_managed = document::care(&record.document, &record.kind) == Care::Managed;
        let topic = if is_managed {
            self.look_at(&record.subject).await.map_err(tell)?
        } else {
            None
        };
        let is_gone = is_managed && topic.is_none();
        if is_gone && request.precondition.exists != Some(true) {
            if !request.dry_run {
                self.remember(application, key, None).await?;
            }
            return Ok(DeleteOutcome::Absent);
        }
        // A topic that somebody made anew under the name is not the one that was applied: it stays.
        let topic = topic.filter(|topic| topic.id.to_string() == record.id);
        let live = match &topic {
            Some(topic) => {
                let recorded = &record.document;
                live_topic(key, topic, Some(recorded), &[recorded])
            }
            None => shell(key, record),
        };
        let seen = (!is_gone).then_some((live.uid.as_str(), live.version.as_str()));
        shape::check(key, &request.precondition, seen)?;
        if request.dry_run {
            return Ok(DeleteOutcome::Deleted);
        }
        if let Some(topic) = topic.filter(|topic| may_go(topic, record)) {
            let mut round = 0;
            while let Err(error) = self.client.delete_topic(&topic.name, topic.id).await {
                round += 1;
                if !error.is_passing() || round >= ROUNDS {
                    return Err(tell(error));
                }
                tokio::time::sleep(pause(round, error.wait())).await;
            }
            let begin = Instant::now();
            while let Some(still) = self.look_at(&topic.name).await.map_err(tell)? {
                if still.id != topic.id {
                    break;
                }
                if begin.elapsed() > SEEN {
                    return Ok(DeleteOutcome::Deleting {
                        finalizers: Vec::new(),
                    });
                }
                tokio::time::sleep(pause(1, None) / 4).await;
            }
        }
        self.remember(application, key, None).await?;
        Ok(DeleteOutcome::Deleted)
    }

    /// The topics of these documents.
    pub(crate) async fn read_topics(
        &self,
        keys: &[ResourceKey],
        book: &Book,
    ) -> BTreeMap<ResourceKey, ReadResult> {
        let mut found = BTreeMap::new();
        let mut asked: Vec<(&ResourceKey, String, Option<Value>, Option<&Record>)> = Vec::new();
        for key in keys {
            let wanted = self.announced(key);
            let record = book.find(key).map(|(_, record)| record);
            let care = wanted.as_ref().or(record.map(|r| &r.document));
            let care = care.map(|body| document::care(body, &key.kind));
            let name = wanted
                .as_ref()
                .and_then(|body| TopicSpec::read(body, key).ok());
            let name = name
                .map(|spec| spec.name)
                .or(record.map(|r| r.subject.clone()));
            match (care, name) {
                (Some(Care::Managed), Some(name)) => asked.push((key, name, wanted, record)),
                (Some(Care::Unmanaged | Care::Paused), _) => {
                    found.insert(key.clone(), Ok(record.map(|record| shell(key, record))));
                }
                // Nobody's document: not there, if there is somebody to ask.
                _ => {
                    let answer = self.cluster_answers().await.map(|()| None);
                    found.insert(key.clone(), answer);
                }
            }
        }
        let names: Vec<String> = asked.iter().map(|(_, name, ..)| name.clone()).collect();
        let topics = if names.is_empty() {
            BTreeMap::new()
        } else {
            self.client.topics(&names).await
        };
        for (key, name, wanted, record) in asked {
            let recorded = record.map(|record| &record.document);
            let wanted = wanted.as_ref().map(document::kept);
            let documents: Vec<&Value> = wanted.iter().chain(recorded).collect();
            let live = match topics.get(&name) {
                Some(Ok(Some(topic))) => Ok(Some(live_topic(key, topic, recorded, &documents))),
                Some(Err(error)) => Err(error.of_what(&format!("topic {name}"))),
                Some(Ok(None)) | None => Ok(None),
            };
            found.insert(key.clone(), live);
        }
        found
    }
}

impl Asked<'_> {
    fn remembered(&self, topic: Option<&LiveTopic>) -> Record {
        let key = &self.request.key;
        let last = self.record.as_ref();
        let id = topic.map(|topic| topic.id.to_string());
        Record {
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            subject: self.spec.name.clone(),
            application: document::application(&self.request.body, key),
            document: self.kept.clone(),
            id: id
                .or_else(|| last.map(|r| r.id.clone()))
                .unwrap_or_default(),
            incarnation: 0,
            recreated_by: if self.is_recreated {
                Some(self.request.operation_id.clone()).filter(|id| !id.is_empty())
            } else {
                last.and_then(|record| record.recreated_by.clone())
            },
            password: None,
        }
    }
}

/// Deleting may take the data along: the document said so, and it is the very topic that was applied.
fn may_go(topic: &LiveTopic, record: &Record) -> bool {
    document::deletes_data(&record.document)
        && !topic.is_internal
        && !topic.name.starts_with("__")
        && topic.id.to_string() == record.id
}

fn is_in_effect(changes: &TopicChanges, topic: &LiveTopic) -> bool {
    let there = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let grown = changes.grow.is_none_or(|count| there >= count);
    grown
        && changes.config.iter().all(|(key, value)| {
            let found = topic.configs.get(key);
            match value {
                Some(value) => found
                    .and_then(|config| config.value.as_deref())
                    .is_some_and(|live| topic::same_value(live, value)),
                None => found.is_none_or(|config| !config.is_own),
            }
        })
}

fn foretell(
    asked: &Asked<'_>,
    topic: Option<&LiveTopic>,
    before: Option<LiveObject>,
    act: &Act,
) -> Plan {
    let mut warnings = Vec::new();
    match (act, topic) {
        (Act::Change(changes), Some(topic)) => {
            warnings.extend(topic::risks(&asked.spec, topic, changes));
        }
        (Act::Recreate(_), Some(topic)) => warnings.push(format!(
            "topic {} is deleted with all its records and made anew",
            topic.name
        )),
        _ => {}
    }
    if topic.is_some() && asked.record.is_none() {
        warnings.push(format!(
            "{} is there already: it is adopted as it is",
            asked.what()
        ));
    }
    match asked.care {
        Care::Managed => {}
        Care::Unmanaged => warnings
            .push("strimzi.io/managed is false: the topic in Kafka is left as it is".to_owned()),
        Care::Paused => warnings.push(
            "strimzi.io/pause-reconciliation is true: nothing is changed in Kafka".to_owned(),
        ),
    }
    let mut plan = Plan::new(before, asked.after(topic), warnings);
    if matches!(act, Act::Recreate(_)) {
        plan.outcome = ChangeOutcome::Replaced;
    }
    plan
}
