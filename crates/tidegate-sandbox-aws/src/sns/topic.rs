//! Topics and subscriptions as they are kept and read back.
//!
//! Must not know: requests, delivery.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The attributes that can be set on a topic.
pub(super) const TOPIC_ATTRIBUTES: [&str; 28] = [
    "DeliveryPolicy",
    "DisplayName",
    "Policy",
    "KmsMasterKeyId",
    "TracingConfig",
    "SignatureVersion",
    "FifoTopic",
    "FifoThroughputScope",
    "ContentBasedDeduplication",
    "ArchivePolicy",
    "DataProtectionPolicy",
    "HTTPSuccessFeedbackRoleArn",
    "HTTPSuccessFeedbackSampleRate",
    "HTTPFailureFeedbackRoleArn",
    "FirehoseSuccessFeedbackRoleArn",
    "FirehoseSuccessFeedbackSampleRate",
    "FirehoseFailureFeedbackRoleArn",
    "LambdaSuccessFeedbackRoleArn",
    "LambdaSuccessFeedbackSampleRate",
    "LambdaFailureFeedbackRoleArn",
    "ApplicationSuccessFeedbackRoleArn",
    "ApplicationSuccessFeedbackSampleRate",
    "ApplicationFailureFeedbackRoleArn",
    "SQSSuccessFeedbackRoleArn",
    "SQSSuccessFeedbackSampleRate",
    "SQSFailureFeedbackRoleArn",
    "MobileFeedback",
    "ApplicationAttributes",
];
/// The attributes that can be set on a subscription.
pub(super) const SUBSCRIPTION_ATTRIBUTES: [&str; 7] = [
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
    "SubscriptionRoleArn",
    "ReplayPolicy",
];

#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) deleted: u64,
    /// FIFO deduplication ids with moment, message id and sequence number.
    pub(super) seen: BTreeMap<String, (Timestamp, String, String)>,
}

impl Topic {
    pub(super) fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }

    /// The attributes as they are read back.
    pub(super) fn describe(
        &self,
        account: &str,
        confirmed: usize,
        pending: usize,
    ) -> Map<String, Value> {
        let mut map = Map::new();
        let mut set = |name: &str, value: String| {
            map.insert(name.to_owned(), Value::String(value));
        };
        set("TopicArn", self.arn.clone());
        set("Owner", account.to_owned());
        set("DisplayName", String::new());
        set("Policy", default_policy(&self.arn, account));
        set("SubscriptionsConfirmed", confirmed.to_string());
        set("SubscriptionsPending", pending.to_string());
        set("SubscriptionsDeleted", self.deleted.to_string());
        set("EffectiveDeliveryPolicy", delivery_policy());
        if self.is_fifo() {
            set("FifoTopic", "true".into());
            set("ContentBasedDeduplication", "false".into());
        }
        for (name, value) in &self.attributes {
            set(name, value.clone());
        }
        map
    }
}

fn default_policy(arn: &str, account: &str) -> String {
    json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [
                "SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:AddPermission",
                "SNS:RemovePermission", "SNS:DeleteTopic", "SNS:Subscribe",
                "SNS:ListSubscriptionsByTopic", "SNS:Publish"
            ],
            "Resource": arn,
            "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
        }],
    })
    .to_string()
}

fn delivery_policy() -> String {
    json!({"http": {
        "defaultHealthyRetryPolicy": {
            "minDelayTarget": 20, "maxDelayTarget": 20, "numRetries": 3, "numMaxDelayRetries": 0,
            "numNoDelayRetries": 0, "numMinDelayRetries": 0, "backoffFunction": "linear",
        },
        "disableSubscriptionOverrides": false,
        "defaultRequestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
    }})
    .to_string()
}

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) arn: String,
    pub(super) topic: String,
    pub(super) protocol: String,
    pub(super) endpoint: String,
    pub(super) pending: bool,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Subscription {
    pub(super) fn raw(&self) -> bool {
        self.attributes
            .get("RawMessageDelivery")
            .is_some_and(|raw| raw == "true")
    }

    pub(super) fn summary(&self, account: &str) -> Value {
        let arn = if self.pending {
            "PendingConfirmation"
        } else {
            &self.arn
        };
        json!({
            "SubscriptionArn": arn,
            "Owner": account,
            "Protocol": self.protocol,
            "Endpoint": self.endpoint,
            "TopicArn": self.topic,
        })
    }

    pub(super) fn describe(&self, account: &str) -> Map<String, Value> {
        let mut map = Map::new();
        let mut set = |name: &str, value: String| {
            map.insert(name.to_owned(), Value::String(value));
        };
        set("SubscriptionArn", self.arn.clone());
        set("TopicArn", self.topic.clone());
        set("Owner", account.to_owned());
        set("Protocol", self.protocol.clone());
        set("Endpoint", self.endpoint.clone());
        set("PendingConfirmation", self.pending.to_string());
        set("ConfirmationWasAuthenticated", (!self.pending).to_string());
        set("RawMessageDelivery", "false".into());
        set(
            "SubscriptionPrincipal",
            format!("arn:aws:iam::{account}:root"),
        );
        if self.attributes.contains_key("FilterPolicy") {
            set("FilterPolicyScope", "MessageAttributes".into());
        }
        for (name, value) in &self.attributes {
            set(name, value.clone());
        }
        map
    }
}
