//! SNS: topics, subscriptions, filter policies, publishing to queues and functions.
//!
//! `topic` holds topics and subscriptions, `manage` changes them, `publish` delivers. Must not know: XML, HTTP.

use std::collections::BTreeMap;

use serde_json::Value;

mod manage;
mod publish;
mod topic;

use crate::effect::Effect;
use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};
use topic::{Subscription, Topic};

/// Topics of one region.
const TOPICS: usize = 1_000;
/// Subscriptions of one topic: all their messages are made at once.
const TOPIC_SUBSCRIPTIONS: usize = 200;
/// Subscriptions of one region.
const SUBSCRIPTIONS: usize = 5_000;

/// The topics of one region.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    topics: BTreeMap<String, Topic>,
    subscriptions: BTreeMap<String, Subscription>,
    counter: u64,
}

pub(super) fn model() -> &'static Model {
    shape::model!("sns")
}

fn invalid(words: impl Into<String>) -> Refusal {
    refuse(
        "InvalidParameter",
        format!("Invalid parameter: {}", words.into()),
    )
}

impl Topics {
    /// Answers one operation; deliveries that it causes are added to `effects`.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        operation: &str,
        input: &Value,
        effects: &mut Vec<Effect>,
    ) -> Result<Value, Refusal> {
        let mut call = Call {
            topics: self,
            scope,
            input,
        };
        match operation {
            "CreateTopic" => call.create(),
            "DeleteTopic" => Ok(call.delete()),
            "ListTopics" => Ok(call.list()),
            "GetTopicAttributes" => call.topic_attributes(),
            "SetTopicAttributes" => call.set_topic_attributes(),
            "AddPermission" => call.add_permission(),
            "RemovePermission" => call.remove_permission(),
            "TagResource" => call.tag(),
            "UntagResource" => call.untag(),
            "ListTagsForResource" => call.list_tags(),
            "Subscribe" => call.subscribe(),
            "Unsubscribe" => Ok(call.unsubscribe()),
            "ConfirmSubscription" => call.confirm(),
            "ListSubscriptions" => Ok(call.list_subscriptions(None)),
            "ListSubscriptionsByTopic" => {
                let arn = call.topic()?.arn.clone();
                Ok(call.list_subscriptions(Some(&arn)))
            }
            "GetSubscriptionAttributes" => call.subscription_attributes(),
            "SetSubscriptionAttributes" => call.set_subscription_attributes(),
            "PutDataProtectionPolicy" => call.put_data_protection(),
            "GetDataProtectionPolicy" => call.get_data_protection(),
            "Publish" => call.publish(effects),
            "PublishBatch" => call.publish_batch(effects),
            other => Err(Refusal::unsupported("SNS", other)),
        }
    }

    /// Every topic with its tags, for the tagging API.
    pub(crate) fn tagged(&self) -> Vec<(String, BTreeMap<String, String>)> {
        self.topics
            .values()
            .map(|topic| (topic.arn.clone(), topic.tags.clone()))
            .collect()
    }
}

/// One request to the topics of a region.
struct Call<'a> {
    topics: &'a mut Topics,
    scope: &'a Scope,
    input: &'a Value,
}

impl Call<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.input.get(field).and_then(Value::as_str)
    }

    fn topic_of(&mut self, field: &str) -> Result<&mut Topic, Refusal> {
        let arn = self.text(field).unwrap_or("").to_owned();
        if arn.splitn(6, ':').count() != 6 {
            return Err(invalid(format!(
                "{field} Reason: An ARN must have at least 6 elements, not {}",
                arn.split(':').count()
            )));
        }
        self.topics
            .topics
            .get_mut(&arn)
            .ok_or_else(|| refuse("NotFound", "Topic does not exist").status(404))
    }

    fn topic(&mut self) -> Result<&mut Topic, Refusal> {
        self.topic_of("TopicArn")
    }

    fn subscription(&mut self) -> Result<&mut Subscription, Refusal> {
        let arn = self.text("SubscriptionArn").unwrap_or("").to_owned();
        self.topics
            .subscriptions
            .get_mut(&arn)
            .ok_or_else(|| refuse("NotFound", "Subscription does not exist").status(404))
    }
}
