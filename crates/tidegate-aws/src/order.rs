//! In which order the resources of one batch are worked on: what one names comes before it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_manifest::CloudFormationResource;

/// The resources of a batch that each must wait for, by place in the batch.
pub(crate) fn dependencies(batch: &[&CloudFormationResource]) -> Vec<BTreeSet<usize>> {
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (place, resource) in batch.iter().enumerate() {
        places.insert((&resource.stack, &resource.logical_id), place);
    }
    let mut needs: Vec<BTreeSet<usize>> = Vec::with_capacity(batch.len());
    for (place, resource) in batch.iter().enumerate() {
        let named = resource.references.iter().map(|(id, reference)| {
            let stack = reference.stack.as_deref().unwrap_or(&resource.stack);
            (stack, id.as_str())
        });
        let declared = resource.depends_on.iter();
        let declared = declared.map(|id| (resource.stack.as_str(), id.as_str()));
        let found = named.chain(declared).filter_map(|key| places.get(&key));
        needs.push(found.copied().filter(|other| *other != place).collect());
    }
    for (before, after) in implied(batch) {
        if !reaches(&needs, before, after) {
            needs[after].insert(before);
        }
    }
    needs
}

/// Pairs that templates leave unsaid and that AWS refuses, or races on, in the other order.
fn implied(batch: &[&CloudFormationResource]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (place, resource) in batch.iter().enumerate() {
        let of = |other: &&CloudFormationResource| other.stack == resource.stack;
        let others = || {
            batch
                .iter()
                .enumerate()
                .filter(move |(at, other)| *at != place && of(other))
        };
        match resource.resource_type.as_str() {
            // What assumes the role acts with what the policy grants.
            "AWS::IAM::Policy" | "AWS::IAM::RolePolicy" => {
                let roles = referenced_by(resource, &["Roles", "RoleName"]);
                for (at, other) in others() {
                    let is_iam = other.resource_type.starts_with("AWS::IAM::");
                    if !is_iam
                        && other
                            .references
                            .keys()
                            .any(|id| roles.contains(id.as_str()))
                    {
                        pairs.push((place, at));
                    }
                }
            }
            // S3, SNS and Logs ask Lambda whether they may invoke.
            "AWS::Lambda::Permission" => {
                let functions = referenced_by(resource, &["FunctionName"]);
                for (at, other) in others() {
                    let asks = matches!(
                        other.resource_type.as_str(),
                        "AWS::S3::Bucket"
                            | "AWS::SNS::Subscription"
                            | "AWS::Logs::SubscriptionFilter"
                            | "Tidegate::S3::BucketNotification"
                    );
                    if asks
                        && other
                            .references
                            .keys()
                            .any(|id| functions.contains(id.as_str()))
                    {
                        pairs.push((place, at));
                    }
                }
            }
            // SNS and S3 ask the queue whether they may send.
            "AWS::SQS::QueuePolicy" => {
                let queues = referenced_by(resource, &["Queues"]);
                for (at, other) in others() {
                    let asks = matches!(
                        other.resource_type.as_str(),
                        "AWS::S3::Bucket" | "AWS::SNS::Subscription"
                    );
                    if asks
                        && other
                            .references
                            .keys()
                            .any(|id| queues.contains(id.as_str()))
                    {
                        pairs.push((place, at));
                    }
                }
            }
            // Lambda would make the group itself, without its retention.
            "AWS::Logs::LogGroup" => {
                let name = resource.physical_name.as_deref().unwrap_or_default();
                let Some(function) = name.strip_prefix("/aws/lambda/") else {
                    continue;
                };
                for (at, other) in others() {
                    let is_function = other.resource_type == "AWS::Lambda::Function";
                    if is_function && other.physical_name.as_deref() == Some(function) {
                        pairs.push((place, at));
                    }
                }
            }
            _ => {}
        }
    }
    pairs
}

/// The logical ids that some properties name.
fn referenced_by<'r>(resource: &'r CloudFormationResource, names: &[&str]) -> BTreeSet<&'r str> {
    let mut asks = BTreeSet::new();
    for name in names {
        if let Some(value) = resource.properties.get(*name) {
            crate::evaluate::asks(value, &mut asks);
        }
    }
    let named = resource.references.keys().map(String::as_str);
    named
        .filter(|id| asks.iter().any(|ask| ask.logical_id() == *id))
        .collect()
}

/// Whether `from` waits for `to`, at once or through others.
fn reaches(needs: &[BTreeSet<usize>], from: usize, to: usize) -> bool {
    let mut open = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(here) = open.pop() {
        if here == to {
            return true;
        }
        if seen.insert(here) {
            open.extend(needs[here].iter().copied());
        }
    }
    false
}

