//! What only this world has: names that are not in the keys, references, replacement, ownership by tag.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_applier::{
    Applier, ApplierError, ApplyRequest, ApplyResult, ChangeOutcome, DeleteOutcome, DeleteRequest,
    ErrorKind, OwnerRef, Precondition, ReadOptions,
};
use tidegate_aws::{AwsApplier, AwsApplierOptions, Handler, StateStore, TAG_APPLICATION};
use tidegate_manifest::{
    AWS_API_VERSION, AWS_GROUP, CloudFormationResource, DeletionPolicy, GroupVersionKind,
    PropagationPolicy, ResourceKey, ResourceReference, Target, TargetKind, TrackingId, annotation,
};

use crate::memory::{Memory, NOTE, STORE, THING, Thing, nowhere};

struct Bench {
    memory: Memory,
    applier: AwsApplier,
    state: Arc<dyn StateStore>,
}

impl Bench {
    fn new() -> Self {
        let memory = Memory::default();
        let state: Arc<dyn StateStore> = Arc::new(tidegate_aws::MemoryState::default());
        Self {
            applier: Self::applier(&memory, &state),
            memory,
            state,
        }
    }

    fn applier(memory: &Memory, state: &Arc<dyn StateStore>) -> AwsApplier {
        let handler: Arc<dyn Handler> = Arc::new(memory.clone());
        let options = AwsApplierOptions {
            state: Arc::clone(state),
            ..AwsApplierOptions::default()
        };
        AwsApplier::new(nowhere(), target(), [handler], options)
    }

    async fn apply(
        &self,
        resources: &[CloudFormationResource],
    ) -> Vec<Result<ApplyResult, ApplierError>> {
        self.announce(resources);
        let requests = resources.iter().map(request).collect();
        self.applier.apply(requests).await
    }

    fn announce(&self, resources: &[CloudFormationResource]) {
        let bodies: Vec<(ResourceKey, Value)> =
            resources.iter().map(|r| (key(r), r.to_body())).collect();
        let mut wanted = bodies.iter().map(|(key, body)| (key, body));
        self.applier.announce(&owner("etl"), &mut wanted);
    }

    async fn delete(
        &self,
        resources: &[CloudFormationResource],
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        let requests = resources.iter().map(|resource| DeleteRequest {
            key: key(resource),
            propagation: PropagationPolicy::Foreground,
            precondition: Precondition::default(),
            owner: Some(owner("etl")),
            remove_finalizer: None,
            dry_run: false,
            operation_id: "op".to_owned(),
        });
        self.applier.delete(requests.collect()).await
    }

    async fn owned(&self) -> Vec<String> {
        let list = self.applier.list_owned(owner("etl")).await.unwrap();
        list.items.into_iter().map(|owned| owned.key.name).collect()
    }
}

fn target() -> Target {
    Target::new(TargetKind::Aws, "test")
}

fn owner(name: &str) -> OwnerRef {
    OwnerRef {
        application: name.to_owned(),
        destination_namespace: String::new(),
    }
}

fn key(resource: &CloudFormationResource) -> ResourceKey {
    ResourceKey {
        target: target(),
        group: AWS_GROUP.to_owned(),
        kind: resource.resource_type.clone(),
        namespace: resource.stack.clone(),
        name: resource.logical_id.clone(),
    }
}

fn request(resource: &CloudFormationResource) -> ApplyRequest {
    let gvk = GroupVersionKind::new(AWS_API_VERSION, resource.resource_type.as_str());
    ApplyRequest::new(key(resource), gvk, resource.to_body(), owner("etl"))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a table of literals reads better"
)]
fn resource(kind: &str, id: &str, name: Option<&str>, properties: Value) -> CloudFormationResource {
    CloudFormationResource {
        resource_type: kind.to_owned(),
        stack: "etl".to_owned(),
        logical_id: id.to_owned(),
        physical_name: name.map(str::to_owned),
        properties: properties.as_object().cloned().unwrap_or_default(),
        annotations: BTreeMap::from([(
            annotation::TRACKING_ID.to_owned(),
            format!("etl:aws/{kind}:etl/{id}"),
        )]),
        ..CloudFormationResource::default()
    }
}

