//! The `Handler` of all types that no other handler serves.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_cloudcontrol::Client;
use aws_sdk_cloudcontrol::types::ProgressEvent;
use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_aws::{
    Aws, Deletion, Handler, LiveResource, Lookup, Mark, Resource, TypeFacts, facts, predicted,
    tags_of,
};
use tidegate_manifest::{Health, HealthStatus};

use crate::identity::{attributes, identifier, name_property, reference};
use crate::patch::patch;
use crate::requests::{begin, done, refusal};
use crate::shapes::shape;
use crate::words::unsupported;

/// Where handlers find the user's tags, whatever a type calls them.
const TAGS: &str = "Tags";
/// Most resources that are looked through for one that only its mark tells.
const SEARCHED_MAX: usize = 500;

/// Cloud Control.
#[derive(Debug)]
pub(crate) struct CloudControl {
    client: Client,
    aws: Aws,
}

impl CloudControl {
    pub(crate) fn new(aws: &Aws) -> Self {
        Self {
            client: Client::new(&aws.config),
            aws: aws.clone(),
        }
    }

    async fn model(
        &self,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<Map<String, Value>>, ApplierError> {
        let asked = self
            .client
            .get_resource()
            .type_name(resource_type)
            .identifier(id)
            .send()
            .await;
        let found = match asked {
            Ok(found) => found.resource_description,
            Err(error) => {
                let error = refusal("GetResource", &error);
                return if error.kind == ErrorKind::NotFound {
                    Ok(None)
                } else {
                    Err(error)
                };
            }
        };
        let text = found.and_then(|found| found.properties).unwrap_or_default();
        parsed(resource_type, &text).map(Some)
    }

    /// Where the resource is looked for: its id, its name, or, when only the service names such a type, its mark.
    async fn identifier(&self, lookup: &Lookup) -> Result<Option<String>, ApplierError> {
        if let Some(id) = &lookup.physical_id {
            return Ok(Some(id.clone()));
        }
        let facts = facts(&lookup.resource_type);
        let mut properties = lookup.properties.clone();
        if let (Some(property), Some(name)) = (name_property(&facts), &lookup.physical_name) {
            let entry = properties.entry(property.to_owned());
            entry.or_insert_with(|| json!(name));
        }
        if let Some(id) = identifier(&facts, &properties) {
            return Ok(Some(id));
        }
        if let Some(id) = self.search(lookup, &facts).await? {
            return Ok(Some(id));
        }
        // A type with a name that is found by its ARN: whose it is, its tags say.
        let name = lookup.physical_name.as_deref();
        let named = predicted(&self.aws, &lookup.resource_type, name, Some(&properties));
        Ok(named.reference)
    }

    async fn search(
        &self,
        lookup: &Lookup,
        facts: &TypeFacts,
    ) -> Result<Option<String>, ApplierError> {
        let is_searchable = facts.tags.is_some() && facts.handlers.contains('L');
        if !is_searchable || lookup.mark.application.is_empty() {
            return Ok(None);
        }
        let (mut token, mut seen) = (None, 0);
        while seen < SEARCHED_MAX {
            let page = self
                .client
                .list_resources()
                .type_name(&lookup.resource_type)
                .set_next_token(token.take())
                .send()
                .await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let error = refusal("ListResources", &error);
                    // Some types are listed only below another resource.
                    return if error.kind == ErrorKind::Invalid {
                        Ok(None)
                    } else {
                        Err(error)
                    };
                }
            };
            for found in page.resource_descriptions() {
                seen += 1;
                let id = found.identifier().unwrap_or_default();
                let shown = found.properties().unwrap_or_default();
                let mut model = parsed(&lookup.resource_type, shown).unwrap_or_default();
                if !model.contains_key(tag_property(facts)) {
                    let read = self.model(&lookup.resource_type, id).await?;
                    model = read.unwrap_or_default();
                }
                let tags = tags_of(model.get(tag_property(facts)));
                if Mark::of_tags(&tags).is_some_and(|mark| is_same(&mark, &lookup.mark)) {
                    return Ok(Some(id.to_owned()));
                }
            }
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        Ok(None)
    }

    async fn follow(
        &self,
        operation: &str,
        event: ProgressEvent,
    ) -> Result<ProgressEvent, ApplierError> {
        done(&self.client, operation, event).await
    }

