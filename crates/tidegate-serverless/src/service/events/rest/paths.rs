//! The resources of a REST API: one for each part of each path.
//!
//! Must not know: methods.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::endpoint::Endpoint;
use crate::service::context::{Composer, Context, entries, items};
use crate::service::events::common::{self, given};
use crate::service::events::script;

/// The references of resources by their paths.
pub(super) struct Paths {
    root: Value,
    resources: BTreeMap<String, Value>,
}

impl Paths {
    /// The resource of a path that an endpoint has.
    pub(super) fn resource(&self, path: &str) -> Value {
        self.resources.get(path).unwrap_or(&self.root).clone()
    }
}

/// The parts of a path that lead to it, itself last.
fn ancestors(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    let ends = path.match_indices('/').map(|(index, _)| index);
    let ends: Vec<usize> = ends.chain([path.len()]).collect();
    ends.into_iter().map(|end| path.get(..end).unwrap_or(path))
}

fn trimmed(path: &str) -> String {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path).to_owned()
}

/// The resources that are there already, by their paths.
fn existing(context: &Context<'_>) -> BTreeMap<String, Value> {
    let listed = context.setting(&["apiGateway", "restApiResources"]);
    let mapped = entries(listed).iter();
    let mapped = mapped.map(|(key, id)| (trimmed(&key.text), id.to_json()));
    let in_list = items(listed).iter().filter_map(|item| {
        let path = given(item, "path").map(script::text)?;
        Some((trimmed(&path), given(item, "resourceId")?.to_json()))
    });
    mapped.chain(in_list).collect()
}

/// Adds the resources of all endpoints.
pub(super) fn compile(
    context: &Context<'_>,
    endpoints: &[Endpoint<'_>],
    template: &mut Composer,
) -> Paths {
    let root = context
        .setting(&["apiGateway", "restApiRootResourceId"])
        .map_or_else(
            || json!({"Fn::GetAtt": [super::API, "RootResourceId"]}),
            Node::to_json,
        );
    let known = existing(context);
    let mut paths = Paths {
        root,
        resources: known.clone(),
    };
    for endpoint in endpoints {
        if endpoint.path.is_empty() || known.contains_key(&endpoint.path) {
            continue;
        }
        if let Some(path) = unreachable_from(&endpoint.path, &known) {
            template.error(
                common::REFUSED,
                format!("Resource ID for path {path} is required"),
                context.place(endpoint.event),
                "add the path to `provider.apiGateway.restApiResources`",
            );
            continue;
        }
        let start = ancestors(&endpoint.path)
            .rev()
            .find(|path| known.contains_key(*path));
        for path in ancestors(&endpoint.path) {
            let is_above = start.is_some_and(|start| path.len() <= start.len());
            if !is_above && !paths.resources.contains_key(path) {
                add(context, path, endpoint, &mut paths, template);
            }
        }
    }
    paths
}

/// The part of a path that another service has made, as what it has made below shows, but whose
/// id is not given.
fn unreachable_from<'p>(path: &'p str, known: &BTreeMap<String, Value>) -> Option<&'p str> {
    if ancestors(path).any(|path| known.contains_key(path)) {
        return None;
    }
    ancestors(path).rev().find(|path| {
        known.keys().any(|known| {
            known
                .strip_prefix(*path)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    })
}

fn add(
    context: &Context<'_>,
    path: &str,
    endpoint: &Endpoint<'_>,
    paths: &mut Paths,
    template: &mut Composer,
) {
    let (parent, part) = path.rsplit_once('/').unwrap_or(("", path));
    let id = format!("ApiGatewayResource{}", common::path_id(path));
    let resource = json!({
        "Type": "AWS::ApiGateway::Resource",
        "Properties": {
            "ParentId": paths.resource(parent),
            "PathPart": part,
            "RestApiId": super::reference(context),
        },
    });
    paths.resources.insert(path.to_owned(), json!({"Ref": id}));
    template.resource(id, resource, endpoint.event.span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_path_leads_to_it() {
        let all: Vec<&str> = ancestors("a/b/c").collect();
        assert_eq!(all, ["a", "a/b", "a/b/c"]);
    }

    #[test]
    fn resources_of_other_services_need_their_ids() {
        let known = BTreeMap::from([("a/b".to_owned(), json!("x"))]);
        assert_eq!(unreachable_from("a/c", &known), Some("a"));
        assert_eq!(unreachable_from("a/b/c", &known), None);
        assert_eq!(unreachable_from("ab", &known), None);
    }
}