/// The members of circles: nothing of them can begin.
pub(crate) fn circular(needs: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let mut open: BTreeSet<usize> = (0..needs.len()).collect();
    loop {
        let free: Vec<usize> = open
            .iter()
            .copied()
            .filter(|place| needs[*place].is_disjoint(&open))
            .collect();
        if free.is_empty() {
            return open;
        }
        for place in free {
            open.remove(&place);
        }
    }
}

/// Types in the order in which they go, for what no record orders; others go between.
const DELETION: &[&str] = &[
    "AWS::Lambda::EventSourceMapping",
    "Tidegate::S3::BucketNotification",
    "AWS::SNS::Subscription",
    "AWS::Logs::SubscriptionFilter",
    "AWS::Scheduler::Schedule",
    "AWS::Events::Rule",
    "AWS::StepFunctions::StateMachineAlias",
    "AWS::StepFunctions::StateMachineVersion",
    "AWS::StepFunctions::StateMachine",
    "AWS::Lambda::Url",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Alias",
    "AWS::Lambda::Version",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Kinesis::StreamConsumer",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SNS::TopicPolicy",
];
/// Types that go when nothing else is left.
const LAST: &[&str] = &[
    "AWS::IAM::Policy",
    "AWS::IAM::RolePolicy",
    "AWS::IAM::Role",
    "AWS::IAM::ManagedPolicy",
    "AWS::Logs::LogGroup",
];

/// The step of a deletion in which a type goes.
pub(crate) fn deletion_rank(resource_type: &str) -> usize {
    let at = |list: &[&str]| list.iter().position(|name| *name == resource_type);
    match (at(DELETION), at(LAST)) {
        (Some(rank), _) => rank,
        (None, None) => DELETION.len(),
        (None, Some(rank)) => DELETION.len() + 1 + rank,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidegate_manifest::ResourceReference;

    use super::*;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a table of literals reads better"
    )]
    fn resource(id: &str, ty: &str, properties: Value) -> CloudFormationResource {
        let mut asks = BTreeSet::new();
        crate::evaluate::asks(&properties, &mut asks);
        let references = asks
            .iter()
            .map(|ask| (ask.logical_id().to_owned(), ResourceReference::default()));
        CloudFormationResource {
            resource_type: ty.to_owned(),
            stack: "s".to_owned(),
            logical_id: id.to_owned(),
            references: references.collect(),
            properties: properties.as_object().cloned().unwrap_or_default(),
            ..CloudFormationResource::default()
        }
    }

    #[test]
    fn references_and_what_goes_without_saying_order_a_batch() {
        let function = resource(
            "F",
            "AWS::Lambda::Function",
            json!({"Role": {"Fn::GetAtt": ["R", "Arn"]}}),
        );
        let role = resource("R", "AWS::IAM::Role", json!({}));
        let policy = resource("P", "AWS::IAM::Policy", json!({"Roles": [{"Ref": "R"}]}));
        let permission = resource(
            "L",
            "AWS::Lambda::Permission",
            json!({"FunctionName": {"Ref": "F"}}),
        );
        let bucket = resource(
            "B",
            "AWS::S3::Bucket",
            json!({"N": {"Fn::GetAtt": ["F", "Arn"]}}),
        );
        let batch = [&function, &role, &policy, &permission, &bucket];
        let needs = dependencies(&batch);
        let at = |place: usize| needs[place].iter().copied().collect::<Vec<_>>();
        assert_eq!(at(0), [1, 2]);
        assert!(at(1).is_empty());
        assert_eq!(at(2), [1]);
        assert_eq!(at(3), [0]);
        assert_eq!(at(4), [0, 3]);
        assert!(circular(&needs).is_empty());
    }

    #[test]
    fn an_implied_order_gives_way_to_a_declared_one() {
        let bucket = resource(
            "B",
            "AWS::S3::Bucket",
            json!({"N": {"Fn::GetAtt": ["F", "Arn"]}}),
        );
        let permission = resource(
            "L",
            "AWS::Lambda::Permission",
            json!({"FunctionName": {"Ref": "F"}, "SourceArn": {"Fn::GetAtt": ["B", "Arn"]}}),
        );
        let needs = dependencies(&[&bucket, &permission]);
        assert_eq!(needs, [BTreeSet::new(), BTreeSet::from([0])]);
    }

    #[test]
    fn circles_are_found() {
        let a = resource("A", "T", json!({"X": {"Ref": "B"}}));
        let b = resource("B", "T", json!({"X": {"Ref": "A"}}));
        let c = resource("C", "T", json!({}));
        let needs = dependencies(&[&a, &b, &c]);
        assert_eq!(circular(&needs), BTreeSet::from([0, 1]));
    }

    #[test]
    fn mappings_go_first_and_roles_last() {
        let rank = deletion_rank;
        assert!(rank("AWS::Lambda::EventSourceMapping") < rank("AWS::Lambda::Function"));
        assert!(rank("AWS::Lambda::Function") < rank("AWS::Kinesis::Stream"));
        assert!(rank("AWS::Kinesis::Stream") < rank("AWS::IAM::Role"));
    }
}
