//! Two resource types in memory: things that have names and tags, and notes that hang on things and have neither.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{Aws, Deletion, Handler, LiveResource, Lookup, Resource};
use tidegate_manifest::{Health, HealthStatus};

/// A type with names, tags and a create-only property (`Engine`).
pub(crate) const THING: &str = "AWS::Glue::Job";
/// A type of precious things.
pub(crate) const STORE: &str = "AWS::Kinesis::Stream";
/// A type without name and tags.
pub(crate) const NOTE: &str = "AWS::Lambda::Alias";

/// One thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thing {
    pub(crate) properties: Map<String, Value>,
    pub(crate) tags: Option<BTreeMap<String, String>>,
    /// Reads until it is settled.
    pub(crate) unsettled: u32,
    pub(crate) degraded: Option<String>,
}

/// All things, by type and physical id, and every call that changed something.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) things: BTreeMap<(String, String), Thing>,
    pub(crate) calls: Vec<String>,
    pub(crate) refuse: BTreeMap<String, ApplierError>,
    /// New things need this many reads to settle.
    pub(crate) delay: u32,
    /// New things end degraded.
    pub(crate) degrade: bool,
}

/// The handler of all three types.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(pub(crate) Arc<Mutex<World>>);

impl Memory {
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }
}

/// A connection to nothing.
pub(crate) fn nowhere() -> Aws {
    Aws {
        config: aws_types::SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .build(),
        account_id: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        partition: "aws".to_owned(),
        endpoint_url: None,
    }
}

fn id_of(resource: &Resource) -> String {
    match &resource.physical_name {
        Some(name) => name.clone(),
        None => format!(
            "{}|{}",
            resource.text("Parent").unwrap_or_default(),
            resource.mark.logical_id
        ),
    }
}

#[async_trait]
impl Handler for Memory {
    fn types(&self) -> &'static [&'static str] {
        &[THING, STORE, NOTE]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let mut world = self.0.lock().unwrap();
        let mut ids: Vec<String> = lookup.physical_id.clone().into_iter().collect();
        ids.extend(lookup.physical_name.clone());
        if let Some(on) = lookup.text("Parent") {
            ids.push(format!("{on}|{}", lookup.mark.logical_id));
        }
        for id in ids {
            let key = (lookup.resource_type.clone(), id.clone());
            let Some(thing) = world.things.get_mut(&key) else {
                continue;
            };
            let is_settled = thing.unsettled == 0;
            thing.unsettled = thing.unsettled.saturating_sub(1);
            let health = match (&thing.degraded, is_settled) {
                (Some(why), true) => Health::new(HealthStatus::Degraded, why),
                (_, true) => Health::new(HealthStatus::Healthy, ""),
                (_, false) => Health::new(HealthStatus::Progressing, "on its way"),
            };
            return Ok(Some(LiveResource {
                reference: id.clone(),
                attributes: BTreeMap::from([("Arn".to_owned(), json!(format!("arn:x:{id}")))]),
                properties: thing.properties.clone(),
                tags: thing.tags.clone(),
                version: String::new(),
                physical_id: id,
                health,
                is_settled,
            }));
        }
        Ok(None)
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let mut world = self.0.lock().unwrap();
        let id = id_of(resource);
        if let Some(error) = world.refuse.get(&id) {
            return Err(error.clone());
        }
        if resource.properties.contains_key("Bad") {
            return Err(ApplierError::new(ErrorKind::Invalid, "Bad is not allowed"));
        }
        world.calls.push(format!("create {id}"));
        let mut properties = resource.properties.clone();
        properties.remove("Tags");
        let thing = Thing {
            properties,
            tags: (resource.resource_type != NOTE).then(|| resource.all_tags()),
            unsettled: world.delay,
            degraded: world.degrade.then(|| "it broke".to_owned()),
        };
        let key = (resource.resource_type.clone(), id.clone());
        world.things.insert(key, thing);
        Ok(id)
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let mut world = self.0.lock().unwrap();
        let id = live.physical_id.clone();
        if let Some(error) = world.refuse.get(&id) {
            return Err(error.clone());
        }
        let names: Vec<&str> = changed.iter().map(String::as_str).collect();
        world.calls.push(format!("update {id} {}", names.join(",")));
        let delay = world.delay;
        let key = (resource.resource_type.clone(), id);
        let thing = world.things.get_mut(&key).unwrap();
        thing.unsettled = delay;
        for name in changed.iter().filter(|name| *name != "Tags") {
            match resource.get(name) {
                Some(value) => thing.properties.insert(name.clone(), value.clone()),
                None => thing.properties.remove(name),
            };
        }
        if changed.contains("Tags") {
            thing.tags = Some(resource.all_tags());
        }
        Ok(())
    }

    async fn delete(&self, resource_type: &str, id: &str) -> Result<Deletion, ApplierError> {
        let mut world = self.0.lock().unwrap();
        let key = (resource_type.to_owned(), id.to_owned());
        if world.things.remove(&key).is_some() {
            world.calls.push(format!("delete {id}"));
        }
        Ok(Deletion::Gone)
    }
}
