//! An applier with all handlers on a server, and one type's way through its life.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_applier::{
    Applier, ApplierError, ApplyRequest, ApplyResult, ChangeOutcome, ChangePreview, DeleteOutcome,
    DeleteRequest, ErrorKind, OwnerRef, Precondition,
};
use tidegate_aws::{
    Artifacts, Aws, AwsApplier, AwsApplierOptions, Handler, Lookup, Mark, MemoryArtifacts,
    MemoryState, Resource,
};
use tidegate_manifest::{
    AWS_API_VERSION, AWS_GROUP, CloudFormationResource, DeletionPolicy, GroupVersionKind,
    PropagationPolicy, ResourceKey, ResourceReference, Target, TargetKind, annotation,
};

/// An application on a server.
pub(crate) struct Bench {
    pub(crate) aws: Aws,
    pub(crate) artifacts: Arc<MemoryArtifacts>,
    pub(crate) applier: AwsApplier,
    pub(crate) handlers: Vec<Arc<dyn Handler>>,
    pub(crate) application: String,
}

impl Bench {
    pub(crate) fn new(aws: &Aws, application: &str, artifacts: &Arc<MemoryArtifacts>) -> Self {
        let code: Arc<dyn Artifacts> = Arc::clone(artifacts) as Arc<dyn Artifacts>;
        let mut handlers = tidegate_aws_services::handlers(aws);
        handlers.extend(tidegate_events::handlers(aws));
        handlers.extend(tidegate_lambda::handlers(aws, code));
        handlers.extend(tidegate_cloudcontrol::handlers(aws));
        let options = AwsApplierOptions {
            state: Arc::new(MemoryState::default()),
            ..AwsApplierOptions::default()
        };
        Self {
            applier: AwsApplier::new(aws.clone(), target(), handlers.clone(), options),
            aws: aws.clone(),
            artifacts: Arc::clone(artifacts),
            handlers,
            application: application.to_owned(),
        }
    }

    /// The same server without memory, for the same application or another.
    pub(crate) fn other(&self, application: &str) -> Self {
        Self::new(&self.aws, application, &self.artifacts)
    }

    pub(crate) fn handler(&self, kind: &str) -> &Arc<dyn Handler> {
        let of = |name: &str| {
            let mut all = self.handlers.iter().rev();
            all.find(|handler| handler.types().contains(&name))
        };
        of(kind).or_else(|| of("*")).unwrap()
    }

    fn owner(&self) -> OwnerRef {
        OwnerRef {
            application: self.application.clone(),
            destination_namespace: String::new(),
        }
    }

    fn requests(&self, resources: &[CloudFormationResource], force: bool) -> Vec<ApplyRequest> {
        let request = |resource: &CloudFormationResource| {
            let gvk = GroupVersionKind::new(AWS_API_VERSION, resource.resource_type.as_str());
            let mut body = resource.clone();
            let kind = &resource.resource_type;
            body.annotations.insert(
                annotation::TRACKING_ID.to_owned(),
                format!(
                    "{}:aws/{kind}:{}/{}",
                    self.application, resource.stack, resource.logical_id
                ),
            );
            let mut request = ApplyRequest::new(key(resource), gvk, body.to_body(), self.owner());
            request.force_recreate = force;
            request.operation_id = format!("op-{}", uuid());
            request
        };
        resources.iter().map(request).collect()
    }

    pub(crate) async fn apply(
        &self,
        resources: &[CloudFormationResource],
        force: bool,
    ) -> Vec<Result<ApplyResult, ApplierError>> {
        self.applier.apply(self.requests(resources, force)).await
    }

    pub(crate) async fn plan(
        &self,
        resources: &[CloudFormationResource],
    ) -> Vec<Result<ChangePreview, ApplierError>> {
        let requests = self.requests(resources, false);
        self.applier.plan_change(requests).await
    }