    /// Whether a resource that is there already was made by an earlier attempt of the same application.
    async fn is_ours(&self, resource: &Resource, id: &str) -> Result<bool, ApplierError> {
        let facts = facts(&resource.resource_type);
        let model = self.model(&resource.resource_type, id).await?;
        let tags = model.map(|model| tags_of(model.get(tag_property(&facts))));
        let mark = tags.and_then(|tags| Mark::of_tags(&tags));
        Ok(mark.is_some_and(|mark| is_same(&mark, &resource.mark)))
    }
}

fn is_same(a: &Mark, b: &Mark) -> bool {
    a.application == b.application && a.id() == b.id()
}

fn parsed(resource_type: &str, text: &str) -> Result<Map<String, Value>, ApplierError> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("the properties of {resource_type} cannot be read: {error}");
        ApplierError::new(ErrorKind::Internal, message)
    })
}

/// The property that holds tags.
fn tag_property(facts: &TypeFacts) -> &str {
    facts.tags.as_deref().unwrap_or(TAGS)
}

/// The model to be asked for: names filled in, tags under their own name and in their own form.
fn desired(resource: &Resource, facts: &TypeFacts) -> Map<String, Value> {
    let mut model = resource.properties.clone();
    model.retain(|name, value| !value.is_null() && !facts.is_read_only(name));
    if let (Some(property), Some(name)) = (name_property(facts), &resource.physical_name) {
        let entry = model.entry(property.to_owned());
        entry.or_insert_with(|| json!(name));
    }
    if let Some(property) = facts.tags.as_deref() {
        model.remove(TAGS);
        let tags = resource.all_tags();
        if !tags.is_empty() {
            let value = tags_value(&resource.resource_type, property, &tags);
            model.insert(property.to_owned(), value);
        }
    }
    model
}

/// Tags as the type has them: a map, or a list of `{Key, Value}`.
fn tags_value(resource_type: &str, property: &str, tags: &BTreeMap<String, String>) -> Value {
    if shape(resource_type).is_some_and(|shape| shape.is_map(property)) {
        return json!(tags);
    }
    let propagated = resource_type == "AWS::AutoScaling::AutoScalingGroup";
    let list = tags.iter().map(|(key, value)| {
        let mut tag = json!({"Key": key, "Value": value});
        if propagated {
            tag["PropagateAtLaunch"] = json!(false);
        }
        tag
    });
    Value::Array(list.collect())
}

