//! Users: read, planned, applied, deleted. Looks, acts, and looks again.
//!
//! Must not know: other kinds.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_applier::{
    ApplierError, ApplyMode, ApplyRequest, ApplyResult, ChangeOutcome, DeleteOutcome,
    DeleteRequest, ErrorKind, LiveObject, ReadResult,
};
use tidegate_manifest::{Health, HealthStatus, ResourceKey};
use tokio::time::Instant;
use uuid::Uuid;

use crate::adminusers::ITERATIONS;
use crate::applier::{Book, Inner, PARALLEL};
use crate::client::pause;
use crate::document::{self, Care};
use crate::error::KafkaError;
use crate::ledger::{PasswordMark, Record};
use crate::scram::Hash;
use crate::shape::{self, Plan};
use crate::topics::shell;
use crate::user::{self, Authentication, LiveUser, Password, UserChanges, UserSpec};

/// Rounds of looking and acting before the trouble is told: a change takes several requests.
const ROUNDS: u32 = 12;
/// No new round begins after this.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a request, the record and the Secret say, before the brokers are looked at.
struct Asked<'r> {
    request: &'r ApplyRequest,
    spec: UserSpec,
    kept: Value,
    care: Care,
    record: Option<Record>,
    holder: Option<String>,
    /// The password in the Secret, when it could be read.
    secret: Option<String>,
}

impl Asked<'_> {
    fn what(&self) -> String {
        format!("user {}", self.spec.name)
    }

    fn recorded(&self) -> Option<&Value> {
        self.record.as_ref().map(|record| &record.document)
    }

    fn password(&self) -> Password {
        let mark = self
            .record
            .as_ref()
            .and_then(|record| record.password.as_ref());
        match (&self.secret, mark) {
            (None, _) => Password::Unknown,
            (Some(secret), Some(mark)) if mark.is_of(secret) => Password::Same,
            (Some(_), _) => Password::Other,
        }
    }

    fn changes(&self, live: &LiveUser) -> UserChanges {
        if self.care != Care::Managed {
            return UserChanges::default();
        }
        let last = self
            .recorded()
            .map(|doc| UserSpec::remembered(doc, &self.request.key));
        user::compare(&self.spec, last.as_ref(), live, self.password())
    }

    fn live(&self, live: &LiveUser) -> Option<LiveObject> {
        if self.care != Care::Managed {
            return Some(shell(&self.request.key, self.record.as_ref()?));
        }
        if self.record.is_none() && live.is_nothing() {
            return None;
        }
        Some(live_user(
            &self.request.key,
            live,
            &self.kept,
            self.record.as_ref(),
            self.password(),
        ))
    }

    fn after(&self) -> Value {
        let uid = self.record.as_ref().map(Record::uid).unwrap_or_default();
        document::object(
            &self.request.key,
            Some(&self.kept),
            &uid,
            self.kept["spec"].clone(),
            Value::Null,
        )
    }

    fn is_recreation(&self) -> bool {
        let operation = Some(&self.request.operation_id).filter(|id| !id.is_empty());
        let last = self.record.as_ref();
        let done = last.and_then(|record| record.recreated_by.as_ref());
        self.request.mode == ApplyMode::Recreate && (operation.is_none() || done != operation)
    }

    fn plan(&self, live: &LiveUser) -> (Plan, UserChanges) {
        let changes = self.changes(live);
        let before = self.live(live);
        let is_adopted = before.is_some() && self.record.is_none();
        let mut warnings = Vec::new();
        if before.is_some() {
            warnings.extend(user::risks(&changes, is_adopted));
        }
        if self.care == Care::Paused {
            warnings.push(
                "strimzi.io/pause-reconciliation is true: nothing is changed in Kafka".to_owned(),
            );
        }
        if let Authentication::Scram(name, key) = &self.spec.authentication
            && self.secret.is_none()
            && self.care == Care::Managed
        {
            warnings.push(format!(
                "key {key} of Secret {name} is not there yet: the password is set once it is"
            ));
        }
        let mut plan = Plan::new(before, self.after(), warnings);
        if plan.before.is_some() {
            plan.changes = user::rule_changes(plan.changes, &changes);
        }
        if self.is_recreation() && plan.before.is_some() && self.care == Care::Managed {
            plan.outcome = ChangeOutcome::Replaced;
        }
        (plan, changes)
    }
}

