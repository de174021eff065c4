//! Subscription filters, kept as they were put: the sandbox delivers nothing to them.
//!
//! Must not know: destinations.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Refusal, refuse};

use super::{Call, constraint, no_group};

/// Filters of one group.
const FILTERS: usize = 2;

/// A subscription filter.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pattern: String,
    destination: String,
    role: Option<String>,
    distribution: String,
    created: Timestamp,
}

impl Call<'_> {
    pub(super) fn put_subscription(&mut self) -> Result<Value, Refusal> {
        let name = self.text("filterName")?.to_owned();
        let pattern = self.text("filterPattern")?.to_owned();
        let destination = self.text("destinationArn")?.to_owned();
        if name.is_empty() || name.len() > 512 || name.contains([':', '*']) {
            return Err(constraint(
                &name,
                "filterName",
                "Member must satisfy regular expression pattern: [^:*]*",
            ));
        }
        let service = destination.split(':').nth(2).unwrap_or("");
        if !destination.starts_with("arn:")
            || !["lambda", "kinesis", "firehose", "logs"].contains(&service)
        {
            return Err(super::invalid(format!(
                "PutSubscriptionFilter operation cannot work with destinationArn for vendor {service}"
            )));
        }
        let role = self.input["roleArn"].as_str().map(str::to_owned);
        if role.is_none() && matches!(service, "kinesis" | "firehose") {
            return Err(super::invalid(format!(
                "destinationArn for vendor {service} cannot be used without roleArn"
            )));
        }
        let distribution = self.input["distribution"].as_str().unwrap_or("ByLogStream");
        if !["ByLogStream", "Random"].contains(&distribution) {
            return Err(constraint(
                distribution,
                "distribution",
                "Member must satisfy enum value set: [Random, ByLogStream]",
            ));
        }
        let distribution = distribution.to_owned();
        let now = self.scope.now;
        let group = self.group()?;
        let before = group.subscriptions.get(&name);
        if before.is_none() && group.subscriptions.len() >= FILTERS {
            return Err(refuse("LimitExceededException", "Resource limit exceeded."));
        }
        let created = before.map_or(now, |before| before.created);
        group.subscriptions.insert(
            name,
            Subscription {
                pattern,
                destination,
                role,
                distribution,
                created,
            },
        );
        Ok(Value::Null)
    }

    pub(super) fn describe_subscriptions(&mut self) -> Result<Value, Refusal> {
        let limit = self.limit(50, 50)?;
        let prefix = self.input["filterNamePrefix"].as_str();
        let name = self.group_name()?;
        let group = self.region.groups.get(&name).ok_or_else(no_group)?;
        let entries = group
            .subscriptions
            .iter()
            .filter(|(filter, _)| prefix.is_none_or(|prefix| filter.starts_with(prefix)))
            .map(|(filter, one)| {
                let mut shown = json!({
                    "filterName": filter,
                    "logGroupName": name,
                    "filterPattern": one.pattern,
                    "destinationArn": one.destination,
                    "distribution": one.distribution,
                    "creationTime": one.created.as_millisecond(),
                });
                if let Some(role) = &one.role {
                    shown["roleArn"] = json!(role);
                }
                (filter.clone(), shown)
            })
            .collect();
        Ok(self.page("subscriptionFilters", entries, limit))
    }

    pub(super) fn delete_subscription(&mut self) -> Result<Value, Refusal> {
        let name = self.text("filterName")?.to_owned();
        self.group()?.subscriptions.remove(&name).ok_or_else(|| {
            refuse(
                "ResourceNotFoundException",
                "The specified subscription filter does not exist.",
            )
        })?;
        Ok(Value::Null)
    }
}