fn naming(
    mut resource: CloudFormationResource,
    others: &[&CloudFormationResource],
) -> CloudFormationResource {
    for other in others {
        let reference = ResourceReference {
            resource_type: other.resource_type.clone(),
            stack: None,
            physical_name: other.physical_name.clone(),
        };
        resource
            .references
            .insert(other.logical_id.clone(), reference);
    }
    resource
}

fn outcomes(answers: &[Result<ApplyResult, ApplierError>]) -> Vec<ChangeOutcome> {
    answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().outcome)
        .collect()
}

#[tokio::test]
async fn a_batch_runs_in_the_order_of_its_references_and_twice_is_nothing() {
    let bench = Bench::new();
    let base = resource(THING, "Base", Some("base"), json!({"Size": 1}));
    let on_base = naming(
        resource(
            THING,
            "OnBase",
            Some("on-base"),
            json!({"Uses": {"Fn::GetAtt": ["Base", "Arn"]}}),
        ),
        &[&base],
    );
    let note = naming(
        resource(NOTE, "Note", None, json!({"Parent": {"Ref": "OnBase"}})),
        &[&on_base],
    );
    bench.memory.with(|world| world.delay = 2);
    let all = [note.clone(), on_base, base];
    let first = bench.apply(&all).await;
    assert_eq!(outcomes(&first), [ChangeOutcome::Created; 3]);
    assert_eq!(
        bench.memory.calls(),
        ["create base", "create on-base", "create on-base|Note"]
    );
    let uses = bench.memory.with(|world| {
        world.things[&(THING.to_owned(), "on-base".to_owned())].properties["Uses"].clone()
    });
    assert_eq!(uses, json!("arn:x:base"));
    let again = bench.apply(&all).await;
    assert_eq!(outcomes(&again), [ChangeOutcome::Unchanged; 3]);
    assert_eq!(bench.memory.calls(), Vec::<String>::new());
    // A fresh applier with the same records knows them by key alone.
    let fresh = Bench::applier(&bench.memory, &bench.state);
    let read = fresh
        .read(all.iter().map(key).collect(), ReadOptions::default())
        .await;
    assert!(read.iter().all(|answer| answer.as_ref().unwrap().is_some()));
    let body = read[0].as_ref().unwrap().as_ref().unwrap().body.clone();
    let mark = TrackingId::of(&body).unwrap();
    assert_eq!(
        (mark.application.as_str(), mark.name.as_str()),
        ("etl", "Note")
    );
}

#[tokio::test]
async fn what_names_a_failed_resource_is_not_begun_and_the_rest_is() {
    let bench = Bench::new();
    let bad = resource(THING, "Worse", Some("worse"), json!({"Bad": 1}));
    let on_bad = naming(
        resource(
            THING,
            "OnBad",
            Some("on-bad"),
            json!({"Uses": {"Ref": "Worse"}}),
        ),
        &[&bad],
    );
    let other = resource(THING, "Other", Some("other"), json!({}));
    let answers = bench.apply(&[on_bad, bad, other]).await;
    assert!(answers[0].as_ref().unwrap_err().message.contains("Worse"));
    assert!(
        answers[1]
            .as_ref()
            .unwrap_err()
            .message
            .contains("Bad is not allowed")
    );
    assert_eq!(answers[2].as_ref().unwrap().outcome, ChangeOutcome::Created);
    assert_eq!(bench.memory.calls(), ["create other"]);
}

#[tokio::test]
async fn a_resource_that_comes_up_degraded_stops_what_builds_on_it() {
    let bench = Bench::new();
    bench.memory.with(|world| world.degrade = true);
    let base = resource(THING, "Base", Some("base"), json!({}));
    let next = naming(
        resource(
            THING,
            "Next",
            Some("next"),
            json!({"Parent": {"Ref": "Base"}}),
        ),
        &[&base],
    );
    let answers = bench.apply(&[base, next]).await;
    assert!(
        answers[0]
            .as_ref()
            .unwrap_err()
            .message
            .contains("it broke")
    );
    assert!(answers[1].is_err());
    assert_eq!(bench.memory.calls(), ["create base"]);
}

