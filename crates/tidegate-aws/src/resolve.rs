//! Answers to what resources ask of each other: by what a batch makes, by what lives, by names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_manifest::{CloudFormationResource, DeletionPolicy, TrackingId, annotation};

use crate::applier::Inner;
use crate::evaluate::{Ask, asks, dynamic_references, evaluate, replace_dynamic};
use crate::{LiveResource, Lookup, Mark, Resource, Unresolved, predicted};

/// What is known while one batch is worked on.
#[derive(Debug, Default)]
pub(crate) struct Known<'b> {
    /// The resources of the batch, by stack and logical id.
    pub(crate) batch: BTreeMap<(String, String), &'b CloudFormationResource>,
    /// Live resources that were read, or that the batch made.
    live: Mutex<BTreeMap<(String, String), Option<LiveResource>>>,
}

impl<'b> Known<'b> {
    /// What a batch says by itself.
    pub(crate) fn of(batch: impl IntoIterator<Item = &'b CloudFormationResource>) -> Self {
        let entry = |resource: &'b CloudFormationResource| {
            let key = (resource.stack.clone(), resource.logical_id.clone());
            (key, resource)
        };
        Self {
            batch: batch.into_iter().map(entry).collect(),
            live: Mutex::default(),
        }
    }

    /// Remembers a live resource.
    pub(crate) fn learn(&self, stack: &str, logical_id: &str, live: Option<LiveResource>) {
        let mut known = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((stack.to_owned(), logical_id.to_owned()), live);
    }

    fn live(&self, stack: &str, logical_id: &str) -> Option<Option<LiveResource>> {
        let known = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (stack.to_owned(), logical_id.to_owned());
        known.get(&key).cloned()
    }
}

/// Deepest chain of resources whose own lookups need others.
const CHAIN_MAX: usize = 8;

impl Inner {
    /// The wanted resource with every reference evaluated that can be, and what is left open.
    pub(crate) async fn evaluated(
        &self,
        resource: &CloudFormationResource,
        known: &Known<'_>,
        application: &str,
        depth: usize,
    ) -> Result<(Resource, Unresolved), ApplierError> {
        let properties = Value::Object(resource.properties.clone());
        let mut wanted = BTreeSet::new();
        asks(&properties, &mut wanted);
        let mut answers = BTreeMap::new();
        for ask in wanted {
            if let Some(found) = self
                .answer(resource, &ask, known, application, depth)
                .await?
            {
                answers.insert(ask.to_string(), found);
            }
        }
        let (properties, open) = evaluate(&resource.properties, &answers);
        let resource = Resource {
            resource_type: resource.resource_type.clone(),
            physical_name: resource.physical_name.clone(),
            properties,
            mark: mark_of(resource),
            token: String::new(),
            removed_tags: BTreeSet::new(),
        };
        Ok((resource, open))
    }

    /// Puts looked-up values into a resource that is about to be applied.
    pub(crate) async fn with_dynamic_values(
        &self,
        resource: &mut Resource,
    ) -> Result<(), ApplierError> {
        let mut references = BTreeSet::new();
        for value in resource.properties.values() {
            dynamic_references(value, &mut references);
        }
        let mut known = BTreeMap::new();
        for (service, rest) in references {
            let found = self.dynamic.resolve(&service, &rest).await?;
            known.insert((service, rest), found);
        }
        if !known.is_empty() {
            for value in resource.properties.values_mut() {
                replace_dynamic(value, &known);
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        resource: &CloudFormationResource,
        ask: &Ask,
        known: &Known<'_>,
        application: &str,
        depth: usize,
    ) -> Result<Option<Value>, ApplierError> {
        let id = ask.logical_id();
        let Some(reference) = resource.references.get(id) else {
            return Ok(None);
        };
        let stack = reference.stack.as_deref().unwrap_or(&resource.stack);
        let other = known.batch.get(&(stack.to_owned(), id.to_owned())).copied();
        let name = other.map_or(&reference.physical_name, |other| &other.physical_name);
        let properties = other.map(|other| &other.properties);
        let ready = predicted(
            &self.aws,
            &reference.resource_type,
            name.as_deref(),
            properties,
        );
        if let Some(found) = of_known(ask, ready.reference, &ready.attributes) {
            return Ok(Some(found));
        }
        let live = match known.live(stack, id) {
            Some(live) => live,
            None if depth >= CHAIN_MAX => None,
            None => {
                let live = match other {
                    Some(other) => {
                        Box::pin(self.live_of(other, known, application, depth + 1)).await?
                    }
                    None => {
                        let lookup = Lookup {
                            resource_type: reference.resource_type.clone(),
                            physical_name: reference.physical_name.clone(),
                            mark: Mark {
                                application: application.to_owned(),
                                stack: stack.to_owned(),
                                logical_id: id.to_owned(),
                                ..Mark::default()
                            },
                            ..Lookup::default()
                        };
                        self.find(lookup, Some(application)).await?.0
                    }
                };
                known.learn(stack, id, live.clone());
                live
            }
        };
        Ok(live.and_then(|live| of_known(ask, Some(live.reference), &live.attributes)))
    }

    /// The live state of a resource of the batch.
    pub(crate) async fn live_of(
        &self,
        resource: &CloudFormationResource,
        known: &Known<'_>,
        application: &str,
        depth: usize,
    ) -> Result<Option<LiveResource>, ApplierError> {
        let (wanted, _) = self.evaluated(resource, known, application, depth).await?;
        Ok(self.find(lookup_of(&wanted), Some(application)).await?.0)
    }
}

fn of_known(
    ask: &Ask,
    reference: Option<String>,
    attributes: &BTreeMap<String, Value>,
) -> Option<Value> {
    match ask {
        Ask::Reference(_) => reference.map(Value::String),
        Ask::Attribute(_, name) => attributes.get(name).cloned(),
    }
}

/// What a wanted resource is looked for by.
pub(crate) fn lookup_of(wanted: &Resource) -> Lookup {
    Lookup {
        resource_type: wanted.resource_type.clone(),
        physical_id: None,
        physical_name: wanted.physical_name.clone(),
        properties: wanted.properties.clone(),
        mark: wanted.mark.clone(),
    }
}

/// The mark that a resource is to bear: that of its tracking annotation.
pub(crate) fn mark_of(resource: &CloudFormationResource) -> Mark {
    let tracking = resource.annotations.get(annotation::TRACKING_ID);
    let tracking = tracking.and_then(|id| TrackingId::parse(id));
    let kept = resource
        .annotations
        .iter()
        .filter(|(name, _)| name.as_str() != annotation::TRACKING_ID);
    Mark {
        application: tracking.map(|id| id.application).unwrap_or_default(),
        stack: resource.stack.clone(),
        logical_id: resource.logical_id.clone(),
        annotations: kept.map(|(k, v)| (k.clone(), v.clone())).collect(),
        retain: resource.deletion_policy != DeletionPolicy::Delete,
    }
}

/// Why a resource cannot be applied while something is left open.
pub(crate) fn open_error(open: &Unresolved) -> ApplierError {
    let what: Vec<&str> = open.0.iter().map(String::as_str).collect();
    let message = format!(
        "{} cannot be evaluated: the resource that it names is not there or has no such attribute",
        what.join(", ")
    );
    ApplierError::new(ErrorKind::Invalid, message)
        .help("see why the resource that is named was not created; its own error says so")
}