#[async_trait]
impl Handler for CloudControl {
    fn types(&self) -> &'static [&'static str] {
        &["*"]
    }

    async fn read(&self, lookup: &Lookup) -> Result<Option<LiveResource>, ApplierError> {
        let kind = &lookup.resource_type;
        if shape(kind).is_none() {
            return Err(unsupported(kind));
        }
        let Some(id) = self.identifier(lookup).await? else {
            return Ok(None);
        };
        let Some(model) = self.model(kind, &id).await? else {
            return Ok(None);
        };
        let facts = facts(kind);
        let property = tag_property(&facts);
        let has_tags = facts.tags.is_some() && !facts.is_write_only(property);
        let tags = has_tags.then(|| tags_of(model.get(property)));
        let mut properties = model.clone();
        properties.retain(|name, value| !value.is_null() && !facts.is_read_only(name));
        if facts.tags.is_some() {
            properties.remove(property);
        }
        Ok(Some(LiveResource {
            reference: reference(kind, &facts, &id),
            attributes: attributes(&facts, &model),
            physical_id: id,
            properties,
            tags,
            version: String::new(),
            health: Health::new(HealthStatus::Healthy, ""),
            is_settled: true,
        }))
    }

    async fn create(&self, resource: &Resource) -> Result<String, ApplierError> {
        let kind = &resource.resource_type;
        if shape(kind).is_none() {
            return Err(unsupported(kind));
        }
        let facts = facts(kind);
        let model = desired(resource, &facts);
        let known = identifier(&facts, &model);
        let text = Value::Object(model).to_string();
        let first = begin(|| async {
            let call = self.client.create_resource().type_name(kind);
            let call = call
                .desired_state(&text)
                .client_token(token(resource, "create"));
            let sent = call.send().await;
            sent.map(|made| made.progress_event)
                .map_err(|error| refusal("CreateResource", &error))
        });
        let made = match first.await {
            Ok(event) => self.follow("CreateResource", event).await,
            Err(error) => Err(error),
        };
        match (made, known) {
            (Ok(event), known) => event.identifier.or(known).ok_or_else(|| {
                let message =
                    format!("{kind} was made, and Cloud Control did not say its identifier");
                ApplierError::new(ErrorKind::Internal, message)
            }),
            (Err(error), Some(id)) if is_there_already(&error) => {
                if self.is_ours(resource, &id).await? {
                    Ok(id)
                } else {
                    Err(error)
                }
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn update(
        &self,
        resource: &Resource,
        live: &LiveResource,
        changed: &BTreeSet<String>,
    ) -> Result<(), ApplierError> {
        let kind = &resource.resource_type;
        let facts = facts(kind);
        let id = &live.physical_id;
        let Some(model) = self.model(kind, id).await? else {
            let message = format!("{kind} {id} went while it was changed");
            return Err(ApplierError::new(ErrorKind::NotFound, message).retryable(true));
        };
        let mut wanted = desired(resource, &facts);
        let mut names = changed.clone();
        if let Some(property) = facts.tags.as_deref()
            && names.remove(TAGS)
        {
            names.insert(property.to_owned());
            let tags = with_foreign_tags(resource, live);
            wanted.insert(property.to_owned(), tags_value(kind, property, &tags));
        }
        let operations = patch(&facts, &model, &wanted, &names);
        if operations.is_empty() {
            return Ok(());
        }
        let text = Value::Array(operations).to_string();
        let step = format!("update {}", live_digest(&model));
        let event = begin(|| async {
            let call = self.client.update_resource().type_name(kind).identifier(id);
            let call = call
                .patch_document(&text)
                .client_token(token(resource, &step));
            let sent = call.send().await;
            sent.map(|made| made.progress_event)
                .map_err(|error| refusal("UpdateResource", &error))
        })
        .await?;
        self.follow("UpdateResource", event).await.map(drop)
    }

    async fn delete(
        &self,
        resource_type: &str,
        physical_id: &str,
    ) -> Result<Deletion, ApplierError> {
        let event = begin(|| async {
            let call = self.client.delete_resource().type_name(resource_type);
            let sent = call.identifier(physical_id).send().await;
            sent.map(|gone| gone.progress_event)
                .map_err(|error| refusal("DeleteResource", &error))
        })
        .await;
        let gone = match event {
            Ok(event) => self.follow("DeleteResource", event).await.map(drop),
            Err(error) => Err(error),
        };
        match gone {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(Deletion::Gone),
        }
    }

    fn normalise(&self, resource_type: &str, properties: &mut Map<String, Value>) {
        let facts = facts(resource_type);
        if let Some(shape) = shape(resource_type) {
            shape.coerce(properties);
        }
        if let Some(property) = facts.tags.as_deref().filter(|name| *name != TAGS)
            && let Some(tags) = properties.remove(property)
        {
            properties.insert(TAGS.to_owned(), tags);
        }
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn holds(
        &self,
        resource_type: &str,
        property: &str,
        declared: &Value,
        live: Option<&Value>,
    ) -> Option<bool> {
        let unseen = facts(resource_type).unseen_below(property);
        let is_unseen = |path: &str| unseen.contains(path);
        Some(shape(resource_type)?.holds(property, declared, live, &is_unseen))
    }
}

/// Tags that others set stay.
fn with_foreign_tags(resource: &Resource, live: &LiveResource) -> BTreeMap<String, String> {
    let mut tags = resource.all_tags();
    for (key, value) in live.tags.iter().flatten() {
        let is_foreign = !key.starts_with("aws:") && !key.starts_with(tidegate_aws::TAG_PREFIX);
        if is_foreign && !resource.removed_tags.contains(key) {
            tags.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    tags
}

fn is_there_already(error: &ApplierError) -> bool {
    error.message.starts_with("AlreadyExists")
}

/// The token of one call: the same attempt at the same state has the same one. 128 of `[-A-Za-z0-9+/=]` are allowed.
fn token(resource: &Resource, step: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let text = format!("{}-{step}", resource.token);
    text.chars().take(128).map(clean).collect()
}

/// A short digest of a model, for tokens.
fn live_digest(model: &Map<String, Value>) -> String {
    use std::hash::{Hash as _, Hasher as _};
    let mut hasher = std::hash::DefaultHasher::new();
    Value::Object(model.clone()).to_string().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