#[tokio::test]
async fn drift_is_seen_field_by_field_also_where_nothing_is_declared() {
    let bench = Bench::new();
    let thing = resource(THING, "Thing", Some("thing"), json!({"Size": 1}));
    bench.apply(std::slice::from_ref(&thing)).await;
    bench.memory.with(|world| {
        let found = world
            .things
            .get_mut(&(THING.to_owned(), "thing".to_owned()))
            .unwrap();
        found.properties.insert("Size".to_owned(), json!(7));
        found
            .properties
            .insert("Extra".to_owned(), json!("by hand"));
        found
            .tags
            .as_mut()
            .unwrap()
            .insert("team".to_owned(), "x".to_owned());
    });
    let preview = bench
        .applier
        .plan_change(vec![request(&thing)])
        .await
        .pop()
        .unwrap()
        .unwrap();
    let paths: Vec<&str> = preview
        .changes
        .iter()
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(paths, [".Properties.Extra", ".Properties.Size"]);
    assert_eq!(preview.outcome, ChangeOutcome::Updated);
    bench.memory.calls();
    bench.apply(std::slice::from_ref(&thing)).await;
    assert_eq!(bench.memory.calls(), ["update thing Extra,Size"]);
    let left = bench
        .applier
        .plan_change(vec![request(&thing)])
        .await
        .pop()
        .unwrap()
        .unwrap();
    assert_eq!(
        left.outcome,
        ChangeOutcome::Unchanged,
        "a foreign tag is not ours to take"
    );
}

#[tokio::test]
async fn another_owners_resource_is_never_touched() {
    let bench = Bench::new();
    let put = |tags: &[(&str, &str)]| {
        let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let thing = Thing {
            tags: Some(tags.collect::<BTreeMap<_, _>>()),
            ..Thing::default()
        };
        bench.memory.with(|world| {
            world
                .things
                .insert((THING.to_owned(), "thing".to_owned()), thing)
        });
    };
    let thing = resource(THING, "Thing", Some("thing"), json!({"Size": 1}));
    for (tags, words) in [
        (vec![], "no mark of Tidegate"),
        (
            vec![("aws:cloudformation:stack-name", "old")],
            "CloudFormation stack old",
        ),
        (
            vec![
                (TAG_APPLICATION, "billing"),
                ("tidegate.dev/id", "billing/Thing"),
            ],
            "application billing",
        ),
    ] {
        put(&tags);
        let preview = bench
            .applier
            .plan_change(vec![request(&thing)])
            .await
            .pop()
            .unwrap();
        let error = preview.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.message.contains(words), "{error}");
        let answers = bench.apply(std::slice::from_ref(&thing)).await;
        assert!(answers[0].is_err());
        let deleted = bench.delete(std::slice::from_ref(&thing)).await;
        assert!(
            !matches!(deleted[0], Ok(DeleteOutcome::Deleted)),
            "{deleted:?}"
        );
        assert_eq!(bench.memory.calls(), Vec::<String>::new());
    }
    put(&[("team", "x")]);
    let mut adopted = thing.clone();
    adopted
        .annotations
        .insert("tidegate.dev/adopt".to_owned(), "true".to_owned());
    let answers = bench.apply(&[adopted]).await;
    assert_eq!(outcomes(&answers), [ChangeOutcome::Updated]);
    assert_eq!(bench.memory.calls(), ["update thing Size,Tags"]);
}

#[tokio::test]
async fn a_replacement_comes_before_what_it_replaces_goes() {
    let bench = Bench::new();
    let old = resource(THING, "Thing", Some("thing-a"), json!({"Name": "thing-a"}));
    let user = |thing: &CloudFormationResource| {
        naming(
            resource(
                THING,
                "User",
                Some("user"),
                json!({"Uses": {"Ref": "Thing"}}),
            ),
            &[thing],
        )
    };
    bench.apply(&[old.clone(), user(&old)]).await;
    bench.memory.calls();
    let new = resource(THING, "Thing", Some("thing-b"), json!({"Name": "thing-b"}));
    bench.announce(&[new.clone(), user(&new)]);
    let preview = bench
        .applier
        .plan_change(vec![request(&new)])
        .await
        .pop()
        .unwrap()
        .unwrap();
    assert_eq!(preview.outcome, ChangeOutcome::Replaced);
    assert!(
        preview.warnings[0].contains("Name cannot be changed in place"),
        "{preview:?}"
    );
    let answers = bench.apply(&[new.clone(), user(&new)]).await;
    assert_eq!(
        outcomes(&answers),
        [ChangeOutcome::Replaced, ChangeOutcome::Updated]
    );
    assert_eq!(
        bench.memory.calls(),
        ["create thing-b", "update user Uses", "delete thing-a"]
    );
}

