//! Consumers of streams: registered, described, deregistered.
//!
//! Must not know: records.

use serde_json::{Value, json};

use super::Call;
use super::stream::Consumer;
use crate::refusal::{Refusal, refuse};

/// Consumers of one stream.
const CONSUMERS: usize = 20;
/// Consumers of one stream that may be CREATING at once.
const CREATING: usize = 5;

impl Call<'_> {
    pub(super) fn register_consumer(&mut self) -> Result<Value, Refusal> {
        let name = self.text("ConsumerName").unwrap_or("").to_owned();
        let tags = super::tags::read_tags(&self.input["Tags"])?;
        let now = self.scope.now;
        let active_at = self.scope.after(self.delays.consumer);
        let account = self.scope.account.clone();
        let stream = self.active_stream()?;
        if stream.consumers.contains_key(&name) {
            return Err(refuse(
                "ResourceInUseException",
                format!(
                    "Consumer {name} under stream {} already exists for account {account}.",
                    stream.name
                ),
            ));
        }
        let creating = stream
            .consumers
            .values()
            .filter(|c| c.active_at > now)
            .count();
        if stream.consumers.len() >= CONSUMERS || creating >= CREATING {
            return Err(refuse(
                "LimitExceededException",
                format!(
                    "Stream {} under account {account} may have {CONSUMERS} consumers, {CREATING} of them in the CREATING state.",
                    stream.name
                ),
            ));
        }
        let consumer = Consumer {
            arn: format!("{}/consumer/{name}:{}", stream.arn, now.as_second()),
            name: name.clone(),
            created: now,
            active_at,
            gone_at: None,
            tags,
        };
        let mut described = consumer.describe(now);
        described["ConsumerStatus"] = json!("CREATING");
        stream.consumers.insert(name, consumer);
        Ok(json!({"Consumer": described}))
    }

    /// The consumer that a request names, with the stream's ARN.
    fn consumer(&mut self) -> Result<(&mut Consumer, String), Refusal> {
        let arn = self.text("ConsumerARN").map(str::to_owned);
        let named = self.text("ConsumerName").map(str::to_owned);
        let stream_arn = self.text("StreamARN").map(str::to_owned);
        let (stream, name) = match (&arn, stream_arn, named) {
            (Some(arn), _, _) => {
                let path = arn.split_once(":stream/").map_or("", |(_, path)| path);
                let (stream, rest) = path.split_once("/consumer/").unwrap_or((path, ""));
                (
                    stream.to_owned(),
                    rest.split(':').next().unwrap_or("").to_owned(),
                )
            }
            (None, Some(stream), Some(name)) => {
                let stream = stream.split_once(":stream/").map_or("", |(_, path)| path);
                (stream.to_owned(), name)
            }
            _ => {
                return Err(refuse(
                    "InvalidArgumentException",
                    "Either ConsumerARN or both StreamARN and ConsumerName must be provided.",
                ));
            }
        };
        let missing = refuse(
            "ResourceNotFoundException",
            format!("Consumer {name}, account {} not found.", self.scope.account),
        );
        let Some(stream) = self.streams.streams.get_mut(&stream) else {
            return Err(missing);
        };
        let stream_arn = stream.arn.clone();
        match stream.consumers.get_mut(&name) {
            Some(consumer) if arn.as_ref().is_none_or(|arn| *arn == consumer.arn) => {
                Ok((consumer, stream_arn))
            }
            _ => Err(missing),
        }
    }

    pub(super) fn deregister_consumer(&mut self) -> Result<Value, Refusal> {
        let gone = self.scope.after(self.delays.consumer);
        let (consumer, _) = self.consumer()?;
        consumer.gone_at.get_or_insert(gone);
        Ok(Value::Null)
    }

    pub(super) fn describe_consumer(&mut self) -> Result<Value, Refusal> {
        let now = self.scope.now;
        let (consumer, stream) = self.consumer()?;
        let mut described = consumer.describe(now);
        described["StreamARN"] = json!(stream);
        Ok(json!({"ConsumerDescription": described}))
    }

    pub(super) fn list_consumers(&mut self) -> Result<Value, Refusal> {
        let now = self.scope.now;
        let limit = self
            .number("MaxResults")
            .map_or(100, |limit| limit.clamp(1, 10_000));
        let limit = usize::try_from(limit).unwrap_or(100);
        let after = self.text("NextToken").map(str::to_owned);
        let stream = self.stream()?;
        let mut consumers: Vec<&Consumer> = stream
            .consumers
            .values()
            .filter(|consumer| {
                after
                    .as_deref()
                    .is_none_or(|after| consumer.name.as_str() > after)
            })
            .collect();
        let more = consumers.len() > limit;
        consumers.truncate(limit);
        let mut answer =
            json!({"Consumers": consumers.iter().map(|c| c.describe(now)).collect::<Vec<_>>()});
        if more && let Some(last) = consumers.last() {
            answer["NextToken"] = json!(last.name);
        }
        Ok(answer)
    }
}
