//! What a binding runs with, made of what it says.

use std::sync::Arc;

use tidegate_aws::{Aws, AwsOptions};

use crate::binding::{
    AwsSettings, Binding, DestinationSettings, KafkaSettings, KinesisSettings, SourceSettings,
    TargetSettings,
};
use crate::destination::Destination;
use crate::destination::aws::{Bucket, Queue, Topic};
use crate::destination::kafka::KafkaTopic;
use crate::event::EventShape;
use crate::filter::{Filter, Kind};
use crate::metrics::Metrics;
use crate::runtime::Parts;
use crate::source::Source;
use crate::source::kafka::KafkaSource;
use crate::source::kinesis::KinesisSource;
use crate::target::cloudevents::{CloudEvents, CloudEventsOptions};
use crate::target::http::Http;
use crate::target::lambda::Lambda;
use crate::target::{Discard, Target};

/// Opens everything that a binding needs.
pub(super) async fn open(
    binding: &Binding,
    metrics: &Arc<Metrics>,
) -> Result<(Parts, Box<dyn Source>), String> {
    let mut aws = Lazy::new(settings_of(binding));
    let (target, function) = target(binding, &mut aws).await?;
    let destination = destination(binding, &mut aws).await?;
    let shape = match &binding.source {
        SourceSettings::Kafka(kafka) => shape(kafka),
        SourceSettings::Kinesis(kinesis) => stream_shape(binding, kinesis, &mut aws).await?,
    };
    let parts = Parts {
        name: binding.name.as_str().into(),
        function: function.into(),
        shape: Arc::new(shape),
        policy: Arc::new(binding.policy.clone()),
        filter: Arc::new(filter(binding)?),
        target,
        destination,
        metrics: Arc::clone(metrics),
        in_flight_max: binding.in_flight_max,
        drain: binding.drain,
    };
    let source: Box<dyn Source> = match &binding.source {
        SourceSettings::Kafka(kafka) => Box::new(KafkaSource::open(kafka, binding.start)?),
        SourceSettings::Kinesis(kinesis) => {
            let (aws, name) = (aws.get().await?, binding.name.as_str());
            Box::new(KinesisSource::open(aws, kinesis, name, binding.start).await?)
        }
    };
    Ok((parts, source))
}

/// AWS as the binding reaches it: the region of its stream, when it names none.
fn settings_of(binding: &Binding) -> AwsSettings {
    let mut settings = binding.aws.clone();
    if let SourceSettings::Kinesis(kinesis) = &binding.source {
        let region = kinesis.stream_arn.split(':').nth(3);
        settings.region = settings.region.or_else(|| region.map(str::to_owned));
    }
    settings
}

async fn stream_shape(
    binding: &Binding,
    kinesis: &KinesisSettings,
    aws: &mut Lazy,
) -> Result<EventShape, String> {
    let region = kinesis.stream_arn.split(':').nth(3).unwrap_or_default();
    Ok(EventShape::Kinesis {
        stream_arn: Arc::clone(&kinesis.stream_arn),
        region: region.into(),
        role_arn: identity(binding, aws.get().await?).await.into(),
    })
}

/// The role that events name: the function's, as AWS has it; else the one that the binding assumes, else the account.
async fn identity(binding: &Binding, aws: &Aws) -> String {
    if let TargetSettings::Lambda { function } = &binding.target {
        let client = aws_sdk_lambda::Client::new(&aws.config);
        let call = client.get_function_configuration().function_name(function);
        if let Ok(found) = call.send().await
            && let Some(role) = found.role()
        {
            return role.to_owned();
        }
    }
    let account = || format!("arn:{}:iam::{}:root", aws.partition, aws.account_id);
    binding.aws.role_arn.clone().unwrap_or_else(account)
}

fn shape(kafka: &KafkaSettings) -> EventShape {
    let bootstrap_servers = Arc::clone(&kafka.bootstrap_servers);
    match &kafka.cluster_arn {
        Some(arn) => EventShape::Msk {
            cluster_arn: Arc::clone(arn),
            bootstrap_servers,
        },
        None => EventShape::SelfManagedKafka {
            event_source: Arc::clone(&kafka.event_source),
            bootstrap_servers,
        },
    }
}

fn filter(binding: &Binding) -> Result<Filter, String> {
    let kind = match binding.source {
        SourceSettings::Kafka(_) => Kind::Kafka,
        SourceSettings::Kinesis(_) => Kind::Kinesis,
    };
    Filter::new(kind, &binding.patterns).map_err(|(_, error)| error)
}

/// The connection to AWS, made when something wants it first.
struct Lazy {
    settings: AwsSettings,
    aws: Option<Aws>,
}

impl Lazy {
    fn new(settings: AwsSettings) -> Self {
        Self {
            settings,
            aws: None,
        }
    }

    async fn get(&mut self) -> Result<&Aws, String> {
        if self.aws.is_none() {
            let options = AwsOptions {
                region: self.settings.region.clone(),
                role_arn: self.settings.role_arn.clone(),
                endpoint_url: self.settings.endpoint_url.clone(),
                fixed_credentials: self.settings.fixed_credentials.clone(),
            };
            let connected = Aws::connect(&options).await;
            self.aws = Some(connected.map_err(|error| format!("AWS cannot be reached: {error}"))?);
        }
        self.aws.as_ref().ok_or_else(String::new)
    }
}

async fn target(binding: &Binding, aws: &mut Lazy) -> Result<(Arc<dyn Target>, String), String> {
    let reports = binding.reports_item_failures;
    match &binding.target {
        TargetSettings::Discard => Ok((Arc::new(Discard), "discard".to_owned())),
        TargetSettings::Http {
            url,
            headers,
            timeout,
        } => Ok((
            Arc::new(Http::new(url, headers, *timeout, reports)?),
            url.clone(),
        )),
        TargetSettings::CloudEvents {
            url,
            mode,
            kind,
            source,
            headers,
            timeout,
        } => {
            let options = CloudEventsOptions {
                url: url.clone(),
                mode: *mode,
                kind: kind.clone(),
                source: source.clone(),
                headers: headers.clone(),
                timeout: *timeout,
                reports_item_failures: reports,
            };
            Ok((Arc::new(CloudEvents::new(options)?), url.clone()))
        }
        TargetSettings::Lambda { function } => {
            let aws = aws.get().await?;
            let arn = function_arn(aws, function);
            Ok((Arc::new(Lambda::new(aws, function, reports)), arn))
        }
    }
}

/// The ARN of a function that is named by name, by `name:alias` or by ARN.
fn function_arn(aws: &Aws, function: &str) -> String {
    if function.starts_with("arn:") {
        return function.to_owned();
    }
    aws.arn("lambda", &format!("function:{function}"))
}

async fn destination(
    binding: &Binding,
    aws: &mut Lazy,
) -> Result<Option<Arc<dyn Destination>>, String> {
    let Some(settings) = &binding.destination else {
        return Ok(None);
    };
    Ok(Some(match settings {
        DestinationSettings::Kafka(topic) => {
            let cluster = binding.source.failure_cluster();
            let cluster = cluster.ok_or("no Kafka cluster is named")?;
            Arc::new(KafkaTopic::open(cluster, topic)?)
        }
        DestinationSettings::Sqs(arn) => Arc::new(Queue::open(aws.get().await?, arn).await?),
        DestinationSettings::Sns(arn) => Arc::new(Topic::new(aws.get().await?, arn)),
        DestinationSettings::S3(name) => Arc::new(Bucket::new(aws.get().await?, name)),
    }))
}