impl PasswordMark {
    fn new(password: &str, salt: &[u8]) -> (Self, Vec<u8>) {
        let salted = Hash::Sha512.salted(password.as_bytes(), salt, u32::from(ITERATIONS));
        let mark = Self {
            salt: STANDARD.encode(salt),
            digest: Sha256::digest(&salted)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
        };
        (mark, salted)
    }

    fn is_of(&self, password: &str) -> bool {
        let salt = STANDARD.decode(&self.salt).unwrap_or_default();
        Self::new(password, &salt).0.digest == self.digest
    }
}

fn live_user(
    key: &ResourceKey,
    live: &LiveUser,
    wanted: &Value,
    record: Option<&Record>,
    password: Password,
) -> LiveObject {
    let recorded = record.map(|record| &record.document);
    let subject = record.map_or(key.name.as_str(), |record| record.subject.as_str());
    let uid = record.map_or_else(|| format!("{} {subject}~0", key.kind), Record::uid);
    let spec = user::shown(live, wanted, recorded, password);
    let status = json!({"username": subject});
    let mark = record.and_then(|record| record.password.as_ref());
    let facts = json!([live.facts(), mark.map(|mark| &mark.digest), uid]);
    LiveObject {
        key: key.clone(),
        body: document::object(key, recorded, &uid, spec, status),
        version: shape::version(&facts, recorded),
        uid,
        health: Some(Health::new(HealthStatus::Healthy, "")),
    }
}