#[tokio::test]
async fn what_holds_data_is_replaced_only_when_somebody_says_so() {
    let bench = Bench::new();
    let old = resource(STORE, "Store", Some("a"), json!({"Name": "a"}));
    bench.apply(&[old]).await;
    let mut new = resource(STORE, "Store", Some("b"), json!({"Name": "b"}));
    let refused = bench
        .apply(std::slice::from_ref(&new))
        .await
        .pop()
        .unwrap()
        .unwrap_err();
    assert!(refused.message.contains("would be lost"), "{refused}");
    assert!(refused.help.unwrap().contains("tidegate.dev/replace"));
    bench.memory.calls();
    new.annotations
        .insert("tidegate.dev/replace".to_owned(), "true".to_owned());
    new.update_replace_policy = DeletionPolicy::Retain;
    let answers = bench.apply(&[new]).await;
    assert_eq!(outcomes(&answers), [ChangeOutcome::Replaced]);
    assert_eq!(
        bench.memory.calls(),
        ["create b"],
        "UpdateReplacePolicy keeps the old one"
    );
}

#[tokio::test]
async fn what_is_deleted_goes_before_what_it_names_and_retained_resources_stay() {
    let bench = Bench::new();
    let base = resource(THING, "Base", Some("base"), json!({}));
    let user = naming(
        resource(
            THING,
            "User",
            Some("user"),
            json!({"Uses": {"Ref": "Base"}}),
        ),
        &[&base],
    );
    let note = naming(
        resource(NOTE, "Note", None, json!({"Parent": {"Ref": "User"}})),
        &[&user],
    );
    let mut kept = resource(THING, "Kept", Some("kept"), json!({}));
    kept.deletion_policy = DeletionPolicy::Retain;
    let all = [base, user, note, kept];
    bench.apply(&all).await;
    bench.memory.calls();
    assert_eq!(
        bench.owned().await.into_iter().collect::<BTreeSet<_>>(),
        ["Base", "Note", "User"].map(str::to_owned).into()
    );
    let answers = bench.delete(&all).await;
    assert!(matches!(answers[0], Ok(DeleteOutcome::Deleted)));
    assert!(matches!(answers[3], Ok(DeleteOutcome::Absent)));
    assert_eq!(
        bench.memory.calls(),
        ["delete user|Note", "delete user", "delete base"]
    );
    assert!(bench.owned().await.is_empty());
}

#[tokio::test]
async fn secrets_are_shown_nowhere() {
    let bench = Bench::new();
    let mut thing = resource(
        THING,
        "Thing",
        Some("thing"),
        json!({"Environment": {"Variables": {"DB_PASSWORD": "hunter2"}}, "Key": "k3y"}),
    );
    thing.sensitive = vec!["/Properties/Key".to_owned()];
    let preview = bench
        .applier
        .plan_change(vec![request(&thing)])
        .await
        .pop()
        .unwrap()
        .unwrap();
    let applied = bench.apply(std::slice::from_ref(&thing)).await;
    let read = bench
        .applier
        .read(vec![key(&thing)], ReadOptions::default())
        .await;
    let shown = format!("{preview:?} {applied:?} {read:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("k3y"),
        "{shown}"
    );
    let stored = bench.memory.with(|world| {
        world.things[&(THING.to_owned(), "thing".to_owned())].properties["Key"].clone()
    });
    assert_eq!(stored, json!("k3y"));
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_open_references_are_told() {
    let bench = Bench::new();
    let base = resource(THING, "Base", Some("base"), json!({}));
    let user = naming(
        resource(
            THING,
            "User",
            Some("user"),
            json!({"Uses": {"Ref": "Base"}}),
        ),
        &[&base],
    );
    let mut dry: Vec<ApplyRequest> = [&base, &user].map(request).into();
    dry.iter_mut().for_each(|request| request.dry_run = true);
    let answers = bench.applier.apply(dry).await;
    assert_eq!(outcomes(&answers), [ChangeOutcome::Created; 2]);
    assert_eq!(bench.memory.calls(), Vec::<String>::new());
    // Without what it names there is nothing to put in.
    let alone = bench
        .apply(std::slice::from_ref(&user))
        .await
        .pop()
        .unwrap()
        .unwrap_err();
    assert!(
        alone.message.contains("Ref Base cannot be evaluated"),
        "{alone}"
    );
}