    pub(crate) async fn delete(
        &self,
        resources: &[CloudFormationResource],
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        let requests = resources.iter().map(|resource| DeleteRequest {
            key: key(resource),
            propagation: PropagationPolicy::Foreground,
            precondition: Precondition::default(),
            owner: Some(self.owner()),
            remove_finalizer: None,
            dry_run: false,
            operation_id: "op".to_owned(),
        });
        self.applier.delete(requests.collect()).await
    }

    /// Changes a live resource behind the applier's back.
    pub(crate) async fn by_hand(
        &self,
        resource: &CloudFormationResource,
        id: &str,
        property: &str,
        value: &Value,
    ) -> Result<(), ApplierError> {
        let kind = &resource.resource_type;
        let handler = self.handler(kind);
        let lookup = Lookup {
            resource_type: kind.clone(),
            physical_id: Some(id.to_owned()),
            physical_name: resource.physical_name.clone(),
            ..Lookup::default()
        };
        let live = handler.read(&lookup).await?.unwrap();
        let mut properties = live.properties.clone();
        properties.insert(property.to_owned(), value.clone());
        let changed = Resource {
            resource_type: kind.clone(),
            physical_name: resource.physical_name.clone(),
            properties,
            mark: Mark::default(),
            token: format!("by-hand-{}", uuid()),
            removed_tags: BTreeSet::new(),
        };
        let names = BTreeSet::from([property.to_owned()]);
        handler.update(&changed, &live, &names).await
    }
}