impl Inner {
    async fn asked_user<'r>(
        &self,
        request: &'r ApplyRequest,
        book: &Book,
    ) -> Result<Asked<'r>, ApplierError> {
        let key = &request.key;
        let spec = UserSpec::read(&request.body, key)?;
        let found = book.find(key);
        let record = found.map(|(_, record)| record.clone());
        let is_same = |other: &ResourceKey, body: &Value| {
            UserSpec::read(body, other).is_ok_and(|other| other.name == spec.name)
        };
        self.check_rivals(key, "user", &spec.name, book, is_same)?;
        if let Some(record) = &record
            && record.subject != spec.name
        {
            let message = format!(
                "{} stood for user {} and would stand for {}: a user cannot be renamed",
                key.short(),
                record.subject,
                spec.name
            );
            return Err(document::invalid(
                message,
                "remove the document, sync, and write it anew",
            ));
        }
        let care = document::care(&request.body, &key.kind);
        let secret = match &spec.authentication {
            Authentication::Scram(name, entry) if care == Care::Managed => {
                self.options
                    .secrets
                    .value(&key.namespace, name, entry)
                    .await?
            }
            _ => None,
        };
        Ok(Asked {
            request,
            kept: document::kept(&request.body),
            care,
            record,
            holder: found.map(|(application, _)| application.to_owned()),
            secret,
            spec,
        })
    }

    async fn look_at_user(&self, asked: &Asked<'_>) -> Result<LiveUser, KafkaError> {
        if asked.care == Care::Managed {
            self.client.user(&asked.spec.name).await
        } else {
            Ok(LiveUser::default())
        }
    }

    pub(crate) async fn plan_user(
        &self,
        request: &ApplyRequest,
        book: &Book,
    ) -> Result<Plan, ApplierError> {
        let asked = self.asked_user(request, book).await?;
        let live = self.look_at_user(&asked).await;
        let live = live.map_err(|error| error.of_what(&asked.what()))?;
        let (plan, changes) = asked.plan(&live);
        let seen = plan
            .before
            .as_ref()
            .map(|live| (live.uid.as_str(), live.version.as_str()));
        shape::check(&request.key, &request.precondition, seen)?;
        let rehearsed = self
            .client
            .set_quotas(&asked.spec.name, &changes.quotas, true);
        rehearsed
            .await
            .map_err(|error| error.of_what(&asked.what()))?;
        Ok(plan)
    }

    pub(crate) async fn apply_user(
        &self,
        request: &ApplyRequest,
        book: &Book,
    ) -> Result<ApplyResult, ApplierError> {
        let mut asked = self.asked_user(request, book).await?;
        let what = asked.what();
        let live = self.look_at_user(&asked).await;
        let mut live = live.map_err(|error| error.of_what(&what))?;
        let (plan, mut changes) = asked.plan(&live);
        let seen = plan
            .before
            .as_ref()
            .map(|live| (live.uid.as_str(), live.version.as_str()));
        shape::check(&request.key, &request.precondition, seen)?;
        if changes.set_password && asked.secret.is_none() {
            return Err(missing_secret(&asked));
        }
        let mut record = asked.remembered();
        if plan.outcome == ChangeOutcome::Replaced {
            let all = everything(&asked.spec.name, &live);
            let done = self.carry_out_user(&asked.spec.name, &all, None).await;
            done.map_err(|error| error.of_what(&what))?;
            record.incarnation += 1;
            record.password = None;
            record.recreated_by = Some(request.operation_id.clone()).filter(|id| !id.is_empty());
            // Remembered at once: the same operation must not do it twice.
            self.keep_user(&asked, &record).await?;
            asked.record = Some(record.clone());
            live = self
                .look_at_user(&asked)
                .await
                .map_err(|error| error.of_what(&what))?;
            changes = asked.changes(&live);
        }
        if !changes.is_empty() {
            live = self.converge(&mut asked, &mut record, changes).await?;
        }
        if !matches!(asked.spec.authentication, Authentication::Scram(..))
            && asked.care == Care::Managed
        {
            record.password = None;
        }
        self.keep_user(&asked, &record).await?;
        asked.record = Some(record);
        let live = asked.live(&live);
        let live = live.ok_or_else(|| {
            ApplierError::new(
                ErrorKind::Internal,
                format!("{what}: the record is not there"),
            )
        })?;
        Ok(ApplyResult {
            outcome: plan.outcome,
            live,
            warnings: plan.warnings,
        })
    }

    /// Acts and looks until nothing differs, and remembers which password was set.
    async fn converge(
        &self,
        asked: &mut Asked<'_>,
        record: &mut Record,
        mut changes: UserChanges,
    ) -> Result<LiveUser, ApplierError> {
        let what = asked.what();
        let mut live = LiveUser::default();
        let begin = Instant::now();
        let mut round = 0;
        while !changes.is_empty() {
            round += 1;
            let made = asked
                .secret
                .as_ref()
                .filter(|_| changes.set_password)
                .map(|secret| {
                    let salt = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
                    let (mark, salted) = PasswordMark::new(secret, &salt);
                    (mark, salt, salted)
                });
            let password = made
                .as_ref()
                .map(|(_, salt, salted)| (salt.clone(), salted.clone()));
            match self
                .carry_out_user(&asked.spec.name, &changes, password)
                .await
            {
                Ok(()) => {
                    if let Some((mark, ..)) = made {
                        record.password = Some(mark);
                        asked.record = Some(record.clone());
                    }
                }
                Err(error)
                    if error.is_passing() && round < ROUNDS && begin.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(pause(round.min(3), error.wait())).await;
                }
                Err(error) => return Err(error.of_what(&what)),
            }
            live = self
                .look_at_user(asked)
                .await
                .map_err(|error| error.of_what(&what))?;
            changes = asked.changes(&live);
            if round >= ROUNDS && !changes.is_empty() {
                let message = format!("{what}: the brokers took the change and do not show it");
                return Err(ApplierError::new(ErrorKind::Timeout, message));
            }
            if !changes.is_empty() {
                // Brokers learn of a change a moment after the controller.
                tokio::time::sleep(pause(1, None) / 2).await;
                live = self
                    .look_at_user(asked)
                    .await
                    .map_err(|error| error.of_what(&what))?;
                changes = asked.changes(&live);
            }
        }
        Ok(live)
    }

    async fn keep_user(&self, asked: &Asked<'_>, record: &Record) -> Result<(), ApplierError> {
        let (key, owner) = (&asked.request.key, &asked.request.owner.application);
        self.remember(owner, key, Some(record.clone())).await?;
        match &asked.holder {
            Some(holder) if holder != owner => self.remember(holder, key, None).await,
            _ => Ok(()),
        }
    }

    async fn carry_out_user(
        &self,
        name: &str,
        changes: &UserChanges,
        password: Option<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), KafkaError> {
        let client = &self.client;
        if let Some((salt, salted)) = password {
            client.set_password(name, salt, salted).await?;
        }
        client.set_quotas(name, &changes.quotas, false).await?;
        client.add_acls(name, &changes.add).await?;
        client.remove_acls(name, &changes.remove).await?;
        if changes.drop_password {
            client.drop_password(name).await?;
        }
        Ok(())
    }

    /// Takes away what the document set; of a user that is paused, nothing.
    pub(crate) async fn delete_user(
        &self,
        request: &DeleteRequest,
        application: &str,
        record: &Record,
    ) -> Result<DeleteOutcome, ApplierError> {
        let key = &request.key;
        let name = &record.subject;
        let tell = |error: KafkaError| error.of_what(&format!("user {name}"));
        let is_managed = document::care(&record.document, &record.kind) == Care::Managed;
        let (object, changes) = if is_managed {
            let live = self.client.user(name).await.map_err(tell)?;
            let password = Password::Unknown;
            let object = live_user(key, &live, &record.document, Some(record), password);
            let spec = UserSpec::remembered(&record.document, key);
            let nothing = UserSpec {
                name: name.clone(),
                ..UserSpec::default()
            };
            (
                object,
                user::compare(&nothing, Some(&spec), &live, password),
            )
        } else {
            (shell(key, record), UserChanges::default())
        };
        let seen = Some((object.uid.as_str(), object.version.as_str()));
        shape::check(key, &request.precondition, seen)?;
        if request.dry_run {
            return Ok(DeleteOutcome::Deleted);
        }
        let begin = Instant::now();
        let mut round = 0;
        while let Err(error) = self.carry_out_user(name, &changes, None).await {
            round += 1;
            if !error.is_passing() || round >= ROUNDS || begin.elapsed() > PATIENCE {
                return Err(tell(error));
            }
            tokio::time::sleep(pause(round.min(3), error.wait())).await;
        }
        self.remember(application, key, None).await?;
        Ok(DeleteOutcome::Deleted)
    }

    pub(crate) async fn read_users(
        &self,
        keys: &[ResourceKey],
        book: &Book,
    ) -> BTreeMap<ResourceKey, ReadResult> {
        let mut reads = Vec::with_capacity(keys.len());
        for key in keys {
            reads.push(self.read_user(key, book));
        }
        let answers: Vec<ReadResult> = stream::iter(reads).buffered(PARALLEL).collect().await;
        keys.iter().cloned().zip(answers).collect()
    }

    async fn read_user(&self, key: &ResourceKey, book: &Book) -> ReadResult {
        let record = book.find(key).map(|(_, record)| record);
        let announced = self.announced(key);
        let wanted = announced.as_ref().map(document::kept);
        let Some(document) = wanted.as_ref().or(record.map(|record| &record.document)) else {
            return self.cluster_answers().await.map(|()| None);
        };
        if document::care(document, &key.kind) != Care::Managed {
            return Ok(record.map(|record| shell(key, record)));
        }
        let name = match (record, UserSpec::read(document, key)) {
            (Some(record), _) => record.subject.clone(),
            (None, Ok(spec)) => spec.name,
            (None, Err(_)) => return Ok(None),
        };
        let live = self.client.user(&name).await;
        let live = live.map_err(|error| error.of_what(&format!("user {name}")))?;
        if record.is_none() && live.is_nothing() {
            return Ok(None);
        }
        Ok(Some(live_user(
            key,
            &live,
            document,
            record,
            Password::Unknown,
        )))
    }
}

