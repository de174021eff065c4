//! Failure destinations of AWS: a queue, a topic of SNS, a bucket.

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sqs::error::DisplayErrorContext;
use tidegate_aws::Aws;

use super::{Destination, GivenUp, Payload};

/// A queue of SQS.
#[derive(Debug)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

/// A topic of SNS.
#[derive(Debug)]
pub struct Topic {
    client: aws_sdk_sns::Client,
    arn: String,
}

/// A bucket of S3.
#[derive(Debug)]
pub struct Bucket {
    client: aws_sdk_s3::Client,
    name: String,
}

fn told(what: &str, error: impl std::error::Error) -> String {
    format!("{what}: {}", DisplayErrorContext(error))
}

impl Queue {
    /// The queue of that ARN.
    ///
    /// # Errors
    /// There is no such queue, or it cannot be asked for.
    pub async fn open(aws: &Aws, arn: &str) -> Result<Self, String> {
        let client = aws_sdk_sqs::Client::new(&aws.config);
        let mut parts = arn.split(':').skip(4);
        let account = parts.next().filter(|account| !account.is_empty());
        let name = parts.next().unwrap_or_default();
        let found = client
            .get_queue_url()
            .queue_name(name)
            .set_queue_owner_aws_account_id(account.map(str::to_owned))
            .send()
            .await
            .map_err(|error| told(&format!("queue {arn}"), error))?;
        let url = found.queue_url().unwrap_or_default().to_owned();
        Ok(Self { client, url })
    }
}

impl Topic {
    /// The topic of that ARN.
    pub fn new(aws: &Aws, arn: &str) -> Self {
        Self {
            client: aws_sdk_sns::Client::new(&aws.config),
            arn: arn.to_owned(),
        }
    }
}

impl Bucket {
    /// The bucket of that name.
    pub fn new(aws: &Aws, name: &str) -> Self {
        let mut config = aws_sdk_s3::config::Builder::from(&aws.config);
        // Emulators have no names below theirs.
        config.set_force_path_style(Some(aws.endpoint_url.is_some()));
        Self {
            client: aws_sdk_s3::Client::from_conf(config.build()),
            name: name.to_owned(),
        }
    }
}

#[async_trait]
impl Destination for Queue {
    async fn take(&self, given_up: &GivenUp) -> Result<(), String> {
        let id = uuid::Uuid::new_v4().to_string();
        let document = given_up.document(&id, Payload::Without);
        let send = self.client.send_message().queue_url(&self.url);
        let sent = send.message_body(document.to_string()).send().await;
        let what = format!("queue {}", self.url);
        sent.map(drop).map_err(|error| told(&what, error))
    }
}

#[async_trait]
impl Destination for Topic {
    async fn take(&self, given_up: &GivenUp) -> Result<(), String> {
        let id = uuid::Uuid::new_v4().to_string();
        let document = given_up.document(&id, Payload::Without);
        let publish = self.client.publish().topic_arn(&self.arn);
        let sent = publish.message(document.to_string()).send().await;
        let what = format!("topic {}", self.arn);
        sent.map(drop).map_err(|error| told(&what, error))
    }
}

#[async_trait]
impl Destination for Bucket {
    async fn take(&self, given_up: &GivenUp) -> Result<(), String> {
        let id = uuid::Uuid::new_v4().to_string();
        let document = given_up.document(&id, Payload::With);
        let sent = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key(given_up, &id))
            .content_type("application/json")
            .body(ByteStream::from(document.to_string().into_bytes()))
            .send()
            .await;
        let what = format!("bucket {}", self.name);
        sent.map(drop).map_err(|error| told(&what, error))
    }
}

/// `aws/lambda/<binding>/<shard or topic-partition>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<uuid>`.
fn key(given_up: &GivenUp, id: &str) -> String {
    let time = jiff::Timestamp::from_millisecond(given_up.time).unwrap_or_default();
    let partition = match given_up.partition.number() {
        Some(_) => given_up.partition.to_string(),
        None => given_up.partition.id.to_string(),
    };
    format!(
        "aws/lambda/{}/{partition}/{}-{id}",
        given_up.binding,
        time.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S")
    )
}

#[cfg(test)]
mod tests {
    //! Keys of objects.

    use std::sync::Arc;

    use super::*;
    use crate::event::EventShape;
    use crate::outcome::Condition;
    use crate::record::Partition;

    #[test]
    fn an_object_is_filed_by_binding_partition_and_time() {
        let given_up = GivenUp {
            binding: "orders".into(),
            function: "f".into(),
            shape: Arc::new(EventShape::SelfManagedKafka {
                event_source: "SelfManagedKafka".into(),
                bootstrap_servers: "b:9092".into(),
            }),
            partition: Partition::kafka(&"t".into(), 3),
            records: Vec::new(),
            window: None,
            span: None,
            condition: Condition::RecordAgeExceeded,
            invocations: 1,
            failure: None,
            time: 1_700_000_000_000,
        };
        assert_eq!(
            key(&given_up, "x"),
            "aws/lambda/orders/t-3/2023/11/14/2023-11-14T22.13.20-x"
        );
    }
}