/// Something that was never there before.
pub(crate) fn uuid() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    format!(
        "{:x}{:x}",
        since.as_nanos(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

pub(crate) fn target() -> Target {
    Target::new(TargetKind::Aws, "test")
}

pub(crate) fn key(resource: &CloudFormationResource) -> ResourceKey {
    ResourceKey {
        target: target(),
        group: AWS_GROUP.to_owned(),
        kind: resource.resource_type.clone(),
        namespace: resource.stack.clone(),
        name: resource.logical_id.clone(),
    }
}

/// Resources of a template in short: `{"Id": {"Type", "Name", "Properties", "DeletionPolicy", "Metadata"}}`.
pub(crate) fn resources(stack: &str, template: &Value) -> Vec<CloudFormationResource> {
    let map = template.as_object().unwrap();
    let one = |(id, body): (&String, &Value)| {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let mut references = BTreeMap::new();
        named(&body["Properties"], map, &mut references);
        let annotations = body["Metadata"].as_object().into_iter().flatten();
        CloudFormationResource {
            resource_type: text("Type").unwrap(),
            stack: stack.to_owned(),
            logical_id: id.clone(),
            physical_name: text("Name"),
            properties: body["Properties"].as_object().cloned().unwrap_or_default(),
            deletion_policy: match body["DeletionPolicy"].as_str() {
                Some("Retain") => DeletionPolicy::Retain,
                _ => DeletionPolicy::Delete,
            },
            annotations: annotations
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            references,
            ..CloudFormationResource::default()
        }
    };
    map.iter().map(one).collect()
}

fn named(
    value: &Value,
    template: &Map<String, Value>,
    found: &mut BTreeMap<String, ResourceReference>,
) {
    let mut name = |id: &str| {
        if let Some(other) = template.get(id) {
            let reference = ResourceReference {
                resource_type: other["Type"].as_str().unwrap().to_owned(),
                stack: None,
                physical_name: other["Name"].as_str().map(str::to_owned),
            };
            found.insert(id.to_owned(), reference);
        }
    };
    if let Some(id) = value["Ref"].as_str() {
        name(id);
    }
    if let Some(id) = value["Fn::GetAtt"][0].as_str() {
        name(id);
    }
    match value {
        Value::Array(list) => list.iter().for_each(|value| named(value, template, found)),
        Value::Object(map) => map.values().for_each(|value| named(value, template, found)),
        _ => {}
    }
}

/// One type's life.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) template: Value,
    /// The resource that is changed.
    pub(crate) subject: &'static str,
    /// What Git changes in place.
    pub(crate) update: Option<(&'static str, Value)>,
    /// What somebody changes by hand.
    pub(crate) drift: Option<(&'static str, Value)>,
    /// What can only be changed by a new resource.
    pub(crate) replace: Option<(&'static str, Value)>,
}

impl Case {
    fn with(&self, change: &(&str, Value)) -> Value {
        let mut template = self.template.clone();
        let is_name = Some(change.0) == name_property(&template[self.subject]);
        template[self.subject]["Properties"][change.0] = change.1.clone();
        if template[self.subject]["Properties"][change.0].is_null() {
            let properties = template[self.subject]["Properties"].as_object_mut();
            properties.unwrap().remove(change.0);
        }
        if is_name {
            template[self.subject]["Name"] = change.1.clone();
        }
        template
    }
}

fn name_property(body: &Value) -> Option<&str> {
    let name = body["Name"].as_str()?;
    let mut properties = body["Properties"].as_object()?.iter();
    let found = properties.find(|(key, value)| key.ends_with("Name") && *value == name);
    found.map(|(key, _)| key.as_str())
}

/// What went wrong on the way, a line each: `case: step: words`.
pub(crate) struct Findings(pub(crate) Vec<String>);

impl Findings {
    fn outcomes(
        &mut self,
        step: &str,
        resources: &[CloudFormationResource],
        answers: &[Result<ApplyResult, ApplierError>],
        expected: impl Fn(&CloudFormationResource) -> ChangeOutcome,
    ) -> bool {
        let before = self.0.len();
        for (resource, answer) in resources.iter().zip(answers) {
            let id = &resource.logical_id;
            match answer {
                Ok(found) if found.outcome == expected(resource) => {}
                Ok(found) => self
                    .0
                    .push(format!("{step}: {id}: {:?} instead", found.outcome)),
                Err(error) => self.0.push(format!("{step}: {id}: {error}")),
            }
        }
        self.0.len() == before
    }

    async fn unchanged(&mut self, step: &str, bench: &Bench, resources: &[CloudFormationResource]) {
        for (resource, plan) in resources.iter().zip(bench.plan(resources).await) {
            let id = &resource.logical_id;
            match plan {
                Ok(plan) if plan.outcome == ChangeOutcome::Unchanged => {}
                Ok(plan) => {
                    let changes: Vec<String> = plan
                        .changes
                        .iter()
                        .map(|c| format!("{} {:?} -> {:?}", c.path, c.before, c.after))
                        .collect();
                    let found = format!("{:?} {}", plan.outcome, changes.join("; "));
                    self.0.push(format!("{step}: {id}: {found}"));
                }
                Err(error) => self.0.push(format!("{step}: {id}: {error}")),
            }
        }
    }
}

/// Goes through a type's life and tells what is not as it should be.
pub(crate) async fn live(bench: &Bench, case: &Case) -> Vec<String> {
    let mut findings = Findings(Vec::new());
    let stack = format!("it-{}", case.name.to_lowercase().replace(' ', "-"));
    let all = resources(&stack, &case.template);
    let created = bench.apply(&all, false).await;
    if findings.outcomes("create", &all, &created, |_| ChangeOutcome::Created) {
        changes(bench, case, &stack, &all, &mut findings).await;
    }
    let last = case.replace.as_ref().map_or_else(
        || all.clone(),
        |change| resources(&stack, &case.with(change)),
    );
    removal(bench, &last, &mut findings).await;
    if findings.0.is_empty() {
        retained(bench, case, &stack, &mut findings).await;
    }
    let named = |line: String| format!("{}: {line}", case.name);
    findings.0.into_iter().map(named).collect()
}

async fn changes(
    bench: &Bench,
    case: &Case,
    stack: &str,
    all: &[CloudFormationResource],
    findings: &mut Findings,
) {
    findings.unchanged("read back", bench, all).await;
    // What has a name of its own, and names only such things, is found again without memory.
    let amnesiac = bench.other(&bench.application);
    if all.iter().all(|resource| resource.physical_name.is_some()) {
        let is_marked = |resource: &&CloudFormationResource| {
            !UNMARKED.contains(&resource.resource_type.as_str())
        };
        let marked: Vec<_> = all.iter().filter(is_marked).cloned().collect();
        findings
            .unchanged("without memory", &amnesiac, &marked)
            .await;
    }
    let is_subject = |resource: &CloudFormationResource| resource.logical_id == case.subject;
    let subject = all.iter().find(|resource| is_subject(resource)).unwrap();
    if let Some(change) = &case.update {
        let changed = resources(stack, &case.with(change));
        let answers = bench.apply(&changed, false).await;
        findings.outcomes("update", &changed, &answers, |resource| {
            if is_subject(resource) {
                ChangeOutcome::Updated
            } else {
                ChangeOutcome::Unchanged
            }
        });
        findings.unchanged("after update", bench, &changed).await;
        let back = bench.apply(all, false).await;
        findings.outcomes("take back", all, &back, |resource| {
            if is_subject(resource) {
                ChangeOutcome::Updated
            } else {
                ChangeOutcome::Unchanged
            }
        });
        findings.unchanged("after taking back", bench, all).await;
    }
    if let Some((property, value)) = &case.drift {
        drift(bench, subject, all, (property, value), findings).await;
    }
    foreign(bench, all, findings).await;
    if let Some(change) = &case.replace {
        let changed = resources(stack, &case.with(change));
        let refused = bench.plan(&changed).await;
        for (resource, plan) in changed.iter().zip(refused) {
            match plan {
                Ok(plan) if !is_subject(resource) || plan.outcome == ChangeOutcome::Replaced => {}
                Ok(plan) => findings
                    .0
                    .push(format!("replace: planned as {:?}", plan.outcome)),
                Err(error) => findings.0.push(format!("replace: planned: {error}")),
            }
        }
        let answers = bench.apply(&changed, true).await;
        for (resource, answer) in changed.iter().zip(&answers) {
            match answer {
                Ok(found) if !is_subject(resource) || found.outcome == ChangeOutcome::Replaced => {}
                Ok(found) => findings
                    .0
                    .push(format!("replace: {:?} instead", found.outcome)),
                Err(error) => findings
                    .0
                    .push(format!("replace: {}: {error}", resource.logical_id)),
            }
        }
        findings.unchanged("after replacing", bench, &changed).await;
    }
}

async fn drift(
    bench: &Bench,
    subject: &CloudFormationResource,
    all: &[CloudFormationResource],
    (property, value): (&str, &Value),
    findings: &mut Findings,
) {
    let answers = bench.apply(all, false).await;
    let place = all
        .iter()
        .position(|resource| resource.logical_id == subject.logical_id);
    let id = match &answers[place.unwrap()] {
        Ok(answer) => answer.live.body["PhysicalName"]
            .as_str()
            .unwrap()
            .to_owned(),
        Err(error) => return findings.0.push(format!("drift: {error}")),
    };
    if let Err(error) = bench.by_hand(subject, &id, property, value).await {
        return findings.0.push(format!("drift: by hand: {error}"));
    }
    let plan = bench.plan(all).await.swap_remove(place.unwrap());
    match plan {
        Ok(plan) if plan.outcome == ChangeOutcome::Updated => {
            let path = format!(".Properties.{property}");
            if !plan.changes.iter().any(|c| c.path.starts_with(&path)) {
                findings
                    .0
                    .push(format!("drift: {path} is not told: {:?}", plan.changes));
            }
        }
        Ok(plan) => findings
            .0
            .push(format!("drift: seen as {:?}", plan.outcome)),
        Err(error) => findings.0.push(format!("drift: {error}")),
    }
    let answers = bench.apply(all, false).await;
    match &answers[place.unwrap()] {
        Ok(answer) if answer.outcome == ChangeOutcome::Updated => {}
        Ok(answer) => findings
            .0
            .push(format!("drift: healed as {:?}", answer.outcome)),
        Err(error) => findings.0.push(format!("drift: healing: {error}")),
    }
    findings.unchanged("after healing", bench, all).await;
}

/// Types with names and without tags: who has no memory of them is refused like anybody else.
const UNMARKED: &[&str] = &["AWS::Scheduler::Schedule"];

/// Another application is refused everything that bears our mark.
async fn foreign(bench: &Bench, all: &[CloudFormationResource], findings: &mut Findings) {
    let other = bench.other("somebody-else");
    for (resource, answer) in all.iter().zip(other.plan(all).await) {
        // What only its id finds is another one for them; what has no tags hangs on what has.
        let is_found = resource.physical_name.is_some();
        let is_refused = matches!(&answer, Err(error) if error.kind == ErrorKind::Conflict);
        if is_found && !is_refused {
            let id = &resource.logical_id;
            let found = answer.map(|plan| plan.outcome);
            findings.0.push(format!("foreign: {id}: {found:?}"));
        }
    }
}

/// How often a removal is asked for again, a tenth of a second apart: slow machines have time.
const ROUNDS: usize = 300;

async fn removal(bench: &Bench, all: &[CloudFormationResource], findings: &mut Findings) {
    let mut left: Vec<CloudFormationResource> = all.to_vec();
    for round in 0..ROUNDS {
        let answers = bench.delete(&left).await;
        let mut still = Vec::new();
        for (resource, answer) in left.into_iter().zip(answers) {
            let id = resource.logical_id.clone();
            match answer {
                Ok(DeleteOutcome::Deleted | DeleteOutcome::Absent) => {}
                Ok(DeleteOutcome::Deleting { .. }) if round + 1 < ROUNDS => still.push(resource),
                Err(error) if error.retryable && round + 1 < ROUNDS => still.push(resource),
                other => findings.0.push(format!("delete: {id}: {other:?}")),
            }
        }
        left = still;
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for (resource, plan) in all.iter().zip(bench.plan(all).await) {
        match plan {
            Ok(plan) if plan.outcome == ChangeOutcome::Created => {}
            Ok(plan) => findings.0.push(format!(
                "delete: {} is still there: {:?}",
                resource.logical_id, plan.outcome
            )),
            Err(error) => findings
                .0
                .push(format!("delete: {}: {error}", resource.logical_id)),
        }
    }
}

/// `DeletionPolicy: Retain`: it stays, and nobody manages it any more.
async fn retained(bench: &Bench, case: &Case, stack: &str, findings: &mut Findings) {
    let mut template = case.template.clone();
    if !template[case.subject]["Name"].is_string() {
        return;
    }
    // A name may be free again only after a while.
    let kind = template[case.subject]["Type"].as_str().unwrap();
    if kind == "AWS::SQS::Queue" {
        return;
    }
    template[case.subject]["DeletionPolicy"] = json!("Retain");
    let all = resources(stack, &template);
    let created = bench.apply(&all, false).await;
    if !findings.outcomes("retain", &all, &created, |_| ChangeOutcome::Created) {
        return;
    }
    let subject = all.iter().position(|r| r.logical_id == case.subject);
    let subject = subject.unwrap();
    let id = created[subject].as_ref().unwrap().live.body["PhysicalName"].clone();
    let gone = bench.delete(&all[subject..=subject]).await;
    if !matches!(gone[0], Ok(DeleteOutcome::Absent)) {
        findings.0.push(format!("retain: {:?}", gone[0]));
    }
    let kind = &all[subject].resource_type;
    let lookup = Lookup {
        resource_type: kind.clone(),
        physical_id: id.as_str().map(str::to_owned),
        ..Lookup::default()
    };
    let live = bench.handler(kind).read(&lookup).await;
    if !matches!(live, Ok(Some(_))) {
        findings.0.push(format!("retain: it is gone: {live:?}"));
    }
    let gone = bench.handler(kind).delete(kind, id.as_str().unwrap()).await;
    if let Err(error) = gone {
        findings.0.push(format!("retain: cleaning up: {error}"));
    }
    let rest: Vec<_> = all
        .into_iter()
        .filter(|r| r.logical_id != case.subject)
        .collect();
    removal(bench, &rest, findings).await;
}
