//! What CloudFormation's registry says of every resource type: identifiers, and which properties are
//! read-only, create-only or write-only (`data/registry.txt`, made by `data/registry.py`). Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

/// The registry's extract.
const REGISTRY: &str = include_str!("../data/registry.txt");

/// Where the registry stops and the service goes on: mappings cannot change these, whatever the
/// registry leaves out (Lambda's API has no field for them in an update).
const MORE_CREATE_ONLY: &[(&str, &[&str])] = &[
    (
        "AWS::Lambda::EventSourceMapping",
        &[
            "Topics",
            "Queues",
            "AmazonManagedKafkaEventSourceConfig.ConsumerGroupId",
            "SelfManagedKafkaEventSourceConfig.ConsumerGroupId",
        ],
    ),
    ("AWS::Lambda::Permission", &["*"]),
    ("AWS::Lambda::LayerVersion", &["*"]),
    ("AWS::Lambda::Version", &["*"]),
];

/// What is known of a resource type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeFacts {
    /// The properties that identify a resource, in order.
    pub primary_identifier: Vec<String>,
    /// Dotted paths that only the target sets.
    pub read_only: Vec<String>,
    /// Dotted paths whose change means a new resource.
    pub create_only: Vec<String>,
    /// Dotted paths whose change may mean a new resource.
    pub conditional_create_only: Vec<String>,
    /// Dotted paths that are taken and never shown.
    pub write_only: Vec<String>,
    /// The property that holds tags.
    pub tags: Option<String>,
    /// Which handlers there are, of `CRUDL`.
    pub handlers: String,
    /// Whether the registry knows the type.
    pub is_known: bool,
}

static FACTS: LazyLock<BTreeMap<&'static str, TypeFacts>> = LazyLock::new(|| {
    let lines = REGISTRY.lines();
    lines.filter_map(read).collect()
});

fn read(line: &'static str) -> Option<(&'static str, TypeFacts)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let mut facts = TypeFacts {
        is_known: true,
        ..TypeFacts::default()
    };
    for word in words {
        let (field, list) = word.split_once('=')?;
        let paths = || list.split(',').map(str::to_owned).collect();
        match field {
            "i" => facts.primary_identifier = paths(),
            "r" => facts.read_only = paths(),
            "c" => facts.create_only = paths(),
            "d" => facts.conditional_create_only = paths(),
            "w" => facts.write_only = paths(),
            "t" => facts.tags = Some(list.to_owned()),
            "h" => list.clone_into(&mut facts.handlers),
            _ => {}
        }
    }
    let more = MORE_CREATE_ONLY.iter().find(|(of, _)| *of == name);
    let more = more.map(|(_, paths)| *paths).unwrap_or_default();
    facts
        .create_only
        .extend(more.iter().map(|path| (*path).to_owned()));
    // What has no update handler and is made and deleted can only be replaced.
    if facts.handlers.contains('C') && facts.handlers.contains('R') && !facts.handlers.contains('U')
    {
        facts.create_only.push("*".to_owned());
    }
    Some((name, facts))
}

/// What is known of a type; nothing of one that the registry does not have.
pub fn facts(resource_type: &str) -> TypeFacts {
    FACTS.get(resource_type).cloned().unwrap_or_default()
}

/// Whether the registry has a type.
pub(crate) fn is_known(resource_type: &str) -> bool {
    FACTS.contains_key(resource_type)
}

impl TypeFacts {
    /// Whether only the target sets a top-level property.
    pub fn is_read_only(&self, name: &str) -> bool {
        let is_create_only = self.create_only.iter().any(|path| path == name);
        !is_create_only && self.read_only.iter().any(|path| path == name)
    }

    /// Whether a whole top-level property is taken and never shown.
    pub fn is_write_only(&self, name: &str) -> bool {
        self.write_only.iter().any(|path| path == name)
    }

    /// The paths inside a top-level property that are taken and never shown.
    pub fn unseen_below(&self, name: &str) -> BTreeSet<String> {
        let inside = self.write_only.iter().filter_map(|path| {
            let (first, rest) = path.split_once('.')?;
            (first == name).then(|| rest.to_owned())
        });
        inside.collect()
    }

    /// Whether a change of a top-level property from `live` to `wanted` needs a new resource.
    pub fn forbids_change(&self, name: &str, wanted: Option<&Value>, live: Option<&Value>) -> bool {
        self.create_only.iter().any(|path| {
            if path == "*" {
                return name != "Tags";
            }
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            if first != name {
                return false;
            }
            rest.is_empty() || at(wanted, rest) != at(live, rest)
        })
    }
}

fn at<'v>(value: Option<&'v Value>, path: &str) -> Option<&'v Value> {
    let mut here = value?;
    for step in path.split('.') {
        if step == "*" {
            return Some(here);
        }
        here = here.get(step)?;
    }
    Some(here)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_registry_is_whole() {
        assert!(FACTS.len() > 1_800);
        let function = facts("AWS::Lambda::Function");
        assert_eq!(function.primary_identifier, ["FunctionName"]);
        assert!(function.forbids_change("PackageType", Some(&json!("Image")), None));
        assert!(!function.forbids_change("MemorySize", Some(&json!(1)), None));
        assert!(function.is_read_only("Arn"));
        assert!(!facts("AWS::No::Such").is_known);
    }

    #[test]
    fn mappings_are_bound_to_topic_and_group() {
        let mapping = facts("AWS::Lambda::EventSourceMapping");
        let (a, b) = (
            json!({"ConsumerGroupId": "a"}),
            json!({"ConsumerGroupId": "b"}),
        );
        let name = "SelfManagedKafkaEventSourceConfig";
        assert!(mapping.forbids_change(name, Some(&a), Some(&b)));
        assert!(!mapping.forbids_change(name, Some(&a), Some(&a)));
        assert!(mapping.forbids_change("StartingPosition", Some(&json!("LATEST")), None));
        assert!(!mapping.forbids_change("BatchSize", Some(&json!(1)), None));
    }
}