impl Asked<'_> {
    fn remembered(&self) -> Record {
        let key = &self.request.key;
        let last = self.record.clone().unwrap_or_default();
        Record {
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            subject: self.spec.name.clone(),
            application: document::application(&self.request.body, key),
            document: self.kept.clone(),
            id: String::new(),
            ..last
        }
    }
}

/// All that a user has, to be taken away.
fn everything(name: &str, live: &LiveUser) -> UserChanges {
    let all = UserSpec {
        name: name.to_owned(),
        authentication: Authentication::Scram(String::new(), String::new()),
        acls: Some(live.acls.clone()),
        quotas: Some(live.quotas.clone()),
    };
    let nothing = UserSpec {
        name: name.to_owned(),
        ..UserSpec::default()
    };
    user::compare(&nothing, Some(&all), live, Password::Unknown)
}

fn missing_secret(asked: &Asked<'_>) -> ApplierError {
    let key = &asked.request.key;
    let Authentication::Scram(name, entry) = &asked.spec.authentication else {
        return ApplierError::new(
            ErrorKind::Internal,
            format!("{} has no password", asked.what()),
        );
    };
    let message = format!(
        "{}: key {entry} of Secret {}/{name} is not there",
        asked.what(),
        key.namespace
    );
    ApplierError::new(ErrorKind::NotFound, message)
        .retryable(true)
        .help("put the Secret into the cluster of the destination, in an earlier wave")
}
